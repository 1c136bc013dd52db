//! Records that stand in arrays inside the items of an array.

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Scripted, answer, answered_by};

const RULES: &str = r#"
[upstream.shop]
base_url = "${var.shop_url}"

[collection.lines]
on_remote_delete = "propagate"
limits = { delete = "100%" }
fields = { name = "text" }

[binding.lines.shop]
id = ".id"
map = { name = ".name" }
read = { request = "GET /orders", records = RECORDS, deletes = "absence", lag = "0s", page = { kind = "offset", into = "query.skip" } }
write.update = { request = "PATCH /lines/{id}", precondition = "none" }
"#;

/// Orders, each with what stands at its `lines`.
#[derive(Default)]
struct Server {
    orders: Vec<Value>,
    changed: Vec<(String, Value)>,
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    let skip: usize = asked.query.get("skip").map_or(0, |skip| skip.parse().unwrap());
    match asked.below("") {
        ("GET", path) if path == ["orders"] => {
            answer(200, &json!({ "orders": Asked::page(&server.orders, skip, 2).0, "lines": [] }))
        }
        ("PATCH", path) if path[0] == "lines" => {
            let change = asked.json().unwrap();
            let lines = server.orders.iter_mut().filter_map(|order| order["lines"].as_array_mut()).flatten();
            for line in lines.filter(|line| line["id"] == path[1]) {
                line["name"] = change["name"].clone();
            }
            server.changed.push((path[1].to_owned(), change));
            answer(204, &Value::Null)
        }
        _ => answer(404, &Value::Null),
    }
}

fn stage(records: &str, orders: Vec<Value>) -> (scripted::Shared<Server>, Scripted) {
    let server = scripted::Shared::<Server>::default();
    server.look().orders = orders;
    let rules = RULES.replace("RECORDS", records);
    (server.clone(), Scripted::new("shop", answered_by(server, serve), &rules))
}

fn line(id: &str) -> Value {
    json!({ "id": id, "name": format!("line {id}") })
}

#[test]
fn lines_inside_orders_are_read_written_and_deleted_like_any_record() {
    // A page of orders without a line is not the last one.
    let orders = vec![
        json!({ "lines": [line("a"), line("b")] }),
        json!({ "lines": [] }),
        json!({ "lines": null }),
        json!({}),
        json!({ "lines": [line("c"), line("d")] }),
    ];
    let (server, scripted) = stage("\".orders[].lines[]?\"", orders);
    let names = || scripted.world.rows("select name from lines order by name").concat();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 4));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    server.look().orders[0] = json!({ "lines": [line("b")] });
    server.look().orders[3] = json!({ "lines": [line("e")] });
    scripted.world.sql("update lines set name = 'ours' where name = 'line d'");
    // Counted pages may move: what is missing is gone where it is missing once more.
    assert_eq!(scripted.sync().exits(3).writes(), (1, 1));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(names(), ["line b", "line c", "line e", "ours"]);
    assert_eq!(server.look().changed, [("d".to_owned(), json!({ "name": "ours" }))]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn an_order_without_the_array_is_no_order_without_lines_and_the_words_name_the_remedy() {
    let (server, scripted) = stage("\".orders[].lines[]\"", vec![json!({ "lines": [line("a")] })]);
    scripted.sync().exits(0);
    server.look().orders = vec![json!({})];
    let why = scripted.sync().cannot_read("lines");
    assert!(why.contains(".orders[0] holds nothing for .orders[].lines[]") && why.contains("`[]?`"), "{why}");
    assert_eq!(scripted.world.rows("select name from lines"), [["line a"]]);

    let (_server, scripted) = stage("\".orders[].lines\"", vec![json!({ "lines": [line("a")] })]);
    let why = scripted.sync().cannot_read("lines");
    assert!(why.contains("write `records = \".orders[].lines[]\"`"), "{why}");
}

#[test]
fn s16_an_order_that_could_not_be_had_deletes_none_of_its_lines() {
    let there = || vec![json!({ "lines": [line("a")] }), json!({ "lines": [line("b"), line("c")] })];
    let (server, scripted) = stage("\".orders[].lines[]?\"", there());
    scripted.sync().exits(0);
    let no_orders = [
        Value::Null,
        json!("try again later"),
        json!({ "error": { "code": 429 } }),
        json!({ "lines": null, "errors": ["lines are not to be had"] }),
        json!({ "lines": [line("b")], "errors": ["there are more"] }),
    ];
    for order in no_orders {
        server.look().orders[1] = order.clone();
        let why = scripted.sync().cannot_read("lines");
        assert!(why.contains(".orders[1] h"), "{order}: {why}");
        assert_eq!(scripted.world.rows("select count(*) from lines"), [["3"]], "{order}");
    }
    server.look().orders = there();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    // Without lines, and so it says.
    server.look().orders[1] = json!({ "lines": null });
    scripted.sync().exits(3);
    scripted.sync().exits(0);
    assert_eq!(scripted.world.rows("select name from lines"), [["line a"]]);
}

#[test]
fn nodes_of_edges_are_records() {
    let edges = ["a", "b"].map(|id| json!({ "cursor": id, "node": line(id) }));
    let (_server, scripted) = stage("\".orders[].node\"", edges.into());
    assert_eq!(scripted.sync().exits(0).writes(), (0, 2));
    assert_eq!(scripted.world.rows("select name from lines order by name").concat(), ["line a", "line b"]);
}
