//! Faults of upstreams that the catalogue of faults numbers, through the real program.

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Sandbox, Times};
use serde_json::json;

use crate::world::World;

fn listing() -> Matcher {
    Matcher::exactly(Method::GET, "/contacts")
}

/// So many contacts at crm, linked; requests are sent once.
fn linked(count: usize) -> (World, Vec<String>) {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.settings_of_upstreams("retry = { attempts = 1 }");
    let one = |n: usize| json!({"email": format!("p{n}@x.io"), "name": format!("P{n}"), "phone": n.to_string()});
    let ids = (1..=count).map(|n| world.add("crm", &one(n))).collect();
    world.sync().exits(0);
    world.forget_requests();
    (world, ids)
}

fn count(world: &World) -> String {
    world.rows("select count(*) from contacts")[0][0].clone()
}

/// Each run is a process of its own with one request: what the breaker knows goes from one to the next.
#[test]
fn f25_an_upstream_that_keeps_failing_is_left_alone_and_status_says_so() {
    let (world, ids) = linked(2);
    world.at("crm", |crm| crm.push_fault_times(Matcher::any(), Fault::status(503), Times::Forever));
    world.sql("update contacts set phone = '9'");
    let mut runs = 0;
    let opened = loop {
        world.sync().exits(6);
        runs += 1;
        let state = world.status()["upstreams"][0]["state"]["breaker"].clone();
        if state["state"] == "open" {
            break state;
        }
        assert_eq!(state["state"], "closed", "after {runs} runs");
        assert!(runs < 20);
    };
    assert_eq!(opened["openings"], 1, "{opened}");
    let said = world.run(&["status"]).stdout;
    assert!(said.contains("crm failed too often: it is left alone until"), "{said}");
    // Open: quick, no request, exit 6; the edits still wait.
    world.forget_requests();
    let ran = world.sync().exits(6);
    assert_eq!(world.lines_at("crm"), Vec::<String>::new(), "{ran:#?}");
    assert!(ran.stdout.contains("the breaker is open"), "{ran:#?}");
    // The time is over and it is back: probes that read, then the writes.
    world.at("crm", Sandbox::clear_faults);
    let past = r#"{"breaker":{"state":"open","until":"2020-01-01T00:00:00Z","openings":1}}"#;
    world.sql(&format!("update sync_upstream set state = '{past}'"));
    world.sync().exits(0).wrote(2, 0);
    let lines = world.lines_at("crm");
    let reads = lines.iter().take_while(|line| line.starts_with("GET ")).count();
    assert!(reads >= 4, "{lines:?}");
    assert!(ids.iter().all(|id| world.contact("crm", id)["phone"] == "9"));
    assert_eq!(world.status()["upstreams"][0]["state"]["breaker"], json!(null));
    world.is_quiet();
}

#[test]
fn f27_a_listing_that_is_suddenly_empty_deletes_nothing() {
    let (world, _) = linked(6);
    // However much the rules let be deleted, it is never all.
    world.change_rules("rules.toml", |text| {
        text.replace("[collection.contacts]\n", "[collection.contacts]\nlimits = { delete = 1000 }\n")
    });
    world.sync().exits(0);
    world.forget_requests();
    // The records are there if one asks for them.
    world.at("crm", |crm| crm.push_fault(listing(), Fault::EmptyListing));
    let ran = world.sync().exits(6);
    assert!(ran.stdout.contains("it is not believed"), "{ran:#?}");
    assert_eq!(count(&world), "6");
    // They are not there, either: that is for a person.
    world.at("crm", |crm| {
        crm.push_fault(listing(), Fault::EmptyListing);
        crm.push_fault_times(Matcher::containing("/contacts/"), Fault::status(404), Times::Forever);
    });
    let ran = world.sync().exits(5);
    assert_eq!(ran.report("contacts")["halts"][0]["what"], "emptied", "{ran:#?}");
    assert_eq!((count(&world).as_str(), world.writes_at("crm").len()), ("6", 0));
    world.at("crm", Sandbox::clear_faults);
    world.sync().exits(0).wrote(0, 0);
    world.is_quiet();
}

/// 8 MB in a page of at most 1 MB: that record is set aside by its name, the others go on in both directions.
#[test]
fn f30_a_record_too_large_for_its_page_is_set_aside_and_the_pass_goes_on() {
    for first_contact in [true, false] {
        let world = World::with_contacts(&["crm"], |_, _| {});
        world.settings_of_upstreams("retry = { attempts = 1 }\nbody_max = \"1MB\"");
        let ids: Vec<String> =
            (1..=3).map(|n| world.add("crm", &json!({"email": format!("p{n}@x.io"), "phone": "1"}))).collect();
        if !first_contact {
            world.sync().exits(0);
            world.sql("update contacts set phone = '2' where email = 'p3@x.io'");
        }
        world.edit("crm", &ids[1], &json!({"name": "Two"}));
        let huge = Fault::HugeRecord { bytes: 8 << 20 };
        world.at("crm", |crm| crm.push_fault_times(listing(), huge, Times::Forever));
        world.sync().exits(4);
        let expected = if first_contact { "2" } else { "3" };
        assert_eq!(count(&world), expected);
        assert_eq!(world.rows("select name from contacts where email = 'p2@x.io'"), [["Two"]]);
        if !first_contact {
            assert_eq!(world.contact("crm", &ids[2])["phone"], "2");
        }
        let aside = world.rows("select subject, reason from sync_quarantine");
        assert_eq!(aside.len(), 1, "{aside:?}");
        assert_eq!(aside[0][0], format!("remote:{}", ids[0]));
        assert!(aside[0][1].contains("larger than `body_max`"), "{aside:?}");
        world.sync().exits(4).wrote(0, 0);
        // It is smaller now.
        world.at("crm", Sandbox::clear_faults);
        world.sync().exits(0);
        assert_eq!(count(&world), "3");
        assert_eq!(world.reasons(), Vec::<String>::new());
        world.is_quiet();
    }
}

/// The listing lags behind our own write: it neither undoes it nor has it sent again.
#[test]
fn f34_a_stale_listing_after_a_write_reverts_nothing() {
    let (world, ids) = linked(2);
    world.sql("update contacts set phone = '7' where email = 'p1@x.io'");
    world.sync().exits(0).wrote(1, 0);
    world.forget_requests();
    world.at("crm", |crm| crm.push_fault_times(listing(), Fault::StaleRead, Times::Forever));
    for _ in 0..2 {
        world.sync();
        assert_eq!(world.writes_at("crm").len(), 0);
        assert_eq!(world.rows("select phone from contacts where email = 'p1@x.io'"), [["7"]]);
    }
    world.at("crm", Sandbox::clear_faults);
    world.sync().exits(0).wrote(0, 0);
    assert_eq!(world.contact("crm", &ids[0])["phone"], "7");
    world.is_quiet();
}

/// The phone was a text and is an object for so many of twenty.
fn retyped(records: usize) -> (World, Vec<String>) {
    let (world, ids) = linked(20);
    for id in &ids[..records] {
        world.edit("crm", id, &json!({"name": "Renamed", "phone": {"home": "1"}}));
    }
    (world, ids)
}

#[test]
fn f35_a_field_that_changes_its_type_is_set_aside_and_halts_where_many_do() {
    let (world, _) = retyped(4);
    world.sync().exits(4);
    assert_eq!(world.rows("select count(*) from contacts where name = 'Renamed' and phone is not null"), [["4"]]);
    assert_eq!(world.reasons().len(), 4);

    let (world, ids) = retyped(5);
    let ran = world.sync().exits(5);
    assert!(ran.stdout.contains("\"what\":\"schema: phone\""), "{ran:#?}");
    assert_eq!(world.rows("select count(*) from contacts where name = 'Renamed'"), [["0"]]);
    assert_eq!(world.writes_at("crm").len(), 0);
    // A person says that it is so: they are set aside, once and for all.
    world.approve();
    world.sync().exits(4);
    assert_eq!(world.rows("select count(*) from contacts where name = 'Renamed' and phone is not null"), [["5"]]);
    world.sync().exits(4).wrote(0, 0);
    // The type is as it was.
    for id in &ids[..5] {
        world.edit("crm", id, &json!({"phone": "1"}));
    }
    world.sync().exits(0);
    world.is_quiet();
}

#[test]
fn f45_items_of_a_batch_that_failed_in_passing_wait_for_a_time_that_is_kept() {
    let world = World::with_contacts(&["crm"], |_, resource| {
        resource.batch = Some(reconciled::sandbox::Batch::default());
        resource.concurrency.body = true;
    });
    world.settings_of_upstreams("retry = { attempts = 1, max_wait = \"0s\" }");
    let in_header = "precondition = { header = \"If-Match\", value = '\"{version}\"' }";
    world.change_rules("rules.toml", |rules| rules.replace(in_header, "precondition = { body = \".etag\" }") + BATCH);
    for n in 1..=3 {
        world.add("crm", &json!({"email": format!("p{n}@x.io"), "phone": "1"}));
    }
    world.sync().exits(0);
    world.sql("update contacts set phone = '2'");
    let body = json!({"results": [{"status": 429}, {"status": 503}, {"status": 429}]});
    let batch = Matcher::exactly(Method::POST, "/contacts/batch");
    world.at("crm", |crm| crm.push_fault(batch, Fault::ErrorBody200 { body }));
    let ran = world.sync();
    assert!(matches!(ran.code, 3 | 6), "{ran:#?}");
    let waits = world.rows("select state, not_before > started_at from sync_intent, sync_pass where sync_pass.id = 2");
    assert_eq!(waits.len(), 3, "{waits:?}");
    assert!(waits.iter().all(|row| row[1] == "1"), "each has its time: {waits:?}");
}

const BATCH: &str = r#"
[binding.contacts.crm.write.batch]
request = { method = "POST", path = "/contacts/batch" }
ops = ["update"]
items = ".inputs"
result = { items = ".results[]", by = "index", id = ".id", version = ".etag", status = ".status", error = ".error" }
"#;

/// A mapping that was edited so that every record reads otherwise.
#[test]
fn f57_a_rule_that_touches_everything_is_held_by_the_guard() {
    let (world, _) = linked(20);
    world.change_rules("rules.toml", |text| {
        text.replace(
            "[collection.contacts]\n",
            "[collection.contacts]\npriority = [\"crm\", \"local\"]\nlimits = { update = \"10%\" }\n",
        )
        .replace("name = \"text\"\n", "name = { type = \"text\", merge = [\"source_priority\"] }\n")
        .replace("name = \".name\"\n", "name = { get = '.name + \"!\"', put = '.name = $value' }\n")
    });
    let before = world.rows("select name from contacts order by name");
    world.run(&["check"]).exits(0);
    let ran = world.sync().exits(5);
    assert!(ran.stdout.contains("\"what\":\"update\""), "{ran:#?}");
    assert_eq!(world.rows("select name from contacts order by name"), before);
    assert_eq!(world.writes_at("crm").len(), 0);
}

/// One record that may not be read any more is that record's matter, in whatever company.
#[test]
fn s19_one_forbidden_record_blocks_no_other() {
    for also_gone in [false, true] {
        let (world, ids) = linked(25);
        world.remove("crm", &ids[0]);
        let forbidden = Matcher::exactly(Method::GET, format!("/contacts/{}", ids[0]));
        world.at("crm", |crm| crm.push_fault_times(forbidden, Fault::status(403), Times::Forever));
        if also_gone {
            world.remove("crm", &ids[1]);
        }
        world.edit("crm", &ids[2], &json!({"name": "Edited"}));
        world.sync().exits(4);
        assert_eq!(world.rows("select count(*) from contacts where name = 'Edited'"), [["1"]]);
        assert_eq!(count(&world), if also_gone { "24" } else { "25" });
        let aside = world.reasons();
        assert!(
            aside.len() == 1 && aside[0].contains("could not be asked for") && aside[0].contains("403"),
            "{aside:?}"
        );
        // It says clearly now that it is gone.
        world.at("crm", Sandbox::clear_faults);
        world.sync().exits(0);
        assert_eq!(count(&world), if also_gone { "23" } else { "24" });
        world.is_quiet();
    }
}
