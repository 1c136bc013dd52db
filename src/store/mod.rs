//! Owns: the contract of durable state: what can be read ([`View`]) and written ([`Tx`]) and how jobs reach it ([`Store`]).
//!
//! Must not know: HTTP, which policy decides, when passes run. `sqlite` is the one implementation so far.

mod health;
mod hook;
mod rows;
mod sqlite;
mod usage;

#[cfg(test)]
mod contract;

pub use health::*;
pub use hook::*;
pub use rows::*;
pub use sqlite::{
    Contents, Epoch, Exam, Flaw, Mending, Mode, OpenOptions, SqliteStore, Subject, back_up, examine, lock_holder,
    repair, restore, space, upstream_states, verify,
};
pub use usage::*;

use std::path::Path;

use futures_util::future::BoxFuture;

use crate::record::{RecordId, Slot, Value};
use crate::rules::{Collection, Ruleset};

/// A read job: runs on a thread that may block, inside one snapshot.
pub type ReadJob = Box<dyn FnOnce(&dyn View) -> Result<(), StoreError> + Send>;
/// A write job: runs inside one transaction; an `Err` rolls that job back whole and leaves other jobs alone.
pub type WriteJob = Box<dyn FnOnce(&mut dyn Tx) -> Result<(), StoreError> + Send>;

/// Durable state. Jobs are closures, so that a decision and what it was decided on share a transaction.
pub trait Store: Send + Sync {
    /// Runs `job` in a read snapshot.
    fn read_job(&self, job: ReadJob) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Runs `job` in a write transaction of its own. When the future resolves, it is durable or rolled back.
    fn write_job(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Like [`Store::write_job`] for small jobs: may share one commit (and its fsync) with others that wait; each still rolls back alone.
    fn write_small(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Like [`Store::write_job`] for what can be fetched again: atomic and safe from a killed process at once, but a power
    /// failure may take it back (whole, with everything written after it) until the next other write is durable.
    fn write_relaxed(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Copies the whole store into a new file, consistent, without blocking writers for long (dry runs, backups).
    fn copy_to<'a>(&'a self, target: &'a Path) -> BoxFuture<'a, Result<(), StoreError>>;
    /// The process is to end: from now on nothing waits for locks of other programs; what needs one fails as busy.
    fn hurry(&self) {}
}

/// Runs a read job that returns something.
pub async fn read<R: Send + 'static>(
    store: &dyn Store,
    job: impl FnOnce(&dyn View) -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    let (give, take) = std::sync::mpsc::sync_channel(1);
    store
        .read_job(Box::new(move |view| {
            give.send(job(view)?).ok();
            Ok(())
        }))
        .await?;
    take.try_recv().map_err(|_gone| StoreError::Closed)
}

/// Runs a write job that returns something.
pub async fn write<R: Send + 'static>(
    store: &dyn Store,
    job: impl FnOnce(&mut dyn Tx) -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    let (give, take) = std::sync::mpsc::sync_channel(1);
    store
        .write_job(Box::new(move |tx| {
            give.send(job(tx)?).ok();
            Ok(())
        }))
        .await?;
    take.try_recv().map_err(|_gone| StoreError::Closed)
}

/// Runs a relaxed write job that returns something.
pub async fn write_relaxed<R: Send + 'static>(
    store: &dyn Store,
    job: impl FnOnce(&mut dyn Tx) -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    let (give, take) = std::sync::mpsc::sync_channel(1);
    store
        .write_relaxed(Box::new(move |tx| {
            give.send(job(tx)?).ok();
            Ok(())
        }))
        .await?;
    take.try_recv().map_err(|_gone| StoreError::Closed)
}

/// Runs a write job that says itself whether its transaction is kept; rolled back or not, it returns what it found.
pub async fn write_if<R: Send + 'static>(
    store: &dyn Store,
    job: impl FnOnce(&mut dyn Tx) -> Result<(R, bool), StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    let (give, take) = std::sync::mpsc::sync_channel(1);
    let done = store
        .write_job(Box::new(move |tx| {
            let (result, keep) = job(tx)?;
            give.send(result).ok();
            if keep { Ok(()) } else { Err(StoreError::Abandoned) }
        }))
        .await;
    match done {
        Ok(()) | Err(StoreError::Abandoned) => take.try_recv().map_err(|_gone| StoreError::Closed),
        Err(error) => Err(error),
    }
}

/// Runs a small write job that returns something and may share its commit.
pub async fn write_small<R: Send + 'static>(
    store: &dyn Store,
    job: impl FnOnce(&mut dyn Tx) -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    let (give, take) = std::sync::mpsc::sync_channel(1);
    store
        .write_small(Box::new(move |tx| {
            give.send(job(tx)?).ok();
            Ok(())
        }))
        .await?;
    take.try_recv().map_err(|_gone| StoreError::Closed)
}

/// What can be read. Lists are bounded by an explicit limit and ordered, so that the same store gives the same answers.
pub trait View {
    // -- links --
    /// For each remote id, in order: what is known, if anything. The hot path: one narrow lookup each.
    fn known(&self, binding: BindingKey, remote_ids: &[&str]) -> Result<Vec<Option<Known>>, StoreError>;
    /// One link, whole.
    fn link(&self, link: LinkId) -> Result<Option<LinkRow>, StoreError>;
    /// All links of a record, by binding.
    fn links_of(&self, record: &RecordId) -> Result<Vec<LinkRow>, StoreError>;
    /// Links of a binding in a state.
    fn link_count(&self, binding: BindingKey, state: crate::merge::LinkState) -> Result<u64, StoreError>;
    /// How many links of each state that is met a binding has, counted no further than `most` links in all.
    fn link_counts(&self, binding: BindingKey, most: u64) -> Result<Vec<(crate::merge::LinkState, u64)>, StoreError>;
    /// How many links of a state, counted no further than `most`: what is asked is only whether there are so many.
    fn links_up_to(&self, binding: BindingKey, state: crate::merge::LinkState, most: u64) -> Result<u64, StoreError>;
    /// Live links of a binding with remote ids greater than `after`, in remote id order, narrow.
    fn live_links(&self, binding: BindingKey, after: &str, limit: usize) -> Result<Vec<(String, LinkId)>, StoreError>;
    /// Records that a pass inserted from a link, by links with greater numbers than `after`, in their order. Looks at every link.
    fn made_in(&self, pass: i64, after: LinkId, limit: usize) -> Result<Vec<(LinkId, RecordId)>, StoreError>;
    /// Links of a binding, live or out of scope, that were made under a mapping other than `mapping`, by link id greater
    /// than `after`.
    fn links_not_under(
        &self,
        binding: BindingKey,
        mapping: MappingKey,
        after: i64,
        limit: usize,
    ) -> Result<Vec<LinkRow>, StoreError>;

    // -- local rows --
    /// The row, one slot per field (`Bad` where another program left what the type forbids; never `Absent`).
    fn row(&self, collection: &Collection, record: &RecordId) -> Result<Option<Vec<Slot>>, StoreError>;
    /// The number of rows.
    fn row_count(&self, collection: &Collection) -> Result<u64, StoreError>;
    /// The same, counted no further than `most`.
    fn rows_up_to(&self, collection: &Collection, most: u64) -> Result<u64, StoreError>;
    /// Records with ids greater than `after`, in their order.
    fn records_after(&self, collection: &Collection, after: &str, limit: usize) -> Result<Vec<RecordId>, StoreError>;
    /// Records whose `field`, a ref, points to a record; in record order.
    fn referring(
        &self,
        collection: &Collection,
        field: usize,
        to: &RecordId,
        limit: usize,
    ) -> Result<Vec<RecordId>, StoreError>;
    /// Records whose match index has this text under this key of the collection (candidates; compare before trusting).
    fn matching(&self, collection: CollectionKey, key: usize, text: &str) -> Result<Vec<RecordId>, StoreError>;
    /// The hint about local edits of a record.
    fn dirty(&self, collection: CollectionKey, record: &RecordId) -> Result<Option<Dirty>, StoreError>;
    /// Hints in record order.
    fn dirty_after(
        &self,
        collection: CollectionKey,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(RecordId, Dirty)>, StoreError>;
    /// The number of the newest hint that tells of an edit (not of a second look); 0 where there is none.
    fn newest_edit(&self, collection: CollectionKey) -> Result<i64, StoreError>;
    /// Provenance of a record: per field name, `""` for the default of the whole record.
    fn origins(&self, collection: CollectionKey, record: &RecordId) -> Result<Vec<OriginRow>, StoreError>;

    /// The rings of what was written over an upstream's own word, by binding and field.
    fn turns(&self, record: &RecordId) -> Result<Vec<TurnsRow>, StoreError>;

    // -- staging --
    /// One staged observation.
    fn staged(&self, binding: BindingKey, remote_id: &str) -> Result<Option<Staged>, StoreError>;
    /// Staged observations of a record.
    fn staged_of(&self, collection: CollectionKey, record: &RecordId) -> Result<Vec<Staged>, StoreError>;
    /// Staged observations that belong to no record yet, by remote id greater than `after`.
    fn staged_unmatched(&self, binding: BindingKey, after: &str, limit: usize) -> Result<Vec<Staged>, StoreError>;
    /// Staged observations that belong to a record, by remote id greater than `after`.
    fn staged_matched(&self, binding: BindingKey, after: &str, limit: usize) -> Result<Vec<Staged>, StoreError>;
    /// Staged observations of records that were merged into others, by remote id greater than `after`.
    fn staged_merged(&self, binding: BindingKey, after: &str, limit: usize) -> Result<Vec<Staged>, StoreError>;
    /// Staged observations made before a moment, by remote id greater than `after`; `raw` is left empty.
    fn staged_before(
        &self,
        binding: BindingKey,
        before: Micros,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Staged>, StoreError>;
    /// How many observations are staged for a binding, parked ones included.
    fn staged_count(&self, binding: BindingKey) -> Result<u64, StoreError>;
    /// Records that need a decision: dirty, staged, with a resolution waiting or an intent outstanding; distinct, ordered, greater than `after`.
    fn candidates(&self, collection: CollectionKey, after: &str, limit: usize) -> Result<Vec<RecordId>, StoreError>;
    /// No more records than this need a decision, those that are staged and belong to no record yet included.
    fn candidates_at_most(&self, collection: CollectionKey) -> Result<u64, StoreError>;

    // -- state of the engine --
    /// The registered key of a collection, `None` before its first pass.
    fn collection_key(&self, name: &str) -> Result<Option<CollectionKey>, StoreError>;
    /// The registered key of a binding.
    fn binding_key(&self, collection: &str, upstream: &str) -> Result<Option<BindingKey>, StoreError>;
    /// The engine's own state text of a binding's cursor (JSON, shaped by `reconcile`).
    fn cursor(&self, binding: BindingKey) -> Result<Option<String>, StoreError>;
    /// For each parent of a binding that is read parent by parent, in order: the engine's own state text of the listing under it.
    fn parent_cursors(&self, binding: BindingKey, parents: &[&str]) -> Result<Vec<Option<String>>, StoreError>;
    /// Parents that have such a text and no live link at the binding `of`, by remote id greater than `after`.
    fn parents_gone(
        &self,
        binding: BindingKey,
        of: BindingKey,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError>;
    /// A note of the engine's own (JSON, shaped by `reconcile`).
    fn note(&self, name: &str) -> Result<Option<String>, StoreError>;
    /// The name under which a mapping was registered.
    fn mapping(&self, mapping: MappingKey) -> Result<Option<String>, StoreError>;
    /// Why the database is not the one that was worked on last, where it was restored or copied.
    fn restored(&self) -> Result<Option<Restored>, StoreError>;
    /// The engine's own state text of an upstream (JSON, shaped by `reconcile`).
    fn upstream_state(&self, upstream: &str) -> Result<Option<String>, StoreError>;
    /// Open conflicts, or all; newest last.
    fn conflicts(&self, filter: &ConflictFilter) -> Result<Vec<ConflictRow>, StoreError>;
    /// How many match, whatever the filter's limit, and the greatest number among them (0 where there is none).
    fn conflict_count(&self, filter: &ConflictFilter) -> Result<(u64, i64), StoreError>;
    /// Intents by collection, record or state, in the order of their creation.
    fn intents(&self, filter: &IntentFilter) -> Result<Vec<IntentRow>, StoreError>;
    /// Records set aside.
    fn quarantined(&self, filter: &QuarantineFilter) -> Result<Vec<QuarantineRow>, StoreError>;
    /// Halts that wait for approval, or all of a collection.
    fn halts(&self, collection: Option<&str>, open_only: bool) -> Result<Vec<HaltRow>, StoreError>;
    /// When the last full scan of a collection that went well began; where there was none, when its first pass did.
    fn last_full_scan(&self, collection: &str) -> Result<Option<Micros>, StoreError>;
    /// Passes and undos, newest first.
    fn list_passes(&self, filter: &PassFilter) -> Result<Vec<PassRow>, StoreError>;
    /// The newest passes, of a collection or of all, without undos.
    fn passes(&self, collection: Option<&str>, limit: usize) -> Result<Vec<PassRow>, StoreError> {
        let collection = collection.map(str::to_owned);
        self.list_passes(&PassFilter { no_undos: true, collection, limit, ..PassFilter::default() })
    }
    /// The pass of a collection that ended last, whichever began last: passes run side by side. The newest, where that has not
    /// ended. Undos are none.
    fn last_pass(&self, collection: &str) -> Result<Option<PassRow>, StoreError>;
    /// The pass of this number.
    fn pass(&self, id: i64) -> Result<Option<PassRow>, StoreError>;
    /// When its phases began and how long they took (JSON, shaped by `reconcile`), while that is kept: of the newest passes.
    fn phases(&self, pass: i64) -> Result<Option<String>, StoreError>;
    /// History, newest first.
    fn history(&self, filter: &HistoryFilter) -> Result<Vec<HistoryRow>, StoreError>;
    /// The number of the newest webhook about a collection that waits; 0 where none does.
    fn newest_hook(&self, collection: &str) -> Result<i64, StoreError>;
    /// Webhooks that were taken in, newest first.
    fn hooks(&self, filter: &HookFilter) -> Result<Vec<HookRow>, StoreError>;
    /// How many stand so.
    fn hook_count(&self, state: HookState) -> Result<u64, StoreError>;
    /// The collections and upstreams that webhooks wait for.
    fn hook_places(&self) -> Result<Vec<(String, String)>, StoreError>;
    /// What was asked of upstreams (or of one) from a day on, by day and upstream.
    fn usage(&self, upstream: Option<&str>, from_day: i64) -> Result<Vec<UsageRow>, StoreError>;
    /// Whether an upstream is up, where that is known.
    fn health(&self, upstream: &str) -> Result<Option<HealthRow>, StoreError>;
    /// How long an upstream's answers took, from a time on (in seconds), the oldest first.
    fn latency(&self, upstream: &str, grain: Grain, from: i64) -> Result<Vec<LatencyRow>, StoreError>;
    /// Finds a record by its local id, or by a remote id at any binding: (collection, record).
    fn find_record(&self, id: &str) -> Result<Vec<(String, RecordId)>, StoreError>;
}

/// What can be written, inside one transaction. Nothing here raises a local-edit hint.
pub trait Tx: View {
    /// Makes tables, columns, CHECKs, triggers and keys as the rules want them. Returns what it did or left alone, for people.
    fn prepare(&mut self, rules: &Ruleset) -> Result<Vec<String>, StoreError>;
    /// Registers (or finds) keys.
    fn register(&mut self, collection: &str, upstream: &str) -> Result<(CollectionKey, BindingKey), StoreError>;
    /// Registers (or finds) a mapping hash.
    fn register_mapping(&mut self, hash: &str) -> Result<MappingKey, StoreError>;

    // -- local rows --
    /// Inserts a row.
    fn insert_row(&mut self, collection: &Collection, record: &RecordId, values: &[Value]) -> Result<(), StoreError>;
    /// Inserts records with their links and match texts: the hot path of an initial load. One outcome each: a row that
    /// its table refuses (its CHECK or a unique field) is left out with the reason, and the others stand.
    fn insert_new(
        &mut self,
        collection: &Collection,
        key: CollectionKey,
        new: &[NewRecord<'_>],
    ) -> Result<Vec<Result<LinkId, String>>, StoreError>;
    /// Many new records are about to come (`true`), or have come (`false`): what is dearer to keep in order than to sort once
    /// is put off until then. In between [`View::matching`] is right but slow; a crash in between is mended by `false`.
    fn set_bulk(&mut self, on: bool) -> Result<(), StoreError>;
    /// Updates some fields.
    fn update_row(
        &mut self,
        collection: &Collection,
        record: &RecordId,
        values: &[(usize, Value)],
    ) -> Result<(), StoreError>;
    /// Deletes a row.
    fn delete_row(&mut self, collection: &Collection, record: &RecordId) -> Result<(), StoreError>;
    /// Replaces the record's entries in the match index: by its text per match key, in one or several states that it is known in.
    fn index_match(
        &mut self,
        collection: CollectionKey,
        record: &RecordId,
        texts: &[Vec<Option<String>>],
    ) -> Result<(), StoreError>;
    /// Removes a hint, if it is still the one that was read.
    fn clear_dirty(&mut self, collection: CollectionKey, record: &RecordId, seen: i64) -> Result<(), StoreError>;
    /// Leaves a hint of the engine's own for every row, and for every record linked at a binding that has no row any more.
    fn mark_all(&mut self, collection: &Collection, key: CollectionKey, binding: BindingKey) -> Result<(), StoreError>;
    /// Leaves a hint of the engine's own: this record must be looked at again. An existing hint stays.
    fn mark_dirty(&mut self, collection: CollectionKey, record: &RecordId, op: DirtyOp) -> Result<(), StoreError>;
    /// Sets provenance; a row for `""` becomes the default and removes nothing else.
    fn set_origins(
        &mut self,
        collection: CollectionKey,
        record: &RecordId,
        rows: &[OriginRow],
    ) -> Result<(), StoreError>;

    /// Replaces the ring of one field at one binding.
    fn set_turns(&mut self, record: &RecordId, row: &TurnsRow) -> Result<(), StoreError>;
    /// Forgets it.
    fn drop_turns(&mut self, record: &RecordId, binding: BindingKey, field: &str) -> Result<(), StoreError>;

    // -- links --
    /// Makes a link. A second link of the same (record, binding) or (binding, remote id) is `StoreError::Constraint`.
    fn put_link(&mut self, link: &NewLink<'_>) -> Result<LinkId, StoreError>;
    /// Replaces what a link knows (base pair, raw observation, version, state); record, binding and remote id stay.
    fn set_link(&mut self, link: LinkId, update: &LinkUpdate<'_>) -> Result<(), StoreError>;
    /// Gives a link another remote id: the one that it had names something else now.
    fn set_remote_id(&mut self, link: LinkId, remote_id: &str) -> Result<(), StoreError>;
    /// Changes the fingerprint only: what is listed with it counts as unchanged.
    fn set_fingerprint(&mut self, link: LinkId, fingerprint: u64) -> Result<(), StoreError>;
    /// The remote record is gone, as was found out then. With the fingerprint it counts as unchanged: that of its tombstone,
    /// or one that no record has, so that it is news if it is ever listed again.
    fn set_link_gone(&mut self, link: LinkId, fingerprint: u64, at: Micros) -> Result<(), StoreError>;
    /// Changes the state only.
    fn set_link_state(&mut self, link: LinkId, state: crate::merge::LinkState) -> Result<(), StoreError>;
    /// Removes a link and its fingerprint.
    fn drop_link(&mut self, link: LinkId) -> Result<(), StoreError>;

    // -- staging --
    /// Stages an observation, replacing an older one of the same (binding, remote id).
    fn stage(&mut self, staged: &Staged) -> Result<(), StoreError>;
    /// Ties a staged observation to a record.
    fn stage_matched(&mut self, binding: BindingKey, remote_id: &str, record: &RecordId) -> Result<(), StoreError>;
    /// Marks a staged observation as waiting, with the reason (shown to people), or as not waiting.
    fn stage_parked(&mut self, binding: BindingKey, remote_id: &str, reason: Option<&str>) -> Result<(), StoreError>;
    /// Removes a staged observation.
    fn unstage(&mut self, binding: BindingKey, remote_id: &str) -> Result<(), StoreError>;

    // -- state of the engine --
    /// Sets an upstream's state.
    fn set_upstream_state(&mut self, upstream: &str, state: &str) -> Result<(), StoreError>;
    /// Sets a note of the engine's own.
    fn set_note(&mut self, name: &str, text: &str) -> Result<(), StoreError>;
    /// Sets a binding's cursor state.
    fn set_cursor(&mut self, binding: BindingKey, state: &str) -> Result<(), StoreError>;
    /// Sets the state of the listing under one parent.
    fn set_parent_cursor(&mut self, binding: BindingKey, parent: &str, state: &str) -> Result<(), StoreError>;
    /// Forgets it.
    fn drop_parent_cursor(&mut self, binding: BindingKey, parent: &str) -> Result<(), StoreError>;
    /// Appends history.
    fn add_history(&mut self, row: &HistoryRow) -> Result<(), StoreError>;
    /// Opens a conflict, or replaces the open one about the same (record, fields).
    fn put_conflict(&mut self, row: &ConflictRow) -> Result<i64, StoreError>;
    /// Closes a conflict.
    fn close_conflict(&mut self, conflict: i64, how: &str, at: Micros) -> Result<(), StoreError>;
    /// Records a person's choice (JSON), or takes it back.
    fn set_resolution(&mut self, conflict: i64, resolution: Option<&str>) -> Result<(), StoreError>;
    /// Records an intent. A second outstanding one for the same (record, binding) is `StoreError::Constraint`.
    fn put_intent(&mut self, row: &IntentRow) -> Result<(), StoreError>;
    /// Moves an intent to another state.
    fn set_intent(&mut self, key: &str, update: &IntentUpdate) -> Result<(), StoreError>;
    /// Forgets an intent (settled ones are kept for `history` until pruned by age).
    fn drop_intent(&mut self, key: &str) -> Result<(), StoreError>;
    /// Sets a record aside, replacing the entry for the same (binding, record or remote id). Since when stays, where it is for the
    /// same reason.
    fn put_quarantine(&mut self, row: &QuarantineRow) -> Result<(), StoreError>;
    /// Takes a record back.
    fn clear_quarantine(&mut self, collection: &str, upstream: &str, subject: &str) -> Result<(), StoreError>;
    /// Takes in a webhook, unless it came before or `waiting_max` wait already. One about the same record that still waits
    /// is replaced by it.
    fn take_hook(&mut self, hook: &NewHook, waiting_max: u64) -> Result<HookTaken, StoreError>;
    /// A pass that began when `up_to` was the newest has looked there.
    fn settle_hooks(&mut self, collection: &str, upstream: &str, up_to: i64) -> Result<(), StoreError>;
    /// What waits there can no longer be followed, with the reason (shown to people). Returns how many that are.
    fn bury_hooks(&mut self, collection: &str, upstream: &str, reason: &str) -> Result<usize, StoreError>;
    /// One that could not be followed waits again, as if it had come now, under a new number; `None`: there is no such one.
    fn retry_hook(&mut self, id: i64, now: Micros, waiting_max: u64) -> Result<Option<HookTaken>, StoreError>;
    /// Forgets one that could not be followed; false: there is no such one.
    fn drop_hook(&mut self, id: i64) -> Result<bool, StoreError>;
    /// Forgets what is old; what waited too long can no longer be followed, with the reason. Does a bounded part of it.
    fn prune_hooks(&mut self, ages: &HookAges, reason: &str) -> Result<(), StoreError>;
    /// Adds to what was asked of an upstream on a day.
    fn add_usage(&mut self, row: &UsageRow) -> Result<(), StoreError>;
    /// Forgets what was asked of upstreams before a day.
    fn forget_usage(&mut self, before_day: i64) -> Result<(), StoreError>;
    /// Says whether an upstream is up.
    fn set_health(&mut self, row: &HealthRow) -> Result<(), StoreError>;
    /// Says how long an upstream's answers took in a minute or an hour.
    fn set_latency(&mut self, row: &LatencyRow) -> Result<(), StoreError>;
    /// Forgets the minutes, or the hours, that began before a time (in seconds).
    fn forget_latency(&mut self, grain: Grain, before: i64) -> Result<(), StoreError>;
    /// Begins a pass; returns its number.
    fn begin_pass(&mut self, row: &PassRow) -> Result<i64, StoreError>;
    /// Ends a pass.
    fn end_pass(&mut self, row: &PassRow) -> Result<(), StoreError>;
    /// Keeps when the phases of a pass began and how long they took, and forgets those of passes long ago.
    fn set_phases(&mut self, pass: i64, phases: &str) -> Result<(), StoreError>;
    /// Records a halt, replacing an open one of the same collection.
    fn put_halt(&mut self, row: &HaltRow) -> Result<i64, StoreError>;
    /// Approves (`Some(time)`) or closes a halt.
    fn set_halt(&mut self, halt: i64, approved_at: Option<Micros>, closed_at: Option<Micros>)
    -> Result<(), StoreError>;
}

/// Why the store could not do it. A failing record is not an error here.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint refused the row (unique field, one link per record and upstream, CHECK); only this job is rolled back.
    #[error("{table}: {reason}")]
    Constraint {
        /// The table or `table.column`.
        table: String,
        /// SQLite's words.
        reason: String,
    },
    /// Another program holds the database beyond the busy timeout.
    #[error(
        "{path} is busy: another program holds a lock on it for more than {waited_ms} ms; find it with `fuser {path}`"
    )]
    Busy {
        /// The database file.
        path: String,
        /// How long was waited.
        waited_ms: u64,
    },
    /// Another reconciled runs on this database.
    #[error("{path} is in use by another reconciled ({holder})")]
    Locked {
        /// The database file.
        path: String,
        /// `pid 123 since …`.
        holder: String,
    },
    /// The disk or a quota is full.
    #[error("{path}: disk full; nothing was changed; free some space and run again")]
    Full {
        /// The database file.
        path: String,
    },
    /// The file or its folder cannot be written.
    #[error("{path} cannot be written: {reason}")]
    ReadOnly {
        /// The database file.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// The file is there, and cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The database file.
        path: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The file is no database, or damaged. It is never recreated.
    #[error(
        "{path} is damaged: {reason}; it was left as it is: restore a backup, or salvage it with `sqlite3 {path} .recover`"
    )]
    Corrupt {
        /// The database file.
        path: String,
        /// What the check said.
        reason: String,
    },
    /// The schema is newer than this program.
    #[error(
        "{path} has schema {found}, this reconciled knows up to {known}: use a newer reconciled, or restore the backup made before the upgrade"
    )]
    Newer {
        /// The database file.
        path: String,
        /// Its schema number.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The table in the database cannot be brought to what the rules say.
    #[error("table {table}: {reason}")]
    Shape {
        /// The collection's table.
        table: String,
        /// What does not fit and what to do.
        reason: String,
    },
    /// The file does not exist (commands that only look never create it).
    #[error("{path} does not exist; run `reconciled run --once` first, or give the right --db")]
    Missing {
        /// The database file.
        path: String,
    },
    /// The job itself asked for its transaction to be rolled back (see [`write_if`]).
    #[error("rolled back on purpose")]
    Abandoned,
    /// The path means another file than when it was opened.
    #[error(
        "{path} was replaced or removed while it was open; nothing more is written: stop, find out who did it, and start again"
    )]
    Replaced {
        /// The database file.
        path: String,
    },
    /// The store was closed, or its thread ended.
    #[error("the store is closed")]
    Closed,
    /// What the engine wrote about itself cannot be read back.
    #[error("internal state {what} cannot be read: {reason}")]
    State {
        /// Which state.
        what: String,
        /// Why.
        reason: String,
    },
    /// Anything else that SQLite says.
    #[error("{path}: {reason}")]
    Sqlite {
        /// The database file.
        path: String,
        /// SQLite's words.
        reason: String,
    },
}
