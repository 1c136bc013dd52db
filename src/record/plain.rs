//! Owns: the plain JSON form of each field type: what is accepted on reading, what is written.
//!
//! Must not know: codecs other than the plain one, normalisation, columns.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::number::{Exact, Units};
use super::token::Token;
use super::{FieldError, FieldType, IdSpelling, Json, Real, Value, number, time};

/// Reads a token as a value of this type. `null` is a known "no value" of every type.
pub(super) fn read(ty: &FieldType, token: Token<'_>) -> Result<Value, FieldError> {
    if matches!(token, Token::Null) {
        return Ok(Value::Null);
    }
    match ty {
        FieldType::Text => match token {
            Token::String(text) => Ok(Value::Text(text.into_owned())),
            other => Err(other.unlike("a string")),
        },
        FieldType::Integer => read_integer(&token).map(Value::Integer),
        FieldType::Real => read_real(&token).map(Value::Real),
        FieldType::Decimal { scale } => read_decimal(&token, *scale).map(Value::Decimal),
        FieldType::Boolean => match token {
            Token::Bool(value) => Ok(Value::Boolean(value)),
            other => Err(other.unlike("true or false")),
        },
        FieldType::Date => read_date(&token).map(Value::Date),
        FieldType::Datetime => match &token {
            Token::String(text) => time::parse_datetime(text).map(Value::Datetime),
            _ => None,
        }
        .ok_or_else(|| token.unlike("a date-time such as 2024-01-31T09:30:00Z")),
        FieldType::Json => Ok(Value::Json(token.into_json())),
        FieldType::Set => read_set(token).map(Value::Set),
        FieldType::List { .. } => match token {
            Token::Nested(json) if matches!(*json, Json::Array(_)) => match json.into_owned() {
                Json::Array(items) => Ok(Value::List(items)),
                other => Err(Token::from(&other).unlike("an array")),
            },
            other => Err(other.unlike("an array")),
        },
        FieldType::Ref { .. } => match id_text(&token) {
            Some(id) => Ok(Value::Ref(id)),
            None => Err(token.unlike("an id, as a string or a number")),
        },
    }
}

/// An id or a version: a string, or a number in its canonical form (`7.0` and `7` are the same id). Not the empty string.
pub(super) fn id_text(token: &Token<'_>) -> Option<String> {
    match token {
        Token::String(text) if !text.is_empty() => Some(text.clone().into_owned()),
        Token::Number(token) => Some(number::canonical(token).into_owned()),
        Token::Null | Token::Bool(_) | Token::String(_) | Token::Nested(_) => None,
    }
}

fn read_integer(token: &Token<'_>) -> Result<i64, FieldError> {
    const EXPECTED: &str = "a whole number";
    let text = token.numeric().ok_or_else(|| token.unlike(EXPECTED))?;
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match Exact::parse(text).map(|exact| exact.units(0)) {
        Some(Units::Exact(units)) => {
            i64::try_from(units).ok().ok_or_else(|| token.unlike("a whole number of at most 64 bits"))
        }
        Some(Units::TooLarge) => Err(token.unlike("a whole number of at most 64 bits")),
        Some(Units::Cut(_)) | None => Err(token.unlike(EXPECTED)),
    }
}

fn read_real(token: &Token<'_>) -> Result<Real, FieldError> {
    let text = token.numeric().ok_or_else(|| token.unlike("a number"))?;
    let number = text.parse().ok().and_then(Real::new);
    number.ok_or_else(|| token.unlike("a number within the range of a double"))
}

fn read_decimal(token: &Token<'_>, scale: u32) -> Result<Decimal, FieldError> {
    let text = token.numeric().ok_or_else(|| token.unlike("a decimal number"))?;
    match Exact::parse(text).map(|exact| exact.units(scale)) {
        Some(Units::Exact(units)) => {
            decimal_of_units(units, scale).ok_or_else(|| token.unlike("a decimal of at most 28 digits"))
        }
        Some(Units::Cut(_)) => {
            Err(token.unlike(&format!("at most {scale} digits after the point (they are never rounded)")))
        }
        Some(Units::TooLarge) | None => Err(token.unlike("a decimal of at most 28 digits")),
    }
}

/// `None` beyond 96 bits.
pub(super) fn decimal_of_units(units: i128, scale: u32) -> Option<Decimal> {
    Decimal::try_from_i128_with_scale(units, scale).ok()
}

/// The same decimal with exactly `scale` digits after the point; `None` where that would lose digits or overflow.
pub(super) fn at_scale(decimal: Decimal, scale: u32) -> Option<Decimal> {
    if decimal.scale() == scale {
        return Some(decimal);
    }
    let mut decimal = decimal.normalize();
    if decimal.scale() > scale {
        return None;
    }
    decimal.rescale(scale);
    (decimal.scale() == scale).then_some(decimal)
}

fn read_date(token: &Token<'_>) -> Result<NaiveDate, FieldError> {
    match token {
        Token::String(text) => time::parse_date(text),
        _ => None,
    }
    .ok_or_else(|| token.unlike("a date such as 2024-01-31"))
}

fn read_set(token: Token<'_>) -> Result<BTreeSet<String>, FieldError> {
    const EXPECTED: &str = "an array of strings";
    match token {
        Token::Nested(Cow::Owned(Json::Array(items))) => items.into_iter().map(set_member).collect(),
        Token::Nested(Cow::Borrowed(Json::Array(items))) => items.iter().cloned().map(set_member).collect(),
        other => Err(other.unlike(EXPECTED)),
    }
}

fn set_member(item: Json) -> Result<String, FieldError> {
    match item {
        Json::String(text) => Ok(text),
        other => Err(Token::from(&other).unlike("an array of strings; this member is none")),
    }
}

/// Writes a value in its plain form. `as_string` puts numbers and numeric ids into strings.
pub(super) fn write(value: &Value, as_string: bool) -> Json {
    let numeric = |token: String| if as_string { Json::String(token) } else { Json::Number(token) };
    match value {
        Value::Integer(number) => numeric(number.to_string()),
        Value::Real(real) => numeric(real_token(*real)),
        Value::Decimal(decimal) => numeric(decimal.to_string()),
        Value::Ref(id) if !as_string => IdSpelling::Number.write(id),
        Value::Json(json) => json.clone(),
        Value::List(items) => Json::Array(items.clone()),
        Value::Null
        | Value::Text(_)
        | Value::Boolean(_)
        | Value::Date(_)
        | Value::Datetime(_)
        | Value::Set(_)
        | Value::Ref(_) => value.to_json(),
    }
}

/// The shortest text that reads back as the same double; a valid JSON number.
pub(super) fn real_token(real: Real) -> String {
    format!("{:?}", real.get())
}

/// True where a value of this kind belongs to the type.
pub(super) fn fits(ty: &FieldType, value: &Value) -> bool {
    matches!(
        (ty, value),
        (_, Value::Null)
            | (FieldType::Text, Value::Text(_))
            | (FieldType::Integer, Value::Integer(_))
            | (FieldType::Real, Value::Real(_))
            | (FieldType::Decimal { .. }, Value::Decimal(_))
            | (FieldType::Boolean, Value::Boolean(_))
            | (FieldType::Date, Value::Date(_))
            | (FieldType::Datetime, Value::Datetime(_))
            | (FieldType::Json, Value::Json(_))
            | (FieldType::Set, Value::Set(_))
            | (FieldType::List { .. }, Value::List(_))
            | (FieldType::Ref { .. }, Value::Ref(_))
    )
}
