//! Owns: the pages on which people decide: conflicts and halts.
//!
//! Must not know: what a decision leads to.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use maud::{Markup, html};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::ops::{Candidate, Conflict, Halt};
use crate::reconcile::SET_BACK;

use super::super::access::Session;
use super::super::api::query;
use super::super::site::Site;
use super::layout::{button, plain, record_link, show, table, time};

/// Longer texts are shown without their difference.
const DIFF_CHARS_MAX: usize = 20_000;

/// Conflicts with every side's say.
pub async fn conflicts(State(site): State<Arc<Site>>, Extension(session): Extension<Session>, uri: Uri) -> Response {
    let mut query = query(&uri);
    let all = query.get("all").is_some_and(|all| all == "true");
    let found = site.conflicts(query.remove("collection"), all).await;
    show(&session, "/conflicts", "Conflicts", found, |conflicts| {
        html! {
            @if all { p { a href="/conflicts" { "Open ones only" } } }
            @else { p { a href="/conflicts?all=true" { "Closed ones as well" } } }
            @if conflicts.is_empty() { p.quiet { "No conflicts." } }
            @for one in &conflicts { (conflict(&session, one)) }
        }
    })
}

fn conflict(session: &Session, one: &Conflict) -> Markup {
    let what = if one.fields.is_empty() { "the record's existence".to_owned() } else { one.fields.join(", ") };
    let base = one.base.as_ref().map(|json| values(json.get()));
    let rows: Vec<Markup> = one.candidates.iter().map(|side| candidate(side, base.as_deref(), &one.fields)).collect();
    html! {
        article.card {
            h2 { "Conflict " (one.id) ": " (what) }
            p {
                (one.collection) " / " (record_link(&one.collection, &one.record)) ", " (one.kind)
                ", since " (time(one.opened_at.as_ref()))
            }
            @if let Some(base) = &base { p { "When the sides last agreed: " (joined(&one.fields, base)) } }
            (table(&["Side", "Says", "Changed"], &rows, "No side says anything."))
            @if let Some(how) = &one.closed {
                p { "Closed " (time(one.closed_at.as_ref())) ": " (how) }
            } @else {
                @if let Some(choice) = &one.resolution {
                    p.good { "Decided: " code { (choice.get()) } "; the next pass applies it." }
                }
                @if let Some(refused) = &one.refused { p.bad { (refused) } }
                (choices(session, one))
            }
        }
    }
}

fn candidate(side: &Candidate, base: Option<&[String]>, fields: &[String]) -> Markup {
    let said = values(side.values.get());
    html! {
        th scope="row" { (side.origin) }
        td {
            @if said.is_empty() { em { "deleted" } }
            @for (at, text) in said.iter().enumerate() {
                div {
                    @if fields.len() > 1 { span.quiet { (fields.get(at).map_or("", String::as_str)) " " } }
                    (difference(base.and_then(|base| base.get(at)).map(String::as_str), text))
                }
            }
        }
        td { (time(side.source_time.as_ref().or(side.observed_at.as_ref()))) }
    }
}

/// The text, with what is gone and what is new of it marked.
fn difference(before: Option<&str>, after: &str) -> Markup {
    let Some(before) = before.filter(|before| before.len() + after.len() <= DIFF_CHARS_MAX) else {
        return html! { span.long { (after) } };
    };
    let diff = TextDiff::from_words(before, after);
    html! {
        span.long {
            @for change in diff.iter_all_changes() {
                @match change.tag() {
                    ChangeTag::Equal => (change.value()),
                    ChangeTag::Delete => del { (change.value()) },
                    ChangeTag::Insert => ins { (change.value()) },
                }
            }
        }
    }
}

fn choices(session: &Session, one: &Conflict) -> Markup {
    let action = format!("/conflicts/{}/resolve", one.id);
    let send = |name: &str, value: &str, text: &str| {
        button(session, &action, text, &html! { input type="hidden" name=(name) value=(value); })
    };
    html! {
        div.acts {
            @if one.fields.is_empty() {
                (send("delete", "true", "Delete everywhere"))
                (send("keep", "true", "Keep the record"))
            } @else {
                @for side in &one.candidates { (send("take", &side.origin, &format!("Take {}", side.origin))) }
                @if one.base.is_some() { (send("take", "base", "Take what it was")) }
            }
        }
    }
}

/// The values of a JSON list, as people read them.
fn values(json: &str) -> Vec<String> {
    let list: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(json).unwrap_or_default();
    list.iter().map(|one| plain(one.get())).collect()
}

fn joined(fields: &[String], values: &[String]) -> String {
    fields.iter().zip(values).map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
}

/// Halts with what would change.
pub async fn halts(State(site): State<Arc<Site>>, Extension(session): Extension<Session>) -> Response {
    show(&session, "/halts", "Halts", site.halts().await, |halts| {
        html! {
            @if halts.is_empty() { p.quiet { "Nothing is halted." } }
            @for one in &halts { (halt(&session, one)) }
        }
    })
}

fn halt(session: &Session, one: &Halt) -> Markup {
    let list: Vec<Value> =
        one.halts.as_ref().and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
    let target = |item: &Value| match &item["target"] {
        Value::String(name) => name.clone(),
        Value::Object(upstream) => upstream.values().next().and_then(Value::as_str).unwrap_or("?").to_owned(),
        _ => "?".to_owned(),
    };
    let text = |item: &Value, key: &str| match &item[key] {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
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
    let action = format!("/halts/{}/approve", one.id);
    let wins = |side: &str| html! { input type="hidden" name="wins" value=(side); };
    html! {
        article.card {
            h2 { "Halt " (one.id) " of " (one.collection) }
            p { a href={ "/passes/" (one.pass) } { "Pass " (one.pass) } ", " (time(one.created_at.as_ref())) }
            (table(&["Target", "What", "Records", "Of", "Limit"], &rows, "No guard is named."))
            @if one.restored {
                p { "The database was restored or copied: once approved, everything is read anew, within the limits." }
            }
            @if one.approved_at.is_some() {
                p.good { "Approved " (time(one.approved_at.as_ref())) "; the next pass carries it out if it is still the same." }
            } @else if back.is_empty() {
                p.quiet { code { "reconciled plan " (one.collection) } " shows each change." }
                (button(session, &action, "Approve", &html! {}))
            } @else {
                p { "An upstream was set back to an older state. Which side counts?" }
                div.acts {
                    (button(session, &action, "What is here", &wins("local")))
                    @for name in &back { (button(session, &action, &format!("What is at {name}"), &wins(name))) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_marks_words_and_escapes_them() {
        let check = |before: Option<&str>, after: &str, expected: &str| {
            assert_eq!(difference(before, after).into_string(), format!("<span class=\"long\">{expected}</span>"));
        };
        check(None, "<b>", "&lt;b&gt;");
        check(Some("Ann Lee"), "Ann <Poe>", "Ann <del>Lee</del><ins>&lt;Poe&gt;</ins>");
        let long = "x".repeat(DIFF_CHARS_MAX);
        check(Some("a"), &long, &long);
    }
}
