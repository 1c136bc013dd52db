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
use tokio::sync::{Semaphore, watch};

use crate::store::Store;

use super::access::{Session, Sessions, TOKEN_CHARS_MIN, Token};
use super::control::{Front, refuse};
use super::counts::Counts;
use super::guard::{self, Hosts};
use super::listener::Place;
use super::metrics::Tally;
use super::proxy::Proxies;
use super::seldom::Seldom;
use super::signin::{ClientOf, SignIns};
use super::{health, listener, live, login, openapi, pages, scrape, signin};

/// The longest body of a question.
const BODY_MAX: usize = 256 * 1024;
/// The name of the secret that lets in.
pub const TOKEN_NAME: &str = "web_token";

/// What was found where the token should be, or why there is none.
pub type Found = Result<SecretString, String>;

/// How it is reached besides its own address.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// By these names.
    pub hosts: Vec<String>,
    /// Through these proxies.
    pub proxies: Proxies,
}

/// What answers are made of.
pub struct Site {
    /// The loop, and time.
    pub front: Front,
    /// The database.
    pub store: Arc<dyn Store>,
    /// By which names it may be asked.
    pub hosts: Hosts,
    /// Whose word counts about who asks.
    pub proxies: Proxies,
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
    /// Who may ask; nobody where there is none.
    token: Mutex<Option<Token>>,
    /// Wrong tokens of programs, which may go on for as long as somebody's script does.
    wrong: Mutex<Seldom>,
    sessions: Mutex<Sessions>,
}

impl Site {
    /// A site at this address, without a token as yet.
    pub fn new(front: Front, store: Arc<dyn Store>, address: SocketAddr, reached: &Reached) -> Self {
        Self {
            front,
            store,
            hosts: Hosts::new(address, &reached.hosts),
            proxies: reached.proxies.clone(),
            cookie: format!("reconciled_{}", address.port()),
            tally: Arc::default(),
            counts: Arc::default(),
            sign_ins: SignIns::default(),
            listeners: Arc::new(Semaphore::new(live::LISTENERS_MAX)),
            token: Mutex::default(),
            wrong: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    /// Lets people sign in to upstreams by its pages.
    pub fn making_clients(mut self, client_of: Arc<ClientOf>) -> Self {
        self.sign_ins = SignIns::of(client_of);
        self
    }

    /// The token.
    pub fn token(&self) -> Option<Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this is the token; with another one whoever was logged in is not any more. One that cannot be used changes
    /// nothing.
    pub fn renew(&self, found: &Found) {
        let found = found.as_ref().map_err(Clone::clone).and_then(|token| match token.expose_secret() {
            text if text.chars().count() >= TOKEN_CHARS_MIN => Ok(Token::of(text)),
            _ => Err(format!("secret `{TOKEN_NAME}` is shorter than {TOKEN_CHARS_MIN} characters")),
        });
        let mut now = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        match (found, now.as_ref()) {
            (Ok(token), Some(before)) if token == *before => {}
            (Ok(token), before) => {
                if before.is_some() {
                    tracing::info!("web: there is another token: browsers have to log in again");
                }
                *now = Some(token);
                self.sessions().end_all();
            }
            (Err(words), Some(_)) => tracing::error!("web: the token from before stays in force: {words}"),
            (Err(words), None) => tracing::error!(
                "web: nothing but /healthz is served: {words}; make a token with `openssl rand -hex 32`, keep it as one of these, \
                 and reload (or start again)"
            ),
        }
    }

    /// A program came with another token, or none, from this address: told once a minute.
    pub fn tell_wrong(&self, what: &str, from: &str) {
        let now = self.front.clock.monotonic();
        match self.wrong.lock().unwrap_or_else(PoisonError::into_inner).says(now) {
            Some(0) => tracing::warn!("web: a request from {from} was refused: {what}"),
            Some(untold) => tracing::warn!(
                "web: a request from {from} was refused: {what} ({untold} more were refused since the last such line)"
            ),
            None => {}
        }
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
        .layer(from_fn_with_state(Arc::clone(site), guard::has_token))
        .layer(from_fn_with_state(Arc::clone(site), guard::around))
        .with_state(Arc::clone(site))
}

/// Serves there until the loop is over (or the future is dropped); `beside` is served without a token.
pub async fn open(
    place: Place,
    reached: Reached,
    tokens: watch::Receiver<Found>,
    front: Front,
    (store, client_of): (Arc<dyn Store>, Arc<ClientOf>),
    beside: Option<Router>,
) {
    let opened = listener::open(place, "web.listen", "no pages and no metrics", &front).await;
    let Some((listener, address)) = opened else { return };
    if !address.ip().is_loopback() {
        tracing::warn!("web: {address} is open to other machines, without TLS: let a proxy with TLS stand before it");
    }
    let site = Arc::new(Site::new(front, store, address, &reached).making_clients(client_of));
    site.renew(&tokens.borrow());
    tracing::info!("web: http://{address}");
    if beside.is_some() {
        tracing::info!("webhooks come to http://{address}/webhooks/UPSTREAM");
    }
    serve(listener, &site, tokens, beside).await;
}

async fn serve(listener: TcpListener, site: &Arc<Site>, mut tokens: watch::Receiver<Found>, beside: Option<Router>) {
    let counts = site.tally.collect(site.front.desk.listen());
    let large = Arc::clone(&site.counts).keep(&site.front.desk, site.store.as_ref());
    let renewed = async {
        while tokens.changed().await.is_ok() {
            site.renew(&tokens.borrow_and_update());
        }
        // Nobody reads it anew any more.
        std::future::pending::<()>().await;
    };
    let router = beside.unwrap_or_default().merge(routes(site));
    tokio::select! {
        () = counts => {}
        () = large => {}
        () = renewed => {}
        () = listener::accept(listener, router, Arc::clone(&site.front.clock), site.front.desk.over()) => {}
    }
}
