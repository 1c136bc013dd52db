//! An upstream that tells what was deleted at an address of its own, which may lag, fail, and be read from a place on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::scripted::{Scripted, answer, query};

const RULES: &str = r#"
[upstream.crm]
base_url = "${var.crm_url}"
auth = { kind = "bearer", token = "${secret.crm}" }
retry = { attempts = 1 }

[collection.contacts]
full_scan = "1w"
fields = { email = "text", name = "text" }
match = { keys = [["email"]] }
limits = { delete = "100%" }
on_remote_delete = "propagate"

[binding.contacts.crm]
id = ".id"
updated_at = ".updatedAt"
map = { email = ".email", name = ".name" }

[binding.contacts.crm.read]
request = "GET /contacts"
records = ".results[]"
incremental = { kind = "since", into = "query.since" }
get = "GET /contacts/{id}"

[binding.contacts.crm.read.deletes]
kind = "endpoint"
request = "GET /deleted"
items = ".deleted[]"
id = ".contact"
page = { kind = "cursor", next = ".next", into = "query.after" }
WAY

[binding.contacts.crm.write]
create = { request = "POST /contacts" }
update = { request = "PATCH /contacts/{id}" }
delete = { request = "DELETE /contacts/{id}" }
"#;

const SINCE: &str =
    "deleted_at = \".at\"\nincremental = { kind = \"since\", into = \"query.since\", lookback = \"0s\" }";
const TOKEN: &str = "incremental = { kind = \"token\", next = \".token\", into = \"query.token\" }";

#[derive(Default)]
struct Server {
    contacts: BTreeMap<String, Value>,
    /// Who was deleted, and at which minute.
    deleted: Vec<(String, i64)>,
    minutes: i64,
    asked: Vec<String>,
    /// The page of the address from this one on fails so.
    fails: Option<(usize, u16)>,
    /// Is deleted after the listing was read, and before the address is.
    leaves: Option<String>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Server>>);

impl Shared {
    fn look(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap()
    }
}

fn instant(minutes: i64) -> String {
    let at = chrono::DateTime::from_timestamp(1_700_000_000 + 60 * minutes, 0).unwrap();
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

impl Server {
    fn set(&mut self, id: &str, properties: &Value) -> Value {
        // Longer than the overlap of two listings.
        self.minutes += 10;
        let at = instant(self.minutes);
        let contact = self.contacts.entry(id.to_owned()).or_insert_with(|| json!({ "id": id }));
        for (name, value) in properties.as_object().unwrap() {
            contact[name] = value.clone();
        }
        contact["updatedAt"] = json!(at);
        contact.clone()
    }

    fn fill(&mut self, count: usize) {
        for n in 1..=count {
            self.set(&n.to_string(), &json!({ "email": format!("{n}@x.io"), "name": format!("N{n}") }));
        }
    }

    fn remove(&mut self, id: &str) {
        self.contacts.remove(id).unwrap();
        self.minutes += 10;
        self.deleted.push((id.to_owned(), self.minutes));
    }
}

async fn list(State(server): State<Shared>, RawQuery(text): RawQuery) -> String {
    let since = query(text).get("since").cloned().unwrap_or_default();
    let server = server.look();
    let shown: Vec<&Value> =
        server.contacts.values().filter(|contact| contact["updatedAt"].as_str().unwrap() >= since.as_str()).collect();
    json!({ "results": shown }).to_string()
}

/// Two a page.
async fn deleted(State(server): State<Shared>, RawQuery(text): RawQuery) -> Response {
    let asked = query(text);
    let mut server = server.look();
    if let Some(id) = server.leaves.take() {
        server.remove(&id);
    }
    let page: usize = asked.get("after").map_or(0, |after| after.parse().unwrap());
    let since = asked.get("since").map(|since| format!(" since {}", &since[11..16]));
    let token = asked.get("token").map(|token| format!(" from {token}"));
    server.asked.push(format!("deleted {page}{}{}", since.unwrap_or_default(), token.unwrap_or_default()));
    if let Some((_, status)) = server.fails.filter(|(from, _)| page >= *from) {
        return answer(status, &json!({ "message": "not now" }));
    }
    let since = asked.get("since").cloned().unwrap_or_default();
    let from: usize = asked.get("token").map_or(0, |token| token.parse().unwrap());
    let told: Vec<Value> = server.deleted[from..]
        .iter()
        .filter(|(_, at)| instant(*at) >= since)
        .map(|(id, at)| json!({ "contact": id, "at": instant(*at) }))
        .collect();
    let some: Vec<&Value> = told.iter().skip(page * 2).take(2).collect();
    let mut body = json!({ "deleted": some });
    if page * 2 + 2 < told.len() {
        body["next"] = json!((page + 1).to_string());
    } else {
        body["token"] = json!(server.deleted.len().to_string());
    }
    answer(200, &body)
}

async fn one(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    let mut server = server.look();
    server.asked.push(format!("get {id}"));
    match server.contacts.get(&id) {
        Some(contact) => answer(200, contact),
        None => answer(404, &json!({ "message": "there is no such contact" })),
    }
}

async fn create(State(server): State<Shared>, body: Bytes) -> Response {
    let mut server = server.look();
    let id = format!("made-{}", server.minutes);
    answer(201, &server.set(&id, &serde_json::from_slice(&body).unwrap()))
}

async fn patch(State(server): State<Shared>, Path(id): Path<String>, body: Bytes) -> Response {
    answer(200, &server.look().set(&id, &serde_json::from_slice(&body).unwrap()))
}

async fn remove(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    server.look().remove(&id);
    StatusCode::NO_CONTENT.into_response()
}

fn stage(way: &str) -> (Shared, Scripted) {
    let server = Shared::default();
    let router = Router::new()
        .route("/contacts", get(list).post(create))
        .route("/contacts/{id}", get(one).patch(patch).delete(remove))
        .route("/deleted", get(deleted))
        .with_state(server.clone());
    (server, Scripted::new("crm", router, &RULES.replace("WAY", way)))
}

fn names(scripted: &Scripted) -> Vec<String> {
    scripted.world.rows("select name from contacts order by name").concat()
}

#[test]
fn what_is_told_as_deleted_is_asked_for_and_what_is_there_stays() {
    let (server, scripted) = stage("");
    let asked = || std::mem::take(&mut server.look().asked);
    server.look().fill(6);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 6));
    assert_eq!(asked(), ["deleted 0"]);

    // Deleted there, and a row deleted, changed and made here.
    server.look().remove("1");
    server.look().remove("2");
    scripted.world.sql("delete from contacts where name = 'N3'");
    scripted.world.sql("update contacts set name = 'Four' where name = 'N4'");
    scripted.world.sql("insert into contacts (email, name) values ('new@x.io', 'New')");
    assert_eq!(scripted.sync().exits(0).writes(), (3, 2));
    assert_eq!(names(&scripted), ["Four", "N5", "N6", "New"]);
    let first: Vec<String> = asked().into_iter().take(3).collect();
    assert_eq!(first[0], "deleted 0");
    assert!(first.contains(&"get 1".to_owned()) && first.contains(&"get 2".to_owned()), "{first:?}");

    // All of it is told again, with the one that we deleted, and nobody of them is here any more.
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked(), ["deleted 0", "deleted 1"]);

    // Told, and there: it came back, or the address lags. Listed just now: it is not even asked for.
    server.look().deleted.push(("5".to_owned(), 0));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert!(asked().contains(&"get 5".to_owned()));
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
    assert!(!asked().contains(&"get 5".to_owned()));
    assert_eq!(names(&scripted), ["Four", "N5", "N6", "New"]);

    // Not listed, and not told: that it is not there proves nothing here, even over a whole listing.
    server.look().contacts.remove("4");
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
    server.look().deleted.push(("4".to_owned(), 0));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(names(&scripted), ["N5", "N6", "New"]);
}

#[test]
fn the_address_is_read_on_from_where_it_was_and_not_past_what_contradicts_the_listing() {
    for (way, on, further) in
        [(SINCE, "deleted 0 since 23:53", "deleted 0 since 00:13"), (TOKEN, "deleted 0 from 1", "deleted 0 from 2")]
    {
        let (server, scripted) = stage(way);
        let asked = || std::mem::take(&mut server.look().asked);
        server.look().fill(8);
        server.look().minutes = 90;
        server.look().remove("8");
        assert_eq!(scripted.sync().exits(0).writes(), (0, 7));
        assert_eq!(asked(), ["deleted 0"]);

        // It changes, is listed so, and is deleted before the address is read.
        server.look().set("1", &json!({ "name": "Changed" }));
        server.look().leaves = Some("1".to_owned());
        assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
        assert_eq!(asked(), [on, "get 1"], "{way}");
        assert!(names(&scripted).contains(&"Changed".to_owned()), "it was listed in this pass");
        server.look().set("2", &json!({ "name": "Two" }));
        assert_eq!(scripted.sync().exits(0).writes(), (0, 2));
        assert_eq!(asked()[..2], [on.to_owned(), "get 1".to_owned()], "{way}");
        assert!(!names(&scripted).contains(&"Changed".to_owned()));

        // From there it goes on, and all of it is read again where everything is.
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
        assert_eq!(asked(), [further], "{way}");
        assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
        assert_eq!(asked(), ["deleted 0"], "{way}");
    }
}

#[test]
fn an_address_that_fails_leaves_the_upstream_out_and_nothing_that_it_says_is_lost() {
    let (server, scripted) = stage(TOKEN);
    let asked = || std::mem::take(&mut server.look().asked);
    server.look().fill(6);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 6));
    for id in ["1", "2", "3"] {
        server.look().remove(id);
    }
    // In the midst, after a page.
    server.look().fails = Some((1, 403));
    let words = scripted.sync().cannot_read("contacts");
    assert!(words.starts_with("GET /deleted 403: the credentials do not allow this: not now"), "{words}");
    assert_eq!(names(&scripted).len(), 6, "nothing is decided of an upstream that could not be read");
    server.look().fails = None;
    asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 3));
    assert_eq!(names(&scripted), ["N4", "N5", "N6"]);
    assert!(asked().contains(&"deleted 1 from 0".to_owned()), "from where it was");

    // The place has expired: all of it is read.
    server.look().remove("4");
    server.look().fails = Some((0, 410));
    assert!(scripted.sync().cannot_read("contacts").starts_with("GET /deleted 410"));
    assert_eq!(asked(), ["deleted 0 from 3", "deleted 0"]);
    server.look().fails = None;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));

    // An item that names nobody.
    scripted.world.change_rules("rules.toml", |rules| rules.replace("id = \".contact\"", "id = \".who\""));
    let words = scripted.sync().cannot_read("contacts");
    assert!(words.starts_with("GET /deleted: an item that names no record: no id at .who"), "{words}");
    assert_eq!(names(&scripted), ["N5", "N6"]);
}

#[test]
fn who_waits_to_come_in_and_is_told_as_deleted_does_not_come_in() {
    let (server, scripted) = stage("");
    let asked = || std::mem::take(&mut server.look().asked);
    server.look().fill(3);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 3));
    scripted.world.change_rules("rules.toml", |rules| rules.replace("\"100%\"", "1"));
    scripted.world.sql("delete from contacts where name in ('N1', 'N2')");
    for id in ["8", "9"] {
        server.look().set(id, &json!({ "email": format!("{id}@x.io"), "name": id }));
    }
    // More is deleted here than may be: the pass halts, and who is new there waits.
    assert_eq!(scripted.sync().exits(5).writes(), (0, 0));
    server.look().remove("8");
    server.look().remove("9");
    asked();
    assert_eq!(scripted.sync().exits(5).writes(), (0, 0));
    let both = asked();
    assert!(both.contains(&"get 8".to_owned()) && both.contains(&"get 9".to_owned()), "{both:?}");
    scripted.world.change_rules("rules.toml", |rules| rules.replace("delete = 1", "delete = \"100%\""));
    assert_eq!(scripted.sync().exits(0).writes(), (2, 0));
    assert_eq!(names(&scripted), ["N3"]);
    let after = asked();
    assert!(!after.contains(&"get 8".to_owned()) && !after.contains(&"get 9".to_owned()), "{after:?}");
}
