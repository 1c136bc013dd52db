//! Owns: history, conflicts, quarantine and halts: what people read and answer.
//!
//! Must not know: what the engine's own texts say.

use rusqlite::{Row, params};

use crate::record::RecordId;
use crate::store::{
    ConflictFilter, ConflictRow, HaltRow, HistoryFilter, HistoryRow, Micros, QuarantineFilter, QuarantineRow,
};

use super::clauses::Clauses;
use super::db::Db;
use super::fault::{Failure, Res};

pub(super) fn history(db: &Db, filter: &HistoryFilter) -> Res<Vec<HistoryRow>> {
    let mut clauses = Clauses::new(
        "SELECT id, pass, at, collection, record, field, kind, origin, target, rule, before, after, detail \
         FROM sync_history",
    );
    clauses.is("collection", filter.collection.as_deref());
    clauses.is("record", filter.record.as_ref().map(|record| record.0.as_str()));
    clauses.touches(filter.field.as_deref());
    clauses.is("pass", filter.pass);
    clauses.before("id", filter.before);
    clauses.all(db, "ORDER BY id DESC", filter.limit, |row| {
        Ok(HistoryRow {
            id: row.get(0)?,
            pass: row.get(1)?,
            at: row.get(2)?,
            collection: row.get(3)?,
            record: RecordId(row.get(4)?),
            field: row.get(5)?,
            kind: row.get(6)?,
            origin: row.get(7)?,
            target: row.get(8)?,
            rule: row.get(9)?,
            before: row.get(10)?,
            after: row.get(11)?,
            detail: row.get(12)?,
        })
    })
}

pub(super) fn add_history(db: &Db, row: &HistoryRow) -> Res<()> {
    db.exec(
        "INSERT INTO sync_history \
         (pass, at, collection, record, field, kind, origin, target, rule, before, after, detail) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            row.pass,
            row.at,
            row.collection,
            row.record.0,
            row.field,
            row.kind,
            row.origin,
            row.target,
            row.rule,
            row.before,
            row.after,
            row.detail,
        ],
    )?;
    Ok(())
}

pub(super) fn conflicts(db: &Db, filter: &ConflictFilter) -> Res<Vec<ConflictRow>> {
    let select = "SELECT id, collection, record, fields, kind, base, candidates, resolution, pass, opened_at, \
                  closed_at, closed_how FROM sync_conflict";
    let clauses = conflicts_of(select, filter);
    let limit = if filter.limit == 0 { usize::MAX } else { filter.limit };
    clauses.all(db, "ORDER BY id", limit, conflict_row)
}

pub(super) fn conflict_count(db: &Db, filter: &ConflictFilter) -> Res<(u64, i64)> {
    let clauses = conflicts_of("SELECT count(*), coalesce(max(id), 0) FROM sync_conflict", filter);
    let rows = clauses.all(db, "", 1, |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?)))?;
    Ok(rows.first().copied().unwrap_or_default())
}

fn conflicts_of(select: &str, filter: &ConflictFilter) -> Clauses {
    // Looked for all the time, there are hardly ever any, and the planner would rather walk all that are open in order.
    let by = if filter.resolved_only { " INDEXED BY sync_conflict_resolved" } else { "" };
    let mut clauses = Clauses::new(&format!("{select}{by}"));
    clauses.is("id", filter.id);
    clauses.is("collection", filter.collection.as_deref());
    clauses.is("record", filter.record.as_ref().map(|record| record.0.as_str()));
    clauses.names("fields", filter.field.as_deref());
    clauses.after("id", filter.after);
    if !filter.closed_too {
        clauses.holds("closed_at IS NULL");
    }
    if filter.resolved_only {
        clauses.holds("closed_at IS NULL AND resolution IS NOT NULL");
    }
    clauses
}

fn conflict_row(row: &Row<'_>) -> rusqlite::Result<ConflictRow> {
    let closed_at: Option<Micros> = row.get(10)?;
    let closed_how: Option<String> = row.get(11)?;
    Ok(ConflictRow {
        id: row.get(0)?,
        collection: row.get(1)?,
        record: RecordId(row.get(2)?),
        fields: row.get(3)?,
        kind: row.get(4)?,
        base: row.get(5)?,
        candidates: row.get(6)?,
        resolution: row.get(7)?,
        pass: row.get(8)?,
        opened_at: row.get(9)?,
        closed: closed_at.map(|at| (at, closed_how.unwrap_or_default())),
    })
}

/// The open one keeps its number, its pass and the time of its opening: people refer to them.
pub(super) fn put_conflict(db: &Db, row: &ConflictRow) -> Res<i64> {
    let id = db.one(
        "INSERT INTO sync_conflict (collection, record, fields, kind, base, candidates, resolution, pass, opened_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT (collection, record, fields) WHERE closed_at IS NULL DO UPDATE SET \
         kind = excluded.kind, base = excluded.base, candidates = excluded.candidates, \
         resolution = excluded.resolution RETURNING id",
        params![
            row.collection,
            row.record.0,
            row.fields,
            row.kind,
            row.base,
            row.candidates,
            row.resolution,
            row.pass,
            row.opened_at,
        ],
        |row| row.get(0),
    )?;
    id.ok_or_else(|| Failure::state("of a conflict", "it was not stored"))
}

pub(super) fn close_conflict(db: &Db, conflict: i64, how: &str, at: Micros) -> Res<()> {
    let sql = "UPDATE sync_conflict SET closed_at = ?2, closed_how = ?3 WHERE id = ?1 AND closed_at IS NULL";
    require(db.exec(sql, params![conflict, at, how])?, "conflict", conflict)
}

pub(super) fn set_resolution(db: &Db, conflict: i64, resolution: Option<&str>) -> Res<()> {
    let sql = "UPDATE sync_conflict SET resolution = ?2 WHERE id = ?1 AND closed_at IS NULL";
    require(db.exec(sql, params![conflict, resolution])?, "conflict", conflict)
}

pub(super) fn quarantined(db: &Db, filter: &QuarantineFilter) -> Res<Vec<QuarantineRow>> {
    let mut clauses =
        Clauses::new("SELECT collection, upstream, subject, stage, reason, inputs, since, pass FROM sync_quarantine");
    clauses.is("collection", filter.collection.as_deref());
    clauses.is("upstream", filter.upstream.as_deref());
    clauses.is("subject", filter.subject.as_deref());
    if let Some((collection, upstream, subject)) = &filter.after {
        // Within one collection its own part of the key leads there at once.
        match &filter.collection {
            Some(only) if only == collection => clauses.beyond("(upstream, subject)", [upstream, subject]),
            _ => clauses.beyond("(collection, upstream, subject)", [collection, upstream, subject]),
        }
    }
    clauses.all(db, "ORDER BY collection, upstream, subject", filter.limit, |row| {
        Ok(QuarantineRow {
            collection: row.get(0)?,
            upstream: row.get(1)?,
            subject: row.get(2)?,
            stage: row.get(3)?,
            reason: row.get(4)?,
            inputs: row.get(5)?,
            since: row.get(6)?,
            pass: row.get(7)?,
        })
    })
}

pub(super) fn put_quarantine(db: &Db, row: &QuarantineRow) -> Res<()> {
    db.exec(
        "INSERT INTO sync_quarantine \
         (collection, upstream, subject, stage, reason, inputs, since, pass) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT DO UPDATE SET stage = excluded.stage, reason = excluded.reason, inputs = excluded.inputs, \
         pass = excluded.pass, \
         since = CASE WHEN stage = excluded.stage AND reason = excluded.reason THEN since ELSE excluded.since END",
        params![row.collection, row.upstream, row.subject, row.stage, row.reason, row.inputs, row.since, row.pass],
    )?;
    Ok(())
}

pub(super) fn clear_quarantine(db: &Db, collection: &str, upstream: &str, subject: &str) -> Res<()> {
    db.exec(
        "DELETE FROM sync_quarantine WHERE collection = ?1 AND upstream = ?2 AND subject = ?3",
        params![collection, upstream, subject],
    )?;
    Ok(())
}

pub(super) fn halts(db: &Db, collection: Option<&str>, open_only: bool) -> Res<Vec<HaltRow>> {
    let mut clauses = Clauses::new(
        "SELECT id, collection, pass, fingerprint, halts, created_at, approved_at, closed_at FROM sync_halt",
    );
    clauses.is("collection", collection);
    if open_only {
        clauses.holds("closed_at IS NULL");
    }
    clauses.all(db, "ORDER BY id", usize::MAX, |row| {
        Ok(HaltRow {
            id: row.get(0)?,
            collection: row.get(1)?,
            pass: row.get(2)?,
            fingerprint: row.get(3)?,
            halts: row.get(4)?,
            created_at: row.get(5)?,
            approved_at: row.get(6)?,
            closed_at: row.get(7)?,
        })
    })
}

/// The same plan keeps its number; another plan gets a new one, so that an approval of the old number cannot fall on it.
pub(super) fn put_halt(db: &Db, row: &HaltRow) -> Res<i64> {
    db.exec(
        "DELETE FROM sync_halt WHERE collection = ?1 AND closed_at IS NULL AND fingerprint <> ?2",
        params![row.collection, row.fingerprint],
    )?;
    let id = db.one(
        "INSERT INTO sync_halt (collection, pass, fingerprint, halts, created_at, approved_at, closed_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (collection) WHERE closed_at IS NULL DO UPDATE SET \
         pass = excluded.pass, halts = excluded.halts, approved_at = excluded.approved_at, \
         closed_at = excluded.closed_at RETURNING id",
        params![row.collection, row.pass, row.fingerprint, row.halts, row.created_at, row.approved_at, row.closed_at],
        |row| row.get(0),
    )?;
    id.ok_or_else(|| Failure::state("of a halt", "it was not stored"))
}

pub(super) fn set_halt(db: &Db, halt: i64, approved_at: Option<Micros>, closed_at: Option<Micros>) -> Res<()> {
    let sql = "UPDATE sync_halt SET approved_at = coalesce(?2, approved_at), closed_at = coalesce(?3, closed_at) \
               WHERE id = ?1";
    require(db.exec(sql, params![halt, approved_at, closed_at])?, "halt", halt)
}

fn require(changed: usize, what: &str, id: i64) -> Res<()> {
    if changed == 0 {
        return Err(Failure::state(format!("of {what} {id}"), "there is no such open one"));
    }
    Ok(())
}
