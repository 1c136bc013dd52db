//! Owns: remote ids that a record had until it was made anew under another one: a list or cache that lags still shows them.
//!
//! Must not know: why it was made anew; what becomes of a stranger that is there indeed.

use std::sync::Arc;

use futures_util::StreamExt as _;
use xxhash_rust::xxh3::xxh3_64;

use crate::store::{self, BindingKey, LinkRow, Micros, OriginRow, Staged, StagedKind, Store, StoreError, Tx, View};
use crate::upstream::{self, Client, FailureKind, Got};

use super::context::{Pass, time};
use super::floor;

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
    tx.set_note(&note(link.binding, &link.remote_id), &now.to_string())
}

/// Whether a remote id was a record's before, and was given up.
pub fn is_one(view: &dyn View, binding: BindingKey, remote_id: &str) -> Result<bool, StoreError> {
    Ok(view.note(&note(binding, remote_id))?.is_some())
}

fn note(binding: BindingKey, remote_id: &str) -> String {
    format!("former id at {}: {remote_id}", binding.0)
}

/// Takes strangers out of staging that a moment ago were found gone, and replaced: they are what a list or cache still
/// shows, and a new record made of one would be a second one (I6, I16). Where a point read exists, it has the word; elsewhere
/// what is listed after the lag. Returns why they could not be asked for, if so: then nothing can be decided about the binding.
pub async fn keep_out(
    store: &dyn Store,
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    at: usize,
) -> Result<Option<String>, StoreError> {
    // A pass over single records meets no strangers.
    if pass.only.get().is_some() {
        return Ok(None);
    }
    let Some(rules) = pass.rules(at).cloned() else { return Ok(None) };
    let mut after = String::new();
    loop {
        let (job_pass, from) = (Arc::clone(pass), after.clone());
        let (last, strangers) = store::read(store, move |view| strangers(view, &job_pass, at, &from)).await?;
        let Some(last) = last else { return Ok(None) };
        after = last;
        let mut asked = upstream::get_each(client, &rules, strangers, |staged| Some(&staged.remote_id));
        while let Some((staged, answer)) = asked.next().await {
            let now = match answer {
                None | Some(Ok(Got::Missing | Got::Merged(_))) => None,
                Some(Ok(Got::Found(remote))) => Some(remote),
                Some(Err(failure)) if matches!(failure.kind, FailureKind::OtherRecord | FailureKind::TooLarge) => {
                    continue;
                }
                Some(Err(failure)) => {
                    let (id, words) = (&staged.remote_id, failure.words);
                    return Ok(Some(format!(
                        "{id} is listed, was gone a moment ago, and could not be asked for: {words}"
                    )));
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
    }
}

/// Of the next few strangers, those with a remote id that was given up lately; and where the few end.
fn strangers(
    view: &dyn View,
    pass: &Pass,
    at: usize,
    after: &str,
) -> Result<(Option<String>, Vec<Staged>), StoreError> {
    let rows = view.staged_unmatched(pass.binding_key(at), after, CHUNK)?;
    let last = rows.last().map(|row| row.remote_id.clone());
    let mut former = Vec::new();
    for staged in rows.into_iter().filter(|staged| staged.kind == StagedKind::Record) {
        let given_up =
            view.note(&note(staged.binding, &staged.remote_id))?.and_then(|text| text.parse::<Micros>().ok());
        if given_up.is_some_and(|given_up| given_up > floor::since(pass, at, time(staged.observed_at))) {
            former.push(staged);
        }
    }
    Ok((last, former))
}
