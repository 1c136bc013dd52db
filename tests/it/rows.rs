//! Upstreams whose listing is no JSON document: a document a line, a table; both synced both ways by the shipped examples.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::scripted::{self, Scripted};

/// What an upstream has, and how its listing goes wrong.
#[derive(Default)]
struct Server {
    records: BTreeMap<String, Value>,
    made: u32,
    /// The listing ends after so many bytes.
    cut_at: Option<usize>,
    not_modified: u32,
    /// A column has another name.
    renamed: bool,
    /// There is a header, and no row.
    empty: bool,
}

type Shared = scripted::Shared<Server>;

fn cut(server: &Server, text: &str) -> String {
    text[..server.cut_at.unwrap_or(text.len())].to_owned()
}

// ---- a document a line ---------------------------------------------------------------------------------------------

/// The last line has no line end, as Typesense writes it.
async fn export(State(server): State<Shared>, headers: HeaderMap) -> Response {
    if headers["x-typesense-api-key"] != "a-secret-of-tests" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let server = server.look();
    let lines: Vec<String> = server.records.values().map(Value::to_string).collect();
    cut(&server, &lines.join("\n")).into_response()
}

async fn document(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    found(server.look().records.get(&id))
}

fn found(record: Option<&Value>) -> Response {
    match record {
        Some(record) => record.to_string().into_response(),
        None => (StatusCode::NOT_FOUND, json!({ "message": "not found" }).to_string()).into_response(),
    }
}

async fn add_document(State(server): State<Shared>, body: Bytes) -> Response {
    let mut server = server.look();
    server.made += 1;
    let id = format!("made-{}", server.made);
    let mut record: Value = serde_json::from_slice(&body).unwrap();
    record["id"] = json!(id);
    server.records.insert(id, record.clone());
    (StatusCode::CREATED, record.to_string()).into_response()
}

async fn patch_document(State(server): State<Shared>, Path(id): Path<String>, body: Bytes) -> Response {
    let changes: Value = serde_json::from_slice(&body).unwrap();
    let mut server = server.look();
    let Some(record) = server.records.get_mut(&id) else { return found(None) };
    for (name, value) in changes.as_object().unwrap() {
        record[name] = value.clone();
    }
    found(Some(record))
}

async fn drop_record(State(server): State<Shared>, Path(id): Path<String>) -> Response {
    let gone = server.look().records.remove(&id);
    found(gone.as_ref())
}

#[test]
fn a_document_a_line_is_synced_both_ways_and_a_line_that_is_cut_deletes_nothing() {
    let server = Shared::default();
    for (id, big) in [("1", "9007199254740993"), ("2", "1980"), ("3", "1990")] {
        let text = format!(r#"{{"id":"{id}","email":"{id}@x.io","name":"Änn\n{id}","born":{big},"tags":["a","b"]}}"#);
        server.look().records.insert(id.to_owned(), serde_json::from_str(&text).unwrap());
    }
    let documents = "/collections/people/documents";
    let router = Router::new()
        .route(&format!("{documents}/export"), get(export))
        .route(documents, post(add_document))
        .route(&format!("{documents}/{{id}}"), get(document).patch(patch_document).delete(drop_record))
        .with_state(server.clone());
    let stage = Scripted::new("typesense", router, include_str!("../../sync-rules/examples/typesense/people.toml"));
    let world = &stage.world;

    assert_eq!(stage.sync().exits(0).writes(), (0, 3));
    let rows = world.rows("select name, born, tags from people where email = '1@x.io'");
    assert_eq!(rows, [["Änn\n1", "9007199254740993", r#"["a","b"]"#]]);
    assert_eq!(stage.sync().exits(0).writes(), (0, 0));

    world.sql("update people set name = 'Ours' where email = '1@x.io'");
    world.sql("insert into people (email, name, born) values ('new@x.io', 'New', 2000)");
    world.sql("delete from people where email = '2@x.io'");
    server.look().records.get_mut("3").unwrap()["born"] = json!(1991);
    assert_eq!(stage.sync().exits(0).writes(), (3, 1));
    assert_eq!(server.look().records["1"]["name"], "Ours");
    assert_eq!(server.look().records["made-1"]["born"], 2000);
    assert_eq!(server.look().records.keys().collect::<Vec<_>>(), ["1", "3", "made-1"]);
    assert_eq!(stage.sync().exits(0).writes(), (0, 0));

    // The export ends in the middle of the second document: that is no listing, and what it lacks is not gone.
    let first = server.look().records["1"].to_string().len();
    server.look().cut_at = Some(first + 30);
    let error = stage.sync().cannot_read("people");
    assert!(error.contains("not NDJSON: the last line, 2, ends too early"), "{error}");
    assert_eq!(world.rows("select count(*) from people").concat(), ["3"]);
    server.look().cut_at = None;
    server.look().records.remove("3");
    assert_eq!(stage.sync().exits(0).writes(), (0, 1));
    assert_eq!(world.rows("select count(*) from people").concat(), ["2"]);
}

/// An export of many times `body_max` is read as it comes, and what is cut off in it deletes nothing.
#[test]
fn an_export_that_is_larger_than_body_max_is_read_and_deletes_nothing_where_it_is_cut() {
    let server = Shared::default();
    for id in 100..160 {
        let record =
            json!({ "id": id.to_string(), "email": format!("{id}@x.io"), "name": "n".repeat(100), "born": id });
        server.look().records.insert(id.to_string(), record);
    }
    let documents = "/collections/people/documents";
    let router = Router::new()
        .route(&format!("{documents}/export"), get(export))
        .route(&format!("{documents}/{{id}}"), get(document))
        .with_state(server.clone());
    let rules = include_str!("../../sync-rules/examples/typesense/people.toml");
    let small = rules.replacen("[upstream.typesense]\n", "[upstream.typesense]\nbody_max = \"1KB\"\n", 1);
    assert_ne!(small, rules);
    let stage = Scripted::new("typesense", router, &small);
    let world = &stage.world;
    assert_eq!(stage.sync().exits(0).writes(), (0, 60));
    assert_eq!(stage.sync().exits(0).writes(), (0, 0));

    let large = json!({ "id": "130", "email": "130@x.io", "name": "n".repeat(5000), "born": 130 });
    server.look().records.insert("130".to_owned(), large);
    server.look().records.remove("101");
    let length: usize = server.look().records.values().map(|record| record.to_string().len() + 1).sum();
    server.look().cut_at = Some(length - 40);
    let error = stage.sync().cannot_read("people");
    assert!(error.contains("not NDJSON: the last line, 59, ends too early"), "{error}");
    assert_eq!(world.rows("select count(*) from people").concat(), ["60"]);

    // Whole again, it says what is gone; the one record that is too large is set aside and stays.
    server.look().cut_at = None;
    stage.sync();
    let rows = world.rows("select count(*), sum(length(name)) from people");
    assert_eq!(rows, [["59", "5900"]]);
    let set_aside = world.rows("select reason from sync_quarantine").concat();
    assert!(set_aside.len() == 1 && set_aside[0].contains("larger than `body_max`"), "{set_aside:?}");
}

// ---- a table -------------------------------------------------------------------------------------------------------

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

async fn entities_csv(State(server): State<Shared>, headers: HeaderMap) -> Response {
    let mut server = server.look();
    let mut table = "\u{feff}__id,label,village,age,__createdAt,__updatedAt,__version\r\n".to_owned();
    if server.renamed {
        table = table.replace(",label,", ",the label,");
    }
    for entity in server.records.values().filter(|_| !server.empty) {
        let now = &entity["currentVersion"];
        let data = [&now["label"], &now["data"]["village"], &now["data"]["age"]];
        let meta = [&entity["createdAt"], &entity["updatedAt"], &now["version"]];
        let cells: Vec<String> =
            std::iter::once(&entity["uuid"]).chain(data).chain(meta).map(|cell| quoted(&text_of(cell))).collect();
        table += &format!("{}\r\n", cells.join(","));
    }
    let etag =
        format!("W/\"{}\"", table.len() + usize::try_from(server.records.values().map(version).sum::<u64>()).unwrap());
    if server.cut_at.is_none() && headers.get("if-none-match").is_some_and(|known| *known == *etag) {
        server.not_modified += 1;
        return StatusCode::NOT_MODIFIED.into_response();
    }
    ([("etag", etag)], cut(&server, &table)).into_response()
}

fn version(entity: &Value) -> u64 {
    entity["currentVersion"]["version"].as_u64().unwrap()
}

impl Server {
    fn entity(&mut self, uuid: &str, body: &Value) -> Value {
        let before = self.records.get(uuid).cloned();
        let is_new = before.is_none();
        let mut entity = before.unwrap_or_else(|| {
            let current = json!({ "label": "", "data": {}, "version": 0 });
            json!({ "uuid": uuid, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": null, "currentVersion": current })
        });
        if !is_new {
            entity["updatedAt"] = json!("2026-01-02T00:00:00Z");
        }
        let now = &mut entity["currentVersion"];
        if let Some(label) = body.get("label") {
            now["label"] = label.clone();
        }
        for (name, value) in body.get("data").and_then(Value::as_object).into_iter().flatten() {
            assert!(value.is_string(), "properties are texts: {body}");
            now["data"][name] = value.clone();
        }
        now["version"] = json!(now["version"].as_u64().unwrap() + 1);
        self.records.insert(uuid.to_owned(), entity.clone());
        entity
    }
}

async fn add_entity(State(server): State<Shared>, body: Bytes) -> String {
    let mut server = server.look();
    server.made += 1;
    let uuid = format!("made-{}", server.made);
    server.entity(&uuid, &serde_json::from_slice(&body).unwrap()).to_string()
}

async fn patch_entity(
    State(server): State<Shared>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let mut server = server.look();
    let Some(entity) = server.records.get(&id) else { return found(None) };
    if query.as_deref() != Some(&format!("baseVersion={}", version(entity))) {
        return (StatusCode::CONFLICT, json!({ "message": "another version" }).to_string()).into_response();
    }
    let entity = server.entity(&id, &serde_json::from_slice(&body).unwrap());
    found(Some(&entity))
}

#[test]
fn a_table_is_synced_both_ways_and_one_that_is_cut_or_is_none_deletes_nothing() {
    let server = Shared::default();
    for (id, label, village, age) in
        [("1", "Ann \"A.\" Lee", "Ban, the\nsmaller", "34"), ("2", "Ben", "", ""), ("3", "Cid", "Ban", "7")]
    {
        let body = json!({ "label": label, "data": { "village": village, "age": age } });
        server.look().entity(id, &body);
    }
    let router = Router::new()
        .route("/entities.csv", get(entities_csv))
        .route("/entities", post(add_entity))
        .route("/entities/{id}", get(document).patch(patch_entity).delete(drop_record))
        .with_state(server.clone());
    let stage = Scripted::new("odk", router, include_str!("../../sync-rules/examples/odk/people.toml"));
    let world = &stage.world;
    let rows = || world.rows("select name, village, age from people order by name");

    assert_eq!(stage.sync().exits(0).writes(), (0, 3));
    assert_eq!(rows(), [["Ann \"A.\" Lee", "Ban, the\nsmaller", "34"], ["Ben", "∅", "∅"], ["Cid", "Ban", "7"]]);
    assert_eq!(stage.sync().exits(0).writes(), (0, 0));
    assert_eq!(server.look().not_modified, 1);

    world.sql("update people set age = 35, village = null where name like 'Ann%'");
    world.sql("insert into people (name, age) values ('Dan', 1)");
    world.sql("delete from people where name = 'Cid'");
    server.look().entity("2", &json!({ "data": { "village": "Ulm", "age": "8" } }));
    assert_eq!(stage.sync().exits(0).writes(), (3, 1));
    assert_eq!(rows(), [["Ann \"A.\" Lee", "∅", "35"], ["Ben", "Ulm", "8"], ["Dan", "∅", "1"]]);
    let data = |id: &str| server.look().records[id]["currentVersion"]["data"].clone();
    assert_eq!(data("1"), json!({ "village": "", "age": "35" }));
    assert_eq!(data("made-1")["age"], "1");
    // What was written shows as a row now, and is no change.
    assert_eq!(stage.sync().exits(0).writes(), (0, 0));

    // A row that lacks its end, and quotes that do.
    server.look().entity("1", &json!({ "label": "Ann, \"A.\"" }));
    for (cells, words) in [
        ("1,\"Ann, ", "not CSV: it ends inside quotes"),
        ("1,\"Ann, \"\"A.\"\"\",,35,2", "line 2 ends a row of 5 fields"),
    ] {
        server.look().cut_at =
            Some("\u{feff}__id,label,village,age,__createdAt,__updatedAt,__version\r\n".len() + cells.len());
        let error = stage.sync().cannot_read("people");
        assert!(error.contains(words), "{error}");
        assert_eq!(rows().len(), 3);
    }
    server.look().cut_at = None;
    server.look().records.remove("2");
    assert_eq!(stage.sync().exits(0).writes(), (0, 2));
    assert_eq!(rows().len(), 2);

    // A column of another name says nothing of the old one, and a table without rows nothing of records that are still there.
    server.look().renamed = true;
    server.look().entity("1", &json!({ "data": { "age": "36" } }));
    stage.sync();
    assert_eq!(world.rows("select name from people order by name").concat(), ["Ann, \"A.\"", "Dan"]);
    (server.look().renamed, server.look().empty) = (false, true);
    stage.sync();
    server.look().cut_at = Some(0);
    stage.sync().cannot_read("people");
    assert_eq!(rows().len(), 2);
    (server.look().empty, server.look().cut_at) = (false, None);
    stage.sync().exits(0);
    assert_eq!(rows(), [["Ann, \"A.\"", "∅", "36"], ["Dan", "∅", "1"]]);
    assert_eq!(server.look().records.len(), 2);
}
