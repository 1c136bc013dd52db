//! `verify` finds what is not as it must be, and `repair` mends what can be mended without a guess.

use std::collections::BTreeSet;

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Times};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::world::{Ran, World};

/// Ann and Bea at two upstreams and here.
fn synced() -> World {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    for name in ["ann", "bea"] {
        world.add("crm", &json!({ "email": format!("{name}@x.io"), "name": name, "phone": "1" }));
    }
    world.sync().exits(0);
    world.is_quiet();
    world
}

fn told(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The checks that found something, by whether it can be mended.
fn found(findings: &Value) -> BTreeSet<(String, bool)> {
    let of = |one: &Value| (one["check"].as_str().unwrap().to_owned(), one["mendable"].as_bool().unwrap());
    findings.as_array().unwrap().iter().map(of).collect()
}

fn beside(world: &World) -> Vec<String> {
    let all = std::fs::read_dir(world.path("")).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap());
    all.filter(|name| name.contains(".before-repair-")).collect()
}

#[test]
fn nothing_is_wrong_in_a_database_that_much_was_done_with_nor_while_a_daemon_runs() {
    let world = synced();
    world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]", "[collection.contacts]\nmerge = [\"manual\"]\nevery = \"1h\"")
    });
    let crm = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    // A conflict, an edit that was sent, a row that was deleted, one that is new, an edit that waits.
    world.edit("crm", &crm, &json!({ "phone": "3" }));
    world.sql("update contacts set phone = '4' where name = 'ann'; delete from contacts where name = 'bea'");
    world.sync();
    world.sql("insert into contacts (email, name, phone) values ('cy@x.io', 'cy', '1')");
    world.at("erp", |erp| erp.push_fault(Matcher::of(Method::POST, "/contacts"), Fault::throttled("3600")));
    world.sync();
    assert_eq!(world.rows("select count(*) from sync_intent"), [["1"]], "a write waits");
    world.sql("update contacts set name = 'Cyd' where name = 'cy'");
    let said = world.run(&["verify"]).exits(0);
    assert!(said.stdout.contains("nothing is wrong"), "{said:#?}");
    let mut daemon = Daemon::start(&world);
    daemon.logs("of contacts");
    assert_eq!(told(&world.run(&["--json", "verify"]).exits(0)), json!({ "ok": true, "findings": [] }));
    assert_eq!(daemon.stops().0, Some(0));
}

/// What breaks something that must be true, and the check that finds it; each is mended, and nobody upstream hears of it.
const MENDED: &[(&str, &str)] = &[
    (
        "link_binding",
        "insert into sync_link (binding, record, remote_id, state, mapping, observed_at, raw) values (99, 'x', 'y', 0, 1, 0, x'')",
    ),
    ("link_base", "update sync_link set base_hub = '{' where link = 1"),
    ("remote_link", "insert into sync_remote values (1, 'ghost', 999, 0, 0)"),
    ("link_remote", "delete from sync_remote where link = 1"),
    ("link_remote", "update sync_remote set state = 1 where link = 2"),
    ("link_remote", "update sync_remote set link = 999 where link = 3"),
    ("hint_collection", "insert into sync_dirty values (99, 'x', 'update', 0, 1)"),
    ("hint_number", "update contacts set phone = phone; update sync_engine set seen = 0"),
    ("hint_number", "delete from sync_engine"),
    (
        "staged",
        "insert into sync_stage (binding, remote_id, collection, kind, fingerprint, observed_at, raw) values (99, 'x', 1, 'record', 1, 0, x'')",
    ),
    ("cursor", "insert into sync_cursor values (99, '{}')"),
    ("cursor", "insert into sync_parent values (99, 'p', '{}')"),
    ("turns", "insert into sync_turn values ('x', 99, 'phone', '[]')"),
    ("provenance", "insert into sync_origin values (99, 'x', '', 'local', null, 0, 1, 'r')"),
    ("match", "insert into sync_match (collection, hash, record) values (99, 1, 'x')"),
    ("triggers", "drop trigger \"sync_t_contacts.update\""),
];

#[test]
fn what_can_be_mended_without_a_guess_is_found_planned_and_mended() {
    for (check, sql) in MENDED {
        let world = synced();
        world.sql(sql);
        let before = std::fs::read(world.database()).unwrap();
        let findings = told(&world.run(&["--json", "verify"]).exits(1));
        assert_eq!(findings["ok"], false);
        let all = found(&findings["findings"]);
        assert!(
            all.contains(&((*check).to_owned(), true)) && all.iter().all(|(_, mends)| *mends),
            "{sql}: {findings:#}"
        );
        let planned = told(&world.run(&["--json", "repair"]).exits(3));
        assert_eq!(
            (found(&planned["mended"]), &planned["applied"]),
            (all.clone(), &json!(false)),
            "{sql}: {planned:#}"
        );
        assert!(
            std::fs::read(world.database()).unwrap() == before && beside(&world).is_empty(),
            "{sql}: nothing was changed"
        );
        let done = told(&world.run(&["--json", "repair", "--apply"]).exits(0));
        assert_eq!((found(&done["mended"]), &done["left"]), (all, &json!([])), "{sql}: {done:#}");
        // As it was before: it is broken just so.
        let backup = done["backup"].as_str().unwrap();
        assert_eq!(beside(&world).len(), 1, "{sql}");
        assert!(backup.ends_with(&beside(&world)[0]), "{backup}");
        world.run(&["verify"]).exits(0);
        world.is_quiet();
        for name in ["crm", "erp"] {
            assert_eq!(world.contacts(name).len(), 2, "{sql}: at {name}");
        }
        assert_eq!(world.rows("select count(*) from contacts"), [["2"]], "{sql}");
    }
}

#[test]
fn a_field_that_is_new_in_the_rules_is_nothing_wrong() {
    let world = synced();
    world.change_rules("rules.toml", |rules| {
        rules.replace("phone = \"text\"", "phone = { type = \"text\", unique = true }\ncity = \"text\"")
    });
    world.run(&["verify"]).exits(0);
}

#[test]
fn an_edit_that_went_unnoticed_without_its_trigger_is_sent_after_a_repair() {
    let world = synced();
    world.sql("drop trigger \"sync_t_contacts.update\"; update contacts set phone = '7' where name = 'ann'");
    world.run(&["repair", "--apply"]).exits(0);
    world.sync().exits(0).wrote(2, 0);
    assert!(world.contacts("erp").iter().any(|one| one["phone"] == "7"));
    world.is_quiet();
}

/// The same of what nobody but a person can tell.
const LEFT: &[(&str, &str)] = &[
    ("row", "delete from contacts where name = 'ann'; delete from sync_dirty"),
    ("type", "pragma ignore_check_constraints = on; update contacts set phone = x'00' where name = 'ann'"),
    ("link_form", "update sync_link set state = 9 where link = 1; update sync_remote set state = 9 where link = 1"),
    (
        "link_twice",
        "insert into sync_link (binding, record, remote_id, state, mapping, observed_at, raw) \
        select binding, 'x', remote_id, 2, mapping, observed_at, raw from sync_link where link = 1",
    ),
    ("binding_collection", "insert into sync_binding values (98, 97, 'crm')"),
    (
        "intent",
        "insert into sync_intent (key, collection, upstream, binding, record, op, state, payload_hash, \"values\", attempts, pass, created_at) \
        values ('k', 'contacts', 'crm', 99, 'x', 'create', 'prepared', '', '{}', 0, 1, 0)",
    ),
    (
        "intent_remote",
        "insert into sync_intent (key, collection, upstream, binding, record, remote_id, op, state, payload_hash, \"values\", attempts, pass, created_at) \
        values ('k', 'contacts', 'crm', 1, 'x', 'nobody', 'update', 'prepared', '', '{}', 0, 1, 0)",
    ),
    (
        "conflict",
        "insert into sync_conflict (collection, record, fields, kind, candidates, pass, opened_at) values ('contacts', 'x', '[]', 'edit', '[', 1, 0)",
    ),
    (
        "foreign_key",
        "pragma foreign_keys = off; create table theirs (c text references contacts (id)); insert into theirs values ('nobody')",
    ),
    ("table", "alter table contacts drop column phone"),
];

#[test]
fn what_would_be_a_guess_is_told_with_what_a_person_can_do_and_left() {
    for (check, sql) in LEFT {
        let world = synced();
        world.sql(if *check == "table" { "drop trigger \"sync_t_contacts.update\"" } else { "" });
        world.sql(sql);
        let findings = told(&world.run(&["--json", "verify"]).exits(1));
        let all = found(&findings["findings"]);
        assert!(all.contains(&((*check).to_owned(), false)), "{sql}: {findings:#}");
        let of = findings["findings"].as_array().unwrap().iter().find(|one| one["check"] == *check).unwrap();
        assert!(of["count"] == 1 || *check == "row", "{sql}: {of:#}");
        assert!(!of["remedy"].as_str().unwrap().is_empty() && !of["examples"].as_array().unwrap().is_empty(), "{of:#}");
        let before = std::fs::read(world.database()).unwrap();
        if all.iter().all(|(_, mends)| !mends) {
            let left = told(&world.run(&["--json", "repair", "--apply"]).exits(1));
            assert_eq!((found(&left["left"]), &left["backup"]), (all, &Value::Null), "{sql}");
            assert!(std::fs::read(world.database()).unwrap() == before && beside(&world).is_empty(), "{sql}");
        }
    }
}

#[test]
fn a_repair_is_refused_while_a_daemon_runs_and_for_a_damaged_file() {
    let world = synced();
    world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]", "[collection.contacts]\nevery = \"1h\"")
    });
    world.sql("insert into sync_cursor values (99, '{}'); update contacts set phone = '2'");
    let mut daemon = Daemon::start(&world);
    daemon.logs("of contacts");
    world.run(&["repair", "--apply"]).exits(7);
    assert_eq!(daemon.stops().0, Some(0));
    let mut bytes = std::fs::read(world.database()).unwrap();
    let length = bytes.len();
    bytes[length / 2 / 8192 * 8192..].fill(0xa5);
    std::fs::write(world.database(), bytes).unwrap();
    for arguments in [&["verify"][..], &["repair", "--apply"]] {
        let refused = world.run(arguments).exits(1);
        assert!(refused.stderr.contains("data.db is damaged"), "{refused:#?}");
    }
    assert!(beside(&world).is_empty());
}

#[test]
fn linked_records_are_compared_with_what_upstreams_say_now_and_nothing_is_written() {
    let world = synced();
    for name in ["cy", "dan"] {
        world.add("crm", &json!({ "email": format!("{name}@x.io"), "name": name, "phone": "1" }));
    }
    world.sync().exits(0);
    let deep = |world: &World| world.run(&["--json", "verify", "--deep", "contacts"]);
    let same = told(&deep(&world).exits(0));
    assert_eq!((&same["compared"][0]["records"], &same["compared"][1]["records"]), (&json!(4), &json!(4)), "{same:#}");
    let of = |who: &str| {
        let all = world.contacts("crm");
        all.iter().find(|one| one["name"] == who).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (ann, bea) = (of("ann"), of("bea"));
    world.edit("crm", &ann, &json!({ "phone": "9" }));
    world.at("crm", |crm| crm.remove("/contacts", &bea, crate::hands::now())).unwrap();
    world.add("crm", &json!({ "email": "eve@x.io", "name": "eve" }));
    world.sql("update contacts set phone = '5' where name = 'cy'");
    let rows = world.rows("select * from contacts order by id");
    world.forget_requests();
    let told = told(&deep(&world).exits(3));
    let crm = &told["compared"][0];
    let sums = ["records", "differ", "gone", "unknown", "unlinked"].map(|key| crm[key].as_u64().unwrap());
    assert_eq!((sums, &crm["error"]), ([4, 2, 1, 0, 1], &Value::Null), "{crm:#}");
    let one =
        |remote: &str| crm["differences"].as_array().unwrap().iter().find(|one| one["remote_id"] == remote).unwrap();
    assert_eq!(
        one(&ann)["fields"],
        json!([{ "field": "phone", "local": { "value": "1" }, "upstream": { "value": "9" } }])
    );
    assert_eq!((&one(&ann)["waits"], &one(&bea)["what"]), (&json!(false), &json!("gone")));
    assert_eq!(one(&of("cy"))["waits"], true);
    assert_eq!((&told["compared"][1]["differ"], &told["compared"][1]["gone"]), (&json!(1), &json!(0)), "cy, at erp");
    for name in ["crm", "erp"] {
        assert_eq!(world.writes_at(name), []);
    }
    assert_eq!(world.rows("select * from contacts order by id"), rows);
    let text = world.run(&["verify", "--deep"]).exits(3).stdout;
    assert!(text.contains("phone: here 1, there 9") && text.contains("2 differ, 1 gone"), "{text}");
    // One that may not be read is no reason to look at no other.
    let place = format!("/contacts/{bea}");
    world.at("crm", |crm| crm.push_fault_times(Matcher::of(Method::GET, &place), Fault::status(403), Times::Forever));
    let hidden: Value = serde_json::from_str(&deep(&world).exits(3).stdout).unwrap();
    let crm = &hidden["compared"][0];
    assert_eq!((&crm["differ"], &crm["unknown"], &crm["error"]), (&json!(2), &json!(1), &Value::Null), "{crm:#}");
    world.at("erp", |erp| erp.push_fault_times(Matcher::of(Method::GET, "/"), Fault::status(500), Times::Forever));
    let down: Value = serde_json::from_str(&deep(&world).exits(6).stdout).unwrap();
    assert!(down["compared"][1]["error"].as_str().unwrap().contains("500"), "{down:#}");
    assert_eq!(down["compared"][0]["differ"], 2, "the other was compared");
}
