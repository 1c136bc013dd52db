//! Owns: hints about local edits, provenance, the match index, and which records need a decision.
//!
//! Must not know: what is decided.

use rusqlite::{Row, params};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::record::RecordId;
use crate::rules::Collection;
use crate::store::{BindingKey, CollectionKey, Dirty, DirtyOp, OriginRow};

use super::db::Db;
use super::fault::Res;
use super::packed::{Packed, Unpacked};
use super::rows::bound;
use super::shape::may_go_unchecked;
use super::texts::quoted;

/// Links that are looked at in one statement.
const WALK: usize = 1000;

/// The wall clock in microseconds, in SQL that every SQLite of the last ten years knows.
pub(super) const SQL_NOW: &str = "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000";

pub(super) fn dirty(db: &Db, collection: CollectionKey, record: &RecordId) -> Res<Option<Dirty>> {
    db.one(
        "SELECT seen, op, at FROM sync_dirty WHERE collection = ?1 AND record = ?2",
        params![collection.0, record.0],
        |row| hint(row, 0),
    )
}

pub(super) fn dirty_after(
    db: &Db,
    collection: CollectionKey,
    after: &str,
    limit: usize,
) -> Res<Vec<(RecordId, Dirty)>> {
    db.all(
        "SELECT record, seen, op, at FROM sync_dirty WHERE collection = ?1 AND record > ?2 ORDER BY record LIMIT ?3",
        params![collection.0, after, bound(limit)],
        |row| Ok((RecordId(row.get(0)?), hint(row, 1)?)),
    )
}

pub(super) fn newest_edit(db: &Db, collection: CollectionKey) -> Res<i64> {
    let newest = db.one(
        "SELECT max(seen) FROM sync_dirty WHERE collection = ?1 AND op <> ?2",
        params![collection.0, op_name(DirtyOp::Recheck)],
        |row| row.get::<_, Option<i64>>(0),
    )?;
    Ok(newest.flatten().unwrap_or(0))
}

pub(super) fn clear_dirty(db: &Db, collection: CollectionKey, record: &RecordId, seen: i64) -> Res<()> {
    db.exec(
        "DELETE FROM sync_dirty WHERE collection = ?1 AND record = ?2 AND seen = ?3",
        params![collection.0, record.0, seen],
    )?;
    Ok(())
}

pub(super) fn mark_dirty(db: &Db, collection: CollectionKey, record: &RecordId, op: DirtyOp) -> Res<()> {
    db.exec("UPDATE sync_engine SET seen = seen + 1", [])?;
    db.exec(
        &format!(
            "INSERT INTO sync_dirty (collection, record, op, at, seen) \
             SELECT ?1, ?2, ?3, {SQL_NOW}, seen FROM sync_engine WHERE true ON CONFLICT (collection, record) DO NOTHING"
        ),
        params![collection.0, record.0, op_name(op)],
    )?;
    Ok(())
}

pub(super) fn mark_all(db: &Db, collection: &Collection, key: CollectionKey, binding: BindingKey) -> Res<()> {
    let table = quoted(&collection.name);
    db.exec("UPDATE sync_engine SET seen = seen + 1", [])?;
    db.exec(
        &format!(
            "INSERT INTO sync_dirty (collection, record, op, at, seen) \
             SELECT ?1, t.id, ?2, {SQL_NOW}, e.seen FROM {table} t, sync_engine e WHERE true \
             ON CONFLICT (collection, record) DO NOTHING"
        ),
        params![key.0, op_name(DirtyOp::Recheck)],
    )?;
    // Ids are packed in links, so these are told apart here, some at a time.
    let links =
        format!("SELECT link, record FROM sync_link WHERE binding = ?1 AND link > ?2 ORDER BY link LIMIT {WALK}");
    let is_there = format!("SELECT 1 FROM {table} WHERE id = ?1");
    let mut after = 0;
    loop {
        let linked: Vec<(i64, RecordId)> =
            db.all(&links, params![binding.0, after], |row| Ok((row.get(0)?, row.get::<_, Unpacked>(1)?.0)))?;
        let Some((last, _)) = linked.last() else { return Ok(()) };
        after = *last;
        for (_, record) in linked {
            if db.one(&is_there, params![record.0], |_row| Ok(()))?.is_none() {
                mark_dirty(db, key, &record, DirtyOp::Recheck)?;
            }
        }
    }
}

/// The hint as it was before a write of the engine's own.
pub(super) fn restore(db: &Db, collection: CollectionKey, record: &RecordId, hint: Option<Dirty>) -> Res<()> {
    db.exec("DELETE FROM sync_dirty WHERE collection = ?1 AND record = ?2", params![collection.0, record.0])?;
    if let Some(Dirty { seen, op, at }) = hint {
        let sql = "INSERT INTO sync_dirty (collection, record, op, at, seen) VALUES (?1, ?2, ?3, ?4, ?5)";
        db.exec(sql, params![collection.0, record.0, op_name(op), at, seen])?;
    }
    Ok(())
}

fn hint(row: &Row<'_>, at: usize) -> rusqlite::Result<Dirty> {
    let op = match row.get_ref(at + 1)?.as_str()? {
        "insert" => DirtyOp::Insert,
        "update" => DirtyOp::Update,
        "delete" => DirtyOp::Delete,
        // Whatever a newer trigger may say: looking again is always right.
        _ => DirtyOp::Recheck,
    };
    Ok(Dirty { seen: row.get(at)?, op, at: row.get(at + 2)? })
}

fn op_name(op: DirtyOp) -> &'static str {
    match op {
        DirtyOp::Insert => "insert",
        DirtyOp::Update => "update",
        DirtyOp::Delete => "delete",
        DirtyOp::Recheck => "recheck",
    }
}

pub(super) fn origins(db: &Db, collection: CollectionKey, record: &RecordId) -> Res<Vec<OriginRow>> {
    db.all(
        "SELECT field, origin, source_time, observed_at, pass, rule FROM sync_origin \
         WHERE collection = ?1 AND record = ?2 ORDER BY field",
        params![collection.0, record.0],
        |row| {
            Ok(OriginRow {
                field: row.get(0)?,
                origin: row.get(1)?,
                source_time: row.get(2)?,
                observed_at: row.get(3)?,
                pass: row.get(4)?,
                rule: row.get(5)?,
            })
        },
    )
}

pub(super) fn set_origins(db: &Db, collection: CollectionKey, record: &RecordId, rows: &[OriginRow]) -> Res<()> {
    for origin in rows {
        db.exec(
            "INSERT OR REPLACE INTO sync_origin (collection, record, field, origin, source_time, observed_at, pass, rule) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                collection.0,
                record.0,
                origin.field,
                origin.origin,
                origin.source_time,
                origin.observed_at,
                origin.pass,
                origin.rule,
            ],
        )?;
    }
    Ok(())
}

pub(super) fn matching(db: &Db, collection: CollectionKey, key: usize, text: &str) -> Res<Vec<RecordId>> {
    let mut records = db.all(
        "SELECT record FROM sync_match WHERE hash = ?1 AND collection = ?2",
        params![match_hash(collection, key, text), collection.0],
        |row| row.get::<_, Unpacked>(0).map(|record| record.0),
    )?;
    records.sort_unstable();
    records.dedup();
    Ok(records)
}

pub(super) fn index_match(
    db: &Db,
    collection: CollectionKey,
    record: &RecordId,
    texts: &[Vec<Option<String>>],
) -> Res<()> {
    let packed = Packed::of(record);
    db.exec("DELETE FROM sync_match WHERE record = ?1 AND collection = ?2", params![packed, collection.0])?;
    for hash in texts.iter().flat_map(|texts| match_hashes(collection, texts)) {
        db.exec(INSERT_MATCH, params![collection.0, hash, packed])?;
    }
    Ok(())
}

pub(super) const INSERT_MATCH: &str = "INSERT INTO sync_match (collection, hash, record) VALUES (?1, ?2, ?3)";

/// The index by hash is the one that is random: each page of an initial load would touch, log and copy nearly all of it; and
/// the one by record is asked only where match texts change. Where there is nothing to be found yet both are made in the
/// end, sorted. Nor are the values of each row held against its columns' CHECKs, which are there for other programs.
pub(super) fn set_bulk(db: &Db, on: bool) -> Res<()> {
    db.check_values(!(on && may_go_unchecked(db)?))?;
    if !on {
        db.exec("CREATE INDEX IF NOT EXISTS sync_match_hash ON sync_match (hash)", [])?;
        db.exec("CREATE INDEX IF NOT EXISTS sync_match_record ON sync_match (record)", [])?;
    } else if db.one("SELECT 1 FROM sync_match LIMIT 1", [], |_row| Ok(()))?.is_none() {
        db.exec("DROP INDEX IF EXISTS sync_match_hash", [])?;
        db.exec("DROP INDEX IF EXISTS sync_match_record", [])?;
    }
    Ok(())
}

/// The hashes of a record's match texts.
pub(super) fn match_hashes(collection: CollectionKey, texts: &[Option<String>]) -> impl Iterator<Item = i32> {
    let filled = texts.iter().enumerate().filter_map(|(key, text)| Some((key, text.as_deref()?)));
    filled.map(move |(key, text)| match_hash(collection, key, text))
}

/// Four bytes stand for the text: a collision only makes one more candidate, and candidates are compared.
fn match_hash(collection: CollectionKey, key: usize, text: &str) -> i32 {
    let seed = collection.0.cast_unsigned().rotate_left(32) ^ key as u64;
    let hash = xxh3_64_with_seed(text.as_bytes(), seed);
    let [a, b, c, d, ..] = hash.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

pub(super) const CANDIDATES: &str = "\
    SELECT record FROM sync_dirty WHERE collection = ?1 AND record > ?2 \
    UNION SELECT record FROM sync_stage WHERE collection = ?1 AND record > ?2 AND record IS NOT NULL \
    UNION SELECT record FROM sync_conflict \
      WHERE collection = (SELECT name FROM sync_collection WHERE collection = ?1) AND record > ?2 \
      AND closed_at IS NULL AND resolution IS NOT NULL \
    UNION SELECT record FROM sync_intent \
      WHERE record > ?2 AND binding IN (SELECT binding FROM sync_binding WHERE collection = ?1) \
    ORDER BY record LIMIT ?3";

const CANDIDATES_AT_MOST: &str = "\
    SELECT (SELECT count(*) FROM sync_dirty WHERE collection = ?1) \
    + (SELECT count(*) FROM sync_stage WHERE binding IN (SELECT binding FROM sync_binding WHERE collection = ?1)) \
    + (SELECT count(*) FROM sync_conflict \
      WHERE collection = (SELECT name FROM sync_collection WHERE collection = ?1) \
      AND closed_at IS NULL AND resolution IS NOT NULL) \
    + (SELECT count(*) FROM sync_intent WHERE binding IN (SELECT binding FROM sync_binding WHERE collection = ?1))";

pub(super) fn candidates_at_most(db: &Db, collection: CollectionKey) -> Res<u64> {
    db.count(CANDIDATES_AT_MOST, params![collection.0])
}

pub(super) fn candidates(db: &Db, collection: CollectionKey, after: &str, limit: usize) -> Res<Vec<RecordId>> {
    db.all(CANDIDATES, params![collection.0, after, bound(limit)], |row| row.get(0).map(RecordId))
}
