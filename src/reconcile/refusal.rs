//! Owns: telling that a person's resolution was not followed, in the history and in the report.
//!
//! Must not know: when a resolution is stale (that is `merge`).

use crate::merge::{Candidate, Decision, RecordPlan, Rule};
use crate::store::{ConflictRow, HistoryRow, StoreError, Tx};

use super::apply::field_names;
use super::context::Pass;
use super::gather::Gathered;

/// Writes down every choice that this plan did not follow; gives the words for the report. The conflict itself forgets the
/// choice when it is stated anew, so this happens once per choice.
pub fn note_refused(
    tx: &mut dyn Tx,
    pass: &Pass,
    found: &Gathered,
    plan: &RecordPlan,
) -> Result<Vec<String>, StoreError> {
    let mut notes = Vec::new();
    for decision in &plan.decisions {
        let Some((_, reason)) = decision.tried.iter().find(|(rule, _)| *rule == Rule::Resolution) else { continue };
        let names = field_names(pass, &decision.fields);
        let Some(row) = found.conflicts.iter().find(|row| row.fields == names) else { continue };
        let why = if reason.starts_with("stale") {
            format!("{} changed after it was given", moved(pass, found, plan, decision))
        } else {
            (*reason).to_owned()
        };
        let note = format!("the resolution of conflict {} was not applied: {why}", row.id);
        tx.add_history(&history(pass, found, row, &note))?;
        notes.push(note);
    }
    Ok(notes)
}

fn history(pass: &Pass, found: &Gathered, row: &ConflictRow, note: &str) -> HistoryRow {
    let detail = serde_json::json!({ "conflict": row.id, "note": note, "resolution": row.resolution });
    HistoryRow {
        id: 0,
        pass: pass.id,
        at: pass.micros(),
        collection: pass.collection.name.clone(),
        record: found.record.clone(),
        field: row.fields.clone(),
        kind: "resolve".into(),
        origin: "local".into(),
        target: None,
        rule: "refused".into(),
        before: None,
        after: None,
        detail: Some(detail.to_string()),
    }
}

/// The sides that say something else than when the conflict was stated.
fn moved(pass: &Pass, found: &Gathered, plan: &RecordPlan, decision: &Decision) -> String {
    let then = found.facts.frozen.iter().find(|freeze| freeze.fields == decision.fields);
    let now = plan.conflicts.iter().find(|conflict| conflict.fields == decision.fields);
    let (Some(then), Some(now)) = (then, now) else { return "a side".to_owned() };
    let says_as_before = |one: &Candidate, others: &[Candidate]| {
        others.iter().any(|other| other.origin == one.origin && same(pass, &decision.fields, one, other))
    };
    let mut names: Vec<&str> = now
        .candidates
        .iter()
        .filter(|one| !says_as_before(one, &then.candidates))
        .chain(then.candidates.iter().filter(|one| !says_as_before(one, &now.candidates)))
        .map(|one| one.origin.name())
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { "a side".to_owned() } else { names.join(" and ") }
}

/// About existence the values are the whole record, or nothing.
fn same(pass: &Pass, fields: &[usize], one: &Candidate, other: &Candidate) -> bool {
    let every: Vec<usize> = (0..pass.collection.fields.len()).collect();
    let fields = if fields.is_empty() { &every } else { fields };
    one.values.len() == other.values.len()
        && one.values.iter().zip(&other.values).zip(fields).all(|((one, other), at)| {
            pass.collection.fields.get(*at).is_some_and(|field| field.domain.same(one, other))
        })
}
