//! Owns: plain jq paths (`.a.b`, `."odd key"`, `.["k"]`, `.items[0]`) as lenses over JSON: get and put, compiled, no interpreter.
//!
//! Must not know: jq beyond plain paths (that is `filter`), fields.

use serde_json::value::RawValue;

use super::{Json, JsonError};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A member of an object.
    Key(String),
    /// An item of an array, from 0.
    Index(usize),
}

/// A plain path. The empty path is `.`, the whole document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The steps from the top.
    pub steps: Vec<Step>,
}

impl Path {
    /// Reads `text` if it is a plain path, else `None` (it may still be a jq filter).
    pub fn parse(text: &str) -> Option<Self> {
        let _ = text;
        todo!()
    }

    /// The raw token at this path; `None` where a step is missing or passes through something that is no container.
    pub fn get_raw<'a>(&self, document: &'a [u8]) -> Result<Option<&'a RawValue>, JsonError> {
        let _ = document;
        todo!()
    }

    /// The value at this path.
    pub fn get<'a>(&self, document: &'a Json) -> Option<&'a Json> {
        let _ = document;
        todo!()
    }

    /// Sets the value at this path, making objects on the way. An index must name an existing item or the next one.
    /// Everything off the path is left as it is.
    pub fn put(&self, document: &mut Json, value: Json) -> Result<(), JsonError> {
        let _ = (document, value);
        todo!()
    }
}

/// As in rules: `.a.b`, `."odd key"`, `.items[0]`.
impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let _ = f;
        todo!()
    }
}
