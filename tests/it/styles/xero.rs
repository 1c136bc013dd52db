//! Xero: counted pages, If-Modified-Since, times as `/Date(…)/`, a status for each of many, archived instead of deleted.

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, with_bearer};

/// 2026-01-01.
const BEGIN: i64 = 1_767_225_600;
const TENANT: &str = "70784a63-d24b-46a9-a4db-0e70a274b056";

#[derive(Default)]
struct Server {
    contacts: Dated,
    /// What was answered to a create, by its key.
    keys: std::collections::BTreeMap<String, Value>,
    asked: Vec<String>,
    /// The answer to the next create is lost.
    loses: bool,
}

type Shared = scripted::Shared<Server>;

fn error(status: u16, kind: &str, message: &str) -> Response {
    answer(status, &json!({ "ErrorNumber": 10, "Type": kind, "Message": message }))
}

fn contacts(all: &[Value]) -> Value {
    json!({ "Id": "1", "Status": "OK", "ProviderName": "Sync", "DateTimeUTC": "/Date(1767225600000)/", "Contacts": all })
}

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        self.contacts.set(
            id,
            json!({ "ContactID": id, "ContactStatus": "ACTIVE", "EmailAddress": "" }),
            |contact, change| {
                let contact = contact.as_object_mut().unwrap();
                contact.extend(changes.as_object().unwrap().clone());
                // Names that are empty are left out.
                contact.retain(|name, value| !name.ends_with("tName") || *value != "");
                let at = (BEGIN + i64::try_from(change).unwrap()) * 1000;
                contact.insert("UpdatedDateUTC".to_owned(), json!(format!("/Date({at}+0000)/")));
            },
        )
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.contacts.get(id).unwrap()[name].clone()
    }

    fn live(&self) -> Vec<Value> {
        self.contacts.records.values().filter_map(|(_, one)| one.clone()).collect()
    }

    fn list(&mut self, asked: &Asked) -> Response {
        let number = |name: &str| asked.query[name].parse::<usize>().unwrap();
        let since = asked.header("if-modified-since");
        self.asked.push(format!("page {} {since}", number("page")).trim().to_owned());
        let since = match since {
            "" => 0,
            text => match chrono::DateTime::parse_from_rfc3339(text) {
                Ok(since) => since.timestamp(),
                Err(_) => return error(400, "QueryParseException", "If-Modified-Since is no time"),
            },
        };
        let archived = asked.query.get("includeArchived").is_some_and(|it| it == "true");
        let at = |one: &Value| one["UpdatedDateUTC"].as_str().unwrap()[6..19].parse::<i64>().unwrap() / 1000;
        let mut found = self.live();
        found.retain(|one| at(one) >= since && (archived || one["ContactStatus"] == "ACTIVE"));
        found.sort_by_key(at);
        let (page, _) = Asked::page(&found, (number("page") - 1) * number("pageSize"), number("pageSize"));
        answer(200, &contacts(&page))
    }

    /// What is wrong with a contact as it is to be.
    fn refuses(&self, id: Option<&str>, changes: &Value) -> Option<&'static str> {
        let known = ["ContactID", "Name", "EmailAddress", "FirstName", "LastName", "ContactStatus"];
        let taken = |name: &Value| {
            self.live().iter().any(|one| one["Name"] == *name && Some(one["ContactID"].as_str().unwrap()) != id)
        };
        match changes.as_object() {
            None => Some("No contact"),
            Some(changes) if changes.iter().any(|(name, value)| !known.contains(&name.as_str()) || value.is_null()) => {
                Some("Invalid element")
            }
            Some(changes) if changes.get("EmailAddress").is_some_and(|it| it == "nowhere") => {
                Some("Email address must be valid.")
            }
            Some(changes) if changes.get("Name").is_some_and(taken) => {
                Some("The contact name is already assigned to another contact.")
            }
            Some(_) => None,
        }
    }

    fn write(&mut self, id: &str, changes: &Value) -> Response {
        if let Some(why) = self.refuses(Some(id), changes) {
            return error(400, "ValidationException", why);
        }
        let contact = self.set(id, changes);
        answer(200, &contacts(&[contact]))
    }

    fn create(&mut self, asked: &Asked, body: &Value) -> Response {
        let key = asked.header("idempotency-key").to_owned();
        if let Some(before) = self.keys.get(&key) {
            return answer(200, before);
        }
        let [new] = body["Contacts"].as_array().unwrap().as_slice() else {
            return error(400, "ValidationException", "One");
        };
        if let Some(why) = self.refuses(None, new) {
            return error(400, "ValidationException", why);
        }
        let contact = self.set(&format!("made{}", self.contacts.change), new);
        let answered = contacts(&[contact]);
        self.keys.insert(key, answered.clone());
        if std::mem::take(&mut self.loses) {
            return error(503, "Unavailable", "The organisation is offline");
        }
        answer(200, &answered)
    }

    /// Each for itself, where errors are not summarised.
    fn update_many(&mut self, asked: &Asked, body: &Value) -> Response {
        let items = body["Contacts"].as_array().unwrap().clone();
        self.asked.push(format!("update {}", items.len()));
        let refused: Vec<Option<&str>> =
            items.iter().map(|item| self.refuses(item["ContactID"].as_str(), item)).collect();
        if asked.query.get("summarizeErrors").is_none_or(|it| it != "false") && refused.iter().any(Option::is_some) {
            return error(400, "ValidationException", "A validation exception occurred");
        }
        let results = items.iter().zip(refused).map(|(item, refused)| {
            let Some(why) = refused else {
                let mut result = self.set(item["ContactID"].as_str().unwrap(), item);
                result["StatusAttributeString"] = json!("OK");
                return result;
            };
            let mut result = item.clone();
            result["StatusAttributeString"] = json!("ERROR");
            result["ValidationErrors"] = json!([{ "Message": why }]);
            result
        });
        let results: Vec<Value> = results.collect();
        answer(200, &contacts(&results))
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if !asked.is_signed_in() || asked.header("xero-tenant-id") != TENANT {
        return error(403, "Forbidden", "AuthenticationUnsuccessful");
    }
    if asked.header("accept") != "application/json" {
        return axum::response::IntoResponse::into_response("<Response><Status>OK</Status></Response>");
    }
    let (method, path) = asked.below("/Contacts");
    match (method, path.as_slice(), asked.json()) {
        ("GET", [], _) => server.list(asked),
        ("PUT", [], Some(body)) => server.create(asked, &body),
        ("POST", [], Some(body)) => server.update_many(asked, &body),
        (_, [id], _) if server.contacts.get(id).is_none() => {
            error(404, "NotFound", "The resource you're looking for cannot be found")
        }
        ("GET", [id], _) => answer(200, &contacts(&[server.contacts.get(id).unwrap().clone()])),
        ("POST", [id], Some(body)) => server.write(id, &body),
        _ => error(405, "MethodNotAllowed", "Method not allowed"),
    }
}

/// Two contacts a page.
fn stage(contacts: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=contacts {
        server.look().set(&format!("c{n}"), &json!({ "Name": format!("Ann {n}") }));
    }
    let rules = include_str!("../../../sync-rules/examples/xero/contacts.toml");
    let rules = with_bearer(rules, "xero").replace("${var.xero_tenant}", TENANT).replace("value = 100", "value = 2");
    (server.clone(), Scripted::new("xero", answered_by(server, serve), &rules))
}

#[test]
fn contacts_are_read_page_by_page_since_the_last_change_and_archived_not_deleted() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select name from contacts order by name").concat();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["page 1", "page 2", "page 3"]);
    server.look().set("c1", &json!({ "Name": "Bob", "LastName": "Lee" }));
    server.look().set("c2", &json!({ "ContactStatus": "ARCHIVED" }));
    scripted.world.sql("update contacts set email = 'p3@x.io' where name = 'Ann 3'");
    scripted.world.sql("delete from contacts where name = 'Ann 4'");
    scripted.world.sql("insert into contacts (name, first_name) values ('Dan', 'D')");
    scripted.sync().exits(0);
    assert_eq!(asked()[0], "page 1 2025-12-31T23:58:05Z");
    assert_eq!(names(), ["Ann 2", "Ann 3", "Ann 5", "Bob", "Dan"]);
    assert_eq!(server.look().field("c3", "EmailAddress"), "p3@x.io");
    assert_eq!(server.look().field("c4", "ContactStatus"), "ARCHIVED");
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
    // What is done to an archived contact waits until it is taken back.
    scripted.world.sql("update contacts set email = 'p2@x.io' where name = 'Ann 2'");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    server.look().set("c2", &json!({ "ContactStatus": "ACTIVE" }));
    scripted.sync().exits(0);
    assert_eq!(server.look().field("c2", "EmailAddress"), "p2@x.io");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));

    // Emptied on either side.
    server.look().set("c1", &json!({ "LastName": "" }));
    scripted.world.sql("update contacts set email = null where name = 'Ann 3'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 1));
    assert_eq!(server.look().field("c3", "EmailAddress"), "");
    assert_eq!(scripted.world.rows("select last_name is null from contacts where name = 'Bob'"), [["1"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn one_of_many_that_is_refused_with_200_keeps_none_back() {
    let (server, scripted) = stage(6);
    scripted.sync().exits(0);
    server.look().asked.clear();
    scripted.world.sql("update contacts set email = case name when 'Ann 2' then 'nowhere' else 'x@x.io' end");
    assert_ne!(scripted.sync().code, 0, "one is refused");
    assert!(server.look().asked.contains(&"update 6".to_owned()));
    assert_eq!(server.look().live().iter().filter(|one| one["EmailAddress"] == "x@x.io").count(), 5);
    assert!(scripted.run(&["--json", "status"]).stdout.contains("Email address must be valid."));
    scripted.world.sql("update contacts set email = 'y@x.io' where name = 'Ann 2'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_contact_whose_answer_was_lost_is_asked_for_again_by_its_key() {
    let (server, scripted) = stage(1);
    scripted.sync().exits(0);
    server.look().loses = true;
    scripted.world.sql("insert into contacts (name) values ('Dan')");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().live().iter().filter(|one| one["Name"] == "Dan").count(), 1);
    assert_eq!(server.look().keys.len(), 1);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
