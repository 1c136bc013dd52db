//! Owns: tests of what a client does with an upstream that fails: the breaker, the retry budget, what outlives the process.
//!
//! Must not know: listings, writes.

use super::*;
use crate::rules::Check;
use crate::spending::Spending;
use crate::upstream::breaker::{Breaker, Leave, Remembered};
use crate::upstream::state::State;

const BASE: &str = "https://api.example.com/v1";
const SECOND: Duration = Duration::from_secs(1);

fn get(client: &Client) -> Built {
    client.build(&request("GET /c"), &Holes::default()).unwrap()
}

fn post(client: &Client) -> Built {
    client.build(&request("POST /c"), &Holes::default()).unwrap()
}

/// What a line of calls leads to: `x` failed, `.` did not, a number waits so many seconds.
fn after(steps: &str) -> (Breaker, Duration) {
    let (mut breaker, mut now) = (Breaker::new(BreakerRules::default()), Duration::from_secs(1000));
    for step in steps.split_whitespace() {
        if let Ok(seconds) = step.parse() {
            now += Duration::from_secs(seconds);
            continue;
        }
        for call in step.chars() {
            let leave = breaker.ask(now);
            assert!(!matches!(leave, Leave::Refused(_)), "{steps}: no call leaves while it is open");
            breaker.note(leave == Leave::Probe, call == 'x', now, 0);
        }
    }
    (breaker, now)
}

#[test]
fn f25_the_breaker_opens_and_closes_as_the_table_says() {
    let open = |seconds| Leave::Refused(Duration::from_secs(seconds));
    let table = [
        ("", Leave::Free),
        ("xxxxxxxxx", Leave::Free),
        ("xxxxxxxxxx", open(30)),
        // Half of at least ten.
        (".....xxxx", Leave::Free),
        (".....xxxxx", open(30)),
        ("......xxxxx", Leave::Free),
        ("......xxxxxx", open(30)),
        // A success never opens it, however many failed before.
        ("xxxxxxxxx.", Leave::Free),
        ("xxxxxxxxx.x", open(30)),
        // Of slow calls the last twenty count …
        (".................... 61 xxxxxxxxx", Leave::Free),
        (".................... 61 xxxxxxxxxx", open(30)),
        ("xxxxx 7200 xxxxx", open(30)),
        // … of fast ones all of a minute.
        (".............................. xxxxxxxxxxxxxxx", Leave::Free),
        (".............................. xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", open(30)),
        // Open, then half-open: one probe and three more close it, each failure opens it for twice as long.
        ("xxxxxxxxxx 29", open(1)),
        ("xxxxxxxxxx 30", Leave::Probe),
        ("xxxxxxxxxx 30 .", Leave::Probe),
        ("xxxxxxxxxx 30 ...", Leave::Probe),
        ("xxxxxxxxxx 30 ....", Leave::Free),
        ("xxxxxxxxxx 30 x", open(60)),
        ("xxxxxxxxxx 30 ...x", open(60)),
        ("xxxxxxxxxx 30 x 60 x", open(120)),
        ("xxxxxxxxxx 30 x 60 x 120 x 240 x", open(480)),
        ("xxxxxxxxxx 30 x 60 x 120 x 240 x 480 x", open(600)),
        ("xxxxxxxxxx 30 x 60 x 120 x 240 x 480 x 600 x 600 x", open(600)),
        // Closed, it begins anew.
        ("xxxxxxxxxx 30 x 60 .... xxxxxxxxx", Leave::Free),
        ("xxxxxxxxxx 30 x 60 .... xxxxxxxxxx", open(30)),
    ];
    for (steps, expected) in table {
        let (mut breaker, now) = after(steps);
        assert_eq!(breaker.ask(now), expected, "{steps:?}");
    }
}

#[test]
fn the_breaker_has_jitter_on_top_and_knows_late_answers() {
    let (mut breaker, now) = (Breaker::new(BreakerRules::default()), Duration::from_secs(5));
    for _ in 0..10 {
        breaker.note(false, true, now, u64::MAX);
    }
    let open = breaker.open_for(now).unwrap();
    assert!(open > Duration::from_secs(32) && open <= Duration::from_secs(33), "{open:?}");
    // What left before it opened changes nothing, neither while it is open nor when it is half-open.
    let then = now + open;
    breaker.note(false, false, now, 0);
    assert_eq!((breaker.ask(then), breaker.open_for(then)), (Leave::Probe, None));
    breaker.note(false, true, then, 0);
    assert_eq!(breaker.ask(then), Leave::Probe);
}

#[test]
fn the_breaker_outlives_the_process() {
    let zero = Duration::ZERO;
    let of = |steps: &str| {
        let (breaker, now) = after(steps);
        let mut next = Breaker::remember(BreakerRules::default(), breaker.kept(now)?, zero);
        Some((next.ask(zero), next))
    };
    assert!(of("....").is_none(), "nothing to tell");
    let (leave, mut next) = of("xxxxxxxxx").unwrap();
    assert_eq!(leave, Leave::Free);
    next.note(false, true, zero, 0);
    assert_eq!(next.ask(zero), Leave::Refused(Duration::from_secs(30)), "the tenth");
    assert_eq!(of("xxxxxxxxxx 10").unwrap().0, Leave::Refused(Duration::from_secs(20)));
    let (leave, mut next) = of("xxxxxxxxxx 30 x 60 ...").unwrap();
    assert_eq!(leave, Leave::Probe);
    next.note(true, true, zero, 0);
    assert_eq!(next.ask(zero), Leave::Refused(Duration::from_mins(2)), "the third time in a row");
    // A clock that was set back a year between the processes must not keep it open for a year.
    let year = Remembered::Open { left: Duration::from_hours(24 * 365), openings: 1 };
    assert!(Breaker::remember(BreakerRules::default(), year, zero).open_for(zero).unwrap() <= Duration::from_mins(11));
}

/// What is kept has whole seconds: a breaker that is half-open in the second half of one is not open for the next process.
#[tokio::test]
async fn f25_a_half_open_breaker_is_not_open_for_a_process_that_follows_at_once() {
    let clock = TestClock::new();
    clock.sleep(Duration::from_millis(700)).await;
    let breaker = KeptBreaker { state: BreakerState::Open, until: None, openings: 1, recent: String::new() };
    let mut kept = Kept { breaker: Some(breaker), ..Kept::default() };
    for _process in 0..3 {
        let script = Script::new([status(200)]);
        let client = client(upstream(BASE), script.clone(), &clock);
        client.remember(&kept);
        assert!(client.send(get(&client), Safety::Read).await.is_ok());
        kept = client.kept();
        assert!(kept.breaker.is_some(), "one probe is not enough");
    }
}

/// Passes every five minutes against an upstream that answers nothing for six hours; each reads one page and writes once.
#[tokio::test]
async fn f25_an_outage_of_six_hours_costs_few_requests_and_ends_with_probes() {
    let mut hours = Vec::new();
    for failure in [Err(TransportError::NotSent("refused".to_owned())), status(502)] {
        let clock = TestClock::new();
        let script = Script::new((0..500).map(|_| failure.clone()));
        let client = client(upstream(BASE), script.clone(), &clock);
        let begin = clock.elapsed();
        while clock.elapsed().saturating_sub(begin) < Duration::from_hours(6) {
            assert!(client.send(get(&client), Safety::Read).await.is_err());
            let before = script.asked().len();
            if client.kept().breaker.is_some_and(|breaker| breaker.state == BreakerState::Open) {
                let failure = client.send(post(&client), Safety::Plain).await.unwrap_err();
                assert_eq!((failure.kind, script.asked().len()), (FailureKind::Unavailable, before), "{failure}");
                assert!(failure.retry_at.is_some_and(|at| at > clock.now()));
                assert!(failure.words.contains("POST /c: up failed too often, it is left alone for"), "{failure}");
            }
            clock.sleep(Duration::from_mins(5)).await;
        }
        hours.push(script.asked().len());
        // It is back: four reads one after the other, then everything.
        clock.sleep(Duration::from_mins(11)).await;
        *script.answers.lock().unwrap() = (0..6).map(|_| status(200)).collect();
        script.asked.lock().unwrap().clear();
        let reads = (0..3).map(|_| client.send(get(&client), Safety::Read));
        assert!(futures_util::future::join_all(reads).await.iter().all(Result::is_ok));
        assert!(client.kept().breaker.is_some(), "half-open after three");
        assert!(client.send(post(&client), Safety::Plain).await.is_ok());
        assert_eq!(script.lines(), ["GET /v1/c", "GET /v1/c", "GET /v1/c", "GET /v1/c", "POST /v1/c"]);
        assert_eq!(client.kept(), Kept::default(), "closed, and nothing to tell");
    }
    assert!(hours.iter().all(|requests| (20..60).contains(requests)), "{hours:?} instead of 288");
}

/// A write of unknown outcome is told by what it met, not by what keeps it from being tried again: here a budget.
#[tokio::test]
async fn f25_a_write_that_may_have_been_done_says_what_it_met() {
    let script = Script::new([Err(TransportError::TimedOut("no answer in 5 s".to_owned()))]);
    let mut rules = upstream(BASE);
    rules.budgets = vec![budget_of(1, Duration::from_hours(24))];
    let client = client(rules, script.clone(), &TestClock::new());
    let failure = client.send(post(&client), Safety::Idempotent).await.unwrap_err();
    assert_eq!((failure.kind, script.lines().len()), (FailureKind::Unknown, 1), "{failure}");
    let (first, then) = failure.words.split_once("; not tried again: ").unwrap();
    assert!(first.starts_with("POST /c: ") && first.contains("no answer in 5 s"), "{failure}");
    assert!(then.contains("a budget asks to wait"), "{failure}");
}

/// A write that is the first to meet an upstream that may be back.
#[tokio::test]
async fn f25_a_write_waits_for_probes_that_read() {
    let opened = |transport: Arc<Script>, check: bool| {
        let mut rules = upstream(BASE);
        rules.check = check.then(|| Check { request: request("GET /me"), account: None });
        let client = client(rules, transport, &TestClock::new());
        let breaker = KeptBreaker { state: BreakerState::Open, until: None, openings: 1, recent: String::new() };
        client.remember(&Kept { breaker: Some(breaker), ..Kept::default() });
        client
    };
    let script = Script::new((0..5).map(|_| status(200)));
    let client = opened(script.clone(), true);
    assert!(client.send(post(&client), Safety::Plain).await.is_ok());
    assert_eq!(script.lines(), ["GET /v1/me", "GET /v1/me", "GET /v1/me", "GET /v1/me", "POST /v1/c"]);
    // A probe that fails keeps the write back.
    let script = Script::new([status(200), status(500)]);
    let client = opened(script.clone(), true);
    let failure = client.send(post(&client), Safety::Plain).await.unwrap_err();
    assert_eq!((failure.kind, script.lines().len()), (FailureKind::Unavailable, 2));
    // Where nothing can be read it probes itself.
    let script = Script::new([status(500)]);
    let client = opened(script.clone(), false);
    let failure = client.send(post(&client), Safety::Plain).await.unwrap_err();
    assert_eq!((failure.kind, script.lines().len()), (FailureKind::Unknown, 1));
    assert_eq!(client.send(post(&client), Safety::Plain).await.unwrap_err().kind, FailureKind::Unavailable);
}

#[tokio::test]
async fn f23_neither_a_storm_of_429_nor_refusals_open_the_breaker() {
    for code in [400, 401, 403, 404, 409, 412, 422, 429] {
        let script = Script::new((0..40).map(|_| status(code)));
        let rules = Upstream { retry: Retry { attempts: 1, max_wait: Duration::from_hours(1) }, ..upstream(BASE) };
        let client = client(rules, script.clone(), &TestClock::new());
        for _ in 0..40 {
            let failure = client.send(get(&client), Safety::Read).await.unwrap_err();
            assert_ne!(failure.kind, FailureKind::Unavailable);
        }
        assert_eq!((client.kept().breaker, script.asked().len()), (None, 40), "{code}");
    }
}

/// An attempt before that may have been done: no open breaker makes it certain that it was not.
#[tokio::test]
async fn f25_a_doubt_outlasts_the_breaker() {
    use FailureKind::{Unavailable, Unknown};
    let late = || Err(TransportError::TimedOut("late".to_owned()));
    let script = Script::new((0..10).map(|_| late()));
    let client = client(upstream(BASE), script.clone(), &TestClock::new());
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(client.send(post(&client), Safety::Idempotent).await.unwrap_err().kind);
    }
    assert_eq!(kinds, [Unknown, Unknown, Unknown, Unavailable]);
    assert_eq!(script.asked().len(), 10, "four attempts, four, and two until it opened");
}

/// 500 tokens; another attempt costs 5, after a timeout 10; a call that succeeds at once earns 1.
#[tokio::test]
async fn the_retry_budget_is_spent_and_earned() {
    let late = || Err(TransportError::TimedOut("late".to_owned()));
    // So many successes between failures that the breaker stays closed.
    let round = |failure: Result<Response, TransportError>| {
        let calls = [failure, status(200)].into_iter();
        calls.chain((0..5).map(|_| status(200)))
    };
    for (failure, free) in [(status(502), 0), (late(), 100)] {
        let script = Script::new((0..400).flat_map(|_| round(failure.clone())));
        let client = client(upstream(BASE), script.clone(), &TestClock::new());
        let mut retried = 0;
        for _ in 0..400 {
            match client.send(get(&client), Safety::Read).await {
                Ok(_) => retried += 1,
                Err(failure) => {
                    assert_eq!(failure.kind, FailureKind::NotDone);
                    break;
                }
            }
            for _ in 0..5 {
                assert!(client.send(get(&client), Safety::Read).await.is_ok());
            }
        }
        // Five successes earn what a retry costs, and half of what a timeout costs.
        let expected = if free == 0 { 400 } else { free - 1 };
        assert_eq!(retried, expected, "{failure:?}");
    }
    // Without successes in between, 500 tokens are a hundred retries.
    let mut state = State::new(&[], BreakerRules::default());
    assert_eq!((0..200).filter(|_| state.spend_retry(false)).count(), 100);
    (0..9).for_each(|_| state.earn_retry());
    assert_eq!([state.spend_retry(true), state.spend_retry(false), state.spend_retry(false)], [false, true, false]);
    let mut state = State::new(&[], BreakerRules::default());
    (0..9).for_each(|_| state.earn_retry());
    assert_eq!((0..200).filter(|_| state.spend_retry(true)).count(), 50, "never more than 500");
}

/// A client of its own process, that shares what is spent with others.
fn process(rules: Upstream, script: Arc<Script>, clock: &Arc<TestClock>, file: &Arc<Spending>) -> Client {
    Client::new(Arc::new(rules), &|_| None, script, clock.clone()).unwrap().spending_from(file)
}

/// A budget is no budget per process, however short its window.
#[tokio::test]
async fn what_was_spent_of_a_budget_outlives_the_process() {
    let (hour, clock, file) = (Duration::from_hours(1), TestClock::new(), Arc::new(Spending::unkept()));
    let next_process = |limit, answers: usize| {
        let rules =
            Upstream { budgets: vec![budget_of(limit, 24 * hour), budget_of(50, 10 * SECOND)], ..upstream(BASE) };
        process(rules, Script::new((0..answers).map(|_| status(200))), &clock, &file)
    };
    let first = next_process(3, 2);
    assert!(first.send(get(&first), Safety::Read).await.is_ok());
    clock.sleep(hour).await;
    assert!(first.send(get(&first), Safety::Read).await.is_ok());
    assert_eq!(first.kept(), Kept::default(), "it is told where processes share it");
    drop(first);
    clock.sleep(hour).await;

    let next = next_process(3, 1);
    assert!(next.send(get(&next), Safety::Read).await.is_ok(), "the third");
    let failure = next.send(get(&next), Safety::Read).await.unwrap_err();
    let wait = failure.retry_at.unwrap() - clock.now();
    assert_eq!((failure.kind, wait.num_hours()), (FailureKind::NotDone, 22), "{failure}");
    // A limit that the rules change is another limit of the same budget.
    let other = next_process(4, 1);
    assert!(other.send(get(&other), Safety::Read).await.is_ok());
    assert!(other.send(get(&other), Safety::Read).await.is_err());
    drop(other);
    // When the first one leaves the window, one more may go.
    clock.sleep(22 * hour + 2 * SECOND).await;
    let last = next_process(4, 1);
    assert!(last.send(get(&last), Safety::Read).await.is_ok());
    assert!(last.send(get(&last), Safety::Read).await.is_err());
}

/// What earlier versions kept with the rest counts on.
#[tokio::test]
async fn what_was_kept_of_a_budget_in_the_database_is_taken_over_once() {
    let (clock, file) = (TestClock::new(), Arc::new(Spending::unkept()));
    let rules = Upstream { budgets: vec![budget_of(3, Duration::from_hours(24))], ..upstream(BASE) };
    let text = r#"{"budgets":[{"budget":"3 per 86400 s","spent":[["2023-11-15T10:00:00Z",2]]}]}"#;
    let kept: Kept = serde_json::from_str(text).unwrap();
    assert!(!kept.is_over(clock.now()));
    let first = process(rules.clone(), Script::new([status(200)]), &clock, &file);
    first.remember(&kept);
    first.remember(&kept);
    assert_eq!(first.room(&Kept::default()).budgets[0].used, 2);
    assert!(first.send(get(&first), Safety::Read).await.is_ok(), "the third, and told twice is told once");
    assert!(first.send(get(&first), Safety::Read).await.is_err());
    drop(first);
    let next = process(rules, Script::new([]), &clock, &file);
    next.remember(&Kept::default());
    assert_eq!(next.room(&Kept::default()).budgets[0].used, 3);
    assert!(next.send(get(&next), Safety::Read).await.is_err());
}

/// Another process may have met an upstream that wants to be left alone.
#[tokio::test]
async fn f24_a_pause_that_another_process_was_asked_for_holds_for_this_one_too() {
    let clock = TestClock::new();
    let client = client(upstream(BASE), Script::new([status(200), status(200)]), &clock);
    client.remember(&Kept::default());
    assert!(client.send(get(&client), Safety::Read).await.is_ok());
    client.remember(&Kept { asked_until: Some(clock.now() + Duration::from_hours(2)), ..Kept::default() });
    let failure = client.send(get(&client), Safety::Read).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotDone, "{failure}");
    clock.sleep(Duration::from_hours(2) + SECOND).await;
    assert!(client.send(get(&client), Safety::Read).await.is_ok());
}

#[test]
fn f24_what_was_kept_is_read_again_and_older_texts_are_too() {
    let until = Utc.timestamp_opt(1_700_000_000, 0).unwrap();
    let kept: Kept = serde_json::from_str(r#"{"asked_until":"2023-11-14T22:13:20Z"}"#).unwrap();
    assert_eq!(kept, Kept { asked_until: Some(until), ..Kept::default() });
    assert!(kept.is_over(until) && !kept.is_over(until - chrono::TimeDelta::seconds(1)));
    let breaker = KeptBreaker { state: BreakerState::Open, until: Some(until), openings: 2, recent: String::new() };
    let kept = Kept { breaker: Some(breaker), ..Kept::default() };
    let text = r#"{"asked_until":null,"breaker":{"state":"open","until":"2023-11-14T22:13:20Z","openings":2}}"#;
    assert_eq!(serde_json::to_string(&kept).unwrap(), text);
    assert_eq!(serde_json::from_str::<Kept>(text).unwrap(), kept);
}

#[test]
fn the_rules_say_when_it_opens_and_for_how_long() {
    let rules = BreakerRules {
        failure_ratio: 1.0,
        calls_min: 3,
        open: Duration::from_secs(5),
        open_max: Duration::from_secs(12),
    };
    let now = Duration::from_secs(100);
    let opens = |calls: &str| {
        let mut breaker = Breaker::new(rules);
        for call in calls.chars() {
            breaker.note(false, call == 'x', now, 0);
        }
        breaker.open_for(now)
    };
    assert_eq!([opens("xx"), opens("xx.x"), opens(".xxxxx")], [None; 3], "all of the latest calls have to fail");
    assert_eq!(opens("xxx"), Some(rules.open));
    let (mut breaker, mut at) = (Breaker::new(rules), now);
    let mut waits = Vec::new();
    for _ in 0..3 {
        breaker.note(false, true, at, 0);
    }
    for _ in 0..4 {
        let wait = breaker.open_for(at).unwrap();
        waits.push(wait.as_secs());
        at += wait;
        assert_eq!(breaker.ask(at), Leave::Probe);
        breaker.note(true, true, at, 0);
    }
    assert_eq!(waits, [5, 10, 12, 12]);
}
