//! Owns: taking back what one pass changed, as edits of rows here that the next pass sends on like anybody's.
//!
//! Must not know: how passes merge and send; who asks.

mod decide;
mod deeds;
mod edit;
mod plan;
mod report;
mod run;

#[cfg(test)]
mod tests;

pub use report::{Undone, UndoneChange, UndoneLeft};
pub use run::{UndoRequest, undo};
