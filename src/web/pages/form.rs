//! Owns: what comes with a request for a page: the number in its path, the fields of a form of this session.
//!
//! Must not know: what a form does.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::request::Parts;

use crate::ops::OpsError;

use super::super::access::Session;
use super::super::api::refusal;
use super::super::asked::parameters;
use super::layout::trouble;

/// The number in a path; a page that says so where there is none.
pub struct Number(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let session = session(parts).map_err(IntoResponse::into_response)?;
        text.parse().map(Self).map_err(|_none| trouble(&session, StatusCode::NOT_FOUND, "no such number"))
    }
}

/// A form of this session; a page that says so for any other.
pub struct Form {
    /// Whose it is.
    pub session: Session,
    /// What was filled in.
    pub fields: BTreeMap<String, String>,
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let session = session(&parts).map_err(IntoResponse::into_response)?;
        let body = Bytes::from_request(Request::from_parts(parts, body), state).await;
        let fields = parameters(&body.map_err(IntoResponse::into_response)?);
        if fields.get("form_token").is_some_and(|token| session.made(token)) {
            return Ok(Self { session, fields });
        }
        let words = "This form is an old one; go back, reload the page, try again.";
        Err(trouble(&session, StatusCode::FORBIDDEN, words))
    }
}

impl Form {
    /// Back to a page, or why it was not done.
    pub fn done<T>(&self, result: Result<T, OpsError>, to: &str) -> Response {
        match result {
            Ok(_) => Redirect::to(to).into_response(),
            Err(error) => {
                let (status, words) = refusal(&error);
                trouble(&self.session, status, &words)
            }
        }
    }
}

/// Who is not logged in comes to no page and no form.
fn session(parts: &Parts) -> Result<Session, StatusCode> {
    parts.extensions.get().cloned().ok_or(StatusCode::UNAUTHORIZED)
}
