//! Owns: whether a record lives on: deletes on either side against edits on the others, and conflicts about them.
//!
//! Must not know: fields beyond "edited or not".
use crate::record::Value;
use crate::rules::{OnLocalDelete, OnRemoteDelete, Origin, UpdateVsDelete};

use super::parties::{deleter, holder, is_deleted, sides_of, unmoved};
use super::sides::{Present, Say, Scene, Side, units};
use super::{
    Candidate, CloseReason, Closed, Conflict, ConflictKind, Decision, Evidence, Freeze, Hub, Link, LinkState,
    LocalChange, RecordPlan, Resolution, Rule, Write, WriteOp,
};

/// What becomes of the record as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing at all.
    Nothing,
    /// It lives: merge, write, recreate where it is missing.
    Merge,
    /// A person must say: merge locally, write nowhere.
    Hold,
    /// The row comes (back) from what the spokes say.
    Restore,
    /// It goes, here and wherever it can be deleted.
    Delete,
}

/// A person's choice about existence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Keep,
    Delete,
}

/// The local row is there.
pub(super) fn with_row(scene: &Scene<'_>, plan: &mut RecordPlan) -> Fate {
    // What an upstream that was set back does not have any more nobody deleted.
    let (lost, gone): (Vec<_>, Vec<_>) = gone(scene).into_iter().partition(|(_, link, _)| link.overruled);
    for (binding, ..) in lost {
        let losers = vec![deleter(scene, scene.origin(binding))];
        plan.decisions.push(says(Rule::SetBack, Some(Origin::Local), losers));
    }
    for (binding, _, evidence) in &gone {
        plan.decisions.push(says(Rule::Deleted(*evidence), Some(scene.origin(*binding)), Vec::new()));
    }
    if let Some(freeze) = scene.freeze(&[]) {
        return frozen_with_row(scene, freeze, plan);
    }
    if gone.is_empty() {
        return Fate::Merge;
    }
    if gone.iter().any(|(_, _, evidence)| *evidence == Evidence::IdReused) {
        return Fate::Hold;
    }
    let deleted = |(binding, link, _): &(usize, &Link, Evidence)| hub_edited(scene, *binding, link);
    let rules = scene.collection;
    if gone.iter().any(deleted) || !edits(scene).is_empty() {
        let name = update_vs_delete_name(rules.update_vs_delete);
        match rules.update_vs_delete {
            UpdateVsDelete::UpdateWins => {
                let losers = gone.iter().map(|(binding, ..)| deleter(scene, scene.origin(*binding))).collect();
                plan.decisions.push(says(Rule::DeletePolicy(name), None, losers));
                Fate::Merge
            }
            UpdateVsDelete::DeleteWins => {
                let mut losers: Vec<Candidate> = edits(scene).into_iter().map(|say| say.candidate).collect();
                losers.push(holder(scene));
                plan.decisions.push(says(Rule::DeletePolicy(name), None, losers));
                Fate::Delete
            }
            UpdateVsDelete::Manual => Fate::Hold,
        }
    } else {
        let policy = |name: &str| says(Rule::DeletePolicy(name.to_owned()), None, Vec::new());
        match rules.on_remote_delete {
            OnRemoteDelete::Propagate => {
                plan.decisions.push(policy("propagate"));
                Fate::Delete
            }
            OnRemoteDelete::Detach => {
                plan.decisions.push(policy("detach"));
                for (binding, ..) in gone {
                    plan.links.retain(|link| link != &(binding, LinkState::Deleted));
                    plan.links.push((binding, LinkState::Detached));
                }
                Fate::Merge
            }
            OnRemoteDelete::Restore => {
                plan.decisions.push(policy("restore"));
                Fate::Merge
            }
            OnRemoteDelete::Queue => Fate::Hold,
        }
    }
}

fn frozen_with_row(scene: &Scene<'_>, freeze: &Freeze, plan: &mut RecordPlan) -> Fate {
    let tombstones = (0..scene.sides.len()).any(|binding| is_deleted(scene, binding));
    if !tombstones {
        // The record is listed again everywhere, or the link is gone: there is nothing left to ask.
        plan.closed.push(Closed { fields: Vec::new(), how: CloseReason::Agreed });
        return Fate::Merge;
    }
    let unmoved = unmoved(scene, freeze, &sides_of(scene)) && edits(scene).is_empty();
    match choose(scene, freeze, unmoved, plan) {
        Some(Choice::Keep) => Fate::Merge,
        Some(Choice::Delete) => Fate::Delete,
        None => Fate::Hold,
    }
}

/// The local row was deleted.
pub(super) fn without_row(scene: &Scene<'_>, plan: &mut RecordPlan) -> Fate {
    let alive: Vec<(usize, Present<'_>)> = scene.present().collect();
    // Deleted here while it was out of scope there: to us it is new, and nobody said that it should go there.
    let revived = alive.iter().any(|(_, present)| present.link.is_some() && present.comes_alive());
    if let Some(freeze) = scene.freeze(&[]) {
        if revived {
            plan.closed.push(Closed { fields: Vec::new(), how: CloseReason::Agreed });
            return Fate::Restore;
        }
        return frozen_without_row(scene, freeze, &alive, plan);
    }
    if alive.is_empty() {
        // Deleted on every side that can be seen: the links go quietly (s15).
        close_fields(scene, plan);
        return Fate::Nothing;
    }
    if revived {
        return Fate::Restore;
    }
    let edited = edits(scene);
    if !edited.is_empty() {
        let name = update_vs_delete_name(scene.collection.update_vs_delete);
        return match scene.collection.update_vs_delete {
            UpdateVsDelete::UpdateWins => {
                let losers = vec![deleter(scene, Origin::Local)];
                plan.decisions.push(says(Rule::DeletePolicy(name), None, losers));
                Fate::Restore
            }
            UpdateVsDelete::DeleteWins => {
                let losers = edited.into_iter().map(|say| say.candidate).collect();
                plan.decisions.push(says(Rule::DeletePolicy(name), None, losers));
                Fate::Delete
            }
            UpdateVsDelete::Manual => {
                reopen(scene, plan);
                Fate::Nothing
            }
        };
    }
    untouched_without_row(scene, &alive, plan)
}

fn untouched_without_row(scene: &Scene<'_>, alive: &[(usize, Present<'_>)], plan: &mut RecordPlan) -> Fate {
    // A remote delete that was propagated here goes on as one, whatever a purely local delete would do.
    let policy = if is_propagated(scene) { OnLocalDelete::Propagate } else { scene.collection.on_local_delete };
    let rule = |name: &str| says(Rule::DeletePolicy(name.to_owned()), None, Vec::new());
    match policy {
        OnLocalDelete::Propagate => {
            plan.decisions.push(says(Rule::LocalDelete, Some(Origin::Local), Vec::new()));
            Fate::Delete
        }
        OnLocalDelete::Archive => {
            plan.decisions.push(rule("archive"));
            Fate::Delete
        }
        OnLocalDelete::Detach => {
            plan.decisions.push(rule("detach"));
            let linked = alive.iter().filter(|(_, present)| present.link.is_some());
            plan.links.extend(linked.map(|(binding, _)| (*binding, LinkState::Detached)));
            close_fields(scene, plan);
            Fate::Nothing
        }
        OnLocalDelete::Restore => {
            plan.decisions.push(rule("restore"));
            Fate::Restore
        }
        OnLocalDelete::Queue => {
            reopen(scene, plan);
            Fate::Nothing
        }
    }
}

fn frozen_without_row(
    scene: &Scene<'_>,
    freeze: &Freeze,
    alive: &[(usize, Present<'_>)],
    plan: &mut RecordPlan,
) -> Fate {
    let unread = scene.sides.iter().any(|side| matches!(side, Side::Blocked));
    if alive.is_empty() && !unread {
        plan.closed.push(Closed { fields: Vec::new(), how: CloseReason::RecordGone });
        close_fields(scene, plan);
        return Fate::Nothing;
    }
    let unmoved = unmoved(scene, freeze, &sides_of(scene));
    match choose(scene, freeze, unmoved, plan) {
        Some(Choice::Keep) => Fate::Restore,
        Some(Choice::Delete) => Fate::Delete,
        None => {
            reopen(scene, plan);
            Fate::Nothing
        }
    }
}

/// The record goes: the row, and every spoke that still has it; where a local delete archives, it is archived there. Where
/// that cannot be done the link is detached, so that it never comes back from there.
pub(super) fn delete(scene: &Scene<'_>, plan: &mut RecordPlan) {
    plan.local = match scene.facts.hub {
        Hub::Row { .. } => LocalChange::Delete,
        Hub::Never | Hub::Deleted { .. } => LocalChange::None,
    };
    let archives = scene.collection.on_local_delete == OnLocalDelete::Archive
        && plan.local == LocalChange::None
        && !is_propagated(scene);
    for (binding, present) in scene.present() {
        let declared = scene.binding(binding);
        let can_delete = declared.delete.is_some() || declared.batches.iter().any(|batch| batch.delete);
        let (op, can) =
            if archives { (WriteOp::Archive, declared.archive.is_some()) } else { (WriteOp::Delete, can_delete) };
        match present.link {
            None => {}
            Some(_) if declared.push && can => {
                plan.writes.push(Write { binding, op, expected_version: present.version() });
            }
            Some(_) => plan.links.push((binding, LinkState::Detached)),
        }
    }
    close_fields(scene, plan);
}

/// Whether the row went because the record was deleted at an upstream.
fn is_propagated(scene: &Scene<'_>) -> bool {
    scene.collection.on_remote_delete == OnRemoteDelete::Propagate
        && (0..scene.sides.len()).any(|binding| is_deleted(scene, binding))
}

/// States the conflict about existence, if it is new or if its sides say something new since.
pub(super) fn reopen(scene: &Scene<'_>, plan: &mut RecordPlan) {
    let mut candidates = sides_of(scene);
    if let (LocalChange::Update(changed), Some(hub)) =
        (&plan.local, candidates.iter_mut().find(|candidate| candidate.origin == Origin::Local))
    {
        for (field, value) in changed {
            hub.values[*field] = value.clone();
        }
    }
    let freeze = scene.freeze(&[]);
    let refused = plan
        .decisions
        .iter()
        .any(|decision| decision.fields.is_empty() && decision.tried.iter().any(|(rule, _)| *rule == Rule::Resolution));
    if !refused && freeze.is_some_and(|freeze| unmoved(scene, freeze, &candidates)) {
        return;
    }
    let hub_edited = |binding: usize| {
        let link = scene.facts.spokes[binding].link.as_ref().filter(|_| is_deleted(scene, binding));
        link.is_some_and(|link| hub_edited(scene, binding, link))
    };
    let row = matches!(scene.facts.hub, Hub::Row { .. });
    let edited = !edits(scene).is_empty() || (row && (0..scene.sides.len()).any(hub_edited));
    let kind = if edited { ConflictKind::UpdateVsDelete } else { ConflictKind::DeleteQueued };
    if !refused {
        let name = if edited { "manual" } else { "queue" };
        plan.decisions.push(says(Rule::DeletePolicy(name.to_owned()), None, Vec::new()));
    }
    plan.conflicts.push(Conflict { fields: Vec::new(), kind, base: None, candidates });
}

/// The row as far as the links remember it: live links first, then the most trusted, then by name; a value before a null.
pub(super) fn remembered(scene: &Scene<'_>) -> Vec<Value> {
    let mut links: Vec<(usize, &Link)> = (0..scene.facts.spokes.len())
        .filter_map(|binding| Some((binding, scene.facts.spokes[binding].link.as_ref()?)))
        .collect();
    links.sort_by_key(|(binding, link)| {
        let origin = scene.origin(*binding);
        let (rank, _) = scene.rank(&origin);
        (link.state, rank, origin)
    });
    (0..scene.collection.fields.len())
        .map(|field| {
            let known = links.iter().filter_map(|(_, link)| link.base_hub.get(field)?.as_ref());
            known.clone().find(|value| !value.is_null()).unwrap_or(&Value::Null).clone()
        })
        .collect()
}

// ---- helpers ---------------------------------------------------------------------------------------------------------

fn gone<'a>(scene: &Scene<'a>) -> Vec<(usize, &'a Link, Evidence)> {
    let found = scene.sides.iter().enumerate().filter_map(|(binding, side)| match side {
        Side::Gone(link, evidence) => Some((binding, *link, *evidence)),
        Side::Blocked | Side::Missing | Side::Apart | Side::Leaving(_) | Side::Tombstone | Side::Present(_) => None,
    });
    found.collect()
}

/// Whether the hub has an edit that the deleted record never got.
fn hub_edited(scene: &Scene<'_>, binding: usize, link: &Link) -> bool {
    (0..scene.hub.len()).any(|field| match link.base_hub.get(field).and_then(Option::as_ref) {
        Some(base) => !scene.same(field, base, &scene.hub[field]),
        None => scene.pushes(binding, field) && !scene.hub[field].is_null(),
    })
}

/// Edits at the spokes that have the record, most trusted first. Where the row is gone, what a spoke shows for the first time
/// is compared with what the row was.
fn edits(scene: &Scene<'_>) -> Vec<Say> {
    let units = units(scene.collection);
    let was = match scene.facts.hub {
        Hub::Deleted { .. } => remembered(scene),
        Hub::Never | Hub::Row { .. } => scene.hub.clone(),
    };
    let scene = &Scene {
        collection: scene.collection,
        facts: scene.facts,
        sides: scene.sides.clone(),
        hub: was,
        edited_at: scene.edited_at,
    };
    let mut edits: Vec<Say> = scene
        .present()
        .flat_map(|(binding, present)| {
            units.iter().filter_map(move |unit| scene.edit(binding, present, unit, false)).collect::<Vec<Say>>()
        })
        .filter(|say| !say.candidate.values.is_empty())
        .collect();
    edits.sort_by(|left, right| scene.rank(&left.candidate.origin).cmp(&scene.rank(&right.candidate.origin)));
    edits
}

/// A person's choice about existence, if it was made and can still be followed. Keeping destroys nothing, so it never
/// goes stale; deleting does as soon as any side moves.
fn choose(scene: &Scene<'_>, freeze: &Freeze, unmoved: bool, plan: &mut RecordPlan) -> Option<Choice> {
    let delete = || if unmoved { Ok(Choice::Delete) } else { Err("stale: a side changed after the choice was made") };
    let choice = match freeze.resolution.as_ref()? {
        Resolution::Keep => Ok(Choice::Keep),
        Resolution::Delete => delete(),
        Resolution::Take(origin) => match freeze.candidates.iter().find(|candidate| &candidate.origin == origin) {
            Some(candidate) if candidate.values.is_empty() => delete(),
            Some(_) => Ok(Choice::Keep),
            None => Err("the chosen side is no candidate"),
        },
        Resolution::Values(_) => Err("the conflict is about existence, not about values"),
    };
    match choice {
        Ok(choice) => {
            let lost = |candidate: &&Candidate| (choice == Choice::Keep) == candidate.values.is_empty();
            let losers = sides_of(scene).iter().filter(lost).cloned().collect();
            plan.decisions.push(says(Rule::Resolution, None, losers));
            plan.closed.push(Closed { fields: Vec::new(), how: CloseReason::Resolved });
            Some(choice)
        }
        Err(reason) => {
            let tried = vec![(Rule::Resolution, reason)];
            plan.decisions.push(Decision { tried, ..says(Rule::Frozen, None, Vec::new()) });
            None
        }
    }
}

fn says(rule: Rule, winner: Option<Origin>, losers: Vec<Candidate>) -> Decision {
    Decision { fields: Vec::new(), rule, winner, before: Vec::new(), after: Vec::new(), losers, tried: Vec::new() }
}

/// Conflicts about fields end with the record.
fn close_fields(scene: &Scene<'_>, plan: &mut RecordPlan) {
    let open = scene.facts.frozen.iter().filter(|freeze| !freeze.fields.is_empty());
    plan.closed.extend(open.map(|freeze| Closed { fields: freeze.fields.clone(), how: CloseReason::RecordGone }));
}

fn update_vs_delete_name(policy: UpdateVsDelete) -> String {
    match policy {
        UpdateVsDelete::UpdateWins => "update_wins",
        UpdateVsDelete::DeleteWins => "delete_wins",
        UpdateVsDelete::Manual => "manual",
    }
    .to_owned()
}
