//! Owns: sending the intents of one binding: batched or one by one, each marked `sent` durably before its first byte.
//!
//! Must not know: how a request is made; what an outcome means for bases (that is `settle`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use roaring::RoaringTreemap;

use crate::merge::{IntentState, LinkState};
use crate::record::{RecordId, Slot, Value};
use crate::rules::{Batch, Binding};
use crate::store::{self, IntentFilter, IntentRow, IntentUpdate, Store, StoreError, View};
use crate::upstream::{self, Client, SendOp, WriteRequest, Written};

use super::base;
use super::context::Pass;
use super::hindered;
use super::jobs;
use super::observe;
use super::parts;
use super::report::{Progress, Step, UpstreamReport};
use super::settle;
use super::singles::{self, Way};
use super::spelled;

/// Intents loaded at once: the bound of memory in this phase.
const CHUNK: usize = 1000;

/// An intent, made ready to be sent.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Its row.
    pub intent: IntentRow,
    /// What is sent.
    pub request: WriteRequest,
    /// This pass's listing shows the record.
    pub listed: bool,
    /// It shows everything that is there, and not the record.
    pub missing: bool,
}

/// Sends everything that is prepared for one binding. `listed` are the links that this pass's listing showed. Returns
/// whether something has to be decided again in this pass.
pub async fn push(
    store: &dyn Store,
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    binding: usize,
    listed: &Arc<RoaringTreemap>,
    report: &mut UpstreamReport,
    progress: &dyn Progress,
) -> Result<bool, StoreError> {
    let Some(rules) = pass.rules(binding).cloned() else { return Ok(false) };
    let mut pusher = Pusher {
        store,
        client,
        pass,
        binding,
        rules,
        report,
        progress,
        done: 0,
        total: 0,
        again: false,
        stopped: false,
        hindered: 0,
    };
    let before = pusher.report.written.total();
    let mut after: Option<String> = None;
    while !pusher.stopped {
        let job_pass = Arc::clone(pass);
        let (from, listed) = (after.clone(), Arc::clone(listed));
        let is_whole = pusher.report.read == "full";
        let Chunk { ready, waiting, last } =
            store::read(store, move |view| load(view, &job_pass, binding, from, (&listed, is_whole))).await?;
        let Some(last) = last else { break };
        after = Some(last);
        pusher.report.deferred += waiting;
        pusher.total += ready.len() as u64;
        pusher.send(ready).await?;
    }
    let (hindered, again) = (pusher.hindered, pusher.again);
    if report.written.total() > before
        && pass.only.get().is_none()
        && hindered::try_hindered_again(store, pass, binding).await?
    {
        report.refused -= hindered;
        return Ok(true);
    }
    Ok(again)
}

/// Some of the prepared intents.
struct Chunk {
    /// Those that may be sent now.
    ready: Vec<Ready>,
    /// How many must not be sent yet, because the upstream asked for a pause or a parent is not there.
    waiting: u64,
    /// The key that the chunk ends with; `None` where there is nothing left.
    last: Option<String>,
}

/// The next chunk of prepared intents.
fn load(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    after: Option<String>,
    (listed, is_whole): (&RoaringTreemap, bool),
) -> Result<Chunk, StoreError> {
    let filter = IntentFilter {
        collection: Some(pass.collection.name.clone()),
        upstream: Some(pass.upstream(binding).to_owned()),
        states: IntentState::SENDABLE.to_vec(),
        after,
        limit: CHUNK,
        ..IntentFilter::default()
    };
    let is_ours = pass.own_writes();
    let rows = view.intents(&filter)?;
    let last = rows.last().map(|row| row.key.clone());
    let mut chunk = Chunk { ready: Vec::with_capacity(rows.len()), waiting: 0, last };
    for intent in rows.into_iter().filter(|intent| is_ours(&intent.record)) {
        let paused = intent.not_before.is_some_and(|at| at > pass.micros());
        match request_of(view, pass, binding, &intent)? {
            Some(request) if !paused => {
                let known = match &intent.remote_id {
                    Some(id) => view.known(intent.binding, &[id.as_str()])?.into_iter().next().flatten(),
                    None => None,
                };
                let listed = known.is_some_and(|known| listed.contains(known.link.0.unsigned_abs()));
                chunk.ready.push(Ready { intent, request, listed, missing: is_whole && !listed });
            }
            _ => chunk.waiting += 1,
        }
    }
    Ok(chunk)
}

/// What an intent sends. `None` where a parent that it refers to is not at the upstream (any more).
pub fn request_of(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    intent: &IntentRow,
) -> Result<Option<WriteRequest>, StoreError> {
    let (request, whole) = request_so_far(view, pass, binding, intent)?;
    Ok(whole.then_some(request))
}

/// The same, without what it refers to and what is not there (any more), and whether that is nothing. A write of unknown
/// outcome can be asked about, whatever has become of its parents since.
pub fn request_so_far(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    intent: &IntentRow,
) -> Result<(WriteRequest, bool), StoreError> {
    let wanted = base::values_from_text(&pass.collection, &intent.values)?;
    let count = wanted.len();
    let mut values = Vec::with_capacity(count);
    for entry in wanted {
        let mut one = [entry];
        if observe::to_remote(view, pass, binding, &mut one)?.is_none() {
            values.extend(one);
        }
    }
    let whole = values.len() == count;
    // A create sends what was recorded and nothing else, however the row is by now: under one key the same bytes go out each
    // time, and what its plan leaves out (a frozen or owned field) does not come in by way of the full body.
    let mut record = match SendOp::of(&intent.op) {
        SendOp::Create => base::values_from_text(&pass.collection, &intent.values)?,
        SendOp::Update | SendOp::Delete | SendOp::Archive => full(view, pass, binding, &intent.record)?,
    };
    let link = view
        .links_of(&intent.record)?
        .into_iter()
        .find(|link| link.binding == intent.binding && link.state == LinkState::Live);
    let raw = link.as_ref().map(|link| link.raw.as_slice());
    let spellings = spelled::spellings(view, pass, binding, (&record, raw))?;
    // A parent that is not there yet is left out of the full body; it is no part of what this write changes.
    let mut kept = Vec::with_capacity(record.len());
    for entry in record.drain(..) {
        let mut one = [entry];
        if observe::to_remote(view, pass, binding, &mut one)?.is_none() {
            kept.extend(one);
        }
    }
    let op = SendOp::of(&intent.op);
    let request = WriteRequest {
        spellings,
        key: intent.key.clone(),
        op,
        remote_id: intent.remote_id.clone(),
        transition: parts::transition_of(view, pass, binding, &intent.record, op, &values)?,
        values,
        record: kept,
        expected_version: intent.expected_version.clone(),
        expected_raw: link.filter(|link| !link.raw.is_empty()).map(|link| Bytes::from(link.raw)),
        attempts: intent.attempts,
        alone: jobs::goes_alone(intent),
    };
    Ok((request, whole))
}

/// What the row says of the fields that go to an upstream.
fn full(view: &dyn View, pass: &Pass, binding: usize, record: &RecordId) -> Result<Vec<(usize, Value)>, StoreError> {
    let row = view.row(&pass.collection, record)?.unwrap_or_default();
    let pushed = row.into_iter().enumerate().filter_map(|(at, slot)| {
        let map = pass.rules(binding)?.mapper.field(at)?;
        match slot {
            Slot::Value(value) if map.push => Some((at, value)),
            Slot::Value(_) | Slot::Absent | Slot::Bad(_) => None,
        }
    });
    Ok(pushed.collect())
}

struct Pusher<'a> {
    store: &'a dyn Store,
    client: &'a Arc<Client>,
    pass: &'a Arc<Pass>,
    binding: usize,
    rules: Arc<Binding>,
    report: &'a mut UpstreamReport,
    progress: &'a dyn Progress,
    done: u64,
    total: u64,
    again: bool,
    stopped: bool,
    /// Writes that another record stood in the way of.
    hindered: u64,
}

impl Pusher<'_> {
    async fn send(&mut self, ready: Vec<Ready>) -> Result<(), StoreError> {
        let (batched, single): (Vec<Ready>, Vec<Ready>) = ready.into_iter().partition(|Ready { request, .. }| {
            !request.alone && request.op.batch_of(&self.rules, request.transition.is_some()).is_some()
        });
        self.send_batches(batched).await?;
        self.send_singles(single).await
    }

    async fn send_batches(&mut self, ready: Vec<Ready>) -> Result<(), StoreError> {
        let mut chunks: Vec<Vec<Ready>> = Vec::new();
        for (batch, ready) in by_batch(&self.rules, ready) {
            chunks.extend(ready.chunks(batch.items_max.max(1)).map(<[Ready]>::to_vec));
        }
        let (store, client, rules, pass) = (self.store, self.client, Arc::clone(&self.rules), self.pass);
        let (rules, stop) = (&rules, &AtomicBool::new(self.stopped));
        let way = Way { store, client, rules, pass, binding: self.binding };
        let mut sent = stream::iter(chunks)
            .map(|chunk| async move {
                if stop.load(Ordering::Relaxed) {
                    return Ok(Vec::new());
                }
                let keys = chunk.iter().map(|one| (one.intent.key.clone(), jobs::as_sent(rules, one.request.op)));
                mark_sent_by(store, pass, keys.collect()).await?;
                let requests: Vec<WriteRequest> = chunk.iter().map(|ready| ready.request.clone()).collect();
                let outcomes = upstream::write_batch(client, rules, requests).await;
                let outcomes = jobs::wait_for(way, &chunk, outcomes).await?;
                let mut settled = Vec::with_capacity(chunk.len());
                for (ready, written) in chunk.into_iter().zip(outcomes) {
                    let written = settled_in_batch(client, rules, &ready, written).await;
                    settled.push((ready, written));
                }
                Ok::<_, StoreError>(settled)
            })
            .buffered(rules.upstream.concurrency.max(1));
        while let Some(chunk) = sent.next().await {
            let outcomes = settle::settle(store, pass, self.binding, chunk?).await?;
            self.account(outcomes);
            stop.store(self.stopped, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn send_singles(&mut self, ready: Vec<Ready>) -> Result<(), StoreError> {
        if self.stopped || ready.is_empty() {
            return Ok(());
        }
        let rules = Arc::clone(&self.rules);
        let way = Way { store: self.store, client: self.client, rules: &rules, pass: self.pass, binding: self.binding };
        singles::send(way, ready, |outcomes| {
            self.account(outcomes);
            self.stopped
        })
        .await
    }

    fn account(&mut self, outcomes: Vec<settle::Outcome>) {
        for outcome in outcomes {
            self.done += 1;
            // Of what is unknown evidence is looked for right after; only what stays so is worth a word.
            self.again |= self.report.count(&outcome);
            self.hindered += u64::from(matches!(outcome, settle::Outcome::Hindered));
            self.stopped |= matches!(outcome, settle::Outcome::Stopped(_));
        }
        self.progress.step(&Step::Pushed {
            collection: &self.pass.collection.name,
            upstream: &self.rules.upstream.name,
            done: self.done,
            // What is loaded is only the next chunk; what was planned is all of it, but for what earlier passes left.
            total: self.total.max(self.report.planned.total()),
        });
    }
}

/// What stood in an item's way is looked into as for a single write. What was done is not read back one by one: that would
/// cost the requests that a batch saves, and the next listing shows it.
pub async fn settled_in_batch(client: &Arc<Client>, rules: &Arc<Binding>, ready: &Ready, written: Written) -> Written {
    let written = match written {
        done @ Written::Done { .. } => done,
        other => settle::read_back(client, rules, ready, other).await,
    };
    upstream::tell_whose(rules, &ready.request, written)
}

/// What goes by each batch.
fn by_batch(rules: &Binding, ready: Vec<Ready>) -> Vec<(&Batch, Vec<Ready>)> {
    let mut sorted: Vec<(&Batch, Vec<Ready>)> = rules.batches.iter().map(|batch| (batch, Vec::new())).collect();
    for one in ready {
        let batch = one.request.op.batch_of(rules, one.request.transition.is_some());
        let place = sorted.iter_mut().find(|(other, _)| batch.is_some_and(|batch| std::ptr::eq(batch, *other)));
        if let Some((_, ready)) = place {
            ready.push(one);
        }
    }
    sorted
}

/// These were marked, and not one byte of them was sent.
pub async fn mark_unsent(store: &dyn Store, keys: Vec<String>) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    store::write_small(store, move |tx| {
        keys.iter().try_for_each(|key| tx.set_intent(key, &IntentUpdate::to(IntentState::Prepared)))
    })
    .await
}

/// From here on the outcome counts as unknown until evidence says otherwise.
pub async fn mark_sent(store: &dyn Store, pass: &Arc<Pass>, keys: Vec<String>) -> Result<(), StoreError> {
    mark_sent_by(store, pass, keys.into_iter().map(|key| (key, None)).collect()).await
}

/// The same, with what is kept of the job that each goes by, or that none does.
pub async fn mark_sent_by(
    store: &dyn Store,
    pass: &Arc<Pass>,
    keys: Vec<(String, Option<String>)>,
) -> Result<(), StoreError> {
    let now = pass.clock.now().timestamp_micros();
    store::write_small(store, move |tx| {
        for (key, job) in &keys {
            let (sent_at, job) = (Some(now), job.clone());
            tx.set_intent(key, &IntentUpdate { sent_at, job, ..IntentUpdate::to(IntentState::Sent) })?;
        }
        Ok(())
    })
    .await
}
