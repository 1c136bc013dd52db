//! Owns: where log lines go: stderr, as text for people or as JSON, or the journal, with fields; through a bounded queue that
//! nobody who is slow at the other end can block.
//!
//! Must not know: who logs what, settings files.

mod entry;
mod journal;
mod queue;
mod start;

pub use journal::is_journal;
pub use queue::Guard;
pub use start::{Form, Options, start};
