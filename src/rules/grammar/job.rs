//! Owns: the shape of `job`: work that an upstream does in the background.
//!
//! Must not know: what the work is (that is `write` and `binding`).

use super::{PathOrHeader, RequestShape};
use crate::rules::shape::table;
use crate::rules::units::{Jq, Period};

table! {
    /// Work that the upstream does in the background, and how it is asked how far that is.
    Job, "a job table such as { poll = \".statusUrl\", done = '.status == \"complete\"' }" {
        /// Where the answer that announces the job has the URL to ask: a path, or `{ header = "Location" }`.
        poll: PathOrHeader,
        /// Where that answer has the job's id, which is `{job}` in `status`: a path, or `{ header = "…" }`.
        id: PathOrHeader,
        /// What is asked in place of a URL: GET or POST, with `{job}`.
        status: RequestShape,
        /// jq condition over what the job answers: it has ended, and its results are there.
        done: Jq = required,
        /// jq condition over what the job answers: it has ended, and not all of it was done. Default: no answer says so.
        failed: Jq,
        /// How long to wait before each question. Default 5s.
        every: Period,
        /// How long a job may take before the pass goes on without it. Default 10m.
        timeout: Period,
    }
}
