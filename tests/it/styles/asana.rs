//! Asana: places in a listing that expire, everything within `data`, ten requests in one with a status each.

use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

#[derive(Default)]
struct Server {
    tasks: Dated,
    asked: Vec<String>,
    /// The next place that is asked for has expired.
    expires: bool,
    /// The next request is one too many of this minute.
    too_many: bool,
}

type Shared = scripted::Shared<Server>;

const PROJECT: &str = "1200000000000001";

fn error(status: u16, message: &str) -> (u16, Value) {
    (status, json!({ "errors": [{ "message": message, "help": "For more information on API status codes …" }] }))
}

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        let new =
            json!({ "gid": id, "name": "", "notes": "", "completed": false, "due_on": null, "created_at": moment(0) });
        self.tasks.set(id, new, |task, change| {
            for (name, value) in changes.as_object().unwrap().iter().filter(|(name, _)| *name != "projects") {
                // What is emptied is the empty text.
                task[name] = if *name == "notes" && value.is_null() { json!("") } else { value.clone() };
            }
            task["modified_at"] = json!(moment(change));
        })
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.tasks.get(id).unwrap()[name].clone()
    }

    /// Two a page; no more is shown of a task than is asked for.
    fn list(&mut self, asked: &Asked) -> (u16, Value) {
        let known = ["project", "limit", "opt_fields", "modified_since", "offset"];
        if asked.query["project"] != PROJECT || asked.query.keys().any(|name| !known.contains(&name.as_str())) {
            return error(400, "You should specify one of workspace, tag, project, section");
        }
        let since = asked.query.get("modified_since");
        let from = asked.query.get("offset").map_or(0, |offset| offset.strip_prefix("eyJ0").unwrap().parse().unwrap());
        self.asked.push(format!("list {from}{}", since.map(|since| format!(" {since}")).unwrap_or_default()));
        if from > 0 && std::mem::take(&mut self.expires) {
            return error(400, "offset: Your pagination token has expired.");
        }
        let since = since.map(|since| chrono::DateTime::parse_from_rfc3339(since).unwrap());
        let at = |one: &Value| chrono::DateTime::parse_from_rfc3339(one["modified_at"].as_str().unwrap()).unwrap();
        let mut found: Vec<Value> = self.tasks.records.values().filter_map(|(_, one)| one.clone()).collect();
        found.retain(|one| since.is_none_or(|since| at(one) >= since));
        let (mut data, next) = Asked::page(&found, from, 2);
        let fields: Vec<&str> = asked.query["opt_fields"].split(',').chain(["gid"]).collect();
        for task in &mut data {
            task.as_object_mut().unwrap().retain(|name, _| fields.contains(&name.as_str()));
        }
        let next = next.map(|next| json!({ "offset": format!("eyJ0{next}"), "path": "/tasks?…", "uri": "https://…" }));
        (200, json!({ "data": data, "next_page": next }))
    }

    fn one(&mut self, method: &str, id: &str, data: &Value) -> (u16, Value) {
        let known = ["name", "notes", "completed", "due_on"];
        if self.tasks.get(id).is_none() {
            return error(404, "task: Unknown object: 1");
        }
        match method {
            "GET" => (200, json!({ "data": self.tasks.get(id) })),
            "PUT" if data["name"] == "forbidden" => error(403, "task: Not allowed"),
            "PUT" if data.as_object().is_some_and(|data| data.keys().all(|name| known.contains(&name.as_str()))) => {
                (200, json!({ "data": self.set(id, data) }))
            }
            "DELETE" => {
                self.tasks.remove(id);
                (200, json!({ "data": {} }))
            }
            _ => error(400, "Could not parse request data, invalid JSON"),
        }
    }

    /// Ten at most, each for itself.
    fn batch(&mut self, actions: &[Value]) -> (u16, Value) {
        self.asked.push(format!("batch {}", actions.len()));
        if actions.len() > 10 {
            return error(400, "actions: There can be at most 10 actions in a batch request");
        }
        let act = |action: &Value| {
            let method = action["method"].as_str().unwrap();
            let id = action["relative_path"].as_str().unwrap().strip_prefix("/tasks/").unwrap();
            assert_eq!(method, method.to_lowercase());
            let (status, body) = self.one(&method.to_uppercase(), id, &action["data"]);
            json!({ "status_code": status, "headers": {}, "body": body })
        };
        (200, json!({ "data": actions.iter().map(act).collect::<Vec<_>>() }))
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    let (method, path) = asked.below("");
    let body = asked.json().map(|body| body["data"].clone());
    let (status, body) = match (method, path.as_slice(), body) {
        _ if !asked.is_signed_in() => error(401, "Not Authorized"),
        _ if std::mem::take(&mut server.too_many) => {
            let (status, body) = error(429, "You have made too many requests recently. Please, be chill.");
            return ([("retry-after", "1")], answer(status, &body)).into_response();
        }
        ("GET", ["tasks"], _) => server.list(asked),
        ("POST", ["batch"], Some(data)) => server.batch(data["actions"].as_array().unwrap()),
        ("POST", ["tasks"], Some(data)) if data["projects"] == json!([PROJECT]) => {
            let id = format!("99{}", server.tasks.change);
            (201, json!({ "data": server.set(&id, &data) }))
        }
        ("GET" | "DELETE", ["tasks", id], _) => server.one(method, id, &Value::Null),
        ("PUT", ["tasks", id], Some(data)) => server.one(method, id, &data),
        _ => error(400, "Could not parse request data, invalid JSON"),
    };
    answer(status, &body)
}

fn stage(tasks: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=tasks {
        server.look().set(&format!("12{n:02}"), &json!({ "name": format!("Task {n:02}") }));
    }
    let rules = include_str!("../../../sync-rules/examples/asana/tasks.toml").replace("${var.asana_project}", PROJECT);
    (server.clone(), Scripted::new("asana", answered_by(server, serve), &rules))
}

#[test]
fn tasks_are_listed_anew_where_their_place_expired_and_go_both_ways() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select name from tasks order by name").concat();
    server.look().expires = true;
    server.look().too_many = true;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["list 0", "list 2", "list 0", "list 2", "list 4"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked()[0], "list 0 2025-12-31T23:58:05Z");

    server.look().set("1201", &json!({ "name": "Bob", "due_on": "2026-02-01" }));
    server.look().tasks.remove("1202");
    server.look().set("1206", &json!({ "name": "Cyd" }));
    scripted.world.sql("update tasks set notes = 'soon', due = '2026-03-01' where name = 'Task 03'");
    scripted.world.sql("delete from tasks where name = 'Task 04'");
    scripted.world.sql("insert into tasks (name, completed) values ('Dan', 1)");
    // In the midst of what proves that one is gone.
    server.look().expires = true;
    // The answer to the create shows what the new one says elsewhere.
    assert_eq!(scripted.full_sync().exits(0).writes(), (3, 4));
    assert_eq!(names(), ["Bob", "Cyd", "Dan", "Task 03", "Task 05"]);
    assert_eq!(scripted.world.rows("select due from tasks where name = 'Bob'"), [["2026-02-01"]]);
    assert_eq!(["notes", "due_on"].map(|name| server.look().field("1203", name)), ["soon", "2026-03-01"]);
    assert!(server.look().tasks.get("1204").is_none());
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn ten_requests_go_in_one_and_each_has_a_status_of_its_own() {
    let (server, scripted) = stage(25);
    scripted.sync().exits(0);
    server.look().asked.clear();
    // One of them is gone meanwhile, one is not allowed.
    server.look().tasks.remove("1205");
    scripted.world.sql("update tasks set name = case name when 'Task 07' then 'forbidden' else 'New ' || name end");
    let ran = scripted.sync();
    assert_ne!(ran.code, 0, "one is refused");
    let batches = std::mem::take(&mut server.look().asked);
    let items = |line: &String| line.strip_prefix("batch ").map(|items| items.parse::<u32>().unwrap());
    let items: Vec<u32> = batches.iter().filter_map(items).collect();
    assert!(items.contains(&10) && items.iter().all(|items| *items <= 10), "{items:?}");
    let new = server
        .look()
        .tasks
        .records
        .values()
        .filter(|(_, one)| one.as_ref().is_some_and(|one| one["name"].as_str().unwrap().starts_with("New")))
        .count();
    assert!(new >= 23, "{new} done");
    assert_eq!(server.look().field("1207", "name"), "Task 07");
    scripted.world.sql("update tasks set name = 'Task 07' where name = 'forbidden'");
    scripted.full_sync();
    scripted.full_sync().exits(0);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
