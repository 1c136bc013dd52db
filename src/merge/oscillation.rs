//! Owns: whether two sides take each other's value back for ever, and the unit that stands still then (s36, I17).
//!
//! Must not know: where rings are kept, policies, requests.
//!
//! No side can be told a machine from a person, but one thing gives a war away: a write that puts value B over A, where A
//! is the spoke's *own word* (not something that was written there by us), again and again without an edit here in
//! between. An owned field that a workflow resets does so, and so do two upstreams that each insist. Somebody who toggles
//! a field at one side does not: what is overwritten at the others is our own value.
//!
//! Every such overwriting is a [`Turn`], and a short ring of them is kept per field and spoke. It grows with a write of the
//! field only, in the commit that plans the write, so a write that is repeated for a crash or a rate limit counts once.

use chrono::{DateTime, TimeDelta, Utc};
use xxhash_rust::xxh3::xxh3_64;

use crate::record::Value;
use crate::rules::Origin;

use super::fields::{Decided, Ruling, Tried, resolve, stand_still};
use super::push::{self, Ruled};
use super::sides::{Present, Say, Says, Scene, Side, Unit};
use super::{Candidate, CloseReason, ConflictKind, Freeze, RecordPlan, Resolution, Rule};

/// How often the same value is written over the same word of a spoke; instead of once more the field is frozen.
pub const ALTERNATIONS_MAX: usize = 3;

/// Turns further back do not count: people who change their minds now and then are no war.
const WINDOW: TimeDelta = TimeDelta::days(7);

/// Turns remembered per field and spoke: enough for a war of several sides, each with a value of its own.
const RING_MAX: usize = 8;

/// A write over a spoke's own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The binding's position in its collection.
    pub binding: usize,
    /// The field.
    pub field: usize,
    /// Hash of the spoke's word.
    pub theirs: u64,
    /// Hash of what was to be written over it.
    pub ours: u64,
    /// When that was decided.
    pub at: DateTime<Utc>,
}

/// The ring of one field at one binding with these turns added: the newest few, oldest first.
pub fn ring<'a>(known: &'a [Turn], new: &'a [Turn], (binding, field): (usize, usize)) -> Vec<&'a Turn> {
    let of_field = |turn: &&Turn| (turn.binding, turn.field) == (binding, field);
    let all: Vec<&Turn> = known.iter().chain(new).filter(of_field).collect();
    all[all.len().saturating_sub(RING_MAX)..].to_vec()
}

/// The ruling as it is, unless it would go on with a war: then the unit stands still, and a person is asked.
pub(super) fn break_off(scene: &Scene<'_>, unit: &Unit<'_>, ruling: Ruling, plan: &mut RecordPlan) -> Ruling {
    let freeze = scene.freeze(&unit.fields).filter(|freeze| freeze.kind == ConflictKind::Oscillation);
    if freeze.is_some_and(|freeze| is_unheard(scene, freeze)) {
        return Ruling { frozen: true, ..Ruling::keep(scene.hub_of(unit)) };
    }
    let edited = unit.fields.iter().any(|&field| scene.local_news(field).is_some());
    if edited || ruling.closed == Some(CloseReason::Resolved) {
        calm(scene, unit, plan);
        return ruling;
    }
    if ruling.frozen {
        return ruling;
    }
    let turns = turns(scene, unit, &ruling);
    if let Some(turn) = turns.iter().find(|turn| is_one_too_many(scene, turn)) {
        return stop(scene, unit, ruling, freeze, (turn.binding, plan));
    }
    plan.turns.extend(turns);
    ruling
}

/// Whether a side of the war cannot be asked in this pass: nothing is known that could end it.
fn is_unheard(scene: &Scene<'_>, freeze: &Freeze) -> bool {
    let is_party = |binding: usize| freeze.candidates.iter().any(|candidate| candidate.origin == scene.origin(binding));
    scene.sides.iter().enumerate().any(|(binding, side)| matches!(side, Side::Blocked) && is_party(binding))
}

/// An edit here, or a person's choice: what happened before does not count any more.
fn calm(scene: &Scene<'_>, unit: &Unit<'_>, plan: &mut RecordPlan) {
    let known = |field: &&usize| scene.facts.turns.iter().any(|turn| turn.field == **field);
    plan.calmed.extend(unit.fields.iter().filter(known).copied());
}

fn is_one_too_many(scene: &Scene<'_>, turn: &Turn) -> bool {
    let same = |known: &&Turn| {
        (known.binding, known.field, known.theirs, known.ours) == (turn.binding, turn.field, turn.theirs, turn.ours)
            && turn.at - known.at < WINDOW
    };
    scene.facts.turns.iter().filter(same).count() >= ALTERNATIONS_MAX
}

/// What this ruling would write over a spoke's own word.
fn turns(scene: &Scene<'_>, unit: &Unit<'_>, ruling: &Ruling) -> Vec<Turn> {
    let mut turns = Vec::new();
    for (binding, present) in scene.present() {
        let overruled = unit.fields.iter().zip(&ruling.values).any(|(&field, value)| {
            own_word(scene, binding, present, field).is_some_and(|word| !scene.same(field, &word, value))
        });
        if !overruled {
            continue;
        }
        for (field, value) in writes(scene, unit, ruling, binding, present) {
            let Some(word) = own_word(scene, binding, present, field) else { continue };
            if !scene.same(field, &word, &value) {
                let (theirs, ours) = (hash(scene, field, &word), hash(scene, field, &value));
                turns.push(Turn { binding, field, theirs, ours, at: scene.facts.now });
            }
        }
    }
    turns
}

/// What a spoke says of itself about a field, now or (where the hub took it over) before; `None` where it holds ours.
fn own_word(scene: &Scene<'_>, binding: usize, present: Present<'_>, field: usize) -> Option<Value> {
    match scene.says(binding, present, field) {
        Says::Changed { value, first: false } => Some(scene.collection.fields[field].domain.canonical(value)),
        Says::Held => {
            let origin = &scene.facts.origins.get(field)?.as_ref()?.origin;
            let held = present.base_hub(field)?;
            (origin == &scene.origin(binding) && scene.same(field, held, &scene.hub[field])).then(|| held.clone())
        }
        Says::Changed { value: _, first: true } | Says::Unmapped | Says::Bad(_) => None,
    }
}

/// The fields of the unit that would be written to the spoke.
fn writes(
    scene: &Scene<'_>,
    unit: &Unit<'_>,
    ruling: &Ruling,
    binding: usize,
    present: Present<'_>,
) -> Vec<(usize, Value)> {
    let mut after = scene.hub.clone();
    for (&field, value) in unit.fields.iter().zip(&ruling.values) {
        after[field] = value.clone();
    }
    let (unit, left) = (unit.clone(), ruling.left.clone());
    let ruled = [Ruled { unit, frozen: false, decided: ruling.decided, left }];
    push::needs(scene, binding, present, &ruled, &after).write
}

fn hash(scene: &Scene<'_>, field: usize, value: &Value) -> u64 {
    let canonical = scene.collection.fields[field].domain.canonical(value);
    xxh3_64(canonical.to_json().to_string().as_bytes())
}

/// The unit stands still, with both sides named, unless a person has chosen between them as they still are.
fn stop(
    scene: &Scene<'_>,
    unit: &Unit<'_>,
    ruling: Ruling,
    freeze: Option<&Freeze>,
    (binding, plan): (usize, &mut RecordPlan),
) -> Ruling {
    let says = sides(scene, unit, &ruling, binding);
    let mut tried = Tried::new();
    if let Some(freeze) = freeze.filter(|freeze| freeze.resolution.is_some()) {
        match choose(scene, unit, freeze, &says) {
            Ok(decided) => {
                calm(scene, unit, plan);
                let chosen = decided.ruling(scene, unit, &says, tried);
                return Ruling { closed: Some(CloseReason::Resolved), left: ruling.left, ..chosen };
            }
            Err(reason) => tried.push((Rule::Resolution, reason)),
        }
    }
    stand_still(scene, unit, &says, freeze, ConflictKind::Oscillation, tried)
}

fn choose(scene: &Scene<'_>, unit: &Unit<'_>, freeze: &Freeze, says: &[Say]) -> Result<Decided, &'static str> {
    let (values, taken) = resolve(scene, unit, freeze, says)?;
    let by_owner = |owner: &Origin| match &freeze.resolution {
        Some(Resolution::Take(side)) => side == owner,
        Some(Resolution::Values(_) | Resolution::Delete | Resolution::Keep) | None => false,
    };
    match unit.owner {
        Some(owner) if owner.origin != Origin::Local && !by_owner(&owner.origin) => {
            Err("only the owner sets this field: take its side, or change the rules")
        }
        Some(_) | None => Ok(Decided { rule: Rule::Resolution, values, taken, merged: false }),
    }
}

/// Both sides of the war: the value that would be written, and the spoke that takes it back.
fn sides(scene: &Scene<'_>, unit: &Unit<'_>, ruling: &Ruling, binding: usize) -> Vec<Say> {
    let say = |candidate: Candidate| Say {
        candidate,
        binding: None,
        base: vec![Value::Null; unit.fields.len()],
        first: false,
    };
    let there = scene.present().find(|(at, _)| *at == binding).map(|(_, present)| present);
    let observation = there.and_then(|present| present.observation);
    let held = |field: usize| {
        there.and_then(|present| match scene.says(binding, present, field) {
            Says::Changed { value, first: _ } => Some(scene.collection.fields[field].domain.canonical(value)),
            Says::Unmapped | Says::Bad(_) | Says::Held => present.base_hub(field).cloned(),
        })
    };
    let theirs = Candidate {
        origin: scene.origin(binding),
        values: unit.fields.iter().map(|&field| held(field).unwrap_or_else(|| scene.hub[field].clone())).collect(),
        source_time: observation.and_then(|seen| seen.updated_at),
        observed_at: observation.map_or(scene.facts.now, |seen| seen.observed_at),
    };
    let voice = scene.hub_say(unit).candidate;
    let (mut origin, source_time, observed_at) = match (&ruling.taken, unit.owner) {
        (Some(taken), _) => (taken.origin.clone(), taken.source_time, taken.observed_at),
        (None, Some(owner)) => (owner.origin.clone(), voice.source_time, voice.observed_at),
        (None, None) => (voice.origin, voice.source_time, voice.observed_at),
    };
    if origin == theirs.origin {
        origin = Origin::Local;
    }
    let ours = Candidate { origin, values: ruling.values.clone(), source_time, observed_at };
    let mut says = vec![say(ours), say(theirs)];
    says.sort_by(|left, right| scene.rank(&left.candidate.origin).cmp(&scene.rank(&right.candidate.origin)));
    says
}
