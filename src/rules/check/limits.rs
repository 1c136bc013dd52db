//! Owns: the checks of what an upstream bears: its budgets, the breaker.
//!
//! Must not know: the rest of an upstream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::binding::transpose;
use super::context::Cx;
use super::files::Definitions;
use super::upstream::within;
use crate::record::Path;
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, PathOrHeader};
use crate::rules::model::{BreakerRules, Budget, Cost, CostAt, NextAt, RequestMatch, ResetUnit, Signals, Upstream};
use crate::rules::shape::{At, Either, Key, List};
use crate::rules::units::Text;

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
        let scope = at.scope.get().and_then(|at| scope(at, cx));
        budgets.push(Budget { matches, scope, limit, per: per.value.0, cost, weights, cost_nano_usd, signals });
    }
    budgets
}

fn scope(at: &At<Text>, cx: &mut Cx<'_>) -> Option<String> {
    let name = cx.plain(at)?;
    if name.trim().is_empty() {
        cx.notes.error(DiagnosticKind::Invalid, at.span, "a scope without a name").help("write scope = \"account\"");
    }
    Some(name)
}

/// A scope is one budget, and more than one has to be of it. Known at this point: there are no errors, so that raw and checked
/// budgets stand in the same order.
pub fn check_scopes(definitions: &Definitions, upstreams: &BTreeMap<String, Arc<Upstream>>, cx: &mut Cx<'_>) {
    let mut scopes: BTreeMap<&str, Vec<(&str, Span, &Budget)>> = BTreeMap::new();
    for (name, upstream) in upstreams {
        let raw = definitions.upstreams.get(name).and_then(|definition| definition.value.get()?.budget.get());
        let raw = raw.map(|raw| raw.value.as_slice()).unwrap_or_default();
        for (at, budget) in raw.iter().zip(&upstream.budgets) {
            let named = at.scope.get().map(|at| at.span).zip(budget.scope.as_deref());
            if let Some((span, scope)) = named {
                scopes.entry(scope).or_default().push((name, span, budget));
            }
        }
    }
    for (scope, members) in scopes {
        let [(first, at, budget), rest @ ..] = members.as_slice() else { continue };
        if rest.is_empty() {
            cx.notes.inert(*at, "scope", format_args!("no other upstream has a budget of the scope `{scope}`"));
        }
        for (position, (upstream, span, other)) in rest.iter().enumerate() {
            let before = members.iter().take(position + 1);
            if before.clone().any(|(known, ..)| known == upstream) {
                cx.notes
                    .error(DiagnosticKind::Conflict, *span, format!("the scope `{scope}` twice at `{upstream}`"))
                    .help("one budget can cover both: with another `match`, or with `weights`");
            } else if (other.limit, other.per, other.cost.units) != (budget.limit, budget.per, budget.cost.units) {
                cx.notes
                    .error(
                        DiagnosticKind::Conflict,
                        *span,
                        format!("the scope `{scope}` is another budget at `{first}`: a scope has one `limit`, `per` and `cost`"),
                    )
                    .help(format!("write limit = {} and per = \"{}s\", or name another scope", budget.limit, budget.per.as_secs_f64()));
            }
        }
    }
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
            let answer = table.answer.get().and_then(|at| cost_at(at, cx));
            let Some(estimate) = table.estimate.get() else { return Cost::default() };
            (estimate.value, estimate.span, answer)
        }
    };
    check_units(units, limit, span, cx);
    Cost { units, answer }
}

fn cost_at(at: &At<PathOrHeader>, cx: &mut Cx<'_>) -> Option<CostAt> {
    match &at.value {
        Either::Short(jq) if jq.0.trim().parse::<f64>().is_ok() => {
            cx.notes
                .error(DiagnosticKind::Invalid, at.span, "a number says of every answer the same")
                .help("write cost = 5 without `answer`, or where the answer tells it: answer = \".cost\"");
            None
        }
        Either::Short(jq) if Path::parse(jq.0.trim()).is_none() => {
            let jq = At { key: at.key, span: at.span, value: jq.clone() };
            cx.filter(&jq, &[]).map(CostAt::Filter)
        }
        Either::Short(_) | Either::Table(_) => cx.next_at(at).map(CostAt::Place),
    }
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
    let raw = &at.value;
    if raw.remaining.is_absent() && raw.reset.is_absent() && raw.wait.is_absent() {
        cx.notes
            .error(DiagnosticKind::Missing, at.span, "signals that say neither what is left nor for how long nothing is")
            .help("write remaining = { header = \"X-RateLimit-Remaining\" }, or wait = { path = \".retry_after\", unit = \"s\" }");
    }
    if let (Some(limit), true) = (raw.limit.get(), raw.remaining.is_absent()) {
        cx.notes.inert(limit.key, "limit", "the signals do not say what is left of it (`remaining`)");
    }
    let remaining = raw.remaining.get().map(|at| cx.next_at(at));
    let limit = raw.limit.get().map(|at| cx.next_at(at));
    let mut time = |key: &Key<grammar::SignalReset>| key.get().map(|at| reset(at, cx));
    let (reset, wait) = (time(&raw.reset), time(&raw.wait));
    let (remaining, limit) = (transpose(remaining)?, transpose(limit)?);
    Some(Signals { remaining, limit, reset: transpose(reset)?, wait: transpose(wait)? })
}

fn reset(at: &At<grammar::SignalReset>, cx: &mut Cx<'_>) -> Option<(NextAt, ResetUnit)> {
    let place = match (at.value.header.get(), at.value.path.get()) {
        (Some(header), None) => cx.header(header).map(NextAt::Header),
        (None, Some(path)) => cx.path(path).map(NextAt::Body),
        (Some(_), Some(path)) => {
            cx.notes
                .error(DiagnosticKind::Conflict, path.key, "it is told in a header or in the body")
                .help("leave out `header` or `path`");
            None
        }
        (None, None) => {
            if at.value.header.is_absent() && at.value.path.is_absent() {
                cx.notes
                    .error(DiagnosticKind::Missing, at.span, "where the time is told is missing")
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
