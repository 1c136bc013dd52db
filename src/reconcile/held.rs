//! Owns: counting the deletes that a pass held back at a binding.
//!
//! Must not know: why they are held back; how it is told.

use crate::merge::{Hub, LinkState, Seen};
use crate::store::{StoreError, View};

use super::context::Pass;
use super::gather::{self, Barrier};

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

/// What still waits at a binding after a pass: whatever the pass could not decide is still a candidate.
pub fn count_deletes(view: &dyn View, pass: &Pass, at: usize, barrier: &Barrier) -> Result<HeldBack, StoreError> {
    let (mut held, mut after) = (HeldBack::default(), String::new());
    loop {
        let records = view.candidates(pass.key, &after, CHUNK)?;
        let Some(last) = records.last() else { return Ok(held) };
        after.clone_from(&last.0);
        for record in &records {
            let found = gather::gather(view, pass, record, barrier)?;
            let Some(spoke) = found.facts.spokes.get(at) else { continue };
            let live = |state: LinkState| state != LinkState::Deleted && state != LinkState::Detached;
            if !spoke.link.as_ref().is_some_and(|link| live(link.state)) {
                continue;
            }
            match (&found.facts.hub, &spoke.seen) {
                (Hub::Row { .. }, Seen::Gone(_)) => held.remote += 1,
                // Deleted on both sides: nothing is left to do but to forget it.
                (Hub::Deleted { .. }, Seen::Gone(_)) | (Hub::Never | Hub::Row { .. }, _) => {}
                (Hub::Deleted { .. }, _) => held.local += 1,
            }
        }
    }
}
