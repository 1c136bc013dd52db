//! Owns: passes: how they began and ended, their lists, the phases of the newest.
//!
//! Must not know: what the engine's own texts say.

use rusqlite::{Row, params};

use crate::store::{Micros, PassFilter, PassRow};

use super::clauses::Clauses;
use super::db::Db;
use super::fault::{Failure, Res};

/// The newest passes, by number, of which the phases are kept.
const PHASES_KEPT: i64 = 10_000;
/// They are forgotten when so many more have come: to forget a pass's phases costs a page.
const FORGOTTEN_EACH: i64 = 256;
/// How far back of what is kept they are looked for: passes that were killed forget nothing.
const FORGOTTEN_BACK: i64 = 16 * FORGOTTEN_EACH;

/// While one pass runs so many others may have begun and ended, at most, for it to be found as the one that ended last.
const BESIDE_MAX: i64 = 1000;

/// What no undo is ([`PassRow::UNDO`]).
const NO_UNDO: &str = "\"trigger\" <> 'undo'";

const SELECT: &str =
    "SELECT id, collection, \"trigger\", started_at, ended_at, outcome, counts, rules_hash, error FROM sync_pass";

pub(super) fn passes(db: &Db, filter: &PassFilter) -> Res<Vec<PassRow>> {
    let mut clauses = Clauses::new(SELECT);
    clauses.is("collection", filter.collection.as_deref());
    clauses.is("outcome", filter.outcome.as_deref());
    clauses.before("id", filter.before);
    if filter.no_undos {
        clauses.holds(NO_UNDO);
    }
    clauses.all(db, "ORDER BY id DESC", filter.limit, pass_row)
}

pub(super) fn pass(db: &Db, id: i64) -> Res<Option<PassRow>> {
    let mut clauses = Clauses::new(SELECT);
    clauses.is("id", Some(id));
    Ok(clauses.all(db, "ORDER BY id", 1, pass_row)?.pop())
}

pub(super) fn last(db: &Db, collection: &str) -> Res<Option<PassRow>> {
    let of = Some(collection.to_owned());
    let newest = PassFilter { no_undos: true, collection: of, limit: 1, ..PassFilter::default() };
    let newest = passes(db, &newest)?.pop();
    if newest.as_ref().is_none_or(|pass| pass.ended_at.is_none()) {
        return Ok(newest);
    }
    let last = format!(
        "SELECT id FROM (SELECT id, ended_at FROM sync_pass WHERE collection = ?1 AND {NO_UNDO} ORDER BY id DESC LIMIT ?2) \
         WHERE ended_at IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT 1"
    );
    let last = db.one(&last, params![collection, BESIDE_MAX], |row| row.get(0))?;
    last.map_or(Ok(newest), |id| pass(db, id))
}

/// The trigger stands there as a text, so that the small index of full scans is used.
pub(super) fn last_full_scan(db: &Db, collection: &str) -> Res<Option<Micros>> {
    let well = "SELECT started_at FROM sync_pass WHERE collection = ?1 AND \"trigger\" = 'full_scan' \
                AND outcome NOT IN ('failed', 'unavailable', 'halted', 'interrupted') ORDER BY id DESC LIMIT 1";
    let first = "SELECT started_at FROM sync_pass WHERE collection = ?1 ORDER BY id LIMIT 1";
    let started = |sql: &str| db.one(sql, params![collection], |row| row.get(0));
    Ok(started(well)?.or(started(first)?))
}

pub(super) fn phases(db: &Db, id: i64) -> Res<Option<String>> {
    Ok(db.one("SELECT phases FROM sync_pass WHERE id = ?1", params![id], |row| row.get(0))?.flatten())
}

pub(super) fn begin(db: &Db, row: &PassRow) -> Res<i64> {
    db.exec(
        "INSERT INTO sync_pass \
         (collection, \"trigger\", started_at, ended_at, outcome, counts, rules_hash, error) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            row.collection,
            row.trigger,
            row.started_at,
            row.ended_at,
            row.outcome,
            row.counts,
            row.rules_hash,
            row.error
        ],
    )?;
    Ok(db.conn.last_insert_rowid())
}

pub(super) fn end(db: &Db, row: &PassRow) -> Res<()> {
    let changed = db.exec(
        "UPDATE sync_pass SET ended_at = ?2, outcome = ?3, counts = ?4, error = ?5 WHERE id = ?1",
        params![row.id, row.ended_at, row.outcome, row.counts, row.error],
    )?;
    require(changed, row.id)
}

pub(super) fn set_phases(db: &Db, id: i64, phases: &str) -> Res<()> {
    require(db.exec("UPDATE sync_pass SET phases = ?2 WHERE id = ?1", params![id, phases])?, id)?;
    if id % FORGOTTEN_EACH == 0 {
        let last = id - PHASES_KEPT;
        db.exec(
            "UPDATE sync_pass SET phases = NULL WHERE id > ?1 AND id <= ?2 AND phases IS NOT NULL",
            params![last - FORGOTTEN_BACK, last],
        )?;
    }
    Ok(())
}

fn require(changed: usize, id: i64) -> Res<()> {
    if changed == 0 {
        return Err(Failure::state(format!("of pass {id}"), "it never began"));
    }
    Ok(())
}

fn pass_row(row: &Row<'_>) -> rusqlite::Result<PassRow> {
    Ok(PassRow {
        id: row.get(0)?,
        collection: row.get(1)?,
        trigger: row.get(2)?,
        started_at: row.get(3)?,
        ended_at: row.get(4)?,
        outcome: row.get(5)?,
        counts: row.get(6)?,
        rules_hash: row.get(7)?,
        error: row.get(8)?,
    })
}
