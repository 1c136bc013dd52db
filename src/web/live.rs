//! Owns: what open pages hear while they stand open: what passes are at, and that things stand otherwise than they show.
//!
//! Must not know: what pages do with it; HTML.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::watch;

use crate::daemon::{Heard, Standing};

use super::control::refuse;
use super::guard::cookie;
use super::site::Site;

/// Pages that listen at a time; connections are few, and somebody must still be able to ask.
pub const LISTENERS_MAX: usize = 16;
/// A listener ends after this, and browsers come again by themselves: less than the last answer of a connection may take.
const LISTENING_MAX: Duration = Duration::from_secs(50);
/// How often something is said, so that whoever has gone is noticed.
const BEAT: Duration = Duration::from_secs(10);
/// Steps are gathered for so long.
const GATHERED: Duration = Duration::from_millis(200);
/// When browsers come again, in milliseconds.
const AGAIN_MS: u32 = 1_000;

/// Events, for a browser's `EventSource`: `hello`, `step` (a pass is at something else), `ended` (a pass is over), `changed` (things
/// stand otherwise), `stopping`.
pub async fn events(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let Ok(place) = Arc::clone(&site.listeners).try_acquire_owned() else {
        let answer = refuse(StatusCode::SERVICE_UNAVAILABLE, "too many pages listen already");
        return ([(header::RETRY_AFTER, "30")], answer).into_response();
    };
    let session = cookie(&headers, &site.cookie).unwrap_or_default().to_owned();
    let body = Body::from_stream(frames(Listener::new(site, session, place)));
    let headers = [("content-type", "text/event-stream"), ("x-accel-buffering", "no")];
    (headers, body).into_response()
}

fn frames(listener: Listener) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        let text = listener.next().await?;
        Some((Ok(Bytes::from(text)), listener))
    })
}

/// One page that listens.
struct Listener {
    site: Arc<Site>,
    /// The id of the browser's session: without one nothing is said.
    session: String,
    heard: Receiver<Heard>,
    standing: watch::Receiver<Standing>,
    seen: Looks,
    /// The newest step of each collection that was not said yet.
    steps: BTreeMap<String, String>,
    steps_due: Option<Duration>,
    beat_due: Duration,
    until: Duration,
    first: bool,
    last: bool,
    _place: OwnedSemaphorePermit,
}

/// As much of how things stand as pages show; what changes every second is no part of it.
#[derive(PartialEq)]
struct Looks {
    /// By collection: a pass runs, a pass waits, it rests.
    places: Vec<(String, [bool; 3])>,
    rules_refused: Option<String>,
    rules_wait: [Vec<String>; 2],
    rules_hash: String,
    stopping: bool,
}

impl Looks {
    fn of(standing: &Standing) -> Self {
        let place = standing.collections.iter();
        Self {
            places: place.map(|one| (one.collection.clone(), [one.running, one.waiting, one.paused])).collect(),
            rules_refused: standing.rules_refused.clone(),
            rules_wait: [standing.rules_wait_for.clone(), standing.rules_change.clone()],
            rules_hash: standing.rules.hash.clone(),
            stopping: standing.stopping,
        }
    }
}

impl Listener {
    fn new(site: Arc<Site>, session: String, place: OwnedSemaphorePermit) -> Self {
        // Listening begins before looking: what happens in between is heard.
        let heard = site.front.desk.listen();
        let standing = site.front.desk.follow();
        let now = site.front.clock.monotonic();
        let whole = site.front.desk.standing();
        let steps =
            whole.collections.iter().filter_map(|place| Some((place.collection.clone(), place.step()?.to_owned())));
        Self {
            seen: Looks::of(&whole),
            steps: steps.collect(),
            steps_due: None,
            beat_due: now + BEAT,
            until: now + LISTENING_MAX,
            first: true,
            last: false,
            site,
            session,
            heard,
            standing,
            _place: place,
        }
    }

    async fn next(&mut self) -> Option<String> {
        if self.last {
            return None;
        }
        if std::mem::take(&mut self.first) {
            self.last = self.seen.stopping;
            let steps = self.said_steps();
            let name = if self.last { "stopping" } else { "hello" };
            return Some(format!("retry: {AGAIN_MS}\n{}{steps}", event(name, &json!({}))));
        }
        loop {
            let now = self.site.front.clock.monotonic();
            let due = self.steps_due.unwrap_or(self.beat_due).min(self.beat_due);
            let said = tokio::select! {
                heard = self.heard.recv() => self.hear(heard, now),
                changed = self.standing.changed() => self.look(changed.is_err()),
                () = self.site.front.clock.sleep(due.saturating_sub(now)) => {
                    let now = self.site.front.clock.monotonic();
                    if now >= self.until || self.site.session(&self.session).is_none() {
                        return None;
                    }
                    self.beat(now)
                }
            };
            if said.is_some() {
                self.beat_due = self.site.front.clock.monotonic() + BEAT;
                return said;
            }
        }
    }

    fn hear(&mut self, heard: Result<Heard, RecvError>, now: Duration) -> Option<String> {
        match heard {
            Ok(Heard::Step { collection, text }) => {
                self.steps.insert(collection, text);
                self.steps_due.get_or_insert(now + GATHERED);
                None
            }
            Ok(Heard::Ended { collection, report, .. }) => {
                self.steps.remove(&collection);
                let outcome = report.map(|report| report.outcome).unwrap_or_default();
                Some(event("ended", &json!({ "collection": collection, "outcome": outcome })))
            }
            // Something was missed.
            Err(RecvError::Lagged(_)) => Some(event("changed", &json!({}))),
            Err(RecvError::Closed) => {
                self.last = true;
                Some(event("stopping", &json!({})))
            }
        }
    }

    fn look(&mut self, is_over: bool) -> Option<String> {
        let looks = Looks::of(&self.standing.borrow_and_update());
        self.last = is_over || looks.stopping;
        if self.last {
            return Some(event("stopping", &json!({})));
        }
        if looks == self.seen {
            return None;
        }
        self.seen = looks;
        Some(event("changed", &json!({})))
    }

    fn beat(&mut self, now: Duration) -> Option<String> {
        if self.steps_due.is_some_and(|due| now >= due) {
            return Some(self.said_steps()).filter(|text| !text.is_empty());
        }
        (now >= self.beat_due).then(|| ":\n\n".to_owned())
    }

    fn said_steps(&mut self) -> String {
        self.steps_due = None;
        let steps = std::mem::take(&mut self.steps);
        steps.iter().map(|(name, text)| event("step", &json!({ "collection": name, "text": text }))).collect()
    }
}

/// JSON text has no line breaks of its own.
fn event(name: &str, data: &serde_json::Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
