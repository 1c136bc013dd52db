//! Owns: HTTP exchanges over reqwest: limits of time and size, and what went wrong, told precisely.
//!
//! Must not know: upstreams, retries, redirects, what a status means.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};
use tokio::time::timeout;

use super::body::Body;
use super::reach::{Reached, not_after};
use super::retry_after::parse_http_date;
use super::{Outgoing, Response, Transport, TransportError, is_link_local};

/// Idle connections that are kept per host.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// Idle connections live this long: shorter than servers usually keep them, so that few are found dead.
const IDLE_CONNECTION_AGE: Duration = Duration::from_secs(50);
/// A peer that acknowledges nothing for this long is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// A silent connection is asked whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a collector of traces may take to answer.
#[cfg(feature = "otlp")]
const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(5);

/// Every client of reqwest needs it, one that never speaks TLS as well.
pub fn install_crypto() {
    // The first one wins; that somebody else installed one before is fine.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
}

/// The real transport. Connections are pooled and shared by everyone who has the same connect timeout.
#[derive(Debug)]
pub struct HttpTransport {
    clients: Mutex<BTreeMap<Duration, reqwest::Client>>,
    idle_connection_age: Duration,
    resolver: Resolver,
    /// Trusted beside the machine's and the bundled roots.
    trusted: Vec<reqwest::Certificate>,
}

impl HttpTransport {
    /// A transport without connections.
    pub fn new() -> Self {
        install_crypto();
        Self {
            clients: Mutex::default(),
            idle_connection_age: IDLE_CONNECTION_AGE,
            resolver: Resolver::Machine,
            trusted: Vec::new(),
        }
    }

    /// For tests: connections are kept for another time.
    #[cfg(test)]
    pub fn keeping(idle_connection_age: Duration) -> Self {
        Self { idle_connection_age, ..Self::new() }
    }

    /// For tests: no name is ever resolved.
    #[cfg(test)]
    pub fn without_names() -> Self {
        Self { resolver: Resolver::Never, ..Self::new() }
    }

    /// For tests: certificates of this authority are good.
    #[cfg(test)]
    pub fn trusting(authority: reqwest::Certificate) -> Self {
        Self { trusted: vec![authority], ..Self::new() }
    }

    fn build(
        &self,
        more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<reqwest::Client, TransportError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("reconciled/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .tcp_nodelay(true)
            .tcp_keepalive(KEEP_ALIVE)
            .tcp_keepalive_interval(KEEP_ALIVE)
            .tcp_user_timeout(USER_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(self.idle_connection_age)
            .dns_resolver(self.resolver)
            .tls_info(true)
            .tls_certs_merge(bundled_roots().iter().chain(&self.trusted).cloned());
        more(builder).build().map_err(|error| TransportError::NotSent(root_cause(&error.without_url())))
    }

    fn client(&self, connect: Duration) -> Result<reqwest::Client, TransportError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&connect) {
            return Ok(client.clone());
        }
        let client = self.build(|builder| builder.connect_timeout(connect))?;
        clients.insert(connect, client.clone());
        Ok(client)
    }
}

impl HttpTransport {
    /// Asks without credentials whether somebody is there.
    pub async fn reach(&self, url: url::Url, within: Duration) -> Result<Reached, TransportError> {
        let late = |_elapsed| TransportError::TimedOut(format!("no answer within {within:?}"));
        let sending = self.client(within)?.get(url).send();
        let answer = timeout(within, sending).await.map_err(late)?.map_err(|error| explain(&error.without_url()))?;
        let date = answer.headers().get(http::header::DATE).and_then(|value| value.to_str().ok());
        let tls = answer.extensions().get::<reqwest::tls::TlsInfo>();
        Ok(Reached {
            status: answer.status().as_u16(),
            date: date.and_then(parse_http_date),
            certificate_until: tls.and_then(reqwest::tls::TlsInfo::peer_certificate).and_then(not_after),
        })
    }
}

#[cfg(feature = "otlp")]
impl HttpTransport {
    /// A client for what is no upstream, by the same rules; nobody keeps it waiting, and it keeps no connection.
    pub fn plain_client(&self) -> Result<reqwest::Client, TransportError> {
        self.build(|builder| builder.timeout(COLLECTOR_TIMEOUT).pool_max_idle_per_host(0))
    }
}

impl Transport for HttpTransport {
    fn exchange(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let total = request.timeouts.total;
            let late = |_elapsed| TransportError::TimedOut(format!("no whole answer within {total:?}"));
            timeout(total, self.exchange_within(request)).await.map_err(late)?
        })
    }
}

impl HttpTransport {
    async fn exchange_within(&self, request: Outgoing) -> Result<Response, TransportError> {
        let limits = request.timeouts;
        let limit = request.body_bytes_max;
        let mut headers = request.headers;
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
        let mut builder = self.client(limits.connect)?.request(request.method, request.url).headers(headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let no_head =
            |_elapsed| TransportError::TimedOut(format!("no answer within {:?}", limits.connect + limits.idle));
        let sending = timeout(limits.connect + limits.idle, builder.send());
        let mut response = sending.await.map_err(no_head)?.map_err(|error| explain(&error.without_url()))?;
        let gzip = is_gzip(response.headers());
        let mut body = Body::new(gzip, limit, request.records, response.content_length().unwrap_or(0))?;
        let silent = |_elapsed| TransportError::TimedOut(format!("the answer stood still for {:?}", limits.idle));
        loop {
            let chunk = timeout(limits.idle, response.chunk()).await.map_err(silent)?;
            let Some(chunk) = chunk.map_err(|error| explain(&error.without_url()))? else { break };
            body.take(&chunk)?;
        }
        let headers = std::mem::take(response.headers_mut());
        let (body, cut_down) = body.finish()?;
        Ok(Response { status: response.status().as_u16(), headers, body, cut_down })
    }
}

fn is_gzip(headers: &HeaderMap) -> bool {
    let packed = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    packed.is_some_and(|packed| matches!(packed.trim().to_ascii_lowercase().as_str(), "gzip" | "x-gzip"))
}

/// Tells what was certainly not sent from what may have been.
fn explain(error: &reqwest::Error) -> TransportError {
    let words = root_cause(error);
    if is_certificate(error) {
        return TransportError::Certificate(words);
    }
    if error.is_connect() || error.is_builder() || words.contains("refused stream") {
        return TransportError::NotSent(words);
    }
    if error.is_timeout() {
        return TransportError::TimedOut(words);
    }
    TransportError::Broken(words)
}

fn is_certificate(error: &reqwest::Error) -> bool {
    error.source().is_some_and(refuses_certificate)
}

/// An I/O error that wraps another error shows that one's own source, never the error itself: it is looked for inside.
fn refuses_certificate(cause: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    let inside = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    matches!(cause.downcast_ref(), Some(InvalidCertificate(_) | NoCertificatesPresented))
        || inside.is_some_and(|inside| refuses_certificate(inside))
        || cause.source().is_some_and(refuses_certificate)
}

/// The innermost cause: it says most and, unlike the outer ones, never a URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = cause.to_string();
        source = cause.source();
    }
    words
}

/// The bundled roots, for machines that have no store of their own; they are added to the machine's.
fn bundled_roots() -> &'static [reqwest::Certificate] {
    static ROOTS: OnceLock<Vec<reqwest::Certificate>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        roots.filter_map(|der| reqwest::Certificate::from_der(der).ok()).collect()
    })
}

/// The machine's resolver without link-local answers.
#[derive(Clone, Copy, Debug)]
enum Resolver {
    Machine,
    #[cfg(test)]
    Never,
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        #[cfg(test)]
        if let Self::Never = self {
            return Box::pin(std::future::pending());
        }
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.filter(|address| !is_link_local(address.ip())).collect();
            if addresses.is_empty() {
                return Err(format!("{} has no address that may be used", name.as_str()).into());
            }
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}
