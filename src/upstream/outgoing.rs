//! Owns: a request as it is sent: with the upstream's headers, its credentials, its body as bytes, its signature.
//!
//! Must not know: attempts, what became of it.

use http::{HeaderMap, HeaderValue, header};

use super::encode::encode;
use super::{Built, Client, Failure, Outgoing, RecordsIn, Tokens, check_url};
use crate::rules::Encoding;

impl Client {
    /// Checks where the request goes, then adds headers, credentials, body and signature.
    pub(super) fn outgoing(&self, request: &Built, tokens: Option<&Tokens>) -> Result<Outgoing, Failure> {
        let mut outgoing = self.unsigned(request, tokens)?;
        if !request.bare {
            self.credentials.sign(&mut outgoing, &self.secrets, self.clock.as_ref())?;
        }
        Ok(outgoing)
    }

    fn unsigned(&self, request: &Built, tokens: Option<&Tokens>) -> Result<Outgoing, Failure> {
        check_url(&self.upstream, &request.url)?;
        let mut request = request.clone();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accepted(request.records.as_ref())));
        let ours = self.headers.iter().filter(|_| !request.bare);
        for (name, value) in ours.chain(&request.headers) {
            headers.insert(name, value.clone());
        }
        request.headers = headers;
        if !request.bare {
            self.credentials.apply(&mut request, tokens)?;
        }
        let body = request.body.map(|json| encode(&json, request.encoding)).transpose()?;
        if let Some((kind, _)) = &body {
            // What tells parts from each other is in it, whatever the rules say.
            if request.encoding == Encoding::Multipart || !request.headers.contains_key(header::CONTENT_TYPE) {
                request.headers.insert(header::CONTENT_TYPE, kind.clone());
            }
        }
        Ok(Outgoing {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: body.map(|(_, bytes)| bytes.into()),
            timeouts: self.upstream.timeout,
            body_bytes_max: self.upstream.body_bytes_max,
            streams: request.records.is_some(),
            records: request.records,
            heals: false,
            tls: self.upstream.tls.clone().filter(|_| !request.bare),
        })
    }

    /// How long the body of a request is as it is sent, in bytes; credentials may be in it, a signature never is.
    pub fn body_bytes(&self, request: &Built) -> Result<u64, Failure> {
        let length = self.unsigned(request, None)?.body.map_or(0, |body| body.len());
        Ok(u64::try_from(length).unwrap_or(u64::MAX))
    }
}

/// What is wanted where the rules do not say it. Names of lines differ from one upstream to the next.
fn accepted(records: Option<&RecordsIn>) -> &'static str {
    match records {
        Some(RecordsIn::Array(_)) | None => "application/json",
        Some(RecordsIn::Lines) => "application/x-ndjson, application/jsonl, */*;q=0.5",
        Some(RecordsIn::Rows(_)) => "text/csv, */*;q=0.5",
    }
}
