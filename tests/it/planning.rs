//! Plans and refusals of plans, by the running daemon and without it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use http::Method;
use reconciled::sandbox::{Fault, Matcher};
use serde_json::{Value, json};

use crate::daemon::{Daemon, add, hourly};
use crate::world::World;

/// What a plan says, without what differs from one to the next.
fn plan(world: &World, more: &[&str], code: i32) -> (Value, String, String) {
    let mut arguments = vec!["--json", "plan"];
    arguments.extend(more);
    let mut json: Value = serde_json::from_str(&world.run(&arguments).exits(code).stdout).unwrap();
    for pass in json["passes"].as_array_mut().unwrap() {
        pass["elapsed_ms"] = json!(0);
        pass["phases"] = json!([]);
        // A record that is to be made has another id in each plan.
        for change in pass["changes"].as_array_mut().unwrap().iter_mut().filter(|change| change["action"] == "create") {
            change["record"] = json!("new");
        }
    }
    let ran = world.run(&arguments[1..]).exits(code);
    let line = |line: &str| match line.strip_prefix("  + ") {
        Some(made) => format!("  + {}\n", made.split(' ').next().unwrap()),
        None => format!("{line}\n"),
    };
    (json, ran.stdout.lines().map(line).collect(), ran.stderr)
}

/// No pass is made for an edit by itself.
fn patient() -> World {
    let world = hourly();
    world.change_rules("rules.toml", |rules| rules.replace("every = \"1h\"", "every = \"1h\"\non_edit = \"wait\""));
    world
}

#[test]
fn a_plan_is_the_same_with_a_daemon_and_without_and_changes_nothing() {
    let world = patient();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    add(&world, "bob@x.io");
    world.sql("update contacts set phone = '2' where email = 'ann@x.io'");
    world.forget_requests();
    let (by_daemon, text, said) = plan(&world, &[], 3);
    assert!(text.contains("bob@x.io") && text.contains("phone"), "{text}");
    assert_eq!(said, "");
    assert_eq!(world.lines_at("crm"), ["GET /contacts", "GET /contacts"], "two plans, a listing each");
    // Neither a pass nor a copy is left of it.
    assert_eq!(world.rows("select \"trigger\" from sync_pass"), [["schedule"]]);
    let left: Vec<_> = std::fs::read_dir(world.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("plan")), "{left:?}");
    let unknown = world.run(&["plan", "deals"]).exits(2);
    assert!(unknown.stderr.contains("the daemon works on no collection `deals`; it works on contacts"), "{unknown:#?}");
    let (code, log) = daemon.stops();
    assert_eq!(code, Some(0));
    assert_eq!(log.matches("asks: /v1/plan").count(), 3, "{log}");
    let without = plan(&world, &[], 3);
    assert_eq!((by_daemon, text, said), without);
}

#[test]
fn a_plan_of_the_daemon_is_by_the_rules_in_force_and_one_by_others_is_made_here() {
    let world = patient();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    add(&world, "bob@x.io");
    world.change_rules("rules.toml", |rules| rules.replace("phone = \"text\"", "phone = \"texxt\""));
    daemon.logs("those from before stay in force");
    let (_, text, said) = plan(&world, &[], 3);
    assert!(
        text.contains("bob@x.io") && said.contains("the plan is by those from before, which are in force"),
        "{said}"
    );
    // The rules of another folder are tried without the daemon.
    std::fs::create_dir(world.path("other")).unwrap();
    let rules = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap().replace("\"texxt\"", "\"text\"");
    std::fs::write(
        world.path("other/rules.toml"),
        rules.replace("name = \"text\"", "name = { type = \"text\", owner = \"local\" }"),
    )
    .unwrap();
    let mut command = world.command();
    let ran = command.args(["plan", "--rules"]).arg(world.path("other")).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("the daemon goes by the rules in ") && said.contains("this plan is by those in "), "{said}");
    assert_eq!(ran.status.code(), Some(3), "{said}");
    daemon.stops();
}

#[test]
fn a_plan_waits_for_the_pass_that_is_under_way_and_says_so() {
    let world = patient();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let slow = Fault::Slow { delay_ms: 700, bytes_per_chunk: 0 };
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow));
    add(&world, "bob@x.io");
    daemon.signal("USR1");
    while world.status()["daemon"]["collections"][0]["running"] != true {}
    let ran = world.run(&["plan"]).exits(0);
    assert!(ran.stderr.contains("a pass of contacts is under way; the plan waits for its end"), "{ran:#?}");
    assert!(ran.stdout.contains("in sync"), "what the pass did is no part of the plan: {ran:#?}");
    daemon.logs("pass 2 of contacts: 1 changes here");
    daemon.stops();
}

#[test]
fn a_pass_goes_on_beside_a_plan_which_says_that_it_may_be_overtaken_and_a_plan_nobody_waits_for_is_given_up() {
    let world = patient();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    add(&world, "bob@x.io");
    let slow = || Fault::Slow { delay_ms: 1500, bytes_per_chunk: 0 };
    // The plan's listing is held up, the one of the pass is not.
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow()));
    world.forget_requests();
    let mut planning = world.command();
    let mut planning = planning.arg("plan").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while world.lines_at("crm").is_empty() {}
    world.run(&["sync"]).exits(0);
    let (mut text, mut said) = (String::new(), String::new());
    planning.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    planning.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(planning.wait().unwrap().code(), Some(3), "{said}");
    assert!(text.contains("bob@x.io") && said.contains("a pass of contacts was made meanwhile"), "{text}{said}");
    daemon.logs("pass 2 of contacts: 1 changes here");
    // Whoever interrupts his plan leaves nothing behind at the daemon.
    world.at("crm", |crm| {
        crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::Slow { delay_ms: 60_000, bytes_per_chunk: 0 })
    });
    world.forget_requests();
    let mut planning = world.command();
    let mut planning = planning.arg("plan").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while world.lines_at("crm").is_empty() {}
    let copies = || {
        let names = std::fs::read_dir(world.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".reconciled-plan-")).count()
    };
    assert_eq!(copies(), 1);
    std::process::Command::new("kill").args(["-INT", &planning.id().to_string()]).status().unwrap();
    let mut line = String::new();
    BufReader::new(planning.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("interrupted; a plan changes nothing"), "{line}");
    assert_eq!(planning.wait().unwrap().code(), Some(1));
    while copies() > 0 {}
    // Another one has its turn.
    world.run(&["plan"]).exits(0);
    assert_eq!(daemon.stops().0, Some(0));
}

/// One halt, about nine of ten records.
fn halted(world: &World) -> String {
    for contact in world.contacts("crm").iter().skip(1) {
        world.remove("crm", contact["id"].as_str().unwrap());
    }
    world.run(&["sync"]).exits(5);
    world.rows("select id from sync_halt").concat().concat()
}

#[test]
fn a_halt_is_rejected_by_the_running_daemon_and_its_collection_rests() {
    let world = hourly();
    (0..30).for_each(|number| add(&world, &format!("{number}@x.io")));
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts: 31 changes here");
    let halt = halted(&world);
    let nothing = world.run(&["reject", "99"]).exits(1);
    assert!(nothing.stderr.contains("no halt 99 waits for approval; `reconciled status` lists"), "{nothing:#?}");
    let rejected = world.run(&["--json", "reject", &halt]).exits(0);
    let rejected: Value = serde_json::from_str(&rejected.stdout).unwrap();
    assert_eq!(rejected, json!({ "halt": 1, "collection": "contacts" }));
    let log = daemon.logs("contacts is paused");
    assert!(log.contains("asks: /v1/reject"), "{log}");
    assert!(world.run(&["sync", "contacts"]).exits(2).stderr.contains("contacts is paused"));
    assert_eq!(world.rows("select count(*) from contacts"), [["31"]]);
    // It can still be approved, once its collection goes on.
    world.run(&["approve", &halt]).exits(0);
    world.run(&["resume", "contacts"]).exits(0);
    daemon.logs("30 changes here");
    daemon.stops();
}

#[test]
fn without_a_daemon_a_rejection_takes_an_approval_back_and_the_next_daemon_knows_of_the_rest() {
    let world = hourly();
    (0..30).for_each(|number| add(&world, &format!("{number}@x.io")));
    world.sync().exits(0);
    let halt = halted(&world);
    world.run(&["approve", &halt]).exits(0);
    let rejected = world.run(&["reject", &halt]).exits(0);
    assert!(rejected.stdout.contains("halt 1 is rejected") && rejected.stdout.contains("`reconciled resume contacts`"));
    let status = world.status();
    assert_eq!(status["collections"][0]["paused"], true, "{status:#}");
    assert_eq!(world.rows("select approved_at from sync_halt"), [["∅"]]);
    world.sync().exits(5);
    assert_eq!(world.rows("select count(*) from contacts"), [["31"]]);
    let mut daemon = Daemon::start(&world);
    daemon.logs("contacts is paused");
    daemon.stops();
}
