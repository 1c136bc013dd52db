//! Owns: settling unknown outcomes by evidence: same-key retry, point read, lookup; never a blind resend.
//!
//! Must not know: what is decided afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::merge::{self, Answer, Ask, Found, IntentState, Seen, Verdict, WriteOp};
use crate::rules::{Binding, Idempotency};
use crate::store::{self, IntentFilter, IntentUpdate, QuarantineRow, Store, StoreError, View};
use crate::upstream::{self, Client, Failure, FailureKind, FoundRecords, Got, Remote, SendOp, Site, Written};

use super::apply;
use super::base;
use super::context::{Pass, local_subject, time};
use super::gather::lag;
use super::jobs::{self, Said};
use super::lookup;
use super::observe::{self, Read};
use super::push::{self, Ready};
use super::report::UpstreamReport;
use super::settle::{self, Outcome};
use super::singles::Way;

/// Unknown intents that are looked at together, in one pass after the other.
const CHUNK: usize = 1000;

/// Settles what an earlier pass, or this one's push, left unknown at one binding, as far as it is a matter of this pass.
/// Returns whether something has to be decided again.
pub async fn settle_unknown(
    store: &dyn Store,
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    binding: usize,
    report: &mut UpstreamReport,
) -> Result<bool, StoreError> {
    let Some(rules) = pass.rules(binding).cloned() else { return Ok(false) };
    let way = Way { store, client, rules: &rules, pass, binding };
    let (mut again, mut after) = (false, None);
    loop {
        let job_pass = Arc::clone(pass);
        let (last, waiting) = store::read(store, move |view| waiting(view, &job_pass, binding, after)).await?;
        again |= settle_some(way, waiting, report).await?;
        let Some(last) = last else { return Ok(again) };
        after = Some(last);
    }
}

/// A write of which nobody knows what became of it, and whether it could be sent again as it was.
type Waiting = (Ready, bool);

/// The next of them that are a matter of this pass, and the key that the next chunk comes after, where there may be one.
fn waiting(
    view: &dyn View,
    pass: &Arc<Pass>,
    binding: usize,
    after: Option<String>,
) -> Result<(Option<String>, Vec<Waiting>), StoreError> {
    let filter = IntentFilter {
        collection: Some(pass.collection.name.clone()),
        upstream: Some(pass.upstream(binding).to_owned()),
        states: IntentState::OPEN.to_vec(),
        limit: CHUNK,
        after,
        ..IntentFilter::default()
    };
    let is_ours = pass.own_writes();
    let intents = view.intents(&filter)?;
    let last = intents.last().filter(|_| intents.len() == CHUNK).map(|intent| intent.key.clone());
    let mut ready = Vec::new();
    for intent in intents.into_iter().filter(|intent| is_ours(&intent.record)) {
        let (request, whole) = push::request_so_far(view, pass, binding, &intent)?;
        ready.push((Ready { intent, request, listed: false, missing: false }, whole));
    }
    Ok((last, ready))
}

async fn settle_some(way: Way<'_>, waiting: Vec<Waiting>, report: &mut UpstreamReport) -> Result<bool, StoreError> {
    let Way { store, client, rules, pass, binding } = way;
    let mut said = jobs::ask_again(way, waiting.iter().map(|(ready, _)| ready)).await?;
    let mut looks = Looks::at(way, &waiting, &said).await;
    let (mut again, mut left) = (false, Vec::new());
    for (mut ready, whole) in waiting {
        let mut is_at_work = false;
        let found = match said.remove(&ready.intent.key) {
            Some(Said::Outcome(Written::Unknown(_) | Written::Unnamed(_))) => {
                evidence(way, (&mut ready, whole), &mut looks).await?
            }
            Some(Said::Outcome(written)) => Some(push::settled_in_batch(client, rules, &ready, written).await),
            Some(Said::AtWork(failure)) => {
                is_at_work = failure.kind == FailureKind::NotDone;
                ready.intent.note = Some(failure.words);
                proof(way, &mut ready, &mut looks).await?
            }
            None if jobs::may_be_at_work(pass, binding, &ready.intent) => None,
            None => evidence(way, (&mut ready, whole), &mut looks).await?,
        };
        let Some(written) = found else {
            report.unknown += 1;
            // A job that says that it is at work, in its time, is no trouble.
            if is_at_work && !jobs::time_is_over(pass, binding, &ready.intent) {
                left.push((ready.intent.key.clone(), jobs::asked_again_at(pass, binding, &ready.intent)));
            } else if let Some(words) = ready.intent.note {
                report.error.get_or_insert(words);
            }
            continue;
        };
        let outcomes = settle::settle(store, pass, binding, vec![(ready, written)]).await?;
        for outcome in outcomes {
            again |= report.count(&outcome);
            if let Outcome::Unknown(words) = outcome {
                report.error.get_or_insert(words);
            }
        }
    }
    jobs::put_off(store, left).await?;
    Ok(again)
}

/// Creates that were looked up together: a listing is read once for all of them.
struct Looks {
    /// By the keys of their intents.
    found: BTreeMap<String, FoundRecords>,
    /// When that was begun: what it did not find was not there then.
    at: DateTime<Utc>,
}

impl Looks {
    /// Looks up those of which only a listing tells, as far as a lookup is what tells.
    async fn at(way: Way<'_>, waiting: &[Waiting], said: &BTreeMap<String, Said>) -> Self {
        let Way { client, rules, pass, binding, .. } = way;
        let is_looked_up = |ready: &&Ready| {
            ready.request.op == SendOp::Create
                && match said.get(&ready.intent.key) {
                    Some(Said::Outcome(Written::Unknown(_) | Written::Unnamed(_))) => true,
                    Some(Said::Outcome(_)) => false,
                    Some(Said::AtWork(_)) => jobs::time_is_over(pass, binding, &ready.intent),
                    None => !jobs::may_be_at_work(pass, binding, &ready.intent),
                }
        };
        let at = pass.clock.now();
        let some: Vec<&Ready> = waiting.iter().map(|(ready, _)| ready).filter(is_looked_up).collect();
        Self { found: lookup::look_up_all(client, rules, &some).await, at }
    }

    /// What was found of one, and as of when.
    async fn of(&mut self, way: Way<'_>, ready: &Ready) -> (FoundRecords, DateTime<Utc>) {
        if let Some(found) = self.found.remove(&ready.intent.key) {
            return (found, self.at);
        }
        let at = way.pass.clock.now();
        (lookup::look_up(way.client, way.rules, ready).await, at)
    }
}

/// What is there of a write that a job may still be at work on, once its time is over. That it is not there proves nothing.
async fn proof(way: Way<'_>, ready: &mut Ready, looks: &mut Looks) -> Result<Option<Written>, StoreError> {
    if !jobs::time_is_over(way.pass, way.binding, &ready.intent) {
        return Ok(None);
    }
    let found = match ready.request.op {
        SendOp::Create => match looks.of(way, ready).await.0.as_deref() {
            Ok([one]) => the_one(way, ready, one).await?,
            Ok(_) | Err(_) => None,
        },
        SendOp::Update | SendOp::Delete | SendOp::Archive => changed(way, ready).await?,
    };
    Ok(found.filter(|written| matches!(written, Written::Done { .. } | Written::Merged(_))))
}

/// What the evidence says, as the outcome of the write; `None` while there is none.
async fn evidence(
    way: Way<'_>,
    (ready, whole): (&mut Ready, bool),
    looks: &mut Looks,
) -> Result<Option<Written>, StoreError> {
    match ready.request.op {
        SendOp::Create => created(way, (ready, whole), looks).await,
        SendOp::Update | SendOp::Delete | SendOp::Archive => changed(way, ready).await,
    }
}

/// An update or delete is read back.
async fn changed(way: Way<'_>, ready: &mut Ready) -> Result<Option<Written>, StoreError> {
    let rules = way.rules;
    let can_get = rules.read.as_ref().is_some_and(|read| read.get.is_some());
    if ready.request.remote_id.is_none() || !can_get {
        // The next listing tells (see `gather`). Where nothing is ever listed the write is derived again, or made alone.
        let again = if ready.request.alone { not_done(ready) } else { Written::Stale(None) };
        return Ok((!rules.pull || rules.read.is_none()).then_some(again));
    }
    match upstream::get(way.client, rules, &Site::of_write(rules, &ready.request)).await {
        // As where nothing can be asked (see `gather`).
        Ok(Got::Astray(why)) => {
            ready.intent.note = Some(why);
            Ok(None)
        }
        Ok(got) => judge(way, ready, got).await.map(Some),
        Err(_) => Ok(None),
    }
}

/// Compares what was sent with what is there now.
async fn judge(way: Way<'_>, ready: &mut Ready, got: Got) -> Result<Written, StoreError> {
    let Way { store, pass, binding, .. } = way;
    if let Got::Merged(into) = got {
        return Ok(Written::Merged(into));
    }
    let (job_pass, intent, op, seen) = (Arc::clone(pass), ready.intent.clone(), ready.request.op, got.clone());
    let verdict = store::read(store, move |view| {
        let pass = &job_pass;
        let sent = base::values_from_text(&pass.collection, &intent.values)?;
        let op = match op {
            SendOp::Create => WriteOp::Create(sent),
            SendOp::Update => WriteOp::Update(sent),
            SendOp::Delete => WriteOp::Delete,
            SendOp::Archive => WriteOp::Archive,
        };
        let old = view
            .links_of(&intent.record)?
            .into_iter()
            .find(|link| link.binding == pass.binding_key(binding))
            .map(|link| {
                let slots = observe::base_slots(view, pass, binding, &link.raw)?;
                base::unpack(&pass.collection, &slots, link.base_hub.as_deref(), link.base_remote.as_deref())
            })
            .transpose()?;
        let slots = match &seen {
            Got::Missing | Got::Merged(_) | Got::Astray(_) => None,
            Got::Found(now) => {
                match observe::read_raw(view, pass, binding, &now.raw, now.version.clone(), now.observed_at)? {
                    Read::Ready(Seen::Record(observed)) => Some((observed.slots, now.version.clone())),
                    Read::Ready(Seen::Archived(_)) if op == WriteOp::Archive => {
                        return Ok(Verdict::Landed { fields: Vec::new() });
                    }
                    Read::Ready(Seen::Same | Seen::Gone(_) | Seen::OutOfScope(_) | Seen::Archived(_))
                    | Read::Parked(_)
                    | Read::Broken(_) => {
                        return Ok(Verdict::Undecided);
                    }
                }
            }
        };
        let found = match &slots {
            Some((slots, version)) => Found::Record { slots, version: version.as_deref() },
            None => Found::Nothing,
        };
        let remote = old.map(|pair| pair.remote).unwrap_or_default();
        Ok(merge::judge_unknown(&pass.collection, &op, &remote, intent.expected_version.as_deref(), &found))
    })
    .await?;
    let remote_id = ready.request.remote_id.clone().unwrap_or_default();
    let record = match got {
        Got::Found(remote) => Some(remote),
        Got::Missing | Got::Merged(_) | Got::Astray(_) => None,
    };
    if let Verdict::Landed { fields } = &verdict
        && keep_only(pass, ready, fields)?
    {
        // The listing shows what the read-back has shown, so nobody else would look at the rest.
        let (pass, record) = (Arc::clone(pass), ready.intent.record.clone());
        store::write(store, move |tx| apply::look_again(tx, &pass, &record)).await?;
    }
    Ok(match verdict.answer() {
        Answer::Done => {
            let version = record.as_ref().and_then(|remote| remote.version.clone());
            Written::Done { remote_id, version, record, repeated: false }
        }
        Answer::Gone => Written::Missing,
        // Derived again in a later pass, under its key. Should it land after all, its precondition or the next comparison
        // finds out.
        Answer::NotDone { .. } => not_done(ready),
        Answer::Overtaken | Answer::Unknown => Written::Stale(record),
    })
}

/// It is made again, and not before the upstream wants it.
fn not_done(ready: &Ready) -> Written {
    Written::NotDone(Failure {
        kind: FailureKind::NotDone,
        status: None,
        words: ready.intent.note.clone().unwrap_or_else(|| "an earlier write did not take effect".into()),
        retry_at: ready.intent.not_before.map(time),
    })
}

/// Only what is proven to have landed settles; the rest is somebody's later edit, or was ignored: the next diff tells. Returns
/// whether there is any.
fn keep_only(pass: &Pass, ready: &mut Ready, fields: &[usize]) -> Result<bool, StoreError> {
    let mut sent = base::values_from_text(&pass.collection, &ready.intent.values)?;
    let count = sent.len();
    sent.retain(|(field, _)| fields.contains(field));
    ready.intent.values = base::values_to_text(&pass.collection, &sent);
    Ok(sent.len() < count)
}

/// A create is sent again under its key where the upstream remembers keys, else looked up.
async fn created(
    way: Way<'_>,
    (ready, whole): (&mut Ready, bool),
    looks: &mut Looks,
) -> Result<Option<Written>, StoreError> {
    let Way { store, client, rules, pass, .. } = way;
    let age = pass.clock.now() - time(ready.intent.created_at);
    match merge::ask_of_create(idempotency(rules), age) {
        // The same bytes cannot be sent again where a parent is not there any more, nor is a key known there that went in a
        // header of its own request while the create went in a batch: the listing answers.
        Ask::Repeat if !whole || !carries_key(rules) => Ok(None),
        Ask::Repeat => {
            push::mark_sent(store, pass, vec![ready.intent.key.clone()]).await?;
            let written = upstream::write_one(client, rules, &ready.request).await;
            // The first sending may have been done: what the answer shows may be what others made of it since.
            let written = settle::read_back(client, rules, ready, written).await;
            Ok(Some(match upstream::tell_whose(rules, &ready.request, written) {
                Written::Done { remote_id, version, record, .. } => {
                    Written::Done { remote_id, version, record, repeated: true }
                }
                // That nothing was sent this time says nothing of the first time: what that met is still what is known.
                Written::NotDone(failure) | Written::Stopped(failure) => {
                    let words = ready.intent.note.clone().unwrap_or(failure.words);
                    Written::Unknown(Failure { kind: FailureKind::Unknown, words, ..failure })
                }
                // Nor does a refusal: the first sending may be what it is refused for. The listing tells.
                Written::Refused(words) => {
                    Written::Unknown(Failure { kind: FailureKind::Unknown, status: None, words, retry_at: None })
                }
                other => other,
            }))
        }
        Ask::LookUp => {
            let (Ok(found), at) = looks.of(way, ready).await else { return Ok(None) };
            if let [one] = found.as_slice() {
                return the_one(way, ready, one).await;
            }
            if found.is_empty() {
                return not_found(way, ready, at).await;
            }
            queue(way, ready, &found).await.map(|()| None)
        }
        // The listing answers (see `gather`), or an operator does.
        Ask::Wait => Ok(None),
    }
}

/// Whether what went out carried the operation's id.
fn carries_key(rules: &Binding) -> bool {
    let idempotency = idempotency(rules).unwrap_or(&Idempotency::None);
    SendOp::Create.batch_of(rules, false).is_none_or(|batch| batch.items_say_key(idempotency))
}

/// The record that a create made.
async fn the_one(way: Way<'_>, ready: &mut Ready, one: &Remote) -> Result<Option<Written>, StoreError> {
    let Ok(remote_id) = way.rules.mapper.id(&one.raw) else { return Ok(None) };
    ready.request.remote_id = Some(remote_id);
    judge(way, ready, Got::Found(one.clone())).await.map(Some)
}

fn idempotency(rules: &Binding) -> Option<&Idempotency> {
    rules.create.as_ref().map(|create| &create.idempotency)
}

/// Not found again and again, also `at` a time after the listing's lag, means that it never happened.
async fn not_found(way: Way<'_>, ready: &Ready, at: DateTime<Utc>) -> Result<Option<Written>, StoreError> {
    let Way { store, rules, pass, binding, .. } = way;
    let Some(sent) = ready.intent.sent_at.map(time) else { return Ok(None) };
    let looks = ready.intent.checks + 1;
    if merge::never_happened(idempotency(rules), looks, sent, at, lag(pass, binding)) {
        return Ok(Some(Written::NotDone(Failure {
            kind: FailureKind::NotDone,
            status: None,
            words: "the upstream does not have it: it is sent again".into(),
            retry_at: ready.intent.not_before.map(time),
        })));
    }
    let key = ready.intent.key.clone();
    let not_before = ready.intent.not_before;
    let update = IntentUpdate { checked: true, not_before, ..IntentUpdate::to(IntentState::Unknown) };
    store::write_small(store, move |tx| tx.set_intent(&key, &update)).await.map(|()| None)
}

/// Several records there may be the one that was created: a person says which.
async fn queue(way: Way<'_>, ready: &Ready, found: &[Remote]) -> Result<(), StoreError> {
    let Way { store, rules, pass, binding, .. } = way;
    let ids: Vec<String> = found.iter().filter_map(|one| rules.mapper.id(&one.raw).ok()).collect();
    let (record, upstream) = (ready.intent.record.clone(), pass.upstream(binding).to_owned());
    let reason = format!(
        "its create got no answer, and {} records there may be it ({}): say which, `reconciled settle {record} {upstream} --made ID`",
        ids.len(),
        ids.join(", ")
    );
    let pass = Arc::clone(pass);
    store::write_small(store, move |tx| {
        tx.put_quarantine(&QuarantineRow {
            collection: pass.collection.name.clone(),
            upstream: upstream.clone(),
            subject: local_subject(&record),
            stage: "match".into(),
            reason: reason.clone(),
            inputs: String::new(),
            since: pass.micros(),
            pass: pass.id,
        })
    })
    .await
}
