//! Owns: whether an upstream was believed to say anew what it had been given another value for: an older listing was taken
//! for an edit (I3).
//!
//! Must not know: which fault showed the older listing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::store::SqliteStore;

use super::kin::{COMPANY, PARENT};

/// In the order of things: what was decided here, and what upstreams acknowledged.
const HISTORY: &str = "\
    SELECT record, kind, CASE kind WHEN 'push' THEN target ELSE origin END, rule, field, coalesce(after, ''), \
    coalesce(json_extract(detail, '$.op'), '') FROM sync_history \
    WHERE kind = 'local' OR (kind = 'push' AND rule = 'acknowledged') ORDER BY id";

/// A field of a record at an upstream.
type Place = (String, String, String);

/// What an upstream said of a field, and what it said before it was given something else.
#[derive(Default)]
struct Heard {
    said: BTreeSet<String>,
    over: BTreeSet<String>,
}

/// Looks through the history. Values are made once each, so whoever says one again did not say it anew; but for one host, which
/// may.
pub fn twice(store: &SqliteStore, but_for: &str, broken: &mut Vec<String>) {
    let mut heard: BTreeMap<Place, Heard> = BTreeMap::new();
    for row in store.rows_of(HISTORY).unwrap_or_default() {
        let [record, kind, upstream, rule, field, after, op] = row.as_slice() else { continue };
        if but_for.strip_suffix(".example.com") == Some(upstream) {
            continue;
        }
        if field.is_empty() && (kind == "local" || op != "update") {
            // It came, went, or was made anew: what follows is another story.
            heard.retain(|(of, _, _), _| of != record);
        }
        for (field, value) in values(field, after) {
            let place = (record.clone(), upstream.clone(), field.clone());
            let heard = heard.entry(place).or_default();
            if kind == "push" {
                heard.over.append(&mut heard.said);
                heard.over.remove(&value);
                heard.said.insert(value);
            } else if heard.over.contains(&value) && !matches!(rule.as_str(), "resolution" | "first_contact") {
                broken.push(format!("I3: {upstream} was believed to say {field} = {value} again ({rule})"));
            } else {
                heard.said.insert(value);
            }
        }
    }
}

/// The fields that a line of the history is about. Many refer to one. The greatest rank and all tags count, whoever says them;
/// a machine may take notes back; that there is nothing is no value made once.
fn values(fields: &str, after: &str) -> Vec<(String, String)> {
    let named: Vec<(String, Value)> = match serde_json::from_str(after) {
        Ok(Value::Object(members)) => members.into_iter().collect(),
        Ok(Value::Array(values)) => fields.split(',').map(str::to_owned).zip(values).collect(),
        _ => Vec::new(),
    };
    let counts = |name: &str, value: &Value| {
        !matches!(name, "rank" | "tags" | "note" | COMPANY | PARENT)
            && value.as_str().is_some_and(|text| !text.is_empty())
    };
    named
        .into_iter()
        .filter(|(name, value)| counts(name, value))
        .map(|(name, value)| (name, value.to_string()))
        .collect()
}
