//! Owns: what a link's base becomes after an acknowledged write, and after a change of the rules.
//!
//! Must not know: requests, intents' states.

use crate::record::{Slot, Value};
use crate::rules::Collection;

/// A base pair after a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The hub half, one per field.
    pub hub: Vec<Option<Value>>,
    /// The remote half, one per field.
    pub remote: Vec<Slot>,
    /// Sent fields that the upstream did not take, although it said yes (s33): their base stays.
    pub refused: Vec<usize>,
}

/// Advances the base by an acknowledged write. `base_hub` and `base_remote` are the pair at the commit (empty for a create);
/// `observed` is the record as the write's own answer shows it, or as read back *at the version that the write returned*:
/// a read-back at another version is somebody's later edit, and is given as `None` here and as an observation to the next pass.
///
/// Per sent field, by what is observed:
/// - the sent value, under the field's equality: accepted;
/// - the old remote value (or still nothing, for a first value): ignored → `refused`, base unmoved;
/// - anything else: the upstream's own spelling of what was sent: accepted, as the pair of both spellings (s34);
/// - not shown, or nothing read back: accepted, the remote half is what was sent;
/// - unreadable: `refused`, because what is there is not known.
///
/// Fields that were not sent never move: what others did to them is found by the next diff.
/// The hub half becomes what was *sent*, not what the hub holds by now: an edit made meanwhile stays a difference (s31).
/// A refused field stays a difference, so every pass derives its write again; the caller must not repeat it until the sent
/// values *or* the remote half of their base differ (s41: "retried only when hub, remote or rules change").
pub fn settle(
    collection: &Collection,
    base_hub: &[Option<Value>],
    base_remote: &[Slot],
    sent: &[(usize, Value)],
    observed: Option<&[Slot]>,
) -> Settled {
    let count = collection.fields.len();
    let mut hub: Vec<Option<Value>> = (0..count).map(|field| base_hub.get(field).cloned().flatten()).collect();
    let mut remote: Vec<Slot> =
        (0..count).map(|field| base_remote.get(field).cloned().unwrap_or(Slot::Absent)).collect();
    let mut refused = Vec::new();
    for (field, value) in sent {
        let domain = &collection.fields[*field].domain;
        let seen = observed.and_then(|slots| slots.get(*field)).unwrap_or(&Slot::Absent);
        let there = match seen {
            Slot::Absent => Some(value),
            Slot::Bad(_) => None,
            Slot::Value(there) if domain.same(there, value) => Some(there),
            Slot::Value(there) => match &remote[*field] {
                Slot::Value(old) => (!domain.same(there, old)).then_some(there),
                Slot::Absent | Slot::Bad(_) => (!there.is_null()).then_some(there),
            },
        };
        match there {
            Some(there) => {
                hub[*field] = Some(value.clone());
                remote[*field] = Slot::Value(there.clone());
            }
            None => refused.push(*field),
        }
    }
    Settled { hub, remote, refused }
}

/// The base pair of a link whose mapping changed. `mapped` is the link's stored raw record under the new mapping, `hub` the
/// row as it is.
///
/// - A field that reads the same as before means the same: its pair stays.
/// - Where the hub already has what the field now reads, the two agree.
/// - Everything else starts over as on first contact: both values are candidates, and null is silence. So a rules change
///   alone never deletes, never clears, and never writes anything that its plan does not show (s24).
pub fn rebase(
    collection: &Collection,
    hub: &[Value],
    base_hub: &[Option<Value>],
    base_remote: &[Slot],
    mapped: &[Slot],
) -> (Vec<Option<Value>>, Vec<Slot>) {
    let one = |field: usize| {
        let domain = &collection.fields[field].domain;
        let (old_hub, old) = (base_hub.get(field).cloned().flatten(), base_remote.get(field));
        match (mapped.get(field), old) {
            (Some(Slot::Value(now)), Some(Slot::Value(old))) if domain.same(now, old) => {
                (old_hub, Slot::Value(now.clone()))
            }
            (Some(Slot::Value(now)), _) if hub.get(field).is_some_and(|hub| domain.same(hub, now)) => {
                (hub.get(field).cloned(), Slot::Value(now.clone()))
            }
            // Never shown, before and after: a field that is only written keeps what was written.
            (Some(Slot::Absent), Some(Slot::Absent)) => (old_hub, Slot::Absent),
            (Some(Slot::Value(_) | Slot::Absent | Slot::Bad(_)) | None, _) => (None, Slot::Absent),
        }
    };
    (0..collection.fields.len()).map(one).unzip()
}
