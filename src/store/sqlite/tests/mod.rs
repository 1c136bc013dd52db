//! Owns: the tests of this store beyond the contract.
//!
//! Must not know: how statements are cached.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::store::contract::{Fixture, suite};
use crate::store::{Mode, OpenOptions, SqliteStore, StoreError};

mod checks;
mod faults;
mod hints;
mod log;
mod migrations;
mod passes;
mod shapes;

mod in_memory {
    super::suite!(super::memory);
}

mod on_file {
    super::suite!(super::on_file_in_its_folder);
}

fn memory() -> Fixture {
    let store = SqliteStore::open(&OpenOptions::memory()).expect("memory opens");
    Fixture { store: Arc::new(store), _keep: Box::new(()) }
}

fn on_file_in_its_folder() -> Fixture {
    let (folder, path) = place();
    open(&path).map(|fixture| Fixture { _keep: Box::new(folder), ..fixture }).expect("it opens")
}

/// A folder, and a database's path in it.
fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("sync.db");
    (folder, path)
}

fn options(path: &Path) -> OpenOptions {
    OpenOptions { busy_ms: 50, ..OpenOptions::file(path, Mode::ReadWriteCreate, 1_706_693_400_000_000) }
}

fn open(path: &Path) -> Result<Fixture, StoreError> {
    open_with(&options(path))
}

fn open_with(options: &OpenOptions) -> Result<Fixture, StoreError> {
    Ok(Fixture { store: Arc::new(SqliteStore::open(options)?), _keep: Box::new(()) })
}

/// Another program's connection.
fn plain(path: &Path) -> Connection {
    let conn = Connection::open(path).expect("another program opens it");
    conn.busy_timeout(std::time::Duration::from_secs(5)).expect("a timeout");
    conn
}
