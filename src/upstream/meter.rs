//! Owns: what was asked of one upstream and not yet written down, by UTC day; the meters of all upstreams, which outlive
//! clients.
//!
//! Must not know: where it is written down; clocks, what requests are for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Response, TransportError};

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
    /// How it ended.
    pub outcome: &'a Result<Response, TransportError>,
}

/// What was asked of one upstream since it was last written down.
#[derive(Debug, Default)]
pub struct Meter(Mutex<BTreeMap<i64, Asked>>);

impl Meter {
    /// Counts an exchange that ended on this day.
    pub fn count(&self, day: i64, exchange: &Exchange<'_>) {
        let mut days = self.days();
        let asked = days.entry(day).or_default();
        asked.requests += 1;
        asked.retries += u64::from(exchange.repeats);
        asked.sent_bytes += exchange.sent_bytes;
        asked.cost_nano_usd = asked.cost_nano_usd.saturating_add(exchange.cost_nano_usd);
        match exchange.outcome {
            Ok(response) => {
                asked.received_bytes += response.body.len() as u64;
                match response.status {
                    429 => asked.throttled += 1,
                    400..500 => asked.refused += 1,
                    500.. => asked.failed += 1,
                    _ => {}
                }
            }
            Err(_) => asked.failed += 1,
        }
    }

    /// Everything that was counted; it is counted no more.
    pub fn take(&self) -> BTreeMap<i64, Asked> {
        std::mem::take(&mut *self.days())
    }

    /// What was taken could not be written down.
    pub fn put_back(&self, taken: &BTreeMap<i64, Asked>) {
        let mut days = self.days();
        for (day, taken) in taken {
            days.entry(*day).or_default().add(taken);
        }
    }

    fn days(&self) -> MutexGuard<'_, BTreeMap<i64, Asked>> {
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

    #[test]
    fn exchanges_are_told_apart_by_their_end_and_what_was_not_written_down_comes_back() {
        let meter = Meter::default();
        let broken = Err(TransportError::Broken("reset".to_owned()));
        let outcomes = [answer(200, &[], "12345"), status(404), status(429), status(503), broken];
        for (at, outcome) in outcomes.iter().enumerate() {
            let exchange = Exchange { repeats: at > 3, sent_bytes: 2, cost_nano_usd: 100, outcome };
            meter.count(if at == 0 { 7 } else { 8 }, &exchange);
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
        assert_eq!(taken, BTreeMap::from([(7, first), (8, second)]));
        assert_eq!(meter.take(), BTreeMap::new());
        meter.put_back(&taken);
        meter.count(7, &Exchange { repeats: false, sent_bytes: 0, cost_nano_usd: 0, outcome: &outcomes[0] });
        let days = meter.take();
        assert_eq!((days[&7].requests, days[&7].received_bytes, days[&8]), (2, 10, second));
    }

    #[test]
    fn a_meter_outlives_the_client_that_counted_on_it() {
        let meters = Meters::default();
        let outcome = status(200);
        let exchange = Exchange { repeats: false, sent_bytes: 0, cost_nano_usd: 0, outcome: &outcome };
        meters.of("crm").count(1, &exchange);
        assert_eq!((meters.of("erp").take().len(), meters.of("crm").take().len()), (0, 1));
    }
}
