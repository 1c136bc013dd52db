//! Owns: the pages on which people decide conflicts: one by one, by a value of their own, many at once.
//!
//! Must not know: what a decision leads to.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use maud::{Markup, html};

use crate::ops::{BulkDone, Candidate, Conflict, OpsError};
use crate::record::FieldType;
use crate::rules::{Field, Ruleset};
use crate::store::ConflictFilter;

use super::super::access::Session;
use super::super::api::refusal;
use super::super::asked::{of_conflicts, query, shown_limit};
use super::super::look::ConflictPage;
use super::super::site::Site;
use super::diff::difference;
use super::form::Number;
use super::layout::{address, button, page, pager, plain, record_link, show, table, time};

const PATH: &str = "/conflicts";

/// What all pages of conflicts are drawn with.
struct Draw<'a> {
    session: &'a Session,
    rules: &'a Ruleset,
    /// Where a decision leads back to.
    back: String,
    /// What somebody typed, where it was not taken.
    typed: BTreeMap<String, String>,
}

/// Conflicts with every side's say.
pub async fn list(State(site): State<Arc<Site>>, Extension(session): Extension<Session>, uri: Uri) -> Response {
    let filter = of_conflicts(&query(&uri)).filter();
    let rules = site.front.desk.standing().rules;
    let found = site.conflicts(filter.clone()).await;
    let limit = shown_limit(filter.limit);
    let parameters = parameters(&filter, limit.as_deref());
    show(&session, PATH, "Conflicts", found, |conflicts| {
        let draw = Draw { session: &session, rules: &rules, back: address(PATH, &parameters), typed: BTreeMap::new() };
        let next = conflicts.next.map(|next| next.to_string());
        html! {
            (narrowed(&filter, &rules))
            @if conflicts.conflicts.is_empty() { p.quiet { "No conflicts." } }
            @if conflicts.total > 1 && !filter.closed_too { (bulk(&draw, &filter, &conflicts)) }
            @for one in &conflicts.conflicts { (draw.conflict(one)) }
            (pager(PATH, &parameters, filter.after.is_none(), next.as_deref()))
        }
    })
}

/// One conflict.
pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(session): Extension<Session>,
    Number(id): Number,
) -> Response {
    let found = site.conflict(id).await;
    let rules = site.front.desk.standing().rules;
    let draw = Draw { session: &session, rules: &rules, back: "/conflicts".to_owned(), typed: BTreeMap::new() };
    show(&session, "/conflicts", "Conflict", found, |found| draw.conflict(&found))
}

/// The conflict again, with why what was typed is not taken; it can be mended in place.
pub async fn again(
    site: &Site,
    session: &Session,
    id: i64,
    why: &OpsError,
    typed: BTreeMap<String, String>,
) -> Response {
    let (status, words) = refusal(why);
    let rules = site.front.desk.standing().rules;
    let Ok(found) = site.conflict(id).await else { return super::layout::trouble(session, status, &words) };
    let draw = Draw { session, rules: &rules, back: "/conflicts".to_owned(), typed };
    let content = html! { p.alarm role="alert" { (words) } (draw.conflict(&found)) };
    // The form was understood, and cannot be done: 409 would be told as an error of the page.
    let status = if status == StatusCode::CONFLICT { StatusCode::UNPROCESSABLE_ENTITY } else { status };
    (status, page(session, "/conflicts", "Conflict", false, &content)).into_response()
}

/// What came of deciding many.
pub fn decided(session: &Session, done: &BulkDone, back: &str) -> Response {
    let content = html! {
        p.good role="status" { (done.decided) " conflicts are decided; the next pass applies it." }
        @if done.left > 0 {
            p { (done.left) " are left, for which that side has no say:" }
            ul { @for reason in &done.reasons { li { (reason) } } }
        }
        @if done.more { p { "There are more: do it again." } }
        p { a href=(back) { "Back to the conflicts" } }
    };
    page(session, "/conflicts", "Decided", false, &content)
}

/// What narrows the list, as its address has it.
fn parameters<'a>(filter: &'a ConflictFilter, limit: Option<&'a str>) -> [(&'static str, Option<&'a str>); 4] {
    [
        ("collection", filter.collection.as_deref()),
        ("field", filter.field.as_deref()),
        ("all", filter.closed_too.then_some("true")),
        ("limit", limit),
    ]
}

/// The form that narrows the list.
fn narrowed(filter: &ConflictFilter, rules: &Ruleset) -> Markup {
    let of = |name: &&String| filter.collection.as_ref().is_none_or(|only| only == *name);
    let mut fields: Vec<&str> = rules
        .collections
        .iter()
        .filter(|(name, _)| of(name))
        .flat_map(|(_, collection)| collection.fields.iter().map(|field| field.name.as_str()))
        .collect();
    fields.sort_unstable();
    fields.dedup();
    html! {
        form.search method="get" action="/conflicts" {
            label for="collection" { "Collection" }
            select #collection name="collection" {
                option value="" { "all" }
                @for name in rules.collections.keys() {
                    option value=(name) selected[filter.collection.as_ref() == Some(name)] { (name) }
                }
            }
            label for="field" { "Field" }
            select #field name="field" {
                option value="" { "any" }
                @for name in fields { option value=(name) selected[filter.field.as_deref() == Some(name)] { (name) } }
            }
            label { input type="checkbox" name="all" value="true" checked[filter.closed_too]; " closed ones as well" }
            button type="submit" { "Show" }
        }
    }
}

/// The form that decides all that match.
fn bulk(draw: &Draw<'_>, filter: &ConflictFilter, conflicts: &ConflictPage) -> Markup {
    let of = |name: &&String| filter.collection.as_ref().is_none_or(|only| only == *name);
    let mut sides: Vec<&str> = draw
        .rules
        .collections
        .iter()
        .filter(|(name, _)| of(name))
        .flat_map(|(_, collection)| collection.bindings.iter().map(|binding| binding.upstream.name.as_str()))
        .collect();
    sides.sort_unstable();
    sides.dedup();
    html! {
        form.card.bulk method="post" action="/conflicts/resolve" {
            input type="hidden" name="form_token" value=(draw.session.form_token);
            input type="hidden" name="back" value=(draw.back);
            input type="hidden" name="up_to" value=(conflicts.newest);
            @if let Some(collection) = &filter.collection { input type="hidden" name="collection" value=(collection); }
            @if let Some(field) = &filter.field { input type="hidden" name="field" value=(field); }
            h2 { "All " (conflicts.total) " at once" }
            div.search {
                label for="side" { "Take" }
                select #side name="take" {
                    option value="local" { "what is here" }
                    @for side in sides { option value=(side) { "what is at " (side) } }
                    option value="base" { "what it was when the sides last agreed" }
                }
                label { input type="checkbox" name="sure" value="true" required; " for all that are listed, on every page" }
                button type="submit" { "Decide all" }
            }
        }
    }
}

impl Draw<'_> {
    fn conflict(&self, one: &Conflict) -> Markup {
        let what = if one.fields.is_empty() { "the record's existence".to_owned() } else { one.fields.join(", ") };
        let base = one.base.as_ref().map(|json| values(json.get()));
        let rows: Vec<Markup> =
            one.candidates.iter().map(|side| candidate(side, base.as_deref(), &one.fields)).collect();
        html! {
            article.card {
                h2 { a href={ "/conflicts/" (one.id) } { "Conflict " (one.id) } ": " (what) }
                p {
                    (one.collection) " / " (record_link(&one.collection, &one.record))
                    @if let Some(name) = &one.name { " (" strong { (name) } ")" }
                    ", " (one.kind)
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
                    (self.choices(one))
                }
            }
        }
    }

    fn choices(&self, one: &Conflict) -> Markup {
        let action = format!("/conflicts/{}/resolve", one.id);
        let send = |name: &str, value: &str, text: &str| {
            let fields = html! {
                input type="hidden" name=(name) value=(value);
                input type="hidden" name="back" value=(self.back);
            };
            button(self.session, &action, text, &fields)
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
            @if !one.fields.is_empty() { (self.own_value(one, &action)) }
        }
    }

    /// A form for a value that no side has.
    fn own_value(&self, one: &Conflict, action: &str) -> Markup {
        let local = one.candidates.iter().find(|side| side.origin == "local").or(one.candidates.first());
        let local = local.map(|side| values_as_typed(side.values.get())).unwrap_or_default();
        let rules = self.rules.collections.get(&one.collection);
        html! {
            details open[!self.typed.is_empty()] {
                summary { "Another value" }
                form.own method="post" action=(action) {
                    input type="hidden" name="form_token" value=(self.session.form_token);
                    input type="hidden" name="back" value=(self.back);
                    input type="hidden" name="own" value=(one.fields.len());
                    @for (at, name) in one.fields.iter().enumerate() {
                        @let field = rules.and_then(|rules| rules.field(name).and_then(|at| rules.fields.get(at)));
                        @let typed = self.typed.get(&format!("value_{at}")).map(String::as_str);
                        @let value = typed.unwrap_or(local.get(at).map_or("", String::as_str));
                        (input(&format!("c{}-{at}", one.id), at, name, field, value))
                        label.quiet {
                            input type="checkbox" name={ "null_" (at) } value="true"
                                checked[self.typed.contains_key(&format!("null_{at}"))];
                            " no value"
                        }
                    }
                    button type="submit" { "Take this value" }
                }
            }
        }
    }
}

/// The control for one field, by its type.
fn input(id: &str, at: usize, name: &str, field: Option<&Field>, value: &str) -> Markup {
    let listed = field.and_then(|field| field.domain.one_of.clone());
    let ty = field.map(|field| &field.domain.ty);
    let control = format!("value_{at}");
    html! {
        label for=(id) { (name) @if let Some(ty) = ty { span.quiet { " (" (ty.name()) ")" } } }
        @match (listed, ty) {
            (Some(list), _) => select id=(id) name=(control) {
                @for one in &list { option value=(one) selected[one == value] { (one) } }
            },
            (None, Some(FieldType::Boolean)) => select id=(id) name=(control) {
                @for one in ["true", "false"] { option value=(one) selected[one == value] { (one) } }
            },
            (None, Some(FieldType::Json | FieldType::Set | FieldType::List { .. } | FieldType::Text)) => {
                textarea id=(id) name=(control) rows="2" { (value) }
            },
            (None, _) => input id=(id) name=(control) value=(value);,
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

fn list_of(json: &str) -> Vec<Box<serde_json::value::RawValue>> {
    serde_json::from_str(json).unwrap_or_default()
}

/// The values of a JSON list, as people read them.
fn values(json: &str) -> Vec<String> {
    list_of(json).iter().map(|one| plain(one.get())).collect()
}

/// The same, as people type them.
fn values_as_typed(json: &str) -> Vec<String> {
    let typed = |json: &str| match serde_json::from_str::<String>(json) {
        Ok(text) => text,
        Err(_) if json == "null" => String::new(),
        Err(_) => json.to_owned(),
    };
    list_of(json).iter().map(|one| typed(one.get())).collect()
}

fn joined(fields: &[String], values: &[String]) -> String {
    fields.iter().zip(values).map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_list_keeps_what_narrows_it() {
        let check = |asked: &str, expected: &str| {
            let filter = of_conflicts(&super::super::super::asked::parameters(asked.as_bytes())).filter();
            let limit = shown_limit(filter.limit);
            assert_eq!(address(PATH, &parameters(&filter, limit.as_deref())), expected, "{asked}");
        };
        check("", "/conflicts");
        check("collection=&field=&after=7&limit=50", "/conflicts");
        check("collection=a%26b&field=name&limit=7", "/conflicts?collection=a%26b&field=name&limit=7");
        check("all=true", "/conflicts?all=true");
    }

    #[test]
    fn values_are_put_into_forms_as_people_type_them() {
        assert_eq!(
            values_as_typed(r#"["Ann", null, 12.50, true, ["a"], ""]"#),
            ["Ann", "", "12.50", "true", "[\"a\"]", ""]
        );
        assert_eq!(values(r#"["Ann", null, ""]"#), ["Ann", "∅", "\"\""]);
    }
}
