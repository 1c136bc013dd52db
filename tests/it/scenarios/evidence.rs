//! What counts as evidence: an answer, a listing, a point read, and what none of them proves.

use http::Method;
use reconciled::sandbox::{Delete, Fault, Idempotency, Matcher, Sandbox, Times};
use serde_json::{Value, json};

use crate::world::World;

fn patch() -> Matcher {
    Matcher::of(Method::PATCH, "/contacts/")
}

/// A world in which Ann is known, at upstreams without a point read.
fn without_get(names: &[&str]) -> (World, String) {
    let world = World::with_contacts(names, |_, _| {});
    world
        .change_rules("rules.toml", |text| text.replace("get = { method = \"GET\", path = \"/contacts/{id}\" }\n", ""));
    let id = world.add_ann("crm");
    (world, id)
}

#[test]
fn s20_a_write_that_is_not_found_deletes_nothing_that_the_listing_shows() {
    let (world, id) = without_get(&["crm"]);
    world.sql("update contacts set phone = '2'");
    world.at("crm", |crm| crm.push_fault_times(patch(), Fault::status(404), Times::Forever));
    for _ in 0..2 {
        world.sync().exits(4);
    }
    assert_eq!((world.contacts("crm").len(), world.posts("crm"), world.written("crm").len()), (1, 0, 1));
    assert!(world.reasons()[0].contains("listing shows it"), "{:?}", world.reasons());
    world.at("crm", Sandbox::clear_faults);
    world.sql("update contacts set phone = '3'");
    world.sync().exits(0);
    assert_eq!(world.contact("crm", &id)["phone"], "3");
    world.is_quiet();
}

#[test]
fn s20_where_every_record_is_not_found_by_its_id_nothing_is_made_anew() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    world.sql("update contacts set phone = '2'");
    world.at("crm", |crm| crm.push_fault_times(Matcher::containing("/contacts/"), Fault::status(404), Times::Forever));
    world.sync().exits(4);
    assert_eq!((world.contacts("crm").len(), world.posts("crm")), (1, 0));
    world.at("crm", Sandbox::clear_faults);
    // A delete that meets 404 while the record is listed is not done either.
    world.at("crm", |crm| {
        crm.push_fault_times(Matcher::of(Method::DELETE, "/contacts/"), Fault::status(404), Times::Forever);
    });
    world.sql("delete from contacts");
    world.sync().exits(4);
    assert!(world.reasons()[0].contains("a point read finds it"), "{:?}", world.reasons());
    assert_eq!(world.contacts("crm").len(), 1);
}

#[test]
fn s32_a_write_that_is_refused_as_stale_while_nothing_moved_is_named() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    world.at("crm", |crm| crm.push_fault_times(patch(), Fault::status(412), Times::Forever));
    world.sql("update contacts set phone = '2'");
    world.sync().exits(4);
    assert_eq!(world.written("crm").len(), 1, "once is enough to know");
    world.sync().exits(4);
    assert_eq!(world.written("crm").len(), 1);
}

#[test]
fn s33_an_accepted_write_without_effect_keeps_the_edit_and_says_so() {
    let (world, id) = without_get(&["crm"]);
    world.at("crm", |crm| crm.push_fault(patch(), Fault::ErrorBody200 { body: json!({"ok": false}) }));
    world.sql("update contacts set phone = '2'");
    world.sync();
    world.sync().exits(4);
    assert_eq!(world.rows("select phone from contacts"), [["2"]]);
    assert!(world.reasons()[0].contains("phone"), "{:?}", world.reasons());
    assert_eq!(world.written("crm").len(), 1);
    world.sql("update contacts set phone = '3'");
    world.sync().exits(0);
    world.sync().exits(0);
    assert_eq!(world.contact("crm", &id)["phone"], "3");
    world.is_quiet();
}

#[test]
fn s33_another_value_than_the_one_that_had_no_effect_is_written() {
    let (world, id) = without_get(&["crm"]);
    world.at("crm", |crm| crm.push_fault(patch(), Fault::ErrorBody200 { body: json!({"ok": false}) }));
    world.sql("update contacts set phone = '2'");
    world.sync();
    // Edited again before anybody saw that the first edit had no effect.
    world.sql("update contacts set phone = '3'");
    for _ in 0..2 {
        world.sync();
    }
    assert_eq!(world.contact("crm", &id)["phone"], "3");
    assert_eq!(world.reasons(), Vec::<String>::new());
    world.is_quiet();
}

#[test]
fn s31_our_own_echo_is_no_edit_where_only_the_listing_shows_it() {
    let (world, id) = without_get(&["crm"]);
    world.change_rules("rules.toml", |text| {
        text.replace("phone = \"text\"", "phone = { type = \"text\", merge = [\"source_priority\", \"manual\"] }")
            .replace("[collection.contacts]\n", "[collection.contacts]\npriority = [\"crm\", \"local\"]\n")
    });
    world.sync().exits(0);
    world.forget_requests();
    world.at("crm", |crm| crm.push_fault_times(patch(), Fault::LostResponseAfterCommit, Times::Forever));
    world.sql("update contacts set phone = '2'");
    world.sync().exits(6);
    world.at("crm", Sandbox::clear_faults);
    world.sql("update contacts set phone = '3'");
    world.sync().exits(0);
    assert_eq!(world.rows("select phone from contacts"), [["3"]]);
    assert_eq!(world.contact("crm", &id)["phone"], "3");
    world.is_quiet();
}

#[test]
fn s31_a_write_that_never_arrived_is_made_again_where_only_the_listing_tells() {
    let (world, id) = without_get(&["crm"]);
    world.change_rules("rules.toml", |text| text.replace("_url}\"\n", "_url}\"\nretry = { attempts = 1 }\n"));
    world.at("crm", |crm| crm.push_fault(patch(), Fault::LostRequestBeforeCommit));
    world.sql("update contacts set phone = '2'");
    world.sync().exits(6);
    world.sync().exits(0);
    assert_eq!(world.contact("crm", &id)["phone"], "2");
    world.is_quiet();
}

#[test]
fn s31_what_a_write_of_unknown_outcome_has_not_changed_is_written_again() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let id = world.add_ann("crm");
    let before = world.contact("crm", &id)["phone"].clone();
    let get = || Matcher::of(Method::GET, "/contacts/");
    world.at("crm", |crm| crm.push_fault(patch(), Fault::LostResponseAfterCommit));
    world.at("crm", |crm| crm.push_fault_times(get(), Fault::status(500), Times::Forever));
    world.sql("update contacts set name = 'Anne', phone = '2'");
    world.sync().exits(6);
    world.at("crm", Sandbox::clear_faults);
    // One of both is there; of the other nobody can tell any more whether it ever was.
    world.edit("crm", &id, &json!({"phone": before}));
    for _ in 0..2 {
        world.sync().exits(0);
    }
    let there = world.contact("crm", &id);
    assert_eq!((there["name"].as_str(), there["phone"].as_str()), (Some("Anne"), Some("2")));
    assert_eq!(world.rows("select name, phone from contacts"), [["Anne", "2"]]);
    world.is_quiet();
}

#[test]
fn a_repeated_create_that_answers_with_a_later_edit_loses_neither() {
    let world = World::with_contacts(&["crm"], |_, resource| resource.idempotency = Some(Idempotency::default()));
    world.change_rules("rules.toml", |text| {
        text.replace("{ match = \"email\" }", "{ header = \"Idempotency-Key\" }")
            .replace("[collection.contacts]\n", "[collection.contacts]\nmerge = [\"manual\"]\n")
    });
    world.without_retries();
    world.sync().exits(0);
    world.sql("insert into contacts (email, name, phone) values ('ann@x.io', 'Ann', '1')");
    world.at("crm", |crm| {
        let lost = Fault::LostResponseAfterCommit;
        crm.push_fault_times(Matcher::exactly(Method::POST, "/contacts"), lost, Times::Count(2));
    });
    world.sync().exits(6);
    let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    world.edit("crm", &id, &json!({"phone": "9"}));
    // This one answers a repeated key with the record as it is now.
    let body = world.contact("crm", &id);
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::POST, "/contacts"), Fault::ErrorBody200 { body }));
    world.sync().exits(4);
    let conflicts = world.run(&["--json", "conflicts"]).stdout;
    assert!(conflicts.contains("\"9\"") && conflicts.contains("\"1\""), "{conflicts}");
    assert_eq!(world.contact("crm", &id)["phone"], "9");
}

#[test]
fn a_repeated_create_that_answers_with_a_field_cleared_comes_to_rest_on_one_value() {
    let world = World::with_contacts(&["crm"], |_, resource| resource.idempotency = Some(Idempotency::default()));
    world.change_rules("rules.toml", |text| text.replace("{ match = \"email\" }", "{ header = \"Idempotency-Key\" }"));
    world.without_retries();
    world.sync().exits(0);
    world.sql("insert into contacts (email, name, phone) values ('ann@x.io', 'Ann', '1')");
    let post = Matcher::exactly(Method::POST, "/contacts");
    world.at("crm", |crm| crm.push_fault_times(post.clone(), Fault::LostResponseAfterCommit, Times::Count(2)));
    world.sync().exits(6);
    let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    world.edit("crm", &id, &json!({"phone": null}));
    let body = world.contact("crm", &id);
    world.at("crm", |crm| crm.push_fault(post, Fault::ErrorBody200 { body }));
    world.sync().exits(0);
    assert_eq!(world.contact("crm", &id)["phone"], "1", "null against a value that nobody agreed on yet is silence");
    assert_eq!(world.rows("select phone from contacts"), [["1"]]);
    world.is_quiet();
}

#[test]
fn a_record_that_is_made_anew_inherits_nothing_from_the_one_that_was_deleted() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |text| {
        text.replace("phone = \"text\"", "phone = { type = \"text\", merge = [\"manual\"] }")
    });
    let id = world.add_ann("crm");
    world.sql("insert into contacts (email, name) values ('zoe@x.io', 'Zoe')");
    let there = world.contacts("erp")[0]["id"].as_str().unwrap().to_owned();
    world.sync().exits(0);
    world.sql("update contacts set phone = '5' where name = 'Ann'");
    world.edit("erp", &there, &json!({"phone": "B"}));
    world.sync().exits(4);
    world.remove("crm", &id);
    world.sql("update contacts set name = 'Anna' where name = 'Ann'");
    world.sync().exits(4);
    assert_eq!(world.contacts("crm").len(), 2, "made anew, without the field that stands still");
    let conflicts: Value = serde_json::from_str(&world.run(&["--json", "conflicts"]).stdout).unwrap();
    let number = conflicts["conflicts"][0]["id"].to_string();
    world.run(&["resolve", &number, "--take", "base"]).exits(0);
    world.sync().exits(0);
    let phone = json!(world.rows("select phone from contacts where name = 'Anna'")[0][0]);
    for upstream in ["crm", "erp"] {
        let anna = world.contacts(upstream).into_iter().find(|one| one["name"] == "Anna").unwrap();
        assert_eq!(anna["phone"], phone, "at {upstream}");
    }
    world.is_quiet();
}

#[test]
fn s26_an_approval_holds_for_a_plan_with_records_that_are_new_here() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    for at in 0..10 {
        world.add("crm", &json!({"email": format!("p{at}@x.io"), "name": "P", "phone": "1"}));
    }
    world.sync().exits(0);
    world.sql("delete from contacts where email in ('p1@x.io', 'p2@x.io', 'p3@x.io')");
    world.add("crm", &json!({"email": "new@x.io", "name": "N", "phone": "1"}));
    world.add("crm", &json!({"email": "new2@x.io", "name": "N", "phone": "1"}));
    world.sync().exits(5);
    world.approve();
    world.sync().exits(0);
    assert_eq!((world.contacts("crm").len(), world.contacts("erp").len()), (9, 9));
    world.is_quiet();
}

#[test]
fn a_new_upstream_is_offered_what_is_here_and_what_it_missed_while_it_was_away() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    let of = |names: &[&str]| crate::world::contacts_rules(names);
    world.rules("rules.toml", &of(&["crm"]));
    world.add_ann("crm");
    world.add("crm", &json!({"email": "bob@x.io", "name": "Bob", "phone": "1"}));
    world.add("crm", &json!({"email": "cid@x.io", "name": "Cid", "phone": "1"}));
    world.sync().exits(0);
    world.rules("rules.toml", &of(&["crm", "erp"]));
    let plan: Value = serde_json::from_str(&world.run(&["--json", "plan"]).exits(3).stdout).unwrap();
    assert_eq!(plan["passes"][0]["upstreams"][1]["planned"]["created"], 3, "{plan:#}");
    world.sync().exits(0);
    assert_eq!(world.emails("erp"), ["ann@x.io", "bob@x.io", "cid@x.io"]);
    world.is_quiet();
    world.rules("rules.toml", &of(&["crm"]));
    world.sql("update contacts set phone = '2' where name = 'Ann'; delete from contacts where name = 'Bob'");
    world.sync().exits(0);
    assert_eq!(world.emails("erp"), ["ann@x.io", "bob@x.io", "cid@x.io"]);
    world.rules("rules.toml", &of(&["crm", "erp"]));
    world.sync().exits(0);
    assert_eq!(world.emails("erp"), ["ann@x.io", "cid@x.io"]);
    assert_eq!(world.rows("select phone from contacts where name = 'Ann'"), [["2"]]);
    assert!(world.contacts("erp").iter().any(|one| one["phone"] == "2"));
    world.is_quiet();
}

#[test]
fn a_row_that_goes_leaves_all_that_it_held_in_the_history() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let ids = ["ann", "bob", "cid"]
        .map(|name| world.add("crm", &json!({"email": format!("{name}@x.io"), "name": name, "phone": "1"})));
    world.sync().exits(0);
    world.remove("crm", &ids[0]);
    world.sync().exits(0);
    world.add("crm", &json!({"email": "dan@x.io", "name": "dan"}));
    world.sync().exits(0);
    let lines = world.rows("select rule, origin, before, after from sync_history where kind = 'local' order by id");
    let gone = r#"{"email":"ann@x.io","name":"ann","phone":"1"}"#;
    let come = r#"{"email":"dan@x.io","name":"dan"}"#;
    let wanted = [["propagate", "crm", gone, "∅"], ["first_contact", "crm", "∅", come]];
    assert_eq!(lines, wanted.map(|line| line.map(str::to_owned)));
}

#[test]
fn what_cannot_be_read_is_set_aside_until_it_is_gone() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    world.at("crm", |crm| {
        let body = json!({"results": [crm.all("/contacts")[0], {"id": null}]});
        crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::ErrorBody200 { body });
    });
    world.sync().exits(4);
    world.sync().exits(0);
    assert_eq!(world.reasons(), Vec::<String>::new());
}

#[test]
fn a_tombstone_that_is_listed_again_is_nothing_new() {
    let world = World::with_contacts(&["crm"], |_, resource| {
        resource.delete = Delete::Archive { listed: true };
        resource.removed_at = Some("gone".into());
    });
    world.change_rules("rules.toml", |text| {
        text.replace("{ kind = \"absence\" }", "{ kind = \"tombstone\", when = \".gone == true\" }")
    });
    let id = world.add_ann("crm");
    world.add("crm", &json!({"email": "bob@x.io", "name": "Bob"}));
    world.sync().exits(0);
    world.remove("crm", &id);
    world.sync().exits(0);
    let report = world.full_sync().exits(0).report("contacts");
    let crm = &report["upstreams"][0];
    assert_eq!((&crm["listed"], &crm["unchanged"]), (&crm["unchanged"], &crm["listed"]), "{crm:#}");
    assert_eq!(world.rows("select name from contacts"), [["Bob"]]);
}

/// A thousand of which nothing is known yet do not keep those after them from being looked at, and one listing is read for many.
#[test]
fn s02_many_lost_creates_are_looked_up_together_and_none_waits_for_others() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.settings_of_upstreams("retry = { attempts = 1 }\nbreaker = { calls_min = 1000 }");
    world.sync().exits(0);
    world.at("crm", |crm| {
        crm.push_fault_times(Matcher::exactly(Method::GET, "/contacts"), Fault::EmptyListing, Times::Forever);
    });
    let unknown = || world.rows("select count(*) from sync_intent where state = 'unknown'");
    for (part, count, fault) in [
        ("a", 500, Fault::LostRequestBeforeCommit),
        ("b", 500, Fault::LostRequestBeforeCommit),
        ("c", 6, Fault::LostResponseAfterCommit),
    ] {
        world.at("crm", |crm| {
            crm.push_fault_times(Matcher::exactly(Method::POST, "/contacts"), fault, Times::Count(count))
        });
        world.sql(&format!(
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < {count}) \
             insert into contacts (email, name) select '{part}' || i || '@x.io', 'P' from n"
        ));
        world.sync();
        world.sql("update sync_upstream set state = '{}'");
    }
    assert_eq!(unknown(), [["1006"]]);
    world.at("crm", Sandbox::clear_faults);
    world.forget_requests();
    world.sync();
    assert_eq!((world.posts("crm"), unknown()), (0, vec![vec!["1000".to_owned()]]));
    let is_listing = |line: &&String| line.starts_with("GET /contacts") && !line.starts_with("GET /contacts/");
    let listings = world.lines_at("crm").iter().filter(is_listing).count();
    assert!(listings <= 8, "it was listed {listings} times");
}
