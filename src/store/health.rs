//! Owns: the rows of whether upstreams are up, and how long their answers took.
//!
//! Must not know: requests; what latencies are told as.

use super::Micros;

/// Whether an upstream is up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthRow {
    /// The upstream.
    pub upstream: String,
    /// By the last answer.
    pub up: bool,
    /// Since when it is so.
    pub since: Micros,
    /// When it was last asked.
    pub seen_at: Micros,
    /// What it last failed by.
    pub error: Option<String>,
    /// When that was.
    pub error_at: Option<Micros>,
}

/// How long a time the rows of latencies are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl Grain {
    /// Its length.
    pub fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }
}

/// How long the answers of an upstream took in a minute or an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyRow {
    /// The upstream.
    pub upstream: String,
    /// A minute, or an hour.
    pub grain: Grain,
    /// When it began, in seconds since 1970-01-01.
    pub at: i64,
    /// Requests that failed.
    pub failed: u64,
    /// Answers by their latency (text of the engine's own).
    pub buckets: String,
}
