//! Owns: canonical values of fields, their types, declared equality, exact JSON, paths as lenses, jq filters,
//! codecs and the mapping that turns one raw remote record into fields (and fields into a request body).
//!
//! Must not know: rules files, stores, upstreams, time, randomness. Everything here is pure.

pub mod below;
mod codec;
mod domain;
mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hex;
mod json;
mod mapping;
mod number;
mod path;
mod plain;
mod scan;
mod slot;
mod spelling;
#[cfg(test)]
pub(crate) mod tests;
mod time;
mod token;
mod trie;
mod value;

pub use codec::Codec;
pub use domain::{Domain, FieldType, Normalize};
pub use filter::{Filter, FilterError};
pub use hex::{hex, unhex};
pub use json::{Json, JsonError};
pub use mapping::{FieldMap, Lens, Mapped, Mapper, Probe, Put, same_creation};
pub use path::{Path, Step};
pub use slot::{FieldError, Slot};
pub use spelling::IdSpelling;
pub use time::TimeFormat;
pub use value::{Column, Real, RecordId, Value};
