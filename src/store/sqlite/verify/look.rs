//! Owns: the order in which a database is looked through, and what is said of a flaw.
//!
//! Must not know: what mends it.

use std::path::Path;

use rusqlite::{Params, Row};

use crate::rules::Ruleset;
use crate::store::StoreError;

use super::super::backup::placed;
use super::super::connect::{Role, connect, first_complaint_in_full};
use super::super::db::Db;
use super::super::fault::Res;
use super::super::migrate::require;
use super::checks::CHECKS;
use super::tables;

/// So many of those that a flaw is about are named.
const EXAMPLES_MAX: usize = 5;

/// Whether a flaw can be mended without a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mending {
    /// By statements over the engine's own tables.
    Statements,
    /// By laying triggers again.
    Triggers,
    /// A person has to look.
    ByHand,
}

/// What a flaw is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The collection, where that is known.
    pub collection: Option<String>,
    /// The upstream, where it is about one.
    pub upstream: Option<String>,
    /// Which record, link or row.
    pub name: String,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What was looked at.
    pub check: &'static str,
    /// What was found.
    pub says: String,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<Subject>,
    /// Whether it can be mended.
    pub mending: Mending,
    /// What mending does, or what a person has to do.
    pub remedy: &'static str,
}

/// How many, and the first of them.
#[derive(Default)]
pub(super) struct Found {
    count: u64,
    examples: Vec<Subject>,
}

impl Found {
    /// What a query finds.
    pub(super) fn by(
        db: &Db,
        sql: &str,
        params: impl Params,
        subject: impl Fn(&Row<'_>) -> rusqlite::Result<Subject>,
    ) -> Res<Self> {
        let (mut found, mut statement) = (Self::default(), db.conn.prepare(sql)?);
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            found.add(|| subject(row))?;
        }
        Ok(found)
    }

    /// One more, which is named where it is among the first.
    pub(super) fn add(&mut self, subject: impl FnOnce() -> rusqlite::Result<Subject>) -> rusqlite::Result<()> {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(subject()?);
        }
        Ok(())
    }
}

impl Subject {
    pub(super) fn of_collection(collection: &str, name: &str) -> Self {
        Self { collection: Some(collection.to_owned()), upstream: None, name: name.to_owned() }
    }
}

impl Flaw {
    pub(super) fn one(check: &'static str, says: &str, mending: Mending, subject: Subject) -> Self {
        Self { check, says: says.to_owned(), count: 1, examples: vec![subject], mending, remedy: "" }
    }

    /// `None` where there is none.
    pub(super) fn many(check: &'static str, says: &str, mending: Mending, found: Found) -> Option<Self> {
        let Found { count, examples } = found;
        (count > 0).then(|| Self { check, says: says.to_owned(), count, examples, mending, remedy: "" })
    }

    pub(super) fn with(self, remedy: &'static str) -> Self {
        Self { remedy, ..self }
    }
}

/// Looks the whole database through, as it is at one moment, whoever works on it; changes nothing. A damaged file is an error: of
/// what is in it nothing can be said.
pub fn verify(path: &Path, rules: &Ruleset, busy_ms: u64) -> Result<Vec<Flaw>, StoreError> {
    let place = placed(path, busy_ms);
    if !path.exists() {
        return Err(StoreError::Missing { path: place.path });
    }
    let conn = connect(path, Role::Reader, &place)?;
    require(&conn, &place)?;
    let complaint = first_complaint_in_full(&conn).map_err(|failure| place.explain(failure))?;
    if let Some(reason) = complaint {
        return Err(StoreError::Corrupt { path: place.path, reason });
    }
    let db = Db::new(conn, place);
    db.reading(in_one_snapshot(&db, rules))
}

fn in_one_snapshot(db: &Db, rules: &Ruleset) -> Res<Vec<Flaw>> {
    db.conn.execute_batch("BEGIN")?;
    let found = look(db, rules);
    db.conn.execute_batch("ROLLBACK")?;
    found
}

/// Looks, in the snapshot or transaction that is open.
pub(super) fn look(db: &Db, rules: &Ruleset) -> Res<Vec<Flaw>> {
    let mut flaws: Vec<Flaw> = foreign_keys(db)?.into_iter().collect();
    for check in CHECKS {
        let found = Found::by(db, check.finds, [], |row| {
            Ok(Subject { collection: row.get(0)?, upstream: row.get(1)?, name: row.get(2)? })
        })?;
        let mending = if check.mends.is_empty() { Mending::ByHand } else { Mending::Statements };
        flaws.extend(Flaw::many(check.name, check.says, mending, found).map(|flaw| flaw.with(check.remedy)));
    }
    flaws.extend(tables::look(db, rules)?);
    Ok(flaws)
}

/// The engine has none; a person's tables may.
fn foreign_keys(db: &Db) -> Res<Option<Flaw>> {
    let found = Found::by(db, "PRAGMA foreign_key_check", [], |row| {
        let (table, row, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let row = row.map_or_else(String::new, |row| format!(" row {row}"));
        Ok(Subject { collection: None, upstream: None, name: format!("{table}{row}: no such row in {parent}") })
    })?;
    let flaw = Flaw::many("foreign_key", "rows that refer to rows which do not exist", Mending::ByHand, found);
    Ok(flaw.map(|flaw| flaw.with("correct them by SQL; these references are your own")))
}
