//! Owns: what the daemon serves over HTTP: the control socket of its own command line, and an address that webhooks come to.
//!
//! Must not know: what passes do; how the command line shows it.

mod control;
pub mod hooks;
mod socket;
mod wire;

pub use control::{Front, router};
pub use socket::{listen, serve};
pub use wire::{Line, Refusal, SyncRequest, VERSION_PATH};
