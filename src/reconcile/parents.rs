//! Owns: a binding that is read parent by parent: which parents there are, the listing under each, where each of them stands.
//!
//! Must not know: what is done with the records of a page (that is `page`).
//!
//! Parents are what the same upstream has linked in the other collection, in the order of their remote ids, so that a walk
//! that was interrupted goes on after the last one that was read to its end. Only a part of them is in memory at once. The
//! first pages of some are asked for side by side; they are worked on in order. A parent whose listing fails, or gets no
//! answer, keeps its place, and the others go on, until some in a row got none: then it is the upstream that is down. A walk
//! that left out a parent shows not all there is, and what it does not show is not taken for gone. Where such a parent was
//! never read, a record that waits to be created may well be there: nothing is created until it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::merge::LinkState;
use crate::rules::{Binding, Incremental, Parent, SinceFrom};
use crate::store::{self, BindingKey, Micros, StagedKind, Store, StoreError};
use crate::upstream::{self, Client, Failure, FailureKind, Got, ListQuery, Lister, Page, PageToken};

use super::context::Pass;
use super::cursor::{Cursor, Scan};
use super::page::Cut;
use super::pull::{BYTES_AHEAD_MAX, BYTES_TOGETHER, PAGES_AHEAD_MAX, Puller};
use super::report::{Progress, Step};
use super::sites;

/// Parents that are looked up at once.
const CHUNK: usize = 1000;

/// After so many listings in a row that got no answer (or only that there will be none for now) the upstream is taken to be
/// down: the next ones would cost as long.
const UNANSWERED_MAX: u32 = 3;

/// Places of parents that are written together, at most.
const PLACES_TOGETHER: usize = 500;

/// One listing: of a parent, or of several that one request names.
struct Batch {
    /// Their remote ids, and where each stands.
    parents: Vec<(String, Cursor)>,
    /// What is asked for.
    query: ListQuery,
    /// Everything is.
    complete: bool,
}

/// A listing whose first page is there.
struct Begun {
    batch: Batch,
    lister: Lister,
    first: Result<Option<Page>, Failure>,
}

/// What the fetching side hands over.
enum Item {
    /// A page, with its share of the room.
    Page(Box<Cut>, OwnedSemaphorePermit),
    /// A listing was read to its end.
    Ended(Box<Ended>),
    /// A parent is gone; there is nothing under it.
    Gone,
    /// A listing failed, and the others go on.
    Failed { failure: Failure, unread: bool },
    /// The upstream failed: nothing more is asked.
    Stopped(Failure),
}

/// What comes after a listing.
enum Next {
    /// The next one.
    GoesOn,
    /// Nobody listens any more, or nothing more is to be asked.
    Stops,
    /// These once more, each by itself: one request for all of them fails.
    OneByOne(Vec<(String, Cursor)>),
}

/// What a listing leaves behind.
struct Ended {
    batch: Batch,
    mark: Option<String>,
    high: Option<DateTime<Utc>>,
    began: DateTime<Utc>,
    /// It was everything, and all of it was shown.
    whole: bool,
    not_modified: bool,
}

impl Ended {
    /// Where its parents stand now, where that is not where they stood.
    fn places(&self, incremental: &Incremental) -> Vec<(String, String)> {
        if self.not_modified {
            return Vec::new();
        }
        let began = self.began.timestamp_micros();
        let moved = self.batch.parents.iter().filter_map(|(parent, before)| {
            let mut now = before.clone();
            if *incremental == Incremental::Conditional {
                now.mark = None;
            }
            now.finish(true, self.mark.clone(), self.high.map(|high| high.timestamp_micros()), began, began);
            // That it was read is enough: a pass that finds nothing new writes nothing.
            now.full_at = before.full_at.or(now.full_at);
            (now != *before).then(|| (parent.clone(), now.save()))
        });
        moved.collect()
    }
}

/// The fetching side.
struct Walk {
    client: Arc<Client>,
    pass: Arc<Pass>,
    rules: Arc<Binding>,
    parent: Parent,
    binding: usize,
    /// The parents' binding.
    of: BindingKey,
    way: String,
    full: bool,
    first_load: bool,
    room: Arc<Semaphore>,
    give: mpsc::Sender<Item>,
    /// Listings that got no answer, since the last one that did.
    unanswered: AtomicU32,
}

/// What came of all listings.
#[derive(Default)]
struct Tally {
    listings: u64,
    failed: u64,
    failure: Option<Failure>,
    unread: bool,
    partial: bool,
}

/// Reads a binding under its parents, after the one that `resume` names.
pub async fn list(
    puller: &mut Puller<'_>,
    client: &Arc<Client>,
    resume: Option<PageToken>,
    progress: &dyn Progress,
) -> Result<Option<Failure>, StoreError> {
    let Some(rules) = puller.pass.rules(puller.binding).cloned() else { return Ok(None) };
    let Some(parent) = rules.read.as_ref().and_then(|read| read.parent.clone()) else { return Ok(None) };
    let (store, upstream) = (puller.store, rules.upstream.name.clone());
    let name = parent.collection.clone();
    let found = store::read(store, move |view| {
        let Some(of) = view.binding_key(&name, &upstream)? else { return Ok(None) };
        Ok(view.cursor(of)?.filter(|text| Cursor::was_read(text)).map(|_| of))
    });
    let Some(of) = found.await? else {
        let words = format!("{} was not read there yet, and its records are the parents", parent.collection);
        return Ok(Some(Failure::new(FailureKind::NotDone, words)));
    };
    let resumed = resume.is_some();
    puller.started_at = match puller.cursor.scan.as_ref().filter(|_| resumed) {
        Some(scan) => scan.started_at,
        None => client.now().timestamp_micros(),
    };
    let (give, take) = mpsc::channel(PAGES_AHEAD_MAX);
    let walk = Walk {
        client: Arc::clone(client),
        pass: Arc::clone(puller.pass),
        rules: Arc::clone(&rules),
        parent,
        binding: puller.binding,
        of,
        way: puller.cursor.way.clone(),
        full: puller.full,
        first_load: puller.eager && !resumed,
        room: Arc::new(Semaphore::new(BYTES_AHEAD_MAX as usize)),
        give,
        unanswered: AtomicU32::new(0),
    };
    let first_load = walk.first_load;
    let worked = {
        let mut fetch = std::pin::pin!(walk.fetch(store, resume.map(|token| token.at).unwrap_or_default()));
        let mut work = std::pin::pin!(work(puller, &rules, take, first_load, progress));
        tokio::select! {
            biased;
            worked = &mut work => worked,
            fetched = &mut fetch => {
                fetched?;
                work.await
            }
        }?
    };
    match worked {
        Ok(tally) => end((puller, client), tally, of, resumed).await,
        Err(failure) => Ok(Some(failure)),
    }
}

/// Works on what comes, and writes where the parents stand once their records are staged.
async fn work(
    puller: &mut Puller<'_>,
    rules: &Binding,
    mut items: mpsc::Receiver<Item>,
    first_load: bool,
    progress: &dyn Progress,
) -> Result<Result<Tally, Failure>, StoreError> {
    let incremental = rules.read.as_ref().map_or(&Incremental::None, |read| &read.incremental);
    // Where all is read again, what was read need not be read twice.
    let resumable = puller.full || puller.cursor.full_at.is_none() || *incremental == Incremental::None;
    let (mut tally, mut last) = (Tally::default(), None);
    while let Some(item) = items.recv().await {
        let (mut cuts, mut held, mut places, mut stopped, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), None, 0);
        let mut next = Some(item);
        while let Some(item) = next.take() {
            match item {
                Item::Page(cut, permit) => {
                    bytes += cut.page.body.len();
                    cuts.push(*cut);
                    held.push(permit);
                }
                Item::Ended(ended) => {
                    tally.listings += 1;
                    tally.partial |= !ended.whole;
                    places.extend(ended.places(incremental));
                    last = ended.batch.parents.last().map(|(parent, _)| parent.clone()).or(last);
                }
                Item::Gone => tally.listings += 1,
                Item::Failed { failure, unread } => {
                    tally.listings += 1;
                    tally.failed += 1;
                    tally.unread |= unread;
                    tally.failure.get_or_insert(failure);
                }
                Item::Stopped(failure) => stopped = Some(failure),
            }
            if bytes < BYTES_TOGETHER && places.len() < PLACES_TOGETHER {
                next = items.try_recv().ok();
            }
        }
        let news = |puller: &Puller<'_>| puller.out.report.listed - puller.out.report.unchanged;
        let before = news(puller);
        if !cuts.is_empty() {
            puller.pages(cuts, false, first_load).await?;
            drop(held);
            progress.step(&Step::Pulled {
                collection: &puller.pass.collection.name,
                upstream: &puller.out.report.upstream,
                records: puller.out.report.listed,
                changed: news(puller),
                expected: None,
            });
        }
        // A failed one before it would be passed over.
        let at =
            last.clone().filter(|_| resumable && tally.failed == 0 && (news(puller) > before || !places.is_empty()));
        keep(puller, places, at).await?;
        if let Some(failure) = stopped {
            return Ok(Err(failure));
        }
    }
    Ok(Ok(tally))
}

/// Writes where parents stand, and how far the walk has come.
async fn keep(puller: &Puller<'_>, places: Vec<(String, String)>, at: Option<String>) -> Result<(), StoreError> {
    if places.is_empty() && at.is_none() {
        return Ok(());
    }
    let key = puller.pass.binding_key(puller.binding);
    let text = at.map(|at| {
        let token = PageToken { at, pages: 0, records: 0, full: false, slice: None, job: None };
        let scan = Scan { token, mark: None, high: None, started_at: puller.started_at, stopped: 0 };
        Cursor { scan: Some(scan), ..puller.cursor.clone() }.save()
    });
    store::write_relaxed(puller.store, move |tx| {
        places.iter().try_for_each(|(parent, state)| tx.set_parent_cursor(key, parent, state))?;
        text.map_or(Ok(()), |text| tx.set_cursor(key, &text))
    })
    .await
}

/// What a walk read: everything under every parent, what is new under some, or everything but under those that failed.
fn how_read(tally: &Tally) -> &'static str {
    match (tally.partial, tally.failed) {
        (true, _) => "incremental",
        (false, 0) => "full",
        (false, _) => "partial",
    }
}

/// The walk has come to its end.
async fn end(
    (puller, client): (&mut Puller<'_>, &Arc<Client>),
    tally: Tally,
    of: BindingKey,
    resumed: bool,
) -> Result<Option<Failure>, StoreError> {
    puller.out.report.error = None;
    let read = how_read(&tally);
    if let Some(failure) = tally.failure {
        // Of a walk that goes on somewhere those that are left say nothing of the others, which are listed next.
        if tally.failed == tally.listings && !resumed {
            let kind = FailureKind::BadAnswer;
            return Ok(Some(Failure { kind, ..failure }));
        }
        let words = format!("{} of {} listings failed: {}", tally.failed, tally.listings, failure.words);
        if tally.unread {
            let words = format!("{} was not read whole yet: {words}", puller.out.report.upstream);
            puller.pass.hold_creates(puller.binding, words);
        }
        puller.out.report.error = Some(words);
    }
    let complete = !tally.partial && tally.failed == 0;
    read.clone_into(&mut puller.out.report.read);
    if let Some(failure) = puller.finish(client, complete, resumed).await? {
        return Ok(Some(failure));
    }
    let (key, store) = (puller.pass.binding_key(puller.binding), puller.store);
    if !complete && (puller.cursor.full_at.is_none() || tally.failed > 0) {
        // All that there was to read was read once; what a parent keeps back is known by its place.
        let began: Micros = puller.started_at;
        puller.cursor.full_at.get_or_insert(began);
        let text = puller.cursor.save();
        store::write(
            store,
            move |tx| if tx.cursor(key)?.as_ref() == Some(&text) { Ok(()) } else { tx.set_cursor(key, &text) },
        )
        .await?;
    }
    let mut after = String::new();
    loop {
        let from = after.clone();
        let gone = store::read(store, move |view| view.parents_gone(key, of, &from, CHUNK)).await?;
        let Some(last) = gone.last() else { return Ok(None) };
        after.clone_from(last);
        store::write(store, move |tx| gone.iter().try_for_each(|parent| tx.drop_parent_cursor(key, parent))).await?;
    }
}

/// After these nothing is to be had of the upstream in this pass. An answer that says only that it failed may be about one
/// listing; the breaker tells where it is not.
fn stops_all(failure: &Failure) -> bool {
    match failure.kind {
        FailureKind::Auth | FailureKind::Unavailable | FailureKind::Fatal => true,
        FailureKind::NotDone => matches!(failure.status, Some(403 | 425 | 429)),
        _ => false,
    }
}

/// Nobody answered, or only to say so. A listing that is too much for the upstream goes like that, and so does every listing
/// of one that is down.
fn is_unanswered(failure: &Failure) -> bool {
    failure.kind == FailureKind::NotDone && matches!(failure.status, None | Some(502..=504))
}

/// Of several parents that one request names, one may be the cause.
fn may_be_about_one(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::NotFound | FailureKind::Gone | FailureKind::Forbidden | FailureKind::Invalid)
}

impl Walk {
    /// Hands over the listings of all parents after one, in order.
    async fn fetch(self, store: &dyn Store, mut after: String) -> Result<(), StoreError> {
        loop {
            let batches = self.batches(store, &after).await?;
            let Some((last, _)) = batches.last().and_then(|batch| batch.parents.last()) else { return Ok(()) };
            after.clone_from(last);
            let at_once = self.rules.upstream.concurrency.max(1);
            let mut begun = stream::iter(batches).map(|batch| self.begin(batch)).buffered(at_once);
            while let Some(listing) = begun.next().await {
                let parents = match self.hand_over(store, listing).await? {
                    Next::GoesOn => continue,
                    Next::Stops => return Ok(()),
                    Next::OneByOne(parents) => parents,
                };
                for parent in parents {
                    let alone = self.begin(self.batch(vec![parent])).await;
                    if matches!(self.hand_over(store, alone).await?, Next::Stops) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The next parents, as many as one request names together.
    async fn batches(&self, store: &dyn Store, after: &str) -> Result<Vec<Batch>, StoreError> {
        let (of, key, after) = (self.of, self.pass.binding_key(self.binding), after.to_owned());
        let known = store::read(store, move |view| {
            let links = view.live_links(of, &after, CHUNK)?;
            let names: Vec<&str> = links.iter().map(|(parent, _)| parent.as_str()).collect();
            let places = view.parent_cursors(key, &names)?;
            Ok(links.into_iter().map(|(parent, _)| parent).zip(places).collect::<Vec<_>>())
        });
        let mut parents = Vec::new();
        for (parent, place) in known.await? {
            parents.push((parent, Cursor::load(place.as_deref(), &self.way)?));
        }
        let mut batches = Vec::new();
        while !parents.is_empty() {
            let rest = parents.split_off(parents.len().min(self.parent.batch.max(1)));
            batches.push(self.batch(std::mem::replace(&mut parents, rest)));
        }
        Ok(batches)
    }

    fn batch(&self, parents: Vec<(String, Cursor)>) -> Batch {
        let together = match parents.as_slice() {
            [(_, one)] => one.clone(),
            // From where the one stands that is furthest behind.
            several => {
                let all =
                    |at: fn(&Cursor) -> Option<Micros>| several.iter().map(|(_, cursor)| at(cursor)).min().flatten();
                Cursor { high: all(|one| one.high), full_at: all(|one| one.full_at), ..Cursor::default() }
            }
        };
        let incremental = self.rules.read.as_ref().map_or(&Incremental::None, |read| &read.incremental);
        let (query, complete) = together.query(incremental, self.full, self.pass.now);
        let names: Vec<&str> = parents.iter().map(|(parent, _)| parent.as_str()).collect();
        let query = ListQuery { parent: Some(names.join(",")), ..query };
        Batch { parents, query, complete }
    }

    async fn begin(&self, batch: Batch) -> Begun {
        let mut lister = Lister::new(Arc::clone(&self.client), Arc::clone(&self.rules), batch.query.clone());
        let first = lister.page().await;
        Begun { batch, lister, first }
    }

    /// Hands over one listing, page by page.
    async fn hand_over(&self, store: &dyn Store, begun: Begun) -> Result<Next, StoreError> {
        let Begun { batch, mut lister, first: mut next } = begun;
        let (mut mark, mut high, mut began, mut pages) = (None, None, None, 0_u64);
        let (mut whole, mut not_modified, mut again) = (batch.complete, false, false);
        loop {
            match next {
                Ok(Some(page)) => {
                    self.unanswered.store(0, Ordering::Relaxed);
                    pages += 1;
                    began.get_or_insert(page.requested_at);
                    mark = page.mark.clone().or(mark);
                    high = high.max(self.latest(&page));
                    not_modified |= page.not_modified;
                    whole &= !page.not_modified;
                    if !page.not_modified && !self.give_page(page).await {
                        return Ok(Next::Stops);
                    }
                    next = lister.page().await;
                }
                Ok(None) => {
                    let began = began.unwrap_or(self.pass.now);
                    let ended = Ended { batch, mark, high, began, whole, not_modified };
                    return Ok(self.give_item(Item::Ended(Box::new(ended))).await);
                }
                Err(failure)
                    if failure.kind == FailureKind::CursorExpired
                        && !again
                        && (pages > 0 || batch.query.since.is_some()) =>
                {
                    // It is read from its beginning; what it leaves out then proves nothing.
                    (again, whole, mark, high, began) = (true, false, None, None, None);
                    let query = ListQuery { parent: batch.query.parent.clone(), ..ListQuery::default() };
                    lister = Lister::new(Arc::clone(&self.client), Arc::clone(&self.rules), query);
                    next = lister.page().await;
                }
                Err(failure) => return self.failed(store, batch, failure).await,
            }
        }
    }

    async fn failed(&self, store: &dyn Store, batch: Batch, failure: Failure) -> Result<Next, StoreError> {
        let unanswered = if is_unanswered(&failure) { self.unanswered.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 };
        if stops_all(&failure) || unanswered >= UNANSWERED_MAX {
            let _nobody_asks_any_more = self.give.send(Item::Stopped(failure)).await;
            return Ok(Next::Stops);
        }
        if batch.parents.len() > 1 && may_be_about_one(failure.kind) {
            return Ok(Next::OneByOne(batch.parents));
        }
        let is_gone = match batch.parents.as_slice() {
            [(parent, _)] if matches!(failure.kind, FailureKind::NotFound | FailureKind::Gone) => {
                self.is_gone(store, parent).await?
            }
            _ => false,
        };
        let unread = batch.parents.iter().any(|(_, place)| place.full_at.is_none());
        let item = if is_gone { Item::Gone } else { Item::Failed { failure, unread } };
        Ok(self.give_item(item).await)
    }

    async fn give_item(&self, item: Item) -> Next {
        if self.give.send(item).await.is_ok() { Next::GoesOn } else { Next::Stops }
    }

    async fn give_page(&self, page: Page) -> bool {
        let cut = Cut::new(&self.pass, self.binding, page, self.first_load);
        let bytes = u32::try_from(cut.page.body.len()).unwrap_or(u32::MAX).clamp(1, BYTES_AHEAD_MAX);
        let Ok(held) = Arc::clone(&self.room).acquire_many_owned(bytes).await else { return false };
        self.give.send(Item::Page(Box::new(cut), held)).await.is_ok()
    }

    /// The latest time of change on a page, where the next listing begins at that.
    fn latest(&self, page: &Page) -> Option<DateTime<Utc>> {
        let incremental = &self.rules.read.as_ref()?.incremental;
        if !matches!(incremental, Incremental::Since { from: SinceFrom::UpdatedAt, .. }) {
            return None;
        }
        let time = |at: &std::ops::Range<usize>| self.rules.mapper.read(page.body.get(at.clone())?).ok()?.updated_at;
        page.records.iter().filter_map(time).max()
    }

    /// Whether the parent itself is known to be gone: by what is known here, or by asking for it.
    async fn is_gone(&self, store: &dyn Store, parent: &str) -> Result<bool, StoreError> {
        let (of, name) = (self.of, parent.to_owned());
        let known = store::read(store, move |view| {
            let known = view.known(of, &[name.as_str()])?.into_iter().next().flatten();
            let staged = view.staged(of, &name)?;
            let told = staged.is_some_and(|staged| matches!(staged.kind, StagedKind::Gone(_)));
            known
                .filter(|known| !told && known.state == LinkState::Live)
                .map_or(Ok(None), |known| view.link(known.link))
        });
        let Some(link) = known.await? else { return Ok(true) };
        let collection = self.pass.ruleset.collections.get(&self.parent.collection);
        let mut bindings = collection.iter().flat_map(|collection| &collection.bindings);
        let Some(rules) = bindings.find(|one| one.upstream.name == self.rules.upstream.name) else { return Ok(false) };
        if !upstream::has_point_read(rules) {
            return Ok(false);
        }
        Ok(matches!(
            upstream::get(&self.client, rules, &sites::of_link(rules, &link)).await,
            Ok(Got::Missing | Got::Merged(_))
        ))
    }
}
