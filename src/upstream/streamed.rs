//! Owns: an answer that is larger than `body_max`, handed over while it comes: what breaks off is asked for again, and what
//! was handed over before is neither lost nor handed over twice.
//!
//! Must not know: where records stand (that is `stream`), how pages follow each other.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use xxhash_rust::xxh3::Xxh3;

use super::classify::{Verdict, classify};
use super::split::cut_short;
use super::stream::{Piece, Stream, StreamError};
use super::table::Columns;
use super::{Built, Client, Failure, FailureKind, Response, Rest, Safety, TransportError, backoff, words};

/// What is kept of an answer to tell what it looks like.
const LOOKS_BYTES: usize = 4096;

/// An answer that is being read.
pub struct Streamed {
    /// What was asked.
    pub request: Built,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// Records so far.
    pub count: usize,
    /// Items so far of the array that they stand in.
    pub items: usize,
    /// The first of them.
    pub first: Bytes,
    /// The last of them.
    pub last: Bytes,
    response: Response,
    stream: Option<Stream>,
    /// Of all records so far, in their order.
    hash: Xxh3,
    /// Of an answer that was asked for again, the records that were handed over before: how many are left, and their hash.
    again: Option<(usize, Xxh3)>,
    columns: Option<Columns>,
    /// The answer broke off so often.
    broken: u32,
}

impl std::fmt::Debug for Streamed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streamed").field("count", &self.count).field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Streamed {
    /// Of an answer that has a rest.
    pub fn new(request: Built, response: Response, requested_at: DateTime<Utc>) -> Self {
        let (first, last, stream) = (Bytes::new(), Bytes::new(), None);
        let response = looks_of(response);
        let (hash, again, columns) = (Xxh3::new(), None, None);
        Self {
            request,
            requested_at,
            count: 0,
            items: 0,
            first,
            last,
            response,
            stream,
            hash,
            again,
            columns,
            broken: 0,
        }
    }

    /// The next records, and whether they are the last ones: the body was whole then. `check` looks at the columns of a table.
    pub async fn next(
        &mut self,
        client: &Client,
        check: &(dyn Fn(&Columns) -> Result<(), String> + Sync),
    ) -> Result<(Piece, bool), Failure> {
        loop {
            let error = match self.piece(client).await {
                Ok((mut piece, is_last)) => {
                    self.items += piece.items;
                    self.check_columns(check)
                        .map_err(|what| client.bad_answer(&self.request, &self.response, &what))?;
                    self.take_note(&mut piece).map_err(|what| self.failed(client, FailureKind::NotDone, &what))?;
                    if is_last && self.again.is_some() {
                        let what = "the answer broke off, and is shorter now";
                        return Err(self.failed(client, FailureKind::NotDone, what));
                    }
                    if is_last || !piece.records.is_empty() {
                        return Ok((piece, is_last));
                    }
                    continue;
                }
                Err(error) => error,
            };
            self.ask_again(client, error).await?;
        }
    }

    /// What stood around the records, as an answer of its own; the rules may find an error in it.
    pub fn concluded(&self, client: &Client) -> Result<Response, Failure> {
        let around = self.stream.as_ref().map(Stream::around).unwrap_or_default();
        let response = Response { body: around, rest: None, ..self.response.clone() };
        match classify(Ok(&response), Safety::Read, false, false, &client.upstream.errors) {
            Verdict::Success => Ok(response),
            Verdict::Fail(kind) | Verdict::Retry { spent: kind, .. } => {
                let what = "what stands beside the records says that it failed";
                Err(Failure { kind, ..client.bad_answer(&self.request, &response, what) })
            }
        }
    }

    async fn piece(&mut self, client: &Client) -> Result<(Piece, bool), Broken> {
        let rest: Rest = self.response.rest.clone().ok_or(Broken::For("the answer has no rest".to_owned()))?;
        if self.stream.is_none() {
            let records = self.request.records.as_ref();
            let stream = records.and_then(|records| Stream::new(records, client.upstream.body_bytes_max));
            self.stream = Some(stream.ok_or(Broken::For("records cannot be told apart in it".to_owned()))?);
        }
        let Some(stream) = &mut self.stream else { return Err(Broken::For("nothing is read".to_owned())) };
        loop {
            if let Some(piece) = stream.next()? {
                return Ok((piece, false));
            }
            if let Some(bytes) = rest.next().await? {
                client.meter.received(client.now(), bytes.len() as u64);
                stream.feed(bytes);
                continue;
            }
            stream.end();
            let piece = stream.next()?.unwrap_or_default();
            return match cut_short(&stream.around()) {
                Some(what) => Err(Broken::Off(what)),
                None => Ok((piece, true)),
            };
        }
    }

    fn check_columns(&mut self, check: &(dyn Fn(&Columns) -> Result<(), String> + Sync)) -> Result<(), String> {
        let Some(columns) = self.stream.as_ref().and_then(Stream::columns) else { return Ok(()) };
        match &self.columns {
            Some(before) if before == columns => Ok(()),
            Some(_) => Err("the answer broke off, and has another header now".to_owned()),
            None => {
                check(columns)?;
                self.columns = Some(columns.clone());
                Ok(())
            }
        }
    }

    /// Takes out what was handed over before, if it is the same; an answer that is another one now is none that goes on.
    fn take_note(&mut self, piece: &mut Piece) -> Result<(), String> {
        let at = |record: &std::ops::Range<usize>| piece.body.get(record.clone()).unwrap_or_default();
        let mut known = 0;
        if let Some((left, hash)) = &mut self.again {
            known = (*left).min(piece.records.len());
            piece.records.iter().take(known).for_each(|record| note(hash, at(record)));
            *left -= known;
            if *left > 0 {
                piece.records.clear();
                return Ok(());
            }
            if hash.digest() != self.hash.digest() {
                return Err("the answer broke off, and is another one now".to_owned());
            }
            self.again = None;
        }
        piece.records.drain(..known);
        let at = |record: &std::ops::Range<usize>| piece.body.slice(record.clone());
        piece.records.iter().for_each(|record| note(&mut self.hash, &at(record)));
        if let (0, Some(first)) = (self.count, piece.records.first()) {
            self.first = Bytes::copy_from_slice(&at(first));
        }
        if let Some(last) = piece.records.last() {
            self.last = Bytes::copy_from_slice(&at(last));
        }
        self.count += piece.records.len();
        Ok(())
    }

    /// Asks for an answer once more that broke off, as often as the rules allow.
    async fn ask_again(&mut self, client: &Client, broken: Broken) -> Result<(), Failure> {
        let what = match broken {
            Broken::Off(what) => what,
            Broken::For(what) => return Err(client.bad_answer(&self.request, &self.response, &what)),
            Broken::TooLarge(what) => return Err(self.failed(client, FailureKind::TooLarge, &what)),
        };
        self.broken += 1;
        if self.broken >= client.upstream.retry.attempts {
            return Err(self.failed(client, FailureKind::NotDone, &what));
        }
        client.clock.sleep(backoff::transient_wait(self.broken, client.clock.random())).await;
        let response = client.read(self.request.clone(), &mut |_| None).await?;
        if response.rest.is_none() {
            let what = format!("{what}; asked for again, it is shorter now");
            return Err(self.failed(client, FailureKind::NotDone, &what));
        }
        (self.response, self.stream, self.items) = (looks_of(response), None, 0);
        self.again = Some((self.count, Xxh3::new()));
        Ok(())
    }

    fn failed(&self, client: &Client, kind: FailureKind, what: &str) -> Failure {
        let (base, status) = (&client.upstream.base_url, Some(self.response.status));
        let words = words::describe(base, &self.request, status, &client.secrets.mask(what), self.broken.max(1));
        let retry_at = (kind == FailureKind::NotDone).then(|| client.next_attempt(self.broken.max(1))).flatten();
        Failure { kind, status, words: client.secrets.mask(&words), retry_at }
    }
}

/// The answer without most of its beginning, which comes once more with the rest.
fn looks_of(response: Response) -> Response {
    let body = Bytes::copy_from_slice(response.body.get(..LOOKS_BYTES).unwrap_or(&response.body));
    Response { body, ..response }
}

fn note(hash: &mut Xxh3, record: &[u8]) {
    hash.update(&record.len().to_le_bytes());
    hash.update(record);
}

/// Why an answer does not go on.
enum Broken {
    /// It ended too early: it may be whole another time.
    Off(String),
    /// It is not what it should be, and would not be another time.
    For(String),
    /// One record is too large, or what stands around them.
    TooLarge(String),
}

impl From<TransportError> for Broken {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::TooLarge { .. } | TransportError::Endless | TransportError::Bomb { .. } => {
                Self::TooLarge(error.to_string())
            }
            error => Self::Off(error.to_string()),
        }
    }
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        match &error {
            StreamError::Split(split) if split.cut_short(0) => Self::Off(error.to_string()),
            StreamError::Split(_) => Self::For(error.to_string()),
            StreamError::TooLarge { .. } => Self::TooLarge(error.to_string()),
        }
    }
}
