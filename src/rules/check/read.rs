//! Owns: the checks of `[binding.….read]`: listing, paging, incremental reading, deletes, point reads.
//!
//! Must not know: writes, beyond whether there are any.

use std::time::Duration;

use super::binding::{Place as Where, Ways, inert_for_direction, transpose};
use super::cap;
use super::context::Cx;
use super::deleted;
use super::export;
use super::feed;
use super::format;
use super::more;
use super::parent;
use super::request::{self, POINT_READ};
use super::text::{Allowed, has_hole};
use super::upstream::within;
use crate::record::{Filter, Path, TimeFormat};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, PageSize, PathOrHeader, UpdatedAt};
use crate::rules::model::{
    BodyFormat, CapSplit, Deleted, Deletes, Incremental, NextAt, OffsetStep, PageCap, Paging, Parent, Place, Read,
    Request, SinceFrom, Template,
};
use crate::rules::shape::{At, Either, Key};
use crate::rules::units::{Jq, Text};

/// How a binding reads, and what others need to know of it.
pub struct Reading {
    /// `None` where nothing is read, or after an error.
    pub read: Option<Read>,
    /// The tombstone condition.
    pub tombstone: Option<Filter>,
    /// Reads incrementally.
    pub incremental: bool,
    /// Where deletes are taken from absence.
    pub absence: Option<Span>,
    /// Where pages are counted, so that they shift when records come and go meanwhile.
    pub counted: Option<Span>,
    /// Where it is said how long deleted records are listed, and how long.
    pub horizon: Option<(Span, Duration)>,
}

/// Checks how a binding reads.
pub fn lower(place: &Where<'_>, raw: &grammar::Binding, ways: Ways, cx: &mut Cx<'_>) -> Reading {
    let mut reading =
        Reading { read: None, tombstone: None, incremental: false, absence: None, counted: None, horizon: None };
    let Some(at) = raw.read.get() else {
        if ways.pull && raw.read.is_absent() {
            let (collection, upstream) = (place.collection, place.upstream);
            cx.notes.error(DiagnosticKind::Missing, place.span, "a binding that pulls needs `read`").help(format!(
                "write [binding.{collection}.{upstream}.read] with `request` and `records`, or direction = \"push\""
            ));
        }
        // A part that could not be read may have said so.
        reading.incremental = !raw.read.is_absent();
        return reading;
    };
    let lists = ways.pull || raw.write.get().is_some_and(|write| !write.create.is_absent());
    if !ways.pull {
        inert_for_direction(&at.incremental, "incremental", "push", cx);
        inert_for_direction(&at.deletes, "deletes", "push", cx);
        inert_for_direction(&raw.created_at, "created_at", "push", cx);
        inert_for_direction(&raw.merged_into, "merged_into", "push", cx);
        inert_for_direction(&raw.archived, "archived", "push", cx);
    }
    if !lists {
        inert_for_direction(&at.page, "page", "push", cx);
        inert_for_direction(&at.format, "format", "push", cx);
        inert_for_direction(&at.page_cap, "page_cap", "push", cx);
        inert_for_direction(&at.job, "job", "push", cx);
    }
    reading.absence = at.deletes.get().filter(|at| matches!(at.value, grammar::Deletes::Absence(_))).map(|at| at.span);
    let counted = |page: &grammar::Page| matches!(page, grammar::Page::Page(_) | grammar::Page::Offset(_));
    reading.counted = at.page.get().filter(|at| counted(&at.value)).map(|at| at.span);
    reading.horizon = at.deletes.get().and_then(|at| match &at.value {
        grammar::Deletes::Tombstone(raw) => raw.horizon.get().map(|at| (at.span, at.value.0)),
        grammar::Deletes::Endpoint(raw) => raw.horizon.get().map(|at| (at.span, at.value.0)),
        grammar::Deletes::None(_) | grammar::Deletes::Absence(_) => None,
    });
    reading.incremental = match &at.incremental {
        Key::Given(at) => !matches!(at.value, grammar::Incremental::None(_)),
        Key::Bad => true,
        Key::Absent => false,
    };
    if !lists {
        inert_for_direction(&at.parent, "parent", "push", cx);
    }
    let under = parent::lower(place, at, cx);
    reading.read = read(at, raw, (lists, under), &mut reading.tombstone, reading.horizon, cx);
    reading
}

#[expect(clippy::option_option, reason = "no parents, refused ones, and parents are three things")]
fn read(
    at: &At<grammar::Read>,
    raw: &grammar::Binding,
    (lists, under): (bool, Option<Option<Parent>>),
    tombstone: &mut Option<Filter>,
    horizon: Option<(Span, Duration)>,
    cx: &mut Cx<'_>,
) -> Option<Read> {
    let mut request = at.request.get().and_then(|given| request::lower(given, export::listing(at), cx));
    if let (Some(Some(parent)), Some(at), Some(request)) = (&under, at.request.get(), &request) {
        parent::check_request(request, at, parent, cx);
    }
    let format = format::lower(at, cx);
    let records = match format {
        Some(BodyFormat::Ndjson | BodyFormat::Csv(_)) => Some(Path { steps: Vec::new() }.into()),
        Some(BodyFormat::Json) | None => at.records.get().and_then(|at| cx.list_at(at)),
    };
    let page = page(&at.page, cx);
    let incremental = incremental(at, raw, cx);
    check_conditional(at, cx);
    more::check_guessed_end(at, cx);
    if let (Some(page), Some(request)) = (at.page.get(), &request) {
        check_counted(&page.value, page.key, request, cx);
        if let (Some(since), Some(incremental)) = (at.incremental.get(), &incremental) {
            check_counted_since(&page.value, (since, incremental), request, cx);
        }
    }
    let deletes = deletes(at, raw, tombstone, cx);
    let cap = cap::lower(at, raw, cx);
    cap::check_nested(at, records.as_ref(), cx);
    if let (Some(page), Some(request), Some(Some(cap)), Some(given)) =
        (at.page.get(), &request, &cap, at.page_cap.get())
    {
        check_counted_key(&page.value, (given.key, cap), request, cx);
    }
    let lag = at.lag.get().map_or(Duration::from_mins(1), |at| at.value.0);
    let horizon = horizon.map(|(_, horizon)| horizon);
    let export = export::lower(at, cx);
    if let Some(Some(export)) = &export {
        export::check_request(at, request.as_ref(), cx);
        // Its files are read by their URLs.
        request = request.or_else(|| export.urls.is_some().then(|| export.request.clone()));
    }
    let get = transpose(at.get.get().map(|given| {
        let get = request::lower(given, POINT_READ.under(parent::is_told(raw)), cx);
        parent::check_address(raw, get.as_ref(), given.span, cx);
        get.inspect(|get| parent::check_get(raw, at, get, given.span, cx))
    }));
    if lists {
        if at.job.is_absent() {
            missing(&at.request, "request", "\"GET /contacts\"", at, cx);
        }
        if format == Some(BodyFormat::Json) {
            missing(&at.records, "records", "\".results[]\"", at, cx);
        }
    } else if at.request.is_absent() && at.get.is_absent() {
        cx.notes.inert(at.key, "read", "it has neither `request` nor `get`");
    }
    let get = get?;
    if !lists && request.is_none() {
        // Nothing lists here: the point read stands in, and the engine has no reason to list.
        let request = get.clone()?;
        let records = Path { steps: Vec::new() }.into();
        let (format, page, incremental, (deletes, deleted)) = (format?, page?, incremental?, deletes?);
        let (cap, parent) = (cap?, under?);
        return Some(Read {
            request,
            format,
            records,
            page,
            incremental,
            deletes,
            deleted,
            get,
            lag,
            horizon,
            cap,
            parent,
            export: export?,
        });
    }
    let (request, records, page, incremental) = (request?, records?, page?, incremental?);
    let (format, (deletes, deleted), cap, parent, export) = (format?, deletes?, cap?, under?, export?);
    Some(Read { request, format, records, page, incremental, deletes, deleted, get, lag, horizon, cap, parent, export })
}

fn missing<T>(key: &Key<T>, name: &str, example: &str, at: &At<grammar::Read>, cx: &mut Cx<'_>) {
    if key.is_absent() {
        cx.notes
            .error(DiagnosticKind::Missing, at.key, format!("`{name}` is missing"))
            .help(format!("write {name} = {example}"));
    }
}

// ---- paging --------------------------------------------------------------------------------------------------------

/// Checks how pages follow each other; `None` after an error.
pub fn page(key: &Key<grammar::Page>, cx: &mut Cx<'_>) -> Option<Paging> {
    let at = match key {
        Key::Absent => return Some(Paging::None),
        Key::Bad => return None,
        Key::Given(at) => at,
    };
    let places = &["query", "header", "body"];
    Some(match &at.value {
        grammar::Page::None(_) => Paging::None,
        grammar::Page::LinkHeader(_) => Paging::LinkHeader,
        grammar::Page::Page(raw) => {
            let into = transpose(raw.into.get().map(|at| cx.place(at, places)));
            let size = size(&raw.size, cx);
            let more = more::of_page(raw, cx);
            Paging::Page { into: into?, start: raw.start.or(1), size: size?, more: more? }
        }
        grammar::Page::Offset(raw) => {
            let into = transpose(raw.into.get().map(|at| cx.place(at, places)));
            let size = size(&raw.size, cx);
            let (more, step) = (more::of_offset(raw, cx), raw.step.or(OffsetStep::Records));
            Paging::Offset { into: into?, start: raw.start.or(0), size: size?, more: more?, step }
        }
        grammar::Page::Cursor(raw) => {
            let next = raw.next.get().and_then(|at| cx.next_at(at));
            let into = raw.into.get().and_then(|at| cx.place(at, places));
            let more = more::flag(&raw.more, cx);
            Paging::Cursor { next: next?, into: into?, more: more? }
        }
        grammar::Page::Keyset(raw) => {
            let key = raw.key.get().and_then(|at| cx.path(at));
            let into = raw.into.get().and_then(|at| cx.place(at, places));
            let size = size(&raw.size, cx);
            let more = more::flag(&raw.more, cx);
            Paging::Keyset { key: key?, into: into?, size: size?, more: more? }
        }
        grammar::Page::NextUrl(raw) => {
            let next = raw.next.get().and_then(|at| cx.next_at(at));
            let more = more::flag(&raw.more, cx);
            Paging::NextUrl { next: next?, more: more? }
        }
    })
}

/// Where pages are counted: the hole that the count may stand in, and whether it has a place instead.
pub fn counting(page: &grammar::Page) -> Option<(&'static str, bool)> {
    match page {
        grammar::Page::Page(raw) => Some(("page", !raw.into.is_absent())),
        grammar::Page::Offset(raw) => Some(("offset", !raw.into.is_absent())),
        _ => None,
    }
}

/// A count has a place, or a hole in the request: else each page would be the first.
pub fn check_counted(page: &grammar::Page, span: Span, request: &Request, cx: &mut Cx<'_>) {
    let Some((hole, has_place)) = counting(page) else { return };
    if has_place == request.has_hole(hole) {
        let (kind, words) = if has_place {
            (DiagnosticKind::Conflict, format!("the {hole} has a place, and {{{hole}}} stands in the request as well"))
        } else {
            (DiagnosticKind::Missing, format!("nothing says where the {hole} goes"))
        };
        cx.notes
            .error(kind, span, words)
            .help(format!("write into = \"query.{hole}\", or {{{hole}}} in the request where it is a part of a text"));
    }
}

/// What is asked for since a moment may take the place of the text that the count stands in.
fn check_counted_since(
    page: &grammar::Page,
    (at, incremental): (&At<grammar::Incremental>, &Incremental),
    request: &Request,
    cx: &mut Cx<'_>,
) {
    let (Some((hole, false)), Incremental::Since { into, value, .. }) = (counting(page), incremental) else { return };
    if text_at(request, into).is_some_and(|text| has_hole(text, hole))
        && !value.as_ref().is_some_and(|value| has_hole(value, hole))
    {
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                at.span,
                format!("this takes the place of the text that has {{{hole}}} in it"),
            )
            .help(format!("write {{{hole}}} into `value`, too, where it stands in the request's `{}`", name_of(into)));
    }
}

/// The same of the key that a capped listing goes on from, which has no text around it.
fn check_counted_key(page: &grammar::Page, (span, cap): (Span, &PageCap), request: &Request, cx: &mut Cx<'_>) {
    let (Some((hole, false)), Some(CapSplit::Key { into, .. })) = (counting(page), &cap.split) else { return };
    if text_at(request, into).is_some_and(|text| has_hole(text, hole)) {
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                span,
                format!("the key takes the place of the text that has {{{hole}}} in it"),
            )
            .help("let the key go into a place of its own");
    }
}

/// The text that the request has at a place.
fn text_at<'r>(request: &'r Request, place: &Place) -> Option<&'r Template> {
    match place {
        Place::Query(name) => request.query.iter().find(|(other, _)| other == name).map(|(_, text)| text),
        Place::Header(name) => {
            request.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, text)| text)
        }
        Place::Body(path) => request.body.as_ref().and_then(|body| body.text_at(&path.steps)),
    }
}

/// What the place is called there.
fn name_of(place: &Place) -> String {
    match place {
        Place::Query(name) | Place::Header(name) => name.clone(),
        Place::Body(path) => path.to_string(),
    }
}

#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
fn size(key: &Key<PageSize>, cx: &mut Cx<'_>) -> Option<Option<(Place, u64)>> {
    let Some(at) = key.get() else { return key.is_absent().then_some(None) };
    let place = at.into.get().and_then(|at| cx.place(at, &["query", "header", "body"]));
    let value = within(&at.value.value, 100, 1..=100_000, "value", cx);
    Some(Some((place?, value)))
}

// ---- incremental and deletes ---------------------------------------------------------------------------------------

fn incremental(read: &At<grammar::Read>, raw: &grammar::Binding, cx: &mut Cx<'_>) -> Option<Incremental> {
    let at = match &read.incremental {
        Key::Absent => return Some(Incremental::None),
        Key::Bad => return None,
        Key::Given(at) => at,
    };
    match &at.value {
        grammar::Incremental::None(_) => Some(Incremental::None),
        grammar::Incremental::Conditional(_) => Some(Incremental::Conditional),
        grammar::Incremental::Token(raw) => token(raw, cx),
        grammar::Incremental::EventFeed(raw) => feed::lower(raw, at.key, read, cx),
        grammar::Incremental::Since(raw_since) => {
            let times = Times {
                given: &raw.updated_at,
                missing: "`since` has no moment to start from: the binding has no `updated_at`",
                help: "write updated_at = \".updatedAt\" in the binding, or from = { header = \"ETag\" } here",
                counted: read.page.get().and_then(|at| counting(&at.value)).map(|(hole, _)| hole),
            };
            since(raw_since, &times, at.key, cx)
        }
    }
}

/// Checks a token for what changed since; `None` after an error.
pub fn token(token: &grammar::SyncToken, cx: &mut Cx<'_>) -> Option<Incremental> {
    let next = token.next.get().and_then(|at| cx.next_at(at));
    let into = transpose(token.into.get().map(|at| cx.place(at, &["query", "header", "body"])));
    Some(Incremental::Token { next: next?, into: into? })
}

/// The times that `since` goes by where it has no value of its own, and what is said where there are none.
pub struct Times<'t> {
    /// Where they are.
    pub given: &'t Key<Either<Jq, UpdatedAt>>,
    /// That there are none.
    pub missing: &'static str,
    /// What to do about that.
    pub help: &'static str,
    /// The hole of counted pages, which the text around a moment may have as well.
    pub counted: Option<&'static str>,
}

/// Checks what is asked for since a moment or a value; `None` after an error.
pub fn since(since: &grammar::Since, times: &Times<'_>, span: Span, cx: &mut Cx<'_>) -> Option<Incremental> {
    let into = since.into.get().and_then(|at| cx.place(at, &["query", "header", "body"]));
    let value = transpose(since.value.get().map(|at| since_value(at, times.counted, cx)));
    let mut found = match &since.from {
        Key::Given(from) => opaque_since(since, from, into, cx),
        Key::Absent => since_time(since, into, times, span, cx),
        Key::Bad => None,
    }?;
    if let Incremental::Since { value: place, .. } = &mut found {
        *place = value?;
    }
    Some(found)
}

/// The `ETag` of one page says nothing about the others: a change on a later page would be missed for as long as the first
/// stays as it is.
fn check_conditional(at: &At<grammar::Read>, cx: &mut Cx<'_>) {
    let (Some(page), Some(incremental)) = (at.page.get(), at.incremental.get()) else { return };
    if matches!(incremental.value, grammar::Incremental::Conditional(_))
        && !matches!(page.value, grammar::Page::None(_))
    {
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                incremental.key,
                "`conditional` cannot be used with pages: an unchanged first page says nothing about the others",
            )
            .help("leave out `page` if one answer holds everything; else use kind = \"since\", or leave out `incremental`")
            .second(page.key, "several pages");
    }
}

/// A text that has the moment in it.
fn since_value(at: &At<Text>, counted: Option<&str>, cx: &mut Cx<'_>) -> Option<Template> {
    let holes: &[&str] = match counted {
        Some("page") => &["since", "page"],
        Some("offset") => &["since", "offset"],
        _ => &["since"],
    };
    let value = cx.template(at, Allowed { holes, secrets: false })?;
    if has_hole(&value, "since") {
        return Some(value);
    }
    cx.notes
        .error(DiagnosticKind::Invalid, at.span, "the value does not say since when")
        .help("write {since} where it stands, or leave `value` out where nothing stands around it");
    None
}

fn opaque_since(
    since: &grammar::Since,
    from: &At<PathOrHeader>,
    into: Option<Place>,
    cx: &mut Cx<'_>,
) -> Option<Incremental> {
    if let Some(at) = since.lookback.get() {
        cx.notes
            .inert(at.key, "lookback", "a value given by the upstream is sent back as it is")
            .help("leave it out, or leave out `from` to use `updated_at`")
            .second(from.key, "given by the upstream");
    }
    if let Some(at) = since.format.get() {
        cx.notes
            .inert(at.key, "format", "a value given by the upstream is sent back as it is")
            .second(from.key, "given by the upstream");
    }
    let from = match cx.next_at(from)? {
        NextAt::Body(path) => SinceFrom::Body(path),
        NextAt::Header(name) => SinceFrom::Header(name),
    };
    Some(Incremental::Since { into: into?, from, format: TimeFormat::Rfc3339, lookback: Duration::ZERO, value: None })
}

fn since_time(
    since: &grammar::Since,
    into: Option<Place>,
    times: &Times<'_>,
    span: Span,
    cx: &mut Cx<'_>,
) -> Option<Incremental> {
    if times.given.is_absent() {
        cx.notes.error(DiagnosticKind::Missing, span, times.missing).help(times.help);
    }
    let into = into?;
    let modified_since = matches!(&into, Place::Header(name) if name.eq_ignore_ascii_case("if-modified-since"));
    let declared = match times.given.get().map(|at| &at.value) {
        Some(Either::Table(table)) => table.format.or(TimeFormat::Rfc3339),
        Some(Either::Short(_)) | None => TimeFormat::Rfc3339,
    };
    let default = if modified_since { TimeFormat::HttpDate } else { declared };
    Some(Incremental::Since {
        into,
        from: SinceFrom::UpdatedAt,
        format: since.format.or(default),
        lookback: since.lookback.get().map_or(Duration::from_mins(2), |at| at.value.0),
        value: None,
    })
}

/// How deletes show, and where they are told if that is an address of its own.
type Showing = (Deletes, Option<Box<Deleted>>);

fn deletes(
    read: &At<grammar::Read>,
    binding: &grammar::Binding,
    tombstone: &mut Option<Filter>,
    cx: &mut Cx<'_>,
) -> Option<Showing> {
    match &read.deletes {
        Key::Absent => Some((Deletes::None, None)),
        Key::Bad => None,
        Key::Given(at) => match &at.value {
            grammar::Deletes::None(_) => Some((Deletes::None, None)),
            grammar::Deletes::Absence(_) => Some((Deletes::Absence, None)),
            grammar::Deletes::Tombstone(raw) => {
                let when: &At<Jq> = raw.when.get()?;
                *tombstone = Some(cx.filter(when, &[])?);
                Some((Deletes::Tombstone, None))
            }
            grammar::Deletes::Endpoint(raw) => {
                let deleted = deleted::lower(raw, at.key, read, binding, cx)?;
                Some((Deletes::Endpoint, Some(Box::new(deleted))))
            }
        },
    }
}

/// Absence from a listing that may miss a record for a while proves a delete only where each record can be asked for.
pub fn absence_needs_get(read: &At<grammar::Read>, words: &str, (span, label): (Span, &str), cx: &mut Cx<'_>) {
    let absence = read.deletes.get().filter(|at| matches!(at.value, grammar::Deletes::Absence(_)));
    if let Some(absence) = absence.filter(|_| read.get.is_absent()) {
        cx.notes
            .error(DiagnosticKind::Conflict, absence.span, words)
            .help("write get = \"GET /contacts/{id}\", so that each is asked for")
            .second(span, label);
    }
}
