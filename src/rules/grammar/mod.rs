//! Owns: the shape of a rules file: every key with its type and meaning. The reader and the JSON Schema both come from here.
//!
//! Must not know: what keys mean together (that is `check`).

mod auth;
mod binding;
mod body;
mod collection;
mod examples;
mod homes;
mod job;
mod limits;
mod oauth;
mod reading;
mod root;
mod transition;
mod upstream;
mod watch;
mod webhook;
mod words;
mod write;

pub use auth::*;
pub use binding::*;
pub use body::{BodyShape, RawBody};
pub use collection::*;
pub use examples::example;
pub use homes::home_of;
pub use job::*;
pub use limits::*;
pub use oauth::*;
pub use reading::*;
pub use root::*;
pub use transition::*;
pub use upstream::*;
pub use watch::*;
pub use webhook::*;
pub use words::*;
pub use write::*;
