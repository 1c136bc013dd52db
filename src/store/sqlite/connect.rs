//! Owns: one connection as every part of the store wants it: pragmas, limits, checks of the file.
//!
//! Must not know: tables.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::StoreError;

use super::fault::{Failure, Place, Res};
use super::lock::beside;

/// Before 3.51.3 a checkpoint could race with a WAL reset and lose pages.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Statements kept prepared per connection.
const STATEMENTS_MAX: usize = 256;
/// Page caches, in KiB (negative by SQLite's convention).
const WRITER_CACHE: i64 = -16 * 1024;
const READER_CACHE: i64 = -4 * 1024;
/// The WAL is cut back to this after a checkpoint.
pub(super) const WAL_BYTES_MAX: i64 = 64 << 20;
/// Pages in the WAL before a commit of the writer does the checkpoint itself.
pub(super) const LOG_PAGES_MAX: i64 = 8000;
/// Of new databases.
const PAGE_BYTES: i64 = 8192;
/// Of those in memory, which hold few records, and of which each page that changes is copied.
const MEMORY_PAGE_BYTES: i64 = 2048;
/// Files up to this size are checked at every open; larger ones after an unclean stop.
const CHECK_ALWAYS_BYTES_MAX: u64 = 32 << 20;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The one that writes.
    Writer,
    /// One of those that read.
    Reader,
    /// The one that moves the log into the database.
    Checkpointer,
}

/// Opens an existing file, sets it up and reads its header.
pub(super) fn connect(path: &Path, role: Role, place: &Place) -> Result<Connection, StoreError> {
    require_version(place)?;
    let access = match role {
        Role::Writer => Access::Write,
        Role::Reader => Access::Read,
        Role::Checkpointer => Access::Checkpoint,
    };
    match open(path, access, place.busy_ms) {
        Err(Failure::Sql(error)) if role == Role::Reader && wants_to_write(&error) => connect_unwritable(path, place),
        opened => opened.map_err(|failure| place.explain(failure)),
    }
}

/// Opens a database in memory by its name (see `memory`), to write.
pub(super) fn connect_memory(name: &str, place: &Place) -> Result<Connection, StoreError> {
    require_version(place)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI;
    let opened = Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let opened = opened.map_err(Failure::from).and_then(|conn| {
        set_up(&conn, None, place.busy_ms)?;
        set_up_writer(&conn, None)?;
        Ok(conn)
    });
    opened.map_err(|failure| place.explain(failure))
}

fn require_version(place: &Place) -> Result<(), StoreError> {
    if rusqlite::version_number() >= SQLITE_VERSION_MIN {
        return Ok(());
    }
    let reason = format!("SQLite {} is too old: 3.51.3 is needed", rusqlite::version());
    Err(StoreError::Sqlite { path: place.path.clone(), reason })
}

/// A reader makes an index of the log beside the database, where there is none. It does without where that folder cannot be
/// written and there is no log: then nobody has the file open, and it says everything by itself.
pub(super) fn connect_unwritable(path: &Path, place: &Place) -> Result<Connection, StoreError> {
    let log = beside(path, "-wal");
    let unreadable = |reason: String| StoreError::Unreadable { path: place.path.clone(), reason };
    if std::fs::metadata(&log).is_ok_and(|meta| meta.len() > 0) {
        return Err(unreadable(format!(
            "its last changes are in {}, and to read those the folder must be writable: run this as the owner of the database, \
             or copy both files elsewhere and name the copy with --db",
            log.display()
        )));
    }
    open(path, Access::Unchanging, place.busy_ms).map_err(|failure| match place.explain(failure) {
        StoreError::ReadOnly { reason, .. } => unreadable(reason),
        other => other,
    })
}

fn wants_to_write(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied))
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Write,
    Read,
    Checkpoint,
    /// As one that nobody changes while it is open.
    Unchanging,
}

fn open(path: &Path, access: Access, busy_ms: u64) -> Res<Connection> {
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match access {
        Access::Write | Access::Checkpoint => {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags)?
        }
        Access::Read => Connection::open_with_flags(path, read_only)?,
        Access::Unchanging => {
            let name = std::path::absolute(path).unwrap_or_else(|_no_folder| path.to_owned());
            let name = name.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let flags = read_only | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?
        }
    };
    set_up(&conn, Some(path), busy_ms)?;
    match access {
        Access::Write => set_up_writer(&conn, Some(path))?,
        Access::Read | Access::Unchanging | Access::Checkpoint => {
            conn.pragma_update(None, "cache_size", READER_CACHE)?;
        }
    }
    Ok(conn)
}

/// What holds for every connection.
fn set_up(conn: &Connection, path: Option<&Path>, busy_ms: u64) -> Res<()> {
    conn.busy_timeout(Duration::from_millis(busy_ms))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Else SQLite plans a cached SELECT anew whenever another value is bound, which costs more than to run it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    // The first statement that reads the file: it is here that a file which is no database shows.
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    super::migrate::refuse_foreign(conn, &shown(path))
}

fn set_up_writer(conn: &Connection, path: Option<&Path>) -> Res<()> {
    conn.pragma_update(None, "page_size", if path.is_some() { PAGE_BYTES } else { MEMORY_PAGE_BYTES })?;
    conn.pragma_update(None, "cache_size", WRITER_CACHE)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if path.is_some() && mode != "wal" {
        let reason = format!("its file system allows journal mode {mode} only, not WAL (a network mount?)");
        return Err(Failure::Store(StoreError::ReadOnly { path: shown(path), reason }));
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_PAGES_MAX)?;
    Ok(())
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
pub(super) fn first_complaint(conn: &Connection) -> Res<Option<String>> {
    damage(conn, "quick_check")
}

/// The same, with indexes held against their tables: it takes several times as long.
pub(super) fn first_complaint_in_full(conn: &Connection) -> Res<Option<String>> {
    damage(conn, "integrity_check")
}

fn damage(conn: &Connection, check: &str) -> Res<Option<String>> {
    let mut statement = conn.prepare(&format!("PRAGMA {check}(100)"))?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(lines.into_iter().find(|line| {
        line != "ok" && !line.starts_with("CHECK constraint failed") && !line.starts_with("NULL value in")
    }))
}
