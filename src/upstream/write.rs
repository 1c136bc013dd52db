//! Owns: one write from request to outcome.
//!
//! Must not know: intents, bases, what happens after an outcome.

use super::answer::read_answer;
use super::point::{get, has_point_read};
use super::prepare::{Prepared, gone, prepare, same_content, site};
use super::{Client, Failure, FailureKind, Got, Remote, SendOp, WriteRequest, Written};
use crate::rules::Binding;

/// Sends one write and says what came of it.
pub async fn write_one(client: &Client, binding: &Binding, write: &WriteRequest) -> Written {
    let prepared = match prepare(client, binding, write).await {
        Ok(prepared) => prepared,
        Err(written) => return written,
    };
    let Prepared { built, safety, version } = prepared;
    match client.send_noting(built.clone(), safety).await {
        Ok((response, repeated)) => match read_answer(client, binding, write, &built, &response) {
            Written::Done { remote_id, version, record, repeated: existed } => {
                Written::Done { remote_id, version, record, repeated: repeated || existed }
            }
            other => other,
        },
        Err(failure) => settle_failure(client, binding, write, version.as_deref(), failure).await,
    }
}

/// What a failed call means for its write.
pub async fn settle_failure(
    client: &Client,
    binding: &Binding,
    write: &WriteRequest,
    version: Option<&str>,
    failure: Failure,
) -> Written {
    match (failure.kind, write.op) {
        (FailureKind::NotDone, _) => Written::NotDone(failure),
        (FailureKind::Unknown, SendOp::Update | SendOp::Delete | SendOp::Archive) if is_redirect(&failure) => {
            settle_redirect(client, binding, write, failure).await
        }
        (FailureKind::Unknown | FailureKind::BadAnswer | FailureKind::OtherRecord | FailureKind::TooLarge, _) => {
            Written::Unknown(failure)
        }
        (FailureKind::Auth | FailureKind::Fatal | FailureKind::Unavailable, _) => Written::Stopped(failure),
        (FailureKind::Conflict, SendOp::Create) => Written::Exists(failure.words),
        (FailureKind::Conflict, SendOp::Update | SendOp::Delete | SendOp::Archive) => {
            settle_conflict(client, binding, write, version, failure).await
        }
        (FailureKind::NotFound | FailureKind::Gone, SendOp::Update | SendOp::Delete | SendOp::Archive) => gone(write),
        (FailureKind::NotFound | FailureKind::Gone, SendOp::Create)
        | (FailureKind::Invalid | FailureKind::Forbidden | FailureKind::CursorExpired, _) => {
            Written::Refused(failure.words)
        }
    }
}

fn is_redirect(failure: &Failure) -> bool {
    failure.status.is_some_and(|status| (300..400).contains(&status))
}

/// A change that was answered by a redirect is refused where it is seen, or cannot be seen, that nothing came of it: sent
/// again in each pass, it would be answered the same. Should it have been done, the next listing shows it.
async fn settle_redirect(client: &Client, binding: &Binding, write: &WriteRequest, failure: Failure) -> Written {
    let Ok(site) = site(binding, write) else { return Written::Unknown(failure) };
    if !has_point_read(binding) {
        return Written::Refused(failure.words);
    }
    let expected = write.expected_raw.as_deref();
    match get(client, binding, &site).await {
        Ok(Got::Found(now)) if expected.is_some_and(|expected| same_content(binding, expected, &now.raw)) => {
            Written::Refused(failure.words)
        }
        Ok(Got::Merged(into)) => Written::Merged(into),
        Ok(Got::Found(_) | Got::Missing | Got::Astray(_)) | Err(_) => Written::Unknown(failure),
    }
}

/// Reads the record that stood in the way. One that is exactly as expected was not the reason: where the precondition failed
/// (412) the write itself is refused, else another record stands in the way.
async fn settle_conflict(
    client: &Client,
    binding: &Binding,
    write: &WriteRequest,
    version: Option<&str>,
    failure: Failure,
) -> Written {
    let Ok(site) = site(binding, write) else { return Written::Stale(None) };
    if !has_point_read(binding) {
        return Written::Stale(None);
    }
    match get(client, binding, &site).await {
        Ok(Got::Found(now)) if is_as_expected(binding, write, version, &now) => match failure.status {
            Some(412) => Written::Refused(failure.words),
            _ => Written::Hindered(failure.words),
        },
        Ok(Got::Found(now)) => Written::Stale(Some(now)),
        Ok(Got::Missing) => gone(write),
        Ok(Got::Merged(into)) => Written::Merged(into),
        Ok(Got::Astray(_)) | Err(_) => Written::Stale(None),
    }
}

/// True where the record is exactly as the write was decided on: then it was not overtaken, and the reason is another.
pub fn is_as_expected(binding: &Binding, write: &WriteRequest, version: Option<&str>, now: &Remote) -> bool {
    now.version.as_deref() == version
        && write.expected_raw.as_deref().is_some_and(|expected| same_content(binding, expected, &now.raw))
}
