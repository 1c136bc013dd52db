//! Owns: what must be true of the tables of collections: their rows are there and of their declared types, triggers as they were made.
//!
//! Must not know: what the engine's own tables must say of each other (that is `checks`).

use rusqlite::params;

use crate::record::Slot;
use crate::rules::{Collection, Ruleset};
use crate::store::CollectionKey;

use super::super::db::Db;
use super::super::fault::Res;
use super::super::rows::slot;
use super::super::state::collection_key;
use super::super::texts::quoted;
use super::super::triggers::are_laid;
use super::look::{Flaw, Found, Mending, Subject};

/// The text of the record of a link `l`, which is packed.
const RECORD: &str = "CASE typeof(l.record) WHEN 'blob' THEN lower(substr(hex(l.record), 1, 8) || '-' || \
    substr(hex(l.record), 9, 4) || '-' || substr(hex(l.record), 13, 4) || '-' || substr(hex(l.record), 17, 4) || '-' || \
    substr(hex(l.record), 21)) ELSE l.record END";

/// What is wrong with the tables of the rules, as far as a pass has made them.
pub(super) fn look(db: &Db, rules: &Ruleset) -> Res<Vec<Flaw>> {
    let mut flaws = Vec::new();
    for collection in rules.collections.values() {
        let Some(key) = collection_key(db, &collection.name)? else { continue };
        let columns = columns(db, collection)?;
        let lost = lost_columns(db, key, collection, &columns)?;
        if let Some(name) = lost {
            let says = "tables that are gone, or lack a column that was made";
            let subject = Subject::of_collection(&collection.name, &name);
            flaws.push(
                Flaw::one("table", says, Mending::ByHand, subject)
                    .with("restore a backup, or add the column again: what was in it is lost here"),
            );
            continue;
        }
        // What is new in the rules is made by the next pass.
        if collection.fields.iter().any(|field| !has(&columns, &field.name)) {
            continue;
        }
        flaws.extend(rows_gone(db, key, collection)?);
        flaws.extend(rows_of_other_types(db, collection)?);
        if !are_laid(db, key, collection)? {
            let subject = Subject::of_collection(&collection.name, "its triggers");
            flaws.push(
                Flaw::one(
                    "triggers",
                    "triggers that are missing or changed: edits may go unnoticed",
                    Mending::Triggers,
                    subject,
                )
                .with("they are laid again, and every row is compared with its base by the next pass"),
            );
        }
    }
    Ok(flaws)
}

fn columns(db: &Db, collection: &Collection) -> Res<Vec<String>> {
    db.all("SELECT name FROM pragma_table_xinfo(?1)", params![collection.name], |row| row.get(0))
}

fn has(columns: &[String], wanted: &str) -> bool {
    columns.iter().any(|name| name.eq_ignore_ascii_case(wanted))
}

/// The first column that was made for a field of the rules and is there no more; `id` where the table is gone.
fn lost_columns(db: &Db, key: CollectionKey, collection: &Collection, columns: &[String]) -> Res<Option<String>> {
    let made: Vec<String> =
        db.all("SELECT name FROM sync_column WHERE collection = ?1 AND NOT gone", params![key.0], |row| row.get(0))?;
    let fields = collection.fields.iter().map(|field| &field.name).filter(|name| has(&made, name));
    let lost = std::iter::once("id").chain(fields.map(String::as_str)).find(|name| !has(columns, name));
    Ok(lost.filter(|_| !made.is_empty()).map(str::to_owned))
}

/// A live link has its row, or something that waits says why not.
fn rows_gone(db: &Db, key: CollectionKey, collection: &Collection) -> Res<Option<Flaw>> {
    let sql = format!(
        "WITH live AS (SELECT b.upstream, l.remote_id, {RECORD} AS id FROM sync_link l JOIN sync_binding b USING (binding) \
         WHERE b.collection = ?1 AND l.state = 0) \
         SELECT upstream, id || ' (' || remote_id || ')' FROM live WHERE NOT EXISTS (SELECT 1 FROM {} t WHERE t.id = live.id) \
         AND NOT EXISTS (SELECT 1 FROM sync_dirty d WHERE d.collection = ?1 AND d.record = live.id) \
         AND NOT EXISTS (SELECT 1 FROM sync_stage s WHERE s.collection = ?1 AND s.record = live.id) \
         AND NOT EXISTS (SELECT 1 FROM sync_intent i WHERE i.record = live.id) \
         AND NOT EXISTS (SELECT 1 FROM sync_conflict c WHERE c.collection = ?2 AND c.record = live.id AND c.closed_at IS NULL) \
         AND NOT EXISTS (SELECT 1 FROM sync_quarantine q WHERE q.collection = ?2 AND q.subject = live.id)",
        quoted(&collection.name)
    );
    let name = &collection.name;
    let found = Found::by(db, &sql, params![key.0, name], |row| {
        Ok(Subject { collection: Some(name.clone()), upstream: row.get(0)?, name: row.get(1)? })
    })?;
    let flaw = Flaw::many("row", "live links whose row is gone, and nothing says why", Mending::ByHand, found);
    Ok(flaw.map(|flaw| {
        flaw.with(
            "whether it was deleted here or lost cannot be told: insert a row with this id and the values that it should have, \
             which the next pass compares; where the record was to be deleted, delete that row again",
        )
    }))
}

/// Other programs, and tools that salvage, leave anything in a column.
fn rows_of_other_types(db: &Db, collection: &Collection) -> Res<Option<Flaw>> {
    let columns: Vec<String> = collection.fields.iter().map(|field| quoted(&field.name)).collect();
    if columns.is_empty() {
        return Ok(None);
    }
    let sql = format!("SELECT {}, id FROM {}", columns.join(", "), quoted(&collection.name));
    let mut statement = db.conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Found::default();
    while let Some(row) = rows.next()? {
        for (at, field) in collection.fields.iter().enumerate() {
            let Slot::Bad(error) = slot(&field.domain.ty, row.get_ref(at)?) else { continue };
            found.add(|| {
                let id: Option<String> = row.get(columns.len()).unwrap_or_default();
                let words = format!("{} {}: {error}", id.unwrap_or_default(), field.name);
                Ok(Subject::of_collection(&collection.name, &words))
            })?;
        }
    }
    let flaw = Flaw::many("type", "values that their field's type forbids", Mending::ByHand, found);
    Ok(flaw.map(|flaw| flaw.with("correct them in the table; until then the field takes no part in any pass")))
}
