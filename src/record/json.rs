//! Owns: JSON that loses nothing: numbers keep their digits, object keys keep their order.
//!
//! Must not know: fields or types.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde_json::value::RawValue;

use super::number;
use super::scan::Scanner;

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
        let mut scanner = Scanner::new(bytes)?;
        let json = scanner.json()?;
        scanner.end()?;
        Ok(json)
    }

    /// An object of these members, in this order.
    pub fn object<K: Into<String>>(members: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
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
        match self {
            Self::Null | Self::Bool(_) | Self::String(_) => self.clone(),
            Self::Number(token) => Self::Number(number::canonical(token).into_owned()),
            Self::Array(items) => Self::Array(items.iter().map(Self::canonical).collect()),
            Self::Object(members) => {
                Self::Object(sorted(members).into_iter().map(|(key, value)| (key.clone(), value.canonical())).collect())
            }
        }
    }

    /// `null`, `boolean`, `number`, `string`, `array` or `object`, as jq's `type` says it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::String(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        }
    }
}

fn sorted(members: &[(String, Json)]) -> Vec<&(String, Json)> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by(|left, right| left.0.cmp(&right.0));
    sorted
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Json {}
impl PartialOrd for Json {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As in jq: null, booleans, numbers, strings, arrays, objects; objects as their sorted members.
impl Ord for Json {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => number::cmp(left, right),
            (Self::String(left), Self::String(right)) => left.cmp(right),
            (Self::Array(left), Self::Array(right)) => left.cmp(right),
            (Self::Object(left), Self::Object(right)) => sorted(left).cmp(&sorted(right)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.rank());
        match self {
            Self::Null => {}
            Self::Bool(value) => value.hash(state),
            Self::Number(token) => number::hash(token, state),
            Self::String(text) => text.hash(state),
            Self::Array(items) => items.hash(state),
            Self::Object(members) => sorted(members).hash(state),
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}
impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}
impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self::Number(number.to_string())
    }
}
impl From<Vec<Self>> for Json {
    fn from(items: Vec<Self>) -> Self {
        Self::Array(items)
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => Self::Number(number.to_string()),
            serde_json::Value::String(text) => Self::String(text),
            serde_json::Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(members) => {
                Self::object(members.into_iter().map(|(key, item)| (key, item.into())))
            }
        }
    }
}

/// For programs that need a `serde_json` tree: a number that neither 64 bits nor a double can carry becomes a string.
impl From<&Json> for serde_json::Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(token) => serde_json::from_str(token).unwrap_or_else(|_| Self::String(token.clone())),
            Json::String(text) => Self::String(text.clone()),
            Json::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Json::Object(members) => {
                Self::Object(members.iter().map(|(key, item)| (key.clone(), Self::from(item))).collect())
            }
        }
    }
}

/// Compact JSON text.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(token) => f.write_str(token),
            Self::String(text) => write_string(f, text),
            Self::Array(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (at, (key, item)) in members.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    write_string(f, key)?;
                    write!(f, ":{item}")?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A JSON string with the escapes that RFC 8259 demands and no others.
pub(super) fn write_string(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, tail) = rest.split_at(at);
        f.write_str(plain)?;
        let mut tail = tail.chars();
        match tail.next() {
            Some('\n') => f.write_str("\\n")?,
            Some('\r') => f.write_str("\\r")?,
            Some('\t') => f.write_str("\\t")?,
            Some(quoted @ ('"' | '\\')) => write!(f, "\\{quoted}")?,
            Some(control) => write!(f, "\\u{:04x}", u32::from(control))?,
            None => {}
        }
        rest = tail.as_str();
    }
    f.write_str(rest)?;
    f.write_char('"')
}

/// Exact under `serde_json`: a number leaves as the token that it is.
impl serde::Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(token) => match token.parse::<i64>() {
                Ok(number) if number.to_string() == *token => serializer.serialize_i64(number),
                _ => RawValue::from_string(token.clone()).map_err(S::Error::custom)?.serialize(serializer),
            },
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, item) in members {
                    map.serialize_entry(key, item)?;
                }
                map.end()
            }
        }
    }
}

/// Exact, and only from JSON text (`serde_json::from_str` and friends).
impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get().as_bytes()).map_err(D::Error::custom)
    }
}
