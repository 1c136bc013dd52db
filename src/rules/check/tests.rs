//! Owns: the proof of what the checker accepts and refuses.
//!
//! Must not know: how it gets there.
