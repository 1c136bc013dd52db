//! Owns: the order of one pass: settle → pull → plan → guard → commit → push → settle, and its report.
//!
//! Must not know: how SQL or HTTP is spoken, how reports are shown, when passes run.

mod engine;
mod report;

pub use engine::{Engine, PassError, PassOptions};
pub use report::*;
