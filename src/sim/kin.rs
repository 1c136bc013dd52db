//! Owns: the second collection of some worlds: companies, to which people and other companies refer; and who is who, by every
//! id on every side.
//!
//! Must not know: the engine; what is edited when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::store::SqliteStore;

use super::chance::Chance;
use super::world::{COMPANIES, PEOPLE};

/// Its own numbers of a seed, so that a world without it is what it was.
const FORK: u64 = 0x0C04_BA41;
/// So many of a hundred worlds have companies.
const COMPANIES_PERCENT: u64 = 40;
/// More edits than elsewhere, below this number a round: a reference is little without those who are referred to.
const EDITS_MORE: u64 = 6;
/// In so many of a hundred of these no upstream deletes a company that somebody works for.
const REFUSES_PERCENT: u64 = 35;

/// What a person's reference is called, here and at each upstream.
pub const COMPANY: &str = "company";
/// What a company's reference is called.
pub const PARENT: &str = "parent";

/// The references of each resource.
pub const REFERENCES: [(&str, &str); 2] = [(PEOPLE, COMPANY), (COMPANIES, PARENT)];

/// The companies of a world.
#[derive(Debug)]
pub struct Kin {
    /// Upstreams do not delete a company that somebody works for. Elsewhere whoever referred to it refers to nobody then.
    pub refuses: bool,
    /// Its own chance.
    pub chance: Chance,
    /// The key of each company that ever was at an upstream, by host and id.
    there: Mutex<BTreeMap<(String, String), String>>,
    /// The key of each company that ever was here, by id.
    here: Mutex<BTreeMap<String, String>>,
}

/// A reference that an upstream cleared: whose, and which.
pub type Cleared = (String, &'static str);

impl Kin {
    /// Those of a seed.
    pub fn drawn(seed: u64) -> Option<Self> {
        let chance = Chance::new(seed ^ FORK);
        if !chance.percent(COMPANIES_PERCENT) {
            return None;
        }
        let refuses = chance.percent(REFUSES_PERCENT);
        Some(Self { refuses, chance, there: Mutex::default(), here: Mutex::default() })
    }

    /// The collections in the order of their passes: who is referred to comes first, most of the time.
    pub fn order(&self) -> [&'static str; 2] {
        if self.chance.percent(70) { ["companies", "people"] } else { ["people", "companies"] }
    }

    /// So many more edits in a round.
    pub fn edits(&self) -> u64 {
        self.chance.below(EDITS_MORE)
    }

    /// Learns the ids of an upstream's companies.
    pub fn meet_there(&self, host: &str, sandbox: &Sandbox) {
        let mut there = lock(&self.there);
        for record in sandbox.all(COMPANIES) {
            if let (Some(id), Some(key)) = (record["id"].as_str(), record["key"].as_str()) {
                there.insert((host.to_owned(), id.to_owned()), key.to_owned());
            }
        }
    }

    /// Learns the ids of the companies here.
    pub fn meet_here(&self, store: &SqliteStore) {
        let mut here = lock(&self.here);
        for row in store.rows_of("SELECT id, key FROM companies").unwrap_or_default() {
            if let [id, key] = row.as_slice() {
                here.insert(id.clone(), key.clone());
            }
        }
    }

    /// The company that an upstream ever gave this id.
    pub fn who_there(&self, host: &str, id: &str) -> Option<String> {
        lock(&self.there).get(&(host.to_owned(), id.to_owned())).cloned()
    }

    /// The company that ever had this id here.
    pub fn who_here(&self, id: &str) -> Option<String> {
        lock(&self.here).get(id).cloned()
    }

    /// All ids that a company ever had here.
    pub fn ids_here(&self, key: &str) -> Vec<String> {
        lock(&self.here).iter().filter(|(_, it)| *it == key).map(|(id, _)| id.clone()).collect()
    }

    /// An upstream's own rule: what is gone is referred to by nobody. Returns whose reference it cleared.
    pub fn clear_there(sandbox: &mut Sandbox, now: DateTime<Utc>) -> Vec<Cleared> {
        let ids: BTreeSet<String> =
            live(sandbox, COMPANIES).iter().filter_map(|record| Some(record["id"].as_str()?.to_owned())).collect();
        let mut cleared = Vec::new();
        for (path, field) in REFERENCES {
            for record in live(sandbox, path) {
                let dangles = record[field].as_str().is_some_and(|id| !ids.contains(id));
                let (Some(id), Some(key)) = (record["id"].as_str(), record["key"].as_str()) else { continue };
                if dangles && sandbox.edit(path, id, &json!({field: null}), now).is_ok() {
                    cleared.push((key.to_owned(), field));
                }
            }
        }
        cleared
    }

    /// References in a request's body to what its upstream never had (s55).
    pub fn strangers(&self, host: &str, items: &[Value]) -> Vec<String> {
        let named = items.iter().flat_map(|item| REFERENCES.iter().filter_map(|(_, field)| item[*field].as_str()));
        named.filter(|id| self.who_there(host, id).is_none()).map(str::to_owned).collect()
    }
}

/// The resources of a world.
pub fn paths(kin: Option<&Kin>) -> impl Iterator<Item = &'static str> {
    [PEOPLE, COMPANIES].into_iter().take(if kin.is_some() { 2 } else { 1 })
}

/// The records of a resource that are not marked as gone.
pub fn live(sandbox: &Sandbox, path: &str) -> Vec<Value> {
    sandbox.all(path).into_iter().filter(|record| record["gone"] != true).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
