//! Owns: the store in a simulation: the real one, a step at a time, with a crash before or after any of its transactions.
//!
//! Must not know: what jobs do.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::store::{ReadJob, SqliteStore, Store, StoreError, WriteJob};

use super::steps::{Steps, wait};

/// The real store, in step.
pub struct SimStore {
    store: Arc<SqliteStore>,
    steps: Arc<Steps>,
}

impl SimStore {
    /// Wraps a store.
    pub fn new(store: Arc<SqliteStore>, steps: Arc<Steps>) -> Self {
        Self { store, steps }
    }

    async fn at_once(&self, work: impl Future<Output = Result<(), StoreError>> + Send) -> Result<(), StoreError> {
        self.steps.may_die().await;
        let outcome = wait(work);
        // It is committed, and nobody lives to hear of it.
        self.steps.may_die().await;
        outcome
    }
}

impl Store for SimStore {
    fn read_job(&self, job: ReadJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.at_once(self.store.read_job(job)))
    }

    fn write_job(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.at_once(self.store.write_job(job)))
    }

    fn write_small(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.at_once(self.store.write_small(job)))
    }

    fn write_relaxed(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.at_once(self.store.write_relaxed(job)))
    }

    fn copy_to<'a>(&'a self, target: &'a Path) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.at_once(self.store.copy_to(target)))
    }
}
