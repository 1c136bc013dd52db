//! Owns: the checked form of `job`: work that an upstream does in the background.
//!
//! Must not know: what the work is.

use std::time::Duration;

use super::{NextAt, Request};
use crate::record::Filter;

/// Work in the background, and how it is asked how far that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What is asked.
    pub poll: Poll,
    /// jq condition over what the job answers: it has ended, and its results are there.
    pub done: Filter,
    /// jq condition over what the job answers: it has ended, and not all of it was done.
    pub failed: Option<Filter>,
    /// The wait before each question.
    pub every: Duration,
    /// How long a job may take before the pass goes on without it.
    pub timeout: Duration,
}

/// What is asked how far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poll {
    /// The URL that the announcement has here, absolute or relative.
    Url(NextAt),
    /// A request with the hole `{job}`.
    Status {
        /// Where the announcement has the job's id.
        id: NextAt,
        /// The request.
        request: Request,
    },
}

impl Poll {
    /// The request of the rules, where there is one.
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::Url(_) => None,
            Self::Status { request, .. } => Some(request),
        }
    }
}

/// An export that is made in the background before it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// What asks for it; a since-value goes in here.
    pub request: Request,
    /// The job that makes it.
    pub job: Job,
    /// jq over what the job answers in the end: the URLs of its files. `None`: the listing's request has the hole `{job}`.
    pub urls: Option<Filter>,
}
