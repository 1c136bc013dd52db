//! Owns: since when records are missing from listings that may skip some while their pages move.
//!
//! Must not know: what follows where they are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::merge::{self, LinkState};
use crate::store::{self, LinkId, LinkRow, Micros, Store, StoreError, View};
use crate::upstream::Site;

use super::contact;
use super::context::Pass;
use super::gather::lag;

/// Records that are kept in mind, at most; the others wait until there are fewer.
const KEPT_MAX: usize = 10_000;

/// Of the records that a listing begun at `started_at` does not show, those that no listing has shown for as long as one may
/// lag; and the ids of the others, whose time begins now or goes on.
pub async fn long_missing(
    store: &dyn Store,
    pass: &Arc<Pass>,
    at: usize,
    (started_at, missing): (Micros, Vec<(Site, LinkId)>),
) -> Result<(Vec<(Site, LinkId)>, Vec<String>), StoreError> {
    let name = format!("missing from the listing of {} at {}", pass.collection.name, pass.upstream(at));
    let asked = name.clone();
    let text = store::read(store, move |view| view.note(&asked)).await?.unwrap_or_default();
    let before: BTreeMap<String, Micros> = serde_json::from_str(&text).unwrap_or_default();
    let settled = started_at - lag(pass, at).num_microseconds().unwrap_or(0);
    let mut since = BTreeMap::new();
    let (gone, waiting): (Vec<_>, Vec<_>) = missing.into_iter().partition(|(site, _)| {
        let first = before.get(&site.remote_id).copied();
        if first.is_some() || since.len() < KEPT_MAX {
            since.insert(site.remote_id.clone(), first.unwrap_or(started_at));
        }
        first.is_some_and(|first| first < started_at && first <= settled)
    });
    if since != before {
        let text = serde_json::to_string(&since).unwrap_or_default();
        store::write_small(store, move |tx| tx.set_note(&name, &text)).await?;
    }
    Ok((gone, waiting.into_iter().map(|(site, _)| site.remote_id).collect()))
}

/// Keeps in mind which records the listing does not show without saying that they are gone.
pub async fn keep_unsure(
    store: &dyn Store,
    pass: &Arc<Pass>,
    at: usize,
    ids: BTreeSet<String>,
) -> Result<(), StoreError> {
    let job_pass = Arc::clone(pass);
    let before = store::read(store, move |view| unsure(view, &job_pass, at)).await?;
    let ids: BTreeSet<String> = ids.into_iter().take(KEPT_MAX).collect();
    if ids == before {
        return Ok(());
    }
    let (name, text) = (note(pass, at), serde_json::to_string(&ids).unwrap_or_default());
    store::write_small(store, move |tx| tx.set_note(&name, &text)).await
}

/// Why a stranger waits that has the match key of a record of which it is not known yet whether it is gone: it may be what that is
/// there now, and taken for a new one it would be here twice (I6).
pub fn may_stand_in(
    view: &dyn View,
    pass: &Pass,
    at: usize,
    texts: &[Option<String>],
) -> Result<Option<String>, StoreError> {
    let unsure = unsure(view, pass, at)?;
    let is_missing = |link: &LinkRow| {
        link.binding == pass.binding_key(at) && link.state == LinkState::Live && unsure.contains(&link.remote_id)
    };
    for (key, text) in texts.iter().enumerate().filter(|_| !unsure.is_empty()) {
        let Some(text) = text else { continue };
        let may_be = contact::with_text(view, pass, key, text, |record| {
            let Some(row) = view.row(&pass.collection, record)? else { return Ok(None) };
            let waits = view.links_of(record)?.iter().any(is_missing);
            Ok(waits.then(|| merge::match_key_texts(&pass.collection, &row)))
        })?;
        if let Some(record) = may_be.first() {
            let words =
                "may be record {}, which is missing from the listing: another listing tells whether that is gone";
            return Ok(Some(words.replace("{}", &record.0)));
        }
    }
    Ok(None)
}

fn unsure(view: &dyn View, pass: &Pass, at: usize) -> Result<BTreeSet<String>, StoreError> {
    let text = view.note(&note(pass, at))?.unwrap_or_default();
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

fn note(pass: &Pass, at: usize) -> String {
    format!("not shown by the listing of {} at {}", pass.collection.name, pass.upstream(at))
}
