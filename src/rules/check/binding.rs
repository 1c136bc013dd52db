//! Owns: the checks of `[binding.COLLECTION.UPSTREAM]`: identity, scope, direction; and what other checks need to know of it.
//!
//! Must not know: the details of reading, mapping and writing.

use std::sync::Arc;

use super::context::Cx;
use super::field::Declared;
use super::files::Definition;
use super::hash::hash_text;
use super::{map, read, transition, write};
use crate::record::{FieldMap, Lens, Mapper, Probe, TimeFormat};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, Direction};
use crate::rules::model::{Binding, Upstream, VersionAt};
use crate::rules::shape::{At, Either, Key};

/// Where a binding stands among the definitions.
pub struct Place<'p> {
    /// The collection's name.
    pub collection: &'p str,
    /// The upstream's name.
    pub upstream: &'p str,
    /// Where the upstream's name stands in the header.
    pub span: Span,
    /// The collection's fields, where there is such a collection.
    pub declared: Option<&'p [Declared<'p>]>,
    /// The upstream, where it could be checked.
    pub target: Option<&'p Arc<Upstream>>,
}

/// What the checks of the collection need to know of a binding, also where the binding itself has errors.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Survey {
    /// The upstream's name.
    pub upstream: String,
    /// False where parts of the binding could not be read, so that what is not seen may still be there.
    pub complete: bool,
    /// Takes from the upstream.
    pub pull: bool,
    /// Says when a record changed.
    pub updated_at: bool,
    /// Reads incrementally.
    pub incremental: bool,
    /// Where deletes are taken from absence.
    pub absence: Option<Span>,
    /// Where pages are counted.
    pub counted: Option<Span>,
    /// Where it is said how long deleted records are listed, and how long.
    pub horizon: Option<(Span, std::time::Duration)>,
    /// The map entries, also those with errors.
    pub maps: Vec<MapSurvey>,
}

impl Survey {
    /// True where the field's value is taken from this upstream.
    pub fn pulls(&self, field: usize) -> bool {
        self.maps.iter().any(|map| map.field == field && map.pull)
    }
}

/// A map entry.
#[derive(Debug)]
pub struct MapSurvey {
    /// The field's position.
    pub field: usize,
    /// Its value is taken from the upstream.
    pub pull: bool,
    /// The direction as written.
    pub direction: Option<Direction>,
    /// Where the entry stands.
    pub span: Span,
}

/// Which way a binding goes.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// Takes from the upstream.
    pub pull: bool,
    /// Writes to the upstream.
    pub push: bool,
}

impl Ways {
    /// From the word.
    pub fn of(direction: Direction) -> Self {
        Self { pull: direction != Direction::Push, push: direction != Direction::Pull }
    }
}

/// Checks that a binding names things that exist.
pub fn check_names(collection: &str, upstream: &str, definition: &Definition<grammar::Binding>, cx: &mut Cx<'_>) {
    if !cx.definitions.collections.contains_key(collection) {
        let names = cx.collection_names();
        cx.undefined(definition.outer, format!("there is no collection `{collection}`"), collection, &names);
    }
    if !cx.definitions.upstreams.contains_key(upstream) {
        let names = cx.upstream_names();
        cx.undefined(definition.name, format!("there is no upstream `{upstream}`"), upstream, &names);
    }
}

/// Checks a binding; the survey is there in any case.
pub fn lower(place: &Place<'_>, raw: &At<grammar::Binding>, cx: &mut Cx<'_>) -> (Option<Binding>, Survey) {
    let ways = Ways::of(raw.direction.or(Direction::Both));
    let identity = identity(raw, cx);
    let mapped = map::lower(place, raw, ways, cx);
    let read = read::lower(place, raw, ways, cx);
    let writes = write::lower(place, raw, ways, cx);
    let transitions = transition::lower(place, raw, ways, mapped.fields.as_deref(), cx);
    let survey = Survey {
        upstream: place.upstream.to_owned(),
        complete: raw.map.get().is_some() && place.declared.is_some() && !matches!(raw.direction, Key::Bad),
        pull: ways.pull,
        updated_at: ways.pull && !raw.updated_at.is_absent(),
        incremental: ways.pull && read.incremental,
        absence: read.absence,
        counted: read.counted,
        horizon: read.horizon.filter(|_| ways.pull),
        maps: mapped.survey,
    };
    let built = || {
        let identity = identity?;
        let mut probe = identity.probe;
        probe.tombstone = read.tombstone;
        let fields = mapped.fields?;
        let writes = writes?;
        let mapping_hash = mapping_hash(&probe, &fields);
        Some(Binding {
            collection: place.collection.to_owned(),
            upstream: Arc::clone(place.target?),
            pull: ways.pull,
            push: ways.push,
            mapper: Mapper::new(place.declared?.len(), probe, fields),
            version: identity.version,
            read: read.read,
            create: writes.create,
            update: writes.update,
            delete: writes.delete,
            archive: writes.archive,
            transitions: transitions?,
            batches: writes.batches,
            mapping_hash,
        })
    };
    (built(), survey)
}

struct Identity {
    probe: Probe,
    version: Option<VersionAt>,
}

fn identity(raw: &grammar::Binding, cx: &mut Cx<'_>) -> Option<Identity> {
    if let (Some(at), Key::Absent) = (raw.on_scope_exit.get(), &raw.r#where) {
        cx.notes
            .inert(at.key, "on_scope_exit", "the binding has no scope")
            .help("write the scope: where = '.type == \"person\"'");
    }
    let id = raw.id.get().and_then(|at| cx.lens(at));
    let version = raw.version.get().map(|at| match &at.value {
        Either::Short(jq) => {
            let jq = At { key: at.key, span: at.span, value: jq.clone() };
            cx.lens(&jq).map(VersionAt::Record)
        }
        Either::Table(table) => cx.header(table.header.get()?).map(VersionAt::Header),
    });
    let updated_at = raw.updated_at.get().map(|at| match &at.value {
        Either::Short(jq) => {
            let jq = At { key: at.key, span: at.span, value: jq.clone() };
            Some((cx.lens(&jq)?, TimeFormat::Rfc3339))
        }
        Either::Table(table) => Some((cx.lens(table.path.get()?)?, table.format.or(TimeFormat::Rfc3339))),
    });
    let created_at = raw.created_at.get().map(|at| cx.lens(at));
    let merged_into = raw.merged_into.get().map(|at| cx.lens(at));
    let scope = raw.r#where.get().map(|at| cx.filter(at, &[]));
    let archived = raw.archived.get().map(|at| cx.filter(at, &[]));
    let version = transpose(version)?;
    let in_record = match &version {
        Some(VersionAt::Record(lens)) => Some(lens.clone()),
        Some(VersionAt::Header(_)) | None => None,
    };
    Some(Identity {
        probe: Probe {
            id: id?,
            under: super::parent::in_id(raw),
            version: in_record,
            updated_at: transpose(updated_at)?,
            created_at: transpose(created_at)?,
            merged_into: transpose(merged_into)?,
            scope: transpose(scope)?,
            archived: transpose(archived)?,
            tombstone: None,
        },
        version,
    })
}

/// "Not given" stays; "given and refused" ends the build.
#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
pub fn transpose<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
    }
}

/// SHA-256 over everything that the base forms of a link depend on. Fields are named, not numbered, and sorted,
/// so that moving a field or adding one that is not mapped here changes nothing.
fn mapping_hash(probe: &Probe, fields: &[FieldMap]) -> String {
    let lens = |lens: &Lens| match lens {
        Lens::Path(path) => format!("path {:?}", path.steps),
        Lens::Filter { get, put } => {
            format!("get {:?} put {:?}", get.identity(), put.as_ref().map(crate::record::Put::identity))
        }
    };
    let mut lines: Vec<String> = fields
        .iter()
        .map(|map| {
            format!(
                "{} {:?} {} {:?} pull {} push {} create_only {}",
                map.name,
                map.domain,
                lens(&map.lens),
                map.codec,
                map.pull,
                map.push,
                map.create_only
            )
        })
        .collect();
    lines.sort();
    lines.push(format!("id {}", lens(&probe.id)));
    lines.extend(probe.under.as_ref().map(|under| format!("under {:?}", under.steps)));
    lines.push(format!("where {:?}", probe.scope.as_ref().map(crate::record::Filter::identity)));
    lines.extend(probe.archived.as_ref().map(|archived| format!("archived {:?}", archived.identity())));
    hash_text(&lines.join("\n"))
}

/// The text of a plain path given as an identity, to compare map entries with.
pub fn own_paths(raw: &grammar::Binding) -> Vec<(&'static str, &str)> {
    let mut paths = Vec::new();
    if let Some(at) = raw.id.get() {
        paths.push(("id", at.value.0.trim()));
    }
    if let Some(Either::Short(jq)) = raw.version.get().map(|at| &at.value) {
        paths.push(("version", jq.0.trim()));
    }
    paths.extend(raw.created_at.get().map(|at| ("created_at", at.value.0.trim())));
    paths.extend(raw.merged_into.get().map(|at| ("merged_into", at.value.0.trim())));
    match raw.updated_at.get().map(|at| &at.value) {
        Some(Either::Short(jq)) => paths.push(("updated_at", jq.0.trim())),
        Some(Either::Table(table)) => paths.extend(table.path.get().map(|at| ("updated_at", at.value.0.trim()))),
        None => {}
    }
    paths
}

/// Reports a whole part of a binding that its direction makes useless.
pub fn inert_for_direction<T>(key: &Key<T>, name: &str, direction: &str, cx: &mut Cx<'_>) {
    if let Some(at) = key.get() {
        cx.notes
            .error(
                DiagnosticKind::Inert,
                at.key,
                format!("`{name}` has no effect: the binding's direction is \"{direction}\""),
            )
            .help("leave it out, or write direction = \"both\"");
    }
}
