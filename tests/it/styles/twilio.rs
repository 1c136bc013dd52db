//! Twilio: next links without a host, forms whose names are others than those of answers, 404 for what is gone.

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by};

const ACCOUNT: &str = "AC0000000000000000000000000000000f";

#[derive(Default)]
struct Server {
    queues: Dated,
    asked: Vec<String>,
    /// The next request is one too many at once.
    busy: bool,
    /// The answer to the next create is lost.
    loses: bool,
    /// How many wait in a queue that is written.
    waiting: u64,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, code: u32, message: &str) -> Response {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    answer(status, &json!({ "code": code, "message": message, "more_info": more, "status": status }))
}

impl Server {
    fn set(&mut self, sid: &str, name: Option<&str>, size: Option<u64>) -> Value {
        let new = json!({ "sid": sid, "friendly_name": "", "max_size": 100 });
        let waiting = self.waiting;
        self.queues.set(sid, new, |queue, _change| {
            queue["current_size"] = json!(waiting);
            if let Some(name) = name {
                queue["friendly_name"] = json!(name);
            }
            if let Some(size) = size {
                queue["max_size"] = json!(size);
            }
        })
    }

    fn live(&self) -> Vec<Value> {
        self.queues.records.values().filter_map(|(_, one)| one.clone()).collect()
    }

    /// Two a page.
    fn list(&mut self, asked: &Asked) -> Response {
        let number = |name: &str| asked.query.get(name).map_or(0, |page| page.parse::<usize>().unwrap());
        let page = number("Page");
        // A page that is not the first is known by its token alone.
        if page > 0 && asked.query.get("PageToken") != Some(&format!("PAQU{page}")) {
            return error(400, 20006, "Page token is invalid");
        }
        self.asked.push(format!("page {page}"));
        let (queues, next) = Asked::page(&self.live(), page * 2, 2);
        let uri = |page: usize| {
            format!("/2010-04-01/Accounts/{ACCOUNT}/Queues.json?PageSize=2&Page={page}&PageToken=PAQU{page}")
        };
        let next = next.map(|from| uri(from / 2));
        answer(200, &json!({ "queues": queues, "page": page, "page_size": 2, "next_page_uri": next }))
    }

    fn write(&mut self, sid: Option<&str>, asked: &Asked) -> Response {
        let Some(form) = asked.form() else { return error(400, 20001, "Unknown parameters") };
        self.asked.push(format!("write {form:?}"));
        if let Some(name) = form.keys().find(|name| !["FriendlyName", "MaxSize"].contains(&name.as_str())) {
            return error(400, 20001, &format!("Unknown parameters: {name}"));
        }
        let size = match form.get("MaxSize").map(|size| size.parse()) {
            None => None,
            Some(Ok(size)) if (1..=5000).contains(&size) => Some(size),
            Some(_) => return error(400, 22002, "MaxSize is invalid"),
        };
        let name = form.get("FriendlyName");
        if name.is_some_and(|name| {
            self.live().iter().any(|one| one["friendly_name"] == *name && Some(one["sid"].as_str().unwrap()) != sid)
        }) {
            return error(400, 22003, "A queue with this name exists already");
        }
        let new = format!("QUmade{}", self.queues.change);
        let queue = self.set(sid.unwrap_or(&new), name.map(String::as_str), size);
        if sid.is_none() && std::mem::take(&mut self.loses) {
            return error(500, 20500, "Internal server error");
        }
        answer(if sid.is_none() { 201 } else { 200 }, &queue)
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    // ACCOUNT:a-secret-of-tests
    if asked.header("authorization") != "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwZjphLXNlY3JldC1vZi10ZXN0cw=="
    {
        return error(401, 20003, "Authenticate");
    }
    if std::mem::take(&mut server.busy) {
        return error(429, 20429, "Too Many Requests");
    }
    let (method, path) = asked.below(&format!("/2010-04-01/Accounts/{ACCOUNT}"));
    match (method, path.as_slice()) {
        ("GET", ["Queues.json"]) => server.list(asked),
        ("POST", ["Queues.json"]) => server.write(None, asked),
        (_, ["Queues", sid]) => {
            let Some(sid) = sid.strip_suffix(".json") else {
                return error(404, 20404, "The requested resource was not found");
            };
            match (method, server.queues.get(sid).cloned()) {
                (_, None) => error(404, 20404, "The requested resource was not found"),
                ("GET", Some(queue)) => answer(200, &queue),
                ("POST", Some(_)) => server.write(Some(sid), asked),
                ("DELETE", Some(_)) => {
                    server.queues.remove(sid);
                    answer(204, &Value::Null)
                }
                _ => error(405, 20004, "Method not allowed"),
            }
        }
        _ => error(404, 20404, "The requested resource was not found"),
    }
}

fn stage(queues: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=queues {
        server.look().set(&format!("QU{n}"), Some(&format!("Queue {n}")), None);
    }
    let rules =
        include_str!("../../../sync-rules/examples/twilio/queues.toml").replace("${var.twilio_account}", ACCOUNT);
    (server.clone(), Scripted::new("twilio", answered_by(server, serve), &rules))
}

#[test]
fn queues_are_listed_by_links_without_a_host_and_written_as_forms() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select name from queues order by name").concat();
    server.look().busy = true;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["page 0", "page 1", "page 2"]);
    server.look().set("QU1", Some("Bob"), None);
    server.look().queues.remove("QU2");
    server.look().set("QU6", Some("Cyd"), Some(5));
    scripted.world.sql("update queues set maximum = 7 where name = 'Queue 3'");
    scripted.world.sql("delete from queues where name = 'Queue 4'");
    scripted.world.sql("insert into queues (name, maximum) values ('Dan & Eve', 20)");
    // The answer to the create shows how many wait there.
    assert_eq!(scripted.sync().exits(0).writes(), (3, 4));
    let mut written: Vec<String> = asked().into_iter().filter(|line| line.starts_with("write")).collect();
    written.sort();
    assert_eq!(written, [r#"write {"FriendlyName": "Dan & Eve", "MaxSize": "20"}"#, r#"write {"MaxSize": "7"}"#]);
    assert_eq!(names(), ["Bob", "Cyd", "Dan & Eve", "Queue 3", "Queue 5"]);
    assert!(server.look().queues.get("QU4").is_none());
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn what_the_answer_to_a_write_shows_beside_it_comes_in() {
    let (server, scripted) = stage(1);
    scripted.sync().exits(0);
    scripted.world.sql("insert into queues (name) values ('Dan')");
    scripted.sync().exits(0);
    let queues = || scripted.world.rows("select name, maximum, waiting from queues order by name");
    assert_eq!(queues(), [["Dan", "100", "0"], ["Queue 1", "100", "0"]]);
    server.look().waiting = 3;
    scripted.world.sql("update queues set maximum = 7 where name = 'Dan'");
    scripted.sync().exits(0);
    assert_eq!(queues(), [["Dan", "7", "3"], ["Queue 1", "100", "0"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_queue_whose_answer_was_lost_is_found_by_its_name_and_not_made_again() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    server.look().loses = true;
    scripted.world.sql("insert into queues (name, maximum) values ('Dan', 20)");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(server.look().live().iter().filter(|one| one["friendly_name"] == "Dan").count(), 1);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    // Deleted on both sides.
    server.look().queues.remove("QU1");
    scripted.world.sql("delete from queues where name = 'Queue 1'");
    scripted.sync().exits(0);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(server.look().live().len(), 2);
}
