//! Owns: the checks of what is watched of an upstream: its quota, its health.
//!
//! Must not know: how it is watched.

use std::time::Duration;

use super::context::Cx;
use super::request;
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar;
use crate::rules::model::{Budget, Cost, Health, Quota, QuotaPeriod, RequestMatch};
use crate::rules::shape::{At, Key};
use crate::rules::units::Period;

const DAY: Duration = Duration::from_hours(24);
/// How often upstreams are asked.
const EVERY: Duration = Duration::from_mins(1);
const EVERY_MIN: Duration = Duration::from_secs(1);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_MIN: Duration = Duration::from_millis(10);

/// The quota of the rules, else the longest budget of a day or a month that covers every request.
pub fn quota(raw: &Key<grammar::Quota>, budgets: &[Budget], cx: &mut Cx<'_>) -> Option<Quota> {
    let Some(at) = raw.get() else { return of_budgets(budgets) };
    if at.requests.is_absent() && at.cost_usd.is_absent() {
        cx.notes
            .error(DiagnosticKind::Missing, at.key, "a quota without `requests` and `cost_usd` limits nothing")
            .help("write requests = 1_000_000, or cost_usd = 50");
    }
    if let Some(at) = at.requests.get().filter(|at| at.value == 0) {
        cx.notes.error(DiagnosticKind::Invalid, at.span, "a quota of no requests").help("write requests = 1_000_000");
    }
    if let Some(at) = at.cost_usd.get() {
        if at.value.0 == 0 {
            cx.notes.error(DiagnosticKind::Invalid, at.span, "a quota of no cost").help("write cost_usd = 50");
        } else if budgets.iter().all(|budget| budget.cost_nano_usd == 0) {
            cx.notes.inert(at.key, "cost_usd", "no budget of this upstream says what a request costs");
        }
    }
    Some(Quota {
        requests: at.requests.get().map(|at| at.value),
        cost_nano_usd: at.cost_usd.get().map(|at| at.value.0),
        per: at.per.or(QuotaPeriod::Month),
    })
}

/// The probe of the rules; where it has no request, by that of `check`.
pub fn health(at: &At<grammar::Health>, check: &Key<grammar::Check>, cx: &mut Cx<'_>) -> Option<Health> {
    let every = period(&at.every, EVERY, EVERY_MIN, "every", cx);
    let timeout = period(&at.timeout, TIMEOUT, TIMEOUT_MIN, "timeout", cx);
    let request = match (&at.request, check) {
        (Key::Given(own), _) => request::lower(own, request::PROBE, cx),
        // What is wrong with it is said there.
        (Key::Absent, Key::Given(check)) => request::lower(check.value.request.get()?, request::PROBE, cx),
        (Key::Absent, Key::Absent) => {
            cx.notes
                .error(DiagnosticKind::Missing, at.key, "a health probe without a request, and there is no `check`")
                .help("write request = \"GET /status\"");
            None
        }
        _ => None,
    };
    Some(Health { request: request?, every, timeout })
}

fn period(key: &Key<Period>, default: Duration, least: Duration, name: &str, cx: &mut Cx<'_>) -> Duration {
    let Some(at) = key.get() else { return default };
    if at.value.0 < least {
        let message = format!("`{name}` of a health probe is at least {} ms", least.as_millis());
        cx.notes
            .error(DiagnosticKind::Invalid, at.span, message)
            .help(format!("the default is {}s", default.as_secs()));
    }
    at.value.0
}

fn of_budgets(budgets: &[Budget]) -> Option<Quota> {
    let period = |budget: &Budget| {
        let days = budget.per.as_secs_f64() / DAY.as_secs_f64();
        match days {
            _ if budget.matches != RequestMatch::default()
                || budget.cost != Cost::default()
                || !budget.weights.is_empty() =>
            {
                None
            }
            1.0 => Some(QuotaPeriod::Day),
            28.0..=31.0 => Some(QuotaPeriod::Month),
            _ => None,
        }
    };
    let (budget, per) = budgets
        .iter()
        .filter_map(|budget| Some((budget, period(budget)?)))
        .max_by_key(|(budget, _)| (budget.per, std::cmp::Reverse(budget.limit)))?;
    Some(Quota { requests: Some(budget.limit), cost_nano_usd: None, per })
}
