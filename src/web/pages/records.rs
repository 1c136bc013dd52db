//! Owns: the pages of records, and of those that are set aside.
//!
//! Must not know: where it comes from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use maud::{Markup, html};

use super::super::access::Session;
use super::super::asked::{after, of_quarantine, of_records, query, shown_limit};
use super::super::look::{Aside, Provenance, RecordView, Records};
use super::super::site::Site;
use super::layout::{choice, pager, record_link, say, segment, show, table, time, value};
use super::passes::history;

/// Fields that the list shows; the record's own page has all.
const FIELDS_MAX: usize = 6;

/// Records by id, a page at a time.
pub async fn list(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    uri: Uri,
) -> Response {
    let of = of_records(&query(&uri));
    let (limit, asked, is_first) = (of.limit(), of.q, of.after.is_empty());
    let found = site.records(name.clone(), of.after, limit, asked.clone()).await;
    let shown = shown_limit(limit);
    let parameters = [("q", asked.as_deref()), ("limit", shown.as_deref())];
    show(&session, "", &format!("Records of {name}"), found, |records| list_page(&records, &parameters, is_first))
}

/// The first of `asked` is what was looked for.
fn list_page(records: &Records, asked: &[(&str, Option<&str>); 2], is_first: bool) -> Markup {
    let name = segment(&records.collection);
    let fields: Vec<&String> = records.rows.iter().flat_map(|row| row.fields.keys()).collect();
    let mut shown: Vec<&str> = Vec::new();
    for field in fields {
        if shown.len() < FIELDS_MAX && !shown.contains(&field.as_str()) {
            shown.push(field);
        }
    }
    let rows: Vec<Markup> = records
        .rows
        .iter()
        .map(|row| {
            html! {
                th scope="row" { (record_link(&records.collection, &row.id)) }
                @for field in &shown { td { (value(row.fields.get(*field).and_then(|json| json.as_deref()))) } }
            }
        })
        .collect();
    let header: Vec<&str> = std::iter::once("Id").chain(shown.iter().copied()).collect();
    html! {
        form.search method="get" action={ "/records/" (name) } role="search" {
            label for="q" { "Local or remote id, or match key" }
            input #q type="search" name="q" value=(asked[0].1.unwrap_or_default());
            button type="submit" { "Find" }
        }
        (table(&header, &rows, "No records."))
        (pager(&format!("/records/{name}"), asked, is_first, records.next.as_deref()))
    }
}

/// A record as every side has it.
pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path((name, id)): Path<(String, String)>,
    uri: Uri,
) -> Response {
    let after = after(&query(&uri));
    let found = site.record(name.clone(), id.clone(), after).await;
    show(&session, "", &format!("{name} / {id}"), found, |view| record_page(&view, after.is_none()))
}

/// Whose value it is, the rule that decided, the pass, and when it was seen and changed.
fn origin(from: &Provenance) -> Markup {
    html! {
        strong { (from.origin) }
        @if !from.rule.is_empty() { div { (from.rule.replace('_', " ")) ", " a href={ "/passes/" (from.pass) } { "pass " (from.pass) } } }
        div.quiet {
            "seen " (time(from.observed_at.as_ref()))
            @if let Some(changed) = &from.source_time { br; "changed " (time(Some(changed))) }
        }
    }
}

fn record_page(view: &RecordView, is_first: bool) -> Markup {
    let sides = &view.sides;
    let mut header = vec!["Field".to_owned(), "Here".to_owned()];
    for link in &sides.links {
        header.extend([link.upstream.clone(), format!("{}, last agreed", link.upstream)]);
    }
    header.push("From".to_owned());
    // An empty field that no decision named was set by nobody.
    let found = |field: &str, is_null: bool| {
        let of = |name: &str| view.provenance.iter().find(|one| one.field == name);
        of(field).or_else(|| of("").filter(|_| !is_null))
    };
    let fields: Vec<Markup> = sides
        .fields
        .iter()
        .map(|field| {
            html! {
                th scope="row" { (field.field) @if !field.agrees { " " span.badge.bad { "differs" } } }
                td { (say(&field.local)) }
                @for upstream in &field.upstreams { td { (say(&upstream.value)) } td { (say(&upstream.base)) } }
                td { @if let Some(from) = found(&field.field, field.local.is_null()) { (origin(from)) } @else { "–" } }
            }
        })
        .collect();
    let links: Vec<Markup> = sides
        .links
        .iter()
        .map(|link| {
            let state = serde_json::to_value(link.state).unwrap_or_default();
            html! {
                th scope="row" { (link.upstream) }
                td { (link.remote_id) }
                td { (state.as_str().unwrap_or("–")) @if link.undecided { " (something newer is not decided yet)" } }
                td { (link.version.as_deref().unwrap_or("–")) }
                td { (time(link.observed_at.as_ref())) }
                td { @if let Some(error) = &link.error { span.bad { (error) } } }
            }
        })
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let next = view.next.map(|next| next.to_string());
    html! {
        @if !sides.exists { p.bad { "The local record is deleted." } }
        (table(&header, &fields, "The rules have no fields."))
        h2 { "Links" }
        (table(&["Upstream", "Remote id", "State", "Version", "Seen", ""], &links, "It is linked to no upstream."))
        h2 { "History" }
        (history(&view.history, "Nothing changed since it came."))
        (pager(&format!("/records/{}/{}", segment(&sides.collection), segment(&sides.record)), &[], is_first, next.as_deref()))
    }
}

/// Records that are set aside, or wait.
pub async fn quarantine(State(site): State<Arc<Site>>, Extension(session): Extension<Session>, uri: Uri) -> Response {
    let filter = of_quarantine(&query(&uri)).filter();
    let rules = site.front.desk.standing().rules;
    let found = site.quarantine(filter.clone()).await;
    show(&session, "/quarantine", "Quarantine", found, |aside| {
        let rows: Vec<Markup> = aside.quarantine.iter().map(set_aside).collect();
        let (only, shown) = (filter.collection.as_deref(), shown_limit(filter.limit));
        let parameters = [("collection", only), ("limit", shown.as_deref())];
        html! {
            form.search method="get" action="/quarantine" {
                (choice("collection", "Collection", rules.collections.keys().map(String::as_str), only))
                button type="submit" { "Show" }
            }
            div data-live="quarantine" {
                (table(&["Collection", "Upstream", "Record", "Where", "Why", "Since"], &rows, "Nothing is set aside."))
                (pager("/quarantine", &parameters, filter.after.is_none(), aside.next.as_deref()))
            }
        }
    })
}

fn set_aside(one: &Aside) -> Markup {
    html! {
        td { (one.collection) }
        td { (one.upstream) }
        th scope="row" {
            @match one.subject.strip_prefix("remote:") {
                Some(remote) => { (remote) " (there)" },
                None => (record_link(&one.collection, &one.subject)),
            }
        }
        td { (one.stage) @if one.waits { " (waits for another record)" } }
        td { (one.reason) }
        td { (time(one.since.as_ref())) }
    }
}
