//! Owns: how pages follow each other, by the parameters of the listing and the schema of its answer.
//!
//! Must not know: samples.

use super::document::{Document, members};
use super::operations::Found;
use super::schema::{Leaf, lay_flat};
use crate::record::{Json, Path};
use crate::rules::propose::draft::Said;
use crate::rules::propose::names::{is_last_page, is_more, last, squeezed};
use crate::rules::propose::paging::more;
use crate::rules::propose::text::quoted;

/// The greatest page size that is proposed.
const SIZE_MAX: u64 = 1000;

type Parameters<'a> = [(&'a str, Option<&'a Json>)];

/// The paging of a listing with these parameters in its query.
pub fn paging(document: &Document, found: &Found<'_>, query: &Parameters<'_>, id: &Path) -> Said<String> {
    let linked = members(found.answer.get("headers")).iter().any(|(name, _)| name.eq_ignore_ascii_case("link"));
    if linked {
        return Said::guess("\"link_header\"".to_owned(), "the answer has a header Link");
    }
    let mut leaves = lay_flat(document, found.body);
    leaves.retain(|leaf| !leaf.path.steps.starts_with(&found.records.steps) || found.records.steps.is_empty());
    let (size, told) = (size(query).unwrap_or_default(), says_more(&leaves).unwrap_or_default());
    let counted = |kind: &str, names: &[&str]| {
        let name = parameter(query, names)?;
        let into = quoted(&format!("query.{name}"));
        let table = format!("{{ kind = \"{kind}\", into = {into}{size}{told} }}");
        Some(Said::guess(table, format!("the listing has the parameter {name}")))
    };
    next_url(&leaves)
        .or_else(|| cursor(&leaves, query, &told))
        .or_else(|| keyset(query, id, (&size, &told)))
        .or_else(|| counted("offset", &["offset", "skip", "startat", "startindex"]))
        .or_else(|| counted("page", &["page", "pagenumber", "pageindex"]))
        .unwrap_or_else(|| Said::guess("\"none\"".to_owned(), "the description shows no way to a next page"))
}

/// The parameter that has one of these squeezed names, as it is written; the first name that is there counts.
fn parameter<'a>(query: &Parameters<'a>, names: &[&str]) -> Option<&'a str> {
    let usable = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]$".contains(&byte));
    let mut found = names.iter().filter_map(|wanted| query.iter().find(|(name, _)| squeezed(name) == *wanted));
    found.find(|(name, _)| usable(name)).map(|(name, _)| *name)
}

fn size(query: &Parameters<'_>) -> Option<String> {
    let name = parameter(query, &["limit", "perpage", "pagesize", "size", "take", "maxresults", "count"])?;
    let schema = query.iter().find(|(known, _)| *known == name).and_then(|(_, schema)| *schema);
    let number = |key: &str| match schema?.get(key)? {
        Json::Number(token) => token.parse::<u64>().ok().filter(|number| *number > 0),
        _ => None,
    };
    let value = number("maximum").or(number("default")).unwrap_or(100).min(SIZE_MAX);
    Some(format!(", size = {{ into = {}, value = {value} }}", quoted(&format!("query.{name}"))))
}

/// `links.next` of JSON:API, a text or an object with `href`; `_links.next.href` of HAL.
fn is_link(leaf: &Leaf<'_>) -> bool {
    let above = |levels: usize| {
        let steps = &leaf.path.steps[..leaf.path.steps.len().saturating_sub(levels)];
        last(&Path { steps: steps.to_vec() })
    };
    let is_text = leaf.shape.types == ["string"] || leaf.shape.mixed;
    let names = [above(0), above(1), above(2)];
    match names.each_ref().map(String::as_str) {
        ["next", "links", _] => is_text,
        ["href", "next", "links"] => leaf.shape.types == ["string"],
        _ => false,
    }
}

fn next_url(leaves: &[Leaf<'_>]) -> Option<Said<String>> {
    let leaf = leaves.iter().find(|leaf| {
        let name = last(&leaf.path);
        let plainly = ["nexturl", "nextlink", "nextpageurl", "odatanextlink", "nexturi"].contains(&name.as_str());
        let as_uri = ["next", "nextpage"].contains(&name.as_str())
            && matches!(leaf.shape.format, Some("uri" | "url" | "uri-reference"));
        leaf.shape.types == ["string"] && (plainly || as_uri) || is_link(leaf)
    })?;
    let table = format!("{{ kind = \"next_url\", next = {} }}", quoted(&leaf.path.to_string()));
    Some(Said::guess(table, "by its name"))
}

/// What says in so many words whether more follows.
fn says_more(leaves: &[Leaf<'_>]) -> Option<String> {
    let flag = |is_named: fn(&str) -> bool| {
        let is_flag = |leaf: &&Leaf<'_>| leaf.shape.types == ["boolean"] && is_named(&last(&leaf.path));
        leaves.iter().find(is_flag).map(|leaf| &leaf.path)
    };
    more(flag(is_more), flag(is_last_page))
}

/// The next page begins after the last record of this one.
fn keyset(query: &Parameters<'_>, id: &Path, (size, told): (&str, &str)) -> Option<Said<String>> {
    let name = parameter(query, &["startingafter", "afterid", "sinceid"])?;
    let (key, into) = (quoted(&id.to_string()), quoted(&format!("query.{name}")));
    let table = format!("{{ kind = \"keyset\", key = {key}, into = {into}{size}{told} }}");
    Some(Said::guess(table, format!("the listing has the parameter {name}")))
}

fn cursor(leaves: &[Leaf<'_>], query: &Parameters<'_>, told: &str) -> Option<Said<String>> {
    let names = [
        "nextcursor",
        "nextpagetoken",
        "nexttoken",
        "endcursor",
        "continuation",
        "continuationtoken",
        "nextpage",
        "next",
        "after",
        "cursor",
    ];
    let into = parameter(
        query,
        &["cursor", "pagetoken", "after", "nexttoken", "continuationtoken", "continuation", "startingafter", "next"],
    )?;
    let found = names.iter().find_map(|name| leaves.iter().find(|leaf| last(&leaf.path) == *name))?;
    let next = quoted(&found.path.to_string());
    let table = format!("{{ kind = \"cursor\", next = {next}, into = {}{told} }}", quoted(&format!("query.{into}")));
    Some(Said::guess(table, format!("the answer has {}, the listing the parameter {into}", found.path)))
}

/// A parameter that asks for what changed since.
pub fn since(query: &Parameters<'_>) -> Option<Said<String>> {
    let names = [
        "updatedsince",
        "updatedafter",
        "modifiedsince",
        "modifiedafter",
        "changedsince",
        "since",
        "updatedfrom",
        "lastmodifiedsince",
        "updatedatmin",
        "updatedatgte",
        "updatedmin",
    ];
    let name = parameter(query, &names)?;
    Some(Said::guess(format!("query.{name}"), "the listing has a parameter of this name"))
}
