//! Owns: what answers of authorization servers mean.
//!
//! Must not know: what follows for the tokens that are there.

use std::sync::Mutex;

use secrecy::ExposeSecret;

use super::*;
use crate::upstream::FailureKind;
use crate::upstream::oauth::server::{Answer, Server};
use crate::upstream::state::State;
use crate::upstream::tests::answer;
use crate::upstream::{Failure, Secrets};

fn server(rules: OAuth, answers: Vec<Result<Response, TransportError>>) -> (Server, Arc<Script>, Arc<TestClock>) {
    let (script, clock) = (Script::new(answers), TestClock::new());
    let mut secrets = Secrets::default();
    secrets.learn([&template("${secret}")], &lookup).unwrap();
    let upstream = Arc::new(upstream_with(rules.clone()));
    let state = Arc::new(Mutex::new(State::new(&upstream.budgets, upstream.breaker)));
    let (transport, of_server) = (script.clone(), clock.clone());
    (Server { upstream, rules, secrets, transport, clock: of_server, state, purse: None }, script, clock)
}

async fn asked(status: u16, body: &str) -> Answer {
    let (server, _, _) = server(oauth(Grant::ClientCredentials), vec![answer(status, &[], body)]);
    server.ask_for_tokens(&[("grant_type", "client_credentials")]).await
}

#[tokio::test]
async fn answers_with_tokens() {
    for (body, refresh, expires_in) in [
        (r#"{"access_token":"a","token_type":"Bearer","expires_in":3600,"refresh_token":"r"}"#, Some("r"), Some(3600)),
        (r#"{"access_token":"a","token_type":"bearer","expires_in":"3599"}"#, None, Some(3599)),
        (r#"{"access_token":"a","expires_in":59.9,"refresh_token":""}"#, None, Some(59)),
        (r#"{"access_token":"a","refresh_token":null,"expires_in":null}"#, None, None),
        (r#"{"access_token":"a","expires_in":"soon"}"#, None, None),
        (r#"{"access_token":"a","expires_in":1e300}"#, None, None),
    ] {
        let Answer::Granted(granted) = asked(200, body).await else { panic!("{body}") };
        assert_eq!(granted.access.expose_secret(), "a");
        assert_eq!(granted.refresh.as_ref().map(ExposeSecret::expose_secret), refresh, "{body}");
        assert_eq!(granted.expires_in, expires_in, "{body}");
    }
}

#[tokio::test]
async fn answers_that_refuse() {
    for (status, body, code, words) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"expired\nor revoked"}"#,
            "invalid_grant",
            "token request to https://id.test/token: answered 400 invalid_grant: expired or revoked",
        ),
        (
            200,
            r#"{"error":"bad_verification_code"}"#,
            "bad_verification_code",
            "token request to https://id.test/token: answered 200 bad_verification_code",
        ),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            "invalid_client",
            "token request to https://id.test/token: answered 401 invalid_client; are `client_id`, `client_secret` and \
             `client_auth` right?",
        ),
        (
            400,
            r#"{"error":{"code":"invalid_scope","message":"no canary/secret+7731"}}"#,
            "invalid_scope",
            "token request to https://id.test/token: answered 400 invalid_scope: no •••; are `scopes` right?",
        ),
    ] {
        let Answer::Refused(refusal) = asked(status, body).await else { panic!("{body}") };
        assert_eq!((refusal.code.as_str(), refusal.words.as_str()), (code, words));
    }
}

fn failed(answer: Answer) -> Failure {
    match answer {
        Answer::Failed(failure) => failure,
        Answer::Granted(_) | Answer::Refused(_) => panic!("no failure"),
    }
}

#[tokio::test]
async fn answers_that_cannot_be_understood() {
    for (status, body, words) in [
        (200, "<html>", "answered 200 without JSON"),
        (200, "{}", "answered 200 without a token and without an error"),
        (302, r#"{"access_token":"a"}"#, "answered 302 without a token and without an error"),
        (
            200,
            r#"{"access_token":"a","token_type":"mac"}"#,
            "gave a token of type `mac`, which is sent otherwise: see `prefix`",
        ),
    ] {
        let failure = failed(asked(status, body).await);
        assert_eq!(failure.kind, FailureKind::BadAnswer, "{body}");
        assert_eq!(failure.words, format!("token request to https://id.test/token: {words}"));
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_asked_again_and_not_for_ever() {
    let good = || answer(200, &[], r#"{"access_token":"a"}"#);
    let broke = || Err(TransportError::Broken("reset".into()));
    let rules = || oauth(Grant::ClientCredentials);
    let form = [("grant_type", "client_credentials")];
    let (server_, script, clock) = server(rules(), vec![broke(), answer(503, &[("retry-after", "2")], ""), good()]);
    assert!(matches!(server_.ask_for_tokens(&form).await, Answer::Granted(_)));
    assert_eq!(script.asked().len(), 3);
    assert!(clock.elapsed() >= Duration::from_secs(2), "{:?}", clock.elapsed());

    let (server_, script, _) = server(rules(), vec![broke(), broke(), answer(500, &[], "")]);
    let failure = failed(server_.ask_for_tokens(&form).await);
    assert_eq!(
        (failure.kind, failure.words.as_str(), script.asked().len()),
        (FailureKind::NotDone, "token request to https://id.test/token: answered 500", 3)
    );

    let (server_, _, clock) = server(rules(), vec![answer(429, &[("retry-after", "3600")], "")]);
    let failure = failed(server_.ask_for_tokens(&form).await);
    assert_eq!(failure.kind, FailureKind::NotDone);
    assert_eq!(failure.retry_at, Some(crate::clock::Clock::now(clock.as_ref()) + chrono::TimeDelta::hours(1)));

    let (server_, script, _) = server(rules(), vec![Err(TransportError::Certificate("expired".into()))]);
    assert_eq!(failed(server_.ask_for_tokens(&form).await).kind, FailureKind::Fatal);
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn the_client_says_who_it_is_as_the_rules_say() {
    // RFC 6749, 2.3.1: both parts are encoded as in a form before they are joined.
    let basic = "Basic Y2xpZW50OmNhbmFyeSUyRnNlY3JldCUyQjc3MzE=";
    for (auth, secret, header, in_form) in [
        (ClientAuth::Basic, true, Some(basic), vec![]),
        (ClientAuth::Body, true, None, vec![("client_id", "client"), ("client_secret", "canary/secret+7731")]),
        (ClientAuth::Body, false, None, vec![("client_id", "client")]),
    ] {
        let mut rules = oauth(Grant::ClientCredentials);
        let client = rules.client.as_mut().unwrap();
        client.auth = auth;
        client.secret = client.secret.take().filter(|_| secret);
        rules.token_params = vec![("audience".into(), template("https://api.test"))];
        let (server, script, _) = server(rules, vec![answer(200, &[], r#"{"access_token":"a"}"#)]);
        server.ask_for_tokens(&[("grant_type", "client_credentials")]).await;
        assert_eq!(script.lines(), ["POST /token"]);
        assert_eq!(script.header(0, "authorization").as_deref(), header);
        let mut expected = vec![("grant_type", "client_credentials"), ("audience", "https://api.test")];
        expected.extend(in_form);
        let sent = form(&script, 0);
        assert_eq!(sent.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(script.header(0, "content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    }
}
