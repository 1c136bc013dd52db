//! Owns: changing a column that is there already, without replacing its table.
//!
//! Must not know: which columns are wanted.

use rusqlite::params;
use rusqlite::types::ValueRef;

use super::columns::ColumnShape;
use super::fault::Res;
use super::shape::{Made, Table, refuse};
use super::texts::quoted;
use super::triggers::{index_name, indexes};

/// The most of a value that a message shows.
const EXCERPT_CHARS_MAX: usize = 40;

impl Table<'_> {
    /// The CHECK changes, the column stays where it is.
    pub(super) fn recheck(&mut self, column: &ColumnShape, before: Option<&Made>) -> Res<()> {
        let name = self.collection.name.clone();
        if let Some(row) = self.misfit(column, &quoted(&column.name))? {
            return Err(refuse(&name, format!("{}, but {row}: change that value first", column.says)));
        }
        if let Some(before) = before {
            self.drop_check(&before.says)?;
        }
        self.add_check(column)?;
        self.notices.push(format!("column {name}.{} changed: {}", column.name, column.says));
        Ok(())
    }

    fn add_check(&self, column: &ColumnShape) -> Res<()> {
        let (table, says) = (quoted(&self.collection.name), quoted(&column.says));
        self.db.conn.execute_batch(&format!("ALTER TABLE {table} ADD CONSTRAINT {says} CHECK ({})", column.rule))?;
        Ok(())
    }

    /// A CHECK that another program dropped already is none to drop.
    fn drop_check(&self, says: &str) -> Res<()> {
        let (table, says) = (quoted(&self.collection.name), quoted(says));
        let sql: Option<String> = self.db.one(
            "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
            params![self.collection.name],
            |row| row.get(0),
        )?;
        if sql.is_some_and(|sql| sql.contains(&format!("CONSTRAINT {says} CHECK"))) {
            self.db.conn.execute_batch(&format!("ALTER TABLE {table} DROP CONSTRAINT {says}"))?;
        }
        Ok(())
    }

    /// Another affinity needs another column. The table itself is never replaced: foreign keys, indexes and triggers of
    /// other programs hang on it.
    pub(super) fn retype(&mut self, column: &ColumnShape, before: Option<&Made>) -> Res<()> {
        let name = self.collection.name.clone();
        let (table, old) = (quoted(&name), quoted(&column.name));
        let new = quoted(&format!("sync_new_{}", column.name));
        self.db.conn.execute_batch(&format!(
            "ALTER TABLE {table} ADD COLUMN {new} {}; UPDATE {table} SET {new} = {old}",
            column.affinity
        ))?;
        if let Some(row) = self.misfit(column, &new)? {
            return Err(refuse(&name, format!("{}, but {row}: change that value first", column.says)));
        }
        if let Some(before) = before {
            self.drop_check(&before.says)?;
        }
        for index in indexes(self.db, &name)?.iter().filter(|index| **index == index_name(&name, &column.name)) {
            self.db.conn.execute_batch(&format!("DROP INDEX {}", quoted(index)))?;
        }
        self.drop_triggers()?;
        self.db.conn.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN {old}")).map_err(|error| {
            refuse(&name, format!("column {} cannot change its type while something uses it: {error}", column.name))
        })?;
        self.db.conn.execute_batch(&format!("ALTER TABLE {table} RENAME COLUMN {new} TO {old}"))?;
        self.add_check(column)?;
        self.notices.push(format!("column {name}.{} is {} now, and stands last", column.name, column.affinity));
        Ok(())
    }

    /// The first row whose value, once it is in `place`, breaks the rule.
    pub(super) fn misfit(&self, column: &ColumnShape, place: &str) -> Res<Option<String>> {
        let table = quoted(&self.collection.name);
        let rule = column.rule.replace(&quoted(&column.name), place);
        let sql = format!("SELECT id, {place} FROM {table} WHERE NOT ({rule}) ORDER BY id LIMIT 1");
        self.db.one(&sql, [], |row| {
            let id: String = row.get(0)?;
            Ok(format!("{} in row {id}", excerpt(row.get_ref(1)?)))
        })
    }

    fn drop_triggers(&self) -> Res<()> {
        let names: Vec<String> = self.db.all(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE \
             AND name GLOB 'sync_t_*' AND name GLOB '*.displaced_*'",
            params![self.collection.name],
            |row| row.get(0),
        )?;
        for name in names {
            self.db.conn.execute_batch(&format!("DROP TRIGGER {}", quoted(&name)))?;
        }
        Ok(())
    }
}

/// A value as messages show it.
pub(super) fn excerpt(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let short: String = text.chars().take(EXCERPT_CHARS_MAX).collect();
            if short.len() < text.len() { format!("\"{short}…\"") } else { format!("\"{short}\"") }
        }
    }
}
