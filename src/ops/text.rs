//! Owns: how stored JSON and times go into answers; the difference of two texts, word by word.
//!
//! Must not know: what is answered.

use chrono::DateTime;
use serde_json::value::RawValue;
use similar::{ChangeTag, TextDiff};

/// JSON text as it is, for embedding in other JSON.
pub fn raw(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).ok()
}

/// A stored time as RFC 3339, for programs.
pub fn rfc3339(micros: i64) -> Option<String> {
    DateTime::from_timestamp_micros(micros).map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
}

/// What is gone and what is new between two texts, by words; neighbours of one kind are one.
pub fn word_changes(before: &str, after: &str) -> Vec<(ChangeTag, String)> {
    let mut all: Vec<(ChangeTag, String)> = Vec::new();
    for change in TextDiff::from_words(before, after).iter_all_changes() {
        match all.last_mut() {
            Some((tag, text)) if *tag == change.tag() => text.push_str(change.value()),
            _ => all.push((change.tag(), change.value().to_owned())),
        }
    }
    all
}
