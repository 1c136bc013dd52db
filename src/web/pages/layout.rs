//! Owns: what all pages share: their frame, forms, values and times.
//!
//! Must not know: what a page shows.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use maud::{DOCTYPE, Markup, html};
use serde_json::value::RawValue;

use crate::ops::{OpsError, Say};

use super::super::access::Session;
use super::super::api::refusal;

/// The longest value that a table shows whole.
const VALUE_CHARS_MAX: usize = 120;

const NAVIGATION: [(&str, &str); 8] = [
    ("/", "Overview"),
    ("/passes", "Passes"),
    ("/conflicts", "Conflicts"),
    ("/halts", "Halts"),
    ("/quarantine", "Quarantine"),
    ("/upstreams", "Upstreams"),
    ("/webhooks", "Webhooks"),
    ("/rules", "Rules"),
];

/// Seconds after which a page that moves is loaded again where no script runs.
const REFRESH_SECONDS: u32 = 15;

/// A page without navigation.
pub fn bare(title: &str, content: &Markup) -> Response {
    document(title, &html! {}, content)
}

fn document(title: &str, head: &Markup, content: &Markup) -> Response {
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · reconciled" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="data:,";
                (head)
            }
            body { (content) }
        }
    };
    Html(text.into_string()).into_response()
}

/// A page; `at` is its place in the navigation. One that moves shows something that goes on by itself.
pub fn page(session: &Session, at: &str, title: &str, moves: bool, content: &Markup) -> Response {
    document(
        title,
        &html! {
            script src="/live.js" defer {}
            @if moves { noscript { meta http-equiv="refresh" content=(REFRESH_SECONDS); } }
        },
        &html! {
            a.skip href="#content" { "Skip to content" }
            header {
                span.name { "reconciled" }
                nav aria-label="Pages" {
                    @for (path, name) in NAVIGATION {
                        a href=(path) aria-current=[(path == at).then_some("page")] { (name) }
                    }
                }
                span #live.badge role="status" hidden {}
                (button(session, "/logout", "Log out", &html! {}))
            }
            main #content {
                h1 { (title) }
                (content)
            }
        },
    )
}

/// A form of one button, and what else it sends.
pub fn button(session: &Session, action: &str, text: &str, fields: &Markup) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            input type="hidden" name="form_token" value=(session.form_token);
            (fields)
            button type="submit" { (text) }
        }
    }
}

/// Shows what was found, or why nothing was.
pub fn show<T>(
    session: &Session,
    at: &str,
    title: &str,
    found: Result<T, OpsError>,
    content: impl FnOnce(T) -> Markup,
) -> Response {
    show_moving(session, at, title, found, |_| false, content)
}

/// The same, of what may go on by itself.
pub fn show_moving<T>(
    session: &Session,
    at: &str,
    title: &str,
    found: Result<T, OpsError>,
    moves: impl FnOnce(&T) -> bool,
    content: impl FnOnce(T) -> Markup,
) -> Response {
    match found {
        Ok(found) => page(session, at, title, moves(&found), &content(found)),
        Err(error) => {
            let (status, words) = refusal(&error);
            trouble(session, status, &words)
        }
    }
}

/// Why not.
pub fn trouble(session: &Session, status: StatusCode, words: &str) -> Response {
    let content = html! { p.bad role="alert" { (words) } p { a href="/" { "Back to the overview" } } };
    (status, page(session, "", "Not done", false, &content)).into_response()
}

/// A table with a header; says `nothing` where there are no rows.
pub fn table(header: &[&str], rows: &[Markup], nothing: &str) -> Markup {
    html! {
        @if rows.is_empty() { p.quiet { (nothing) } } @else {
            div.scroll tabindex="0" role="region" aria-label="Table" {
                table {
                    thead { tr { @for name in header { th scope="col" { (name) } } } }
                    tbody { @for row in rows { tr { (row) } } }
                }
            }
        }
    }
}

/// An address with these parameters, but for those that are absent or empty.
pub fn address(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, value.filter(|text| !text.is_empty())?)));
    let parts: Vec<String> = given.map(|(name, value)| format!("{name}={}", segment(value))).collect();
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}

/// Where a list goes on, and back to its beginning.
pub fn pager(path: &str, parameters: &[(&str, Option<&str>)], is_first: bool, next: Option<&str>) -> Markup {
    if is_first && next.is_none() {
        return html! {};
    }
    let with = |after: Option<&str>| {
        let mut all = parameters.to_vec();
        all.push(("after", after));
        address(path, &all)
    };
    html! {
        p.pager {
            @if !is_first { a rel="first" href=(with(None)) { "First page" } }
            @if let Some(next) = next { a rel="next" href=(with(Some(next))) { "Next page" } }
        }
    }
}

/// A choice of one of these, or of all.
pub fn choice<'a>(name: &str, title: &str, all: impl IntoIterator<Item = &'a str>, chosen: Option<&str>) -> Markup {
    html! {
        span.choice {
            label for=(name) { (title) } " "
            select id=(name) name=(name) {
                option value="" { "all" }
                @for one in all { option value=(one) selected[chosen == Some(one)] { (one) } }
            }
        }
    }
}

/// How an outcome looks.
pub fn outcome(outcome: &str) -> Markup {
    let kind = match outcome {
        "ok" => "good",
        "halted" | "failed" | "unavailable" | "interrupted" => "bad",
        _ => "news",
    };
    html! { span class={ "badge " (kind) } { (outcome) } }
}

/// A time for people.
pub fn time(rfc3339: Option<&String>) -> Markup {
    html! {
        @match rfc3339 {
            Some(text) => time datetime=(text) { (text.chars().take(19).collect::<String>().replace('T', " ")) },
            None => "–",
        }
    }
}

/// JSON for people: text without quotes.
pub fn plain(json: &str) -> String {
    match serde_json::from_str::<String>(json) {
        Ok(text) if text.is_empty() => "\"\"".to_owned(),
        Ok(text) => text,
        Err(_) if json == "null" => "∅".to_owned(),
        Err(_) => json.to_owned(),
    }
}

/// A value that may not be there, cut where it is long.
pub fn value(json: Option<&RawValue>) -> Markup {
    let text = json.map_or_else(|| "–".to_owned(), |json| plain(json.get()));
    if text.chars().count() <= VALUE_CHARS_MAX {
        return html! { (text) };
    }
    let first: String = text.chars().take(VALUE_CHARS_MAX).collect();
    html! { details { summary { (first) "…" } span.long { (text) } } }
}

/// What a side says.
pub fn say(say: &Say) -> Markup {
    match &say.error {
        Some(error) => html! { span.bad { "unreadable: " (error) } },
        None => value(say.value.as_deref()),
    }
}

/// A part of a path.
pub fn segment(text: &str) -> String {
    crate::upstream::encode_segment(text)
}

/// A link to a record.
pub fn record_link(collection: &str, record: &str) -> Markup {
    html! { a href={ "/records/" (segment(collection)) "/" (segment(record)) } { (record) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_what_is_asked_for_and_no_more() {
        assert_eq!(address("/passes", &[("collection", None), ("outcome", Some(""))]), "/passes");
        let asked = address("/passes", &[("collection", Some("a&b")), ("after", Some("7"))]);
        assert_eq!(asked, "/passes?collection=a%26b&after=7");
        let none = pager("/passes", &[], true, None).into_string();
        assert_eq!(none, "");
        let both = pager("/passes", &[("outcome", Some("ok"))], false, Some("7")).into_string();
        assert!(
            both.contains("href=\"/passes?outcome=ok\"") && both.contains("/passes?outcome=ok&amp;after=7"),
            "{both}"
        );
    }
}
