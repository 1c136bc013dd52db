//! Owns: the sides of a conflict about existence, as candidates: one that has the record carries all its values, one that
//! deleted it carries none.
//!
//! Must not know: who wins.

use crate::record::Value;
use crate::rules::Origin;

use super::sides::{Present, Says, Scene, Side};
use super::{Candidate, Freeze, Hub, LinkState};

/// Whether the remote record is deleted, as this pass or an earlier one found out.
pub(super) fn is_deleted(scene: &Scene<'_>, binding: usize) -> bool {
    match scene.sides[binding] {
        Side::Gone(..) | Side::Tombstone => true,
        Side::Blocked => scene.facts.spokes[binding].link.as_ref().is_some_and(|link| link.state == LinkState::Deleted),
        Side::Missing | Side::Apart | Side::Leaving(_) | Side::Present(_) => false,
    }
}

/// Every side of a conflict about existence: the local one first, then the most trusted.
pub(super) fn sides_of(scene: &Scene<'_>) -> Vec<Candidate> {
    let row = matches!(scene.facts.hub, Hub::Row { .. });
    let local = if row { holder(scene) } else { deleter(scene, Origin::Local) };
    let mut sides = vec![local];
    for (binding, side) in scene.sides.iter().enumerate() {
        match side {
            Side::Present(present) if !row => sides.push(remote_holder(scene, binding, *present)),
            Side::Gone(..) | Side::Tombstone => sides.push(deleter(scene, scene.origin(binding))),
            Side::Blocked if is_deleted(scene, binding) => sides.push(deleter(scene, scene.origin(binding))),
            // While the row is there it speaks for the spokes that have the record.
            Side::Present(_) | Side::Blocked | Side::Missing | Side::Apart | Side::Leaving(_) => {}
        }
    }
    sides[1..].sort_by(|left, right| scene.rank(&left.origin).cmp(&scene.rank(&right.origin)));
    sides
}

/// The local side, which has the record.
pub(super) fn holder(scene: &Scene<'_>) -> Candidate {
    let at = scene.edited_at;
    Candidate { origin: Origin::Local, values: scene.hub.clone(), source_time: at, observed_at: scene.facts.now }
}

/// A side that deleted the record.
pub(super) fn deleter(scene: &Scene<'_>, origin: Origin) -> Candidate {
    let source_time = match (&origin, &scene.facts.hub) {
        (Origin::Local, Hub::Deleted { deleted_at }) => *deleted_at,
        (Origin::Local | Origin::Upstream(_), Hub::Never | Hub::Row { .. } | Hub::Deleted { .. }) => None,
    };
    Candidate { origin, values: Vec::new(), source_time, observed_at: scene.facts.now }
}

fn remote_holder(scene: &Scene<'_>, binding: usize, present: Present<'_>) -> Candidate {
    let values = (0..scene.collection.fields.len()).map(|field| match scene.says(binding, present, field) {
        Says::Changed { value, first: _ } => scene.collection.fields[field].domain.canonical(value),
        Says::Unmapped | Says::Bad(_) | Says::Held => present.base_hub(field).cloned().unwrap_or(Value::Null),
    });
    Candidate {
        origin: scene.origin(binding),
        values: values.collect(),
        source_time: present.observation.and_then(|observation| observation.updated_at),
        observed_at: present.observation.map_or(scene.facts.now, |observation| observation.observed_at),
    }
}

/// Whether the sides of a conflict about existence still say what they said.
pub(super) fn unmoved(scene: &Scene<'_>, freeze: &Freeze, now: &[Candidate]) -> bool {
    let all: Vec<usize> = (0..scene.collection.fields.len()).collect();
    let same = |left: &Candidate, right: &Candidate| match (left.values.is_empty(), right.values.is_empty()) {
        (true, true) => true,
        (true, false) | (false, true) => false,
        (false, false) => scene.same_all(&all, &left.values, &right.values),
    };
    freeze.candidates.len() == now.len()
        && now.iter().all(|side| freeze.candidates.iter().any(|then| then.origin == side.origin && same(then, side)))
}
