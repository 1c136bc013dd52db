//! Owns: looking a database over without changing it: its schema, whether it is whole.
//!
//! Must not know: what is in it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use crate::store::{Micros, StoreError};

use super::connect::{Role, connect, connect_unwritable, first_complaint};
use super::fault::{Place, Res};
use super::lock::beside;
use super::migrate::MIGRATIONS;
use super::space::{log_bytes, refuse_network};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exam {
    /// The version of SQLite that is built in.
    pub sqlite: &'static str,
    /// The database's schema.
    pub schema: i64,
    /// This program's.
    pub schema_known: i64,
    /// When its latest pass began.
    pub last_pass: Option<Micros>,
}

/// Looks. A damaged database is an error.
pub fn examine(path: &Path, busy_ms: u64) -> Result<Exam, StoreError> {
    let place = Place { path: path.display().to_string(), busy_ms };
    let conn = open_without_trace(path, &place)?;
    let look = || -> Res<(Option<String>, i64, Option<Micros>)> {
        let complaint = first_complaint(&conn)?;
        let schema = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let newest = "SELECT max(started_at) FROM sync_pass";
        // In another program's file there is no such table.
        let last_pass = conn.query_row(newest, [], |row| row.get(0)).unwrap_or(None);
        Ok((complaint, schema, last_pass))
    };
    let (complaint, schema, last_pass) = look().map_err(|failure| place.explain(failure))?;
    if let Some(reason) = complaint {
        return Err(StoreError::Corrupt { path: place.path, reason });
    }
    let schema_known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    Ok(Exam { sqlite: rusqlite::version(), schema, schema_known, last_pass })
}

/// What is kept of upstreams, by their names.
pub fn upstream_states(path: &Path, busy_ms: u64) -> Result<BTreeMap<String, String>, StoreError> {
    let place = Place { path: path.display().to_string(), busy_ms };
    let conn = open_without_trace(path, &place)?;
    let read = || -> Res<BTreeMap<String, String>> {
        // In another program's file, and before the first pass, there is no such table.
        let known = "SELECT count(*) FROM sqlite_schema WHERE name = 'sync_upstream'";
        if conn.query_row(known, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(BTreeMap::new());
        }
        let mut rows = conn.prepare("SELECT upstream, state FROM sync_upstream")?;
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    };
    read().map_err(|failure| place.explain(failure))
}

/// A reader of a log leaves the log's index behind, owned by whoever looked. Where there is none nobody has the file open, and it
/// says everything by itself.
fn open_without_trace(path: &Path, place: &Place) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: place.path.clone() });
    }
    refuse_network(path)?;
    let is_open = beside(path, "-shm").exists() || log_bytes(path) > 0;
    if is_open { connect(path, Role::Reader, place) } else { connect_unwritable(path, place) }
}
