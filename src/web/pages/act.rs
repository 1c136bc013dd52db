//! Owns: what the forms of pages do.
//!
//! Must not know: how it is done; which forms are to be trusted.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;

use crate::ops::{Bulk, Choice, OpsError};

use super::super::site::Site;
use super::conflicts;
use super::form::{Form, Number};
use super::layout::trouble;

/// Asks for a pass.
pub async fn sync(State(site): State<Arc<Site>>, Path(collection): Path<String>, form: Form) -> Response {
    form.done(site.sync(vec![collection], false).await, "/")
}

/// Lets a collection rest.
pub async fn pause(State(site): State<Arc<Site>>, Path(collection): Path<String>, form: Form) -> Response {
    form.done(site.pause(collection, true).await, "/")
}

/// Lets it go on.
pub async fn resume(State(site): State<Arc<Site>>, Path(collection): Path<String>, form: Form) -> Response {
    form.done(site.pause(collection, false).await, "/")
}

/// Decides a conflict.
pub async fn resolve(State(site): State<Arc<Site>>, Number(id): Number, mut form: Form) -> Response {
    let fields = &mut form.fields;
    let back = back(fields);
    // A choice of one's own comes with a control for each field.
    let own: usize = fields.get("own").and_then(|count| count.parse().ok()).unwrap_or_default();
    let typed = (0..own.min(fields.len())).map(|at| {
        let is_null = fields.contains_key(&format!("null_{at}"));
        // Browsers send line breaks as CR LF.
        let text = fields.get(&format!("value_{at}")).map(|text| text.replace("\r\n", "\n"));
        text.filter(|_| !is_null)
    });
    let choice = Choice {
        typed: typed.collect(),
        take: fields.remove("take"),
        delete: fields.contains_key("delete"),
        keep: fields.contains_key("keep"),
        ..Choice::default()
    };
    match site.resolve(id, choice).await {
        Err(error @ OpsError::Refused(_)) if own > 0 => {
            conflicts::again(&site, &form.session, id, &error, form.fields).await
        }
        result => form.done(result, &back),
    }
}

/// Where a form leads back to: to conflicts, whatever it says.
fn back(fields: &BTreeMap<String, String>) -> String {
    let given = fields.get("back").filter(|back| *back == "/conflicts" || back.starts_with("/conflicts?"));
    given.cloned().unwrap_or_else(|| "/conflicts".to_owned())
}

/// Decides many conflicts.
pub async fn resolve_all(State(site): State<Arc<Site>>, form: Form) -> Response {
    let fields = &form.fields;
    if !fields.contains_key("sure") {
        let words = "Tick that it is meant for all of them.";
        return trouble(&form.session, StatusCode::UNPROCESSABLE_ENTITY, words);
    }
    let bulk = Bulk {
        collection: fields.get("collection").cloned(),
        field: fields.get("field").cloned(),
        up_to: fields.get("up_to").and_then(|text| text.parse().ok()),
    };
    let side = fields.get("take").map_or("", String::as_str);
    match site.resolve_all(bulk, side).await {
        Ok(decided) => conflicts::decided(&form.session, &decided, &back(fields)),
        Err(error) => form.done::<()>(Err(error), "/conflicts"),
    }
}

/// Approves a halt.
pub async fn approve(State(site): State<Arc<Site>>, Number(id): Number, form: Form) -> Response {
    form.done(site.approve(id, form.fields.get("wins").map(String::as_str)).await, "/halts")
}

/// Rejects a halt.
pub async fn reject(State(site): State<Arc<Site>>, Number(id): Number, form: Form) -> Response {
    form.done(site.reject(id).await, "/halts")
}

/// Lets a webhook that could not be followed wait again.
pub async fn retry_hook(State(site): State<Arc<Site>>, Number(id): Number, form: Form) -> Response {
    form.done(site.retry_hook(id).await, "/webhooks")
}

/// Forgets one.
pub async fn drop_hook(State(site): State<Arc<Site>>, Number(id): Number, form: Form) -> Response {
    form.done(site.drop_hook(id).await, "/webhooks")
}
