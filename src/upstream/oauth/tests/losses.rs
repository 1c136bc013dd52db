//! Owns: the proof that tokens survive what goes wrong between the server's answer and the disk, as far as they can.
//!
//! Must not know: the ordinary course of things.

use std::sync::Mutex;

use futures_util::future::BoxFuture;
use futures_util::poll;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::sync::oneshot;

use super::flows::{granted, read, refresh_of, refresh_token};
use super::*;
use crate::clock::Clock as _;
use crate::upstream::tests::{answer, ok};
use crate::upstream::{FailureKind, Outgoing, Transport};
use crate::vault::Kind;

/// A token endpoint whose answer comes when the test says so.
struct Held {
    sent: Mutex<Option<oneshot::Sender<()>>>,
    answer: Mutex<Option<oneshot::Receiver<Result<Response, TransportError>>>>,
}

impl Transport for Held {
    fn exchange(&self, _: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        let answer = self.answer.lock().unwrap().take().unwrap();
        self.sent.lock().unwrap().take().unwrap().send(()).unwrap();
        Box::pin(async move { answer.await.unwrap() })
    }
}

#[tokio::test]
async fn a_renewal_that_nobody_waits_for_any_more_is_ended_and_kept() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let ((sent, is_sent), (give, answer)) = (oneshot::channel(), oneshot::channel());
    let transport = Arc::new(Held { sent: Mutex::new(Some(sent)), answer: Mutex::new(Some(answer)) });
    let client = Client::new(Arc::new(upstream_with(refresh_token())), &lookup, transport, clock.clone()).unwrap();
    let client = client.keeping_tokens_in(&bench.vault());
    let mut waits = Box::pin(client.keeper().unwrap().tokens());
    assert!(poll!(&mut waits).is_pending());
    is_sent.await.unwrap();
    drop(waits);
    drop(client);
    give.send(granted("one", Some("second"), 3600)).unwrap();
    are_over().await;
    assert_eq!(refresh_of(&bench.kept().unwrap()), Some("second"));
}

#[tokio::test]
async fn f43_what_is_sent_is_noted_first_and_a_process_that_died_is_told_of() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let ((sent, is_sent), (_give, answer_comes)) = (oneshot::channel(), oneshot::channel());
    let transport = Arc::new(Held { sent: Mutex::new(Some(sent)), answer: Mutex::new(Some(answer_comes)) });
    let client = Client::new(Arc::new(upstream_with(refresh_token())), &lookup, transport, clock.clone()).unwrap();
    let client = client.keeping_tokens_in(&bench.vault());
    let mut waits = Box::pin(client.keeper().unwrap().tokens());
    assert!(poll!(&mut waits).is_pending());
    is_sent.await.unwrap();
    let noted = bench.kept().unwrap();
    assert_eq!((noted.asked_at, refresh_of(&noted)), (Some(clock.now()), Some("canary/first+7731")));

    // As the next process finds it, the lock being gone with the process.
    let died = bench.vault().get(Kind::Token, "crm").unwrap().unwrap();
    let after = Bench::new();
    after.vault().put(Kind::Token, "crm", &died, clock.now()).unwrap();
    clock.sleep(Duration::from_mins(1)).await;
    let no = answer(400, &[], r#"{"error":"invalid_grant"}"#);
    let (client, _) = after.client(refresh_token(), vec![no], &clock);
    let (kind, words) = read(&client).await.unwrap_err();
    assert_eq!(kind, FailureKind::Auth);
    assert!(
        words.contains(
            "invalid_grant; the answer to a renewal at 2023-11-14 22:13:20 UTC was not heard, by which the server may have \
             replaced the token; set a new `refresh_token` secret"
        ),
        "{words}"
    );

    // A server that is lenient about it ends the matter.
    let lenient = Bench::new();
    lenient.vault().put(Kind::Token, "crm", &died, clock.now()).unwrap();
    let (client, _) = lenient.client(refresh_token(), vec![granted("one", None, 60), ok(&json!([]))], &clock);
    read(&client).await.unwrap();
    assert_eq!(lenient.kept().unwrap().asked_at, None);
}

#[tokio::test]
async fn where_nothing_can_be_kept_nothing_is_asked_for() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let page = || ok(&json!([]));
    let answers =
        vec![granted("one", Some("second"), 3600), page(), page(), granted("two", Some("third"), 3600), page()];
    let (client, script) = bench.client(refresh_token(), answers, &clock);
    read(&client).await.unwrap();
    clock.sleep(Duration::from_mins(57)).await;
    bench.lock_the_disk(true);
    read(&client).await.unwrap();
    assert_eq!(script.lines().len(), 3, "the token that still counts is used, and the refresh token is not spent");
    bench.lock_the_disk(false);
    clock.sleep(Duration::from_secs(31)).await;
    read(&client).await.unwrap();
    assert_eq!(refresh_of(&bench.kept().unwrap()), Some("third"));
}

/// A disk that fills up between the question and the answer.
struct FillsUp(Arc<Script>, PathBuf);

impl Transport for FillsUp {
    fn exchange(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        if request.url.path() == "/token" {
            lock_the_disk(&self.1, true);
        }
        self.0.exchange(request)
    }
}

#[tokio::test]
async fn what_came_and_could_not_be_kept_is_kept_as_soon_as_it_can_be_and_not_used_before() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let script = Script::new(vec![granted("one", Some("second"), 3600), ok(&json!([]))]);
    let transport = Arc::new(FillsUp(script.clone(), bench.path("data.db.vault")));
    let client = Client::new(Arc::new(upstream_with(refresh_token())), &lookup, transport, clock.clone()).unwrap();
    let client = client.keeping_tokens_in(&bench.vault());
    for _ in 0..2 {
        let (kind, words) = read(&client).await.unwrap_err();
        assert!(kind == FailureKind::Fatal && words.contains("disk is full"), "{words}");
    }
    assert_eq!(script.lines(), ["POST /token"], "asked once");
    bench.lock_the_disk(false);
    read(&client).await.unwrap();
    assert_eq!(refresh_of(&bench.kept().unwrap()), Some("second"));
    assert_eq!(script.lines().len(), 2);
}

#[tokio::test]
async fn who_signs_in_anew_or_gives_tokens_up_is_noticed_by_others_at_once() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let page = || ok(&json!([]));
    let (daemon, script) =
        bench.client(refresh_token(), vec![granted("one", Some("second"), 3600), page(), page()], &clock);
    read(&daemon).await.unwrap();
    let kept = bench.kept().unwrap();
    let other = Tokens { access: "other".into(), login: "another".into(), ..kept };
    bench.vault().put(Kind::Token, "crm", &other.to_kept(), clock.now()).unwrap();
    read(&daemon).await.unwrap();
    assert_eq!(script.header(2, "authorization").as_deref(), Some("Bearer other"));
    assert!(bench.vault().remove(Kind::Token, "crm").unwrap());
    read(&daemon).await.unwrap_err();
}

#[tokio::test]
async fn a_process_that_hangs_with_the_lock_is_not_waited_for_for_ever() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let (client, script) = bench.client(refresh_token(), vec![], &clock);
    let _hangs = bench.vault().try_lock("crm").unwrap().unwrap();
    let (kind, words) = read(&client).await.unwrap_err();
    assert_eq!(kind, FailureKind::NotDone);
    assert!(words.contains("another process has been renewing the token for 3 minutes"), "{words}");
    assert!(words.contains("data.db.vault.crm.lock"), "{words}");
    assert_eq!(script.asked().len(), 0);
}

#[tokio::test]
async fn a_server_that_makes_no_sense_stops_nothing_while_the_token_counts() {
    let html = || answer(200, &[("content-type", "text/html")], "<html>maintenance</html>");
    let moved = || answer(302, &[("location", "https://elsewhere.test/")], "");
    let deep = || answer(200, &[], &"[".repeat(100_000));
    for nonsense in [html(), moved(), deep(), Err(TransportError::TooLarge { limit: 1 << 20 })] {
        let (bench, clock) = (Bench::new(), TestClock::new());
        let answers = vec![granted("one", Some("second"), 3600), ok(&json!([])), nonsense, ok(&json!([]))];
        let (client, script) = bench.client(refresh_token(), answers, &clock);
        read(&client).await.unwrap();
        clock.sleep(Duration::from_mins(57)).await;
        read(&client).await.unwrap();
        assert_eq!(script.header(3, "authorization").as_deref(), Some("Bearer one"));
        assert_eq!(refresh_of(&bench.kept().unwrap()), Some("second"));
    }
}

#[tokio::test]
async fn an_error_that_is_null_is_none_and_control_characters_reach_no_terminal() {
    let (bench, clock) = (Bench::new(), TestClock::new());
    let granted = ok(&json!({"access_token": "one", "refresh_token": "second", "error": null}));
    let (client, _) = bench.client(refresh_token(), vec![granted, ok(&json!([]))], &clock);
    read(&client).await.unwrap();
    assert_eq!(bench.kept().unwrap().access.expose_secret(), "one");

    let rules = oauth(Grant::DeviceCode { device_url: Url::parse("https://id.test/device").unwrap(), params: vec![] });
    let device =
        ok(&json!({"device_code": "d", "user_code": "A\u{1b}[2J", "verification_uri": "https://id.test/\u{7}"}));
    let (client, _) = bench.client(rules, vec![device], &clock);
    let device = client.keeper().unwrap().device().await.unwrap();
    assert_eq!((device.user_code.as_str(), device.verification_url.as_str()), ("A [2J", "https://id.test/ "));
}
