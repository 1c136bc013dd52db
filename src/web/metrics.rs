//! Owns: what is counted of passes while the daemon runs.
//!
//! Must not know: the store; who asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::daemon::Heard;
use crate::reconcile::{Counts, Outcome, PassReport};
use crate::rules::Ruleset;
use crate::upstream::Histogram;

use super::exposition::Exposition;
use super::families as f;

/// Upper bounds of the durations of passes, in seconds.
const BOUNDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// How passes end.
const OUTCOMES: [Outcome; 6] =
    [Outcome::Ok, Outcome::Pending, Outcome::Conflicts, Outcome::Unavailable, Outcome::Halted, Outcome::Failed];

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    passes: BTreeMap<(String, &'static str), u64>,
    durations: BTreeMap<String, Histogram>,
    /// By collection, upstream or `local`, operation.
    writes: BTreeMap<(String, String, &'static str), u64>,
    requests: BTreeMap<(String, String), u64>,
    conflicts: BTreeMap<String, u64>,
    missed: u64,
}

impl Tally {
    /// Counts what is heard until the daemon ends.
    pub async fn collect(&self, mut heard: Receiver<Heard>) {
        loop {
            match heard.recv().await {
                Ok(Heard::Ended { collection, report, .. }) => self.count(&collection, report.as_deref().ok()),
                Ok(Heard::Step { .. }) => {}
                Err(RecvError::Lagged(missed)) => self.now().missed += missed,
                // Nobody speaks any more; whoever asks may still do so.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Counts a pass; one without a report failed.
    fn count(&self, collection: &str, report: Option<&PassReport>) {
        let mut now = self.now();
        let outcome = report.map_or("failed", |report| outcome_name(report.outcome));
        *now.passes.entry((collection.to_owned(), outcome)).or_default() += 1;
        let Some(report) = report else { return };
        let durations = now.durations.entry(collection.to_owned()).or_insert_with(|| Histogram::new(&BOUNDS));
        durations.add(Duration::from_millis(report.elapsed_ms));
        *now.conflicts.entry(collection.to_owned()).or_default() += report.conflicts_opened;
        now.count_writes(collection, "local", report.local);
        for upstream in &report.upstreams {
            now.count_writes(collection, &upstream.upstream, upstream.written);
            *now.requests.entry((collection.to_owned(), upstream.upstream.clone())).or_default() += upstream.requests;
        }
    }

    /// What has not happened as yet in these collections is told as 0: of a series that begins with its first failure nobody
    /// sees that it grew.
    pub fn expect(&self, rules: &Ruleset) {
        let mut now = self.now();
        for (name, collection) in &rules.collections {
            for outcome in OUTCOMES.map(outcome_name) {
                now.passes.entry((name.clone(), outcome)).or_default();
            }
            now.durations.entry(name.clone()).or_insert_with(|| Histogram::new(&BOUNDS));
            now.conflicts.entry(name.clone()).or_default();
            now.count_writes(name, "local", Counts::default());
            for binding in &collection.bindings {
                let upstream = &binding.upstream.name;
                now.count_writes(name, upstream, Counts::default());
                now.requests.entry((name.clone(), upstream.clone())).or_default();
            }
        }
    }

    /// Everything that was counted, as text.
    pub fn write(&self, text: &mut Exposition) {
        let now = self.now();
        let mut samples = text.family(&f::PASSES);
        for ((collection, outcome), count) in &now.passes {
            samples.put(&[collection, outcome], count);
        }
        let mut samples = text.family(&f::PASS_DURATION);
        for (collection, histogram) in &now.durations {
            samples.histogram(&[collection], histogram);
        }
        let mut samples = text.family(&f::WRITES);
        for ((collection, upstream, op), count) in &now.writes {
            samples.put(&[collection, upstream, op], count);
        }
        let mut samples = text.family(&f::REQUESTS);
        for ((collection, upstream), count) in &now.requests {
            samples.put(&[collection, upstream], count);
        }
        let mut samples = text.family(&f::CONFLICTS_OPENED);
        for (collection, count) in &now.conflicts {
            samples.put(&[collection], count);
        }
        text.family(&f::EVENTS_MISSED).put(&[], now.missed);
    }

    fn now(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn count_writes(&mut self, collection: &str, place: &str, counts: Counts) {
        for (op, count) in [("create", counts.created), ("update", counts.updated), ("delete", counts.deleted)] {
            *self.writes.entry((collection.to_owned(), place.to_owned(), op)).or_default() += count;
        }
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Failed => "failed",
        Outcome::Halted => "halted",
        Outcome::Unavailable => "unavailable",
        Outcome::Conflicts => "conflicts",
        Outcome::Pending => "pending",
        Outcome::Ok => "ok",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::UpstreamReport;

    #[test]
    fn passes_are_counted_and_told_in_the_text_format() {
        let tally = Tally::default();
        let crm = UpstreamReport {
            upstream: "c\"rm".to_owned(),
            requests: 3,
            written: Counts { created: 2, updated: 0, deleted: 1 },
            ..UpstreamReport::default()
        };
        let report = |outcome, elapsed_ms| PassReport {
            outcome,
            elapsed_ms,
            local: Counts { created: 0, updated: 4, deleted: 0 },
            upstreams: vec![crm.clone()],
            conflicts_opened: 1,
            ..PassReport::default()
        };
        tally.count("contacts", Some(&report(Outcome::Ok, 200)));
        tally.count("contacts", Some(&report(Outcome::Conflicts, 7_000)));
        tally.count("contacts", None);
        let mut text = Exposition::default();
        tally.write(&mut text);
        insta::assert_snapshot!(text.into_text());
    }
}
