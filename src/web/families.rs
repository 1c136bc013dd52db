//! Owns: which metrics there are: name, type, unit, labels, meaning. What is scraped and docs/metrics.md are made of it.
//!
//! Must not know: where values come from.

/// A metric.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its unit; empty for numbers of things.
    #[cfg_attr(not(test), expect(dead_code, reason = "a name says it as well; it is for the published table"))]
    pub unit: &'static str,
    /// Its labels, in order.
    pub labels: &'static [Label],
    /// What it means, in one line.
    pub help: &'static str,
}

/// A label.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// The values that it may have; empty where that is up to the rules.
    pub values: &'static [&'static str],
}

const fn open(name: &'static str) -> Label {
    Label { name, values: &[] }
}

const COLLECTION: Label = open("collection");
const UPSTREAM: Label = open("upstream");
const BUDGET: Label = open("budget");
const OUTCOME: Label =
    Label { name: "outcome", values: &["ok", "pending", "conflicts", "unavailable", "halted", "failed"] };
const OP: Label = Label { name: "op", values: &["create", "update", "delete"] };
const END: Label = Label { name: "outcome", values: &["ok", "refused", "throttled", "failed"] };
const WAIT: Label = Label { name: "reason", values: &["room", "retry"] };
const PERCENTILE: Label = Label { name: "percentile", values: &["50", "95", "99"] };
const RESULT: Label = Label { name: "result", values: &["ok", "failed"] };
const ARRIVAL: Label = Label { name: "outcome", values: &["accepted", "repeated", "refused", "put_off"] };
const PERIOD: Label = Label { name: "period", values: &["day", "month"] };
const QUOTA_UNIT: Label = Label { name: "unit", values: &["requests", "usd"] };

/// Declares the metrics, and the list of them in the order of a scrape.
macro_rules! families {
    ($($family:ident = $name:literal $kind:ident $unit:literal $labels:tt $help:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`")]
            pub static $family: Family =
                Family { name: $name, kind: stringify!($kind), unit: $unit, labels: &$labels, help: $help };
        )*
        /// All of them, in the order of a scrape.
        #[cfg(test)]
        pub static ALL: &[&Family] = &[$(&$family),*];
    };
}

families! {
    BUILD_INFO = "reconciled_build_info" gauge "" [open("version")]
        "Always 1; the label tells the version.";
    START_TIME = "reconciled_start_time_seconds" gauge "seconds" []
        "When the daemon started, since the epoch.";

    PASSES = "reconciled_passes_total" counter "" [COLLECTION, OUTCOME]
        "Passes that ended, by how they ended.";
    PASS_DURATION = "reconciled_pass_duration_seconds" histogram "seconds" [COLLECTION]
        "How long passes took; those that failed without a report are not among them.";
    WRITES = "reconciled_writes_total" counter "" [COLLECTION, UPSTREAM, OP]
        "Records created, updated, deleted: acknowledged by the upstream, or here (upstream=\"local\").";
    REQUESTS = "reconciled_requests_total" counter "" [COLLECTION, UPSTREAM]
        "Requests that passes sent, repeated and failed ones included; counted when a pass ends.";
    CONFLICTS_OPENED = "reconciled_conflicts_opened_total" counter "" [COLLECTION]
        "Conflicts that passes opened.";
    EVENTS_MISSED = "reconciled_events_missed_total" counter "" []
        "Events that the counters of passes could not keep up with; above 0 they are too low.";

    RECORDS = "reconciled_records" gauge "" [COLLECTION]
        "Local records; beyond 10,000 as of the last pass.";
    CONFLICTS_OPEN = "reconciled_conflicts_open" gauge "" [COLLECTION]
        "Conflicts that wait for a person.";
    QUARANTINED = "reconciled_quarantined" gauge "" [COLLECTION]
        "Records set aside, counted up to 1000.";
    PARKED = "reconciled_parked" gauge "" [COLLECTION]
        "Records that wait for another one, counted up to 1000.";
    WRITES_WAITING = "reconciled_writes_waiting" gauge "" [COLLECTION]
        "Writes that are not settled, counted up to 1000.";
    HALTS_OPEN = "reconciled_halts_open" gauge "" [COLLECTION]
        "Halts that wait for approval, or for the pass after it.";
    LAST_SUCCESS = "reconciled_last_success_timestamp_seconds" gauge "seconds" [COLLECTION]
        "When the last pass ended as ok, pending or conflicts; kept across starts; absent where none of the last 200 passes did.";
    PAUSED = "reconciled_paused" gauge "" [COLLECTION]
        "1 while a collection is paused.";
    PASS_RUNNING = "reconciled_pass_running" gauge "" [COLLECTION]
        "1 while a pass runs.";
    RULES_REFUSED = "reconciled_rules_refused" gauge "" []
        "1 while edited rules are refused and older ones are in force.";

    WEBHOOKS = "reconciled_webhooks_total" counter "" [UPSTREAM, ARRIVAL]
        "Webhooks that came, by how they were answered: refused are forged or too old ones, put off are those that could not be checked or kept just now.";
    WEBHOOKS_WAITING = "reconciled_webhooks_waiting" gauge "" []
        "Webhooks that no pass has followed yet.";
    WEBHOOKS_DEAD = "reconciled_webhooks_dead" gauge "" []
        "Webhooks that could not be followed, and wait for a person.";

    BREAKER_OPEN = "reconciled_breaker_open" gauge "" [UPSTREAM]
        "1 while the circuit breaker of an upstream is open, as of the last pass that spoke to it.";
    REAUTH_REQUIRED = "reconciled_upstream_reauth_required" gauge "" [UPSTREAM]
        "1 while a person has to sign in at an upstream (again) before anything is asked, as of the last pass that wanted to; of upstreams with oauth2, jwt_bearer or session.";

    REQUEST_DURATION = "reconciled_upstream_request_duration_seconds" histogram "seconds" [UPSTREAM, END]
        "How long requests to an upstream took until the whole answer was there, by how they ended: refused is 4xx but for 429, throttled is 429, failed is 5xx or no answer. Passes, plans and health probes; sign-ins are not among them.";
    RETRIES = "reconciled_upstream_retries_total" counter "" [UPSTREAM]
        "Requests to an upstream that repeated another one.";
    WAITS = "reconciled_upstream_waits_total" counter "" [UPSTREAM, WAIT]
        "Waits before a request left: for room in a budget or the end of a pause that the upstream asked for (room), or for the next attempt (retry).";
    WAITED = "reconciled_upstream_wait_seconds_total" counter "seconds" [UPSTREAM, WAIT]
        "How long requests waited before they left, all waits together.";
    SENT_BYTES = "reconciled_upstream_sent_bytes_total" counter "bytes" [UPSTREAM]
        "Bodies sent to an upstream.";
    RECEIVED_BYTES = "reconciled_upstream_received_bytes_total" counter "bytes" [UPSTREAM]
        "Bodies received from an upstream, unpacked.";
    COST = "reconciled_upstream_cost_usd_total" counter "usd" [UPSTREAM]
        "What the requests cost, in US dollars, by cost_usd of budgets.";
    CONCURRENCY = "reconciled_upstream_concurrency_limit" gauge "" [UPSTREAM]
        "How many requests may be under way at once: fewer than the rules allow while an upstream throttles or answers slower than it did.";
    CONCURRENCY_MAX = "reconciled_upstream_concurrency_max" gauge "" [UPSTREAM]
        "How many the rules allow (concurrency).";
    PAUSE = "reconciled_upstream_pause_seconds" gauge "seconds" [UPSTREAM]
        "For so long nothing is asked, because the upstream asked for a pause; 0 where it did not.";

    BUDGET_LIMIT = "reconciled_budget_limit_requests" gauge "requests" [UPSTREAM, BUDGET]
        "How many requests a budget of the rules lets through in its window.";
    BUDGET_WINDOW = "reconciled_budget_window_seconds" gauge "seconds" [UPSTREAM, BUDGET]
        "The window of a budget.";
    BUDGET_USED = "reconciled_budget_used_requests" gauge "requests" [UPSTREAM, BUDGET]
        "Requests that still count against a budget, whichever process made them.";
    BUDGET_REMAINING = "reconciled_budget_remaining_requests" gauge "requests" [UPSTREAM, BUDGET]
        "Requests that a budget still lets through at once.";
    BUDGET_SHARE = "reconciled_budget_used_ratio" gauge "ratio" [UPSTREAM, BUDGET]
        "The used part of a budget, from 0 to 1; more where its limit was lowered.";
    BUDGET_WAIT = "reconciled_budget_wait_seconds" gauge "seconds" [UPSTREAM, BUDGET]
        "Until a budget has room for the next request; 0 where it has.";

    USAGE_REQUESTS = "reconciled_usage_requests" gauge "requests" [UPSTREAM, PERIOD]
        "Requests to an upstream in the day (since midnight, UTC) or month; kept across starts, whoever made the pass. What a command asks that makes no pass (plan, check --online) is not counted.";
    USAGE_RETRIES = "reconciled_usage_retries" gauge "" [UPSTREAM, PERIOD]
        "Those of them that repeated another one.";
    USAGE_REFUSED = "reconciled_usage_refused" gauge "" [UPSTREAM, PERIOD]
        "Those answered 4xx, but for 429.";
    USAGE_THROTTLED = "reconciled_usage_throttled" gauge "" [UPSTREAM, PERIOD]
        "Those answered 429.";
    USAGE_FAILED = "reconciled_usage_failed" gauge "" [UPSTREAM, PERIOD]
        "Those answered 5xx, or not at all.";
    USAGE_SENT_BYTES = "reconciled_usage_sent_bytes" gauge "bytes" [UPSTREAM, PERIOD]
        "Bodies sent in the period.";
    USAGE_RECEIVED_BYTES = "reconciled_usage_received_bytes" gauge "bytes" [UPSTREAM, PERIOD]
        "Bodies received in the period, unpacked.";
    USAGE_COST = "reconciled_usage_cost_usd" gauge "usd" [UPSTREAM, PERIOD]
        "What the requests of the period cost, in US dollars, by cost_usd of budgets.";
    QUOTA_LIMIT = "reconciled_quota_limit" gauge "" [UPSTREAM, QUOTA_UNIT, PERIOD]
        "What may be asked of an upstream in the period of its quota.";
    QUOTA_USED = "reconciled_quota_used" gauge "" [UPSTREAM, QUOTA_UNIT, PERIOD]
        "What was asked of it in the period so far.";
    QUOTA_EXPECTED = "reconciled_quota_expected" gauge "" [UPSTREAM, QUOTA_UNIT, PERIOD]
        "What will have been asked of it at the end of the period, if it goes on as it does.";

    UP = "reconciled_upstream_up" gauge "" [UPSTREAM]
        "1 while the last answer of an upstream was one, 0 while it is down (5xx, none, or one that its health probe does not take); absent before the first.";
    SINCE = "reconciled_upstream_since_timestamp_seconds" gauge "seconds" [UPSTREAM]
        "Since when it is up, or down.";
    SEEN = "reconciled_upstream_seen_timestamp_seconds" gauge "seconds" [UPSTREAM]
        "When it was last asked: by its health probe where the rules have one, else by a pass.";
    LATENCY = "reconciled_upstream_latency_seconds" gauge "seconds" [UPSTREAM, PERCENTILE]
        "What 50, 95 and 99 of a hundred of its answers of the last hour did not take longer than, to within five per cent; kept across starts; absent where there were none.";
    ANSWERS = "reconciled_upstream_answers" gauge "" [UPSTREAM, RESULT]
        "Answers of the last hour that latency and health are told from.";
}
