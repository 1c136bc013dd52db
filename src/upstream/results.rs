//! Owns: what a batch's answer says about each item.
//!
//! Must not know: how the batch was made or sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::answer::shows_whole;
use super::point::{scalar_text, version_in};
use super::prepare::{as_remote, gone, own_id};
use super::{Built, Client, Failure, FailureKind, Response, SendOp, Site, WriteRequest, Written, words};
use crate::record::{Json, Lens, Path};
use crate::rules::{Batch, BatchResult, Binding, ResultBy, ResultsAt};

/// Results of one batch that a filter gives, at most; items have a lower limit.
const RESULTS_MAX: usize = 100_000;

/// An item of a batch.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    /// The write.
    pub write: &'a WriteRequest,
    /// Where it stood in the batch, from 0.
    pub index: usize,
}

/// The items of a batch of `count` that are asked about. An item that the answer does not name may have been done.
pub fn read_results(
    client: &Client,
    binding: &Binding,
    batch: &Batch,
    (items, count): (&[Placed<'_>], usize),
    (built, response): (&Built, &Response),
) -> Vec<Written> {
    let unknown = |what: &str| {
        let mut failure = client.bad_answer(built, response, what);
        failure.kind = FailureKind::Unknown;
        failure
    };
    let results = match results_in(&batch.result.items, &response.body) {
        Ok(results) => results,
        Err(what) => {
            let failure = unknown(&what);
            return items.iter().map(|_| Written::Unnamed(failure.clone())).collect();
        }
    };
    let found = match_results((binding, batch), (items, count), &results);
    let mut missing = None;
    let each = items.iter().zip(found).map(|(item, result)| {
        if let Some(result) = result {
            read_result(client, binding, batch, item.write, result, response)
        } else {
            let failure = missing.get_or_insert_with(|| unknown("no result for this item"));
            Written::Unnamed(failure.clone())
        }
    });
    each.collect()
}

fn results_in(at: &ResultsAt, body: &[u8]) -> Result<Vec<Json>, String> {
    let json = Json::parse(body);
    match at {
        ResultsAt::Array(path) => match json.as_ref().ok().and_then(|json| path.get(json)) {
            Some(Json::Array(results)) => Ok(results.clone()),
            Some(_) | None => Err(format!("no results at {path}")),
        },
        ResultsAt::Filter(filter) => {
            let json = json.map_err(|error| format!("not JSON: {error}"))?;
            filter.run(&json, &[], RESULTS_MAX).map_err(|error| format!("`result.items`: {error}"))
        }
    }
}

/// The result of each item. Positions mean something only where there are as many results as items.
fn match_results<'a>(
    (binding, batch): (&Binding, &Batch),
    (items, count): (&[Placed<'_>], usize),
    results: &'a [Json],
) -> Vec<Option<&'a Json>> {
    let by_name = |path: Option<&Path>| -> BTreeMap<String, &'a Json> {
        let named = results.iter().filter_map(|result| Some((text_at(result, path?)?, result)));
        named.collect()
    };
    let found: Vec<Option<&Json>> = match &batch.result.by {
        ResultBy::Index if results.len() == count => items.iter().map(|item| results.get(item.index)).collect(),
        ResultBy::Index => vec![None; items.len()],
        ResultBy::IndexAt(path) => {
            let by_index = by_name(Some(path));
            items.iter().map(|item| by_index.get(&item.index.to_string()).copied()).collect()
        }
        ResultBy::Id => {
            let by_id = by_name(batch.result.id.as_ref());
            items.iter().map(|item| by_id.get(own_id(binding, item.write)?).copied()).collect()
        }
        ResultBy::RequestId(path) => {
            let by_key = by_name(Some(path));
            items.iter().map(|item| by_key.get(&item.write.key).copied()).collect()
        }
    };
    let by_position = matches!(batch.result.by, ResultBy::Index | ResultBy::IndexAt(_));
    if by_position && !ids_agree((binding, batch), items, &found) { vec![None; items.len()] } else { found }
}

/// A result that names another record than the item at its position: the upstream has an order of its own.
fn ids_agree((binding, batch): (&Binding, &Batch), items: &[Placed<'_>], found: &[Option<&Json>]) -> bool {
    items.iter().zip(found).all(|(item, result)| {
        let named = batch.result.id.as_ref().zip(*result).and_then(|(path, result)| text_at(result, path));
        let wanted = own_id(binding, item.write);
        named.is_none() || wanted.is_none() || named.as_deref() == wanted
    })
}

fn read_result(
    client: &Client,
    binding: &Binding,
    batch: &Batch,
    write: &WriteRequest,
    result: &Json,
    response: &Response,
) -> Written {
    let at = &batch.result;
    let status: Option<u16> = at.status.as_ref().and_then(|lens| status_of(lens, result));
    let error = at
        .error
        .as_ref()
        .and_then(|path| path.get(result))
        .filter(|error| !matches!(error, Json::Null | Json::Bool(false)));
    let failed = error.is_some() || status.is_some_and(|status| !(200..300).contains(&status));
    if !failed {
        return read_done(client, binding, batch, write, result);
    }
    let said = words::message(error.unwrap_or(result)).unwrap_or_default();
    let said = client.secrets().mask(&words::shorten(&said, words::QUOTE_CHARS_MAX));
    let said = match status {
        Some(status) => format!("{} in a batch, {status}: {said}", write.op.name()),
        None => format!("{} in a batch: {said}", write.op.name()),
    };
    let failure = |kind| Failure { kind, status, words: said.clone(), retry_at: None };
    match (status, write.op) {
        (Some(401), _) => Written::Stopped(failure(FailureKind::Auth)),
        (Some(404 | 410), SendOp::Update | SendOp::Delete | SendOp::Archive) => gone(write),
        (Some(409 | 412), SendOp::Create) => Written::Exists(said),
        (Some(412), SendOp::Update | SendOp::Delete | SendOp::Archive) => Written::Stale(None),
        (Some(409), SendOp::Update | SendOp::Delete | SendOp::Archive) => Written::Hindered(said),
        (Some(425 | 429), _) => {
            let retry_at = client.throttled_until(&asked_to_wait(at, result, response), write.attempts + 1);
            Written::NotDone(Failure { retry_at, ..failure(FailureKind::NotDone) })
        }
        (Some(408 | 500..=599), _) => {
            let retry_at = client.next_attempt(write.attempts + 1);
            Written::Unknown(Failure { retry_at, ..failure(FailureKind::Unknown) })
        }
        _ => Written::Refused(said),
    }
}

/// The answer's headers, with the wait that an item's own result asks for in the place of theirs.
fn asked_to_wait(at: &BatchResult, result: &Json, response: &Response) -> HeaderMap {
    let mut headers = response.headers.clone();
    let text = at.retry_after.as_ref().and_then(|path| text_at(result, path));
    if let Some(asked) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(RETRY_AFTER, asked);
    }
    headers
}

fn read_done(client: &Client, binding: &Binding, batch: &Batch, write: &WriteRequest, result: &Json) -> Written {
    let at = &batch.result;
    let raw = at.record.as_ref().and_then(|path| path.get(result)).map(|record| Bytes::from(record.to_string()));
    let raw = raw.map(|raw| Site::after(binding, write, "").told(binding, raw));
    let id = write
        .remote_id
        .clone()
        .or_else(|| text_at(result, at.id.as_ref()?))
        .or_else(|| binding.mapper.id(raw.as_deref()?).ok());
    let Some(remote_id) = id else {
        return Written::Unknown(Failure::new(FailureKind::Unknown, "done in a batch, but its result names no id"));
    };
    if write.op.removes() {
        return Written::Done { remote_id, version: None, record: None, repeated: false };
    }
    let version =
        at.version.as_ref().and_then(|path| text_at(result, path)).or_else(|| version_in(binding, raw.as_deref()?));
    let whole = raw.filter(|raw| shows_whole(&binding.mapper, raw, &remote_id, write));
    let record = whole.map(|raw| as_remote(client, raw, version.clone()));
    Written::Done { remote_id, version, record, repeated: false }
}

fn text_at(json: &Json, path: &Path) -> Option<String> {
    scalar_text(path.get(json)?).map(std::borrow::Cow::into_owned)
}

fn status_of(lens: &Lens, result: &Json) -> Option<u16> {
    match lens {
        Lens::Path(path) => text_at(result, path)?.parse().ok(),
        Lens::Filter { get, .. } => scalar_text(get.run(result, &[], 1).ok()?.first()?)?.parse().ok(),
    }
}
