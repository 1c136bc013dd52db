//! Owns: when a request's turn comes: waiting for room in budgets, for the end of a pause, for the next attempt.
//!
//! Must not know: what requests are for, what answers mean.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::HeaderMap;

use super::call::Call;
use super::purse::take_turn;
use super::totals::WaitFor;
use super::{Built, Client, Failure, FailureKind, Safety, backoff, path_below, retry_after, words};

/// What has to wait longer than this is left for a later pass, whatever the rules allow.
const PARK_BEYOND: Duration = Duration::from_hours(1);
/// What another process holds may be given back sooner than it has to be: it is looked for as often.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

impl Client {
    /// Waits until every budget that covers the request lets it go, and debits them.
    pub(super) async fn wait_for_turn(&self, request: &Built, call: &mut Call) -> Result<(), Failure> {
        loop {
            let Err(wait) = self.take_turn(request).await? else { return Ok(()) };
            self.check_wait(wait, request, call)?;
            let path = path_below(&self.upstream.base_url, &request.url);
            let may_be_sooner = self.state().budgets.waits_for_others(request.method.as_str(), path);
            let wait = if may_be_sooner { wait.min(LOOK_AGAIN) } else { wait };
            self.sleep((WaitFor::Room, wait), call).await;
        }
    }

    /// A turn for a request to the base URL that does not go through this client: its budgets are debited, and an upstream that
    /// is to be left alone is not asked.
    pub async fn turn_for_another(&self) -> Result<(), Failure> {
        let (request, mut call) = (Built::of_url(self.upstream.base_url.clone()), Call::default());
        drop(self.admit(&request, Safety::Read, &call).await?);
        self.wait_for_turn(&request, &mut call).await
    }

    /// Debits every budget that covers the request, or debits none and says how long to wait.
    pub(super) async fn take_turn(&self, request: &Built) -> Result<Result<(), Duration>, Failure> {
        let path = path_below(&self.upstream.base_url, &request.url);
        let from = (self.state.as_ref(), self.purse.as_ref());
        take_turn(from, (request.method.as_str(), path), self.clock.as_ref()).await
    }

    /// Sleeps, unless this call would then have waited longer than the rules allow in a pass.
    pub(super) async fn pause(
        &self,
        (what, wait): (WaitFor, Duration),
        request: &Built,
        call: &mut Call,
    ) -> Result<(), Failure> {
        self.check_wait(wait, request, call)?;
        self.sleep((what, wait), call).await;
        Ok(())
    }

    /// Whether this call may wait for so long.
    fn check_wait(&self, wait: Duration, request: &Built, call: &Call) -> Result<(), Failure> {
        if call.waited + wait <= self.upstream.retry.max_wait && wait <= PARK_BEYOND {
            return Ok(());
        }
        let kind = if call.ambiguous { FailureKind::Unknown } else { FailureKind::NotDone };
        let why = self.state().why_wait(wait, self.clock.monotonic());
        let why = match call.asked_too_much {
            Some(asked) => format!("{why} (in fact {}: is the account blocked?)", words::duration(asked)),
            None => why,
        };
        let words = self.not_sent(request, &why, call);
        Err(Failure { kind, status: None, words, retry_at: self.at(wait) })
    }

    async fn sleep(&self, (what, wait): (WaitFor, Duration), call: &mut Call) {
        call.waited += wait;
        self.clock.sleep(wait).await;
        self.meter.waited(what, wait);
    }

    /// A part of a request met a limit of its own: every request waits, as after a throttled answer. Returns until when.
    pub fn throttled_until(&self, headers: &HeaderMap, failures: u32) -> Option<DateTime<Utc>> {
        let random = self.clock.random();
        let asked = retry_after::parse_retry_after(headers, self.clock.now()).map(|asked| asked.min(super::WAIT_MAX));
        let wait = match asked {
            Some(asked) => retry_after::with_jitter(asked, random),
            None => backoff::throttled_wait(failures, random),
        };
        self.state().leave_alone(asked.unwrap_or_default(), wait, self.clock.monotonic());
        self.at(wait)
    }

    /// When a part of a request that failed in passing may be tried again.
    pub fn next_attempt(&self, failures: u32) -> Option<DateTime<Utc>> {
        self.at(backoff::transient_wait(failures, self.clock.random()))
    }
}
