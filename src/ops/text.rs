//! Owns: how stored JSON and times go into answers.
//!
//! Must not know: what is answered.

use chrono::DateTime;
use serde_json::value::RawValue;

/// JSON text as it is, for embedding in other JSON.
pub fn raw(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).ok()
}

/// A stored time as RFC 3339, for programs.
pub fn rfc3339(micros: i64) -> Option<String> {
    DateTime::from_timestamp_micros(micros).map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
}
