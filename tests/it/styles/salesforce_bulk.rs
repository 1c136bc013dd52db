//! Salesforce in bulk: a query that is a job, results in sets of CSV that name the next one in a header, an export as it was
//! when it was asked for.

use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment, with_bearer};

const API: &str = "/services/data/v62.0";
const FIELDS: [&str; 5] = ["Id", "Name", "Phone", "IsDeleted", "SystemModstamp"];

#[derive(Default)]
struct Server {
    accounts: Dated,
    jobs: Vec<Job>,
    /// How often a job is asked before it ends; `None`: it never does.
    slow: Option<usize>,
    fails: bool,
    /// So many jobs have been thrown away.
    forgotten: usize,
    /// The set that begins here cannot be had.
    breaks: Option<usize>,
    asked: Vec<String>,
}

/// What a query found when it was asked.
struct Job {
    asked: usize,
    found: Vec<Value>,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, code: &str) -> Response {
    answer(status, &json!([{ "message": code, "errorCode": code }]))
}

impl Server {
    fn set(&mut self, id: &str, changes: &Value) {
        let new = json!({ "Id": id, "Name": null, "Phone": null, "IsDeleted": false });
        self.accounts.set(id, new, |account, change| {
            for (name, value) in changes.as_object().unwrap() {
                account[name] = value.clone();
            }
            account["SystemModstamp"] = json!(moment(change));
        });
    }

    fn query(&mut self, body: &Value) -> Response {
        let query = body["query"].as_str().unwrap_or_default();
        if body["operation"] != "queryAll" || !query.starts_with(&format!("SELECT {} FROM Account", FIELDS.join(", ")))
        {
            return error(400, "MALFORMED_QUERY");
        }
        let since = query.split_once(" WHERE SystemModstamp >= ").map(|(_, since)| since.to_owned());
        self.asked.push(format!("query{}", if since.is_some() { " since" } else { "" }));
        let is_new = |account: &&Value| {
            since.as_ref().is_none_or(|since| account["SystemModstamp"].as_str().unwrap() >= since.as_str())
        };
        let all = self.accounts.records.values().filter_map(|(_, account)| account.as_ref());
        let found = all.filter(is_new).cloned().collect();
        self.jobs.push(Job { asked: 0, found });
        answer(200, &json!({ "id": format!("750{}", self.jobs.len() - 1), "state": "UploadComplete" }))
    }

    fn ended(&self, job: usize) -> bool {
        self.slow.is_some_and(|times| self.jobs[job].asked > times)
    }

    fn state(&mut self, job: usize) -> Response {
        self.jobs[job].asked += 1;
        let state = match (self.ended(job), self.fails) {
            (false, _) => "InProgress",
            (true, true) => "Failed",
            (true, false) => "JobComplete",
        };
        answer(200, &json!({ "id": format!("750{job}"), "state": state }))
    }

    /// Two rows a set.
    fn results(&mut self, job: usize, asked: &Asked) -> Response {
        if !self.ended(job) {
            return error(412, "JOB_NOT_COMPLETE");
        }
        assert_eq!(asked.query["maxRecords"], "50000");
        let from = asked.query.get("locator").map_or(0, |locator| locator.strip_prefix("Mj").unwrap().parse().unwrap());
        self.asked.push(format!("set {job} {from}"));
        if self.breaks == Some(from) {
            return error(500, "UNKNOWN_EXCEPTION");
        }
        let (rows, next) = Asked::page(&self.jobs[job].found, from, 2);
        let quoted = |value: &Value| match value {
            Value::Null => "\"\"".to_owned(),
            Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            other => format!("\"{other}\""),
        };
        let mut text = FIELDS.map(|name| format!("\"{name}\"")).join(",") + "\n";
        for row in &rows {
            text += &(FIELDS.map(|name| quoted(&row[name])).join(",") + "\n");
        }
        let locator = next.map_or("null".to_owned(), |next| format!("Mj{next}"));
        ([("content-type", "text/csv".to_owned()), ("sforce-locator", locator)], text).into_response()
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if !asked.is_signed_in() {
        return error(401, "INVALID_SESSION_ID");
    }
    let (method, path) = asked.below(API);
    let job = path.get(2).and_then(|id| id.strip_prefix("750")?.parse::<usize>().ok());
    match (method, path.as_slice(), job) {
        ("POST", ["jobs", "query"], _) => server.query(&asked.json().unwrap()),
        (_, ["jobs", "query", ..], Some(job)) if job < server.forgotten || job >= server.jobs.len() => {
            error(404, "NOT_FOUND")
        }
        ("GET", ["jobs", "query", _], Some(job)) => server.state(job),
        ("GET", ["jobs", "query", _, "results"], Some(job)) => server.results(job, asked),
        ("GET", ["sobjects", "Account", id], _) => match server.accounts.get(id) {
            Some(account) if account["IsDeleted"] == false => answer(200, account),
            _ => error(404, "NOT_FOUND"),
        },
        ("PATCH", ["sobjects", "Account", id], _) => {
            server.set(id, &asked.json().unwrap());
            answer(204, &Value::Null)
        }
        _ => error(400, "INVALID"),
    }
}

fn stage(accounts: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    server.look().slow = Some(2);
    for n in 1..=accounts {
        server.look().set(&format!("001{n}"), &json!({ "Name": format!("Ann \"{n}\""), "Phone": "1" }));
    }
    let rules = with_bearer(include_str!("../../../sync-rules/examples/salesforce_bulk/accounts.toml"), "salesforce");
    let rules = rules.replace("every = \"10s\"\ntimeout = \"1h\"", "every = \"10ms\"\ntimeout = \"5m\"");
    (server.clone(), Scripted::new("salesforce", answered_by(server, serve), &rules))
}

fn asked(server: &Shared) -> Vec<String> {
    std::mem::take(&mut server.look().asked)
}

#[test]
fn what_a_job_has_found_is_read_set_by_set_and_goes_both_ways() {
    let (server, scripted) = stage(5);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(&server), ["query", "set 0 0", "set 0 2", "set 0 4"]);
    assert_eq!(server.look().jobs[0].asked, 3, "asked until it has ended, and no more");
    assert_eq!(scripted.world.rows("select name from accounts where phone = '1' order by name")[0], ["Ann \"1\""]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked(&server)[0], "query since");

    scripted.world.sql("update accounts set phone = '2' where name = 'Ann \"3\"'");
    server.look().set("0011", &json!({ "Name": "Bob", "Phone": null }));
    server.look().set("0012", &json!({ "IsDeleted": true }));
    scripted.sync().exits(0);
    assert_eq!(server.look().accounts.get("0013").unwrap()["Phone"], "2");
    assert_eq!(
        scripted.world.rows("select name, coalesce(phone, '-') from accounts order by name").concat(),
        ["Ann \"3\"", "2", "Ann \"4\"", "1", "Ann \"5\"", "1", "Bob", "-"]
    );
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn an_interrupted_reading_goes_on_with_the_same_job_and_begins_anew_where_that_is_gone() {
    let (server, scripted) = stage(5);
    server.look().breaks = Some(2);
    scripted.world.change_rules("rules.toml", |rules| {
        rules.replace("[upstream.salesforce.auth]", "retry = { attempts = 1 }\n[upstream.salesforce.auth]")
    });
    scripted.sync().exits(6);
    assert_eq!(asked(&server), ["query", "set 0 0", "set 0 2"]);
    scripted.sync().exits(6);
    assert_eq!(asked(&server), ["set 0 2"], "what was made is not made again");
    (server.look().breaks, server.look().forgotten) = (None, 1);
    assert_eq!(scripted.sync().exits(0).writes().0, 0);
    assert_eq!(asked(&server), ["query", "set 1 0", "set 1 2", "set 1 4"]);
    assert_eq!(scripted.world.rows("select count(*) from accounts"), [["5"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_job_that_fails_or_does_not_end_is_no_listing() {
    let (server, scripted) = stage(3);
    scripted.sync().exits(0);
    server.look().fails = true;
    let said = scripted.full_sync().cannot_read("accounts");
    assert!(said.contains("the job failed"), "{said}");
    scripted.world.change_rules("rules.toml", |rules| rules.replace("timeout = \"5m\"", "timeout = \"50ms\""));
    server.look().slow = None;
    let said = scripted.full_sync().cannot_read("accounts");
    assert!(said.contains("the job is still at work"), "{said}");
    assert_eq!(scripted.world.rows("select count(*) from accounts"), [["3"]]);
    let asked = asked(&server);
    assert!(!asked[asked.len() - 2..].iter().any(|asked| asked.starts_with("set")), "{asked:?}");
}
