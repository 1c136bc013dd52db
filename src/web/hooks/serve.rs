//! Owns: `POST /webhooks/UPSTREAM`: what the sender of a webhook is answered.
//!
//! Must not know: how connections are made; how signatures are made.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Extension, Router};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::rules::Webhook;
use crate::store::{HOOKS_WAITING_MAX, HookAges, HookTaken, Micros, NewHook, Store, StoreError, write_small};

use super::super::control::Front;
use super::super::listener;
use super::super::proxy::{Peer, Proxies};
use super::super::seldom::Seldom;
use super::arrivals::Arrival;
use super::meaning::{Meaning, read};
use super::secrets::Keys;
pub use super::secrets::LookUp;
use super::verify::verify;

/// The longest body, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// How long it may take to keep one: senders wait hardly longer for an answer.
const KEEP_TIME_MAX: Duration = Duration::from_secs(4);
/// What the sender waits before it tries again where too many wait, in seconds.
const RETRY_AFTER_S: u16 = 60;

const DAY: Micros = 86_400_000_000;
/// Repeats are told for so long: longer than any of the senders tries.
const SETTLED_KEPT: Micros = 7 * DAY;
/// What could not be followed is shown for so long.
const DEAD_KEPT: Micros = 30 * DAY;
/// What no pass looked for within this will not be.
const WAITING_KEPT: Micros = 7 * DAY;
/// Rows of all kinds that are kept, about.
const KEPT_MAX: i64 = 200_000;
const NOBODY_LOOKED: &str = "no pass ended well at its upstream within 7 days";

/// What answers are made of.
#[derive(Clone)]
pub struct HookFront {
    /// The rules in force, time, what is counted.
    base: Front,
    store: Arc<dyn Store>,
    look_up: Arc<LookUp>,
    proxies: Proxies,
    /// By upstream.
    refusals: Arc<Mutex<BTreeMap<String, Seldom>>>,
}

impl HookFront {
    /// Secrets are looked up whenever a webhook comes, so that a changed one counts at once.
    pub fn new(base: Front, store: Arc<dyn Store>, look_up: Arc<LookUp>) -> Self {
        Self { base, store, look_up, proxies: Proxies::default(), refusals: Arc::default() }
    }

    /// What these proxies say of who sends a webhook counts.
    pub fn behind(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    fn webhook(&self, upstream: &str) -> Option<Webhook> {
        self.base.desk.standing().rules.upstreams.get(upstream)?.webhook.clone()
    }

    fn count(&self, upstream: &str, arrival: Arrival) {
        self.base.arrivals.count(upstream, arrival);
    }

    /// Whether this refusal is a warning, and how many were none since the last.
    fn warns(&self, upstream: &str) -> Option<u64> {
        let now = self.base.clock.monotonic();
        let mut all = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(upstream.to_owned()).or_default().says(now)
    }

    async fn keep(&self, upstream: &str, meaning: Meaning) -> Result<HookTaken, StoreError> {
        let now = self.base.clock.now().timestamp_micros();
        let hook = NewHook {
            upstream: upstream.to_owned(),
            delivery: meaning.delivery,
            received_at: now,
            event: meaning.event.to_owned(),
            collection: meaning.collection,
            remote_id: meaning.remote_id,
            state: meaning.state,
            error: meaning.error,
            record: meaning.record,
        };
        let ages = HookAges {
            settled_before: now - SETTLED_KEPT,
            dead_before: now - DEAD_KEPT,
            waiting_before: now - WAITING_KEPT,
            kept_max: KEPT_MAX,
        };
        write_small(self.store.as_ref(), move |tx| {
            tx.prune_hooks(&ages, NOBODY_LOOKED)?;
            tx.take_hook(&hook, HOOKS_WAITING_MAX)
        })
        .await
    }
}

/// The only route; whatever else is asked for is not found, but where the router is merged into another.
pub fn router(front: HookFront) -> Router {
    Router::new().route("/webhooks/{upstream}", post(take)).with_state(front)
}

async fn take(
    State(front): State<HookFront>,
    Path(upstream): Path<String>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(webhook) = front.webhook(&upstream) else { return StatusCode::NOT_FOUND.into_response() };
    let asked = front.proxies.asked(&headers, peer.map(|Extension(peer)| peer));
    let from = asked.as_ref().ok().and_then(|asked| asked.address);
    let sender = Sender { upstream: &upstream, from };
    if let Err(unclear) = asked {
        return refuse(&front, sender, StatusCode::BAD_REQUEST, &unclear.to_string());
    }
    let body = match listener::whole(body, BODY_BYTES_MAX, BODY_TIME_MAX, front.base.clock.as_ref()).await {
        Ok(body) => body,
        Err(status) => return refuse(&front, sender, status, "its body is too long, breaks off or does not come"),
    };
    let keys = match Keys::of(&webhook, front.look_up.as_ref()) {
        Ok(keys) => keys,
        Err(words) => {
            if front.warns(&upstream).is_some() {
                tracing::error!("webhooks of {upstream} cannot be checked: {words}");
            }
            return later(&front, &upstream);
        }
    };
    let genuine = match verify(&webhook, &keys, &headers, &body, front.base.clock.now()) {
        Ok(genuine) => genuine,
        Err(refused) => return refuse(&front, sender, refused.status(), &refused.to_string()),
    };
    let meaning = read(&webhook, &genuine, &body);
    let (echo, about) = (meaning.echo.clone(), meaning.collection.clone());
    // What was begun may still be done; then the next try is told as a repeat.
    let kept = tokio::select! {
        kept = front.keep(&upstream, meaning) => Some(kept),
        () = front.base.clock.sleep(KEEP_TIME_MAX) => None,
    };
    let Some(kept) = kept else {
        if front.warns(&upstream).is_some() {
            let seconds = KEEP_TIME_MAX.as_secs();
            tracing::error!(
                "webhooks of {upstream} cannot be kept within {seconds} s: another program may hold the database"
            );
        }
        return later(&front, &upstream);
    };
    match kept {
        Ok(HookTaken::New) => {
            front.count(&upstream, Arrival::Accepted);
            tracing::debug!("a webhook of {upstream} about {}", about.as_deref().unwrap_or("nothing that is followed"));
            echo.unwrap_or_default().into_response()
        }
        // The sender did not hear that it was taken, or sends everything twice.
        Ok(HookTaken::Duplicate) => {
            front.count(&upstream, Arrival::Repeated);
            echo.unwrap_or_default().into_response()
        }
        Ok(HookTaken::Full) => {
            if let Some(untold) = front.warns(&upstream) {
                tracing::warn!(
                    "{HOOKS_WAITING_MAX} webhooks wait already: those of {upstream} are put off ({untold} more since the last \
                     such line)"
                );
            }
            later(&front, &upstream)
        }
        Err(error) => {
            if front.warns(&upstream).is_some() {
                tracing::error!("webhooks of {upstream} cannot be kept: {error}");
            }
            later(&front, &upstream)
        }
    }
}

/// Who sends, by his own words and by his address.
#[derive(Clone, Copy)]
struct Sender<'a> {
    upstream: &'a str,
    from: Option<IpAddr>,
}

impl fmt::Display for Sender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.upstream)?;
        self.from.map_or(Ok(()), |from| write!(f, " from {from}"))
    }
}

fn refuse(front: &HookFront, sender: Sender<'_>, status: StatusCode, words: &str) -> Response {
    match front.warns(sender.upstream) {
        Some(0) => tracing::warn!("a webhook of {sender} was refused: {words}"),
        Some(untold) => tracing::warn!(
            "a webhook of {sender} was refused: {words} ({untold} more were refused since the last such line)"
        ),
        None => tracing::debug!("a webhook of {sender} was refused: {words}"),
    }
    front.count(sender.upstream, Arrival::Refused);
    status.into_response()
}

fn later(front: &HookFront, upstream: &str) -> Response {
    front.count(upstream, Arrival::PutOff);
    let after = [(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S))];
    (StatusCode::SERVICE_UNAVAILABLE, after).into_response()
}
