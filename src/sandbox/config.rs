//! Owns: what a sandbox as a whole, and each resource, can be told to be, with the kindest API as the default.
//!
//! Must not know: how any of it is done.

use http::Method;

pub use super::styles::{
    Batch, Check, Child, Concurrency, Conditional, CursorEnd, Delete, Envelope, Filter, IdStyle, Idempotency,
    Normalise, Paging, Put, Since, SinceBy, TimeFormat, UpdatedAt, VersionAt,
};

/// A whole fake upstream.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// What it serves; paths must not be prefixes of one another.
    pub resources: Vec<ResourceConfig>,
    /// Who may call.
    pub auth: Auth,
    /// The identity endpoint, if there is one.
    pub account: Option<Account>,
    /// How often anybody may call.
    pub rate_limit: Option<RateLimit>,
    /// The origin of absolute links; by default that of the request.
    pub base_url: Option<String>,
    /// How many requests the log keeps.
    pub log_requests_max: usize,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            resources: Vec::new(),
            auth: Auth::None,
            account: Some(Account::default()),
            rate_limit: None,
            base_url: None,
            log_requests_max: 10_000,
        }
    }
}

impl SandboxConfig {
    /// A sandbox of these resources, without authentication or limits.
    pub fn of(resources: impl IntoIterator<Item = ResourceConfig>) -> Self {
        Self { resources: resources.into_iter().collect(), ..Self::default() }
    }
}

/// What a request must carry; anything else is answered by 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Nothing.
    None,
    /// A key in a header of its own.
    ApiKey {
        /// The header's name.
        header: String,
        /// Its value.
        key: String,
    },
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// `Authorization: Bearer` (RFC 6750).
    Bearer {
        /// The token.
        token: String,
    },
}

/// `GET path` answers an object with `id` at `id_at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The endpoint.
    pub path: String,
    /// Where the id is, dotted.
    pub id_at: String,
    /// The id.
    pub id: String,
}

impl Default for Account {
    fn default() -> Self {
        Self { path: "/me".into(), id_at: "account.id".into(), id: "acct_sandbox".into() }
    }
}

/// A token bucket over all requests; beyond it 429.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Tokens in a full bucket.
    pub burst: u32,
    /// How long one token takes to come back, in milliseconds.
    pub refill_ms: u32,
    /// Whether answers carry `X-RateLimit-Limit`, `-Remaining` and `-Reset` (epoch seconds).
    pub headers: bool,
    /// What a 429 says about waiting.
    pub retry_after: RetryAfter,
}

/// The forms of `Retry-After` (RFC 9110, section 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Nothing.
    Absent,
    /// Whole seconds, rounded up.
    Seconds,
    /// A date, with a `Date` header beside it.
    HttpDate,
}

/// One resource: a set of JSON objects under a path.
#[derive(Debug, Clone)]
pub struct ResourceConfig {
    /// Its path, e.g. `/contacts` or `/v1/contacts`.
    pub path: String,
    /// Who chooses ids.
    pub id: IdStyle,
    /// Where the id is, dotted.
    pub id_at: String,
    /// Where the version is, if the body has one. Versions count the writes of the whole resource.
    pub version: Option<VersionAt>,
    /// Where the time of the last change is, if the body has one.
    pub updated_at: Option<UpdatedAt>,
    /// Where the archived or deleted flag is, dotted; in tombstones `deleted` if this is `None`.
    pub removed_at: Option<String>,
    /// What a listing is wrapped in.
    pub envelope: Envelope,
    /// How a listing is cut into pages.
    pub paging: Paging,
    /// The length of a page if nothing is asked for.
    pub page_size: usize,
    /// The longest page that can be asked for.
    pub page_size_max: usize,
    /// Where a listing says how many records there are, if it does, dotted.
    pub total_at: Option<String>,
    /// Whether a listing can be restricted to what changed.
    pub since: Option<Since>,
    /// Query parameters that restrict a listing to equal values.
    pub filters: Vec<Filter>,
    /// The query parameter that, when `true`, lists archived records only.
    pub archived_param: Option<String>,
    /// Which reads answer `ETag` and know `If-None-Match`.
    pub conditional: Conditional,
    /// What PUT does.
    pub put: Put,
    /// What DELETE does.
    pub delete: Delete,
    /// What a successful DELETE is answered by: 204 without a body, anything else with the record.
    pub delete_status: u16,
    /// Which preconditions of writes are looked at.
    pub concurrency: Concurrency,
    /// Whether writes know idempotency keys.
    pub idempotency: Option<Idempotency>,
    /// Fields whose values no two records share; 409.
    pub unique: Vec<String>,
    /// What fields must be like; 422.
    pub checks: Vec<(String, Check)>,
    /// What becomes of fields when they are written, in order.
    pub normalise: Vec<(String, Normalise)>,
    /// References that forbid deleting what they point to; 409.
    pub children: Vec<Child>,
    /// `POST path/batch`, if there is one.
    pub batch: Option<Batch>,
    /// Methods answered by 405.
    pub refused: Vec<Method>,
}

impl ResourceConfig {
    /// A well-behaved resource: server-chosen ids, `etag` and `updated_at` in the body, everything in one listing.
    pub fn at(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            id: IdStyle::Server { prefix: String::new() },
            id_at: "id".into(),
            version: Some(VersionAt { path: "etag".into(), number: false }),
            updated_at: Some(UpdatedAt { path: "updated_at".into(), format: TimeFormat::Rfc3339Ms }),
            removed_at: None,
            envelope: Envelope::Key("results".into()),
            paging: Paging::None,
            page_size: 100,
            page_size_max: 1000,
            total_at: None,
            since: None,
            filters: Vec::new(),
            archived_param: None,
            conditional: Conditional::default(),
            put: Put::Replace,
            delete: Delete::Gone,
            delete_status: 204,
            concurrency: Concurrency::default(),
            idempotency: None,
            unique: Vec::new(),
            checks: Vec::new(),
            normalise: Vec::new(),
            children: Vec::new(),
            batch: None,
            refused: Vec::new(),
        }
    }
}
