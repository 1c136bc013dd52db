//! Owns: the checks of `[binding.….map]`: which field stands where, which way it goes, whether it can be written.
//!
//! Must not know: codecs' types (that is `codec`), listings, writes.

use super::binding::{MapSurvey, Place, Ways, own_paths};
use super::codec;
use super::context::Cx;
use super::field::Declared;
use super::parent::in_id;
use crate::record::{Codec, FieldMap, FieldType, Lens, Path, Put};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, Direction, MapEntry};
use crate::rules::shape::{At, Either, Key};
use crate::rules::units::Jq;

/// The mapping, and a survey of it that is there in any case.
pub struct Mapping {
    /// `None` after an error.
    pub fields: Option<Vec<FieldMap>>,
    /// Every entry whose field exists.
    pub survey: Vec<MapSurvey>,
}

/// One entry under check.
struct Entry<'e> {
    name: &'e str,
    name_span: Span,
    span: Span,
    short: Option<At<Jq>>,
    table: Option<&'e MapEntry>,
}

impl Entry<'_> {
    fn direction(&self) -> Option<&At<Direction>> {
        self.table?.direction.get()
    }
}

/// Checks the mapping of a binding.
pub fn lower(place: &Place<'_>, raw: &grammar::Binding, ways: Ways, cx: &mut Cx<'_>) -> Mapping {
    let mut mapping = Mapping { fields: None, survey: Vec::new() };
    let Some(map) = raw.map.get() else { return mapping };
    if map.members.is_empty() {
        cx.notes.error(DiagnosticKind::Missing, map.key, "an empty map").help("write e.g. email = \".email\"");
    }
    let Some(declared) = place.declared else { return mapping };
    let before = cx.notes.count();
    let mut fields = Vec::new();
    let mut complete = true;
    for (name, name_span, value) in &map.members {
        let Some(position) = declared.iter().position(|field| field.name == name) else {
            let names: Vec<&str> = declared.iter().map(|field| field.name).collect();
            let message = format!("`{}` has no field `{name}`", place.collection);
            cx.notes.unknown(*name_span, message, name, &names);
            continue;
        };
        let Some(at) = value.get() else {
            mapping.survey.push(MapSurvey { field: position, pull: ways.pull, direction: None, span: *name_span });
            complete = false;
            continue;
        };
        let entry = match &at.value {
            Either::Short(jq) => {
                let short = At { key: at.key, span: at.span, value: jq.clone() };
                Entry { name, name_span: *name_span, span: at.span, short: Some(short), table: None }
            }
            Either::Table(table) => {
                Entry { name, name_span: *name_span, span: at.span, short: None, table: Some(table) }
            }
        };
        let direction = entry.direction().map(|at| at.value);
        let own = Ways::of(direction.unwrap_or(Direction::Both));
        let (pull, push) = (ways.pull && own.pull, ways.push && own.push);
        check_direction(&entry, ways, cx);
        mapping.survey.push(MapSurvey { field: position, pull, direction, span: *name_span });
        match lower_entry(&entry, &declared[position], position, Ways { pull, push }, (place, raw), cx) {
            Some(field) => fields.push(field),
            None => complete = false,
        }
    }
    check_overlap(&fields, map, cx);
    if complete && cx.notes.count() == before {
        mapping.fields = Some(fields);
    }
    mapping
}

fn check_direction(entry: &Entry<'_>, ways: Ways, cx: &mut Cx<'_>) {
    let Some(at) = entry.direction() else { return };
    let against = match at.value {
        Direction::Pull => !ways.pull,
        Direction::Push => !ways.push,
        Direction::Both => !ways.pull || !ways.push,
    };
    if against {
        let of = if ways.pull { "pull" } else { "push" };
        cx.notes
            .error(DiagnosticKind::Inert, at.span, format!("the binding's direction is \"{of}\""))
            .help(format!("leave `direction` of `{}` out, or write direction = \"both\" in the binding", entry.name));
    }
}

fn lower_entry(
    entry: &Entry<'_>,
    field: &Declared<'_>,
    position: usize,
    ways: Ways,
    (place, raw): (&Place<'_>, &grammar::Binding),
    cx: &mut Cx<'_>,
) -> Option<FieldMap> {
    let lens = lens(entry, ways, cx);
    let codec = match entry.table.map(|table| &table.codec) {
        None | Some(Key::Absent) => Some(Codec::Plain { as_string: false }),
        Some(Key::Given(at)) => codec::lower(at, field, cx),
        Some(Key::Bad) => None,
    };
    let create_only = field.create_only() || entry.table.is_some_and(|table| table.create_only.or(false));
    if let Some(at) = entry.table.and_then(|table| table.create_only.get()) {
        if !ways.push {
            cx.notes.inert(at.key, "create_only", format_args!("`{}` is not written here", entry.name));
        } else if field.create_only() {
            cx.notes.inert(at.key, "create_only", "the field says so already");
        }
    }
    check_reference(entry, field, place, cx);
    let lens = lens?;
    // The parent is a part of the remote id: a record is made under it, and stays there.
    let create_only = create_only || matches!(&lens, Lens::Path(path) if Some(path) == in_id(raw).as_ref());
    if ways.push {
        check_writable(entry, &lens, raw, cx);
    }
    Some(FieldMap {
        field: position,
        name: entry.name.to_owned(),
        domain: field.domain.clone()?,
        lens,
        codec: codec?,
        pull: ways.pull,
        push: ways.push,
        create_only,
    })
}

fn lens(entry: &Entry<'_>, ways: Ways, cx: &mut Cx<'_>) -> Option<Lens> {
    let Some(table) = entry.table else { return cx.lens(entry.short.as_ref()?) };
    match (&table.path, &table.get) {
        (Key::Given(path), Key::Given(get)) => {
            cx.notes
                .error(DiagnosticKind::Conflict, get.key, "both `path` and `get` are given")
                .help("keep `path` for a plain path, `get` for a jq filter")
                .second(path.key, "already read from here");
            return None;
        }
        (Key::Absent, Key::Absent) => {
            cx.notes
                .error(DiagnosticKind::Missing, entry.name_span, format!("where `{}` stands is missing", entry.name))
                .help("write path = \".a.b\", or get = '…' with a jq filter");
            return None;
        }
        _ => {}
    }
    let put = table.put.get().map(|at| {
        if !ways.push {
            cx.notes.inert(at.key, "put", format_args!("`{}` is not written here", entry.name));
        } else if let Some(path) = table.path.get() {
            cx.notes
                .inert(at.key, "put", "a plain path writes by itself")
                .help("write get = '…' beside put, or leave put out")
                .second(path.key, "writes by itself");
        }
        match Path::parse(at.value.0.trim()) {
            Some(path) if !path.steps.is_empty() => Some(Put::Path(path)),
            Some(_) | None => cx.filter(at, &["value"]).map(Put::Filter),
        }
    });
    if let Some(path) = table.path.get() {
        return cx.path(path).map(Lens::Path);
    }
    let get = cx.lens(table.get.get()?)?;
    match (get, put) {
        (Lens::Filter { get, .. }, Some(put)) => Some(Lens::Filter { get, put: Some(put?) }),
        (Lens::Path(path), Some(put)) => Some(Lens::Filter { get: cx_path_filter(&path, table, cx)?, put: Some(put?) }),
        (lens, None) => Some(lens),
    }
}

/// A plain path read by `get` beside a `put` is compiled as the filter that it also is.
fn cx_path_filter(_: &Path, table: &MapEntry, cx: &mut Cx<'_>) -> Option<crate::record::Filter> {
    cx.filter(table.get.get()?, &[])
}

/// What is written must be writable: scenario 45.
fn check_writable(entry: &Entry<'_>, lens: &Lens, raw: &grammar::Binding, cx: &mut Cx<'_>) {
    let name = entry.name;
    if let Lens::Filter { get, put: None } = lens {
        let get = get.source().to_owned();
        let quoted = if get.contains('\'') { format!("'''{get}'''") } else { format!("'{get}'") };
        cx.notes
            .error(DiagnosticKind::Conflict, entry.span, format!("`{name}` is computed and cannot be written"))
            .label("only reads")
            .help(format!(
                "write {name} = {{ get = {quoted}, direction = \"pull\" }}, or add put = \".{name}\", the path that it is written \
                 to, or put = '…' with a jq filter that writes $value"
            ));
        return;
    }
    let Some(path) = lens.written_path() else { return };
    for (what, own) in own_paths(raw) {
        if Path::parse(own).as_ref() == Some(path) {
            cx.notes
                .error(
                    DiagnosticKind::Conflict,
                    entry.span,
                    format!("`{name}` cannot be written: it is the record's `{what}`, which the upstream sets"),
                )
                .label("read-only")
                .help(format!("write {name} = {{ path = \"{own}\", direction = \"pull\" }}"));
        }
    }
}

/// A ref is translated through links, so that the collection it points to must be linked at the same upstream.
fn check_reference(entry: &Entry<'_>, field: &Declared<'_>, place: &Place<'_>, cx: &mut Cx<'_>) {
    let Some(FieldType::Ref { to }) = field.domain.as_ref().map(|domain| &domain.ty) else { return };
    let key = (to.clone(), place.upstream.to_owned());
    if !cx.definitions.bindings.contains_key(&key) && !cx.definitions.unread {
        let (name, upstream) = (entry.name, place.upstream);
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                entry.name_span,
                format!("`{name}` cannot be translated: `{to}` has no binding at `{upstream}`"),
            )
            .help(format!("define [binding.{to}.{upstream}], or leave the entry out"));
    }
}

/// No two written fields stand at the same place.
fn check_overlap(fields: &[FieldMap], map: &At<crate::rules::shape::Named<Either<Jq, MapEntry>>>, cx: &mut Cx<'_>) {
    let place = |field: &FieldMap| map.members.iter().find(|(name, ..)| *name == field.name).map(|(_, span, _)| *span);
    for (position, later) in fields.iter().enumerate().filter(|(_, field)| field.push) {
        let Some(path) = later.lens.written_path() else { continue };
        let same =
            |field: &&FieldMap| field.push && field.lens.written_path().is_some_and(|other| overlaps(other, path));
        if let Some(earlier) = fields[..position].iter().find(same) {
            let message = format!("`{}` and `{}` are written to the same place", earlier.name, later.name);
            let (span, first) = (place(later).unwrap_or_default(), place(earlier).unwrap_or_default());
            cx.notes
                .error(DiagnosticKind::Conflict, span, message)
                .help("write direction = \"pull\" in one of the two")
                .second(first, "also written here");
        }
    }
}

/// One path is the other, or leads into it.
fn overlaps(one: &Path, other: &Path) -> bool {
    let shorter = one.steps.len().min(other.steps.len());
    one.steps[..shorter] == other.steps[..shorter]
}
