//! Owns: remote ids that were given to another record (s9).
//!
//! Must not know: what becomes of the local record, or of the stranger.

use crate::merge::{Evidence, LinkState};
use crate::record::same_creation;
use crate::rules::Binding;
use crate::store::{LinkRow, Staged, StagedKind, StoreError, Tx};

use super::context::Pass;

/// Links looked at between two looks.
const CHUNK: usize = 1000;

/// When the record was created that the id of a link named, where it names another one by now: one that was created then.
pub fn named_before(rules: &Binding, link: &LinkRow, created_at: Option<&str>) -> Option<String> {
    let is = created_at?;
    let was = rules.mapper.read(&link.raw).ok()?.created_at?;
    (!same_creation(&was, is)).then_some(was)
}

/// A remote id that names another record than the one it was tied to (s9): the tie is broken. The local record hears that
/// its own is gone, and the other record is a stranger like any.
pub fn part(tx: &mut dyn Tx, pass: &Pass, is_blocked: &dyn Fn(usize) -> bool) -> Result<(), StoreError> {
    for (at, rules) in pass.collection.bindings.iter().enumerate() {
        if rules.mapper.probe.created_at.is_none() || is_blocked(at) {
            continue;
        }
        let created = |raw: &[u8]| rules.mapper.read(raw).ok().and_then(|mapped| mapped.created_at);
        let mut after = String::new();
        loop {
            let staged = tx.staged_matched(pass.binding_key(at), &after, CHUNK)?;
            let Some(last) = staged.last() else { break };
            after.clone_from(&last.remote_id);
            for stranger in staged {
                let Some(record) = &stranger.record else { continue };
                let links = tx.links_of(record)?;
                let tied =
                    links.iter().find(|link| link.binding == stranger.binding && link.remote_id == stranger.remote_id);
                let held = |link: &&LinkRow| matches!(link.state, LinkState::Live | LinkState::Deleted);
                let Some(link) = tied.filter(held) else { continue };
                if let Some(was) = named_before(rules, link, created(&stranger.raw).as_deref()) {
                    let former = format!("{} (created {was})", link.remote_id);
                    tx.set_remote_id(link.link, &former)?;
                    // What was found deleted before its id came up again is gone for good already.
                    if link.state == LinkState::Live {
                        tx.stage(&Staged {
                            remote_id: former,
                            kind: StagedKind::Gone(Evidence::IdReused),
                            raw: Vec::new(),
                            fingerprint: 0,
                            ..stranger.clone()
                        })?;
                    }
                    tx.stage(&Staged { record: None, ..stranger })?;
                }
            }
        }
    }
    Ok(())
}
