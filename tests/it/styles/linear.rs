//! Linear: GraphQL whose limit is a 400 with its end in milliseconds since 1970, ids of new issues that are ours, archived issues.

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

#[derive(Default)]
struct Server {
    issues: Dated,
    asked: Vec<String>,
    /// The next request is one too many of this hour, which ends in two seconds.
    too_many: bool,
    /// The answer to the next create is lost.
    loses: bool,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, code: &str, message: &str) -> Response {
    answer(status, &json!({ "errors": [{ "message": message, "extensions": { "code": code } }], "data": null }))
}

#[expect(clippy::disallowed_methods, reason = "the end of a window is told by the clock of the program that is tested")]
fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

impl Server {
    fn set(&mut self, id: &str, input: &Value) -> Value {
        let new = json!({ "id": id, "title": null, "description": null, "priority": 0, "archivedAt": null });
        self.issues.set(id, new, |issue, change| {
            for (name, value) in input.as_object().unwrap() {
                match name.as_str() {
                    "teamId" => issue["team"] = json!({ "id": value }),
                    _ => issue[name] = value.clone(),
                }
            }
            issue["updatedAt"] = json!(moment(change));
        })
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.issues.get(id).unwrap()[name].clone()
    }

    fn titles(&self) -> Vec<Value> {
        let mut titles: Vec<Value> =
            self.issues.records.values().map(|(_, one)| one.as_ref().unwrap()["title"].clone()).collect();
        titles.sort_by_key(Value::to_string);
        titles
    }

    /// Two a page, archived ones as well.
    fn list(&mut self, variables: &Value) -> Value {
        let since = variables["filter"]["updatedAt"]["gte"].as_str();
        self.asked.push(format!("list {}", since.unwrap_or("all")));
        let since = since.map(|since| chrono::DateTime::parse_from_rfc3339(since).unwrap());
        let at = |one: &Value| chrono::DateTime::parse_from_rfc3339(one["updatedAt"].as_str().unwrap()).unwrap();
        let mut found: Vec<Value> = self.issues.records.values().filter_map(|(_, one)| one.clone()).collect();
        found.retain(|one| since.is_none_or(|since| at(one) >= since));
        let from = variables["after"].as_str().map_or(0, |after| after.parse().unwrap());
        let (nodes, next) = Asked::page(&found, from, 2);
        let info = json!({ "hasNextPage": next.is_some(), "endCursor": (from + nodes.len()).to_string() });
        json!({ "data": { "issues": { "nodes": nodes, "pageInfo": info } } })
    }

    fn create(&mut self, input: &Value) -> Response {
        let id = input["id"].as_str().unwrap_or_default();
        let is_uuid = id.len() == 36 && id.matches('-').count() == 4;
        if !is_uuid || input["title"].as_str().is_none_or(str::is_empty) || input["teamId"].is_null() {
            return error(400, "INVALID_INPUT", "Argument Validation Error");
        }
        self.asked.push("create".to_owned());
        if self.issues.get(id).is_some() {
            return error(200, "INPUT_ERROR", "conflict on insert of Issue");
        }
        let issue = self.set(id, input);
        if std::mem::take(&mut self.loses) {
            return error(500, "INTERNAL_SERVER_ERROR", "Internal server error");
        }
        answer(200, &json!({ "data": { "issueCreate": { "success": true, "issue": issue } } }))
    }

    fn ask(&mut self, field: &str, variables: &Value) -> Response {
        let id = variables["id"].as_str().unwrap_or_default();
        if !["issues", "issueCreate"].contains(&field) && self.issues.get(id).is_none() {
            return error(200, "INPUT_ERROR", "Entity not found: Issue");
        }
        match field {
            "issues" => answer(200, &self.list(variables)),
            "issue" => answer(200, &json!({ "data": { "issue": self.issues.get(id) } })),
            "issueCreate" => self.create(&variables["input"]),
            "issueArchive" => {
                self.set(id, &json!({ "archivedAt": moment(1) }));
                answer(200, &json!({ "data": { "issueArchive": { "success": true } } }))
            }
            _ => {
                let known = ["title", "description", "priority"];
                let input = variables["input"].as_object().unwrap();
                if input.keys().any(|name| !known.contains(&name.as_str())) {
                    return error(400, "GRAPHQL_VALIDATION_FAILED", "Variable \"$input\" got invalid value");
                }
                let issue = self.set(id, &variables["input"]);
                answer(200, &json!({ "data": { "issueUpdate": { "success": true, "issue": issue } } }))
            }
        }
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    // A key of a person goes without a word before it.
    if asked.header("authorization") != "a-secret-of-tests" {
        return error(401, "AUTHENTICATION_ERROR", "Authentication required, not authenticated");
    }
    let Some(body) = asked.json() else { return error(400, "BAD_REQUEST", "POST body missing") };
    let fields = ["issues", "issueCreate", "issueUpdate", "issueArchive", "issue"];
    let query = body["query"].as_str().unwrap();
    let field = fields.into_iter().find(|name| query.contains(&format!(" {name}("))).unwrap();
    let limited = std::mem::take(&mut server.too_many);
    let mut answered = if limited {
        error(400, "RATELIMITED", "Rate limit exceeded. Only 2500 requests are allowed per 1 hour")
    } else {
        server.ask(field, &body["variables"])
    };
    let (left, end) = if limited { (0, now_ms() + 2000) } else { (2400, now_ms() + 3_600_000) };
    for (name, value) in [("limit", 2500), ("remaining", left), ("reset", end)] {
        let name = format!("x-ratelimit-requests-{name}").parse::<HeaderName>().unwrap();
        answered.headers_mut().insert(name, HeaderValue::from(value));
    }
    answered
}

fn stage(issues: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=issues {
        server.look().set(&format!("i{n}"), &json!({ "title": format!("Issue {n}"), "teamId": "t1" }));
    }
    let rules = include_str!("../../../sync-rules/examples/linear/issues.toml");
    (server.clone(), Scripted::new("linear", answered_by(server, serve), rules))
}

#[test]
fn issues_go_both_ways_and_what_is_archived_is_not_gone() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["list all"; 3]);
    server.look().set("i1", &json!({ "title": "Bob" }));
    server.look().set("i2", &json!({ "archivedAt": moment(1) }));
    scripted.world.sql("update issues set priority = 1, details = null where title = 'Issue 3'");
    scripted.world.sql("delete from issues where title = 'Issue 4'");
    scripted.world.sql("insert into issues (title, priority, team) values ('Dan', 2, 't2')");
    scripted.sync().exits(0);
    assert_eq!(asked()[0], "list 2025-12-31T23:58:05Z");
    assert_eq!(server.look().field("i3", "priority"), 1);
    assert!(server.look().field("i4", "archivedAt").is_string());
    let rows = scripted.world.rows("select title, team from issues order by title");
    assert_eq!(rows, [["Bob", "t1"], ["Dan", "t2"], ["Issue 2", "t1"], ["Issue 3", "t1"], ["Issue 5", "t1"]]);
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
    // Taken out of the archive: the same issue.
    server.look().set("i2", &json!({ "archivedAt": null, "title": "Back" }));
    scripted.sync().exits(0);
    assert_eq!(scripted.world.rows("select count(*) from issues where title = 'Back'"), [["1"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_limit_that_is_a_400_is_waited_for_and_refuses_no_record() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    scripted.world.sql("update issues set priority = 1");
    server.look().too_many = true;
    assert_eq!(scripted.sync().exits(0).writes(), (2, 0));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn an_issue_whose_answer_was_lost_is_made_once() {
    let (server, scripted) = stage(1);
    scripted.sync().exits(0);
    server.look().asked.clear();
    server.look().loses = true;
    scripted.world.sql("insert into issues (title, team) values ('Dan', 't2')");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(server.look().titles(), ["Dan", "Issue 1"]);
    assert_eq!(scripted.world.rows("select count(*) from issues"), [["2"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
