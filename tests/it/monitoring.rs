//! What an operator watches: usage and health of upstreams.

use std::process::Command;

use http::Method;
use reconciled::sandbox::{Fault, Matcher};
use serde_json::{Value, json};

use crate::daemon::{Daemon, add, hourly};
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

/// Asks again and again until it is so.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_daemon_asks_between_passes_whether_an_upstream_is_well_and_says_since_when_it_is_not() {
    let world = hourly();
    world.settings_of_upstreams(
        "health = { request = { path = \"/contacts\", query = { probe = \"1\" } }, every = \"1s\", timeout = \"5s\" }",
    );
    // A run that ends asks nothing between.
    world.sync().exits(0);
    assert_eq!(world.status()["upstreams"][0]["health"], Value::Null);
    let (mut daemon, address) = listening(&world, &[]);
    let health = || world.status()["upstreams"][0]["health"].clone();
    let up = until(|| Some(health()).filter(|health| health["hour"]["answered"].as_u64() >= Some(2)));
    assert_eq!((&up["up"], &up["probe"]), (&json!(true), &json!("GET /contacts every 1s")), "{up:#}");
    assert!(up["hour"]["p99_ms"].as_f64() >= up["hour"]["p50_ms"].as_f64() && up["last_error"].is_null(), "{up:#}");
    let probes = || world.at("crm", |crm| crm.requests().filter(|one| one.line().contains("probe=1")).count());
    assert!(probes() >= 2);
    world.at("crm", |crm| crm.push_fault(Matcher::containing("probe=1"), Fault::status(500)));
    daemon.logs("crm is down: GET /contacts 500");
    daemon.logs("crm is up again");
    let again = until(|| Some(health()).filter(|health| health["up"] == true && !health["last_error"].is_null()));
    assert!(again["since"].as_str() > up["since"].as_str() && again["hour"]["failed"] == 1, "{again:#}");
    let shown = world.run(&["status"]).stdout;
    assert!(shown.contains("crm is up since ") && shown.contains(", 1 failed"), "{shown}");
    let told = metrics(&address);
    assert!(told.contains("reconciled_upstream_up{upstream=\"crm\"} 1\n"), "{told}");
    assert!(told.contains("reconciled_upstream_answers{upstream=\"crm\",result=\"failed\"} 1\n"), "{told}");
    assert!(told.contains("reconciled_upstream_latency_seconds{upstream=\"crm\",percentile=\"95\"} "), "{told}");
    assert_eq!(get(&address, "/api/v1/upstreams")["upstreams"][0]["health"]["up"], true);
    let history = get(&address, "/api/v1/upstreams/crm/latency?grain=hour");
    assert!(history["points"][0]["p50_ms"].as_f64() > Some(0.0), "{history:#}");
    assert_eq!(crate::web::status(&address, "/api/v1/upstreams/crm/latency?grain=week"), 400);
    assert_eq!(crate::web::status(&address, "/api/v1/upstreams/erp/latency"), 404);
    daemon.stops();
}

#[test]
fn without_a_probe_the_requests_of_passes_tell_how_an_upstream_is() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    add(&world, "ann@x.io");
    world.sync().exits(0);
    let health = |world: &World| world.status()["upstreams"][0]["health"].clone();
    let up = health(&world);
    assert_eq!((&up["up"], &up["probe"]), (&json!(true), &Value::Null), "{up:#}");
    world.sync().exits(0);
    assert_eq!(health(&world)["since"], up["since"], "another process goes on");
    world.at("crm", |crm| crm.push_fault(Matcher::any(), Fault::status(500)));
    world.at("crm", |crm| crm.push_fault(Matcher::any(), Fault::status(500)));
    world.at("crm", |crm| crm.push_fault(Matcher::any(), Fault::status(500)));
    world.settings_of_upstreams("retry = { attempts = 1 }");
    world.sync().exits(6);
    let down = health(&world);
    assert_eq!(
        (&down["up"], &down["last_error"]),
        (&json!(false), &json!("GET /contacts 500: scripted fault")),
        "{down:#}"
    );
    assert!(down["since"].as_str() > up["since"].as_str());
}

#[test]
fn every_log_line_of_a_pass_says_of_which() {
    let world = hourly();
    let environment =
        [("RECONCILED__LOG__FORMAT", "json".to_owned()), ("RECONCILED_LOG", "reconciled=debug".to_owned())];
    let mut daemon = Daemon::start_with(&world, &environment);
    let said = daemon.logs("pass 1 of contacts");
    daemon.stops();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_pass =
        |line: &&Value| line["message"] == "answered" || line["message"].as_str().unwrap().starts_with("pass 1");
    let of_pass: Vec<&Value> = lines.iter().filter(of_pass).collect();
    assert!(of_pass.len() >= 2, "{said}");
    for line in of_pass {
        assert_eq!((&line["span"]["pass_id"], &line["span"]["collection"]), (&json!(1), &json!("contacts")), "{line}");
    }
    assert_eq!(world.rows("select id from sync_pass"), [["1"]]);
    // For people it stands before the line; at whatever level.
    let world = hourly();
    world.settings_of_upstreams("retry = { attempts = 1 }");
    world.at("crm", |crm| crm.push_fault(Matcher::any(), Fault::status(500)));
    let mut daemon = Daemon::start_with(&world, &[("RECONCILED__LOG__LEVEL", "warn".to_owned())]);
    let said = daemon.logs("pass 1 of contacts");
    assert!(said.contains("pass{pass_id=1 collection=\"contacts\"}: pass 1 of contacts"), "{said}");
    daemon.stops();
}
