//! References between collections, and crashes anywhere.

use std::process::Stdio;

use http::Method;
use reconciled::sandbox::{Fault, Gate, IdStyle, Matcher, ResourceConfig, Sandbox, SandboxConfig, Times};
use serde_json::{Value, json};

use super::tools::now;
use crate::daemon::Daemon;
use crate::world::World;

/// Companies and contacts that refer to them, at each of these upstreams; ids begin with the upstream's name.
pub fn companies(names: &[&str]) -> World {
    let mut world = World::new();
    let mut rules = String::from(
        r#"
[collection.companies]
match = { keys = [["domain"]] }
[collection.companies.fields]
domain = "text"
title = "text"

[collection.contacts]
match = { keys = [["email"]] }
[collection.contacts.fields]
email = "text"
company = { type = "ref", to = "companies" }
"#,
    );
    for name in names {
        let resource = |path: &str| ResourceConfig {
            id: IdStyle::Server { prefix: format!("{name}-{}", &path[1..3]) },
            ..ResourceConfig::at(path)
        };
        world.upstream(name, SandboxConfig::of([resource("/companies"), resource("/people")]));
        rules.push_str(&"[upstream.NAME]\nbase_url = \"${var.NAME_url}\"\n".replace("NAME", name));
        let maps = [
            ("companies", "/companies", "domain = \".domain\"\ntitle = \".title\"", "domain"),
            ("contacts", "/people", "email = \".email\"\ncompany = \".company_id\"", "email"),
        ];
        for (collection, path, map, key) in maps {
            let binding = BINDING.replace("COLLECTION", collection).replace("NAME", name).replace("PATH", path);
            rules.push_str(&binding.replace("MAP", map).replace("KEY", key));
        }
    }
    world.rules("rules.toml", &rules);
    world
}

const BINDING: &str = r#"
[binding.COLLECTION.NAME]
id = ".id"
version = ".etag"
updated_at = ".updated_at"
[binding.COLLECTION.NAME.read]
request = "GET PATH"
records = ".results[]"
deletes = "absence"
get = "GET PATH/{id}"
[binding.COLLECTION.NAME.map]
MAP
[binding.COLLECTION.NAME.write]
create = { request = "POST PATH", idempotency = { match = "KEY" } }
update = { request = "PATCH PATH/{id}", precondition = { header = "If-Match", value = '"{version}"' } }
delete = { request = "DELETE PATH/{id}", precondition = "none" }
"#;

pub fn all(world: &World, upstream: &str, path: &str) -> Vec<Value> {
    world.at(upstream, |sandbox| sandbox.all(path))
}

pub fn id_of(world: &World, upstream: &str, path: &str, field: &str, value: &str) -> String {
    all(world, upstream, path).iter().find(|one| one[field] == value).unwrap()["id"].as_str().unwrap().to_owned()
}

#[test]
fn s52_a_child_waits_for_its_parent_and_is_linked_after_it() {
    let world = companies(&["crm"]);
    for first in [true, false] {
        // On first contact, and later.
        let (id, email) = if first { ("7", "ann@x.io") } else { ("8", "bob@x.io") };
        world.put("crm", "/people", &json!({"email": email, "company_id": id}));
        world.sync().exits(3);
        assert_eq!(world.rows(&format!("select * from contacts where email = '{email}'")), Vec::<Vec<String>>::new());
        let aside = world.aside();
        assert_eq!((aside.len(), aside[0].1.as_str()), (1, "parked"), "{aside:?}");
        assert!(aside[0].2.contains(&format!("company refers to companies {id} of crm")), "{aside:?}");
        let status = world.run(&["--json", "status"]).exits(3);
        assert!(status.stdout.contains("\"parked\": 1") || status.stdout.contains("\"parked\":1"), "{status:#?}");
        world.put("crm", "/companies", &json!({"id": id, "domain": format!("{id}.io"), "title": id}));
        world.sync().exits(0);
        let query = "select companies.title from contacts join companies on companies.id = contacts.company";
        assert_eq!(world.rows(&format!("{query} where email = '{email}'")), [[id]]);
        assert_eq!(world.aside(), []);
        world.is_settled();
    }
}

#[test]
fn s52_a_local_child_is_created_after_its_parent() {
    let world = companies(&["crm"]);
    world.sync().exits(0);
    world.sql("insert into contacts (email, company) values ('ann@x.io', 'c1')");
    let ran = world.sync();
    assert_eq!((ran.code, all(&world, "crm", "/people").len()), (3, 0), "{ran:#?}");
    assert!(world.aside()[0].2.contains("company refers to c1, which is not at crm yet"), "{:?}", world.aside());
    world.sql("insert into companies (id, domain, title) values ('c1', 'x.io', 'X')");
    world.sync().exits(0);
    let company = id_of(&world, "crm", "/companies", "domain", "x.io");
    assert_eq!(all(&world, "crm", "/people")[0]["company_id"], json!(company));
    assert_eq!(world.aside(), []);
    world.is_settled();
}

/// `"10"` and `10` are two values in JSON.
#[test]
fn s55_an_id_is_written_as_the_upstream_itself_writes_it() {
    let world = companies(&["crm"]);
    for id in ["10", "11"] {
        world.put("crm", "/companies", &json!({"id": id, "domain": format!("{id}.io"), "title": id}));
    }
    // This one has a number where the company itself has a text.
    world.put("crm", "/people", &json!({"email": "ann@x.io", "company_id": 10}));
    world.sync().exits(0);
    world.sql("update contacts set company = (select id from companies where title = '11')");
    world.sql("insert into contacts (email, company) select 'bob@x.io', id from companies where title = '10'");
    world.sync().exits(0);
    let company_of = |email: &str| {
        all(&world, "crm", "/people").iter().find(|one| one["email"] == email).unwrap()["company_id"].clone()
    };
    assert_eq!((company_of("ann@x.io"), company_of("bob@x.io")), (json!(11), json!("10")));
    world.is_settled();
}

#[test]
fn s55_a_reference_is_translated_between_the_ids_of_each_upstream() {
    let world = companies(&["crm", "shop"]);
    // The shop knows one of the two companies by an id of its own.
    world.put("shop", "/companies", &json!({"domain": "b.io", "title": "B"}));
    let a = world.put("crm", "/companies", &json!({"domain": "a.io", "title": "A"}));
    world.put("crm", "/companies", &json!({"domain": "b.io", "title": "B"}));
    world.put("crm", "/people", &json!({"email": "ann@x.io", "company_id": a}));
    world.sync().exits(0);
    let at_shop = |domain: &str| id_of(&world, "shop", "/companies", "domain", domain);
    assert!(at_shop("a.io").starts_with("shop"));
    assert_eq!(all(&world, "shop", "/people")[0]["company_id"], json!(at_shop("a.io")));
    world.is_settled();
    let ann = id_of(&world, "shop", "/people", "email", "ann@x.io");
    let b = at_shop("b.io");
    world.at("shop", |shop| shop.edit("/people", &ann, &json!({"company_id": b}), now())).unwrap();
    world.sync().exits(0);
    let b_at_crm = id_of(&world, "crm", "/companies", "domain", "b.io");
    assert_eq!(all(&world, "crm", "/people")[0]["company_id"], json!(b_at_crm));
    let query = "select companies.title from contacts join companies on companies.id = contacts.company";
    assert_eq!(world.rows(query), [["B"]]);
    world.is_settled();
}

#[test]
fn s64_killed_anywhere_it_ends_where_it_would_have_ended() {
    let world = World::with_contacts(&["crm", "shop"], |_, _| {});
    world.sync().exits(0);
    let requests =
        |world: &World| ["crm", "shop"].iter().map(|name| world.at(name, |one| one.requests().count())).sum::<usize>();
    for (upstream, email) in [("crm", "a@x.io"), ("crm", "b@x.io"), ("crm", "c@x.io"), ("shop", "d@x.io")] {
        world.put(upstream, "/contacts", &json!({"email": email, "name": email}));
    }
    world.sql("insert into contacts (email, name) values ('e@x.io', 'e@x.io'), ('f@x.io', 'f@x.io')");
    // Each run is killed a request later than the one before, until one gets through.
    for further in 1.. {
        let before = requests(&world);
        if !world.kill_when(|world| requests(world) >= before + further) {
            break;
        }
    }
    // Whatever was marked as sent and never was: its upstream does not have it after all this time.
    world.sql("update sync_intent set sent_at = sent_at - 120000000");
    world.sync().exits(0);
    let expected = ["a@x.io", "b@x.io", "c@x.io", "d@x.io", "e@x.io", "f@x.io"];
    for upstream in ["crm", "shop"] {
        assert_eq!(world.emails(upstream), expected, "{:#?}", world.written(upstream));
    }
    let here: Vec<String> = world.rows("select email from contacts order by email").concat();
    assert_eq!(here, expected);
    assert_eq!(world.rows("select count(*) from sync_link where state = 0"), [["12"]]);
    world.is_settled();
}

#[test]
fn s52_what_waited_for_a_parent_does_not_wait_once_it_refers_to_none() {
    let world = companies(&["crm"]);
    let ann = world.put("crm", "/people", &json!({"email": "ann@x.io"}));
    world.sync().exits(0);
    for cured in [json!({"company_id": null}), json!({"company_id": null, "email": "eve@x.io"})] {
        let edit = |patch: &Value| world.at("crm", |crm| crm.edit("/people", &ann, patch, now())).unwrap();
        edit(&json!({"company_id": "99"}));
        world.sync().exits(3);
        edit(&cured);
        world.sync().exits(0);
        assert_eq!(world.aside(), []);
        world.is_settled();
    }
}

#[test]
fn s53_a_record_that_refers_to_itself_waits_for_nobody() {
    let world = companies(&["crm", "erp"]);
    world.change_rules("rules.toml", |text| {
        text.replace("title = \"text\"", "title = \"text\"\nparent = { type = \"ref\", to = \"companies\" }")
            .replace("title = \".title\"", "title = \".title\"\nparent = \".parent_id\"")
    });
    world.put("crm", "/companies", &json!({"id": "7", "domain": "x.io", "parent_id": "7"}));
    let refers_to_itself = |upstream: &str, domain: &str| {
        let there = all(&world, upstream, "/companies").into_iter().find(|one| one["domain"] == domain).unwrap();
        assert_eq!(there["parent_id"], there["id"], "{domain} at {upstream}");
    };
    world.sync().exits(0);
    assert_eq!(world.rows("select parent = id from companies"), [["1"]]);
    world.sync().exits(0);
    refers_to_itself("erp", "x.io");
    world.is_settled();

    world.sql("insert into companies (id, domain, parent) values ('own', 'y.io', 'own')");
    world.sync().exits(0);
    world.sync().exits(0);
    refers_to_itself("crm", "y.io");
    refers_to_itself("erp", "y.io");
    world.is_settled();
}

/// Companies with a parent of their own kind and a main contact, beside contacts with a company.
pub fn in_circles(names: &[&str]) -> World {
    let world = companies(names);
    world.change_rules("rules.toml", |text| {
        let fields = "title = \"text\"\nparent = { type = \"ref\", to = \"companies\" }\nmain = { type = \"ref\", to = \"contacts\" }";
        let map = "title = \".title\"\nparent = \".parent_id\"\nmain = \".main_id\"";
        text.replace("title = \"text\"", fields).replace("title = \".title\"", map)
    });
    world
}

pub fn writes(world: &World, upstream: &str) -> Vec<String> {
    let asked = world.writes_at(upstream);
    let told = |one: crate::hands::Asked| {
        let keys: Vec<&str> = one.body.as_object().unwrap().keys().map(String::as_str).collect();
        format!("{} {}", one.line.split('/').next().unwrap().trim(), keys.join(","))
    };
    let mut told: Vec<String> = asked.into_iter().map(told).collect();
    told.sort();
    told
}

#[test]
fn s53_records_that_refer_to_each_other_are_created_without_that_and_then_get_it() {
    let world = in_circles(&["crm", "erp"]);
    world.sync().exits(0);
    world.forget_requests();
    world.sql(
        "insert into companies (id, domain, parent) values ('a', 'a.io', 'b'), ('b', 'b.io', 'c'), ('c', 'c.io', 'a')",
    );
    world.sync().exits(0);
    for upstream in ["crm", "erp"] {
        let expected =
            ["PATCH parent_id", "PATCH parent_id", "PATCH parent_id", "POST domain", "POST domain", "POST domain"];
        assert_eq!(writes(&world, upstream), expected, "at {upstream}");
        let id = |domain: &str| id_of(&world, upstream, "/companies", "domain", domain);
        for (child, parent) in [("a.io", "b.io"), ("b.io", "c.io"), ("c.io", "a.io")] {
            let there = all(&world, upstream, "/companies").into_iter().find(|one| one["domain"] == child).unwrap();
            assert_eq!(there["parent_id"], json!(id(parent)), "{child} at {upstream}");
        }
    }
    assert_eq!(world.aside(), []);
    world.is_settled();
}

#[test]
fn s53_a_circle_there_comes_in_and_goes_on_to_others_and_meets_one_that_is_here() {
    for here in [false, true] {
        let world = in_circles(&["crm", "erp"]);
        if here {
            world.sync().exits(0);
            world.sql("insert into companies (id, domain, parent) values ('a', 'a.io', 'b'), ('b', 'b.io', 'a')");
        }
        world.put("crm", "/companies", &json!({"id": "7", "domain": "a.io", "parent_id": "8"}));
        world.put("crm", "/companies", &json!({"id": "8", "domain": "b.io", "parent_id": "7"}));
        world.sync().exits(0);
        let query = "select one.domain, other.domain from companies one join companies other on other.id = one.parent order by 1";
        assert_eq!(world.rows(query), [["a.io", "b.io"], ["b.io", "a.io"]], "{here}");
        assert_eq!(world.rows("select count(*) from companies"), [["2"]], "{here}");
        assert_eq!(writes(&world, "crm"), Vec::<String>::new(), "{here}");
        let at_erp = all(&world, "erp", "/companies");
        let id = |domain: &str| id_of(&world, "erp", "/companies", "domain", domain);
        for one in &at_erp {
            let other = if one["domain"] == "a.io" { id("b.io") } else { id("a.io") };
            assert_eq!(one["parent_id"], json!(other), "{here}");
        }
        assert_eq!((at_erp.len(), world.aside()), (2, vec![]), "{here}");
        world.is_settled();
    }
}

#[test]
fn s53_a_circle_through_two_collections_closes_within_two_passes_in_both_directions() {
    let world = in_circles(&["crm", "erp"]);
    world.sync().exits(0);
    world.sql("insert into companies (id, domain, main) values ('x', 'x.io', 'ann')");
    world.sql("insert into contacts (id, email, company) values ('ann', 'ann@x.io', 'x')");
    world.put("crm", "/companies", &json!({"id": "70", "domain": "y.io", "main_id": "80"}));
    world.put("crm", "/people", &json!({"id": "80", "email": "bob@y.io", "company_id": "70"}));
    for _ in 0..2 {
        world.sync();
    }
    world.sync().exits(0);
    let query =
        "select domain, email from companies join contacts on contacts.id = main and companies.id = company order by 1";
    assert_eq!(world.rows(query), [["x.io", "ann@x.io"], ["y.io", "bob@y.io"]]);
    for upstream in ["crm", "erp"] {
        for (domain, email) in [("x.io", "ann@x.io"), ("y.io", "bob@y.io")] {
            let company = all(&world, upstream, "/companies").into_iter().find(|one| one["domain"] == domain).unwrap();
            let person = all(&world, upstream, "/people").into_iter().find(|one| one["email"] == email).unwrap();
            assert_eq!(
                (&company["main_id"], &person["company_id"]),
                (&person["id"], &company["id"]),
                "{domain} at {upstream}"
            );
        }
    }
    assert_eq!(world.aside(), []);
    world.is_settled();
}

#[test]
fn s53_who_waits_for_somebody_outside_the_circle_goes_on_waiting() {
    let world = in_circles(&["crm"]);
    world.put("crm", "/companies", &json!({"id": "7", "domain": "a.io", "parent_id": "8", "main_id": "99"}));
    world.put("crm", "/companies", &json!({"id": "8", "domain": "b.io", "parent_id": "7"}));
    world.sync().exits(3);
    // The other one waits for nobody but it, and is here without that reference already.
    assert_eq!(world.rows("select domain, parent from companies"), [["b.io", "∅"]]);
    world.sync().exits(3);
    let waits: Vec<String> = world.aside().into_iter().map(|(_, _, reason)| reason).collect();
    assert!(waits.iter().any(|reason| reason.contains("refers to contacts 99 of crm")), "{waits:?}");
    assert!(waits.iter().any(|reason| reason.contains("parent refers to companies 7 of crm")), "{waits:?}");
    world.put("crm", "/people", &json!({"id": "99", "email": "ann@x.io"}));
    world.sync();
    world.sync().exits(0);
    assert_eq!(world.rows("select count(*) from companies where parent is not null"), [["2"]]);
    assert_eq!(world.rows("select email from companies join contacts on contacts.id = main"), [["ann@x.io"]]);
    world.is_settled();
}

/// Ann is known on both sides, and one of them names a company that is not here yet.
#[test]
fn s04_who_waits_for_a_parent_is_not_created_there_a_second_time() {
    for parked_first in [true, false] {
        let names = if parked_first { ["crm", "shop"] } else { ["shop", "crm"] };
        let world = companies(&names);
        world.put("crm", "/people", &json!({"email": "ann@x.io", "company_id": "7"}));
        world.put("shop", "/people", &json!({"email": "ann@x.io"}));
        world.sync().exits(3);
        assert_eq!(all(&world, "crm", "/people").len(), 1, "{names:?}");
        world.put("crm", "/companies", &json!({"id": "7", "domain": "x.io", "title": "X"}));
        world.sync().exits(0);
        world.sync().exits(0);
        let sides = (all(&world, "crm", "/people"), all(&world, "shop", "/people"));
        assert_eq!((sides.0.len(), sides.1.len()), (1, 1), "{sides:?}");
        assert_eq!(world.rows("select email from contacts"), [["ann@x.io"]]);
        assert_eq!(sides.1[0]["company_id"], json!(id_of(&world, "shop", "/companies", "domain", "x.io")));
        assert_eq!(world.aside(), []);
    }
}

/// The create of a record got no answer, and what it refers to is gone before it is asked about.
#[test]
fn s01_a_create_of_unknown_outcome_is_settled_although_its_parent_is_gone() {
    let world = companies(&["crm"]);
    world.put("crm", "/companies", &json!({"domain": "x.io", "title": "X"}));
    world.sync().exits(0);
    world.at("crm", |crm| {
        crm.push_fault(Matcher::exactly(Method::POST, "/people"), Fault::LostResponseAfterCommit);
        // Nor can it be looked for at once.
        crm.push_fault_times(Matcher::exactly(Method::GET, "/people").nth(2), Fault::status(500), Times::Forever);
    });
    world.sql("insert into contacts (email, company) select 'ann@x.io', id from companies");
    world.sync();
    let unknown = "select count(*) from sync_intent where state in ('sent', 'unknown')";
    assert_eq!(world.rows(unknown), [["1"]]);
    world.at("crm", Sandbox::clear_faults);
    world.sql("update contacts set company = null");
    let company = id_of(&world, "crm", "/companies", "domain", "x.io");
    world.at("crm", |crm| crm.remove("/companies", &company, now())).unwrap();
    for _ in 0..3 {
        world.sync();
        world.run(&["approve"]);
    }
    assert_eq!(world.rows(unknown), [["0"]]);
    let people = all(&world, "crm", "/people");
    assert_eq!((people.len(), &people[0]["company_id"]), (1, &Value::Null), "{people:?}");
}

#[test]
fn an_edit_does_not_wait_for_a_listing_of_what_its_record_refers_to_or_is_referred_to_by() {
    let world = companies(&["crm", "erp"]);
    world.change_rules("rules.toml", |rules| rules.replace("match = {", "every = \"1h\"\nmatch = {"));
    let company = world.at("crm", |crm| crm.insert("/companies", &json!({ "domain": "x.io" }), now())).unwrap();
    let ann = json!({ "email": "ann@x.io", "company_id": company });
    world.at("crm", |crm| crm.insert("/people", &ann, now())).unwrap();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 2 of contacts");
    for (listed, path, edit, other) in [
        ("companies", "/companies", "update contacts set email = 'anna@x.io'", "contacts"),
        ("contacts", "/people", "update companies set title = 'X' where domain = 'x.io'", "companies"),
    ] {
        let gate = Gate::default();
        world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, path), Fault::Held(gate.clone())));
        world.forget_requests();
        let mut sync = world.command();
        let mut sync = sync.args(["sync", listed]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while world.at("crm", |crm| crm.requests().count() == 0) {
            std::thread::yield_now();
        }
        world.sql(edit);
        daemon.logs(&format!(" of {other}: 0 changes here, 2 writes upstream"));
        if listed == "companies" {
            // What is new there has to be there first.
            world.sql(
                "insert into companies (id, domain) values ('new', 'new.io'); update contacts set company = 'new'",
            );
            daemon.logs(" of contacts: 0 changes here, 0 writes upstream");
        }
        assert_eq!(sync.try_wait().unwrap(), None, "it is still listed");
        gate.open();
        assert!(sync.wait().unwrap().success());
        if listed == "companies" {
            daemon.logs(" of contacts: 0 changes here, 2 writes upstream");
        }
    }
    let new = id_of(&world, "erp", "/companies", "domain", "new.io");
    assert_eq!(all(&world, "erp", "/people")[0]["company_id"], new);
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}
