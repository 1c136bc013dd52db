//! Owns: the contract's `View` on a connection; one line each.
//!
//! Must not know: SQL.

use crate::merge::LinkState;
use crate::record::{RecordId, Slot};
use crate::rules::Collection;
use crate::store::{
    BindingKey, CollectionKey, ConflictFilter, ConflictRow, Dirty, Grain, HaltRow, HealthRow, HistoryFilter,
    HistoryRow, HookFilter, HookRow, HookState, IntentFilter, IntentRow, Known, LatencyRow, LinkId, LinkRow,
    MappingKey, Micros, OriginRow, PassFilter, PassRow, QuarantineFilter, QuarantineRow, Restored, Staged, StoreError,
    TurnsRow, UsageRow, View,
};

use super::db::Db;
use super::fault::Failure;
use super::{epoch, health, hints, hooks, intents, journal, links, parents, passes, rows, stage, state, turns, usage};

impl View for Db {
    fn known(&self, binding: BindingKey, remote_ids: &[&str]) -> Result<Vec<Option<Known>>, StoreError> {
        self.reading(links::known(self, binding, remote_ids))
    }

    fn link(&self, link: LinkId) -> Result<Option<LinkRow>, StoreError> {
        self.reading(links::link(self, link))
    }

    fn links_of(&self, record: &RecordId) -> Result<Vec<LinkRow>, StoreError> {
        self.reading(links::links_of(self, record))
    }

    fn link_count(&self, binding: BindingKey, state: LinkState) -> Result<u64, StoreError> {
        self.reading(links::link_count(self, binding, state))
    }

    fn link_counts(&self, binding: BindingKey, most: u64) -> Result<Vec<(LinkState, u64)>, StoreError> {
        self.reading(links::link_counts(self, binding, most))
    }

    fn links_up_to(&self, binding: BindingKey, state: LinkState, most: u64) -> Result<u64, StoreError> {
        self.reading(links::links_up_to(self, binding, state, most))
    }

    fn live_links(&self, binding: BindingKey, after: &str, limit: usize) -> Result<Vec<(String, LinkId)>, StoreError> {
        self.reading(links::live_links(self, binding, after, limit))
    }

    fn made_in(&self, pass: i64, after: LinkId, limit: usize) -> Result<Vec<(LinkId, RecordId)>, StoreError> {
        self.reading(links::made_in(self, pass, after, limit))
    }

    fn links_not_under(
        &self,
        binding: BindingKey,
        mapping: MappingKey,
        after: i64,
        limit: usize,
    ) -> Result<Vec<LinkRow>, StoreError> {
        self.reading(links::links_not_under(self, binding, mapping, after, limit))
    }

    fn row(&self, collection: &Collection, record: &RecordId) -> Result<Option<Vec<Slot>>, StoreError> {
        self.reading(rows::row(self, collection, record))
    }

    fn row_count(&self, collection: &Collection) -> Result<u64, StoreError> {
        self.reading(rows::row_count(self, collection))
    }

    fn rows_up_to(&self, collection: &Collection, most: u64) -> Result<u64, StoreError> {
        self.reading(rows::rows_up_to(self, collection, most))
    }

    fn records_after(&self, collection: &Collection, after: &str, limit: usize) -> Result<Vec<RecordId>, StoreError> {
        self.reading(rows::records_after(self, collection, after, limit))
    }

    fn referring(
        &self,
        collection: &Collection,
        field: usize,
        to: &RecordId,
        limit: usize,
    ) -> Result<Vec<RecordId>, StoreError> {
        self.reading(rows::referring(self, collection, field, to, limit))
    }

    fn matching(&self, collection: CollectionKey, key: usize, text: &str) -> Result<Vec<RecordId>, StoreError> {
        self.reading(hints::matching(self, collection, key, text))
    }

    fn dirty(&self, collection: CollectionKey, record: &RecordId) -> Result<Option<Dirty>, StoreError> {
        self.reading(hints::dirty(self, collection, record))
    }

    fn dirty_after(
        &self,
        collection: CollectionKey,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(RecordId, Dirty)>, StoreError> {
        self.reading(hints::dirty_after(self, collection, after, limit))
    }

    fn newest_edit(&self, collection: CollectionKey) -> Result<i64, StoreError> {
        self.reading(hints::newest_edit(self, collection))
    }

    fn origins(&self, collection: CollectionKey, record: &RecordId) -> Result<Vec<OriginRow>, StoreError> {
        self.reading(hints::origins(self, collection, record))
    }

    fn turns(&self, record: &RecordId) -> Result<Vec<TurnsRow>, StoreError> {
        self.reading(turns::turns(self, record))
    }

    fn staged(&self, binding: BindingKey, remote_id: &str) -> Result<Option<Staged>, StoreError> {
        self.reading(stage::staged(self, binding, remote_id))
    }

    fn staged_of(&self, collection: CollectionKey, record: &RecordId) -> Result<Vec<Staged>, StoreError> {
        self.reading(stage::staged_of(self, collection, record))
    }

    fn staged_unmatched(&self, binding: BindingKey, after: &str, limit: usize) -> Result<Vec<Staged>, StoreError> {
        self.reading(stage::staged_unmatched(self, binding, after, limit))
    }

    fn staged_matched(&self, binding: BindingKey, after: &str, limit: usize) -> Result<Vec<Staged>, StoreError> {
        self.reading(stage::staged_matched(self, binding, after, limit))
    }

    fn staged_before(
        &self,
        binding: BindingKey,
        before: Micros,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Staged>, StoreError> {
        self.reading(stage::staged_before(self, binding, before, after, limit))
    }

    fn staged_merged(&self, binding: BindingKey, after: &str, limit: usize) -> Result<Vec<Staged>, StoreError> {
        self.reading(stage::staged_merged(self, binding, after, limit))
    }

    fn staged_count(&self, binding: BindingKey) -> Result<u64, StoreError> {
        self.reading(stage::staged_count(self, binding))
    }

    fn candidates(&self, collection: CollectionKey, after: &str, limit: usize) -> Result<Vec<RecordId>, StoreError> {
        self.reading(hints::candidates(self, collection, after, limit))
    }

    fn candidates_at_most(&self, collection: CollectionKey) -> Result<u64, StoreError> {
        self.reading(hints::candidates_at_most(self, collection))
    }

    fn collection_key(&self, name: &str) -> Result<Option<CollectionKey>, StoreError> {
        self.reading(state::collection_key(self, name))
    }

    fn binding_key(&self, collection: &str, upstream: &str) -> Result<Option<BindingKey>, StoreError> {
        self.reading(state::binding_key(self, collection, upstream))
    }

    fn cursor(&self, binding: BindingKey) -> Result<Option<String>, StoreError> {
        self.reading(state::cursor(self, binding))
    }

    fn parent_cursors(&self, binding: BindingKey, parents: &[&str]) -> Result<Vec<Option<String>>, StoreError> {
        self.reading(parents::cursors(self, binding, parents))
    }

    fn parents_gone(
        &self,
        binding: BindingKey,
        of: BindingKey,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.reading(parents::gone(self, binding, of, after, limit))
    }

    fn mapping(&self, mapping: MappingKey) -> Result<Option<String>, StoreError> {
        self.reading(state::mapping(self, mapping))
    }

    fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.reading(state::note(self, name))
    }

    fn restored(&self) -> Result<Option<Restored>, StoreError> {
        let known = self.reading(epoch::restored(&self.conn).map_err(Failure::from))?;
        Ok(self.suspicion.clone().or(known))
    }

    fn upstream_state(&self, upstream: &str) -> Result<Option<String>, StoreError> {
        self.reading(state::upstream_state(self, upstream))
    }

    fn conflict_count(&self, filter: &ConflictFilter) -> Result<(u64, i64), StoreError> {
        self.reading(journal::conflict_count(self, filter))
    }

    fn conflicts(&self, filter: &ConflictFilter) -> Result<Vec<ConflictRow>, StoreError> {
        self.reading(journal::conflicts(self, filter))
    }

    fn intents(&self, filter: &IntentFilter) -> Result<Vec<IntentRow>, StoreError> {
        self.reading(intents::intents(self, filter))
    }

    fn quarantined(&self, filter: &QuarantineFilter) -> Result<Vec<QuarantineRow>, StoreError> {
        self.reading(journal::quarantined(self, filter))
    }

    fn halts(&self, collection: Option<&str>, open_only: bool) -> Result<Vec<HaltRow>, StoreError> {
        self.reading(journal::halts(self, collection, open_only))
    }

    fn last_full_scan(&self, collection: &str) -> Result<Option<Micros>, StoreError> {
        self.reading(passes::last_full_scan(self, collection))
    }

    fn last_pass(&self, collection: &str) -> Result<Option<PassRow>, StoreError> {
        self.reading(passes::last(self, collection))
    }

    fn list_passes(&self, filter: &PassFilter) -> Result<Vec<PassRow>, StoreError> {
        self.reading(passes::passes(self, filter))
    }

    fn pass(&self, id: i64) -> Result<Option<PassRow>, StoreError> {
        self.reading(passes::pass(self, id))
    }

    fn phases(&self, pass: i64) -> Result<Option<String>, StoreError> {
        self.reading(passes::phases(self, pass))
    }

    fn history(&self, filter: &HistoryFilter) -> Result<Vec<HistoryRow>, StoreError> {
        self.reading(journal::history(self, filter))
    }

    fn newest_hook(&self, collection: &str) -> Result<i64, StoreError> {
        self.reading(hooks::newest(self, collection))
    }

    fn hooks(&self, filter: &HookFilter) -> Result<Vec<HookRow>, StoreError> {
        self.reading(hooks::hooks(self, filter))
    }

    fn hook_count(&self, state: HookState) -> Result<u64, StoreError> {
        self.reading(hooks::count(self, state))
    }

    fn hook_places(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.reading(hooks::places(self))
    }

    fn usage(&self, upstream: Option<&str>, from_day: i64) -> Result<Vec<UsageRow>, StoreError> {
        self.reading(usage::usage(self, upstream, from_day))
    }

    fn health(&self, upstream: &str) -> Result<Option<HealthRow>, StoreError> {
        self.reading(health::health(self, upstream))
    }

    fn latency(&self, upstream: &str, grain: Grain, from: i64) -> Result<Vec<LatencyRow>, StoreError> {
        self.reading(health::latency(self, upstream, grain, from))
    }

    fn find_record(&self, id: &str) -> Result<Vec<(String, RecordId)>, StoreError> {
        self.reading(state::find_record(self, id))
    }
}
