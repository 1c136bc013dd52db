//! Owns: what a restored or copied database means to a collection: everything is read anew, and nothing is changed, deleted or
//! sent until a person approves.
//!
//! Must not know: how it is noticed (that is `store`), what guards count.

use crate::merge::Halt;
use crate::rules::Origin;
use crate::store::{Restored, StoreError, Tx, View};

/// What an approval is bound to: the fact, not a plan. Upstreams go on changing while somebody looks.
pub fn fingerprint(restored: &Restored) -> String {
    format!("restored {}", restored.epoch)
}

/// Whether a halt stands for that.
pub fn is_restored(fingerprint: &str) -> bool {
    fingerprint.starts_with("restored ")
}

/// Where this collection has not gone on since: why. For `status` and for a pass that begins.
pub fn waits(view: &dyn View, collection: &str) -> Result<Option<Restored>, StoreError> {
    let Some(restored) = view.restored()? else { return Ok(None) };
    let known = view.note(&note(collection))?;
    Ok((known != Some(fingerprint(&restored))).then_some(restored))
}

/// From now on the collection is as any other. Belongs into the transaction that ends or replaces the approved halt.
pub fn go_on(tx: &mut dyn Tx, collection: &str, restored: &Restored) -> Result<(), StoreError> {
    tx.set_note(&note(collection), &fingerprint(restored))
}

fn note(collection: &str) -> String {
    format!("restored, and {collection} goes on")
}

/// The halt that stands for it. `rows` are all that the collection has.
pub fn halt(rows: u64) -> Halt {
    let limit = "until approved".to_owned();
    Halt { target: Origin::Local, what: "restored".to_owned(), count: rows, total: rows, limit }
}
