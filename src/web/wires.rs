//! Owns: what goes over the wires to upstreams, as metrics: durations, waits, bytes, cost; the room in budgets.
//!
//! Must not know: HTTP; how it is counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::reconcile::kept;
use crate::rules::Ruleset;
use crate::store::{StoreError, View};
use crate::upstream::{BudgetUse, Client, End, Room, Totals, WaitFor};

use super::exposition::{Exposition, float};
use super::families::{self as f, Family};
use super::inspect;

const NANO: f64 = 1e9;

/// What is known of one upstream at the moment.
#[derive(Debug)]
pub struct Wire {
    upstream: String,
    totals: Totals,
    room: Room,
}

impl Wire {
    /// The upstream, and how much it may be asked.
    pub fn into_room(self) -> (String, inspect::Room) {
        let shown = |budget: BudgetUse| inspect::BudgetUse {
            spent: budget.used,
            limit: budget.limit,
            window_s: budget.window.as_secs_f64(),
            wait_s: budget.wait.as_secs_f64(),
            budget: budget.budget,
        };
        let (at_once, at_once_max) = self.room.at_once;
        let budgets = self.room.budgets.into_iter().map(shown).collect();
        (self.upstream, inspect::Room { budgets, at_once, at_once_max })
    }
}

/// What is known of each upstream of the rules.
pub fn wires(
    view: &dyn View,
    rules: &Ruleset,
    clients: &BTreeMap<String, Arc<Client>>,
) -> Result<Vec<Wire>, StoreError> {
    let named = rules.upstreams.keys().filter_map(|name| Some((name, clients.get(name)?)));
    let wire = |(name, client): (&String, &Arc<Client>)| {
        let room = client.room(&kept(view, name)?);
        Ok(Wire { upstream: name.clone(), totals: client.meter().totals(), room })
    };
    named.map(wire).collect()
}

/// The same as metrics.
pub fn write_wires(wires: &[Wire], text: &mut Exposition) {
    let mut samples = text.family(&f::REQUEST_DURATION);
    for wire in wires {
        for end in End::ALL {
            samples.histogram(&[&wire.upstream, end_name(end)], wire.totals.durations(end));
        }
    }
    counter(&f::RETRIES, wires, &|totals| float(totals.retries), text);
    let mut samples = text.family(&f::WAITS);
    for (wire, what) in waits(wires) {
        samples.put(&[&wire.upstream, wait_name(what)], wire.totals.waits(what).0);
    }
    let mut samples = text.family(&f::WAITED);
    for (wire, what) in waits(wires) {
        samples.put(&[&wire.upstream, wait_name(what)], wire.totals.waits(what).1.as_secs_f64());
    }
    counter(&f::SENT_BYTES, wires, &|totals| float(totals.sent_bytes), text);
    counter(&f::RECEIVED_BYTES, wires, &|totals| float(totals.received_bytes), text);
    counter(&f::COST, wires, &|totals| float(totals.cost_nano_usd) / NANO, text);
    for (family, of) in PLACES {
        let mut samples = text.family(family);
        for wire in wires {
            samples.put(&[&wire.upstream], of(&wire.room));
        }
    }
    let mut samples = text.family(&f::PAUSE);
    for wire in wires {
        samples.put(&[&wire.upstream], wire.room.pause.as_secs_f64());
    }
    for (family, of) in BUDGETS {
        let mut samples = text.family(family);
        for wire in wires {
            for budget in &wire.room.budgets {
                samples.put(&[&wire.upstream, &budget.budget], of(budget));
            }
        }
    }
}

/// A metric of how many requests may be under way, and where its value is found.
type OfRoom = (&'static Family, fn(&Room) -> usize);

const PLACES: [OfRoom; 2] = [(&f::CONCURRENCY, |room| room.at_once.0), (&f::CONCURRENCY_MAX, |room| room.at_once.1)];

/// A metric of budgets, and where its value is found.
type OfBudget = (&'static Family, fn(&BudgetUse) -> f64);

const BUDGETS: [OfBudget; 6] = [
    (&f::BUDGET_LIMIT, |budget| float(budget.limit)),
    (&f::BUDGET_WINDOW, |budget| budget.window.as_secs_f64()),
    (&f::BUDGET_USED, |budget| float(budget.used)),
    (&f::BUDGET_REMAINING, |budget| float(budget.limit.saturating_sub(budget.used))),
    (&f::BUDGET_SHARE, |budget| float(budget.used) / float(budget.limit)),
    (&f::BUDGET_WAIT, |budget| budget.wait.as_secs_f64()),
];

fn counter(family: &'static Family, wires: &[Wire], of: &dyn Fn(&Totals) -> f64, text: &mut Exposition) {
    let mut samples = text.family(family);
    for wire in wires {
        samples.put(&[&wire.upstream], of(&wire.totals));
    }
}

fn waits(wires: &[Wire]) -> impl Iterator<Item = (&Wire, WaitFor)> {
    wires.iter().flat_map(|wire| WaitFor::ALL.map(|what| (wire, what)))
}

fn end_name(end: End) -> &'static str {
    match end {
        End::Ok => "ok",
        End::Refused => "refused",
        End::Throttled => "throttled",
        End::Failed => "failed",
    }
}

fn wait_name(what: WaitFor) -> &'static str {
    match what {
        WaitFor::Room => "room",
        WaitFor::Retry => "retry",
    }
}
