//! Owns: the answers of the API for programs.
//!
//! Must not know: who may ask; what decisions lead to.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;

use crate::ops::{Bulk, Choice, Halt, OpsError, USAGE_DAYS, USAGE_DAYS_MAX, approve, raw, resolve};

use crate::store::{ConflictFilter, Grain, HookState, PassFilter};

use super::control::refuse;
use super::look::{LIST_DEFAULT, LIST_MAX};
use super::site::Site;
use super::wire::SyncRequest;

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

/// The number after which a page goes on.
pub fn after(query: &BTreeMap<String, String>) -> Option<i64> {
    query.get("after").and_then(|text| text.parse().ok())
}

/// Which passes are asked for; an empty value asks for nothing in particular.
pub fn pass_filter(query: &BTreeMap<String, String>) -> PassFilter {
    let given = |name: &str| query.get(name).filter(|text| !text.is_empty()).cloned();
    let (collection, outcome) = (given("collection"), given("outcome"));
    PassFilter { collection, outcome, before: after(query), limit: limit(query) }
}

/// Which conflicts are asked for; an empty value asks for nothing in particular.
pub fn conflict_filter(query: &BTreeMap<String, String>) -> ConflictFilter {
    let given = |name: &str| query.get(name).filter(|text| !text.is_empty()).cloned();
    ConflictFilter {
        collection: given("collection"),
        field: given("field"),
        after: after(query),
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

pub async fn collections(State(site): State<Arc<Site>>) -> Response {
    answer(site.collections().await.map(|collections| BTreeMap::from([("collections", collections)])))
}

pub async fn list_passes(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    answer(site.passes(pass_filter(&query(&uri))).await)
}

pub async fn one_pass(State(site): State<Arc<Site>>, Path(id): Path<String>, uri: Uri) -> Response {
    match number(&id) {
        Ok(id) => answer(site.pass(id, after(&query(&uri))).await),
        Err(error) => answer::<()>(Err(error)),
    }
}

pub async fn list_conflicts(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let query = query(&uri);
    answer(site.conflicts(conflict_filter(&query)).await)
}

pub async fn one_conflict(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
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

pub async fn resolve_one(State(site): State<Arc<Site>>, Path(id): Path<String>, bytes: Bytes) -> Response {
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

pub async fn resolve_many(State(site): State<Arc<Site>>, bytes: Bytes) -> Response {
    let done = async {
        let Resolutions { take, collection, field, up_to } = body(&bytes)?;
        site.resolve_all(Bulk { collection, field, up_to }, &take).await
    };
    answer(done.await)
}

pub async fn one_halt(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    let found = async { site.halt(number(&id)?).await };
    answer(found.await)
}

pub async fn reject_one(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    let done = async { site.reject(number(&id)?).await.map(|collection| json!({ "collection": collection })) };
    answer(done.await)
}

pub async fn rules(State(site): State<Arc<Site>>) -> Response {
    answer(Ok(site.rules()))
}

pub async fn webhooks(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let query = query(&uri);
    let state = hook_state(query.get("state").map_or("", String::as_str));
    answer(site.webhooks(state, after(&query), limit(&query)).await)
}

pub async fn retry_hook(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    let done = async { site.retry_hook(number(&id)?).await.map(|()| json!({})) };
    answer(done.await)
}

pub async fn drop_hook(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    let done = async { site.drop_hook(number(&id)?).await.map(|()| json!({})) };
    answer(done.await)
}

pub async fn list_halts(State(site): State<Arc<Site>>) -> Response {
    answer(site.halts().await.map(|halts| BTreeMap::from([("halts", halts)])))
}

/// An approval as programs send it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    wins: Option<String>,
}

pub async fn approve_one(State(site): State<Arc<Site>>, Path(id): Path<String>, bytes: Bytes) -> Response {
    let done = async {
        let said: Approval = body(&bytes)?;
        site.approve(number(&id)?, said.wins.as_deref()).await
    };
    answer(done.await)
}

pub async fn quarantine(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let query = query(&uri);
    let after = query.get("after").map(String::as_str);
    answer(site.quarantine(query.get("collection").cloned(), after, limit(&query)).await)
}

pub async fn upstreams(State(site): State<Arc<Site>>) -> Response {
    answer(site.upstreams().await.map(|upstreams| BTreeMap::from([("upstreams", upstreams)])))
}

pub async fn latency(State(site): State<Arc<Site>>, Path(upstream): Path<String>, uri: Uri) -> Response {
    let grain = match query(&uri).get("grain").map(String::as_str) {
        None | Some("minute") => Grain::Minute,
        Some("hour") => Grain::Hour,
        Some(_) => return answer::<()>(Err(OpsError::Refused("`grain` is `minute` or `hour`".to_owned()))),
    };
    answer(site.latency(upstream, grain).await)
}

pub async fn usage(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let mut query = query(&uri);
    let days = query.get("days").and_then(|text| text.parse().ok()).unwrap_or(USAGE_DAYS).clamp(1, USAGE_DAYS_MAX);
    answer(site.usage(query.remove("upstream"), days).await)
}

pub async fn list_records(State(site): State<Arc<Site>>, Path(collection): Path<String>, uri: Uri) -> Response {
    let mut query = query(&uri);
    let (limit, after) = (limit(&query), query.remove("after").unwrap_or_default());
    answer(site.records(collection, after, limit, query.remove("q")).await)
}

pub async fn one_record(
    State(site): State<Arc<Site>>,
    Path((collection, id)): Path<(String, String)>,
    uri: Uri,
) -> Response {
    answer(site.record(collection, id, after(&query(&uri))).await)
}

pub async fn sync(State(site): State<Arc<Site>>, bytes: Bytes) -> Response {
    let done = async {
        let asked: SyncRequest = body(&bytes)?;
        site.sync(asked.collections, asked.full).await.map(|accepted| json!({ "collections": accepted }))
    };
    answer(done.await)
}

pub async fn pause(State(site): State<Arc<Site>>, Path(collection): Path<String>) -> Response {
    answer(site.pause(collection, true).await.map(|()| json!({})))
}

pub async fn resume(State(site): State<Arc<Site>>, Path(collection): Path<String>) -> Response {
    answer(site.pause(collection, false).await.map(|()| json!({})))
}

/// A choice that was written down.
#[derive(JsonSchema, Serialize)]
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
    fn limits_are_bounded() {
        let check = |text: &str, expected: usize| assert_eq!(limit(&parameters(text.as_bytes())), expected, "{text}");
        check("", LIST_DEFAULT);
        check("limit=7", 7);
        check("limit=0", 1);
        check("limit=100000", LIST_MAX);
        check("limit=x", LIST_DEFAULT);
    }
}
