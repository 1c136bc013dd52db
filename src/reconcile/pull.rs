//! Owns: reading one binding: pages → fingerprints → what changed is staged; a page and its checkpoint commit together.
//!
//! Must not know: what is decided about an observation (but for first contact, which `contact` owns).
//!
//! The unchanged record costs a cut, a hash and one narrow lookup, and writes nothing. While a page is worked on,
//! the next one is being fetched. Memory is bounded by two pages, whatever the size of the collection.

use std::sync::Arc;

use roaring::RoaringTreemap;
use xxhash_rust::xxh3::xxh3_64;

use crate::merge::LinkState;
use crate::record::Mapped;
use crate::rules::Read as ReadRules;
use crate::store::{self, DirtyOp, Known, LinkId, Micros, QuarantineRow, Staged, StagedKind, Store, StoreError, Tx};
use crate::upstream::{Client, Failure, FailureKind, ListQuery, Lister, Page};

use super::contact::{self, Contact};
use super::context::{Pass, remote_subject};
use super::cursor::{Cursor, Scan};
use super::report::{Progress, Step, UpstreamReport};

/// Staged rows looked at in one statement.
const STALE_CHUNK: usize = 256;

/// What came of reading one binding.
#[derive(Debug)]
pub struct Pulled {
    /// The binding's position.
    pub binding: usize,
    /// Counts so far.
    pub report: UpstreamReport,
    /// Why the binding takes no part in this pass.
    pub blocked: Option<String>,
    /// A complete generation was read from beginning to end: the links that were seen.
    pub generation: Option<RoaringTreemap>,
    /// Rows that first contact inserted while reading.
    pub inserted: u64,
}

/// One binding being read.
struct Puller<'a> {
    store: &'a dyn Store,
    pass: &'a Arc<Pass>,
    binding: usize,
    /// Observations of earlier passes wait in staging: what is listed as it was at the base replaces them, too.
    waiting: bool,
    /// First contact may insert while reading (nothing else can have a say about a record of the only unread binding).
    eager: bool,
    cursor: Cursor,
    high: Option<Micros>,
    mark: Option<String>,
    started_at: Micros,
    seen: RoaringTreemap,
    unreadable: bool,
    out: Pulled,
}

/// True while a binding of the collection has never been read to its end.
pub async fn any_first(store: &dyn Store, pass: &Arc<Pass>) -> Result<bool, StoreError> {
    let pass = Arc::clone(pass);
    store::read(store, move |view| {
        for at in 0..pass.collection.bindings.len() {
            if let Some((_, way)) = way(&pass, at)
                && Cursor::load(view.cursor(pass.binding_key(at))?.as_deref(), &way)?.full_at.is_none()
            {
                return Ok(true);
            }
        }
        Ok(false)
    })
    .await
}

/// How a binding is read, and a hash that names this way of reading.
fn way(pass: &Pass, binding: usize) -> Option<(&ReadRules, String)> {
    let rules = pass.rules(binding).filter(|rules| rules.pull)?;
    let read = rules.read.as_ref()?;
    let text = format!("{:?} {:?}", read.request, read.incremental);
    Some((read, format!("{:016x}", xxh3_64(text.as_bytes()))))
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
        generation: None,
        inserted: 0,
    };
    let Some((read, way)) = way(pass, binding) else { return Ok(out) };
    let key = pass.binding_key(binding);
    let (text, links, waiting) = store::read(store, move |view| {
        Ok((view.cursor(key)?, view.link_count(key, LinkState::Live)?, view.staged_count(key)? > 0))
    })
    .await?;
    let cursor = Cursor::load(text.as_deref(), &way)?;
    out.report.read = "full".into();
    let eager = cursor.full_at.is_none() && !pass.planning;
    let mut puller = Puller {
        store,
        pass,
        binding,
        waiting,
        eager,
        cursor,
        high: None,
        mark: None,
        started_at: pass.micros(),
        seen: RoaringTreemap::new(),
        unreadable: false,
        out,
    };
    puller.run(client, read, full, links, progress).await?;
    Ok(puller.out)
}

impl Puller<'_> {
    async fn run(
        &mut self,
        client: &Arc<Client>,
        read: &ReadRules,
        full: bool,
        links: u64,
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        let (query, complete) = self.cursor.query(&read.incremental, full, self.pass.now);
        match self.list(client, query.clone(), complete, links, progress).await? {
            None => Ok(()),
            // A token that has expired says nothing about records: everything is read again, and what an interrupted
            // or re-based listing leaves out proves nothing.
            Some(failure) if failure.kind == FailureKind::CursorExpired && query != ListQuery::default() => {
                self.seen.clear();
                self.cursor.scan = None;
                match self.list(client, ListQuery::default(), true, links, progress).await? {
                    None => self.out.generation = None,
                    Some(failure) => self.block(&failure),
                }
                Ok(())
            }
            Some(failure) => {
                self.block(&failure);
                Ok(())
            }
        }
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
        links: u64,
        progress: &dyn Progress,
    ) -> Result<Option<Failure>, StoreError> {
        let resumed = query.resume.is_some();
        let Some(rules) = self.pass.rules(self.binding).cloned() else { return Ok(None) };
        if let Some(scan) = self.cursor.scan.as_ref().filter(|_| resumed) {
            (self.high, self.mark, self.started_at) = (scan.high, scan.mark.clone(), scan.started_at);
        }
        if complete { "full" } else { "incremental" }.clone_into(&mut self.out.report.read);
        let mut lister = Lister::new(Arc::clone(client), rules, query);
        let mut first = !resumed;
        let first_load = self.eager && !resumed;
        let (pass, binding) = (Arc::clone(self.pass), self.binding);
        let cut = |page: Page| Cut::new(&pass, binding, page, first_load);
        let mut fetched = lister.page().await.map(|page| page.map(cut));
        loop {
            let cut_page = match fetched {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(failure) => return Ok(Some(failure)),
            };
            let page = &cut_page.page;
            self.out.report.requests += 1;
            if first {
                first = false;
                self.started_at = page.requested_at.timestamp_micros();
                self.mark.clone_from(&page.mark);
            }
            if page.not_modified {
                "not_modified".clone_into(&mut self.out.report.read);
                self.out.report.unchanged += links;
                return Ok(None);
            }
            let last = page.next.is_none();
            let (next, worked) = futures_util::future::join(
                // Cutting and mapping the next page costs this thread what the store's thread spends on this one.
                async { if last { Ok(None) } else { lister.page().await.map(|page| page.map(cut)) } },
                self.page(cut_page, complete, first_load),
            )
            .await;
            worked?;
            progress.step(&Step::Pulled {
                collection: &self.pass.collection.name,
                upstream: &self.out.report.upstream,
                records: self.out.report.listed,
                changed: self.out.report.listed - self.out.report.unchanged,
                expected: (links > 0).then_some(links),
            });
            fetched = next;
        }
        self.finish(complete, resumed).await?;
        Ok(None)
    }

    /// Works on one page: what is known and unchanged costs a lookup; the rest is staged (or inserted, on first contact)
    /// in one transaction with the checkpoint.
    async fn page(&mut self, cut: Cut, complete: bool, first_load: bool) -> Result<(), StoreError> {
        let mut job = PageJob {
            pass: Arc::clone(self.pass),
            binding: self.binding,
            waiting: self.waiting,
            eager: self.eager,
            cursor: complete.then(|| {
                let mut cursor = self.cursor.clone();
                cursor.scan = cut.page.next.clone().map(|token| Scan {
                    token,
                    mark: self.mark.clone(),
                    high: self.high,
                    started_at: self.started_at,
                });
                cursor
            }),
            high: self.high,
            cut,
        };
        // Nothing can be unchanged while nothing is linked: one trip instead of two.
        let done = if first_load {
            store::write_relaxed(self.store, move |tx| job.write(tx)).await?
        } else {
            let (job, change) = store::read(self.store, move |view| {
                let known = job.known(view)?;
                let changed = job.waiting || known.iter().any(|entry| !entry.unchanged());
                Ok((job, (known, changed)))
            })
            .await?;
            let (mut known, changed) = change;
            if changed {
                store::write_relaxed(self.store, move |tx| job.write_known(tx, &mut known)).await?
            } else {
                let mut done = PageDone::default();
                done.unchanged(&known);
                done
            }
        };
        self.high = self.high.max(done.high);
        self.seen |= done.seen;
        self.out.report.listed += done.listed;
        self.out.report.unchanged += done.unchanged;
        self.out.inserted += done.inserted;
        self.unreadable |= done.unreadable;
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

    async fn finish(&mut self, complete: bool, resumed: bool) -> Result<(), StoreError> {
        let before = self.cursor.clone();
        let ended_at = self.started_at.max(self.pass.micros());
        self.cursor.finish(complete, self.mark.clone(), self.high, self.started_at, ended_at);
        self.drop_stale(complete && !resumed).await?;
        // A record that was listed but could not be read may be any of the links that were not seen.
        if complete && !resumed && !self.unreadable {
            self.out.generation = Some(std::mem::take(&mut self.seen));
        }
        let key = self.pass.binding_key(self.binding);
        let text = self.cursor.save();
        if self.cursor != before {
            store::write(self.store, move |tx| tx.set_cursor(key, &text)).await?;
        }
        Ok(())
    }
}

/// A page, cut and hashed; on a first load, where every record will be needed, mapped as well.
struct Cut {
    page: Page,
    ids: Vec<Result<String, String>>,
    fingerprints: Vec<u64>,
    mapped: Vec<Option<Mapped>>,
}

impl Cut {
    fn new(pass: &Pass, binding: usize, page: Page, map: bool) -> Self {
        let (mut ids, mut fingerprints, mut mapped) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(rules) = pass.rules(binding) {
            for range in &page.records {
                let raw = page.body.get(range.clone()).unwrap_or_default();
                fingerprints.push(xxh3_64(raw));
                // What cannot be mapped is mapped again where its reason is needed.
                let whole = if map { rules.mapper.read(raw).ok() } else { None };
                ids.push(match &whole {
                    Some(whole) => Ok(whole.id.clone()),
                    None => rules.mapper.id(raw).map_err(|error| error.to_string()),
                });
                mapped.push(whole);
            }
        }
        Self { page, ids, fingerprints, mapped }
    }
}

/// One page on its way through the store.
struct PageJob {
    pass: Arc<Pass>,
    binding: usize,
    waiting: bool,
    eager: bool,
    /// The checkpoint; only complete listings are resumed.
    cursor: Option<Cursor>,
    high: Option<Micros>,
    cut: Cut,
}

/// One record of a page, looked up.
struct Entry {
    at: usize,
    mapped: Option<Mapped>,
    remote_id: Result<String, String>,
    fingerprint: u64,
    known: Option<Known>,
}

impl Entry {
    /// As at the base; a record that is tied to nothing on purpose does not count as changed either.
    fn unchanged(&self) -> bool {
        self.known.is_some_and(|known| known.fingerprint == self.fingerprint || known.state == LinkState::Detached)
    }
}

/// What came of a page.
#[derive(Default)]
struct PageDone {
    listed: u64,
    unchanged: u64,
    inserted: u64,
    unreadable: bool,
    seen: RoaringTreemap,
    high: Option<Micros>,
}

impl PageDone {
    fn unchanged(&mut self, entries: &[Entry]) {
        self.listed += entries.len() as u64;
        for known in entries.iter().filter(|entry| entry.unchanged()).filter_map(|entry| entry.known) {
            self.unchanged += 1;
            self.see(known.link);
        }
    }

    fn see(&mut self, link: LinkId) {
        self.seen.insert(link.0.unsigned_abs());
    }
}

impl PageJob {
    fn raw(&self, at: usize) -> &[u8] {
        let page = &self.cut.page;
        page.records.get(at).and_then(|range| page.body.get(range.clone())).unwrap_or_default()
    }

    /// Looks the page's records up. Takes what was cut: a page is looked up once.
    fn known(&mut self, view: &dyn store::View) -> Result<Vec<Entry>, StoreError> {
        let ids = std::mem::take(&mut self.cut.ids).into_iter();
        let mapped = std::mem::take(&mut self.cut.mapped);
        let mut entries: Vec<Entry> = ids
            .zip(&self.cut.fingerprints)
            .zip(mapped)
            .enumerate()
            .map(|(at, ((remote_id, fingerprint), mapped))| Entry {
                at,
                mapped,
                remote_id,
                fingerprint: *fingerprint,
                known: None,
            })
            .collect();
        let ids: Vec<&str> = entries.iter().filter_map(|entry| entry.remote_id.as_deref().ok()).collect();
        let mut known = view.known(self.pass.binding_key(self.binding), &ids)?.into_iter();
        for entry in entries.iter_mut().filter(|entry| entry.remote_id.is_ok()) {
            entry.known = known.next().flatten();
        }
        Ok(entries)
    }

    fn write(mut self, tx: &mut dyn Tx) -> Result<PageDone, StoreError> {
        let mut known = self.known(tx)?;
        self.write_known(tx, &mut known)
    }

    fn write_known(self, tx: &mut dyn Tx, entries: &mut [Entry]) -> Result<PageDone, StoreError> {
        let mut done = PageDone { high: self.high, ..PageDone::default() };
        done.unchanged(entries);
        if self.waiting {
            for known in entries.iter().filter(|entry| entry.unchanged()).filter_map(|entry| entry.known) {
                self.is_as_it_was(tx, known.link)?;
            }
        }
        for entry in entries.iter_mut().filter(|entry| !entry.unchanged()) {
            if let Some(known) = entry.known {
                done.see(known.link);
            }
            self.changed(tx, entry, &mut done)?;
        }
        if let Some(mut cursor) = self.cursor {
            if let Some(scan) = &mut cursor.scan {
                scan.high = done.high;
            }
            if cursor.scan.is_some() {
                tx.set_cursor(self.pass.binding_key(self.binding), &cursor.save())?;
            }
        }
        Ok(done)
    }

    /// Takes back what an earlier pass staged of a record and could not decide on: it is not so any more.
    fn is_as_it_was(&self, tx: &mut dyn Tx, link: LinkId) -> Result<(), StoreError> {
        let Some(link) = tx.link(link)? else { return Ok(()) };
        let staged = tx.staged_of(self.pass.key, &link.record)?;
        if staged.iter().any(|one| one.binding == link.binding && one.remote_id == link.remote_id) {
            tx.unstage(link.binding, &link.remote_id)?;
            tx.mark_dirty(self.pass.key, &link.record, DirtyOp::Recheck)?;
        }
        Ok(())
    }

    fn changed(&self, tx: &mut dyn Tx, entry: &mut Entry, done: &mut PageDone) -> Result<(), StoreError> {
        let raw = self.raw(entry.at);
        let remote_id = match &entry.remote_id {
            Ok(remote_id) => remote_id,
            Err(reason) => {
                done.unreadable = true;
                return self.unreadable(tx, entry, reason);
            }
        };
        let mut staged = Staged {
            binding: self.pass.binding_key(self.binding),
            remote_id: remote_id.clone(),
            collection: self.pass.key,
            record: None,
            kind: StagedKind::Record,
            fingerprint: entry.fingerprint,
            raw: Vec::new(),
            version: None,
            observed_at: self.cut.page.observed_at.timestamp_micros(),
            parked: None,
        };
        if let Some(known) = entry.known {
            let Some(link) = tx.link(known.link)? else { return Ok(()) };
            // A listing that is older than the deletion shows the record as it was before: no resurrection.
            if link.state == LinkState::Deleted && xxh3_64(&link.raw) == entry.fingerprint {
                return Ok(());
            }
            staged.record = Some(link.record);
        } else if self.eager {
            match contact::meet(tx, &self.pass, self.binding, &staged, raw, entry.mapped.take())? {
                Contact::Inserted { link, updated_at, .. } => {
                    done.inserted += 1;
                    done.see(link);
                    done.high = done.high.max(updated_at);
                    return Ok(());
                }
                Contact::Ignored => return Ok(()),
                // Whose it is is settled at the barrier, where all that may be the same record are known.
                Contact::Matched(_) => {}
                Contact::Parked(reason) | Contact::Queued { reason, .. } => staged.parked = Some(reason),
                Contact::Quarantined(reason) => return self.quarantine(tx, &remote_subject(remote_id), entry, &reason),
            }
        }
        if let Some(rules) = self.pass.rules(self.binding) {
            let updated_at = rules.mapper.read(raw).ok().and_then(|mapped| mapped.updated_at);
            done.high = done.high.max(updated_at.map(|at| at.timestamp_micros()));
        }
        staged.raw = raw.to_vec();
        tx.stage(&staged)
    }

    fn unreadable(&self, tx: &mut dyn Tx, entry: &Entry, reason: &str) -> Result<(), StoreError> {
        let subject = remote_subject(&format!("unreadable {:016x}", entry.fingerprint));
        self.quarantine(tx, &subject, entry, reason)
    }

    fn quarantine(&self, tx: &mut dyn Tx, subject: &str, entry: &Entry, reason: &str) -> Result<(), StoreError> {
        tx.put_quarantine(&QuarantineRow {
            collection: self.pass.collection.name.clone(),
            upstream: self.pass.upstream(self.binding).to_owned(),
            subject: subject.to_owned(),
            stage: "pull".into(),
            reason: reason.to_owned(),
            inputs: format!("{:016x}", entry.fingerprint),
            since: self.pass.micros(),
            pass: self.pass.id,
        })
    }
}
