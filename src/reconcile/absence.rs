//! Owns: turning "not listed" into evidence: only over one complete generation, confirmed by a point read,
//! or by a second listing where pages move and records cannot be asked for.
//!
//! Must not know: what a delete leads to.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use roaring::RoaringTreemap;
use xxhash_rust::xxh3::xxh3_64;

use crate::merge::guard::{self, Tally};
use crate::merge::{Evidence, Halt, LinkState};
use crate::rules::{Binding, Deletes};
use crate::store::{
    self, LinkId, LinkRow, QuarantineFilter, QuarantineRow, Staged, StagedKind, Store, StoreError, View,
};
use crate::upstream::{self, Client, Failure, FailureKind, Got, Site};

use super::context::{Pass, local_subject};
use super::gather::lag;
use super::pulled::Pulled;
use super::set_back;
use super::sites;
use super::{undecided, unlisted};

/// Links looked at between two awaits.
const CHUNK: usize = 5000;

/// Up to so many missing records are asked for before a person is; beyond, asking comes after the approval.
const ASK_FIRST_MAX: usize = 100;

/// Where a record is set aside here; see `QuarantineRow::stage`.
pub const STAGE: &str = "absence";

/// Records set aside that are looked through after a listing.
const SET_ASIDE_MAX: usize = 100_000;

/// What absence amounts to at one binding.
#[derive(Debug, Default)]
pub struct Absence {
    /// Too much is gone to believe it: nothing follows until a person approves.
    pub halt: Option<Halt>,
    /// The records whose absence is not confirmed yet, where there is a halt.
    pub unconfirmed: Vec<LinkId>,
    /// Why the binding takes no part in this pass: confirmation failed.
    pub blocked: Option<String>,
    /// What a person ought to know of it.
    pub note: Option<String>,
    /// Records that are gone if another listing lacks them, too.
    pub waiting: u64,
    /// Some are missing from a listing that may lag behind them: only one after `lag` says anything of those.
    pub too_young: bool,
}

/// Looks for linked records that a complete generation did not show. With `approved` all of them are asked for, however
/// many: what the approval lets through is decided on what is really gone. `set_back`: so a person said of this upstream.
pub async fn look_for_missing(
    store: &dyn Store,
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    pulled: &Pulled,
    (approved, set_back): (bool, bool),
) -> Result<Absence, StoreError> {
    let at = pulled.binding;
    let Some(rules) = pass.rules(at).cloned() else { return Ok(Absence::default()) };
    let read = rules.read.as_ref();
    // Where absence itself counts, the next whole listing decides.
    let is_told = read.is_some_and(|read| read.deletes != Deletes::Absence);
    let is_open = is_told && undecided::take_back(store, pass, pulled).await?;
    let Some(read) = read.filter(|read| {
        // What proves a delete by its absence does so by a listing that was meant to be whole.
        pulled.complete || (pulled.expired && read.deletes != Deletes::Absence)
    }) else {
        return Ok(Absence::default());
    };
    let key = pass.binding_key(at);
    let links = store::read(store, move |view| view.link_count(key, LinkState::Live)).await?;
    let listed = pulled.report.listed;
    // After a gap longer than its tombstones are kept, and where what tells deletes was begun anew, one that is not listed may have
    // been deleted; and an upstream that was set back has no tombstones of what it never had: it is asked for. So is what is open
    // since such a time.
    let untold = pulled.gap || pulled.expired;
    if read.deletes != Deletes::Absence && !((untold || set_back || is_open) && read.get.is_some()) {
        let tells = untold && read.deletes != Deletes::None;
        let (missing, young) =
            if tells { missing(store, pass, (at, &rules), pulled).await? } else { Default::default() };
        undecided::keep(store, pass, at, &missing).await?;
        let note = (!missing.is_empty()).then(|| unknown(pass.upstream(at), missing.len()));
        let too_young = !young.is_empty();
        return Ok(Absence { halt: too_much(pass, at, links, listed, 0), note, too_young, ..Absence::default() });
    }
    let (missing, mut unsure) = missing(store, pass, (at, &rules), pulled).await?;
    // What stood on two pages moved, and others with it: such a listing is the first one of nothing.
    let ((certain, missing), mut note) = match (may_skip(&rules), pulled.twice) {
        (false, _) => ((missing, Vec::new()), None),
        (true, false) => ((Vec::new(), missing), None),
        (true, true) => {
            let note = (!missing.is_empty()).then(|| moved(pass.upstream(at), missing.len()));
            unsure.extend(missing.into_iter().map(|(site, _)| site.remote_id));
            ((Vec::new(), Vec::new()), note)
        }
    };
    let (gone, waiting) = unlisted::long_missing(store, pass, at, (pulled.started_at, missing), unsure).await?;
    let missing: Vec<(Site, LinkId)> = certain.into_iter().chain(gone).collect();
    note = note.or_else(|| (waiting > 0).then(|| not_yet(pass.upstream(at), waiting)));
    let count = missing.len() as u64;
    if missing.is_empty() {
        take_back(store, pass, at).await?;
    }
    let tripped = too_much(pass, at, links, listed, count);
    if missing.is_empty() || (tripped.is_some() && !approved && (missing.len() > ASK_FIRST_MAX || read.get.is_none())) {
        let unconfirmed = missing.into_iter().map(|(_, link)| link).collect();
        return Ok(Absence { halt: tripped, unconfirmed, note, waiting, ..Absence::default() });
    }
    let gone = match confirm(store, client, pass, pulled, (missing, set_back)).await? {
        Ok(gone) => gone,
        Err(words) => return Ok(Absence { blocked: Some(words), ..Absence::default() }),
    };
    take_back(store, pass, at).await?;
    if listed == 0 && gone < count {
        let words = format!(
            "the listing is empty, and {} of {count} records that were asked for one by one are there: it is not believed",
            count - gone
        );
        return Ok(Absence { blocked: Some(words), ..Absence::default() });
    }
    Ok(Absence { halt: too_much(pass, at, links, listed, gone), note, waiting, ..Absence::default() })
}

/// Where pages are counted, a record that goes moves the next page's first one to a page that was read. Who has no point read has
/// another listing say the same before anything that is missing counts as gone.
fn may_skip(rules: &Binding) -> bool {
    !upstream::has_point_read(rules) && rules.read.as_ref().is_some_and(upstream::counts_pages)
}

fn moved(upstream: &str, missing: usize) -> String {
    let (records, are, they) = if missing == 1 { ("record", "is", "it") } else { ("records", "are", "they") };
    format!(
        "{upstream} listed a record on two pages, so its pages moved while they were read, and {missing} {records} {are} missing: \
         whether {they} {are} gone is not known, and nothing follows from it (a `get` in `read` would ask)"
    )
}

fn not_yet(upstream: &str, missing: u64) -> String {
    let (records, are, it) = if missing == 1 { ("record", "is", "it") } else { ("records", "are", "they") };
    format!(
        "{missing} {records} {are} missing from the listing of {upstream}, whose pages may have moved: where a listing after `lag` shows \
         {it} no more either, {it} {are} gone (a `get` in `read` would ask at once)"
    )
}

/// What nothing tells of, and no point read can answer.
fn unknown(upstream: &str, count: usize) -> String {
    let (records, were, they) = if count == 1 { ("record", "was", "it") } else { ("records", "were", "they") };
    format!(
        "{upstream} told of no deletes for some time, and {count} {records} {were} not listed: whether {they} {were} deleted there is \
         not known, and nothing follows from it (a `get` in `read` would ask)"
    )
}

/// The guard's word about one listing: `gone` of `links` records are missing from it.
fn too_much(pass: &Pass, at: usize, links: u64, listed: u64, gone: u64) -> Option<Halt> {
    let mut bindings = vec![guard::Counts::default(); pass.collection.bindings.len()];
    if let Some(counts) = bindings.get_mut(at) {
        *counts = guard::Counts {
            total: links,
            listed: Some(listed),
            vanished: gone,
            deletes: gone,
            ..guard::Counts::default()
        };
    }
    guard::check(&pass.collection, &Tally::new(guard::Counts::default(), bindings)).into_iter().next()
}

/// The linked records that were not listed; and the ids of those of which that says nothing yet.
async fn missing(
    store: &dyn Store,
    pass: &Arc<Pass>,
    (at, rules): (usize, &Arc<Binding>),
    pulled: &Pulled,
) -> Result<(Vec<(Site, LinkId)>, BTreeSet<String>), StoreError> {
    let key = pass.binding_key(at);
    let seen: &RoaringTreemap = &pulled.seen;
    let can_get = upstream::has_point_read(rules);
    let settled = pulled.started_at - lag(pass, at).num_microseconds().unwrap_or(0);
    let (mut missing, mut unsure) = (Vec::new(), BTreeSet::new());
    let mut after = String::new();
    loop {
        let from = after.clone();
        let links = store::read(store, move |view| view.live_links(key, &from, CHUNK)).await?;
        let Some((last, _)) = links.last() else { return Ok((missing, unsure)) };
        after.clone_from(last);
        let mut unseen: Vec<(String, LinkId)> =
            links.into_iter().filter(|(_, link)| !seen.contains(link.0.unsigned_abs())).collect();
        if unseen.is_empty() {
            continue;
        }
        // A listing may lag behind a create, of ours or theirs; where no point read can tell, its silence about it proves nothing
        // yet.
        if !can_get {
            let young;
            (unseen, young) = store::read(store, move |view| {
                let (mut old, mut young) = (Vec::with_capacity(unseen.len()), Vec::new());
                for (remote_id, link) in unseen {
                    let made = |row: LinkRow| row.made.map_or(row.observed_at, |made| made.observed_at);
                    match view.link(link)?.map(made) {
                        Some(made) if made < settled => old.push((remote_id, link)),
                        Some(_) => young.push(remote_id),
                        None => {}
                    }
                }
                Ok((old, young))
            })
            .await?;
            unsure.extend(young);
        }
        let rules = Arc::clone(rules);
        missing.extend(store::read(store, move |view| sites::of_links(view, &rules, unseen)).await?);
    }
}

/// Asks for each missing record by its id: a listing may have skipped it while its pages shifted. Returns how many are
/// gone, or why that cannot be said.
///
/// A record that may not be read (403) is set aside where others are answered for, by the listing or one by one: it is
/// that record's matter. Where nothing else is heard, it is a permission that is gone, and the binding's.
async fn confirm(
    store: &dyn Store,
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    pulled: &Pulled,
    (missing, set_back): (Vec<(Site, LinkId)>, bool),
) -> Result<Result<u64, String>, StoreError> {
    let at = pulled.binding;
    let Some(rules) = pass.rules(at).cloned() else { return Ok(Ok(0)) };
    let mut gone = 0;
    let (asked_for, mut forbidden) = (missing.len(), Vec::new());
    let mut asked = upstream::get_each(client, &rules, missing, |(site, _)| Some(site.clone()));
    while let Some(((Site { remote_id, .. }, link), answer)) = asked.next().await {
        if let Some(Err(failure)) = &answer
            && failure.kind == FailureKind::Forbidden
        {
            forbidden.push((link, unanswered(&remote_id, failure)));
            continue;
        }
        if let Some(Err(failure)) = &answer
            && let Some(words) = of_this_record(pulled, &remote_id, failure)
        {
            set_aside(store, pass, at, link, words).await?;
            continue;
        }
        let (kind, raw, version) = match answer {
            None => (StagedKind::Gone(Evidence::Absence), Vec::new(), None),
            Some(Ok(Got::Missing)) => (StagedKind::Gone(Evidence::AbsenceConfirmed), Vec::new(), None),
            Some(Ok(Got::Merged(into))) => (StagedKind::Merged, into.into_bytes(), None),
            Some(Ok(Got::Found(remote))) => (StagedKind::Record, remote.raw.to_vec(), remote.version),
            Some(Ok(Got::Astray(why))) => {
                set_aside(store, pass, at, link, format!("{remote_id} is not listed: {why}")).await?;
                continue;
            }
            Some(Err(failure)) => return Ok(Err(unanswered(&remote_id, &failure))),
        };
        gone += u64::from(matches!(kind, StagedKind::Gone(_)));
        let pass = Arc::clone(pass);
        store::write_small(store, move |tx| {
            let Some(row) = tx.link(link)? else { return Ok(()) };
            let fingerprint = xxh3_64(&raw);
            // It is there; older than it was, it comes from a cache, or the upstream was set back, which listings tell.
            let is_older = || {
                let mapped = pass.rules(at).and_then(|rules| rules.mapper.read(&raw).ok());
                mapped.is_some_and(|mapped| {
                    let version = version.as_deref().or(mapped.version.as_deref());
                    set_back::is_backwards(&row, version, mapped.updated_at)
                })
            };
            if kind == StagedKind::Record && (fingerprint == row.fingerprint || (!set_back && is_older())) {
                return Ok(());
            }
            tx.stage(&Staged {
                binding: row.binding,
                remote_id: remote_id.clone(),
                collection: pass.key,
                record: Some(row.record),
                kind,
                fingerprint,
                raw: raw.clone(),
                version: version.clone(),
                observed_at: pass.clock.now().timestamp_micros(),
                parked: None,
            })
        })
        .await?;
    }
    let alone = forbidden.len() == asked_for && (asked_for > 1 || pulled.report.listed == 0);
    if let Some((_, words)) = forbidden.first().filter(|_| alone) {
        return Ok(Err(words.clone()));
    }
    for (link, words) in forbidden {
        set_aside(store, pass, at, link, words).await?;
    }
    Ok(Ok(gone))
}

/// Why nothing can be said of this record, where others may be answered for. (What is forbidden may be so for all.)
fn of_this_record(pulled: &Pulled, remote_id: &str, failure: &Failure) -> Option<String> {
    let words = format!("{remote_id} is not listed, and cannot be asked for: {}", failure.words);
    match failure.kind {
        FailureKind::OtherRecord | FailureKind::TooLarge => Some(words),
        // What a gap leaves open is asked for until it is answered.
        _ if !failure.is_of_one_record() || pulled.report.listed == 0 || pulled.gap || pulled.expired => None,
        _ => Some(words + "; where that means that it is gone, an `error` rule with class = \"not_found\" says so"),
    }
}

fn unanswered(remote_id: &str, failure: &Failure) -> String {
    format!("{remote_id} is missing from the listing and could not be asked for: {}", failure.words)
}

/// One record that nothing can be said about, neither that it is there nor that it is gone, blocks no other (I10).
async fn set_aside(
    store: &dyn Store,
    pass: &Arc<Pass>,
    at: usize,
    link: LinkId,
    reason: String,
) -> Result<(), StoreError> {
    let pass = Arc::clone(pass);
    store::write_small(store, move |tx| {
        let Some(row) = tx.link(link)? else { return Ok(()) };
        tx.put_quarantine(&QuarantineRow {
            collection: pass.collection.name.clone(),
            upstream: pass.upstream(at).to_owned(),
            subject: local_subject(&row.record),
            stage: STAGE.into(),
            reason: reason.clone(),
            inputs: String::new(),
            since: pass.micros(),
            pass: pass.id,
        })
    })
    .await
}

/// What an earlier pass set aside is over where this one has not said so again: it is listed, or the answer is clear now.
async fn take_back(store: &dyn Store, pass: &Arc<Pass>, at: usize) -> Result<(), StoreError> {
    let job_pass = Arc::clone(pass);
    let aside = store::read(store, move |view| earlier(view, &job_pass, at)).await?;
    clear(store, aside).await
}

/// What earlier passes set aside here.
pub fn earlier(view: &dyn View, pass: &Pass, at: usize) -> Result<Vec<QuarantineRow>, StoreError> {
    let filter = QuarantineFilter {
        collection: Some(pass.collection.name.clone()),
        upstream: Some(pass.upstream(at).to_owned()),
        limit: SET_ASIDE_MAX,
        ..QuarantineFilter::default()
    };
    let mut aside = view.quarantined(&filter)?;
    aside.retain(|row| row.stage == STAGE && row.pass < pass.id);
    Ok(aside)
}

/// Takes these back.
pub async fn clear(store: &dyn Store, aside: Vec<QuarantineRow>) -> Result<(), StoreError> {
    if aside.is_empty() {
        return Ok(());
    }
    store::write(store, move |tx| {
        aside.iter().try_for_each(|row| tx.clear_quarantine(&row.collection, &row.upstream, &row.subject))
    })
    .await
}
