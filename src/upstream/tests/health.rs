//! Owns: tests of asking an upstream whether it is well: what is asked, what is left out, what follows.
//!
//! Must not know: when it is asked.

use super::*;
use crate::rules::{ErrorClass, ErrorRule, Health as Rule};
use crate::upstream::health::{Pass, Probed};

const BASE: &str = "https://api.example.com/v1";

fn watched() -> Upstream {
    let health = Rule { request: request("GET /me"), every: Duration::from_mins(1), timeout: Duration::from_secs(3) };
    Upstream { health: Some(health), ..upstream(BASE) }
}

fn get(client: &Client) -> Built {
    client.build(&request("GET /c"), &Holes::default()).unwrap()
}

async fn probe(client: &Client) -> Probed {
    client.probe_health().await.unwrap()
}

#[tokio::test]
async fn an_upstream_is_up_by_a_success_and_down_by_anything_else() {
    let broken = Err(TransportError::TimedOut("no whole answer within 3s".to_owned()));
    let answers = [
        ok(&json!({})),
        status(503),
        status(401),
        answer(302, &[("location", "/x")], ""),
        broken,
        status(429),
        ok(&json!({})),
    ];
    let script = Script::new(answers);
    let client = client(watched(), script.clone(), &TestClock::new());
    let mut found = Vec::new();
    for _ in 0..7 {
        found.push(match probe(&client).await {
            Probed::Up(_) => "up".to_owned(),
            Probed::Down(words) => words,
            Probed::LeftOut(why) => format!("{why:?}"),
        });
    }
    let expected = [
        "up",
        "GET /me 503: no",
        "GET /me 401: the credentials are refused: no",
        "GET /me 302",
        "GET /me: timed out: no whole answer within 3s",
        "Throttled",
        // The answer before asked for a pause.
        "Budget",
    ];
    assert_eq!(found, expected);
    assert!(script.lines().iter().all(|line| line == "GET /v1/me"));
    assert!(script.asked().iter().all(|asked| asked.timeouts.total == Duration::from_secs(3)));
    let metered = client.meter().take();
    let health = metered.health.unwrap();
    assert_eq!((health.up, health.turned), (false, true));
    let answers: Vec<_> = metered.minutes.into_values().collect();
    assert_eq!((answers[0].latency.count(), answers[0].failed, answers.len()), (1, 4, 1));
    // They are requests like any other.
    assert_eq!(metered.days.into_values().map(|asked| asked.requests).sum::<u64>(), 6);
}

#[tokio::test]
async fn what_the_rules_call_a_success_is_one() {
    let errors = vec![ErrorRule { status: vec![404], headers: Vec::new(), when: None, class: ErrorClass::Ok }];
    let client = client(Upstream { errors, ..watched() }, Script::new([status(404)]), &TestClock::new());
    assert!(matches!(probe(&client).await, Probed::Up(_)));
}

#[tokio::test]
async fn a_probe_never_takes_what_a_budget_does_not_have() {
    let budgets = vec![budget_of(2, Duration::from_secs(10))];
    let clock = TestClock::new();
    let script = Script::new([ok(&json!({})), ok(&json!({})), ok(&json!({}))]);
    let client = client(Upstream { budgets, ..watched() }, script.clone(), &clock);
    assert!(client.send(get(&client), Safety::Read).await.is_ok());
    assert!(matches!(probe(&client).await, Probed::Up(_)));
    assert_eq!(probe(&client).await, Probed::LeftOut(Pass::Budget));
    assert_eq!(script.asked().len(), 2, "nothing was sent");
    clock.sleep(Duration::from_secs(11)).await;
    assert!(matches!(probe(&client).await, Probed::Up(_)));
}

#[tokio::test]
async fn while_the_breaker_is_open_nothing_is_asked_and_then_probes_close_it() {
    let clock = TestClock::new();
    let answers = (0..10).map(|_| status(500)).chain((0..5).map(|_| ok(&json!({}))));
    let script = Script::new(answers);
    let client = client(watched(), script.clone(), &clock);
    for _ in 0..10 {
        assert!(matches!(probe(&client).await, Probed::Down(_)));
    }
    assert_eq!(probe(&client).await, Probed::LeftOut(Pass::Breaker));
    assert_eq!(script.asked().len(), 10);
    clock.sleep(Duration::from_secs(40)).await;
    // Half-open: while somebody else probes, it does not.
    let other = client.probing.lock().await;
    assert_eq!(probe(&client).await, Probed::LeftOut(Pass::Breaker));
    drop(other);
    for _ in 0..4 {
        assert!(matches!(probe(&client).await, Probed::Up(_)));
    }
    assert_eq!(client.kept().breaker, None, "it is closed");
    assert!(matches!(probe(&client).await, Probed::Up(_)));
}

#[tokio::test]
async fn a_probe_waits_for_no_longer_than_its_answer_may_take() {
    let client = client(Upstream { concurrency: 1, ..watched() }, Script::new([]), &TestClock::new());
    let _all = client.flow.enter().await.unwrap();
    assert_eq!(probe(&client).await, Probed::LeftOut(Pass::Busy));
}

#[tokio::test]
async fn without_a_probe_the_requests_of_passes_tell_and_with_one_they_do_not() {
    let answers = || Script::new([ok(&json!({})), status(404), answer(503, &[], "no")]);
    for (rules, expected) in [(upstream(BASE), Some((false, 2, 1))), (watched(), None)] {
        let rules = Upstream { retry: Retry { attempts: 1, max_wait: Duration::from_mins(1) }, ..rules };
        let client = client(rules, answers(), &TestClock::new());
        for _ in 0..3 {
            client.send(get(&client), Safety::Read).await.ok();
        }
        let metered = client.meter().take();
        // That a record is not there says nothing against the upstream.
        let said = metered.health.zip(metered.minutes.into_values().next());
        let found = said.map(|(health, answers)| (health.up, answers.latency.count(), answers.failed));
        assert_eq!(found, expected);
    }
    let unwatched = client(upstream(BASE), Script::new([]), &TestClock::new());
    assert_eq!(probe(&unwatched).await, Probed::LeftOut(Pass::NotWanted));
}
