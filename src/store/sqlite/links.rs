//! Owns: links: the wide row with the base, and the narrow row by remote id that an unchanged record is told by.
//!
//! Must not know: how a base is read or compared.

use rusqlite::{CachedStatement, Row, params};

use crate::merge::LinkState;
use crate::record::RecordId;
use crate::store::{BindingKey, Known, LinkId, LinkRow, LinkUpdate, Made, MappingKey, Micros, NewLink};

use super::db::Db;
use super::fault::{Failure, Res};
use super::packed::{Packed, Unpacked};
use super::rows::bound;

const COLUMNS: &str = "l.link, l.binding, l.remote_id, l.record, l.state, l.version, l.mapping, r.fingerprint, l.raw, \
     l.base_hub, l.base_remote, l.updated_at, l.observed_at, l.made_pass, l.made_source_time, l.made_observed_at";
const JOINED: &str = "sync_link l JOIN sync_remote r ON r.binding = l.binding AND r.remote_id = l.remote_id";

pub(super) fn known(db: &Db, binding: BindingKey, remote_ids: &[&str]) -> Res<Vec<Option<Known>>> {
    let mut statement = db
        .conn
        .prepare_cached("SELECT link, fingerprint, state FROM sync_remote WHERE binding = ?1 AND remote_id = ?2")?;
    statement.raw_bind_parameter(1, binding.0)?;
    let mut found = Vec::with_capacity(remote_ids.len());
    for remote_id in remote_ids {
        statement.raw_bind_parameter(2, *remote_id)?;
        let mut rows = statement.raw_query();
        found.push(match rows.next()? {
            Some(row) => Some(Known {
                link: LinkId(row.get(0)?),
                fingerprint: row.get::<_, i64>(1)?.cast_unsigned(),
                state: state(row, 2)?,
            }),
            None => None,
        });
    }
    Ok(found)
}

pub(super) fn link(db: &Db, link: LinkId) -> Res<Option<LinkRow>> {
    db.one(&format!("SELECT {COLUMNS} FROM {JOINED} WHERE l.link = ?1"), params![link.0], link_row)
}

pub(super) fn links_of(db: &Db, record: &RecordId) -> Res<Vec<LinkRow>> {
    let sql = format!("SELECT {COLUMNS} FROM {JOINED} WHERE l.record = ?1 ORDER BY l.binding");
    db.all(&sql, params![Packed::of(record)], link_row)
}

pub(super) fn link_count(db: &Db, binding: BindingKey, state: LinkState) -> Res<u64> {
    let sql = "SELECT count(*) FROM sync_remote WHERE binding = ?1 AND state = ?2";
    db.count(sql, params![binding.0, state_number(state)])
}

/// One look at all of them, where [`link_count`] takes one for each state.
pub(super) fn link_counts(db: &Db, binding: BindingKey, most: u64) -> Res<Vec<(LinkState, u64)>> {
    let sql = "SELECT state, count(*) FROM (SELECT state FROM sync_remote WHERE binding = ?1 LIMIT ?2) GROUP BY state";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    db.all(sql, params![binding.0, most], |row| Ok((state(row, 0)?, row.get::<_, i64>(1)?.unsigned_abs())))
}

pub(super) fn links_up_to(db: &Db, binding: BindingKey, state: LinkState, most: u64) -> Res<u64> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM sync_remote WHERE binding = ?1 AND state = ?2 LIMIT ?3)";
    db.count(sql, params![binding.0, state_number(state), i64::try_from(most).unwrap_or(i64::MAX)])
}

pub(super) fn live_links(db: &Db, binding: BindingKey, after: &str, limit: usize) -> Res<Vec<(String, LinkId)>> {
    db.all(
        "SELECT remote_id, link FROM sync_remote WHERE binding = ?1 AND remote_id > ?2 AND state = 0 \
         ORDER BY remote_id LIMIT ?3",
        params![binding.0, after, bound(limit)],
        |row| Ok((row.get(0)?, LinkId(row.get(1)?))),
    )
}

pub(super) fn made_in(db: &Db, pass: i64, after: LinkId, limit: usize) -> Res<Vec<(LinkId, RecordId)>> {
    db.all(
        "SELECT link, record FROM sync_link WHERE made_pass = ?1 AND link > ?2 ORDER BY link LIMIT ?3",
        params![pass, after.0, bound(limit)],
        |row| Ok((LinkId(row.get(0)?), row.get::<_, Unpacked>(1)?.0)),
    )
}

/// One short range per other mapping: `mapping <> ?` over the whole binding would read every link in every quiet pass.
pub(super) fn links_not_under(
    db: &Db,
    binding: BindingKey,
    mapping: MappingKey,
    after: i64,
    limit: usize,
) -> Res<Vec<LinkRow>> {
    let others: Vec<i64> =
        db.all("SELECT mapping FROM sync_mapping WHERE mapping <> ?1 ORDER BY mapping", params![mapping.0], |row| {
            row.get(0)
        })?;
    let mut links: Vec<i64> = Vec::new();
    for other in others {
        links.extend(db.all(
            "SELECT link FROM sync_link WHERE binding = ?1 AND mapping = ?2 AND state IN (0, 3, 4) AND link > ?3 \
             ORDER BY link LIMIT ?4",
            params![binding.0, other, after, bound(limit)],
            |row| row.get::<_, i64>(0),
        )?);
    }
    links.sort_unstable();
    links.truncate(limit);
    links.into_iter().filter_map(|number| link(db, LinkId(number)).transpose()).collect()
}

pub(super) const INSERT_WIDE: &str = "INSERT INTO sync_link (binding, record, remote_id, state, version, mapping, \
     updated_at, observed_at, made_pass, made_source_time, made_observed_at, base_hub, base_remote, raw) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
pub(super) const INSERT_NARROW: &str =
    "INSERT INTO sync_remote (binding, remote_id, link, fingerprint, state) VALUES (?1, ?2, ?3, ?4, ?5)";

pub(super) fn put_link(db: &Db, new: &NewLink<'_>) -> Res<LinkId> {
    let mut wide = db.conn.prepare_cached(INSERT_WIDE)?;
    let mut narrow = db.conn.prepare_cached(INSERT_NARROW)?;
    put_with(db, &mut wide, &mut narrow, &Packed::of(new.record), new)
}

/// Makes a link by prepared [`INSERT_WIDE`] and [`INSERT_NARROW`].
pub(super) fn put_with(
    db: &Db,
    wide: &mut CachedStatement<'_>,
    narrow: &mut CachedStatement<'_>,
    record: &Packed<'_>,
    new: &NewLink<'_>,
) -> Res<LinkId> {
    let state = &new.state;
    let number = state_number(state.state);
    wide.execute(params![
        new.binding.0,
        record,
        new.remote_id,
        number,
        state.version,
        state.mapping.0,
        state.updated_at,
        state.observed_at,
        new.made.map(|made| made.pass),
        new.made.and_then(|made| made.source_time),
        new.made.map(|made| made.observed_at),
        state.base_hub,
        state.base_remote,
        state.raw,
    ])?;
    let link = db.conn.last_insert_rowid();
    let told = narrow.execute(params![new.binding.0, new.remote_id, link, state.fingerprint.cast_signed(), number]);
    if let Err(error) = told {
        // A job may take the refusal as an answer and go on: no half of the link must stay.
        db.exec("DELETE FROM sync_link WHERE link = ?1", params![link])?;
        return Err(error.into());
    }
    Ok(LinkId(link))
}

pub(super) fn set_link(db: &Db, link: LinkId, update: &LinkUpdate<'_>) -> Res<()> {
    let changed = db.exec(
        "UPDATE sync_link SET state = ?2, version = ?3, mapping = ?4, updated_at = ?5, observed_at = ?6, \
         base_hub = ?7, base_remote = ?8, raw = ?9 WHERE link = ?1",
        params![
            link.0,
            state_number(update.state),
            update.version,
            update.mapping.0,
            update.updated_at,
            update.observed_at,
            update.base_hub,
            update.base_remote,
            update.raw,
        ],
    )?;
    require(changed, link)?;
    db.exec(
        "UPDATE sync_remote SET fingerprint = ?2, state = ?3 WHERE (binding, remote_id) = \
         (SELECT binding, remote_id FROM sync_link WHERE link = ?1)",
        params![link.0, update.fingerprint.cast_signed(), state_number(update.state)],
    )?;
    Ok(())
}

pub(super) fn set_remote_id(db: &Db, link: LinkId, remote_id: &str) -> Res<()> {
    db.exec(
        "UPDATE sync_remote SET remote_id = ?2 WHERE (binding, remote_id) = \
         (SELECT binding, remote_id FROM sync_link WHERE link = ?1)",
        params![link.0, remote_id],
    )?;
    require(db.exec("UPDATE sync_link SET remote_id = ?2 WHERE link = ?1", params![link.0, remote_id])?, link)
}

pub(super) fn set_fingerprint(db: &Db, link: LinkId, fingerprint: u64) -> Res<()> {
    let changed = db.exec(
        "UPDATE sync_remote SET fingerprint = ?2 WHERE (binding, remote_id) = \
         (SELECT binding, remote_id FROM sync_link WHERE link = ?1)",
        params![link.0, fingerprint.cast_signed()],
    )?;
    require(changed, link)
}

pub(super) fn set_link_gone(db: &Db, link: LinkId, fingerprint: u64, at: Micros) -> Res<()> {
    set_link_state(db, link, LinkState::Deleted)?;
    set_fingerprint(db, link, fingerprint)?;
    db.exec("UPDATE sync_link SET observed_at = ?2 WHERE link = ?1", params![link.0, at]).map(drop)
}

pub(super) fn set_link_state(db: &Db, link: LinkId, state: LinkState) -> Res<()> {
    let state = state_number(state);
    require(db.exec("UPDATE sync_link SET state = ?2 WHERE link = ?1", params![link.0, state])?, link)?;
    db.exec(
        "UPDATE sync_remote SET state = ?2 WHERE (binding, remote_id) = \
         (SELECT binding, remote_id FROM sync_link WHERE link = ?1)",
        params![link.0, state],
    )?;
    Ok(())
}

pub(super) fn drop_link(db: &Db, link: LinkId) -> Res<()> {
    db.exec(
        "DELETE FROM sync_remote WHERE (binding, remote_id) = \
         (SELECT binding, remote_id FROM sync_link WHERE link = ?1)",
        params![link.0],
    )?;
    db.exec("DELETE FROM sync_link WHERE link = ?1", params![link.0])?;
    Ok(())
}

fn require(changed: usize, link: LinkId) -> Res<()> {
    if changed == 0 {
        return Err(Failure::state(format!("of link {}", link.0), "there is no such link"));
    }
    Ok(())
}

fn link_row(row: &Row<'_>) -> rusqlite::Result<LinkRow> {
    let made = match (row.get(13)?, row.get(15)?) {
        (Some(pass), Some(observed_at)) => Some(Made { pass, source_time: row.get(14)?, observed_at }),
        _ => None,
    };
    Ok(LinkRow {
        link: LinkId(row.get(0)?),
        binding: BindingKey(row.get(1)?),
        remote_id: row.get(2)?,
        record: row.get::<_, Unpacked>(3)?.0,
        state: state(row, 4)?,
        version: row.get(5)?,
        mapping: MappingKey(row.get(6)?),
        fingerprint: row.get::<_, i64>(7)?.cast_unsigned(),
        raw: row.get(8)?,
        base_hub: row.get(9)?,
        base_remote: row.get(10)?,
        updated_at: row.get(11)?,
        observed_at: row.get(12)?,
        made,
    })
}

fn state_number(state: LinkState) -> i64 {
    match state {
        LinkState::Live => 0,
        LinkState::Deleted => 1,
        LinkState::Detached => 2,
        LinkState::OutOfScope => 3,
        LinkState::Archived => 4,
    }
}

fn state(row: &Row<'_>, at: usize) -> rusqlite::Result<LinkState> {
    match row.get::<_, i64>(at)? {
        0 => Ok(LinkState::Live),
        1 => Ok(LinkState::Deleted),
        2 => Ok(LinkState::Detached),
        3 => Ok(LinkState::OutOfScope),
        4 => Ok(LinkState::Archived),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(at, other)),
    }
}
