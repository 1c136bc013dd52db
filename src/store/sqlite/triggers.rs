//! Owns: the triggers that leave hints, and the unique indexes.
//!
//! Must not know: columns beyond their names.

use rusqlite::params;

use crate::rules::Collection;
use crate::store::CollectionKey;

use super::db::Db;
use super::fault::Res;
use super::hints::SQL_NOW;
use super::texts::{literal, quoted};

/// What was done about the triggers of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Laid {
    /// All were there.
    Same,
    /// Some were missing or other than they should be: edits may have gone unnoticed.
    Changed,
}

/// Lays the triggers of a table anew where they are not exactly as wanted.
pub(super) fn lay(db: &Db, key: CollectionKey, collection: &Collection) -> Res<Laid> {
    let (wanted, found) = (wanted(key, collection), found(db, collection)?);
    if found == wanted {
        return Ok(Laid::Same);
    }
    for (name, _sql) in &found {
        db.conn.execute_batch(&format!("DROP TRIGGER {}", quoted(name)))?;
    }
    for (_name, sql) in &wanted {
        db.conn.execute_batch(sql)?;
    }
    Ok(if heart(&found) == heart(&wanted) { Laid::Same } else { Laid::Changed })
}

/// Whether no edit of a table can go unnoticed.
pub(super) fn are_laid(db: &Db, key: CollectionKey, collection: &Collection) -> Res<bool> {
    Ok(heart(&found(db, collection)?) == heart(&wanted(key, collection)))
}

/// Hints that a unique field alone asks for are no reason to doubt the others.
fn heart(list: &[(String, String)]) -> Vec<&(String, String)> {
    list.iter().filter(|(name, _sql)| !name.contains(".displaced_")).collect()
}

fn found(db: &Db, collection: &Collection) -> Res<Vec<(String, String)>> {
    db.all(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE \
         AND name GLOB 'sync_t_*' ORDER BY name",
        params![collection.name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// By name, each with its whole text.
fn wanted(key: CollectionKey, collection: &Collection) -> Vec<(String, String)> {
    let mut triggers = Vec::new();
    let mut add = |what: &str, event: &str, condition: &str, body: &str| {
        let name = format!("sync_t_{}.{what}", collection.name);
        let sql = format!(
            "CREATE TRIGGER {} {event} ON {}{condition} BEGIN{body} END",
            quoted(&name),
            quoted(&collection.name),
        );
        triggers.push((name, sql));
    };
    add("delete", "AFTER DELETE", "", &hint(key, "OLD.id", "delete"));
    // REPLACE removes the rows in its way without a DELETE that triggers would see.
    let unique: Vec<String> = collection
        .fields
        .iter()
        .filter(|field| field.unique)
        .map(|field| format!("t.{0} = NEW.{0}", quoted(&field.name)))
        .collect();
    if !unique.is_empty() {
        let table = quoted(&collection.name);
        let (any, own) = (unique.join(" OR "), "t.id IS NOT NEW.id");
        let inserted = hints_from(key, "t.id", "recheck", &format!(", {table} t WHERE ({any}) AND {own}"));
        add("displaced_insert", "BEFORE INSERT", "", &inserted);
        let others = format!(", {table} t WHERE ({any}) AND {own} AND t.id IS NOT OLD.id");
        add("displaced_update", "BEFORE UPDATE", "", &hints_from(key, "t.id", "recheck", &others));
    }
    add("insert", "AFTER INSERT", "", &hint(key, "NEW.id", "insert"));
    // An id never changes: another one is another record.
    let moved = format!("{}{}", hint(key, "OLD.id", "delete"), hint(key, "NEW.id", "insert"));
    add("move", "AFTER UPDATE", " WHEN NEW.id IS NOT OLD.id", &moved);
    add("update", "AFTER UPDATE", " WHEN NEW.id IS OLD.id", &hint(key, "NEW.id", "update"));
    triggers.sort();
    triggers
}

fn hint(key: CollectionKey, record: &str, op: &str) -> String {
    hints_from(key, record, op, " WHERE true")
}

/// The number grows first, then the hint carries it: a hint that was read is never mistaken for a later one.
fn hints_from(key: CollectionKey, record: &str, op: &str, rest: &str) -> String {
    format!(
        " UPDATE sync_engine SET seen = seen + 1; \
         INSERT INTO sync_dirty (collection, record, op, at, seen) \
         SELECT {}, {record}, {}, {SQL_NOW}, e.seen FROM sync_engine e{rest} \
         ON CONFLICT (collection, record) DO UPDATE SET op = excluded.op, at = excluded.at, seen = excluded.seen;",
        key.0,
        literal(op),
    )
}

/// The name of a unique field's index.
pub(super) fn index_name(table: &str, field: &str) -> String {
    format!("sync_u_{table}.{field}")
}

/// The unique indexes that `prepare` made on a table before.
pub(super) fn indexes(db: &Db, table: &str) -> Res<Vec<String>> {
    db.all(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 COLLATE NOCASE AND name GLOB 'sync_u_*' \
         ORDER BY name",
        params![table],
        |row| row.get(0),
    )
}
