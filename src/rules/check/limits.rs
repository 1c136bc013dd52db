//! Owns: the checks of what an upstream bears: its budgets, the breaker.
//!
//! Must not know: the rest of an upstream.

use std::time::Duration;

use super::binding::transpose;
use super::context::Cx;
use super::upstream::within;
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar;
use crate::rules::model::{BreakerRules, Budget, Cost, NextAt, RequestMatch, ResetUnit, Signals};
use crate::rules::shape::{At, Either, Key, List};

const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
/// The greatest limit of a budget.
const LIMIT_MAX: u64 = 1_000_000_000;
/// The longest that an upstream is left alone.
const OPEN_MAX: Duration = Duration::from_hours(24);

/// Checks the budgets of an upstream.
pub fn budgets(raw: &grammar::Upstream, cx: &mut Cx<'_>) -> Vec<Budget> {
    let mut budgets = Vec::new();
    for at in raw.budget.get().map(|at| at.value.as_slice()).unwrap_or_default() {
        let limit = within(&at.limit, 1, 1..=LIMIT_MAX, "limit", cx);
        let Some(per) = at.per.get() else { continue };
        if per.value.0.is_zero() {
            cx.notes.error(DiagnosticKind::Invalid, per.span, "a window of no length").help("write per = \"1s\"");
        }
        let cost_nano_usd = at.cost_usd.get().map_or(0, |at| at.value.0);
        if let Some(at) = at.cost_usd.get().filter(|at| at.value.0 == 0) {
            cx.notes.inert(at.key, "cost_usd", "nothing is what a request costs anyway");
        }
        let cost = cost(&at.cost, limit, cx);
        let weights = weights(&at.weights, limit, cx);
        let signals = at.signals.get().and_then(|at| signals(at, cx));
        let matches = request_match(&at.r#match, cx);
        budgets.push(Budget { matches, limit, per: per.value.0, cost, weights, cost_nano_usd, signals });
    }
    budgets
}

/// What a request costs is at most what there is: else none could ever leave.
fn cost(key: &Key<Either<u64, grammar::BudgetCost>>, limit: u64, cx: &mut Cx<'_>) -> Cost {
    let Some(at) = key.get() else { return Cost::default() };
    let (units, span, answer) = match &at.value {
        Either::Short(units) => {
            if *units == 1 {
                cx.notes.inert(at.key, "cost", "1 is what a request takes anyway");
            }
            (*units, at.span, None)
        }
        Either::Table(table) => {
            let answer = table.answer.get().and_then(|at| cx.path(at));
            let Some(estimate) = table.estimate.get() else { return Cost::default() };
            (estimate.value, estimate.span, answer)
        }
    };
    check_units(units, limit, span, cx);
    Cost { units, answer }
}

fn check_units(units: u64, limit: u64, span: Span, cx: &mut Cx<'_>) {
    if !(1..=limit).contains(&units) {
        cx.notes
            .error(
                DiagnosticKind::Invalid,
                span,
                format!("a request takes between 1 and the `limit` of {limit}, not {units}"),
            )
            .help("a request that takes more than the limit could never leave");
    }
}

/// Requests that take otherwise.
fn weights(key: &Key<List<grammar::Weight>>, limit: u64, cx: &mut Cx<'_>) -> Vec<(RequestMatch, u64)> {
    let mut weights = Vec::new();
    for at in key.get().map(|at| at.value.as_slice()).unwrap_or_default() {
        let matches = request_match(&at.r#match, cx);
        let Some(cost) = at.cost.get() else { continue };
        check_units(cost.value, limit, cost.span, cx);
        weights.push((matches, cost.value));
    }
    weights
}

fn signals(at: &At<grammar::Signals>, cx: &mut Cx<'_>) -> Option<Signals> {
    let remaining = at.value.remaining.get().and_then(|at| cx.next_at(at));
    let limit = at.value.limit.get().map(|at| cx.next_at(at));
    let reset = at.value.reset.get().map(|at| reset(at, cx));
    Some(Signals { remaining: remaining?, limit: transpose(limit)?, reset: transpose(reset)? })
}

fn reset(at: &At<grammar::SignalReset>, cx: &mut Cx<'_>) -> Option<(NextAt, ResetUnit)> {
    let place = match (at.value.header.get(), at.value.path.get()) {
        (Some(header), None) => cx.header(header).map(NextAt::Header),
        (None, Some(path)) => cx.path(path).map(NextAt::Body),
        (Some(_), Some(path)) => {
            cx.notes
                .error(DiagnosticKind::Conflict, path.key, "the end of the window is in a header or in the body")
                .help("leave out `header` or `path`");
            None
        }
        (None, None) => {
            if at.value.header.is_absent() && at.value.path.is_absent() {
                cx.notes
                    .error(DiagnosticKind::Missing, at.span, "where the end of the window stands is missing")
                    .help("write header = \"X-RateLimit-Reset\", or path = \".reset\"");
            }
            None
        }
    };
    Some((place?, at.value.unit.get()?.value))
}

fn request_match(key: &Key<grammar::RequestMatch>, cx: &mut Cx<'_>) -> RequestMatch {
    let Some(at) = key.get() else { return RequestMatch::default() };
    if at.path.is_absent() && at.method.is_absent() {
        cx.notes.inert(at.key, "match", "it is empty, and a budget covers all requests anyway");
    }
    let method = at.method.get().map(|at| {
        let method = at.value.0.clone();
        if !METHODS.contains(&method.as_str()) {
            cx.notes.unknown(at.span, format!("\"{method}\" is no method"), &method.to_ascii_uppercase(), METHODS);
        }
        method
    });
    let path = at.path.get().and_then(|at| {
        let path = cx.plain(at)?;
        if !path.starts_with(['/', '*']) {
            cx.notes
                .error(DiagnosticKind::Invalid, at.span, format!("the pattern \"{path}\" does not begin with `/`"))
                .help("write \"/search*\"");
        }
        Some(path)
    });
    RequestMatch { path, method }
}

/// Checks the breaker of an upstream.
pub fn breaker(key: &Key<grammar::Breaker>, cx: &mut Cx<'_>) -> BreakerRules {
    let default = BreakerRules::default();
    let Some(at) = key.get() else { return default };
    let calls_min = within(&at.calls_min, default.calls_min as u64, 1..=1000, "calls_min", cx);
    let mut time = |key: &Key<crate::rules::units::Period>, usual: Duration, name: &str| {
        let Some(at) = key.get() else { return usual };
        if !(Duration::from_secs(1)..=OPEN_MAX).contains(&at.value.0) {
            cx.notes
                .error(DiagnosticKind::Invalid, at.span, format!("`{name}` is between 1s and 24h"))
                .help(format!("the default is {}s", usual.as_secs()));
        }
        at.value.0
    };
    let open = time(&at.open, default.open, "open");
    let open_max = time(&at.open_max, default.open_max.max(open), "open_max");
    if let Some(at) = at.open_max.get().filter(|_| open_max < open) {
        cx.notes.error(DiagnosticKind::Conflict, at.span, "`open_max` is shorter than `open`").help("leave it out");
    }
    let failure_ratio = at.failure_ratio.get().map_or(default.failure_ratio, |at| at.value.0);
    BreakerRules { failure_ratio, calls_min: usize::try_from(calls_min).unwrap_or(default.calls_min), open, open_max }
}
