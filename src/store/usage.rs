//! Owns: the rows of what was asked of upstreams.
//!
//! Must not know: requests; what was agreed with an upstream.

/// What was asked of an upstream on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// Days since 1970-01-01, in UTC.
    pub day: i64,
    /// The upstream.
    pub upstream: String,
    /// How much it was.
    pub usage: Usage,
}

/// Sums over requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, schemars::JsonSchema, serde::Serialize)]
pub struct Usage {
    /// Requests that were sent, repeated ones included.
    pub requests: u64,
    /// Those of them that repeated another one.
    pub retries: u64,
    /// Those that were answered 4xx, but for 429.
    pub refused: u64,
    /// Those that were answered 429.
    pub throttled: u64,
    /// Those that were answered 5xx, or not at all.
    pub failed: u64,
    /// Bytes of the bodies that were sent.
    pub sent_bytes: u64,
    /// Bytes of the bodies that came back, unpacked.
    pub received_bytes: u64,
    /// What they cost, in billionths of a US dollar.
    #[serde(skip)]
    pub cost_nano_usd: u64,
}

impl Usage {
    /// Adds it up.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.requests, other.requests),
            (&mut self.retries, other.retries),
            (&mut self.refused, other.refused),
            (&mut self.throttled, other.throttled),
            (&mut self.failed, other.failed),
            (&mut self.sent_bytes, other.sent_bytes),
            (&mut self.received_bytes, other.received_bytes),
            (&mut self.cost_nano_usd, other.cost_nano_usd),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
    }
}
