//! Zendesk: an export that says when it ends, its last link for the next pass, versions within the body, many tickets in jobs.

use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::faults::tools::{for_each, injected, is_left_out};
use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

#[derive(Default)]
struct Server {
    tickets: Dated,
    /// Jobs by their number.
    jobs: Vec<Job>,
    /// How often a job is asked before it ends; `None`: it never does.
    slow: Option<usize>,
    end: End,
    /// Where jobs say that they are asked.
    elsewhere: Option<String>,
    asked: Vec<String>,
    /// The next export is one too many of this minute.
    too_many: bool,
    /// Somebody else changes a ticket just before it is written.
    meddles: bool,
    /// The answer to the next batch is lost.
    loses: bool,
}

/// How jobs end.
#[derive(Clone, Copy, Default, PartialEq)]
enum End {
    /// With a result for each ticket.
    #[default]
    Told,
    /// What a job never tells it does all the same.
    Secret,
    /// As failed, and nothing was done.
    Failed,
}

/// Tickets that are made or changed in the background.
struct Job {
    creates: bool,
    tickets: Vec<Value>,
    /// How often it was asked.
    asked: usize,
    results: Option<Vec<Value>>,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, code: &str) -> Response {
    answer(status, &json!({ "error": code, "description": code }))
}

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        let new = json!({
            "id": id.parse::<u64>().unwrap(), "subject": null, "status": "new", "priority": null, "external_id": null,
        });
        self.tickets.set(id, new, |ticket, change| {
            for (name, value) in changes.as_object().unwrap() {
                ticket[name] = value.clone();
            }
            ticket["updated_at"] = json!(moment(change).replace(".000", ""));
        })
    }

    fn live(&self, id: &str) -> Option<&Value> {
        self.tickets.get(id).filter(|ticket| ticket["status"] != "deleted")
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.tickets.get(id).unwrap()[name].clone()
    }

    /// Two a page by the time of change, deleted ones as well. There is a next link on the last page, too.
    fn export(&mut self, asked: &Asked) -> Response {
        let after = match (asked.query.get("cursor"), asked.query.get("start_time")) {
            (Some(cursor), None) => cursor.strip_prefix("MTU").unwrap().parse().unwrap(),
            (None, Some(_)) => 0,
            _ => return error(400, "InvalidParameters"),
        };
        self.asked.push(format!("export {after}"));
        let mut found: Vec<(usize, Value)> = Vec::new();
        for (at, ticket) in self.tickets.records.values() {
            found.extend(ticket.clone().filter(|_| *at > after).map(|ticket| (*at, ticket)));
        }
        found.sort_by_key(|(at, _)| *at);
        let (page, next) = Asked::page(&found, 0, 2);
        let last = page.last().map_or(after, |(at, _)| *at);
        let url = format!("http://{}/api/v2/incremental/tickets/cursor.json?cursor=MTU{last}", asked.header("host"));
        let tickets: Vec<Value> = page.into_iter().map(|(_, ticket)| ticket).collect();
        let cursor = format!("MTU{last}");
        answer(
            200,
            &json!({ "tickets": tickets, "after_url": url, "after_cursor": cursor, "end_of_stream": next.is_none() }),
        )
    }

    /// The id of the new ticket, or why there is none.
    fn create(&mut self, ticket: &Value) -> Result<String, &'static str> {
        let mut fields = ticket.as_object().cloned().ok_or("RecordInvalid")?;
        if fields.remove("comment").is_none_or(|comment| comment["body"].as_str().is_none_or(str::is_empty)) {
            return Err("RecordInvalid");
        }
        fields.retain(|_, value| !value.is_null());
        let id = (self.tickets.change + 100).to_string();
        self.set(&id, &Value::Object(fields));
        Ok(id)
    }

    fn update(&mut self, id: &str, ticket: &Value) -> Result<(), &'static str> {
        if std::mem::take(&mut self.meddles) {
            self.set(id, &json!({ "priority": "urgent" }));
        }
        let mut fields = ticket.as_object().cloned().ok_or("RecordInvalid")?;
        let (safe, stamp) = (fields.remove("safe_update"), fields.remove("updated_stamp"));
        if safe != Some(json!(true)) || stamp.as_ref() != Some(&self.field(id, "updated_at")) {
            return Err("UpdateConflict");
        }
        fields.remove("id");
        let is_known = |name: &String| ["subject", "status", "priority"].contains(&name.as_str());
        if !fields.keys().all(is_known) || fields.get("subject").is_some_and(|subject| subject == "bad") {
            return Err("RecordInvalid");
        }
        self.set(id, &Value::Object(fields));
        Ok(())
    }

    fn begin(&mut self, asked: &Asked, creates: bool, tickets: &Value) -> Response {
        let Some(tickets) = tickets.as_array().filter(|tickets| (1..=100).contains(&tickets.len())) else {
            return error(400, "TooManyValues");
        };
        let name = if creates { "create_many" } else { "update_many" };
        self.asked.push(format!("{name} {}", tickets.len()));
        self.jobs.push(Job { creates, tickets: tickets.clone(), asked: 0, results: None });
        let number = self.jobs.len() - 1;
        if std::mem::take(&mut self.loses) {
            self.work(number);
            return error(503, "ServiceUnavailable");
        }
        self.status(asked, number, "queued")
    }

    /// Does what a job is there for. Results come in an order of their own.
    fn work(&mut self, number: usize) {
        let Job { creates, ref tickets, .. } = self.jobs[number];
        let mut results = Vec::new();
        for (index, ticket) in tickets.clone().iter().enumerate() {
            let id = ticket["id"].as_u64().unwrap_or_default();
            let done = if creates {
                self.create(ticket).map(|id| json!({ "index": index, "id": id.parse::<u64>().unwrap() }))
            } else {
                self.update(&id.to_string(), ticket).map(|()| json!({ "id": id, "status": "Updated" }))
            };
            let failed = |code| json!({ "index": index, "id": id, "error": code, "details": format!("{code}!") });
            results.insert(0, done.unwrap_or_else(failed));
        }
        self.jobs[number].results = Some(results);
    }

    /// What was taken up is done, whether anybody asks or not.
    fn work_all(&mut self) {
        for number in 0..self.jobs.len() {
            if self.jobs[number].results.is_none() {
                self.work(number);
            }
        }
    }

    fn ask(&mut self, asked: &Asked, number: usize) -> Response {
        self.jobs[number].asked += 1;
        if self.end == End::Secret && self.jobs[number].results.is_none() {
            self.work(number);
        }
        if self.slow.is_none_or(|times| self.jobs[number].asked <= times) {
            return self.status(asked, number, "working");
        }
        if self.end == End::Failed {
            return self.status(asked, number, "failed");
        }
        if self.jobs[number].results.is_none() {
            self.work(number);
        }
        self.status(asked, number, "completed")
    }

    fn status(&self, asked: &Asked, number: usize, status: &str) -> Response {
        let here = format!("http://{}", asked.header("host"));
        let url = format!("{}/api/v2/job_statuses/{number}.json", self.elsewhere.as_ref().unwrap_or(&here));
        let results = self.jobs[number].results.as_ref().filter(|_| status == "completed");
        answer(
            200,
            &json!({ "job_status": { "id": number.to_string(), "url": url, "status": status, "results": results } }),
        )
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    // sync@example.com/token:a-secret-of-tests
    if asked.header("authorization") != "Basic c3luY0BleGFtcGxlLmNvbS90b2tlbjphLXNlY3JldC1vZi10ZXN0cw==" {
        return error(401, "Couldn't authenticate you");
    }
    let (method, path) = asked.below("/api/v2");
    let id = path.get(1).map_or("", |last| last.trim_end_matches(".json"));
    match (method, path.as_slice(), asked.json()) {
        ("GET", ["incremental", "tickets", "cursor.json"], _) if std::mem::take(&mut server.too_many) => {
            ([("retry-after", "1")], error(429, "APIRateLimitExceeded")).into_response()
        }
        ("GET", ["incremental", "tickets", "cursor.json"], _) => server.export(asked),
        ("GET", ["job_statuses", _], _) => server.ask(asked, id.parse().unwrap()),
        ("POST", ["tickets", "create_many.json"], Some(body)) => server.begin(asked, true, &body["tickets"]),
        ("PUT", ["tickets", "update_many.json"], Some(body)) => server.begin(asked, false, &body["tickets"]),
        ("POST", ["tickets.json"], Some(body)) => match server.create(&body["ticket"]) {
            Ok(id) => {
                server.asked.push("create".to_owned());
                answer(201, &json!({ "ticket": server.live(&id) }))
            }
            Err(code) => error(422, code),
        },
        (_, ["tickets", _], _) if server.live(id).is_none() => error(404, "RecordNotFound"),
        ("GET", ["tickets", _], _) => answer(200, &json!({ "ticket": server.live(id) })),
        ("PUT", ["tickets", _], Some(body)) => match server.update(id, &body["ticket"]) {
            Ok(()) => {
                server.asked.push(format!("update {id}"));
                answer(200, &json!({ "ticket": server.live(id) }))
            }
            Err(code) => error(if code == "UpdateConflict" { 409 } else { 422 }, code),
        },
        ("DELETE", ["tickets", _], _) => {
            server.set(id, &json!({ "status": "deleted" }));
            answer(204, &Value::Null)
        }
        _ => error(400, "InvalidEndpoint"),
    }
}

fn stage(tickets: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    server.look().slow = Some(2);
    for n in 1..=tickets {
        server.look().set(&n.to_string(), &json!({ "subject": format!("Ticket {n}"), "priority": "low" }));
    }
    let rules = include_str!("../../../sync-rules/examples/zendesk/tickets.toml")
        .replace("limit = 10\n", "limit = 1000\n")
        .replace("every = \"5s\", timeout = \"10m\"", "every = \"10ms\", timeout = \"5m\"");
    (server.clone(), Scripted::new("zendesk", answered_by(server, serve), &rules))
}

/// Jobs that do not end are given up soon.
fn impatient(scripted: &Scripted) {
    scripted.world.change_rules("rules.toml", |rules| rules.replace("timeout = \"5m\"", "timeout = \"50ms\""));
}

/// What was asked but for exports.
fn batches(server: &Shared) -> Vec<String> {
    let mut asked = std::mem::take(&mut server.look().asked);
    asked.retain(|asked| !asked.starts_with("export"));
    asked.sort();
    asked
}

fn count_subjects(server: &Shared, subject: &str) -> usize {
    let server = server.look();
    let tickets = server.tickets.records.values().filter_map(|(_, ticket)| ticket.as_ref());
    tickets.filter(|ticket| ticket["subject"] == subject).count()
}

/// Both sides have the same, and nothing more is to be done, once it is seen what new tickets begin with.
fn is_quiet(server: &Shared, scripted: &Scripted) {
    assert_eq!(scripted.sync().exits(0).writes().0, 0);
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
    assert_eq!(batches(server), [""; 0]);
    let mut there: Vec<String> = Vec::new();
    for (_, ticket) in server.look().tickets.records.values() {
        there.push(ticket.as_ref().unwrap()["subject"].as_str().unwrap().to_owned());
    }
    there.sort();
    assert_eq!(scripted.world.rows("select subject from tickets order by subject").concat(), there);
    assert_eq!(scripted.world.rows("select count(*) from sync_intent"), [["0"]]);
}

#[test]
fn an_export_ends_where_it_says_so_and_goes_on_from_its_last_link() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select subject from tickets order by subject").concat();
    server.look().too_many = true;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["export 0", "export 2", "export 4"], "the last page has a link, too");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked(), ["export 5"]);

    server.look().set("1", &json!({ "subject": "Bob" }));
    server.look().set("2", &json!({ "status": "deleted" }));
    server.look().set("6", &json!({ "subject": "Cyd" }));
    scripted.world.sql("update tickets set status = 'solved' where subject = 'Ticket 3'");
    scripted.world.sql("delete from tickets where subject = 'Ticket 4'");
    scripted.world.sql("insert into tickets (subject, priority) values ('Dan', 'high')");
    scripted.sync().exits(0);
    assert_eq!(names(), ["Bob", "Cyd", "Dan", "Ticket 3", "Ticket 5"]);
    assert_eq!(server.look().field("3", "status"), "solved");
    assert!(server.look().live("4").is_none());
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1), "a new ticket has a status");
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn many_tickets_go_out_in_jobs_and_each_is_settled_by_its_own_result() {
    let (server, scripted) = stage(4);
    scripted.sync().exits(0);
    batches(&server);
    scripted.world.sql("update tickets set priority = 'high'");
    for name in ["Dan", "Eve", "Fay"] {
        scripted.world.sql(&format!("insert into tickets (subject) values ('{name}')"));
    }
    assert_eq!(scripted.sync().exits(0).writes().0, 7);
    assert_eq!(batches(&server), ["create_many 3", "update_many 4"]);
    assert!(server.look().jobs.iter().all(|job| job.asked == 3), "asked until it ends, and no more");
    is_quiet(&server, &scripted);

    // One that is refused holds up no other, and is not sent again.
    scripted.world.sql("update tickets set subject = 'bad' where subject = 'Ticket 1'");
    scripted.world.sql("update tickets set priority = 'urgent' where subject = 'Ticket 2'");
    scripted.sync();
    assert_eq!(batches(&server), ["update_many 2"]);
    assert_eq!(server.look().field("2", "priority"), "urgent");
    let why = scripted.world.rows("select reason from sync_quarantine")[0][0].clone();
    assert!(why.contains("update in a batch: RecordInvalid"), "{why}");
    scripted.sync();
    assert_eq!(batches(&server), [""; 0]);
    scripted.world.sql("update tickets set subject = 'good' where subject = 'bad'");
    scripted.sync().exits(0);
    assert_eq!(batches(&server), ["update_many 1"]);
    is_quiet(&server, &scripted);
}

#[test]
fn a_ticket_that_somebody_changed_meanwhile_keeps_both_changes_and_a_lost_create_is_one() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    server.look().meddles = true;
    scripted.world.sql("update tickets set status = 'open' where subject = 'Ticket 1'");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(["status", "priority"].map(|name| server.look().field("1", name)), ["open", "urgent"]);
    assert_eq!(scripted.world.rows("select priority from tickets where subject = 'Ticket 1'"), [["urgent"]]);

    // Nobody knows which job took it up; what it made shows our own id.
    batches(&server);
    server.look().loses = true;
    scripted.world.sql("insert into tickets (subject) values ('Dan')");
    scripted.sync();
    assert_eq!(batches(&server), ["create_many 1"]);
    scripted.sync().exits(0);
    assert_eq!(count_subjects(&server, "Dan"), 1);
    is_quiet(&server, &scripted);
}

#[test]
fn a_job_that_never_ends_leaves_its_tickets_unknown_and_nothing_is_sent_twice() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    batches(&server);
    impatient(&scripted);
    server.look().slow = None;
    scripted.world.sql("update tickets set priority = 'high' where subject = 'Ticket 1'");
    scripted.world.sql("insert into tickets (subject) values ('Dan')");
    let report = scripted.sync().report("tickets");
    assert_eq!(report["upstreams"][0]["unknown"], 2, "{report:#}");
    let error = report["upstreams"][0]["error"].as_str().unwrap();
    assert!(error.contains("the job is still at work"), "{error}");
    // That it is not there proves nothing while the job may yet do it, however often one looks.
    for _ in 0..3 {
        scripted.world.sql("update sync_intent set sent_at = sent_at - 600000000");
        let report = scripted.sync().report("tickets");
        assert_eq!(report["upstreams"][0]["unknown"], 2, "{report:#}");
    }
    assert_eq!(batches(&server), ["create_many 1", "update_many 1"]);

    server.look().slow = Some(0);
    scripted.sync().exits(0);
    assert_eq!(server.look().field("1", "priority"), "high");
    assert_eq!(count_subjects(&server, "Dan"), 1);
    is_quiet(&server, &scripted);
}

#[test]
fn what_a_job_has_done_without_a_word_is_seen_by_reading_once_its_time_is_over() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    batches(&server);
    impatient(&scripted);
    server.look().slow = None;
    server.look().end = End::Secret;
    scripted.world.sql("update tickets set priority = 'high' where subject = 'Ticket 1'");
    scripted.world.sql("insert into tickets (subject) values ('Dan')");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(batches(&server), ["create_many 1", "update_many 1"]);
    is_quiet(&server, &scripted);
}

#[test]
fn what_a_failed_job_left_undone_goes_alone() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    batches(&server);
    server.look().end = End::Failed;
    scripted.world.sql("update tickets set priority = 'high'");
    scripted.world.sql("insert into tickets (subject) values ('Dan')");
    scripted.sync();
    assert_eq!(batches(&server), ["create_many 1", "update_many 2"]);
    // An index that lags may not show it yet: only a second look after a while says that it was not made.
    scripted.world.sql("update sync_intent set sent_at = sent_at - 600000000");
    scripted.sync();
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(batches(&server), ["create", "update 1", "update 2"]);
    assert_eq!(count_subjects(&server, "Dan"), 1);
    is_quiet(&server, &scripted);
}

#[test]
fn what_a_job_may_have_made_at_its_end_is_looked_for_from_then_on() {
    let (server, scripted) = stage(1);
    scripted.sync().exits(0);
    batches(&server);
    impatient(&scripted);
    server.look().slow = None;
    scripted.world.sql("insert into tickets (subject) values ('Dan')");
    scripted.sync();
    // It was sent long ago, and the job ends only now, without a word of the ticket: an index that lags may not show it yet.
    scripted.world.sql("update sync_intent set sent_at = sent_at - 600000000");
    (server.look().slow, server.look().end) = (Some(0), End::Failed);
    for _ in 0..4 {
        scripted.sync();
    }
    assert_eq!(batches(&server), ["create_many 1"], "not sent again before it would show");
    scripted.world.sql("update sync_intent set sent_at = sent_at - 600000000");
    scripted.sync();
    scripted.sync();
    assert_eq!(batches(&server), ["create"]);
    assert_eq!(count_subjects(&server, "Dan"), 1);
}

#[test]
fn killed_between_a_batch_and_the_end_of_its_job_the_same_job_is_asked_again() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    batches(&server);
    server.look().slow = None;
    scripted.world.sql("update tickets set priority = 'high'");
    scripted.world.sql("insert into tickets (subject) values ('Dan'), ('Eve')");
    let mut child = scripted.command(&["run", "--once"]).spawn().unwrap();
    while server.look().jobs.len() < 2 || server.look().jobs.iter().any(|job| job.asked < 2) {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(batches(&server), ["create_many 2", "update_many 2"]);

    server.look().slow = Some(0);
    scripted.sync().exits(0);
    assert_eq!([count_subjects(&server, "Dan"), count_subjects(&server, "Eve")], [1, 1]);
    is_quiet(&server, &scripted);
}

#[test]
fn a_job_at_another_host_is_not_asked() {
    let (server, scripted) = stage(1);
    let (other, elsewhere) = stage(0);
    scripted.sync().exits(0);
    server.look().elsewhere = Some(elsewhere.url().replace("127.0.0.1", "localhost"));
    scripted.world.sql("update tickets set priority = 'high'");
    let report = scripted.sync().report("tickets");
    let error = report["upstreams"][0]["error"].as_str().unwrap();
    assert!(error.contains("is not in allowed_hosts of upstream zendesk"), "{error}");
    assert_eq!(other.look().asked, [""; 0]);
}

#[test]
fn killed_at_any_write_to_the_database_around_a_job_nothing_is_made_twice() {
    if is_left_out("strace") {
        return;
    }
    let (killed, after) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for_each((10..=190).step_by(9), |number| {
        let (server, scripted) = stage(2);
        scripted.sync().exits(0);
        batches(&server);
        scripted.world.sql("update tickets set priority = 'high'");
        scripted.world.sql("insert into tickets (subject) values ('Dan'), ('Eve')");
        let ran = injected(&scripted.command(&["run", "--once"]), &format!("pwrite64:signal=KILL:when={number}"));
        if ran.code != 0 {
            killed.fetch_add(1, Ordering::Relaxed);
            after.fetch_add(usize::from(!server.look().jobs.is_empty()), Ordering::Relaxed);
        }
        // The job is done before anybody looks again, or while it has its time, or only after that.
        if number % 2 == 0 {
            server.look().work_all();
        }
        for _ in 0..2 {
            scripted.sync();
            scripted.world.sql("update sync_intent set sent_at = sent_at - 130000000");
        }
        server.look().work_all();
        for _ in 0..3 {
            scripted.sync();
            scripted.world.sql("update sync_intent set sent_at = sent_at - 600000000");
        }
        assert_eq!([count_subjects(&server, "Dan"), count_subjects(&server, "Eve")], [1, 1], "{number}");
        let priorities = ["1", "2"].map(|id| server.look().field(id, "priority"));
        assert_eq!(priorities, ["high", "high"], "{number}");
        batches(&server);
        is_quiet(&server, &scripted);
    });
    let (killed, after) = (killed.into_inner(), after.into_inner());
    assert!(killed >= 4 && after >= 2, "killed {killed} times, {after} of them with a job under way");
}
