//! Owns: one connection as every part of the store wants it: pragmas, limits, checks of the file.
//!
//! Must not know: tables.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::store::StoreError;

use super::fault::{Failure, Place, Res};

/// Before 3.51.3 a checkpoint could race with a WAL reset and lose pages.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Statements kept prepared per connection.
const STATEMENTS_MAX: usize = 256;
/// Page caches, in KiB (negative by SQLite's convention).
const WRITER_CACHE: i64 = -16 * 1024;
const READER_CACHE: i64 = -4 * 1024;
/// The WAL is cut back to this after a checkpoint.
const WAL_BYTES_MAX: i64 = 64 << 20;
/// Pages in the WAL before a commit tries a checkpoint.
const CHECKPOINT_PAGES: i64 = 2000;
/// Of new databases.
const PAGE_BYTES: i64 = 8192;
/// Files up to this size are checked at every open; larger ones after an unclean stop.
const CHECK_ALWAYS_BYTES_MAX: u64 = 32 << 20;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The one that writes.
    Writer,
    /// One of those that read.
    Reader,
}

/// Opens an existing file (or memory), sets it up and reads its header.
pub(super) fn connect(path: Option<&Path>, role: Role, place: &Place) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        let reason = format!("SQLite {} is too old: 3.51.3 is needed", rusqlite::version());
        return Err(StoreError::Sqlite { path: place.path.clone(), reason });
    }
    open(path, role, place.busy_ms).map_err(|failure| place.explain(failure))
}

fn open(path: Option<&Path>, role: Role, busy_ms: u64) -> Res<Connection> {
    let access = match role {
        Role::Writer => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let conn = match path {
        Some(path) => Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?,
        None => Connection::open_in_memory()?,
    };
    conn.busy_timeout(Duration::from_millis(busy_ms))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    // The first statement that reads the file: it is here that a file which is no database shows.
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    super::migrate::refuse_foreign(&conn, &shown(path))?;
    match role {
        Role::Writer => {
            conn.pragma_update(None, "page_size", PAGE_BYTES)?;
            conn.pragma_update(None, "cache_size", WRITER_CACHE)?;
            let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
            if path.is_some() && mode != "wal" {
                let reason = format!("its file system allows journal mode {mode} only, not WAL (a network mount?)");
                return Err(Failure::Store(StoreError::ReadOnly { path: shown(path), reason }));
            }
            conn.pragma_update(None, "synchronous", "FULL")?;
            conn.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
            conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        }
        Role::Reader => conn.pragma_update(None, "cache_size", READER_CACHE)?,
    }
    Ok(conn)
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

/// `quick_check`, where it is cheap or there is a reason: a WAL that was left behind means an unclean stop (or another
/// program that holds the file open, where the check does no harm).
pub(super) fn check(conn: &Connection, place: &Place, file_bytes: u64, wal_left: bool) -> Result<(), StoreError> {
    if !wal_left && file_bytes > CHECK_ALWAYS_BYTES_MAX {
        return Ok(());
    }
    let complaint = first_complaint(conn).map_err(|failure| place.explain(failure))?;
    match complaint {
        Some(reason) => Err(StoreError::Corrupt { path: place.path.clone(), reason }),
        None => Ok(()),
    }
}

/// Rows that break a CHECK or NOT NULL of their table are wrong data, not damage.
fn first_complaint(conn: &Connection) -> Res<Option<String>> {
    let mut statement = conn.prepare("PRAGMA quick_check(100)")?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(lines.into_iter().find(|line| {
        line != "ok" && !line.starts_with("CHECK constraint failed") && !line.starts_with("NULL value in")
    }))
}
