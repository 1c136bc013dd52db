//! Owns: the control socket's answers.
//!
//! Must not know: how connections are made; what the loop decides.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{StreamExt as _, stream};
use http::{StatusCode, header};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::clock::Clock;
use crate::daemon::{Accepted, Desk, Heard, set_paused};
use crate::ops::{self, OpsError, UndoRequest};
use crate::store::{Store, View, read};

use super::hooks::Arrivals;
use super::listener;
use super::plans::{self, Planner, Plans};
use super::wire::{
    ApplyRequest, ApproveRequest, Line, Refusal, RejectRequest, Rejected, ResolveRequest, SyncRequest, VERSION_PATH,
};

/// The longest body of a question.
const BODY_MAX: usize = 64 * 1024;
/// How long it may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(5);
/// How often it is asked whether a pass whose end was not heard is still to come.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Whoever waits for a line hears an empty one so often, and knows by it that somebody lives here.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// What answers are made of.
#[derive(Clone)]
pub struct Front {
    /// The loop.
    pub desk: Desk,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What was counted of webhooks.
    pub arrivals: Arc<Arrivals>,
}

impl Front {
    /// Rejects a halt: nothing of it is done, and its collection rests until somebody lets it go on. Returns that.
    pub async fn reject(&self, store: &dyn Store, halt: i64) -> Result<String, OpsError> {
        let collection = ops::reject(store, halt).await?;
        self.pause(store, collection.clone(), true).await?;
        Ok(collection)
    }

    /// Lets a collection rest, or go on. That is written down here: the loop, which every other question waits for, writes
    /// nothing that another program's lock could hold up.
    pub async fn pause(&self, store: &dyn Store, collection: String, paused: bool) -> Result<(), OpsError> {
        self.desk.standing().knows(&collection).map_err(OpsError::Refused)?;
        set_paused(store, &collection, paused).await?;
        self.desk.pause(collection, paused).await.map_err(OpsError::Refused)
    }
}

/// The same, with what is known and decided.
#[derive(Clone)]
struct WithStore {
    front: Front,
    store: Arc<dyn Store>,
}

/// The control socket's routes.
pub fn router(front: Front, store: Arc<dyn Store>, planner: Arc<dyn Planner>) -> Router {
    let clock = Arc::clone(&front.clock);
    let planning = Router::new().route("/plan", post(plans::plan)).with_state(Plans::new(
        front.desk.clone(),
        planner,
        Arc::clone(&clock),
    ));
    let with_store = Router::new()
        .route("/status", get(status))
        .route("/apply", post(apply))
        .route("/approve", post(approve))
        .route("/reject", post(reject))
        .route("/resolve", post(resolve))
        .route("/undo", post(undo))
        .route("/pause/{collection}", post(pause))
        .route("/resume/{collection}", post(resume))
        .with_state(WithStore { front: front.clone(), store });
    let routes = Router::new()
        .route("/standing", get(standing))
        .route("/sync", post(sync))
        .with_state(front)
        .merge(with_store)
        .merge(planning)
        .fallback(async || refuse(StatusCode::NOT_FOUND, "no such question"))
        .method_not_allowed_fallback(async || refuse(StatusCode::METHOD_NOT_ALLOWED, "not by this method"));
    Router::new()
        .nest(VERSION_PATH, routes)
        .fallback(async || {
            let words =
                "this daemon speaks version 1 of the control protocol: use the `reconciled` that it was started from";
            refuse(StatusCode::NOT_FOUND, words)
        })
        .layer(from_fn_with_state(clock, whole))
}

/// Takes in a question before it is answered: nobody is waited for longer, and nothing larger is kept.
async fn whole(State(clock): State<Arc<dyn Clock>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match listener::whole(body, BODY_MAX, BODY_TIME_MAX, clock.as_ref()).await {
        Ok(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(StatusCode::REQUEST_TIMEOUT) => refuse(StatusCode::REQUEST_TIMEOUT, "the question did not come in time"),
        Err(status) => refuse(status, "a question has at most 64 KiB"),
    }
}

async fn standing(State(front): State<Front>) -> Response {
    Json(front.desk.standing()).into_response()
}

async fn pause(State(to): State<WithStore>, Path(collection): Path<String>) -> Response {
    answered(to.front.pause(to.store.as_ref(), collection, true).await.map(|()| serde_json::json!({})))
}

async fn resume(State(to): State<WithStore>, Path(collection): Path<String>) -> Response {
    answered(to.front.pause(to.store.as_ref(), collection, false).await.map(|()| serde_json::json!({})))
}

async fn status(State(of): State<WithStore>) -> Response {
    let (standing, now) = (of.front.desk.standing(), of.front.clock.now());
    let known = move |view: &dyn View| ops::known(view, &standing.rules, now, Some(&standing));
    answered(read(of.store.as_ref(), known).await.map_err(OpsError::from))
}

async fn approve(State(to): State<WithStore>, asked: Result<Json<ApproveRequest>, JsonRejection>) -> Response {
    let asked = match asked {
        Ok(Json(asked)) => asked,
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    let now = to.front.clock.now().timestamp_micros();
    // What is decided starts a pass by itself, as it does wherever it is written down.
    answered(ops::approve(to.store.as_ref(), asked.halt, asked.wins.as_deref(), now).await)
}

async fn reject(State(to): State<WithStore>, asked: Result<Json<RejectRequest>, JsonRejection>) -> Response {
    let asked = match asked {
        Ok(Json(asked)) => asked,
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    answered(to.front.reject(to.store.as_ref(), asked.halt).await.map(|collection| Rejected { collection }))
}

async fn resolve(State(to): State<WithStore>, asked: Result<Json<ResolveRequest>, JsonRejection>) -> Response {
    let asked = match asked {
        Ok(Json(asked)) => asked,
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    let rules = to.front.desk.standing().rules;
    answered(ops::resolve(to.store.as_ref(), &rules, asked.conflict, asked.choice).await)
}

/// Plans to take back what a pass changed, or does it. What is edited starts a pass by itself, as anybody's edits do.
async fn undo(State(to): State<WithStore>, asked: Result<Json<UndoRequest>, JsonRejection>) -> Response {
    let asked = match asked {
        Ok(Json(asked)) => asked,
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    let (standing, now) = (to.front.desk.standing(), to.front.clock.now().timestamp_micros());
    let is_at_work = |name: &str| standing.collections.iter().any(|place| place.collection == name && place.running);
    answered(ops::undo(to.store.as_ref(), &standing.rules, asked, is_at_work, now).await)
}

fn answered(done: Result<impl Serialize, OpsError>) -> Response {
    match done {
        Ok(done) => Json(done).into_response(),
        Err(OpsError::NotFound(words)) => refuse(StatusCode::NOT_FOUND, &words),
        Err(OpsError::Refused(words)) => refuse(StatusCode::CONFLICT, &words),
        Err(OpsError::Store(error)) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

async fn sync(State(front): State<Front>, asked: Result<Json<SyncRequest>, JsonRejection>) -> Response {
    let asked = match asked {
        Ok(Json(asked)) => asked,
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    // Listening begins before asking: a pass may be over at once.
    let (heard, clock) = (front.desk.listen(), Arc::clone(&front.clock));
    match front.desk.sync(asked.collections, asked.full).await {
        Ok(accepted) => {
            let body = Body::from_stream(alive(lines(front, heard, accepted), clock));
            ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
        Err(words) => refuse(StatusCode::CONFLICT, &words),
    }
}

/// Has saved plans made: by the next pass of each collection, which is asked for at once.
async fn apply(State(to): State<WithStore>, asked: Result<Json<ApplyRequest>, JsonRejection>) -> Response {
    let asked = match asked {
        Ok(Json(asked)) => asked,
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    if to.front.desk.standing().rules.hash != asked.rules {
        let words = "the daemon goes by other rules than the plan: make it anew";
        return refuse(StatusCode::PRECONDITION_FAILED, words);
    }
    let (heard, clock) = (to.front.desk.listen(), Arc::clone(&to.front.clock));
    if let Err(error) = ops::bind_plans(to.store.as_ref(), &asked.plans).await {
        return answered(Err::<(), _>(error));
    }
    match to.front.desk.sync(asked.plans.keys().cloned().collect(), asked.full).await {
        Ok(accepted) => {
            let body = Body::from_stream(alive(lines(to.front, heard, accepted), clock));
            ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
        Err(words) => match ops::unbind_plans(to.store.as_ref(), &asked.plans).await {
            Ok(()) => refuse(StatusCode::CONFLICT, &words),
            Err(error) => answered(Err::<(), _>(error)),
        },
    }
}

/// What goes out of an answer that lives on.
type Out = Result<Bytes, std::convert::Infallible>;

/// The same lines, with empty ones between them while none comes.
pub fn alive(
    lines: impl stream::Stream<Item = Out> + Send + 'static,
    clock: Arc<dyn Clock>,
) -> impl stream::Stream<Item = Out> {
    stream::unfold(lines.boxed(), move |mut lines| {
        let clock = Arc::clone(&clock);
        async move {
            let line = tokio::select! {
                biased;
                line = lines.next() => line?,
                () = clock.sleep(ALIVE_EVERY) => Ok(Bytes::from_static(b"\n")),
            };
            Some((line, lines))
        }
    })
}

/// Passes that somebody waits for.
struct Waiting {
    front: Front,
    heard: Receiver<Heard>,
    collections: BTreeSet<String>,
    after: u64,
    /// Lines that are to be said before anything else is heard.
    due: VecDeque<Line>,
}

fn lines(front: Front, heard: Receiver<Heard>, accepted: Accepted) -> impl stream::Stream<Item = Out> {
    let due = VecDeque::from([Line::Accepted(accepted.collections.clone())]);
    let collections = accepted.collections.into_iter().collect();
    let waiting = Waiting { front, heard, collections, after: accepted.after, due };
    stream::unfold(waiting, |mut waiting| async move {
        let line = waiting.next().await?;
        Some((Ok(Bytes::from(line.text())), waiting))
    })
}

impl Waiting {
    async fn next(&mut self) -> Option<Line> {
        if let Some(line) = self.due.pop_front() {
            return Some(line);
        }
        while !self.collections.is_empty() {
            let heard = tokio::select! {
                heard = self.heard.recv() => heard,
                () = self.front.clock.sleep(LOOK_AGAIN) => {
                    if let Some(line) = self.lost() {
                        return Some(line);
                    }
                    continue;
                }
            };
            match heard {
                Ok(Heard::Step { collection, text }) if self.collections.contains(&collection) => {
                    return Some(Line::Step { collection, text });
                }
                Ok(Heard::Ended { collection, number, report })
                    if number > self.after && self.collections.remove(&collection) =>
                {
                    match report {
                        Ok(report) => self.due.extend(Line::of_report(report.as_ref().clone())),
                        Err(error) => self.due.push_back(Line::Failed { collection, error }),
                    }
                    return self.due.pop_front();
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => {
                    let collection = self.collections.pop_first()?;
                    return Some(Line::Failed { collection, error: "the daemon is stopping".to_owned() });
                }
            }
        }
        None
    }

    /// A pass that neither runs nor waits has ended unheard, or is made no more (its collection left the rules).
    fn lost(&mut self) -> Option<Line> {
        let standing = self.front.desk.standing();
        let is_to_come = |name: &String| {
            let place = standing.collections.iter().find(|place| place.collection == *name);
            place.is_some_and(|place| place.running || place.waiting) && !standing.stopping
        };
        let collection = self.collections.iter().find(|name| !is_to_come(name)).cloned()?;
        self.collections.remove(&collection);
        let error = "its end was not heard; `reconciled status` tells what came of it".to_owned();
        Some(Line::Failed { collection, error })
    }
}

/// Why not, for programs.
pub fn refuse(status: StatusCode, words: &str) -> Response {
    (status, Json(Refusal { error: words.to_owned() })).into_response()
}
