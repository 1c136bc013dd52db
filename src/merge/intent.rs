//! Owns: the life of one remote write from its durable intent to its end.
//!
//! Must not know: storage, requests, the clock, how evidence is gathered.
//!
//! ```text
//! prepared ──send──► sent ──acknowledged──────────────► ended(landed)
//!    ▲  │             ├─ refused ─► parked, quarantined, ended(remerge | target gone)
//!    │  └─withdrawn   └─ lost, restart ─► unknown ──evidence──► ended(landed | not landed | remerge | target gone)
//!  parked ◄─ throttled                      └─ same-key retry ─► sent
//! ```

use chrono::{DateTime, Utc};

use crate::rules::ErrorClass;

use super::Verdict;

/// Where a write stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Recorded, and no byte of it sent.
    Prepared,
    /// On its way: it may have landed.
    Sent,
    /// No answer that tells. Nothing else is written to this record there until evidence settles it.
    Unknown {
        /// Since when: the visibility window counts from here.
        since: DateTime<Utc>,
        /// Lookups that found nothing so far.
        lookups: u32,
    },
    /// Not applied, for certain; to be sent again from then on.
    Parked {
        /// The moment; `None` where only an operator can help (credentials, a stopped upstream).
        until: Option<DateTime<Utc>>,
    },
    /// Set aside for a person, or until its inputs change.
    Quarantined {
        /// Why.
        reason: String,
    },
    /// Over.
    Ended(Outcome),
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It took effect: the base advances.
    Landed,
    /// It did not: the next diff derives it again, with a new intent.
    NotLanded,
    /// The remote record moved: read again, merge again.
    Remerge,
    /// The remote record is not there: to be confirmed, then a remote delete.
    TargetGone,
    /// Taken back before it was sent.
    Withdrawn,
}

/// What happens to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its first byte goes out.
    SendStarted,
    /// A success answer.
    Acknowledged,
    /// An answer of another class; `until` where it says when to come back.
    Refused {
        /// Its class.
        class: ErrorClass,
        /// When to try again.
        until: Option<DateTime<Utc>>,
        /// The upstream's words, for a person.
        reason: String,
        /// When it arrived.
        at: DateTime<Utc>,
    },
    /// No answer: a timeout, a broken connection; or the process died meanwhile.
    Lost {
        /// When.
        at: DateTime<Utc>,
    },
    /// Sent again in a way that cannot apply twice: the same idempotency key within its time to live, or the same precondition.
    SameKeyRetry,
    /// A point read was compared with what was sent.
    ReadBack(Verdict),
    /// A lookup found exactly one record that is ours.
    LookupFound,
    /// A lookup found several.
    LookupSeveral {
        /// How many.
        count: usize,
    },
    /// A lookup found none yet; the upstream's index may lag.
    LookupNone,
    /// Long enough since it was sent that a lookup would see it.
    VisibilityWindowPassed,
    /// The moment that it was parked for has come, or an operator released it.
    Due,
    /// No longer wanted; only possible while nothing was sent.
    Withdrawn,
}

/// An event that cannot happen in a state: a bug in the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an intent that is {state:?} cannot take {event:?}")]
pub struct Illegal {
    /// The state.
    pub state: State,
    /// The event.
    pub event: Event,
}

/// The next state. `Unknown` never goes back to `Prepared` by itself: a blind resend is not expressible (I6).
pub fn step(state: State, event: Event) -> Result<State, Illegal> {
    match state {
        State::Prepared => prepared(event),
        State::Sent => sent(event),
        State::Unknown { since, lookups } => unknown(since, lookups, event),
        State::Parked { until } => match event {
            Event::Due => Ok(State::Prepared),
            event => withdraw(State::Parked { until }, event),
        },
        State::Quarantined { reason } => withdraw(State::Quarantined { reason }, event),
        State::Ended(outcome) => Err(Illegal { state: State::Ended(outcome), event }),
    }
}

fn prepared(event: Event) -> Result<State, Illegal> {
    match event {
        Event::SendStarted => Ok(State::Sent),
        // The budget or the breaker says "not now" before anything is sent.
        Event::Refused { class, until, reason, at } => Ok(refused(class, until, reason, at)),
        event => withdraw(State::Prepared, event),
    }
}

fn sent(event: Event) -> Result<State, Illegal> {
    match event {
        Event::Acknowledged => Ok(State::Ended(Outcome::Landed)),
        Event::Refused { class, until, reason, at } => Ok(refused(class, until, reason, at)),
        Event::Lost { at } => Ok(State::Unknown { since: at, lookups: 0 }),
        Event::SendStarted
        | Event::SameKeyRetry
        | Event::ReadBack(_)
        | Event::LookupFound
        | Event::LookupSeveral { .. }
        | Event::LookupNone
        | Event::VisibilityWindowPassed
        | Event::Due
        | Event::Withdrawn => Err(Illegal { state: State::Sent, event }),
    }
}

/// Of a state in which nothing is under way: it can be withdrawn, and nothing else.
fn withdraw(state: State, event: Event) -> Result<State, Illegal> {
    match event {
        Event::Withdrawn => Ok(State::Ended(Outcome::Withdrawn)),
        Event::SendStarted
        | Event::Acknowledged
        | Event::Refused { .. }
        | Event::Lost { .. }
        | Event::SameKeyRetry
        | Event::ReadBack(_)
        | Event::LookupFound
        | Event::LookupSeveral { .. }
        | Event::LookupNone
        | Event::VisibilityWindowPassed
        | Event::Due => Err(Illegal { state, event }),
    }
}

fn refused(class: ErrorClass, until: Option<DateTime<Utc>>, reason: String, at: DateTime<Utc>) -> State {
    match class {
        ErrorClass::Ok => State::Ended(Outcome::Landed),
        ErrorClass::RateLimited | ErrorClass::Auth | ErrorClass::Fatal => State::Parked { until },
        // A 5xx may come from a gateway in front of an upstream that did the work.
        ErrorClass::Transient => State::Unknown { since: at, lookups: 0 },
        ErrorClass::Conflict => State::Ended(Outcome::Remerge),
        ErrorClass::Gone | ErrorClass::NotFound => State::Ended(Outcome::TargetGone),
        ErrorClass::Invalid | ErrorClass::CursorExpired => State::Quarantined { reason },
    }
}

fn unknown(since: DateTime<Utc>, lookups: u32, event: Event) -> Result<State, Illegal> {
    match event {
        Event::ReadBack(verdict) => Ok(match verdict {
            Verdict::Landed { fields: _ } => State::Ended(Outcome::Landed),
            Verdict::NotLanded => State::Ended(Outcome::NotLanded),
            Verdict::Superseded => State::Ended(Outcome::Remerge),
            Verdict::TargetGone => State::Ended(Outcome::TargetGone),
            Verdict::Undecided => State::Unknown { since, lookups },
        }),
        Event::SameKeyRetry => Ok(State::Sent),
        Event::LookupFound => Ok(State::Ended(Outcome::Landed)),
        Event::LookupSeveral { count } => {
            Ok(State::Quarantined { reason: format!("{count} records may be the one that was created; choose one") })
        }
        Event::LookupNone => Ok(State::Unknown { since, lookups: lookups.saturating_add(1) }),
        // Only a lookup that looked and found nothing proves that nothing is there (s2).
        Event::VisibilityWindowPassed if lookups > 0 => Ok(State::Ended(Outcome::NotLanded)),
        Event::VisibilityWindowPassed => Ok(State::Quarantined {
            reason: "the outcome is not known and the upstream offers no way to look it up".to_owned(),
        }),
        // Told again what is known already: a second loss, a restart.
        Event::Lost { .. } => Ok(State::Unknown { since, lookups }),
        Event::SendStarted | Event::Acknowledged | Event::Refused { .. } | Event::Due | Event::Withdrawn => {
            Err(Illegal { state: State::Unknown { since, lookups }, event })
        }
    }
}
