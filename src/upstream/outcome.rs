//! Owns: what comes of reads and writes, as data that `reconcile` acts on.
//!
//! Must not know: how it was obtained.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::ops::Range;

use super::JobMark;
use super::capped::Slice;
use super::export::Made;
use crate::record::{IdSpelling, Value};
use crate::rules::{Batch, Binding};

/// A call that did not succeed after the retries that are allowed within a pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// The last status, where there was one.
    pub status: Option<u16>,
    /// One line for people: method, path without query, status, the upstream's words (≤ 300 characters, no secrets), attempts.
    pub words: String,
    /// Not before this time, where the upstream or the policy says so.
    pub retry_at: Option<DateTime<Utc>>,
}

impl Failure {
    /// A failure from its kind and words, without a status.
    pub fn new(kind: FailureKind, words: impl Into<String>) -> Self {
        Self { kind, status: None, words: words.into(), retry_at: None }
    }

    /// What a point read that failed so says is about its record: others may be answered for.
    pub fn is_of_one_record(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Forbidden
                | FailureKind::Invalid
                | FailureKind::Conflict
                | FailureKind::BadAnswer
                | FailureKind::OtherRecord
                | FailureKind::TooLarge
        )
    }
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Certainly nothing happened upstream: not sent, or refused for load (429, 503 with Retry-After).
    NotDone,
    /// It may have happened: timeout, reset, truncation, 5xx after sending a write.
    Unknown,
    /// Credentials refused (401): the upstream pauses.
    Auth,
    /// Not allowed (403 without rate-limit marks): this record, or this listing.
    Forbidden,
    /// The precondition failed or the state conflicts (409, 412): read again, merge again.
    Conflict,
    /// 404 (or the class `not_found`).
    NotFound,
    /// 410 (or the class `gone`).
    Gone,
    /// Refused for what it says (400, 413, 422, other 4xx): quarantine.
    Invalid,
    /// The cursor or since-token is no longer known.
    CursorExpired,
    /// The answer is not what the rules describe: HTML, no JSON, no records array, an endless listing, a foreign host.
    BadAnswer,
    /// The answer to a point read shows another record than the one that was asked for: it was merged into that one, or the
    /// server is careless. It says nothing about the record.
    OtherRecord,
    /// A read's answer is larger than `body_max`: this record, or this page.
    TooLarge,
    /// It failed too often of late and is left alone for a while (the breaker is open): nothing was sent.
    Unavailable,
    /// Certificate, blocked host, class `fatal`: nothing more at this upstream in this pass.
    Fatal,
}

/// One page of a listing. Records are slices of `body`; nothing is copied.
#[derive(Clone, Debug)]
pub struct Page {
    /// The decoded body.
    pub body: Bytes,
    /// Where each record stands in `body`.
    pub records: Vec<Range<usize>>,
    /// Where records begin that are too large: what stands there names them, and is not the record.
    pub cut_down: Vec<usize>,
    /// What is known of records beside those: by a feed of events, and asking for each.
    pub told: Vec<Told>,
    /// How to go on: the checkpoint of a listing. `None` on the last page, and where it cannot be kept.
    pub next: Option<PageToken>,
    /// True where a conditional read answered 304: everything is as it was.
    pub not_modified: bool,
    /// From the first page only: the listing's own `ETag`, or the next since-value where the rules take it from header or body.
    pub mark: Option<String>,
    /// When the request was sent.
    pub requested_at: DateTime<Utc>,
    /// When the answer was there.
    pub observed_at: DateTime<Utc>,
}

/// What is known of one remote record, by its id, that cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was deleted: an event says so, or the address that tells deletes, and it is not there.
    Gone(String),
    /// It was merged into the second one.
    Merged(String, String),
    /// It may not be read, and why.
    Unanswered(String, String),
}

/// How a listing goes on, and what guards it against going on for ever.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PageToken {
    /// The next page number, offset, cursor or absolute URL, as text.
    pub at: String,
    /// Pages read so far.
    pub pages: u64,
    /// Records read so far.
    pub records: u64,
    /// A page had as many records as were asked for: only then does a short page end the listing.
    #[serde(default)]
    pub full: bool,
    /// Where a listing that is split stands; see [`Slice`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
    /// The export that is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Made>,
}

/// What a listing asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// The since-value as it goes into the request.
    pub since: Option<String>,
    /// The `ETag` for a conditional read.
    pub etag: Option<String>,
    /// Go on from here.
    pub resume: Option<PageToken>,
    /// The remote id of the parent whose records are listed; several have commas between them.
    pub parent: Option<String>,
}

/// A point read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// The record as it is now.
    Found(Remote),
    /// 404 or 410.
    Missing,
    /// Not where it was last seen, and it may be under another parent; or nobody knows under which one it is. Why, in words. Only
    /// a listing tells more: it says nothing of whether the record is there.
    Astray(String),
    /// Its address leads for good (301, 308) to the record with this id: it was merged into that one.
    Merged(String),
}

/// A remote record with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Raw bytes of the record.
    pub raw: Bytes,
    /// The version from body or header.
    pub version: Option<String>,
    /// When it was read.
    pub observed_at: DateTime<Utc>,
}

/// A write to be sent: what `reconcile` recorded as an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteRequest {
    /// The operation id: idempotency key.
    pub key: String,
    /// What to do.
    pub op: SendOp,
    /// The remote id; for a create only where we choose it.
    pub remote_id: Option<String>,
    /// Field positions and hub values to send; refs are remote ids already.
    pub values: Vec<(usize, Value)>,
    /// All pushable values of the record as they will be (for full bodies and filters).
    pub record: Vec<(usize, Value)>,
    /// How the upstream writes the ids in fields that refer to other records, as far as that is known.
    pub spellings: BTreeMap<usize, IdSpelling>,
    /// The transition that carries it, by its position in the rules; `None`: the operation's own request.
    pub transition: Option<usize>,
    /// The version the write was merged against.
    pub expected_version: Option<String>,
    /// The raw record the write was merged against.
    pub expected_raw: Option<Bytes>,
    /// How often it was sent before.
    pub attempts: u32,
    /// It goes by its own request, whatever batches there are: a job gave it back undone.
    pub alone: bool,
}

/// The operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SendOp {
    /// Create.
    Create,
    /// Update.
    Update,
    /// Delete.
    Delete,
    /// Archive, in place of a delete.
    Archive,
}

impl SendOp {
    /// `create`, `update`, `delete`, `archive`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Archive => "archive",
        }
    }

    /// The operation of this name, as intents keep it.
    pub fn of(name: &str) -> Self {
        match name {
            "create" => Self::Create,
            "delete" => Self::Delete,
            "archive" => Self::Archive,
            _ => Self::Update,
        }
    }

    /// The batch by which such a write goes, where it does; `by_call`: a transition carries it.
    pub fn batch_of(self, binding: &Binding, by_call: bool) -> Option<&Batch> {
        binding.batches.iter().find(|batch| match self {
            Self::Create => batch.create,
            // A call of its own is no update.
            Self::Update => batch.update && !by_call,
            Self::Delete => batch.delete,
            Self::Archive => false,
        })
    }

    /// Whether the record is to go.
    pub fn removes(self) -> bool {
        matches!(self, Self::Delete | Self::Archive)
    }
}

/// What came of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Acknowledged.
    Done {
        /// The remote id: captured, chosen, or as before.
        remote_id: String,
        /// The version after the write, where the answer told it.
        version: Option<String>,
        /// The record as the answer showed it (or as a read-back did); `None`: must be read back by the caller if wanted.
        record: Option<Remote>,
        /// It was sent more than once, and an earlier attempt may have been done: `record` may show later edits of others.
        repeated: bool,
    },
    /// The remote record is not as it was when this was decided; where known, how it is now.
    Stale(Option<Remote>),
    /// There is no such remote record (404 or 410): for a delete that is as good as done, unless it was listed just now.
    Missing,
    /// Nothing was sent: it is not where it was last seen, and may be under another parent. Why, in words.
    Astray(String),
    /// A create met an existing record with the same identity (409, or 412 under `If-None-Match: *`).
    Exists(String),
    /// It was merged into the record with this id.
    Merged(String),
    /// Another record stands in the way (its children, who has the value that must be unique); the upstream's words.
    Hindered(String),
    /// Refused for what it says; the upstream's words.
    Refused(String),
    /// Fields of this record cannot be expressed at this upstream, by position; nothing was sent.
    Inexpressible(Vec<(usize, String)>),
    /// Certainly not done; derive it again later.
    NotDone(Failure),
    /// It may have been done: settle by evidence.
    Unknown(Failure),
    /// The same: what answers for its batch says nothing of it.
    Unnamed(Failure),
    /// A job of the upstream has taken it up, and tells later what came of it.
    Working(JobMark),
    /// The upstream is out of reach or refuses credentials: nothing more to it in this pass. Not done.
    Stopped(Failure),
}
