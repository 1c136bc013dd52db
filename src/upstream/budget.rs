//! Owns: when the next request may leave under the declared budgets, and the gate that a throttled upstream closes.
//!
//! Must not know: clocks; `now` is monotonic time and comes in as an argument.
//!
//! A sliding log, not a token bucket: a bucket of `limit` tokens that refills lets twice the limit through in one window.

use std::collections::VecDeque;
use std::time::Duration;

use crate::rules::{Budget, RequestMatch};

/// Above this many requests per window, requests share entries of the log.
const ENTRIES_MAX: u64 = 4096;
/// Requests may reach the upstream closer together than they left: windows are longer by a twentieth, at most by this.
const MARGIN_MAX: Duration = Duration::from_millis(250);

/// All budgets of an upstream, with what was spent, and its gate.
#[derive(Debug)]
pub struct Budgets {
    windows: Vec<Window>,
    gate_until: Duration,
}

#[derive(Debug)]
struct Window {
    matches: RequestMatch,
    limit: u64,
    per: Duration,
    /// Requests that are still in the window.
    spent: u64,
    log: VecDeque<Entry>,
}

/// Requests between two moments; they leave the window together, with the last of them.
#[derive(Debug)]
struct Entry {
    first: Duration,
    last: Duration,
    count: u64,
}

impl Budgets {
    /// Nothing spent, gate open.
    pub fn new(budgets: &[Budget]) -> Self {
        let window = |budget: &Budget| Window {
            matches: budget.matches.clone(),
            limit: budget.limit.max(1),
            per: budget.per + (budget.per / 20).min(MARGIN_MAX),
            spent: 0,
            log: VecDeque::new(),
        };
        Self { windows: budgets.iter().map(window).collect(), gate_until: Duration::ZERO }
    }

    /// Debits every budget that covers the request, or debits none and says how long to wait before asking again.
    pub fn take(&mut self, method: &str, path: &str, now: Duration) -> Result<(), Duration> {
        let mut wait = self.gate_until.saturating_sub(now);
        let mut covering: Vec<&mut Window> =
            self.windows.iter_mut().filter(|window| covers(&window.matches, method, path)).collect();
        for window in &mut covering {
            wait = wait.max(window.wait(now));
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        for window in covering {
            window.debit(now);
        }
        Ok(())
    }

    /// Nothing leaves before `until`; an earlier moment does not open a gate that is closed for longer.
    pub fn close_gate(&mut self, until: Duration) {
        self.gate_until = self.gate_until.max(until);
    }
}

impl Window {
    fn wait(&mut self, now: Duration) -> Duration {
        while let Some(entry) = self.log.front().filter(|entry| entry.last + self.per <= now) {
            self.spent -= entry.count;
            self.log.pop_front();
        }
        match self.log.front() {
            Some(oldest) if self.spent >= self.limit => (oldest.last + self.per).saturating_sub(now),
            _ => Duration::ZERO,
        }
    }

    fn debit(&mut self, now: Duration) {
        self.spent += 1;
        let grain = if self.limit > ENTRIES_MAX { self.per / 1024 } else { Duration::ZERO };
        match self.log.back_mut() {
            Some(entry) if now.saturating_sub(entry.first) < grain => {
                entry.last = entry.last.max(now);
                entry.count += 1;
            }
            _ => self.log.push_back(Entry { first: now, last: now, count: 1 }),
        }
    }
}

fn covers(matches: &RequestMatch, method: &str, path: &str) -> bool {
    matches.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
        && matches.path.as_ref().is_none_or(|pattern| matches_pattern(pattern, path))
}

/// `*` stands for anything, also nothing and also slashes.
fn matches_pattern(pattern: &str, path: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = path.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece).and_then(|at| rest.get(at + piece.len()..)) {
            Some(tail) => rest = tail,
            None => return false,
        }
    }
    rest.ends_with(last)
}
