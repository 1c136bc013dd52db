//! Owns: keeping out what a lagging list or cache shows: observations older than what is known, most often than our write.
//!
//! Must not know: what orders two observations (that is `merge`); what is decided on those that remain.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use xxhash_rust::xxh3::xxh3_64;

use crate::merge::{self, Age, LinkState, Sighting};
use crate::record::RecordId;
use crate::store::{self, HistoryFilter, HistoryRow, LinkRow, Micros, Staged, StagedKind, Store, StoreError, View};
use crate::upstream::{self, Client, FailureKind, Got, Remote};

use super::context::{Pass, time};
use super::gather::lag;
use super::set_back;
use super::sites;

/// How far a list or cache may lag. What a record was longer ago is no reason for doubt: an upstream that shows older
/// versions after that was set back.
const LAG: TimeDelta = TimeDelta::minutes(10);

/// The fingerprint of a record that is gone and left no tombstone: no listed record has it (but one in 2^64).
pub const NOT_LISTED: u64 = 1;

/// Observations looked at between two awaits.
const CHUNK: usize = 1000;

/// Lines of a record's history that are looked through for our last write.
const LINES_MAX: usize = 20;

/// An observation that has to be looked into.
struct Doubt {
    staged: Staged,
    link: LinkRow,
    age: Age,
}

/// Takes observations that are older than what is known out of staging; those that nothing orders are asked for once
/// more, one by one. Where a person said which side wins over an upstream that was set back (`is_said`), what is older than it
/// was counts as that person said, and only what we deleted is asked for: a listing that lags still shows it, a backup may
/// have brought it back. Returns why that failed, if it did: then nothing can be decided about the binding.
pub async fn keep_out_what_is_older(
    store: &dyn Store,
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    (at, is_said): (usize, bool),
) -> Result<Option<String>, StoreError> {
    let Some(rules) = pass.rules(at).cloned() else { return Ok(None) };
    let mut after = String::new();
    loop {
        let (job_pass, from) = (Arc::clone(pass), after.clone());
        let (last, doubts) = store::read(store, move |view| doubts(view, &job_pass, (at, is_said), &from)).await?;
        let Some(last) = last else { return Ok(None) };
        after = last;
        let mut looked = upstream::get_each(client, &rules, doubts, |doubt| match doubt.age {
            Age::Unsure => Some(sites::of_staged(&rules, &doubt.staged)),
            Age::Older | Age::Current => None,
        });
        while let Some((doubt, answer)) = looked.next().await {
            let now = match answer {
                None if doubt.age == Age::Older => None,
                // It is as gone as it was; or it has gone meanwhile, which the next listing tells: what this one shows of it is
                // from before.
                Some(Ok(Got::Missing | Got::Astray(_) | Got::Merged(_))) => None,
                // Nothing can be asked.
                None => continue,
                Some(Ok(Got::Found(remote))) => Some(remote),
                Some(Err(failure)) if matches!(failure.kind, FailureKind::OtherRecord | FailureKind::TooLarge) => {
                    continue;
                }
                Some(Err(failure)) => {
                    let id = &doubt.staged.remote_id;
                    return Ok(Some(format!(
                        "{id} is listed as it was before our write, and could not be asked for: {}",
                        failure.words
                    )));
                }
            };
            let pass = Arc::clone(pass);
            store::write_small(store, move |tx| {
                let known = sighting(&doubt.link);
                let is_older = |remote: &Remote| {
                    let updated_at = updated_at(&pass, at, &remote.raw);
                    let seen = Sighting { version: remote.version.as_deref(), updated_at };
                    // A point read that shows it earlier than it was comes from a cache, or the upstream was set back: what it
                    // says is no edit, and what it is tells itself as soon as nothing lags so far any more.
                    let earlier = || updated_at.zip(known.updated_at).is_some_and(|(now, then)| now < then);
                    let is_known = xxh3_64(&remote.raw) == doubt.link.fingerprint;
                    is_known || earlier() || merge::judge_age(known, seen, false) == Age::Older
                };
                match now.filter(|remote| is_said || !is_older(remote)) {
                    None => tx.unstage(doubt.staged.binding, &doubt.staged.remote_id),
                    Some(remote) => tx.stage(&Staged {
                        fingerprint: xxh3_64(&remote.raw),
                        raw: remote.raw.to_vec(),
                        version: remote.version.clone(),
                        observed_at: remote.observed_at.timestamp_micros(),
                        ..doubt.staged.clone()
                    }),
                }
            })
            .await?;
        }
    }
}

/// The next few observations of linked records, as far as they are in doubt, and where they end.
fn doubts(
    view: &dyn View,
    pass: &Pass,
    (at, is_said): (usize, bool),
    after: &str,
) -> Result<(Option<String>, Vec<Doubt>), StoreError> {
    let rows = view.staged_matched(pass.binding_key(at), after, CHUNK)?;
    let last = rows.last().map(|row| row.remote_id.clone());
    let can_get = pass.rules(at).and_then(|rules| rules.read.as_ref()).is_some_and(|read| read.get.is_some());
    let mut doubts = Vec::new();
    for staged in rows {
        let Some(record) = staged.record.as_ref().filter(|_| staged.kind == StagedKind::Record) else { continue };
        if !pass.is_about(record) {
            continue;
        }
        let links = view.links_of(record)?;
        let link = links.into_iter().find(|link| {
            let counts = link.state == LinkState::Deleted || (link.state == LinkState::Live && !is_said);
            counts && link.binding == staged.binding && link.remote_id == staged.remote_id
        });
        let Some(link) = link else { continue };
        // It is the answer to our own write, which showed more than was sent: what is known of the record is from it.
        if link.state == LinkState::Live && link.fingerprint == staged.fingerprint {
            continue;
        }
        let mapped = pass.rules(at).and_then(|rules| rules.mapper.read(&staged.raw).ok());
        let version = staged.version.clone().or_else(|| mapped.as_ref()?.version.clone());
        let is_deleted = mapped.as_ref().is_some_and(|mapped| mapped.deleted);
        let updated_at = mapped.and_then(|mapped| mapped.updated_at);
        // It may have waited since an earlier pass: it is as old as when it was read. However long ago: what is older than it
        // was is no edit. Whether the upstream was set back a person is asked, and nobody was, or this would not be decided on.
        let is_recent = link.observed_at > since(pass, at, time(staged.observed_at));
        if !is_recent && !set_back::is_backwards(&link, version.as_deref(), updated_at) {
            continue;
        }
        let written = was_written_lately(view, pass, at, record, time(staged.observed_at))?;
        let seen = Sighting { version: version.as_deref(), updated_at };
        let age = match link.state {
            // It was found gone a moment ago, and this is not its tombstone: a listing from before shows that, and so does one
            // from after it came back.
            LinkState::Deleted if !is_deleted && can_get => Age::Unsure,
            LinkState::Deleted
                if !is_deleted
                    && (link.is_outdated() || xxh3_64(&link.raw) == staged.fingerprint || is_same(&link, seen)) =>
            {
                Age::Older
            }
            LinkState::Deleted
            | LinkState::Live
            | LinkState::OutOfScope
            | LinkState::Detached
            | LinkState::Archived => merge::judge_age(sighting(&link), seen, written),
        };
        // Without an answer that showed the record, what is listed next is what tells how the write went, but for what has a
        // version from before it.
        let is_unheard = link.is_outdated() && xxh3_64(&link.raw) != staged.fingerprint;
        if is_unheard && link.state == LinkState::Live && age != Age::Older {
            continue;
        }
        // Where nothing can be asked, what is earlier than it was waits until no listing lags so far any more; so does what may
        // be from before we deleted it.
        let earlier = || updated_at.zip(link.updated_at.map(time)).is_some_and(|(now, then)| now < then);
        let waits = link.state == LinkState::Deleted || earlier();
        let age = if age == Age::Unsure && !can_get && waits { Age::Older } else { age };
        match age {
            Age::Current => {}
            age @ (Age::Older | Age::Unsure) => doubts.push(Doubt { staged, link, age }),
        }
    }
    Ok((last, doubts))
}

/// What was known before that moment is no reason to doubt what was read at a later one.
pub fn since(pass: &Pass, at: usize, read_at: DateTime<Utc>) -> Micros {
    (read_at - LAG.max(lag(pass, at))).timestamp_micros()
}

/// Whether we wrote to a record's counterpart so lately that a list or cache that was read then may not show it yet.
pub fn was_written_lately(
    view: &dyn View,
    pass: &Pass,
    at: usize,
    record: &RecordId,
    read_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let since = since(pass, at, read_at);
    let history = HistoryFilter { record: Some(record.clone()), limit: LINES_MAX, ..HistoryFilter::default() };
    let ours =
        |line: &HistoryRow| line.kind == "push" && line.target.as_deref() == Some(pass.upstream(at)) && line.at > since;
    Ok(view.history(&history)?.iter().any(ours))
}

/// The very version that was deleted.
fn is_same(link: &LinkRow, seen: Sighting<'_>) -> bool {
    seen.version.is_some() && seen.version == link.version.as_deref()
}

fn sighting(link: &LinkRow) -> Sighting<'_> {
    Sighting { version: link.version.as_deref(), updated_at: link.updated_at.map(time) }
}

fn updated_at(pass: &Pass, at: usize, raw: &[u8]) -> Option<DateTime<Utc>> {
    pass.rules(at)?.mapper.read(raw).ok()?.updated_at
}
