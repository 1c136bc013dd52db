//! Google People: sync tokens that expire with the status 400, etags and field masks in the body, methods behind a colon, batches
//! whose items are members of an object, and of which one that is not as it was refuses all.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::scripted::{self, Dated, Scripted, answer, query, with_bearer};

const READ_MASK: &str = "names,emailAddresses,phoneNumbers,clientData,metadata";
const UPDATE_MASK: &str = "names,emailAddresses,phoneNumbers";

#[derive(Default)]
struct Server {
    people: Dated,
    /// Sync tokens of earlier changes are gone.
    oldest: usize,
    asked: Vec<String>,
    /// Somebody else changes a person just before it is written.
    meddles: bool,
    /// How many people each batch named, and its status.
    batches: Vec<(usize, u16)>,
}

type Shared = scripted::Shared<Server>;

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        self.people.set(id, json!({ "resourceName": format!("people/{id}") }), |person, change| {
            for name in ["names", "emailAddresses", "phoneNumbers", "clientData"] {
                if let Some(value) = changes.get(name) {
                    person[name] = value.clone();
                }
            }
            person["etag"] = json!(format!("%{change}"));
        })
    }

    fn person(&self, id: &str) -> Value {
        self.people.get(id).unwrap().clone()
    }
}

fn refused(status: u16, word: &str, reason: &str) -> Response {
    answer(status, &json!({ "error": { "code": status, "status": word, "details": [{ "reason": reason }] } }))
}

/// Three people a page.
async fn connections(State(server): State<Shared>, RawQuery(text): RawQuery) -> Response {
    let asked = query(text);
    assert_eq!(asked["personFields"], READ_MASK);
    let mut server = server.look();
    let number = |name: &str| asked.get(name).map(|token| token.parse::<usize>().unwrap());
    let (since, from) = (number("syncToken"), number("pageToken").unwrap_or(0));
    server.asked.push(format!("list {since:?} {from}"));
    if since.is_some_and(|since| since < server.oldest) {
        return refused(400, "FAILED_PRECONDITION", "EXPIRED_SYNC_TOKEN");
    }
    let seen = |(id, (at, person)): (&String, &(usize, Option<Value>))| match (since, person) {
        (Some(since), _) if *at <= since => None,
        (_, Some(person)) => Some(person.clone()),
        (None, None) => None,
        (Some(_), None) => Some(json!({ "resourceName": format!("people/{id}"), "metadata": { "deleted": true } })),
    };
    let all: Vec<Value> = server.people.records.iter().filter_map(seen).collect();
    let mut body = json!({ "connections": all.iter().skip(from).take(3).collect::<Vec<_>>() });
    if all.len() > from + 3 {
        body["nextPageToken"] = json!((from + 3).to_string());
    } else {
        body["nextSyncToken"] = json!(server.people.change.to_string());
    }
    if all.is_empty() {
        // An answer without people does not name them.
        body.as_object_mut().unwrap().remove("connections");
    }
    answer(200, &body)
}

async fn create(State(server): State<Shared>, body: Bytes) -> Response {
    let mut server = server.look();
    let id = format!("made{}", server.people.change);
    answer(200, &server.set(&id, &serde_json::from_slice(&body).unwrap()))
}

async fn one(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    match server.look().people.get(&id) {
        Some(person) => answer(200, person),
        None => refused(404, "NOT_FOUND", "gone"),
    }
}

async fn update(
    State(server): State<Shared>,
    Path(called): Path<String>,
    RawQuery(text): RawQuery,
    body: Bytes,
) -> Response {
    let id = called.strip_suffix(":updateContact").unwrap();
    assert_eq!(query(text)["updatePersonFields"], UPDATE_MASK);
    let mut server = server.look();
    if std::mem::take(&mut server.meddles) {
        server.set(id, &json!({ "names": [{ "givenName": "Theirs" }] }));
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    if body["etag"] != server.person(id)["etag"] {
        return refused(400, "FAILED_PRECONDITION", "etag");
    }
    answer(200, &server.set(id, &body))
}

/// Those that were made, in an order of their own; one that names no key and value for its client's data refuses all.
async fn create_batch(State(server): State<Shared>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["readMask"], READ_MASK);
    let contacts = body["contacts"].as_array().unwrap();
    let mut server = server.look();
    let is_well = |one: &Value| one["contactPerson"]["clientData"][0]["key"].is_string();
    if contacts.len() > 200 || !contacts.iter().all(is_well) {
        server.batches.push((contacts.len(), 400));
        return refused(400, "INVALID_ARGUMENT", "contacts");
    }
    server.batches.push((contacts.len(), 200));
    let made = contacts.iter().rev().map(|one| {
        let id = format!("made{}", server.people.change);
        json!({ "httpStatusCode": 200, "status": {}, "person": server.set(&id, &one["contactPerson"]) })
    });
    let made: Vec<Value> = made.collect();
    answer(200, &json!({ "createdPeople": made }))
}

async fn update_batch(State(server): State<Shared>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["readMask"], &body["updateMask"]), (&json!(READ_MASK), &json!(UPDATE_MASK)));
    let contacts = body["contacts"].as_object().unwrap();
    let mut server = server.look();
    if std::mem::take(&mut server.meddles) {
        server.set("c3", &json!({ "names": [{ "givenName": "Theirs" }] }));
    }
    let id = |name: &str| name.strip_prefix("people/").unwrap().to_owned();
    if contacts.len() > 200 || contacts.iter().any(|(name, one)| one["etag"] != server.person(&id(name))["etag"]) {
        server.batches.push((contacts.len(), 400));
        return refused(400, "FAILED_PRECONDITION", "etag");
    }
    server.batches.push((contacts.len(), 200));
    let mut result = serde_json::Map::new();
    for (name, one) in contacts {
        let person = server.set(&id(name), one);
        result.insert(name.clone(), json!({ "httpStatusCode": 200, "status": {}, "person": person }));
    }
    answer(200, &json!({ "updateResult": result }))
}

async fn delete(State(server): State<Shared>, Path(called): Path<String>) -> Response {
    server.look().people.remove(called.strip_suffix(":deleteContact").unwrap());
    answer(200, &json!({}))
}

fn person(n: usize) -> Value {
    let names = json!([{ "givenName": format!("Ann {n}"), "familyName": "Lee", "displayName": "of no concern" }]);
    json!({ "names": names, "emailAddresses": [{ "value": format!("p{n}@x.io") }] })
}

fn stage() -> (Shared, Scripted) {
    let server = Shared::default();
    let router = Router::new()
        .route("/people/me/connections", get(connections))
        .route("/people:createContact", post(create))
        .route("/people:batchCreateContacts", post(create_batch))
        .route("/people:batchUpdateContacts", post(update_batch))
        .route("/people/{id}", get(one).patch(update).delete(delete))
        .with_state(server.clone());
    let example = include_str!("../../../sync-rules/examples/people/people.toml");
    for n in 1..=5 {
        server.look().set(&format!("c{n}"), &person(n));
    }
    (server, Scripted::new("people", router, &with_bearer(example, "people")))
}

#[test]
fn people_follow_sync_tokens_both_ways() {
    let (server, scripted) = stage();
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select given_name from people order by given_name").concat();

    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["list None 0", "list None 3"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked(), ["list Some(5) 0"]);

    // Both ways: changed, gone and new on each side. What the rules do not read of a name is kept.
    server.look().set("c1", &json!({ "names": [{ "givenName": "Bob", "familyName": "Lee" }] }));
    server.look().people.remove("c2");
    server.look().set("c6", &person(6));
    scripted.world.sql("update people set family_name = 'Poe', phone = '7' where given_name = 'Ann 3'");
    scripted.world.sql("delete from people where given_name = 'Ann 4'");
    scripted.world.sql("insert into people (given_name, email) values ('Dan', 'dan@x.io')");
    assert_eq!(scripted.sync().exits(0).writes(), (3, 3));
    assert_eq!(names(), ["Ann 3", "Ann 5", "Ann 6", "Bob", "Dan"]);
    let third = server.look().person("c3");
    assert_eq!(third["names"], json!([{ "givenName": "Ann 3", "familyName": "Poe", "displayName": "of no concern" }]));
    assert_eq!(third["phoneNumbers"], json!([{ "value": "7" }]));
    assert!(server.look().people.get("c4").is_none());
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }

    // An etag that is not the newest is refused, and neither edit is lost.
    server.look().meddles = true;
    scripted.world.sql("update people set phone = '8' where given_name = 'Ann 3'");
    scripted.sync();
    scripted.sync().exits(0);
    let third = server.look().person("c3");
    assert_eq!(
        (&third["names"][0]["givenName"], &third["phoneNumbers"]),
        (&json!("Theirs"), &json!([{ "value": "8" }]))
    );
    assert_eq!(scripted.world.rows("select phone from people where given_name = 'Theirs'"), [["8"]]);

    // A sync token that has expired: everything is listed anew, and what is not listed is asked for: it is gone.
    server.look().people.remove("c5");
    server.look().oldest = 999;
    asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert!(asked().contains(&"list None 0".to_owned()));
    assert!(!names().contains(&"Ann 5".to_owned()));
    server.look().oldest = 0;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn people_go_in_batches_and_one_that_is_not_as_it_was_is_found_among_them() {
    let (server, scripted) = stage();
    scripted.sync().exits(0);
    // Two of one name: the operation's id tells which is which.
    scripted.world.sql("insert into people (given_name, phone) values ('Twin', '1'), ('Twin', '2')");
    scripted.world.sql("update people set phone = '7' where given_name like 'Ann%'");
    server.look().meddles = true;
    scripted.sync();
    scripted.sync().exits(0);
    let batches = std::mem::take(&mut server.look().batches);
    assert!(batches.contains(&(2, 200)) && batches.contains(&(5, 400)) && batches.contains(&(1, 400)), "{batches:?}");
    for n in 1..=5 {
        assert_eq!(server.look().person(&format!("c{n}"))["phoneNumbers"][0]["value"], "7", "{n}");
    }
    assert_eq!(server.look().person("c3")["names"][0]["givenName"], "Theirs");
    assert_eq!(server.look().people.records.len(), 7);
    scripted.world.sql("update people set family_name = phone where given_name = 'Twin'");
    assert_eq!(scripted.sync().exits(0).writes(), (2, 0));
    let people: Vec<Value> = server.look().people.records.values().filter_map(|(_, one)| one.clone()).collect();
    for twin in people.iter().filter(|one| one["names"][0]["givenName"] == "Twin") {
        assert_eq!(twin["names"][0]["familyName"], twin["phoneNumbers"][0]["value"]);
    }
    assert_eq!(scripted.world.rows("select count(*) from people"), [["7"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
