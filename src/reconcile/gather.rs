//! Owns: loading everything known about one record into [`Facts`].
//!
//! Must not know: what is decided; how the result is applied.

use crate::merge::{
    self, Candidate, Decision, Facts, Found, Freeze, Hub, Link, LinkState, Provenance, Resolution, Seen, Spoke,
    Verdict, WriteOp,
};
use crate::record::{FieldError, RecordId, Slot, Value};
use crate::rules::{Idempotency, Origin, Read as ReadRules};
use crate::store::{
    ConflictFilter, ConflictRow, Dirty, DirtyOp, IntentFilter, IntentRow, LinkRow, OriginRow, Staged, StoreError, View,
};

use super::base::{self, Pair};
use super::context::{Pass, time, unchanged_fields};
use super::jobs;
use super::observe::{self, Read};
use super::set_back::{self, Wins};
use super::{turns, wire};

/// One record with the rows its facts came from.
pub struct Gathered {
    /// The record.
    pub record: RecordId,
    /// What `decide` is asked.
    pub facts: Facts,
    /// Links by binding position.
    pub links: Vec<Option<LinkRow>>,
    /// What the raw observations of links say under these rules, by binding position.
    pub slots: Vec<Vec<Slot>>,
    /// Base pairs by binding position, for those with a link.
    pub pairs: Vec<Option<Pair>>,
    /// Staged observations by binding position.
    pub staged: Vec<Option<Staged>>,
    /// The local-edit hint.
    pub dirty: Option<Dirty>,
    /// Open conflicts, in the order of `facts.frozen`.
    pub conflicts: Vec<ConflictRow>,
    /// Open conflicts about fields that the rules no longer have.
    pub outlived: Vec<ConflictRow>,
    /// Outstanding intents.
    pub intents: Vec<IntentRow>,
    /// Unknown intents that this pass's listings answered.
    pub answered: Vec<String>,
    /// Unknown creates that this pass's listings do not show.
    pub looked_for: Vec<IntentRow>,
    /// Fields that an upstream accepted without showing the record, and still shows as they were, by binding position.
    pub ignored: Vec<(usize, Vec<(usize, Value)>)>,
    /// What upstreams that were set back say, where a person said that it does not count.
    pub overruled: Vec<Decision>,
    /// Observations that must wait, by binding position, with the reason.
    pub parked: Vec<(usize, String)>,
    /// What is known of a spoke refers to a record that is not here (it came in without that), by binding position.
    pub waiting: Vec<(usize, String)>,
    /// Observations that cannot be read, by binding position.
    pub broken: Vec<(usize, String)>,
    /// Fields whose local column holds what their type forbids.
    pub bad_local: Vec<(usize, FieldError)>,
}

/// How the bindings stand after all pulls, by binding position.
#[derive(Clone, Debug, Default)]
pub struct Barrier {
    /// Why a binding takes no part in this pass.
    pub blocked: Vec<Option<String>>,
    /// A complete generation was read in this pass: what it did not show was not there.
    pub complete: Vec<bool>,
    /// Deletes there are not followed in this pass: why.
    pub held: Vec<Option<Hold>>,
    /// The upstream was set back, and a person said which side wins.
    pub set_back: Vec<Option<Wins>>,
}

/// Why no delete is followed at a binding in one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It was last read before the oldest tombstone that it lists.
    Gap,
    /// It shows records older than they were: it lags, or it was set back and does not have what was made since.
    Older,
}

impl Hold {
    /// The reason, after the name of the upstream.
    pub fn words(self) -> &'static str {
        match self {
            Self::Gap => "was not read for longer than it lists what is deleted",
            Self::Older => "shows records as they were before",
        }
    }
}

/// How long an upstream's listing may lag behind its writes: before, that it does not show a create proves nothing.
pub fn lag(pass: &Pass, at: usize) -> chrono::Duration {
    let lag = pass.rules(at).and_then(|rules| rules.read.as_ref()).map(|read| read.lag);
    lag.and_then(|lag| chrono::Duration::from_std(lag).ok()).unwrap_or_default()
}

/// Loads one record.
pub fn gather(view: &dyn View, pass: &Pass, record: &RecordId, barrier: &Barrier) -> Result<Gathered, StoreError> {
    let count = pass.collection.bindings.len();
    let dirty = view.dirty(pass.key, record)?;
    let mut links: Vec<Option<LinkRow>> = (0..count).map(|_| None).collect();
    for link in view.links_of(record)? {
        if let Some(place) = pass.position(link.binding).and_then(|at| links.get_mut(at)) {
            *place = Some(link);
        }
    }
    let mut staged: Vec<Option<Staged>> = (0..count).map(|_| None).collect();
    for row in view.staged_of(pass.key, record)? {
        if let Some(place) = pass.position(row.binding).and_then(|at| staged.get_mut(at)) {
            *place = Some(row);
        }
    }
    let filter = IntentFilter { record: Some(record.clone()), ..IntentFilter::default() };
    let intents = view.intents(&filter)?;
    let filter = ConflictFilter {
        collection: Some(pass.collection.name.clone()),
        record: Some(record.clone()),
        ..ConflictFilter::default()
    };
    let names_known =
        |row: &ConflictRow| row.fields.split(',').all(|name| name.is_empty() || pass.collection.field(name).is_some());
    let (conflicts, outlived): (Vec<_>, Vec<_>) = view.conflicts(&filter)?.into_iter().partition(names_known);
    let (hub, bad_local) = load_hub(view, pass, record, dirty, links.iter().flatten().next().is_some())?;
    let mut found = Gathered {
        record: record.clone(),
        facts: Facts {
            record: Some(record.clone()),
            hub,
            origins: load_origins(view, pass, record, &links)?,
            spokes: Vec::with_capacity(count),
            unreadable: bad_local.iter().map(|(field, _)| *field).collect(),
            turns: turns::load(view, pass, record)?,
            frozen: conflicts.iter().map(|row| freeze(pass, row)).collect::<Result<_, _>>()?,
            now: pass.now,
        },
        links,
        slots: Vec::with_capacity(count),
        pairs: Vec::with_capacity(count),
        staged,
        dirty,
        conflicts,
        outlived,
        intents,
        answered: Vec::new(),
        looked_for: Vec::new(),
        ignored: Vec::new(),
        overruled: Vec::new(),
        parked: Vec::new(),
        waiting: Vec::new(),
        broken: Vec::new(),
        bad_local,
    };
    for at in 0..count {
        let slots = match found.links.get(at).and_then(Option::as_ref) {
            Some(link) => observe::base_slots(view, pass, at, &link.raw)?,
            None => Vec::new(),
        };
        found.slots.push(slots);
        let (spoke, pair) = load_spoke(view, pass, &mut found, at, barrier)?;
        found.facts.spokes.push(spoke);
        found.pairs.push(pair);
    }
    Ok(found)
}

fn load_hub(
    view: &dyn View,
    pass: &Pass,
    record: &RecordId,
    dirty: Option<Dirty>,
    linked: bool,
) -> Result<(Hub, Vec<(usize, FieldError)>), StoreError> {
    let edited_at = dirty.filter(|hint| hint.op != DirtyOp::Recheck).map(|hint| time(hint.at));
    let Some(row) = view.row(&pass.collection, record)? else {
        return Ok((if linked { Hub::Deleted { deleted_at: edited_at } } else { Hub::Never }, Vec::new()));
    };
    let mut bad = Vec::new();
    let values = row
        .into_iter()
        .enumerate()
        .map(|(at, slot)| match slot {
            Slot::Value(value) => value,
            Slot::Absent => Value::Null,
            Slot::Bad(error) => {
                bad.push((at, error));
                Value::Null
            }
        })
        .collect();
    Ok((Hub::Row { values, edited_at }, bad))
}

/// Provenance per field: its own row, else the record's default row, else the link that the record was inserted from.
fn load_origins(
    view: &dyn View,
    pass: &Pass,
    record: &RecordId,
    links: &[Option<LinkRow>],
) -> Result<Vec<Option<Provenance>>, StoreError> {
    let rows = view.origins(pass.key, record)?;
    let of = |name: &str| rows.iter().find(|row| row.field == name).map(provenance);
    let inserted = links.iter().enumerate().find_map(|(at, link)| {
        let made = link.as_ref()?.made?;
        Some(Provenance {
            origin: Origin::Upstream(pass.upstream(at).to_owned()),
            source_time: made.source_time.map(time),
            observed_at: time(made.observed_at),
        })
    });
    let default = of("").or(inserted);
    Ok(pass.collection.fields.iter().map(|field| of(&field.name).or_else(|| default.clone())).collect())
}

fn provenance(row: &OriginRow) -> Provenance {
    Provenance {
        origin: Origin::from_name(&row.origin),
        source_time: row.source_time.map(time),
        observed_at: time(row.observed_at),
    }
}

fn load_spoke(
    view: &dyn View,
    pass: &Pass,
    found: &mut Gathered,
    at: usize,
    barrier: &Barrier,
) -> Result<(Spoke, Option<Pair>), StoreError> {
    let mut blocked = barrier.blocked.get(at).and_then(Clone::clone);
    let unknown = found
        .intents
        .iter()
        .find(|intent| intent.binding == pass.binding_key(at) && merge::IntentState::OPEN.contains(&intent.state))
        .cloned();
    if let (Some(intent), None) = (&unknown, &blocked) {
        blocked = waits_for(pass, found, at, intent, barrier);
    }
    let mut seen = Seen::Same;
    if let (Some(staged), None) = (found.staged.get(at).and_then(Option::as_ref), &blocked) {
        match observe::read_staged(view, pass, at, staged)? {
            Read::Ready(ready) => seen = ready,
            Read::Parked(reason) => {
                found.parked.push((at, reason.clone()));
                blocked = Some(reason);
            }
            Read::Broken(reason) => {
                found.broken.push((at, reason.clone()));
                blocked = Some(reason);
            }
        }
    }
    if blocked.is_none() {
        blocked = held_delete(pass, found, (at, &seen), barrier);
    }
    let Some(row) = found.links.get(at).and_then(Option::as_ref) else {
        return Ok((Spoke { link: None, seen, blocked }, None));
    };
    let slots = found.slots.get(at).map(Vec::as_slice).unwrap_or_default();
    let (mut pair, ignored) = load_pair(view, pass, (at, row, slots), &found.facts.hub, &mut seen)?;
    if !ignored.is_empty() {
        found.ignored.push((at, ignored));
    }
    if let (Some(intent), Seen::Record(observation), None) = (&unknown, &seen, &blocked) {
        pair = landed(pass, intent, pair, observation)?;
    }
    let wins = barrier.set_back.get(at).copied().flatten();
    let overruled = wins == Some(Wins::Local) && (is_backwards(row, &seen) || matches!(seen, Seen::Gone(_)));
    if let Some(wins) = wins {
        let (now, told) = follow_set_back(pass, found, (at, row, wins), &seen, pair);
        pair = now;
        found.overruled.extend(told);
    }
    let staged = found.staged.get(at).is_some_and(Option::is_some);
    let link = Link {
        remote_id: row.remote_id.clone(),
        version: row.version.clone(),
        base_hub: pair.hub.clone(),
        base_remote: pair.remote.clone(),
        state: row.state,
        overruled,
    };
    // What was observed but not accepted (a frozen field, one that could not be read) is still what is there.
    if !staged
        && blocked.is_none()
        && row.state == LinkState::Live
        && matches!(seen, Seen::Same)
        && !row.raw.is_empty()
        && !row.is_outdated()
    {
        match observe::read_raw(view, pass, at, &row.raw, row.version.clone(), time(row.observed_at))? {
            Read::Ready(Seen::Record(observation)) => {
                // While a conflict is open, "as at the base" would be taken for "as when the conflict was opened".
                seen = if found.facts.frozen.is_empty() {
                    Seen::of(&pass.collection, &link, observation)
                } else {
                    Seen::Record(observation)
                };
            }
            Read::Parked(reason) => found.waiting.push((at, reason)),
            Read::Ready(_) | Read::Broken(_) => {}
        }
    }
    Ok((Spoke { link: Some(link), seen, blocked }, Some(pair)))
}

/// The base pair at an upstream that was set back, and what was said there that counts no more.
fn follow_set_back(
    pass: &Pass,
    found: &Gathered,
    (at, row, wins): (usize, &LinkRow, Wins),
    seen: &Seen,
    pair: Pair,
) -> (Pair, Vec<Decision>) {
    match seen {
        Seen::Record(now) if is_backwards(row, seen) => {
            let told = if let Hub::Row { values, .. } = &found.facts.hub {
                let origin = Origin::Upstream(pass.upstream(at).to_owned());
                set_back::overruled(&pass.collection, (&origin, wins), &pair, now, values, &found.facts.frozen)
            } else {
                Vec::new()
            };
            (set_back::base(&pass.collection, pair, &now.slots, wins), told)
        }
        // What it does not have any more is made there again, where what is here wins (see `Link::overruled`).
        Seen::Gone(_) | Seen::Record(_) | Seen::Same | Seen::OutOfScope(_) | Seen::Archived(_) => (pair, Vec::new()),
    }
}

/// Why a delete is not followed in this pass, where it is not.
fn held_delete(pass: &Pass, found: &Gathered, (at, seen): (usize, &Seen), barrier: &Barrier) -> Option<String> {
    let hold = barrier.held.get(at).copied().flatten()?;
    let is_gone = matches!(seen, Seen::Gone(_));
    let holds = match hold {
        Hold::Gap => is_gone || matches!(found.facts.hub, Hub::Deleted { .. }),
        // What was deleted here is known to have been.
        Hold::Older => is_gone,
    };
    holds.then(|| format!("{} {}", pass.upstream(at), hold.words()))
}

fn is_backwards(row: &LinkRow, seen: &Seen) -> bool {
    let Seen::Record(now) = seen else { return false };
    set_back::is_backwards(row, now.version.as_deref(), now.updated_at)
}

/// Notes what the listing says of a write of unknown outcome; why the binding takes no part while that is nothing.
fn waits_for(pass: &Pass, found: &mut Gathered, at: usize, intent: &IntentRow, barrier: &Barrier) -> Option<String> {
    match answer(pass, found, at, intent, barrier) {
        Listed::Answers => {
            found.answered.push(intent.key.clone());
            return None;
        }
        Listed::LacksIt => found.looked_for.push(intent.clone()),
        Listed::Nothing => {}
    }
    Some(format!("the outcome of an earlier {} is not known yet", intent.op))
}

/// What this pass's listing says of a write of unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    /// It shows what became of it.
    Answers,
    /// It does not show what a create would have made; once is no proof.
    LacksIt,
    /// Nothing follows from it.
    Nothing,
}

impl Listed {
    fn answers(answers: bool) -> Self {
        if answers { Self::Answers } else { Self::Nothing }
    }
}

/// An unknown create is answered by the listing: a record that matches is it, and complete listings without a match say that it
/// never happened, as lookups do. Other unknown writes are answered by a point read, where there is one, else by a listing that
/// was asked for after they were sent: it shows the record, or nothing new of it.
fn answer(pass: &Pass, found: &Gathered, at: usize, intent: &IntentRow, barrier: &Barrier) -> Listed {
    let at_work = jobs::may_be_at_work(pass, at, intent);
    if intent.op != "create" {
        let by_get = pass.rules(at).and_then(|rules| rules.read.as_ref()).is_none_or(ReadRules::get_proves_absence);
        let sent_before = |moment: i64| intent.sent_at.is_some_and(|sent| sent < moment);
        let seen = found.staged.get(at).and_then(Option::as_ref).map_or(pass.micros(), |staged| staged.observed_at);
        return Listed::answers(!by_get && !at_work && sent_before(pass.micros()) && sent_before(seen));
    }
    // What a listing that lags still shows of the counterpart before it is nothing that this create made.
    let before = found.links.get(at).and_then(Option::as_ref).map(|link| &link.remote_id);
    if found.staged.get(at).and_then(Option::as_ref).is_some_and(|staged| before != Some(&staged.remote_id)) {
        return Listed::Answers;
    }
    if at_work {
        return Listed::Nothing;
    }
    // Where there is a lookup it is asked, and more than once (see `unknown`).
    let create = pass.rules(at).and_then(|rules| rules.create.as_ref()).map(|create| &create.idempotency);
    if matches!(create, Some(Idempotency::Match(_) | Idempotency::Field(_) | Idempotency::ClientId)) {
        return Listed::Nothing;
    }
    let looked_everywhere = barrier.complete.get(at).copied().unwrap_or(false);
    let Some(sent) = intent.sent_at.map(time).filter(|sent| *sent < pass.now) else { return Listed::Nothing };
    if !looked_everywhere || pass.collection.match_keys.is_empty() {
        return Listed::Nothing;
    }
    // One listing is one look, however often it is decided on what it showed.
    let looks = intent.checks + u32::from(!pass.has_looked_for(&intent.key));
    let never = merge::never_happened(create, looks, sent, pass.now, lag(pass, at));
    if never { Listed::Answers } else { Listed::LacksIt }
}

/// The base pair once the listing has told that an update of unknown outcome took effect: what was sent is then our own
/// echo, never an edit of somebody else (s31).
fn landed(pass: &Pass, intent: &IntentRow, pair: Pair, observation: &merge::Observation) -> Result<Pair, StoreError> {
    if intent.op != "update" {
        return Ok(pair);
    }
    let mut sent = base::values_from_text(&pass.collection, &intent.values)?;
    let found = Found::Record { slots: &observation.slots, version: observation.version.as_deref() };
    let op = WriteOp::Update(sent.clone());
    let expected = intent.expected_version.as_deref();
    match merge::judge_unknown(&pass.collection, &op, &pair.remote, expected, &found) {
        Verdict::Landed { fields } => {
            sent.retain(|(field, _)| fields.contains(field));
            let settled = merge::settle(&pass.collection, &pair.hub, &pair.remote, &sent, Some(&observation.slots));
            Ok(Pair { hub: settled.hub, remote: settled.remote })
        }
        Verdict::NotLanded | Verdict::Superseded | Verdict::TargetGone | Verdict::Undecided => Ok(pair),
    }
}

/// The base pair of a link: unpacked, rebased where the rules changed, completed where an acknowledged write was
/// never read back and this observation is its echo; and the fields of that write which the upstream did not take.
fn load_pair(
    view: &dyn View,
    pass: &Pass,
    (at, row, slots): (usize, &LinkRow, &[Slot]),
    hub: &Hub,
    seen: &mut Seen,
) -> Result<(Pair, Vec<(usize, Value)>), StoreError> {
    let mut pair = base::unpack(&pass.collection, slots, row.base_hub.as_deref(), row.base_remote.as_deref())?;
    if row.mapping != pass.mapping_key(at)
        && let Hub::Row { values, .. } = hub
    {
        // The raw bytes tell what the new rules read there, never what the old ones did. A field that is read as before keeps
        // its base; another is agreed on where both sides say the same now, and meets as on first contact elsewhere, so that
        // a new or moved field is never mistaken for a local edit (s24).
        let old = view.mapping(row.mapping)?.unwrap_or_default();
        let same = pass.rules(at).map(|rules| unchanged_fields(&pass.collection, &old, rules)).unwrap_or_default();
        let unknown = vec![Slot::Absent; slots.len()];
        let (mut hub, mut remote) = merge::rebase(&pass.collection, values, &pair.hub, &unknown, slots);
        for (field, _same) in same.iter().enumerate().filter(|(_, same)| **same) {
            if let (Some(to), Some(from)) = (hub.get_mut(field), pair.hub.get(field)) {
                to.clone_from(from);
            }
            if let (Some(to), Some(from)) = (remote.get_mut(field), pair.remote.get(field)) {
                to.clone_from(from);
            }
        }
        pair = Pair { hub, remote };
        // What the old rules read from the same bytes may differ from what the new ones do: look at it as at a new observation.
        if matches!(seen, Seen::Same)
            && matches!(row.state, LinkState::Live | LinkState::OutOfScope | LinkState::Archived)
            && !row.raw.is_empty()
            && !row.is_outdated()
            && let Read::Ready(ready @ (Seen::Record(_) | Seen::OutOfScope(_) | Seen::Archived(_))) =
                observe::read_raw(view, pass, at, &row.raw, row.version.clone(), time(row.observed_at))?
        {
            *seen = ready;
        }
    }
    let mut ignored = Vec::new();
    if row.is_outdated()
        && let Seen::Record(observation) = &*seen
    {
        let unseen = base::unseen(&pass.collection, row.base_remote.as_deref());
        ignored = take_back(pass, &mut pair, &unseen, slots, &observation.slots);
        if observation.version.is_some() && observation.version == row.version {
            // Only what was written can have been respelt; what else differs is somebody's edit.
            let written = |field: &usize| unseen.contains(field) && !ignored.iter().any(|(one, _)| one == field);
            let sent = pair.hub.iter().enumerate().filter(|(field, _)| written(field));
            let sent: Vec<(usize, Value)> = sent.filter_map(|(field, value)| Some((field, value.clone()?))).collect();
            let settled = merge::settle(&pass.collection, &pair.hub, &pair.remote, &sent, Some(&observation.slots));
            pair = Pair { hub: settled.hub, remote: settled.remote };
        }
    }
    Ok((pair, ignored))
}

/// After a write of these fields that was acknowledged without a look at the record: one that still shows what stood there
/// before (`old`) was not taken, whatever the answer said, so its base goes back. Taking it for somebody's later edit
/// would lose the local one. Returns what was written there.
fn take_back(pass: &Pass, pair: &mut Pair, unseen: &[usize], old: &[Slot], now: &[Slot]) -> Vec<(usize, Value)> {
    let mut ignored = Vec::new();
    for (field, declared) in pass.collection.fields.iter().enumerate().filter(|(field, _)| unseen.contains(field)) {
        let (Some(Slot::Value(old)), Some(Slot::Value(now))) = (old.get(field), now.get(field)) else { continue };
        let (Some(hub), Some(remote)) = (pair.hub.get_mut(field), pair.remote.get_mut(field)) else { continue };
        let written = remote.value().is_some_and(|sent| !declared.domain.same(sent, old));
        if written && declared.domain.same(now, old) {
            let sent = hub.replace(declared.domain.canonical(old));
            *remote = Slot::Value(old.clone());
            ignored.extend(sent.map(|sent| (field, sent)));
        }
    }
    ignored
}

fn freeze(pass: &Pass, row: &ConflictRow) -> Result<Freeze, StoreError> {
    let fields: Vec<usize> =
        row.fields.split(',').filter(|name| !name.is_empty()).filter_map(|name| pass.collection.field(name)).collect();
    let candidates: Vec<Candidate> = wire::candidates_from_text(&pass.collection, &fields, &row.candidates)?;
    let resolution: Option<Resolution> = match &row.resolution {
        Some(text) => wire::resolution_from_text(&pass.collection, &fields, text)?,
        None => None,
    };
    Ok(Freeze { kind: wire::conflict_kind(&row.kind), fields, candidates, resolution })
}
