//! Zendesk: an export that says when it ends, its last link for the next pass, versions within the body, keys of creates.

use std::collections::BTreeMap;

use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

#[derive(Default)]
struct Server {
    tickets: Dated,
    /// What was answered to a create, by its key.
    keys: BTreeMap<String, Value>,
    asked: Vec<String>,
    /// The next export is one too many of this minute.
    too_many: bool,
    /// Somebody else changes a ticket just before it is written.
    meddles: bool,
    /// The answer to the next create is lost.
    loses: bool,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, code: &str) -> Response {
    answer(status, &json!({ "error": code, "description": code }))
}

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        let new = json!({ "id": id.parse::<u64>().unwrap(), "subject": null, "status": "new", "priority": null });
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

    fn create(&mut self, asked: &Asked, ticket: &Value) -> Response {
        let key = asked.header("idempotency-key").to_owned();
        if let Some(before) = self.keys.get(&key) {
            return answer(201, before);
        }
        let Some(mut fields) = ticket.as_object().cloned() else { return error(400, "RecordInvalid") };
        if fields.remove("comment").is_none_or(|comment| comment["body"].as_str().is_none_or(str::is_empty)) {
            return error(422, "RecordInvalid");
        }
        fields.retain(|_, value| !value.is_null());
        let id = (self.tickets.change + 100).to_string();
        let answered = json!({ "ticket": self.set(&id, &Value::Object(fields)) });
        self.keys.insert(key, answered.clone());
        if std::mem::take(&mut self.loses) {
            return error(503, "ServiceUnavailable");
        }
        answer(201, &answered)
    }

    fn update(&mut self, id: &str, ticket: &Value) -> Response {
        if std::mem::take(&mut self.meddles) {
            self.set(id, &json!({ "priority": "urgent" }));
        }
        let Some(mut fields) = ticket.as_object().cloned() else { return error(400, "RecordInvalid") };
        let (safe, stamp) = (fields.remove("safe_update"), fields.remove("updated_stamp"));
        if safe != Some(json!(true)) || stamp.as_ref() != Some(&self.field(id, "updated_at")) {
            return error(409, "UpdateConflict");
        }
        if fields.keys().any(|name| !["subject", "status", "priority"].contains(&name.as_str())) {
            return error(422, "RecordInvalid");
        }
        answer(200, &json!({ "ticket": self.set(id, &Value::Object(fields)) }))
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
        ("POST", ["tickets.json"], Some(body)) => server.create(asked, &body["ticket"]),
        (_, ["tickets", _], _) if server.live(id).is_none() => error(404, "RecordNotFound"),
        ("GET", ["tickets", _], _) => answer(200, &json!({ "ticket": server.live(id) })),
        ("PUT", ["tickets", _], Some(body)) => server.update(id, &body["ticket"]),
        ("DELETE", ["tickets", _], _) => {
            server.set(id, &json!({ "status": "deleted" }));
            answer(204, &Value::Null)
        }
        _ => error(400, "InvalidEndpoint"),
    }
}

fn stage(tickets: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=tickets {
        server.look().set(&n.to_string(), &json!({ "subject": format!("Ticket {n}"), "priority": "low" }));
    }
    let rules =
        include_str!("../../../sync-rules/examples/zendesk/tickets.toml").replace("limit = 10\n", "limit = 1000\n");
    (server.clone(), Scripted::new("zendesk", answered_by(server, serve), &rules))
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
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
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

    server.look().loses = true;
    scripted.world.sql("insert into tickets (subject) values ('Dan')");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(server.look().tickets.records.len(), 3);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
