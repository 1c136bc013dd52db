//! Owns: from the text of all files to diagnostics, or to a checked [`super::Ruleset`].
//!
//! Must not know: files on disk, the environment.

mod batch;
mod binding;
mod cap;
mod chain;
mod codec;
mod collection;
mod context;
mod deleted;
mod export;
mod feed;
mod field;
mod files;
mod format;
mod hash;
mod inert;
mod job;
mod limits;
mod local_delete;
mod map;
mod more;
mod names;
mod oauth;
mod owner;
mod parent;
mod passes;
mod read;
mod request;
mod session;
mod signing;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod transition;
mod upstream;
mod watch;
mod webhook;
mod write;

pub use context::Context;
pub use passes::check;
