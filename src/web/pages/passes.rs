//! Owns: the pages of passes and of history lines.
//!
//! Must not know: where it comes from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use maud::{Markup, html};

use crate::ops::OpsError;

use super::super::access::Session;
use super::super::api::{limit, query};
use super::super::look::{Line, Pass};
use super::super::site::Site;
use super::layout::{record_link, show, table, time, value};

/// Passes, newest first.
pub async fn list(State(site): State<Arc<Site>>, Extension(session): Extension<Session>, uri: Uri) -> Response {
    let query = query(&uri);
    let passes = site.passes(query.get("collection").cloned(), limit(&query)).await;
    show(&session, "/passes", "Passes", passes, |passes| {
        let rows: Vec<Markup> = passes.iter().map(row).collect();
        table(&["Pass", "Collection", "Trigger", "Began", "Ended", "Outcome"], &rows, "There was no pass yet.")
    })
}

fn row(pass: &Pass) -> Markup {
    html! {
        th scope="row" { a href={ "/passes/" (pass.id) } { (pass.id) } }
        td { (pass.collection) }
        td { (pass.trigger) }
        td { (time(pass.started_at.as_ref())) }
        td { (time(pass.ended_at.as_ref())) }
        td { (pass.outcome) @if let Some(error) = &pass.error { div.bad { (error) } } }
    }
}

/// A pass, with what it did.
pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
) -> Response {
    let found = match id.parse() {
        Ok(id) => site.pass(id).await,
        Err(_) => Err(OpsError::NotFound("no such pass".to_owned())),
    };
    show(&session, "/passes", &format!("Pass {id}"), found, |view| {
        let pass = &view.pass;
        let counts = pass.counts.as_ref().and_then(|json| serde_json::from_str::<serde_json::Value>(json.get()).ok());
        html! {
            (table(&["Pass", "Collection", "Trigger", "Began", "Ended", "Outcome"], &[row(pass)], ""))
            @if let Some(counts) = counts {
                details { summary { "Counts" } pre { (format!("{counts:#}")) } }
            }
            h2 { "What it did" }
            (history(&view.history, "No lines of history; what a first load brings is only counted."))
        }
    })
}

/// Lines of history; says `nothing` where there are none.
pub fn history(lines: &[Line], nothing: &str) -> Markup {
    let rows: Vec<Markup> = lines
        .iter()
        .map(|line| {
            html! {
                td { (time(line.at.as_ref())) }
                td { (record_link(&line.collection, &line.record)) }
                td { (line.kind) @if let Some(target) = &line.target { " to " (target) } }
                td { (line.field) }
                td { (value(line.before.as_deref())) }
                td { (value(line.after.as_deref())) }
                td { (line.rule) " (" (line.origin) ")" }
            }
        })
        .collect();
    table(&["At", "Record", "What", "Fields", "Before", "After", "Rule"], &rows, nothing)
}
