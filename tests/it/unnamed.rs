//! An upstream whose batches say nothing of some of their items, and do nothing to them.

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Scripted, answer, answered_by};

const RULES: &str = r#"
[upstream.shop]
base_url = "${var.shop_url}"

[collection.orders]
fields = { name = "text" }

[binding.orders.shop]
DIRECTION
id = ".id"
map = { name = ".name" }
READ

[binding.orders.shop.write]
create = { request = "POST /orders", IDEMPOTENCY }
update = { request = "PATCH /orders/{id}", precondition = "none" }

[binding.orders.shop.write.batch]
request = "POST /orders/batch"
ops = ["create", "update"]
items = ".orders"
result = { items = ".results[]", by = { request_id = ".key" }, id = ".id", error = ".error" }
item = ".body + {id, key}"
"#;

const READ: &str = r#"read = { request = "GET /orders", records = ".orders[]", lag = "0s" }"#;
const GET: &str = r#"read = { request = "GET /orders", records = ".orders[]", get = "GET /orders/{id}", lag = "0s" }"#;

#[derive(Default)]
struct Server {
    orders: Vec<Value>,
    asked: Vec<String>,
}

impl Server {
    fn put(&mut self, id: Option<&str>, name: &Value) -> Value {
        let at = self.orders.iter().position(|order| order["id"].as_str() == id);
        let made = json!({ "id": format!("o{}", self.orders.len()), "name": name });
        if let Some(order) = at.and_then(|at| self.orders.get_mut(at)) {
            order["name"] = name.clone();
            return order.clone();
        }
        self.orders.push(made.clone());
        made
    }
}

/// Batches leave out whose name begins with `x`; alone, names that end with a dot are refused.
fn serve(server: &mut Server, asked: &Asked) -> Response {
    let (method, path) = asked.below("orders");
    if method != "GET" {
        server.asked.push(format!("{method} {}", path.join("/")));
    }
    let name = || asked.json().unwrap()["name"].clone();
    match (method, path.as_slice()) {
        ("GET", []) => answer(200, &json!({ "orders": server.orders })),
        ("GET", [id]) => match server.orders.iter().find(|order| order["id"] == *id) {
            Some(order) => answer(200, order),
            None => answer(404, &Value::Null),
        },
        ("POST", ["batch"]) => {
            let mut results = Vec::new();
            for item in asked.json().unwrap()["orders"].as_array().unwrap() {
                if !item["name"].as_str().unwrap().starts_with('x') {
                    let put = server.put(item["id"].as_str(), &item["name"]);
                    results.push(json!({ "key": item["key"], "id": put["id"] }));
                }
            }
            answer(200, &json!({ "results": results }))
        }
        (_, _) if name().as_str().unwrap().ends_with('.') => answer(422, &json!({ "message": "no dots" })),
        ("PATCH", [id]) => answer(200, &server.put(Some(id), &name())),
        ("POST", []) => answer(201, &server.put(None, &name())),
        _ => answer(404, &Value::Null),
    }
}

fn stage(direction: &str, read: &str, idempotency: &str) -> (scripted::Shared<Server>, Scripted) {
    let server = scripted::Shared::<Server>::default();
    server.look().orders = (0..3).map(|id| json!({ "id": format!("o{id}"), "name": format!("order {id}") })).collect();
    let rules = RULES.replace("DIRECTION", direction).replace("READ", read).replace("IDEMPOTENCY", idempotency);
    (server.clone(), Scripted::new("shop", answered_by(server, serve), &rules))
}

/// Passes until one is quiet, or no more than six; and what was sent meanwhile.
fn settled(server: &scripted::Shared<Server>, scripted: &Scripted) -> (i32, Vec<String>) {
    let quiet = |code: i32, before: usize| server.look().asked.len() == before && matches!(code, 0 | 4);
    for _ in 0..6 {
        let before = server.look().asked.len();
        let code = scripted.sync().code;
        if quiet(code, before) {
            return (code, std::mem::take(&mut server.look().asked));
        }
    }
    panic!("{:?}", server.look().asked);
}

#[test]
fn an_update_that_its_batch_says_nothing_of_goes_alone_once_it_is_known_not_to_have_been_done() {
    for read in [READ, GET] {
        let (server, scripted) = stage("", read, "idempotency = { match = \"name\" }");
        scripted.sync().exits(0);
        scripted.world.sql("update orders set name = case name when 'order 1' then 'x' else name || '!' end");
        let (code, asked) = settled(&server, &scripted);
        assert_eq!((code, &asked), (0, &vec!["POST batch".to_owned(), "PATCH o1".to_owned()]), "{read}");
        let names: Vec<Value> = server.look().orders.iter().map(|order| order["name"].clone()).collect();
        assert_eq!(names, ["order 0!", "x", "order 2!"]);
        // Refused then, it is set aside in the words of the upstream.
        scripted.world.sql("update orders set name = 'x.' where name = 'x'");
        let (code, asked) = settled(&server, &scripted);
        assert_eq!((code, &asked), (4, &vec!["POST batch".to_owned(), "PATCH o1".to_owned()]), "{read}");
        let reasons = scripted.world.rows("select reason from sync_quarantine").concat();
        assert!(reasons.len() == 1 && reasons[0].contains("PATCH /orders/o1 422: no dots"), "{reasons:?}");
    }
}

#[test]
fn a_create_that_its_batch_says_nothing_of_is_looked_up_and_then_made_alone() {
    let keyed = "idempotency = { match = \"name\" }";
    let (server, scripted) = stage("", GET, keyed);
    scripted.sync().exits(0);
    scripted.world.sql("insert into orders (name) values ('a'), ('x'), ('x.')");
    let (code, asked) = settled(&server, &scripted);
    assert_eq!((code, asked.len()), (4, 3), "{asked:?}");
    assert_eq!(asked, ["POST batch", "POST ", "POST "]);
    let there: Vec<Value> = server.look().orders.iter().skip(3).map(|order| order["name"].clone()).collect();
    assert_eq!(there, ["a", "x"]);
}

#[test]
fn what_is_only_pushed_goes_alone_as_well() {
    let (server, scripted) = stage("direction = \"push\"", "", "idempotency = { match = \"name\" }");
    server.look().orders.clear();
    scripted.sync();
    scripted.world.sql("insert into orders (name) values ('a')");
    let (code, asked) = settled(&server, &scripted);
    assert_eq!((code, asked), (0, vec!["POST batch".to_owned()]));
    scripted.world.sql("update orders set name = 'x'");
    let (code, asked) = settled(&server, &scripted);
    assert_eq!((code, asked), (0, vec!["POST batch".to_owned(), "PATCH o0".to_owned()]));
    assert_eq!(server.look().orders[0]["name"], "x");
}
