//! Owns: one call over its attempts and redirects, as plain data, and what follows from an attempt.
//!
//! Must not know: how requests are sent, clocks.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::Method;
use url::Url;

use super::{Built, FailureKind, Response, Safety, TransportError};

/// Redirects of one read that are followed.
pub const REDIRECTS_MAX: u32 = 3;

/// One call, over its attempts.
#[derive(Default)]
pub struct Call {
    /// Attempts so far.
    pub attempts: u32,
    /// Redirects so far.
    pub redirects: u32,
    /// One of them was not for good.
    pub strayed: bool,
    /// How long it waited.
    pub waited: Duration,
    /// It was asked to wait for longer than anybody waits.
    pub asked_too_much: Option<Duration>,
    /// An attempt before the last one may have been done.
    pub ambiguous: bool,
    /// Its tokens were refused once, and others asked for.
    pub renewed: bool,
    /// What the first such attempt met, in words.
    pub met: Option<String>,
}

impl Call {
    /// After an attempt that may have been done, no later refusal proves that the write was not done.
    pub fn settle(&self, kind: FailureKind, safety: Safety) -> FailureKind {
        match kind {
            FailureKind::NotDone
            | FailureKind::Unavailable
            | FailureKind::Conflict
            | FailureKind::Invalid
            | FailureKind::Auth
            | FailureKind::Forbidden
                if self.ambiguous && safety != Safety::Read =>
            {
                FailureKind::Unknown
            }
            kind => kind,
        }
    }
}

/// What follows an attempt.
pub enum Next {
    /// It is over.
    Return,
    /// It failed.
    Fail(FailureKind, Option<DateTime<Utc>>),
    /// Once more, after a while.
    Wait(Duration),
}

/// What the breaker counts as failing: no connection, no answer, 5xx. What an upstream says of a request (4xx), or of its
/// load (429), shows that it is there.
pub fn is_failing(outcome: &Result<Response, TransportError>) -> bool {
    match outcome {
        Ok(response) => (500..600).contains(&response.status),
        Err(TransportError::NotSent(_) | TransportError::TimedOut(_) | TransportError::Broken(_)) => true,
        Err(
            TransportError::Certificate(_)
            | TransportError::Identity(_)
            | TransportError::NotRecorded(_)
            | TransportError::TooLarge { .. }
            | TransportError::Endless
            | TransportError::Bomb { .. },
        ) => false,
    }
}

/// What shows that an upstream bears less than it is asked: 429, 503, no answer in time.
pub fn is_throttling(outcome: &Result<Response, TransportError>) -> bool {
    match outcome {
        Ok(response) => matches!(response.status, 429 | 503),
        Err(TransportError::TimedOut(_)) => true,
        Err(
            TransportError::NotSent(_)
            | TransportError::Broken(_)
            | TransportError::Certificate(_)
            | TransportError::Identity(_)
            | TransportError::NotRecorded(_)
            | TransportError::TooLarge { .. }
            | TransportError::Endless
            | TransportError::Bomb { .. },
        ) => false,
    }
}

/// Where a read is sent on to.
pub fn redirected(request: &Built, response: &Response, safety: Safety) -> Option<Url> {
    let follow = matches!(response.status, 301 | 302 | 303 | 307 | 308);
    if !follow || safety != Safety::Read || request.method != Method::GET {
        return None;
    }
    let location = response.headers.get(http::header::LOCATION)?.to_str().ok()?;
    request.url.join(location).ok()
}

/// Why a redirect is not followed.
pub fn refused_redirect(url: &Url, redirects: u32) -> String {
    match redirects {
        0..=REDIRECTS_MAX => format!("redirected to another origin, {}", url.origin().ascii_serialization()),
        _ => format!("more than {REDIRECTS_MAX} redirects"),
    }
}
