//! Owns: the records of one resource: their versions, times, removal, and the state before the last write.
//!
//! Must not know: HTTP.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::config::{Delete, ResourceConfig};
use super::json::{self, Object};

/// One record as it is kept: without the id, version, time and flag that [`render`] adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The id.
    pub id: String,
    /// The rest of the body.
    pub data: Object,
    /// The number of the resource's write that made it so.
    pub version: u64,
    /// The number of the resource's write that created it.
    pub created: u64,
    /// When it became so.
    pub updated: DateTime<Utc>,
    /// Whether it still is.
    pub state: State,
}

/// Whether a record still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is.
    Live,
    /// Readable, with its flag set.
    Archived,
    /// 404; only a tombstone is left.
    Gone,
}

/// The records of one resource.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    records: BTreeMap<String, Stored>,
    version: u64,
    ids: u64,
    before: Before,
}

/// What the last write replaced.
#[derive(Debug, Clone, Default)]
struct Before {
    /// A write was announced and has not saved anything yet.
    due: bool,
    version: u64,
    records: Vec<(String, Option<Stored>)>,
}

impl Shelf {
    /// The number of writes so far: the collection's version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A record, also if archived; not if gone.
    pub fn get(&self, id: &str) -> Option<&Stored> {
        self.records.get(id).filter(|stored| stored.state != State::Gone)
    }

    /// Everything, tombstones too, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.records.values()
    }

    /// The next id that the server chooses.
    pub fn next_id(&mut self, prefix: &str) -> String {
        loop {
            self.ids += 1;
            let id = format!("{prefix}{}", self.ids);
            if !self.records.contains_key(&id) {
                return id;
            }
        }
    }

    /// Says that a write begins: what it replaces is what a stale read will show.
    pub fn begin_write(&mut self) {
        self.before.due = true;
    }

    /// Puts a record into its new state and counts the write.
    pub fn save(&mut self, id: &str, data: Object, state: State, now: DateTime<Utc>) {
        if self.before.due {
            self.before = Before { due: false, version: self.version, records: Vec::new() };
        }
        self.version += 1;
        let previous = self.records.get(id).cloned();
        let created =
            previous.as_ref().filter(|stored| stored.state != State::Gone).map_or(self.version, |s| s.created);
        let stored = Stored { id: id.to_owned(), data, version: self.version, created, updated: now, state };
        self.records.insert(id.to_owned(), stored);
        self.before.records.push((id.to_owned(), previous));
    }

    /// The shelf as it was before the last write.
    pub fn before_last_write(&self) -> Self {
        let mut past = self.clone();
        for (id, previous) in self.before.records.iter().rev() {
            match previous {
                Some(stored) => past.records.insert(id.clone(), stored.clone()),
                None => past.records.remove(id),
            };
        }
        past.version = self.before.version;
        past
    }
}

/// A record as the API shows it.
pub fn render(config: &ResourceConfig, stored: &Stored) -> Object {
    let mut body = if stored.state == State::Gone { Object::new() } else { stored.data.clone() };
    json::put(&mut body, &config.id_at, stored.id.clone().into());
    if let Some(version) = &config.version {
        let value = if version.number { stored.version.into() } else { stored.version.to_string().into() };
        json::put(&mut body, &version.path, value);
    }
    if let Some(updated_at) = &config.updated_at {
        json::put(&mut body, &updated_at.path, json::time(stored.updated, updated_at.format));
    }
    match (&config.removed_at, stored.state, config.delete) {
        (Some(path), State::Live, Delete::Archive { .. }) => json::put(&mut body, path, Value::Bool(false)),
        (None, State::Live, _) | (Some(_), State::Live, Delete::Gone) => {}
        (path, State::Archived | State::Gone, _) => {
            json::put(&mut body, path.as_deref().unwrap_or("deleted"), Value::Bool(true));
        }
    }
    body
}

/// Takes out of an input what the server sets itself; answers what its archived flag said.
pub fn strip(config: &ResourceConfig, input: &mut Object) -> Option<bool> {
    json::take(input, &config.id_at);
    if let Some(version) = &config.version {
        json::take(input, &version.path);
    }
    if let Some(updated_at) = &config.updated_at {
        json::take(input, &updated_at.path);
    }
    match config.delete {
        Delete::Gone => None,
        Delete::Archive { .. } => json::take(input, config.removed_at.as_deref().unwrap_or("deleted"))?.as_bool(),
    }
}
