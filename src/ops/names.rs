//! Owns: what people know a record by.
//!
//! Must not know: where it is shown.

use crate::record::{Json, RecordId, Slot};
use crate::rules::Collection;
use crate::store::{StoreError, View};

/// The values of the first match key of which the record has all; `None` where it has none, or is gone.
pub fn name_of(view: &dyn View, collection: &Collection, record: &RecordId) -> Result<Option<String>, StoreError> {
    let Some(row) = view.row(collection, record)? else { return Ok(None) };
    let told = |at: &usize| match row.get(*at)? {
        Slot::Value(value) => match value.to_json() {
            Json::Null => None,
            Json::String(text) => Some(text).filter(|text| !text.trim().is_empty()),
            other => Some(other.to_string()),
        },
        Slot::Absent | Slot::Bad(_) => None,
    };
    let name = |key: &Vec<usize>| key.iter().map(told).collect::<Option<Vec<_>>>();
    Ok(collection.match_keys.iter().find_map(name).map(|values| values.join(", ")))
}
