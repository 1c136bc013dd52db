//! Owns: durations counted in fixed buckets that only grow, as a monitoring system adds them up.
//!
//! Must not know: what took so long; how it is printed.

use std::time::Duration;

/// Durations in buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Upper bounds in seconds, ascending.
    bounds: &'static [f64],
    /// What lies between a bound and the one before it; the last one is beyond all bounds.
    buckets: Vec<u64>,
    sum: Duration,
}

impl Histogram {
    /// Nothing, in buckets up to these bounds in seconds, which ascend.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, buckets: vec![0; bounds.len() + 1], sum: Duration::ZERO }
    }

    /// One more.
    pub fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(took);
    }

    /// Each bound, with how many did not take longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut so_far = 0;
        self.bounds.iter().zip(&self.buckets).map(move |(bound, count)| {
            so_far += count;
            (*bound, so_far)
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long all of them took.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_as_long_as_a_bound_is_within_it_and_nothing_is_lost_beyond_the_last() {
        let mut histogram = Histogram::new(&[0.1, 1.0]);
        for ms in [0, 100, 101, 1_000, 1_001, 60_000] {
            histogram.add(Duration::from_millis(ms));
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [(0.1, 2), (1.0, 4)]);
        assert_eq!((histogram.count(), histogram.sum()), (6, Duration::from_millis(62_202)));
        histogram.add(Duration::MAX);
        assert_eq!((histogram.count(), histogram.sum()), (7, Duration::MAX));
    }
}
