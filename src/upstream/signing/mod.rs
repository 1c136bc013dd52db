//! Owns: signatures over requests: made anew for each attempt, from the bytes that are sent.
//!
//! Must not know: what requests are for, who checks them.

mod aws;
mod hmac;
mod signer;

#[cfg(test)]
mod tests;

pub use signer::Signer;
