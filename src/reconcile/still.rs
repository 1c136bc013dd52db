//! Owns: naming the fields that stand still at one upstream: what cannot be read or said there, while the rest goes on.
//!
//! Must not know: why they cannot; writes.

use crate::merge::WriteOp;
use crate::record::{FieldError, RecordId, Value};
use crate::store::{HistoryRow, QuarantineFilter, QuarantineRow, StoreError, Tx, View};

use super::absence;
use super::apply::{self, Applied};
use super::context::{Pass, local_subject, remote_subject};
use super::gather::Gathered;

/// The stage under which fields are set aside.
const STAGE: &str = "fields";
/// Entries that are looked through at once.
const LOOK_AGAIN_CHUNK: usize = 1000;

/// A unit that stands still, with the reason.
#[derive(Clone, Debug)]
pub struct Still {
    /// The fields.
    pub fields: Vec<usize>,
    /// Which of them, and why.
    pub reason: String,
}

impl Still {
    /// A field that the upstream has no way to say.
    pub fn inexpressible(pass: &Pass, at: usize, field: usize, error: &FieldError) -> Self {
        let name = pass.collection.fields.get(field).map_or("?", |field| field.name.as_str());
        let reason = format!("{name} cannot be expressed at {}: {error}", pass.upstream(at));
        Self { fields: vec![field], reason }
    }

    /// A field that no declared transition takes from where it is there to where it is here.
    pub fn stuck(pass: &Pass, at: usize, field: usize, from: Option<&Value>, op: &WriteOp) -> Self {
        let name = pass.collection.fields.get(field).map_or("?", |field| field.name.as_str());
        let to = match op {
            WriteOp::Update(values) => values.iter().find(|(at, _)| *at == field).map(|(_, value)| value),
            WriteOp::Create(_) | WriteOp::Delete | WriteOp::Archive => None,
        };
        let quoted = |value: Option<&Value>| match value {
            None | Some(Value::Null) => "nothing".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        let from = from.map_or_else(|| "a state that is not known".to_owned(), |from| quoted(Some(from)));
        let reason = format!(
            "{name} cannot go from {from} to {} at {}: no `write.transition` does that",
            quoted(to),
            pass.upstream(at)
        );
        Self { fields: vec![field], reason }
    }
}

/// The one entry about a record at an upstream.
pub fn entry(view: &dyn View, pass: &Pass, at: usize, found: &Gathered) -> Result<Option<QuarantineRow>, StoreError> {
    let filter = QuarantineFilter {
        collection: Some(pass.collection.name.clone()),
        upstream: Some(pass.upstream(at).to_owned()),
        subject: Some(local_subject(&found.record)),
        after: None,
        limit: 1,
    };
    Ok(view.quarantined(&filter)?.into_iter().next())
}

/// Takes back an entry that is about a write (refused, or waiting), and neither about fields nor about whether the record is there.
pub fn forget_write(tx: &mut dyn Tx, row: &QuarantineRow) -> Result<(), StoreError> {
    if [STAGE, absence::STAGE].contains(&row.stage.as_str()) {
        return Ok(());
    }
    tx.clear_quarantine(&row.collection, &row.upstream, &row.subject)
}

/// Rules that are others now may let go what was set aside: each such record is looked at again. A write that would be the
/// same stays refused.
pub fn look_again(tx: &mut dyn Tx, pass: &Pass) -> Result<(), StoreError> {
    let mut filter = QuarantineFilter {
        collection: Some(pass.collection.name.clone()),
        limit: LOOK_AGAIN_CHUNK,
        ..QuarantineFilter::default()
    };
    let remote = remote_subject("");
    loop {
        let rows = tx.quarantined(&filter)?;
        let Some(last) = rows.last() else { return Ok(()) };
        filter.after = Some((last.collection.clone(), last.upstream.clone(), last.subject.clone()));
        for row in rows.into_iter().filter(|row| !row.subject.starts_with(&remote)) {
            apply::look_again(tx, pass, &RecordId(row.subject))?;
        }
    }
}

/// Names what stands still, or takes it back. An entry about a write that is left here is in force: it says why nothing at
/// all goes there.
pub fn name(
    tx: &mut dyn Tx,
    pass: &Pass,
    found: &Gathered,
    at: usize,
    still: &[Still],
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let before = entry(tx, pass, at, found)?;
    if before.as_ref().is_some_and(|row| row.stage != STAGE) {
        return Ok(());
    }
    if still.is_empty() {
        return tx.clear_quarantine(&pass.collection.name, pass.upstream(at), &local_subject(&found.record));
    }
    let reasons: Vec<&str> = still.iter().map(|one| one.reason.as_str()).collect();
    let reason = reasons.join("; ");
    let known = before.map(|row| row.reason).unwrap_or_default();
    if known == reason {
        return Ok(());
    }
    tx.put_quarantine(&QuarantineRow {
        collection: pass.collection.name.clone(),
        upstream: pass.upstream(at).to_owned(),
        subject: local_subject(&found.record),
        stage: STAGE.into(),
        reason,
        inputs: String::new(),
        since: pass.micros(),
        pass: pass.id,
    })?;
    // Told once, not in every pass that finds it so.
    for one in still.iter().filter(|one| !known.contains(&one.reason)) {
        tx.add_history(&told(pass, found, at, one))?;
        let note = Some(one.reason.clone());
        applied.changes.push(apply::change(pass, found, pass.upstream(at), "quarantine", Vec::new(), note));
    }
    Ok(())
}

fn told(pass: &Pass, found: &Gathered, at: usize, one: &Still) -> HistoryRow {
    HistoryRow {
        id: 0,
        pass: pass.id,
        at: pass.micros(),
        collection: pass.collection.name.clone(),
        record: found.record.clone(),
        field: apply::field_names(pass, &one.fields),
        kind: "quarantine".into(),
        origin: pass.upstream(at).to_owned(),
        target: None,
        rule: "blocked".into(),
        before: None,
        after: None,
        detail: Some(serde_json::json!({ "words": one.reason }).to_string()),
    }
}
