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
use super::super::asked::{of_webhooks, query, shown_limit};
use super::super::site::Site;
use super::layout::{button, choice, pager, show, table, time};

/// The inbox.
pub async fn inbox(State(site): State<Arc<Site>>, Extension(session): Extension<Session>, uri: Uri) -> Response {
    let of = of_webhooks(&query(&uri));
    let (state, limit) = (of.state.map(HookState::name), of.limit());
    let found = site.webhooks(of.state, of.after, limit).await;
    show(&session, "/webhooks", "Webhooks", found, |inbox| {
        let rows: Vec<Markup> = inbox.webhooks.iter().map(|one| row(&session, one)).collect();
        let (next, shown) = (inbox.next.map(|next| next.to_string()), shown_limit(limit));
        let parameters = [("state", state), ("limit", shown.as_deref())];
        let header = ["Came", "Upstream", "State", "About", "Delivery", ""];
        html! {
            form.search method="get" action="/webhooks" {
                (choice("state", "State", HookState::ALL.map(HookState::name), state))
                button type="submit" { "Show" }
            }
            div data-live="webhooks" {
                p { (inbox.waiting) " wait for a pass, " (inbox.dead) " could not be followed within the last 30 days." }
                (table(&header, &rows, if state.is_none() { "No webhook came." } else { "There is no such webhook." }))
                (pager("/webhooks", &parameters, of.after.is_none(), next.as_deref()))
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
