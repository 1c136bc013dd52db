//! An upstream that lists records under their parents only: one listing per parent, or for a few parents at a time.

use std::collections::{BTreeMap, BTreeSet};
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
concurrency = 1
error = [{ status = 418, class = "fatal" }]

[collection.companies]
fields = { name = "text" }
limits = { delete = "100%" }
on_remote_delete = "propagate"

[binding.companies.crm]
direction = "pull"
id = ".id"
map = { name = ".name" }
read = { request = "GET /companies", records = ".results[]", get = "GET /companies/{id}", deletes = "absence" }

[collection.contacts]
FULL
match = { keys = [["email"]] }
limits = { delete = "100%" }
on_remote_delete = "propagate"

[collection.contacts.fields]
email = "text"
name = "text"
company = { type = "ref", to = "companies" }

[binding.contacts.crm]
id = ".id"
updated_at = ".updatedAt"
map = { email = ".email", name = ".name", company = ".company_id" }

[binding.contacts.crm.read]
request = "GET /companies/{parent}/contacts"
records = ".results[]"
page = { kind = "cursor", next = ".next", into = "query.after" }
get = "GET /contacts/{id}"
deletes = "absence"
parent = { collection = "companies", as = "company_id" }
INCREMENTAL

[binding.contacts.crm.write]
create = { request = "POST /companies/{parent}/contacts", idempotency = { match = "email" } }
update = { request = "PATCH /contacts/{id}", body = "full" }
delete = { request = "DELETE /contacts/{id}" }
"#;

const SINCE: &str = "incremental = { kind = \"since\", into = \"query.since\", lookback = \"0s\" }";

#[derive(Default)]
struct Server {
    companies: BTreeSet<u64>,
    /// With its company, which is not shown.
    contacts: BTreeMap<String, (u64, Value)>,
    minutes: i64,
    /// What listings under companies were asked for, and which contacts.
    asked: Vec<String>,
    /// Bodies of writes.
    sent: Vec<Value>,
    /// No listing shows these, as one does whose pages shift.
    hidden: BTreeSet<String>,
    /// The listing under this company fails so.
    fails: BTreeMap<u64, u16>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Server>>);

impl Shared {
    fn look(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.look().asked)
    }
}

impl Server {
    fn set(&mut self, id: &str, company: u64, properties: &Value) -> Value {
        self.minutes += 10;
        let at = chrono::DateTime::from_timestamp(1_700_000_000 + 60 * self.minutes, 0).unwrap();
        let (under, contact) = self.contacts.entry(id.to_owned()).or_insert_with(|| (company, json!({ "id": id })));
        *under = company;
        for (name, value) in properties.as_object().unwrap() {
            contact[name] = value.clone();
        }
        contact["updatedAt"] = json!(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        contact.clone()
    }

    fn add(&mut self, id: &str, company: u64) {
        self.companies.insert(company);
        self.set(id, company, &json!({ "email": format!("{id}@x.io"), "name": id }));
    }

    fn fill(&mut self) {
        for (id, company) in [("a1", 1), ("a2", 1), ("a3", 1), ("b1", 2), ("c1", 3)] {
            self.add(id, company);
        }
    }

    /// Two a page.
    fn page(&self, under: &[u64], asked: &BTreeMap<String, String>) -> Value {
        let from: usize = asked.get("after").map_or(0, |after| after.parse().unwrap());
        let since = asked.get("since").cloned().unwrap_or_default();
        let shown: Vec<Value> = self
            .contacts
            .iter()
            .filter(|(id, (company, contact))| {
                let is_new = contact["updatedAt"].as_str().unwrap() >= since.as_str();
                under.contains(company) && is_new && !self.hidden.contains(*id)
            })
            .map(|(_, (_, contact))| contact.clone())
            .collect();
        let mut body = json!({ "results": shown.iter().skip(from).take(2).collect::<Vec<_>>() });
        if from + 2 < shown.len() {
            body["next"] = json!((from + 2).to_string());
        }
        body
    }
}

async fn companies(State(server): State<Shared>) -> Response {
    let shown: Vec<Value> =
        server.look().companies.iter().map(|id| json!({ "id": id, "name": format!("Company {id}") })).collect();
    answer(200, &json!({ "results": shown }))
}

async fn company(State(server): State<Shared>, Path(id): Path<u64>) -> Response {
    let is_there = server.look().companies.contains(&id);
    answer(if is_there { 200 } else { 404 }, &json!({ "id": id, "name": format!("Company {id}") }))
}

/// The status of a listing that gets no answer at all.
const SILENT: u16 = 0;

async fn under(server: State<Shared>, id: Path<u64>, text: RawQuery) -> Response {
    let is_silent = server.look().fails.get(&id.0) == Some(&SILENT);
    let listed = listed_under(server, id, text);
    if is_silent { std::future::pending().await } else { listed }
}

fn listed_under(State(server): State<Shared>, Path(id): Path<u64>, RawQuery(text): RawQuery) -> Response {
    let asked = query(text);
    let mut server = server.look();
    let since = asked.get("since").map(|since| format!(" since {}", &since[11..16])).unwrap_or_default();
    let after = asked.get("after").map(|after| format!(" after {after}")).unwrap_or_default();
    server.asked.push(format!("{id}{after}{since}"));
    match server.fails.get(&id) {
        Some(&SILENT) => StatusCode::NO_CONTENT.into_response(),
        Some(status) => answer(*status, &json!({ "message": "not this one" })),
        None if !server.companies.contains(&id) => answer(404, &json!({ "message": "no such company" })),
        None => answer(200, &server.page(&[id], &asked)),
    }
}

/// Of several companies; each contact says whose it is.
async fn of_several(State(server): State<Shared>, RawQuery(text): RawQuery) -> Response {
    let asked = query(text);
    let mut server = server.look();
    server.asked.push(asked["companies"].clone());
    let ids: Vec<u64> = asked["companies"].split(',').map(|id| id.parse().unwrap()).collect();
    if let Some(status) = ids.iter().find_map(|id| server.fails.get(id)) {
        return answer(*status, &json!({ "message": "one of these is not for you" }));
    }
    let mut body = server.page(&ids, &asked);
    for contact in body["results"].as_array_mut().unwrap() {
        contact["company"] = json!(server.contacts[contact["id"].as_str().unwrap()].0);
    }
    answer(200, &body)
}

async fn create(State(server): State<Shared>, Path(company): Path<u64>, body: Bytes) -> Response {
    let mut server = server.look();
    let body: Value = serde_json::from_slice(&body).unwrap();
    server.sent.push(body.clone());
    let id = format!("made-{}", server.minutes);
    answer(201, &server.set(&id, company, &body))
}

async fn one(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    let mut server = server.look();
    server.asked.push(format!("get {id}"));
    match server.contacts.get(&id) {
        Some((_, contact)) => answer(200, contact),
        None => answer(404, &json!({ "message": "no such contact" })),
    }
}

async fn patch(State(server): State<Shared>, Path(id): Path<String>, body: Bytes) -> Response {
    let mut server = server.look();
    let body: Value = serde_json::from_slice(&body).unwrap();
    server.sent.push(body.clone());
    let company = server.contacts[&id].0;
    answer(200, &server.set(&id, company, &body))
}

async fn remove(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    server.look().contacts.remove(&id);
    StatusCode::NO_CONTENT.into_response()
}

/// Where the address has to name the company, as well: it is the right one, or nothing is there.
fn has(server: &Shared, company: u64, id: &str) -> bool {
    server.look().contacts.get(id).is_some_and(|(of, _)| *of == company)
}

async fn patch_under(server: State<Shared>, Path((company, id)): Path<(u64, String)>, body: Bytes) -> Response {
    if has(&server, company, &id) { patch(server, Path(id), body).await } else { StatusCode::NOT_FOUND.into_response() }
}

async fn remove_under(server: State<Shared>, Path((company, id)): Path<(u64, String)>) -> Response {
    if has(&server, company, &id) { remove(server, Path(id)).await } else { StatusCode::NOT_FOUND.into_response() }
}

fn stage(rules: &str) -> (Shared, Scripted) {
    let server = Shared::default();
    let router = Router::new()
        .route("/companies", get(companies))
        .route("/companies/{id}", get(company))
        .route("/companies/{id}/contacts", get(under).post(create))
        .route("/companies/{id}/contacts/{contact}", axum::routing::patch(patch_under).delete(remove_under))
        .route("/contacts", get(of_several))
        .route("/contacts/{id}", get(one).patch(patch).delete(remove))
        .with_state(server.clone());
    server.look().fill();
    (server, Scripted::new("crm", router, rules))
}

fn whole() -> String {
    RULES.replace("FULL", "").replace("INCREMENTAL", "")
}

fn since() -> String {
    RULES.replace("FULL", "full_scan = \"1w\"").replace("INCREMENTAL", SINCE)
}

/// Contacts with their companies.
fn rows(scripted: &Scripted) -> Vec<String> {
    let sql = "select c.name || ' ' || coalesce(p.name, '') from contacts c left join companies p on p.id = c.company order by 1";
    scripted.world.rows(sql).concat()
}

#[test]
fn each_parent_has_a_listing_and_records_go_both_ways_under_it() {
    let (server, scripted) = stage(&whole());
    assert_eq!(scripted.sync().exits(0).writes(), (0, 8));
    assert_eq!(server.asked(), ["1", "1 after 2", "2", "3"]);
    assert_eq!(rows(&scripted), ["a1 Company 1", "a2 Company 1", "a3 Company 1", "b1 Company 2", "c1 Company 3"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    server.asked();

    // Changed, deleted and made here; changed there.
    let world = &scripted.world;
    world.sql("update contacts set name = 'A2' where name = 'a2'");
    world.sql("delete from contacts where name = 'b1'");
    world.sql(
        "insert into contacts (email, name, company) select 'new@x.io', 'new', id from companies where name = 'Company 2'",
    );
    server.look().set("a3", 1, &json!({ "name": "A3" }));
    assert_eq!(scripted.sync().exits(0).writes(), (3, 1));
    let sent = std::mem::take(&mut server.look().sent);
    assert!(sent.contains(&json!({ "email": "new@x.io", "name": "new" })), "{sent:?}");
    assert!(sent.iter().all(|body| body.get("company_id").is_none() || body["id"] == "a2"), "{sent:?}");
    assert_eq!(rows(&scripted), ["A2 Company 1", "A3 Company 1", "a1 Company 1", "c1 Company 3", "new Company 2"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));

    // To another parent: it is missing nowhere.
    server.look().contacts.get_mut("a1").unwrap().0 = 3;
    server.asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(server.asked(), ["1", "2", "3"]);
    server.look().contacts.get_mut("a1").unwrap().0 = 1;
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));

    // A parent that vanishes is asked for nothing, and those who were under it one by one.
    server.look().companies.remove(&3);
    server.look().contacts.remove("c1");
    server.asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 2));
    assert_eq!(server.asked(), ["1", "1 after 2", "2", "get c1"]);
    assert_eq!(world.rows("select parent from sync_parent order by 1").concat(), ["1", "2"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn the_address_of_a_write_may_name_the_parent_that_its_record_was_listed_under() {
    let rules = whole()
        .replace("PATCH /contacts/{id}", "PATCH /companies/{parent}/contacts/{id}")
        .replace("DELETE /contacts/{id}", "DELETE /companies/{parent}/contacts/{id}");
    let (server, scripted) = stage(&rules);
    scripted.sync().exits(0);
    let world = &scripted.world;
    world.sql("update contacts set name = 'B1' where name = 'b1'; delete from contacts where name = 'a2'");
    assert_eq!(scripted.sync().exits(0).writes(), (2, 0));
    assert_eq!(server.look().contacts["b1"].1["name"], "B1");
    assert!(!server.look().contacts.contains_key("a2"));
    // One that moved there since is written to where it is now.
    server.look().contacts.get_mut("b1").unwrap().0 = 3;
    scripted.sync().exits(0);
    world.sql("update contacts set name = 'B2' where name = 'B1'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().contacts["b1"].1["name"], "B2");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_record_that_a_point_read_shows_is_under_the_parent_that_it_was_listed_under() {
    let rules = whole().replace("PATCH /contacts/{id}", "PATCH /companies/{parent}/contacts/{id}");
    let (server, scripted) = stage(&rules);
    scripted.sync().exits(0);
    server.look().hidden.insert("b1".to_owned());
    server.look().set("b1", 2, &json!({ "name": "B1" }));
    server.asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert!(server.asked().contains(&"get b1".to_owned()));
    assert!(rows(&scripted).contains(&"B1 Company 2".to_owned()));
    scripted.world.sql("update contacts set name = 'B2' where name = 'B1'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().contacts["b1"].1["name"], "B2");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_parent_whose_listing_fails_keeps_its_place_and_the_others_go_on() {
    let (server, scripted) = stage(&whole());
    let error = |ran: &crate::world::Ran| ran.report("contacts")["upstreams"][0]["error"].as_str().unwrap().to_owned();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 8));

    // What is new under the others comes in; what is missing there is not taken for gone.
    server.look().add("c2", 3);
    server.look().contacts.remove("a1");
    server.look().fails.insert(2, 403);
    let ran = scripted.sync().exits(6);
    assert_eq!(ran.writes(), (0, 1));
    let read = |ran: &crate::world::Ran| ran.report("contacts")["upstreams"][0]["read"].as_str().unwrap().to_owned();
    assert_eq!((read(&ran), read(&scripted.full_sync().exits(6))), ("partial".to_owned(), "partial".to_owned()));
    assert_eq!(
        error(&ran),
        "1 of 3 listings failed: GET /companies/2/contacts 403: the credentials do not allow this: not this one"
    );
    assert!(rows(&scripted).contains(&"a1 Company 1".to_owned()));
    // 404 of a company that is there is a failure as well.
    server.look().fails.insert(2, 404);
    assert_eq!(scripted.sync().exits(6).writes(), (0, 0));
    assert!(rows(&scripted).contains(&"b1 Company 2".to_owned()));
    // Its records were all read once: what is made here cannot be one of them.
    scripted.world.sql(
        "insert into contacts (email, name, company) select 'n@x.io', 'n', id from companies where name = 'Company 1'",
    );
    assert_eq!(scripted.sync().exits(6).writes(), (1, 0));
    server.look().fails.clear();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert!(!rows(&scripted).contains(&"a1 Company 1".to_owned()));

    // One that was never read may have who is made here: nobody is, until it was.
    server.look().add("d1", 4);
    server.look().fails.insert(4, 500);
    scripted.world.sql(
        "insert into contacts (email, name, company) select 'd1@x.io', 'mine', id from companies where name = 'Company 1'",
    );
    server.look().sent.clear();
    assert_eq!(scripted.sync().exits(6).writes(), (0, 1), "the company");
    assert_eq!(server.look().sent, [] as [Value; 0]);
    server.look().fails.clear();
    scripted.sync();
    assert_eq!(scripted.world.rows("select count(*) from contacts where email = 'd1@x.io'").concat(), ["1"]);
    assert_eq!(server.look().contacts.values().filter(|(_, one)| one["email"] == "d1@x.io").count(), 1);

    // All of them fail: the upstream is left out.
    server.look().fails.extend([(1, 403), (2, 403), (3, 403), (4, 403)]);
    assert!(error(&scripted.sync().exits(6)).starts_with("GET /companies/1/contacts 403"));
}

#[test]
fn a_parent_that_gets_no_answer_keeps_its_place_and_an_upstream_that_is_down_is_asked_a_few_times_only() {
    let (server, scripted) = stage(
        &since().replace("retry = { attempts = 1 }", "retry = { attempts = 1 }\ntimeout = { total = \"700ms\" }"),
    );
    for company in 4..=9 {
        server.look().add(&format!("d{company}"), company);
    }
    assert_eq!(scripted.sync().exits(0).writes(), (0, 20));
    for (change, how) in [503, SILENT].into_iter().enumerate() {
        // Two of nine, not next to each other: the rest is read.
        server.look().fails.extend([(2, how), (4, how)]);
        server.look().add(&format!("b{change}-new"), 2);
        server.look().add(&format!("c{change}-new"), 3);
        server.look().add(&format!("e{change}-new"), 9);
        server.asked();
        let ran = scripted.sync().exits(6);
        assert_eq!(ran.writes(), (0, 2), "{how}");
        let error = ran.report("contacts")["upstreams"][0]["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("2 of 9 listings failed: GET /companies/2/contacts"), "{error}");
        assert_eq!(server.asked().len(), 9);
        // Nothing of it is taken for gone, and what is new there comes as soon as it answers.
        assert!(rows(&scripted).contains(&"b1 Company 2".to_owned()));
        server.look().fails.clear();
        assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
        // All of them: whoever is down is not asked nine times.
        server.look().fails.extend((1..=9).map(|company| (company, how)));
        server.asked();
        scripted.sync().exits(6);
        assert_eq!(server.asked().len(), 3, "{how}");
        server.look().fails.clear();
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn each_parent_is_read_on_from_where_it_was_and_an_interrupted_walk_goes_on_at_its_parent() {
    let (server, scripted) = stage(&since());
    server.look().fails.insert(3, 418);
    scripted.sync().exits(6);
    assert_eq!(server.asked(), ["1", "1 after 2", "2", "3"]);
    server.look().fails.clear();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(server.asked(), ["3", "1 since 22:43", "2 since 22:53", "3 since 23:03"]);
    assert_eq!(rows(&scripted).len(), 5);

    // A new one under one parent moves the place of that one, and not of one that fails.
    server.look().add("b2", 2);
    server.look().add("c2", 3);
    server.look().fails.insert(3, 500);
    assert_eq!(scripted.sync().exits(6).writes(), (0, 1));
    server.look().fails.clear();
    server.asked();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(server.asked(), ["1 since 22:43", "2 since 23:13", "3 since 23:03"]);
    let places = || scripted.world.rows("select parent, state from sync_parent order by 1");
    let before = places();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(server.asked(), ["1 since 22:43", "2 since 23:13", "3 since 23:23"]);
    assert_eq!(places(), before);

    // A delete shows in a listing of everything only; a new parent is read whole.
    server.look().contacts.remove("b1");
    server.look().add("d1", 4);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 2));
    assert_eq!(server.asked()[3], "4");
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 1));
    assert_eq!(server.asked(), ["1", "1 after 2", "2", "3", "4", "get b1"]);
}

#[test]
fn a_walk_that_goes_on_at_a_parent_that_fails_does_not_stay_there() {
    let (server, scripted) = stage(&since());
    server.look().fails.insert(3, 418);
    scripted.sync().exits(6);
    server.look().fails.insert(3, 403);
    server.look().add("b2", 2);
    server.asked();
    assert_eq!(scripted.sync().exits(6).writes(), (0, 1));
    assert_eq!(server.asked(), ["3", "1 since 22:43", "2 since 22:53", "3"]);
    server.look().fails.clear();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 1));
    assert_eq!(server.asked(), ["1 since 22:43", "2 since 23:13", "3"]);
    assert_eq!(rows(&scripted).len(), 6);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn several_parents_are_named_in_one_request_and_one_of_them_may_fail() {
    let rules = whole()
        .replace(
            "\"GET /companies/{parent}/contacts\"",
            "{ path = \"/contacts\", query = { companies = \"{parent}\" } }",
        )
        .replace("as = \"company_id\"", "batch = 2")
        .replace("company = \".company_id\"", "company = \".company\"");
    let (server, scripted) = stage(&rules);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 8));
    assert_eq!(server.asked(), ["1,2", "1,2", "3"]);
    assert_eq!(rows(&scripted)[3..], ["b1 Company 2", "c1 Company 3"]);
    server.look().fails.insert(2, 403);
    server.look().set("a1", 1, &json!({ "name": "A1" }));
    let ran = scripted.sync().exits(6);
    assert_eq!(ran.writes(), (0, 1));
    assert_eq!(server.asked(), ["1,2", "1", "1", "2", "3"]);
    assert!(rows(&scripted).contains(&"b1 Company 2".to_owned()));
    server.look().fails.clear();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn records_under_parents_are_shown_without_a_pass() {
    let (server, scripted) = stage(&whole());
    let shown = |arguments: &[&str]| -> Value {
        serde_json::from_str(&scripted.run(&[&["--json"], arguments].concat()).exits(0).stdout).unwrap()
    };
    let told = shown(&["fetch", "contacts.crm"]);
    let ids: Vec<&str> =
        told["records"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!((ids, &told["more"]), (vec!["a1", "a2", "a3"], &json!(true)));
    assert_eq!(told["records"][0]["raw"]["company_id"], "1");
    assert_eq!(server.asked(), ["1", "1 after 2"]);
    // The next parents where the first have too few; one that has nothing, or says so with 404, has nothing.
    server.look().fails.insert(2, 404);
    let told = shown(&["fetch", "contacts.crm", "--limit", "9"]);
    let ids: Vec<&str> =
        told["records"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!((ids, &told["more"]), (vec!["a1", "a2", "a3", "c1"], &json!(false)));
    let told = shown(&["check", "--online"]);
    let sample = told["samples"].as_array().unwrap().iter().find(|one| one["collection"] == "contacts").unwrap();
    assert_eq!((&sample["id"], &sample["error"]), (&json!("a1"), &Value::Null), "{sample:#}");
    assert!(!scripted.world.database().exists());
    server.look().fails.insert(1, 500);
    let ran = scripted.run(&["fetch", "contacts.crm"]).exits(6);
    assert!(ran.stderr.contains("GET /companies/1/contacts 500"), "{}", ran.stderr);
}
