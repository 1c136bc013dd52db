//! Owns: tests of one call: attempts, waits, credentials, hosts, redirects, words.
//!
//! Must not know: listings, writes.

use super::*;
use crate::rules::{Budget, Check, CostAt, NextAt, Place, RequestMatch, Signals};

const BASE: &str = "https://api.example.com/v1";

fn get(client: &Client) -> Built {
    client.build(&request("GET /c?q=1"), &Holes::default()).unwrap()
}

async fn call(
    answers: Vec<Result<Response, TransportError>>,
    safety: Safety,
) -> (Result<Response, Failure>, Arc<Script>, Arc<TestClock>) {
    let (script, clock) = (Script::new(answers), TestClock::new());
    let client = client(upstream(BASE), script.clone(), &clock);
    let result = client.send(get(&client), safety).await;
    (result, script, clock)
}

#[tokio::test]
async fn f28_a_read_is_tried_four_times_then_not_done() {
    let (result, script, clock) = call(vec![status(500), status(502), status(503), status(504)], Safety::Read).await;
    let failure = result.unwrap_err();
    assert_eq!((failure.kind, failure.status), (FailureKind::NotDone, Some(504)));
    assert_eq!(failure.words, "GET /c 504: no (4 attempts)");
    assert!(failure.retry_at.is_some());
    assert_eq!(script.asked().len(), 4);
    assert!(clock.elapsed() > Duration::ZERO && clock.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn f21_a_lost_answer_leaves_a_plain_write_unknown_and_is_not_sent_again() {
    let (result, script, _) = call(vec![Err(TransportError::Broken("reset".to_owned()))], Safety::Plain).await;
    assert_eq!(result.unwrap_err().kind, FailureKind::Unknown);
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn f41_a_reset_connection_is_retried_by_method() {
    let reset = || Err(TransportError::Broken("connection reset".to_owned()));
    for (safety, attempts) in [(Safety::Read, 2), (Safety::Idempotent, 2), (Safety::Plain, 1)] {
        let (result, script, _) = call(vec![reset(), status(200)], safety).await;
        assert_eq!((result.is_ok(), script.asked().len()), (attempts == 2, attempts), "{safety:?}");
    }
}

#[tokio::test]
async fn a_doubt_is_not_lifted_by_a_later_refusal() {
    let timed_out = || Err(TransportError::TimedOut("late".to_owned()));
    let not_sent = || Err(TransportError::NotSent("refused".to_owned()));
    for later in [
        vec![status(412)],
        vec![status(422)],
        vec![status(429), status(429), status(429)],
        vec![not_sent(), not_sent(), not_sent()],
    ] {
        let answers = std::iter::once(timed_out()).chain(later).collect();
        let (result, _, _) = call(answers, Safety::Idempotent).await;
        assert_eq!(result.unwrap_err().kind, FailureKind::Unknown);
    }
    let (result, _, _) = call(vec![timed_out(), status(200)], Safety::Idempotent).await;
    assert!(result.is_ok());
}

#[tokio::test]
async fn f23_a_429_gates_every_request_to_the_upstream() {
    let script = Script::new([answer(429, &[("retry-after", "20")], ""), status(200), status(200)]);
    let clock = TestClock::new();
    let client = client(upstream(BASE), script.clone(), &clock);
    assert!(client.send(get(&client), Safety::Plain).await.is_ok());
    assert!(clock.elapsed() >= Duration::from_secs(20) && clock.elapsed() <= Duration::from_secs(22));
}

#[tokio::test]
async fn s43_a_wait_beyond_the_limit_parks_the_work() {
    let (result, _, clock) = call(vec![answer(429, &[("retry-after", "7200")], "")], Safety::Plain).await;
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotDone);
    let wait = failure.retry_at.unwrap() - clock.now();
    assert!(wait > chrono::TimeDelta::seconds(7200) && wait <= chrono::TimeDelta::seconds(7920), "{wait}");
    assert_eq!(failure.words, "GET /c: the upstream asks to wait 2 h");
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

/// What a call does about each wait that it is asked for: seconds and dates are met, garbage is ignored, what is longer
/// than an hour is parked whatever the rules allow, and after a day the upstream is asked again.
#[tokio::test]
async fn f24_what_a_call_does_about_each_wait() {
    const NOW: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    let hour = 3600;
    let met = |from, to| (None, from, to);
    let parked = |from: u64, to: u64, words: &str| (Some(words.to_owned()), from, to);
    let table = [
        ("20", met(20, 22)),
        ("Tue, 14 Nov 2023 22:14:20 GMT", met(60, 66)),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", met(60, 66)),
        ("Tue Nov 14 22:14:20 2023", met(60, 66)),
        ("Tue, 14 Nov 2023 20:00:00 GMT", met(0, 0)),
        ("-5", met(0, 0)),
        // Throttled without a word that can be read: equal jitter of 2 s.
        ("soon", met(1, 2)),
        ("3000", met(3000, 3300)),
        ("7200", parked(2 * hour, 2 * hour + 720, "asks to wait 2 h")),
        ("Wed, 15 Nov 2023 00:13:20 GMT", parked(2 * hour, 2 * hour + 720, "asks to wait 2 h")),
        ("172800", parked(24 * hour, 27 * hour, "asks to wait 1 day (in fact 2 days: is the account blocked?)")),
        ("Sat, 14 Nov 2026 22:13:20 GMT", parked(24 * hour, 27 * hour, "(in fact 1096 days: is the account blocked?)")),
    ];
    for (text, (words, from, to)) in table {
        let script = Script::new([answer(429, &[("date", NOW), ("retry-after", text)], ""), status(200)]);
        let clock = TestClock::new();
        let rules = Upstream { retry: Retry { attempts: 4, max_wait: Duration::from_hours(48) }, ..upstream(BASE) };
        let client = client(rules, script, &clock);
        let result = client.send(get(&client), Safety::Plain).await;
        let waited = match (&result, &words) {
            (Ok(_), None) => clock.elapsed(),
            (Err(failure), Some(words)) if failure.kind == FailureKind::NotDone && failure.words.contains(words) => {
                assert_eq!(clock.elapsed(), Duration::ZERO);
                (failure.retry_at.unwrap() - clock.now()).to_std().unwrap()
            }
            _ => panic!("{text}: {result:?}"),
        };
        let (from, to) = (Duration::from_secs(from), Duration::from_secs(to));
        assert!(waited >= from && waited <= to, "{text}: {waited:?}");
    }
}

#[tokio::test]
async fn backoff_and_exhausted_limits_gate_the_next_request() {
    for headers in [("backoff", "5"), ("ratelimit", r#""d";r=0;t=5"#)] {
        let script = Script::new([answer(200, &[headers], "{}"), status(200)]);
        let clock = TestClock::new();
        let client = client(upstream(BASE), script, &clock);
        assert!(client.send(get(&client), Safety::Read).await.is_ok());
        assert_eq!(clock.elapsed(), Duration::ZERO);
        assert!(client.send(get(&client), Safety::Read).await.is_ok());
        assert_eq!(clock.elapsed(), Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_budget_paces_requests() {
    let clock = TestClock::new();
    let script = Script::new((0..6).map(|_| status(200)));
    let mut rules = upstream(BASE);
    rules.budgets.push(budget_of(2, Duration::from_secs(10)));
    let client = client(rules, script, &clock);
    for _ in 0..6 {
        client.send(get(&client), Safety::Read).await.unwrap();
    }
    assert!(clock.elapsed() >= Duration::from_secs(20) && clock.elapsed() < Duration::from_secs(22));
}

#[tokio::test]
async fn every_kind_of_credentials_is_sent() {
    let key = |place| Auth::ApiKey { place, value: template("Token ${key}") };
    let basic = Auth::Basic { username: template("ann"), password: template("${pw}") };
    let cases = [
        (Auth::None, "authorization", None),
        (Auth::Bearer { token: template("${token}") }, "authorization", Some("Bearer canary/token+7731")),
        (basic, "authorization", Some("Basic YW5uOmNhbmFyeS9wdys3NzMx")),
        (key(Place::Header("X-Key".to_owned())), "x-key", Some("Token canary/key+7731")),
    ];
    for (auth, name, expected) in cases {
        let script = Script::new([status(200)]);
        let client = client(Upstream { auth, ..upstream(BASE) }, script.clone(), &TestClock::new());
        client.send(get(&client), Safety::Read).await.unwrap();
        assert_eq!(script.header(0, name).as_deref(), expected);
        assert!(script.asked()[0].headers.get(name).is_none_or(::http::HeaderValue::is_sensitive));
    }
    let script = Script::new([status(200)]);
    let auth = key(Place::Query("api_key".to_owned()));
    let client = client(Upstream { auth, ..upstream(BASE) }, script.clone(), &TestClock::new());
    client.send(get(&client), Safety::Read).await.unwrap();
    assert_eq!(script.lines(), ["GET /v1/c?q=1&api_key=Token+canary%2Fkey%2B7731"]);
}

#[tokio::test]
async fn secrets_do_not_show() {
    let said = r#"{"message":"key canary/key+7731 is bad, canary%2Fkey%2B7731, YW5uOmNhbmFyeS9wdys3NzMx"}"#;
    for auth in [
        Auth::ApiKey { place: Place::Query("k".to_owned()), value: template("${key}") },
        Auth::Bearer { token: template("${key}") },
        Auth::Basic { username: template("ann"), password: template("${pw}") },
    ] {
        let script = Script::new([answer(400, &[], said), answer(200, &[], said)]);
        let shown_basic = matches!(auth, Auth::Basic { .. });
        let mut rules = Upstream { auth, ..upstream(BASE) };
        rules.headers.push(("x-more".to_owned(), template("${key} ${pw}")));
        let client = client(rules, script.clone(), &TestClock::new());
        let failure = client.send(get(&client), Safety::Read).await.unwrap_err();
        let answer = client.send(get(&client), Safety::Read).await.unwrap();
        let bad = client.bad_answer(&get(&client), &answer, "no records");
        let shown =
            format!("{failure} {failure:?} {bad} {bad:?} {client:?} {:?} {:?}", client.secrets(), script.asked());
        assert!(failure.words.contains("•••") && bad.words.contains("•••"), "{shown}");
        for form in ["canary/", "canary%2F", "q=1"] {
            assert!(!shown.contains(form), "{form} in {shown}");
        }
        assert!(!shown_basic || !shown.contains("YW5uOmNhbmFyeS9wdys3NzMx"), "{shown}");
    }
    let missing = Upstream { auth: Auth::Bearer { token: template("${missing}") }, ..upstream(BASE) };
    let script = Script::new([]);
    let failure = Client::new(Arc::new(missing), &lookup, script, TestClock::new()).unwrap_err();
    assert_eq!((failure.kind, failure.words.as_str()), (FailureKind::Fatal, "the secret `missing` is not set"));
}

#[tokio::test]
async fn f36_no_request_leaves_for_a_foreign_host() {
    let mut rules = upstream(BASE);
    rules.allowed_hosts.extend(["*.example.net".to_owned(), "files.example.org:8443".to_owned()]);
    let allowed = [
        ("https://api.example.com/x", true),
        ("https://a.b.example.net/x", true),
        ("https://files.example.org:8443/x", true),
        ("https://files.example.org/x", false),
        ("https://example.net/x", false),
        ("https://evilexample.net/x", false),
        ("https://api.example.com.evil.com/x", false),
        ("https://api.example.com:8443/x", false),
        ("http://api.example.com/x", false),
        ("https://user:pw@api.example.com/x", false),
        ("ftp://api.example.com/x", false),
        ("https://169.254.169.254/latest", false),
    ];
    for (url, expected) in allowed {
        let url = url::Url::parse(url).unwrap();
        assert_eq!(check_url(&rules, &url).is_ok(), expected, "{url}");
    }
    let script = Script::new([]);
    let client = client(rules, script.clone(), &TestClock::new());
    let mut built = get(&client);
    built.url = url::Url::parse("https://evil.test/steal?x=1").unwrap();
    let failure = client.send(built, Safety::Read).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Fatal);
    assert_eq!(failure.words, "host evil.test is not in allowed_hosts of upstream up");
    assert!(script.asked().is_empty());
}

#[test]
fn plain_http_is_for_loopback_or_on_request() {
    let of = |base: &str, insecure| {
        let rules = Upstream { insecure_http: insecure, ..upstream(base) };
        check_url(&rules, &rules.base_url).is_ok()
    };
    assert!(of("http://127.0.0.1:9", false) && of("http://localhost", false) && of("http://[::1]:9", false));
    assert!(!of("http://api.example.com", false) && of("http://api.example.com", true));
    assert!(!of("http://169.254.169.254", true));
}

#[tokio::test]
async fn f36_redirects_of_reads_stay_at_home() {
    let to = |place: &str| answer(307, &[("location", place)], "");
    let (result, script, _) = call(vec![to("/v2/c"), status(200)], Safety::Read).await;
    assert!(result.is_ok());
    assert_eq!(script.lines(), ["GET /v1/c?q=1", "GET /v2/c"]);
    let (result, script, _) = call(vec![to("https://evil.test/")], Safety::Read).await;
    assert_eq!((result.unwrap_err().kind, script.asked().len()), (FailureKind::BadAnswer, 1));
    let (result, script, _) = call(vec![to("/a"), to("/b"), to("/c"), to("/d")], Safety::Read).await;
    assert_eq!((result.unwrap_err().kind, script.asked().len()), (FailureKind::BadAnswer, 4));
    let (result, script, _) = call(vec![to("/a")], Safety::Plain).await;
    assert_eq!((result.unwrap_err().kind, script.asked().len()), (FailureKind::Unknown, 1));
}

#[tokio::test]
async fn f26_html_is_never_data() {
    let html = answer(200, &[("content-type", "text/html")], "<!doctype html><title>Sign in</title>");
    let (result, _, _) = call(vec![html.clone()], Safety::Read).await;
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadAnswer);
    assert_eq!(failure.words, "GET /c 200: text/html, begins `<!doctype html><title>Sign in</title>`");
    let (result, _, _) = call(vec![html], Safety::Plain).await;
    assert_eq!(result.unwrap_err().kind, FailureKind::Unknown);
}

#[tokio::test]
async fn the_check_tells_the_account() {
    let mut rules = upstream(BASE);
    rules.check = Some(Check { request: request("GET /me"), account: Some(path(".account.id")) });
    let script = Script::new([ok(&json!({"account": {"id": 42}})), ok(&json!({})), status(401)]);
    let client = client(rules, script.clone(), &TestClock::new());
    assert_eq!(client.check().await, Ok(Some("42".to_owned())));
    assert_eq!(client.check().await.unwrap_err().kind, FailureKind::BadAnswer);
    assert_eq!(client.check().await.unwrap_err().kind, FailureKind::Auth);
    assert_eq!(script.lines()[0], "GET /v1/me");
}

#[test]
fn holes_are_encoded_and_cannot_leave_their_segment() {
    let client = client(upstream(BASE), Script::new([]), &TestClock::new());
    let url = |id: &str| {
        client
            .build(&request("GET /c/{id}/x"), &Holes { id: Some(id), ..Holes::default() })
            .map(|built| built.url.to_string())
    };
    assert_eq!(url("a/b?c#d é").unwrap(), "https://api.example.com/v1/c/a%2Fb%3Fc%23d%20%C3%A9/x");
    assert_eq!(url("a:b@c").unwrap(), "https://api.example.com/v1/c/a%3Ab%40c/x");
    for id in ["", ".", ".."] {
        let failure = url(id).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid, "{id}");
        assert!(failure.words.starts_with(&format!("`{id}` cannot be a remote id in a path")), "{}", failure.words);
    }
    // Nor does any other spelling of dots lead elsewhere: the record's own segment stays one.
    for (id, segment) in [
        ("...", "..."),
        ("%2e%2e", "%252e%252e"),
        ("%2E", "%252E"),
        ("../b", "..%2Fb"),
        ("a/..", "a%2F.."),
        ("..\\b", "..%5Cb"),
        (". ", ".%20"),
        ("\t..", "%09.."),
    ] {
        assert_eq!(url(id).unwrap(), format!("https://api.example.com/v1/c/{segment}/x"), "{id:?}");
    }
    let version = |version: &str| fill_version(client.secrets(), &template("\"{version}\""), version).unwrap().text;
    assert_eq!([version("5"), version("\"5\""), version("W/\"5\"")], ["\"5\"", "\"5\"", "W/\"5\""]);
}

#[test]
fn a_parameter_with_several_values_stands_there_several_times() {
    let client = client(upstream(BASE), Script::new([]), &TestClock::new());
    let mut request = request("GET /c/{id}");
    let parameters = [("expand[]", "a"), ("n", "1"), ("expand[]", "b c"), ("expand[]", "{id}")];
    request.query = parameters.map(|(name, value)| (name.to_owned(), template(value))).to_vec();
    let mut built = client.build(&request, &Holes { id: Some("7"), ..Holes::default() }).unwrap();
    assert_eq!(built.url.query(), Some("expand%5B%5D=a&n=1&expand%5B%5D=b+c&expand%5B%5D=7"));
    // What the paging sets stands in the place of all of them.
    built.set_query("expand[]", "x");
    assert_eq!(built.url.query(), Some("n=1&expand%5B%5D=x"));
}

#[tokio::test]
async fn a_budget_is_spent_by_what_answers_say_and_shared_with_others() {
    let cost = |units: u64, left: u64| ok(&json!({ "cost": units, "left": left }));
    let clock = TestClock::new();
    let budget = Budget {
        cost: Cost { units: 10, answer: Path::parse(".cost").map(NextAt::Body).map(CostAt::Place) },
        signals: Some(Signals {
            remaining: Path::parse(".left").map(NextAt::Body),
            limit: None,
            reset: None,
            wait: None,
        }),
        ..budget_of(100, Duration::from_secs(10))
    };
    let rules = Upstream { budgets: vec![budget], ..upstream(BASE) };
    // Each takes less than was set aside; then one takes all that is left, then others have.
    let answers = [cost(2, 98), cost(2, 96), cost(96, 0), cost(2, 98), cost(2, 5), cost(2, 96)];
    let client = client(rules, Script::new(answers), &clock);
    let mut left_at = Vec::new();
    for _ in 0..6 {
        client.send(get(&client), Safety::Read).await.unwrap();
        left_at.push(clock.elapsed().as_millis());
    }
    let [_, _, third, fourth, fifth, sixth] = left_at[..] else { panic!("{left_at:?}") };
    assert!(third < 100, "{left_at:?}");
    assert!((10_000..10_600).contains(&(fourth - third)), "{left_at:?}");
    assert!(fifth - fourth < 100 && (1..10_000).contains(&(sixth - fifth)), "{left_at:?}");
}

#[tokio::test]
async fn every_request_is_counted_by_its_end_and_costs_what_budgets_that_cover_it_say() {
    let budget = |path: Option<&str>, cost_nano_usd| Budget {
        matches: RequestMatch { path: path.map(str::to_owned), method: None },
        cost_nano_usd,
        ..budget_of(100, Duration::from_secs(1))
    };
    let rules = Upstream { budgets: vec![budget(None, 100), budget(Some("/search*"), 5)], ..upstream(BASE) };
    let answers = [status(503), status(429), ok(&json!({})), status(404), ok(&json!({}))];
    let client = client(rules, Script::new(answers), &TestClock::new());
    let send = async |line: &str, safety| {
        let built = client.build(&request(line), &Holes::default()).unwrap();
        client.send(built, safety).await
    };
    assert!(send("GET /c", Safety::Read).await.is_ok());
    assert!(send("GET /c/1", Safety::Read).await.is_err());
    assert!(send("GET /search", Safety::Read).await.is_ok());
    let no = r#"{"message":"no"}"#.len() as u64;
    let asked = Asked {
        requests: 5,
        retries: 2,
        refused: 1,
        throttled: 1,
        failed: 1,
        sent_bytes: 0,
        received_bytes: 3 * no + 4,
        cost_nano_usd: 505,
    };
    // The clock stands within one day.
    assert_eq!(client.meter().take().days.into_values().collect::<Vec<_>>(), [asked]);
}
