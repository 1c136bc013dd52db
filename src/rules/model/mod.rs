//! Owns: the checked rules as plain data: what every later phase may rely on without asking again.
//!
//! Must not know: TOML, spans, files (that is `shape`, `grammar` and `check`).

mod binding;
mod collection;
mod job;
mod limits;
mod oauth;
mod paging;
mod reading;
mod ruleset;
mod session;
mod signing;
mod transition;
mod upstream;
mod watch;
mod webhook;

pub use binding::*;
pub use collection::*;
pub use job::*;
pub use limits::*;
pub use oauth::*;
pub use paging::*;
pub use reading::*;
pub use ruleset::*;
pub use session::*;
pub use signing::*;
pub use transition::*;
pub use upstream::*;
pub use watch::*;
pub use webhook::*;
