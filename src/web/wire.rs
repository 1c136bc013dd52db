//! Owns: what goes over the control socket, on both sides of it.
//!
//! Must not know: who serves it, who asks.
//!
//! Version 1: `GET /v1/standing`, `GET /v1/status` (answered by [`Known`](crate::ops::Known)), `POST /v1/sync` (answered by one [`Line`] of JSON after the other), `POST /v1/pause/NAME`,
//! `POST /v1/resume/NAME`, `POST /v1/approve` (answered by [`Approved`](crate::ops::Approved)), `POST /v1/resolve` (answered by
//! [`Resolved`](crate::ops::Resolved)). What is refused answers 4xx with a [`Refusal`].

use serde::{Deserialize, Serialize};

use crate::ops::Choice;
use crate::reconcile::PassReport;

/// What every path begins with; another version of what goes over the socket has another one.
pub const VERSION_PATH: &str = "/v1";

/// Asks for passes now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// Of these collections; of all where none is named.
    #[serde(default)]
    pub collections: Vec<String>,
    /// Complete generations are read.
    #[serde(default)]
    pub full: bool,
}

/// Approves a halt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// The halt's number.
    pub halt: i64,
    /// Where an upstream was set back: the side that counts.
    #[serde(default)]
    pub wins: Option<String>,
}

/// Decides a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// The conflict's number.
    pub conflict: i64,
    /// What a person says.
    pub choice: Choice,
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Passes of these are made.
    Accepted(Vec<String>),
    /// A pass is at something else.
    Step {
        /// Of this collection.
        collection: String,
        /// For people.
        text: String,
    },
    /// A pass ended.
    Report(Box<PassReport>),
    /// A pass ended without a report.
    Failed {
        /// Of this collection.
        collection: String,
        /// Why.
        error: String,
    },
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For people, with the remedy.
    pub error: String,
}
