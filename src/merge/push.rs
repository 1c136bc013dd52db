//! Owns: what each spoke needs once the hub's values are known: its base at commit, the fields to write, a create.
//!
//! Must not know: how the hub's values were decided, requests.
//!
//! **The base's hub half is the hub form of what the spoke holds.** So "push" is always `hub ≉ base.hub`, and:
//!
//! - A spoke that shows nothing new keeps its pair. The pair may be two spellings of one value (the upstream
//!   normalises): the hub equals its own half, so nothing is ever written again (s34, s35).
//! - A spoke whose edit was taken into account, whether it won or lost, gets its observation as the remote half: it is
//!   not news again. Its hub half becomes the hub's value if they are equal, and *its own value* if not.
//!
//! Why not leave the hub half where it was while a write is pending? Take base `(h, r)`, hub `h`, the spoke now says `x`,
//! and the decision is that `h` stands (an owner, `source_priority`, an edit of a third side that ends at `h`). `h` must be
//! written. With base `(h, x)` a crash before the write would leave `hub ≈ base.hub`: no write is derived again, and the
//! sides differ for ever. With `(x, x)` the next pass sees `h ≉ x`, derives exactly this write, and sees no remote edit.
//! It is also the true ancestor for what comes next: a later edit of the spoke is made on top of `x`, while the hub's `h`
//! is concurrent to it, so the two are candidates against each other; and three-way set merges subtract what the spoke
//! really had. Where the spoke shows nothing new, hub half and remote half both stay until the write is acknowledged.

use crate::record::{Slot, Value};
use crate::rules::Origin;

use super::sides::{Present, Says, Scene, Unit};
use super::{BaseAdvance, Decision, Rule};

/// What one spoke that has the record needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// Its base at commit, if it moves.
    pub base: Option<BaseAdvance>,
    /// The fields to write: whole units, ascending.
    pub write: Vec<(usize, Value)>,
    /// What was left out, and why.
    pub blocked: Vec<Decision>,
}

/// A unit with its ruling, as far as spokes care.
#[derive(Clone, Debug)]
pub(super) struct Ruled<'a> {
    pub unit: Unit<'a>,
    pub frozen: bool,
    /// The hub's values were chosen among what the sides say: a null among them is to be written as any other value.
    pub decided: bool,
    pub left: Vec<usize>,
}

/// One field at one spoke after the decision.
struct FieldAfter {
    hub: Option<Value>,
    remote: Slot,
    differs: bool,
}

/// The needs of a spoke that has the record. `after` are the hub's values from now on.
pub(super) fn needs(
    scene: &Scene<'_>,
    binding: usize,
    present: Present<'_>,
    ruled: &[Ruled<'_>],
    after: &[Value],
) -> Needs {
    let count = scene.collection.fields.len();
    let mut hub: Vec<Option<Value>> = (0..count).map(|field| present.base_hub(field).cloned()).collect();
    let mut remote: Vec<Slot> = (0..count).map(|field| present.base_remote(field).clone()).collect();
    let mut needs = Needs::default();
    for Ruled { unit, frozen, decided, left } in ruled {
        if let Some((field, reason)) = scene.bad(binding, present, unit) {
            let reason =
                format!("{} at {}: {reason}", scene.collection.fields[field].name, scene.origin(binding).name());
            needs.blocked.push(blocked(unit, after, reason));
            continue;
        }
        if *frozen {
            continue;
        }
        let mut differs = false;
        for &field in &unit.fields {
            let says = scene.says(binding, present, field);
            let mut now = field_after(scene, binding, present, field, &says, (&after[field], *decided));
            if left.contains(&binding) && now.differs {
                now = FieldAfter { hub: Some(after[field].clone()), differs: false, ..now };
            }
            differs |= now.differs && writable(scene, binding, unit, field);
            hub[field] = now.hub;
            remote[field] = now.remote;
        }
        if differs {
            match refused(scene, unit, after) {
                Some(reason) => needs.blocked.push(blocked(unit, after, reason)),
                None => needs.write.extend(
                    unit.fields
                        .iter()
                        .filter(|&&field| writable(scene, binding, unit, field))
                        .map(|&field| (field, after[field].clone())),
                ),
            }
        }
    }
    needs.write.sort_by_key(|(field, _)| *field);
    let moved = (0..count)
        .any(|field| hub[field].as_ref() != present.base_hub(field) || &remote[field] != present.base_remote(field));
    needs.base = (moved || present.link.is_none()).then_some(BaseAdvance { binding, hub, remote });
    needs
}

/// Whether an update of this spoke may carry a field: never a pull-only or `create_only` field (I9), and never an owned
/// field back to its owner, but where that was set back and a person said that what is here wins.
fn writable(scene: &Scene<'_>, binding: usize, unit: &Unit<'_>, field: usize) -> bool {
    let overruled = scene.facts.spokes[binding].link.as_ref().is_some_and(|link| link.overruled);
    let owns = !overruled && unit.owner.is_some_and(|owner| owner.origin == scene.origin(binding));
    let create_only = scene.map(binding, field).is_some_and(|map| map.create_only);
    scene.pushes(binding, field) && !create_only && !owns
}

fn field_after(
    scene: &Scene<'_>,
    binding: usize,
    present: Present<'_>,
    field: usize,
    says: &Says<'_>,
    (after, decided): (&Value, bool),
) -> FieldAfter {
    let base = present.base_hub(field);
    let remote = present.base_remote(field);
    match says {
        // A field without a mapping has no base, and one that cannot be read keeps it.
        Says::Unmapped | Says::Bad(_) => FieldAfter { hub: base.cloned(), remote: remote.clone(), differs: false },
        Says::Changed { value, first: _ } if scene.pulls(binding, field) => {
            let remote = Slot::Value((*value).clone());
            if scene.same(field, after, value) {
                FieldAfter { hub: Some(after.clone()), remote, differs: false }
            } else if base.is_none() && after.is_null() && !decided {
                // First contact: a hub that never had a value says nothing; it does not clear what the spoke has.
                FieldAfter { hub: None, remote, differs: false }
            } else {
                let held = scene.collection.fields[field].domain.canonical(value);
                FieldAfter { hub: Some(held), remote, differs: true }
            }
        }
        // Push-only: what the upstream makes of the field is not read as an edit; it only tells what is there.
        Says::Changed { value, first: _ } => held(scene, field, base, Slot::Value((*value).clone()), after),
        Says::Held => held(scene, field, base, remote.clone(), after),
    }
}

/// A spoke that said nothing new: quiet while the hub equals its half of the pair.
fn held(scene: &Scene<'_>, field: usize, base: Option<&Value>, remote: Slot, after: &Value) -> FieldAfter {
    let agrees = base.is_some_and(|base| scene.same(field, after, base));
    let arrived = remote.value().is_some_and(|there| scene.same(field, after, there));
    if agrees {
        FieldAfter { hub: base.cloned(), remote, differs: false }
    } else if arrived {
        // The hub came to what the spoke holds anyway.
        FieldAfter { hub: Some(after.clone()), remote, differs: false }
    } else {
        // Without a base, null is silence; with one, it clears.
        FieldAfter { hub: base.cloned(), remote, differs: base.is_some() || !after.is_null() }
    }
}

/// Why a unit's values cannot be sent anywhere: a member outside its closed list.
fn refused(scene: &Scene<'_>, unit: &Unit<'_>, after: &[Value]) -> Option<String> {
    unit.fields.iter().find_map(|&field| {
        let declared = &scene.collection.fields[field];
        let admitted = declared.domain.admits(&declared.domain.canonical(&after[field]));
        (!admitted).then(|| format!("{}: `{}` is not one of the listed values", declared.name, after[field]))
    })
}

fn blocked(unit: &Unit<'_>, after: &[Value], reason: String) -> Decision {
    let values: Vec<Value> = unit.fields.iter().map(|&field| after[field].clone()).collect();
    Decision {
        fields: unit.fields.clone(),
        rule: Rule::Blocked(reason),
        winner: None,
        before: values.clone(),
        after: values,
        losers: Vec::new(),
        tried: Vec::new(),
    }
}

/// The fields of a create.
#[derive(Clone, Debug)]
pub(super) struct NewRecord {
    pub values: Vec<(usize, Value)>,
    /// What was left out, and why.
    pub blocked: Vec<Decision>,
}

/// The fields of a create, or `None` where none can be made: the binding cannot create, or a required field stands still.
pub(super) fn create(scene: &Scene<'_>, binding: usize, ruled: &[Ruled<'_>], after: &[Value]) -> Option<NewRecord> {
    let declared = scene.binding(binding);
    let can = declared.create.is_some() || declared.batches.iter().any(|batch| batch.create);
    if !(declared.push && can) {
        return None;
    }
    let mut new = NewRecord { values: Vec::new(), blocked: Vec::new() };
    for Ruled { unit, frozen, decided: _, left: _ } in ruled {
        let mapped = || unit.fields.iter().filter(|&&field| scene.pushes(binding, field));
        let needed = mapped().any(|&field| scene.collection.fields[field].required);
        let refusal = refused(scene, unit, after).filter(|_| mapped().next().is_some());
        if (*frozen || refusal.is_some()) && needed {
            return None;
        }
        new.blocked.extend(refusal.clone().map(|reason| blocked(unit, after, reason)));
        // An owner that lost the record gets what it said last: an owned value is always the owner's word.
        if !*frozen && refusal.is_none() {
            let there = mapped().filter(|&&field| !after[field].is_null());
            new.values.extend(there.map(|&field| (field, after[field].clone())));
        }
    }
    new.values.sort_by_key(|(field, _)| *field);
    Some(new)
}

/// Why an existing value is written: the decision for a unit that nobody else decided about in this pass.
pub(super) fn pushed(scene: &Scene<'_>, unit: &Unit<'_>, binding: usize, after: &[Value]) -> Decision {
    let link = scene.facts.spokes[binding].link.as_ref();
    let held = |field: &usize| link.and_then(|link| link.base_hub.get(*field)?.clone()).unwrap_or(Value::Null);
    let voice = scene.hub_say(unit).candidate.origin;
    let winner = unit.owner.map_or(voice, |owner| owner.origin.clone());
    Decision {
        fields: unit.fields.clone(),
        rule: Rule::OneSide,
        winner: Some(winner),
        before: unit.fields.iter().map(held).collect(),
        after: unit.fields.iter().map(|&field| after[field].clone()).collect(),
        losers: Vec::new(),
        tried: Vec::new(),
    }
}

/// The origin that a new record is told to come from: the most trusted that shows it.
pub(super) fn source(scene: &Scene<'_>) -> Origin {
    let shown = scene.present().map(|(binding, _)| scene.origin(binding));
    shown.min_by(|left, right| scene.rank(left).cmp(&scene.rank(right))).unwrap_or(Origin::Local)
}
