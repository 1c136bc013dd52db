//! Owns: from an OpenAPI description (3.0, 3.1) to a proposal.
//!
//! Must not know: samples, how a proposal is written down.

mod document;
mod operations;
mod paging;
mod propose;
mod schema;
mod security;

pub use propose::from_openapi;
