//! Owns: what is counted while the daemon runs, and the text format of Prometheus (0.0.4).
//!
//! Must not know: the store; who asks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::daemon::Heard;
use crate::reconcile::{Counts, Outcome, PassReport};

/// Upper bounds of the histogram of durations, in seconds.
const BOUNDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

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

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
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
        now.durations.entry(collection.to_owned()).or_default().add(report.elapsed_ms);
        *now.conflicts.entry(collection.to_owned()).or_default() += report.conflicts_opened;
        now.count_writes(collection, "local", report.local);
        for upstream in &report.upstreams {
            now.count_writes(collection, &upstream.upstream, upstream.written);
            *now.requests.entry((collection.to_owned(), upstream.upstream.clone())).or_default() += upstream.requests;
        }
    }

    /// Everything that was counted, as text.
    pub fn write(&self, text: &mut Exposition) {
        let now = self.now();
        text.family("reconciled_passes_total", "counter", "Passes that ended, by how they ended.");
        for ((collection, outcome), count) in &now.passes {
            text.sample("reconciled_passes_total", &[("collection", collection), ("outcome", outcome)], *count);
        }
        text.family("reconciled_pass_duration_seconds", "histogram", "How long passes took.");
        for (collection, histogram) in &now.durations {
            histogram.write("reconciled_pass_duration_seconds", collection, text);
        }
        text.family(
            "reconciled_writes_total",
            "counter",
            "Records created, updated, deleted, at an upstream (acknowledged) or locally.",
        );
        for ((collection, upstream, op), count) in &now.writes {
            let labels = [("collection", collection.as_str()), ("upstream", upstream), ("op", op)];
            text.sample("reconciled_writes_total", &labels, *count);
        }
        text.family(
            "reconciled_requests_total",
            "counter",
            "Requests that passes sent, repeated and failed ones included.",
        );
        for ((collection, upstream), count) in &now.requests {
            text.sample("reconciled_requests_total", &[("collection", collection), ("upstream", upstream)], *count);
        }
        text.family("reconciled_conflicts_opened_total", "counter", "Conflicts that passes opened.");
        for (collection, count) in &now.conflicts {
            text.sample("reconciled_conflicts_opened_total", &[("collection", collection)], *count);
        }
        text.family(
            "reconciled_events_missed_total",
            "counter",
            "Events that the counters above could not keep up with.",
        );
        text.sample("reconciled_events_missed_total", &[], now.missed);
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

impl Histogram {
    #[expect(clippy::cast_precision_loss, reason = "a pass of 2^53 ms does not end")]
    fn add(&mut self, elapsed_ms: u64) {
        let seconds = elapsed_ms as f64 / 1000.0;
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        self.count += 1;
        self.sum += seconds;
    }

    fn write(&self, name: &str, collection: &str, text: &mut Exposition) {
        let bucket = format!("{name}_bucket");
        for (count, bound) in self.buckets.iter().zip(BOUNDS) {
            text.sample(&bucket, &[("collection", collection), ("le", &bound.to_string())], *count);
        }
        text.sample(&bucket, &[("collection", collection), ("le", "+Inf")], self.count);
        text.sample(&format!("{name}_sum"), &[("collection", collection)], self.sum);
        text.sample(&format!("{name}_count"), &[("collection", collection)], self.count);
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

/// Text in the format, under construction.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// The media type of the format.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
    }

    /// One sample.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let pairs: Vec<String> = labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let labels = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        writeln!(self.0, "{name}{labels} {value}").ok();
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
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
