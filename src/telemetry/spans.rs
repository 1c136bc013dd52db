//! Owns: the spans that traces are made of, below that of a pass.
//!
//! Must not know: where traces go; what happens within a span.
//!
//! They have a target of their own, so that log levels of the program do not bring them into log lines.

use tracing::Span;
use tracing::field::Empty;

/// Their target.
pub const TARGET: &str = "otlp";

/// One binding of a pass is read.
pub fn fetch(upstream: &str) -> Span {
    tracing::info_span!(target: TARGET, "fetch", upstream, otel.status_code = Empty, otel.status_description = Empty)
}

/// What to do about each record is decided and committed.
pub fn decide(round: usize) -> Span {
    tracing::info_span!(target: TARGET, "decide", round)
}

/// What one upstream lacks is written there.
pub fn push(upstream: &str) -> Span {
    tracing::info_span!(target: TARGET, "push", upstream, otel.status_code = Empty, otel.status_description = Empty)
}

/// One request; named and described as the semantic conventions for HTTP have it.
pub fn request(upstream: &str, method: &str, path: &str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "request",
        otel.name = method,
        otel.kind = "client",
        upstream,
        http.request.method = method,
        url.path = path,
        http.response.status_code = Empty,
        error.type = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty
    )
}

/// How a request was answered.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 400 {
        span.record("error.type", status);
        span.record("otel.status_code", "ERROR");
    }
}

/// What a span was about went wrong; the words hold no secret.
pub fn failed(span: &Span, words: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", words);
}
