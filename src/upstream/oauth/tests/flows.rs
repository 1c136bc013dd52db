//! Owns: which tokens a client sends, and when it asks for others.
//!
//! Must not know: signatures.

use http::Method;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::clock::Clock as _;
use crate::rules::{Assertion, JwtAlgorithm};
use crate::upstream::tests::{answer, budget_of, ok, status};
use crate::upstream::{Built, FailureKind, Safety};

pub fn refresh_token() -> OAuth {
    oauth(Grant::RefreshToken(template("${first}")))
}

fn sign_in_rules() -> crate::rules::SignIn {
    crate::rules::SignIn {
        authorize_url: Url::parse("https://id.test/authorize?tenant=1").unwrap(),
        params: vec![("prompt".into(), template("consent"))],
        issuer: Some("https://id.test".into()),
        redirect_url: None,
    }
}

pub fn granted(access: &str, refresh: Option<&str>, expires_in: i64) -> Result<Response, TransportError> {
    ok(&json!({"access_token": access, "token_type": "Bearer", "expires_in": expires_in, "refresh_token": refresh}))
}

fn get(client: &Client) -> Built {
    let request = crate::upstream::tests::request("GET /contacts");
    client.build(&request, &crate::upstream::Holes::default()).unwrap()
}

pub async fn read(client: &Client) -> Result<u16, (FailureKind, String)> {
    let answered = client.send(get(client), Safety::Read).await;
    answered.map(|response| response.status).map_err(|failure| (failure.kind, failure.words))
}

fn bearers(script: &Script) -> Vec<String> {
    let to_api = |(at, _)| script.header(at, "authorization").filter(|value| value.starts_with("Bearer"));
    script.asked().into_iter().enumerate().filter_map(to_api).collect()
}

pub fn refresh_of(tokens: &Tokens) -> Option<&str> {
    tokens.refresh.as_ref().map(ExposeSecret::expose_secret)
}

#[tokio::test]
async fn a_client_that_asks_for_itself_asks_once_and_again_before_the_end() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let page = || ok(&json!([]));
    let answers = vec![granted("one", None, 3600), page(), page(), granted("two", None, 60), page(), page()];
    let (client, script) = bench.client(oauth(Grant::ClientCredentials), answers, &clock);
    read(&client).await.unwrap();
    clock.sleep(Duration::from_mins(54)).await;
    read(&client).await.unwrap();
    clock.sleep(Duration::from_mins(2)).await;
    read(&client).await.unwrap();
    clock.sleep(Duration::from_secs(29)).await;
    read(&client).await.unwrap();
    assert_eq!(bearers(&script), ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]);
    assert_eq!(field(&script, 0, "scope").as_deref(), Some("read write"));
    assert!(bench.kept().is_none(), "what can be had again is not kept");
    assert_eq!(client.keeper().unwrap().standing().await, Ok(Standing::AsNeeded));
}

/// A client of an upstream that lets one request through in so long, and has tokens at this address.
fn limited(token_url: &str, per: Duration, clock: &Arc<TestClock>) -> (Client, Arc<Script>) {
    let rules = OAuth { token_url: Url::parse(token_url).unwrap(), ..oauth(Grant::ClientCredentials) };
    let upstream = Upstream { budgets: vec![budget_of(1, per)], ..upstream_with(rules) };
    let script = Script::new(vec![granted("one", None, 36_000), ok(&json!([]))]);
    (Client::new(Arc::new(upstream), &lookup, script.clone(), clock.clone()).unwrap(), script)
}

#[tokio::test]
async fn a_token_that_is_had_at_the_upstream_is_debited_before_the_request_that_it_is_for() {
    let per = Duration::from_mins(10);
    for (token_url, lines, waits) in [
        ("https://up.test/oauth/token", ["POST /oauth/token", "GET /contacts"], per),
        // Another server is no business of its budgets.
        ("https://id.test/token", ["POST /token", "GET /contacts"], Duration::ZERO),
    ] {
        let clock = TestClock::new();
        let (client, script) = limited(token_url, per, &clock);
        read(&client).await.unwrap();
        assert_eq!(script.lines(), lines);
        assert_eq!(clock.elapsed().as_secs(), waits.as_secs(), "{token_url}");
    }
}

#[tokio::test]
async fn a_token_waits_for_room_in_budgets_for_a_minute_at_most() {
    let clock = TestClock::new();
    let (client, script) = limited("https://up.test/oauth/token", Duration::from_hours(1), &clock);
    client.turn_for_another().await.unwrap();
    let (kind, words) = read(&client).await.unwrap_err();
    assert_eq!((kind, clock.elapsed()), (FailureKind::NotDone, Duration::ZERO), "{words}");
    assert!(words.starts_with("token request: POST /oauth/token: a budget asks to wait "), "{words}");
    assert_eq!(script.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn an_assertion_is_exchanged_for_a_token() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let rules = OAuth {
        client: None,
        ..oauth(Grant::JwtBearer(Assertion {
            issuer: template("robot@test"),
            subject: None,
            audience: "https://id.test/token".into(),
            key: template("${key}"),
            key_id: Some(template("k1")),
            algorithm: JwtAlgorithm::Hs256,
            lifetime: Duration::from_mins(5),
        }))
    };
    let (client, script) = bench.client(rules, vec![granted("one", None, 3600), ok(&json!([]))], &clock);
    read(&client).await.unwrap();
    assert_eq!(field(&script, 0, "grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    let assertion = field(&script, 0, "assertion").unwrap();
    let parts: Vec<&str> = assertion.split('.').collect();
    let decoded = |part: &str| {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
    };
    assert_eq!(decoded(parts[0]), json!({"alg": "HS256", "typ": "JWT", "kid": "k1"}));
    let mut claims = decoded(parts[1]);
    claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(
        claims,
        json!({"iss": "robot@test", "aud": "https://id.test/token", "iat": 1_700_000_000, "exp": 1_700_000_300,
            "scope": "read write"})
    );
}

#[tokio::test]
async fn a_rotated_token_is_kept_before_it_is_used_and_serves_the_next_process() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let (client, script) =
        bench.client(refresh_token(), vec![granted("one", Some("second"), 3600), ok(&json!([]))], &clock);
    read(&client).await.unwrap();
    assert_eq!(field(&script, 0, "refresh_token").as_deref(), Some("canary/first+7731"));
    assert_eq!(refresh_of(&bench.kept().unwrap()), Some("second"));

    // Another process: the token still counts, nothing is asked for.
    let (client, script) = bench.client(refresh_token(), vec![ok(&json!([]))], &clock);
    read(&client).await.unwrap();
    assert_eq!(bearers(&script), ["Bearer one"]);

    // Later: the rotated one is used, and an answer without one keeps it.
    clock.sleep(Duration::from_hours(1)).await;
    let (client, script) = bench.client(refresh_token(), vec![granted("two", None, 3600), ok(&json!([]))], &clock);
    read(&client).await.unwrap();
    assert_eq!(field(&script, 0, "refresh_token").as_deref(), Some("second"));
    assert_eq!(refresh_of(&bench.kept().unwrap()), Some("second"));
    let bytes = std::fs::read(bench.vault().path()).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"second"));
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_used() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let (client, script) = bench.client(refresh_token(), vec![granted("one", Some("second"), 3600)], &clock);
    std::fs::create_dir(bench.path("data.db.vault")).unwrap();
    let (kind, words) = read(&client).await.unwrap_err();
    assert_eq!(kind, FailureKind::Fatal);
    assert!(words.contains("data.db.vault"), "{words}");
    assert_eq!(bearers(&script), [""; 0]);
}

#[tokio::test]
async fn f44_many_requests_at_once_renew_once() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let mut answers = vec![granted("one", Some("second"), 3600)];
    answers.extend((0..8).map(|_| ok(&json!([]))));
    let (client, script) = bench.client(refresh_token(), answers, &clock);
    let all = futures_util::future::join_all((0..8).map(|_| read(&client))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(script.lines().iter().filter(|line| *line == "POST /token").count(), 1);
}

#[tokio::test]
async fn f44_two_processes_renew_once() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let (one, first) =
        bench.client(refresh_token(), vec![granted("one", Some("second"), 3600), ok(&json!([]))], &clock);
    let (two, second) = bench.client(refresh_token(), vec![ok(&json!([]))], &clock);
    read(&one).await.unwrap();
    read(&two).await.unwrap();
    assert_eq!((bearers(&first), bearers(&second)), (vec!["Bearer one".to_owned()], vec!["Bearer one".to_owned()]));

    // Both hold the same token, which the upstream refuses before its end: one renews, the other sees that before it asks.
    let refused = || answer(401, &[], "");
    let answers = vec![refused(), granted("two", Some("third"), 3600), ok(&json!([]))];
    let (one, first) = bench.client(refresh_token(), answers, &clock);
    let (two, second) = bench.client(refresh_token(), vec![ok(&json!([]))], &clock);
    two.keeper().unwrap().tokens().await.unwrap();
    read(&one).await.unwrap();
    read(&two).await.unwrap();
    assert_eq!(bearers(&first), ["Bearer one", "Bearer two"]);
    assert_eq!(bearers(&second), ["Bearer two"]);
}

#[tokio::test]
async fn f42_a_refused_token_is_renewed_once_a_call_and_a_write_is_sent_again() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let answers = vec![
        granted("one", Some("second"), 3600),
        answer(401, &[], ""),
        granted("two", Some("third"), 3600),
        status(201),
        answer(401, &[], ""),
        granted("three", Some("fourth"), 3600),
        answer(401, &[], ""),
    ];
    let (client, script) = bench.client(refresh_token(), answers, &clock);
    let write = || Built { method: Method::POST, ..get(&client) };
    client.send(write(), Safety::Plain).await.unwrap();
    let failure = client.send(write(), Safety::Plain).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Auth, "refused with the new one, too");
    assert_eq!(bearers(&script), ["Bearer one", "Bearer two", "Bearer two", "Bearer three"]);
}

#[tokio::test]
async fn a_refresh_token_that_counts_no_more_pauses_the_upstream_until_there_is_another() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let no = || answer(400, &[], r#"{"error":"invalid_grant","error_description":"revoked"}"#);
    let (client, script) = bench.client(refresh_token(), vec![no()], &clock);
    let expected = "reauth required: token request to https://id.test/token: answered 400 invalid_grant: revoked; set a \
                    new `refresh_token` secret and reload";
    for _ in 0..3 {
        assert_eq!(read(&client).await, Err((FailureKind::Auth, expected.to_owned())));
    }
    assert_eq!(script.asked().len(), 1, "a server that said no is left alone");
    let (client, script) = bench.client(refresh_token(), vec![], &clock);
    assert_eq!(read(&client).await, Err((FailureKind::Auth, expected.to_owned())), "also by the next process");
    assert_eq!(script.asked().len(), 0);
    assert!(matches!(client.keeper().unwrap().standing().await, Ok(Standing::Again(_))));

    // Another secret is another beginning.
    let rules = oauth(Grant::RefreshToken(template("${another}")));
    let (client, script) = bench.client(rules, vec![granted("one", Some("second"), 60), ok(&json!([]))], &clock);
    read(&client).await.unwrap();
    assert_eq!(field(&script, 0, "refresh_token").as_deref(), Some("canary/another+7731"));
}

#[tokio::test]
async fn a_server_that_is_away_stops_nothing_while_the_token_counts() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let page = || ok(&json!([]));
    let away = || answer(503, &[], "");
    let answers = vec![
        granted("one", Some("second"), 3600),
        page(),
        away(),
        away(),
        away(),
        page(),
        page(),
        granted("two", None, 3600),
        page(),
    ];
    let (client, script) = bench.client(refresh_token(), answers, &clock);
    read(&client).await.unwrap();
    clock.sleep(Duration::from_mins(56)).await;
    read(&client).await.unwrap();
    read(&client).await.unwrap();
    clock.sleep(Duration::from_secs(31)).await;
    read(&client).await.unwrap();
    assert_eq!(bearers(&script), ["Bearer one", "Bearer one", "Bearer one", "Bearer two"]);

    clock.sleep(Duration::from_hours(2)).await;
    let (client, _) = bench.client(refresh_token(), vec![away(), away(), away()], &clock);
    let (kind, words) = read(&client).await.unwrap_err();
    assert_eq!((kind, words.as_str()), (FailureKind::NotDone, "token request to https://id.test/token: answered 503"));
}

#[tokio::test]
async fn a_person_signs_in_and_what_is_not_the_answer_is_refused() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let rules = || OAuth { scopes: vec!["read".into()], ..oauth(Grant::AuthorizationCode(sign_in_rules())) };
    let (client, _) = bench.client(rules(), vec![], &clock);
    assert_eq!(
        read(&client).await,
        Err((
            FailureKind::Auth,
            "reauth required: nobody is signed in; sign in with `reconciled auth login crm`".to_owned()
        ))
    );
    let (client, script) = bench.client(rules(), vec![granted("one", Some("r"), 3600), ok(&json!([]))], &clock);
    let keeper = client.keeper().unwrap();
    let sign_in = keeper.sign_in("http://127.0.0.1:7777/callback".into()).unwrap();
    let query: std::collections::BTreeMap<String, String> = sign_in.url.query_pairs().into_owned().collect();
    let state = query["state"].clone();
    for (name, value) in [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", "client"),
        ("redirect_uri", "http://127.0.0.1:7777/callback"),
        ("scope", "read"),
        ("code_challenge_method", "S256"),
        ("prompt", "consent"),
    ] {
        assert_eq!(query[name], value);
    }
    assert_eq!(state.len(), 43);

    let iss = "iss=https%3A%2F%2Fid.test";
    for (query, words) in [
        (format!("code=c&state=x{state}&{iss}"), "is not the answer to this sign-in"),
        (format!("code=c&{iss}"), "is not the answer to this sign-in"),
        ("error=access_denied".to_owned(), "is not the answer to this sign-in"),
        (format!("code=c&state={state}&iss=https://evil.test"), "the answer is from https://evil.test"),
        (format!("code=c&state={state}"), "does not say from whom it is (`iss`)"),
        (
            format!("error=access_denied&error_description=no&state={state}&{iss}"),
            "the sign-in was refused: access_denied: no",
        ),
        (format!("state={state}&{iss}"), "holds no code"),
    ] {
        let failure = keeper.signed_in(&sign_in, &read_back_url(&query)).await.unwrap_err();
        assert!(failure.kind == FailureKind::Auth && failure.words.contains(words), "{query}: {}", failure.words);
    }
    assert_eq!(script.asked().len(), 0, "nothing of these reached the server");

    keeper.signed_in(&sign_in, &read_back_url(&format!("code=c&state={state}&{iss}"))).await.unwrap();
    assert_eq!(field(&script, 0, "code").as_deref(), Some("c"));
    assert_eq!(field(&script, 0, "redirect_uri").as_deref(), Some("http://127.0.0.1:7777/callback"));
    let verifier = SecretString::from(field(&script, 0, "code_verifier").unwrap());
    assert_eq!(signin::challenge(&verifier), query["code_challenge"]);
    read(&client).await.unwrap();
    assert_eq!(bearers(&script), ["Bearer one"]);
    let Ok(Standing::In { renewable: true, expires_at: Some(_), .. }) = keeper.standing().await else { panic!() };
}

#[tokio::test]
async fn somebody_who_signs_in_while_another_process_waits_is_met_there() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let rules = || oauth(Grant::AuthorizationCode(crate::rules::SignIn { issuer: None, ..sign_in_rules() }));
    let (daemon, _) = bench.client(rules(), vec![ok(&json!([]))], &clock);
    read(&daemon).await.unwrap_err();
    let (person, _) = bench.client(rules(), vec![granted("one", None, 3600)], &clock);
    let sign_in = person.keeper().unwrap().sign_in("http://127.0.0.1:1/".into()).unwrap();
    let query: std::collections::BTreeMap<String, String> = sign_in.url.query_pairs().into_owned().collect();
    let back = read_back_url(&format!("code=c&state={}", query["state"]));
    person.keeper().unwrap().signed_in(&sign_in, &back).await.unwrap();
    read(&daemon).await.unwrap();

    // Without a refresh token it ends for good.
    clock.sleep(Duration::from_hours(2)).await;
    let (_, words) = read(&daemon).await.unwrap_err();
    assert!(words.contains("the token has ended, and the server gave none to renew it with"), "{words}");
}

#[tokio::test]
async fn a_person_signs_in_on_another_device() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let rules = oauth(Grant::DeviceCode { device_url: Url::parse("https://id.test/device").unwrap(), params: vec![] });
    let pending = |code: &str| answer(400, &[], &json!({ "error": code }).to_string());
    let begun = json!({"device_code": "d", "user_code": "WDJB-MJHT", "verification_uri": "https://id.test/activate",
        "verification_uri_complete": "https://id.test/activate?c=1", "expires_in": 900, "interval": 5});
    let answers = vec![
        ok(&begun),
        pending("authorization_pending"),
        pending("slow_down"),
        Err(TransportError::Broken("reset".into())),
        pending("authorization_pending"),
        granted("one", Some("r"), 3600),
    ];
    let (client, script) = bench.client(rules.clone(), answers, &clock);
    let keeper = client.keeper().unwrap();
    let mut device = keeper.device().await.unwrap();
    assert_eq!(
        (device.user_code.as_str(), device.verification_url.as_str()),
        ("WDJB-MJHT", "https://id.test/activate")
    );
    let mut rounds = 1;
    while keeper.asked_device(&mut device).await.unwrap().is_err() {
        rounds += 1;
    }
    assert_eq!((rounds, script.asked().len()), (4, 6));
    assert_eq!(field(&script, 5, "grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:device_code"));
    assert!(clock.elapsed() >= Duration::from_secs(5 + 5 + 10 + 10), "as slowly as asked: {:?}", clock.elapsed());
    assert!(bench.kept().is_some());

    for (code, words) in
        [("access_denied", "refused there"), ("expired_token", "in time"), ("invalid_client", "client_id")]
    {
        let (client, _) = bench.client(rules.clone(), vec![ok(&begun), pending(code)], &clock);
        let mut device = client.keeper().unwrap().device().await.unwrap();
        let failure = client.keeper().unwrap().asked_device(&mut device).await.unwrap_err();
        assert!(failure.words.contains(words), "{}", failure.words);
    }
}

#[tokio::test]
async fn tokens_are_given_up_there_and_here() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let mut rules = refresh_token();
    rules.revoke_url = Some(Url::parse("https://id.test/revoke").unwrap());
    let answers = vec![
        granted("one", Some("second"), 3600),
        answer(400, &[], r#"{"error":"unsupported_token_type"}"#),
        status(200),
    ];
    let (client, script) = bench.client(rules, answers, &clock);
    let keeper = client.keeper().unwrap();
    keeper.tokens().await.unwrap();
    let failure = keeper.revoke().await.unwrap_err();
    assert!(failure.words.ends_with("/revoke: answered 400 unsupported_token_type"), "{}", failure.words);
    assert!(bench.kept().is_some(), "what still counts there is not forgotten here");
    assert!(keeper.revoke().await.unwrap());
    assert_eq!(field(&script, 2, "token").as_deref(), Some("second"));
    assert!(bench.kept().is_none());
    assert!(!keeper.revoke().await.unwrap());
}

#[tokio::test]
async fn another_sign_in_is_asked_anew_whose_account_it_is() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let mut upstream = upstream_with(refresh_token());
    upstream.check = Some(crate::rules::Check {
        request: crate::upstream::tests::request("GET /me"),
        account: Some(crate::upstream::tests::path(".id")),
    });
    let of = |account: &str| ok(&json!({ "id": account }));
    let script = Script::new(vec![granted("one", Some("second"), 3600), of("a"), of("b")]);
    let client = Client::new(Arc::new(upstream), &lookup, script, clock.clone()).unwrap();
    let client = client.keeping_tokens_in(&bench.vault());
    for _ in 0..2 {
        assert_eq!(client.check_account().await, Ok(Some("a".to_owned())), "asked once");
    }
    clock.sleep(Duration::from_mins(58)).await;
    let kept = bench.kept().unwrap();
    let expires_at = Some(clock.now() + chrono::TimeDelta::hours(1));
    let other = Tokens { login: "another".into(), access: "other".into(), expires_at, ..kept };
    bench.vault().put(crate::vault::Kind::Token, "crm", &other.to_kept(), clock.now()).unwrap();
    assert_eq!(client.check_account().await, Ok(Some("b".to_owned())));
}
