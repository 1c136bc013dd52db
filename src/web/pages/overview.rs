//! Owns: the overview of collections.
//!
//! Must not know: where it comes from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::daemon::Standing;

use super::super::access::Session;
use super::super::inspect::{Chart, Point};
use super::super::look::CollectionView;
use super::super::site::Site;
use super::chart::{Bar, bars};
use super::layout::{button, outcome, segment, show_moving, table, time};

/// All collections.
pub async fn overview(State(site): State<Arc<Site>>, Extension(session): Extension<Session>) -> Response {
    let standing = site.front.desk.standing();
    let found = match (site.collections().await, site.charts().await) {
        (Ok(collections), Ok(charts)) => Ok((collections, charts)),
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    show_moving(&session, "/", "Overview", found, |_| true, |found| content(&session, &standing, &found))
}

fn content(
    session: &Session,
    standing: &Standing,
    (collections, charts): &(Vec<CollectionView>, Vec<Chart>),
) -> Markup {
    let rows: Vec<Markup> = collections.iter().map(|one| row(session, one)).collect();
    let header = ["Collection", "State", "Records", "Last pass", "Next", "Waiting", ""];
    html! {
        div data-live="overview" {
            @if let Some(words) = &standing.rules_refused {
                section.alarm role="alert" {
                    p {
                        "The rules as they are in their files are refused; those from before are in force. "
                        a href="/rules" { "What is wrong" }
                    }
                    pre { (words) }
                }
            }
            @for words in &standing.not_served { p.alarm role="alert" { (words) } }
            @if !standing.rules_wait_for.is_empty() {
                p role="status" {
                    a href="/rules" { "New rules" } " for " (standing.rules_change.join(", ")) " wait for the pass of "
                    (standing.rules_wait_for.join(", ")) "."
                }
            }
            (table(&header, &rows, "There are no collections."))
            div.charts { @for chart in charts.iter().filter(|chart| !chart.points.is_empty()) { (charted(chart)) } }
        }
        p.quiet { "Process " (standing.pid) ", since " (time(Some(&standing.started_at.to_rfc3339()))) " UTC" }
    }
}

/// What the latest passes of a collection wrote, and how long they took.
fn charted(chart: &Chart) -> Markup {
    let bar = |point: &Point, value: u64, unit: &str| Bar {
        value,
        says: format!("pass {}: {value} {unit}, {}", point.pass, point.outcome),
        is_bad: matches!(point.outcome.as_str(), "failed" | "halted" | "unavailable" | "interrupted"),
    };
    let written: Vec<Bar> = chart.points.iter().map(|point| bar(point, point.written, "records")).collect();
    let took: Vec<Bar> = chart.points.iter().map(|point| bar(point, point.millis, "ms")).collect();
    html! {
        section.card {
            h2 { (chart.collection) }
            (bars("Written per pass", "passes", "records", &written))
            (bars("Duration of passes", "passes", "ms", &took))
        }
    }
}

fn row(session: &Session, one: &CollectionView) -> Markup {
    let (status, name) = (&one.status, segment(&one.status.collection));
    let state = match () {
        () if one.running => "running",
        () if status.paused => "paused",
        () if one.halts > 0 => "halted",
        () if one.waiting => "waiting",
        () => status.last_pass.as_ref().map_or("never run", |pass| pass.outcome.as_str()),
    };
    let waiting = [
        ("edits", status.edits_waiting, None),
        ("writes", status.writes_waiting, None),
        ("conflicts", status.conflicts_open, Some("/conflicts")),
        ("halts", one.halts, Some("/halts")),
        ("set aside", status.quarantined, Some("/quarantine")),
        ("waiting for another", status.parked, Some("/quarantine")),
    ];
    html! {
        th scope="row" { a href={ "/records/" (name) } { (status.collection) } }
        td {
            (outcome(state))
            @if one.running { div.quiet data-doing=(status.collection) { (one.doing.as_deref().unwrap_or_default()) } }
            @if let Some(error) = status.last_pass.as_ref().and_then(|pass| pass.error.as_ref()) { div.bad { (error) } }
        }
        td.number { (status.records) }
        td {
            @if let Some(pass) = &status.last_pass {
                a href={ "/passes/" (pass.id) } { (pass.id) } " " (time(pass.started_at.as_ref()))
            } @else { "–" }
        }
        td {
            (time(status.next_pass.as_ref()))
            @if status.next_full_scan.is_some() { div.quiet { "full scan " (time(status.next_full_scan.as_ref())) } }
        }
        td {
            @for (what, count, to) in waiting.iter().filter(|(_, count, _)| *count > 0) {
                div { @if let Some(to) = to { a href=(to) { (what) ": " (count) } } @else { (what) ": " (count) } }
            }
        }
        td.acts {
            @if status.paused {
                (button(session, &format!("/resume/{name}"), "Resume", &html! {}))
            } @else {
                (button(session, &format!("/sync/{name}"), "Sync", &html! {}))
                (button(session, &format!("/pause/{name}"), "Pause", &html! {}))
            }
        }
    }
}
