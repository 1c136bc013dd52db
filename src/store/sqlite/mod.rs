//! Owns: the store on one SQLite file: one writer thread, a few readers, everything of the engine's own in tables `sync_…`.
//!
//! Must not know: HTTP, policies, when passes run.

mod arrivals;
mod backup;
mod checkpoint;
mod clauses;
mod columns;
mod connect;
mod db;
mod echoes;
mod epoch;
mod exam;
mod fault;
mod file;
mod foreign;
mod health;
mod hints;
mod hooks;
mod intents;
mod journal;
mod links;
mod lock;
mod memory;
mod migrate;
mod open;
mod packed;
mod parents;
mod passes;
mod patience;
mod reshape;
mod restore;
mod rows;
mod shape;
mod space;
mod stage;
mod state;
mod texts;
mod thread;
mod triggers;
mod turns;
mod tx;
mod usage;
mod verify;
mod view;

#[cfg(test)]
mod tests;

pub use backup::{Contents, back_up};
pub use exam::{Exam, examine, upstream_states};
pub use lock::lock_holder;
pub use open::{Epoch, Mode, OpenOptions, SqliteStore};
pub use restore::restore;
pub use space::space;
pub use verify::{Flaw, Mending, Subject, repair, verify};
