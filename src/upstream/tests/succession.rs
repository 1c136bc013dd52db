//! Owns: the proof of what stays of a client where rules are read anew.
//!
//! Must not know: rules as text.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::{Script, TestClock, budget_of, ok, template, upstream};
use crate::rules::{Auth, Request, Upstream};
use crate::upstream::{Client, Holes, Kept, Safety};

/// A client whose token is this, of rules that allow three requests in ten seconds.
fn client(
    token: &'static str,
    change: impl FnOnce(&mut Upstream),
    script: &Arc<Script>,
    clock: &Arc<TestClock>,
) -> Arc<Client> {
    let mut rules = upstream("https://up.test/");
    rules.auth = Auth::Bearer { token: template("${secret.key}") };
    rules.budgets = vec![budget_of(3, Duration::from_secs(10))];
    change(&mut rules);
    let look_up = |_: &str| Some(SecretString::from(token));
    Arc::new(Client::new(Arc::new(rules), &look_up, script.clone(), clock.clone()).unwrap())
}

async fn asks(client: &Client, request: &Request) {
    client.send(client.build(request, &Holes::default()).unwrap(), Safety::Read).await.unwrap();
}

#[tokio::test]
async fn f56_what_was_spent_counts_for_the_client_that_rules_bring_and_the_same_rules_bring_none() {
    let clock = TestClock::new();
    let script = Script::new((0..8).map(|_| ok(&serde_json::json!({}))));
    let before = client("a", |_| {}, &script, &clock);
    before.remember(&Kept::default());
    for _ in 0..3 {
        asks(&before, &super::request("GET /x")).await;
    }
    let same = client("a", |_| {}, &script, &clock).or_still(&before);
    assert!(Arc::ptr_eq(&same, &before));
    // Another secret, or other rules: a client of its own, that is bound by what the other one took of a budget.
    let changed: [Arc<Client>; 2] = [
        client("b", |_| {}, &script, &clock).or_still(&before),
        client("a", |rules| rules.concurrency = 2, &script, &clock).or_still(&before),
    ];
    for fresh in changed {
        assert!(!Arc::ptr_eq(&fresh, &before));
        let uses = fresh.room(&Kept::default()).budgets;
        assert_eq!(uses[0].used, 3, "{uses:?}");
    }
    // A limit that the rules change is another limit of the same budget; a budget of another window is another one.
    for (window, used) in [(10, 3), (20, 0)] {
        let budgets = vec![budget_of(5, Duration::from_secs(window))];
        let other = client("a", |rules| rules.budgets = budgets, &script, &clock);
        assert_eq!(other.or_still(&before).room(&Kept::default()).budgets[0].used, used);
    }
    let fresh = client("b", |_| {}, &script, &clock).or_still(&before);
    let began = clock.elapsed();
    asks(&fresh, &super::request("GET /x")).await;
    assert!(clock.elapsed() >= began + Duration::from_secs(9), "it waited for room");
}
