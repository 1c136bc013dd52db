//! Owns: the rules language: TOML text under `sync-rules/` → diagnostics or a checked [`Ruleset`]; its JSON Schema;
//! proposals of such text.
//!
//! Must not know: stores, HTTP, time, the environment. Text comes in as bytes, variables and known secret names as arguments.

mod check;
mod diagnostic;
mod grammar;
mod model;
mod names;
mod propose;
mod render;
mod schema;
mod shape;
mod units;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use check::{Context, check};
pub use diagnostic::{Diagnostic, Severity, Source};
pub use model::*;
pub use propose::{ProposeError, Sample, Wanted, from_openapi, from_samples};
pub use render::render;
pub use schema::schema;
