//! Creates and identity.

use http::Method;
use reconciled::sandbox::{Fault, Idempotency, Matcher, Place, Sandbox, Times};
use serde_json::{Value, json};

use crate::world::World;

fn post() -> Matcher {
    Matcher::exactly(Method::POST, "/contacts")
}

#[test]
fn s01_a_timed_out_create_is_adopted_not_repeated() {
    let ways = [
        (r#"{ match = "email" }"#, 1),
        (r#"{ field = ".reference" }"#, 1),
        // The same key again is no second create.
        (r#"{ header = "Idempotency-Key" }"#, 2),
    ];
    for (way, posts) in ways {
        let world = World::with_contacts(&["crm"], |_, resource| resource.idempotency = Some(Idempotency::default()));
        world.change_rules("rules.toml", |text| text.replace(r#"{ match = "email" }"#, way));
        world.sync().exits(0);
        world.sql("insert into contacts (email, name) values ('ann@x.io', 'Ann')");
        world.at("crm", |crm| crm.push_fault(post(), Fault::LostResponseAfterCommit));
        let ran = world.sync().exits(0);
        assert_eq!(ran.writes(), (1, 0), "{way}");
        assert_eq!((world.emails("crm").join(" "), world.posts("crm")), ("ann@x.io".into(), posts), "{way}");
        world.is_settled();
    }
}

#[test]
fn s01_a_refused_repeat_of_a_timed_out_create_proves_nothing_of_the_first_time() {
    let world = World::with_contacts(&["crm"], |_, resource| resource.idempotency = Some(Idempotency::default()));
    world.without_retries();
    world
        .change_rules("rules.toml", |text| text.replace(r#"{ match = "email" }"#, r#"{ header = "Idempotency-Key" }"#));
    world.sync().exits(0);
    world.sql("insert into contacts (email, name) values ('ann@x.io', 'Ann')");
    // The answer is lost; the repeat under the same key is turned away at the door.
    world.at("crm", |crm| crm.push_fault(post(), Fault::LostResponseAfterCommit));
    world.at("crm", |crm| crm.push_fault(post(), Fault::status(401)));
    world.sync().exits(6);
    assert_eq!(world.posts("crm"), 2);
    let told = world.rows("select state, note from sync_intent");
    assert!(told[0][0] == "unknown" && !told[0][1].contains("401"), "it says what the first attempt met: {told:?}");
    // Under its key it is sent as it was, whatever the row says by now.
    world.sql("update contacts set email = 'bea@x.io', name = 'Bea'");
    world.sync().exits(0);
    assert_eq!(world.emails("crm"), ["bea@x.io"]);
    assert_eq!(world.rows("select count(*) from contacts"), [["1"]]);
    world.is_settled();
}

#[test]
fn s01_a_timed_out_create_without_a_lookup_is_found_by_the_next_listing() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| text.replace("idempotency = { match = \"email\" }\n", ""));
    world.sync().exits(0);
    world.sql("insert into contacts (email, name) values ('ann@x.io', 'Ann')");
    world.at("crm", |crm| crm.push_fault(post(), Fault::LostResponseAfterCommit));
    world.sync().exits(6);
    assert_eq!(world.status()["collections"][0]["writes_waiting"], 1);
    world.sync().exits(0);
    assert_eq!((world.emails("crm").join(" "), world.posts("crm")), ("ann@x.io".into(), 1));
    world.is_settled();
}

#[test]
fn s01_a_lost_create_is_known_by_what_was_sent_when_the_row_says_something_else_or_is_gone() {
    let edits =
        [("update contacts set email = 'bea@x.io', name = 'Bea'", vec!["bea@x.io"]), ("delete from contacts", vec![])];
    for (edit, left) in edits {
        let world = World::with_contacts(&["crm"], |_, _| {});
        world.change_rules("rules.toml", |text| text.replace("idempotency = { match = \"email\" }\n", ""));
        world.sync().exits(0);
        world.sql("insert into contacts (email, name) values ('ann@x.io', 'Ann')");
        world.at("crm", |crm| crm.push_fault(post(), Fault::LostResponseAfterCommit));
        world.sync().exits(6);
        world.sql(edit);
        world.sync().exits(0);
        assert_eq!(
            (world.emails("crm"), world.posts("crm")),
            (left.iter().map(ToString::to_string).collect(), 1),
            "{edit}"
        );
        assert_eq!(world.rows("select email from contacts").len(), left.len(), "{edit}");
        assert_eq!(world.rows("select count(*) from sync_conflict"), [["0"]], "{edit}");
        world.is_settled();
    }
}

#[test]
fn s01_a_lost_create_that_no_evidence_tells_of_is_settled_by_a_person() {
    let lost = || {
        let world = World::with_contacts(&["crm"], |_, _| {});
        world.change_rules("rules.toml", |text| {
            text.replace("idempotency = { match = \"email\" }\n", "").replace("match = { keys = [[\"email\"]] }\n", "")
        });
        world.sync().exits(0);
        world.sql("insert into contacts (id, email, name) values ('r1', 'ann@x.io', 'Ann')");
        world
    };
    let world = lost();
    world.at("crm", |crm| crm.push_fault(post(), Fault::LostResponseAfterCommit));
    world.sync().exits(6);
    let told = world.run(&["status"]);
    assert!(told.stdout.contains("reconciled settle r1 crm"), "{told:#?}");
    let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    world.run(&["settle", "r1", "erp", "--not-made"]).exits(1);
    world.run(&["settle", "r1", "crm", "--made", &id]).exits(0);
    world.sync().exits(0);
    assert_eq!((world.contacts("crm").len(), world.rows("select id from contacts").len()), (1, 1));
    world.is_quiet();

    let world = lost();
    world.at("crm", |crm| crm.push_fault(post(), Fault::LostRequestBeforeCommit));
    world.sync().exits(6);
    world.sync().exits(3);
    assert_eq!(world.posts("crm"), 1, "nothing is sent again on a guess");
    world.run(&["settle", "r1", "crm", "--not-made"]).exits(0);
    world.sync().exits(0);
    assert_eq!(world.emails("crm"), ["ann@x.io"]);
    world.is_quiet();
}

#[test]
fn s03_a_crash_after_the_create_adopts_what_was_created() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.sync().exits(0);
    world.sql("insert into contacts (email, name) values ('ann@x.io', 'Ann')");
    world.at("crm", |crm| crm.push_fault(post(), Fault::Slow { delay_ms: 60_000, bytes_per_chunk: 0 }));
    assert!(world.kill_when(|world| world.posts("crm") == 1));
    assert_eq!(world.rows("select state from sync_intent"), [["sent"]]);
    assert_eq!(world.rows("select count(*) from sync_link"), [["0"]]);
    world.sync().exits(0);
    assert_eq!((world.emails("crm").join(" "), world.posts("crm")), ("ann@x.io".into(), 1));
    assert_eq!(world.rows("select count(*) from sync_link"), [["1"]]);
    world.is_settled();
}

#[test]
fn s04_what_was_created_on_both_sides_is_one_record() {
    // Before anything was ever read there, and later.
    for read_before in [false, true] {
        let world = World::with_contacts(&["crm"], |_, _| {});
        world.without_retries();
        if !read_before {
            let list = Matcher::exactly(Method::GET, "/contacts");
            world.at("crm", |crm| crm.push_fault(list, Fault::status(500)));
        }
        world.sync().exits(if read_before { 0 } else { 6 });
        world.put("crm", "/contacts", &json!({"email": "Ann@X.io", "phone": "1"}));
        world.sql("insert into contacts (email, name) values ('ann@x.io', 'Ann')");
        world.sync().exits(0);
        assert_eq!(world.rows("select email, name, phone from contacts"), [["ann@x.io", "Ann", "1"]]);
        let there = world.contacts("crm");
        assert_eq!((there.len(), &there[0]["name"], &there[0]["phone"]), (1, &json!("Ann"), &json!("1")));
        assert_eq!(world.posts("crm"), 0);
        // Nobody's spelling is changed where it means the same.
        assert_eq!(there[0]["email"], "Ann@X.io");
        world.is_settled();
    }
}

#[test]
fn s05_a_key_that_fits_two_local_records_is_queued_and_nothing_is_created() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.sync().exits(0);
    world.sql("insert into contacts (id, email, name) values ('a', 'ann@x.io', 'A'), ('b', 'ann@x.io', 'B')");
    world.put("crm", "/contacts", &json!({"email": "ann@x.io", "name": "Ann"}));
    let ran = world.sync().exits(4);
    assert_eq!(ran.writes(), (0, 0), "{ran:#?}");
    let aside = world.aside();
    assert_eq!((aside.len(), aside[0].1.as_str()), (1, "match"), "{aside:?}");
    assert!(aside[0].2.contains("matches 2 local records (a, b)"), "{aside:?}");
    assert_eq!(world.rows("select count(*) from sync_link"), [["0"]]);
    assert_eq!(world.posts("crm"), 0);
    world.sync().exits(4);
    assert_eq!(world.posts("crm"), 0);
    // A person decides.
    world.sql("update contacts set email = 'bob@x.io' where id = 'b'");
    world.sync().exits(0);
    assert_eq!(world.emails("crm"), ["ann@x.io", "bob@x.io"]);
    assert_eq!(world.rows("select count(*) from contacts"), [["2"]]);
    assert_eq!(world.aside(), []);
    world.is_settled();
}

#[test]
fn s05_two_strangers_that_fit_one_local_record_are_both_queued() {
    for read_before in [false, true] {
        let world = World::with_contacts(&["crm"], |_, _| {});
        world.without_retries();
        if !read_before {
            let list = Matcher::exactly(Method::GET, "/contacts");
            world.at("crm", |crm| crm.push_fault(list, Fault::status(500)));
        }
        world.sync().exits(if read_before { 0 } else { 6 });
        world.sql("insert into contacts (id, email, name) values ('a', 'ann@x.io', 'A')");
        let ids: Vec<String> = ["x", "y", "z"]
            .iter()
            .map(|n| world.put("crm", "/contacts", &json!({"email": "ann@x.io", "name": n})))
            .collect();
        let ran = world.sync().exits(4);
        assert_eq!(ran.writes(), (0, 0), "{ran:#?}");
        assert_eq!(world.aside().len(), 3);
        assert_eq!(world.rows("select count(*) from contacts"), [["1"]]);
        world.remove("crm", &ids[0]);
        world.sync().exits(4);
        world.edit("crm", &ids[1], &json!({"email": "other@x.io"}));
        world.sync().exits(0);
        assert_eq!(world.rows("select email from contacts order by email"), [["ann@x.io"], ["other@x.io"]]);
        assert_eq!(world.rows("select remote_id from sync_link where record = 'a'"), [[ids[2].as_str()]]);
        assert_eq!((world.posts("crm"), world.aside().len()), (0, 0));
        world.is_settled();
    }
}

#[test]
fn s06_empty_keys_and_placeholders_never_match() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.sync().exits(0);
    let keys = ["", " ", "n/a", "none", "Unknown", "-"];
    for key in keys {
        world.sql(&format!("insert into contacts (email, name) values ('{key}', 'here')"));
        world.put("crm", "/contacts", &json!({"email": key, "name": "there"}));
    }
    world.sql("insert into contacts (name) values ('here')");
    world.put("crm", "/contacts", &json!({"email": null, "name": "there"}));
    world.sync().exits(0);
    let each = (keys.len() + 1).to_string();
    let rows = world.rows("select name, count(*) from contacts group by name order by name");
    assert_eq!(rows, [["here", each.as_str()], ["there", each.as_str()]]);
    assert_eq!(world.contacts("crm").len(), 2 * (keys.len() + 1));
    world.is_settled();
}

#[test]
fn s07_keys_are_compared_without_case_unicode_form_and_white_space() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world
        .change_rules("rules.toml", |text| text.replace(r#"["trim", "lowercase"]"#, r#"["trim", "lowercase", "nfc"]"#));
    world.sync().exits(0);
    // Composed here, decomposed there.
    world.sql("insert into contacts (email) values ('jos\u{e9}@x.io')");
    world.put("crm", "/contacts", &json!({"email": "  JOSE\u{301}@X.io "}));
    let ran = world.sync().exits(0);
    assert_eq!(ran.writes().0, 0, "{ran:#?}");
    assert_eq!((world.rows("select email from contacts").len(), world.contacts("crm").len()), (1, 1));
    world.is_settled();
}

#[test]
fn s08_the_link_decides_when_the_key_is_edited_later() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let ann = world.put("crm", "/contacts", &json!({"email": "ann@x.io", "name": "Ann"}));
    let bob = world.put("crm", "/contacts", &json!({"email": "bob@x.io", "name": "Bob"}));
    world.sync().exits(0);
    let links = world.rows("select record, remote_id from sync_link order by remote_id");
    // They take each other's address, one there and one here.
    world.edit("crm", &ann, &json!({"email": "bob@x.io"}));
    world.sql("update contacts set email = 'ann@x.io' where name = 'Bob'");
    world.sync().exits(0);
    assert_eq!(world.rows("select record, remote_id from sync_link order by remote_id"), links);
    assert_eq!(
        world.rows("select name, email from contacts order by name"),
        [["Ann", "bob@x.io"], ["Bob", "ann@x.io"]]
    );
    let there = |id: &str| world.at("crm", |crm| crm.get("/contacts", id)).unwrap()["email"].clone();
    assert_eq!((there(&ann), there(&bob)), (json!("bob@x.io"), json!("ann@x.io")));
    assert_eq!(world.posts("crm"), 0);
    world.is_settled();
}

#[test]
fn s09_a_remote_id_that_is_given_to_something_else_is_untied_and_a_person_is_asked() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |text| {
        text.replace("[binding.contacts.crm]\n", "[binding.contacts.crm]\ncreated_at = \".created\"\n")
    });
    let old = json!({"email": "ann@x.io", "name": "Ann", "phone": "1", "created": "2024-01-01T00:00:00Z"});
    let id = world.add("crm", &old);
    world.add("crm", &json!({"email": "zoe@x.io", "name": "Zoe", "phone": "1", "created": "2024-01-01T00:00:00Z"}));
    world.sync().exits(0);
    // The same instant in another spelling is the same record.
    world.edit("crm", &id, &json!({"created": "2024-01-01T00:00:00.000+00:00", "phone": "2"}));
    world.sync().exits(0);
    let new = json!({"email": "bob@x.io", "name": "Bob", "phone": "9", "created": "2026-01-01T00:00:00Z"});
    world.edit("crm", &id, &new);
    world.sync().exits(4);
    let names = [["ann@x.io", "Ann", "2"], ["bob@x.io", "Bob", "9"], ["zoe@x.io", "Zoe", "1"]];
    assert_eq!(
        world.rows("select email, name, phone from contacts order by email"),
        names,
        "nobody became somebody else"
    );
    assert_eq!(world.contact("crm", &id)["name"], "Bob");
    assert_eq!(world.emails("erp"), ["ann@x.io", "bob@x.io", "zoe@x.io"]);
    let conflicts: Value = serde_json::from_str(&world.run(&["--json", "conflicts"]).stdout).unwrap();
    assert_eq!(conflicts["conflicts"].as_array().unwrap().len(), 1, "{conflicts:#}");
    world.sync().exits(4).wrote(0, 0);
    let number = conflicts["conflicts"][0]["id"].to_string();
    world.run(&["resolve", &number, "--keep"]).exits(0);
    world.sync().exits(0);
    assert_eq!(world.emails("crm"), ["ann@x.io", "bob@x.io", "zoe@x.io"], "Ann is made anew there");
    world.is_quiet();
}

#[test]
fn s10_two_local_records_never_share_a_remote_one() {
    let world = World::with_contacts(&["crm"], |_, resource| resource.unique = vec!["email".into()]);
    world.put("crm", "/contacts", &json!({"email": "ann@x.io", "name": "Ann"}));
    world.sync().exits(0);
    world.sql("insert into contacts (id, email, name) values ('twin', 'ann@x.io', 'Ann')");
    world.sync().exits(4);
    let aside = world.aside();
    assert_eq!((aside.len(), aside[0].0.as_str()), (1, "crm"), "{aside:?}");
    assert!(aside[0].2.contains("two records here would be one there"), "{aside:?}");
    assert_eq!(world.rows("select count(*) from sync_link where record = 'twin'"), [["0"]]);
    // It is not tried again until something changes.
    world.sync().exits(4);
    assert_eq!((world.posts("crm"), world.contacts("crm").len()), (1, 1));
    world.sql("update contacts set email = 'twin@x.io' where id = 'twin'");
    world.sync().exits(0);
    assert_eq!(world.emails("crm"), ["ann@x.io", "twin@x.io"]);
    assert_eq!(world.aside(), []);
    world.is_settled();
}

#[test]
fn s13_a_row_without_an_id_gets_one_and_is_created_once() {
    let world = World::with_contacts(&["crm", "shop"], |_, _| {});
    world.sync().exits(0);
    world.sql("insert into contacts (email, name) values ('ann@x.io', 'Ann')");
    world.sql("insert into contacts (id, email, name) values (null, 'bob@x.io', 'Bob')");
    let ran = world.sync().exits(0);
    assert_eq!(ran.writes(), (4, 0), "{ran:#?}");
    let ids = world.rows("select id from contacts");
    assert!(ids[0][0].len() > 10 && ids[0] != ids[1], "{ids:?}");
    for upstream in ["crm", "shop"] {
        assert_eq!((world.emails(upstream).join(" "), world.posts(upstream)), ("ann@x.io bob@x.io".into(), 2));
    }
    world.is_settled();
}

#[test]
fn an_upstream_that_cannot_be_reached_holds_up_nobody_else() {
    let mut world = World::with_contacts(&["crm", "shop"], |_, _| {});
    world.without_retries();
    world.put("crm", "/contacts", &json!({"email": "ann@x.io", "name": "Ann"}));
    world.sync().exits(0);
    let down = Matcher { method: None, place: Place::Anywhere, nth: 1 };
    world.at("shop", |shop| shop.push_fault_times(down, Fault::status(503), Times::Forever));
    world.sql("update contacts set name = 'Anna'");
    let ran = world.sync().exits(6);
    let report = ran.report("contacts");
    assert_eq!(world.contacts("crm")[0]["name"], "Anna", "{report:#}");
    assert!(report["upstreams"][1]["error"].as_str().unwrap().contains("503"), "{report:#}");
    assert_eq!(world.contacts("shop")[0]["name"], "Ann");
    world.at("shop", Sandbox::clear_faults);
    world.sync().exits(0);
    assert_eq!(world.contacts("shop")[0]["name"], "Anna");
    world.is_settled();
    world.sql("update contacts set name = 'Ann'");
    world.kill("shop");
    // Its variable is gone with it; the rules still want one.
    let mut command = world.command();
    let output =
        command.env("RECONCILED__VARS__SHOP_URL", "http://127.0.0.1:9").args(["run", "--once"]).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(world.contacts("crm")[0]["name"], "Ann");
}

/// A create that got no answer, at an upstream whose listing may lag for so long.
fn lost(lag: &str, landed: bool) -> World {
    lost_of(lag, landed, true)
}

/// The same; what became of it is found by a lookup, or by what the listing shows.
fn lost_of(lag: &str, landed: bool, lookup: bool) -> World {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.without_retries();
    if !lookup {
        world.change_rules("rules.toml", |text| text.replace("idempotency = { match = \"email\" }\n", ""));
    }
    world.change_rules("rules.toml", |text| {
        text.replace("page = \"none\"", &format!("page = \"none\"\nlag = \"{lag}\""))
    });
    world.sync().exits(0);
    world.sql("insert into contacts (id, email, name) values ('r1', 'ann@x.io', 'Ann')");
    let fault = if landed { Fault::LostResponseAfterCommit } else { Fault::LostRequestBeforeCommit };
    world.at("crm", |crm| {
        crm.push_fault(post(), fault);
        // What was written last is not listed yet.
        let list = Matcher::exactly(Method::GET, "/contacts");
        crm.push_fault_times(
            list,
            if landed { Fault::StaleRead } else { Fault::Slow { delay_ms: 0, bytes_per_chunk: 0 } },
            Times::Forever,
        );
    });
    world.sync().exits(6);
    world
}

/// As if the create had been sent so much earlier.
fn minutes_pass(world: &World, minutes: i64) {
    world.sql(&format!("update sync_intent set sent_at = sent_at - {minutes} * 60000000"));
}

#[test]
fn s02_a_create_stays_unknown_while_the_lookup_may_lag_and_is_adopted_once_it_shows() {
    let world = lost("5m", true);
    for _ in 0..3 {
        world.sync().exits(3);
        assert_eq!(
            (world.posts("crm"), world.status()["collections"][0]["unknown"][0]["op"].clone()),
            (1, json!("create"))
        );
    }
    minutes_pass(&world, 4);
    world.sync().exits(3);
    world.at("crm", Sandbox::clear_faults);
    world.sync().exits(0);
    assert_eq!((world.posts("crm"), world.emails("crm")), (1, vec!["ann@x.io".to_owned()]));
    world.is_settled();
}

#[test]
fn s02_a_create_that_never_shows_is_sent_again_after_the_lag_has_passed() {
    let world = lost("5m", false);
    minutes_pass(&world, 4);
    world.sync().exits(3);
    assert_eq!(world.posts("crm"), 1, "it may show yet");
    minutes_pass(&world, 2);
    world.sync();
    world.sync().exits(0);
    assert_eq!((world.posts("crm"), world.emails("crm")), (2, vec!["ann@x.io".to_owned()]));
    world.is_settled();
}

/// A summary in place of records, or an upstream that left the field away: that a key is not found there proves nothing, whether
/// it is looked up or the listing tells.
#[test]
fn s02_a_create_is_not_sent_again_where_what_is_listed_shows_no_match_key_at_all() {
    for lookup in [true, false] {
        for others in [true, false] {
            let world = World::with_contacts(&["crm"], |_, _| {});
            world.without_retries();
            if !lookup {
                world.change_rules("rules.toml", |text| text.replace("idempotency = { match = \"email\" }\n", ""));
            }
            if others {
                world.add("crm", &json!({"email": "bob@x.io", "name": "Bob"}));
            }
            world.sync().exits(0);
            world.sql("insert into contacts (id, email, name) values ('r1', 'ann@x.io', 'Ann')");
            world.at("crm", |crm| {
                crm.push_fault(post(), Fault::LostResponseAfterCommit);
                let keyless = |one: Value| json!({"id": one["id"], "etag": one["etag"], "phone": "5"});
                let mut results: Vec<Value> = crm.all("/contacts").into_iter().map(keyless).collect();
                results.push(json!({"id": "77", "etag": "1", "phone": "5"}));
                let list = Matcher::exactly(Method::GET, "/contacts");
                crm.push_fault_times(list, Fault::ErrorBody200 { body: json!({ "results": results }) }, Times::Forever);
            });
            world.sync();
            minutes_pass(&world, 60);
            for _ in 0..3 {
                world.sync();
            }
            let waits = world.rows("select state from sync_intent where record = 'r1'");
            assert_eq!((world.posts("crm"), waits), (1, vec![vec!["unknown".to_owned()]]), "{lookup} {others}");
        }
    }
}

#[test]
fn s02_a_create_is_never_sent_again_after_one_look_alone() {
    for lookup in [true, false] {
        let world = lost_of("5m", false, lookup);
        // As after a crash: nobody has looked since it was sent, and that is long ago.
        world.sql("update sync_intent set checks = 0");
        minutes_pass(&world, 60);
        world.sync().exits(3);
        let checks = world.rows("select checks from sync_intent");
        assert_eq!((world.posts("crm"), checks), (1, vec![vec!["1".to_owned()]]), "{lookup}");
        world.sync().exits(0);
        assert_eq!(world.posts("crm"), 2, "{lookup}");
        world.is_settled();
    }
}

#[test]
fn s02_a_create_that_several_records_may_be_is_queued() {
    let world = lost("5m", true);
    let twin = world.put("crm", "/contacts", &json!({"email": "ann@x.io", "name": "Twin"}));
    world.at("crm", Sandbox::clear_faults);
    minutes_pass(&world, 60);
    for _ in 0..2 {
        world.sync().exits(4);
        let aside = world.aside();
        let ours = aside.iter().find(|(_, stage, reason)| stage == "match" && reason.contains("settle r1 crm --made"));
        assert!(ours.is_some_and(|(.., reason)| reason.contains(&twin)), "{aside:?}");
        assert_eq!((world.posts("crm"), world.rows("select count(*) from contacts")), (1, vec![vec!["1".to_owned()]]));
    }
    let ours =
        world.contacts("crm").iter().find(|one| one["name"] == "Ann").unwrap()["id"].as_str().unwrap().to_owned();
    world.run(&["settle", "r1", "crm", "--made", &ours]).exits(0);
    world.sync();
    world.sync();
    assert_eq!(world.rows("select remote_id from sync_link where record = 'r1'"), [[ours]]);
    assert_eq!(world.posts("crm"), 1);
}

#[test]
fn s12_a_create_that_is_answered_by_a_record_that_existed_is_adopted_and_merged() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.sync().exits(0);
    let old = json!({"email": "ann@x.io", "name": "Theirs", "phone": "9"});
    let id = world.add_at("crm", &old, super::tools::now() - chrono::TimeDelta::hours(1));
    let existing = world.contact("crm", &id);
    world.at("crm", |crm| {
        // The listing of this pass does not show it yet, and the upstream answers with what it has.
        crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::StaleRead);
        crm.push_fault(post(), Fault::ErrorBody200 { body: existing });
    });
    world.sql("insert into contacts (id, email, name) values ('r1', 'ann@x.io', 'Mine')");
    world.sync().exits(0);
    assert_eq!(world.rows("select remote_id from sync_link where record = 'r1'"), [[id.as_str()]]);
    // The later edit is the local one; what nobody said here came from there. Neither side was silently taken for the other.
    assert_eq!(world.rows("select name, phone from contacts"), [["Mine", "9"]]);
    assert_eq!((&world.contact("crm", &id)["name"], world.contacts("crm").len()), (&json!("Mine"), 1));
    assert_eq!(world.posts("crm"), 1);
    world.is_settled();
}

#[test]
fn s04_what_is_listed_of_a_record_whose_deletion_still_waits_is_that_record() {
    // What a second upstream shows of it too late: the same again, or something that nobody else knows.
    let same = json!({"email": "ann@x.io", "name": "Ann"});
    let more = json!({"email": "ann@x.io", "name": "Ann", "phone": "2"});
    let cases = [(&same, "update_wins", 0), (&more, "update_wins", 1), (&more, "delete_wins", 0), (&more, "manual", 1)];
    for (shown, wins, left) in cases {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        world.without_retries();
        world.change_rules("rules.toml", |text| {
            text.replace("[collection.contacts]\n", &format!("[collection.contacts]\nupdate_vs_delete = \"{wins}\"\n"))
        });
        world.sync().exits(0);
        world.put("crm", "/contacts", &same);
        world.put("erp", "/contacts", shown);
        world.at("erp", |erp| erp.push_fault_times(Matcher::any(), Fault::status(503), Times::Forever));
        world.sync().exits(6);
        world.sql("delete from contacts");
        world.at("crm", |crm| {
            crm.push_fault_times(Matcher::exactly(Method::GET, "/contacts"), Fault::status(503), Times::Forever)
        });
        world.at("erp", Sandbox::clear_faults);
        world.sync().exits(6);
        world.at("crm", Sandbox::clear_faults);
        let code = if wins == "manual" { 4 } else { 0 };
        world.sync().exits(code);
        let rows = world.rows("select phone from contacts");
        let told = format!("{shown} {wins}: {:?}", world.contacts("erp"));
        assert_eq!((world.contacts("crm").len(), world.contacts("erp").len()), (left, left), "{told}");
        assert_eq!((world.posts("crm"), world.posts("erp")), (0, 0), "{told}");
        assert_eq!(rows.len(), usize::from(left == 1 && code == 0), "{told}");
        if code == 4 {
            let number = world.rows("select id from sync_conflict").concat().concat();
            world.run(&["resolve", &number, "--keep"]).exits(0);
            world.sync().exits(0);
            assert_eq!((world.contacts("crm").len(), world.contacts("erp").len()), (1, 1), "{told}");
        }
        assert_eq!(world.rows("select count(*) from sync_match").concat(), [left.to_string()], "{told}");
        world.is_settled();
    }
}
