//! Owns: the checks of `incremental` of the kind `event_feed`.
//!
//! Must not know: other ways of reading.

use super::binding::transpose;
use super::context::Cx;
use super::request::{self, LISTING};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar;
use crate::rules::model::{EventFeed, Incremental};
use crate::rules::shape::{At, Key};
use crate::rules::units::Jq;

/// Checks a feed of events; `None` after an error.
pub fn lower(raw: &grammar::EventFeed, span: Span, read: &At<grammar::Read>, cx: &mut Cx<'_>) -> Option<Incremental> {
    if read.get.is_absent() {
        cx.notes
            .error(
                DiagnosticKind::Missing,
                span,
                "a feed of events names records that are read by `get`, and there is none",
            )
            .help("write get = \"GET /contacts/{id}\"");
    }
    let request = raw.request.get().and_then(|at| request::lower(at, LISTING, cx));
    let into = raw.into.get().and_then(|at| cx.place(at, &["query", "header", "body"]));
    let events = raw.events.get().and_then(|at| cx.list_at(at));
    let mut wanted = |key: &Key<Jq>| key.get().and_then(|at| cx.filter(at, &[]));
    let (id, next) = (wanted(&raw.id), wanted(&raw.next));
    let mut optional = |key: &Key<Jq>| transpose(key.get().map(|at| cx.filter(at, &[])));
    let (when, deleted, more) = (optional(&raw.when), optional(&raw.deleted), optional(&raw.more));
    let start = raw.start.get();
    let start_request = start.and_then(|at| at.request.get()).and_then(|at| request::lower(at, LISTING, cx));
    let start_next = start.and_then(|at| at.next.get()).and_then(|at| cx.filter(at, &[]));
    Some(Incremental::EventFeed(Box::new(EventFeed {
        request: request?,
        into: into?,
        events: events?,
        id: id?,
        when: when?,
        deleted: deleted?,
        next: next?,
        more: more?,
        start_request: start_request?,
        start_next: start_next?,
    })))
}
