//! Owns: what a batch's answer says about each item.
//!
//! Must not know: how the batch was made or sent.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::answer::shows_whole;
use super::batch::Item;
use super::parented::whose;
use super::point::{scalar_text, version_in};
use super::prepare::{as_remote, gone};
use super::{Built, Client, Failure, FailureKind, Response, SendOp, Written, words};
use crate::record::{Json, Path};
use crate::rules::{Batch, Binding, ResultBy};

/// The outcome of each item. An item that the answer does not name may have been done.
pub fn read_results(
    client: &Client,
    binding: &Binding,
    batch: &Batch,
    items: &[Item],
    built: &Built,
    response: &Response,
) -> Vec<(usize, Written)> {
    let unknown = |what: &str| {
        let mut failure = client.bad_answer(built, response, what);
        failure.kind = FailureKind::Unknown;
        failure
    };
    let json = Json::parse(&response.body);
    let results = json.as_ref().ok().and_then(|json| match batch.result.items.get(json)? {
        Json::Array(results) => Some(results),
        _ => None,
    });
    let Some(results) = results else {
        let failure = unknown(&format!("no results at {}", batch.result.items));
        return items.iter().map(|item| (item.position, Written::Unknown(failure.clone()))).collect();
    };
    let found = match_results(batch, items, results);
    let mut missing = None;
    items
        .iter()
        .zip(found)
        .map(|(item, result)| {
            let written = if let Some(result) = result {
                read_result(client, binding, batch, item, result, response)
            } else {
                let failure = missing.get_or_insert_with(|| unknown("no result for this item"));
                Written::Unknown(failure.clone())
            };
            (item.position, written)
        })
        .collect()
}

/// The result of each item. Positions mean something only where there are as many results as items.
fn match_results<'a>(batch: &Batch, items: &[Item], results: &'a [Json]) -> Vec<Option<&'a Json>> {
    let by_name = |path: Option<&Path>| -> BTreeMap<String, &'a Json> {
        let named = results.iter().filter_map(|result| Some((text_at(result, path?)?, result)));
        named.collect()
    };
    match &batch.result.by {
        ResultBy::Index if results.len() == items.len() && ids_agree(batch, items, results) => {
            results.iter().map(Some).collect()
        }
        ResultBy::Index => vec![None; items.len()],
        ResultBy::Id => {
            let by_id = by_name(batch.result.id.as_ref());
            items.iter().map(|item| by_id.get(item.write.remote_id.as_ref()?).copied()).collect()
        }
        ResultBy::RequestId(path) => {
            let by_key = by_name(Some(path));
            items.iter().map(|item| by_key.get(&item.write.key).copied()).collect()
        }
    }
}

/// A result that names another record than the item at its position: the upstream has an order of its own.
fn ids_agree(batch: &Batch, items: &[Item], results: &[Json]) -> bool {
    items.iter().zip(results).all(|(item, result)| {
        let named = batch.result.id.as_ref().and_then(|path| text_at(result, path));
        named.is_none() || item.write.remote_id.is_none() || named == item.write.remote_id
    })
}

fn read_result(
    client: &Client,
    binding: &Binding,
    batch: &Batch,
    item: &Item,
    result: &Json,
    response: &Response,
) -> Written {
    let at = &batch.result;
    let status: Option<u16> = at.status.as_ref().and_then(|path| text_at(result, path)?.parse().ok());
    let error = at
        .error
        .as_ref()
        .and_then(|path| path.get(result))
        .filter(|error| !matches!(error, Json::Null | Json::Bool(false)));
    let failed = error.is_some() || status.is_some_and(|status| !(200..300).contains(&status));
    if !failed {
        return read_done(client, binding, batch, item, result);
    }
    let said = words::message(error.unwrap_or(result)).unwrap_or_default();
    let said = client.secrets().mask(&words::shorten(&said, words::QUOTE_CHARS_MAX));
    let said = match status {
        Some(status) => format!("{} in a batch, {status}: {said}", item.write.op.name()),
        None => format!("{} in a batch: {said}", item.write.op.name()),
    };
    let failure = |kind| Failure { kind, status, words: said.clone(), retry_at: None };
    match (status, item.write.op) {
        (Some(401), _) => Written::Stopped(failure(FailureKind::Auth)),
        (Some(404 | 410), SendOp::Update | SendOp::Delete | SendOp::Archive) => gone(&item.write),
        (Some(409 | 412), SendOp::Create) => Written::Exists(said),
        (Some(412), SendOp::Update | SendOp::Delete | SendOp::Archive) => Written::Stale(None),
        (Some(409), SendOp::Update | SendOp::Delete | SendOp::Archive) => Written::Hindered(said),
        (Some(425 | 429), _) => {
            let retry_at = client.throttled_until(&response.headers, item.write.attempts + 1);
            Written::NotDone(Failure { retry_at, ..failure(FailureKind::NotDone) })
        }
        (Some(408 | 500..=599), _) => {
            let retry_at = client.next_attempt(item.write.attempts + 1);
            Written::Unknown(Failure { retry_at, ..failure(FailureKind::Unknown) })
        }
        _ => Written::Refused(said),
    }
}

fn read_done(client: &Client, binding: &Binding, batch: &Batch, item: &Item, result: &Json) -> Written {
    let at = &batch.result;
    let write = &item.write;
    let raw = at.record.as_ref().and_then(|path| path.get(result)).map(|record| Bytes::from(record.to_string()));
    let raw = raw.map(|raw| whose(binding, write, raw));
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
