//! Owns: reading one record by its id, and finding records by a value.
//!
//! Must not know: why a record is asked for.

use std::sync::Arc;

use bytes::Bytes;

use crate::record::{Json, Path, Value};
use crate::rules::{Binding, NextAt, Request, VersionAt};

use super::client::Client;
use super::list::Lister;
use super::outcome::{Failure, FailureKind, Got, ListQuery, Remote};
use super::paging::{text_at, wrong};
use super::request::Safety;
use super::transport::Response;

/// Pages read when looking a record up, at most.
const LOOKUP_PAGES_MAX: usize = 10_000;

/// Reads one record. A binding without a point read says so as a failure.
pub async fn get(client: &Arc<Client>, binding: &Binding, remote_id: &str) -> Result<Got, Failure> {
    let Some(request) = binding.read.as_ref().and_then(|read| read.get.as_ref()) else {
        return Err(wrong("the rules have no read.get for this binding".to_owned()));
    };
    let draft = client.draft(request, &|hole| (hole == "id").then(|| remote_id.to_owned()))?;
    match client.send(draft.build(), Safety::Read).await {
        Ok(answer) => {
            let observed_at = client.clock().now();
            let raw = record_in(request, &answer)?.ok_or_else(|| {
                wrong(format!("the point read of {remote_id} holds no record: {}", excerpt(&answer.body)))
            })?;
            let version = version_of(binding, None, &answer, Some(&raw));
            Ok(Got::Found(Remote { raw, version, observed_at }))
        }
        Err(failure) if matches!(failure.kind, FailureKind::NotFound | FailureKind::Gone) => Ok(Got::Missing),
        Err(failure) => Err(failure),
    }
}

/// Where an answer holds the record: at the request's `record` path, or it is the whole answer. `None` where there is no object.
pub fn record_in(request: &Request, answer: &Response) -> Result<Option<Bytes>, Failure> {
    let whole = Path { steps: Vec::new() };
    let path = request.record.as_ref().unwrap_or(&whole);
    if answer.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let raw = path.get_raw(&answer.body).map_err(|error| {
        wrong(format!("status {} with a body that is no JSON: {error}: {}", answer.status, excerpt(&answer.body)))
    })?;
    Ok(raw
        .map(serde_json::value::RawValue::get)
        .filter(|text| text.starts_with('{'))
        .map(|text| answer.body.slice_ref(text.as_bytes())))
}

/// The record's version as an answer tells it: captured, in the record, or in a header.
pub fn version_of(
    binding: &Binding,
    capture: Option<&NextAt>,
    answer: &Response,
    raw: Option<&Bytes>,
) -> Option<String> {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    match (capture, &binding.version) {
        (Some(NextAt::Header(name)), _) | (None, Some(VersionAt::Header(name))) => header(name),
        (Some(NextAt::Body(path)), _) => text_at(path, &answer.body).ok().flatten(),
        (None, Some(VersionAt::Record(_))) => {
            raw.and_then(|raw| binding.mapper.read(raw).ok()).and_then(|mapped| mapped.version)
        }
        (None, None) => None,
    }
}

/// Finds records whose field has this value (under the field's equality), by reading the listing.
pub async fn find_by_field(
    client: &Arc<Client>,
    binding: &Arc<Binding>,
    field: usize,
    value: &Value,
) -> Result<Vec<Remote>, Failure> {
    let Some(map) = binding.mapper.field(field) else { return Ok(Vec::new()) };
    find(client, binding, |raw| {
        let mapped = binding.mapper.read(raw).ok()?;
        let there = mapped.slots.get(field)?.value()?;
        (!mapped.deleted && map.domain.same(there, value)).then_some(())
    })
    .await
}

/// Finds records that hold this text at a path of the raw record.
pub async fn find_by_path(
    client: &Arc<Client>,
    binding: &Arc<Binding>,
    path: &Path,
    text: &str,
) -> Result<Vec<Remote>, Failure> {
    find(client, binding, |raw| {
        let there = path.get_raw(raw).ok()??;
        let json = Json::parse(there.get().as_bytes()).ok()?;
        (json.as_str() == Some(text)).then_some(())
    })
    .await
}

async fn find(
    client: &Arc<Client>,
    binding: &Arc<Binding>,
    is_it: impl Fn(&[u8]) -> Option<()>,
) -> Result<Vec<Remote>, Failure> {
    let mut lister = Lister::new(Arc::clone(client), Arc::clone(binding), ListQuery::default());
    let mut found = Vec::new();
    for _page in 0..LOOKUP_PAGES_MAX {
        let Some(page) = lister.page().await? else { break };
        for range in &page.records {
            let raw = page.body.slice(range.clone());
            if is_it(&raw).is_some() {
                let version = binding.mapper.read(&raw).ok().and_then(|mapped| mapped.version);
                found.push(Remote { raw, version, observed_at: page.observed_at });
            }
        }
    }
    Ok(found)
}

/// The first characters of a body, for messages.
pub fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().filter(|ch| !ch.is_control()).take(80).collect()
}
