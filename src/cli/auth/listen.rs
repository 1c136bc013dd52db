//! Owns: listening on loopback for a browser that comes back from a sign-in (RFC 8252, 7.3).
//!
//! Must not know: which answer is the right one.

use std::sync::Arc;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use url::{Host, Url};

use crate::clock::Clock;
use crate::upstream::{Back, read_back_url};
use crate::web;

/// Answers that wait to be looked at.
const WAITING_MAX: usize = 4;

/// Listens until it is closed or dropped.
pub struct Listener {
    url: String,
    backs: mpsc::Receiver<(Back, Answer)>,
    close: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

/// What the browser is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    SignedIn,
    /// It is over, and failed; the terminal says why.
    Failed,
    /// This has nothing to do with the sign-in that is waited for.
    Foreign,
}

/// Lets the browser know.
pub struct Answer(oneshot::Sender<Reply>);

impl Answer {
    /// Shows it, if the browser still waits.
    pub fn send(self, reply: Reply) {
        let _gone_away = self.0.send(reply);
    }
}

impl Listener {
    /// Listens at the address that the rules fix, else at a free port.
    #[expect(clippy::disallowed_methods, reason = "ends with the listener, which waits for it")]
    pub async fn open(fixed: Option<&Url>, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (listener, url) = if let Some(url) = fixed {
            let port = url.port_or_known_default().unwrap_or(0);
            let listener = match url.host() {
                Some(Host::Ipv6(address)) => TcpListener::bind((address, port)).await?,
                Some(Host::Ipv4(address)) => TcpListener::bind((address, port)).await?,
                Some(Host::Domain(_)) | None => TcpListener::bind(("127.0.0.1", port)).await?,
            };
            (listener, url.to_string())
        } else {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let url = format!("http://{}/callback", listener.local_addr()?);
            (listener, url)
        };
        let path = Url::parse(&url).map(|url| url.path().to_owned()).unwrap_or_default();
        let (told, backs) = mpsc::channel(WAITING_MAX);
        let router = Router::new().route(&path, get(move |RawQuery(query)| answer(told.clone(), query)));
        let (close, closed) = oneshot::channel::<()>();
        let over = async {
            let _closed_or_dropped = closed.await;
        };
        let served = tokio::spawn(web::accept(listener, router, clock, over));
        Ok(Self { url, backs, close, served })
    }

    /// Where the browser comes back to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a browser brought.
    pub async fn next(&mut self) -> Option<(Back, Answer)> {
        self.backs.recv().await
    }

    /// Lets the last answer be read, and ends.
    pub async fn close(self) {
        drop(self.close);
        let _panicked = self.served.await;
    }
}

async fn answer(told: mpsc::Sender<(Back, Answer)>, query: Option<String>) -> Response {
    let (send, reply) = oneshot::channel();
    let back = read_back_url(query.as_deref().unwrap_or_default());
    let reply = match told.send((back, Answer(send))).await {
        Ok(()) => reply.await.unwrap_or(Reply::Foreign),
        Err(_over) => Reply::Foreign,
    };
    let (status, title, words) = match reply {
        Reply::SignedIn => (StatusCode::OK, "Signed in", "You may close this window."),
        Reply::Failed => (StatusCode::BAD_REQUEST, "Not signed in", "The terminal says why."),
        Reply::Foreign => (StatusCode::BAD_REQUEST, "Not expected", "This is not the sign-in that is waited for."),
    };
    let page = maud::html! {
        (maud::DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="color-scheme" content="light dark";
                title { (title) " – reconciled" }
            }
            body style="font-family: system-ui, sans-serif; margin: 4rem auto; max-width: 30rem" {
                h1 { (title) }
                p { (words) }
            }
        }
    };
    // The address holds the code; it goes no further.
    let headers = [("referrer-policy", "no-referrer"), ("cache-control", "no-store")];
    (status, headers, Html(page.into_string())).into_response()
}
