//! Owns: reading a listing page by page, with its guards; the first page's marks.
//!
//! Must not know: what records mean, where listings stand between passes.

use std::sync::Arc;

use http::Method;
use url::Url;
use xxhash_rust::xxh3::Xxh3;

use crate::rules::{Binding, Incremental, Place, Read, SinceFrom};

use super::client::Client;
use super::outcome::{Failure, FailureKind, ListQuery, Page, PageToken};
use super::paging::{self, Answer, LoopGuard, wrong};
use super::request::{Draft, Safety, bad};
use super::split::split;
use super::transport::Response;

/// A listing under way.
pub struct Lister {
    client: Arc<Client>,
    binding: Arc<Binding>,
    query: ListQuery,
    token: Option<PageToken>,
    guard: LoopGuard,
    ended: bool,
}

impl Lister {
    /// Nothing is sent until the first page is asked for.
    pub fn new(client: Arc<Client>, binding: Arc<Binding>, query: ListQuery) -> Self {
        let token = query.resume.clone();
        Self { client, binding, query, token, guard: LoopGuard::default(), ended: false }
    }

    /// The next page; `None` after the last one.
    pub async fn page(&mut self) -> Result<Option<Page>, Failure> {
        let binding = Arc::clone(&self.binding);
        let Some(read) = binding.read.as_ref().filter(|_| !self.ended) else { return Ok(None) };
        let draft = self.draft(read)?;
        let built = draft.build();
        let url = built.url.clone();
        let safety = if built.method == Method::GET { Safety::Read } else { Safety::Idempotent };
        let requested_at = self.client.clock().now();
        let answer = self.client.send(built, safety).await?;
        let observed_at = self.client.clock().now();
        if answer.status == 304 {
            self.ended = true;
            return Ok(Some(Page {
                body: answer.body,
                records: Vec::new(),
                next: None,
                not_modified: true,
                mark: None,
                requested_at,
                observed_at,
            }));
        }
        let records = split(&answer.body, &read.records).map_err(|reason| not_a_page(&url, &answer, &reason))?;
        let mark = if self.token.is_none() { mark(&read.incremental, &answer)? } else { None };
        let seen = Answer { headers: &answer.headers, body: &answer.body, records: records.len() as u64, url: &url };
        let next = paging::next(&read.page, self.client.upstream(), self.token.as_ref(), &seen)?;
        self.guard.admit(next.as_ref(), content(&answer.body, &records))?;
        self.token.clone_from(&next);
        self.ended = next.is_none();
        Ok(Some(Page { body: answer.body, records, next, not_modified: false, mark, requested_at, observed_at }))
    }

    fn draft(&self, read: &Read) -> Result<Draft, Failure> {
        let is_url = paging::is_url(&read.page);
        let mut draft = match &self.token {
            Some(token) if is_url => {
                let url = Url::parse(&token.at)
                    .map_err(|error| bad(format!("the next page's URL cannot be read: {error}")))?;
                // Headers and method are the listing's own; query and path are the server's.
                let listing = self.client.draft(&read.request, &|_| None)?;
                listing.moved_to(url)
            }
            _ => self.client.draft(&read.request, &|_| None)?,
        };
        if !(is_url && self.token.is_some()) {
            self.place_since(read, &mut draft)?;
            paging::place(&read.page, &mut draft, self.token.as_ref())?;
        } else if let Incremental::Since { into: Place::Header(_), .. } = &read.incremental {
            self.place_since(read, &mut draft)?;
        }
        if let (Incremental::Conditional, Some(etag), None) = (&read.incremental, &self.query.etag, &self.token) {
            draft.put(&Place::Header("If-None-Match".into()), etag)?;
        }
        Ok(draft)
    }

    fn place_since(&self, read: &Read, draft: &mut Draft) -> Result<(), Failure> {
        match (&read.incremental, &self.query.since) {
            (Incremental::Since { into, .. }, Some(since)) => draft.put(into, since),
            (Incremental::Since { .. } | Incremental::None | Incremental::Conditional, _) => Ok(()),
        }
    }
}

/// A hash over the records of a page; `None` for an empty one.
fn content(body: &[u8], records: &[std::ops::Range<usize>]) -> Option<u64> {
    if records.is_empty() {
        return None;
    }
    let mut hash = Xxh3::new();
    // First and last record tell pages apart as well as all of them do: a page is compared with its own listing only.
    for range in records.first().into_iter().chain(records.last()) {
        hash.update(body.get(range.clone()).unwrap_or_default());
    }
    hash.update(&records.len().to_le_bytes());
    Some(hash.digest())
}

/// What the first page says for the next incremental listing.
fn mark(incremental: &Incremental, answer: &Response) -> Result<Option<String>, Failure> {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(match incremental {
        Incremental::None => None,
        Incremental::Conditional => header("etag"),
        Incremental::Since { from, .. } => match from {
            SinceFrom::UpdatedAt => None,
            SinceFrom::Header(name) => header(name),
            SinceFrom::Body(path) => paging::text_at(path, &answer.body)?,
        },
    })
}

/// An answer that holds no page is never an empty page: it proves nothing.
fn not_a_page(url: &Url, answer: &Response, reason: &str) -> Failure {
    let kind = answer
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("no content type");
    let start: String = String::from_utf8_lossy(&answer.body).chars().filter(|ch| !ch.is_control()).take(80).collect();
    let mut failure = wrong(format!(
        "GET {}: status {} with {kind} is no page of records: {reason}; it begins: {start}",
        url.path(),
        answer.status
    ));
    failure.status = Some(answer.status);
    failure.kind = FailureKind::BadAnswer;
    failure
}
