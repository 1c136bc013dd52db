//! Owns: the engine's clock in a simulation.
//!
//! Must not know: who asks for the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;

use crate::clock::Clock;

use super::chance::Chance;
use super::steps::Steps;

/// When every simulation begins: 2026-01-01T00:00:00Z.
const BEGINNING: i64 = 1_767_225_600;

/// Virtual time, and random numbers from the seed.
pub struct SimClock {
    steps: Arc<Steps>,
    chance: Chance,
    count: AtomicU32,
}

impl SimClock {
    /// A clock on these steps. Its random numbers are its own, so that what the engine draws does not move the world.
    pub fn new(steps: Arc<Steps>, chance: Chance) -> Self {
        Self { steps, chance, count: AtomicU32::new(0) }
    }
}

impl Clock for SimClock {
    fn now(&self) -> DateTime<Utc> {
        let micros = i64::try_from(self.steps.now_us()).unwrap_or(0);
        DateTime::from_timestamp(BEGINNING, 0).unwrap_or_default() + TimeDelta::microseconds(micros)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.steps.now_us())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.steps.sleep(duration))
    }

    fn random(&self) -> u64 {
        self.chance.bits()
    }

    fn count(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}
