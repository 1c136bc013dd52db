//! Owns: the bodies of writes: changed fields, the whole record, or what a jq filter makes of them.
//!
//! Must not know: sending, preconditions, outcomes. Everything here is pure.

use crate::record::{FieldError, Json, Lens};
use crate::rules::{Binding, Body, Idempotency};

use super::outcome::{SendOp, WriteRequest};

/// Why a body cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unshapable {
    /// These fields cannot be expressed at this upstream.
    Fields(Vec<(usize, String)>),
    /// A filter failed, or made nothing.
    Filter(String),
}

/// The body of a single create or update. `remote` is the record as it is there, for read-modify-write.
pub fn body(binding: &Binding, request: &WriteRequest, remote: Option<&[u8]>) -> Result<Json, Unshapable> {
    let kind = match request.op {
        SendOp::Create => binding.create.as_ref().map(|create| &create.body),
        SendOp::Update => binding.update.as_ref().map(|update| &update.body),
        SendOp::Delete => None,
    };
    let changed = changed(binding, request)?;
    match (kind.unwrap_or(&Body::Changed), request.op) {
        (Body::Changed, _) | (Body::Full, SendOp::Create | SendOp::Delete) => Ok(changed),
        (Body::Full, SendOp::Update) => {
            let mut whole = remote.and_then(|raw| Json::parse(raw).ok()).unwrap_or_else(|| Json::Object(Vec::new()));
            expressed(binding.mapper.write(&mut whole, &request.values))?;
            Ok(whole)
        }
        (Body::Filter(filter), _) => {
            let mut record = Json::Object(Vec::new());
            // What of the rest of the record cannot be expressed is no part of this write.
            binding.mapper.write(&mut record, &request.record);
            expressed(binding.mapper.write(&mut record, &request.values))?;
            put_key(binding, request, &mut record);
            let remote = remote.and_then(|raw| Json::parse(raw).ok()).unwrap_or(Json::Null);
            let input =
                Json::Object(vec![("record".into(), record), ("changed".into(), changed), ("remote".into(), remote)]);
            one(filter.run(&input, &[], 1))
        }
    }
}

/// The changed fields in the upstream's own shape.
fn changed(binding: &Binding, request: &WriteRequest) -> Result<Json, Unshapable> {
    let mut body = Json::Object(Vec::new());
    expressed(binding.mapper.write(&mut body, &request.values))?;
    put_key(binding, request, &mut body);
    Ok(body)
}

/// A create that is found again by a field of its own carries the operation id there.
fn put_key(binding: &Binding, request: &WriteRequest, body: &mut Json) {
    if let (SendOp::Create, Some(Idempotency::Field(path))) =
        (request.op, binding.create.as_ref().map(|create| &create.idempotency))
    {
        // A path of the rules was checked to be writable.
        path.put(body, Json::String(request.key.clone())).ok();
    }
}

fn expressed(errors: Vec<(usize, FieldError)>) -> Result<(), Unshapable> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Unshapable::Fields(errors.into_iter().map(|(field, error)| (field, error.reason)).collect()))
}

fn one(outputs: Result<Vec<Json>, crate::record::FilterError>) -> Result<Json, Unshapable> {
    match outputs {
        Ok(outputs) => {
            outputs.into_iter().next().ok_or_else(|| Unshapable::Filter("the body filter made nothing".into()))
        }
        Err(error) => Err(Unshapable::Filter(format!("the body filter failed: {error}"))),
    }
}

/// One item of a batch: what the `item` filter makes of it, or the body with its id put in.
pub fn item(binding: &Binding, request: &WriteRequest, method: &str, path: &str) -> Result<Json, Unshapable> {
    let mut body = match request.op {
        SendOp::Delete => Json::Object(Vec::new()),
        SendOp::Create | SendOp::Update => body(binding, request, request.expected_raw.as_deref())?,
    };
    let filter = binding.batch.as_ref().and_then(|batch| batch.item.as_ref());
    let id = request.remote_id.clone().map_or(Json::Null, Json::String);
    let Some(filter) = filter else {
        if let (Lens::Path(at), Json::String(_)) = (&binding.mapper.probe.id, &id) {
            at.put(&mut body, id).map_err(|error| Unshapable::Filter(error.to_string()))?;
        }
        return Ok(body);
    };
    let text = |text: &str| Json::String(text.to_owned());
    let input = Json::Object(vec![
        ("op".into(), text(request.op.name())),
        ("id".into(), id),
        ("version".into(), request.expected_version.as_deref().map_or(Json::Null, text)),
        ("method".into(), text(method)),
        ("path".into(), text(path)),
        ("body".into(), if request.op == SendOp::Delete { Json::Null } else { body }),
        ("key".into(), text(&request.key)),
    ]);
    one(filter.run(&input, &[], 1))
}
