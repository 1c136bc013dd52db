//! Owns: the checks of `deletes` of the kind `endpoint`.
//!
//! Must not know: other ways in which deletes show.

use std::time::Duration;

use super::binding::transpose;
use super::context::Cx;
use super::read;
use super::request;
use crate::record::{Lens, Mapper, Probe, TimeFormat};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, DeletedSince, UpdatedAt};
use crate::rules::model::{BodyFormat, Deleted, Deletes, Incremental, Read};
use crate::rules::shape::{At, Either, Key};
use crate::rules::units::Jq;

/// Checks an address that tells deletes; `None` after an error.
pub fn lower(
    raw: &grammar::DeletesEndpoint,
    span: Span,
    reading: &At<grammar::Read>,
    binding: &grammar::Binding,
    cx: &mut Cx<'_>,
) -> Option<Deleted> {
    if reading.get.is_absent() {
        cx.notes
            .error(
                DiagnosticKind::Missing,
                span,
                "a record that is told as deleted is asked for by `get` before that is followed, and there is none",
            )
            .help("write get = \"GET /contacts/{id}\"");
    }
    let counted = raw.page.get().and_then(|at| read::counting(&at.value)).map(|(hole, _)| hole);
    let request = raw.request.get().and_then(|at| request::lower(at, request::listing(false, counted), cx));
    let records = raw.items.get().and_then(|at| cx.list_at(at));
    if raw.id.is_absent() && super::parent::is_in_id(binding) {
        let words = "an item has to name the record as it is named here: by its parent and its id";
        cx.notes
            .error(DiagnosticKind::Missing, span, words)
            .help("write id = '\"\\(.list_id)/\\(.id)\"', with the places where an item has the two");
    }
    let id = match &raw.id {
        Key::Absent => binding.id.get().and_then(|at| cx.lens(at)),
        Key::Given(at) => cx.lens(at),
        Key::Bad => None,
    };
    let at = transpose(raw.deleted_at.get().map(|at| time(at, cx)));
    let page = read::page(&raw.page, cx);
    if let (Some(at), Some(request)) = (raw.page.get(), &request) {
        read::check_counted(&at.value, at.key, request, cx);
    }
    let incremental = incremental(raw, cx);
    let at = at?;
    if let (Some(given), Some(incremental)) = (raw.deleted_at.get(), &incremental)
        && !matches!(incremental, Incremental::Since { from: crate::rules::SinceFrom::UpdatedAt, .. })
    {
        let why = "nothing is asked for from a moment on";
        cx.notes
            .inert(given.key, "deleted_at", why)
            .help("write incremental = { kind = \"since\", into = \"query.since\" }, or leave it out");
    }
    let probe = Probe {
        id: id?,
        under: None,
        version: None,
        updated_at: at,
        created_at: None,
        merged_into: None,
        scope: None,
        archived: None,
        tombstone: None,
    };
    let listing = Read {
        request: request?,
        format: BodyFormat::Json,
        records: records?,
        page: page?,
        incremental: incremental?,
        deletes: Deletes::None,
        deleted: None,
        get: None,
        lag: Duration::ZERO,
        horizon: None,
        cap: None,
        parent: None,
        export: None,
    };
    Some(Deleted { listing, item: Mapper::new(0, probe, Vec::new()) })
}

fn time(at: &At<Either<Jq, UpdatedAt>>, cx: &mut Cx<'_>) -> Option<(Lens, TimeFormat)> {
    match &at.value {
        Either::Short(jq) => {
            let jq = At { key: at.key, span: at.span, value: jq.clone() };
            Some((cx.lens(&jq)?, TimeFormat::Rfc3339))
        }
        Either::Table(table) => Some((cx.lens(table.path.get()?)?, table.format.or(TimeFormat::Rfc3339))),
    }
}

fn incremental(raw: &grammar::DeletesEndpoint, cx: &mut Cx<'_>) -> Option<Incremental> {
    let at = match &raw.incremental {
        Key::Absent => return Some(Incremental::None),
        Key::Bad => return None,
        Key::Given(at) => at,
    };
    match &at.value {
        DeletedSince::None(_) => Some(Incremental::None),
        DeletedSince::Token(token) => read::token(token, cx),
        DeletedSince::Since(since) => {
            let times = read::Times {
                given: &raw.deleted_at,
                missing: "`since` has no moment to start from: there is no `deleted_at`",
                help: "write deleted_at = \".deletedAt\" beside it, or from = { header = \"X-Next-Since\" } in it",
                counted: raw.page.get().and_then(|at| read::counting(&at.value)).map(|(hole, _)| hole),
            };
            read::since(since, &times, at.key, cx)
        }
    }
}
