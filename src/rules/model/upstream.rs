//! Owns: the checked form of an external system, and of requests to it.
//!
//! Must not know: collections, which requests there are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{AwsSigning, Health, HmacSigning, OAuth, Quota, Session, Webhook};
use super::{BreakerRules, Budget};
use crate::record::{Filter, Json, Path, Step};

/// An external system.
#[derive(Clone, Debug)]
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
    /// Health probe and the account's identity.
    pub check: Option<Check>,
    /// How the daemon asks between passes whether it is well.
    pub health: Option<Health>,
    /// Credentials.
    pub auth: Auth,
    /// Who we are in TLS, and whom we trust.
    pub tls: Option<Arc<TlsFiles>>,
    /// All budgets; every matching one is debited.
    pub budgets: Vec<Budget>,
    /// Error rules; the first that matches wins.
    pub errors: Vec<ErrorRule>,
    /// Retries.
    pub retry: Retry,
    /// When it is left alone.
    pub breaker: BreakerRules,
    /// What may be asked of it in a period: its quota, else a budget of a day or a month.
    pub quota: Option<Quota>,
    /// Webhooks that it sends here.
    pub webhook: Option<Webhook>,
}

/// Files of TLS, in PEM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsFiles {
    /// Who we are.
    pub client: Option<ClientFiles>,
    /// The authorities that may vouch for the upstream, instead of those that this machine trusts.
    pub ca: Option<PathBuf>,
}

impl TlsFiles {
    /// All of them.
    pub fn paths(&self) -> impl Iterator<Item = &std::path::Path> {
        let client = self.client.iter().flat_map(|client| [client.certificate.as_path(), client.key.as_path()]);
        client.chain(self.ca.as_deref())
    }
}

/// A client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientFiles {
    /// The certificate, with those between it and its authority.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
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
#[derive(Clone, Debug)]
pub struct Check {
    /// The request.
    pub request: Request,
    /// Where the account's identity is in the answer.
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
    /// RFC 6749 and what builds on it.
    Tokens(Box<OAuth>),
    /// A login that is answered with a token.
    Session(Box<Session>),
    /// A signature over each request (RFC 2104).
    Hmac(Box<HmacSigning>),
    /// Signature Version 4 of AWS.
    Aws(Box<AwsSigning>),
}

impl Auth {
    /// Tokens come and go; a person may have to do something when none are to be had.
    pub const fn has_tokens(&self) -> bool {
        matches!(self, Self::Tokens(_) | Self::Session(_))
    }
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

/// One `[[upstream.X.error]]`: all given conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRule {
    /// Status codes; empty means any.
    pub status: Vec<u16>,
    /// Headers, lower case, each with a pattern that one of its values has to match; `*` stands for anything.
    pub headers: Vec<(String, String)>,
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

/// Text with holes: `${secret.NAME}` and, in requests, `{id}` and the like. Variables are already filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The parts in order.
    pub parts: Vec<Part>,
}

impl Template {
    /// Whether it has this hole.
    pub fn has_hole(&self, name: &str) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Hole(hole) if hole == name))
    }
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

/// JSON whose texts are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonTemplate {
    /// What is always the same.
    Fixed(Json),
    /// A text.
    Text(Template),
    /// A list.
    List(Vec<JsonTemplate>),
    /// An object.
    Object(Vec<(String, JsonTemplate)>),
}

impl JsonTemplate {
    /// All texts.
    pub fn texts(&self) -> Vec<&Template> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Text(template) => vec![template],
            Self::List(items) => items.iter().flat_map(Self::texts).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, value)| value.texts()).collect(),
        }
    }

    /// The text at a path.
    pub fn text_at(&self, steps: &[Step]) -> Option<&Template> {
        match (self, steps) {
            (Self::Text(template), []) => Some(template),
            (Self::List(items), [Step::Index(at), rest @ ..]) => items.get(*at)?.text_at(rest),
            (Self::Object(members), [Step::Key(name), rest @ ..]) => {
                members.iter().find(|(other, _)| other == name)?.1.text_at(rest)
            }
            _ => None,
        }
    }

    /// Whether the hole is in one of its texts.
    pub fn has_hole(&self, name: &str) -> bool {
        self.texts().into_iter().any(|template| template.has_hole(name))
    }
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
    /// The JSON body of a read or delete, before a page's place is put into it.
    pub body: Option<JsonTemplate>,
    /// How a body is written.
    pub encoding: Encoding,
    /// Where the record stands in the answer (`record = ".data"`); `None`: the answer is the record.
    pub record: Option<Path>,
}

impl Request {
    /// Whether the hole is anywhere in it.
    pub fn has_hole(&self, name: &str) -> bool {
        let mut named = self.query.iter().chain(&self.headers);
        let in_body = || self.body.as_ref().is_some_and(|body| body.has_hole(name));
        self.path.has_hole(name) || named.any(|(_, value)| value.has_hole(name)) || in_body()
    }
}

/// How a request's body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As JSON.
    #[default]
    Json,
    /// As a form (`application/x-www-form-urlencoded`), nested names in brackets.
    Form,
    /// As `multipart/form-data`, one part per name, named as in a form.
    Multipart,
}

/// True where nobody else can listen: an address of this machine, or a name that always is one (RFC 6761, 6.3).
pub fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
