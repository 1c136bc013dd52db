//! Owns: the script of faults: which request is hit, by what, how often.
//!
//! Must not know: records.

use http::Method;
use serde_json::{Value, json};

use super::call::Call;
use super::gate::Gate;
use super::reply::{Answer, Body};

/// What goes wrong. Where it says nothing else, the request has had its effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// This answer, and no effect.
    Status {
        /// The status.
        status: u16,
        /// Its headers.
        headers: Vec<(String, String)>,
        /// Its body; empty is none.
        body: String,
    },
    /// The answer is slow: see [`Deliver::Slow`](super::Deliver::Slow).
    Slow {
        /// In milliseconds.
        delay_ms: u64,
        /// 0 is all at once.
        bytes_per_chunk: usize,
    },
    /// The answer waits until the gate is opened.
    Held(Gate),
    /// The effect happens, the connection closes without an answer.
    LostResponseAfterCommit,
    /// No effect, the connection closes without an answer.
    LostRequestBeforeCommit,
    /// The connection closes after so many bytes of the body; half of them if `None`.
    TruncatedBody {
        /// How many.
        after: Option<usize>,
    },
    /// 200 with a page for people, and no effect.
    HtmlBody,
    /// A listing is empty, complete and well-formed.
    EmptyListing,
    /// A read answers from the state before the last write.
    StaleRead,
    /// A listing never gets past a page: the next page of a page is itself.
    /// By page number or offset: every page is the first. A listing's first request goes through unharmed.
    RepeatCursor,
    /// A listing goes from its second page back to the one before, for ever.
    CycleCursor,
    /// A write ignores these fields, dotted, and succeeds.
    PartialPatch {
        /// Which.
        ignored: Vec<String>,
    },
    /// The body is no JSON, though its type says so.
    GarbageJson,
    /// The first record of the answer has so many bytes more, in the field `padding`.
    HugeRecord {
        /// How many.
        bytes: usize,
    },
    /// The declared length is so many bytes more than what comes.
    WrongContentLength {
        /// How many.
        extra: usize,
    },
    /// 307 to this place, and no effect.
    Redirect {
        /// Where to.
        url: String,
    },
    /// Right after the answer was made somebody deletes this record.
    Meanwhile {
        /// Of this resource.
        resource: String,
        /// Its id.
        removed: String,
    },
    /// The address of a record that was merged into another one: 301 to that one, and no effect.
    Moved {
        /// Where to.
        url: String,
    },
    /// 200 with this JSON, and no effect.
    ErrorBody200 {
        /// Which.
        body: Value,
    },
}

impl Fault {
    /// A status with a JSON error body.
    pub fn status(status: u16) -> Self {
        let body = json!({"error": {"code": "injected", "message": "scripted fault"}}).to_string();
        Self::Status { status, headers: Vec::new(), body }
    }

    /// 429 with `Retry-After` as given.
    pub fn throttled(retry_after: &str) -> Self {
        Self::Status { status: 429, headers: vec![("retry-after".into(), retry_after.into())], body: String::new() }
    }

    /// The answer of a fault that keeps the request from having any effect.
    pub(super) fn instead(&self) -> Option<Answer> {
        let page = "<!doctype html><title>Sign in</title><p>Please sign in.</p>";
        match self {
            Self::Status { status, headers, body } => {
                let body = match body.as_str() {
                    "" => Body::Empty,
                    text if text.starts_with(['{', '[']) => Body::Text("application/json", text.to_owned()),
                    text => Body::Text("text/plain", text.to_owned()),
                };
                Some(Answer { status: *status, headers: headers.clone(), body })
            }
            Self::LostRequestBeforeCommit => Some(Answer::empty(503)),
            Self::HtmlBody => {
                Some(Answer { status: 200, headers: Vec::new(), body: Body::Text("text/html", page.to_owned()) })
            }
            Self::Redirect { url } => Some(Answer::empty(307).with("location", url)),
            Self::Moved { url } => Some(Answer::empty(301).with("location", url)),
            Self::ErrorBody200 { body } => Some(Answer::json(200, body.clone())),
            Self::Slow { .. }
            | Self::Held(_)
            | Self::LostResponseAfterCommit
            | Self::TruncatedBody { .. }
            | Self::EmptyListing
            | Self::StaleRead
            | Self::Meanwhile { .. }
            | Self::RepeatCursor
            | Self::CycleCursor
            | Self::PartialPatch { .. }
            | Self::GarbageJson
            | Self::HugeRecord { .. }
            | Self::WrongContentLength { .. } => None,
        }
    }
}

/// Which requests a fault is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// The method; any if `None`.
    pub method: Option<Method>,
    /// Where.
    pub place: Place,
    /// The first matching request that is hit, from 1, counted from when the fault was pushed.
    pub nth: u32,
}

/// Where a fault happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Everywhere.
    Anywhere,
    /// The path is this.
    Exactly(String),
    /// The path begins with this.
    Prefix(String),
    /// Path and query contain this.
    Contains(String),
}

impl Matcher {
    /// Every request.
    pub fn any() -> Self {
        Self { method: None, place: Place::Anywhere, nth: 1 }
    }

    /// Requests of this method whose path begins so.
    pub fn of(method: Method, prefix: impl Into<String>) -> Self {
        Self { method: Some(method), place: Place::Prefix(prefix.into()), nth: 1 }
    }

    /// Requests of this method with exactly this path: a listing, but not its records.
    pub fn exactly(method: Method, path: impl Into<String>) -> Self {
        Self { method: Some(method), place: Place::Exactly(path.into()), nth: 1 }
    }

    /// Requests whose path and query contain this.
    pub fn containing(part: impl Into<String>) -> Self {
        Self { method: None, place: Place::Contains(part.into()), nth: 1 }
    }

    /// The same from the nth matching request on, counted from 1.
    pub fn nth(mut self, nth: u32) -> Self {
        self.nth = nth;
        self
    }

    fn matches(&self, call: &Call) -> bool {
        let place = match &self.place {
            Place::Anywhere => true,
            Place::Exactly(path) => call.path == *path,
            Place::Prefix(prefix) => call.path.starts_with(prefix),
            Place::Contains(part) => call.target.contains(part),
        };
        place && self.method.as_ref().is_none_or(|method| *method == call.method)
    }
}

/// How often a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// So many times.
    Count(u32),
    /// Until it is cleared.
    Forever,
}

/// Names a pushed fault, so that it can be cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultId(u64);

/// The faults that are still to come.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    entries: Vec<Entry>,
    ids: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    id: FaultId,
    matcher: Matcher,
    fault: Fault,
    left: Times,
    seen: u32,
    position: Option<String>,
}

/// A fault that hits the request at hand.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub(super) id: FaultId,
    pub(super) fault: Fault,
    /// Where in the listing the last request stood that this fault hit.
    pub(super) previous: Option<String>,
}

impl Script {
    pub(super) fn push(&mut self, matcher: Matcher, fault: Fault, times: Times) -> FaultId {
        self.ids += 1;
        let id = FaultId(self.ids);
        self.entries.push(Entry { id, matcher, fault, left: times, seen: 0, position: None });
        id
    }

    pub(super) fn clear(&mut self, id: FaultId) {
        self.entries.retain(|entry| entry.id != id);
    }

    pub(super) fn clear_all(&mut self) {
        self.entries.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.entries.iter().any(|entry| entry.left != Times::Count(0))
    }

    /// The first pushed fault that is due for this request. Every matching request counts for every fault's `nth`.
    pub(super) fn take(&mut self, call: &Call) -> Option<Hit> {
        let mut hit = None;
        for entry in self.entries.iter_mut().filter(|entry| entry.matcher.matches(call)) {
            entry.seen += 1;
            let due = entry.seen >= entry.matcher.nth && entry.left != Times::Count(0);
            if due && hit.is_none() {
                if let Times::Count(left) = &mut entry.left {
                    *left -= 1;
                }
                hit = Some(Hit { id: entry.id, fault: entry.fault.clone(), previous: entry.position.clone() });
            }
        }
        // A spent entry with a memory is dropped as well: nothing asks for it again.
        self.entries.retain(|entry| entry.left != Times::Count(0));
        hit
    }

    /// Remembers where in the listing the request stood.
    pub(super) fn remember(&mut self, id: FaultId, position: Option<String>) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.position = position;
        }
    }
}
