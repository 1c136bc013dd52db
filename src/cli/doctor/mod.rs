//! Owns: `doctor`: everything around the program that can be wrong, looked at without changing any of it.
//!
//! Must not know: how passes work.

mod budgets;
mod finding;
mod local;
mod run;
mod service;
mod upstreams;

pub use run::run;
