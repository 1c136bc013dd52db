//! Owns: HMAC-SHA256, compared in constant time; hex.
//!
//! Must not know: which bytes are signed, by which header a signature comes.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

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
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        write!(text, "{byte:02x}").ok();
    }
    text
}

/// Bytes written as two digits each, in either case.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    bytes.chunks_exact(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?)).collect()
}
