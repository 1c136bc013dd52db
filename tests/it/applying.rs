//! Plans that are saved and applied: exactly, or not at all.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::daemon::{Daemon, add, hourly};
use crate::world::{Ran, World};

const FILE: &str = "monday.plan";

/// No pass is made for an edit by itself.
fn patient() -> World {
    let world = hourly();
    world.change_rules("rules.toml", |rules| rules.replace("every = \"1h\"", "every = \"1h\"\non_edit = \"wait\""));
    world
}

/// A first pass was made, and there is something to do on both sides.
fn stage(world: &World) {
    add(world, "bob@x.io");
    world.sql("update contacts set phone = '2' where email = 'ann@x.io'");
    let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    world.edit("crm", &id, &json!({ "name": "Ann B" }));
}

fn saves(world: &World) -> Ran {
    let file = world.path(FILE);
    let ran = world.run(&["plan", "--out", file.to_str().unwrap()]).exits(3);
    assert!(ran.stderr.contains("makes exactly this, or nothing"), "{ran:#?}");
    ran
}

fn applies(world: &World) -> Ran {
    world.run(&["--json", "apply", world.path(FILE).to_str().unwrap()])
}

fn saved(world: &World) -> Value {
    serde_json::from_str(&std::fs::read_to_string(world.path(FILE)).unwrap()).unwrap()
}

/// What was written there and here.
fn state(world: &World) -> (Vec<Value>, Vec<Vec<String>>) {
    (world.contacts("crm"), world.rows("select email, name, phone from contacts order by email"))
}

#[test]
fn a_saved_plan_is_made_exactly() {
    let world = patient();
    world.run(&["run", "--once"]).exits(0);
    stage(&world);
    let before = state(&world);
    saves(&world);
    assert_eq!(state(&world), before, "a plan changes nothing");
    assert_eq!(std::fs::metadata(world.path(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    let plan = saved(&world);
    let told = applies(&world).exits(0).report("contacts");
    assert_eq!(told["fingerprint"], plan["passes"][0]["fingerprint"]);
    assert_eq!(told.get("stale"), None);
    let (there, here) = state(&world);
    assert_eq!(there.len(), 2);
    assert!(there.iter().any(|one| one["name"] == "Ann B" && one["phone"] == "2"), "{there:#?}");
    assert_eq!(here[0], ["ann@x.io", "Ann B", "2"]);
    // Once: now there is another plan to make.
    let again = applies(&world).exits(3).report("contacts");
    assert_eq!(again["stale"], true);
    world.run(&["run", "--once"]).exits(0);
}

#[test]
fn a_plan_that_was_overtaken_changes_nothing_and_shows_what_would_be_done() {
    for overtake in [
        (|world: &World| add(world, "cyd@x.io")) as fn(&World),
        |world| world.sql("update contacts set phone = '3' where email = 'ann@x.io'"),
        |world| {
            let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
            world.edit("crm", &id, &json!({ "name": "Ann C" }));
        },
    ] {
        let world = patient();
        world.run(&["run", "--once"]).exits(0);
        stage(&world);
        saves(&world);
        overtake(&world);
        let before = state(&world);
        let told = applies(&world).exits(3).report("contacts");
        assert_eq!(told["stale"], true);
        assert!(told["notes"][0].as_str().unwrap().starts_with("the plan is stale"), "{told:#}");
        assert!(!told["changes"].as_array().unwrap().is_empty());
        assert_eq!(state(&world), before);
        // The next pass is bound to nothing.
        world.run(&["run", "--once"]).exits(0);
        assert_ne!(state(&world), before);
    }
}

#[test]
fn a_first_load_is_planned_and_applied_as_well() {
    let world = patient();
    saves(&world);
    world.edit("crm", world.contacts("crm")[0]["id"].as_str().unwrap(), &json!({ "name": "Other" }));
    assert_eq!(applies(&world).exits(3).report("contacts")["stale"], true);
    assert_eq!(world.rows("select count(*) from contacts"), [["0"]], "nothing came in while it was read");
    saves(&world);
    applies(&world).exits(0);
    assert_eq!(world.rows("select name from contacts"), [["Other"]]);
}

#[test]
fn what_is_no_plan_or_by_other_rules_is_refused_and_not_written_over() {
    let world = patient();
    let file = world.path(FILE);
    let file = file.to_str().unwrap();
    let said = |ran: Ran, code: i32, words: &str| {
        let ran = ran.exits(code);
        assert!(ran.stderr.contains(words), "{words}: {ran:#?}");
    };
    said(world.run(&["apply", file]), 2, "No such file");
    std::fs::write(world.path(FILE), "name,phone\n").unwrap();
    said(world.run(&["apply", file]), 2, "no plan of `reconciled plan --out`");
    said(world.run(&["plan", "--out", file]), 2, "it is not written over");
    assert_eq!(std::fs::read_to_string(world.path(FILE)).unwrap(), "name,phone\n");
    std::fs::remove_file(world.path(FILE)).unwrap();
    saves(&world);
    world.change_rules("rules.toml", |rules| format!("{rules}\n# another thought\n"));
    said(world.run(&["apply", file]), 3, "the rules have changed since the plan was made");
    assert!(!world.path("data.db").exists(), "nothing was done");
}

#[test]
fn the_running_daemon_makes_a_plan_or_says_that_it_is_stale() {
    let world = patient();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    stage(&world);
    saves(&world);
    add(&world, "cyd@x.io");
    let before = state(&world);
    assert_eq!(applies(&world).exits(3).report("contacts")["stale"], true);
    assert_eq!(state(&world), before);
    daemon.logs("the plan is stale");
    saves(&world);
    let told = applies(&world).exits(0).report("contacts");
    assert_eq!(told["fingerprint"], saved(&world)["passes"][0]["fingerprint"]);
    assert_eq!(world.contacts("crm").len(), 3);
    let (code, _log) = daemon.stops();
    assert_eq!(code, Some(0));
}
