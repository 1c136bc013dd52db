//! Owns: keys, cursors, notes, upstream states; where a record is found by an id.
//!
//! Must not know: what the engine's own texts say.

use rusqlite::params;

use crate::record::RecordId;
use crate::store::{BindingKey, CollectionKey, MappingKey};

use super::db::Db;
use super::fault::Res;
use super::packed::{Packed, Unpacked};
use super::texts::quoted;

pub(super) fn collection_key(db: &Db, name: &str) -> Res<Option<CollectionKey>> {
    let sql = "SELECT collection FROM sync_collection WHERE name = ?1";
    db.one(sql, params![name], |row| row.get(0).map(CollectionKey))
}

pub(super) fn binding_key(db: &Db, collection: &str, upstream: &str) -> Res<Option<BindingKey>> {
    db.one(
        "SELECT b.binding FROM sync_binding b JOIN sync_collection c USING (collection) \
         WHERE c.name = ?1 AND b.upstream = ?2",
        params![collection, upstream],
        |row| row.get(0).map(BindingKey),
    )
}

pub(super) fn register_collection(db: &Db, name: &str) -> Res<CollectionKey> {
    if let Some(key) = collection_key(db, name)? {
        return Ok(key);
    }
    db.exec("INSERT INTO sync_collection (name) VALUES (?1)", params![name])?;
    Ok(CollectionKey(db.conn.last_insert_rowid()))
}

pub(super) fn register(db: &Db, collection: &str, upstream: &str) -> Res<(CollectionKey, BindingKey)> {
    let key = register_collection(db, collection)?;
    if let Some(binding) = binding_key(db, collection, upstream)? {
        return Ok((key, binding));
    }
    db.exec("INSERT INTO sync_binding (collection, upstream) VALUES (?1, ?2)", params![key.0, upstream])?;
    Ok((key, BindingKey(db.conn.last_insert_rowid())))
}

pub(super) fn register_mapping(db: &Db, hash: &str) -> Res<MappingKey> {
    let known = db.one("SELECT mapping FROM sync_mapping WHERE hash = ?1", params![hash], |row| row.get(0))?;
    if let Some(mapping) = known {
        return Ok(MappingKey(mapping));
    }
    db.exec("INSERT INTO sync_mapping (hash) VALUES (?1)", params![hash])?;
    Ok(MappingKey(db.conn.last_insert_rowid()))
}

pub(super) fn mapping(db: &Db, mapping: MappingKey) -> Res<Option<String>> {
    db.one("SELECT hash FROM sync_mapping WHERE mapping = ?1", params![mapping.0], |row| row.get(0))
}

pub(super) fn cursor(db: &Db, binding: BindingKey) -> Res<Option<String>> {
    db.one("SELECT state FROM sync_cursor WHERE binding = ?1", params![binding.0], |row| row.get(0))
}

pub(super) fn set_cursor(db: &Db, binding: BindingKey, state: &str) -> Res<()> {
    let sql = "INSERT OR REPLACE INTO sync_cursor (binding, state) VALUES (?1, ?2)";
    db.exec(sql, params![binding.0, state])?;
    Ok(())
}

pub(super) fn note(db: &Db, name: &str) -> Res<Option<String>> {
    db.one("SELECT value FROM sync_meta WHERE name = ?1", params![note_name(name)], |row| row.get(0))
}

pub(super) fn set_note(db: &Db, name: &str, text: &str) -> Res<()> {
    let sql = "INSERT OR REPLACE INTO sync_meta (name, value) VALUES (?1, ?2)";
    db.exec(sql, params![note_name(name), text])?;
    Ok(())
}

/// Notes never meet the store's own facts.
fn note_name(name: &str) -> String {
    format!("note: {name}")
}

pub(super) fn upstream_state(db: &Db, upstream: &str) -> Res<Option<String>> {
    db.one("SELECT state FROM sync_upstream WHERE upstream = ?1", params![upstream], |row| row.get(0))
}

pub(super) fn set_upstream_state(db: &Db, upstream: &str, state: &str) -> Res<()> {
    let sql = "INSERT OR REPLACE INTO sync_upstream (upstream, state) VALUES (?1, ?2)";
    db.exec(sql, params![upstream, state])?;
    Ok(())
}

/// By local id in every plain table, by local id of links whose row is gone, and by remote id at every binding.
pub(super) fn find_record(db: &Db, id: &str) -> Res<Vec<(String, RecordId)>> {
    let mut found: Vec<(String, RecordId)> = Vec::new();
    let tables: Vec<String> = db.all(
        "SELECT c.name FROM sync_collection c JOIN sqlite_schema s ON s.type = 'table' AND s.name = c.name",
        [],
        |row| row.get(0),
    )?;
    for name in tables {
        let sql = format!("SELECT id FROM {} WHERE id = ?1", quoted(&name));
        if let Some(record) = db.one(&sql, params![id], |row| row.get(0))? {
            found.push((name, RecordId(record)));
        }
    }
    found.extend(db.all(
        "SELECT c.name, l.record FROM sync_link l JOIN sync_binding b USING (binding) JOIN sync_collection c \
         USING (collection) WHERE l.record = ?1 \
         UNION SELECT c.name, l.record FROM sync_binding b JOIN sync_collection c USING (collection) \
         CROSS JOIN sync_remote r ON r.binding = b.binding AND r.remote_id = ?2 JOIN sync_link l ON l.link = r.link",
        params![Packed::of_text(id), id],
        |row| Ok((row.get(0)?, row.get::<_, Unpacked>(1)?.0)),
    )?);
    found.sort();
    found.dedup();
    Ok(found)
}
