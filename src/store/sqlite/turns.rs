//! Owns: the rings of what was written over an upstream's own word.
//!
//! Must not know: when a ring is full, and what follows.

use rusqlite::params;

use crate::record::RecordId;
use crate::store::{BindingKey, TurnsRow};

use super::db::Db;
use super::fault::Res;

pub(super) fn turns(db: &Db, record: &RecordId) -> Res<Vec<TurnsRow>> {
    let sql = "SELECT binding, field, turns FROM sync_turn WHERE record = ?1 ORDER BY binding, field";
    db.all(sql, params![record.0], |row| {
        Ok(TurnsRow { binding: BindingKey(row.get(0)?), field: row.get(1)?, turns: row.get(2)? })
    })
}

pub(super) fn set_turns(db: &Db, record: &RecordId, row: &TurnsRow) -> Res<()> {
    let sql = "INSERT OR REPLACE INTO sync_turn (record, binding, field, turns) VALUES (?1, ?2, ?3, ?4)";
    db.exec(sql, params![record.0, row.binding.0, row.field, row.turns])?;
    Ok(())
}

pub(super) fn drop_turns(db: &Db, record: &RecordId, binding: BindingKey, field: &str) -> Res<()> {
    let sql = "DELETE FROM sync_turn WHERE record = ?1 AND binding = ?2 AND field = ?3";
    db.exec(sql, params![record.0, binding.0, field])?;
    Ok(())
}
