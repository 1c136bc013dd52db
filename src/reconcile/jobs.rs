//! Owns: writes that jobs of an upstream have taken up: what is kept of them, waiting for them, asking again after a crash.
//!
//! Must not know: how a job is asked, what an outcome means.
//!
//! An intent that goes by a batch with a job is marked so before its first byte; where the job is asked is kept before it is
//! asked at all. So after a crash the same job is asked again, and no batch is sent twice. While a job is at work, or may be,
//! that a record is not as it was sent proves nothing: only what is there does.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::merge::IntentState;
use crate::rules::{Binding, Job};
use crate::store::{self, IntentRow, IntentUpdate, Micros, Store, StoreError};
use crate::upstream::{self, Failure, FailureKind, JobMark, Patience, SendOp, ToldByJob, WriteRequest, Written};

use super::context::{Pass, time};
use super::gather;
use super::push::Ready;
use super::silence::Wait;
use super::singles::Way;

/// What is kept of the job of an intent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    /// It went out in a batch; which job took it up is not known.
    Sent,
    /// This one did.
    Taken(JobMark),
    /// The job has ended, or its batch was answered, and said nothing of it: it goes alone the next time.
    GivenBack,
}

impl Kept {
    fn of(intent: &IntentRow) -> Option<Self> {
        serde_json::from_str(intent.job.as_deref()?).ok()
    }

    fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

/// What is kept of the writes of a batch before it is sent.
pub fn as_sent(rules: &Binding, op: SendOp) -> Option<String> {
    job_of(rules, op).and_then(|_| Kept::Sent.text())
}

/// What is kept of a write that goes alone because its batch was answered without a word of it.
pub fn as_alone() -> Option<String> {
    Kept::GivenBack.text()
}

/// What is kept of such a write when another takes its place, however that came to be.
pub fn kept_alone(former: &IntentRow) -> Option<String> {
    goes_alone(former).then(as_alone).flatten()
}

/// Whether an intent goes by its own request, whatever batches there are.
pub fn goes_alone(intent: &IntentRow) -> bool {
    matches!(Kept::of(intent), Some(Kept::GivenBack))
}

/// Whether a job may still do what an intent wants.
pub fn may_be_at_work(pass: &Pass, at: usize, intent: &IntentRow) -> bool {
    match Kept::of(intent) {
        None | Some(Kept::GivenBack) => false,
        Some(Kept::Taken(_)) => true,
        Some(Kept::Sent) => {
            let job = pass.rules(at).and_then(|rules| job_of(rules, SendOp::of(&intent.op)));
            // What it makes at its end shows as late as anything.
            let sent = intent.sent_at.map(|sent| time(sent) + gather::lag(pass, at));
            sent.is_some_and(|sent| upstream::works_for(job, sent, pass.clock.now()))
        }
    }
}

fn job_of(rules: &Binding, op: SendOp) -> Option<&Job> {
    op.batch_of(rules, false)?.job.as_ref()
}

/// Whether the time of the job that took an intent up is over.
pub fn time_is_over(pass: &Pass, at: usize, intent: &IntentRow) -> bool {
    let Some(Kept::Taken(mark)) = Kept::of(intent) else { return false };
    let job = pass.rules(at).and_then(|rules| job_of(rules, SendOp::of(&intent.op)));
    !upstream::works_for(job, mark.since, pass.clock.now())
}

/// When a job that a pass leaves at work may be asked again: the longer it works, the later.
pub fn asked_again_at(pass: &Pass, at: usize, intent: &IntentRow) -> Option<Micros> {
    let (job, now) = (job_of(pass.rules(at)?, SendOp::of(&intent.op))?, pass.clock.now());
    let took = match Kept::of(intent) {
        Some(Kept::Taken(mark)) => now - mark.since,
        Some(Kept::Sent | Kept::GivenBack) | None => TimeDelta::zero(),
    };
    let wait = TimeDelta::from_std(job.every).ok()?.max(took / 2);
    Some(now.checked_add_signed(wait)?.timestamp_micros())
}

/// Keeps when jobs that are at work are asked again.
pub async fn put_off(store: &dyn Store, left: Vec<(String, Option<Micros>)>) -> Result<(), StoreError> {
    if left.is_empty() {
        return Ok(());
    }
    store::write_small(store, move |tx| {
        left.iter().try_for_each(|(key, not_before)| {
            tx.set_intent(key, &IntentUpdate { not_before: *not_before, ..IntentUpdate::to(IntentState::Unknown) })
        })
    })
    .await
}

/// What a job says of a write.
#[derive(Debug)]
pub enum Said {
    /// It has ended, and this came of it. What is unknown now the job will never tell.
    Outcome(Written),
    /// It is at work, or may be.
    AtWork(Failure),
}

/// Keeps which job has taken up each write, then waits for the jobs and puts what they tell in its place. A pass that others wait
/// for leaves them at work.
pub async fn wait_for(way: Way<'_>, ready: &[Ready], written: Vec<Written>) -> Result<Vec<Written>, StoreError> {
    let mut taken = Vec::new();
    for (one, written) in ready.iter().zip(&written) {
        if let Written::Working(mark) = written {
            taken.push((one, mark.clone()));
        }
    }
    if taken.is_empty() {
        return Ok(written);
    }
    // An address that shows a secret is not kept (I19): after a crash the job has its whole time before anything else counts.
    let may_be_kept = |mark: &JobMark| !way.client.secrets().show_in(&mark.at);
    let kept = taken.iter().filter(|(_, mark)| may_be_kept(mark));
    keep(
        way.store,
        kept.map(|(one, mark)| (&one.intent, Kept::Taken(mark.clone()))).collect(),
        IntentState::Sent,
        None,
    )
    .await?;
    let can_be_left = taken.iter().all(|(_, mark)| may_be_kept(mark));
    if can_be_left && way.pass.wait == Wait::NoLongerThanOthersNeed {
        return Ok(written);
    }
    let mut said = ask(way, taken, Patience::UntilEnd).await?;
    let told = ready.iter().zip(written).map(|(one, written)| match said.remove(&one.intent.key) {
        Some(Said::Outcome(outcome)) => outcome,
        Some(Said::AtWork(failure)) => Written::Unknown(Failure { kind: FailureKind::Unknown, ..failure }),
        None => written,
    });
    Ok(told.collect())
}

/// Asks the jobs that had taken up writes before this pass, once each; by the intents' keys.
pub async fn ask_again(
    way: Way<'_>,
    ready: impl Iterator<Item = &Ready>,
) -> Result<BTreeMap<String, Said>, StoreError> {
    let taken = ready.filter_map(|one| match Kept::of(&one.intent)? {
        Kept::Taken(mark) => Some((one, mark)),
        Kept::Sent | Kept::GivenBack => None,
    });
    ask(way, taken.collect(), Patience::AskOnce).await
}

async fn ask(
    way: Way<'_>,
    taken: Vec<(&Ready, JobMark)>,
    patience: Patience,
) -> Result<BTreeMap<String, Said>, StoreError> {
    let mut jobs: BTreeMap<(SendOp, String), Vec<(&Ready, JobMark)>> = BTreeMap::new();
    for (one, mark) in taken {
        jobs.entry((one.request.op, mark.at.clone())).or_default().push((one, mark));
    }
    let mut said = BTreeMap::new();
    let mut given_back = Vec::new();
    for items in jobs.into_values() {
        let asked: Vec<(&WriteRequest, &JobMark)> = items.iter().map(|(one, mark)| (&one.request, mark)).collect();
        match upstream::finish_batch(way.client, way.rules, &asked, patience).await {
            ToldByJob::Each(outcomes) => {
                for ((one, _), outcome) in items.iter().zip(outcomes) {
                    if matches!(outcome, Written::Unknown(_) | Written::Unnamed(_)) {
                        given_back.push((&one.intent, Kept::GivenBack));
                    }
                    said.insert(one.intent.key.clone(), Said::Outcome(outcome));
                }
            }
            ToldByJob::AtWork(failure) => {
                let all = items.iter().map(|(one, _)| (one.intent.key.clone(), Said::AtWork(failure.clone())));
                said.extend(all);
            }
        }
    }
    // What a job does it does until its end: from then on it is looked for, and only what is read later speaks of it.
    keep(way.store, given_back, IntentState::Unknown, Some(way.pass.clock.now().timestamp_micros())).await?;
    Ok(said)
}

/// `sent_at` where it counts as sent anew.
async fn keep(
    store: &dyn Store,
    kept: Vec<(&IntentRow, Kept)>,
    state: IntentState,
    sent_at: Option<Micros>,
) -> Result<(), StoreError> {
    if kept.is_empty() {
        return Ok(());
    }
    let update = |intent: &IntentRow, kept: &Kept| IntentUpdate {
        job: kept.text(),
        not_before: intent.not_before,
        sent_at,
        ..IntentUpdate::to(state)
    };
    let updates: Vec<(String, IntentUpdate)> =
        kept.iter().map(|(intent, kept)| (intent.key.clone(), update(intent, kept))).collect();
    store::write_small(store, move |tx| updates.iter().try_for_each(|(key, update)| tx.set_intent(key, update))).await
}
