//! Deletes, absence, guards.

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Paging, Sandbox, Times};
use serde_json::json;

use crate::world::World;

fn listing() -> Matcher {
    Matcher::exactly(Method::GET, "/contacts")
}

/// So many contacts at one upstream, linked.
fn linked(count: usize) -> (World, Vec<String>) {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.without_retries();
    let ids = (1..=count)
        .map(|n| world.put("crm", "/contacts", &json!({"email": format!("p{n}@x.io"), "name": format!("P{n}")})))
        .collect();
    world.sync().exits(0);
    world.at("crm", Sandbox::reset_stats);
    (world, ids)
}

fn rows(world: &World) -> usize {
    world.rows("select id from contacts").len()
}

#[test]
fn s14_an_edit_wins_over_a_delete_on_the_other_side() {
    let (world, ids) = linked(4);
    // Deleted there and edited here; edited there and deleted here.
    world.remove("crm", &ids[0]);
    world.sql("update contacts set phone = '7' where email = 'p1@x.io'");
    world.edit("crm", &ids[1], &json!({"phone": "8"}));
    world.sql("delete from contacts where email = 'p2@x.io'");
    world.sync().exits(0);
    let here = world.rows("select email, phone from contacts where phone is not null order by email");
    assert_eq!(here, [["p1@x.io", "7"], ["p2@x.io", "8"]]);
    assert_eq!(world.emails("crm"), ["p1@x.io", "p2@x.io", "p3@x.io", "p4@x.io"]);
    let again = world.contacts("crm").into_iter().find(|one| one["email"] == "p1@x.io").unwrap();
    assert_eq!(again["phone"], "7");
    assert_ne!(again["id"], json!(ids[0]));
    world.is_settled();
}

#[test]
fn s14_what_was_deleted_and_made_anew_there_between_two_passes_stays_one_record() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    let id = world.put("crm", "/contacts", &json!({"email": "a@x.io", "name": "Ann", "phone": "1"}));
    world.put("crm", "/contacts", &json!({"email": "b@x.io", "name": "Bob"}));
    world.sync().exits(0);
    let before = world.rows("select id from contacts where email = 'a@x.io'");
    world.remove("crm", &id);
    let again = world.put("crm", "/contacts", &json!({"email": "A@x.io", "name": "Ann", "phone": "5"}));
    world.forget_requests();
    world.sync().exits(0);
    // It is nobody's delete: elsewhere it is edited.
    assert_eq!(world.rows("select id from contacts where email = 'a@x.io'"), before);
    let written = world.written("erp");
    assert!(written.len() == 1 && written[0].starts_with("PATCH"), "{written:?}");
    assert_eq!(world.rows("select phone from contacts where email = 'a@x.io'"), [["5"]]);
    let links = world.rows(
        "select l.remote_id from sync_link l join sync_binding b using (binding) where b.upstream = 'crm' and l.state = 0",
    );
    assert!(links.contains(&vec![again]) && !links.contains(&vec![id]), "{links:?}");
    assert_eq!(world.rows("select rule from sync_history where rule = 'replaced'").len(), 1);
    world.is_quiet();
}

#[test]
fn s14_what_was_deleted_and_created_anew_there_is_linked_anew() {
    let (world, ids) = linked(4);
    world.change_rules("rules.toml", |text| text.replace("\"propagate\"", "\"queue\""));
    world.remove("crm", &ids[0]);
    world.sync().exits(4);
    let id = world.put("crm", "/contacts", &json!({"email": "p1@x.io", "name": "P1", "phone": "5"}));
    world.sync().exits(0);
    assert_eq!(world.rows("select email, phone from contacts where phone is not null"), [["p1@x.io", "5"]]);
    assert_eq!((rows(&world), world.posts("crm")), (4, 0));
    let record = world.rows("select id from contacts where email = 'p1@x.io'").concat().concat();
    let links = world
        .rows(&format!("select remote_id, state from sync_link where record = unhex(replace('{record}', '-', ''))"));
    assert_eq!(links, [[id.as_str(), "0"]]);
    world.is_settled();
    world.sql("update contacts set phone = '6' where email = 'p1@x.io'");
    world.sync().exits(0);
    assert_eq!(world.at("crm", |crm| crm.get("/contacts", &id)).unwrap()["phone"], "6");
    world.is_settled();
}

#[test]
fn s15_what_is_deleted_on_both_sides_goes_quietly() {
    let (world, ids) = linked(4);
    world.remove("crm", &ids[0]);
    world.sql("delete from contacts where email = 'p1@x.io'");
    let ran = world.sync().exits(0);
    assert_eq!(ran.writes(), (0, 0), "{ran:#?}");
    assert_eq!(world.rows("select count(*) from sync_link where state = 0"), [["3"]]);
    assert_eq!((world.written("crm").len(), world.aside().len()), (0, 0));
    world.is_settled();
}

#[test]
fn s16_a_listing_that_is_not_whole_proves_no_delete() {
    let (world, ids) = linked(3);
    let one = world.at("crm", |crm| crm.get("/contacts", &ids[0])).unwrap();
    let faults = [
        (Fault::TruncatedBody { after: None }, 6),
        (Fault::WrongContentLength { extra: 10 }, 6),
        (Fault::GarbageJson, 6),
        (Fault::HtmlBody, 6),
        (Fault::status(500), 6),
        (Fault::ErrorBody200 { body: json!({"error": "out of order"}) }, 6),
        (Fault::ErrorBody200 { body: json!({"results": null, "error": "out of order"}) }, 6),
        // Well-formed, and yet records that are there are left out.
        (Fault::EmptyListing, 6),
        (Fault::ErrorBody200 { body: json!({"results": [one]}) }, 0),
    ];
    for (fault, code) in faults {
        world.at("crm", |crm| crm.push_fault(listing(), fault.clone()));
        let ran = world.sync();
        assert_eq!((ran.code, ran.writes()), (code, (0, 0)), "{fault:?} {ran:#?}");
        assert_eq!((rows(&world), world.written("crm").len()), (3, 0), "{fault:?}");
    }
    world.is_settled();
}

/// Seven contacts in pages of two, with a listing that broke off after its first page.
fn interrupted() -> (World, Vec<String>) {
    let world = World::with_contacts(&["crm"], |_, resource| {
        resource.paging = Paging::Page { page: "page".into(), per_page: "size".into() };
    });
    world.without_retries();
    world.change_rules("rules.toml", |text| {
        let page = r#"page = { kind = "page", into = "query.page", size = { into = "query.size", value = 2 } }"#;
        text.replace("page = \"none\"", page)
    });
    let ids: Vec<String> = (1..=7)
        .map(|n| world.put("crm", "/contacts", &json!({"email": format!("p{n}@x.io"), "name": format!("P{n}")})))
        .collect();
    world.sync().exits(0);
    assert_eq!(rows(&world), 7);
    // The first page has news, so that it is a checkpoint.
    world.edit("crm", &ids[0], &json!({"phone": "1"}));
    world.at("crm", |crm| crm.push_fault(listing().nth(2), Fault::status(500)));
    world.sync().exits(6);
    assert_eq!(rows(&world), 7);
    world.remove("crm", &ids[6]);
    world.at("crm", Sandbox::reset_stats);
    (world, ids)
}

/// The pages that were asked for, in order.
fn pages(world: &World) -> Vec<String> {
    let page = |line: &str| Some(line.split_once("page=")?.1.split('&').next()?.to_owned());
    world.at("crm", |crm| crm.requests().filter_map(|request| page(&request.line())).collect())
}

#[test]
fn s18_a_resumed_scan_proves_no_delete() {
    let (world, _) = interrupted();
    world.sync().exits(0);
    // The first page was read in another pass: that was no complete generation, and what came to that page since is not known.
    // So everything is read once more before anything is decided, and then what is missing was asked for.
    assert_eq!(pages(&world), ["2", "3", "4", "1", "2", "3", "4"]);
    world.sync().exits(0);
    assert_eq!(rows(&world), 6);
    world.is_settled();
}

#[test]
fn s62_a_place_to_go_on_from_that_is_refused_starts_the_listing_over() {
    for refused in [400, 404, 410, 422] {
        let (world, _) = interrupted();
        world.at("crm", |crm| crm.push_fault(listing(), Fault::status(refused)));
        world.sync().exits(0);
        assert_eq!(pages(&world), ["2", "1", "2", "3", "4"], "{refused}");
        // What the gap means is not guessed; the next listing shows it.
        assert_eq!(rows(&world), 7);
        world.sync().exits(0);
        assert_eq!(rows(&world), 6);
        world.is_settled();
    }
}

#[test]
fn s62_a_place_that_the_upstream_breaks_down_at_again_and_again_is_left() {
    let (world, _) = interrupted();
    // That it has too much to do says nothing about the place.
    world.at("crm", |crm| crm.push_fault_times(listing(), Fault::status(503), Times::Count(3)));
    world.at("crm", |crm| crm.push_fault_times(listing(), Fault::status(500), Times::Count(3)));
    for _ in 0..6 {
        world.sync().exits(6);
        assert_eq!(pages(&world), ["2"], "it goes on where it stopped");
        world.at("crm", Sandbox::reset_stats);
    }
    world.sync().exits(0);
    assert_eq!(pages(&world), ["1", "2", "3", "4"], "and then begins anew");
    // That is a whole listing.
    assert_eq!(rows(&world), 6);
    world.is_settled();
}

#[test]
fn s62_a_full_pass_does_not_go_on_where_another_stopped() {
    let (world, _) = interrupted();
    world.run(&["--json", "run", "--once", "--full"]).exits(0);
    assert_eq!(pages(&world), ["1", "2", "3", "4"]);
    assert_eq!(rows(&world), 6);
    world.is_settled();
}

/// One record was merged into another: its address leads there now, and it is not listed any more.
#[test]
fn s11_a_record_whose_address_leads_to_another_is_set_aside_and_blocks_no_other() {
    let (world, ids) = linked(4);
    world.remove("crm", &ids[0]);
    let merged = Matcher::exactly(Method::GET, format!("/contacts/{}", ids[0]));
    let redirect = Fault::Redirect { url: format!("/contacts/{}", ids[1]) };
    world.at("crm", |crm| crm.push_fault_times(merged, redirect, Times::Forever));
    world.edit("crm", &ids[2], &json!({"phone": "3"}));
    for _ in 0..2 {
        world.sync().exits(4);
        assert_eq!(rows(&world), 4);
        assert_eq!(world.rows("select name from contacts where phone = '3'"), [["P3"]]);
        let aside = world.aside();
        let words = format!("record {} was asked for, and record {} is the answer", ids[0], ids[1]);
        assert!(aside.len() == 1 && aside[0].2.contains(&words), "{aside:?}");
        assert_eq!(world.written("crm").len(), 0);
    }
    // The address answers for itself again.
    world.at("crm", Sandbox::clear_faults);
    world.sync().exits(0);
    assert_eq!((rows(&world), world.aside().len()), (3, 0));
    world.is_settled();
}

#[test]
fn s19_refused_credentials_and_narrowed_permissions_are_no_deletes() {
    let (world, ids) = linked(3);
    for status in [401, 403] {
        world.at("crm", |crm| crm.push_fault_times(Matcher::any(), Fault::status(status), Times::Forever));
        world.sql("update contacts set name = 'edited' where email = 'p1@x.io'");
        let ran = world.sync().exits(6);
        let error = ran.report("contacts")["upstreams"][0]["error"].as_str().unwrap().to_owned();
        assert!(error.contains(&status.to_string()), "{error}");
        assert_eq!((rows(&world), world.written("crm").len()), (3, 0));
        assert_eq!(world.status()["collections"][0]["last_pass"]["outcome"], "unavailable");
        world.at("crm", Sandbox::clear_faults);
    }
    world.sync().exits(0);
    // The listing shows only what we may still see; the others are forbidden rather than gone.
    let seen = world.at("crm", |crm| crm.get("/contacts", &ids[0])).unwrap();
    world.at("crm", |crm| {
        crm.push_fault(listing(), Fault::ErrorBody200 { body: json!({"results": [seen]}) });
        crm.push_fault_times(Matcher::containing("/contacts/"), Fault::status(403), Times::Forever);
    });
    world.sync().exits(6);
    assert_eq!(rows(&world), 3);
    world.at("crm", Sandbox::clear_faults);
    world.is_settled();
}

#[test]
fn s20_nothing_is_written_where_everything_is_not_found() {
    let (world, _) = linked(3);
    world.sql("update contacts set name = 'edited' where email = 'p1@x.io'");
    world.sql("insert into contacts (email, name) values ('new@x.io', 'New')");
    world.at("crm", |crm| crm.push_fault_times(Matcher::any(), Fault::status(404), Times::Forever));
    world.sync().exits(6);
    assert_eq!((rows(&world), world.written("crm").len()), (4, 0));
    // Another tenant: the listing works and has nothing, and none of our records is known.
    world.at("crm", |crm| {
        crm.clear_faults();
        crm.push_fault_times(listing(), Fault::EmptyListing, Times::Forever);
        crm.push_fault_times(Matcher::containing("/contacts/"), Fault::status(404), Times::Forever);
    });
    world.sync().exits(5);
    assert_eq!((rows(&world), world.written("crm").len()), (4, 0));
    world.at("crm", Sandbox::clear_faults);
    world.sync().exits(0);
    assert_eq!(world.contacts("crm").len(), 4);
    assert_eq!(world.status()["halts"], json!([]));
    world.is_settled();
}

#[test]
fn s26_too_many_changes_halt_before_the_first_write_and_one_approval_lets_exactly_them_through() {
    let (world, _) = linked(20);
    world.sql("delete from contacts where email in ('p1@x.io', 'p2@x.io', 'p3@x.io')");
    world.sql("update contacts set phone = '1' where email = 'p9@x.io'");
    let ran = world.sync().exits(5);
    let halts = &ran.report("contacts")["halts"];
    assert_eq!((&halts[0]["what"], &halts[0]["count"]), (&json!("delete"), &json!(3)), "{halts:#}");
    assert_eq!(world.written("crm"), Vec::<String>::new());
    world.approve();
    world.sync().exits(0);
    assert_eq!((world.contacts("crm").len(), world.written("crm").len()), (17, 4));
    assert_eq!(world.status()["halts"], json!([]));
    world.is_settled();
}

#[test]
fn s26_an_approval_is_for_one_plan_only() {
    let (world, _) = linked(20);
    world.sql("delete from contacts where email in ('p1@x.io', 'p2@x.io', 'p3@x.io')");
    world.sync().exits(5);
    let first = world.halt();
    world.approve();
    world.sql("delete from contacts where email = 'p4@x.io'");
    world.sync().exits(5);
    assert_ne!(world.halt(), first);
    assert_eq!(world.written("crm"), Vec::<String>::new());
    world.approve();
    world.sync().exits(0);
    assert_eq!(world.contacts("crm").len(), 16);
    world.is_settled();
}

#[test]
fn s26_an_approval_outlasts_a_pass_that_could_not_read_the_upstream() {
    let (world, _) = linked(20);
    world.sql("delete from contacts where email in ('p1@x.io', 'p2@x.io', 'p3@x.io')");
    world.sync().exits(5);
    world.approve();
    world.at("crm", |crm| crm.push_fault(listing(), Fault::status(503)));
    world.sync().exits(6);
    let status = world.run(&["status"]);
    assert!(status.stdout.contains("crm: GET /contacts 503"), "{status:#?}");
    assert_eq!(world.contacts("crm").len(), 20);
    world.sync().exits(0);
    assert_eq!(world.contacts("crm").len(), 17);
    world.is_settled();
}

#[test]
fn s26_many_remote_deletes_need_one_approval() {
    // Few enough to be asked for before a person is, and too many for that.
    for (all, gone) in [(20, 3), (130, 110)] {
        let (world, ids) = linked(all);
        for id in &ids[..gone] {
            world.remove("crm", id);
        }
        let ran = world.sync().exits(5);
        let report = ran.report("contacts");
        assert_eq!((rows(&world), report["halts"][0]["count"].as_u64()), (all, Some(gone as u64)), "{report:#}");
        // What would follow is shown.
        let deletes = report["changes"].as_array().unwrap().iter().filter(|change| change["action"] == "delete");
        assert_eq!(deletes.count(), gone);
        world.approve();
        world.sync().exits(0);
        assert_eq!((rows(&world), world.written("crm").len()), (all - gone, 0));
        world.is_settled();
    }
}

#[test]
fn s26_what_comes_back_before_the_approval_is_not_deleted_by_it() {
    let (world, ids) = linked(20);
    world.at("crm", |crm| {
        let rest = crm.all("/contacts").split_off(3);
        crm.push_fault(listing(), Fault::ErrorBody200 { body: json!({"results": rest}) });
        for id in &ids[..3] {
            crm.push_fault(Matcher::exactly(Method::GET, format!("/contacts/{id}")), Fault::status(404));
        }
    });
    world.sync().exits(5);
    world.approve();
    world.sync().exits(0);
    assert_eq!((rows(&world), world.contacts("crm").len()), (20, 20));
    assert_eq!(world.status()["halts"], json!([]));
    world.is_settled();
}

#[test]
fn s27_everything_gone_halts_even_if_it_was_little() {
    for count in [1, 2] {
        let (world, ids) = linked(count);
        for id in &ids {
            world.remove("crm", id);
        }
        let ran = world.sync().exits(5);
        assert_eq!(ran.report("contacts")["halts"][0]["what"], "emptied");
        assert_eq!(rows(&world), count);
        world.sync().exits(5);
        assert_eq!(rows(&world), count);
        world.approve();
        world.sync().exits(0);
        assert_eq!((rows(&world), world.written("crm").len()), (0, 0));
        world.is_settled();
    }
}

#[test]
fn s27_everything_archived_at_once_halts_until_a_person_agrees() {
    let (world, ids) = linked(2);
    world.change_rules("rules.toml", |text| {
        text.replace("[binding.contacts.crm]\n", "[binding.contacts.crm]\narchived = '.archived == true'\n")
    });
    world.sync().exits(0);
    for id in &ids {
        world.edit("crm", id, &serde_json::json!({"archived": true}));
    }
    let ran = world.sync().exits(5);
    assert_eq!(ran.report("contacts")["halts"][0]["what"], "emptied");
    let archived = || world.status()["collections"][0]["links"][0]["archived"].clone();
    assert_eq!(archived(), 0);
    world.approve();
    world.sync().exits(0);
    assert_eq!((archived(), rows(&world)), (serde_json::json!(2), 2));
}

#[test]
fn a_queued_delete_that_a_person_confirms_is_done_everywhere() {
    let (world, ids) = linked(4);
    world.change_rules("rules.toml", |text| text.replace("\"propagate\"", "\"queue\""));
    world.remove("crm", &ids[0]);
    world.sync().exits(4);
    let conflict = world.rows("select id from sync_conflict where closed_at is null").concat().concat();
    world.run(&["resolve", &conflict, "--delete"]);
    world.sync().exits(0);
    assert_eq!(rows(&world), 3);
    world.is_settled();
}

#[test]
fn what_is_deleted_here_and_cannot_be_deleted_there_is_told_once_and_stays_there() {
    let (world, _) = linked(4);
    world.change_rules("rules.toml", |text| {
        let (before, _) = text.split_once("[binding.contacts.crm.write.delete]").unwrap();
        before.to_owned()
    });
    world.sync().exits(0);
    let checked = world.run(&["check"]).exits(0);
    assert!(checked.stdout.contains("stays at `crm`"), "{checked:?}");
    world.sql("delete from contacts where email = 'p1@x.io'");
    let told = |report: &serde_json::Value| {
        let change = report["changes"][0].clone();
        assert_eq!((&change["action"], &change["target"]), (&json!("detach"), &json!("crm")));
        assert!(change["note"].as_str().unwrap().contains("where the rules have no delete"), "{change}");
    };
    let plan: serde_json::Value = serde_json::from_str(&world.run(&["--json", "plan"]).exits(3).stdout).unwrap();
    told(&plan["passes"][0]);
    told(&world.sync().exits(0).report("contacts"));
    assert_eq!((rows(&world), world.contacts("crm").len(), world.written("crm").len()), (3, 4, 0));
    world.is_settled();
}
