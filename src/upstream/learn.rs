//! Owns: what is learnt about the limits of an upstream from one of its answers.
//!
//! Must not know: how requests are held back; what an answer means for its work.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::classify::{Pace, Safety, Verdict, classify};
use super::state::State;
use super::{Built, Response, budget, path_below, ratelimit, retry_after};
use crate::clock::Clock;
use crate::rules::{Budget, Upstream};

/// Learns from the answer to a request that was debited then; returns the wait of an exhausted limit. What the answer says is
/// read before the state is held.
pub fn learn(
    (upstream, state): (&Upstream, &Mutex<State>),
    request: &Built,
    answer: &Response,
    (debited, clock): (Duration, &dyn Clock),
) -> Option<Duration> {
    let path = path_below(&upstream.base_url, &request.url);
    let exhausted = ratelimit::exhausted_for(&ratelimit::parse_rate_limits(&answer.headers, clock.now()));
    let throttled = wants_to_know(&upstream.budgets) && is_throttled(upstream, answer, exhausted.is_some());
    let of = (request.method.as_str(), path);
    let heard = budget::hear(&upstream.budgets, of, (answer, throttled), clock.now());
    let wait = exhausted.max(retry_after::parse_backoff(&answer.headers));
    if heard.is_empty() && wait.is_none() {
        return exhausted;
    }
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.budgets.learn(&heard, debited, clock.monotonic());
    if let Some(wait) = wait {
        state.leave_alone(wait, wait, clock.monotonic());
    }
    exhausted
}

/// Whether it matters that an answer throttles.
fn wants_to_know(budgets: &[Budget]) -> bool {
    let mut signals = budgets.iter().filter_map(|budget| budget.signals.as_ref());
    signals.any(|signals| signals.reset.is_some() && signals.remaining.is_none())
}

fn is_throttled(upstream: &Upstream, answer: &Response, exhausted: bool) -> bool {
    let verdict = classify(Ok(answer), Safety::Read, false, exhausted, &upstream.errors);
    matches!(verdict, Verdict::Retry { pace: Pace::Throttled, .. })
}
