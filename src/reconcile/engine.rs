//! Owns: one workspace at work: a store, a rule set, the clients; and the order of a pass.
//!
//! Must not know: what happens inside each phase.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Clock;
use crate::rules::Ruleset;
use crate::store::{Store, StoreError};
use crate::upstream::Failure;

use super::{PassReport, Progress};

/// How a pass is to be done.
#[derive(Clone, Debug)]
pub struct PassOptions {
    /// Why: `once`, `schedule`, `demo`, …
    pub trigger: String,
    /// Read a complete generation even where an incremental read would do.
    pub full: bool,
    /// Decide, but commit and send nothing that lasts: the engine works on a copy of the store.
    pub dry_run: bool,
    /// List every change in the report, not only the first [`PassReport::CHANGES_MAX`].
    pub all_changes: bool,
}

/// Why there is no report at all.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such collection in the rules.
    #[error("no collection named {0} in the rules")]
    UnknownCollection(String),
    /// A client could not be made (a secret is missing, a certificate store cannot be read).
    #[error("upstream {upstream}: {failure}")]
    Client {
        /// The upstream.
        upstream: String,
        /// Why.
        failure: Failure,
    },
}

/// A workspace at work.
pub struct Engine {
    _store: Arc<dyn Store>,
}

impl Engine {
    /// Makes the clients and prepares the tables. `notices` tell what was done to the tables.
    pub async fn open(
        store: Arc<dyn Store>,
        rules: Arc<Ruleset>,
        clients: BTreeMap<String, Arc<crate::upstream::Client>>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Vec<String>), PassError> {
        let _ = (rules, clients, clock);
        Ok((Self { _store: store }, Vec::new()))
    }

    /// One pass of one collection. Failures of upstreams and records are in the report; only a failing store is an error.
    pub async fn pass(
        &self,
        collection: &str,
        options: &PassOptions,
        progress: &dyn Progress,
    ) -> Result<PassReport, PassError> {
        let _ = (collection, options, progress);
        todo!()
    }

    /// Asks every upstream's `check`: name → account identity or failure.
    pub async fn check_online(&self) -> Vec<(String, Result<Option<String>, Failure>)> {
        todo!()
    }
}
