//! Owns: what the daemon serves over HTTP: the control socket of its own command line.
//!
//! Must not know: what passes do; how the command line shows it.

mod control;
mod socket;
mod wire;

pub use control::{Front, router};
pub use socket::{listen, serve};
pub use wire::{Line, Refusal, SyncRequest, VERSION_PATH};
