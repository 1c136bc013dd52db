//! Owns: what becomes of a unit that one side owns: only the owner's word counts, and null is its word until it says otherwise.
//!
//! Must not know: policies, open conflicts, writes.
//!
//! An owner that has the record and never showed the field, and one that does not have the record at all, both say null:
//! else whoever speaks first would own the field. An owner that cannot be asked says nothing, so the unit stands still.

use crate::record::Value;
use crate::rules::{Drift, Origin, Owner};

use super::fields::{Decided, Ruling, Tried, provenance};
use super::sides::{Say, Says, Scene, Side, Unit};
use super::{Candidate, Provenance, Rule};

/// The owner's word on its unit.
struct Word {
    /// As it was last heard.
    before: Vec<Value>,
    /// As it is now.
    now: Vec<Value>,
    /// Whose and when, where it is new.
    news: Option<Provenance>,
}

/// Only the owner's value reaches the hub; every other edit is drift, reverted or reported and kept as a loser.
pub(super) fn rule_owned(scene: &Scene<'_>, unit: &Unit<'_>, owner: &Owner) -> Ruling {
    let hub = scene.hub_of(unit);
    let Some(word) = word(scene, unit, &owner.origin) else {
        return Ruling { frozen: true, ..Ruling::keep(hub) };
    };
    let mut says = foreign(scene, unit, &owner.origin);
    let left: Vec<usize> = match owner.drift {
        Drift::Report => says.iter().filter_map(|say| say.binding).collect(),
        Drift::Revert => Vec::new(),
    };
    // The hub was edited here although an upstream owns the unit.
    let drifted = [&word.before, &word.now].iter().all(|said| !scene.same_all(&unit.fields, said, &hub));
    let held = match owner.drift {
        Drift::Report => drifted && word.news.is_none(),
        Drift::Revert => false,
    };
    let foreign_count = says.len();
    if held {
        // What the owner last said is the loser of a local edit that is only reported.
        let (origin, values) = (owner.origin.clone(), word.before);
        let owners = Candidate { origin, values, source_time: None, observed_at: scene.facts.now };
        says.push(Say { candidate: owners, ..scene.hub_say(unit) });
    } else if drifted {
        says.push(scene.hub_say(unit));
    }
    let told = if held {
        unit.fields.iter().any(|&field| scene.local_news(field).is_some())
    } else {
        word.news.is_some() || drifted
    };
    let by = if held { Origin::Local } else { owner.origin.clone() };
    let reverted = Provenance { origin: by, source_time: None, observed_at: scene.facts.now };
    let taken = word.news.unwrap_or(reverted);
    let values = if held { hub } else { word.now };
    let ruling = Decided { rule: Rule::Owner, values, taken, merged: false }.ruling(scene, unit, &says, Tried::new());
    let decision = ruling.decision.clone().filter(|_| told || foreign_count > 0);
    Ruling { frozen: held, left, decision, ..ruling }
}

/// What everybody but the owner newly says, by name.
fn foreign(scene: &Scene<'_>, unit: &Unit<'_>, owner: &Origin) -> Vec<Say> {
    let others = scene.present().filter(|(binding, _)| &scene.origin(*binding) != owner);
    let mut says: Vec<Say> =
        others.filter_map(|(binding, present)| scene.edit(binding, present, unit, false)).collect();
    says.sort_by(|left, right| left.candidate.origin.cmp(&right.candidate.origin));
    says
}

/// The owner's word; `None` where nobody can tell it.
fn word(scene: &Scene<'_>, unit: &Unit<'_>, owner: &Origin) -> Option<Word> {
    let said = |values: Vec<Value>| Some(Word { before: values.clone(), now: values, news: None });
    let nothing = || vec![Value::Null; unit.fields.len()];
    let Some(binding) = (0..scene.sides.len()).find(|&binding| &scene.origin(binding) == owner) else {
        return match owner {
            Origin::Local => said(scene.hub_of(unit)),
            Origin::Upstream(_) => said(nothing()),
        };
    };
    // A link that is not live any more still tells what the owner said last.
    let link = scene.facts.spokes[binding].link.as_ref();
    if link.is_some_and(|link| link.overruled) {
        return said(scene.hub_of(unit));
    }
    let base = |field: &usize| link.and_then(|link| link.base_hub.get(*field)?.clone());
    let known: Option<Vec<Value>> = unit.fields.iter().map(base).collect();
    match scene.sides[binding] {
        Side::Blocked | Side::Apart => known.and_then(said),
        Side::Missing | Side::Leaving(_) | Side::Tombstone | Side::Gone(..) => {
            said(unit.fields.iter().map(|field| base(field).unwrap_or(Value::Null)).collect())
        }
        Side::Present(present) if scene.bad(binding, present, unit).is_some() => known.and_then(said),
        Side::Present(present) => {
            let canonical = |field: usize, value: &Value| scene.collection.fields[field].domain.canonical(value);
            let before = |field: usize| match (present.base_hub(field), present.base_remote(field).value()) {
                (Some(held), _) => held.clone(),
                (None, Some(there)) => canonical(field, there),
                (None, None) => Value::Null,
            };
            let now = |field: usize| match scene.says(binding, present, field) {
                Says::Changed { value, first: _ } => canonical(field, value),
                Says::Unmapped | Says::Bad(_) | Says::Held => before(field),
            };
            Some(Word {
                before: unit.fields.iter().map(|&field| before(field)).collect(),
                now: unit.fields.iter().map(|&field| now(field)).collect(),
                news: scene.edit(binding, present, unit, true).map(|say| provenance(&say.candidate)),
            })
        }
    }
}
