//! Owns: answering reads: point reads, listings, what changed, 304.
//!
//! Must not know: faults other than what they do to a listing.

use serde_json::Value;

use super::call::Call;
use super::config::{CursorEnd, Delete, Envelope, Paging, ResourceConfig, Since, SinceBy, TimeFormat};
use super::json::{self, Object};
use super::paging::{self, TOKEN_PARAM, Twist, Window};
use super::reply::{Answer, Refusal};
use super::shelf::{Shelf, State, Stored, render};

/// A listing that was answered.
#[derive(Debug)]
pub struct Listed {
    /// The answer.
    pub answer: Answer,
    /// How many records it has.
    pub records: usize,
    /// Where in the listing the request stood.
    pub position: Option<String>,
}

/// `GET path/{id}`
pub fn get(config: &ResourceConfig, shelf: &Shelf, id: &str, call: &Call) -> Result<Answer, Refusal> {
    let stored = shelf.get(id).ok_or_else(|| not_found(id))?;
    let etag = quoted(stored.version);
    if config.conditional.record && not_modified(call, stored.version) {
        return Ok(Answer::empty(304).with("etag", etag));
    }
    let answer = Answer::json(200, Value::Object(render(config, stored)));
    Ok(if config.conditional.record { answer.with("etag", etag) } else { answer })
}

/// `GET path`
pub fn list(config: &ResourceConfig, shelf: &Shelf, call: &Call, twist: &Twist) -> Result<Listed, Refusal> {
    let etag = config.conditional.collection.then(|| quoted(shelf.version()));
    if let Some(etag) = &etag
        && not_modified(call, shelf.version())
    {
        return Ok(Listed { answer: Answer::empty(304).with("etag", etag), records: 0, position: None });
    }
    let listing = select(config, shelf, call)?;
    let window = paging::cut(config, call, &listing, twist)?;
    let total = if *twist == Twist::Empty { 0 } else { listing.len() };
    let mut answer = envelope(config, call, &window, total);
    if let Some(etag) = etag {
        answer = answer.with("etag", etag);
    }
    Ok(Listed { answer, records: window.records.len(), position: window.position })
}

/// 404
pub fn not_found(id: &str) -> Refusal {
    Refusal::new(404, "not_found", format!("there is no record {id:?}"))
}

/// An entity tag (RFC 9110, section 8.8.3).
pub fn quoted(version: u64) -> String {
    format!("\"{version}\"")
}

/// Whether a list of entity tags has this version; `*` has every one. Quotes and weakness do not matter.
pub fn has_tag(list: &str, version: u64) -> bool {
    let version = version.to_string();
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/").trim_matches('"') == version)
}

fn not_modified(call: &Call, version: u64) -> bool {
    call.header("if-none-match").is_some_and(|list| has_tag(list, version))
}

/// The records that a request asks for, in order, each with the number it is ordered by.
fn select<'a>(config: &ResourceConfig, shelf: &'a Shelf, call: &Call) -> Result<Vec<(u64, &'a Stored)>, Refusal> {
    let since = match &config.since {
        Some(since) => call.param(&since.param).map(|value| lower_bound(config, since, value)).transpose()?,
        None => None,
    };
    let archived_only = config.archived_param.as_ref().is_some_and(|param| call.param(param) == Some("true"));
    let tombstones = since.is_some() && config.since.as_ref().is_some_and(|since| since.tombstones);
    let listed = |stored: &Stored| match stored.state {
        State::Live => !archived_only,
        State::Archived => archived_only || tombstones || config.delete == Delete::Archive { listed: true },
        State::Gone => tombstones && !archived_only,
    };
    let mut listing: Vec<(u64, &Stored)> = shelf
        .iter()
        .filter(|stored| listed(stored))
        .filter(|stored| since.is_none_or(|bound| bound.admits(stored)))
        .filter(|stored| stored.state == State::Gone || passes_filters(config, stored, call))
        .map(|stored| (if since.is_some() { stored.version } else { stored.created }, stored))
        .collect();
    listing.sort_unstable_by_key(|(order, _)| *order);
    Ok(listing)
}

/// From where on records have changed.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// In milliseconds, inclusive, as precise as the API says times.
    Time(i64, TimeFormat),
    /// Exclusive.
    Version(u64),
}

impl Bound {
    fn admits(self, stored: &Stored) -> bool {
        match self {
            Self::Time(ms, format) => json::round_time(stored.updated, format).timestamp_millis() >= ms,
            Self::Version(version) => stored.version > version,
        }
    }
}

fn lower_bound(config: &ResourceConfig, since: &Since, value: &str) -> Result<Bound, Refusal> {
    let bound = match since.by {
        SinceBy::UpdatedAt => {
            let format = config.updated_at.as_ref().map_or(TimeFormat::Rfc3339Ms, |updated_at| updated_at.format);
            json::parse_time(value, format).map(|time| Bound::Time(time.timestamp_millis(), format))
        }
        SinceBy::Version => value.trim_matches('"').parse().ok().map(Bound::Version),
    };
    bound.ok_or_else(|| Refusal::of_field(400, "bad_since", &since.param, format!("{value:?} is nothing to start at")))
}

fn passes_filters(config: &ResourceConfig, stored: &Stored, call: &Call) -> bool {
    config.filters.iter().all(|filter| match call.param(&filter.param) {
        None => true,
        Some(wanted) => json::at(&stored.data, &filter.field).is_some_and(|value| json::text(value) == wanted),
    })
}

/// Wraps a page, and names the next one where this API names it.
fn envelope(config: &ResourceConfig, call: &Call, window: &Window<'_>, total: usize) -> Answer {
    let records: Vec<Value> = window.records.iter().map(|stored| Value::Object(render(config, stored))).collect();
    let Envelope::Key(key) = &config.envelope else {
        return name_next_in_headers(config, call, window, Answer::json(200, records.into()));
    };
    let mut body = Object::new();
    json::put(&mut body, key, records.into());
    if let Some(total_at) = &config.total_at {
        json::put(&mut body, total_at, total.into());
    }
    match (&config.paging, &window.next) {
        (Paging::Cursor { next_at, .. }, Some(next)) => json::put(&mut body, next_at, next.clone().into()),
        (Paging::Cursor { next_at, end, .. }, None) => match end {
            CursorEnd::Absent => {}
            CursorEnd::Null => json::put(&mut body, next_at, Value::Null),
            CursorEnd::Empty => json::put(&mut body, next_at, "".into()),
        },
        (Paging::Keyset { has_more_at, .. }, next) => json::put(&mut body, has_more_at, next.is_some().into()),
        (Paging::NextUrl { next_at, .. }, Some(next)) => {
            json::put(&mut body, next_at, call.url_with(TOKEN_PARAM, next).into());
        }
        (
            Paging::None
            | Paging::Page { .. }
            | Paging::Offset { .. }
            | Paging::LinkHeader { .. }
            | Paging::NextUrl { .. }
            | Paging::Header { .. },
            _,
        ) => {}
    }
    name_next_in_headers(config, call, window, Answer::json(200, Value::Object(body)))
}

fn name_next_in_headers(config: &ResourceConfig, call: &Call, window: &Window<'_>, answer: Answer) -> Answer {
    match (&config.paging, &window.next) {
        (Paging::LinkHeader { page, .. }, Some(next)) => {
            let first = call.url_with(page, "1");
            let next = call.url_with(page, next);
            answer.with("link", format!("<{first}>; rel=\"first\", <{next}>; rel=\"next\""))
        }
        (Paging::Header { name, .. }, Some(next)) => answer.with(name, call.url_with(TOKEN_PARAM, next)),
        _ => answer,
    }
}
