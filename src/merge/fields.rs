//! Owns: what one unit of fields becomes in the hub: one side's edit, a policy's choice, a person's, or nobody's (frozen).
//!
//! Must not know: what is written where (that is `push`), whether the record exists (that is `existence`), owners (that is
//! `owned`).

use crate::record::Value;
use crate::rules::Policy;

use super::owned::rule_owned;
use super::policy::{self, Answer, Asked, Question};
use super::sides::{Say, Scene, Side, Unit};
use super::{Candidate, CloseReason, Conflict, ConflictKind, Decision, Freeze, Provenance, Resolution, Rule};

/// What becomes of one unit.
#[derive(Clone, Debug)]
pub(super) struct Ruling {
    /// The hub's values from now on.
    pub values: Vec<Value>,
    /// Whose they are, where the hub took them from somebody in this pass.
    pub taken: Option<Provenance>,
    /// The unit stands still: no base moves and nothing of it is written.
    pub frozen: bool,
    /// The values were chosen among what the sides say, so null is a value as any other; else it may be mere silence.
    pub decided: bool,
    /// Spokes whose own value is left there although it differs (`drift = "report"`).
    pub left: Vec<usize>,
    /// Why.
    pub decision: Option<Decision>,
    /// A conflict that opens, or stays open with new candidates.
    pub conflict: Option<Conflict>,
    /// The open conflict is over.
    pub closed: Option<CloseReason>,
}

impl Ruling {
    pub(super) fn keep(values: Vec<Value>) -> Self {
        Self {
            values,
            taken: None,
            frozen: false,
            decided: false,
            left: Vec::new(),
            decision: None,
            conflict: None,
            closed: None,
        }
    }
}

pub(super) type Tried = Vec<(Rule, &'static str)>;

/// Rules one unit.
pub(super) fn rule_unit(scene: &Scene<'_>, unit: &Unit<'_>) -> Ruling {
    if scene.is_unreadable(unit) {
        return Ruling { frozen: true, ..Ruling::keep(scene.hub_of(unit)) };
    }
    let freeze = scene.freeze(&unit.fields);
    let over = freeze.map(|_| CloseReason::Agreed);
    if let Some(owner) = unit.owner {
        return Ruling { closed: over, ..rule_owned(scene, unit, owner) };
    }
    let Some(says) = candidates(scene, unit, freeze) else {
        // A side of the open conflict cannot be read: nothing is known that could end it.
        return Ruling { frozen: true, ..Ruling::keep(scene.hub_of(unit)) };
    };
    let Some(first) = says.first() else {
        return Ruling { closed: over, ..Ruling::keep(scene.hub_of(unit)) };
    };
    let agreed = says.iter().all(|say| scene.same_all(&unit.fields, &say.candidate.values, &first.candidate.values));
    if agreed {
        return Ruling { closed: over, ..rule_agreed(scene, unit, &says) };
    }
    let mut tried = Tried::new();
    let freeze = freeze.filter(|freeze| freeze.kind != ConflictKind::Oscillation);
    if let Some(freeze) = freeze.filter(|freeze| freeze.resolution.is_some()) {
        match resolve(scene, unit, freeze, &says) {
            Ok((values, taken)) => {
                let decided = Decided { rule: Rule::Resolution, values, taken, merged: false };
                return Ruling { closed: Some(CloseReason::Resolved), ..decided.ruling(scene, unit, &says, tried) };
            }
            Err(reason) => tried.push((Rule::Resolution, reason)),
        }
    }
    match rule_by_chain(scene, unit, &says, &mut tried) {
        Some(decided) => Ruling { closed: over, ..decided.ruling(scene, unit, &says, tried) },
        None => stand_still(scene, unit, &says, freeze, ConflictKind::Edit, tried),
    }
}

/// Every side's say on the unit, most trusted first. `None` where a side of the open conflict cannot be asked.
fn candidates(scene: &Scene<'_>, unit: &Unit<'_>, freeze: Option<&Freeze>) -> Option<Vec<Say>> {
    let is_party = |binding: usize| {
        let origin = scene.origin(binding);
        freeze.is_some_and(|freeze| freeze.candidates.iter().any(|candidate| candidate.origin == origin))
    };
    let mut says = Vec::new();
    let mut supersedes = false;
    for (binding, side) in scene.sides.iter().enumerate() {
        let present = match side {
            Side::Blocked if is_party(binding) => return None,
            Side::Present(present) => *present,
            Side::Blocked | Side::Missing | Side::Apart | Side::Leaving(_) | Side::Tombstone | Side::Gone(..) => {
                continue;
            }
        };
        if scene.bad(binding, present, unit).is_some() && is_party(binding) {
            return None;
        }
        if let Some(say) = scene.edit(binding, present, unit, false) {
            supersedes |= !scene.hub_is_concurrent(binding, present, unit);
            says.push(say);
        }
    }
    // The hub's value is a candidate only if no edit was made on top of it: else that edit supersedes it.
    if !says.is_empty() && !supersedes {
        says.push(scene.hub_say(unit).with_base(hub_base(scene, unit, &says)));
    }
    says.sort_by(|left, right| {
        let (left_key, right_key) = (scene.rank(&left.candidate.origin), scene.rank(&right.candidate.origin));
        left_key.cmp(&right_key).then(left.binding.cmp(&right.binding))
    });
    fill_silence(scene, unit, &mut says);
    Some(says)
}

/// At first contact who shows nothing of a member that nobody was agreed on to have has no word on it: it does not stand, as a
/// part of its group, against what another side shows. Whose record came in first would matter else.
fn fill_silence(scene: &Scene<'_>, unit: &Unit<'_>, says: &mut [Say]) {
    let is_contact = unit.fields.len() > 1 && says.iter().any(|say| say.first);
    let is_open = |(_, field): &(usize, &usize)| is_contact && scene.is_silence(**field);
    for (at, _) in unit.fields.iter().enumerate().filter(is_open) {
        let Some(said) = says.iter().map(|say| &say.candidate.values[at]).find(|value| !value.is_null()).cloned()
        else {
            continue;
        };
        for say in says.iter_mut().filter(|say| say.first || say.binding.is_none()) {
            let value = &mut say.candidate.values[at];
            if value.is_null() {
                value.clone_from(&said);
            }
        }
    }
}

impl Say {
    fn with_base(self, base: Vec<Value>) -> Self {
        Self { base, ..self }
    }
}

/// The hub half of the base of the most trusted say that has one.
fn hub_base(scene: &Scene<'_>, unit: &Unit<'_>, says: &[Say]) -> Vec<Value> {
    let by_rank = |say: &&Say| scene.rank(&say.candidate.origin).0;
    let known =
        says.iter().filter(|say| !say.first && say.binding.is_some()).min_by_key(by_rank).and_then(|say| say.binding);
    let link = known.and_then(|binding| scene.facts.spokes[binding].link.as_ref());
    let value = |field: &usize| link.and_then(|link| link.base_hub.get(*field)?.clone());
    unit.fields.iter().map(|field| value(field).unwrap_or(Value::Null)).collect()
}

// ---- decided ---------------------------------------------------------------------------------------------------------

/// The values of a unit, chosen among several says.
pub(super) struct Decided {
    pub rule: Rule,
    pub values: Vec<Value>,
    pub taken: Provenance,
    /// Made out of all candidates: none lost.
    pub merged: bool,
}

impl Decided {
    pub(super) fn ruling(self, scene: &Scene<'_>, unit: &Unit<'_>, says: &[Say], tried: Tried) -> Ruling {
        let before = scene.hub_of(unit);
        let lost = |say: &&Say| !self.merged && !scene.same_all(&unit.fields, &say.candidate.values, &self.values);
        let losers: Vec<Candidate> = says.iter().filter(lost).map(|say| say.candidate.clone()).collect();
        let changed = !scene.same_all(&unit.fields, &before, &self.values);
        // Equal values keep the spelling that the hub has.
        let keep_spelling = |(at, value): (usize, Value)| {
            if scene.same(unit.fields[at], &before[at], &value) { before[at].clone() } else { value }
        };
        let values: Vec<Value> = self.values.into_iter().enumerate().map(keep_spelling).collect();
        let decision = Decision {
            fields: unit.fields.clone(),
            rule: self.rule,
            winner: (!self.merged).then(|| self.taken.origin.clone()),
            before,
            after: values.clone(),
            losers,
            tried,
        };
        Ruling { taken: changed.then_some(self.taken), decided: true, decision: Some(decision), ..Ruling::keep(values) }
    }
}

/// Whose value a candidate is.
pub(super) fn provenance(candidate: &Candidate) -> Provenance {
    Provenance {
        origin: candidate.origin.clone(),
        source_time: candidate.source_time,
        observed_at: candidate.observed_at,
    }
}

/// One side's edit, or several that say the same.
fn rule_agreed(scene: &Scene<'_>, unit: &Unit<'_>, says: &[Say]) -> Ruling {
    let hub = scene.hub_of(unit);
    let [only] = says else {
        let say = says.iter().find(|say| say.binding.is_none()).unwrap_or(&says[0]);
        let decided = Decided {
            rule: Rule::SameValue,
            values: say.candidate.values.clone(),
            taken: provenance(&say.candidate),
            merged: false,
        };
        return decided.ruling(scene, unit, says, Tried::new());
    };
    if scene.same_all(&unit.fields, &only.candidate.values, &hub) {
        // The spoke spells the hub's own value anew: its base moves, nothing else.
        return Ruling::keep(hub);
    }
    let rule = if only.first { Rule::FirstContact } else { Rule::OneSide };
    let (values, taken) = (only.candidate.values.clone(), provenance(&only.candidate));
    Decided { rule, values, taken, merged: false }.ruling(scene, unit, says, Tried::new())
}

fn rule_by_chain(scene: &Scene<'_>, unit: &Unit<'_>, says: &[Say], tried: &mut Tried) -> Option<Decided> {
    let question = Question {
        domains: unit.fields.iter().map(|&field| &scene.collection.fields[field].domain).collect(),
        priority: &scene.collection.priority,
        hub: scene.hub_of(unit),
        candidates: says.iter().map(|say| Asked { candidate: &say.candidate, base: &say.base }).collect(),
    };
    for &policy in unit.chain {
        let rule = policy_rule(policy);
        match policy::consult(policy, &question) {
            Answer::Winner(at) => {
                let candidate = &says[at].candidate;
                let (values, taken) = (candidate.values.clone(), provenance(candidate));
                return Some(Decided { rule, values, taken, merged: false });
            }
            Answer::Merged(values) => {
                // Nobody's value alone: from here on it is the hub's own.
                return Some(Decided { rule, values, taken: scene.local_now(), merged: true });
            }
            Answer::CannotDecide(reason) => tried.push((rule, reason)),
            Answer::AskPerson => {
                tried.push((rule, "a person decides"));
                return None;
            }
        }
    }
    None
}

fn policy_rule(policy: Policy) -> Rule {
    Rule::Policy(policy::name(policy).to_owned())
}

// ---- conflicts -------------------------------------------------------------------------------------------------------

/// The unit is frozen: the hub keeps its value, and nothing of it moves anywhere. Says so only where that is news.
pub(super) fn stand_still(
    scene: &Scene<'_>,
    unit: &Unit<'_>,
    says: &[Say],
    freeze: Option<&Freeze>,
    kind: ConflictKind,
    tried: Tried,
) -> Ruling {
    let refused = tried.iter().any(|(rule, _)| *rule == Rule::Resolution);
    let still = Ruling { frozen: true, ..Ruling::keep(scene.hub_of(unit)) };
    if !refused && freeze.is_some_and(|freeze| unmoved(scene, &unit.fields, freeze, says)) {
        return still;
    }
    let candidates: Vec<Candidate> = says.iter().map(|say| say.candidate.clone()).collect();
    let agreed_once = says.iter().any(|say| !say.first && say.binding.is_some());
    let hub = scene.hub_of(unit);
    let conflict = Conflict {
        fields: unit.fields.clone(),
        kind,
        base: agreed_once.then(|| hub_base(scene, unit, says)),
        candidates: candidates.clone(),
    };
    let decision = Decision {
        fields: unit.fields.clone(),
        rule: Rule::Frozen,
        winner: None,
        before: hub.clone(),
        after: hub,
        losers: Vec::new(),
        tried,
    };
    Ruling { conflict: Some(conflict), decision: Some(decision), ..still }
}

/// Whether every side still says what it said when the conflict was opened, and nobody else speaks.
fn unmoved(scene: &Scene<'_>, fields: &[usize], freeze: &Freeze, says: &[Say]) -> bool {
    freeze.candidates.len() == says.len()
        && says.iter().all(|say| {
            freeze.candidates.iter().any(|then| {
                then.origin == say.candidate.origin && scene.same_all(fields, &then.values, &say.candidate.values)
            })
        })
}

/// A person's choice, provided that it was made on what the sides still say (else it would override what nobody saw).
pub(super) fn resolve(
    scene: &Scene<'_>,
    unit: &Unit<'_>,
    freeze: &Freeze,
    says: &[Say],
) -> Result<(Vec<Value>, Provenance), &'static str> {
    if !unmoved(scene, &unit.fields, freeze, says) {
        return Err("stale: a side changed after the choice was made");
    }
    match &freeze.resolution {
        Some(Resolution::Take(origin)) => says
            .iter()
            .find(|say| &say.candidate.origin == origin)
            .map(|say| (say.candidate.values.clone(), provenance(&say.candidate)))
            .ok_or("the chosen side is no candidate"),
        Some(Resolution::Values(values)) if values.len() == unit.fields.len() => {
            Ok((values.clone(), Provenance { source_time: Some(scene.facts.now), ..scene.local_now() }))
        }
        Some(Resolution::Values(_)) => Err("the choice has another number of values than the fields in question"),
        Some(Resolution::Delete | Resolution::Keep) => Err("the conflict is about values, not about existence"),
        None => Err("no choice was made"),
    }
}
