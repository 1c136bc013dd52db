//! Owns: what an approval is bound to: a digest of a pass's plan.
//!
//! Must not know: what is approved, or by whom.

use sha2::{Digest as _, Sha256};

use crate::merge::{LocalChange, RecordPlan};
use crate::record::{FieldType, RecordId, Slot, Value, hex};
use crate::store::{LinkRow, StoreError, View};

use super::context::Pass;
use super::gather::Gathered;

/// A digest of records' plans, whatever order they come in: new records get random ids, which order them anew each time.
#[derive(Default)]
pub struct Digest256 {
    lanes: [u64; 4],
    count: u64,
}

impl Digest256 {
    /// Adds one record's plan.
    pub fn add(&mut self, text: &str) {
        let hash = Sha256::digest(text.as_bytes());
        for (lane, bytes) in self.lanes.iter_mut().zip(hash.chunks_exact(8)) {
            let word = bytes.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
            *lane = lane.wrapping_add(word);
        }
        self.count += 1;
    }

    /// SHA-256 of all, as text.
    pub fn text(&self) -> String {
        let mut whole = Sha256::new();
        whole.update(self.count.to_be_bytes());
        for lane in self.lanes {
            whole.update(lane.to_be_bytes());
        }
        hex(&whole.finalize())
    }
}

/// SHA-256 (hex) of several texts.
pub fn digest_of(texts: &[&str]) -> String {
    let mut whole = Sha256::new();
    for text in texts {
        whole.update((text.len() as u64).to_be_bytes());
        whole.update(text.as_bytes());
    }
    hex(&whole.finalize())
}

/// A record's plan as an approval is bound to it. A record that this very transaction made goes by the remote record that
/// it was made from: its own id is another one in the next pass, when the approved plan is made again.
pub fn told_stably(view: &dyn View, pass: &Pass, found: &Gathered, plan: &RecordPlan) -> Result<String, StoreError> {
    let mut text = format!("{} {:?} {:?}", found.record, plan.local, plan.writes);
    let mut fresh = Vec::new();
    let refers_here = |ty: &FieldType| matches!(ty, FieldType::Ref { to } if *to == pass.collection.name);
    for (at, field) in pass.collection.fields.iter().enumerate() {
        if refers_here(&field.domain.ty) {
            let row = view.row(&pass.collection, &found.record)?.unwrap_or_default();
            let now = match &plan.local {
                LocalChange::Update(values) => values.iter().find(|(field, _)| *field == at).map(|(_, value)| value),
                LocalChange::None | LocalChange::Insert(_) | LocalChange::Delete => None,
            };
            for value in [row.get(at).and_then(Slot::value), now].into_iter().flatten() {
                if let Value::Ref(id) = value {
                    fresh.push(RecordId(id.clone()));
                }
            }
        }
    }
    let mut rename = |record: &RecordId, links: &[&LinkRow]| {
        if let Some(link) = links.iter().find(|link| link.made.is_some_and(|made| made.pass == pass.id)) {
            let at = pass.position(link.binding).unwrap_or(usize::MAX);
            text = text.replace(&record.0, &format!("{} {}", pass.upstream(at), link.remote_id));
        }
    };
    rename(&found.record, &found.links.iter().flatten().collect::<Vec<_>>());
    for record in fresh {
        rename(&record, &view.links_of(&record)?.iter().collect::<Vec<_>>());
    }
    Ok(text)
}
