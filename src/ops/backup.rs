//! Owns: backups of the database and their return, as they are told.
//!
//! Must not know: how a database is copied; what has to be kept beside it.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::store::{self, Contents, Micros, StoreError};

use super::text::rfc3339;

/// What a backup holds.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Holding {
    /// Its size.
    pub bytes: u64,
    /// Its schema.
    pub schema: i64,
    /// Which database it is of; absent where that was not kept yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// How many durable commits that one had seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    /// When its latest pass began, RFC 3339; null where there was none.
    pub last_pass_at: Option<String>,
    /// Rows by collection.
    pub collections: Vec<CollectionHeld>,
    /// All of them.
    pub records: u64,
    /// Ties to records of upstreams.
    pub links: u64,
    /// Writes that are not settled.
    pub pending_writes: u64,
    /// Conflicts that wait for a person.
    pub conflicts_open: u64,
}

/// A collection in a backup.
#[derive(Debug, JsonSchema, Serialize)]
pub struct CollectionHeld {
    /// Its name.
    pub collection: String,
    /// Its rows.
    pub records: u64,
}

/// A backup that was put back.
#[derive(Debug, JsonSchema, Serialize)]
pub struct PutBack {
    /// Where the database is now that was there; null where none was.
    pub kept_as: Option<String>,
    /// What the database holds now.
    #[serde(flatten)]
    pub holds: Holding,
}

impl From<Contents> for Holding {
    fn from(held: Contents) -> Self {
        let (epoch, sequence) = held.epoch.unzip();
        Self {
            bytes: held.bytes,
            schema: held.schema,
            epoch,
            sequence,
            last_pass_at: held.last_pass.and_then(rfc3339),
            records: held.collections.iter().map(|(_name, rows)| rows).sum(),
            collections: held
                .collections
                .into_iter()
                .map(|(collection, records)| CollectionHeld { collection, records })
                .collect(),
            links: held.links,
            pending_writes: held.pending_writes,
            conflicts_open: held.conflicts_open,
        }
    }
}

/// Backs the database up, whoever works on it. Blocks until the copy is checked.
pub fn back_up(database: &Path, file: &Path, replace: bool, busy_ms: u64) -> Result<Holding, StoreError> {
    store::back_up(database, file, replace, busy_ms).map(Holding::from)
}

/// Puts a backup in the place of the database, on which nobody may work. Blocks.
pub fn put_back(database: &Path, file: &Path, now: Micros, busy_ms: u64) -> Result<PutBack, StoreError> {
    let done = store::restore(database, file, now, busy_ms)?;
    let kept_as = done.kept_as.map(|path| path.display().to_string());
    Ok(PutBack { kept_as, holds: done.contents.into() })
}
