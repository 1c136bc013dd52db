//! Owns: the way of spans to a collector: OTLP as JSON over HTTP, in batches, from a thread of its own.
//!
//! Must not know: which spans there are beyond their target and names.
//!
//! The queue is bounded, and nobody waits for a collector but the end of the program, for a moment.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use super::spans;

/// How long the end of the program waits for the last spans.
const FLUSH_WAIT: Duration = Duration::from_secs(2);
/// The spans of others that are traced: those of passes and plans.
const NAMES: [&str; 2] = ["pass", "plan"];

/// Sends spans until it is dropped.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// To the collector at this base address; the client must not wait for it for ever.
    pub fn start(
        endpoint: &str,
        client: reqwest::Client,
    ) -> Result<(Self, Box<dyn Layer<Registry> + Send + Sync>), String> {
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let sender = Sender {
            runtime: runtime.map_err(|error| format!("nothing to send them with: {error}"))?,
            client,
            url: url.clone(),
            fails: AtomicBool::new(false),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(url)
            .with_http_client(sender)
            .build()
            .map_err(|error| error.to_string())?;
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("reconciled").with_attribute(version).build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("reconciled"))
            .with_location(false)
            .with_threads(false)
            .with_filter(filter_fn(|of| of.is_span() && (of.target() == spans::TARGET || NAMES.contains(&of.name()))));
        Ok((Self { provider }, layer.boxed()))
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // What cannot be sent by then is lost; that it could not be sent was told.
        self.provider.shutdown_with_timeout(FLUSH_WAIT).ok();
    }
}

/// Sends batches from a thread that belongs to no executor.
struct Sender {
    runtime: Runtime,
    client: reqwest::Client,
    url: String,
    /// That it fails was told.
    fails: AtomicBool,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Sender {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let answer = self.client.execute(request).await.map_err(reqwest::Error::without_url)?;
        let status = answer.status();
        let body = answer.bytes().await?;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }

    /// Once, until it goes well again.
    fn tell(&self, sent: &Result<Response<Bytes>, HttpError>) {
        let words = match sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the answer is {}", response.status())),
            Err(error) => {
                let mut cause: &(dyn std::error::Error + 'static) = error.as_ref();
                while let Some(deeper) = cause.source() {
                    cause = deeper;
                }
                Some(cause.to_string())
            }
        };
        let told = self.fails.swap(words.is_some(), Ordering::Relaxed);
        if let Some(words) = words.filter(|_| !told) {
            tracing::warn!("traces cannot be sent to {}: {words}", self.url);
        }
    }
}

impl HttpClient for Sender {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let sent = self.runtime.block_on(self.send(request));
            self.tell(&sent);
            sent
        })
    }
}
