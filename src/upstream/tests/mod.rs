//! Owns: what the tests of this module share: a clock that never waits, transports, rules made by hand.
//!
//! Must not know: what is tested.

mod allowances;
mod batches;
mod bodies;
mod breaker;
mod budgets;
mod calls;
mod capped;
mod certificates;
mod decisions;
mod encodings;
mod feeds;
mod health;
mod jobs;
mod lists;
mod more;
mod pages;
mod parents;
mod rows;
mod searches;
mod sockets;
mod streams;
mod succession;
mod transitions;
mod writes;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeZone, Utc};
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::{Value as Tree, json};

use super::*;
use crate::clock::Clock;
use crate::record::{Codec, Domain, FieldMap, FieldType, Lens, Mapper, Path, Probe, Value};
use crate::rules::{
    Auth, Binding, Body, BodyFormat, Create, Deletes, Idempotency, Incremental, Paging, Part, Precondition, Read,
    Request, Retry, Template, Timeouts, Update, Upstream, VersionAt,
};
use crate::rules::{BreakerRules, Budget, Cost, RequestMatch};
use crate::sandbox;

/// Virtual time: sleeping moves it.
pub struct TestClock(Mutex<Duration>, u64);

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Duration::from_secs(1000)), u64::MAX / 2))
    }

    pub fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().saturating_sub(Duration::from_secs(1000))
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        Utc.timestamp_opt(1_700_000_000, 0).unwrap() + self.elapsed()
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        *self.0.lock().unwrap() += duration;
        Box::pin(std::future::ready(()))
    }
    fn random(&self) -> u64 {
        self.1
    }
    fn count(&self) -> u32 {
        0
    }
}

/// What a scripted transport does: answers in order, and remembers what it was asked.
#[derive(Default)]
pub struct Script {
    answers: Mutex<VecDeque<Result<Response, TransportError>>>,
    asked: Mutex<Vec<Outgoing>>,
}

impl Script {
    pub fn new(answers: impl IntoIterator<Item = Result<Response, TransportError>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), asked: Mutex::default() })
    }

    pub fn asked(&self) -> Vec<Outgoing> {
        self.asked.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        let line = |request: &Outgoing| {
            let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
            format!("{} {}{query}", request.method, request.url.path())
        };
        self.asked().iter().map(line).collect()
    }

    pub fn body(&self, at: usize) -> Tree {
        serde_json::from_slice(self.asked()[at].body.as_deref().unwrap_or(b"null")).unwrap()
    }

    pub fn header(&self, at: usize, name: &str) -> Option<String> {
        Some(self.asked()[at].headers.get(name)?.to_str().unwrap().to_owned())
    }
}

impl Transport for Script {
    fn exchange(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        self.asked.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front().expect("one request too many");
        Box::pin(std::future::ready(answer))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what an exchange gives")]
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Response, TransportError> {
    let mut map = ::http::HeaderMap::new();
    for (name, value) in headers {
        map.append(::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    Ok(Response {
        status,
        headers: map,
        body: Bytes::copy_from_slice(body.as_bytes()),
        cut_down: Vec::new(),
        rest: None,
    })
}

pub fn ok(body: &Tree) -> Result<Response, TransportError> {
    answer(200, &[("content-type", "application/json")], &body.to_string())
}

pub fn status(status: u16) -> Result<Response, TransportError> {
    answer(status, &[], r#"{"message":"no"}"#)
}

/// A sandbox without a socket.
pub struct Inside {
    sandbox: Mutex<sandbox::Sandbox>,
    clock: Arc<TestClock>,
}

impl Inside {
    fn new(config: sandbox::ResourceConfig, clock: &Arc<TestClock>) -> Arc<Self> {
        let sandbox = sandbox::Sandbox::new(sandbox::SandboxConfig::of([config]));
        Arc::new(Self { sandbox: Mutex::new(sandbox), clock: clock.clone() })
    }

    fn fill(&self, count: usize) {
        for n in 1..=count {
            let body = json!({"id": n.to_string(), "name": format!("r{n}")});
            self.with(|sandbox| sandbox.insert("/c", &body, self.clock.now()).unwrap());
        }
    }

    fn with<R>(&self, look: impl FnOnce(&mut sandbox::Sandbox) -> R) -> R {
        look(&mut self.sandbox.lock().unwrap())
    }

    fn writes(&self) -> Vec<String> {
        self.with(|s| s.requests().filter(|r| r.is_write()).map(|r| format!("{} {}", r.line(), r.status)).collect())
    }
}

impl Transport for Inside {
    fn exchange(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        let mut builder = ::http::Request::builder().method(request.method).uri(request.url.as_str());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        builder = builder.header("host", "up.test");
        let request = builder.body(request.body.unwrap_or_default()).unwrap();
        let outcome = self.with(|sandbox| sandbox.handle(self.clock.now(), &request));
        let (head, body) = outcome.response.into_parts();
        Box::pin(std::future::ready(match outcome.deliver {
            sandbox::Deliver::Lost => Err(TransportError::Broken("reset".to_owned())),
            sandbox::Deliver::Truncated { .. } => Err(TransportError::Broken("ended early".to_owned())),
            sandbox::Deliver::Now | sandbox::Deliver::Slow { .. } | sandbox::Deliver::Held(_) => Ok(Response {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
                cut_down: Vec::new(),
                rest: None,
            }),
        }))
    }
}

/// Nothing can be written to a vault, as on a full disk.
pub fn lock_the_disk(vault: &std::path::Path, locked: bool) {
    let db = rusqlite::Connection::open(vault).unwrap();
    db.execute_batch(if locked {
        "create trigger full before insert on entries begin select raise(fail, 'database or disk is full'); end"
    } else {
        "drop trigger full"
    })
    .unwrap();
}

/// What a search for one value came to.
pub fn only(found: Result<Vec<FoundRecords>, Failure>) -> FoundRecords {
    let [found] = <[FoundRecords; 1]>::try_from(found?).expect("one value, one answer");
    found
}

// ---- rules ---------------------------------------------------------------------------------------------------------

pub fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

/// `a${name}b{hole}c`
pub fn template(text: &str) -> Template {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, tail) = rest.split_at(at);
        let (name, tail) = tail[1..].split_once('}').unwrap();
        let secret = before.ends_with('$');
        parts.push(Part::Text(before.trim_end_matches('$').to_owned()));
        parts.push(if secret { Part::Secret(name.to_owned()) } else { Part::Hole(name.to_owned()) });
        rest = tail;
    }
    parts.push(Part::Text(rest.to_owned()));
    Template { parts }
}

pub fn request(line: &str) -> Request {
    let (method, path) = line.split_once(' ').unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    Request {
        method: method.to_owned(),
        path: template(path),
        query: pairs.map(|(name, value)| (name.to_owned(), template(value))).collect(),
        headers: Vec::new(),
        body: None,
        encoding: crate::rules::Encoding::Json,
        record: None,
    }
}

pub fn upstream(base: &str) -> Upstream {
    let base_url = url::Url::parse(base).unwrap();
    Upstream {
        name: "up".to_owned(),
        allowed_hosts: vec![base_url.host_str().unwrap().to_owned()],
        base_url,
        insecure_http: false,
        headers: Vec::new(),
        timeout: Timeouts {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            total: Duration::from_mins(5),
        },
        concurrency: 4,
        body_bytes_max: 64 << 20,
        check: None,
        health: None,
        auth: Auth::None,
        tls: None,
        budgets: Vec::new(),
        errors: Vec::new(),
        retry: Retry { attempts: 4, max_wait: Duration::from_mins(15) },
        breaker: BreakerRules::default(),
        quota: None,
        webhook: None,
    }
}

pub fn lookup(name: &str) -> Option<SecretString> {
    (name != "missing").then(|| SecretString::from(format!("canary/{name}+7731")))
}

pub fn client(upstream: Upstream, transport: Arc<dyn Transport>, clock: &Arc<TestClock>) -> Arc<Client> {
    Arc::new(Client::new(Arc::new(upstream), &lookup, transport, clock.clone()).unwrap())
}

pub fn lens(text: &str) -> Lens {
    Lens::Path(path(text))
}

/// Fields: 0 `name` text, 1 `phone` text, 2 `note` text (create only).
pub fn mapper() -> Mapper {
    let field = |field: usize, name: &str| FieldMap {
        field,
        name: name.to_owned(),
        domain: Domain::of(FieldType::Text),
        lens: lens(&format!(".{name}")),
        codec: Codec::Plain { as_string: true },
        pull: true,
        push: true,
        create_only: field == 2,
    };
    let probe = Probe { version: Some(lens(".etag")), ..Probe::of(lens(".id")) };
    Mapper::new(3, probe, vec![field(0, "name"), field(1, "phone"), field(2, "note")])
}

/// Where a record is that no parent has.
fn site(id: &str) -> Site {
    Site::of(&binding(&Arc::new(upstream("https://up.test"))), id, b"")
}

pub fn binding(upstream: &Arc<Upstream>) -> Binding {
    Binding {
        collection: "things".to_owned(),
        upstream: upstream.clone(),
        pull: true,
        push: true,
        mapper: mapper(),
        version: Some(VersionAt::Record(lens(".etag"))),
        read: Some(read(Paging::None)),
        create: Some(Create {
            request: request("POST /c"),
            body: Body::Changed,
            capture_id: None,
            capture_version: None,
            idempotency: Idempotency::None,
            upsert: None,
            parent: None,
        }),
        update: Some(Update {
            request: request("PATCH /c/{id}"),
            body: Body::Changed,
            precondition: Precondition::Version {
                place: crate::rules::Place::Header("If-Match".to_owned()),
                value: template("\"{version}\""),
            },
        }),
        delete: Some(crate::rules::Delete { request: request("DELETE /c/{id}"), precondition: Precondition::None }),
        archive: None,
        transitions: Vec::new(),
        batches: Vec::new(),
        mapping_hash: String::new(),
    }
}

pub fn read(page: Paging) -> Read {
    Read {
        lag: Duration::from_mins(1),
        horizon: None,
        cap: None,
        request: request("GET /c"),
        format: BodyFormat::Json,
        records: path(".results").into(),
        page,
        incremental: Incremental::None,
        deletes: Deletes::None,
        deleted: None,
        parent: None,
        export: None,
        get: Some(request("GET /c/{id}")),
    }
}

pub fn write(op: SendOp, id: Option<&str>, values: &[(usize, &str)]) -> WriteRequest {
    let values: Vec<(usize, Value)> =
        values.iter().map(|(field, text)| (*field, Value::Text((*text).to_owned()))).collect();
    WriteRequest {
        spellings: std::collections::BTreeMap::new(),
        key: "op-1".to_owned(),
        op,
        remote_id: id.map(str::to_owned),
        record: values.clone(),
        values,
        expected_version: None,
        expected_raw: None,
        transition: None,
        attempts: 0,
        alone: false,
    }
}

pub fn raw(body: &Tree) -> Bytes {
    Bytes::from(body.to_string())
}

/// Everything of a listing: its records as text, page by page, and the failure that ended it.
pub async fn list(client: &Arc<Client>, binding: Binding, query: ListQuery) -> (Vec<Vec<String>>, Option<Failure>) {
    let mut lister = Lister::new(client.clone(), Arc::new(binding), query);
    let mut pages = Vec::new();
    for _ in 0..100 {
        match lister.page().await {
            Ok(Some(page)) => {
                let text = |range: &std::ops::Range<usize>| {
                    let json: Tree = serde_json::from_slice(&page.body[range.clone()]).unwrap();
                    json["id"].as_str().unwrap().to_owned()
                };
                pages.push(page.records.iter().map(text).collect());
            }
            Ok(None) => return (pages, None),
            Err(failure) => return (pages, Some(failure)),
        }
    }
    panic!("a listing without end")
}

/// So many requests per window, whatever they are.
pub fn budget_of(limit: u64, per: Duration) -> Budget {
    Budget {
        matches: RequestMatch::default(),
        scope: None,
        limit,
        per,
        cost: Cost::default(),
        weights: Vec::new(),
        cost_nano_usd: 0,
        signals: None,
    }
}
