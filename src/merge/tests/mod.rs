//! Owns: the tests of the decision as a whole, by kind.
//!
//! Must not know: how the decision is built inside.

mod deletes;
mod edits;
mod evidence;
mod first;
mod intents;
mod limits;
mod model;
mod open_conflicts;
mod oscillation;
mod policies;
mod properties;
mod shared_units;
mod spoken;
mod world;
