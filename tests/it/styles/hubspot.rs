//! `HubSpot`: a search in a POST whose places are numbers, what was archived at an address of its own, batches whose failures stand
//! beside their results (207), 409 for a contact that is there, limits of ten seconds and of a day.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

const CONTACTS: &str = "crm/v3/objects/contacts";
const PROPERTIES: [&str; 4] = ["email", "firstname", "lastname", "phone"];

const BATCH: &str = "[[binding.contacts.hubspot.write.batch]]";

/// Creates by upsert: who is there under that address already gets what is written, and nothing else of him is touched.
const UPSERT: &str = r#"
[[binding.contacts.hubspot.write.batch]]
request = "POST /crm/v3/objects/contacts/batch/upsert"
ops = ["create"]
items = ".inputs"
item = '.key as $key | .body.properties | with_entries(select(.value != "")) | {id: .email, idProperty: "email", properties: ., objectWriteTraceId: $key}'
max_items = 100
result = { items = '.results[], (.errors[]? | {objectWriteTraceId: .context.objectWriteTraceId[0], error: .message})', by = { request_id = ".objectWriteTraceId" }, id = ".id", error = ".error" }
"#;

#[derive(Default)]
struct Server {
    contacts: Dated,
    /// Contacts that were archived.
    archived: Vec<String>,
    asked: Vec<String>,
    /// The next requests are refused by these policies.
    limits: Vec<&'static str>,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, category: &str, message: &str) -> Response {
    answer(status, &json!({ "status": "error", "category": category, "message": message, "correlationId": "c1" }))
}

/// What is wrong with properties that are written.
fn complaint(properties: &Value) -> Option<String> {
    let properties = properties.as_object()?;
    if let Some(unknown) = properties.keys().find(|name| !PROPERTIES.contains(&name.as_str())) {
        return Some(format!("Property \"{unknown}\" does not exist"));
    }
    let is_text = |value: &Value| value.is_string();
    if !properties.values().all(is_text) {
        return Some("Property values were not valid".to_owned());
    }
    let phone = properties.get("phone").and_then(Value::as_str).unwrap_or_default();
    phone.contains('x').then(|| format!("Property values were not valid: \"{phone}\" is no phone number"))
}

impl Server {
    fn set(&mut self, id: &str, properties: &Value) -> Value {
        let created = moment(self.contacts.change + 1);
        let new = json!({ "id": id, "properties": {}, "createdAt": created, "archived": false });
        self.contacts.set(id, new, |contact, change| {
            for (name, value) in properties.as_object().unwrap() {
                // An empty text takes a value away.
                contact["properties"][name] = if value == "" { Value::Null } else { value.clone() };
            }
            contact["updatedAt"] = json!(moment(change));
        })
    }

    fn make(&mut self, properties: &Value) -> Value {
        let id = (100 + self.contacts.records.len()).to_string();
        self.set(&id, properties)
    }

    fn archive(&mut self, id: &str) {
        self.contacts.remove(id);
        self.archived.push(id.to_owned());
    }

    fn live(&self) -> Vec<Value> {
        self.contacts.records.values().filter_map(|(_, one)| one.clone()).collect()
    }

    fn property(&self, id: &str, name: &str) -> Value {
        self.contacts.get(id).unwrap()["properties"][name].clone()
    }

    /// Two a page, however many are asked for.
    fn paged(all: &[Value], from: usize, total: bool) -> Response {
        let (some, next) = Asked::page(all, from, 2);
        let mut body = json!({ "results": some });
        if total {
            body["total"] = json!(all.len());
        }
        if let Some(next) = next {
            body["paging"] = json!({ "next": { "after": next.to_string() } });
        }
        answer(200, &body)
    }

    fn search(&mut self, body: &Value) -> Response {
        let filter = &body["filterGroups"][0]["filters"][0];
        let well = filter["propertyName"] == "lastmodifieddate"
            && filter["operator"] == "GTE"
            && body["sorts"][0] == json!({ "propertyName": "lastmodifieddate", "direction": "ASCENDING" })
            && body["limit"].as_u64().is_some_and(|limit| limit <= 200)
            && body["properties"] == json!(PROPERTIES);
        let since = filter["value"].as_str().and_then(|value| value.parse::<i64>().ok());
        let (true, Some(since)) = (well, since) else { return error(400, "VALIDATION_ERROR", "There was a problem") };
        let at = |one: &Value| {
            chrono::DateTime::parse_from_rfc3339(one["updatedAt"].as_str().unwrap()).unwrap().timestamp_millis()
        };
        let mut found = self.live();
        found.retain(|one| at(one) >= since);
        found.sort_by_key(at);
        Self::paged(&found, body["after"].as_str().map_or(0, |after| after.parse().unwrap()), true)
    }

    fn list_archived(&self, asked: &Asked) -> Response {
        let is_known = |name: &String| ["archived", "limit", "after"].contains(&name.as_str());
        if asked.query.get("archived").is_none_or(|archived| archived != "true") || !asked.query.keys().all(is_known) {
            return error(400, "VALIDATION_ERROR", "There was a problem");
        }
        let gone: Vec<Value> = self.archived.iter().map(|id| json!({ "id": id, "archived": true })).collect();
        Self::paged(&gone, asked.query.get("after").map_or(0, |after| after.parse().unwrap()), false)
    }

    fn create(&mut self, properties: &Value) -> Response {
        let same = self.live().into_iter().find(|one| one["properties"]["email"] == properties["email"]);
        match (same, complaint(properties)) {
            (Some(same), _) => {
                let message = format!("Contact already exists. Existing ID: {}", same["id"].as_str().unwrap());
                error(409, "CONFLICT", &message)
            }
            (None, Some(why)) => error(400, "VALIDATION_ERROR", &why),
            (None, None) => answer(201, &self.make(properties)),
        }
    }

    /// What fails is not among the results, and those come in an order of their own.
    fn update_batch(&mut self, inputs: &[Value]) -> Response {
        if inputs.len() > 100 {
            return error(400, "VALIDATION_ERROR", "at most 100");
        }
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for input in inputs.iter().rev() {
            let id = input["id"].as_str().unwrap();
            let why = match self.contacts.get(id) {
                None => Some("Could not get some CONTACT objects".to_owned()),
                Some(_) => complaint(&input["properties"]),
            };
            match why {
                Some(why) => errors.push(json!({
                    "status": "error", "category": "VALIDATION_ERROR", "message": why, "context": { "ids": [id] },
                })),
                None => results.push(self.set(id, &input["properties"])),
            }
        }
        let mut body = json!({ "status": "COMPLETE", "results": results });
        if errors.is_empty() {
            return answer(200, &body);
        }
        (body["numErrors"], body["errors"]) = (json!(errors.len()), json!(errors));
        answer(207, &body)
    }

    /// Found by its address, or made. Each result and each error says whose it is, in an order of their own.
    fn upsert_batch(&mut self, inputs: &[Value]) -> Response {
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for input in inputs.iter().rev() {
            let (properties, trace) = (&input["properties"], &input["objectWriteTraceId"]);
            if input["idProperty"] != "email" || input["id"] != properties["email"] {
                return error(400, "VALIDATION_ERROR", "idProperty");
            }
            if let Some(why) = complaint(properties) {
                errors.push(json!({
                    "status": "error", "category": "VALIDATION_ERROR", "message": why,
                    "context": { "objectWriteTraceId": [trace] },
                }));
                continue;
            }
            let same = self.live().into_iter().find(|one| one["properties"]["email"] == input["id"]);
            let mut contact = match &same {
                Some(same) => self.set(same["id"].as_str().unwrap(), properties),
                None => self.make(properties),
            };
            (contact["new"], contact["objectWriteTraceId"]) = (json!(same.is_none()), trace.clone());
            results.push(contact);
        }
        let status = if errors.is_empty() { 200 } else { 207 };
        answer(status, &json!({ "status": "COMPLETE", "results": results, "errors": errors }))
    }

    fn one(&mut self, asked: &Asked, id: &str) -> Response {
        let Some(contact) = self.contacts.get(id).cloned() else {
            return error(404, "OBJECT_NOT_FOUND", "resource not found");
        };
        match (asked.method.as_str(), asked.json()) {
            ("GET", _) => answer(200, &contact),
            ("PATCH", Some(body)) => match complaint(&body["properties"]) {
                Some(why) => error(400, "VALIDATION_ERROR", &why),
                None => answer(200, &self.set(id, &body["properties"])),
            },
            ("DELETE", _) => {
                self.archive(id);
                StatusCode::NO_CONTENT.into_response()
            }
            _ => error(405, "", "Method not allowed"),
        }
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if !asked.is_signed_in() {
        return error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found");
    }
    let (method, path) = asked.below(CONTACTS);
    server.asked.push(format!("{method} {}", path.join("/")));
    if let Some(policy) = server.limits.pop() {
        let message = format!("You have reached your {} limit.", policy.to_lowercase());
        let body = json!({ "status": "error", "message": message, "errorType": "RATE_LIMIT", "policyName": policy });
        return answer(429, &body);
    }
    let body = asked.json();
    let response = match (method, path.as_slice(), &body) {
        ("POST", ["search"], Some(body)) => return server.search(body),
        ("GET", [], _) => server.list_archived(asked),
        ("POST", [], Some(body)) => server.create(&body["properties"]),
        ("POST", ["batch", "update"], Some(body)) => server.update_batch(body["inputs"].as_array().unwrap()),
        ("POST", ["batch", "upsert"], Some(body)) => server.upsert_batch(body["inputs"].as_array().unwrap()),
        (_, [id], _) => server.one(asked, id),
        _ => error(404, "", "Not found"),
    };
    // Searches say nothing of the limits.
    let limits = [("X-HubSpot-RateLimit-Remaining", "90"), ("X-HubSpot-RateLimit-Daily-Remaining", "200000")];
    (limits, response).into_response()
}

fn stage(contacts: usize) -> (Shared, Scripted) {
    stage_with(contacts, "")
}

/// With further rules.
fn stage_with(contacts: usize, further: &str) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=contacts {
        server.look().make(&json!({ "email": format!("{n}@x.io"), "firstname": format!("N{n}") }));
    }
    let rules = include_str!("../../../sync-rules/examples/hubspot/contacts.toml");
    // The budget of searches is for a real one.
    let rules = rules.replace("limit = 5\n", "limit = 500\n").replace("[binding.contacts.hubspot.write.batch]", BATCH)
        + further;
    (server.clone(), Scripted::new("hubspot", answered_by(server, serve), &rules))
}

#[test]
fn contacts_are_searched_written_in_batches_and_archived_both_ways() {
    let (server, scripted) = stage(5);
    let world = &scripted.world;
    let asked = |what: &str| server.look().asked.iter().filter(|line| *line == what).count();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked("POST search"), 3, "by two a page");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));

    server.look().set("100", &json!({ "firstname": "Theirs" }));
    server.look().archive("101");
    world.sql("update contacts set phone = '7' where email in ('3@x.io', '4@x.io')");
    world.sql("update contacts set first_name = null where email = '4@x.io'");
    world.sql("delete from contacts where email = '5@x.io'");
    world.sql("insert into contacts (email, first_name) values ('new@x.io', 'New')");
    assert_eq!(scripted.sync().exits(0).writes(), (4, 2));
    assert_eq!((asked("POST batch/update"), asked("PATCH 102")), (1, 0), "both updates in one request");
    assert_eq!(server.look().property("102", "phone"), "7");
    assert_eq!(["phone", "firstname"].map(|name| server.look().property("103", name)), [json!("7"), Value::Null]);
    assert_eq!(world.rows("select first_name from contacts where email = '1@x.io'"), [["Theirs"]]);
    assert_eq!(world.rows("select count(*) from contacts"), [["4"]]);
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
    // Restored there: it is listed again, and here again.
    server.look().archived.clear();
    server.look().set("101", &json!({ "email": "2@x.io", "firstname": "Back" }));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(world.rows("select first_name from contacts where email = '2@x.io'"), [["Back"]]);
}

#[test]
fn one_contact_of_a_batch_that_is_refused_is_named_and_keeps_back_no_other() {
    let (server, scripted) = stage(5);
    scripted.sync().exits(0);
    scripted.world.sql("update contacts set phone = '7'; update contacts set phone = 'x' where email = '3@x.io'");
    let ran = scripted.sync();
    assert_eq!(ran.writes().0, 4, "{ran:#?}");
    let again = scripted.sync();
    assert_eq!(again.writes().0, 0, "{again:#?}");
    let status = scripted.run(&["status"]);
    assert!(status.stdout.contains("is no phone number"), "{status:#?}");
    assert_eq!(server.look().property("102", "phone"), Value::Null);
    // Each of the others was written once.
    assert_eq!(server.look().contacts.change, 5 + 4);
    scripted.world.sql("update contacts set phone = '8' where email = '3@x.io'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_contact_that_is_there_already_is_merged_with_the_one_that_was_to_be_made() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    scripted.world.sql("insert into contacts (email, first_name) values ('dan@x.io', 'Dan')");
    server.look().make(&json!({ "email": "dan@x.io", "phone": "9" }));
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(["firstname", "phone"].map(|name| server.look().property("102", name)), [json!("Dan"), json!("9")]);
    assert_eq!(scripted.world.rows("select phone from contacts where email = 'dan@x.io'"), [["9"]]);
    assert_eq!(server.look().live().len(), 3);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn contacts_are_made_or_found_by_their_address_in_one_request() {
    let (server, scripted) = stage_with(2, UPSERT);
    scripted.sync().exits(0);
    let world = &scripted.world;
    world.sql("insert into contacts (email, first_name, phone) values ('dan@x.io', 'Dan', null), ('eve@x.io', 'Eve', '7x'), ('fay@x.io', 'Fay', '8')");
    server.look().make(&json!({ "email": "dan@x.io", "phone": "9" }));
    server.look().asked.clear();
    scripted.sync();
    let asked = std::mem::take(&mut server.look().asked);
    assert!(asked.contains(&"POST batch/upsert".to_owned()) && !asked.contains(&"POST ".to_owned()), "{asked:?}");
    assert_eq!(server.look().live().len(), 4, "Eve's phone is none");
    assert_eq!(["firstname", "phone"].map(|name| server.look().property("102", name)), [json!("Dan"), json!("9")]);
    let status = scripted.run(&["status"]);
    assert!(status.stdout.contains("is no phone number"), "{status:#?}");
    world.sql("update contacts set phone = '7' where email = 'eve@x.io'");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(server.look().live().len(), 5);
    assert_eq!(world.rows("select phone from contacts order by email").concat(), ["∅", "∅", "9", "7", "8"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_limit_of_seconds_is_waited_for_and_one_of_the_day_is_told_and_deletes_nothing() {
    let (server, scripted) = stage(3);
    scripted.sync().exits(0);
    server.look().limits.push("TEN_SECONDLY_ROLLING");
    server.look().set("100", &json!({ "firstname": "Theirs" }));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    server.look().limits = vec!["DAILY"; 20];
    server.look().asked.clear();
    let why = scripted.full_sync().cannot_read("contacts");
    assert!(why.contains("You have reached your daily limit"), "{why}");
    assert!(server.look().asked.len() <= 4, "it is not asked again and again: {:?}", server.look().asked);
    assert_eq!(scripted.world.rows("select count(*) from contacts"), [["3"]]);
}
