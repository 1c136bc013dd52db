//! Owns: backups of a database that may be in use: made, looked over, and what they hold.
//!
//! Must not know: who asks for one; what else has to be kept.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::Connection;

use crate::store::{Micros, StoreError};

use super::connect::{Role, connect, connect_unwritable, first_complaint, first_complaint_in_full};
use super::fault::{Place, Res};
use super::file::{Existing, copy_checked};
use super::lock::{beside, lock_holder};
use super::migrate::MIGRATIONS;
use super::space::log_bytes;
use super::texts::quoted;

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// Its schema.
    pub schema: i64,
    /// Which database it is, and how many durable commits it has seen; `None` where it is from before that was kept.
    pub epoch: Option<(String, i64)>,
    /// When its latest pass began.
    pub last_pass: Option<Micros>,
    /// Rows by collection, in the order of their names.
    pub collections: Vec<(String, u64)>,
    /// Ties to records of upstreams, in whatever state.
    pub links: u64,
    /// Writes that are not settled.
    pub pending_writes: u64,
    /// Conflicts that wait for a person.
    pub conflicts_open: u64,
}

/// Copies the database as it is now into `target`, whoever works on it meanwhile. It gets its name when it is whole and checked.
pub fn back_up(database: &Path, target: &Path, replace: bool, busy_ms: u64) -> Result<Contents, StoreError> {
    let place = placed(database, busy_ms);
    if !database.exists() {
        return Err(StoreError::Missing { path: place.path });
    }
    // Not without locks: somebody may begin to write at any moment.
    let from = connect(database, Role::Reader, &place)?;
    require_ours(&from, &place)?;
    refuse_database(database, target)?;
    let existing = if replace { Existing::Replaced } else { Existing::Refused };
    copy_checked(&from, &place, target, existing, |part| {
        let there = placed(target, busy_ms);
        let copy = connect_unwritable(part, &there)?;
        let complaint = first_complaint(&copy).map_err(|failure| there.explain(failure))?;
        refuse_damaged(complaint, &place)?;
        contents(&copy, part, &there)
    })
}

/// Opens a backup to read from, once it is known to be whole and this program's to use.
pub(super) fn open_backup(path: &Path, busy_ms: u64) -> Result<(Connection, Contents), StoreError> {
    let place = placed(path, busy_ms);
    if !path.is_file() {
        let reason = "there is no such file".to_owned();
        return Err(StoreError::Unreadable { path: place.path, reason });
    }
    // A log that was copied with it counts. Without one it may lie anywhere, on a share or where nothing can be written.
    let is_open = log_bytes(path) > 0;
    let opened = if is_open { connect(path, Role::Reader, &place) } else { connect_unwritable(path, &place) };
    let conn = match opened {
        Err(StoreError::Corrupt { path, reason }) => return Err(no_backup(path, &reason)),
        opened => opened?,
    };
    require_ours(&conn, &place)?;
    match first_complaint_in_full(&conn).map_err(|failure| place.explain(failure)) {
        Ok(None) => {}
        Ok(Some(reason)) | Err(StoreError::Corrupt { reason, .. }) => return Err(no_backup(place.path, &reason)),
        Err(error) => return Err(error),
    }
    let contents = contents(&conn, path, &place)?;
    Ok((conn, contents))
}

fn no_backup(path: String, reason: &str) -> StoreError {
    let reason = format!("it is no whole database ({reason}): take another backup; nothing was changed");
    StoreError::Unreadable { path, reason }
}

pub(super) fn placed(path: &Path, busy_ms: u64) -> Place {
    Place { path: path.display().to_string(), busy_ms }
}

/// Refuses what this program has never worked on, and what a newer one has.
fn require_ours(conn: &Connection, place: &Place) -> Result<(), StoreError> {
    let found: i64 =
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|error| place.explain(error.into()))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { path: place.path.clone(), found, known });
    }
    if found == 0 {
        let reason = "it is no database that reconciled has worked on: name the right file".to_owned();
        return Err(StoreError::Unreadable { path: place.path.clone(), reason });
    }
    Ok(())
}

/// A backup that took the place of a database in use, or stood beside a log of another file, would be the end of both.
fn refuse_database(database: &Path, target: &Path) -> Result<(), StoreError> {
    let refuse = |reason: String| {
        Err(StoreError::ReadOnly { path: target.display().to_string(), reason: format!("{reason}: name another file") })
    };
    if is_same(database, target) {
        return refuse("it is the database itself".to_owned());
    }
    let of_database = ["-wal", "-shm", ".epoch", ".lock", ".sock", ".budgets"];
    if of_database
        .into_iter()
        .any(|suffix| *target == beside(database, suffix) || is_same(&beside(database, suffix), target))
    {
        return refuse(format!("it belongs to the database {}", database.display()));
    }
    if let Some(holder) = lock_holder(target) {
        return refuse(format!("a reconciled works on it ({holder})"));
    }
    if log_bytes(target) > 0 {
        return refuse(format!(
            "{} is there, so that it is in use or was not closed",
            beside(target, "-wal").display()
        ));
    }
    Ok(())
}

/// Whether both are one file.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let (Ok(one), Ok(other)) = (std::fs::metadata(one), std::fs::metadata(other)) else { return false };
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn refuse_damaged(complaint: Option<String>, place: &Place) -> Result<(), StoreError> {
    match complaint {
        Some(reason) => Err(StoreError::Corrupt { path: place.path.clone(), reason }),
        None => Ok(()),
    }
}

fn contents(conn: &Connection, path: &Path, place: &Place) -> Result<Contents, StoreError> {
    let mut held = held(conn).map_err(|failure| place.explain(failure))?;
    held.bytes = std::fs::metadata(path).map_or(0, |meta| meta.len()) + log_bytes(path);
    Ok(held)
}

fn held(conn: &Connection) -> Res<Contents> {
    let has = |table: &str| -> Res<bool> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
        Ok(conn.query_row(sql, [table], |row| row.get::<_, i64>(0))? > 0)
    };
    let count = |sql: &str| -> Res<u64> {
        let count: i64 = conn.query_row(sql, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    };
    let mut names = conn.prepare("SELECT name FROM sync_collection ORDER BY name")?;
    let names = names.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let mut collections = Vec::with_capacity(names.len());
    for name in names {
        if has(&name)? {
            let rows = count(&format!("SELECT count(*) FROM {}", quoted(&name)))?;
            collections.push((name, rows));
        }
    }
    let epoch = if has("sync_epoch")? { super::epoch::own(conn)? } else { None };
    Ok(Contents {
        bytes: 0,
        schema: conn.pragma_query_value(None, "user_version", |row| row.get(0))?,
        epoch,
        last_pass: conn.query_row("SELECT max(started_at) FROM sync_pass", [], |row| row.get(0))?,
        collections,
        links: count("SELECT count(*) FROM sync_link")?,
        pending_writes: count(
            "SELECT count(*) FROM sync_intent WHERE state IN ('prepared', 'sent', 'unknown', 'parked')",
        )?,
        conflicts_open: count("SELECT count(*) FROM sync_conflict WHERE closed_at IS NULL")?,
    })
}
