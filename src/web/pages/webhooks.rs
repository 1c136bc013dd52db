//! Owns: the page of webhooks that came in, and of those that could not be followed.
//!
//! Must not know: signatures; how passes follow them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use maud::{Markup, html};

use crate::ops::HookView;
use crate::store::HookState;

use super::super::access::Session;
use super::super::asked::{after, limit, query};
use super::super::look::LIST_DEFAULT;
use super::super::site::Site;
use super::layout::{button, choice, pager, show, table, time};

const STATES: [&str; 5] = ["waiting", "dead", "done", "replaced", "ignored"];

/// The inbox.
pub async fn inbox(State(site): State<Arc<Site>>, Extension(session): Extension<Session>, uri: Uri) -> Response {
    let query = query(&uri);
    let state = query.get("state").map_or("", String::as_str);
    let (after, count) = (after(&query), limit(&query));
    let found = site.webhooks(HookState::named(state), after, count).await;
    show(&session, "/webhooks", "Webhooks", found, |inbox| {
        let rows: Vec<Markup> = inbox.webhooks.iter().map(|one| row(&session, one)).collect();
        let (next, shown) = (inbox.next.map(|next| next.to_string()), count.to_string());
        let parameters = [("state", Some(state)), ("limit", (count != LIST_DEFAULT).then_some(shown.as_str()))];
        let header = ["Came", "Upstream", "State", "About", "Delivery", ""];
        html! {
            form.search method="get" action="/webhooks" {
                (choice("state", "State", STATES, Some(state)))
                button type="submit" { "Show" }
            }
            div data-live="webhooks" {
                p { (inbox.waiting) " wait for a pass, " (inbox.dead) " could not be followed within the last 30 days." }
                (table(&header, &rows, if state.is_empty() { "No webhook came." } else { "There is no such webhook." }))
                (pager("/webhooks", &parameters, after.is_none(), next.as_deref()))
            }
        }
    })
}

fn row(session: &Session, one: &HookView) -> Markup {
    let kind = match one.state.as_str() {
        "dead" => "bad",
        "waiting" => "news",
        _ => "good",
    };
    html! {
        td { (time(one.received_at.as_ref())) }
        th scope="row" { (one.upstream) }
        td { span class={ "badge " (kind) } { (one.state) } @if let Some(reason) = &one.reason { div.bad { (reason) } } }
        td {
            (one.event.as_deref().unwrap_or("")) " " (one.collection.as_deref().unwrap_or("–"))
            @if let Some(remote) = &one.remote_id { " / " (remote) }
        }
        td { code { (one.delivery) } }
        td.acts {
            @if one.state == "dead" {
                @if one.collection.is_some() { (button(session, &format!("/webhooks/{}/retry", one.id), "Retry", &html! {})) }
                (button(session, &format!("/webhooks/{}/drop", one.id), "Drop", &html! {}))
            }
        }
    }
}
