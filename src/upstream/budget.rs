//! Owns: when the next request may leave under the declared budgets, and the gate that a throttled upstream closes.
//!
//! Must not know: clocks; `now` is monotonic time and comes in as an argument.
//!
//! A sliding log, not a token bucket: a bucket of `limit` tokens that refills lets twice the limit through in one window.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Response;
use super::ratelimit::{Observed, told_cost, told_limit};
use crate::rules::{Budget, Cost, RequestMatch};

/// Above this many units per window, requests share entries of the log.
const ENTRIES_MAX: u64 = 4096;
/// Windows of at least this length outlive the process.
const LONG: Duration = Duration::from_hours(1);
/// In so many portions.
const PORTIONS_MAX: usize = 48;
/// Requests may reach the upstream closer together than they left: windows are longer by a twentieth, at most by this.
const MARGIN_MAX: Duration = Duration::from_millis(250);
/// What others draw is remembered in so many portions.
const OTHERS_MAX: usize = 64;

/// All budgets of an upstream, with what was spent, and its gate.
#[derive(Debug)]
pub struct Budgets {
    windows: Vec<Window>,
    gate_until: Duration,
}

#[derive(Debug)]
struct Window {
    matches: RequestMatch,
    /// As the rules have it.
    limit: u64,
    /// As the upstream said last, where that is less.
    limit_now: u64,
    /// As declared.
    declared: Duration,
    /// With its margin.
    per: Duration,
    cost: Cost,
    weights: Vec<(RequestMatch, u64)>,
    cost_nano_usd: u64,
    /// Units that are still in the window.
    spent: u64,
    log: VecDeque<Entry>,
    /// Units that others draw on the same limit, as answers say, and when they leave the window; the first to leave first.
    others: Vec<(Duration, u64)>,
}

/// Units of requests between two moments; they leave the window together, with the last of them.
#[derive(Debug)]
struct Entry {
    first: Duration,
    /// When they leave it.
    until: Duration,
    count: u64,
}

/// Requests of long budgets that still count: the budget in words, and for how long so many of them do.
pub type Spent = (String, Vec<(Duration, u64)>);

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
}

/// What an answer says of the budgets that cover its request, in their order. `now` is wall time.
pub fn hear(budgets: &[Budget], (method, path): (&str, &str), answer: &Response, now: DateTime<Utc>) -> Vec<Heard> {
    let of = |(at, budget): (usize, &Budget)| {
        let says = budget.cost.answer.is_some() || budget.signals.is_some();
        (says && covers(&budget.matches, method, path)).then(|| Heard {
            budget: at,
            units: budget.cost.answer.as_ref().and_then(|at| {
                let set_aside = units_of(&budget.cost, &budget.weights, (method, path));
                Some((set_aside, told_cost(at, answer)?))
            }),
            limit: budget.signals.as_ref().and_then(|signals| told_limit(signals, answer, now)),
        })
    };
    budgets.iter().enumerate().filter_map(of).collect()
}

impl Budgets {
    /// Nothing spent, gate open.
    pub fn new(budgets: &[Budget]) -> Self {
        let window = |budget: &Budget| Window {
            matches: budget.matches.clone(),
            limit: budget.limit.max(1),
            limit_now: budget.limit.max(1),
            declared: budget.per,
            per: budget.per + (budget.per / 20).min(MARGIN_MAX),
            cost: budget.cost.clone(),
            weights: budget.weights.clone(),
            cost_nano_usd: budget.cost_nano_usd,
            spent: 0,
            log: VecDeque::new(),
            others: Vec::new(),
        };
        Self { windows: budgets.iter().map(window).collect(), gate_until: Duration::ZERO }
    }

    /// Debits every budget that covers the request, or debits none and says how long to wait before asking again.
    pub fn take(&mut self, method: &str, path: &str, now: Duration) -> Result<(), Duration> {
        let mut wait = self.gate_until.saturating_sub(now);
        let mut covering: Vec<&mut Window> =
            self.windows.iter_mut().filter(|window| covers(&window.matches, method, path)).collect();
        for window in &mut covering {
            wait = wait.max(window.wait(window.units_of(method, path), now));
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        for window in covering {
            window.add(window.units_of(method, path), now);
        }
        Ok(())
    }

    /// Learns from the answer to a request that was debited then: what it really took, and what is left.
    pub fn learn(&mut self, heard: &[Heard], debited: Duration, now: Duration) {
        for Heard { budget, units, limit } in heard {
            let Some(window) = self.windows.get_mut(*budget) else { continue };
            if let Some((set_aside, took)) = units {
                window.settle((*set_aside, *took), debited, now);
            }
            if let Some(told) = limit {
                window.limit_now = told.limit.map_or(window.limit, |limit| limit.clamp(1, window.limit));
                window.share(told.remaining, told.reset, now);
            }
        }
    }

    /// What a request costs, in billionths of a US dollar.
    pub fn cost(&self, method: &str, path: &str) -> u64 {
        let covering = self.windows.iter().filter(|window| covers(&window.matches, method, path));
        covering.fold(0, |sum, window| sum.saturating_add(window.cost_nano_usd))
    }

    /// What was spent of budgets that are longer than processes may live.
    pub fn spent(&self, now: Duration) -> Vec<Spent> {
        self.spent_where(|window| window.per >= LONG, now)
    }

    /// What was spent of each.
    pub fn spent_of_all(&self, now: Duration) -> Vec<Spent> {
        self.spent_where(|_| true, now)
    }

    fn spent_where(&self, is_wanted: impl Fn(&Window) -> bool, now: Duration) -> Vec<Spent> {
        let spent = self.windows.iter().filter(|window| is_wanted(window));
        let spent = spent.map(|window| (window.name(), window.portions(now)));
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

    /// Takes over what an earlier process spent.
    pub fn remember(&mut self, spent: Vec<Spent>, now: Duration) {
        for (name, portions) in spent {
            let Some(window) = self.windows.iter_mut().find(|window| window.name() == name) else { continue };
            for (left, count) in portions {
                let until = now + left.min(window.per);
                window.log.push_front(Entry { first: Duration::ZERO, until, count });
                window.spent += count;
            }
            window.log.make_contiguous().sort_by_key(|entry| entry.until);
        }
    }

    /// Nothing leaves before `until`; an earlier moment does not open a gate that is closed for longer.
    pub fn close_gate(&mut self, until: Duration) {
        self.gate_until = self.gate_until.max(until);
    }
}

impl Window {
    /// What a request takes.
    fn units_of(&self, method: &str, path: &str) -> u64 {
        units_of(&self.cost, &self.weights, (method, path))
    }

    /// How long until a request that takes so much may leave.
    fn wait(&mut self, units: u64, now: Duration) -> Duration {
        while let Some(entry) = self.log.front().filter(|entry| entry.until <= now) {
            self.spent -= entry.count;
            self.log.pop_front();
        }
        self.others.retain(|(until, _)| *until > now);
        let taken = self.spent + self.others(now).map(|(_, count)| count).sum::<u64>();
        self.room_in(now, taken, units)
    }

    /// How long until there is room for so many units, where so much is taken. What was taken over may be more than fits.
    fn room_in(&self, now: Duration, taken: u64, units: u64) -> Duration {
        let mut own = self.own(now).peekable();
        let mut others = self.others(now).peekable();
        // Where the limit was lowered below what a request takes, it leaves when nothing else is there.
        let mut over = (taken + units.min(self.limit_now)).saturating_sub(self.limit_now);
        let mut wait = Duration::ZERO;
        while over > 0 {
            let own_is_next = match (own.peek(), others.peek()) {
                (Some((own, _)), Some((other, _))) => own <= other,
                (Some(_), None) => true,
                (None, _) => false,
            };
            let Some((until, count)) = (if own_is_next { own.next() } else { others.next() }) else { break };
            over = over.saturating_sub(count);
            wait = until.saturating_sub(now);
        }
        wait
    }

    /// Units of own requests that are in the window, and when they leave it.
    fn own(&self, now: Duration) -> impl Iterator<Item = (Duration, u64)> {
        self.log.iter().filter(move |entry| entry.until > now).map(|entry| (entry.until, entry.count))
    }

    /// Units of others.
    fn others(&self, now: Duration) -> impl Iterator<Item = (Duration, u64)> {
        self.others.iter().copied().filter(move |(until, _)| *until > now)
    }

    /// Units that are in the window, whoever took them.
    fn taken(&self, now: Duration) -> u64 {
        self.own(now).chain(self.others(now)).map(|(_, count)| count).sum()
    }

    fn stands(&self, now: Duration) -> BudgetUse {
        let (limit, used) = (self.limit_now, self.taken(now));
        BudgetUse {
            budget: self.name(),
            limit,
            used,
            window: self.declared,
            wait: self.room_in(now, used, self.cost.units),
        }
    }

    fn add(&mut self, units: u64, now: Duration) {
        self.spent += units;
        let grain = if self.limit > ENTRIES_MAX { self.per / 1024 } else { Duration::ZERO };
        match self.log.back_mut() {
            Some(entry) if now.saturating_sub(entry.first) < grain => {
                entry.until = entry.until.max(now + self.per);
                entry.count += units;
            }
            _ => self.log.push_back(Entry { first: now, until: now + self.per, count: units }),
        }
    }

    /// A request that was debited then, with so much, really took so much. What it took more counts from now on; what it took less is given
    /// back by the units that leave first, whoever took them: so none counts for too short a time. What has left the window
    /// is given back by none.
    fn settle(&mut self, (set_aside, took): (u64, u64), debited: Duration, now: Duration) {
        if took > set_aside {
            self.add(took - set_aside, now);
            return;
        }
        let mut back = if debited + self.per > now { set_aside - took } else { 0 };
        self.spent = self.spent.saturating_sub(back);
        while let Some(entry) = self.log.front_mut().filter(|_| back > 0) {
            let given = entry.count.min(back);
            entry.count -= given;
            back -= given;
            if entry.count == 0 {
                self.log.pop_front();
            }
        }
        self.spent += back;
    }

    /// Others draw on the same limit: no more is left than the upstream says. Without a time, what is missing comes back
    /// evenly over the window.
    fn share(&mut self, remaining: u64, reset: Option<Duration>, now: Duration) {
        self.others.retain(|(until, _)| *until > now);
        let missing = self.limit_now.saturating_sub(self.taken(now)).saturating_sub(remaining);
        if missing == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a billion at most")]
        let evenly = || self.per.mul_f64(missing as f64 / self.limit_now as f64);
        let until = now + reset.unwrap_or_else(evenly);
        let place = self.others.partition_point(|(other, _)| *other <= until);
        self.others.insert(place, (until, missing));
        if self.others.len() > OTHERS_MAX
            && let Some((_, count)) = self.others.first().copied()
        {
            self.others.remove(0);
            if let Some(next) = self.others.first_mut() {
                next.1 += count;
            }
        }
    }

    /// `250000 per 86400 s`, with what it is for.
    fn name(&self) -> String {
        let RequestMatch { method, path } = &self.matches;
        let text = |text: &Option<String>| text.as_deref().map(|text| format!(" {text}")).unwrap_or_default();
        let each = if self.cost == Cost::default() { String::new() } else { format!(" ({} each)", self.cost.units) };
        format!("{} per {} s{each}{}{}", self.limit, self.declared.as_secs_f64(), text(method), text(path))
    }

    /// The log in a few portions, each of which leaves the window with its last request.
    fn portions(&self, now: Duration) -> Vec<(Duration, u64)> {
        let live: Vec<&Entry> = self.log.iter().filter(|entry| entry.until > now).collect();
        let together = live.len().div_ceil(PORTIONS_MAX).max(1);
        let portion = |entries: &[&Entry]| {
            let until = entries.iter().map(|entry| entry.until).max().unwrap_or_default();
            (until.saturating_sub(now), entries.iter().map(|entry| entry.count).sum())
        };
        live.chunks(together).map(portion).collect()
    }
}

/// What a request takes of a budget: what is set aside for it.
fn units_of(cost: &Cost, weights: &[(RequestMatch, u64)], (method, path): (&str, &str)) -> u64 {
    weights.iter().find(|(matches, _)| covers(matches, method, path)).map_or(cost.units, |(_, units)| *units)
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
