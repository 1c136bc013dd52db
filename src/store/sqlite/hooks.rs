//! Owns: the inbox of webhooks.
//!
//! Must not know: signatures, HTTP; when a pass looks.

use rusqlite::{Row, params};

use crate::store::{HookAges, HookFilter, HookRow, HookState, HookTaken, Micros, NewHook};

use super::clauses::Clauses;
use super::db::Db;
use super::fault::Res;

/// Rows that are forgotten in one statement: whoever takes in a webhook waits for no more.
const FORGOTTEN_MAX: i64 = 1000;

pub(super) fn newest(db: &Db, collection: &str) -> Res<i64> {
    let sql = "SELECT max(id) FROM sync_hook WHERE collection = ?1 AND state = 'waiting'";
    Ok(db.one(sql, params![collection], |row| row.get::<_, Option<i64>>(0))?.flatten().unwrap_or(0))
}

pub(super) fn hooks(db: &Db, filter: &HookFilter) -> Res<Vec<HookRow>> {
    let record = if filter.with_record { "record" } else { "NULL" };
    let mut clauses = Clauses::new(&format!(
        "SELECT id, upstream, delivery, received_at, event, collection, remote_id, state, error, {record} FROM sync_hook"
    ));
    clauses.is("id", filter.id);
    clauses.is("state", filter.state.map(HookState::name));
    clauses.is("collection", filter.collection.as_deref());
    clauses.before("id", filter.before);
    clauses.all(db, "ORDER BY id DESC", filter.limit, hook_row)
}

pub(super) fn count(db: &Db, state: HookState) -> Res<u64> {
    match state {
        // The small index of what waits knows.
        HookState::Waiting => db.count("SELECT count(*) FROM sync_hook WHERE state = 'waiting'", []),
        other => db.count("SELECT count(*) FROM sync_hook WHERE state = ?1", params![other.name()]),
    }
}

pub(super) fn places(db: &Db) -> Res<Vec<(String, String)>> {
    let sql = "SELECT DISTINCT collection, upstream FROM sync_hook WHERE state = 'waiting' AND collection IS NOT NULL \
               ORDER BY 1, 2";
    db.all(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The newest of a record waits: a pass that is under way may have read the record before it changed again. Of several that
/// wait nobody can tell which was sent last, so that none shows the record.
pub(super) fn take(db: &Db, hook: &NewHook, waiting_max: u64) -> Res<HookTaken> {
    let known = "SELECT 1 FROM sync_hook WHERE upstream = ?1 AND delivery = ?2";
    if db.one(known, params![hook.upstream, hook.delivery], |_row| Ok(()))?.is_some() {
        return Ok(HookTaken::Duplicate);
    }
    let mut record = hook.record.as_deref();
    if hook.state == HookState::Waiting {
        let replaced = db.exec(
            "UPDATE sync_hook SET state = 'replaced', record = NULL WHERE collection = ?1 AND upstream = ?2 AND remote_id IS ?3 \
             AND state = 'waiting'",
            params![hook.collection, hook.upstream, hook.remote_id],
        )?;
        if replaced == 0 && count(db, HookState::Waiting)? >= waiting_max {
            return Ok(HookTaken::Full);
        }
        record = record.filter(|_| replaced == 0);
    }
    db.exec(
        "INSERT INTO sync_hook (upstream, delivery, received_at, event, collection, remote_id, state, error, record) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            hook.upstream,
            hook.delivery,
            hook.received_at,
            hook.event,
            hook.collection,
            hook.remote_id,
            hook.state.name(),
            hook.error,
            record
        ],
    )?;
    Ok(HookTaken::New)
}

pub(super) fn settle(db: &Db, collection: &str, upstream: &str, up_to: i64) -> Res<()> {
    db.exec(
        "UPDATE sync_hook SET state = 'done', record = NULL WHERE collection = ?1 AND upstream = ?2 AND id <= ?3 AND state = 'waiting'",
        params![collection, upstream, up_to],
    )?;
    Ok(())
}

pub(super) fn bury(db: &Db, collection: &str, upstream: &str, reason: &str) -> Res<usize> {
    db.exec(
        "UPDATE sync_hook SET state = 'dead', error = ?3, record = NULL WHERE collection = ?1 AND upstream = ?2 \
         AND state = 'waiting'",
        params![collection, upstream, reason],
    )
}

/// It gets a new number: a pass that began before must not settle it, and the daemon looks for greater ones. Where there is
/// no room it stays as it is.
pub(super) fn retry(db: &Db, id: i64, now: Micros, waiting_max: u64) -> Res<Option<HookTaken>> {
    let dead = HookFilter { id: Some(id), state: Some(HookState::Dead), limit: 1, ..HookFilter::default() };
    let Some(HookRow { hook, .. }) = hooks(db, &dead)?.into_iter().next() else { return Ok(None) };
    if count(db, HookState::Waiting)? >= waiting_max {
        return Ok(Some(HookTaken::Full));
    }
    forget(db, id)?;
    let hook = NewHook { state: HookState::Waiting, error: None, received_at: now, ..hook };
    take(db, &hook, waiting_max).map(Some)
}

pub(super) fn forget(db: &Db, id: i64) -> Res<bool> {
    Ok(db.exec("DELETE FROM sync_hook WHERE id = ?1 AND state = 'dead'", params![id])? > 0)
}

pub(super) fn prune(db: &Db, ages: &HookAges, reason: &str) -> Res<()> {
    db.exec(
        "UPDATE sync_hook SET state = 'dead', error = ?2, record = NULL WHERE state = 'waiting' AND received_at < ?1",
        params![ages.waiting_before, reason],
    )?;
    let old = format!(
        "DELETE FROM sync_hook WHERE id IN (SELECT id FROM sync_hook WHERE state = ?1 AND received_at < ?2 LIMIT {FORGOTTEN_MAX})"
    );
    for state in [HookState::Done, HookState::Replaced, HookState::Ignored] {
        db.exec(&old, params![state.name(), ages.settled_before])?;
    }
    db.exec(&old, params![HookState::Dead.name(), ages.dead_before])?;
    let many = format!(
        "DELETE FROM sync_hook WHERE id IN (SELECT id FROM sync_hook WHERE id <= (SELECT max(id) FROM sync_hook) - ?1 \
         AND state <> 'waiting' ORDER BY id LIMIT {FORGOTTEN_MAX})"
    );
    db.exec(&many, params![ages.kept_max])?;
    Ok(())
}

fn hook_row(row: &Row<'_>) -> rusqlite::Result<HookRow> {
    let hook = NewHook {
        upstream: row.get(1)?,
        delivery: row.get(2)?,
        received_at: row.get(3)?,
        event: row.get(4)?,
        collection: row.get(5)?,
        remote_id: row.get(6)?,
        state: state(row, 7)?,
        error: row.get(8)?,
        record: row.get(9)?,
    };
    Ok(HookRow { id: row.get(0)?, hook })
}

fn state(row: &Row<'_>, at: usize) -> rusqlite::Result<HookState> {
    let text: String = row.get(at)?;
    HookState::named(&text).ok_or_else(|| {
        let error = format!("no state of a webhook: {text}");
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, error.into())
    })
}
