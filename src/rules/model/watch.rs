//! Owns: the checked form of what is watched of an upstream: its quota, its health.
//!
//! Must not know: how it is watched.

use std::time::Duration;

use super::Request;

/// How an upstream is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// By this request.
    pub request: Request,
    /// So often (default 1 min).
    pub every: Duration,
    /// An answer that takes longer counts as none (default 10 s).
    pub timeout: Duration,
}

/// What may be asked of an upstream in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests in it.
    pub requests: Option<u64>,
    /// Cost in it, in billionths of a US dollar.
    pub cost_nano_usd: Option<u64>,
    /// The period.
    pub per: QuotaPeriod,
}

/// A calendar period, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaPeriod {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}
