//! Owns: records that a listing did not show without saying that they are gone, and since when: pages may have moved, or the
//! listing lags.
//!
//! Must not know: what follows where they are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::merge::{self, LinkState};
use crate::store::{self, BindingKey, LinkId, LinkRow, Micros, Store, StoreError, View};
use crate::upstream::Site;

use super::contact;
use super::context::Pass;
use super::gather::lag;

/// Records that are kept in mind, at most; the others wait until there are fewer.
const KEPT_MAX: usize = 10_000;

/// Of the records that a listing begun at `started_at` does not show, those that no listing has shown for as long as one may
/// lag; how many others there are, whose time begins now or goes on. What is `unsure` is kept in mind with them, and has no time.
pub async fn long_missing(
    store: &dyn Store,
    pass: &Arc<Pass>,
    at: usize,
    (started_at, missing): (Micros, Vec<(Site, LinkId)>),
    unsure: BTreeSet<String>,
) -> Result<(Vec<(Site, LinkId)>, u64), StoreError> {
    let job_pass = Arc::clone(pass);
    let before = store::read(store, move |view| Unsure::of(view, &job_pass, at)).await?.since;
    let settled = started_at - lag(pass, at).num_microseconds().unwrap_or(0);
    let mut since: BTreeMap<String, Option<Micros>> = unsure.into_iter().take(KEPT_MAX).map(|id| (id, None)).collect();
    let (gone, waiting): (Vec<_>, Vec<_>) = missing.into_iter().partition(|(site, _)| {
        let first = before.get(&site.remote_id).copied().flatten();
        if first.is_some() || since.len() < KEPT_MAX {
            since.insert(site.remote_id.clone(), first.or(Some(started_at)));
        }
        first.is_some_and(|first| first < started_at && first <= settled)
    });
    if since != before {
        let (name, text) = (note(pass, at), serde_json::to_string(&since).unwrap_or_default());
        store::write_small(store, move |tx| tx.set_note(&name, &text)).await?;
    }
    Ok((gone, waiting.len() as u64))
}

/// The records of a binding of which it is not known whether they are gone.
#[derive(Debug)]
pub struct Unsure {
    binding: BindingKey,
    /// By remote id, when the first of the listings began that are to agree on it.
    since: BTreeMap<String, Option<Micros>>,
}

impl Unsure {
    /// As the last whole listing left them.
    pub fn of(view: &dyn View, pass: &Pass, at: usize) -> Result<Self, StoreError> {
        let text = view.note(&note(pass, at))?.unwrap_or_default();
        Ok(Self { binding: pass.binding_key(at), since: serde_json::from_str(&text).unwrap_or_default() })
    }

    /// Why a stranger waits that has the match key of one of them: it may be what that is there now, and taken for a new one it
    /// would be here twice (I6).
    pub fn stood_in_for(
        &self,
        view: &dyn View,
        pass: &Pass,
        texts: &[Option<String>],
    ) -> Result<Option<String>, StoreError> {
        let is_one = |link: &LinkRow| {
            link.binding == self.binding && link.state == LinkState::Live && self.since.contains_key(&link.remote_id)
        };
        for (key, text) in texts.iter().enumerate().filter(|_| !self.since.is_empty()) {
            let Some(text) = text else { continue };
            let may_be = contact::with_text(view, pass, key, text, |record| {
                let Some(row) = view.row(&pass.collection, record)? else { return Ok(None) };
                let waits = view.links_of(record)?.iter().any(is_one);
                Ok(waits.then(|| merge::match_key_texts(&pass.collection, &row)))
            })?;
            if let Some(record) = may_be.first() {
                return Ok(Some(format!(
                    "may be record {}, which is missing from the listing: another listing tells whether that is gone",
                    record.0
                )));
            }
        }
        Ok(None)
    }
}

fn note(pass: &Pass, at: usize) -> String {
    format!("missing from the listing of {} at {}", pass.collection.name, pass.upstream(at))
}
