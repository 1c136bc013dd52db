//! Owns: what a client knows of its upstream between calls: budgets, breaker, retry tokens, waits; and how that is kept.
//!
//! Must not know: clocks, requests under way. Wall and monotonic time come in as arguments.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::breaker::{Breaker, Remembered};
use super::budget::{BudgetUse, Budgets};
use super::{BreakerState, Built, Kept, KeptBreaker, KeptBudget, words};
use crate::rules::{BreakerRules, Budget};

/// The retry budget of an upstream, in tokens. A call that succeeds at once earns one.
const RETRY_TOKENS_MAX: u32 = 500;
const RETRY_COST: u32 = 5;
const TIMEOUT_RETRY_COST: u32 = 10;
/// Times that are kept are whole seconds.
const ROUNDED: Duration = Duration::from_secs(1);

/// What is known of one upstream.
pub struct State {
    /// What may be sent when.
    pub budgets: Budgets,
    /// Whether it is asked at all.
    pub breaker: Breaker,
    /// Until when the upstream asked us to wait, in its own words: the gate is closed a little longer.
    pub asked_until: Duration,
    /// The read that succeeded last: asked again to probe, where a write would be the first to meet an upstream that failed.
    pub last_read: Option<Built>,
    rules: BreakerRules,
    retry_tokens: u32,
    /// What an earlier process left was taken over.
    remembered: bool,
}

/// How much an upstream may be asked at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// The declared budgets.
    pub budgets: Vec<BudgetUse>,
    /// For so long it is asked nothing, since it asked for a pause.
    pub pause: Duration,
    /// So many requests may be under way at once: as many as it bears, as far as its answers tell, and at most.
    pub at_once: (usize, usize),
}

impl State {
    /// Nothing is known yet.
    pub fn new(budgets: &[Budget], breaker: BreakerRules) -> Self {
        Self {
            budgets: Budgets::new(budgets),
            breaker: Breaker::new(breaker),
            rules: breaker,
            asked_until: Duration::ZERO,
            last_read: None,
            retry_tokens: RETRY_TOKENS_MAX,
            remembered: false,
        }
    }

    /// A call succeeded at its first attempt.
    pub fn earn_retry(&mut self) {
        self.retry_tokens = (self.retry_tokens + 1).min(RETRY_TOKENS_MAX);
    }

    /// Pays for another attempt; false where the retry budget does not allow it.
    pub fn spend_retry(&mut self, timed_out: bool) -> bool {
        let cost = if timed_out { TIMEOUT_RETRY_COST } else { RETRY_COST };
        let left = self.retry_tokens.checked_sub(cost);
        self.retry_tokens = left.unwrap_or(self.retry_tokens);
        left.is_some()
    }

    /// Nothing is sent for so long, as the upstream asked; the gate is closed for `wait`, which may be a little longer.
    pub fn leave_alone(&mut self, asked: Duration, wait: Duration, now: Duration) {
        self.budgets.close_gate(now + wait.max(asked));
        self.asked_until = self.asked_until.max(now + asked);
    }

    /// Who asks for a wait, in words.
    pub fn why_wait(&self, wait: Duration, now: Duration) -> String {
        // The upstream's own number is told; the pause is up to a tenth longer, so as not to come back with everybody.
        let asked = self.asked_until.saturating_sub(now);
        if asked.is_zero() || asked + asked / 10 < wait {
            format!("a budget asks to wait {}", words::duration(wait))
        } else {
            format!("the upstream asks to wait {}", words::duration(asked))
        }
    }

    /// What the next process should know. Times are whole seconds.
    pub fn kept(&self, wall: DateTime<Utc>, now: Duration) -> Kept {
        let at = |left: Duration| {
            let left = TimeDelta::from_std(left).ok()?;
            wall.checked_add_signed(left).map(|at| at.round_subsecs(0))
        };
        let asked = self.asked_until.saturating_sub(now);
        let breaker = self.breaker.kept(now).map(|remembered| match remembered {
            Remembered::Open { left, openings } => {
                // Half-open has no time to be told: rounded, that might still be to come.
                let until = if left.is_zero() { None } else { at(left) };
                KeptBreaker { state: BreakerState::Open, until, openings, recent: String::new() }
            }
            Remembered::Closed(calls) => {
                let recent = calls.iter().map(|failed| if *failed { 'x' } else { '.' }).collect();
                KeptBreaker { state: BreakerState::Closed, until: None, openings: 0, recent }
            }
        });
        let asked_until = if asked.is_zero() { None } else { at(asked) };
        Kept { asked_until, breaker, ..Kept::default() }
    }

    /// Goes on as another state of the same upstream left off, in this process.
    pub fn go_on_from(&mut self, before: &Self, now: Duration) {
        // One that was asked for nothing yet knows less than what an earlier process left.
        if !before.remembered {
            return;
        }
        self.remembered = true;
        self.retry_tokens = before.retry_tokens;
        self.asked_until = before.asked_until;
        self.budgets.close_gate(now + before.budgets.gate(now));
        // Where others are told of what was spent, they tell it in turn.
        if !before.budgets.are_told() {
            self.budgets.remember(before.budgets.spent(now), now);
        }
        if let Some(kept) = before.breaker.kept(now) {
            self.breaker = Breaker::remember(self.rules, kept, now);
        }
    }

    /// How much may be asked at the moment. Where nothing was taken over yet, as an earlier process left it.
    pub fn room(&self, budgets: &[Budget], kept: &Kept, wall: DateTime<Utc>, now: Duration) -> Room {
        let of =
            |state: &Self| Room { budgets: state.budgets.uses(now), pause: state.budgets.gate(now), at_once: (0, 0) };
        if self.remembered {
            return of(self);
        }
        let mut taken_over = Self::new(budgets, self.rules);
        taken_over.remember(kept, wall, now);
        taken_over.budgets.know_of(self.budgets.elsewhere());
        of(&taken_over)
    }

    /// Goes on as an earlier process left off. Later this process knows better, but for what another one was asked meanwhile.
    pub fn remember(&mut self, kept: &Kept, wall: DateTime<Utc>, now: Duration) {
        let left = |until: DateTime<Utc>| (until - wall).to_std().unwrap_or_default();
        if let Some(until) = kept.asked_until {
            let asked = left(until).min(super::WAIT_MAX);
            // What is kept was rounded.
            if now + asked > self.asked_until + ROUNDED {
                self.leave_alone(asked, asked, now);
            }
        }
        if std::mem::replace(&mut self.remembered, true) {
            return;
        }
        if let Some(kept) = &kept.breaker {
            let remembered = match kept.state {
                BreakerState::Open => {
                    Remembered::Open { left: kept.until.map(left).unwrap_or_default(), openings: kept.openings }
                }
                BreakerState::Closed => Remembered::Closed(kept.recent.bytes().map(|call| call == b'x').collect()),
            };
            self.breaker = Breaker::remember(self.rules, remembered, now);
        }
        let portions = |budget: &KeptBudget| budget.spent.iter().map(|(until, count)| (left(*until), *count)).collect();
        let spent = kept.budgets.iter().map(|budget| (budget.budget.clone(), portions(budget))).collect();
        self.budgets.remember(spent, now);
    }
}
