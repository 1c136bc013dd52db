//! Owns: deciding and committing in the model, as the engine does it; what is asked of each plan; whole passes to a state of rest.
//!
//! Must not know: how the network and the upstreams behave.

use super::machine::*;
use crate::merge::testkit::at;
use crate::merge::*;
use crate::record::RecordId;
use crate::rules::Origin;

/// The most versions that a remote record may come to: its first, one per edit, and two writes of ours for each of them.
const VERSIONS_MAX: u8 = 7;

impl World {
    fn facts(&self, state: &State) -> Facts {
        let spoke = |side: &Side| {
            let link = side.tie.as_ref().map(|tie| Link {
                remote_id: "x1".to_owned(),
                version: Some(tie.version.to_string()),
                base_hub: vec![tie.hub.map(value)],
                base_remote: vec![slot(tie.remote)],
                state: LinkState::Live,
                overruled: false,
            });
            let seen = match (side.staged, &side.tie, &link) {
                (Some(staged), ..) => Seen::Record(observation(staged)),
                (None, Some(tie), Some(link)) => Seen::of(&self.collection, link, observation((tie.raw, tie.version))),
                (None, ..) => Seen::Same,
            };
            let blocked = side.read != Read::Whole || is_open(side.intent.as_ref());
            Spoke { link, seen, blocked: blocked.then(|| "unknown".to_owned()) }
        };
        let origin = state.origin.map(|origin| Provenance {
            origin: match usize::from(origin).checked_sub(1) {
                None => Origin::Local,
                Some(at) => Origin::Upstream(self.collection.bindings[at].upstream.name.clone()),
            },
            source_time: None,
            observed_at: at(0),
        });
        Facts {
            record: Some(RecordId("r1".to_owned())),
            hub: Hub::Row { values: vec![value(state.row)], edited_at: state.edited.then(|| at(20)) },
            origins: vec![origin],
            spokes: state.sides.iter().map(spoke).collect(),
            unreadable: Vec::new(),
            frozen: Vec::new(),
            turns: Vec::new(),
            now: at(60),
        }
    }

    /// Decides and commits, as `reconcile::apply` and `reconcile::intend` do it; says how much changed here.
    pub fn decide(&self, state: &mut State) -> usize {
        let facts = self.facts(state);
        let plan = decide(&self.collection, &facts);
        judge_plan(state, &facts, &plan);
        let mut changed = 0;
        if let LocalChange::Update(values) = &plan.local {
            state.row = word(&values[0].1);
            changed += 1;
        }
        if let Some((_, provenance)) = plan.origins.first() {
            let position = |name: &str| self.collection.bindings.iter().position(|one| one.upstream.name == name);
            let at = position(provenance.origin.name()).map_or(0, |at| at + 1);
            state.origin = u8::try_from(at).ok();
        }
        state.edited &= facts.spokes.iter().any(|spoke| spoke.blocked.is_some());
        for (at, side) in state.sides.iter_mut().enumerate() {
            if facts.spokes[at].blocked.is_some() {
                continue;
            }
            let base = plan.bases.iter().find(|base| base.binding == at);
            let (hub, remote) = match (base, &side.tie) {
                (Some(base), _) => (base.hub[0].as_ref().map(word), base.remote[0].value().map(word)),
                (None, Some(tie)) => (tie.hub, tie.remote),
                (None, None) => (None, None),
            };
            let rests_on = side.staged.take().or(side.tie.as_ref().map(|tie| (tie.raw, tie.version)));
            side.tie = rests_on.map(|(raw, version)| Tie { hub, remote, raw, version });
            let wanted = plan.writes.iter().find(|write| write.binding == at).and_then(|write| {
                let (create, values) = match &write.op {
                    WriteOp::Create(values) => (true, values),
                    WriteOp::Update(values) => (false, values),
                    WriteOp::Delete | WriteOp::Archive => return None,
                };
                let expected = write.expected_version.as_ref().map(|version| version.parse().unwrap());
                let state = IntentState::Prepared;
                Some(Intent { state, create, value: word(&values[0].1), expected })
            });
            let there = side.tie.as_ref().map(|tie| tie.raw);
            let is_refused = |write: &Intent| {
                side.refused.is_some_and(|(value, stood)| write.value == value && there == Some(stood))
            };
            let wanted = wanted.filter(|write| !is_refused(write));
            let hash = |intent: &Intent| format!("{} {} {:?}", intent.create, intent.value, intent.expected);
            let renewal = renew(side.intent.as_ref().map(hash).as_deref(), wanted.as_ref().map(hash).as_deref());
            if renewal.forget {
                side.intent = None;
            }
            if renewal.record {
                side.intent = wanted;
            }
        }
        (state.phase, state.again) = (Phase::Push, false);
        changed
    }

    /// A whole pass without edits and faults; the number of writes and local changes.
    fn quiet_pass(&self, state: &mut State) -> usize {
        let mut changes = 0;
        let all = 0..state.sides.len();
        let exchange = |state: &mut State, at: usize| {
            self.deliver(state, at, state.sides[at].wire.len() - 1);
            self.answer(state, at);
        };
        for at in all.clone() {
            if self.asks(&state.sides[at]) {
                self.evidence(state, at);
                if state.sides[at].is_awaited() {
                    exchange(state, at);
                }
            }
            pull(state, at);
        }
        for _round in 0..3 {
            changes += self.decide(state);
            for at in all.clone() {
                if may_be_sent(state.sides[at].intent.as_ref()) {
                    changes += 1;
                    send(state, at, false);
                    exchange(state, at);
                }
            }
            if !state.again {
                break;
            }
        }
        state.phase = Phase::Idle;
        state.sides.iter_mut().for_each(|side| side.read = Read::No);
        changes
    }

    /// I1 and I2: from here, without edits and faults, three passes bring all sides together, and the next does nothing.
    pub fn comes_to_rest(&self, state: &State) -> bool {
        if state.phase != Phase::Idle || state.sides.iter().any(|side| !side.wire.is_empty()) {
            return true;
        }
        let mut state = state.clone();
        for _pass in 0..3 {
            self.quiet_pass(&mut state);
        }
        let agrees = |(at, side): (usize, &Side)| {
            side.record.is_some_and(|(word, _)| plain(word) == plain(state.row) && word == self.spell(at, word))
        };
        state.sides.iter().enumerate().all(agrees) && self.quiet_pass(&mut state) == 0
    }
}

/// I3 and I5, asked of one plan: whatever a side newly says is in the hub, in what the hub's author saw, or a loser.
fn judge_plan(state: &mut State, facts: &Facts, plan: &RecordPlan) {
    for decision in &plan.decisions {
        // A side that deleted carries no values; that it exists is a phantom delete, and told below.
        for loser in decision.losers.iter().filter(|loser| !loser.values.is_empty()) {
            // What the loser's author saw was superseded by it, and needs no entry of its own.
            state.losers |= lineage(state, word(&loser.values[0]));
        }
    }
    let after = match &plan.local {
        LocalChange::Update(values) => word(&values[0].1),
        LocalChange::None | LocalChange::Insert(_) | LocalChange::Delete => state.row,
    };
    let told = lineage(state, after) | state.losers;
    let seen = facts.spokes.iter().filter(|spoke| spoke.blocked.is_none()).filter_map(|spoke| match &spoke.seen {
        Seen::Record(observation) => observation.slots[0].value().map(word),
        Seen::Same | Seen::Gone(_) | Seen::OutOfScope(_) | Seen::Archived(_) => None,
    });
    if seen.chain([state.row]).any(|word| told & 1 << plain(word) == 0) {
        state.broken |= LOST_UPDATE;
    }
    let deletes = plan.writes.iter().any(|write| write.op == WriteOp::Delete);
    if deletes || plan.local == LocalChange::Delete || plan.links.iter().any(|(_, life)| *life != LinkState::Live) {
        state.broken |= PHANTOM_DELETE;
    }
}

/// I17: no remote record is written more often than edits and faults give reason to, by `more` at most.
pub fn is_bounded(state: &State, more: u8) -> bool {
    state.sides.iter().all(|side| side.record.is_none_or(|(_, version)| version <= VERSIONS_MAX + more))
}
