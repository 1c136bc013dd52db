//! An upstream that gives short and empty pages before the end of a listing, because it leaves records out after a page is cut: what
//! is not listed is deleted, so that its end must not be guessed.

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Scripted, answer, answered_by};

/// Orders that are only read, by pages of a kind.
pub const RULES: &str = r#"
[upstream.shop]
base_url = "${var.shop_url}"

[collection.orders]
on_remote_delete = "propagate"
limits = { delete = "100%" }
fields = { name = "text" }

[binding.orders.shop]
direction = "pull"
id = ".id"
map = { name = ".name" }

[binding.orders.shop.read]
request = "GET /orders"
records = ".data[]"
page = PAGE
deletes = "absence"
lag = "0s"
"#;

#[derive(Default)]
struct Server {
    orders: Vec<u64>,
    /// Those that are left out of the page which they are in.
    hidden: Vec<u64>,
    asked: usize,
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    server.asked += 1;
    let number = |name: &str| asked.query.get(name).map(|text| text.parse::<u64>().unwrap());
    let after = number("after").unwrap_or(0);
    let from = server.orders.iter().filter(|id| **id <= after).count();
    let from = from + usize::try_from(number("skip").unwrap_or(0)).unwrap();
    let (page, next) = Asked::page(&server.orders, from, 3);
    let shown: Vec<Value> = page
        .iter()
        .filter(|id| !server.hidden.contains(id))
        .map(|id| json!({ "id": id, "name": format!("order {id}") }))
        .collect();
    answer(200, &json!({ "data": shown, "has_more": next.is_some(), "total": server.orders.len() }))
}

fn stage(page: &str) -> (scripted::Shared<Server>, Scripted) {
    let server = scripted::Shared::<Server>::default();
    server.look().orders = (1..=9).collect();
    let rules = RULES.replace("PAGE", page);
    (server.clone(), Scripted::new("shop", answered_by(server, serve), &rules))
}

const KEYSET: &str = r#"{ kind = "keyset", key = ".id", into = "query.after", size = { into = "query.n", value = 3 }, more = ".has_more" }"#;
const OFFSET: &str = r#"{ kind = "offset", into = "query.skip", size = { into = "query.n", value = 3 }, more = ".has_more", step = "size" }"#;
const TOTAL: &str = r#"{ kind = "offset", into = "query.skip", size = { into = "query.n", value = 3 }, total = ".total", step = "size" }"#;

#[test]
fn a_short_page_before_the_end_of_a_listing_deletes_nothing_behind_it() {
    for page in [KEYSET, OFFSET, TOTAL] {
        let (server, scripted) = stage(page);
        let names = || scripted.world.rows("select name from orders order by id").concat();
        assert_eq!(scripted.run(&["check"]).exits(0).stdout.matches("warning").count(), 0);
        assert_eq!(scripted.sync().exits(0).writes(), (0, 9));
        // The second page is a short one: only what it leaves out is gone, and what comes after it is there.
        server.look().hidden = vec![5];
        if page != KEYSET {
            assert_eq!(scripted.sync().exits(3).writes(), (0, 0), "counted pages may move: once more");
        }
        assert_eq!(scripted.sync().exits(0).writes(), (0, 1), "{page}");
        assert_eq!(names().len(), 8);
        assert!(names().contains(&"order 9".to_owned()));
        server.look().asked = 0;
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
        assert_eq!(server.look().asked, 3, "no page is asked for on suspicion");
    }
}

#[test]
fn an_empty_page_that_says_more_follows_is_passed_by_or_halts_and_never_ends_a_listing() {
    for page in [OFFSET, TOTAL] {
        let (server, scripted) = stage(page);
        scripted.sync().exits(0);
        server.look().hidden = vec![4, 5, 6];
        assert_eq!(scripted.sync().exits(3).writes(), (0, 0), "{page}");
        assert_eq!(scripted.sync().exits(0).writes(), (0, 3), "{page}");
    }
    let (server, scripted) = stage(KEYSET);
    scripted.sync().exits(0);
    server.look().hidden = vec![4, 5, 6];
    let why = scripted.sync().cannot_read("orders");
    assert!(why.contains("shows no record to go on after"), "{why}");
    assert_eq!(scripted.world.rows("select count(*) from orders"), [["9"]]);
}

#[test]
fn check_warns_where_the_end_of_a_listing_is_guessed_from_a_short_page_and_deletes() {
    let (_server, scripted) = stage(&KEYSET.replace(", more = \".has_more\"", ""));
    let told = scripted.run(&["check"]).exits(0);
    assert!(told.stdout.contains("a page shorter than this is taken for the last one"), "{told:#?}");
    assert!(told.stdout.contains("write `more` where the answer says whether more follows"), "{told:#?}");
}
