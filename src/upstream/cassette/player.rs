//! Owns: the transport that answers by a cassette; nothing is sent.
//!
//! Must not know: the file, what the requests are for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use url::Url;

use super::mask::without_named_secrets;
use super::nearest::{Question, nearest};
use super::recorder::{header_names, named_headers, record_starts};
use super::tape::{Cassette, Exchange};
use crate::rules::{Auth, Upstream};
use crate::upstream::auth::{credential_names, strip_query};
use crate::upstream::{Outgoing, Response, Transport, TransportError};

/// A cassette that is being played to the clients of all its upstreams.
pub struct Deck {
    cassette: Arc<Cassette>,
    /// Exchanges by what was asked, in their order.
    by_question: BTreeMap<(String, Question), Vec<usize>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often each was asked.
    asked: BTreeMap<(String, Question), usize>,
    missing: Vec<String>,
}

impl Deck {
    /// From its beginning.
    pub fn new(cassette: Arc<Cassette>) -> Self {
        let mut by_question: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, exchange) in cassette.exchanges.iter().enumerate() {
            if let Some(question) = question_of(exchange) {
                let found = by_question.entry((exchange.upstream.clone(), question)).or_default();
                let was_refused = |at: &usize| cassette.exchanges.get(*at).is_some_and(|before| !before.heals);
                if let Some(refused) = found.iter().rposition(was_refused).filter(|_| exchange.heals) {
                    found.remove(refused);
                }
                found.push(at);
            }
        }
        Self { cassette, by_question, state: Mutex::default() }
    }

    /// What was asked for and is not in it, each told once.
    pub fn missing(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).missing.clone()
    }

    /// The next answer to this; the last one again and again.
    fn next(&self, upstream: &str, question: Question) -> Result<&Exchange, String> {
        let key = (upstream.to_owned(), question);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.by_question.get(&key) {
            let count = state.asked.entry(key).or_insert(0);
            let at = found.get(*count).or(found.last());
            *count += 1;
            if let Some(exchange) = at.and_then(|at| self.cassette.exchanges.get(*at)) {
                return Ok(exchange);
            }
            return Err(String::new());
        }
        let known = self.by_question.keys().filter(|(of, _)| of == upstream).map(|(_, question)| question);
        let early = self.cassette.early.as_ref().map(|why| format!("; the recording ended early: {why}"));
        let words = nearest(&key.1, known) + &early.unwrap_or_default();
        if !state.missing.contains(&words) {
            state.missing.push(words.clone());
        }
        Err(words)
    }
}

fn question_of(exchange: &Exchange) -> Option<Question> {
    let asked = &exchange.request;
    let body = asked.body.as_ref().map(|body| body.bytes().unwrap_or_default());
    Some(Question::new(&asked.method, &Url::parse(&asked.url).ok()?, asked.headers.clone(), body.as_deref()))
}

/// Answers one upstream's requests.
pub struct Player {
    deck: Arc<Deck>,
    upstream: String,
    /// Query parameters that hold credentials: links that were recorded may echo them.
    credential_names: Vec<String>,
    /// Headers that the rules send with every request.
    header_names: Vec<String>,
}

impl Player {
    /// For this upstream.
    pub fn new(deck: Arc<Deck>, upstream: &Upstream) -> Self {
        let credential_names = credential_names(&upstream.auth);
        Self { deck, upstream: upstream.name.clone(), credential_names, header_names: header_names(upstream) }
    }

    fn answer(&self, request: &Outgoing) -> Result<Response, TransportError> {
        let url = Url::parse(&without_named_secrets(&strip_query(request.url.as_str(), &self.credential_names)));
        let url = url.unwrap_or_else(|_never| request.url.clone());
        let headers = named_headers(&request.headers, &self.header_names, str::to_owned);
        let question = Question::new(request.method.as_str(), &url, headers, request.body.as_deref());
        let exchange = self.deck.next(&self.upstream, question).map_err(TransportError::NotRecorded)?;
        let Some(answer) = &exchange.answer else {
            let nothing = || TransportError::NotRecorded("neither an answer nor a failure was recorded".to_owned());
            return Err(exchange.failed.as_ref().map_or_else(nothing, super::tape::Failed::error));
        };
        let body = answer.body.as_ref().map_or_else(|| Ok(bytes::Bytes::new()), super::tape::Body::bytes);
        let body = body.map_err(|why| TransportError::NotRecorded(format!("the body was left out: {why}")))?;
        let starts = record_starts(&body, request.records.as_ref().filter(|_| !answer.cut_down.is_empty()));
        let cut_down = answer.cut_down.iter().filter_map(|at| starts.get(*at).copied()).collect();
        Ok(Response { status: answer.status, headers: answer.header_map(), body, cut_down, rest: None })
    }
}

impl Transport for Player {
    fn exchange(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(std::future::ready(self.answer(&request)))
    }
}

/// The upstream as it is asked by a cassette: nobody signs in, nothing is signed, no file is read.
pub fn offline(upstream: &Upstream) -> Upstream {
    Upstream { auth: Auth::None, tls: None, ..upstream.clone() }
}
