//! Listings by counted pages that move while they are read, of an upstream whose records cannot be asked for one by one: what was skipped
//! is not deleted, and what is gone is.

use std::collections::BTreeMap;

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Scripted, answer, answered_by};
use crate::short_pages::RULES;

const PAGES: &str =
    r#"{ kind = "page", into = "query.page", size = { into = "query.n", value = 3 }, total = ".total" }"#;
const OFFSETS: &str =
    r#"{ kind = "offset", into = "query.skip", size = { into = "query.n", value = 3 }, more = ".has_more" }"#;

#[derive(Default)]
struct Server {
    orders: Vec<(u64, &'static str)>,
    asked: usize,
    /// What becomes of the orders before the request of that number is answered.
    moves: BTreeMap<usize, Vec<(u64, &'static str)>>,
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    server.asked += 1;
    if let Some(orders) = server.moves.remove(&server.asked) {
        server.orders = orders;
    }
    let number = |name: &str| asked.query.get(name).map(|text| text.parse::<usize>().unwrap());
    let from = number("skip").or(number("page").map(|page| (page - 1) * 3)).unwrap();
    let (page, next) = Asked::page(&server.orders, from, 3);
    let shown: Vec<Value> = page.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect();
    answer(200, &json!({ "data": shown, "has_more": next.is_some(), "total": server.orders.len() }))
}

const ORDERS: [(u64, &str); 7] = [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e"), (6, "f"), (7, "g")];

/// The orders but these.
fn without(ids: &[u64]) -> Vec<(u64, &'static str)> {
    ORDERS.into_iter().filter(|(id, _)| !ids.contains(id)).collect()
}

fn stage(page: &str) -> (scripted::Shared<Server>, Scripted) {
    stage_by(&RULES.replace("PAGE", page))
}

fn stage_by(rules: &str) -> (scripted::Shared<Server>, Scripted) {
    let server = scripted::Shared::<Server>::default();
    server.look().orders = ORDERS.to_vec();
    let scripted = Scripted::new("shop", answered_by(server.clone(), serve), rules);
    scripted.sync().exits(0);
    (server, scripted)
}

fn names(scripted: &Scripted) -> String {
    scripted.world.rows("select name from orders order by name").concat().concat()
}

#[test]
fn s17_f33_what_moved_to_a_page_that_was_read_is_not_deleted_and_what_it_says_now_is_heard() {
    for page in [PAGES, OFFSETS] {
        let (server, scripted) = stage(page);
        // The first order goes before the second page is asked for: the fourth one is on no page, and changed at that moment.
        let asked = server.look().asked;
        let mut left = without(&[1]);
        left[2].1 = "D";
        server.look().moves.insert(asked + 2, left);
        let told = scripted.sync().exits(3);
        assert!(told.stdout.contains("1 record is missing from the listing of shop"), "{told:#?}");
        assert_eq!(told.report("orders")["deletes_held"], 1);
        assert_eq!(names(&scripted), "abcdefg", "{page}");
        // It is there again, and the one that went is missing, for the first time and for the second.
        scripted.sync().exits(3);
        assert_eq!(names(&scripted), "Dabcefg", "{page}");
        scripted.sync().exits(0);
        assert_eq!(names(&scripted), "Dbcefg", "{page}");
        let asked = server.look().asked;
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
        assert_eq!(server.look().asked - asked, 2, "{page}: each pass lists once");
    }
}

#[test]
fn s17_f33_where_pages_moved_visibly_a_listing_says_nothing_of_what_is_gone() {
    for page in [PAGES, OFFSETS] {
        let (server, scripted) = stage(page);
        // The sixth order is gone; a new one comes first before the second page is asked for, and the third is there again.
        let moves = |after: usize| {
            let mut server = server.look();
            let at = server.asked + 1 + after;
            let with_new = [vec![(9 + at as u64, "z")], server.orders.clone()].concat();
            server.moves.insert(at, with_new);
        };
        server.look().orders = without(&[6]);
        scripted.sync().exits(3);
        moves(1);
        let told = scripted.sync().exits(0);
        assert_eq!(names(&scripted), "abcdefg", "{page}");
        assert!(told.stdout.contains("shop listed a record on two pages"), "{told:#?}");
        assert!(told.stdout.contains("1 record is missing: whether it is gone is not known"), "{told:#?}");
        // Read in peace, it is missing for the first time again.
        scripted.sync().exits(3);
        assert_eq!(names(&scripted), "abcdefgz", "{page}");
        scripted.sync().exits(0);
        assert_eq!(names(&scripted), "abcdegz", "{page}");
    }
}

#[test]
fn s17_f33_what_was_there_in_between_is_missing_for_the_first_time_again() {
    let (server, scripted) = stage(PAGES);
    server.look().orders = without(&[7]);
    scripted.sync().exits(3);
    server.look().orders = ORDERS.to_vec();
    scripted.sync().exits(0);
    server.look().orders = without(&[7]);
    scripted.sync().exits(3);
    assert_eq!(names(&scripted), "abcdefg");
    scripted.sync().exits(0);
    assert_eq!(names(&scripted), "abcdef");
}

#[test]
fn i06_what_was_made_anew_there_waits_until_it_is_known_that_the_former_one_is_gone() {
    let rules = RULES.replace("PAGE", PAGES).replace("fields = {", "match = { keys = [[\"name\"]] }\nfields = {");
    let (server, scripted) = stage_by(&rules);
    let ids =
        || scripted.world.rows("select remote_id from sync_link where state = 0 order by remote_id").concat().join(" ");
    server.look().orders = [without(&[7]), vec![(8, "g")]].concat();
    scripted.sync().exits(3);
    let aside = || scripted.world.rows("select reason from sync_quarantine").concat();
    assert!(aside().len() == 1 && aside()[0].contains("another listing tells whether that is gone"), "{:?}", aside());
    assert_eq!((names(&scripted).as_str(), ids().as_str()), ("abcdefg", "1 2 3 4 5 6 7"));
    scripted.sync().exits(0);
    assert_eq!((names(&scripted).as_str(), ids().as_str()), ("abcdefg", "1 2 3 4 5 6 8"));
    // One that only was skipped, and another one of its name.
    server.look().orders = [without(&[6, 7]), vec![(8, "g"), (9, "f")]].concat();
    scripted.sync().exits(3);
    assert_eq!(names(&scripted), "abcdefg");
    server.look().orders = [without(&[7]), vec![(8, "g"), (9, "f")]].concat();
    scripted.sync().exits(0);
    assert_eq!((names(&scripted).as_str(), ids().as_str()), ("abcdeffg", "1 2 3 4 5 6 8 9"));
    assert_eq!(aside(), Vec::<String>::new());
}
