//! Owns: whether the daemon lives, and whether it is ready.
//!
//! Must not know: who asks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::store::{PassRow, StoreError, View, read};

use super::site::Site;

/// Passes that are looked at for one that has ended.
const PASSES_MAX: usize = 5;

/// 200 while the loop looks around.
pub async fn healthz(State(site): State<Arc<Site>>) -> Response {
    let clock = &site.front.clock;
    if site.front.desk.is_alive(clock.monotonic()) {
        return Json(json!({ "alive": true })).into_response();
    }
    let words = "the loop of the daemon has not been heard of for a while";
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "alive": false, "reasons": [words] }))).into_response()
}

/// 200 once every collection had its first pass, unless the last one of some collection failed.
pub async fn readyz(State(site): State<Arc<Site>>) -> Response {
    let standing = site.front.desk.standing();
    let names: Vec<String> = standing.collections.iter().map(|place| place.collection.clone()).collect();
    let found = read(site.store.as_ref(), move |view| {
        names.iter().map(|name| reason(view, name)).collect::<Result<Vec<_>, StoreError>>()
    })
    .await;
    // What exactly the store says is for those who may look.
    let mut reasons = found.unwrap_or_else(|_error| vec![Some("the database cannot be read".to_owned())]);
    if standing.stopping {
        reasons.push(Some("the daemon is stopping".to_owned()));
    }
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons }))).into_response()
}

fn reason(view: &dyn View, name: &str) -> Result<Option<String>, StoreError> {
    Ok(why_not(name, &view.passes(Some(name), PASSES_MAX)?))
}

/// Why a collection is not ready, by its passes.
fn why_not(name: &str, passes: &[PassRow]) -> Option<String> {
    let ended = passes.iter().filter(|pass| pass.ended_at.is_some());
    match ended.max_by_key(|pass| (pass.ended_at, pass.id)) {
        None => Some(format!("{name}: its first pass is not over")),
        Some(pass) if pass.outcome == "failed" => Some(format!("{name}: pass {} failed", pass.id)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_ready_after_a_pass_that_did_not_fail() {
        let pass = |id: i64, ended_at: Option<i64>, outcome: &str| PassRow {
            id,
            ended_at,
            outcome: outcome.to_owned(),
            ..PassRow::default()
        };
        let check = |passes: &[PassRow], expected: Option<&str>| {
            assert_eq!(why_not("contacts", passes).as_deref(), expected, "{passes:?}");
        };
        let (runs, failed, fine) = (pass(3, None, ""), pass(2, Some(1), "failed"), pass(1, Some(1), "halted"));
        check(&[], Some("contacts: its first pass is not over"));
        check(std::slice::from_ref(&runs), Some("contacts: its first pass is not over"));
        check(&[runs, failed.clone()], Some("contacts: pass 2 failed"));
        check(&[failed, fine.clone()], Some("contacts: pass 2 failed"));
        check(std::slice::from_ref(&fine), None);
        let ended_later = PassRow { ended_at: Some(2), ..fine };
        check(&[pass(2, Some(1), "failed"), ended_later], None);
    }
}
