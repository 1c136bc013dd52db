//! Owns: a saved plan that the next pass of a collection makes, exactly or not at all.
//!
//! Must not know: how plans are kept in files, or shown.

use crate::store::{StoreError, Tx};

/// The next pass over the whole collection makes the plan of this fingerprint, or changes nothing.
pub fn bind(tx: &mut dyn Tx, collection: &str, fingerprint: &str) -> Result<(), StoreError> {
    tx.set_note(&note_name(collection), &serde_json::Value::from(fingerprint).to_string())
}

/// The plan that a pass is bound to. It binds that one alone.
pub fn take(tx: &mut dyn Tx, collection: &str) -> Result<Option<String>, StoreError> {
    let name = note_name(collection);
    let Some(text) = tx.note(&name)? else { return Ok(None) };
    let fingerprint: Option<String> = serde_json::from_str(&text).unwrap_or_default();
    if fingerprint.is_some() {
        tx.set_note(&name, "null")?;
    }
    Ok(fingerprint)
}

/// It is bound to none.
pub fn unbind(tx: &mut dyn Tx, collection: &str) -> Result<(), StoreError> {
    tx.set_note(&note_name(collection), "null")
}

fn note_name(collection: &str) -> String {
    format!("plan that the next pass of {collection} makes")
}
