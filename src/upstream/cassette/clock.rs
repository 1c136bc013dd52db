//! Owns: the time while a cassette is played: it begins when the cassette was recorded, and waiting takes none of ours.
//!
//! Must not know: what is played.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;

use crate::clock::Clock;

/// The clock of a cassette: the same cassette by the same rules gives the same ids and the same times.
#[derive(Debug)]
pub struct CassetteClock {
    start: DateTime<Utc>,
    state: Mutex<(Duration, u64)>,
    count: AtomicU32,
}

impl CassetteClock {
    /// Begins at this moment.
    pub fn new(start: DateTime<Utc>) -> Self {
        Self { start, state: Mutex::default(), count: AtomicU32::new(0) }
    }

    fn with<T>(&self, look: impl FnOnce(&mut (Duration, u64)) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for CassetteClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + TimeDelta::from_std(self.monotonic()).unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        self.with(|(waited, _)| *waited)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.with(|(waited, _)| *waited = waited.saturating_add(duration));
        Box::pin(std::future::ready(()))
    }

    /// `SplitMix64` from zero.
    fn random(&self) -> u64 {
        let state = self.with(|(_, state)| {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            *state
        });
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
    fn count(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}
