//! Owns: JSON that loses nothing: numbers keep their digits, object keys keep their order.
//!
//! Must not know: fields or types.

use std::fmt;

/// A JSON value. Numbers are kept as the token that was read, so `0.10`, `1e400` and 2^70 survive.
///
/// Equality, order and hash are by meaning: object key order does not count, and number tokens compare by value
/// (`1.0`, `1` and `1e0` are equal).
#[derive(Clone, Debug)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number token as written, e.g. `-0.10`.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object in the order of its keys as written; keys are unique.
    Object(Vec<(String, Json)>),
}

/// Why bytes are not acceptable JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at {path}")]
pub struct JsonError {
    /// A jq-like path to the offending place, `.` for the top.
    pub path: String,
    /// What is wrong: a syntax error with its offset, a duplicate key, a lone surrogate, too deep.
    pub reason: String,
}

impl Json {
    /// The deepest nesting that is read (arrays and objects), above which a document is refused.
    pub const DEPTH_MAX: usize = 96;

    /// Reads one document. Duplicate keys, lone surrogates, trailing bytes and depth beyond [`Json::DEPTH_MAX`] are errors.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let _ = bytes;
        todo!()
    }

    /// The member of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The same value with object keys sorted and number tokens in one canonical form: equal values give equal bytes.
    pub fn canonical(&self) -> Self {
        todo!()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Json {}
impl PartialOrd for Json {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Json {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let _ = other;
        todo!()
    }
}
impl std::hash::Hash for Json {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let _ = state;
        todo!()
    }
}

/// Compact JSON text.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}

impl serde::Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let _ = serializer;
        todo!()
    }
}
