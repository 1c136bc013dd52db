//! An upstream whose feed of events says which records to read anew, as the shipped example says it.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::scripted::{self, Scripted, moment, query, with_bearer};

#[derive(Default)]
struct Server {
    files: BTreeMap<String, Value>,
    /// What happened: to which file, and whether it is gone.
    changes: Vec<(String, bool)>,
    /// Tokens of earlier changes are gone.
    oldest: usize,
    asked: Vec<String>,
    made: u32,
    /// Somebody renames the first file while its page has been read and the next one has not.
    renames: bool,
}

type Shared = scripted::Shared<Server>;

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        self.changes.push((id.to_owned(), false));
        let version = self.changes.len();
        let file = self.files.entry(id.to_owned()).or_insert_with(|| json!({ "id": id, "trashed": false }));
        for (name, value) in changes.as_object().unwrap() {
            file[name] = value.clone();
        }
        file["version"] = json!(version.to_string());
        file["modifiedTime"] = json!(moment(version));
        file.clone()
    }

    fn remove(&mut self, id: &str, said: bool) {
        self.files.remove(id).unwrap();
        self.changes.push((id.to_owned(), said));
    }
}

/// Three files a page.
async fn list(State(server): State<Shared>, RawQuery(text): RawQuery) -> String {
    let asked = query(text);
    assert_eq!(asked["q"], "trashed = false");
    let from: usize = asked.get("pageToken").map_or(0, |token| token.parse().unwrap());
    let mut server = server.look();
    server.asked.push(format!("list {from}"));
    let all: Vec<Value> = server.files.values().filter(|file| file["trashed"] == false).cloned().collect();
    let mut answer = json!({ "files": all.iter().skip(from).take(3).collect::<Vec<_>>() });
    if from + 3 < all.len() {
        answer["nextPageToken"] = json!((from + 3).to_string());
        if std::mem::take(&mut server.renames) {
            server.set("f1", &json!({ "name": "Renamed meanwhile" }));
        }
    }
    answer.to_string()
}

async fn start(State(server): State<Shared>) -> String {
    let mut server = server.look();
    server.asked.push("start".to_owned());
    json!({ "startPageToken": server.changes.len().to_string() }).to_string()
}

/// Two changes an answer.
async fn changes(State(server): State<Shared>, RawQuery(text): RawQuery) -> Response {
    let from: usize = query(text)["pageToken"].parse().unwrap();
    let mut server = server.look();
    server.asked.push(format!("changes {from}"));
    if from < server.oldest {
        return (StatusCode::GONE, json!({ "error": { "message": "too long ago" } }).to_string()).into_response();
    }
    let some = server.changes.iter().skip(from).take(2);
    let mut all: Vec<Value> =
        some.map(|(id, removed)| json!({ "changeType": "file", "fileId": id, "removed": removed })).collect();
    all.push(json!({ "changeType": "drive", "driveId": "d" }));
    let mut answer = json!({ "changes": all });
    if from + 2 < server.changes.len() {
        answer["nextPageToken"] = json!((from + 2).to_string());
    } else {
        answer["newStartPageToken"] = json!(server.changes.len().to_string());
    }
    answer.to_string().into_response()
}

fn found(file: Option<&Value>) -> Response {
    match file {
        Some(file) => file.to_string().into_response(),
        None => (StatusCode::NOT_FOUND, json!({ "error": { "message": "not found" } }).to_string()).into_response(),
    }
}

async fn one(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    let mut server = server.look();
    server.asked.push(format!("get {id}"));
    found(server.files.get(&id))
}

async fn create(State(server): State<Shared>, body: Bytes) -> String {
    let mut server = server.look();
    server.made += 1;
    let id = format!("made-{}", server.made);
    server.set(&id, &serde_json::from_slice(&body).unwrap()).to_string()
}

async fn patch(State(server): State<Shared>, Path(id): Path<String>, body: Bytes) -> String {
    server.look().set(&id, &serde_json::from_slice(&body).unwrap()).to_string()
}

async fn delete(State(server): State<Shared>, Path(id): Path<String>) -> StatusCode {
    server.look().remove(&id, true);
    StatusCode::NO_CONTENT
}

/// The example, but for its way to sign in.
fn stage() -> (Shared, Scripted) {
    let example = include_str!("../../sync-rules/examples/drive/files.toml");
    let rules = with_bearer(example, "drive");
    let server = Shared::default();
    let router = Router::new()
        .route("/files", get(list).post(create))
        .route("/files/{id}", get(one).patch(patch).delete(delete))
        .route("/changes", get(changes))
        .route("/changes/startPageToken", get(start))
        .with_state(server.clone());
    (server, Scripted::new("drive", router, &rules))
}

#[test]
fn what_a_feed_names_is_read_anew_and_deletes_need_the_event_and_the_record_that_is_gone() {
    let (server, scripted) = stage();
    for n in 1..=5 {
        server.look().set(&format!("f{n}"), &json!({ "name": format!("File {n}") }));
    }
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select name from files order by name").concat();

    // Who only looks needs no feed.
    let looked = scripted.run(&["--json", "fetch", "files.drive", "--limit", "3"]).exits(0);
    let looked: Value = serde_json::from_str(&looked.stdout).unwrap();
    assert_eq!((asked(), &looked["more"]), (vec!["list 0".to_owned()], &json!(true)));
    // The feed begins before the listing: what happens between two of its pages is in it.
    server.look().renames = true;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["start", "list 0", "list 3"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(asked(), ["changes 5", "get f1"]);
    assert_eq!(names(), ["File 2", "File 3", "File 4", "File 5", "Renamed meanwhile"]);

    // Both ways: changed, deleted and new there; changed, deleted and new here.
    server.look().set("f2", &json!({ "description": "theirs" }));
    server.look().set("f2", &json!({ "name": "Second" }));
    server.look().remove("f3", true);
    server.look().set("f6", &json!({ "name": "File 6" }));
    scripted.world.sql("update files set description = 'ours' where name = 'File 4'");
    scripted.world.sql("delete from files where name = 'File 5'");
    scripted.world.sql("insert into files (name) values ('New')");
    assert_eq!(scripted.sync().exits(0).writes(), (3, 3));
    assert_eq!(names(), ["File 4", "File 6", "New", "Renamed meanwhile", "Second"]);
    assert_eq!(server.look().files["f4"]["description"], "ours");
    assert_eq!(server.look().files["made-1"]["name"], "New");
    let read: Vec<String> = asked().into_iter().filter(|line| !line.starts_with("get f4")).collect();
    assert_eq!(read[..3], ["changes 6", "get f2", "changes 8"], "each once, however many events there are: {read:?}");
    // What we wrote is in the feed as well, and is no change.
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked(), ["changes 13"], "nothing happened, and nothing is read");

    // An event that says deleted of what is there, and one that says changed of what is not: neither is a delete.
    server.look().changes.push(("f4".to_owned(), true));
    server.look().remove("f6", false);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    server.look().changes.push(("f6".to_owned(), true));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    server.look().set("f1", &json!({ "trashed": true }));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(names(), ["File 4", "New", "Second"]);

    // The token has expired: everything is listed, the feed begins anew, and what is not listed is asked for: it is gone.
    server.look().remove("f4", true);
    server.look().oldest = 99;
    asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(asked(), ["changes 17", "start", "list 0", "get f4"]);
    assert_eq!(names(), ["New", "Second"]);
}

#[test]
fn what_was_deleted_before_a_listing_of_everything_is_still_told_by_the_feed_after_it() {
    let (server, scripted) = stage();
    for n in 1..=4 {
        server.look().set(&format!("f{n}"), &json!({ "name": format!("File {n}") }));
    }
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select name from files order by name").concat();
    let many = "full_scan = \"1w\"\nlimits = { delete = \"100%\" }";
    scripted.world.change_rules("rules.toml", |rules| rules.replace("full_scan = \"1w\"", many));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 4));
    // Neither is listed any more, and only their events say why.
    server.look().remove("f1", true);
    server.look().set("f2", &json!({ "trashed": true }));
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
    asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 2));
    assert_eq!(asked(), ["changes 4", "get f1", "get f2"]);
    assert_eq!(names(), ["File 3", "File 4"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked(), ["changes 6"]);

    // Created anew with the same id: that is no delete.
    server.look().remove("f3", true);
    server.look().set("f3", &json!({ "name": "File 3 again" }));
    server.look().changes.push(("f3".to_owned(), true));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(names(), ["File 3 again", "File 4"]);

    // A token that expires while a feed is read, and a delete that nobody tells any more.
    server.look().set("f4", &json!({ "name": "File four" }));
    server.look().remove("f3", true);
    server.look().oldest = 99;
    scripted.full_sync().exits(0);
    scripted.sync().exits(0);
    assert_eq!(names(), ["File four"]);
    server.look().oldest = 0;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    server.look().remove("f4", true);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
}
