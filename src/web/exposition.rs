//! Owns: the text format of Prometheus (0.0.4).
//!
//! Must not know: which metrics there are; where values come from.

use std::fmt::{Display, Write as _};

use crate::upstream::Histogram;

use super::families::{Family, Label};

/// Text in the format, under construction.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// The samples of one metric, under construction.
pub struct Samples<'a> {
    text: &'a mut String,
    family: &'static Family,
}

impl Exposition {
    /// The media type of the format.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a metric; its samples follow.
    pub fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let Family { name, kind, help, .. } = family;
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
        Samples { text: &mut self.0, family }
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Samples<'_> {
    /// One sample, with the values of the metric's labels in their order.
    pub fn put(&mut self, labels: &[&str], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// One histogram: its buckets, their sum and their number.
    pub fn histogram(&mut self, labels: &[&str], histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            self.line("_bucket", labels, Some(&bound.to_string()), count);
        }
        self.line("_bucket", labels, Some("+Inf"), histogram.count());
        self.line("_sum", labels, None, histogram.sum().as_secs_f64());
        self.line("_count", labels, None, histogram.count());
    }

    fn line(&mut self, suffix: &str, labels: &[&str], bound: Option<&str>, value: impl Display) {
        debug_assert_eq!(labels.len(), self.family.labels.len(), "{}", self.family.name);
        // What the published table says of values is true.
        let known = |(label, value): (&Label, &&str)| label.values.is_empty() || label.values.contains(value);
        debug_assert!(self.family.labels.iter().zip(labels).all(known), "{}: {labels:?}", self.family.name);
        let named = self.family.labels.iter().map(|label| label.name).zip(labels.iter().copied());
        let named = named.chain(bound.map(|bound| ("le", bound)));
        let pairs: Vec<String> = named.map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let labels = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        writeln!(self.text, "{}{suffix}{labels} {value}", self.family.name).ok();
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A number as samples have it.
#[expect(clippy::cast_precision_loss, reason = "the format knows nothing but floats")]
pub fn float(number: u64) -> f64 {
    number as f64
}
