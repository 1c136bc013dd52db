//! Owns: plain jq paths (`.a.b`, `."odd key"`, `.["k"]`, `.items[0]`) as lenses over JSON: get and put, compiled, no interpreter.
//!
//! Must not know: jq beyond plain paths (that is `filter`), fields.

use std::fmt;

use super::json::write_string;
use super::scan::{Scan, Scanner, Shape};
use super::token::Token;
use super::{Json, JsonError};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A member of an object.
    Key(String),
    /// An item of an array, from 0.
    Index(usize),
}

/// A plain path. The empty path is `.`, the whole document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The steps from the top.
    pub steps: Vec<Step>,
}

impl Path {
    /// Reads `text` if it is a plain path, else `None` (it may still be a jq filter).
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('.')?;
        let mut steps = Vec::new();
        let mut after_dot = true;
        while !rest.is_empty() || (after_dot && !steps.is_empty()) {
            let (step, tail) = parse_step(rest, after_dot)?;
            steps.push(step);
            let dotted = tail.strip_prefix('.');
            after_dot = dotted.is_some();
            rest = dotted.unwrap_or(tail);
        }
        Some(Self { steps })
    }

    /// The value at this path.
    pub fn get<'a>(&self, document: &'a Json) -> Option<&'a Json> {
        self.steps.iter().try_fold(document, |json, step| match (step, json) {
            (Step::Key(key), json) => json.get(key),
            (Step::Index(index), Json::Array(items)) => items.get(*index),
            (Step::Index(_), _) => None,
        })
    }

    /// Sets the value at this path, making objects (and arrays, for an index) where there is nothing or null on the way.
    /// An index must name an existing item or the next one. Everything off the path is left as it is.
    pub fn put(&self, document: &mut Json, value: Json) -> Result<(), JsonError> {
        let mut place = document;
        for (depth, step) in self.steps.iter().enumerate() {
            let refuse = |reason: String| {
                let steps = self.steps.iter().take(depth).cloned().collect();
                Err(JsonError { path: Self { steps }.to_string(), reason })
            };
            if matches!(place, Json::Null) {
                *place = match step {
                    Step::Key(_) => Json::Object(Vec::new()),
                    Step::Index(_) => Json::Array(Vec::new()),
                };
            }
            place = match (step, place) {
                (Step::Key(key), Json::Object(members)) => {
                    let at = members.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
                        members.push((key.clone(), Json::Null));
                        members.len() - 1
                    });
                    match members.get_mut(at) {
                        Some((_, member)) => member,
                        None => return refuse(format!("no member `{key}`")),
                    }
                }
                (Step::Index(index), Json::Array(items)) => {
                    let count = items.len();
                    if *index == count {
                        items.push(Json::Null);
                    }
                    match items.get_mut(*index) {
                        Some(item) => item,
                        None => return refuse(format!("cannot set item {index} of an array of {count}")),
                    }
                }
                (Step::Key(key), other) => {
                    return refuse(format!("cannot set `{key}` in {}, an object is needed", with_article(other)));
                }
                (Step::Index(index), other) => {
                    return refuse(format!("cannot set item {index} in {}, an array is needed", with_article(other)));
                }
            };
        }
        *place = value;
        Ok(())
    }
}

fn with_article(json: &Json) -> String {
    let article = if matches!(json, Json::Array(_) | Json::Object(_)) { "an" } else { "a" };
    format!("{article} {}", json.kind())
}

/// One step at the start of `text` and what follows it.
fn parse_step(text: &str, after_dot: bool) -> Option<(Step, &str)> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.trim_start();
        let (step, tail) = if inner.starts_with('"') {
            let (key, tail) = parse_quoted(inner)?;
            (Step::Key(key), tail)
        } else {
            let length = inner.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, tail) = inner.split_at(length);
            (Step::Index(digits.parse().ok()?), tail)
        };
        return Some((step, tail.trim_start().strip_prefix(']')?));
    }
    if !after_dot {
        return None;
    }
    if text.starts_with('"') {
        let (key, tail) = parse_quoted(text)?;
        return Some((Step::Key(key), tail));
    }
    let length = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let (key, tail) = text.split_at(length);
    if key.is_empty() || key.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    Some((Step::Key(key.to_owned()), tail))
}

/// A JSON string at the start of `text`; jq's interpolation `\(…)` is no JSON escape and so no plain path.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut scanner = Scanner::new(text.as_bytes()).ok()?;
    let key = scanner.string().ok()?.into_owned();
    Some((key, text.get(scanner.offset()..)?))
}

/// The first token at a path, without a look at what comes behind it; for a document that is checked elsewhere.
pub(super) fn find_first<'a>(scanner: &mut Scanner<'a>, steps: &[Step]) -> Scan<Option<Token<'a>>> {
    let Some((step, deeper)) = steps.split_first() else {
        return scanner.token().map(Some);
    };
    match (step, scanner.shape()?) {
        (Step::Key(wanted), Shape::Object) => {
            scanner.enter()?;
            let mut first = true;
            while let Some(key) = scanner.next_key(&mut first)? {
                if key == wanted.as_str() {
                    return find_first(scanner, deeper);
                }
                scanner.skip()?;
            }
            Ok(None)
        }
        // A record whose id stands in an array is rare: the full walk will do.
        (Step::Index(wanted), Shape::Array) => {
            let mut found = None;
            scanner.array(|scanner, index| {
                if index == *wanted {
                    found = find_whole(scanner, deeper)?;
                    return Ok(());
                }
                scanner.skip().map(drop)
            })?;
            Ok(found)
        }
        _ => Ok(None),
    }
}

fn find_whole<'a>(scanner: &mut Scanner<'a>, steps: &[Step]) -> Scan<Option<Token<'a>>> {
    let mark = scanner.mark();
    let found = find_first(scanner, steps)?;
    scanner.rewind(mark);
    scanner.skip()?;
    Ok(found)
}

/// As in rules: `.a.b`, `."odd key"`, `.items[0]`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !matches!(self.steps.first(), Some(Step::Key(_))) {
            f.write_str(".")?;
        }
        for step in &self.steps {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if is_identifier(key) => write!(f, ".{key}")?,
                Step::Key(key) => {
                    f.write_str(".")?;
                    write_string(f, key)?;
                }
            }
        }
        Ok(())
    }
}

fn is_identifier(key: &str) -> bool {
    let mut bytes = key.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
