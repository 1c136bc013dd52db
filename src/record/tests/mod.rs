//! Claims about the record module, by subject.

mod codec;
mod domain;
mod filter;
mod json;
mod mapping;
mod path;
mod time;
pub(crate) mod value;
