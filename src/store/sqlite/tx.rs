//! Owns: the contract's `Tx` on a connection; one line each.
//!
//! Must not know: SQL.

use crate::merge::LinkState;
use crate::record::{RecordId, Value};
use crate::rules::{Collection, Ruleset};
use crate::store::{
    BindingKey, CollectionKey, ConflictRow, DirtyOp, Grain, HaltRow, HealthRow, HistoryRow, HookAges, HookTaken,
    IntentRow, IntentUpdate, LatencyRow, LinkId, LinkUpdate, MappingKey, Micros, NewHook, NewLink, NewRecord,
    OriginRow, PassRow, QuarantineRow, Staged, StoreError, TurnsRow, Tx, UsageRow,
};

use super::db::Db;
use super::{
    arrivals, echoes, health, hints, hooks, intents, journal, links, parents, passes, shape, stage, state, turns, usage,
};

impl Tx for Db {
    fn prepare(&mut self, rules: &Ruleset) -> Result<Vec<String>, StoreError> {
        self.writing(|db| db.without_triggers(|| shape::prepare(db, rules)))
    }

    fn register(&mut self, collection: &str, upstream: &str) -> Result<(CollectionKey, BindingKey), StoreError> {
        self.writing(|db| state::register(db, collection, upstream))
    }

    fn register_mapping(&mut self, hash: &str) -> Result<MappingKey, StoreError> {
        self.writing(|db| state::register_mapping(db, hash))
    }

    fn insert_row(&mut self, collection: &Collection, record: &RecordId, values: &[Value]) -> Result<(), StoreError> {
        self.writing(|db| echoes::insert_row(db, collection, record, values))
    }

    fn insert_new(
        &mut self,
        collection: &Collection,
        key: CollectionKey,
        new: &[NewRecord<'_>],
    ) -> Result<Vec<Result<LinkId, String>>, StoreError> {
        self.writing(|db| arrivals::insert_new(db, collection, key, new))
    }

    fn set_bulk(&mut self, on: bool) -> Result<(), StoreError> {
        self.writing(|db| hints::set_bulk(db, on))
    }

    fn update_row(
        &mut self,
        collection: &Collection,
        record: &RecordId,
        values: &[(usize, Value)],
    ) -> Result<(), StoreError> {
        self.writing(|db| echoes::update_row(db, collection, record, values))
    }

    fn delete_row(&mut self, collection: &Collection, record: &RecordId) -> Result<(), StoreError> {
        self.writing(|db| echoes::delete_row(db, collection, record))
    }

    fn index_match(
        &mut self,
        collection: CollectionKey,
        record: &RecordId,
        texts: &[Vec<Option<String>>],
    ) -> Result<(), StoreError> {
        self.writing(|db| hints::index_match(db, collection, record, texts))
    }

    fn clear_dirty(&mut self, collection: CollectionKey, record: &RecordId, seen: i64) -> Result<(), StoreError> {
        self.writing(|db| hints::clear_dirty(db, collection, record, seen))
    }

    fn mark_all(&mut self, collection: &Collection, key: CollectionKey, binding: BindingKey) -> Result<(), StoreError> {
        self.writing(|db| hints::mark_all(db, collection, key, binding))
    }

    fn mark_dirty(&mut self, collection: CollectionKey, record: &RecordId, op: DirtyOp) -> Result<(), StoreError> {
        self.writing(|db| hints::mark_dirty(db, collection, record, op))
    }

    fn set_origins(
        &mut self,
        collection: CollectionKey,
        record: &RecordId,
        rows: &[OriginRow],
    ) -> Result<(), StoreError> {
        self.writing(|db| hints::set_origins(db, collection, record, rows))
    }

    fn set_turns(&mut self, record: &RecordId, row: &TurnsRow) -> Result<(), StoreError> {
        self.writing(|db| turns::set_turns(db, record, row))
    }

    fn drop_turns(&mut self, record: &RecordId, binding: BindingKey, field: &str) -> Result<(), StoreError> {
        self.writing(|db| turns::drop_turns(db, record, binding, field))
    }

    fn put_link(&mut self, link: &NewLink<'_>) -> Result<LinkId, StoreError> {
        self.writing(|db| links::put_link(db, link))
    }

    fn set_link(&mut self, link: LinkId, update: &LinkUpdate<'_>) -> Result<(), StoreError> {
        self.writing(|db| links::set_link(db, link, update))
    }

    fn set_remote_id(&mut self, link: LinkId, remote_id: &str) -> Result<(), StoreError> {
        self.writing(|db| links::set_remote_id(db, link, remote_id))
    }

    fn set_link_gone(&mut self, link: LinkId, fingerprint: u64, at: Micros) -> Result<(), StoreError> {
        self.writing(|db| links::set_link_gone(db, link, fingerprint, at))
    }

    fn set_fingerprint(&mut self, link: LinkId, fingerprint: u64) -> Result<(), StoreError> {
        self.writing(|db| links::set_fingerprint(db, link, fingerprint))
    }

    fn set_link_state(&mut self, link: LinkId, state: LinkState) -> Result<(), StoreError> {
        self.writing(|db| links::set_link_state(db, link, state))
    }

    fn drop_link(&mut self, link: LinkId) -> Result<(), StoreError> {
        self.writing(|db| links::drop_link(db, link))
    }

    fn stage(&mut self, staged: &Staged) -> Result<(), StoreError> {
        self.writing(|db| stage::stage(db, staged))
    }

    fn stage_matched(&mut self, binding: BindingKey, remote_id: &str, record: &RecordId) -> Result<(), StoreError> {
        self.writing(|db| stage::stage_matched(db, binding, remote_id, record))
    }

    fn stage_parked(&mut self, binding: BindingKey, remote_id: &str, reason: Option<&str>) -> Result<(), StoreError> {
        self.writing(|db| stage::stage_parked(db, binding, remote_id, reason))
    }

    fn unstage(&mut self, binding: BindingKey, remote_id: &str) -> Result<(), StoreError> {
        self.writing(|db| stage::unstage(db, binding, remote_id))
    }

    fn set_upstream_state(&mut self, upstream: &str, text: &str) -> Result<(), StoreError> {
        self.writing(|db| state::set_upstream_state(db, upstream, text))
    }

    fn set_note(&mut self, name: &str, text: &str) -> Result<(), StoreError> {
        self.writing(|db| state::set_note(db, name, text))
    }

    fn set_cursor(&mut self, binding: BindingKey, state: &str) -> Result<(), StoreError> {
        self.writing(|db| state::set_cursor(db, binding, state))
    }

    fn set_parent_cursor(&mut self, binding: BindingKey, parent: &str, text: &str) -> Result<(), StoreError> {
        self.writing(|db| parents::set_cursor(db, binding, parent, text))
    }

    fn drop_parent_cursor(&mut self, binding: BindingKey, parent: &str) -> Result<(), StoreError> {
        self.writing(|db| parents::drop_cursor(db, binding, parent))
    }

    fn add_history(&mut self, row: &HistoryRow) -> Result<(), StoreError> {
        self.writing(|db| journal::add_history(db, row))
    }

    fn put_conflict(&mut self, row: &ConflictRow) -> Result<i64, StoreError> {
        self.writing(|db| journal::put_conflict(db, row))
    }

    fn close_conflict(&mut self, conflict: i64, how: &str, at: Micros) -> Result<(), StoreError> {
        self.writing(|db| journal::close_conflict(db, conflict, how, at))
    }

    fn set_resolution(&mut self, conflict: i64, resolution: Option<&str>) -> Result<(), StoreError> {
        self.writing(|db| journal::set_resolution(db, conflict, resolution))
    }

    fn put_intent(&mut self, row: &IntentRow) -> Result<(), StoreError> {
        self.writing(|db| intents::put_intent(db, row))
    }

    fn set_intent(&mut self, key: &str, update: &IntentUpdate) -> Result<(), StoreError> {
        self.writing(|db| intents::set_intent(db, key, update))
    }

    fn drop_intent(&mut self, key: &str) -> Result<(), StoreError> {
        self.writing(|db| intents::drop_intent(db, key))
    }

    fn put_quarantine(&mut self, row: &QuarantineRow) -> Result<(), StoreError> {
        self.writing(|db| journal::put_quarantine(db, row))
    }

    fn clear_quarantine(&mut self, collection: &str, upstream: &str, subject: &str) -> Result<(), StoreError> {
        self.writing(|db| journal::clear_quarantine(db, collection, upstream, subject))
    }

    fn take_hook(&mut self, hook: &NewHook, waiting_max: u64) -> Result<HookTaken, StoreError> {
        self.writing(|db| hooks::take(db, hook, waiting_max))
    }

    fn settle_hooks(&mut self, collection: &str, upstream: &str, up_to: i64) -> Result<(), StoreError> {
        self.writing(|db| hooks::settle(db, collection, upstream, up_to))
    }

    fn bury_hooks(&mut self, collection: &str, upstream: &str, reason: &str) -> Result<usize, StoreError> {
        self.writing(|db| hooks::bury(db, collection, upstream, reason))
    }

    fn retry_hook(&mut self, id: i64, now: Micros, waiting_max: u64) -> Result<Option<HookTaken>, StoreError> {
        self.writing(|db| hooks::retry(db, id, now, waiting_max))
    }

    fn drop_hook(&mut self, id: i64) -> Result<bool, StoreError> {
        self.writing(|db| hooks::forget(db, id))
    }

    fn prune_hooks(&mut self, ages: &HookAges, reason: &str) -> Result<(), StoreError> {
        self.writing(|db| hooks::prune(db, ages, reason))
    }

    fn add_usage(&mut self, row: &UsageRow) -> Result<(), StoreError> {
        self.writing(|db| usage::add(db, row))
    }

    fn forget_usage(&mut self, before_day: i64) -> Result<(), StoreError> {
        self.writing(|db| usage::forget(db, before_day))
    }

    fn set_health(&mut self, row: &HealthRow) -> Result<(), StoreError> {
        self.writing(|db| health::set_health(db, row))
    }

    fn set_latency(&mut self, row: &LatencyRow) -> Result<(), StoreError> {
        self.writing(|db| health::set_latency(db, row))
    }

    fn forget_latency(&mut self, grain: Grain, before: i64) -> Result<(), StoreError> {
        self.writing(|db| health::forget_latency(db, grain, before))
    }

    fn begin_pass(&mut self, row: &PassRow) -> Result<i64, StoreError> {
        self.writing(|db| passes::begin(db, row))
    }

    fn end_pass(&mut self, row: &PassRow) -> Result<(), StoreError> {
        self.writing(|db| passes::end(db, row))
    }

    fn set_phases(&mut self, pass: i64, phases: &str) -> Result<(), StoreError> {
        self.writing(|db| passes::set_phases(db, pass, phases))
    }

    fn put_halt(&mut self, row: &HaltRow) -> Result<i64, StoreError> {
        self.writing(|db| journal::put_halt(db, row))
    }

    fn set_halt(
        &mut self,
        halt: i64,
        approved_at: Option<Micros>,
        closed_at: Option<Micros>,
    ) -> Result<(), StoreError> {
        self.writing(|db| journal::set_halt(db, halt, approved_at, closed_at))
    }
}
