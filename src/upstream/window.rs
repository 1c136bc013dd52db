//! Owns: one budget's window: what was taken of it, by whom, until when that counts; what is set aside.
//!
//! Must not know: other budgets, clocks, where allowances are kept.

use std::collections::VecDeque;
use std::time::Duration;

use super::budget::{BudgetUse, Portions};
use super::ratelimit::Observed;
use crate::rules::{Budget, Cost, RequestMatch};

/// Above this many units per window, requests share entries of the log.
const ENTRIES_MAX: u64 = 4096;
/// An allowance is to be used within this time.
const ALLOWANCE_LASTS: Duration = Duration::from_mins(1);
/// What a window lets through in this time is set aside at once: what a crash costs at most, but for the shares below.
const ALLOWANCE_WORTH: Duration = Duration::from_secs(30);
/// An allowance is at least one part in so many of the limit, at most half of it.
const ALLOWANCE_PARTS_MAX: u64 = 50;
/// Where a window is used up, room for less than one part in so many of the limit is not worth an allowance of its own.
const GRAINS: u64 = 512;
/// In so many portions.
const PORTIONS_MAX: usize = 48;
/// Requests may reach the upstream closer together than they left: windows are longer by a twentieth, at most by this.
const MARGIN_MAX: Duration = Duration::from_millis(250);
/// What others draw is remembered in so many portions.
const OTHERS_MAX: usize = 64;

/// A budget with what was taken of it.
#[derive(Debug)]
pub struct Window {
    /// What it is, whatever its limit: `per 86400 s GET /contacts*`.
    key: String,
    scope: Option<String>,
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
    /// Units that other processes hold, the first to leave first.
    elsewhere: Vec<(Duration, u64)>,
    /// Until then an answer said that there is no room.
    closed_until: Duration,
    /// `None`: no other process draws on it.
    allowance: Option<Allowance>,
}

/// What may be taken of a budget, before `until`, without a word to other processes.
#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    left: u64,
    until: Duration,
}

/// Units of requests between two moments; they leave the window together, with the last of them.
#[derive(Debug)]
struct Entry {
    first: Duration,
    /// When they leave it.
    until: Duration,
    count: u64,
}

impl Window {
    /// Nothing is taken of it. `key`: what others know it by.
    pub fn new(key: String, budget: &Budget) -> Self {
        Self {
            key,
            scope: budget.scope.clone(),
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
            elsewhere: Vec::new(),
            closed_until: Duration::ZERO,
            allowance: None,
        }
    }

    /// What others know it by.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether a request draws on it.
    pub fn covers(&self, method: &str, path: &str) -> bool {
        covers(&self.matches, method, path)
    }

    /// What a request costs, in billionths of a US dollar.
    pub fn cost_nano_usd(&self) -> u64 {
        self.cost_nano_usd
    }

    /// From now on nothing is taken that was not set aside.
    pub fn draw_on_allowances(&mut self) {
        self.allowance.get_or_insert_default();
    }

    /// Whether others are told of what is taken.
    pub fn is_told(&self) -> bool {
        self.allowance.is_some()
    }

    /// What other processes hold, and until when, the first to leave first.
    pub fn know_of(&mut self, elsewhere: Portions) {
        self.elsewhere = elsewhere;
    }

    /// As above.
    pub fn elsewhere(&self) -> &[(Duration, u64)] {
        &self.elsewhere
    }

    /// Whether something is set aside.
    pub fn has_allowance(&self) -> bool {
        self.allowance.is_some_and(|allowance| allowance.until > Duration::ZERO)
    }

    /// Gives back what was set aside and not taken.
    pub fn give_back(&mut self) {
        self.allowance = self.allowance.map(|_| Allowance::default());
    }

    /// Takes over what was taken before.
    pub fn remember(&mut self, portions: Portions, now: Duration) {
        for (left, count) in portions {
            let until = now + left.min(self.per);
            self.log.push_front(Entry { first: Duration::ZERO, until, count });
            self.spent += count;
        }
        self.log.make_contiguous().sort_by_key(|entry| entry.until);
    }

    /// An answer says how the limit stands.
    pub fn hear(&mut self, told: &Observed, now: Duration) {
        self.limit_now = told.limit.map_or(self.limit, |limit| limit.clamp(1, self.limit));
        self.share(told.remaining, told.reset, now);
    }

    /// An answer says that nothing is to be asked for so long.
    pub fn close(&mut self, wait: Duration, now: Duration) {
        self.closed_until = self.closed_until.max(now + wait);
    }

    fn closed_for(&self, now: Duration) -> Duration {
        self.closed_until.saturating_sub(now)
    }

    /// What a request takes.
    pub fn units_of(&self, method: &str, path: &str) -> u64 {
        units_of(&self.cost, &self.weights, (method, path))
    }

    /// How long until a request that takes so much may leave.
    pub fn wait(&mut self, units: u64, now: Duration) -> Duration {
        while let Some(entry) = self.log.front().filter(|entry| entry.until <= now) {
            self.spent -= entry.count;
            self.log.pop_front();
        }
        self.others.retain(|(until, _)| *until > now);
        self.elsewhere.retain(|(until, _)| *until > now);
        let foreign: u64 = self.foreign(now).map(|(_, count)| count).sum();
        // Usually there is room, and nobody has to look for when there is.
        if self.spent + foreign + units.min(self.limit_now) <= self.limit_now {
            return self.closed_for(now);
        }
        self.room_in(now, self.own(now).chain(self.foreign(now)).collect(), units)
    }

    /// How long until there is room for so many units, where these are taken. What was taken over may be more than fits.
    pub fn room_in(&self, now: Duration, mut taken: Portions, units: u64) -> Duration {
        taken.sort_unstable();
        // Where the limit was lowered below what a request takes, it leaves when nothing else is there.
        let sum: u64 = taken.iter().map(|(_, count)| count).sum();
        let mut over = (sum + units.min(self.limit_now)).saturating_sub(self.limit_now);
        let mut wait = self.closed_for(now);
        for (until, count) in taken {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(count);
            wait = wait.max(until.saturating_sub(now));
        }
        wait
    }

    /// Units of own requests that are in the window, and when they leave it.
    pub fn own(&self, now: Duration) -> impl Iterator<Item = (Duration, u64)> {
        self.log.iter().filter(move |entry| entry.until > now).map(|entry| (entry.until, entry.count))
    }

    /// Units of others, wherever they are.
    fn foreign(&self, now: Duration) -> impl Iterator<Item = (Duration, u64)> {
        self.others(now).chain(self.elsewhere.iter().copied().filter(move |(until, _)| *until > now))
    }

    /// Units of others, as answers say.
    pub fn others(&self, now: Duration) -> impl Iterator<Item = (Duration, u64)> {
        self.others.iter().copied().filter(move |(until, _)| *until > now)
    }

    /// Units that are in the window, whoever took them.
    fn taken(&self, now: Duration) -> u64 {
        self.own(now).chain(self.foreign(now)).map(|(_, count)| count).sum()
    }

    /// How it stands.
    pub fn stands(&self, now: Duration) -> BudgetUse {
        let taken = self.own(now).chain(self.foreign(now)).collect();
        BudgetUse {
            budget: self.name(),
            limit: self.limit_now,
            used: self.taken(now),
            window: self.declared,
            wait: self.room_in(now, taken, self.cost.units),
        }
    }

    /// Nothing was set aside for a request that takes so much.
    pub fn lacks(&self, units: u64, now: Duration) -> bool {
        self.allowance.is_some_and(|allowance| allowance.left < units || allowance.until <= now)
    }

    /// What there has to be room for so that a request may leave.
    pub fn room_for(&self, units: u64, now: Duration) -> u64 {
        if self.lacks(units, now) { units.max(self.limit / GRAINS) } else { units }
    }

    /// So much of the allowance is taken.
    pub fn draw(&mut self, units: u64) {
        if let Some(allowance) = &mut self.allowance {
            allowance.left = allowance.left.saturating_sub(units);
        }
    }

    /// Sets more aside, where a request that takes so much lacks it and there is room.
    pub fn renew(&mut self, units: u64, now: Duration) {
        if !self.lacks(units, now) || !self.wait(self.room_for(units, now), now).is_zero() {
            return;
        }
        let free = self.limit_now.saturating_sub(self.taken(now));
        let left = self.allowance_max().min(free).max(units);
        self.allowance = Some(Allowance { left, until: now + ALLOWANCE_LASTS });
    }

    /// As much as a process that dies may cost.
    fn allowance_max(&self) -> u64 {
        let worth = u128::from(self.limit) * ALLOWANCE_WORTH.as_millis() / self.declared.as_millis().max(1);
        let worth = u64::try_from(worth).unwrap_or(u64::MAX);
        worth.clamp(self.limit.div_ceil(ALLOWANCE_PARTS_MAX), self.limit.div_ceil(2))
    }

    /// What other processes have to count: what was taken, and all of it while an answer keeps the budget closed.
    pub fn told(&self, now: Duration) -> Portions {
        let mut told = self.portions(now);
        let closed = self.closed_for(now);
        if !closed.is_zero() {
            told.push((closed, self.limit));
        }
        told
    }

    /// The same with what is set aside.
    pub fn held(&self, now: Duration) -> Portions {
        let mut held = self.told(now);
        let allowance = self.allowance.filter(|allowance| allowance.left > 0 && allowance.until > now);
        held.extend(allowance.map(|allowance| (allowance.until.saturating_sub(now) + self.per, allowance.left)));
        held
    }

    /// So much is taken.
    pub fn add(&mut self, units: u64, now: Duration) {
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
    pub fn settle(&mut self, (set_aside, took): (u64, u64), debited: Duration, now: Duration) {
        if took > set_aside {
            self.add(took - set_aside, now);
            self.draw(took - set_aside);
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
    pub fn name(&self) -> String {
        let RequestMatch { method, path } = &self.matches;
        let for_what = for_what(&self.cost, method.as_deref(), path.as_deref());
        let scope = self.scope.as_deref().map(|scope| format!(" in all of {scope}")).unwrap_or_default();
        format!("{} per {} s{for_what}{scope}", self.limit, self.declared.as_secs_f64())
    }

    /// The log in a few portions, each of which leaves the window with its last request.
    pub fn portions(&self, now: Duration) -> Vec<(Duration, u64)> {
        let live: Vec<&Entry> = self.log.iter().filter(|entry| entry.until > now).collect();
        let together = live.len().div_ceil(PORTIONS_MAX).max(1);
        let portion = |entries: &[&Entry]| {
            let until = entries.iter().map(|entry| entry.until).max().unwrap_or_default();
            (until.saturating_sub(now), entries.iter().map(|entry| entry.count).sum())
        };
        live.chunks(together).map(portion).collect()
    }
}

/// A key that none of these has yet.
pub fn key_beside(keys: &mut Vec<String>, budget: &Budget) -> String {
    let RequestMatch { method, path } = &budget.matches;
    let per = budget.per.as_secs_f64();
    if let Some(scope) = &budget.scope {
        return format!("scope {scope}: per {per} s{}", for_what(&budget.cost, None, None));
    }
    let words = format!("per {per} s{}", for_what(&budget.cost, method.as_deref(), path.as_deref()));
    let same = keys.iter().filter(|key| **key == words).count();
    keys.push(words.clone());
    if same == 0 { words } else { format!("{words} #{}", same + 1) }
}

fn for_what(cost: &Cost, method: Option<&str>, path: Option<&str>) -> String {
    let text = |text: Option<&str>| text.map(|text| format!(" {text}")).unwrap_or_default();
    let each = if *cost == Cost::default() { String::new() } else { format!(" ({} each)", cost.units) };
    format!("{each}{}{}", text(method), text(path))
}

/// What a request takes of a budget: what is set aside for it.
pub fn units_of(cost: &Cost, weights: &[(RequestMatch, u64)], (method, path): (&str, &str)) -> u64 {
    weights.iter().find(|(matches, _)| covers(matches, method, path)).map_or(cost.units, |(_, units)| *units)
}

pub fn covers(matches: &RequestMatch, method: &str, path: &str) -> bool {
    matches.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
        && matches.path.as_ref().is_none_or(|pattern| matches_pattern(pattern, path))
}

/// `*` stands for anything, also nothing and also slashes.
pub fn matches_pattern(pattern: &str, path: &str) -> bool {
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
