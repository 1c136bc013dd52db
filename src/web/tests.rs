//! Owns: claims about what the web listener answers, asked without a socket.
//!
//! Must not know: connections; what passes do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, StatusCode, header};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::clock::Clock;
use crate::daemon::{Clerk, Doing, Place, Standing, open_desk};
use crate::reconcile::{PassReport, Progress as _, Silent, Step};
use crate::record::RecordId;
use crate::rules::Ruleset;
use crate::store::{ConflictRow, OpenOptions, QuarantineRow, SqliteStore, Store, write};

use super::control::Front;
use super::families::ALL;
use super::proxy::{Peer, Proxies};
use super::site::{Reached, Site, routes};

pub const TOKEN: &str = "a token that is long enough";
const HOST: &str = "127.0.0.1:8480";

/// Time that stands still until it is moved.
#[derive(Default)]
struct Still(watch::Sender<Duration>);

impl Still {
    fn move_to(&self, now: Duration) {
        self.0.send_replace(now);
    }
}

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn monotonic(&self) -> Duration {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let until = self.monotonic() + duration;
        let mut moved = self.0.subscribe();
        Box::pin(async move {
            moved.wait_for(|now| *now >= until).await.ok();
        })
    }

    fn random(&self) -> u64 {
        0
    }

    fn count(&self) -> u32 {
        0
    }
}

/// A site over an empty store, without a loop.
pub struct Bench {
    pub site: Arc<Site>,
    router: Router,
    clock: Arc<Still>,
    clerk: Clerk,
}

pub struct Answer {
    pub status: StatusCode,
    headers: HeaderMap,
    pub text: String,
}

impl Bench {
    pub fn new() -> Self {
        let clock = Arc::new(Still::default());
        let standing = Standing {
            version: "0",
            pid: 7,
            started_at: clock.now(),
            stopping: false,
            rules_refused: Some("<script>alert(1)</script>".to_owned()),
            not_served: Vec::new(),
            rules_wait_for: vec!["contacts".to_owned()],
            rules_change: vec!["contacts".to_owned(), "notes".to_owned()],
            collections: Vec::new(),
            shown_at: Duration::ZERO,
            clients: Arc::default(),
            rules_since: clock.now(),
            said: Arc::default(),
            rules: Arc::new(Ruleset { upstreams: BTreeMap::new(), collections: BTreeMap::new(), hash: String::new() }),
        };
        let (desk, clerk) = open_desk(standing, Arc::new(Doing::new(Arc::new(Silent))));
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&OpenOptions::memory()).unwrap());
        let front = Front { desk, clock: Arc::clone(&clock) as Arc<dyn Clock>, arrivals: Arc::default() };
        let reached = Reached {
            hosts: vec!["sync.example.com".to_owned()],
            proxies: Proxies::new(vec!["10.0.0.1/32".parse().unwrap()]),
        };
        let site = Arc::new(Site::new(front, store, HOST.parse().unwrap(), &reached));
        site.renew(&Ok(TOKEN.into()));
        Self { router: routes(&site), site, clock, clerk }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", HOST);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(&self.router, request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers, "").await
    }

    /// Logs in; the cookie, and the token of its forms.
    pub async fn login(&self) -> (String, String) {
        let answer = self.ask("POST", "/login", &[], &format!("token={}", TOKEN.replace(' ', "+"))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
        let (pair, rest) = cookie.split_once("; ").unwrap();
        assert_eq!(rest, "HttpOnly; SameSite=Strict; Path=/; Max-Age=43200");
        let id = pair.strip_prefix("reconciled_8480=").unwrap();
        (pair.to_owned(), self.site.session(id).unwrap().form_token)
    }
}

async fn answer(router: &Router, request: Request<Body>) -> Answer {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

#[tokio::test]
async fn an_unknown_host_gets_nothing_and_every_answer_is_locked_down() {
    let bench = Bench::new();
    for (host, status) in [(HOST, StatusCode::OK), ("evil.example:8480", StatusCode::MISDIRECTED_REQUEST)] {
        let answer = bench.get("/healthz", &[("host", host)]).await;
        assert_eq!(answer.status, status, "{host}");
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(answer.headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}

#[tokio::test]
async fn health_follows_the_loop() {
    let bench = Bench::new();
    assert_eq!(bench.get("/healthz", &[]).await.status, StatusCode::OK);
    bench.clock.move_to(Duration::from_secs(31));
    assert_eq!(bench.get("/healthz", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bench.get("/readyz", &[]).await.status, StatusCode::OK, "no collection, nothing to wait for");
}

#[tokio::test]
async fn without_a_token_nothing_but_health_is_served() {
    let bench = Bench::new();
    let site =
        Site::new(bench.site.front.clone(), Arc::clone(&bench.site.store), HOST.parse().unwrap(), &Reached::default());
    let site = Arc::new(site);
    let router = routes(&site);
    for (path, status) in [
        ("/healthz", StatusCode::OK),
        ("/", StatusCode::SERVICE_UNAVAILABLE),
        ("/login", StatusCode::SERVICE_UNAVAILABLE),
        ("/metrics", StatusCode::SERVICE_UNAVAILABLE),
        ("/api/v1/collections", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let request = Request::builder().uri(path).header("host", HOST).header("authorization", "Bearer ");
        assert_eq!(answer(&router, request.body(Body::empty()).unwrap()).await.status, status, "{path}");
    }
    // Neither does one that is too short.
    site.renew(&Ok("short".into()));
    assert!(site.token().is_none());
}

#[tokio::test]
async fn another_token_ends_all_sessions_and_one_that_cannot_be_used_changes_nothing() {
    let bench = Bench::new();
    let (cookie, _) = bench.login().await;
    let home = async || bench.get("/rules", &[("cookie", &cookie)]).await.status;
    let by_bearer =
        async |token: &str| bench.get("/metrics", &[("authorization", &format!("Bearer {token}"))]).await.status;
    for found in [Ok(TOKEN.into()), Err("it is gone".to_owned()), Ok("short".into())] {
        bench.site.renew(&found);
        assert_eq!((home().await, by_bearer(TOKEN).await), (StatusCode::OK, StatusCode::OK), "{found:?}");
    }
    bench.site.renew(&Ok("another one that is long enough".into()));
    assert_eq!((home().await, by_bearer(TOKEN).await), (StatusCode::SEE_OTHER, StatusCode::UNAUTHORIZED));
    assert_eq!(by_bearer("another one that is long enough").await, StatusCode::OK);
}

impl Bench {
    /// Tries to log in with this token from the other end of a connection; the status, and the cookie.
    async fn knocks(&self, peer: &str, headers: &[(&str, &str)], token: &str) -> (StatusCode, String) {
        let mut request = Request::builder().method("POST").uri("/login");
        for (name, value) in
            headers.iter().chain(&[("host", HOST)][..usize::from(!headers.iter().any(|one| one.0 == "host"))])
        {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(format!("token={}", token.replace(' ', "+")))).unwrap();
        request.extensions_mut().insert(Peer(format!("{peer}:40000").parse().unwrap()));
        let answer = answer(&self.router, request).await;
        let cookie = answer.headers.get(header::SET_COOKIE).map(|value| value.to_str().unwrap().to_owned());
        (answer.status, cookie.unwrap_or_default())
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_cookies_are_secure_and_names_and_origins_are_those_of_the_browser() {
    let bench = Bench::new();
    let through = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "sync.example.com"),
        ("host", "10.0.0.2:8480"),
    ];
    let with = |origin| [&through[..], &[("origin", origin)]].concat();
    let (proxy, other) = ("10.0.0.1", "10.0.0.3");
    let (status, cookie) = bench.knocks(proxy, &with("https://sync.example.com"), TOKEN).await;
    assert!(status == StatusCode::SEE_OTHER && cookie.ends_with("; Secure"), "{status} {cookie}");
    for origin in ["http://sync.example.com", "https://evil.example", "http://10.0.0.2:8480"] {
        assert_eq!(bench.knocks(proxy, &with(origin), TOKEN).await.0, StatusCode::FORBIDDEN, "{origin}");
    }
    // Nobody else says by which name he came: the one that he asks for is not known.
    assert_eq!(bench.knocks(other, &through, TOKEN).await.0, StatusCode::MISDIRECTED_REQUEST);
    let (status, cookie) = bench.knocks(other, &through[..3], TOKEN).await;
    assert!(status == StatusCode::SEE_OTHER && !cookie.contains("Secure"), "{status} {cookie}");
    let evil = [("x-forwarded-host", "evil.example")];
    assert_eq!(bench.knocks(proxy, &evil, TOKEN).await.0, StatusCode::MISDIRECTED_REQUEST);
    let both = [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7;proto=https")];
    assert_eq!(bench.knocks(proxy, &both, TOKEN).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn logins_are_counted_by_the_address_that_really_asks() {
    let bench = Bench::new();
    let (proxy, guess) = ("10.0.0.1", "a guess of somebody");
    for number in 0..5 {
        // What he says of himself stands left of what the proxy says of him.
        let spoofed = format!("198.51.100.{number}, 203.0.113.7");
        assert_eq!(bench.knocks(proxy, &[("x-forwarded-for", &spoofed)], guess).await.0, StatusCode::FORBIDDEN);
        // And without a proxy it says nothing at all.
        let spoofed = format!("198.51.100.{number}");
        assert_eq!(bench.knocks("192.0.2.9", &[("x-forwarded-for", &spoofed)], guess).await.0, StatusCode::FORBIDDEN);
    }
    let by_proxy = [("x-forwarded-for", "198.51.100.1, 203.0.113.7")];
    assert_eq!(bench.knocks(proxy, &by_proxy, TOKEN).await.0, StatusCode::TOO_MANY_REQUESTS);
    let spoofed = [("x-forwarded-for", "198.51.100.77")];
    assert_eq!(bench.knocks("192.0.2.9", &spoofed, TOKEN).await.0, StatusCode::TOO_MANY_REQUESTS);
    // Nobody else is kept out.
    assert_eq!(bench.knocks(proxy, &spoofed, TOKEN).await.0, StatusCode::SEE_OTHER);
    assert_eq!(bench.knocks(proxy, &[], TOKEN).await.0, StatusCode::SEE_OTHER);
    assert_eq!(bench.knocks("192.0.2.10", &[], TOKEN).await.0, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn programs_need_the_token_and_browsers_a_session() {
    let bench = Bench::new();
    let right = format!("Bearer {TOKEN}");
    for path in ["/metrics", "/api/v1/collections", "/api/v1/openapi.json"] {
        for wrong in ["", "Bearer", "Bearer x", "Basic x", TOKEN] {
            let answer = bench.get(path, &[("authorization", wrong)]).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {wrong}");
        }
        assert_eq!(bench.get(path, &[("authorization", &right)]).await.status, StatusCode::OK, "{path}");
    }
    let (cookie, _) = bench.login().await;
    let by_cookie = bench.get("/api/v1/collections", &[("cookie", &cookie)]).await;
    assert_eq!(by_cookie.status, StatusCode::UNAUTHORIZED, "what a browser sends by itself is not enough");
    for headers in [&[][..], &[("authorization", right.as_str())], &[("cookie", "reconciled_8480=guessed")]] {
        let answer = bench.get("/", headers).await;
        assert_eq!(
            (answer.status, &answer.headers[header::LOCATION]),
            (StatusCode::SEE_OTHER, &"/login".parse().unwrap())
        );
    }
    assert_eq!(bench.get("/", &[("cookie", &cookie)]).await.status, StatusCode::OK);
    bench.clock.move_to(super::access::SESSION_MAX);
    assert_eq!(bench.get("/", &[("cookie", &cookie)]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_counts_only_with_its_token_and_from_the_same_site() {
    let bench = Bench::new();
    let (cookie, form_token) = bench.login().await;
    let fields = format!("form_token={form_token}&take=local");
    let post = async |headers: &[(&str, &str)], body: &str| {
        let mut all = vec![("cookie", cookie.as_str())];
        all.extend_from_slice(headers);
        bench.ask("POST", "/conflicts/9/resolve", &all, body).await.status
    };
    // There is no such conflict, and that is found out only behind all checks.
    assert_eq!(post(&[], &fields).await, StatusCode::NOT_FOUND);
    assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("origin", "null")], &fields).await, StatusCode::NOT_FOUND);
    assert_eq!(post(&[], "take=local").await, StatusCode::FORBIDDEN);
    assert_eq!(post(&[], "form_token=guessed&take=local").await, StatusCode::FORBIDDEN);
    assert_eq!(post(&[("origin", "https://evil.example")], &fields).await, StatusCode::FORBIDDEN);
    assert_eq!(post(&[("sec-fetch-site", "cross-site")], &fields).await, StatusCode::FORBIDDEN);
    assert_eq!(post(&[], &"x".repeat(300 * 1024)).await, StatusCode::PAYLOAD_TOO_LARGE);
    let nobody = bench.ask("POST", "/conflicts/9/resolve", &[], &fields).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    bench.ask("POST", "/logout", &[("cookie", &cookie)], "").await;
    assert_eq!(bench.get("/", &[("cookie", &cookie)]).await.status, StatusCode::OK, "a logout is a form as well");
    bench.ask("POST", "/logout", &[("cookie", &cookie)], &fields).await;
    assert_eq!(bench.get("/", &[("cookie", &cookie)]).await.status, StatusCode::SEE_OTHER);
}

/// What one open page hears.
struct Page(BodyDataStream);

impl Page {
    async fn open(bench: &Bench, cookie: &str) -> Result<Self, StatusCode> {
        let request = Request::builder().uri("/events").header("host", HOST).header("cookie", cookie);
        let answer = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        if answer.status() != StatusCode::OK {
            return Err(answer.status());
        }
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
        Ok(Self(answer.into_body().into_data_stream()))
    }

    /// The next that is said; nothing once it is over.
    async fn next(&mut self) -> Option<String> {
        let bytes = self.0.next().await?.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn open_pages_hear_what_passes_are_at_and_that_things_stand_otherwise() {
    let bench = Bench::new();
    assert_eq!(Page::open(&bench, "").await.err(), Some(StatusCode::SEE_OTHER), "nobody is logged in");
    let (cookie, form_token) = bench.login().await;
    let (collection, upstream) = ("contacts", "crm");
    let place = Place {
        collection: collection.to_owned(),
        running: true,
        waiting: false,
        paused: false,
        next: None,
        next_full: None,
        retry_at: None,
        doing: None,
        failed: None,
    };
    bench.clerk.show(|standing| standing.collections.push(place));
    bench.clerk.doing().begins(collection);
    let mut page = Page::open(&bench, &cookie).await.unwrap();
    let step = |text: &str| format!("event: step\ndata: {{\"collection\":\"contacts\",\"text\":\"{text}\"}}\n\n");
    let hello = format!("retry: 1000\nevent: hello\ndata: {{}}\n\n{}", step("a pass begins"));
    assert_eq!(page.next().await, Some(hello));

    // Steps that come fast are said as one.
    for done in 1..=3 {
        bench.clerk.doing().step(&Step::Pushed { collection, upstream, done, total: 3 });
    }
    let (said, ()) = tokio::join!(page.next(), async { bench.clock.move_to(Duration::from_secs(1)) });
    assert_eq!(said, Some(step("3 of 3 writes sent to crm")));
    bench.clerk.doing().ended(collection, 1, Ok(Arc::new(PassReport::default())));
    let ended = "event: ended\ndata: {\"collection\":\"contacts\",\"outcome\":\"ok\"}\n\n";
    assert_eq!(page.next().await.as_deref(), Some(ended));

    // The loop shows itself every second; that alone is no news.
    bench.clerk.show(|standing| standing.shown_at = Duration::from_secs(1));
    let (said, ()) = tokio::join!(page.next(), async { bench.clock.move_to(Duration::from_secs(12)) });
    assert_eq!(said.as_deref(), Some(":\n\n"), "a beat");
    bench.clerk.show(|standing| standing.collections[0].running = false);
    assert_eq!(page.next().await.as_deref(), Some("event: changed\ndata: {}\n\n"));

    // Whoever is logged out hears no more, and nobody listens for ever.
    let mut other = Page::open(&bench, &bench.login().await.0).await.unwrap();
    other.next().await.unwrap();
    bench.ask("POST", "/logout", &[("cookie", &cookie)], &format!("form_token={form_token}")).await;
    let (ends, ()) = tokio::join!(page.next(), async { bench.clock.move_to(Duration::from_secs(30)) });
    assert_eq!(ends, None);
    assert_eq!(other.next().await.as_deref(), Some(":\n\n"));
    bench.clock.move_to(Duration::from_mins(2));
    assert_eq!(other.next().await, None);

    // A stop ends it in good order.
    let mut last = Page::open(&bench, &bench.login().await.0).await.unwrap();
    last.next().await.unwrap();
    drop(bench.clerk);
    assert_eq!(last.next().await.as_deref(), Some("event: stopping\ndata: {}\n\n"));
    assert_eq!(last.next().await, None);
}

#[tokio::test]
async fn few_pages_may_listen_and_each_that_goes_makes_room() {
    let bench = Bench::new();
    let (cookie, _) = bench.login().await;
    let mut pages = Vec::new();
    for _ in 0..super::live::LISTENERS_MAX {
        pages.push(Page::open(&bench, &cookie).await.unwrap());
    }
    assert_eq!(Page::open(&bench, &cookie).await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    pages.pop();
    pages.push(Page::open(&bench, &cookie).await.unwrap());
}

#[tokio::test]
async fn logins_that_fail_are_slowed_down() {
    let bench = Bench::new();
    let mut last = StatusCode::OK;
    for _ in 0..6 {
        last = bench.ask("POST", "/login", &[], "token=wrong").await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    bench.clock.move_to(Duration::from_mins(1));
    bench.login().await;
}

#[tokio::test]
async fn whatever_upstreams_say_is_text_on_every_page() {
    const BAD: &str = "<script>alert(1)</script>";
    let bench = Bench::new();
    let conflict = ConflictRow {
        id: 0,
        collection: "contacts".to_owned(),
        record: RecordId(BAD.to_owned()),
        fields: "name".to_owned(),
        kind: "edit".to_owned(),
        base: Some(format!("[\"{BAD}\"]")),
        candidates: format!(r#"[{{"origin":"{BAD}","values":["{BAD} and more"],"source_time":null,"observed_at":0}}]"#),
        resolution: None,
        pass: 1,
        opened_at: 0,
        closed: None,
    };
    let aside = QuarantineRow {
        collection: "contacts".to_owned(),
        upstream: "crm".to_owned(),
        subject: BAD.to_owned(),
        stage: "pull".to_owned(),
        reason: BAD.to_owned(),
        inputs: String::new(),
        since: 0,
        pass: 1,
    };
    write(bench.site.store.as_ref(), move |tx| {
        tx.put_quarantine(&aside)?;
        tx.put_conflict(&conflict)
    })
    .await
    .unwrap();
    let (cookie, _) = bench.login().await;
    for path in ["/", "/conflicts", "/quarantine", "/passes", "/halts", "/upstreams"] {
        let answer = bench.get(path, &[("cookie", &cookie)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let foreign = answer.text.replacen("<script src=\"/live.js\" defer></script>", "", 1);
        assert!(!foreign.contains("<script"), "{path}: {}", answer.text);
        let shows = ["/", "/conflicts", "/quarantine"].contains(&path);
        assert_eq!(answer.text.contains("&lt;script&gt;"), shows, "{path}: {}", answer.text);
    }
    for path in ["/passes/1", "/passes/x", "/records/contacts", "/records/contacts/1"] {
        assert_eq!(bench.get(path, &[("cookie", &cookie)]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

/// The metrics that a text names, and what of their names follows from the type of a histogram.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let words = text.split(ends).filter(|word| word.starts_with("reconciled_"));
    words.map(|word| word.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count")).collect()
}

#[test]
fn dashboard_and_alerts_name_metrics_that_there_are() {
    let known: BTreeSet<&str> = ALL.iter().map(|family| family.name).collect();
    let alerts = include_str!("../../docs/monitoring/alerts.yaml");
    let dashboard = include_str!("../../docs/monitoring/grafana-dashboard.json");
    for (file, text, at_least) in [("alerts.yaml", alerts, 14), ("grafana-dashboard.json", dashboard, 20)] {
        let named = metrics_in(text);
        let unknown: Vec<_> = named.iter().filter(|name| !known.contains(**name)).collect();
        assert!(unknown.is_empty() && named.len() >= at_least, "{file}: {unknown:?} of {named:?}");
    }
    // Each alert has what a person needs, and each panel asks something.
    let count = |words: &str| alerts.matches(words).count();
    assert_eq!(
        [count("expr: "), count("summary: "), count("description: "), count("severity: ")],
        [count("- alert: "); 4]
    );
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10 && panels.iter().all(|panel| panel["targets"][0]["expr"].is_string()));
    let mut ids: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), panels.len());
}

#[tokio::test]
async fn every_metric_of_the_table_is_in_a_scrape_in_its_order_and_no_other() {
    let bench = Bench::new();
    let answer = bench.get("/metrics", &[("authorization", &format!("Bearer {TOKEN}"))]).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    let comments: Vec<&str> = answer.text.lines().filter(|line| line.starts_with('#')).collect();
    let of = |family: &&super::families::Family| {
        [format!("# HELP {} {}", family.name, family.help), format!("# TYPE {} {}", family.name, family.kind)]
    };
    assert_eq!(comments, ALL.iter().flat_map(of).collect::<Vec<_>>());
}
