//! Owns: the decision about one record: its existence first, then its fields, then what each spoke needs.
//!
//! Must not know: how facts are loaded and how plans are carried out.

use crate::record::Value;
use crate::rules::Collection;

use super::existence::{self, Fate};
use super::push::{self, Ruled};
use super::sides::{self, Present, Scene, Side, units};
use super::{
    Blocked, CloseReason, Closed, Decision, Facts, Hub, LinkState, LocalChange, RecordPlan, Rule, Write, WriteOp,
    fields, oscillation,
};

/// Decides about one record. Pure: the same facts under the same rules give the same plan (I18), and nothing in it
/// depends on the order of bindings but the order of its lists (I8).
///
/// What a plan means beyond its types:
/// - `links` with [`LinkState::Live`] makes the link of a spoke that had none (first contact) or revives it; its base is
///   in `bases`. With [`LinkState::Deleted`] it keeps the evidence of a remote delete, in the same commit.
/// - [`LocalChange::Insert`] together with `record: Some` restores a row under its old id.
/// - A link that is [`LinkState::OutOfScope`] (or archived) is neither read nor written until the record is seen in scope again, which
///   revives it: what either side did meanwhile is an edit since its base.
/// - A row whose link is `Deleted`, without an open conflict about existence, is waiting to be recreated there: the
///   create is derived again in every pass until it is acknowledged.
/// - `quarantine` leaves everything about fields undone; only existence (links, conflicts with no fields) is still said.
/// - An open conflict without fields freezes existence everywhere and all writes of the record; local reads go on.
pub fn decide(collection: &Collection, facts: &Facts) -> RecordPlan {
    let facts = sides::recall(collection, facts);
    let scene = Scene::new(collection, &facts);
    let mut plan = RecordPlan { record: facts.record.clone(), ..RecordPlan::default() };
    for (binding, side) in scene.sides.iter().enumerate() {
        match side {
            Side::Leaving(state) => plan.links.push((binding, *state)),
            Side::Gone(..) => plan.links.push((binding, LinkState::Deleted)),
            Side::Blocked | Side::Missing | Side::Apart | Side::Tombstone | Side::Present(_) => {}
        }
    }
    let fate = match &facts.hub {
        Hub::Never if scene.present().any(|(binding, _)| scene.binding(binding).pull) => Fate::Restore,
        Hub::Never => Fate::Nothing,
        Hub::Row { .. } => existence::with_row(&scene, &mut plan),
        Hub::Deleted { .. } => existence::without_row(&scene, &mut plan),
    };
    match fate {
        Fate::Nothing => {}
        Fate::Merge => merge(&scene, true, true, &mut plan),
        Fate::Hold => {
            merge(&scene, true, false, &mut plan);
            existence::reopen(&scene, &mut plan);
        }
        Fate::Restore => {
            let restored = Scene { hub: existence::remembered(&scene), ..scene };
            merge(&restored, false, true, &mut plan);
        }
        Fate::Delete => existence::delete(&scene, &mut plan),
    }
    plan.links.sort_unstable();
    plan.writes.sort_by_key(|write| write.binding);
    plan
}

/// The record is there (or is inserted): fields, then spokes. `may_write` is false while its existence is in question.
fn merge(scene: &Scene<'_>, existed: bool, may_write: bool, plan: &mut RecordPlan) {
    let mut part = RecordPlan::default();
    let (ruled, after) = rule_fields(scene, existed, &mut part);
    if let Some(reason) = missing(scene, &after) {
        plan.quarantine = Some(reason);
        return;
    }
    part.local = local_change(scene, existed, &after);
    let inserted = !existed;
    let mut creates = false;
    for (binding, side) in scene.sides.iter().enumerate() {
        match side {
            Side::Present(present) => update(scene, binding, *present, (&ruled, &after), may_write, &mut part),
            Side::Missing | Side::Tombstone | Side::Gone(..) => {
                let detached = plan.links.contains(&(binding, LinkState::Detached));
                if may_write && !detached {
                    let made = create(scene, binding, (&ruled, &after), &mut part);
                    creates |= made && matches!(side, Side::Missing);
                }
            }
            Side::Blocked | Side::Apart | Side::Leaving(_) => {}
        }
    }
    if inserted || creates {
        plan.decisions.push(Decision {
            fields: Vec::new(),
            rule: Rule::FirstContact,
            winner: Some(push::source(scene)),
            before: Vec::new(),
            after,
            losers: Vec::new(),
            tried: Vec::new(),
        });
    }
    let freezes = scene.facts.frozen.iter().filter(|freeze| !freeze.fields.is_empty());
    for freeze in freezes.filter(|freeze| !ruled.iter().any(|ruled| ruled.unit.fields == freeze.fields)) {
        // The rules changed: these fields are no longer one unit. What still differs was decided anew above.
        part.closed.push(Closed { fields: freeze.fields.clone(), how: CloseReason::Agreed });
    }
    plan.local = part.local;
    plan.writes.append(&mut part.writes);
    plan.bases.append(&mut part.bases);
    plan.links.append(&mut part.links);
    plan.conflicts.append(&mut part.conflicts);
    plan.closed.append(&mut part.closed);
    plan.origins.append(&mut part.origins);
    plan.decisions.append(&mut part.decisions);
    plan.blocked.append(&mut part.blocked);
    if may_write {
        plan.turns.append(&mut part.turns);
    }
    plan.calmed.append(&mut part.calmed);
}

/// Rules every unit. An insert explains itself as a whole: only units that a policy or a person decided speak.
fn rule_fields<'a>(scene: &Scene<'a>, existed: bool, plan: &mut RecordPlan) -> (Vec<Ruled<'a>>, Vec<Value>) {
    let mut after = scene.hub.clone();
    let mut ruled = Vec::new();
    for unit in units(scene.collection) {
        let ruling = fields::rule_unit(scene, &unit);
        let ruling = if existed { oscillation::break_off(scene, &unit, ruling, plan) } else { ruling };
        for (&field, value) in unit.fields.iter().zip(&ruling.values) {
            let provenance = match &ruling.taken {
                Some(taken) => (existed || !value.is_null()).then(|| taken.clone()),
                None if existed && !scene.is_unreadable(&unit) => scene.local_news(field),
                None => None,
            };
            plan.origins.extend(provenance.map(|provenance| (field, provenance)));
            after[field] = value.clone();
        }
        let whole = |rule: &Rule| !existed && matches!(rule, Rule::OneSide | Rule::FirstContact);
        plan.decisions.extend(ruling.decision.filter(|decision| !whole(&decision.rule)));
        plan.conflicts.extend(ruling.conflict);
        plan.closed.extend(ruling.closed.map(|how| Closed { fields: unit.fields.clone(), how }));
        ruled.push(Ruled { unit, frozen: ruling.frozen, decided: ruling.decided, left: ruling.left });
    }
    (ruled, after)
}

fn local_change(scene: &Scene<'_>, existed: bool, after: &[Value]) -> LocalChange {
    if !existed {
        return LocalChange::Insert(after.to_vec());
    }
    let changed = (0..after.len()).filter(|&field| after[field] != scene.hub[field]);
    let changed: Vec<(usize, Value)> = changed.map(|field| (field, after[field].clone())).collect();
    if changed.is_empty() { LocalChange::None } else { LocalChange::Update(changed) }
}

/// Why the record cannot be stored or sent: a required field without a value, and what stands in its place.
fn missing(scene: &Scene<'_>, after: &[Value]) -> Option<String> {
    let is_missing = |&field: &usize| {
        scene.collection.fields[field].required && after[field].is_null() && !scene.facts.unreadable.contains(&field)
    };
    let field = (0..after.len()).find(is_missing)?;
    let unit = units(scene.collection).into_iter().find(|unit| unit.fields.contains(&field))?;
    let bad = scene.present().find_map(|(binding, present)| {
        let (_, reason) = scene.bad(binding, present, &unit)?;
        Some(format!(" ({} says: {reason})", scene.origin(binding).name()))
    });
    Some(format!("required field `{}` has no value{}", scene.collection.fields[field].name, bad.unwrap_or_default()))
}

type Decided<'d, 'a> = (&'d [Ruled<'a>], &'d [Value]);

fn update(
    scene: &Scene<'_>,
    binding: usize,
    present: Present<'_>,
    (ruled, after): Decided<'_, '_>,
    may_write: bool,
    plan: &mut RecordPlan,
) {
    let needs = push::needs(scene, binding, present, ruled, after);
    if present.comes_alive() {
        plan.links.push((binding, LinkState::Live));
    }
    plan.bases.extend(needs.base);
    block(binding, needs.blocked, plan);
    if !may_write || needs.write.is_empty() {
        return;
    }
    for ruled in ruled {
        let written = needs.write.iter().any(|(field, _)| ruled.unit.fields.contains(field));
        let explained = plan
            .decisions
            .iter()
            .any(|decision| decision.fields == ruled.unit.fields && !matches!(decision.rule, Rule::Blocked(_)));
        if written && !explained {
            plan.decisions.push(push::pushed(scene, &ruled.unit, binding, after));
        }
    }
    let expected_version = present.version();
    plan.writes.push(Write { binding, op: WriteOp::Update(needs.write), expected_version });
}

/// What stands still at a binding is named there, beside being a decision.
fn block(binding: usize, decisions: Vec<Decision>, plan: &mut RecordPlan) {
    for decision in decisions {
        if let Rule::Blocked(reason) = &decision.rule {
            let (fields, reason) = (decision.fields.clone(), reason.clone());
            plan.blocked.push(Blocked { binding, fields, reason });
        }
        plan.decisions.push(decision);
    }
}

fn create(scene: &Scene<'_>, binding: usize, (ruled, after): Decided<'_, '_>, plan: &mut RecordPlan) -> bool {
    let Some(new) = push::create(scene, binding, ruled, after) else {
        return false;
    };
    block(binding, new.blocked, plan);
    plan.writes.push(Write { binding, op: WriteOp::Create(new.values), expected_version: None });
    true
}
