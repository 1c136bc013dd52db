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

/// What a search came to for one of the values that were searched for.
pub type FoundRecords = Result<Vec<Remote>, Failure>;

/// For each value all live records whose mapped field has it under its declared equality; under the parent, where they are listed
/// so. One walk through the listing is for all of them.
///
/// Here and in [`find_by_path`] everything is read; where it cannot be, the result is an error and never an empty list.
pub async fn find_by_field(
    client: &Client,
    binding: &Binding,
    (field, values): (usize, &[&Value]),
    parent: Option<&str>,
) -> Result<Vec<FoundRecords>, Failure> {
    let Some(map) = binding.mapper.field(field) else {
        let words = format!("a field of {} that is not mapped cannot be searched for", binding.collection);
        return Err(Failure::new(FailureKind::Fatal, words));
    };
    // One canonical form for each record, not one for each that it is held against.
    let wanted: Vec<Value> = values.iter().map(|value| map.domain.canonical(value)).collect();
    let look = |raw: &[u8]| {
        let Ok(mapped) = binding.mapper.read(raw) else { return Sight::Unreadable };
        match mapped.slots.get(field) {
            _ if mapped.deleted => Sight::Deleted,
            Some(Slot::Value(other)) => {
                let other = map.domain.canonical(other);
                let same = wanted.iter().enumerate().filter(|(_, value)| **value == other);
                Sight::Shows(same.map(|(at, _)| at).collect())
            }
            Some(Slot::Absent) => Sight::Silent,
            Some(Slot::Bad(_)) | None => Sight::Unreadable,
        }
    };
    find(client, binding, (&map.name, values.len()), parent, &look).await
}

/// For each text all records with it (or that number) at a path: the operation ids of creates. Others need not have one.
pub async fn find_by_path(
    client: &Client,
    binding: &Binding,
    (path, texts): (&Path, &[&str]),
    parent: Option<&str>,
) -> Result<Vec<FoundRecords>, Failure> {
    let look = |raw: &[u8]| {
        let there = path_text(raw, path);
        let same = texts.iter().enumerate().filter(|(_, text)| there.as_deref() == Some(**text));
        Sight::Shows(same.map(|(at, _)| at).collect())
    };
    find(client, binding, (&path.to_string(), texts.len()), parent, &look).await
}

/// What a listed record says to a search.
#[derive(Debug)]
enum Sight {
    /// It shows what it is known by, and is one that is searched for by these values.
    Shows(Vec<usize>),
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
    (name, count): (&str, usize),
    parent: Option<&str>,
    look: &(dyn Fn(&[u8]) -> Sight + Send + Sync),
) -> Result<Vec<FoundRecords>, Failure> {
    if parent.is_none() && binding.read.as_ref().is_some_and(|read| read.parent.is_some()) {
        let words = format!("{} is listed under parents, and nothing says under which to search", binding.collection);
        return Err(Failure::new(FailureKind::BadAnswer, words));
    }
    let mut walk = ListWalk::to_search(parent);
    let (mut found, mut met) = (vec![Vec::new(); count], Met::default());
    for _ in 0..SEARCH_PAGES_MAX {
        let Some(page) = walk.page(client, binding).await? else {
            let in_vain = met.proves_nothing(name).map(|why| {
                let words = format!("the search through {} {why}", binding.collection);
                Failure::new(FailureKind::BadAnswer, words)
            });
            let told = |found: Vec<Remote>| match &in_vain {
                Some(failure) if found.is_empty() => Err(failure.clone()),
                _ => Ok(found),
            };
            return Ok(found.into_iter().map(told).collect());
        };
        if !page.cut_down.is_empty() {
            let words = format!("the search through {} met a record that is too large to be read", binding.collection);
            return Err(Failure::new(FailureKind::TooLarge, words));
        }
        for range in page.records {
            let Some(raw) = page.body.get(range.clone()) else { continue };
            for at in met.note(look(raw)) {
                let version = version_in(binding, raw);
                let remote = Remote { raw: page.body.slice(range.clone()), version, observed_at: page.observed_at };
                if let Some(found) = found.get_mut(at) {
                    found.push(remote);
                }
            }
        }
    }
    let words = format!("the search through {} was given up after {SEARCH_PAGES_MAX} pages", binding.collection);
    Err(Failure::new(FailureKind::BadAnswer, words))
}

/// What a search has met.
#[derive(Default)]
struct Met {
    shows: bool,
    silent: bool,
    unreadable: bool,
}

impl Met {
    /// The values by which it is one that is searched for.
    fn note(&mut self, sight: Sight) -> Vec<usize> {
        match sight {
            Sight::Shows(values) => {
                self.shows = true;
                return values;
            }
            Sight::Silent => self.silent = true,
            Sight::Unreadable => self.unreadable = true,
            Sight::Deleted => {}
        }
        Vec::new()
    }

    /// Why it proves nothing that nothing was found.
    fn proves_nothing(&self, name: &str) -> Option<String> {
        if self.unreadable {
            Some("met a record that cannot be read".into())
        } else if self.silent && !self.shows {
            Some(format!("proves nothing: what is listed shows no {name}"))
        } else {
            None
        }
    }
}
