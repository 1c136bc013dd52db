//! Many writes at once: batches, and limits in the middle of a push.

use http::Method;
use reconciled::sandbox::{Batch, Check, Fault, Matcher, Sandbox, Times};
use serde_json::{Value, json};

use super::lagging::{shows, without_get};
use crate::world::World;

/// Five contacts, everywhere.
fn five(world: &World) {
    for name in ["a", "b", "c", "d", "e"] {
        world.add("crm", &json!({"email": format!("{name}@x.io"), "name": name, "phone": "1"}));
    }
    world.sync().exits(0).wrote(0, 5);
    world.forget_requests();
}

fn there(world: &World) -> String {
    let phones = world.contacts("crm");
    phones.iter().map(|contact| contact["phone"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

fn bodies(world: &World) -> Vec<Value> {
    world.writes_at("crm").iter().map(|write| write.body.clone()).collect()
}

#[test]
fn s43_a_rate_limit_in_mid_push_leaves_the_rest_to_be_derived_again() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.settings_of_upstreams("concurrency = 1\nretry = { attempts = 1 }");
    five(&world);
    world.sql("update contacts set phone = '2'");
    let patches = Matcher::of(Method::PATCH, "/contacts/");
    world.at("crm", |crm| crm.push_fault_times(patches.nth(3), Fault::throttled("0"), Times::Forever));
    let ran = world.sync();
    assert!(matches!(ran.code, 3 | 6), "{ran:#?}");
    assert_eq!(ran.writes(), (2, 0), "{ran:#?}");
    let report = ran.report("contacts");
    assert_eq!(report["upstreams"][0]["deferred"], 3, "{report:#}");
    assert_eq!(there(&world).matches('2').count(), 2);
    world.forget_requests();

    // One of those that wait is edited once more: what goes out is how it is now, once.
    let waiting = world.contacts("crm").into_iter().find(|contact| contact["phone"] == "1").unwrap();
    world.sql(&format!("update contacts set phone = '3' where email = '{}'", waiting["email"].as_str().unwrap()));
    world.at("crm", Sandbox::clear_faults);
    world.sync().exits(0).wrote(3, 0);
    let mut sent = bodies(&world);
    sent.sort_by_key(Value::to_string);
    assert_eq!(sent, [json!({"phone": "2"}), json!({"phone": "2"}), json!({"phone": "3"})]);
    assert_eq!(world.contact("crm", waiting["id"].as_str().unwrap())["phone"], "3");
    assert!(
        world.contacts("crm").iter().all(|contact| contact["etag"].as_str().unwrap().parse::<u32>().unwrap() <= 10)
    );
    world.is_quiet();
}

#[test]
fn s43_a_long_wait_is_kept_across_runs() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.settings_of_upstreams("concurrency = 1");
    five(&world);
    world.sql("update contacts set phone = '2'");
    let patches = Matcher::of(Method::PATCH, "/contacts/");
    world.at("crm", |crm| crm.push_fault_times(patches, Fault::throttled("7200"), Times::Forever));
    let ran = world.sync();
    assert!(matches!(ran.code, 3 | 6), "{ran:#?}");
    assert_eq!(bodies(&world).len(), 1, "one refusal closes the door for all");
    let ran = world.sync();
    assert!(matches!(ran.code, 3 | 6), "{ran:#?}");
    assert!(bodies(&world).len() <= 1, "what waits is not hammered");
    assert_eq!(there(&world), "1 1 1 1 1");
}

#[test]
fn f24_a_long_wait_that_a_listing_was_asked_for_holds_for_the_next_process() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    five(&world);
    world.forget_requests();
    let listing = Matcher::exactly(Method::GET, "/contacts");
    world.at("crm", |crm| crm.push_fault(listing, Fault::throttled("7200")));
    world.sync().exits(6);
    assert_eq!(world.lines_at("crm").len(), 1);
    let ran = world.sync().exits(6);
    assert_eq!(world.lines_at("crm"), Vec::<String>::new(), "{ran:#?}");
    assert!(ran.stdout.contains("asks to wait"), "{ran:#?}");
}

const BATCH: &str = r#"
[binding.contacts.crm.write.batch]
request = { method = "POST", path = "/contacts/batch" }
ops = ["create", "update"]
items = ".inputs"
BY
"#;

/// Contacts that are written in batches, their phones at most three characters long.
fn batched(by: &str, shape: impl Fn(&mut Batch)) -> World {
    let world = World::with_contacts(&["crm"], |_, resource| {
        let mut batch = Batch::default();
        shape(&mut batch);
        resource.batch = Some(batch);
        resource.concurrency.body = true;
        resource.checks = vec![("phone".to_owned(), Check::CharsMax(3))];
    });
    let in_header = "precondition = { header = \"If-Match\", value = '\"{version}\"' }";
    world.change_rules("rules.toml", |rules| rules.replace(in_header, "precondition = { body = \".etag\" }"));
    world.change_rules("rules.toml", |rules| rules + &BATCH.replace("BY", by));
    five(&world);
    world
}

fn one_item_of_a_batch_is_refused(world: &World) {
    world.sql("update contacts set phone = case email when 'c@x.io' then '12345' else '2' end");
    let ran = world.sync().exits(4);
    assert_eq!(ran.writes(), (4, 0), "{ran:#?}");
    assert_eq!(ran.report("contacts")["upstreams"][0]["refused"], 1);
    assert_eq!(there(world), "2 2 1 2 2");
    let asked = world.lines_at("crm");
    assert_eq!(asked.iter().filter(|line| *line == "POST /contacts/batch").count(), 1, "{asked:?}");
    let reasons = world.reasons();
    assert!(reasons.len() == 1 && reasons[0].contains("must be a text of at most 3 characters"), "{reasons:?}");
    // The refused one is not sent again; the others are settled.
    world.sync().exits(4).wrote(0, 0);
    assert_eq!(bodies(world), Vec::<Value>::new());
    world.sql("update contacts set phone = '3' where email = 'c@x.io'");
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(there(world), "2 2 3 2 2");
    world.is_quiet();
}

#[test]
fn s49_an_item_refused_in_a_batch_is_set_aside_alone_found_by_position() {
    let by = "result = { items = \".results[]\", by = \"index\", id = \".id\", version = \".etag\", status = \".status\", error = \".error\" }";
    one_item_of_a_batch_is_refused(&batched(by, |_| {}));
}

#[test]
fn s49_an_item_refused_in_a_batch_is_set_aside_alone_found_by_id_in_any_order() {
    let by = "result = { items = \".results[]\", by = \"id\", id = \".id\", version = \".etag\", error = \".error\" }";
    let world = batched(&by.replace("\"create\", ", ""), |batch| batch.reversed = true);
    world.change_rules("rules.toml", |rules| rules.replace("ops = [\"create\", \"update\"]", "ops = [\"update\"]"));
    one_item_of_a_batch_is_refused(&world);
}

#[test]
fn s49_an_item_refused_in_a_batch_is_set_aside_alone_found_by_our_operation_id() {
    let by = "item = '.body + {req: .key} + (if .id then {id} else {} end)'\n\
        result = { items = \".results[]\", by = { request_id = \".req\" }, id = \".id\", version = \".etag\", status = \".status\", error = \".error\" }";
    let world = batched(by, |batch| {
        batch.reversed = true;
        batch.request_id = Some("req".to_owned());
    });
    one_item_of_a_batch_is_refused(&world);
}

#[test]
fn s49_creates_of_a_batch_are_linked_one_by_one() {
    let by = "result = { items = \".results[]\", by = \"index\", id = \".id\", version = \".etag\", status = \".status\", error = \".error\" }";
    let world = batched(by, |_| {});
    world.sql(
        "insert into contacts (email, name, phone) values ('f@x.io', 'f', '1'), ('g@x.io', 'g', '12345'), ('h@x.io', 'h', '1')",
    );
    let ran = world.sync().exits(4);
    assert_eq!(ran.writes(), (2, 0), "{ran:#?}");
    assert_eq!(world.contacts("crm").len(), 7);
    world.sync().exits(4).wrote(0, 0);
    world.sql("update contacts set phone = '1' where email = 'g@x.io'");
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(world.contacts("crm").len(), 8);
    world.is_quiet();
}

/// The upstream says of an item that there is such a record already. It is adopted as after a single create.
#[test]
fn s12_an_item_that_exists_already_is_looked_up_and_adopted() {
    let by = "result = { items = \".results[]\", by = \"index\", id = \".id\", version = \".etag\", status = \".status\", error = \".error\" }";
    let world = batched(by, |_| {});
    world.add("crm", &json!({"email": "f@x.io", "name": "f", "phone": "9"}));
    world.at("crm", |crm| {
        // The listing of this pass does not show it yet.
        crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::StaleRead);
        let body = json!({"results": [{"status": 409, "error": {"message": "exists"}}]});
        crm.push_fault(Matcher::exactly(Method::POST, "/contacts/batch"), Fault::ErrorBody200 { body });
    });
    world.sql("insert into contacts (email, name, phone) values ('f@x.io', 'f', '9')");
    world.sync().exits(0).wrote(0, 0);
    assert_eq!(world.contacts("crm").len(), 6);
    assert_eq!(world.rows("select count(*) from contacts"), [["6"]]);
    assert_eq!(world.reasons(), Vec::<String>::new());
    world.is_quiet();
}

/// A batch tells versions and no records. Where no point read exists, the version that was deleted is known again by it.
#[test]
fn i16_the_version_that_was_deleted_is_no_news_where_only_its_number_is_known() {
    let by = "result = { items = \".results[]\", by = \"index\", id = \".id\", version = \".etag\", status = \".status\", error = \".error\" }";
    let world = batched(by, |_| {});
    world
        .change_rules("rules.toml", |text| text.replace("get = { method = \"GET\", path = \"/contacts/{id}\" }\n", ""));
    world.sql("update contacts set phone = '2' where email = 'a@x.io'");
    world.sync().exits(0).wrote(1, 0);
    // Every listing is from before the last write.
    let listing = Matcher::exactly(Method::GET, "/contacts");
    world.at("crm", |crm| crm.push_fault_times(listing, Fault::StaleRead, Times::Forever));
    world.sql("delete from contacts where email = 'a@x.io'");
    world.sync().exits(0).wrote(1, 0);
    world.sync().exits(0).wrote(0, 0);
    assert_eq!(world.rows("select count(*) from contacts"), [["4"]]);
    world.at("crm", Sandbox::clear_faults);
    world.is_quiet();
}

/// What was there between two writes of ours is no edit, although no answer has shown it.
#[test]
fn i16_a_list_from_before_a_write_whose_answer_shows_no_record_takes_nothing_back() {
    let by = "result = { items = \".results[]\", by = \"index\", id = \".id\", version = \".etag\", status = \".status\", error = \".error\" }";
    let world = batched(by, |_| {});
    without_get(&world);
    world.sync().exits(0).wrote(0, 0);
    let first = world.contacts("crm");
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0).wrote(5, 0);
    let second = world.contacts("crm");
    shows(&world, &first);
    world.sql("update contacts set phone = '3'");
    world.sync().exits(0).wrote(5, 0);
    for lagging in [&second, &first] {
        world.at("crm", Sandbox::clear_faults);
        shows(&world, lagging);
        world.sync().exits(0).wrote(0, 0);
        assert_eq!(world.rows("select distinct phone from contacts"), [["3"]]);
    }
    world.at("crm", Sandbox::clear_faults);
    assert_eq!(there(&world), "3 3 3 3 3");
    world.is_quiet();
}
