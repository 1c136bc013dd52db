//! What the daemon really answers, held against its own description: every field that comes is described, every field that is
//! promised comes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::daemon::{add, hourly};
use crate::web::{TOKEN, ask, get, listening};
use crate::world::World;

/// The description, closed: an object has the fields that are described and no others.
struct Description {
    whole: Value,
    /// The statuses of checked answers, by route.
    checked: BTreeMap<String, BTreeSet<u16>>,
}

impl Description {
    fn of(address: &str) -> Self {
        let mut whole = get(address, "/api/v1/openapi.json");
        assert_eq!(whole["openapi"], "3.1.0");
        close(&mut whole["components"]["schemas"]);
        Self { whole, checked: BTreeMap::new() }
    }

    /// Asks, and checks the answer; and the question: a body that is as described is understood, and no other.
    fn asks(&mut self, address: &str, method: &str, route: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = ask(address, method, &format!("/api/v1{path}"), TOKEN, &text);
        let answer = self.check((method, route), status, &answer);
        let said = self.operation(method, route);
        let described = match &said["requestBody"] {
            Value::Null => body.is_null(),
            wanted if body.is_null() => wanted["required"] == false,
            wanted => errors(&self.whole, &wanted["content"]["application/json"]["schema"], body).is_empty(),
        };
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let declared = said["parameters"].as_array().unwrap();
        let is_declared = |pair: &str| {
            let name = pair.split('=').next();
            declared.iter().any(|one| one["in"] == "query" && one["name"].as_str() == name)
        };
        let described = described && query.split('&').filter(|pair| !pair.is_empty()).all(is_declared);
        assert_eq!(described, status != 400, "{method} {path} {body}: {status}: {answer:#}");
        answer
    }

    fn operation(&self, method: &str, route: &str) -> &Value {
        let said = &self.whole["paths"][route][method.to_lowercase()];
        assert!(said.is_object(), "{method} {route} is not described");
        said
    }

    /// Holds an answer against what is said of its status.
    fn check(&mut self, (method, route): (&str, &str), status: u16, answer: &str) -> Value {
        let what = format!("{method} {route}: {status}: {answer}");
        let answer: Value = serde_json::from_str(answer).unwrap_or_else(|_| panic!("no JSON: {what}"));
        let mut said = &self.operation(method, route)["responses"][status.to_string()];
        if let Some(shared) = said["$ref"].as_str() {
            said = self.whole.pointer(shared.strip_prefix('#').unwrap()).unwrap();
        }
        let mut schema = said["content"]["application/json"]["schema"].clone();
        assert!(schema.is_object(), "not described: {what}");
        close(&mut schema);
        assert_eq!(errors(&self.whole, &schema, &answer), Vec::<String>::new(), "{what}");
        self.checked.entry(format!("{method} {route}")).or_default().insert(status);
        answer
    }

    /// All operations: method, route, what is said.
    fn operations(&self) -> Vec<(String, String, Value)> {
        let paths = self.whole["paths"].as_object().unwrap().iter();
        let all = paths.flat_map(|(route, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, said)| (method.to_uppercase(), route.clone(), said.clone()))
        });
        all.collect()
    }

    fn look(&mut self, address: &str, route: &str, path: &str) -> Value {
        self.asks(address, "GET", route, path, &Value::Null)
    }
}

/// What is wrong with a value by a schema of the description.
fn errors(whole: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut schema = schema.clone();
    schema["components"] = whole["components"].clone();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// One question with these headers besides: status and body.
fn knock(address: &str, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut head = format!("{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    let bearer = format!("Bearer {TOKEN}");
    for (name, value) in [("Host", address), ("Authorization", bearer.as_str())] {
        if headers.iter().all(|(given, _)| *given != name) {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
    // The answer to what is too long may come before all of it is sent.
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).ok();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    (text.split(' ').nth(1).unwrap().parse().unwrap(), text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// Fields that are not described are an error.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_answer_is_as_it_is_described() {
    let world = hourly();
    world.change_rules("rules.toml", |rules| {
        rules.replace("every = ", "merge = [\"manual\"]\nlimits = { update = 5 }\nevery = ")
    });
    for number in 0..9 {
        add(&world, &format!("{number}@x.io"));
    }
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts");
    let mut said = Description::of(&address);
    let at = &address;

    // A conflict, and one more that is decided.
    let remote = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    world.edit("crm", &remote, &json!({ "name": "Ann Lee", "phone": "3" }));
    world.sql("update contacts set name = 'Ann Poe', phone = '4' where email = 'ann@x.io'");
    said.asks(at, "POST", "/sync", "/sync", &json!({}));
    daemon.logs("2 conflicts open");
    said.look(at, "/conflicts", "/conflicts?field=name&limit=1");
    said.look(at, "/conflicts/{id}", "/conflicts/1");
    said.asks(at, "POST", "/conflicts/{id}/resolve", "/conflicts/1/resolve", &json!({ "take": "nobody" }));
    said.asks(at, "POST", "/conflicts/{id}/resolve", "/conflicts/1/resolve", &json!({ "take": "local" }));
    said.asks(at, "POST", "/sync", "/sync", &json!({}));
    daemon.logs("1 writes upstream");
    let many = json!({ "take": "crm", "field": "phone" });
    let done = said.asks(at, "POST", "/conflicts/resolve", "/conflicts/resolve", &many);
    assert_eq!(done, json!({ "decided": 1, "left": 0, "reasons": [], "more": false }));
    said.asks(at, "POST", "/sync", "/sync", &json!({}));
    daemon.logs("1 changes here");
    said.look(at, "/conflicts", "/conflicts?all=true");

    // A halt.
    world.sql("update contacts set phone = '5'");
    said.asks(at, "POST", "/sync", "/sync", &json!({}));
    daemon.logs("halted by a guard");
    said.look(at, "/halts", "/halts");
    let halt = said.look(at, "/halts/{id}", "/halts/1");
    assert_eq!(halt["plan"]["changes"].as_array().unwrap().len(), 10, "{halt:#}");
    said.asks(at, "POST", "/halts/{id}/reject", "/halts/1/reject", &Value::Null);
    said.asks(at, "POST", "/resume/{collection}", "/resume/contacts", &Value::Null);
    said.asks(at, "POST", "/halts/{id}/approve", "/halts/1/approve", &json!({ "wins": "nobody" }));
    said.asks(at, "POST", "/halts/{id}/approve", "/halts/1/approve", &json!({}));
    said.asks(at, "POST", "/sync", "/sync", &json!({}));
    daemon.logs("10 writes upstream");
    said.look(at, "/halts/{id}", "/halts/1");

    // Records, one of which is set aside; passes; an upstream that is gone.
    world.sql("insert into sync_quarantine values ('contacts', 'crm', 'remote:9', 'pull', 'why', '{}', 0, 1)");
    said.look(at, "/quarantine", "/quarantine");
    let records = said.look(at, "/records/{collection}", "/records/contacts?limit=3");
    let id = records["records"][0]["id"].as_str().unwrap();
    said.look(at, "/records/{collection}/{id}", &format!("/records/contacts/{id}"));
    said.look(at, "/records/{collection}/{id}", "/records/contacts/none");
    said.look(at, "/passes", "/passes?limit=2");
    said.look(at, "/passes/{id}", "/passes/2");
    for delivery in ["one", "two"] {
        world.sql(&format!(
            "insert into sync_hook (upstream, delivery, received_at, event, collection, remote_id, state, error) \
             values ('crm', '{delivery}', 1700000000000000, 'fetch', 'contacts', '1', 'dead', 'nobody looked')"
        ));
    }
    let webhooks = said.look(at, "/webhooks", "/webhooks?state=dead");
    let ids: Vec<i64> =
        webhooks["webhooks"].as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect();
    said.asks(at, "POST", "/webhooks/{id}/drop", &format!("/webhooks/{}/drop", ids[0]), &Value::Null);
    said.asks(at, "POST", "/webhooks/{id}/retry", &format!("/webhooks/{}/retry", ids[1]), &Value::Null);
    said.asks(at, "POST", "/webhooks/{id}/retry", "/webhooks/99/retry", &Value::Null);
    daemon.logs("0 changes here, 0 writes upstream");
    said.asks(at, "POST", "/sync", "/sync", &json!({ "collections": ["deals"] }));
    said.asks(at, "POST", "/sync", "/sync", &json!({ "full": true }));
    daemon.logs("0 changes here, 0 writes upstream");
    said.asks(at, "POST", "/pause/{collection}", "/pause/contacts", &Value::Null);
    said.look(at, "/collections", "/collections");
    said.look(at, "/upstreams", "/upstreams");
    said.look(at, "/upstreams/{upstream}/latency", "/upstreams/crm/latency?grain=hour");
    said.look(at, "/usage", "/usage?upstream=crm&days=7");
    said.look(at, "/rules", "/rules");
    said.look(at, "/openapi.json", "/openapi.json");

    refuse_what_it_says(&mut said, &world, at);
    refuse_all(&mut said, at);
    assert_eq!(daemon.stops().0, Some(0));
    refuse_without_token(&mut said, &world);
    everything_declared_was_met(&said);
}

/// What is refused for what it says.
fn refuse_what_it_says(said: &mut Description, world: &World, at: &str) {
    said.asks(at, "POST", "/webhooks/{id}/drop", "/webhooks/99/drop", &Value::Null);
    said.asks(at, "POST", "/conflicts/resolve", "/conflicts/resolve", &json!({ "field": "phone" }));
    said.asks(at, "POST", "/conflicts/{id}/resolve", "/conflicts/1/resolve", &json!({ "take": 7 }));
    said.asks(at, "POST", "/sync", "/sync", &json!({ "colections": ["contacts"] }));
    said.asks(at, "GET", "/conflicts", "/conflicts?feild=name", &Value::Null);
    said.asks(at, "GET", "/usage", "/usage?upstream=erp", &Value::Null);
    world.sql(
        "insert into sync_hook (upstream, delivery, received_at, event, remote_id, state, error) \
         values ('crm', 'three', 1700000000000000, 'fetch', '1', 'dead', 'of no collection')",
    );
    let dead = said.look(at, "/webhooks", "/webhooks?state=dead")["webhooks"][0]["id"].clone();
    said.asks(at, "POST", "/webhooks/{id}/retry", &format!("/webhooks/{dead}/retry"), &Value::Null);
}

/// Without a token that can be used there is nothing but the reason.
fn refuse_without_token(said: &mut Description, world: &World) {
    let (daemon, address) = listening(world, &[("RECONCILED_SECRET_WEB_TOKEN", "short".to_owned())]);
    for (method, route, _) in said.operations() {
        let line = format!("{method} /api/v1{}", some(&route));
        let (status, answer) = knock(&address, &line, &[], "");
        assert_eq!(status, 503, "{line}: {answer}");
        said.check((&method, &route), status, &answer);
    }
    assert_eq!(daemon.stops().0, Some(0));
}

/// Whatever is declared was met, but for what takes a daemon that is about to stop.
fn everything_declared_was_met(said: &Description) {
    let stopping = ["POST /pause/{collection} 409", "POST /resume/{collection} 409", "POST /halts/{id}/reject 409"];
    let unmet: BTreeSet<String> = said
        .operations()
        .iter()
        .flat_map(|(method, route, operation)| {
            let declared = operation["responses"].as_object().unwrap().keys().cloned();
            declared.map(move |status| (format!("{method} {route}"), status))
        })
        .filter(|(one, status)| !said.checked[one].contains(&status.parse().unwrap()))
        .map(|(one, status)| format!("{one} {status}"))
        .collect();
    assert_eq!(unmet, stopping.map(str::to_owned).into());
}

/// A path of this route, with names of nothing.
fn some(route: &str) -> String {
    let filled = route.split('/').map(|part| match part {
        "{id}" => "987654",
        part if part.starts_with('{') => "nothing",
        part => part,
    });
    filled.collect::<Vec<_>>().join("/")
}

/// Asks each route in every way that has to be refused, by every method.
fn refuse_all(said: &mut Description, address: &str) {
    for (method, route, operation) in said.operations() {
        let path = format!("/api/v1{}", some(&route));
        let line = format!("{method} {path}");
        let declared = operation["responses"].as_object().unwrap().clone();
        let mut expect = |status: u16, line: &str, headers: &[(&str, &str)], body: &str| {
            let (found, answer) = knock(address, line, headers, body);
            assert_eq!(found, status, "{line} {headers:?}: {answer}");
            said.check((&method, &route), found, &answer);
        };
        expect(401, &line, &[("Authorization", "Bearer wrong")], "");
        expect(421, &line, &[("Host", "elsewhere.example")], "");
        expect(400, &format!("{line}?nonesuch=1"), &[], "");
        if method == "POST" {
            expect(403, &line, &[("Origin", "https://elsewhere.example")], "");
        }
        if operation["requestBody"].is_object() {
            expect(400, &line, &[], "{");
            expect(400, &line, &[], r#"{"nonesuch": 1}"#);
            expect(413, &line, &[], &" ".repeat(300 * 1024));
        }
        if route.contains('{') {
            expect(400, &line.replace("nothing", "%ff").replace("987654", "%ff"), &[], "");
            expect(404, &line, &[], "");
        } else if operation["parameters"].as_array().unwrap().iter().any(|one| one["name"] == "limit") {
            expect(400, &format!("{line}?limit=many"), &[], "");
        }
        // Each parameter is taken by its type, and only once.
        for one in operation["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "query") {
            let (name, schema) = (one["name"].as_str().unwrap(), &one["schema"]);
            assert!(one["description"].is_string(), "{line} {name}");
            let value = match schema["type"].as_str() {
                Some("integer") => "7",
                Some("boolean") => "true",
                _ => schema["enum"][0].as_str().or(schema["examples"][0].as_str()).unwrap_or("text"),
            };
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            let (status, answer) = knock(address, &format!("{line}?{name}={value}"), &[], "");
            assert_ne!(status, 400, "{line} {name}={value}: {answer}");
            expect(400, &format!("{line}?{name}={value}&{name}={value}"), &[], "");
            if schema["type"] != "string" || schema["enum"].is_array() || schema["contentSchema"].is_object() {
                expect(400, &format!("{line}?{name}=other"), &[], "");
            }
        }
        assert!(declared.contains_key("503"));
    }
    // What is not described is not there.
    let routes: BTreeMap<String, BTreeSet<String>> =
        said.operations().into_iter().fold(BTreeMap::new(), |mut all, (method, route, _)| {
            all.entry(route).or_insert_with(BTreeSet::new).insert(method);
            all
        });
    for (route, methods) in &routes {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let is_there = methods.contains(method);
            if !is_there {
                let (status, answer) = knock(address, &format!("{method} /api/v1{}", some(route)), &[], "");
                assert_eq!(status, 405, "{method} {route}: {answer}");
            }
        }
    }
    assert_eq!(knock(address, "GET /api/v1/nonesuch", &[], "").0, 404);
}
