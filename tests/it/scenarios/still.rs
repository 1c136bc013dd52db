//! What stands still or is set back while the rest goes on: owned fields, fields that cannot be read, other programs'
//! triggers.

use serde_json::{Value, json};

use crate::world::World;

const CRM: &str = "/contacts";

/// Contacts at crm and erp, whose phone erp owns; `drift` is what happens to what others say.
fn owned_by(owner: &str, drift: &str) -> World {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    let phone = format!("phone = {{ type = \"text\", owner = \"{owner}\", drift = \"{drift}\" }}\n");
    world.change_rules("rules.toml", |text| text.replacen("phone = \"text\"\n", &phone, 1));
    world
}

fn phones(world: &World, upstream: &str) -> Vec<Value> {
    world.contacts(upstream).iter().map(|one| one["phone"].clone()).collect()
}

fn id_at(world: &World, upstream: &str) -> String {
    world.contacts(upstream)[0]["id"].as_str().unwrap().to_owned()
}

/// History rows of the field that tell a loser.
fn losers(world: &World) -> Vec<String> {
    let rows =
        world.rows("select detail from sync_history where field = 'phone' and detail like '%losers%' order by id");
    let values = |row: &Vec<String>| {
        let detail: Value = serde_json::from_str(&row[0]).unwrap();
        let told = |one: &Value| format!("{}={}", one["origin"].as_str().unwrap(), one["values"][0]);
        detail["losers"].as_array().unwrap().iter().map(told).collect::<Vec<_>>().join(" ")
    };
    rows.iter().map(values).collect()
}

#[test]
fn i09_an_owner_that_never_spoke_owns_null() {
    let world = owned_by("erp", "revert");
    world.add("erp", &json!({"email": "ann@x.io", "name": "Ann"}));
    world.sync().exits(0);

    world.sql("update contacts set phone = 'mine'");
    world.sync().exits(0);
    assert_eq!(world.rows("select phone from contacts"), [["∅"]]);
    assert_eq!(phones(&world, "crm"), [Value::Null]);
    assert_eq!(losers(&world), ["local=\"mine\""]);
    world.is_quiet();

    let ann = id_at(&world, "crm");
    world.edit("crm", &ann, &json!({"phone": "theirs"}));
    world.sync().exits(0);
    assert_eq!(phones(&world, "crm"), [Value::Null]);
    assert_eq!(losers(&world), ["local=\"mine\"", "crm=\"theirs\""]);
    world.is_quiet();

    let ann = id_at(&world, "erp");
    world.edit("erp", &ann, &json!({"phone": "7"}));
    world.sync().exits(0);
    assert_eq!(
        (phones(&world, "crm"), world.rows("select phone from contacts")),
        (vec![json!("7")], vec![vec!["7".into()]])
    );
    world.is_quiet();
}

#[test]
fn i09_a_record_comes_in_and_goes_out_without_what_only_another_side_may_set() {
    for owner in ["erp", "local"] {
        let world = owned_by(owner, "revert");
        world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "theirs"}));
        world.sync().exits(0);
        assert_eq!(world.rows("select name, phone from contacts"), [["Ann", "∅"]], "{owner}");
        assert_eq!(phones(&world, "crm"), [Value::Null], "{owner}");
        assert_eq!(phones(&world, "erp"), [Value::Null], "{owner}");
        assert_eq!(losers(&world), ["crm=\"theirs\""], "{owner}");
        world.is_quiet();
    }
    let world = owned_by("erp", "revert");
    world.sync().exits(0);
    world.sql("insert into contacts (email, phone) values ('bob@x.io', 'mine')");
    world.sync().exits(0);
    assert_eq!((phones(&world, "crm"), phones(&world, "erp")), (vec![Value::Null], vec![Value::Null]));
    assert_eq!(world.rows("select phone from contacts"), [["∅"]]);
    assert_eq!(losers(&world), ["local=\"mine\""]);
    world.is_quiet();
}

#[test]
fn what_others_say_of_an_owned_field_is_reported_and_left_where_the_rules_want_it() {
    for owner in ["erp", "local"] {
        let world = owned_by(owner, "report");
        world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "theirs"}));
        world.sync().exits(0);
        assert_eq!(world.rows("select name, phone from contacts"), [["Ann", "∅"]], "{owner}");
        assert_eq!(
            (phones(&world, "crm"), phones(&world, "erp")),
            (vec![json!("theirs")], vec![Value::Null]),
            "{owner}"
        );
        assert_eq!(losers(&world), ["crm=\"theirs\""], "{owner}");
        world.is_quiet();
    }
    let world = owned_by("erp", "report");
    world.add("erp", &json!({"email": "ann@x.io", "name": "Ann"}));
    world.sync().exits(0);
    world.sql("update contacts set phone = 'mine'");
    world.sync().exits(0);
    assert_eq!(world.rows("select phone from contacts"), [["mine"]]);
    assert_eq!(phones(&world, "crm"), [Value::Null]);
    assert_eq!(losers(&world), ["erp=null"]);
    world.is_quiet();
}

#[test]
fn a_conflict_of_first_contact_that_is_resolved_to_nothing_leaves_nothing() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |text| {
        text.replacen("phone = \"text\"\n", "phone = { type = \"text\", merge = [\"manual\"] }\n", 1)
    });
    world.add("crm", &json!({"email": "ann@x.io", "phone": "1"}));
    world.add("erp", &json!({"email": "ann@x.io", "phone": "2"}));
    world.sync().exits(4);
    let open: Value = serde_json::from_str(&world.run(&["--json", "conflicts"]).stdout).unwrap();
    let number = open["conflicts"][0]["id"].to_string();
    world.run(&["resolve", &number, "--value", "null"]).exits(0);
    world.sync().exits(0);
    assert_eq!((phones(&world, "crm"), phones(&world, "erp")), (vec![Value::Null], vec![Value::Null]));
    world.is_quiet();
}

/// Contacts whose phone is a number at crm.
fn numbered() -> World {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |text| text.replacen("phone = \"text\"\n", "phone = \"integer\"\n", 1));
    world
}

#[test]
fn s46_a_field_that_cannot_be_read_is_blocked_and_named_until_it_can() {
    let world = numbered();
    let ann = world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": 1}));
    world.sync().exits(0);
    world.edit("crm", &ann, &json!({"name": "Anna", "phone": "many"}));
    world.sync().exits(4);
    let named = |world: &World| {
        let aside = world.aside();
        assert_eq!(aside.len(), 1, "{aside:?}");
        let (upstream, stage, reason) = &aside[0];
        assert_eq!((upstream.as_str(), stage.as_str()), ("crm", "fields"));
        assert!(reason.starts_with("phone at crm: "), "{reason}");
    };
    named(&world);
    assert_eq!(world.rows("select name, phone from contacts"), [["Anna", "1"]]);
    assert_eq!(world.contacts("erp")[0]["name"], "Anna", "the rest goes on");

    // An edit of it cannot go there, goes everywhere else, and is told once.
    world.sql("update contacts set phone = 5");
    for _ in 0..2 {
        world.sync().exits(4);
        named(&world);
    }
    assert_eq!((phones(&world, "crm"), phones(&world, "erp")), (vec![json!("many")], vec![json!(5)]));
    let told = "select field, rule from sync_history where kind = 'quarantine'";
    assert_eq!(world.rows(told), [["phone", "blocked"]]);

    world.edit("crm", &ann, &json!({"phone": 1}));
    world.sync().exits(0);
    assert_eq!(world.aside(), []);
    assert_eq!((phones(&world, "crm"), phones(&world, "erp")), (vec![json!(5)], vec![json!(5)]));
    world.is_quiet();
}

#[test]
fn s46_a_field_that_could_not_be_read_on_the_first_load_is_named() {
    for upstreams in [&["crm"][..], &["crm", "erp"]] {
        let world = World::with_contacts(upstreams, |_, _| {});
        world.change_rules("rules.toml", |text| text.replacen("phone = \"text\"\n", "phone = \"integer\"\n", 1));
        world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "many"}));
        world.sync().exits(4);
        assert_eq!(world.rows("select name, phone from contacts"), [["Ann", "∅"]]);
        assert!(world.reasons()[0].starts_with("phone at crm: "), "{:?}", world.reasons());
        world.edit("crm", "1", &json!({"phone": 2}));
        world.sync().exits(0);
        assert_eq!(world.rows("select name, phone from contacts"), [["Ann", "2"]]);
        world.is_quiet();
    }
}

#[test]
fn i10_a_bad_column_of_a_row_is_named_and_the_others_go_on_in_both_directions() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| text.replacen("phone = \"text\"\n", "phone = \"set\"\n", 1));
    let ann = world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": ["1"]}));
    world.sync().exits(0);
    world.sql("update contacts set phone = '[1,2]', name = 'here'");
    world.sync().exits(4);
    let there = world.contact("crm", &ann);
    assert_eq!((&there["name"], &there["phone"]), (&json!("here"), &json!(["1"])));
    assert_eq!(world.aside()[0].0, "local");
    world.edit("crm", &ann, &json!({"name": "there", "phone": ["2"]}));
    world.sync().exits(4);
    assert_eq!(world.rows("select name, phone from contacts"), [["there", "[1,2]"]]);
    world.sql("update contacts set phone = '[\"1\"]'");
    world.sync().exits(0);
    assert_eq!(world.rows("select name, phone from contacts"), [["there", "[\"2\"]"]]);
    world.is_quiet();
}

#[test]
fn what_another_programs_trigger_edits_while_we_write_goes_out_as_any_local_edit() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let ann = world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "1"}));
    world.add("crm", &json!({"email": "bob@x.io", "name": "Bob", "phone": "1"}));
    world.sync().exits(0);
    world.sql(
        "create trigger mine after update of name on contacts begin \
           update contacts set phone = new.name where id = new.id; \
           update contacts set phone = 'cascade' where email = 'bob@x.io'; end; \
         create trigger fresh after insert on contacts begin update contacts set phone = 'fresh' where id = new.id; end",
    );
    world.edit("crm", &ann, &json!({"name": "Anna"}));
    world.add("crm", &json!({"email": "eve@x.io", "name": "Eve", "phone": "1"}));
    world.sync();
    world.sync().exits(0);
    let mut there: Vec<(String, String)> = world
        .at("crm", |crm| crm.all(CRM))
        .iter()
        .map(|one| (one["email"].as_str().unwrap().to_owned(), one["phone"].as_str().unwrap().to_owned()))
        .collect();
    there.sort();
    let expected = [("ann@x.io", "Anna"), ("bob@x.io", "cascade"), ("eve@x.io", "fresh")];
    assert_eq!(there, expected.map(|(email, phone)| (email.to_owned(), phone.to_owned())));
    world.is_quiet();
}
