//! Owns: what is learnt about the limits of an upstream from one of its answers.
//!
//! Must not know: how requests are held back; what an answer means for its work.

use std::time::Duration;

use super::{Built, Client, Response, TransportError, budget, path_below, ratelimit, retry_after};

impl Client {
    /// Learns from an answer's headers; returns the wait of an exhausted limit.
    pub(super) fn observe(
        &self,
        request: &Built,
        outcome: &Result<Response, TransportError>,
        debited: Duration,
    ) -> Option<Duration> {
        let answer = outcome.as_ref().ok()?;
        let path = path_below(&self.upstream.base_url, &request.url);
        let asked = (request.method.as_str(), path);
        let heard = budget::hear(&self.upstream.budgets, asked, answer, self.clock.now());
        if !heard.is_empty() {
            self.state().budgets.learn(&heard, debited, self.clock.monotonic());
        }
        let headers = &answer.headers;
        let exhausted = ratelimit::exhausted_for(&ratelimit::parse_rate_limits(headers, self.clock.now()));
        let wait = exhausted.max(retry_after::parse_backoff(headers));
        if let Some(wait) = wait {
            self.state().leave_alone(wait, wait, self.clock.monotonic());
        }
        exhausted
    }
}
