//! Owns: another program's hands on the database, by a connection of its own: for simulations.
//!
//! Must not know: the engine's tables.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use crate::store::StoreError;

use super::fault::{Place, Res};
use super::open::SqliteStore;

/// Statements kept prepared.
const STATEMENTS_MAX: usize = 64;

/// The connection of another program, opened when it is first needed.
pub(super) struct Other {
    conn: Mutex<Option<Connection>>,
    /// What SQLite knows the database by.
    name: String,
    place: Place,
}

impl fmt::Debug for Other {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Other").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Other {
    pub(super) fn new(name: String, place: Place) -> Self {
        Self { conn: Mutex::default(), name, place }
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> Res<T>) -> Result<T, StoreError> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        let conn = match &mut *conn {
            Some(conn) => conn,
            none => {
                let opened = Connection::open(&self.name).map_err(|error| self.place.explain(error.into()))?;
                opened.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
                none.insert(opened)
            }
        };
        work(conn).map_err(|failure| self.place.explain(failure))
    }
}

impl SqliteStore {
    /// Runs a statement as another program would: triggers fire, and edits leave hints. `values` are those of its parameters,
    /// as texts, which a column takes by its affinity. Blocks.
    pub fn as_another_program(&self, sql: &str, values: &[Option<&str>]) -> Result<(), StoreError> {
        self.other.with(|conn| {
            conn.prepare_cached(sql)?.execute(params_from_iter(values))?;
            Ok(())
        })
    }

    /// The rows of a query as texts; NULL is empty. Blocks.
    pub fn rows_of(&self, sql: &str) -> Result<Vec<Vec<String>>, StoreError> {
        self.other.with(|conn| rows(conn, sql))
    }
}

fn rows(conn: &Connection, sql: &str) -> Res<Vec<Vec<String>>> {
    let mut statement = conn.prepare_cached(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cell = |at: usize| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => String::new(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
            })
        };
        (0..columns).map(cell).collect::<rusqlite::Result<Vec<_>>>()
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
