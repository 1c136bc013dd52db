//! Owns: one binding's view of a record: raw bytes → id, version, time, flags and field slots in one walk; and fields → request body.
//!
//! Must not know: links, bases, which side wins.

use chrono::{DateTime, Utc};

use super::{Codec, Domain, FieldError, Filter, Json, JsonError, Path, Slot, TimeFormat, Value};

/// Where a field (or the id, the version, a flag) is in the raw record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lens {
    /// A plain path reads and writes.
    Path(Path),
    /// A jq filter reads; with `put` it also writes (`$value` is the new token, `.` the body so far).
    Filter {
        /// The reading filter.
        get: Filter,
        /// The writing filter.
        put: Option<Filter>,
    },
}

/// One mapped field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMap {
    /// Position of the field in its collection.
    pub field: usize,
    /// The field's name, for messages.
    pub name: String,
    /// The field's type and equality.
    pub domain: Domain,
    /// Where it stands in the raw record.
    pub lens: Lens,
    /// How it is written there.
    pub codec: Codec,
    /// Its value is taken from this upstream.
    pub pull: bool,
    /// Its value is written to this upstream.
    pub push: bool,
    /// Written when creating only (`create_only`).
    pub create_only: bool,
}

/// What else a record says, beside its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The remote id; a string or a number.
    pub id: Lens,
    /// The version (etag), where the body carries one.
    pub version: Option<Lens>,
    /// The record's own time of change.
    pub updated_at: Option<(Lens, TimeFormat)>,
    /// The binding's scope (`where`).
    pub scope: Option<Filter>,
    /// The tombstone condition (`deletes = { kind = "tombstone", when = … }`).
    pub tombstone: Option<Filter>,
}

/// One raw record, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The remote id as text.
    pub id: String,
    /// The version as text, where the body carries one.
    pub version: Option<String>,
    /// The record's own time of change; `None` where not mapped, null or unreadable.
    pub updated_at: Option<DateTime<Utc>>,
    /// False where the binding's scope leaves the record out.
    pub in_scope: bool,
    /// True where the record is a tombstone.
    pub deleted: bool,
    /// One slot per field of the collection, in its order; unmapped fields are `Absent`. A ref slot holds the remote id.
    pub slots: Vec<Slot>,
}

/// Why a record as a whole cannot be read; it is quarantined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The bytes are not acceptable JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// There is no id, or it is neither string nor number.
    #[error("no id at {path}")]
    NoId {
        /// The id's lens as written in the rules.
        path: String,
    },
    /// A filter over the record failed.
    #[error("{what}: {reason}")]
    Filter {
        /// Which setting (`where`, `deletes.when`, `map.full`).
        what: String,
        /// The filter's message.
        reason: String,
    },
}

/// A binding's compiled mapping. Plain-path lookups share one walk over the bytes; filters parse the record once, on need.
#[derive(Clone, Debug)]
pub struct Mapper {
    /// The number of fields of the collection.
    pub field_count: usize,
    /// Id, version, time, flags.
    pub probe: Probe,
    /// The mapped fields.
    pub fields: Vec<FieldMap>,
}

impl Mapper {
    /// Compiles the mapping.
    pub fn new(field_count: usize, probe: Probe, fields: Vec<FieldMap>) -> Self {
        Self { field_count, probe, fields }
    }

    /// The remote id alone, by the cheapest walk (the unchanged fast path needs nothing else).
    pub fn id(&self, raw: &[u8]) -> Result<String, MapError> {
        let _ = raw;
        todo!()
    }

    /// Reads the whole record.
    pub fn read(&self, raw: &[u8]) -> Result<Mapped, MapError> {
        let _ = raw;
        todo!()
    }

    /// Writes the given fields (position, value; refs as remote ids) into `body`, which starts as `{}` for a partial
    /// body or as the remote record for read-modify-write. Fields that cannot be expressed are returned with their reason and left out.
    pub fn write(&self, body: &mut Json, values: &[(usize, Value)]) -> Vec<(usize, FieldError)> {
        let _ = (body, values);
        todo!()
    }

    /// The map entry of a field, where the binding maps it.
    pub fn field(&self, field: usize) -> Option<&FieldMap> {
        self.fields.iter().find(|map| map.field == field)
    }
}
