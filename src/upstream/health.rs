//! Owns: asking an upstream whether it is well, beside calls: within budgets and breaker, and never waiting for either.
//!
//! Must not know: when it is asked; what answers are kept for.

use std::time::Duration;

use super::breaker::Leave;
use super::call::Call;
use super::classify::{Pace, Verdict, classify};
use super::client::{Attempted, Manner};
use super::flow::Place;
use super::{Built, Client, Failure, FailureKind, Holes, Response, Safety, TransportError};
use crate::rules::Health;

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It is up; the answer took so long.
    Up(Duration),
    /// It is down, with the reason.
    Down(String),
    /// It was not asked, or nothing follows from its answer.
    LeftOut(Pass),
}

/// Why a probe was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The rules want none.
    NotWanted,
    /// The breaker is open, or somebody else probes.
    Breaker,
    /// A budget has no room for it, or the upstream asked for a pause.
    Budget,
    /// As many requests as may be are under way, and none of them ended in time.
    Busy,
    /// It answered that it is asked too much.
    Throttled,
}

impl Client {
    /// Asks once, if the rules want it and nothing stands in the way, and notes the answer.
    pub async fn probe_health(&self) -> Result<Probed, Failure> {
        let Some(health) = &self.upstream.health else { return Ok(Probed::LeftOut(Pass::NotWanted)) };
        let probed = self.ask_whether_well(health).await?;
        let (name, now) = (self.upstream.name.as_str(), self.clock.now());
        match &probed {
            Probed::Up(took) => {
                if self.meter.note(now, Ok(*took)) {
                    tracing::info!(upstream = name, "{name} is up again");
                }
            }
            Probed::Down(words) => {
                if self.meter.note(now, Err(words.clone())) {
                    tracing::warn!(upstream = name, "{name} is down: {words}");
                }
            }
            Probed::LeftOut(_) => {}
        }
        Ok(probed)
    }

    async fn ask_whether_well(&self, health: &Health) -> Result<Probed, Failure> {
        let request = self.build(&health.request, &Holes::default())?;
        let Some(_place) = self.place_within(health.timeout).await else { return Ok(Probed::LeftOut(Pass::Busy)) };
        let leave = self.state().breaker.ask(self.clock.monotonic());
        let probing = match leave {
            Leave::Free => None,
            Leave::Refused(_) => return Ok(Probed::LeftOut(Pass::Breaker)),
            Leave::Probe => match self.probing.try_lock() {
                Ok(probing) => Some(probing),
                Err(_) => return Ok(Probed::LeftOut(Pass::Breaker)),
            },
        };
        if self.take_turn(&request).await?.is_err() {
            return Ok(Probed::LeftOut(Pass::Budget));
        }
        let began = self.clock.monotonic();
        let manner = Manner { probe: probing.is_some(), within: Some(health.timeout), ..Manner::default() };
        let Attempted { outcome, throttled, .. } = match self.attempt(&request, manner).await {
            Ok(attempted) => attempted,
            // No token: nobody gets in.
            Err(failure) => return Ok(Probed::Down(failure.words)),
        };
        let took = self.clock.monotonic().saturating_sub(began);
        let verdict = classify(outcome.as_ref(), Safety::Read, false, throttled.is_some(), &self.upstream.errors);
        Ok(match verdict {
            Verdict::Success => Probed::Up(took),
            Verdict::Retry { pace: Pace::Throttled, .. } => {
                if let Ok(response) = &outcome {
                    self.throttled_until(&response.headers, 1);
                }
                Probed::LeftOut(Pass::Throttled)
            }
            Verdict::Retry { spent: kind, .. } | Verdict::Fail(kind) => {
                Probed::Down(self.why(kind, &request, &outcome))
            }
        })
    }

    async fn place_within(&self, patience: Duration) -> Option<Place<'_>> {
        if let Ok(place) = self.flow.try_enter() {
            return Some(place);
        }
        tokio::select! {
            biased;
            place = self.flow.enter() => place,
            () = self.clock.sleep(patience) => None,
        }
    }

    /// Notes how an ordinary request was answered.
    pub(super) fn note_answer(&self, request: &Built, answer: Result<Duration, &Result<Response, TransportError>>) {
        let answer = answer.map_err(|outcome| self.why(FailureKind::Unavailable, request, outcome));
        self.meter.note(self.clock.now(), answer);
    }

    fn why(&self, kind: FailureKind, request: &Built, outcome: &Result<Response, TransportError>) -> String {
        self.failure(kind, request, outcome, &Call::default(), None).words
    }
}
