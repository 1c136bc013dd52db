//! Owns: the proof of what becomes of logins that are refused, cannot be kept, or come at a bad time.
//!
//! Must not know: sockets.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::record::Json;
use crate::rules::{Request, Retry, Timeouts};
use crate::upstream::Kept;
use crate::upstream::tests::lock_the_disk;

fn logins(script: &Script) -> usize {
    script.lines().iter().filter(|line| line.starts_with("POST /v1/login")).count()
}

fn refused() -> Result<Response, TransportError> {
    answer(403, &[], r#"{"message":"no"}"#)
}

impl Bench {
    /// A vault that somebody uses already, and where it is.
    fn begun(&self) -> std::path::PathBuf {
        let vault = self.vault();
        vault.put(Kind::Secret, "other", &SecretString::from("x"), self.clock.now()).unwrap();
        vault.path().to_owned()
    }
}

#[tokio::test]
async fn a_refusal_that_cannot_be_kept_is_not_forgotten() {
    let bench = Bench::new();
    let file = bench.begun();
    lock_the_disk(&file, true);
    let (client, script) = bench.process(upstream_with(rules()), vec![refused()]);
    for _ in 0..3 {
        assert_eq!(read(&client).await.unwrap_err().0, FailureKind::Auth);
    }
    // Whoever changes the vault changes nothing about that.
    lock_the_disk(&file, false);
    read(&client).await.unwrap_err();
    assert_eq!(logins(&script), 1);
    let (client, script) = bench.process(upstream_with(rules()), Vec::new());
    assert!(read(&client).await.unwrap_err().1.starts_with("reauth required: "));
    assert!(script.lines().is_empty(), "it is kept as soon as it can be");
}

#[tokio::test]
async fn a_token_that_cannot_be_kept_is_not_lost() {
    let bench = Bench::new();
    let file = bench.begun();
    lock_the_disk(&file, true);
    let (client, script) = bench.process(upstream_with(rules()), vec![token("one"), page(), page()]);
    read(&client).await.unwrap();
    lock_the_disk(&file, false);
    read(&client).await.unwrap();
    assert_eq!(logins(&script), 1);
    let (client, script) = bench.process(upstream_with(rules()), vec![page()]);
    read(&client).await.unwrap();
    assert_eq!(sent(&script, "authorization"), ["GET /v1/contacts Bearer one"]);
}

#[tokio::test]
async fn a_later_login_of_another_process_is_not_written_over() {
    let bench = Bench::new();
    let file = bench.begun();
    lock_the_disk(&file, true);
    let (first, script) = bench.process(upstream_with(rules()), vec![refused(), page()]);
    read(&first).await.unwrap_err();
    lock_the_disk(&file, false);
    bench.clock.sleep(Duration::from_secs(1)).await;
    let (second, _) = bench.process(upstream_with(rules()), vec![token("theirs")]);
    assert!(session(&second).log_in().await.unwrap());
    read(&first).await.unwrap();
    assert_eq!(sent(&script, "authorization")[1..], ["GET /v1/contacts Bearer theirs"]);
}

#[tokio::test]
async fn what_is_known_stays_known_when_there_is_a_vault_later() {
    let bench = Bench::new();
    let there = Arc::new(AtomicBool::new(false));
    let found = Arc::clone(&there);
    let find = move |_: &str| {
        let key = SecretString::from("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        if found.load(Ordering::Relaxed) { Ok((key, "environment".to_owned())) } else { Err("nowhere".to_owned()) }
    };
    let keys = KeyPlaces::new(bench.folder.path().join("secrets"), find);
    let vault = Arc::new(Vault::beside(&bench.folder.path().join("data.db"), keys));
    let (client, script) = bench.alone(upstream_with(rules()), vec![refused()]);
    let client = client.keeping_tokens_in(&vault);
    let words = read(&client).await.unwrap_err().1;
    let remedy = "; set its secrets right and reload, which tries them again also where they are right; `reconciled auth login crm` is \
                  heard of only where there is a vault: `reconciled key create` first";
    assert!(words.starts_with("reauth required: login: POST /login 403") && words.ends_with(remedy), "{words}");
    there.store(true, Ordering::Relaxed);
    let words = read(&client).await.unwrap_err().1;
    assert!(words.ends_with("try again: `reconciled auth login crm`"), "{words}");
    assert_eq!(logins(&script), 1);
    let (next, script) = bench.process(upstream_with(rules()), Vec::new());
    read(&next).await.unwrap_err();
    assert!(script.lines().is_empty());
}

#[tokio::test]
async fn a_login_tells_whether_other_processes_hear_of_it() {
    let bench = Bench::new();
    let (alone, _) = bench.alone(upstream_with(rules()), vec![token("one")]);
    let (shared, _) = bench.process(upstream_with(rules()), vec![token("two")]);
    let heard = (session(&alone).log_in().await, session(&shared).log_in().await);
    assert_eq!(heard, (Ok(false), Ok(true)));
}

/// Whoever sends anything else logs in as somebody else.
#[tokio::test]
async fn a_token_is_of_the_login_that_is_sent_in_all_its_parts() {
    let named = |name: &str| JsonTemplate::Text(template(name));
    let body = |tenant: &str, number: &str| {
        let number = JsonTemplate::Fixed(Json::Number(number.to_owned()));
        let password = ("password".to_owned(), named("${password}"));
        Some(JsonTemplate::Object(vec![password, (tenant.to_owned(), named("a")), ("realm".to_owned(), number)]))
    };
    let first = || Request {
        query: vec![("tenant".to_owned(), template("a"))],
        headers: vec![("x-one".to_owned(), template("a"))],
        body: body("tenant", "1"),
        ..request("POST /login")
    };
    let with = |login: Request| (Rules { login, ..rules() }, "a");
    let form = |name: &str| {
        let form = Some(vec![(name.to_owned(), template("${password}"))]);
        (Rules { login: Request { body: None, ..first() }, form, ..rules() }, "a")
    };
    let made = |(rules, org): &(Rules, &str)| {
        let headers = vec![("x-org".to_owned(), template(org))];
        Upstream { headers, ..upstream_with(rules.clone()) }
    };
    let cases = [
        ("query", with(first()), with(Request { query: vec![("tenant".to_owned(), template("b"))], ..first() })),
        ("number", with(first()), with(Request { body: body("tenant", "2"), ..first() })),
        ("member", with(first()), with(Request { body: body("account", "1"), ..first() })),
        ("header", with(first()), with(Request { headers: vec![("x-two".to_owned(), template("a"))], ..first() })),
        ("form", form("password"), form("secret")),
        ("the upstream's own header", with(first()), (with(first()).0, "b")),
    ];
    for (what, before, after) in cases {
        let bench = Bench::new();
        let (client, _) = bench.process(made(&before), vec![token("before"), page()]);
        read(&client).await.unwrap();
        let (client, script) = bench.process(made(&before), vec![page()]);
        read(&client).await.unwrap();
        assert_eq!(logins(&script), 0, "{what}: the same");
        let (client, script) = bench.process(made(&after), vec![token("after"), page()]);
        read(&client).await.unwrap();
        assert_eq!(logins(&script), 1, "{what}");
    }
}

#[tokio::test]
async fn an_end_that_is_past_is_no_end_and_is_not_asked_for_at_every_request() {
    let rules = Rules { lifetime: Lifetime::Told(path(".until")), ..rules() };
    for (past, told) in [
        (json!(0), "0"),
        (json!("0"), "0"),
        (json!(1_600_000_000), "1600000000"),
        (json!("2023-11-14T22:13:20Z"), "2023-11-14T22:13:20Z"),
    ] {
        let bench = Bench::new();
        let answers = vec![ok(&json!({"token": "one", "until": past}))];
        let (client, script) = bench.alone(upstream_with(rules.clone()), answers);
        let expected = format!(
            "login: POST /login 200: the token has ended already by .until of the answer ({told}); where that means never, leave \
             `expires` out or write `expires_in`"
        );
        for _ in 0..2 {
            assert_eq!(read(&client).await.unwrap_err(), (FailureKind::BadAnswer, expected.clone()));
        }
        assert_eq!(logins(&script), 1, "{told}");
    }
}

#[tokio::test]
async fn a_throttled_login_is_left_alone_for_as_long_as_the_upstream_says() {
    let limited = answer(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "3600")], "{}");
    for throttled in [answer(429, &[("retry-after", "3600")], "{}"), limited] {
        let bench = Bench::new();
        let (client, script) = bench.process(upstream_with(rules()), vec![throttled, token("one"), page()]);
        let built = client.build(&request("GET /contacts"), &Holes::default()).unwrap();
        let failure = client.send(built, Safety::Read).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotDone, "{failure}");
        assert!(failure.retry_at >= Some(bench.clock.now() + Duration::from_hours(1)), "{:?}", failure.retry_at);
        let Kept { asked_until, reauth, .. } = client.kept();
        assert!(asked_until.is_some() && reauth.is_none(), "every request waits, and no person is needed");
        for minutes in [1, 10, 48] {
            bench.clock.sleep(Duration::from_mins(minutes)).await;
            read(&client).await.unwrap_err();
        }
        assert_eq!(logins(&script), 1);
        bench.clock.sleep(Duration::from_mins(2)).await;
        read(&client).await.unwrap();
    }
}

#[tokio::test]
async fn a_login_tells_who_asks_it_to_wait() {
    let bench = Bench::new();
    let (client, script) = bench.process(upstream_with(rules()), Vec::new());
    client.remember(&Kept { asked_until: Some(bench.clock.now() + Duration::from_hours(1)), ..Kept::default() });
    let expected = (FailureKind::NotDone, "login: POST /login: the upstream asks to wait 1 h".to_owned());
    assert_eq!(read(&client).await.unwrap_err(), expected);
    assert!(script.lines().is_empty());
}

#[tokio::test]
async fn a_login_takes_no_longer_than_others_wait_for_it() {
    let bench = Bench::new();
    let slow = Timeouts { total: Duration::from_mins(30), ..upstream_with(rules()).timeout };
    let budget = budget_of(1, Duration::from_mins(10));
    let retry = Retry { attempts: 4, max_wait: Duration::from_hours(1) };
    let upstream = Upstream { timeout: slow, budgets: vec![budget], retry, ..upstream_with(rules()) };
    let (client, script) = bench.process(upstream, vec![token("one"), page()]);
    read(&client).await.unwrap();
    assert_eq!(script.asked()[0].timeouts.total, Duration::from_secs(30));
    let began = bench.clock.elapsed();
    let failure = session(&client).log_in().await.unwrap_err();
    assert_eq!((failure.kind, bench.clock.elapsed()), (FailureKind::NotDone, began), "{failure}");
    assert!(failure.words.starts_with("login: POST /login: a budget asks to wait "), "{failure}");
    assert!(failure.retry_at > Some(bench.clock.now()));
}

/// A request that had taken the only place of its budget would keep its own login waiting for the next one.
#[tokio::test]
async fn a_login_is_debited_before_the_request_that_it_is_for() {
    let bench = Bench::new();
    let upstream = Upstream { budgets: vec![budget_of(1, Duration::from_mins(10))], ..upstream_with(rules()) };
    let (client, script) = bench.process(upstream, vec![token("one"), page()]);
    read(&client).await.unwrap();
    assert_eq!(script.lines(), ["POST /v1/login", "GET /v1/contacts"]);
    assert_eq!(bench.clock.elapsed().as_secs(), 600);
}

#[tokio::test]
async fn a_login_by_hand_that_is_refused_ends_no_token_that_counts() {
    let bench = Bench::new();
    let (client, script) = bench.process(upstream_with(rules()), vec![token("one"), page(), refused(), page(), page()]);
    read(&client).await.unwrap();
    let failure = session(&client).log_in().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Auth);
    read(&client).await.unwrap();
    assert!(client.kept().reauth.is_some(), "a person should know before it has ended");
    // So it is for the next process.
    let (next, after) = bench.process(upstream_with(rules()), vec![page()]);
    read(&next).await.unwrap();
    assert!(next.kept().reauth.is_some());
    assert_eq!((logins(&script), logins(&after)), (2, 0));
    assert_eq!(sent(&after, "authorization"), ["GET /v1/contacts Bearer one"]);
}

#[tokio::test]
async fn a_token_in_its_last_minutes_waits_for_nobody_while_it_cannot_be_replaced() {
    for failing in [status(401), answer(429, &[("retry-after", "60")], "{}")] {
        let bench = Bench::new();
        let answers = vec![token("one"), page(), failing, page(), page()];
        let (client, script) = bench.process(upstream_with(rules()), answers);
        read(&client).await.unwrap();
        bench.clock.sleep(Duration::from_mins(56)).await;
        let tokens = session(&client).tokens().await.unwrap();
        assert_eq!(logins(&script), 2);
        // Another process has the turn.
        let _guard = bench.vault().try_lock("crm").unwrap().unwrap();
        let began = bench.clock.elapsed();
        assert!(session(&client).tokens().await.unwrap().are_the_same(&tokens));
        assert_eq!(bench.clock.elapsed(), began);
    }
}
