//! Owns: the hashes that name rule sets and mappings.
//!
//! Must not know: what is hashed.

use sha2::{Digest, Sha256};

use crate::record::hex;
use crate::rules::diagnostic::Source;

/// SHA-256 over all texts, in the order of their paths, each with its length.
pub fn hash_sources(sources: &[Source]) -> String {
    let mut sorted: Vec<&Source> = sources.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut hasher = Sha256::new();
    for source in sorted {
        hasher.update((source.text.len() as u64).to_be_bytes());
        hasher.update(source.text.as_bytes());
    }
    hex(&hasher.finalize())
}

/// SHA-256 of a text, hex.
pub fn hash_text(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
