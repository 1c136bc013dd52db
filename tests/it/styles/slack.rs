//! Slack: 200 for everything, `ok` says what it is; the empty cursor ends; who left is marked.

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by};

/// 2026-01-01.
const BEGIN: usize = 1_767_225_600;

#[derive(Default)]
struct Server {
    users: Dated,
    asked: Vec<String>,
    /// The next call of this method is one too many of its tier.
    limited: &'static str,
}

type Shared = scripted::Shared<Server>;

fn error(code: &str) -> Value {
    json!({ "ok": false, "error": code })
}

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        let profile = json!({ "real_name": id, "email": format!("{id}@x.io"), "title": "", "phone": "" });
        let new = json!({ "id": id, "deleted": false, "is_bot": false, "profile": profile });
        self.users.set(id, new, |user, change| {
            for (name, value) in changes.as_object().unwrap() {
                match (name.as_str(), value) {
                    ("profile", Value::Object(profile)) => {
                        user["profile"].as_object_mut().unwrap().extend(profile.clone());
                    }
                    _ => user[name] = value.clone(),
                }
            }
            user["updated"] = json!(BEGIN + change);
        })
    }

    fn profile(&self, id: &str, name: &str) -> Value {
        self.users.get(id).unwrap()["profile"][name].clone()
    }

    /// Two a page; the last one has the empty text for a cursor.
    fn list(&mut self, asked: &Asked) -> Value {
        let from = match asked.query.get("cursor").map(String::as_str) {
            Some("") => return error("invalid_cursor"),
            Some(cursor) => cursor.strip_prefix("dXNlcjp").unwrap().parse().unwrap(),
            None => 0,
        };
        let all: Vec<Value> = self.users.records.values().filter_map(|(_, one)| one.clone()).collect();
        let (members, next) = Asked::page(&all, from, 2);
        let next = next.map(|next| format!("dXNlcjp{next}")).unwrap_or_default();
        json!({ "ok": true, "members": members, "response_metadata": { "next_cursor": next } })
    }

    fn set_profile(&mut self, asked: &Asked) -> Value {
        let Some(body) = asked.json() else { return error("invalid_post_type") };
        let (id, profile) = (body["user"].as_str().unwrap_or_default(), &body["profile"]);
        let known = ["title", "phone"];
        match profile.as_object() {
            _ if self.users.get(id).is_none() => error("user_not_found"),
            None => error("invalid_profile"),
            Some(profile) if !profile.keys().all(|name| known.contains(&name.as_str())) => {
                error("cannot_update_admin_user")
            }
            Some(profile) if !profile.values().all(Value::is_string) => error("invalid_profile"),
            Some(_) if profile["phone"] == "no number" => error("profile_set_failed"),
            Some(_) => {
                self.set(id, &json!({ "profile": profile }));
                json!({ "ok": true, "profile": self.users.get(id).unwrap()["profile"] })
            }
        }
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    let (method, path) = asked.below("");
    let name = path.join("/");
    server.asked.push(name.clone());
    let body = match (method, name.as_str()) {
        _ if !asked.is_signed_in() => error("invalid_auth"),
        (_, name) if std::mem::take(&mut server.limited) == name => error("ratelimited"),
        ("GET", "users.list") => server.list(asked),
        ("GET", "users.info") => match server.users.get(&asked.query["user"]) {
            Some(user) => json!({ "ok": true, "user": user }),
            None => error("user_not_found"),
        },
        ("POST", "users.profile.set") => server.set_profile(asked),
        _ => error("unknown_method"),
    };
    answer(200, &body)
}

fn stage() -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=5 {
        server.look().set(&format!("U{n}"), &json!({ "profile": { "title": "Dev" } }));
    }
    server.look().set("UBOT", &json!({ "is_bot": true }));
    let rules = include_str!("../../../sync-rules/examples/slack/people.toml");
    (server.clone(), Scripted::new("slack", answered_by(server, serve), rules))
}

#[test]
fn who_left_is_gone_here_and_a_profile_goes_both_ways() {
    let (server, scripted) = stage();
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select name from people order by name").concat();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["users.list"; 3], "the empty cursor is the end, not another page");
    server.look().set("U1", &json!({ "profile": { "title": "Lead" } }));
    server.look().set("U2", &json!({ "deleted": true }));
    scripted.world.sql("update people set phone = '7', title = null where name = 'U3'");
    scripted.world.sql("delete from people where name = 'U4'");
    scripted.sync().exits(0);
    assert_eq!(names(), ["U1", "U3", "U4", "U5"], "nobody is deleted there from here");
    assert_eq!(["phone", "title"].map(|name| server.look().profile("U3", name)), ["7", ""]);
    assert_eq!(scripted.world.rows("select title from people where name = 'U1'"), [["Lead"]]);
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
    // Back again.
    server.look().set("U2", &json!({ "deleted": false }));
    scripted.sync().exits(0);
    assert_eq!(names(), ["U1", "U2", "U3", "U4", "U5"]);
}

#[test]
fn an_answer_that_is_not_ok_is_no_empty_listing_and_no_write() {
    let (server, scripted) = stage();
    scripted.sync().exits(0);
    for limited in ["users.list", "users.profile.set"] {
        server.look().limited = limited;
        scripted.world.sql(&format!("update people set title = '{limited}' where name = 'U3'"));
        assert_eq!(scripted.sync().exits(0).writes(), (1, 0), "{limited} is called again");
        assert_eq!(server.look().profile("U3", "title"), limited);
    }
    scripted.world.sql("update people set phone = case name when 'U1' then 'no number' else '9' end");
    assert_ne!(scripted.sync().code, 0, "one is refused");
    assert_eq!(["U1", "U2", "U5"].map(|id| server.look().profile(id, "phone")), ["", "9", "9"]);
    assert!(scripted.run(&["--json", "status"]).stdout.contains("profile_set_failed"));
    assert_eq!(scripted.world.rows("select count(*) from people"), [["5"]]);
}
