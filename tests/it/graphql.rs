//! Both ways with an upstream that speaks GraphQL: one address, POST for everything, errors with the status 200.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value, json};

use crate::scripted::on_loopback;
use crate::world::World;

const RULES: &str = r#"
[upstream.crm]
base_url = "URL"
[[upstream.crm.error]]
when = '.errors[0].extensions.code == "THROTTLED"'
class = "rate_limited"
[[upstream.crm.error]]
when = '.errors[0].extensions.code == "NOT_FOUND"'
class = "not_found"
[[upstream.crm.error]]
when = '.errors[0].extensions.code == "CONFLICT"'
class = "conflict"
[[upstream.crm.error]]
when = ".errors != null"
class = "invalid"

[collection.contacts]
match = { keys = [["email"]] }
on_remote_delete = "propagate"
[collection.contacts.fields]
email = "text"
name = "text"

[binding.contacts.crm]
id = ".id"
version = ".rev"
map = { email = ".email", name = ".name" }
[binding.contacts.crm.read]
records = ".data.contacts.nodes[]"
page = { kind = "cursor", next = ".data.contacts.pageInfo.endCursor", more = ".data.contacts.pageInfo.hasNextPage", into = "body.variables.after" }
deletes = { kind = "absence" }
get = { method = "POST", path = "/graphql", record = ".data.contact", body = { query = "query ($id: ID!) { contact(id: $id) { id rev email name } }", variables = { id = "{id}" } } }
[binding.contacts.crm.read.request]
method = "POST"
path = "/graphql"
body.query = """
query ($after: String) {
  contacts(first: 2, after: $after) { nodes { id rev email name } pageInfo { endCursor hasNextPage } }
}"""
[binding.contacts.crm.write.create]
request = { method = "POST", path = "/graphql", record = ".data.make" }
body = '{query: "mutation ($input: Contact!) { make(input: $input) { id rev email name } }", variables: {input: .record}}'
idempotency = { match = "email" }
[binding.contacts.crm.write.update]
request = { method = "POST", path = "/graphql", record = ".data.change" }
body = '{query: "mutation ($id: ID!, $input: Contact!) { change(id: $id, input: $input) { id rev email name } }", variables: {id: .id, input: .changed}}'
precondition = { body = ".variables.rev", value = "{version}" }
[binding.contacts.crm.write.delete]
request = { method = "POST", path = "/graphql", body = { query = "mutation ($id: ID!) { remove(id: $id) { id } }", variables = { id = "{id}", rev = "{version}" } } }
"#;

#[derive(Default)]
struct Server {
    contacts: BTreeMap<String, Value>,
    made: u32,
    throttled: bool,
    asked: Vec<String>,
}

fn error(code: &str) -> Value {
    json!({ "data": null, "errors": [{ "message": code, "extensions": { "code": code } }] })
}

/// Knows its few queries by the word that tells them apart.
async fn graphql(State(server): State<Arc<Mutex<Server>>>, body: Bytes) -> String {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut server = server.lock().unwrap();
    answer(&mut server, &body).to_string()
}

fn answer(server: &mut Server, body: &Value) -> Value {
    if std::mem::take(&mut server.throttled) {
        return error("THROTTLED");
    }
    let (query, variables) = (body["query"].as_str().unwrap_or_default().to_owned(), body["variables"].clone());
    let id = variables["id"].as_str().unwrap_or_default().to_owned();
    let is = |name: &str| query.contains(&format!("{name}("));
    if is("contacts") {
        server.asked.push("list".into());
        let after = variables["after"].as_str().unwrap_or_default().to_owned();
        let rest: Vec<Value> =
            server.contacts.iter().filter(|(id, _)| **id > after).map(|(_, contact)| contact.clone()).collect();
        let nodes: Vec<Value> = rest.iter().take(2).cloned().collect();
        let end = nodes.last().map_or(Value::Null, |node| node["id"].clone());
        let info = json!({ "endCursor": end, "hasNextPage": rest.len() > 2 });
        return json!({ "data": { "contacts": { "nodes": nodes, "pageInfo": info } } });
    }
    if is("contact") {
        return match server.contacts.get(&id) {
            Some(contact) => json!({ "data": { "contact": contact } }),
            None => error("NOT_FOUND"),
        };
    }
    if is("make") {
        server.asked.push("make".into());
        server.made += 1;
        let id = format!("m{}", server.made);
        let mut contact = json!({ "id": id, "rev": "1" });
        merge(&mut contact, &variables["input"]);
        server.contacts.insert(id, contact.clone());
        return json!({ "data": { "make": contact } });
    }
    if is("remove") {
        server.asked.push(format!("remove {} {}", variables["rev"], variables["id"]));
        return match server.contacts.remove(&id) {
            Some(_) => json!({ "data": { "remove": { "id": id } } }),
            None => error("NOT_FOUND"),
        };
    }
    server.asked.push("change".into());
    let Some(contact) = server.contacts.get_mut(&id) else { return error("NOT_FOUND") };
    if contact["rev"] != variables["rev"] {
        return error("CONFLICT");
    }
    merge(contact, &variables["input"]);
    let rev: u32 = contact["rev"].as_str().unwrap().parse().unwrap();
    contact["rev"] = json!((rev + 1).to_string());
    json!({ "data": { "change": contact } })
}

fn merge(contact: &mut Value, input: &Value) {
    for (name, value) in input.as_object().unwrap() {
        contact[name] = value.clone();
    }
}

#[test]
fn contacts_are_kept_in_sync_both_ways_with_graphql() {
    let server = Arc::new(Mutex::new(Server::default()));
    for n in 1..=5 {
        let contact =
            json!({ "id": format!("c{n}"), "rev": "1", "email": format!("{n}@x.test"), "name": format!("N{n}") });
        server.lock().unwrap().contacts.insert(format!("c{n}"), contact);
    }
    let router = Router::new().route("/graphql", post(graphql)).with_state(server.clone());
    let (_runtime, url) = on_loopback(router);
    let world = World::new();
    world.rules("rules.toml", &RULES.replace("URL", &url));
    let asked = || std::mem::take(&mut server.lock().unwrap().asked);

    assert_eq!(world.sync().exits(0).writes(), (0, 5), "three pages by cursor");
    assert_eq!(asked(), ["list"; 3]);
    world.sql("update contacts set name = 'Ann' where email = '2@x.test'");
    world.sql("insert into contacts (email, name) values ('new@x.test', 'Neu')");
    server.lock().unwrap().contacts.get_mut("c4").unwrap()["name"] = json!("Theirs");
    server.lock().unwrap().contacts.get_mut("c4").unwrap()["rev"] = json!("2");
    server.lock().unwrap().throttled = true;
    assert_eq!(world.sync().exits(0).writes(), (2, 1), "a throttled answer is asked for again");
    assert_eq!(server.lock().unwrap().contacts["c2"]["name"], "Ann");
    assert_eq!(server.lock().unwrap().contacts["m1"]["email"], "new@x.test");
    assert_eq!(world.rows("select name from contacts where email = '4@x.test'"), [["Theirs"]]);
    asked();
    assert_eq!(world.sync().exits(0).writes(), (0, 0), "quiet");
    assert_eq!(asked(), ["list"; 3]);

    // Gone there: not listed, and NOT_FOUND with the status 200.
    server.lock().unwrap().contacts.remove("c5");
    assert_eq!(world.sync().exits(0).writes(), (0, 1));
    assert_eq!(world.rows("select count(*) from contacts"), [["5"]]);

    asked();
    world.sql("delete from contacts where email = '2@x.test'");
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    assert!(asked().contains(&"remove \"2\" \"c2\"".to_owned()));
    assert!(!server.lock().unwrap().contacts.contains_key("c2"));
    assert_eq!(world.sync().exits(0).writes(), (0, 0));
}
