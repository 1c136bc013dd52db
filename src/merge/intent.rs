//! Owns: the life of a remote write that is recorded before it is sent, as decisions: `prepared → sent → settled | unknown`.
//!
//! Must not know: stores, requests, how evidence is asked for.
//!
//! The engine runs these decisions against a store and a network; `tests/model` runs them through every interleaving.

use chrono::{DateTime, TimeDelta, Utc};

use crate::record::{Slot, Value};
use crate::rules::{Collection, Idempotency};

use super::{Settled, Verdict, holds, settle};

/// How far a recorded write is. Where it is settled there is no intent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Not sent, or certainly not done: it may be sent, replaced or forgotten.
    Prepared,
    /// As prepared; the upstream asked to wait.
    Parked,
    /// Marked durably before its first byte: from here on the outcome counts as unknown.
    Sent,
    /// Sent, and no answer told what came of it.
    Unknown,
}

impl IntentState {
    /// The states in which nothing is decided about the spoke, and nothing sent, before evidence settles the outcome.
    pub const OPEN: [Self; 2] = [Self::Sent, Self::Unknown];

    /// The states in which it may be sent.
    pub const SENDABLE: [Self; 2] = [Self::Prepared, Self::Parked];
}

/// What is known of a write after it was sent, or after evidence was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// The record moved on: the write is decided again on what is there now.
    Overtaken,
    /// There is no such record.
    Gone,
    /// It was certainly not done.
    NotDone {
        /// The upstream named a moment before which nothing more shall come.
        asked_to_wait: bool,
    },
    /// It may have been done.
    Unknown,
}

/// What becomes of the intent; `None`: it is over.
pub fn after(answer: Answer) -> Option<IntentState> {
    match answer {
        Answer::Done | Answer::Overtaken | Answer::Gone => None,
        Answer::NotDone { asked_to_wait: true } => Some(IntentState::Parked),
        Answer::NotDone { asked_to_wait: false } => Some(IntentState::Prepared),
        Answer::Unknown => Some(IntentState::Unknown),
    }
}

impl Verdict {
    /// What the evidence amounts to. What is not proven either way is merged again, never sent again as it was.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Landed { .. } => Answer::Done,
            Self::NotLanded => Answer::NotDone { asked_to_wait: false },
            Self::TargetGone => Answer::Gone,
            Self::Superseded | Self::Undecided => Answer::Overtaken,
        }
    }
}

/// What a new plan does to the intent that waits to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The waiting one is forgotten.
    pub forget: bool,
    /// The wanted one is recorded.
    pub record: bool,
}

/// Compares the payload hash of the intent that waits with that of the write that is wanted now. One that would send the
/// same bytes stays, and keeps its key.
pub fn renew(waiting: Option<&str>, wanted: Option<&str>) -> Renewal {
    let same = waiting.is_some() && waiting == wanted;
    Renewal { forget: waiting.is_some() && !same, record: wanted.is_some() && !same }
}

/// Whether a record that is shown after a write is the write's own echo: at another version it is somebody's later edit.
pub fn is_echo(written: Option<&str>, shown: Option<&str>) -> bool {
    written.is_none() || shown.is_none() || written == shown
}

/// What an acknowledged write amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The base pair from now on, and what was ignored.
    pub settled: Settled,
    /// The answer showed more than what was sent: it is decided on as an observation.
    pub more: bool,
}

/// Accepts an acknowledged write. `former` is the base pair at the commit, `None` for a create: a record that is made anew
/// has nothing in common with the one that was there before. `observed` is the write's echo. A `repeated` write may be
/// answered for its first sending, and show what others made of the record since: a value that differs from what was sent
/// is then an edit to be merged, not the upstream's spelling.
pub fn accept(
    collection: &Collection,
    former: Option<(&[Option<Value>], &[Slot])>,
    mut sent: Vec<(usize, Value)>,
    observed: Option<&[Slot]>,
    repeated: bool,
) -> Accepted {
    let all = sent.len();
    if let (true, Some(observed)) = (repeated, observed) {
        sent.retain(|(field, value)| holds(collection, observed, *field, value));
    }
    let (hub, remote) = former.unwrap_or_default();
    let settled = settle(collection, hub, remote, &sent, observed);
    let unproven = sent.len() < all;
    let more = unproven || observed.is_some_and(|observed| shows_more(collection, observed, &settled.remote));
    Accepted { settled, more }
}

/// True where the answer shows an edit by somebody else beside what was sent.
fn shows_more(collection: &Collection, observed: &[Slot], remote: &[Slot]) -> bool {
    collection.fields.iter().enumerate().any(|(at, field)| match (observed.get(at), remote.get(at)) {
        (Some(Slot::Value(now)), Some(Slot::Value(then))) => !field.domain.same(now, then),
        (Some(Slot::Value(now)), _) => !now.is_null(),
        (Some(Slot::Absent | Slot::Bad(_)) | None, _) => false,
    })
}

/// Lookups that have to find nothing before a create is sent again.
const LOOKS_MIN: u32 = 2;

/// How the outcome of a create is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// It is sent again under its key, which the upstream remembers.
    Repeat,
    /// It is looked up by what identifies it.
    LookUp,
    /// The listing answers, or a person does.
    Wait,
}

/// How a create of this `age` is asked about.
pub fn ask_of_create(idempotency: Option<&Idempotency>, age: TimeDelta) -> Ask {
    match idempotency {
        Some(Idempotency::Key { ttl, .. }) if TimeDelta::from_std(*ttl).is_ok_and(|ttl| age < ttl) => Ask::Repeat,
        Some(Idempotency::ClientId | Idempotency::Match(_) | Idempotency::Field(_)) => Ask::LookUp,
        Some(Idempotency::Key { .. } | Idempotency::None) | None => Ask::Wait,
    }
}

/// Whether a lookup that found nothing proves that a create never happened. A point read by an id of our own choosing does
/// not lag behind, and creating it again is refused if it is there; any other lookup proves it the second time (`looks` are
/// those that found nothing), after `window`.
pub fn never_happened(
    idempotency: Option<&Idempotency>,
    looks: u32,
    sent_at: DateTime<Utc>,
    now: DateTime<Utc>,
    window: TimeDelta,
) -> bool {
    matches!(idempotency, Some(Idempotency::ClientId)) || (looks >= LOOKS_MIN && sent_at + window < now)
}
