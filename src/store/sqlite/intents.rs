//! Owns: intents, remote writes recorded before they are sent.
//!
//! Must not know: when they are sent or how they are settled.

use rusqlite::{Row, params};

use crate::merge::IntentState;
use crate::record::RecordId;
use crate::store::{BindingKey, IntentFilter, IntentRow, IntentUpdate};

use super::clauses::Clauses;
use super::db::Db;
use super::fault::{Failure, Res};
use super::texts::literal;

pub(super) fn intents(db: &Db, filter: &IntentFilter) -> Res<Vec<IntentRow>> {
    let mut clauses = Clauses::new(
        "SELECT key, collection, upstream, binding, record, remote_id, op, state, payload_hash, \"values\", \
         expected_version, attempts, not_before, pass, created_at, sent_at, note, checks, job FROM sync_intent",
    );
    clauses.is("collection", filter.collection.as_deref());
    clauses.is("upstream", filter.upstream.as_deref());
    clauses.is("record", filter.record.as_ref().map(|record| record.0.as_str()));
    clauses.after("key", filter.after.as_deref());
    if !filter.states.is_empty() {
        let states: Vec<String> = filter.states.iter().map(|state| literal(state_name(*state))).collect();
        clauses.holds(&format!("state IN ({})", states.join(", ")));
    }
    clauses.all(db, "ORDER BY key", filter.limit, intent_row)
}

fn intent_row(row: &Row<'_>) -> rusqlite::Result<IntentRow> {
    Ok(IntentRow {
        key: row.get(0)?,
        collection: row.get(1)?,
        upstream: row.get(2)?,
        binding: BindingKey(row.get(3)?),
        record: RecordId(row.get(4)?),
        remote_id: row.get(5)?,
        op: row.get(6)?,
        state: state(row, 7)?,
        payload_hash: row.get(8)?,
        values: row.get(9)?,
        expected_version: row.get(10)?,
        attempts: row.get(11)?,
        not_before: row.get(12)?,
        pass: row.get(13)?,
        created_at: row.get(14)?,
        sent_at: row.get(15)?,
        note: row.get(16)?,
        checks: row.get(17)?,
        job: row.get(18)?,
    })
}

pub(super) fn put_intent(db: &Db, row: &IntentRow) -> Res<()> {
    db.exec(
        "INSERT INTO sync_intent (key, collection, upstream, binding, record, remote_id, op, state, payload_hash, \
         \"values\", expected_version, attempts, not_before, pass, created_at, sent_at, note, checks, job) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        params![
            row.key,
            row.collection,
            row.upstream,
            row.binding.0,
            row.record.0,
            row.remote_id,
            row.op,
            state_name(row.state),
            row.payload_hash,
            row.values,
            row.expected_version,
            row.attempts,
            row.not_before,
            row.pass,
            row.created_at,
            row.sent_at,
            row.note,
            row.checks,
            row.job,
        ],
    )?;
    Ok(())
}

/// What the update leaves out stays, except `not_before`: a wait belongs to one state, and `job` belongs to one attempt.
pub(super) fn set_intent(db: &Db, key: &str, update: &IntentUpdate) -> Res<()> {
    let changed = db.exec(
        "UPDATE sync_intent SET state = ?2, remote_id = coalesce(?3, remote_id), \
         attempts = attempts + (?4 IS NOT NULL), sent_at = coalesce(?4, sent_at), not_before = ?5, \
         note = coalesce(?6, note), checks = checks + ?7, \
         job = CASE WHEN ?4 IS NULL THEN coalesce(?8, job) ELSE ?8 END WHERE key = ?1",
        params![
            key,
            state_name(update.state),
            update.remote_id,
            update.sent_at,
            update.not_before,
            update.note,
            update.checked,
            update.job
        ],
    )?;
    if changed == 0 {
        return Err(Failure::state(format!("of intent {key}"), "there is no such intent"));
    }
    Ok(())
}

pub(super) fn drop_intent(db: &Db, key: &str) -> Res<()> {
    db.exec("DELETE FROM sync_intent WHERE key = ?1", params![key])?;
    Ok(())
}

fn state_name(state: IntentState) -> &'static str {
    match state {
        IntentState::Prepared => "prepared",
        IntentState::Parked => "parked",
        IntentState::Sent => "sent",
        IntentState::Unknown => "unknown",
    }
}

fn state(row: &Row<'_>, at: usize) -> rusqlite::Result<IntentState> {
    match row.get_ref(at)?.as_str()? {
        "prepared" => Ok(IntentState::Prepared),
        "parked" => Ok(IntentState::Parked),
        "sent" => Ok(IntentState::Sent),
        "unknown" => Ok(IntentState::Unknown),
        _ => Err(rusqlite::Error::InvalidColumnType(at, "state".to_owned(), rusqlite::types::Type::Text)),
    }
}
