//! Owns: which tables of the language know a key, for one that stands in the wrong table.
//!
//! Must not know: what keys mean.

use super::{
    Batch, BatchResult, Binding, Budget, Check, Collection, Create, Delete, DeletesEndpoint, ErrorRule, Field,
    HookEvent, Job, Limits, MapEntry, Match, PageCap, Parent, Read, ReadJob, Request, Retry, Since, Timeout, Tls,
    Tombstone, Transition, Update, Upstream, Webhook, Write,
};

/// A key that more tables than this know says nothing about the one that was meant.
const HOMES_MAX: usize = 3;

/// Tables with their keys.
const TABLES: &[(&str, &[&str])] = &[
    ("[upstream.NAME]", Upstream::KEYS),
    ("[upstream.NAME.timeout]", Timeout::KEYS),
    ("[upstream.NAME.tls]", Tls::KEYS),
    ("[upstream.NAME.check]", Check::KEYS),
    ("[[upstream.NAME.budget]]", Budget::KEYS),
    ("[[upstream.NAME.error]]", ErrorRule::KEYS),
    ("[upstream.NAME.retry]", Retry::KEYS),
    ("[upstream.NAME.webhook]", Webhook::KEYS),
    ("[[upstream.NAME.webhook.event]]", HookEvent::KEYS),
    ("[collection.NAME]", Collection::KEYS),
    ("[collection.NAME.limits]", Limits::KEYS),
    ("[collection.NAME.match]", Match::KEYS),
    ("[collection.NAME.fields.FIELD]", Field::KEYS),
    ("[binding.COLLECTION.UPSTREAM]", Binding::KEYS),
    ("[binding.COLLECTION.UPSTREAM.read]", Read::KEYS),
    ("`page_cap = { results = 10_000, … }`", PageCap::KEYS),
    ("`parent = { collection = \"companies\", … }`", Parent::KEYS),
    ("`incremental = { kind = \"since\", … }`", Since::KEYS),
    ("`deletes = { kind = \"tombstone\", … }`", Tombstone::KEYS),
    ("`deletes = { kind = \"endpoint\", … }`", DeletesEndpoint::KEYS),
    ("[binding.COLLECTION.UPSTREAM.map.FIELD]", MapEntry::KEYS),
    ("[binding.COLLECTION.UPSTREAM.write]", Write::KEYS),
    ("[binding.COLLECTION.UPSTREAM.write.create]", Create::KEYS),
    ("[binding.COLLECTION.UPSTREAM.write.update]", Update::KEYS),
    ("[binding.COLLECTION.UPSTREAM.write.delete]", Delete::KEYS),
    ("[[binding.COLLECTION.UPSTREAM.write.transition]]", Transition::KEYS),
    ("[binding.COLLECTION.UPSTREAM.write.batch]", Batch::KEYS),
    ("[binding.COLLECTION.UPSTREAM.write.batch.result]", BatchResult::KEYS),
    ("`job = { … }`", Job::KEYS),
    ("[binding.COLLECTION.UPSTREAM.read.job]", ReadJob::KEYS),
    ("a request's table", Request::KEYS),
];

/// Where a key belongs that the table at hand does not know: `it belongs in …`.
pub fn home_of(key: &str) -> Option<String> {
    let homes: Vec<&str> = TABLES.iter().filter(|(_, keys)| keys.contains(&key)).map(|(table, _)| *table).collect();
    let known = (1..=HOMES_MAX).contains(&homes.len());
    known.then(|| format!("it belongs in {}", homes.join(" or ")))
}
