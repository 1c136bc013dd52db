//! Owns: what was asked of upstreams, by day.
//!
//! Must not know: requests, quotas.

use rusqlite::{Row, params};

use crate::store::{Usage, UsageRow};

use super::clauses::Clauses;
use super::db::Db;
use super::fault::Res;

/// Rows that are read at once: more than two years of two hundred upstreams.
const ROWS_MAX: usize = 200_000;

pub(super) fn usage(db: &Db, upstream: Option<&str>, from_day: i64) -> Res<Vec<UsageRow>> {
    let mut clauses = Clauses::new(
        "SELECT day, upstream, requests, retries, refused, throttled, failed, sent_bytes, received_bytes, cost_nano_usd \
         FROM sync_usage",
    );
    clauses.after("day", Some(from_day.saturating_sub(1)));
    clauses.is("upstream", upstream);
    clauses.all(db, "ORDER BY day, upstream", ROWS_MAX, usage_row)
}

pub(super) fn add(db: &Db, row: &UsageRow) -> Res<()> {
    let usage = &row.usage;
    db.exec(
        "INSERT INTO sync_usage (day, upstream, requests, retries, refused, throttled, failed, sent_bytes, received_bytes, \
         cost_nano_usd) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (day, upstream) DO UPDATE SET \
         requests = requests + excluded.requests, retries = retries + excluded.retries, \
         refused = refused + excluded.refused, throttled = throttled + excluded.throttled, \
         failed = failed + excluded.failed, sent_bytes = sent_bytes + excluded.sent_bytes, \
         received_bytes = received_bytes + excluded.received_bytes, \
         cost_nano_usd = cost_nano_usd + excluded.cost_nano_usd",
        params![
            row.day,
            row.upstream,
            whole(usage.requests),
            whole(usage.retries),
            whole(usage.refused),
            whole(usage.throttled),
            whole(usage.failed),
            whole(usage.sent_bytes),
            whole(usage.received_bytes),
            whole(usage.cost_nano_usd),
        ],
    )?;
    Ok(())
}

pub(super) fn forget(db: &Db, before_day: i64) -> Res<()> {
    db.exec("DELETE FROM sync_usage WHERE day < ?1", params![before_day])?;
    Ok(())
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn usage_row(row: &Row<'_>) -> rusqlite::Result<UsageRow> {
    let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
    Ok(UsageRow {
        day: row.get(0)?,
        upstream: row.get(1)?,
        usage: Usage {
            requests: number(2)?,
            retries: number(3)?,
            refused: number(4)?,
            throttled: number(5)?,
            failed: number(6)?,
            sent_bytes: number(7)?,
            received_bytes: number(8)?,
            cost_nano_usd: number(9)?,
        },
    })
}
