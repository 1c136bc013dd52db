//! Owns: the checked rules as plain data: what every later phase may rely on without asking again.
//!
//! Must not know: TOML, spans, files (that is `parse` and `check`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::record::{Domain, Filter, Lens, Mapper, Path, TimeFormat};

/// All rules of a workspace, checked and frozen; a pass holds one `Arc` of it from beginning to end.
#[derive(Debug)]
pub struct Ruleset {
    /// By name.
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
    /// By name. Use [`Ruleset::in_order`] where parents must come before children.
    pub collections: BTreeMap<String, Arc<Collection>>,
    /// SHA-256 over the text of all files, hex: names the rule set in runs and plans.
    pub hash: String,
}

impl Ruleset {
    /// Collections so that every `ref` points to an earlier one; members of a cycle stand in name order.
    pub fn in_order(&self) -> Vec<&Arc<Collection>> {
        let mut done: Vec<&Arc<Collection>> = Vec::new();
        let mut left: Vec<&Arc<Collection>> = self.collections.values().collect();
        while !left.is_empty() {
            let ready = |c: &Arc<Collection>| {
                c.references().all(|to| to == c.name || !left.iter().any(|other| other.name == to))
            };
            let at = left.iter().position(|c| ready(c)).unwrap_or(0);
            done.push(left.remove(at));
        }
        done
    }
}

// ---- upstream ------------------------------------------------------------------------------------------------------

/// An external system.
#[derive(Debug)]
pub struct Upstream {
    /// Its name in rules.
    pub name: String,
    /// Absolute, variables filled in, without a trailing slash.
    pub base_url: url::Url,
    /// Host patterns (`api.example.com`, `*.example.com`) that may get credentials; always contains the base URL's host.
    pub allowed_hosts: Vec<String>,
    /// Plain http to a host that is not loopback was allowed by the rules.
    pub insecure_http: bool,
    /// Headers of every request.
    pub headers: Vec<(String, Template)>,
    /// Time limits of one exchange.
    pub timeout: Timeouts,
    /// Requests under way at once, at most.
    pub concurrency: usize,
    /// Largest decoded body of one response, in bytes.
    pub body_bytes_max: u64,
    /// Health probe and pinned identity.
    pub check: Option<Check>,
    /// Credentials.
    pub auth: Auth,
    /// All budgets; every matching one is debited.
    pub budgets: Vec<Budget>,
    /// Error rules; the first that matches wins.
    pub errors: Vec<ErrorRule>,
    /// Retries.
    pub retry: Retry,
}

/// Time limits of one HTTP exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until connected (default 10 s).
    pub connect: Duration,
    /// Between two chunks of the response (default 30 s).
    pub idle: Duration,
    /// From start to end (default 5 min).
    pub total: Duration,
}

/// A health probe: a request, and where its answer names the account.
#[derive(Debug)]
pub struct Check {
    /// The request.
    pub request: Request,
    /// Where the account's identity is in the answer; pinned at the first pass.
    pub account: Option<Path>,
}

/// How requests are authenticated. Secrets are named, never held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// No credentials.
    None,
    /// A key in a header or in the query.
    ApiKey {
        /// Where it goes.
        place: Place,
        /// What is sent, e.g. `Token ${secret.key}`.
        value: Template,
    },
    /// RFC 7617.
    Basic {
        /// User name.
        username: Template,
        /// Password.
        password: Template,
    },
    /// RFC 6750.
    Bearer {
        /// The token.
        token: Template,
    },
}

/// A named place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A query parameter.
    Query(String),
    /// A header.
    Header(String),
    /// A path in the JSON body.
    Body(Path),
}

/// A declared rate limit or quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Which requests it covers.
    pub matches: RequestMatch,
    /// Requests per window.
    pub limit: u64,
    /// The window.
    pub per: Duration,
}

/// Which requests something covers; an empty match covers all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestMatch {
    /// A path pattern below the base URL's path; `*` matches anything.
    pub path: Option<String>,
    /// An HTTP method, upper case.
    pub method: Option<String>,
}

/// One `[[upstream.X.error]]`: all given conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRule {
    /// Status codes; empty means any.
    pub status: Vec<u16>,
    /// A jq condition over the body (parsed JSON, or null where it is none).
    pub when: Option<Filter>,
    /// What it means.
    pub class: ErrorClass,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// A success after all.
    Ok,
    /// Throttled: wait and try again, the breaker does not count it.
    RateLimited,
    /// A passing failure.
    Transient,
    /// Credentials refused.
    Auth,
    /// The precondition failed, or the state conflicts: read again and merge again.
    Conflict,
    /// The record existed and is deleted.
    Gone,
    /// There is no such record.
    NotFound,
    /// The upstream refuses this record as it is: quarantine.
    Invalid,
    /// The cursor or since-token is no longer known: full re-read.
    CursorExpired,
    /// Nothing more can be done at this upstream: pause it.
    Fatal,
}

/// The retry policy of an upstream; the arithmetic is in `FAULTS`' defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in one pass, the first included (default 4).
    pub attempts: u32,
    /// Waits longer than this park the work (default 15 min).
    pub max_wait: Duration,
}

// ---- requests ------------------------------------------------------------------------------------------------------

/// Text with holes: `${secret.NAME}` and, in requests, `{id}` and the like. Variables are already filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The parts in order.
    pub parts: Vec<Part>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Literal text.
    Text(String),
    /// The secret of this name.
    Secret(String),
    /// A value of the request at hand: `id`, `version`.
    Hole(String),
}

/// A request as the rules describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// Below the base URL's path; holes are percent-encoded when filled.
    pub path: Template,
    /// Query parameters in order.
    pub query: Vec<(String, Template)>,
    /// Headers.
    pub headers: Vec<(String, Template)>,
    /// Where the record stands in the answer (`record = ".data"`); `None`: the answer is the record.
    pub record: Option<Path>,
}

// ---- collection ----------------------------------------------------------------------------------------------------

/// A named set of records; one plain table.
#[derive(Debug)]
pub struct Collection {
    /// Its name, and its table's.
    pub name: String,
    /// Fields in the order written; a field is named by its position everywhere.
    pub fields: Vec<Field>,
    /// When passes run.
    pub schedule: Option<Schedule>,
    /// When complete generations are read.
    pub full_scan: Option<Schedule>,
    /// For `source_priority`: most trusted first; `local` or an upstream.
    pub priority: Vec<Origin>,
    /// One side updated, the other deleted.
    pub update_vs_delete: UpdateVsDelete,
    /// A record is deleted at an upstream and untouched here.
    pub on_remote_delete: OnRemoteDelete,
    /// A record is deleted here and untouched at the upstreams.
    pub on_local_delete: OnLocalDelete,
    /// Beyond these, halt.
    pub limits: Limits,
    /// Match keys by preference; each a list of field positions that must all be equal and non-empty.
    pub match_keys: Vec<Vec<usize>>,
    /// By upstream name.
    pub bindings: Vec<Arc<Binding>>,
}

impl Collection {
    /// The position of a field by name.
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The collections that `ref` fields point to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter_map(|field| match &field.domain.ty {
            crate::record::FieldType::Ref { to } => Some(to.as_str()),
            _ => None,
        })
    }
}

/// Where a value comes from: here, or an upstream by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Edited in the local table.
    Local,
    /// Seen at this upstream.
    Upstream(String),
}

impl Origin {
    /// `local` or the upstream's name; the inverse is [`Origin::from_name`].
    pub fn name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Upstream(name) => name,
        }
    }

    /// `local` is reserved; everything else is an upstream.
    pub fn from_name(name: &str) -> Self {
        if name == "local" { Self::Local } else { Self::Upstream(name.to_owned()) }
    }
}

/// A typed field of a collection.
#[derive(Debug)]
pub struct Field {
    /// Its name, and its column's.
    pub name: String,
    /// Its type and equality.
    pub domain: Domain,
    /// A record without it is quarantined rather than stored or sent.
    pub required: bool,
    /// No two records share a value.
    pub unique: bool,
    /// The chain of policies, the field's own or the collection's; the last is total.
    pub chain: Vec<Policy>,
    /// Only this origin may set it.
    pub owner: Option<Owner>,
    /// Fields of one group move as one.
    pub group: Option<String>,
}

/// The owner of a field, and what happens to foreign edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Whose value counts.
    pub origin: Origin,
    /// What to do with another side's edit.
    pub drift: Drift,
}

/// What happens when somebody else changes an owned field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// The owner's value is written back (default).
    Revert,
    /// The difference is reported and left.
    Report,
}

/// A field policy; consulted only when both sides changed to values that are not equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// The candidate whose origin stands first in `priority`.
    SourcePriority,
    /// The local edit, if there is one.
    LocalEditWins,
    /// The latest time at the source, where both are known.
    Latest,
    /// The earliest time at the source.
    Earliest,
    /// The greatest value.
    Max,
    /// The least value.
    Min,
    /// The one that is not empty, if exactly one is.
    PreferNonEmpty,
    /// Three-way merge of sets.
    Set,
    /// A person decides: conflict.
    Manual,
}

/// One side updated, the other deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateVsDelete {
    /// The update wins: recreate or restore (default).
    UpdateWins,
    /// The delete wins.
    DeleteWins,
    /// A person decides.
    Manual,
}

/// A record was deleted at an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemoteDelete {
    /// Delete here and at the other upstreams.
    Propagate,
    /// Drop the link, keep the record here, do not recreate it there.
    Detach,
    /// Recreate it there.
    Restore,
    /// A person decides (default).
    Queue,
}

/// A record was deleted locally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLocalDelete {
    /// Delete at the upstreams (default).
    Propagate,
    /// Drop the links, leave the upstreams alone.
    Detach,
    /// Bring it back from the upstreams.
    Restore,
    /// A person decides.
    Queue,
}

/// Guards of one collection, applied per target: the local table, and each upstream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Default 5 %.
    pub delete: Option<Limit>,
    /// Default none.
    pub update: Option<Limit>,
    /// Default none.
    pub create: Option<Limit>,
}

/// A count, or a share of the linked records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// So many records.
    Count(u64),
    /// This share, 0.0–1.0.
    Share(f64),
}

/// When something runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Every so often.
    Every(Duration),
    /// A cron expression (five or six fields) in a time zone.
    Cron {
        /// As written.
        expression: String,
        /// IANA name; default UTC.
        timezone: chrono_tz::Tz,
    },
}

// ---- binding -------------------------------------------------------------------------------------------------------

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
    /// How to write many at once.
    pub batch: Option<Batch>,
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
    /// The array of records in the answer: `.results[]` is the path `.results`, `.[]` is `.`.
    pub records: Path,
    /// Paging.
    pub page: Paging,
    /// Incremental reading.
    pub incremental: Incremental,
    /// How deletes show.
    pub deletes: Deletes,
    /// The point read.
    pub get: Option<Request>,
}

/// How pages follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paging {
    /// One answer holds all.
    None,
    /// Numbered pages; ends with an empty page, or a short one after a full one.
    Page {
        /// Where the number goes.
        into: Place,
        /// The first page's number (default 1).
        start: u64,
        /// Where the page size goes, and the size.
        size: Option<(Place, u64)>,
    },
    /// Offsets; ends with an empty page, or a short one after a full one.
    Offset {
        /// Where the offset goes.
        into: Place,
        /// Where the page size goes, and the size.
        size: Option<(Place, u64)>,
    },
    /// A token in the answer goes into the next request; absent, null or `""` ends.
    Cursor {
        /// Where the token is.
        next: NextAt,
        /// Where it goes.
        into: Place,
        /// jq condition that says there is more; false ends even where a token is given.
        more: Option<Filter>,
    },
    /// RFC 8288 `Link: <…>; rel="next"`.
    LinkHeader,
    /// The answer holds the next page's URL, absolute or relative.
    NextUrl {
        /// Where the URL is.
        next: NextAt,
    },
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
    },
    /// `If-None-Match` with the listing's `ETag`; 304 means nothing changed.
    Conditional,
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
}

/// How a create is made safe to repeat, or its result found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Nothing: an unknown outcome is looked up by match keys, else it waits for an operator.
    None,
    /// The operation id in a header, remembered upstream for this long.
    Header {
        /// The header's name.
        name: String,
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

/// How to delete.
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
    /// A jq filter over `{record, changed, remote}`, all in the upstream's own shape.
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
    /// Where the array of items goes in the body.
    pub items: Path,
    /// The shape of one item: a jq filter over `{op, id, version, method, path, body, key}`; default the body with its id put in.
    pub item: Option<Filter>,
    /// Items per request, at most.
    pub items_max: usize,
    /// Bytes of body per request, at most.
    pub bytes_max: u64,
    /// How per-item results are found.
    pub result: BatchResult,
    /// A batch refused as a whole is split in halves.
    pub bisect: bool,
}

impl Batch {
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
    /// The array in the answer.
    pub items: Path,
    /// How a result finds its item.
    pub by: ResultBy,
    /// Where a result names the remote id.
    pub id: Option<Path>,
    /// Where a result names the new version.
    pub version: Option<Path>,
    /// Where a result holds its HTTP-like status, where it does.
    pub status: Option<Path>,
    /// Where a result holds its error; absent or null means success.
    pub error: Option<Path>,
    /// Where a result holds the record as it now is.
    pub record: Option<Path>,
}

/// How a batch result finds its item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultBy {
    /// Same position.
    Index,
    /// Same remote id.
    Id,
    /// The operation id, at this path of the result.
    RequestId(Path),
}
