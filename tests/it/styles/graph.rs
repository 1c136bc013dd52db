//! Microsoft Graph: next links and delta links, empty pages, `@removed`, If-Match and 412, 410 and a listing of everything; writes
//! of twenty in one request, answered in another order, each with a status and headers of its own.

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
    /// What is written to this contact in a batch meets a limit, once.
    limited: Option<&'static str>,
    /// How many writes came in each batch.
    batches: Vec<usize>,
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

async fn one(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    let mut server = server.look();
    server.asked.push(format!("get {id}"));
    match server.contacts.get(&id) {
        Some(contact) => answer(200, contact),
        None => error(404, "ErrorItemNotFound"),
    }
}

impl Server {
    /// One write, wherever it stands.
    fn write(&mut self, method: &str, url: &str, if_match: &Value, body: &Value) -> (u16, Value) {
        let error = |status: u16, code: &str| (status, json!({ "error": { "code": code, "message": code } }));
        let Some(rest) = url.strip_prefix("/me/contacts") else { return error(404, "ResourceNotFound") };
        let id = rest.trim_start_matches('/');
        match method {
            "POST" if id.is_empty() => {
                let id = format!("made{}", self.contacts.change);
                (201, self.set(&id, body))
            }
            "PATCH" => {
                if std::mem::take(&mut self.meddles) {
                    self.set(id, &json!({ "companyName": "Theirs" }));
                }
                if *if_match != self.field(id, "@odata.etag") {
                    return error(412, "ErrorIrresolvableConflict");
                }
                (200, self.set(id, body))
            }
            "DELETE" => {
                self.contacts.remove(id);
                (204, Value::Null)
            }
            _ => error(405, "MethodNotAllowed"),
        }
    }
}

/// The last comes first.
async fn batch(State(server): State<Shared>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let requests = body["requests"].as_array().unwrap();
    if requests.len() > 20 {
        return error(400, "MaximumValueExceeded");
    }
    let mut server = server.look();
    server.batches.push(requests.len());
    let mut responses = Vec::new();
    for request in requests.iter().rev() {
        let text = |name: &str| request[name].as_str().unwrap();
        if request.get("body").is_some() && request["headers"]["content-type"] != "application/json" {
            return error(400, "BadRequest");
        }
        if server.limited.is_some_and(|id| text("url").ends_with(id)) {
            server.limited = None;
            let body = json!({ "error": { "code": "TooManyRequests", "message": "Please retry after 1 second" } });
            responses.push(json!({ "id": text("id"), "status": 429, "headers": { "Retry-After": "1" }, "body": body }));
            continue;
        }
        let (status, body) =
            server.write(text("method"), text("url"), &request["headers"]["if-match"], &request["body"]);
        let mut response = json!({ "id": text("id"), "status": status, "headers": {} });
        if !body.is_null() {
            response["body"] = body;
        }
        responses.push(response);
    }
    answer(200, &json!({ "responses": responses }))
}

fn stage(contacts: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    let router = Router::new()
        .route(DELTA, get(delta))
        .route("/me/contacts/{id}", get(one))
        .route("/$batch", post(batch))
        .with_state(server.clone());
    let example = include_str!("../../../sync-rules/examples/graph/contacts.toml");
    for n in 1..=contacts {
        let email = json!([{ "name": "work", "address": format!("p{n}@x.io") }]);
        server.look().set(&format!("c{n}"), &json!({ "givenName": format!("Ann {n}"), "emailAddresses": email }));
    }
    (server, Scripted::new("graph", router, &with_bearer(example, "graph")))
}

#[test]
fn contacts_follow_delta_links_both_ways() {
    let (server, scripted) = stage(5);
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
    assert_eq!(std::mem::take(&mut server.look().batches), [3]);
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

#[test]
fn writes_go_twenty_at_once_and_one_that_meets_a_limit_waits_as_it_says_and_keeps_back_no_other() {
    let (server, scripted) = stage(25);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 25));
    server.look().limited = Some("c7");
    // Another one is overtaken.
    server.look().meddles = true;
    scripted.world.sql("update contacts set mobile = '7'");
    let mut sent = 0;
    for _ in 0..3 {
        sent += scripted.sync().writes().0;
    }
    let batches = std::mem::take(&mut server.look().batches);
    assert_eq!(batches[..2], [20, 5], "{batches:?}");
    // What had its turn did not go out again.
    assert_eq!((sent, batches.iter().sum::<usize>()), (25, 27), "{batches:?}");
    for n in 1..=25 {
        assert_eq!(server.look().field(&format!("c{n}"), "mobilePhone"), "7");
    }
    assert_eq!(scripted.world.rows("select count(*) from contacts where company = 'Theirs' and mobile = '7'"), [["1"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
