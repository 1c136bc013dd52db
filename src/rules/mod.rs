//! Owns: the rules language: TOML text under `sync-rules/` → diagnostics or a checked [`Ruleset`]; its JSON Schema.
//!
//! Must not know: stores, HTTP, time, the environment. Text comes in as bytes, variables and known secret names as arguments.

mod model;

pub use model::*;
