//! Owns: sealing one value: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), bound to the place where it stands.
//!
//! Must not know: where values are kept.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretString};

use super::VaultError;
use super::key::MasterKey;

/// A nonce, in bytes: long enough to be drawn at random for every value.
const NONCE_BYTES: usize = 24;

/// Where a sealed value stands; it opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The row, as what identifies it.
    pub row: [&'a str; 2],
    /// The column.
    pub column: &'a str,
}

impl Place<'_> {
    /// Its parts with their lengths, so that no two places read alike, and the key's id.
    fn bound_to(&self, key: &MasterKey) -> Vec<u8> {
        let id = key.id();
        let mut bound = Vec::new();
        for part in [self.table, self.row[0], self.row[1], self.column, &id] {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part.as_bytes());
        }
        bound
    }
}

/// Nonce and ciphertext.
pub(super) fn seal(key: &MasterKey, place: Place<'_>, value: &SecretString) -> Result<Vec<u8>, VaultError> {
    let failed = |reason: String| VaultError::File { path: "random source".into(), reason };
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| failed(error.to_string()))?;
    let bound = place.bound_to(key);
    let payload = Payload { msg: value.expose_secret().as_bytes(), aad: &bound };
    let sealed = XChaCha20Poly1305::new(key.bytes().into())
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_it_has_no_words| failed("the value is too long".into()))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// The value; `None` where it was changed, moved, or sealed with another key.
pub(super) fn open(key: &MasterKey, place: Place<'_>, sealed: &[u8]) -> Option<SecretString> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let bound = place.bound_to(key);
    let payload = Payload { msg: sealed, aad: &bound };
    let value = XChaCha20Poly1305::new(key.bytes().into()).decrypt(&XNonce::from(*nonce), payload).ok()?;
    String::from_utf8(value).ok().map(SecretString::from)
}
