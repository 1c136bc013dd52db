//! Owns: where the API is and who may ask, by `servers` and security schemes.
//!
//! Must not know: what is asked.

use super::document::{Document, items, members};
use crate::record::Json;
use crate::rules::propose::Wanted;
use crate::rules::propose::draft::{Said, Setting, System};

/// The upstream.
pub fn system(document: &Document, item: &Json, operation: &Json, wanted: &Wanted<'_>) -> System {
    let mut notes = Vec::new();
    let base_url = base_url(document, item, operation, wanted);
    let auth = auth(document, operation, (wanted.upstream, &base_url.it), &mut notes);
    System { base_url, auth, notes }
}

// ---- where ---------------------------------------------------------------------------------------------------------

fn base_url(document: &Document, item: &Json, operation: &Json, wanted: &Wanted<'_>) -> Said<String> {
    if let Some(url) = wanted.base_url {
        return Said::known(url.to_owned());
    }
    let unknown = format!("https://{}.example.com", wanted.upstream.replace('_', "-"));
    let servers = [operation, item, &document.root].into_iter().map(|place| items(place.get("servers")));
    let Some(servers) = servers.into_iter().find(|servers| !servers.is_empty()) else {
        return Said::guess(unknown, "the description names no server, and --base-url was not given");
    };
    let mut filled = false;
    let given = servers[0].get("url").and_then(Json::as_str).unwrap_or_default();
    let mut text = given.to_owned();
    for (name, variable) in members(servers[0].get("variables")) {
        if let Some(value) = variable.get("default").and_then(Json::as_str) {
            filled |= text.contains(&format!("{{{name}}}"));
            text = text.replace(&format!("{{{name}}}"), value);
        }
    }
    let read = |text: &str| {
        let url = url::Url::parse(text).ok()?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let usable = plain && url.password().is_none() && url.host_str().is_some() && !text.contains(['{', '}']);
        usable.then_some(url)
    };
    let Some(mut url) = read(&text) else {
        let joined = format!("{unknown}/{}", text.trim_start_matches('/'));
        let relative = text.starts_with('/') && read(&joined).is_some();
        let why = "the description names no absolute URL of a server, and --base-url was not given";
        return Said::guess(if relative { joined.trim_end_matches('/').to_owned() } else { unknown }, why);
    };
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        let switched = url.scheme() == "http" && url.set_scheme("https").is_ok();
        let why = "the description has plain http, which would show credentials to others";
        let text = if switched { url.as_str().trim_end_matches('/').to_owned() } else { unknown };
        return Said::guess(text, why);
    }
    let it = url.as_str().trim_end_matches('/').to_owned();
    match servers.len() {
        1 if !filled => Said::known(it),
        1 => Said::guess(it, "the server's variables have their defaults"),
        several => Said::guess(it, format!("the first of {several} servers")),
    }
}

// ---- who -----------------------------------------------------------------------------------------------------------

type Lines = Vec<(String, Setting)>;

/// The name of the upstream, and where it is.
type At<'a> = (&'a str, &'a str);

fn auth(document: &Document, operation: &Json, upstream: At<'_>, notes: &mut Vec<String>) -> Option<Said<Lines>> {
    let known = document.root.get("components").and_then(|components| document.member(components, "securitySchemes"));
    let schemes = members(known);
    let Some(demanded) = operation.get("security").or(document.root.get("security")) else {
        // The description has schemes, and does not say where they count.
        let lines = schemes.iter().find_map(|(_, scheme)| lines(document.follow(scheme), &[], upstream, notes))?;
        return Some(Said::guess(lines, "the description does not say whether credentials are wanted"));
    };
    let mut ways: Vec<(usize, Lines)> = Vec::new();
    let mut refused = Vec::new();
    for way in items(Some(demanded)) {
        for (name, scopes) in members(Some(way)) {
            let scopes: Vec<&str> = items(Some(scopes)).iter().filter_map(Json::as_str).collect();
            let scheme = schemes.iter().find(|(known, _)| known == name).map(|(_, scheme)| document.follow(scheme));
            match scheme.and_then(|scheme| lines(scheme, &scopes, upstream, notes)) {
                Some(lines) => ways.push((members(Some(way)).len(), lines)),
                None => refused.push(name.clone()),
            }
        }
    }
    if !refused.is_empty() {
        notes.push(format!("security schemes that cannot be proposed: {}", refused.join(", ")));
    }
    if ways.len() > 1 {
        notes.push(format!("the description has {} ways to sign in; this is one of them", ways.len()));
    }
    // One that suffices alone comes first.
    ways.into_iter().min_by_key(|(together, _)| *together).map(|(_, lines)| Said::known(lines))
}

/// A reference that is relative to the server's URL.
fn joined(base_url: &str, reference: &str) -> Option<String> {
    let base = url::Url::parse(&format!("{}/", base_url.trim_end_matches('/'))).ok()?;
    Some(base.join(reference.trim()).ok()?.into())
}

fn text(name: &str, value: impl Into<String>) -> (String, Setting) {
    (name.to_owned(), Setting::Text(value.into()))
}

fn lines(scheme: &Json, scopes: &[&str], (upstream, base_url): At<'_>, notes: &mut Vec<String>) -> Option<Lines> {
    let says = |key: &str| scheme.get(key).and_then(Json::as_str);
    let secret = |name: &str| format!("${{secret.{upstream}_{name}}}");
    match says("type")? {
        "apiKey" => {
            let name = says("name").filter(|name| !name.contains(['{', '}']))?;
            let header = |name: &str| http::HeaderName::from_bytes(name.as_bytes()).is_ok();
            let (place, value) = match says("in")? {
                "header" if header(name) => (text("header", name), secret("key")),
                "query" if !name.is_empty() => (text("query", name), secret("key")),
                "cookie" if header(name) => (text("header", "Cookie"), format!("{name}={}", secret("key"))),
                _ => return None,
            };
            Some(vec![text("kind", "api_key"), place, text("value", value)])
        }
        "http" => match says("scheme")?.to_ascii_lowercase().as_str() {
            "bearer" => Some(vec![text("kind", "bearer"), text("token", secret("token"))]),
            "basic" => Some(vec![
                text("kind", "basic"),
                text("username", secret("user")),
                text("password", secret("password")),
            ]),
            _ => None,
        },
        "oauth2" => oauth2(scheme.get("flows")?, scopes, (upstream, base_url), notes),
        _ => None,
    }
}

fn oauth2(flows: &Json, scopes: &[&str], (upstream, base_url): At<'_>, notes: &mut Vec<String>) -> Option<Lines> {
    let mut url = |flow: &Json, key: &str| {
        let given = flow.get(key).and_then(Json::as_str)?;
        let text = if url::Url::parse(given).is_ok() { given.to_owned() } else { joined(base_url, given)? };
        let plain = text.starts_with("https://") && url::Url::parse(&text).is_ok() && !text.contains(['{', '}', '#']);
        if plain && text != given {
            notes.push(format!("guess: `{key}` is relative in the description, and taken from the base URL on"));
        }
        plain.then_some(text)
    };
    let mut lines = vec![text("kind", "oauth2")];
    if let Some(flow) = flows.get("clientCredentials") {
        lines.push(text("grant", "client_credentials"));
        lines.push(text("token_url", url(flow, "tokenUrl")?));
    } else {
        let flow = flows.get("authorizationCode")?;
        lines.push(text("grant", "authorization_code"));
        lines.push(text("authorize_url", url(flow, "authorizationUrl")?));
        lines.push(text("token_url", url(flow, "tokenUrl")?));
    }
    lines.push(text("client_id", format!("${{secret.{upstream}_client_id}}")));
    lines.push(text("client_secret", format!("${{secret.{upstream}_client_secret}}")));
    let scopes: Vec<String> =
        scopes.iter().filter(|scope| !scope.contains('{')).map(|&scope| scope.to_owned()).collect();
    if !scopes.is_empty() {
        lines.push(("scopes".to_owned(), Setting::List(scopes)));
    }
    Some(lines)
}
