//! Owns: the tests of this store beyond the contract.
//!
//! Must not know: how statements are cached.

use std::sync::Arc;

use tempfile::TempDir;

use crate::store::contract::{Fixture, suite};
use crate::store::{Mode, OpenOptions, SqliteStore};

mod in_memory {
    super::suite!(super::memory);
}

mod on_file {
    super::suite!(super::on_file_in_its_folder);
}

fn memory() -> Fixture {
    let store = SqliteStore::open(OpenOptions::memory()).expect("memory opens");
    Fixture { store: Arc::new(store), keep: Box::new(()) }
}

fn on_file_in_its_folder() -> Fixture {
    let folder = TempDir::new().expect("a folder");
    let options = OpenOptions::file(folder.path().join("sync.db"), Mode::ReadWriteCreate, 0);
    Fixture { store: Arc::new(SqliteStore::open(options).expect("it opens")), keep: Box::new(folder) }
}
