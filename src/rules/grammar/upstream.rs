//! Owns: the shape of `[upstream.NAME]` and of requests.
//!
//! Must not know: what upstreams are used for.

use super::{
    AuthAwsSigV4, AuthHmac, AuthJwtBearer, AuthOAuth2, AuthSession, BodyShape, Breaker, Budget, Health, Quota, Webhook,
};
use crate::rules::model::{Encoding, ErrorClass};
use crate::rules::shape::{Either, List, Named, OneOrMany, kinds, table};
use crate::rules::units::{Jq, Period, Size, Text};

table! {
    /// An external system: where it is, how to log in, what it allows.
    Upstream, "an upstream table" {
        /// Absolute URL that all request paths are below. May hold `${var.NAME}`. Plain http only to loopback, unless `insecure_http`.
        base_url: Text = required,
        /// Hosts beside the base URL's that next-links and redirects may lead to with credentials: `api.example.com`, `*.example.com`. Default none.
        allowed_hosts: List<Text>,
        /// Allows plain http to a host that is not loopback. Default false.
        insecure_http: bool,
        /// Headers of every request. May hold `${var.NAME}` and `${secret.NAME}`.
        headers: Named<Text>,
        /// Time limits of one exchange.
        timeout: Timeout,
        /// Requests under way at once, at most; the adaptive limit moves below it. Default 4.
        concurrency: u64,
        /// Largest decoded body of one response. Default 64MB.
        body_max: Size,
        /// A request that tells whose account it is; what is asked where an upstream failed.
        check: Check,
        /// How the daemon asks between passes whether it is well. Default not at all.
        health: Health,
        /// Credentials. Default none.
        auth: Auth,
        /// Who we are in TLS, and whom we trust. Default nobody, and whom this machine trusts.
        tls: Tls,
        /// Rate limits and quotas; every one that matches a request is debited.
        budget: List<Budget>,
        /// What answers mean beyond the status codes; the first rule that matches wins.
        error: List<ErrorRule>,
        /// Retries.
        retry: Retry,
        /// When an upstream that keeps failing is left alone.
        breaker: Breaker,
        /// What may be asked of it in a day or a month; the forecast of `reconciled usage` is told against it.
        quota: Quota,
        /// Webhooks that it sends here. Default none.
        webhook: Webhook,
    }
}

table! {
    /// Time limits of one exchange.
    Timeout, "a timeout table" {
        /// Until connected. Default 10s.
        connect: Period,
        /// Between two pieces of the answer. Default 30s.
        idle: Period,
        /// From beginning to end. Default 5m.
        total: Period,
    }
}

table! {
    /// Files of TLS, in PEM; read anew when they are replaced.
    Tls, "a tls table" {
        /// The client certificate, with those between it and its authority: an absolute path. May hold `${var.NAME}`.
        certificate: Text,
        /// Its private key: an absolute path of a file that nobody else may read.
        key: Text,
        /// The authorities that may vouch for the upstream, instead of those that this machine trusts: an absolute path.
        ca: Text,
    }
}

table! {
    /// A health probe.
    Check, "a check table" {
        /// The request, e.g. `GET /me`.
        request: RequestShape = required,
        /// Plain path of the account's identity in the answer. It is asked for before anything else and pinned the first time: another one halts.
        account: Jq,
    }
}

/// A request: `"GET /path"`, or a table.
pub type RequestShape = Either<RequestText, Request>;

/// A request as `METHOD /path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestText(pub String);

impl crate::rules::shape::Shape for RequestText {
    const WANTED: &'static str = "a request such as \"GET /contacts\"";

    fn read(node: crate::rules::shape::Node<'_>, notes: &mut crate::rules::diagnostic::Notes<'_>) -> Option<Self> {
        let Some(text) = node.value.as_str() else {
            node.wrong(Self::WANTED, notes);
            return None;
        };
        Some(Self(text.to_owned()))
    }
}

impl schemars::JsonSchema for RequestText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RequestText".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Z]+ +/" })
    }
}

table! {
    /// A request.
    Request, "a request table" {
        /// HTTP method. Default GET for reading, and must be given for writing.
        method: Text,
        /// Below the base URL's path, beginning with `/`. `{id}` is the remote id where one is known; `{version}` likewise.
        path: Text = required,
        /// Query parameters.
        query: Named<OneOrMany<Text>>,
        /// Headers of this request.
        headers: Named<Text>,
        /// What is sent as JSON by a listing, point read, probe, transition or delete with POST: search filters, a GraphQL query. Texts may hold `${var.NAME}`, and `{id}` where one is known; a brace that means itself is followed by a space.
        body: BodyShape,
        /// How the body is written: json (the default), form (nested names in brackets), or multipart.
        encoding: Encoding,
        /// Plain path of the record in the answer, e.g. `.data`. Default: the answer is the record.
        record: Jq,
    }
}

kinds! {
    /// How requests are authenticated.
    Auth, "an auth table such as { kind = \"bearer\", token = \"${secret.NAME}\" }" {
        /// No credentials.
        "none" => None(AuthNone) = bare,
        /// A key in a header or in the query.
        "api_key" => ApiKey(AuthApiKey),
        /// User name and password (RFC 7617).
        "basic" => Basic(AuthBasic),
        /// A token (RFC 6750).
        "bearer" => Bearer(AuthBearer),
        /// OAuth 2.0 (RFC 6749).
        "oauth2" => OAuth2(AuthOAuth2),
        /// A service account (RFC 7523).
        "jwt_bearer" => JwtBearer(AuthJwtBearer),
        /// A login that is answered with a token.
        "session" => Session(AuthSession),
        /// A signature over each request (RFC 2104).
        "hmac" => Hmac(AuthHmac),
        /// Signature Version 4 of AWS.
        "aws_sigv4" => AwsSigV4(AuthAwsSigV4),
    }
}

table! {
    /// No credentials.
    AuthNone, "a table" {}
}

table! {
    /// A key in a header or in the query.
    AuthApiKey, "an api_key table" {
        /// The header it goes into, e.g. `X-Api-Key`.
        header: Text,
        /// The query parameter it goes into.
        query: Text,
        /// What is sent, e.g. `${secret.key}` or `Token ${secret.key}`.
        value: Text = required,
    }
}

table! {
    /// User name and password.
    AuthBasic, "a basic table" {
        /// User name.
        username: Text = required,
        /// Password, e.g. `${secret.password}`.
        password: Text = required,
    }
}

table! {
    /// A bearer token.
    AuthBearer, "a bearer table" {
        /// The token, e.g. `${secret.token}`.
        token: Text = required,
    }
}

table! {
    /// What an answer means; all given conditions must hold.
    ErrorRule, "an error table" {
        /// Status codes. Default any.
        status: OneOrMany<u64>,
        /// Headers with the values that they have; `*` in a value stands for anything. Default any.
        headers: Named<Text>,
        /// jq condition over the body (null where it is no JSON).
        when: Jq,
        /// ok, `rate_limited`, transient, auth, conflict, gone, `not_found`, invalid, `cursor_expired` or fatal.
        class: ErrorClass = required,
    }
}

table! {
    /// Retries.
    Retry, "a retry table" {
        /// Attempts in one pass, the first included. Default 4.
        attempts: u64,
        /// Longer waits park the work and schedule it anew. Default 15m.
        max_wait: Period,
    }
}
