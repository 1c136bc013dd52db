//! Owns: `demo`: two made-up upstreams, a fresh database, edits on every side, and what becomes of them.
//!
//! Must not know: how anything is synchronised; it uses the same commands as everybody.

mod stage;
mod story;
mod upstreams;

pub use story::run;
