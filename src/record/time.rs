//! Owns: the written forms of instants and dates: at upstreams, in columns and in canonical JSON.
//!
//! Must not know: the current time.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Utc};

use super::number::{Exact, Units};
use super::token::Token;
use super::{FieldError, Json};

/// How an upstream writes an instant (`updated_at.format`, the codecs `unix_s` and `unix_ms`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339 with any offset; also accepted without an offset as UTC.
    Rfc3339,
    /// Seconds since the epoch, whole or fractional, number or numeric string.
    UnixS,
    /// Whole milliseconds since the epoch, both ways: what is finer is cut off.
    UnixMs,
    /// An HTTP date (RFC 9110 §5.6.7). Written to the second.
    HttpDate,
}

impl TimeFormat {
    /// Reads an instant; microsecond precision, what is finer is cut off.
    pub(super) fn read_token(self, token: &Token<'_>) -> Result<DateTime<Utc>, FieldError> {
        let at = match (self, token) {
            (Self::Rfc3339, Token::String(text)) => parse_datetime(text),
            (Self::HttpDate, Token::String(text)) => parse_http_date(text),
            (Self::UnixS, _) => token.numeric().and_then(|text| instant_of(text, 6, 1)),
            (Self::UnixMs, _) => token.numeric().and_then(|text| instant_of(text, 0, 1000)),
            (Self::Rfc3339 | Self::HttpDate, _) => None,
        };
        at.ok_or_else(|| {
            token.unlike(match self {
                Self::Rfc3339 => "a date-time such as 2024-01-31T09:30:00Z",
                Self::UnixS => "seconds since 1970 such as 1706693400",
                Self::UnixMs => "milliseconds since 1970 such as 1706693400000",
                Self::HttpDate => "an HTTP date such as Wed, 31 Jan 2024 09:30:00 GMT",
            })
        })
    }

    /// The smallest step between two instants that is taken for granted where an upstream is asked in this format, in microseconds:
    /// seconds may come with a fraction and still be asked for as whole numbers only.
    pub fn step_micros(self) -> i64 {
        match self {
            Self::Rfc3339 => 1,
            Self::UnixS | Self::HttpDate => 1_000_000,
            Self::UnixMs => 1000,
        }
    }

    /// Writes an instant as this format does.
    pub fn write(self, at: DateTime<Utc>) -> Json {
        match self {
            Self::Rfc3339 => Json::String(format_datetime(at)),
            Self::UnixS => {
                let micros = at.timestamp_micros();
                let (seconds, rest) = (micros / 1_000_000, (micros % 1_000_000).abs());
                let sign = if micros < 0 { "-" } else { "" };
                Json::Number(if rest == 0 {
                    seconds.to_string()
                } else {
                    let fraction = format!("{rest:06}");
                    format!("{sign}{}.{}", seconds.abs(), fraction.trim_end_matches('0'))
                })
            }
            Self::UnixMs => Json::Number(at.timestamp_millis().to_string()),
            Self::HttpDate => Json::String(at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        }
    }
}

/// The instant with whole microseconds; a leap second becomes the second after it.
pub(super) fn to_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// `2024-01-31T09:30:00Z`, with three or six digits of a second where there are any.
pub(super) fn format_datetime(at: DateTime<Utc>) -> String {
    to_micros(at).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// `2024-01-31`.
pub(super) fn format_date(date: NaiveDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

/// `YYYY-MM-DD` and nothing else.
pub(super) fn parse_date(text: &str) -> Option<NaiveDate> {
    let (date, rest) = split_date(text.as_bytes())?;
    rest.is_empty().then_some(date)
}

/// RFC 3339, and what is commonly written in its place: a blank for the `T`, offsets as `+0000` or `+00`, no seconds;
/// no offset at all means UTC.
pub(super) fn parse_datetime(text: &str) -> Option<DateTime<Utc>> {
    let (date, rest) = split_date(text.as_bytes())?;
    let [b'T' | b't' | b' ', rest @ ..] = rest else { return None };
    let (hour, rest) = two_digits(rest)?;
    let (minute, rest) = two_digits(rest.strip_prefix(b":")?)?;
    let (second, rest) = match rest {
        [b':', rest @ ..] => two_digits(rest)?,
        _ => (0, rest),
    };
    let (micros, rest) = split_fraction(rest)?;
    let offset_minutes = parse_offset(rest)?;
    // Second 60 is a leap second; it is read as the second after it.
    let (second, leap) = if second == 60 { (59, 1) } else { (second, 0) };
    let local = date.and_hms_micro_opt(hour, minute, second, micros)?;
    let at = local.checked_add_signed(TimeDelta::seconds(leap - offset_minutes * 60))?.and_utc();
    (0..=9999).contains(&at.year()).then_some(at)
}

fn split_date(text: &[u8]) -> Option<(NaiveDate, &[u8])> {
    let (century, rest) = two_digits(text)?;
    let (year, rest) = two_digits(rest)?;
    let (month, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let (day, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let year = i32::try_from(century * 100 + year).ok()?;
    Some((NaiveDate::from_ymd_opt(year, month, day)?, rest))
}

fn two_digits(text: &[u8]) -> Option<(u32, &[u8])> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => {
            Some((u32::from(tens - b'0') * 10 + u32::from(ones - b'0'), rest))
        }
        _ => None,
    }
}

fn split_fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let [b'.' | b',', digits @ ..] = text else { return Some((0, text)) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let padded = digits.iter().take(length).chain(std::iter::repeat(&b'0')).take(6);
    let micros = padded.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    (length > 0).then_some((micros, digits.get(length..)?))
}

fn parse_offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = two_digits(rest)?;
    let (minutes, rest) = match rest {
        [] => (0, rest),
        [b':', rest @ ..] => two_digits(rest)?,
        _ => two_digits(rest)?,
    };
    let valid = rest.is_empty() && hours < 24 && minutes < 60;
    valid.then_some(sign * i64::from(hours * 60 + minutes))
}

/// `number × 10^scale × factor` as microseconds since the epoch, within the years 0 to 9999.
fn instant_of(number: &str, scale: u32, factor: i64) -> Option<DateTime<Utc>> {
    let (Units::Exact(count) | Units::Cut(count)) = Exact::parse(number)?.units(scale) else { return None };
    let micros = i64::try_from(count).ok()?.checked_mul(factor)?;
    let at = DateTime::from_timestamp_micros(micros)?;
    (0..=9999).contains(&at.year()).then_some(at)
}

/// The three forms that RFC 9110 §5.6.7 asks recipients to accept.
fn parse_http_date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let obsolete = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|local| local.and_utc());
    DateTime::parse_from_rfc2822(text)
        .ok()
        .map(|at| at.to_utc())
        .or_else(|| obsolete("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|| obsolete("%a %b %e %H:%M:%S %Y"))
        .map(to_micros)
        .filter(|at| (0..=9999).contains(&at.year()))
}
