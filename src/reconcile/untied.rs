//! Owns: telling that a record which was deleted here stays at an upstream, and follows no more.
//!
//! Must not know: why it is left there (that is `merge`).

use crate::merge::{Hub, LinkState, LocalChange, RecordPlan, Seen};

use super::apply::change;
use super::context::Pass;
use super::gather::Gathered;
use super::report::Change;

/// One change for each upstream where the record stays. Nothing else would tell of it: there is no write.
pub fn tell(pass: &Pass, found: &Gathered, plan: &RecordPlan) -> Vec<Change> {
    let is_here = matches!(found.facts.hub, Hub::Row { .. }) && plan.local != LocalChange::Delete;
    let untied = plan.links.iter().filter(|(_, state)| *state == LinkState::Detached && !is_here);
    let stays = untied.map(|(at, _)| *at).filter(|at| {
        let is_gone = |seen: &Seen| matches!(seen, Seen::Gone(_));
        found.facts.spokes.get(*at).is_some_and(|spoke| spoke.blocked.is_none() && !is_gone(&spoke.seen))
    });
    let told = stays.map(|at| {
        let upstream = pass.upstream(at);
        let has_way = pass.collection.bindings.get(at).is_some_and(|binding| binding.delete.is_some());
        let why = if has_way { "" } else { ", where the rules have no delete" };
        let note = format!("deleted here, and stays at {upstream}{why}; neither follows the other any more");
        change(pass, found, upstream, "detach", Vec::new(), Some(note))
    });
    told.collect()
}
