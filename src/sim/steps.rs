//! Owns: the executor of a simulation: one thread, virtual time; and the crash that may come at any step.
//!
//! Must not know: what runs on it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Polls without time passing before the run counts as stuck.
const POLLS_MAX: u64 = 10_000_000;

/// Time, timers and the countdown to a crash.
#[derive(Debug, Default)]
pub struct Steps {
    /// Microseconds since the beginning.
    now: AtomicU64,
    timers: Mutex<BTreeMap<(u64, u64), Waker>>,
    serial: AtomicU64,
    /// Steps until the process dies; 0 is never.
    fuse: AtomicU64,
    /// Steps taken since the fuse was set, and the most ever.
    taken: (AtomicU64, AtomicU64),
    /// It died.
    dead: AtomicBool,
}

/// How a future ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// With its value.
    Done(T),
    /// The process died in the middle of it.
    Crashed,
    /// Nothing will ever wake it.
    Stuck,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Steps {
    /// Microseconds since the beginning.
    pub fn now_us(&self) -> u64 {
        self.now.load(Ordering::Acquire)
    }

    /// Nothing of what ran since then has happened.
    pub fn go_back(&self, us: u64) {
        self.now.store(us, Ordering::Release);
    }

    /// Lets time pass while nothing runs.
    pub fn pass_time(&self, duration: Duration) {
        self.now.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(0), Ordering::AcqRel);
    }

    /// The process dies at the so-manieth step from now on; 0: it does not.
    pub fn set_fuse(&self, steps: u64) {
        self.taken.1.fetch_max(self.taken.0.swap(0, Ordering::AcqRel), Ordering::AcqRel);
        self.fuse.store(steps, Ordering::Release);
        self.dead.store(false, Ordering::Release);
    }

    /// The most steps that a life has had.
    pub fn most(&self) -> u64 {
        self.taken.1.load(Ordering::Acquire)
    }

    /// One step at which the process may die. True: it is dead, and whoever asks must never go on.
    pub fn step(&self) -> bool {
        if self.dead.load(Ordering::Acquire) {
            return true;
        }
        self.taken.0.fetch_add(1, Ordering::AcqRel);
        let left = self.fuse.load(Ordering::Acquire);
        if left == 0 {
            return false;
        }
        self.fuse.store(left - 1, Ordering::Release);
        if left == 1 {
            self.dead.store(true, Ordering::Release);
        }
        left == 1
    }

    /// A place where the process may die: then this never resolves.
    pub async fn may_die(&self) {
        if self.step() {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when so much time has passed.
    pub fn sleep(self: &Arc<Self>, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        // Rounded up: a wait that ends before its time is over would be asked for again without end.
        let us = u64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX / 4);
        let until = self.now_us() + us;
        Sleep { steps: Arc::clone(self), until, serial: None }
    }

    /// Runs a future to its end, its death, or until nothing can wake it any more.
    pub fn run<T>(self: &Arc<Self>, future: impl Future<Output = T>) -> Ended<T> {
        let mut future = pin!(future);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        for _ in 0..POLLS_MAX {
            flag.0.store(false, Ordering::Release);
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.timers().clear();
                return Ended::Done(value);
            }
            if self.dead.load(Ordering::Acquire) {
                self.timers().clear();
                return Ended::Crashed;
            }
            if flag.0.load(Ordering::Acquire) {
                continue;
            }
            let Some(((at, _), next)) = self.timers().pop_first() else { return Ended::Stuck };
            self.now.fetch_max(at, Ordering::AcqRel);
            next.wake();
        }
        Ended::Stuck
    }

    fn timers(&self) -> std::sync::MutexGuard<'_, BTreeMap<(u64, u64), Waker>> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Sleep {
    steps: Arc<Steps>,
    until: u64,
    serial: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.steps.now_us() >= self.until {
            return Poll::Ready(());
        }
        let serial = match self.serial {
            Some(serial) => serial,
            None => self.steps.serial.fetch_add(1, Ordering::AcqRel),
        };
        self.serial = Some(serial);
        self.steps.timers().insert((self.until, serial), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(serial) = self.serial {
            self.steps.timers().remove(&(self.until, serial));
        }
    }
}

/// Runs a future that another thread completes, here and now: the rest of the simulation stands still meanwhile, so that
/// the speed of that thread decides nothing.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
