//! Owns: what stays fixed during one pass of one collection: rules, keys, number, time.
//!
//! Must not know: any phase of the pass.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::Clock;
use crate::merge;
use crate::record::{FieldType, RecordId};
use crate::rules::{Binding, Collection, Ruleset};
use crate::store::{BindingKey, CollectionKey, MappingKey, Micros, Restored, StoreError, Tx};

use super::between::Touched;
use super::silence::Wait;

/// One pass of one collection; shared by reference with every store job.
pub struct Pass {
    /// Randomness for ids; the time of the pass is `now`.
    pub clock: Arc<dyn Clock>,
    /// All rules that the pass began with.
    pub ruleset: Arc<Ruleset>,
    /// The collection.
    pub collection: Arc<Collection>,
    /// Its key in the store.
    pub key: CollectionKey,
    /// Its bindings' keys, in their order.
    pub bindings: Vec<BindingKey>,
    /// Their mappings' keys.
    pub mappings: Vec<MappingKey>,
    /// Per binding and field: for a ref, the parent collection's binding at the same upstream.
    pub parents: Vec<Vec<Option<BindingKey>>>,
    /// What refers to records of the collection.
    pub referrers: Vec<Referrer>,
    /// Per binding: first contact may take the short way (see [`merge::first_contact`]).
    pub plain: Vec<bool>,
    /// The pass's number.
    pub id: i64,
    /// A dry run: what first contact inserts is listed, so nothing is inserted while reading.
    pub planning: bool,
    /// The fingerprint of the plan that it makes, or changes nothing.
    pub bound: Option<String>,
    /// For how long it waits where others wait for it.
    pub wait: Wait,
    /// The newest edit that it knew of when it began.
    pub edits_known: i64,
    /// When it began.
    pub now: DateTime<Utc>,
    /// The newest webhook about the collection that waited when it began.
    pub hooked: i64,
    /// Nothing is decided about other records, and nothing of others is sent; all are its matter where there are none.
    pub only: OnceLock<Arc<BTreeSet<RecordId>>>,
    /// Per binding: why nothing is created there in this pass, where not all of it was ever read.
    pub unread: Vec<OnceLock<String>>,
    /// The database was restored, and nobody has said yet that this collection may go on.
    pub restored: Option<Restored>,
    /// Links that passes in between have touched while this one lists. Who works on a page or makes such a pass holds it.
    pub touched: Mutex<Touched>,
    /// A pass in between waits for that.
    pub is_waited_for: AtomicBool,
    /// Creates of unknown outcome that its listings do not show, by their keys.
    looked_for: std::sync::Mutex<BTreeSet<String>>,
    /// Records that a pass in between works on just now: their writes are its matter.
    beside: std::sync::Mutex<BTreeSet<RecordId>>,
}

/// A collection with fields that refer to another one.
pub struct Referrer {
    /// The collection.
    pub collection: Arc<Collection>,
    /// Its key in the store.
    pub key: CollectionKey,
    /// The fields, by position.
    pub fields: Vec<usize>,
}

impl Pass {
    /// Registers everything the pass names. `id` is 0 until the pass is recorded.
    pub fn register(
        tx: &mut dyn Tx,
        rules: &Arc<Ruleset>,
        collection: &Arc<Collection>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let now = clock.now();
        let mut key = CollectionKey(0);
        let mut bindings = Vec::new();
        let mut mappings = Vec::new();
        let mut parents = Vec::new();
        for binding in &collection.bindings {
            let (collection_key, binding_key) = tx.register(&collection.name, &binding.upstream.name)?;
            key = collection_key;
            bindings.push(binding_key);
            mappings.push(tx.register_mapping(&mapping_name(binding))?);
            let mut of_fields = Vec::with_capacity(collection.fields.len());
            for field in &collection.fields {
                of_fields.push(match &field.domain.ty {
                    FieldType::Ref { to } if is_bound(rules, to, &binding.upstream.name) => {
                        Some(tx.register(to, &binding.upstream.name)?.1)
                    }
                    _ => None,
                });
            }
            parents.push(of_fields);
        }
        let plain = collection.bindings.iter().map(|binding| merge::is_plain(collection, binding)).collect();
        Ok(Self {
            clock,
            ruleset: Arc::clone(rules),
            collection: Arc::clone(collection),
            key,
            bindings,
            mappings,
            parents,
            referrers: referrers(tx, rules, &collection.name)?,
            plain,
            id: 0,
            planning: false,
            bound: None,
            wait: Wait::ForAnswers,
            edits_known: 0,
            now,
            hooked: 0,
            only: OnceLock::new(),
            unread: collection.bindings.iter().map(|_| OnceLock::new()).collect(),
            restored: None,
            touched: Mutex::default(),
            is_waited_for: AtomicBool::new(false),
            looked_for: std::sync::Mutex::default(),
            beside: std::sync::Mutex::default(),
        })
    }

    /// Whether a record is a matter of this pass.
    pub fn is_about(&self, record: &RecordId) -> bool {
        self.only.get().is_none_or(|only| only.contains(record))
    }

    /// Whether the writes to a record that wait or are under way are a matter of this pass. To be taken before they are read: a
    /// pass in between has said so before it writes, and may be over when they are looked at.
    pub fn own_writes(&self) -> impl Fn(&RecordId) -> bool + '_ {
        let beside = move || self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        let before = beside().clone();
        move |record| self.is_about(record) && !before.contains(record) && !beside().contains(record)
    }

    /// Whether it was noted that this pass's listings do not show what a create would have made.
    pub fn has_looked_for(&self, key: &str) -> bool {
        self.looked_for.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// Notes it; false where that was done before.
    pub fn looks_for(&self, key: &str) -> bool {
        self.looked_for.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned())
    }

    /// A pass in between works on these records from now on; on none, when it is over.
    pub fn set_beside(&self, records: BTreeSet<RecordId>) {
        *self.beside.lock().unwrap_or_else(PoisonError::into_inner) = records;
    }

    /// Nothing is created at a binding in this pass.
    pub fn hold_creates(&self, binding: usize, why: String) {
        if let Some(unread) = self.unread.get(binding) {
            // The first reason is as good as the next.
            unread.set(why).ok();
        }
    }

    /// Why nothing is created at a binding in this pass.
    pub fn creates_held(&self, binding: usize) -> Option<&str> {
        self.unread.get(binding).and_then(OnceLock::get).map(String::as_str)
    }

    /// The rules of a binding by position.
    pub fn rules(&self, binding: usize) -> Option<&Arc<Binding>> {
        self.collection.bindings.get(binding)
    }

    /// The upstream's name of a binding by position; `?` never shows, positions come from the collection itself.
    pub fn upstream(&self, binding: usize) -> &str {
        self.rules(binding).map_or("?", |rules| rules.upstream.name.as_str())
    }

    /// The store's key of a binding by position.
    pub fn binding_key(&self, binding: usize) -> BindingKey {
        self.bindings.get(binding).copied().unwrap_or(BindingKey(0))
    }

    /// The store's key of a binding's mapping by position.
    pub fn mapping_key(&self, binding: usize) -> MappingKey {
        self.mappings.get(binding).copied().unwrap_or(MappingKey(0))
    }

    /// The position of a binding by the store's key.
    pub fn position(&self, key: BindingKey) -> Option<usize> {
        self.bindings.iter().position(|binding| *binding == key)
    }

    /// The start of the pass as the store keeps times.
    pub fn micros(&self) -> Micros {
        self.now.timestamp_micros()
    }
}

/// The name under which a mapping is registered: its hash, then a digest of every field's own way of being read, so that a
/// later mapping knows which fields still mean the same: `HASH;email=0123456789abcdef;…`.
fn mapping_name(binding: &Binding) -> String {
    let fields = binding.mapper.fields.iter().map(|map| {
        let meaning = format!("{:?} {:?} {:?}", map.lens, map.codec, map.domain);
        format!(";{}={:016x}", map.name, xxh3_64(meaning.as_bytes()))
    });
    std::iter::once(binding.mapping_hash.clone()).chain(fields).collect()
}

/// By position: fields that are read under `old` as they are under the mapping in force (names as registered).
pub fn unchanged_fields(collection: &Collection, old: &str, binding: &Binding) -> Vec<bool> {
    let now = mapping_name(binding);
    let digest = |name: &str, field: &str| {
        let key = format!(";{field}=");
        let at = name.find(&key)? + key.len();
        name.get(at..at + 16).map(str::to_owned)
    };
    collection
        .fields
        .iter()
        .map(|field| digest(&now, &field.name).is_some_and(|now| digest(old, &field.name) == Some(now)))
        .collect()
}

fn referrers(tx: &mut dyn Tx, rules: &Ruleset, to: &str) -> Result<Vec<Referrer>, StoreError> {
    let mut found = Vec::new();
    for collection in rules.collections.values() {
        let refers = |field: &crate::rules::Field| matches!(&field.domain.ty, FieldType::Ref { to: it } if it == to);
        let fields: Vec<usize> =
            (0..collection.fields.len()).filter(|at| collection.fields.get(*at).is_some_and(refers)).collect();
        if let (false, Some(key)) = (fields.is_empty(), tx.collection_key(&collection.name)?) {
            found.push(Referrer { collection: Arc::clone(collection), key, fields });
        }
    }
    Ok(found)
}

fn is_bound(rules: &Ruleset, collection: &str, upstream: &str) -> bool {
    rules
        .collections
        .get(collection)
        .is_some_and(|found| found.bindings.iter().any(|binding| binding.upstream.name == upstream))
}

/// The quarantine subject of a remote record that belongs to no local one yet.
pub fn remote_subject(remote_id: &str) -> String {
    format!("remote:{remote_id}")
}

/// The quarantine subject of a local record.
pub fn local_subject(record: &RecordId) -> String {
    record.0.clone()
}

/// A stored time as a `DateTime`.
pub fn time(micros: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
