//! Owns: what an answer's rate-limit headers say: how much is left, and for how long.
//!
//! Must not know: what is done about it.
//!
//! `RateLimit`/`RateLimit-Policy` as in draft-ietf-httpapi-ratelimit-headers-10, the older `RateLimit-*` (reset is a delta)
//! and `X-RateLimit-*` (reset in any of the units in use, or a time).

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use http::HeaderMap;

use super::point::{scalar_text, text_at};
use super::{Response, retry_after};
use crate::record::Json;
use crate::rules::{CostAt, NextAt, ResetUnit, Signals};

/// What one group of headers says about one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Requests per window, where told.
    pub limit: Option<u64>,
    /// Requests left in this window.
    pub remaining: u64,
    /// Until the window ends, where told.
    pub reset: Option<Duration>,
}

/// Epoch milliseconds lie above this, epoch seconds below.
pub const EPOCH_MS_MIN: f64 = 1e12;
/// Epoch seconds lie above this, deltas below.
pub const EPOCH_S_MIN: f64 = 1e9;

/// Everything the headers say, in no order of importance.
pub fn parse_rate_limits(headers: &HeaderMap, now: DateTime<Utc>) -> Vec<Observed> {
    let mut observed = parse_structured(headers);
    if observed.is_empty() {
        observed.extend(parse_older(headers));
    }
    observed.extend(parse_x(headers, now));
    observed
}

/// The wait that the headers ask for: the longest reset among limits with nothing left.
pub fn exhausted_for(observed: &[Observed]) -> Option<Duration> {
    observed.iter().filter(|limit| limit.remaining == 0).filter_map(|limit| limit.reset).max()
}

/// What the answer says that the request took, in units of its budget; part of one counts as one. Less than nothing is nothing that a
/// request takes: what was set aside stays.
pub fn told_cost(at: &CostAt, answer: &Response) -> Option<u64> {
    let text = match at {
        CostAt::Place(at) => text_at(at, answer)?,
        CostAt::Filter(filter) => {
            let found = filter.run(&Json::parse(&answer.body).ok()?, &[], 1).ok()?;
            scalar_text(found.first()?)?.into_owned()
        }
    };
    text.trim().parse::<f64>().ok().filter(|cost| *cost >= 0.0).and_then(|cost| whole(cost.ceil()))
}

/// What the answer says where the rules say that it does; `None` where it does not say what is left.
pub fn told_limit(signals: &Signals, answer: &Response, now: DateTime<Utc>) -> Option<Observed> {
    let number = |at: &NextAt| text_at(at, answer)?.parse::<f64>().ok().filter(|number| number.is_finite());
    let reset = signals.reset.as_ref().and_then(|(at, unit)| reset_of(&text_at(at, answer)?, *unit, now));
    let limit = signals.limit.as_ref().and_then(number).and_then(whole);
    Some(Observed { limit, remaining: whole(number(signals.remaining.as_ref()?)?.floor())?, reset })
}

/// For how long nothing is to be asked, as the answer says where the rules say that it does. The end of a window whose rest is
/// not told counts where there was too much.
pub fn told_wait(signals: &Signals, (answer, throttled): (&Response, bool), now: DateTime<Utc>) -> Option<Duration> {
    let of = |(at, unit): &(NextAt, ResetUnit)| reset_of(text_at(at, answer)?.trim(), *unit, now);
    let wait = signals.wait.as_ref().and_then(of);
    let end = signals.reset.as_ref().filter(|_| throttled && signals.remaining.is_none()).and_then(of);
    wait.max(end).filter(|wait| !wait.is_zero())
}

/// How long until then.
fn reset_of(text: &str, unit: ResetUnit, now: DateTime<Utc>) -> Option<Duration> {
    let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
    let until = |then: DateTime<Utc>| Some((then - now).to_std().unwrap_or_default().min(super::WAIT_MAX));
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double exactly")]
    let now_s = now.timestamp_millis() as f64 / 1000.0;
    match unit {
        ResetUnit::Seconds => seconds(number()?),
        ResetUnit::Milliseconds => seconds(number()? / 1000.0),
        ResetUnit::EpochSeconds => seconds(number()? - now_s),
        ResetUnit::EpochMilliseconds => seconds(number()? / 1000.0 - now_s),
        ResetUnit::HttpDate => until(retry_after::parse_http_date(text)?),
        ResetUnit::Rfc3339 => until(DateTime::parse_from_rfc3339(text).ok()?.to_utc()),
    }
}

/// `RateLimit: "default";r=50;t=30`, several by commas. Early drafts wrote `limit=100, remaining=50, reset=30`.
fn parse_structured(headers: &HeaderMap) -> Vec<Observed> {
    let policies: Vec<(&str, Vec<(&str, f64)>)> = list(headers, "ratelimit-policy");
    let quota = |name: &str| {
        let (_, parameters) = policies.iter().find(|(policy, _)| *policy == name)?;
        whole(parameter(parameters, "q")?)
    };
    let items = list(headers, "ratelimit");
    let early: Vec<(&str, f64)> = items.iter().filter_map(|(item, _)| assignment(item)).collect();
    if let Some(remaining) = parameter(&early, "remaining").and_then(whole) {
        let reset = parameter(&early, "reset").and_then(seconds);
        return vec![Observed { limit: parameter(&early, "limit").and_then(whole), remaining, reset }];
    }
    let read = |(name, parameters): &(&str, Vec<(&str, f64)>)| {
        let remaining = whole(parameter(parameters, "r")?)?;
        Some(Observed { limit: quota(name), remaining, reset: parameter(parameters, "t").and_then(seconds) })
    };
    items.iter().filter_map(read).collect()
}

fn parse_older(headers: &HeaderMap) -> Option<Observed> {
    let remaining = whole(number(headers, "ratelimit-remaining")?)?;
    let limit = number(headers, "ratelimit-limit").and_then(whole);
    Some(Observed { limit, remaining, reset: number(headers, "ratelimit-reset").and_then(seconds) })
}

fn parse_x(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Observed> {
    let any = |what: &str| {
        number(headers, &format!("x-ratelimit-{what}")).or_else(|| number(headers, &format!("x-rate-limit-{what}")))
    };
    let from_number = any("reset").and_then(|reset| {
        let from_epoch_ms = |ms: f64| {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double exactly")]
            let now_ms = now.timestamp_millis() as f64;
            seconds(((ms - now_ms) / 1000.0).max(0.0))
        };
        if reset > EPOCH_MS_MIN {
            from_epoch_ms(reset)
        } else if reset > EPOCH_S_MIN {
            from_epoch_ms(reset * 1000.0)
        } else {
            seconds(reset)
        }
    });
    let reset = from_number.or_else(|| until_minute(headers.get("x-ratelimit-reset")?.to_str().ok()?.trim(), now));
    Some(Observed { limit: any("limit").and_then(whole), remaining: whole(any("remaining")?)?, reset })
}

/// A time as Jira writes it, to the minute (`2026-01-01T00:01Z`) or as RFC 3339 has it.
fn until_minute(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let then = match text.strip_suffix('Z').and_then(|text| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok())
    {
        Some(then) => then.and_utc(),
        None => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
    };
    Some((then - now).to_std().unwrap_or_default().min(super::WAIT_MAX))
}

/// A header's comma-separated items, each with its parameters that are numbers. Names lose their quotes.
fn list<'a>(headers: &'a HeaderMap, name: &str) -> Vec<(&'a str, Vec<(&'a str, f64)>)> {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .filter_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().filter(|name| !name.is_empty())?.trim_matches('"');
            Some((name, parts.filter_map(assignment).collect()))
        })
        .collect()
}

fn assignment(text: &str) -> Option<(&str, f64)> {
    let (name, value) = text.split_once('=')?;
    Some((name.trim(), value.trim().parse().ok()?))
}

fn parameter(parameters: &[(&str, f64)], name: &str) -> Option<f64> {
    parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// The first number of a header; `100, 100;w=60` is 100.
fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    let text = headers.get(name)?.to_str().ok()?;
    text.split([',', ';']).next()?.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the range first")]
fn whole(number: f64) -> Option<u64> {
    number.is_finite().then(|| number.clamp(0.0, 1e15) as u64)
}

/// A wait of at most a day; negative is zero.
fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number.clamp(0.0, super::WAIT_MAX.as_secs_f64())).ok()
}
