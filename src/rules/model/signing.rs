//! Owns: the checked form of credentials that sign each request.
//!
//! Must not know: requests.

use super::{Place, Template};
use crate::record::TimeFormat;

/// A signature by a shared key. Secrets are named, never held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacSigning {
    /// The key.
    pub key: Template,
    /// How the key is written.
    pub key_encoding: KeyEncoding,
    /// The hash.
    pub algorithm: HashAlgorithm,
    /// What is signed.
    pub sign: Template,
    /// How the signature is written.
    pub encoding: SignatureEncoding,
    /// Where the signature goes.
    pub into: Place,
    /// What is sent there.
    pub value: Template,
    /// How the time is written.
    pub timestamp: TimeFormat,
    /// Headers that go with it.
    pub headers: Vec<(String, Template)>,
    /// Query parameters that go with it.
    pub query: Vec<(String, Template)>,
}

impl HmacSigning {
    /// What may be filled into what is signed, and into what goes with it.
    pub const HOLES: &[&str] = &[
        "method",
        "path",
        "query",
        "target",
        "url",
        "host",
        "timestamp",
        "nonce",
        "body",
        "body_sha256",
        "body_sha256_base64",
        "body_sha512",
        "body_sha512_base64",
    ];

    /// All texts that may name secrets.
    pub fn templates(&self) -> Vec<&Template> {
        let named = self.headers.iter().chain(&self.query).map(|(_, template)| template);
        [&self.key, &self.sign, &self.value].into_iter().chain(named).collect()
    }
}

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEncoding {
    /// As it is.
    Text,
    /// Two digits a byte.
    Hex,
    /// RFC 4648, 4.
    Base64,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// Two digits a byte; ours in lower case.
    Hex,
    /// RFC 4648, 4.
    Base64,
}

/// A hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-1: good enough in an HMAC, and some upstreams know no other.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// Signature Version 4 of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsSigning {
    /// The region.
    pub region: String,
    /// The service.
    pub service: String,
    /// The id of the access key.
    pub access_key_id: Template,
    /// The access key.
    pub secret_access_key: Template,
    /// The token of temporary credentials.
    pub session_token: Option<Template>,
    /// Whether bodies are signed.
    pub payload: Payload,
}

impl AwsSigning {
    /// All texts that may name secrets.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        [&self.access_key_id, &self.secret_access_key].into_iter().chain(&self.session_token)
    }
}

/// Whether bodies are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// They are.
    Signed,
    /// TLS alone protects them.
    Unsigned,
}
