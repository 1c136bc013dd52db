//! Owns: opening and closing a store.
//!
//! Must not know: what jobs do.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::rules::Ruleset;
use crate::store::{Micros, StoreError};

use super::connect::{Role, WAL_BYTES_MAX, check, connect};
use super::db::Db;
use super::epoch;
use super::fault::Place;
use super::file::{Identity, create};
use super::foreign::Other;
use super::lock::{Lock, beside};
use super::memory;
use super::migrate::{MIGRATIONS, migrate, require};
use super::shape::check_fit;
use super::space::{log_bytes, refuse_network};
use super::thread::{Disk, Threads};

/// Threads that read beside the writer.
const READERS: usize = 2;
/// How long a lock of another program is waited for, unless asked otherwise.
const BUSY_MS: u64 = 5000;

/// What may happen to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "they are what they are called everywhere")]
pub enum Mode {
    /// Made if it is missing, brought to this program's schema.
    ReadWriteCreate,
    /// Must exist; brought to this program's schema.
    ReadWrite,
    /// Must exist and have this program's schema; nothing is written, not even a lock.
    ReadOnly,
}

/// What the epoch file beside a database is to it (see `epoch`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// Its own: compared when the database is opened, kept up with it.
    Own,
    /// The database is a copy that is thrown away; the file of its original is compared, and left as it is.
    Of(PathBuf),
    /// There is nothing to compare with.
    Unwatched,
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The database file; `None` is a private store in memory, for tests and simulation.
    pub path: Option<PathBuf>,
    /// What may happen to it.
    pub mode: Mode,
    /// Take the exclusive lock (everything that runs the engine; never commands that only look).
    pub lock: bool,
    /// Now, for the lock's text.
    pub now: Micros,
    /// How long a lock of another program is waited for, in milliseconds.
    pub busy_ms: u64,
    /// The most pages that the file may have: a quota. `None` leaves it to the disk.
    pub pages_max: Option<u32>,
    /// The log's size beyond which somebody must look, in bytes.
    pub log_bytes_max: u64,
    /// Whether this is the database that was worked on last.
    pub epoch: Epoch,
}

impl OpenOptions {
    /// A file.
    pub fn file(path: impl Into<PathBuf>, mode: Mode, now: Micros) -> Self {
        let lock = mode != Mode::ReadOnly;
        Self { path: Some(path.into()), mode, lock, now, epoch: Epoch::Own, ..Self::memory() }
    }

    /// Memory.
    pub fn memory() -> Self {
        Self {
            path: None,
            mode: Mode::ReadWriteCreate,
            lock: false,
            now: 0,
            busy_ms: BUSY_MS,
            pages_max: None,
            log_bytes_max: WAL_BYTES_MAX.unsigned_abs(),
            epoch: Epoch::Unwatched,
        }
    }
}

/// The store on one SQLite file. Dropping it ends the threads after the jobs they already have, and empties the WAL into
/// the database; that blocks.
#[derive(Debug)]
pub struct SqliteStore {
    pub(super) threads: Threads,
    pub(super) other: Other,
    _lock: Option<Lock>,
}

impl SqliteStore {
    /// On a database in memory that has this program's schema.
    pub(super) fn in_memory(conn: Connection, name: String, place: Place) -> Self {
        let other = Other::new(name, place.clone());
        Self { threads: Threads::none(Db::new(conn, place)), other, _lock: None }
    }

    /// Opens the database. Blocks for as long as checks, a migration and another program's lock take.
    pub fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        let Some(path) = options.path.clone() else { return open_memory(options) };
        if options.mode == Mode::ReadOnly { open_to_look(&path, options) } else { open_to_write(&path, options) }
    }
}

impl SqliteStore {
    /// Refuses a file of another program that has tables of the rules' names which do not fit. Nothing is written: such a
    /// file stays as it is. What is ours already, or is not there yet, fits.
    pub fn check_fit(options: &OpenOptions, rules: &Ruleset) -> Result<(), StoreError> {
        let is_begun = |path: &&Path| std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() > 0);
        let Some(path) = options.path.as_deref().filter(is_begun) else { return Ok(()) };
        let place = place(options);
        let db = Db::new(connect(path, Role::Reader, &place)?, place);
        db.reading(check_fit(&db, rules))
    }
}

fn place(options: &OpenOptions) -> Place {
    let path = options.path.as_ref().map_or_else(|| ":memory:".to_owned(), |path| path.display().to_string());
    Place { path, busy_ms: options.busy_ms }
}

fn open_memory(options: &OpenOptions) -> Result<SqliteStore, StoreError> {
    let place = place(options);
    let name = memory::name();
    let conn = memory::empty(&name, &place)?;
    limit(&conn, options, &place)?;
    Ok(SqliteStore::in_memory(conn, name, place))
}

fn open_to_look(path: &Path, options: &OpenOptions) -> Result<SqliteStore, StoreError> {
    let place = place(options);
    let identity = Identity::of(path)?;
    if !path.is_file() {
        return Err(StoreError::Unreadable { path: place.path, reason: "it is no regular file".to_owned() });
    }
    let conn = connect(path, Role::Reader, &place)?;
    require(&conn, &place)?;
    let suspicion = match &options.epoch {
        Epoch::Own => epoch::look(&conn, &place, path)?,
        Epoch::Of(_) | Epoch::Unwatched => None,
    };
    let other = Other::new(place.path.clone(), place.clone());
    let mut db = Db::new(conn, place);
    db.suspicion = suspicion;
    let threads = Threads::start(None, vec![db], Some(&identity))?;
    Ok(SqliteStore { threads, other, _lock: None })
}

fn open_to_write(path: &Path, options: &OpenOptions) -> Result<SqliteStore, StoreError> {
    if options.mode == Mode::ReadWrite {
        Identity::of(path)?;
    }
    refuse_network(path)?;
    // The folder comes before the lock, the lock before the file: two daemons must not both find it missing.
    if let Some(folder) = path.parent().filter(|_| options.mode == Mode::ReadWriteCreate) {
        super::file::create_folder(path, folder)?;
    }
    let lock = if options.lock { Some(Lock::acquire(path, options.now)?) } else { None };
    let made = options.mode == Mode::ReadWriteCreate && create(path)?;
    let epoch_was_there = beside(path, ".epoch").exists();
    let opened = open_locked(path, options, lock);
    // What was made here and could not be begun is of no use to anybody, and would pass for a database.
    if opened.is_err() && made {
        let epoch = (!epoch_was_there).then_some(".epoch");
        for suffix in ["", "-wal", "-shm"].into_iter().chain(epoch) {
            let _best_effort = std::fs::remove_file(beside(path, suffix));
        }
    }
    opened
}

fn open_locked(path: &Path, options: &OpenOptions, lock: Option<Lock>) -> Result<SqliteStore, StoreError> {
    let place = place(options);
    let identity = Identity::of(path)?;
    let bytes = size(path);
    let wal_left = log_bytes(path) > 0;
    let mut conn = connect(path, Role::Writer, &place)?;
    check(&conn, &place, bytes, wal_left)?;
    migrate(&mut conn, &place, Some(path), MIGRATIONS)?;
    limit(&conn, options, &place)?;
    let mirror = match &options.epoch {
        Epoch::Own => Some(epoch::keep(&mut conn, &place, path, options.now)?),
        Epoch::Of(original) => {
            epoch::compare(&conn, &place, original, options.now)?;
            None
        }
        Epoch::Unwatched => None,
    };
    let mut readers = Vec::with_capacity(READERS);
    for _nth in 0..READERS {
        readers.push(Db::new(connect(path, Role::Reader, &place)?, place.clone()));
    }
    let disk = Disk::new(path, options.log_bytes_max, mirror);
    let other = Other::new(place.path.clone(), place.clone());
    let threads = Threads::start(Some((Db::new(conn, place), disk)), readers, Some(&identity))?;
    Ok(SqliteStore { threads, other, _lock: lock })
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

fn limit(conn: &Connection, options: &OpenOptions, place: &Place) -> Result<(), StoreError> {
    let Some(pages) = options.pages_max else { return Ok(()) };
    conn.pragma_update_and_check(None, "max_page_count", pages, |_row| Ok(()))
        .map_err(|error| place.explain(error.into()))
}
