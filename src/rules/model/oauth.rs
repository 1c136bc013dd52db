//! Owns: the checked form of credentials that are tokens: how they are had, and where they go.
//!
//! Must not know: tokens.

use std::time::Duration;

use url::Url;

use super::Template;

/// Tokens of OAuth 2.0. Secrets are named, never held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth {
    /// How the first token is had.
    pub grant: Grant,
    /// Where tokens are had.
    pub token_url: Url,
    /// Where they are given up (RFC 7009).
    pub revoke_url: Option<Url>,
    /// Who asks. An assertion says so itself.
    pub client: Option<OAuthClient>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Further parameters of token requests.
    pub token_params: Vec<(String, Template)>,
    /// How long before its end a token is renewed; at most half of its life.
    pub refresh_before: Duration,
    /// The header that the token goes into.
    pub header: String,
    /// What stands before the token there.
    pub prefix: String,
}

/// The client of an authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthClient {
    /// Its id.
    pub id: Template,
    /// Its secret; a public client has none.
    pub secret: Option<Template>,
    /// How it says who it is.
    pub auth: ClientAuth,
}

/// How a client says who it is (RFC 6749, 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `Authorization: Basic`.
    Basic,
    /// `client_id` and `client_secret` among the parameters.
    Body,
}

/// How the first token is had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A person signs in, in a browser (RFC 6749, 4.1, with PKCE of RFC 7636).
    AuthorizationCode(SignIn),
    /// The client itself (RFC 6749, 4.4).
    ClientCredentials,
    /// A person signs in on another device (RFC 8628).
    DeviceCode {
        /// Where a device code is had.
        device_url: Url,
        /// Further parameters of that.
        params: Vec<(String, Template)>,
    },
    /// A refresh token that was had elsewhere (RFC 6749, 6).
    RefreshToken(Template),
    /// A signed assertion (RFC 7523).
    JwtBearer(Assertion),
}

impl Grant {
    /// The word in rules.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AuthorizationCode(_) => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode { .. } => "device_code",
            Self::RefreshToken(_) => "refresh_token",
            Self::JwtBearer(_) => "jwt_bearer",
        }
    }

    /// A person signs in.
    pub const fn needs_login(&self) -> bool {
        matches!(self, Self::AuthorizationCode(_) | Self::DeviceCode { .. })
    }
}

/// A sign-in in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Where the person is sent.
    pub authorize_url: Url,
    /// Further parameters.
    pub params: Vec<(String, Template)>,
    /// The only server whose answer counts (RFC 9207).
    pub issuer: Option<String>,
    /// Where the person is sent back to; else a free port of 127.0.0.1.
    pub redirect_url: Option<Url>,
}

/// What an assertion says and how it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// `iss`.
    pub issuer: Template,
    /// `sub`.
    pub subject: Option<Template>,
    /// `aud`.
    pub audience: String,
    /// A private key in PEM, or a shared secret.
    pub key: Template,
    /// `kid`.
    pub key_id: Option<Template>,
    /// How it is signed.
    pub algorithm: JwtAlgorithm,
    /// How long it counts.
    pub lifetime: Duration,
}

/// A signature (RFC 7518).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// HMAC with SHA-256.
    Hs256,
}

impl JwtAlgorithm {
    /// The name in a JWT's header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Hs256 => "HS256",
        }
    }
}
