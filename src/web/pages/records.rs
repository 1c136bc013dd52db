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
use super::super::api::{limit, query};
use super::super::look::{Aside, LIST_MAX, RecordView, Records};
use super::super::site::Site;
use super::layout::{record_link, say, segment, show, table, time, value};
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
    let mut query = query(&uri);
    let (limit, after) = (limit(&query), query.remove("after").unwrap_or_default());
    let asked = query.remove("q").filter(|asked| !asked.is_empty());
    let found = site.records(name.clone(), after, limit, asked.clone()).await;
    show(&session, "", &format!("Records of {name}"), found, |records| list_page(&records, asked.as_deref()))
}

fn list_page(records: &Records, asked: Option<&str>) -> Markup {
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
            input #q type="search" name="q" value=(asked.unwrap_or_default());
            button type="submit" { "Find" }
        }
        (table(&header, &rows, "No records."))
        @if let Some(next) = &records.next {
            @let asked = asked.map_or_else(String::new, |asked| format!("&q={}", segment(asked)));
            p { a rel="next" href={ "/records/" (name) "?after=" (segment(next)) (asked) } { "Next page" } }
        }
    }
}

/// A record as every side has it.
pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Path((name, id)): Path<(String, String)>,
) -> Response {
    let found = site.record(name.clone(), id.clone()).await;
    show(&session, "", &format!("{name} / {id}"), found, |view| record_page(&view))
}

fn record_page(view: &RecordView) -> Markup {
    let sides = &view.sides;
    let mut header = vec!["Field".to_owned(), "Here".to_owned()];
    for link in &sides.links {
        header.extend([link.upstream.clone(), format!("{}, last agreed", link.upstream)]);
    }
    header.push("From".to_owned());
    // An empty field that no decision named was set by nobody.
    let origin = |field: &str, is_null: bool| {
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
                td { @if let Some(from) = origin(&field.field, field.local.is_null()) { (from.origin) " (" (from.rule) ")" } @else { "–" } }
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
    html! {
        @if !sides.exists { p.bad { "The local record is deleted." } }
        (table(&header, &fields, "The rules have no fields."))
        h2 { "Links" }
        (table(&["Upstream", "Remote id", "State", "Version", "Seen", ""], &links, "It is linked to no upstream."))
        h2 { "History" }
        (history(&view.history, "Nothing changed since it came."))
    }
}

/// Records that are set aside, or wait.
pub async fn quarantine(State(site): State<Arc<Site>>, Extension(session): Extension<Session>, uri: Uri) -> Response {
    let mut query = query(&uri);
    let (limit, only) = (limit(&query), query.remove("collection").filter(|name| !name.is_empty()));
    let rules = site.front.desk.standing().rules;
    let found = site.quarantine(only.clone(), limit + 1).await;
    show(&session, "/quarantine", "Quarantine", found, |aside| {
        let rows: Vec<Markup> = aside.iter().take(limit).map(set_aside).collect();
        html! {
            form.search method="get" action="/quarantine" {
                label for="collection" { "Collection" }
                select #collection name="collection" {
                    option value="" { "all" }
                    @for name in rules.collections.keys() {
                        option value=(name) selected[only.as_ref() == Some(name)] { (name) }
                    }
                }
                input type="hidden" name="limit" value=(LIST_MAX);
                button type="submit" { "Show" }
            }
            div data-live="quarantine" {
                (table(&["Collection", "Upstream", "Record", "Where", "Why", "Since"], &rows, "Nothing is set aside."))
                @if aside.len() > limit { p.quiet { "There are more than these " (limit) "." } }
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
