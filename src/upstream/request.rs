//! Owns: requests built from rules: holes filled, paths joined to the base URL, places in query, header and body.
//!
//! Must not know: sending, credentials (the client adds them), what an answer means.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::record::Json;
use crate::rules::{Part, Place, Request, Template, Upstream};

use super::outcome::{Failure, FailureKind};

/// A request, ready but for credentials and the upstream's own headers.
#[derive(Clone, Debug)]
pub struct Built {
    /// The method.
    pub method: Method,
    /// Absolute.
    pub url: Url,
    /// The request's own headers.
    pub headers: HeaderMap,
    /// The JSON body.
    pub body: Option<Bytes>,
}

/// Whether a request may be sent again when its outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Safety {
    /// Reads change nothing.
    Read,
    /// The upstream recognises a repetition: a key, a precondition, a natural PUT or a DELETE.
    Idempotent,
    /// A repetition may happen twice.
    Plain,
}

/// A request being built: the body is still a tree.
#[derive(Clone, Debug)]
pub struct Draft {
    method: Method,
    url: Url,
    headers: HeaderMap,
    /// The body, where there is one.
    pub body: Option<Json>,
}

impl Draft {
    /// Fills a request's holes. `fill` gives a hole's value; secrets in requests are filled by `secret`.
    pub fn new(
        upstream: &Upstream,
        request: &Request,
        fill: &dyn Fn(&str) -> Option<String>,
        secret: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let path = render(&request.path, &|hole| fill(hole).map(|value| encode_segment(&value)), secret)?;
        let mut draft = Self {
            method: Method::from_bytes(request.method.as_bytes())
                .map_err(|_bad| bad(format!("{} is no HTTP method", request.method)))?,
            url: join(&upstream.base_url, &path)?,
            headers: HeaderMap::new(),
            body: None,
        };
        for (name, value) in &request.query {
            let value = render(value, fill, secret)?;
            draft.put(&Place::Query(name.clone()), &value)?;
        }
        for (name, value) in &request.headers {
            let value = render(value, fill, secret)?;
            draft.put(&Place::Header(name.clone()), &value)?;
        }
        Ok(draft)
    }

    /// A draft for an absolute URL (a next page's).
    pub fn absolute(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None }
    }

    /// Puts a text into the query, a header or the body; an existing query parameter of that name is replaced.
    pub fn put(&mut self, place: &Place, value: &str) -> Result<(), Failure> {
        match place {
            Place::Query(name) => {
                let kept: Vec<(String, String)> =
                    self.url.query_pairs().filter(|(key, _)| key != name).map(|(k, v)| (k.into(), v.into())).collect();
                self.url.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value);
            }
            Place::Header(name) => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_bad| bad(format!("{name} is no header name")))?;
                let value = HeaderValue::from_str(value)
                    .map_err(|_bad| bad(format!("the value for header {name} has characters that no header can carry")))?;
                self.headers.insert(name, value);
            }
            Place::Body(path) => {
                let body = self.body.get_or_insert_with(|| Json::Object(Vec::new()));
                path.put(body, Json::String(value.to_owned())).map_err(|error| bad(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// The request with its body as bytes.
    pub fn build(mut self) -> Built {
        let body = self.body.map(|json| Bytes::from(json.to_string()));
        if body.is_some() && !self.headers.contains_key(http::header::CONTENT_TYPE) {
            self.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Built { method: self.method, url: self.url, headers: self.headers, body }
    }

    /// The path below the host, with the base URL's own prefix: what batch formats want for their items.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }
}

/// Renders a template.
pub fn render(
    template: &Template,
    fill: &dyn Fn(&str) -> Option<String>,
    secret: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    let mut text = String::new();
    for part in &template.parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Secret(name) => match secret(name) {
                Some(value) => text.push_str(&value),
                None => return Err(bad(format!("secret {name} is not available"))),
            },
            Part::Hole(name) => match fill(name) {
                Some(value) => text.push_str(&value),
                None => return Err(bad(format!("there is no value for {{{name}}} here"))),
            },
        }
    }
    Ok(text)
}

/// Joins a path (with or without a query) below the base URL's own path; an absolute URL stays what it is.
pub fn join(base: &Url, path: &str) -> Result<Url, Failure> {
    if path.starts_with("http://") || path.starts_with("https://") {
        return Url::parse(path).map_err(|error| bad(format!("a URL cannot be read: {error}")));
    }
    let mut url = base.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let prefix = base.path().trim_end_matches('/');
    let joined = format!("{prefix}/{}", path.trim_start_matches('/'));
    url.set_path(if path.is_empty() { base.path() } else { &joined });
    url.set_query(query);
    Ok(url)
}

/// Percent-encodes everything that is not unreserved (RFC 3986 §2.3), so that an id is one path segment.
fn encode_segment(value: &str) -> String {
    use std::fmt::Write as _;
    value.bytes().fold(String::with_capacity(value.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            write!(text, "%{byte:02X}").ok();
        }
        text
    })
}

/// A request that cannot be built: nothing was sent.
pub fn bad(words: String) -> Failure {
    Failure { kind: FailureKind::Fatal, status: None, words, retry_at: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_join_below_the_base_url() {
        let check = |base: &str, path: &str, expected: &str| {
            let url = join(&Url::parse(base).unwrap(), path).unwrap();
            assert_eq!(url.as_str(), expected, "{base} + {path}");
        };
        check("https://a.example/v1", "/contacts", "https://a.example/v1/contacts");
        check("https://a.example/v1/", "contacts?x=1", "https://a.example/v1/contacts?x=1");
        check("https://a.example", "/contacts/a%2Fb", "https://a.example/contacts/a%2Fb");
        check("https://a.example/v1", "https://b.example/next?t=2", "https://b.example/next?t=2");
    }

    #[test]
    fn an_id_is_one_path_segment_whatever_it_holds() {
        assert_eq!(encode_segment("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
    }
}
