//! Owns: what the outcome of a write means for bases, links, staging, quarantine and history.
//!
//! Must not know: how writes are sent; which writes are wanted next.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::merge::{self, Answer, IntentState, LinkState, Seen};
use crate::record::{RecordId, Slot};
use crate::rules::Binding;
use crate::store::{
    self, IntentRow, IntentUpdate, LinkRow, LinkUpdate, NewLink, QuarantineRow, Staged, StagedKind, Store, StoreError,
    Tx,
};
use crate::upstream::{self, Client, Failure, Got, Remote, SendOp, Site, Written};

use super::apply;
use super::base::{self, Pair};
use super::context::{Pass, local_subject, time};
use super::former;
use super::hindered;
use super::intend;
use super::jobs;
use super::known_by;
use super::lookup;
use super::observe::{self, Read};
use super::parts;
use super::push::Ready;
use super::removed;
use super::written;

/// What became of one intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged; with `again`, the answer showed more than was sent: the record is decided again.
    Done {
        /// The operation.
        op: SendOp,
        /// Decide again in this pass.
        again: bool,
    },
    /// Overtaken: the record is decided again in this pass.
    Again,
    /// Overtaken, and not known how the record is now: the next pass reads it.
    Overtaken,
    /// Not done; derived again in a later pass.
    Deferred(String),
    /// It may have been done; settled by evidence.
    Unknown(String),
    /// Another record stands in the way: worth another try once others have been written.
    Hindered,
    /// Refused for good.
    Refused,
    /// The upstream takes nothing more in this pass.
    Stopped(String),
}

/// Completes an answer that does not show the record as it is now, by one point read where the rules have one.
pub async fn read_back(client: &Arc<Client>, rules: &Arc<Binding>, ready: &Ready, written: Written) -> Written {
    let can_get = rules.read.as_ref().is_some_and(|read| read.get.is_some());
    match written {
        done @ Written::Done { .. } if can_get && ready.request.op == SendOp::Archive => {
            removed::look(client, rules, ready, done).await
        }
        Written::Done { remote_id, version, record: None, repeated } if can_get && !ready.request.op.removes() => {
            match upstream::get(client, rules, &Site::after(rules, &ready.request, &remote_id)).await {
                Ok(Got::Found(remote)) => Written::Done {
                    remote_id,
                    version: version.or_else(|| remote.version.clone()),
                    record: Some(remote),
                    repeated,
                },
                Ok(Got::Missing | Got::Astray(_) | Got::Merged(_)) | Err(_) => {
                    Written::Done { remote_id, version, record: None, repeated }
                }
            }
        }
        Written::Stale(None) if can_get => match &ready.request.remote_id {
            Some(remote_id) => match upstream::get(client, rules, &Site::of_write(rules, &ready.request)).await {
                // A delete waits, as one does that children stand in the way of: they may be why.
                Ok(Got::Found(remote)) if is_as_decided_on(rules, ready, &remote) && ready.request.op.removes() => {
                    Written::Hindered(format!("refused as overtaken, but {remote_id} is as it was decided on"))
                }
                Ok(Got::Found(remote)) if is_as_decided_on(rules, ready, &remote) => Written::Refused(format!(
                    "refused as overtaken, but {remote_id} is as it was decided on: is the precondition what the upstream wants?"
                )),
                Ok(Got::Found(remote)) => Written::Stale(Some(remote)),
                Ok(Got::Missing) => Written::Missing,
                Ok(Got::Astray(_)) => Written::Stale(None),
                Ok(Got::Merged(into)) => Written::Merged(into),
                Err(failure) => Written::NotDone(failure),
            },
            None => Written::Stale(None),
        },
        Written::Missing => not_found(client, rules, ready, can_get).await,
        // Nobody misses one that is to go, though, where a listing of everything does not show it either.
        Written::Astray(_) if ready.request.op.removes() && ready.missing => removed(ready),
        Written::Astray(why) => Written::Refused(why),
        Written::Exists(words) => existing(client, rules, ready, words).await,
        other => other,
    }
}

fn is_as_decided_on(rules: &Binding, ready: &Ready, now: &Remote) -> bool {
    upstream::is_as_expected(rules, &ready.request, ready.request.expected_version.as_deref(), now)
}

/// A write met 404 or 410. That is no evidence of a delete where the listing or a point read shows the record: then it is
/// the write that is wrong (its path, a permission), and repeating it, or making the record anew, would be too (s20).
async fn not_found(client: &Arc<Client>, rules: &Arc<Binding>, ready: &Ready, can_get: bool) -> Written {
    let (op, Some(remote_id)) = (ready.request.op, &ready.request.remote_id) else { return Written::Missing };
    let done = || removed(ready);
    let refused = |shown: &str| {
        let hint = "is the path of the write right, and may it be done?";
        Written::Refused(format!("not found, says the {} of {remote_id}, but {shown}: {hint}", op.name()))
    };
    // A record that has moved is none that is gone: then nothing but a listing, or a point read that finds it wherever it is, tells.
    let elsewhere = upstream::may_be_elsewhere(rules, &ready.request).filter(|_| !(op.removes() && ready.missing));
    if let (false, Some(why)) = (can_get, &elsewhere) {
        return Written::Refused(why.clone());
    }
    if !can_get {
        return match (op, ready.listed) {
            (SendOp::Delete | SendOp::Archive, false) => done(),
            (_, true) => refused("this pass's listing shows it"),
            (SendOp::Create | SendOp::Update, false) => {
                refused("nothing else says so, and the binding has no `get` to ask")
            }
        };
    }
    if op.removes() && !ready.listed && elsewhere.is_none() {
        return done();
    }
    match upstream::get(client, rules, &Site::of_write(rules, &ready.request)).await {
        Ok(Got::Astray(why)) => Written::Refused(why),
        Ok(Got::Missing) if op.removes() => done(),
        Ok(Got::Missing) if ready.listed => refused("this pass's listing shows it (and `get` does not find it either)"),
        Ok(Got::Missing) => Written::Missing,
        Ok(Got::Merged(into)) => Written::Merged(into),
        Ok(Got::Found(now)) => {
            if op.removes() || is_as_decided_on(rules, ready, &now) {
                elsewhere.map_or_else(|| refused("a point read finds it"), Written::Refused)
            } else {
                Written::Stale(Some(now))
            }
        }
        Err(failure) => Written::NotDone(failure),
    }
}

/// What comes of a removal whose record is not there any more.
fn removed(ready: &Ready) -> Written {
    match (ready.request.op, &ready.request.remote_id) {
        (SendOp::Delete, Some(remote_id)) => {
            Written::Done { remote_id: remote_id.clone(), version: None, record: None, repeated: false }
        }
        // What is gone is not archived: it never comes back from there.
        _ => Written::Missing,
    }
}

/// A create met a record with the same identity: the record is looked up, to be matched rather than sent again.
async fn existing(client: &Arc<Client>, rules: &Arc<Binding>, ready: &Ready, words: String) -> Written {
    match lookup::look_up(client, rules, ready).await {
        Ok(found) => match found.as_slice() {
            [one] => Written::Stale(Some(one.clone())),
            [] => Written::Refused(format!("exists already, but no lookup finds it: {words}")),
            several => Written::Refused(format!("{} records there have this identity: {words}", several.len())),
        },
        Err(failure) => Written::NotDone(failure),
    }
}

/// Settles outcomes of one binding in one transaction.
pub async fn settle(
    store: &dyn Store,
    pass: &Arc<Pass>,
    binding: usize,
    written: Vec<(Ready, Written)>,
) -> Result<Vec<Outcome>, StoreError> {
    if written.is_empty() {
        return Ok(Vec::new());
    }
    let pass = Arc::clone(pass);
    store::write_small(store, move |tx| {
        written.iter().map(|(ready, written)| settle_one(tx, &pass, binding, ready, written)).collect()
    })
    .await
}

fn settle_one(
    tx: &mut dyn Tx,
    pass: &Pass,
    at: usize,
    ready: &Ready,
    written: &Written,
) -> Result<Outcome, StoreError> {
    let intent = &ready.intent;
    let record = &intent.record;
    if let Some(words) = tied_elsewhere(tx, pass, at, ready, written)? {
        return refused(tx, pass, at, ready, "push", &words);
    }
    match written {
        Written::Done { remote_id, version, record: remote, repeated } => {
            done(tx, pass, at, intent, (remote_id, version.as_deref()), remote.as_ref(), *repeated)
        }
        Written::Stale(remote) => {
            if let Some(remote) = remote {
                stage(tx, pass, at, record, intent.remote_id.as_deref(), remote)?;
            }
            tx.drop_intent(&intent.key)?;
            apply::look_again(tx, pass, record)?;
            // Without seeing how the record is now there is nothing new to decide on: the next pass reads it.
            Ok(if remote.is_some() { Outcome::Again } else { Outcome::Overtaken })
        }
        Written::Missing => {
            if let Some(remote_id) = &intent.remote_id {
                let nothing = StagedKind::Gone(merge::Evidence::WriteFoundNothing);
                stage_other(tx, pass, at, record, remote_id, (nothing, &[]))?;
            }
            tx.drop_intent(&intent.key)?;
            Ok(Outcome::Again)
        }
        Written::Merged(into) => {
            if let Some(remote_id) = &intent.remote_id {
                stage_other(tx, pass, at, record, remote_id, (StagedKind::Merged, into.as_bytes()))?;
            }
            tx.drop_intent(&intent.key)?;
            apply::look_again(tx, pass, record)?;
            Ok(Outcome::Again)
        }
        Written::Hindered(words) => hindered::hindered(tx, pass, at, ready, words),
        Written::Exists(words) | Written::Astray(words) | Written::Refused(words) => {
            refused(tx, pass, at, ready, "push", words)
        }
        Written::Inexpressible(fields) => {
            let reasons: Vec<String> = fields.iter().map(|(_, reason)| reason.clone()).collect();
            refused(tx, pass, at, ready, "push", &format!("cannot be expressed there: {}", reasons.join("; ")))
        }
        Written::NotDone(failure) => {
            wait(tx, intent, failure)?;
            Ok(Outcome::Deferred(failure.words.clone()))
        }
        Written::Stopped(failure) => {
            wait(tx, intent, failure)?;
            Ok(Outcome::Stopped(failure.words.clone()))
        }
        Written::Working(_) => {
            let words = "a job of the upstream works on it";
            let update = IntentUpdate {
                note: Some(words.to_owned()),
                not_before: jobs::asked_again_at(pass, at, intent),
                ..IntentUpdate::to(state_after(Answer::Unknown))
            };
            tx.set_intent(&intent.key, &update)?;
            Ok(Outcome::Unknown(words.to_owned()))
        }
        Written::Unknown(failure) | Written::Unnamed(failure) => {
            let update = IntentUpdate {
                note: Some(failure.words.clone()),
                job: matches!(written, Written::Unnamed(_)).then(jobs::as_alone).flatten(),
                // Should it turn out not to have been done, it is not sent again before; where the connection broke there
                // is nobody to be spared.
                not_before: failure.retry_at.filter(|_| failure.status.is_some()).map(|at| at.timestamp_micros()),
                ..IntentUpdate::to(state_after(Answer::Unknown))
            };
            tx.set_intent(&intent.key, &update)?;
            Ok(Outcome::Unknown(failure.words.clone()))
        }
    }
}

/// A create that came back as a remote record which another local record is tied to: two of ours would be one there (s10).
fn tied_elsewhere(
    tx: &dyn Tx,
    pass: &Pass,
    at: usize,
    ready: &Ready,
    written: &Written,
) -> Result<Option<String>, StoreError> {
    if ready.request.op != SendOp::Create {
        return Ok(None);
    }
    let id = match written {
        Written::Done { remote_id, .. } => Some(remote_id.clone()),
        Written::Stale(Some(remote)) => pass.rules(at).and_then(|rules| rules.mapper.id(&remote.raw).ok()),
        _ => None,
    };
    let Some(id) = id else { return Ok(None) };
    let known = tx.known(pass.binding_key(at), &[id.as_str()])?.into_iter().next().flatten();
    let link = known.map(|known| tx.link(known.link)).transpose()?.flatten();
    let other = link.filter(|link| link.record != ready.intent.record);
    Ok(other.map(|link| {
        format!(
            "it is there already, as {id}, which is tied to {}: two records here would be one there; merge them here, or \
             make what identifies them differ",
            link.record
        )
    }))
}

/// The state of an intent that goes on; one whose outcome could not be told counts as unknown.
fn state_after(answer: Answer) -> IntentState {
    merge::after(answer).unwrap_or(IntentState::Unknown)
}

fn wait(tx: &mut dyn Tx, intent: &IntentRow, failure: &Failure) -> Result<(), StoreError> {
    let update = IntentUpdate {
        not_before: failure.retry_at.map(|at| at.timestamp_micros()),
        note: Some(failure.words.clone()),
        ..IntentUpdate::to(state_after(Answer::NotDone { asked_to_wait: failure.retry_at.is_some() }))
    };
    tx.set_intent(&intent.key, &update)
}

/// A refusal for good: set aside, and not repeated until something changes.
pub fn refused(
    tx: &mut dyn Tx,
    pass: &Pass,
    at: usize,
    ready: &Ready,
    stage: &str,
    words: &str,
) -> Result<Outcome, StoreError> {
    let intent = &ready.intent;
    let inputs = intend::refusal_inputs(tx, pass, at, &intent.record, ready.request.op, &ready.request.values)?;
    tx.put_quarantine(&QuarantineRow {
        collection: intent.collection.clone(),
        upstream: intent.upstream.clone(),
        subject: local_subject(&intent.record),
        stage: stage.into(),
        reason: words.to_owned(),
        inputs,
        since: pass.micros(),
        pass: pass.id,
    })?;
    tx.drop_intent(&intent.key)?;
    apply::look_again(tx, pass, &intent.record)?;
    written::tell(tx, pass, intent, ("quarantine", "refused"), None, Some(words))?;
    Ok(Outcome::Refused)
}

/// A listing shows the record that a create of unknown outcome has made: it is tied, and what was sent and still stands
/// there is its base, so that what was edited on either side since is an edit and nothing more.
pub fn adopt(tx: &mut dyn Tx, pass: &Pass, at: usize, intent: &IntentRow, staged: &Staged) -> Result<(), StoreError> {
    let (version, observed_at) = (staged.version.clone(), time(staged.observed_at));
    let version = version.or_else(|| pass.rules(at)?.mapper.read(&staged.raw).ok()?.version);
    let remote = Remote { raw: staged.raw.clone().into(), version: version.clone(), observed_at };
    done(tx, pass, at, intent, (&staged.remote_id, version.as_deref()), Some(&remote), true)?;
    apply::look_again(tx, pass, &intent.record)
}

/// An acknowledged write: the base advances in the transaction that records its evidence.
fn done(
    tx: &mut dyn Tx,
    pass: &Pass,
    at: usize,
    intent: &IntentRow,
    (remote_id, version): (&str, Option<&str>),
    remote: Option<&Remote>,
    repeated: bool,
) -> Result<Outcome, StoreError> {
    let op = SendOp::of(&intent.op);
    let key = pass.binding_key(at);
    let link = tx.links_of(&intent.record)?.into_iter().find(|link| link.binding == key);
    let old = old_pair(tx, pass, at, link.as_ref())?;
    let sent = base::values_from_text(&pass.collection, &intent.values)?;
    written::tell(tx, pass, intent, ("push", "acknowledged"), written::replaced(pass, op, &old, &sent), None)?;
    tx.drop_intent(&intent.key)?;
    if op.removes() {
        if let Some(link) = link {
            removed::settle(tx, pass, op, &link)?;
            known_by::index(tx, pass, &intent.record)?;
        }
        return Ok(Outcome::Done { op, again: false });
    }
    // A read-back at another version than the write's own answer is somebody's later edit, not our echo.
    let echo = remote.filter(|remote| merge::is_echo(version, remote.version.as_deref()));
    let observed = match echo {
        Some(remote) => observed_slots(tx, pass, at, remote)?,
        None => None,
    };
    let former = (op != SendOp::Create).then_some((&old.hub[..], &old.remote[..]));
    let accepted = merge::accept(&pass.collection, former, sent, observed.as_deref(), repeated);
    let settled = accepted.settled;
    let mut pair = Pair { hub: settled.hub, remote: settled.remote };
    if op == SendOp::Create {
        parts::begin_states(tx, pass, (at, &intent.record), observed.as_deref().unwrap_or_default(), &mut pair)?;
    }
    put_base(tx, pass, at, intent, link.as_ref(), remote_id, version, echo.filter(|_| observed.is_some()), &pair)?;
    if !settled.refused.is_empty() {
        let names = apply::field_names(pass, &settled.refused);
        let inputs = ignored_inputs(tx, pass, at, intent, &settled.refused)?;
        tx.put_quarantine(&QuarantineRow {
            collection: intent.collection.clone(),
            upstream: intent.upstream.clone(),
            subject: local_subject(&intent.record),
            stage: "push".into(),
            reason: format!("the upstream accepted the write but kept its own value of {names}"),
            inputs,
            since: pass.micros(),
            pass: pass.id,
        })?;
    }
    // What was staged before the write is older than its answer; and what becomes of a former remote record of this one (its
    // tombstone, most likely) says nothing of the one that was made in its place.
    for staged in tx.staged_of(pass.key, &intent.record)? {
        if staged.binding == intent.binding {
            tx.unstage(staged.binding, &staged.remote_id)?;
        }
    }
    tx.unstage(intent.binding, remote_id)?;
    let more = accepted.more || echo.is_none() && remote.is_some();
    if let (true, Some(remote)) = (more, remote) {
        stage(tx, pass, at, &intent.record, Some(remote_id), remote)?;
    }
    // What the rules have gained since an earlier pass planned it was no part of it (s24).
    if intent.pass != pass.id {
        apply::look_again(tx, pass, &intent.record)?;
    }
    let again = more || parts::follows(tx, pass, at, op, &intent.record)?;
    Ok(Outcome::Done { op, again })
}

/// The refusal of a part of a write is bound to what would be sent for that part alone.
fn ignored_inputs(
    tx: &dyn Tx,
    pass: &Pass,
    at: usize,
    intent: &IntentRow,
    fields: &[usize],
) -> Result<String, StoreError> {
    let mut part = base::values_from_text(&pass.collection, &intent.values)?;
    part.retain(|(field, _)| fields.contains(field));
    let _missing_parent = observe::to_remote(tx, pass, at, &mut part)?;
    intend::refusal_inputs(tx, pass, at, &intent.record, SendOp::Update, &part)
}

fn observed_slots(tx: &dyn Tx, pass: &Pass, at: usize, remote: &Remote) -> Result<Option<Vec<Slot>>, StoreError> {
    Ok(match observe::read_raw(tx, pass, at, &remote.raw, remote.version.clone(), remote.observed_at)? {
        Read::Ready(Seen::Record(seen) | Seen::OutOfScope(seen) | Seen::Archived(seen)) => Some(seen.slots),
        Read::Ready(Seen::Same | Seen::Gone(_)) | Read::Parked(_) | Read::Broken(_) => None,
    })
}

fn old_pair(tx: &dyn Tx, pass: &Pass, at: usize, link: Option<&LinkRow>) -> Result<Pair, StoreError> {
    let count = pass.collection.fields.len();
    match link {
        Some(link) => {
            let slots = observe::base_slots(tx, pass, at, &link.raw)?;
            base::unpack(&pass.collection, &slots, link.base_hub.as_deref(), link.base_remote.as_deref())
        }
        None => Ok(Pair { hub: vec![None; count], remote: vec![Slot::Absent; count] }),
    }
}

/// Stores the new base. Without an observation the fingerprint is 0: the next listing is compared with what was sent.
#[expect(clippy::too_many_arguments, reason = "the row has as many sources")]
fn put_base(
    tx: &mut dyn Tx,
    pass: &Pass,
    at: usize,
    intent: &IntentRow,
    link: Option<&LinkRow>,
    remote_id: &str,
    version: Option<&str>,
    remote: Option<&Remote>,
    pair: &Pair,
) -> Result<(), StoreError> {
    // What the record's former counterpart looked like says nothing of the one that was made in its place.
    let former = link.filter(|_| SendOp::of(&intent.op) != SendOp::Create);
    let raw: &[u8] = remote.map_or_else(|| former.map_or(&[][..], |link| &link.raw), |remote| &remote.raw);
    let slots = observe::base_slots(tx, pass, at, raw)?;
    let mut packed = base::pack(&pass.collection, &slots, pair);
    if remote.is_none() {
        let before = former.filter(|link| link.is_outdated()).and_then(|link| link.base_remote.as_deref());
        let mut unseen = base::unseen(&pass.collection, before);
        let sent = base::values_from_text(&pass.collection, &intent.values)?;
        unseen.extend(sent.into_iter().map(|(field, _)| field));
        unseen.sort_unstable();
        unseen.dedup();
        base::note_unseen(&pass.collection, &mut packed, &unseen)?;
    }
    let version = version.or_else(|| remote.and_then(|remote| remote.version.as_deref()));
    let updated_at = remote
        .and_then(|remote| pass.rules(at)?.mapper.read(&remote.raw).ok()?.updated_at)
        .map(|time| time.timestamp_micros());
    let update = LinkUpdate {
        state: LinkState::Live,
        version,
        // A base that other rules made is still to be made anew under these (see `gather`).
        mapping: former.map_or(pass.mapping_key(at), |link| link.mapping),
        fingerprint: remote.map_or(0, |remote| xxh3_64(&remote.raw)),
        raw,
        base_hub: packed.hub.as_deref(),
        base_remote: packed.remote.as_deref(),
        updated_at,
        observed_at: remote.map_or_else(|| pass.micros(), |remote| remote.observed_at.timestamp_micros()),
    };
    match link {
        // A revived or recreated record may have a new remote id: the old tie is replaced.
        Some(link) if link.remote_id == remote_id => tx.set_link(link.link, &update),
        other => {
            if let Some(link) = other {
                former::give_up(tx, pass, link)?;
            }
            let new =
                NewLink { binding: pass.binding_key(at), remote_id, record: &intent.record, state: update, made: None };
            tx.put_link(&new).map(|_link| ())
        }
    }
}

/// Stages how a record is now, for the next round.
pub fn stage(
    tx: &mut dyn Tx,
    pass: &Pass,
    at: usize,
    record: &RecordId,
    remote_id: Option<&str>,
    remote: &Remote,
) -> Result<(), StoreError> {
    let id = match (remote_id, pass.rules(at)) {
        (Some(id), _) => id.to_owned(),
        (None, Some(rules)) => match rules.mapper.id(&remote.raw) {
            Ok(id) => id,
            Err(_) => return Ok(()),
        },
        (None, None) => return Ok(()),
    };
    tx.stage(&Staged {
        binding: pass.binding_key(at),
        remote_id: id,
        collection: pass.key,
        record: Some(record.clone()),
        kind: StagedKind::Record,
        fingerprint: xxh3_64(&remote.raw),
        raw: remote.raw.to_vec(),
        version: remote.version.clone(),
        observed_at: remote.observed_at.timestamp_micros(),
        parked: None,
    })
}

/// Stages what a write found instead of its record: nothing (confirmed by a point read where there is one), or another one.
fn stage_other(
    tx: &mut dyn Tx,
    pass: &Pass,
    at: usize,
    record: &RecordId,
    remote_id: &str,
    (kind, raw): (StagedKind, &[u8]),
) -> Result<(), StoreError> {
    tx.stage(&Staged {
        binding: pass.binding_key(at),
        remote_id: remote_id.to_owned(),
        collection: pass.key,
        record: Some(record.clone()),
        kind,
        fingerprint: 0,
        raw: raw.to_vec(),
        version: None,
        observed_at: pass.micros(),
        parked: None,
    })
}
