//! Owns: noticing that an upstream was set back (restored from a backup), and what a person said about it (s59).
//!
//! Must not know: how a halt is shown; what is decided once it is clear which side wins.
//!
//! A record that is older than it was, by its own time of change or by its version, where that is a number, was set back;
//! a listing that lags shows the same, so a point read has to say it, too, or it is longer ago than a listing may lag.
//! Taken for edits, what is old would overwrite what is new here; so the pass halts and a person says which side wins.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use crate::merge::{self, Candidate, Decision, Freeze, Halt, LinkState, Observation, Rule};
use crate::record::{Json, Slot, Value, hex};
use crate::rules::{Collection, Origin};
use crate::store::{self, LinkRow, Staged, StagedKind, Store, StoreError, View};
use crate::upstream::{self, Client, Got};

use super::base::Pair;
use super::context::{Pass, time};
use super::floor;
use super::sites;

/// What a halt about an upstream that was set back is called.
pub const SET_BACK: &str = "set_back";

/// Rows looked at between two looks.
const CHUNK: usize = 256;

/// Point reads that have to agree.
const ASKED_MAX: usize = 3;

/// What listings and point reads tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing is older than it was.
    Fine,
    /// Something is older than it was; a cache or a listing that lags may show that, too.
    Unsure,
    /// So many records were set back.
    SetBack(u64),
}

/// Which side a person said wins over an upstream that was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wins {
    /// What is here.
    Local,
    /// What the upstream says now, old as it is.
    Upstream,
}

/// Whether a record is older than its link knows it: a number that counts its versions has the word, else its time of
/// change. An edit that was made after the upstream was set back is newer by time, and a version from before.
pub fn is_backwards(link: &LinkRow, version: Option<&str>, updated_at: Option<DateTime<Utc>>) -> bool {
    let number = |version: Option<&str>| version.and_then(merge::version_number);
    let counted = number(version).zip(number(link.version.as_deref())).map(|(now, then)| now < then);
    let earlier = || updated_at.zip(link.updated_at.map(time)).is_some_and(|(now, then)| now < then);
    link.state == LinkState::Live && counted.unwrap_or_else(earlier)
}

/// Whether a binding was set back: where there is a point read it has to confirm that.
pub async fn look(store: &dyn Store, client: &Arc<Client>, pass: &Arc<Pass>, at: usize) -> Result<Look, StoreError> {
    let Some(rules) = pass.rules(at).cloned() else { return Ok(Look::Fine) };
    let can_get = rules.read.as_ref().is_some_and(|read| read.get.is_some());
    let job_pass = Arc::clone(pass);
    let (back, doubtful) = store::read(store, move |view| backwards(view, &job_pass, at, can_get)).await?;
    if back.is_empty() {
        return Ok(if doubtful { Look::Unsure } else { Look::Fine });
    }
    for link in back.iter().take(if can_get { ASKED_MAX } else { 0 }) {
        let Ok(Got::Found(now)) = upstream::get(client, &rules, &sites::of_link(&rules, link)).await else {
            return Ok(Look::Unsure);
        };
        let mapped = rules.mapper.read(&now.raw).ok();
        let updated_at = mapped.as_ref().and_then(|mapped| mapped.updated_at);
        let version = now.version.clone().or_else(|| mapped.and_then(|mapped| mapped.version));
        if !is_backwards(link, version.as_deref(), updated_at) {
            return Ok(Look::Unsure);
        }
    }
    Ok(Look::SetBack(back.len() as u64))
}

/// The links whose records are listed older than they were, and whether others are that a cache may show so.
fn backwards(view: &dyn View, pass: &Pass, at: usize, can_get: bool) -> Result<(Vec<LinkRow>, bool), StoreError> {
    let (mut back, mut doubtful, mut after) = (Vec::new(), false, String::new());
    loop {
        let rows = view.staged_matched(pass.binding_key(at), &after, CHUNK)?;
        let Some(last) = rows.last() else { return Ok((back, doubtful)) };
        after.clone_from(&last.remote_id);
        for staged in rows.iter().filter(|staged| staged.kind == StagedKind::Record) {
            let Some(record) = staged.record.as_ref().filter(|record| pass.is_about(record)) else { continue };
            let link = view
                .links_of(record)?
                .into_iter()
                .find(|link| link.binding == staged.binding && link.remote_id == staged.remote_id);
            let Some(link) = link.filter(|link| was_set_back(pass, at, link, staged)) else { continue };
            // What we wrote a moment ago may be missing from a cache as well, and what was seen a moment ago from a listing.
            let may_lag = !can_get && link.observed_at > floor::since(pass, at, time(staged.observed_at));
            if may_lag || floor::was_written_lately(view, pass, at, record, time(staged.observed_at))? {
                doubtful = true;
            } else {
                back.push(link);
            }
        }
    }
}

fn was_set_back(pass: &Pass, at: usize, link: &LinkRow, staged: &Staged) -> bool {
    let mapped = pass.rules(at).and_then(|rules| rules.mapper.read(&staged.raw).ok());
    mapped.is_some_and(|mapped| {
        is_backwards(link, staged.version.as_deref().or(mapped.version.as_deref()), mapped.updated_at)
    })
}

/// The base of a record that was set back. What it does not show it does not have any more, so that it is given it again;
/// where what is here wins, what it says is no edit, and what differs from it goes there.
pub fn base(collection: &Collection, before: Pair, slots: &[Slot], wins: Wins) -> Pair {
    let mut pair = before;
    for (field, slot) in slots.iter().enumerate() {
        let domain = collection.fields.get(field).map(|field| &field.domain);
        let (Some(domain), Some(hub), Some(remote)) = (domain, pair.hub.get_mut(field), pair.remote.get_mut(field))
        else {
            continue;
        };
        match (slot, wins) {
            (Slot::Absent, Wins::Local | Wins::Upstream) => (*hub, *remote) = (None, Slot::Absent),
            (Slot::Value(value), Wins::Local) => {
                (*hub, *remote) = (Some(domain.canonical(value)), Slot::Value(value.clone()));
            }
            (Slot::Value(_), Wins::Upstream) | (Slot::Bad(_), Wins::Local | Wins::Upstream) => {}
        }
    }
    pair
}

/// What a record that was set back says, and had said in open conflicts, where that counts no more: it stays in the
/// history (I3). `before` is its base before it was set back, `row` the local one.
pub fn overruled(
    collection: &Collection,
    (origin, wins): (&Origin, Wins),
    before: &Pair,
    now: &Observation,
    row: &[Value],
    frozen: &[Freeze],
) -> Vec<Decision> {
    let mut lost: Vec<(Vec<usize>, Candidate)> = Vec::new();
    let said = frozen.iter().filter(|freeze| !freeze.fields.is_empty()).flat_map(|freeze| {
        let theirs = freeze.candidates.iter().filter(|candidate| &candidate.origin == origin);
        theirs.map(|candidate| (freeze.fields.clone(), candidate.clone()))
    });
    lost.extend(said);
    let says = now.slots.iter().enumerate().filter_map(|(field, slot)| Some((field, slot.value()?)));
    for (field, value) in says.filter(|_| wins == Wins::Local) {
        let domain = collection.fields.get(field).map(|field| &field.domain);
        let is_news = |base: &Slot| !base.value().zip(domain).is_some_and(|(base, domain)| domain.same(base, value));
        if domain.is_some() && before.remote.get(field).is_some_and(is_news) {
            let candidate = Candidate {
                origin: origin.clone(),
                values: vec![domain.map_or(Value::Null, |domain| domain.canonical(value))],
                source_time: now.updated_at,
                observed_at: now.observed_at,
            };
            lost.push((vec![field], candidate));
        }
    }
    let differs = |fields: &[usize], values: &[Value]| {
        fields.iter().zip(values).any(|(&field, value)| {
            let here = row.get(field).unwrap_or(&Value::Null);
            collection.fields.get(field).is_some_and(|field| !field.domain.same(here, value))
        })
    };
    lost.retain(|(fields, candidate)| differs(fields, &candidate.values));
    lost.into_iter()
        .map(|(fields, candidate)| {
            let here: Vec<Value> = fields.iter().map(|&field| row.get(field).cloned().unwrap_or(Value::Null)).collect();
            Decision {
                fields,
                rule: Rule::SetBack,
                winner: (wins == Wins::Local).then_some(Origin::Local),
                before: here.clone(),
                after: here,
                losers: vec![candidate],
                tried: Vec::new(),
            }
        })
        .collect()
}

/// The halt.
pub async fn halt(store: &dyn Store, pass: &Pass, at: usize, count: u64) -> Result<Halt, StoreError> {
    let key = pass.binding_key(at);
    let total = store::read(store, move |view| view.link_count(key, LinkState::Live)).await?;
    let target = Origin::Upstream(pass.upstream(at).to_owned());
    let limit = format!("say which side wins, local or {}", pass.upstream(at));
    Ok(Halt { target, what: SET_BACK.into(), count, total, limit })
}

/// What the halt is known by.
pub fn fingerprint(upstreams: &[String]) -> String {
    hex(&Sha256::digest(format!("{SET_BACK} {}", upstreams.join(" ")).as_bytes()))
}

/// The note that keeps what a person said about a collection at an upstream.
pub fn note_name(collection: &str, upstream: &str) -> String {
    format!("which side of {collection} wins over {upstream}, which was set back")
}

/// Whose state counts, by binding position, where a person said so.
pub async fn choices(store: &dyn Store, pass: &Pass) -> Result<Vec<Option<Origin>>, StoreError> {
    let names: Vec<String> = (0..pass.collection.bindings.len()).map(|at| note_of(pass, at)).collect();
    store::read(store, move |view| {
        let choice = |name: &String| {
            let json = view.note(name)?.and_then(|text| Json::parse(text.as_bytes()).ok());
            Ok(json.as_ref().and_then(Json::as_str).map(Origin::from_name))
        };
        names.iter().map(choice).collect()
    })
    .await
}

/// A pass went through: what was said holds for this time only.
pub async fn forget_choices(store: &dyn Store, pass: &Pass, choices: &[Option<Origin>]) -> Result<(), StoreError> {
    let said = choices.iter().enumerate().filter(|(_, choice)| choice.is_some());
    let names: Vec<String> = said.map(|(at, _)| note_of(pass, at)).collect();
    if names.is_empty() {
        return Ok(());
    }
    store::write(store, move |tx| names.iter().try_for_each(|name| tx.set_note(name, "null"))).await
}

fn note_of(pass: &Pass, at: usize) -> String {
    note_name(&pass.collection.name, pass.upstream(at))
}
