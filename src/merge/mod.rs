//! Owns: the decisions. `decide` turns everything known about one record into a [`RecordPlan`]; `guard` turns totals into halts.
//!
//! Must not know: stores, HTTP, raw bytes, the clock (times come in as data). Everything here is pure and exhaustive.

mod facts;
mod plan;

mod decide;
mod existence;
mod fields;
mod first;
mod oscillation;
mod owned;
mod parties;
mod policy;
mod push;
mod sides;
mod voice;

pub mod drift;
mod evidence;
mod floor;
pub mod guard;
mod identity;
mod intent;
mod settle;

#[cfg(test)]
pub mod testkit;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use evidence::{Found, Verdict, holds, judge_unknown};
pub use facts::*;
pub use first::{First, first_contact, is_plain};
pub use floor::{Age, Sighting, is_newer, judge_age, version_number};
pub use identity::{Identity, match_identity, match_key_texts};
pub use intent::{Answer, Ask, IntentState, accept, after, ask_of_create, is_echo, never_happened, renew};
pub use oscillation::{Turn, ring};
pub use plan::*;
pub use settle::{Settled, rebase, settle};
