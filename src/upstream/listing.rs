//! Owns: reading one listing page by page.
//!
//! Must not know: how pages follow each other (that is `paging`), what is done with records.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::capped::Slices;
use super::export::{self, Export, Made, file_request};
use super::feed::{self, Feed};
use super::formats::{cut_short, records_in};
use super::paging::{
    LoopGuard, Parsed, conclude_page, count_of, is_by_url, is_extra, page_request, parse_page, set_key,
};
use super::parented::tell_parent;
use super::parts::Parts;
use super::streamed::Streamed;
use super::table::Columns;
use super::{Built, Client, Failure, FailureKind, Holes, ListQuery, Page, PageToken, Response, words};
use crate::record::{Lens, Step};
use crate::rules::{Binding, BodyFormat, CapSplit, Incremental, PageCap, Place, Read};

/// A listing under way, for a task of its own. After an error it is of no more use: another one goes on from a checkpoint.
#[derive(Debug)]
pub struct Lister {
    client: Arc<Client>,
    binding: Arc<Binding>,
    walk: ListWalk,
}

impl Lister {
    /// Begins at the first page, or where `query.resume` says.
    pub fn new(client: Arc<Client>, binding: Arc<Binding>, query: ListQuery) -> Self {
        Self { client, binding, walk: ListWalk::new(query) }
    }

    /// Of everything (under a parent), to look through: no feed of events follows it.
    pub fn to_search(client: Arc<Client>, binding: Arc<Binding>, parent: Option<&str>) -> Self {
        Self { client, binding, walk: ListWalk::to_search(parent) }
    }

    /// Whether there is a next page, or may be.
    pub fn goes_on(&self) -> bool {
        !self.walk.done || self.walk.parts.is_some() || self.walk.streamed.is_some()
    }

    /// The next page; `None` after the last one.
    pub async fn page(&mut self) -> Result<Option<Page>, Failure> {
        self.walk.page(&self.client, &self.binding).await
    }
}

/// Where a listing stands.
#[derive(Debug)]
pub struct ListWalk {
    query: ListQuery,
    token: Option<PageToken>,
    /// The place where an earlier listing stopped is yet to be accepted by the upstream.
    resuming: bool,
    done: bool,
    guard: LoopGuard,
    /// An answer that is being handed over.
    parts: Option<Parts>,
    /// An answer that is being read, because it is too large to be read first.
    streamed: Option<Box<Streamed>>,
    /// Of a listing that ends after so many results, what is read of it now.
    slices: Slices,
    /// The feed of events, where one is read instead of a listing.
    feed: Option<Feed>,
    /// It was asked where the feed begins that follows a listing of everything.
    begun: bool,
    /// The export that an earlier listing stopped in.
    made: Option<Made>,
    /// The export that is listed, where one is made first.
    export: Option<Export>,
}

impl ListWalk {
    /// Begins at the first page, or where `query.resume` says.
    pub fn new(query: ListQuery) -> Self {
        let mut token = query.resume.clone();
        let resuming = token.is_some();
        let slices = Slices::at(token.as_mut().and_then(|token| token.slice.take()).unwrap_or_default());
        let made = token.as_mut().and_then(|token| token.job.take());
        let token = token.filter(|_| !slices.now.begins);
        let (guard, parts) = (LoopGuard::default(), None);
        let (feed, export, streamed) = (None, None, None);
        Self { query, token, resuming, done: false, guard, parts, streamed, slices, feed, begun: false, made, export }
    }

    /// Of everything (under a parent), to look through: no feed of events follows it.
    pub fn to_search(parent: Option<&str>) -> Self {
        let parent = parent.map(str::to_owned);
        Self { begun: true, ..Self::new(ListQuery { parent, ..ListQuery::default() }) }
    }

    /// The next page; `None` after the last one.
    pub async fn page(&mut self, client: &Client, binding: &Binding) -> Result<Option<Page>, Failure> {
        let Some(read) = &binding.read else {
            return Err(Failure::new(FailureKind::Fatal, format!("{} has no listing here", binding.collection)));
        };
        if let (Incremental::EventFeed(rules), Some(since)) = (&read.incremental, &self.query.since) {
            let feed = self.feed.get_or_insert_with(|| Feed::from(since, client.now()));
            return feed.page(client, binding, rules).await;
        }
        let token = self.begin_feed(client, read).await?;
        let Some(mut page) = self.next(client, binding, read).await? else { return Ok(None) };
        page.mark = token.or(page.mark);
        if read.cap.is_some() {
            page = self.capped(client, binding, read, page)?;
        }
        let name = read.parent.as_ref().and_then(|parent| parent.name.as_deref());
        if let (Some(name), Some(parent)) = (name, &self.query.parent) {
            tell_parent(&mut page, name, parent);
        }
        Ok(Some(page))
    }

    /// The next page of another listing than the binding's own; `None` after the last one.
    pub async fn page_of(&mut self, client: &Client, binding: &Binding, read: &Read) -> Result<Option<Page>, Failure> {
        self.next(client, binding, read).await
    }

    /// What happens while everything is listed has to be in the feed that follows: it begins before.
    async fn begin_feed(&mut self, client: &Client, read: &Read) -> Result<Option<String>, Failure> {
        let Incremental::EventFeed(rules) = &read.incremental else { return Ok(None) };
        if self.query.resume.is_some() || std::mem::replace(&mut self.begun, true) {
            return Ok(None);
        }
        let token = feed::start(client, rules).await?;
        Ok(token.filter(|token| !client.secrets().show_in(token)))
    }

    /// A page of a listing that may end too early: where it does, the next slice of it begins, and else it has no end.
    fn capped(&mut self, client: &Client, binding: &Binding, read: &Read, mut page: Page) -> Result<Page, Failure> {
        self.slices.note(read, binding, &mut page);
        // What changed while earlier slices were read has to be in the next listing: it begins where the first one did.
        page.mark = page.mark.filter(|_| self.slices.now.number == 0);
        if self.parts.is_some() || self.streamed.is_some() {
            return Ok(page);
        }
        let (pages, records) = self.token.as_ref().map_or((0, 0), |token| (token.pages, token.records));
        let begins = self.slices.go_on(read, self.query.since.as_deref()).map_err(|why| {
            let failure = |built: &Built| words::describe(&client.upstream.base_url, built, None, &why, 1);
            let request = self.request(client, read).ok().flatten();
            let words = request.map_or_else(|| why.clone(), |built| failure(&built));
            Failure::new(FailureKind::BadAnswer, words)
        })?;
        let slice = Some(self.slices.now.clone());
        if begins {
            (self.token, self.done, self.guard) = (None, false, LoopGuard::default());
            page.next = Some(PageToken { at: String::new(), pages, records, full: false, slice, job: None });
        } else if let Some(next) = &mut page.next {
            next.slice = slice;
        }
        let from = self.slices.now.from.as_deref();
        page.next = page.next.filter(|_| from.is_none_or(|from| !client.secrets().show_in(from)));
        Ok(page)
    }

    async fn next(&mut self, client: &Client, binding: &Binding, read: &Read) -> Result<Option<Page>, Failure> {
        if let Some(part) = self.part() {
            return Ok(Some(part));
        }
        if self.streamed.is_some() {
            return self.stream(client, binding, read).await.map(Some);
        }
        if self.done {
            return Ok(None);
        }
        self.make(client, read).await?;
        let Some(request) = self.request(client, read)? else {
            self.done = true;
            return Ok(Some(self.nothing(client)));
        };
        let by_url = is_by_url(&read.page);
        match &self.token {
            Some(token) => self.guard.enter(&token.at),
            None if by_url => self.guard.enter(request.url.as_str()),
            None => {}
        }
        let requested_at = client.now();
        let mut parsed = None;
        let mut parse = |response: &Response| {
            if response.status == 304 || response.rest.is_some() {
                return None;
            }
            let page = parse_page(read, response, &request.url, self.token.as_ref());
            let cut = if page.is_err() { cut_short(read, &response.body) } else { None };
            parsed = Some(page);
            cut
        };
        let response = match client.read(request.clone(), &mut parse).await {
            Ok(response) => response,
            Err(failure)
                if failure.kind == FailureKind::NotFound && !self.resuming && is_extra(read, self.token.as_ref()) =>
            {
                self.done = true;
                return Ok(None);
            }
            Err(failure) => return Err(self.expired(not_for_us(&request, failure))),
        };
        let was_resuming = std::mem::take(&mut self.resuming);
        if response.rest.is_some() {
            self.streamed = Some(Box::new(Streamed::new(request, response, requested_at)));
            return self.stream(client, binding, read).await.map(Some);
        }
        let observed_at = client.now();
        let Some(parsed) = parsed.filter(|_| response.status != 304) else {
            self.done = true;
            return Ok(Some(not_modified(self.query.etag.clone(), requested_at, observed_at)));
        };
        let bad = |what: String| {
            let failure = client.bad_answer(&request, &response, &what);
            if was_resuming { Failure { kind: FailureKind::CursorExpired, ..failure } } else { failure }
        };
        let mut parsed = parsed.map_err(&bad)?;
        missing_id(binding, parsed.columns.as_ref()).map_err(&bad)?;
        let count = parsed.records.len();
        self.lead_on(client, read, &mut parsed, count);
        self.guard.check(&parsed, &response.body).map_err(&bad)?;
        let (next, mark) = self.went_on(client, &mut parsed);
        let page = Page {
            body: response.body,
            cut_down: response.cut_down,
            told: Vec::new(),
            records: parsed.records,
            next,
            not_modified: false,
            mark,
            requested_at: self.as_of(requested_at),
            observed_at: self.as_of(observed_at),
        };
        if read.format == BodyFormat::Json {
            return Ok(Some(page));
        }
        self.parts = Some(Parts::new(page, parsed.columns));
        Ok(self.part())
    }

    /// More of an answer that is handed over as it comes.
    async fn stream(&mut self, client: &Client, binding: &Binding, read: &Read) -> Result<Page, Failure> {
        let Some(mut streamed) = self.streamed.take() else {
            return Err(Failure::new(FailureKind::BadAnswer, "nothing is read here"));
        };
        let (piece, is_last) = match streamed.next(client, &|columns| missing_id(binding, Some(columns))).await {
            Ok(piece) => piece,
            Err(failure) => return Err(not_for_us(&streamed.request, failure)),
        };
        let (body, requested_at, observed_at) = (piece.body, self.as_of(streamed.requested_at), client.now());
        let page = Page {
            body,
            records: piece.records,
            cut_down: piece.cut_down,
            told: Vec::new(),
            next: None,
            not_modified: false,
            mark: None,
            requested_at,
            observed_at: self.as_of(observed_at),
        };
        if !is_last {
            self.streamed = Some(streamed);
            return Ok(page);
        }
        let response = streamed.concluded(client)?;
        let (request, token) = (&streamed.request, self.token.as_ref());
        let bad = |what: String| client.bad_answer(request, &response, &what);
        let seen = (streamed.items, &streamed.last);
        let mut parsed = conclude_page(read, &response, &request.url, token, seen).map_err(&bad)?;
        self.lead_on(client, read, &mut parsed, streamed.count);
        let ends = (streamed.first.as_ref(), streamed.last.as_ref());
        self.guard.check_ends(ends, streamed.count, parsed.next.as_ref()).map_err(&bad)?;
        let (next, mark) = self.went_on(client, &mut parsed);
        Ok(Page { next, mark, ..page })
    }

    /// Puts what leads on behind an answer of so many records into a form that can be kept.
    fn lead_on(&self, client: &Client, read: &Read, parsed: &mut Parsed, count: usize) {
        if let Some(next) = parsed.next.as_mut().filter(|_| is_by_url(&read.page)) {
            next.at = client.without_credentials(&next.at);
        }
        if matches!(read.incremental, Incremental::Token { into: None, .. }) {
            parsed.mark = parsed.mark.take().map(|link| client.without_credentials(&link));
        }
        self.name_export(parsed, count);
    }

    /// Goes on behind an answer; gives what may be kept of where that is.
    fn went_on(&mut self, client: &Client, parsed: &mut Parsed) -> (Option<PageToken>, Option<String>) {
        self.done = parsed.next.is_none();
        self.token.clone_from(&parsed.next);
        // Whatever is kept of this page must not hold a secret that the upstream echoes (I19). Without a checkpoint an
        // interrupted listing begins anew, and without a mark the next one reads everything.
        let shows = |text: &str| client.secrets().show_in(text);
        let next = parsed.next.take();
        let next = next.filter(|next| !shows(&next.at) && next.job.iter().all(|made| !shows(&made.at)));
        (next, parsed.mark.take().filter(|mark| !shows(mark)))
    }

    /// Has made what is listed, where that is made first.
    async fn make(&mut self, client: &Client, read: &Read) -> Result<(), Failure> {
        let Some(rules) = read.export.as_ref().filter(|_| self.export.is_none()) else { return Ok(()) };
        self.export = Some(match self.made.take() {
            Some(made) => export::resume(client, rules, made).await?,
            None => export::begin(client, read, rules, &self.query).await?,
        });
        Ok(())
    }

    /// Which file of the export comes next.
    fn file(&self) -> usize {
        self.token.as_ref().and_then(|token| token.at.parse().ok()).unwrap_or(0)
    }

    /// Files follow each other; and whatever follows belongs to this export.
    fn name_export(&self, parsed: &mut Parsed, count: usize) {
        let Some(export) = &self.export else { return };
        if let Some(files) = &export.files {
            let (file, before) = (self.file(), self.token.as_ref().map_or(0, |token| token.records));
            let (pages, records) = (file as u64 + 1, before + count as u64);
            let next = PageToken { at: (file + 1).to_string(), pages, records, full: false, slice: None, job: None };
            parsed.next = Some(next).filter(|_| file + 1 < files.len());
        }
        if let Some(next) = &mut parsed.next {
            next.job = Some(export.made.clone());
        }
    }

    /// An export shows things as they were when it was asked for, or later, whenever it is read.
    fn as_of(&self, moment: DateTime<Utc>) -> DateTime<Utc> {
        self.export.as_ref().map_or(moment, |export| export.made.since)
    }

    /// An export without a file.
    fn nothing(&self, client: &Client) -> Page {
        let at = self.as_of(client.now());
        Page { not_modified: false, ..not_modified(None, at, at) }
    }

    /// What is left of an answer, where it is handed over in parts.
    fn part(&mut self) -> Option<Page> {
        let (part, is_last) = self.parts.as_mut()?.next();
        if is_last {
            self.parts = None;
        }
        Some(part)
    }

    /// The request of the next page. A saved place that cannot even be put into it is as good as expired.
    /// `None`: the export has no such file.
    fn request(&self, client: &Client, read: &Read) -> Result<Option<Built>, Failure> {
        if let Some(files) = self.export.as_ref().and_then(|export| export.files.as_ref()) {
            let request = files.get(self.file()).map(|url| file_request(client, url));
            return Ok(request.map(|built| Built { records: Some(records_in(read)), ..built }));
        }
        let job = self.export.as_ref().map(|export| export.made.at.as_str());
        let query = self.slices.query(read, &self.query);
        let build = |count: Option<String>| {
            let (parent, count) = (self.query.parent.as_deref(), count.as_deref());
            let holes = Holes { parent, count, job, ..Holes::default() };
            let mut built = client.build(&read.request, &holes)?;
            built.records = Some(records_in(read));
            page_request(built, read, &query, self.token.as_ref())
        };
        let built = count_of(read, self.token.as_ref()).and_then(build).and_then(|mut built| {
            let Some(from) = &self.slices.now.from else { return Ok(built) };
            // That a part has nothing new says nothing about the whole.
            built.conditional = false;
            if let Some(PageCap { split: Some(CapSplit::Key { into, .. }), .. }) = &read.cap
                && !(is_by_url(&read.page) && self.token.is_some() && matches!(into, Place::Query(_)))
            {
                set_key(&mut built, into, from)?;
            }
            Ok(built)
        });
        built.map(Some).map_err(|failure| match failure.kind {
            FailureKind::BadAnswer if self.resuming => Failure { kind: FailureKind::CursorExpired, ..failure },
            _ => failure,
        })
    }

    /// 410 to a listing that goes on from somewhere means that the somewhere is gone, not the collection. Where an earlier
    /// listing stopped may be refused in other words, too: tokens expire, signed links end, the upstream moves to another host, and pages
    /// are fewer than they were. What is wrong whatever is asked for, the first page says as well.
    fn expired(&self, mut failure: Failure) -> Failure {
        let gone = failure.kind == FailureKind::Gone && (self.token.is_some() || self.query.since.is_some());
        let refused = match failure.kind {
            FailureKind::Invalid | FailureKind::NotFound => matches!(failure.status, Some(400 | 404 | 422)),
            FailureKind::Forbidden | FailureKind::BadAnswer | FailureKind::Fatal => true,
            _ => false,
        };
        if gone || (self.resuming && refused) {
            failure.kind = FailureKind::CursorExpired;
        }
        failure
    }
}

/// That somebody else's host refuses a URL says nothing of our credentials: the URL is over.
fn not_for_us(request: &Built, failure: Failure) -> Failure {
    match failure.kind {
        FailureKind::Auth | FailureKind::Forbidden if request.bare => {
            Failure { kind: FailureKind::BadAnswer, ..failure }
        }
        _ => failure,
    }
}

/// A table without the column of ids is another one, or a report of what went wrong.
fn missing_id(binding: &Binding, columns: Option<&Columns>) -> Result<(), String> {
    let (Some(columns), Lens::Path(path)) = (columns, &binding.mapper.probe.id) else { return Ok(()) };
    match path.steps.first() {
        Some(Step::Key(name)) if !columns.has(name) => {
            Err(format!("the header has no column `{name}`, where the id is"))
        }
        Some(_) | None => Ok(()),
    }
}

fn not_modified(mark: Option<String>, requested_at: DateTime<Utc>, observed_at: DateTime<Utc>) -> Page {
    let (body, records, cut_down, told) = (Bytes::new(), Vec::new(), Vec::new(), Vec::new());
    Page { body, records, cut_down, told, next: None, not_modified: true, mark, requested_at, observed_at }
}
