//! What is not there, or not any more: skipped by a listing, archived, restored, kept by its children, missed in a gap.

use http::Method;
use reconciled::sandbox::{Child, Delete, Fault, Matcher, Paging, ResourceConfig, Since, SinceBy, Times};
use serde_json::json;

use super::structure::{all, companies, id_of};
use crate::world::World;

fn person(number: usize) -> serde_json::Value {
    json!({"email": format!("p{number}@x.io"), "name": format!("P{number}")})
}

/// So many contacts at the first of these upstreams, everywhere by now.
fn known(names: &[&str], count: usize, shape: impl Fn(&str, &mut ResourceConfig)) -> (World, Vec<String>) {
    let world = World::with_contacts(names, shape);
    world.without_retries();
    let ids = (1..=count).map(|number| world.add(names[0], &person(number))).collect();
    (world, ids)
}

/// An upstream that marks what it deletes.
fn archiving(_: &str, resource: &mut ResourceConfig) {
    resource.removed_at = Some("archived".into());
    resource.delete = Delete::Archive { listed: true };
}

#[test]
fn s17_f33_a_record_that_a_shifting_listing_skips_is_asked_for_and_not_deleted() {
    let (world, ids) = known(&["crm"], 6, |_, resource| {
        resource.paging = Paging::Offset { offset: "offset".into(), limit: "limit".into() };
    });
    let offset = r#"page = { kind = "offset", into = "query.offset", size = { into = "query.limit", value = 2 } }"#;
    world.change_rules("rules.toml", |text| text.replace("page = \"none\"", offset));
    world.sync().exits(0);
    world.forget_requests();
    // After the first page its first record goes, and all others move up by one: the third stands on no page.
    let meanwhile = Fault::Meanwhile { resource: "/contacts".into(), removed: ids[0].clone() };
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), meanwhile));
    let ran = world.sync().exits(0).report("contacts");
    assert_eq!(ran["upstreams"][0]["listed"], 5, "{ran:#}");
    assert_eq!(world.rows("select count(*) from contacts"), [["6"]]);
    let asked = world.lines_at("crm");
    assert!(asked.contains(&format!("GET /contacts/{}", ids[2])), "{asked:?}");
    // What really went is noticed by the next listing.
    world.sync().exits(0);
    assert_eq!(world.rows("select email from contacts order by email limit 2"), [["p2@x.io"], ["p3@x.io"]]);
    assert_eq!((world.rows("select count(*) from contacts"), world.written("crm").len()), (vec![vec!["5".into()]], 0));
    world.is_settled();
}

#[test]
fn s21_an_archived_record_is_not_deleted_and_is_left_alone_until_it_is_taken_back() {
    for listed in [true, false] {
        let (world, ids) = known(&["crm", "erp"], 3, |name, resource| {
            if name == "crm" {
                archiving(name, resource);
                resource.delete = Delete::Archive { listed };
            }
        });
        world.change_rules("rules.toml", |text| {
            text.replace("[binding.contacts.crm]\n", "[binding.contacts.crm]\narchived = '.archived == true'\n")
        });
        world.sync().exits(0);
        world.remove("crm", &ids[0]);
        world.sync().exits(0).wrote(0, 0);
        assert_eq!(
            (world.rows("select count(*) from contacts"), world.contacts("erp").len()),
            (vec![vec!["3".into()]], 3)
        );
        let link = &world.status()["collections"][0]["links"][0];
        assert_eq!((&link["live"], &link["archived"], &link["deleted"]), (&json!(2), &json!(1), &json!(0)), "{link:#}");
        assert!(world.run(&["status"]).stdout.contains("(1 archived)"));
        world.is_quiet();
        // What is edited here goes elsewhere, and waits there.
        world.sql("update contacts set phone = '7' where email = 'p1@x.io'");
        world.sync().exits(0).wrote(1, 0);
        assert_eq!(world.written("crm"), Vec::<String>::new());
        world.is_quiet();
        world.edit("crm", &ids[0], &json!({"archived": false, "name": "back"}));
        world.sync().exits(0);
        assert_eq!(world.rows("select name, phone from contacts where email = 'p1@x.io'"), [["back", "7"]]);
        assert_eq!(world.contact("crm", &ids[0])["phone"], "7");
        world.is_quiet();
    }
}

#[test]
fn s21_a_record_that_was_archived_before_it_was_ever_known_is_no_record_here() {
    let (world, ids) = known(&["crm"], 2, archiving);
    world.change_rules("rules.toml", |text| {
        text.replace("id = \".id\"\n", "id = \".id\"\narchived = '.archived == true'\n")
    });
    world.remove("crm", &ids[0]);
    world.sync().exits(0);
    assert_eq!(world.rows("select email from contacts"), [["p2@x.io"]]);
    world.edit("crm", &ids[0], &json!({"archived": false}));
    world.sync().exits(0);
    assert_eq!(world.rows("select count(*) from contacts"), [["2"]]);
    world.is_quiet();
}

#[test]
fn s22_what_is_restored_under_its_id_is_revived_with_its_link() {
    let (world, ids) = known(&["crm", "erp"], 4, archiving);
    let tombstone = "deletes = { kind = \"tombstone\", when = '.archived == true' }";
    world.change_rules("rules.toml", |text| text.replace("deletes = { kind = \"absence\" }", tombstone));
    world.sync().exits(0);
    let record = "select id from contacts where email = 'p1@x.io'";
    let links = format!("select link, remote_id, state from sync_link where remote_id = '{}' and binding = 1", ids[0]);
    let (id, before) = (world.rows(record), world.rows(&links));
    world.remove("crm", &ids[0]);
    world.sync().exits(0);
    assert_eq!(world.rows("select count(*) from contacts"), [["3"]]);
    assert_eq!(world.rows(&links)[0][2], "1", "its tombstone");
    assert_eq!(world.contacts("erp").len(), 3);
    world.edit("crm", &ids[0], &json!({"archived": false, "phone": "5"}));
    world.sync().exits(0);
    assert_eq!((world.rows(record), world.rows(&links)), (id, before));
    assert_eq!(world.rows("select phone from contacts where email = 'p1@x.io'"), [["5"]]);
    assert_eq!((world.contacts("erp").len(), world.posts("crm")), (4, 0));
    world.is_quiet();
}

#[test]
fn s22_what_was_not_listed_for_a_while_and_is_as_it_was_is_the_record_that_it_was() {
    for (policy, gone) in [("queue", 4), ("propagate", 3)] {
        let (world, _ids) = known(&["crm", "erp"], 4, |_, _| {});
        world.change_rules("rules.toml", |text| text.replace("\"propagate\"", &format!("\"{policy}\"")));
        world.sync().exits(0);
        let whole = world.at("crm", |crm| crm.clone());
        let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
        world.remove("crm", &id);
        world.sync();
        assert_eq!(world.rows("select count(*) from contacts"), [[gone.to_string()]], "{policy}");
        // Byte by byte as it was, and asked for it is there.
        world.at("crm", |crm| *crm = whole);
        world.forget_requests();
        world.sync().exits(0);
        assert_eq!(world.rows("select count(*) from contacts"), [["4"]], "{policy}");
        assert_eq!((world.contacts("crm").len(), world.posts("crm")), (4, 0), "{policy}");
        assert_eq!(world.contacts("erp").len(), 4, "{policy}");
        assert_eq!(world.rows("select count(*) from sync_conflict where closed_at is null"), [["0"]], "{policy}");
        world.is_settled();
    }
}

#[test]
fn i16_a_listing_from_before_a_delete_brings_nothing_back() {
    for get in [true, false] {
        let (world, ids) = known(&["crm"], 4, |_, _| {});
        if !get {
            let get = "get = { method = \"GET\", path = \"/contacts/{id}\" }\n";
            world.change_rules("rules.toml", |text| text.replace(get, ""));
            world.sync();
        }
        world.sync().exits(0);
        world.sql("delete from contacts where email = 'p1@x.io'");
        let before = world.at("crm", |crm| crm.clone());
        world.sync().exits(0);
        assert_eq!(world.contacts("crm").len(), 3);
        let after = world.at("crm", |crm| std::mem::replace(crm, before));
        let missing = Matcher::exactly(Method::GET, format!("/contacts/{}", ids[0]));
        world.at("crm", |crm| crm.push_fault_times(missing, Fault::status(404), Times::Forever));
        for _ in 0..2 {
            world.sync();
            assert_eq!(world.rows("select count(*) from contacts"), [["3"]], "{get}");
        }
        world.at("crm", |crm| *crm = after);
        world.sync().exits(0);
        world.is_quiet();
    }
}

#[test]
fn s25_a_delete_that_is_refused_because_of_children_waits_and_takes_none_of_them_along() {
    let world = companies(&["crm"]);
    world.at("crm", |crm| {
        let children = vec![Child { resource: "/people".into(), field: "company_id".into() }];
        crm.resource_config_mut("/companies").unwrap().children = children;
    });
    for name in ["a", "b", "c"] {
        world.put("crm", "/companies", &json!({"domain": format!("{name}.io"), "title": name}));
    }
    let a = id_of(&world, "crm", "/companies", "domain", "a.io");
    world.put("crm", "/people", &json!({"email": "ann@x.io", "company_id": a}));
    world.put("crm", "/people", &json!({"email": "bob@x.io"}));
    world.sync().exits(0);
    world.sql("delete from companies where domain = 'a.io'");
    for _ in 0..2 {
        world.forget_requests();
        world.sync().exits(3);
        let aside = world.aside();
        assert_eq!((aside.len(), aside[0].1.as_str()), (1, "hindered_delete"), "{aside:?}");
        let status = world.status();
        let told = &status["collections"][0];
        assert_eq!((&told["parked"], &told["quarantined"]), (&json!(1), &json!(0)), "{status:#}");
        assert!(aside[0].2.contains("409") && aside[0].2.contains("refers to"), "{aside:?}");
        assert_eq!(world.written("crm"), [format!("DELETE /companies/{a}")], "once in a pass, and nothing else");
        assert_eq!((all(&world, "crm", "/companies").len(), all(&world, "crm", "/people").len()), (3, 2));
        assert_eq!(world.rows("select count(*) from companies"), [["2"]]);
        assert_eq!(world.rows("select count(*) from contacts"), [["2"]]);
    }
    // Somebody deletes the child: then the delete goes through by itself.
    world.sql("delete from contacts where email = 'ann@x.io'");
    world.sync();
    world.sync().exits(0);
    assert_eq!((all(&world, "crm", "/companies").len(), all(&world, "crm", "/people").len()), (2, 1));
    assert_eq!(world.aside(), []);
    world.is_settled();
}

#[test]
fn s28_after_a_gap_longer_than_its_tombstones_everything_is_compared_and_nothing_is_deleted_at_first() {
    let (world, ids) = known(&["crm"], 40, |name, resource| {
        archiving(name, resource);
        resource.since = Some(Since { param: "since".into(), by: SinceBy::UpdatedAt, tombstones: true });
    });
    world.change_rules("rules.toml", |text| {
        let tombstone = "deletes = { kind = \"tombstone\", when = '.archived == true', horizon = \"30d\" }";
        text.replace("deletes = { kind = \"absence\" }", tombstone)
            .replace("incremental = \"none\"", "incremental = { kind = \"since\", into = \"query.since\" }")
    });
    world.sync().exits(0);
    assert_eq!(world.sync().exits(0).report("contacts")["upstreams"][0]["read"], "incremental");
    // One is deleted so long ago that nothing tells of it, one lately, one here, and one is edited.
    world.at("crm", |crm| crm.resource_config_mut("/contacts").unwrap().delete = Delete::Gone);
    world.remove("crm", &ids[0]);
    world.at("crm", |crm| {
        let config = crm.resource_config_mut("/contacts").unwrap();
        config.since.as_mut().unwrap().tombstones = false;
        config.delete = Delete::Archive { listed: true };
    });
    world.remove("crm", &ids[1]);
    world.sql("delete from contacts where email = 'p3@x.io'");
    world.edit("crm", &ids[3], &json!({"phone": "4"}));
    let days = |days: i64| {
        format!(
            "update sync_cursor set state = json_set(state, '$.read_at', json_extract(state, '$.read_at') - {days} * 86400000000)"
        )
    };
    world.sql(&days(31));
    // The plan says the same as the pass, and neither is in sync.
    let planned = world.run(&["plan"]).exits(3);
    for words in ["no delete is followed in this pass", "crm: 1 delete made here and 2 deletes made there wait"] {
        assert!(planned.stdout.contains(words), "{planned:#?}");
    }
    world.forget_requests();
    let ran = world.sync().exits(3);
    let report = ran.report("contacts");
    assert_eq!((&report["outcome"], &report["deletes_held"]), (&json!("pending"), &json!(3)), "{report:#}");
    assert_eq!(report["upstreams"][0]["read"], "full", "{report:#}");
    assert!(report["notes"][0].as_str().unwrap().contains("no delete is followed in this pass"), "{report:#}");
    assert_eq!(world.rows("select count(*) from contacts"), [["39"]], "only the row that was deleted here is gone");
    assert_eq!(world.rows("select phone from contacts where email = 'p4@x.io'"), [["4"]]);
    assert_eq!(world.written("crm"), Vec::<String>::new());
    // Now it is known what is there: deletes are followed as ever, also the one that no tombstone told of.
    world.sync().exits(0);
    assert_eq!(world.rows("select count(*) from contacts"), [["37"]]);
    assert_eq!(world.written("crm"), [format!("DELETE /contacts/{}", ids[2])]);
    world.is_settled();
    // A shorter gap is none.
    world.sql(&days(29));
    assert_eq!(world.sync().exits(0).report("contacts")["upstreams"][0]["read"], "incremental");
}

#[test]
fn s62_after_an_expired_since_value_everything_is_read_and_no_delete_is_inferred_from_the_gap() {
    let (world, ids) = known(&["crm"], 4, |_, resource| {
        resource.since = Some(Since { param: "since".into(), by: SinceBy::UpdatedAt, tombstones: false });
    });
    world.change_rules("rules.toml", |text| {
        text.replace("incremental = \"none\"", "incremental = { kind = \"since\", into = \"query.since\" }")
    });
    world.sync().exits(0);
    world.remove("crm", &ids[0]);
    world.edit("crm", &ids[1], &json!({"phone": "2"}));
    world.at("crm", |crm| crm.push_fault(Matcher::containing("since="), Fault::status(410)));
    let ran = world.sync().exits(0).report("contacts");
    assert_eq!((&ran["upstreams"][0]["read"], &ran["upstreams"][0]["listed"]), (&json!("full"), &json!(3)), "{ran:#}");
    assert_eq!(
        world.rows("select email, phone from contacts order by email limit 2"),
        [["p1@x.io", "∅"], ["p2@x.io", "2"]]
    );
    assert_eq!(world.sync().exits(0).report("contacts")["upstreams"][0]["read"], "incremental");
    // A complete generation proves it.
    world.full_sync().exits(0);
    assert_eq!(world.rows("select count(*) from contacts"), [["3"]]);
    world.is_settled();
}
