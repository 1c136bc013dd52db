//! Owns: what goes over the control socket, on both sides of it.
//!
//! Must not know: who serves it, who asks.
//!
//! Version 1: `GET /v1/standing`, `GET /v1/status` (answered by [`Known`](crate::ops::Known)), `POST /v1/sync` and `POST /v1/plan` (answered by one [`Line`] of JSON after the other,
//! and an empty line every few seconds while there is nothing to say), `POST /v1/pause/NAME`,
//! `POST /v1/resume/NAME`, `POST /v1/approve` (answered by [`Approved`](crate::ops::Approved)), `POST /v1/reject`
//! (answered by [`Rejected`]), `POST /v1/resolve` (answered by [`Resolved`](crate::ops::Resolved)). What is refused answers 4xx with a [`Refusal`].

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ops::Choice;
use crate::reconcile::PassReport;

/// What every path begins with; another version of what goes over the socket has another one.
pub const VERSION_PATH: &str = "/v1";

/// Asks for passes now.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// Of these collections; of all where none is named.
    #[serde(default)]
    pub collections: Vec<String>,
    /// Complete generations are read.
    #[serde(default)]
    pub full: bool,
}

/// Asks for a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Of these collections; of all where none is named.
    #[serde(default)]
    pub collections: Vec<String>,
    /// Complete generations are read.
    #[serde(default)]
    pub full: bool,
    /// Every change is listed.
    #[serde(default)]
    pub all: bool,
    /// It is to be by the rules of this folder, and by no other; a daemon that goes by others answers 412.
    #[serde(default)]
    pub rules_dir: Option<PathBuf>,
}

/// Rejects a halt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectRequest {
    /// The halt's number.
    pub halt: i64,
}

/// A halt that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its collection, which rests now.
    pub collection: String,
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
    /// Something that people should know.
    Note(String),
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
