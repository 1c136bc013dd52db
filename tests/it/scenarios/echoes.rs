//! Echoes: what comes back of our own writes, late, respelt, by another path, or taken back.

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Normalise, Times};
use serde_json::{Value, json};

use crate::hands::asked;
use crate::world::World;

fn two() -> World {
    World::with_contacts(&["crm", "erp"], |_, _| {})
}

fn phones(world: &World, upstream: &str) -> Vec<Value> {
    world.contacts(upstream).iter().map(|one| one["phone"].clone()).collect()
}

fn id_at(world: &World, upstream: &str) -> String {
    world.contacts(upstream)[0]["id"].as_str().unwrap().to_owned()
}

fn owned(world: &World, owner: &str) {
    let phone = format!("phone = {{ type = \"text\", owner = \"{owner}\" }}\n");
    world.change_rules("rules.toml", |text| text.replacen("phone = \"text\"\n", &phone, 1));
}

#[test]
fn s35_two_upstreams_that_spell_a_phone_number_differently_get_one_write_each_and_then_silence() {
    // One groups the digits, the other cuts what is too long for it.
    let world = World::with_contacts(&["crm", "erp"], |name, resource| {
        let how = if name == "crm" { Normalise::PhoneGroups } else { Normalise::Truncate(10) };
        resource.normalise = vec![("phone".to_owned(), how)];
    });
    world.add_ann("crm");
    world.sql("update contacts set phone = '+442079460001'");
    world.sync().exits(0).wrote(2, 0);
    for name in ["crm", "erp"] {
        let sent: Vec<Value> = world.writes_at(name).iter().map(|write| write.body.clone()).collect();
        assert_eq!(sent, [json!({"phone": "+442079460001"})], "at {name}");
    }
    assert_eq!(
        (phones(&world, "crm"), phones(&world, "erp")),
        (vec![json!("+442 0794 6000 1")], vec![json!("+442079460")])
    );
    world.is_quiet();
    assert_eq!(world.rows("select phone from contacts"), [["+442079460001"]]);

    // Nor does the phone go along when something else is decided about the record.
    world.sql("update contacts set name = 'Anne'");
    world.sync().exits(0).wrote(2, 0);
    for name in ["crm", "erp"] {
        let sent: Vec<Value> = world.writes_at(name).iter().map(|write| write.body.clone()).collect();
        assert_eq!(sent, [json!({"name": "Anne"})], "at {name}");
    }

    // An edit at one of them goes to the other, once, and does not come back in its spelling.
    world.edit("crm", &id_at(&world, "crm"), &json!({"phone": "+44 20 7946 0002"}));
    world.sync().exits(0).wrote(1, 1);
    assert_eq!(
        (phones(&world, "crm"), phones(&world, "erp")),
        (vec![json!("+44 20 7946 0002")], vec![json!("+44 20 794")])
    );
    world.is_quiet();
    assert_eq!(world.rows("select phone from contacts"), [["+44 20 7946 0002"]]);
}

/// A workflow at an upstream resets the phone, whenever it is not so.
fn workflow(world: &World, upstream: &str, phone: &str) {
    if phones(world, upstream) != [json!(phone)] {
        world.edit(upstream, &id_at(world, upstream), &json!({ "phone": phone }));
    }
}

fn conflicts(world: &World) -> Value {
    serde_json::from_str::<Value>(&world.run(&["--json", "conflicts"]).stdout).unwrap()["conflicts"].clone()
}

fn sides(conflict: &Value) -> Vec<String> {
    let sides = conflict["candidates"].as_array().unwrap().iter();
    let mut sides: Vec<String> = sides.map(|one| format!("{}={}", one["origin"], one["values"][0])).collect();
    sides.sort();
    sides
}

#[test]
fn s36_f61_a_workflow_that_takes_our_value_back_each_time_is_frozen_and_named() {
    let world = two();
    owned(&world, "local");
    world.add("crm", &json!({"email": "ann@x.io", "name": "Ann"}));
    world.sync().exits(0);
    world.sql("update contacts set phone = '1'");
    world.sync().exits(0).wrote(2, 0);
    world.forget_requests();
    let mut written = 0;
    let mut last = 0;
    for _ in 0..8 {
        workflow(&world, "crm", "none");
        let ran = world.sync();
        written += ran.writes().0;
        last = ran.code;
    }
    // Written three times over it, then no more; each process knows what those before it did.
    assert_eq!((written, last), (3, 4));
    let open = conflicts(&world);
    assert_eq!(open.as_array().unwrap().len(), 1, "{open:#}");
    assert_eq!((&open[0]["kind"], &open[0]["fields"]), (&json!("oscillation"), &json!(["phone"])));
    assert_eq!(sides(&open[0]), ["\"crm\"=\"none\"", "\"local\"=\"1\""]);
    assert_eq!(phones(&world, "erp"), [json!("1")], "who is no party keeps what it has");
    let told = world.run(&["conflicts"]).exits(4).stdout;
    assert!(told.contains("take each other's value back, again and again"), "{told}");
    let ann = world.rows("select id from contacts")[0][0].clone();
    let explained = world.run(&["explain", &ann, "phone"]).exits(0).stdout;
    assert!(
        explained.contains("frozen    by conflict 1") && explained.contains("take each other's value back"),
        "{explained}"
    );

    // The rest of the record goes on.
    world.edit("crm", &id_at(&world, "crm"), &json!({"name": "Anna"}));
    world.sync().exits(4).wrote(1, 1);
    assert_eq!(world.contacts("erp")[0]["name"], "Anna");
    world.sync().exits(4).wrote(0, 0);

    // A person takes the workflow's side, and all is quiet.
    world.run(&["resolve", "1", "--take", "crm"]).exits(0);
    world.sync().exits(0).wrote(1, 1);
    assert_eq!((phones(&world, "crm"), phones(&world, "erp")), (vec![json!("none")], vec![json!("none")]));
    world.is_quiet();
}

#[test]
fn s36_an_edit_here_is_written_even_where_the_field_was_frozen() {
    let world = two();
    owned(&world, "local");
    world.add("crm", &json!({"email": "ann@x.io", "name": "Ann"}));
    world.sync().exits(0);
    world.sql("update contacts set phone = '1'");
    for _ in 0..6 {
        world.sync();
        workflow(&world, "crm", "none");
    }
    world.sync().exits(4);
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0);
    assert_eq!((phones(&world, "crm"), phones(&world, "erp")), (vec![json!("2")], vec![json!("2")]));
    world.is_quiet();
}

#[test]
fn i17_two_upstreams_that_each_insist_are_stopped_after_a_few_writes() {
    let world = two();
    world.add_ann("crm");
    let mut written = 0;
    for round in 0..16 {
        let (upstream, phone) = [("crm", "10"), ("erp", "20")][round % 2];
        workflow(&world, upstream, phone);
        written += world.sync().writes().0;
    }
    assert!((4..=8).contains(&written), "{written}");
    let open = conflicts(&world);
    assert_eq!(open.as_array().unwrap().len(), 1, "{open:#}");
    assert_eq!(open[0]["kind"], "oscillation");
    assert_eq!(sides(&open[0]), ["\"crm\"=\"10\"", "\"erp\"=\"20\""]);
    world.run(&["resolve", "1", "--take", "erp"]).exits(0);
    world.sync().exits(0);
    assert_eq!((phones(&world, "crm"), phones(&world, "erp")), (vec![json!("20")], vec![json!("20")]));
    world.is_quiet();
}

/// After our write, listings (and single reads) show the record as it was before it, for a while.
fn behind_a_cache(world: &World, of_records: bool) {
    world.at("crm", |crm| {
        crm.push_fault_times(Matcher::exactly(Method::GET, "/contacts"), Fault::StaleRead, Times::Forever);
        if of_records {
            crm.push_fault_times(Matcher::of(Method::GET, "/contacts/"), Fault::StaleRead, Times::Forever);
        }
    });
}

#[test]
fn s37_f34_a_list_or_a_cache_that_is_older_than_our_write_does_not_take_it_back() {
    for of_records in [false, true] {
        let world = two();
        let ann = world.add_ann("crm");
        world.sql("update contacts set phone = '2'");
        world.sync().exits(0).wrote(2, 0);
        assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 1, json!({"phone": "2"}), 200)]);
        world.forget_requests();
        behind_a_cache(&world, of_records);
        for _ in 0..2 {
            for ran in [world.sync(), world.full_sync()] {
                ran.exits(0).wrote(0, 0);
            }
        }
        assert_eq!((world.writes_at("crm"), world.writes_at("erp")), (vec![], vec![]));
        assert_eq!(world.rows("select phone from contacts"), [["2"]]);
        // A local edit meanwhile is written on the version of our own write.
        world.sql("update contacts set phone = '3'");
        world.sync().exits(0).wrote(2, 0);
        assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 2, json!({"phone": "3"}), 200)]);
        // Later the cache is fresh, and an edit there that really happened counts.
        world.at("crm", reconciled::sandbox::Sandbox::clear_faults);
        world.is_quiet();
        world.edit("crm", &ann, &json!({"phone": "2"}));
        world.sync().exits(0).wrote(1, 1);
        assert_eq!(
            (world.rows("select phone from contacts"), phones(&world, "erp")),
            (vec![vec!["2".to_owned()]], vec![json!("2")])
        );
        world.is_quiet();
    }
}

#[test]
fn s37_f34_a_cache_without_versions_is_asked_once_more_before_it_is_believed() {
    let world = World::with_contacts(&["crm", "erp"], |_, resource| {
        resource.version = None;
        resource.updated_at = None;
        resource.concurrency = reconciled::sandbox::Concurrency::ignored();
    });
    world.change_rules("rules.toml", |rules| {
        rules
            .replace("version = \".etag\"\nupdated_at = \".updated_at\"\n", "")
            .replace("precondition = { header = \"If-Match\", value = '\"{version}\"' }", "precondition = \"reread\"")
    });
    let ann = world.add_ann("crm");
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0).wrote(2, 0);
    behind_a_cache(&world, false);
    world.sync().exits(0).wrote(0, 0);
    assert_eq!(world.rows("select phone from contacts"), [["2"]]);
    world.at("crm", reconciled::sandbox::Sandbox::clear_faults);
    world.edit("crm", &ann, &json!({"phone": "1"}));
    world.sync().exits(0).wrote(1, 1);
    assert_eq!(phones(&world, "erp"), [json!("1")], "somebody really took it back");
    world.is_quiet();
}

#[test]
fn s56_what_another_integration_carries_over_as_well_is_one_change() {
    let world = two();
    let ann = world.add_ann("crm");
    let at_erp = id_at(&world, "erp");
    let both = |phone: &str| {
        world.edit("crm", &ann, &json!({ "phone": phone }));
        world.edit("erp", &at_erp, &json!({ "phone": phone }));
    };
    let nothing_asked = |world: &World| {
        assert_eq!((world.writes_at("crm"), world.writes_at("erp")), (vec![], vec![]));
        assert_eq!(conflicts(world), json!([]));
    };
    // It was faster than we: both sides say the same in one pass.
    both("2");
    world.sync().exits(0).wrote(0, 1);
    assert_eq!(world.rows("select phone from contacts"), [["2"]]);
    nothing_asked(&world);
    world.is_quiet();

    // It writes between our listing and our write: what is met there is what was to be written.
    both("3");
    world.at("erp", |erp| erp.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::StaleRead));
    world.sync().exits(0).wrote(0, 1);
    assert_eq!(world.writes_at("erp"), [asked("PATCH /contacts/1", 2, json!({"phone": "3"}), 412)]);
    world.is_quiet();

    // It is later than we: the same value once more, under another version.
    world.edit("crm", &ann, &json!({"phone": "4"}));
    world.sync().exits(0).wrote(1, 1);
    world.forget_requests();
    world.edit("erp", &at_erp, &json!({"phone": "4"}));
    world.sync().exits(0).wrote(0, 0);
    nothing_asked(&world);

    // A record that both bring is one record, and so is its delete.
    world.add("crm", &json!({"email": "bob@x.io", "name": "Bob", "phone": "5"}));
    world.add("erp", &json!({"email": "bob@x.io", "name": "Bob", "phone": "5"}));
    world.sync().exits(0).wrote(0, 1);
    nothing_asked(&world);
    assert_eq!(world.rows("select count(*) from contacts"), [["2"]]);
    world.is_quiet();
}

#[test]
fn s56_a_later_echo_of_the_other_integration_does_not_undo_a_newer_edit() {
    let world = two();
    let ann = world.add_ann("crm");
    let at_erp = id_at(&world, "erp");
    world.edit("crm", &ann, &json!({"phone": "2"}));
    world.edit("erp", &at_erp, &json!({"phone": "2"}));
    world.sync().exits(0).wrote(0, 1);
    world.sql("update contacts set phone = '3'");
    world.sync().exits(0).wrote(2, 0);
    assert_eq!((phones(&world, "crm"), phones(&world, "erp")), (vec![json!("3")], vec![json!("3")]));
    world.is_quiet();
}
