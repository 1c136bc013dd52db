//! Archive in place of delete: pages that go into the trash and come back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::on_loopback;
use crate::world::World;

#[derive(Default)]
struct Server {
    pages: BTreeMap<String, Value>,
    edited: u32,
    asked: Vec<String>,
    /// The next change is answered as done, and is not.
    forgetful: bool,
    /// The next change is done, and the answer says that something broke.
    breaks: bool,
    /// So many changes are not done, and the answers say that something broke.
    broken: u32,
    /// The next page that is to be changed is removed for good just before.
    vanishes: bool,
}

type Shared = Arc<Mutex<Server>>;

impl Server {
    fn set(&mut self, id: &str, in_trash: bool, name: &str, status: &str) {
        self.edited += 1;
        let time = format!("2026-01-01T00:{:02}:00Z", self.edited);
        let properties =
            json!({ "Name": { "title": [{ "plain_text": name }] }, "Status": { "select": { "name": status } } });
        let page = json!({ "id": id, "last_edited_time": time, "in_trash": in_trash, "properties": properties });
        self.pages.insert(id.to_owned(), page);
    }

    fn change(&mut self, id: &str, body: &Value) -> (u16, Value) {
        if std::mem::take(&mut self.vanishes) {
            self.pages.remove(id);
            if self.breaks {
                return (502, json!({}));
            }
        }
        if let Some(left) = self.broken.checked_sub(1) {
            self.broken = left;
            return (502, json!({}));
        }
        let Some(page) = self.pages.get(id).cloned() else { return (404, json!({ "message": "no page" })) };
        if std::mem::take(&mut self.forgetful) {
            return (200, page);
        }
        let text = |at: &str| page.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let sent = |at: &str| body.pointer(at).and_then(Value::as_str).map(str::to_owned);
        let name = sent("/properties/Name/title/0/text/content").unwrap_or(text("/properties/Name/title/0/plain_text"));
        let status = sent("/properties/Status/select/name").unwrap_or(text("/properties/Status/select/name"));
        let in_trash = body["in_trash"].as_bool().unwrap_or(page["in_trash"] == true);
        self.set(id, in_trash, &name, &status);
        if std::mem::take(&mut self.breaks) { (502, json!({})) } else { (200, self.pages[id].clone()) }
    }
}

async fn serve(State(server): State<Shared>, method: Method, uri: Uri, body: Bytes) -> Response {
    let mut server = server.lock().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let steps: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
    let (status, answer) = match (method.as_str(), steps.as_slice()) {
        ("POST", ["databases", "tasks", "query"]) => {
            let from: usize = body["start_cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
            let there: Vec<&Value> = server.pages.values().filter(|page| page["in_trash"] == false).collect();
            let results: Vec<&Value> = there.iter().skip(from).take(2).copied().collect();
            let more = from + 2 < there.len();
            let next = if more { json!((from + 2).to_string()) } else { Value::Null };
            (200, json!({ "results": results, "has_more": more, "next_cursor": next }))
        }
        ("GET", ["pages", id]) => server.pages.get(*id).map_or((404, json!({})), |page| (200, page.clone())),
        ("PATCH", ["pages", id]) => {
            server.asked.push(format!("PATCH {id} {body}"));
            server.change(id, &body)
        }
        _ => (405, json!({})),
    };
    (StatusCode::from_u16(status).unwrap(), answer.to_string()).into_response()
}

/// Notion, its pages, and a world that reads them.
struct Stage {
    world: World,
    server: Shared,
    /// Serves until it is dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new(pages: &[&str]) -> Self {
        let server = Shared::default();
        for (at, name) in pages.iter().enumerate() {
            server.lock().unwrap().set(&format!("p{}", at + 1), false, name, "Open");
        }
        let router = Router::new().fallback(serve).with_state(server.clone());
        let (runtime, url) = on_loopback(router);
        let world = World::new();
        let rules = include_str!("../../sync-rules/examples/notion/tasks.toml")
            .replace("${var.notion_url}", &url)
            .replace("${var.notion_database}", "tasks")
            .replace("auth = { kind = \"bearer\", token = \"${secret.notion}\" }", "")
            .replace("limit = 3\n", "limit = 300\n");
        // Nothing is made there in these tests.
        let (before, create) = rules.split_once("[binding.tasks.notion.write.create]\n").unwrap();
        let rules = format!("{before}{}", create.split_once("\n\n").unwrap().1);
        world.rules("rules.toml", &rules);
        let all = u64::try_from(pages.len()).unwrap();
        assert_eq!(world.sync().exits(0).writes(), (0, all));
        Self { world, server, _runtime: runtime }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.server.lock().unwrap().asked)
    }

    #[track_caller]
    fn is_quiet(&self) {
        assert_eq!(self.world.sync().exits(0).writes(), (0, 0));
        assert_eq!(self.asked(), Vec::<String>::new());
    }

    /// Links: live, archived, deleted.
    fn links(&self) -> (Value, Value, Value) {
        let status: Value = serde_json::from_str(&self.world.run(&["--json", "status"]).stdout).unwrap();
        let links = &status["collections"][0]["links"][0];
        (links["live"].clone(), links["archived"].clone(), links["deleted"].clone())
    }
}

#[test]
fn a_row_that_is_deleted_here_is_archived_there_and_is_none_when_it_comes_back() {
    let stage = Stage::new(&["One", "Two", "Three", "Four"]);
    let (world, server) = (&stage.world, &stage.server);
    let (asked, quiet, links) = (|| stage.asked(), || stage.is_quiet(), || stage.links());
    world.sql("update tasks set status = 'Done' where name = 'Two'");
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    assert_eq!(asked(), [r#"PATCH p2 {"properties":{"Status":{"select":{"name":"Done"}}}}"#]);
    quiet();

    // Archived, not deleted: counted so, and no tombstone.
    world.sql("delete from tasks where name = 'One'");
    let planned: Value = serde_json::from_str(&world.run(&["--json", "plan"]).exits(3).stdout).unwrap();
    let change = &planned["passes"][0]["changes"][0];
    assert_eq!((&change["action"], &change["request"]), (&json!("archive"), &json!("PATCH /pages/p1")));
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    assert_eq!(asked(), [r#"PATCH p1 {"in_trash":true}"#]);
    assert_eq!(links(), (json!(3), json!(1), json!(0)));
    quiet();

    // No answer: settled by reading, not sent again.
    server.lock().unwrap().breaks = true;
    world.sql("delete from tasks where name = 'Two'");
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    assert_eq!(asked().len(), 1);
    assert_eq!(links(), (json!(2), json!(2), json!(0)));
    quiet();

    // Taken back there: the row is here again.
    server.lock().unwrap().set("p1", false, "One again", "Open");
    assert_eq!(world.sync().exits(0).writes(), (0, 1));
    assert_eq!(world.rows("select name from tasks order by name"), [["Four"], ["One again"], ["Three"]]);
    assert_eq!(links(), (json!(3), json!(1), json!(0)));
    quiet();

    // Archived there: it stays here, and what is deleted here is then archived already.
    server.lock().unwrap().set("p3", true, "Three", "Open");
    world.full_sync().exits(0);
    assert_eq!(links(), (json!(2), json!(2), json!(0)));
    world.sql("delete from tasks where name = 'Three'");
    assert_eq!(world.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked(), Vec::<String>::new());

    // Said to be done, and not done: that is told.
    server.lock().unwrap().forgetful = true;
    world.sql("delete from tasks where name = 'Four'");
    assert_eq!(world.sync().exits(4).writes(), (0, 0));
    assert!(world.run(&["--json", "status"]).stdout.contains("the archive of p4 was accepted"));
}

#[test]
fn a_row_that_comes_back_under_its_id_makes_no_second_page() {
    let stage = Stage::new(&["One", "Two", "Three", "Four"]);
    let (world, server) = (&stage.world, &stage.server);
    let links = || stage.links();
    let id = |name: &str| world.rows(&format!("select id from tasks where name = '{name}'")).concat().concat();
    // Its archive was not done; then the row is here again, and nothing is archived.
    let (one, two) = (id("One"), id("Two"));
    server.lock().unwrap().broken = 9;
    world.sql("delete from tasks where name = 'One'");
    world.sync();
    assert!(stage.asked().iter().all(|line| line.starts_with("PATCH p1")));
    server.lock().unwrap().broken = 0;
    world.sql(&format!("insert into tasks (id, name, status) values ('{one}', 'One', 'Done')"));
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    assert_eq!(stage.asked(), [r#"PATCH p1 {"properties":{"Status":{"select":{"name":"Done"}}}}"#]);
    assert_eq!(links(), (json!(4), json!(0), json!(0)));
    stage.is_quiet();

    // It was archived; the row that is here again waits for the page to be taken back, and then they are one.
    world.sql("delete from tasks where name = 'Two'");
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    stage.asked();
    world.sql(&format!("insert into tasks (id, name, status) values ('{two}', 'Two', 'Done')"));
    stage.is_quiet();
    assert_eq!(links(), (json!(3), json!(1), json!(0)));
    server.lock().unwrap().set("p2", false, "Two there", "Open");
    world.sync().exits(0);
    stage.asked();
    let two = world.rows("select name, status from tasks where name like 'Two%'");
    assert_eq!(two, [["Two there", "Done"]], "of each field what was edited");
    assert_eq!(server.lock().unwrap().pages.len(), 4);
    stage.is_quiet();
}

#[test]
fn an_archive_of_what_is_gone_there_or_edited_meanwhile_overwrites_nothing() {
    let stage = Stage::new(&["One", "Two", "Three", "Four"]);
    let (world, server) = (&stage.world, &stage.server);
    let names = || world.rows("select name from tasks order by name").concat();
    // Edited there since: `update_wins` brings the row back, and nothing is archived.
    world.sql("delete from tasks where name = 'Two'");
    server.lock().unwrap().set("p2", false, "Two and more", "Open");
    world.sync().exits(0);
    assert_eq!(stage.asked(), Vec::<String>::new());
    assert_eq!(names(), ["Four", "One", "Three", "Two and more"]);
    // Archived there and edited here: nothing is written to what is in the trash, and nothing is lost here.
    world.sql("update tasks set name = 'Three here' where name = 'Three'");
    server.lock().unwrap().set("p3", true, "Three", "Open");
    assert_eq!(world.sync().exits(0).writes(), (0, 0));
    assert_eq!(stage.links(), (json!(3), json!(1), json!(0)));
    // Taken back: both meet.
    server.lock().unwrap().set("p3", false, "Three", "Done");
    world.sync().exits(0);
    assert_eq!(stage.asked(), [r#"PATCH p3 {"properties":{"Name":{"title":[{"text":{"content":"Three here"}}]}}}"#]);
    assert_eq!(world.rows("select name, status from tasks where name like 'Three%'"), [["Three here", "Done"]]);
    stage.is_quiet();
    // Gone there in the moment of the archive, with an answer and without: deleted, not archived.
    for (name, page, breaks, deleted) in [("One", "p1", false, 1), ("Four", "p4", true, 2)] {
        world.sql(&format!("delete from tasks where name = '{name}'"));
        (server.lock().unwrap().vanishes, server.lock().unwrap().breaks) = (true, breaks);
        world.sync().exits(0);
        server.lock().unwrap().breaks = false;
        assert_eq!(stage.asked(), [format!("PATCH {page} {{\"in_trash\":true}}")]);
        assert_eq!(stage.links(), (json!(4 - deleted), json!(0), json!(deleted)));
        stage.is_quiet();
    }
}
