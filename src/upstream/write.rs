//! Owns: one write: body, precondition, idempotency key; and what its answer means.
//!
//! Must not know: bases, intents, when to write.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use crate::record::{Path, Slot};
use crate::rules::{Binding, Idempotency, Place, Precondition, Request, VersionAt};

use super::client::Client;
use super::outcome::{Failure, FailureKind, Got, Remote, SendOp, WriteRequest, Written};
use super::paging::text_at;
use super::point::{self, record_in, version_of};
use super::request::{Draft, Safety, bad, render};
use super::shape::{self, Unshapable};
use super::transport::Response;

/// Makes one write. The caller has recorded that it is being sent.
pub async fn write_one(client: &Arc<Client>, binding: &Arc<Binding>, request: &WriteRequest) -> Written {
    let outcome = match request.op {
        SendOp::Create => create(client, binding, request).await,
        SendOp::Update => update(client, binding, request).await,
        SendOp::Delete => delete(client, binding, request).await,
    };
    outcome.unwrap_or_else(|written| written)
}

/// The id that a create has where we choose it: the operation id, so that a repetition meets itself.
pub fn chosen_id(request: &WriteRequest) -> &str {
    request.remote_id.as_deref().unwrap_or(&request.key)
}

async fn create(client: &Arc<Client>, binding: &Arc<Binding>, request: &WriteRequest) -> Result<Written, Written> {
    let Some(rules) = &binding.create else {
        return Err(Written::Stopped(bad("the rules have no write.create".into())));
    };
    let body = shape::body(binding, request, None).map_err(unshapable)?;
    let chosen = matches!(rules.idempotency, Idempotency::ClientId);
    let mut draft = draft(client, &rules.request, chosen.then(|| chosen_id(request)), None)?;
    draft.body = Some(body);
    match &rules.idempotency {
        Idempotency::Header { name, .. } => put(&mut draft, &Place::Header(name.clone()), &request.key)?,
        Idempotency::ClientId => put(&mut draft, &Place::Header("If-None-Match".into()), "*")?,
        Idempotency::None | Idempotency::Match(_) | Idempotency::Field(_) => {}
    }
    let safety = match rules.idempotency {
        Idempotency::Header { .. } | Idempotency::ClientId => Safety::Idempotent,
        Idempotency::None | Idempotency::Match(_) | Idempotency::Field(_) => Safety::Plain,
    };
    match client.send(draft.build(), safety).await {
        Ok(answer) => Ok(created(client, binding, request, &answer)),
        Err(failure) => Err(failed(failure, SendOp::Create, request)),
    }
}

/// A create is done when its id is known.
fn created(client: &Arc<Client>, binding: &Arc<Binding>, request: &WriteRequest, answer: &Response) -> Written {
    let Some(rules) = &binding.create else { return Written::Missing };
    let raw = record_in(&rules.request, answer).ok().flatten();
    let captured = rules.capture_id.as_ref().and_then(|path| text_at(path, &answer.body).ok().flatten());
    let chosen = matches!(rules.idempotency, Idempotency::ClientId).then(|| chosen_id(request).to_owned());
    let in_record = || raw.as_ref().and_then(|raw| binding.mapper.id(raw).ok());
    let Some(remote_id) = captured.or(chosen).or_else(in_record).or_else(|| id_in_location(answer)) else {
        return Written::Unknown(Failure {
            kind: FailureKind::Unknown,
            status: Some(answer.status),
            words: format!(
                "{} {}: status {}, but the answer names no id: {}",
                rules.request.method,
                path_text(&rules.request),
                answer.status,
                point::excerpt(&answer.body)
            ),
            retry_at: None,
        });
    };
    let version = version_of(binding, rules.capture_version.as_ref(), answer, raw.as_ref());
    let declared = rules.request.record.is_some();
    let record = raw.filter(|raw| declared || is_whole(binding, request, raw)).map(|raw| Remote {
        raw,
        version: version.clone(),
        observed_at: client.clock().now(),
    });
    Written::Done { remote_id, version, record }
}

fn path_text(request: &Request) -> String {
    request
        .path
        .parts
        .iter()
        .map(|part| match part {
            crate::rules::Part::Text(text) => text.clone(),
            crate::rules::Part::Hole(name) => format!("{{{name}}}"),
            crate::rules::Part::Secret(_) => "•••".to_owned(),
        })
        .collect()
}

/// The last segment of a `Location`.
fn id_in_location(answer: &Response) -> Option<String> {
    let text = answer.headers.get(http::header::LOCATION)?.to_str().ok()?;
    let path = text.split(['?', '#']).next()?.trim_end_matches('/');
    path.rsplit('/').next().filter(|segment| !segment.is_empty()).map(str::to_owned)
}

/// An answer counts as the record itself only where it shows every field that was sent or seen before.
fn is_whole(binding: &Binding, request: &WriteRequest, raw: &Bytes) -> bool {
    let Ok(now) = binding.mapper.read(raw) else { return false };
    let shows = |field: usize| now.slots.get(field).is_some_and(|slot| *slot != Slot::Absent);
    let before = request.expected_raw.as_ref().and_then(|raw| binding.mapper.read(raw).ok());
    let kept = before.is_none_or(|before| {
        before.slots.iter().enumerate().all(|(field, slot)| *slot == Slot::Absent || shows(field))
    });
    kept && request.values.iter().all(|(field, value)| value.is_null() || shows(*field))
}

async fn update(client: &Arc<Client>, binding: &Arc<Binding>, request: &WriteRequest) -> Result<Written, Written> {
    let Some(rules) = &binding.update else {
        return Err(Written::Stopped(bad("the rules have no write.update".into())));
    };
    let remote_id = known_id(request)?;
    let guard = guard(client, binding, request, remote_id, &rules.precondition).await?;
    let raw = guard.raw.as_ref().or(request.expected_raw.as_ref());
    let body = shape::body(binding, request, raw.map(|raw| &raw[..])).map_err(unshapable)?;
    let mut draft = draft(client, &rules.request, Some(remote_id), guard.version.as_deref())?;
    draft.body = Some(body);
    let safety = put_precondition(client, &mut draft, &rules.precondition, guard.version.as_deref())?;
    match client.send(draft.build(), safety).await {
        Ok(answer) => {
            let raw = record_in(&rules.request, &answer).ok().flatten();
            let version = version_of(binding, None, &answer, raw.as_ref());
            let declared = rules.request.record.is_some();
            let record = raw
                .filter(|raw| binding.mapper.id(raw).is_ok_and(|id| id == remote_id))
                .filter(|raw| declared || is_whole(binding, request, raw))
                .map(|raw| Remote { raw, version: version.clone(), observed_at: client.clock().now() });
            Ok(Written::Done { remote_id: remote_id.to_owned(), version, record })
        }
        Err(failure) => Err(failed(failure, SendOp::Update, request)),
    }
}

async fn delete(client: &Arc<Client>, binding: &Arc<Binding>, request: &WriteRequest) -> Result<Written, Written> {
    let Some(rules) = &binding.delete else {
        return Err(Written::Stopped(bad("the rules have no write.delete".into())));
    };
    let remote_id = known_id(request)?;
    let done = || Written::Done { remote_id: remote_id.to_owned(), version: None, record: None };
    let guard = match guard(client, binding, request, remote_id, &rules.precondition).await {
        Err(Written::Missing) => return Ok(done()),
        other => other?,
    };
    let mut draft = draft(client, &rules.request, Some(remote_id), guard.version.as_deref())?;
    put_precondition(client, &mut draft, &rules.precondition, guard.version.as_deref())?;
    match client.send(draft.build(), Safety::Idempotent).await {
        Ok(_) => Ok(done()),
        Err(failure) => Err(failed(failure, SendOp::Delete, request)),
    }
}

fn known_id(request: &WriteRequest) -> Result<&str, Written> {
    request.remote_id.as_deref().ok_or_else(|| Written::Stopped(bad("a write without a remote id".into())))
}

/// What the write is conditional on.
struct Guard {
    version: Option<String>,
    raw: Option<Bytes>,
}

/// Reads the record again where the precondition asks for it, or where it wants a version that no listing showed.
/// A record whose content moved on since the decision makes the write stale.
async fn guard(
    client: &Arc<Client>,
    binding: &Arc<Binding>,
    request: &WriteRequest,
    remote_id: &str,
    precondition: &Precondition,
) -> Result<Guard, Written> {
    let known = Guard { version: request.expected_version.clone(), raw: None };
    let can_get = binding.read.as_ref().is_some_and(|read| read.get.is_some());
    let look = match precondition {
        Precondition::None => false,
        Precondition::Reread => can_get,
        Precondition::Version { .. } => request.expected_version.is_none() && can_get,
    };
    if !look {
        return Ok(known);
    }
    match point::get(client, binding, remote_id).await {
        Ok(Got::Missing) => Err(Written::Missing),
        Ok(Got::Found(now)) if moved_on(binding, request.expected_raw.as_ref(), &now.raw) => {
            Err(Written::Stale(Some(now)))
        }
        Ok(Got::Found(now)) => Ok(Guard { version: now.version, raw: Some(now.raw) }),
        Err(failure) if matches!(failure.kind, FailureKind::Auth | FailureKind::Fatal) => {
            Err(Written::Stopped(failure))
        }
        Err(failure) => Err(Written::NotDone(Failure { kind: FailureKind::NotDone, ..failure })),
    }
}

/// True where the mapped content differs; a new version with the same content is no change (s38).
fn moved_on(binding: &Binding, then: Option<&Bytes>, now: &Bytes) -> bool {
    let Some(then) = then else { return false };
    if then == now {
        return false;
    }
    let (Ok(then), Ok(now)) = (binding.mapper.read(then), binding.mapper.read(now)) else { return true };
    binding.mapper.fields.iter().filter(|map| map.pull || map.push).any(|map| {
        match (then.slots.get(map.field), now.slots.get(map.field)) {
            (Some(Slot::Value(then)), Some(Slot::Value(now))) => !map.domain.same(then, now),
            (then, now) => then != now,
        }
    })
}

/// Puts the version where the upstream wants it. Only a write that the upstream can refuse may be repeated blindly.
fn put_precondition(
    client: &Arc<Client>,
    draft: &mut Draft,
    precondition: &Precondition,
    version: Option<&str>,
) -> Result<Safety, Written> {
    match (precondition, version) {
        (Precondition::Version { place, value }, Some(version)) => {
            let fill = |hole: &str| (hole == "version").then(|| version.to_owned());
            let text = render(value, &fill, &|name| client.secret(name)).map_err(Written::Stopped)?;
            put(draft, place, &text)?;
            Ok(Safety::Idempotent)
        }
        (Precondition::Version { .. }, None) | (Precondition::Reread | Precondition::None, _) => Ok(Safety::Plain),
    }
}

fn draft(client: &Arc<Client>, request: &Request, id: Option<&str>, version: Option<&str>) -> Result<Draft, Written> {
    let fill = |hole: &str| match hole {
        "id" => id.map(str::to_owned),
        "version" => version.map(str::to_owned),
        _ => None,
    };
    client.draft(request, &fill).map_err(Written::Stopped)
}

fn put(draft: &mut Draft, place: &Place, value: &str) -> Result<(), Written> {
    draft.put(place, value).map_err(Written::Stopped)
}

fn unshapable(error: Unshapable) -> Written {
    match error {
        Unshapable::Fields(fields) => Written::Inexpressible(fields),
        Unshapable::Filter(words) => Written::Refused(words),
    }
}

/// What a failed call means for the write.
pub fn failed(failure: Failure, op: SendOp, request: &WriteRequest) -> Written {
    match (failure.kind, op) {
        (FailureKind::NotDone, _) => Written::NotDone(failure),
        (FailureKind::Unknown | FailureKind::BadAnswer, _) => Written::Unknown(failure),
        (FailureKind::Auth | FailureKind::Fatal, _) | (FailureKind::NotFound | FailureKind::Gone, SendOp::Create) => {
            Written::Stopped(failure)
        }
        (FailureKind::Conflict, SendOp::Create) => Written::Exists(failure.words),
        (FailureKind::Conflict, SendOp::Update | SendOp::Delete) => Written::Stale(None),
        (FailureKind::NotFound | FailureKind::Gone, SendOp::Update) => Written::Missing,
        (FailureKind::NotFound | FailureKind::Gone, SendOp::Delete) => {
            Written::Done { remote_id: request.remote_id.clone().unwrap_or_default(), version: None, record: None }
        }
        (FailureKind::Invalid | FailureKind::CursorExpired, _) => Written::Refused(failure.words),
    }
}

/// The method and path of a single write, for batches that want them.
pub fn line(client: &Arc<Client>, binding: &Binding, request: &WriteRequest) -> Option<(Method, String)> {
    let (rules, id) = match request.op {
        SendOp::Create => {
            let create = binding.create.as_ref()?;
            let chosen = matches!(create.idempotency, Idempotency::ClientId);
            (&create.request, chosen.then(|| chosen_id(request)))
        }
        SendOp::Update => (&binding.update.as_ref()?.request, request.remote_id.as_deref()),
        SendOp::Delete => (&binding.delete.as_ref()?.request, request.remote_id.as_deref()),
    };
    let draft = draft(client, rules, id, request.expected_version.as_deref()).ok()?;
    Some((draft.method().clone(), draft.path().to_owned()))
}

/// The version at a path of a result, or in the record itself.
pub fn version_at(binding: &Binding, path: Option<&Path>, result: &[u8], raw: Option<&Bytes>) -> Option<String> {
    match (path, &binding.version) {
        (Some(path), _) => text_at(path, result).ok().flatten(),
        (None, Some(VersionAt::Record(_))) => {
            raw.and_then(|raw| binding.mapper.read(raw).ok()).and_then(|mapped| mapped.version)
        }
        (None, Some(VersionAt::Header(_)) | None) => None,
    }
}
