//! Mailchimp, all lists: members live below their lists only, and one contact is a member of several under the same id.

use std::collections::BTreeMap;

use axum::response::Response;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

#[derive(Default)]
struct Server {
    lists: BTreeMap<String, String>,
    /// By list and contact id.
    members: Dated,
    asked: Vec<String>,
    /// The answer to the next write is lost.
    loses: bool,
}

type Shared = scripted::Shared<Server>;

fn problem(status: u16, title: &str) -> Response {
    answer(status, &json!({ "title": title, "status": status, "detail": title }))
}

impl Server {
    fn set(&mut self, list: &str, contact: &str, changes: &Value) -> Value {
        let new = json!({ "contact_id": contact, "status": "subscribed", "merge_fields": { "FNAME": "" } });
        self.members.set(&format!("{list} {contact}"), new, |member, change| {
            for (name, value) in changes.as_object().unwrap() {
                member[name] = value.clone();
            }
            member["last_changed"] = json!(moment(change).replace(".000Z", "+00:00"));
        })
    }

    fn add(&mut self, list: &str, contact: &str, name: &str) {
        let address = format!("{contact}@x.io");
        self.set(list, contact, &json!({ "email_address": address, "merge_fields": { "FNAME": name } }));
    }

    fn member(&self, list: &str, contact: &str) -> Option<Value> {
        self.members.get(&format!("{list} {contact}")).filter(|_| self.lists.contains_key(list)).cloned()
    }

    fn name(&self, list: &str, contact: &str) -> Value {
        self.member(list, contact).unwrap()["merge_fields"]["FNAME"].clone()
    }

    fn below(&self, list: &str, asked: &Asked) -> Response {
        let at = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap();
        let since = asked.query.get("since_last_changed").map(|since| at(since));
        let is_new = |one: &Value| since.is_none_or(|since| at(one["last_changed"].as_str().unwrap()) >= since);
        let is_here = |id: &str| id.split_once(' ').unwrap().0 == list;
        let all = self.members.records.iter().filter(|(id, _)| is_here(id)).filter_map(|(_, (_, one))| one.clone());
        let shown = all.filter(|one| one["status"] != "archived" && is_new(one));
        let from: usize = asked.query["offset"].parse().unwrap();
        answer(200, &json!({ "members": shown.skip(from).collect::<Vec<_>>() }))
    }

    fn answered(&mut self, done: &Value) -> Response {
        if std::mem::take(&mut self.loses) { problem(504, "Gateway Timeout") } else { answer(200, done) }
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    let (method, path) = asked.below("/lists");
    server.asked.push(format!("{method} {}", path.join("/")));
    let body = asked.json();
    let known = |list: &&str| server.lists.contains_key(*list);
    match (method, path.as_slice()) {
        ("GET", []) => {
            let shown = |(id, name): (&String, &String)| json!({ "id": id, "name": name });
            let from: usize = asked.query["offset"].parse().unwrap();
            answer(200, &json!({ "lists": server.lists.iter().map(shown).skip(from).collect::<Vec<_>>() }))
        }
        ("GET", [list]) if known(list) => answer(200, &json!({ "id": list, "name": server.lists[*list] })),
        ("GET", [list, "members"]) if known(list) => server.below(list, asked),
        ("POST", [list, "members"]) if known(list) => {
            let body = body.unwrap();
            assert!(body.get("list_id").is_none(), "{body}");
            let contact = body["email_address"].as_str().unwrap().replace("@x.io", "");
            if server.member(list, &contact).is_some() {
                return problem(400, "Member Exists");
            }
            let made = server.set(list, &contact, &body);
            server.answered(&made)
        }
        (method, [list, "members", contact]) => match (method, server.member(list, contact)) {
            (_, None) => problem(404, "Resource Not Found"),
            ("GET", Some(member)) => answer(200, &member),
            ("PATCH", Some(_)) => {
                let changed = server.set(list, contact, &body.unwrap());
                server.answered(&changed)
            }
            ("DELETE", Some(_)) => {
                server.set(list, contact, &json!({ "status": "archived" }));
                answer(204, &Value::Null)
            }
            _ => problem(405, "Method Not Allowed"),
        },
        _ => problem(404, "Resource Not Found"),
    }
}

/// Ann is in both lists, under one id.
fn stage() -> (Shared, Scripted) {
    let server = Shared::default();
    server.look().lists = [("l1", "News"), ("l2", "Offers")].map(|(id, name)| (id.to_owned(), name.to_owned())).into();
    server.look().add("l1", "ann", "Ann");
    server.look().add("l2", "ann", "Anna");
    server.look().add("l2", "bob", "Bob");
    let rules = include_str!("../../../sync-rules/examples/mailchimp_lists/members.toml")
        .replace(
            "full_scan = \"1d\"",
            "full_scan = \"1d\"\nlimits = { delete = \"100%\" }\non_remote_delete = \"propagate\"",
        )
        .replace(
            "fields = { name = \"text\" }",
            "fields = { name = \"text\" }\nlimits = { delete = \"100%\" }\non_remote_delete = \"propagate\"",
        );
    (server.clone(), Scripted::new("mailchimp", answered_by(server, serve), &rules))
}

/// Members with their lists.
fn rows(scripted: &Scripted) -> Vec<String> {
    let sql =
        "select l.name || ' ' || m.email || ' ' || m.name from members m join lists l on l.id = m.list order by 1";
    scripted.world.rows(sql).concat()
}

const QUIET: (u64, u64) = (0, 0);

#[test]
fn members_are_read_and_written_below_their_lists_and_one_id_is_a_member_of_each() {
    let (server, scripted) = stage();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(rows(&scripted), ["News ann@x.io Ann", "Offers ann@x.io Anna", "Offers bob@x.io Bob"]);
    assert_eq!(scripted.sync().exits(0).writes(), QUIET);

    // Each edit goes to the one of the two that it is about.
    let world = &scripted.world;
    world.sql("update members set name = 'A.' where name = 'Anna'");
    server.look().set("l1", "ann", &json!({ "merge_fields": { "FNAME": "Ann B." } }));
    world.sql("insert into members (list, email, status, name) select id, 'dan@x.io', 'subscribed', 'Dan' from lists where name = 'News'");
    let shown = scripted.run(&["--json", "plan"]).exits(3).stdout;
    assert!(shown.contains("PATCH /lists/l2/members/ann") && shown.contains("POST /lists/l1/members"), "{shown}");
    server.look().asked.clear();
    assert_eq!(scripted.sync().exits(0).writes(), (2, 1));
    let asked = std::mem::take(&mut server.look().asked);
    assert!(asked.contains(&"GET l2/members/ann".to_owned()), "read again before the write: {asked:?}");
    let name = |list: &str, contact: &str| server.look().name(list, contact);
    assert_eq!([name("l2", "ann"), name("l1", "ann")], ["A.", "Ann B."]);
    assert_eq!(server.look().name("l1", "dan"), json!("Dan"));
    assert_eq!(scripted.sync().exits(0).writes(), QUIET);
    assert_eq!(world.rows("select remote_id from sync_link where remote_id like '%dan'"), [["l1/dan"]]);

    // A list that is named here anew moves nobody: a member is made below its list, and stays there.
    world.sql("update members set list = (select id from lists where name = 'Offers') where name = 'Dan'");
    server.look().asked.clear();
    scripted.sync().exits(0);
    assert!(!server.look().asked.iter().any(|line| line.starts_with("PATCH")), "{:?}", server.look().asked);

    // Deleted here: archived there, below its list.
    world.sql("delete from members where name = 'A.'");
    scripted.sync().exits(0);
    let status = |list: &str| server.look().member(list, "ann").unwrap()["status"].clone();
    assert_eq!([status("l1"), status("l2")], ["subscribed", "archived"]);
    assert_eq!(scripted.full_sync().exits(0).writes(), QUIET);
}

#[test]
fn who_leaves_a_list_is_gone_from_there_and_a_list_that_is_deleted_takes_its_members_along() {
    let (server, scripted) = stage();
    scripted.sync().exits(0);
    // From one list to the other one: not the same member.
    server.look().members.remove("l2 bob");
    server.look().add("l1", "bob", "Bob");
    server.look().asked.clear();
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 2));
    assert!(server.look().asked.contains(&"GET l2/members/bob".to_owned()), "{:?}", server.look().asked);
    assert_eq!(rows(&scripted), ["News ann@x.io Ann", "News bob@x.io Bob", "Offers ann@x.io Anna"]);
    assert_eq!(scripted.full_sync().exits(0).writes(), QUIET);

    server.look().lists.remove("l1");
    scripted.full_sync().exits(0);
    assert_eq!(rows(&scripted), ["Offers ann@x.io Anna"]);
    assert_eq!(scripted.world.rows("select count(*) from members"), [["1"]]);
    assert_eq!(scripted.full_sync().exits(0).writes(), QUIET);
}

#[test]
fn a_write_whose_answer_was_lost_is_looked_for_below_its_list() {
    let (server, scripted) = stage();
    scripted.sync().exits(0);
    server.look().loses = true;
    scripted.world.sql("update members set name = 'A.' where name = 'Anna'");
    scripted.sync();
    server.look().asked.clear();
    scripted.sync().exits(0);
    let asked = std::mem::take(&mut server.look().asked);
    assert!(!asked.iter().any(|line| line.starts_with("PATCH")), "it landed: {asked:?}");
    assert_eq!(server.look().name("l2", "ann"), json!("A."));
    assert_eq!(scripted.sync().exits(0).writes(), QUIET);

    server.look().loses = true;
    scripted.world.sql(
        "insert into members (list, email, status) select id, 'dan@x.io', 'subscribed' from lists where name = 'News'",
    );
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(scripted.world.rows("select remote_id from sync_link where remote_id like '%dan'"), [["l1/dan"]]);
    assert_eq!(server.look().members.records.len(), 4);
    assert_eq!(scripted.sync().exits(0).writes(), QUIET);
}

#[test]
fn an_edit_and_a_look_ask_below_the_list_alone() {
    let (server, scripted) = stage();
    let shown = scripted.run(&["--json", "fetch", "members", "--id", "l2/ann"]).exits(0).stdout;
    assert!(shown.contains("\"l2/ann\"") && shown.contains("Anna"), "{shown}");
    assert_eq!(server.look().asked, ["GET l2/members/ann"]);
    scripted.run(&["fetch", "members", "--id", "l1/bob"]).exits(1);
    let mut daemon = Daemon::of(scripted.command(&["run"]));
    daemon.logs("pass 2 of members");
    server.look().asked.clear();
    scripted.world.sql("update members set name = 'A.' where name = 'Anna'");
    daemon.logs("pass 3 of members");
    assert_eq!(server.look().asked, ["GET l2/members/ann", "GET l2/members/ann", "PATCH l2/members/ann"]);
    assert_eq!(daemon.stops().0, Some(0));
}
