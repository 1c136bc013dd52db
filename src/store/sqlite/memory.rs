//! Owns: databases in memory: their names, by which several connections of this process share one, and how a new one comes
//! to be: as a copy of one that was brought to this program's schema once.
//!
//! Must not know: what jobs do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::store::StoreError;

use super::connect::connect_memory;
use super::fault::{Failure, Place, Res};
use super::migrate::{MIGRATIONS, migrate};

/// A new name. The database is there as long as a connection to it is.
pub(super) fn name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // The slash makes it one that is shared: https://sqlite.org/src/file/src/memdb.c
    format!("file:/reconciled-{number}?vfs=memdb")
}

/// A database of this program's schema, and nothing in it.
pub(super) fn empty(name: &str, place: &Place) -> Result<Connection, StoreError> {
    static EMPTY: OnceLock<Mutex<Connection>> = OnceLock::new();
    let model = if let Some(model) = EMPTY.get() {
        model
    } else {
        let mut made = connect_memory(&self::name(), place)?;
        migrate(&mut made, place, None, MIGRATIONS)?;
        EMPTY.get_or_init(|| Mutex::new(made))
    };
    copy(&model.lock().unwrap_or_else(PoisonError::into_inner), name, place)
}

/// A copy of a database, consistent as of now.
pub(super) fn copy(from: &Connection, name: &str, place: &Place) -> Result<Connection, StoreError> {
    let mut to = connect_memory(name, place)?;
    pages(from, &mut to, place).map_err(|failure| place.explain(failure))?;
    Ok(to)
}

fn pages(from: &Connection, to: &mut Connection, place: &Place) -> Res<()> {
    match Backup::new(from, to)?.step(-1)? {
        StepResult::Done => Ok(()),
        _ => Err(Failure::Store(StoreError::Busy { path: place.path.clone(), waited_ms: 0 })),
    }
}
