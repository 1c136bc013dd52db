//! Owns: whether a remote record that we deleted is taken to be alive by what a listing still shows of it (I16).
//!
//! Must not know: what a replica shows; why a record was deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::sandbox::Sandbox;
use crate::store::SqliteStore;

use super::world::PEOPLE;

/// Links that are alive. Where a delete has not been settled, or what became of it was not decided on (it is staged, or the record
/// is to be looked at again: a delete that was sent twice is told to have been overtaken), nothing is known yet.
const ALIVE: &str = "\
    SELECT upstream || '.example.com', l.remote_id FROM sync_link l JOIN sync_binding b USING (binding) \
    WHERE l.state = 0 AND b.collection = (SELECT collection FROM sync_collection WHERE name = 'people') AND upstream NOT IN (SELECT upstream FROM sync_intent WHERE op = 'delete') \
    AND NOT EXISTS (SELECT 1 FROM sync_stage s WHERE s.binding = l.binding AND s.remote_id = l.remote_id) \
    AND NOT EXISTS (SELECT 1 FROM sync_dirty d WHERE d.record = l.record OR replace(d.record, '-', '') = lower(hex(l.record)))";

/// The remote records that are gone by our own hand, and we were told so: host and id.
#[derive(Debug, Default)]
pub struct Deleted(Mutex<BTreeSet<(String, String)>>);

impl Deleted {
    /// A delete was acknowledged.
    pub fn note(&self, host: &str, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((host.to_owned(), id.to_owned()));
    }

    /// Whether anything is.
    pub fn is_any_at(&self, host: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(at, _)| at == host)
    }

    /// What is there again was made anew, or came out of a backup.
    pub fn forget_what_is_there(&self, host: &str, sandbox: &Sandbox) {
        let mut deleted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if deleted.is_empty() {
            return;
        }
        let is_there = |record: &serde_json::Value, id: &str| record["id"] == id && record["gone"] != true;
        let records = sandbox.all(PEOPLE);
        deleted.retain(|(at, id)| at != host || !records.iter().any(|record| is_there(record, id)));
    }

    /// After a pass: what is linked as if it were there. Each is told once.
    pub fn revived(&self, store: &SqliteStore, sandboxes: &BTreeMap<String, Sandbox>) -> Vec<String> {
        for (host, sandbox) in sandboxes {
            self.forget_what_is_there(host, sandbox);
        }
        let mut deleted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if deleted.is_empty() {
            return Vec::new();
        }
        let alive = store.rows_of(ALIVE).unwrap_or_default();
        let alive = alive.into_iter().filter_map(|row| <[String; 2]>::try_from(row).ok());
        alive
            .filter_map(|[host, id]| deleted.take(&(host, id)))
            .map(|(host, id)| format!("I16: {id} at {host} was deleted by us, and is believed to be there"))
            .collect()
    }
}
