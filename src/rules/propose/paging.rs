//! Owns: how pages follow each other, by what an answer shows beside its records.
//!
//! Must not know: the records.

use super::draft::Said;
use super::flat::{Place, lay_flat};
use super::names::{is_last_page, is_more, last};
use super::text::quoted;
use crate::record::{Json, Path};

/// The greatest page size that rules may have.
const SIZE_MAX: u64 = 100_000;

/// The paging of these answers, whose records are at `records`; `seen` of them are there.
pub fn paging(answers: &[Json], records: &Path, seen: usize) -> Said<String> {
    let objects: Vec<&Json> = answers.iter().filter(|answer| matches!(answer, Json::Object(_))).collect();
    let mut places = lay_flat(&objects);
    places.retain(|place| !place.path.steps.starts_with(&records.steps) && place.path.steps.len() <= 4);
    let none = || {
        let why = match total(&places).filter(|total| *total > seen as u64) {
            Some(_) => "nothing in the answer leads to a next page, and there are more records than in the sample",
            None if says_more(&places).is_some() => {
                "the answer says whether more follows, and not how to ask for it: mostly by the last record's id (kind = \"keyset\")"
            }
            None => "nothing in the answer leads to a next page",
        };
        Said::guess("\"none\"".to_owned(), why)
    };
    url(&places)
        .or_else(|| cursor(&places))
        .or_else(|| counted(&places, "offset", &["offset", "skip", "startat", "startindex"]))
        .or_else(|| counted(&places, "page", &["page", "currentpage", "pagenumber", "pageindex"]))
        .unwrap_or_else(none)
}

fn is_next(path: &Path) -> bool {
    let name = last(path);
    let words = ["next", "nexturl", "nextlink", "odatanextlink", "nextpageurl", "nextpage", "nexturi", "nexthref"];
    let parent = Path { steps: path.steps[..path.steps.len().saturating_sub(1)].to_vec() };
    words.contains(&name.as_str()) || ["href", "url", "link"].contains(&name.as_str()) && last(&parent) == "next"
}

fn url(places: &[Place<'_>]) -> Option<Said<String>> {
    let is_url = |value: &&Json| {
        value.as_str().is_some_and(|text| ["https://", "http://", "/", "?"].iter().any(|start| text.starts_with(start)))
    };
    let place = places.iter().find(|place| {
        let urls = place.values.iter().all(is_url);
        // On the last page it is null: then only its name tells.
        let named = !place.values.is_empty() || last(&place.path) != "nextpage";
        is_next(&place.path) && urls && named
    })?;
    let why = if place.values.is_empty() { "by its name; it is null in the sample" } else { "it holds a URL" };
    let table = format!("{{ kind = \"next_url\", next = {} }}", quoted(&place.path.to_string()));
    Some(Said::guess(table, why))
}

fn cursor(places: &[Place<'_>]) -> Option<Said<String>> {
    let names = ["cursor", "nextcursor", "endcursor", "nextpagetoken", "nexttoken", "pagetoken", "continuation"];
    let more = ["continuationtoken", "continue", "after", "startcursor", "nextpagecursor", "next", "nextpage"];
    let is_token = |value: &&Json| matches!(value, Json::String(_) | Json::Number(_));
    let place = places.iter().find(|place| {
        let name = last(&place.path);
        (names.contains(&name.as_str()) || more.contains(&name.as_str())) && place.values.iter().all(is_token)
    })?;
    let name = last(&place.path);
    let numbers = !place.values.is_empty() && place.values.iter().all(|value| matches!(value, Json::Number(_)));
    let into = match name.as_str() {
        "nextpagetoken" | "pagetoken" => "pageToken",
        "continuation" | "continuationtoken" => "continuationToken",
        "continue" => "continue",
        "after" | "endcursor" => "after",
        "nextpage" if numbers => "page",
        _ => "cursor",
    };
    let next = quoted(&place.path.to_string());
    let told = says_more(places).unwrap_or_default();
    let table = format!("{{ kind = \"cursor\", next = {next}, into = \"query.{into}\"{told} }}");
    Some(Said::guess(table, "by its name; where the token goes in the next request is not to be seen in an answer"))
}

/// Pages that are counted by a number which the answer repeats.
fn counted(places: &[Place<'_>], kind: &str, names: &[&str]) -> Option<Said<String>> {
    let number = |place: &Place<'_>| place.values.iter().map(|value| whole(value)).collect::<Option<Vec<u64>>>();
    let (place, numbers) = places.iter().find_map(|place| {
        let numbers = number(place).filter(|numbers| !numbers.is_empty())?;
        names.contains(&last(&place.path).as_str()).then_some((place, numbers))
    })?;
    let key = key_of(&place.path)?;
    let sizes = ["limit", "perpage", "pagesize", "size", "count", "take", "maxresults", "itemsperpage"];
    let size = sizes.iter().find_map(|name| places.iter().find(|place| last(&place.path) == *name)).and_then(|place| {
        let value = number(place)?.into_iter().max().filter(|value| (1..=SIZE_MAX).contains(value))?;
        Some(format!(", size = {{ into = {}, value = {value} }}", quoted(&format!("query.{}", key_of(&place.path)?))))
    });
    // The first page is 0 where a page is.
    let start = if kind == "page" && numbers.contains(&0) { ", start = 0" } else { "" };
    let into = quoted(&format!("query.{key}"));
    let told = says_more(places).or_else(|| pages(places).filter(|_| kind == "page")).unwrap_or_default();
    let table = format!("{{ kind = \"{kind}\", into = {into}{start}{}{told} }}", size.unwrap_or_default());
    Some(Said::guess(table, format!("the answer repeats {}", place.path)))
}

/// What says in so many words whether more follows.
fn says_more(places: &[Place<'_>]) -> Option<String> {
    let flag = |is_named: fn(&str) -> bool| {
        places.iter().find(|place| {
            let is_flag = !place.values.is_empty() && place.values.iter().all(|value| matches!(value, Json::Bool(_)));
            is_flag && is_named(&last(&place.path))
        })
    };
    more(flag(is_more).map(|place| &place.path), flag(is_last_page).map(|place| &place.path))
}

/// The setting for a flag that says it, or one that says the contrary.
pub fn more(flag: Option<&Path>, is_last: Option<&Path>) -> Option<String> {
    let condition = flag.map(Path::to_string).or_else(|| is_last.map(|path| format!("{path} == false")));
    condition.map(|condition| format!(", more = {}", quoted(&condition)))
}

/// How many pages there are.
fn pages(places: &[Place<'_>]) -> Option<String> {
    let names = ["totalpages", "pagecount", "pagestotal", "lastpage"];
    let place = places.iter().find(|place| {
        let is_number = !place.values.is_empty() && place.values.iter().all(|value| whole(value).is_some());
        is_number && names.contains(&last(&place.path).as_str())
    })?;
    Some(format!(", pages = {}", quoted(&place.path.to_string())))
}

fn total(places: &[Place<'_>]) -> Option<u64> {
    let names = ["total", "totalcount", "count", "totalresults", "totalitems", "totalrecords"];
    let place = places.iter().find(|place| names.contains(&last(&place.path).as_str()))?;
    place.values.iter().filter_map(|value| whole(value)).max()
}

fn whole(value: &Json) -> Option<u64> {
    if let Json::Number(token) = value { token.parse().ok() } else { None }
}

/// The last key, where it can be the name of a parameter.
fn key_of(path: &Path) -> Option<String> {
    let key = path.steps.iter().rev().find_map(|step| match step {
        crate::record::Step::Key(key) => Some(key.clone()),
        crate::record::Step::Index(_) => None,
    })?;
    key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)).then_some(key)
}
