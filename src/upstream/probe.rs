//! Owns: finding records by what they say: did a create whose answer was lost happen?
//!
//! Must not know: intents, what is done with what is found.

use super::listing::ListWalk;
use super::point::{path_text, version_in};
use super::{Client, Failure, FailureKind, ListQuery, Remote};
use crate::record::{Path, Slot, Value};
use crate::rules::Binding;

/// Pages that a search reads, at most.
pub const SEARCH_PAGES_MAX: u64 = 2_000;

/// All live records whose mapped field has this value under its declared equality.
///
/// Here and in [`find_by_path`] everything is read; where it cannot be, the result is an error and never an empty list.
pub async fn find_by_field(
    client: &Client,
    binding: &Binding,
    field: usize,
    value: &Value,
) -> Result<Vec<Remote>, Failure> {
    let Some(map) = binding.mapper.field(field) else {
        let words = format!("a field of {} that is not mapped cannot be searched for", binding.collection);
        return Err(Failure::new(FailureKind::Fatal, words));
    };
    let matches = |raw: &[u8]| {
        let mapped = binding.mapper.read(raw).ok()?;
        match mapped.slots.get(field) {
            _ if mapped.deleted => Some(false),
            Some(Slot::Value(other)) => Some(map.domain.same(value, other)),
            Some(Slot::Absent) => Some(false),
            Some(Slot::Bad(_)) | None => None,
        }
    };
    find(client, binding, &matches).await
}

/// All records with this text (or number) at a path: the operation id of a create.
pub async fn find_by_path(client: &Client, binding: &Binding, path: &Path, text: &str) -> Result<Vec<Remote>, Failure> {
    find(client, binding, &|raw| Some(path_text(raw, path).as_deref() == Some(text))).await
}

/// Searches the listing. Of a record that `matches` cannot read nobody knows whether it is the one: that no other one is it
/// proves nothing then.
async fn find(
    client: &Client,
    binding: &Binding,
    matches: &(dyn Fn(&[u8]) -> Option<bool> + Send + Sync),
) -> Result<Vec<Remote>, Failure> {
    let mut walk = ListWalk::new(ListQuery::default());
    let (mut found, mut unreadable) = (Vec::new(), false);
    for _ in 0..SEARCH_PAGES_MAX {
        let Some(page) = walk.page(client, binding).await? else {
            if unreadable && found.is_empty() {
                let words = format!("the search through {} met a record that cannot be read", binding.collection);
                return Err(Failure::new(FailureKind::BadAnswer, words));
            }
            return Ok(found);
        };
        if !page.cut_down.is_empty() {
            let words = format!("the search through {} met a record that is too large to be read", binding.collection);
            return Err(Failure::new(FailureKind::TooLarge, words));
        }
        for range in page.records {
            let Some(raw) = page.body.get(range.clone()) else { continue };
            let is_it = matches(raw);
            unreadable |= is_it.is_none();
            if is_it != Some(true) {
                continue;
            }
            let version = version_in(binding, raw);
            found.push(Remote { raw: page.body.slice(range), version, observed_at: page.observed_at });
        }
    }
    let words = format!("the search through {} was given up after {SEARCH_PAGES_MAX} pages", binding.collection);
    Err(Failure::new(FailureKind::BadAnswer, words))
}
