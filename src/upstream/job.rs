//! Owns: asking a job of the upstream how far it is.
//!
//! Must not know: what the job does, where it is remembered.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::retry_after::parse_retry_after;
use super::split::cut_short;
use super::{Built, Client, Failure, FailureKind, Holes, Response, words};
use crate::record::Json;
use crate::rules::{Job, NextAt, Poll};

/// How far a job is.
#[derive(Debug)]
pub enum Standing {
    /// It has ended; its last answer has the results. `Some`: not all of it was done, by its own words.
    Ended(Box<(Built, Response)>, Option<String>),
    /// It is at work, or may be: it could not be asked.
    AtWork(Failure),
    /// The upstream knows it no more.
    Forgotten(Failure),
}

/// How long to wait for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It is asked once.
    AskOnce,
    /// It is asked until it ends, or its time is over.
    UntilEnd,
}

/// The URL or the id that a job is asked about by, where the answer that announces it has it.
pub fn announced(client: &Client, job: &Job, built: &Built, response: &Response) -> Result<String, Failure> {
    let bad = |what: &str| client.bad_answer(built, response, what);
    let at = match &job.poll {
        Poll::Url(at) | Poll::Status { id: at, .. } => at,
    };
    let found = match at {
        NextAt::Body(path) => super::point::path_text(&response.body, path),
        NextAt::Header(name) => response.headers.get(name).and_then(|text| Some(text.to_str().ok()?.trim().to_owned())),
    };
    let found = found.filter(|found| !found.is_empty()).ok_or_else(|| bad("it announces no job"))?;
    match &job.poll {
        Poll::Status { .. } => Ok(found),
        Poll::Url(_) => {
            let url = built.url.join(&found).map_err(|error| bad(&format!("the job's URL cannot be read: {error}")))?;
            Ok(client.without_credentials(url.as_str()))
        }
    }
}

/// Whether an answer says by itself that the job has ended.
pub fn has_ended(job: &Job, response: &Response) -> bool {
    Json::parse(&response.body).is_ok_and(|json| job.done.test(&json) == Ok(true))
}

/// Asks a job that was announced at `since`.
pub async fn ask(client: &Client, job: &Job, at: &str, since: DateTime<Utc>, patience: Patience) -> Standing {
    let took = (client.now() - since).max(TimeDelta::zero()).to_std().unwrap_or_default();
    let ends = client.clock.monotonic() + job.timeout.saturating_sub(took);
    let mut wait = if patience == Patience::UntilEnd { job.every } else { Duration::ZERO };
    loop {
        client.clock.sleep(wait).await;
        let now = client.clock.monotonic();
        let asked = ask_once(client, job, at).await;
        let left = ends.saturating_sub(now);
        let standing = match asked {
            // It may not be there yet: what announces a job is not always what answers for it.
            Asked::Missing(failure) if left.is_zero() => Standing::Forgotten(failure),
            Asked::Missing(failure) => Standing::AtWork(failure),
            Asked::Standing(standing, asked_to_wait) => {
                wait = job.every.max(asked_to_wait);
                standing
            }
        };
        match standing {
            Standing::AtWork(failure) if patience == Patience::UntilEnd && !left.is_zero() && goes_on(failure.kind) => {
                wait = wait.min(left);
            }
            other => return other,
        }
    }
}

/// Whether it may help to ask again in this pass.
fn goes_on(kind: FailureKind) -> bool {
    !matches!(kind, FailureKind::Auth | FailureKind::Fatal | FailureKind::Forbidden | FailureKind::Invalid)
}

enum Asked {
    Standing(Standing, Duration),
    Missing(Failure),
}

async fn ask_once(client: &Client, job: &Job, at: &str) -> Asked {
    let at_work = |failure| Asked::Standing(Standing::AtWork(failure), Duration::ZERO);
    let built = match question(client, job, at) {
        Ok(built) => built,
        Err(failure) => return at_work(failure),
    };
    let response = match client.read(built.clone(), &mut |response| cut_short(&response.body)).await {
        Ok(response) => response,
        Err(failure) if failure.kind == FailureKind::Gone => {
            return Asked::Standing(Standing::Forgotten(failure), Duration::ZERO);
        }
        Err(failure) if failure.kind == FailureKind::NotFound => return Asked::Missing(failure),
        Err(failure) => return at_work(failure),
    };
    let bad = |what: String| at_work(client.bad_answer(&built, &response, &what));
    let json = match Json::parse(&response.body) {
        Ok(json) => json,
        Err(error) => return bad(format!("not JSON: {error}")),
    };
    let failed = job.failed.as_ref().map_or(Ok(false), |failed| failed.test(&json));
    let (failed, done) = match (failed, job.done.test(&json)) {
        (Ok(failed), Ok(done)) => (failed, done),
        (Err(error), _) => return bad(format!("`failed`: {error}")),
        (_, Err(error)) => return bad(format!("`done`: {error}")),
    };
    if failed || done {
        let said = failed.then(|| {
            let said = words::message(&json).unwrap_or_default();
            let said = client.secrets().mask(&words::shorten(&said, words::QUOTE_CHARS_MAX));
            if said.is_empty() { "the job failed".to_owned() } else { format!("the job failed: {said}") }
        });
        return Asked::Standing(Standing::Ended(Box::new((built, response)), said), Duration::ZERO);
    }
    let asked_to_wait = parse_retry_after(&response.headers, client.now()).unwrap_or_default();
    let failure = client.bad_answer(&built, &response, "the job is still at work");
    Asked::Standing(Standing::AtWork(Failure { kind: FailureKind::NotDone, ..failure }), asked_to_wait)
}

fn question(client: &Client, job: &Job, at: &str) -> Result<Built, Failure> {
    match &job.poll {
        Poll::Status { request, .. } => client.build(request, &Holes { job: Some(at), ..Holes::default() }),
        Poll::Url(_) => {
            let unreadable = |error| Failure::new(FailureKind::Fatal, format!("the job's URL cannot be read: {error}"));
            Url::parse(at).map(Built::of_url).map_err(unreadable)
        }
    }
}
