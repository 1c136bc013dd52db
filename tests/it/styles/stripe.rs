//! Stripe: forms, lists whose pages may be short before `has_more` is false, events of 30 days, customers that are found deleted,
//! idempotency keys, and 429 without a word on how long.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use crate::scripted::{self, Asked, Scripted, answer, answered_by};

#[derive(Default)]
struct Server {
    /// The oldest first.
    customers: Vec<Value>,
    events: Vec<Value>,
    /// So many of the oldest events are forgotten.
    forgotten: usize,
    /// What a key was used for, and what was answered.
    keys: BTreeMap<String, (String, Value)>,
    /// `METHOD PATH FORM` of writes, and the paths of reads.
    sent: Vec<String>,
    read: Vec<String>,
    /// The next write is done, and its answer lost.
    loses: bool,
    /// So many requests are refused for their number.
    throttles: u32,
    /// Pages of lists are shorter than what is asked for.
    short: bool,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, code: &str, param: &str) -> Response {
    answer(
        status,
        &json!({ "error": { "type": "invalid_request_error", "code": code, "param": param, "message": code } }),
    )
}

/// The newest first, as far as they are asked for; `None` where the place to go on from is unknown.
fn page(all: &[Value], asked: &Asked, most: usize) -> Option<Value> {
    let newest: Vec<&Value> = all.iter().rev().collect();
    let at = |name: &str| asked.query.get(name).map(|id| newest.iter().position(|one| one["id"] == id.as_str()));
    let limit = asked.query.get("limit").map_or(10, |limit| limit.parse::<usize>().unwrap().min(most));
    let (some, more) = match (at("starting_after"), at("ending_before")) {
        (Some(None), _) | (_, Some(None)) | (Some(_), Some(_)) => return None,
        // Those next to it, not the newest of all.
        (None, Some(Some(at))) => (&newest[at.saturating_sub(limit)..at], at > limit),
        (after, None) => {
            let from = after.flatten().map_or(0, |at| at + 1);
            let to = newest.len().min(from + limit);
            (&newest[from..to], to < newest.len())
        }
    };
    Some(json!({ "object": "list", "data": some, "has_more": more }))
}

impl Server {
    fn tell(&mut self, kind: &str, customer: &Value) {
        let id = format!("evt_{}", self.events.len() + 1);
        self.events.push(json!({ "id": id, "object": "event", "type": kind, "data": { "object": customer } }));
    }

    fn put(&mut self, id: &str, form: &BTreeMap<String, String>) -> Value {
        let at = self.customers.iter().position(|one| one["id"] == id).unwrap_or(self.customers.len());
        if at == self.customers.len() {
            self.customers.push(json!({
                "id": id, "object": "customer", "created": 1_767_225_600 + at, "email": null, "name": null, "address": null, "metadata": {},
            }));
        }
        let customer = &mut self.customers[at];
        for (name, text) in form {
            let value = if text.is_empty() { Value::Null } else { json!(text) };
            let Some((outer, inner)) = name.split_once('[') else {
                customer[name] = value;
                continue;
            };
            if customer[outer].is_null() {
                customer[outer] = Value::Object(Map::new());
            }
            let (members, inner) = (customer[outer].as_object_mut().unwrap(), inner.trim_end_matches(']'));
            // An empty value takes a member away.
            if value.is_null() {
                members.remove(inner);
            } else {
                members.insert(inner.to_owned(), value);
            }
        }
        let customer = customer.clone();
        self.tell("customer.updated", &customer);
        customer
    }

    fn make(&mut self, form: &BTreeMap<String, String>) -> Value {
        self.put(&format!("cus_{}", self.customers.len() + 1), form)
    }

    fn edit(&mut self, id: &str, form: &str) {
        self.put(id, &scripted::query(Some(form.to_owned())));
    }

    fn remove(&mut self, id: &str) -> Value {
        let gone = json!({ "id": id, "object": "customer", "deleted": true });
        let customer = self.customers.iter_mut().find(|one| one["id"] == id).unwrap();
        *customer = gone.clone();
        self.tell("customer.deleted", &gone);
        gone
    }

    fn live(&self) -> Vec<Value> {
        self.customers.iter().filter(|one| one["deleted"] != true).cloned().collect()
    }

    fn write(&mut self, asked: &Asked, target: Option<&str>) -> Response {
        let Some(form) = asked.form() else { return error(400, "parameter_unknown", "body") };
        let known = |name: &&String| ["email", "name", "address[city]", "metadata[crm_id]"].contains(&name.as_str());
        if let Some(unknown) = form.keys().find(|name| !known(name)) {
            return error(400, "parameter_unknown", unknown);
        }
        let (key, sent) = (asked.header("idempotency-key").to_owned(), format!("{target:?} {form:?}"));
        if let Some((before, made)) = self.keys.get(&key) {
            return if *before == sent { answer(200, made) } else { error(400, "idempotency_error", "") };
        }
        let customer = match target {
            None => self.make(&form),
            Some(id) if self.live().iter().any(|one| one["id"] == id) => self.put(id, &form),
            Some(_) => return error(404, "resource_missing", "id"),
        };
        if !key.is_empty() {
            self.keys.insert(key, (sent, customer.clone()));
        }
        if std::mem::take(&mut self.loses) {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        answer(200, &customer)
    }

    fn list(&mut self, asked: &Asked, what: &str) -> Response {
        let known = ["limit", "starting_after", "ending_before", if what == "events" { "type" } else { "email" }];
        if let Some(unknown) = asked.query.keys().find(|name| !known.contains(&name.as_str())) {
            return error(400, "parameter_unknown", unknown);
        }
        let found = if what == "events" {
            page(&self.events[self.forgotten..], asked, 3)
        } else {
            // Two a page, or one: what cannot be seen is left out after a page was cut.
            page(&self.live(), asked, if std::mem::take(&mut self.short) { 1 } else { 2 })
        };
        let param = if asked.query.contains_key("ending_before") { "ending_before" } else { "starting_after" };
        found.map_or_else(|| error(400, "resource_missing", param), |found| answer(200, &found))
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if !asked.is_signed_in() {
        return error(401, "api_key_invalid", "");
    }
    if asked.header("stripe-version") != "2024-06-20" {
        return error(400, "version_unknown", "");
    }
    if let Some(left) = server.throttles.checked_sub(1) {
        server.throttles = left;
        return error(429, "lock_timeout", "");
    }
    let (method, path) = asked.below("");
    if method == "GET" {
        server.read.push(path.join("/"));
    } else {
        let form: Vec<String> =
            asked.form().unwrap_or_default().iter().map(|(name, text)| format!("{name}={text}")).collect();
        server.sent.push(format!("{method} {} {}", path.join("/"), form.join("&")));
    }
    match (method, path.as_slice()) {
        ("GET", [what @ ("customers" | "events")]) => server.list(asked, what),
        ("GET", ["customers", id]) => match server.customers.iter().find(|one| one["id"] == *id) {
            Some(one) => answer(200, one),
            None => error(404, "resource_missing", "id"),
        },
        ("POST", ["customers"]) => server.write(asked, None),
        ("POST", ["customers", id]) => server.write(asked, Some(id)),
        ("DELETE", ["customers", id]) if server.live().iter().any(|one| one["id"] == *id) => {
            let gone = server.remove(id);
            answer(200, &gone)
        }
        ("DELETE", ["customers", _]) => error(404, "resource_missing", "id"),
        _ => error(404, "url_invalid", ""),
    }
}

fn stage(customers: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=customers {
        server.look().edit(&format!("cus_{n}"), &format!("email={n}@x.test&name=N{n}"));
    }
    let rules = include_str!("../../../sync-rules/examples/stripe/customers.toml");
    (server.clone(), Scripted::new("stripe", answered_by(server, serve), rules))
}

impl Server {
    fn sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent)
    }

    fn read(&mut self) -> Vec<String> {
        std::mem::take(&mut self.read)
    }
}

#[track_caller]
fn is_quiet(server: &Shared, scripted: &Scripted) {
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
        assert_eq!(server.look().sent(), Vec::<String>::new());
    }
}

#[test]
fn customers_follow_their_events_both_ways_and_are_written_as_forms() {
    let (server, scripted) = stage(5);
    let world = &scripted.world;
    let names = || world.rows("select name from customers order by name").concat();
    // A short page is not the last one.
    server.look().short = true;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(server.look().read(), ["events", "customers", "customers", "customers"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(server.look().read(), ["events"], "nothing has happened, and nothing else is asked for");

    // Values are escaped, members of objects are named in brackets, what is empty is taken away.
    world.sql("update customers set crm_id = 'c 7', city = 'Köln & Bonn' where name = 'N2'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().sent(), ["POST customers/cus_2 address[city]=Köln & Bonn&metadata[crm_id]=c 7"]);
    is_quiet(&server, &scripted);
    world.sql("update customers set crm_id = null, name = 'A+B=C' where name = 'N2'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().sent(), ["POST customers/cus_2 metadata[crm_id]=&name=A+B=C"]);

    // Both ways at once: more events than one answer has, one of them of a customer that is deleted.
    for n in 1..=4 {
        server.look().edit("cus_1", &format!("name=Theirs {n}"));
    }
    server.look().remove("cus_3");
    server.look().edit("cus_6", "name=New&email=6@x.test");
    world.sql("delete from customers where name = 'N4'");
    world.sql("insert into customers (email, name, crm_id) values ('new@x.test', 'Neu', 'c9')");
    assert_eq!(scripted.sync().exits(0).writes(), (2, 3));
    let mut sent = server.look().sent();
    sent.sort();
    assert_eq!(sent, ["DELETE customers/cus_4 ", "POST customers email=new@x.test&metadata[crm_id]=c9&name=Neu"]);
    assert_eq!(names(), ["A+B=C", "N5", "Neu", "New", "Theirs 4"]);
    is_quiet(&server, &scripted);
    assert_eq!(server.look().live().len(), 5);
}

#[test]
fn a_customer_whose_answer_was_lost_is_made_once_by_its_key() {
    let (server, scripted) = stage(1);
    scripted.sync().exits(0);
    server.look().loses = true;
    scripted.world.sql("insert into customers (email, name) values ('new@x.test', 'Neu')");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().sent().len(), 2, "asked again");
    assert_eq!(server.look().live().len(), 2);
    assert_eq!(server.look().keys.len(), 1);
    is_quiet(&server, &scripted);
}

#[test]
fn a_customer_that_is_locked_or_asked_for_too_often_is_asked_for_again() {
    let (server, scripted) = stage(3);
    server.look().throttles = 2;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 3));
    server.look().throttles = 1;
    scripted.world.sql("update customers set name = 'Bob' where name = 'N1'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().live()[0]["name"], "Bob");
    server.look().sent();
    is_quiet(&server, &scripted);
}

#[test]
fn events_that_are_older_than_what_is_kept_lead_to_a_listing_of_everything() {
    let (server, scripted) = stage(3);
    scripted.sync().exits(0);
    server.look().edit("cus_1", "name=Theirs");
    let all = server.look().events.len();
    server.look().forgotten = all;
    server.look().read();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert!(server.look().read().iter().filter(|path| *path == "customers").count() == 2);
    // Nothing is kept at all: there is no event to go on from, and everything is listed until there is one.
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(server.look().read(), ["events", "events", "customers", "customers"]);
    server.look().edit("cus_2", "name=Bob");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    server.look().read();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(server.look().read(), ["events"]);
}
