//! Owns: which page is where.
//!
//! Must not know: what a page shows.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::super::site::Site;
use super::{act, conflicts, halts, overview, passes, records, rules, upstreams, webhooks};

/// The pages, and what their forms do.
pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/", get(overview::overview))
        .route("/upstreams", get(upstreams::upstreams))
        .route("/passes", get(passes::list))
        .route("/passes/{id}", get(passes::one))
        .route("/conflicts", get(conflicts::list))
        .route("/conflicts/resolve", post(act::resolve_all))
        .route("/conflicts/{id}", get(conflicts::one))
        .route("/conflicts/{id}/resolve", post(act::resolve))
        .route("/halts", get(halts::list))
        .route("/halts/{id}", get(halts::one))
        .route("/halts/{id}/reject", post(act::reject))
        .route("/halts/{id}/approve", post(act::approve))
        .route("/rules", get(rules::rules))
        .route("/webhooks", get(webhooks::inbox))
        .route("/webhooks/{id}/retry", post(act::retry_hook))
        .route("/webhooks/{id}/drop", post(act::drop_hook))
        .route("/quarantine", get(records::quarantine))
        .route("/records/{collection}", get(records::list))
        .route("/records/{collection}/{id}", get(records::one))
        .route("/sync/{collection}", post(act::sync))
        .route("/pause/{collection}", post(act::pause))
        .route("/resume/{collection}", post(act::resume))
}
