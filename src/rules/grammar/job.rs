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

table! {
    /// An export that is made in the background before it is listed.
    ReadJob, "a job table such as { request = \"POST /exports\", poll = \".statusUrl\", done = '.status == \"complete\"', urls = '.files[].url' }" {
        /// What asks for the export: GET or POST.
        request: RequestShape = required,
        /// Where its answer has the URL to ask how far the export is: a path, or `{ header = "Location" }`.
        poll: PathOrHeader,
        /// Where its answer has the job's id, which is `{job}` in `status` and in the listing's request: a path, or `{ header = "…" }`.
        id: PathOrHeader,
        /// What is asked in place of a URL: GET or POST, with `{job}`.
        status: RequestShape,
        /// jq condition over what the job answers: the export is there, and it is whole.
        done: Jq = required,
        /// jq condition over what the job answers: there will be no export. Default: no answer says so.
        failed: Jq,
        /// How long to wait before each question. Default 5s.
        every: Period,
        /// How long the export may take. Default 10m.
        timeout: Period,
        /// jq over that answer: the URLs of the export's files, in place of the listing's request. None, or null: it is empty.
        urls: Jq,
    }
}
