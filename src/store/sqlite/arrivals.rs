//! Owns: the insertion of many new records at once: what an initial load spends its time on.
//!
//! Must not know: where they come from; whether they are new indeed (the tables refuse what is not).
//!
//! Statements are taken once per call instead of once per row, and match hashes go in sorted, so that the one random
//! index of an initial load is walked page by page.

use rusqlite::{ErrorCode, params};

use crate::rules::Collection;
use crate::store::{CollectionKey, DirtyOp, LinkId, NewRecord, StoreError};

use super::db::Db;
use super::fault::{Failure, Res};
use super::packed::Packed;
use super::{echoes, hints, links, rows};

pub(super) fn insert_new(
    db: &Db,
    collection: &Collection,
    key: CollectionKey,
    new: &[NewRecord<'_>],
) -> Res<Vec<Result<LinkId, String>>> {
    let text = db.texts.borrow_mut().of(collection);
    let mut row = db.conn.prepare_cached(&text.insert)?;
    let mut wide = db.conn.prepare_cached(links::INSERT_WIDE)?;
    let mut narrow = db.conn.prepare_cached(links::INSERT_NARROW)?;
    let mut outcomes = Vec::with_capacity(new.len());
    let mut hashes: Vec<(i32, Packed<'_>)> = Vec::with_capacity(new.len());
    for one in new {
        let record = one.link.record;
        let inserted =
            echoes::inserting(db, collection, record, one.values, || rows::insert_with(&mut row, record, one.values));
        if let Err(failure) = inserted {
            outcomes.push(Err(refusal(db, failure)?));
            continue;
        }
        let packed = Packed::of(record);
        let link = links::put_with(db, &mut wide, &mut narrow, &packed, &one.link)?;
        hashes.extend(hints::match_hashes(key, one.match_texts).map(|hash| (hash, packed)));
        if one.recheck {
            hints::mark_dirty(db, key, record, DirtyOp::Recheck)?;
        }
        outcomes.push(Ok(link));
    }
    hashes.sort_unstable_by_key(|(hash, _)| *hash);
    let mut insert = db.conn.prepare_cached(hints::INSERT_MATCH)?;
    for (hash, packed) in hashes {
        insert.execute(params![key.0, hash, packed])?;
    }
    Ok(outcomes)
}

/// The table's own words, where it is the table that refuses.
fn refusal(db: &Db, failure: Failure) -> Res<String> {
    let refused =
        matches!(&failure, Failure::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation));
    if !refused {
        return Err(failure);
    }
    match db.place.explain(failure) {
        StoreError::Constraint { table, reason } => Ok(format!("{table}: {reason}")),
        other => Err(other.into()),
    }
}
