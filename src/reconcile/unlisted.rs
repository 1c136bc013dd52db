//! Owns: since when records are missing from listings that may skip some while their pages move.
//!
//! Must not know: what follows where they are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::{self, LinkId, Micros, Store, StoreError};
use crate::upstream::Site;

use super::context::Pass;
use super::gather::lag;

/// Records that are kept in mind, at most; the others wait until there are fewer.
const KEPT_MAX: usize = 10_000;

/// Of the records that a listing begun at `started_at` does not show, those that no listing has shown for as long as one may
/// lag; how many others there are, whose time begins now or goes on.
pub async fn long_missing(
    store: &dyn Store,
    pass: &Arc<Pass>,
    at: usize,
    (started_at, missing): (Micros, Vec<(Site, LinkId)>),
) -> Result<(Vec<(Site, LinkId)>, u64), StoreError> {
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
    Ok((gone, waiting.len() as u64))
}
