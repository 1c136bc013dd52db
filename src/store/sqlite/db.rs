//! Owns: one connection with what every statement needs beside it: cached texts, the words for errors, whether the transaction still stands.
//!
//! Must not know: threads, files, migrations.

use std::cell::{Cell, RefCell};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::store::{Restored, StoreError};

use super::fault::{Failure, Place, Res, ends_transaction};
use super::shape::may_go_unchecked;
use super::texts::Texts;

/// A connection; the contract's `View` and `Tx` are implemented on it.
pub(super) struct Db {
    pub(super) conn: Connection,
    pub(super) place: Place,
    pub(super) texts: RefCell<Texts>,
    /// What one that only looks finds to be wrong with the database as a whole.
    pub(super) suspicion: Option<Restored>,
    doomed: RefCell<Option<StoreError>>,
    /// The schema's number when triggers were last looked at, and whether they fire on this connection.
    triggers: Cell<Option<(i64, bool)>>,
    /// The engine's own values go in without the CHECKs of their columns.
    unchecked: Cell<bool>,
}

impl Db {
    pub(super) fn new(conn: Connection, place: Place) -> Self {
        Self {
            conn,
            place,
            texts: RefCell::default(),
            suspicion: None,
            doomed: RefCell::default(),
            triggers: Cell::new(None),
            unchecked: Cell::new(false),
        }
    }

    /// Runs a statement; how many rows it changed.
    pub(super) fn exec(&self, sql: &str, params: impl Params) -> Res<usize> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    /// All rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Res<Vec<T>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params, read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first row of a query.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Res<Option<T>> {
        Ok(self.conn.prepare_cached(sql)?.query_row(params, read).optional()?)
    }

    /// The one number that a query counts.
    pub(super) fn count(&self, sql: &str, params: impl Params) -> Res<u64> {
        let count: i64 = self.conn.prepare_cached(sql)?.query_row(params, |row| row.get(0))?;
        Ok(count.cast_unsigned())
    }

    /// Begins a write transaction.
    ///
    /// Where all triggers are ours none needs to fire: that saves their programs and, above all, a journal per
    /// statement, half the cost of a row. Where a person has triggers all fire, and `echoes` takes back what the
    /// engine's own writes leave.
    pub(super) fn begin_write(&self) -> Res<()> {
        self.exec("BEGIN IMMEDIATE", [])?;
        let schema: i64 = self.conn.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))?;
        let before = self.triggers.get();
        if before.is_some_and(|(seen, _fire)| seen == schema) {
            return Ok(());
        }
        let foreign =
            self.count("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name NOT GLOB 'sync_t_*'", [])?;
        if before.is_none_or(|(_seen, fire)| fire != (foreign > 0)) {
            self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, foreign > 0)?;
        }
        self.triggers.set(Some((schema, foreign > 0)));
        if self.unchecked.get() && !may_go_unchecked(self)? {
            self.check_values(true)?;
        }
        Ok(())
    }

    /// Whether CHECKs are looked at on this connection. They are there for other programs' values; see `may_go_unchecked`.
    pub(super) fn check_values(&self, on: bool) -> Res<()> {
        // Each change makes SQLite prepare all statements anew.
        if self.unchecked.get() == on {
            self.conn.pragma_update(None, "ignore_check_constraints", !on)?;
            self.unchecked.set(!on);
        }
        Ok(())
    }

    /// Commits.
    pub(super) fn commit_write(&self) -> Res<()> {
        self.exec("COMMIT", [])?;
        Ok(())
    }

    /// Whether triggers fire in this transaction.
    pub(super) fn triggers_fire(&self) -> bool {
        self.triggers.get().is_some_and(|(_schema, fire)| fire)
    }

    /// Does work on the tables' shape, which is no edit of any value: no trigger fires.
    pub(super) fn without_triggers<T>(&self, work: impl FnOnce() -> Res<T>) -> Res<T> {
        if !self.triggers_fire() {
            return work();
        }
        self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        let outcome = work();
        self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)?;
        outcome
    }

    /// Crosses the contract's border after reading.
    pub(super) fn reading<T>(&self, outcome: Res<T>) -> Result<T, StoreError> {
        outcome.map_err(|failure| self.explain(failure))
    }

    /// Crosses the contract's border around writing. SQLite rolls back by itself on some errors; a job that went on
    /// after one would write each statement as a transaction of its own, so nothing is written then.
    pub(super) fn writing<T>(&self, work: impl FnOnce(&Self) -> Res<T>) -> Result<T, StoreError> {
        if let Some(error) = self.doom() {
            return Err(error);
        }
        if self.conn.is_autocommit() {
            return Err(StoreError::Closed);
        }
        work(self).map_err(|failure| self.explain(failure))
    }

    /// Why this transaction can only be rolled back, if so.
    pub(super) fn doom(&self) -> Option<StoreError> {
        self.doomed.borrow().clone()
    }

    /// Forgets the doom of the last transaction.
    pub(super) fn fresh(&self) {
        self.doomed.take();
    }

    /// Puts a failure into words, and remembers it where the transaction cannot stand after it.
    pub(super) fn explain(&self, failure: Failure) -> StoreError {
        let error = self.place.explain(failure);
        if ends_transaction(&error) {
            self.doomed.borrow_mut().get_or_insert_with(|| error.clone());
        }
        error
    }
}
