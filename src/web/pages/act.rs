//! Owns: what the forms of pages do.
//!
//! Must not know: how it is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;

use crate::ops::{Bulk, Choice, OpsError};

use super::super::access::Session;
use super::super::api::{parameters, refusal};
use super::super::site::Site;
use super::conflicts;
use super::layout::trouble;

/// The fields of a form of this session; an answer for any other.
fn form(session: &Session, body: &Bytes) -> Result<BTreeMap<String, String>, Box<Response>> {
    let fields = parameters(body);
    if fields.get("form_token").is_some_and(|token| session.made(token)) {
        return Ok(fields);
    }
    Err(Box::new(trouble(
        session,
        StatusCode::FORBIDDEN,
        "This form is an old one; go back, reload the page, try again.",
    )))
}

/// Back to a page, or why it was not done.
fn done<T>(session: &Session, result: Result<T, OpsError>, to: &str) -> Response {
    match result {
        Ok(_) => Redirect::to(to).into_response(),
        Err(error) => {
            let (status, words) = refusal(&error);
            trouble(session, status, &words)
        }
    }
}

fn number(text: &str) -> Result<i64, OpsError> {
    text.parse().map_err(|_none| OpsError::NotFound("no such number".to_owned()))
}

/// Asks for a pass.
pub async fn sync(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path(collection): Path<String>,
    body: Bytes,
) -> Response {
    if let Err(answer) = form(&session, &body) {
        return *answer;
    }
    done(&session, site.sync(vec![collection], false).await, "/")
}

/// Lets a collection rest.
pub async fn pause(
    site: State<Arc<Site>>,
    session: Extension<Session>,
    collection: Path<String>,
    body: Bytes,
) -> Response {
    set_paused(site, session, collection, body, true).await
}

/// Lets it go on.
pub async fn resume(
    site: State<Arc<Site>>,
    session: Extension<Session>,
    collection: Path<String>,
    body: Bytes,
) -> Response {
    set_paused(site, session, collection, body, false).await
}

async fn set_paused(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path(collection): Path<String>,
    body: Bytes,
    paused: bool,
) -> Response {
    match form(&session, &body) {
        Ok(_) => done(&session, site.pause(collection, paused).await, "/"),
        Err(answer) => *answer,
    }
}

/// Decides a conflict.
pub async fn resolve(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let mut fields = match form(&session, &body) {
        Ok(fields) => fields,
        Err(answer) => return *answer,
    };
    let id = match number(&id) {
        Ok(id) => id,
        Err(error) => return done::<()>(&session, Err(error), "/conflicts"),
    };
    let back = back(&fields);
    // A choice of one's own comes with a control for each field.
    let own: usize = fields.get("own").and_then(|count| count.parse().ok()).unwrap_or_default();
    let typed = (0..own.min(fields.len())).map(|at| {
        let is_null = fields.contains_key(&format!("null_{at}"));
        // Browsers send line breaks as CR LF.
        let text = fields.get(&format!("value_{at}")).map(|text| text.replace("\r\n", "\n"));
        text.filter(|_| !is_null)
    });
    let choice = Choice {
        typed: typed.collect(),
        take: fields.remove("take"),
        delete: fields.contains_key("delete"),
        keep: fields.contains_key("keep"),
        ..Choice::default()
    };
    match site.resolve(id, choice).await {
        Err(error @ OpsError::Refused(_)) if own > 0 => conflicts::again(&site, &session, id, &error, fields).await,
        result => done(&session, result, &back),
    }
}

/// Where a form leads back to: to conflicts, whatever it says.
fn back(fields: &BTreeMap<String, String>) -> String {
    let given = fields.get("back").filter(|back| *back == "/conflicts" || back.starts_with("/conflicts?"));
    given.cloned().unwrap_or_else(|| "/conflicts".to_owned())
}

/// Decides many conflicts.
pub async fn resolve_all(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    body: Bytes,
) -> Response {
    let fields = match form(&session, &body) {
        Ok(fields) => fields,
        Err(answer) => return *answer,
    };
    if !fields.contains_key("sure") {
        let words = "Tick that it is meant for all of them.";
        return trouble(&session, StatusCode::UNPROCESSABLE_ENTITY, words);
    }
    let bulk = Bulk {
        collection: fields.get("collection").cloned(),
        field: fields.get("field").cloned(),
        up_to: fields.get("up_to").and_then(|text| text.parse().ok()),
    };
    let side = fields.get("take").map_or("", String::as_str);
    match site.resolve_all(bulk, side).await {
        Ok(decided) => conflicts::decided(&session, &decided, &back(&fields)),
        Err(error) => done::<()>(&session, Err(error), "/conflicts"),
    }
}

/// Rejects a halt.
pub async fn reject(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    if let Err(answer) = form(&session, &body) {
        return *answer;
    }
    let result = match number(&id) {
        Ok(id) => site.reject(id).await,
        Err(error) => Err(error),
    };
    done(&session, result, "/halts")
}

/// Lets a webhook that could not be followed wait again.
pub async fn retry_hook(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    if let Err(answer) = form(&session, &body) {
        return *answer;
    }
    let result = match number(&id) {
        Ok(id) => site.retry_hook(id).await,
        Err(error) => Err(error),
    };
    done(&session, result, "/webhooks")
}

/// Forgets one.
pub async fn drop_hook(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    if let Err(answer) = form(&session, &body) {
        return *answer;
    }
    let result = match number(&id) {
        Ok(id) => site.drop_hook(id).await,
        Err(error) => Err(error),
    };
    done(&session, result, "/webhooks")
}

/// Approves a halt.
pub async fn approve(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let fields = match form(&session, &body) {
        Ok(fields) => fields,
        Err(answer) => return *answer,
    };
    let result = match number(&id) {
        Ok(id) => site.approve(id, fields.get("wins").map(String::as_str)).await,
        Err(error) => Err(error),
    };
    done(&session, result, "/halts")
}
