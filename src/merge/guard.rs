//! Owns: the limits beyond which a pass halts before its first write.
//!
//! Must not know: single records' reasons, approvals.

use crate::rules::{Collection, Limit, Origin};

use super::{Halt, LinkState, LocalChange, RecordPlan, Rule, WriteOp};

/// What a pass would do, per target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The local table; its `total` is the number of rows before.
    pub local: Counts,
    /// One per binding, in the collection's order.
    pub bindings: Vec<Counts>,
}

/// What would happen to one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Live links (or local rows) before the pass.
    pub total: u64,
    /// Records of the listing, where it was complete and error-free; else `None`.
    pub listed: Option<u64>,
    /// Linked records that this pass found deleted there.
    pub vanished: u64,
    /// Linked records that this pass found archived there.
    pub archived: u64,
    /// Records to create.
    pub creates: u64,
    /// Records to update.
    pub updates: u64,
    /// Records to delete.
    pub deletes: u64,
}

/// Of linked records, unless the rules say otherwise.
const DELETE_SHARE_DEFAULT: f64 = 0.05;

impl Tally {
    /// Before any plan is added; `bindings` in the collection's order.
    pub fn new(local: Counts, bindings: Vec<Counts>) -> Self {
        Self { local, bindings }
    }

    /// Adds one record's plan.
    pub fn add(&mut self, collection: &Collection, plan: &RecordPlan) {
        match &plan.local {
            LocalChange::None => {}
            LocalChange::Insert(_) => self.local.creates += 1,
            LocalChange::Update(_) => self.local.updates += 1,
            LocalChange::Delete => self.local.deletes += 1,
        }
        for write in &plan.writes {
            let counts = &mut self.bindings[write.binding];
            match &write.op {
                WriteOp::Create(_) => counts.creates += 1,
                WriteOp::Update(_) => counts.updates += 1,
                WriteOp::Delete | WriteOp::Archive => counts.deletes += 1,
            }
        }
        for (binding, state) in &plan.links {
            let upstream = &collection.bindings[*binding].upstream.name;
            let found_deleted = || {
                plan.decisions.iter().any(|decision| {
                    matches!(decision.rule, Rule::Deleted(_))
                        && decision.winner.as_ref().is_some_and(|origin| origin.name() == upstream)
                })
            };
            let counts = &mut self.bindings[*binding];
            match state {
                LinkState::Live | LinkState::OutOfScope => {}
                LinkState::Archived => counts.archived += 1,
                LinkState::Deleted => counts.vanished += 1,
                // `on_remote_delete = "detach"` unties what was deleted; a local delete may untie what is there.
                LinkState::Detached => counts.vanished += u64::from(found_deleted()),
            }
        }
    }
}

/// The halts of a pass; empty means: go on. Zero writes until every one is approved (I11).
///
/// Each target (the local table, and each upstream) is checked by itself against:
///
/// - **emptied**: a complete listing with no records at all while at least one live link exists; or everything there was
///   gone: all of at least two linked records vanished or were archived, or all of at least two records would be deleted.
///   Holds under any limit and for the tiniest set (s20, s27).
/// - **delete**, **update**, **create** by `limits`. A count `n` trips at more than `n`. A share `s` of the target's total
///   before the pass trips at more than ⌈s × total⌉, so that one record of a small set may always change: under the
///   default 5 % of deletes that is 1 of 10, 1 of 20, 2 of 21, 5 of 100. A share of nothing (an initial load) is no limit.
///   Without a declared limit, deletes have 5 % and the others none.
/// - Inserts into the local table are never limited, because they destroy nothing.
pub fn check(collection: &Collection, tally: &Tally) -> Vec<Halt> {
    let mut halts = Vec::new();
    check_target(collection, &Origin::Local, &tally.local, &mut halts);
    for (binding, counts) in collection.bindings.iter().zip(&tally.bindings) {
        check_target(collection, &Origin::Upstream(binding.upstream.name.clone()), counts, &mut halts);
    }
    halts
}

/// How far a target's records have to be counted before a pass that decides on at most `changes`: beyond, no limit can trip
/// whatever the rest is. What trips is below that, so its total is exact.
pub fn count_up_to(collection: &Collection, changes: u64) -> u64 {
    if changes == 0 {
        return 0;
    }
    let limits = &collection.limits;
    let delete = limits.delete.unwrap_or(Limit::Share(DELETE_SHARE_DEFAULT));
    let enough = |limit: Limit| match limit {
        Limit::Count(most) => {
            if changes > most {
                u64::MAX
            } else {
                0
            }
        }
        Limit::Share(share) => total_for(share, changes),
    };
    let declared = [limits.update, limits.create].into_iter().flatten();
    // Not all of so many can be lost.
    let drift = total_for(super::drift::SHARE_MAX, changes);
    declared.map(enough).fold(enough(delete).max(drift), u64::max).max(changes.saturating_add(1))
}

/// The least total of which `changes` is no more than the share.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of nothing makes it infinite, which becomes the largest number"
)]
fn total_for(share: f64, changes: u64) -> u64 {
    ((changes as f64 / share.max(0.0)).ceil() as u64).saturating_add(1)
}

fn check_target(collection: &Collection, target: &Origin, counts: &Counts, halts: &mut Vec<Halt>) {
    let mut halt = |what: &str, count: u64, limit: String| {
        halts.push(Halt { target: target.clone(), what: what.to_owned(), count, total: counts.total, limit });
    };
    let nothing_listed = counts.listed == Some(0) && counts.total >= 1;
    let lost = if nothing_listed { counts.total } else { (counts.vanished + counts.archived).max(counts.deletes) };
    if nothing_listed || (counts.total >= 2 && lost >= counts.total) {
        halt("emptied", lost, "never all".to_owned());
    }
    let creates = match target {
        Origin::Local => 0,
        Origin::Upstream(_) => counts.creates,
    };
    let limits = &collection.limits;
    let checks = [
        ("delete", counts.deletes, limits.delete.or(Some(Limit::Share(DELETE_SHARE_DEFAULT)))),
        ("update", counts.updates, limits.update),
        ("create", creates, limits.create),
    ];
    for (what, count, limit) in checks {
        if let Some(limit) = limit.filter(|limit| exceeds(*limit, count, counts.total)) {
            halt(what, count, written(limit));
        }
    }
}

fn exceeds(limit: Limit, count: u64, total: u64) -> bool {
    match limit {
        Limit::Count(most) => count > most,
        Limit::Share(share) => total > 0 && count > share_of(share, total),
    }
}

/// ⌈share × total⌉, forgiving the last bits of binary fractions (7 % of 100 is 7, not 7.000000000000001).
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares are 0.0–1.0, and totals far below 2^52 records"
)]
fn share_of(share: f64, total: u64) -> u64 {
    (share * total as f64 - 1e-9).ceil().max(0.0) as u64
}

/// As in the rules: `10000`, `5%`.
fn written(limit: Limit) -> String {
    match limit {
        Limit::Count(most) => most.to_string(),
        Limit::Share(share) => format!("{}%", (share * 1e6).round() / 1e4),
    }
}
