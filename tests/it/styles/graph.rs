//! Microsoft Graph: next links and delta links, empty pages, `@removed`, If-Match and 412, 410 and a listing of everything.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::scripted::{self, Dated, Scripted, answer, moment, query, with_bearer};

const DELTA: &str = "/me/contactFolders/contacts/contacts/delta";

#[derive(Default)]
struct Server {
    contacts: Dated,
    /// Delta links of earlier changes are gone.
    oldest: usize,
    asked: Vec<String>,
    /// Somebody else changes a contact just before it is written.
    meddles: bool,
}

type Shared = scripted::Shared<Server>;

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        self.contacts.set(id, json!({ "id": id }), |contact, change| {
            for (name, value) in changes.as_object().unwrap() {
                contact[name] = value.clone();
            }
            contact["@odata.etag"] = json!(format!("W/\"{change}\""));
            contact["lastModifiedDateTime"] = json!(moment(change));
        })
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.contacts.get(id).unwrap()[name].clone()
    }
}

fn error(status: u16, code: &str) -> Response {
    answer(status, &json!({ "error": { "code": code, "message": code } }))
}

/// Two contacts a page; the page behind the first one is empty, and not the last.
async fn delta(State(server): State<Shared>, headers: HeaderMap, RawQuery(text): RawQuery) -> Response {
    let asked = query(text);
    let mut server = server.look();
    let number = |name: &str| asked.get(name).map(|token| token.parse::<usize>().unwrap());
    let (since, place) = match asked.get("$skiptoken") {
        Some(token) => {
            let (since, place) = token.split_once('.').unwrap();
            (since.parse().unwrap(), place.parse().unwrap())
        }
        None => (number("$deltatoken").unwrap_or(0), 0),
    };
    server.asked.push(format!("delta {since} {place}"));
    if asked.contains_key("$deltatoken") && since < server.oldest {
        return error(410, "resyncRequired");
    }
    let seen = |(id, (at, contact)): (&String, &(usize, Option<Value>))| match contact {
        _ if *at <= since => None,
        Some(contact) => Some(contact.clone()),
        None if since == 0 => None,
        None => Some(json!({ "id": id, "@removed": { "reason": "deleted" } })),
    };
    let all: Vec<Value> = server.contacts.records.iter().filter_map(seen).collect();
    // Pages 0, 2, 3, … hold contacts, page 1 none.
    let from = 2 * if place > 1 { place - 1 } else { place };
    let some: Vec<Value> = if place == 1 { Vec::new() } else { all.iter().skip(from).take(2).cloned().collect() };
    let more = if place == 1 { all.len() > 2 } else { all.len() > from + 2 };
    let base = format!("http://{}{DELTA}", headers["host"].to_str().unwrap());
    let mut body = json!({ "value": some });
    if more {
        body["@odata.nextLink"] = json!(format!("{base}?$skiptoken={since}.{}", place + 1));
    } else {
        body["@odata.deltaLink"] = json!(format!("{base}?$deltatoken={}", server.contacts.change));
    }
    answer(200, &body)
}

async fn create(State(server): State<Shared>, body: Bytes) -> Response {
    let mut server = server.look();
    let id = format!("made{}", server.contacts.change);
    answer(201, &server.set(&id, &serde_json::from_slice(&body).unwrap()))
}

async fn one(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    let mut server = server.look();
    server.asked.push(format!("get {id}"));
    match server.contacts.get(&id) {
        Some(contact) => answer(200, contact),
        None => error(404, "ErrorItemNotFound"),
    }
}

async fn patch(State(server): State<Shared>, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let mut server = server.look();
    if std::mem::take(&mut server.meddles) {
        server.set(&id, &json!({ "companyName": "Theirs" }));
    }
    if headers["if-match"].to_str().unwrap() != server.field(&id, "@odata.etag") {
        return error(412, "ErrorIrresolvableConflict");
    }
    answer(200, &server.set(&id, &serde_json::from_slice(&body).unwrap()))
}

async fn delete(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    server.look().contacts.remove(&id);
    answer(204, &Value::Null)
}

#[test]
fn contacts_follow_delta_links_both_ways() {
    let server = Shared::default();
    let router = Router::new()
        .route(DELTA, get(delta))
        .route("/me/contacts", post(create))
        .route("/me/contacts/{id}", get(one).patch(patch).delete(delete))
        .with_state(server.clone());
    let example = include_str!("../../../sync-rules/examples/graph/contacts.toml");
    let scripted = Scripted::new("graph", router, &with_bearer(example, "graph"));
    for n in 1..=5 {
        let email = json!([{ "name": "work", "address": format!("p{n}@x.io") }]);
        server.look().set(&format!("c{n}"), &json!({ "givenName": format!("Ann {n}"), "emailAddresses": email }));
    }
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select given_name from contacts order by given_name").concat();

    // An empty page is not the last one.
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["delta 0 0", "delta 0 1", "delta 0 2", "delta 0 3"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked(), ["delta 5 0"], "what the delta link shows, and nothing else");

    // Both ways: changed, gone and new on each side.
    server.look().set("c1", &json!({ "givenName": "Bob" }));
    server.look().contacts.remove("c2");
    server.look().set("c6", &json!({ "givenName": "Cyd" }));
    scripted.world.sql("update contacts set mobile = '7' where given_name = 'Ann 3'");
    scripted.world.sql("delete from contacts where given_name = 'Ann 4'");
    scripted.world.sql("insert into contacts (given_name, email) values ('Dan', 'dan@x.io')");
    assert_eq!(scripted.sync().exits(0).writes(), (3, 3));
    assert_eq!(names(), ["Ann 3", "Ann 5", "Bob", "Cyd", "Dan"]);
    assert_eq!(server.look().field("c3", "mobilePhone"), "7");
    assert!(server.look().contacts.get("c4").is_none());
    let made = server.look().contacts.records.keys().find(|id| id.starts_with("made")).unwrap().clone();
    assert_eq!(server.look().field(&made, "emailAddresses"), json!([{ "address": "dan@x.io" }]));
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }

    // Changed between look and write: 412, and the next try goes by what is there by then. Neither edit is lost.
    server.look().meddles = true;
    scripted.world.sql("update contacts set mobile = '8' where given_name = 'Ann 3'");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(
        ["mobilePhone", "companyName"].map(|name| server.look().field("c3", name)),
        [json!("8"), json!("Theirs")]
    );
    assert_eq!(
        scripted.world.rows("select company, mobile from contacts where given_name = 'Ann 3'"),
        [["Theirs", "8"]]
    );

    // A delta link that has expired: everything is listed anew, and what is not listed is asked for: it is gone.
    server.look().contacts.remove("c5");
    server.look().oldest = 999;
    asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    let asked = asked();
    assert!(asked.contains(&"delta 0 0".to_owned()) && asked.contains(&"get c5".to_owned()), "{asked:?}");
    assert!(!names().contains(&"Ann 5".to_owned()));
    server.look().oldest = 0;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
