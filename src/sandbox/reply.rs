//! Owns: answers on their way out: status, headers, JSON, refusals; how an answer is delivered.
//!
//! Must not know: why an answer is what it is.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::gate::Gate;

/// An answer, and what happens to it on the wire.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the sandbox answers; under [`Deliver::Lost`] nobody sees it.
    pub response: Response<Bytes>,
    /// What happens to it on the wire.
    pub deliver: Deliver,
}

/// What happens to an answer on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deliver {
    /// It arrives.
    Now,
    /// It waits, then comes in chunks.
    Slow {
        /// The wait before the head, and before each chunk but the first, in milliseconds.
        delay_ms: u64,
        /// The length of a chunk; 0 is all at once.
        bytes_per_chunk: usize,
    },
    /// It waits until the gate is opened.
    Held(Gate),
    /// The connection closes without an answer. Whether the request had its effect, the fault says.
    Lost,
    /// The head and so many bytes of the body arrive, then the connection closes.
    Truncated {
        /// How many bytes of the body.
        after: usize,
    },
}

/// An answer before it is bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers besides the content type and length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// None.
    Empty,
    /// JSON.
    Json(Value),
    /// Anything else: content type and text.
    Text(&'static str, String),
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// A word for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
    /// The field at fault.
    pub field: Option<String>,
}

impl Refusal {
    /// A refusal of the request as a whole.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    /// A refusal for one field.
    pub fn of_field(status: u16, code: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: Some(field.to_owned()) }
    }

    /// What stands under `error`.
    pub fn to_json(&self) -> Value {
        match &self.field {
            None => json!({"code": self.code, "message": self.message}),
            Some(field) => json!({"code": self.code, "message": self.message, "field": field}),
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.status, json!({"error": refusal.to_json()}))
    }
}

impl Answer {
    /// A JSON answer.
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Body::Json(body) }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty }
    }

    /// The same with one more header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The answer as bytes. A header that cannot be said in HTTP is left out.
    pub fn into_response(self) -> Response<Bytes> {
        let (content_type, bytes) = match self.body {
            Body::Empty => (None, Bytes::new()),
            Body::Json(value) => (Some("application/json"), Bytes::from(value.to_string())),
            Body::Text(content_type, text) => (Some(content_type), Bytes::from(text)),
        };
        let mut response = Response::new(bytes);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(content_type) = content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
