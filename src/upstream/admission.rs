//! Owns: whether a call may leave at all: the breaker, and the one call that probes whether an upstream is back.
//!
//! Must not know: budgets, attempts of a call.

use std::time::Duration;

use tokio::sync::MutexGuard;

use super::breaker::Leave;
use super::call::Call;
use super::client::Manner;
use super::{Built, Client, Failure, FailureKind, Holes, Safety, words};

impl Client {
    /// Asks the breaker. In the result is what the one call holds that probes; other calls wait until it is over.
    ///
    /// Reads probe. A write that is the first to meet an upstream that may be back has a read probe for it; where none is
    /// known it goes itself.
    pub(super) async fn admit(
        &self,
        request: &Built,
        safety: Safety,
        call: &Call,
    ) -> Result<Option<MutexGuard<'_, ()>>, Failure> {
        let ask = || self.state().breaker.ask(self.clock.monotonic());
        if ask() == Leave::Free {
            return Ok(None);
        }
        let probing = self.probing.lock().await;
        loop {
            match ask() {
                Leave::Free => return Ok(None),
                Leave::Refused(wait) => return Err(self.left_alone(request, safety, call, wait)),
                Leave::Probe if safety == Safety::Read => return Ok(Some(probing)),
                Leave::Probe => match self.probe()? {
                    None => return Ok(Some(probing)),
                    Some(probe) => {
                        self.wait_for_turn(&probe, &mut Call::default()).await?;
                        let _its_end_is_noted =
                            self.attempt(&probe, Manner { probe: true, ..Manner::default() }).await?;
                    }
                },
            }
        }
    }

    /// The health check of the rules, else the read that succeeded last.
    fn probe(&self) -> Result<Option<Built>, Failure> {
        match &self.upstream.check {
            Some(check) => self.build(&check.request, &Holes::default()).map(Some),
            None => Ok(self.state().last_read.clone()),
        }
    }

    fn left_alone(&self, request: &Built, safety: Safety, call: &Call, wait: Duration) -> Failure {
        let kind = call.settle(FailureKind::Unavailable, safety);
        let (name, wait_words) = (&self.upstream.name, words::duration(wait));
        let why = format!("{name} failed too often, it is left alone for {wait_words} (the breaker is open)");
        let words = self.not_sent(request, &why, call);
        Failure { kind, status: None, words, retry_at: self.at(wait) }
    }
}
