//! Owns: passes over single records that are made while a pass of the same collection waits for upstreams: when they may be made,
//! and what listings must not believe afterwards.
//!
//! Must not know: who asks for them; what such a pass does.
//!
//! They are about records of which nothing is under way: no write, and nothing that was read and not decided. So what the other
//! pass finds out and sends meanwhile is about other records; it decides nothing before they have ended, and neither sends the
//! writes of the other or looks for what became of them.
//!
//! They take turns with pages: one is worked on wholly before or wholly after such a pass, so that neither sees half of the
//! other. A page may be from before a write that was made in between. What it shows of a record that such a pass has touched
//! says therefore nothing; the record is asked for once more when the listing has ended, before its cursor moves.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use roaring::RoaringTreemap;
use tokio::sync::{mpsc, oneshot};
use xxhash_rust::xxh3::xxh3_64;

use crate::record::Mapped;
use crate::rules::Binding;
use crate::store::{self, Staged, StagedKind, Store, StoreError, Tx};
use crate::upstream::{self, Client, Failure, FailureKind, Got};

use super::context::Pass;
use super::engine::{Engine, PassError};
use super::report::PassReport;
use super::silence;
use super::sites;

/// What came of a pass in between; `None`, and nothing was done, where what waits takes listings.
pub type Made = Result<Option<PassReport>, PassError>;

/// Somebody wants a pass over the records that edits here and webhooks name, while another one runs. Dropped without an answer
/// where that one waits for nothing any more.
#[derive(Debug)]
pub struct Wish {
    /// Why.
    pub trigger: String,
    /// The number of the newest edit here that an earlier pass took up: what is left of those is none of its matter.
    pub after: i64,
    /// Hears of it.
    pub made: oneshot::Sender<Made>,
}

/// Does the work, which waits for upstreams, and makes the passes that are wished for meanwhile, one at a time. The second value
/// tells whether any was. `blocked`: why bindings take no part in them.
pub async fn while_at<T>(
    engine: &Engine,
    pass: &Arc<Pass>,
    (wishes, blocked): (Option<&mut mpsc::Receiver<Wish>>, &[Option<String>]),
    work: impl Future<Output = T>,
) -> (T, bool) {
    let Some(wishes) = wishes else { return (work.await, false) };
    let mut work = pin!(work);
    let mut any = false;
    loop {
        let wish = tokio::select! {
            biased;
            done = &mut work => return (done, any),
            wish = wishes.recv() => wish,
        };
        let Some(wish) = wish else { return (work.await, any) };
        any = true;
        // The work goes on as far as it may: what an upstream bears at once may be what it holds.
        let mut making = pin!(make(engine, pass, wish, blocked));
        tokio::select! {
            biased;
            done = &mut work => {
                making.await;
                return (done, any);
            }
            () = &mut making => {}
        }
    }
}

async fn make(engine: &Engine, pass: &Arc<Pass>, wish: Wish, blocked: &[Option<String>]) {
    pass.is_waited_for.store(true, Ordering::Relaxed);
    let mut touched = pass.touched.lock().await;
    pass.is_waited_for.store(false, Ordering::Relaxed);
    let made = engine.pass_between(pass, (&wish.trigger, wish.after), blocked, &mut touched).await;
    drop(touched);
    pass.set_beside(BTreeSet::new());
    // Whoever wished may be gone.
    wish.made.send(made).ok();
}

/// Asks for records whose pages may be from before a pass in between has touched them, and stages them as they are now. An
/// upstream that cannot say how they are has not been read; nor has one that is silent while such a pass waits for this.
pub async fn look_again(
    (store, pass): (&dyn Store, &Pass),
    client: &Arc<Client>,
    rules: &Arc<Binding>,
    rows: Vec<Staged>,
) -> Result<Option<Failure>, StoreError> {
    let do_others_wait = Some(|| pass.is_waited_for.load(Ordering::Relaxed));
    let looking = look_at_each(store, client, rules, rows);
    let looked = silence::unless_silent((client, pass.clock.as_ref()), do_others_wait, looking).await;
    looked.unwrap_or_else(|words| Ok(Some(Failure::new(FailureKind::Unavailable, words))))
}

async fn look_at_each(
    store: &dyn Store,
    client: &Arc<Client>,
    rules: &Arc<Binding>,
    rows: Vec<Staged>,
) -> Result<Option<Failure>, StoreError> {
    let mut found = Vec::with_capacity(rows.len());
    let mut asked = upstream::get_each(client, rules, rows, |row| Some(sites::of_staged(rules, row)));
    while let Some((row, answer)) = asked.next().await {
        match answer {
            Some(Ok(Got::Found(remote))) => found.push(Staged {
                kind: StagedKind::Record,
                fingerprint: xxh3_64(&remote.raw),
                raw: remote.raw.to_vec(),
                version: remote.version.clone(),
                observed_at: remote.observed_at.timestamp_micros(),
                ..row
            }),
            // Its tombstone or event tells that. What else it was is from before, and that it is gone the next listing tells.
            Some(Ok(Got::Missing | Got::Astray(_) | Got::Merged(_))) => {
                let is_told = row.kind != StagedKind::Record;
                let tells = |mapped: Mapped| mapped.deleted || mapped.merged_into.is_some();
                if is_told || rules.mapper.read(&row.raw).is_ok_and(tells) {
                    found.push(row);
                }
            }
            Some(Err(failure)) if matches!(failure.kind, FailureKind::OtherRecord | FailureKind::TooLarge) => {
                found.push(row);
            }
            Some(Err(failure)) => return Ok(Some(failure)),
            None => found.push(row),
        }
    }
    // Answers come in any order.
    found.sort_by(|one, other| one.remote_id.cmp(&other.remote_id));
    store::write(store, move |tx| found.into_iter().try_for_each(|row| stage(tx, row))).await?;
    Ok(None)
}

/// Stages a record unless it is as it is known now.
fn stage(tx: &mut dyn Tx, row: Staged) -> Result<(), StoreError> {
    let known = tx.known(row.binding, &[row.remote_id.as_str()])?.into_iter().next().flatten();
    if known.is_some_and(|known| known.fingerprint == row.fingerprint) {
        return tx.unstage(row.binding, &row.remote_id);
    }
    let link = known.map(|known| tx.link(known.link)).transpose()?.flatten();
    tx.stage(&Staged { record: link.map(|link| link.record), ..row })
}

/// The links that a pass in between may write to, as numbers.
pub type Touched = RoaringTreemap;
