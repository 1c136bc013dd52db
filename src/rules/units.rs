//! Owns: the scalars of rules: texts, whole numbers, durations, sizes, shares, as people write them.
//!
//! Must not know: which key wants which scalar.

use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::diagnostic::{DiagnosticKind, Notes};
use super::model::Limit;
use super::shape::{Node, Shape};

/// Any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

/// A jq filter or a plain path, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jq(pub String);

/// A duration such as `"5m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

/// A number of bytes such as `"3MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// An amount of US dollars, in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usd(pub u64);

/// A share above 0, at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(pub f64);

/// A JSON scalar as an upstream writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A text.
    Text(String),
    /// A number, as written.
    Number(String),
    /// True or false.
    Boolean(bool),
}

/// Billionths in one.
const NANO: u64 = 1_000_000_000;

const DURATION_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads `500ms`, `2s`, `5m`, `1h`, `7d`, `1w`, and runs of them such as `1h30m`; at most ten years.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total_ms: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = rest[..end].trim();
        let (_, factor_ms) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
        total_ms = total_ms.checked_add(number.checked_mul(*factor_ms)?)?;
        rest = rest[end..].trim_start();
    }
    (total_ms <= 3_650 * 86_400_000).then(|| Duration::from_millis(total_ms))
}

/// Reads `3MB`, `512KiB`, `100B`.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim();
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// Reads `5%` or `0.5%` as a share of 1.
pub fn parse_share(text: &str) -> Option<f64> {
    let number: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number / 100.0)
}

/// Reads `0.0001` or `12` as billionths of a dollar; nothing finer, nothing negative, at most a billion dollars.
pub fn parse_usd(text: &str) -> Option<u64> {
    let plain = text.trim_start_matches('+').replace('_', "");
    let exact = if plain.contains(['e', 'E']) {
        Decimal::from_scientific(&plain).ok()?
    } else {
        Decimal::from_str_exact(&plain).ok()?
    };
    let nano = exact.checked_mul(Decimal::from(NANO))?;
    // A billion dollars.
    let most = Decimal::from(NANO * NANO);
    (nano.is_integer() && !nano.is_sign_negative() && nano <= most).then(|| nano.to_u64()).flatten()
}

fn text_of<'a>(node: Node<'a>, wanted: &str, notes: &mut Notes<'_>) -> Option<&'a str> {
    let text = node.value.as_str();
    if text.is_none() {
        node.wrong(wanted, notes);
    }
    text
}

/// A whole number that TOML holds.
fn integer_of(node: &Node<'_>) -> Option<u64> {
    let DeValue::Integer(number) = node.value else { return None };
    u64::from_str_radix(number.as_str().trim_start_matches('+'), number.radix()).ok()
}

/// A scalar schema, shown in place.
macro_rules! scalar_schema {
    ($name:ty, $title:literal, $schema:tt) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $title.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

scalar_schema!(Text, "Text", { "type": "string" });
scalar_schema!(Jq, "Jq", { "type": "string", "minLength": 1 });
scalar_schema!(Period, "Duration", { "type": "string", "pattern": "^( *[0-9]+ *(ms|s|m|h|d|w))+ *$" });
scalar_schema!(Size, "Size", { "type": "string", "pattern": "^ *[0-9]+ *(B|kB|KB|MB|GB|KiB|MiB|GiB) *$" });
scalar_schema!(Token, "Token", { "type": ["string", "number", "boolean"] });
scalar_schema!(Usd, "Usd", { "type": "number", "minimum": 0 });
scalar_schema!(Ratio, "Ratio", { "type": "number", "exclusiveMinimum": 0, "maximum": 1 });
scalar_schema!(Limit, "Limit", {
    "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^ *[0-9]+(\\.[0-9]+)? *% *$" }]
});

impl Shape for Text {
    const WANTED: &'static str = "a text";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        text_of(node, Self::WANTED, notes).map(|text| Self(text.to_owned()))
    }
}

impl Shape for Jq {
    const WANTED: &'static str = "a jq path such as \".id\"";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        let text = text_of(node, Self::WANTED, notes)?;
        if text.trim().is_empty() {
            notes.error(DiagnosticKind::Invalid, node.span, "an empty jq filter").help("`.` is the whole document");
            return None;
        }
        Some(Self(text.to_owned()))
    }
}

impl Shape for Period {
    const WANTED: &'static str = "a duration such as \"5m\"";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        let text = text_of(node, Self::WANTED, notes)?;
        let duration = parse_duration(text);
        if duration.is_none() {
            notes
                .error(DiagnosticKind::Invalid, node.span, format!("\"{text}\" is no duration"))
                .help("write a number and a unit: \"500ms\", \"2s\", \"5m\", \"1h\", \"7d\"");
        }
        duration.map(Self)
    }
}

impl Shape for Size {
    const WANTED: &'static str = "a size such as \"3MB\"";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        let text = text_of(node, Self::WANTED, notes)?;
        let size = parse_size(text);
        if size.is_none() {
            notes
                .error(DiagnosticKind::Invalid, node.span, format!("\"{text}\" is no size"))
                .help("write a number and a unit: \"3MB\", \"512KiB\"");
        }
        size.map(Self)
    }
}

/// A number as it is written.
fn number_of<'t>(node: Node<'t>, wanted: &str, notes: &mut Notes<'_>) -> Option<&'t str> {
    match node.value {
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
        DeValue::Float(number) => Some(number.as_str()),
        _ => {
            node.wrong(wanted, notes);
            None
        }
    }
}

impl Shape for Usd {
    const WANTED: &'static str = "an amount of US dollars such as 0.0001";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        let text = number_of(node, Self::WANTED, notes)?;
        let nano = parse_usd(text);
        if nano.is_none() {
            notes
                .error(DiagnosticKind::Invalid, node.span, format!("{text} is no amount of US dollars"))
                .help("write an amount with at most nine places, such as 0.0001");
        }
        nano.map(Self)
    }
}

impl Shape for Ratio {
    const WANTED: &'static str = "a share such as 0.5";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        let text = number_of(node, Self::WANTED, notes)?;
        let ratio = text.replace('_', "").parse().ok().filter(|ratio: &f64| *ratio > 0.0 && *ratio <= 1.0);
        if ratio.is_none() {
            notes
                .error(DiagnosticKind::Invalid, node.span, format!("{text} is no share"))
                .help("write a share above 0, up to 1, such as 0.5");
        }
        ratio.map(Self)
    }
}

impl Shape for Limit {
    const WANTED: &'static str = "a count such as 100 or a share such as \"5%\"";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        if let Some(count) = integer_of(&node) {
            return Some(Self::Count(count));
        }
        let text = text_of(node, Self::WANTED, notes)?;
        let share = parse_share(text);
        if share.is_none() {
            notes
                .error(DiagnosticKind::Invalid, node.span, format!("\"{text}\" is no share"))
                .help("write a share between \"0%\" and \"100%\", or a count without quotes");
        }
        share.map(Self::Share)
    }
}

impl Shape for Token {
    const WANTED: &'static str = "a text, a number, true or false";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        match node.value {
            DeValue::String(text) => Some(Self::Text(text.to_string())),
            DeValue::Integer(number) if number.radix() == 10 => {
                Some(Self::Number(number.as_str().trim_start_matches('+').to_owned()))
            }
            DeValue::Float(number) if number.as_str().parse().is_ok_and(f64::is_finite) => {
                Some(Self::Number(number.as_str().trim_start_matches('+').to_owned()))
            }
            DeValue::Boolean(flag) => Some(Self::Boolean(*flag)),
            _ => {
                node.wrong(Self::WANTED, notes);
                None
            }
        }
    }
}

impl Shape for bool {
    const WANTED: &'static str = "true or false";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        let flag = node.value.as_bool();
        if flag.is_none() {
            node.wrong(Self::WANTED, notes);
        }
        flag
    }
}

impl Shape for u64 {
    const WANTED: &'static str = "a whole number such as 100";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        let number = integer_of(&node);
        if number.is_none() {
            node.wrong(Self::WANTED, notes);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let ms = |text: &str| parse_duration(text).map(|duration| duration.as_millis());
        for (text, expected) in [
            ("500ms", Some(500)),
            ("2s", Some(2_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("1w", Some(604_800_000)),
            ("1h30m", Some(5_400_000)),
            ("1h 30m", Some(5_400_000)),
            (" 5 m ", Some(300_000)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5 minutes", None),
            ("-5m", None),
            ("1.5h", None),
            ("99999999999999999999d", None),
            ("20y", None),
        ] {
            assert_eq!(ms(text), expected, "{text:?}");
        }
    }

    #[test]
    fn dollars_are_read_exactly() {
        for (text, expected) in [
            ("0.0001", Some(100_000)),
            ("12", Some(12_000_000_000)),
            ("1_000.5", Some(1_000_500_000_000)),
            ("1e-4", Some(100_000)),
            ("0", Some(0)),
            ("-1", None),
            ("0.0000000001", None),
            ("nan", None),
            ("inf", None),
            ("1e30", None),
            ("2000000000", None),
        ] {
            assert_eq!(parse_usd(text), expected, "{text:?}");
        }
    }

    #[test]
    fn sizes_and_shares_are_read_as_people_write_them() {
        for (text, expected) in [
            ("3MB", Some(3_000_000)),
            ("512KiB", Some(524_288)),
            ("10 B", Some(10)),
            ("1GiB", Some(1 << 30)),
            ("3", None),
            ("3mb", None),
            ("MB", None),
            ("99999999999999999999GB", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text:?}");
        }
        for (text, expected) in [
            ("5%", Some(0.05)),
            ("100%", Some(1.0)),
            ("0.5 %", Some(0.005)),
            ("101%", None),
            ("-1%", None),
            ("5", None),
            ("NaN%", None),
        ] {
            assert_eq!(parse_share(text), expected, "{text:?}");
        }
    }
}
