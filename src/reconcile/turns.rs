//! Owns: the stored form of the rings of turns: read with a record's facts, written with the writes that they are about.
//!
//! Must not know: when a ring is full, and what follows (that is `merge`).

use crate::merge::{self, RecordPlan, Turn};
use crate::record::RecordId;
use crate::store::{StoreError, TurnsRow, Tx, View};

use super::context::{Pass, time};
use super::gather::Gathered;

/// A turn as it is kept: the spoke's word, what was written over it, and when, in microseconds.
type Kept = (u64, u64, i64);

/// The turns of a record, oldest first within each ring. Rings of bindings and fields that the rules no longer have are left out.
pub fn load(view: &dyn View, pass: &Pass, record: &RecordId) -> Result<Vec<Turn>, StoreError> {
    let mut turns = Vec::new();
    for row in view.turns(record)? {
        let (Some(binding), Some(field)) = (pass.position(row.binding), pass.collection.field(&row.field)) else {
            continue;
        };
        let kept: Vec<Kept> = serde_json::from_str(&row.turns)
            .map_err(|error| StoreError::State { what: "a ring of turns".into(), reason: error.to_string() })?;
        turns.extend(kept.into_iter().map(|(theirs, ours, at)| Turn { binding, field, theirs, ours, at: time(at) }));
    }
    Ok(turns)
}

/// Keeps what the plan adds, and forgets what does not count any more.
pub fn save(tx: &mut dyn Tx, pass: &Pass, found: &Gathered, plan: &RecordPlan) -> Result<(), StoreError> {
    let calmed = |turn: &&Turn| plan.calmed.contains(&turn.field);
    for turn in found.facts.turns.iter().filter(calmed) {
        tx.drop_turns(&found.record, pass.binding_key(turn.binding), name(pass, turn.field))?;
    }
    for turn in &plan.turns {
        let ring = merge::ring(&found.facts.turns, &plan.turns, (turn.binding, turn.field));
        let kept: Vec<Kept> = ring.iter().map(|turn| (turn.theirs, turn.ours, turn.at.timestamp_micros())).collect();
        let turns = serde_json::to_string(&kept).unwrap_or_default();
        let (binding, field) = (pass.binding_key(turn.binding), name(pass, turn.field).to_owned());
        tx.set_turns(&found.record, &TurnsRow { binding, field, turns })?;
    }
    Ok(())
}

fn name(pass: &Pass, field: usize) -> &str {
    pass.collection.fields.get(field).map_or("", |field| field.name.as_str())
}
