//! Owns: the type of a field, by all values that were seen of it.
//!
//! Must not know: where they stood, beyond the name.

use super::names::{is_time, is_unordered};
use super::text::count;
use crate::record::{Codec, Domain, FieldType, Json, TimeFormat};

/// Numbers with more digits after the point are no amounts.
const SCALE_MAX: usize = 4;
/// Seconds since 1970 of the years 2000 to 2100.
const EPOCH_S: std::ops::Range<i64> = 946_684_800..4_102_444_800;

/// A type, as rules write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The word.
    pub word: &'static str,
    /// Digits after the point, of decimals.
    pub scale: Option<u32>,
    /// How it is written there, where not plainly.
    pub codec: Option<&'static str>,
    /// Why, where that is a guess.
    pub guess: Option<String>,
}

impl Kind {
    /// A type that is plain to see.
    pub fn plain(word: &'static str) -> Self {
        Self { word, scale: None, codec: None, guess: None }
    }

    /// The same, as a guess.
    pub fn because(self, why: impl Into<String>) -> Self {
        Self { guess: Some(why.into()), ..self }
    }

    fn with_codec(self, codec: &'static str) -> Self {
        Self { codec: Some(codec), ..self }
    }

    fn decimal(scale: usize) -> Self {
        Self { scale: u32::try_from(scale).ok(), ..Self::plain("decimal") }
    }
}

/// The type of a member of this squeezed name that held these values; none of them is null.
pub fn kind_of(name: &str, values: &[&Json]) -> Kind {
    let mut kinds: Vec<&str> = values.iter().map(|value| value.kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    match kinds.as_slice() {
        [] => Kind::plain("json").because("it is null in every record, so that its type does not show"),
        ["boolean"] => Kind::plain("boolean"),
        ["number"] => number(name, values),
        ["string"] => text(values),
        ["array"] => list(name, values),
        ["object"] => Kind::plain("json"),
        several => Kind::plain("json").because(format!("there are values of several kinds: {}", several.join(", "))),
    }
}

fn number(name: &str, values: &[&Json]) -> Kind {
    let tokens: Vec<&str> = values.iter().filter_map(|value| token(value)).collect();
    let whole: Option<Vec<i64>> = tokens.iter().map(|token| token.parse().ok()).collect();
    if let Some(whole) = whole {
        let within = |unit: i64| whole.iter().all(|number| EPOCH_S.contains(&(number / unit)));
        return match (within(1), within(1000)) {
            (true, _) if is_time(name) => {
                Kind::plain("datetime").with_codec("unix_s").because("numbers like seconds since 1970")
            }
            (_, true) if is_time(name) => {
                Kind::plain("datetime").with_codec("unix_ms").because("numbers like milliseconds since 1970")
            }
            _ => Kind::plain("integer"),
        };
    }
    let scale =
        tokens.iter().map(|token| digits_after_point(token)).try_fold(0, |most, digits| Some(most.max(digits?)));
    let reads = |ty: FieldType| reads_all(&Domain::of(ty), &Codec::Plain { as_string: false }, values);
    match scale.filter(|scale| (1..=SCALE_MAX).contains(scale)) {
        Some(scale) if reads(decimal(scale)) => Kind::decimal(scale)
            .because(format!("at most {} after the point, as far as was seen", count(scale, "digit"))),
        _ if reads(FieldType::Real) => Kind::plain("real").because("numbers that are no amounts by their digits"),
        _ => Kind::plain("json").because("numbers that are too large for others"),
    }
}

fn text(values: &[&Json]) -> Kind {
    let plain = Codec::Plain { as_string: false };
    let reads = |ty: FieldType, codec: &Codec| reads_all(&Domain::of(ty), codec, values);
    let texts = || values.iter().filter_map(|value| value.as_str());
    if texts().all(|text| text.len() == 10) && reads(FieldType::Date, &plain) {
        return Kind::plain("date");
    }
    if texts().all(|text| text.len() > 10) && reads(FieldType::Datetime, &plain) {
        return Kind::plain("datetime");
    }
    if reads(FieldType::Datetime, &Codec::Time(TimeFormat::HttpDate)) {
        return Kind::plain("datetime").with_codec("http_date");
    }
    let scale = texts().map(digits_after_point).try_fold(0, |most, digits| Some(most.max(digits.filter(|n| *n > 0)?)));
    match scale.filter(|scale| *scale <= SCALE_MAX) {
        Some(scale) if reads(decimal(scale), &Codec::Plain { as_string: true }) => Kind::decimal(scale)
            .with_codec("string")
            .because(format!("texts that are numbers, with at most {} after the point", count(scale, "digit"))),
        _ => Kind::plain("text"),
    }
}

fn list(name: &str, values: &[&Json]) -> Kind {
    let items = || values.iter().filter_map(|value| if let Json::Array(items) = value { Some(items) } else { None });
    if !items().flatten().all(|item| item.as_str().is_some()) {
        return Kind::plain("json");
    }
    let repeats = |items: &Vec<Json>| items.iter().enumerate().any(|(at, item)| items[..at].contains(item));
    if is_unordered(name) && !items().any(repeats) {
        return Kind::plain("set").because("by its name the order of its texts means nothing");
    }
    Kind::plain("list")
}

fn decimal(scale: usize) -> FieldType {
    FieldType::Decimal { scale: u32::try_from(scale).unwrap_or(0) }
}

fn reads_all(domain: &Domain, codec: &Codec, values: &[&Json]) -> bool {
    values.iter().all(|value| codec.read(domain, value).is_ok())
}

fn token(value: &Json) -> Option<&str> {
    if let Json::Number(token) = value { Some(token) } else { None }
}

/// Of a plain number such as `-12.50`; `None` where it is none, or has an exponent.
fn digits_after_point(token: &str) -> Option<usize> {
    let digits = token.strip_prefix('-').unwrap_or(token);
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!whole.is_empty() && all_digits(whole) && all_digits(rest)).then_some(rest.len())
}
