//! Owns: the ways in which one resource can differ from the kindest, as plain data.
//!
//! Must not know: how any of it is done.

use std::time::Duration;

use serde_json::Value;

/// Who chooses ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdStyle {
    /// The server: the prefix and a counter.
    Server {
        /// What ids begin with.
        prefix: String,
    },
    /// The client, in the path of a PUT or the body of a POST.
    Client,
}

/// Where the version is in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionAt {
    /// Dotted path.
    pub path: String,
    /// A JSON number rather than a string.
    pub number: bool,
}

/// Where the time of the last change is in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatedAt {
    /// Dotted path.
    pub path: String,
    /// Its form, also that of the `since` parameter.
    pub format: TimeFormat,
}

/// Forms of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2026-01-02T03:04:05.678Z`
    Rfc3339Ms,
    /// Whole seconds since 1970.
    UnixS,
    /// Milliseconds since 1970.
    UnixMs,
}

/// What a listing is wrapped in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// An object with the records under this key.
    Key(String),
    /// The array itself; a next page can then not be named in the body.
    Bare,
}

/// How a listing is cut into pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// Not at all.
    None,
    /// A page number from 1 and a page length.
    Page {
        /// The parameter of the number.
        page: String,
        /// The parameter of the length.
        per_page: String,
    },
    /// How many to skip and how many to give.
    Offset {
        /// The parameter of the number to skip.
        offset: String,
        /// The parameter of the length.
        limit: String,
    },
    /// An opaque token in the body.
    Cursor {
        /// The parameter that takes it.
        param: String,
        /// The parameter of the length.
        limit: String,
        /// Where it is, dotted.
        next_at: String,
        /// What stands there on the last page.
        end: CursorEnd,
    },
    /// The id of the last record seen.
    Keyset {
        /// The parameter that takes it.
        param: String,
        /// The parameter of the length.
        limit: String,
        /// Where the flag is that says whether there is more, dotted.
        has_more_at: String,
    },
    /// `Link: <…>; rel="next"` (RFC 8288), by page number.
    LinkHeader {
        /// The parameter of the number.
        page: String,
        /// The parameter of the length.
        per_page: String,
    },
    /// An absolute URL in the body.
    NextUrl {
        /// Where it is, dotted.
        next_at: String,
        /// The parameter of the length.
        limit: String,
    },
    /// An absolute URL in a header.
    Header {
        /// The header's name, e.g. `Next-Page`.
        name: String,
        /// The parameter of the length.
        limit: String,
    },
}

/// What the last page has in the place of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorEnd {
    /// Nothing.
    Absent,
    /// `null`
    Null,
    /// `""`
    Empty,
}

/// A listing of what changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// The query parameter.
    pub param: String,
    /// What its value is compared with.
    pub by: SinceBy,
    /// Whether deleted records appear as `{id, deleted: true, updated_at}`.
    pub tombstones: bool,
}

/// What `since` is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinceBy {
    /// The time of the last change, inclusive.
    UpdatedAt,
    /// The version, exclusive; the collection's `ETag` is the newest (as in Kinto).
    Version,
}

/// A query parameter that restricts a listing to records with an equal field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The parameter.
    pub param: String,
    /// The field, dotted; strings, numbers and booleans are compared as text.
    pub field: String,
}

/// Which reads answer `ETag` and know `If-None-Match`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conditional {
    /// Single records.
    pub record: bool,
    /// Listings.
    pub collection: bool,
}

/// What PUT does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// 405.
    Refused,
    /// Replaces what exists; else 404.
    Replace,
    /// Replaces or creates.
    ReplaceOrCreate,
}

/// What DELETE does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// The record answers 404 from then on.
    Gone,
    /// The record stays readable, with its flag set.
    Archive {
        /// Whether ordinary listings still have it.
        listed: bool,
    },
}

/// Which preconditions of writes are looked at. All off is an API without concurrency control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// `If-Match` and `If-None-Match: *`; 412.
    pub headers: bool,
    /// The version in the body, if it is sent; 409.
    pub body: bool,
    /// The version in this query parameter, if it is sent; 409.
    pub query: Option<String>,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { headers: true, body: false, query: None }
    }
}

impl Concurrency {
    /// No concurrency control at all: the last write wins.
    pub fn ignored() -> Self {
        Self { headers: false, body: false, query: None }
    }
}

/// Writes with a key run once; the same key again gets the first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The header.
    pub header: String,
    /// What the same key with another payload is answered by: 409 or 422.
    pub mismatch_status: u16,
    /// How long keys are remembered, in milliseconds.
    pub keep_ms: i64,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self { header: "idempotency-key".into(), mismatch_status: 422, keep_ms: 24 * 3_600_000 }
    }
}

/// What a field must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Present, and neither null nor an empty string.
    Required,
    /// Absent, or one of these.
    OneOf(Vec<Value>),
    /// Absent, or a string of at most so many characters.
    CharsMax(usize),
    /// Absent, or a string that contains this.
    Contains(String),
}

/// What becomes of a field when it is written. All but `Fixed` leave anything but strings alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Normalise {
    /// Without white space at both ends.
    Trim,
    /// In lower case.
    Lowercase,
    /// Digits only, a leading plus kept, in groups of 3, 4, 4, …: `020 7946 0001`.
    PhoneGroups,
    /// At most so many characters.
    Truncate(usize),
    /// Whatever is written, a bot puts this in its place.
    Fixed(Value),
}

/// Records of `resource` whose `field` is the id of a record keep that record from being deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The path of the resource that refers.
    pub resource: String,
    /// Its field, dotted.
    pub field: String,
}

/// `POST path/segment` with `{inputs: […]}`: upserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The last path segment.
    pub segment: String,
    /// The key of the inputs.
    pub inputs: String,
    /// The key of the results.
    pub results: String,
    /// Beyond so many items 413 for the whole.
    pub items_max: usize,
    /// One bad item refuses the whole with that item's status, and nothing is done.
    pub reject_all: bool,
    /// Items without an id are matched by this field before they are created.
    pub match_field: Option<String>,
    /// A key that is carried from each input to its result; it is no part of the record.
    pub request_id: Option<String>,
    /// Results come in the opposite order.
    pub reversed: bool,
    /// The status if any item failed; 200 otherwise.
    pub partial_status: u16,
    /// Done in the background, so long after each in turn; a job says what came of it. None: at once.
    pub background: Vec<Duration>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            segment: "batch".into(),
            inputs: "inputs".into(),
            results: "results".into(),
            items_max: 100,
            reject_all: false,
            match_field: None,
            request_id: None,
            reversed: false,
            partial_status: 207,
            background: Vec::new(),
        }
    }
}
