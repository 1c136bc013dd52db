//! Owns: the order of one pass: settle → pull → plan → guard → commit → push → settle, and its report.
//!
//! Must not know: how SQL or HTTP is spoken, how reports are shown, when passes run.

mod engine;
mod report;
mod run;

mod context;
mod cursor;
mod deleted;
mod page;
mod parents;
mod pull;
mod pulled;

mod absence;
mod addressed;
mod before;
mod bound;
mod contact;
mod cycle;
mod floor;
mod former;
mod observe;

mod base;
mod commit;
mod compare;
mod digest;
mod gather;
mod halted;
mod halting;
mod held;
mod left;
mod wire;

mod known_by;
mod merged;
mod reused;

mod apply;
mod between;
mod intend;
mod jobs;
mod ledger;
mod lookup;
mod named;
mod parts;
mod refusal;
mod restored;
mod set_back;
mod spelled;
mod standing;
mod still;
mod turns;
mod untied;

mod hindered;
mod hooked;
mod phases;
mod push;
mod removed;
mod settle;
mod silence;
mod singles;
mod sites;
mod targeted;
mod undecided;
mod unknown;
mod unlisted;
mod written;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use base::values_to_text;
pub use between::Wish;
pub use bound::{bind, unbind};
pub use engine::{Engine, PassError, PassOptions, pass_span};
pub use halted::{HaltedPlan, halted_plan};
pub use ledger::{HOURS_KEPT, MINUTES_KEPT};
pub use phases::{Phase, PhaseKind, phases_of};
pub use report::*;
pub use restored::{is_restored, waits};
pub use set_back::{SET_BACK, note_name as choice_note};
pub use standing::{asked_until, breaker_is_open, has_learnt, keep_beside, kept, kept_in, reauth_required};
pub use targeted::has_listed_nothing;
