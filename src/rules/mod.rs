//! Owns: the rules language: TOML text under `sync-rules/` → diagnostics or a checked [`Ruleset`]; its JSON Schema.
//!
//! Must not know: stores, HTTP, time, the environment. Text comes in as bytes, variables and known secret names as arguments.

mod check;
mod diagnostic;
mod grammar;
mod model;
mod render;
mod schema;
mod shape;
mod units;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use check::{Context, check};
pub use diagnostic::{Diagnostic, Severity, Source};
pub use model::*;
pub use render::render;
pub use schema::schema;
