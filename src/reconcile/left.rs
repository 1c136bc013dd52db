//! Owns: writes of a pass in between that an upstream does not answer while others wait: when they are left, and as what.
//!
//! Must not know: how they are sent; what becomes of them (that is `unknown`, by evidence, as after a crash).
//!
//! Only what the upstream refuses where it comes too late is left: an update that carries the version it was decided on. Should it be
//! done after all, after it was looked for and sent once more, one of the two is refused, and no later edit is undone.

use std::sync::Arc;

use crate::merge::IntentState;
use crate::rules::{Binding, Precondition};
use crate::store::{self, IntentFilter, IntentRow, IntentUpdate, StoreError, View};
use crate::upstream::{Client, SendOp};

use super::context::Pass;
use super::engine::Engine;
use super::silence::{self, Wait};

/// Writes of one pass are looked through up to this many.
const WRITES_MAX: usize = 1000;

/// Sends writes of a pass to an upstream, unless others wait and it is silent; then why they were left.
pub fn send_or_leave<T>(
    (engine, client): (&Engine, &Client),
    (pass, at): (&Arc<Pass>, usize),
    sending: impl Future<Output = T>,
) -> impl Future<Output = Result<Result<T, String>, StoreError>> {
    let sending = Box::pin(sending);
    async move {
        if pass.wait == Wait::ForAnswers || !may_be_left(engine, pass, at).await? {
            return Ok(Ok(sending.await));
        }
        let words = tokio::select! {
            biased;
            done = sending => return Ok(Ok(done)),
            words = silent_while_others_wait(engine, client, pass) => words,
        };
        leave(engine, pass, at, words.clone()).await?;
        Ok(Err(words))
    }
}

async fn silent_while_others_wait(engine: &Engine, client: &Client, pass: &Pass) -> String {
    loop {
        let words = silence::silent_at_writing(client, engine.clock.as_ref()).await;
        let (key, known) = (pass.key, pass.edits_known);
        let newest = store::read(engine.store.as_ref(), move |view| view.newest_edit(key)).await;
        // What is wrong with the store, the next one who asks it finds out.
        if newest.is_ok_and(|newest| newest > known) {
            return words;
        }
    }
}

/// What was sent is looked for from now on.
async fn leave(engine: &Engine, pass: &Arc<Pass>, at: usize, words: String) -> Result<(), StoreError> {
    let pass = Arc::clone(pass);
    store::write_small(engine.store.as_ref(), move |tx| {
        for intent in of_pass(tx, &pass, at)?.iter().filter(|intent| intent.state == IntentState::Sent) {
            let update = IntentUpdate { note: Some(words.clone()), ..IntentUpdate::to(IntentState::Unknown) };
            tx.set_intent(&intent.key, &update)?;
        }
        Ok(())
    })
    .await
}

async fn may_be_left(engine: &Engine, pass: &Arc<Pass>, at: usize) -> Result<bool, StoreError> {
    let Some(rules) = pass.rules(at).cloned() else { return Ok(false) };
    let pass = Arc::clone(pass);
    let writes = store::read(engine.store.as_ref(), move |view| of_pass(view, &pass, at)).await?;
    Ok(writes.len() < WRITES_MAX && writes.iter().all(|intent| is_refused_late(&rules, intent)))
}

/// Whether the upstream refuses the write where the record is another one by then.
fn is_refused_late(rules: &Binding, intent: &IntentRow) -> bool {
    let is_update = SendOp::of(&intent.op) == SendOp::Update && intent.expected_version.is_some();
    let precondition = rules.update.as_ref().map(|update| &update.precondition);
    let is_plain = rules.transitions.is_empty() && SendOp::Update.batch_of(rules, false).is_none();
    is_update && is_plain && matches!(precondition, Some(Precondition::Version { .. }))
}

fn of_pass(view: &dyn View, pass: &Pass, at: usize) -> Result<Vec<IntentRow>, StoreError> {
    let filter = IntentFilter {
        collection: Some(pass.collection.name.clone()),
        upstream: Some(pass.upstream(at).to_owned()),
        limit: WRITES_MAX,
        ..IntentFilter::default()
    };
    let mut writes = view.intents(&filter)?;
    writes.retain(|intent| pass.is_about(&intent.record));
    Ok(writes)
}
