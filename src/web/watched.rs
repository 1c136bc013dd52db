//! Owns: what is watched of upstreams, for pages, API and metrics: their usage.
//!
//! Must not know: HTML, HTTP; how it is counted.

use crate::ops::{Forecast, OpsError, Sum, UsageReport, usage};
use crate::store::read;

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
