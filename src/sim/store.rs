//! Owns: the store in a simulation: the real one, in memory or on a file, a step at a time, with a crash before or after
//! any of its transactions, and what such a crash leaves of the file.
//!
//! Must not know: what jobs do.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

use futures_util::future::BoxFuture;

use crate::store::{Mode, OpenOptions, ReadJob, SqliteStore, Store, StoreError, WriteJob};

use super::steps::{Steps, wait};

/// The database, over all lives of the process.
pub struct Disk {
    now: Mutex<Arc<SqliteStore>>,
    folder: Option<TempDir>,
}

impl Disk {
    /// A new one: in memory, where a crash leaves all that was committed; or on a file, where it leaves that file.
    pub fn new(on_file: bool) -> Result<Self, String> {
        let folder = on_file.then(TempDir::new).transpose().map_err(|error| error.to_string())?;
        let options = folder.as_ref().map_or_else(OpenOptions::memory, |folder| on(&at(folder, 0)));
        let store = SqliteStore::open(&options).map_err(|error| error.to_string())?;
        Ok(Self { now: Mutex::new(Arc::new(store)), folder })
    }

    /// The store of the process that lives now.
    pub fn store(&self) -> Arc<SqliteStore> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A copy, as a dry run works on one, of the same kind. It lasts as long as the folder, if it has one.
    pub fn copied(&self) -> Result<(Arc<SqliteStore>, Option<TempDir>), String> {
        let words = |error: StoreError| error.to_string();
        if self.folder.is_none() {
            return Ok((Arc::new(self.store().copy_in_memory().map_err(words)?), None));
        }
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        wait(self.store().copy_to(&at(&folder, 0))).map_err(words)?;
        let store = SqliteStore::open(&on(&at(&folder, 0))).map_err(words)?;
        Ok((Arc::new(store), Some(folder)))
    }

    /// The process was killed: the next one finds the files as they were at that moment, and nothing that only the dead
    /// one's memory held.
    pub fn killed(&self) -> Result<(), String> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = at(folder, 0);
        let files = ["", "-wal", ".epoch"].map(|suffix| PathBuf::from(format!("{}{suffix}", path.display())));
        let left = files.map(|file| std::fs::read(&file).ok().map(|bytes| (file, bytes)));
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        // Closing is what a killed process does not do: what it does to the files is undone.
        *now = Arc::new(SqliteStore::open(&OpenOptions::memory()).map_err(|error| error.to_string())?);
        for (file, bytes) in left.into_iter().flatten() {
            std::fs::write(file, bytes).map_err(|error| error.to_string())?;
        }
        *now = Arc::new(SqliteStore::open(&on(&path)).map_err(|error| error.to_string())?);
        Ok(())
    }
}

fn at(folder: &TempDir, life: u64) -> PathBuf {
    folder.path().join(format!("{life}.db"))
}

fn on(path: &Path) -> OpenOptions {
    OpenOptions { lock: false, ..OpenOptions::file(path, Mode::ReadWriteCreate, 0) }
}

/// The real store, in step.
pub struct SimStore {
    store: Arc<SqliteStore>,
    steps: Arc<Steps>,
}

impl SimStore {
    /// Wraps a store.
    pub fn new(store: Arc<SqliteStore>, steps: Arc<Steps>) -> Self {
        Self { store, steps }
    }

    async fn at_once(&self, work: impl Future<Output = Result<(), StoreError>> + Send) -> Result<(), StoreError> {
        self.steps.may_die().await;
        let outcome = wait(work);
        // It is committed, and nobody lives to hear of it.
        self.steps.may_die().await;
        outcome
    }
}

impl Store for SimStore {
    fn read_job(&self, job: ReadJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.at_once(self.store.read_job(job)))
    }

    fn write_job(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.at_once(self.store.write_job(job)))
    }

    fn write_small(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.at_once(self.store.write_small(job)))
    }

    fn write_relaxed(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.at_once(self.store.write_relaxed(job)))
    }

    fn copy_to<'a>(&'a self, target: &'a Path) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.at_once(self.store.copy_to(target)))
    }
}
