//! An upstream whose listing ends after so many results, whatever there is: read in slices by time or by key, as the shipped
//! example says it.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::scripted::{self, Scripted};

const EXAMPLE: &str = include_str!("../../sync-rules/examples/hubspot/contacts.toml");
const CAP: usize = 10;

#[derive(Default)]
struct Server {
    contacts: BTreeMap<u64, Value>,
    /// Minutes after a day in the past.
    clock: i64,
    made: u64,
    /// How each search began: the value of its first filter, and of its second.
    slices: Vec<String>,
    beyond: bool,
}

type Shared = scripted::Shared<Server>;

fn instant(minutes: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(1_700_000_000 + 60 * minutes, 7_000_000).unwrap()
}

impl Server {
    /// Sets properties, at the time it is there.
    fn set(&mut self, id: u64, properties: &Value) -> Value {
        let now = instant(self.clock).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let contact = self
            .contacts
            .entry(id)
            .or_insert_with(|| json!({ "id": id.to_string(), "properties": {}, "createdAt": now, "archived": false }));
        contact["updatedAt"] = json!(now);
        for (name, value) in properties.as_object().unwrap() {
            contact["properties"][name] = value.clone();
        }
        contact.clone()
    }

    /// As many new ones in the same moment.
    fn import(&mut self, count: u64) {
        for _ in 0..count {
            self.made += 1;
            let made = self.made;
            self.set(made, &json!({ "email": format!("{made}@x.io"), "firstname": format!("N{made}") }));
        }
        self.clock += 1;
    }

    fn search(&mut self, asked: &Value) -> Value {
        let value = |at: usize| asked["filterGroups"][0]["filters"][at]["value"].as_str().map(str::to_owned);
        let since: i64 = value(0).unwrap().parse().unwrap();
        let beyond: u64 = value(1).map_or(0, |id| id.parse().unwrap());
        let time = |contact: &Value| {
            let text = contact["updatedAt"].as_str().unwrap();
            chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
        };
        let mut found: Vec<(u64, Value)> = self
            .contacts
            .iter()
            .filter(|(id, contact)| **id > beyond && time(contact) >= since)
            .map(|(id, contact)| (*id, contact.clone()))
            .collect();
        if asked["sorts"][0]["propertyName"] == "lastmodifieddate" {
            found.sort_by_key(|(id, contact)| (time(contact), *id));
        }
        let (from, limit) = (asked["after"].as_str().map_or(0, |after| after.parse().unwrap()), 3);
        if from == 0 {
            let minutes = |since: i64| if since == 0 { 0 } else { (since - instant(0).timestamp_millis()) / 60_000 };
            self.slices.push(format!("{}{}", minutes(since), value(1).map(|id| format!("/{id}")).unwrap_or_default()));
        }
        self.beyond |= from >= CAP;
        let total = found.len();
        let results: Vec<Value> =
            found.into_iter().map(|(_, contact)| contact).take(CAP).skip(from).take(limit).collect();
        let mut answer = json!({ "total": total, "results": results });
        if from + limit < total.min(CAP) {
            answer["paging"] = json!({ "next": { "after": (from + limit).to_string() } });
        }
        answer
    }
}

async fn search(State(server): State<Shared>, body: Bytes) -> String {
    server.look().search(&serde_json::from_slice(&body).unwrap()).to_string()
}

fn found(contact: Option<&Value>) -> Response {
    match contact {
        Some(contact) => contact.to_string().into_response(),
        None => (StatusCode::NOT_FOUND, json!({ "message": "resource not found" }).to_string()).into_response(),
    }
}

async fn one(State(server): State<Shared>, Path(id): Path<u64>) -> Response {
    found(server.look().contacts.get(&id))
}

async fn create(State(server): State<Shared>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut server = server.look();
    (server.made, server.clock) = (server.made + 1, server.clock + 1);
    let made = server.made;
    (StatusCode::CREATED, server.set(made, &body["properties"]).to_string()).into_response()
}

async fn patch(State(server): State<Shared>, Path(id): Path<u64>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut server = server.look();
    server.clock += 1;
    found(Some(&server.set(id, &body["properties"])))
}

async fn archive(State(server): State<Shared>, Path(id): Path<u64>) -> Response {
    server.look().contacts.remove(&id);
    StatusCode::NO_CONTENT.into_response()
}

fn stage(rules: &str) -> (Shared, Scripted) {
    let server = Shared::default();
    let contacts = "/crm/v3/objects/contacts";
    let router = Router::new()
        .route(&format!("{contacts}/search"), post(search))
        .route(contacts, post(create))
        .route(&format!("{contacts}/{{id}}"), get(one).patch(patch).delete(archive))
        .with_state(server.clone());
    // Deletes are told by a whole listing, in the place of an address that tells them.
    let (before, deletes) = rules.split_once("[binding.contacts.hubspot.read.deletes]\n").unwrap();
    let (_, after) = deletes.split_once("\n\n").unwrap();
    let rules = format!("{before}\n{after}").replace("\nget = ", "\ndeletes = \"absence\"\nget = ");
    // The budget of searches is for a real one. What is written goes one by one.
    let rules = rules.split_once("[binding.contacts.hubspot.write.batch]").unwrap().0;
    let rules = rules.replace("results = 10_000", &format!("results = {CAP}")).replace("limit = 5\n", "limit = 500\n");
    (server, Scripted::new("hubspot", router, &rules))
}

#[test]
fn a_capped_search_is_read_in_slices_by_time_and_what_shares_a_moment_is_not_lost() {
    let (server, scripted) = stage(EXAMPLE);
    let world = &scripted.world;
    for count in [4, 4, 5, 1, 9, 2] {
        server.look().import(count);
    }
    let slices = || std::mem::take(&mut server.look().slices);
    let count = || world.rows("select count(*) from contacts").concat();

    assert_eq!(scripted.sync().exits(0).writes(), (0, 25));
    // Ten reach into the third moment, from there ten into the fifth, from there ten into the last one.
    assert_eq!(slices(), ["0", "2", "4", "5"]);
    assert!(!server.look().beyond, "nothing is asked beyond the cap");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(slices(), ["3", "4", "5"], "from two minutes before the last change");

    // Both ways, then a delete that only a whole listing shows.
    world.sql("update contacts set phone = '1' where email = '3@x.io'");
    world.sql("insert into contacts (email) values ('new@x.io')");
    server.look().set(20, &json!({ "firstname": "Theirs" }));
    assert_eq!(scripted.sync().exits(0).writes(), (2, 1));
    assert_eq!(server.look().contacts[&3]["properties"]["phone"], "1");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    server.look().contacts.remove(&9);
    slices();
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 1));
    assert!(slices().len() >= 3);
    assert_eq!(count(), ["25"]);

    // More than the cap in one moment: there is no way through, and that is said. Nothing is taken for gone.
    server.look().clock += 10;
    server.look().import(11);
    let words = scripted.full_sync().cannot_read("contacts");
    assert!(words.contains("reaches its cap of 10 results with one time of change, 17"), "{words}");
    assert!(words.starts_with("POST /crm/v3/objects/contacts/search"), "{words}");
    assert_eq!(count(), ["25"]);
    server.look().contacts.retain(|id, _| *id < 30);
    scripted.full_sync().exits(0);
    assert_eq!(world.rows("select count(*) from contacts where email = '29@x.io'").concat(), ["1"]);
}

#[test]
fn a_capped_listing_is_split_by_key_and_one_that_cannot_be_split_is_not_complete() {
    let by_key = EXAMPLE
        .replace(r#"split = "time""#, r#"split = "key", into = "body.filterGroups[0].filters[1].value""#)
        .replace(
            r#"value = "0" }"#,
            r#"value = "0" }, { propertyName = "hs_object_id", operator = "GT", value = "0" }"#,
        )
        .replace(r#"propertyName = "lastmodifieddate", direction"#, r#"propertyName = "hs_object_id", direction"#);
    let (server, scripted) = stage(&by_key);
    let world = &scripted.world;
    server.look().import(25);
    let slices = || std::mem::take(&mut server.look().slices);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 25));
    assert_eq!(slices(), ["0/0", "0/10", "0/20"]);
    world.sql("update contacts set phone = '1' where email = '3@x.io'");
    server.look().contacts.remove(&9);
    assert_eq!(scripted.full_sync().exits(0).writes(), (1, 1));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));

    // Nothing says how it goes on, or it does not come in the order that would be needed.
    let count = || world.rows("select count(*) from contacts").concat();
    world.change_rules("rules.toml", |rules| {
        rules.replace(r#", split = "key", into = "body.filterGroups[0].filters[1].value""#, "")
    });
    let words = scripted.full_sync().cannot_read("contacts");
    assert!(words.contains("the listing reaches its cap of 10 results, and `page_cap` does not say how"), "{words}");
    server.look().clock += 1;
    server.look().set(2, &json!({ "firstname": "Late" }));
    world.change_rules("rules.toml", |rules| rules.replace("results = 10 }", "results = 10, split = \"time\" }"));
    let words = scripted.full_sync().cannot_read("contacts");
    assert!(words.contains("its records do not come by `updated_at`, upwards"), "{words}");
    assert_eq!(count(), ["24"]);
}
