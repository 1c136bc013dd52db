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

use crate::ops::{Choice, OpsError};

use super::super::access::Session;
use super::super::api::{parameters, refusal};
use super::super::site::Site;
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
    let choice = Choice {
        take: fields.remove("take"),
        values: Vec::new(),
        delete: fields.contains_key("delete"),
        keep: fields.contains_key("keep"),
    };
    let result = match number(&id) {
        Ok(id) => site.resolve(id, choice).await,
        Err(error) => Err(error),
    };
    done(&session, result, "/conflicts")
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
