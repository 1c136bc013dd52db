//! Owns: the pages on which people let a halted pass through, or do not: what it would do, field by field.
//!
//! Must not know: guards; what an approval leads to.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use crate::ops::Halt;
use crate::reconcile::{Change, FieldChange, HaltedPlan, SET_BACK};

use super::super::access::Session;
use super::super::site::Site;
use super::diff::difference;
use super::form::Number;
use super::layout::{button, plain, record_link, segment, show, table, time};

/// Halts with what guards counted.
pub async fn list(State(site): State<Arc<Site>>, Extension(session): Extension<Session>) -> Response {
    let found = site.halts().await;
    show(&session, "/halts", "Halts", found, |halts| {
        html! {
            @if halts.is_empty() { p.quiet { "Nothing is halted." } }
            @for one in &halts { (halt(&site, &session, one, true)) }
        }
    })
}

/// A halt with its plan.
pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Number(id): Number,
) -> Response {
    let found = site.halt(id).await;
    show(&session, "/halts", &format!("Halt {id}"), found, |view| {
        html! {
            (halt(&site, &session, &view.halt, false))
            h2 { "What would be done" }
            @match &view.plan {
                Some(plan) => (changes(plan)),
                None => p.quiet { "It was halted before plans were kept; " code { "reconciled plan " (view.halt.collection) } " makes it anew." },
            }
        }
    })
}

fn text(item: &Value, name: &str) -> String {
    match &item[name] {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn halt(site: &Site, session: &Session, one: &Halt, in_list: bool) -> Markup {
    let list: Vec<Value> =
        one.halts.as_ref().and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
    let target = |item: &Value| match &item["target"] {
        Value::String(text) => text.clone(),
        other => other["upstream"].as_str().unwrap_or("–").to_owned(),
    };
    let rows: Vec<Markup> = list
        .iter()
        .map(|item| {
            html! {
                th scope="row" { (target(item)) }
                td { (text(item, "what")) }
                td.number { (text(item, "count")) }
                td.number { (text(item, "total")) }
                td.number { (text(item, "limit")) }
            }
        })
        .collect();
    let back: Vec<String> = list.iter().filter(|item| item["what"] == SET_BACK).map(target).collect();
    html! {
        article.card {
            h2 { @if in_list { a href={ "/halts/" (one.id) } { "Halt " (one.id) } } @else { "Halt " (one.id) } " of " (one.collection) }
            p { a href={ "/passes/" (one.pass) } { "Pass " (one.pass) } ", " (time(one.created_at.as_ref())) }
            (table(&["Target", "What", "Records", "Of", "Limit"], &rows, "No guard is named."))
            @if one.restored {
                p { "The database was restored or copied: once approved, everything is read anew, within the limits." }
            }
            @if in_list { p { a href={ "/halts/" (one.id) } { "What would be done, record by record" } } }
            (answers(site, session, one, &back))
        }
    }
}

/// What a person can say to a halt.
fn answers(site: &Site, session: &Session, one: &Halt, back: &[String]) -> Markup {
    let places = site.front.desk.standing().collections;
    let rests = places.iter().any(|place| place.collection == one.collection && place.paused);
    let approve = format!("/halts/{}/approve", one.id);
    let reject = format!("/halts/{}/reject", one.id);
    let wins = |side: &str| html! { input type="hidden" name="wins" value=(side); };
    html! {
        @if one.approved_at.is_some() {
            p.good { "Approved " (time(one.approved_at.as_ref())) "; the next pass carries it out if it is still the same." }
        }
        @if rests {
            p { "The collection rests. Once what led here is set right, or the limits are, let it go on." }
            (button(session, &format!("/resume/{}", segment(&one.collection)), "Resume", &html! {}))
        }
        div.acts {
            @if one.approved_at.is_none() {
                @if back.is_empty() {
                    (button(session, &approve, "Approve", &html! {}))
                } @else {
                    p { "An upstream was set back to an older state. Which side counts?" }
                    (button(session, &approve, "What is here", &wins("local")))
                    @for name in back { (button(session, &approve, &format!("What is at {name}"), &wins(name))) }
                }
            }
            @if !rests || one.approved_at.is_some() { (button(session, &reject, "Reject", &html! {})) }
        }
        p.quiet { "Approving lets this plan through once. Rejecting does nothing of it: the collection rests until it is resumed." }
    }
}

/// The changes of a plan.
fn changes(plan: &HaltedPlan) -> Markup {
    html! {
        @if plan.changes.is_empty() { p.quiet { "No changes are listed: it halted before any was decided." } }
        @for change in &plan.changes { (of_record(change)) }
        @if plan.omitted > 0 { p { "And " (plan.omitted) " more." } }
    }
}

fn of_record(change: &Change) -> Markup {
    let kind = match change.action.as_str() {
        "delete" | "archive" | "quarantine" => "bad",
        "create" | "insert" => "good",
        _ => "news",
    };
    let rows: Vec<Markup> = change.fields.iter().map(of_field).collect();
    html! {
        article.card.change {
            h3 {
                span class={ "badge " (kind) } { (change.action) } " "
                @if change.target == "local" { "here: " } @else { "at " (change.target) ": " }
                (record_link(&change.collection, &change.record))
                @if !change.title.is_empty() { " " span.quiet { (change.title) } }
            }
            @if change.request.is_some() || change.rule.is_some() || change.note.is_some() {
                p.quiet {
                    @if let Some(request) = &change.request { code { (request) } " " }
                    @if !change.atomic { "cannot be refused if it was overtaken " }
                    @if let Some(rule) = &change.rule { (rule) " " }
                    @if let Some(note) = &change.note { (note) }
                }
            }
            @if !rows.is_empty() { (table(&["Field", "Change", "Rule"], &rows, "")) }
        }
    }
}

fn of_field(field: &FieldChange) -> Markup {
    let (before, after) = (field.before.as_deref().map(plain), field.after.as_deref().map(plain));
    html! {
        th scope="row" { (field.field) }
        td {
            @match (before, after) {
                (Some(before), Some(after)) => (difference(Some(&before), &after)),
                (None, Some(after)) => ins { (difference(None, &after)) },
                (Some(before), None) => del { (difference(None, &before)) },
                (None, None) => "–",
            }
        }
        td { (field.rule) @if let Some(winner) = &field.winner { " (" (winner) ")" } }
    }
}
