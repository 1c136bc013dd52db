//! Owns: the request of one write: its body, its precondition, and reading again before where that is needed.
//!
//! Must not know: batches, what the answer means.

use super::parented::as_known_there;
use super::point::{get, has_point_read, version_json};
use super::site::own_id as own_id_in;
use super::{
    Built, Client, Failure, FailureKind, Got, Holes, Remote, Safety, SendOp, Site, WriteRequest, Written, fill_version,
    plain,
};
use crate::record::{Json, Slot, Value};
use crate::rules::{Binding, Body, Idempotency, Place, Precondition, Request, Transition};

/// A write that can be sent.
#[derive(Debug)]
pub struct Prepared {
    /// The request.
    pub built: Built,
    /// What sending it twice does.
    pub safety: Safety,
    /// The version that it is conditional on.
    pub version: Option<String>,
}

/// Makes the request of a write. `Err` is the outcome of a write that is not sent.
pub async fn prepare(client: &Client, binding: &Binding, write: &WriteRequest) -> Result<Prepared, Written> {
    match write.op {
        SendOp::Create => prepare_create(client, binding, write),
        SendOp::Update => match write.transition.and_then(|at| binding.transitions.get(at)) {
            Some(transition) => prepare_transition(client, binding, write, transition).await,
            None => prepare_update(client, binding, write).await,
        },
        SendOp::Delete => prepare_delete(client, binding, write).await,
        SendOp::Archive => prepare_archive(client, binding, write).await,
    }
}

fn prepare_create(client: &Client, binding: &Binding, write: &WriteRequest) -> Result<Prepared, Written> {
    let create = binding.create.as_ref().ok_or_else(|| not_described(binding, write.op))?;
    let parent = parent_of(binding, write);
    if let (Some(field), None) = (create.parent, parent) {
        let name = binding.mapper.field(field).map_or("?", |map| map.name.as_str());
        return Err(Written::Refused(format!("`{name}` names no parent under which it could be created")));
    }
    let key_of =
        |field| natural_key(binding, field, &write.values).or_else(|| natural_key(binding, field, &write.record));
    let natural = create.named_by().map(|field| (field, key_of(field)));
    if let Some((field, None)) = natural {
        let name = binding.mapper.field(field).map_or("?", |map| map.name.as_str());
        return Err(Written::Refused(format!(
            "`{name}` has no value, and the address of a create names the record by it"
        )));
    }
    let natural = natural.and_then(|(_field, key)| key);
    let id = write.remote_id.as_deref();
    let holes = Holes { id, key: Some(&write.key), parent, natural: natural.as_deref(), ..Holes::default() };
    let mut built = client.build(&create.request, &holes).map_err(refuse)?;
    let values = match create.body {
        Body::Full => &write.record,
        Body::Changed | Body::Filter(_) => &write.values,
    };
    built.body = Some(make_body(binding, &create.body, write, values, None)?);
    let mut safety = if built.method == http::Method::PUT { Safety::Idempotent } else { Safety::Plain };
    match &create.idempotency {
        Idempotency::None | Idempotency::Match(_) => {}
        Idempotency::Key { into, .. } => {
            built.set(into, &write.key).map_err(refuse)?;
            safety = Safety::Idempotent;
        }
        Idempotency::Field(path) => built.set_body(path, Json::String(write.key.clone())).map_err(refuse)?,
        Idempotency::ClientId => {
            built.set_header("if-none-match", &plain("*")).map_err(refuse)?;
            safety = Safety::Idempotent;
        }
    }
    Ok(Prepared { built, safety, version: None })
}

/// What an address has that names a record by a field, out of the values that go out: as the upstream writes it.
pub fn natural_key(binding: &Binding, field: usize, values: &[(usize, Value)]) -> Option<String> {
    let value = values.iter().find(|(at, _)| *at == field)?;
    let path = binding.mapper.field(field)?.lens.written_path()?;
    let mut body = Json::Object(Vec::new());
    let inexpressible = binding.mapper.write(&mut body, std::slice::from_ref(value));
    match path.get(&body).filter(|_| inexpressible.is_empty())? {
        Json::String(text) | Json::Number(text) => Some(text.clone()),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// The remote id of the parent under which a record is created, where the address names it.
pub fn parent_of<'w>(binding: &Binding, write: &'w WriteRequest) -> Option<&'w str> {
    parent_in(binding, &write.values).or_else(|| parent_in(binding, &write.record))
}

/// The same, where these are the values that go out.
pub fn parent_in<'w>(binding: &Binding, values: &'w [(usize, Value)]) -> Option<&'w str> {
    let field = binding.create.as_ref()?.parent?;
    values.iter().filter(|(at, _)| *at == field).find_map(|(_, value)| match value {
        Value::Ref(remote_id) => Some(remote_id.as_str()),
        _ => None,
    })
}

async fn prepare_update(client: &Client, binding: &Binding, write: &WriteRequest) -> Result<Prepared, Written> {
    if let Some(map) = binding.mapper.fields.iter().find(|map| is_elsewhere(binding, write, map.field)) {
        // It was recorded under other rules.
        return Err(Written::Refused(format!("`{}` changes by a transition, and none fits this change", map.name)));
    }
    let update = binding.update.as_ref().ok_or_else(|| not_described(binding, write.op))?;
    let ground = stand_on(client, binding, &update.precondition, write, needs(&update.body)).await?;
    let mut built = build(client, binding, &update.request, write, ground.version.as_deref())?;
    built.body = Some(make_body(binding, &update.body, write, &write.values, ground.raw.as_deref())?);
    let safety = set_precondition(client, binding, &mut built, &update.precondition, &ground)?;
    Ok(Prepared { built, safety, version: ground.version })
}

/// A call of its own for one field.
async fn prepare_transition(
    client: &Client,
    binding: &Binding,
    write: &WriteRequest,
    transition: &Transition,
) -> Result<Prepared, Written> {
    let needs = transition.body.as_ref().map_or(Needs::Version, needs);
    let ground = stand_on(client, binding, &transition.precondition, write, needs).await?;
    let mut built = build(client, binding, &transition.request, write, ground.version.as_deref())?;
    if let Some(body) = &transition.body {
        built.body = Some(make_body(binding, body, write, &write.values, ground.raw.as_deref())?);
    }
    let safety = set_precondition(client, binding, &mut built, &transition.precondition, &ground)?;
    Ok(Prepared { built, safety, version: ground.version })
}

/// Whether a write would change a field that stands in no create and no update.
fn is_elsewhere(binding: &Binding, write: &WriteRequest, field: usize) -> bool {
    binding.is_state(field) && write.values.iter().any(|(sent, _)| *sent == field)
}

async fn prepare_delete(client: &Client, binding: &Binding, write: &WriteRequest) -> Result<Prepared, Written> {
    let delete = binding.delete.as_ref().ok_or_else(|| not_described(binding, write.op))?;
    let ground = stand_on(client, binding, &delete.precondition, write, Needs::Version).await?;
    let mut built = build(client, binding, &delete.request, write, ground.version.as_deref())?;
    set_precondition(client, binding, &mut built, &delete.precondition, &ground)?;
    Ok(Prepared { built, safety: Safety::Idempotent, version: ground.version })
}

async fn prepare_archive(client: &Client, binding: &Binding, write: &WriteRequest) -> Result<Prepared, Written> {
    let archive = binding.archive.as_ref().ok_or_else(|| not_described(binding, write.op))?;
    let ground = stand_on(client, binding, &archive.precondition, write, Needs::Version).await?;
    let mut built = build(client, binding, &archive.request, write, ground.version.as_deref())?;
    let safety = set_precondition(client, binding, &mut built, &archive.precondition, &ground)?;
    Ok(Prepared { built, safety, version: ground.version })
}

/// The remote state that a write is made against.
struct Ground {
    raw: Option<Vec<u8>>,
    version: Option<String>,
}

/// What a write needs of the remote record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Only what its precondition is made of.
    Version,
    /// All of it. A listing may show a summary, and what it leaves out would be wiped out; a point read shows the record.
    Whole,
}

fn needs(body: &Body) -> Needs {
    match body {
        Body::Changed => Needs::Version,
        Body::Filter(filter) if !filter.source().contains("remote") => Needs::Version,
        Body::Full | Body::Filter(_) => Needs::Whole,
    }
}

/// Reads the record again where the precondition or the body needs it, and compares it with what was decided on.
async fn stand_on(
    client: &Client,
    binding: &Binding,
    precondition: &Precondition,
    write: &WriteRequest,
    needs: Needs,
) -> Result<Ground, Written> {
    let expected = write.expected_raw.as_deref();
    let version = write.expected_version.clone();
    let usable = match needs {
        Needs::Version => true,
        Needs::Whole => !has_point_read(binding) && expected.is_some_and(|raw| Json::parse(raw).is_ok()),
    };
    let must_read = match precondition {
        Precondition::Version { .. } => version.is_none() || !usable,
        Precondition::Reread => true,
        Precondition::None => !usable,
    };
    if !must_read {
        return Ok(Ground { raw: expected.map(<[u8]>::to_vec), version });
    }
    if !has_point_read(binding) {
        let why = "the record must be read again before this write, but the binding has no `get`";
        return Err(Written::Refused(why.to_owned()));
    }
    let now = match get(client, binding, &site(binding, write)?).await {
        Ok(Got::Found(now)) => now,
        Ok(Got::Missing) => return Err(gone(write)),
        Ok(Got::Astray(why)) => return Err(Written::Astray(why)),
        Ok(Got::Merged(into)) => return Err(Written::Merged(into)),
        Err(failure) => return Err(not_read(failure)),
    };
    let same = match expected {
        // The precondition says at which version the write was decided; what is sent has to be made of the same.
        _ if version.is_some() && matches!(precondition, Precondition::Version { .. }) => now.version == version,
        Some(expected) => same_content(binding, expected, &now.raw),
        // Nothing to compare with: a write on the operator's own word, or a merge that has yet to see the record.
        None => matches!(precondition, Precondition::None),
    };
    if same { Ok(Ground { raw: Some(now.raw.to_vec()), version: now.version }) } else { Err(Written::Stale(Some(now))) }
}

/// What is sent: the mapped form of `values` by itself or put into the remote record, or what the filter makes of them.
fn make_body(
    binding: &Binding,
    body: &Body,
    write: &WriteRequest,
    values: &[(usize, Value)],
    remote: Option<&[u8]>,
) -> Result<Json, Written> {
    let remote = remote.and_then(|raw| Json::parse(raw).ok()).map(|remote| as_known_there(binding, remote));
    match body {
        Body::Changed => map_values(binding, write, Json::Object(Vec::new()), values),
        Body::Full => match (remote, write.op) {
            (Some(remote), _) => map_values(binding, write, remote, values),
            (None, SendOp::Create) => map_values(binding, write, Json::Object(Vec::new()), values),
            // Without the remote record, what the mapping does not know would be wiped out.
            (None, SendOp::Update | SendOp::Delete | SendOp::Archive) => {
                Err(Written::Refused("the remote record cannot be read, so it cannot be written as a whole".to_owned()))
            }
        },
        Body::Filter(filter) => {
            let changed = map_values(binding, write, Json::Object(Vec::new()), &write.values)?;
            let record = map_values(binding, write, Json::Object(Vec::new()), &write.record)?;
            let input = Json::Object(vec![
                ("record".to_owned(), record),
                ("changed".to_owned(), changed),
                ("remote".to_owned(), remote.unwrap_or(Json::Null)),
                ("id".to_owned(), own_id(binding, write).map_or(Json::Null, Json::from)),
                ("key".to_owned(), Json::String(write.key.clone())),
            ]);
            match filter.run(&input, &[], 1) {
                Ok(outputs) => {
                    outputs.into_iter().next().ok_or_else(|| Written::Refused("`body` gives nothing".to_owned()))
                }
                Err(error) => Err(Written::Refused(format!("`body`: {error}"))),
            }
        }
    }
}

/// Only what may be written here enters a body, whoever asks (I9).
fn map_values(
    binding: &Binding,
    write: &WriteRequest,
    mut body: Json,
    values: &[(usize, Value)],
) -> Result<Json, Written> {
    let (mapper, op) = (&binding.mapper, write.op);
    let in_address = binding.create.as_ref().and_then(|create| create.parent).filter(|_| op == SendOp::Create);
    let may_go = |field: usize| {
        in_address != Some(field)
            && mapper.field(field).is_some_and(|map| map.push && (op == SendOp::Create || !map.create_only))
            && (write.transition.is_some() || !binding.is_state(field))
    };
    let values: Vec<(usize, Value)> = values.iter().filter(|(field, _)| may_go(*field)).cloned().collect();
    let unwritable = mapper.write_as(&mut body, &values, &write.spellings);
    if unwritable.is_empty() {
        return Ok(body);
    }
    Err(Written::Inexpressible(unwritable.into_iter().map(|(field, error)| (field, error.reason)).collect()))
}

/// True where the mapping sees the same record: what it does not map, and the version itself, do not count.
pub fn same_content(binding: &Binding, expected: &[u8], now: &[u8]) -> bool {
    let mapper = &binding.mapper;
    if expected == now {
        return true;
    }
    let (Ok(expected), Ok(now)) = (mapper.read(expected), mapper.read(now)) else { return false };
    expected.deleted == now.deleted
        && mapper.fields.iter().all(|map| match (expected.slots.get(map.field), now.slots.get(map.field)) {
            (Some(Slot::Value(left)), Some(Slot::Value(right))) => map.domain.same(left, right),
            (left, right) => left == right,
        })
}

/// Puts the version where the rules want it; a write that carries one can be sent twice.
fn set_precondition(
    client: &Client,
    binding: &Binding,
    built: &mut Built,
    precondition: &Precondition,
    ground: &Ground,
) -> Result<Safety, Written> {
    let Precondition::Version { place, value } = precondition else { return Ok(Safety::Plain) };
    let missing = || Written::Refused("no version of the record is known, and its point read shows none".to_owned());
    let version = ground.version.as_deref().ok_or_else(missing)?;
    let filled = fill_version(client.secrets(), value, version).map_err(refuse)?;
    let number = match place {
        Place::Body(path) => number_like(binding, ground, &filled.text).map(|number| (path, number)),
        Place::Header(_) | Place::Query(_) => None,
    };
    match number {
        Some((path, number)) => built.set_body(path, number),
        None => built.set_filled(place, &filled),
    }
    .map_err(refuse)?;
    Ok(Safety::Idempotent)
}

/// The version as a number, where the record itself has it as one: a text of the same digits is another value in JSON.
fn number_like(binding: &Binding, ground: &Ground, text: &str) -> Option<Json> {
    let in_record = version_json(binding, ground.raw.as_deref()?)?;
    match (in_record, Json::parse(text.as_bytes()).ok()?) {
        (Json::Number(_), number @ Json::Number(_)) => Some(number),
        _ => None,
    }
}

fn build(
    client: &Client,
    binding: &Binding,
    request: &Request,
    write: &WriteRequest,
    version: Option<&str>,
) -> Result<Built, Written> {
    let site = site(binding, write)?;
    if let Some(why) = site.is_unknown(request) {
        return Err(Written::Refused(why));
    }
    let holes = Holes { version, key: Some(&write.key), ..site.holes() };
    client.build(request, &holes).map_err(refuse)
}

/// Where a record is that exists.
pub fn site(binding: &Binding, write: &WriteRequest) -> Result<Site, Written> {
    if write.remote_id.is_none() {
        return Err(Written::Refused("the write names no remote record".to_owned()));
    }
    Ok(Site::of_write(binding, write))
}

/// The id as the upstream has it, where there is one.
pub fn own_id<'w>(binding: &Binding, write: &'w WriteRequest) -> Option<&'w str> {
    write.remote_id.as_deref().map(|remote_id| own_id_in(binding, remote_id))
}

/// Why nothing follows for a record from that such a write does not find it, where that is so: it may be under another parent.
pub fn may_be_elsewhere(binding: &Binding, write: &WriteRequest) -> Option<String> {
    let request = match (write.transition.and_then(|at| binding.transitions.get(at)), write.op) {
        (Some(transition), _) => &transition.request,
        (None, SendOp::Create) => return None,
        (None, SendOp::Update) => &binding.update.as_ref()?.request,
        (None, SendOp::Delete) => &binding.delete.as_ref()?.request,
        (None, SendOp::Archive) => &binding.archive.as_ref()?.request,
    };
    Site::of_write(binding, write).is_left(binding, request)
}

/// What it means for a write that its record is not there.
pub fn gone(write: &WriteRequest) -> Written {
    debug_assert!(write.op != SendOp::Create, "a create names no record that could be gone");
    Written::Missing
}

/// Nothing was sent because the record could not be read first.
fn not_read(failure: Failure) -> Written {
    match failure.kind {
        FailureKind::Auth | FailureKind::Fatal => Written::Stopped(failure),
        // What cannot be read as itself cannot be written on top of; other records may well be.
        FailureKind::Forbidden | FailureKind::OtherRecord | FailureKind::TooLarge => Written::Refused(failure.words),
        _ => Written::NotDone(failure),
    }
}

fn refuse(failure: Failure) -> Written {
    match failure.kind {
        FailureKind::Fatal => Written::Stopped(failure),
        _ => Written::Refused(failure.words),
    }
}

fn not_described(binding: &Binding, op: SendOp) -> Written {
    Written::Refused(format!("the binding of {} does not say how to {}", binding.collection, op.name()))
}

/// A record as a write's answer or a read after it shows it.
pub fn as_remote(client: &Client, raw: bytes::Bytes, version: Option<String>) -> Remote {
    Remote { raw, version, observed_at: client.now() }
}
