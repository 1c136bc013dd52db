//! Owns: the network of a simulation: requests reach sandboxes, or do not; answers come back, or do not.
//!
//! Must not know: what requests mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use http::Request;
use serde_json::Value;

use crate::sandbox::{Deliver, Fault, Matcher, Sandbox};
use crate::store::SqliteStore;
use crate::upstream::{Outgoing, Response, Transport, TransportError};

use super::beside::Beside;
use super::bot::Bot;
use super::chance::Chance;
use super::hands::Hands;
use super::kin::REFERENCES;
use super::late::{self, LATE_MAX, Late};
use super::revived::Deleted;
use super::shown::Shown;
use super::steps::Steps;
use super::swarm::{Swarm, Trouble};
use super::world::{Deletes, FIELDS, Guarded, PEOPLE, Style, listed};

/// All upstreams, by host.
pub type Sandboxes = Arc<Mutex<BTreeMap<String, Sandbox>>>;

/// The transport of a simulation.
pub struct Net {
    /// The upstreams.
    pub sandboxes: Sandboxes,
    /// Time and crashes.
    pub steps: Arc<Steps>,
    /// Chance.
    pub chance: Chance,
    /// Chance for replicas that lag behind a delete.
    pub lag_chance: Chance,
    /// Who edits meanwhile.
    pub hands: Arc<Hands>,
    /// So many of a hundred exchanges go wrong.
    pub trouble_percent: AtomicU64,
    /// An upstream that is down for the rest of a pass, after so many more requests to it.
    pub outage: Mutex<Option<(String, u64)>>,
    /// So many of a hundred exchanges see an edit in the middle.
    pub edit_percent: AtomicU64,
    /// What happened, a line each.
    pub trace: Arc<Mutex<Vec<String>>>,
    /// When each upstream was last written to: its reads may lag behind for a while.
    pub written: Mutex<BTreeMap<String, u64>>,
    /// The upstreams' styles, by host.
    pub styles: BTreeMap<String, Style>,
    /// What no request may be, and one was.
    pub broken: Mutex<Vec<String>>,
    /// Writes that reached an upstream.
    pub writes: AtomicU64,
    /// Of these, single creates.
    pub creates: AtomicU64,
    /// Upstreams that answered a listing in this pass; where it is over single records, also the records that were read.
    pub heard: Mutex<BTreeSet<String>>,
    /// The pass is over single records.
    pub is_targeted: AtomicBool,
    /// An upstream that shows fields without a value as null. One that leaves them out does not show that a backup has taken
    /// a value away.
    pub shows_nulls: Option<String>,
    /// When we last wrote to a record, by host and path, and what it was before: a replica that lags shows that.
    pub former: Mutex<BTreeMap<(String, String), (u64, Value)>>,
    /// What we deleted, and were told so.
    pub deleted: Deleted,
    /// A machine that takes a field back.
    pub bot: Option<Bot>,
    /// Which faults there are.
    pub swarm: Swarm,
    /// What was shown.
    pub shown: Shown,
    /// What arrives when it has been given up.
    pub late: Late,
    /// Passes over single records while another one lists.
    pub beside: Beside,
}

/// How long listings may lag behind writes, in microseconds; the rules allow for a little more.
const LAG_MAX: u64 = 480_000_000;
/// So many of a hundred listings that may lag behind a delete of ours do.
const LAGS_BEHIND_A_DELETE_PERCENT: u64 = 60;
/// Their own numbers of a seed.
pub const LAG_FORK: u64 = 0x1A6_5EED;

impl Net {
    /// A line for the trace.
    pub fn say(&self, line: String) {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// No machine works there that a late write could not be told from.
    fn may_be_late(&self, request: &Outgoing) -> bool {
        let style = request.url.host_str().and_then(|host| self.styles.get(host));
        style.is_some_and(|style| self.is_without_bot(style) && late::is_told(style, request))
    }

    /// What was given up reaches its upstream now.
    pub fn let_late_ones_arrive(&self) {
        for (at, request) in self.late.arrived(self.steps.now_us()) {
            let host = request.url.host_str().unwrap_or_default().to_owned();
            let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
            let (Some(sandbox), Ok(built)) = (sandboxes.get_mut(&host), as_received(&request)) else { continue };
            self.note_former(&host, sandbox, &request);
            let ago = i64::try_from(self.steps.now_us().saturating_sub(at)).unwrap_or(0);
            let status = sandbox.handle(self.hands.now() - TimeDelta::microseconds(ago), &built).response.status();
            self.hands.settle_there(&host, sandbox);
            self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(host, at);
            self.say(format!("  {} {}: arrives late → {status}", request.method, request.url));
        }
    }

    async fn through(&self, request: Outgoing) -> Result<Response, TransportError> {
        self.steps.may_die().await;
        let line = format!("{} {}", request.method, request.url);
        self.judge_moment(&request);
        self.steps.sleep(Duration::from_millis(1 + self.chance.below(200))).await;
        let trouble = self.chance.percent(self.trouble_percent.load(Ordering::Acquire));
        let trouble = trouble.then(|| self.chance.one(self.swarm.troubles()).copied()).flatten();
        let trouble = trouble.or_else(|| self.lags_behind_a_delete(&request).then_some(Trouble::Stale));
        match trouble {
            Some(Trouble::NotSent) => {
                self.say(format!("  {line}: not sent"));
                return Err(TransportError::NotSent("the simulation says so".into()));
            }
            Some(Trouble::LostRequest | Trouble::Late) => {
                if trouble == Some(Trouble::Late) && self.may_be_late(&request) {
                    self.judge(&request);
                    self.late.leave(self.steps.now_us() + self.chance.below(LATE_MAX), &request);
                }
                self.steps.sleep(request.timeouts.idle).await;
                self.say(format!("  {line}: lost on the way there"));
                return Err(TransportError::TimedOut("the simulation says so".into()));
            }
            _ => {}
        }
        self.let_late_ones_arrive();
        if self.is_down(&request) {
            self.say(format!("  {line}: down"));
            return Err(TransportError::Broken("the upstream is down".into()));
        }
        self.judge(&request);
        let answer = self.at_the_sandbox(&request, trouble);
        if let Some(response) = answer.as_ref().ok().filter(|response| response.status < 400) {
            self.note_heard(&request);
            let host = request.url.host_str().unwrap_or_default();
            self.shown.note(host, &request, &serde_json::from_slice(&response.body).unwrap_or_default());
        }
        self.steps.may_die().await;
        self.steps.sleep(Duration::from_millis(1 + self.chance.below(200))).await;
        if let Some(long) = listed(request.url.path()).and_then(|_| self.beside.slowness()) {
            self.steps.sleep(long).await;
        }
        if self.chance.percent(self.edit_percent.load(Ordering::Acquire)) {
            self.hands.edit(&self.sandboxes, false);
        }
        let shown = match &answer {
            Ok(response) => response.status.to_string(),
            Err(error) => error.to_string(),
        };
        let sent = request.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned()).unwrap_or_default();
        self.say(format!("  {line} {sent} → {shown}{}", trouble.map(|one| format!(" ({one:?})")).unwrap_or_default()));
        answer
    }

    fn is_down(&self, request: &Outgoing) -> bool {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *outage {
            Some((host, left)) if request.url.host_str() == Some(host) => {
                *left = left.saturating_sub(1);
                *left == 0
            }
            Some(_) | None => false,
        }
    }

    fn note_heard(&self, request: &Outgoing) {
        let Some(host) = request.url.host_str().filter(|_| request.method == http::Method::GET) else { return };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if listed(request.url.path()).is_some() {
            heard.insert(host.to_owned());
            return;
        }
        self.beside.hears(host, request.url.path());
        if self.is_targeted.load(Ordering::Acquire) {
            heard.insert(format!("{host}{}", request.url.path()));
        }
    }

    /// What webhooks that wait show a pass may know without asking.
    pub fn note_hooks(&self, store: &SqliteStore) {
        let waiting = "SELECT upstream || '.example.com', remote_id, CAST(record AS TEXT) FROM sync_hook \
                       WHERE state = 'waiting' AND record IS NOT NULL";
        for row in store.rows_of(waiting).unwrap_or_default() {
            let [host, id, record] = row.as_slice() else { continue };
            self.shown.note_hook(host, &serde_json::from_str(record).unwrap_or_default());
            self.beside.hears(host, &format!("{PEOPLE}/{id}"));
            if self.is_targeted.load(Ordering::Acquire) {
                let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.insert(format!("{host}{PEOPLE}/{id}"));
            }
        }
    }

    /// Whether a write may be sent now: its intent says so already, for a crash may be next (I15), and what stands there was
    /// read in this pass (the barrier; a create of unknown outcome is repeated before).
    fn judge_moment(&self, request: &Outgoing) {
        if request.method == http::Method::GET {
            return;
        }
        let mut wrong = Vec::new();
        let marked = self.hands.disk.store().rows_of("SELECT key FROM sync_intent WHERE state <> 'prepared'");
        if marked.is_ok_and(|marked| marked.is_empty()) {
            wrong.push("I15: no write is marked as sent");
        }
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, store) = (request.url.path(), self.hands.disk.store());
        let by_pass = |host: &str| heard.contains(host) || heard.contains(&format!("{host}{path}"));
        let is_repeat = request.headers.contains_key(http::header::IF_NONE_MATCH);
        let is_heard = |host: &str| self.beside.may_write(&store, (host, path), by_pass(host), is_repeat);
        if request.method != http::Method::POST && request.url.host_str().is_some_and(|host| !is_heard(host)) {
            wrong.push("barrier: neither a listing nor the record was read");
        }
        let told = wrong.into_iter().map(|words| format!("{words}: {} {}", request.method, request.url));
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
    }

    /// Whether a request may be sent at all: a write carries what it was decided on (I4), and nothing that is only read (I9).
    fn judge(&self, request: &Outgoing) {
        let Some(style) = request.url.host_str().and_then(|host| self.styles.get(host)) else { return };
        let body: Value = request.body.as_ref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let items = body["inputs"].as_array().cloned().unwrap_or_else(|| vec![body]);
        let mut wrong = Vec::new();
        let changes = matches!(request.method, http::Method::PATCH | http::Method::DELETE);
        if changes && style.guarded == Guarded::Header && !request.headers.contains_key(http::header::IF_MATCH) {
            wrong.push("I4: no If-Match");
        }
        let updates = items.iter().filter(|item| item.get("id").is_some() || request.method == http::Method::PATCH);
        if style.guarded == Guarded::Body && updates.into_iter().any(|item| item.get("etag").is_none()) {
            wrong.push("I4: no version in the body");
        }
        let strangers =
            self.hands.kin.as_ref().map(|kin| kin.strangers(&format!("{}.example.com", style.name), &items));
        if strangers.is_some_and(|ids| !ids.is_empty()) {
            wrong.push("s55: it refers to what is not there");
        }
        let told: Vec<String> = if style.whole || !self.is_calm(style) {
            Vec::new()
        } else {
            let sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
            let there = request.url.host_str().and_then(|host| sandboxes.get(host)).map(|sandbox| sandbox.all(PEOPLE));
            self.shown.beside_the_point(style, request, &items, &there.unwrap_or_default())
        };
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        if style.pulls_rank && !style.whole && items.iter().any(|item| item.get("rank").is_some()) {
            wrong.push("I9: a field that is only read");
        }
        let told = wrong.into_iter().map(|words| format!("{words}: {} {} {items:?}", request.method, request.url));
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
    }

    /// Nobody but us and people with new values works there.
    fn is_calm(&self, style: &Style) -> bool {
        self.shows_nulls.is_none() && self.is_without_bot(style)
    }

    fn is_without_bot(&self, style: &Style) -> bool {
        let host = format!("{}.example.com", style.name);
        self.bot.as_ref().is_none_or(|bot| bot.host() != host)
    }

    /// Listings come from an index or a replica; a point read shows what was written.
    fn may_lag(&self, host: &str, method: &http::Method, path: &str) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let recently = |at: &u64| self.is_recent(*at);
        let lags = *method == http::Method::GET && listed(path).is_some() && written.get(host).is_some_and(recently);
        lags && !self.hands.has_new_twin(host)
    }

    /// A listing where we deleted something a moment ago: it shows that, more often than not.
    fn lags_behind_a_delete(&self, request: &Outgoing) -> bool {
        let Some(host) = request.url.host_str() else { return false };
        // Where records refer to each other, a delete of ours clears references behind our back; other worlds ask this.
        if self.hands.kin.is_some() {
            return false;
        }
        // Nothing keeps a delete there from what such a listing does not show.
        if self.styles.get(host).is_none_or(|style| !style.get && style.guarded == Guarded::Body) {
            return false;
        }
        self.trouble_percent.load(Ordering::Acquire) > 0
            && self.may_lag(host, &request.method, request.url.path())
            && self.deleted.is_any_at(host)
            && self.lag_chance.percent(LAGS_BEHIND_A_DELETE_PERCENT)
    }

    /// A listing as a replica that lags has it, which has lost one linked record from its index besides: it shows what we
    /// wrote to as it was before, and what we deleted as if it were there. Where a point read exists, none of it proves
    /// anything (I3, I5, I16).
    fn as_a_replica_has_it(&self, host: &str, path: &str, sandbox: &Sandbox, body: Bytes) -> Bytes {
        let Some(style) = self.styles.get(host).filter(|style| style.get) else { return body };
        let Ok(mut page) = serde_json::from_slice::<Value>(&body) else { return body };
        let is_last = page["next"].is_null();
        let Some(records) = page["results"].as_array_mut() else { return body };
        if self.written.lock().unwrap_or_else(PoisonError::into_inner).get(host).is_some_and(|at| self.is_recent(*at)) {
            let former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
            for record in &mut *records {
                let place = format!("{path}/{}", record["id"].as_str().unwrap_or_default());
                if let Some((_, before)) = former.get(&(host.to_owned(), place)).filter(|(at, _)| self.is_recent(*at)) {
                    record.clone_from(before);
                }
            }
            if is_last && style.deletes == Deletes::Absence {
                let there = listed(path).map(|resource| sandbox.all(resource)).unwrap_or_default();
                let is_gone = |place: &str| {
                    let id = place.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'));
                    id.is_some_and(|id| there.iter().all(|record| record["id"] != id))
                };
                let ours = former
                    .iter()
                    .filter(|((at, place), (when, _))| at == host && self.is_recent(*when) && is_gone(place));
                records.extend(ours.map(|(_, (_, before))| before.clone()));
            }
        }
        if style.deletes == Deletes::Absence {
            let linked = format!(
                "SELECT remote_id FROM sync_link JOIN sync_binding USING (binding) WHERE upstream = '{}' AND state = 0",
                style.name
            );
            let linked: Vec<String> =
                self.hands.disk.store().rows_of(&linked).unwrap_or_default().into_iter().flatten().collect();
            let is_linked = |record: &Value| record["id"].as_str().is_some_and(|id| linked.iter().any(|one| one == id));
            if let Some(lost) = records.iter().rposition(is_linked) {
                records.remove(lost);
            }
        }
        page.to_string().into()
    }

    fn is_recent(&self, at: u64) -> bool {
        self.steps.now_us().saturating_sub(at) < LAG_MAX
    }

    /// Keeps what a listing shows of records that we are about to write to.
    fn note_former(&self, host: &str, sandbox: &Sandbox, request: &Outgoing) {
        let place = request.url.path();
        let Some((resource, id)) =
            place.rsplit_once('/').and_then(|(resource, id)| Some((listed(resource)?, id))).filter(|(resource, _)| {
                let changes = request.method == http::Method::PATCH || request.method == http::Method::PUT;
                changes || (self.hands.kin.is_none() && *resource == PEOPLE && request.method != http::Method::GET)
            })
        else {
            return;
        };
        let before = sandbox.all(resource).into_iter().find(|record| record["id"] == id);
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        former.extend(before.map(|before| ((host.to_owned(), place.to_owned()), (self.steps.now_us(), before))));
    }

    /// As an upstream shows it whose versions come and go.
    fn blurred(&self, host: &str, status: http::StatusCode, body: Bytes) -> Bytes {
        let answer = serde_json::from_slice(&body).ok().filter(|_| status.is_success());
        let blurred = answer.and_then(|answer| self.swarm.blurred(host, answer));
        blurred.map_or(body, |answer| answer.to_string().into())
    }

    fn at_the_sandbox(&self, request: &Outgoing, trouble: Option<Trouble>) -> Result<Response, TransportError> {
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let Some(sandbox) = sandboxes.get_mut(&host) else {
            return Err(TransportError::NotSent(format!("no upstream at {host}")));
        };
        let fault = match trouble {
            Some(Trouble::Failing) => Some(Fault::status(500)),
            Some(Trouble::Busy) => Some(Fault::status(503)),
            Some(Trouble::Throttled) => Some(Fault::throttled("2")),
            Some(Trouble::Stale) if self.may_lag(&host, &request.method, request.url.path()) => Some(Fault::StaleRead),
            _ => None,
        };
        if let Some(fault) = fault {
            sandbox.push_fault(Matcher::any(), fault);
        }
        let built = as_received(request)?;
        let bot = self.bot.as_ref().filter(|bot| bot.is_at(&host)).map(|bot| (bot, Bot::notes(sandbox)));
        self.note_former(&host, sandbox, request);
        let outcome = sandbox.handle(self.hands.now(), &built);
        if let Some((bot, before)) = bot {
            bot.take_back(&before, sandbox, self.hands.now()).into_iter().for_each(|line| self.say(line));
        }
        if request.method != http::Method::GET {
            self.writes.fetch_add(1, Ordering::AcqRel);
            self.beside.note_write(&self.hands.disk.store());
            self.hands.settle_there(&host, sandbox);
            let is_create = request.method == http::Method::POST && listed(request.url.path()).is_some();
            self.creates.fetch_add(u64::from(is_create), Ordering::AcqRel);
            self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone(), self.steps.now_us());
        }
        // What is done in the background is done whenever anybody asks for anything.
        if self.styles.get(&host).is_some_and(Style::works_in_background) {
            self.hands.settle_there(&host, sandbox);
        }
        sandbox.clear_faults();
        self.deleted.forget_what_is_there(&host, sandbox);
        match (trouble, outcome.deliver) {
            (Some(Trouble::LostAnswer | Trouble::Truncated), _) | (_, Deliver::Lost | Deliver::Truncated { .. }) => {
                Err(TransportError::Broken("the simulation says so".into()))
            }
            _ => {
                let (head, mut body) = outcome.response.into_parts();
                if self.shows_nulls.as_ref() == Some(&host) {
                    body = with_nulls(body, &FIELDS);
                }
                if trouble == Some(Trouble::Stale)
                    && request.method == http::Method::GET
                    && listed(request.url.path()).is_some()
                {
                    body = self.as_a_replica_has_it(&host, request.url.path(), sandbox, body);
                }
                if self.hands.kin.is_some() {
                    // That somebody refers to nobody any more is said.
                    let path = request.url.path();
                    let named = REFERENCES.iter().find(|(resource, _)| path.starts_with(resource));
                    body = with_nulls(body, &named.map(|(_, field)| *field).into_iter().collect::<Vec<_>>());
                }
                body = self.blurred(&host, head.status, body);
                let id = request.url.path().strip_prefix(PEOPLE).and_then(|rest| rest.strip_prefix('/'));
                if let Some(id) = id.filter(|_| request.method == http::Method::DELETE && head.status.is_success()) {
                    self.deleted.note(&host, id);
                }
                Ok(Response {
                    status: head.status.as_u16(),
                    headers: head.headers,
                    body,
                    cut_down: Vec::new(),
                    rest: None,
                })
            }
        }
    }
}

/// A request as the upstream gets it.
fn as_received(request: &Outgoing) -> Result<Request<Bytes>, TransportError> {
    let path = &request.url[url::Position::BeforePath..];
    let mut built = Request::new(request.body.clone().unwrap_or_default());
    *built.method_mut() = request.method.clone();
    *built.uri_mut() = path.parse().map_err(|_no_path| TransportError::NotSent(format!("no path: {path}")))?;
    *built.headers_mut() = request.headers.clone();
    Ok(built)
}

fn with_nulls(body: Bytes, fields: &[&str]) -> Bytes {
    let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else { return body };
    fill(&mut answer, fields);
    answer.get_mut("results").and_then(Value::as_array_mut).into_iter().flatten().for_each(|one| fill(one, fields));
    answer.to_string().into()
}

fn fill(record: &mut Value, fields: &[&str]) {
    if let Some(record) = record.as_object_mut().filter(|record| record.contains_key("key")) {
        for field in fields {
            record.entry(*field).or_insert(Value::Null);
        }
    }
}

impl Transport for Net {
    fn exchange(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(self.through(request))
    }
}
