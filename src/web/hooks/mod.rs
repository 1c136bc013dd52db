//! Owns: webhooks in: `/webhooks/UPSTREAM` on an address of its own, from the bytes that come to a row in the inbox.
//!
//! Must not know: when passes are made, what they do.

mod arrivals;
mod mac;
mod meaning;
mod secrets;
mod serve;
mod verify;

#[cfg(test)]
mod tests;

pub use arrivals::Arrivals;
pub use serve::{HookFront, LookUp, router};
