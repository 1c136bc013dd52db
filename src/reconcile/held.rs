//! Owns: counting the deletes that a pass held back because a binding was read after too long a gap.
//!
//! Must not know: what makes a gap; how it is told.

use crate::merge::LinkState;
use crate::store::{StagedKind, StoreError, View};

use super::context::Pass;

/// Records looked at between two questions to the store.
const CHUNK: usize = 256;

/// Deletes that wait at one binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldBack {
    /// Deleted here, still there.
    pub local: u64,
    /// Found deleted there, still here.
    pub remote: u64,
}

/// What still waits at a binding after a pass: whatever a pass could not decide stays a candidate.
pub fn count_deletes(view: &dyn View, pass: &Pass, at: usize) -> Result<HeldBack, StoreError> {
    let (mut held, mut after) = (HeldBack::default(), String::new());
    let key = pass.binding_key(at);
    loop {
        let records = view.candidates(pass.key, &after, CHUNK)?;
        let Some(last) = records.last() else { return Ok(held) };
        after.clone_from(&last.0);
        for record in &records {
            let is_live = |state: LinkState| state != LinkState::Deleted && state != LinkState::Detached;
            if !view.links_of(record)?.iter().any(|link| link.binding == key && is_live(link.state)) {
                continue;
            }
            let staged = view.staged_of(pass.key, record)?;
            let gone = staged.iter().any(|one| one.binding == key && matches!(one.kind, StagedKind::Gone(_)));
            match view.row(&pass.collection, record)? {
                Some(_) => held.remote += u64::from(gone),
                // Deleted on both sides: nothing is left to do but to forget it.
                None => held.local += u64::from(!gone),
            }
        }
    }
}
