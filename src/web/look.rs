//! Owns: what pages and API show, gathered from the store and the loop.
//!
//! Must not know: HTML, HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::daemon::{Place, Standing};
use crate::merge;
use crate::ops::{
    CollectionStatus, Conflict, Halt, OpsError, Pass, PassPage, Sides, cut_page, gather, list_conflicts, list_passes,
    phases, raw, rfc3339, status_with, with_one_more,
};
use crate::reconcile::Phase;
use crate::record::{Column, RecordId, Slot, Value};
use crate::rules::Collection;
use crate::store::{
    ConflictFilter, HistoryFilter, HistoryRow, OriginRow, PassFilter, QuarantineFilter, QuarantineRow, StoreError,
    View, read,
};

use super::site::Site;

/// Lines of history that are shown with a pass or a record.
const HISTORY_MAX: usize = 200;
/// Items of a list where nobody says how many.
pub const LIST_DEFAULT: usize = 50;
/// Items of a list at most.
pub const LIST_MAX: usize = 500;

/// How a collection stands, by store and loop.
#[derive(Debug, JsonSchema, Serialize)]
pub struct CollectionView {
    /// By the store.
    #[serde(flatten)]
    pub status: CollectionStatus,
    /// A pass runs.
    pub running: bool,
    /// A pass waits for its turn.
    pub waiting: bool,
    /// What its pass is at.
    pub doing: Option<String>,
    /// Halts that wait for approval.
    pub halts: usize,
}

/// A pass with what it did.
#[derive(Debug, JsonSchema, Serialize)]
pub struct PassView {
    /// The pass.
    pub pass: Pass,
    /// What it is at, while it runs.
    pub doing: Option<String>,
    /// The open halt that it ended with.
    pub halt: Option<i64>,
    /// When its phases began and how long they took; none while it runs, and of passes long ago.
    pub phases: Vec<Phase>,
    /// Newest first.
    pub history: Vec<Line>,
    /// `after` of the next page of its history; absent on the last one.
    pub next: Option<i64>,
}

/// A line of history.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Line {
    /// Its number.
    pub id: i64,
    /// The pass.
    pub pass: i64,
    /// RFC 3339.
    pub at: Option<String>,
    /// The collection.
    pub collection: String,
    /// The local id.
    pub record: String,
    /// Field names between commas; empty for the record's existence.
    pub field: String,
    /// `local`, `push`, `conflict`, `resolve`, `quarantine`, `link`.
    pub kind: String,
    /// Whose value.
    pub origin: String,
    /// At which upstream, for writes.
    pub target: Option<String>,
    /// The rule that decided.
    pub rule: String,
    /// Before.
    pub before: Option<Box<RawValue>>,
    /// After.
    pub after: Option<Box<RawValue>>,
}

/// A record that is set aside, or waits.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "SetAside")]
pub struct Aside {
    /// The collection.
    pub collection: String,
    /// The upstream.
    pub upstream: String,
    /// The local id, or `remote:` and the remote id.
    pub subject: String,
    /// Where it was set aside.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// RFC 3339.
    pub since: Option<String>,
    /// It waits for another record, and needs nobody.
    pub waits: bool,
}

/// A page of records that are set aside, or wait.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Asides {
    /// The records, by collection and upstream.
    pub quarantine: Vec<Aside>,
    /// `after` of the next page; absent on the last one.
    pub next: Option<String>,
}

/// A page of conflicts.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ConflictPage {
    /// The conflicts, the oldest first.
    pub conflicts: Vec<Conflict>,
    /// How many there are on all pages.
    pub total: u64,
    /// The greatest number of them.
    pub newest: i64,
    /// `after` of the next page; absent on the last one.
    pub next: Option<i64>,
}

/// A page of records.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Records {
    /// The collection.
    pub collection: String,
    /// The records.
    #[serde(rename = "records")]
    pub rows: Vec<Row>,
    /// `after` of the next page; absent on the last one.
    pub next: Option<String>,
}

/// A record as it is here.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Row {
    /// Its local id.
    pub id: String,
    /// By field; what cannot be read is absent.
    pub fields: BTreeMap<String, Option<Box<RawValue>>>,
}

/// A record as every side has it, with where each value came from.
#[derive(Debug, JsonSchema, Serialize)]
pub struct RecordView {
    /// The sides.
    pub sides: Sides,
    /// By field; `""` for all others.
    pub provenance: Vec<Provenance>,
    /// Newest first.
    pub history: Vec<Line>,
    /// `after` of the next page of its history; absent on the last one.
    pub next: Option<i64>,
}

/// Where a value came from.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Provenance {
    /// The field, or `""`.
    pub field: String,
    /// `local`, an upstream, `resolution`, `undo`.
    pub origin: String,
    /// The source's own time, RFC 3339.
    pub source_time: Option<String>,
    /// When it was seen, RFC 3339.
    pub observed_at: Option<String>,
    /// The pass.
    pub pass: i64,
    /// The rule that decided.
    pub rule: String,
}

impl CollectionView {
    /// When passes are due the loop knows better than the store.
    fn new(status: CollectionStatus, standing: &Standing, halts: usize) -> Self {
        let place: Option<&Place> = standing.collections.iter().find(|place| place.collection == status.collection);
        let shown = |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        let (next, full) = (place.and_then(|place| place.next), place.and_then(|place| place.next_full));
        Self {
            running: place.is_some_and(|place| place.running),
            waiting: place.is_some_and(|place| place.waiting),
            doing: place.and_then(Place::step).map(str::to_owned),
            halts,
            status: CollectionStatus {
                next_pass: shown(next.filter(|_| !status.paused)),
                next_full_scan: shown(full.filter(|_| !status.paused)),
                ..status
            },
        }
    }
}

impl From<&HistoryRow> for Line {
    fn from(row: &HistoryRow) -> Self {
        Self {
            id: row.id,
            pass: row.pass,
            at: rfc3339(row.at),
            collection: row.collection.clone(),
            record: row.record.0.clone(),
            field: row.field.clone(),
            kind: row.kind.clone(),
            origin: row.origin.clone(),
            target: row.target.clone(),
            rule: row.rule.clone(),
            before: row.before.as_deref().and_then(raw),
            after: row.after.as_deref().and_then(raw),
        }
    }
}

impl From<&QuarantineRow> for Aside {
    fn from(row: &QuarantineRow) -> Self {
        Self {
            collection: row.collection.clone(),
            upstream: row.upstream.clone(),
            subject: row.subject.clone(),
            stage: row.stage.clone(),
            reason: row.reason.clone(),
            since: rfc3339(row.since),
            waits: row.is_waiting(),
        }
    }
}

impl From<&OriginRow> for Provenance {
    fn from(row: &OriginRow) -> Self {
        Self {
            field: row.field.clone(),
            origin: row.origin.clone(),
            source_time: row.source_time.and_then(rfc3339),
            observed_at: rfc3339(row.observed_at),
            pass: row.pass,
            rule: row.rule.clone(),
        }
    }
}

impl Row {
    fn of(collection: &Collection, id: RecordId, slots: &[Slot]) -> Self {
        let value = |slot: &Slot| match slot {
            Slot::Value(value) => raw(&value.to_json().to_string()),
            Slot::Absent | Slot::Bad(_) => None,
        };
        let fields = collection.fields.iter().zip(slots).map(|(field, slot)| (field.name.clone(), value(slot)));
        Self { id: id.0, fields: fields.collect() }
    }
}

impl Site {
    /// All collections, in the order of passes.
    pub async fn collections(&self) -> Result<Vec<CollectionView>, OpsError> {
        let (standing, now) = (self.front.desk.standing(), self.front.clock.now());
        let counts = Arc::clone(&self.counts);
        let views = read(self.store.as_ref(), move |view| {
            let one = |place: &Place| {
                let Some(collection) = standing.rules.collections.get(&place.collection) else { return Ok(None) };
                let halts = view.halts(Some(&place.collection), true)?.len();
                let moments = (now, standing.sends_since(&place.collection));
                Ok(Some(CollectionView::new(
                    status_with(view, collection, counts.of(view, collection)?, moments)?,
                    &standing,
                    halts,
                )))
            };
            standing
                .collections
                .iter()
                .filter_map(|place| one(place).transpose())
                .collect::<Result<Vec<_>, StoreError>>()
        });
        Ok(views.await?)
    }

    /// Passes, newest first.
    pub async fn passes(&self, filter: PassFilter) -> Result<PassPage, OpsError> {
        let (running, since) = (self.running(), self.runs_since());
        let page = read(self.store.as_ref(), move |view| {
            let mut page = list_passes(view, &filter)?;
            let is_running = |pass: &&mut Pass| running.contains_key(&pass.collection) && may_run(pass, since.as_ref());
            page.passes.iter_mut().filter(is_running).for_each(runs);
            Ok(page)
        });
        Ok(page.await?)
    }

    /// One pass, with what it did: `after` is where a page of its history goes on.
    pub async fn pass(&self, id: i64, after: Option<i64>) -> Result<PassView, OpsError> {
        let filter = HistoryFilter { pass: Some(id), before: after, ..HistoryFilter::default() };
        let (mut running, since) = (self.running(), self.runs_since());
        let found = read(self.store.as_ref(), move |view| {
            let Some(row) = view.pass(id)? else { return Ok(None) };
            let halts = view.halts(Some(&row.collection), true)?;
            let halt = halts.iter().find(|halt| halt.pass == id).map(|halt| halt.id);
            let mut pass = Pass::from(&row);
            let doing = running.remove(&row.collection).filter(|_| may_run(&pass, since.as_ref()));
            if doing.is_some() {
                runs(&mut pass);
            }
            let (history, next) = lines(view, filter)?;
            Ok(Some(PassView { pass, doing, halt, phases: phases(view, id)?, history, next }))
        });
        found.await?.ok_or_else(|| OpsError::NotFound(format!("no pass {id}")))
    }

    /// What is under way, by collection.
    fn running(&self) -> BTreeMap<String, String> {
        let places = self.front.desk.standing().collections;
        let running = places.iter().filter(|place| place.running);
        running.map(|place| (place.collection.clone(), place.step().unwrap_or_default().to_owned())).collect()
    }

    /// When the daemon began, as passes tell it: those of before run no more.
    fn runs_since(&self) -> Option<String> {
        rfc3339(self.front.desk.standing().started_at.timestamp_micros())
    }

    /// A page of conflicts.
    pub async fn conflicts(&self, filter: ConflictFilter) -> Result<ConflictPage, OpsError> {
        let rules = self.front.desk.standing().rules;
        let found = read(self.store.as_ref(), move |view| {
            let whole = ConflictFilter { after: None, ..filter.clone() };
            let (total, newest) = view.conflict_count(&whole)?;
            let more = ConflictFilter { limit: with_one_more(filter.limit), ..filter.clone() };
            let mut conflicts = list_conflicts(view, Some(&rules), &more)?;
            let next = cut_page(&mut conflicts, filter.limit).map(|one| one.id);
            Ok(ConflictPage { conflicts, total, newest, next })
        });
        Ok(found.await?)
    }

    /// One conflict.
    pub async fn conflict(&self, id: i64) -> Result<Conflict, OpsError> {
        let filter = ConflictFilter { id: Some(id), closed_too: true, ..ConflictFilter::default() };
        let rules = self.front.desk.standing().rules;
        let mut found = read(self.store.as_ref(), move |view| list_conflicts(view, Some(&rules), &filter)).await?;
        found.pop().ok_or_else(|| OpsError::NotFound(format!("no conflict {id}")))
    }

    /// Halts that wait for approval, or wait for the pass after it.
    pub async fn halts(&self) -> Result<Vec<Halt>, OpsError> {
        let rows = read(self.store.as_ref(), |view| view.halts(None, true)).await?;
        Ok(rows.iter().map(Halt::from).collect())
    }

    /// Records that are set aside, or wait.
    pub async fn quarantine(&self, filter: QuarantineFilter) -> Result<Asides, OpsError> {
        let limit = filter.limit;
        let filter = QuarantineFilter { limit: with_one_more(limit), ..filter };
        let mut rows = read(self.store.as_ref(), move |view| view.quarantined(&filter)).await?;
        let place = |row: &QuarantineRow| json!([row.collection, row.upstream, row.subject]).to_string();
        let next = cut_page(&mut rows, limit).map(place);
        Ok(Asides { quarantine: rows.iter().map(Aside::from).collect(), next })
    }

    /// Records of a collection after an id; with `asked` those that have it as their id, here or at an upstream,
    /// or as what records are matched by.
    pub async fn records(
        &self,
        name: String,
        after: String,
        limit: usize,
        asked: Option<String>,
    ) -> Result<Records, OpsError> {
        let rules = self.front.desk.standing().rules;
        let records = read(self.store.as_ref(), move |view| {
            let Some(collection) = rules.collections.get(&name) else { return Ok(None) };
            records(view, collection, &after, limit, asked.as_deref()).map(Some)
        });
        records.await?.ok_or_else(no_collection)
    }

    /// One record as every side has it: `after` is where a page of its history goes on.
    pub async fn record(&self, name: String, id: String, after: Option<i64>) -> Result<RecordView, OpsError> {
        let rules = self.front.desk.standing().rules;
        let found = read(self.store.as_ref(), move |view| {
            let Some(collection) = rules.collections.get(&name) else { return Ok(None) };
            record(view, collection, &RecordId(id), after).map(Some)
        });
        let view = found.await?.ok_or_else(no_collection)?;
        view.ok_or_else(|| OpsError::NotFound("no record of this id in the collection".to_owned()))
    }
}

/// Whether a pass of a collection that the daemon works on is one that runs: several do, side by side.
fn may_run(pass: &Pass, since: Option<&String>) -> bool {
    pass.ended_at.is_none() && pass.started_at.as_ref() >= since
}

fn runs(pass: &mut Pass) {
    "running".clone_into(&mut pass.outcome);
}

/// A page of history, and where the next one goes on.
fn lines(view: &dyn View, filter: HistoryFilter) -> Result<(Vec<Line>, Option<i64>), StoreError> {
    let mut rows = view.history(&HistoryFilter { limit: with_one_more(HISTORY_MAX), ..filter })?;
    let next = cut_page(&mut rows, HISTORY_MAX).map(|row| row.id);
    Ok((rows.iter().map(Line::from).collect(), next))
}

pub fn no_collection() -> OpsError {
    OpsError::NotFound("the rules have no such collection".to_owned())
}

fn records(
    view: &dyn View,
    collection: &Collection,
    after: &str,
    limit: usize,
    asked: Option<&str>,
) -> Result<Records, StoreError> {
    let name = &collection.name;
    let mut ids = match asked {
        // The table is not there before the first pass.
        _ if view.collection_key(name)?.is_none() => Vec::new(),
        Some(asked) => {
            let found = view.find_record(asked)?.into_iter().filter(|(of, _)| of == name).map(|(_, id)| id);
            let mut found: Vec<RecordId> = found.chain(by_match_key(view, collection, asked)?).collect();
            found.sort_unstable();
            found.dedup();
            found.retain(|id| id.0.as_str() > after);
            found
        }
        None => view.records_after(collection, after, with_one_more(limit))?,
    };
    let next = cut_page(&mut ids, limit).map(|id| id.0.clone());
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(slots) = view.row(collection, &id)? {
            rows.push(Row::of(collection, id, &slots));
        }
    }
    Ok(Records { collection: name.clone(), rows, next })
}

/// Records with this text in a field that alone is a match key, in the form that records are matched by.
fn by_match_key(view: &dyn View, collection: &Collection, asked: &str) -> Result<Vec<RecordId>, StoreError> {
    let Some(key) = view.collection_key(&collection.name)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (at, fields) in collection.match_keys.iter().enumerate() {
        let &[position] = fields.as_slice() else { continue };
        let Some(field) = collection.fields.get(position) else { continue };
        let Ok(value) = Value::from_column(&field.domain.ty, &Column::Text(asked.to_owned())) else { continue };
        let mut slots = vec![Slot::Absent; collection.fields.len()];
        if let Some(slot) = slots.get_mut(position) {
            *slot = Slot::Value(field.domain.canonical(&value));
        }
        let asked_for = merge::match_key_texts(collection, &slots);
        let Some(Some(text)) = asked_for.get(at) else { continue };
        for id in view.matching(key, at, text)? {
            // The index knows hashes only.
            let row = view.row(collection, &id)?.unwrap_or_default();
            let texts = merge::match_key_texts(collection, &row);
            if texts.get(at).is_some_and(|known| known.as_ref() == Some(text)) {
                found.push(id);
            }
        }
    }
    Ok(found)
}

/// The link that the record was inserted from: where everything came from that nobody changed since.
fn made(view: &dyn View, collection: &Collection, id: &RecordId) -> Result<Option<Provenance>, StoreError> {
    let links = view.links_of(id)?;
    for binding in &collection.bindings {
        let key = view.binding_key(&collection.name, &binding.upstream.name)?;
        let Some(made) = links.iter().find(|link| Some(link.binding) == key).and_then(|link| link.made) else {
            continue;
        };
        return Ok(Some(Provenance {
            field: String::new(),
            origin: binding.upstream.name.clone(),
            source_time: made.source_time.and_then(rfc3339),
            observed_at: rfc3339(made.observed_at),
            pass: made.pass,
            rule: "first_contact".to_owned(),
        }));
    }
    Ok(None)
}

fn record(
    view: &dyn View,
    collection: &Collection,
    id: &RecordId,
    after: Option<i64>,
) -> Result<Option<RecordView>, StoreError> {
    let Some(key) = view.collection_key(&collection.name)? else { return Ok(None) };
    let sides = gather(view, collection, id)?;
    let filter = HistoryFilter {
        collection: Some(collection.name.clone()),
        record: Some(id.clone()),
        before: after,
        ..HistoryFilter::default()
    };
    let (history, next) = lines(view, filter)?;
    if !sides.exists && sides.links.is_empty() && history.is_empty() {
        return Ok(None);
    }
    let mut provenance: Vec<Provenance> = view.origins(key, id)?.iter().map(Provenance::from).collect();
    if !provenance.iter().any(|one| one.field.is_empty()) {
        provenance.extend(made(view, collection, id)?);
    }
    Ok(Some(RecordView { sides, provenance, history, next }))
}
