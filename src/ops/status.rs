//! Owns: how collections and upstreams stand, by what the store knows.
//!
//! Must not know: how it is shown; what a running daemon knows better.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::daemon::{Standing, is_paused, next_due};
use crate::merge::{IntentState, LinkState};
use crate::reconcile::{Phase, waits};
use crate::rules::{Collection, Ruleset, Schedule};
use crate::store::{
    CollectionKey, ConflictFilter, DirtyOp, IntentFilter, IntentRow, PassRow, QuarantineFilter, QuarantineRow,
    StoreError, View,
};

use super::halts::Halt;
use super::health::{Health, health};
use super::passes::phases;
use super::text::{raw, rfc3339};
use super::webhooks::{InboxStatus, inbox_status};

/// How many records that are set aside are listed per collection.
const ASIDE_MAX: usize = 20;
/// Beyond this, waiting things are not counted.
const COUNT_MAX: usize = 1_000;

#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct RestoredStatus {
    pub reason: String,
    /// RFC 3339; absent where no pass has noticed it yet.
    pub noticed_at: Option<String>,
    /// The collections that wait for a person.
    pub waiting: Vec<String>,
}

#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct CollectionStatus {
    pub collection: String,
    /// `every 300s`, a cron expression with its zone, or absent.
    pub schedule: Option<String>,
    /// RFC 3339.
    pub next_pass: Option<String>,
    /// When a pass next reads everything, RFC 3339; absent where the rules do not say so, before the first pass, and while it is paused.
    pub next_full_scan: Option<String>,
    /// It rests until `reconciled resume`.
    pub paused: bool,
    /// The one that ended last, or has just begun.
    pub last_pass: Option<LastPass>,
    pub records: u64,
    pub links: Vec<LinkCount>,
    /// Local edits that no pass has looked at, counted up to 1000.
    pub edits_waiting: usize,
    /// Writes that are not settled, counted up to 1000.
    pub writes_waiting: usize,
    /// The first of them whose outcome is not known, and is not being waited for.
    pub unknown: Vec<Unknown>,
    pub conflicts_open: usize,
    /// Records set aside, counted up to 1000.
    pub quarantined: usize,
    /// Records that wait for another, counted up to 1000.
    pub parked: usize,
    /// The first of both.
    pub quarantine: Vec<Aside>,
}

/// A write that may have been done.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Unknown {
    pub record: String,
    pub upstream: String,
    pub op: String,
    /// RFC 3339.
    pub sent_at: Option<String>,
    pub note: Option<String>,
}

#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct LastPass {
    pub id: i64,
    pub trigger: String,
    pub started_at: Option<String>,
    /// Absent while it runs, or where it was killed.
    pub ended_at: Option<String>,
    pub outcome: String,
    pub error: Option<String>,
    /// Upstreams that could not be read or written in it.
    pub unavailable: Vec<Unavailable>,
    /// When its phases began and how long they took; none while it runs.
    #[serde(default)]
    pub phases: Vec<Phase>,
}

#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Unavailable {
    pub upstream: String,
    pub error: String,
}

#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
pub struct LinkCount {
    pub upstream: String,
    pub live: u64,
    pub deleted: u64,
    pub detached: u64,
    pub out_of_scope: u64,
    pub archived: u64,
}

#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Aside {
    pub upstream: String,
    /// The local id, or `remote:` and the remote id.
    pub subject: String,
    pub stage: String,
    pub reason: String,
    pub since: Option<String>,
}

#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct UpstreamStatus {
    pub upstream: String,
    /// The engine's own state; absent before the first contact.
    pub state: Option<Box<RawValue>>,
    /// Whether it is up, and how it answers; absent before the first contact.
    pub health: Option<Health>,
}

/// How everything stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct Known {
    pub collections: Vec<CollectionStatus>,
    /// Those that wait for a person.
    pub halts: Vec<Halt>,
    pub upstreams: Vec<UpstreamStatus>,
    /// The database was restored or copied, and not every collection has gone on since.
    pub restored: Option<RestoredStatus>,
    pub webhooks: InboxStatus,
}

/// How everything stands, with all of it counted. `daemon`: the one that runs, where it is the one that asks.
pub fn known(
    view: &dyn View,
    rules: &Ruleset,
    now: DateTime<Utc>,
    daemon: Option<&Standing>,
) -> Result<Known, StoreError> {
    let collections = rules.in_order().into_iter().map(|one| {
        let sends_since = daemon.and_then(|daemon| daemon.sends_since(&one.name));
        status_with(view, one, count(view, one, u64::MAX)?, (now, sends_since))
    });
    Ok(Known {
        collections: collections.collect::<Result<_, _>>()?,
        halts: view.halts(None, true)?.iter().map(Halt::from).collect(),
        upstreams: upstreams(view, rules, now)?,
        restored: restored(view, rules)?,
        webhooks: inbox_status(view)?,
    })
}

/// Records and links of a collection.
#[derive(Clone, Debug)]
pub struct Counted {
    pub records: u64,
    pub links: Vec<LinkCount>,
    /// False where counting ended before the end.
    pub is_whole: bool,
}

/// The restore that collections wait for a person about.
fn restored(view: &dyn View, rules: &Ruleset) -> Result<Option<RestoredStatus>, StoreError> {
    let mut found: Option<RestoredStatus> = None;
    for name in rules.collections.keys() {
        let Some(restored) = waits(view, name)? else { continue };
        let status = found.get_or_insert_with(|| RestoredStatus {
            reason: restored.reason,
            noticed_at: restored.noticed_at.and_then(rfc3339),
            waiting: Vec::new(),
        });
        status.waiting.push(name.clone());
    }
    Ok(found)
}

/// What is known of each upstream.
pub fn upstreams(view: &dyn View, rules: &Ruleset, now: DateTime<Utc>) -> Result<Vec<UpstreamStatus>, StoreError> {
    rules
        .upstreams
        .iter()
        .map(|(name, upstream)| {
            let state = view.upstream_state(name)?.as_deref().and_then(raw);
            Ok(UpstreamStatus { upstream: name.clone(), state, health: health(view, upstream, now)? })
        })
        .collect()
}

/// Counts records and links, no further than `most` of each kind: a million of them take seconds where disks are slow.
pub fn count(view: &dyn View, collection: &Collection, most: u64) -> Result<Counted, StoreError> {
    let name = &collection.name;
    // The table is not there before the first pass.
    let is_there = view.collection_key(name)?.is_some();
    let records = match (is_there, most) {
        (false, _) => 0,
        (true, u64::MAX) => view.row_count(collection)?,
        (true, most) => view.rows_up_to(collection, most)?,
    };
    let mut counted = Counted { records, links: Vec::new(), is_whole: records < most };
    for binding in &collection.bindings {
        let upstream = binding.upstream.name.clone();
        let Some(key) = view.binding_key(name, &upstream)? else { continue };
        let counts = view.link_counts(key, most)?;
        let of = |state| counts.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
        counted.is_whole &= counts.iter().map(|(_, count)| count).sum::<u64>() < most;
        counted.links.push(LinkCount {
            live: of(LinkState::Live),
            deleted: of(LinkState::Deleted),
            detached: of(LinkState::Detached),
            out_of_scope: of(LinkState::OutOfScope),
            archived: of(LinkState::Archived),
            upstream,
        });
    }
    Ok(counted)
}

/// How a collection stands, with what was counted of it. With the moment since when writes may be under way: what was sent
/// after it by a pass that runs is waited for.
pub fn status_with(
    view: &dyn View,
    collection: &Collection,
    counted: Counted,
    (now, sends_since): (DateTime<Utc>, Option<DateTime<Utc>>),
) -> Result<CollectionStatus, StoreError> {
    let name = &collection.name;
    let key = view.collection_key(name)?;
    let conflicts = ConflictFilter { collection: Some(name.clone()), ..ConflictFilter::default() };
    let intents = IntentFilter { collection: Some(name.clone()), limit: COUNT_MAX, ..IntentFilter::default() };
    let states = IntentState::OPEN.to_vec();
    let unknown = IntentFilter { collection: Some(name.clone()), states, limit: COUNT_MAX, ..IntentFilter::default() };
    let unknown = view.intents(&unknown)?.into_iter().filter(|write| !is_under_way(write, sends_since));
    let aside = QuarantineFilter { collection: Some(name.clone()), limit: COUNT_MAX, ..QuarantineFilter::default() };
    let aside = view.quarantined(&aside)?;
    let parked = aside.iter().filter(|row| row.is_waiting()).count();
    let (paused, last) = (is_paused(view, name)?, view.last_pass(name)?);
    let began = last.as_ref().and_then(|pass| DateTime::from_timestamp_micros(pass.started_at));
    let next = collection.schedule.as_ref().and_then(|schedule| next_due(schedule, began, now));
    let full = view.last_full_scan(name)?.and_then(DateTime::from_timestamp_micros);
    let full = collection.full_scan.as_ref().zip(full).and_then(|(schedule, last)| next_due(schedule, Some(last), now));
    let shown =
        |at: Option<DateTime<Utc>>| at.filter(|_| !paused).map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    Ok(CollectionStatus {
        collection: name.clone(),
        schedule: collection.schedule.as_ref().map(schedule_text),
        next_pass: shown(next),
        next_full_scan: shown(full),
        paused,
        last_pass: last.as_ref().map(|row| last_pass(view, row)).transpose()?,
        records: counted.records,
        links: counted.links,
        edits_waiting: key.map_or(Ok(0), |key| edits_waiting(view, key))?,
        writes_waiting: view.intents(&intents)?.len(),
        unknown: unknown.take(ASIDE_MAX).map(Unknown::from).collect(),
        conflicts_open: usize::try_from(view.conflict_count(&conflicts)?.0).unwrap_or(usize::MAX),
        quarantined: aside.len() - parked,
        parked,
        quarantine: aside.iter().take(ASIDE_MAX).map(Aside::from).collect(),
    })
}

/// Whether a write that was sent is waited for by a pass that runs, in a daemon that has run since then.
pub fn is_under_way(write: &IntentRow, sends_since: Option<DateTime<Utc>>) -> bool {
    let since = sends_since.map(|since| since.timestamp_micros());
    write.state == IntentState::Sent && write.sent_at.zip(since).is_some_and(|(sent, since)| sent >= since)
}

fn last_pass(view: &dyn View, row: &PassRow) -> Result<LastPass, StoreError> {
    Ok(LastPass { phases: phases(view, row.id)?, ..LastPass::from(row) })
}

/// Hints that the engine left for itself are no edits.
fn edits_waiting(view: &dyn View, key: CollectionKey) -> Result<usize, StoreError> {
    let hints = view.dirty_after(key, "", COUNT_MAX)?;
    Ok(hints.iter().filter(|(_, hint)| hint.op != DirtyOp::Recheck).count())
}

fn schedule_text(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Every(every) => format!("every {}s", every.as_secs()),
        Schedule::Cron { expression, timezone } => format!("{expression} {timezone}"),
    }
}

impl From<&PassRow> for LastPass {
    fn from(row: &PassRow) -> Self {
        Self {
            id: row.id,
            trigger: row.trigger.clone(),
            started_at: rfc3339(row.started_at),
            ended_at: row.ended_at.and_then(rfc3339),
            outcome: row.outcome.clone(),
            error: row.error.clone(),
            unavailable: unavailable(&row.counts),
            phases: Vec::new(),
        }
    }
}

/// The errors of upstreams, out of the counts that a pass leaves behind.
pub fn unavailable(counts: &str) -> Vec<Unavailable> {
    let counts: serde_json::Value = serde_json::from_str(counts).unwrap_or_default();
    let upstreams = counts.get("upstreams").and_then(serde_json::Value::as_array);
    let text = |of: &serde_json::Value, name: &str| Some(of.get(name)?.as_str()?.to_owned());
    let one = |of: &serde_json::Value| Some(Unavailable { upstream: text(of, "upstream")?, error: text(of, "error")? });
    upstreams.into_iter().flatten().filter_map(one).collect()
}

impl From<&QuarantineRow> for Aside {
    fn from(row: &QuarantineRow) -> Self {
        Self {
            upstream: row.upstream.clone(),
            subject: row.subject.clone(),
            stage: row.stage.clone(),
            reason: row.reason.clone(),
            since: rfc3339(row.since),
        }
    }
}

impl From<IntentRow> for Unknown {
    fn from(row: IntentRow) -> Self {
        Self {
            record: row.record.0,
            upstream: row.upstream,
            op: row.op,
            sent_at: row.sent_at.and_then(rfc3339),
            note: row.note,
        }
    }
}
