//! Owns: the canonical value of a field, its plain column form and its canonical JSON form.
//!
//! Must not know: where a value came from or how a remote system writes it (that is `codec`).

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use super::{FieldError, FieldType, Json};

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
        todo!()
    }

    /// The column form that the plain table stores.
    pub fn to_column(&self) -> Column {
        todo!()
    }

    /// Reads a column back under its declared type. What another program wrote is accepted in any form that has
    /// exactly one meaning (an integer in a decimal column, `true` in a boolean one); else the error names the column text.
    pub fn from_column(ty: &FieldType, column: &Column) -> Result<Self, FieldError> {
        let _ = (ty, column);
        todo!()
    }

    /// Canonical JSON: what plans, history and explanations store and print. Decimals, dates and datetimes are strings.
    pub fn to_json(&self) -> Json {
        todo!()
    }

    /// The inverse of [`Value::to_json`] under the field's type.
    pub fn from_json(ty: &FieldType, json: &Json) -> Result<Self, FieldError> {
        let _ = (ty, json);
        todo!()
    }
}

/// For people: text without quotes, `∅` for null, sets as `{a, b}`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}
