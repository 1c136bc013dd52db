//! Owns: talking to upstreams: requests built from rules, one HTTP client, auth, paging, budgets, retries; outcomes as data.
//!
//! Must not know: the store, bases, which value wins. The deciding halves take `now` and do no I/O.

mod outcome;
mod transport;

pub use outcome::*;
pub use transport::{Outgoing, Response, Transport, TransportError};

/// A shared client of one upstream.
pub struct Client;
