//! Kinto: timestamps as `ETag`s, `_since` with tombstones, `Next-Page`, If-Match and If-None-Match with 412, batches of 25, and `Backoff`
//! on an answer that is none of an error.

use std::collections::BTreeMap;

use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, with_bearer};

#[derive(Default)]
struct Server {
    companies: Dated,
    people: Dated,
    /// When what was asked.
    asked: Vec<(DateTime<Utc>, String)>,
    /// The status of each item of each batch; a single write is a batch of one.
    batches: Vec<Vec<u16>>,
    /// Somebody else changes this person just before the next write.
    meddles: Option<&'static str>,
    /// The next answer asks for a pause of a second, or the next request is refused for so long.
    backs_off: bool,
    refuses: bool,
}

type Shared = scripted::Shared<Server>;

/// Milliseconds since 1970: the time of a change, and the version that it makes.
fn stamp(change: usize) -> u64 {
    1_767_225_600_000 + 1000 * u64::try_from(change).unwrap()
}

fn error(status: u16, message: &str) -> Response {
    answer(status, &body_of(status, message))
}

fn body_of(status: u16, message: &str) -> Value {
    json!({ "code": status, "errno": 999, "error": message, "message": message })
}

impl Server {
    fn shelf(&mut self, collection: &str) -> Option<&mut Dated> {
        match collection {
            "companies" => Some(&mut self.companies),
            "people" => Some(&mut self.people),
            _ => None,
        }
    }

    fn set(&mut self, collection: &str, id: &str, changes: &Value) -> Value {
        self.shelf(collection).unwrap().set(id, json!({ "id": id }), |record, change| {
            for (name, value) in changes.as_object().unwrap() {
                record[name] = value.clone();
            }
            record["last_modified"] = json!(stamp(change));
        })
    }

    fn list(&mut self, collection: &str, asked: &Asked) -> Response {
        let Some(shelf) = self.shelf(collection) else { return error(403, "This user cannot access this resource.") };
        let known = ["_limit", "_since", "_token", "_sort"];
        if let Some(unknown) = asked.query.keys().find(|name| !known.contains(&name.as_str())) {
            return error(400, &format!("Unknown filter field '{unknown}'"));
        }
        let since = asked.query.get("_since").map(|since| since.trim_matches('"').parse::<u64>().unwrap());
        // Records that are gone are listed only among what has changed since.
        let mut found: Vec<(usize, Value)> = Vec::new();
        for (id, (change, record)) in &shelf.records {
            let gone = json!({ "id": id, "last_modified": stamp(*change), "deleted": true });
            let is_new = since.is_none_or(|since| stamp(*change) > since);
            match record {
                Some(record) if is_new => found.push((*change, record.clone())),
                None if is_new && since.is_some() => found.push((*change, gone)),
                Some(_) | None => {}
            }
        }
        // The newest first.
        found.sort_by_key(|(change, _)| std::cmp::Reverse(*change));
        let all: Vec<Value> = found.into_iter().map(|(_, record)| record).collect();
        let from: usize = asked.query.get("_token").map_or(0, |token| token.parse().unwrap());
        let (some, next) = Asked::page(&all, from, 2);
        let mut response = answer(200, &json!({ "data": some }));
        let newest = stamp(shelf.change);
        response.headers_mut().insert("etag", format!("\"{newest}\"").parse().unwrap());
        if let Some(next) = next {
            let mut url =
                url::Url::parse(&format!("http://{}/{}", asked.header("host"), asked.path.join("/"))).unwrap();
            url.query_pairs_mut().extend_pairs(asked.query.iter().filter(|(name, _)| *name != "_token"));
            url.query_pairs_mut().append_pair("_token", &next.to_string());
            response.headers_mut().insert("next-page", url.as_str().parse().unwrap());
        }
        response
    }

    /// One write or point read: its status and body.
    fn one(&mut self, method: &str, path: &[&str], headers: &BTreeMap<String, String>, body: &Value) -> (u16, Value) {
        let ["buckets", "crm", "collections", collection, "records", id] = path else {
            return (404, body_of(404, "The resource you are looking for could not be found."));
        };
        if method != "GET"
            && let Some(id) = self.meddles.take()
        {
            self.set("people", id, &json!({ "city": "Theirs" }));
        }
        let Some(shelf) = self.shelf(collection) else { return (403, body_of(403, "forbidden")) };
        let there = shelf.get(id).cloned();
        let header = |name: &str| headers.get(name).map(String::as_str);
        let version = there.as_ref().map(|record| format!("\"{}\"", record["last_modified"]));
        if header("if-none-match") == Some("*") && there.is_some()
            || header("if-match").is_some_and(|wanted| version.as_deref() != Some(wanted))
        {
            return (412, body_of(412, "Resource was modified meanwhile"));
        }
        match (method, there) {
            ("GET", Some(record)) => (200, json!({ "data": record })),
            ("PUT", there) if body["data"].is_object() => {
                let status = if there.is_some() { 200 } else { 201 };
                (status, json!({ "data": self.set(collection, id, &body["data"]) }))
            }
            ("PATCH", Some(_)) if body["data"].is_object() => {
                (200, json!({ "data": self.set(collection, id, &body["data"]) }))
            }
            ("DELETE", Some(_)) => {
                shelf.remove(id);
                (200, json!({ "data": { "id": id, "last_modified": stamp(shelf.change), "deleted": true } }))
            }
            ("PUT" | "PATCH", _) if !body["data"].is_object() => (400, body_of(400, "data in body: Required")),
            _ => (404, body_of(404, "The resource you are looking for could not be found.")),
        }
    }

    fn batch(&mut self, body: &Value) -> Response {
        let requests = body["requests"].as_array().unwrap();
        if requests.len() > 25 {
            return error(400, "Number of requests is limited to 25");
        }
        let (mut responses, mut statuses) = (Vec::new(), Vec::new());
        for request in requests {
            let path: Vec<&str> =
                request["path"].as_str().unwrap().split('/').filter(|step| !step.is_empty()).collect();
            let headers = request["headers"].as_object().into_iter().flatten();
            let headers =
                headers.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned())).collect();
            let (status, body) = self.one(request["method"].as_str().unwrap(), &path, &headers, &request["body"]);
            statuses.push(status);
            responses.push(json!({ "status": status, "path": request["path"], "headers": {}, "body": body }));
        }
        self.batches.push(statuses);
        answer(200, &json!({ "responses": responses }))
    }
}

#[expect(clippy::disallowed_methods, reason = "how long the program that is tested waits is told by its clock")]
fn serve(server: &mut Server, asked: &Asked) -> Response {
    if !asked.is_signed_in() {
        return error(401, "Please authenticate yourself to use this endpoint.");
    }
    let (method, path) = asked.below("");
    let since = asked.query.get("_since").map(|_| "?_since").unwrap_or_default();
    server.asked.push((Utc::now(), format!("{method} {}{since}", path.join("/"))));
    if std::mem::take(&mut server.refuses) {
        return ([("retry-after", "1")], error(503, "Service temporary unavailable due to overloading or maintenance"))
            .into_response();
    }
    let headers: BTreeMap<String, String> = asked
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
        .collect();
    let body = asked.json().unwrap_or_default();
    let mut response = match (method, path.as_slice()) {
        ("GET", ["buckets", "crm", "collections", collection, "records"]) => server.list(collection, asked),
        ("POST", ["batch"]) => server.batch(&body),
        _ => {
            let (status, body) = server.one(method, &path, &headers, &body);
            if method != "GET" {
                server.batches.push(vec![status]);
            }
            answer(status, &body)
        }
    };
    if std::mem::take(&mut server.backs_off) {
        response.headers_mut().insert("backoff", "1".parse().unwrap());
    }
    response
}

fn stage(people: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    server.look().set("companies", "c1", &json!({ "ext_id": "c1", "name": "One" }));
    for n in 1..=people {
        let person =
            json!({ "ext_id": format!("p{n}"), "name": format!("Ann {n}"), "company": "c1", "balance": "1.50" });
        server.look().set("people", &format!("p{n}"), &person);
    }
    let files = [
        include_str!("../../../sync-rules/examples/kinto/kinto.toml"),
        include_str!("../../../sync-rules/examples/kinto/companies.toml"),
        include_str!("../../../sync-rules/examples/kinto/people.toml"),
    ];
    let rules = with_bearer(&files.join("\n\n"), "kinto");
    (server.clone(), Scripted::new("kinto", answered_by(server, serve), &rules))
}

impl Server {
    fn person(&self, id: &str, name: &str) -> Value {
        self.people.get(id).unwrap()[name].clone()
    }
}

#[track_caller]
fn is_quiet(scripted: &Scripted) {
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn records_follow_their_timestamps_both_ways_with_tombstones_and_in_batches() {
    let (server, scripted) = stage(5);
    let world = &scripted.world;
    let names = || world.rows("select name from people order by name").concat();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 6));
    server.look().asked.clear();
    is_quiet(&scripted);
    assert!(server.look().asked.iter().all(|(_, line)| line.ends_with("?_since")), "only what changed is listed");

    server.look().set("people", "p1", &json!({ "name": "Bob" }));
    server.look().people.remove("p2");
    world.sql("update people set city = 'Bonn', tags = '[\"a\",\"b\"]', balance = '2.25' where name = 'Ann 3'");
    world.sql("delete from people where name = 'Ann 4'");
    world.sql("insert into people (ext_id, name, company) select 'p9', 'New', id from companies");
    assert_eq!(scripted.sync().exits(0).writes(), (3, 2));
    let mut batches = std::mem::take(&mut server.look().batches);
    for statuses in &mut batches {
        statuses.sort_unstable();
    }
    assert_eq!(batches, [[200, 200, 201]], "all in one request");
    assert_eq!(names(), ["Ann 3", "Ann 5", "Bob", "New"]);
    assert_eq!(["tags", "balance"].map(|name| server.look().person("p3", name)), [json!(["a", "b"]), json!("2.25")]);
    let made =
        server.look().people.records.values().filter_map(|(_, one)| one.clone()).find(|one| one["ext_id"] == "p9");
    assert_eq!(made.unwrap()["company"], "c1");
    is_quiet(&scripted);
}

#[test]
fn a_record_that_somebody_else_changed_meanwhile_is_not_overwritten() {
    let (server, scripted) = stage(3);
    scripted.sync().exits(0);
    server.look().meddles = Some("p1");
    scripted.world.sql("update people set phone = '7' where name = 'Ann 1'");
    scripted.sync().exits(0);
    assert!(server.look().batches.concat().contains(&412));
    assert_eq!(["city", "phone"].map(|name| server.look().person("p1", name)), [json!("Theirs"), json!("7")]);
    scripted.sync().exits(0);
    assert_eq!(scripted.world.rows("select city, phone from people where name = 'Ann 1'"), [["Theirs", "7"]]);
    // Gone there while it is edited here: 412 as well, and nothing is made anew in its place.
    server.look().people.remove("p2");
    scripted.world.sql("delete from people where name = 'Ann 2'");
    scripted.sync().exits(0);
    assert_eq!(server.look().people.records["p2"].1, None);
    is_quiet(&scripted);
}

#[test]
fn more_records_than_a_batch_may_have_go_in_several() {
    let (server, scripted) = stage(30);
    scripted.sync().exits(0);
    scripted.world.sql("update people set city = 'Bonn'");
    assert_eq!(scripted.sync().exits(0).writes(), (30, 0));
    let sizes: Vec<usize> = server.look().batches.iter().map(Vec::len).collect();
    assert_eq!(sizes, [25, 5]);
    is_quiet(&scripted);
}

#[test]
fn a_pause_that_is_asked_for_is_kept_after_a_success_and_after_a_refusal() {
    let (server, scripted) = stage(3);
    for refuses in [false, true] {
        server.look().asked.clear();
        server.look().backs_off = !refuses;
        server.look().refuses = refuses;
        scripted.full_sync().exits(0);
        let asked = server.look().asked.clone();
        let waited = (asked[1].0 - asked[0].0).num_milliseconds();
        assert!(waited >= 1000, "{waited} ms: {asked:?}");
    }
}
