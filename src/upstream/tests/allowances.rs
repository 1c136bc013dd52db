//! Owns: tests of budgets that several processes draw on: one after the other, side by side, and when one dies.
//!
//! Must not know: sockets, how the file is laid out.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::super::budget::{Budgets, Portions};
use super::{Script, TestClock, answer, budget_of, request, status, upstream};
use crate::clock::Clock as _;
use crate::record::Path;
use crate::rules::{Budget, NextAt, ResetUnit, Retry, Signals, Upstream};
use crate::spending::{Durable, Held, Spending};
use crate::upstream::{Client, Holes, Kept, Safety};

const SECOND: Duration = Duration::from_secs(1);

/// Some processes that draw on one budget, with what is written down of each.
struct Processes {
    limit: u64,
    per: Duration,
    file: Spending,
    running: Vec<(String, Budgets)>,
    begun: u32,
    written: u32,
}

impl Processes {
    fn new(limit: u64, per: Duration, count: usize) -> Self {
        let mut all = Self { limit, per, file: Spending::unkept(), running: Vec::new(), begun: 0, written: 0 };
        all.running = (0..count).map(|_| all.process()).collect();
        all
    }

    fn process(&mut self) -> (String, Budgets) {
        let mut budgets = Budgets::new(&[budget_of(self.limit, self.per)]);
        budgets.draw_on_allowances();
        self.begun += 1;
        (self.begun.to_string(), budgets)
    }

    /// A request, if it may leave now.
    fn sends(&mut self, at: usize, now: Duration) -> Result<(), Duration> {
        if self.running[at].1.lacks_allowance("GET", "/", now) {
            self.writes(at, now, |budgets, elsewhere| budgets.set_aside(("GET", "/"), elsewhere, now));
        }
        self.running[at].1.take("GET", "/", now)
    }

    fn gives_back(&mut self, at: usize, now: Duration) {
        self.writes(at, now, |budgets, _| budgets.give_back(now));
    }

    /// It is killed, and another one takes its place.
    fn dies(&mut self, at: usize) {
        self.running[at] = self.process();
    }

    fn writes(&mut self, at: usize, now: Duration, decide: impl FnOnce(&mut Budgets, Vec<Portions>) -> Vec<Portions>) {
        self.written += 1;
        let (holder, budgets) = &mut self.running[at];
        let decide = |others: Vec<Held>| {
            let steady =
                |(until, units): (DateTime<Utc>, u64)| ((until - DateTime::UNIX_EPOCH).to_std().unwrap(), units);
            let elsewhere = others.into_iter().map(|held| held.into_iter().map(steady).collect()).collect();
            let own = decide(budgets, elsewhere).into_iter();
            (own.map(|held| held.into_iter().map(|(left, units)| (wall(now + left), units)).collect()).collect(), ())
        };
        self.file.exchange(holder, &["a".to_owned()], (wall(now), Durable::Process), decide).unwrap();
    }
}

fn wall(at: Duration) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::from_std(at).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_budget_is_never_overdrawn_however_many_processes_draw_on_it_and_die(
        limit in prop_oneof![1_u64..12, 60_u64..90],
        per in prop_oneof![Just(SECOND), Just(Duration::from_mins(10))],
        steps in prop::collection::vec((0_usize..3, 0_u8..12, 0_u32..40), 50..400),
    ) {
        let mut all = Processes::new(limit, per, 3);
        let (mut now, mut sent) = (Duration::ZERO, Vec::new());
        for (at, what, gap) in steps {
            now += per * gap / 1000;
            match what {
                0 => all.dies(at),
                1 => all.gives_back(at, now),
                _ => for _ in 0..what {
                    if all.sends(at, now).is_ok() {
                        sent.push(now);
                    }
                },
            }
        }
        let window = usize::try_from(limit).unwrap();
        for (at, first) in sent.iter().enumerate() {
            if let Some(beyond) = sent.get(at + window) {
                prop_assert!(*beyond >= *first + per, "more than {limit} from {first:?}");
            }
        }
    }
}

#[test]
fn what_a_process_that_died_had_set_aside_counts_as_spent_and_no_more_than_that() {
    let (minute, ten) = (Duration::from_mins(1), Duration::from_mins(10));
    let mut all = Processes::new(100, ten, 1);
    for _ in 0..7 {
        assert_eq!(all.sends(0, SECOND), Ok(()));
    }
    all.dies(0);
    let next = (0..200).take_while(|_| all.sends(0, SECOND).is_ok()).count();
    assert_eq!(next, 90, "seven were sent, and two times five set aside");
    // At the latest when they could have been sent at the last moment.
    let end = SECOND + minute + ten + SECOND;
    assert!(all.sends(0, end).is_ok());
}

#[test]
fn what_is_given_back_is_there_for_the_next_process_at_once() {
    let mut all = Processes::new(100, Duration::from_mins(10), 2);
    assert_eq!(all.sends(0, SECOND), Ok(()));
    all.gives_back(0, SECOND);
    assert_eq!((0..200).take_while(|_| all.sends(1, SECOND).is_ok()).count(), 99);
}

/// Not one write for each request.
#[test]
fn a_great_budget_is_set_aside_in_great_portions() {
    for (limit, per, requests, most) in [
        (250_000, Duration::from_hours(24), 5000, 1),
        (1000, Duration::from_mins(10), 1000, 20),
        (1000, SECOND, 1000, 2),
        (1, SECOND, 1, 1),
    ] {
        let mut all = Processes::new(limit, per, 1);
        for _ in 0..requests {
            assert_eq!(all.sends(0, SECOND), Ok(()));
        }
        assert!(all.written <= most, "{limit} per {per:?}: {}", all.written);
    }
}

/// The last clause of what the limiter promises: it holds nothing back that may be used.
#[tokio::test]
async fn a_single_pass_uses_at_least_95_parts_in_a_hundred_of_a_budget() {
    for (limit, per) in [(10, SECOND), (100, 10 * SECOND), (1000, SECOND), (100, Duration::from_mins(10)), (3, SECOND)]
    {
        for file in [None, Some(Arc::new(Spending::unkept()))] {
            let clock = TestClock::new();
            let requests = usize::try_from(limit).unwrap() * 20;
            let script = Script::new((0..=requests).map(|_| status(200)));
            let rules = Upstream { budgets: vec![budget_of(limit, per)], ..upstream("https://up.test/") };
            let client = Client::new(Arc::new(rules), &|_| None, script, clock.clone()).unwrap();
            let client = match &file {
                Some(file) => client.spending_from(file),
                None => client,
            };
            for _ in 0..=requests {
                let request = client.build(&request("GET /x"), &Holes::default()).unwrap();
                client.send(request, Safety::Read).await.unwrap();
            }
            // Twenty windows full of requests take twenty windows, and one more than fits shows it.
            let share = (20 * per).as_secs_f64() / clock.elapsed().as_secs_f64();
            assert!(share >= 0.95, "{limit} per {per:?}, told: {}: {share}", file.is_some());
            assert!(clock.elapsed() >= 20 * per, "it was never overdrawn");
        }
    }
}

/// Two upstreams of one account: what one of them spends the other one lacks.
#[tokio::test]
async fn budgets_of_one_scope_are_one_over_all_upstreams() {
    let (clock, file) = (TestClock::new(), Arc::new(Spending::unkept()));
    let of = |name: &str, scope: Option<&str>| {
        let budget = Budget { scope: scope.map(str::to_owned), ..budget_of(10, Duration::from_mins(10)) };
        let retry = Retry { attempts: 1, max_wait: SECOND };
        let rules = Upstream { name: name.to_owned(), budgets: vec![budget], retry, ..upstream("https://up.test/") };
        let script = Script::new((0..20).map(|_| status(200)));
        Client::new(Arc::new(rules), &|_| None, script, clock.clone()).unwrap().spending_from(&file)
    };
    let clients = [of("crm", Some("account")), of("billing", Some("account")), of("shop", None)];
    let mut sent = [0; 3];
    for _ in 0..12 {
        for (client, sent) in clients.iter().zip(&mut sent) {
            let request = client.build(&request("GET /x"), &Holes::default()).unwrap();
            *sent += u32::from(client.send(request, Safety::Read).await.is_ok());
        }
    }
    assert_eq!((sent[0] + sent[1], sent[2]), (10, 10), "{sent:?}");
    clients[0].remember(&Kept::default());
    let told = clients[0].room(&Kept::default()).budgets;
    assert_eq!((told[0].budget.as_str(), told[0].used), ("10 per 600 s in all of account", 10));
}

/// An answer that closes a budget closes it for others, too.
#[tokio::test]
async fn a_wait_in_a_body_holds_for_the_next_process() {
    let (clock, file) = (TestClock::new(), Arc::new(Spending::unkept()));
    let process = |script: Arc<Script>| {
        let wait = Some((NextAt::Body(Path::parse(".retry_after").unwrap()), ResetUnit::Seconds));
        let signals = Some(Signals { remaining: None, limit: None, reset: None, wait });
        let budgets = vec![Budget { signals, ..budget_of(10, SECOND) }];
        let retry = Retry { attempts: 1, max_wait: SECOND };
        let rules = Upstream { budgets, retry, ..upstream("https://up.test/") };
        Client::new(Arc::new(rules), &|_| None, script, clock.clone()).unwrap().spending_from(&file)
    };
    let first = process(Script::new([answer(429, &[], r#"{"retry_after": 600}"#)]));
    let get = |client: &Client| client.build(&request("GET /x"), &Holes::default()).unwrap();
    assert!(first.send(get(&first), Safety::Read).await.is_err());
    drop(first);
    clock.sleep(60 * SECOND).await;
    let next = process(Script::new([status(200)]));
    let failure = next.send(get(&next), Safety::Read).await.unwrap_err();
    assert_eq!(failure.retry_at, Some(clock.now() + 540 * SECOND), "{failure}");
    clock.sleep(540 * SECOND).await;
    assert!(next.send(get(&next), Safety::Read).await.is_ok());
}
