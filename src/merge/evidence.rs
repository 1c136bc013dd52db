//! Owns: whether a write of unknown outcome took effect, judged by what is there now.
//!
//! Must not know: how it was read, what follows (that is `intent` and `settle`).

use crate::record::{Slot, Value};
use crate::rules::Collection;

use super::WriteOp;

/// What a point read, or the lookup of a create, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// The record.
    Record {
        /// One slot per field.
        slots: &'a [Slot],
        /// Its version.
        version: Option<&'a str>,
    },
    /// Certainly no such record (404 or 410), or an empty lookup.
    Nothing,
}

/// Whether a write of unknown outcome took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It did. For an update or create: the sent fields that are proven to be as sent; only these settle as accepted. The
    /// others are somebody's later edit, an own spelling of the upstream, or were ignored: the next diff tells.
    Landed {
        /// Positions, ascending; empty for a delete.
        fields: Vec<usize>,
    },
    /// It did not.
    NotLanded,
    /// It may or may not have: the record moved on since. It is merged again against what is there.
    Superseded,
    /// There is no record to have landed on.
    TargetGone,
    /// No evidence either way, yet.
    Undecided,
}

/// Judges a write. `base_remote` is the remote half of the base at commit, `expected_version` the version that the write was
/// decided on: a record still at that version was not touched by anybody.
pub fn judge_unknown(
    collection: &Collection,
    op: &WriteOp,
    base_remote: &[Slot],
    expected_version: Option<&str>,
    found: &Found<'_>,
) -> Verdict {
    match (op, found) {
        // A lookup may lag; only the visibility window makes nothing of it.
        (WriteOp::Create(_), Found::Nothing) => Verdict::Undecided,
        (WriteOp::Update(_) | WriteOp::Archive, Found::Nothing) => Verdict::TargetGone,
        (WriteOp::Delete, Found::Nothing) => Verdict::Landed { fields: Vec::new() },
        (WriteOp::Create(sent), Found::Record { slots, .. }) => {
            let fields = sent.iter().filter(|(field, value)| holds(collection, slots, *field, value));
            Verdict::Landed { fields: fields.map(|(field, _)| *field).collect() }
        }
        (WriteOp::Update(_) | WriteOp::Delete | WriteOp::Archive, Found::Record { version, .. })
            if version.is_some() && *version == expected_version =>
        {
            Verdict::NotLanded
        }
        (WriteOp::Update(sent), Found::Record { slots, .. }) => judge_update(collection, sent, base_remote, slots),
        (WriteOp::Delete | WriteOp::Archive, Found::Record { slots, .. }) => {
            let unmoved = slots.iter().enumerate().all(|(field, slot)| match (slot, base_remote.get(field)) {
                (Slot::Value(now), Some(Slot::Value(base))) => collection.fields[field].domain.same(now, base),
                (Slot::Absent, _) => true,
                (Slot::Value(_) | Slot::Bad(_), _) => false,
            });
            if unmoved { Verdict::NotLanded } else { Verdict::Superseded }
        }
    }
}

/// Whether a record shows this value, under the field's equality.
pub fn holds(collection: &Collection, slots: &[Slot], field: usize, value: &Value) -> bool {
    let there = slots.get(field).and_then(Slot::value);
    there.is_some_and(|there| collection.fields[field].domain.same(there, value))
}

/// By each sent field that would have changed something: as sent (landed), as before (not), or else (moved on).
fn judge_update(collection: &Collection, sent: &[(usize, Value)], base_remote: &[Slot], slots: &[Slot]) -> Verdict {
    let (mut landed, mut telling, mut as_before, mut moved) = (Vec::new(), false, false, false);
    for (field, value) in sent {
        let was_there = holds(collection, base_remote, *field, value);
        let old = base_remote.get(*field).and_then(Slot::value);
        match slots.get(*field) {
            Some(Slot::Value(_)) if holds(collection, slots, *field, value) => {
                landed.push(*field);
                telling |= !was_there;
            }
            Some(Slot::Value(_)) if old.is_some_and(|old| holds(collection, slots, *field, old)) => as_before = true,
            Some(Slot::Value(there)) => {
                if old.is_none() && there.is_null() {
                    as_before = true;
                } else {
                    moved = true;
                }
            }
            Some(Slot::Absent | Slot::Bad(_)) | None => {}
        }
    }
    match (telling, moved, as_before) {
        (true, true | false, true | false) => Verdict::Landed { fields: landed },
        (false, true, true | false) => Verdict::Superseded,
        (false, false, true) => Verdict::NotLanded,
        (false, false, false) => Verdict::Undecided,
    }
}
