//! Owns: the pages for people: server-rendered, without scripts; everything foreign is escaped by construction.
//!
//! Must not know: who may look; where what is shown comes from.

mod act;
mod decide;
mod layout;
mod overview;
mod passes;
mod records;
mod router;

pub use layout::bare;
pub use router::router;
