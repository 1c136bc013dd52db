//! Owns: record ids in the engine's own wide tables: 16 bytes where an id is a UUID as we write them, else its text.
//!
//! Must not know: who makes ids.

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use uuid::Uuid;

use crate::record::RecordId;

/// The stored form. Ids stand in every link, match and their indexes; packed they take less than half.
#[derive(Clone, Copy)]
pub(super) enum Packed<'a> {
    Uuid(Uuid),
    Text(&'a str),
}

impl<'a> Packed<'a> {
    /// Only what unpacks to the very same text is packed.
    pub(super) fn of(record: &'a RecordId) -> Self {
        Self::of_text(&record.0)
    }

    /// Like [`Packed::of`], for a text that may be an id.
    pub(super) fn of_text(text: &'a str) -> Self {
        let mut buffer = Uuid::encode_buffer();
        match Uuid::try_parse(text) {
            Ok(uuid) if *uuid.hyphenated().encode_lower(&mut buffer) == *text => Self::Uuid(uuid),
            _ => Self::Text(text),
        }
    }
}

impl ToSql for Packed<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Uuid(uuid) => ValueRef::Blob(uuid.as_bytes()),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// The id again.
pub(super) struct Unpacked(pub(super) RecordId);

impl FromSql for Unpacked {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(bytes) => {
                let uuid = Uuid::from_slice(bytes).map_err(|error| FromSqlError::Other(Box::new(error)))?;
                Ok(Self(RecordId(uuid.to_string())))
            }
            other => Ok(Self(RecordId(other.as_str()?.to_owned()))),
        }
    }
}
