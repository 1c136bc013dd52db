//! Owns: a whole fake upstream: [`Sandbox::handle`] is a function of its state, the time and a request.
//!
//! Must not know: anything else of this crate. No clock, no randomness: the same calls give the same answers.
//!
//! A [`SandboxConfig`] says what the API is like, [`Sandbox::push_fault`] what goes wrong and when,
//! [`Sandbox::edit`] is somebody else who works there, [`Sandbox::requests`] and [`Sandbox::stats`] say what was
//! asked of it. [`serve()`] mounts it on loopback; a simulator calls [`Sandbox::handle`] and honours [`Deliver`] itself.

mod background;
mod batch;
mod call;
mod config;
mod edit;
mod fault;
mod fields;
mod gate;
mod handle;
mod json;
mod limit;
mod log;
mod paging;
mod read;
mod replay;
mod reply;
mod serve;
mod shelf;
mod styles;
#[cfg(test)]
mod tests;
mod wire;
mod write;

pub use config::{
    Account, Auth, Batch, Check, Child, Concurrency, Conditional, CursorEnd, Delete, Envelope, Filter, IdStyle,
    Idempotency, Normalise, Paging, Put, RateLimit, ResourceConfig, RetryAfter, SandboxConfig, Since, SinceBy,
    TimeFormat, UpdatedAt, VersionAt,
};
pub use fault::{Fault, FaultId, Matcher, Place, Times};
pub use gate::Gate;
pub use handle::Sandbox;
pub use log::{LoggedRequest, PathKind, Stats};
pub use reply::{Deliver, Outcome, Refusal};
pub use serve::{Now, Served, serve};
