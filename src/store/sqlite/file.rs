//! Owns: the database as a file: its folder, its mode, whether it is still the same one, copies of it.
//!
//! Must not know: what is in it.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::store::{Micros, StoreError};

use super::fault::{Failure, Place, Res, of_io};
use super::lock::beside;

/// So many files of one kind may be kept within a second.
const NAMES_MAX: u32 = 1000;

/// Makes the folder of a database (0700) where it is missing.
pub(super) fn create_folder(path: &Path, folder: &Path) -> Result<(), StoreError> {
    if folder.as_os_str().is_empty() || folder.exists() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| unwritable(path, &error))
}

/// Makes an empty file (0600) where it is missing; true where it was.
pub(super) fn create(path: &Path) -> Result<bool, StoreError> {
    match private(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(unwritable(path, &error)),
    }
}

fn private(path: &Path) -> std::io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// A missing folder that cannot be made is not a missing database.
pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> StoreError {
    match of_io(path, error) {
        StoreError::Missing { path } => StoreError::ReadOnly { path, reason: error.to_string() },
        other => other,
    }
}

/// Which file a path meant when it was opened.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let meta = std::fs::metadata(path).map_err(|error| of_io(path, &error))?;
        Ok(Self { path: path.to_owned(), device: meta.dev(), inode: meta.ino() })
    }

    /// The path means this file.
    fn of_file(path: &Path, file: &File) -> Result<Self, StoreError> {
        let meta = file.metadata().map_err(|error| of_io(path, &error))?;
        Ok(Self { path: path.to_owned(), device: meta.dev(), inode: meta.ino() })
    }

    /// Refuses when the path means another file by now: what is written would go to a file that nobody can find.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match std::fs::metadata(&self.path) {
            Ok(meta) if meta.dev() == self.device && meta.ino() == self.inode => Ok(()),
            _ => Err(StoreError::Replaced { path: self.path.display().to_string() }),
        }
    }
}

/// What may be where a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// Nothing.
    Refused,
    /// A file that the copy takes the place of.
    Replaced,
}

/// Copies a database, consistent as of now, into a new file: beside it first, synced, then renamed.
pub(super) fn copy(from: &Connection, place: &Place, target: &Path) -> Result<(), StoreError> {
    copy_checked(from, place, target, Existing::Refused, |_part| Ok(()))
}

/// The same; `check` looks at the copy before it gets its name.
pub(super) fn copy_checked<T>(
    from: &Connection,
    place: &Place,
    target: &Path,
    existing: Existing,
    check: impl FnOnce(&Path) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let part = beside(target, ".part");
    let shown = target.display().to_string();
    if existing == Existing::Refused && target.exists() {
        return Err(StoreError::ReadOnly { path: shown, reason: EXISTS.to_owned() });
    }
    let file = begin(&part)?;
    let there = Place { path: shown, busy_ms: place.busy_ms };
    let done = pages(from, &part)
        // Only what is copied can be damaged; the copy is new.
        .map_err(|failure| if is_damage(&failure) { place.explain(failure) } else { there.explain(failure) })
        .and_then(|()| file.sync_all().map_err(|error| of_io(&part, &error)))
        .and_then(|()| check(&part))
        .and_then(|checked| Identity::of_file(&part, &file)?.check().map(|()| checked))
        .and_then(|checked| name(&part, target, existing).map(|()| checked))
        .and_then(|checked| sync_folder(target).map(|()| checked));
    if done.is_err() {
        let _best_effort = std::fs::remove_file(&part);
    }
    done
}

/// An empty file to copy into. What is left of a copy that did not come to its end is removed; one that is under way is not.
fn begin(part: &Path) -> Result<File, StoreError> {
    match File::options().write(true).open(part) {
        Ok(left) if is_locked(&left) => return Err(under_way(part)),
        Ok(_left) => std::fs::remove_file(part).map_err(|error| of_io(part, &error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(of_io(part, &error)),
    }
    let file = private(part).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => under_way(part),
        _ => unwritable(part, &error),
    })?;
    if is_locked(&file) { Err(under_way(part)) } else { Ok(file) }
}

/// Locks the file, unless another process has. Where a file system knows no locks, nobody has.
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

fn under_way(part: &Path) -> StoreError {
    let reason = "another process is writing it: wait for that, or name another file".to_owned();
    StoreError::ReadOnly { path: part.display().to_string(), reason }
}

const EXISTS: &str = "it exists already";

/// Gives a finished file its name.
fn name(part: &Path, target: &Path, existing: Existing) -> Result<(), StoreError> {
    let done = match existing {
        Existing::Replaced => std::fs::rename(part, target),
        Existing::Refused => match renameat_with(CWD, part, CWD, target, RenameFlags::NOREPLACE) {
            // Not every file system can do that.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => std::fs::rename(part, target),
            Err(Errno::EXIST) => {
                return Err(StoreError::ReadOnly { path: target.display().to_string(), reason: EXISTS.to_owned() });
            }
            done => done.map_err(std::io::Error::from),
        },
    };
    done.map_err(|error| of_io(target, &error))
}

fn is_damage(failure: &Failure) -> bool {
    match failure {
        Failure::Sql(error) => {
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        }
        Failure::Store(_) => false,
    }
}

/// All pages in one step: one read transaction, which in WAL mode keeps no writer waiting. Smaller steps would begin
/// again with each write of another process.
fn pages(from: &Connection, part: &Path) -> Res<()> {
    let mut to = Connection::open(part)?;
    to.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(from, &mut to)?;
    match backup.step(-1)? {
        StepResult::Done => Ok(()),
        _ => Err(Failure::Store(StoreError::Busy { path: part.display().to_string(), waited_ms: 0 })),
    }
}

/// A name beside the database that says what is kept under it and since when, and that nothing has yet.
pub(super) fn free_name(database: &Path, what: &str, now: Micros) -> Result<PathBuf, StoreError> {
    let at = chrono::DateTime::from_timestamp_micros(now).unwrap_or_default().format("%Y%m%dT%H%M%SZ");
    let named = |number: u32| match number {
        0 => beside(database, &format!(".{what}-{at}")),
        _ => beside(database, &format!(".{what}-{at}-{number}")),
    };
    let free = (0..NAMES_MAX).map(named).find(|path| std::fs::symlink_metadata(path).is_err());
    free.ok_or_else(|| {
        let reason = format!("no name is free beside it to keep it under: move {} away", named(0).display());
        StoreError::ReadOnly { path: database.display().to_string(), reason }
    })
}

pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| of_io(folder, &error))
}
