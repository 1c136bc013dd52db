//! Lists and searches that still show what was deleted (I16): nothing of it is taken for a record that is there.

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Paging, Sandbox, Times};
use serde_json::{Value, json};

use crate::world::World;

fn listing() -> Matcher {
    Matcher::exactly(Method::GET, "/contacts")
}

/// From now on listings show these records, and no others.
pub fn shows(world: &World, results: &[Value]) {
    let body = json!({ "results": results });
    world.at("crm", |crm| crm.push_fault_times(listing(), Fault::ErrorBody200 { body }, Times::Forever));
}

/// As if everything known had been learnt so many minutes earlier.
fn minutes_pass(world: &World, minutes: i64) {
    for (table, column) in [("sync_link", "observed_at"), ("sync_stage", "observed_at"), ("sync_history", "at")] {
        world.sql(&format!("update {table} set {column} = {column} - {minutes} * 60000000"));
    }
}

pub fn without_get(world: &World) {
    world
        .change_rules("rules.toml", |text| text.replace("get = { method = \"GET\", path = \"/contacts/{id}\" }\n", ""));
}

/// Ann, who is this one at the upstream, among four others.
fn ann_among_others(world: &World) -> String {
    let ann = world.add_ann("crm");
    for name in ["b", "c", "d", "e"] {
        world.add("crm", &json!({"email": format!("{name}@x.io"), "name": name}));
    }
    world.sync().exits(0);
    // What came in a moment ago an older list may not show.
    world.sql("update sync_link set made_observed_at = made_observed_at - 30 * 60000000");
    ann
}

/// The names of those who have Ann's address, here.
fn anns(world: &World) -> Vec<String> {
    world.rows("select name from contacts where email = 'ann@x.io' order by name").concat()
}

/// How many have Ann's address there.
fn anns_at(world: &World, upstream: &str) -> usize {
    world.emails(upstream).iter().filter(|email| *email == "ann@x.io").count()
}

#[test]
fn i16_a_listing_that_was_read_before_a_delete_showed_is_no_newer_for_having_waited() {
    let world = World::with_contacts(&["crm"], |_, resource| {
        resource.paging = Paging::Page { page: "page".into(), per_page: "size".into() };
    });
    world.without_retries();
    world.change_rules("rules.toml", |text| {
        let page = r#"page = { kind = "page", into = "query.page", size = { into = "query.size", value = 2 } }"#;
        text.replace("page = \"none\"", page)
    });
    let ann = ann_among_others(&world);
    let (before, other) = (world.contact("crm", &ann), world.contacts("crm")[1].clone());
    world.sql("delete from contacts where email = 'ann@x.io'");
    world.sync().exits(0).wrote(1, 0);
    // Its first page is kept until the rest can be read, which is later than any list lags.
    let body = json!({ "results": [before, other] });
    world.at("crm", |crm| {
        crm.push_fault(listing().nth(1), Fault::ErrorBody200 { body });
        crm.push_fault(listing().nth(2), Fault::status(500));
    });
    world.sync().exits(6);
    assert_eq!(world.rows("select remote_id from sync_stage"), [[ann]]);
    minutes_pass(&world, 30);
    world.at("crm", Sandbox::clear_faults);
    world.sync().exits(0).wrote(0, 0);
    assert_eq!(anns(&world), Vec::<String>::new());
    world.is_quiet();
}

/// Ann has another id since `anew`; then lists show what she was under her former one.
fn no_second_ann(anew: impl Fn(&World)) {
    for get in [true, false] {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        if !get {
            without_get(&world);
        }
        let ann = ann_among_others(&world);
        let before = world.contact("crm", &ann);
        world.remove("crm", &ann);
        anew(&world);
        world.sync().exits(0);
        let mut listed = world.contacts("crm");
        assert!(listed.len() == 5 && listed.iter().all(|one| one["id"] != before["id"]), "{listed:?}");
        listed.push(before);
        shows(&world, &listed);
        for _ in 0..2 {
            world.sync().exits(0).wrote(0, 0);
        }
        assert_eq!((anns(&world).len(), anns_at(&world, "crm"), anns_at(&world, "erp")), (1, 1, 1), "get: {get}");
        world.at("crm", Sandbox::clear_faults);
        world.is_quiet();
    }
}

#[test]
fn i06_i16_a_listing_that_shows_a_record_that_was_made_anew_under_its_former_id_makes_no_second_one() {
    // Deleted there and edited here: it is made anew.
    no_second_ann(|world| world.sql("update contacts set phone = '7' where email = 'ann@x.io'"));
}

#[test]
fn i06_i16_what_was_replaced_there_between_two_passes_is_no_second_one_where_a_list_still_shows_it() {
    no_second_ann(|world| {
        world.add("crm", &json!({"email": "ann@x.io", "name": "Ann", "phone": "7"}));
    });
}

/// Else, where nothing can be asked, there were a moment in which the former id is nobody's any more, and the record that was made
/// in its place may still be missing from listings: what a backup shows under the former id would be a second record.
#[test]
fn i06_i16_a_former_id_is_remembered_for_as_long_as_a_listing_may_not_show_what_was_made_in_its_place() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    without_get(&world);
    let ann = ann_among_others(&world);
    world.remove("crm", &ann);
    world.sql("update contacts set phone = '7' where email = 'ann@x.io'");
    world.sync().exits(0);
    let of_ann = "select l.observed_at from sync_link l where l.observed_at = (select max(observed_at) from sync_link)";
    let given_up =
        format!("select substr(value, 1, instr(value, ' ') - 1) from sync_meta where name like '%former id at %{ann}'");
    let time = |query: &str| world.rows(query)[0][0].parse::<i64>().unwrap();
    assert!(time(&given_up) >= time(of_ann), "{} {}", time(&given_up), time(of_ann));
}

#[test]
fn i16_what_came_in_a_moment_ago_is_not_gone_because_an_older_list_does_not_show_it() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    without_get(&world);
    let ann = ann_among_others(&world);
    let before = world.contacts("crm");
    world.add("crm", &json!({"email": "f@x.io", "name": "f"}));
    world.sync().exits(0);
    shows(&world, &before);
    world.sync().exits(0).wrote(0, 0);
    assert_eq!(world.rows("select count(*) from contacts"), [["6"]]);
    // Once no list can be so old any more, it says that.
    world.sql("update sync_link set made_observed_at = made_observed_at - 30 * 60000000");
    world.sync().exits(0);
    assert_eq!(world.rows("select count(*) from contacts"), [["5"]]);
    assert_eq!(anns(&world), ["Ann"], "{ann}");
}

/// The upstream is set back to when Ann had her former id, long after she got another one there.
fn ann_is_as_in_a_backup(world: &World) -> String {
    let ann = ann_among_others(world);
    world.remove("crm", &ann);
    world.sql("update contacts set phone = '7' where email = 'ann@x.io'");
    world.sync().exits(0);
    world.sql(
        "update sync_meta set value = (substr(value, 1, instr(value, ' ') - 1) - 30 * 60000000) || substr(value, instr(value, ' '))
         where name like '%former id at %'",
    );
    let anew = world.contacts("crm").into_iter().find(|one| one["email"] == "ann@x.io").unwrap();
    world.remove("crm", anew["id"].as_str().unwrap());
    world.add("crm", &json!({"id": ann, "email": "ann@x.io", "name": "Ann"}));
    ann
}

/// What is changed there comes in, and what is changed here goes there.
fn is_hers_again(world: &World, ann: &str) {
    world.edit("crm", ann, &json!({"name": "Ann B."}));
    world.sync().exits(0);
    assert_eq!(anns(world), ["Ann B."]);
    world.sql("update contacts set phone = '9' where email = 'ann@x.io'");
    world.sync().exits(0).wrote(2, 0);
    assert_eq!(world.contact("crm", ann)["phone"], "9");
    world.is_quiet();
}

#[test]
fn i06_a_former_id_that_a_backup_brings_back_is_no_second_record_while_what_replaced_it_may_only_not_be_listed_yet() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    without_get(&world);
    world.change_rules("rules.toml", |text| {
        text.replace("incremental = \"none\"", "incremental = \"none\"\nlag = \"9m\"")
    });
    let ann = ann_is_as_in_a_backup(&world);
    world.sync().exits(0).wrote(0, 0);
    assert_eq!((anns(&world).len(), anns_at(&world, "crm"), anns_at(&world, "erp")), (1, 1, 1));
    minutes_pass(&world, 30);
    world.sync().exits(0);
    assert_eq!((anns(&world).len(), anns_at(&world, "crm"), anns_at(&world, "erp")), (1, 1, 1));
    is_hers_again(&world, &ann);
}

#[test]
fn i06_a_former_id_that_a_backup_brings_back_is_no_second_record_where_only_changes_are_listed() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |text| {
        text.replace("incremental = \"none\"", "incremental = { kind = \"since\", into = \"query.since\" }")
    });
    let ann = ann_is_as_in_a_backup(&world);
    world.edit("crm", &ann, &json!({"phone": "8"}));
    world.sync().exits(0);
    assert_eq!((anns(&world).len(), anns_at(&world, "crm"), anns_at(&world, "erp")), (1, 1, 1));
    is_hers_again(&world, &ann);
}

/// Ann was made anew there, and she under her former id is there again with this address. Returns that id and the new one.
fn ann_and_her_double(world: &World, email: &str) -> [String; 2] {
    let ann = ann_among_others(world);
    world.remove("crm", &ann);
    world.sql("update contacts set phone = '7' where email = 'ann@x.io'");
    world.sync().exits(0);
    let anew = world.contacts("crm").into_iter().find(|one| one["email"] == "ann@x.io").unwrap();
    world.add("crm", &json!({"id": ann, "email": email, "name": "Ann, restored"}));
    [ann, anew["id"].as_str().unwrap().to_owned()]
}

#[test]
fn i06_a_record_that_is_there_again_beside_the_one_that_replaced_it_is_set_aside_until_one_of_the_two_goes() {
    for keeps_former in [false, true] {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        let [ann, anew] = ann_and_her_double(&world, "ann@x.io");
        for _ in 0..2 {
            world.sync().exits(4).wrote(0, 0);
            let aside = world.aside();
            assert_eq!((aside.len(), aside[0].1.as_str()), (1, "match"), "{aside:?}");
            assert!(aside[0].2.contains(&format!("was made there anew as {anew}")), "{aside:?}");
            assert_eq!((anns(&world), anns_at(&world, "erp")), (vec!["Ann".to_owned()], 1));
        }
        world.remove("crm", if keeps_former { &anew } else { &ann });
        world.sync().exits(0);
        assert_eq!(world.aside(), []);
        assert_eq!((anns(&world).len(), anns_at(&world, "crm"), anns_at(&world, "erp")), (1, 1, 1));
        if keeps_former {
            is_hers_again(&world, &ann);
        }
        world.is_quiet();
    }
}

#[test]
fn what_is_there_again_under_a_former_id_and_says_that_it_is_somebody_else_is_a_record_of_its_own() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    ann_and_her_double(&world, "other@x.io");
    world.sync().exits(0).wrote(0, 1);
    assert_eq!((anns(&world).len(), world.aside().len()), (1, 0));
    assert_eq!(world.rows("select name from contacts where email = 'other@x.io'"), [["Ann, restored"]]);
    world.is_quiet();
}

#[test]
fn i06_i16_a_search_that_still_finds_a_deleted_record_has_not_found_what_a_lost_create_made() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.without_retries();
    let ann = ann_among_others(&world);
    let record = world.rows("select id from contacts where email = 'ann@x.io'").concat().concat();
    let listed = world.contacts("crm");
    world.sql("delete from contacts where email = 'ann@x.io'");
    world.sync().exits(0).wrote(1, 0);
    world.sql(&format!("insert into contacts (id, email, name) values ('{record}', 'ann@x.io', 'Ann')"));
    shows(&world, &listed);
    world.at("crm", |crm| {
        crm.push_fault(Matcher::exactly(Method::POST, "/contacts"), Fault::LostRequestBeforeCommit);
    });
    world.sync();
    let ties = world.rows(&format!("select count(*) from sync_link where state = 0 and remote_id = '{ann}'"));
    assert_eq!(ties, [["0"]], "there is nothing to be tied to");
    assert_eq!(world.rows("select state from sync_intent"), [["unknown"]]);
    // It never came to be, which is known once it is found nowhere after the lag: then it is made, once.
    world.at("crm", Sandbox::clear_faults);
    for _ in 0..6 {
        world.sql("update sync_intent set sent_at = sent_at - 30 * 60000000, not_before = null");
        world.sync();
    }
    assert_eq!((anns_at(&world, "crm"), anns(&world)), (1, vec!["Ann".to_owned()]));
    world.is_quiet();
}
