//! Owns: what was asked of an upstream, as the page of upstreams shows it: counts, cost, quota with its forecast, a chart of days.
//!
//! Must not know: how it is counted or forecast.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use maud::{Markup, html};

use crate::ops::{Forecast, QuotaUsage, Sum, UpstreamUsage, dollars, rounded, whole};

use super::chart::{Bar, bars};
use super::layout::time;

/// Days that are charted.
const CHARTED_DAYS: u64 = 30;

/// The rows of a list of what is known of the upstream.
pub fn spent(one: &UpstreamUsage) -> Markup {
    let a_day = format!("{}{}", if one.mean.days == 0 { "about " } else { "" }, rounded(one.mean.requests));
    html! {
        dt { "Asked today" } dd { (sum(&one.today)) }
        dt { "This month" } dd { (sum(&one.month)) }
        dt { "A day" }
        dd {
            (a_day) " requests"
            @if one.mean.cost_usd > 0.0 { ", " (dollars(one.mean.cost_usd)) }
            @if one.mean.days == 0 { ", at today's pace" }
        }
        @if let Some(quota) = &one.quota {
            @if let Some(of) = &quota.requests { (share(quota, "requests", of, rounded)) }
            @if let Some(of) = &quota.cost_usd { (share(quota, "cost", of, dollars)) }
        }
    }
}

fn sum(of: &Sum) -> Markup {
    let usage = &of.usage;
    html! {
        (whole(usage.requests)) " requests"
        @if of.cost_usd > 0.0 { ", " (dollars(of.cost_usd)) }
        @if usage.retries > 0 { ", " (whole(usage.retries)) " repeated" }
        @if usage.throttled > 0 { ", " span.bad { (whole(usage.throttled)) " throttled" } }
        @if usage.failed > 0 { ", " span.bad { (whole(usage.failed)) " failed" } }
    }
}

/// How much of a quota is used, and what it comes to.
fn share(quota: &QuotaUsage, what: &str, of: &Forecast, say: fn(f64) -> String) -> Markup {
    let percent = |amount: f64| format!("{}%", rounded(amount / of.limit * 100.0));
    let name = format!("Quota of {what} a {}", quota.per);
    html! {
        dt { (name) }
        dd {
            meter min="0" max=(of.limit) high=(of.limit * 0.9) value=(of.used.min(of.limit)) aria-label=(name) {}
            " " (say(of.used)) " of " (say(of.limit)) " (" (percent(of.used)) "), at its end "
            @if of.used >= of.limit {
                (percent(of.expected)) ": " strong.bad { "used up" } ", until " (time(Some(&quota.ends_at)))
            } @else if of.runs_out_at.is_some() {
                (percent(of.expected)) ": " strong.bad { "runs out" } " " (time(of.runs_out_at.as_ref()))
            } @else {
                (percent(of.expected))
            }
        }
    }
}

/// Requests of the latest days, today's last. A day on which some failed or were throttled is one to look at.
pub fn charted(one: &UpstreamUsage, today: NaiveDate) -> Markup {
    let asked: BTreeMap<NaiveDate, &Sum> = one.days.iter().map(|day| (day.day, &day.sum)).collect();
    let days = (0..CHARTED_DAYS).rev().filter_map(|ago| today.checked_sub_days(Days::new(ago)));
    let bar = |day: NaiveDate| {
        let usage = asked.get(&day).map(|sum| sum.usage).unwrap_or_default();
        let wrong = usage.throttled + usage.failed;
        let more = if wrong > 0 { format!(", {wrong} failed or throttled") } else { String::new() };
        Bar {
            value: usage.requests,
            says: format!("{day}: {} requests{more}", whole(usage.requests)),
            is_bad: wrong > 0,
        }
    };
    let bars_of_days: Vec<Bar> = days.map(bar).collect();
    html! {
        @if !one.days.is_empty() { (bars("Requests per day", "days", "requests", &bars_of_days)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Day, Mean};
    use crate::store::Usage;

    fn of(requests: u64, failed: u64, cost_usd: f64) -> Sum {
        Sum { usage: Usage { requests, failed, ..Usage::default() }, cost_usd }
    }

    fn one(quota: Option<QuotaUsage>) -> UpstreamUsage {
        UpstreamUsage {
            upstream: "crm".to_owned(),
            today: of(1_500, 2, 0.5),
            month: of(40_000, 2, 12.0),
            mean: Mean { days: 4, requests: 3_000.4, cost_usd: 3.0 },
            quota,
            days: vec![
                Day { day: "2023-11-04".parse().unwrap(), sum: of(1_500, 2, 0.5) },
                Day { day: "2023-11-02".parse().unwrap(), sum: of(3_000, 0, 1.0) },
            ],
        }
    }

    #[test]
    fn what_was_asked_is_told_with_the_share_of_the_quota_and_where_it_leads() {
        let quota = |used: f64, runs_out_at: Option<&str>| QuotaUsage {
            per: "month",
            ends_at: "2023-12-01T00:00:00Z".to_owned(),
            requests: Some(Forecast {
                limit: 100_000.0,
                used,
                expected: used + 80_000.0,
                runs_out_at: runs_out_at.map(str::to_owned),
            }),
            cost_usd: None,
        };
        let says = |quota: Option<QuotaUsage>, words: &[&str]| {
            let text = spent(&one(quota)).into_string();
            for words in words {
                assert!(text.contains(words), "{words}: {text}");
            }
            text
        };
        let plain = says(
            None,
            &[
                "1,500 requests, $0.50, <span class=\"bad\">2 failed</span>",
                "40,000 requests, $12.00",
                "3,000 requests, $3.00",
            ],
        );
        assert!(!plain.contains("Quota"), "{plain}");
        let fine = says(
            Some(quota(5_000.0, None)),
            &["Quota of requests a month", "5,000 of 100,000 (5%), at its end 85%", "value=\"5000\""],
        );
        assert!(!fine.contains("runs out"), "{fine}");
        let soon = quota(40_000.0, Some("2023-11-20T00:00:00Z"));
        says(Some(soon), &["(40%), at its end 120%: <strong class=\"bad\">runs out</strong>", "2023-11-20 00:00:00"]);
        let gone = quota(120_000.0, Some("2023-11-04T00:00:00Z"));
        says(
            Some(gone),
            &["(120%)", "<strong class=\"bad\">used up</strong>, until", "value=\"100000\"", "2023-12-01"],
        );
    }

    #[test]
    fn each_day_has_its_bar_also_those_on_which_nothing_was_asked() {
        let text = charted(&one(None), "2023-11-04".parse().unwrap()).into_string();
        assert_eq!(text.matches("<rect").count(), 30);
        assert!(text.contains("Requests per day: 30 days, 3000 requests at most"), "{text}");
        assert!(text.contains("2023-11-03: 0 requests") && text.contains("2023-11-02: 3,000 requests"), "{text}");
        assert!(text.contains("2023-11-04: 1,500 requests, 2 failed or throttled"), "{text}");
        assert_eq!(text.matches("bar bad").count(), 1);
        assert_eq!(charted(&UpstreamUsage { days: Vec::new(), ..one(None) }, NaiveDate::default()).into_string(), "");
    }
}
