//! Owns: holding a database against what must be true of it, and mending what can be mended without a guess.
//!
//! Must not know: upstreams; who asks.

mod checks;
mod look;
mod mend;
mod tables;

pub use look::{Flaw, Mending, Subject, verify};
pub use mend::repair;
