//! Owns: that the loop counts as alive while it waits for the store: as long as a lock of another program may keep that, and
//! no longer.
//!
//! Must not know: what is waited for.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;

use super::desk::Shown;
use super::systemd::Feeder;

/// One job of the store waits for at most two commits, its own and one before it; and the loop asks it twice in a row.
const LOCKS_MAX: u32 = 4;
/// However short the store waits for locks, what it does takes its time.
const WORK_MAX: Duration = Duration::from_mins(1);
/// Where no service manager watches; pages ask as well whether the loop lives.
const EVERY: Duration = Duration::from_secs(10);

/// Says that the loop lives while it waits.
pub struct Pulse {
    clock: Arc<dyn Clock>,
    feeder: Feeder,
    shown: Shown,
    /// The longest wait of the store for one lock.
    lock_max: Duration,
}

impl Pulse {
    /// For a loop whose store waits so long for a lock of another program.
    pub fn new(clock: Arc<dyn Clock>, feeder: Feeder, shown: Shown, lock_max: Duration) -> Self {
        Self { clock, feeder, shown, lock_max }
    }

    /// Does this. What takes longer than locks can explain hangs, and is not told to live.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let every = self.feeder.every().unwrap_or(EVERY);
        let until = self.clock.monotonic() + WORK_MAX.max(self.lock_max.saturating_mul(LOCKS_MAX));
        loop {
            tokio::select! {
                biased;
                done = work.as_mut() => return done,
                () = self.clock.sleep(every), if self.clock.monotonic() < until => {
                    self.feeder.feed();
                    self.shown.at(self.clock.monotonic());
                }
            }
        }
    }
}
