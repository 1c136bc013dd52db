//! Owns: one side's say taken for many conflicts at once.
//!
//! Must not know: who asks; what passes do with it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::rules::Ruleset;
use crate::store::{ConflictFilter, ConflictRow, Store, read, write};

use super::error::OpsError;
use super::resolve::{Choice, resolution};

/// Conflicts that are decided at once, at most.
const BULK_MAX: usize = 10_000;
/// Reasons that are told.
const REASONS_MAX: usize = 20;

/// Which conflicts: all that are open.
#[derive(Clone, Debug, Default)]
pub struct Bulk {
    /// Only of this collection.
    pub collection: Option<String>,
    /// Only about this field, alone or with others.
    pub field: Option<String>,
    /// Only numbers up to this: what was opened since nobody has looked at.
    pub up_to: Option<i64>,
}

/// What was written down.
#[derive(Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct BulkDone {
    /// So many; the next pass applies them.
    pub decided: u64,
    /// For so many the choice made no sense.
    pub left: u64,
    /// The first reasons.
    pub reasons: Vec<String>,
    /// There are more; ask again.
    pub more: bool,
}

/// Takes this side's say (`local`, `base` or an upstream) for each of them.
pub async fn resolve_all(store: &dyn Store, rules: &Ruleset, bulk: Bulk, side: &str) -> Result<BulkDone, OpsError> {
    let filter = ConflictFilter {
        collection: bulk.collection,
        field: bulk.field,
        limit: BULK_MAX + 1,
        ..ConflictFilter::default()
    };
    let mut rows = read(store, move |view| view.conflicts(&filter)).await?;
    rows.retain(|row| bulk.up_to.is_none_or(|up_to| row.id <= up_to));
    let mut done = BulkDone { more: rows.len() > BULK_MAX, ..BulkDone::default() };
    rows.truncate(BULK_MAX);
    let choice = Choice { take: Some(side.to_owned()), ..Choice::default() };
    let mut decided: Vec<(ConflictRow, String)> = Vec::with_capacity(rows.len());
    for row in rows {
        let chosen = match rules.collections.get(&row.collection) {
            Some(collection) => resolution(collection, &row, &choice),
            None => Err(OpsError::Refused(format!("the rules no longer have the collection `{}`", row.collection))),
        };
        match chosen {
            Ok(resolution) => decided.push((row, resolution)),
            Err(why) => {
                done.left += 1;
                if done.reasons.len() < REASONS_MAX {
                    done.reasons.push(why.to_string());
                }
            }
        }
    }
    done.decided = write(store, move |tx| {
        let mut count = 0;
        for (row, resolution) in &decided {
            // A pass may have closed it, or have seen another say, since it was read.
            let filter = ConflictFilter { id: Some(row.id), ..ConflictFilter::default() };
            let is_as_it_was = tx.conflicts(&filter)?.first().is_some_and(|now| now.candidates == row.candidates);
            if is_as_it_was {
                tx.set_resolution(row.id, Some(resolution))?;
                count += 1;
            }
        }
        Ok(count)
    })
    .await?;
    Ok(done)
}
