//! Owns: whether upstreams are up, and the latency of their answers.
//!
//! Must not know: what the texts of latencies say.

use rusqlite::{Row, params};

use crate::store::{Grain, HealthRow, LatencyRow};

use super::db::Db;
use super::fault::Res;

pub(super) fn health(db: &Db, upstream: &str) -> Res<Option<HealthRow>> {
    let sql = "SELECT upstream, up, since, seen_at, error, error_at FROM sync_health WHERE upstream = ?1";
    db.one(sql, params![upstream], health_row)
}

pub(super) fn set_health(db: &Db, row: &HealthRow) -> Res<()> {
    db.exec(
        "INSERT OR REPLACE INTO sync_health (upstream, up, since, seen_at, error, error_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![row.upstream, row.up, row.since, row.seen_at, row.error, row.error_at],
    )?;
    Ok(())
}

pub(super) fn latency(db: &Db, upstream: &str, grain: Grain, from: i64) -> Res<Vec<LatencyRow>> {
    db.all(
        "SELECT at, failed, buckets FROM sync_latency WHERE upstream = ?1 AND seconds = ?2 AND at >= ?3 ORDER BY at",
        params![upstream, grain.seconds(), from],
        |row| {
            Ok(LatencyRow {
                upstream: upstream.to_owned(),
                grain,
                at: row.get(0)?,
                failed: row.get::<_, i64>(1)?.cast_unsigned(),
                buckets: row.get(2)?,
            })
        },
    )
}

pub(super) fn set_latency(db: &Db, row: &LatencyRow) -> Res<()> {
    let failed = i64::try_from(row.failed).unwrap_or(i64::MAX);
    db.exec(
        "INSERT OR REPLACE INTO sync_latency (upstream, seconds, at, failed, buckets) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![row.upstream, row.grain.seconds(), row.at, failed, row.buckets],
    )?;
    Ok(())
}

/// Of all upstreams, also of those that the rules name no more.
pub(super) fn forget_latency(db: &Db, grain: Grain, before: i64) -> Res<()> {
    db.exec("DELETE FROM sync_latency WHERE seconds = ?1 AND at < ?2", params![grain.seconds(), before])?;
    Ok(())
}

fn health_row(row: &Row<'_>) -> rusqlite::Result<HealthRow> {
    Ok(HealthRow {
        upstream: row.get(0)?,
        up: row.get(1)?,
        since: row.get(2)?,
        seen_at: row.get(3)?,
        error: row.get(4)?,
        error_at: row.get(5)?,
    })
}
