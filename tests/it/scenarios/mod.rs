//! Scenarios of a correct two-way sync, by number, through the real program against sandboxes on loopback.

mod absent;
mod batches;
mod clock;
mod creates;
mod deletes;
mod drift;
mod echoes;
mod edited_rules;
mod evidence;
mod faults;
mod first_look;
mod lagging;
mod merged;
mod standing;
mod still;
mod structure;
mod telling;
mod tools;
mod undo;
mod updates;
