//! References between collections, and crashes anywhere.

use reconciled::sandbox::{IdStyle, ResourceConfig, SandboxConfig};
use serde_json::{Value, json};

use super::tools::now;
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
