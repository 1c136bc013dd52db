//! Owns: the canonical value of a field, its plain column form and its canonical JSON form.
//!
//! Must not know: where a value came from or how a remote system writes it (that is `codec`).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use super::token::Token;
use super::{FieldError, FieldType, Json, plain, time};

/// The local id of a record: the primary key of its row. Never changes, never reused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RecordId(pub String);

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One field's value in canonical form. `Null` is a known "no value"; a field that was not seen at all is
/// [`super::Slot::Absent`], and `Text("")` is neither.
///
/// Equality and order are total: reals compare by `total_cmp` (NaN is refused when decoding, -0 becomes 0).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Known to have no value.
    Null,
    /// Text, as normalised by the field's declaration only for comparison (see [`super::Domain::same`]).
    Text(String),
    /// A whole number; beyond 64 bits the record is refused, never rounded.
    Integer(i64),
    /// A binary floating point number.
    Real(Real),
    /// An exact decimal, at the declared scale.
    Decimal(Decimal),
    /// True or false.
    Boolean(bool),
    /// A calendar date without a time.
    Date(NaiveDate),
    /// An instant, in UTC, to the microsecond.
    Datetime(DateTime<Utc>),
    /// Any JSON, numbers exact.
    Json(Json),
    /// An unordered set of texts.
    Set(BTreeSet<String>),
    /// An ordered list of JSON items.
    List(Vec<Json>),
    /// A reference to another record: its local id (in hub form) or its remote id (as an upstream says it).
    Ref(String),
}

/// A finite f64 with total equality and order; never NaN, never -0.
#[derive(Clone, Copy, Debug)]
pub struct Real(f64);

/// What a value looks like in a plain table column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// SQL NULL.
    Null,
    /// Any 64-bit integer; booleans are 0 and 1.
    Integer(i64),
    /// A double.
    Real(f64),
    /// Text: decimals, dates, datetimes, json, sets and lists in their canonical text.
    Text(String),
}

impl Real {
    /// `None` for NaN and infinities, which JSON cannot carry.
    pub fn new(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self(if number == 0.0 { 0.0 } else { number }))
    }

    /// The number itself.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Real {}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl std::hash::Hash for Real {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Value {
    /// True for `Null` only; an empty text is a value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// True for null, empty or blank text, an empty set, list, array or object (`prefer_non_empty`, match keys).
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) | Self::Ref(text) => text.trim().is_empty(),
            Self::Set(members) => members.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Json(json) => match json {
                Json::Null => true,
                Json::String(text) => text.trim().is_empty(),
                Json::Array(items) => items.is_empty(),
                Json::Object(members) => members.is_empty(),
                Json::Bool(_) | Json::Number(_) => false,
            },
            Self::Integer(_)
            | Self::Real(_)
            | Self::Decimal(_)
            | Self::Boolean(_)
            | Self::Date(_)
            | Self::Datetime(_) => false,
        }
    }

    /// The column form that the plain table stores.
    pub fn to_column(&self) -> Column {
        match self {
            Self::Null => Column::Null,
            Self::Integer(number) => Column::Integer(*number),
            Self::Boolean(value) => Column::Integer(i64::from(*value)),
            Self::Real(real) => Column::Real(real.get()),
            Self::Text(text) | Self::Ref(text) => Column::Text(text.clone()),
            Self::Decimal(decimal) => Column::Text(decimal.to_string()),
            Self::Date(date) => Column::Text(time::format_date(*date)),
            Self::Datetime(at) => Column::Text(time::format_datetime(*at)),
            Self::Json(_) | Self::Set(_) | Self::List(_) => Column::Text(self.to_json().to_string()),
        }
    }

    /// Reads a column back under its declared type. What another program wrote is accepted in any form that has
    /// exactly one meaning (an integer in a decimal column, `true` in a boolean one); else the error names the column text.
    pub fn from_column(ty: &FieldType, column: &Column) -> Result<Self, FieldError> {
        match column {
            Column::Null => Ok(Self::Null),
            Column::Integer(number) => from_integer(ty, *number),
            Column::Real(number) => from_real(ty, *number),
            Column::Text(text) => from_text(ty, text),
        }
    }

    /// Canonical JSON: what plans, history and explanations store and print. Decimals, dates and datetimes are strings.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Text(text) | Self::Ref(text) => Json::String(text.clone()),
            Self::Integer(number) => Json::from(*number),
            Self::Real(real) => Json::Number(plain::real_token(*real)),
            Self::Decimal(decimal) => Json::String(decimal.to_string()),
            Self::Boolean(value) => Json::Bool(*value),
            Self::Date(date) => Json::String(time::format_date(*date)),
            Self::Datetime(at) => Json::String(time::format_datetime(*at)),
            Self::Json(json) => json.canonical(),
            Self::Set(members) => Json::Array(members.iter().cloned().map(Json::String).collect()),
            Self::List(items) => Json::Array(items.iter().map(Json::canonical).collect()),
        }
    }

    /// The inverse of [`Value::to_json`] under the field's type.
    pub fn from_json(ty: &FieldType, json: &Json) -> Result<Self, FieldError> {
        plain::read(ty, Token::from(json))
    }
}

fn from_integer(ty: &FieldType, number: i64) -> Result<Value, FieldError> {
    let digits = number.to_string();
    match (ty, number) {
        (FieldType::Text, _) => Ok(Value::Text(digits)),
        (FieldType::Boolean, 0 | 1) => Ok(Value::Boolean(number == 1)),
        (FieldType::Boolean, _) => Err(Token::Number(digits.into()).unlike("a boolean as 0 or 1")),
        _ => plain::read(ty, Token::Number(digits.into())),
    }
}

fn from_real(ty: &FieldType, number: f64) -> Result<Value, FieldError> {
    let Some(real) = Real::new(number) else {
        return Err(FieldError::new(format!("expected a finite number, found {number}")));
    };
    let token = Token::Number(plain::real_token(real).into());
    match ty {
        FieldType::Boolean => Err(token.unlike("a boolean as 0 or 1")),
        FieldType::Ref { .. } => Err(token.unlike("an id as text")),
        _ => plain::read(ty, token),
    }
}

fn from_text(ty: &FieldType, text: &str) -> Result<Value, FieldError> {
    let token = Token::String(Cow::Borrowed(text));
    match ty {
        FieldType::Boolean => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Value::Boolean(true)),
            "false" | "0" => Ok(Value::Boolean(false)),
            _ => Err(token.unlike("a boolean as true, false, 0 or 1")),
        },
        FieldType::Json | FieldType::Set | FieldType::List { .. } => {
            let json = Json::parse(text.as_bytes())
                .map_err(|error| FieldError::new(format!("{}: {error}", token.unlike("JSON text"))))?;
            plain::read(ty, Token::from(json))
        }
        _ => plain::read(ty, token),
    }
}

/// For people: text without quotes, `∅` for null, sets as `{a, b}`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("∅"),
            Self::Text(text) | Self::Ref(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Real(real) => write!(f, "{}", real.get()),
            Self::Decimal(decimal) => write!(f, "{decimal}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Date(date) => f.write_str(&time::format_date(*date)),
            Self::Datetime(at) => f.write_str(&time::format_datetime(*at)),
            Self::Json(json) => write!(f, "{json}"),
            Self::Set(members) => {
                f.write_str("{")?;
                for (at, member) in members.iter().enumerate() {
                    write!(f, "{}{member}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            Self::List(_) => write!(f, "{}", self.to_json()),
        }
    }
}
