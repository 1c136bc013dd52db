//! Updates: who edits what, what the upstream makes of it, and what is refused.

use http::Method;
use reconciled::sandbox::{Check, Fault, Matcher, Normalise, ResourceConfig, SandboxConfig, Times};
use serde_json::{Value, json};

use crate::hands::asked;
use crate::world::World;

fn one() -> World {
    World::with_contacts(&["crm"], |_, _| {})
}

fn phones(world: &World) -> Vec<Vec<String>> {
    world.rows("select phone from contacts order by email")
}

#[test]
fn s29_the_same_value_on_both_sides_is_agreement_and_nothing_is_written() {
    let world = one();
    let ann = world.add_ann("crm");
    world.edit("crm", &ann, &json!({"phone": "2"}));
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0).wrote(0, 0);
    assert_eq!(world.writes_at("crm"), []);
    // The base has moved: what comes next is an edit of one side, not a conflict with the old value.
    world.edit("crm", &ann, &json!({"phone": "3"}));
    world.sync().exits(0).wrote(0, 1);
    assert_eq!(phones(&world), [["3"]]);
    world.sql("update contacts set phone = '4'");
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(world.contact("crm", &ann)["phone"], "4");
    world.is_quiet();
}

#[test]
fn s30_edits_of_different_fields_are_both_kept_and_only_the_changed_field_is_sent() {
    let world = one();
    let ann = world.add_ann("crm");
    world.edit("crm", &ann, &json!({"name": "Anne"}));
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0).wrote(1, 1);
    assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 2, json!({"phone": "2"}), 200)]);
    assert_eq!(world.rows("select name, phone from contacts"), [["Anne", "2"]]);
    let there = world.contact("crm", &ann);
    assert_eq!((&there["name"], &there["phone"]), (&json!("Anne"), &json!("2")));
    world.is_quiet();
}

#[test]
fn s31_an_update_that_landed_unheard_is_recognised_and_a_later_edit_survives() {
    let world = one();
    world.settings_of_upstreams("retry = { attempts = 1 }");
    let ann = world.add_ann("crm");
    world.sql("update contacts set phone = '2'");
    world.at("crm", |crm| {
        crm.push_fault(Matcher::of(Method::PATCH, "/contacts/"), Fault::LostResponseAfterCommit);
        // Nor can it be asked what became of it.
        crm.push_fault_times(Matcher::of(Method::GET, "/contacts/"), Fault::status(503), Times::Forever);
    });
    let ran = world.sync();
    assert_ne!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.report("contacts")["upstreams"][0]["unknown"], 1, "{ran:#?}");
    assert_eq!(world.rows("select state from sync_intent"), [["unknown"]]);
    assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 1, json!({"phone": "2"}), 200)]);

    world.sql("update contacts set phone = '3'");
    world.at("crm", reconciled::sandbox::Sandbox::clear_faults);
    world.sync().exits(0);
    assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 2, json!({"phone": "3"}), 200)]);
    assert_eq!(world.contact("crm", &ann)["phone"], "3");
    assert_eq!(phones(&world), [["3"]]);
    assert_eq!(world.rows("select count(*) from sync_conflict"), [["0"]]);
    world.is_quiet();
}

#[test]
fn s31_an_update_that_was_lost_before_it_landed_is_derived_again() {
    let world = one();
    world.settings_of_upstreams("retry = { attempts = 1 }");
    let ann = world.add_ann("crm");
    world.sql("update contacts set phone = '2'");
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::PATCH, "/contacts/"), Fault::LostRequestBeforeCommit));
    world.sync();
    world.sync().exits(0);
    assert_eq!(world.contact("crm", &ann)["phone"], "2");
    assert_eq!(world.contact("crm", &ann)["etag"], "2", "written once");
    world.is_quiet();
}

/// Somebody edits Ann after the listing was made that the pass reads.
fn edited_behind_the_listing(world: &World, ann: &str, patch: &Value) {
    world.edit("crm", ann, patch);
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::StaleRead));
}

#[test]
fn s32_a_write_that_was_overtaken_is_merged_again_and_repeated_on_the_new_version() {
    let world = one();
    let ann = world.add_ann("crm");
    world.sql("update contacts set phone = '2'");
    edited_behind_the_listing(&world, &ann, &json!({"name": "Anne"}));
    world.sync().exits(0).wrote(1, 1);
    let expected = [
        asked("PATCH /contacts/1", 1, json!({"phone": "2"}), 412),
        asked("PATCH /contacts/1", 2, json!({"phone": "2"}), 200),
    ];
    assert_eq!(world.writes_at("crm"), expected);
    assert_eq!(world.rows("select name, phone from contacts"), [["Anne", "2"]]);
    assert_eq!(world.contact("crm", &ann)["name"], "Anne");
    world.is_quiet();
}

#[test]
fn s32_an_edit_of_the_same_field_that_overtakes_ours_is_decided_not_overwritten() {
    let world = one();
    world.change_rules("rules.toml", |rules| {
        rules.replace("phone = \"text\"", "phone = { type = \"text\", merge = \"manual\" }")
    });
    let ann = world.add_ann("crm");
    world.sql("update contacts set phone = '2'");
    edited_behind_the_listing(&world, &ann, &json!({"phone": "9"}));
    world.sync().exits(4);
    assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 1, json!({"phone": "2"}), 412)]);
    assert_eq!((world.contact("crm", &ann)["phone"].clone(), phones(&world)), (json!("9"), vec![vec!["2".to_owned()]]));
    world.run(&["resolve", "1", "--take", "local"]).exits(0);
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(world.contact("crm", &ann)["phone"], "2");
    world.is_quiet();
}

#[test]
fn s32_without_a_precondition_the_record_is_read_again_before_it_is_written() {
    let world = World::with_contacts(&["crm"], |_, resource| {
        resource.concurrency = reconciled::sandbox::Concurrency::ignored();
    });
    let header =
        "PATCH\", path = \"/contacts/{id}\" }\nprecondition = { header = \"If-Match\", value = '\"{version}\"' }";
    world.change_rules("rules.toml", |rules| {
        assert!(rules.contains(header));
        rules.replace(header, "PATCH\", path = \"/contacts/{id}\" }\nprecondition = \"reread\"")
    });
    let ann = world.add_ann("crm");
    world.sql("update contacts set phone = '2'");
    edited_behind_the_listing(&world, &ann, &json!({"name": "Anne"}));
    world.sync().exits(0).wrote(1, 1);
    let writes = world.writes_at("crm");
    assert_eq!(
        writes.iter().map(|write| (write.body.clone(), write.status)).collect::<Vec<_>>(),
        [(json!({"phone": "2"}), 200)]
    );
    assert_eq!(world.rows("select name, phone from contacts"), [["Anne", "2"]]);
    world.is_quiet();
}

#[test]
fn s33_of_a_half_applied_patch_only_the_accepted_fields_settle() {
    let world = one();
    let ann = world.add_ann("crm");
    world.sql("update contacts set name = 'Anne', phone = '2'");
    let ignoring = Fault::PartialPatch { ignored: vec!["phone".to_owned()] };
    world.at("crm", |crm| crm.push_fault_times(Matcher::of(Method::PATCH, "/contacts/"), ignoring, Times::Forever));
    world.sync().exits(4);
    assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 1, json!({"name": "Anne", "phone": "2"}), 200)]);
    assert_eq!(world.reasons(), ["the upstream accepted the write but kept its own value of phone"]);
    // It is not sent again for nothing, and the refused field does not come back as an edit of the upstream.
    world.sync().exits(4).wrote(0, 0);
    assert_eq!(world.writes_at("crm"), []);
    assert_eq!(world.rows("select name, phone from contacts"), [["Anne", "2"]]);
    // Another edit of the accepted field goes through alone or with the refused one; the rest is tried again.
    world.at("crm", reconciled::sandbox::Sandbox::clear_faults);
    world.sql("update contacts set phone = '3'");
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 2, json!({"phone": "3"}), 200)]);
    assert_eq!(world.contact("crm", &ann)["phone"], "3");
    world.is_quiet();
}

#[test]
fn s34_what_the_upstream_reformats_is_written_once_and_never_again() {
    let world = World::with_contacts(&["crm"], |_, resource| {
        resource.normalise = vec![("phone".to_owned(), Normalise::PhoneGroups), ("name".to_owned(), Normalise::Trim)];
    });
    let ann = world.add_ann("crm");
    world.sql("update contacts set phone = '02079460001'");
    world.sql("insert into contacts (email, name, phone) values ('bob@x.io', ' Bob ', '07700900123')");
    world.sync().exits(0).wrote(2, 0);
    let there: Vec<Value> =
        world.contacts("crm").iter().map(|contact| json!([contact["name"], contact["phone"]])).collect();
    assert_eq!(there, [json!(["Ann", "020 7946 0001"]), json!(["Bob", "077 0090 0123"])]);
    world.is_quiet();
    let rows = world.rows("select name, phone from contacts order by email");
    assert_eq!(rows, [["Ann", "02079460001"], [" Bob ", "07700900123"]]);
    // An edit there of another field does not drag the other way of writing along.
    world.edit("crm", &ann, &json!({"name": "Anne"}));
    world.sync().exits(0).wrote(0, 1);
    assert_eq!(world.rows("select name, phone from contacts where email = 'ann@x.io'"), [["Anne", "02079460001"]]);
    world.is_quiet();
}

#[test]
fn s41_a_permanent_refusal_is_set_aside_with_the_upstreams_words_until_its_inputs_change() {
    let world = World::with_contacts(&["crm"], |_, resource| {
        resource.checks = vec![("phone".to_owned(), Check::CharsMax(3))];
    });
    let ann = world.add_ann("crm");
    world.add("crm", &json!({"email": "bob@x.io", "name": "Bob", "phone": "5"}));
    world.sync().exits(0);
    world.forget_requests();
    world.sql("update contacts set phone = case email when 'ann@x.io' then '12345' else '6' end");
    let refused = asked("PATCH /contacts/1", 1, json!({"phone": "12345"}), 422);
    let ran = world.sync().exits(4);
    assert_eq!(ran.report("contacts")["upstreams"][0]["refused"], 1);
    let writes = world.writes_at("crm");
    assert!(writes.contains(&refused) && writes.len() == 2, "the other record goes through: {writes:#?}");
    assert_eq!(world.reasons(), ["PATCH /contacts/1 422: must be a text of at most 3 characters"]);

    // As long as nothing changes it is not sent again.
    world.sync().exits(4).wrote(0, 0);
    assert_eq!(world.writes_at("crm"), []);
    // The remote record changes.
    world.edit("crm", &ann, &json!({"name": "Anne"}));
    world.sync().exits(4);
    assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 4, json!({"phone": "12345"}), 422)]);
    world.sync().exits(4);
    assert_eq!(world.writes_at("crm"), []);
    // The rules change.
    world.change_rules("rules.toml", |rules| {
        rules.replace("phone = \".phone\"", "phone = { path = \".phone\", create_only = false }\n")
    });
    world.change_rules("rules.toml", |rules| {
        rules
            .replace("phone = \"text\"\n", "phone = \"text\"\nnote = \"text\"\n")
            .replace("name = \".name\"\n", "name = \".name\"\nnote = \".note\"\n")
    });
    world.sync().exits(4);
    assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 4, json!({"phone": "12345"}), 422)]);
    // The hub changes.
    world.sql("update contacts set phone = '123' where email = 'ann@x.io'");
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(world.contact("crm", &ann)["phone"], "123");
    assert_eq!(world.reasons(), Vec::<String>::new());
    world.is_quiet();
}

#[test]
fn s42_absent_null_empty_and_not_asked_for_are_four_things() {
    let world = one();
    let ann = world.add_ann("crm");
    world.forget_requests();
    // The key disappears: that says nothing.
    world.edit("crm", &ann, &json!({"phone": null}));
    assert_eq!(world.contact("crm", &ann).get("phone"), None);
    world.sync().exits(0).wrote(0, 0);
    assert_eq!((phones(&world), world.writes_at("crm")), (vec![vec!["1".to_owned()]], vec![]));
    // An empty text is a value.
    world.edit("crm", &ann, &json!({"phone": ""}));
    world.sync().exits(0).wrote(0, 1);
    assert_eq!(phones(&world), [[""]]);
    // So is null.
    world.add("crm", &json!({"id": ann, "email": "ann@x.io", "name": "Ann", "phone": null}));
    world.sync().exits(0).wrote(0, 1);
    assert_eq!(phones(&world), [["∅"]]);
    // And the other way round: a text, an empty one, null.
    for (here, there) in [("'2'", json!("2")), ("''", json!("")), ("null", Value::Null)] {
        world.sql(&format!("update contacts set phone = {here}"));
        world.sync().exits(0).wrote(1, 0);
        let writes = world.writes_at("crm");
        assert_eq!(writes.iter().map(|write| write.body.clone()).collect::<Vec<_>>(), [json!({"phone": there})]);
    }
    // A field that is not mapped is not asked for: another upstream's record without it does not clear it.
    world.is_quiet();
}

#[test]
fn s42_a_record_created_at_a_second_upstream_without_a_field_does_not_clear_it() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "1"}));
    world.add("erp", &json!({"email": "ann@x.io", "name": "Ann"}));
    world.sync().exits(0).wrote(1, 1);
    assert_eq!(world.rows("select name, phone from contacts"), [["Ann", "1"]]);
    assert_eq!(world.contacts("crm")[0]["phone"], "1");
    assert_eq!(world.contacts("erp")[0]["phone"], "1");
    world.is_quiet();
}

const ITEMS: &str = r#"
[collection.items]
match = { keys = [["sku"]] }
[collection.items.fields]
sku = "text"
price = { type = "decimal", scale = 2 }
day = "date"
seen = "datetime"
live = "boolean"
tags = "set"
"#;

const ITEMS_AT: &str = r#"
[upstream.NAME]
base_url = "${var.NAME_url}"
[binding.items.NAME]
id = ".id"
version = ".etag"
[binding.items.NAME.read]
request = "GET /items"
records = ".results[]"
deletes = "absence"
get = "GET /items/{id}"
[binding.items.NAME.map]
sku = ".sku"
PLAIN
[binding.items.NAME.write.create]
request = "POST /items"
idempotency = { match = "sku" }
[binding.items.NAME.write.update]
request = "PATCH /items/{id}"
precondition = { header = "If-Match", value = '"{version}"' }
"#;

#[test]
fn s44_values_that_are_equal_by_type_are_never_written_however_they_are_spelt() {
    let mut world = World::new();
    for name in ["crm", "erp"] {
        world.upstream(name, SandboxConfig::of([ResourceConfig::at("/items")]));
    }
    let plain = "price = '.price'\nday = '.day'\nseen = '.seen'\nlive = '.live'\ntags = '.tags'";
    let coded = "price = { path = '.price', codec = 'cents' }\nday = { path = '.day', codec = 'unix_s' }\n\
        seen = { path = '.seen', codec = 'unix_ms' }\nlive = { path = '.live', codec = { bool = ['yes', 'no'] } }\n\
        tags = { path = '.tags', codec = { split = ';' } }";
    let at = |name: &str, fields: &str| ITEMS_AT.replace("NAME", name).replace("PLAIN", fields);
    world.rules("rules.toml", &format!("{ITEMS}{}{}", at("crm", plain), at("erp", coded)));
    let crm = json!({"sku": "a", "price": "10.5", "day": "2026-03-29", "seen": "2026-03-29T03:30:00.250+02:00", "live": true, "tags": ["x", "y"]});
    let erp = json!({"sku": "a", "price": 1050, "day": 1_774_742_400, "seen": 1_774_747_800_250_i64, "live": "yes", "tags": "y;x"});
    let insert =
        |name: &str, body: &Value| world.at(name, |there| there.insert("/items", body, crate::hands::now())).unwrap();
    insert("crm", &crm);
    insert("erp", &erp);
    world.sync().exits(0).wrote(0, 1);
    let row = world.rows("select sku, price, day, seen, live, tags from items");
    assert_eq!(row, [["a", "10.50", "2026-03-29", "2026-03-29T01:30:00.250Z", "1", "[\"x\",\"y\"]"]]);
    world.is_quiet();

    // The same values, spelt otherwise.
    let respelt = json!({"price": 10.50, "seen": "2026-03-28T20:30:00.250000-05:00", "tags": ["y", "x", "x"]});
    world.at("crm", |crm| crm.edit("/items", "1", &respelt, crate::hands::now())).unwrap();
    world.sync().exits(0).wrote(0, 0);
    world.is_quiet();

    // A real edit arrives in each one's own form.
    world.sql("update items set price = '7.05', seen = '2026-03-29T01:30:01Z', live = 0, tags = '[\"z\"]'");
    world.sync().exits(0).wrote(2, 0);
    let body = |name: &str| world.writes_at(name).iter().map(|write| write.body.clone()).collect::<Vec<_>>();
    assert_eq!(body("crm"), [json!({"price": 7.05, "seen": "2026-03-29T01:30:01Z", "live": false, "tags": ["z"]})]);
    assert_eq!(body("erp"), [json!({"price": 705, "seen": 1_774_747_801_000_i64, "live": "no", "tags": "z"})]);
    world.is_quiet();
}

#[test]
fn s45_a_field_that_cannot_be_written_is_an_error_when_the_rules_are_checked() {
    for (map, what) in [
        ("name = '.name | ascii_upcase'", "put"),
        ("name = '.updated_at'", "updated_at"),
        ("name = '.id'", "id"),
        ("name = '.etag'", "version"),
    ] {
        let world = one();
        world.change_rules("rules.toml", |rules| rules.replace("name = \".name\"", map));
        for command in [&["check"][..], &["run", "--once"]] {
            let ran = world.run(command).exits(2);
            let text = format!("{}{}", ran.stdout, ran.stderr);
            assert!(
                text.contains("rules.toml:") && text.contains("direction = \"pull\"") && text.contains(what),
                "{map}: {text}"
            );
        }
        assert!(!world.database().exists());
        world.change_rules("rules.toml", |rules| rules.replace(map, "name = { get = '.name', direction = \"pull\" }"));
        world.sync().exits(0);
    }
}

#[test]
fn s51_a_put_only_upstream_keeps_the_fields_that_are_not_mapped() {
    let world = one();
    world.change_rules("rules.toml", |rules| {
        rules.replace("request = { method = \"PATCH\", path", "body = \"full\"\nrequest = { method = \"PUT\", path")
    });
    let body =
        json!({"email": "ann@x.io", "name": "Ann", "phone": "1", "vip": true, "tags": ["a"], "nested": {"n": 1.50}});
    let ann = world.add("crm", &body);
    world.sync().exits(0);
    world.forget_requests();
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0).wrote(1, 0);
    let writes = world.writes_at("crm");
    assert_eq!((writes[0].line.as_str(), writes[0].if_match.as_deref()), ("PUT /contacts/1", Some("\"1\"")));
    let there = world.contact("crm", &ann);
    assert_eq!(
        (&there["phone"], &there["vip"], &there["tags"], &there["nested"]),
        (&json!("2"), &json!(true), &json!(["a"]), &json!({"n": 1.50}))
    );

    // Somebody changes an unmapped field behind our back: the read before the write catches it, and the change is kept.
    world.sql("update contacts set phone = '3'");
    edited_behind_the_listing(&world, &ann, &json!({"vip": false, "score": 7}));
    world.sync().exits(0).wrote(1, 0);
    let statuses: Vec<u16> = world.writes_at("crm").iter().map(|write| write.status).collect();
    assert_eq!(statuses, [200]);
    let there = world.contact("crm", &ann);
    assert_eq!((&there["phone"], &there["vip"], &there["score"]), (&json!("3"), &json!(false), &json!(7)));
    world.is_quiet();
}

#[test]
fn s24_a_field_that_the_rules_gain_is_filled_here_and_never_cleared_there() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| text.replace("phone = \"text\"\n", "").replace("phone = \".phone\"\n", ""));
    world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "7"}));
    world.sync().exits(0);
    world.forget_requests();
    world.change_rules("rules.toml", |text| {
        text.replace("name = \"text\"\n", "name = \"text\"\nphone = \"text\"\n")
            .replace("name = \".name\"\n", "name = \".name\"\nphone = \".phone\"\n")
    });
    world.sync().exits(0);
    assert_eq!(world.rows("select name, phone from contacts"), [["Ann", "7"]]);
    assert_eq!(world.contacts("crm")[0]["phone"], "7");
    world.is_quiet();
}

#[test]
fn an_update_that_fails_for_good_in_this_pass_is_told_and_goes_out_later() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    world.change_rules("rules.toml", |text| text.replace("_url}\"\n", "_url}\"\nretry = { attempts = 1 }\n"));
    world.at("crm", |crm| {
        crm.push_fault_times(Matcher::of(Method::PATCH, "/contacts"), Fault::status(500), Times::Count(1));
    });
    world.sql("update contacts set phone = '9'");
    let ran = world.sync().exits(6);
    assert!(ran.report("contacts")["upstreams"][0]["error"].as_str().unwrap().contains("500"), "{ran:#?}");
    // It has a time before which it is not tried again; that is less than a second.
    while world.sync().code == 3 {}
    assert_eq!(world.contacts("crm")[0]["phone"], "9");
    world.is_quiet();
}

/// Two contacts at an upstream where no two share an address.
fn unique_addresses() -> World {
    let world = World::with_contacts(&["crm"], |_, resource| resource.unique = vec!["email".into()]);
    for name in ["a", "b"] {
        world.add("crm", &json!({"email": format!("{name}@x.io"), "name": name}));
    }
    world.sync().exits(0);
    world.forget_requests();
    world
}

#[test]
fn s54_a_value_that_another_record_gives_up_is_taken_in_the_second_step() {
    let world = unique_addresses();
    world.sql(
        "update contacts set email = 'c@x.io' where name = 'b'; update contacts set email = 'b@x.io' where name = 'a'",
    );
    // Whichever is sent first: the one that wants the value is refused while the other has it.
    let wants = world.contacts("crm").iter().find(|one| one["name"] == "a").unwrap()["id"].as_str().unwrap().to_owned();
    let patch = Matcher::exactly(Method::PATCH, format!("/contacts/{wants}"));
    world.at("crm", |crm| crm.push_fault(patch, Fault::status(409)));
    world.sync().exits(0);
    let mut status: Vec<u16> = world.writes_at("crm").iter().map(|write| write.status).collect();
    status.sort_unstable();
    assert_eq!(status, [200, 200, 409]);
    let there: Vec<_> = world.contacts("crm").iter().map(|one| (one["name"].clone(), one["email"].clone())).collect();
    assert_eq!(there, [(json!("a"), json!("b@x.io")), (json!("b"), json!("c@x.io"))]);
    assert_eq!(world.reasons(), Vec::<String>::new());
    world.is_quiet();
}

#[test]
fn s54_the_words_of_an_upstream_do_not_tell_that_a_record_is_in_the_way() {
    let world = unique_addresses();
    let one = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    let body = json!({"error": {"message": "another record there stands in the way"}}).to_string();
    let refusal = Fault::Status { status: 422, headers: Vec::new(), body };
    let patch = Matcher::exactly(Method::PATCH, format!("/contacts/{one}"));
    world.at("crm", |crm| crm.push_fault_times(patch, refusal, Times::Forever));
    world.sql("update contacts set phone = '9'");
    world.sync().exits(4);
    let mut status: Vec<u16> = world.writes_at("crm").iter().map(|write| write.status).collect();
    status.sort_unstable();
    assert_eq!(status, [200, 422], "the same write once");
    let reasons = world.reasons();
    assert!(reasons.len() == 1 && reasons[0].contains("another record there stands in the way"), "{reasons:?}");
    world.sync().exits(4);
    assert_eq!(world.writes_at("crm"), [], "once is enough to know");
}

#[test]
fn s54_two_records_that_swap_a_unique_value_are_queued_and_neither_is_lost() {
    let world = unique_addresses();
    let swap = "update contacts set email = case name when 'a' then 'b@x.io' else 'a@x.io' end";
    world.sql(swap);
    for _ in 0..2 {
        world.sync().exits(4);
        let reasons = world.reasons();
        assert!(
            reasons.len() == 2 && reasons.iter().all(|one| one.contains("another record there stands in the way")),
            "{reasons:?}"
        );
        assert_eq!(world.rows("select name, email from contacts order by name"), [["a", "b@x.io"], ["b", "a@x.io"]]);
    }
    assert_eq!(world.written("crm").len(), 2, "once is enough to know");
    // One of them steps aside, and the other follows by itself; then the first takes its place.
    world.sql("update contacts set email = 'aside@x.io' where name = 'a'");
    world.sync().exits(0);
    world.sql("update contacts set email = 'b@x.io' where name = 'a'");
    world.sync().exits(0);
    let there: Vec<_> = world.contacts("crm").iter().map(|one| (one["name"].clone(), one["email"].clone())).collect();
    assert_eq!(there, [(json!("a"), json!("b@x.io")), (json!("b"), json!("a@x.io"))]);
    assert_eq!(world.reasons(), Vec::<String>::new());
    world.is_quiet();
}
