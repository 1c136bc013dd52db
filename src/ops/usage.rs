//! Owns: what was asked of upstreams: today, this month, on average, and when a quota would run out.
//!
//! Must not know: how it is counted; how it is shown.

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::rules::{Quota, QuotaPeriod, Ruleset};
use crate::store::{StoreError, Usage, UsageRow, View};

/// Days that averages are taken over, where nobody says how many.
pub const USAGE_DAYS: u16 = 30;
/// Days that are kept.
pub const USAGE_DAYS_MAX: u16 = 800;
const NANO: f64 = 1e9;
const SECONDS_PER_DAY: f64 = 86_400.0;
/// A pace is not told from less than this part of a day.
const PACE_DAY_MIN: f64 = 1.0 / 24.0;

/// What was asked of all upstreams.
#[derive(Debug, JsonSchema, Serialize)]
pub struct UsageReport {
    /// RFC 3339.
    pub as_of: String,
    /// In the order of their names.
    pub upstreams: Vec<UpstreamUsage>,
}

/// What was asked of one upstream.
#[derive(Debug, JsonSchema, Serialize)]
pub struct UpstreamUsage {
    /// The upstream.
    pub upstream: String,
    /// Since midnight, in UTC.
    pub today: Sum,
    /// Since the first of the month.
    pub month: Sum,
    /// The average of whole days.
    pub mean: Mean,
    /// What may be asked, where the rules say so.
    pub quota: Option<QuotaUsage>,
    /// Days on which something was asked, the latest first.
    pub days: Vec<Day>,
}

/// What was asked in a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct Sum {
    /// Counts.
    #[serde(flatten)]
    pub usage: Usage,
    /// What it cost.
    pub cost_usd: f64,
}

/// A day.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Day {
    /// `2023-11-14`
    #[schemars(with = "String")]
    pub day: NaiveDate,
    /// What was asked.
    #[serde(flatten)]
    pub sum: Sum,
}

/// An average day.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Mean {
    /// Whole days that it is taken over; 0: it is today's pace.
    pub days: u32,
    /// Requests a day.
    pub requests: f64,
    /// Cost a day.
    pub cost_usd: f64,
}

/// How a quota stands.
#[derive(Debug, JsonSchema, Serialize)]
pub struct QuotaUsage {
    /// `day` or `month`.
    pub per: &'static str,
    /// RFC 3339: when the period ends.
    pub ends_at: String,
    /// Of requests.
    pub requests: Option<Forecast>,
    /// Of cost, in US dollars.
    pub cost_usd: Option<Forecast>,
}

/// Where a quantity will be at the end of the period, if it goes on as it does.
#[derive(Debug, PartialEq, JsonSchema, Serialize)]
pub struct Forecast {
    /// The most there may be.
    pub limit: f64,
    /// What there was in the period so far.
    pub used: f64,
    /// What there will be at its end.
    pub expected: f64,
    /// RFC 3339: when the limit is reached, where that is within the period; a time that is past where it was reached.
    pub runs_out_at: Option<String>,
}

/// What was asked of each upstream of the rules, or of one; averages over at most so many days.
pub fn usage(
    view: &dyn View,
    rules: &Ruleset,
    upstream: Option<&str>,
    days: u16,
    now: DateTime<Utc>,
) -> Result<UsageReport, StoreError> {
    let today = now.date_naive();
    let first = today.checked_sub_days(Days::new(days.into())).unwrap_or(today).min(first_of_month(today));
    let rows = view.usage(upstream, number(first))?;
    let named = rules.upstreams.iter().filter(|(name, _)| upstream.is_none_or(|wanted| *name == wanted));
    let of = |(name, one): (&String, &std::sync::Arc<crate::rules::Upstream>)| {
        let rows: Vec<&UsageRow> = rows.iter().filter(|row| row.upstream == *name).collect();
        upstream_usage(name, one.quota.as_ref(), &rows, days, now)
    };
    let as_of = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    Ok(UsageReport { as_of, upstreams: named.map(of).collect() })
}

fn upstream_usage(
    name: &str,
    quota: Option<&Quota>,
    rows: &[&UsageRow],
    days: u16,
    now: DateTime<Utc>,
) -> UpstreamUsage {
    let today = now.date_naive();
    let sum = |from: NaiveDate| {
        let mut usage = Usage::default();
        rows.iter().filter(|row| row.day >= number(from)).for_each(|row| usage.add(&row.usage));
        Sum::of(usage)
    };
    let (so_far, month) = (sum(today), sum(first_of_month(today)));
    let mean = mean(rows, days, now, &so_far);
    let oldest = number(today) - i64::from(days);
    let listed = rows.iter().rev().filter(|row| row.day > oldest);
    UpstreamUsage {
        upstream: name.to_owned(),
        today: so_far,
        month,
        mean,
        quota: quota.map(|quota| quota_usage(quota, &so_far, &month, &mean, now)),
        days: listed.filter_map(|row| Some(Day { day: date(row.day)?, sum: Sum::of(row.usage) })).collect(),
    }
}

/// Over whole days since the first one that is known, at most so many; else today's pace.
fn mean(rows: &[&UsageRow], days: u16, now: DateTime<Utc>, so_far: &Sum) -> Mean {
    let today = number(now.date_naive());
    let oldest = today - i64::from(days);
    let whole = || rows.iter().filter(|row| row.day >= oldest && row.day < today);
    let Some(first) = whole().map(|row| row.day).min() else {
        let part = part_of_day(now).max(PACE_DAY_MIN);
        return Mean { days: 0, requests: float(so_far.usage.requests) / part, cost_usd: so_far.cost_usd / part };
    };
    let count = u32::try_from(today - first).unwrap_or(1);
    let mut usage = Usage::default();
    whole().for_each(|row| usage.add(&row.usage));
    let sum = Sum::of(usage);
    let per_day = f64::from(count);
    Mean { days: count, requests: float(sum.usage.requests) / per_day, cost_usd: sum.cost_usd / per_day }
}

fn quota_usage(quota: &Quota, today: &Sum, month: &Sum, mean: &Mean, now: DateTime<Utc>) -> QuotaUsage {
    let (per, used, ends) = match quota.per {
        QuotaPeriod::Day => ("day", today, now.date_naive().checked_add_days(Days::new(1))),
        QuotaPeriod::Month => ("month", month, first_of_month(now.date_naive()).checked_add_months(Months::new(1))),
    };
    let ends = ends.unwrap_or(NaiveDate::MAX).and_time(NaiveTime::MIN).and_utc();
    let requests =
        quota.requests.map(|limit| forecast(float(limit), float(used.usage.requests), mean.requests, now, ends));
    let cost_usd =
        quota.cost_nano_usd.map(|limit| forecast(float(limit) / NANO, used.cost_usd, mean.cost_usd, now, ends));
    QuotaUsage { per, ends_at: ends.to_rfc3339_opts(SecondsFormat::Secs, true), requests, cost_usd }
}

/// At so much a day.
fn forecast(limit: f64, used: f64, a_day: f64, now: DateTime<Utc>, ends: DateTime<Utc>) -> Forecast {
    let days_left = (ends - now).as_seconds_f64() / SECONDS_PER_DAY;
    let expected = used + a_day * days_left;
    let runs_out = if used >= limit {
        Some(now)
    } else if expected > limit {
        let seconds = (limit - used) / a_day * SECONDS_PER_DAY;
        now.checked_add_signed(TimeDelta::from_std(std::time::Duration::from_secs_f64(seconds)).unwrap_or_default())
    } else {
        None
    };
    let runs_out_at = runs_out.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    Forecast { limit, used, expected, runs_out_at }
}

impl Sum {
    fn of(usage: Usage) -> Self {
        Self { usage, cost_usd: float(usage.cost_nano_usd) / NANO }
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 requests, or nine million dollars, are exact")]
fn float(number: u64) -> f64 {
    number as f64
}

fn part_of_day(now: DateTime<Utc>) -> f64 {
    (now.time() - NaiveTime::MIN).as_seconds_f64() / SECONDS_PER_DAY
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// Days since 1970-01-01.
fn number(day: NaiveDate) -> i64 {
    (day - NaiveDate::default()).num_days()
}

fn date(number: i64) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(TimeDelta::try_days(number)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn rows(days: &[(&str, u64)]) -> Vec<UsageRow> {
        let row = |(day, requests): &(&str, u64)| UsageRow {
            day: number(day.parse().unwrap()),
            upstream: "crm".to_owned(),
            usage: Usage { requests: *requests, cost_nano_usd: *requests * 1_000_000, ..Usage::default() },
        };
        days.iter().map(row).collect()
    }

    fn used(days: &[(&str, u64)], quota: Quota, now: &str) -> UpstreamUsage {
        let rows = rows(days);
        upstream_usage("crm", Some(&quota), &rows.iter().collect::<Vec<_>>(), USAGE_DAYS, at(now))
    }

    const MONTH: Quota =
        Quota { requests: Some(100_000), cost_nano_usd: Some(20_000_000_000), per: QuotaPeriod::Month };

    #[test]
    fn a_month_is_forecast_by_the_mean_of_whole_days() {
        // A day without requests counts as a day, what was before the month counts for the mean alone.
        let days = [("2023-10-31", 9_000), ("2023-11-01", 1_000), ("2023-11-03", 2_000), ("2023-11-04", 500)];
        let found = used(&days, MONTH, "2023-11-04T12:00:00Z");
        assert_eq!((found.today.usage.requests, found.month.usage.requests), (500, 3_500));
        assert_eq!(found.mean, Mean { days: 4, requests: 3_000.0, cost_usd: 3.0 });
        let quota = found.quota.unwrap();
        assert_eq!((quota.per, quota.ends_at.as_str()), ("month", "2023-12-01T00:00:00Z"));
        // 26.5 days are left.
        let expected = Forecast { limit: 100_000.0, used: 3_500.0, expected: 83_000.0, runs_out_at: None };
        assert_eq!(quota.requests.unwrap(), expected);
        // 16.5 dollars are left, three go a day.
        let cost = quota.cost_usd.unwrap();
        assert_eq!(cost.runs_out_at.as_deref(), Some("2023-11-10T00:00:00Z"), "{cost:?}");
        assert_eq!(found.days.iter().map(|day| day.sum.usage.requests).collect::<Vec<_>>(), [500, 2_000, 1_000, 9_000]);
    }

    #[test]
    fn a_first_day_is_forecast_by_its_own_pace_and_what_is_used_up_has_run_out() {
        let day = Quota { requests: Some(1_000), cost_nano_usd: None, per: QuotaPeriod::Day };
        let check = |requests: u64, now: &str, expected: f64, runs_out_at: Option<&str>| {
            let quota = used(&[("2023-11-04", requests)], day, now).quota.unwrap();
            let found = quota.requests.unwrap();
            assert_eq!(quota.ends_at, "2023-11-05T00:00:00Z");
            assert_eq!((found.expected, found.runs_out_at.as_deref()), (expected, runs_out_at), "{now}");
        };
        check(250, "2023-11-04T12:00:00Z", 500.0, None);
        check(600, "2023-11-04T12:00:00Z", 1_200.0, Some("2023-11-04T20:00:00Z"));
        check(1_000, "2023-11-04T18:00:00Z", 1_000.0 + 1_000.0 / 3.0, Some("2023-11-04T18:00:00Z"));
        // One request within the first second is no pace of 86,400 a day.
        check(1, "2023-11-04T00:00:00Z", 25.0, None);
    }

    #[test]
    fn averages_and_lists_stop_where_they_were_asked_to() {
        let rows = rows(&[("2023-11-01", 700), ("2023-11-03", 10), ("2023-11-04", 20), ("2023-11-05", 1)]);
        let found = upstream_usage("crm", None, &rows.iter().collect::<Vec<_>>(), 2, at("2023-11-05T12:00:00Z"));
        assert_eq!(found.mean, Mean { days: 2, requests: 15.0, cost_usd: 0.015 });
        assert_eq!(found.days.iter().map(|day| day.sum.usage.requests).collect::<Vec<_>>(), [1, 20]);
        assert_eq!(found.month.usage.requests, 731, "the month does not stop there");
        assert!(found.quota.is_none());
    }
}
