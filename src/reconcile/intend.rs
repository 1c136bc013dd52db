//! Owns: turning planned writes into durable intents, before any byte is sent.
//!
//! Must not know: how they are sent.

use sha2::{Digest, Sha256};

use crate::merge::{self, IntentState, RecordPlan, Write, WriteOp};
use crate::record::{Json, RecordId, Value, hex};
use crate::rules::{Binding, Idempotency, Precondition, Transition};
use crate::store::{IntentRow, QuarantineRow, StoreError, Tx, View};
use crate::upstream::{SendOp, Site};

use super::addressed;
use super::apply::{self, Applied};
use super::base;
use super::context::{Pass, local_subject};
use super::cycle;
use super::gather::Gathered;
use super::jobs;
use super::observe;
use super::parts::{self, Part};
use super::report::{Change, Counts};
use super::still::{self, Still};

/// Records the intents of one record's plan. Intents of earlier passes that were never sent and are not wanted any
/// more are forgotten; one that would send the same bytes keeps its key.
pub fn intend(
    tx: &mut dyn Tx,
    pass: &Pass,
    found: &Gathered,
    plan: &RecordPlan,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    for at in 0..pass.collection.bindings.len() {
        if found.facts.spokes.get(at).is_some_and(|spoke| spoke.blocked.is_some()) {
            continue;
        }
        let waiting = found
            .intents
            .iter()
            .find(|intent| intent.binding == pass.binding_key(at) && IntentState::SENDABLE.contains(&intent.state));
        let write = plan.writes.iter().find(|write| write.binding == at);
        let blocked = plan.blocked.iter().filter(|one| one.binding == at);
        let still: Vec<Still> =
            blocked.map(|one| Still { fields: one.fields.clone(), reason: one.reason.clone() }).collect();
        let wanted = if let Some(write) = write {
            shape(tx, pass, found, plan, write, still, applied)?
        } else {
            if let Some(row) = still::entry(tx, pass, at, found)? {
                still::forget_write(tx, &row)?;
            }
            still::name(tx, pass, found, at, &still, applied)?;
            None
        };
        let hash = |intent: &IntentRow| intent.payload_hash.clone();
        let renewal = merge::renew(waiting.map(hash).as_deref(), wanted.as_ref().map(hash).as_deref());
        if let Some(old) = waiting.filter(|_| renewal.forget) {
            tx.drop_intent(&old.key)?;
        }
        if let Some(mut new) = wanted.filter(|_| renewal.record) {
            let former = |old: &&IntentRow| old.binding == new.binding && old.op == new.op;
            new.job = found.intents.iter().find(former).and_then(jobs::kept_alone);
            // The wait is the upstream's, whatever is sent in the end.
            if let Some(old) = waiting.filter(|old| old.state == IntentState::Parked && old.not_before.is_some()) {
                (new.state, new.not_before, new.note) = (old.state, old.not_before, old.note.clone());
            }
            tx.put_intent(&new)?;
        }
    }
    Ok(())
}

/// The operation and the values of a write.
fn parts(write: &Write) -> (SendOp, &[(usize, Value)]) {
    match &write.op {
        WriteOp::Create(values) => (SendOp::Create, values),
        WriteOp::Update(values) => (SendOp::Update, values),
        WriteOp::Delete => (SendOp::Delete, &[]),
        WriteOp::Archive => (SendOp::Archive, &[]),
    }
}

/// Shapes one write into an intent, or says why it has to wait: a parent that is not there yet, a refusal of the very
/// same write, nothing left that the upstream could express.
fn shape(
    tx: &mut dyn Tx,
    pass: &Pass,
    found: &Gathered,
    plan: &RecordPlan,
    write: &Write,
    mut still: Vec<Still>,
    applied: &mut Applied,
) -> Result<Option<IntentRow>, StoreError> {
    let at = write.binding;
    let Some(rules) = pass.rules(at).cloned() else { return Ok(None) };
    let (op, values) = parts(write);
    let mut values = values.to_vec();
    if op == SendOp::Create {
        if let Some(why) = why_not_created(tx, pass, (at, &rules), &found.record)? {
            set_aside(tx, pass, found, at, "parked", &why, "")?;
            apply::look_again(tx, pass, &found.record)?;
            return Ok(None);
        }
        // What refers to itself, or in a circle, is created without that, and gets it as soon as all are there (s53).
        let left_out = cycle::left_out_there(tx, pass, at, &found.record, &values)?;
        let count = values.len();
        let is_own = |value: &Value| matches!(value, Value::Ref(id) if *id == found.record.0);
        values.retain(|(field, value)| !is_own(value) && !left_out.contains(field));
        if values.len() < count {
            apply::look_again(tx, pass, &found.record)?;
        }
    }
    let mut remote_values = values.clone();
    if let Some(missing) = observe::to_remote(tx, pass, at, &mut remote_values)? {
        set_aside(tx, pass, found, at, "parked", &missing, "")?;
        apply::look_again(tx, pass, &found.record)?;
        return Ok(None);
    }
    let inexpressible = rules.mapper.write(&mut Json::Object(Vec::new()), &remote_values);
    values.retain(|(field, _)| !inexpressible.iter().any(|(bad, _)| bad == field));
    let nothing_left = values.is_empty() && !inexpressible.is_empty();
    let cut = parts::cut(&rules, op, values, &parts::there(tx, pass, at, &found.record)?);
    still.extend(inexpressible.iter().map(|(field, error)| Still::inexpressible(pass, at, *field, error)));
    still.extend(cut.stuck.iter().map(|(field, from)| Still::stuck(pass, at, *field, from.as_ref(), &write.op)));
    let first = cut.parts.first().cloned().unwrap_or_default();
    remote_values.retain(|(field, _)| first.values.iter().any(|(sent, _)| sent == field));
    if was_refused(tx, pass, found, at, op, &remote_values)? {
        return Ok(None);
    }
    still::name(tx, pass, found, at, &still, applied)?;
    if nothing_left || cut.parts.is_empty() {
        return Ok(None);
    }
    if cut.goes_on {
        // What comes after the first part is derived, and told, once that is settled; a plan tells all of it now.
        apply::look_again(tx, pass, &found.record)?;
    }
    let mut body = Json::Object(Vec::new());
    rules.mapper.write(&mut body, &remote_values);
    let remote_id = remote_id_of(found, at);
    let version = write.expected_version.as_deref();
    let hash = payload_hash(op, remote_id.as_deref(), &body, version, parts::call(&rules, first.transition));
    let site = site(found, (at, &rules), op, &remote_values);
    for (position, part) in cut.parts.iter().enumerate() {
        applied.planned.push((at, counts(op)));
        if position == 0 || pass.planning {
            applied.changes.push(told(pass, found, plan, (at, &rules, &site), op, part));
        }
    }
    let key = crate::clock::new_id(pass.clock.as_ref());
    let chooses = matches!(rules.create.as_ref().map(|create| &create.idempotency), Some(Idempotency::ClientId));
    // Where we choose the remote id it is the operation id, so that a repetition meets itself.
    let remote_id = if op == SendOp::Create { chooses.then(|| key.clone()) } else { remote_id };
    Ok(Some(IntentRow {
        key,
        collection: pass.collection.name.clone(),
        upstream: rules.upstream.name.clone(),
        binding: pass.binding_key(at),
        record: found.record.clone(),
        remote_id,
        op: op.name().into(),
        state: IntentState::Prepared,
        payload_hash: hash,
        values: base::values_to_text(&pass.collection, &first.values),
        expected_version: write.expected_version.clone(),
        attempts: 0,
        not_before: None,
        pass: pass.id,
        created_at: pass.micros(),
        sent_at: None,
        note: None,
        checks: 0,
        job: None,
    }))
}

/// Why a record is not made at a binding in this pass.
fn why_not_created(
    view: &dyn View,
    pass: &Pass,
    (at, rules): (usize, &Binding),
    record: &RecordId,
) -> Result<Option<String>, StoreError> {
    match pass.creates_held(at) {
        Some(why) => Ok(Some(why.to_owned())),
        None => addressed::is_taken(view, pass, (at, rules), record),
    }
}

/// What is told of one request that a write leads to.
fn told(
    pass: &Pass,
    found: &Gathered,
    plan: &RecordPlan,
    (at, rules, site): (usize, &Binding, &Site),
    op: SendOp,
    part: &Part,
) -> Change {
    // What is made anew holds nothing yet, whatever its predecessor held.
    let before = if op == SendOp::Create { Vec::new() } else { known_there(found, at) };
    let fields = apply::field_changes(pass, plan, &before, &part.values);
    let mut told = apply::change(pass, found, &rules.upstream.name, op.name(), fields, None);
    describe(&mut told, rules, op, parts::call(rules, part.transition), site);
    told
}

/// Where the record is that is written to, or where it is made.
fn site(found: &Gathered, (at, rules): (usize, &Binding), op: SendOp, values: &[(usize, Value)]) -> Site {
    let remote_id = remote_id_of(found, at).unwrap_or_default();
    if op == SendOp::Create {
        return Site::of_new(rules, values);
    }
    let staged = found.staged.get(at).and_then(Option::as_ref).map(|staged| &staged.raw);
    let linked = found.links.get(at).and_then(Option::as_ref).map(|link| &link.raw);
    let seen = staged.filter(|raw| !raw.is_empty()).or(linked);
    Site::of(rules, &remote_id, seen.map_or(b"", Vec::as_slice))
}

fn counts(op: SendOp) -> Counts {
    match op {
        SendOp::Create => Counts { created: 1, ..Counts::default() },
        SendOp::Update => Counts { updated: 1, ..Counts::default() },
        SendOp::Delete | SendOp::Archive => Counts { deleted: 1, ..Counts::default() },
    }
}

/// True where this very write was refused before. A refusal of another write, or its wait, is over and forgotten.
fn was_refused(
    tx: &mut dyn Tx,
    pass: &Pass,
    found: &Gathered,
    at: usize,
    op: SendOp,
    remote_values: &[(usize, Value)],
) -> Result<bool, StoreError> {
    let Some(row) = still::entry(tx, pass, at, found)? else { return Ok(false) };
    if row.inputs == refusal_inputs(tx, pass, at, &found.record, op, remote_values)? {
        return Ok(true);
    }
    still::forget_write(tx, &row)?;
    Ok(false)
}

/// The remote record: the one that this pass tied the record to, else that of the link.
fn remote_id_of(found: &Gathered, at: usize) -> Option<String> {
    let staged = found.staged.get(at).and_then(Option::as_ref).map(|staged| &staged.remote_id);
    let linked = found.links.get(at).and_then(Option::as_ref).map(|link| &link.remote_id);
    staged.or(linked).cloned()
}

/// What the upstream is known to hold, as far as it was observed; for showing what a write changes.
fn known_there(found: &Gathered, at: usize) -> Vec<Value> {
    use crate::merge::Seen;
    let spoke = found.facts.spokes.get(at);
    match spoke.map(|spoke| &spoke.seen) {
        Some(Seen::Record(seen) | Seen::OutOfScope(seen) | Seen::Archived(seen)) => {
            seen.slots.iter().map(|slot| slot.value().cloned().unwrap_or(Value::Null)).collect()
        }
        _ => spoke.and_then(|spoke| spoke.link.as_ref()).map_or_else(Vec::new, |link| {
            link.base_remote.iter().map(|slot| slot.value().cloned().unwrap_or(Value::Null)).collect()
        }),
    }
}

/// SHA-256 over everything that decides what is sent; the same hash means the same bytes.
fn payload_hash(
    op: SendOp,
    remote_id: Option<&str>,
    body: &Json,
    version: Option<&str>,
    call: Option<&Transition>,
) -> String {
    let (id, version) = (remote_id.unwrap_or(""), version.unwrap_or(""));
    let mut text = format!("{}\n{id}\n{}\n{version}", op.name(), body.canonical());
    if let Some(call) = call {
        text.push_str(&format!("\n{:?} {:?}", call.request, call.body));
    }
    hex(&Sha256::digest(text.as_bytes()))
}

/// What a refusal is bound to: the same write is tried again only when what is sent and how, the remote record or the mapping
/// change.
/// `values` carry remote ids. The version is no part of it: our own write may have moved it.
pub fn refusal_inputs(
    view: &dyn View,
    pass: &Pass,
    at: usize,
    record: &RecordId,
    op: SendOp,
    values: &[(usize, Value)],
) -> Result<String, StoreError> {
    let Some(rules) = pass.rules(at) else { return Ok(String::new()) };
    let mut body = Json::Object(Vec::new());
    rules.mapper.write(&mut body, values);
    let link = view.links_of(record)?.into_iter().find(|link| link.binding == pass.binding_key(at));
    let remote_id = link.as_ref().map(|link| link.remote_id.as_str());
    let fingerprint = link.as_ref().map_or(0, |link| link.fingerprint);
    let mut mapping = rules.mapping_hash.clone();
    mapping.truncate(16);
    let call = parts::call(rules, parts::transition_of(view, pass, at, record, op, values)?);
    let sent = format!("{}\n{}", payload_hash(op, remote_id, &body, None, call), way(rules, op, call));
    Ok(format!("{}:{mapping}:{fingerprint:016x}", hex(&Sha256::digest(sent.as_bytes()))))
}

/// All that the binding says of how such a write is sent, to compare.
fn way(rules: &Binding, op: SendOp, call: Option<&Transition>) -> String {
    let way = match (call, op) {
        (Some(call), _) => format!("{call:?}"),
        (None, SendOp::Create) => format!("{:?}", rules.create),
        (None, SendOp::Update) => format!("{:?}", rules.update),
        (None, SendOp::Delete) => format!("{:?}", rules.delete),
        (None, SendOp::Archive) => format!("{:?}", rules.archive),
    };
    format!("{way}\n{:?}", op.batch_of(rules, call.is_some()))
}

/// Names a write that cannot be made now.
pub fn set_aside(
    tx: &mut dyn Tx,
    pass: &Pass,
    found: &Gathered,
    at: usize,
    stage: &str,
    reason: &str,
    inputs: &str,
) -> Result<(), StoreError> {
    tx.put_quarantine(&QuarantineRow {
        collection: pass.collection.name.clone(),
        upstream: pass.upstream(at).to_owned(),
        subject: local_subject(&found.record),
        stage: stage.to_owned(),
        reason: reason.to_owned(),
        inputs: inputs.to_owned(),
        since: pass.micros(),
        pass: pass.id,
    })
}

/// The request line, and whether the upstream can refuse the write if it was overtaken.
fn describe(told: &mut Change, rules: &Binding, op: SendOp, call: Option<&Transition>, site: &Site) {
    let line = |request: &crate::rules::Request| {
        let path: String = request
            .path
            .parts
            .iter()
            .map(|part| match part {
                crate::rules::Part::Text(text) => text.clone(),
                crate::rules::Part::Secret(_) => "•••".into(),
                crate::rules::Part::Hole(hole) => site.shown(hole),
            })
            .collect();
        format!("{} {path}", request.method)
    };
    let guarded = |precondition: &Precondition| matches!(precondition, Precondition::Version { .. });
    if let Some(call) = call {
        (told.request, told.atomic) = (Some(line(&call.request)), guarded(&call.precondition));
        return;
    }
    (told.request, told.atomic) = match op {
        SendOp::Create => (rules.create.as_ref().map(|create| line(&create.request)), true),
        SendOp::Update => (
            rules.update.as_ref().map(|update| line(&update.request)),
            rules.update.as_ref().is_some_and(|update| guarded(&update.precondition)),
        ),
        SendOp::Archive => (
            rules.archive.as_ref().map(|archive| line(&archive.request)),
            rules.archive.as_ref().is_some_and(|archive| guarded(&archive.precondition)),
        ),
        SendOp::Delete => (
            rules.delete.as_ref().map(|delete| line(&delete.request)),
            rules.delete.as_ref().is_some_and(|delete| guarded(&delete.precondition)),
        ),
    };
    if let Some(batch) = op.batch_of(rules, false) {
        told.request = Some(format!("{} (batch)", line(&batch.request)));
    }
}
