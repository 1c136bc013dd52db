//! Owns: which questions the API answers, and their description for programs: parameters, bodies, answers.
//!
//! Must not know: how they are answered.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::ops::{BulkDone, Conflict, Halt, HaltView, Inbox, PassPage, UsageReport};

use super::api;
use super::inspect::{RulesView, UpstreamView};
use super::look::{Asides, CollectionView, ConflictPage, PassView, RecordView, Records};
use super::site::Site;
use super::watched::LatencyView;

/// What every path begins with.
pub const PATH: &str = "/api/v1";

/// Describes an answer.
type Answer = fn(&mut SchemaGenerator) -> Value;

/// One of these.
fn one<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().to_value()
}

/// A list of these, under this name.
fn list<T: JsonSchema>(schemas: &mut SchemaGenerator, name: &str) -> Value {
    let list = one::<Vec<T>>(schemas);
    json!({ "type": "object", "required": [name], "properties": { name: list } })
}

/// That it was done is all there is to say.
fn nothing(_schemas: &mut SchemaGenerator) -> Value {
    json!({ "type": "object", "properties": {} })
}

/// One route, with what is said of it.
struct Route {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Name and meaning.
    query: &'static [(&'static str, &'static str)],
    /// The JSON Schema of the body, where it takes one.
    body: Option<Value>,
    /// The JSON Schema of the answer.
    answer: Answer,
    handler: MethodRouter<Arc<Site>>,
}

/// The routes.
pub fn router() -> Router<Arc<Site>> {
    table().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler))
}

const COLLECTION: (&str, &str) = ("collection", "only this collection");
const AFTER_NUMBER: (&str, &str) = ("after", "what a page before gave as `next`: only smaller numbers");
const AFTER_LINE: (&str, &str) = ("after", "only lines of history with smaller numbers");
const LIMIT: (&str, &str) = ("limit", "at most so many, 50 where nothing is said, 500 at most");

type Text = &'static str;
type Handler = MethodRouter<Arc<Site>>;

/// A route that only looks.
fn look(path: Text, summary: Text, query: &'static [(Text, Text)], answer: Answer, handler: Handler) -> Route {
    Route { method: "get", path, summary, query, body: None, answer, handler }
}

/// A route that changes something.
fn act(path: Text, summary: Text, body: Option<Value>, answer: Answer, handler: Handler) -> Route {
    Route { method: "post", path, summary, query: &[], body, answer, handler }
}

fn table() -> Vec<Route> {
    let mut all = vec![look("/openapi.json", "This description.", &[], |_| json!({ "type": "object" }), get(openapi))];
    all.extend(standings());
    all.extend(decisions());
    all.extend(lists());
    all.extend(requests());
    all
}

/// How things stand.
fn standings() -> Vec<Route> {
    vec![
        look(
            "/collections",
            "How each collection stands.",
            &[],
            |schemas| list::<CollectionView>(schemas, "collections"),
            get(api::collections),
        ),
        look(
            "/passes",
            "Passes, newest first.",
            &[
                COLLECTION,
                (
                    "outcome",
                    "only those that ended so: `ok`, `pending`, `conflicts`, `halted`, `unavailable`, `failed`, `interrupted`",
                ),
                AFTER_NUMBER,
                LIMIT,
            ],
            one::<PassPage>,
            get(api::list_passes),
        ),
        look("/passes/{id}", "A pass, with what it did.", &[AFTER_LINE], one::<PassView>, get(api::one_pass)),
        look("/rules", "The rules in force, and what is said of their files.", &[], one::<RulesView>, get(api::rules)),
        look(
            "/upstreams",
            "What is known of each upstream.",
            &[],
            |schemas| list::<UpstreamView>(schemas, "upstreams"),
            get(api::upstreams),
        ),
        look(
            "/upstreams/{upstream}/latency",
            "How an upstream answered, minute by minute for three hours, or hour by hour for two weeks.",
            &[("grain", "`minute`, or `hour`; `minute` where nothing is said")],
            one::<LatencyView>,
            get(api::latency),
        ),
        look(
            "/usage",
            "What was asked of each upstream, what it cost, and when a quota would run out.",
            &[
                ("upstream", "only this upstream"),
                ("days", "averages and lists over so many days, 30 where nothing is said"),
            ],
            one::<UsageReport>,
            get(api::usage),
        ),
    ]
}

/// Conflicts and halts.
fn decisions() -> Vec<Route> {
    let resolution = json!({ "type": "object", "additionalProperties": false, "properties": {
        "take": { "type": "string", "description": "`local`, `base` or an upstream: its value" },
        "values": { "type": "array", "description": "one value per field of the conflict" },
        "delete": { "type": "boolean", "description": "delete the record everywhere" },
        "keep": { "type": "boolean", "description": "keep the record" } } });
    let bulk = json!({ "type": "object", "additionalProperties": false, "required": ["take"], "properties": {
        "take": { "type": "string", "description": "`local`, `base` or an upstream" },
        "collection": { "type": "string", "description": "only of this collection" },
        "field": { "type": "string", "description": "only about this field, alone or with others" },
        "up_to": { "type": "integer", "description": "only numbers up to this" } } });
    let approval = json!({ "type": "object", "additionalProperties": false, "properties": {
        "wins": { "type": "string", "description": "where an upstream was set back: `local`, or the upstream" } } });
    vec![
        look(
            "/conflicts",
            "What no rule could decide.",
            &[
                COLLECTION,
                ("field", "only what is about this field, alone or with others"),
                ("all", "`true`: closed ones as well"),
                ("after", "numbers greater than this"),
                LIMIT,
            ],
            one::<ConflictPage>,
            get(api::list_conflicts),
        ),
        act(
            "/conflicts/resolve",
            "Takes one side's say for all that match.",
            Some(bulk),
            one::<BulkDone>,
            post(api::resolve_many),
        ),
        look("/conflicts/{id}", "A conflict, with every side's say.", &[], one::<Conflict>, get(api::one_conflict)),
        act(
            "/conflicts/{id}/resolve",
            "Decides it; the next pass applies it.",
            Some(resolution),
            one::<api::Decided>,
            post(api::resolve_one),
        ),
        look("/halts", "What guards stopped.", &[], |schemas| list::<Halt>(schemas, "halts"), get(api::list_halts)),
        look("/halts/{id}", "A halt, with what would be done.", &[], one::<HaltView>, get(api::one_halt)),
        act(
            "/halts/{id}/reject",
            "Does nothing of it; the collection rests.",
            None,
            |_| json!({ "type": "object", "required": ["collection"], "properties": { "collection": { "type": "string" } } }),
            post(api::reject_one),
        ),
        act(
            "/halts/{id}/approve",
            "Lets a halted pass through once.",
            Some(approval),
            one::<Halt>,
            post(api::approve_one),
        ),
    ]
}

/// Records, and what is set aside or came in.
fn lists() -> Vec<Route> {
    vec![
        look(
            "/quarantine",
            "Records set aside, or waiting for another.",
            &[COLLECTION, ("after", "what a page before gave as `next`"), LIMIT],
            one::<Asides>,
            get(api::quarantine),
        ),
        look(
            "/webhooks",
            "Webhooks that came in, the newest first.",
            &[("state", "`waiting`, `dead`, `done`, `replaced` or `ignored`"), AFTER_NUMBER, LIMIT],
            one::<Inbox>,
            get(api::webhooks),
        ),
        act(
            "/webhooks/{id}/retry",
            "Lets one that could not be followed wait again.",
            None,
            nothing,
            post(api::retry_hook),
        ),
        act("/webhooks/{id}/drop", "Forgets one that could not be followed.", None, nothing, post(api::drop_hook)),
        look(
            "/records/{collection}",
            "Records in the order of their ids.",
            &[
                ("after", "ids greater than this"),
                LIMIT,
                (
                    "q",
                    "only records with this id, here or at an upstream, or with this text in a field that is a match key",
                ),
            ],
            one::<Records>,
            get(api::list_records),
        ),
        look(
            "/records/{collection}/{id}",
            "A record as every side has it.",
            &[AFTER_LINE],
            one::<RecordView>,
            get(api::one_record),
        ),
    ]
}

/// What passes are asked for.
fn requests() -> Vec<Route> {
    let passes = json!({ "type": "object", "additionalProperties": false, "properties": {
        "collections": { "type": "array", "items": { "type": "string" }, "description": "all where none is named" },
        "full": { "type": "boolean", "description": "read everything" } } });
    vec![
        act(
            "/sync",
            "Asks for passes now.",
            Some(passes),
            |schemas| list::<String>(schemas, "collections"),
            post(api::sync),
        ),
        act("/pause/{collection}", "Lets a collection rest.", None, nothing, post(api::pause)),
        act("/resume/{collection}", "Lets it go on.", None, nothing, post(api::resume)),
    ]
}

async fn openapi() -> Response {
    Json(description()).into_response()
}

/// The description, in `OpenAPI` 3.1.
pub fn description() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schemas = settings.with(|to| to.definitions_path = "/components/schemas".into()).into_generator();
    let mut paths = serde_json::Map::new();
    for route in table() {
        let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path =
            in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
        let in_query = route.query.iter().map(|(name, meaning)| {
            json!({ "name": name, "in": "query", "description": meaning, "schema": { "type": "string" } })
        });
        let refused = json!({ "$ref": "#/components/responses/Refused" });
        let mut said = json!({
            "summary": route.summary,
            "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
            "responses": {
                "200": { "description": "done", "content": { "application/json": { "schema": (route.answer)(&mut schemas) } } },
                "401": refused, "404": refused, "409": refused, "503": refused,
            },
        });
        if let (Some(body), Some(said)) = (route.body, said.as_object_mut()) {
            said.insert("requestBody".to_owned(), json!({ "content": { "application/json": { "schema": body } } }));
        }
        paths.insert(route.path.to_owned(), json!({ route.method: said }));
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "reconciled", "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": PATH }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "Refused": { "description": "why not", "content": { "application/json": { "schema": {
                "type": "object", "required": ["error"], "properties": { "error": { "type": "string" } } } } } } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_with_its_parameters() {
        let description = description();
        let paths = description["paths"].as_object().unwrap();
        assert_eq!(paths.len(), table().len());
        for route in table() {
            let said = &paths[route.path][route.method];
            assert_eq!(said["summary"], route.summary, "{}", route.path);
            let names: Vec<&str> =
                said["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
            assert!(route.query.iter().all(|(name, _)| names.contains(name)), "{}", route.path);
            assert_eq!(route.path.matches('{').count() + route.query.len(), names.len(), "{}", route.path);
            assert_eq!(said["requestBody"].is_object(), route.body.is_some(), "{}", route.path);
        }
    }
}
