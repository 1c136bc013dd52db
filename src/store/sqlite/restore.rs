//! Owns: putting a backup in the place of a database, which is kept beside it.
//!
//! Must not know: what follows for passes (the file `.epoch` tells them, see `epoch`).

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::{Micros, StoreError};

use super::backup::{Contents, is_same, open_backup, placed};
use super::connect::{Role, connect};
use super::epoch;
use super::fault::{Place, Res, of_io};
use super::file::{Existing, copy_checked, create_folder, free_name, sync_folder};
use super::lock::{Lock, beside};
use super::space::refuse_network;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// What the backup holds.
    pub contents: Contents,
    /// Where the database is now that was there; `None` where none was.
    pub kept_as: Option<PathBuf>,
}

/// Puts a copy of `backup` in the place of `database`. Everything that can be wrong is found before anything is changed. A process
/// that dies on the way leaves the one or the other database, and the old one under a name of its own in any case.
pub fn restore(database: &Path, backup: &Path, now: Micros, busy_ms: u64) -> Result<Replaced, StoreError> {
    let (from, contents) = open_backup(backup, busy_ms)?;
    if is_same(database, backup) {
        let reason = "it is the database itself: name a backup of it".to_owned();
        return Err(StoreError::Unreadable { path: backup.display().to_string(), reason });
    }
    refuse_network(database)?;
    if let Some(folder) = database.parent() {
        create_folder(database, folder)?;
    }
    let had_lock = beside(database, ".lock").exists();
    let _lock = Lock::acquire(database, now)?;
    if !had_lock {
        give_to_owner(&beside(database, ".lock"), database);
    }
    let place = placed(database, busy_ms);
    let is_there = database.exists();
    if is_there {
        refuse_foreign(database, &place)?;
    }
    let new = beside(database, ".restored");
    let from_place = placed(backup, busy_ms);
    copy_checked(&from, &from_place, &new, Existing::Replaced, |part| {
        doubt_writes(part).map_err(|failure| place.explain(failure))?;
        give_to_owner(part, database);
        std::fs::File::open(part).and_then(|file| file.sync_all()).map_err(|error| of_io(part, &error))
    })?;
    let swapped = swap(database, &new, now, &place);
    if swapped.is_err() {
        let _best_effort = std::fs::remove_file(&new);
    }
    Ok(Replaced { contents, kept_as: swapped? })
}

/// What was about to be written when the backup was made may have been written since: nobody knows, and evidence has to tell.
fn doubt_writes(part: &Path) -> Res<()> {
    let conn = Connection::open(part)?;
    // The log of a database that has no name yet would be left behind under the wrong one.
    conn.pragma_update_and_check(None, "journal_mode", "DELETE", |_row| Ok(()))?;
    conn.execute(
        "UPDATE sync_intent SET state = 'unknown', sent_at = coalesce(sent_at, created_at), not_before = NULL \
         WHERE state IN ('prepared', 'sent', 'parked')",
        [],
    )?;
    Ok(())
}

fn swap(database: &Path, new: &Path, now: Micros, place: &Place) -> Result<Option<PathBuf>, StoreError> {
    let is_there = database.exists();
    if is_there {
        close(database, place)?;
    }
    let mirror = epoch::expect_another(database)?;
    give_to_owner(&mirror, database);
    let kept_as = if is_there { Some(keep(database, now)?) } else { None };
    // What is left of a log belongs to the file that it was written for.
    for suffix in ["-wal", "-shm"] {
        let from = beside(database, suffix);
        let moved = match &kept_as {
            Some(kept) => std::fs::rename(&from, beside(kept, suffix)),
            None => std::fs::remove_file(&from),
        };
        match moved {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(of_io(&from, &error)),
            _ => {}
        }
    }
    std::fs::rename(new, database).map_err(|error| of_io(database, &error))?;
    sync_folder(database)?;
    Ok(kept_as)
}

/// A file of another application is not ours to move. A damaged one is.
fn refuse_foreign(database: &Path, place: &Place) -> Result<(), StoreError> {
    match connect(database, Role::Reader, place) {
        Err(error @ (StoreError::Sqlite { .. } | StoreError::Busy { .. })) => Err(error),
        _ => Ok(()),
    }
}

/// Puts the log into the database that is to be replaced, and sees that nobody else has it open: SQLite leaves the log mode only
/// then. What is damaged is left as it is.
fn close(database: &Path, place: &Place) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let closed = Connection::open_with_flags(database, flags).and_then(|conn| {
        conn.busy_timeout(Duration::from_millis(place.busy_ms))?;
        // Where that cannot be, nothing is moved out of the log in passing.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.pragma_update_and_check(None, "journal_mode", "DELETE", |_row| Ok(()))
    });
    match closed {
        Err(error)
            if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) =>
        {
            Err(place.explain(error.into()))
        }
        _ => Ok(()),
    }
}

/// Gives the database another name as well, or instead where a file system knows one name only.
fn keep(database: &Path, now: Micros) -> Result<PathBuf, StoreError> {
    let kept = free_name(database, "replaced", now)?;
    std::fs::hard_link(database, &kept)
        .or_else(|_no_links| std::fs::rename(database, &kept))
        .map_err(|error| of_io(&kept, &error))?;
    Ok(kept)
}

/// Who may give files away (root) gives them to whoever has the database, or its folder: the service works there as that user.
fn give_to_owner(made: &Path, database: &Path) {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let like = std::fs::metadata(database).or_else(|_missing| std::fs::metadata(folder));
    let (Ok(like), Ok(is)) = (like, std::fs::metadata(made)) else { return };
    if (like.uid(), like.gid()) != (is.uid(), is.gid()) {
        // Others than root cannot, and need not: then it is theirs.
        chown(made, Some(like.uid()), Some(like.gid())).ok();
    }
}
