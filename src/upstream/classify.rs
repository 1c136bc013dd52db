//! Owns: what one attempt's outcome means: success, worth another attempt, or what kind of failure.
//!
//! Must not know: how often it was tried, how long to wait, what the request was for beyond its [`Safety`].

use std::cell::OnceCell;

use super::window::matches_pattern;
use super::{FailureKind, Response, TransportError};
use crate::record::Json;
use crate::rules::{ErrorClass, ErrorRule};

/// What sending a request twice does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Changes nothing.
    Read,
    /// Twice is as once: keyed, natural, a write with a precondition, a delete.
    Idempotent,
    /// Twice may be two.
    Plain,
}

/// How another attempt is paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A passing failure of this request.
    Transient,
    /// The upstream has too much to do: every request to it waits.
    Throttled,
}

/// What an outcome means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Success,
    /// Another attempt is allowed; without one it is a failure of kind `spent`.
    Retry {
        /// How to pace it.
        pace: Pace,
        /// What the failure is when there is no other attempt. `Unknown` marks an outcome that may have been a success.
        spent: FailureKind,
    },
    /// Another attempt would not help.
    Fail(FailureKind),
}

/// Decides by the upstream's own rules first, then by the table of `FAULTS`.
///
/// `conditional`: 304 answers the question. `throttled`: the headers say that nothing is left.
pub fn classify(
    outcome: Result<&Response, &TransportError>,
    safety: Safety,
    conditional: bool,
    throttled: bool,
    rules: &[ErrorRule],
) -> Verdict {
    let response = match outcome {
        Ok(response) => response,
        Err(error) => return classify_error(error, safety),
    };
    if let Some(class) = class_of(response, rules) {
        return classify_class(class, safety);
    }
    let asked_to_wait = response.headers.contains_key(http::header::RETRY_AFTER);
    match response.status {
        200..=299 if is_markup(response) => Verdict::Fail(after_sending(safety, FailureKind::BadAnswer)),
        200..=299 => Verdict::Success,
        304 if conditional => Verdict::Success,
        300..=399 if safety == Safety::Read => Verdict::Fail(FailureKind::BadAnswer),
        // A redirect says nothing about whether a write was done. One that may be done twice is refused for itself.
        300..=399 if safety == Safety::Plain => Verdict::Fail(FailureKind::Unknown),
        425 | 429 => classify_class(ErrorClass::RateLimited, safety),
        403 if throttled || asked_to_wait => classify_class(ErrorClass::RateLimited, safety),
        401 => Verdict::Fail(FailureKind::Auth),
        403 => Verdict::Fail(FailureKind::Forbidden),
        404 => Verdict::Fail(FailureKind::NotFound),
        410 => Verdict::Fail(FailureKind::Gone),
        409 | 412 => Verdict::Fail(FailureKind::Conflict),
        503 if asked_to_wait => classify_class(ErrorClass::RateLimited, safety),
        408 | 500..=599 => classify_class(ErrorClass::Transient, safety),
        _ => Verdict::Fail(FailureKind::Invalid),
    }
}

fn classify_error(error: &TransportError, safety: Safety) -> Verdict {
    match error {
        TransportError::NotSent(_) => Verdict::Retry { pace: Pace::Transient, spent: FailureKind::NotDone },
        TransportError::Certificate(_) | TransportError::Identity(_) | TransportError::NotRecorded(_) => {
            Verdict::Fail(FailureKind::Fatal)
        }
        TransportError::TimedOut(_) | TransportError::Broken(_) => classify_class(ErrorClass::Transient, safety),
        TransportError::TooLarge { .. } | TransportError::Endless | TransportError::Bomb { .. } => {
            Verdict::Fail(after_sending(safety, FailureKind::TooLarge))
        }
    }
}

fn classify_class(class: ErrorClass, safety: Safety) -> Verdict {
    match (class, safety) {
        (ErrorClass::Ok, _) => Verdict::Success,
        (ErrorClass::RateLimited, _) => Verdict::Retry { pace: Pace::Throttled, spent: FailureKind::NotDone },
        (ErrorClass::Transient, Safety::Read) => Verdict::Retry { pace: Pace::Transient, spent: FailureKind::NotDone },
        (ErrorClass::Transient, Safety::Idempotent) => {
            Verdict::Retry { pace: Pace::Transient, spent: FailureKind::Unknown }
        }
        (ErrorClass::Transient, Safety::Plain) => Verdict::Fail(FailureKind::Unknown),
        (ErrorClass::Auth, _) => Verdict::Fail(FailureKind::Auth),
        (ErrorClass::Conflict, _) => Verdict::Fail(FailureKind::Conflict),
        (ErrorClass::Gone, _) => Verdict::Fail(FailureKind::Gone),
        (ErrorClass::NotFound, _) => Verdict::Fail(FailureKind::NotFound),
        (ErrorClass::Invalid, _) => Verdict::Fail(FailureKind::Invalid),
        (ErrorClass::CursorExpired, _) => Verdict::Fail(FailureKind::CursorExpired),
        (ErrorClass::Fatal, _) => Verdict::Fail(FailureKind::Fatal),
    }
}

/// A write whose answer cannot be understood may have been done.
fn after_sending(safety: Safety, read: FailureKind) -> FailureKind {
    if safety == Safety::Read { read } else { FailureKind::Unknown }
}

/// The class of the first rule that matches. The body is parsed once, and only where a rule looks into it.
fn class_of(response: &Response, rules: &[ErrorRule]) -> Option<ErrorClass> {
    let body = OnceCell::new();
    let matches = |rule: &&ErrorRule| {
        (rule.status.is_empty() || rule.status.contains(&response.status))
            && rule.headers.iter().all(|(name, pattern)| has_header(response, name, pattern))
            && rule.when.as_ref().is_none_or(|when| {
                let json = body.get_or_init(|| Json::parse(&response.body).unwrap_or(Json::Null));
                // A condition that fails on this body does not hold for it.
                when.test(json).unwrap_or(false)
            })
    };
    rules.iter().find(matches).map(|rule| rule.class)
}

/// Headers whose values are words that HTTP compares without regard to case (RFC 9110, sections 7.6.1, 8.3.1, 8.4.1, 11.1; RFC 9111,
/// section 5.2; RFC 9112, section 7). Of all others the case counts.
const WORDS_ONLY: [&str; 6] =
    ["cache-control", "connection", "content-encoding", "content-type", "transfer-encoding", "www-authenticate"];

fn has_header(response: &Response, name: &str, pattern: &str) -> bool {
    let mut values = response.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::trim);
    if WORDS_ONLY.iter().any(|one| one.eq_ignore_ascii_case(name)) {
        let pattern = pattern.to_ascii_lowercase();
        return values.any(|value| matches_pattern(&pattern, &value.to_ascii_lowercase()));
    }
    values.any(|value| matches_pattern(pattern, value))
}

/// HTML or XML where data should be: a login page, a proxy's error page, a captive portal.
fn is_markup(response: &Response) -> bool {
    let content_type = response.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let starts_so = response.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
    starts_so
        || (!response.body.is_empty() && content_type.is_some_and(|kind| kind.trim_start().starts_with("text/html")))
}
