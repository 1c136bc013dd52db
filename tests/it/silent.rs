//! An upstream that does not answer, or takes its time, keeps no edit from the others.

use std::process::Stdio;

use chrono::TimeDelta;
use http::Method;
use reconciled::sandbox::{Batch, Fault, FaultId, Gate, LoggedRequest, Matcher, Times};
use serde_json::Value;

use crate::between::{at, paged, paged_as};
use crate::daemon::Daemon;
use crate::hands::now;
use crate::listing::Listing;
use crate::web::{get, listening};
use crate::world::World;

/// Crm answers no such request until the gate is opened.
fn hangs(world: &World, method: Method, times: Times) -> (Gate, FaultId) {
    let gate = Gate::default();
    let matcher = Matcher::of(method, "/contacts/");
    let fault = world.at("crm", |crm| crm.push_fault_times(matcher, Fault::Held(gate.clone()), times));
    (gate, fault)
}

fn answers_again(world: &World, (gate, fault): (Gate, FaultId)) {
    world.at("crm", |crm| crm.clear_fault(fault));
    gate.open();
}

fn is_writing(world: &World, upstream: &str) {
    while world.at(upstream, |upstream| !upstream.requests().any(LoggedRequest::is_write)) {
        std::thread::yield_now();
    }
}

/// Somebody changes a phone here.
fn edit(world: &World, email: &str) {
    world.sql(&format!("update contacts set phone = '2' where email = '{email}'"));
}

fn is_warning(line: &str) -> bool {
    line.contains("WARN") || line.starts_with("<4>")
}

#[track_caller]
fn phones(world: &World, email: &str, expected: [&str; 2]) {
    assert_eq!(["crm", "erp"].map(|upstream| at(world, upstream, email)["phone"].clone()), expected, "{email}");
}

#[test]
fn an_upstream_that_hangs_keeps_no_edit_from_the_others_and_gets_all_of_them_when_it_answers() {
    let world = paged();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let silence = hangs(&world, Method::GET, Times::Forever);
    world.forget_requests();
    let mut log = String::new();
    for (pass, email) in [(3, "c1@x.io"), (4, "c2@x.io")] {
        edit(&world, email);
        log += &daemon.logs(&format!("pass {pass} of contacts: 0 changes here, 1 writes upstream"));
        phones(&world, email, ["1", "2"]);
    }
    let levels: Vec<bool> = log.lines().filter(|line| line.contains("of contacts:")).map(is_warning).collect();
    assert_eq!(levels, [true, false], "an outage is told once: {log}");
    answers_again(&world, silence);
    daemon.logs("pass 2 of contacts: 0 changes here, 2 writes upstream");
    let over = daemon.logs("crm is to be had again; passes that went without it: 2");
    assert!(!over.lines().any(is_warning), "{over}");
    for email in ["c1@x.io", "c2@x.io"] {
        phones(&world, email, ["2", "2"]);
    }
    let writes = ["crm", "erp"].map(|upstream| world.writes_at(upstream).len());
    assert_eq!(writes, [2, 2], "each once");
    let read =
        "select \"trigger\" || ' ' || outcome || ' ' || (counts ->> '$.upstreams[1].read') from sync_pass order by id";
    let expected = ["schedule ok full", "edit ok targeted", "edit unavailable targeted", "edit unavailable targeted"];
    assert_eq!(world.rows(read).concat(), expected);
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn an_upstream_that_hangs_while_it_is_listed_keeps_no_edit_from_the_others() {
    let world = paged();
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts");
    let mut listing = Listing::begins(&world, "contacts", 2, &["--full"]);
    let silence = hangs(&world, Method::GET, Times::Forever);
    for (pass, email) in [(3, "c1@x.io"), (4, "c6@x.io")] {
        edit(&world, email);
        daemon.logs(&format!("pass {pass} of contacts: 0 changes here, 1 writes upstream"));
        phones(&world, email, ["1", "2"]);
        listing.hangs();
    }
    let last = || world.status()["collections"][0]["last_pass"]["id"].clone();
    assert_eq!(last(), 4, "the one that ended last");
    let passes = get(&address, "/api/v1/passes");
    let outcomes: Vec<&Value> = passes["passes"].as_array().unwrap().iter().map(|pass| &pass["outcome"]).collect();
    assert_eq!(outcomes, ["unavailable", "unavailable", "running", "ok"]);
    answers_again(&world, silence);
    listing.ends();
    assert_eq!(last(), 2);
    for email in ["c1@x.io", "c6@x.io"] {
        phones(&world, email, ["2", "2"]);
    }
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn an_upstream_that_is_down_keeps_no_edit_from_the_others_and_nothing_is_listed_for_it() {
    let mut world = paged();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    world.kill("crm");
    world.forget_requests();
    edit(&world, "c1@x.io");
    daemon.logs(" of contacts: 0 changes here, 1 writes upstream");
    assert_eq!(at(&world, "erp", "c1@x.io")["phone"], "2");
    let lines = world.lines_at("erp");
    assert!(lines.iter().all(|line| !line.starts_with("GET /contacts?") && line != "GET /contacts"), "{lines:?}");
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn a_write_that_takes_long_keeps_no_other_edit_waiting_and_nobody_takes_it_for_lost() {
    let world = paged();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    world.forget_requests();
    let (gate, _) = hangs(&world, Method::PATCH, Times::Count(1));
    edit(&world, "c1@x.io");
    is_writing(&world, "crm");
    edit(&world, "c2@x.io");
    daemon.logs("pass 3 of contacts: 0 changes here, 2 writes upstream");
    phones(&world, "c2@x.io", ["2", "2"]);
    // What is under way is no riddle.
    let status = world.run(&["status"]).exits(3);
    assert!(!status.stdout.contains("nobody knows"), "{status:#?}");
    let id = world.rows("select id from contacts where email = 'c1@x.io'").concat().concat();
    let settle = ["settle", &id, "crm", "--not-made"];
    let refused = world.run(&settle).exits(2);
    assert!(refused.stderr.contains("waits for the answer"), "{refused:#?}");
    // A daemon that is no more waits for nothing.
    daemon.signal("KILL");
    daemon.ends();
    let status = world.run(&["status"]);
    assert!(status.stdout.contains("nobody knows whether the update of"), "{status:#?}");
    gate.open();
    world.sync().exits(0);
    phones(&world, "c1@x.io", ["2", "2"]);
    assert_eq!(["crm", "erp"].map(|upstream| world.writes_at(upstream).len()), [2, 2], "each once");
    world.is_quiet();
}

#[test]
fn a_pass_that_has_listed_and_writes_keeps_no_edit_waiting_and_sends_nothing_of_others() {
    let world = paged();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    world.forget_requests();
    let gate = Gate::default();
    let creates = Matcher::exactly(Method::POST, "/contacts");
    world.at("crm", |crm| crm.push_fault(creates, Fault::Held(gate.clone())));
    world.sql("insert into contacts (id, email, name) values ('n7', 'c7@x.io', 'seventh')");
    is_writing(&world, "crm");
    for (pass, email) in [(3, "c1@x.io"), (4, "c6@x.io")] {
        edit(&world, email);
        daemon.logs(&format!("pass {pass} of contacts: 0 changes here, 2 writes upstream"));
        phones(&world, email, ["2", "2"]);
    }
    gate.open();
    daemon.logs("pass 2 of contacts: 0 changes here, 2 writes upstream");
    assert_eq!(["crm", "erp"].map(|upstream| world.writes_at(upstream).len()), [3, 3], "each once");
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn what_a_person_decides_during_a_listing_keeps_no_edit_of_other_records_waiting() {
    let world = paged();
    world.change_rules("rules.toml", |rules| {
        rules.replace("name = \"text\"", "name = { type = \"text\", merge = [\"manual\"] }")
    });
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let id = at(&world, "crm", "c1@x.io")["id"].as_str().unwrap().to_owned();
    world.edit("crm", &id, &serde_json::json!({ "name": "theirs" }));
    world.sql("update contacts set name = 'ours' where email = 'c1@x.io'");
    daemon.logs("pass 2 of contacts: 0 changes here, 0 writes upstream");
    let mut listing = Listing::begins(&world, "contacts", 2, &["--full"]);
    let conflict = world.rows("select id from sync_conflict").concat().concat();
    world.run(&["resolve", &conflict, "--take", "local"]).exits(0);
    // The conflict's own record waits for the next listing, and another one does not.
    world.sql("update contacts set phone = '2' where email in ('c1@x.io', 'c6@x.io')");
    daemon.logs("pass 4 of contacts: 0 changes here, 2 writes upstream");
    phones(&world, "c6@x.io", ["2", "2"]);
    assert_eq!(at(&world, "crm", "c1@x.io")["name"], "theirs");
    listing.hangs();
    listing.ends();
    world.run(&["sync"]).exits(0);
    phones(&world, "c1@x.io", ["2", "2"]);
    assert_eq!(at(&world, "crm", "c1@x.io")["name"], "ours");
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

/// Erp does updates in batches of its own, later: each is a job that ends when a test wants.
fn with_jobs() -> World {
    let background = vec![std::time::Duration::from_hours(1)];
    let world = paged_as(|name, resource| {
        if name == "erp" {
            resource.batch = Some(Batch { background: background.clone(), ..Batch::default() });
        }
    });
    world.change_rules("rules.toml", |rules| rules + JOBS);
    world
}

const JOBS: &str = r#"
[binding.contacts.erp.write.batch]
request = "POST /contacts/batch"
ops = ["update"]
items = ".inputs"
item = ".body + {id: .id, etag: .version}"
result = { items = ".results[]", by = "index", id = ".id", version = ".etag", status = ".status", error = ".error" }
job = { poll = ".job", done = '.state == "done"', failed = '.state == "failed"', every = "1s", timeout = "30m" }
"#;

#[test]
fn a_job_that_is_at_work_on_an_edit_keeps_no_other_edit_waiting() {
    let world = with_jobs();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let mut listing = Listing::begins(&world, "contacts", 2, &["--full"]);
    for (pass, email) in [(3, "c1@x.io"), (4, "c6@x.io")] {
        edit(&world, email);
        daemon.logs(&format!("pass {pass} of contacts: 0 changes here, 1 writes upstream"));
        phones(&world, email, ["2", "1"]);
        listing.hangs();
    }
    let outcomes = "select outcome from sync_pass where id > 2";
    assert_eq!(world.rows(outcomes).concat(), ["pending", "pending"], "nothing is wrong");
    let status = world.run(&["status"]);
    assert_eq!(status.stdout.matches("a job of the upstream works on it").count(), 2, "{status:#?}");
    world.at("erp", |erp| erp.work(now() + TimeDelta::hours(2)));
    listing.ends();
    for email in ["c1@x.io", "c6@x.io"] {
        phones(&world, email, ["2", "2"]);
    }
    let batches = world.lines_at("erp").into_iter().filter(|line| line == "POST /contacts/batch").count();
    assert_eq!(batches, 2, "each once");
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn an_upstream_that_answers_no_write_of_a_pass_in_between_keeps_no_later_edit_from_the_others() {
    let world = paged();
    patient(&world);
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let mut listing = Listing::begins(&world, "contacts", 2, &["--full"]);
    let silence = hangs(&world, Method::PATCH, Times::Forever);
    edit(&world, "c1@x.io");
    is_writing(&world, "crm");
    edit(&world, "c2@x.io");
    let left = daemon.logs("pass 3 of contacts: 0 changes here, 1 writes upstream");
    assert!(left.contains("no answer to a write"), "{left}");
    is_changed(&world, "erp", "c2@x.io");
    listing.hangs();
    answers_again(&world, silence);
    daemon.logs("pass 4 of contacts: 0 changes here, 2 writes upstream");
    listing.ends();
    for email in ["c1@x.io", "c2@x.io"] {
        phones(&world, email, ["2", "2"]);
    }
    let writes = ["crm", "erp"].map(|upstream| world.writes_at(upstream).len());
    assert_eq!(writes, [2, 2], "what was done without an answer is found, and each is written once");
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

/// It is told of the edit before long.
#[track_caller]
fn is_changed(world: &World, upstream: &str, email: &str) {
    let began = now();
    while at(world, upstream, email)["phone"] != "2" {
        assert!(now() - began < TimeDelta::seconds(30), "it never came");
        std::thread::yield_now();
    }
}

/// No timeout is over before a test is.
fn patient(world: &World) {
    world.settings_of_upstreams("timeout = { idle = \"10m\", total = \"10m\" }");
}

#[test]
fn an_upstream_that_hangs_while_it_is_asked_whose_account_it_is_keeps_no_edit_from_the_others() {
    let world = paged();
    patient(&world);
    world.settings_of_upstreams("check = { request = \"GET /me\", account = \".account.id\" }");
    world.sync().exits(0);
    let gate = Gate::default();
    let asked = Matcher::exactly(Method::GET, "/me");
    let fault = world.at("crm", |crm| crm.push_fault_times(asked, Fault::Held(gate.clone()), Times::Forever));
    let mut daemon = Daemon::start(&world);
    edit(&world, "c1@x.io");
    daemon.logs(" of contacts: 0 changes here, 1 writes upstream");
    phones(&world, "c1@x.io", ["1", "2"]);
    answers_again(&world, (gate, fault));
    daemon.logs(" of contacts: 0 changes here, 1 writes upstream");
    phones(&world, "c1@x.io", ["2", "2"]);
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn an_upstream_that_hangs_while_its_listing_is_compared_keeps_no_edit_from_the_others() {
    let world = paged();
    patient(&world);
    world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]\n", "[collection.contacts]\nlimits = { delete = \"100%\" }\n")
    });
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let gone = at(&world, "crm", "c5@x.io")["id"].as_str().unwrap().to_owned();
    world.at("crm", |crm| crm.remove("/contacts", &gone, now())).unwrap();
    let silence = hangs(&world, Method::GET, Times::Forever);
    world.forget_requests();
    let mut sync = world.command();
    let mut sync = sync.args(["sync", "--full"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_asked = || world.lines_at("crm").iter().any(|line| line.starts_with("GET /contacts/"));
    while !is_asked() {
        std::thread::yield_now();
    }
    edit(&world, "c1@x.io");
    daemon.logs(" of contacts: 0 changes here, 1 writes upstream");
    phones(&world, "c1@x.io", ["1", "2"]);
    assert!(!sync.wait().unwrap().success(), "crm was not to be had");
    answers_again(&world, silence);
    daemon.logs(" of contacts: 1 changes here, 1 writes upstream");
    phones(&world, "c1@x.io", ["2", "2"]);
    assert_eq!(world.contacts("erp").len(), 5, "what is gone is gone everywhere");
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}
