//! Owns: finding records by what they say: did a create whose answer was lost happen?
//!
//! Must not know: intents, what is done with what is found.

use std::sync::Arc;

use super::point::path_text;
use super::{Client, Failure, FailureKind, ListQuery, Lister, Remote};
use crate::record::{Path, Slot, Value};
use crate::rules::Binding;

/// Pages that a search reads, at most.
pub const SEARCH_PAGES_MAX: u64 = 2_000;

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// A mapped field (position) with this value under its declared equality.
    Field(usize, Value),
    /// This text (or number) at a path of the raw record: the operation id of a create.
    Text(Path, String),
}

/// All records that match, by reading the listing. An error, never an empty result, where not everything could be read.
pub async fn find(
    client: &Arc<Client>,
    binding: &Arc<Binding>,
    wanted: &Wanted,
    query: ListQuery,
) -> Result<Vec<Remote>, Failure> {
    let mut lister = Lister::new(client.clone(), binding.clone(), query);
    let mut found = Vec::new();
    for _ in 0..SEARCH_PAGES_MAX {
        let Some(page) = lister.page().await? else { return Ok(found) };
        for range in page.records {
            let Some(raw) = page.body.get(range.clone()) else { continue };
            if matches(binding, wanted, raw) {
                let version = super::point::version_in(binding, raw);
                found.push(Remote { raw: page.body.slice(range), version, observed_at: page.observed_at });
            }
        }
    }
    let words = format!("the search through {} was given up after {SEARCH_PAGES_MAX} pages", binding.collection);
    Err(Failure::new(FailureKind::BadAnswer, words))
}

fn matches(binding: &Binding, wanted: &Wanted, raw: &[u8]) -> bool {
    match wanted {
        Wanted::Text(path, text) => path_text(raw, path).as_ref() == Some(text),
        Wanted::Field(field, value) => {
            let Some(map) = binding.mapper.field(*field) else { return false };
            let Ok(mapped) = binding.mapper.read(raw) else { return false };
            let slot = mapped.slots.get(*field);
            !mapped.deleted && matches!(slot, Some(Slot::Value(other)) if map.domain.same(value, other))
        }
    }
}
