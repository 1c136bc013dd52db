//! Owns: setting aside what requests will take of budgets, where other processes see it, before they leave.
//!
//! Must not know: how much there is; how the file is laid out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex as AsyncMutex;

use super::budget::Portions;
use super::state::State;
use super::{Built, Failure, FailureKind, path_below, words};
use crate::clock::Clock;
use crate::rules::{Budget, Upstream};
use crate::spending::{Durable, Held, Spending, SpendingError};

/// What was spent of longer windows still counts when a machine is up again after a power failure.
const REBOOT: Duration = Duration::from_secs(30);

/// For so long whoever renews tokens waits for room in budgets: everybody else waits for those.
pub const ROOM_MAX: Duration = Duration::from_mins(1);

/// What one client holds of the budgets of its upstream. What it did not spend is given back when this is dropped.
pub struct Purse {
    file: Arc<Spending>,
    /// What others know the budgets by, in their order.
    budgets: Vec<String>,
    holder: String,
    durable: Durable,
    /// Requests leave in the order in which they came, also where one of them waits for the file.
    turns: AsyncMutex<()>,
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl Purse {
    /// Nothing is set aside yet; from now on nothing is spent before it is. `None` where there are no budgets.
    pub fn of(
        upstream: &Upstream,
        state: &Arc<Mutex<State>>,
        file: &Arc<Spending>,
        clock: &Arc<dyn Clock>,
    ) -> Option<Self> {
        if upstream.budgets.is_empty() {
            return None;
        }
        let keys = {
            let mut state = locked(state);
            state.budgets.draw_on_allowances();
            state.budgets.keys()
        };
        let is_long = upstream.budgets.iter().any(|budget| budget.per > REBOOT);
        Some(Self {
            file: Arc::clone(file),
            budgets: keys
                .into_iter()
                .zip(&upstream.budgets)
                .map(|(key, budget)| shared_key(upstream, budget, key))
                .collect(),
            holder: uuid::Uuid::new_v4().to_string(),
            durable: if is_long { Durable::Power } else { Durable::Process },
            turns: AsyncMutex::default(),
            state: Arc::clone(state),
            clock: Arc::clone(clock),
        })
    }

    /// Learns what other processes hold. Nothing is set aside.
    pub fn look(&self) {
        let Ok(others) = self.file.others(&self.holder, &self.budgets, self.clock.now()) else { return };
        let elsewhere = others.into_iter().map(|held| self.counts_until(held)).collect();
        locked(&self.state).budgets.know_of(elsewhere);
    }

    /// Gives back what was set aside and not spent.
    pub async fn give_back(self: &Arc<Self>) {
        let purse = Arc::clone(self);
        if let Err(failure) = on_a_thread_that_may_wait(move || purse.give_back_now()).await {
            // It counts as spent a little longer then, which harms nobody.
            tracing::debug!("{failure}");
        }
    }

    /// Sets aside what a request and the next ones may take, where there is room beside what other processes hold.
    async fn set_aside(self: &Arc<Self>, (method, path): (&str, &str)) -> Result<(), Failure> {
        let (purse, method, path) = (Arc::clone(self), method.to_owned(), path.to_owned());
        on_a_thread_that_may_wait(move || {
            let decide = |others: Vec<Held>| {
                let elsewhere = others.into_iter().map(|held| purse.counts_until(held)).collect();
                let request = (method.as_str(), path.as_str());
                let own = locked(&purse.state).budgets.set_aside(request, elsewhere, purse.clock.monotonic());
                (own.into_iter().map(|portions| purse.until(portions)).collect(), ())
            };
            let now = purse.clock.now();
            let done = purse.file.exchange(&purse.holder, &purse.budgets, (now, purse.durable), decide);
            // What the others were not told of is not there to be spent.
            done.inspect_err(|_| drop(locked(&purse.state).budgets.give_back(purse.clock.monotonic())))
        })
        .await
    }

    fn give_back_now(&self) -> Result<(), SpendingError> {
        if !locked(&self.state).budgets.has_allowances() {
            return Ok(());
        }
        let decide = |_| {
            let own = locked(&self.state).budgets.give_back(self.clock.monotonic());
            (own.into_iter().map(|portions| self.until(portions)).collect(), ())
        };
        // What a power failure keeps from being written counts as it did before.
        self.file.exchange(&self.holder, &self.budgets, (self.clock.now(), Durable::Process), decide)
    }

    /// By the clock that other processes have, too.
    fn until(&self, portions: Portions) -> Held {
        let now = self.clock.now();
        let at = |left| now.checked_add_signed(TimeDelta::from_std(left).ok()?);
        portions.into_iter().filter_map(|(left, units)| Some((at(left)?, units))).collect()
    }

    /// By the clock that only goes forward.
    fn counts_until(&self, held: Held) -> Portions {
        let (now, steady) = (self.clock.now(), self.clock.monotonic());
        let left = |until: DateTime<Utc>| (until - now).to_std().unwrap_or_default();
        held.into_iter().map(|(until, units)| (steady + left(until), units)).collect()
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        if let Err(error) = self.give_back_now() {
            tracing::debug!("{error}");
        }
    }
}

/// What other processes, and the clients of other upstreams where the budget is theirs as well, know it by.
fn shared_key(upstream: &Upstream, budget: &Budget, key: String) -> String {
    if budget.scope.is_some() { key } else { format!("{}: {key}", upstream.name) }
}

/// Debits every budget that covers a request, or debits none and says how long to wait before asking again. What it takes is
/// set aside before, where other processes draw on the same budgets.
pub async fn take_turn(
    (state, purse): (&Mutex<State>, Option<&Arc<Purse>>),
    (method, path): (&str, &str),
    clock: &dyn Clock,
) -> Result<Result<(), Duration>, Failure> {
    let _turn = match purse {
        Some(purse) => Some(purse.turns.lock().await),
        None => None,
    };
    if let Some(purse) = purse {
        let lacks = locked(state).budgets.lacks_allowance(method, path, clock.monotonic());
        if lacks {
            purse.set_aside((method, path)).await?;
        }
    }
    Ok(locked(state).budgets.take(method, path, clock.monotonic()))
}

/// The same for a request that is about tokens: it waits until it may go, but not for long. `waited` is how long it did so far.
pub async fn wait_for_room(
    from: (&Mutex<State>, Option<&Arc<Purse>>),
    (upstream, request): (&Upstream, &Built),
    clock: &dyn Clock,
    waited: &mut Duration,
) -> Result<(), Failure> {
    let path = path_below(&upstream.base_url, &request.url);
    loop {
        let Err(wait) = take_turn(from, (request.method.as_str(), path), clock).await? else { return Ok(()) };
        *waited += wait;
        if *waited > upstream.retry.max_wait.min(ROOM_MAX) {
            let why = locked(from.0).why_wait(wait, clock.monotonic());
            let words = words::describe(&upstream.base_url, request, None, &why, 0);
            let retry_at = TimeDelta::from_std(wait).ok().and_then(|wait| clock.now().checked_add_signed(wait));
            return Err(Failure { retry_at, ..Failure::new(FailureKind::NotDone, words) });
        }
        clock.sleep(wait).await;
    }
}

async fn on_a_thread_that_may_wait(
    work: impl FnOnce() -> Result<(), SpendingError> + Send + 'static,
) -> Result<(), Failure> {
    let failed = |words: String| Failure::new(FailureKind::NotDone, words);
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failed(error.to_string())),
        Err(error) => Err(failed(format!("what is spent of budgets cannot be written down: {error}"))),
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
