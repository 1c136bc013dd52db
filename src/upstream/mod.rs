//! Owns: talking to upstreams: requests built from rules, one HTTP client, auth, paging, budgets, retries; outcomes as data.
//!
//! Must not know: the store, bases, which value wins. The deciding halves take `now` and do no I/O.

mod outcome;
mod transport;

mod request;

mod list;
mod paging;
mod split;

mod point;

mod batch;
mod shape;
mod write;

mod client;

pub use batch::write_batch;
pub use client::{Client, HttpTransport};
pub use list::Lister;
pub use outcome::*;
pub use point::{find_by_field, find_by_path, get};
pub use request::{Built, Draft, Safety};
pub use transport::{Outgoing, Response, Transport, TransportError};
pub use write::{chosen_id, write_one};
