//! Owns: where log lines go: stderr, as text for people or as JSON, or the journal, with fields; through a bounded queue that
//! nobody who is slow at the other end can block. The spans of traces and, with the feature `otlp`, their way to a collector.
//!
//! Must not know: who logs what, settings files.

mod entry;
mod journal;
mod queue;
pub mod spans;
mod start;
#[cfg(feature = "otlp")]
mod traces;

pub use journal::is_journal;
pub use start::{Form, Guard, Options, Traced, start};
