//! Owns: the shape of `auth = { kind = "session" }`.
//!
//! Must not know: which keys go together (that is `check`).

use super::BodyShape;
use crate::rules::shape::{Either, Named, table};
use crate::rules::units::{Jq, Period, Text};

table! {
    /// A login: a request with secrets is answered with a token, which goes into all others.
    AuthSession, "a session table" {
        /// The request that logs in, e.g. `{ path = "/login", body = { user = "sync", password = "${secret.crm_password}" } }`.
        login: SessionLogin = required,
        /// Where its answer has the token: a plain path in the body, { header = "X-Token" } or { cookie = "sid" }.
        token: SessionTokenShape,
        /// Where the token goes: `header.NAME`, `cookie.NAME` or `query.NAME`. Default `header.Authorization`; a cookie goes back under its own name.
        into: Text,
        /// What stands before the token there. Default `Bearer`, with a space, in `header.Authorization`; else nothing.
        prefix: Text,
        /// How long a token counts. Default: until the upstream refuses it, or as long as its cookie says.
        expires_in: Period,
        /// Plain path in the answer's body that tells until when the token counts: seconds from now, or a time (RFC 3339, seconds or milliseconds since 1970).
        expires: Jq,
        /// How long before its end a token is replaced. Default 5m, at most half of its life.
        refresh_before: Period,
    }
}

table! {
    /// The request that logs in.
    SessionLogin, "a login table" {
        /// POST, PUT or GET. Default POST.
        method: Text,
        /// Below the base URL's path, beginning with `/`.
        path: Text = required,
        /// Query parameters, without secrets: a query is logged.
        query: Named<Text>,
        /// Headers, e.g. `{ Authorization = "Basic ${secret.crm_pair}" }`.
        headers: Named<Text>,
        /// What is sent as a form, e.g. `{ user = "sync", password = "${secret.crm_password}" }`.
        form: Named<Text>,
        /// What is sent as JSON instead. Texts may hold `${var.NAME}` and `${secret.NAME}`.
        body: BodyShape,
    }
}

/// Where an answer has the token.
pub type SessionTokenShape = Either<Jq, SessionTokenAt>;

table! {
    /// A token that comes beside the body.
    SessionTokenAt, "{ header = \"…\" } or { cookie = \"…\" }" {
        /// The header that it comes in.
        header: Text,
        /// The cookie that it comes in.
        cookie: Text,
    }
}
