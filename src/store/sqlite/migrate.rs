//! Owns: bringing the `sync_` tables from any older schema to this program's.
//!
//! Must not know: plain tables (that is `shape`).

use std::path::Path;

use rusqlite::Connection;

use crate::store::StoreError;

use super::fault::{Failure, Place, Res};
use super::file;
use super::lock::beside;

/// All schemas in order; the number of the last is this program's.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_identity.sql"),
    include_str!("migrations/0003_turns.sql"),
    include_str!("migrations/0004_epoch.sql"),
    include_str!("migrations/0005_intents.sql"),
    include_str!("migrations/0006_hooks.sql"),
    include_str!("migrations/0007_usage.sql"),
    include_str!("migrations/0008_health.sql"),
    include_str!("migrations/0009_hook_record.sql"),
    include_str!("migrations/0010_passes.sql"),
    include_str!("migrations/0011_parents.sql"),
    include_str!("migrations/0012_jobs.sql"),
];

/// `recd`, so that `file` and other programs can tell whose database it is.
const APPLICATION_ID: i32 = 0x7265_6364;

/// Refuses what is newer or belongs to another application; brings the rest to the last of `migrations`, each in one
/// transaction, after a copy to `<database>.before-<n>` (n is the schema it is brought to).
pub(super) fn migrate(
    conn: &mut Connection,
    place: &Place,
    path: Option<&Path>,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let (found, known) = read(conn, migrations.len()).map_err(|failure| placed(failure, place))?;
    if found == known {
        return Ok(());
    }
    if let Some(path) = path.filter(|_| found > 0) {
        let backup = beside(path, &format!(".before-{known}"));
        // A copy from an earlier attempt shows the same schema, and data of that time: it is not overwritten.
        if !backup.exists() {
            file::copy(conn, place, &backup)?;
        }
    }
    for (at, sql) in migrations.iter().enumerate() {
        let number = i64::try_from(at).unwrap_or(i64::MAX).saturating_add(1);
        if number > found {
            apply(conn, number, sql).map_err(|failure| place.explain(failure))?;
        }
    }
    Ok(())
}

/// For looking only: the schema must be this program's already.
pub(super) fn require(conn: &Connection, place: &Place) -> Result<(), StoreError> {
    let (found, known) = read(conn, MIGRATIONS.len()).map_err(|failure| placed(failure, place))?;
    if found == known {
        return Ok(());
    }
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| place.explain(error.into()))?;
    let reason = match (found, tables) {
        (0, 0) => "it is empty: `reconciled run --once` fills it".to_owned(),
        (0, _) => "it is another program's, and reconciled has never worked on it: give the right --db; on this one \
                   `reconciled run --once` would add tables of its own"
            .to_owned(),
        _ => format!("it has schema {found} and {known} is needed: `reconciled run --once` brings it up to date"),
    };
    Err(StoreError::Sqlite { path: place.path.clone(), reason })
}

fn placed(failure: Failure, place: &Place) -> StoreError {
    match place.explain(failure) {
        StoreError::Newer { found, known, .. } => StoreError::Newer { path: place.path.clone(), found, known },
        StoreError::Sqlite { reason, .. } => StoreError::Sqlite { path: place.path.clone(), reason },
        other => other,
    }
}

/// Refuses a database that belongs to another application. Asked before anything about the file is changed.
pub(super) fn refuse_foreign(conn: &Connection, path: &str) -> Res<()> {
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application == APPLICATION_ID || (application == 0 && found == 0) {
        return Ok(());
    }
    let reason = format!(
        "it belongs to another application (application_id {application:#010x}, user_version {found}): \
         give reconciled a database of its own"
    );
    Err(Failure::Store(StoreError::Sqlite { path: path.to_owned(), reason }))
}

fn read(conn: &Connection, known: usize) -> Res<(i64, i64)> {
    let known = i64::try_from(known).unwrap_or(i64::MAX);
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(Failure::Store(StoreError::Newer { path: String::new(), found, known }));
    }
    Ok((found, known))
}

fn apply(conn: &mut Connection, number: i64, sql: &str) -> Res<()> {
    let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", number)?;
    transaction.commit()?;
    Ok(())
}
