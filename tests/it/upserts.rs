//! An upstream whose records are made under an address that names them, and updated where they are there.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

const RULES: &str = r#"
[upstream.shop]
base_url = "${var.shop_url}"

[collection.customers]
on_remote_delete = "propagate"
match = { keys = [["email"]] }
fields = { email = { type = "text", normalize = ["trim", "lowercase"] }, name = "text", phone = "text" }

[binding.customers.shop]
id = ".id"
created_at = ".created"
map = { email = ".email", name = ".name", phone = ".phone" }

[binding.customers.shop.read]
request = "GET /customers"
records = ".[]"
get = "GET /customers/{id}"
deletes = "absence"
lag = "0s"

[binding.customers.shop.write]
create = { request = { method = "PUT", path = "/customers/by-email/{match}"HEADERS }, idempotency = { match = "email" } }
update = { request = "PATCH /customers/{id}" }
"#;

#[derive(Default)]
struct Server {
    customers: Dated,
    asked: Vec<String>,
    /// The next PUT is done, and its answer lost.
    loses: bool,
    /// One that is not listed, and of which a point read makes no sense.
    hides: Option<String>,
    /// Before the next PUT somebody else makes the record.
    meddles: bool,
}

impl Server {
    fn put(&mut self, email: &str, body: &Value) -> Value {
        let same =
            self.customers.records.iter().find(|(_, (_, one))| one.as_ref().is_some_and(|one| one["email"] == email));
        let id = same.map_or_else(|| format!("c{}", self.customers.change + 1), |(id, _)| id.clone());
        let created = moment(self.customers.change + 1);
        self.customers.set(&id, json!({ "id": id, "created": created, "name": null, "phone": null }), |one, _| {
            for (name, value) in body.as_object().unwrap() {
                one[name] = value.clone();
            }
            one["email"] = json!(email);
        })
    }

    fn patch(&mut self, id: &str, body: &Value) -> Value {
        self.customers.set(id, Value::Null, |one, _| {
            for (name, value) in body.as_object().unwrap() {
                one[name] = value.clone();
            }
        })
    }

    fn all(&self) -> Vec<Value> {
        let shown = self.customers.records.values().filter_map(|(_, one)| one.clone());
        shown.filter(|one| self.hides.as_deref() != one["id"].as_str()).collect()
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    let (method, path) = asked.below("customers");
    server.asked.push(format!("{method} {}", path.join("/")));
    match (method, path.as_slice()) {
        ("GET", []) => answer(200, &Value::Array(server.all())),
        ("GET", [id]) if server.hides.as_deref() == Some(id) => answer(200, &json!({ "data": { "customer": null } })),
        ("GET", [id]) => match server.customers.get(id) {
            Some(one) => answer(200, one),
            None => answer(404, &json!({})),
        },
        ("PUT", ["by-email", email]) => {
            let email = scripted::query(Some(format!("at={email}")))["at"].clone();
            if std::mem::take(&mut server.meddles) {
                server.put(&email, &json!({ "name": "Theirs" }));
            }
            let is_there = server.all().iter().any(|one| one["email"] == email);
            if is_there && asked.header("if-none-match") == "*" {
                return answer(412, &json!({}));
            }
            let one = server.put(&email, &asked.json().unwrap());
            if std::mem::take(&mut server.loses) {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            answer(if is_there { 200 } else { 201 }, &one)
        }
        ("POST", ["upsert"]) => {
            let body = asked.json().unwrap();
            let email = body["email"].as_str().unwrap().to_owned();
            answer(200, &server.put(&email, &body))
        }
        ("PATCH", [id]) => {
            let changed = server.patch(id, &asked.json().unwrap());
            answer(200, &changed)
        }
        _ => answer(405, &json!({})),
    }
}

fn stage(headers: &str) -> (scripted::Shared<Server>, Scripted) {
    let server = scripted::Shared::<Server>::default();
    server.look().put("ann@x.io", &json!({ "name": "Ann" }));
    let rules = RULES.replace("HEADERS", headers);
    (server.clone(), Scripted::new("shop", answered_by(server, serve), &rules))
}

#[test]
fn a_record_is_made_under_the_address_that_names_it_and_once() {
    let (server, scripted) = stage("");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    scripted.world.sql("insert into customers (email, name) values ('b/o+b@x.io', 'Bob'), (null, 'Nobody')");
    let plan = scripted.run(&["plan"]);
    assert!(plan.stdout.contains("PUT /customers/by-email/b/o+b@x.io"), "{plan:#?}");
    server.look().asked.clear();
    server.look().loses = true;
    let ran = scripted.sync();
    assert_eq!(ran.writes(), (1, 0), "{ran:#?}");
    let puts = server.look().asked.iter().filter(|line| line.starts_with("PUT")).cloned().collect::<Vec<_>>();
    assert_eq!(puts, ["PUT by-email/b%2Fo%2Bb%40x.io"; 2], "asked again, for the same record");
    assert_eq!(server.look().all().len(), 2);
    let status = scripted.run(&["status"]);
    assert!(
        status.stdout.contains("`email` has no value, and the address of a create names the record by it"),
        "{status:#?}"
    );
    // Nor is one named by what stands for nothing, which several may have.
    scripted.world.sql("update customers set email = 'n/a' where name = 'Nobody'");
    assert_eq!(scripted.sync().writes(), (0, 0));
    let status = scripted.run(&["status"]);
    assert!(status.stdout.contains("`email` is blank or a placeholder, which is nobody's own"), "{status:#?}");
    scripted.world.sql("delete from customers where name = 'Nobody'");
    scripted.world.sql("update customers set phone = '7' where name = 'Bob'");
    assert_eq!(scripted.sync().writes(), (1, 0));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(server.look().all()[1]["phone"], "7");
}

#[test]
fn a_record_that_somebody_else_made_meanwhile_is_merged_and_not_gone_over_where_the_upstream_can_refuse_that() {
    let (server, scripted) = stage(", headers = { If-None-Match = \"*\" }");
    scripted.sync().exits(0);
    scripted.world.sql("insert into customers (email, phone) values ('cyd@x.io', '7')");
    server.look().meddles = true;
    scripted.sync();
    scripted.sync().exits(0);
    let cyd = server.look().all().into_iter().find(|one| one["email"] == "cyd@x.io").unwrap();
    assert_eq!((&cyd["name"], &cyd["phone"]), (&json!("Theirs"), &json!("7")));
    assert_eq!(scripted.world.rows("select name, phone from customers where email = 'cyd@x.io'"), [["Theirs", "7"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_row_whose_address_is_taken_waits_until_it_has_another_one() {
    let (server, scripted) = stage("");
    scripted.sync().exits(0);
    // One has the address of a record that is there, as it is called here and there; two new ones have the same.
    scripted.world.sql("insert into customers (email, name) values ('Ann@x.io', 'Other Ann'), ('dan@x.io', 'Dan'), ('dan@x.io', 'Dane')");
    let plan = scripted.run(&["plan"]);
    assert_eq!(plan.stdout.matches("PUT /customers/by-email/").count(), 1, "{plan:#?}");
    assert_eq!(scripted.sync().writes(), (1, 0));
    let status = scripted.run(&["status"]);
    assert!(
        status.stdout.contains("a create goes by `email` there, and its value is that of c1 at shop"),
        "{status:#?}"
    );
    assert_eq!(scripted.sync().writes(), (0, 0), "nor later");
    let name = |email: &str| {
        let all = server.look().all();
        all.iter().filter(|one| one["email"] == email).map(|one| one["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(name("ann@x.io"), ["Ann"]);
    assert_eq!(name("dan@x.io").len(), 1);
    let status = scripted.run(&["status"]);
    assert_eq!(status.stdout.matches("there, and its value is that of").count(), 2, "{status:#?}");
    // With values of their own they are made.
    scripted.world.sql("update customers set email = 'ann2@x.io' where name = 'Other Ann'");
    scripted.world.sql("update customers set email = name || '@x.io' where email = 'dan@x.io'");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(server.look().all().len(), 4);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn an_address_that_a_record_gives_up_is_free_when_the_upstream_has_heard_of_it() {
    let (server, scripted) = stage("");
    scripted.sync().exits(0);
    scripted.world.sql("update customers set email = 'new@x.io' where name = 'Ann'");
    scripted.world.sql("insert into customers (email, name) values ('ann@x.io', 'Second Ann')");
    scripted.sync();
    scripted.sync().exits(0);
    let all = server.look().all();
    let told: Vec<_> = all.iter().map(|one| (one["id"].clone(), one["email"].clone(), one["name"].clone())).collect();
    assert_eq!(told[0], (json!("c1"), json!("new@x.io"), json!("Ann")));
    assert_eq!((&told[1].1, &told[1].2), (&json!("ann@x.io"), &json!("Second Ann")));
    assert_eq!(told.len(), 2);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_record_whose_own_answer_makes_no_sense_is_set_aside_and_the_others_are_served() {
    let (server, scripted) = stage("");
    server.look().put("bob@x.io", &json!({ "name": "Bob" }));
    scripted.sync().exits(0);
    scripted.world.sql("update customers set phone = '7' where name = 'Ann'");
    server.look().hides = Some("c2".to_owned());
    assert_eq!(scripted.sync().exits(4).writes(), (1, 0));
    let status = scripted.run(&["status"]);
    assert!(status.stdout.contains("c2 is not listed, and cannot be asked for"), "{status:#?}");
    assert!(status.stdout.contains("an `error` rule with class = \"not_found\" says so"), "{status:#?}");
    server.look().hides = None;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn an_upsert_goes_over_no_record_that_is_known_under_its_key() {
    let (server, scripted) = stage("");
    scripted.world.change_rules("rules.toml", |rules| {
        let create = rules.lines().find(|line| line.starts_with("create =")).unwrap().to_owned();
        rules.replace(&create, "create = { request = \"POST /customers/upsert\", upsert = \"email\" }")
    });
    scripted.sync().exits(0);
    scripted.world.sql(
        "insert into customers (email, name) values ('Ann@x.io', 'Other Ann'), ('dan@x.io', 'Dan'), (' ', 'Blank')",
    );
    assert_eq!(scripted.sync().writes(), (1, 0));
    let status = scripted.run(&["status"]);
    assert!(
        status.stdout.contains("a create goes by `email` there, and its value is that of c1 at shop"),
        "{status:#?}"
    );
    assert!(status.stdout.contains("`email` is blank or a placeholder"), "{status:#?}");
    assert_eq!(server.look().all().iter().map(|one| one["name"].clone()).collect::<Vec<_>>(), ["Ann", "Dan"]);
}
