//! Owns: what a sandbox remembers of its requests, for tests to assert: a bounded log and counters.
//!
//! Must not know: how requests are answered.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::Method;
use serde_json::Value;

/// One request that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedRequest {
    /// Counted from 1 since the sandbox began.
    pub number: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The headers, with credentials blanked.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
    /// The status it was answered by, or would have been.
    pub status: u16,
    /// The fault that hit it, as `Debug` names it.
    pub fault: Option<String>,
}

impl LoggedRequest {
    /// Method and target in one line, e.g. `GET /contacts?limit=2`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether it asked for an effect.
    pub fn is_write(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }
}

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathKind {
    /// The listing of a resource, or a create in it.
    Collection,
    /// One record.
    Record,
    /// A batch.
    Batch,
    /// The identity endpoint.
    Account,
    /// Nothing that the sandbox has.
    Other,
}

/// Counters since the sandbox began or they were reset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests by method and kind of path.
    pub requests: BTreeMap<(String, PathKind), u64>,
    /// Records written, however: creates, updates and deletes that took effect.
    pub writes: u64,
    /// Records created.
    pub creates: u64,
    /// Records changed.
    pub updates: u64,
    /// Records deleted or archived.
    pub deletes: u64,
    /// Answers 429 by the rate limit.
    pub throttled: u64,
    /// Answers 304.
    pub not_modified: u64,
    /// Answers from the memory of idempotency keys.
    pub replayed: u64,
    /// Records in answers to reads.
    pub records_served: u64,
    /// Faults that hit a request.
    pub faults: u64,
}

impl Stats {
    /// All requests.
    pub fn requests_total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Requests of one method to one kind of path.
    pub fn requests_of(&self, method: &Method, kind: PathKind) -> u64 {
        self.requests.get(&(method.to_string(), kind)).copied().unwrap_or_default()
    }
}

/// The last requests, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    entries: VecDeque<LoggedRequest>,
    count: u64,
}

impl Log {
    pub(super) fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(super) fn push(&mut self, entry: LoggedRequest, entries_max: usize) {
        self.entries.push_back(entry);
        while self.entries.len() > entries_max {
            self.entries.pop_front();
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &LoggedRequest> {
        self.entries.iter()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}
