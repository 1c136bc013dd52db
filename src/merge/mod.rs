//! Owns: the decisions. `decide` turns everything known about one record into a [`RecordPlan`]; `guard` turns totals into halts.
//!
//! Must not know: stores, HTTP, raw bytes, the clock (times come in as data). Everything here is pure and exhaustive.

mod facts;
mod plan;

pub use facts::*;
pub use plan::*;
