//! Intercom: a search in a POST by cursor, times that count in days, windows of ten seconds whose end is told as an epoch.

use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by};

/// 2026-01-01.
const BEGIN: i64 = 1_767_225_600;
const DAY: i64 = 86_400;
const HOUR: i64 = 3600;

#[derive(Default)]
struct Server {
    contacts: Dated,
    asked: Vec<String>,
    /// So many more requests are let through in this window.
    left: Option<u32>,
    refused: u32,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, code: &str) -> Response {
    answer(status, &json!({ "type": "error.list", "request_id": "r1", "errors": [{ "code": code, "message": code }] }))
}

#[expect(clippy::disallowed_methods, reason = "the end of a window is told by the clock of the program that is tested")]
fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

impl Server {
    /// Each change is an hour after the one before.
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        let new = json!({ "type": "contact", "id": id, "role": "user", "email": null, "name": null, "phone": null });
        self.contacts.set(id, new, |contact, change| {
            for (name, value) in changes.as_object().unwrap() {
                contact[name] = value.clone();
            }
            contact["updated_at"] = json!(BEGIN + HOUR * i64::try_from(change).unwrap());
        })
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.contacts.get(id).unwrap()[name].clone()
    }

    fn known(&self) -> Vec<String> {
        let live = self.contacts.records.iter().filter(|(_, (_, one))| one.is_some());
        live.map(|(id, _)| id.clone()).collect()
    }

    /// Two a page; a page that is asked for in the address is the first one.
    fn search(&mut self, body: &Value) -> Response {
        let [of] = body["query"]["value"].as_array().unwrap().as_slice() else {
            return error(400, "parameter_invalid");
        };
        if body["query"]["operator"] != "AND" || of["field"] != "updated_at" || of["operator"] != ">" {
            return error(400, "parameter_invalid");
        }
        let after: i64 = of["value"].as_str().unwrap().parse().unwrap();
        self.asked.push(format!("since day {}", (after - BEGIN).div_euclid(DAY)));
        // Dates, not times: greater than a day is from the next one on.
        let mut found: Vec<Value> = self.contacts.records.values().filter_map(|(_, one)| one.clone()).collect();
        let at = |one: &Value| one["updated_at"].as_i64().unwrap();
        found.retain(|one| at(one).div_euclid(DAY) > after.div_euclid(DAY));
        found.sort_by_key(at);
        let from = body["pagination"]["starting_after"]
            .as_str()
            .map_or(0, |at| at.strip_prefix("WzE").unwrap().parse().unwrap());
        let (data, next) = Asked::page(&found, from, 2);
        let mut pages =
            json!({ "type": "pages", "page": from / 2 + 1, "per_page": 2, "total_pages": found.len().div_ceil(2) });
        if let Some(next) = next {
            pages["next"] = json!({ "page": next / 2 + 1, "starting_after": format!("WzE{next}") });
        }
        answer(200, &json!({ "type": "list", "data": data, "total_count": found.len(), "pages": pages }))
    }

    fn create(&mut self, body: &Value) -> Response {
        if !["user", "lead"].contains(&body["role"].as_str().unwrap_or_default()) {
            return error(400, "parameter_invalid");
        }
        let same =
            self.known().into_iter().find(|id| self.field(id, "email") == body["email"] && body["email"].is_string());
        match same {
            Some(_) => error(409, "conflict"),
            None => answer(200, &self.set(&format!("made{}", self.contacts.change), body)),
        }
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if !asked.is_signed_in() {
        return error(401, "unauthorized");
    }
    if asked.header("intercom-version") != "2.11" {
        return error(400, "intercom_version_invalid");
    }
    if let Some(left) = &mut server.left {
        if *left == 0 {
            // The window ends in two seconds.
            server.left = None;
            server.refused += 1;
            let window = [
                ("x-ratelimit-limit", "166".to_owned()),
                ("x-ratelimit-remaining", "0".to_owned()),
                ("x-ratelimit-reset", (now() + 2).to_string()),
            ];
            return (window, error(429, "rate_limit_exceeded")).into_response();
        }
        *left -= 1;
    }
    let (method, path) = asked.below("");
    let body = asked.json();
    match (method, path.as_slice(), body) {
        ("POST", ["contacts", "search"], Some(body)) => server.search(&body),
        ("POST", ["contacts"], Some(body)) => server.create(&body),
        ("PUT", ["contacts", id], Some(body)) if server.contacts.get(id).is_some() => {
            answer(200, &server.set(id, &body))
        }
        ("GET", ["contacts", id], _) if server.contacts.get(id).is_some() => {
            answer(200, server.contacts.get(id).unwrap())
        }
        ("DELETE", ["contacts", id], _) if server.contacts.get(id).is_some() => {
            server.contacts.remove(id);
            answer(200, &json!({ "id": id, "type": "contact", "deleted": true }))
        }
        ("POST" | "PUT", _, None) => error(415, "media_type_not_acceptable"),
        _ => error(404, "not_found"),
    }
}

fn stage(contacts: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=contacts {
        server.look().set(&format!("c{n}"), &json!({ "email": format!("p{n}@x.io"), "name": format!("Ann {n}") }));
    }
    let rules = include_str!("../../../sync-rules/examples/intercom/contacts.toml");
    (server.clone(), Scripted::new("intercom", answered_by(server, serve), rules))
}

#[test]
fn a_search_that_counts_in_days_misses_nothing_of_a_day_that_is_not_over() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select name from contacts order by name").concat();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked().len(), 3, "by two a page");
    // Later on the same day as what was seen last.
    server.look().set("c1", &json!({ "name": "Bob" }));
    server.look().set("c6", &json!({ "name": "Cyd", "email": "cyd@x.io" }));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 2));
    assert_eq!(asked()[0], "since day -2");

    scripted.world.sql("update contacts set phone = '7' where name = 'Ann 3'");
    scripted.world.sql("delete from contacts where name = 'Ann 4'");
    scripted.world.sql("insert into contacts (name, email) values ('Dan', 'dan@x.io')");
    server.look().contacts.remove("c2");
    assert_eq!(scripted.full_sync().exits(0).writes(), (3, 1));
    assert_eq!(names(), ["Ann 3", "Ann 5", "Bob", "Cyd", "Dan"]);
    assert_eq!(server.look().field("c3", "phone"), "7");
    assert_eq!(server.look().known().len(), 5);
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn a_window_that_is_used_up_is_waited_for_to_its_end_and_not_for_decades() {
    let (server, scripted) = stage(5);
    // The epoch of the end, taken for seconds from now, would be a wait of fifty years.
    server.look().left = Some(1);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(server.look().refused, 1);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_contact_that_is_there_already_is_taken_for_the_one_that_was_to_be_made() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    // Made there on a day that the search does not show any more.
    let old = server.look().set("c9", &json!({ "email": "dan@x.io", "phone": "9" }));
    server.look().contacts.records.get_mut("c9").unwrap().1 = Some({
        let mut old = old;
        old["updated_at"] = json!(BEGIN - 300 * DAY);
        old
    });
    scripted.world.sql("insert into contacts (name, email) values ('Dan', 'dan@x.io')");
    scripted.sync();
    scripted.full_sync().exits(0);
    scripted.sync().exits(0);
    assert_eq!(["name", "phone"].map(|name| server.look().field("c9", name)), [json!("Dan"), json!("9")]);
    assert_eq!(scripted.world.rows("select phone from contacts where email = 'dan@x.io'"), [["9"]]);
    assert_eq!(server.look().known().len(), 3);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
