//! Changes of state that are calls of their own: `POST /orders/{id}/pay`, the lock of an issue.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::on_loopback;
use crate::world::World;

const ORDERS: &str = r#"
[upstream.shop]
base_url = "URL"
[collection.orders]
[collection.orders.fields]
name = "text"
status = "text"
[binding.orders.shop]
id = ".id"
version = ".rev"
map = { name = ".name", status = ".status" }
read = { request = "GET /orders", records = ".[]", get = "GET /orders/{id}" }
[binding.orders.shop.write]
create = { request = "POST /orders", idempotency = { match = "name" } }
update = { request = "PATCH /orders/{id}", precondition = { header = "If-Match", value = "{version}" } }
[[binding.orders.shop.write.transition]]
field = "status"
from = "open"
to = "paid"
request = { method = "POST", path = "/orders/{id}/pay", headers = { Idempotency-Key = "{key}" } }
body = '{name: .record.name, was: .remote.status, to: .changed.status}'
precondition = { header = "If-Match", value = "{version}" }
[[binding.orders.shop.write.transition]]
field = "status"
from = ["open", "paid"]
to = "cancelled"
request = "POST /orders/{id}/cancel"
[[binding.orders.shop.write.transition]]
field = "status"
from = "cancelled"
to = "open"
request = "POST /orders/{id}/reopen"
order = "before"
"#;

/// What goes wrong with the next call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mishap {
    /// It is done, and the answer says that something broke.
    Answer,
    /// It is not done, and the answer says that something broke.
    Call,
    /// It is refused.
    Refused,
}

#[derive(Default)]
struct Server {
    records: BTreeMap<String, Value>,
    asked: Vec<String>,
    bodies: Vec<Value>,
    keys: Vec<String>,
    mishap: Option<Mishap>,
    issues: bool,
    /// What was done, by a call or an update.
    done: Vec<String>,
    /// What somebody else does right after the next call.
    then: Vec<Value>,
    killer: Option<Killer>,
}

/// Ends the program in the middle of a pass.
struct Killer {
    /// At the request of this number, from 0; of each there are two: before and after it is done.
    moment: usize,
    passed: usize,
    now: mpsc::Sender<bool>,
    ended: mpsc::Receiver<()>,
}

impl Killer {
    fn strike(&mut self) {
        if self.passed == self.moment {
            self.now.send(true).unwrap();
            self.ended.recv().unwrap();
        }
        self.passed += 1;
    }
}

type Shared = Arc<Mutex<Server>>;

async fn serve(State(server): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut server = server.lock().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let steps: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
    let steps = if server.issues { &steps[2..] } else { &steps[..] };
    server.strike();
    let (status, answer) = server.answer(method.as_str(), &steps[1..], &headers, &body);
    server.strike();
    let text = if answer.is_null() { String::new() } else { answer.to_string() };
    (StatusCode::from_u16(status).unwrap(), text).into_response()
}

impl Server {
    fn strike(&mut self) {
        if let Some(killer) = &mut self.killer {
            killer.strike();
        }
    }

    fn answer(&mut self, method: &str, steps: &[&str], headers: &HeaderMap, body: &Value) -> (u16, Value) {
        if method != "GET" {
            self.asked.push(format!("{method} {}", steps.join("/")));
            self.bodies.push(body.clone());
            let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
            self.keys.extend(key);
        }
        let (id_at, state_at) = if self.issues { ("number", "locked") } else { ("id", "status") };
        match (method, steps) {
            ("GET", []) => (200, self.records.values().cloned().collect()),
            ("POST", []) => {
                let id = self.records.len() + 1;
                let mut made = json!({ "rev": "1", "locked": false });
                made[id_at] = if self.issues { json!(id) } else { json!(id.to_string()) };
                if !self.issues {
                    made["status"] = json!("open");
                }
                merge(&mut made, body);
                self.records.insert(id.to_string(), made.clone());
                (201, made)
            }
            (_, [id, call @ ..]) => {
                let mishap = if call.is_empty() { None } else { self.mishap.take() };
                let Some(record) = self.records.get_mut(*id) else { return (404, json!({})) };
                let version = headers.get("if-match").map(|version| version.to_str().unwrap());
                if version.is_some_and(|version| record["rev"] != version) {
                    return (412, json!({}));
                }
                match mishap {
                    Some(Mishap::Call) => return (502, json!({ "message": "broke" })),
                    Some(Mishap::Refused) => return (422, json!({ "message": "no money" })),
                    Some(Mishap::Answer) | None => {}
                }
                match (method, call) {
                    ("GET", []) => return (200, record.clone()),
                    ("PATCH", []) => {
                        assert!(body.get(state_at).is_none(), "the state is no part of it: {body}");
                        merge(record, body);
                    }
                    ("POST", ["pay"]) => record["status"] = json!("paid"),
                    ("POST", ["cancel"]) => record["status"] = json!("cancelled"),
                    ("POST", ["reopen"]) => record["status"] = json!("open"),
                    ("PUT", ["lock"]) => record["locked"] = json!(true),
                    ("DELETE", ["lock"]) => record["locked"] = json!(false),
                    _ => return (405, json!({})),
                }
                let rev: u32 = record["rev"].as_str().unwrap().parse().unwrap();
                record["rev"] = json!((rev + 1).to_string());
                self.done.push(format!("{method} {}", steps.join("/")));
                for (more, change) in
                    (2..).zip(if call.is_empty() { Vec::new() } else { std::mem::take(&mut self.then) })
                {
                    merge(record, &change);
                    record["rev"] = json!((rev + more).to_string());
                }
                if mishap == Some(Mishap::Answer) {
                    return (502, json!({ "message": "broke" }));
                }
                if method == "PATCH" { (200, record.clone()) } else { (204, Value::Null) }
            }
            _ => (405, json!({})),
        }
    }
}

fn merge(record: &mut Value, body: &Value) {
    for (name, value) in body.as_object().unwrap() {
        record[name] = value.clone();
    }
}

struct Stage {
    world: World,
    server: Shared,
    /// Serves until it is dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new(rules: &str, issues: bool) -> Self {
        let server = Arc::new(Mutex::new(Server { issues, ..Server::default() }));
        let router = Router::new().fallback(serve).with_state(server.clone());
        let (runtime, url) = on_loopback(router);
        let world = World::new();
        world.rules("rules.toml", &rules.replace("URL", &url));
        Self { world, server, _runtime: runtime }
    }

    /// Orders 1, 2 … in these states.
    fn with_orders(states: &[&str]) -> Self {
        let stage = Self::new(ORDERS, false);
        for (at, state) in states.iter().enumerate() {
            let id = (at + 1).to_string();
            let order = json!({ "id": id, "rev": "1", "name": format!("o{id}"), "status": state });
            stage.server.lock().unwrap().records.insert(id, order);
        }
        let all = u64::try_from(states.len()).unwrap();
        assert_eq!(stage.world.sync().exits(0).writes(), (0, all));
        stage
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.server.lock().unwrap().asked)
    }

    fn order(&self, id: &str) -> Value {
        self.server.lock().unwrap().records[id].clone()
    }

    #[track_caller]
    fn is_quiet(&self) {
        assert_eq!(self.world.sync().exits(0).writes(), (0, 0));
        assert_eq!(self.asked(), Vec::<String>::new());
    }
}

#[test]
fn a_state_goes_by_its_call_after_the_update_of_the_rest_and_the_next_pass_is_quiet() {
    let stage = Stage::with_orders(&["open", "open"]);
    stage.world.sql("update orders set name = 'Ann', status = 'paid' where name = 'o1'");
    let planned: Value = serde_json::from_str(&stage.world.run(&["--json", "plan"]).exits(3).stdout).unwrap();
    let planned = &planned["passes"][0];
    let requests: Vec<&Value> = planned["changes"].as_array().unwrap().iter().map(|one| &one["request"]).collect();
    assert_eq!(requests, ["PATCH /orders/1", "POST /orders/1/pay"]);
    assert_eq!(planned["upstreams"][0]["planned"]["updated"], 2);
    assert_eq!(stage.asked(), Vec::<String>::new());

    let synced = stage.world.sync().exits(0);
    assert_eq!(synced.writes(), (2, 0));
    assert_eq!(synced.report("orders")["upstreams"][0]["planned"]["updated"], 2);
    assert_eq!(stage.asked(), ["PATCH 1", "POST 1/pay"]);
    assert_eq!(stage.order("1"), json!({ "id": "1", "rev": "3", "name": "Ann", "status": "paid" }));
    let (bodies, keys) = {
        let server = stage.server.lock().unwrap();
        (server.bodies.clone(), server.keys.clone())
    };
    assert_eq!(bodies, [json!({ "name": "Ann" }), json!({ "name": "Ann", "was": "open", "to": "paid" })]);
    assert_eq!(keys.len(), 1, "the call's own operation id");
    stage.is_quiet();

    // From there it comes back as any other edit of theirs.
    merge(stage.server.lock().unwrap().records.get_mut("2").unwrap(), &json!({ "status": "paid", "rev": "2" }));
    assert_eq!(stage.world.sync().exits(0).writes(), (0, 1));
    assert_eq!(stage.world.rows("select status from orders where name = 'o2'"), [["paid"]]);
    stage.is_quiet();
}

#[test]
fn a_call_that_is_declared_to_come_before_does_and_a_create_begins_in_the_first_state() {
    let stage = Stage::with_orders(&["cancelled"]);
    stage.world.sql("update orders set name = 'Ann', status = 'open'");
    assert_eq!(stage.world.sync().exits(0).writes(), (2, 0));
    assert_eq!(stage.asked(), ["POST 1/reopen", "PATCH 1"]);
    stage.is_quiet();

    stage.world.sql("insert into orders (name, status) values ('new', 'paid')");
    assert_eq!(stage.world.sync().exits(0).writes(), (2, 0));
    assert_eq!(stage.asked(), ["POST ", "POST 2/pay"]);
    assert_eq!(stage.server.lock().unwrap().bodies[2], json!({ "name": "new" }));
    assert_eq!(stage.order("2")["status"], "paid");
    stage.is_quiet();
    assert_eq!(stage.world.rows("select status from orders where name = 'new'"), [["paid"]]);
}

#[test]
fn a_change_without_a_transition_stops_that_field_alone_and_status_says_why() {
    let stage = Stage::with_orders(&["paid"]);
    stage.world.sql("update orders set name = 'Ann', status = 'open'");
    assert_eq!(stage.world.sync().exits(4).writes(), (1, 0));
    assert_eq!(stage.asked(), ["PATCH 1"]);
    let reason = "status cannot go from `paid` to `open` at shop: no `write.transition` does that";
    let status = stage.world.run(&["--json", "status"]);
    assert!(status.stdout.contains(&reason.replace('"', "\\\"")), "{status:?}");
    assert_eq!(stage.world.sync().exits(4).writes(), (0, 0));
    assert_eq!(stage.asked(), Vec::<String>::new());
    assert_eq!(stage.world.rows("select status from orders"), [["open"]]);

    // Where it can go now, it goes.
    stage.world.sql("update orders set status = 'cancelled'");
    assert_eq!(stage.world.sync().exits(0).writes(), (1, 0));
    assert_eq!(stage.asked(), ["POST 1/cancel"]);
    stage.is_quiet();
}

#[test]
fn a_call_without_an_answer_is_settled_by_reading_and_never_repeated_blindly() {
    let stage = Stage::with_orders(&["open", "open"]);
    stage.server.lock().unwrap().mishap = Some(Mishap::Answer);
    stage.world.sql("update orders set status = 'cancelled' where name = 'o1'");
    assert_eq!(stage.world.sync().exits(0).writes(), (1, 0));
    assert_eq!(stage.asked(), ["POST 1/cancel"], "the read shows that it was done");
    stage.is_quiet();

    stage.server.lock().unwrap().mishap = Some(Mishap::Call);
    stage.world.sql("update orders set status = 'cancelled' where name = 'o2'");
    stage.world.sync();
    stage.world.sync();
    assert_eq!(stage.order("2")["status"], "cancelled");
    assert_eq!(stage.asked(), ["POST 2/cancel"; 2], "the read shows that it was not");
    stage.is_quiet();
}

#[test]
fn a_refused_call_is_told_and_not_repeated_until_something_changes() {
    let stage = Stage::with_orders(&["open"]);
    stage.server.lock().unwrap().mishap = Some(Mishap::Refused);
    stage.world.sql("update orders set status = 'paid', name = 'Ann'");
    assert_eq!(stage.world.sync().exits(4).writes(), (1, 0));
    assert_eq!(stage.asked(), ["PATCH 1", "POST 1/pay"]);
    assert!(stage.world.run(&["--json", "status"]).stdout.contains("no money"));
    assert_eq!(stage.world.sync().exits(4).writes(), (0, 0));
    assert_eq!(stage.asked(), Vec::<String>::new());
    stage.world.sql("update orders set name = 'Bea'");
    assert_eq!(stage.world.sync().exits(0).writes(), (2, 0));
    assert_eq!(stage.asked(), ["PATCH 1", "POST 1/pay"]);
    stage.is_quiet();
}

#[test]
fn issues_are_locked_and_unlocked_as_the_example_says() {
    let rules = include_str!("../../sync-rules/examples/github/issues.toml")
        .replace("${var.github_url}", "URL")
        .replace("/repos/${var.github_repository}", "/them/widgets")
        .replace("auth = { kind = \"bearer\", token = \"${secret.github}\" }", "");
    let stage = Stage::new(&rules, true);
    for number in 1..=3 {
        let issue = json!({ "number": number, "title": format!("t{number}"), "body": null, "state": "open", "locked": false, "rev": "1", "updated_at": "2026-01-01T00:00:00Z" });
        stage.server.lock().unwrap().records.insert(number.to_string(), issue);
    }
    merge(stage.server.lock().unwrap().records.get_mut("3").unwrap(), &json!({ "pull_request": {} }));
    assert_eq!(stage.world.sync().exits(0).writes(), (0, 2));
    stage.world.sql("update issues set locked = 1, state = 'closed' where title = 't1'");
    stage.world.sql("insert into issues (title, state, locked) values ('mine', 'open', 0)");
    assert_eq!(stage.world.sync().exits(0).writes(), (3, 0));
    let mut asked = stage.asked();
    asked.sort();
    assert_eq!(asked, ["PATCH 1", "POST ", "PUT 1/lock"]);
    assert!(stage.server.lock().unwrap().bodies.contains(&json!({ "lock_reason": "resolved" })));
    stage.is_quiet();
    stage.world.sql("update issues set locked = 0 where title = 't1'");
    assert_eq!(stage.world.sync().exits(0).writes(), (1, 0));
    assert_eq!(stage.asked(), ["DELETE 1/lock"]);
    merge(
        stage.server.lock().unwrap().records.get_mut("2").unwrap(),
        &json!({ "locked": true, "rev": "2", "updated_at": "2026-01-02T00:00:00Z" }),
    );
    assert_eq!(stage.world.full_sync().exits(0).writes(), (0, 1));
    assert_eq!(stage.world.rows("select locked from issues where title = 't2'"), [["1"]]);
    stage.is_quiet();
}

/// Orders that can also be locked, before anything else.
fn with_locks() -> String {
    let lock = "[[binding.orders.shop.write.transition]]\nfield = \"locked\"\norder = \"before\"\n";
    format!(
        "{}{lock}to = true\nrequest = \"PUT /orders/{{id}}/lock\"\n{lock}to = false\nrequest = \"DELETE /orders/{{id}}/lock\"\n",
        ORDERS
            .replace("status = \"text\"", "status = \"text\"\nlocked = \"boolean\"")
            .replace("status = \".status\"", "status = \".status\", locked = \".locked\"")
    )
}

#[test]
fn killed_at_any_request_of_a_write_in_parts_each_part_is_done_once() {
    let stage = Stage::new(&with_locks(), false);
    for id in 1..=40 {
        let id = id.to_string();
        let order = json!({ "id": id, "rev": "1", "name": format!("o{id}"), "status": "open", "locked": false });
        stage.server.lock().unwrap().records.insert(id, order);
    }
    assert_eq!(stage.world.sync().exits(0).writes(), (0, 40));
    let mut ended = false;
    for moment in 0..39 {
        let id = (moment + 1).to_string();
        stage.world.sql(&format!("update orders set name = 'n', status = 'paid', locked = 1 where name = 'o{id}'"));
        let (now, told) = mpsc::channel();
        let (end, killed) = mpsc::channel();
        stage.server.lock().unwrap().killer = Some(Killer { moment, passed: 0, now: now.clone(), ended: killed });
        let mut child =
            stage.world.command().args(["run", "--once"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid = child.id().to_string();
        let waiting = std::thread::spawn(move || {
            child.wait().unwrap();
            now.send(false).unwrap();
        });
        let strikes = told.recv().unwrap();
        if strikes {
            assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        }
        waiting.join().unwrap();
        end.send(()).unwrap();
        stage.server.lock().unwrap().killer = None;
        stage.world.sync().exits(0);
        let done = std::mem::take(&mut stage.server.lock().unwrap().done);
        let wanted = [format!("PUT {id}/lock"), format!("PATCH {id}"), format!("POST {id}/pay")];
        assert_eq!(done, wanted, "killed at moment {moment}");
        let now = stage.order(&id);
        assert_eq!((&now["name"], &now["status"], &now["locked"]), (&json!("n"), &json!("paid"), &json!(true)));
        stage.asked();
        stage.is_quiet();
        ended = !strikes;
        if ended {
            break;
        }
    }
    assert!(ended, "a whole pass has fewer requests");
}

#[test]
fn a_row_without_a_state_takes_the_one_that_its_order_begins_in() {
    let stage = Stage::with_orders(&["paid"]);
    stage.world.sql("insert into orders (name) values ('new')");
    stage.world.sync().exits(0);
    assert_eq!(stage.asked(), ["POST "]);
    assert_eq!(stage.world.rows("select status from orders where name = 'new'"), [["open"]]);
    stage.is_quiet();
}

#[test]
fn a_call_goes_from_where_the_state_is_now_and_not_from_where_it_was() {
    let rules = ORDERS.replace(
        "[collection.orders]\n",
        "[collection.orders]\npriority = [\"local\", \"shop\"]\nmerge = [\"source_priority\"]\n",
    );
    let stage = Stage::new(&rules, false);
    for id in ["1", "2"] {
        let order = json!({ "id": id, "rev": "1", "name": format!("o{id}"), "status": "open" });
        stage.server.lock().unwrap().records.insert(id.to_owned(), order);
    }
    stage.world.sync().exits(0);
    // From paid it can be cancelled; from cancelled it cannot be paid.
    merge(stage.server.lock().unwrap().records.get_mut("1").unwrap(), &json!({ "status": "paid", "rev": "2" }));
    merge(stage.server.lock().unwrap().records.get_mut("2").unwrap(), &json!({ "status": "cancelled", "rev": "2" }));
    stage.world.sql("update orders set status = 'cancelled' where name = 'o1'");
    stage.world.sql("update orders set status = 'paid' where name = 'o2'");
    stage.world.sync().exits(4);
    assert_eq!(stage.asked(), ["POST 1/cancel"]);
    let status = stage.world.run(&["--json", "status"]);
    assert!(status.stdout.contains("status cannot go from `cancelled` to `paid`"), "{status:?}");
    assert_eq!(stage.order("2")["status"], "cancelled");
    // In a pass of its own it would begin anew with what is there.
    stage.world.sql("update orders set status = 'cancelled' where name = 'o2'");
    stage.world.sync().exits(0);
    stage.is_quiet();
}

#[test]
fn a_state_that_moved_on_after_a_call_without_an_answer_is_merged_and_the_call_not_repeated() {
    let stage = Stage::with_orders(&["open"]);
    {
        let mut server = stage.server.lock().unwrap();
        server.mishap = Some(Mishap::Answer);
        server.then = vec![json!({ "status": "open" }), json!({ "status": "paid" })];
    }
    stage.world.sql("update orders set status = 'cancelled'");
    for asked in [vec!["POST 1/cancel"], vec![]] {
        // Two sides say otherwise, and nothing orders them: a person decides.
        let ran = stage.world.sync().exits(4);
        assert_eq!(ran.report("orders")["conflicts_open"], 1);
        assert_eq!(stage.asked(), asked);
        assert_eq!(stage.order("1")["status"], "paid");
        assert_eq!(stage.world.rows("select status from orders"), [["cancelled"]]);
    }
}

#[test]
fn a_call_that_the_rules_do_not_have_any_more_is_not_made_when_its_turn_comes() {
    let stage = Stage::with_orders(&["open", "open"]);
    stage.server.lock().unwrap().mishap = Some(Mishap::Refused);
    stage.world.sql("update orders set status = 'paid', name = 'Ann' where name = 'o1'");
    stage.world.sync().exits(4);
    assert_eq!(stage.asked(), ["PATCH 1", "POST 1/pay"]);
    stage.world.change_rules("rules.toml", |rules| rules.replace("to = \"paid\"", "to = \"paid_by_card\""));
    stage.world.sync().exits(4);
    assert_eq!(stage.asked(), Vec::<String>::new());
    let status = stage.world.run(&["--json", "status"]);
    assert!(status.stdout.contains("status cannot go from `open` to `paid`"), "{status:?}");
    assert_eq!(stage.world.rows("select count(*) from sync_intent").concat(), ["0"]);
    // Where they have it again, it is made.
    stage.world.change_rules("rules.toml", |rules| rules.replace("to = \"paid_by_card\"", "to = \"paid\""));
    stage.world.sync().exits(0);
    assert_eq!(stage.asked(), ["POST 1/pay"]);
    stage.is_quiet();
}
