//! Owns: how long a thread's connection waits for locks of other programs, and that it waits no more once the process is to end.
//!
//! Must not know: what the connection is about to do.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;

/// How long is waited between two tries, in milliseconds: as SQLite's own handler does; the last one from then on.
const DELAYS_MS: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];

thread_local! {
    /// SQLite asks without saying for which connection; one thread has one.
    static OURS: RefCell<Option<Patience>> = const { RefCell::new(None) };
}

/// Set once nobody waits any more.
pub(super) type Hurry = Arc<AtomicBool>;

struct Patience {
    most: Duration,
    hurry: Hurry,
}

/// From now on this thread's connection waits so long at most, and no longer than until `hurry`.
pub(super) fn begin(conn: &mut Connection, most_ms: u64, hurry: &Hurry) -> rusqlite::Result<()> {
    let patience = Patience { most: Duration::from_millis(most_ms), hurry: Arc::clone(hurry) };
    OURS.set(Some(patience));
    conn.busy_handler(Some(tries_again))
}

/// Whether it is tried once more, after a wait: `tries` were made.
fn tries_again(tries: i32) -> bool {
    OURS.with_borrow(|ours| ours.as_ref().is_some_and(|patience| patience.waits(usize::try_from(tries).unwrap_or(0))))
}

impl Patience {
    fn waits(&self, tries: usize) -> bool {
        let is_over = || self.hurry.load(Ordering::Acquire);
        let Some(left) = self.most.checked_sub(waited(tries)).filter(|left| !left.is_zero() && !is_over()) else {
            return false;
        };
        std::thread::sleep(left.min(delay(tries)));
        !is_over()
    }
}

fn delay(tries: usize) -> Duration {
    Duration::from_millis(DELAYS_MS.get(tries).or(DELAYS_MS.last()).copied().unwrap_or_default())
}

/// How long was waited after so many tries.
fn waited(tries: usize) -> Duration {
    let first: u64 = DELAYS_MS.iter().take(tries).sum();
    let more = tries.saturating_sub(DELAYS_MS.len()) as u64;
    Duration::from_millis(first) + delay(DELAYS_MS.len()).saturating_mul(u32::try_from(more).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f06_a_lock_is_waited_for_so_long_and_not_once_the_process_is_to_end() {
        let patience = |most_ms| Patience { most: Duration::from_millis(most_ms), hurry: Hurry::default() };
        let tries = |patience: &Patience| (0..100).take_while(|tries| patience.waits(*tries)).count();
        assert_eq!((tries(&patience(0)), tries(&patience(8)), tries(&patience(9))), (0, 3, 4));
        assert_eq!((waited(12), waited(15)), (Duration::from_millis(328), Duration::from_millis(628)));
        assert!(waited(usize::MAX) > Duration::from_hours(24), "it comes to an end");
        let one = patience(60_000);
        assert!(one.waits(0));
        one.hurry.store(true, Ordering::Release);
        assert!(!one.waits(1));
    }
}
