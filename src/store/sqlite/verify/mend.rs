//! Owns: mending what can be mended without a guess, in one transaction, after a backup beside the database.
//!
//! Must not know: what is wrong (that is `look`).

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::rules::Ruleset;
use crate::store::{Micros, StoreError};

use super::super::backup::{back_up, placed};
use super::super::connect::{Role, connect, first_complaint_in_full};
use super::super::db::Db;
use super::super::fault::{Place, Res};
use super::super::file::free_name;
use super::super::lock::Lock;
use super::super::migrate::require;
use super::super::shape::prepare;
use super::checks::CHECKS;
use super::look::{Flaw, Mending, look};

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The database as it was before.
    pub backup: PathBuf,
    /// What was mended.
    pub mended: Vec<Flaw>,
    /// What is still wrong.
    pub left: Vec<Flaw>,
}

/// Mends what can be. Nobody else may work on the database; what is mended is what is found now. Nothing is copied or changed where
/// there is nothing to mend.
pub fn repair(
    path: &Path,
    rules: &Ruleset,
    now: Micros,
    busy_ms: u64,
) -> Result<Result<Repaired, Vec<Flaw>>, StoreError> {
    let place = placed(path, busy_ms);
    if !path.exists() {
        return Err(StoreError::Missing { path: place.path });
    }
    let _lock = Lock::acquire(path, now)?;
    let conn = open(path, &place)?;
    let db = Db::new(conn, place);
    let found = db.reading(look(&db, rules))?;
    if found.iter().all(|flaw| flaw.mending == Mending::ByHand) {
        return Ok(Err(found));
    }
    let backup = free_name(path, "before-repair", now)?;
    back_up(path, &backup, false, busy_ms)?;
    db.reading(db.begin_write())?;
    let mended = db.reading(mend(&db, rules, &found)).and_then(|left| db.reading(db.commit_write()).map(|()| left));
    if mended.is_err() {
        let _best_effort = db.conn.execute_batch("ROLLBACK");
    }
    let left = mended?;
    let is_left = |flaw: &Flaw| left.iter().any(|other| other.check == flaw.check);
    let mended = found.into_iter().filter(|flaw| flaw.mending != Mending::ByHand && !is_left(flaw)).collect();
    Ok(Ok(Repaired { backup, mended, left }))
}

fn open(path: &Path, place: &Place) -> Result<Connection, StoreError> {
    let conn = connect(path, Role::Writer, place)?;
    require(&conn, place)?;
    match first_complaint_in_full(&conn).map_err(|failure| place.explain(failure))? {
        Some(reason) => Err(StoreError::Corrupt { path: place.path.clone(), reason }),
        None => Ok(conn),
    }
}

/// Returns what is wrong after it.
fn mend(db: &Db, rules: &Ruleset, found: &[Flaw]) -> Res<Vec<Flaw>> {
    let is_found = |name: &str| found.iter().any(|flaw| flaw.check == name);
    // One may bring another to light, which comes later in their order: a remote id that led astray leaves its link without one.
    let mut is_begun = false;
    for check in CHECKS.iter().filter(|check| !check.mends.is_empty()) {
        is_begun |= is_found(check.name);
        if is_begun {
            check.mends.iter().try_for_each(|sql| db.exec(sql, []).map(drop))?;
        }
    }
    if found.iter().any(|flaw| flaw.mending == Mending::Triggers) {
        prepare(db, rules)?;
    }
    look(db, rules)
}
