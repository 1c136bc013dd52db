//! Owns: what waits in the store for a pass: edits, decisions of people, webhooks, work that may be tried again later; pauses.
//!
//! Must not know: when passes are made.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use xxhash_rust::xxh3::Xxh3;

use crate::merge::IntentState;
use crate::reconcile::asked_until;
use crate::rules::Ruleset;
use crate::store::{ConflictFilter, ConflictRow, IntentFilter, Store, StoreError, View, read, write};

use super::event::Mark;

/// Writes that wait are looked through up to this many.
const WRITES_MAX: usize = 1000;

/// What the store says of a collection.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Which.
    pub collection: String,
    /// What waits for a pass.
    pub mark: Mark,
    /// It rests.
    pub paused: bool,
}

/// What the store says of each of these collections.
pub async fn notices(store: &dyn Store, collections: Vec<String>) -> Result<Vec<Notice>, StoreError> {
    let notice = |view: &dyn View, collection: String| {
        let (mark, paused) = (mark(view, collection.clone())?, is_paused(view, &collection)?);
        Ok(Notice { collection, mark, paused })
    };
    read(store, move |view| collections.into_iter().map(|name| notice(view, name)).collect()).await
}

fn mark(view: &dyn View, collection: String) -> Result<Mark, StoreError> {
    let edit = view.collection_key(&collection)?.map_or(Ok(0), |key| view.newest_edit(key))?;
    let hooked = view.newest_hook(&collection)?;
    let halts = view.halts(Some(&collection), true)?;
    let resolved = ConflictFilter { collection: Some(collection), resolved_only: true, ..ConflictFilter::default() };
    let resolved = view.conflicts(&resolved)?;
    Ok(Mark {
        edit,
        approved: halts.iter().filter_map(|halt| halt.approved_at).max().unwrap_or(0),
        resolved: name_of(&resolved),
        hooked,
    })
}

/// Another number for other resolutions.
fn name_of(resolved: &[ConflictRow]) -> u64 {
    let mut hash = Xxh3::new();
    for row in resolved {
        hash.update(&row.id.to_le_bytes());
        hash.update(row.resolution.as_deref().unwrap_or_default().as_bytes());
        hash.update(&[0]);
    }
    if resolved.is_empty() { 0 } else { hash.digest().max(1) }
}

/// The first moment after the last pass began at which work of a collection that it had to leave may be tried again.
pub async fn retry_at(
    store: &dyn Store,
    rules: &Arc<Ruleset>,
    collection: &str,
    began: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let (rules, name) = (Arc::clone(rules), collection.to_owned());
    read(store, move |view| {
        let filter = IntentFilter {
            collection: Some(name.clone()),
            states: IntentState::OPEN.into_iter().chain(IntentState::SENDABLE).collect(),
            limit: WRITES_MAX,
            ..IntentFilter::default()
        };
        let writes = view.intents(&filter)?;
        let mut next: Option<DateTime<Utc>> = None;
        for binding in rules.collections.get(&name).iter().flat_map(|collection| &collection.bindings) {
            let upstream = &binding.upstream.name;
            let waits = writes.iter().filter(|write| write.upstream == *upstream).filter_map(|write| write.not_before);
            let first = waits.min().and_then(DateTime::from_timestamp_micros);
            // A write whose time has come waits all the same while its upstream wants to be left alone.
            let at = first.max(asked_until(view, upstream)?).filter(|at| began.is_none_or(|began| *at > began));
            next = [next, at].into_iter().flatten().min();
        }
        Ok(next)
    })
    .await
}

/// Whether a collection rests.
pub fn is_paused(view: &dyn View, collection: &str) -> Result<bool, StoreError> {
    Ok(view.note(&note_of(collection))?.as_deref() == Some("true"))
}

/// Keeps that a collection rests, or goes on, for this process and the next.
pub async fn set_paused(store: &dyn Store, collection: &str, paused: bool) -> Result<(), StoreError> {
    let name = note_of(collection);
    write(store, move |tx| tx.set_note(&name, if paused { "true" } else { "false" })).await
}

fn note_of(collection: &str) -> String {
    format!("{collection} is paused")
}
