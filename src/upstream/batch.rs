//! Owns: many writes in one request: chunks within the limits, per-item results, bisection of a batch that is refused whole.
//!
//! Must not know: which writes belong together; bases and intents.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::record::{Json, Path};
use crate::rules::{Batch, BatchResult, Binding, ResultBy};

use super::client::Client;
use super::outcome::{Failure, FailureKind, Remote, SendOp, WriteRequest, Written};
use super::paging::text_at;
use super::request::{Safety, bad};
use super::shape::{self, Unshapable};
use super::split::split;
use super::transport::Response;
use super::write::{failed, line, version_at};

/// Makes many writes; the outcomes stand in the order of the requests. One item's failure is never another's.
pub async fn write_batch(client: &Arc<Client>, binding: &Arc<Binding>, requests: Vec<WriteRequest>) -> Vec<Written> {
    let Some(rules) = &binding.batch else {
        return requests.iter().map(|_| Written::Stopped(bad("the rules have no write.batch".into()))).collect();
    };
    let mut outcomes: Vec<Option<Written>> = requests.iter().map(|_| None).collect();
    let mut items = Vec::with_capacity(requests.len());
    for (at, request) in requests.iter().enumerate() {
        match item(client, binding, request) {
            Ok(text) => items.push(Item { at, request, text }),
            Err(written) => set(&mut outcomes, at, written),
        }
    }
    let mut waiting = chunks(rules, items);
    waiting.reverse();
    while let Some(chunk) = waiting.pop() {
        match send(client, rules, &chunk).await {
            Ok(answer) => {
                for (item, written) in chunk.iter().zip(results(client, binding, rules, &chunk, &answer)) {
                    set(&mut outcomes, item.at, written);
                }
            }
            Err(failure) if whole_refusal(&failure) && rules.bisect && chunk.len() > 1 => {
                let mut left = chunk;
                let right = left.split_off(left.len() / 2);
                waiting.push(right);
                waiting.push(left);
            }
            Err(failure) => {
                let single = chunk.len() == 1;
                for item in &chunk {
                    set(&mut outcomes, item.at, whole_failure(&failure, single, item.request));
                }
            }
        }
    }
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|| Written::Unknown(lost("no result was found for this item".into()))))
        .collect()
}

/// One write on its way.
struct Item<'r> {
    at: usize,
    request: &'r WriteRequest,
    text: Json,
}

fn set(outcomes: &mut [Option<Written>], at: usize, written: Written) {
    if let Some(place) = outcomes.get_mut(at) {
        *place = Some(written);
    }
}

fn item(client: &Arc<Client>, binding: &Binding, request: &WriteRequest) -> Result<Json, Written> {
    let (method, path) =
        line(client, binding, request).map_or_else(Default::default, |(method, path)| (method.to_string(), path));
    shape::item(binding, request, &method, &path).map_err(|error| match error {
        Unshapable::Fields(fields) => Written::Inexpressible(fields),
        Unshapable::Filter(words) => Written::Refused(words),
    })
}

/// Chunks within the limits on items and bytes; an item that is too large by itself goes alone.
fn chunks<'r>(rules: &Batch, items: Vec<Item<'r>>) -> Vec<Vec<Item<'r>>> {
    let mut chunks: Vec<Vec<Item<'r>>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = item.text.to_string().len() as u64 + 1;
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < rules.items_max && bytes + size <= rules.bytes_max => {
                bytes += size;
                chunk.push(item);
            }
            _ => {
                bytes = size;
                chunks.push(vec![item]);
            }
        }
    }
    chunks
}

async fn send(client: &Arc<Client>, rules: &Batch, chunk: &[Item<'_>]) -> Result<Response, Failure> {
    let mut draft = client.draft(&rules.request, &|_| None)?;
    let mut body = Json::Object(Vec::new());
    let items = Json::Array(chunk.iter().map(|item| item.text.clone()).collect());
    rules.items.put(&mut body, items).map_err(|error| bad(error.to_string()))?;
    draft.body = Some(body);
    client.send(draft.build(), Safety::Plain).await
}

/// The batch as a whole was refused for what one of its items says.
fn whole_refusal(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Invalid | FailureKind::Conflict)
}

fn whole_failure(failure: &Failure, single: bool, request: &WriteRequest) -> Written {
    match failure.kind {
        FailureKind::Invalid | FailureKind::Conflict if single => failed(failure.clone(), request.op, request),
        FailureKind::Invalid => Written::Refused(failure.words.clone()),
        // Some of it may have been done: nobody says which.
        FailureKind::Conflict | FailureKind::Unknown | FailureKind::BadAnswer => Written::Unknown(failure.clone()),
        FailureKind::NotDone => Written::NotDone(failure.clone()),
        FailureKind::Auth
        | FailureKind::Fatal
        | FailureKind::NotFound
        | FailureKind::Gone
        | FailureKind::CursorExpired => Written::Stopped(failure.clone()),
    }
}

/// Finds each item's result and reads it.
fn results(
    client: &Arc<Client>,
    binding: &Binding,
    rules: &Batch,
    chunk: &[Item<'_>],
    answer: &Response,
) -> Vec<Written> {
    let ranges = match split(&answer.body, &rules.result.items) {
        Ok(ranges) => ranges,
        Err(reason) => {
            let words = format!("the batch was answered with status {} but without results: {reason}", answer.status);
            return chunk.iter().map(|_| Written::Unknown(lost(words.clone()))).collect();
        }
    };
    let texts: Vec<Bytes> = ranges.into_iter().map(|range| answer.body.slice(range)).collect();
    let found = by_item(&rules.result, chunk, &texts);
    chunk
        .iter()
        .zip(found)
        .map(|(item, text)| match text {
            Some(text) => one_result(client, binding, &rules.result, item.request, &text),
            None => Written::Unknown(lost("the batch's answer has no result for this item".into())),
        })
        .collect()
}

fn by_item(rules: &BatchResult, chunk: &[Item<'_>], texts: &[Bytes]) -> Vec<Option<Bytes>> {
    let keyed = |path: &Path| -> BTreeMap<String, Bytes> {
        texts.iter().filter_map(|text| Some((text_at(path, text).ok()??, text.clone()))).collect()
    };
    match &rules.by {
        ResultBy::Index if texts.len() == chunk.len() => texts.iter().cloned().map(Some).collect(),
        // Positions mean nothing where their number differs.
        ResultBy::Index => vec![None; chunk.len()],
        ResultBy::Id => {
            let results = rules.id.as_ref().map(keyed).unwrap_or_default();
            chunk.iter().map(|item| results.get(item.request.remote_id.as_deref()?).cloned()).collect()
        }
        ResultBy::RequestId(path) => {
            let results = keyed(path);
            chunk.iter().map(|item| results.get(&item.request.key).cloned()).collect()
        }
    }
}

fn one_result(
    client: &Arc<Client>,
    binding: &Binding,
    rules: &BatchResult,
    request: &WriteRequest,
    text: &Bytes,
) -> Written {
    let at = |path: &Option<Path>| path.as_ref().and_then(|path| path.get_raw(text).ok().flatten());
    let status = at(&rules.status).and_then(|raw| raw.get().trim_matches('"').parse::<u16>().ok());
    let error = at(&rules.error)
        .map(serde_json::value::RawValue::get)
        .filter(|error| !matches!(*error, "null" | "\"\"" | "false" | "[]" | "{}"));
    let ok = match (status, error) {
        (Some(status), _) => (200..300).contains(&status),
        (None, error) => error.is_none(),
    };
    if !ok {
        return refused(status, error, request);
    }
    let raw = at(&rules.record)
        .map(serde_json::value::RawValue::get)
        .filter(|text| text.starts_with('{'))
        .map(|inner| text.slice_ref(inner.as_bytes()));
    let named = rules.id.as_ref().and_then(|path| text_at(path, text).ok().flatten());
    let in_record = || raw.as_ref().and_then(|raw| binding.mapper.id(raw).ok());
    let Some(remote_id) = request.remote_id.clone().or(named).or_else(in_record) else {
        return Written::Unknown(lost("the result of a create names no id".into()));
    };
    let version = version_at(binding, rules.version.as_ref(), text, raw.as_ref());
    let record = raw.filter(|_| request.op != SendOp::Delete).map(|raw| Remote {
        raw,
        version: version.clone(),
        observed_at: client.clock().now(),
    });
    Written::Done { remote_id, version, record }
}

/// An item that was not done; its status says what that means, as it would for a single write.
fn refused(status: Option<u16>, error: Option<&str>, request: &WriteRequest) -> Written {
    let words: String = error.unwrap_or("no reason given").chars().take(300).collect();
    let kind = match status {
        Some(404) => FailureKind::NotFound,
        Some(410) => FailureKind::Gone,
        Some(409 | 412) => FailureKind::Conflict,
        Some(401 | 403) => FailureKind::Auth,
        Some(408 | 500 | 502 | 504) => FailureKind::Unknown,
        // 424: another item of the batch failed and this one was not tried.
        Some(424 | 425 | 429 | 503) => FailureKind::NotDone,
        Some(_) | None => FailureKind::Invalid,
    };
    let words = status.map_or_else(|| words.clone(), |status| format!("status {status}: {words}"));
    failed(Failure { kind, status, words, retry_at: None }, request.op, request)
}

fn lost(words: String) -> Failure {
    Failure { kind: FailureKind::Unknown, status: None, words, retry_at: None }
}
