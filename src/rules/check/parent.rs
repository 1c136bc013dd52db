//! Owns: the checks of `read.parent`: whether there are such parents, and whether a listing under each can be read so.
//!
//! Must not know: how a listing is checked otherwise.

use std::collections::BTreeSet;

use super::binding::Place as Where;
use super::context::Cx;
use super::read::absence_needs_get;
use super::upstream::within;
use crate::record::{FieldType, Path, Step};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, Direction, Incremental, ParentIds};
use crate::rules::model::{Parent, Request};
use crate::rules::shape::{At, Either, Key};
use crate::rules::units::Text;

/// Parents that one request names, at most.
const BATCH_MAX: u64 = 1000;

/// Checks the parents of a listing; `None` after an error.
#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
pub fn lower(place: &Where<'_>, read: &At<grammar::Read>, cx: &mut Cx<'_>) -> Option<Option<Parent>> {
    let at = match &read.parent {
        Key::Absent => return Some(None),
        Key::Bad => return None,
        Key::Given(at) => at,
    };
    let before = cx.notes.count();
    let collection = at.collection.get()?;
    check_collection(place, collection, cx);
    let batch = within(&at.batch, 1, 1..=BATCH_MAX, "batch", cx);
    if let (Some(name), true) = (at.r#as.get(), batch > 1) {
        let words = "of several parents in one request nothing says whose a record is, so `as` cannot";
        cx.notes
            .error(DiagnosticKind::Conflict, name.key, words)
            .help("leave out `batch`, or map the place where a record names its parent");
    }
    if let Some(name) = at.r#as.get().filter(|name| name.value.0.trim().is_empty()) {
        cx.notes.error(DiagnosticKind::Invalid, name.span, "an empty name").help("write as = \"company_id\"");
    }
    check_incremental(read, at, batch, cx);
    let in_id = has_parent_in_id(at);
    if in_id {
        check_ids(place, at, cx);
    } else {
        let words = "absence from the listings under parents proves nothing: a record moves from one to another while they are read";
        absence_needs_get(read, words, (at.key, "under parents"), cx);
    }
    let parent = Parent {
        collection: collection.value.0.clone(),
        name: at.r#as.get().map(|at| at.value.0.clone()),
        in_id,
        batch: usize::try_from(batch).unwrap_or(1),
    };
    (cx.notes.count() == before).then_some(Some(parent))
}

fn check_collection(place: &Where<'_>, at: &At<Text>, cx: &mut Cx<'_>) {
    let name = at.value.0.as_str();
    if !cx.definitions.collections.contains_key(name) {
        let names = cx.collection_names();
        cx.undefined(at.span, format!("there is no collection `{name}`"), name, &names);
        return;
    }
    if name == place.collection {
        let words = "records cannot be listed under records of their own collection: those are not known before";
        cx.notes.error(DiagnosticKind::Conflict, at.span, words);
        return;
    }
    let Some(binding) = cx.definitions.bindings.get(&(name.to_owned(), place.upstream.to_owned())) else {
        if !cx.has_misnamed_bindings() {
            let words =
                format!("`{name}` has no binding at `{}`, where its records would be the parents", place.upstream);
            cx.notes
                .error(DiagnosticKind::UnknownName, at.span, words)
                .help(format!("define [binding.{name}.{}]", place.upstream));
        }
        return;
    };
    let Some(raw) = binding.value.get() else { return };
    if raw.direction.get().is_some_and(|at| at.value == Direction::Push) {
        let words = format!("`{name}` is not read at `{}`, so that no parents are known there", place.upstream);
        cx.notes
            .error(DiagnosticKind::Conflict, at.span, words)
            .help(format!("write direction = \"both\" in [binding.{name}.{}]", place.upstream));
    }
    if goes_round(place, name, cx) {
        cx.notes.error(
            DiagnosticKind::Conflict,
            at.span,
            "parents in a circle: none of these collections can be read first",
        );
    }
}

/// Whether the parents of parents come back to the binding itself.
fn goes_round(place: &Where<'_>, first: &str, cx: &Cx<'_>) -> bool {
    let (mut met, mut name) = (BTreeSet::new(), first.to_owned());
    while met.insert(name.clone()) {
        let binding = cx.definitions.bindings.get(&(name, place.upstream.to_owned()));
        let read = binding.and_then(|binding| binding.value.get()).and_then(|raw| raw.read.get());
        let next = read.and_then(|read| read.parent.get()).and_then(|parent| parent.collection.get());
        let Some(next) = next else { return false };
        if next.value.0 == place.collection {
            return true;
        }
        name = String::from(next.value.0.as_str());
    }
    false
}

fn check_incremental(read: &At<grammar::Read>, parent: &At<grammar::Parent>, batch: u64, cx: &mut Cx<'_>) {
    let Some(at) = read.incremental.get() else { return };
    let (words, help) = match &at.value {
        Incremental::EventFeed(_) => (
            "a feed of events is of all records, not of one parent's",
            "leave out `parent`, or use another `incremental`",
        ),
        Incremental::Conditional(_) | Incremental::Token(_) if batch > 1 => (
            "what an upstream says of several parents together is of no use for other ones",
            "leave out `batch`, or use incremental = { kind = \"since\", … }",
        ),
        Incremental::Since(since) if batch > 1 && !since.from.is_absent() => (
            "what an upstream says of several parents together is of no use for other ones",
            "leave out `batch`, or leave out `from` to use `updated_at`",
        ),
        _ => return,
    };
    cx.notes.error(DiagnosticKind::Conflict, at.key, words).help(help).second(parent.key, "under parents");
}

/// Checks that the listing says whose records it wants.
pub fn check_request(request: &Request, at: &At<grammar::RequestShape>, parent: &Parent, cx: &mut Cx<'_>) {
    let is_in = |template| super::text::has_hole(template, HOLE);
    let in_path = is_in(&request.path);
    let elsewhere = request.query.iter().any(|(_, value)| is_in(value))
        || request.body.as_ref().is_some_and(|body| body.has_hole(HOLE));
    if !in_path && !elsewhere {
        cx.notes
            .error(
                DiagnosticKind::Missing,
                at.span,
                "`{parent}` is missing: the listing must say whose records it wants",
            )
            .help("put it into the path or the query: \"/companies/{parent}/contacts\"");
    } else if in_path && parent.batch > 1 {
        cx.notes
            .error(DiagnosticKind::Conflict, at.span, "a path names one parent, not several")
            .help("leave out `batch`, or put `{parent}` into the query: the ids stand there with commas between them");
    }
}

/// The hole that a parent's remote id fills.
pub const HOLE: &str = "parent";

fn has_parent_in_id(at: &grammar::Parent) -> bool {
    at.ids.get().is_some_and(|ids| ids.value == ParentIds::PerParent)
}

/// Checks that remote ids can name the parents.
fn check_ids(place: &Where<'_>, at: &grammar::Parent, cx: &mut Cx<'_>) {
    let span = at.ids.get().map(|ids| ids.span).unwrap_or_default();
    if at.r#as.is_absent() {
        let words = "of ids that are unique under one parent only the parent's is a part, and no member holds that";
        cx.notes.error(DiagnosticKind::Missing, span, words).help("write as = \"list_id\" beside it");
    }
    let parents = at.collection.get().map(|at| (at.value.0.clone(), place.upstream.to_owned()));
    let of = parents.and_then(|key| cx.definitions.bindings.get(&key)).and_then(|binding| binding.value.get());
    if of.is_some_and(|of| is_in_id(of)) {
        let words = "the parents' own ids are `PARENT/ID` already, and an address cannot name a parent's parent";
        cx.notes
            .error(DiagnosticKind::Conflict, span, words)
            .help("leave `ids` out where the ids are unique, and take an address of the API that names one parent");
    }
}

/// Whether remote ids name the parents as well.
pub fn is_in_id(raw: &grammar::Binding) -> bool {
    raw.read.get().and_then(|read| read.parent.get()).is_some_and(|at| has_parent_in_id(&at.value))
}

/// The member that remote ids begin with, where they name the parents.
pub fn in_id(raw: &grammar::Binding) -> Option<Path> {
    let name = raw.read.get()?.parent.get()?.r#as.get().filter(|_| is_in_id(raw))?;
    Some(Path { steps: vec![Step::Key(name.value.0.clone())] })
}

/// Checks an address that concerns one record: an id alone may be several.
pub fn check_address(raw: &grammar::Binding, request: Option<&Request>, span: Span, cx: &mut Cx<'_>) {
    if is_in_id(raw) && request.is_some_and(|request| !request.has_hole(HOLE)) {
        let words = "`{parent}` is missing: an id alone is that of a record under each parent";
        cx.notes
            .error(DiagnosticKind::Missing, span, words)
            .help("put it into the path: \"/lists/{parent}/members/{id}\"");
    }
}

/// Checks a point read: under a parent it finds nothing of a record that has moved to another one.
pub fn check_get(raw: &grammar::Binding, read: &grammar::Read, get: &Request, span: Span, cx: &mut Cx<'_>) {
    let deletes = match read.deletes.get() {
        Some(at) if matches!(at.value, grammar::Deletes::Absence(_) | grammar::Deletes::Endpoint(_)) => at,
        Some(_) | None => return,
    };
    if is_in_id(raw) || !get.has_hole(HOLE) {
        return;
    }
    cx.notes
        .error(
            DiagnosticKind::Conflict,
            deletes.span,
            "a record that is not found under a parent proves nothing: it may have moved to another one",
        )
        .help(
            "write ids = \"per_parent\" in `parent` where one that moves is another record, or `get` without `{parent}`, or \
             leave `deletes` out",
        )
        .second(span, "asked for under a parent");
}

/// Whether each record says under which parent it was listed, so that a write to it can name that one.
pub fn is_told(raw: &grammar::Binding) -> bool {
    let parent = raw.read.get().and_then(|read| read.parent.get());
    parent.is_some_and(|parent| !parent.r#as.is_absent())
}

/// The field by which a record that is made here says under which parent it is made there.
pub fn field_of(place: &Where<'_>, raw: &grammar::Binding) -> Option<usize> {
    let parent = raw.read.get()?.parent.get()?;
    let collection = &parent.collection.get()?.value.0;
    let maps = &raw.map.get()?.value.members;
    let refers = |at: usize| {
        let domain = place.declared?.get(at)?.domain.as_ref()?;
        matches!(&domain.ty, FieldType::Ref { to } if to == collection).then_some(at)
    };
    let fields: Vec<(usize, &str)> = maps
        .iter()
        .filter_map(|(name, _, map)| {
            let at = place.declared?.iter().position(|field| field.name == *name)?;
            let path = match &map.get()?.value {
                Either::Short(jq) => jq.0.as_str(),
                Either::Table(table) => table.path.get()?.value.0.as_str(),
            };
            Some((refers(at)?, path))
        })
        .collect();
    let own = parent.r#as.get().map(|name| format!(".{}", name.value.0));
    let named = fields.iter().find(|(_, path)| own.as_deref() == Some(path.trim()));
    named.or(fields.first()).map(|(at, _)| *at)
}
