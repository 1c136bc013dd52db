//! Owns: what is watched of upstreams, for pages, API and metrics: their usage, their health.
//!
//! Must not know: HTML, HTTP; how it is counted.

use schemars::JsonSchema;
use serde::Serialize;

use crate::ops::{Forecast, Health, LatencyPoint, OpsError, Sum, UpstreamStatus, UsageReport, latency_history, usage};
use crate::store::{Grain, read};

use super::metrics::Exposition;
use super::site::Site;

impl Site {
    /// What was asked of upstreams, or of one; averages over so many days.
    pub async fn usage(&self, upstream: Option<String>, days: u16) -> Result<UsageReport, OpsError> {
        let (rules, now) = (self.front.desk.standing().rules, self.front.clock.now());
        if upstream.as_ref().is_some_and(|name| !rules.upstreams.contains_key(name)) {
            return Err(OpsError::NotFound("the rules have no such upstream".to_owned()));
        }
        Ok(read(self.store.as_ref(), move |view| usage(view, &rules, upstream.as_deref(), days, now)).await?)
    }
}

/// How an upstream answered over time.
#[derive(Debug, JsonSchema, Serialize)]
pub struct LatencyView {
    /// The upstream.
    pub upstream: String,
    /// `minute` or `hour`.
    pub grain: &'static str,
    /// The oldest first; minutes and hours without a request are absent.
    pub points: Vec<LatencyPoint>,
}

impl Site {
    /// How an upstream answered, minute by minute, or hour by hour.
    pub async fn latency(&self, upstream: String, grain: Grain) -> Result<LatencyView, OpsError> {
        let (rules, now) = (self.front.desk.standing().rules, self.front.clock.now());
        if !rules.upstreams.contains_key(&upstream) {
            return Err(OpsError::NotFound("the rules have no such upstream".to_owned()));
        }
        let name = upstream.clone();
        let points = read(self.store.as_ref(), move |view| latency_history(view, &name, grain, now)).await?;
        let grain = match grain {
            Grain::Minute => "minute",
            Grain::Hour => "hour",
        };
        Ok(LatencyView { upstream, grain, points })
    }
}

/// Health as metrics.
pub fn write_health(upstreams: &[UpstreamStatus], text: &mut Exposition) {
    let known = || upstreams.iter().filter_map(|one| Some((one.upstream.as_str(), one.health.as_ref()?)));
    text.family(
        "reconciled_upstream_up",
        "gauge",
        "1 while the last answer of an upstream was one, 0 while it is down.",
    );
    for (upstream, health) in known() {
        text.sample("reconciled_upstream_up", &[("upstream", upstream)], u8::from(health.up));
    }
    let times: [Family<Health>; 2] = [
        ("reconciled_upstream_since_timestamp_seconds", "Since when it is up, or down.", |health| {
            seconds(health.since.as_deref())
        }),
        ("reconciled_upstream_seen_timestamp_seconds", "When it was last asked.", |health| {
            seconds(health.seen_at.as_deref())
        }),
    ];
    for (name, help, of) in times {
        text.family(name, "gauge", help);
        for (upstream, health) in known() {
            text.sample(name, &[("upstream", upstream)], of(health));
        }
    }
    let name = "reconciled_upstream_latency_seconds";
    text.family(name, "gauge", "What so large a part of its answers of the last hour did not take longer than.");
    for (upstream, health) in known() {
        let hour = &health.hour;
        for (quantile, ms) in [("0.5", hour.p50_ms), ("0.95", hour.p95_ms), ("0.99", hour.p99_ms)] {
            if let Some(ms) = ms {
                text.sample(name, &[("upstream", upstream), ("quantile", quantile)], ms / 1000.0);
            }
        }
    }
    let name = "reconciled_upstream_answers";
    text.family(name, "gauge", "Answers of the last hour that latency and health are told from, by result.");
    for (upstream, health) in known() {
        for (result, count) in [("ok", health.hour.answered), ("failed", health.hour.failed)] {
            text.sample(name, &[("upstream", upstream), ("result", result)], count);
        }
    }
}

fn seconds(rfc3339: Option<&str>) -> f64 {
    let time = rfc3339.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    time.map_or(0.0, |time| float(time.timestamp().unsigned_abs()))
}

/// A metric, its help, and where its value is found.
type Family<T> = (&'static str, &'static str, fn(&T) -> f64);

const SUMS: [Family<Sum>; 8] = [
    ("reconciled_usage_requests", "Requests to an upstream in the period.", |sum| float(sum.usage.requests)),
    ("reconciled_usage_retries", "Those that repeated another one.", |sum| float(sum.usage.retries)),
    ("reconciled_usage_refused", "Those answered 4xx, but for 429.", |sum| float(sum.usage.refused)),
    ("reconciled_usage_throttled", "Those answered 429.", |sum| float(sum.usage.throttled)),
    ("reconciled_usage_failed", "Those answered 5xx or not at all.", |sum| float(sum.usage.failed)),
    ("reconciled_usage_sent_bytes", "Bytes of the bodies sent.", |sum| float(sum.usage.sent_bytes)),
    ("reconciled_usage_received_bytes", "Bytes of the bodies received, unpacked.", |sum| {
        float(sum.usage.received_bytes)
    }),
    ("reconciled_usage_cost_usd", "What the requests cost, in US dollars.", |sum| sum.cost_usd),
];

const FORECASTS: [Family<Forecast>; 3] = [
    ("reconciled_quota_limit", "What may be asked of an upstream in the period.", |of| of.limit),
    ("reconciled_quota_used", "What was asked of it in the period so far.", |of| of.used),
    ("reconciled_quota_expected", "What will have been asked of it at the end of the period.", |of| of.expected),
];

/// Usage and quotas as metrics.
pub fn write_usage(report: &UsageReport, text: &mut Exposition) {
    for (name, help, of) in SUMS {
        text.family(name, "gauge", help);
        for one in &report.upstreams {
            for (period, sum) in [("day", &one.today), ("month", &one.month)] {
                text.sample(name, &[("upstream", &one.upstream), ("period", period)], of(sum));
            }
        }
    }
    for (name, help, of) in FORECASTS {
        text.family(name, "gauge", help);
        for one in &report.upstreams {
            let Some(quota) = &one.quota else { continue };
            for (unit, forecast) in [("requests", &quota.requests), ("usd", &quota.cost_usd)] {
                let labels = [("upstream", one.upstream.as_str()), ("unit", unit), ("period", quota.per)];
                if let Some(forecast) = forecast {
                    text.sample(name, &labels, of(forecast));
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the format knows nothing but floats")]
fn float(number: u64) -> f64 {
    number as f64
}
