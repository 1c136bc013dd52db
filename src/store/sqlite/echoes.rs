//! Owns: row writes of the engine where other programs' triggers fire, told apart from what those triggers do.
//!
//! Must not know: what is written, and why.
//!
//! Where no such triggers are, none fires and nothing leaves a hint. Where they are, all fire, ours as well, so that what
//! they edit leaves hints like any local edit; and the hint about the written row itself is taken back if the row reads
//! exactly as it was written.

use crate::record::{RecordId, Slot, Value};
use crate::rules::Collection;

use super::db::Db;
use super::fault::Res;
use super::{hints, rows, state};

pub(super) fn insert_row(db: &Db, collection: &Collection, record: &RecordId, values: &[Value]) -> Res<()> {
    inserting(db, collection, record, values, || rows::insert_row(db, collection, record, values))
}

/// The same by another way of inserting.
pub(super) fn inserting(
    db: &Db,
    collection: &Collection,
    record: &RecordId,
    values: &[Value],
    insert: impl FnOnce() -> Res<()>,
) -> Res<()> {
    let intended = |_none| Some(values.iter().cloned().map(Slot::Value).collect());
    watched(db, collection, record, insert, intended)
}

pub(super) fn update_row(db: &Db, collection: &Collection, record: &RecordId, values: &[(usize, Value)]) -> Res<()> {
    let intended = |before: Option<Vec<Slot>>| {
        let mut row = before?;
        for (field, value) in values {
            if let Some(slot) = row.get_mut(*field) {
                *slot = Slot::Value(value.clone());
            }
        }
        Some(row)
    };
    watched(db, collection, record, || rows::update_row(db, collection, record, values), intended)
}

pub(super) fn delete_row(db: &Db, collection: &Collection, record: &RecordId) -> Res<()> {
    watched(db, collection, record, || rows::delete_row(db, collection, record), |_row| None)
}

fn watched(
    db: &Db,
    collection: &Collection,
    record: &RecordId,
    write: impl FnOnce() -> Res<()>,
    intended: impl FnOnce(Option<Vec<Slot>>) -> Option<Vec<Slot>>,
) -> Res<()> {
    if !db.triggers_fire() {
        return write();
    }
    let Some(key) = state::collection_key(db, &collection.name)? else { return write() };
    let hint = hints::dirty(db, key, record)?;
    let intended = intended(rows::row(db, collection, record)?);
    write()?;
    if rows::row(db, collection, record)? == intended {
        return hints::restore(db, key, record, hint);
    }
    // A trigger may also keep a write from happening, which no trigger of ours sees.
    hints::mark_dirty(db, key, record, crate::store::DirtyOp::Update)
}
