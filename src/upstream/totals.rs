//! Owns: what was asked of one upstream since the process began, in counters that only grow.
//!
//! Must not know: days, months; what is written down.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Histogram, Response, TransportError};

/// Upper bounds of the durations of requests, in seconds.
const BOUNDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// By an answer below 400.
    Ok,
    /// By a 4xx, but for 429.
    Refused,
    /// By a 429.
    Throttled,
    /// By a 5xx, or without an answer.
    Failed,
}

/// What a request waited for before it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitFor {
    /// Room in the budgets, or the end of a pause that the upstream asked for.
    Room,
    /// Its next attempt.
    Retry,
}

/// What was asked of an upstream since the process began.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    durations: BTreeMap<End, Histogram>,
    waits: BTreeMap<WaitFor, (u64, Duration)>,
    /// Requests that repeated another one.
    pub retries: u64,
    /// Bytes of the bodies that were sent.
    pub sent_bytes: u64,
    /// Bytes of the bodies that came back, unpacked.
    pub received_bytes: u64,
    /// What requests cost, in billionths of a US dollar.
    pub cost_nano_usd: u64,
}

impl End {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Refused, Self::Throttled, Self::Failed];

    /// As it is told.
    pub fn of(outcome: &Result<Response, TransportError>) -> Self {
        match outcome.as_ref().map(|response| response.status) {
            Ok(429) => Self::Throttled,
            Ok(400..500) => Self::Refused,
            Ok(500..) | Err(_) => Self::Failed,
            Ok(_) => Self::Ok,
        }
    }
}

impl WaitFor {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Room, Self::Retry];
}

impl Totals {
    /// How long requests took that ended so.
    pub fn durations(&self, end: End) -> &Histogram {
        &self.durations[&end]
    }

    /// How often requests waited for that, and how long in all.
    pub fn waits(&self, what: WaitFor) -> (u64, Duration) {
        self.waits[&what]
    }

    pub(super) fn took(&mut self, end: End, took: Duration) {
        self.durations.entry(end).or_insert_with(|| Histogram::new(&BOUNDS)).add(took);
    }

    pub(super) fn waited(&mut self, what: WaitFor, wait: Duration) {
        let (count, sum) = self.waits.entry(what).or_default();
        (*count, *sum) = (*count + 1, sum.saturating_add(wait));
    }
}

/// With all ends and waits, so that what never happened is told as 0.
impl Default for Totals {
    fn default() -> Self {
        Self {
            durations: End::ALL.map(|end| (end, Histogram::new(&BOUNDS))).into(),
            waits: WaitFor::ALL.map(|what| (what, (0, Duration::ZERO))).into(),
            retries: 0,
            sent_bytes: 0,
            received_bytes: 0,
            cost_nano_usd: 0,
        }
    }
}
