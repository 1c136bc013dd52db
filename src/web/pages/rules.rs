//! Owns: the page of rules: which are in force, what is wrong with their files.
//!
//! Must not know: the rules language.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::rules::{Diagnostic, Severity};

use super::super::access::Session;
use super::super::inspect::{CollectionRules, RulesView};
use super::super::site::Site;
use super::layout::{show, table, time};

/// The rules.
pub async fn rules(State(site): State<Arc<Site>>, Extension(session): Extension<Session>) -> Response {
    show(&session, "/rules", "Rules", Ok(site.rules()), |view| html! { div data-live="rules" { (content(&view)) } })
}

fn content(view: &RulesView) -> Markup {
    let rows: Vec<Markup> = view.diagnostics.iter().map(diagnostic).collect();
    html! {
        @if let Some(words) = &view.refused {
            section.alarm role="alert" {
                p { "The rules as they are in their files are refused; those from before are in force." }
                details { summary { "As " code { "reconciled check" } " shows it" } pre { (words) } }
            }
        }
        @if !view.waits_for.is_empty() {
            p role="status" {
                "New rules change " (view.changes.join(", ")) ", and wait for the pass of " (view.waits_for.join(", "))
                ". Until then those from before are in force, and what the new ones change makes passes for edits and webhooks only."
            }
        }
        p {
            "In force since " (time(Some(&view.since))) " UTC: " code { (view.hash.get(..12).unwrap_or(&view.hash)) } ". "
            @if !view.files.is_empty() { "Read last: " (view.files.join(", ")) "." }
        }
        h2 { "What is said of the files" }
        (table(&["", "Where", "What", "Remedy"], &rows, "Nothing is wrong with them."))
        h2 { "In force" }
        @for one in &view.collections { (collection(one)) }
    }
}

fn diagnostic(one: &Diagnostic) -> Markup {
    let (kind, word) = match one.severity {
        Severity::Error => ("bad", "error"),
        Severity::Warning => ("news", "warning"),
    };
    html! {
        td { span class={ "badge " (kind) } { (word) } }
        td { code { (one.path) ":" (one.line) ":" (one.column) } }
        td {
            (one.message)
            @if !one.label.is_empty() { div.quiet { (one.label) } }
            @if let Some(second) = &one.second { div.quiet { (second.path) ":" (second.line) ": " (second.label) } }
        }
        td { (one.help.as_deref().unwrap_or("")) }
    }
}

fn collection(one: &CollectionRules) -> Markup {
    let bound: Vec<String> = one
        .upstreams
        .iter()
        .map(|bound| match (bound.pull, bound.push) {
            (true, true) => bound.upstream.clone(),
            (true, false) => format!("{} (only read)", bound.upstream),
            (false, true) => format!("{} (only written)", bound.upstream),
            (false, false) => format!("{} (rests)", bound.upstream),
        })
        .collect();
    let rows: Vec<Markup> = one
        .fields
        .iter()
        .map(|field| {
            html! {
                th scope="row" { (field.field) @if field.required { " " span.quiet { "required" } } }
                td { (field.r#type) }
                td { (field.owner.as_deref().unwrap_or("–")) }
                td { (field.merge.join(", ")) }
            }
        })
        .collect();
    html! {
        article.card {
            h3 { (one.collection) ": " (bound.join(", ")) }
            (table(&["Field", "Type", "Owner", "Merge"], &rows, "No fields."))
        }
    }
}
