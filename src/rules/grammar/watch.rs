//! Owns: the shape of what is watched of an upstream: its quota, its health.
//!
//! Must not know: how it is watched.

use crate::rules::model::QuotaPeriod;
use crate::rules::shape::table;
use crate::rules::units::{Period, Usd};

use super::RequestShape;

table! {
    /// What may be asked of an upstream in a day or a month.
    Quota, "a quota table" {
        /// Requests in the period.
        requests: u64,
        /// Cost in the period, in US dollars, as `cost_usd` of budgets adds it up.
        cost_usd: Usd,
        /// `day` or `month`, in UTC. Default `month`.
        per: QuotaPeriod,
    }
}

table! {
    /// How the daemon asks an upstream whether it is well.
    Health, "a health table" {
        /// The request, e.g. `GET /status`. Default that of `check`.
        request: RequestShape,
        /// How often. Default 1m.
        every: Period,
        /// An answer that takes longer counts as none. Default 10s.
        timeout: Period,
    }
}
