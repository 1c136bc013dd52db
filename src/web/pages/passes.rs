//! Owns: the pages of passes and of history lines.
//!
//! Must not know: where it comes from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use maud::{Markup, html};

use super::super::access::Session;
use super::super::api::{limit, query};
use super::super::look::{Line, Pass, PassView};
use super::super::site::Site;
use super::form::Number;
use super::layout::{record_link, show, show_moving, table, time, value};

const HEADER: [&str; 6] = ["Pass", "Collection", "Trigger", "Began", "Ended", "Outcome"];

/// Passes, newest first.
pub async fn list(State(site): State<Arc<Site>>, Extension(session): Extension<Session>, uri: Uri) -> Response {
    let query = query(&uri);
    let passes = site.passes(query.get("collection").cloned(), limit(&query)).await;
    show(&session, "/passes", "Passes", passes, |passes| {
        let rows: Vec<Markup> = passes.iter().map(row).collect();
        html! { div data-live="passes" { (table(&HEADER, &rows, "There was no pass yet.")) } }
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
    Number(id): Number,
) -> Response {
    let found = site.pass(id).await;
    let runs = |view: &PassView| view.doing.is_some();
    show_moving(&session, "/passes", &format!("Pass {id}"), found, runs, |view| {
        html! {
            div data-live="pass" { (one_page(&view)) }
        }
    })
}

fn one_page(view: &PassView) -> Markup {
    let pass = &view.pass;
    let counts = pass.counts.as_ref().and_then(|json| serde_json::from_str::<serde_json::Value>(json.get()).ok());
    let counts = counts.filter(|counts| counts["local"].is_object());
    html! {
        (table(&HEADER, &[row(pass)], ""))
        @if let Some(doing) = &view.doing {
            p data-follows="" { span.badge.news { "running" } " " span data-doing=(pass.collection) { (doing) } }
        }
        @if let Some(halt) = view.halt {
            p { "A guard stopped it: " a href={ "/halts/" (halt) } { "halt " (halt) " with its plan" } "." }
        }
        @if let Some(counts) = counts { (counted(&counts)) }
        h2 { "What it did" }
        (history(&view.history, "No lines of history; what a first load brings is only counted."))
    }
}

/// What a pass counted, as a table for people.
fn counted(counts: &serde_json::Value) -> Markup {
    let number = |of: &serde_json::Value, name: &str| of[name].as_u64().unwrap_or_default();
    let three = |of: &serde_json::Value| {
        html! {
            @for name in ["created", "updated", "deleted"] { td.number { (number(of, name)) } }
        }
    };
    let local = html! {
        th scope="row" { "here" }
        td { "–" } td.number { "–" } td.number { "–" } (three(&counts["local"])) td.number { "–" } td.number { "–" } td {}
    };
    let upstreams = counts["upstreams"].as_array().cloned().unwrap_or_default();
    let rows = std::iter::once(local).chain(upstreams.iter().map(|one| {
        html! {
            th scope="row" { (one["upstream"].as_str().unwrap_or_default()) }
            td { (one["read"].as_str().unwrap_or_default()) }
            td.number { (number(one, "listed")) }
            td.number { (number(one, "requests")) }
            (three(&one["written"]))
            td.number { (number(one, "unknown") + number(one, "deferred")) }
            td.number { (number(one, "refused")) }
            td.bad { (one["error"].as_str().unwrap_or_default()) }
        }
    }));
    let header = ["Side", "Read", "Listed", "Requests", "Created", "Updated", "Deleted", "Left", "Refused", ""];
    let notes = counts["notes"].as_array().cloned().unwrap_or_default();
    html! {
        h2 { "Counts" }
        (table(&header, &rows.collect::<Vec<_>>(), ""))
        @if !notes.is_empty() { ul { @for note in &notes { li { (note.as_str().unwrap_or_default()) } } } }
        details { summary { "As JSON" } pre { (format!("{counts:#}")) } }
    }
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
