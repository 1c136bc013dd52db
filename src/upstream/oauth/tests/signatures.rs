//! Owns: vectors of the documents that define the forms.
//!
//! Must not know: flows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use crate::rules::JwtAlgorithm;
use crate::upstream::oauth::assertion::sign;
use crate::upstream::oauth::signin::challenge;

/// RFC 7636, appendix B.
#[test]
fn a_challenge_is_that_of_the_rfc() {
    assert_eq!(
        challenge(&"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into()),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
}

/// RFC 7515, A.1.
#[test]
fn a_mac_is_that_of_the_rfc() {
    let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                  eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let mac = sign(JwtAlgorithm::Hs256, &URL_SAFE_NO_PAD.decode(key).unwrap(), signed.as_bytes()).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(mac), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

const RSA: &str = include_str!("rsa.pem");
const P256: &str = include_str!("p256.pem");

/// Deterministic: made with `openssl dgst -sha256 -sign rsa.pem`.
#[test]
fn an_rsa_signature_is_that_of_openssl() {
    let signature = sign(JwtAlgorithm::Rs256, RSA.as_bytes(), b"signed").unwrap();
    assert_eq!(base64::engine::general_purpose::STANDARD.encode(&signature), include_str!("rsa.sig").trim());
    let der = PrivatePkcs8KeyDer::from_pem_slice(RSA.as_bytes()).unwrap();
    let pair = ring::signature::RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref()).verify(b"signed", &signature).unwrap();
}

#[test]
fn a_p256_signature_is_verified_by_its_public_key() {
    let signature = sign(JwtAlgorithm::Es256, P256.as_bytes(), b"signed").unwrap();
    assert_eq!(signature.len(), 64, "R and S of 32 bytes each (RFC 7518, 3.4)");
    let der = PrivatePkcs8KeyDer::from_pem_slice(P256.as_bytes()).unwrap();
    let random = ring::rand::SystemRandom::new();
    let pair = ring::signature::EcdsaKeyPair::from_pkcs8(
        &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        der.secret_pkcs8_der(),
        &random,
    )
    .unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    public.verify(b"signed", &signature).unwrap();
    assert!(public.verify(b"other", &signature).is_err());
}

#[test]
fn what_is_no_key_is_told_without_quoting_it() {
    let check = |algorithm, key: &str, expected: &str| {
        let words = sign(algorithm, key.as_bytes(), b"x").unwrap_err();
        assert!(words.starts_with(expected), "{words}");
    };
    check(JwtAlgorithm::Rs256, "canary", "it is no private key in PEM that begins with `-----BEGIN PRIVATE KEY-----`");
    check(JwtAlgorithm::Rs256, P256, "it is no RSA key that may be used");
    check(JwtAlgorithm::Es256, RSA, "it is no P-256 key");
}
