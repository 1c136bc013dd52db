//! Owns: the transport that writes on a cassette what passes it.
//!
//! Must not know: how the file is made, what is taken out of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use url::Url;

use super::mask::{Kind, MARK, is_secret_header};
use super::tape::{Answer, Asked, Exchange, Failed, Tape};
use crate::clock::Clock;
use crate::rules::Upstream;
use crate::upstream::auth::{credential_names, strip_query};
use crate::upstream::split::split_records;
use crate::upstream::{Client, Outgoing, RecordsIn, Response, Secrets, Transport, TransportError};

/// Shorter parameters are times and the like, which stand elsewhere as well.
const SIGNATURE_CHARS_MIN: usize = 16;

/// Sends requests on, and writes them down with their answers. Requests that sign in do not pass it.
struct Recorder {
    inner: Arc<dyn Transport>,
    tape: Arc<Tape>,
    upstream: String,
    /// Query parameters that hold credentials.
    credential_names: Vec<String>,
    /// Headers that the rules send with every request.
    header_names: Vec<String>,
    secrets: Secrets,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// From now on everything is written on a tape, but for sign-ins: those have a way of their own.
    pub fn recorded_on(mut self, tape: &Arc<Tape>) -> Self {
        self.transport = Arc::new(Recorder {
            inner: self.transport,
            tape: Arc::clone(tape),
            upstream: self.upstream.name.clone(),
            credential_names: credential_names(&self.upstream.auth),
            header_names: header_names(&self.upstream),
            secrets: self.secrets.clone(),
            clock: Arc::clone(&self.clock),
        });
        self
    }
}

impl Transport for Recorder {
    fn exchange(&self, mut request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            self.tape.check_room()?;
            // What is recorded has to be there as a whole.
            let streams = std::mem::take(&mut request.streams);
            if matches!(request.method.as_str(), "PUT" | "PATCH" | "DELETE") {
                return Err(TransportError::NotRecorded("nothing is written while it is recorded".to_owned()));
            }
            let (url, records) = (strip_query(request.url.as_str(), &self.credential_names), request.records.clone());
            let (method, body, heals) = (request.method.to_string(), request.body.clone(), request.heals);
            let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let is_form = kind.starts_with("application/x-www-form-urlencoded");
            let (sent, headers) = (request.url.clone(), request.headers.clone());
            let outcome = self.inner.exchange(request).await;
            let (mask, own) = (&self.tape.mask, &self.secrets.with(self.credentials_in(&sent)));
            let headers = named_headers(&headers, &self.header_names, |value| mask.text(own, value));
            // The answer first: what is masked in it may stand in the address as well.
            let answer = outcome.as_ref().ok().map(|response| self.answer(own, response, records.as_ref()));
            let failed = outcome.as_ref().err().map(|error| Failed::of(error, |words| mask.text(own, words)));
            let kind = if is_form { Kind::Form } else { Kind::Text };
            let body = body.and_then(|body| mask.body(own, &body, kind));
            let request = Asked { method, url: mask.url(own, &url), headers, body };
            let upstream = self.upstream.clone();
            self.tape.keep(&Exchange { at: self.clock.now(), upstream, heals, request, answer, failed });
            match outcome {
                Err(TransportError::TooLarge { limit }) if streams => Err(TransportError::NotRecorded(format!(
                    "a listing of more than {limit} bytes is read without a recording, but not recorded: raise `body_max` \
                     for it, or record a part of the listing"
                ))),
                outcome => outcome,
            }
        })
    }
}

impl Recorder {
    /// What was sent in the address to be let in, such as a signature: some echo it in links.
    fn credentials_in(&self, url: &Url) -> Vec<String> {
        let ours = url.query_pairs().filter(|(name, value)| {
            value.len() >= SIGNATURE_CHARS_MIN && self.credential_names.iter().any(|ours| *ours == *name)
        });
        ours.map(|(_, value)| value.into_owned()).collect()
    }

    fn answer(&self, own: &Secrets, response: &Response, records: Option<&RecordsIn>) -> Answer {
        let mask = &self.tape.mask;
        let kind = match records {
            Some(RecordsIn::Rows(format)) => Kind::Rows(*format),
            Some(RecordsIn::Array(_) | RecordsIn::Lines) | None => Kind::Text,
        };
        let starts = record_starts(&response.body, records.filter(|_| !response.cut_down.is_empty()));
        let places = response.cut_down.iter().filter_map(|at| starts.iter().position(|start| start == at));
        Answer {
            status: response.status,
            headers: mask.headers(own, &response.headers),
            body: mask.body(own, &response.body, kind),
            cut_down: places.collect(),
        }
    }
}

/// The names of the headers that rules send with every request to an upstream.
pub fn header_names(upstream: &Upstream) -> Vec<String> {
    upstream.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect()
}

/// Those of a request that have these names.
pub fn named_headers(headers: &HeaderMap, names: &[String], mask: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let masked = |name: &str, value: &str| if is_secret_header(name) { MARK.to_owned() } else { mask(value) };
    let value = |name: &String| Some((name.clone(), masked(name, headers.get(name)?.to_str().ok()?)));
    names.iter().filter_map(value).collect()
}

/// Where the records of a body begin.
pub fn record_starts(body: &[u8], records: Option<&RecordsIn>) -> Vec<usize> {
    // Only there are records cut down.
    let Some(RecordsIn::Array(list)) = records else { return Vec::new() };
    let found = split_records(body, &list.path, &[]);
    found.map(|split| split.records.into_iter().map(|at| at.start).collect()).unwrap_or_default()
}
