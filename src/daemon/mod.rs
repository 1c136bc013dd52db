//! Owns: the life of `run`: when passes are due, signals, rules read anew, what the service manager is told and what it passes
//! on, the orderly stop; one loop over one closed set of events.
//!
//! Must not know: what happens inside a pass; terminals.

mod activation;
mod decide;
mod desk;
mod doing;
mod event;
mod files;
mod heartbeat;
mod job;
mod monitor;
mod outage;
mod outcome;
mod pulse;
mod reload;
mod report;
mod run;
mod schedule;
mod sources;
mod stamp;
mod systemd;
mod wake;

#[cfg(test)]
mod between_tests;
#[cfg(test)]
mod kin_tests;
#[cfg(test)]
mod reload_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;

pub use activation::Passed;
pub use decide::Mode;
pub use desk::{Accepted, Desk, Place, Refused, RulesSaid, Standing};
pub use doing::{Heard, step_words};
pub use files::Watched;
pub use reload::Checked;
pub use run::{Ended, Host, Loaded, Plan, Setup, Told, run};
pub use schedule::next_due;
pub use wake::{is_paused, set_paused};
#[cfg(test)]
pub use {desk::Clerk, desk::open as open_desk, doing::Doing};
