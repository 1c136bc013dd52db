//! Owns: the pages of passes and of history lines.
//!
//! Must not know: where it comes from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use maud::{Markup, html};

use crate::ops::{OUTCOMES, Pass, PassPage, PassPart, duration, phase_words};
use crate::reconcile::Phase;
use crate::store::PassFilter;

use super::super::access::Session;
use super::super::asked::{after, of_passes, query, shown_limit};
use super::super::look::{Line, PassView};
use super::super::site::Site;
use super::chart::{Lane, timeline};
use super::form::Number;
use super::layout::{choice, outcome, pager, record_link, show, show_moving, table, time, value};

const HEADER: [&str; 9] =
    ["Pass", "Collection", "Cause", "Began", "Took", "Written here", "At upstreams", "Conflicts", "Outcome"];

/// Passes, newest first.
pub async fn list(State(site): State<Arc<Site>>, Extension(session): Extension<Session>, uri: Uri) -> Response {
    let filter = of_passes(&query(&uri)).filter();
    let rules = site.front.desk.standing().rules;
    let passes = site.passes(filter.clone()).await;
    show(&session, "/passes", "Passes", passes, |page| {
        html! {
            form.search method="get" action="/passes" {
                (choice("collection", "Collection", rules.collections.keys().map(String::as_str), filter.collection.as_deref()))
                (choice("outcome", "Outcome", OUTCOMES, filter.outcome.as_deref()))
                button type="submit" { "Show" }
            }
            div data-live="passes" { (listed(&page, &filter)) }
        }
    })
}

fn listed(page: &PassPage, filter: &PassFilter) -> Markup {
    let rows: Vec<Markup> = page.passes.iter().map(row).collect();
    let none = match filter {
        PassFilter { collection: None, outcome: None, before: None, .. } => "There was no pass yet.",
        _ => "There was no such pass.",
    };
    let limit = shown_limit(filter.limit);
    let parameters = [
        ("collection", filter.collection.as_deref()),
        ("outcome", filter.outcome.as_deref()),
        ("limit", limit.as_deref()),
    ];
    let next = page.next.map(|next| next.to_string());
    html! {
        (table(&HEADER, &rows, none))
        (pager("/passes", &parameters, filter.before.is_none(), next.as_deref()))
    }
}

fn row(pass: &Pass) -> Markup {
    let is_quiet = pass.took_ms.is_none() && pass.upstreams.is_empty();
    html! {
        th scope="row" { a href={ "/passes/" (pass.id) } { (pass.id) } }
        td { (pass.collection) }
        td { (pass.trigger.replace('_', " ")) }
        td { (time(pass.started_at.as_ref())) }
        td.number { (pass.took_ms.map_or_else(|| "–".to_owned(), |millis| duration(millis.saturating_mul(1000)))) }
        td.number { @if is_quiet { "–" } @else { (pass.written_here) } }
        td { @if pass.upstreams.is_empty() { "–" } @else { @for one in &pass.upstreams { (part(one)) } } }
        td.number { (pass.conflicts_opened.map_or_else(|| "–".to_owned(), |count| count.to_string())) }
        td { (outcome(&pass.outcome)) @if let Some(error) = &pass.error { div.bad { (error) } } }
    }
}

/// A line for each upstream: what is nothing is left out, but for what was read.
fn part(one: &PassPart) -> Markup {
    let more = [(one.changed, "changed"), (one.written, "written"), (one.left, "left")];
    html! {
        div.part {
            strong { (one.upstream) } " " (one.read) " read"
            @for (count, what) in more.iter().filter(|(count, _)| *count > 0) { ", " (count) " " (what) }
            @if one.refused > 0 { ", " span.bad { (one.refused) " failed" } }
        }
    }
}

/// A pass, with what it did.
pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Number(id): Number,
    uri: Uri,
) -> Response {
    let after = after(&query(&uri));
    let found = site.pass(id, after).await;
    let runs = |view: &PassView| view.doing.is_some();
    show_moving(&session, "/passes", &format!("Pass {id}"), found, runs, |view| {
        html! {
            div data-live="pass" { (one_page(&view, after.is_none())) }
        }
    })
}

fn one_page(view: &PassView, is_first: bool) -> Markup {
    let pass = &view.pass;
    let counts = pass.counts.as_ref().and_then(|json| serde_json::from_str::<serde_json::Value>(json.get()).ok());
    let counts = counts.filter(|counts| counts["local"].is_object());
    let next = view.next.map(|next| next.to_string());
    html! {
        (table(&HEADER, &[row(pass)], ""))
        @if let Some(doing) = &view.doing {
            p data-follows="" { span.badge.news { "running" } " " span data-doing=(pass.collection) { (doing) } }
        }
        @if let Some(halt) = view.halt {
            p { "A guard stopped it: " a href={ "/halts/" (halt) } { "halt " (halt) " with its plan" } "." }
        }
        @if !view.phases.is_empty() { (phases(&view.phases)) }
        @if let Some(counts) = counts { (counted(&counts)) }
        h2 { "What it did" }
        (history(&view.history, "No lines of history; what a first load brings is only counted."))
        (pager(&format!("/passes/{}", pass.id), &[], is_first, next.as_deref()))
    }
}

/// Where its time went: drawn, and as a table.
fn phases(phases: &[Phase]) -> Markup {
    let lane = |one: &Phase| Lane {
        says: format!("{}, {}", phase_words(one), duration(one.took_us)),
        began: one.began_us,
        took: one.took_us,
    };
    let lanes: Vec<Lane> = phases.iter().map(lane).collect();
    let rows: Vec<Markup> = phases
        .iter()
        .map(|one| {
            html! {
                th scope="row" { (phase_words(one)) }
                td.number { (duration(one.began_us)) }
                td.number { (duration(one.took_us)) }
            }
        })
        .collect();
    html! {
        h2 { "Timeline" }
        (timeline("Where the time went", duration, &lanes))
        details { summary { "As a table" } (table(&["Phase", "Began after", "Took"], &rows, "")) }
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
                td { (time(line.at.as_ref())) br; a href={ "/passes/" (line.pass) } { "pass " (line.pass) } }
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
