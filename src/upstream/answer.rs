//! Owns: what the answer to a successful write tells: the id, the version, the record as it is now.
//!
//! Must not know: how the write was sent.

use bytes::Bytes;

use super::point::{cut_record, path_text, text_at, version_of};
use super::prepare::as_remote;
use super::retry_after::parse_http_date;
use super::split::cut_short;
use super::{Built, Client, Failure, FailureKind, Remote, Response, SendOp, Site, WriteRequest, Written};
use crate::record::{Mapper, Path, Slot};
use crate::rules::Binding;

/// A record that a create made is no older than this when it is answered; upstreams round their times to the minute.
const MADE_WITHIN: chrono::TimeDelta = chrono::TimeDelta::minutes(2);

/// Reads the answer of a write that the upstream says is done.
pub fn read_answer(
    client: &Client,
    binding: &Binding,
    write: &WriteRequest,
    built: &Built,
    response: &Response,
) -> Written {
    if write.op.removes() {
        let remote_id = write.remote_id.clone().unwrap_or_default();
        return Written::Done { remote_id, version: None, record: None, repeated: false };
    }
    if let Some(what) = cut_short(&response.body) {
        let failure = client.bad_answer(built, response, &what);
        return Written::Unknown(Failure { kind: FailureKind::Unknown, ..failure });
    }
    let raw = cut_record(&response.body, record_path(binding, write))
        .ok()
        .map(|raw| Site::after(binding, write, "").told(binding, raw));
    let Some(remote_id) = captured_id(binding, write, response, raw.as_ref()) else {
        let mut failure = client.bad_answer(built, response, "done, but the answer names no id");
        failure.kind = FailureKind::Unknown;
        return Written::Unknown(failure);
    };
    let version = captured_version(binding, write.op, response)
        .or_else(|| version_of(binding, &response.headers, raw.as_deref().unwrap_or_default()));
    let whole = raw.filter(|raw| shows_whole(&binding.mapper, raw, &remote_id, write));
    let record = whole.map(|raw| as_remote(client, raw, version.clone()));
    // What was there before holds what others put in: it is to be merged, not taken for ours.
    let repeated = write.op == SendOp::Create && existed_before(binding, response, record.as_ref());
    Written::Done { remote_id, version, record, repeated }
}

/// Whether the answer to a create shows a record that is older than the answer, by the upstream's own clock: then it was not
/// made by this request.
fn existed_before(binding: &Binding, response: &Response, record: Option<&Remote>) -> bool {
    let date = response.headers.get(http::header::DATE).and_then(|date| parse_http_date(date.to_str().ok()?));
    let mapped = record.and_then(|record| binding.mapper.read(&record.raw).ok());
    let (Some(date), Some(mapped)) = (date, mapped) else { return false };
    let created = mapped.created_at.and_then(|text| chrono::DateTime::parse_from_rfc3339(&text).ok());
    let times = [created.map(|at| at.to_utc()), mapped.updated_at];
    times.into_iter().flatten().any(|at| date - at > MADE_WITHIN)
}

fn record_path<'b>(binding: &'b Binding, write: &WriteRequest) -> Option<&'b Path> {
    if let Some(transition) = write.transition.and_then(|at| binding.transitions.get(at)) {
        return transition.request.record.as_ref();
    }
    match write.op {
        SendOp::Create => binding.create.as_ref()?.request.record.as_ref(),
        SendOp::Update => binding.update.as_ref()?.request.record.as_ref(),
        SendOp::Delete | SendOp::Archive => None,
    }
}

/// The id that we chose or know; else where the rules say, else where the record has it, else the end of `Location`.
fn captured_id(binding: &Binding, write: &WriteRequest, response: &Response, raw: Option<&Bytes>) -> Option<String> {
    if let Some(id) = &write.remote_id {
        return Some(id.clone());
    }
    let capture = binding.create.as_ref().and_then(|create| create.capture_id.as_ref());
    let whole = |own_id: String| Site::name_of_created(binding, write, own_id);
    if let Some(path) = capture {
        return path_text(&response.body, path).map(whole);
    }
    raw.and_then(|raw| binding.mapper.id(raw).ok()).or_else(|| {
        let location = response.headers.get(http::header::LOCATION)?.to_str().ok()?;
        let path = location.split(['?', '#']).next()?.trim_end_matches('/');
        let (_, last) = path.rsplit_once('/')?;
        (!last.is_empty() && !last.contains('%')).then(|| whole(last.to_owned()))
    })
}

fn captured_version(binding: &Binding, op: SendOp, response: &Response) -> Option<String> {
    if op != SendOp::Create {
        return None;
    }
    text_at(binding.create.as_ref()?.capture_version.as_ref()?, response)
}

/// True where the answer shows this record with everything that was sent and everything that was there before. Some
/// upstreams answer with an id and a version only; taken for the record, that would look as if all else was gone.
pub fn shows_whole(mapper: &Mapper, raw: &[u8], remote_id: &str, write: &WriteRequest) -> bool {
    let Ok(now) = mapper.read(raw) else { return false };
    let before = write.expected_raw.as_deref().and_then(|expected| mapper.read(expected).ok());
    let is_there = |field: usize| now.slots.get(field).is_some_and(|slot| *slot != Slot::Absent);
    let was_there = |field: usize| {
        let sent = write.values.iter().any(|(sent, value)| *sent == field && !value.is_null());
        let before = before.as_ref().and_then(|before| before.slots.get(field));
        sent || before.is_some_and(|slot| matches!(slot, Slot::Value(value) if !value.is_null()))
    };
    // A field that was cleared by this write may be left out of the answer.
    let cleared = |field: usize| write.values.iter().any(|(sent, value)| *sent == field && value.is_null());
    now.id == remote_id
        && mapper.fields.iter().all(|map| is_there(map.field) || cleared(map.field) || !was_there(map.field))
}
