//! Owns: the overview of collections, and the page of upstreams.
//!
//! Must not know: where it comes from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::super::access::Session;
use super::super::look::CollectionView;
use super::super::site::Site;
use super::layout::{button, segment, show, show_moving, table, time};

/// All collections.
pub async fn overview(State(site): State<Arc<Site>>, Extension(session): Extension<Session>) -> Response {
    let standing = site.front.desk.standing();
    let found = site.collections().await;
    show_moving(
        &session,
        "/",
        "Overview",
        found,
        |_| true,
        |collections| {
            let rows: Vec<Markup> = collections.iter().map(|one| row(&session, one)).collect();
            let header = ["Collection", "State", "Records", "Last pass", "Next", "Waiting", ""];
            html! {
                div data-live="overview" {
                    @if let Some(words) = &standing.rules_refused {
                        section.alarm role="alert" {
                            p { "The rules as they are in their files are refused; those from before are in force." }
                            pre { (words) }
                        }
                    }
                    (table(&header, &rows, "There are no collections."))
                }
                p.quiet { "Process " (standing.pid) ", since " (time(Some(&standing.started_at.to_rfc3339()))) " UTC" }
            }
        },
    )
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
    let kind = match state {
        "ok" => "good",
        "halted" | "failed" | "unavailable" | "interrupted" => "bad",
        _ => "news",
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
            span class={ "badge " (kind) } { (state) }
            @if one.running { div.quiet data-doing=(status.collection) { (one.doing.as_deref().unwrap_or_default()) } }
            @if let Some(error) = status.last_pass.as_ref().and_then(|pass| pass.error.as_ref()) { div.bad { (error) } }
        }
        td.number { (status.records) }
        td {
            @if let Some(pass) = &status.last_pass {
                a href={ "/passes/" (pass.id) } { (pass.id) } " " (time(pass.started_at.as_ref()))
            } @else { "–" }
        }
        td { (time(status.next_pass.as_ref())) }
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

/// What is known of each upstream.
pub async fn upstreams(State(site): State<Arc<Site>>, Extension(session): Extension<Session>) -> Response {
    show(&session, "/upstreams", "Upstreams", site.upstreams().await, |upstreams| {
        let rows: Vec<Markup> = upstreams
            .iter()
            .map(|one| {
                let state: serde_json::Value =
                    one.state.as_ref().and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
                let text = |value: &serde_json::Value| value.as_str().unwrap_or("–").to_owned();
                let breaker = state["breaker"]["state"].as_str().unwrap_or("closed").to_owned();
                let kind = if breaker == "open" { "bad" } else { "good" };
                html! {
                    th scope="row" { (one.upstream) }
                    td { span class={ "badge " (kind) } { (breaker) } }
                    td { (text(&state["breaker"]["until"])) }
                    td { (text(&state["asked_until"])) }
                    td { (text(&state["account"])) }
                }
            })
            .collect();
        table(&["Upstream", "Breaker", "Open until", "Left alone until", "Account"], &rows, "There are no upstreams.")
    })
}
