//! Notion: a query in a POST by a cursor, values wrapped by their kind, times that count in minutes, a trash in the place of deletes,
//! 429 with the seconds to wait.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by};

const DATABASE: &str = "d9824bdc84454327be8b5b47500af6ce";

#[derive(Default)]
struct Server {
    pages: Dated,
    asked: Vec<String>,
    /// So many requests are refused for their number.
    throttles: u32,
    /// The next page is made, and the answer lost.
    loses: bool,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, code: &str, message: &str) -> Response {
    answer(
        status,
        &json!({ "object": "error", "status": status, "code": code, "message": message, "request_id": "r1" }),
    )
}

fn text(content: &str) -> Value {
    json!([{ "type": "text", "text": { "content": content, "link": null }, "plain_text": content }])
}

/// Values as they are written, as they are shown; the error names what is wrong.
fn shown(name: &str, value: &Value) -> Result<Value, String> {
    let wrong = || format!("body failed validation: body.properties.{name}");
    let (kind, texts) = match name {
        "Name" => ("title", &value["title"]),
        "Sync id" => ("rich_text", &value["rich_text"]),
        "Status" => {
            let option = &value["select"];
            let well = option.is_null() || option["name"].is_string();
            return if well { Ok(json!({ "type": "select", "select": option })) } else { Err(wrong()) };
        }
        _ => return Err(format!("{name} is not a property that exists.")),
    };
    let texts = texts.as_array().ok_or_else(wrong)?;
    let content =
        texts.iter().map(|one| one["text"]["content"].as_str()).collect::<Option<String>>().ok_or_else(wrong)?;
    Ok(json!({ "type": kind, kind: text(&content) }))
}

impl Server {
    /// Ten seconds lie between two changes.
    fn set(&mut self, id: &str, body: &Value) -> Result<Value, String> {
        let mut properties = Vec::new();
        for (name, value) in body["properties"].as_object().into_iter().flatten() {
            properties.push((name.clone(), shown(name, value)?));
        }
        let empty = json!({
            "Name": { "type": "title", "title": [] },
            "Status": { "type": "select", "select": null },
            "Sync id": { "type": "rich_text", "rich_text": [] },
        });
        let new = json!({ "object": "page", "id": id, "in_trash": false, "properties": empty });
        Ok(self.pages.set(id, new, |page, change| {
            for (name, value) in properties {
                page["properties"][name] = value;
            }
            if let Some(in_trash) = body["in_trash"].as_bool() {
                page["in_trash"] = json!(in_trash);
            }
            page["last_edited_time"] = json!(format!("2026-01-01T00:{:02}:00.000Z", change / 6));
        }))
    }

    fn name(&mut self, id: &str, name: &str) {
        self.set(id, &json!({ "properties": { "Name": { "title": [{ "text": { "content": name } }] } } })).unwrap();
    }

    fn trash(&mut self, id: &str, in_trash: bool) {
        self.set(id, &json!({ "in_trash": in_trash })).unwrap();
    }

    fn query(&self, body: &Value) -> Response {
        let known = ["page_size", "start_cursor", "filter", "sorts"];
        if body.as_object().unwrap().keys().any(|name| !known.contains(&name.as_str()))
            || body["page_size"].as_u64().is_none_or(|size| size > 100)
        {
            return error(400, "validation_error", "body failed validation");
        }
        let from = match &body["start_cursor"] {
            Value::Null if !body.as_object().unwrap().contains_key("start_cursor") => Some(0),
            cursor => cursor.as_str().and_then(|cursor| cursor.strip_prefix("cursor-")?.parse().ok()),
        };
        let Some(from) = from else {
            return error(400, "validation_error", "body.start_cursor should be a valid uuid");
        };
        let live: Vec<Value> = self.pages.records.values().filter_map(|(_, page)| page.clone()).collect();
        let live: Vec<Value> = live.into_iter().filter(|page| page["in_trash"] == false).collect();
        let (results, next) = Asked::page(&live, from, 2);
        let next = next.map_or(Value::Null, |next| json!(format!("cursor-{next}")));
        answer(200, &json!({ "object": "list", "results": results, "has_more": !next.is_null(), "next_cursor": next }))
    }

    fn create(&mut self, body: &Value) -> Response {
        if body["parent"] != json!({ "database_id": DATABASE }) {
            return error(404, "object_not_found", "Could not find database");
        }
        let id = format!("made{}", self.pages.change);
        match self.set(&id, body) {
            Ok(_) if std::mem::take(&mut self.loses) => StatusCode::BAD_GATEWAY.into_response(),
            Ok(page) => answer(200, &page),
            Err(why) => error(400, "validation_error", &why),
        }
    }

    fn update(&mut self, id: &str, body: &Value) -> Response {
        match self.pages.get(id) {
            None => error(404, "object_not_found", "Could not find page"),
            Some(page) if page["in_trash"] == true && body["in_trash"] != false => error(
                400,
                "validation_error",
                "Can't edit block that is archived. You must unarchive the block before editing.",
            ),
            Some(_) => {
                self.set(id, body).map_or_else(|why| error(400, "validation_error", &why), |page| answer(200, &page))
            }
        }
    }

    fn status(&self, id: &str) -> Value {
        self.pages.get(id).unwrap()["properties"]["Status"]["select"].clone()
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if !asked.is_signed_in() {
        return error(401, "unauthorized", "API token is invalid.");
    }
    if asked.header("notion-version") != "2022-06-28" {
        return error(400, "missing_version", "Notion-Version header failed validation");
    }
    if let Some(left) = server.throttles.checked_sub(1) {
        server.throttles = left;
        return ([("retry-after", "1")], error(429, "rate_limited", "You have been rate limited.")).into_response();
    }
    let (method, path) = asked.below("");
    server.asked.push(format!("{method} {}", path.join("/")));
    let body = asked.json();
    match (method, path.as_slice(), &body) {
        ("POST", ["databases", DATABASE, "query"], Some(body)) => server.query(body),
        ("POST", ["pages"], Some(body)) => server.create(body),
        ("PATCH", ["pages", id], Some(body)) => server.update(id, body),
        ("GET", ["pages", id], _) => match server.pages.get(id) {
            Some(page) => answer(200, page),
            None => error(404, "object_not_found", "Could not find page"),
        },
        ("POST" | "PATCH", _, None) => error(400, "invalid_json", "Error parsing JSON body."),
        _ => error(400, "invalid_request_url", "Invalid request URL."),
    }
}

fn stage(pages: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=pages {
        server.look().name(&format!("p{n}"), &format!("Task {n}"));
    }
    let rules = include_str!("../../../sync-rules/examples/notion/tasks.toml").replace("limit = 3\n", "limit = 300\n");
    let scripted = Scripted::new("notion", answered_by(server.clone(), serve), &rules);
    (server, scripted.with_var("notion_database", DATABASE))
}

#[test]
fn pages_are_queried_made_and_put_into_the_trash_both_ways() {
    let (server, scripted) = stage(5);
    let world = &scripted.world;
    let names = || world.rows("select name from tasks order by name").concat();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(server.look().asked, vec![format!("POST databases/{DATABASE}/query"); 3]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));

    // In the same minute as the edits before: the time says nothing, the page does.
    server.look().name("p1", "Theirs");
    server.look().trash("p2", true);
    world.sql("update tasks set status = 'Done' where name = 'Task 3'");
    world.sql("delete from tasks where name = 'Task 4'");
    world.sql("insert into tasks (name, status) values ('Ours', 'Open')");
    assert_eq!(scripted.sync().exits(0).writes(), (3, 1));
    assert_eq!(server.look().status("p3")["name"], "Done");
    assert_eq!(server.look().pages.get("p4").unwrap()["in_trash"], true);
    // What is in the trash there is left alone here; what was deleted here may come back.
    assert_eq!(names(), ["Ours", "Task 2", "Task 3", "Task 5", "Theirs"]);
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
    server.look().trash("p4", false);
    world.sql("update tasks set status = null where name = 'Task 3'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 1));
    assert!(names().contains(&"Task 4".to_owned()));
    assert_eq!(server.look().status("p3"), Value::Null);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_page_whose_answer_was_lost_is_found_by_what_it_carries_and_made_once() {
    let (server, scripted) = stage(1);
    scripted.sync().exits(0);
    server.look().loses = true;
    // Two of one name: only the operation's id tells which is which.
    scripted.world.sql("insert into tasks (name) values ('Twin'), ('Twin')");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(server.look().pages.records.len(), 3);
    assert_eq!(scripted.world.rows("select count(*) from tasks"), [["3"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn requests_that_are_too_many_wait_for_as_long_as_is_asked() {
    let (server, scripted) = stage(3);
    server.look().throttles = 1;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 3));
    server.look().throttles = 1;
    scripted.world.sql("update tasks set status = 'Done' where name = 'Task 1'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().status("p1")["name"], "Done");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
