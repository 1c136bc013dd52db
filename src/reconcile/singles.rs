//! Owns: sending writes one by one, several at once, while the store marks the next and settles the last ones.
//!
//! Must not know: how a request is made; what an outcome means.
//!
//! Each write is durably `sent` before its first byte and settled after its answer: two waits for the disk, which many writes
//! share. Answers that came while the store was busy are settled together, and the next writes are marked while the last
//! ones are sent: more and more of them only where sending waits for the store, so a slow upstream has few of them, and none
//! beyond those under way where no evidence would tell after a crash what became of them. What was marked and never sent,
//! because the upstream takes nothing more, is prepared again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};

use crate::rules::{Binding, Idempotency};
use crate::store::{Store, StoreError};
use crate::upstream::{self, Client, SendOp, Written};

use super::context::Pass;
use super::jobs;
use super::push::{self, Ready};
use super::settle::{self, Outcome};

/// Writes marked in one transaction, at most.
const GROUP_MAX: usize = 256;
/// Writes that are marked and not being sent yet, at most.
const AHEAD_MAX: usize = 512;
/// Answers settled in one transaction, at most.
const SETTLED_MAX: usize = 256;

/// Where writes go.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The upstream's client.
    pub client: &'a Arc<Client>,
    /// The binding's rules.
    pub rules: &'a Arc<Binding>,
    /// The pass.
    pub pass: &'a Arc<Pass>,
    /// The binding's position.
    pub binding: usize,
}

type Answer = (Ready, Written);

/// Sends them. `settled` takes what became of some, and says whether to stop.
pub async fn send(
    way: Way<'_>,
    ready: Vec<Ready>,
    mut settled: impl FnMut(Vec<Outcome>) -> bool,
) -> Result<(), StoreError> {
    let at_once = way.rules.upstream.concurrency.max(1);
    let ahead = Ahead {
        stop: AtomicBool::new(false),
        under_way: AtomicUsize::new(0),
        room: Semaphore::new(at_once),
        at_once,
        evidence_is_left: ready.iter().all(|one| leaves_evidence(way.rules, one.request.op)),
    };
    // Neither ever holds more than what is to be sent, which the caller bounds.
    let (give_marked, marked) = mpsc::unbounded_channel();
    let (give_answer, answers) = mpsc::unbounded_channel();
    let settle = async {
        let mut answers: mpsc::UnboundedReceiver<Answer> = answers;
        let mut some = Vec::new();
        while answers.recv_many(&mut some, SETTLED_MAX).await > 0 {
            let outcomes = settle::settle(way.store, way.pass, way.binding, std::mem::take(&mut some)).await?;
            if settled(outcomes) {
                ahead.stop.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    let (_marked, _sent, _settled) = futures_util::future::try_join3(
        mark(way, &ahead, ready, give_marked),
        exchange(way, &ahead, marked, give_answer),
        settle,
    )
    .await?;
    Ok(())
}

/// Whether it can be found out what became of a write that was marked.
fn leaves_evidence(rules: &Binding, op: SendOp) -> bool {
    match op {
        SendOp::Create => {
            !matches!(rules.create.as_ref().map(|create| &create.idempotency), Some(Idempotency::None) | None)
        }
        SendOp::Update | SendOp::Delete | SendOp::Archive => rules.read.as_ref().is_some_and(|read| read.get.is_some()),
    }
}

/// What the two sides know of each other.
struct Ahead {
    /// The upstream takes nothing more.
    stop: AtomicBool,
    /// Writes whose answer is not there yet.
    under_way: AtomicUsize,
    /// How many more may be marked now. Where evidence is left, those that are being sent do not count.
    room: Semaphore,
    at_once: usize,
    evidence_is_left: bool,
}

impl Ahead {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

async fn mark(
    way: Way<'_>,
    ahead: &Ahead,
    ready: Vec<Ready>,
    give: mpsc::UnboundedSender<Ready>,
) -> Result<(), StoreError> {
    let (mut room, mut begun) = (ahead.at_once, false);
    let mut left = ready.into_iter();
    while left.len() > 0 {
        let Ok(one) = ahead.room.acquire().await else { return Ok(()) };
        one.forget();
        if ahead.is_over() {
            return Ok(());
        }
        let mut size = 1;
        while size < left.len().min(GROUP_MAX)
            && let Ok(one) = ahead.room.try_acquire()
        {
            one.forget();
            size += 1;
        }
        let group: Vec<Ready> = left.by_ref().take(size).collect();
        // What goes alone does so until its outcome is known.
        let marks = group.iter().map(|one| (one.intent.key.clone(), jobs::kept_alone(&one.intent)));
        push::mark_sent_by(way.store, way.pass, marks.collect()).await?;
        let waited = begun && ahead.under_way.load(Ordering::Relaxed) < ahead.at_once;
        if ahead.evidence_is_left && waited && room < AHEAD_MAX {
            let more = room.min(AHEAD_MAX - room);
            ahead.room.add_permits(more);
            room += more;
        }
        begun = true;
        for one in group {
            if give.send(one).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn exchange(
    way: Way<'_>,
    ahead: &Ahead,
    mut marked: mpsc::UnboundedReceiver<Ready>,
    give: mpsc::UnboundedSender<Answer>,
) -> Result<(), StoreError> {
    let mut under_way = FuturesUnordered::new();
    let mut unsent = Vec::new();
    let mut more = true;
    while more || !under_way.is_empty() {
        tokio::select! {
            // The order must not be drawn by lot: a simulation is a function of its seed.
            biased;
            next = marked.recv(), if more && under_way.len() < ahead.at_once => match next {
                Some(ready) => {
                    let is_over = ahead.is_over();
                    if is_over || ahead.evidence_is_left {
                        ahead.room.add_permits(1);
                    }
                    if is_over {
                        unsent.push(ready.intent.key);
                        continue;
                    }
                    under_way.push(async move {
                        let written = upstream::write_one(way.client, way.rules, &ready.request).await;
                        let written = settle::read_back(way.client, way.rules, &ready, written).await;
                        let written = upstream::tell_whose(way.rules, &ready.request, written);
                        (ready, written)
                    });
                }
                None => more = false,
            },
            Some(answer) = under_way.next(), if !under_way.is_empty() => {
                if !ahead.evidence_is_left {
                    ahead.room.add_permits(1);
                }
                // At once, not when that is settled: nothing more is begun.
                if matches!(answer.1, Written::Stopped(_)) {
                    ahead.stop.store(true, Ordering::Relaxed);
                }
                let _nobody_settles_after_an_error = give.send(answer);
            }
        }
        ahead.under_way.store(under_way.len(), Ordering::Relaxed);
    }
    push::mark_unsent(way.store, unsent).await
}
