//! Times and versions that cannot be trusted, and who works on a database.

use std::process::Stdio;

use chrono::Duration;
use http::Method;
use reconciled::sandbox::{Fault, Matcher, Paging, ResourceConfig, Since, SinceBy, TimeFormat, UpdatedAt};
use serde_json::json;

use crate::hands::{asked, now};
use crate::world::World;

/// Contacts that are read by time of change.
fn incremental(format: TimeFormat, name: &str) -> World {
    let world = World::with_contacts(&["crm"], |_, resource: &mut ResourceConfig| {
        resource.since = Some(Since { param: "since".to_owned(), by: SinceBy::UpdatedAt, tombstones: false });
        resource.updated_at = Some(UpdatedAt { path: "updated_at".to_owned(), format });
    });
    world.change_rules("rules.toml", |rules| {
        let rules = rules.replace("[collection.contacts]\n", "[collection.contacts]\nfull_scan = \"7d\"\n");
        let since = "incremental = { kind = \"since\", into = \"query.since\" }";
        let rules = rules.replace("incremental = \"none\"", since);
        rules.replace(
            "updated_at = \".updated_at\"",
            &format!("updated_at = {{ path = \".updated_at\", format = \"{name}\" }}"),
        )
    });
    world
}

fn names(world: &World) -> String {
    world.rows("select name from contacts order by name").concat().join(" ")
}

fn person(name: &str) -> serde_json::Value {
    json!({"email": format!("{name}@x.io"), "name": name, "phone": "1"})
}

#[test]
fn s38_a_new_version_with_the_same_content_is_no_change() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let ann = world.add_ann("crm");
    world.edit("crm", &ann, &json!({}));
    assert_eq!(world.contact("crm", &ann)["etag"], "2");
    world.sync().exits(0).wrote(0, 0);
    assert_eq!(world.lines_at("crm"), ["GET /contacts"]);
    // The new version is remembered: the next write meets it at once.
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(world.writes_at("crm"), [asked("PATCH /contacts/1", 2, json!({"phone": "2"}), 200)]);
    world.is_quiet();
}

#[test]
fn s38_content_that_changed_under_an_old_time_is_caught_by_the_full_scan() {
    let world = incremental(TimeFormat::Rfc3339Ms, "rfc3339");
    let old = now() - Duration::hours(1);
    let ann = world.add_at("crm", &person("ann"), old);
    world.add("crm", &person("bob"));
    world.sync().exits(0).wrote(0, 2);
    world.edit_at("crm", &ann, &json!({"phone": "2"}), old);
    let ran = world.sync().exits(0).wrote(0, 0);
    assert_eq!(ran.report("contacts")["upstreams"][0]["read"], "incremental");
    world.full_sync().exits(0).wrote(0, 1);
    assert_eq!(world.rows("select phone from contacts where name = 'ann'"), [["2"]]);
    world.is_quiet();
}

#[test]
fn s39_changes_in_the_boundary_second_and_late_commits_are_seen() {
    let world = incremental(TimeFormat::UnixS, "unix_s");
    let then = now();
    world.add_at("crm", &person("a"), then);
    world.sync().exits(0);
    world.forget_requests();
    // The same second, and a transaction that began before and was committed after.
    world.add_at("crm", &person("b"), then);
    world.add_at("crm", &person("c"), then - Duration::seconds(60));
    world.sync().exits(0).wrote(0, 2);
    assert_eq!(world.lines_at("crm"), [format!("GET /contacts?since={}", then.timestamp() - 120)]);
    // Later than the overlap: the full scan.
    world.add_at("crm", &person("d"), then - Duration::seconds(600));
    world.sync().exits(0).wrote(0, 0);
    assert_eq!(names(&world), "a b c");
    world.full_sync().exits(0).wrote(0, 1);
    assert_eq!(names(&world), "a b c d");
    world.is_quiet();
}

#[test]
fn f33_a_change_that_shifting_pages_skipped_is_seen_in_the_overlap_or_else_by_the_full_scan() {
    // The third of four changes is as old as this, in seconds; the overlap is two minutes.
    for (age, seen) in [(40, true), (600, false)] {
        let world = incremental(TimeFormat::Rfc3339Ms, "rfc3339");
        world.at("crm", |crm| {
            let paging = Paging::Offset { offset: "offset".into(), limit: "limit".into() };
            crm.resource_config_mut("/contacts").unwrap().paging = paging;
        });
        let offset = r#"page = { kind = "offset", into = "query.offset", size = { into = "query.limit", value = 2 } }"#;
        world.change_rules("rules.toml", |rules| rules.replace("page = \"none\"", offset));
        let then = now();
        let before = then - Duration::hours(1);
        let ids: Vec<String> =
            ["a", "b", "c", "d"].iter().map(|name| world.add_at("crm", &person(name), before)).collect();
        world.sync().exits(0).wrote(0, 4);
        let ages = [age + 20, age + 10, age, 30];
        for (id, age) in ids.iter().zip(ages) {
            world.edit_at("crm", id, &json!({"phone": "2"}), then - Duration::seconds(age));
        }
        // After the first page its first record goes, and all others move up by one: the third stands on no page.
        let meanwhile = Fault::Meanwhile { resource: "/contacts".into(), removed: ids[0].clone() };
        world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), meanwhile));
        let phone = || world.rows("select phone from contacts where name = 'c'").concat().concat();
        let ran = world.sync().exits(0).report("contacts");
        assert_eq!((&ran["upstreams"][0]["listed"], phone().as_str()), (&json!(3), "1"), "{ran:#}");
        world.sync().exits(0);
        assert_eq!(phone(), if seen { "2" } else { "1" }, "{age} seconds");
        world.full_sync().exits(0);
        assert_eq!(phone(), "2");
        assert_eq!(names(&world), "b c d");
        world.is_quiet();
    }
}

#[test]
fn s39_a_record_without_a_time_of_change_is_taken_and_moves_no_cursor() {
    let world = incremental(TimeFormat::Rfc3339Ms, "rfc3339");
    world.at("crm", |crm| crm.resource_config_mut("/contacts").unwrap().updated_at = None);
    let id = world.add("crm", &person("a"));
    world.sync().exits(0).wrote(0, 1);
    world.forget_requests();
    world.edit("crm", &id, &json!({"phone": "2"}));
    world.sync().exits(0).wrote(0, 1);
    assert_eq!(world.lines_at("crm"), ["GET /contacts"], "without a time nothing can be asked for but everything");
    world.add("crm", &json!({"email": "b@x.io", "name": "b", "updated_at": null}));
    world.sync().exits(0).wrote(0, 1);
    assert_eq!(names(&world), "a b");
    world.is_quiet();
}

#[test]
fn s40_a_record_dated_in_the_future_does_not_hide_what_changes_until_then() {
    // The moment of a request has microseconds; who is asked in seconds gets whole ones.
    for (format, name, units) in [(TimeFormat::UnixMs, "unix_ms", 1000), (TimeFormat::UnixS, "unix_s", 1)] {
        let world = incremental(format, name);
        world.add_at("crm", &person("future"), now() + Duration::days(365));
        world.sync().exits(0).wrote(0, 1);
        world.forget_requests();
        let id = world.add("crm", &person("b"));
        world.sync().exits(0).wrote(0, 1);
        world.edit("crm", &id, &json!({"phone": "2"}));
        world.sync().exits(0).wrote(0, 1);
        for line in world.lines_at("crm") {
            let since: i64 = line.strip_prefix("GET /contacts?since=").unwrap().parse().unwrap();
            assert!(since <= now().timestamp() * units + units, "{line}");
        }
        world.is_quiet();
    }
}

#[test]
fn s61_a_second_daemon_is_turned_away_and_told_who_is_there() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    let mut daemon = world.command();
    daemon.env("RECONCILED__LOG__LEVEL", "info").arg("run").stdin(Stdio::null()).stdout(Stdio::null());
    // Each request of the first is held up: it holds the lock while the second comes.
    let slow = Fault::Slow { delay_ms: 3000, bytes_per_chunk: 0 };
    world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]\n", "[collection.contacts]\nevery = \"1s\"\n")
    });
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow));
    let mut first = daemon.stderr(Stdio::null()).spawn().unwrap();
    // It works as soon as it has asked for something.
    while world.at("crm", |crm| crm.requests().count() == 0) {
        assert_eq!(first.try_wait().unwrap(), None, "it ended before it began");
        std::thread::yield_now();
    }
    let second = world.sync();
    let looking = world.run(&["status"]);
    first.kill().unwrap();
    let pid = first.id();
    first.wait().unwrap();
    let second = second.exits(7);
    assert!(second.stderr.contains(&format!("pid {pid}, since 20")), "{second:#?}");
    assert!(second.stderr.contains("data.db"), "{second:#?}");
    assert_eq!(second.stdout, "");
    // Who only looks is let in, and told that there is more to come.
    assert!(looking.exits(3).stdout.contains("not ended"));
    // A daemon that was killed holds nothing.
    world.sync().exits(0).wrote(0, 0);
}
