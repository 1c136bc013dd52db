//! Owns: which path of the description is the listing, and the requests that belong to it.
//!
//! Must not know: schemas of records.

use super::document::{Document, items, members};
use super::schema::shape;
use crate::record::{Json, Path, Step};
use crate::rules::propose::names::{last, squeezed};
use crate::rules::propose::wanted::Asked;
use crate::rules::propose::{ProposeError, Wanted};

/// A listing.
#[derive(Debug)]
pub struct Found<'a> {
    /// Its path in the description.
    pub template: &'a str,
    /// What the description says of the path.
    pub item: &'a Json,
    /// Its GET.
    pub get: &'a Json,
    /// The answer to it.
    pub answer: &'a Json,
    /// The schema of the answer's body.
    pub body: &'a Json,
    /// Where the records are in it.
    pub records: Path,
    /// The schema of a record.
    pub record: &'a Json,
}

/// The chosen listing, its path with values in the places of parameters, and why it was chosen.
pub struct Chosen<'a> {
    /// The listing.
    pub found: Found<'a>,
    /// The path to ask.
    pub path: String,
    /// Why, where nobody said so.
    pub guess: Option<String>,
}

impl Chosen<'_> {
    /// A longer path of the description, with the same values, and `{id}` for the last parameter.
    pub fn below(&self, template: &str) -> Option<String> {
        let rest = template.strip_prefix(self.found.template)?.trim_end_matches('/').strip_prefix('/')?;
        let is_parameter =
            rest.starts_with('{') && rest.ends_with('}') && !rest[1..rest.len() - 1].contains(['{', '/']);
        is_parameter.then(|| format!("{}/{{id}}", self.path.trim_end_matches('/')))
    }
}

/// All listings of a description.
pub fn listings(document: &Document) -> Vec<Found<'_>> {
    members(document.root.get("paths")).iter().filter_map(|(path, item)| listing(document, path, item)).collect()
}

fn listing<'a>(document: &'a Document, template: &'a str, item: &'a Json) -> Option<Found<'a>> {
    if template.trim_end_matches('/').ends_with('}') || template.contains(['?', '#']) || !template.starts_with('/') {
        return None;
    }
    let item = document.follow(item);
    let get = document.member(item, "get")?;
    let answers = members(get.get("responses"));
    let good = |status: &str| ["200", "2XX", "206", "default"].iter().position(|known| *known == status);
    let (_, answer) =
        answers.iter().filter_map(|(status, answer)| Some((good(status)?, answer))).min_by_key(|it| it.0)?;
    let answer = document.follow(answer);
    let (_, media) = members(answer.get("content")).iter().find(|(kind, _)| kind.contains("json"))?;
    let body = document.member(media, "schema")?;
    let (records, record) = list_in(document, body)?;
    Some(Found { template, item, get, answer, body, records, record })
}

/// Where the list of objects is in a body.
fn list_in<'a>(document: &'a Document, body: &'a Json) -> Option<(Path, &'a Json)> {
    let mut lists = Vec::new();
    find_lists(document, body, &mut Vec::new(), &mut lists);
    let usual = ["results", "data", "items", "records", "value", "values", "entries"];
    let rank = |path: &Path| usual.iter().position(|name| *name == last(path)).unwrap_or(usual.len());
    lists.into_iter().min_by_key(|(path, _)| (path.steps.len(), rank(path)))
}

fn find_lists<'a>(document: &'a Document, schema: &'a Json, at: &mut Vec<Step>, lists: &mut Vec<(Path, &'a Json)>) {
    let here = shape(document, schema);
    if let (["array"], Some(record)) = (here.types.as_slice(), here.items) {
        if !shape(document, record).properties.is_empty() {
            lists.push((Path { steps: at.clone() }, record));
        }
        return;
    }
    if at.len() >= 2 {
        return;
    }
    // Links are no records, several of a kind or not (HAL has `_links.curies`).
    for (name, property) in here.properties.into_iter().filter(|(name, _)| !is_links(name)) {
        at.push(Step::Key(name.to_owned()));
        find_lists(document, property, at, lists);
        at.pop();
    }
}

/// Where HAL and JSON:API keep links.
pub fn is_links(name: &str) -> bool {
    ["links", "_links"].contains(&name)
}

/// Chooses the listing.
pub fn choose<'a>(
    mut all: Vec<Found<'a>>,
    wanted: &Wanted<'_>,
    asked: Option<&Asked>,
) -> Result<Chosen<'a>, ProposeError> {
    let paths = |all: &[Found<'_>]| all.iter().map(|found| found.template.to_owned()).collect::<Vec<_>>();
    let none = |what: String, all: &[Found<'_>]| Err(ProposeError::Listings { what, candidates: paths(all) });
    if all.is_empty() {
        return Err(ProposeError::Wanted("the description has no GET whose answer holds a list of objects".to_owned()));
    }
    if let Some((path, _)) = asked {
        let matching = |found: &Found<'_>| values_of(found.template, path);
        // A path that is spelt out comes before one with parameters.
        let best = all.iter().enumerate().filter_map(|(at, found)| Some((at, matching(found)?)));
        let Some((at, _)) = best.min_by_key(|(_, values)| values.len()) else {
            return none(format!("the description has no listing at {}", path.escape_debug()), &all);
        };
        return Ok(Chosen { found: all.swap_remove(at), path: path.clone(), guess: None });
    }
    let own = squeezed(wanted.collection);
    let ends = |found: &Found<'_>| found.template.rsplit('/').find(|part| !part.is_empty()).map(squeezed);
    let plain: Vec<usize> = (0..all.len()).filter(|at| !all[*at].template.contains('{')).collect();
    let named: Vec<usize> = plain.iter().copied().filter(|at| ends(&all[*at]).as_ref() == Some(&own)).collect();
    let (at, why) = match (named.as_slice(), plain.as_slice()) {
        ([one], _) => (*one, "the one listing whose path ends with the collection's name"),
        ([], [one]) => (*one, "the only listing without parameters in its path"),
        ([], _) => return none(format!("no listing is called `{}`", wanted.collection.escape_debug()), &all),
        _ => return none(format!("several listings are called `{}`", wanted.collection.escape_debug()), &all),
    };
    let found = all.swap_remove(at);
    let path = found.template.to_owned();
    Ok(Chosen { found, path, guess: Some(why.to_owned()) })
}

/// The values of the parameters, where a path is one of this template.
fn values_of(template: &str, path: &str) -> Option<Vec<String>> {
    let parts = |text: &str| text.trim_end_matches('/').split('/').map(str::to_owned).collect::<Vec<_>>();
    let (template, path) = (parts(template), parts(path));
    if template.len() != path.len() {
        return None;
    }
    let mut values = Vec::new();
    for (wanted, given) in template.iter().zip(path) {
        match wanted.starts_with('{') && wanted.ends_with('}') {
            true if !given.is_empty() => values.push(given),
            false if *wanted == given => {}
            _ => return None,
        }
    }
    Some(values)
}

/// A path of the description by which one record is meant, with its operations.
pub fn point<'a>(document: &'a Document, chosen: &Chosen<'a>) -> Option<(String, &'a Json, &'a str)> {
    members(document.root.get("paths")).iter().find_map(|(template, item)| {
        let path = chosen.below(template)?;
        let name = template.trim_end_matches('/').rsplit('/').next()?.trim_matches(['{', '}']);
        Some((path, document.follow(item), name))
    })
}

/// The parameters that a listing cannot do without, but for those that `known` knows, with a value that may do.
pub fn demanded(document: &Document, found: &Found<'_>, known: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let all = items(found.get.get("parameters")).iter().chain(items(found.item.get("parameters")));
    let mut demanded: Vec<(String, String)> = Vec::new();
    for parameter in all.map(|parameter| document.follow(parameter)) {
        let says = |key: &str| parameter.get(key).and_then(Json::as_str);
        let is_required = matches!(parameter.get("required"), Some(Json::Bool(true)));
        let Some(name) = says("name").filter(|_| is_required && says("in") == Some("query")) else { continue };
        if name.is_empty() || known(name) || demanded.iter().any(|(other, _)| other == name) {
            continue;
        }
        demanded.push((name.to_owned(), sample_value(document, parameter)));
    }
    demanded
}

/// The value that the description itself has for a parameter, or one to be replaced.
fn sample_value(document: &Document, parameter: &Json) -> String {
    let schema = document.member(parameter, "schema");
    let example = members(parameter.get("examples")).first().and_then(|(_, example)| example.get("value"));
    let allowed = schema.and_then(|schema| items(schema.get("enum")).first());
    let given = |key: &str| parameter.get(key).or_else(|| schema?.get(key));
    let mut found = [given("default"), given("example"), example, allowed].into_iter().flatten();
    let text = |value: &Json| match value {
        Json::String(text) if !text.contains(['{', '}']) => Some(text.clone()),
        Json::Number(token) => Some(token.clone()),
        Json::Bool(value) => Some(value.to_string()),
        Json::Null | Json::String(_) | Json::Array(_) | Json::Object(_) => None,
    };
    found.find_map(text).unwrap_or_else(|| "CHANGE_ME".to_owned())
}

/// The names of an operation's parameters of this kind, with their schemas.
pub fn parameters<'a>(
    document: &'a Document,
    item: &'a Json,
    operation: &'a Json,
    kind: &str,
) -> Vec<(&'a str, Option<&'a Json>)> {
    let all = items(operation.get("parameters")).iter().chain(items(item.get("parameters")));
    all.map(|parameter| document.follow(parameter))
        .filter(|parameter| parameter.get("in").and_then(Json::as_str) == Some(kind))
        .filter_map(|parameter| {
            Some((parameter.get("name").and_then(Json::as_str)?, document.member(parameter, "schema")))
        })
        .collect()
}
