//! What the daemon really answers, held against its own description: every field that comes is described, every field that is
//! promised comes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::daemon::{add, hourly};
use crate::web::{TOKEN, ask, get, listening};

/// The description, closed: an object has the fields that are described and no others.
struct Description {
    whole: Value,
    /// Routes whose answers were checked.
    checked: BTreeMap<String, usize>,
}

impl Description {
    fn of(address: &str) -> Self {
        let mut whole = get(address, "/api/v1/openapi.json");
        assert_eq!(whole["openapi"], "3.1.0");
        close(&mut whole["components"]["schemas"]);
        Self { whole, checked: BTreeMap::new() }
    }

    /// Asks, and checks the answer.
    fn asks(&mut self, address: &str, method: &str, route: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = ask(address, method, &format!("/api/v1{path}"), TOKEN, &text);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let said = &self.whole["paths"][route][method.to_lowercase()];
        let mut schema = match status {
            200 => said["responses"]["200"]["content"]["application/json"]["schema"].clone(),
            404 | 409 => {
                let refused = &said["responses"][status.to_string()]["$ref"];
                assert_eq!(refused, "#/components/responses/Refused", "{method} {route} {status}");
                self.whole["components"]["responses"]["Refused"]["content"]["application/json"]["schema"].clone()
            }
            other => panic!("{method} {path}: {other}: {answer:#}"),
        };
        assert!(schema.is_object(), "{method} {route} is not described");
        close(&mut schema);
        schema["components"] = self.whole["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let wrong: Vec<String> =
            validator.iter_errors(&answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(wrong, Vec::<String>::new(), "{method} {path}: {answer:#}");
        *self.checked.entry(format!("{method} {route}")).or_default() += usize::from(status == 200);
        answer
    }

    fn look(&mut self, address: &str, route: &str, path: &str) -> Value {
        self.asks(address, "GET", route, path, &Value::Null)
    }
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

    let paths = said.whole["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let unasked: Vec<String> = all.filter(|route| said.checked.get(route).is_none_or(|count| *count == 0)).collect();
    assert_eq!(unasked, Vec::<String>::new(), "every route is asked");
    assert_eq!(daemon.stops().0, Some(0));
}
