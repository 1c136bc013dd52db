//! Owns: finding records by what they say: did a create whose answer was lost happen?
//!
//! Must not know: intents, what is done with what is found.

use super::listing::ListWalk;
use super::point::{path_text, version_in};
use super::{Client, Failure, FailureKind, Remote};
use crate::record::{Path, Slot, Value};
use crate::rules::Binding;

/// Pages that a search reads, at most.
pub const SEARCH_PAGES_MAX: u64 = 2_000;

/// All live records whose mapped field has this value under its declared equality; under the parent, where they are listed so.
///
/// Here and in [`find_by_path`] everything is read; where it cannot be, the result is an error and never an empty list.
pub async fn find_by_field(
    client: &Client,
    binding: &Binding,
    (field, value): (usize, &Value),
    parent: Option<&str>,
) -> Result<Vec<Remote>, Failure> {
    let Some(map) = binding.mapper.field(field) else {
        let words = format!("a field of {} that is not mapped cannot be searched for", binding.collection);
        return Err(Failure::new(FailureKind::Fatal, words));
    };
    let look = |raw: &[u8]| {
        let Ok(mapped) = binding.mapper.read(raw) else { return Sight::Unreadable };
        match mapped.slots.get(field) {
            _ if mapped.deleted => Sight::Deleted,
            Some(Slot::Value(other)) if map.domain.same(value, other) => Sight::It,
            Some(Slot::Value(_)) => Sight::Other,
            Some(Slot::Absent) => Sight::Silent,
            Some(Slot::Bad(_)) | None => Sight::Unreadable,
        }
    };
    find(client, binding, &map.name, parent, &look).await
}

/// All records with this text (or number) at a path: the operation id of a create. Others need not have one.
pub async fn find_by_path(
    client: &Client,
    binding: &Binding,
    (path, text): (&Path, &str),
    parent: Option<&str>,
) -> Result<Vec<Remote>, Failure> {
    let look = |raw: &[u8]| if path_text(raw, path).as_deref() == Some(text) { Sight::It } else { Sight::Other };
    find(client, binding, &path.to_string(), parent, &look).await
}

/// What a listed record says to a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// It is one that is searched for.
    It,
    /// It is none.
    Other,
    /// It is none any more.
    Deleted,
    /// It does not show what it is known by.
    Silent,
    /// It cannot be read.
    Unreadable,
}

/// Searches the listing. Of a record that cannot be read nobody knows whether it is the one: that no other one is it proves
/// nothing then. Nor does it where no record shows at all what it is known by: a summary, or a field that is not there any more. (That
/// some do not is how many an upstream says that they have none.)
async fn find(
    client: &Client,
    binding: &Binding,
    name: &str,
    parent: Option<&str>,
    look: &(dyn Fn(&[u8]) -> Sight + Send + Sync),
) -> Result<Vec<Remote>, Failure> {
    if parent.is_none() && binding.read.as_ref().is_some_and(|read| read.parent.is_some()) {
        let words = format!("{} is listed under parents, and nothing says under which to search", binding.collection);
        return Err(Failure::new(FailureKind::BadAnswer, words));
    }
    let mut walk = ListWalk::to_search(parent);
    let (mut found, mut met) = (Vec::new(), Vec::new());
    for _ in 0..SEARCH_PAGES_MAX {
        let Some(page) = walk.page(client, binding).await? else {
            let in_vain = found.is_empty().then(|| proves_nothing(&met, name)).flatten();
            return in_vain.map_or(Ok(found), |why| {
                let words = format!("the search through {} {why}", binding.collection);
                Err(Failure::new(FailureKind::BadAnswer, words))
            });
        };
        if !page.cut_down.is_empty() {
            let words = format!("the search through {} met a record that is too large to be read", binding.collection);
            return Err(Failure::new(FailureKind::TooLarge, words));
        }
        for range in page.records {
            let Some(raw) = page.body.get(range.clone()) else { continue };
            let sight = look(raw);
            if !met.contains(&sight) {
                met.push(sight);
            }
            if sight != Sight::It {
                continue;
            }
            let version = version_in(binding, raw);
            found.push(Remote { raw: page.body.slice(range), version, observed_at: page.observed_at });
        }
    }
    let words = format!("the search through {} was given up after {SEARCH_PAGES_MAX} pages", binding.collection);
    Err(Failure::new(FailureKind::BadAnswer, words))
}

/// Why a search that met such records and found nothing proves nothing.
fn proves_nothing(met: &[Sight], name: &str) -> Option<String> {
    if met.contains(&Sight::Unreadable) {
        Some("met a record that cannot be read".into())
    } else if met.contains(&Sight::Silent) && !met.contains(&Sight::Other) {
        Some(format!("proves nothing: what is listed shows no {name}"))
    } else {
        None
    }
}
