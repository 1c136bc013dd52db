//! GitHub: link headers, `since`, 304 by `ETag`, limits told by 403 and 429 with headers, issues that are deleted (410), transferred
//! (301) or out of sight (404).

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by};

const ISSUES: &str = "repos/them/widgets";

#[derive(Default)]
struct Server {
    issues: Dated,
    /// Where issues have gone: `None` where nobody may see.
    gone: std::collections::BTreeMap<String, Option<u16>>,
    asked: Vec<String>,
    /// The next requests are refused so: status, headers, words.
    limits: Vec<Limit>,
    labels: usize,
}

type Shared = scripted::Shared<Server>;

struct Limit {
    status: u16,
    headers: Vec<(&'static str, String)>,
    words: &'static str,
}

fn error(status: u16, words: &str) -> Response {
    answer(status, &json!({ "message": words, "documentation_url": "https://docs.github.com/rest" }))
}

/// A second of one day, by the number of a change.
fn moment(change: usize) -> String {
    format!("2026-01-01T{:02}:{:02}:{:02}Z", change / 3600, change / 60 % 60, change % 60)
}

#[expect(clippy::disallowed_methods, reason = "the end of a window is told by the clock of the program that is tested")]
fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

impl Server {
    fn set(&mut self, number: &str, changes: &Value) -> Value {
        let new = json!({
            "number": number.parse::<u64>().unwrap(), "title": "", "body": null, "state": "open", "locked": false, "pull_request": null,
        });
        // An hour lies between two changes.
        self.issues.set(number, new, |issue, change| {
            for (name, value) in changes.as_object().unwrap() {
                issue[name] = value.clone();
            }
            issue["updated_at"] = json!(moment(3600 * change % 86_400));
        })
    }

    fn make(&mut self, issue: &Value) -> Value {
        let number = (self.issues.records.len() + 1).to_string();
        self.set(&number, issue)
    }

    fn leave(&mut self, number: &str, status: Option<u16>) {
        self.issues.remove(number);
        self.gone.insert(number.to_owned(), status);
    }

    /// Two a page, however many are asked for.
    fn list(&self, asked: &Asked) -> Response {
        let known = ["state", "sort", "direction", "per_page", "since", "page"];
        if asked.query.keys().any(|name| !known.contains(&name.as_str())) {
            return error(422, "Validation Failed");
        }
        let is = |name: &str, value: &str| asked.query.get(name).is_some_and(|given| given == value);
        if !is("state", "all") || !is("sort", "updated") || !is("direction", "asc") || !is("per_page", "100") {
            return error(422, "Validation Failed");
        }
        let at = |one: &Value| one["updated_at"].as_str().unwrap().to_owned();
        let since = asked.query.get("since").cloned().unwrap_or_default();
        let mut found: Vec<Value> = self.issues.records.values().filter_map(|(_, one)| one.clone()).collect();
        found.retain(|one| at(one) >= since);
        found.sort_by_key(at);
        let page: usize = asked.query.get("page").map_or(1, |page| page.parse().unwrap());
        let (some, next) = Asked::page(&found, 2 * (page - 1), 2);
        let mut response = answer(200, &Value::Array(some));
        if next.is_some() {
            let mut url = url::Url::parse(&format!("http://{}/{ISSUES}/issues", asked.header("host"))).unwrap();
            url.query_pairs_mut().extend_pairs(asked.query.iter().filter(|(name, _)| *name != "page"));
            url.query_pairs_mut().append_pair("page", &(page + 1).to_string());
            let link = format!("<{url}>; rel=\"next\", <{url}0>; rel=\"last\"");
            response.headers_mut().insert("link", link.parse().unwrap());
        }
        response
    }

    fn one(&mut self, method: &str, number: &str, body: Option<&Value>) -> Response {
        if let Some(status) = self.gone.get(number) {
            return match status {
                Some(301) => {
                    // Its number there is one that another issue has here.
                    (StatusCode::MOVED_PERMANENTLY, [("location", "/repositories/7/issues/1")]).into_response()
                }
                Some(status) => error(*status, "This issue was deleted"),
                None => error(404, "Not Found"),
            };
        }
        let Some(issue) = self.issues.get(number).cloned() else { return error(404, "Not Found") };
        match (method, body) {
            ("GET", _) => answer(200, &issue),
            ("PATCH", Some(body)) => {
                let known = ["title", "body", "state"];
                if body.as_object().unwrap().keys().any(|name| !known.contains(&name.as_str())) {
                    return error(422, "Validation Failed");
                }
                answer(200, &self.set(number, body))
            }
            _ => error(404, "Not Found"),
        }
    }

    fn lock(&mut self, method: &str, number: &str, body: Option<&Value>) -> Response {
        let reasons = ["off-topic", "too heated", "resolved", "spam"];
        match (method, body) {
            ("PUT", Some(body)) if reasons.contains(&body["lock_reason"].as_str().unwrap_or_default()) => {
                self.set(number, &json!({ "locked": true }));
                StatusCode::NO_CONTENT.into_response()
            }
            ("DELETE", None) => {
                self.set(number, &json!({ "locked": false }));
                StatusCode::NO_CONTENT.into_response()
            }
            _ => error(422, "Validation Failed"),
        }
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if asked.header("user-agent").is_empty() {
        return error(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
        );
    }
    if !asked.is_signed_in() {
        return error(401, "Bad credentials");
    }
    if asked.header("x-github-api-version") != "2022-11-28" || asked.header("accept") != "application/vnd.github+json" {
        return error(400, "unsupported version");
    }
    let (method, path) = asked.below(ISSUES);
    server
        .asked
        .push(format!("{method} {}", if path == ["elsewhere"] { asked.path.join("/") } else { path.join("/") }));
    if let Some(limit) = server.limits.pop() {
        let mut response = error(limit.status, limit.words);
        for (name, value) in limit.headers {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        return response;
    }
    let body = asked.json();
    match (method, path.as_slice()) {
        ("GET", ["issues"]) => server.list(asked),
        ("GET", ["labels"]) => {
            let etag = format!("W/\"labels-{}\"", server.labels);
            if asked.header("if-none-match") == etag {
                return (StatusCode::NOT_MODIFIED, [("etag", etag)]).into_response();
            }
            let labels: Vec<Value> =
                (1..=server.labels).map(|id| json!({ "id": id, "name": format!("l{id}") })).collect();
            ([("etag", etag)], answer(200, &Value::Array(labels))).into_response()
        }
        ("GET", ["elsewhere"]) if asked.path.join("/") == "repositories/7/issues/1" => {
            answer(200, &json!({ "number": 1, "title": "transferred", "updated_at": moment(0) }))
        }
        ("POST", ["issues"]) => match body {
            Some(body) if body["title"].is_string() => answer(201, &server.make(&body)),
            _ => error(422, "Validation Failed"),
        },
        (method, ["issues", number]) => server.one(method, number, body.as_ref()),
        (method, ["issues", number, "lock"]) => server.lock(method, number, body.as_ref()),
        _ => error(404, "Not Found"),
    }
}

fn stage(issues: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=issues {
        server.look().make(&json!({ "title": format!("t{n}") }));
    }
    let rules = include_str!("../../../sync-rules/examples/github/issues.toml")
        .replace("${var.github_repository}", "them/widgets");
    (server.clone(), Scripted::new("github", answered_by(server, serve), &rules))
}

impl Server {
    fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }
}

#[track_caller]
fn is_quiet(scripted: &Scripted) {
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn issues_follow_links_and_the_time_of_change_both_ways() {
    let (server, scripted) = stage(5);
    let world = &scripted.world;
    server.look().set("5", &json!({ "pull_request": { "url": "…" } }));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 4));
    assert_eq!(server.look().asked(), ["GET issues"; 3]);
    is_quiet(&scripted);
    assert_eq!(server.look().asked().len(), 2, "only what changed is listed");

    server.look().set("1", &json!({ "title": "theirs" }));
    world.sql("update issues set body = 'b', locked = 1 where title = 't2'");
    world.sql("insert into issues (title, state, locked) values ('mine', 'open', 0)");
    assert_eq!(scripted.sync().exits(0).writes(), (3, 1));
    let issue = |number: &str| server.look().issues.get(number).unwrap().clone();
    assert_eq!((&issue("2")["body"], &issue("2")["locked"]), (&json!("b"), &json!(true)));
    assert_eq!(issue("6")["title"], "mine");
    is_quiet(&scripted);
    world.sql("update issues set locked = 0, state = 'closed' where title = 't2'");
    assert_eq!(scripted.sync().exits(0).writes(), (2, 0));
    assert_eq!((&issue("2")["state"], &issue("2")["locked"]), (&json!("closed"), &json!(false)));
    is_quiet(&scripted);
}

#[test]
fn an_issue_that_was_deleted_is_gone_and_one_that_was_transferred_is_no_other_one() {
    let (server, scripted) = stage(5);
    let titles = || scripted.world.rows("select title from issues order by title").concat();
    scripted.sync().exits(0);
    server.look().leave("2", Some(410));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0), "what changed since says nothing of what is gone");
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 1));
    server.look().leave("3", None);
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 1));
    assert_eq!(titles(), ["t1", "t4", "t5"]);
    // Transferred: its number in the other repository is that of an issue here, which it is not.
    server.look().leave("4", Some(301));
    let ran = scripted.full_sync();
    assert_eq!(ran.writes(), (0, 0), "{ran:#?}");
    assert_eq!(titles(), ["t1", "t4", "t5"]);
    let status = scripted.run(&["status"]);
    assert!(status.stdout.contains("record 4 was asked for, and record 1 is the answer"), "{status:#?}");
    // To a transferred issue nothing is written, to the one with its number nothing of it.
    scripted.world.sql("update issues set body = 'b' where title = 't4'");
    scripted.sync();
    assert_eq!(server.look().issues.get("1").unwrap()["body"], Value::Null);
}

#[test]
fn limits_are_waited_for_as_long_as_their_headers_say() {
    let limits: [fn() -> Limit; 3] = [
        || Limit {
            status: 403,
            headers: vec![("retry-after", "1".to_owned())],
            words: "You have exceeded a secondary rate limit",
        },
        || Limit {
            status: 429,
            headers: vec![("retry-after", "1".to_owned())],
            words: "You have exceeded a secondary rate limit",
        },
        || {
            let reset = (now() + 2).to_string();
            let headers = vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset)];
            Limit { status: 403, headers, words: "API rate limit exceeded for user ID 1." }
        },
    ];
    let (server, scripted) = stage(3);
    for (at, limit) in limits.into_iter().enumerate() {
        server.look().limits.push(limit());
        server.look().set("1", &json!({ "title": format!("theirs {at}") }));
        scripted.sync().exits(0);
        assert_eq!(
            scripted.world.rows("select title from issues where title like 'theirs%'"),
            [[format!("theirs {at}")]]
        );
    }
    // Another 403 is no limit: it is told, and not asked again and again.
    server.look().limits.push(Limit {
        status: 403,
        headers: vec![],
        words: "Resource not accessible by personal access token",
    });
    server.look().asked();
    let why = scripted.sync().cannot_read("issues");
    assert!(why.contains("Resource not accessible"), "{why}");
    assert_eq!(server.look().asked().len(), 1);
}

#[test]
fn labels_that_are_as_they_were_are_not_listed_again() {
    let labels = "[collection.labels]\nfields = { name = \"text\" }\n[binding.labels.github]\ndirection = \"pull\"\nid = \".id\"\nmap = { name = \".name\" }\n\
                  read = { request = { path = \"/repos/them/widgets/labels\", query = { per_page = \"100\" } }, records = \".[]\", incremental = \"conditional\" }\n";
    let (server, scripted) = stage(1);
    server.look().labels = 2;
    scripted.world.rules("labels.toml", labels);
    let sync = || scripted.run(&["--json", "sync", "labels"]).exits(0).report("labels");
    assert_eq!(sync()["upstreams"][0]["listed"], 2);
    assert_eq!(sync()["upstreams"][0]["listed"], 0, "304");
    server.look().labels = 3;
    assert_eq!(sync()["upstreams"][0]["listed"], 3);
    assert_eq!(scripted.world.rows("select count(*) from labels"), [["3"]]);
}
