//! Owns: the order of one request: fault, authentication, rate limit, route, answer, damage, log.
//!
//! Must not know: how a read or a write is done.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderValue, Method, Request, header};
use serde_json::Value;

use super::background::Background;
use super::batch;
use super::call::{Call, decode_segment};
use super::config::{Auth, ResourceConfig, SandboxConfig};
use super::fault::{Fault, Hit, Script};
use super::json::{self, Object};
use super::limit::Bucket;
use super::log::{Log, LoggedRequest, PathKind, Stats};
use super::paging::Twist;
use super::read;
use super::replay::Replays;
use super::reply::{Answer, Body, Deliver, Outcome, Refusal};
use super::shelf::{Shelf, State};
use super::write::{Changes, Desk, is_write};

/// A whole fake upstream.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub(super) config: SandboxConfig,
    pub(super) resources: Vec<Resource>,
    pub(super) script: Script,
    pub(super) log: Log,
    pub(super) stats: Stats,
    bucket: Bucket,
}

/// One resource with its records.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) config: ResourceConfig,
    pub(super) shelf: Shelf,
    replays: Replays,
    pub(super) jobs: Vec<Background>,
}

impl Sandbox {
    /// An empty upstream.
    pub fn new(mut config: SandboxConfig) -> Self {
        let resource =
            |config| Resource { config, shelf: Shelf::default(), replays: Replays::default(), jobs: Vec::new() };
        let resources = std::mem::take(&mut config.resources).into_iter().map(resource).collect();
        let (script, log, stats, bucket) = (Script::default(), Log::default(), Stats::default(), Bucket::default());
        Self { config, resources, script, log, stats, bucket }
    }

    /// Answers one request.
    pub fn handle(&mut self, now: DateTime<Utc>, request: &Request<Bytes>) -> Outcome {
        self.work(now);
        let call = Call::read(request, self.config.base_url.as_deref());
        let hit = self.script.take(&call);
        let fault = hit.as_ref().map(|hit| &hit.fault);
        let route = self.route(&call.path);
        *self.stats.requests.entry((call.method.to_string(), route.kind())).or_default() += 1;

        let mut answer = match fault.and_then(Fault::instead) {
            Some(answer) => answer,
            None => match self.admit(&call, now) {
                Ok(()) => self.answer(&route, &call, hit.as_ref(), now).unwrap_or_else(Answer::from),
                Err(answer) => answer,
            },
        };
        if let Some(Fault::Meanwhile { resource, removed }) = fault {
            // What is gone already cannot go again.
            self.remove(resource, removed, now).ok();
        }
        if let Some(limit) = &self.config.rate_limit {
            answer.headers.extend(self.bucket.headers(limit, now));
        }
        self.record(&call, fault, answer.status, now);
        deliver(answer, fault)
    }

    fn route(&self, path: &str) -> Route {
        if self.config.account.as_ref().is_some_and(|account| account.path == path) {
            return Route::Account;
        }
        for (index, resource) in self.resources.iter().enumerate() {
            let Some(rest) = path.strip_prefix(resource.config.path.trim_end_matches('/')) else { continue };
            match rest.strip_prefix('/') {
                None if rest.is_empty() => return Route::Collection(index),
                Some("") => return Route::Collection(index),
                Some(segment) if !segment.contains('/') => {
                    let is_batch = resource.config.batch.as_ref().is_some_and(|batch| batch.segment == segment);
                    return if is_batch { Route::Batch(index) } else { Route::Record(index, decode_segment(segment)) };
                }
                Some(_) | None => {}
            }
        }
        Route::Nowhere
    }

    /// Lets a request in, or answers 401 or 429.
    fn admit(&mut self, call: &Call, now: DateTime<Utc>) -> Result<(), Answer> {
        if !is_known(&self.config.auth, call) {
            let answer = Answer::from(Refusal::new(401, "unauthorized", "these credentials are not known here"));
            return Err(answer.with("www-authenticate", "Bearer realm=\"sandbox\""));
        }
        let Some(limit) = &self.config.rate_limit else { return Ok(()) };
        let taken = self.bucket.take(limit, now);
        self.stats.throttled += u64::from(taken.is_err());
        taken
    }

    fn answer(&mut self, route: &Route, call: &Call, hit: Option<&Hit>, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let refused = || Refusal::new(405, "method_not_allowed", format!("{} is not done here", call.method));
        match (route, &call.method) {
            (Route::Account, &Method::GET) => Ok(Answer::json(200, Value::Object(self.account()))),
            (Route::Collection(index) | Route::Record(index, _), method)
                if self.resources[*index].config.refused.contains(method) =>
            {
                Err(refused())
            }
            (Route::Collection(index), &Method::GET) => self.answer_list(*index, call, hit),
            (Route::Record(index, id), &Method::GET) => self.answer_get(*index, id, call, hit),
            (Route::Collection(index), _) if is_write(&self.resources[*index].config, &call.method, false) => {
                self.write(*index, route, call, hit, now)
            }
            (Route::Record(index, _), _) if is_write(&self.resources[*index].config, &call.method, true) => {
                self.write(*index, route, call, hit, now)
            }
            (Route::Batch(index), &Method::POST) => match self.delays(*index) {
                delays if delays.is_empty() => self.write(*index, route, call, hit, now),
                delays => Ok(self.take_up(*index, call, &delays, now)),
            },
            (Route::Batch(index), &Method::GET) if !self.delays(*index).is_empty() => self.job(*index, call),
            (Route::Account | Route::Collection(_) | Route::Record(..) | Route::Batch(_), _) => Err(refused()),
            (Route::Nowhere, _) => Err(Refusal::new(404, "no_such_path", format!("there is nothing at {}", call.path))),
        }
    }

    fn delays(&self, index: usize) -> Vec<std::time::Duration> {
        self.resources[index].config.batch.as_ref().map_or_else(Vec::new, |batch| batch.background.clone())
    }

    fn account(&self) -> Object {
        let mut body = Object::new();
        if let Some(account) = &self.config.account {
            json::put(&mut body, &account.id_at, account.id.clone().into());
        }
        body
    }

    fn answer_list(&mut self, index: usize, call: &Call, hit: Option<&Hit>) -> Result<Answer, Refusal> {
        let resource = &self.resources[index];
        let past = is_stale(hit).then(|| resource.shelf.before_last_write());
        let seen = past.as_ref().unwrap_or(&resource.shelf);
        let listed = read::list(&resource.config, seen, call, &twist(hit))?;
        self.stats.records_served += listed.records as u64;
        if let Some(hit) = hit {
            self.script.remember(hit.id, listed.position);
        }
        Ok(listed.answer)
    }

    fn answer_get(&mut self, index: usize, id: &str, call: &Call, hit: Option<&Hit>) -> Result<Answer, Refusal> {
        let resource = &self.resources[index];
        let past = is_stale(hit).then(|| resource.shelf.before_last_write());
        let seen = past.as_ref().unwrap_or(&resource.shelf);
        let answer = read::get(&resource.config, seen, id, call)?;
        self.stats.records_served += u64::from(answer.status == 200);
        Ok(answer)
    }

    pub(super) fn write(
        &mut self,
        index: usize,
        route: &Route,
        call: &Call,
        hit: Option<&Hit>,
        now: DateTime<Utc>,
    ) -> Result<Answer, Refusal> {
        let child = match route {
            Route::Record(_, id) if call.method == Method::DELETE => self.child_of(index, id),
            _ => None,
        };
        let Resource { config, shelf, replays, .. } = &mut self.resources[index];
        if let Some(first) = config.idempotency.as_ref().and_then(|keys| replays.find(keys, call, now)) {
            self.stats.replayed += u64::from(first.is_ok());
            return first;
        }
        let ignored = match hit.map(|hit| &hit.fault) {
            Some(Fault::PartialPatch { ignored }) => ignored.as_slice(),
            _ => &[],
        };
        shelf.begin_write();
        let mut desk = Desk { config, shelf, now, ignored, changes: Changes::default() };
        let answer = match (route, &call.method, &config.batch) {
            (Route::Batch(_), _, Some(settings)) => batch::run(&mut desk, settings, call),
            (Route::Record(_, id), &Method::PATCH, _) => desk.patch(id, call),
            (Route::Record(_, id), &Method::PUT, _) => desk.put(id, call),
            (Route::Record(_, id), _, _) => desk.delete(id, call, child.as_deref()),
            _ => desk.post(call),
        };
        let changes = desk.changes;
        if let (Some(keys), Ok(answer)) = (&config.idempotency, &answer) {
            replays.remember(keys, call, answer, now);
        }
        self.stats.creates += changes.creates;
        self.stats.updates += changes.updates;
        self.stats.deletes += changes.deletes;
        self.stats.writes += changes.creates + changes.updates + changes.deletes;
        answer
    }

    /// A live record of another resource that refers to this one.
    fn child_of(&self, index: usize, id: &str) -> Option<String> {
        let refers = |data: &Object, field: &str| json::at(data, field).is_some_and(|value| json::text(value) == id);
        self.resources[index].config.children.iter().find_map(|child| {
            let resource = self.resources.iter().find(|resource| resource.config.path == child.resource)?;
            let live = resource.shelf.iter().filter(|stored| stored.state == State::Live);
            let found = live.into_iter().find(|stored| refers(&stored.data, &child.field))?;
            Some(format!("{}/{}", child.resource, found.id))
        })
    }

    fn record(&mut self, call: &Call, fault: Option<&Fault>, status: u16, now: DateTime<Utc>) {
        self.stats.faults += u64::from(fault.is_some());
        self.stats.not_modified += u64::from(status == 304);
        let blanked = match &self.config.auth {
            Auth::ApiKey { header, .. } => header.to_lowercase(),
            Auth::None | Auth::Basic { .. } | Auth::Bearer { .. } => header::AUTHORIZATION.to_string(),
        };
        let shown = |name: &http::HeaderName, value: &HeaderValue| {
            let secret = name.as_str() == blanked || *name == header::AUTHORIZATION;
            if secret { "***".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() }
        };
        let entry = LoggedRequest {
            number: self.log.next_number(),
            at: now,
            method: call.method.clone(),
            target: call.target.clone(),
            headers: call.headers.iter().map(|(name, value)| (name.to_string(), shown(name, value))).collect(),
            body: call.body.clone(),
            status,
            fault: fault.map(|fault| format!("{fault:?}")),
        };
        self.log.push(entry, self.config.log_requests_max);
    }
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Account,
    Collection(usize),
    Record(usize, String),
    Batch(usize),
    Nowhere,
}

impl Route {
    fn kind(&self) -> PathKind {
        match self {
            Self::Account => PathKind::Account,
            Self::Collection(_) => PathKind::Collection,
            Self::Record(..) => PathKind::Record,
            Self::Batch(_) => PathKind::Batch,
            Self::Nowhere => PathKind::Other,
        }
    }
}

fn is_known(auth: &Auth, call: &Call) -> bool {
    let authorization = |scheme: &str| {
        let (said, rest) = call.header("authorization")?.split_once(' ')?;
        said.eq_ignore_ascii_case(scheme).then(|| rest.trim().to_owned())
    };
    match auth {
        Auth::None => true,
        Auth::ApiKey { header, key } => call.header(header) == Some(key),
        Auth::Basic { user, password } => authorization("basic") == Some(STANDARD.encode(format!("{user}:{password}"))),
        Auth::Bearer { token } => authorization("bearer").as_ref() == Some(token),
    }
}

fn is_stale(hit: Option<&Hit>) -> bool {
    hit.is_some_and(|hit| hit.fault == Fault::StaleRead)
}

fn twist(hit: Option<&Hit>) -> Twist {
    match hit.map(|hit| (&hit.fault, &hit.previous)) {
        Some((Fault::EmptyListing, _)) => Twist::Empty,
        Some((Fault::RepeatCursor, _)) => Twist::Repeat,
        Some((Fault::CycleCursor, previous)) => Twist::Cycle { previous: previous.clone() },
        _ => Twist::None,
    }
}

/// Does to the answer what the fault does to answers, and says how it travels.
fn deliver(mut answer: Answer, fault: Option<&Fault>) -> Outcome {
    match fault {
        Some(Fault::GarbageJson) => {
            answer.body = Body::Text("application/json", "{\"results\": [{\"id\": \"1\", ]".to_owned());
        }
        Some(Fault::HugeRecord { bytes }) => {
            if let Body::Json(body) = &mut answer.body
                && let Some(record) = first_record(body)
            {
                record.insert("padding".into(), "x".repeat(*bytes).into());
            }
        }
        _ => {}
    }
    let mut response = answer.into_response();
    let length = response.body().len();
    let deliver = match fault {
        Some(Fault::Slow { delay_ms, bytes_per_chunk }) => {
            Deliver::Slow { delay_ms: *delay_ms, bytes_per_chunk: *bytes_per_chunk }
        }
        Some(Fault::Held(gate)) => Deliver::Held(gate.clone()),
        Some(Fault::LostResponseAfterCommit | Fault::LostRequestBeforeCommit) => Deliver::Lost,
        // Without a body there is nothing to cut: what is cut is the answer.
        Some(Fault::TruncatedBody { .. }) if length == 0 => Deliver::Lost,
        Some(Fault::TruncatedBody { after }) => {
            Deliver::Truncated { after: after.unwrap_or(length / 2).min(length - 1) }
        }
        Some(Fault::WrongContentLength { extra }) => {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length + extra));
            Deliver::Truncated { after: length }
        }
        _ => Deliver::Now,
    };
    Outcome { response, deliver }
}

/// The first record of a listing, under whatever key, or the record itself.
fn first_record(body: &mut Value) -> Option<&mut Object> {
    match body {
        Value::Array(records) => records.first_mut()?.as_object_mut(),
        Value::Object(object) => {
            let listing = object.iter().find(|(_, value)| value.is_array()).map(|(key, _)| key.clone());
            // A record may have lists of its own, but not of objects only.
            let listing =
                listing.filter(|key| object[key].as_array().is_some_and(|list| list.iter().all(Value::is_object)));
            match listing {
                Some(key) => object.get_mut(&key)?.as_array_mut()?.first_mut()?.as_object_mut(),
                None => Some(object),
            }
        }
        _ => None,
    }
}
