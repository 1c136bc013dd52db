//! Owns: what the web listener serves: which routes there are, and who may ask for which.
//!
//! Must not know: how each is answered; how connections are made.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::store::Store;

use super::access::{Session, Sessions, TOKEN_CHARS_MIN, Token};
use super::control::{Front, refuse};
use super::counts::Counts;
use super::guard::{self, Hosts};
use super::listener::Place;
use super::metrics::Tally;
use super::signin::{ClientOf, SignIns};
use super::{health, listener, live, login, openapi, pages, scrape, signin};

/// The longest body of a question.
const BODY_MAX: usize = 256 * 1024;
/// The name of the secret that lets in.
pub const TOKEN_NAME: &str = "web_token";

/// What answers are made of.
pub struct Site {
    /// The loop, and time.
    pub front: Front,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Who may ask.
    pub token: Token,
    /// By which names.
    pub hosts: Hosts,
    /// The name of the cookie; browsers share cookies between the ports of a machine.
    pub cookie: String,
    /// What was counted.
    pub tally: Arc<Tally>,
    /// How many records large collections have.
    pub counts: Arc<Counts>,
    /// Sign-ins to upstreams that were begun here.
    pub sign_ins: SignIns,
    /// Room for pages that listen.
    pub listeners: Arc<Semaphore>,
    sessions: Mutex<Sessions>,
}

impl Site {
    /// A site at this address.
    pub fn new(front: Front, store: Arc<dyn Store>, token: Token, address: SocketAddr, hosts: &[String]) -> Self {
        Self {
            front,
            store,
            token,
            hosts: Hosts::new(address, hosts),
            cookie: format!("reconciled_{}", address.port()),
            tally: Arc::default(),
            counts: Arc::default(),
            sign_ins: SignIns::default(),
            listeners: Arc::new(Semaphore::new(live::LISTENERS_MAX)),
            sessions: Mutex::default(),
        }
    }

    /// Lets people sign in to upstreams by its pages.
    pub fn making_clients(mut self, client_of: Arc<ClientOf>) -> Self {
        self.sign_ins = SignIns::of(client_of);
        self
    }

    /// Browsers that are logged in.
    pub fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of this id, while it lasts.
    pub fn session(&self, id: &str) -> Option<Session> {
        self.sessions().find(id, self.front.clock.monotonic()).cloned()
    }
}

/// All routes.
pub fn routes(site: &Arc<Site>) -> Router {
    let for_programs = Router::new()
        .route("/metrics", get(scrape::metrics))
        .nest(openapi::PATH, openapi::router())
        .layer(from_fn_with_state(Arc::clone(site), guard::bearer));
    let for_browsers = pages::router()
        .merge(signin::router())
        .route("/events", get(live::events))
        .layer(from_fn_with_state(Arc::clone(site), guard::session));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .merge(login::router())
        .merge(signin::open_router())
        .merge(for_programs)
        .merge(for_browsers)
        .fallback(async || refuse(StatusCode::NOT_FOUND, "no such page"))
        .method_not_allowed_fallback(async || refuse(StatusCode::METHOD_NOT_ALLOWED, "not by this method"))
        .layer(from_fn(guard::same_site))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(site), guard::around))
        .with_state(Arc::clone(site))
}

/// What is left where there is no token.
pub fn routes_without_token(site: &Arc<Site>) -> Router {
    let words = "this daemon has no secret `web_token`, so that it shows nothing; its log says how to make one";
    Router::new()
        .route("/healthz", get(health::healthz))
        .fallback(async move || refuse(StatusCode::SERVICE_UNAVAILABLE, words))
        .layer(from_fn_with_state(Arc::clone(site), guard::around))
        .with_state(Arc::clone(site))
}

/// Serves there until the loop is over (or the future is dropped). What stands in the way is said in the log, and the daemon goes on.
pub async fn open(
    place: Place,
    hosts: Vec<String>,
    token: Result<SecretString, String>,
    front: Front,
    (store, client_of): (Arc<dyn Store>, Arc<ClientOf>),
) {
    let shown = place.to_string();
    let (listener, address) = match place.listen().await {
        Ok(bound) => bound,
        Err(error) => {
            tracing::warn!("no pages and no metrics: {shown} (`web.listen`): {error}");
            return;
        }
    };
    if !address.ip().is_loopback() {
        tracing::warn!("web: {address} is open to other machines, without TLS: let a proxy with TLS stand before it");
    }
    let token = token.and_then(|token| match token.expose_secret().chars().count() {
        TOKEN_CHARS_MIN.. => Ok(Token::of(token.expose_secret())),
        _ => Err(format!("secret `{TOKEN_NAME}` is shorter than {TOKEN_CHARS_MIN} characters")),
    });
    let refused = token.as_ref().err().cloned();
    // Where there is none, no route asks for it.
    let token = token.unwrap_or_else(|_none| Token::of(""));
    let site = Arc::new(Site::new(front, store, token, address, &hosts).making_clients(client_of));
    let router = match refused {
        None => routes(&site),
        Some(words) => {
            tracing::error!(
                "web: nothing but /healthz is served: {words}; make a token with `openssl rand -hex 32`, keep it as one of these, \
                 and start again"
            );
            routes_without_token(&site)
        }
    };
    tracing::info!("web: http://{address}");
    serve(listener, router, &site).await;
}

async fn serve(listener: TcpListener, router: Router, site: &Site) {
    let counts = site.tally.collect(site.front.desk.listen());
    let large = Arc::clone(&site.counts).keep(&site.front.desk, site.store.as_ref());
    tokio::select! {
        () = counts => {}
        () = large => {}
        () = listener::accept(listener, router, Arc::clone(&site.front.clock), site.front.desk.over()) => {}
    }
}
