//! Owns: the match index: by which texts a record is found.
//!
//! Must not know: whom a remote record is taken for (that is `contact`).

use crate::merge::{self, LinkState};
use crate::record::{RecordId, Slot};
use crate::store::{DirtyOp, StoreError, Tx, View};

use super::context::Pass;
use super::{addressed, base, observe};

/// Hints looked at in one statement.
const CHUNK: usize = 256;

/// Rows that other programs wrote become findable by their match keys before strangers are met.
pub fn index_local_edits(tx: &mut dyn Tx, pass: &Pass) -> Result<(), StoreError> {
    if pass.collection.match_keys.is_empty() {
        return Ok(());
    }
    let mut after = String::new();
    loop {
        let hints = tx.dirty_after(pass.key, &after, CHUNK)?;
        let Some((last, _)) = hints.last() else { return Ok(()) };
        after.clone_from(&last.0);
        for (record, hint) in hints {
            if hint.op != DirtyOp::Recheck {
                index(tx, pass, &record)?;
            }
        }
    }
}

/// Refreshes the match index of a row; a row that is gone leaves the index as soon as no upstream has it any more.
pub fn index(tx: &mut dyn Tx, pass: &Pass, record: &RecordId) -> Result<(), StoreError> {
    if pass.collection.match_keys.is_empty() {
        return Ok(());
    }
    let row = tx.row(&pass.collection, record)?;
    let mut texts: Vec<_> = row.map(|row| merge::match_key_texts(&pass.collection, &row)).into_iter().collect();
    // What an upstream still calls it matters where its records are found by what they are called.
    if texts.is_empty() || addressed::is_by_key(&pass.collection) {
        let is_known = addressed::states(&pass.collection);
        let remembered = remembered_texts(tx, pass, record, is_known)?;
        if !texts.contains(&remembered) {
            texts.push(remembered);
        }
    }
    tx.index_match(pass.key, record, &texts)
}

/// The match texts of a record, as far as its links in these states remember what it was when the sides last agreed.
pub fn remembered_texts(
    view: &dyn View,
    pass: &Pass,
    record: &RecordId,
    is_known: fn(LinkState) -> bool,
) -> Result<Vec<Option<String>>, StoreError> {
    let mut remembered = vec![Slot::Absent; pass.collection.fields.len()];
    let mut links = view.links_of(record)?;
    links.retain(|link| is_known(link.state));
    for link in links {
        let Some(at) = pass.position(link.binding) else { continue };
        let slots = observe::base_slots(view, pass, at, &link.raw)?;
        let pair = base::unpack(&pass.collection, &slots, link.base_hub.as_deref(), link.base_remote.as_deref())?;
        for (known, value) in remembered.iter_mut().zip(pair.hub) {
            if let (Slot::Absent, Some(value)) = (&known, value) {
                *known = Slot::Value(value);
            }
        }
    }
    Ok(merge::match_key_texts(&pass.collection, &remembered))
}
