//! Owns: creates that find a record by a field of theirs, in their address or as an upsert: they go over the one that has its value.
//!
//! Must not know: how the request is made, what the upstream says to it.

use crate::merge::{self, LinkState};
use crate::record::{RecordId, Slot, Value};
use crate::rules::{Binding, Collection, Create};
use crate::store::{IntentFilter, StoreError, View};
use crate::upstream::SendOp;

use super::context::Pass;
use super::known_by;

/// Whether an upstream of the collection finds records by a field of theirs.
pub fn is_by_key(collection: &Collection) -> bool {
    collection.bindings.iter().any(|rules| field(rules).is_some())
}

/// The links by which a record is known there.
pub fn states(collection: &Collection) -> fn(LinkState) -> bool {
    if is_by_key(collection) { is_there } else { |state| state == LinkState::Live }
}

/// Also one that is left alone there, or out of sight, has its address.
fn is_there(state: LinkState) -> bool {
    state != LinkState::Deleted
}

fn field(rules: &Binding) -> Option<usize> {
    rules.create.as_ref().and_then(Create::goes_over)
}

/// Why a record is not made there: its key is that of another record which is known there (by what it is called here, or was
/// when the sides last agreed), or which is being made.
pub fn is_taken(
    view: &dyn View,
    pass: &Pass,
    (at, rules): (usize, &Binding),
    record: &RecordId,
) -> Result<Option<String>, StoreError> {
    let Some(field) = field(rules) else { return Ok(None) };
    let Some(key) = pass.collection.match_keys.iter().position(|key| *key == [field]) else { return Ok(None) };
    let name = &pass.collection.fields[field].name;
    let Some(text) = text_of(view, pass, record, key)? else {
        // One without a value is told by what makes the request.
        let row = view.row(&pass.collection, record)?.unwrap_or_default();
        let has_value = row.get(field).and_then(Slot::value).is_some_and(|value| *value != Value::Null);
        return Ok(has_value.then(|| {
            format!("`{name}` is blank or a placeholder, which is nobody's own, and a create goes by it there")
        }));
    };
    let upstream = pass.upstream(at);
    for other in view.matching(pass.key, key, &text)? {
        if other == *record || !is_called(view, pass, &other, (key, &text))? {
            continue;
        }
        let links = view.links_of(&other)?;
        let mut tied = links.iter().filter(|link| link.binding == pass.binding_key(at) && is_there(link.state));
        let is_made = IntentFilter {
            collection: Some(pass.collection.name.clone()),
            upstream: Some(upstream.to_owned()),
            record: Some(other.clone()),
            ..IntentFilter::default()
        };
        if let Some(link) = tied.next() {
            return Ok(Some(format!(
                "a create goes by `{name}` there, and its value is that of {} at {upstream}, which is tied to {other} here: it would be gone \
                 over; give one of them another value, or delete one",
                link.remote_id
            )));
        }
        if view.intents(&is_made)?.iter().any(|intent| intent.op == SendOp::Create.name()) {
            return Ok(Some(format!(
                "a create goes by `{name}` there, and {other} is being made at {upstream} with the same value: give one of them \
                 another value, or delete one"
            )));
        }
    }
    Ok(None)
}

fn text_of(view: &dyn View, pass: &Pass, record: &RecordId, key: usize) -> Result<Option<String>, StoreError> {
    let row = view.row(&pass.collection, record)?;
    Ok(row.and_then(|row| merge::match_key_texts(&pass.collection, &row).into_iter().nth(key).flatten()))
}

/// The index only says who may be.
fn is_called(view: &dyn View, pass: &Pass, record: &RecordId, (key, text): (usize, &str)) -> Result<bool, StoreError> {
    if text_of(view, pass, record, key)?.as_deref() == Some(text) {
        return Ok(true);
    }
    let remembered = known_by::remembered_texts(view, pass, record, is_there)?;
    Ok(remembered.get(key).and_then(Option::as_deref) == Some(text))
}
