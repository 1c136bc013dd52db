//! Owns: the life of `run`: when passes are due, signals, the orderly stop; one loop over one closed set of events.
//!
//! Must not know: what happens inside a pass; terminals.

mod decide;
mod event;
mod heartbeat;
mod report;
mod run;
mod schedule;

pub use decide::Mode;
pub use run::{Ended, Host, Loaded, Plan, Told, run};
pub use schedule::next_due;
