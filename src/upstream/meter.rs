//! Owns: what was asked of one upstream and how it answered, as far as it is not yet written down; the meters of all
//! upstreams, which outlive clients.
//!
//! Must not know: where it is written down; clocks, what requests are for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::totals::{End, Totals, WaitFor};
use super::{Latency, Response, TransportError};

/// Minutes that wait to be written down, at most; the oldest are lost.
const MINUTES_MAX: usize = 120;
const SECONDS_PER_MINUTE: i64 = 60;
const SECONDS_PER_DAY: i64 = 86_400;

/// What one upstream was asked on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Requests that were sent, repeated ones included.
    pub requests: u64,
    /// Those of them that repeated another one.
    pub retries: u64,
    /// Those that were answered 4xx, but for 429.
    pub refused: u64,
    /// Those that were answered 429.
    pub throttled: u64,
    /// Those that were answered 5xx, or not at all.
    pub failed: u64,
    /// Bytes of the bodies that were sent.
    pub sent_bytes: u64,
    /// Bytes of the bodies that came back, unpacked.
    pub received_bytes: u64,
    /// What they cost, in billionths of a US dollar.
    pub cost_nano_usd: u64,
}

/// One exchange, as it counts.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// It repeats an earlier one.
    pub repeats: bool,
    /// Bytes of the body that was sent.
    pub sent_bytes: u64,
    /// What it costs, in billionths of a US dollar.
    pub cost_nano_usd: u64,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: &'a Result<Response, TransportError>,
}

/// How an upstream answered in a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// How long its answers took.
    pub latency: Latency,
    /// Requests that failed.
    pub failed: u64,
}

/// Whether an upstream is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// By the last answer.
    pub up: bool,
    /// Since when it is so, as far as this process knows.
    pub since: DateTime<Utc>,
    /// It was otherwise before, in this process.
    pub turned: bool,
    /// When it was last asked.
    pub seen_at: DateTime<Utc>,
    /// What it last failed by in this process, and when.
    pub error: Option<(String, DateTime<Utc>)>,
}

/// What is to be written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    /// What was asked, by day (since 1970-01-01, in UTC).
    pub days: BTreeMap<i64, Asked>,
    /// How it was answered, by minute (seconds since 1970-01-01).
    pub minutes: BTreeMap<i64, Answers>,
    /// Whether it is up, where there is news of that.
    pub health: Option<Health>,
}

impl Metered {
    /// Nothing is to be written down.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.minutes.is_empty() && self.health.is_none()
    }
}

/// What was asked of one upstream, and how it answered, since that was last written down; and all of it since the start.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    days: BTreeMap<i64, Asked>,
    minutes: BTreeMap<i64, Answers>,
    health: Option<Health>,
    is_news: bool,
    totals: Totals,
}

impl Meter {
    /// Counts an exchange that ended at this time.
    pub fn count(&self, at: DateTime<Utc>, exchange: &Exchange<'_>) {
        let mut pending = self.pending();
        let asked = pending.days.entry(at.timestamp().div_euclid(SECONDS_PER_DAY)).or_default();
        asked.requests += 1;
        asked.retries += u64::from(exchange.repeats);
        asked.sent_bytes += exchange.sent_bytes;
        asked.cost_nano_usd = asked.cost_nano_usd.saturating_add(exchange.cost_nano_usd);
        let received_bytes = exchange.outcome.as_ref().map_or(0, |response| {
            // With a rest everything is counted as it comes.
            if response.rest.is_some() { 0 } else { response.body.len() as u64 }
        });
        asked.received_bytes += received_bytes;
        let end = End::of(exchange.outcome);
        match end {
            End::Ok => {}
            End::Refused => asked.refused += 1,
            End::Throttled => asked.throttled += 1,
            End::Failed => asked.failed += 1,
        }
        let totals = &mut pending.totals;
        totals.took(end, exchange.took);
        totals.retries += u64::from(exchange.repeats);
        totals.sent_bytes += exchange.sent_bytes;
        totals.received_bytes += received_bytes;
        totals.cost_nano_usd = totals.cost_nano_usd.saturating_add(exchange.cost_nano_usd);
    }

    /// Counts what came of an answer after it was counted itself.
    pub fn received(&self, at: DateTime<Utc>, bytes: u64) {
        let mut pending = self.pending();
        pending.days.entry(at.timestamp().div_euclid(SECONDS_PER_DAY)).or_default().received_bytes += bytes;
        pending.totals.received_bytes += bytes;
    }

    /// Counts that a request waited so long.
    pub fn waited(&self, what: WaitFor, wait: Duration) {
        self.pending().totals.waited(what, wait);
    }

    /// What was counted since the process began.
    pub fn totals(&self) -> Totals {
        self.pending().totals.clone()
    }

    /// Notes that an answer took so long, or why there was none that counts. True where that is a turn.
    pub fn note(&self, at: DateTime<Utc>, answer: Result<Duration, String>) -> bool {
        let mut pending = self.pending();
        let minute = at.timestamp().div_euclid(SECONDS_PER_MINUTE) * SECONDS_PER_MINUTE;
        let answers = pending.minutes.entry(minute).or_default();
        let up = answer.is_ok();
        let mut error = None;
        match answer {
            Ok(took) => answers.latency.add(took),
            Err(words) => {
                answers.failed += 1;
                error = Some((words, at));
            }
        }
        if pending.minutes.len() > MINUTES_MAX {
            pending.minutes.pop_first();
        }
        let before = pending.health.take();
        let has_turned = before.as_ref().is_some_and(|before| before.up != up);
        pending.health = Some(match before {
            Some(before) if !has_turned => Health { seen_at: at, error: error.or(before.error), ..before },
            before => {
                let error = error.or(before.and_then(|before| before.error));
                Health { up, since: at, turned: has_turned, seen_at: at, error }
            }
        });
        pending.is_news = true;
        has_turned
    }

    /// Whether it is down, by its last answer.
    pub fn is_down(&self) -> bool {
        self.pending().health.as_ref().is_some_and(|health| !health.up)
    }

    /// Everything that is to be written down; it counts no more.
    pub fn take(&self) -> Metered {
        let mut pending = self.pending();
        let is_news = std::mem::take(&mut pending.is_news);
        let health = pending.health.clone().filter(|_| is_news);
        Metered { days: std::mem::take(&mut pending.days), minutes: std::mem::take(&mut pending.minutes), health }
    }

    /// What was taken could not be written down.
    pub fn put_back(&self, taken: &Metered) {
        let mut pending = self.pending();
        for (day, asked) in &taken.days {
            pending.days.entry(*day).or_default().add(asked);
        }
        for (minute, answers) in &taken.minutes {
            let now = pending.minutes.entry(*minute).or_default();
            now.latency.merge(&answers.latency);
            now.failed += answers.failed;
        }
        while pending.minutes.len() > MINUTES_MAX {
            pending.minutes.pop_first();
        }
        pending.is_news |= taken.health.is_some();
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.retries += other.retries;
        self.refused += other.refused;
        self.throttled += other.throttled;
        self.failed += other.failed;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.cost_nano_usd = self.cost_nano_usd.saturating_add(other.cost_nano_usd);
    }
}

/// The meters of all upstreams: clients come and go with the rules.
#[derive(Debug, Default)]
pub struct Meters(Mutex<BTreeMap<String, Arc<Meter>>>);

impl Meters {
    /// The meter of this upstream.
    pub fn of(&self, upstream: &str) -> Arc<Meter> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(meters.entry(upstream.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answer, status};
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn exchanges_are_told_apart_by_their_end_and_what_was_not_written_down_comes_back() {
        let meter = Meter::default();
        let broken = Err(TransportError::Broken("reset".to_owned()));
        let outcomes = [answer(200, &[], "12345"), status(404), status(429), status(503), broken];
        for (number, outcome) in outcomes.iter().enumerate() {
            let exchange = Exchange {
                repeats: number > 3,
                sent_bytes: 2,
                cost_nano_usd: 100,
                took: Duration::from_millis(20),
                outcome,
            };
            meter.count(at(if number == 0 { 7 * 86_400 } else { 9 * 86_400 - 1 }), &exchange);
        }
        let first = Asked { requests: 1, sent_bytes: 2, received_bytes: 5, cost_nano_usd: 100, ..Asked::default() };
        let no = r#"{"message":"no"}"#.len() as u64;
        let second = Asked {
            requests: 4,
            retries: 1,
            refused: 1,
            throttled: 1,
            failed: 2,
            sent_bytes: 8,
            received_bytes: 3 * no,
            cost_nano_usd: 400,
        };
        let taken = meter.take();
        assert_eq!(taken.days, BTreeMap::from([(7, first), (8, second)]));
        assert!(meter.take().is_empty());
        let totals = meter.totals();
        assert_eq!(End::ALL.map(|end| totals.durations(end).count()), [1, 1, 1, 2]);
        assert_eq!((totals.retries, totals.received_bytes, totals.cost_nano_usd), (1, 5 + 3 * no, 500));
        meter.put_back(&taken);
        assert_eq!(meter.totals(), totals, "they neither shrink nor count twice");
        let exchange =
            Exchange { repeats: false, sent_bytes: 0, cost_nano_usd: 0, took: Duration::ZERO, outcome: &outcomes[0] };
        meter.count(at(7 * 86_400), &exchange);
        let days = meter.take().days;
        assert_eq!((days[&7].requests, days[&7].received_bytes, days[&8]), (2, 10, second));
    }

    #[test]
    fn a_meter_outlives_the_client_that_counted_on_it() {
        let meters = Meters::default();
        let outcome = status(200);
        let exchange =
            Exchange { repeats: false, sent_bytes: 0, cost_nano_usd: 0, took: Duration::ZERO, outcome: &outcome };
        meters.of("crm").count(at(1), &exchange);
        assert_eq!((meters.of("erp").take().days.len(), meters.of("crm").take().days.len()), (0, 1));
    }

    #[test]
    fn an_upstream_is_up_or_down_since_the_first_answer_of_its_kind_in_a_row() {
        let meter = Meter::default();
        let down = |words: &str| Err(words.to_owned());
        let mut health = Vec::new();
        let mut note = |seconds: i64, answer: Result<Duration, String>| {
            let has_turned = meter.note(at(seconds), answer);
            health.extend(meter.take().health);
            has_turned
        };
        let took = Ok(Duration::from_millis(5));
        assert!(!note(10, took.clone()), "the first answer is no turn");
        assert!(!note(20, took.clone()));
        assert!(note(30, down("a")) && !note(40, down("b")) && note(50, took));
        let said: Vec<_> = health
            .iter()
            .map(|now| (now.up, now.since.timestamp(), now.turned, now.error.as_ref().map(|(words, _)| words.as_str())))
            .collect();
        let expected = [
            (true, 10, false, None),
            (true, 10, false, None),
            (false, 30, true, Some("a")),
            (false, 30, true, Some("b")),
            (true, 50, true, Some("b")),
        ];
        assert_eq!(said, expected);
        assert_eq!(meter.take().health, None, "no news");
    }

    #[test]
    fn minutes_that_nobody_writes_down_are_bounded_and_come_back_in_full() {
        let meter = Meter::default();
        for minute in 0..200 {
            meter.note(at(minute * 60 + 59), Ok(Duration::from_millis(5)));
            meter.note(at(minute * 60), Err("no".to_owned()));
        }
        let taken = meter.take();
        assert_eq!((taken.minutes.len(), *taken.minutes.keys().next().unwrap()), (MINUTES_MAX, 80 * 60));
        meter.note(at(199 * 60), Err("no".to_owned()));
        meter.put_back(&taken);
        let again = meter.take();
        let last = &again.minutes[&(199 * 60)];
        assert_eq!((again.minutes.len(), last.failed, last.latency.count()), (MINUTES_MAX, 2, 1));
    }
}
