//! Owns: requests: what the rules describe, with holes filled and places set, as one absolute request without credentials.
//!
//! Must not know: authentication, retries, what the answer means.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::{Failure, FailureKind, Filled, Holes, RecordsIn, Secrets};
use crate::record::{Json, Path};
use crate::rules::{Encoding, JsonTemplate, Place, Request, Template};

/// A request that can be sent: absolute, but without credentials and without the upstream's own headers.
#[derive(Clone)]
pub struct Built {
    /// The method.
    pub method: Method,
    /// Absolute URL.
    pub url: Url,
    /// Headers; those with secrets are marked sensitive.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Json>,
    /// How the body is written.
    pub encoding: Encoding,
    /// 304 is an answer to this request.
    pub conditional: bool,
    /// Where its answer has records.
    pub records: Option<RecordsIn>,
    /// It goes to somebody else than the upstream: without its headers, without credentials.
    pub bare: bool,
}

/// The query may hold secrets, so it is left out.
impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}{}", self.method, self.url.origin().ascii_serialization(), self.url.path())
    }
}

/// Fills the rules' request below `base`.
pub fn build_request(base: &Url, secrets: &Secrets, request: &Request, holes: &Holes<'_>) -> Result<Built, Failure> {
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_not_a_token| Failure::new(FailureKind::Fatal, format!("`{}` is no HTTP method", request.method)))?;
    let path = secrets.fill(&request.path, holes, &path_segment)?.text;
    let url = join(base, &path);
    let mut built = Built {
        method,
        url,
        headers: HeaderMap::new(),
        body: None,
        encoding: request.encoding,
        conditional: false,
        records: None,
        bare: false,
    };
    if let Some(body) = &request.body {
        built.body = Some(fill_json(secrets, body, holes)?);
    }
    for (at, (name, template)) in request.query.iter().enumerate() {
        let filled = secrets.fill(template, holes, &as_it_is)?;
        if request.query[..at].iter().any(|(other, _)| other == name) {
            built.url.query_pairs_mut().append_pair(name, &filled.text);
        } else {
            built.set_query(name, &filled.text);
        }
    }
    for (name, template) in &request.headers {
        let filled = secrets.fill(template, holes, &as_it_is)?;
        built.set_header(name, &filled)?;
    }
    Ok(built)
}

fn fill_json(secrets: &Secrets, template: &JsonTemplate, holes: &Holes<'_>) -> Result<Json, Failure> {
    Ok(match template {
        JsonTemplate::Fixed(json) => json.clone(),
        JsonTemplate::Text(text) => Json::String(secrets.fill(text, holes, &as_it_is)?.text),
        JsonTemplate::List(items) => {
            Json::Array(items.iter().map(|item| fill_json(secrets, item, holes)).collect::<Result<_, _>>()?)
        }
        JsonTemplate::Object(members) => {
            let member = |(name, value): &(String, JsonTemplate)| Ok((name.clone(), fill_json(secrets, value, holes)?));
            Json::Object(members.iter().map(member).collect::<Result<_, Failure>>()?)
        }
    })
}

impl Built {
    /// A read of a URL that an answer has named.
    pub fn of_url(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            encoding: Encoding::Json,
            conditional: false,
            records: None,
            bare: false,
        }
    }

    /// Puts a text at its place, replacing what the rules' request has there.
    pub fn set(&mut self, place: &Place, text: &str) -> Result<(), Failure> {
        self.set_filled(place, &Filled { text: text.to_owned(), sensitive: false })
    }

    /// As [`Built::set`], for a text that may be secret.
    pub fn set_filled(&mut self, place: &Place, filled: &Filled) -> Result<(), Failure> {
        match place {
            Place::Query(name) => self.set_query(name, &filled.text),
            Place::Header(name) => self.set_header(name, filled)?,
            Place::Body(path) => self.set_body(path, Json::String(filled.text.clone()))?,
        }
        Ok(())
    }

    /// As [`Built::set`], for a number, which stays one in a JSON body.
    pub fn set_number(&mut self, place: &Place, number: u64) -> Result<(), Failure> {
        match place {
            Place::Body(path) => self.set_body(path, Json::Number(number.to_string())),
            _ => self.set(place, &number.to_string()),
        }
    }

    /// Sets one query parameter; one of the same name is replaced.
    pub fn set_query(&mut self, name: &str, text: &str) {
        let kept: Vec<(String, String)> = self
            .url
            .query_pairs()
            .filter(|(key, _)| key != name)
            .map(|(k, v)| (k.into_owned(), v.into_owned()))
            .collect();
        self.url.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, text);
    }

    /// Sets one header.
    pub fn set_header(&mut self, name: &str, filled: &Filled) -> Result<(), Failure> {
        let (name, value) = header(name, filled)?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Adds a secret cookie to those that are there (RFC 6265, 4.2).
    pub fn add_cookie(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let before = self.headers.get(http::header::COOKIE).and_then(|value| value.to_str().ok());
        let before = before.map(|before| format!("{before}; ")).unwrap_or_default();
        self.set_header("cookie", &Filled { text: format!("{before}{name}={value}"), sensitive: true })
    }

    /// Puts a value into the JSON body, which begins as `{}`.
    pub fn set_body(&mut self, path: &Path, value: Json) -> Result<(), Failure> {
        let body = self.body.get_or_insert_with(|| Json::Object(Vec::new()));
        path.put(body, value).map_err(|error| Failure::new(FailureKind::Invalid, format!("the request body: {error}")))
    }
}

/// A checked header; the value is marked sensitive where it holds a secret.
pub fn header(name: &str, filled: &Filled) -> Result<(HeaderName, HeaderValue), Failure> {
    let refuse =
        || Failure::new(FailureKind::Invalid, format!("the value for header `{name}` cannot stand in a header"));
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_not_a_token| Failure::new(FailureKind::Fatal, format!("`{name}` is no header name")))?;
    let mut value = HeaderValue::from_bytes(filled.text.as_bytes()).map_err(|_control_characters| refuse())?;
    value.set_sensitive(filled.sensitive);
    Ok((header, value))
}

/// The value of a precondition. A version that already carries its quotes (an `ETag` header) is not quoted twice.
pub fn fill_version(secrets: &Secrets, template: &Template, version: &str) -> Result<Filled, Failure> {
    let mut filled = secrets.fill(template, &Holes { version: Some(version), ..Holes::default() }, &as_it_is)?;
    if (version.starts_with('"') || version.starts_with("W/\"")) && filled.text == format!("\"{version}\"") {
        version.clone_into(&mut filled.text);
    }
    Ok(filled)
}

/// The path below the base URL's; a query in `path` stays one.
fn join(base: &Url, path: &str) -> Url {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let mut url = base.clone();
    let path = path.trim_start_matches('/');
    if !path.is_empty() {
        url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    }
    url.set_query(query);
    url.set_fragment(None);
    url
}

/// What the request's path is below the base URL's, as budgets match it and as failures show it.
pub fn path_below<'a>(base: &Url, url: &'a Url) -> &'a str {
    match url.path().strip_prefix(base.path().trim_end_matches('/')) {
        Some(below) if below.is_empty() || below.starts_with('/') => below,
        _ => url.path(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "has the type of an encoder")]
fn as_it_is(text: &str) -> Result<String, Failure> {
    Ok(text.to_owned())
}

/// One path segment. An empty one would name the whole collection; `.` and `..` would be resolved away by every URL parser.
fn path_segment(text: &str) -> Result<String, Failure> {
    match text {
        "" | "." | ".." => Err(Failure::new(FailureKind::Invalid, format!("`{text}` cannot be a remote id in a path"))),
        _ => Ok(encode_segment(text)),
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub fn encode_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for half in [byte >> 4, byte & 15] {
                encoded.push(char::from_digit(u32::from(half), 16).map_or('0', |digit| digit.to_ascii_uppercase()));
            }
        }
    }
    encoded
}
