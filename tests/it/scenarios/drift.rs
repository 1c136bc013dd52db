//! Shapes that do not fit: words an upstream does not know, fields that are renamed or retyped, order, clocks.

use chrono::Duration;
use reconciled::sandbox::{Batch, Check, Sandbox};
use serde_json::{Value, json};

use crate::hands::now;
use crate::world::World;

/// Contacts at crm and erp, whose phone is a status that each upstream spells in its own words; erp knows no `lost`.
fn with_status() -> World {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |rules| {
        let (head, erp) = rules.split_once("[binding.contacts.erp.map]").unwrap();
        let status = |words: &str| format!("phone = {{ path = \".phone\", codec = {{ enum = {{ {words} }} }} }}");
        let crm = head.replace("phone = \".phone\"", &status("lead = \"L\", customer = \"C\", lost = \"X\""));
        let erp = erp.replace("phone = \".phone\"", &status("lead = \"1\", customer = \"2\""));
        format!("{crm}[binding.contacts.erp.map]{erp}")
    });
    world
}

#[test]
fn s46_an_enum_value_that_an_upstream_has_no_word_for_is_blocked_there_and_named_and_the_rest_goes() {
    let world = with_status();
    let ann = world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "L"}));
    world.sync().exits(0);
    assert_eq!(world.contacts("erp")[0]["phone"], "1");

    // On the way out: `lost` has no word at erp.
    world.edit("crm", &ann, &json!({"name": "Anna", "phone": "X"}));
    world.sync().exits(4);
    let there = &world.contacts("erp")[0];
    assert_eq!((&there["name"], &there["phone"]), (&json!("Anna"), &json!("1")));
    assert_eq!(world.rows("select name, phone from contacts"), [["Anna", "lost"]]);
    let reasons = world.reasons();
    assert!(reasons.len() == 1 && reasons[0].starts_with("phone cannot be expressed at erp"), "{reasons:?}");
    // It stays named and is not tried again; other fields go on.
    world.forget_requests();
    world.sync().exits(4).wrote(0, 0);
    world.sql("update contacts set name = 'A'");
    world.sync().exits(4).wrote(2, 0);
    assert_eq!(world.contacts("erp")[0]["name"], "A");
    // A create goes without it as well.
    world.sql("insert into contacts (email, name, phone) values ('bob@x.io', 'Bob', 'lost')");
    world.sync().exits(4);
    let bob = world.contacts("erp").into_iter().find(|one| one["name"] == "Bob").unwrap();
    assert_eq!(bob.get("phone"), None);
    assert_eq!(world.reasons().len(), 2);
    world.sql("update contacts set phone = 'customer'");
    world.sync().exits(0);
    assert!(world.contacts("erp").iter().all(|one| one["phone"] == "2"), "{:?}", world.contacts("erp"));
    assert_eq!(world.reasons(), Vec::<String>::new());
    world.is_quiet();

    // On the way in: crm has a word that nobody told us of.
    world.edit("crm", &ann, &json!({"name": "Ann", "phone": "Z"}));
    world.sync().exits(4);
    assert_eq!(world.rows("select name, phone from contacts where email = 'ann@x.io'"), [["Ann", "customer"]]);
    let reasons = world.reasons();
    assert!(reasons.len() == 1 && reasons[0].starts_with("phone at crm: ") && reasons[0].contains('Z'), "{reasons:?}");
    assert_eq!(world.contacts("erp")[0]["phone"], "2");
}

/// So many contacts, everywhere.
fn many(world: &World, count: usize) {
    for at in 0..count {
        world.add("crm", &json!({"email": format!("p{at}@x.io"), "name": format!("p{at}"), "phone": at.to_string()}));
    }
    world.sync().exits(0);
    world.forget_requests();
}

/// The schema of the upstream changes: every contact is shown otherwise.
fn reshape(world: &World, patch: impl Fn(&Value) -> Value) {
    for one in world.contacts("crm") {
        world.edit("crm", one["id"].as_str().unwrap(), &patch(&one));
    }
}

fn phones(world: &World, upstream: &str) -> Vec<Value> {
    world.contacts(upstream).iter().map(|one| one["phone"].clone()).collect()
}

#[test]
fn s47_f35_a_field_that_is_renamed_retyped_or_emptied_everywhere_halts_and_clears_nothing() {
    let renamed = |one: &Value| json!({"phone": null, "phone_number": one["phone"]});
    let retyped = |one: &Value| json!({"phone": {"number": one["phone"]}});
    let emptied = |_: &Value| json!({"phone": ""});
    let shapes: [&dyn Fn(&Value) -> Value; 3] = [&renamed, &retyped, &emptied];
    for (at, shape) in shapes.into_iter().enumerate() {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        many(&world, 6);
        let (rows, there) = (world.rows("select phone from contacts order by 1"), phones(&world, "erp"));
        reshape(&world, shape);
        // Not even what else is due is written, and it is told each time.
        world.sql("update contacts set name = 'n' where phone = '3'");
        for _ in 0..2 {
            let ran = world.run(&["run", "--once"]).exits(5);
            assert!(ran.stdout.contains("6 of 6 records at crm show no value of `phone` any more"), "{at}: {ran:#?}");
        }
        assert_eq!((world.writes_at("crm"), world.writes_at("erp")), (vec![], vec![]), "{at}");
        assert_eq!(world.rows("select phone from contacts order by 1"), rows, "{at}");
        assert_eq!(phones(&world, "erp"), there, "{at}");
        let status = world.run(&["status"]).exits(5).stdout;
        assert!(status.contains("schema: phone"), "{status}");
    }
}

#[test]
fn s47_the_mapping_follows_the_rename_and_nothing_was_lost() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    many(&world, 6);
    reshape(&world, |one| json!({"phone": null, "phone_number": one["phone"]}));
    world.sync().exits(5);
    world.change_rules("rules.toml", |rules| rules.replacen("phone = \".phone\"", "phone = \".phone_number\"", 1));
    world.sync().exits(0).wrote(0, 0);
    world.sql("update contacts set phone = 'new' where phone = '3'");
    world.sync().exits(0).wrote(2, 0);
    assert_eq!(world.contact("crm", "4")["phone_number"], "new");
    world.is_quiet();
}

#[test]
fn s47_a_person_may_let_it_through_and_then_each_record_says_for_itself() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    many(&world, 6);
    reshape(&world, |_| json!({"phone": ["x"]}));
    world.sync().exits(5);
    world.run(&["approve", "1"]).exits(0);
    world.sync().exits(4);
    assert_eq!(world.rows("select count(distinct phone) from contacts"), [["6"]], "unreadable is not empty");
    assert_eq!(world.reasons().len(), 6);
    world.sync().exits(4).wrote(0, 0);
    // It halts once, not for what was let through.
    reshape(&world, |_| json!({"name": "n"}));
    world.sync().exits(4);
    assert_eq!(world.rows("select count(*) from contacts where name = 'n'"), [["6"]]);
}

#[test]
fn s47_few_records_that_lose_a_field_are_no_drift() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    many(&world, 4);
    reshape(&world, |_| json!({"phone": ["x"]}));
    world.sync().exits(4);
    assert_eq!(world.reasons().len(), 4);
    assert_eq!(world.rows("select count(distinct phone) from contacts"), [["4"]]);
}

#[test]
fn s48_a_list_that_is_only_reordered_is_the_same_where_it_is_a_set_or_has_a_key() {
    for (declared, changes) in [("{ type = \"list\", key = \".sku\" }", false), ("\"list\"", true)] {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        world.change_rules("rules.toml", |rules| {
            rules.replacen("name = \"text\"\nphone = \"text\"", &format!("name = \"set\"\nphone = {declared}"), 1)
        });
        let (a, b) = (json!({"sku": "a", "n": 1}), json!({"sku": "b", "n": 2}));
        let ann = world.add("crm", &json!({"email": "ann@x.io", "name": ["x", "y"], "phone": [a, b]}));
        world.sync().exits(0);
        world.edit("crm", &ann, &json!({"name": ["y", "x", "y"]}));
        world.sync().exits(0).wrote(0, 0);
        world.edit("crm", &ann, &json!({"phone": [{"n": 2, "sku": "b"}, {"n": 1.0, "sku": "a"}]}));
        let expected = u64::from(changes);
        world.sync().exits(0).wrote(expected, expected);
        world.is_quiet();
        // What is really another item is a change, whatever its place.
        world.edit("crm", &ann, &json!({"phone": [{"n": 7, "sku": "b"}, {"n": 1, "sku": "a"}]}));
        world.sync().exits(0).wrote(1, 1);
        let items = world.contacts("erp")[0]["phone"].as_array().unwrap().clone();
        assert!(items.iter().any(|item| item["sku"] == "b" && item["n"] == 7), "{items:?}");
        world.is_quiet();
    }
}

#[test]
fn s50_a_batch_that_is_refused_as_a_whole_is_halved_until_the_one_item_is_found() {
    let world = World::with_contacts(&["crm"], |_, resource| {
        resource.batch = Some(Batch { reject_all: true, ..Batch::default() });
        resource.concurrency.body = true;
        resource.checks = vec![("phone".to_owned(), Check::CharsMax(3))];
    });
    let in_header = "precondition = { header = \"If-Match\", value = '\"{version}\"' }";
    let batch = "\n[binding.contacts.crm.write.batch]\nrequest = \"POST /contacts/batch\"\nops = [\"update\"]\nitems = \".inputs\"\n\
        on_reject_all = \"bisect\"\n\
        result = { items = \".results[]\", by = \"index\", id = \".id\", version = \".etag\", status = \".status\", error = \".error\" }\n";
    world.change_rules("rules.toml", |rules| rules.replace(in_header, "precondition = { body = \".etag\" }") + batch);
    many(&world, 16);
    world.sql("update contacts set phone = case email when 'p11@x.io' then '12345' else 'z' end");
    let ran = world.sync().exits(4);
    assert_eq!(
        (ran.writes(), ran.report("contacts")["upstreams"][0]["refused"].clone()),
        ((15, 0), json!(1)),
        "{ran:#?}"
    );
    assert_eq!(phones(&world, "crm").iter().filter(|phone| **phone == "z").count(), 15);
    let batches = world.lines_at("crm").iter().filter(|line| *line == "POST /contacts/batch").count();
    assert!((5..=9).contains(&batches), "16 items, halved four times: {batches}");
    let reasons = world.reasons();
    assert!(reasons.len() == 1 && reasons[0].contains("must be a text of at most 3 characters"), "{reasons:?}");
    // The others are settled, and the one is not sent again as it is.
    world.sync().exits(4).wrote(0, 0);
    assert_eq!(world.writes_at("crm"), []);
    world.sql("update contacts set phone = '1' where email = 'p11@x.io'");
    world.sync().exits(0).wrote(1, 0);
    world.is_quiet();
}

#[test]
fn s57_a_wrong_clock_of_an_upstream_decides_nothing_unless_the_policy_is_about_time() {
    // The clock of crm is a year ahead or behind. Without `latest` the trusted side wins all the same.
    for (off, merge, expected) in [
        (365, "[\"source_priority\", \"manual\"]", "erp's"),
        (-365, "[\"source_priority\", \"manual\"]", "erp's"),
        (365, "[\"latest\", \"source_priority\", \"manual\"]", "crm's"),
        (-365, "[\"latest\", \"source_priority\", \"manual\"]", "erp's"),
    ] {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        world.change_rules("rules.toml", |rules| {
            let head = format!("[collection.contacts]\npriority = [\"erp\", \"local\", \"crm\"]\nmerge = {merge}\n");
            rules.replace("[collection.contacts]\n", &head)
        });
        let there = now() + Duration::days(off);
        let ann = world.add_at("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "1"}), there);
        world.sync().exits(0);
        let at_erp = world.contacts("erp")[0]["id"].as_str().unwrap().to_owned();
        world.edit_at("crm", &ann, &json!({"phone": "crm's"}), there + Duration::minutes(1));
        world.edit("erp", &at_erp, &json!({"phone": "erp's"}));
        world.sync().exits(0);
        for upstream in ["crm", "erp"] {
            assert_eq!(phones(&world, upstream), [json!(expected)], "{off} {merge} at {upstream}");
        }
        // A later edit of one side alone is taken whatever its clock says, and so is a later local one.
        world.edit_at("crm", &ann, &json!({"phone": "2"}), there + Duration::minutes(2));
        world.sync().exits(0).wrote(1, 1);
        world.sql("update contacts set phone = '3'");
        world.sync().exits(0).wrote(2, 0);
        assert_eq!((phones(&world, "crm"), phones(&world, "erp")), (vec![json!("3")], vec![json!("3")]));
        world.is_quiet();
    }
}

#[test]
fn s63_a_choice_that_was_made_before_a_side_changed_is_refused_and_the_person_is_told() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |rules| {
        rules.replace("phone = \"text\"", "phone = { type = \"text\", merge = \"manual\" }")
    });
    let ann = world.add_ann("crm");
    world.sql("update contacts set phone = '2'");
    world.edit("crm", &ann, &json!({"phone": "3"}));
    world.sync().exits(4);
    world.run(&["resolve", "1", "--take", "crm"]).exits(0);
    // What the person saw at crm was 3.
    world.edit("crm", &ann, &json!({"phone": "4"}));
    world.forget_requests();
    let ran = world.sync().exits(4).wrote(0, 0);
    let note = "the resolution of conflict 1 was not applied: crm changed after it was given";
    assert_eq!(ran.report("contacts")["notes"], json!([note]));
    assert_eq!(world.writes_at("crm"), []);
    assert_eq!(
        (world.rows("select phone from contacts"), phones(&world, "crm")),
        (vec![vec!["2".to_owned()]], vec![json!("4")])
    );
    let open = serde_json::from_str::<Value>(&world.run(&["--json", "conflicts"]).exits(4).stdout).unwrap();
    let conflict = &open["conflicts"][0];
    assert_eq!(
        (&conflict["id"], &conflict["refused"], &conflict["resolution"]),
        (&json!(1), &json!(note), &Value::Null)
    );
    let said = |side: &str| {
        let sides = conflict["candidates"].as_array().unwrap();
        sides.iter().find(|one| one["origin"] == side).unwrap()["values"].clone()
    };
    assert_eq!((said("crm"), said("local")), (json!(["4"]), json!(["2"])), "the sides are shown as they are now");
    let told = world.rows("select kind, rule from sync_history where kind = 'resolve'");
    assert_eq!(told, [["resolve", "refused"]], "once");
    // Chosen anew, in sight of that, it is done.
    world.run(&["resolve", "1", "--take", "crm"]).exits(0);
    world.sync().exits(0);
    assert_eq!(world.rows("select phone from contacts"), [["4"]]);
    world.at("crm", Sandbox::clear_faults);
    world.is_quiet();
}
