//! Owns: how one upstream writes one field: from a JSON token to a canonical value and back.
//!
//! Must not know: where the token stands in the record (that is `path` and `mapping`).
//!
//! Lens laws, modulo the domain's equality, held by property tests: `read(write(v)) ≈ v`, and `write(read(j))` reads as `j` does.
//! Where a format cannot carry a value whole ([`TimeFormat::UnixMs`] and microseconds, a date-time in a date field),
//! the first law holds for what it can carry.

use std::collections::BTreeMap;

use chrono::NaiveTime;

use super::number::{Exact, Units};
use super::slot::excerpt;
use super::token::Token;
use super::{Column, Domain, FieldError, FieldType, Json, TimeFormat, Value, plain};

/// How many of the known tokens or values a message lists.
const LISTED_MAX: usize = 8;

/// A field's codec at one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// The plain form of the field's type: text as string, integer as number, decimal as string or number, date as
    /// `YYYY-MM-DD`, datetime as RFC 3339, set as array, boolean as boolean, json as it is, ref as string or number.
    /// Numbers are read from strings as well, where the whole string is a number.
    Plain {
        /// Numbers, and ids that are whole numbers, are written as strings; else as JSON numbers.
        as_string: bool,
    },
    /// Hub text ↔ remote token, both ways unique. For a set each member is translated; for other types the hub text
    /// is the value's column form (`true`, `12`).
    Enum(BTreeMap<String, Json>),
    /// A decimal as a whole number of its smallest unit (scale 2: cents).
    Cents,
    /// A datetime or date in this format.
    Time(TimeFormat),
    /// A set (or list of texts) as one text with a separator.
    Split(String),
    /// A boolean as one of two texts.
    BoolText {
        /// The token for true, e.g. `yes`.
        yes: String,
        /// The token for false.
        no: String,
    },
}

impl Codec {
    /// Reads a value that stands alone, as [`super::Mapper::read`] does in a record.
    pub fn read(&self, domain: &Domain, json: &Json) -> Result<Value, FieldError> {
        self.read_token(domain, Token::from(json))
    }

    /// Reads a token. JSON `null` is `Value::Null` under every codec. A value outside the domain's `one_of` is refused.
    pub(super) fn read_token(&self, domain: &Domain, token: Token<'_>) -> Result<Value, FieldError> {
        if matches!(token, Token::Null) {
            return Ok(Value::Null);
        }
        let value = match self {
            Self::Plain { .. } => plain::read(&domain.ty, token),
            Self::Enum(entries) => read_enum(domain, entries, &token),
            Self::Cents => read_cents(domain, &token),
            Self::Time(format) => read_time(domain, *format, &token),
            Self::Split(separator) => read_split(domain, separator, &token),
            Self::BoolText { yes, no } => match &token {
                Token::String(text) if text == yes => Ok(Value::Boolean(true)),
                Token::String(text) if text == no => Ok(Value::Boolean(false)),
                _ => Err(token.unlike(&format!("\"{yes}\" or \"{no}\""))),
            },
        }?;
        match &domain.one_of {
            Some(list) if !domain.admits(&value) && !domain.admits(&domain.canonical(&value)) => Err(FieldError::new(
                format!("expected one of {}, found \"{}\"", listed(list.iter().cloned()), excerpt(&value.to_string())),
            )),
            _ => Ok(value),
        }
    }

    /// Writes a value. An error names what the upstream cannot express (an unmapped enum value).
    pub fn write(&self, domain: &Domain, value: &Value) -> Result<Json, FieldError> {
        if value.is_null() {
            return Ok(Json::Null);
        }
        if !plain::fits(&domain.ty, value) {
            return Err(cannot(self, domain, value));
        }
        match (self, value) {
            (Self::Plain { as_string }, value) => Ok(plain::write(value, *as_string)),
            (Self::Enum(entries), Value::Set(members)) => members
                .iter()
                .map(|member| write_enum(&Domain::of(FieldType::Text), entries, &Value::Text(member.clone())))
                .collect::<Result<_, _>>()
                .map(Json::Array),
            (Self::Enum(entries), value) => write_enum(domain, entries, value),
            (Self::Cents, Value::Decimal(decimal)) => {
                let FieldType::Decimal { scale } = domain.ty else { return Err(cannot(self, domain, value)) };
                plain::at_scale(*decimal, scale)
                    .map(|decimal| Json::Number(decimal.mantissa().to_string()))
                    .ok_or_else(|| FieldError::new(format!("{decimal} has more than {scale} digits after the point")))
            }
            (Self::Time(format), Value::Datetime(at)) => Ok(format.write(*at)),
            (Self::Time(format), Value::Date(date)) => Ok(format.write(date.and_time(NaiveTime::MIN).and_utc())),
            (Self::Split(separator), Value::Set(members)) => {
                write_split(separator, members.iter().map(|m| Some(m.as_str())))
            }
            (Self::Split(separator), Value::List(items)) => write_split(separator, items.iter().map(Json::as_str)),
            (Self::BoolText { yes, no }, Value::Boolean(value)) => {
                Ok(Json::String(if *value { yes } else { no }.clone()))
            }
            (Self::Cents | Self::Time(_) | Self::Split(_) | Self::BoolText { .. }, _) => {
                Err(cannot(self, domain, value))
            }
        }
    }

    /// What the codec is for, in messages.
    fn purpose(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "plain JSON",
            Self::Enum(_) => "values of the enum",
            Self::Cents => "decimals as a whole number of units",
            Self::Time(_) => "dates and date-times",
            Self::Split(_) => "sets and lists of texts as one text",
            Self::BoolText { .. } => "booleans as texts",
        }
    }
}

fn cannot(codec: &Codec, domain: &Domain, value: &Value) -> FieldError {
    let shown = excerpt(&value.to_string());
    FieldError::new(format!("cannot write {shown} of a {} field as {}", domain.ty.name(), codec.purpose()))
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.take(LISTED_MAX + 1).map(|name| format!("\"{}\"", excerpt(&name))).collect();
    if names.len() > LISTED_MAX {
        names.truncate(LISTED_MAX);
        names.push("…".to_owned());
    }
    names.join(", ")
}

fn read_enum(domain: &Domain, entries: &BTreeMap<String, Json>, token: &Token<'_>) -> Result<Value, FieldError> {
    if let (FieldType::Set, Token::Nested(json)) = (&domain.ty, token)
        && let Json::Array(items) = &**json
    {
        let members = items.iter().map(|item| enum_key(entries, &Token::from(item)).cloned());
        return members.collect::<Result<_, _>>().map(Value::Set);
    }
    let key = enum_key(entries, token)?;
    Value::from_column(&domain.ty, &Column::Text(key.clone()))
}

fn enum_key<'e>(entries: &'e BTreeMap<String, Json>, token: &Token<'_>) -> Result<&'e String, FieldError> {
    let entry = entries.iter().find(|(_, remote)| token.is(remote));
    entry.map(|(key, _)| key).ok_or_else(|| {
        let known = entries.values().map(|remote| remote.as_str().map_or_else(|| remote.to_string(), str::to_owned));
        token.unlike(&format!("a mapped value ({})", listed(known)))
    })
}

fn write_enum(domain: &Domain, entries: &BTreeMap<String, Json>, value: &Value) -> Result<Json, FieldError> {
    let exact = match value {
        Value::Text(text) => entries.get(text),
        _ => None,
    };
    let means = |key: &str| {
        Value::from_column(&domain.ty, &Column::Text(key.to_owned())).is_ok_and(|meant| domain.same(&meant, value))
    };
    exact.or_else(|| entries.iter().find(|(key, _)| means(key)).map(|(_, remote)| remote)).cloned().ok_or_else(|| {
        let shown = excerpt(&value.to_string());
        FieldError::new(format!("no mapped value for \"{shown}\"; mapped are {}", listed(entries.keys().cloned())))
    })
}

fn read_cents(domain: &Domain, token: &Token<'_>) -> Result<Value, FieldError> {
    let FieldType::Decimal { scale } = domain.ty else {
        return Err(FieldError::new(format!("the codec cents is for decimal fields, not for {}", domain.ty.name())));
    };
    match token.numeric().and_then(Exact::parse).map(|exact| exact.units(0)) {
        Some(Units::Exact(units)) => plain::decimal_of_units(units, scale)
            .map(Value::Decimal)
            .ok_or_else(|| token.unlike("a whole number of at most 28 digits")),
        Some(Units::Cut(_) | Units::TooLarge) | None => Err(token.unlike("a whole number of the smallest unit")),
    }
}

fn read_time(domain: &Domain, format: TimeFormat, token: &Token<'_>) -> Result<Value, FieldError> {
    let at = format.read_token(token)?;
    match domain.ty {
        FieldType::Datetime => Ok(Value::Datetime(at)),
        FieldType::Date => Ok(Value::Date(at.date_naive())),
        _ => {
            Err(FieldError::new(format!("a time codec is for date and datetime fields, not for {}", domain.ty.name())))
        }
    }
}

/// Members are trimmed and empty ones dropped: `a; b;` are two.
fn read_split(domain: &Domain, separator: &str, token: &Token<'_>) -> Result<Value, FieldError> {
    let Token::String(text) = token else {
        return Err(token.unlike(&format!("one text separated by \"{separator}\"")));
    };
    let members = text.split(separator).map(str::trim).filter(|member| !member.is_empty()).map(str::to_owned);
    match domain.ty {
        FieldType::Set => Ok(Value::Set(members.collect())),
        FieldType::List { .. } => Ok(Value::List(members.map(Json::String).collect())),
        _ => Err(FieldError::new(format!("the codec split is for set and list fields, not for {}", domain.ty.name()))),
    }
}

/// Refuses what would not come back as the same members.
fn write_split<'m>(separator: &str, members: impl Iterator<Item = Option<&'m str>>) -> Result<Json, FieldError> {
    let members: Vec<&str> = members
        .collect::<Option<_>>()
        .ok_or_else(|| FieldError::new("only texts can be joined into one text; this list has other items"))?;
    let joined = members.join(separator);
    let back = joined.split(separator).map(str::trim);
    if members.is_empty() || back.eq(members.iter().copied()) && !members.contains(&"") {
        return Ok(Json::String(joined));
    }
    let broken = |member: &&&str| member.is_empty() || member.trim() != **member || member.contains(separator);
    let member = members.iter().find(broken).copied().unwrap_or(&joined);
    let shown = excerpt(member);
    Err(FieldError::new(format!(
        "\"{shown}\" is empty, has blanks around it or collides with the separator \"{separator}\""
    )))
}
