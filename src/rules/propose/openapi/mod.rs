//! Owns: from an OpenAPI description (3.0, 3.1; JSON or YAML) to a proposal.
//!
//! Must not know: samples, how a proposal is written down.

mod core_schema;
mod document;
mod operations;
mod paging;
mod propose;
mod schema;
mod security;
mod yaml;

pub use propose::from_openapi;
#[cfg(test)]
pub use yaml::{LIMITS, Limits, YamlError, parse as parse_yaml};
