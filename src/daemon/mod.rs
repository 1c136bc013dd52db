//! Owns: the life of `run`: when passes are due, signals, rules read anew, what the service manager is told, the orderly
//! stop; one loop over one closed set of events.
//!
//! Must not know: what happens inside a pass; terminals.

mod decide;
mod doing;
mod event;
mod heartbeat;
mod report;
mod run;
mod schedule;
mod systemd;

pub use decide::Mode;
pub use run::{Ended, Host, Loaded, Plan, Setup, Told, run};
pub use schedule::next_due;
