//! Owns: proposals: from sample answers of a listing, or from an OpenAPI description, to the text of rules that pass the check,
//! in which every guess says that it is one, and why.
//!
//! Must not know: files, HTTP, how the check works. No value of a sample is ever copied into a proposal.

mod draft;
mod error;
mod flat;
mod identity;
mod kind;
mod names;
mod openapi;
mod paging;
mod sample;
#[cfg(test)]
mod tests;
mod text;
mod wanted;

pub use error::ProposeError;
pub use openapi::from_openapi;
pub use sample::from_samples;
pub use wanted::{Sample, Wanted};
