//! Owns: feeds of events: which records one names, page by page, each of them read by its id.
//!
//! Must not know: what is done with records; that a feed begins where a listing of everything began is the matter of `listing`.

use std::collections::{BTreeMap, HashSet, VecDeque};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;

use super::paging::PAGES_MAX;
use super::point::{get_each, scalar_text};
use super::split::{cut_short, split_list};
use super::{Built, Client, Failure, FailureKind, Got, Holes, Page, Response, Site, Told};
use crate::record::{Filter, Json};
use crate::rules::{Binding, EventFeed, Request};

/// Records that are read before they are handed over.
const TOGETHER: usize = 100;

/// A feed that is being read.
#[derive(Debug)]
pub struct Feed {
    /// The token of the next answer, or of the next listing.
    token: String,
    /// Tokens that were asked for.
    asked: HashSet<String>,
    /// Records that are yet to be read, and whether the last event of each says that it was deleted.
    pending: VecDeque<(String, bool)>,
    requested_at: DateTime<Utc>,
    /// There is no more for now.
    ended: bool,
    /// All was handed over.
    done: bool,
}

/// What an answer says.
struct Answer {
    records: BTreeMap<String, bool>,
    /// None where nothing has happened: the token stays.
    next: Option<String>,
    goes_on: bool,
}

/// The token from which a feed tells what happens from now on; none where nothing has ever happened.
pub async fn start(client: &Client, feed: &EventFeed) -> Result<Option<String>, Failure> {
    let (built, response) = ask(client, &feed.start_request, |_| Ok(())).await?;
    let token = Json::parse(&response.body).map_err(|error| format!("not JSON: {error}"));
    let token = token.and_then(|answer| token_of(&feed.start_next, &answer, "start.next"));
    token.map_err(|what| client.bad_answer(&built, &response, &what))
}

impl Feed {
    /// Goes on from a token.
    pub fn from(token: &str, now: DateTime<Utc>) -> Self {
        Self {
            token: token.to_owned(),
            asked: HashSet::new(),
            pending: VecDeque::new(),
            requested_at: now,
            ended: false,
            done: false,
        }
    }

    /// The next records that events name, as they are now; `None` after the last ones.
    pub async fn page(
        &mut self,
        client: &Client,
        binding: &Binding,
        feed: &EventFeed,
    ) -> Result<Option<Page>, Failure> {
        if self.done {
            return Ok(None);
        }
        while self.pending.is_empty() && !self.ended {
            self.fetch(client, feed).await?;
        }
        let some: Vec<(String, bool)> = self.pending.drain(..self.pending.len().min(TOGETHER)).collect();
        // A feed is of all records, and of none that is listed under a parent.
        let some = some.into_iter().map(|(id, deleted)| (Site::of(binding, &id, b""), deleted)).collect();
        let (body, records, told) = read(client, binding, some).await?;
        self.done = self.ended && self.pending.is_empty();
        let mark = Some(self.token.clone()).filter(|token| self.done && !client.secrets().show_in(token));
        Ok(Some(Page {
            body,
            records,
            told,
            cut_down: Vec::new(),
            next: None,
            not_modified: false,
            mark,
            requested_at: self.requested_at,
            observed_at: client.now(),
        }))
    }

    async fn fetch(&mut self, client: &Client, feed: &EventFeed) -> Result<(), Failure> {
        let now = client.now();
        let expired = |mut failure: Failure| {
            if failure.kind == FailureKind::Gone {
                failure.kind = FailureKind::CursorExpired;
            }
            failure
        };
        let asked = ask(client, &feed.request, |built| built.set(&feed.into, &self.token)).await;
        let (built, response) = asked.map_err(expired)?;
        let bad = |what: String| client.bad_answer(&built, &response, &what);
        let answer = parse(feed, &response.body).map_err(&bad)?;
        if self.asked.is_empty() {
            self.requested_at = now;
        }
        let next = answer.next.unwrap_or_else(|| self.token.clone());
        self.asked.insert(std::mem::replace(&mut self.token, next));
        if answer.goes_on && self.asked.contains(&self.token) {
            return Err(bad("the feed goes in circles: its next token was asked for before".to_owned()));
        }
        if answer.goes_on && u64::try_from(self.asked.len()).unwrap_or(u64::MAX) >= PAGES_MAX {
            return Err(bad(format!("the feed does not end within {PAGES_MAX} answers")));
        }
        self.ended = !answer.goes_on;
        self.pending = answer.records.into_iter().collect();
        Ok(())
    }
}

async fn ask(
    client: &Client,
    request: &Request,
    fill: impl FnOnce(&mut Built) -> Result<(), Failure>,
) -> Result<(Built, Response), Failure> {
    let mut built = client.build(request, &Holes::default())?;
    fill(&mut built)?;
    let response = client.read(built.clone(), &mut |response| cut_short(&response.body)).await?;
    Ok((built, response))
}

/// Reads an answer. Of several events about one record the last one counts: they are asked for as they are now anyway.
fn parse(feed: &EventFeed, body: &[u8]) -> Result<Answer, String> {
    let events = split_list(body, &feed.events, &[]).map_err(|error| error.to_string())?.records;
    let mut records = BTreeMap::new();
    let holds = |filter: &Option<Filter>, name: &str, event: &Json| match filter {
        Some(filter) => filter.test(event).map_err(|error| format!("`{name}`: {error}")).map(Some),
        None => Ok(None),
    };
    for event in &events {
        let event = Json::parse(body.get(event.clone()).unwrap_or_default());
        let event = event.map_err(|error| format!("an event that is not JSON: {error}"))?;
        if holds(&feed.when, "when", &event)? == Some(false) {
            continue;
        }
        let id = text(&feed.id, &event, "id")?;
        records.insert(id, holds(&feed.deleted, "deleted", &event)? == Some(true));
    }
    let answer = Json::parse(body).map_err(|error| format!("not JSON: {error}"))?;
    let next = token_of(&feed.next, &answer, "next")?;
    if next.is_none() && !events.is_empty() {
        return Err("`next` is empty, although there are events: where the feed goes on is not known".to_owned());
    }
    let goes_on = holds(&feed.more, "more", &answer)?.unwrap_or(!events.is_empty());
    Ok(Answer { records, next, goes_on })
}

/// A token; the empty text says that there is none, which nothing at all does not say.
fn token_of(filter: &Filter, json: &Json, name: &str) -> Result<Option<String>, String> {
    match filter.run(json, &[], 1).as_deref() {
        Ok([Json::String(token)]) if token.is_empty() => Ok(None),
        Ok(_) | Err(_) => text(filter, json, name).map(Some),
    }
}

fn text(filter: &Filter, json: &Json, name: &str) -> Result<String, String> {
    let found = filter.run(json, &[], 1).map_err(|error| format!("`{name}`: {error}"))?;
    let found = found.first().and_then(scalar_text).map(std::borrow::Cow::into_owned);
    found.ok_or_else(|| format!("`{name}` finds neither a text nor a number"))
}

/// Reads records where they are. That one is not there proves nothing, unless its event has said so as well.
pub async fn read(
    client: &Client,
    binding: &Binding,
    some: Vec<(Site, bool)>,
) -> Result<(Bytes, Vec<std::ops::Range<usize>>, Vec<Told>), Failure> {
    let mut answers: Vec<_> = get_each(client, binding, some, |(site, _)| Some(site.clone())).collect().await;
    // They come in any order; what follows from them must not depend on it.
    answers.sort_by(|((one, _), _), ((other, _), _)| one.remote_id.cmp(&other.remote_id));
    let (mut body, mut records, mut told) = (BytesMut::new(), Vec::new(), Vec::new());
    for ((Site { remote_id: id, .. }, deleted), answer) in answers {
        match answer {
            Some(Ok(Got::Found(remote))) => {
                let start = body.len();
                body.extend_from_slice(&remote.raw);
                records.push(start..body.len());
            }
            Some(Ok(Got::Missing)) if deleted => told.push(Told::Gone(id)),
            Some(Ok(Got::Missing)) | None => {}
            Some(Ok(Got::Astray(why))) => told.push(Told::Unanswered(id, why)),
            Some(Ok(Got::Merged(into))) => told.push(Told::Merged(id, into)),
            Some(Err(failure)) => match failure.kind {
                // That is the matter of one record, and no other waits for it.
                FailureKind::Forbidden | FailureKind::OtherRecord | FailureKind::TooLarge => {
                    told.push(Told::Unanswered(id, failure.words));
                }
                _ => return Err(failure),
            },
        }
    }
    Ok((body.freeze(), records, told))
}
