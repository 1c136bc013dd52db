//! Owns: how long answers took, counted in buckets whose bounds grow by an eighth of a doubling: any percentile of any sum of
//! them is told to within five per cent.
//!
//! Must not know: whose answers; where they are kept.

use std::collections::BTreeMap;
use std::time::Duration;

/// The upper bound of the first bucket.
const FIRST_US: f64 = 100.0;
/// Buckets per doubling.
const PER_DOUBLING: f64 = 8.0;
/// The last bucket begins beyond a day.
const BUCKET_MAX: u16 = 255;

/// Answers by their latency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency(BTreeMap<u16, u64>);

impl Latency {
    /// One more.
    pub fn add(&mut self, took: Duration) {
        *self.0.entry(bucket(took)).or_default() += 1;
    }

    /// All of another one.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// What so many of a hundred did not take longer than; `None` where there are none.
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.0.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map(|(bucket, _)| middle(*bucket))
    }

    /// As it is kept: `12:3 17:1`.
    pub fn to_text(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(bucket, count)| format!("{bucket}:{count}")).collect();
        pairs.join(" ")
    }

    /// As it was kept; what cannot be read counts as nothing.
    pub fn from_text(text: &str) -> Self {
        let pair = |pair: &str| {
            let (bucket, count) = pair.split_once(':')?;
            Some((bucket.parse().ok().filter(|bucket| *bucket <= BUCKET_MAX)?, count.parse().ok()?))
        };
        Self(text.split(' ').filter_map(pair).collect())
    }
}

/// Bucket 0 is up to the first bound.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between the bounds")]
fn bucket(took: Duration) -> u16 {
    let times = took.as_secs_f64() * 1e6 / FIRST_US;
    if times <= 1.0 { 0 } else { (times.log2() * PER_DOUBLING).ceil().min(f64::from(BUCKET_MAX)) as u16 }
}

/// Between its bounds, by ratio.
fn middle(bucket: u16) -> Duration {
    let doublings = (f64::from(bucket) - 0.5) / PER_DOUBLING;
    Duration::from_secs_f64(FIRST_US * doublings.exp2() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ms: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        for ms in ms {
            latency.add(Duration::from_millis(ms));
        }
        latency
    }

    #[test]
    fn percentiles_are_told_to_within_five_per_cent() {
        let latency = of(1..=1000);
        for (percent, ms) in [(50, 500.0), (95, 950.0), (99, 990.0), (100, 1000.0)] {
            let found = latency.percentile(percent).unwrap().as_secs_f64() * 1000.0;
            assert!((found / ms - 1.0).abs() < 0.05, "{percent}: {found} for {ms}");
        }
        assert_eq!(Latency::default().percentile(50), None);
        let one = of([20]).percentile(99).unwrap().as_secs_f64();
        assert!((one / 0.02 - 1.0).abs() < 0.05, "{one}");
    }

    #[test]
    fn the_extremes_have_buckets_and_text_reads_back() {
        let mut latency = of([0, 5, 5, 40]);
        latency.add(Duration::from_micros(3));
        latency.add(Duration::MAX);
        assert_eq!(latency.count(), 6);
        let text = latency.to_text();
        assert!(text.starts_with("0:2 ") && text.ends_with(" 255:1"), "{text}");
        assert_eq!(Latency::from_text(&text), latency);
        assert_eq!(Latency::from_text("").count() + Latency::from_text("x 7 :1 3:y 999:1").count(), 0);
        let mut twice = latency.clone();
        twice.merge(&latency);
        assert_eq!((twice.count(), twice.percentile(50)), (12, latency.percentile(50)));
    }
}
