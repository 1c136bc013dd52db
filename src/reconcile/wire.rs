//! Owns: the JSON texts that the engine keeps in the store for conflicts, resolutions and history.
//!
//! Must not know: when they are written.

use chrono::{DateTime, Utc};

use crate::merge::{Candidate, ConflictKind, Resolution, Rule};
use crate::record::{Json, Value};
use crate::rules::{Collection, Origin};
use crate::store::{Micros, StoreError};

use super::context::time;

/// Candidates as a JSON array of `{origin, values, source_time, observed_at}`; times in microseconds.
pub fn candidates_to_text(candidates: &[Candidate]) -> String {
    Json::Array(candidates.iter().map(candidate_to_json).collect()).to_string()
}

fn candidate_to_json(candidate: &Candidate) -> Json {
    let micros = |at: DateTime<Utc>| Json::Number(at.timestamp_micros().to_string());
    Json::Object(vec![
        ("origin".into(), Json::String(candidate.origin.name().to_owned())),
        ("values".into(), values_to_json(&candidate.values)),
        ("source_time".into(), candidate.source_time.map_or(Json::Null, micros)),
        ("observed_at".into(), micros(candidate.observed_at)),
    ])
}

/// Values as a JSON array in canonical form.
pub fn values_to_json(values: &[Value]) -> Json {
    Json::Array(values.iter().map(Value::to_json).collect())
}

/// The inverse of [`candidates_to_text`]. Candidates whose values no longer fit the fields' types are left out.
pub fn candidates_from_text(
    collection: &Collection,
    fields: &[usize],
    text: &str,
) -> Result<Vec<Candidate>, StoreError> {
    let Json::Array(items) = parse("a conflict's candidates", text)? else { return Ok(Vec::new()) };
    let every: Vec<usize> = (0..collection.fields.len()).collect();
    Ok(items
        .iter()
        .filter_map(|item| {
            let values = item.get("values")?;
            // About existence a holder says the whole record, a deleter nothing.
            let whole = fields.is_empty() && !matches!(values, Json::Array(none) if none.is_empty());
            let fields = if whole { &every } else { fields };
            Some(Candidate {
                origin: Origin::from_name(item.get("origin")?.as_str()?),
                values: values_from_json(collection, fields, values)?,
                source_time: item.get("source_time").and_then(micros).map(time),
                observed_at: item.get("observed_at").and_then(micros).map(time)?,
            })
        })
        .collect())
}

/// One value per field, or `None` where a value does not fit.
pub fn values_from_json(collection: &Collection, fields: &[usize], json: &Json) -> Option<Vec<Value>> {
    let Json::Array(items) = json else { return None };
    if items.len() != fields.len() {
        return None;
    }
    fields
        .iter()
        .zip(items)
        .map(|(at, item)| Value::from_json(&collection.fields.get(*at)?.domain.ty, item).ok())
        .collect()
}

fn micros(json: &Json) -> Option<Micros> {
    match json {
        Json::Number(token) => token.parse().ok(),
        _ => None,
    }
}

/// A person's choice: `{"take":"crm"}`, `{"values":[…]}`, `{"delete":true}`, `{"keep":true}`.
/// `None` where it does not fit the conflict (the rules changed since): the conflict stays open.
pub fn resolution_from_text(
    collection: &Collection,
    fields: &[usize],
    text: &str,
) -> Result<Option<Resolution>, StoreError> {
    let json = parse("a resolution", text)?;
    if let Some(origin) = json.get("take").and_then(Json::as_str) {
        return Ok(Some(Resolution::Take(Origin::from_name(origin))));
    }
    if let Some(values) = json.get("values") {
        return Ok(values_from_json(collection, fields, values).map(Resolution::Values));
    }
    if json.get("delete").is_some() {
        return Ok(Some(Resolution::Delete));
    }
    Ok(json.get("keep").map(|_| Resolution::Keep))
}

/// A rule as history shows it: `one_side`, `policy: latest`.
pub fn rule_name(rule: &Rule) -> String {
    match rule {
        Rule::OneSide => "one_side".into(),
        Rule::SameValue => "same_value".into(),
        Rule::FirstContact => "first_contact".into(),
        Rule::Policy(name) => format!("policy: {name}"),
        Rule::Owner => "owner".into(),
        Rule::Resolution => "resolution".into(),
        Rule::Deleted(evidence) => format!("deleted: {}", evidence_name(*evidence)),
        Rule::LocalDelete => "local_delete".into(),
        Rule::DeletePolicy(name) => name.clone(),
        Rule::Frozen => "frozen".into(),
        Rule::SetBack => "set_back".into(),
        Rule::Blocked(reason) => format!("blocked: {reason}"),
    }
}

fn evidence_name(evidence: crate::merge::Evidence) -> &'static str {
    use crate::merge::Evidence;
    match evidence {
        Evidence::Tombstone => "tombstone",
        Evidence::AbsenceConfirmed => "absence_confirmed",
        Evidence::WebhookConfirmed => "webhook_confirmed",
        Evidence::EventConfirmed => "event_confirmed",
        Evidence::Absence => "absence",
        Evidence::WriteFoundNothing => "write_found_nothing",
        Evidence::IdReused => "id_reused",
    }
}

fn parse(what: &str, text: &str) -> Result<Json, StoreError> {
    Json::parse(text.as_bytes()).map_err(|error| StoreError::State { what: what.into(), reason: error.to_string() })
}

/// What a conflict is about, as the store and people are told.
pub fn kind_name(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Edit => "edit",
        ConflictKind::Oscillation => "oscillation",
        ConflictKind::UpdateVsDelete => "update_vs_delete",
        ConflictKind::DeleteQueued => "delete_queued",
    }
}

/// The inverse of [`kind_name`].
pub fn conflict_kind(name: &str) -> ConflictKind {
    let all = [ConflictKind::Oscillation, ConflictKind::UpdateVsDelete, ConflictKind::DeleteQueued];
    all.into_iter().find(|kind| kind_name(*kind) == name).unwrap_or(ConflictKind::Edit)
}
