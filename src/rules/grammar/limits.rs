//! Owns: the shape of what an upstream bears: its budgets, the breaker.
//!
//! Must not know: how requests are held back.

use super::PathOrHeader;
use crate::rules::model::ResetUnit;
use crate::rules::shape::{Either, List, table};
use crate::rules::units::{Jq, Period, Ratio, Text, Usd};

table! {
    /// A rate limit or quota.
    Budget, "a budget table" {
        /// Which requests it covers. Default all.
        r#match: RequestMatch,
        /// A name: budgets of the same scope are one, over all upstreams that have it. Default none.
        scope: Text,
        /// Requests per window; or units, where requests have a `cost`.
        limit: u64 = required,
        /// The window, e.g. `10s`.
        per: Period = required,
        /// What each request that it covers takes of `limit`: a number, or `{ answer, estimate }`. Default 1.
        cost: Either<u64, BudgetCost>,
        /// Requests that take otherwise: a list of `{ match, cost }`, of which the first that matches counts.
        weights: List<Weight>,
        /// What each request that it covers costs, in US dollars; it adds up in `reconciled usage`. Default nothing.
        cost_usd: Usd,
        /// Where answers say how much is left: others may draw on the same limit.
        signals: Signals,
    }
}

table! {
    /// Requests that take another number of units.
    Weight, "a weight such as { match = { method = \"GET\" }, cost = 10 }" {
        /// Which requests.
        r#match: RequestMatch = required,
        /// What each of them takes of `limit`.
        cost: u64 = required,
    }
}

table! {
    /// What a request takes of a budget, by its answer.
    BudgetCost, "a cost table such as { answer = \".extensions.cost.actualQueryCost\", estimate = 50 }" {
        /// What the request really took: a path or jq filter over the answer, or `{ header = "…" }`.
        answer: PathOrHeader = required,
        /// What is set aside until it is answered, and stays so where the answer does not say it.
        estimate: u64 = required,
    }
}

table! {
    /// Where answers say how a limit stands: each a plain path in the body, or `{ header = "…" }`.
    Signals, "a signals table" {
        /// What is left of the window.
        remaining: PathOrHeader,
        /// The limit as it is now; one that is lower than the budget's counts.
        limit: PathOrHeader,
        /// When the window ends. Without `remaining` it counts where an answer says that there was too much.
        reset: SignalReset,
        /// For how long nothing that the budget covers is to be asked.
        wait: SignalReset,
    }
}

table! {
    /// Where an answer says until when, or for how long; in the unit that it is written in.
    SignalReset, "a reset table such as { header = \"X-RateLimit-Reset\", unit = \"epoch_s\" }" {
        /// The header.
        header: Text,
        /// Plain path in the body, instead of a header.
        path: Jq,
        /// s, ms (from now), `epoch_s`, `epoch_ms` (since 1970), `http_date` or rfc3339.
        unit: ResetUnit = required,
    }
}

table! {
    /// Which requests something covers.
    RequestMatch, "a match table" {
        /// Path pattern below the base URL; `*` matches anything.
        path: Text,
        /// HTTP method.
        method: Text,
    }
}

table! {
    /// When an upstream that keeps failing is left alone.
    Breaker, "a breaker table" {
        /// The share of the latest calls that failed, above 0, at most 1. Default 0.5.
        failure_ratio: Ratio,
        /// Of at least so many calls. Default 10.
        calls_min: u64,
        /// How long it is left alone the first time; twice as long each further time. Default 30s.
        open: Period,
        /// Never longer than this. Default 10m.
        open_max: Period,
    }
}
