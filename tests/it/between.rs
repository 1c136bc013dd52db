//! What is changed while a pass of its own collection lists does not wait for the end of that listing.

use chrono::TimeDelta;
use reconciled::sandbox::{CursorEnd, Paging, ResourceConfig, Since, SinceBy};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::hands::now;
use crate::listing::{Listing, held};
use crate::webhooks::{Hook, Listening, with_hooks};
use crate::world::World;

/// Six contacts are at two upstreams, which list two at a time; passes are an hour apart.
pub fn paged() -> World {
    many(6, 2)
}

/// The same, of upstreams that are otherwise.
pub fn paged_as(shape: impl Fn(&str, &mut ResourceConfig)) -> World {
    many_as((6, 2), shape)
}

/// The same of so many, that many at a time.
fn many(count: usize, page_size: usize) -> World {
    many_as((count, page_size), |_, _| {})
}

fn many_as((count, page_size): (usize, usize), shape: impl Fn(&str, &mut ResourceConfig)) -> World {
    let world = World::with_contacts(&["crm", "erp"], |name, resource: &mut ResourceConfig| {
        shape(name, resource);
        resource.page_size = page_size;
        resource.paging = Paging::Cursor {
            param: "after".to_owned(),
            limit: "limit".to_owned(),
            next_at: "next".to_owned(),
            end: CursorEnd::Absent,
        };
    });
    world.change_rules("rules.toml", |rules| {
        let cursor = "page = { kind = \"cursor\", next = \".next\", into = \"query.after\" }";
        let rules = rules.replace("page = \"none\"", cursor);
        rules.replace("[collection.contacts]", "[collection.contacts]\nevery = \"1h\"")
    });
    for number in 1..=count {
        let email = format!("c{number}@x.io");
        world.add("crm", &json!({ "email": email, "name": email, "phone": "1" }));
    }
    world
}

/// A contact by its address.
pub fn at(world: &World, upstream: &str, email: &str) -> Value {
    world.contacts(upstream).into_iter().find(|one| one["email"] == email).unwrap()
}

fn id_at(world: &World, upstream: &str, email: &str) -> String {
    at(world, upstream, email)["id"].as_str().unwrap().to_owned()
}

/// What started each pass, what it came to, and how it read crm.
fn passes(world: &World) -> Vec<String> {
    let sql =
        "select \"trigger\" || ' ' || outcome || ' ' || (counts ->> '$.upstreams[0].read') from sync_pass order by id";
    world.rows(sql).concat()
}

#[test]
fn an_edit_during_a_listing_of_its_own_collection_does_not_wait_for_its_end() {
    let world = paged();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let mut listing = Listing::begins(&world, "contacts", 2, &["--full"]);
    // Of a row that was listed before, of one whose page is held as it was before, and of one that is listed after.
    for (number, email) in ["c1@x.io", "c3@x.io", "c6@x.io"].into_iter().enumerate() {
        world.sql(&format!("update contacts set phone = '2' where email = '{email}'"));
        daemon.logs(&format!("pass {} of contacts: 0 changes here, 2 writes upstream", number + 3));
        let there = ["crm", "erp"].map(|upstream| at(&world, upstream, email)["phone"].clone());
        assert_eq!(there, ["2", "2"], "{email}");
        listing.hangs();
    }
    // Somebody else changes the same records elsewhere before the page comes that shows neither.
    for email in ["c3@x.io", "c6@x.io"] {
        world.edit("crm", &id_at(&world, "crm", email), &json!({ "name": "theirs" }));
    }
    // One that is new may be there already: it is left to the listing, and holds nothing up.
    world.sql("insert into contacts (id, email, name) values ('n7', 'c7@x.io', 'seventh')");
    world.sql("update contacts set name = 'ours' where email = 'c2@x.io'");
    daemon.logs("pass 6 of contacts: 0 changes here, 2 writes upstream");
    assert_eq!(world.contacts("crm").len(), 6);
    listing.ends();
    let rows = world.rows("select email || ' ' || name || ' ' || coalesce(phone, '') from contacts order by email");
    let expected = [
        "c1@x.io c1@x.io 2",
        "c2@x.io ours 1",
        "c3@x.io theirs 2",
        "c4@x.io c4@x.io 1",
        "c5@x.io c5@x.io 1",
        "c6@x.io theirs 2",
        "c7@x.io seventh ",
    ];
    assert_eq!(rows.concat(), expected);
    for upstream in ["crm", "erp"] {
        assert_eq!(world.contacts(upstream).len(), 7, "{upstream}");
        assert_eq!(at(&world, upstream, "c3@x.io")["name"], "theirs", "{upstream}");
        assert_eq!(at(&world, upstream, "c2@x.io")["name"], "ours", "{upstream}");
    }
    let edit = "edit ok targeted";
    assert_eq!(passes(&world)[..6], ["schedule ok full", "full_scan ok full", edit, edit, edit, edit]);
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn a_webhook_during_a_listing_of_its_collection_does_not_wait_for_its_end() {
    let world = paged();
    with_hooks(&world);
    let mut one = Listening::start(&world);
    let mut listing = Listing::begins(&world, "contacts", 2, &["--full"]);
    let id = id_at(&world, "crm", "c3@x.io");
    world.edit("crm", &id, &json!({ "phone": "2" }));
    assert_eq!(one.send(&Hook::about("m1", &id)), 200);
    one.until("pass 3 of contacts: 1 changes here, 1 writes upstream");
    assert_eq!(at(&world, "erp", "c3@x.io")["phone"], "2");
    let states = "select delivery || ' ' || state from sync_hook order by id";
    assert_eq!(world.rows(states), [["m1 done"]]);
    // It changes back there; the page that is held shows the very value.
    world.edit("crm", &id, &json!({ "phone": "3" }));
    listing.hangs();
    listing.ends();
    assert_eq!(at(&world, "erp", "c3@x.io")["phone"], "3");
    one.stops_without(&[]);
    world.is_quiet();
}

#[test]
fn what_comes_with_an_edit_that_takes_a_listing_does_not_wait_for_the_end_of_that_listing() {
    let world = paged();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    // One that is new takes a listing.
    let gate = held(&world, 2);
    world.sql(
        "begin; insert into contacts (id, email, name) values ('n7', 'c7@x.io', 'seventh'); \
         update contacts set phone = '2' where email = 'c6@x.io'; commit",
    );
    daemon.logs("pass 3 of contacts: 0 changes here, 2 writes upstream");
    assert_eq!(["crm", "erp"].map(|upstream| at(&world, upstream, "c6@x.io")["phone"].clone()), ["2", "2"]);
    assert_eq!(world.contacts("crm").len(), 6, "it is still listed");
    gate.open();
    daemon.logs("pass 2 of contacts");
    assert_eq!(world.contacts("crm").len(), 7);
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn many_deletes_wait_for_the_listing_and_hold_up_no_edit() {
    let world = many(400, 200);
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let listing = Listing::begins(&world, "contacts", 2, &["--full"]);
    let first = (1..=11).map(|number| format!("'c{number}@x.io'")).collect::<Vec<_>>().join(", ");
    world.sql(&format!("delete from contacts where email in ({first})"));
    world.sql("update contacts set phone = '2' where email = 'c400@x.io'");
    daemon.logs("pass 3 of contacts: 0 changes here, 2 writes upstream");
    assert_eq!(["crm", "erp"].map(|upstream| at(&world, upstream, "c400@x.io")["phone"].clone()), ["2", "2"]);
    assert_eq!(world.contacts("crm").len(), 400, "the guards of the pass that lists see all of them");
    listing.ends();
    assert_eq!(["crm", "erp"].map(|upstream| world.contacts(upstream).len()), [389, 389]);
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn what_a_write_in_between_moves_out_of_a_counted_page_is_listed_the_next_time() {
    let world = World::with_contacts(&["crm", "erp"], |_, resource: &mut ResourceConfig| {
        resource.page_size = 2;
        resource.paging = Paging::Offset { offset: "offset".to_owned(), limit: "limit".to_owned() };
        resource.since = Some(Since { param: "since".to_owned(), by: SinceBy::UpdatedAt, tombstones: false });
    });
    world.change_rules("rules.toml", |rules| {
        let offset =
            "page = { kind = \"offset\", into = \"query.offset\", size = { into = \"query.limit\", value = 2 } }";
        let since = "incremental = { kind = \"since\", into = \"query.since\", lookback = \"0s\" }";
        let rules = rules.replace("page = \"none\"", offset).replace("incremental = \"none\"", since);
        rules.replace("[collection.contacts]", "[collection.contacts]\nevery = \"1h\"\nfull_scan = \"7d\"")
    });
    for number in 1..=4 {
        let email = format!("c{number}@x.io");
        let contact = json!({ "email": email, "name": email, "phone": "1" });
        world.add_at("crm", &contact, now() - TimeDelta::hours(1));
    }
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    for (email, minutes) in [("c1@x.io", 30), ("c2@x.io", 20), ("c3@x.io", 10)] {
        let id = id_at(&world, "crm", email);
        world.edit_at("crm", &id, &json!({ "name": "theirs" }), now() - TimeDelta::minutes(minutes));
    }
    // Listed by time of change: the fourth and the first, then the others. The fourth becomes the last.
    let listing = Listing::begins(&world, "contacts", 1, &[]);
    world.sql("update contacts set phone = '2' where email = 'c4@x.io'");
    daemon.logs("pass 3 of contacts: 0 changes here, 2 writes upstream");
    listing.ends();
    world.run(&["sync"]).exits(0);
    let names = "select email, name from contacts order by email";
    let theirs = |email: &'static str| [email, "theirs"].map(str::to_owned).to_vec();
    let mut expected: Vec<Vec<String>> = ["c1@x.io", "c2@x.io", "c3@x.io"].map(theirs).to_vec();
    expected.push(vec!["c4@x.io".to_owned(), "c4@x.io".to_owned()]);
    assert_eq!(world.rows(names), expected);
    assert_eq!(daemon.stops().0, Some(0));
}
