//! Owns: how long an answer asks us to wait: `Retry-After` (RFC 9110 §10.2.3) and `Backoff`.
//!
//! Must not know: whether the request is tried again.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use http::HeaderMap;

/// Longer waits are cut to this: after a day the upstream is asked again, whatever it once said.
pub const WAIT_MAX: Duration = Duration::from_hours(24);
/// The longest wait that is understood: ten years.
const ASKED_MAX: Duration = Duration::from_hours(24 * 3650);

/// `Retry-After`: seconds or any HTTP date. Dates count from the answer's own `Date`; what lies in the past is zero,
/// what cannot be read is ignored. It may be more than [`WAIT_MAX`].
pub fn parse_retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    parse_seconds(text).or_else(|| {
        let until = parse_http_date(text)?;
        let from = headers.get(http::header::DATE).and_then(|date| parse_http_date(date.to_str().ok()?)).unwrap_or(now);
        Some((until - from).to_std().unwrap_or(Duration::ZERO).min(ASKED_MAX))
    })
}

/// `Backoff` (Kinto, Mozilla services): seconds during which no further request should be sent, on any answer.
pub fn parse_backoff(headers: &HeaderMap) -> Option<Duration> {
    let wait = parse_seconds(headers.get("backoff")?.to_str().ok()?.trim())?;
    (!wait.is_zero()).then(|| wait.min(WAIT_MAX))
}

/// A wait with 0–10 % on top, never earlier; `random` is uniform over all 64 bits.
pub fn with_jitter(wait: Duration, random: u64) -> Duration {
    wait + super::uniform(wait / 10, random)
}

/// Seconds, negative ones as zero, fractions rounded up to milliseconds.
fn parse_seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plausible = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !plausible {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    if seconds >= ASKED_MAX.as_secs_f64() {
        return Some(ASKED_MAX);
    }
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

/// The three forms of RFC 9110 §5.6.7: IMF-fixdate, RFC 850, asctime.
pub fn parse_http_date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc());
    }
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|date| date.and_utc())
}
