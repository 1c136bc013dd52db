//! Owns: reading one binding: pages → fingerprints → what changed is staged; a page and its checkpoint commit together.
//!
//! Must not know: what is decided about an observation (but for first contact, which `contact` owns).
//!
//! The unchanged record costs a cut, a hash and one narrow lookup, and writes nothing. While the store works, the next
//! pages are fetched and cut; what waits is then worked on together, so a slow upstream commits page by page and a fast
//! one several pages at once. Memory is bounded by [`BYTES_AHEAD_MAX`] and one page, whatever the size of the collection.

use std::collections::BTreeMap;
use std::sync::Arc;

use roaring::RoaringTreemap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::merge::LinkState;
use crate::rules::{BodyFormat, Deletes, Incremental, Parent, Read as ReadRules};
use crate::store::{self, BindingKey, Micros, QuarantineFilter, Staged, Store, StoreError, View};
use crate::upstream::{self, Client, Failure, FailureKind, ListQuery, Lister, PageToken};

use super::between;
use super::contact::LostCreates;
use super::context::{Pass, remote_subject};
use super::cursor::{Cursor, Scan, way_of};
use super::deleted;
use super::page::{Cut, Heard, PageDone, PageJob};
use super::parents;
use super::pulled::Pulled;
use super::report::{Progress, Step, UpstreamReport};

/// Staged rows looked at in one statement.
const STALE_CHUNK: usize = 256;
/// Records set aside that are looked through after a listing.
const SET_ASIDE_MAX: usize = 100_000;
/// Bytes of pages that are in memory at once, those being worked on included; one larger page is there alone.
pub(super) const BYTES_AHEAD_MAX: u32 = 6 << 20;
/// No more pages are taken together once they have so many bytes.
pub(super) const BYTES_TOGETHER: usize = 3 << 20;
/// Pages that wait, however small they are.
pub(super) const PAGES_AHEAD_MAX: usize = 16;

/// One binding being read.
#[expect(clippy::struct_excessive_bools, reason = "what holds of a reading, independent of each other")]
pub(super) struct Puller<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) pass: &'a Arc<Pass>,
    pub(super) binding: usize,
    /// Observations of earlier passes wait in staging: what is listed as it was at the base replaces them, too.
    waiting: RoaringTreemap,
    /// First contact may insert while reading (nothing else can have a say about a record of the only unread binding).
    pub(super) eager: bool,
    /// There is nobody here yet whom a stranger could be.
    alone: bool,
    /// The ids that were listed so far, where nothing was linked before.
    heard: Option<Heard>,
    /// Everything is read, whatever is known.
    pub(super) full: bool,
    pub(super) cursor: Cursor,
    high: Option<Micros>,
    mark: Option<String>,
    /// The last mark, where what happened since is yet to be read from there, whatever this listing shows.
    kept_mark: Option<String>,
    pub(super) started_at: Micros,
    seen: RoaringTreemap,
    /// Links that this listing showed otherwise than at the base.
    restless: RoaringTreemap,
    unreadable: bool,
    /// Records that are to be asked for once more, as they were listed, by remote id.
    doubtful: BTreeMap<String, Staged>,
    pub(super) out: Pulled,
}

/// The links of observations that wait since earlier passes: what is listed as it was at the base replaces them.
fn waiting(view: &dyn View, binding: BindingKey) -> Result<RoaringTreemap, StoreError> {
    let (mut links, mut after) = (RoaringTreemap::new(), String::new());
    loop {
        let rows = view.staged_matched(binding, &after, STALE_CHUNK)?;
        let Some(last) = rows.last() else { return Ok(links) };
        after.clone_from(&last.remote_id);
        let ids: Vec<&str> = rows.iter().map(|row| row.remote_id.as_str()).collect();
        let known = view.known(binding, &ids)?;
        links.extend(known.into_iter().flatten().map(|known| known.link.0.unsigned_abs()));
    }
}

/// Whether no remote record of a binding was ever tied to anything.
fn is_unheard_of(view: &dyn View, binding: BindingKey) -> Result<bool, StoreError> {
    for state in LinkState::ALL {
        if view.links_up_to(binding, state, 1)? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How a binding is read, and a hash that names this way of reading.
pub fn way(pass: &Pass, binding: usize) -> Option<(&ReadRules, String)> {
    let rules = pass.rules(binding).filter(|rules| rules.pull)?;
    let read = rules.read.as_ref()?;
    let mut text = format!("{:?} {:?}", read.request, read.incremental);
    if read.format != BodyFormat::Json {
        text += &format!(" {:?}", read.format);
    }
    if let Some(cap) = &read.cap {
        text += &format!(" {cap:?}");
    }
    if let Some(parent) = &read.parent {
        let Parent { collection, name, batch, in_id } = parent;
        let ids = if *in_id { " in id" } else { "" };
        text += &format!(" Parent {{ collection: {collection:?}, name: {name:?}, batch: {batch} }}{ids}");
    }
    if let Some(export) = &read.export {
        text += &format!(" {export:?}");
    }
    Some((read, way_of(&text, &format!("{:?}", read.page))))
}

/// Reads one binding. Only a failing store is an error; a failing upstream is in the result.
pub async fn pull(
    store: &dyn Store,
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    binding: usize,
    full: bool,
    progress: &dyn Progress,
) -> Result<Pulled, StoreError> {
    let upstream = pass.upstream(binding).to_owned();
    let mut out = Pulled {
        binding,
        report: UpstreamReport { upstream, read: "skipped".into(), ..UpstreamReport::default() },
        blocked: None,
        seen: Arc::default(),
        twice: false,
        started_at: 0,
        complete: false,
        gap: false,
        expired: false,
        inserted: 0,
    };
    let Some((read, way)) = way(pass, binding) else { return Ok(out) };
    let key = pass.binding_key(binding);
    let (text, waiting) = store::read(store, move |view| Ok((view.cursor(key)?, waiting(view, key)?))).await?;
    let cursor = Cursor::load(text.as_deref(), &way)?;
    out.report.read = "full".into();
    let decides_first = pass.planning || pass.bound.is_some() || pass.restored.is_some();
    let eager = cursor.full_at.is_none() && !decides_first;
    let asking = Arc::clone(pass);
    let nobody = move |view: &dyn View| {
        for other in 0..asking.collection.bindings.len() {
            // A row may be gone that its upstream still has.
            if view.links_up_to(asking.binding_key(other), LinkState::Live, 1)? > 0 {
                return Ok(false);
            }
        }
        Ok(view.rows_up_to(&asking.collection, 1)? == 0 && LostCreates::of(view, &asking, binding)?.is_empty())
    };
    let alone = eager && store::read(store, nobody).await?;
    let unheard_of = alone && store::read(store, move |view| is_unheard_of(view, key)).await?;
    let mut puller = Puller {
        store,
        pass,
        binding,
        restless: waiting.clone(),
        waiting,
        full,
        eager,
        alone,
        heard: unheard_of.then(Heard::nothing),
        cursor,
        high: None,
        mark: None,
        kept_mark: None,
        started_at: pass.micros(),
        seen: RoaringTreemap::new(),
        unreadable: false,
        doubtful: BTreeMap::new(),
        out,
    };
    if alone {
        store::write(store, |tx| tx.set_bulk(true)).await?;
    }
    let read = puller.run(client, read, full, progress).await;
    if alone {
        // Also where it failed: without their indexes all later passes would look through whole tables.
        store::write(store, |tx| tx.set_bulk(false)).await?;
    }
    read?;
    let mut out = puller.out;
    deleted::hear(store, client, pass, &mut out, full).await?;
    Ok(out)
}

impl Puller<'_> {
    async fn run(
        &mut self,
        client: &Arc<Client>,
        read: &ReadRules,
        full: bool,
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        self.out.gap = self.cursor.is_behind(read.horizon, self.pass.now);
        let tells_deletes = matches!(read.deletes, Deletes::Tombstone | Deletes::Endpoint);
        self.cursor.untold |= self.out.gap && tells_deletes;
        self.full = full || self.out.gap || self.cursor.untold;
        // Under parents each of them has a place of its own.
        let own = if read.parent.is_some() { &Incremental::None } else { &read.incremental };
        let (query, complete) = self.cursor.query(own, self.full, self.pass.now);
        // A listing of everything shows nothing of what was deleted since; what tells it goes on from where it was.
        let goes_on = full
            && !self.out.gap
            && !self.cursor.untold
            && matches!(own, Incremental::Token { .. } | Incremental::EventFeed(_));
        self.kept_mark = self.cursor.mark.clone().filter(|_| goes_on);
        match self.list(client, query.clone(), complete, progress).await? {
            // What came to the pages that were read before the interruption has not been seen: nothing may be decided (or
            // made there) without it. So the binding is read once more, from where its rules allow it to begin.
            None if query.resume.is_some() => {
                self.begin_again();
                let (query, complete) = self.cursor.query(own, false, self.pass.now);
                if let Some(failure) = self.list(client, query, complete, progress).await? {
                    self.block(&failure);
                }
                Ok(())
            }
            None => {
                self.out.expired = self.out.complete && self.cursor.untold;
                Ok(())
            }
            // A token that has expired says nothing about records: everything is read again, and what an interrupted
            // or re-based listing leaves out proves nothing.
            // So is everything that was read page by page to a place which has expired; that listing then is a whole one.
            Some(failure)
                if failure.kind == FailureKind::CursorExpired
                    && (query != ListQuery::default() || self.out.report.listed > 0) =>
            {
                self.begin_again();
                self.cursor.untold |= tells_deletes;
                match self.list(client, ListQuery::default(), true, progress).await? {
                    None => {
                        self.out.expired = self.out.complete && query != ListQuery::default();
                        self.out.complete &= !self.out.expired;
                    }
                    Some(failure) => self.block(&failure),
                }
                Ok(())
            }
            Some(failure) => {
                if let Some(place) = query.resume.filter(|_| breaks_down(&failure)) {
                    self.stopped_again(place).await?;
                }
                self.block(&failure);
                Ok(())
            }
        }
    }

    /// Counts the passes that went on from this place and came no further, because the upstream broke down.
    async fn stopped_again(&self, place: PageToken) -> Result<(), StoreError> {
        let key = self.pass.binding_key(self.binding);
        store::write(self.store, move |tx| {
            let stopped = tx.cursor(key)?.as_deref().and_then(|text| Cursor::stopped_again(text, &place));
            stopped.map_or(Ok(()), |text| tx.set_cursor(key, &text))
        })
        .await
    }

    /// What the listing has seen so far counts for nothing.
    fn begin_again(&mut self) {
        self.seen.clear();
        self.restless.clone_from(&self.waiting);
        self.cursor.scan = None;
        (self.high, self.mark, self.unreadable, self.out.twice) = (None, None, false, false);
        (self.out.report.listed, self.out.report.unchanged) = (0, 0);
    }

    fn block(&mut self, failure: &Failure) {
        self.out.report.error = Some(failure.words.clone());
        self.out.blocked = Some(format!("{} could not be read: {}", self.out.report.upstream, failure.words));
    }

    /// One listing from its first (or resumed) page to its end; a failure of the upstream ends it early.
    async fn list(
        &mut self,
        client: &Arc<Client>,
        query: ListQuery,
        complete: bool,
        progress: &dyn Progress,
    ) -> Result<Option<Failure>, StoreError> {
        let resumed = query.resume.is_some();
        let Some(rules) = self.pass.rules(self.binding).cloned() else { return Ok(None) };
        if rules.read.as_ref().is_some_and(|read| read.parent.is_some()) {
            return Box::pin(parents::list(self, client, query.resume, progress)).await;
        }
        if let Some(scan) = self.cursor.scan.as_ref().filter(|_| resumed) {
            (self.high, self.mark, self.started_at) = (scan.high, scan.mark.clone(), scan.started_at);
        }
        if complete { "full" } else { "incremental" }.clone_into(&mut self.out.report.read);
        let mut lister = Lister::new(Arc::clone(client), rules, query);
        let first_load = self.eager && !resumed;
        let (give, take) = mpsc::channel(PAGES_AHEAD_MAX);
        let (pass, binding) = (Arc::clone(self.pass), self.binding);
        let fetch = async move {
            let room = Arc::new(Semaphore::new(BYTES_AHEAD_MAX as usize));
            loop {
                let cut = match lister.page().await {
                    Ok(Some(page)) => Cut::new(&pass, binding, page, first_load),
                    Ok(None) => return,
                    Err(failure) => {
                        let _nobody_asks_any_more = give.send(Err(failure)).await;
                        return;
                    }
                };
                let bytes = u32::try_from(cut.page.body.len()).unwrap_or(u32::MAX).clamp(1, BYTES_AHEAD_MAX);
                let Ok(held) = Arc::clone(&room).acquire_many_owned(bytes).await else { return };
                if give.send(Ok((cut, held))).await.is_err() {
                    return;
                }
            }
        };
        // Cutting and mapping the next pages costs this thread what the store's thread spends on these.
        let end = {
            let mut fetch = std::pin::pin!(fetch);
            let mut work = std::pin::pin!(self.work(take, complete, resumed, first_load, progress));
            tokio::select! {
                biased;
                end = &mut work => end,
                () = &mut fetch => work.await,
            }?
        };
        match end {
            End::Failed(failure) => Ok(Some(failure)),
            End::NotModified => Ok(None),
            End::Read => self.finish(client, complete, resumed).await,
        }
    }

    async fn links(&self) -> Result<u64, StoreError> {
        let key = self.pass.binding_key(self.binding);
        store::read(self.store, move |view| view.link_count(key, LinkState::Live)).await
    }

    /// Works on pages as they come, those that wait together.
    async fn work(
        &mut self,
        mut pages: mpsc::Receiver<Fetched>,
        complete: bool,
        resumed: bool,
        first_load: bool,
        progress: &dyn Progress,
    ) -> Result<End, StoreError> {
        let mut first = !resumed;
        // To count them reads all of them; a complete listing reads them anyway.
        let links = if complete { self.links().await? } else { 0 };
        while let Some(fetched) = pages.recv().await {
            let mut together = Vec::new();
            let mut failed = None;
            let mut held = Vec::new();
            let mut bytes = 0;
            let mut next = Some(fetched);
            while let Some(fetched) = next.take() {
                match fetched {
                    Ok((cut, permit)) => {
                        bytes += cut.page.body.len();
                        held.push(permit);
                        together.push(cut);
                    }
                    Err(failure) => failed = Some(failure),
                }
                if bytes < BYTES_TOGETHER {
                    next = pages.try_recv().ok();
                }
            }
            if let Some(cut) = together.first().filter(|_| first) {
                first = false;
                self.started_at = cut.page.requested_at.timestamp_micros();
                self.mark.clone_from(&cut.page.mark);
            }
            // A token for what changes from now on is on the last page.
            if let Some(mark) = together.iter().rev().find_map(|cut| cut.page.mark.as_ref()) {
                self.mark = Some(mark.clone());
            }
            if together.iter().any(|cut| cut.page.not_modified) {
                "not_modified".clone_into(&mut self.out.report.read);
                self.out.report.unchanged += self.links().await?;
                return Ok(End::NotModified);
            }
            if !together.is_empty() {
                self.pages(together, complete, first_load).await?;
                drop(held);
                progress.step(&Step::Pulled {
                    collection: &self.pass.collection.name,
                    upstream: &self.out.report.upstream,
                    records: self.out.report.listed,
                    changed: self.out.report.listed - self.out.report.unchanged,
                    expected: (links > 0).then_some(links),
                });
            }
            if let Some(failure) = failed {
                return Ok(End::Failed(failure));
            }
        }
        Ok(End::Read)
    }

    /// Works on pages: what is known and unchanged costs a lookup; the rest is staged (or inserted, on first contact) in
    /// one transaction with the checkpoint.
    pub(super) async fn pages(
        &mut self,
        mut cuts: Vec<Cut>,
        complete: bool,
        first_load: bool,
    ) -> Result<(), StoreError> {
        let pass = Arc::clone(self.pass);
        let touched = pass.touched.lock().await;
        if let Some(heard) = &mut self.heard {
            for cut in &mut cuts {
                cut.hear(heard);
            }
        }
        let mut job = PageJob {
            pass: Arc::clone(self.pass),
            binding: self.binding,
            restless: self.restless.clone(),
            eager: self.eager,
            alone: self.alone,
            touched: touched.clone(),
            cursor: complete.then(|| {
                let mut cursor = self.cursor.clone();
                cursor.scan = cuts.last().and_then(|cut| cut.page.next.clone()).map(|token| Scan {
                    token,
                    mark: self.mark.clone(),
                    high: self.high,
                    started_at: self.started_at,
                    stopped: 0,
                });
                cursor
            }),
            high: self.high,
            cuts,
        };
        // Nothing can be unchanged while nothing is linked: one trip instead of two.
        let done = if first_load {
            store::write_relaxed(self.store, move |tx| job.write(tx)).await?
        } else {
            let (job, change) = store::read(self.store, move |view| {
                let known = job.known(view)?;
                let changed = job.has_news(&known);
                Ok((job, (known, changed)))
            })
            .await?;
            let (known, changed) = change;
            if changed {
                store::write_relaxed(self.store, move |tx| job.write_known(tx, known)).await?
            } else {
                let mut done = PageDone::default();
                done.unchanged(&known);
                done
            }
        };
        self.high = self.high.max(done.high);
        self.out.twice |= done.twice || !self.seen.is_disjoint(&done.seen);
        self.seen |= done.seen;
        self.restless |= done.restless;
        self.out.report.listed += done.listed;
        self.out.report.unchanged += done.unchanged;
        self.out.inserted += done.inserted;
        self.unreadable |= done.unreadable;
        self.doubtful.extend(done.doubtful.into_iter().map(|row| (row.remote_id.clone(), row)));
        Ok(())
    }

    /// What an earlier pass staged and could not decide (a halt, a broken connection) is old news where this listing shows
    /// the record as it was at the base, or, for one that nobody knows yet, does not show it any more.
    async fn drop_stale(&self, whole: bool) -> Result<(), StoreError> {
        let (pass, binding, before, seen) = (Arc::clone(self.pass), self.binding, self.started_at, self.seen.clone());
        let key = pass.binding_key(binding);
        if store::read(self.store, move |view| view.staged_count(key)).await? == 0 {
            return Ok(());
        }
        store::write(self.store, move |tx| {
            let mut after = String::new();
            loop {
                let rows = tx.staged_before(key, before, &after, STALE_CHUNK)?;
                let Some(last) = rows.last() else { return Ok(()) };
                after.clone_from(&last.remote_id);
                for row in rows {
                    let known = tx.known(key, &[row.remote_id.as_str()])?.into_iter().next().flatten();
                    let stale = known.map_or(whole, |known| seen.contains(known.link.0.unsigned_abs()));
                    if stale {
                        tx.unstage(key, &row.remote_id)?;
                        let subject = remote_subject(&row.remote_id);
                        tx.clear_quarantine(&pass.collection.name, pass.upstream(binding), &subject)?;
                    }
                }
            }
        })
        .await
    }

    /// A remote record that was set aside and that a whole listing neither shows nor complains of any more is no case left.
    async fn take_back_unlisted(&self) -> Result<(), StoreError> {
        let filter = QuarantineFilter {
            collection: Some(self.pass.collection.name.clone()),
            upstream: Some(self.out.report.upstream.clone()),
            limit: SET_ASIDE_MAX,
            ..QuarantineFilter::default()
        };
        let mut aside = store::read(self.store, move |view| view.quarantined(&filter)).await?;
        let (pass, remote) = (self.pass.id, remote_subject(""));
        aside.retain(|row| row.stage == "pull" && row.pass < pass && row.subject.starts_with(&remote));
        if aside.is_empty() {
            return Ok(());
        }
        store::write(self.store, move |tx| {
            aside.iter().try_for_each(|row| tx.clear_quarantine(&row.collection, &row.upstream, &row.subject))
        })
        .await
    }

    /// Everything was listed. What the listing cannot tell, after what was done in between, the records do.
    pub(super) async fn finish(
        &mut self,
        client: &Arc<Client>,
        complete: bool,
        resumed: bool,
    ) -> Result<Option<Failure>, StoreError> {
        let pass = Arc::clone(self.pass);
        let touched = pass.touched.lock().await;
        let doubtful: Vec<Staged> = std::mem::take(&mut self.doubtful).into_values().collect();
        if let (false, Some(rules)) = (doubtful.is_empty(), pass.rules(self.binding))
            && let Some(failure) = between::look_again((self.store, &pass), client, rules, doubtful).await?
        {
            return Ok(Some(failure));
        }
        let before = self.cursor.clone();
        // An `ETag` is that of what was read last: one of an older state would call a return to that state unchanged.
        let read = self.pass.rules(self.binding).and_then(|rules| rules.read.as_ref());
        if read.is_some_and(|read| read.incremental == Incremental::Conditional) {
            self.cursor.mark = None;
        }
        let kept = self.cursor.mark.clone();
        let ended_at = self.started_at.max(self.pass.micros());
        let mark = self.kept_mark.take().or_else(|| self.mark.clone());
        self.cursor.finish(complete, mark, self.high, self.started_at, ended_at);
        self.cursor.read_at = read.is_some_and(|read| read.horizon.is_some()).then_some(ended_at);
        // A write that was made in between moves what it writes to elsewhere in the listing, and what comes after it by one
        // place. Where pages are counted, one may have been skipped: the next listing begins where this one did.
        if !touched.is_empty() && read.is_some_and(upstream::counts_pages) {
            (self.cursor.high, self.cursor.mark) = (before.high, kept);
        }
        self.drop_stale(complete && !resumed).await?;
        if complete && !resumed {
            self.take_back_unlisted().await?;
        }
        // A record that was listed but could not be read may be any of the links that were not seen.
        self.out.complete = complete && !resumed && !self.unreadable;
        self.out.seen = Arc::new(std::mem::take(&mut self.seen));
        self.out.started_at = self.started_at;
        let key = self.pass.binding_key(self.binding);
        let text = self.cursor.save();
        if self.cursor != before {
            store::write(self.store, move |tx| tx.set_cursor(key, &text)).await?;
        }
        Ok(None)
    }
}

/// Whether the upstream came to grief over this very request, as far as that can be told: 503 says that it has too much to do.
fn breaks_down(failure: &Failure) -> bool {
    failure.status.is_some_and(|status| (500..600).contains(&status) && status != 503)
}

/// What the fetching side hands over: a page with its share of the room, or why there is no more.
type Fetched = Result<(Cut, OwnedSemaphorePermit), Failure>;

/// How a listing ended.
enum End {
    /// Everything was read.
    Read,
    /// The upstream says that nothing changed.
    NotModified,
    /// The upstream failed.
    Failed(Failure),
}
