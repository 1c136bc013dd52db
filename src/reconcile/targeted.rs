//! Owns: passes over the few records that edits here and webhooks name: each is read by its id instead of by listings, or
//! taken as a webhook shows it.
//!
//! Must not know: when such a pass is made; what is decided about an observation.
//!
//! It does only what no listing could contradict: it changes records that are tied at every upstream which could have them,
//! and follows a few deletes that an upstream told of and confirms. Whatever else waits (a new record, a conflict that a
//! person resolved, a write of unknown outcome, rules that have changed) is for a pass that lists. Where another one runs already,
//! and this one is made in between, records that need it are left to that one or to the next.
//!
//! An upstream that cannot be asked takes no part, as in a pass that lists: the others are served, and it is once it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roaring::RoaringTreemap;
use xxhash_rust::xxh3::xxh3_64;

use crate::merge::{self, Evidence, IntentState, LinkState, Sighting};
use crate::record::{RecordId, Slot};
use crate::rules::{Binding, OnRemoteDelete};
use crate::store::{
    BindingKey, ConflictFilter, DirtyOp, HookFilter, HookState, IntentFilter, LinkId, LinkRow, Micros, PassRow, Staged,
    StagedKind, StoreError, Tx, View,
};
use crate::upstream::{self, Client, Failure, Got, Remote};

use super::context::{Pass, time};
use super::cursor::Cursor;
use super::pull;
use super::restored;
use super::reused;
use super::set_back;
use super::silence::{self, Asked, Wait};
use super::sites;

/// How a binding that was read so is named in reports.
pub const READ: &str = "targeted";

/// Records of one pass, at most: who changes more at once is better off with a listing, and in sight of the guards.
const RECORDS_MAX: usize = 100;
/// Hints of edits that are looked through for them.
const HINTS_MAX: usize = 10_000;
/// So many at once.
const HINTS_AT_ONCE: usize = 1000;
/// Deletes that are followed between two passes that list: the guards of such a pass see all that are gone, those of this
/// one only those that it is told of.
const DELETES_MAX: u64 = 10;

/// The records of a pass, as they were found.
pub struct Targets {
    /// The records.
    pub records: Arc<BTreeSet<RecordId>>,
    /// The newest webhook that these answer.
    pub hooked: i64,
    /// Why bindings take no part, by position: they could not be asked.
    pub blocked: Vec<Option<String>>,
    /// The newest edit here that was known before they were asked for.
    pub edits_known: i64,
    /// Deletes among what was found.
    deletes: u64,
    readings: Vec<Reading>,
}

/// What a pass may be about.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// It is part of this pass, or made while that one runs.
    pub within: Option<i64>,
    /// Another one runs meanwhile: what takes a listing is left to that one, or to the next.
    pub is_between: bool,
    /// The newest edit that an earlier pass took up. What is left of those waits for something.
    pub after: i64,
}

/// A remote record, as it was found.
struct Reading {
    /// The binding's position.
    at: usize,
    link: LinkRow,
    /// It is not there any more.
    is_gone: bool,
    kind: StagedKind,
    raw: Vec<u8>,
    version: Option<String>,
    observed_at: Micros,
}

/// What is to be read.
pub struct Aims {
    records: BTreeSet<RecordId>,
    /// The newest webhook that these answer.
    pub hooked: i64,
    /// Those that were changed here.
    edited: BTreeSet<RecordId>,
    /// Those that were deleted here.
    deleted: BTreeSet<RecordId>,
    /// See [`Scope::is_between`].
    is_between: bool,
    /// See [`Scope::after`].
    pub after: i64,
    /// The newest edit here, whatever it is about.
    pub newest: i64,
    /// Deletes that may still be followed.
    deletes_left: u64,
    /// Links by binding position, and what a webhook says of each.
    links: Vec<(usize, LinkRow, Told)>,
}

/// What a webhook says of a remote record.
enum Told {
    /// Nothing, or that it has changed.
    Nothing,
    /// It is gone.
    Gone,
    /// It is like this, since before the moment.
    Shown(Vec<u8>, Micros),
}

/// By binding and remote id.
type AllTold = BTreeMap<(i64, String), Told>;

/// Finds out how the records stand that a pass is wanted for; `None` where a listing has to tell. `blocked`: why bindings take no
/// part, by position.
pub async fn find(
    clients: &BTreeMap<String, Arc<Client>>,
    pass: &Arc<Pass>,
    mut aims: Aims,
    (blocked, wait): (&[Option<String>], Wait),
) -> Option<Targets> {
    if aims.deleted.len() as u64 > aims.deletes_left {
        aims.leave_all(aims.deleted.clone())?;
    }
    let mut blocked = blocked.to_vec();
    let mut links = std::mem::take(&mut aims.links);
    let mut asking = Vec::new();
    for at in 0..pass.collection.bindings.len() {
        let Some(rules) = pass.rules(at) else { continue };
        let here: Vec<(usize, LinkRow, Told)> = links.extract_if(.., |(binding, ..)| *binding == at).collect();
        let client = clients.get(&rules.upstream.name)?;
        if blocked.get(at).is_none_or(Option::is_none) {
            asking.push(look(client, pass, (at, rules), here, wait));
        }
    }
    let mut readings = Vec::new();
    for (at, looked, silent) in futures_util::future::join_all(asking).await {
        if let Some(words) = silent {
            let place = blocked.get_mut(at)?;
            *place = Some(format!("could not be asked: {words}"));
            continue;
        }
        for (record, reading) in looked {
            match reading {
                Some(reading) => readings.push(reading),
                None => aims.leave(&record)?,
            }
        }
    }
    aims.leave_all(made_anew(pass, &aims.edited, &readings))?;
    readings.retain(|reading| aims.records.contains(&reading.link.record));
    let gone = readings.iter().filter(|reading| reading.is_gone).map(|reading| reading.link.record.clone());
    let gone: Vec<RecordId> = gone.collect();
    let is_blocked = blocked.iter().any(Option::is_some);
    // One that cannot be asked may have been changed there.
    if is_blocked && !gone.is_empty() {
        aims.leave_all(gone.clone())?;
    }
    let mut deleted: Vec<RecordId> = aims.deleted.iter().cloned().chain(gone).collect();
    deleted.retain(|record| aims.records.contains(record));
    if deleted.len() as u64 > aims.deletes_left {
        aims.leave_all(std::mem::take(&mut deleted))?;
    }
    readings.retain(|reading| aims.records.contains(&reading.link.record));
    if readings.is_empty() {
        // Where nobody can be asked, a listing tells no more.
        let is_over = is_blocked && !aims.is_between && !aims.records.is_empty();
        return is_over.then(|| Targets { blocked, ..Targets::none() });
    }
    let deletes = deleted.len() as u64;
    // Answers come in any order; what follows from them must not depend on it.
    readings.sort_by(|one, other| (one.at, &one.link.remote_id).cmp(&(other.at, &other.link.remote_id)));
    // What came by webhooks is not over before all have heard of it.
    let hooked = if is_blocked { 0 } else { aims.hooked };
    Some(Targets { records: Arc::new(aims.records), hooked, blocked, edits_known: aims.newest, deletes, readings })
}

/// What was found of a binding's records: each with how it was found, or none where a listing has to tell; and why the binding
/// could not be asked, where it could not.
type Looked = (usize, Vec<(RecordId, Option<Reading>)>, Option<String>);

/// Finds out how records stand at one binding.
async fn look(
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    (at, rules): (usize, &Arc<Binding>),
    links: Vec<(usize, LinkRow, Told)>,
    wait: Wait,
) -> Looked {
    let mut looked = Vec::with_capacity(links.len());
    let (shown, unsure): (Vec<_>, Vec<_>) = links.into_iter().partition(|(_, link, told)| is_news(rules, link, told));
    for (_, link, told) in shown {
        let Told::Shown(raw, observed_at) = told else { continue };
        let observed_at = time(observed_at);
        let found = Got::Found(Remote { version: upstream::version_in(rules, &raw), raw: raw.into(), observed_at });
        looked.push((link.record.clone(), reading(pass, rules, at, link, false, found)));
    }
    let site = |(_, link, _): &(usize, LinkRow, Told)| Some(sites::of_link(rules, link));
    let asked = silence::ask((client, rules), unsure, site, (wait, pass.clock.as_ref()));
    let Asked { answers, silent } = asked.await;
    for ((_, link, told), answer) in answers {
        let (record, told_gone) = (link.record.clone(), matches!(told, Told::Gone));
        let got = answer.and_then(Result::<Got, Failure>::ok);
        looked.push((record, got.and_then(|got| reading(pass, rules, at, link, told_gone, got))));
    }
    (at, looked, silent)
}

/// Whether what a webhook shows is newer than what is known, and shows whatever was there: webhooks come late, twice and in
/// another order, and some show a part only. Else the record is to be asked for.
fn is_news(rules: &Binding, link: &LinkRow, told: &Told) -> bool {
    let Told::Shown(raw, _) = told else { return false };
    let (Ok(now), Ok(then)) = (rules.mapper.read(raw), rules.mapper.read(&link.raw)) else { return false };
    let known = Sighting { version: link.version.as_deref(), updated_at: link.updated_at.map(time) };
    let shown = Sighting { version: now.version.as_deref(), updated_at: now.updated_at };
    let shows_all = then.slots.iter().zip(&now.slots).all(|(then, now)| *now != Slot::Absent || *then == Slot::Absent);
    now.id == link.remote_id && shows_all && !link.is_outdated() && merge::is_newer(known, shown)
}

/// What is gone at one upstream and was changed elsewhere is made anew there, unless a listing shows that somebody has.
fn made_anew(pass: &Pass, edited: &BTreeSet<RecordId>, readings: &[Reading]) -> Vec<RecordId> {
    let is_changed = |one: &Reading| !one.is_gone && xxh3_64(&one.raw) != one.link.fingerprint;
    let may_be = |record: &RecordId| {
        pass.collection.on_remote_delete == OnRemoteDelete::Restore
            || edited.contains(record)
            || readings.iter().any(|other| other.link.record == *record && is_changed(other))
    };
    let gone = readings.iter().filter(|one| one.is_gone).map(|gone| &gone.link.record);
    gone.filter(|record| may_be(record)).cloned().collect()
}

/// What an answer says of a linked record; `None` where a listing has to tell.
fn reading(pass: &Pass, rules: &Binding, at: usize, link: LinkRow, told_gone: bool, got: Got) -> Option<Reading> {
    match got {
        Got::Found(remote) => {
            let mapped = rules.mapper.read(&remote.raw).ok()?;
            let version = remote.version.as_deref().or(mapped.version.as_deref());
            let is_plain = mapped.merged_into.is_none() && !mapped.archived && mapped.in_scope;
            let is_other = reused::named_before(rules, &link, mapped.created_at.as_deref()).is_some();
            if !is_plain || is_other || set_back::is_backwards(&link, version, mapped.updated_at) {
                return None;
            }
            Some(Reading {
                at,
                link,
                is_gone: mapped.deleted,
                kind: StagedKind::Record,
                raw: remote.raw.to_vec(),
                version: remote.version.clone(),
                observed_at: remote.observed_at.timestamp_micros(),
            })
        }
        // One 404 alone proves nothing; here the upstream has said so as well.
        Got::Missing if told_gone => {
            let kind = StagedKind::Gone(Evidence::WebhookConfirmed);
            let observed_at = pass.clock.now().timestamp_micros();
            Some(Reading { at, link, is_gone: true, kind, raw: Vec::new(), version: None, observed_at })
        }
        Got::Missing | Got::Astray(_) | Got::Merged(_) => None,
    }
}

/// What is to be read; `None` where something else waits that only a pass that lists can do.
pub fn aims(view: &dyn View, pass: &Pass, scope: Scope) -> Result<Option<Aims>, StoreError> {
    if !is_settled(view, pass, scope)? || !is_read(view, pass, scope)? {
        return Ok(None);
    }
    let mut aims = Aims {
        records: BTreeSet::new(),
        hooked: view.newest_hook(&pass.collection.name)?,
        edited: BTreeSet::new(),
        deleted: BTreeSet::new(),
        is_between: scope.is_between,
        after: scope.after,
        newest: view.newest_edit(pass.key)?,
        deletes_left: DELETES_MAX.saturating_sub(deletes_followed(view, &pass.collection.name)?),
        links: Vec::new(),
    };
    if !edited(view, pass, scope, &mut aims)? {
        return Ok(None);
    }
    let Some(mut told) = hooked(view, pass, &mut aims)? else { return Ok(None) };
    if aims.records.len() > RECORDS_MAX {
        return Ok(None);
    }
    for record in aims.records.clone() {
        let Some(links) = links_to_read(view, pass, &record)? else {
            if aims.leave(&record).is_none() {
                return Ok(None);
            }
            continue;
        };
        for (at, link) in links {
            let told = told.remove(&(link.binding.0, link.remote_id.clone())).unwrap_or(Told::Nothing);
            let can_get = pass.rules(at).is_some_and(|rules| upstream::has_point_read(rules));
            if !can_get && !matches!(told, Told::Shown(..)) {
                return Ok(None);
            }
            aims.links.push((at, link, told));
        }
    }
    Ok(Some(aims))
}

/// Adds the records that were edited here; false where one of them takes a listing, or there are too many.
fn edited(view: &dyn View, pass: &Pass, scope: Scope, aims: &mut Aims) -> Result<bool, StoreError> {
    let mut after = String::new();
    for _ in 0..HINTS_MAX / HINTS_AT_ONCE {
        let hints = view.dirty_after(pass.key, &after, HINTS_AT_ONCE)?;
        let Some((last, _)) = hints.last() else { return Ok(true) };
        after.clone_from(&last.0);
        for (record, hint) in hints {
            match hint.op {
                DirtyOp::Recheck => {}
                _ if hint.seen <= scope.after => {}
                DirtyOp::Insert if aims.is_between => {}
                DirtyOp::Insert => return Ok(false),
                DirtyOp::Update => {
                    aims.edited.insert(record.clone());
                    aims.records.insert(record);
                }
                DirtyOp::Delete => {
                    aims.deleted.insert(record.clone());
                    aims.records.insert(record);
                }
            }
        }
    }
    Ok(false)
}

/// Nothing waits that concerns more than single records, or that a person decided.
fn is_settled(view: &dyn View, pass: &Pass, Scope { within, is_between, .. }: Scope) -> Result<bool, StoreError> {
    let name = &pass.collection.name;
    if restored::waits(view, name)?.is_some() || !view.halts(Some(name), true)?.is_empty() {
        return Ok(false);
    }
    // Conflicts may be open: a named record that has one is frozen as ever. What a person chose is followed by a pass that lists;
    // while another one runs, it is left to the next.
    let resolved =
        ConflictFilter { collection: Some(name.clone()), resolved_only: true, limit: 1, ..ConflictFilter::default() };
    if !is_between && !view.conflicts(&resolved)?.is_empty() {
        return Ok(false);
    }
    // So are writes of unknown outcome.
    let unknown = IntentFilter {
        collection: Some(name.clone()),
        states: IntentState::OPEN.to_vec(),
        limit: 1,
        ..IntentFilter::default()
    };
    if !is_between && !view.intents(&unknown)?.is_empty() {
        return Ok(false);
    }
    // Under other rules everything is looked at anew.
    let last = view.passes(Some(name), 2)?.into_iter().find(|row| Some(row.id) != within);
    let is_good = |row: &PassRow| {
        row.rules_hash == pass.ruleset.hash && !matches!(row.outcome.as_str(), "failed" | "halted" | "interrupted")
    };
    // One in between may have come after it.
    let listed = Listed::load(view, name)?.last_but(within).map(|id| view.pass(id)).transpose()?.flatten();
    Ok(last.is_some_and(|row| is_good(&row)) && listed.is_none_or(|row| is_good(&row)))
}

/// Every binding was read to its end, under these rules.
fn is_read(view: &dyn View, pass: &Pass, scope: Scope) -> Result<bool, StoreError> {
    for at in 0..pass.collection.bindings.len() {
        let key = pass.binding_key(at);
        if !view.links_not_under(key, pass.mapping_key(at), 0, 1)?.is_empty() {
            return Ok(false);
        }
        let Some((_, way)) = pull::way(pass, at) else { continue };
        let cursor = Cursor::load(view.cursor(key)?.as_deref(), &way)?;
        if cursor.full_at.is_none() || (cursor.scan.is_some() && !scope.is_between) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The numbers of the last two passes that began in order to list, the newest first.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Listed(Vec<i64>);

impl Listed {
    fn load(view: &dyn View, collection: &str) -> Result<Self, StoreError> {
        let text = view.note(&listed_note(collection))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    fn last_but(&self, within: Option<i64>) -> Option<i64> {
        self.0.iter().copied().find(|id| Some(*id) != within)
    }
}

fn listed_note(collection: &str) -> String {
    format!("last passes of {collection} that listed")
}

/// A pass begins to list: what is followed one by one is counted anew.
pub fn begins_to_list(tx: &mut dyn Tx, pass: &Pass) -> Result<(), StoreError> {
    let (collection, id) = (&pass.collection.name, pass.id);
    if deletes_followed(tx, collection)? > 0 {
        tx.set_note(&note(collection), "0")?;
    }
    let before = Listed::load(tx, collection)?.last_but(None);
    let now: Vec<i64> = std::iter::once(id).chain(before).collect();
    tx.set_note(&listed_note(collection), &serde_json::to_string(&Listed(now)).unwrap_or_default())
}

/// Adds the records that webhooks name, and returns what they say of them. `None` where one is about something else than a
/// record that is tied here.
fn hooked(view: &dyn View, pass: &Pass, aims: &mut Aims) -> Result<Option<AllTold>, StoreError> {
    let waiting = HookFilter {
        state: Some(HookState::Waiting),
        collection: Some(pass.collection.name.clone()),
        limit: RECORDS_MAX + 1,
        with_record: true,
        ..HookFilter::default()
    };
    let waiting = view.hooks(&waiting)?;
    if waiting.len() > RECORDS_MAX {
        return Ok(None);
    }
    let mut told = AllTold::new();
    for hook in waiting.into_iter().map(|row| row.hook) {
        let bindings = &pass.collection.bindings;
        let at = bindings.iter().position(|binding| binding.upstream.name == hook.upstream && binding.pull);
        let link = match (at, &hook.remote_id) {
            (Some(at), Some(remote_id)) => live_link(view, pass.binding_key(at), remote_id)?,
            _ => None,
        };
        let (Some(link), Some(remote_id)) = (link, hook.remote_id) else {
            if !aims.is_between {
                return Ok(None);
            }
            aims.hooked = 0;
            continue;
        };
        let key = link.binding;
        aims.records.insert(link.record);
        match (hook.event.as_str(), hook.record) {
            ("delete", _) => told.insert((key.0, remote_id), Told::Gone),
            ("apply", Some(raw)) => told.insert((key.0, remote_id), Told::Shown(raw, hook.received_at)),
            _ => None,
        };
    }
    Ok(Some(told))
}

fn live_link(view: &dyn View, binding: BindingKey, remote_id: &str) -> Result<Option<LinkRow>, StoreError> {
    let known = view.known(binding, &[remote_id])?.into_iter().next().flatten();
    let known = known.filter(|known| known.state == LinkState::Live);
    Ok(known.map(|known| view.link(known.link)).transpose()?.flatten())
}

/// The links of a record, to be read; `None` where it is not tied at every upstream that could have it, or something of it
/// waits already: a write, an observation, what a person chose.
fn links_to_read(view: &dyn View, pass: &Pass, record: &RecordId) -> Result<Option<Vec<(usize, LinkRow)>>, StoreError> {
    let of_record = IntentFilter { record: Some(record.clone()), limit: 1, ..IntentFilter::default() };
    if !view.staged_of(pass.key, record)?.is_empty() || !view.intents(&of_record)?.is_empty() {
        return Ok(None);
    }
    let resolved = ConflictFilter {
        collection: Some(pass.collection.name.clone()),
        record: Some(record.clone()),
        resolved_only: true,
        limit: 1,
        ..ConflictFilter::default()
    };
    if !view.conflicts(&resolved)?.is_empty() {
        return Ok(None);
    }
    let mut links = view.links_of(record)?;
    let mut to_read = Vec::new();
    for (at, rules) in pass.collection.bindings.iter().enumerate() {
        let link = links.iter().position(|link| link.binding == pass.binding_key(at)).map(|at| links.swap_remove(at));
        match link {
            Some(link) if link.state == LinkState::Live && rules.pull && rules.read.is_some() => {
                to_read.push((at, link));
            }
            // Nothing is ever read there.
            Some(link) if link.state == LinkState::Live => {}
            // On purpose it is tied to nothing there.
            Some(link) if link.state == LinkState::Detached => {}
            Some(_) => return Ok(None),
            // It would be created there, unless a listing shows that it is there.
            None if rules.push && rules.create.is_some() => return Ok(None),
            None => {}
        }
    }
    Ok((!to_read.is_empty()).then_some(to_read))
}

impl Aims {
    /// A record takes a listing, which is under way; `None` where it is not. Webhooks that came meanwhile are then looked at again.
    fn leave(&mut self, record: &RecordId) -> Option<()> {
        self.records.remove(record);
        self.edited.remove(record);
        self.deleted.remove(record);
        self.links.retain(|(_, link, _)| link.record != *record);
        self.hooked = 0;
        self.is_between.then_some(())
    }

    fn leave_all(&mut self, records: impl IntoIterator<Item = RecordId>) -> Option<()> {
        records.into_iter().try_for_each(|record| self.leave(&record))
    }

    /// The records.
    pub fn records(&self) -> &BTreeSet<RecordId> {
        &self.records
    }

    /// Nothing is to be read.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The links that may be written to.
    pub fn links(&self) -> impl Iterator<Item = LinkId> {
        self.links.iter().map(|(_, link, _)| link.link)
    }
}

impl Targets {
    /// No record at all.
    pub fn none() -> Self {
        Self {
            records: Arc::default(),
            hooked: 0,
            blocked: Vec::new(),
            edits_known: 0,
            deletes: 0,
            readings: Vec::new(),
        }
    }

    /// Stages what was found otherwise than it was, and counts the deletes. Returns, per binding, how many were read, how
    /// many of them are as they were, and the links that are there.
    pub fn stage(&self, tx: &mut dyn Tx, pass: &Pass) -> Result<Vec<(u64, u64, RoaringTreemap)>, StoreError> {
        let mut found = vec![(0, 0, RoaringTreemap::new()); pass.collection.bindings.len()];
        for reading in &self.readings {
            let Some(link) = tx.link(reading.link.link)?.filter(|link| link.state == LinkState::Live) else { continue };
            let Some((read, unchanged, there)) = found.get_mut(reading.at) else { continue };
            *read += 1;
            let fingerprint = xxh3_64(&reading.raw);
            let is_record = reading.kind == StagedKind::Record;
            if is_record {
                there.insert(link.link.0.unsigned_abs());
            }
            if is_record && fingerprint == link.fingerprint {
                *unchanged += 1;
                continue;
            }
            tx.stage(&Staged {
                binding: link.binding,
                remote_id: link.remote_id,
                collection: pass.key,
                record: Some(link.record),
                kind: reading.kind,
                fingerprint,
                raw: reading.raw.clone(),
                version: reading.version.clone(),
                observed_at: reading.observed_at,
                parked: None,
            })?;
        }
        if self.deletes > 0 {
            let name = &pass.collection.name;
            let so_far = deletes_followed(tx, name)?;
            tx.set_note(&note(name), &(so_far + self.deletes).to_string())?;
        }
        Ok(found)
    }
}

/// Whether a pass was about single records only.
pub fn has_listed_nothing(pass: &PassRow) -> bool {
    let counts: serde_json::Value = serde_json::from_str(&pass.counts).unwrap_or_default();
    let upstreams = counts["upstreams"].as_array();
    upstreams.is_some_and(|all| all.iter().any(|one| one["read"] == READ))
}

fn note(collection: &str) -> String {
    format!("deletes of {collection} followed one by one")
}

fn deletes_followed(view: &dyn View, collection: &str) -> Result<u64, StoreError> {
    Ok(view.note(&note(collection))?.and_then(|text| text.parse().ok()).unwrap_or(0))
}
