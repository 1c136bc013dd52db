//! The whole way of a pass, once in each direction.

use serde_json::json;

use crate::world::World;

#[test]
#[expect(clippy::disallowed_methods, reason = "edits at the sandbox carry the program's clock")]
fn an_edit_on_either_side_reaches_the_other_and_the_next_pass_is_quiet() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let now = chrono::Utc::now();
    world
        .at("crm", |crm| crm.insert("/contacts", &json!({"email": "Ann@X.io ", "name": "Ann", "phone": "1"}), now))
        .unwrap();
    world.sync().exits(0);
    assert_eq!(world.rows("select email, name, phone from contacts"), [["ann@x.io", "Ann", "1"]]);
    world.sql("update contacts set phone = '2'");
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    assert_eq!(world.contacts("crm")[0]["phone"], "2");
    assert_eq!(world.sync().exits(0).writes(), (0, 0));
}

#[test]
fn an_upstream_that_is_down_stops_neither_the_others_nor_a_change_of_the_rules() {
    let mut world = World::with_contacts(&["billing", "crm"], |_, _| {});
    world.sync().exits(0);
    world.kill("billing");
    world.change_rules("rules.toml", |text| {
        text.replace("${var.billing_url}", "http://127.0.0.1:9")
            .replace("phone = \"text\"", "phone = \"text\"\ncity = \"text\"")
    });
    world.sql("insert into contacts (email) values ('ann@x.io')");
    let ran = world.full_sync();
    assert!(ran.report("contacts")["upstreams"][0]["error"].as_str().unwrap().contains("GET /contacts"), "{ran:#?}");
    assert_eq!(ran.report("contacts")["outcome"], "unavailable");
    assert_eq!(world.contacts("crm").len(), 1);
    assert_eq!(world.rows("select email, city from contacts"), [["ann@x.io", "∅"]]);
}

#[test]
fn a_record_that_a_listing_shows_twice_is_one_record() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| {
        text.replace("id = \".id\"", "id = \".name\"")
            .replace("name = \".name\"", "name = { path = \".name\", direction = \"pull\" }")
    });
    let first = world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "1"}));
    world.add("crm", &json!({"email": "bob@x.io", "name": "Bob", "phone": "1"}));
    world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "2"}));
    world.sync().exits(0);
    let both = [["ann@x.io", "Ann", "2"], ["bob@x.io", "Bob", "1"]];
    assert_eq!(world.rows("select email, name, phone from contacts order by email"), both);
    // As long as it is listed so, the later word counts, and nothing moves.
    for _ in 0..3 {
        world.sync().exits(0).wrote(0, 0);
    }
    world.remove("crm", &first);
    world.is_quiet();
}
