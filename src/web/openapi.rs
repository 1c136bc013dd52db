//! Owns: which questions the API answers, and their description for programs: parameters, bodies, answers.
//!
//! Must not know: how they are answered.

use std::sync::Arc;

use axum::middleware::from_fn;
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
use super::question::{
    Approval, OfConflicts, OfHistory, OfLatency, OfPasses, OfQuarantine, OfRecords, OfUsage, OfWebhooks, Resolution,
    Resolutions, only,
};
use super::site::Site;
use super::watched::LatencyView;
use super::wire::SyncRequest;

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
    /// The JSON Schema of its parameters.
    query: Value,
    /// The JSON Schema of the body, where it takes one.
    body: Option<Value>,
    /// What it may be refused with besides what holds for all.
    refusals: Vec<u16>,
    /// The JSON Schema of the answer.
    answer: Answer,
    handler: MethodRouter<Arc<Site>>,
}

/// The routes.
pub fn router() -> Router<Arc<Site>> {
    table().into_iter().fold(Router::new(), |router, route| {
        let names: Arc<[String]> = parameters(&route.query).map(|(name, _)| name.clone()).collect();
        let checked = from_fn(move |request, next| only(Arc::clone(&names), request, next));
        router.route(route.path, route.handler.layer(checked))
    })
}

/// The schema of what is asked, all in one piece.
fn asked<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let mut schema = settings.with(|to| to.inline_subschemas = true).into_generator().into_root_schema_for::<T>();
    for unneeded in ["$schema", "title", "description"] {
        schema.remove(unneeded);
    }
    schema.to_value()
}

/// Each with its schema.
fn parameters(query: &Value) -> impl Iterator<Item = (&String, &Value)> {
    query["properties"].as_object().into_iter().flatten()
}

/// A parameter that is left out is no null.
fn given(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let Some(members) = schema.as_object_mut() else { return schema };
    if let Some(Value::Array(types)) = members.get("type") {
        let only: Vec<Value> = types.iter().filter(|name| *name != "null").cloned().collect();
        if let [one] = only.as_slice() {
            members.insert("type".to_owned(), one.clone());
        }
    }
    if let Some(Value::Array(choices)) = members.remove("anyOf") {
        let one = choices.into_iter().find(|choice| choice["type"] != "null");
        members
            .extend(one.as_ref().and_then(Value::as_object).into_iter().flatten().map(|(a, b)| (a.clone(), b.clone())));
    }
    members.remove("description");
    members.remove("default");
    schema
}

type Text = &'static str;
type Handler = MethodRouter<Arc<Site>>;

/// A route that only looks.
fn look(path: Text, summary: Text, answer: Answer, handler: Handler) -> Route {
    let refusals = if path.contains('{') { vec![404] } else { Vec::new() };
    Route { method: "get", path, summary, query: Value::Null, body: None, refusals, answer, handler }
}

/// A route that changes something.
fn act(path: Text, summary: Text, answer: Answer, handler: Handler) -> Route {
    let mut route = look(path, summary, answer, handler);
    route.refusals.push(403);
    Route { method: "post", ..route }
}

impl Route {
    /// With these parameters.
    fn by<T: JsonSchema>(self) -> Self {
        Self { query: asked::<T>(), ..self }
    }

    /// With this body.
    fn saying<T: JsonSchema>(self) -> Self {
        Self { body: Some(asked::<T>()), ..self }.or(413)
    }

    /// It may be refused like this.
    fn or(mut self, status: u16) -> Self {
        self.refusals.push(status);
        self
    }
}

fn table() -> Vec<Route> {
    let mut all = vec![look("/openapi.json", "This description.", |_| json!({ "type": "object" }), get(openapi))];
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
            |schemas| list::<CollectionView>(schemas, "collections"),
            get(api::collections),
        ),
        look("/passes", "Passes, newest first.", one::<PassPage>, get(api::list_passes)).by::<OfPasses>(),
        look("/passes/{id}", "A pass, with what it did.", one::<PassView>, get(api::one_pass)).by::<OfHistory>(),
        look("/rules", "The rules in force, and what is said of their files.", one::<RulesView>, get(api::rules)),
        look(
            "/upstreams",
            "What is known of each upstream.",
            |schemas| list::<UpstreamView>(schemas, "upstreams"),
            get(api::upstreams),
        ),
        look(
            "/upstreams/{upstream}/latency",
            "How an upstream answered, minute by minute for three hours, or hour by hour for two weeks.",
            one::<LatencyView>,
            get(api::latency),
        )
        .by::<OfLatency>(),
        look(
            "/usage",
            "What was asked of each upstream, what it cost, and when a quota would run out.",
            one::<UsageReport>,
            get(api::usage),
        )
        .by::<OfUsage>()
        .or(404),
    ]
}

/// Conflicts and halts.
fn decisions() -> Vec<Route> {
    vec![
        look(
            "/conflicts",
            "What no rule could decide.",
            one::<ConflictPage>,
            get(api::list_conflicts),
        )
        .by::<OfConflicts>(),
        act(
            "/conflicts/resolve",
            "Takes one side's say for all that match.",
            one::<BulkDone>,
            post(api::resolve_many),
        )
        .saying::<Resolutions>(),
        look("/conflicts/{id}", "A conflict, with every side's say.", one::<Conflict>, get(api::one_conflict)),
        act(
            "/conflicts/{id}/resolve",
            "Decides it; the next pass applies it.",
            one::<api::Decided>,
            post(api::resolve_one),
        )
        .saying::<Resolution>()
        .or(409),
        look("/halts", "What guards stopped.", |schemas| list::<Halt>(schemas, "halts"), get(api::list_halts)),
        look("/halts/{id}", "A halt, with what would be done.", one::<HaltView>, get(api::one_halt)),
        act(
            "/halts/{id}/reject",
            "Does nothing of it; the collection rests.",
            |_| json!({ "type": "object", "required": ["collection"], "properties": { "collection": { "type": "string" } } }),
            post(api::reject_one),
        )
        .or(409),
        act(
            "/halts/{id}/approve",
            "Lets a halted pass through once.",
            one::<Halt>,
            post(api::approve_one),
        )
        .saying::<Approval>()
        .or(409),
    ]
}

/// Records, and what is set aside or came in.
fn lists() -> Vec<Route> {
    vec![
        look("/quarantine", "Records set aside, or waiting for another.", one::<Asides>, get(api::quarantine))
            .by::<OfQuarantine>(),
        look("/webhooks", "Webhooks that came in, the newest first.", one::<Inbox>, get(api::webhooks))
            .by::<OfWebhooks>(),
        act("/webhooks/{id}/retry", "Lets one that could not be followed wait again.", nothing, post(api::retry_hook))
            .or(409),
        act("/webhooks/{id}/drop", "Forgets one that could not be followed.", nothing, post(api::drop_hook)),
        look("/records/{collection}", "Records in the order of their ids.", one::<Records>, get(api::list_records))
            .by::<OfRecords>(),
        look("/records/{collection}/{id}", "A record as every side has it.", one::<RecordView>, get(api::one_record))
            .by::<OfHistory>(),
    ]
}

/// What passes are asked for.
fn requests() -> Vec<Route> {
    vec![
        act("/sync", "Asks for passes now.", |schemas| list::<String>(schemas, "collections"), post(api::sync))
            .saying::<SyncRequest>()
            .or(409),
        act("/pause/{collection}", "Lets a collection rest.", nothing, post(api::pause)).or(409),
        act("/resume/{collection}", "Lets it go on.", nothing, post(api::resume)).or(409),
    ]
}

async fn openapi() -> Response {
    Json(description()).into_response()
}

/// What every question may be refused with: parameters or proxies that are not understood, no token, another name, no database.
const REFUSALS: [u16; 4] = [400, 401, 421, 503];

fn operation(path: &str, route: &Route, answer: &Value) -> Value {
    let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        // Ids of records are texts, all others numbers.
        let ty = if name == "id" && !path.starts_with("/records") { "integer" } else { "string" };
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": ty } })
    });
    let in_query = parameters(&route.query).map(|(name, schema)| {
        json!({ "name": name, "in": "query", "description": schema["description"], "schema": given(schema) })
    });
    let done = json!({ "description": "done", "content": { "application/json": { "schema": answer } } });
    let mut responses = serde_json::Map::from_iter([("200".to_owned(), done)]);
    for status in REFUSALS.iter().chain(&route.refusals) {
        responses.insert(status.to_string(), json!({ "$ref": "#/components/responses/Refused" }));
    }
    let mut said = json!({
        "summary": route.summary,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": responses,
    });
    if let (Some(body), Some(said)) = (&route.body, said.as_object_mut()) {
        let body = json!({
            "required": body["required"].is_array(), "content": { "application/json": { "schema": body } },
        });
        said.insert("requestBody".to_owned(), body);
    }
    said
}

/// The description, in `OpenAPI` 3.1.
pub fn description() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schemas = settings.with(|to| to.definitions_path = "/components/schemas".into()).into_generator();
    let mut paths = serde_json::Map::new();
    for route in table() {
        let said = operation(route.path, &route, &(route.answer)(&mut schemas));
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
