//! Owns: noticing that an upstream was set back (restored from a backup), and what a person said about it (s59).
//!
//! Must not know: how a halt is shown; what is decided once it is clear which side wins.
//!
//! A record that is older than it was, by its own time of change (and by its version, where that is a number), was set back;
//! a listing that lags shows the same, so a point read has to say it, too. Taken for edits, what is old would overwrite what
//! is new here; so the pass halts and a person says which side wins.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use crate::merge::{self, Halt, LinkState};
use crate::record::{Json, Slot};
use crate::rules::{Collection, Origin};
use crate::store::{self, LinkRow, Staged, StagedKind, Store, StoreError};
use crate::upstream::{self, Client, Got};

use super::base::Pair;
use super::context::{Pass, time};
use super::digest::hex;
use super::floor;

/// What a halt about an upstream that was set back is called.
pub const SET_BACK: &str = "set_back";

/// Rows looked at between two looks.
const CHUNK: usize = 256;

/// Point reads that have to agree.
const ASKED_MAX: usize = 3;

/// Whether a record is older than its link knows it.
pub fn is_backwards(link: &LinkRow, version: Option<&str>, updated_at: Option<DateTime<Utc>>) -> bool {
    let number = |version: Option<&str>| version.and_then(merge::version_number);
    let grows = number(version).zip(number(link.version.as_deref())).is_some_and(|(now, then)| now >= then);
    let earlier = updated_at.zip(link.updated_at.map(time)).is_some_and(|(now, then)| now < then);
    link.state == LinkState::Live && earlier && !grows
}

/// How many records of a binding were set back, where point reads confirm it.
pub async fn look(
    store: &dyn Store,
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    at: usize,
) -> Result<Option<u64>, StoreError> {
    let Some(rules) = pass.rules(at).cloned() else { return Ok(None) };
    let can_get = rules.read.as_ref().is_some_and(|read| read.get.is_some());
    if rules.mapper.probe.updated_at.is_none() || !can_get {
        return Ok(None);
    }
    let job_pass = Arc::clone(pass);
    let back: Vec<LinkRow> = store::read(store, move |view| {
        let (mut back, mut after) = (Vec::new(), String::new());
        loop {
            let rows = view.staged_matched(job_pass.binding_key(at), &after, CHUNK)?;
            let Some(last) = rows.last() else { return Ok(back) };
            after.clone_from(&last.remote_id);
            for staged in rows.iter().filter(|staged| staged.kind == StagedKind::Record) {
                let Some(record) = &staged.record else { continue };
                let link = view
                    .links_of(record)?
                    .into_iter()
                    .find(|link| link.binding == staged.binding && link.remote_id == staged.remote_id);
                // What we wrote a moment ago may be missing from a cache as well.
                if let Some(link) = link.filter(|link| was_set_back(&job_pass, at, link, staged))
                    && !floor::was_written_lately(view, &job_pass, at, record, time(staged.observed_at))?
                {
                    back.push(link);
                }
            }
        }
    })
    .await?;
    if back.is_empty() {
        return Ok(None);
    }
    for link in back.iter().take(ASKED_MAX) {
        let Ok(Got::Found(now)) = upstream::get(client, &rules, &link.remote_id).await else { return Ok(None) };
        let mapped = rules.mapper.read(&now.raw).ok();
        let updated_at = mapped.as_ref().and_then(|mapped| mapped.updated_at);
        let version = now.version.clone().or_else(|| mapped.and_then(|mapped| mapped.version));
        if !is_backwards(link, version.as_deref(), updated_at) {
            return Ok(None);
        }
    }
    Ok(Some(back.len() as u64))
}

fn was_set_back(pass: &Pass, at: usize, link: &LinkRow, staged: &Staged) -> bool {
    let mapped = pass.rules(at).and_then(|rules| rules.mapper.read(&staged.raw).ok());
    mapped.is_some_and(|mapped| {
        is_backwards(link, staged.version.as_deref().or(mapped.version.as_deref()), mapped.updated_at)
    })
}

/// The base under which what is here wins: what the upstream says now is no edit, and what differs from it goes there.
pub fn base_where_local_wins(collection: &Collection, before: Pair, slots: &[Slot]) -> Pair {
    let mut pair = before;
    let shown = slots.iter().enumerate().filter_map(|(field, slot)| Some((field, slot.value()?)));
    for (field, value) in shown {
        let domain = collection.fields.get(field).map(|field| &field.domain);
        if let (Some(domain), Some(hub), Some(remote)) = (domain, pair.hub.get_mut(field), pair.remote.get_mut(field)) {
            *hub = Some(domain.canonical(value));
            *remote = Slot::Value(value.clone());
        }
    }
    pair
}

/// The halt.
pub async fn halt(store: &dyn Store, pass: &Pass, at: usize, count: u64) -> Result<Halt, StoreError> {
    let key = pass.binding_key(at);
    let total = store::read(store, move |view| view.link_count(key, LinkState::Live)).await?;
    let target = Origin::Upstream(pass.upstream(at).to_owned());
    let limit = format!("say --wins local or --wins {}", pass.upstream(at));
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
