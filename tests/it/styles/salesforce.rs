//! Salesforce: queries whose time is in their text, next links without a host, tombstones, a limit that is a 403, results item by item.

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment, with_bearer};

const API: &str = "/services/data/v62.0";
const FIELDS: [&str; 8] =
    ["Id", "Email", "FirstName", "LastName", "Phone", "Sync_Key__c", "IsDeleted", "SystemModstamp"];

#[derive(Default)]
struct Server {
    contacts: Dated,
    /// What queries found, by the number of their locator.
    found: Vec<Vec<Value>>,
    asked: Vec<String>,
    /// So many of the next requests are beyond the day's limit.
    beyond: usize,
    /// The answer to the next create is lost.
    loses: bool,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, code: &str) -> Response {
    answer(status, &json!([{ "message": code, "errorCode": code }]))
}

impl Server {
    fn set(&mut self, id: &str, changes: &Value) {
        let mut new: Value = FIELDS.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        new["Id"] = json!(id);
        new["IsDeleted"] = json!(false);
        self.contacts.set(id, new, |contact, change| {
            for (name, value) in changes.as_object().unwrap() {
                contact[name] = value.clone();
            }
            contact["SystemModstamp"] = json!(moment(change).replace('Z', "+0000"));
        });
    }

    /// In the recycle bin.
    fn bin(&mut self, id: &str) {
        self.set(id, &json!({ "IsDeleted": true }));
    }

    fn live(&self, id: &str) -> Option<&Value> {
        self.contacts.get(id).filter(|contact| contact["IsDeleted"] == false)
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.live(id).unwrap()[name].clone()
    }

    /// What is wrong with what a contact is to be written with.
    fn refuses(&self, changes: &Value) -> Option<&'static str> {
        let changes = changes.as_object().unwrap();
        let written = ["Email", "FirstName", "LastName", "Phone", "Sync_Key__c"];
        let taken =
            |key: &Value| self.contacts.records.values().any(|(_, one)| one.as_ref().unwrap()["Sync_Key__c"] == *key);
        match () {
            () if changes.keys().any(|name| !written.contains(&name.as_str())) => {
                Some("INVALID_FIELD_FOR_INSERT_UPDATE")
            }
            () if changes.get("LastName").is_some_and(Value::is_null) => Some("REQUIRED_FIELD_MISSING"),
            () if changes.get("Email").and_then(Value::as_str).is_some_and(|it| !it.contains('@')) => {
                Some("INVALID_EMAIL_ADDRESS")
            }
            () if changes.get("Sync_Key__c").is_some_and(taken) => Some("DUPLICATE_VALUE"),
            () => None,
        }
    }

    /// `SELECT fields FROM Contact [WHERE SystemModstamp >= moment]`, and nothing else.
    fn select(&self, soql: &str) -> Option<Vec<Value>> {
        let (fields, rest) = soql.strip_prefix("SELECT ")?.split_once(" FROM Contact")?;
        if fields.split(", ").any(|field| !FIELDS.contains(&field)) {
            return None;
        }
        // A moment stands in a query as it is; in quotes it would be a text.
        let since = match rest {
            "" => None,
            _ => Some(chrono::DateTime::parse_from_rfc3339(rest.strip_prefix(" WHERE SystemModstamp >= ")?).ok()?),
        };
        let at = |one: &Value| {
            chrono::DateTime::parse_from_rfc3339(&one["SystemModstamp"].as_str().unwrap().replace("+0000", "Z"))
                .unwrap()
        };
        let all = self.contacts.records.values().filter_map(|(_, one)| one.clone());
        Some(all.filter(|one| since.is_none_or(|since| at(one) >= since)).collect())
    }

    /// Two records a page.
    fn page(&self, query: usize, from: usize) -> Response {
        let (records, next) = Asked::page(&self.found[query], from, 2);
        let mut body = json!({ "totalSize": self.found[query].len(), "done": next.is_none(), "records": records });
        if let Some(next) = next {
            body["nextRecordsUrl"] = json!(format!("{API}/query/01g{query}-{next}"));
        }
        answer(200, &body)
    }

    /// Results in the order of the records, each for itself.
    fn update_many(&mut self, body: &Value) -> Response {
        let records = body["records"].as_array().unwrap();
        self.asked.push(format!("update {}", records.len()));
        if records.len() > 200 {
            return error(400, "INVALID_INPUT");
        }
        let mut results = Vec::new();
        for record in records {
            let mut changes = record.clone();
            let members = changes.as_object_mut().unwrap();
            let (kind, id) = (members.remove("attributes"), members.remove("id").unwrap());
            assert_eq!(kind, Some(json!({ "type": "Contact" })));
            let id = id.as_str().unwrap();
            let refused = if self.live(id).is_none() { Some("ENTITY_IS_DELETED") } else { self.refuses(&changes) };
            results.push(if let Some(code) = refused {
                json!({ "success": false, "errors": [{ "statusCode": code, "message": code, "fields": [] }] })
            } else {
                self.set(id, &changes);
                json!({ "id": id, "success": true, "errors": [] })
            });
        }
        answer(200, &json!(results))
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if !asked.is_signed_in() {
        return error(401, "INVALID_SESSION_ID");
    }
    if server.beyond > 0 {
        server.beyond -= 1;
        return error(403, "REQUEST_LIMIT_EXCEEDED");
    }
    let (method, path) = asked.below(API);
    let body = asked.json();
    if matches!(method, "POST" | "PATCH") && body.is_none() {
        return error(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    match (method, path.as_slice(), body) {
        ("GET", ["queryAll"], _) => {
            let soql = asked.query["q"].as_str();
            server.asked.push(soql.split_once("FROM Contact").map_or(soql, |(_, rest)| rest).trim().to_owned());
            let Some(found) = server.select(soql) else { return error(400, "MALFORMED_QUERY") };
            server.found.push(found);
            server.page(server.found.len() - 1, 0)
        }
        ("GET", ["query", locator], _) => {
            server.asked.push((*locator).to_owned());
            let (query, from) = locator.strip_prefix("01g").unwrap().split_once('-').unwrap();
            server.page(query.parse().unwrap(), from.parse().unwrap())
        }
        ("GET", ["sobjects", "Contact", id], _) => match server.live(id) {
            Some(contact) => answer(200, contact),
            None => error(404, "NOT_FOUND"),
        },
        ("POST", ["sobjects", "Contact"], Some(body)) => {
            if let Some(code) = server.refuses(&body) {
                return error(400, code);
            }
            let id = format!("003made{}", server.contacts.change);
            server.set(&id, &body);
            if std::mem::take(&mut server.loses) {
                return error(503, "SERVER_UNAVAILABLE");
            }
            answer(201, &json!({ "id": id, "success": true, "errors": [] }))
        }
        ("DELETE", ["sobjects", "Contact", id], _) => {
            server.bin(id);
            answer(204, &Value::Null)
        }
        ("PATCH", ["composite", "sobjects"], Some(body)) => server.update_many(&body),
        _ => error(404, "NOT_FOUND"),
    }
}

fn stage(contacts: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=contacts {
        server
            .look()
            .set(&format!("003{n}"), &json!({ "LastName": format!("Ann {n}"), "Email": format!("p{n}@x.io") }));
    }
    let example = include_str!("../../../sync-rules/examples/salesforce/contacts.toml");
    let router = answered_by(server.clone(), serve);
    (server, Scripted::new("salesforce", router, &with_bearer(example, "salesforce")))
}

#[test]
fn contacts_are_queried_since_the_last_pass_and_the_recycle_bin_says_what_is_gone() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select last_name from contacts order by last_name").concat();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["", "01g0-2", "01g0-4"], "next links are relative to the host");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked()[0], "WHERE SystemModstamp >= 2025-12-31T23:58:05Z");

    // Both ways: changed, gone and new on each side.
    server.look().set("0031", &json!({ "LastName": "Bob" }));
    server.look().bin("0032");
    server.look().set("0036", &json!({ "LastName": "Cyd" }));
    scripted.world.sql("update contacts set phone = '7' where last_name = 'Ann 3'");
    scripted.world.sql("delete from contacts where last_name = 'Ann 4'");
    scripted.world.sql("insert into contacts (last_name, email) values ('Dan', 'dan@x.io')");
    assert_eq!(scripted.sync().exits(0).writes(), (3, 3));
    assert_eq!(names(), ["Ann 3", "Ann 5", "Bob", "Cyd", "Dan"]);
    assert_eq!(server.look().field("0033", "Phone"), "7");
    assert!(server.look().live("0034").is_none());
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }

    // A create whose answer was lost is found by its key, not made again.
    server.look().loses = true;
    scripted.world.sql("insert into contacts (last_name) values ('Eve')");
    scripted.sync();
    scripted.sync().exits(0);
    let made = |name: &str| {
        server.look().contacts.records.values().filter(|(_, one)| one.as_ref().unwrap()["LastName"] == name).count()
    };
    assert_eq!(made("Eve"), 1);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_403_that_is_a_limit_is_waited_for_and_takes_nothing_for_gone() {
    let (server, scripted) = stage(3);
    server.look().beyond = 1;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 3), "asked again in the same pass");
    // For longer than a pass goes on asking.
    server.look().beyond = 1000;
    let rules = std::fs::read_to_string(scripted.world.path("rules/rules.toml")).unwrap();
    scripted.world.rules("rules.toml", &rules.replace("budget = ", "retry = { attempts = 1 }\nbudget = "));
    scripted.world.sql("update contacts set phone = '7' where last_name = 'Ann 3'");
    let words = scripted.full_sync().cannot_read("contacts");
    assert!(words.contains("REQUEST_LIMIT_EXCEEDED"), "{words}");
    assert_eq!(scripted.world.rows("select count(*) from contacts"), [["3"]]);
    server.look().beyond = 0;
}

#[test]
fn of_many_updates_in_one_request_each_is_settled_by_its_own_result() {
    let (server, scripted) = stage(205);
    scripted.sync().exits(0);
    server.look().asked.clear();
    scripted.world.sql("update contacts set phone = '7', email = case email when 'p7@x.io' then 'none' else email end");
    assert_ne!(scripted.sync().code, 0, "one is refused");
    let mut updates: Vec<String> = server.look().asked.drain(..).filter(|line| line.starts_with("update")).collect();
    updates.sort();
    assert_eq!(updates, ["update 200", "update 5"]);
    let done = server.look().contacts.records.values().filter(|(_, one)| one.as_ref().unwrap()["Phone"] == "7").count();
    assert_eq!(done, 204);
    assert_eq!(server.look().field("0037", "Email"), "p7@x.io");

    // What was done is not sent again for the one that was not.
    scripted.world.sql("update contacts set email = 'p07@x.io' where email = 'none'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
