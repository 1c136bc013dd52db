//! Mailchimp: pages by offset that shift, null that is refused, ids that change with the address, archived instead of deleted,
//! 429 without a word of how long, and members that are made or found by a PUT.

use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

#[derive(Default)]
struct Server {
    /// So many requests are one too many at once.
    crowded: u32,
    /// By contact id.
    members: Dated,
    asked: Vec<String>,
    /// What is done once the first page of the next listing was given.
    between: Option<fn(&mut Server)>,
}

type Shared = scripted::Shared<Server>;

fn problem(status: u16, title: &str) -> Response {
    let kind = "https://mailchimp.com/developer/marketing/docs/errors/";
    answer(status, &json!({ "type": kind, "title": title, "status": status, "detail": title, "instance": "i" }))
}

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        let merge = json!({ "FNAME": "", "LNAME": "" });
        let new = json!({ "contact_id": id, "email_address": "", "status": "subscribed", "merge_fields": merge });
        self.members.set(id, new, |member, change| {
            for (name, value) in changes.as_object().unwrap() {
                match (name.as_str(), value) {
                    ("merge_fields", Value::Object(merge)) => {
                        member["merge_fields"].as_object_mut().unwrap().extend(merge.clone());
                    }
                    _ => member[name] = value.clone(),
                }
            }
            // The hash of the address, here the address turned round.
            member["id"] = json!(member["email_address"].as_str().unwrap().chars().rev().collect::<String>());
            member["last_changed"] = json!(moment(change).replace(".000Z", "+00:00"));
        })
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.members.get(id).unwrap()[name].clone()
    }

    /// By contact id, hash or address.
    fn find(&self, by: &str) -> Option<String> {
        let is = |one: &Value| ["contact_id", "id", "email_address"].iter().any(|name| one[*name] == by);
        let all = self.members.records.iter().filter(|(_, (_, one))| one.as_ref().is_some_and(is));
        all.map(|(id, _)| id.clone()).next()
    }

    fn list(&mut self, asked: &Asked) -> Response {
        let number = |name: &str| asked.query[name].parse::<usize>().unwrap();
        let (offset, count) = (number("offset"), number("count"));
        if count > 1000 {
            return problem(400, "Invalid Resource");
        }
        let since = asked.query.get("since_last_changed");
        self.asked.push(format!("list {offset} {}", since.map_or("all", |since| since)));
        let since = since.map(|since| chrono::DateTime::parse_from_rfc3339(since).unwrap());
        let at = |one: &Value| chrono::DateTime::parse_from_rfc3339(one["last_changed"].as_str().unwrap()).unwrap();
        let mut found: Vec<Value> = self.members.records.values().filter_map(|(_, one)| one.clone()).collect();
        found.retain(|one| one["status"] != "archived" && since.is_none_or(|since| at(one) >= since));
        found.sort_by_key(at);
        let members: Vec<Value> = found.iter().skip(offset).take(count).cloned().collect();
        if let Some(between) = self.between.take() {
            between(self);
        }
        answer(200, &json!({ "members": members }))
    }

    fn write(&mut self, id: Option<&str>, body: &Value) -> Response {
        let nothing = Map::new();
        let merge = body["merge_fields"].as_object().unwrap_or(&nothing);
        let known = ["email_address", "status", "status_if_new", "merge_fields"];
        if body.as_object().unwrap().keys().any(|name| !known.contains(&name.as_str()))
            || merge.values().any(Value::is_null)
        {
            // "Schema describes string, NULL found instead".
            return problem(400, "Invalid Resource");
        }
        let same = body["email_address"].as_str().and_then(|address| self.find(address));
        match id {
            None if same.is_some() => problem(400, "Member Exists"),
            None if body["status"].is_null() => problem(400, "Invalid Resource"),
            None => {
                let id = format!("made{}", self.members.change);
                answer(200, &self.set(&id, body))
            }
            Some(id) => answer(200, &self.set(id, body)),
        }
    }
}

impl Server {
    /// Under the hash of the address, or the address itself: who is there is changed, who is not is made.
    fn put(&mut self, by: &str, body: &Value) -> Response {
        let mut body = body.clone();
        let if_new = body.as_object_mut().unwrap().remove("status_if_new").unwrap_or_default();
        let Some(id) = self.find(by) else {
            body["status"] = if_new;
            return if body["email_address"] == by {
                self.write(None, &body)
            } else {
                problem(400, "Invalid Resource")
            };
        };
        self.write(Some(&id), &body)
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    // anystring:a-secret-of-tests
    if asked.header("authorization") != "Basic YW55c3RyaW5nOmEtc2VjcmV0LW9mLXRlc3Rz" {
        return problem(401, "API Key Invalid");
    }
    if let Some(left) = server.crowded.checked_sub(1) {
        // No header says how long to wait.
        server.crowded = left;
        return problem(429, "Too Many Requests");
    }
    let (method, path) = asked.below("/members");
    let found = path.first().and_then(|by| server.find(by));
    match (method, path.as_slice(), found, asked.json()) {
        ("GET", [], ..) => server.list(asked),
        ("GET", [_], Some(id), _) => answer(200, server.members.get(&id).unwrap()),
        ("POST", [], _, Some(body)) => server.write(None, &body),
        ("PUT", [by], _, Some(body)) => server.put(&by.replace("%40", "@"), &body),
        ("PATCH", [_], Some(id), Some(body)) => server.write(Some(&id), &body),
        ("DELETE", [_], Some(id), _) if server.field(&id, "status") != "archived" => {
            server.set(&id, &json!({ "status": "archived" }));
            answer(204, &Value::Null)
        }
        ("DELETE", [_], Some(_), _) => problem(405, "Method Not Allowed"),
        _ => problem(404, "Resource Not Found"),
    }
}

/// Two members a page.
fn stage(members: usize) -> (Shared, Scripted) {
    stage_with(members, |rules| rules)
}

/// With other rules.
fn stage_with(members: usize, change: fn(String) -> String) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=members {
        let merge = json!({ "FNAME": format!("Ann {n}") });
        server.look().set(&format!("c{n}"), &json!({ "email_address": format!("p{n}@x.io"), "merge_fields": merge }));
    }
    let rules =
        include_str!("../../../sync-rules/examples/mailchimp/members.toml").replace("value = 1000", "value = 2");
    (server.clone(), Scripted::new("mailchimp", answered_by(server, serve), &change(rules)))
}

#[test]
fn members_are_listed_by_offset_and_keep_their_identity_when_their_address_changes() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["list 0 all", "list 2 all", "list 4 all"], "a short page after a full one is the last");
    let id = || scripted.world.rows("select id from members where first_name = 'Ann 1'");
    let before = id();
    server.look().set("c1", &json!({ "email_address": "new@x.io" }));
    scripted.world.sql("update members set email = 'p22@x.io', last_name = 'Lee' where email = 'p2@x.io'");
    scripted.world.sql("update members set first_name = null where email = 'p3@x.io'");
    scripted.world.sql("insert into members (email, status) values ('dan@x.io', 'subscribed')");
    assert_eq!(scripted.sync().exits(0).writes(), (3, 1));
    assert!(asked()[0].starts_with("list 0 2025-12-31T23:58:05"));
    assert_eq!(id(), before, "the same row");
    let changed = ["email_address", "merge_fields"].map(|name| server.look().field("c2", name));
    assert_eq!(changed, [json!("p22@x.io"), json!({ "FNAME": "Ann 2", "LNAME": "Lee" })]);
    assert_eq!(server.look().field("c3", "merge_fields")["FNAME"], "", "what is emptied is not null");
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }

    // Archived there: the row stays. Deleted here: archived there.
    server.look().set("c4", &json!({ "status": "archived" }));
    scripted.world.sql("delete from members where email = 'p5@x.io'");
    scripted.full_sync().exits(0);
    assert_eq!(server.look().field("c5", "status"), "archived");
    assert_eq!(scripted.world.rows("select count(*) from members where email in ('p4@x.io', 'p5@x.io')"), [["1"]]);
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
    // Who signs up again is a member again.
    server.look().set("c4", &json!({ "status": "subscribed", "merge_fields": { "LNAME": "Back" } }));
    scripted.sync().exits(0);
    assert_eq!(scripted.world.rows("select last_name from members where email = 'p4@x.io'"), [["Back"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_member_that_a_shifted_page_left_out_is_not_taken_for_gone() {
    let (server, scripted) = stage(5);
    scripted.sync().exits(0);
    // While the second page is asked for, the first one gets shorter: what stood third stands second now.
    server.look().between = Some(|server| {
        server.set("c1", &json!({ "status": "archived" }));
    });
    scripted.full_sync().exits(0);
    assert_eq!(scripted.world.rows("select count(*) from members"), [["5"]]);
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
}

#[test]
fn an_address_that_was_a_member_before_is_not_made_a_second_time() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    // Archived, so that no listing shows it.
    server.look().set("c9", &json!({ "email_address": "old@x.io", "status": "archived" }));
    scripted.world.sql("insert into members (email, status) values ('old@x.io', 'subscribed')");
    scripted.world.sql("insert into members (email, status) values ('dan@x.io', 'subscribed')");
    assert_ne!(scripted.sync().code, 0, "one has to wait for a person");
    let [old, new] = ["old@x.io", "dan@x.io"].map(|address| server.look().find(address).unwrap());
    assert_eq!(old, "c9");
    assert!(new.starts_with("made"), "the other one is made");
    assert_eq!(server.look().members.records.len(), 4);
}

#[test]
fn more_connections_than_are_allowed_are_waited_for_without_being_told_how_long() {
    let (server, scripted) = stage(3);
    server.look().crowded = 1;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 3));
    server.look().crowded = 1;
    scripted.world.sql("update members set last_name = 'Lee' where email = 'p1@x.io'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().field("c1", "merge_fields")["LNAME"], "Lee");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

/// A person who decided it so has creates go by PUT: who was a member before is one again, and an answer that was lost costs nothing.
#[test]
fn a_member_is_made_or_found_by_the_address_where_creates_are_puts() {
    const POST: &str = r#"create = { request = "POST /members", idempotency = { match = "email" } }"#;
    const PUT: &str = r#"create = { request = "PUT /members/{match}", body = '.record + {status_if_new: .record.status}', idempotency = { match = "email" } }"#;
    let (server, scripted) = stage_with(2, |rules| {
        assert!(rules.contains(POST), "{rules}");
        rules.replace(POST, PUT)
    });
    scripted.sync().exits(0);
    server.look().set("c9", &json!({ "email_address": "old@x.io", "status": "archived" }));
    let values = "('old@x.io', 'subscribed'), ('dan@x.io', 'pending')";
    scripted.world.sql(&format!("insert into members (email, status) values {values}"));
    let ran = scripted.sync();
    assert_eq!(ran.writes(), (2, 0), "{}", scripted.run(&["status"]).stdout);
    assert_eq!(server.look().field("c9", "status"), "subscribed");
    let dan = server.look().find("dan@x.io").unwrap();
    assert_eq!(server.look().field(&dan, "status"), "pending");
    assert_eq!(server.look().members.records.len(), 4);
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}
