//! Passes for edits and webhooks, as the daemon makes them: single records are read, and nothing is listed.

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::hands::now;
use crate::webhooks::{Hook, Listening, with_hooks};
use crate::world::World;

/// Ann and Bob are at one of two upstreams; passes are an hour apart.
fn two_upstreams() -> (World, String) {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]", "[collection.contacts]\nevery = \"1h\"")
    });
    let ann = world.add("crm", &json!({ "email": "ann@x.io", "name": "Ann", "phone": "1" }));
    world.add("crm", &json!({ "email": "bob@x.io", "name": "Bob", "phone": "1" }));
    (world, ann)
}

fn id_at(world: &World, upstream: &str, email: &str) -> String {
    let all = world.contacts(upstream);
    let one = all.iter().find(|one| one["email"] == email).unwrap();
    one["id"].as_str().unwrap().to_owned()
}

fn phone_at(world: &World, upstream: &str, id: &str) -> Value {
    world.contact(upstream, id)["phone"].clone()
}

/// How each pass read its upstreams, with what started it.
fn readings(world: &World) -> Vec<String> {
    let sql = "select \"trigger\" || ' ' || (counts ->> '$.upstreams[0].read') from sync_pass order by id";
    world.rows(sql).concat()
}

#[test]
fn s09_an_id_that_was_given_to_somebody_else_is_left_to_a_pass_that_lists() {
    let (world, _) = two_upstreams();
    world.change_rules("rules.toml", |rules| {
        rules.replace("[binding.contacts.crm]\n", "[binding.contacts.crm]\ncreated_at = \".created\"\n")
    });
    let cyd = json!({ "email": "cyd@x.io", "name": "Cyd", "phone": "1", "created": "2026-01-01T00:00:00Z" });
    let cyd = world.add("crm", &cyd);
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let zed = json!({ "email": "zed@x.io", "name": "Zed", "phone": "9", "created": "2026-02-01T00:00:00Z" });
    world.edit("crm", &cyd, &zed);
    world.sql("update contacts set phone = '2' where email = 'cyd@x.io'");
    daemon.logs("pass 2 of contacts");
    assert_eq!(readings(&world)[1..], ["edit full"]);
    assert_eq!(phone_at(&world, "crm", &cyd), "9", "what was meant for Cyd does not go to Zed");
    let cyds = "select name, phone from contacts where email = 'cyd@x.io'";
    assert_eq!(world.rows(cyds), [["Cyd", "2"]], "Zed's values do not go to Cyd");
    let at_erp = id_at(&world, "erp", "cyd@x.io");
    assert_eq!(world.contact("erp", &at_erp)["name"], "Cyd");
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn a_delete_counts_from_when_it_was_made_and_not_from_the_start_of_its_pass() {
    let (world, _) = two_upstreams();
    world.sync().exits(0);
    world.sql("delete from contacts where email = 'bob@x.io'");
    world.sync().exits(0);
    let later = "select count(*) from sync_link l join sync_pass p on p.id = 2 where l.state = 1 and l.observed_at > p.started_at";
    assert_eq!(world.rows(later), [["2"]]);
}

#[test]
fn an_edit_reads_its_record_everywhere_and_lists_nothing() {
    let (world, ann) = two_upstreams();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let ann_there = id_at(&world, "erp", "ann@x.io");
    world.forget_requests();
    // Nobody has listed yet what somebody changed at erp meanwhile.
    world.edit("erp", &ann_there, &json!({ "phone": "2" }));
    world.sql("update contacts set name = 'Anna' where email = 'ann@x.io'");
    daemon.logs("pass 2 of contacts");
    let lines = |id: &str| vec![format!("GET /contacts/{id}"), format!("PATCH /contacts/{id}")];
    assert_eq!((world.lines_at("crm"), world.lines_at("erp")), (lines(&ann), lines(&ann_there)));
    assert_eq!(world.rows("select name, phone from contacts where email = 'ann@x.io'"), [["Anna", "2"]]);
    for (upstream, id) in [("crm", &ann), ("erp", &ann_there)] {
        let now = world.contact(upstream, id);
        assert_eq!((&now["name"], &now["phone"]), (&json!("Anna"), &json!("2")), "{upstream}");
    }
    // One that is new here may be there already: only a listing tells.
    world.sql("insert into contacts (id, email, name) values ('n1', 'new@x.io', 'New')");
    daemon.logs("pass 3 of contacts");
    let listed = |lines: Vec<String>| lines.iter().any(|line| line == "GET /contacts");
    assert!(listed(world.lines_at("crm")) && listed(world.lines_at("erp")));
    assert_eq!(readings(&world), ["schedule full", "edit targeted", "edit full"]);
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn a_record_that_one_404_says_is_gone_is_listed_for() {
    let (world, ann) = two_upstreams();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    world.at("crm", |crm| crm.remove("/contacts", &ann, now())).unwrap();
    world.sql("update contacts set name = 'Anna' where email = 'ann@x.io'");
    daemon.logs("pass 2 of contacts");
    assert_eq!(readings(&world), ["schedule full", "edit full"]);
    // She was changed here and deleted there: `update_wins`.
    assert_eq!(world.contact("crm", &id_at(&world, "crm", "ann@x.io"))["name"], "Anna");
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn f50_a_webhook_is_a_hint_about_a_record_that_is_read_as_it_is_now() {
    let (world, ann) = two_upstreams();
    with_hooks(&world);
    let mut one = Listening::start(&world);
    let ann_there = id_at(&world, "erp", "ann@x.io");
    world.forget_requests();
    // What a webhook says of the record is not believed; that it is late does no harm.
    world.edit("crm", &ann, &json!({ "phone": "2" }));
    world.edit("crm", &ann, &json!({ "phone": "3" }));
    assert_eq!(one.send(&Hook::about("m1", &ann)), 200);
    one.until("pass 2 of contacts: 1 changes here");
    assert_eq!(world.lines_at("crm"), [format!("GET /contacts/{ann}")]);
    let lines = [format!("GET /contacts/{ann_there}"), format!("PATCH /contacts/{ann_there}")];
    assert_eq!(world.lines_at("erp"), lines);
    assert_eq!(phone_at(&world, "erp", &ann_there), "3");
    // One that says that she is gone, while she is there.
    assert_eq!(one.send(&Hook::gone("m2", &ann)), 200);
    one.until("pass 3 of contacts");
    assert_eq!(world.rows("select count(*) from contacts"), [["2"]]);
    // She is gone indeed.
    world.at("crm", |crm| crm.remove("/contacts", &ann, now())).unwrap();
    assert_eq!(one.send(&Hook::gone("m3", &ann)), 200);
    one.until("pass 4 of contacts: 1 changes here");
    assert_eq!(world.rows("select email from contacts"), [["bob@x.io"]]);
    assert_eq!(world.contacts("erp").len(), 1);
    // Of a record that nobody knows here only a listing tells whether it is new.
    let eve = world.add("crm", &json!({ "email": "eve@x.io", "name": "Eve", "phone": "1" }));
    assert_eq!(one.send(&Hook::about("m4", &eve)), 200);
    one.until("pass 5 of contacts: 1 changes here");
    let expected = ["schedule full", "webhook targeted", "webhook targeted", "webhook targeted"];
    assert_eq!(readings(&world), [expected.as_slice(), &["webhook full"]].concat());
    let states = world.rows("select delivery || ' ' || state from sync_hook order by id").concat();
    assert_eq!(states, ["m1 done", "m2 done", "m3 done", "m4 done"]);
    one.stops_without(&[]);
    world.is_quiet();
}

#[test]
fn f50_what_a_webhook_shows_counts_where_it_is_newer_whole_and_the_only_one() {
    let (world, ann) = two_upstreams();
    with_hooks(&world);
    let before = world.contact("crm", &ann);
    let mut one = Listening::start(&world);
    let ann_there = id_at(&world, "erp", "ann@x.io");
    let asked = [format!("GET /contacts/{ann}")];
    // What it shows is taken as it is: crm is not even asked.
    world.forget_requests();
    world.edit("crm", &ann, &json!({ "phone": "2" }));
    assert_eq!(one.send(&Hook::showing("m1", &world.contact("crm", &ann))), 200);
    one.until("pass 2 of contacts: 1 changes here");
    assert_eq!(world.lines_at("crm"), [""; 0]);
    assert_eq!(phone_at(&world, "erp", &ann_there), "2");
    // One that was on its way for long: she is read as she is now.
    assert_eq!(one.send(&Hook::showing("m2", &before)), 200);
    one.until("pass 3 of contacts: 0 changes here");
    assert_eq!(world.lines_at("crm"), asked);
    // One that shows what has changed and nothing else: her name is not taken for emptied.
    world.forget_requests();
    world.edit("crm", &ann, &json!({ "phone": "3" }));
    let mut part = world.contact("crm", &ann);
    part.as_object_mut().unwrap().remove("name");
    assert_eq!(one.send(&Hook::showing("m3", &part)), 200);
    one.until("pass 4 of contacts: 1 changes here");
    assert_eq!(world.lines_at("crm"), asked);
    assert_eq!(world.rows("select name, phone from contacts where email = 'ann@x.io'"), [["Ann", "3"]]);
    // One that names another record than it shows.
    world.forget_requests();
    world.edit("crm", &ann, &json!({ "phone": "4" }));
    let bob = world.contact("crm", &id_at(&world, "crm", "bob@x.io"));
    let mut mixed = world.contact("crm", &ann);
    mixed["email"] = bob["email"].clone();
    // Of several that wait for a pass nobody knows which was sent last.
    world.run(&["pause", "contacts"]).exits(0);
    for (id, contact) in [("m4", &world.contact("crm", &ann)), ("m5", &mixed)] {
        assert_eq!(one.send(&Hook::showing(id, contact)), 200);
    }
    let kept = "select delivery, state, record is not null from sync_hook where id > 3 order by id";
    assert_eq!(world.rows(kept), [["m4", "replaced", "0"], ["m5", "waiting", "0"]]);
    world.run(&["resume", "contacts"]).exits(0);
    one.until("pass 5 of contacts: 1 changes here");
    assert_eq!(world.lines_at("crm"), asked);
    assert_eq!(phone_at(&world, "erp", &ann_there), "4");
    let read = [["schedule full"].as_slice(), &["webhook targeted"; 4]].concat();
    assert_eq!(readings(&world), read);
    assert_eq!(world.rows("select count(*) from sync_hook where record is not null"), [["0"]]);
    one.stops_without(&[]);
    world.is_quiet();
}

#[test]
fn what_a_webhook_shows_is_taken_where_no_record_can_be_read_alone() {
    let (world, ann) = two_upstreams();
    world.change_rules("rules.toml", |rules| {
        let (crm, erp) = rules.split_once("[binding.contacts.erp]").unwrap();
        let crm: Vec<&str> = crm.lines().filter(|line| !line.starts_with("get = ")).collect();
        let crm = crm.join("\n");
        format!("{crm}\n[binding.contacts.erp]{erp}")
    });
    with_hooks(&world);
    let mut one = Listening::start(&world);
    world.forget_requests();
    world.edit("crm", &ann, &json!({ "phone": "2" }));
    assert_eq!(one.send(&Hook::showing("m1", &world.contact("crm", &ann))), 200);
    one.until("pass 2 of contacts: 1 changes here");
    assert_eq!(world.lines_at("crm"), [""; 0]);
    // What it does not show is to be listed.
    world.edit("crm", &ann, &json!({ "phone": "3" }));
    assert_eq!(one.send(&Hook::about("m2", &ann)), 200);
    one.until("pass 3 of contacts: 1 changes here");
    assert_eq!(readings(&world), ["schedule full", "webhook targeted", "webhook full"]);
    one.stops_without(&[]);
    world.is_quiet();
}

#[test]
fn only_few_deletes_are_followed_between_two_listings() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]", "[collection.contacts]\nevery = \"1h\"")
    });
    let person = |nth: usize| json!({ "email": format!("p{nth}@x.io"), "name": "P", "phone": "1" });
    let ids: Vec<String> = (0..200).map(|nth| world.add("crm", &person(nth))).collect();
    with_hooks(&world);
    let mut one = Listening::start(&world);
    for (nth, id) in ids.iter().take(11).enumerate() {
        world.at("crm", |crm| crm.remove("/contacts", id, now())).unwrap();
        assert_eq!(one.send(&Hook::gone(&format!("m{nth}"), id)), 200);
        one.until(&format!("pass {} of contacts: 1 changes here", nth + 2));
    }
    assert_eq!(world.rows("select count(*) from contacts"), [["189"]]);
    let mut expected = vec!["schedule full"];
    expected.extend(["webhook targeted"; 10]);
    expected.push("webhook full");
    assert_eq!(readings(&world), expected);
    one.stops_without(&[]);
}
