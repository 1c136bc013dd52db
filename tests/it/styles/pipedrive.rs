//! Pipedrive: a cursor beside the data, archived deals that leave the listing, deleted ones with a mark, tokens for the day.

use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

struct Server {
    deals: Dated,
    asked: Vec<String>,
    /// Tokens that are left of the day.
    tokens: u32,
    refused: u32,
}

impl Default for Server {
    fn default() -> Self {
        Self { deals: Dated::default(), asked: Vec::new(), tokens: 30_000, refused: 0 }
    }
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, message: &str) -> Response {
    answer(status, &json!({ "success": false, "error": message, "data": null }))
}

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        let new = json!({ "id": id.parse::<u64>().unwrap(), "title": null, "value": 0, "currency": "EUR", "status": "open", "is_archived": false, "is_deleted": false });
        self.deals.set(id, new, |deal, change| {
            for (name, value) in changes.as_object().unwrap() {
                deal[name] = value.clone();
            }
            deal["update_time"] = json!(moment(change).replace(".000", ""));
        })
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.deals.get(id).unwrap()[name].clone()
    }

    /// Two a page, without what is archived or deleted.
    fn list(&mut self, asked: &Asked) -> Response {
        let known = ["limit", "sort_by", "sort_direction", "updated_since", "cursor"];
        if asked.query.keys().any(|name| !known.contains(&name.as_str())) {
            return error(400, "Validation failed");
        }
        // RFC 3339 without a fraction, as in 2025-01-01T10:20:00Z.
        let since = asked.query.get("updated_since");
        if since.is_some_and(|since| since.len() != 20) {
            return error(400, "Validation failed: updated_since");
        }
        self.asked.push(format!("list {}", since.map_or("all", |since| since)));
        let mut found: Vec<Value> = self.deals.records.values().filter_map(|(_, one)| one.clone()).collect();
        found.retain(|one| one["is_archived"] == false && one["is_deleted"] == false);
        found.retain(|one| since.is_none_or(|since| one["update_time"].as_str().unwrap() >= since.as_str()));
        found.sort_by_key(|one| one["update_time"].to_string());
        let from = asked.query.get("cursor").map_or(0, |cursor| cursor.strip_prefix("eyJ").unwrap().parse().unwrap());
        let (data, next) = Asked::page(&found, from, 2);
        let next = next.map(|next| format!("eyJ{next}"));
        answer(200, &json!({ "success": true, "data": data, "additional_data": { "next_cursor": next } }))
    }

    fn write(&mut self, id: Option<&str>, body: &Value) -> Response {
        let known = ["title", "value", "currency", "status", "is_archived"];
        if body.as_object().unwrap().keys().any(|name| !known.contains(&name.as_str())) {
            return error(400, "Validation failed");
        }
        let new = (self.deals.change + 100).to_string();
        let id = id.unwrap_or(&new);
        self.asked.push(format!("write {id} {body}"));
        answer(if id == new { 201 } else { 200 }, &json!({ "success": true, "data": self.set(id, body) }))
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if asked.header("x-api-token") != "a-secret-of-tests" {
        return error(401, "unauthorized access");
    }
    let (method, path) = asked.below("/deals");
    let cost = match (method, path.as_slice()) {
        ("GET", []) => 10,
        ("GET", _) => 1,
        _ => 5,
    };
    let mut answered = if server.tokens < cost {
        server.refused += 1;
        error(429, "request over limit")
    } else {
        server.tokens -= cost;
        match (method, path.as_slice(), asked.json()) {
            ("GET", [], _) => server.list(asked),
            ("GET", [id], _) => match server.deals.get(id) {
                Some(deal) => answer(200, &json!({ "success": true, "data": deal })),
                None => error(404, "Deal not found"),
            },
            ("POST", [], Some(body)) => server.write(None, &body),
            ("PATCH", [id], Some(body)) if server.deals.get(id).is_some() => server.write(Some(id), &body),
            _ => error(404, "Unknown method"),
        }
    };
    answered.headers_mut().insert("x-daily-ratelimit-token-limit", 30_000.into());
    answered.headers_mut().insert("x-daily-ratelimit-token-remaining", server.tokens.into());
    answered.into_response()
}

fn stage(deals: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=deals {
        server.look().set(&n.to_string(), &json!({ "title": format!("Deal {n:02}"), "value": 10 * n }));
    }
    // One at a time: what is under way is in no header yet.
    let rules = include_str!("../../../sync-rules/examples/pipedrive/deals.toml");
    let rules = rules.replace("\nauth =", "\nconcurrency = 1\nauth =");
    (server.clone(), Scripted::new("pipedrive", answered_by(server, serve), &rules))
}

#[test]
fn a_deal_that_left_the_listing_is_archived_or_gone_as_its_point_read_says() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    let titles = || scripted.world.rows("select title from deals order by title").concat();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["list all"; 3]);
    server.look().set("1", &json!({ "title": "Bob" }));
    server.look().set("6", &json!({ "title": "Cyd", "value": 12.5 }));
    scripted.world.sql("update deals set value = 99.5 where title = 'Deal 03'");
    scripted.world.sql("insert into deals (title, value, currency, status) values ('Dan', 7, 'USD', 'won')");
    assert_eq!(scripted.sync().exits(0).writes(), (2, 2));
    let asked_now = asked();
    assert_eq!(asked_now[0], "list 2025-12-31T23:58:05Z");
    assert!(asked_now.contains(&r#"write 3 {"value":99.5}"#.to_owned()), "{asked_now:?}");
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }

    // One was archived, one deleted; neither is listed. The archived one is no delete.
    server.look().set("2", &json!({ "is_archived": true }));
    server.look().set("4", &json!({ "is_deleted": true }));
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 1));
    assert_eq!(titles(), ["Bob", "Cyd", "Dan", "Deal 02", "Deal 03", "Deal 05"]);
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
    // What is done to it here waits until it is taken back.
    scripted.world.sql("update deals set value = 1 where title = 'Deal 02'");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    server.look().set("2", &json!({ "is_archived": false }));
    scripted.sync().exits(0);
    assert_eq!(server.look().field("2", "value"), json!(1.00));

    // Deleted here: archived there.
    asked();
    scripted.world.sql("delete from deals where title = 'Deal 05'");
    scripted.sync().exits(0);
    assert_eq!(server.look().field("5", "is_archived"), true);
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
    assert!(!titles().contains(&"Deal 05".to_owned()));
}

#[test]
fn no_request_is_made_that_the_day_has_no_tokens_for() {
    let (server, scripted) = stage(12);
    scripted.sync().exits(0);
    // Somebody else used up most of the day.
    server.look().tokens = 100;
    scripted.world.sql("update deals set value = 1");
    scripted.sync();
    let tokens = server.look().tokens;
    assert_eq!(server.look().refused, 0, "{tokens} left");
    let done = server
        .look()
        .deals
        .records
        .values()
        .filter(|(_, one)| one.as_ref().unwrap()["value"].as_f64() == Some(1.0))
        .count();
    assert!((1..12).contains(&done), "{done} done, {tokens} left, {:?}", server.look().asked);
    // What was not sent is still to be sent.
    let plan = scripted.run(&["--json", "plan"]);
    assert!(plan.stdout.contains("update"), "{plan:?}");
}
