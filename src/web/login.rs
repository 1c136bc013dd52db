//! Owns: how a browser gets its session, and loses it.
//!
//! Must not know: what the session is good for.

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use maud::html;

use super::access::{Login, SESSION_MAX};
use super::asked::parameters;
use super::guard::cookie;
use super::pages::bare;
use super::proxy::Asked;
use super::site::Site;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");

/// What is open to everybody.
pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/login", get(async || form(StatusCode::OK, None)).post(login))
        .route("/logout", post(logout))
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)))
        .route("/live.js", get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)))
}

fn form(status: StatusCode, wrong: Option<&str>) -> Response {
    let page = bare(
        "log in",
        &html! {
            form.login method="post" action="/login" {
                h1 { "reconciled" }
                @if let Some(wrong) = wrong { p.bad role="alert" { (wrong) } }
                label for="token" { "Token (the secret " code { "web_token" } ")" }
                input #token type="password" name="token" autocomplete="current-password" required autofocus;
                button type="submit" { "Log in" }
            }
        },
    );
    (status, page).into_response()
}

async fn login(State(site): State<Arc<Site>>, Extension(asked): Extension<Asked>, body: Bytes) -> Response {
    let Some(token) = site.token() else { return form(StatusCode::SERVICE_UNAVAILABLE, Some("There is no token.")) };
    let from = asked.from();
    let given = parameters(&body).remove("token").unwrap_or_default();
    let now = site.front.clock.monotonic();
    let came_of = site.sessions().login(&token, given.trim(), asked.address, now);
    match came_of {
        Login::In(id) => {
            tracing::info!("web: a browser logged in from {from}");
            let seconds = SESSION_MAX.as_secs();
            let secure = secure(&asked);
            let cookie = format!("{}={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}", site.cookie);
            ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        Login::Wrong => {
            tracing::warn!("web: a login from {from} failed: not the token");
            form(StatusCode::FORBIDDEN, Some("That is not the token."))
        }
        Login::TooMany => {
            let words = "Too many logins failed; try again in a minute.";
            let page = form(StatusCode::TOO_MANY_REQUESTS, Some(words));
            ([(header::RETRY_AFTER, "60")], page).into_response()
        }
        Login::NoRandom => form(StatusCode::SERVICE_UNAVAILABLE, Some("The system has no random numbers.")),
    }
}

/// Over TLS a cookie goes nowhere else.
fn secure(asked: &Asked) -> &'static str {
    if asked.https == Some(true) { "; Secure" } else { "" }
}

async fn logout(
    State(site): State<Arc<Site>>,
    Extension(asked): Extension<Asked>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let given = parameters(&body).remove("form_token").unwrap_or_default();
    let id = cookie(&headers, &site.cookie).unwrap_or_default();
    if site.session(id).is_some_and(|session| session.made(&given)) {
        site.sessions().logout(id);
    }
    let gone = format!("{}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0{}", site.cookie, secure(&asked));
    ([(header::SET_COOKIE, gone)], Redirect::to("/login")).into_response()
}
