//! Owns: time and randomness: the one place where the program asks the machine for either.
//!
//! Must not know: what they are used for.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
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
    /// How often this was asked before.
    fn count(&self) -> u32;
}

/// The machine's clock and random numbers.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
    /// `SplitMix64` (Steele, Lea, Flood 2014), seeded by the kernel once: ids and jitter need no secrecy, and a pass over a
    /// million new records should not make two million system calls.
    random: AtomicU64,
    count: AtomicU32,
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
        Self { start, random: AtomicU64::new(seed), count: AtomicU32::new(0) }
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

    fn count(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}

/// A time-ordered UUID (version 7) from this clock: operation ids and record ids sort by their making, also within one
/// millisecond: its 26 bits after the time are a counter (RFC 9562, section 6.2, method 1), the other 48 are random. The
/// counter begins anew after 67,108,864 ids; of those of that one millisecond the order is lost.
pub fn new_id(clock: &dyn Clock) -> String {
    let millis = u64::try_from(clock.now().timestamp_millis()).unwrap_or(0);
    let count = clock.count();
    // Four bits of the first byte are the version's, two of the third the variant's.
    let bits = |shift: u32, mask: u32| u8::try_from((count >> shift) & mask).unwrap_or(0);
    let [_, _, random @ ..] = clock.random().to_be_bytes();
    let mut rest = [0_u8; 10];
    rest[..4].copy_from_slice(&[bits(22, 0x0f), bits(14, 0xff), bits(8, 0x3f), bits(0, 0xff)]);
    rest[4..].copy_from_slice(&random);
    uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid().hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_their_making_and_no_two_are_one() {
        let clock = SystemClock::new();
        let ids: Vec<String> = (0..20_000).map(|_| new_id(&clock)).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
        let parsed = ids.iter().map(|id| uuid::Uuid::parse_str(id).map(|id| (id.get_version_num(), id.get_variant())));
        assert!(parsed.into_iter().all(|id| id == Ok((7, uuid::Variant::RFC4122))));
    }

    #[test]
    fn ids_of_one_millisecond_differ_in_order_wherever_the_counter_stands() {
        struct At(AtomicU32);
        impl Clock for At {
            fn now(&self) -> DateTime<Utc> {
                DateTime::UNIX_EPOCH
            }
            fn monotonic(&self) -> Duration {
                Duration::ZERO
            }
            fn sleep(&self, _duration: Duration) -> BoxFuture<'_, ()> {
                Box::pin(std::future::ready(()))
            }
            fn random(&self) -> u64 {
                u64::MAX
            }
            fn count(&self) -> u32 {
                self.0.fetch_add(1, Ordering::Relaxed)
            }
        }
        for start in [0, 0xfe, 0x3ffe, 0x003f_fffe, 0x03ff_fffd] {
            let clock = At(AtomicU32::new(start));
            let ids: Vec<String> = (0..3).map(|_| new_id(&clock)).collect();
            assert!(ids.is_sorted_by(|one, next| one < next), "{start:x}: {ids:?}");
        }
    }
}
