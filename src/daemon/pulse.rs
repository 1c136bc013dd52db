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
        let every = self.feeder.every().unwrap_or(EVERY);
        let most = WORK_MAX.max(self.lock_max.saturating_mul(LOCKS_MAX));
        beating(work, self.clock.as_ref(), (every, most), |now| {
            self.feeder.feed();
            self.shown.at(now);
        })
        .await
    }
}

/// Does this, and says meanwhile that it lives, every so often, for so long at most.
async fn beating<T>(
    work: impl Future<Output = T>,
    clock: &dyn Clock,
    (every, most): (Duration, Duration),
    beat: impl Fn(Duration),
) -> T {
    let mut work = pin!(work);
    let until = clock.monotonic().saturating_add(most);
    loop {
        tokio::select! {
            biased;
            done = work.as_mut() => return done,
            () = clock.sleep(every), if clock.monotonic() < until => beat(clock.monotonic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chrono::{DateTime, Utc};
    use futures_util::future::BoxFuture;
    use tokio::time::timeout;

    use super::*;

    /// Time that passes only where somebody waits, and then at once.
    #[derive(Default)]
    struct Leaping(Mutex<Duration>);

    impl Clock for Leaping {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }

        fn monotonic(&self) -> Duration {
            *self.0.lock().unwrap()
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
            Box::pin(async move {
                tokio::task::yield_now().await;
                *self.0.lock().unwrap() += duration;
            })
        }

        fn random(&self) -> u64 {
            0
        }

        fn count(&self) -> u32 {
            0
        }
    }

    #[tokio::test]
    async fn f10_what_waits_is_told_to_live_and_what_hangs_is_not() {
        let (clock, beats) = (Leaping::default(), Mutex::new(Vec::new()));
        let beat = |now: Duration| beats.lock().unwrap().push(now.as_secs());
        let times = (Duration::from_secs(20), Duration::from_mins(1));
        let at_once = beating(async { 7 }, &clock, times, beat).await;
        assert_eq!((at_once, beats.lock().unwrap().len()), (7, 0));
        // Until it has been told twice.
        let waits = std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if beats.lock().unwrap().len() < 2 { std::task::Poll::Pending } else { std::task::Poll::Ready(8) }
        });
        assert_eq!(beating(waits, &clock, times, beat).await, 8);
        assert_eq!(*beats.lock().unwrap(), [20, 40]);
        let hangs = beating(std::future::pending::<()>(), &clock, times, beat);
        assert!(timeout(Duration::from_millis(50), hangs).await.is_err());
        assert_eq!(*beats.lock().unwrap(), [20, 40, 60, 80, 100], "for a minute, and no more");
    }
}
