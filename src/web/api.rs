//! Owns: the API for programs, and its description.
//!
//! Must not know: who may ask; what decisions lead to.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use http::{StatusCode, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::ops::{Bulk, Choice, Halt, OpsError, USAGE_DAYS, USAGE_DAYS_MAX, approve, raw, resolve};

use crate::store::{ConflictFilter, Grain, HookState};

use super::control::refuse;
use super::look::{LIST_DEFAULT, LIST_MAX};
use super::site::Site;
use super::wire::SyncRequest;

/// What every path begins with.
pub const PATH: &str = "/api/v1";

/// One route, with what is said of it.
struct Route {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Name and meaning.
    query: &'static [(&'static str, &'static str)],
    /// The JSON Schema of the body, where it takes one.
    body: Option<Value>,
    handler: MethodRouter<Arc<Site>>,
}

/// The routes.
pub fn router() -> Router<Arc<Site>> {
    table().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler))
}

const COLLECTION: (&str, &str) = ("collection", "only this collection");
const LIMIT: (&str, &str) = ("limit", "at most so many, 50 where nothing is said, 500 at most");

fn table() -> Vec<Route> {
    let look = |path, summary, query, handler| Route { method: "get", path, summary, query, body: None, handler };
    let act = |path, summary, body, handler| Route { method: "post", path, summary, query: &[], body, handler };
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
    let passes = json!({ "type": "object", "additionalProperties": false, "properties": {
        "collections": { "type": "array", "items": { "type": "string" }, "description": "all where none is named" },
        "full": { "type": "boolean", "description": "read everything" } } });
    vec![
        look("/openapi.json", "This description.", &[], get(openapi)),
        look("/collections", "How each collection stands.", &[], get(collections)),
        look("/passes", "Passes, newest first.", &[COLLECTION, LIMIT], get(list_passes)),
        look("/passes/{id}", "A pass, with what it did.", &[], get(one_pass)),
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
            get(list_conflicts),
        ),
        act("/conflicts/resolve", "Takes one side's say for all that match.", Some(bulk), post(resolve_many)),
        look("/conflicts/{id}", "A conflict, with every side's say.", &[], get(one_conflict)),
        act("/conflicts/{id}/resolve", "Decides it; the next pass applies it.", Some(resolution), post(resolve_one)),
        look("/halts", "What guards stopped.", &[], get(list_halts)),
        look("/halts/{id}", "A halt, with what would be done.", &[], get(one_halt)),
        act("/halts/{id}/reject", "Does nothing of it; the collection rests.", None, post(reject_one)),
        act("/halts/{id}/approve", "Lets a halted pass through once.", Some(approval), post(approve_one)),
        look("/quarantine", "Records set aside, or waiting for another.", &[COLLECTION, LIMIT], get(quarantine)),
        look("/rules", "The rules in force, and what is said of their files.", &[], get(rules)),
        look(
            "/webhooks",
            "Webhooks that came in, the newest first.",
            &[("state", "`waiting`, `dead`, `done`, `replaced` or `ignored`"), LIMIT],
            get(webhooks),
        ),
        act("/webhooks/{id}/retry", "Lets one that could not be followed wait again.", None, post(retry_hook)),
        act("/webhooks/{id}/drop", "Forgets one that could not be followed.", None, post(drop_hook)),
        look("/upstreams", "What is known of each upstream.", &[], get(upstreams)),
        look(
            "/upstreams/{upstream}/latency",
            "How an upstream answered, minute by minute for three hours, or hour by hour for two weeks.",
            &[("grain", "`minute`, or `hour`; `minute` where nothing is said")],
            get(latency),
        ),
        look(
            "/usage",
            "What was asked of each upstream, what it cost, and when a quota would run out.",
            &[
                ("upstream", "only this upstream"),
                ("days", "averages and lists over so many days, 30 where nothing is said"),
            ],
            get(usage),
        ),
        look(
            "/records/{collection}",
            "Records in the order of their ids.",
            &[("after", "ids greater than this"), LIMIT, ("q", "only the record of this id, here or at an upstream")],
            get(list_records),
        ),
        look("/records/{collection}/{id}", "A record as every side has it.", &[], get(one_record)),
        act("/sync", "Asks for passes now.", Some(passes), post(sync)),
        act("/pause/{collection}", "Lets a collection rest.", None, post(pause)),
        act("/resume/{collection}", "Lets it go on.", None, post(resume)),
    ]
}

async fn openapi() -> Response {
    Json(description()).into_response()
}

/// The description, in `OpenAPI` 3.1.
fn description() -> Value {
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
                "200": { "description": "done", "content": { "application/json": { "schema": {} } } },
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
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "Refused": { "description": "why not", "content": { "application/json": { "schema": {
                "type": "object", "required": ["error"], "properties": { "error": { "type": "string" } } } } } } },
        },
    })
}

/// Why something was not done.
pub fn refusal(error: &OpsError) -> (StatusCode, String) {
    let status = match error {
        OpsError::NotFound(_) => StatusCode::NOT_FOUND,
        OpsError::Refused(_) => StatusCode::CONFLICT,
        OpsError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, error.to_string())
}

fn answer<T: Serialize>(result: Result<T, OpsError>) -> Response {
    match result {
        Ok(found) => Json(found).into_response(),
        Err(error) => {
            let (status, words) = refusal(&error);
            refuse(status, &words)
        }
    }
}

/// The parameters of a question; of one that is given twice, the last.
pub fn parameters(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// The parameters of an address.
pub fn query(uri: &Uri) -> BTreeMap<String, String> {
    parameters(uri.query().unwrap_or_default().as_bytes())
}

/// How many are asked for.
pub fn limit(query: &BTreeMap<String, String>) -> usize {
    let given = query.get("limit").and_then(|text| text.parse().ok());
    given.unwrap_or(LIST_DEFAULT).clamp(1, LIST_MAX)
}

/// Which conflicts are asked for; an empty value asks for nothing in particular.
pub fn conflict_filter(query: &BTreeMap<String, String>) -> ConflictFilter {
    let given = |name: &str| query.get(name).filter(|text| !text.is_empty()).cloned();
    ConflictFilter {
        collection: given("collection"),
        field: given("field"),
        after: given("after").and_then(|text| text.parse().ok()),
        closed_too: query.get("all").is_some_and(|all| all == "true"),
        limit: limit(query),
        ..ConflictFilter::default()
    }
}

/// A state of webhooks by its name.
pub fn hook_state(name: &str) -> Option<HookState> {
    match name {
        "waiting" => Some(HookState::Waiting),
        "done" => Some(HookState::Done),
        "replaced" => Some(HookState::Replaced),
        "ignored" => Some(HookState::Ignored),
        "dead" => Some(HookState::Dead),
        _ => None,
    }
}

/// The body; nothing at all counts as nothing said.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, OpsError> {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| OpsError::Refused(format!("the body is not understood: {error}")))
}

fn number(text: &str) -> Result<i64, OpsError> {
    text.parse().map_err(|_none| OpsError::NotFound("no such number".to_owned()))
}

async fn collections(State(site): State<Arc<Site>>) -> Response {
    answer(site.collections().await.map(|collections| BTreeMap::from([("collections", collections)])))
}

async fn list_passes(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let query = query(&uri);
    let passes = site.passes(query.get("collection").cloned(), limit(&query)).await;
    answer(passes.map(|passes| BTreeMap::from([("passes", passes)])))
}

async fn one_pass(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    match number(&id) {
        Ok(id) => answer(site.pass(id).await),
        Err(error) => answer::<()>(Err(error)),
    }
}

async fn list_conflicts(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let query = query(&uri);
    answer(site.conflicts(conflict_filter(&query)).await)
}

async fn one_conflict(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    match number(&id) {
        Ok(id) => answer(site.conflict(id).await),
        Err(error) => answer::<()>(Err(error)),
    }
}

/// A choice as programs send it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolution {
    take: Option<String>,
    #[serde(default)]
    values: Vec<Box<RawValue>>,
    #[serde(default)]
    delete: bool,
    #[serde(default)]
    keep: bool,
}

async fn resolve_one(State(site): State<Arc<Site>>, Path(id): Path<String>, bytes: Bytes) -> Response {
    let done = async {
        let said: Resolution = body(&bytes)?;
        let values = said.values.iter().map(|value| value.get().to_owned()).collect();
        let choice = Choice { take: said.take, values, delete: said.delete, keep: said.keep, ..Choice::default() };
        site.resolve(number(&id)?, choice).await
    };
    answer(done.await)
}

/// A choice for many as programs send it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolutions {
    take: String,
    collection: Option<String>,
    field: Option<String>,
    up_to: Option<i64>,
}

async fn resolve_many(State(site): State<Arc<Site>>, bytes: Bytes) -> Response {
    let done = async {
        let Resolutions { take, collection, field, up_to } = body(&bytes)?;
        site.resolve_all(Bulk { collection, field, up_to }, &take).await
    };
    answer(done.await)
}

async fn one_halt(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    let found = async { site.halt(number(&id)?).await };
    answer(found.await)
}

async fn reject_one(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    let done = async { site.reject(number(&id)?).await.map(|collection| json!({ "collection": collection })) };
    answer(done.await)
}

async fn rules(State(site): State<Arc<Site>>) -> Response {
    answer(Ok(site.rules()))
}

async fn webhooks(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let query = query(&uri);
    let state = hook_state(query.get("state").map_or("", String::as_str));
    answer(site.webhooks(state, limit(&query)).await)
}

async fn retry_hook(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    let done = async { site.retry_hook(number(&id)?).await.map(|()| json!({})) };
    answer(done.await)
}

async fn drop_hook(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    let done = async { site.drop_hook(number(&id)?).await.map(|()| json!({})) };
    answer(done.await)
}

async fn list_halts(State(site): State<Arc<Site>>) -> Response {
    answer(site.halts().await.map(|halts| BTreeMap::from([("halts", halts)])))
}

/// An approval as programs send it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    wins: Option<String>,
}

async fn approve_one(State(site): State<Arc<Site>>, Path(id): Path<String>, bytes: Bytes) -> Response {
    let done = async {
        let said: Approval = body(&bytes)?;
        site.approve(number(&id)?, said.wins.as_deref()).await
    };
    answer(done.await)
}

async fn quarantine(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let query = query(&uri);
    let aside = site.quarantine(query.get("collection").cloned(), limit(&query)).await;
    answer(aside.map(|aside| BTreeMap::from([("quarantine", aside)])))
}

async fn upstreams(State(site): State<Arc<Site>>) -> Response {
    answer(site.upstreams().await.map(|upstreams| BTreeMap::from([("upstreams", upstreams)])))
}

async fn latency(State(site): State<Arc<Site>>, Path(upstream): Path<String>, uri: Uri) -> Response {
    let grain = match query(&uri).get("grain").map(String::as_str) {
        None | Some("minute") => Grain::Minute,
        Some("hour") => Grain::Hour,
        Some(_) => return answer::<()>(Err(OpsError::Refused("`grain` is `minute` or `hour`".to_owned()))),
    };
    answer(site.latency(upstream, grain).await)
}

async fn usage(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let mut query = query(&uri);
    let days = query.get("days").and_then(|text| text.parse().ok()).unwrap_or(USAGE_DAYS).clamp(1, USAGE_DAYS_MAX);
    answer(site.usage(query.remove("upstream"), days).await)
}

async fn list_records(State(site): State<Arc<Site>>, Path(collection): Path<String>, uri: Uri) -> Response {
    let mut query = query(&uri);
    let (limit, after) = (limit(&query), query.remove("after").unwrap_or_default());
    answer(site.records(collection, after, limit, query.remove("q")).await)
}

async fn one_record(State(site): State<Arc<Site>>, Path((collection, id)): Path<(String, String)>) -> Response {
    answer(site.record(collection, id).await)
}

async fn sync(State(site): State<Arc<Site>>, bytes: Bytes) -> Response {
    let done = async {
        let asked: SyncRequest = body(&bytes)?;
        site.sync(asked.collections, asked.full).await.map(|accepted| json!({ "collections": accepted }))
    };
    answer(done.await)
}

async fn pause(State(site): State<Arc<Site>>, Path(collection): Path<String>) -> Response {
    answer(site.pause(collection, true).await.map(|()| json!({})))
}

async fn resume(State(site): State<Arc<Site>>, Path(collection): Path<String>) -> Response {
    answer(site.pause(collection, false).await.map(|()| json!({})))
}

/// A choice that was written down.
#[derive(Serialize)]
pub struct Decided {
    conflict: i64,
    resolution: Option<Box<RawValue>>,
}

impl Site {
    /// Writes a person's choice down.
    pub async fn resolve(&self, id: i64, choice: Choice) -> Result<Decided, OpsError> {
        let rules = self.front.desk.standing().rules;
        let done = resolve(self.store.as_ref(), &rules, id, choice).await?;
        tracing::info!("web: conflict {id} is resolved");
        Ok(Decided { conflict: done.conflict, resolution: raw(&done.resolution) })
    }

    /// Approves a halt.
    pub async fn approve(&self, id: i64, wins: Option<&str>) -> Result<Halt, OpsError> {
        let now = self.front.clock.now().timestamp_micros();
        let done = approve(self.store.as_ref(), id, wins, now).await?;
        tracing::info!("web: halt {id} of {} is approved", done.halt.collection);
        Ok(done.halt)
    }

    /// Asks for passes; the collections whose passes are made.
    pub async fn sync(&self, collections: Vec<String>, full: bool) -> Result<Vec<String>, OpsError> {
        let accepted = self.front.desk.sync(collections, full).await.map_err(OpsError::Refused)?;
        tracing::info!("web: passes are asked for: {}", accepted.collections.join(", "));
        Ok(accepted.collections)
    }

    /// Lets a collection rest, or go on.
    pub async fn pause(&self, collection: String, paused: bool) -> Result<(), OpsError> {
        self.front.desk.pause(collection, paused).await.map_err(OpsError::Refused)
    }
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

    #[test]
    fn limits_are_bounded() {
        let check = |text: &str, expected: usize| assert_eq!(limit(&parameters(text.as_bytes())), expected, "{text}");
        check("", LIST_DEFAULT);
        check("limit=7", 7);
        check("limit=0", 1);
        check("limit=100000", LIST_MAX);
        check("limit=x", LIST_DEFAULT);
    }
}
