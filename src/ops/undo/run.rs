//! Owns: an undo from the question to its end: which pass, which records, the plan, and the edits in one transaction.
//!
//! Must not know: what becomes of a single value; who asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Counts;

use crate::record::RecordId;
use crate::rules::{Collection, Ruleset};
use crate::store::{HistoryFilter, HistoryRow, LinkId, Micros, PassRow, Store, StoreError, Tx, View, read, write_if};

use super::super::error::OpsError;
use super::deeds::{Came, Deeds, read_deeds};
use super::edit::{self, Hand};
use super::plan::{Aim, Edit, Planned, plan_record};
use super::report::Undone;

/// Lines and links that are read in one statement.
const CHUNK: usize = 1000;

/// What is to be taken back, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoRequest {
    /// The pass.
    pub run: i64,
    /// Only where it is of this collection.
    #[serde(default)]
    pub collection: Option<String>,
    /// Only this record: a local id, COLLECTION/ID, or a remote id.
    #[serde(default)]
    pub record: Option<String>,
    /// Records that the pass created are deleted.
    #[serde(default)]
    pub delete: bool,
    /// It is done; else it is a plan.
    #[serde(default)]
    pub apply: bool,
}

/// Plans an undo, or makes it in one transaction. `is_at_work` says whether passes of a collection may be under way.
pub async fn undo(
    store: &dyn Store,
    rules: &Ruleset,
    asked: UndoRequest,
    is_at_work: impl Fn(&str) -> bool,
    now: Micros,
) -> Result<Undone, OpsError> {
    let run = asked.run;
    let row = read(store, move |view| view.pass(run)).await?;
    let row = row.ok_or_else(|| {
        OpsError::NotFound(format!(
            "there is no pass {run} (what only planned, a dry run, changed nothing and has no number)"
        ))
    })?;
    let collection = collection_of(rules, &row, &asked)?;
    if row.ended_at.is_none() && is_at_work(&row.collection) {
        let words = format!("pass {run} of {} has not ended: wait until it has, or stop it", row.collection);
        return Err(OpsError::Refused(words));
    }
    let hash = rules.hash.clone();
    if asked.apply {
        return write_if(store, move |tx| {
            let done = match deeds(tx, &collection, &row, &asked)? {
                Ok(deeds) => Ok(apply(tx, &collection, (&asked, hash, now), &deeds)?),
                Err(refused) => Err(refused),
            };
            let keep = done.as_ref().is_ok_and(|done| done.pass.is_some());
            Ok((done, keep))
        })
        .await?;
    }
    read(store, move |view| match deeds(view, &collection, &row, &asked)? {
        Ok(deeds) => plan(view, &collection, &asked, &deeds).map(Ok),
        Err(refused) => Ok(Err(refused)),
    })
    .await?
}

fn collection_of(rules: &Ruleset, row: &PassRow, asked: &UndoRequest) -> Result<Arc<Collection>, OpsError> {
    let name = &row.collection;
    if let Some(only) = asked.collection.as_ref().filter(|only| *only != name) {
        let words = format!("pass {} is of {name}, not of {}", row.id, only.escape_debug());
        return Err(OpsError::Refused(words));
    }
    rules.collections.get(name).cloned().ok_or_else(|| {
        let words = format!("pass {} is of {name}, which the rules no longer have; add it to take that back", row.id);
        OpsError::Refused(words)
    })
}

/// What the pass did to each record that is asked for.
fn deeds(
    view: &dyn View,
    collection: &Collection,
    row: &PassRow,
    asked: &UndoRequest,
) -> Result<Result<BTreeMap<RecordId, Deeds>, OpsError>, StoreError> {
    let mut deeds = read_deeds(collection, &lines(view, row.id)?);
    let Some(name) = &asked.record else {
        add_unnamed(view, row, &mut deeds)?;
        return Ok(Ok(deeds));
    };
    let mut named = named(view, collection, name)?;
    for record in &named {
        if view.links_of(record)?.iter().any(|link| link.made.is_some_and(|made| made.pass == row.id)) {
            note_came(&mut deeds, record.clone());
        }
    }
    named.retain(|record| deeds.contains_key(record));
    if named.is_empty() {
        let words = format!("pass {} of {} did nothing to a record `{}`", row.id, collection.name, name.escape_debug());
        return Ok(Err(OpsError::NotFound(words)));
    }
    deeds.retain(|record, _| named.contains(record));
    Ok(Ok(deeds))
}

/// The lines of history of a pass, oldest first.
fn lines(view: &dyn View, pass: i64) -> Result<Vec<HistoryRow>, StoreError> {
    let mut filter = HistoryFilter { pass: Some(pass), limit: CHUNK, ..HistoryFilter::default() };
    let mut lines = Vec::new();
    loop {
        let some = view.history(&filter)?;
        let Some(last) = some.last() else { break };
        filter.before = Some(last.id);
        lines.extend(some);
    }
    lines.reverse();
    Ok(lines)
}

/// The local ids that a name may mean: itself, and those of the collection that it is a remote id of.
fn named(view: &dyn View, collection: &Collection, name: &str) -> Result<Vec<RecordId>, StoreError> {
    let id = name.strip_prefix(&format!("{}/", collection.name)).unwrap_or(name);
    let mut found = vec![RecordId(id.to_owned())];
    let known = view.find_record(id)?.into_iter().filter(|(of, _)| *of == collection.name);
    found.extend(known.map(|(_, record)| record));
    Ok(found)
}

/// Records that a first load took over have no line of history each; their links know the pass.
fn add_unnamed(view: &dyn View, row: &PassRow, deeds: &mut BTreeMap<RecordId, Deeds>) -> Result<(), StoreError> {
    let counts: Counts = serde_json::from_str(&row.counts).unwrap_or_default();
    let told = deeds.values().filter(|deeds| deeds.came.as_ref().is_some_and(|came| came.here)).count() as u64;
    if counts["local"]["created"].as_u64().is_some_and(|created| created <= told) {
        return Ok(());
    }
    let mut after = LinkId(0);
    loop {
        let some = view.made_in(row.id, after, CHUNK)?;
        let Some((last, _)) = some.last() else { return Ok(()) };
        after = *last;
        for (_, record) in some {
            note_came(deeds, record);
        }
    }
}

fn note_came(deeds: &mut BTreeMap<RecordId, Deeds>, record: RecordId) {
    let came = deeds.entry(record).or_default().came.get_or_insert_with(Came::default);
    if !came.here {
        // What was sent of it is not all that came.
        (came.here, came.left) = (true, None);
    }
}

fn plan(
    view: &dyn View,
    collection: &Collection,
    asked: &UndoRequest,
    deeds: &BTreeMap<RecordId, Deeds>,
) -> Result<Undone, StoreError> {
    let mut done = begun(collection, asked);
    let aim = Aim { collection, run: asked.run, delete: asked.delete };
    for (record, deeds) in deeds {
        let planned = plan_record(view, aim, record, deeds)?;
        if let Some(change) = planned.told(collection) {
            done.add_change(change);
        }
        done.add_left(planned.left);
    }
    Ok(done)
}

fn begun(collection: &Collection, asked: &UndoRequest) -> Undone {
    Undone { run: asked.run, collection: collection.name.clone(), applied: asked.apply, ..Undone::default() }
}

/// Plans within the transaction that edits, so that what is edited is what was looked at.
fn apply(
    tx: &mut dyn Tx,
    collection: &Collection,
    (asked, rules_hash, now): (&UndoRequest, String, Micros),
    deeds: &BTreeMap<RecordId, Deeds>,
) -> Result<Undone, StoreError> {
    let mut done = begun(collection, asked);
    let aim = Aim { collection, run: asked.run, delete: asked.delete };
    let mut edits = Vec::new();
    for (record, deeds) in deeds {
        let mut planned = plan_record(tx, aim, record, deeds)?;
        done.add_left(std::mem::take(&mut planned.left));
        edits.extend(planned.edit.is_some().then_some(planned));
    }
    let Some(key) = tx.collection_key(&collection.name)?.filter(|_| !edits.is_empty()) else { return Ok(done) };
    let mut row = PassRow {
        collection: collection.name.clone(),
        trigger: PassRow::UNDO.to_owned(),
        started_at: now,
        ended_at: Some(now),
        outcome: "ok".to_owned(),
        counts: counts(asked.run, &edits),
        rules_hash,
        ..PassRow::default()
    };
    row.id = tx.begin_pass(&row)?;
    let hand = Hand { collection, key, run: asked.run, pass: row.id, now };
    let (made, refused) = edit::make(tx, hand, edits)?;
    if !refused.is_empty() {
        row.counts = counts(asked.run, &made);
        tx.end_pass(&row)?;
    }
    done.pass = (!made.is_empty()).then_some(row.id);
    made.iter().filter_map(|planned| planned.told(collection)).for_each(|change| done.add_change(change));
    done.add_left(refused);
    Ok(done)
}

/// What an undo counted, as passes keep it.
fn counts(run: i64, edits: &[Planned]) -> String {
    let of = |is: fn(&Edit) -> bool| edits.iter().filter_map(|one| one.edit.as_ref()).filter(|edit| is(edit)).count();
    let created = of(|edit| matches!(edit, Edit::Insert(_)));
    let updated = of(|edit| matches!(edit, Edit::Update(_)));
    let deleted = of(|edit| matches!(edit, Edit::Delete(_)));
    let local = serde_json::json!({ "created": created, "updated": updated, "deleted": deleted });
    serde_json::json!({ "local": local, "upstreams": [], "conflicts_opened": 0, "undone": run }).to_string()
}
