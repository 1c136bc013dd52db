//! Owns: the shape of `auth = { kind = "oauth2" }` and `{ kind = "jwt_bearer" }`.
//!
//! Must not know: which keys a grant takes together (that is `check`).

use crate::rules::model::{ClientAuth, JwtAlgorithm};
use crate::rules::shape::{List, Named, table, words};
use crate::rules::units::{Period, Text};

table! {
    /// OAuth 2.0 (RFC 6749): tokens are asked for, kept sealed, and renewed before they expire.
    AuthOAuth2, "an oauth2 table" {
        /// How the first token is had: `authorization_code` or `device_code` (a person signs in by `reconciled auth login`), `client_credentials`, or `refresh_token`.
        grant: GrantWord = required,
        /// Where tokens are had. https, or http to loopback.
        token_url: Text = required,
        /// Where the person signs in (`authorization_code`).
        authorize_url: Text,
        /// Where a device code is had (`device_code`, RFC 8628).
        device_url: Text,
        /// Where tokens are given up by `reconciled auth revoke` (RFC 7009). Default: they are only forgotten here.
        revoke_url: Text,
        /// The client's id, e.g. `${secret.crm_client_id}`.
        client_id: Text = required,
        /// The client's secret; a public client has none.
        client_secret: Text,
        /// How the client says who it is: `basic` (header) or `body`. Default `basic` with a client secret.
        client_auth: ClientAuth,
        /// What is asked for.
        scopes: List<Text>,
        /// The first refresh token (`refresh_token`), e.g. `${secret.crm_refresh_token}`; those that replace it are kept sealed.
        refresh_token: Text,
        /// The authorization server's name for itself; an answer that names another one, or none, is refused (`authorization_code`, RFC 9207). Default: it is not asked for.
        issuer: Text,
        /// Where the person is sent back to (`authorization_code`). Default a free port of 127.0.0.1.
        redirect_url: Text,
        /// Further parameters of the sign-in, e.g. { `access_type` = "offline" } (`authorization_code`, `device_code`).
        authorize_params: Named<Text>,
        /// Further parameters of token requests, e.g. { audience = "…" }.
        token_params: Named<Text>,
        /// How long before its end a token is renewed. Default 5m, at most half of its life.
        refresh_before: Period,
        /// The header that the token goes into. Default Authorization.
        header: Text,
        /// What stands before the token there. Default `Bearer`, with a space; nothing in another header.
        prefix: Text,
    }
}

table! {
    /// A service account: a signed assertion is exchanged for a token (RFC 7523).
    AuthJwtBearer, "a jwt_bearer table" {
        /// Where tokens are had. https, or http to loopback.
        token_url: Text = required,
        /// Who asks (`iss`): the service account or client.
        issuer: Text = required,
        /// For whom (`sub`). Default nobody is named.
        subject: Text,
        /// Who is asked (`aud`). Default the token URL.
        audience: Text,
        /// The private key in PEM (PKCS #8), or the shared secret, e.g. `${secret.crm_key}`.
        key: Text = required,
        /// The key's id (`kid`). Default none.
        key_id: Text,
        /// How it is signed: `RS256`, `ES256` or `HS256`. Default `RS256`.
        algorithm: JwtAlgorithm,
        /// How long an assertion counts. Default 5m.
        lifetime: Period,
        /// What is asked for: the assertion's `scope`.
        scopes: List<Text>,
        /// Further parameters of token requests.
        token_params: Named<Text>,
        /// How long before its end a token is renewed. Default 5m, at most half of its life.
        refresh_before: Period,
        /// The header that the token goes into. Default Authorization.
        header: Text,
        /// What stands before the token there. Default `Bearer`, with a space; nothing in another header.
        prefix: Text,
    }
}

/// The word of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantWord {
    /// A person signs in, in a browser.
    AuthorizationCode,
    /// The client itself.
    ClientCredentials,
    /// A person signs in on another device.
    DeviceCode,
    /// A refresh token that was had elsewhere.
    RefreshToken,
}

impl GrantWord {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "device_code",
            Self::RefreshToken => "refresh_token",
        }
    }
}

words! { GrantWord, "Grant", "a grant such as \"client_credentials\"" {
    "authorization_code" => Self::AuthorizationCode,
    "client_credentials" => Self::ClientCredentials,
    "device_code" => Self::DeviceCode,
    "refresh_token" => Self::RefreshToken,
} }

words! { ClientAuth, "ClientAuth", "\"basic\" or \"body\"" { "basic" => Self::Basic, "body" => Self::Body } }

words! { JwtAlgorithm, "JwtAlgorithm", "\"RS256\", \"ES256\" or \"HS256\"" {
    "RS256" => Self::Rs256,
    "ES256" => Self::Es256,
    "HS256" => Self::Hs256,
} }
