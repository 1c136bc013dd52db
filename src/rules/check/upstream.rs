//! Owns: the checks of `[upstream.NAME]`.
//!
//! Must not know: bindings.

use std::time::Duration;

use super::context::Cx;
use super::text::Allowed;
use super::{limits, oauth, request, session, signing, tls, watch, webhook};
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar::{self, AuthApiKey};
use crate::rules::model::{Auth, Check, ErrorRule, Place, Retry, Timeouts, Upstream, is_loopback};
use crate::rules::shape::{At, Key, Named};
use crate::rules::units::{Period, Text};

/// Largest decoded body by default.
const BODY_BYTES_MAX: u64 = 64_000_000;

/// Checks an upstream.
pub fn lower(name: &str, raw: &grammar::Upstream, cx: &mut Cx<'_>) -> Option<Upstream> {
    let base_url = raw.base_url.get().and_then(|at| base_url(at, &raw.insecure_http, cx));
    let allowed_hosts = allowed_hosts(raw, base_url.as_ref(), cx);
    let headers = request::headers(&raw.headers, &[], cx);
    let timeout = timeouts(&raw.timeout);
    let concurrency = within(&raw.concurrency, 4, 1..=256, "concurrency", cx);
    let check = raw.check.get().map(|at| check(at, cx));
    let health = raw.health.get().map(|at| watch::health(at, &raw.check, cx));
    let auth = auth(&raw.auth, cx);
    let tls = raw.tls.get().map(|at| tls::lower(at, base_url.as_ref(), cx));
    let budgets = limits::budgets(raw, cx);
    let errors = errors(raw, cx);
    let retry = retry(raw, cx);
    let breaker = limits::breaker(&raw.breaker, cx);
    let webhook = raw.webhook.get().map(|at| webhook::lower(name, at, cx));
    let quota = watch::quota(&raw.quota, &budgets, cx);
    Some(Upstream {
        name: name.to_owned(),
        base_url: base_url?,
        allowed_hosts,
        insecure_http: raw.insecure_http.or(false),
        headers: headers?,
        timeout,
        concurrency: usize::try_from(concurrency).unwrap_or(4),
        body_bytes_max: raw.body_max.get().map_or(BODY_BYTES_MAX, |at| at.value.0),
        check: match check {
            Some(check) => Some(check?),
            None => None,
        },
        health: match health {
            Some(health) => Some(health?),
            None => None,
        },
        auth: auth?,
        tls: match tls {
            Some(tls) => Some(tls?),
            None => None,
        },
        budgets,
        errors,
        retry,
        breaker,
        quota,
        webhook: match webhook {
            Some(webhook) => Some(webhook?),
            None => None,
        },
    })
}

fn base_url(at: &At<Text>, insecure: &Key<bool>, cx: &mut Cx<'_>) -> Option<url::Url> {
    let text = cx.plain(at)?;
    let invalid = |message: String, help: &str, cx: &mut Cx<'_>| {
        cx.notes.error(DiagnosticKind::Invalid, at.span, message).help(help);
        None
    };
    let mut url = match url::Url::parse(text.trim_end_matches('/')) {
        Ok(url) => url,
        Err(error) => {
            return invalid(format!("\"{text}\" is no URL: {error}"), "write \"https://api.example.com/v1\"", cx);
        }
    };
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return invalid(format!("\"{text}\" is no http or https URL"), "write \"https://api.example.com/v1\"", cx);
    }
    if !url.username().is_empty() || url.password().is_some() {
        // The text is not repeated: it holds a password.
        return invalid("a URL cannot hold credentials".to_owned(), "put them into [upstream.NAME.auth]", cx);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return invalid("a base URL has no query and no fragment".to_owned(), "put the query into each request", cx);
    }
    let loopback = is_loopback(&url);
    if url.scheme() == "http" && !loopback && !insecure.or(false) {
        return invalid(
            format!("credentials and data would go to {} in clear", url.host_str().unwrap_or_default()),
            "write https://, or insecure_http = true to allow it",
            cx,
        );
    }
    if let Some(at) = insecure.get().filter(|at| at.value && (url.scheme() == "https" || loopback)) {
        cx.notes.inert(at.key, "insecure_http", "the base URL is https or loopback");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

fn allowed_hosts(raw: &grammar::Upstream, base: Option<&url::Url>, cx: &mut Cx<'_>) -> Vec<String> {
    let mut hosts: Vec<String> = base.and_then(url::Url::host_str).map(str::to_owned).into_iter().collect();
    for at in raw.allowed_hosts.get().map(|at| at.value.as_slice()).unwrap_or_default() {
        let Some(pattern) = cx.plain(at) else { continue };
        let rest = pattern.strip_prefix("*.").unwrap_or(&pattern);
        let (rest, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0 && text == port.to_string());
        if rest.is_empty() || !rest.chars().all(allowed) || !port.is_none_or(is_port) {
            cx.notes
                .error(DiagnosticKind::Invalid, at.span, format!("\"{pattern}\" is no host pattern"))
                .help(
                    "write a host without scheme and path: \"api.example.com\" or \"*.example.com\", with a port where it is \
                     another than base_url's: \"api.example.com:8443\"",
                );
        } else if hosts.contains(&pattern) {
            cx.notes.inert(at.span, &pattern, "this host is allowed already");
        } else {
            hosts.push(pattern.to_ascii_lowercase());
        }
    }
    hosts
}

fn timeouts(raw: &Key<grammar::Timeout>) -> Timeouts {
    let get = |key: fn(&grammar::Timeout) -> &Key<Period>, default_s: u64| {
        let given = raw.get().and_then(|at| key(&at.value).get().map(|at| at.value.0));
        given.unwrap_or(Duration::from_secs(default_s))
    };
    Timeouts {
        connect: get(|timeout| &timeout.connect, 10),
        idle: get(|timeout| &timeout.idle, 30),
        total: get(|timeout| &timeout.total, 300),
    }
}

/// A whole number within bounds.
pub fn within(key: &Key<u64>, default: u64, bounds: std::ops::RangeInclusive<u64>, name: &str, cx: &mut Cx<'_>) -> u64 {
    let Some(at) = key.get() else { return default };
    if !bounds.contains(&at.value) {
        let message = format!("`{name}` is between {} and {}, not {}", bounds.start(), bounds.end(), at.value);
        cx.notes.error(DiagnosticKind::Invalid, at.span, message).help(format!("the default is {default}"));
    }
    at.value
}

fn check(at: &At<grammar::Check>, cx: &mut Cx<'_>) -> Option<Check> {
    let request = at.request.get().and_then(|at| request::lower(at, request::PROBE, cx));
    let account = at.account.get().map(|at| cx.path(at));
    Some(Check {
        request: request?,
        account: match account {
            Some(path) => Some(path?),
            None => None,
        },
    })
}

fn auth(raw: &Key<grammar::Auth>, cx: &mut Cx<'_>) -> Option<Auth> {
    let at = match raw {
        Key::Absent => return Some(Auth::None),
        Key::Bad => return None,
        Key::Given(at) => at,
    };
    let mut secret = |key: &Key<Text>| key.get().and_then(|at| cx.template(at, Allowed::SECRETS));
    match &at.value {
        grammar::Auth::None(_) => Some(Auth::None),
        grammar::Auth::Basic(basic) => {
            let (username, password) = (secret(&basic.username), secret(&basic.password));
            Some(Auth::Basic { username: username?, password: password? })
        }
        grammar::Auth::Bearer(bearer) => Some(Auth::Bearer { token: secret(&bearer.token)? }),
        grammar::Auth::ApiKey(api_key) => {
            let value = secret(&api_key.value);
            let place = api_key_place(at, api_key, cx);
            Some(Auth::ApiKey { place: place?, value: value? })
        }
        grammar::Auth::OAuth2(raw) => oauth::oauth2(at.key, raw, cx),
        grammar::Auth::JwtBearer(raw) => oauth::jwt_bearer(raw, cx),
        grammar::Auth::Hmac(raw) => signing::hmac(raw, cx),
        grammar::Auth::AwsSigV4(raw) => signing::aws(raw, cx),
        grammar::Auth::Session(raw) => session::lower(at.key, raw, cx),
    }
}

fn api_key_place(at: &At<grammar::Auth>, raw: &AuthApiKey, cx: &mut Cx<'_>) -> Option<Place> {
    match (&raw.header, &raw.query) {
        (Key::Given(header), Key::Absent) => cx.header(header).map(Place::Header),
        (Key::Absent, Key::Given(query)) => Some(Place::Query(query.value.0.clone())),
        (Key::Given(header), Key::Given(query)) => {
            cx.notes
                .error(DiagnosticKind::Conflict, query.key, "an API key goes into a header or into the query, not both")
                .second(header.key, "already goes here");
            None
        }
        (Key::Absent, Key::Absent) => {
            cx.notes
                .error(DiagnosticKind::Missing, at.key, "where the API key goes is missing")
                .help("write header = \"X-Api-Key\" or query = \"key\"");
            None
        }
        _ => None,
    }
}

fn error_headers(key: &Key<Named<Text>>, cx: &mut Cx<'_>) -> Vec<(String, String)> {
    let Some(at) = key.get() else { return Vec::new() };
    if at.members.is_empty() {
        cx.notes.inert(at.key, "headers", "it names no header");
    }
    let mut headers = Vec::new();
    for (name, span, value) in &at.members {
        let name = cx.header(&At { key: *span, span: *span, value: Text(name.clone()) });
        let pattern = value.get().and_then(|at| cx.plain(at));
        headers.extend(name.map(|name| name.to_ascii_lowercase()).zip(pattern));
    }
    headers
}

fn errors(raw: &grammar::Upstream, cx: &mut Cx<'_>) -> Vec<ErrorRule> {
    let mut rules = Vec::new();
    for at in raw.error.get().map(|at| at.value.as_slice()).unwrap_or_default() {
        if at.status.is_absent() && at.when.is_absent() && at.headers.is_absent() {
            cx.notes
                .error(
                    DiagnosticKind::Missing,
                    at.key,
                    "an error rule without `status`, `headers` and `when` would match every answer",
                )
                .help("write status = 409, or when = '.error != null'");
        }
        let mut status = Vec::new();
        for code in at.status.get().map(|at| at.value.items.as_slice()).unwrap_or_default() {
            if let Some(code) = u16::try_from(code.value).ok().filter(|code| (100..600).contains(code)) {
                status.push(code);
                continue;
            }
            let message = format!("{} is no status code", code.value);
            cx.notes.error(DiagnosticKind::Invalid, code.span, message).help("status codes are 100 to 599");
        }
        let when = at.when.get().and_then(|at| cx.filter(at, &[]));
        let headers = error_headers(&at.headers, cx);
        let Some(class) = at.class.get() else { continue };
        rules.push(ErrorRule { status, headers, when, class: class.value });
    }
    rules
}

fn retry(raw: &grammar::Upstream, cx: &mut Cx<'_>) -> Retry {
    let default = Retry { attempts: 4, max_wait: Duration::from_mins(15) };
    let Some(at) = raw.retry.get() else { return default };
    let attempts = within(&at.attempts, 4, 1..=20, "attempts", cx);
    Retry {
        attempts: u32::try_from(attempts).unwrap_or(default.attempts),
        max_wait: at.max_wait.get().map_or(default.max_wait, |at| at.value.0),
    }
}
