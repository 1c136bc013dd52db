//! An upstream that tells what changed by sync tokens, which expire (s62).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::scripted::on_loopback;
use crate::world::World;

const RULES: &str = r#"
[upstream.cal]
base_url = "URL"
[collection.events]
on_remote_delete = "propagate"
[collection.events.fields]
title = "text"
[binding.events.cal]
id = ".id"
version = ".etag"
map = { title = ".title" }
[binding.events.cal.read]
request = "GET /events"
records = ".items[]"
page = { kind = "cursor", next = ".nextPageToken", into = "query.pageToken" }
incremental = { kind = "token", next = ".nextSyncToken", into = "query.syncToken" }
deletes = { kind = "tombstone", when = '.status == "cancelled"' }
get = "GET /events/{id}"
[binding.events.cal.write]
update = { request = "PATCH /events/{id}", precondition = { header = "If-Match", value = "{version}" } }
"#;

#[derive(Default)]
struct Server {
    /// Each event as it is, and the change that made it so.
    events: BTreeMap<String, (u64, Value)>,
    change: u64,
    /// Tokens of earlier changes are gone.
    oldest: u64,
    /// Single records are answered with nonsense.
    broken: bool,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Server>>;

impl Server {
    fn set(&mut self, id: &str, title: Option<&str>) {
        self.change += 1;
        let event = match title {
            Some(title) => json!({ "id": id, "etag": self.change.to_string(), "title": title, "status": "confirmed" }),
            None => json!({ "id": id, "status": "cancelled" }),
        };
        self.events.insert(id.to_owned(), (self.change, event));
    }
}

/// Two events a page. Without a token all that are there; with one all that changed after it, also those that are gone.
async fn list(State(server): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let mut server = server.lock().unwrap();
    server.asked.push(query.clone());
    let query: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let since: Option<u64> = query.get("syncToken").map(|token| token.parse().unwrap());
    if since.is_some_and(|since| since < server.oldest) {
        return (StatusCode::GONE, json!({ "error": "sync token expired" }).to_string()).into_response();
    }
    let from: usize = query.get("pageToken").map_or(0, |token| token.parse().unwrap());
    let wanted = |(change, event): &&(u64, Value)| match since {
        Some(since) => *change > since,
        None => event["status"] != "cancelled",
    };
    let all: Vec<Value> = server.events.values().filter(wanted).map(|(_, event)| event.clone()).collect();
    let items: Vec<Value> = all.iter().skip(from).take(2).cloned().collect();
    let mut answer = json!({ "items": items });
    if from + 2 < all.len() {
        answer["nextPageToken"] = json!((from + 2).to_string());
    } else {
        answer["nextSyncToken"] = json!(server.change.to_string());
    }
    answer.to_string().into_response()
}

async fn one(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    let server = server.lock().unwrap();
    if server.broken {
        return "{}".into_response();
    }
    match server.events.get(&id) {
        Some((_, event)) if event["status"] != "cancelled" => event.to_string().into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn patch(State(server): State<Shared>, Path(id): Path<String>, body: Bytes) -> String {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut server = server.lock().unwrap();
    server.set(&id, body["title"].as_str());
    server.events[&id].1.to_string()
}

/// Five events, and the rules for them.
fn stage(rules: &str) -> (Shared, Runtime, World) {
    let server = Shared::default();
    for n in 1..=5 {
        server.lock().unwrap().set(&format!("e{n}"), Some(&format!("Event {n}")));
    }
    let router = Router::new()
        .route("/events", get(list))
        .route("/events/{id}", get(one).patch(patch))
        .with_state(server.clone());
    let (runtime, url) = on_loopback(router);
    let world = World::new();
    world.rules("rules.toml", &rules.replace("URL", &url));
    (server, runtime, world)
}

#[test]
fn s62_changes_are_read_by_token_and_an_expired_one_means_a_full_listing_that_alone_deletes_nothing() {
    let (server, _runtime, world) = stage(RULES);
    let asked = || std::mem::take(&mut server.lock().unwrap().asked);
    let titles = || world.rows("select title from events order by title").concat();

    world.sync().exits(0);
    assert_eq!(asked(), ["", "pageToken=2", "pageToken=4"]);
    // Only what changed is read, both ways.
    server.lock().unwrap().set("e1", Some("Moved"));
    server.lock().unwrap().set("e2", None);
    world.sql("update events set title = 'Ours' where title = 'Event 3'");
    assert_eq!(world.sync().exits(0).writes(), (1, 2));
    assert_eq!(asked(), ["syncToken=5"]);
    assert_eq!(titles(), ["Event 4", "Event 5", "Moved", "Ours"]);
    assert_eq!(server.lock().unwrap().events["e3"].1["title"], "Ours");
    // What we wrote ourselves comes back as a change, and is none.
    assert_eq!(world.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked(), ["syncToken=7"]);

    // One is deleted there, and the token has expired when we ask: the gap says nothing about what is gone; what is not listed is
    // asked for.
    server.lock().unwrap().events.remove("e4");
    server.lock().unwrap().set("e5", Some("Late"));
    server.lock().unwrap().oldest = 9;
    server.lock().unwrap().broken = true;
    world.sync().exits(6);
    assert_eq!(asked(), ["syncToken=8", "", "pageToken=2"]);
    assert!(titles().contains(&"Event 4".to_owned()), "nothing is deleted on a guess");
    // What could not be asked for then is asked for until it was.
    server.lock().unwrap().broken = false;
    assert_eq!(world.sync().exits(0).writes(), (0, 2));
    assert_eq!(asked(), ["", "pageToken=2"]);
    assert_eq!(titles(), ["Late", "Moved", "Ours"]);
    assert_eq!(world.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked(), ["syncToken=9"]);

    // Where nothing can be asked for one by one, it stays, and that is told.
    world.change_rules("rules.toml", |rules| rules.replace("get = \"GET /events/{id}\"", "lag = \"1ms\""));
    assert_eq!(world.sync().exits(0).writes(), (0, 0));
    server.lock().unwrap().events.remove("e5");
    server.lock().unwrap().set("e1", Some("Moved on"));
    server.lock().unwrap().oldest = 10;
    let report = world.sync().exits(4).report("events");
    let note = "cal told of no deletes for some time, and 1 record was not listed: whether it was deleted there is not known, \
                and nothing follows from it (a `get` in `read` would ask)";
    assert_eq!(report["notes"], json!([note]), "{report:#}");
    assert_eq!(titles(), ["Late", "Moved on", "Ours"], "nothing is deleted on a guess");
    // The note is for this pass; the record stays in sight until somebody decides.
    let report = world.sync().exits(4).report("events");
    assert_eq!((&report["notes"], &report["quarantined"]), (&json!([]), &json!(1)));
    let set_aside = || world.rows("select upstream, stage, reason from sync_quarantine");
    assert!(set_aside()[0][2].starts_with("e5 was not listed"), "{:?}", set_aside());
    server.lock().unwrap().set("e1", Some("Further"));
    world.sync().exits(4);
    // It is listed again: so it is there.
    server.lock().unwrap().set("e5", Some("Back"));
    assert_eq!(world.sync().exits(0).report("events")["quarantined"], 0);
    assert_eq!(titles(), ["Back", "Further", "Ours"]);
}

/// Rules in which events cannot be asked for one by one; they are read.
fn without_get(lag: &str) -> (Shared, Runtime, World) {
    let (server, runtime, world) = stage(&RULES.replace("get = \"GET /events/{id}\"", &format!("lag = \"{lag}\"")));
    world.sync().exits(0);
    (server, runtime, world)
}

#[test]
fn what_nothing_tells_of_is_asked_for_once_something_can_be_and_forgotten_once_it_is_deleted_here() {
    let (server, _runtime, world) = without_get("1ms");
    let set_aside = || world.rows("select reason from sync_quarantine").len();
    for id in ["e4", "e5"] {
        server.lock().unwrap().events.remove(id);
    }
    server.lock().unwrap().set("e1", Some("Moved"));
    server.lock().unwrap().oldest = 6;
    world.sync().exits(4);
    assert_eq!(set_aside(), 2);
    // Who knows that one is gone deletes it here.
    world.sql("delete from events where title = 'Event 4'");
    world.sync();
    world.sync().exits(4);
    assert_eq!(set_aside(), 1);
    // The other one is asked for by the next listing of everything.
    world.change_rules("rules.toml", |rules| rules.replace("lag = \"1ms\"", "get = \"GET /events/{id}\""));
    world.full_sync().exits(0);
    assert_eq!(world.rows("select title from events order by title").concat(), ["Event 2", "Event 3", "Moved"]);
    world.sync().exits(0);
    assert_eq!(set_aside(), 0);
}

#[test]
fn what_is_missing_and_came_in_just_before_is_set_aside_once_the_listing_may_lag_behind_it_no_more() {
    let (server, _runtime, world) = without_get("1h");
    let set_aside = || world.rows("select reason from sync_quarantine").concat();
    server.lock().unwrap().events.remove("e5");
    server.lock().unwrap().set("e1", Some("Moved"));
    server.lock().unwrap().oldest = 6;
    for _ in 0..2 {
        world.sync().exits(0);
        assert_eq!(set_aside(), [""; 0], "a listing of this age may not show it yet");
    }
    world.change_rules("rules.toml", |rules| rules.replace("lag = \"1h\"", "lag = \"1ms\""));
    world.sync().exits(4);
    assert!(set_aside()[0].starts_with("e5 was not listed"), "{:?}", set_aside());
    // From then on only what changed is read.
    server.lock().unwrap().asked.clear();
    world.sync().exits(4);
    assert_eq!(server.lock().unwrap().asked, ["syncToken=6"]);
    assert_eq!(world.rows("select count(*) from events"), [["5"]], "nothing is deleted on a guess");
}
