//! Owns: first contact: a remote record without a link meets the local records: matched, inserted, or left to a person.
//!
//! Must not know: paging; what is written elsewhere (the record is decided again at the barrier).

use xxhash_rust::xxh3::xxh3_64;

use crate::merge::{self, Facts, First, Hub, Identity, Link, LinkState, LocalChange, Observation, Seen, Spoke};
use crate::record::{Mapped, RecordId, Slot, Value};
use crate::store::{DirtyOp, LinkId, LinkUpdate, Made, Micros, NewLink, Staged, StoreError, Tx, View};

use super::base::{self, Packed, Pair};
use super::context::{Pass, time};
use super::observe::{self, Read};

/// How first contact went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// A new local record was inserted and linked.
    Inserted {
        /// The link.
        link: LinkId,
        /// The local record.
        record: RecordId,
        /// The record's own time of change.
        updated_at: Option<Micros>,
    },
    /// It is this local record; the observation waits for the barrier.
    Matched(RecordId),
    /// Out of scope, or deleted before it was ever known: nothing to do.
    Ignored,
    /// It waits for another record, with the reason.
    Parked(String),
    /// It waits for a person.
    Queued {
        /// The local records that it may be.
        records: Vec<RecordId>,
        /// Why, for people.
        reason: String,
    },
    /// It cannot be taken, with the reason.
    Quarantined(String),
}

/// Meets one unlinked observation. `raw` is given apart so that the hot path need not copy it into `staged`,
/// and mapped where that was done already.
pub fn meet(
    tx: &mut dyn Tx,
    pass: &Pass,
    binding: usize,
    staged: &Staged,
    raw: &[u8],
    mapped: Option<Mapped>,
) -> Result<Contact, StoreError> {
    let (version, at) = (staged.version.clone(), time(staged.observed_at));
    let read = match mapped {
        Some(mapped) => observe::read_mapped(tx, pass, binding, mapped, version, at)?,
        None => observe::read_raw(tx, pass, binding, raw, version, at)?,
    };
    let observation = match read {
        Read::Ready(Seen::Record(observation)) => observation,
        Read::Ready(Seen::Same | Seen::Gone(_) | Seen::OutOfScope(_)) => return Ok(Contact::Ignored),
        Read::Parked(reason) => return Ok(Contact::Parked(reason)),
        Read::Broken(reason) => return Ok(Contact::Quarantined(reason)),
    };
    let texts = merge::match_key_texts(&pass.collection, &observation.slots);
    match identify(tx, pass, binding, &observation.slots, &texts)? {
        Identity::One(record) => Ok(Contact::Matched(record)),
        Identity::Ambiguous(records) => Ok(Contact::Queued { reason: ambiguous(&records), records }),
        Identity::Unmatched => insert(tx, pass, binding, staged, raw, observation, &texts),
    }
}

/// The reason that marks an observation as ambiguous.
fn ambiguous(records: &[RecordId]) -> String {
    let names: Vec<&str> = records.iter().map(|record| record.0.as_str()).collect();
    format!(
        "matches {} local records ({}): make their match keys differ, or merge them",
        records.len(),
        names.join(", ")
    )
}

fn identify(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    slots: &[Slot],
    texts: &[Option<String>],
) -> Result<Identity, StoreError> {
    // No match keys, or none of them filled: nothing to look up.
    if texts.iter().all(Option::is_none) {
        return Ok(Identity::Unmatched);
    }
    let mut failure = None;
    let key = pass.binding_key(binding);
    let identity =
        merge::match_identity(&pass.collection, slots, |at, text| match free_candidates(view, pass, key, at, text) {
            Ok(records) => records,
            Err(error) => {
                failure.get_or_insert(error);
                Vec::new()
            }
        });
    failure.map_or(Ok(identity), Err)
}

/// Local records that have this match text and are not tied to another remote record of the binding.
fn free_candidates(
    view: &dyn View,
    pass: &Pass,
    binding: crate::store::BindingKey,
    key: usize,
    text: &str,
) -> Result<Vec<RecordId>, StoreError> {
    let mut free = Vec::new();
    for record in view.matching(pass.key, key, text)? {
        let Some(row) = view.row(&pass.collection, &record)? else { continue };
        let texts = merge::match_key_texts(&pass.collection, &row);
        if texts.get(key).and_then(Option::as_deref) != Some(text) {
            continue;
        }
        let tied =
            view.links_of(&record)?.iter().any(|link| link.binding == binding && link.state != LinkState::Deleted);
        if !tied {
            free.push(record);
        }
    }
    Ok(free)
}

/// Inserts a new local record. `decide` says what its row is; the barrier says later what others get of it.
fn insert(
    tx: &mut dyn Tx,
    pass: &Pass,
    binding: usize,
    staged: &Staged,
    raw: &[u8],
    observation: Observation,
    texts: &[Option<String>],
) -> Result<Contact, StoreError> {
    let updated_at = observation.updated_at.map(|at| at.timestamp_micros());
    let version = observation.version.clone();
    let (values, packed) = match decide(pass, binding, observation) {
        Ok(decided) => decided,
        Err(otherwise) => return Ok(otherwise),
    };
    let record = RecordId(crate::clock::new_id(pass.clock.as_ref()));
    match tx.insert_row(&pass.collection, &record, &values) {
        Ok(()) => {}
        Err(StoreError::Constraint { table, reason }) => {
            return Ok(Contact::Quarantined(format!("the local table refuses it: {table}: {reason}")));
        }
        Err(error) => return Err(error),
    }
    let link = tx.put_link(&NewLink {
        binding: pass.binding_key(binding),
        remote_id: &staged.remote_id,
        record: &record,
        state: LinkUpdate {
            state: LinkState::Live,
            version: version.as_deref(),
            mapping: pass.mapping_key(binding),
            fingerprint: xxh3_64(raw),
            raw,
            base_hub: packed.hub.as_deref(),
            base_remote: packed.remote.as_deref(),
            updated_at,
            observed_at: staged.observed_at,
        },
        made: Some(Made { pass: pass.id, source_time: updated_at, observed_at: staged.observed_at }),
    })?;
    if texts.iter().any(Option::is_some) {
        tx.index_match(pass.key, &record, texts)?;
    }
    let others = pass.collection.bindings.iter().enumerate().any(|(at, rules)| at != binding && rules.push);
    if others {
        tx.mark_dirty(pass.key, &record, DirtyOp::Recheck)?;
    }
    Ok(Contact::Inserted { link, record, updated_at })
}

/// The row and the packed base of a new record, or what becomes of it instead.
fn decide(pass: &Pass, binding: usize, observation: Observation) -> Result<(Vec<Value>, Packed), Contact> {
    if pass.plain.get(binding) == Some(&true)
        && let Some(First { values, hub }) = merge::first_contact(&pass.collection, &observation)
    {
        return Ok((values, base::pack_halves(&pass.collection, &observation.slots, &hub, &observation.slots)));
    }
    let slots = observation.slots.clone();
    let plan = merge::decide(&pass.collection, &first_facts(pass, binding, observation));
    if let Some(reason) = plan.quarantine {
        return Err(Contact::Quarantined(reason));
    }
    let LocalChange::Insert(values) = plan.local else { return Err(Contact::Ignored) };
    let pair = plan
        .bases
        .into_iter()
        .find(|advance| advance.binding == binding)
        .map_or_else(|| base::plain(&slots), |advance| Pair { hub: advance.hub, remote: advance.remote });
    Ok((values, base::pack(&pass.collection, &slots, &pair)))
}

/// The facts of a record that nobody else can say anything about yet.
fn first_facts(pass: &Pass, binding: usize, observation: Observation) -> Facts {
    let mut observation = Some(observation);
    let spokes = (0..pass.collection.bindings.len())
        .map(|at| {
            let seen = if at == binding { observation.take().map_or(Seen::Same, Seen::Record) } else { Seen::Same };
            let blocked = (at != binding).then(|| "decided at the barrier".to_owned());
            Spoke { link: None::<Link>, seen, blocked }
        })
        .collect();
    Facts {
        record: None,
        hub: Hub::Never,
        origins: vec![None; pass.collection.fields.len()],
        spokes,
        frozen: Vec::new(),
        now: pass.now,
    }
}
