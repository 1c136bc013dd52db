//! Airtable: places in a listing that expire, cells that are left out where they are empty, ten records a request.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use crate::scripted::{self, Scripted, answer, moment, query};

#[derive(Default)]
struct Server {
    /// Cells by record.
    records: BTreeMap<String, Map<String, Value>>,
    change: usize,
    asked: Vec<String>,
    /// The next place that is asked for has expired.
    expires: bool,
}

type Shared = scripted::Shared<Server>;

impl Server {
    fn set(&mut self, id: &str, cells: &Value) -> Value {
        self.change += 1;
        let record = self.records.entry(id.to_owned()).or_default();
        for (name, value) in cells.as_object().unwrap() {
            record.insert(name.clone(), value.clone());
        }
        // What is empty is no cell.
        record.retain(|_, value| *value != json!(null) && *value != json!(false) && *value != json!(""));
        record.insert("Last modified".to_owned(), json!(moment(self.change)));
        self.shown(id).unwrap()
    }

    fn shown(&self, id: &str) -> Option<Value> {
        Some(json!({ "id": id, "createdTime": "2026-01-01T00:00:00.000Z", "fields": self.records.get(id)? }))
    }

    fn cell(&self, id: &str, name: &str) -> Option<Value> {
        self.records[id].get(name).cloned()
    }
}

/// Two records a page.
async fn list(State(server): State<Shared>, RawQuery(text): RawQuery) -> Response {
    let asked = query(text);
    let mut server = server.look();
    let from: usize = asked.get("offset").map_or(0, |offset| offset.strip_prefix("itr/").unwrap().parse().unwrap());
    server.asked.push(format!("list {from}"));
    if from > 0 && std::mem::take(&mut server.expires) {
        return answer(422, &json!({ "error": { "type": "LIST_RECORDS_ITERATOR_NOT_AVAILABLE" } }));
    }
    let all: Vec<Value> = server.records.keys().filter_map(|id| server.shown(id)).collect();
    let mut body = json!({ "records": all.iter().skip(from).take(2).collect::<Vec<_>>() });
    if all.len() > from + 2 {
        body["offset"] = json!(format!("itr/{}", from + 2));
    }
    answer(200, &body)
}

async fn create(State(server): State<Shared>, body: Bytes) -> Response {
    let mut server = server.look();
    let id = format!("made{}", server.change);
    let body: Value = serde_json::from_slice(&body).unwrap();
    answer(200, &server.set(&id, &body["fields"]))
}

/// Ten records at most, all or none.
async fn patch_many(State(server): State<Shared>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let items = body["records"].as_array().unwrap();
    let mut server = server.look();
    server.asked.push(format!("patch {}", items.len()));
    if items.len() > 10 || items.iter().any(|item| item["fields"]["Name"] == "not a name") {
        return answer(422, &json!({ "error": { "type": "INVALID_VALUE_FOR_COLUMN" } }));
    }
    let done: Vec<Value> = items.iter().map(|item| server.set(item["id"].as_str().unwrap(), &item["fields"])).collect();
    answer(200, &json!({ "records": done }))
}

fn found(record: Option<Value>) -> Response {
    match record {
        Some(record) => answer(200, &record),
        None => answer(404, &json!({ "error": "NOT_FOUND" })),
    }
}

async fn one(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    found(server.look().shown(&id))
}

async fn patch(State(server): State<Shared>, Path(id): Path<String>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    answer(200, &server.look().set(&id, &body["fields"]))
}

async fn delete(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    server.look().records.remove(&id);
    answer(200, &json!({ "id": id, "deleted": true }))
}

fn stage(records: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    let router = Router::new()
        .route("/Contacts", get(list).post(create).patch(patch_many))
        .route("/Contacts/{id}", get(one).patch(patch).delete(delete))
        .with_state(server.clone());
    // The second is no concern of this test.
    let rules =
        include_str!("../../../sync-rules/examples/airtable/contacts.toml").replace("limit = 5,", "limit = 500,");
    for n in 1..=records {
        let cells = json!({ "Name": format!("Ann {n:02}"), "Email": format!("p{n}@x.io"), "Done": n == 1 });
        server.look().set(&format!("rec{n:02}"), &cells);
    }
    (server, Scripted::new("airtable", router, &rules))
}

#[test]
fn a_listing_whose_place_has_expired_begins_anew_and_an_empty_cell_is_a_value() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    server.look().expires = true;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["list 0", "list 2", "list 0", "list 2", "list 4"]);
    assert_eq!(scripted.world.rows("select count(*), sum(done) from contacts"), [["5", "1"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));

    // Emptied on either side, and a box that is no longer ticked.
    server.look().set("rec02", &json!({ "Name": null }));
    server.look().set("rec01", &json!({ "Done": false }));
    scripted.world.sql("update contacts set name = null where email = 'p3@x.io'");
    scripted.world.sql("update contacts set done = 1 where email = 'p4@x.io'");
    assert_eq!(scripted.sync().exits(0).writes(), (2, 2));
    let row =
        |email: &str| scripted.world.rows(&format!("select name is null, done from contacts where email = '{email}'"));
    assert_eq!([row("p2@x.io"), row("p1@x.io")], [[["1", "0"]], [["0", "0"]]]);
    let cells = [("rec03", "Name"), ("rec04", "Done")].map(|(id, name)| server.look().cell(id, name));
    assert_eq!(cells, [None, Some(json!(true))]);
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }

    // Gone and new on each side; what went is asked for once more, since it is only missing in the listing.
    server.look().records.remove("rec05");
    scripted.world.sql("delete from contacts where email = 'p4@x.io'");
    scripted.world.sql("insert into contacts (name, email, done) values ('Dan', 'dan@x.io', 0)");
    server.look().expires = true;
    assert_eq!(scripted.sync().exits(0).writes(), (2, 1));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    let left: Vec<String> =
        server.look().records.values().map(|one| one["Email"].as_str().unwrap().to_owned()).collect();
    assert_eq!(left, ["dan@x.io", "p1@x.io", "p2@x.io", "p3@x.io"]);
    assert_eq!(scripted.world.rows("select count(*) from contacts"), [["4"]]);
}

#[test]
fn ten_records_go_up_at_a_time_and_one_that_is_refused_keeps_none_back() {
    let (server, scripted) = stage(25);
    scripted.sync().exits(0);
    server.look().asked.clear();
    scripted.world.sql("update contacts set name = 'New ' || name");
    assert_eq!(scripted.sync().exits(0).writes(), (25, 0));
    let mut patched: Vec<String> = server.look().asked.drain(..).filter(|line| line.starts_with("patch")).collect();
    patched.sort();
    assert_eq!(patched, ["patch 10", "patch 10", "patch 5"]);
    scripted.world.sql("update contacts set name = case email when 'p7@x.io' then 'not a name' else 'Newer' end");
    let ran = scripted.sync();
    assert_ne!(ran.code, 0, "one is refused");
    let newer = server.look().records.values().filter(|one| one["Name"] == "Newer").count();
    assert_eq!(newer, 24);
    assert_eq!(server.look().cell("rec07", "Name"), Some(json!("New Ann 07")));
}
