//! Owns: bringing the plain tables to what the rules say, without losing a value or a person's own columns.
//!
//! Must not know: what a type forbids (that is `columns`), what triggers do.

use rusqlite::params;

use crate::rules::{Collection, Ruleset};
use crate::store::{CollectionKey, StoreError};

use super::columns::{ColumnShape, column, column_text, table_text};
use super::db::Db;
use super::fault::{Failure, Res};
use super::hints::SQL_NOW;
use super::packed::Unpacked;
use super::reshape::excerpt;
use super::state::register_collection;
use super::texts::quoted;
use super::triggers::{Laid, index_name, indexes, lay};

/// Whether the engine's own values may go in without the CHECKs of their columns: all tables are just as they were made here,
/// so that no CHECK is anybody else's, and no trigger but ours writes beside us. A value of ours has its column's form by its
/// type.
pub(super) fn may_go_unchecked(db: &Db) -> Res<bool> {
    let tables: Vec<(i64, String, String)> = db.all(
        "SELECT collection, c.name, s.sql FROM sync_collection c \
         JOIN sqlite_schema s ON s.name = c.name COLLATE NOCASE AND s.type IN ('table', 'view')",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    for (key, name, sql) in tables {
        let columns = db.all(
            "SELECT c.name, c.affinity, c.says, c.rule FROM pragma_table_xinfo(?1) x \
             JOIN sync_column c ON c.collection = ?2 AND c.name = x.name ORDER BY x.cid",
            params![name, key],
            |row| {
                let [name, affinity, says, rule] = [row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?];
                Ok(column_text(name.as_str()?, affinity.as_str()?, says.as_str()?, rule.as_str()?))
            },
        )?;
        if sql != table_text(&name, &columns) {
            return Ok(false);
        }
    }
    Ok(!db.triggers_fire())
}

/// Brings every table to the rules; returns what it did or left alone.
pub(super) fn prepare(db: &Db, rules: &Ruleset) -> Res<Vec<String>> {
    db.check_values(true)?;
    let mut notices = Vec::new();
    for collection in rules.collections.values() {
        check_names(collection)?;
        let key = register_collection(db, &collection.name)?;
        for binding in &collection.bindings {
            super::state::register(db, &collection.name, &binding.upstream.name)?;
        }
        Table { db, key, collection, notices: &mut notices }.prepare()?;
    }
    Ok(notices)
}

/// Whether the tables that another program has under the rules' names can be taken as they are. Reads only, and nothing of
/// ours needs to be there.
pub(super) fn check_fit(db: &Db, rules: &Ruleset) -> Res<()> {
    let schema: i64 = db.conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if schema != 0 {
        return Ok(());
    }
    for collection in rules.collections.values() {
        check_names(collection)?;
        let wanted: Vec<ColumnShape> = collection.fields.iter().map(|field| column(&collection.name, field)).collect();
        let mut table = Table { db, key: CollectionKey(0), collection, notices: &mut Vec::new() };
        match table.kind()?.as_deref() {
            None => {}
            Some("table") => {
                table.check_foreign(&wanted)?;
                for field in collection.fields.iter().filter(|field| field.unique) {
                    table.refuse_twins(&field.name)?;
                }
            }
            Some(_view) => return Err(table.is_view()),
        }
    }
    Ok(())
}

/// The rules' checker refuses these as well; here they would touch the engine's own tables.
fn check_names(collection: &Collection) -> Res<()> {
    let name = &collection.name;
    if name.is_empty() || ["sync_", "sqlite_"].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix)) {
        return Err(refuse(name, "names that begin with sync_ or sqlite_ are reserved: rename the collection"));
    }
    match collection.fields.iter().find(|field| field.name.eq_ignore_ascii_case("id")) {
        Some(field) => Err(refuse(name, format!("field {} would be the row's own id: rename the field", field.name))),
        None => Ok(()),
    }
}

pub(super) fn refuse(table: &str, reason: impl Into<String>) -> Failure {
    Failure::Store(StoreError::Shape { table: table.to_owned(), reason: reason.into() })
}

/// A column as it is in the database.
struct Actual {
    name: String,
    affinity: &'static str,
    not_null: bool,
    key: i64,
    generated: bool,
}

/// A column as `prepare` made it before.
pub(super) struct Made {
    name: String,
    affinity: String,
    pub(super) says: String,
    rule: String,
    gone: bool,
}

impl Made {
    /// Whether it was made just so, and the rules have had it ever since: then there is nothing to write.
    fn is(&self, column: &ColumnShape) -> bool {
        self.rule == column.rule && self.says == column.says && self.affinity == column.affinity && !self.gone
    }
}

pub(super) struct Table<'a> {
    pub(super) db: &'a Db,
    key: CollectionKey,
    pub(super) collection: &'a Collection,
    pub(super) notices: &'a mut Vec<String>,
}

impl Table<'_> {
    fn prepare(&mut self) -> Res<()> {
        let name = self.collection.name.clone();
        let wanted: Vec<ColumnShape> = self.collection.fields.iter().map(|field| column(&name, field)).collect();
        let made = self.made()?;
        let kind = self.kind()?;
        match kind.as_deref() {
            None => {
                self.refuse_lost_table()?;
                self.create(&wanted)?;
            }
            Some("table") => {
                if made.is_empty() {
                    self.check_foreign(&wanted)?;
                }
                self.adjust(&wanted, &made)?;
            }
            Some(_view) => return Err(self.is_view()),
        }
        self.lay_indexes()?;
        let laid = lay(self.db, self.key, self.collection)?;
        if laid == Laid::Changed && kind.is_some() {
            self.doubt()?;
        }
        Ok(())
    }

    /// `table` or `view`, where there is something of that name.
    fn kind(&self) -> Res<Option<String>> {
        self.db.one(
            "SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')",
            params![self.collection.name],
            |row| row.get(0),
        )
    }

    fn is_view(&self) -> Failure {
        refuse(&self.collection.name, "there is a view of that name: rename it, or the collection")
    }

    fn made(&self) -> Res<Vec<Made>> {
        self.db.all(
            "SELECT name, affinity, says, rule, gone FROM sync_column WHERE collection = ?1 ORDER BY name",
            params![self.key.0],
            |row| {
                Ok(Made {
                    name: row.get(0)?,
                    affinity: row.get(1)?,
                    says: row.get(2)?,
                    rule: row.get(3)?,
                    gone: row.get(4)?,
                })
            },
        )
    }

    fn actual(&self) -> Res<Vec<Actual>> {
        self.db.all(
            "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1)",
            params![self.collection.name],
            |row| {
                Ok(Actual {
                    name: row.get(0)?,
                    affinity: affinity(row.get_ref(1)?.as_str()?),
                    not_null: row.get(2)?,
                    key: row.get(3)?,
                    generated: row.get::<_, i64>(4)? != 0,
                })
            },
        )
    }

    /// An empty table in the place of a lost one would read as the deletion of every record.
    fn refuse_lost_table(&self) -> Res<()> {
        let links = self.db.count(
            "SELECT count(*) FROM sync_link JOIN sync_binding USING (binding) WHERE collection = ?1",
            params![self.key.0],
        )?;
        if links == 0 {
            return Ok(());
        }
        let reason = format!(
            "it is gone while {links} of its records are linked: restore it from a backup, or begin again with a new database"
        );
        Err(refuse(&self.collection.name, reason))
    }

    fn create(&mut self, wanted: &[ColumnShape]) -> Res<()> {
        let name = &self.collection.name;
        let columns: Vec<String> = wanted.iter().map(ColumnShape::ddl).collect();
        let sql = table_text(name, &columns);
        self.db.conn.execute_batch(&sql)?;
        self.db.exec("DELETE FROM sync_column WHERE collection = ?1", params![self.key.0])?;
        for column in wanted {
            self.remember(column)?;
        }
        self.notices.push(format!("table {name} created"));
        Ok(())
    }

    /// A table that is not ours is taken as it is, or not at all.
    fn check_foreign(&mut self, wanted: &[ColumnShape]) -> Res<()> {
        let name = self.collection.name.clone();
        let actual = self.actual()?;
        let mut keys = actual.iter().filter(|column| column.key > 0);
        let fits = match (keys.next(), keys.next()) {
            (Some(key), None) => key.name.eq_ignore_ascii_case("id") && key.affinity == "TEXT" && key.not_null,
            _ => false,
        };
        if !fits {
            let reason = "it was not made by reconciled and its primary key is not `id TEXT NOT NULL`: \
                          rename it, or the collection";
            return Err(refuse(&name, reason));
        }
        for column in wanted {
            let there = actual.iter().find(|actual| actual.name.eq_ignore_ascii_case(&column.name));
            let wrong = match there {
                None => "is missing".to_owned(),
                Some(there) if there.generated => "is generated".to_owned(),
                Some(there) if there.affinity != column.affinity => format!("is {}", there.affinity),
                Some(_) => match self.misfit(column, &quoted(&column.name))? {
                    Some(row) => format!("holds {row}"),
                    None => continue,
                },
            };
            let reason = format!(
                "it was not made by reconciled and does not fit: {}, but column {} {wrong}; rename it, or the collection",
                column.says, column.name
            );
            return Err(refuse(&name, reason));
        }
        self.notices.push(format!("table {name} was there already and fits: it is used as it is"));
        Ok(())
    }

    fn adjust(&mut self, wanted: &[ColumnShape], made: &[Made]) -> Res<()> {
        let name = self.collection.name.clone();
        // What is done about one column changes no other.
        let actual = self.actual()?;
        for column in wanted {
            let before = made.iter().find(|made| made.name == column.name);
            match actual.iter().find(|actual| actual.name.eq_ignore_ascii_case(&column.name)) {
                None => {
                    self.db.conn.execute_batch(&format!(
                        "ALTER TABLE {} ADD COLUMN {}",
                        quoted(&name),
                        column.ddl()
                    ))?;
                    self.notices.push(format!("column {name}.{} added", column.name));
                }
                Some(there) if there.affinity != column.affinity => self.retype(column, before)?,
                Some(_) if before.is_some_and(|made| made.is(column)) => continue,
                Some(_) if before.is_some_and(|made| made.rule == column.rule && made.says == column.says) => {}
                Some(_) => self.recheck(column, before)?,
            }
            self.remember(column)?;
        }
        for left in made.iter().filter(|made| !made.gone && !wanted.iter().any(|column| column.name == made.name)) {
            self.db.exec(
                "UPDATE sync_column SET gone = 1 WHERE collection = ?1 AND name = ?2",
                params![self.key.0, left.name],
            )?;
            self.notices.push(format!(
                "column {name}.{0} is in no rule any more; it and its values stay: ALTER TABLE {1} DROP COLUMN {2} removes it",
                left.name,
                quoted(&name),
                quoted(&left.name),
            ));
        }
        Ok(())
    }

    fn remember(&self, column: &ColumnShape) -> Res<()> {
        self.db.exec(
            "INSERT OR REPLACE INTO sync_column (collection, name, affinity, says, rule) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![self.key.0, column.name, column.affinity, column.says, column.rule],
        )?;
        Ok(())
    }

    fn lay_indexes(&mut self) -> Res<()> {
        let name = self.collection.name.clone();
        let there = indexes(self.db, &name)?;
        let wanted: Vec<(&str, String)> = self
            .collection
            .fields
            .iter()
            .filter(|field| field.unique)
            .map(|field| (field.name.as_str(), index_name(&name, &field.name)))
            .collect();
        for index in there.iter().filter(|index| !wanted.iter().any(|(_field, wanted)| wanted == *index)) {
            self.db.conn.execute_batch(&format!("DROP INDEX {}", quoted(index)))?;
            self.notices.push(format!("index {index} dropped: its field is not unique any more"));
        }
        for (field, index) in wanted.iter().filter(|(_field, index)| !there.contains(index)) {
            self.refuse_twins(field)?;
            let (table, column) = (quoted(&name), quoted(field));
            self.db.conn.execute_batch(&format!("CREATE UNIQUE INDEX {} ON {table} ({column})", quoted(index)))?;
        }
        Ok(())
    }

    fn refuse_twins(&self, field: &str) -> Res<()> {
        let (table, column) = (quoted(&self.collection.name), quoted(field));
        let sql = format!(
            "SELECT {column}, min(id), max(id) FROM {table} WHERE {column} IS NOT NULL \
             GROUP BY {column} HAVING count(*) > 1 ORDER BY min(id) LIMIT 1"
        );
        let twins: Option<(String, String, String)> =
            self.db.one(&sql, [], |row| Ok((excerpt(row.get_ref(0)?), row.get(1)?, row.get(2)?)))?;
        let Some((value, one, other)) = twins else { return Ok(()) };
        let reason =
            format!("{field} is to be unique, but rows {one} and {other} both say {value}: change one of them");
        Err(refuse(&self.collection.name, reason))
    }

    /// Edits may have gone unnoticed (or the table was filled before it was ours): every record is looked at again.
    fn doubt(&mut self) -> Res<()> {
        let table = quoted(&self.collection.name);
        self.db.exec("UPDATE sync_engine SET seen = seen + 1", [])?;
        let hint = format!(
            "INSERT INTO sync_dirty (collection, record, op, at, seen) \
             SELECT ?1, r.id, 'recheck', {SQL_NOW}, e.seen FROM sync_engine e, {{rows}} r WHERE true \
             ON CONFLICT (collection, record) DO NOTHING"
        );
        let mut count = self.db.exec(&hint.replace("{rows}", &table), params![self.key.0])?;
        // Rows that are gone are known by their links alone.
        let mut after = 0;
        loop {
            let links: Vec<(i64, Unpacked)> = self.db.all(
                "SELECT link, record FROM sync_link JOIN sync_binding USING (binding) \
                 WHERE collection = ?1 AND link > ?2 ORDER BY link LIMIT 1000",
                params![self.key.0, after],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let Some((last, _record)) = links.last() else { break };
            after = *last;
            for (_link, Unpacked(record)) in &links {
                count += self.db.exec(&hint.replace("{rows}", "(SELECT ?2 AS id)"), params![self.key.0, record.0])?;
            }
        }
        let name = &self.collection.name;
        self.notices.push(format!("triggers of {name} were missing: all records are compared in full ({count})"));
        Ok(())
    }
}

/// SQLite's own rules for declared types.
fn affinity(declared: &str) -> &'static str {
    let declared = declared.to_ascii_uppercase();
    let says = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    if says(&["INT"]) {
        "INTEGER"
    } else if says(&["CHAR", "CLOB", "TEXT"]) {
        "TEXT"
    } else if declared.is_empty() || says(&["BLOB"]) {
        "BLOB"
    } else if says(&["REAL", "FLOA", "DOUB"]) {
        "REAL"
    } else {
        "NUMERIC"
    }
}
