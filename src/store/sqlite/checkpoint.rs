//! Owns: the thread that moves the write-ahead log into the database beside the writer.
//!
//! Must not know: jobs, tables.
//!
//! A checkpoint copies every page of the log and waits for the disk twice, and a load waits for the writer; so it is done
//! beside it. Only the writer can begin the log anew, and only when all of it was moved: past [`LOG_PAGES_MAX`] it does the
//! rest itself, whatever this thread does. Where the disk fails here the store ends, as where it fails for the writer.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, Row};

use crate::store::StoreError;

use super::connect::{LOG_PAGES_MAX, Role, connect};
use super::fault::{Place, ends_store};
use super::thread::Dead;

/// Pages in the log that are worth a checkpoint.
const PAGES_WORTH: i64 = LOG_PAGES_MAX / 8;

/// The running thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts it on a database file.
    pub(super) fn start(path: &Path, place: &Place, dead: &Dead) -> Result<Self, StoreError> {
        let conn = connect(path, Role::Checkpointer, place)?;
        let (wake, woken) = sync_channel(1);
        let (at, end) = (place.clone(), Dead::clone(dead));
        let run = move || {
            if let Err(error) = checkpoint_until_closed(&conn, &woken, &at) {
                end.set(error).ok();
            }
        };
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(run);
        let thread = thread.map_err(|error| StoreError::Sqlite {
            path: place.path.clone(),
            reason: format!("no thread for it: {error}"),
        })?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    /// Something was committed.
    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake {
            let _it_is_awake = wake.try_send(());
        }
    }
}

/// It is gone before the writer's own last checkpoint.
impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake.take();
        if let Some(thread) = self.thread.take() {
            let _panics_do_nothing = thread.join();
        }
    }
}

fn checkpoint_until_closed(conn: &Connection, woken: &Receiver<()>, place: &Place) -> Result<(), StoreError> {
    while woken.recv().is_ok() {
        let moved = waiting(conn, "NOOP").and_then(|pages| match pages {
            PAGES_WORTH.. => waiting(conn, "PASSIVE").map(drop),
            _ => Ok(()),
        });
        // Where it is only busy, or the disk is full, the writer comes to the same place.
        if let Err(error) = moved.map_err(|error| place.explain(error.into()))
            && ends_store(&error)
        {
            return Err(error);
        }
    }
    Ok(())
}

/// How many pages of the log were not moved yet, after a checkpoint of this mode.
fn waiting(conn: &Connection, mode: &str) -> rusqlite::Result<i64> {
    let left = |row: &Row<'_>| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
    conn.pragma_update_and_check(None, "wal_checkpoint", mode, left)
}
