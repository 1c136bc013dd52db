//! Owns: first contact: a remote record without a link meets the local records: matched, inserted, or left to a person.
//!
//! Must not know: paging; what is written elsewhere (the record is decided again at the barrier).

use std::collections::HashMap;

use crate::merge::{self, Facts, First, Hub, Identity, Link, LinkState, LocalChange, Observation, Seen, Spoke};
use crate::record::{FieldType, Json, Mapped, Path, RecordId, Slot, Value};
use crate::rules::Idempotency;
use crate::store::{
    BindingKey, IntentFilter, IntentRow, LinkId, LinkRow, LinkUpdate, Made, Micros, NewLink, NewRecord, Staged,
    StagedKind, StoreError, Tx, View,
};
use crate::upstream::SendOp;

use super::base::{self, Packed, Pair};
use super::context::{Pass, time};
use super::gather::Gathered;
use super::known_by;
use super::observe::{self, Read};

/// Of what is listed, so many are looked at for what they show.
const LISTED_MAX: usize = 1000;

/// How first contact went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// It is nobody here: a new local record, to be inserted.
    New(Newborn),
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

/// How far an unlinked observation was read before the store's transaction.
#[derive(Clone, Debug)]
pub enum Stranger {
    /// Not at all.
    Raw,
    /// Mapped.
    Mapped(Mapped),
    /// Down to what is stored of it if it is nobody here.
    Ready(Newborn),
}

/// What is stored of a record that is nobody here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newborn {
    /// Its id here, where it was chosen already because the record refers to itself.
    record: Option<RecordId>,
    /// The row.
    pub values: Vec<Value>,
    packed: Packed,
    /// What it is known by, by match key.
    pub match_texts: Vec<Option<String>>,
    version: Option<String>,
    /// Something of it was not taken: the barrier says what becomes of that, and tells it.
    unsettled: bool,
    /// The record's own time of change.
    pub updated_at: Option<Micros>,
}

/// A newborn with where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The remote id.
    pub remote_id: &'a str,
    /// The raw observation.
    pub raw: &'a [u8],
    /// Its hash.
    pub fingerprint: u64,
    /// When it was fetched.
    pub observed_at: Micros,
    /// What is stored.
    pub newborn: &'a Newborn,
}

/// A new local record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The link.
    pub link: LinkId,
    /// The local record.
    pub record: RecordId,
}

/// Reads a mapped record as far as nothing in the store has a say: where its rules are plain and it refers to no other record.
pub fn prepare(pass: &Pass, binding: usize, mapped: Mapped) -> Stranger {
    let refers = |(at, slot): (usize, &Slot)| {
        let is_ref = |field: &crate::rules::Field| matches!(field.domain.ty, FieldType::Ref { .. });
        !matches!(slot, Slot::Absent) && pass.collection.fields.get(at).is_some_and(is_ref)
    };
    let plain = pass.plain.get(binding) == Some(&true)
        && !mapped.deleted
        && !mapped.archived
        && mapped.merged_into.is_none()
        && mapped.in_scope
        && !mapped.slots.iter().enumerate().any(refers);
    if !plain {
        return Stranger::Mapped(mapped);
    }
    let Some(First { values, hub }) = merge::first_contact(&pass.collection, &mapped.slots) else {
        return Stranger::Mapped(mapped);
    };
    Stranger::Ready(Newborn {
        record: None,
        values,
        packed: base::pack_halves(&pass.collection, &mapped.slots, &hub, &mapped.slots),
        match_texts: merge::match_key_texts(&pass.collection, &mapped.slots),
        version: mapped.version,
        unsettled: false,
        updated_at: mapped.updated_at.map(|at| at.timestamp_micros()),
    })
}

/// What was sent to be created at a binding and was never answered, by match key. The record that such a create made may
/// be listed when the row it was made from says something else by now, or is gone.
#[derive(Debug, Default)]
pub struct LostCreates {
    /// By match key and text.
    by_text: HashMap<(usize, String), Vec<RecordId>>,
    /// By the operation id that went with it, where records show that.
    by_key: HashMap<String, RecordId>,
    /// Where they do.
    key_at: Option<Path>,
}

impl LostCreates {
    /// Those of one binding.
    pub fn of(view: &dyn View, pass: &Pass, binding: usize) -> Result<Self, StoreError> {
        let mut lost = Self::default();
        if let Some(Idempotency::Field(path)) =
            pass.rules(binding).and_then(|rules| rules.create.as_ref()).map(|create| &create.idempotency)
        {
            lost.key_at = Some(path.clone());
        }
        for intent in lost_creates(view, pass, binding)? {
            lost.by_key.insert(intent.key.clone(), intent.record.clone());
            let mut sent = vec![Slot::Absent; pass.collection.fields.len()];
            for (field, value) in base::values_from_text(&pass.collection, &intent.values)? {
                if let Some(slot) = sent.get_mut(field) {
                    *slot = Slot::Value(value);
                }
            }
            for (key, text) in merge::match_key_texts(&pass.collection, &sent).into_iter().enumerate() {
                let Some(text) = text else { continue };
                lost.by_text.entry((key, text)).or_default().push(intent.record.clone());
            }
        }
        Ok(lost)
    }

    /// Nothing is lost.
    pub fn is_empty(&self) -> bool {
        self.by_text.is_empty() && self.by_key.is_empty()
    }

    /// Whose create made a record that shows the operation id.
    fn maker(&self, raw: &[u8]) -> Option<&RecordId> {
        let path = self.key_at.as_ref().filter(|_| !self.by_key.is_empty())?;
        let record = Json::parse(raw).ok()?;
        match path.get(&record)? {
            Json::String(key) => self.by_key.get(key),
            _ => None,
        }
    }
}

/// Creates at a binding that were sent and never answered.
pub fn lost_creates(view: &dyn View, pass: &Pass, binding: usize) -> Result<Vec<IntentRow>, StoreError> {
    let mut filter = IntentFilter {
        collection: Some(pass.collection.name.clone()),
        upstream: Some(pass.upstream(binding).to_owned()),
        states: merge::IntentState::OPEN.to_vec(),
        ..IntentFilter::default()
    };
    let mut lost = Vec::new();
    loop {
        let intents = view.intents(&filter)?;
        let Some(last) = intents.last() else { return Ok(lost) };
        filter.after = Some(last.key.clone());
        lost.extend(intents.into_iter().filter(|intent| SendOp::of(&intent.op) == SendOp::Create));
    }
}

/// Whether what is listed at a binding shows what records are known by, or nothing is listed. Where it does not, that nobody there is
/// the record of a lost create proves nothing. Asked between pull and plan.
pub fn shows_match_keys(view: &dyn View, pass: &Pass, binding: usize) -> Result<bool, StoreError> {
    let (key, mut is_any) = (pass.binding_key(binding), false);
    let Some(rules) = pass.rules(binding) else { return Ok(false) };
    let mut shows = |raw: &[u8]| {
        is_any = true;
        let slots = rules.mapper.read(raw).map(|mapped| mapped.slots).unwrap_or_default();
        let is_shown = |field: &usize| slots.get(*field).is_some_and(|slot| *slot != Slot::Absent);
        pass.collection.match_keys.iter().any(|key| key.iter().all(is_shown))
    };
    for rows in [view.staged_unmatched(key, "", LISTED_MAX)?, view.staged_matched(key, "", LISTED_MAX)?] {
        if rows.iter().any(|row| row.kind == StagedKind::Record && shows(&row.raw)) {
            return Ok(true);
        }
    }
    for (remote_id, link) in view.live_links(key, "", LISTED_MAX)? {
        // What is staged is how it is listed now.
        let link = if view.staged(key, &remote_id)?.is_none() { view.link(link)? } else { None };
        if link.is_some_and(|link| !link.raw.is_empty() && shows(&link.raw)) {
            return Ok(true);
        }
    }
    Ok(!is_any)
}

/// Who else is there when an observation is met.
#[derive(Clone, Copy, Debug)]
pub struct Company<'a> {
    /// Creates that were never answered.
    pub lost: &'a LostCreates,
    /// References by these fields wait for nobody: the record comes in without them.
    pub left_out: &'a [usize],
    /// Nobody is here but what this binding brought in, and one binding's records are never one another.
    pub alone: bool,
}

/// Meets one unlinked observation. `raw` is given apart so that the hot path need not copy it into `staged`.
pub fn meet(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    staged: &Staged,
    raw: &[u8],
    stranger: Stranger,
    company: Company<'_>,
) -> Result<Contact, StoreError> {
    if let Some(record) = company.lost.maker(raw) {
        return Ok(Contact::Matched(record.clone()));
    }
    let identify = |texts: &[Option<String>]| {
        if company.alone { Ok(Identity::Unmatched) } else { identify(view, pass, binding, texts, company.lost) }
    };
    let (version, at) = (staged.version.clone(), time(staged.observed_at));
    let mapped = match stranger {
        Stranger::Ready(newborn) => {
            return Ok(match identify(&newborn.match_texts)? {
                Identity::Unmatched => Contact::New(newborn),
                found => met(found),
            });
        }
        Stranger::Mapped(mapped) => mapped,
        Stranger::Raw => match pass.rules(binding).map(|rules| rules.mapper.read(raw)) {
            Some(Ok(mapped)) => mapped,
            Some(Err(error)) => return Ok(Contact::Quarantined(error.to_string())),
            None => return Ok(Contact::Quarantined("the binding is gone".into())),
        },
    };
    // It is no record of its own any more.
    if mapped.merged_into.is_some() {
        return Ok(Contact::Ignored);
    }
    let record = RecordId(crate::clock::new_id(pass.clock.as_ref()));
    let said = mapped.slots.clone();
    let known = observe::Known { own: Some(&record), left_out: company.left_out };
    let refers = mapped.slots.iter().any(|slot| matches!(slot, Slot::Value(Value::Ref(_))));
    let waits = refers.then(|| mapped.clone());
    let observation = match observe::read_mapped(view, pass, binding, mapped, known, version.clone(), at)? {
        Read::Ready(Seen::Record(observation)) => observation,
        Read::Ready(Seen::Same | Seen::Gone(_) | Seen::OutOfScope(_) | Seen::Archived(_)) => {
            return Ok(Contact::Ignored);
        }
        Read::Parked(reason) => {
            // Whom it waits for says nothing of who it is: else the one that is here already would be created there a second
            // time (s4).
            let all: Vec<usize> = (0..pass.collection.fields.len()).collect();
            let known = observe::Known { own: Some(&record), left_out: &all };
            let Some(waits) = waits else { return Ok(Contact::Parked(reason)) };
            let read = observe::read_mapped(view, pass, binding, waits, known, version, at)?;
            let Read::Ready(Seen::Record(seen)) = read else { return Ok(Contact::Parked(reason)) };
            return Ok(match identify(&merge::match_key_texts(&pass.collection, &seen.slots))? {
                Identity::Unmatched => Contact::Parked(reason),
                found => met(found),
            });
        }
        Read::Broken(reason) => return Ok(Contact::Quarantined(reason)),
    };
    let texts = merge::match_key_texts(&pass.collection, &observation.slots);
    Ok(match identify(&texts)? {
        Identity::Unmatched => {
            // What was left out was never agreed on, whatever the raw record says of it as soon as its parent is here.
            let mut shown = observation.slots.clone();
            for &field in company.left_out {
                if let (Some(to), Some(from), Some(Slot::Absent)) =
                    (shown.get_mut(field), said.get(field), observation.slots.get(field))
                {
                    to.clone_from(from);
                }
            }
            decide(pass, binding, record, observation, (&shown, texts))
        }
        found => met(found),
    })
}

fn met(identity: Identity) -> Contact {
    match identity {
        Identity::One(record) => Contact::Matched(record),
        Identity::Ambiguous(records) => Contact::Queued { reason: ambiguous(&records), records },
        Identity::Unmatched => Contact::Ignored,
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

/// Who it is: a row that is there comes before one that was sent and may be gone, before one that this pass does not find
/// there any more under the id that it had, and before one whose deletion other upstreams have not heard of.
fn identify(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    texts: &[Option<String>],
    lost: &LostCreates,
) -> Result<Identity, StoreError> {
    let mut failure = None;
    let mut or_nobody = |found: Result<Vec<RecordId>, StoreError>| match found {
        Ok(records) => records,
        Err(error) => {
            failure.get_or_insert(error);
            Vec::new()
        }
    };
    let key = pass.binding_key(binding);
    let mut identity = merge::match_identity(texts, |at, text| or_nobody(free_candidates(view, pass, key, at, text)));
    if identity == Identity::Unmatched && !lost.is_empty() {
        identity = merge::match_identity(texts, |at, text| {
            lost.by_text.get(&(at, text.to_owned())).cloned().unwrap_or_default()
        });
    }
    if identity == Identity::Unmatched {
        identity = merge::match_identity(texts, |at, text| or_nobody(replaced_candidates(view, pass, key, at, text)));
    }
    if identity == Identity::Unmatched {
        identity = merge::match_identity(texts, |at, text| or_nobody(gone_candidates(view, pass, key, at, text)));
    }
    failure.map_or(Ok(identity), Err)
}

/// Local records that have this match text, and whose counterpart at the binding is gone, as this pass found out: it was
/// deleted and made anew there, or came back under an id from before. Taken for two, one would be deleted everywhere, with
/// all that others have of it, and made anew.
fn replaced_candidates(
    view: &dyn View,
    pass: &Pass,
    binding: BindingKey,
    key: usize,
    text: &str,
) -> Result<Vec<RecordId>, StoreError> {
    with_text(view, pass, key, text, |record| {
        let Some(row) = view.row(&pass.collection, record)? else { return Ok(None) };
        let links = view.links_of(record)?;
        let Some(link) = links.iter().find(|link| link.binding == binding && link.state == LinkState::Live) else {
            return Ok(None);
        };
        let staged = view.staged(binding, &link.remote_id)?;
        let is_gone = staged.is_some_and(|staged| matches!(staged.kind, StagedKind::Gone(_)));
        Ok(is_gone.then(|| merge::match_key_texts(&pass.collection, &row)))
    })
}

/// Records whose row is gone while other upstreams still have them: one that had this match text, and that the binding
/// never had, is what is listed there. Taken for a new one it would be made a second time wherever the first one still is.
fn gone_candidates(
    view: &dyn View,
    pass: &Pass,
    binding: BindingKey,
    key: usize,
    text: &str,
) -> Result<Vec<RecordId>, StoreError> {
    with_text(view, pass, key, text, |record| {
        let is_here = view.row(&pass.collection, record)?.is_some();
        if is_here || view.links_of(record)?.iter().any(|link| link.binding == binding) {
            return Ok(None);
        }
        known_by::remembered_texts(view, pass, record, |state| state == LinkState::Live).map(Some)
    })
}

/// Of the records in the match index under a text, those that `texts_of` finds to have it; it leaves out who is not meant.
pub fn with_text(
    view: &dyn View,
    pass: &Pass,
    key: usize,
    text: &str,
    texts_of: impl Fn(&RecordId) -> Result<Option<Vec<Option<String>>>, StoreError>,
) -> Result<Vec<RecordId>, StoreError> {
    let mut having = Vec::new();
    for record in view.matching(pass.key, key, text)? {
        let texts = texts_of(&record)?.unwrap_or_default();
        if texts.get(key).and_then(Option::as_deref) == Some(text) {
            having.push(record);
        }
    }
    Ok(having)
}

/// Ties what a binding shows of a record whose row is gone, so that its deletion reaches that, too, or is taken back
/// because of it. Nothing of it was agreed on yet. False where there is nothing to tie.
pub fn tie_to_gone(tx: &mut dyn Tx, pass: &Pass, found: &Gathered) -> Result<bool, StoreError> {
    if !matches!(found.facts.hub, Hub::Deleted { .. }) {
        return Ok(false);
    }
    let mut tied = false;
    for (at, spoke) in found.facts.spokes.iter().enumerate() {
        let (Some(staged), Seen::Record(seen), None, None) =
            (found.staged.get(at).and_then(Option::as_ref), &spoke.seen, &spoke.link, &spoke.blocked)
        else {
            continue;
        };
        let nothing = Pair { hub: vec![None; seen.slots.len()], remote: vec![Slot::Absent; seen.slots.len()] };
        let packed = base::pack(&pass.collection, &observe::base_slots(tx, pass, at, &staged.raw)?, &nothing);
        tx.put_link(&NewLink {
            binding: staged.binding,
            remote_id: &staged.remote_id,
            record: &found.record,
            state: LinkUpdate {
                state: LinkState::Live,
                version: seen.version.as_deref(),
                mapping: pass.mapping_key(at),
                fingerprint: staged.fingerprint,
                raw: &staged.raw,
                base_hub: packed.hub.as_deref(),
                base_remote: packed.remote.as_deref(),
                updated_at: seen.updated_at.map(|at| at.timestamp_micros()),
                observed_at: staged.observed_at,
            },
            made: None,
        })?;
        tied = true;
    }
    Ok(tied)
}

/// Local records that have this match text and are not tied to another remote record of the binding.
fn free_candidates(
    view: &dyn View,
    pass: &Pass,
    binding: BindingKey,
    key: usize,
    text: &str,
) -> Result<Vec<RecordId>, StoreError> {
    let is_tie = |link: &LinkRow| link.binding == binding && link.state != LinkState::Deleted;
    with_text(view, pass, key, text, |record| {
        let Some(row) = view.row(&pass.collection, record)? else { return Ok(None) };
        let is_tied = view.links_of(record)?.iter().any(is_tie);
        Ok((!is_tied).then(|| merge::match_key_texts(&pass.collection, &row)))
    })
}

/// The row and the base of a new record, or what becomes of it instead.
fn decide(
    pass: &Pass,
    binding: usize,
    record: RecordId,
    observation: Observation,
    (shown, match_texts): (&[Slot], Vec<Option<String>>),
) -> Contact {
    let (version, updated_at) = (observation.version.clone(), observation.updated_at.map(|at| at.timestamp_micros()));
    let slots = observation.slots.clone();
    let plan = merge::decide(&pass.collection, &first_facts(pass, binding, observation));
    if let Some(reason) = plan.quarantine {
        return Contact::Quarantined(reason);
    }
    let LocalChange::Insert(values) = plan.local else { return Contact::Ignored };
    let mut pair = plan
        .bases
        .into_iter()
        .find(|advance| advance.binding == binding)
        .map_or_else(|| base::plain(&slots), |advance| Pair { hub: advance.hub, remote: advance.remote });
    // What lost is met at the barrier as if for the first time: it is there that it is told and taken back.
    for &field in plan.decisions.iter().filter(|decision| !decision.losers.is_empty()).flat_map(|lost| &lost.fields) {
        if let (Some(hub), Some(remote)) = (pair.hub.get_mut(field), pair.remote.get_mut(field)) {
            (*hub, *remote) = (None, Slot::Absent);
        }
    }
    let filled = shown.iter().map(|slot| !matches!(slot, Slot::Absent | Slot::Value(Value::Null)));
    let unsettled = filled.zip(&pair.remote).any(|(filled, remote)| filled && matches!(remote, Slot::Absent));
    let packed = base::pack(&pass.collection, shown, &pair);
    Contact::New(Newborn { record: Some(record), values, packed, match_texts, version, unsettled, updated_at })
}

/// Inserts new local records. The barrier says later what others get of them. What the local table refuses comes back
/// with the reason, in its place.
pub fn insert(
    tx: &mut dyn Tx,
    pass: &Pass,
    binding: usize,
    arrivals: &[Arrival<'_>],
) -> Result<Vec<Result<Arrived, String>>, StoreError> {
    let others = pass.collection.bindings.iter().enumerate().any(|(at, rules)| at != binding && rules.push);
    let fresh = || RecordId(crate::clock::new_id(pass.clock.as_ref()));
    let ids: Vec<RecordId> =
        arrivals.iter().map(|arrival| arrival.newborn.record.clone().unwrap_or_else(fresh)).collect();
    let new: Vec<NewRecord<'_>> = arrivals
        .iter()
        .zip(&ids)
        .map(|(arrival, record)| {
            let newborn = arrival.newborn;
            NewRecord {
                values: &newborn.values,
                match_texts: &newborn.match_texts,
                recheck: others || newborn.unsettled,
                link: NewLink {
                    binding: pass.binding_key(binding),
                    remote_id: arrival.remote_id,
                    record,
                    state: LinkUpdate {
                        state: LinkState::Live,
                        version: newborn.version.as_deref(),
                        mapping: pass.mapping_key(binding),
                        fingerprint: arrival.fingerprint,
                        raw: arrival.raw,
                        base_hub: newborn.packed.hub.as_deref(),
                        base_remote: newborn.packed.remote.as_deref(),
                        updated_at: newborn.updated_at,
                        observed_at: arrival.observed_at,
                    },
                    made: Some(Made {
                        pass: pass.id,
                        source_time: newborn.updated_at,
                        observed_at: arrival.observed_at,
                    }),
                },
            }
        })
        .collect();
    let links = tx.insert_new(&pass.collection, pass.key, &new)?;
    let outcomes = links.into_iter().zip(ids).map(|(link, record)| match link {
        Ok(link) => Ok(Arrived { link, record }),
        Err(reason) => Err(format!("the local table refuses it: {reason}")),
    });
    Ok(outcomes.collect())
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
        unreadable: Vec::new(),
        frozen: Vec::new(),
        turns: Vec::new(),
        now: pass.now,
    }
}
