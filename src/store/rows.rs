//! Owns: the rows that cross the store's contract, as plain data.
//!
//! Must not know: SQL, and what the engine's JSON texts mean.

use crate::merge::{IntentState, LinkState};
use crate::record::{RecordId, Value};

/// Microseconds since the epoch, UTC.
pub type Micros = i64;

/// A registered collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionKey(pub i64);
/// A registered (collection, upstream).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingKey(pub i64);
/// A registered mapping hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappingKey(pub i64);
/// A link's number, small and dense: what generation bitmaps hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub i64);

/// What the narrow table knows about a remote id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The link.
    pub link: LinkId,
    /// xxh3 of the raw bytes that the base was made from.
    pub fingerprint: u64,
    /// Its life.
    pub state: LinkState,
}

/// A link, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Its number.
    pub link: LinkId,
    /// Its binding.
    pub binding: BindingKey,
    /// The remote id.
    pub remote_id: String,
    /// The local record.
    pub record: RecordId,
    /// Its life.
    pub state: LinkState,
    /// The remote version at the base.
    pub version: Option<String>,
    /// The mapping under which the base was made.
    pub mapping: MappingKey,
    /// xxh3 of `raw`.
    pub fingerprint: u64,
    /// The raw observation that the base was made from; empty where nothing was ever read back.
    pub raw: Vec<u8>,
    /// The base's hub half where it is not `map(raw)`: a JSON object by field name (engine's own form).
    pub base_hub: Option<String>,
    /// The base's remote half where it is not `map(raw)`.
    pub base_remote: Option<String>,
    /// The record's own time of change at the observation.
    pub updated_at: Option<Micros>,
    /// When it was observed.
    pub observed_at: Micros,
    /// The pass that inserted the local record from this link, and the source's time then: the default provenance of its fields.
    pub made: Option<Made>,
}

impl LinkRow {
    /// Its raw observation is older than its base: a write was acknowledged since, and its answer did not show the record.
    /// Taken for what is there now, it would look as if somebody had undone the write.
    pub fn is_outdated(&self) -> bool {
        self.fingerprint == 0
    }
}

/// The insertion of a record from a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The pass.
    pub pass: i64,
    /// The source's own time.
    pub source_time: Option<Micros>,
    /// When it was observed.
    pub observed_at: Micros,
}

/// A link to be made.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    /// Its binding.
    pub binding: BindingKey,
    /// The remote id.
    pub remote_id: &'a str,
    /// The local record.
    pub record: &'a RecordId,
    /// Everything else.
    pub state: LinkUpdate<'a>,
    /// Set where the record was inserted from this link.
    pub made: Option<Made>,
}

/// A record that nobody knew, with everything that is stored of it at first contact.
#[derive(Clone, Debug)]
pub struct NewRecord<'a> {
    /// The row, one value per field.
    pub values: &'a [Value],
    /// Its link, which names it.
    pub link: NewLink<'a>,
    /// Its text per match key.
    pub match_texts: &'a [Option<String>],
    /// Leave a hint, so that it is decided on at the barrier.
    pub recheck: bool,
}

/// What a link knows.
#[derive(Clone, Debug)]
pub struct LinkUpdate<'a> {
    /// Its life.
    pub state: LinkState,
    /// The remote version.
    pub version: Option<&'a str>,
    /// The mapping.
    pub mapping: MappingKey,
    /// xxh3 of `raw`.
    pub fingerprint: u64,
    /// The raw observation.
    pub raw: &'a [u8],
    /// See [`LinkRow::base_hub`].
    pub base_hub: Option<&'a str>,
    /// See [`LinkRow::base_remote`].
    pub base_remote: Option<&'a str>,
    /// The record's own time of change.
    pub updated_at: Option<Micros>,
    /// When it was observed.
    pub observed_at: Micros,
}

/// A hint that a row was edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirty {
    /// Grows with every edit: a hint is cleared only if it is still the one that was read.
    pub seen: i64,
    /// The last operation.
    pub op: DirtyOp,
    /// When.
    pub at: Micros,
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirtyOp {
    /// Inserted by another program.
    Insert,
    /// Updated by another program.
    Update,
    /// Deleted by another program.
    Delete,
    /// The engine wants to look again (a new record to be created elsewhere, a write that must be derived again).
    Recheck,
}

/// Provenance of one field (`""`: the record's default).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRow {
    /// The field's name, or `""`.
    pub field: String,
    /// `local`, an upstream, `resolution`, `undo`.
    pub origin: String,
    /// The source's own time.
    pub source_time: Option<Micros>,
    /// When it was seen here.
    pub observed_at: Micros,
    /// The pass.
    pub pass: i64,
    /// The rule that decided.
    pub rule: String,
}

/// What was written over an upstream's own word, for one field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnsRow {
    /// The binding.
    pub binding: BindingKey,
    /// The field's name.
    pub field: String,
    /// JSON (engine's own form): the ring, oldest first.
    pub turns: String,
}

/// A staged observation: pulled, not decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Its binding.
    pub binding: BindingKey,
    /// The remote id.
    pub remote_id: String,
    /// The collection.
    pub collection: CollectionKey,
    /// The record, once known.
    pub record: Option<RecordId>,
    /// What was seen.
    pub kind: StagedKind,
    /// xxh3 of `raw`.
    pub fingerprint: u64,
    /// The raw bytes; empty for `Gone`, the other's id for `Merged`.
    pub raw: Vec<u8>,
    /// The version, from body or header.
    pub version: Option<String>,
    /// When it was fetched.
    pub observed_at: Micros,
    /// Why it waits, where it does.
    pub parked: Option<String>,
}

/// What a staged observation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StagedKind {
    /// A record as listed or read.
    Record,
    /// Deleted, with evidence.
    Gone(crate::merge::Evidence),
    /// Merged into the record whose remote id `raw` holds.
    Merged,
}

/// One line of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// Its number; 0 when new.
    pub id: i64,
    /// The pass.
    pub pass: i64,
    /// When.
    pub at: Micros,
    /// The collection.
    pub collection: String,
    /// The record.
    pub record: RecordId,
    /// The fields of the unit, comma-separated; `""` for the record's existence.
    pub field: String,
    /// `local`: the table changed; `push`: a remote write settled; `conflict`, `resolve`, `quarantine`, `link`.
    pub kind: String,
    /// Whose value.
    pub origin: String,
    /// At which upstream, for pushes.
    pub target: Option<String>,
    /// The rule that decided.
    pub rule: String,
    /// Canonical JSON before, if any.
    pub before: Option<String>,
    /// Canonical JSON after, if any.
    pub after: Option<String>,
    /// JSON array of losing candidates, and rules tried.
    pub detail: Option<String>,
}

/// Which history.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// Only this collection.
    pub collection: Option<String>,
    /// Only this record.
    pub record: Option<RecordId>,
    /// Only this field.
    pub field: Option<String>,
    /// Only this pass.
    pub pass: Option<i64>,
    /// Only lines with smaller numbers, for paging.
    pub before: Option<i64>,
    /// At most so many (0 means 1000).
    pub limit: usize,
}

/// A conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictRow {
    /// Its number; 0 when new.
    pub id: i64,
    /// The collection.
    pub collection: String,
    /// The record.
    pub record: RecordId,
    /// Field names, comma-separated, in collection order; `""` for existence.
    pub fields: String,
    /// `edit`, `oscillation`, `update_vs_delete`, `delete_queued`.
    pub kind: String,
    /// JSON (engine's own form): base values.
    pub base: Option<String>,
    /// JSON (engine's own form): candidates.
    pub candidates: String,
    /// JSON (engine's own form): a person's choice.
    pub resolution: Option<String>,
    /// The pass that opened it.
    pub pass: i64,
    /// When it was opened.
    pub opened_at: Micros,
    /// When and how it was closed.
    pub closed: Option<(Micros, String)>,
}

/// Which conflicts.
#[derive(Clone, Debug, Default)]
pub struct ConflictFilter {
    /// Only this number.
    pub id: Option<i64>,
    /// Only this collection.
    pub collection: Option<String>,
    /// Only this record.
    pub record: Option<RecordId>,
    /// Only what is about this field, alone or with others.
    pub field: Option<String>,
    /// Only numbers greater than this.
    pub after: Option<i64>,
    /// Closed ones as well.
    pub closed_too: bool,
    /// Only those with a choice that no pass has followed yet.
    pub resolved_only: bool,
    /// At most so many; 0 means all.
    pub limit: usize,
}

/// A remote write recorded before its first byte is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentRow {
    /// The operation id (UUID): idempotency key and name.
    pub key: String,
    /// The collection.
    pub collection: String,
    /// The upstream.
    pub upstream: String,
    /// Its binding.
    pub binding: BindingKey,
    /// The record.
    pub record: RecordId,
    /// The remote id; `None` for creates before their answer.
    pub remote_id: Option<String>,
    /// `create`, `update`, `delete`.
    pub op: String,
    /// How far it is.
    pub state: IntentState,
    /// SHA-256 (hex) over what is sent.
    pub payload_hash: String,
    /// JSON object by field name: the hub values sent (engine's own form).
    pub values: String,
    /// The version it was merged against.
    pub expected_version: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
    /// Not before.
    pub not_before: Option<Micros>,
    /// The pass that made it.
    pub pass: i64,
    /// When it was made.
    pub created_at: Micros,
    /// When it was last sent.
    pub sent_at: Option<Micros>,
    /// The upstream's words, or evidence.
    pub note: Option<String>,
    /// How often it was looked for, of unknown outcome, and not found.
    pub checks: u32,
    /// What is known of the job that took it up (shaped by `reconcile`).
    pub job: Option<String>,
}

/// A change of an intent.
#[derive(Clone, Debug)]
pub struct IntentUpdate {
    /// The new state.
    pub state: IntentState,
    /// The remote id, once known.
    pub remote_id: Option<String>,
    /// One more attempt was made, at this time.
    pub sent_at: Option<Micros>,
    /// Not before.
    pub not_before: Option<Micros>,
    /// Words.
    pub note: Option<String>,
    /// It was looked for once more, and not found.
    pub checked: bool,
    /// What is known of its job. Another attempt (`sent_at`) forgets what was known.
    pub job: Option<String>,
}

impl IntentUpdate {
    /// Nothing but the new state.
    pub fn to(state: IntentState) -> Self {
        Self { state, remote_id: None, sent_at: None, not_before: None, note: None, checked: false, job: None }
    }
}

/// Which intents.
#[derive(Clone, Debug, Default)]
pub struct IntentFilter {
    /// Only this collection.
    pub collection: Option<String>,
    /// Only this upstream.
    pub upstream: Option<String>,
    /// Only this record.
    pub record: Option<RecordId>,
    /// Only these states; empty means all.
    pub states: Vec<IntentState>,
    /// Keys greater than this, for paging (keys are ordered by time).
    pub after: Option<String>,
    /// At most so many (0 means 1000).
    pub limit: usize,
}

/// A record set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineRow {
    /// The collection.
    pub collection: String,
    /// The upstream.
    pub upstream: String,
    /// The local record id, or `remote:` + remote id.
    pub subject: String,
    /// Where: `pull`, `push`, `absence`, `match`, `fields`, `parked` (it waits for the record that it refers to), `hindered` (another
    /// record stands in the way of its write), `hindered_delete` (its delete waits for the records that refer to it).
    pub stage: String,
    /// Why, in the upstream's or the checker's words.
    pub reason: String,
    /// Hash of the inputs: it is tried again only when they change.
    pub inputs: String,
    /// Since when.
    pub since: Micros,
    /// The pass.
    pub pass: i64,
}

impl QuarantineRow {
    /// The stage of a delete that another record stands in the way of.
    pub const WAITING_DELETE: &'static str = "hindered_delete";

    /// Whether it waits for another record, and needs nobody to look at it.
    pub fn is_waiting(&self) -> bool {
        self.stage == "parked" || self.stage == Self::WAITING_DELETE
    }
}

/// Which quarantined records.
#[derive(Clone, Debug, Default)]
pub struct QuarantineFilter {
    /// Only this collection.
    pub collection: Option<String>,
    /// Only this upstream.
    pub upstream: Option<String>,
    /// Only this subject.
    pub subject: Option<String>,
    /// Only those after this one (collection, upstream, subject), for paging.
    pub after: Option<(String, String, String)>,
    /// At most so many (0 means 1000).
    pub limit: usize,
}

/// A database that is not the one that was worked on last: it was restored, copied, emptied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The epoch that began when it was noticed: what an acknowledgement is bound to. Empty where somebody only looks.
    pub epoch: String,
    /// Why, for people.
    pub reason: String,
    /// When it was noticed.
    pub noticed_at: Option<Micros>,
}

/// A tripped guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaltRow {
    /// Its number; 0 when new.
    pub id: i64,
    /// The collection.
    pub collection: String,
    /// The pass.
    pub pass: i64,
    /// SHA-256 over the plan: what an approval is bound to.
    pub fingerprint: String,
    /// JSON array of halts.
    pub halts: String,
    /// When.
    pub created_at: Micros,
    /// When a person approved it.
    pub approved_at: Option<Micros>,
    /// When it was over.
    pub closed_at: Option<Micros>,
}

/// One pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassRow {
    /// Its number; 0 when new.
    pub id: i64,
    /// The collection.
    pub collection: String,
    /// `once`, `schedule`, `signal`, …; [`PassRow::UNDO`].
    pub trigger: String,
    /// When it began.
    pub started_at: Micros,
    /// When it ended; `None` while it runs or when it was killed.
    pub ended_at: Option<Micros>,
    /// `ok`, `conflicts`, `halted`, `unavailable`, `failed`, `interrupted`.
    pub outcome: String,
    /// JSON counts (engine's own form).
    pub counts: String,
    /// The rule set.
    pub rules_hash: String,
    /// What went wrong, for people.
    pub error: Option<String>,
}

impl PassRow {
    /// The trigger of an undo, which stands among the passes, reads and writes at no upstream, and is no pass.
    pub const UNDO: &'static str = "undo";
}

/// Which passes.
#[derive(Clone, Debug, Default)]
pub struct PassFilter {
    /// Undos are left out.
    pub no_undos: bool,
    /// Only of this collection.
    pub collection: Option<String>,
    /// Only those that ended so.
    pub outcome: Option<String>,
    /// Only numbers smaller than this, for paging.
    pub before: Option<i64>,
    /// At most so many (0 means 1000).
    pub limit: usize,
}
