//! Owns: the edits of an undo: rows as a person would edit them, with a hint for the next pass, and the lines of history.
//!
//! Must not know: why a row is edited.

use crate::reconcile::values_to_text;
use crate::record::{Json, RecordId, Value};
use crate::rules::Collection;
use crate::store::{CollectionKey, DirtyOp, HistoryRow, Micros, StoreError, Tx};

use super::plan::{Change, Edit, Planned, filled};
use super::report::{UndoneLeft, Why};

/// What all edits of an undo share.
#[derive(Clone, Copy)]
pub(super) struct Hand<'a> {
    /// The rules.
    pub collection: &'a Collection,
    /// Its key.
    pub key: CollectionKey,
    /// The pass that is taken back.
    pub run: i64,
    /// The undo's own number.
    pub pass: i64,
    /// The time.
    pub now: Micros,
}

/// Makes the edits that the tables take. One that is in the way of another (a unique value) has its turn after that one; what
/// is refused in the end stays, with the reason. Returns those that were made.
pub(super) fn make(
    tx: &mut dyn Tx,
    hand: Hand<'_>,
    mut planned: Vec<Planned>,
) -> Result<(Vec<Planned>, Vec<UndoneLeft>), StoreError> {
    let mut made = Vec::new();
    loop {
        let (before, mut refused) = (planned.len(), Vec::new());
        for one in planned {
            match edit(tx, hand, &one) {
                Ok(()) => made.push(one),
                Err(StoreError::Constraint { table, reason }) => refused.push((one, format!("{table}: {reason}"))),
                Err(error) => return Err(error),
            }
        }
        if refused.is_empty() || refused.len() == before {
            return Ok((made, refused.into_iter().map(|(one, reason)| left(hand, &one, &reason)).collect()));
        }
        planned = refused.into_iter().map(|(one, _)| one).collect();
    }
}

fn left(hand: Hand<'_>, one: &Planned, reason: &str) -> UndoneLeft {
    let fields = match &one.edit {
        Some(Edit::Update(changes)) => changes.iter().map(|change| names(hand.collection, change)).collect(),
        Some(Edit::Insert(_) | Edit::Delete(_)) | None => Vec::new(),
    };
    let words = format!("the local table refuses it: {reason}");
    UndoneLeft { record: one.record.0.clone(), title: one.title.clone(), fields, why: Why::Refused, words }
}

fn names(collection: &Collection, change: &Change) -> String {
    let names: Vec<&str> =
        change.fields.iter().filter_map(|at| collection.fields.get(*at)).map(|field| field.name.as_str()).collect();
    names.join(",")
}

fn edit(tx: &mut dyn Tx, hand: Hand<'_>, one: &Planned) -> Result<(), StoreError> {
    let Hand { collection, .. } = hand;
    let list = |values: &[Value]| Json::Array(values.iter().map(Value::to_json).collect()).to_string();
    match &one.edit {
        None => Ok(()),
        Some(Edit::Insert(values)) => {
            tx.insert_row(collection, &one.record, values)?;
            tx.add_history(&line(hand, &one.record, "", None, Some(by_name(collection, values))))?;
            leave_hint(tx, hand, &one.record, DirtyOp::Insert)
        }
        Some(Edit::Delete(values)) => {
            tx.delete_row(collection, &one.record)?;
            tx.add_history(&line(hand, &one.record, "", Some(by_name(collection, values)), None))?;
            leave_hint(tx, hand, &one.record, DirtyOp::Delete)
        }
        Some(Edit::Update(changes)) => {
            let values = changes.iter().flat_map(|change| change.fields.iter().copied().zip(change.after.clone()));
            tx.update_row(collection, &one.record, &values.collect::<Vec<_>>())?;
            for change in changes {
                let (before, after) = (list(&change.before), list(&change.after));
                tx.add_history(&line(hand, &one.record, &names(collection, change), Some(before), Some(after)))?;
            }
            leave_hint(tx, hand, &one.record, DirtyOp::Update)
        }
    }
}

/// As the triggers do for other programs: the hint is a new one, which no pass that is under way has seen.
fn leave_hint(tx: &mut dyn Tx, hand: Hand<'_>, record: &RecordId, op: DirtyOp) -> Result<(), StoreError> {
    if let Some(older) = tx.dirty(hand.key, record)? {
        tx.clear_dirty(hand.key, record, older.seen)?;
    }
    tx.mark_dirty(hand.key, record, op)
}

fn by_name(collection: &Collection, values: &[Value]) -> String {
    values_to_text(collection, &filled(values))
}

fn line(hand: Hand<'_>, record: &RecordId, field: &str, before: Option<String>, after: Option<String>) -> HistoryRow {
    HistoryRow {
        id: 0,
        pass: hand.pass,
        at: hand.now,
        collection: hand.collection.name.clone(),
        record: record.clone(),
        field: field.to_owned(),
        kind: "local".to_owned(),
        origin: "undo".to_owned(),
        target: None,
        rule: format!("undo: pass {}", hand.run),
        before,
        after,
        detail: None,
    }
}
