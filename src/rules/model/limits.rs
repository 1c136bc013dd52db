//! Owns: the checked form of what an upstream bears: its budgets, the breaker.
//!
//! Must not know: how requests are held back.

use std::time::Duration;

use super::NextAt;
use crate::record::Filter;

/// A declared rate limit or quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Which requests it covers.
    pub matches: RequestMatch,
    /// Budgets of the same scope are one, whichever upstreams they are of.
    pub scope: Option<String>,
    /// Units per window; a unit is a request, where requests have no cost of their own.
    pub limit: u64,
    /// The window.
    pub per: Duration,
    /// What a request that it covers takes of the limit.
    pub cost: Cost,
    /// Requests that take otherwise; the first that matches counts.
    pub weights: Vec<(RequestMatch, u64)>,
    /// What a request that it covers costs, in billionths of a US dollar.
    pub cost_nano_usd: u64,
    /// Where answers say how much is left.
    pub signals: Option<Signals>,
}

/// What a request takes of a budget, in its units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// This is set aside before it is sent (default 1).
    pub units: u64,
    /// Where the answer says what it really took; where it does not, what was set aside is spent.
    pub answer: Option<CostAt>,
}

/// Where an answer says what its request took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostAt {
    /// At a path of the body, or in a header.
    Place(NextAt),
    /// A jq filter over the body counts it.
    Filter(Filter),
}

impl Default for Cost {
    fn default() -> Self {
        Self { units: 1, answer: None }
    }
}

/// Where answers say how a limit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signals {
    /// What is left of the window.
    pub remaining: Option<NextAt>,
    /// The limit as it is now.
    pub limit: Option<NextAt>,
    /// When the window ends, and how that is written. Without `remaining` it counts where an answer says that there was too much.
    pub reset: Option<(NextAt, ResetUnit)>,
    /// For how long nothing is to be asked, and how that is written.
    pub wait: Option<(NextAt, ResetUnit)>,
}

/// How the end of a window is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetUnit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Milliseconds,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
    /// An HTTP date (RFC 9110).
    HttpDate,
    /// RFC 3339.
    Rfc3339,
}

/// Which requests something covers; an empty match covers all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestMatch {
    /// A path pattern below the base URL's path; `*` matches anything.
    pub path: Option<String>,
    /// An HTTP method, upper case.
    pub method: Option<String>,
}

/// When an upstream that keeps failing is left alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerRules {
    /// The share of the latest calls that failed, above 0, at most 1 (default 0.5).
    pub failure_ratio: f64,
    /// Of at least so many calls (default 10).
    pub calls_min: usize,
    /// How long it is left alone the first time, but for up to a tenth more (default 30 s).
    pub open: Duration,
    /// Never longer than this, but for up to a tenth more (default 10 min).
    pub open_max: Duration,
}

impl Default for BreakerRules {
    fn default() -> Self {
        let (open, open_max) = (Duration::from_secs(30), Duration::from_mins(10));
        Self { failure_ratio: 0.5, calls_min: 10, open, open_max }
    }
}
