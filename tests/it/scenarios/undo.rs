//! A pass is taken back: by edits here that the next pass merges and sends like anybody's.

use serde_json::{Value, json};

use crate::daemon::{Daemon, hourly};
use crate::world::{Ran, World};

/// Ann, whose phone is 1, at both upstreams; her id at the first.
fn ann() -> (World, String) {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    let id = world.add_ann("crm");
    (world, id)
}

/// The number of the last pass.
fn last(world: &World) -> String {
    world.rows("select max(id) from sync_pass").concat().concat()
}

/// What an undo says; it ends with this code.
#[track_caller]
fn undone(world: &World, arguments: &[&str], code: i32) -> Value {
    document(&world.run(&[&["--json", "undo"], arguments].concat()).exits(code))
}

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Records, actions and fields of its edits.
fn edits(undone: &Value) -> Vec<String> {
    let changes = undone["changes"].as_array().unwrap().iter();
    let words = changes.map(|change| {
        let fields = change["fields"].as_array().unwrap().iter();
        let fields =
            fields.map(|field| format!("{} {} {}", field["field"].as_str().unwrap(), field["before"], field["after"]));
        format!("{} {}", change["action"].as_str().unwrap(), fields.collect::<Vec<_>>().join(", "))
    });
    words.collect()
}

/// Fields and reasons of what stays.
fn left(undone: &Value) -> Vec<String> {
    let left = undone["left"].as_array().unwrap().iter();
    left.map(|one| format!("{} {}", one["fields"], one["why"].as_str().unwrap())).collect()
}

/// The phones here and at each upstream, of all contacts.
fn phones(world: &World) -> Vec<Vec<String>> {
    let here = world.rows("select ifnull(phone, '') from contacts order by email").concat();
    let there = world.names().into_iter().map(|name| {
        let mut contacts = world.contacts(&name);
        contacts.sort_by_key(|one| one["email"].to_string());
        contacts.iter().map(|one| one["phone"].as_str().unwrap_or_default().to_owned()).collect()
    });
    std::iter::once(here).chain(there).collect()
}

#[track_caller]
fn all_say(world: &World, phones_of_all: &[&str]) {
    for side in phones(world) {
        assert_eq!(side, phones_of_all, "{:?}", phones(world));
    }
}

#[test]
fn s65_a_pass_that_pulled_is_undone_by_edits_that_the_next_pass_sends_on() {
    let (world, id) = ann();
    world.edit("crm", &id, &json!({ "phone": "2" }));
    world.sync().exits(0);
    all_say(&world, &["2"]);
    let run = last(&world);
    let planned = undone(&world, &[&run], 3);
    assert_eq!((edits(&planned), left(&planned)), (vec![r#"update phone "2" "1""#.to_owned()], vec![]));
    assert_eq!((&planned["applied"], &planned["pass"]), (&json!(false), &Value::Null));
    assert_eq!(world.rows("select phone from contacts"), [["2"]], "a plan changes nothing");
    world.forget_requests();
    let made = undone(&world, &[&run, "--apply"], 0);
    assert_eq!(edits(&made), edits(&planned));
    assert_eq!(made["pass"].to_string(), last(&world));
    for name in world.names() {
        assert_eq!(world.lines_at(&name), [] as [&str; 0], "nobody is asked for it");
    }
    let told = world.rows("select kind, origin, rule, before, after from sync_history order by id desc limit 1");
    assert_eq!(told, [["local", "undo", &format!("undo: pass {run}"), r#"["2"]"#, r#"["1"]"#]]);
    world.sync().exits(0).wrote(2, 0);
    all_say(&world, &["1"]);
    world.is_quiet();
    let again = undone(&world, &[&run, "--apply"], 0);
    assert_eq!((edits(&again), left(&again), &again["pass"]), (vec![], vec![], &Value::Null));
    assert!(world.run(&["undo", &run]).exits(0).stdout.contains("nothing to take back"));
}

#[test]
fn s65_a_pass_that_sent_an_edit_is_undone_and_so_is_the_undo() {
    let (world, _) = ann();
    world.sql("update contacts set phone = '2', name = 'Anne'");
    world.sync().exits(0);
    all_say(&world, &["2"]);
    let run = last(&world);
    let made = undone(&world, &[&run, "--apply"], 0);
    assert_eq!(edits(&made), [r#"update name "Anne" "Ann", phone "2" "1""#]);
    world.sync().exits(0).wrote(2, 0);
    all_say(&world, &["1"]);
    world.is_quiet();
    // The undo has a number of its own.
    let made = undone(&world, &[&made["pass"].to_string(), "--apply"], 0);
    assert_eq!(edits(&made), [r#"update name "Ann" "Anne", phone "1" "2""#]);
    world.sync().exits(0).wrote(2, 0);
    all_say(&world, &["2"]);
    world.is_quiet();
    let status = document(&world.run(&["--json", "status"]).exits(0));
    assert_ne!(status["collections"][0]["last_pass"]["trigger"], "undo", "it is no pass");
}

#[test]
fn s65_what_was_changed_since_is_kept_and_reported() {
    let (world, id) = ann();
    world.edit("crm", &id, &json!({ "phone": "2", "name": "Anne" }));
    world.sync().exits(0);
    let run = last(&world);
    world.edit("crm", &id, &json!({ "phone": "3" }));
    world.sync().exits(0);
    let made = undone(&world, &[&run, "--apply"], 3);
    assert_eq!(edits(&made), [r#"update name "Anne" "Ann""#]);
    assert_eq!(left(&made), [r#"["phone"] changed"#]);
    let words = made["left"][0]["words"].as_str().unwrap();
    let later = run.parse::<u64>().unwrap() + 1;
    assert_eq!(words, format!(r#"changed since, by crm in pass {later}: it is "3" now"#));
    world.sync().exits(0);
    all_say(&world, &["3"]);
    assert_eq!(world.contact("crm", &id)["name"], "Ann");
    world.is_quiet();
    // A later edit that no pass has looked at yet is kept as well.
    let run = last_with(&world, "\"3\"");
    world.sql("update contacts set phone = '4'");
    let planned = undone(&world, &[&run], 3);
    assert_eq!((edits(&planned).len(), left(&planned)), (0, vec![r#"["phone"] changed"#.to_owned()]));
}

/// The pass whose history has this as what came of a change here.
fn last_with(world: &World, value: &str) -> String {
    world
        .rows(&format!("select max(pass) from sync_history where kind = 'local' and after = '[{value}]'"))
        .concat()
        .concat()
}

#[test]
fn s65_what_an_undo_meets_at_an_upstream_is_merged_like_any_edit() {
    let (world, id) = ann();
    world.change_rules("rules.toml", |text| {
        text.replace("phone = \"text\"", "phone = { type = \"text\", merge = [\"manual\"] }")
    });
    world.edit("crm", &id, &json!({ "phone": "2" }));
    world.sync().exits(0);
    let run = last(&world);
    world.edit("crm", &id, &json!({ "phone": "3" }));
    undone(&world, &[&run, "--apply"], 0);
    world.sync().exits(4);
    assert_eq!(world.contact("crm", &id)["phone"], "3", "nothing is overwritten that was not seen");
    assert_eq!(world.rows("select fields from sync_conflict where closed_at is null"), [["phone"]]);
}

#[test]
fn s65_created_records_are_deleted_only_where_that_is_asked_for() {
    let (world, _) = ann();
    world.add("crm", &json!({ "email": "bob@x.io", "name": "Bob", "phone": "5" }));
    world.sql("insert into contacts (id, email, name, phone) values ('c', 'cat@x.io', 'Cat', '6')");
    world.sync().exits(0);
    all_say(&world, &["1", "5", "6"]);
    let run = last(&world);
    let planned = undone(&world, &[&run], 3);
    assert_eq!((edits(&planned).len(), left(&planned)), (0, vec!["[] created".to_owned(); 2]));
    assert!(world.run(&["undo", &run]).exits(3).stdout.contains("`--delete`"));
    let made = undone(&world, &[&run, "--delete", "--apply", "--record", "c"], 0);
    assert_eq!(edits(&made), [r#"delete email "cat@x.io" null, name "Cat" null, phone "6" null"#]);
    assert_eq!(made["changes"][0]["note"], "the next pass deletes it at crm, erp");
    world.sync().exits(0);
    all_say(&world, &["1", "5"]);
    // Whoever worked on one since keeps it.
    world.sql("update contacts set phone = '7' where email = 'bob@x.io'");
    let kept = undone(&world, &[&run, "--delete", "--apply"], 3);
    assert_eq!((edits(&kept).len(), left(&kept)), (0, vec!["[] changed".to_owned()]));
    world.sql("update contacts set phone = '5' where email = 'bob@x.io'");
    undone(&world, &[&run, "--delete", "--apply"], 0);
    world.sync().exits(0);
    all_say(&world, &["1"]);
    world.is_quiet();
}

#[test]
fn s65_what_was_created_at_one_upstream_only_is_not_deleted_at_the_others() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    let whole = std::fs::read_to_string(world.path("rules").join("rules.toml")).unwrap();
    let (one, _) = whole.split_once("[upstream.erp]").unwrap();
    world.rules("rules.toml", one);
    world.add("crm", &json!({ "email": "ann@x.io", "name": "Ann", "phone": "1" }));
    world.sync().exits(0);
    // A first load has no line of history for each of its records.
    let first = last(&world);
    assert_eq!(left(&undone(&world, &[&first], 3)), ["[] created"]);
    world.rules("rules.toml", &whole);
    world.sync().exits(0);
    assert_eq!(world.emails("erp"), ["ann@x.io"]);
    let second = last(&world);
    let planned = undone(&world, &[&second, "--delete", "--apply"], 3);
    assert_eq!((edits(&planned).len(), left(&planned)), (0, vec!["[] elsewhere".to_owned()]));
    let made = undone(&world, &[&first, "--delete", "--apply"], 0);
    assert_eq!(made["changes"][0]["note"], "the next pass deletes it at crm, erp");
}

#[test]
fn s65_deleted_records_are_made_again_under_their_ids() {
    let (world, id) = ann();
    for name in ["bob", "cat", "dan", "eve"] {
        world.add("crm", &json!({ "email": format!("{name}@x.io"), "name": name, "phone": name }));
    }
    world.sync().exits(0);
    let before = world.rows("select id, email, name, phone from contacts order by email");
    // One is deleted there, one here.
    world.remove("crm", &id);
    world.sync().exits(0);
    let there = last(&world);
    world.sql("delete from contacts where email = 'bob@x.io'");
    world.sync().exits(0);
    let here = last(&world);
    all_say(&world, &["cat", "dan", "eve"]);
    for run in [&there, &here] {
        assert_eq!(undone(&world, &[run], 3)["changes"][0]["action"], "create");
        undone(&world, &[run, "--apply"], 0);
        assert_eq!(undone(&world, &[run], 0)["changes"], json!([]));
    }
    assert_eq!(world.rows("select id, email, name, phone from contacts order by email"), before);
    world.sync().exits(0).wrote(4, 0);
    all_say(&world, &["1", "bob", "cat", "dan", "eve"]);
    world.is_quiet();
    let again = undone(&world, &[&there, "--apply"], 0);
    assert_eq!((edits(&again).len(), left(&again).len()), (0, 0));
}

#[test]
fn s65_one_record_is_undone_alone_whatever_it_is_called_by() {
    let (world, id) = ann();
    let bob = world.add("crm", &json!({ "email": "bob@x.io", "name": "Bob", "phone": "1" }));
    world.sync().exits(0);
    for one in [&id, &bob] {
        world.edit("crm", one, &json!({ "phone": "2" }));
    }
    world.sync().exits(0);
    let run = last(&world);
    let local = world.rows("select id from contacts where email = 'bob@x.io'").concat().concat();
    for name in [&bob, &local, &format!("contacts/{local}")] {
        assert_eq!(undone(&world, &[&run, "--record", name], 3)["changes"][0]["record"], json!(local));
    }
    undone(&world, &[&run, "--record", &bob, "--collection", "contacts", "--apply"], 0);
    world.sync().exits(0);
    all_say(&world, &["2", "1"]);
    world.is_quiet();
}

#[test]
fn s65_groups_move_together_and_of_a_set_only_what_the_pass_did_is_taken_back() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| {
        text.replace("name = \"text\"\n", "name = { type = \"text\", group = \"who\" }\ntags = \"set\"\n")
            .replace("phone = \"text\"", "phone = { type = \"text\", group = \"who\" }")
            .replace("name = \".name\"\n", "name = \".name\"\ntags = \".tags\"\n")
    });
    let id = world.add("crm", &json!({ "email": "ann@x.io", "name": "Ann", "phone": "1", "tags": ["a", "b"] }));
    world.sync().exits(0);
    world.edit("crm", &id, &json!({ "name": "Anne", "phone": "2", "tags": ["b", "c"] }));
    world.sync().exits(0);
    let run = last(&world);
    world.sql("update contacts set phone = '3', tags = '[\"b\",\"c\",\"d\"]'");
    world.sync().exits(0);
    let made = undone(&world, &[&run, "--apply"], 3);
    assert_eq!(edits(&made), [r#"update tags ["b","c","d"] ["a","b","d"]"#]);
    assert_eq!(left(&made), [r#"["name","phone"] changed"#]);
    world.sync().exits(0);
    let there = world.contact("crm", &id);
    assert_eq!(
        (&there["tags"], &there["name"], &there["phone"]),
        (&json!(["a", "b", "d"]), &json!("Anne"), &json!("3"))
    );
    world.is_quiet();
}

#[test]
fn s65_values_that_stand_in_each_others_way_come_back_one_after_the_other() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| {
        text.replace("phone = \"text\"", "phone = { type = \"text\", unique = true }")
    });
    let ann = world.add("crm", &json!({ "email": "ann@x.io", "name": "Ann", "phone": "1" }));
    let bob = world.add("crm", &json!({ "email": "bob@x.io", "name": "Bob", "phone": "2" }));
    world.sync().exits(0);
    // Ann's number goes to Bob.
    world.edit("crm", &ann, &json!({ "phone": "3" }));
    world.sync().exits(0);
    let first = last(&world);
    world.edit("crm", &bob, &json!({ "phone": "1" }));
    world.sync().exits(0);
    let second = last(&world);
    let refused = undone(&world, &[&first, "--apply"], 3);
    assert_eq!((edits(&refused).len(), left(&refused)), (0, vec![r#"["phone"] refused"#.to_owned()]));
    undone(&world, &[&second, "--apply"], 0);
    undone(&world, &[&first, "--apply"], 0);
    world.sync();
    world.sync().exits(0);
    all_say(&world, &["1", "2"]);
}

#[test]
fn s65_what_cannot_be_undone_says_why_and_what_helps() {
    let (world, _) = ann();
    let run = last(&world);
    let said = |arguments: &[&str], code: i32| world.run(&[&["undo"], arguments].concat()).exits(code).stderr;
    let none = said(&["99"], 1);
    assert!(none.contains("there is no pass 99") && none.contains("`reconciled history`"), "{none}");
    let other = said(&[&run, "--collection", "deals"], 2);
    assert!(other.contains(&format!("pass {run} is of contacts, not of deals")), "{other}");
    let stranger = said(&[&run, "--record", "nobody"], 1);
    assert!(stranger.contains("did nothing to a record `nobody`"), "{stranger}");
    // A plan makes no pass that could be undone.
    world.run(&["plan"]).exits(0);
    assert_eq!(last(&world), run);
    world.sql("update sync_pass set ended_at = null");
    // It was killed: nothing is at work.
    assert_eq!(left(&undone(&world, &[&run], 3)), ["[] created"]);
    world.change_rules("rules.toml", |text| {
        text.replace("contacts", "people").replace("path = \"/people", "path = \"/contacts")
    });
    let gone = said(&[&run], 2);
    assert!(gone.contains("which the rules no longer have"), "{gone}");
}

#[test]
fn s65_a_daemon_undoes_and_sends_on() {
    let world = hourly();
    let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    world.edit("crm", &id, &json!({ "phone": "2" }));
    world.run(&["sync"]).exits(0);
    daemon.logs("pass 2 of contacts");
    assert_eq!(edits(&undone(&world, &["2"], 3)).len(), 1);
    let told = world.run(&["undo", "2", "--apply"]).exits(0).stdout;
    assert!(told.contains("done, as undo 3; the daemon sends it on"), "{told}");
    daemon.logs("pass 4 of contacts");
    assert_eq!(world.contact("crm", &id)["phone"], "1");
    let none = world.run(&["undo", "99"]).exits(1).stderr;
    assert!(none.contains("there is no pass 99") && none.contains("`reconciled history`"), "{none}");
    // While somebody looks into the upstream it answers nobody.
    world.at("crm", |_| {
        daemon.signal("USR1");
        while world.rows("select id from sync_pass where ended_at is null").is_empty() {
            std::thread::yield_now();
        }
        let refused = world.run(&["undo", "5"]).exits(2).stderr;
        assert!(refused.contains("pass 5 of contacts has not ended: wait until it has"), "{refused}");
    });
    daemon.logs("pass 5 of contacts");
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}
