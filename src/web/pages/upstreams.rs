//! Owns: the page of upstreams: whether they are asked and how they answer, what is asked and spent, what went wrong.
//!
//! Must not know: where it comes from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use maud::{Markup, html};
use serde_json::Value;

use crate::ops::{Health, Replies, USAGE_DAYS, UpstreamUsage};

use super::super::access::Session;
use super::super::inspect::{BudgetUse, UpstreamView};
use super::super::signin;
use super::super::site::Site;
use super::layout::{button, show, table, time};
use super::spent::{charted, spent};

/// What is known of each upstream.
pub async fn upstreams(State(site): State<Arc<Site>>, Extension(session): Extension<Session>) -> Response {
    let signing_in = site.signing_in();
    let today = site.front.clock.now().date_naive();
    let found = async { Ok((site.upstreams().await?, site.usage(None, USAGE_DAYS).await?)) };
    show(&session, "/upstreams", "Upstreams", found.await, |(upstreams, usage)| {
        let used = |one: &UpstreamView| usage.upstreams.iter().find(|used| used.upstream == one.status.upstream);
        html! {
            div data-live="upstreams" {
                @if upstreams.is_empty() { p.quiet { "There are no upstreams." } }
                @for one in &upstreams {
                    (upstream(one, (used(one), today), signing_in.contains(&one.status.upstream).then_some(&session)))
                }
            }
        }
    })
}

/// `signs_in`: whose form it is, where a person can sign in there by these pages.
fn upstream(
    one: &UpstreamView,
    (used, today): (Option<&UpstreamUsage>, NaiveDate),
    signs_in: Option<&Session>,
) -> Markup {
    let state: Value =
        one.status.state.as_ref().and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
    let breaker = state["breaker"]["state"].as_str().unwrap_or("closed");
    let until = |value: &Value| value.as_str().map(str::to_owned);
    html! {
        article.card {
            h2 {
                (one.status.upstream) " "
                @if state["reauth"].is_string() { span.badge.bad { "reauth required" } }
                @else if breaker == "open" { span.badge.bad { "left alone" } } @else { span.badge.good { "asked" } }
            }
            @if let Some(session) = signs_in {
                (button(session, &signin::action(&one.status.upstream), "Sign in", &html! {}))
            }
            dl {
                @if let Some(why) = state["reauth"].as_str() {
                    dt { "Reauth required" } dd.bad { (why) ". Nothing is asked there until then; what is to be written waits." }
                }
                @if let Some(health) = &one.status.health { (health_of(health)) }
                dt { "Breaker" }
                dd {
                    (breaker)
                    @if let Some(until) = until(&state["breaker"]["until"]) { ", until " (time(Some(&until))) }
                    @if let Some(recent) = state["breaker"]["recent"].as_str() { ", latest calls " code { (recent) } }
                }
                @if let Some(asked) = until(&state["asked_until"]) {
                    dt { "Asked to be left alone until" } dd { (time(Some(&asked))) }
                }
                @if let Some(account) = state["account"].as_str() { dt { "Account" } dd { (account) } }
                dt { "Requests at once" } dd { (one.room.at_once) " of at most " (one.room.at_once_max) }
                @for budget in &one.room.budgets { dt { "Budget of " (budget.budget) } dd { (meter(budget)) } }
                @if let Some(used) = used { (spent(used)) }
            }
            @if let Some(used) = used { (charted(used, today)) }
            h3 { "What went wrong of late" }
            (troubles(one))
        }
    }
}

/// Whether it is up, since when, and how it answers.
fn health_of(health: &Health) -> Markup {
    let millis = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value} ms"));
    let answers = |told: &Replies| {
        html! {
            (told.answered) " answers: p50 " (millis(told.p50_ms)) ", p95 " (millis(told.p95_ms)) ", p99 " (millis(told.p99_ms))
            @if told.failed > 0 { ", " span.bad { (told.failed) " failed" } }
        }
    };
    html! {
        dt { "Health" }
        dd {
            @if health.up { span.badge.good { "up" } } @else { span.badge.bad { "down" } }
            " since " (time(health.since.as_ref()))
            @if let Some(probe) = &health.probe { ", asked by " code { (probe) } }
        }
        @if let Some(error) = &health.last_error {
            dt { "Last failure" } dd { (time(health.last_error_at.as_ref())) ": " (error) }
        }
        dt { "In the last hour" } dd { (answers(&health.hour)) }
        dt { "In the last day" } dd { (answers(&health.day)) }
    }
}

fn meter(budget: &BudgetUse) -> Markup {
    html! {
        meter min="0" max=(budget.limit) high=(budget.limit / 10 * 9) value=(budget.spent) aria-label=(budget.budget) {}
        " " (budget.spent) " of " (budget.limit)
    }
}

fn troubles(one: &UpstreamView) -> Markup {
    let rows: Vec<Markup> = one
        .troubles
        .iter()
        .map(|trouble| {
            html! {
                td { (time(trouble.at.as_ref())) }
                td { a href={ "/passes/" (trouble.pass) } { (trouble.pass) } " of " (trouble.collection) }
                td.bad { (trouble.error) }
            }
        })
        .collect();
    table(&["At", "Pass", "Error"], &rows, "Nothing, in the latest passes.")
}
