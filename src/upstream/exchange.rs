//! Owns: one exchange as it is told: its span, its line in the log.
//!
//! Must not know: what is learnt from it.

use tracing::Instrument as _;

use crate::telemetry::spans;

use super::{Built, Client, Outgoing, Response, TransportError};

impl Client {
    /// Sends a request, and tells of it.
    pub(super) async fn exchange(&self, request: &Built, outgoing: Outgoing) -> Result<Response, TransportError> {
        let began = self.clock.monotonic();
        let (upstream, method, path) = (self.upstream.name.as_str(), request.method.as_str(), request.url.path());
        let span = spans::request(upstream, method, path);
        let outcome = self.transport.exchange(outgoing).instrument(span.clone()).await;
        let ms = self.clock.monotonic().saturating_sub(began).as_millis();
        match &outcome {
            Ok(response) => {
                spans::answered(&span, response.status);
                tracing::debug!(upstream, method, path, status = response.status, ms, "answered");
            }
            Err(error) => {
                spans::failed(&span, &error.to_string());
                tracing::debug!(upstream, method, path, %error, ms, "not answered");
            }
        }
        outcome
    }
}
