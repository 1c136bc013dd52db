//! Owns: what pages and API show, gathered from the store and the loop.
//!
//! Must not know: HTML, HTTP.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::daemon::{Place, Standing};
use crate::ops::{
    CollectionStatus, Conflict, Halt, OpsError, Sides, UpstreamStatus, collection_status, gather, list_conflicts, raw,
    rfc3339, upstreams as states,
};
use crate::record::{RecordId, Slot};
use crate::rules::Collection;
use crate::store::{
    ConflictFilter, HistoryFilter, HistoryRow, OriginRow, PassRow, QuarantineFilter, QuarantineRow, StoreError, View,
    read,
};

use super::site::Site;

/// Lines of history that are shown with a pass or a record.
const HISTORY_MAX: usize = 200;
/// Items of a list where nobody says how many.
pub const LIST_DEFAULT: usize = 50;
/// Items of a list at most.
pub const LIST_MAX: usize = 500;

/// How a collection stands, by store and loop.
#[derive(Debug, Serialize)]
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

/// A pass.
#[derive(Debug, Serialize)]
pub struct Pass {
    /// Its number.
    pub id: i64,
    /// The collection.
    pub collection: String,
    /// `schedule`, `signal`, `request`, `edit`, …
    pub trigger: String,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339; absent while it runs, or where it was killed.
    pub ended_at: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// What went wrong.
    pub error: Option<String>,
    /// What it counted.
    pub counts: Option<Box<RawValue>>,
}

/// A pass with what it did.
#[derive(Debug, Serialize)]
pub struct PassView {
    /// The pass.
    pub pass: Pass,
    /// Newest first.
    pub history: Vec<Line>,
}

/// A line of history.
#[derive(Debug, Serialize)]
pub struct Line {
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
#[derive(Debug, Serialize)]
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

/// A page of records.
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its local id.
    pub id: String,
    /// By field; what cannot be read is absent.
    pub fields: BTreeMap<String, Option<Box<RawValue>>>,
}

/// A record as every side has it, with where each value came from.
#[derive(Debug, Serialize)]
pub struct RecordView {
    /// The sides.
    pub sides: Sides,
    /// By field; `""` for all others.
    pub provenance: Vec<Provenance>,
    /// Newest first.
    pub history: Vec<Line>,
}

/// Where a value came from.
#[derive(Debug, Serialize)]
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
        let next = place.and_then(|place| place.next).map(|next| next.to_rfc3339_opts(SecondsFormat::Secs, true));
        Self {
            running: place.is_some_and(|place| place.running),
            waiting: place.is_some_and(|place| place.waiting),
            doing: place.and_then(|place| place.doing.clone()),
            halts,
            status: CollectionStatus { next_pass: next.filter(|_| !status.paused), ..status },
        }
    }
}

impl From<&PassRow> for Pass {
    fn from(row: &PassRow) -> Self {
        Self {
            id: row.id,
            collection: row.collection.clone(),
            trigger: row.trigger.clone(),
            started_at: rfc3339(row.started_at),
            ended_at: row.ended_at.and_then(rfc3339),
            outcome: row.outcome.clone(),
            error: row.error.clone(),
            counts: raw(&row.counts),
        }
    }
}

impl From<&HistoryRow> for Line {
    fn from(row: &HistoryRow) -> Self {
        Self {
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
        let views = read(self.store.as_ref(), move |view| {
            let one = |place: &Place| {
                let Some(collection) = standing.rules.collections.get(&place.collection) else { return Ok(None) };
                let halts = view.halts(Some(&place.collection), true)?.len();
                Ok(Some(CollectionView::new(collection_status(view, collection, now)?, &standing, halts)))
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
    pub async fn passes(&self, collection: Option<String>, limit: usize) -> Result<Vec<Pass>, OpsError> {
        let rows = read(self.store.as_ref(), move |view| view.passes(collection.as_deref(), limit)).await?;
        Ok(rows.iter().map(Pass::from).collect())
    }

    /// One pass, with what it did.
    pub async fn pass(&self, id: i64) -> Result<PassView, OpsError> {
        let filter = HistoryFilter { pass: Some(id), limit: HISTORY_MAX, ..HistoryFilter::default() };
        let found = read(self.store.as_ref(), move |view| Ok((view.pass(id)?, view.history(&filter)?))).await?;
        let (Some(pass), history) = found else { return Err(OpsError::NotFound(format!("no pass {id}"))) };
        Ok(PassView { pass: Pass::from(&pass), history: history.iter().map(Line::from).collect() })
    }

    /// Conflicts: open ones, or all.
    pub async fn conflicts(&self, collection: Option<String>, all: bool) -> Result<Vec<Conflict>, OpsError> {
        let filter = ConflictFilter { collection, closed_too: all, ..ConflictFilter::default() };
        Ok(read(self.store.as_ref(), move |view| list_conflicts(view, &filter)).await?)
    }

    /// One conflict.
    pub async fn conflict(&self, id: i64) -> Result<Conflict, OpsError> {
        let filter = ConflictFilter { id: Some(id), closed_too: true, ..ConflictFilter::default() };
        let mut found = read(self.store.as_ref(), move |view| list_conflicts(view, &filter)).await?;
        found.pop().ok_or_else(|| OpsError::NotFound(format!("no conflict {id}")))
    }

    /// Halts that wait for approval, or wait for the pass after it.
    pub async fn halts(&self) -> Result<Vec<Halt>, OpsError> {
        let rows = read(self.store.as_ref(), |view| view.halts(None, true)).await?;
        Ok(rows.iter().map(Halt::from).collect())
    }

    /// Records that are set aside, or wait.
    pub async fn quarantine(&self, collection: Option<String>, limit: usize) -> Result<Vec<Aside>, OpsError> {
        let filter = QuarantineFilter { collection, limit, ..QuarantineFilter::default() };
        let rows = read(self.store.as_ref(), move |view| view.quarantined(&filter)).await?;
        Ok(rows.iter().map(Aside::from).collect())
    }

    /// What is known of each upstream.
    pub async fn upstreams(&self) -> Result<Vec<UpstreamStatus>, OpsError> {
        let (rules, now) = (self.front.desk.standing().rules, self.front.clock.now());
        Ok(read(self.store.as_ref(), move |view| states(view, &rules, now)).await?)
    }

    /// Records of a collection after an id; with `asked` those that have it as their id, here or at an upstream.
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

    /// One record as every side has it.
    pub async fn record(&self, name: String, id: String) -> Result<RecordView, OpsError> {
        let rules = self.front.desk.standing().rules;
        let found = read(self.store.as_ref(), move |view| {
            let Some(collection) = rules.collections.get(&name) else { return Ok(None) };
            record(view, collection, &RecordId(id)).map(Some)
        });
        let view = found.await?.ok_or_else(no_collection)?;
        view.ok_or_else(|| OpsError::NotFound("no record of this id in the collection".to_owned()))
    }
}

fn no_collection() -> OpsError {
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
            let found = view.find_record(asked)?.into_iter();
            found.filter(|(of, id)| of == name && id.0.as_str() > after).map(|(_, id)| id).collect()
        }
        None => view.records_after(collection, after, limit + 1)?,
    };
    let more = ids.len() > limit;
    ids.truncate(limit);
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(slots) = view.row(collection, &id)? {
            rows.push(Row::of(collection, id, &slots));
        }
    }
    let next = rows.last().filter(|_| more).map(|row| row.id.clone());
    Ok(Records { collection: name.clone(), rows, next })
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

fn record(view: &dyn View, collection: &Collection, id: &RecordId) -> Result<Option<RecordView>, StoreError> {
    let Some(key) = view.collection_key(&collection.name)? else { return Ok(None) };
    let sides = gather(view, collection, id)?;
    let filter = HistoryFilter {
        collection: Some(collection.name.clone()),
        record: Some(id.clone()),
        limit: HISTORY_MAX,
        ..HistoryFilter::default()
    };
    let history: Vec<Line> = view.history(&filter)?.iter().map(Line::from).collect();
    if !sides.exists && sides.links.is_empty() && history.is_empty() {
        return Ok(None);
    }
    let mut provenance: Vec<Provenance> = view.origins(key, id)?.iter().map(Provenance::from).collect();
    if !provenance.iter().any(|one| one.field.is_empty()) {
        provenance.extend(made(view, collection, id)?);
    }
    Ok(Some(RecordView { sides, provenance, history }))
}
