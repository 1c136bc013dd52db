//! Owns: one JSON value as a codec sees it: scalars borrowed from the bytes they were read from, containers parsed.
//!
//! Must not know: types, codecs, where the token stands.

use std::borrow::Cow;

use super::slot::excerpt;
use super::{FieldError, Json, number};

/// A value to be decoded. Scalars cost no allocation unless a string has escapes.
#[derive(Clone, Debug)]
pub(super) enum Token<'a> {
    Null,
    Bool(bool),
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
    /// An array or an object.
    Nested(Cow<'a, Json>),
}

impl<'a> From<&'a Json> for Token<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(token) => Self::Number(Cow::Borrowed(token)),
            Json::String(text) => Self::String(Cow::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Self::Nested(Cow::Borrowed(json)),
        }
    }
}

impl From<Json> for Token<'_> {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(token) => Self::Number(Cow::Owned(token)),
            Json::String(text) => Self::String(Cow::Owned(text)),
            Json::Array(_) | Json::Object(_) => Self::Nested(Cow::Owned(json)),
        }
    }
}

impl Token<'_> {
    /// The token as a tree.
    pub(super) fn into_json(self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(token) => Json::Number(token.into_owned()),
            Self::String(text) => Json::String(text.into_owned()),
            Self::Nested(json) => json.into_owned(),
        }
    }

    /// Equality by meaning, as of [`Json`].
    pub(super) fn is(&self, json: &Json) -> bool {
        match (self, json) {
            (Self::Null, Json::Null) => true,
            (Self::Bool(left), Json::Bool(right)) => left == right,
            (Self::Number(left), Json::Number(right)) => number::cmp(left, right).is_eq(),
            (Self::String(left), Json::String(right)) => left == right,
            (Self::Nested(left), right) => **left == *right,
            _ => false,
        }
    }

    /// The text of a number, or of a string that is a number as a whole: many APIs quote their numbers.
    pub(super) fn numeric(&self) -> Option<&str> {
        match self {
            Self::Number(token) => Some(token),
            Self::String(text) if number::is_number(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::String(_) | Self::Nested(_) => None,
        }
    }

    /// `expected a date such as 2024-01-31, found string "31.01.2024"`.
    pub(super) fn unlike(&self, expected: &str) -> FieldError {
        let found = match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => format!("boolean {value}"),
            Self::Number(token) => format!("number {}", excerpt(token)),
            Self::String(text) => format!("string \"{}\"", excerpt(text)),
            Self::Nested(json) => format!("{} {}", json.kind(), excerpt(&json.to_string())),
        };
        FieldError::new(format!("expected {expected}, found {found}"))
    }
}
