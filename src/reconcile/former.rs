//! Owns: remote ids that a record had until it was made anew under another one: a list or cache that lags still shows them.
//!
//! Must not know: why it was made anew; what becomes of a stranger that is there indeed.

use std::sync::Arc;

use futures_util::StreamExt as _;
use roaring::RoaringTreemap;
use xxhash_rust::xxh3::xxh3_64;

use crate::merge::{self, Evidence, LinkState};
use crate::record::RecordId;
use crate::rules::Binding;
use crate::store::{self, BindingKey, LinkRow, Micros, OriginRow, Staged, StagedKind, Store, StoreError, Tx, View};
use crate::upstream::{self, Client, Failure, FailureKind, Got};

use super::context::{Pass, time};
use super::floor;
use super::sites;

/// Strangers looked at between two awaits.
const CHUNK: usize = 1000;

/// Gives up a link whose record is tied to another remote record from now on, and remembers the remote id that was its; and, where
/// the record came in with it, that: else what nobody edited here would pass for a local edit of now.
pub fn give_up(tx: &mut dyn Tx, pass: &Pass, link: &LinkRow) -> Result<(), StoreError> {
    let made = link.made.zip(pass.position(link.binding));
    if let Some((made, at)) = made
        && tx.origins(pass.key, &link.record)?.iter().all(|row| !row.field.is_empty())
    {
        let row = OriginRow {
            field: String::new(),
            origin: pass.upstream(at).to_owned(),
            source_time: made.source_time,
            observed_at: made.observed_at,
            pass: made.pass,
            rule: "first_contact".into(),
        };
        tx.set_origins(pass.key, &link.record, &[row])?;
    }
    tx.drop_link(link.link)?;
    remember(tx, pass, link)
}

/// Remembers the remote id of a link that leads to another one from now on: not since the pass began, for as long as listings
/// need not show the other one, they may show this.
pub fn remember(tx: &mut dyn Tx, pass: &Pass, link: &LinkRow) -> Result<(), StoreError> {
    let now = pass.clock.now().timestamp_micros();
    tx.set_note(&note(link.binding, &link.remote_id), &format!("{now} {}", link.record.0))
}

/// When a remote id was given up, and the record that it was.
fn given_up(view: &dyn View, binding: BindingKey, remote_id: &str) -> Result<Option<(Micros, RecordId)>, StoreError> {
    let text = view.note(&note(binding, remote_id))?;
    Ok(text.and_then(|text| {
        let (at, record) = text.split_once(' ').unwrap_or((&text, ""));
        Some((at.parse().ok()?, RecordId(record.to_owned())))
    }))
}

/// Whether a remote id was a record's before, and was given up.
pub fn is_one(view: &dyn View, binding: BindingKey, remote_id: &str) -> Result<bool, StoreError> {
    Ok(view.note(&note(binding, remote_id))?.is_some())
}

/// The record that a stranger was, which is tied to another one there by now, as both are there: taken for a new one it would be
/// here twice, and then everywhere (I6). With the words for the person who deletes one of the two. None where what it says is that
/// it is another one.
pub fn doubles(
    view: &dyn View,
    pass: &Pass,
    at: usize,
    staged: &Staged,
) -> Result<Option<(RecordId, String)>, StoreError> {
    let Some((_, record)) = given_up(view, staged.binding, &staged.remote_id)? else { return Ok(None) };
    let is_tied = |link: &LinkRow| link.binding == staged.binding && link.state == LinkState::Live;
    let Some(link) = view.links_of(&record)?.into_iter().find(is_tied) else { return Ok(None) };
    let (Some(row), Some(rules)) = (view.row(&pass.collection, &record)?, pass.rules(at)) else { return Ok(None) };
    let said = rules.mapper.read(&staged.raw).map(|mapped| mapped.slots).unwrap_or_default();
    let texts = [said, row].map(|slots| merge::match_key_texts(&pass.collection, &slots));
    let [theirs, ours] = &texts;
    let told = || theirs.iter().zip(ours).filter_map(|(theirs, ours)| Some(theirs.as_ref()? == ours.as_ref()?));
    if told().any(|same| !same) && !told().any(|same| same) {
        return Ok(None);
    }
    let words = format!(
        "it was record {}, which was made there anew as {} and is that now: delete one of the two there",
        record.0, link.remote_id
    );
    Ok(Some((record, words)))
}

fn note(binding: BindingKey, remote_id: &str) -> String {
    format!("former id at {}: {remote_id}", binding.0)
}

/// A stranger with a remote id that was a record's.
struct Former {
    staged: Staged,
    /// The id was given up lately: a list or cache may lag so far.
    lately: bool,
    /// What the record is tied to instead, where that was not listed either, nor found gone.
    unlisted: Option<LinkRow>,
}

/// Takes strangers out of staging that were a record's, and replaced, where they are what a list or cache still shows, or
/// where what replaced them may be gone: a new record made of one would be a second one (I6, I16). Where a point read exists,
/// it has the word; elsewhere what is listed after the lag. `listed`: the links that the listing showed. Returns why they could
/// not be asked for, if so: then nothing can be decided about the binding.
pub async fn keep_out(
    store: &dyn Store,
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    at: usize,
    listed: &Arc<RoaringTreemap>,
) -> Result<Option<String>, StoreError> {
    // A pass over single records meets no strangers.
    if pass.only.get().is_some() {
        return Ok(None);
    }
    let Some(rules) = pass.rules(at).cloned() else { return Ok(None) };
    let mut after = String::new();
    loop {
        let (job_pass, job_listed, from) = (Arc::clone(pass), Arc::clone(listed), after.clone());
        let look = move |view: &dyn View| strangers(view, &job_pass, at, (&job_listed, &from));
        let (last, former) = store::read(store, look).await?;
        let Some(last) = last else { return Ok(None) };
        after = last;
        let can_get = upstream::has_point_read(&rules);
        let replaced: Vec<LinkRow> = former.iter().filter_map(|one| one.unlisted.clone()).collect();
        let doubted = former.into_iter().filter(|one| one.lately || !can_get).map(|one| one.staged).collect();
        if let Some(failed) = ask_whether_shown(store, client, &rules, doubted).await? {
            return Ok(Some(failed));
        }
        if can_get && let Some(failed) = ask_whether_gone(store, client, &rules, pass, replaced).await? {
            return Ok(Some(failed));
        }
    }
}

/// Asks for what is listed under former ids; what is not there, or cannot be asked for at all, is taken out.
async fn ask_whether_shown(
    store: &dyn Store,
    client: &Arc<Client>,
    rules: &Arc<Binding>,
    doubted: Vec<Staged>,
) -> Result<Option<String>, StoreError> {
    let mut asked = upstream::get_each(client, rules, doubted, |staged| Some(sites::of_staged(rules, staged)));
    while let Some((staged, answer)) = asked.next().await {
        let now = match answer {
            None | Some(Ok(Got::Missing | Got::Astray(_) | Got::Merged(_))) => None,
            Some(Ok(Got::Found(remote))) => Some(remote),
            Some(Err(failure)) if is_its_own(&failure) => continue,
            Some(Err(failure)) => {
                let (id, words) = (&staged.remote_id, failure.words);
                return Ok(Some(format!("{id} is listed, was gone a moment ago, and could not be asked for: {words}")));
            }
        };
        store::write_small(store, move |tx| match &now {
            None => tx.unstage(staged.binding, &staged.remote_id),
            Some(remote) => tx.stage(&Staged {
                fingerprint: xxh3_64(&remote.raw),
                raw: remote.raw.to_vec(),
                version: remote.version.clone(),
                observed_at: remote.observed_at.timestamp_micros(),
                ..staged.clone()
            }),
        })
        .await?;
    }
    Ok(None)
}

/// Asks for what records of former ids are tied to instead. What is gone is staged so: then the former id is the record's again.
async fn ask_whether_gone(
    store: &dyn Store,
    client: &Arc<Client>,
    rules: &Arc<Binding>,
    pass: &Arc<Pass>,
    replaced: Vec<LinkRow>,
) -> Result<Option<String>, StoreError> {
    let mut asked = upstream::get_each(client, rules, replaced, |link| Some(sites::of_link(rules, link)));
    while let Some((link, answer)) = asked.next().await {
        match answer {
            Some(Ok(Got::Missing)) => {}
            None | Some(Ok(Got::Found(_) | Got::Astray(_) | Got::Merged(_))) => continue,
            Some(Err(failure)) if is_its_own(&failure) => continue,
            Some(Err(failure)) => {
                let (id, words) = (&link.remote_id, failure.words);
                return Ok(Some(format!(
                    "the id that {id} replaced is listed, and {id} could not be asked for: {words}"
                )));
            }
        }
        let gone = Staged {
            binding: link.binding,
            remote_id: link.remote_id,
            collection: pass.key,
            record: Some(link.record),
            kind: StagedKind::Gone(Evidence::AbsenceConfirmed),
            fingerprint: xxh3_64(b""),
            raw: Vec::new(),
            version: None,
            observed_at: pass.clock.now().timestamp_micros(),
            parked: None,
        };
        store::write_small(store, move |tx| tx.stage(&gone)).await?;
    }
    Ok(None)
}

fn is_its_own(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::OtherRecord | FailureKind::TooLarge)
}

/// Of the next few strangers, those with a remote id that was given up, and that may be the record's still or again; and where
/// the few end.
fn strangers(
    view: &dyn View,
    pass: &Pass,
    at: usize,
    (listed, after): (&RoaringTreemap, &str),
) -> Result<(Option<String>, Vec<Former>), StoreError> {
    let rows = view.staged_unmatched(pass.binding_key(at), after, CHUNK)?;
    let last = rows.last().map(|row| row.remote_id.clone());
    let can_get = pass.rules(at).is_some_and(|rules| upstream::has_point_read(rules));
    let mut former = Vec::new();
    for staged in rows.into_iter().filter(|staged| staged.kind == StagedKind::Record) {
        let Some((given_up, record)) = given_up(view, staged.binding, &staged.remote_id)? else { continue };
        let successor = successor(view, staged.binding, &record, listed)?;
        // A list that is from before it was replaced would not show what replaced it, either; that this is gone says that the list
        // is not, unless the upstream can be asked.
        let is_gone = matches!(successor, Successor::Gone) && !can_get;
        let lately = given_up > floor::since(pass, at, time(staged.observed_at)) && !is_gone;
        let unlisted = if let Successor::Unlisted(link) = successor { Some(*link) } else { None };
        if lately || unlisted.is_some() {
            former.push(Former { staged, lately, unlisted });
        }
    }
    Ok((last, former))
}

/// What a record is tied to that had another remote id before.
enum Successor {
    /// Nothing, or the listing showed it.
    Listed,
    /// This; the listing did not show it, and nothing says what became of it.
    Unlisted(Box<LinkRow>),
    /// It is gone.
    Gone,
}

fn successor(
    view: &dyn View,
    binding: BindingKey,
    record: &RecordId,
    listed: &RoaringTreemap,
) -> Result<Successor, StoreError> {
    let is_tied = |link: &LinkRow| link.binding == binding && link.state == LinkState::Live;
    let Some(link) = view.links_of(record)?.into_iter().find(is_tied) else { return Ok(Successor::Listed) };
    Ok(match view.staged(binding, &link.remote_id)? {
        Some(staged) if matches!(staged.kind, StagedKind::Gone(_)) => Successor::Gone,
        None if !listed.contains(link.link.0.unsigned_abs()) => Successor::Unlisted(Box::new(link)),
        Some(_) | None => Successor::Listed,
    })
}
