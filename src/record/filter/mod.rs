//! Owns: jq filters, compiled when rules are checked and evaluated within limits (jaq).
//!
//! Must not know: what a filter is used for.

mod check;
mod convert;
mod natives;
mod run;

pub use run::{Filter, FilterError};
