//! Owns: where the listings under parents stand, a row each.
//!
//! Must not know: what the engine's own texts say.

use rusqlite::params;

use crate::store::BindingKey;

use super::db::Db;
use super::fault::Res;

pub(super) fn cursors(db: &Db, binding: BindingKey, parents: &[&str]) -> Res<Vec<Option<String>>> {
    let sql = "SELECT state FROM sync_parent WHERE binding = ?1 AND parent = ?2";
    parents.iter().map(|parent| db.one(sql, params![binding.0, parent], |row| row.get(0))).collect()
}

pub(super) fn gone(db: &Db, binding: BindingKey, of: BindingKey, after: &str, limit: usize) -> Res<Vec<String>> {
    db.all(
        "SELECT parent FROM sync_parent p WHERE binding = ?1 AND parent > ?3 AND NOT EXISTS (SELECT 1 FROM sync_remote r \
         WHERE r.binding = ?2 AND r.remote_id = p.parent AND r.state = 0) ORDER BY parent LIMIT ?4",
        params![binding.0, of.0, after, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| row.get(0),
    )
}

pub(super) fn set_cursor(db: &Db, binding: BindingKey, parent: &str, state: &str) -> Res<()> {
    let sql = "INSERT OR REPLACE INTO sync_parent (binding, parent, state) VALUES (?1, ?2, ?3)";
    db.exec(sql, params![binding.0, parent, state])?;
    Ok(())
}

pub(super) fn drop_cursor(db: &Db, binding: BindingKey, parent: &str) -> Res<()> {
    db.exec("DELETE FROM sync_parent WHERE binding = ?1 AND parent = ?2", params![binding.0, parent])?;
    Ok(())
}
