//! Owns: when the next request may leave under the declared budgets, and the gate that a throttled upstream closes.
//!
//! Must not know: clocks; `now` is monotonic time and comes in as an argument. Where allowances are kept.
//!
//! A sliding log, not a token bucket: a bucket of `limit` tokens that refills lets twice the limit through in one window.
//!
//! Where other processes draw on the same budgets, nothing is taken that was not set aside first as an *allowance*: so many
//! units, to be taken before a moment. It counts for the others as if it were taken at that moment.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Response;
use super::ratelimit::{Observed, told_cost, told_limit, told_wait};
use super::window::{Window, covers, key_beside, units_of};
use crate::rules::Budget;

/// Room that has just come is taken at the next look.
const AT_ONCE: Duration = Duration::from_millis(1);

/// All budgets of an upstream, with what was spent, and its gate.
#[derive(Debug)]
pub struct Budgets {
    windows: Vec<Window>,
    gate_until: Duration,
}

/// Units that still count, and for how long so many of them do, or until when.
pub type Portions = Vec<(Duration, u64)>;

/// What was spent of a budget that is known by this key.
pub type Spent = (String, Portions);

/// How a budget stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetUse {
    /// In words: `250000 per 86400 s GET /contacts*`.
    pub budget: String,
    /// So many requests (units, where requests have a cost of their own) may leave within the window.
    pub limit: u64,
    /// Those that still count.
    pub used: u64,
    /// The window, as declared.
    pub window: Duration,
    /// Until the next request has room; zero where it has.
    pub wait: Duration,
}

/// What an answer says of a budget.
#[derive(Debug)]
pub struct Heard {
    /// Its position.
    budget: usize,
    /// What was set aside for the request, and what it really took.
    units: Option<(u64, u64)>,
    /// How the limit stands.
    limit: Option<Observed>,
    /// For how long nothing is to be asked.
    wait: Option<Duration>,
}

/// What an answer says of the budgets that cover its request, in their order. `throttled`: it says that there was too much. `now`
/// is wall time.
pub fn hear(
    budgets: &[Budget],
    (method, path): (&str, &str),
    (answer, throttled): (&Response, bool),
    now: DateTime<Utc>,
) -> Vec<Heard> {
    let of = |(at, budget): (usize, &Budget)| {
        let says = budget.cost.answer.is_some() || budget.signals.is_some();
        (says && covers(&budget.matches, method, path)).then(|| Heard {
            budget: at,
            units: budget.cost.answer.as_ref().and_then(|at| {
                let set_aside = units_of(&budget.cost, &budget.weights, (method, path));
                Some((set_aside, told_cost(at, answer)?))
            }),
            limit: budget.signals.as_ref().and_then(|signals| told_limit(signals, answer, now)),
            wait: budget.signals.as_ref().and_then(|signals| told_wait(signals, (answer, throttled), now)),
        })
    };
    budgets.iter().enumerate().filter_map(of).collect()
}

impl Budgets {
    /// Nothing spent, gate open.
    pub fn new(budgets: &[Budget]) -> Self {
        let mut keys: Vec<String> = Vec::new();
        let window = |budget: &Budget| Window::new(key_beside(&mut keys, budget), budget);
        Self { windows: budgets.iter().map(window).collect(), gate_until: Duration::ZERO }
    }

    /// Debits every budget that covers the request, or debits none and says how long to wait before asking again.
    pub fn take(&mut self, method: &str, path: &str, now: Duration) -> Result<(), Duration> {
        let mut wait = self.gate_until.saturating_sub(now);
        let mut covering: Vec<&mut Window> =
            self.windows.iter_mut().filter(|window| window.covers(method, path)).collect();
        let mut lacks = false;
        for window in &mut covering {
            let units = window.units_of(method, path);
            wait = wait.max(window.wait(window.room_for(units, now), now));
            lacks |= window.lacks(units, now);
        }
        if !wait.is_zero() || lacks {
            return Err(wait.max(AT_ONCE));
        }
        for window in covering {
            let units = window.units_of(method, path);
            window.add(units, now);
            window.draw(units);
        }
        Ok(())
    }

    /// From now on nothing is taken that was not set aside.
    pub fn draw_on_allowances(&mut self) {
        self.windows.iter_mut().for_each(Window::draw_on_allowances);
    }

    /// Whether others are told of what is taken.
    pub fn are_told(&self) -> bool {
        self.windows.iter().any(Window::is_told)
    }

    /// What other processes know the budgets by, in their order.
    pub fn keys(&self) -> Vec<String> {
        self.windows.iter().map(|window| window.key().to_owned()).collect()
    }

    /// Whether something has to be set aside before the request may leave: as far as this process knows of itself, there is room.
    pub fn lacks_allowance(&self, method: &str, path: &str, now: Duration) -> bool {
        let covering = || self.windows.iter().filter(|window| window.covers(method, path));
        let has_room = |window: &Window| {
            let mine = window.own(now).chain(window.others(now)).collect();
            window.room_in(now, mine, window.room_for(window.units_of(method, path), now)).is_zero()
        };
        self.gate(now).is_zero()
            && covering().any(|window| window.lacks(window.units_of(method, path), now))
            && covering().all(has_room)
    }

    /// Sets aside what a request and the next ones may take, where there is room beside what other processes hold of each budget,
    /// and until when. Returns what this process holds from now on, and for how long: the others are told before it is used.
    pub fn set_aside(
        &mut self,
        (method, path): (&str, &str),
        elsewhere: Vec<Portions>,
        now: Duration,
    ) -> Vec<Portions> {
        for (window, elsewhere) in self.windows.iter_mut().zip(elsewhere) {
            window.know_of(elsewhere);
            if window.covers(method, path) {
                window.renew(window.units_of(method, path), now);
            }
        }
        self.windows.iter().map(|window| window.held(now)).collect()
    }

    /// What other processes hold of each, and until when.
    pub fn know_of(&mut self, elsewhere: Vec<Portions>) {
        for (window, elsewhere) in self.windows.iter_mut().zip(elsewhere) {
            window.know_of(elsewhere);
        }
    }

    /// As above.
    pub fn elsewhere(&self) -> Vec<Portions> {
        self.windows.iter().map(|window| window.elsewhere().to_vec()).collect()
    }

    /// Whether the wait for a request may be shorter than what is known of other processes says.
    pub fn waits_for_others(&self, method: &str, path: &str) -> bool {
        self.windows.iter().any(|window| window.covers(method, path) && !window.elsewhere().is_empty())
    }

    /// Whether something is set aside.
    pub fn has_allowances(&self) -> bool {
        self.windows.iter().any(Window::has_allowance)
    }

    /// Gives back what was set aside and not taken. Returns what this process still holds.
    pub fn give_back(&mut self, now: Duration) -> Vec<Portions> {
        self.windows.iter_mut().for_each(Window::give_back);
        self.windows.iter().map(|window| window.told(now)).collect()
    }

    /// Learns from the answer to a request that was debited then: what it really took, and what is left.
    pub fn learn(&mut self, heard: &[Heard], debited: Duration, now: Duration) {
        for Heard { budget, units, limit, wait } in heard {
            let Some(window) = self.windows.get_mut(*budget) else { continue };
            if let Some((set_aside, took)) = units {
                window.settle((*set_aside, *took), debited, now);
            }
            if let Some(told) = limit {
                window.hear(told, now);
            }
            if let Some(wait) = wait {
                window.close(*wait, now);
            }
        }
    }

    /// What a request costs, in billionths of a US dollar.
    pub fn cost(&self, method: &str, path: &str) -> u64 {
        let covering = self.windows.iter().filter(|window| window.covers(method, path));
        covering.fold(0, |sum, window| sum.saturating_add(window.cost_nano_usd()))
    }

    /// What was spent of each.
    pub fn spent(&self, now: Duration) -> Vec<Spent> {
        let spent = self.windows.iter().map(|window| (window.key().to_owned(), window.portions(now)));
        spent.filter(|(_, portions)| !portions.is_empty()).collect()
    }

    /// How each of them stands. One that is declared twice in the same words is told once.
    pub fn uses(&self, now: Duration) -> Vec<BudgetUse> {
        let mut uses: Vec<BudgetUse> = Vec::new();
        for window in &self.windows {
            let found = window.stands(now);
            if uses.iter().all(|known| known.budget != found.budget) {
                uses.push(found);
            }
        }
        uses
    }

    /// Until what an upstream asked for lets anything through.
    pub fn gate(&self, now: Duration) -> Duration {
        self.gate_until.saturating_sub(now)
    }

    /// Takes over what was spent before, told by the key of a budget or by what it is in words.
    pub fn remember(&mut self, spent: Vec<Spent>, now: Duration) {
        for (budget, portions) in spent {
            let is_meant = |window: &&mut Window| window.key() == budget || window.name() == budget;
            if let Some(window) = self.windows.iter_mut().find(is_meant) {
                window.remember(portions, now);
            }
        }
    }

    /// Nothing leaves before `until`; an earlier moment does not open a gate that is closed for longer.
    pub fn close_gate(&mut self, until: Duration) {
        self.gate_until = self.gate_until.max(until);
    }
}
