//! Owns: staged observations.
//!
//! Must not know: how they are matched or decided.

use rusqlite::{Row, params};

use crate::merge::Evidence;
use crate::record::RecordId;
use crate::store::{BindingKey, CollectionKey, Micros, Staged, StagedKind};

use super::db::Db;
use super::fault::{Failure, Res};
use super::rows::bound;

const COLUMNS: &str =
    "binding, remote_id, collection, record, kind, fingerprint, raw, version, observed_at, parked FROM sync_stage";

pub(super) fn staged_of(db: &Db, collection: CollectionKey, record: &RecordId) -> Res<Vec<Staged>> {
    let sql = format!("SELECT {COLUMNS} WHERE collection = ?1 AND record = ?2 ORDER BY binding, remote_id");
    db.all(&sql, params![collection.0, record.0], row)
}

pub(super) fn staged(db: &Db, binding: BindingKey, remote_id: &str) -> Res<Option<Staged>> {
    let sql = format!("SELECT {COLUMNS} WHERE binding = ?1 AND remote_id = ?2");
    db.one(&sql, params![binding.0, remote_id], row)
}

pub(super) fn staged_unmatched(db: &Db, binding: BindingKey, after: &str, limit: usize) -> Res<Vec<Staged>> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE binding = ?1 AND remote_id > ?2 AND record IS NULL ORDER BY remote_id LIMIT ?3"
    );
    db.all(&sql, params![binding.0, after, bound(limit)], row)
}

pub(super) fn staged_matched(db: &Db, binding: BindingKey, after: &str, limit: usize) -> Res<Vec<Staged>> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE binding = ?1 AND remote_id > ?2 AND record IS NOT NULL ORDER BY remote_id LIMIT ?3"
    );
    db.all(&sql, params![binding.0, after, bound(limit)], row)
}

pub(super) fn staged_merged(db: &Db, binding: BindingKey, after: &str, limit: usize) -> Res<Vec<Staged>> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE binding = ?1 AND remote_id > ?2 AND kind = 'merged' ORDER BY remote_id LIMIT ?3"
    );
    db.all(&sql, params![binding.0, after, bound(limit)], row)
}

pub(super) fn staged_before(
    db: &Db,
    binding: BindingKey,
    before: Micros,
    after: &str,
    limit: usize,
) -> Res<Vec<Staged>> {
    let columns = COLUMNS.replace("raw,", "x'' AS raw,");
    let sql = format!(
        "SELECT {columns} WHERE binding = ?1 AND remote_id > ?2 AND observed_at < ?3 ORDER BY remote_id LIMIT ?4"
    );
    db.all(&sql, params![binding.0, after, before, bound(limit)], row)
}

pub(super) fn staged_count(db: &Db, binding: BindingKey) -> Res<u64> {
    let sql = "SELECT count(*) FROM sync_stage WHERE binding = ?1";
    db.count(sql, params![binding.0])
}

pub(super) fn stage(db: &Db, staged: &Staged) -> Res<()> {
    db.exec(
        "INSERT INTO sync_stage \
         (binding, remote_id, collection, record, kind, fingerprint, raw, version, observed_at, parked) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (binding, remote_id) DO UPDATE SET \
         collection = excluded.collection, record = excluded.record, kind = excluded.kind, \
         fingerprint = excluded.fingerprint, raw = excluded.raw, version = excluded.version, \
         observed_at = excluded.observed_at, parked = excluded.parked",
        params![
            staged.binding.0,
            staged.remote_id,
            staged.collection.0,
            staged.record.as_ref().map(|record| &record.0),
            kind_name(staged.kind),
            staged.fingerprint.cast_signed(),
            staged.raw,
            staged.version,
            staged.observed_at,
            staged.parked,
        ],
    )?;
    Ok(())
}

pub(super) fn stage_matched(db: &Db, binding: BindingKey, remote_id: &str, record: &RecordId) -> Res<()> {
    let sql = "UPDATE sync_stage SET record = ?3 WHERE binding = ?1 AND remote_id = ?2";
    require(db.exec(sql, params![binding.0, remote_id, record.0])?, remote_id)
}

pub(super) fn stage_parked(db: &Db, binding: BindingKey, remote_id: &str, reason: Option<&str>) -> Res<()> {
    let sql = "UPDATE sync_stage SET parked = ?3 WHERE binding = ?1 AND remote_id = ?2";
    require(db.exec(sql, params![binding.0, remote_id, reason])?, remote_id)
}

pub(super) fn unstage(db: &Db, binding: BindingKey, remote_id: &str) -> Res<()> {
    db.exec("DELETE FROM sync_stage WHERE binding = ?1 AND remote_id = ?2", params![binding.0, remote_id])?;
    Ok(())
}

fn require(changed: usize, remote_id: &str) -> Res<()> {
    if changed == 0 {
        return Err(Failure::state(format!("of the observation of {remote_id}"), "it is not staged"));
    }
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<Staged> {
    let kind = match row.get_ref(4)?.as_str()? {
        "record" => StagedKind::Record,
        "tombstone" => StagedKind::Gone(Evidence::Tombstone),
        "absence_confirmed" => StagedKind::Gone(Evidence::AbsenceConfirmed),
        "webhook_confirmed" => StagedKind::Gone(Evidence::WebhookConfirmed),
        "event_confirmed" => StagedKind::Gone(Evidence::EventConfirmed),
        "absence" => StagedKind::Gone(Evidence::Absence),
        "write_found_nothing" => StagedKind::Gone(Evidence::WriteFoundNothing),
        "id_reused" => StagedKind::Gone(Evidence::IdReused),
        "merged" => StagedKind::Merged,
        _ => return Err(rusqlite::Error::InvalidColumnType(4, "kind".to_owned(), rusqlite::types::Type::Text)),
    };
    Ok(Staged {
        binding: BindingKey(row.get(0)?),
        remote_id: row.get(1)?,
        collection: CollectionKey(row.get(2)?),
        record: row.get::<_, Option<String>>(3)?.map(RecordId),
        kind,
        fingerprint: row.get::<_, i64>(5)?.cast_unsigned(),
        raw: row.get(6)?,
        version: row.get(7)?,
        observed_at: row.get(8)?,
        parked: row.get(9)?,
    })
}

fn kind_name(kind: StagedKind) -> &'static str {
    match kind {
        StagedKind::Record => "record",
        StagedKind::Gone(Evidence::Tombstone) => "tombstone",
        StagedKind::Gone(Evidence::AbsenceConfirmed) => "absence_confirmed",
        StagedKind::Gone(Evidence::WebhookConfirmed) => "webhook_confirmed",
        StagedKind::Gone(Evidence::EventConfirmed) => "event_confirmed",
        StagedKind::Gone(Evidence::Absence) => "absence",
        StagedKind::Gone(Evidence::WriteFoundNothing) => "write_found_nothing",
        StagedKind::Gone(Evidence::IdReused) => "id_reused",
        StagedKind::Merged => "merged",
    }
}
