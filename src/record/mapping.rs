//! Owns: one binding's view of a record: raw bytes → id, version, time, flags and field slots in one walk; and fields → request body.
//!
//! Must not know: links, bases, which side wins.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::below;
use super::path::find_first;
use super::plain::id_text;
use super::scan::Scanner;
use super::slot::excerpt;
use super::token::Token;
use super::trie::Trie;
use super::{Codec, Domain, FieldError, Filter, IdSpelling, Json, JsonError, Path, Slot, TimeFormat, Value};

/// Where a field (or the id, the version, a flag) is in the raw record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lens {
    /// A plain path reads and writes.
    Path(Path),
    /// A jq filter reads; with `put` it also writes. `get` is compiled without variables.
    Filter {
        /// The reading filter.
        get: Filter,
        /// The writing filter.
        put: Option<Put>,
    },
}

impl Lens {
    /// The plain path that is written to, where one is.
    pub fn written_path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) | Self::Filter { put: Some(Put::Path(path)), .. } => Some(path),
            Self::Filter { put: Some(Put::Filter(_)) | None, .. } => None,
        }
    }
}

/// How a field that is read by a filter is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// To this plain path, objects on the way included.
    Path(Path),
    /// By a jq filter: `.` is the body so far, `$value` the new token; its output is the new body. Compiled with the one
    /// variable `value`.
    Filter(Filter),
}

impl Put {
    /// What tells it from others: as it stands in the rules, with the values of the variables in it.
    pub fn identity(&self) -> String {
        match self {
            Self::Path(path) => path.to_string(),
            Self::Filter(filter) => filter.identity().to_owned(),
        }
    }
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
    /// Where ids are unique under one parent only: the parent's, which the remote id begins with (see [`below`]).
    pub under: Option<Path>,
    /// The version (etag), where the body carries one.
    pub version: Option<Lens>,
    /// The record's own time of change.
    pub updated_at: Option<(Lens, TimeFormat)>,
    /// What stays as it is for as long as the id means the same record: the time of creation.
    pub created_at: Option<Lens>,
    /// Where a record says into which other one it was merged.
    pub merged_into: Option<Lens>,
    /// The binding's scope (`where`).
    pub scope: Option<Filter>,
    /// The condition of being archived.
    pub archived: Option<Filter>,
    /// The tombstone condition (`deletes = { kind = "tombstone", when = … }`).
    pub tombstone: Option<Filter>,
}

impl Probe {
    /// Nothing but the id.
    pub fn of(id: Lens) -> Self {
        Self {
            id,
            under: None,
            version: None,
            updated_at: None,
            created_at: None,
            merged_into: None,
            scope: None,
            archived: None,
            tombstone: None,
        }
    }
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
    /// The time of creation as it is written there; see [`same_creation`].
    pub created_at: Option<String>,
    /// The remote id of the record that it was merged into; never its own.
    pub merged_into: Option<String>,
    /// False where the binding's scope leaves the record out.
    pub in_scope: bool,
    /// True where the record is archived.
    pub archived: bool,
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
        /// Which setting (`id`, `version`, `updated_at`, `where`, `archived`, `deletes.when`). A failing filter of a field blocks
        /// that field only: [`Slot::Bad`].
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
    /// All plain paths of probe and fields; a field's target is its position in `fields` behind [`FIRST_FIELD`].
    trie: Trie,
    /// Some lens or flag is a filter, so the record is also needed as a tree.
    has_filters: bool,
}

const ID: usize = 0;
const VERSION: usize = 1;
const UPDATED_AT: usize = 2;
const CREATED_AT: usize = 3;
const MERGED_INTO: usize = 4;
const UNDER: usize = 5;
const FIRST_FIELD: usize = 6;

/// Whether two times of creation are the same. Upstreams change how they write times (fractions, offsets), so what can be
/// read as an instant is compared by the second; anything else by its text.
pub fn same_creation(left: &str, right: &str) -> bool {
    let instant = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp());
    match (instant(left), instant(right)) {
        (Some(left), Some(right)) => left == right,
        (None | Some(_), None | Some(_)) => left == right,
    }
}

impl Mapper {
    /// Compiles the mapping.
    pub fn new(field_count: usize, probe: Probe, fields: Vec<FieldMap>) -> Self {
        let mut lenses = vec![(ID, &probe.id)];
        lenses.extend(probe.version.iter().map(|lens| (VERSION, lens)));
        lenses.extend(probe.updated_at.iter().map(|(lens, _)| (UPDATED_AT, lens)));
        lenses.extend(probe.created_at.iter().map(|lens| (CREATED_AT, lens)));
        lenses.extend(probe.merged_into.iter().map(|lens| (MERGED_INTO, lens)));
        lenses.extend(fields.iter().enumerate().map(|(at, map)| (FIRST_FIELD + at, &map.lens)));
        let mut trie = Trie::default();
        let mut has_filters = probe.scope.is_some() || probe.archived.is_some() || probe.tombstone.is_some();
        for (target, lens) in lenses {
            match lens {
                Lens::Path(path) => trie.insert(path, target),
                Lens::Filter { .. } => has_filters = true,
            }
        }
        probe.under.iter().for_each(|path| trie.insert(path, UNDER));
        Self { field_count, probe, fields, trie, has_filters }
    }

    /// The remote id alone, by the cheapest walk (the unchanged fast path needs nothing else): what stands behind the
    /// id is not looked at.
    pub fn id(&self, raw: &[u8]) -> Result<String, MapError> {
        let at_path = |path: &Path| {
            let mut scanner = Scanner::new(raw).map_err(JsonError::from)?;
            let token = find_first(&mut scanner, &path.steps).map_err(JsonError::from)?;
            Ok::<_, MapError>(token.as_ref().and_then(id_text))
        };
        let id = match &self.probe.id {
            Lens::Path(path) => at_path(path)?,
            Lens::Filter { get, .. } => {
                let token = first_output("id", get, &Json::parse(raw)?)?;
                token.as_ref().and_then(|json| id_text(&Token::from(json)))
            }
        };
        let under = self.probe.under.as_ref().map(at_path).transpose()?.flatten();
        self.whole_id(id, under)
    }

    /// The remote id, with the parent where that belongs to it.
    fn whole_id(&self, id: Option<String>, under: Option<String>) -> Result<String, MapError> {
        let id = id.ok_or_else(|| self.no_id())?;
        let Some(path) = &self.probe.under else { return Ok(id) };
        under.map(|parent| below::join(&parent, &id)).ok_or_else(|| MapError::NoId { path: path.to_string() })
    }

    /// Reads the whole record.
    pub fn read(&self, raw: &[u8]) -> Result<Mapped, MapError> {
        let mut reading = Reading {
            mapper: self,
            id: None,
            under: None,
            version: None,
            updated_at: None,
            created_at: None,
            merged_into: None,
            slots: vec![Slot::Absent; self.field_count],
        };
        let mut scanner = Scanner::new(raw).map_err(JsonError::from)?;
        self.trie.walk(&mut scanner, &mut |target, token| reading.take(target, token)).map_err(JsonError::from)?;
        scanner.end().map_err(JsonError::from)?;
        let Flags { in_scope, archived, deleted } =
            if self.has_filters { reading.run_filters(&Json::parse(raw)?)? } else { Flags::default() };
        let id = self.whole_id(reading.id, reading.under)?;
        Ok(Mapped {
            merged_into: reading.merged_into.filter(|into| *into != id),
            id,
            version: reading.version,
            updated_at: reading.updated_at,
            created_at: reading.created_at,
            in_scope,
            archived,
            deleted,
            slots: reading.slots,
        })
    }

    /// Writes the given fields (position, value; refs as remote ids) into `body`, which starts as `{}` for a partial
    /// body or as the remote record for read-modify-write. Fields that cannot be expressed are returned with their
    /// reason and left out; so are fields that the binding only pulls.
    pub fn write(&self, body: &mut Json, values: &[(usize, Value)]) -> Vec<(usize, FieldError)> {
        self.write_as(body, values, &BTreeMap::new())
    }

    /// The same; ids in these fields are spelled so. Other ones are numbers where they look like one.
    pub fn write_as(
        &self,
        body: &mut Json,
        values: &[(usize, Value)],
        spellings: &BTreeMap<usize, IdSpelling>,
    ) -> Vec<(usize, FieldError)> {
        let mut refused = Vec::new();
        for (field, value) in values {
            let done = match self.field(*field) {
                None => Err(FieldError::new("the binding does not map this field")),
                Some(map) if !map.push => {
                    Err(FieldError::new(format!("`{}` is only pulled from this upstream", map.name)))
                }
                Some(map) => write_field(map, body, value, spellings.get(field).copied()),
            };
            refused.extend(done.err().map(|error| (*field, error)));
        }
        refused
    }

    /// The map entry of a field, where the binding maps it.
    pub fn field(&self, field: usize) -> Option<&FieldMap> {
        self.fields.iter().find(|map| map.field == field)
    }

    fn no_id(&self) -> MapError {
        MapError::NoId {
            path: match &self.probe.id {
                Lens::Path(path) => path.to_string(),
                Lens::Filter { get, .. } => get.source().to_owned(),
            },
        }
    }
}

fn write_field(map: &FieldMap, body: &mut Json, value: &Value, spelling: Option<IdSpelling>) -> Result<(), FieldError> {
    let token = match (value, &map.codec, spelling) {
        (Value::Ref(id), Codec::Plain { as_string: false }, Some(spelling)) => spelling.write(id),
        (value, codec, _) => codec.write(&map.domain, value)?,
    };
    match &map.lens {
        Lens::Path(path) | Lens::Filter { put: Some(Put::Path(path)), .. } => {
            path.put(body, token).map_err(|error| FieldError::new(error.to_string()))
        }
        Lens::Filter { put: None, .. } => {
            Err(FieldError::new(format!("`{}` is read by a filter and has no `put` to write it", map.name)))
        }
        Lens::Filter { put: Some(Put::Filter(put)), .. } => {
            let outputs = put.run(body, &[token], 1).map_err(|error| FieldError::new(format!("put: {error}")))?;
            *body = outputs.into_iter().next().ok_or_else(|| FieldError::new("the `put` filter gave no body"))?;
            Ok(())
        }
    }
}

fn first_output(what: &str, filter: &Filter, record: &Json) -> Result<Option<Json>, MapError> {
    match filter.run(record, &[], 1) {
        Ok(outputs) => Ok(outputs.into_iter().next()),
        Err(error) => Err(MapError::Filter { what: what.to_owned(), reason: error.to_string() }),
    }
}

/// A record half read.
struct Reading<'m> {
    mapper: &'m Mapper,
    id: Option<String>,
    under: Option<String>,
    version: Option<String>,
    updated_at: Option<DateTime<Utc>>,
    created_at: Option<String>,
    merged_into: Option<String>,
    slots: Vec<Slot>,
}

/// What the conditions say of a record.
struct Flags {
    in_scope: bool,
    archived: bool,
    deleted: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { in_scope: true, archived: false, deleted: false }
    }
}

impl Reading<'_> {
    fn take(&mut self, target: usize, token: Token<'_>) {
        match target {
            ID => self.id = id_text(&token),
            UNDER => self.under = id_text(&token),
            VERSION => self.version = id_text(&token),
            CREATED_AT => self.created_at = id_text(&token),
            MERGED_INTO => self.merged_into = id_text(&token),
            UPDATED_AT => {
                let format = self.mapper.probe.updated_at.as_ref().map(|(_, format)| *format);
                self.updated_at = format.and_then(|format| format.read_token(&token).ok());
            }
            _ => {
                let Some(map) = self.mapper.fields.get(target - FIRST_FIELD) else { return };
                let slot = match map.codec.read_token(&map.domain, token) {
                    Ok(value) => Slot::Value(value),
                    Err(error) => Slot::Bad(error),
                };
                self.set(map.field, slot);
            }
        }
    }

    fn set(&mut self, field: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(field) {
            *place = slot;
        }
    }

    /// What only filters can tell; returns what the conditions say.
    fn run_filters(&mut self, record: &Json) -> Result<Flags, MapError> {
        let probe = &self.mapper.probe;
        let settings = [
            (ID, "id", Some(&probe.id)),
            (VERSION, "version", probe.version.as_ref()),
            (UPDATED_AT, "updated_at", probe.updated_at.as_ref().map(|(lens, _)| lens)),
            (CREATED_AT, "created_at", probe.created_at.as_ref()),
            (MERGED_INTO, "merged_into", probe.merged_into.as_ref()),
        ];
        for (target, what, lens) in settings {
            if let Some(Lens::Filter { get, .. }) = lens
                && let Some(output) = first_output(what, get, record)?
            {
                self.take(target, Token::from(output));
            }
        }
        for (at, map) in self.mapper.fields.iter().enumerate() {
            if let Lens::Filter { get, .. } = &map.lens {
                match get.run(record, &[], 1) {
                    Ok(outputs) => outputs.into_iter().for_each(|json| self.take(FIRST_FIELD + at, Token::from(json))),
                    Err(error) => {
                        let reason = format!("the filter {} failed: {error}", excerpt(get.source()));
                        self.set(map.field, Slot::Bad(FieldError::new(reason)));
                    }
                }
            }
        }
        let flag = |what: &str, filter: &Option<Filter>, default: bool| match filter {
            None => Ok(default),
            Some(filter) => filter
                .test(record)
                .map_err(|error| MapError::Filter { what: what.to_owned(), reason: error.to_string() }),
        };
        Ok(Flags {
            in_scope: flag("where", &probe.scope, true)?,
            archived: flag("archived", &probe.archived, false)?,
            deleted: flag("deletes.when", &probe.tombstone, false)?,
        })
    }
}
