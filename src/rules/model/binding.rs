//! Owns: the checked form of a binding: how a collection is read and written at one upstream.
//!
//! Must not know: how the values of two sides are merged.

use std::sync::Arc;
use std::time::Duration;

use super::{Deleted, Export, Job, ListAt, PageCap, Paging, Parent, Place, Request, Template, Transition, Upstream};
use crate::record::{Filter, Lens, Mapper, Path, TimeFormat};

/// A collection at an upstream.
#[derive(Debug)]
pub struct Binding {
    /// The collection's name.
    pub collection: String,
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// Takes from the upstream.
    pub pull: bool,
    /// Writes to the upstream.
    pub push: bool,
    /// The compiled mapping, with id, version, time and conditions.
    pub mapper: Mapper,
    /// Where the version of a record is found.
    pub version: Option<VersionAt>,
    /// How to list.
    pub read: Option<Read>,
    /// How to create.
    pub create: Option<Create>,
    /// How to update.
    pub update: Option<Update>,
    /// How to delete.
    pub delete: Option<Delete>,
    /// How to archive in place of a delete.
    pub archive: Option<Delete>,
    /// Changes of a field that are calls of their own.
    pub transitions: Vec<Transition>,
    /// How to write many at once; each operation goes by one of them at most.
    pub batches: Vec<Batch>,
    /// SHA-256 (hex) of mapping, scope and field declarations: a link made under another hash is rebased.
    pub mapping_hash: String,
}

/// Where a record's version is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionAt {
    /// In the record.
    Record(Lens),
    /// In this header of a point read or a write.
    Header(String),
}

/// How a binding is listed and read.
#[derive(Debug)]
pub struct Read {
    /// The listing.
    pub request: Request,
    /// What an answer of the listing is.
    pub format: BodyFormat,
    /// The array of records in a JSON answer.
    pub records: ListAt,
    /// Paging.
    pub page: Paging,
    /// Incremental reading.
    pub incremental: Incremental,
    /// How deletes show.
    pub deletes: Deletes,
    /// The address that tells deletes ([`Deletes::Endpoint`]).
    pub deleted: Option<Box<Deleted>>,
    /// The point read.
    pub get: Option<Request>,
    /// How long the listing may lag behind writes (default 1 min).
    pub lag: Duration,
    /// How long tombstones are listed; `None`: for ever.
    pub horizon: Option<Duration>,
    /// The listing ends after so many results, however many there are.
    pub cap: Option<PageCap>,
    /// There is one listing per parent.
    pub parent: Option<Parent>,
    /// What is listed is made in the background first.
    pub export: Option<Box<Export>>,
}

impl Read {
    /// Whether a record that is not found at such an address may be at another one: the address names the parent that the record
    /// was last seen under, and ids say nothing of parents.
    pub fn may_be_elsewhere(&self, request: &Request) -> bool {
        request.has_hole("parent") && !self.parent.as_ref().is_some_and(|parent| parent.in_id)
    }

    /// Whether a point read that finds nothing says that there is nothing.
    pub fn get_proves_absence(&self) -> bool {
        self.get.as_ref().is_some_and(|get| !self.may_be_elsewhere(get))
    }

    /// All requests that reading makes.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        let feed = match &self.incremental {
            Incremental::EventFeed(feed) => Some([&feed.request, &feed.start_request]),
            Incremental::None | Incremental::Since { .. } | Incremental::Conditional | Incremental::Token { .. } => {
                None
            }
        };
        let deleted = self.deleted.as_ref().map(|deleted| &deleted.listing.request);
        let export =
            self.export.iter().flat_map(|export| std::iter::once(&export.request).chain(export.job.poll.request()));
        std::iter::once(&self.request).chain(&self.get).chain(feed.into_iter().flatten()).chain(deleted).chain(export)
    }
}

/// What an answer of a listing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// One JSON document.
    Json,
    /// A JSON object a line.
    Ndjson,
    /// A header and rows (RFC 4180).
    Csv(CsvFormat),
}

/// How CSV is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvFormat {
    /// The byte between fields.
    pub delimiter: u8,
    /// An empty field is null, not the empty text.
    pub empty_is_null: bool,
}

/// Where the next token or URL stands in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextAt {
    /// In the body.
    Body(Path),
    /// In a header.
    Header(String),
}

/// How to read only what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incremental {
    /// Every pass reads everything.
    None,
    /// Changed since a moment or a token, inclusive.
    Since {
        /// Where it goes.
        into: Place,
        /// Where the next value comes from.
        from: SinceFrom,
        /// How an instant is written there.
        format: TimeFormat,
        /// Overlap (default 2 min; zero for opaque values).
        lookback: Duration,
        /// What is sent there, with the hole `{since}`, and that of counted pages; `None`: the value alone.
        value: Option<Template>,
    },
    /// `If-None-Match` with the listing's `ETag`; 304 means nothing changed.
    Conditional,
    /// A token that the last page of a listing gives leads to what changed since.
    Token {
        /// Where it is.
        next: NextAt,
        /// Where it goes; `None`: it is the URL to ask.
        into: Option<Place>,
    },
    /// A feed of events, each of which names a record that is then read by its id.
    EventFeed(Box<EventFeed>),
}

/// A feed of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFeed {
    /// The feed.
    pub request: Request,
    /// Where the token goes.
    pub into: Place,
    /// The array of events in its answer.
    pub events: ListAt,
    /// The record's remote id, of an event.
    pub id: Filter,
    /// Which events count.
    pub when: Option<Filter>,
    /// Which events say that the record was deleted.
    pub deleted: Option<Filter>,
    /// The next token, of an answer.
    pub next: Filter,
    /// Whether there is more now, of an answer; `None`: while there are events.
    pub more: Option<Filter>,
    /// What answers with the first token.
    pub start_request: Request,
    /// The first token, of that answer.
    pub start_next: Filter,
}

/// Where the next since-value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinceFrom {
    /// The greatest `updated_at` seen, never beyond the start of the request.
    UpdatedAt,
    /// A header of the first page's answer; opaque.
    Header(String),
    /// A path in the first page's body; opaque.
    Body(Path),
}

/// How deletes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    /// They do not.
    None,
    /// Listed with a mark (the mapper's `tombstone`).
    Tombstone,
    /// Missing from a complete generation, confirmed by a point read where there is one.
    Absence,
    /// Told at an address of its own, confirmed by a point read.
    Endpoint,
}

/// How to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The request; `record` says where the answer holds the record.
    pub request: Request,
    /// What the body is.
    pub body: Body,
    /// Where the new id is in the answer; default the binding's id below `record`.
    pub capture_id: Option<Path>,
    /// Where the new version is in the answer.
    pub capture_version: Option<NextAt>,
    /// How a repeated create is prevented.
    pub idempotency: Idempotency,
    /// The field (position) by which the upstream finds a record that is there, and updates it instead.
    pub upsert: Option<usize>,
    /// Where the address names the parent: the field (position) that refers to it. It goes into no body of a create.
    pub parent: Option<usize>,
}

impl Create {
    /// The field (position) by which such a create goes over a record that is there, where it does.
    pub fn goes_over(&self) -> Option<usize> {
        self.named_by().or(self.upsert)
    }

    /// The field (position) by which the address names the record, where it does.
    pub fn named_by(&self) -> Option<usize> {
        match self.idempotency {
            Idempotency::Match(field) => self.request.has_hole("match").then_some(field),
            Idempotency::None | Idempotency::Key { .. } | Idempotency::Field(_) | Idempotency::ClientId => None,
        }
    }
}

/// How a create is made safe to repeat, or its result found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Nothing: an unknown outcome is looked up by match keys, else it waits for an operator.
    None,
    /// The operation id in a header or a query parameter, remembered upstream for this long.
    Key {
        /// Where it goes.
        into: Place,
        /// How long the upstream remembers.
        ttl: Duration,
    },
    /// Look up by this field (position) in a listing.
    Match(usize),
    /// The operation id in a body field of the remote record, by which it is found again.
    Field(Path),
    /// We choose the remote id; create is PUT with `If-None-Match: *`.
    ClientId,
}

/// How to update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The request.
    pub request: Request,
    /// What the body is.
    pub body: Body,
    /// What makes the write conditional.
    pub precondition: Precondition,
}

/// How to delete, or to archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The request.
    pub request: Request,
    /// What makes the write conditional.
    pub precondition: Precondition,
}

/// What a write's body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The mapped form of the changed fields only.
    Changed,
    /// Everything: for a create all mapped fields; for an update the remote record with ours put in (read-modify-write).
    Full,
    /// A jq filter over `{record, changed, remote, id, key}`, all in the upstream's own shape.
    Filter(Filter),
}

/// What makes a write refuse when the remote record moved on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The version in a header, the query or the body; `{version}` is the hole.
    Version {
        /// Where it goes.
        place: Place,
        /// e.g. `"{version}"` with the quotes that the upstream wants.
        value: Template,
    },
    /// The record is read again immediately before; not atomic, and the plan says so.
    Reread,
    /// Nothing, chosen by the operator.
    None,
}

/// How to write many at once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "three operations and one choice, independent of each other")]
pub struct Batch {
    /// The request.
    pub request: Request,
    /// Creates go in batches.
    pub create: bool,
    /// Updates go in batches.
    pub update: bool,
    /// Deletes go in batches.
    pub delete: bool,
    /// Where the items go in the body.
    pub items: Path,
    /// The shape of one item: a jq filter over `{op, id, version, method, path, body, key}`; default the body with its id put in.
    pub item: Option<Filter>,
    /// The name of an item among the members of an object; else the items are an array. Over the same as `item`.
    pub item_name: Option<Filter>,
    /// Items per request, at most.
    pub items_max: usize,
    /// Bytes of body per request, at most.
    pub bytes_max: u64,
    /// How per-item results are found.
    pub result: BatchResult,
    /// A batch refused as a whole is split in halves.
    pub bisect: bool,
    /// The answer announces a job, whose own answer has the results.
    pub job: Option<Job>,
}

impl Batch {
    /// All requests of it.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        std::iter::once(&self.request).chain(self.job.as_ref().and_then(|job| job.poll.request()))
    }

    /// Whether an item carries the operation's id, so that a repetition of it could be known as one. Its headers are those of a
    /// single request; its address goes without a query.
    pub fn items_say_key(&self, idempotency: &Idempotency) -> bool {
        let item = self.item.as_ref().map(Filter::source).unwrap_or_default();
        let in_header = !matches!(idempotency, Idempotency::Key { into: Place::Query(_), .. });
        item.contains("key") || (in_header && item.contains("headers"))
    }

    /// Whether an item can say on which version it was decided, where that version stands in a header or in the query of
    /// a single request.
    pub fn items_say_version(&self) -> bool {
        let item = self.item.as_ref().map(Filter::source).unwrap_or_default();
        item.contains("version") || item.contains("headers")
    }
}

/// Per-item results of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchResult {
    /// The results in the answer.
    pub items: ResultsAt,
    /// How a result finds its item.
    pub by: ResultBy,
    /// Where a result names the remote id.
    pub id: Option<Path>,
    /// Where a result names the new version.
    pub version: Option<Path>,
    /// Where a result holds its HTTP-like status, where it does.
    pub status: Option<Lens>,
    /// Where a result holds its error; absent or null means success.
    pub error: Option<Path>,
    /// Where a result holds the record as it now is.
    pub record: Option<Path>,
    /// Where a result that says 429 holds how long to wait, as in `Retry-After`.
    pub retry_after: Option<Path>,
}

/// The results in the answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultsAt {
    /// The items of the array there.
    Array(Path),
    /// What this filter gives: one after the other.
    Filter(Filter),
}

/// How a batch result finds its item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultBy {
    /// Same position.
    Index,
    /// Its position, from 0, at this path of the result.
    IndexAt(Path),
    /// Same remote id.
    Id,
    /// The operation id, at this path of the result.
    RequestId(Path),
}
