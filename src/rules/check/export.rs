//! Owns: the checks of `read.job`: an export that is made in the background before it is listed.
//!
//! Must not know: how a job is asked (that is `job`).

use super::binding::transpose;
use super::context::Cx;
use super::job::{self, names_job};
use super::read;
use super::request::{self, EXPORT, Purpose};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, Incremental, Page};
use crate::rules::model::{Export, Request};
use crate::rules::shape::At;

/// What the listing's request is for.
pub fn listing(read: &At<grammar::Read>) -> Purpose {
    let counted = read.page.get().and_then(|at| read::counting(&at.value)).map(|(hole, _)| hole);
    if read.job.is_absent() {
        request::listing(!read.parent.is_absent(), counted)
    } else {
        request::listing_of_job(counted)
    }
}

/// Checks the export; `None` after an error.
#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
pub fn lower(read: &At<grammar::Read>, cx: &mut Cx<'_>) -> Option<Option<Box<Export>>> {
    let Some(at) = read.job.get() else { return read.job.is_absent().then_some(None) };
    let request = at.request.get().and_then(|at| request::lower(at, EXPORT, cx));
    let job = grammar::Job {
        poll: at.poll.clone(),
        id: at.id.clone(),
        status: at.status.clone(),
        done: at.done.clone(),
        failed: at.failed.clone(),
        every: at.every.clone(),
        timeout: at.timeout.clone(),
    };
    let job = job::lower(&At { key: at.key, span: at.span, value: job }, cx);
    let urls = transpose(at.urls.get().map(|at| cx.filter(at, &[])));
    check_company(read, at, cx);
    Some(Some(Box::new(Export { request: request?, job: job?, urls: urls? })))
}

/// The request of a listing whose export names files: there is none of its own.
pub fn check_request(read: &At<grammar::Read>, request: Option<&Request>, cx: &mut Cx<'_>) {
    let Some(at) = read.job.get() else { return };
    match (read.request.get(), at.urls.get()) {
        (Some(given), Some(urls)) => {
            cx.notes
                .inert(given.key, "request", "the files that the export names are read in its place")
                .help("leave out `urls` where the results have an address with {job}, else leave out `request`")
                .second(urls.key, "the files");
        }
        (Some(given), None) if request.is_some_and(|request| !names_job(request)) => {
            cx.notes
                .error(DiagnosticKind::Missing, given.span, "`{job}` is missing: the listing must say which export")
                .help("put it into the path: \"/exports/{job}/results\"");
        }
        (Some(_), None) => {
            if at.id.is_absent() {
                cx.notes
                    .error(
                        DiagnosticKind::Missing,
                        at.key,
                        "`id` is missing: nothing says what `{job}` is in the listing's request",
                    )
                    .help("write id = \".id\" and status = \"GET /exports/{job}\"");
            }
        }
        (None, None) => {
            cx.notes
                .error(DiagnosticKind::Missing, at.key, "nothing says where the export's records are")
                .help("write urls = '.files[].url' here, or request = \"GET /exports/{job}/results\" in `read`");
        }
        (None, Some(_)) => {}
    }
}

/// What an export cannot be together with.
fn check_company(read: &At<grammar::Read>, at: &At<grammar::ReadJob>, cx: &mut Cx<'_>) {
    let incremental = read.incremental.get().and_then(|at| match &at.value {
        Incremental::None(_) => None,
        Incremental::Since(since) => since.from.get().map(|from| (from.key, "`from`")),
        Incremental::Conditional(_) => Some((at.key, "`conditional`")),
        Incremental::Token(_) => Some((at.key, "`token`")),
        Incremental::EventFeed(_) => Some((at.key, "`event_feed`")),
    });
    let pages = read.page.get().filter(|page| !at.urls.is_absent() && !matches!(page.value, Page::None(_)));
    let others: [Option<(Span, &str)>; 4] = [
        incremental,
        pages.map(|page| (page.key, "`page` beside `urls`")),
        read.page_cap.get().map(|at| (at.key, "`page_cap`")),
        read.parent.get().map(|at| (at.key, "`parent`")),
    ];
    for (span, what) in others.into_iter().flatten() {
        cx.notes
            .error(DiagnosticKind::Conflict, span, format!("{what} cannot be used where a job makes what is listed"))
            .help("leave it out; `since` from `updated_at` goes into the job's own request")
            .second(at.key, "a job makes it");
    }
}
