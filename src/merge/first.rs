//! Owns: the short way of first contact: a remote record that matched nothing and that nobody else can say anything about yet.
//!
//! Must not know: links, other upstreams. What it says is what `decide` says; it only says it without building a plan,
//! because an initial load does this for every record.

use crate::record::{Slot, Value};
use crate::rules::{Binding, Collection};

/// A new record from one observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// The row, one canonical value per field.
    pub values: Vec<Value>,
    /// The base's hub half; the remote half is the observation.
    pub hub: Vec<Option<Value>>,
}

/// True where the short way holds for every record of a binding: every mapped field is taken, and nobody owns any field.
pub fn is_plain(collection: &Collection, binding: &Binding) -> bool {
    binding.pull
        && collection.fields.iter().all(|field| field.owner.is_none())
        && binding.mapper.fields.iter().all(|map| map.pull)
}

/// The new record; `None` where only `decide` can tell (a value that cannot be read or is not in its list, a required field
/// that is missing).
pub fn first_contact(collection: &Collection, slots: &[Slot]) -> Option<First> {
    let mut values = Vec::with_capacity(collection.fields.len());
    let mut hub = Vec::with_capacity(collection.fields.len());
    for (field, slot) in collection.fields.iter().zip(slots) {
        match slot {
            Slot::Bad(_) => return None,
            Slot::Absent => {
                values.push(Value::Null);
                hub.push(None);
            }
            Slot::Value(value) => {
                let value = field.domain.canonical(value);
                if !field.domain.admits(&value) {
                    return None;
                }
                hub.push(Some(value.clone()));
                values.push(value);
            }
        }
        if field.required && values.last().is_none_or(Value::is_null) {
            return None;
        }
    }
    Some(First { values, hub })
}
