//! Owns: another program's hands on the database, where the store has the only connection to it (memory): for simulations.
//!
//! Must not know: the engine's tables.

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;

use crate::store::StoreError;

use super::db::Db;
use super::fault::Res;
use super::open::SqliteStore;

/// What is done by somebody else.
pub(super) type Foreign = Box<dyn FnOnce(&Db) -> Result<(), StoreError> + Send>;

impl SqliteStore {
    /// Runs statements as another program would: triggers fire, and edits leave hints.
    pub async fn as_another_program(&self, sql: &str) -> Result<(), StoreError> {
        let sql = sql.to_owned();
        self.foreign(Box::new(move |db| db.reading(with_triggers(&db.conn, &sql)))).await
    }

    /// The rows of a query as texts; NULL is empty.
    pub async fn rows_of(&self, sql: &str) -> Result<Vec<Vec<String>>, StoreError> {
        let sql = sql.to_owned();
        let (give, take) = std::sync::mpsc::sync_channel(1);
        self.foreign(Box::new(move |db| {
            give.send(db.reading(rows(&db.conn, &sql))?).ok();
            Ok(())
        }))
        .await?;
        take.try_recv().map_err(|_gone| StoreError::Closed)
    }
}

fn with_triggers(conn: &Connection, sql: &str) -> Res<()> {
    let before = conn.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)?;
    let done = conn.execute_batch(sql);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, before)?;
    Ok(done?)
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
