//! Owns: assertions of service accounts: claims, and their signature (RFC 7523, RFC 7515).
//!
//! Must not know: who reads them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::SecretString;
use serde_json::{Map, Value as Tree, json};
use sha2::Sha256;

use super::server::Server;
use crate::rules::{Assertion, JwtAlgorithm};
use crate::upstream::{Failure, FailureKind};

/// A signed assertion that counts from `now` on. `id` makes it one of its kind (`jti`).
pub(super) fn assertion(
    server: &Server,
    rules: &Assertion,
    id: &str,
    now: DateTime<Utc>,
) -> Result<SecretString, Failure> {
    let mut header = Map::new();
    header.insert("alg".into(), rules.algorithm.name().into());
    header.insert("typ".into(), "JWT".into());
    if let Some(key_id) = &rules.key_id {
        header.insert("kid".into(), server.fill(key_id)?.into());
    }
    let lifetime = TimeDelta::from_std(rules.lifetime).unwrap_or_else(|_| TimeDelta::minutes(5));
    let mut claims = Map::new();
    claims.insert("iss".into(), server.fill(&rules.issuer)?.into());
    if let Some(subject) = &rules.subject {
        claims.insert("sub".into(), server.fill(subject)?.into());
    }
    claims.insert("aud".into(), rules.audience.clone().into());
    claims.insert("iat".into(), json!(now.timestamp()));
    claims.insert("exp".into(), json!((now + lifetime).timestamp()));
    claims.insert("jti".into(), id.into());
    if let Some(scope) = server.scope() {
        claims.insert("scope".into(), scope.into());
    }
    let part = |map: Map<String, Tree>| URL_SAFE_NO_PAD.encode(Tree::Object(map).to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = sign(rules.algorithm, server.fill(&rules.key)?.as_bytes(), signed.as_bytes())
        .map_err(|what| Failure::new(FailureKind::Fatal, format!("the `key` of {}: {what}", server.upstream.name)))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
}

/// The signature; the error never quotes the key.
pub(super) fn sign(algorithm: JwtAlgorithm, key: &[u8], signed: &[u8]) -> Result<Vec<u8>, String> {
    let random = SystemRandom::new();
    let pkcs8 = || {
        PrivatePkcs8KeyDer::from_pem_slice(key).map_err(|_whose_words_might_quote_it| {
            "it is no private key in PEM that begins with `-----BEGIN PRIVATE KEY-----` (PKCS #8); \
             `openssl pkcs8 -topk8 -nocrypt -in KEY` makes one of an older form"
                .to_owned()
        })
    };
    match algorithm {
        JwtAlgorithm::Hs256 => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_no_words| "it cannot be used".to_owned())?;
            mac.update(signed);
            Ok(mac.finalize().into_bytes().to_vec())
        }
        JwtAlgorithm::Rs256 => {
            let key = pkcs8()?;
            let pair = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der())
                .map_err(|error| format!("it is no RSA key that may be used ({error})"))?;
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
                .map_err(|_no_words| "signing failed".to_owned())?;
            Ok(signature)
        }
        JwtAlgorithm::Es256 => {
            let key = pkcs8()?;
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der(), &random)
                .map_err(|error| format!("it is no P-256 key ({error})"))?;
            let signature = pair.sign(&random, signed).map_err(|_no_words| "signing failed".to_owned())?;
            Ok(signature.as_ref().to_vec())
        }
    }
}
