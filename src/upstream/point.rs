//! Owns: reading one record.
//!
//! Must not know: why it is read.

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::HeaderMap;
use url::Url;

use super::split::{cut_short, find_values, token_text};
use super::{Client, Failure, FailureKind, Got, Remote, Response, Site};
use crate::record::{Json, Lens, Path};
use crate::rules::{Binding, NextAt, Request, VersionAt};

/// Reads the record that is there; it is shown with the parent that it was last seen under, where its answer does not say that.
pub async fn get(client: &Client, binding: &Binding, site: &Site) -> Result<Got, Failure> {
    let Some(request) = binding.read.as_ref().and_then(|read| read.get.as_ref()) else {
        return Err(Failure::new(FailureKind::Fatal, format!("{} has no point read here", binding.collection)));
    };
    let remote_id = site.remote_id.as_str();
    if let Some(why) = site.is_unknown(request) {
        return Ok(Got::Astray(why));
    }
    let built = client.build(request, &site.holes())?;
    let (response, moved) = match client.read_following(built.clone(), &mut |response| cut_short(&response.body)).await
    {
        Ok(answered) => answered,
        Err(failure) if matches!(failure.kind, FailureKind::NotFound | FailureKind::Gone) => {
            return Ok(site.is_left(binding, request).map_or(Got::Missing, Got::Astray));
        }
        Err(failure) => return Err(failure),
    };
    let raw = cut_record(&response.body, request.record.as_ref())
        .map_err(|what| client.bad_answer(&built, &response, &what))?;
    let raw = site.told_at(binding, request, raw);
    if let (Some(at), Ok(into)) = (moved, binding.mapper.id(&raw))
        && into != remote_id
        && is_address_of(client, binding, request, (&into, &raw), &at)?
    {
        return Ok(Got::Merged(into));
    }
    if let Some(what) = other_record(binding, &raw, remote_id) {
        let failure = client.bad_answer(&built, &response, &what);
        return Err(Failure { kind: FailureKind::OtherRecord, ..failure });
    }
    if binding.mapper.id(&raw).is_err() && !shows_a_field(binding, &raw) {
        return Err(client.bad_answer(&built, &response, "no record: it has neither its id nor any field"));
    }
    let version = version_of(binding, &response.headers, &raw);
    Ok(Got::Found(Remote { raw, version, observed_at: client.now() }))
}

/// Whether a record is read at this address. A record that has left for another collection may have an id there that is another
/// record's here.
fn is_address_of(
    client: &Client,
    binding: &Binding,
    request: &Request,
    (id, raw): (&str, &[u8]),
    at: &Url,
) -> Result<bool, Failure> {
    let site = Site::of(binding, id, raw);
    if site.is_unknown(request).is_some() {
        return Ok(false);
    }
    let path = |url: &Url| url.path().trim_end_matches('/').to_owned();
    Ok(path(&client.build(request, &site.holes())?.url) == path(at))
}

/// Reads several records side by side, as many at once as the upstream takes, each where `site` says; in the order in
/// which they are answered. Without an answer where `site` says nothing, or the binding has no point read.
pub fn get_each<'a, T: Send + 'a>(
    client: &'a Client,
    binding: &'a Binding,
    items: Vec<T>,
    site: impl Fn(&T) -> Option<Site>,
) -> impl Stream<Item = (T, Option<Result<Got, Failure>>)> + Send + Unpin + 'a {
    let can_get = has_point_read(binding);
    let asked = |item: &T| if can_get { site(item) } else { None };
    let all: Vec<(Option<Site>, T)> = items.into_iter().map(|item| (asked(&item), item)).collect();
    stream::iter(all)
        .map(move |(site, item)| async move {
            let answer = match site {
                Some(site) => Some(get(client, binding, &site).await),
                None => None,
            };
            (item, answer)
        })
        .buffer_unordered(binding.upstream.concurrency.max(1))
}

/// A record that names another id (after a redirect for the time being, or from a careless server) says nothing
/// about the one that was asked for. One that names no id at all is believed: the address named it.
fn other_record(binding: &Binding, raw: &[u8], remote_id: &str) -> Option<String> {
    let id = binding.mapper.id(raw).ok().filter(|id| id != remote_id)?;
    Some(format!("record {remote_id} was asked for, and record {id} is the answer"))
}

/// True where any field of the mapping is there. What is no JSON inside is the record's own trouble.
fn shows_a_field(binding: &Binding, raw: &[u8]) -> bool {
    let Ok(json) = Json::parse(raw) else { return true };
    binding.mapper.fields.iter().any(|map| match &map.lens {
        Lens::Path(path) => path.get(&json).is_some(),
        Lens::Filter { get, .. } => {
            get.run(&json, &[], 1).is_ok_and(|out| matches!(out.first(), Some(value) if *value != Json::Null))
        }
    })
}

/// True where records can be read one by one.
pub fn has_point_read(binding: &Binding) -> bool {
    binding.read.as_ref().is_some_and(|read| read.get.is_some())
}

/// The record in an answer: an object at `path`, or the whole.
pub fn cut_record(body: &Bytes, path: Option<&Path>) -> Result<Bytes, String> {
    let whole = Path { steps: Vec::new() };
    let path = path.unwrap_or(&whole);
    let found = find_values(body, &[path]).map_err(|error| error.to_string())?;
    match found.first().cloned().flatten() {
        Some(range) if body.get(range.start) == Some(&b'{') => Ok(body.slice(range)),
        Some(_) => Err(format!("what stands at {path} is no record")),
        None => Err(format!("no record at {path}")),
    }
}

/// The version where the binding says it is.
pub fn version_of(binding: &Binding, headers: &HeaderMap, raw: &[u8]) -> Option<String> {
    match binding.version.as_ref()? {
        VersionAt::Header(name) => headers.get(name)?.to_str().ok().map(str::to_owned),
        VersionAt::Record(lens) => lens_text(lens, raw),
    }
}

/// The version inside a record, where it is there.
pub fn version_in(binding: &Binding, raw: &[u8]) -> Option<String> {
    match binding.version.as_ref()? {
        VersionAt::Header(_) => None,
        VersionAt::Record(lens) => lens_text(lens, raw),
    }
}

/// The version inside a record as it stands there.
pub fn version_json(binding: &Binding, raw: &[u8]) -> Option<Json> {
    let VersionAt::Record(lens) = binding.version.as_ref()? else { return None };
    let record = Json::parse(raw).ok()?;
    match lens {
        Lens::Path(path) => path.get(&record).cloned(),
        Lens::Filter { get, .. } => get.run(&record, &[], 1).ok()?.into_iter().next(),
    }
}

fn lens_text(lens: &Lens, raw: &[u8]) -> Option<String> {
    match lens {
        Lens::Path(path) => path_text(raw, path),
        Lens::Filter { get, .. } => {
            let outputs = get.run(&Json::parse(raw).ok()?, &[], 1).ok()?;
            scalar_text(outputs.first()?).map(Cow::into_owned)
        }
    }
}

/// The text or number at a path.
pub fn path_text(raw: &[u8], path: &Path) -> Option<String> {
    let found = find_values(raw, &[path]).ok()?;
    token_text(raw, found.first()?.as_ref())
}

/// The text or number where the rules say that it is in an answer.
pub fn text_at(at: &NextAt, answer: &Response) -> Option<String> {
    match at {
        NextAt::Body(path) => path_text(&answer.body, path),
        NextAt::Header(name) => answer.headers.get(name)?.to_str().ok().map(str::to_owned),
    }
}

/// A string or a number as text.
pub fn scalar_text(json: &Json) -> Option<Cow<'_, str>> {
    match json {
        Json::String(text) | Json::Number(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
        _ => None,
    }
}
