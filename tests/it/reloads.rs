//! Rules that are edited while passes run: who waits for what.

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::idle::two_collections;
use crate::listing::Listing;
use crate::world::World;

/// The phone of a collection gets another name upstream.
fn renames_phone(world: &World, collection: &str, from: &str, to: &str) {
    world.change_rules("rules.toml", |rules| {
        let (head, map) = rules.split_once(&format!("[binding.{collection}.crm.map]")).unwrap();
        let phone = |name: &str| format!("phone = \".{name}\"");
        format!("{head}[binding.{collection}.crm.map]{}", map.replacen(&phone(from), &phone(to), 1))
    });
}

fn last_write(world: &World) -> Value {
    world.writes_at("crm").last().unwrap().body.clone()
}

#[test]
fn f56_rules_that_change_another_collection_come_into_force_while_a_pass_runs() {
    let world = two_collections();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 2 of ");
    let mut listing = Listing::begins(&world, "others", 1, &[]);
    renames_phone(&world, "contacts", "phone", "tel");
    daemon.signal("HUP");
    daemon.logs("they have changed");
    world.sql("update contacts set phone = '2'");
    daemon.logs("of contacts: 0 changes here, 1 writes upstream");
    assert_eq!(last_write(&world), json!({ "tel": "2" }), "by the new ones");
    // The pass that runs goes on by those that it began with, which say the same of it.
    listing.hangs();
    assert_eq!(world.status()["daemon"]["rules_wait_for"], json!([]));
    listing.ends();
    daemon.logs("of others: ");
    world.sql("update others set phone = '3'");
    daemon.logs("of others: 0 changes here, 1 writes upstream");
    assert_eq!(last_write(&world), json!({ "phone": "3" }));
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn f56_rules_that_change_what_a_pass_reads_wait_for_that_pass_alone() {
    let world = two_collections();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 2 of ");
    let mut listing = Listing::begins(&world, "others", 1, &[]);
    world.sql("update others set phone = '2'");
    daemon.logs("of others: 0 changes here, 1 writes upstream");
    renames_phone(&world, "others", "phone", "mobile");
    daemon.signal("HUP");
    daemon.logs("new rules can be used; they change others, and come into force when the pass of others has ended");
    assert_eq!(world.status()["daemon"]["rules_wait_for"], json!(["others"]));
    let said = world.run(&["status"]).stdout;
    assert!(said.contains("new rules change others, and come into force when the pass of others has ended"), "{said}");
    // Others are not kept waiting.
    world.sql("update contacts set name = 'Anna'");
    daemon.logs("of contacts: 1 changes here, 1 writes upstream");
    world.run(&["sync", "contacts"]).exits(0);
    daemon.logs("of contacts: ");
    listing.hangs();
    listing.ends();
    let log = daemon.logs("rules and secrets were read anew: they have changed");
    assert!(log.contains("of others: "), "{log}");
    let sent: Vec<Value> = world.writes_at("crm").into_iter().map(|asked| asked.body).collect();
    // The listing is older than both writes, and undoes neither.
    assert_eq!(sent, [json!({ "phone": "2" }), json!({ "name": "Anna" })]);
    assert_eq!(world.status()["daemon"]["rules_wait_for"], json!([]));
    world.sql("update others set phone = '3'");
    daemon.logs("of others: 0 changes here, 1 writes upstream");
    assert_eq!(last_write(&world), json!({ "mobile": "3" }));
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn f56_edits_of_what_new_rules_change_go_on_by_those_in_force_while_a_listing_keeps_the_new_ones_waiting() {
    let world = two_collections();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 2 of ");
    let mut listing = Listing::begins(&world, "others", 1, &[]);
    renames_phone(&world, "others", "phone", "mobile");
    renames_phone(&world, "contacts", "phone", "tel");
    daemon.signal("HUP");
    daemon.logs("they change contacts, others, and come into force when the pass of others has ended");
    let standing = &world.status()["daemon"];
    assert_eq!(standing["rules_wait_for"], json!(["others"]));
    assert_eq!(standing["rules_change"], json!(["contacts", "others"]));
    let doctor = world.run(&["doctor", "--offline"]).stdout;
    assert!(doctor.contains("works on contacts, others by older rules until the pass of others has ended"), "{doctor}");
    world.sql("update contacts set phone = '2'");
    daemon.logs("of contacts: 0 changes here, 1 writes upstream");
    assert_eq!(last_write(&world), json!({ "phone": "2" }), "by those in force");
    listing.hangs();
    listing.ends();
    daemon.logs("rules and secrets were read anew: they have changed");
    world.sql("update contacts set phone = '3'");
    daemon.logs("of contacts: 0 changes here, 1 writes upstream");
    assert_eq!(last_write(&world), json!({ "tel": "3" }), "and then by the new ones");
    assert_eq!(world.status()["daemon"]["rules_change"], json!([]));
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn f55_what_is_wrong_with_the_rules_is_told_once_however_often_they_are_read() {
    let world = two_collections();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 2 of ");
    world.change_rules("rules.toml", |rules| rules.replacen("every", "evry", 1));
    let mut log = daemon.logs("those from before stay in force");
    daemon.signal("HUP");
    log += &daemon.logs("the rules still cannot be used, as was told");
    world.change_rules("rules.toml", |rules| rules.replacen("evry", "evvery", 1));
    log += &daemon.logs("those from before stay in force");
    let (code, rest) = daemon.stops();
    assert_eq!(code, Some(0));
    let all = log + &rest;
    assert_eq!(["`evry`", "`evvery`"].map(|key| all.matches(&format!("unknown key {key}")).count()), [1, 1], "{all}");
}
