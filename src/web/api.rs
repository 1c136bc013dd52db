//! Owns: the answers of the API for programs.
//!
//! Must not know: who may ask; what decisions lead to.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::ops::{Bulk, Choice, Halt, OpsError, USAGE_DAYS, USAGE_DAYS_MAX, approve, raw, resolve};
use crate::store::Grain;

use super::control::refuse;
use super::look::no_collection;
use super::question::{
    Approval, GrainName, Named, OfConflicts, OfHistory, OfLatency, OfPasses, OfQuarantine, OfRecords, OfUsage,
    OfWebhooks, Parameters, Resolution, Resolutions, Said,
};
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

fn number(text: &str) -> Result<i64, OpsError> {
    text.parse().map_err(|_none| OpsError::NotFound("no such number".to_owned()))
}

pub async fn collections(State(site): State<Arc<Site>>) -> Response {
    answer(site.collections().await.map(|collections| BTreeMap::from([("collections", collections)])))
}

pub async fn list_passes(State(site): State<Arc<Site>>, Parameters(of): Parameters<OfPasses>) -> Response {
    answer(site.passes(of.filter()).await)
}

pub async fn one_pass(
    State(site): State<Arc<Site>>,
    Named(id): Named<String>,
    Parameters(of): Parameters<OfHistory>,
) -> Response {
    match number(&id) {
        Ok(id) => answer(site.pass(id, of.after).await),
        Err(error) => answer::<()>(Err(error)),
    }
}

pub async fn list_conflicts(State(site): State<Arc<Site>>, Parameters(of): Parameters<OfConflicts>) -> Response {
    answer(site.conflicts(of.filter()).await)
}

pub async fn one_conflict(State(site): State<Arc<Site>>, Named(id): Named<String>) -> Response {
    match number(&id) {
        Ok(id) => answer(site.conflict(id).await),
        Err(error) => answer::<()>(Err(error)),
    }
}

pub async fn resolve_one(
    State(site): State<Arc<Site>>,
    Named(id): Named<String>,
    Said(said): Said<Resolution>,
) -> Response {
    let done = async {
        let values = said.values.iter().map(|value| value.get().to_owned()).collect();
        let choice = Choice { take: said.take, values, delete: said.delete, keep: said.keep, ..Choice::default() };
        site.resolve(number(&id)?, choice).await
    };
    answer(done.await)
}

pub async fn resolve_many(State(site): State<Arc<Site>>, Said(said): Said<Resolutions>) -> Response {
    let Resolutions { take, collection, field, up_to } = said;
    answer(site.resolve_all(Bulk { collection, field, up_to }, &take).await)
}

pub async fn one_halt(State(site): State<Arc<Site>>, Named(id): Named<String>) -> Response {
    let found = async { site.halt(number(&id)?).await };
    answer(found.await)
}

pub async fn reject_one(State(site): State<Arc<Site>>, Named(id): Named<String>) -> Response {
    let done = async { site.reject(number(&id)?).await.map(|collection| json!({ "collection": collection })) };
    answer(done.await)
}

pub async fn rules(State(site): State<Arc<Site>>) -> Response {
    answer(Ok(site.rules()))
}

pub async fn webhooks(State(site): State<Arc<Site>>, Parameters(of): Parameters<OfWebhooks>) -> Response {
    let limit = of.limit();
    answer(site.webhooks(of.state, of.after, limit).await)
}

pub async fn retry_hook(State(site): State<Arc<Site>>, Named(id): Named<String>) -> Response {
    let done = async { site.retry_hook(number(&id)?).await.map(|()| json!({})) };
    answer(done.await)
}

pub async fn drop_hook(State(site): State<Arc<Site>>, Named(id): Named<String>) -> Response {
    let done = async { site.drop_hook(number(&id)?).await.map(|()| json!({})) };
    answer(done.await)
}

pub async fn list_halts(State(site): State<Arc<Site>>) -> Response {
    answer(site.halts().await.map(|halts| BTreeMap::from([("halts", halts)])))
}

pub async fn approve_one(
    State(site): State<Arc<Site>>,
    Named(id): Named<String>,
    Said(said): Said<Approval>,
) -> Response {
    let done = async { site.approve(number(&id)?, said.wins.as_deref()).await };
    answer(done.await)
}

pub async fn quarantine(State(site): State<Arc<Site>>, Parameters(of): Parameters<OfQuarantine>) -> Response {
    answer(site.quarantine(of.filter()).await)
}

pub async fn upstreams(State(site): State<Arc<Site>>) -> Response {
    answer(site.upstreams().await.map(|upstreams| BTreeMap::from([("upstreams", upstreams)])))
}

pub async fn latency(
    State(site): State<Arc<Site>>,
    Named(upstream): Named<String>,
    Parameters(of): Parameters<OfLatency>,
) -> Response {
    let grain = match of.grain {
        None | Some(GrainName::Minute) => Grain::Minute,
        Some(GrainName::Hour) => Grain::Hour,
    };
    answer(site.latency(upstream, grain).await)
}

pub async fn usage(State(site): State<Arc<Site>>, Parameters(of): Parameters<OfUsage>) -> Response {
    let days = of.days.unwrap_or(USAGE_DAYS).clamp(1, USAGE_DAYS_MAX);
    answer(site.usage(of.upstream, days).await)
}

pub async fn list_records(
    State(site): State<Arc<Site>>,
    Named(collection): Named<String>,
    Parameters(of): Parameters<OfRecords>,
) -> Response {
    let limit = of.limit();
    answer(site.records(collection, of.after, limit, of.q).await)
}

pub async fn one_record(
    State(site): State<Arc<Site>>,
    Named((collection, id)): Named<(String, String)>,
    Parameters(of): Parameters<OfHistory>,
) -> Response {
    answer(site.record(collection, id, of.after).await)
}

pub async fn sync(State(site): State<Arc<Site>>, Said(asked): Said<SyncRequest>) -> Response {
    let done =
        async { site.sync(asked.collections, asked.full).await.map(|accepted| json!({ "collections": accepted })) };
    answer(done.await)
}

pub async fn pause(State(site): State<Arc<Site>>, Named(collection): Named<String>) -> Response {
    answer(site.pause(collection, true).await.map(|()| json!({})))
}

pub async fn resume(State(site): State<Arc<Site>>, Named(collection): Named<String>) -> Response {
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
        if !self.front.desk.standing().rules.collections.contains_key(&collection) {
            return Err(no_collection());
        }
        self.front.pause(self.store.as_ref(), collection, paused).await
    }
}
