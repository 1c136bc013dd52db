//! Owns: the one line that tells people why a call failed.
//!
//! Must not know: how failures are classified. Secrets are masked by the caller.

use super::{Built, FailureKind, Response, TransportError, path_below};
use crate::record::Json;
use http::Method;
use std::time::Duration;
use url::Url;

/// The longest quote of an upstream's words, in characters.
pub const QUOTE_CHARS_MAX: usize = 300;
/// Bodies are searched for a message up to this size.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// `PATCH /people/7: 422, name is too long (2 attempts)`.
pub fn describe(base: &Url, request: &Built, status: Option<u16>, why: &str, attempts: u32) -> String {
    let path = path_below(base, &request.url);
    let path = if path.is_empty() { "/" } else { path };
    let status = status.map(|status| format!(" {status}")).unwrap_or_default();
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    let attempts = if attempts > 1 { format!(" ({attempts} attempts)") } else { String::new() };
    format!("{} {path}{status}{why}{attempts}", request.method)
}

/// What the upstream says in an answer that is no success: its message, or the beginning of the body.
pub fn upstream_words(response: &Response) -> String {
    let json = if response.body.len() <= BODY_BYTES_MAX { Json::parse(&response.body).ok() } else { None };
    match json.as_ref().and_then(message) {
        Some(text) => shorten(&text, QUOTE_CHARS_MAX),
        None => shorten(&String::from_utf8_lossy(head(&response.body)), QUOTE_CHARS_MAX),
    }
}

/// What the answer looks like: its content type and how it begins.
pub fn appearance(response: &Response) -> String {
    let kind = response.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or("no content type");
    match response.body.len() {
        0 => format!("{kind}, empty"),
        _ => format!("{kind}, begins `{}`", shorten(&String::from_utf8_lossy(head(&response.body)), 80)),
    }
}

/// So long for people, rounded up: `45 s`, `2 min 30 s`, `2 h`, `1 day 3 h`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let (minutes, hours) = (seconds.div_ceil(60), seconds.div_ceil(3600));
    let days = |days: u64| (days, if days == 1 { "day" } else { "days" });
    match seconds {
        0..120 => parts((seconds, "s"), (0, "")),
        120..3600 => parts((seconds / 60, "min"), (seconds % 60, "s")),
        3600..86_400 => parts((minutes / 60, "h"), (minutes % 60, "min")),
        _ => parts(days(hours / 24), (hours % 24, "h")),
    }
}

fn parts((large, of): (u64, &str), (small, and): (u64, &str)) -> String {
    if small == 0 { format!("{large} {of}") } else { format!("{large} {of} {small} {and}") }
}

/// One line of at most so many characters.
pub fn shorten(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > chars_max * 4 {
            break;
        }
    }
    let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
    match line.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

/// A message where APIs put it: `message`, `detail`, `error_description`, `title`, `error`, the first of `errors`.
pub fn message(json: &Json) -> Option<String> {
    match json {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Array(items) => items.first().and_then(message),
        Json::Object(_) => named_message(json).or_else(|| Some(json.to_string())),
        _ => None,
    }
}

fn named_message(json: &Json) -> Option<String> {
    let names = ["message", "detail", "error_description", "error", "errors", "title", "reason", "msg"];
    names.iter().find_map(|name| json.get(name).and_then(message)).or_else(|| user_error(json))
}

/// What a mutation of GraphQL refuses stands beside its result: `{"data": {"customerUpdate": {"userErrors": […]}}}`.
fn user_error(json: &Json) -> Option<String> {
    let Json::Object(results) = json.get("data")? else { return None };
    results.iter().find_map(|(_, result)| result.get("userErrors").and_then(message))
}

/// Why an answer that has the status of a success is none: what it says itself, else what it looks like.
fn denied(response: &Response) -> String {
    let json = if response.body.len() <= BODY_BYTES_MAX { Json::parse(&response.body).ok() } else { None };
    match json.as_ref().and_then(named_message) {
        Some(text) => shorten(&text, QUOTE_CHARS_MAX),
        None => appearance(response),
    }
}

fn head(body: &[u8]) -> &[u8] {
    body.get(..QUOTE_CHARS_MAX * 4).unwrap_or(body)
}

/// The status of an answer, and why it is not what was wanted.
pub fn reason(kind: FailureKind, request: &Built, outcome: &Result<Response, TransportError>) -> (Option<u16>, String) {
    match outcome {
        Ok(response) if (200..300).contains(&response.status) => (Some(response.status), denied(response)),
        Ok(response) if matches!(kind, FailureKind::Auth | FailureKind::Forbidden) => {
            let said = upstream_words(response);
            let colon = if said.is_empty() { "" } else { ": " };
            let refused = if kind == FailureKind::Auth { "are refused" } else { "do not allow this" };
            (Some(response.status), format!("the credentials {refused}{colon}{said}"))
        }
        Ok(response) if (300..400).contains(&response.status) && request.method != Method::GET => {
            (Some(response.status), "a redirect, and no write is sent on to another address".to_owned())
        }
        Ok(response) => (Some(response.status), upstream_words(response)),
        Err(error @ TransportError::NotSent(_)) => {
            (None, format!("{} cannot be reached, {error}", request.url.origin().ascii_serialization()))
        }
        Err(error @ TransportError::Certificate(_)) => {
            (None, format!("{} cannot be trusted, {error}", request.url.origin().ascii_serialization()))
        }
        Err(error) => (None, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_people_do() {
        let check = |millis: u64, expected: &str| {
            assert_eq!(duration(Duration::from_millis(millis)), expected, "{millis} ms");
        };
        check(0, "0 s");
        check(200, "1 s");
        check(119_000, "119 s");
        check(120_000, "2 min");
        check(150_500, "2 min 31 s");
        check(3_600_000, "1 h");
        check(5_401_000, "1 h 31 min");
        check(7_200_000, "2 h");
        check(86_399_000, "24 h");
        check(86_400_000, "1 day");
        check(97_200_000, "1 day 3 h");
        check(172_800_000, "2 days");
    }
}
