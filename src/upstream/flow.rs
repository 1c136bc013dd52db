//! Owns: how many requests are under way at once: as many as the upstream bears, never more than the rules say.
//!
//! Must not know: clocks, what requests are for; budgets.
//!
//! Additive increase, multiplicative decrease, by answers that throttle and by how long answers take, once a round trip: as
//! TCP Vegas does it, and Vector's adaptive request concurrency
//! (<https://vector.dev/blog/adaptive-request-concurrency/>). It begins with what the rules allow.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};

/// What is left of the limit where an upstream shows that it bears less.
const DECREASE: f64 = 0.9;
/// How much the latest round trips weigh against earlier ones.
const WEIGHT: f64 = 0.4;
/// Answers that take longer than usual by so many standard deviations show that it bears less.
const DEVIATIONS: f64 = 2.5;
/// Differences below this show nothing.
const NOISE: Duration = Duration::from_millis(50);

/// The places of requests that are under way.
#[derive(Debug)]
pub struct Flow {
    places: Semaphore,
    limit: Mutex<Limit>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    permit: Option<SemaphorePermit<'a>>,
    flow: &'a Flow,
}

/// How many there are.
#[derive(Debug)]
struct Limit {
    most: usize,
    now: usize,
    /// Places that are taken and go when they are free.
    surplus: usize,
    round: Round,
    usual: Option<Usual>,
}

/// What was seen since the limit was last looked at.
#[derive(Debug, Default)]
struct Round {
    began: Duration,
    answers: u32,
    total: Duration,
    throttled: bool,
    was_full: bool,
}

/// How long round trips take, in seconds.
#[derive(Clone, Copy, Debug)]
struct Usual {
    mean: f64,
    variance: f64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub struct Exchanged {
    /// When it left, on the clock that only goes forward.
    pub began: Duration,
    /// When it ended.
    pub ended: Duration,
    /// It showed that the upstream bears less: 429, 503, no answer in time.
    pub throttled: bool,
}

impl Flow {
    /// With so many places at most.
    pub fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let limit = Limit { most, now: most, surplus: 0, round: Round::default(), usual: None };
        Self { places: Semaphore::new(most), limit: Mutex::new(limit) }
    }

    /// Waits for a place; `None` never comes while the client lives.
    pub async fn enter(&self) -> Option<Place<'_>> {
        let permit = self.places.acquire().await.ok()?;
        Some(Place { permit: Some(permit), flow: self })
    }

    /// A place, where one is free.
    pub fn try_enter(&self) -> Result<Place<'_>, TryAcquireError> {
        self.places.try_acquire().map(|permit| Place { permit: Some(permit), flow: self })
    }

    /// How many requests may be under way now, and at most.
    pub fn limit(&self) -> (usize, usize) {
        let limit = self.locked();
        (limit.now, limit.most)
    }

    /// Learns from the end of an attempt. Returns how many requests may be under way, where that is otherwise than before.
    pub fn learn(&self, seen: Exchanged) -> Option<usize> {
        let is_full = self.places.available_permits() == 0;
        let mut limit = self.locked();
        let before = limit.now;
        limit.learn(seen, is_full);
        if limit.now > before {
            let more = limit.now - before;
            let kept = more.min(limit.surplus);
            limit.surplus -= kept;
            self.places.add_permits(more - kept);
        } else {
            let less = before - limit.now;
            limit.surplus += less - self.places.forget_permits(less);
        }
        (limit.now != before).then_some(limit.now)
    }

    fn locked(&self) -> MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut limit = self.flow.locked();
        if limit.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            limit.surplus -= 1;
            permit.forget();
        }
    }
}

impl Limit {
    fn learn(&mut self, Exchanged { began, ended, throttled }: Exchanged, is_full: bool) {
        let took = ended.saturating_sub(began);
        // What left before the limit was last changed shows nothing about the limit as it is.
        if began >= self.round.began {
            self.round.throttled |= throttled;
        }
        self.round.was_full |= is_full;
        if !throttled {
            self.round.answers += 1;
            self.round.total += took;
        }
        let round_trip = self.usual.map_or(Duration::ZERO, |usual| Duration::from_secs_f64(usual.mean));
        if !self.round.throttled && ended.saturating_sub(self.round.began) < round_trip {
            return;
        }
        let round = std::mem::replace(&mut self.round, Round { began: ended, ..Round::default() });
        let seen = (round.answers > 0).then(|| round.total.as_secs_f64() / f64::from(round.answers));
        let is_slow = seen.zip(self.usual).is_some_and(|(seen, usual)| usual.is_exceeded_by(seen));
        if round.throttled || is_slow {
            self.now = less(self.now);
        } else if round.was_full {
            self.now = (self.now + 1).min(self.most);
        }
        if let Some(seen) = seen {
            self.usual = Some(self.usual.map_or(Usual { mean: seen, variance: 0.0 }, |usual| usual.with(seen)));
        }
    }
}

impl Usual {
    fn is_exceeded_by(self, seen: f64) -> bool {
        seen > self.mean + (DEVIATIONS * self.variance.sqrt()).max(NOISE.as_secs_f64())
    }

    /// Exponentially weighted (West, 1979).
    fn with(self, seen: f64) -> Self {
        let difference = seen - self.mean;
        let mean = self.mean + WEIGHT * difference;
        Self { mean, variance: (1.0 - WEIGHT) * (self.variance + WEIGHT * difference * difference) }
    }
}

/// A tenth less, at least one less, and never none.
fn less(now: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a few hundred at most"
    )]
    let share = (now as f64 * DECREASE).floor() as usize;
    share.clamp(1, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_millis(100);

    /// Rounds of as many requests as may be under way; the limit after each.
    fn rounds(flow: &Flow, took: Duration, throttled: bool, from: &mut Duration, count: usize) -> Vec<usize> {
        (0..count)
            .map(|_| {
                let places: Vec<_> = std::iter::from_fn(|| flow.try_enter().ok()).collect();
                let began = *from;
                *from += took;
                for _ in &places {
                    flow.learn(Exchanged { began, ended: *from, throttled });
                }
                drop(places);
                flow.limit().0
            })
            .collect()
    }

    #[test]
    fn an_upstream_that_throttles_is_asked_less_at_once_and_more_again_when_it_bears_it() {
        let (flow, mut now) = (Flow::new(8), Duration::ZERO);
        assert_eq!(rounds(&flow, USUAL, false, &mut now, 3), [8, 8, 8], "never more than the rules allow");
        assert_eq!(
            rounds(&flow, USUAL, true, &mut now, 9),
            [7, 6, 5, 4, 3, 2, 1, 1, 1],
            "once a round, and never none"
        );
        assert_eq!(rounds(&flow, USUAL, false, &mut now, 9), [2, 3, 4, 5, 6, 7, 8, 8, 8]);
        assert_eq!(flow.places.available_permits(), 8);
    }

    #[test]
    fn answers_that_take_much_longer_than_usual_are_a_sign_too_and_a_little_is_none() {
        let (flow, mut now) = (Flow::new(8), Duration::ZERO);
        rounds(&flow, USUAL, false, &mut now, 5);
        assert_eq!(rounds(&flow, USUAL + NOISE / 2, false, &mut now, 2), [8, 8]);
        assert_eq!(rounds(&flow, 5 * USUAL, false, &mut now, 1), [7]);
        // What takes so long for good is usual soon.
        assert_eq!(*rounds(&flow, 5 * USUAL, false, &mut now, 12).last().unwrap(), 8);
    }

    #[test]
    fn who_needs_few_places_gets_no_more() {
        let (flow, mut now) = (Flow::new(8), Duration::ZERO);
        rounds(&flow, USUAL, false, &mut now, 2);
        rounds(&flow, USUAL, true, &mut now, 4);
        let after: Vec<usize> = (0..10)
            .map(|_| {
                let began = now;
                now += USUAL;
                let place = flow.try_enter().unwrap();
                flow.learn(Exchanged { began, ended: now, throttled: false });
                drop(place);
                flow.limit().0
            })
            .collect();
        // The rest of the last round had taken all places; none of these did.
        assert_eq!(after, [5; 10]);
    }

    #[test]
    fn places_that_are_taken_go_when_they_are_free() {
        let flow = Flow::new(3);
        let all: Vec<_> = std::iter::from_fn(|| flow.try_enter().ok()).collect();
        flow.learn(Exchanged { began: Duration::ZERO, ended: USUAL, throttled: true });
        flow.learn(Exchanged { began: USUAL, ended: 2 * USUAL, throttled: true });
        assert_eq!(flow.limit(), (1, 3));
        drop(all);
        let place = flow.try_enter().unwrap();
        assert!(flow.try_enter().is_err(), "one at a time now");
        // One that comes back is there at once.
        flow.learn(Exchanged { began: 3 * USUAL, ended: 4 * USUAL, throttled: false });
        assert_eq!(flow.limit(), (2, 3));
        assert!(flow.try_enter().is_ok());
        drop(place);
    }
}
