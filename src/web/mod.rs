//! Owns: what the daemon serves over HTTP: the control socket of its own command line; for everybody else, by token, pages,
//! an API and metrics; an address that webhooks come to.
//!
//! Must not know: what passes do; how the command line shows it.

mod access;
mod api;
mod asked;
mod control;
mod counts;
mod exposition;
mod families;
mod guard;
mod health;
pub mod hooks;
mod inspect;
mod listener;
mod live;
mod login;
mod look;
mod metrics;
mod openapi;
mod pages;
mod patient;
mod peer;
mod plans;
mod proxy;
mod question;
mod reach;
mod scrape;
mod seldom;
mod signin;
mod site;
mod socket;
mod watched;
mod wire;
mod wires;

#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use control::{Front, router};
pub use listener::{Place, accept, open as open_listener};
pub use plans::{Copied, Planner, whole_path};
pub use proxy::Proxies;
pub use reach::Reach;
pub use signin::ClientOf;
pub use site::{Found, Reached, TOKEN_NAME, open};
pub use socket::{open as open_socket, serve};
pub use wire::{
    ApplyRequest, ApproveRequest, Gathered, LINE_BYTES_MAX, Line, PlanRequest, Refusal, RejectRequest, Rejected,
    ResolveRequest, SyncRequest, VERSION_PATH,
};
