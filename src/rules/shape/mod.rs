//! Owns: how types describe the shape of rules: one declaration gives the struct, its reader with spans, and its JSON Schema.
//!
//! Must not know: which keys there are (that is `grammar`), what they mean (that is `check`).

mod macros;
mod node;
mod reader;
mod schema;
mod wrap;

pub(in crate::rules) use macros::{kinds, table, words};
pub use node::{At, Key, Node};
pub use reader::{Reader, Shape, Tag, plain_name, read_at, read_kind, read_word};
pub use schema::{any_of, description, object_schema, tagged};
pub use wrap::{Either, List, Named, OneOrMany};
