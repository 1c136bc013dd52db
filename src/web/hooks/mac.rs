//! Owns: HMAC-SHA256, compared in constant time; digests.
//!
//! Must not know: which bytes are signed, by which header a signature comes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::record::hex;

/// Whether `signature` is the HMAC-SHA256 of `content` under `key`; how long it takes tells nothing about where they differ.
pub fn is_signed(key: &[u8], content: &[&[u8]], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    for part in content {
        mac.update(part);
    }
    mac.verify_slice(signature).is_ok()
}

/// The SHA-256 of all parts, in hex.
pub fn digest(content: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in content {
        hash.update(part);
    }
    hex(&hash.finalize())
}
