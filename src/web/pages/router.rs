//! Owns: which page is where.
//!
//! Must not know: what a page shows.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::super::site::Site;
use super::{act, decide, overview, passes, records};

/// The pages, and what their forms do.
pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/", get(overview::overview))
        .route("/upstreams", get(overview::upstreams))
        .route("/passes", get(passes::list))
        .route("/passes/{id}", get(passes::one))
        .route("/conflicts", get(decide::conflicts))
        .route("/conflicts/{id}/resolve", post(act::resolve))
        .route("/halts", get(decide::halts))
        .route("/halts/{id}/approve", post(act::approve))
        .route("/quarantine", get(records::quarantine))
        .route("/records/{collection}", get(records::list))
        .route("/records/{collection}/{id}", get(records::one))
        .route("/sync/{collection}", post(act::sync))
        .route("/pause/{collection}", post(act::pause))
        .route("/resume/{collection}", post(act::resume))
}
