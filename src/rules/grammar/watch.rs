//! Owns: the shape of what is watched of an upstream: its quota.
//!
//! Must not know: how it is watched.

use crate::rules::model::QuotaPeriod;
use crate::rules::shape::table;
use crate::rules::units::Usd;

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
