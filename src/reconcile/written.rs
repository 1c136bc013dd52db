//! Owns: the line of history of a write that settled: what it sent, and what that took the place of.
//!
//! Must not know: how writes settle.

use crate::record::Value;
use crate::store::{HistoryRow, IntentRow, StoreError, Tx};
use crate::upstream::SendOp;

use super::base::{self, Pair};
use super::context::Pass;

/// What an acknowledged write took the place of, as far as the sides had agreed on it: of an update the fields that it sent, of
/// a removal all that were known there (I3).
pub fn replaced(pass: &Pass, op: SendOp, old: &Pair, sent: &[(usize, Value)]) -> Option<String> {
    let agreed = |field: usize| Some((field, old.hub.get(field)?.clone()?));
    let values: Vec<(usize, Value)> = match op {
        SendOp::Create => return None,
        SendOp::Update => sent.iter().filter_map(|(field, _)| agreed(*field)).collect(),
        SendOp::Delete | SendOp::Archive => (0..old.hub.len()).filter_map(agreed).collect(),
    };
    Some(base::values_to_text(&pass.collection, &values))
}

/// Tells of a write that settled.
pub fn tell(
    tx: &mut dyn Tx,
    pass: &Pass,
    intent: &IntentRow,
    (kind, rule): (&str, &str),
    before: Option<String>,
    words: Option<&str>,
) -> Result<(), StoreError> {
    let detail = serde_json::json!({ "op": intent.op, "key": intent.key, "words": words });
    tx.add_history(&HistoryRow {
        id: 0,
        pass: pass.id,
        at: pass.clock.now().timestamp_micros(),
        collection: intent.collection.clone(),
        record: intent.record.clone(),
        field: String::new(),
        kind: kind.to_owned(),
        origin: "local".into(),
        target: Some(intent.upstream.clone()),
        rule: rule.to_owned(),
        before,
        after: Some(intent.values.clone()),
        detail: Some(detail.to_string()),
    })
}
