//! Owns: the checks of `[binding.….write]`: create, update, delete and what makes them safe.
//!
//! Must not know: how batches are cut (that is `batch`).

use std::time::Duration;

use super::batch;
use super::binding::{Place as Where, Ways, inert_for_direction, transpose};
use super::context::Cx;
use super::parent;
use super::request::{
    self, ARCHIVE, CREATE, CREATE_BY_MATCH, CREATE_UNDER, CREATE_UNDER_BY_MATCH, CREATE_UNDER_WITH_ID, CREATE_WITH_ID,
    DELETE, Purpose, UPDATE,
};
use super::text::{Allowed, has_hole};
use crate::record::Path;
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, IdempotencyShape, Op, PreconditionWord};
use crate::rules::model::{
    Batch, Body, Collection, Create, Delete, Idempotency, Part, Place, Precondition, Request, ResultBy, Template,
    Update,
};
use crate::rules::shape::{At, Either, Key};
use crate::rules::units::{Jq, Text};

/// All writes of a binding.
#[derive(Default)]
pub struct Writes {
    /// How to create.
    pub create: Option<Create>,
    /// How to update.
    pub update: Option<Update>,
    /// How to delete.
    pub delete: Option<Delete>,
    /// How to archive.
    pub archive: Option<Delete>,
    /// How to write many at once.
    pub batches: Vec<Batch>,
}

/// Checks how a binding writes.
pub fn lower(place: &Where<'_>, raw: &grammar::Binding, ways: Ways, cx: &mut Cx<'_>) -> Option<Writes> {
    let Some(at) = raw.write.get() else {
        if ways.push && raw.write.is_absent() {
            no_writes(place, raw, cx);
        }
        return raw.write.is_absent().then(Writes::default);
    };
    if !ways.push {
        inert_for_direction(&at.create, "write.create", "pull", cx);
        inert_for_direction(&at.update, "write.update", "pull", cx);
        inert_for_direction(&at.delete, "write.delete", "pull", cx);
        inert_for_direction(&at.archive, "write.archive", "pull", cx);
        inert_for_direction(&at.batch, "write.batch", "pull", cx);
        inert_for_direction(&at.transition, "write.transition", "pull", cx);
        return None;
    }
    if at.create.is_absent() && at.update.is_absent() && at.transition.is_absent() {
        no_writes(place, raw, cx);
    }
    let create = at.create.get().map(|at| create(place, at, raw, cx));
    let update = at.update.get().map(|at| update(at, raw, cx));
    let archive = at.archive.get().map(|at| delete(&at.value, at.key, (ARCHIVE, "an archive"), raw, cx));
    let delete = at.delete.get().zip(at.delete_table());
    let delete = delete.map(|(at, table)| self::delete(table, at.key, (DELETE, "a delete"), raw, cx));
    let batches = batch::lower(place, &at.batch, &at.value, cx);
    let (create, update, delete, archive, batches) =
        (transpose(create)?, transpose(update)?, transpose(delete)?, transpose(archive)?, batches?);
    for (at, batch) in at.batch.get().iter().flat_map(|at| &at.items).zip(&batches) {
        let updates = update.iter().map(|update| (Op::Update, &update.precondition));
        let deletes = delete.iter().map(|delete| (Op::Delete, &delete.precondition));
        if matches!(batch.result.by, ResultBy::Id) && parent::is_in_id(raw) {
            let words = "results that are told apart by ids alone: those of several parents have the same";
            cx.notes.error(DiagnosticKind::Conflict, at.span, words).help("write by = \"index\" in `result`");
        }
        batch::check_versions(at, batch, &updates.chain(deletes).collect::<Vec<_>>(), cx);
    }
    Some(Writes { create, update, delete, archive, batches })
}

fn no_writes(place: &Where<'_>, raw: &grammar::Binding, cx: &mut Cx<'_>) {
    // What a direction that cannot be read asks for is not known.
    if matches!(raw.direction, Key::Bad) {
        return;
    }
    let span = raw.write.get().map_or(place.span, |at| at.key);
    let (collection, upstream) = (place.collection, place.upstream);
    let direction = match raw.direction.get().map(|at| at.value) {
        Some(grammar::Direction::Push) => "push",
        _ => "both",
    };
    cx.notes
        .error(
            DiagnosticKind::Missing,
            span,
            format!("direction \"{direction}\" needs at least `write.update` or `write.create`"),
        )
        .help(format!("write [binding.{collection}.{upstream}.write.update], or direction = \"pull\""));
}

// ---- create --------------------------------------------------------------------------------------------------------

fn create(place: &Where<'_>, at: &At<grammar::Create>, raw: &grammar::Binding, cx: &mut Cx<'_>) -> Option<Create> {
    let idempotency = match &at.idempotency {
        Key::Absent => Some(Idempotency::None),
        Key::Bad => None,
        Key::Given(at) => idempotency(place, at, cx),
    };
    let client_id = at.idempotency.get().is_some_and(|at| !at.client_id.is_absent());
    let is_under = raw.read.get().is_some_and(|read| !read.parent.is_absent());
    let by_match = at.idempotency.get().is_some_and(|at| !at.r#match.is_absent());
    let purpose = match (client_id, is_under) {
        (false, false) if by_match => CREATE_BY_MATCH,
        (false, true) if by_match => CREATE_UNDER_BY_MATCH,
        (false, false) => CREATE,
        (true, false) => CREATE_WITH_ID,
        (false, true) => CREATE_UNDER,
        (true, true) => CREATE_UNDER_WITH_ID,
    };
    let body = body(&at.body, true, cx);
    // As in an update, a body that is shaped from the id has it.
    let has_id = matches!(&body, Some(Body::Filter(filter)) if filter.source().contains(".id"));
    let request = at.request.get().and_then(|at| request::lower_naming(at, purpose, has_id, cx));
    check_named_by(at, raw, request.as_ref(), cx);
    let parent = under(place, at, raw, request.as_ref(), cx);
    parent::check_address(raw, request.as_ref(), at.request.get().map_or(at.key, |at| at.span), cx);
    if let Some(given) = at.idempotency.get().filter(|_| client_id && parent::is_in_id(raw)) {
        let words = "an id that is chosen here is no part of an id that names the parent as well";
        cx.notes.error(DiagnosticKind::Conflict, given.span, words).help("write idempotency = { match = \"FIELD\" }");
    }
    let capture = at.capture.get();
    let id = transpose(capture.and_then(|at| at.id.get()).map(|at| cx.path(at)));
    if let (Some(id), true) = (capture.and_then(|at| at.id.get()), client_id) {
        cx.notes.inert(id.key, "id", "we choose the id ourselves");
    }
    let version = transpose(capture.and_then(|at| at.version.get()).map(|at| cx.next_at(at)));
    let upsert = transpose(at.upsert.get().map(|name| match_field(place, name, cx)));
    Some(Create {
        request: request?,
        body: body?,
        capture_id: id?,
        capture_version: version?,
        idempotency: idempotency?,
        upsert: upsert?,
        parent: parent?,
    })
}

/// What an address names its record by is written at a plain path, so that it is known how the upstream writes it.
fn check_named_by(at: &At<grammar::Create>, raw: &grammar::Binding, request: Option<&Request>, cx: &mut Cx<'_>) {
    let Some(name) = at.idempotency.get().and_then(|at| at.r#match.get()) else { return };
    let mut maps = raw.map.get().into_iter().flat_map(|map| &map.members);
    let entry = maps.find(|(field, ..)| *field == name.value.0).and_then(|(.., entry)| entry.get());
    let Some(entry) = entry.filter(|_| request.is_some_and(|request| request.has_hole("match"))) else { return };
    let is_plain = |jq: &Jq| Path::parse(jq.0.trim()).is_some();
    let (plain, sent) = match &entry.value {
        Either::Short(jq) => (is_plain(jq), true),
        Either::Table(table) => (
            !table.path.is_absent() || table.put.get().is_some_and(|put| is_plain(&put.value)),
            table.direction.get().is_none_or(|at| at.value != grammar::Direction::Pull),
        ),
    };
    if !plain || !sent {
        let why = if sent { "written by a filter" } else { "never written" };
        let words = format!("`{}` is {why} here, so that `{{match}}` has no value", name.value.0);
        cx.notes
            .error(DiagnosticKind::Conflict, name.span, words)
            .help("map it by a plain path, or name another field");
    }
}

/// Whom a create may go over must be known: by a match key that is the field by which the upstream finds records.
pub fn check_addresses(name: &str, collection: &Collection, cx: &mut Cx<'_>) {
    for binding in &collection.bindings {
        let Some(field) = binding.create.as_ref().and_then(Create::goes_over) else { continue };
        if collection.match_keys.iter().any(|key| *key == [field]) {
            continue;
        }
        let place = (name.to_owned(), binding.upstream.name.clone());
        let raw = cx.definitions.bindings.get(&place).and_then(|definition| definition.value.get());
        let create = raw.and_then(|raw| raw.write.get()?.create.get());
        let named = |create: &'_ At<grammar::Create>| match create.upsert.get() {
            Some(at) => Some(at.clone()),
            None => create.idempotency.get()?.r#match.get().cloned(),
        };
        let Some(at) = create.and_then(named) else { continue };
        let field = &at.value.0;
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                at.span,
                format!("`{field}` alone is no match key of `{name}`, so that nobody would know whose it is already"),
            )
            .help(format!("write match = {{ keys = [[\"{field}\"], …] }} in [collection.{name}]"));
    }
}

/// The field that says under which parent a record is made, where the address names it.
#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
fn under(
    place: &Where<'_>,
    at: &At<grammar::Create>,
    raw: &grammar::Binding,
    request: Option<&Request>,
    cx: &mut Cx<'_>,
) -> Option<Option<usize>> {
    let Some(request) = request else { return Some(None) };
    let is_in = |template: &Template| has_hole(template, parent::HOLE);
    if !is_in(&request.path) && !request.query.iter().any(|(_, value)| is_in(value)) {
        return Some(None);
    }
    let batches = raw.write.get().and_then(|write| write.batch.get());
    let mut batched = batches.iter().flat_map(|at| &at.items).filter_map(|batch| batch.ops.get());
    if let Some(ops) = batched.find(|ops| ops.value.iter().any(|op| op.value == Op::Create)) {
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                ops.span,
                "a batch has one address, and each of these creates names its own parent",
            )
            .help("leave \"create\" out of `ops`: they are sent one by one then")
            .second(at.key, "under a parent");
    }
    let field = parent::field_of(place, raw);
    if field.is_none() {
        cx.notes
            .error(
                DiagnosticKind::Missing,
                at.key,
                "no field says under which parent a record is made: none that is mapped refers to it",
            )
            .help("declare one of the type `ref` to the parents' collection, and map it: company = \".company_id\"");
    }
    field.map(Some)
}

fn idempotency(place: &Where<'_>, at: &At<IdempotencyShape>, cx: &mut Cx<'_>) -> Option<Idempotency> {
    let given = [
        at.header.get().map(|at| at.key),
        at.query.get().map(|at| at.key),
        at.r#match.get().map(|at| at.key),
        at.field.get().map(|at| at.key),
        at.client_id.get().map(|at| at.key),
    ];
    let bad = [
        matches!(at.header, Key::Bad),
        matches!(at.query, Key::Bad),
        matches!(at.r#match, Key::Bad),
        matches!(at.field, Key::Bad),
        matches!(at.client_id, Key::Bad),
    ];
    if given.iter().flatten().count() != 1 {
        if !bad.contains(&true) {
            cx.notes
                .error(
                    DiagnosticKind::Conflict,
                    at.span,
                    "exactly one of `header`, `query`, `match`, `field` and `client_id` is wanted",
                )
                .help("e.g. idempotency = { header = \"Idempotency-Key\" }");
        }
        return None;
    }
    if let Some(ttl) = at.ttl.get().filter(|_| at.header.is_absent() && at.query.is_absent()) {
        cx.notes.inert(ttl.key, "ttl", "it is for `header` and `query`");
    }
    let ttl = at.ttl.get().map_or(Duration::from_hours(24), |at| at.value.0);
    if let Some(header) = at.header.get() {
        return Some(Idempotency::Key { into: Place::Header(cx.header(header)?), ttl });
    }
    if let Some(query) = at.query.get() {
        return Some(Idempotency::Key { into: Place::Query(query.value.0.clone()), ttl });
    }
    if let Some(field) = at.field.get() {
        return cx.path(field).map(Idempotency::Field);
    }
    if let Some(name) = at.r#match.get() {
        return match_field(place, name, cx).map(Idempotency::Match);
    }
    Some(Idempotency::ClientId)
}

fn match_field(place: &Where<'_>, at: &At<Text>, cx: &mut Cx<'_>) -> Option<usize> {
    let declared = place.declared?;
    let position = declared.iter().position(|field| field.name == at.value.0);
    if position.is_none() {
        let names: Vec<&str> = declared.iter().map(|field| field.name).collect();
        cx.notes.unknown(at.span, format!("`{}` has no field `{}`", place.collection, at.value.0), &at.value.0, &names);
        return None;
    }
    let key = (place.collection.to_owned(), place.upstream.to_owned());
    let map = cx.definitions.bindings.get(&key).and_then(|definition| definition.value.get()?.map.get());
    if map.is_some_and(|map| !map.members.iter().any(|(name, ..)| *name == at.value.0)) {
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                at.span,
                format!("`{}` is not mapped here, so that nothing can be found by it", at.value.0),
            )
            .help("map it, or name a field that is mapped");
    }
    position
}

/// `changed`, `full`, or a filter.
fn body(key: &Key<Jq>, creates: bool, cx: &mut Cx<'_>) -> Option<Body> {
    let Some(at) = key.get() else {
        let default = if creates { Body::Full } else { Body::Changed };
        return key.is_absent().then_some(default);
    };
    match at.value.0.trim() {
        "full" => Some(Body::Full),
        "changed" if creates => {
            cx.notes
                .error(DiagnosticKind::Conflict, at.span, "a create has no changed fields: all of them are new")
                .help("write body = \"full\", or leave it out");
            None
        }
        "changed" => Some(Body::Changed),
        word if word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_') => {
            let words: &[&str] = if creates { &["full"] } else { &["changed", "full"] };
            cx.notes.unknown(at.span, format!("\"{word}\" is no body"), word, words);
            None
        }
        _ => cx.filter(at, &[]).map(Body::Filter),
    }
}

// ---- update and delete ---------------------------------------------------------------------------------------------

/// As written: a word, or a place.
pub type PreconditionKey = Key<Either<PreconditionWord, grammar::Precondition>>;

fn update(at: &At<grammar::Update>, raw: &grammar::Binding, cx: &mut Cx<'_>) -> Option<Update> {
    let body = body(&at.body, false, cx);
    // A body that is shaped from the id says which record is meant.
    let names_it =
        matches!(&body, Some(Body::Filter(filter)) if [".id", "remote"].iter().any(|it| filter.source().contains(it)));
    let request =
        at.request.get().and_then(|at| request::lower_naming(at, UPDATE.under(parent::is_told(raw)), names_it, cx));
    let span = at.request.get().map_or(at.key, |at| at.span);
    parent::check_address(raw, request.as_ref(), span, cx);
    let in_request = conditional(request.as_ref(), span, raw, cx);
    let precondition = precondition(&at.precondition, at.key, ("an update", in_request), raw, cx);
    Some(Update { request: request?, body: body?, precondition: precondition? })
}

fn delete(
    at: &grammar::Delete,
    key: Span,
    (purpose, what): (Purpose, &'static str),
    raw: &grammar::Binding,
    cx: &mut Cx<'_>,
) -> Option<Delete> {
    let request = at.request.get().and_then(|at| request::lower(at, purpose.under(parent::is_told(raw)), cx));
    let span = at.request.get().map_or(key, |at| at.span);
    parent::check_address(raw, request.as_ref(), span, cx);
    let in_request = conditional(request.as_ref(), span, raw, cx);
    let precondition = precondition(&at.precondition, key, (what, in_request), raw, cx);
    Some(Delete { request: request?, precondition: precondition? })
}

/// Whether the request carries the version by itself; then there has to be one.
pub fn conditional(request: Option<&Request>, span: Span, raw: &grammar::Binding, cx: &mut Cx<'_>) -> bool {
    let in_request = request.is_some_and(|request| request.has_hole("version"));
    if in_request {
        check_version_known(span, raw, cx);
    }
    in_request
}

/// What makes a write conditional.
pub fn precondition(
    key: &PreconditionKey,
    span: Span,
    (what, in_request): (&str, bool),
    raw: &grammar::Binding,
    cx: &mut Cx<'_>,
) -> Option<Precondition> {
    let has_get = raw.read.get().is_some_and(|read| !read.get.is_absent());
    match key {
        Key::Bad => None,
        Key::Absent if has_get => Some(Precondition::Reread),
        // A version that the request itself carries makes it conditional.
        Key::Absent if in_request => Some(Precondition::None),
        Key::Absent => {
            cx.notes
                .error(DiagnosticKind::Missing, span, format!("nothing keeps {what} from overwriting a newer record"))
                .label("no precondition")
                .help(
                    "write precondition = { header = \"If-Match\", value = '\"{version}\"' } where the upstream has versions, \
                     or read.get = \"GET /…/{id}\" to read again before, or precondition = \"none\" to accept it",
                );
            None
        }
        Key::Given(at) => match &at.value {
            Either::Short(PreconditionWord::None) => Some(Precondition::None),
            Either::Short(PreconditionWord::Reread) => {
                if !has_get {
                    cx.notes
                        .error(DiagnosticKind::Missing, at.span, "`reread` needs a point read")
                        .help("write read.get = \"GET /contacts/{id}\"");
                    return None;
                }
                Some(Precondition::Reread)
            }
            Either::Table(table) => version_place(table, at.span, raw, cx),
        },
    }
}

fn version_place(
    table: &grammar::Precondition,
    span: Span,
    raw: &grammar::Binding,
    cx: &mut Cx<'_>,
) -> Option<Precondition> {
    let place = match (&table.header, &table.query, &table.body) {
        (Key::Given(at), Key::Absent, Key::Absent) => cx.header(at).map(Place::Header),
        (Key::Absent, Key::Given(at), Key::Absent) => Some(Place::Query(at.value.0.clone())),
        (Key::Absent, Key::Absent, Key::Given(at)) => cx.path(at).map(Place::Body),
        (Key::Bad, ..) | (_, Key::Bad, _) | (.., Key::Bad) => None,
        _ => {
            cx.notes
                .error(DiagnosticKind::Conflict, span, "exactly one of `header`, `query` and `body` is wanted")
                .help("e.g. precondition = { header = \"If-Match\", value = '\"{version}\"' }");
            None
        }
    };
    let default = Template { parts: vec![Part::Hole("version".to_owned())] };
    let value = match &table.value {
        Key::Absent => Some(default),
        Key::Bad => None,
        Key::Given(at) => {
            let value = cx.template(at, Allowed { holes: &["version"], secrets: false });
            if value.as_ref().is_some_and(|value| !has_hole(value, "version")) {
                cx.notes
                    .error(DiagnosticKind::Missing, at.span, "a precondition without `{version}` says nothing")
                    .help("write value = '\"{version}\"', quoted as the upstream wants it");
            }
            value
        }
    };
    check_version_known(span, raw, cx);
    Some(Precondition::Version { place: place?, value: value? })
}

fn check_version_known(span: Span, raw: &grammar::Binding, cx: &mut Cx<'_>) {
    if raw.version.is_absent() {
        cx.notes.error(DiagnosticKind::Missing, span, "the binding has no version to send").help(
            "write version = \".etag\" or version = { header = \"ETag\" } in the binding, or precondition = \"reread\"",
        );
    }
}
