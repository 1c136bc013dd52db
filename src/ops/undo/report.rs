//! Owns: what an undo does, or would do, as people and programs read it.
//!
//! Must not know: how that is found out.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::record::Value;
use crate::rules::Collection;

use super::super::text::raw;

/// So many changes, and so many that are left, are listed at most.
pub(super) const LISTED_MAX: usize = 10_000;

/// What an undo did, or would do.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Undone {
    /// The pass that is taken back.
    pub run: i64,
    /// Its collection.
    pub collection: String,
    /// It was done; else it is a plan.
    pub applied: bool,
    /// The number of the undo, by which it can be taken back itself; absent where nothing was edited.
    pub pass: Option<i64>,
    /// Edits of rows here.
    pub changes: Vec<UndoneChange>,
    /// So many more are not listed.
    pub changes_omitted: u64,
    /// What the pass did and what stays.
    pub left: Vec<UndoneLeft>,
    /// So many more are not listed.
    pub left_omitted: u64,
}

/// An edit of a row.
#[derive(Debug, Serialize, Deserialize)]
pub struct UndoneChange {
    /// The local id.
    pub record: String,
    /// A name for people: its first text.
    pub title: String,
    /// `create`, `update`, `delete`.
    pub action: String,
    /// The fields that change; of a row that comes or goes those that are filled.
    pub fields: Vec<UndoneField>,
    /// What follows from it elsewhere, where that is more than the value itself.
    pub note: Option<String>,
}

/// A field of an edit.
#[derive(Debug, Serialize, Deserialize)]
pub struct UndoneField {
    /// The field.
    pub field: String,
    /// As it is; absent where the row is made.
    pub before: Option<Box<RawValue>>,
    /// As it becomes; absent where the row goes.
    pub after: Option<Box<RawValue>>,
}

/// Something that a pass did and that is not taken back.
#[derive(Debug, Serialize, Deserialize)]
pub struct UndoneLeft {
    /// The local id.
    pub record: String,
    /// A name for people: its first text.
    pub title: String,
    /// The fields; none where it is about the whole record.
    pub fields: Vec<String>,
    /// Why.
    pub why: Why,
    /// For people.
    pub words: String,
}

/// Why something is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It has been changed since.
    Changed,
    /// The pass created the record, and a delete was not asked for.
    Created,
    /// The record is gone since.
    Gone,
    /// The record is here again.
    Back,
    /// What it was before is not known.
    Unknown,
    /// Upstreams had different values before.
    Differs,
    /// It is owned by an upstream, whose word would count again.
    Owner,
    /// It was the same as another record, which stays.
    Merged,
    /// A delete here would reach upstreams where the pass did not create it, or be taken back.
    Elsewhere,
    /// The rules have changed since.
    Rules,
    /// The table refuses it.
    Refused,
}

impl UndoneLeft {
    /// It stays because nobody asked for a delete.
    pub fn is_created(&self) -> bool {
        self.why == Why::Created
    }
}

impl UndoneField {
    pub(super) fn new(collection: &Collection, at: usize, before: Option<&Value>, after: Option<&Value>) -> Self {
        let json = |value: Option<&Value>| value.and_then(|value| raw(&value.to_json().to_string()));
        let field = collection.fields.get(at).map(|field| field.name.clone()).unwrap_or_default();
        Self { field, before: json(before), after: json(after) }
    }
}

impl Undone {
    pub(super) fn add_change(&mut self, change: UndoneChange) {
        if self.changes.len() < LISTED_MAX { self.changes.push(change) } else { self.changes_omitted += 1 }
    }

    pub(super) fn add_left(&mut self, left: Vec<UndoneLeft>) {
        for one in left {
            if self.left.len() < LISTED_MAX { self.left.push(one) } else { self.left_omitted += 1 }
        }
    }

    /// How many edits there are, listed or not.
    pub fn changes_count(&self) -> u64 {
        self.changes.len() as u64 + self.changes_omitted
    }

    /// How much is left, listed or not.
    pub fn left_count(&self) -> u64 {
        self.left.len() as u64 + self.left_omitted
    }
}
