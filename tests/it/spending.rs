//! Budgets, pauses and breakers across processes: every command that asks an upstream goes by what those before it, and those
//! beside it, spent and learnt.

use std::process::Stdio;

use http::Method;
use reconciled::sandbox::{Fault, Gate, Matcher};
use serde_json::{Value, json};

use crate::daemon::{Daemon, hourly};
use crate::world::{Ran, World};

/// One contact at one upstream that may be asked so much.
fn world(budget: &str) -> World {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.settings_of_upstreams(&format!("budget = [{{ {budget} }}]"));
    world.add("crm", &json!({ "email": "ann@x.io", "name": "Ann", "phone": "1" }));
    world
}

fn asked(world: &World) -> usize {
    world.at("crm", |crm| crm.requests().count())
}

/// Runs each of these in turn until all of them are refused; says how often that took.
fn until_all_are_refused(world: &World, commands: &[&[&str]]) -> usize {
    for round in 1..20 {
        let refused = commands.iter().filter(|command| {
            let before = asked(world);
            world.run(command);
            asked(world) == before
        });
        if refused.count() == commands.len() {
            return round;
        }
    }
    panic!("nobody was ever refused");
}

#[track_caller]
fn is_refused(ran: Ran, words: &[&str]) {
    let told = format!("{}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(told.contains(word), "{word}: {told}");
    }
    ran.exits(6);
}

#[test]
fn all_commands_together_ask_no_more_than_a_budget_allows() {
    // Of a window that a timer's runs are much shorter than.
    let world = world("limit = 9, per = \"10m\"");
    let cassette = world.path("cassette");
    let record = ["record", "--to", cassette.to_str().unwrap()];
    let rounds = until_all_are_refused(&world, &[&["fetch", "contacts.crm"], &["check", "--online"], &["doctor"]]);
    assert_eq!(asked(&world), 9);
    assert!(rounds > 2, "each of them took its part");
    is_refused(world.run(&["fetch", "contacts.crm"]), &["a budget asks to wait", "not before 20"]);
    is_refused(world.run(&["check", "--online"]), &["a budget asks to wait", "not before 20"]);
    let doctor = world.run(&["doctor"]);
    assert!(doctor.stdout.contains("it is not asked: ") && doctor.stdout.contains("not before 20"), "{doctor:#?}");
    // What may wait longer does, for a later pass.
    world.settings_of_upstreams("retry = { max_wait = \"1s\" }");
    assert!(world.sync().cannot_read("contacts").contains("a budget asks to wait"));
    is_refused(world.run(&["plan"]), &["a budget asks to wait"]);
    is_refused(world.run(&record), &["a budget asks to wait"]);
    assert_eq!(asked(&world), 9);
}

#[test]
fn passes_that_a_timer_runs_share_a_budget_of_less_than_an_hour() {
    let world = world("limit = 4, per = \"10m\"");
    world.settings_of_upstreams("retry = { max_wait = \"1s\" }");
    for _ in 0..8 {
        world.sync();
    }
    assert_eq!(asked(&world), 4);
}

#[test]
fn f15_what_a_killed_process_spent_counts_all_the_same() {
    let world = world("limit = 5, per = \"1h\"");
    let gate = Gate::default();
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::GET, "/contacts"), Fault::Held(gate.clone())));
    let mut killed =
        world.command().args(["run", "--once"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while asked(&world) == 0 {
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    gate.open();
    until_all_are_refused(&world, &[&["fetch", "contacts.crm"]]);
    assert_eq!(asked(&world), 5, "one of them was the killed one's");
}

#[test]
fn a_command_beside_the_daemon_and_the_daemon_ask_together_no_more_than_a_budget_allows() {
    let world = hourly();
    world.settings_of_upstreams("budget = [{ limit = 12, per = \"1h\" }]\nretry = { max_wait = \"1s\" }");
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let first = asked(&world);
    assert!((1..10).contains(&first), "{first}");
    // Between passes the daemon holds nothing back.
    until_all_are_refused(&world, &[&["fetch", "contacts.crm"]]);
    assert_eq!(asked(&world), 12);
    is_refused(world.run(&["sync"]), &["a budget asks to wait"]);
    assert_eq!(asked(&world), 12);
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn f24_a_pause_that_one_command_is_asked_for_holds_for_all_of_them() {
    let world = world("limit = 1000, per = \"1s\"");
    world.sync().exits(0);
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::GET, "/contacts"), Fault::throttled("7200")));
    is_refused(world.run(&["fetch", "contacts.crm"]), &["the upstream asks to wait 2 h", "not before 20"]);
    world.forget_requests();
    let words = ["the upstream asks to wait"];
    is_refused(world.run(&["fetch", "contacts.crm"]), &words);
    is_refused(world.run(&["check", "--online"]), &words);
    is_refused(world.run(&["plan"]), &words);
    is_refused(world.run(&["record", "--to", world.path("cassette").to_str().unwrap()]), &words);
    assert!(world.sync().cannot_read("contacts").contains(words[0]));
    let doctor = world.run(&["doctor"]);
    assert!(doctor.stdout.contains("! upstream crm: it is not asked: "), "{doctor:#?}");
    assert_eq!(asked(&world), 0);
    let status: Value = serde_json::from_str(&world.run(&["--json", "status"]).stdout).unwrap();
    assert!(status["upstreams"][0]["state"]["asked_until"].is_string(), "{status:#}");
}

#[test]
fn f25_an_upstream_whose_breaker_is_open_is_left_alone_by_all_commands() {
    let world = world("limit = 1000, per = \"1s\"");
    world.sync().exits(0);
    world.sql(
        "insert or replace into sync_upstream (upstream, state) values ('crm', json_object('breaker', json_object('state', \
         'open', 'openings', 1, 'until', strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+5 minutes'))))",
    );
    world.forget_requests();
    let words = ["it is left alone for", "the breaker is open"];
    for command in [&["fetch", "contacts.crm"] as &[&str], &["check", "--online"], &["plan"]] {
        is_refused(world.run(command), &words);
    }
    let doctor = world.run(&["doctor"]);
    assert!(doctor.stdout.contains("the breaker is open"), "{doctor:#?}");
    assert_eq!(asked(&world), 0);
    let state = &world.rows("select json_extract(state, '$.breaker.state') from sync_upstream")[0][0];
    assert_eq!(state, "open", "looking changes nothing");
}

#[test]
fn where_spending_cannot_be_written_down_nothing_is_spent() {
    let world = world("limit = 1000, per = \"1s\"");
    let file = world.path("data.db.budgets");
    std::fs::create_dir(&file).unwrap();
    let words = [file.to_str().unwrap(), "its folder must be writable"];
    is_refused(world.run(&["fetch", "contacts.crm"]), &words);
    let told = world.sync().cannot_read("contacts");
    assert!(told.contains(words[1]), "{told}");
    assert_eq!(asked(&world), 0);
    std::fs::remove_dir(&file).unwrap();
    world.sync().exits(0);
    assert_eq!(world.contacts("crm").len(), 1);
    assert_eq!(json!(world.rows("select email from contacts").len()), json!(1));
}

#[test]
fn upstreams_of_one_scope_share_a_budget() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.settings_of_upstreams(
        "budget = [{ limit = 7, per = \"10m\", scope = \"account\" }]\nretry = { max_wait = \"1s\" }",
    );
    world.add("crm", &json!({ "email": "ann@x.io", "name": "Ann", "phone": "1" }));
    for _ in 0..6 {
        world.sync();
        world.run(&["fetch", "contacts.erp"]);
    }
    let [crm, erp] = ["crm", "erp"].map(|name| world.at(name, |one| one.requests().count()));
    assert_eq!(crm + erp, 7);
    assert!(crm > 0 && erp > 0, "{crm} {erp}");
}

#[test]
fn f23_an_answer_that_says_by_a_header_that_there_was_too_much_is_waited_for() {
    let world = world("limit = 1000, per = \"1s\"");
    let headers = vec![("x-reason".to_owned(), "secondary limit".to_owned())];
    let too_much = Fault::Status { status: 403, headers, body: "{}".to_owned() };
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::GET, "/contacts"), too_much.clone()));
    assert!(world.sync().cannot_read("contacts").contains("403"), "without a rule it is about what was asked for");
    world.settings_of_upstreams(
        "error = [{ status = 403, headers = { X-Reason = \"*limit*\" }, class = \"rate_limited\" }]",
    );
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::GET, "/contacts"), too_much));
    world.sync().exits(0);
    assert_eq!(asked(&world), 3, "it was asked again after a while");
}
