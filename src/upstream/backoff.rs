//! Owns: how long to wait before another attempt where the upstream did not say.
//!
//! Must not know: whether there is another attempt. Randomness comes in as an argument.
//!
//! Full and equal jitter as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).

use std::time::Duration;

const TRANSIENT_FIRST: Duration = Duration::from_millis(500);
const TRANSIENT_MAX: Duration = Duration::from_mins(1);
const THROTTLED_FIRST: Duration = Duration::from_secs(2);
const THROTTLED_MAX: Duration = Duration::from_mins(5);

/// After a passing failure: `U(0, min(60 s, 0.5 s·2ⁿ))`; `failures` counts from 1.
pub fn transient_wait(failures: u32, random: u64) -> Duration {
    uniform(doubled(TRANSIENT_FIRST, TRANSIENT_MAX, failures), random)
}

/// After throttling without a stated wait: `x/2 + U(0, x/2)` with `x = min(300 s, 2 s·2ⁿ)`.
pub fn throttled_wait(failures: u32, random: u64) -> Duration {
    let half = doubled(THROTTLED_FIRST, THROTTLED_MAX, failures) / 2;
    half + uniform(half, random)
}

/// Uniform in `[0, range]`.
pub fn uniform(range: Duration, random: u64) -> Duration {
    let nanos = u128::from(u64::try_from(range.as_nanos()).unwrap_or(u64::MAX)) * u128::from(random);
    Duration::from_nanos(u64::try_from(nanos >> 64).unwrap_or(u64::MAX))
}

fn doubled(first: Duration, max: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(max)
}
