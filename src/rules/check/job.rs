//! Owns: the checks of `job`: work that an upstream does in the background.
//!
//! Must not know: what the work is.

use std::time::Duration;

use super::binding::transpose;
use super::context::Cx;
use super::request::{self, JOB_STATUS};
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar;
use crate::rules::model::{Job, Poll, Request};
use crate::rules::shape::{At, Key};

/// What fills in the id of a job.
pub const HOLE: &str = "job";

/// The wait before each question by default.
const EVERY: Duration = Duration::from_secs(5);
/// How long a job may take by default.
const TIMEOUT: Duration = Duration::from_mins(10);
/// The shortest wait: what is asked more often than this is not asked about, it is pestered.
const EVERY_MIN: Duration = Duration::from_millis(10);

/// Checks a job.
pub fn lower(at: &At<grammar::Job>, cx: &mut Cx<'_>) -> Option<Job> {
    let poll = poll(at, cx);
    let done = at.done.get().and_then(|at| cx.filter(at, &[]));
    let failed = transpose(at.failed.get().map(|at| cx.filter(at, &[])));
    let every = at.every.get().map_or(EVERY, |at| at.value.0);
    let timeout = at.timeout.get().map_or(TIMEOUT, |at| at.value.0);
    if let Some(at) = at.every.get().filter(|_| every < EVERY_MIN) {
        cx.notes.error(DiagnosticKind::Invalid, at.span, "`every` is at least 10ms").help("the default is 5s");
    }
    if every >= timeout {
        let key = at.timeout.get().map(|at| at.span).or(at.every.get().map(|at| at.span)).unwrap_or(at.key);
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                key,
                "a job that is given up before it is asked about is never settled by its answer",
            )
            .help("make `timeout` longer than `every`");
    }
    Some(Job { poll: poll?, done: done?, failed: failed?, every, timeout })
}

fn poll(at: &At<grammar::Job>, cx: &mut Cx<'_>) -> Option<Poll> {
    let url = at.poll.get().map(|at| cx.next_at(at));
    let id = at.id.get().map(|at| cx.next_at(at));
    let status = at.status.get().map(|at| (at, request::lower(at, JOB_STATUS, cx)));
    if matches!(at.poll, Key::Bad) || matches!(at.id, Key::Bad) || matches!(at.status, Key::Bad) {
        return None;
    }
    match (url, id, status) {
        (Some(url), None, None) => url.map(Poll::Url),
        (None, Some(id), Some((at, request))) => {
            let request = request?;
            if !names_job(&request) {
                cx.notes
                    .error(DiagnosticKind::Missing, at.span, "`{job}` is missing: a job's status must say which job")
                    .help("put it into the path: \"/jobs/{job}\"");
                return None;
            }
            Some(Poll::Status { id: id?, request })
        }
        _ => {
            cx.notes
                .error(DiagnosticKind::Conflict, at.key, "a job is asked about by `poll`, or by `id` and `status`")
                .help("write poll = \".statusUrl\", or id = \".id\" and status = \"GET /jobs/{job}\"");
            None
        }
    }
}

/// Whether a request says which job is meant.
pub fn names_job(request: &Request) -> bool {
    request.has_hole(HOLE)
}
