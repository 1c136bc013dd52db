//! Owns: the checks of logins that are answered with a token.
//!
//! Must not know: the rest of an upstream.

use std::time::Duration;

use super::context::Cx;
use super::request::{self, Purpose};
use super::text::Allowed;
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, AuthSession, SessionLogin, SessionTokenShape};
use crate::rules::model::{
    Auth, JsonTemplate, Lifetime, Part, Place, Request, Session, Template, TokenFrom, TokenInto,
};
use crate::rules::shape::{At, Either, Key};
use crate::rules::units::Text;

const REFRESH_BEFORE: Duration = Duration::from_mins(5);
const AUTHORIZATION: &str = "authorization";
const LOGIN: Purpose = Purpose { what: "a login", methods: &["POST", "PUT", "GET"], ..request::PROBE };

/// Checks `kind = "session"`. `table` is where the table stands.
pub fn lower(table: Span, raw: &AuthSession, cx: &mut Cx<'_>) -> Option<Auth> {
    let login = raw.login.get().and_then(|at| login(at, cx));
    if raw.token.is_absent() {
        cx.notes
            .error(DiagnosticKind::Missing, table, "`token` is missing: where the login's answer has it")
            .help("write token = \".token\", { header = \"X-Token\" } or { cookie = \"sid\" }");
    }
    let token = raw.token.get().and_then(|at| token(at, cx));
    let into = goes_into(&raw.into, token.as_ref(), cx);
    let prefix = prefix(&raw.prefix, into.as_ref(), cx);
    let lifetime = lifetime(raw, cx);
    if let (Some(at), Some(Lifetime::Open), Some(TokenFrom::Body(_) | TokenFrom::Header(_))) =
        (raw.refresh_before.get(), &lifetime, &token)
    {
        cx.notes.inert(at.key, "refresh_before", "nothing tells when a token ends").help("write expires_in = \"30m\"");
    }
    let (login, form) = login?;
    Some(Auth::Session(Box::new(Session {
        login,
        form,
        token: token?,
        into: into?,
        prefix: prefix?,
        lifetime: lifetime?,
        refresh_before: raw.refresh_before.get().map_or(REFRESH_BEFORE, |at| at.value.0),
    })))
}

type Form = Vec<(String, Template)>;

fn login(at: &At<SessionLogin>, cx: &mut Cx<'_>) -> Option<(Request, Option<Form>)> {
    let raw = &at.value;
    let plain = grammar::Request {
        method: raw.method.clone(),
        path: raw.path.clone(),
        query: raw.query.clone(),
        headers: raw.headers.clone(),
        ..grammar::Request::default()
    };
    let request = request::long(&plain, LOGIN, cx);
    let form = match &raw.form {
        Key::Absent => Some(None),
        named => request::templates(named, Allowed::SECRETS, cx).map(Some),
    };
    let body = match &raw.body {
        Key::Absent => Some(None),
        Key::Bad => None,
        Key::Given(at) => request::json(&at.value.0, Allowed::SECRETS, cx).map(Some),
    };
    if let (Some(form), Some(body)) = (raw.form.get(), raw.body.get()) {
        cx.notes
            .error(DiagnosticKind::Conflict, body.key, "a login sends a form or JSON, not both")
            .second(form.key, "a form already");
        return None;
    }
    let (request, form, body) = (request?, form?, body?);
    let sent = [("form", raw.form.get().map(|at| at.key)), ("body", raw.body.get().map(|at| at.key))];
    for (name, span) in sent {
        if let Some(span) = span.filter(|_| request.method == "GET") {
            cx.notes.inert(span, name, "a GET sends none").help("write method = \"POST\"");
        }
    }
    let headers = request.headers.iter().map(|(_, template)| template);
    let texts = headers.chain(form.iter().flatten().map(|(_, template)| template));
    let names_secret = |template: &Template| template.parts.iter().any(|part| matches!(part, Part::Secret(_)));
    if !texts.chain(body.iter().flat_map(JsonTemplate::texts)).any(names_secret) {
        cx.notes
            .error(DiagnosticKind::Invalid, at.key, "the login names no secret, and one cannot be written into rules")
            .help("write form = { user = \"sync\", password = \"${secret.NAME}\" }, or the same as `body`");
        return None;
    }
    Some((Request { body, ..request }, form))
}

fn token(at: &At<SessionTokenShape>, cx: &mut Cx<'_>) -> Option<TokenFrom> {
    let table = match &at.value {
        Either::Short(jq) => {
            return cx.path(&At { key: at.key, span: at.span, value: jq.clone() }).map(TokenFrom::Body);
        }
        Either::Table(table) => table,
    };
    match (&table.header, &table.cookie) {
        (Key::Given(header), Key::Absent) => cx.header(header).map(TokenFrom::Header),
        (Key::Absent, Key::Given(cookie)) => cookie_name(&cookie.value.0, cookie, cx).map(TokenFrom::Cookie),
        (Key::Given(header), Key::Given(cookie)) => {
            cx.notes
                .error(DiagnosticKind::Conflict, cookie.key, "a token comes in a header or in a cookie, not both")
                .second(header.key, "already comes here");
            None
        }
        (Key::Absent, Key::Absent) => {
            cx.notes
                .error(DiagnosticKind::Missing, at.key, "where the token comes is missing")
                .help("write \".token\", { header = \"X-Token\" } or { cookie = \"sid\" }");
            None
        }
        _ => None,
    }
}

fn goes_into(key: &Key<Text>, token: Option<&TokenFrom>, cx: &mut Cx<'_>) -> Option<TokenInto> {
    match key {
        Key::Bad => None,
        Key::Absent => Some(match token {
            Some(TokenFrom::Cookie(name)) => TokenInto::Cookie(name.clone()),
            _ => TokenInto::Place(Place::Header(AUTHORIZATION.to_owned())),
        }),
        Key::Given(at) => match at.value.0.strip_prefix("cookie.") {
            Some(name) => cookie_name(name, at, cx).map(TokenInto::Cookie),
            None => cx.place(at, &["header", "query", "cookie"]).map(TokenInto::Place),
        },
    }
}

/// A cookie's name is a token (RFC 6265, 4.1.1), as a header's is.
fn cookie_name(name: &str, at: &At<Text>, cx: &mut Cx<'_>) -> Option<String> {
    if http::HeaderName::from_bytes(name.as_bytes()).is_ok() {
        return Some(name.to_owned());
    }
    cx.notes
        .error(DiagnosticKind::Invalid, at.span, format!("\"{name}\" is no name of a cookie"))
        .help("e.g. \"JSESSIONID\"");
    None
}

fn prefix(key: &Key<Text>, into: Option<&TokenInto>, cx: &mut Cx<'_>) -> Option<String> {
    match key {
        Key::Bad => None,
        Key::Absent => Some(match into {
            Some(TokenInto::Place(Place::Header(name))) if name.eq_ignore_ascii_case(AUTHORIZATION) => {
                "Bearer ".to_owned()
            }
            _ => String::new(),
        }),
        Key::Given(at) => {
            if matches!(into, Some(TokenInto::Cookie(_))) {
                cx.notes.inert(at.key, "prefix", "a cookie is sent back as it came");
            }
            cx.plain(at)
        }
    }
}

fn lifetime(raw: &AuthSession, cx: &mut Cx<'_>) -> Option<Lifetime> {
    match (&raw.expires_in, &raw.expires) {
        (Key::Absent, Key::Absent) => Some(Lifetime::Open),
        (Key::Given(at), Key::Absent) => {
            if at.value.0.is_zero() {
                cx.notes
                    .error(DiagnosticKind::Invalid, at.span, "a token that never counts")
                    .help("write expires_in = \"30m\"");
            }
            Some(Lifetime::Fixed(at.value.0))
        }
        (Key::Absent, Key::Given(at)) => cx.path(at).map(Lifetime::Told),
        (Key::Given(fixed), Key::Given(told)) => {
            cx.notes
                .error(
                    DiagnosticKind::Conflict,
                    told.key,
                    "the end of a token is declared or told by the answer, not both",
                )
                .second(fixed.key, "declared here");
            None
        }
        _ => None,
    }
}
