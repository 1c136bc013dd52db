//! Owns: whether upstreams are up, since when, and how long their answers take.
//!
//! Must not know: how they are asked; how it is shown.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reconcile::{HOURS_KEPT, MINUTES_KEPT};
use crate::rules::Upstream;
use crate::store::{Grain, LatencyRow, StoreError, View};
use crate::upstream::Latency;

use super::text::rfc3339;

/// How an upstream is.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Health {
    /// By its last answer.
    pub up: bool,
    /// RFC 3339: since when it is so.
    pub since: Option<String>,
    /// RFC 3339: when it was last asked.
    pub seen_at: Option<String>,
    /// What it last failed by, also where it is up again.
    pub last_error: Option<String>,
    /// RFC 3339.
    pub last_error_at: Option<String>,
    /// The probe, such as `GET /me every 60s`; absent where the requests of passes tell.
    pub probe: Option<String>,
    /// Of the last 60 minutes.
    pub hour: Replies,
    /// Of the last 24 hours.
    pub day: Replies,
}

/// How an upstream answered over a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Replies {
    /// Answers that count.
    pub answered: u64,
    /// Requests that failed: 5xx, no answer, or an answer that a probe does not take.
    pub failed: u64,
    /// Half of the answers took no longer, in milliseconds; percentiles are told to within five per cent.
    pub p50_ms: Option<f64>,
    /// 95 of a hundred.
    pub p95_ms: Option<f64>,
    /// 99 of a hundred.
    pub p99_ms: Option<f64>,
}

/// How an upstream answered in one minute or hour.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct LatencyPoint {
    /// RFC 3339: when it began.
    pub at: String,
    /// How it answered.
    #[serde(flatten)]
    pub replies: Replies,
}

/// How an upstream is; `None` before its first answer.
pub fn health(view: &dyn View, upstream: &Upstream, now: DateTime<Utc>) -> Result<Option<Health>, StoreError> {
    let name = &upstream.name;
    let Some(row) = view.health(name)? else { return Ok(None) };
    let over = |grain: Grain, long: TimeDelta| -> Result<Replies, StoreError> {
        Ok(Replies::over(&view.latency(name, grain, (now - long).timestamp())?))
    };
    let probe = upstream.health.as_ref().map(|health| {
        let path: String = health.request.path.parts.iter().map(part).collect();
        format!("{} {path} every {}s", health.request.method, health.every.as_secs())
    });
    Ok(Some(Health {
        up: row.up,
        since: rfc3339(row.since),
        seen_at: rfc3339(row.seen_at),
        last_error: row.error,
        last_error_at: row.error_at.and_then(rfc3339),
        probe,
        hour: over(Grain::Minute, TimeDelta::hours(1))?,
        day: over(Grain::Hour, TimeDelta::hours(24))?,
    }))
}

/// How an upstream answered, minute by minute for three hours or hour by hour for two weeks, the oldest first.
pub fn latency_history(
    view: &dyn View,
    upstream: &str,
    grain: Grain,
    now: DateTime<Utc>,
) -> Result<Vec<LatencyPoint>, StoreError> {
    let kept = match grain {
        Grain::Minute => MINUTES_KEPT,
        Grain::Hour => HOURS_KEPT,
    };
    let rows = view.latency(upstream, grain, (now - kept).timestamp())?;
    let point = |row: &LatencyRow| {
        let at = DateTime::from_timestamp(row.at, 0)?.to_rfc3339_opts(SecondsFormat::Secs, true);
        Some(LatencyPoint { at, replies: Replies::over(std::slice::from_ref(row)) })
    };
    Ok(rows.iter().filter_map(point).collect())
}

impl Replies {
    fn over(rows: &[LatencyRow]) -> Self {
        let mut latency = Latency::default();
        for row in rows {
            latency.merge(&Latency::from_text(&row.buckets));
        }
        // Three digits are more than is known.
        let ms = |percent| latency.percentile(percent).map(|took| rounded(took.as_secs_f64() * 1000.0));
        Self {
            answered: latency.count(),
            failed: rows.iter().map(|row| row.failed).sum(),
            p50_ms: ms(50),
            p95_ms: ms(95),
            p99_ms: ms(99),
        }
    }
}

fn rounded(ms: f64) -> f64 {
    let scale = if ms < 10.0 { 100.0 } else { 1.0 };
    (ms * scale).round() / scale
}

fn part(part: &crate::rules::Part) -> String {
    match part {
        crate::rules::Part::Text(text) => text.clone(),
        crate::rules::Part::Secret(name) => format!("${{secret.{name}}}"),
        crate::rules::Part::Hole(name) => format!("{{{name}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_add_up_to_percentiles_of_all_their_answers() {
        let row = |ms: &[u64], failed| {
            let mut latency = Latency::default();
            for ms in ms {
                latency.add(std::time::Duration::from_millis(*ms));
            }
            LatencyRow { upstream: "crm".to_owned(), grain: Grain::Minute, at: 0, failed, buckets: latency.to_text() }
        };
        let found = Replies::over(&[row(&[10; 50], 1), row(&[1000], 2), row(&[], 3)]);
        assert_eq!((found.answered, found.failed), (51, 6));
        let near = |found: Option<f64>, ms: f64| assert!((found.unwrap() / ms - 1.0).abs() < 0.06, "{found:?} {ms}");
        near(found.p50_ms, 10.0);
        near(found.p95_ms, 10.0);
        near(found.p99_ms, 1000.0);
        assert_eq!(Replies::over(&[row(&[], 2)]), Replies { failed: 2, ..Replies::default() });
    }
}
