//! Owns: the document: that it is one, and where its references lead.
//!
//! Must not know: what any part of it means.

use super::yaml;
use crate::record::Json;
use crate::rules::propose::{ProposeError, Sample};

/// References to references are followed so far.
const HOPS_MAX: usize = 16;

/// An OpenAPI document.
#[derive(Debug)]
pub struct Document {
    /// All of it.
    pub root: Json,
}

impl Document {
    /// Reads it: JSON where it begins with `{`, else YAML.
    pub fn parse(sample: &Sample<'_>) -> Result<Self, ProposeError> {
        let no = |reason: String| ProposeError::NoOpenApi { name: sample.name.to_owned(), reason };
        let root = if sample.bytes.trim_ascii_start().first() == Some(&b'{') {
            Json::parse(sample.bytes).map_err(|error| no(error.to_string()))?
        } else {
            yaml::parse(sample.bytes, yaml::LIMITS).map_err(|error| ProposeError::NoYaml {
                name: sample.name.to_owned(),
                line: error.line,
                column: error.column,
                reason: error.reason,
            })?
        };
        match root.get("openapi") {
            Some(Json::String(version)) if version.starts_with("3.") => Ok(Self { root }),
            Some(Json::Number(version)) => Err(no(format!("`openapi` is a number: write \"{version}.0\", in quotes"))),
            Some(_) => Err(no("`openapi` names another version".to_owned())),
            None if root.get("swagger").is_some() => Err(no("it is Swagger 2: convert it first".to_owned())),
            None => Err(no(format!("`openapi` is missing at the top of this {}", root.kind()))),
        }
    }

    /// What stands at a place, or where a reference there leads (RFC 6901). One that leads nowhere is returned as it is.
    pub fn follow<'a>(&'a self, place: &'a Json) -> &'a Json {
        let mut at = place;
        for _ in 0..HOPS_MAX {
            let target = at.get("$ref").and_then(Json::as_str).and_then(|reference| self.at(reference));
            match target {
                Some(target) => at = target,
                None => return at,
            }
        }
        at
    }

    fn at(&self, reference: &str) -> Option<&Json> {
        let pointer = reference.strip_prefix("#/")?;
        pointer.split('/').try_fold(&self.root, |json, token| {
            let token = decode(token).replace("~1", "/").replace("~0", "~");
            match json {
                Json::Array(items) => items.get(token.parse::<usize>().ok()?),
                json => json.get(&token),
            }
        })
    }

    /// A member, with its reference followed.
    pub fn member<'a>(&'a self, of: &'a Json, key: &str) -> Option<&'a Json> {
        of.get(key).map(|place| self.follow(place))
    }
}

/// The members of an object.
pub fn members(json: Option<&Json>) -> &[(String, Json)] {
    if let Some(Json::Object(members)) = json { members } else { &[] }
}

/// The items of an array.
pub fn items(json: Option<&Json>) -> &[Json] {
    if let Some(Json::Array(items)) = json { items } else { &[] }
}

/// Percent-decoding, as of fragments of URLs.
fn decode(token: &str) -> String {
    let plus = token.replace('+', "%2B");
    let read = url::form_urlencoded::parse(plus.as_bytes()).next();
    read.map_or_else(|| token.to_owned(), |(name, value)| if value.is_empty() { name.into() } else { token.to_owned() })
}
