//! Owns: what is watched of upstreams, for pages, API and metrics: their usage, their health.
//!
//! Must not know: HTML, HTTP; how it is counted.

use schemars::JsonSchema;
use serde::Serialize;

use crate::ops::{Forecast, Health, LatencyPoint, OpsError, Sum, UpstreamStatus, UsageReport, latency_history, usage};
use crate::store::{Grain, read};

use super::exposition::{Exposition, float};
use super::families::{self as f, Family};
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
    let mut samples = text.family(&f::UP);
    for (upstream, health) in known() {
        samples.put(&[upstream], u8::from(health.up));
    }
    let times: [Told<Health>; 2] = [
        (&f::SINCE, |health| seconds(health.since.as_deref())),
        (&f::SEEN, |health| seconds(health.seen_at.as_deref())),
    ];
    for (family, of) in times {
        let mut samples = text.family(family);
        for (upstream, health) in known() {
            samples.put(&[upstream], of(health));
        }
    }
    let mut samples = text.family(&f::LATENCY);
    for (upstream, health) in known() {
        let hour = &health.hour;
        for (percentile, ms) in [("50", hour.p50_ms), ("95", hour.p95_ms), ("99", hour.p99_ms)] {
            if let Some(ms) = ms {
                samples.put(&[upstream, percentile], ms / 1000.0);
            }
        }
    }
    let mut samples = text.family(&f::ANSWERS);
    for (upstream, health) in known() {
        for (result, count) in [("ok", health.hour.answered), ("failed", health.hour.failed)] {
            samples.put(&[upstream, result], count);
        }
    }
}

fn seconds(rfc3339: Option<&str>) -> f64 {
    let time = rfc3339.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    time.map_or(0.0, |time| float(time.timestamp().unsigned_abs()))
}

/// A metric, and where its value is found.
type Told<T> = (&'static Family, fn(&T) -> f64);

const SUMS: [Told<Sum>; 8] = [
    (&f::USAGE_REQUESTS, |sum| float(sum.usage.requests)),
    (&f::USAGE_RETRIES, |sum| float(sum.usage.retries)),
    (&f::USAGE_REFUSED, |sum| float(sum.usage.refused)),
    (&f::USAGE_THROTTLED, |sum| float(sum.usage.throttled)),
    (&f::USAGE_FAILED, |sum| float(sum.usage.failed)),
    (&f::USAGE_SENT_BYTES, |sum| float(sum.usage.sent_bytes)),
    (&f::USAGE_RECEIVED_BYTES, |sum| float(sum.usage.received_bytes)),
    (&f::USAGE_COST, |sum| sum.cost_usd),
];

const FORECASTS: [Told<Forecast>; 3] =
    [(&f::QUOTA_LIMIT, |of| of.limit), (&f::QUOTA_USED, |of| of.used), (&f::QUOTA_EXPECTED, |of| of.expected)];

/// Usage and quotas as metrics.
pub fn write_usage(report: &UsageReport, text: &mut Exposition) {
    for (family, of) in SUMS {
        let mut samples = text.family(family);
        for one in &report.upstreams {
            for (period, sum) in [("day", &one.today), ("month", &one.month)] {
                samples.put(&[&one.upstream, period], of(sum));
            }
        }
    }
    for (family, of) in FORECASTS {
        let mut samples = text.family(family);
        for one in &report.upstreams {
            let Some(quota) = &one.quota else { continue };
            for (unit, forecast) in [("requests", &quota.requests), ("usd", &quota.cost_usd)] {
                if let Some(forecast) = forecast {
                    samples.put(&[&one.upstream, unit, quota.per], of(forecast));
                }
            }
        }
    }
}
