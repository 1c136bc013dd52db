//! Owns: one upstream's way out: budgets, concurrency, credentials, attempts; every request to the upstream passes here.
//!
//! Must not know: what requests are for. What an outcome means is decided in `classify`, waits in `backoff`, `retry_after`, `budget`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method};
use secrecy::SecretString;
use tokio::sync::Mutex as AsyncMutex;
use url::Url;

use super::account::Known;
use super::auth::Credentials;
use super::call::{Call, Next, REDIRECTS_MAX, is_failing, is_throttling, redirected, refused_redirect};
use super::classify::{Pace, Verdict, classify};
use super::flow::{Exchanged, Flow};
use super::learn::learn;
use super::meter::{Exchange, Meter};
use super::purse::Purse;
use super::session::Way;
use super::state::{Room, State};
use super::totals::WaitFor;
use super::{
    Built, Failure, FailureKind, Holder, Holes, Keeper, Kept, Response, Safety, Secrets, Session, Tokens, Transport,
    TransportError, backoff, build_request, header, path_below, retry_after, words,
};
use crate::clock::Clock;
use crate::rules::{Auth, Request, Upstream};
use crate::spending::Spending;
use crate::vault::Vault;

/// The client of one upstream, shared by all its bindings.
pub struct Client {
    pub(super) upstream: Arc<Upstream>,
    pub(super) secrets: Secrets,
    pub(super) credentials: Credentials,
    pub(super) headers: HeaderMap,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) flow: Flow,
    /// Held by the one call that probes whether the upstream is back.
    pub(super) probing: AsyncMutex<()>,
    pub(super) state: Arc<Mutex<State>>,
    /// What it holds of budgets, where other processes are told of that.
    pub(super) purse: Option<Arc<Purse>>,
    sent: Arc<AtomicU64>,
    pub(super) meter: Arc<Meter>,
    /// The account that answered, once it was asked for.
    pub(super) account: AsyncMutex<Option<Known>>,
    /// Whose tokens go into requests, where tokens do.
    pub(super) holder: Option<Holder>,
}

/// Tells of an answer that it ends too early, and how.
pub type CutShort<'a> = dyn FnMut(&Response) -> Option<String> + Send + 'a;

/// How an attempt is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// It probes whether the upstream is back.
    pub probe: bool,
    /// It repeats an earlier attempt.
    pub repeats: bool,
    /// It repeats one that was refused, with other credentials.
    pub heals: bool,
    /// When budgets were debited for it; where that is not known, nothing is given back of what it took less.
    pub debited: Duration,
    /// It may take no longer, whatever other requests may.
    pub within: Option<Duration>,
}

/// What came of an attempt.
pub(super) struct Attempted {
    /// The answer.
    pub outcome: Result<Response, TransportError>,
    /// The wait of an exhausted limit.
    pub throttled: Option<Duration>,
    /// What it was sent with.
    tokens: Option<Arc<Tokens>>,
}

/// What a call that succeeded came to.
struct Answered {
    response: Response,
    /// An earlier attempt may have been done.
    repeated: bool,
    /// Where the address has moved to for good.
    moved: Option<Url>,
}

impl Client {
    /// Resolves the secrets of credentials, headers and health probe; one that is missing is a [`FailureKind::Fatal`].
    pub fn new(
        upstream: Arc<Upstream>,
        lookup: &dyn Fn(&str) -> Option<SecretString>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let mut secrets = Secrets::default();
        secrets.learn(upstream.headers.iter().map(|(_, template)| template), lookup)?;
        let credentials = Credentials::resolve(&upstream.auth, &mut secrets, lookup)?;
        let probes = upstream.check.iter().map(|check| &check.request);
        for request in probes.chain(upstream.health.iter().map(|health| &health.request)) {
            secrets.learn(templates(request), lookup)?;
        }
        let mut headers = HeaderMap::new();
        for (name, template) in &upstream.headers {
            let filled = secrets.fill(template, &Holes::default(), &|text| Ok(text.to_owned()))?;
            let (name, value) = header(name, &filled)?;
            headers.insert(name, value);
        }
        let state = State::new(&upstream.budgets, upstream.breaker);
        let flow = Flow::new(upstream.concurrency);
        let (state, probing) = (Arc::new(Mutex::new(state)), AsyncMutex::new(()));
        let (sent, meter): (Arc<AtomicU64>, Arc<Meter>) = (Arc::default(), Arc::default());
        let holder = match &upstream.auth {
            Auth::Tokens(rules) => {
                let (transport, clock) = (Arc::clone(&transport), Arc::clone(&clock));
                Some(Holder::OAuth(Keeper::new(&upstream, rules, secrets.clone(), transport, clock, &state)))
            }
            Auth::Session(rules) => {
                let way = Way {
                    headers: headers.clone(),
                    secrets: secrets.clone(),
                    transport: Arc::clone(&transport),
                    clock: Arc::clone(&clock),
                    state: Arc::clone(&state),
                    purse: None,
                    meter: Arc::clone(&meter),
                    sent: Arc::clone(&sent),
                };
                Some(Holder::Session(Session::new(&upstream, rules, way)))
            }
            Auth::None
            | Auth::ApiKey { .. }
            | Auth::Basic { .. }
            | Auth::Bearer { .. }
            | Auth::Hmac(_)
            | Auth::Aws(_) => None,
        };
        Ok(Self {
            upstream,
            secrets,
            credentials,
            headers,
            transport,
            clock,
            flow,
            probing,
            state,
            purse: None,
            sent,
            meter,
            account: AsyncMutex::default(),
            holder,
        })
    }

    /// Keeps tokens in a vault, where the upstream has tokens.
    pub fn keeping_tokens_in(mut self, vault: &Arc<Vault>) -> Self {
        self.holder = self.holder.map(|holder| holder.keeping_in(Arc::clone(vault)));
        self
    }

    /// The tokens of this upstream, where it has any.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// Those of OAuth.
    pub fn keeper(&self) -> Option<&Keeper> {
        match &self.holder {
            Some(Holder::OAuth(keeper)) => Some(keeper),
            Some(Holder::Session(_)) | None => None,
        }
    }

    /// Resolves the secrets that requests of bindings name, too.
    pub fn knowing<'a>(
        mut self,
        requests: impl IntoIterator<Item = &'a Request>,
        lookup: &dyn Fn(&str) -> Option<SecretString>,
    ) -> Result<Self, Failure> {
        self.secrets.learn(requests.into_iter().flat_map(templates), lookup)?;
        Ok(self)
    }

    /// Counts on a meter that outlives this client.
    pub fn metered_by(mut self, meter: Arc<Meter>) -> Self {
        self.holder = self.holder.map(|holder| match holder {
            Holder::Session(session) => Holder::Session(session.metered_by(&meter)),
            oauth @ Holder::OAuth(_) => oauth,
        });
        self.meter = meter;
        self
    }

    /// Spends of budgets what other processes leave, and tells them before.
    pub fn spending_from(mut self, file: &Arc<Spending>) -> Self {
        self.purse = Purse::of(&self.upstream, &self.state, file, &self.clock).map(Arc::new);
        self.holder = self.holder.map(|holder| match holder {
            Holder::Session(session) => Holder::Session(session.spending_from(self.purse.as_ref())),
            Holder::OAuth(keeper) => Holder::OAuth(keeper.spending_from(self.purse.as_ref())),
        });
        self
    }

    /// Leaves to other processes what it set aside of budgets and does not need for now.
    pub async fn give_back(&self) {
        if let Some(purse) = &self.purse {
            purse.give_back().await;
        }
    }

    /// What counts the requests.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Whose client this is.
    #[cfg(test)]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// How many requests were sent so far, also those that failed.
    pub fn requests_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The wall clock, as it goes into observations.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A request of the rules below this upstream's base URL.
    pub fn build(&self, request: &Request, holes: &Holes<'_>) -> Result<Built, Failure> {
        build_request(&self.upstream.base_url, &self.secrets, request, holes)
    }

    /// What the next process should know of this upstream; kept by the caller.
    pub fn kept(&self) -> Kept {
        let reauth = self.holder.as_ref().and_then(Holder::reauth);
        Kept { reauth, ..self.state().kept(self.clock.now(), self.clock.monotonic()) }
    }

    /// Goes on as an earlier process left off. Later this client knows better, but for what another one was asked meanwhile.
    pub fn remember(&self, kept: &Kept) {
        self.state().remember(kept, self.clock.now(), self.clock.monotonic());
        if let Some(holder) = &self.holder {
            holder.remember(kept.reauth.as_deref());
        }
    }

    /// How much may be asked at the moment; `kept` is what an earlier process left, which counts until it is taken over.
    pub fn room(&self, kept: &Kept) -> Room {
        if let Some(purse) = &self.purse {
            purse.look();
        }
        let room = self.state().room(&self.upstream.budgets, kept, self.clock.now(), self.clock.monotonic());
        Room { at_once: self.flow.limit(), ..room }
    }

    /// How long until it may be asked more, as far as is known: by its budgets and its own word.
    pub fn wait_for_room(&self) -> Duration {
        let (state, now) = (self.state(), self.clock.monotonic());
        let waits = state.budgets.uses(now).into_iter().map(|budget| budget.wait);
        waits.max().unwrap_or_default().max(state.budgets.gate(now))
    }

    /// The resolved secrets, to fill templates with.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// See [`Credentials::strip`].
    pub fn without_credentials(&self, url: &str) -> String {
        self.credentials.strip(url)
    }

    /// Sends a request within budgets and concurrency, with credentials, and again where that is safe and may help.
    pub async fn send(&self, request: Built, safety: Safety) -> Result<Response, Failure> {
        self.send_noting(request, safety).await.map(|(response, _repeated)| response)
    }

    /// The same; the second value says that an earlier attempt may have been done already, so that the answer may show
    /// what became of the record since.
    pub async fn send_noting(&self, request: Built, safety: Safety) -> Result<(Response, bool), Failure> {
        let answered = self.call(request, safety, &mut |_| None).await?;
        Ok((answered.response, answered.repeated))
    }

    /// As [`Client::send`], for a read whose answer is JSON: one that `cut_short` finds to end too early is asked for again,
    /// as after a connection that broke.
    pub async fn read(&self, request: Built, cut_short: &mut CutShort<'_>) -> Result<Response, Failure> {
        self.call(request, Safety::Read, cut_short).await.map(|answered| answered.response)
    }

    /// The same; the second value says where the address has moved to for good: every step there was a 301 or 308.
    pub async fn read_following(
        &self,
        request: Built,
        cut_short: &mut CutShort<'_>,
    ) -> Result<(Response, Option<Url>), Failure> {
        self.call(request, Safety::Read, cut_short).await.map(|answered| (answered.response, answered.moved))
    }

    async fn call(
        &self,
        mut request: Built,
        safety: Safety,
        cut_short: &mut CutShort<'_>,
    ) -> Result<Answered, Failure> {
        let Some(_place) = self.flow.enter().await else {
            return Err(Failure::new(FailureKind::Fatal, "the client is closed"));
        };
        let (mut call, mut heals) = (Call::default(), false);
        loop {
            let admitted = self.admit(&request, safety, &call).await?;
            self.log_in_before(&request, &call, safety).await?;
            self.wait_for_turn(&request, &mut call).await?;
            let debited = self.clock.monotonic();
            let (probe, repeats) = (admitted.is_some(), call.attempts > 0);
            let manner = Manner { probe, repeats, heals: std::mem::take(&mut heals), debited, within: None };
            let sent = self.attempt(&request, manner).await;
            let Attempted { outcome, throttled, tokens } =
                sent.map_err(|failure| Failure { kind: call.settle(failure.kind, safety), ..failure })?;
            drop(admitted);
            call.attempts += 1;
            if let Ok(response) = &outcome
                && let Some(url) = redirected(&request, response, safety)
            {
                call.redirects += 1;
                call.strayed |= !matches!(response.status, 301 | 308);
                if call.redirects > REDIRECTS_MAX || url.origin() != request.url.origin() {
                    return Err(self.bad_answer(&request, response, &refused_redirect(&url, call.redirects)));
                }
                request.url = url;
                call.attempts -= 1;
                continue;
            }
            let rules = &self.upstream.errors;
            let mut verdict = classify(outcome.as_ref(), safety, request.conditional, throttled.is_some(), rules);
            let mut cut = None;
            if let (Verdict::Success, Ok(response)) = (verdict, &outcome) {
                cut = cut_short(response);
                if cut.is_some() {
                    verdict = Verdict::Retry { pace: Pace::Transient, spent: FailureKind::BadAnswer };
                }
            }
            if verdict == Verdict::Fail(FailureKind::Auth)
                && let Some(refused) = &tokens
                && self.have_others(refused, safety, &mut call).await?
            {
                heals = true;
                continue;
            }
            if let (Verdict::Success, Some(holder), Some(tokens)) = (verdict, &self.holder, &tokens) {
                holder.were_taken(tokens);
            }
            match self.decide_next(verdict, &outcome, safety, throttled, &mut call) {
                Next::Return => match outcome {
                    Ok(response) => {
                        let at = request.url.clone();
                        if safety == Safety::Read && request.method == Method::GET && !request.bare {
                            self.state().last_read = Some(request);
                        }
                        let moved = (call.redirects > 0 && !call.strayed).then_some(at);
                        return Ok(Answered { response, repeated: call.ambiguous, moved });
                    }
                    Err(error) => return Err(self.failure(FailureKind::BadAnswer, &request, &Err(error), &call, None)),
                },
                Next::Fail(kind, retry_at) => {
                    return Err(match (&outcome, cut) {
                        (Ok(response), Some(what)) => self.bad_answer_after(&request, response, &what, call.attempts),
                        _ => self.failure(kind, &request, &outcome, &call, retry_at),
                    });
                }
                Next::Wait(wait) => {
                    if call.ambiguous && call.met.is_none() {
                        call.met = Some(self.failure(FailureKind::Unknown, &request, &outcome, &call, None).words);
                    }
                    self.pause((WaitFor::Retry, wait), &request, &mut call).await?;
                }
            }
        }
    }

    /// Whether there are other tokens than those that were refused: asked for once a call. A refusal of that kind did nothing.
    async fn have_others(&self, refused: &Tokens, safety: Safety, call: &mut Call) -> Result<bool, Failure> {
        let Some(holder) = self.holder.as_ref().filter(|_| !std::mem::replace(&mut call.renewed, true)) else {
            return Ok(false);
        };
        let others = holder.others_than(refused).await;
        let others = others.map_err(|failure| Failure { kind: call.settle(failure.kind, safety), ..failure })?;
        let differ = !others.are_the_same(refused);
        call.attempts -= u32::from(differ);
        Ok(differ)
    }

    /// A login, or a token, that is due is debited to budgets before the request that it is for: after it, it would wait for the room that the
    /// request holds.
    async fn log_in_before(&self, request: &Built, call: &Call, safety: Safety) -> Result<(), Failure> {
        let tokens = match &self.holder {
            Some(Holder::Session(session)) => session.tokens().await,
            Some(Holder::OAuth(keeper)) if keeper.draws_on_budgets() && !request.bare => keeper.tokens().await,
            Some(Holder::OAuth(_)) | None => return Ok(()),
        };
        tokens.map(|_| ()).map_err(|failure| Failure { kind: call.settle(failure.kind, safety), ..failure })
    }

    /// Why a request is not sent (again), in words. Where it may have been done, what it met tells more.
    pub(super) fn not_sent(&self, request: &Built, why: &str, call: &Call) -> String {
        match &call.met {
            Some(met) => format!("{met}; not tried again: {why}"),
            None => words::describe(&self.upstream.base_url, request, None, why, call.attempts),
        }
    }

    /// One exchange, and what is learnt from it.
    pub(super) async fn attempt(
        &self,
        request: &Built,
        Manner { probe, repeats, heals, debited, within }: Manner,
    ) -> Result<Attempted, Failure> {
        let tokens = match &self.holder {
            Some(holder) if !request.bare => Some(holder.tokens().await?),
            Some(_) | None => None,
        };
        let mut outgoing = self.outgoing(request, tokens.as_deref())?;
        outgoing.timeouts.total = within.unwrap_or(outgoing.timeouts.total);
        outgoing.heals = heals;
        let sent_bytes = outgoing.body.as_ref().map_or(0, |body| body.len() as u64);
        let began = self.clock.monotonic();
        self.sent.fetch_add(1, Ordering::Relaxed);
        let outcome = self.exchange(request, outgoing).await;
        let took = self.clock.monotonic().saturating_sub(began);
        self.count(request, &outcome, (repeats, sent_bytes, took));
        // Where probes tell whether the upstream is up, other requests do not.
        if self.upstream.health.is_none() {
            let failed = is_failing(&outcome) || outcome.is_err();
            self.note_answer(request, if failed { Err(&outcome) } else { Ok(took) });
        }
        let learnt = (debited, self.clock.as_ref());
        let answer = outcome.as_ref().ok();
        let throttled = answer.and_then(|answer| learn((&self.upstream, &self.state), request, answer, learnt));
        let (failed, now, random) = (is_failing(&outcome), self.clock.monotonic(), self.clock.random());
        if let Some(at_once) = self.flow.learn(Exchanged { began, ended: now, throttled: is_throttling(&outcome) }) {
            tracing::debug!(upstream = self.upstream.name.as_str(), at_once, "requests at once");
        }
        let mut state = self.state();
        let before = state.breaker.open_for(now).is_some();
        state.breaker.note(probe, failed, now, random);
        if let Some(wait) = state.breaker.open_for(now).filter(|_| !before) {
            let (upstream, seconds) = (self.upstream.name.as_str(), wait.as_secs());
            tracing::warn!(upstream, seconds, "the upstream fails too often and is left alone");
        }
        drop(state);
        Ok(Attempted { outcome, throttled, tokens })
    }

    fn count(
        &self,
        request: &Built,
        outcome: &Result<Response, TransportError>,
        (repeats, sent_bytes, took): (bool, u64, Duration),
    ) {
        let path = path_below(&self.upstream.base_url, &request.url);
        let cost_nano_usd = self.state().budgets.cost(request.method.as_str(), path);
        self.meter.count(self.clock.now(), &Exchange { repeats, sent_bytes, cost_nano_usd, took, outcome });
    }

    /// What follows an attempt. Closes the gate where the upstream is throttling.
    fn decide_next(
        &self,
        verdict: Verdict,
        outcome: &Result<Response, TransportError>,
        safety: Safety,
        throttled: Option<Duration>,
        call: &mut Call,
    ) -> Next {
        let (pace, spent) = match verdict {
            Verdict::Success => {
                if call.attempts == 1 {
                    self.state().earn_retry();
                }
                return Next::Return;
            }
            // The same operation is still being worked on upstream: its outcome is not ours to guess.
            Verdict::Fail(FailureKind::Conflict) if call.ambiguous && safety == Safety::Idempotent => {
                return Next::Fail(FailureKind::Unknown, None);
            }
            Verdict::Fail(kind) => return Next::Fail(call.settle(kind, safety), None),
            Verdict::Retry { pace, spent } => (pace, spent),
        };
        call.ambiguous |= spent == FailureKind::Unknown;
        let random = self.clock.random();
        let asked = outcome.as_ref().ok().and_then(|r| retry_after::parse_retry_after(&r.headers, self.clock.now()));
        if let Some(asked) = asked.filter(|asked| *asked > super::WAIT_MAX) {
            let (upstream, hours) = (self.upstream.name.as_str(), asked.as_secs() / 3600);
            tracing::error!(
                upstream,
                hours,
                "the upstream asks to be left alone for more than a day; it is asked again in a day"
            );
            call.asked_too_much = Some(asked);
        }
        let asked = asked.map(|asked| asked.min(super::WAIT_MAX));
        let wait = match (asked.or(throttled), pace) {
            (Some(asked), _) => retry_after::with_jitter(asked, random),
            (None, Pace::Throttled) => backoff::throttled_wait(call.attempts, random),
            (None, Pace::Transient) => backoff::transient_wait(call.attempts, random),
        };
        let mut state = self.state();
        if pace == Pace::Throttled {
            state.leave_alone(asked.or(throttled).unwrap_or_default(), wait, self.clock.monotonic());
        }
        if let Some(open) = state.breaker.open_for(self.clock.monotonic()) {
            return Next::Fail(call.settle(spent, safety), self.at(open.max(wait)));
        }
        let timed_out = matches!(outcome, Err(TransportError::TimedOut(_)));
        if call.attempts >= self.upstream.retry.attempts.max(1) || !state.spend_retry(timed_out) {
            return Next::Fail(call.settle(spent, safety), self.at(wait));
        }
        Next::Wait(wait)
    }

    pub(super) fn failure(
        &self,
        kind: FailureKind,
        request: &Built,
        outcome: &Result<Response, TransportError>,
        call: &Call,
        retry_at: Option<DateTime<Utc>>,
    ) -> Failure {
        let (status, why) = words::reason(kind, request, outcome);
        let words = words::describe(&self.upstream.base_url, request, status, &self.secrets.mask(&why), call.attempts);
        Failure { kind, status, words: self.secrets.mask(&words), retry_at }
    }

    /// The failure for an answer that is not what the rules describe.
    pub fn bad_answer(&self, request: &Built, response: &Response, what: &str) -> Failure {
        self.bad_answer_after(request, response, what, 1)
    }

    fn bad_answer_after(&self, request: &Built, response: &Response, what: &str, attempts: u32) -> Failure {
        let why = format!("{what} ({})", words::appearance(response));
        let words = words::describe(&self.upstream.base_url, request, Some(response.status), &why, attempts);
        Failure {
            kind: FailureKind::BadAnswer,
            status: Some(response.status),
            words: self.secrets.mask(&words),
            retry_at: None,
        }
    }

    pub(super) fn at(&self, wait: Duration) -> Option<DateTime<Utc>> {
        self.clock.now().checked_add_signed(chrono::TimeDelta::from_std(wait).ok()?)
    }

    /// No code that holds the lock can panic half-way through a change.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn templates(request: &Request) -> impl Iterator<Item = &crate::rules::Template> {
    let rest = request.query.iter().chain(&request.headers).map(|(_, template)| template);
    std::iter::once(&request.path).chain(rest)
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("upstream", &self.upstream.name).finish_non_exhaustive()
    }
}
