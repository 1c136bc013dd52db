//! Who answers at the other end: another account, an upstream that was set back, a gap that is too long.

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Sandbox, Times};
use serde_json::{Value, json};

use crate::world::World;

/// A world whose rules say where an account names itself.
fn with_account(names: &[&str]) -> World {
    let world = World::with_contacts(names, |_, _| {});
    world.without_retries();
    world.settings_of_upstreams("check = { request = \"GET /me\", account = \".account.id\" }");
    world
}

/// What `status` keeps of an upstream.
fn state(world: &World, name: &str) -> Value {
    let status = world.status();
    let found = status["upstreams"].as_array().unwrap().iter().find(|one| one["upstream"] == name).cloned();
    found.unwrap()["state"].clone()
}

#[test]
fn s60_f46_credentials_that_lead_to_another_account_halt_before_anything_is_read_or_written() {
    let world = with_account(&["crm", "erp"]);
    let ann = world.add_ann("crm");
    assert_eq!(state(&world, "crm")["account"], "acct_sandbox");
    world.at("crm", |crm| crm.set_account("acct_other"));
    world.sql("update contacts set phone = '2'");
    let ran = world.sync().exits(5);
    let halt = ran.report("contacts")["halts"][0].clone();
    assert_eq!((&halt["what"], &halt["count"]), (&json!("account"), &json!(1)), "{halt:#}");
    let limit = halt["limit"].as_str().unwrap();
    assert!(limit.contains("acct_sandbox") && limit.contains("acct_other"), "{limit}");
    // It asked who it is, and nothing else; nothing went anywhere.
    assert_eq!(world.lines_at("crm"), ["GET /me"]);
    assert_eq!(world.written("erp"), Vec::<String>::new());
    assert_eq!(world.contact("crm", &ann)["phone"], "1");
    // A person is told, also by `plan`, which stores nothing.
    assert!(world.run(&["plan"]).exits(5).stdout.contains("acct_other"));
    assert!(world.run(&["status"]).exits(5).stdout.contains("account"));
    assert_eq!(state(&world, "crm")["account"], "acct_sandbox");

    // The right credentials again: it goes on as if nothing had been.
    world.at("crm", |crm| crm.set_account("acct_sandbox"));
    world.sync().exits(0).wrote(2, 0);
    assert_eq!(world.status()["halts"], json!([]));
    world.is_quiet();
}

#[test]
fn s60_an_account_that_a_person_approves_is_the_pinned_one_from_then_on() {
    let world = with_account(&["crm"]);
    world.add_ann("crm");
    world.at("crm", |crm| crm.set_account("acct_new"));
    world.sync().exits(5);
    world.approve();
    // Approved was this account and no other.
    world.at("crm", |crm| crm.set_account("acct_third"));
    world.sync().exits(5);
    world.at("crm", |crm| crm.set_account("acct_new"));
    world.sync().exits(5);
    world.approve();
    world.sync().exits(0);
    assert_eq!(state(&world, "crm")["account"], "acct_new");
    world.is_quiet();
}

#[test]
fn s60_an_upstream_that_does_not_say_whose_account_it_is_takes_no_part() {
    let world = with_account(&["crm", "erp"]);
    let ann = world.add_ann("crm");
    let me = || Matcher::exactly(Method::GET, "/me");
    let answers = [Fault::status(500), Fault::status(401), Fault::ErrorBody200 { body: json!({"account": {}}) }];
    for (number, answer) in answers.into_iter().enumerate() {
        world.at("crm", |crm| crm.push_fault_times(me(), answer.clone(), Times::Forever));
        world.sql(&format!("update contacts set phone = '{}'", number + 5));
        world.forget_requests();
        world.sync().exits(6);
        assert_eq!(world.lines_at("crm"), ["GET /me"], "{answer:?}");
        assert_eq!(world.contacts("erp")[0]["phone"], json!((number + 5).to_string()), "nobody else is held up");
        assert_eq!(world.contact("crm", &ann)["phone"], "1");
        world.at("crm", Sandbox::clear_faults);
    }
    world.sync().exits(0);
    assert_eq!(world.contact("crm", &ann)["phone"], "7");
    world.is_quiet();
}

/// Four contacts, of which the upstream was backed up before the last was added and one of the others edited.
fn set_back() -> (World, String) {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    let id = is_set_back(&world);
    (world, id)
}

fn is_set_back(world: &World) -> String {
    let ids: Vec<String> = (1..=3)
        .map(|n| world.add("crm", &json!({"email": format!("p{n}@x.io"), "name": format!("P{n}"), "phone": "1"})))
        .collect();
    world.sync().exits(0);
    let backup = world.at("crm", |crm| crm.clone());
    world.edit("crm", &ids[0], &json!({"phone": "2"}));
    world.add("crm", &json!({"email": "p4@x.io", "name": "P4", "phone": "1"}));
    world.sync().exits(0);
    world.at("crm", |crm| *crm = backup);
    world.forget_requests();
    ids[0].clone()
}

#[test]
fn s59_an_upstream_that_was_set_back_halts_until_a_person_says_which_side_wins() {
    for side in ["crm", "local"] {
        let (world, id) = set_back();
        let ran = world.sync().exits(5);
        let halt = ran.report("contacts")["halts"][0].clone();
        assert_eq!((&halt["what"], &halt["count"]), (&json!("set_back"), &json!(1)), "{halt:#}");
        assert_eq!((world.written("crm"), world.written("erp")), (Vec::new(), Vec::new()));
        assert_eq!(world.rows("select phone from contacts where email = 'p1@x.io'"), [["2"]]);
        assert!(world.run(&["plan"]).exits(5).stdout.contains("set back"));
        let number = world.halt().to_string();
        assert!(world.run(&["status"]).exits(5).stdout.contains(&format!("approve {number} --wins SIDE")));
        // Which side is not guessed.
        assert!(world.run(&["approve", &number]).exits(2).stderr.contains("--wins local"));
        world.run(&["approve", &number, "--wins", "shop"]).exits(2);
        world.sync().exits(5);
        world.run(&["approve", &world.halt().to_string(), "--wins", side]).exits(0);
        world.sync().exits(0);
        let phone = if side == "local" { "2" } else { "1" };
        assert_eq!(world.rows("select phone from contacts where email = 'p1@x.io'"), [[phone]], "{side}");
        assert_eq!(world.contact("crm", &id)["phone"], phone, "{side}");
        // What was made since the backup is made there again, or is gone everywhere.
        let all = if side == "local" { 4 } else { 3 };
        let count = world.rows("select count(*) from contacts");
        assert_eq!(
            (count, world.contacts("crm").len(), world.contacts("erp").len()),
            (vec![vec![all.to_string()]], all, all)
        );
        assert_eq!(world.status()["halts"], json!([]));
        world.is_quiet();
        // What was said was about that time.
        world.edit("crm", &id, &json!({"phone": "3"}));
        world.sync().exits(0);
        assert_eq!(world.contacts("erp").iter().filter(|one| one["phone"] == "3").count(), 1);
    }
}

/// What its owner says of a field is old as well: who said that what is here wins does not want it back.
#[test]
fn s59_what_is_here_wins_over_the_owner_of_a_field_that_was_set_back() {
    for side in ["crm", "local"] {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        world.change_rules("rules.toml", |rules| {
            rules.replace("phone = \"text\"\n", "phone = { type = \"text\", owner = \"crm\" }\n")
        });
        let id = is_set_back(&world);
        world.sync().exits(5);
        world.run(&["approve", &world.halt().to_string(), "--wins", side]).exits(0);
        world.sync().exits(0);
        let phone = if side == "local" { "2" } else { "1" };
        assert_eq!(world.rows("select phone from contacts where email = 'p1@x.io'"), [[phone]], "{side}");
        assert_eq!(world.contact("crm", &id)["phone"], phone, "{side}");
        assert_eq!(
            world.contacts("erp").iter().filter(|one| one["phone"] == "2").count(),
            usize::from(side == "local")
        );
        world.is_quiet();
        // From then on the owner has the word again.
        world.edit("crm", &id, &json!({"phone": "3"}));
        world.sync().exits(0);
        assert_eq!(world.contacts("erp").iter().filter(|one| one["phone"] == "3").count(), 1);
    }
}

#[test]
fn s59_a_record_edited_after_the_upstream_was_set_back_is_older_by_its_version() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| {
        text.replace("\".etag\"", "\".rev\"").replace("{ header = \"If-Match\", value = '\"{version}\"' }", "\"none\"")
    });
    let id = world.put("crm", "/contacts", &json!({"email": "a@x.io", "name": "Ann", "phone": "1", "rev": 3}));
    world.sync().exits(0);
    let backup = world.at("crm", |crm| crm.clone());
    world.edit("crm", &id, &json!({"phone": "2", "rev": 9}));
    world.sync().exits(0);
    world.at("crm", |crm| *crm = backup);
    world.edit("crm", &id, &json!({"name": "Anna", "rev": 4}));
    let ran = world.sync().exits(5);
    assert_eq!(ran.report("contacts")["halts"][0]["what"], "set_back", "{ran:#?}");
    assert_eq!(world.rows("select name, phone from contacts"), [["Ann", "2"]]);
    world.run(&["approve", &world.halt().to_string(), "--wins", "local"]).exits(0);
    world.sync().exits(0);
    let there = world.contact("crm", &id);
    assert_eq!((&there["name"], &there["phone"]), (&json!("Ann"), &json!("2")));
    // What the upstream said meanwhile counts no more, and is not forgotten.
    let lost = world.rows("select field, detail from sync_history where rule = 'set_back' order by field");
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert!(lost[0][1].contains("Anna") && lost[1][1].contains('1'), "{lost:?}");
}

#[test]
fn s59_a_value_that_the_backup_does_not_show_goes_there_again_whoever_wins() {
    for side in ["crm", "local"] {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        let id = world.put("crm", "/contacts", &json!({"email": "a@x.io", "name": "Ann"}));
        world.sync().exits(0);
        let backup = world.at("crm", |crm| crm.clone());
        world.edit("crm", &id, &json!({"phone": "2"}));
        world.sync().exits(0);
        world.at("crm", |crm| *crm = backup);
        assert!(world.contact("crm", &id).get("phone").is_none());
        world.sync().exits(5);
        world.run(&["approve", &world.halt().to_string(), "--wins", side]).exits(0);
        world.sync().exits(0);
        assert_eq!(world.contact("crm", &id)["phone"], "2", "{side}");
        assert_eq!(world.rows("select phone from contacts"), [["2"]]);
        world.is_quiet();
    }
}

#[test]
fn s59_an_upstream_without_a_point_read_is_older_than_its_listing_can_lag() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |text| {
        text.replace("get = { method = \"GET\", path = \"/contacts/{id}\" }\n", "")
            .replace("{ header = \"If-Match\", value = '\"{version}\"' }", "\"none\"")
    });
    let id = world.put("crm", "/contacts", &json!({"email": "a@x.io", "name": "Ann", "phone": "1"}));
    world.sync().exits(0);
    let backup = world.at("crm", |crm| crm.clone());
    world.edit("crm", &id, &json!({"phone": "2"}));
    world.sync().exits(0);
    world.at("crm", |crm| *crm = backup);
    // A listing may lag so far.
    world.sync().exits(0);
    assert_eq!(world.rows("select phone from contacts"), [["2"]]);
    world.sql("update sync_link set observed_at = observed_at - 11 * 60 * 1000000");
    world.sync().exits(5);
    assert_eq!(world.rows("select phone from contacts"), [["2"]]);
    world.run(&["approve", &world.halt().to_string(), "--wins", "crm"]).exits(0);
    world.sync().exits(0);
    assert_eq!(world.rows("select phone from contacts"), [["1"]]);
}

#[test]
fn s59_a_record_that_comes_back_under_the_id_from_before_is_no_second_one() {
    for side in ["crm", "local"] {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        let id = world.put("crm", "/contacts", &json!({"email": "a@x.io", "name": "Ann", "phone": "1"}));
        let other = world.put("crm", "/contacts", &json!({"email": "b@x.io", "name": "Bob", "phone": "1"}));
        world.put("crm", "/contacts", &json!({"email": "c@x.io", "name": "Cy", "phone": "1"}));
        world.sync().exits(0);
        let backup = world.at("crm", |crm| crm.clone());
        // Deleted there, edited here: made there anew.
        world.remove("crm", &id);
        world.sql("update contacts set phone = '7' where email = 'a@x.io'");
        world.edit("crm", &other, &json!({"phone": "2"}));
        world.sync().exits(0);
        assert_eq!(world.contacts("crm").len(), 3);
        world.at("crm", |crm| *crm = backup);
        world.sync().exits(5);
        world.run(&["approve", &world.halt().to_string(), "--wins", side]).exits(0);
        world.sync();
        let emails = ["a@x.io", "b@x.io", "c@x.io"];
        assert_eq!(
            (world.emails("crm"), world.emails("erp")),
            (emails.map(String::from).to_vec(), emails.map(String::from).to_vec())
        );
        assert_eq!(world.rows("select email from contacts order by email"), emails.map(|one| vec![one.to_owned()]));
        let remote = world
            .rows("select l.remote_id from sync_link l join sync_binding b using (binding) where b.upstream = 'crm'");
        assert!(remote.contains(&vec![id.clone()]), "{remote:?}");
    }
}

/// One of two contacts was deleted at its upstream and edited here, so it was made there anew; then that was set back, and somebody
/// edited the record from before, which hides that it is from before.
fn came_back(merge: &str) -> (World, String) {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    let rule = format!("[collection.contacts]\nmerge = {merge}\n");
    world.change_rules("rules.toml", |text| text.replace("[collection.contacts]\n", &rule));
    let id = world.put("crm", "/contacts", &json!({"email": "a@x.io", "name": "Ann", "phone": "1"}));
    world.put("crm", "/contacts", &json!({"email": "c@x.io", "name": "Cy", "phone": "1"}));
    world.sync().exits(0);
    let backup = world.at("crm", |crm| crm.clone());
    world.remove("crm", &id);
    world.sql("update contacts set phone = '7' where email = 'a@x.io'");
    world.sync().exits(0);
    world.at("crm", |crm| *crm = backup);
    world.edit("crm", &id, &json!({"name": "Anna"}));
    world.forget_requests();
    (world, id)
}

#[test]
fn s59_what_a_record_that_came_back_says_is_no_edit_of_the_one_that_was_made_in_its_place() {
    let (world, id) = came_back("[\"manual\"]");
    let ran = world.sync().exits(4);
    assert_eq!(ran.report("contacts")["conflicts_open"], 2, "{ran:#?}");
    assert_eq!(world.rows("select name, phone from contacts where email = 'a@x.io'"), [["Ann", "7"]]);
    assert!(world.contacts("erp").iter().any(|one| one["email"] == "a@x.io" && one["phone"] == "7"));
    assert_eq!((world.contacts("crm").len(), world.contact("crm", &id)["phone"].clone()), (2, json!("1")));
}

#[test]
fn what_came_from_an_upstream_is_no_local_edit_once_its_record_was_made_there_anew() {
    let (world, id) = came_back("[\"latest\", \"manual\"]");
    let from =
        "select origin from sync_origin where field = '' and record = (select id from contacts where name = 'Ann')";
    assert_eq!(world.rows(from), [["crm"]]);
    world.sync().exits(0);
    // What nobody edited here since is no newer than an edit there.
    assert_eq!(
        (world.rows("select name from contacts where email = 'a@x.io'"), world.written("crm").len()),
        (vec![vec!["Anna".to_owned()]], 0)
    );
    assert_eq!(world.contact("crm", &id)["name"], "Anna");
}

#[test]
fn s59_what_is_from_before_is_no_edit_where_a_pass_cannot_tell_that_the_upstream_was_set_back() {
    let newer = json!({"id": "", "etag": "99", "email": "p3@x.io", "name": "P3", "phone": "9"});
    for answer in [Fault::status(500), Fault::ErrorBody200 { body: newer }] {
        let (world, id) = set_back();
        world.without_retries();
        world.sql("update sync_link set observed_at = observed_at - 11 * 60 * 1000000");
        world.sql("update sync_history set at = at - 11 * 60 * 1000000");
        world.forget_requests();
        // Its listing shows it older than it was, and the first who is asked does not confirm that.
        let body = |id: &str| match answer.clone() {
            Fault::ErrorBody200 { mut body } => {
                body["id"] = json!(id);
                Fault::ErrorBody200 { body }
            }
            other => other,
        };
        world.at("crm", |crm| crm.push_fault(Matcher::containing(format!("/contacts/{id}")), body(&id)));
        let ran = world.sync();
        assert_ne!(ran.code, 5, "{ran:#?}");
        assert_eq!(world.rows("select phone from contacts where email = 'p1@x.io'"), [["2"]], "{answer:?}");
        assert_eq!((world.written("crm"), world.written("erp")), (Vec::new(), Vec::new()), "{answer:?}");
        let ran = world.sync().exits(5);
        assert_eq!(ran.report("contacts")["halts"][0]["what"], "set_back", "{ran:#?}");
        assert_eq!(world.rows("select phone from contacts where email = 'p1@x.io'"), [["2"]], "{answer:?}");
    }
}

#[test]
fn s59_a_listing_that_only_lags_halts_nothing() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let id = world.add_ann("crm");
    world.edit("crm", &id, &json!({"phone": "2"}));
    world.sync().exits(0);
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::StaleRead));
    let ran = world.sync();
    assert_ne!(ran.code, 5, "{ran:#?}");
    world.sync().exits(0);
    assert_eq!(world.contact("crm", &id)["phone"], "2");
    world.is_quiet();
}

#[test]
fn s59_what_was_deleted_here_does_not_come_back_by_a_listing_that_lags_whoever_wins() {
    for side in ["crm", "local"] {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        let id = world.add_ann("crm");
        world.add("crm", &json!({"email": "b@x.io", "name": "Bob", "phone": "1"}));
        world.add("crm", &json!({"email": "c@x.io", "name": "Cy", "phone": "1"}));
        world.sync().exits(0);
        world.sql("delete from contacts where name = 'Bob'");
        world.sync().exits(0);
        let backup = world.at("crm", |crm| crm.clone());
        world.edit("crm", &id, &json!({"phone": "2"}));
        world.sync().exits(0);
        world.at("crm", |crm| *crm = backup);
        world.sync().exits(5);
        world.run(&["approve", &world.halt().to_string(), "--wins", side]).exits(0);
        // It shows what was there before the delete.
        world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::StaleRead));
        world.sync();
        assert_eq!(world.rows("select name from contacts order by name"), [["Ann"], ["Cy"]], "{side}");
        assert_eq!((world.contacts("crm").len(), world.contacts("erp").len()), (2, 2), "{side}");
        world.sync().exits(0);
        world.is_quiet();
    }
}

#[test]
fn s59_what_a_person_said_waits_for_the_pass_that_can_tell_that_the_upstream_was_set_back() {
    for upstream_is_down in [false, true] {
        let (world, id) = set_back();
        world.without_retries();
        world.sql("update sync_link set observed_at = observed_at - 11 * 60 * 1000000");
        world.sql("update sync_history set at = at - 11 * 60 * 1000000");
        world.sync().exits(5);
        world.run(&["approve", &world.halt().to_string(), "--wins", "local"]).exits(0);
        let path = if upstream_is_down { "/contacts".to_owned() } else { format!("/contacts/{id}") };
        world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, &path), Fault::status(500)));
        world.forget_requests();
        world.sync();
        assert_eq!(world.rows("select phone from contacts where email = 'p1@x.io'"), [["2"]], "what is old is no edit");
        assert_eq!((world.written("crm"), world.written("erp")), (Vec::new(), Vec::new()));
        // Nobody is asked twice.
        world.sync().exits(0);
        assert_eq!(world.contact("crm", &id)["phone"], "2");
        assert_eq!(world.contacts("crm").len(), 4);
        world.is_quiet();
    }
}

#[test]
fn s59_what_is_missing_in_a_backup_nobody_deleted_whatever_happens_to_deletes() {
    let removal = ["propagate", "detach", "restore", "queue"];
    for rule in removal.iter().flat_map(|gone| ["update_wins", "delete_wins", "manual"].map(|edited| (gone, edited))) {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        let (gone, edited) = rule;
        let rules = format!("on_remote_delete = \"{gone}\"\nupdate_vs_delete = \"{edited}\"\n");
        world.change_rules("rules.toml", |text| text.replace("on_remote_delete = \"propagate\"\n", &rules));
        is_set_back(&world);
        world.sync().exits(5);
        world.run(&["approve", &world.halt().to_string(), "--wins", "local"]).exits(0);
        world.sync().exits(0);
        let everywhere = (world.contacts("crm").len(), world.contacts("erp").len());
        assert_eq!(
            (everywhere, world.rows("select count(*) from contacts").concat()),
            ((4, 4), vec!["4".to_owned()]),
            "{rule:?}"
        );
        world.is_quiet();
    }
}
