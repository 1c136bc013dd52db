//! Owns: when the phases of a pass began and how long they took.
//!
//! Must not know: what happens in them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// Phases of one pass that are told: more than any but one with very many upstreams has.
const PHASES_MAX: usize = 128;

/// One phase of a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// Which.
    #[serde(rename = "phase")]
    pub kind: PhaseKind,
    /// At which upstream; absent where it is about none or about all.
    #[serde(default)]
    pub upstream: Option<String>,
    /// When it began, in microseconds since the pass did.
    pub began_us: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// What a pass does, in its order; the last four come again where writes were overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// The pass is entered, and looks whose account answers, and what became of writes whose outcome is not known.
    Check,
    /// An upstream is read.
    Read,
    /// What was read is held against what is known: what is older, and what is missing.
    Compare,
    /// What to do about each record is decided, and written into the transaction.
    Decide,
    /// The transaction is made durable.
    Commit,
    /// An upstream is written to.
    Push,
}

/// Measures them: two looks at the clock for each.
pub struct Phases {
    clock: Arc<dyn Clock>,
    began: Duration,
    all: Mutex<Vec<Phase>>,
}

impl Phases {
    /// Of a pass that began then, by the steady clock.
    pub fn new(clock: Arc<dyn Clock>, began: Duration) -> Self {
        Self { clock, began, all: Mutex::default() }
    }

    /// The time by the steady clock.
    pub fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Measures a phase, however it ends.
    pub fn of<'a, T: Send + 'a>(
        &'a self,
        phase: PhaseKind,
        upstream: Option<&'a str>,
        work: impl Future<Output = T> + Send + 'a,
    ) -> impl Future<Output = T> + Send + 'a {
        self.measured(phase, upstream, None, work)
    }

    /// Measures the first: from the beginning of the pass.
    pub fn first<'a, T: Send + 'a>(
        &'a self,
        phase: PhaseKind,
        work: impl Future<Output = T> + Send + 'a,
    ) -> impl Future<Output = T> + Send + 'a {
        self.measured(phase, None, Some(self.began), work)
    }

    /// From the time that is given, else from when it is first looked at.
    fn measured<'a, T: Send + 'a>(
        &'a self,
        phase: PhaseKind,
        upstream: Option<&'a str>,
        began: Option<Duration>,
        work: impl Future<Output = T> + Send + 'a,
    ) -> impl Future<Output = T> + Send + 'a {
        // Boxed, so that a pass is no larger for being measured.
        let work = Box::pin(work);
        async move {
            let began = began.unwrap_or_else(|| self.now());
            let done = work.await;
            self.add(phase, upstream, began, self.now());
            done
        }
    }

    /// One that began and ended then.
    pub fn add(&self, phase: PhaseKind, upstream: Option<&str>, began: Duration, ended: Duration) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < PHASES_MAX {
            all.push(Phase {
                kind: phase,
                upstream: upstream.map(str::to_owned),
                began_us: micros(began.saturating_sub(self.began)),
                took_us: micros(ended.saturating_sub(began)),
            });
        }
    }

    /// In the order in which they began; those that began at once in the order of the pass.
    pub fn told(&self) -> Vec<Phase> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_by(|one, other| (one.began_us, &one.upstream).cmp(&(other.began_us, &other.upstream)));
        all
    }
}

/// As they are kept.
pub fn phases_text(phases: &[Phase]) -> Option<String> {
    serde_json::to_string(phases).ok().filter(|_| !phases.is_empty())
}

/// Out of what is kept; none where that cannot be read.
pub fn phases_of(text: Option<&str>) -> Vec<Phase> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn phases_are_told_in_order_from_the_beginning_of_the_pass_and_not_without_end() {
        let phases = Phases::new(Arc::new(SystemClock::new()), Duration::from_secs(5));
        let millis = Duration::from_millis;
        phases.add(PhaseKind::Read, Some("crm"), millis(5_003), millis(5_010));
        phases.add(PhaseKind::Read, Some("billing"), millis(5_003), millis(5_004));
        phases.add(PhaseKind::Check, None, millis(5_000), millis(5_003));
        let told: Vec<_> = phases.told().iter().map(|one| (one.began_us, one.took_us, one.upstream.clone())).collect();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(told, [(0, 3_000, None), (3_000, 1_000, named("billing")), (3_000, 7_000, named("crm"))]);
        assert_eq!(phases_of(phases_text(&phases.told()).as_deref()), phases.told());
        assert_eq!(phases_text(&[]), None);
        assert_eq!(phases_of(Some("{}")), []);
        (0..1_000).for_each(|_| phases.add(PhaseKind::Push, None, millis(6_000), millis(6_000)));
        assert_eq!(phases.told().len(), PHASES_MAX);
    }
}
