//! Owns: the order of one pass: settle → pull → plan → guard → commit → push → settle, and its report.
//!
//! Must not know: how SQL or HTTP is spoken, how reports are shown, when passes run.

mod engine;
mod report;

mod context;
mod cursor;
mod page;
mod pull;

mod absence;
mod contact;
mod observe;

mod base;
mod commit;
mod gather;
mod wire;

mod apply;
mod intend;
mod refusal;
mod still;

mod push;
mod settle;
mod unknown;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use engine::{Engine, PassError, PassOptions};
pub use report::*;
