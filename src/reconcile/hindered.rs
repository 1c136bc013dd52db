//! Owns: writes that another record stands in the way of: children of a record to be deleted, a unique value that is taken.
//!
//! Must not know: how they are sent.

use std::sync::Arc;

use crate::record::RecordId;
use crate::store::{self, QuarantineFilter, QuarantineRow, Store, StoreError, Tx};

use super::apply;
use super::context::{Pass, local_subject};
use super::push::Ready;
use super::settle::{Outcome, refused};

/// The stage under which a write is set aside that another record stands in the way of.
const STAGE: &str = "hindered";

/// How the reason begins, or goes on.
const IN_THE_WAY: &str = "another record there stands in the way";

/// Records set aside that are looked through for those that wait for another.
const SET_ASIDE_MAX: usize = 1000;

/// Another record stands in the way. A delete waits for its children, and is tried in each pass; nothing is deleted that
/// nobody asked for. Any other write waits for a person, or for the record in its way to be written (s25, s54).
pub fn hindered(tx: &mut dyn Tx, pass: &Pass, at: usize, ready: &Ready, words: &str) -> Result<Outcome, StoreError> {
    let intent = &ready.intent;
    if !ready.request.op.removes() {
        refused(tx, pass, at, ready, STAGE, &format!("{IN_THE_WAY}: {words}"))?;
        return Ok(Outcome::Hindered);
    }
    tx.put_quarantine(&QuarantineRow {
        collection: intent.collection.clone(),
        upstream: intent.upstream.clone(),
        subject: local_subject(&intent.record),
        stage: QuarantineRow::WAITING_DELETE.into(),
        reason: format!("its {} waits, {IN_THE_WAY}: {words}", ready.request.op.name()),
        inputs: String::new(),
        since: pass.micros(),
        pass: pass.id,
    })?;
    tx.drop_intent(&intent.key)?;
    apply::look_again(tx, pass, &intent.record)?;
    Ok(Outcome::Hindered)
}

/// Others were written: what stood in the way of a record may not any more. Those are decided again; returns whether there
/// are any.
pub async fn try_hindered_again(store: &dyn Store, pass: &Arc<Pass>, binding: usize) -> Result<bool, StoreError> {
    let filter = QuarantineFilter {
        collection: Some(pass.collection.name.clone()),
        upstream: Some(pass.upstream(binding).to_owned()),
        limit: SET_ASIDE_MAX,
        ..QuarantineFilter::default()
    };
    let mut rows = store::read(store, move |view| view.quarantined(&filter)).await?;
    rows.retain(|row| row.stage == STAGE || row.stage == QuarantineRow::WAITING_DELETE);
    if rows.is_empty() {
        return Ok(false);
    }
    let pass = Arc::clone(pass);
    store::write_small(store, move |tx| {
        for row in &rows {
            tx.clear_quarantine(&row.collection, &row.upstream, &row.subject)?;
            apply::look_again(tx, &pass, &RecordId(row.subject.clone()))?;
        }
        Ok(true)
    })
    .await
}
