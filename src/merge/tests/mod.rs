//! Owns: the tests of the decision as a whole, by kind.
//!
//! Must not know: how the decision is built inside.

mod deletes;
mod edits;
mod open_conflicts;
mod properties;
mod world;
