//! Jira: a search by JQL whose time is a number, an index that lags behind what was written, writes that answer nothing;
//! issues that are made fifty at once, where what was not made tells its place, and the others do not.

use axum::http::HeaderName;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

#[derive(Default)]
struct Server {
    issues: Dated,
    /// What searches go by, where the index lags.
    index: Option<Vec<Value>>,
    asked: Vec<String>,
    /// The next request is one too many.
    too_many: bool,
    /// How many issues came at once.
    bulks: Vec<usize>,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, message: &str) -> Response {
    answer(status, &json!({ "errorMessages": [message], "errors": {} }))
}

impl Server {
    fn set(&mut self, id: &str, fields: &Value) {
        let created = moment(0).replace('Z', "+0000");
        let new = json!({ "id": id, "key": format!("KAN-{id}"), "fields": { "summary": null, "duedate": null, "labels": [], "created": created } });
        self.issues.set(id, new, |issue, change| {
            for (name, value) in fields.as_object().unwrap() {
                issue["fields"][name] = value.clone();
            }
            // In the zone of a user.
            let at = chrono::DateTime::parse_from_rfc3339(&moment(change)).unwrap();
            let zone = chrono::FixedOffset::east_opt(2 * 3600).unwrap();
            issue["fields"]["updated"] = json!(at.with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S%.3f%z").to_string());
        });
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.issues.get(id).unwrap()["fields"][name].clone()
    }

    fn live(&self) -> Vec<Value> {
        self.issues.records.values().filter_map(|(_, one)| one.clone()).collect()
    }

    /// `project = KAN [AND updated >= milliseconds] ORDER BY updated ASC`; two a page.
    fn search(&mut self, body: &Value) -> Response {
        let jql = body["jql"].as_str().unwrap_or_default();
        let middle = jql.strip_prefix("project = KAN").and_then(|rest| rest.strip_suffix(" ORDER BY updated ASC"));
        let Some(middle) = middle else { return error(400, "Error in the JQL Query") };
        // A text would be minutes in the zone of the user.
        let since = middle.strip_prefix(" AND updated >= ").map(str::parse::<i64>);
        if since.as_ref().is_some_and(Result::is_err) || (since.is_none() && !middle.is_empty()) {
            return error(400, "Date value for field 'updated' is invalid");
        }
        let since = since.map(Result::unwrap);
        self.asked.push(format!("since {since:?}"));
        let at = |one: &Value| {
            let text = one["fields"]["updated"].as_str().unwrap();
            chrono::DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.3f%z").unwrap().timestamp_millis()
        };
        let mut found = self.index.clone().unwrap_or_else(|| self.live());
        found.retain(|one| since.is_none_or(|since| at(one) >= since));
        found.sort_by_key(at);
        let from =
            body["nextPageToken"].as_str().map_or(0, |token| token.strip_prefix("CAE").unwrap().parse().unwrap());
        let (issues, next) = Asked::page(&found, from, 2);
        let mut body = json!({ "issues": issues, "isLast": next.is_none() });
        if let Some(next) = next {
            body["nextPageToken"] = json!(format!("CAE{next}"));
        }
        answer(200, &body)
    }

    fn make(&mut self, fields: &Value) -> Value {
        let id = format!("9{}", self.issues.change);
        let mut fields = fields.clone();
        fields.as_object_mut().unwrap().retain(|name, _| name != "project" && name != "issuetype");
        self.set(&id, &fields);
        json!({ "id": id, "key": format!("KAN-{id}"), "self": "https://…" })
    }

    /// Some made and some not is still a 201; none made is a 400.
    fn make_all(&mut self, updates: &[Value]) -> Response {
        self.bulks.push(updates.len());
        if updates.len() > 50 {
            return error(400, "The number of issues is over the limit");
        }
        let (mut issues, mut errors) = (Vec::new(), Vec::new());
        for (place, update) in updates.iter().enumerate() {
            match Self::refuses(&update["fields"], true) {
                Some(why) => errors.push(json!({
                    "status": 400,
                    "elementErrors": { "errorMessages": [], "errors": { "labels": why } },
                    "failedElementNumber": place,
                })),
                None => issues.push(self.make(&update["fields"])),
            }
        }
        answer(if issues.is_empty() { 400 } else { 201 }, &json!({ "issues": issues, "errors": errors }))
    }

    fn refuses(fields: &Value, create: bool) -> Option<&'static str> {
        let fields = fields.as_object()?;
        let mut known = vec!["summary", "duedate", "labels"];
        if create {
            known.extend(["project", "issuetype"]);
        }
        match () {
            () if fields.keys().any(|name| !known.contains(&name.as_str())) => {
                Some("Field cannot be set. It is not on the appropriate screen, or unknown.")
            }
            () if create
                && (fields.get("project") != Some(&json!({ "key": "KAN" })) || !fields.contains_key("issuetype")) =>
            {
                Some("Specify a valid project ID or key")
            }
            () if fields.get("labels").is_some_and(|labels| {
                labels.as_array().unwrap().iter().any(|one| one.as_str().unwrap().contains(' '))
            }) =>
            {
                Some("The label can't contain spaces.")
            }
            () => None,
        }
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    // sync@example.com:a-secret-of-tests
    if asked.header("authorization") != "Basic c3luY0BleGFtcGxlLmNvbTphLXNlY3JldC1vZi10ZXN0cw==" {
        return error(401, "Client must be authenticated to access this resource.");
    }
    if std::mem::take(&mut server.too_many) {
        let wait = [(HeaderName::from_static("retry-after"), "1")];
        return (wait, error(429, "Rate limit exceeded")).into_response();
    }
    let (method, path) = asked.below("/rest/api/3");
    match (method, path.as_slice(), asked.json()) {
        ("POST", ["search", "jql"], Some(body)) => server.search(&body),
        ("POST", ["issue"], Some(body)) => match Server::refuses(&body["fields"], true) {
            Some(why) => error(400, why),
            None => answer(201, &server.make(&body["fields"])),
        },
        ("POST", ["issue", "bulk"], Some(body)) => server.make_all(body["issueUpdates"].as_array().unwrap()),
        (_, ["issue", id], _) if server.issues.get(id).is_none() => {
            error(404, "Issue does not exist or you do not have permission to see it.")
        }
        ("GET", ["issue", id], _) => answer(200, server.issues.get(id).unwrap()),
        ("PUT", ["issue", id], Some(body)) => {
            if let Some(why) = Server::refuses(&body["fields"], false) {
                return error(400, why);
            }
            server.set(id, &body["fields"]);
            answer(204, &Value::Null)
        }
        ("DELETE", ["issue", id], _) => {
            server.issues.remove(id);
            answer(204, &Value::Null)
        }
        _ => error(415, "Unsupported Media Type"),
    }
}

fn stage(issues: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=issues {
        server.look().set(&n.to_string(), &json!({ "summary": format!("Issue {n}"), "labels": ["a"] }));
    }
    let rules = include_str!("../../../sync-rules/examples/jira/issues.toml");
    (server.clone(), Scripted::new("jira", answered_by(server, serve), rules))
}

#[test]
fn issues_are_searched_by_a_time_that_is_in_no_zone_and_go_both_ways() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select summary from issues order by summary").concat();
    server.look().too_many = true;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["since None"; 3]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    // Two minutes before the last change, whatever the zone that it is told in.
    assert_eq!(asked()[0], format!("since Some({})", 1_767_225_600_000_i64 + 5000 - 120_000));

    server.look().set("1", &json!({ "summary": "Bob", "duedate": "2026-02-01" }));
    server.look().issues.remove("2");
    server.look().set("6", &json!({ "summary": "Cyd" }));
    scripted.world.sql("update issues set due = '2026-03-01' where summary = 'Issue 3'");
    scripted.world.sql("delete from issues where summary = 'Issue 4'");
    scripted.world.sql("insert into issues (summary, labels) values ('Dan', '[]')");
    assert_eq!(scripted.full_sync().exits(0).writes(), (3, 3));
    assert_eq!(names(), ["Bob", "Cyd", "Dan", "Issue 3", "Issue 5"]);
    assert_eq!(server.look().field("3", "duedate"), "2026-03-01");
    assert!(server.look().issues.get("4").is_none());
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn an_index_that_lags_takes_no_write_back_and_hides_no_issue() {
    let (server, scripted) = stage(3);
    scripted.sync().exits(0);
    // From here on searches show what was there before.
    let before = server.look().live();
    server.look().index = Some(before);
    scripted.world.sql("update issues set summary = 'New 1', due = '2026-03-01' where summary = 'Issue 1'");
    scripted.world.sql("insert into issues (summary, labels) values ('Dan', '[]')");
    assert_eq!(scripted.sync().exits(0).writes(), (2, 0));
    for _ in 0..2 {
        assert_eq!(scripted.full_sync().writes(), (0, 0));
    }
    assert_eq!(["summary", "duedate"].map(|name| server.look().field("1", name)), ["New 1", "2026-03-01"]);
    assert_eq!(scripted.world.rows("select count(*) from issues where summary in ('New 1', 'Dan')"), [["2"]]);
    // Once the index has it, all is quiet.
    server.look().index = None;
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
    assert_eq!(server.look().live().len(), 4);
}

#[test]
fn issues_are_made_at_once_and_each_row_is_tied_to_its_own_whichever_was_refused() {
    let (server, scripted) = stage(1);
    scripted.sync().exits(0);
    let world = &scripted.world;
    for (summary, labels) in [("One", "[]"), ("Two", "[\"no good\"]"), ("Three", "[]"), ("Four", "[\"a\"]")] {
        world.sql(&format!("insert into issues (summary, labels) values ('{summary}', '{labels}')"));
    }
    let ran = scripted.sync();
    assert_eq!(ran.writes().0, 3, "{ran:?}");
    assert_eq!(std::mem::take(&mut server.look().bulks), [4]);
    assert_eq!(server.look().live().len(), 4);
    world.sql("update issues set due = case summary when 'Three' then '2026-03-03' else '2026-04-04' end where summary in ('Three', 'Four')");
    scripted.sync();
    for issue in server.look().live() {
        let due = match issue["fields"]["summary"].as_str().unwrap() {
            "Three" => json!("2026-03-03"),
            "Four" => json!("2026-04-04"),
            _ => Value::Null,
        };
        assert_eq!(issue["fields"]["duedate"], due, "{issue}");
    }
    let why = scripted.run(&["status"]).stdout;
    assert!(why.contains("can't contain spaces"), "{why}");
    world.sql("update issues set labels = '[\"good\"]' where summary = 'Two'");
    scripted.sync().exits(0);
    assert_eq!(server.look().live().len(), 5);
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
}
