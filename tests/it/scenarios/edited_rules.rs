//! Rules that are edited between passes, records that leave the scope and come back.

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Sandbox, Times};
use serde_json::{Value, json};

use crate::world::World;

/// Contacts at crm and erp; of crm those whose kind is not `company`.
fn scoped() -> World {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |text| text.replacen(IN_CRM, &format!("{IN_CRM}{SCOPE}"), 1));
    world
}

const IN_CRM: &str = "[binding.contacts.crm]\n";
const SCOPE: &str = "where = '.kind != \"company\"'\n";

fn names(world: &World) -> (Value, Value, String) {
    let name = |upstream: &str| world.contacts(upstream)[0]["name"].clone();
    (name("crm"), name("erp"), world.rows("select name from contacts")[0][0].clone())
}

fn all(name: &str) -> (Value, Value, String) {
    (json!(name), json!(name), name.to_owned())
}

#[test]
fn s23_a_record_that_comes_back_into_the_scope_is_tied_again() {
    let world = scoped();
    let ann = world.add_ann("crm");
    world.edit("crm", &ann, &json!({"kind": "company", "name": "away"}));
    world.sync().exits(0).wrote(0, 0);
    world.sql("update contacts set phone = '2'");
    world.edit("crm", &ann, &json!({"name": "farther"}));
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(names(&world), (json!("farther"), json!("Ann"), "Ann".to_owned()), "each for itself");
    world.is_quiet();

    world.edit("crm", &ann, &json!({"kind": "person", "name": "back"}));
    world.sync().exits(0);
    assert_eq!(names(&world), all("back"));
    assert_eq!(world.contact("crm", &ann)["phone"], "2", "what was edited here meanwhile");
    world.sql("update contacts set name = 'here'");
    world.sync().exits(0).wrote(2, 0);
    assert_eq!(names(&world), all("here"));
    assert_eq!((world.contacts("crm").len(), world.contacts("erp").len()), (1, 1));
    world.is_quiet();
}

#[test]
fn s24_a_scope_that_the_rules_gain_unties_and_one_that_they_lose_ties_again() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    let ann = world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "kind": "company"}));
    world.sync().exits(0);
    world.change_rules("rules.toml", |text| text.replacen(IN_CRM, &format!("{IN_CRM}{SCOPE}"), 1));
    world.sync().exits(0).wrote(0, 0);
    world.sql("update contacts set name = 'here'");
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(world.contact("crm", &ann)["name"], "Ann");
    world.change_rules("rules.toml", |text| text.replace(SCOPE, ""));
    world.sync().exits(0);
    assert_eq!(names(&world), all("here"));
    world.is_quiet();
}

#[test]
fn s23_what_was_deleted_here_while_it_was_out_of_scope_comes_back_with_it() {
    let world = scoped();
    let ann = world.add_ann("crm");
    world.edit("crm", &ann, &json!({"kind": "company"}));
    world.sync().exits(0);
    world.sql("delete from contacts");
    world.sync().exits(0);
    assert_eq!((world.contacts("crm").len(), world.contacts("erp").len()), (1, 0));
    world.edit("crm", &ann, &json!({"kind": "person"}));
    world.sync().exits(0);
    assert_eq!(world.rows("select name from contacts"), [["Ann"]]);
    world.is_quiet();
}

const PHONE: &str = "phone = \".phone\"\n";
const NO_PHONE: &str = "#phone\n";

/// A contact whose phone the crm's rules do not know for now.
fn without_phone_at_crm() -> World {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.without_retries();
    world.change_rules("rules.toml", |text| text.replacen(PHONE, NO_PHONE, 1));
    world
}

fn gains_phone(world: &World) {
    world.change_rules("rules.toml", |text| text.replace(NO_PHONE, PHONE));
}

#[test]
fn s24_what_the_rules_gained_while_a_create_was_in_doubt_goes_there_too() {
    let world = without_phone_at_crm();
    world.sync().exits(0);
    world.sql("insert into contacts (email, name, phone) values ('ann@x.io', 'Ann', '7')");
    world.at("crm", |crm| {
        crm.push_fault(Matcher::exactly(Method::POST, "/contacts"), Fault::LostResponseAfterCommit);
        // Nor is it listed yet.
        crm.push_fault_times(Matcher::exactly(Method::GET, "/contacts"), Fault::StaleRead, Times::Forever);
    });
    world.sync().exits(6);
    assert_eq!(world.rows("select state from sync_intent"), [["unknown"]]);
    assert_eq!(world.contacts("crm")[0].get("phone"), None);
    gains_phone(&world);
    world.at("crm", Sandbox::clear_faults);
    world.sync().exits(0);
    assert_eq!((&world.contacts("crm")[0]["phone"], world.posts("crm")), (&json!("7"), 1));
    world.is_quiet();
}

/// A field that the rules gain meets what is here as on first contact, whether or not a write was in doubt meanwhile.
#[test]
fn s24_what_the_rules_gained_while_an_update_was_in_doubt_is_no_local_edit() {
    for in_doubt in [false, true] {
        let world = without_phone_at_crm();
        world.change_rules("rules.toml", |text| text.replacen("phone = \"text\"\n", MANUAL, 1));
        let ann = world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "theirs"}));
        world.sync().exits(0);
        world.sql("update contacts set phone = 'ours'");
        world.sync().exits(0);
        world.sql("update contacts set name = 'Anna'");
        if in_doubt {
            world.at("crm", |crm| {
                crm.push_fault(Matcher::of(Method::PATCH, "/contacts/"), Fault::LostResponseAfterCommit);
                crm.push_fault_times(Matcher::of(Method::GET, "/contacts/"), Fault::status(503), Times::Forever);
            });
            world.sync();
            assert_eq!(world.rows("select state from sync_intent"), [["unknown"]]);
            world.at("crm", Sandbox::clear_faults);
        } else {
            world.sync().exits(0);
        }
        gains_phone(&world);
        world.sync().exits(4);
        let there = world.contact("crm", &ann);
        assert_eq!((&there["name"], &there["phone"]), (&json!("Anna"), &json!("theirs")), "in doubt: {in_doubt}");
        assert_eq!(world.rows("select phone from contacts"), [["ours"]], "in doubt: {in_doubt}");
        let open = world.rows("select fields from sync_conflict where closed_at is null");
        assert_eq!(open, [["phone"]], "in doubt: {in_doubt}");
    }
}

/// An open conflict about the phone of Ann.
fn in_conflict() -> World {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| {
        text.replacen("phone = \"text\"\n", MANUAL, 1).replacen(
            "on_remote",
            "priority = [\"local\", \"crm\"]\non_remote",
            1,
        )
    });
    let ann = world.add_ann("crm");
    world.edit("crm", &ann, &json!({"phone": "there"}));
    world.sql("update contacts set phone = 'here'");
    world.sync().exits(4);
    world
}

const MANUAL: &str = "phone = { type = \"text\", merge = [\"manual\"] }\n";

#[test]
fn a_policy_that_decides_an_open_conflict_does_so_in_the_next_pass() {
    let world = in_conflict();
    world.sync().exits(4);
    world.change_rules("rules.toml", |text| text.replace("\"manual\"", "\"source_priority\", \"manual\""));
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(world.contacts("crm")[0]["phone"], "here");
    world.is_quiet();
}

#[test]
fn a_conflict_about_fields_that_the_rules_no_longer_have_is_over() {
    for resolve in [false, true] {
        let world = in_conflict();
        if resolve {
            world.run(&["resolve", "1", "--take", "local"]).exits(0);
        }
        world.change_rules("rules.toml", |text| text.replace(MANUAL, "").replace("phone = \".phone\"\n", ""));
        world.sync().exits(0).wrote(0, 0);
        assert_eq!(world.rows("select closed_how from sync_conflict"), [["rules_changed"]]);
        assert_eq!(world.contacts("crm")[0]["phone"], "there");
        world.is_quiet();
    }
}

#[test]
fn an_edit_made_while_no_rule_spoke_of_the_field_is_the_local_sides() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| text.replacen("phone = \"text\"\n", MANUAL, 1));
    world.add_ann("crm");
    world.change_rules("rules.toml", |text| text.replace(MANUAL, "").replace("phone = \".phone\"\n", "#P\n"));
    world.sync().exits(0);
    world.sql("update contacts set phone = 'here'");
    world.sync().exits(0);
    world.change_rules("rules.toml", |text| {
        text.replacen("name = \"text\"\n", &format!("name = \"text\"\n{MANUAL}"), 1)
            .replace("#P\n", "phone = \".phone\"\n")
    });
    world.sync().exits(4);
    let open: Value = serde_json::from_str(&world.run(&["--json", "conflicts"]).stdout).unwrap();
    let sides = world.rows("select candidates from sync_conflict where closed_at is null");
    assert!(sides[0][0].contains("\"local\"") && sides[0][0].contains("\"crm\""), "{open:#} {sides:?}");
    world.run(&["resolve", &open["conflicts"][0]["id"].to_string(), "--take", "local"]).exits(0);
    world.sync().exits(0);
    assert_eq!(world.contacts("crm")[0]["phone"], "here");
    world.is_quiet();
}

#[test]
fn writes_that_a_wrong_path_had_refused_are_tried_again_once_the_rules_name_another() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let ann = world.add_ann("crm");
    let bob = world.add("crm", &json!({"email": "bob@x.io", "name": "Bob"}));
    world.sync().exits(0);
    let writes = |text: String, from: &str, to: &str| {
        let (before, after) = text.split_once("[binding.contacts.crm.write.create]").unwrap();
        format!("{before}[binding.contacts.crm.write.create]{}", after.replace(from, to))
    };
    world.change_rules("rules.toml", |text| writes(text, "\"/contacts", "\"/people"));
    world.sql("update contacts set phone = '2' where name = 'Ann'; delete from contacts where name = 'Bob'");
    world.sql("insert into contacts (email, name) values ('cyd@x.io', 'Cyd')");
    world.sync().exits(4);
    let asked = world.written("crm").len();
    assert_eq!((asked, world.contacts("crm").len()), (3, 2), "an update, a delete, a create: all refused");
    // What changes nothing of how they are sent does not have them repeated.
    world.change_rules("rules.toml", |text| text.replace("deletes = {", "lag = \"2m\"\ndeletes = {"));
    world.sync().exits(4);
    assert_eq!(world.written("crm").len(), asked);

    world.change_rules("rules.toml", |text| writes(text, "\"/people", "\"/contacts"));
    world.sync().exits(0);
    assert_eq!(world.contact("crm", &ann)["phone"], "2");
    let mut names: Vec<Value> = world.contacts("crm").iter().map(|one| one["name"].clone()).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, ["Ann", "Cyd"], "{bob} is deleted");
    world.is_quiet();
}
