//! Owns: the checks of credentials that are tokens.
//!
//! Must not know: the rest of an upstream.

use std::time::Duration;

use url::Url;

use super::binding::transpose;
use super::context::Cx;
use super::request;
use super::text::Allowed;
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, GrantWord};
use crate::rules::model::{
    Assertion, Auth, ClientAuth, Grant, JwtAlgorithm, OAuth, OAuthClient, SignIn, Template, is_loopback,
};
use crate::rules::shape::{At, Key, List, Named};
use crate::rules::units::{Period, Text};

const REFRESH_BEFORE: Duration = Duration::from_mins(5);
const LIFETIME: Duration = Duration::from_mins(5);
/// Servers refuse assertions that count for longer.
const LIFETIME_MAX: Duration = Duration::from_hours(1);
/// Parameters that the flow itself sends.
const OWN_PARAMS: &[&str] = &[
    "assertion",
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "device_code",
    "grant_type",
    "redirect_uri",
    "refresh_token",
    "response_type",
    "scope",
    "state",
];

/// Checks `kind = "oauth2"`. `table` is where the table stands.
pub fn oauth2(table: Span, raw: &grammar::AuthOAuth2, cx: &mut Cx<'_>) -> Option<Auth> {
    let word = raw.grant.get().map(|at| at.value);
    let token_url = raw.token_url.get().and_then(|at| url(at, cx));
    let revoke_url = transpose(raw.revoke_url.get().map(|at| url(at, cx)));
    let id = secret(&raw.client_id, cx);
    let secret_given = raw.client_secret.get().is_some();
    let client_secret = transpose(raw.client_secret.get().map(|at| cx.secret(at)));
    let client_auth = client_auth(raw, secret_given, cx);
    let scopes = scopes(&raw.scopes, cx);
    let token_params = params(&raw.token_params, cx);
    let refresh_before = refresh_before(&raw.refresh_before);
    let (header, prefix) = goes_into(&raw.header, &raw.prefix, cx);
    if let Some(word) = word {
        takes_no_other_keys(word, raw, cx);
    }
    let grant = word.and_then(|word| grant(table, word, raw, cx));
    let client = OAuthClient { id: id?, secret: client_secret?, auth: client_auth };
    Some(Auth::Tokens(Box::new(OAuth {
        grant: grant?,
        token_url: token_url?,
        revoke_url: revoke_url?,
        client: Some(client),
        scopes: scopes?,
        token_params: token_params?,
        refresh_before,
        header: header?,
        prefix: prefix?,
    })))
}

/// Checks `kind = "jwt_bearer"`.
pub fn jwt_bearer(raw: &grammar::AuthJwtBearer, cx: &mut Cx<'_>) -> Option<Auth> {
    let token_url = raw.token_url.get().and_then(|at| url(at, cx));
    let issuer = secret(&raw.issuer, cx);
    let subject = transpose(raw.subject.get().map(|at| cx.template(at, Allowed::SECRETS)));
    let audience = transpose(raw.audience.get().map(|at| cx.plain(at)));
    let key = raw.key.get().and_then(|at| cx.secret(at));
    let key_id = transpose(raw.key_id.get().map(|at| cx.template(at, Allowed::SECRETS)));
    let scopes = scopes(&raw.scopes, cx);
    let token_params = params(&raw.token_params, cx);
    let refresh_before = refresh_before(&raw.refresh_before);
    let (header, prefix) = goes_into(&raw.header, &raw.prefix, cx);
    let lifetime = raw.lifetime.get().map_or(LIFETIME, |at| at.value.0);
    if let Some(at) = raw.lifetime.get().filter(|_| lifetime.is_zero() || lifetime > LIFETIME_MAX) {
        cx.notes
            .error(DiagnosticKind::Invalid, at.span, "an assertion counts for a second at least and an hour at most")
            .help("write lifetime = \"5m\"");
    }
    let token_url = token_url?;
    let assertion = Assertion {
        issuer: issuer?,
        subject: subject?,
        audience: audience?.unwrap_or_else(|| token_url.to_string()),
        key: key?,
        key_id: key_id?,
        algorithm: raw.algorithm.get().map_or(JwtAlgorithm::Rs256, |at| at.value),
        lifetime,
    };
    Some(Auth::Tokens(Box::new(OAuth {
        grant: Grant::JwtBearer(assertion),
        token_url,
        revoke_url: None,
        client: None,
        scopes: scopes?,
        token_params: token_params?,
        refresh_before,
        header: header?,
        prefix: prefix?,
    })))
}

fn grant(table: Span, word: GrantWord, raw: &grammar::AuthOAuth2, cx: &mut Cx<'_>) -> Option<Grant> {
    let mut needed = |key: &Key<Text>, name: &str, example: &str| -> Option<At<Text>> {
        if key.is_absent() {
            cx.notes
                .error(DiagnosticKind::Missing, table, format!("`{name}` is missing: {} needs it", word.name()))
                .help(format!("write {name} = {example}"));
        }
        key.get().cloned()
    };
    match word {
        GrantWord::ClientCredentials => Some(Grant::ClientCredentials),
        GrantWord::RefreshToken => {
            let at = needed(&raw.refresh_token, "refresh_token", "\"${secret.NAME}\"")?;
            cx.secret(&at).map(Grant::RefreshToken)
        }
        GrantWord::DeviceCode => {
            let at = needed(&raw.device_url, "device_url", "\"https://id.example.com/device\"");
            let (device_url, params) = (at.and_then(|at| url(&at, cx)), params(&raw.authorize_params, cx));
            Some(Grant::DeviceCode { device_url: device_url?, params: params? })
        }
        GrantWord::AuthorizationCode => {
            let at = needed(&raw.authorize_url, "authorize_url", "\"https://id.example.com/authorize\"");
            let authorize_url = at.and_then(|at| url(&at, cx));
            let params = params(&raw.authorize_params, cx);
            let issuer = transpose(raw.issuer.get().map(|at| cx.plain(at)));
            let redirect_url = transpose(raw.redirect_url.get().map(|at| redirect(at, cx)));
            Some(Grant::AuthorizationCode(SignIn {
                authorize_url: authorize_url?,
                params: params?,
                issuer: issuer?,
                redirect_url: redirect_url?,
            }))
        }
    }
}

/// Keys that mean nothing to the grant.
fn takes_no_other_keys(word: GrantWord, raw: &grammar::AuthOAuth2, cx: &mut Cx<'_>) {
    use GrantWord::{AuthorizationCode, DeviceCode, RefreshToken};
    let given = |key: &Key<Text>| key.get().map(|at| at.key);
    let keys: [(&str, Option<Span>, &[GrantWord]); 6] = [
        ("authorize_url", given(&raw.authorize_url), &[AuthorizationCode]),
        ("device_url", given(&raw.device_url), &[DeviceCode]),
        ("refresh_token", given(&raw.refresh_token), &[RefreshToken]),
        ("issuer", given(&raw.issuer), &[AuthorizationCode]),
        ("redirect_url", given(&raw.redirect_url), &[AuthorizationCode]),
        ("authorize_params", raw.authorize_params.get().map(|at| at.key), &[AuthorizationCode, DeviceCode]),
    ];
    for (name, span, grants) in keys {
        if let Some(span) = span.filter(|_| !grants.contains(&word)) {
            cx.notes.inert(span, name, format!("the grant {} does not use it", word.name()));
        }
    }
}

fn client_auth(raw: &grammar::AuthOAuth2, has_secret: bool, cx: &mut Cx<'_>) -> ClientAuth {
    match raw.client_auth.get() {
        Some(at) => {
            if at.value == ClientAuth::Basic && !has_secret {
                cx.notes
                    .error(
                        DiagnosticKind::Invalid,
                        at.span,
                        "without a client secret there is nothing to put into a header",
                    )
                    .help("write client_secret = \"${secret.NAME}\", or leave `client_auth` out");
            }
            at.value
        }
        None if has_secret => ClientAuth::Basic,
        None => ClientAuth::Body,
    }
}

/// An address that credentials are sent to.
fn url(at: &At<Text>, cx: &mut Cx<'_>) -> Option<Url> {
    let text = cx.plain(at)?;
    let mut refuse = |message: String| {
        cx.notes.error(DiagnosticKind::Invalid, at.span, message).help("write \"https://id.example.com/token\"");
        None
    };
    let url = match Url::parse(&text) {
        Ok(url) => url,
        Err(error) => return refuse(format!("\"{text}\" is no URL: {error}")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("a URL cannot hold credentials".to_owned());
    }
    if url.fragment().is_some() || url.host_str().is_none() {
        return refuse(format!("\"{text}\" is no address to send a request to"));
    }
    match url.scheme() {
        "https" => Some(url),
        "http" if is_loopback(&url) => Some(url),
        _ => refuse(format!("credentials would go to {} in clear", url.host_str().unwrap_or_default())),
    }
}

/// Where the browser comes back to: here, or anywhere if a person pastes the address.
fn redirect(at: &At<Text>, cx: &mut Cx<'_>) -> Option<Url> {
    let url = url(at, cx)?;
    if is_loopback(&url) && url.port().is_none() {
        cx.notes
            .error(DiagnosticKind::Invalid, at.span, "a port is missing: nobody listens at port 80")
            .help("write \"http://127.0.0.1:8765/callback\", as it is registered; without `redirect_url` a free port is taken");
        return None;
    }
    Some(url)
}

fn secret(key: &Key<Text>, cx: &mut Cx<'_>) -> Option<Template> {
    key.get().and_then(|at| cx.template(at, Allowed::SECRETS))
}

fn scopes(key: &Key<List<Text>>, cx: &mut Cx<'_>) -> Option<Vec<String>> {
    let all: Vec<Option<String>> =
        key.get().map(|at| at.value.as_slice()).unwrap_or_default().iter().map(|at| cx.plain(at)).collect();
    if matches!(key, Key::Bad) { None } else { all.into_iter().collect() }
}

fn params(named: &Key<Named<Text>>, cx: &mut Cx<'_>) -> Option<Vec<(String, Template)>> {
    for (name, span, _) in named.get().map(|at| at.members.as_slice()).unwrap_or_default() {
        if OWN_PARAMS.contains(&name.as_str()) {
            cx.notes
                .error(DiagnosticKind::Conflict, *span, format!("`{name}` is sent by the grant itself"))
                .help("leave it out; scopes are written scopes = [\"…\"]");
        }
    }
    request::templates(named, Allowed::SECRETS, cx)
}

fn refresh_before(key: &Key<Period>) -> Duration {
    key.get().map_or(REFRESH_BEFORE, |at| at.value.0)
}

/// The header, and what stands before the token in it.
fn goes_into(header: &Key<Text>, prefix: &Key<Text>, cx: &mut Cx<'_>) -> (Option<String>, Option<String>) {
    let name = match header {
        Key::Absent => Some("authorization".to_owned()),
        Key::Bad => None,
        Key::Given(at) => cx.header(at),
    };
    let is_usual = name.as_deref().is_none_or(|name| name.eq_ignore_ascii_case("authorization"));
    let prefix = match prefix {
        Key::Absent => Some(if is_usual { "Bearer ".to_owned() } else { String::new() }),
        Key::Bad => None,
        Key::Given(at) => cx.plain(at),
    };
    (name, prefix)
}
