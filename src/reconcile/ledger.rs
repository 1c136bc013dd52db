//! Owns: how what was asked of upstreams gets from their clients' meters into the store.
//!
//! Must not know: what counts as what; who looks at it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::{self, StoreError, Tx, Usage, UsageRow};
use crate::upstream::{Asked, Client, Meter};

use super::engine::Engine;

/// Days that are kept: two years, and what a year's comparison wants beyond.
const DAYS_MAX: i64 = 800;

/// What was taken from meters. Whoever cannot write it down puts it back.
pub struct Taken(Vec<(Arc<Meter>, String, BTreeMap<i64, Asked>)>);

impl Taken {
    /// Takes it from these clients.
    pub fn from(clients: &BTreeMap<String, Arc<Client>>) -> Self {
        let taken =
            clients.iter().map(|(name, client)| (Arc::clone(client.meter()), name.clone(), client.meter().take()));
        Self(taken.filter(|(.., days)| !days.is_empty()).collect())
    }

    /// The rows to be added.
    pub fn rows(&self) -> Vec<UsageRow> {
        let row = |upstream: &str, day: i64, asked: &Asked| UsageRow {
            day,
            upstream: upstream.to_owned(),
            usage: Usage {
                requests: asked.requests,
                retries: asked.retries,
                refused: asked.refused,
                throttled: asked.throttled,
                failed: asked.failed,
                sent_bytes: asked.sent_bytes,
                received_bytes: asked.received_bytes,
                cost_nano_usd: asked.cost_nano_usd,
            },
        };
        let of = |(_, upstream, days): &(_, String, BTreeMap<i64, Asked>)| {
            days.iter().map(|(day, asked)| row(upstream, *day, asked)).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// It was not written down.
    pub fn put_back(self) {
        for (meter, _, days) in &self.0 {
            meter.put_back(days);
        }
    }
}

/// Writes it down.
pub fn add(tx: &mut dyn Tx, rows: &[UsageRow]) -> Result<(), StoreError> {
    for row in rows {
        tx.add_usage(row)?;
    }
    match rows.iter().map(|row| row.day).max() {
        Some(today) => tx.forget_usage(today - DAYS_MAX),
        None => Ok(()),
    }
}

impl Engine {
    /// Writes down what was asked of upstreams since that was last done.
    pub async fn keep_usage(&self) -> Result<(), StoreError> {
        let taken = Taken::from(&self.clients);
        let rows = taken.rows();
        if rows.is_empty() {
            return Ok(());
        }
        // After a power failure a few seconds of it may be missing; that is not worth waiting for the disk.
        let kept = store::write_relaxed(self.store.as_ref(), move |tx| add(tx, &rows)).await;
        if kept.is_err() {
            taken.put_back();
        }
        kept
    }
}
