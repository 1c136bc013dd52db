//! Owns: conflicts as they are told: every side's say, what was chosen, how they ended.
//!
//! Must not know: how they are shown; how one is resolved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::rules::Ruleset;
use crate::store::{ConflictFilter, ConflictRow, HistoryFilter, HistoryRow, StoreError, View};

use super::names::name_of;
use super::text::{raw, rfc3339};

/// A conflict.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Conflict {
    /// Its number.
    pub id: i64,
    /// The collection.
    pub collection: String,
    /// The local record.
    pub record: String,
    /// What people know it by: the values of its match key; absent where it has none, or is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The fields that stand still; empty for the record's existence.
    pub fields: Vec<String>,
    /// `edit`, `oscillation`, `update_vs_delete`, `delete_queued`.
    pub kind: String,
    /// The values when the sides last agreed, one per field.
    pub base: Option<Box<RawValue>>,
    /// Every side's say.
    pub candidates: Vec<Candidate>,
    /// A choice that the next pass will apply.
    pub resolution: Option<Box<RawValue>>,
    /// Why the last choice was not followed, where none was made since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The pass that opened it.
    pub pass: i64,
    /// RFC 3339.
    pub opened_at: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
}

/// One side's say.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
pub struct Candidate {
    /// `local` or an upstream.
    pub origin: String,
    /// One value per field.
    pub values: Box<RawValue>,
    /// The source's own time, RFC 3339.
    pub source_time: Option<String>,
    /// When it was seen, RFC 3339.
    pub observed_at: Option<String>,
}

/// A candidate as the engine keeps it; times in microseconds.
#[derive(Deserialize)]
struct Kept {
    origin: String,
    values: Box<RawValue>,
    source_time: Option<i64>,
    observed_at: Option<i64>,
}

/// Candidates as the engine keeps them.
pub fn candidates(text: &str) -> Vec<Candidate> {
    let kept: Vec<Kept> = serde_json::from_str(text).unwrap_or_default();
    kept.into_iter()
        .map(|kept| Candidate {
            origin: kept.origin,
            values: kept.values,
            source_time: kept.source_time.and_then(rfc3339),
            observed_at: kept.observed_at.and_then(rfc3339),
        })
        .collect()
}

impl From<&ConflictRow> for Conflict {
    fn from(row: &ConflictRow) -> Self {
        Self {
            id: row.id,
            collection: row.collection.clone(),
            record: row.record.0.clone(),
            name: None,
            fields: row.fields.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            kind: row.kind.clone(),
            base: row.base.as_deref().and_then(raw),
            candidates: candidates(&row.candidates),
            resolution: row.resolution.as_deref().and_then(raw),
            refused: None,
            pass: row.pass,
            opened_at: rfc3339(row.opened_at),
            closed_at: row.closed.as_ref().and_then(|(at, _)| rfc3339(*at)),
            closed: row.closed.as_ref().map(|(_, how)| how.clone()),
        }
    }
}

impl Conflict {
    /// The conflict, with what the record's history (newest first) says about a choice that was not followed.
    pub fn with_history(row: &ConflictRow, history: &[HistoryRow]) -> Self {
        let refusals = history.iter().filter(|line| line.kind == "resolve").filter_map(|line| {
            let refusal: Refusal = serde_json::from_str(line.detail.as_deref()?).ok()?;
            (refusal.conflict == row.id).then_some(refusal.note)
        });
        let waits = row.closed.is_none() && row.resolution.is_none();
        Self { refused: refusals.into_iter().next().filter(|_| waits), ..Self::from(row) }
    }
}

/// What the engine notes down about a choice that it did not follow.
#[derive(Deserialize)]
struct Refusal {
    conflict: i64,
    note: String,
}

/// Conflicts with what their records' history says, newest last; with the names of records, where there are rules that say what
/// those are.
pub fn list_conflicts(
    view: &dyn View,
    rules: Option<&Ruleset>,
    filter: &ConflictFilter,
) -> Result<Vec<Conflict>, StoreError> {
    let mut conflicts = Vec::new();
    for row in view.conflicts(filter)? {
        let of_record = HistoryFilter { record: Some(row.record.clone()), ..HistoryFilter::default() };
        let name = match rules.and_then(|rules| rules.collections.get(&row.collection)) {
            Some(collection) => name_of(view, collection, &row.record)?,
            None => None,
        };
        conflicts.push(Conflict { name, ..Conflict::with_history(&row, &view.history(&of_record)?) });
    }
    Ok(conflicts)
}
