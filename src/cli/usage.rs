//! Owns: `usage`: what was asked of upstreams, what that cost, and what it comes to by the end of the day or month.
//!
//! Must not know: how any of it is counted.

use crate::ops::{Forecast, Sum, UpstreamUsage, UsageReport, bytes, dollars, rounded, usage, whole};
use crate::store::read;

use super::args::UsageArgs;
use super::exit::{CliError, Exit};
use super::find::nearest;
use super::out::Out;
use super::style::{self, paint};
use super::workspace::{SecretsAre, Workspace};

/// Prints it.
pub async fn run(args: &UsageArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    if let Some(name) = args.upstream.as_ref().filter(|name| !rules.upstreams.contains_key(*name)) {
        let known: Vec<&str> = rules.upstreams.keys().map(String::as_str).collect();
        return Err(CliError::Usage(format!("no upstream named `{name}` in the rules; {}", nearest(name, &known))));
    }
    let store = workspace.store_to_look()?;
    let (upstream, days, now) = (args.upstream.clone(), args.days, workspace.clock().now());
    let report = read(store.as_ref(), move |view| usage(view, &rules, upstream.as_deref(), days, now)).await?;
    let lists_days = args.upstream.is_some();
    out.show(&report, |report, width| text(report, lists_days, width))?;
    Ok(Exit::IN_SYNC)
}

fn text(report: &UsageReport, lists_days: bool, width: usize) -> String {
    let costs = report.upstreams.iter().any(|one| one.month.usage.cost_nano_usd > 0 || one.mean.cost_usd > 0.0);
    let mut header = vec!["upstream", "today", "this month", "a day"];
    if costs {
        header.push("cost this month");
    }
    header.extend(["quota", "at its end", "runs out"]);
    let rows = report.upstreams.iter().flat_map(|one| rows(one, costs)).collect();
    let mut text = style::table(width, &header, rows);
    for one in &report.upstreams {
        text += &warnings(one);
    }
    for one in report.upstreams.iter().filter(|_| lists_days) {
        text += &days_text(one, width);
    }
    text
}

/// One row per upstream, and a second one where cost has a limit as well.
fn rows(one: &UpstreamUsage, costs: bool) -> Vec<Vec<String>> {
    // Before a whole day is known that is today's pace.
    let mean = format!("{}{}", if one.mean.days == 0 { "~" } else { "" }, rounded(one.mean.requests));
    let mut head = vec![one.upstream.clone(), whole(one.today.usage.requests), whole(one.month.usage.requests), mean];
    if costs {
        head.push(dollars(one.month.cost_usd));
    }
    let limits = limits(one);
    if limits.is_empty() {
        head.extend(["–", "–", "–"].map(str::to_owned));
        return vec![head];
    }
    let row = |(at, (of, per, say)): (usize, &Limit<'_>)| {
        let mut row = if at == 0 { head.clone() } else { vec![String::new(); head.len()] };
        let share = format!("{:.0}%", of.expected / of.limit * 100.0);
        let runs_out = match &of.runs_out_at {
            Some(_) if of.used >= of.limit => "used up".to_owned(),
            Some(at) if *per == "day" => style::short(at).chars().skip(11).take(5).collect(),
            Some(at) => style::short(at).chars().take(10).collect(),
            None => "no".to_owned(),
        };
        row.extend([format!("{} a {per}", say(of.limit)), share, runs_out]);
        row
    };
    limits.iter().enumerate().map(row).collect()
}

/// A limit, its period, and how its amounts are written.
type Limit<'a> = (&'a Forecast, &'static str, fn(f64) -> String);

fn limits(one: &UpstreamUsage) -> Vec<Limit<'_>> {
    let Some(quota) = &one.quota else { return Vec::new() };
    let requests = quota.requests.as_ref().map(|of| (of, quota.per, rounded as fn(f64) -> String));
    let cost = quota.cost_usd.as_ref().map(|of| (of, quota.per, dollars as fn(f64) -> String));
    requests.into_iter().chain(cost).collect()
}

/// One line for each limit that will not do.
fn warnings(one: &UpstreamUsage) -> String {
    let line = |(of, per, say): Limit<'_>| {
        let at = style::short(of.runs_out_at.as_deref()?);
        let (name, limit, expected) = (&one.upstream, say(of.limit), say(of.expected));
        let (mark, words) = if of.used >= of.limit {
            (paint(style::BAD, "×"), format!("its {limit} a {per} are used up"))
        } else {
            let words = format!("at this rate its {limit} a {per} are used up at {at}; {expected} would be needed");
            (paint(style::CHANGED, "!"), words)
        };
        Some(format!("{mark} {name}: {words}\n"))
    };
    limits(one).into_iter().filter_map(line).collect()
}

fn days_text(one: &UpstreamUsage, width: usize) -> String {
    let header = ["day", "requests", "retries", "refused", "throttled", "failed", "sent", "received", "cost"];
    let row = |day: &dyn std::fmt::Display, Sum { usage, cost_usd }: &Sum| {
        let counts = [usage.requests, usage.retries, usage.refused, usage.throttled, usage.failed].map(whole);
        let mut row = vec![day.to_string()];
        row.extend(counts);
        row.extend([bytes(usage.sent_bytes), bytes(usage.received_bytes), dollars(*cost_usd)]);
        row
    };
    let rows: Vec<_> = one.days.iter().map(|day| row(&day.day, &day.sum)).collect();
    let table = style::table(width, &header, rows);
    if table.is_empty() { format!("{}: nothing was asked yet\n", one.upstream) } else { format!("\n{table}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Day, Mean, QuotaUsage};
    use crate::store::Usage;

    #[test]
    fn usage_is_told_with_its_forecast_and_day_by_day() {
        let sum = |requests: u64, cost_usd: f64| Sum {
            usage: Usage {
                requests,
                retries: 2,
                refused: 1,
                throttled: 1,
                failed: 1,
                sent_bytes: 12_000,
                received_bytes: 3_400_000,
                cost_nano_usd: 1,
            },
            cost_usd,
        };
        let of = |limit: f64, expected: f64, runs_out_at: Option<&str>| {
            let runs_out_at = runs_out_at.map(str::to_owned);
            Some(Forecast { limit, used: 3_500.0, expected, runs_out_at })
        };
        let one = |upstream: &str, quota| UpstreamUsage {
            upstream: upstream.to_owned(),
            today: sum(500, 0.5),
            month: sum(3_500, 3.5),
            mean: Mean { days: if upstream == "crm" { 4 } else { 0 }, requests: 3_000.4, cost_usd: 3.0 },
            quota,
            days: vec![
                Day { day: "2023-11-04".parse().unwrap(), sum: sum(500, 0.5) },
                Day { day: "2023-11-03".parse().unwrap(), sum: sum(3_000, 0.0001) },
            ],
        };
        let quota = |requests, cost_usd| {
            Some(QuotaUsage { per: "month", ends_at: "2023-12-01T00:00:00Z".to_owned(), requests, cost_usd })
        };
        let crm = quota(of(100_000.0, 83_000.0, None), of(20_000.0, 80_000.0, Some("2023-11-10T00:00:00Z")));
        let upstreams = vec![
            one("crm", crm),
            one("erp", None),
            one("shop", quota(of(3_000.0, 9_000.0, Some("2023-11-04T12:00:00Z")), None)),
        ];
        let report = UsageReport { as_of: "2023-11-04T12:00:00Z".to_owned(), upstreams };
        insta::assert_snapshot!("usage", style::bare(&text(&report, false, 130)));
        let UsageReport { as_of, mut upstreams } = report;
        upstreams.truncate(1);
        insta::assert_snapshot!("usage_by_day", style::bare(&text(&UsageReport { as_of, upstreams }, true, 130)));
    }
}
