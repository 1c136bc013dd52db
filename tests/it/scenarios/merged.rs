//! Records that an upstream merged into others.

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Times};
use serde_json::json;

use super::structure::{all, companies, id_of, in_circles, writes};
use super::tools::now;
use crate::world::World;

const MERGED_INTO: &str = "merged_into = \".merged_into\"\n";

fn says_so(world: &World) {
    world.change_rules("rules.toml", |text| text.replace("id = \".id\"\n", &format!("id = \".id\"\n{MERGED_INTO}")));
}

/// The upstream merged A into B: A is not listed any more, and its address leads to B for good.
fn merge(world: &World, upstream: &str, path: &str, a: &str, b: &str) {
    world.at(upstream, |sandbox| {
        sandbox.remove(path, a, now()).unwrap();
        let moved = Fault::Moved { url: format!("{path}/{b}") };
        sandbox.push_fault_times(Matcher::exactly(Method::GET, format!("{path}/{a}")), moved, Times::Forever);
    });
}

#[test]
fn s11_a_record_that_was_merged_into_one_that_nobody_is_here_is_that_one_from_then_on() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    says_so(&world);
    let a = world.add_ann("crm");
    let record = world.rows("select id from contacts");
    let b = world.add("crm", &json!({"email": "ann@x.io", "name": "Ann B", "phone": "1"}));
    world.edit("crm", &a, &json!({"merged_into": b}));
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0);
    assert_eq!(world.rows("select id from contacts"), record);
    assert_eq!(world.rows("select name, phone from contacts"), [["Ann B", "2"]]);
    // The edit that was waiting went to the record that it is about now.
    assert_eq!((&world.contact("crm", &b)["phone"], &world.contact("crm", &a)["phone"]), (&json!("2"), &json!("1")));
    assert_eq!(world.contacts("erp").len(), 1);
    assert_eq!((world.posts("crm"), world.aside()), (0, Vec::new()));
    world.is_quiet();
    world.edit("crm", &b, &json!({"name": "Ann C"}));
    world.sync().exits(0);
    assert_eq!(world.rows("select name from contacts"), [["Ann C"]]);
    world.is_quiet();
}

#[test]
fn s11_two_records_that_were_merged_are_one_and_what_refers_to_them_is_repointed() {
    for by_address in [true, false] {
        let world = companies(&["crm"]);
        if !by_address {
            says_so(&world);
        }
        for name in ["a", "b", "c"] {
            world.put("crm", "/companies", &json!({"domain": format!("{name}.io"), "title": name}));
        }
        let company = |name: &str| id_of(&world, "crm", "/companies", "domain", &format!("{name}.io"));
        let (a, b) = (company("a"), company("b"));
        world.put("crm", "/people", &json!({"email": "ann@x.io", "company_id": a}));
        world.sync().exits(0);
        let kept = world.rows("select id from companies where domain = 'b.io'");
        // An edit of A that never got there.
        world.sql("update companies set title = 'mine' where domain = 'a.io'");
        if by_address {
            merge(&world, "crm", "/companies", &a, &b);
        } else {
            world.at("crm", |crm| crm.edit("/companies", &a, &json!({"merged_into": b}), now())).unwrap();
        }
        world.forget_requests();
        let ran = world.sync().exits(0);
        let report = ran.report("companies");
        let link = report["changes"].as_array().unwrap().iter().find(|change| change["action"] == "link").unwrap();
        assert!(link["note"].as_str().unwrap().contains(&format!("{a} was merged into {b}")), "{link:#}");
        assert_eq!(link["title"], "a.io", "{link:#}");
        assert_eq!(world.rows("select domain from companies order by domain"), [["b.io"], ["c.io"]]);
        assert_eq!(world.rows("select company from contacts"), kept);
        // Nothing was deleted there, and nothing had to be written: what refers to A there means B.
        assert_eq!(world.written("crm"), Vec::<String>::new());
        assert_eq!(all(&world, "crm", "/people")[0]["company_id"], json!(a));
        // What lost is in history.
        let told = world.rows("select before, detail from sync_history where rule = 'merged' and before like '%mine%'");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0][1].contains("\"edits_that_lost\":[\"title\"]"), "{told:?}");
        world.is_settled();
        // The upstream repoints its own references later; a new local one goes to B.
        let ann = id_of(&world, "crm", "/people", "email", "ann@x.io");
        world.at("crm", |crm| crm.edit("/people", &ann, &json!({"company_id": b}), now())).unwrap();
        world.sync().exits(0).wrote(0, 0);
        world.sql("insert into contacts (email, company) select 'bob@x.io', id from companies where domain = 'b.io'");
        world.sync().exits(0);
        let bob = id_of(&world, "crm", "/people", "email", "bob@x.io");
        assert_eq!(world.at("crm", |crm| crm.get("/people", &bob)).unwrap()["company_id"], json!(b));
        world.is_settled();
    }
}

#[test]
fn s11_a_merge_at_one_upstream_deletes_nothing_at_another_that_still_has_both() {
    let world = companies(&["crm", "erp"]);
    for name in ["a", "b", "c"] {
        world.put("crm", "/companies", &json!({"domain": format!("{name}.io"), "title": name}));
    }
    world.sync().exits(0);
    let company = |upstream: &str, name: &str| id_of(&world, upstream, "/companies", "domain", &format!("{name}.io"));
    let (a, b) = (company("crm", "a"), company("crm", "b"));
    merge(&world, "crm", "/companies", &a, &b);
    world.forget_requests();
    world.sync().exits(0);
    // The erp has two records; here there are two rows for them, and one of them is not at the crm.
    assert_eq!((all(&world, "crm", "/companies").len(), all(&world, "erp", "/companies").len()), (2, 3));
    assert_eq!(world.rows("select count(*) from companies"), [["3"]]);
    world.sql("update companies set title = 'only there' where domain = 'a.io'");
    world.sync().exits(0);
    assert_eq!(world.written("crm"), Vec::<String>::new());
    let (x, y) = (company("erp", "a"), company("erp", "b"));
    assert_eq!(world.at("erp", |erp| erp.get("/companies", &x)).unwrap()["title"], "only there");
    world.is_settled();
    // Merged there, too, it is one.
    merge(&world, "erp", "/companies", &x, &y);
    world.sync().exits(0);
    assert_eq!(world.rows("select domain from companies order by domain"), [["b.io"], ["c.io"]]);
    assert_eq!((all(&world, "crm", "/companies").len(), all(&world, "erp", "/companies").len()), (2, 2));
    world.is_settled();
}

#[test]
fn s11_two_records_that_name_each_other_are_set_aside_with_that_reason() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    says_so(&world);
    let a = world.add_ann("crm");
    let b = world.add("crm", &json!({"email": "bob@x.io", "name": "Bob", "phone": "1"}));
    world.sync().exits(0);
    world.edit("crm", &a, &json!({"merged_into": b}));
    world.edit("crm", &b, &json!({"merged_into": a}));
    for _ in 0..2 {
        world.sync();
        let aside = world.aside();
        assert!(
            !aside.is_empty() && aside.iter().any(|one| one.2.contains("each say that they were merged")),
            "{aside:?}"
        );
    }
    assert_eq!(world.contacts("crm").len(), 2, "nothing is deleted there");
}

#[test]
fn s11_a_write_that_meets_a_record_merged_away_follows_it() {
    // Deletes do not show in this listing: it is the write that finds out.
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| text.replace("deletes = { kind = \"absence\" }", "deletes = \"none\""));
    let a = world.add_ann("crm");
    let b = world.add("crm", &json!({"email": "ann.b@x.io", "name": "Ann B", "phone": "1"}));
    world.sync().exits(0);
    merge(&world, "crm", "/contacts", &a, &b);
    world.sql("update contacts set phone = '2' where email = 'ann@x.io'");
    world.sync().exits(0);
    assert_eq!(world.rows("select email, phone from contacts"), [["ann.b@x.io", "1"]]);
    assert_eq!((world.contacts("crm").len(), world.posts("crm")), (1, 0));
    assert_eq!(
        world.rows("select count(*) from sync_history where rule = 'merged' and before like '%\"phone\":\"2\"%'"),
        [["1"]]
    );
    world.is_settled();
}

#[test]
fn s11_s53_who_was_merged_away_keeps_nobody_in_a_circle_waiting() {
    let world = in_circles(&["crm"]);
    says_so(&world);
    let a = world.put("crm", "/people", &json!({"email": "ann@x.io"}));
    world.sync().exits(0);
    // Nobody here is B yet: Ann is that record from now on.
    let b = world.put("crm", "/people", &json!({"email": "ann@x.io"}));
    world.at("crm", |crm| crm.edit("/people", &a, &json!({"merged_into": b}), now())).unwrap();
    world.sync().exits(0);
    assert_eq!(world.rows("select remote_id from sync_link"), [[b]]);
    world.put("crm", "/companies", &json!({"id": "7", "domain": "a.io", "parent_id": "8", "main_id": a}));
    world.put("crm", "/companies", &json!({"id": "8", "domain": "b.io", "parent_id": "7", "main_id": a}));
    world.sync().exits(0);
    let query = "select one.domain, other.domain, email from companies one join companies other on other.id = one.parent \
                 join contacts on contacts.id = one.main order by 1";
    assert_eq!(world.rows(query), [["a.io", "b.io", "ann@x.io"], ["b.io", "a.io", "ann@x.io"]]);
    assert_eq!(world.aside(), []);
    world.is_settled();
}

#[test]
fn s11_s53_who_is_another_record_there_is_no_part_of_a_circle() {
    let world = in_circles(&["crm", "erp"]);
    for name in ["a", "b", "c"] {
        world.put("crm", "/companies", &json!({"domain": format!("{name}.io"), "title": name}));
    }
    world.sync().exits(0);
    let company = |name: &str| id_of(&world, "crm", "/companies", "domain", &format!("{name}.io"));
    let (a, b) = (company("a"), company("b"));
    // The erp still has both, so that the row of A stays.
    merge(&world, "crm", "/companies", &a, &b);
    world.sync().exits(0);
    world.forget_requests();
    world.sql("insert into companies (id, domain, parent) select 'd', 'd.io', id from companies where domain = 'a.io'");
    world.sql("update companies set parent = 'd' where domain = 'a.io'");
    world.sync().exits(0);
    assert_eq!(writes(&world, "crm"), ["POST domain,parent_id"]);
    let there = all(&world, "crm", "/companies").into_iter().find(|one| one["domain"] == "d.io").unwrap();
    assert_eq!(there["parent_id"], json!(b));
    world.is_settled();
}
