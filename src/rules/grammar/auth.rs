//! Owns: the shape of `auth` of the kinds `session`, `hmac` and `aws_sigv4`.
//!
//! Must not know: which keys go together (that is `check`).

use super::BodyShape;
use crate::record::TimeFormat;
use crate::rules::model::{HashAlgorithm, KeyEncoding, Payload, SignatureEncoding};
use crate::rules::shape::{Either, Named, OneOrMany, table, words};
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
        query: Named<OneOrMany<Text>>,
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

table! {
    /// A signature over each request, by a key that both sides have (HMAC, RFC 2104).
    AuthHmac, "an hmac table" {
        /// The key, e.g. `${secret.crm_key}`.
        key: Text = required,
        /// How the key is written: `text`, `hex` or `base64`. Default `text`.
        key_encoding: KeyEncoding,
        /// The hash: `sha256`, `sha512` or `sha1`. Default `sha256`.
        algorithm: HashAlgorithm,
        /// What is signed, e.g. `{timestamp}{method}{target}{body}`.
        sign: Text = required,
        /// How the signature is written: `hex` or `base64`. Default `hex`.
        encoding: SignatureEncoding,
        /// Where the signature goes: `header.NAME` or `query.NAME`.
        into: Text = required,
        /// What is sent there. Default `{signature}`; e.g. `HMAC ${secret.crm_id}:{signature}`.
        value: Text,
        /// How `{timestamp}` is written: `unix_s`, `unix_ms`, rfc3339 or `http_date`. Default `unix_s`.
        timestamp: TimeFormat,
        /// Headers that go with it, e.g. `{ X-Key = "${secret.crm_id}", X-Timestamp = "{timestamp}" }`.
        headers: Named<Text>,
        /// Query parameters that go with it; they are a part of `{query}`.
        query: Named<Text>,
    }
}

table! {
    /// Signature Version 4 of AWS, which many stores of objects speak as well.
    AuthAwsSigV4, "an aws_sigv4 table" {
        /// The region, e.g. `eu-central-1`; `auto` for Cloudflare R2.
        region: Text = required,
        /// The service as AWS abbreviates it, e.g. `execute-api`, `dynamodb`, `s3`.
        service: Text = required,
        /// The id of the access key, e.g. `${secret.aws_id}`.
        access_key_id: Text = required,
        /// The access key itself, e.g. `${secret.aws_key}`.
        secret_access_key: Text = required,
        /// The token of temporary credentials. Default none.
        session_token: Text,
        /// Whether bodies are signed: `signed`, or `unsigned` (`s3` only, over https). Default `signed`.
        payload: Payload,
    }
}

words! { KeyEncoding, "KeyEncoding", "\"text\", \"hex\" or \"base64\"" {
    "text" => Self::Text,
    "hex" => Self::Hex,
    "base64" => Self::Base64,
} }

words! { SignatureEncoding, "SignatureEncoding", "\"hex\" or \"base64\"" {
    "hex" => Self::Hex,
    "base64" => Self::Base64,
} }

words! { HashAlgorithm, "HashAlgorithm", "\"sha256\", \"sha512\" or \"sha1\"" {
    "sha256" => Self::Sha256,
    "sha512" => Self::Sha512,
    "sha1" => Self::Sha1,
} }

words! { Payload, "Payload", "\"signed\" or \"unsigned\"" {
    "signed" => Self::Signed,
    "unsigned" => Self::Unsigned,
} }
