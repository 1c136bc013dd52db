//! Owns: whether an upstream that keeps failing is asked at all: the circuit breaker.
//!
//! Must not know: clocks, requests, what a failing call means for its work. `now` is monotonic time and an argument.
//!
//! The pattern is Nygard's ("Release It!", stability patterns): closed, open for a while, half-open with a few probes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::rules::BreakerRules;

/// So many of the latest calls count at least, however long ago they were.
const RECENT_CALLS: usize = 20;
/// All calls of so long count, too.
const RECENT: Duration = Duration::from_mins(1);
/// Never more calls than this are remembered.
const CALLS_MAX: usize = 1000;
/// Probes that have to succeed one after the other: one, then three.
const PROBES: u32 = 1 + 3;

/// Whether a call may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// As usual.
    Free,
    /// As a probe, one at a time.
    Probe,
    /// Not before so much time has passed.
    Refused(Duration),
}

/// What the breaker knows.
#[derive(Clone, Debug)]
pub struct Breaker {
    rules: BreakerRules,
    state: State,
    /// How often it opened since it was last closed.
    openings: u32,
    /// When each of the latest calls ended, and whether it failed; the oldest first.
    calls: VecDeque<(Duration, bool)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        until: Duration,
    },
    HalfOpen {
        probes_left: u32,
    },
}

/// What outlives the process: how long it is still open (zero: half-open), or how the latest calls went while it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// Open or half-open.
    Open {
        /// How long it is open still.
        left: Duration,
        /// How often it opened in a row.
        openings: u32,
    },
    /// Closed: the latest calls, the oldest first; `true` for one that failed.
    Closed(Vec<bool>),
}

impl Breaker {
    /// Closed, and nothing is known.
    pub fn new(rules: BreakerRules) -> Self {
        Self { rules, state: State::Closed, openings: 0, calls: VecDeque::new() }
    }

    /// Goes on where an earlier process stopped.
    pub fn remember(rules: BreakerRules, remembered: Remembered, now: Duration) -> Self {
        match remembered {
            Remembered::Open { left, openings } => {
                let until = now + left.min(rules.open_max + rules.open_max / 10);
                Self { rules, state: State::Open { until }, openings: openings.max(1), calls: VecDeque::new() }
            }
            Remembered::Closed(calls) => {
                let skip = calls.len().saturating_sub(recent_calls(rules));
                let calls = calls.into_iter().skip(skip).map(|failed| (Duration::ZERO, failed)).collect();
                Self { rules, state: State::Closed, openings: 0, calls }
            }
        }
    }

    /// What is worth keeping; `None` where all is well.
    pub fn kept(&self, now: Duration) -> Option<Remembered> {
        match self.state {
            State::Open { until } => {
                Some(Remembered::Open { left: until.saturating_sub(now), openings: self.openings })
            }
            State::HalfOpen { .. } => Some(Remembered::Open { left: Duration::ZERO, openings: self.openings }),
            State::Closed => {
                let skip = self.calls.len().saturating_sub(recent_calls(self.rules));
                let calls: Vec<bool> = self.calls.iter().skip(skip).map(|(_, failed)| *failed).collect();
                calls.contains(&true).then_some(Remembered::Closed(calls))
            }
        }
    }

    /// Asks for leave. What was open long enough becomes half-open.
    pub fn ask(&mut self, now: Duration) -> Leave {
        match self.state {
            State::Closed => Leave::Free,
            State::Open { until } if now < until => Leave::Refused(until.saturating_sub(now)),
            State::Open { .. } => {
                self.state = State::HalfOpen { probes_left: PROBES };
                Leave::Probe
            }
            State::HalfOpen { .. } => Leave::Probe,
        }
    }

    /// How long it is open still; `None` where it is not.
    pub fn open_for(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Open { until } if now < until => Some(until.saturating_sub(now)),
            State::Open { .. } | State::HalfOpen { .. } | State::Closed => None,
        }
    }

    /// Notes how a call ended that left as a probe, or not. `random` is uniform over all 64 bits.
    pub fn note(&mut self, probe: bool, failed: bool, now: Duration, random: u64) {
        match (self.state, probe, failed) {
            (State::Closed, _, _) => {
                self.calls.push_back((now, failed));
                self.forget_old(now);
                if failed && self.is_too_much() {
                    self.open(now, random);
                }
            }
            // What left before it opened says nothing new.
            (State::Open { .. }, _, _) | (State::HalfOpen { .. }, false, _) => {}
            (State::HalfOpen { .. }, true, true) => self.open(now, random),
            (State::HalfOpen { probes_left: 0 | 1 }, true, false) => *self = Self::new(self.rules),
            (State::HalfOpen { probes_left }, true, false) => {
                self.state = State::HalfOpen { probes_left: probes_left - 1 };
            }
        }
    }

    fn forget_old(&mut self, now: Duration) {
        let is_old = |(at, _): &(Duration, bool)| *at + RECENT <= now;
        while self.calls.len() > CALLS_MAX
            || (self.calls.len() > recent_calls(self.rules) && self.calls.front().is_some_and(is_old))
        {
            self.calls.pop_front();
        }
    }

    fn is_too_much(&self) -> bool {
        let failed = self.calls.iter().filter(|(_, failed)| *failed).count();
        #[expect(clippy::cast_precision_loss, reason = "a thousand calls at most")]
        let share = failed as f64 / self.calls.len().max(1) as f64;
        self.calls.len() >= self.rules.calls_min && share >= self.rules.failure_ratio
    }

    fn open(&mut self, now: Duration, random: u64) {
        let doublings = self.openings.min(16);
        let open = self.rules.open.saturating_mul(1 << doublings).min(self.rules.open_max);
        self.openings = self.openings.saturating_add(1);
        self.state = State::Open { until: now + open + super::uniform(open / 10, random) };
        self.calls.clear();
    }
}

/// So many of the latest calls count, however long ago they were.
fn recent_calls(rules: BreakerRules) -> usize {
    RECENT_CALLS.max(rules.calls_min)
}
