//! Owns: what every request to the web listener must get past, and the headers of every answer.
//!
//! Must not know: what is asked.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::control::refuse;
use super::proxy::{Asked, Peer};
use super::site::Site;

/// The longest that an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What every answer says to browsers.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// The names by which the listener may be asked, in lower case, with their ports: a name that somebody else lets point
/// here (DNS rebinding) is none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts(BTreeSet<String>);

impl Hosts {
    /// Its address, this machine's own names where it is reached by them, and these.
    pub fn new(address: SocketAddr, more: &[String]) -> Self {
        let port = address.port();
        let mut names: Vec<String> = vec![address.ip().to_string()];
        if let SocketAddr::V6(address) = address {
            names = vec![format!("[{}]", address.ip())];
        }
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            names.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        }
        let mut all: BTreeSet<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
        if port == 80 {
            all.extend(names);
        }
        for name in more {
            // A name without a port is one behind a proxy, or this port.
            all.insert(name.clone());
            if !name.rsplit(']').next().unwrap_or_default().contains(':') {
                all.insert(format!("{name}:{port}"));
            }
        }
        Self(all)
    }

    /// Whether this is one of them.
    pub fn knows(&self, name: &str) -> bool {
        self.0.contains(&name.to_ascii_lowercase())
    }
}

/// Around everything: known hosts only, in time, with the headers. Within it is known who asks ([`Asked`]).
pub async fn around(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let mut answer = match site.proxies.asked(request.headers(), peer) {
        Ok(asked) if asked.host.as_ref().is_some_and(|host| site.hosts.knows(host)) => {
            request.extensions_mut().insert(asked);
            tokio::select! {
                answer = next.run(request) => answer,
                () = site.front.clock.sleep(ANSWER_MAX) => refuse(StatusCode::SERVICE_UNAVAILABLE, "it took too long"),
            }
        }
        Ok(_) => {
            let words = "not a name that this daemon is known by; the setting `web.hosts` takes more";
            refuse(StatusCode::MISDIRECTED_REQUEST, words)
        }
        Err(unclear) => refuse(StatusCode::BAD_REQUEST, &unclear.to_string()),
    };
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Nothing but whether it lives, as long as there is no token.
pub async fn has_token(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if site.token().is_some() || request.uri().path() == "/healthz" {
        return next.run(request).await;
    }
    let words = "this daemon has no secret `web_token`, so that it shows nothing; its log says how to make one";
    refuse(StatusCode::SERVICE_UNAVAILABLE, words)
}

/// For programs: the token, at each request.
pub async fn bearer(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = site.token();
    if given.is_some_and(|(_, given)| token.is_some_and(|token| token.is(given.trim()))) {
        return next.run(request).await;
    }
    if let Some(asked) = request.extensions().get::<Asked>() {
        let what = if given.is_some() { "not the token" } else { "no token" };
        site.tell_wrong(what, &asked.from());
    }
    let words = "the secret `web_token` is needed, as `Authorization: Bearer …`";
    ([(header::WWW_AUTHENTICATE, "Bearer")], refuse(StatusCode::UNAUTHORIZED, words)).into_response()
}

/// For browsers: a session, which the page gets to know; else the login.
pub async fn session(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let id = cookie(request.headers(), &site.cookie).map(str::to_owned);
    let session = id.and_then(|id| site.session(&id));
    match session {
        Some(session) => {
            request.extensions_mut().insert(session);
            next.run(request).await
        }
        None if request.method() == Method::GET => Redirect::to("/login").into_response(),
        None => refuse(StatusCode::UNAUTHORIZED, "nobody is logged in; reload the page"),
    }
}

/// For what changes something: not on behalf of another site.
///
/// Under `no-referrer` browsers send `Origin: null` with the forms of these pages as well; that it is the same origin is
/// then said by `Sec-Fetch-Site` only, which they send over https and to this machine, and not over plain http to others.
pub async fn same_site(request: Request, next: Next) -> Response {
    let asked = request.extensions().get::<Asked>().cloned().unwrap_or_default();
    if request.method() == Method::GET || request.method() == Method::HEAD || is_of_here(request.headers(), &asked) {
        return next.run(request).await;
    }
    refuse(StatusCode::FORBIDDEN, "sent by another site, or over plain http from another machine: use https there")
}

fn is_of_here(headers: &HeaderMap, asked: &Asked) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), None | Some("null")) => site == "same-origin",
        // No browser: the form's token or the bearer's must do.
        (None, None) => true,
        (site, Some(origin)) => {
            let origin = origin.to_ascii_lowercase();
            let Some((scheme, authority)) = origin.split_once("://") else { return false };
            let is_scheme = asked.https.is_none_or(|https| scheme == if https { "https" } else { "http" });
            let is_host = asked.host.as_deref() == Some(authority);
            site.is_none_or(|site| site == "same-origin") && is_scheme && is_host
        }
    }
}

/// A cookie of this name.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_that_lead_here_and_those_that_are_named() {
        let check = |listen: &str, more: &[&str], host: &str, known: bool| {
            let more: Vec<String> = more.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(Hosts::new(listen.parse().unwrap(), &more).knows(host), known, "{listen} {more:?} {host}");
        };
        for host in ["127.0.0.1:8480", "localhost:8480", "LOCALHOST:8480", "[::1]:8480"] {
            check("127.0.0.1:8480", &[], host, true);
            check("0.0.0.0:8480", &[], host, true);
        }
        check("127.0.0.1:8480", &[], "localhost", false);
        check("127.0.0.1:80", &[], "localhost", true);
        check("127.0.0.1:8480", &[], "evil.example:8480", false);
        check("127.0.0.1:8480", &[], "127.0.0.1:8481", false);
        check("192.0.2.7:8480", &[], "192.0.2.7:8480", true);
        check("192.0.2.7:8480", &[], "localhost:8480", false);
        check("[::1]:8480", &[], "[::1]:8480", true);
        check("127.0.0.1:8480", &["sync.example.com"], "sync.example.com", true);
        check("127.0.0.1:8480", &["sync.example.com"], "sync.example.com:8480", true);
        check("127.0.0.1:8480", &["sync.example.com"], "sync.example.com:1", false);
        check("127.0.0.1:8480", &["sync.example.com:8443"], "sync.example.com", false);
    }

    #[test]
    fn another_site_is_told_by_what_browsers_say() {
        let check = |pairs: &[(&'static str, &'static str)], of_here: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            let here = Asked { host: Some("localhost:8480".to_owned()), ..Asked::default() };
            assert_eq!(is_of_here(&headers, &here), of_here, "{pairs:?}");
        };
        check(&[], true);
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "same-origin"), ("origin", "null")], true);
        check(&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8480")], true);
        check(&[("origin", "http://localhost:8480")], true);
        check(&[("origin", "null")], false);
        check(&[("origin", "http://localhost:8481")], false);
        check(&[("origin", "https://evil.example")], false);
        check(&[("sec-fetch-site", "cross-site"), ("origin", "null")], false);
        check(&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:8480")], false);
        // Behind a proxy that says so the scheme counts as well.
        let https = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("origin", HeaderValue::from_static(origin));
            let asked = Asked { host: Some("sync.example.com".to_owned()), https: Some(true), address: None };
            is_of_here(&headers, &asked)
        };
        assert!(https("https://sync.example.com"));
        assert!(!https("http://sync.example.com") && !https("https://sync.example.com:8480"));
    }
}
