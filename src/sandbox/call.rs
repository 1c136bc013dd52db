//! Owns: a request taken apart: path, query, headers, body, the origin it was sent to.
//!
//! Must not know: resources.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use serde_json::Value;
use url::form_urlencoded;

use super::json::Object;
use super::reply::Refusal;

/// A request taken apart.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path as sent.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Path and query as sent.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Scheme and authority for absolute links.
    pub origin: String,
}

impl Call {
    /// Takes a request apart.
    pub fn read(request: &Request<Bytes>, base_url: Option<&str>) -> Self {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default();
        Self {
            method: request.method().clone(),
            path: uri.path().to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            target: uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string),
            headers: request.headers().clone(),
            body: request.body().clone(),
            origin: base_url.map_or_else(|| origin(request), |url| url.trim_end_matches('/').to_owned()),
        }
    }

    /// The first value of a query parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as a JSON object: 415 for a type that is no JSON, 400 for what does not parse.
    pub fn object(&self) -> Result<Object, Refusal> {
        let content_type = self.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !["", "application/json", "application/merge-patch+json"].contains(&media.as_str()) {
            return Err(Refusal::new(415, "unsupported_media_type", format!("cannot read {media}")));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(Refusal::new(400, "not_an_object", "the body must be a JSON object")),
            Err(error) => Err(Refusal::new(400, "malformed", format!("the body is no JSON: {error}"))),
        }
    }

    /// The absolute URL of the same request with one parameter set.
    pub fn url_with(&self, param: &str, value: &str) -> String {
        let others = self.query.iter().filter(|(key, _)| key != param);
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(others).append_pair(param, value).finish();
        format!("{}{}?{query}", self.origin, self.path)
    }
}

/// A path segment with its percent escapes undone; what is no escape stays.
pub fn decode_segment(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = segment.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn origin(request: &Request<Bytes>) -> String {
    let uri = request.uri();
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
        return format!("{scheme}://{authority}");
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("sandbox.invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_segment_is_decoded_once() {
        let check = |segment: &str, expected: &str| assert_eq!(decode_segment(segment), expected);
        check("a%40x.io", "a@x.io");
        check("a%2540", "a%40");
        check("a+b", "a+b");
        check("100%", "100%");
        check("%zz%C3%A9", "%zzé");
    }

    #[test]
    fn links_point_to_where_the_request_was_sent() {
        let request = |uri: &str| Request::builder().uri(uri).header("host", "h:1").body(Bytes::new()).unwrap();
        let check = |uri: &str, base: Option<&str>, expected: &str| {
            assert_eq!(Call::read(&request(uri), base).url_with("after", "x y"), expected);
        };
        check("/c?limit=2&after=a", None, "http://h:1/c?limit=2&after=x+y");
        check("https://api.example.com/c", None, "https://api.example.com/c?after=x+y");
        check("/c", Some("https://other.example.com/"), "https://other.example.com/c?after=x+y");
    }
}
