//! Owns: why an operation was not done.
//!
//! Must not know: exit codes, HTTP.

use crate::store::StoreError;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// There is nothing of that name or number.
    #[error("{0}")]
    NotFound(String),
    /// It makes no sense, with the remedy.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
