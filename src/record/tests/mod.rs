//! Claims about the record module, by subject.

mod domain;
mod json;
mod path;
mod value;
