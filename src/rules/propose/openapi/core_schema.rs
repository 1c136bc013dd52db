//! Owns: what a scalar of YAML means: the core schema of YAML 1.2.2 (§10.3), in JSON's values.
//!
//! Must not know: where a scalar stands.

use granit_parser::Tag;

use crate::record::Json;

/// The value of a scalar. Numbers become JSON's spelling of them with all their digits; what JSON has no number for
/// (`.inf`, `.nan`) stays a text.
///
/// Errors: a tag beyond the core schema, or one that the text does not fit.
pub fn resolve(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Json, String> {
    let Some(tag) = tag else {
        return Ok(if is_plain { plain(text) } else { Json::String(text.to_owned()) });
    };
    let json = match tag.core_suffix() {
        Some("str") => return Ok(Json::String(text.to_owned())),
        Some("null" | "bool" | "int" | "float") => plain(text),
        _ if tag.parts() == NON_SPECIFIC => return Ok(Json::String(text.to_owned())),
        _ => return Err(refused(tag)),
    };
    let fits = match tag.core_suffix() {
        Some("null") => matches!(json, Json::Null),
        Some("bool") => matches!(json, Json::Bool(_)),
        Some("int") => matches!(&json, Json::Number(token) if !token.contains(['.', 'e', 'E'])),
        _ => matches!(json, Json::Number(_)),
    };
    if fits { Ok(json) } else { Err(format!("`{}` does not fit `{}`", short(&tag.original()), short(text))) }
}

/// Whether an array (`seq`) or object (`map`) may have the tag.
pub fn check_tag(tag: Option<&Tag>, expected: &str) -> Result<(), String> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(expected) && tag.parts() != NON_SPECIFIC => Err(refused(tag)),
        _ => Ok(()),
    }
}

/// A text as messages show it.
pub fn short(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(SHORT_CHARS).collect();
    let start = start.escape_debug();
    if chars.next().is_some() { format!("{start}…") } else { start.to_string() }
}

const SHORT_CHARS: usize = 60;

/// The tag `!`: what has it is no plain scalar.
const NON_SPECIFIC: (&str, &str) = ("", "!");

fn refused(tag: &Tag) -> String {
    let tag = short(&tag.original());
    format!("the tag `{tag}` is not understood here: resolve what it stands for, or take it out")
}

fn plain(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        text => number(text).unwrap_or_else(|| Json::String(text.to_owned())),
    }
}

/// A number in JSON's spelling, whose digits are kept.
fn number(text: &str) -> Option<Json> {
    let radix = |digits: &str, radix: u32| {
        let is_digits = digits.chars().all(|digit| digit.is_digit(radix));
        is_digits.then(|| u128::from_str_radix(digits, radix).ok()).flatten()
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16).map(|number| Json::Number(number.to_string()));
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8).map(|number| Json::Number(number.to_string()));
    }
    let (sign, rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { "-" } else { "" }, rest),
        None => ("", text),
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = rest.split_at(digits(rest));
    let (fraction, exponent) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let is_float = text.contains('.');
    let point = if is_float { "." } else { "" };
    let fraction = if is_float && fraction.is_empty() { "0" } else { fraction };
    let token = format!("{sign}{whole}{point}{fraction}{exponent}");
    // The exponent, and whatever else may follow, is judged by JSON's grammar: YAML's is the same from there on.
    match Json::parse(token.as_bytes()) {
        Ok(json @ Json::Number(_)) => Some(json),
        _ => None,
    }
}
