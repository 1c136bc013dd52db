//! Owns: time and randomness: the one place where the program asks the machine for either.
//!
//! Must not know: what they are used for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use futures_util::future::BoxFuture;

/// Time and randomness, so that tests and simulations can own both.
pub trait Clock: Send + Sync {
    /// Wall time, to the microsecond.
    fn now(&self) -> DateTime<Utc>;
    /// Time since some fixed moment; never goes backwards, whatever happens to the wall clock.
    fn monotonic(&self) -> Duration;
    /// Resolves after this long.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;
    /// 64 random bits.
    fn random(&self) -> u64;
}

/// The machine's clock and random numbers.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
    /// `SplitMix64` (Steele, Lea, Flood 2014), seeded by the kernel once: ids and jitter need no secrecy, and a pass over a
    /// million new records should not make two million system calls.
    random: AtomicU64,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn new() -> Self {
        let start = std::time::Instant::now();
        // Without entropy at start-up the kernel blocks rather than fails; a failure leaves the time as the seed.
        let seed = getrandom::u64().unwrap_or_else(|_no_entropy| {
            let now = Utc::now();
            now.timestamp_micros().unsigned_abs() ^ (u64::from(std::process::id()) << 40)
        });
        Self { start, random: AtomicU64::new(seed) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that waits")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self) -> u64 {
        const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.random.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// A time-ordered UUID (version 7) from this clock: operation ids and record ids sort by their making.
pub fn new_id(clock: &dyn Clock) -> String {
    let millis = u64::try_from(clock.now().timestamp_millis()).unwrap_or(0);
    let mut random = [0_u8; 10];
    for (chunk, source) in random.chunks_mut(8).zip([clock.random(), clock.random()]) {
        for (byte, value) in chunk.iter_mut().zip(source.to_le_bytes()) {
            *byte = value;
        }
    }
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().hyphenated().to_string()
}
