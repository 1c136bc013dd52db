//! Owns: which local record an unlinked remote record is, by match keys.
//!
//! Must not know: where the local records are kept; the lookup is the caller's.

use std::collections::BTreeSet;

use crate::record::{RecordId, Slot, Value};
use crate::rules::Collection;

/// Which local record a remote record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// None that is known: a new record.
    Unmatched,
    /// Exactly this one.
    One(RecordId),
    /// Several, in order of their ids: a person decides, never the first (s5).
    Ambiguous(Vec<RecordId>),
}

/// Separates the texts of a key's fields; taken out of the texts themselves, so that two keys never collide by joining.
const SEPARATOR: char = '\u{1f}';

/// The joined text of each match key of a record: what the store's index holds. `None` where any field of the key is empty,
/// a placeholder (which never matches, s6), not shown or unreadable.
pub fn match_key_texts(collection: &Collection, slots: &[Slot]) -> Vec<Option<String>> {
    key_texts(collection, |field| slots.get(field).and_then(Slot::value))
}

fn key_texts<'v>(collection: &Collection, value: impl Fn(usize) -> Option<&'v Value>) -> Vec<Option<String>> {
    let text = |field: usize| {
        let text = collection.fields[field].domain.match_text(value(field)?)?;
        Some(text.replace(SEPARATOR, " "))
    };
    let joined = |key: &Vec<usize>| {
        let texts: Option<Vec<String>> = key.iter().map(|&field| text(field)).collect();
        texts.filter(|texts| !texts.is_empty()).map(|texts| texts.join(&SEPARATOR.to_string()))
    };
    collection.match_keys.iter().map(joined).collect()
}

/// Matches an unlinked remote record by its texts (see [`match_key_texts`]). `lookup(key, text)` returns the local records that have this text for this match
/// key and no link, in any state, at the binding in question. Keys are tried in order; the first that finds anything
/// decides, so a weaker key never overrules a stronger one.
pub fn match_identity(texts: &[Option<String>], mut lookup: impl FnMut(usize, &str) -> Vec<RecordId>) -> Identity {
    for (key, text) in texts.iter().enumerate() {
        let Some(text) = text else { continue };
        let found: Vec<RecordId> = lookup(key, text).into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        match found.as_slice() {
            [] => {}
            [only] => return Identity::One(only.clone()),
            [_, _, ..] => return Identity::Ambiguous(found),
        }
    }
    Identity::Unmatched
}
