//! Owns: which requests are the same, and what to say of one that is in no cassette: the nearest that is, and what differs.
//!
//! Must not know: answers.

use std::collections::BTreeMap;

use url::Url;

use crate::record::Json;

/// Longer values are cut in words.
const SHOWN_CHARS_MAX: usize = 60;
/// Differences that are named, at most.
const DIFFERENCES_MAX: usize = 4;

/// What is asked. Two are the same whatever the order of their parameters and of the members of their bodies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    method: String,
    /// Scheme, host and port.
    origin: String,
    path: String,
    /// Each parameter with all its values.
    query: BTreeMap<String, Vec<String>>,
    /// Those that the rules of the upstream send with every request.
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

impl Question {
    /// Of a request without credentials.
    pub fn new(method: &str, url: &Url, headers: BTreeMap<String, String>, body: Option<&[u8]>) -> Self {
        let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            query.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        let body = body.filter(|body| !body.is_empty()).map(|body| match Json::parse(body) {
            Ok(json) => json.canonical().to_string(),
            Err(_other) => String::from_utf8_lossy(body).into_owned(),
        });
        let origin = url.origin().ascii_serialization();
        Self { method: method.to_owned(), origin, path: url.path().to_owned(), query, headers, body }
    }

    fn line(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, values) in &self.query {
            query.extend_pairs(values.iter().map(|value| (name, value)));
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{query}", self.method, self.path)
    }
}

/// Says that a request is not there, which one is nearest, and what differs between the two.
pub fn nearest<'a>(asked: &Question, known: impl Iterator<Item = &'a Question>) -> String {
    let line = asked.line();
    let distance = |other: &Question| {
        let apart = differences(asked, other).len();
        let elsewhere = usize::from(asked.path != other.path) * 3 + usize::from(asked.origin != other.origin) * 3;
        (apart + elsewhere, strsim::levenshtein(&line, &other.line()))
    };
    match known.min_by_key(|other| distance(other)) {
        None => format!("the cassette has no `{}`, and nothing else of this upstream", shown(&line)),
        Some(other) => {
            let mut apart = differences(asked, other);
            let more = apart.len().saturating_sub(DIFFERENCES_MAX);
            apart.truncate(DIFFERENCES_MAX);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            let (line, near) = (cut(&line, 4 * SHOWN_CHARS_MAX), cut(&other.line(), 4 * SHOWN_CHARS_MAX));
            format!("the cassette has no `{line}`; the nearest that it has is `{near}`: {}{more}", apart.join(", "))
        }
    }
}

/// In words: what it is now, and what it was.
fn differences(asked: &Question, other: &Question) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, now: Option<&str>, then: Option<&str>| match (now, then) {
        _ if now == then => {}
        (Some(now), Some(then)) => found.push(format!("{what} is `{}` and was `{}`", shown(now), shown(then))),
        (Some(now), None) => found.push(format!("{what} is `{}` and was not there", shown(now))),
        (None, Some(then)) => found.push(format!("{what} is not there and was `{}`", shown(then))),
        (None, None) => {}
    };
    differ("the method", Some(&asked.method), Some(&other.method));
    differ("the host", Some(&asked.origin), Some(&other.origin));
    differ("the path", Some(&asked.path), Some(&other.path));
    let names: std::collections::BTreeSet<&String> = asked.query.keys().chain(other.query.keys()).collect();
    for name in names {
        let all = |question: &Question| question.query.get(name).map(|values| values.join(","));
        differ(&format!("`{name}`"), all(asked).as_deref(), all(other).as_deref());
    }
    let names: std::collections::BTreeSet<&String> = asked.headers.keys().chain(other.headers.keys()).collect();
    for name in names {
        let value = |question: &Question| question.headers.get(name).cloned();
        differ(&format!("the header `{name}`"), value(asked).as_deref(), value(other).as_deref());
    }
    let parsed = |question: &Question| question.body.as_ref().and_then(|body| Json::parse(body.as_bytes()).ok());
    match (parsed(asked), parsed(other)) {
        (Some(now), Some(then)) => compare("the body's ", &mut String::new(), &now, &then, &mut differ),
        _ => differ("the body", asked.body.as_deref(), other.body.as_deref()),
    }
    found
}

type Differ<'a> = dyn FnMut(&str, Option<&str>, Option<&str>) + 'a;

/// Member by member, down to what is no object in both.
fn compare(what: &str, at: &mut String, now: &Json, then: &Json, differ: &mut Differ<'_>) {
    let (Json::Object(ours), Json::Object(theirs)) = (now, then) else {
        let at = if at.is_empty() { "." } else { at.as_str() };
        if now != then {
            differ(&format!("{what}`{at}`"), Some(&now.to_string()), Some(&then.to_string()));
        }
        return;
    };
    let names: std::collections::BTreeSet<&String> = ours.iter().chain(theirs).map(|(name, _)| name).collect();
    for name in names {
        let length = at.len();
        at.push('.');
        at.push_str(name);
        match (now.get(name), then.get(name)) {
            (Some(now), Some(then)) => compare(what, at, now, then, differ),
            (now, then) => {
                let (now, then) = (now.map(Json::to_string), then.map(Json::to_string));
                differ(&format!("{what}`{at}`"), now.as_deref(), then.as_deref());
            }
        }
        at.truncate(length);
    }
}

fn shown(text: &str) -> String {
    cut(text, SHOWN_CHARS_MAX)
}

fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max { text.to_owned() } else { text.chars().take(max).collect::<String>() + "…" }
}
