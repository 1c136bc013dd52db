//! Owns: the written forms of instants at upstreams.
//!
//! Must not know: the current time.

use chrono::{DateTime, Utc};

use super::{FieldError, Json};

/// How an upstream writes an instant (`updated_at.format`, the codecs `unix_s` and `unix_ms`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339 with any offset; also accepted without an offset as UTC.
    Rfc3339,
    /// Seconds since the epoch, whole or fractional, number or numeric string.
    UnixS,
    /// Milliseconds since the epoch.
    UnixMs,
    /// An HTTP date (RFC 9110 §5.6.7).
    HttpDate,
}

impl TimeFormat {
    /// Reads an instant; microsecond precision.
    pub fn read(self, json: &Json) -> Result<DateTime<Utc>, FieldError> {
        let _ = json;
        todo!()
    }

    /// Writes an instant as this format does.
    pub fn write(self, at: DateTime<Utc>) -> Json {
        let _ = at;
        todo!()
    }
}
