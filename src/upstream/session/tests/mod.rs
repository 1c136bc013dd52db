//! Owns: the proof of how the tokens of a login are had, kept and replaced.
//!
//! Must not know: sockets.

mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::clock::Clock as _;
use crate::rules::{
    Auth, ErrorClass, ErrorRule, JsonTemplate, Lifetime, Place, Session as Rules, TokenFrom, TokenInto, Upstream,
};
use crate::upstream::tests::{
    Script, TestClock, answer, budget_of, lookup, ok, path, request, status, template, upstream,
};
use crate::upstream::{
    Client, FailureKind, Holder, Holes, Outgoing, Response, Safety, Standing, Transport, TransportError,
};
use crate::vault::{KeyPlaces, Kind, Vault};

type Answers = Vec<Result<Response, TransportError>>;

/// A login by JSON; the token is at `.token` and goes where tokens usually do.
fn rules() -> Rules {
    let member = |name: &str, text: &str| (name.to_owned(), JsonTemplate::Text(template(text)));
    let body = JsonTemplate::Object(vec![member("user", "sync"), member("password", "${password}")]);
    Rules {
        login: crate::rules::Request { body: Some(body), ..request("POST /login") },
        form: None,
        token: TokenFrom::Body(path(".token")),
        into: TokenInto::Place(Place::Header("authorization".into())),
        prefix: "Bearer ".into(),
        lifetime: Lifetime::Fixed(Duration::from_hours(1)),
        refresh_before: Duration::from_mins(5),
    }
}

fn upstream_with(rules: Rules) -> Upstream {
    Upstream { name: "crm".into(), auth: Auth::Session(Box::new(rules)), ..upstream("https://up.test/v1") }
}

/// A folder with a vault that is ready, as several processes see it.
struct Bench {
    folder: tempfile::TempDir,
    clock: Arc<TestClock>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: TestClock::new() }
    }

    fn vault(&self) -> Arc<Vault> {
        let find = |_: &str| {
            Ok((SecretString::from("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), "environment".to_owned()))
        };
        let keys = KeyPlaces::new(self.folder.path().join("secrets"), find);
        Arc::new(Vault::beside(&self.folder.path().join("data.db"), keys))
    }

    /// A client as a new process makes it.
    fn process(&self, upstream: Upstream, answers: Answers) -> (Client, Arc<Script>) {
        let (client, script) = self.alone(upstream, answers);
        (client.keeping_tokens_in(&self.vault()), script)
    }

    /// One without a vault.
    fn alone(&self, upstream: Upstream, answers: Answers) -> (Client, Arc<Script>) {
        let script = Script::new(answers);
        let client = Client::new(Arc::new(upstream), &lookup, script.clone(), self.clock.clone()).unwrap();
        (client, script)
    }
}

fn token(text: &str) -> Result<Response, TransportError> {
    ok(&json!({ "token": text }))
}

fn page() -> Result<Response, TransportError> {
    ok(&json!([]))
}

async fn read(client: &Client) -> Result<u16, (FailureKind, String)> {
    let built = client.build(&request("GET /contacts"), &Holes::default()).unwrap();
    let answered = client.send(built, Safety::Read).await;
    answered.map(|response| response.status).map_err(|failure| (failure.kind, failure.words))
}

fn session(client: &Client) -> &Session {
    match client.holder() {
        Some(Holder::Session(session)) => session,
        other => panic!("{other:?}"),
    }
}

fn sent(script: &Script, header: &str) -> Vec<String> {
    let lines = script.lines().into_iter().enumerate();
    lines.map(|(at, line)| format!("{line} {}", script.header(at, header).unwrap_or_default())).collect()
}

#[tokio::test]
async fn a_login_is_made_once_and_again_before_its_token_ends() {
    let bench = Bench::new();
    let answers = vec![token("one"), page(), page(), token("two"), page()];
    let (client, script) = bench.alone(upstream_with(rules()), answers);
    read(&client).await.unwrap();
    bench.clock.sleep(Duration::from_mins(54)).await;
    read(&client).await.unwrap();
    bench.clock.sleep(Duration::from_mins(2)).await;
    read(&client).await.unwrap();
    assert_eq!(
        sent(&script, "authorization"),
        [
            "POST /v1/login ",
            "GET /v1/contacts Bearer one",
            "GET /v1/contacts Bearer one",
            "POST /v1/login ",
            "GET /v1/contacts Bearer two"
        ]
    );
    assert_eq!(script.body(0), json!({"user": "sync", "password": "canary/password+7731"}));
    assert_eq!(script.header(0, "content-type").as_deref(), Some("application/json"));
    assert_eq!(client.requests_sent(), 5, "logins are requests too");
}

#[tokio::test]
async fn a_token_is_sealed_in_the_vault_and_serves_the_next_process() {
    let bench = Bench::new();
    let (client, _) = bench.process(upstream_with(rules()), vec![token("canary-token"), page()]);
    read(&client).await.unwrap();
    let (client, script) = bench.process(upstream_with(rules()), vec![page()]);
    assert!(matches!(client.holder().unwrap().standing().await, Ok(Standing::In { renewable: true, .. })));
    read(&client).await.unwrap();
    assert_eq!(sent(&script, "authorization"), ["GET /v1/contacts Bearer canary-token"]);
    let bytes = std::fs::read(bench.vault().path()).unwrap();
    assert!(!bytes.windows(12).any(|window| window == b"canary-token"));

    // Other credentials: the token of the old ones is not theirs.
    let form = Some(vec![("password".into(), template("${other}"))]);
    let other = Rules { form, ..rules() };
    let (client, script) = bench.process(upstream_with(other), vec![token("theirs"), page()]);
    read(&client).await.unwrap();
    assert_eq!(script.lines(), ["POST /v1/login", "GET /v1/contacts"]);

    assert!(client.holder().unwrap().revoke().await.unwrap());
    assert!(bench.vault().get(Kind::Token, "crm").unwrap().is_none());
    assert_eq!(client.holder().unwrap().standing().await, Ok(Standing::AsNeeded));
}

#[tokio::test]
async fn where_no_key_is_none_is_made_for_a_token_that_can_be_had_again() {
    let bench = Bench::new();
    let nothing = KeyPlaces::new(bench.folder.path().join("secrets"), |_: &str| Err("nowhere".into()));
    let vault = Arc::new(Vault::beside(&bench.folder.path().join("data.db"), nothing));
    let (client, _) = bench.alone(upstream_with(rules()), vec![token("one"), page(), page()]);
    let client = client.keeping_tokens_in(&vault);
    read(&client).await.unwrap();
    read(&client).await.unwrap();
    assert!(!vault.path().exists() && !bench.folder.path().join("secrets").exists());
}

#[tokio::test]
async fn f44_tasks_that_come_together_share_one_login() {
    let bench = Bench::new();
    let (client, script) = bench.process(upstream_with(rules()), vec![token("one"), page(), page(), page()]);
    let (a, b, c) = tokio::join!(read(&client), read(&client), read(&client));
    assert_eq!((a, b, c), (Ok(200), Ok(200), Ok(200)));
    assert_eq!(script.lines().iter().filter(|line| *line == "POST /v1/login").count(), 1);
}

#[tokio::test]
async fn f42_a_token_that_is_refused_is_replaced_once_a_call_and_never_in_a_loop() {
    let bench = Bench::new();
    let answers = vec![token("one"), page(), status(401), token("two"), page(), status(401), status(401)];
    let (client, script) = bench.process(upstream_with(rules()), answers);
    read(&client).await.unwrap();
    bench.clock.sleep(Duration::from_mins(2)).await;
    read(&client).await.unwrap();
    assert_eq!(
        sent(&script, "authorization")[2..],
        ["GET /v1/contacts Bearer one", "POST /v1/login ", "GET /v1/contacts Bearer two"]
    );
    // A minute did not pass since: whatever is refused now, another login would not help.
    for _ in 0..2 {
        let (kind, words) = read(&client).await.unwrap_err();
        assert_eq!(kind, FailureKind::Auth, "{words}");
    }
    assert_eq!(client.kept().reauth, None, "the login itself was not refused");
}

#[tokio::test]
async fn tokens_that_are_never_taken_are_asked_for_ever_less() {
    let bench = Bench::new();
    let script = Arc::new(Refusing::default());
    let rules = Rules { lifetime: Lifetime::Open, ..rules() };
    let client = Client::new(Arc::new(upstream_with(rules)), &lookup, script.clone(), bench.clock.clone()).unwrap();
    for _ in 0..24 * 60 {
        read(&client).await.unwrap_err();
        bench.clock.sleep(Duration::from_mins(1)).await;
    }
    let logins = script.0.load(Ordering::Relaxed);
    assert!((20..=40).contains(&logins), "{logins} logins in a day");
}

/// Answers logins with ever other tokens and refuses everything else.
#[derive(Default)]
struct Refusing(AtomicUsize);

impl Transport for Refusing {
    fn exchange(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        let login = request.url.path().ends_with("/login");
        let answer =
            if login { token(&format!("token-{}", self.0.fetch_add(1, Ordering::Relaxed))) } else { status(401) };
        Box::pin(std::future::ready(answer))
    }
}

#[tokio::test]
async fn a_refused_login_pauses_the_upstream_until_its_credentials_are_others() {
    let bench = Bench::new();
    let refused = || answer(403, &[], r#"{"message":"bad password canary/password+7731"}"#);
    let (client, script) = bench.process(upstream_with(rules()), vec![refused()]);
    let expected = "reauth required: login: POST /login 403: the credentials do not allow this: bad password •••; set its secrets right and reload, or where \
                    they are right try again: `reconciled auth login crm`";
    for _ in 0..3 {
        assert_eq!(read(&client).await.unwrap_err(), (FailureKind::Auth, expected.to_owned()));
    }
    assert_eq!(script.lines(), ["POST /v1/login"]);
    assert_eq!(client.kept().reauth.as_deref(), expected.strip_prefix("reauth required: "));

    // The next process asks nothing either.
    let (client, script) = bench.process(upstream_with(rules()), Vec::new());
    bench.clock.sleep(Duration::from_hours(24)).await;
    assert_eq!(read(&client).await.unwrap_err().1, expected);
    assert!(script.lines().is_empty());
    let again = Standing::Again("login: POST /login 403: the credentials do not allow this: bad password •••".into());
    assert_eq!(client.holder().unwrap().standing().await, Ok(again));

    // A person says that it will do now.
    let (client, script) = bench.process(upstream_with(rules()), vec![token("one"), page()]);
    session(&client).log_in().await.unwrap();
    read(&client).await.unwrap();
    assert_eq!((script.lines().len(), client.kept().reauth), (2, None));
}

#[tokio::test]
async fn a_login_that_fails_in_passing_is_left_alone_for_a_while() {
    let bench = Bench::new();
    let away = || vec![status(500), status(502), status(503)];
    let answers: Answers = [away(), away(), vec![token("one"), page()]].into_iter().flatten().collect();
    let (client, script) = bench.process(upstream_with(rules()), answers);
    for _ in 0..3 {
        let (kind, words) = read(&client).await.unwrap_err();
        assert_eq!((kind, words.starts_with("login: POST /login 503")), (FailureKind::NotDone, true), "{words}");
    }
    assert_eq!(script.lines().len(), 3, "three attempts of one login");
    bench.clock.sleep(Duration::from_secs(31)).await;
    read(&client).await.unwrap_err();
    bench.clock.sleep(Duration::from_secs(31)).await;
    read(&client).await.unwrap_err();
    assert_eq!(script.lines().len(), 6, "the second wait is twice as long");
    bench.clock.sleep(Duration::from_secs(31)).await;
    read(&client).await.unwrap();
}

#[tokio::test]
async fn an_old_token_that_counts_is_used_while_the_next_one_cannot_be_had() {
    let bench = Bench::new();
    let answers = vec![token("one"), page(), status(401), page(), page(), status(401)];
    let (client, script) = bench.process(upstream_with(rules()), answers);
    read(&client).await.unwrap();
    bench.clock.sleep(Duration::from_mins(56)).await;
    read(&client).await.unwrap();
    read(&client).await.unwrap();
    assert!(client.kept().reauth.is_some(), "a person should know before it has ended");
    let words = read(&client).await.unwrap_err().1;
    assert!(words.starts_with("reauth required: "), "{words}");
    assert_eq!(script.lines().iter().filter(|line| *line == "POST /v1/login").count(), 2);
}

/// Where a token comes and where it goes.
async fn check(rules: Rules, login: Result<Response, TransportError>, expected: (&str, &str, &str)) {
    let bench = Bench::new();
    let (client, script) = bench.alone(upstream_with(rules), vec![login, page()]);
    read(&client).await.unwrap();
    let (line, header, value) = expected;
    assert_eq!(script.lines()[1], line);
    assert_eq!(script.header(1, header).unwrap_or_default(), value);
}

#[tokio::test]
async fn tokens_come_in_bodies_headers_and_cookies_and_go_where_they_should() {
    let header = |name: &str| TokenInto::Place(Place::Header(name.into()));
    let plain = |rules: Rules| Rules { prefix: String::new(), ..rules };
    let get = "GET /v1/contacts";
    let bare = Rules { token: TokenFrom::Body(path(".")), into: header("vmware-api-session-id"), ..rules() };
    check(plain(bare), answer(201, &[], "\"abc\""), (get, "vmware-api-session-id", "abc")).await;
    let redfish = Rules { token: TokenFrom::Header("X-Auth-Token".into()), into: header("x-auth-token"), ..rules() };
    check(plain(redfish), answer(201, &[("x-auth-token", "t1")], "{}"), (get, "x-auth-token", "t1")).await;
    let number = Rules { into: TokenInto::Place(Place::Query("sid".into())), ..rules() };
    check(plain(number), ok(&json!({"token": 17})), ("GET /v1/contacts?sid=17", "authorization", "")).await;
    let cookie = Rules {
        token: TokenFrom::Cookie("sid".into()),
        into: TokenInto::Cookie("sid".into()),
        lifetime: Lifetime::Open,
        ..rules()
    };
    let set = [("set-cookie", "sid=old"), ("set-cookie", "lang=en"), ("set-cookie", "sid=c=2; Path=/; HttpOnly")];
    check(cookie.clone(), answer(302, &set, "<html>"), (get, "cookie", "sid=c=2")).await;

    let bench = Bench::new();
    let deleted = [("set-cookie", "sid=gone; Max-Age=0")];
    let (client, _) = bench.alone(upstream_with(cookie), vec![answer(200, &deleted, "{}")]);
    let (kind, words) = read(&client).await.unwrap_err();
    assert_eq!(kind, FailureKind::BadAnswer);
    assert_eq!(words, "login: POST /login 200: no token in a cookie sid of the answer; is `token` right?");
}

#[tokio::test]
async fn a_token_ends_when_the_answer_says() {
    let told = |lifetime: serde_json::Value| ok(&json!({"token": "one", "until": lifetime}));
    let rules = Rules { lifetime: Lifetime::Told(path(".until")), refresh_before: Duration::ZERO, ..rules() };
    for lifetime in
        [json!(60), json!("60"), json!("2023-11-14T22:14:20Z"), json!(1_700_000_060), json!(1_700_000_060_000_u64)]
    {
        let bench = Bench::new();
        let answers = vec![told(lifetime.clone()), page(), page(), token("no end")];
        let (client, script) = bench.alone(upstream_with(rules.clone()), answers);
        read(&client).await.unwrap();
        bench.clock.sleep(Duration::from_secs(59)).await;
        read(&client).await.unwrap();
        assert_eq!(script.lines().len(), 3, "{lifetime}");
        bench.clock.sleep(Duration::from_secs(1)).await;
        let words = read(&client).await.unwrap_err().1;
        assert_eq!(words, "login: POST /login 200: no time at .until of the answer; is `expires` right?");
    }
}

#[tokio::test]
async fn a_form_is_sent_as_one_and_a_declared_class_means_a_new_login() {
    let bench = Bench::new();
    let form = vec![("user".to_owned(), template("a b")), ("password".to_owned(), template("${password}"))];
    let login = crate::rules::Request { body: None, ..rules().login };
    let rule = ErrorRule { status: vec![440], headers: Vec::new(), when: None, class: ErrorClass::Auth };
    let upstream = Upstream { errors: vec![rule], ..upstream_with(Rules { login, form: Some(form), ..rules() }) };
    let answers = vec![token("one"), page(), status(440), token("two"), page()];
    let (client, script) = bench.process(upstream, answers);
    read(&client).await.unwrap();
    bench.clock.sleep(Duration::from_mins(2)).await;
    read(&client).await.unwrap();
    assert_eq!(script.asked()[0].body.as_deref(), Some(b"user=a+b&password=canary%2Fpassword%2B7731".as_slice()));
    assert_eq!(script.header(0, "content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    assert_eq!(script.lines()[2..], ["GET /v1/contacts", "POST /v1/login", "GET /v1/contacts"]);
}

#[tokio::test]
async fn a_login_keeps_within_budgets() {
    let bench = Bench::new();
    let budget = budget_of(1, Duration::from_mins(1));
    let upstream = Upstream { budgets: vec![budget], ..upstream_with(rules()) };
    let (client, script) = bench.alone(upstream, vec![token("one"), page()]);
    read(&client).await.unwrap();
    assert_eq!(script.lines().len(), 2);
    assert!(bench.clock.elapsed() >= Duration::from_mins(1), "{:?}", bench.clock.elapsed());
}

#[tokio::test]
async fn a_token_never_shows() {
    let bench = Bench::new();
    let query = Rules { into: TokenInto::Place(Place::Query("sid".into())), prefix: String::new(), ..rules() };
    let answers = vec![token("canary-token"), answer(422, &[], r#"{"message":"what is canary-token?"}"#)];
    let (client, _) = bench.alone(upstream_with(query), answers);
    let words = read(&client).await.unwrap_err().1;
    assert!(words.contains("•••") && !words.contains("canary"), "{words}");
    assert_eq!(client.without_credentials("https://up.test/c?sid=canary-token&a=1"), "https://up.test/c?a=1");
}
