//! What an operator watches: usage of upstreams.

use std::process::Command;

use http::Method;
use reconciled::sandbox::{Fault, Matcher};
use serde_json::{Value, json};

use crate::daemon::{add, hourly};
use crate::web::{get, listening, metrics};
use crate::world::World;

fn usage(world: &World, more: &[&str]) -> Value {
    let ran = world.run(&[&["usage", "--json"], more].concat()).exits(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn requests_of_all_passes_are_counted_and_told_against_the_quota() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    add(&world, "ann@x.io");
    world.settings_of_upstreams(
        "budget = [{ limit = 1000, per = \"1s\", cost_usd = 0.001 }]\nquota = { requests = 50, cost_usd = 0.002 }",
    );
    world.run(&["usage"]).exits(1);
    // One request fails in passing, and is sent again.
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::status(503)));
    world.sync().exits(0);
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0);
    let sent = world.at("crm", |crm| crm.requests().count());
    let found = usage(&world, &[]);
    let crm = &found["upstreams"][0];
    assert_eq!((&crm["upstream"], &crm["today"]["requests"]), (&json!("crm"), &json!(sent)), "{found:#}");
    let counts = ["retries", "failed", "refused", "throttled"].map(|name| crm["today"][name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 0, 0], "{found:#}");
    assert!(crm["today"]["sent_bytes"].as_u64() > Some(0) && crm["today"]["received_bytes"].as_u64() > Some(0));
    let quota = &crm["quota"];
    assert_eq!((&quota["per"], &quota["requests"]["limit"]), (&json!("month"), &json!(50.0)));
    // Three requests at least, a tenth of a cent each.
    assert!(
        quota["cost_usd"]["runs_out_at"].is_string() && quota["cost_usd"]["used"].as_f64() >= Some(0.003),
        "{found:#}"
    );
    let shown = world.run(&["usage", "crm", "--days", "7"]).exits(0).stdout;
    assert!(shown.contains("used up") && shown.contains("retries"), "{shown}");
    // A plan writes nothing down, and who asks for an upstream that there is not is told of one that there is.
    world.run(&["plan"]).exits(0);
    assert_eq!(usage(&world, &["crm"])["upstreams"][0]["today"]["requests"], sent);
    assert!(world.run(&["usage", "crn"]).exits(2).stderr.contains("did you mean `crm`?"));
}

#[test]
fn what_a_pass_asks_while_it_runs_is_counted_before_it_ends() {
    let world = hourly();
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts");
    // The pass hangs at a read that nobody answers.
    let slow = Fault::Slow { delay_ms: 30_000, bytes_per_chunk: 0 };
    let matcher = || Matcher::exactly(Method::GET, "/contacts");
    world.at("crm", |crm| crm.push_fault(matcher(), Fault::status(503)));
    world.at("crm", |crm| crm.push_fault(matcher(), slow));
    assert_eq!(crate::web::post(&address, "/api/v1/sync", &json!({})).0, 200);
    let failed = || get(&address, "/api/v1/usage?upstream=crm")["upstreams"][0]["today"]["failed"].as_u64();
    while failed() != Some(1) {
        std::thread::yield_now();
    }
    let line = "reconciled_usage_failed{upstream=\"crm\",period=\"month\"} 1\n";
    assert!(metrics(&address).contains(line));
    assert_eq!(crate::web::status(&address, "/api/v1/usage?upstream=erp"), 404);
    drop(daemon);
    // It was killed in the midst.
    assert_eq!(usage(&world, &[])["upstreams"][0]["today"]["failed"], 1);
}

#[test]
fn a_run_that_is_cut_short_leaves_nothing_uncounted() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let matcher = || Matcher::exactly(Method::GET, "/contacts");
    world.at("crm", |crm| crm.push_fault(matcher(), Fault::status(503)));
    world.at("crm", |crm| crm.push_fault(matcher(), Fault::Slow { delay_ms: 30_000, bytes_per_chunk: 0 }));
    let mut run = world.command().args(["run", "--once", "--quiet"]).spawn().unwrap();
    while world.at("crm", |crm| crm.requests().count()) < 2 {
        std::thread::yield_now();
    }
    // Two signals of a kind at once may arrive as one.
    while run.try_wait().unwrap().is_none() {
        Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    }
    assert_eq!(usage(&world, &[])["upstreams"][0]["today"]["failed"], 1);
}
