//! Owns: the pages for people: server-rendered, usable without scripts; everything foreign is escaped by construction.
//!
//! Must not know: who may look; where what is shown comes from.

mod act;
mod chart;
mod conflicts;
mod diff;
mod form;
mod halts;
mod layout;
mod overview;
mod passes;
mod records;
mod router;
mod rules;
mod spent;
mod upstreams;
mod webhooks;

pub use form::Form;
pub use layout::{bare, trouble};
pub use router::router;
