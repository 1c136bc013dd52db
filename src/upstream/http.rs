//! Owns: HTTP exchanges over reqwest: limits of time and size, and what went wrong, told precisely.
//!
//! Must not know: upstreams, retries, redirects, what a status means.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use tokio::time::timeout;

use super::body::Body;
use super::reach::{Reached, not_after};
use super::retry_after::parse_http_date;
use super::stream::can_stream;
use super::tls::{self, Stamp};
use super::{Outgoing, Response, Rest, Transport, TransportError, is_link_local};
use crate::rules::TlsFiles;

/// Idle connections that are kept per host.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// Idle connections live this long: shorter than servers usually keep them, so that few are found dead.
const IDLE_CONNECTION_AGE: Duration = Duration::from_secs(50);
/// A peer that acknowledges nothing for this long is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// A silent connection is asked whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Bytes of an answer that are unpacked at once: as zeros they are some megabytes.
const TAKEN_BYTES: usize = 8 * 1024;

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
    clients: Mutex<BTreeMap<Key, Pooled>>,
    idle_connection_age: Duration,
    resolver: Resolver,
    /// Trusted beside the machine's and the bundled roots.
    trusted: Vec<reqwest::Certificate>,
}

/// Who may use the same connections: who waits as long for one and has the same files.
type Key = (Duration, Option<Arc<TlsFiles>>);

/// Connections, and the files as they were when the first one was made.
#[derive(Debug)]
struct Pooled {
    client: reqwest::Client,
    stamp: Option<Stamp>,
    /// Files that were put in their place and cannot be used: they are not read again until they are others.
    unusable: Option<Stamp>,
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
            .tls_info(true);
        more(builder).build().map_err(|error| TransportError::NotSent(root_cause(&error.without_url())))
    }

    /// What this machine trusts, and the bundled roots.
    fn trusting_all(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        builder.tls_certs_merge(bundled_roots().iter().chain(&self.trusted).cloned())
    }

    /// The client to use now. One whose files were replaced makes place for another, so that the next connection is by the
    /// new ones; while those cannot be used (half of a pair is there yet) the old one goes on.
    fn client(&self, connect: Duration, files: Option<&Arc<TlsFiles>>) -> Result<reqwest::Client, TransportError> {
        let stamp = files.map(|files| tls::stamp(files));
        let key = (connect, files.cloned());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |pooled: &&Pooled| pooled.stamp == stamp || (stamp.is_some() && pooled.unusable == stamp);
        if let Some(pooled) = clients.get(&key).filter(is_known) {
            return Ok(pooled.client.clone());
        }
        match (self.make(connect, files.map(AsRef::as_ref)), clients.get_mut(&key)) {
            (Ok(client), _) => {
                clients.insert(key, Pooled { client: client.clone(), stamp, unusable: None });
                Ok(client)
            }
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "files of TLS that were replaced cannot be used; those before go on");
                old.unusable = stamp;
                Ok(old.client.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    fn make(&self, connect: Duration, files: Option<&TlsFiles>) -> Result<reqwest::Client, TransportError> {
        let Some(files) = files else {
            return self.build(|builder| self.trusting_all(builder).connect_timeout(connect));
        };
        let unusable = |words: String| TransportError::Identity(format!("the files of `tls` cannot be used: {words}"));
        let material = tls::load(files).map_err(unusable)?;
        let made = self.build(|builder| {
            let builder = match material.authorities {
                Some(authorities) => builder.tls_certs_only(authorities),
                None => self.trusting_all(builder),
            };
            match material.identity {
                Some(identity) => builder.identity(identity).connect_timeout(connect),
                None => builder.connect_timeout(connect),
            }
        });
        made.map_err(|error| match (error, &files.client) {
            (TransportError::NotSent(words), Some(client)) => {
                unusable(format!("does {} belong to {}? ({words})", client.key.display(), client.certificate.display()))
            }
            (TransportError::NotSent(words), None) => unusable(words),
            (error, _) => error,
        })
    }
}

impl HttpTransport {
    /// Asks without credentials whether somebody is there.
    pub async fn reach(
        &self,
        url: url::Url,
        within: Duration,
        files: Option<&Arc<TlsFiles>>,
    ) -> Result<Reached, TransportError> {
        let late = |_elapsed| TransportError::TimedOut(format!("no answer within {within:?}"));
        let sending = self.client(within, files)?.get(url).send();
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
        self.build(|builder| self.trusting_all(builder).timeout(COLLECTOR_TIMEOUT).pool_max_idle_per_host(0))
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
        let mut builder =
            self.client(limits.connect, request.tls.as_ref())?.request(request.method, request.url).headers(headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let no_head =
            |_elapsed| TransportError::TimedOut(format!("no answer within {:?}", limits.connect + limits.idle));
        let sending = timeout(limits.connect + limits.idle, builder.send());
        let response = sending.await.map_err(no_head)?.map_err(|error| explain(&error.without_url()))?;
        let gzip = is_gzip(response.headers());
        // What is wrong is told by small answers.
        let streams = request.streams && limit > 0 && response.status().is_success();
        let promised = response.content_length().unwrap_or(0);
        let mut body = match request.records {
            Some(records) if streams && can_stream(&records) => Body::streamed(gzip, limit, records, promised),
            records => Body::new(gzip, limit, records, promised)?,
        };
        let mut coming = Coming { response, idle: limits.idle, waiting: Bytes::new() };
        while let Some(chunk) = coming.next().await? {
            body.take(&chunk)?;
            if body.streams() && body.is_over() {
                return coming.go_on(body);
            }
        }
        let headers = std::mem::take(coming.response.headers_mut());
        let (body, cut_down) = body.finish()?;
        Ok(Response { status: coming.response.status().as_u16(), headers, body, cut_down, rest: None })
    }
}

/// A body as it comes from the connection.
struct Coming {
    response: reqwest::Response,
    idle: Duration,
    /// What has come and is not taken yet.
    waiting: Bytes,
}

impl Coming {
    /// The next bytes: so few that what is unpacked of them needs little memory.
    async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        while self.waiting.is_empty() {
            let silent = |_elapsed| TransportError::TimedOut(format!("the answer stood still for {:?}", self.idle));
            let chunk = timeout(self.idle, self.response.chunk()).await.map_err(silent)?;
            let Some(chunk) = chunk.map_err(|error| explain(&error.without_url()))? else { return Ok(None) };
            self.waiting = chunk;
        }
        Ok(Some(self.waiting.split_to(self.waiting.len().min(TAKEN_BYTES))))
    }

    /// An answer whose body is handed over as it comes.
    fn go_on(mut self, mut body: Body) -> Result<Response, TransportError> {
        if !body.says_its_end() && !is_framed(&self.response) {
            return Err(TransportError::Endless);
        }
        let headers = std::mem::take(self.response.headers_mut());
        let status = self.response.status().as_u16();
        let beginning = body.drain();
        let first = futures_util::stream::iter([Ok(beginning.clone())]);
        let rest = futures_util::stream::unfold(Some((self, body)), |state| async move {
            let (mut coming, mut body) = state?;
            loop {
                let piece = match coming.next().await {
                    Ok(Some(chunk)) => body.take(&chunk).map(|()| body.drain()),
                    Ok(None) => return Some((body.finish().map(|(last, _cut)| last), None)),
                    Err(error) => Err(error),
                };
                match piece {
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) => return Some((Ok(piece), Some((coming, body)))),
                    Err(error) => return Some((Err(error), None)),
                }
            }
        });
        let rest = Some(Rest::new(futures_util::StreamExt::chain(first, rest)));
        Ok(Response { status, headers, body: beginning, cut_down: Vec::new(), rest })
    }
}

/// Whether the answer says where its body ends, so that one that is cut off is none that ended.
fn is_framed(response: &reqwest::Response) -> bool {
    let headers = response.headers();
    response.version() >= http::Version::HTTP_2
        || headers.contains_key(CONTENT_LENGTH)
        || headers.contains_key(TRANSFER_ENCODING)
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
    if let Some(why) = error.source().and_then(refuses_us) {
        return TransportError::Identity(format!("the upstream refused us: {why} ({words})"));
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
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    let refuses =
        |error: &rustls::Error| matches!(error, InvalidCertificate(_) | NoCertificatesPresented).then_some(());
    error.source().and_then(|source| in_tls(source, &refuses)).is_some()
}

/// What a server says that does not take our certificate.
fn refuses_us(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    in_tls(cause, &|error| match error {
        rustls::Error::AlertReceived(alert) => tls::refuses_us(*alert),
        _ => None,
    })
}

/// An I/O error that wraps another error shows that one's own source, never the error itself: it is looked for inside.
fn in_tls<T>(cause: &(dyn std::error::Error + 'static), look: &dyn Fn(&rustls::Error) -> Option<T>) -> Option<T> {
    let inside = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let found = cause.downcast_ref::<rustls::Error>().and_then(look);
    let deeper = || inside.and_then(|inside| in_tls(inside, look));
    found.or_else(deeper).or_else(|| cause.source().and_then(|source| in_tls(source, look)))
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
