//! Owns: how what was asked of upstreams, and how they answered, gets from their clients' meters into the store; asking
//! them whether they are well.
//!
//! Must not know: what counts as what; who looks at it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::store::{self, Grain, HealthRow, LatencyRow, StoreError, Tx, Usage, UsageRow};
use crate::upstream::{Answers, Asked, Client, Health, Latency, Meter, Metered, Probed};

use super::engine::Engine;
use super::standing;

/// Days that are kept: two years, and what a year's comparison wants beyond.
const DAYS_MAX: i64 = 800;

/// How long the latency of minutes and of hours is kept.
pub const MINUTES_KEPT: TimeDelta = TimeDelta::hours(3);
/// As above.
pub const HOURS_KEPT: TimeDelta = TimeDelta::days(14);

/// What was taken from meters. Whoever cannot write it down puts it back.
pub struct Taken(Vec<(Arc<Meter>, String, Metered)>);

/// The same, as it is written down.
#[derive(Clone, Debug, Default)]
pub struct Entry(Vec<(String, Metered)>);

impl Taken {
    /// Takes it from these clients.
    pub fn from(clients: &BTreeMap<String, Arc<Client>>) -> Self {
        let taken =
            clients.iter().map(|(name, client)| (Arc::clone(client.meter()), name.clone(), client.meter().take()));
        Self(taken.filter(|(.., metered)| !metered.is_empty()).collect())
    }

    /// What is to be written down.
    pub fn entry(&self) -> Entry {
        Entry(self.0.iter().map(|(_, name, metered)| (name.clone(), metered.clone())).collect())
    }

    /// It was not written down.
    pub fn put_back(self) {
        for (meter, _, metered) in &self.0 {
            meter.put_back(metered);
        }
    }
}

/// Writes it down.
pub fn add(tx: &mut dyn Tx, Entry(entry): &Entry) -> Result<(), StoreError> {
    let mut today = None;
    let mut newest = None;
    for (upstream, metered) in entry {
        for (day, asked) in &metered.days {
            tx.add_usage(&UsageRow { day: *day, upstream: upstream.clone(), usage: usage(asked) })?;
            today = today.max(Some(*day));
        }
        for (minute, answers) in &metered.minutes {
            for grain in [Grain::Minute, Grain::Hour] {
                add_latency(tx, upstream, grain, *minute, answers)?;
            }
            newest = newest.max(Some(*minute));
        }
        if let Some(health) = &metered.health {
            set_health(tx, upstream, health)?;
        }
    }
    if let Some(today) = today {
        tx.forget_usage(today - DAYS_MAX)?;
    }
    if let Some(newest) = newest {
        for (grain, kept) in [(Grain::Minute, MINUTES_KEPT), (Grain::Hour, HOURS_KEPT)] {
            tx.forget_latency(grain, newest - kept.num_seconds())?;
        }
    }
    Ok(())
}

fn usage(asked: &Asked) -> Usage {
    Usage {
        requests: asked.requests,
        retries: asked.retries,
        refused: asked.refused,
        throttled: asked.throttled,
        failed: asked.failed,
        sent_bytes: asked.sent_bytes,
        received_bytes: asked.received_bytes,
        cost_nano_usd: asked.cost_nano_usd,
    }
}

fn add_latency(
    tx: &mut dyn Tx,
    upstream: &str,
    grain: Grain,
    minute: i64,
    answers: &Answers,
) -> Result<(), StoreError> {
    let at = minute.div_euclid(grain.seconds()) * grain.seconds();
    let known = tx.latency(upstream, grain, at)?.into_iter().find(|row| row.at == at);
    let mut latency = known.as_ref().map(|row| Latency::from_text(&row.buckets)).unwrap_or_default();
    latency.merge(&answers.latency);
    let failed = known.map_or(0, |row| row.failed) + answers.failed;
    tx.set_latency(&LatencyRow { upstream: upstream.to_owned(), grain, at, failed, buckets: latency.to_text() })
}

/// What an earlier process saw holds on, where this one saw nothing else.
fn set_health(tx: &mut dyn Tx, upstream: &str, health: &Health) -> Result<(), StoreError> {
    let known = tx.health(upstream)?;
    let unturned = known.as_ref().filter(|row| !health.turned && row.up == health.up);
    let since = unturned.map_or(health.since.timestamp_micros(), |row| row.since);
    let (error, error_at) = match &health.error {
        Some((words, at)) => (Some(words.clone()), Some(at.timestamp_micros())),
        None => known.map(|row| (row.error, row.error_at)).unwrap_or_default(),
    };
    let (up, seen_at) = (health.up, health.seen_at.timestamp_micros());
    tx.set_health(&HealthRow { upstream: upstream.to_owned(), up, since, seen_at, error, error_at })
}

impl Engine {
    /// Writes down what was asked of upstreams, and how they answered, since that was last done.
    pub async fn keep_usage(&self) -> Result<(), StoreError> {
        let taken = Taken::from(&self.clients);
        let entry = taken.entry();
        if entry.0.is_empty() {
            return Ok(());
        }
        // After a power failure a few seconds of it may be missing; that is not worth waiting for the disk.
        let kept = store::write_relaxed(self.store.as_ref(), move |tx| add(tx, &entry)).await;
        if kept.is_err() {
            taken.put_back();
        }
        kept
    }

    /// The upstreams that are to be asked whether they are well, and how often.
    pub fn probes(&self) -> impl Iterator<Item = (&str, Duration)> {
        let upstreams = self.rules.upstreams.iter();
        upstreams.filter_map(|(name, upstream)| Some((name.as_str(), upstream.health.as_ref()?.every)))
    }

    /// Asks an upstream whether it is well, unless its budgets or its breaker stand in the way.
    pub async fn probe(&self, upstream: &str) -> Result<(), StoreError> {
        let Some(client) = self.clients.get(upstream) else { return Ok(()) };
        // What an earlier process learnt holds for probes as well.
        standing::remember(self.store.as_ref(), client, upstream).await?;
        let probed = client.probe_health().await;
        client.give_back().await;
        match probed {
            Ok(Probed::Up(_) | Probed::Down(_)) => {
                standing::keep(self.store.as_ref(), client, self.clock.as_ref(), upstream).await
            }
            Ok(Probed::LeftOut(why)) => {
                tracing::debug!(upstream, "not asked whether it is well: {why:?}");
                Ok(())
            }
            Err(failure) => {
                tracing::warn!(upstream, "{upstream} cannot be asked whether it is well: {failure}");
                Ok(())
            }
        }
    }
}
