//! Owns: one HTTP exchange: the trait, and what can go wrong below HTTP.
//!
//! Must not know: upstreams, retries, what a status means.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use http::{HeaderMap, Method};
use tokio::sync::Mutex;
use url::Url;

use crate::rules::{CsvFormat, ItemAt, ListAt, Timeouts, TlsFiles};

/// One HTTP exchange; no redirects, no retries, no credentials of its own.
pub trait Transport: Send + Sync {
    /// Sends the request and reads the whole answer within the limits.
    fn exchange(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>>;
}

/// A request, ready to be sent.
#[derive(Clone)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Absolute URL.
    pub url: Url,
    /// All headers; secrets are marked sensitive.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Bytes>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Largest decoded body, in bytes.
    pub body_bytes_max: u64,
    /// Where the answer has its records: one that is too large is cut down then, and the others are had.
    pub records: Option<RecordsIn>,
    /// Such a listing may be larger than `body_bytes_max`: it is handed over as it comes then.
    pub streams: bool,
    /// It repeats one that was refused, with other credentials: what was refused counts for nothing.
    pub heals: bool,
    /// Who we are in TLS, and whom we trust.
    pub tls: Option<Arc<TlsFiles>>,
}

/// Where the answer to a listing has its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordsIn {
    /// In an array of a JSON document.
    Array(ListAt),
    /// One a line.
    Lines,
    /// In the rows of a table.
    Rows(CsvFormat),
}

impl RecordsIn {
    /// Whether one that is too large can be cut down to its small members. A row has none; what an item of an array holds deeper
    /// would be a part of what is thrown away.
    pub fn may_be_cut(&self) -> bool {
        match self {
            Self::Array(list) => list.item == ItemAt::Whole,
            Self::Lines => true,
            Self::Rows(_) => false,
        }
    }
}

/// The query and the body may hold secrets, so they are left out.
impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = self.url.origin().ascii_serialization();
        write!(f, "{} {origin}{} {:?}", self.method, self.url.path(), self.headers)
    }
}

/// An answer, decoded, and read whole unless there is a rest.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The decoded body; where there is a rest, its beginning.
    pub body: Bytes,
    /// The body from its beginning on, where it is larger than may be in memory.
    pub rest: Option<Rest>,
    /// Where in the body records begin that were cut down to their small members because they are too large.
    pub cut_down: Vec<usize>,
}

/// A decoded body as it comes, from its beginning on. It ends without an error only where the body was whole.
#[derive(Clone)]
pub struct Rest(Arc<Mutex<BoxStream<'static, Result<Bytes, TransportError>>>>);

impl Rest {
    /// Of pieces, in their order.
    pub fn new(pieces: impl Stream<Item = Result<Bytes, TransportError>> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(pieces))))
    }

    /// The next piece; `None` at the end of a whole body.
    pub async fn next(&self) -> Result<Option<Bytes>, TransportError> {
        self.0.lock().await.next().await.transpose()
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rest")
    }
}

/// Why there is no answer. Messages never hold a URL's query or a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// DNS, connect, or HTTP/2 `REFUSED_STREAM`: nothing was sent.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The certificate was refused: nothing was sent, and trying again will not help.
    #[error("certificate refused: {0}")]
    Certificate(String),
    /// Who we are in TLS was refused, or cannot be told: nothing was done, and trying again will not help.
    #[error("{0}")]
    Identity(String),
    /// What answers here has no answer to this: nothing was sent, and trying again will not help.
    #[error("{0}")]
    NotRecorded(String),
    /// A time limit passed after sending began.
    #[error("timed out: {0}")]
    TimedOut(String),
    /// The connection broke after sending began, or the body ended early.
    #[error("connection broke: {0}")]
    Broken(String),
    /// The decoded body is larger than allowed.
    #[error("answer larger than {limit} bytes, the limit set by `body_max`")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A listing of lines or rows that is larger than allowed, and cut off anywhere would look whole.
    #[error(
        "answer larger than `body_max` that does not say where it ends (no Content-Length, no chunks, no gzip): whether it is \
         whole could not be told; raise `body_max`, or let the upstream pack it"
    )]
    Endless,
    /// The answer unpacks to much more than it is.
    #[error("answer that unpacks to more than {ratio} times its size")]
    Bomb {
        /// The most that is believed.
        ratio: u64,
    },
}
