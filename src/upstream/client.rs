//! Owns: a stand-in for the client while it is being written. Must not know: anything.
use std::sync::Arc;
use http::{HeaderName, HeaderValue};
use crate::clock::Clock;
use crate::rules::{Auth, Place, Request, Template, Upstream};
use super::request::render;
use super::{Built, Draft, Failure, FailureKind, Response, Safety, Transport, Outgoing, TransportError};
pub struct Client { upstream: Arc<Upstream>, clock: Arc<dyn Clock>, transport: Arc<dyn Transport>, secrets: Box<dyn Fn(&str) -> Option<String> + Send + Sync> }
impl Client {
    pub fn new(upstream: Arc<Upstream>, secrets: Box<dyn Fn(&str) -> Option<String> + Send + Sync>, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self { Self { upstream, clock, transport, secrets } }
    pub async fn check(&self) -> Result<Option<String>, Failure> { Ok(None) }
    pub fn upstream(&self) -> &Arc<Upstream> { &self.upstream }
    pub fn clock(&self) -> &Arc<dyn Clock> { &self.clock }
    pub fn secret(&self, name: &str) -> Option<String> { (self.secrets)(name) }
    pub fn draft(&self, request: &Request, fill: &dyn Fn(&str) -> Option<String>) -> Result<Draft, Failure> { Draft::new(&self.upstream, request, fill, &|n| self.secret(n)) }
    fn text(&self, t: &Template) -> String { render(t, &|_| None, &|n| self.secret(n)).unwrap_or_default() }
    pub async fn send(&self, built: Built, safety: Safety) -> Result<Response, Failure> {
        let mut url = built.url.clone();
        let mut headers = built.headers.clone();
        for (n, v) in &self.upstream.headers { headers.insert(HeaderName::from_bytes(n.as_bytes()).unwrap(), HeaderValue::from_str(&self.text(v)).unwrap()); }
        match &self.upstream.auth {
            Auth::None => {}
            Auth::Basic { username, password } => { use base64::Engine; let t = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", self.text(username), self.text(password))); headers.insert("authorization", HeaderValue::from_str(&format!("Basic {t}")).unwrap()); }
            Auth::Bearer { token } => { headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {}", self.text(token))).unwrap()); }
            Auth::ApiKey { place: Place::Header(h), value } => { headers.insert(HeaderName::from_bytes(h.as_bytes()).unwrap(), HeaderValue::from_str(&self.text(value)).unwrap()); }
            Auth::ApiKey { place: Place::Query(q), value } => { url.query_pairs_mut().append_pair(q, &self.text(value)); }
            _ => {}
        }
        let words = |s: String| format!("{} {}: {s}", built.method, url.path());
        let out = Outgoing { method: built.method.clone(), url: url.clone(), headers, body: built.body.clone(), timeouts: self.upstream.timeout, body_bytes_max: self.upstream.body_bytes_max };
        let fail = |kind, status, w: String| Failure { kind, status, words: w, retry_at: None };
        match self.transport.exchange(out).await {
            Ok(r) if r.status < 400 => Ok(r),
            Ok(r) => { let kind = match r.status { 401 | 403 => FailureKind::Auth, 404 => FailureKind::NotFound, 410 => FailureKind::Gone, 409 | 412 => FailureKind::Conflict, 429 | 503 => FailureKind::NotDone, 500.. => FailureKind::Unknown, _ => FailureKind::Invalid }; let b: String = String::from_utf8_lossy(&r.body).chars().take(200).collect(); Err(fail(kind, Some(r.status), words(format!("status {} {b}", r.status)))) }
            Err(TransportError::NotSent(e)) => Err(fail(FailureKind::NotDone, None, words(e))),
            Err(e) => { let _ = safety; Err(fail(FailureKind::Unknown, None, words(e.to_string()))) }
        }
    }
}
pub struct HttpTransport(reqwest::Client);
impl HttpTransport { pub fn new() -> Self { rustls::crypto::ring::default_provider().install_default().ok(); 
  let certs = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|c| reqwest::Certificate::from_der(c).ok());
  Self(reqwest::Client::builder().tls_certs_merge(certs).tcp_nodelay(true).redirect(reqwest::redirect::Policy::none()).build().unwrap()) } }
impl Transport for HttpTransport {
    fn exchange(&self, o: Outgoing) -> futures_util::future::BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let mut r = self.0.request(o.method, o.url).headers(o.headers).timeout(o.timeouts.total);
            if let Some(b) = o.body { r = r.body(b); }
            let a = r.send().await.map_err(|e| if e.is_connect() { TransportError::NotSent(e.without_url().to_string()) } else { TransportError::Broken(e.without_url().to_string()) })?;
            let status = a.status().as_u16(); let headers = a.headers().clone();
            let body = a.bytes().await.map_err(|e| TransportError::Broken(e.without_url().to_string()))?;
            Ok(Response { status, headers, body })
        })
    }
}
