//! Owns: how many webhooks came since the start, by how they were answered.
//!
//! Must not know: why; who asks for the numbers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::rules::Ruleset;

/// How a webhook was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    /// It is kept, and acted upon or known to be about nothing that is followed.
    Accepted,
    /// It was kept before.
    Repeated,
    /// It is not genuine, too old, or no webhook at all.
    Refused,
    /// It is to be sent again later: too many wait, or it could not be checked or kept.
    PutOff,
}

/// All, with what they are called.
const ALL: [(Arrival, &str); 4] = [
    (Arrival::Accepted, "accepted"),
    (Arrival::Repeated, "repeated"),
    (Arrival::Refused, "refused"),
    (Arrival::PutOff, "put_off"),
];

/// Counters by upstream.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<BTreeMap<(String, Arrival), u64>>);

impl Arrivals {
    /// One came.
    pub fn count(&self, upstream: &str, arrival: Arrival) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.entry((upstream.to_owned(), arrival)).or_default() += 1;
    }

    /// How many came, by upstream and by what that is called: of every upstream that sends webhooks by these rules also what has
    /// not happened yet.
    pub fn told(&self, rules: &Ruleset) -> Vec<(String, &'static str, u64)> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = rules.upstreams.iter().filter(|(_, upstream)| upstream.webhook.is_some()).map(|(name, _)| name);
        let of = |name: &String| {
            let count = |arrival| counted.get(&(name.clone(), arrival)).copied().unwrap_or_default();
            ALL.map(|(arrival, called)| (name.clone(), called, count(arrival)))
        };
        senders.flat_map(of).collect()
    }
}
