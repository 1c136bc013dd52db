//! Owns: one login: the request out of rules, and the token in its answer.
//!
//! Must not know: which tokens are there, when they are replaced.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, SET_COOKIE};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded::Serializer;

use crate::clock::Clock;
use crate::record::{Json, Path};
use crate::rules::{Lifetime, Session as Rules, Timeouts, TokenFrom, Upstream};
use crate::upstream::classify::{Pace, Verdict, classify};
use crate::upstream::keeping::LOCK_MAX;
use crate::upstream::learn::learn;
use crate::upstream::meter::Exchange;
use crate::upstream::oauth::Granted;
use crate::upstream::point::scalar_text;
use crate::upstream::purse::{Purse, ROOM_MAX, wait_for_room};
use crate::upstream::ratelimit::{EPOCH_MS_MIN, EPOCH_S_MIN};
use crate::upstream::state::State;
use crate::upstream::{
    Built, Failure, FailureKind, Holes, Meter, Outgoing, Response, Safety, Secrets, Transport, TransportError, backoff,
    build_request, check_url, path_below, retry_after, words,
};

/// A login is tried so often before the call fails.
const ATTEMPTS_MAX: u32 = 3;
/// A wait between two of them is borne up to this; everything waits for a login.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Of one attempt, from beginning to end.
const TOTAL: Duration = Duration::from_secs(30);
/// Of what an answer tells of a token's end, in words for people.
const END_CHARS_MAX: usize = 40;
const BODY_BYTES_MAX: u64 = 1 << 20;

// Other processes wait for their turn until a login is over.
const _: () = {
    let attempts = TOTAL.as_secs() * ATTEMPTS_MAX as u64;
    let waits = WAIT_MAX.as_secs() * (ATTEMPTS_MAX as u64 - 1);
    assert!(attempts + waits + ROOM_MAX.as_secs() < LOCK_MAX.as_secs());
};

/// The way to the upstream, as its client has it.
#[derive(Clone)]
pub struct Way {
    /// Headers of every request.
    pub headers: HeaderMap,
    /// The secrets that the rules name, and tokens that must not be shown.
    pub secrets: Secrets,
    /// How it is sent.
    pub transport: Arc<dyn Transport>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Budgets, which a login is debited to as well.
    pub state: Arc<Mutex<State>>,
    /// What is held of them.
    pub purse: Option<Arc<Purse>>,
    /// What counts requests.
    pub meter: Arc<Meter>,
    /// How many were sent.
    pub sent: Arc<AtomicU64>,
}

/// The login of one upstream.
pub(super) struct Login {
    /// Whose it is.
    pub upstream: Arc<Upstream>,
    /// What is sent, and what comes back.
    pub rules: Rules,
    /// The way there.
    pub way: Way,
}

/// What became of a login.
pub(super) enum Answer {
    /// A token.
    Granted(Granted),
    /// It was refused: a line for people.
    Refused(String),
    /// No answer, or none that could be understood: it may be tried again later.
    Failed(Failure),
}

impl Login {
    /// Tells credentials apart and tells nothing about them. Marked, so that no other kind takes its tokens for its own.
    pub fn seed(&self) -> Result<String, Failure> {
        let sent = self.outgoing(&self.request()?)?;
        let mut headers: Vec<(&[u8], &[u8])> =
            sent.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect();
        headers.sort_unstable();
        let line = [sent.method.as_str().as_bytes(), sent.url.as_str().as_bytes()];
        let headers = headers.into_iter().flat_map(|(name, value)| [name, value]);
        let mut hash = Sha256::new_with_prefix(b"reconciled login\0");
        for part in line.into_iter().chain(headers).chain(sent.body.as_deref()) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(format!("session:{}", URL_SAFE_NO_PAD.encode(hash.finalize())))
    }

    fn request(&self) -> Result<Built, Failure> {
        build_request(&self.upstream.base_url, &self.way.secrets, &self.rules.login, &Holes::default())
    }

    /// Logs in. Tried again where nobody answered.
    pub async fn send(&self) -> Answer {
        let request = match self.request() {
            Ok(request) => request,
            Err(failure) => return Answer::Failed(failure),
        };
        let (mut attempts, mut waited) = (0, Duration::ZERO);
        loop {
            if let Err(failure) = self.wait_for_turn(&request, &mut waited).await {
                return Answer::Failed(failure);
            }
            let outgoing = match self.outgoing(&request) {
                Ok(outgoing) => outgoing,
                Err(failure) => return Answer::Failed(failure),
            };
            attempts += 1;
            let (outcome, throttled) = self.exchange(&request, outgoing, attempts > 1).await;
            let pace = match self.read(&request, &outcome, throttled.is_some(), attempts) {
                Ok(answer) => return answer,
                Err(pace) => pace,
            };
            let now = self.way.clock.now();
            let asked = outcome.as_ref().ok().and_then(|answer| retry_after::parse_retry_after(&answer.headers, now));
            let asked = asked.map(|asked| asked.min(retry_after::WAIT_MAX)).or(throttled);
            let random = self.way.clock.random();
            let wait = asked.unwrap_or_else(|| match pace {
                Pace::Throttled => backoff::throttled_wait(attempts, random),
                Pace::Transient => backoff::transient_wait(attempts, random),
            });
            if pace == Pace::Throttled {
                let steady = self.way.clock.monotonic();
                self.state().leave_alone(asked.unwrap_or_default(), wait, steady);
            }
            if attempts >= ATTEMPTS_MAX || wait > WAIT_MAX {
                let later = TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait));
                let failure = self.failed(FailureKind::NotDone, &request, &outcome, attempts);
                return Answer::Failed(Failure { retry_at: later, ..failure });
            }
            self.way.clock.sleep(wait).await;
        }
    }

    /// Waits until every budget that covers it lets it go, and debits them.
    async fn wait_for_turn(&self, request: &Built, waited: &mut Duration) -> Result<(), Failure> {
        let from = (self.way.state.as_ref(), self.way.purse.as_ref());
        let room = wait_for_room(from, (&self.upstream, request), self.way.clock.as_ref(), waited).await;
        room.map_err(|failure| Failure { words: format!("login: {failure}"), ..failure })
    }

    fn outgoing(&self, request: &Built) -> Result<Outgoing, Failure> {
        check_url(&self.upstream, &request.url)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in self.way.headers.iter().chain(&request.headers) {
            headers.insert(name, value.clone());
        }
        let (kind, body) = match (&self.rules.form, &request.body) {
            (Some(form), _) => {
                let mut body = Serializer::new(String::new());
                for (name, template) in form {
                    let filled = self.way.secrets.fill(template, &Holes::default(), &|text| Ok(text.to_owned()))?;
                    body.append_pair(name, &filled.text);
                }
                ("application/x-www-form-urlencoded", Some(body.finish()))
            }
            (None, Some(json)) => ("application/json", Some(json.to_string())),
            (None, None) => ("", None),
        };
        if body.is_some() {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        }
        Ok(Outgoing {
            method: request.method.clone(),
            url: request.url.clone(),
            headers,
            body: body.map(Bytes::from),
            timeouts: Timeouts { total: self.upstream.timeout.total.min(TOTAL), ..self.upstream.timeout },
            body_bytes_max: BODY_BYTES_MAX,
            records: None,
            streams: false,
            heals: false,
            tls: self.upstream.tls.clone(),
        })
    }

    /// One attempt; the second value is the wait of an exhausted limit.
    async fn exchange(
        &self,
        request: &Built,
        outgoing: Outgoing,
        repeats: bool,
    ) -> (Result<Response, TransportError>, Option<Duration>) {
        let sent_bytes = outgoing.body.as_ref().map_or(0, |body| body.len() as u64);
        self.way.sent.fetch_add(1, Ordering::Relaxed);
        let began = self.way.clock.monotonic();
        let outcome = self.way.transport.exchange(outgoing).await;
        let took = self.way.clock.monotonic().saturating_sub(began);
        let path = path_below(&self.upstream.base_url, &request.url);
        let cost_nano_usd = self.state().budgets.cost(request.method.as_str(), path);
        let exchange = Exchange { repeats, sent_bytes, cost_nano_usd, took, outcome: &outcome };
        self.way.meter.count(self.way.clock.now(), &exchange);
        let answer = outcome.as_ref().ok();
        let throttled = answer.and_then(|answer| {
            learn((&self.upstream, &self.way.state), request, answer, (began, self.way.clock.as_ref()))
        });
        (outcome, throttled)
    }

    /// What an attempt came to, or how the next one is paced.
    fn read(
        &self,
        request: &Built,
        outcome: &Result<Response, TransportError>,
        throttled: bool,
        attempts: u32,
    ) -> Result<Answer, Pace> {
        let rules = &self.upstream.errors;
        let verdict = classify(outcome.as_ref(), Safety::Read, false, throttled, rules);
        let beside_body = !matches!(self.rules.token, TokenFrom::Body(_));
        match (verdict, outcome) {
            (Verdict::Retry { pace, .. }, _) => Err(pace),
            (Verdict::Success, Ok(response)) => Ok(self.granted(request, response)),
            // A page for people, or the way on to one: what comes beside it may be the token.
            (Verdict::Fail(FailureKind::BadAnswer), Ok(response)) if beside_body && response.status < 400 => {
                Ok(self.granted(request, response))
            }
            (Verdict::Fail(kind), Ok(_)) if is_refusal(kind) => {
                Ok(Answer::Refused(self.failed(kind, request, outcome, attempts).words))
            }
            (Verdict::Fail(kind), _) => Ok(Answer::Failed(self.failed(kind, request, outcome, attempts))),
            (Verdict::Success, Err(_)) => {
                Ok(Answer::Failed(self.failed(FailureKind::BadAnswer, request, outcome, attempts)))
            }
        }
    }

    fn granted(&self, request: &Built, response: &Response) -> Answer {
        let json = Json::parse(&response.body).ok();
        let bad = |what: String| {
            let words = words::describe(&self.upstream.base_url, request, Some(response.status), &what, 1);
            let words = self.way.secrets.mask(&format!("login: {words}"));
            let status = Some(response.status);
            Answer::Failed(Failure { status, ..Failure::new(FailureKind::BadAnswer, words) })
        };
        let told = |path: &Path| scalar_text(path.get(json.as_ref()?)?).map(Cow::into_owned);
        let (token, cookie_s) = match &self.rules.token {
            TokenFrom::Body(path) => (told(path), None),
            TokenFrom::Header(name) => {
                let value = response.headers.get(name).and_then(|value| value.to_str().ok());
                (value.map(|value| value.trim().to_owned()), None)
            }
            TokenFrom::Cookie(name) => cookie(&response.headers, name),
        };
        let Some(token) = token.filter(|token| !token.is_empty() && token.chars().all(|c| !c.is_control())) else {
            let place = match &self.rules.token {
                TokenFrom::Body(path) => format!("at {path}"),
                TokenFrom::Header(name) => format!("in the header {name}"),
                TokenFrom::Cookie(name) => format!("in a cookie {name}"),
            };
            return bad(format!("no token {place} of the answer; is `token` right?"));
        };
        let access = SecretString::from(token);
        self.way.secrets.hide(access.clone());
        let expires_in = match &self.rules.lifetime {
            Lifetime::Open => cookie_s,
            Lifetime::Fixed(lifetime) => i64::try_from(lifetime.as_secs()).ok(),
            Lifetime::Told(path) => {
                let text = told(path);
                match text.as_deref().and_then(|text| seconds_from(text, self.way.clock.now())) {
                    Some(seconds) if seconds > 0 => Some(seconds),
                    // A token that has ended would be replaced for every request.
                    Some(_) => {
                        let text: String = text.unwrap_or_default().chars().take(END_CHARS_MAX).collect();
                        return bad(format!(
                            "the token has ended already by {path} of the answer ({text}); where that means never, leave `expires` \
                             out or write `expires_in`"
                        ));
                    }
                    None => return bad(format!("no time at {path} of the answer; is `expires` right?")),
                }
            }
        };
        Answer::Granted(Granted { access, refresh: None, expires_in, scope: None })
    }

    fn failed(
        &self,
        kind: FailureKind,
        request: &Built,
        outcome: &Result<Response, TransportError>,
        attempts: u32,
    ) -> Failure {
        let (status, why) = words::reason(kind, request, outcome);
        // Masked before it is cut, so that no part of a secret is left.
        let why = self.way.secrets.mask(&why);
        let words = words::describe(&self.upstream.base_url, request, status, &why, attempts);
        Failure { kind, status, words: self.way.secrets.mask(&format!("login: {words}")), retry_at: None }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.way.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What says that these credentials will not do, however often they are sent.
fn is_refusal(kind: FailureKind) -> bool {
    use FailureKind::{Auth, Fatal, Forbidden, Gone, Invalid, NotFound};
    matches!(kind, Auth | Forbidden | Invalid | NotFound | Gone | Fatal)
}

/// The value of a cookie that is set, and for how many seconds (RFC 6265, 4.1). The last one counts.
fn cookie(headers: &HeaderMap, name: &str) -> (Option<String>, Option<i64>) {
    let set = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut named = set.filter_map(|text| {
        let mut parts = text.split(';');
        let (found, value) = parts.next()?.split_once('=')?;
        let mut seconds = parts.filter_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().parse().ok())?
        });
        (found.trim() == name).then(|| (value.trim().to_owned(), seconds.next_back()))
    });
    match named.next_back() {
        Some((value, seconds)) if seconds.is_none_or(|seconds: i64| seconds > 0) => (Some(value), seconds),
        _ => (None, None),
    }
}

/// Seconds from now: as such, or until a time.
#[expect(clippy::cast_possible_truncation, reason = "checked to be within bounds; parts of a second do not count")]
fn seconds_from(text: &str, now: DateTime<Utc>) -> Option<i64> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text.trim()) {
        return Some((at.to_utc() - now).num_seconds());
    }
    let number: f64 = text.trim().parse().ok().filter(|number: &f64| (0.0..1e15).contains(number))?;
    Some(match number {
        number if number >= EPOCH_MS_MIN => (number / 1000.0) as i64 - now.timestamp(),
        number if number >= EPOCH_S_MIN => number as i64 - now.timestamp(),
        number => number as i64,
    })
}
