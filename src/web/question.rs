//! Owns: what programs ask of the API: parameters and bodies as types, which the description is made of; the answer to what is
//! not understood.
//!
//! Must not know: how questions are answered.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::ops::OUTCOMES;
use crate::store::{ConflictFilter, HookState, PassFilter, QuarantineFilter};

use super::control::refuse;
use super::look::{LIST_DEFAULT, LIST_MAX};
use super::site::Site;

/// The parameters of a question.
pub struct Parameters<T>(pub T);

/// The body of a question; nothing at all counts as nothing said.
pub struct Said<T>(pub T);

/// What a question's path names.
pub struct Named<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Site>> for Parameters<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _site: &Arc<Site>) -> Result<Self, Response> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(wrong) => Err(not_understood("the parameters are", &wrong.body_text())),
        }
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Site>> for Said<T> {
    type Rejection = Response;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, Response> {
        let bytes = Bytes::from_request(request, site).await;
        let bytes = bytes.map_err(|wrong| refuse(wrong.status(), "the body is too long, or it broke off"))?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let said = serde_json::from_slice(bytes);
        said.map(Self).map_err(|wrong| not_understood("the body is", &wrong.to_string()))
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Site>> for Named<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        match Path::from_request_parts(parts, site).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(wrong) => Err(not_understood("the path is", &wrong.body_text())),
        }
    }
}

fn not_understood(what: &str, why: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, &format!("{what} not understood: {why}"))
}

/// Lets through what has no other parameters than these: one that is misspelt would ask for something else.
pub async fn only(names: Arc<[String]>, request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let unknown = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| !names.iter().any(|one| one == name));
    match unknown {
        None => next.run(request).await,
        Some((name, _)) if names.is_empty() => {
            not_understood("the parameters are", &format!("`{}`, where there are none", name.escape_debug()))
        }
        Some((name, _)) => {
            let known = names.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ");
            not_understood("the parameters are", &format!("`{}` is none of {known}", name.escape_debug()))
        }
    }
}

/// What the list of passes takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfPasses {
    /// only this collection
    #[serde(default, deserialize_with = "unless_empty")]
    pub collection: Option<String>,
    /// only those that ended so
    #[serde(default, deserialize_with = "outcome")]
    #[schemars(schema_with = "outcomes")]
    pub outcome: Option<String>,
    /// what a page before gave as `next`: only smaller numbers
    pub after: Option<i64>,
    /// at most so many, 50 where nothing is said, 500 at most
    pub limit: Option<usize>,
}

impl OfPasses {
    /// Which passes are asked for.
    pub fn filter(self) -> PassFilter {
        let limit = self.limit();
        PassFilter {
            collection: self.collection,
            outcome: self.outcome,
            before: self.after,
            limit,
            ..PassFilter::default()
        }
    }
}

/// What pages with a history take.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfHistory {
    /// what a page before gave as `next`: only lines of history with smaller numbers
    pub after: Option<i64>,
}

/// What the list of records set aside takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfQuarantine {
    /// only this collection
    #[serde(default, deserialize_with = "unless_empty")]
    pub collection: Option<String>,
    /// what a page before gave as `next`
    #[serde(default, deserialize_with = "place")]
    #[schemars(schema_with = "places")]
    pub after: Option<(String, String, String)>,
    /// at most so many, 50 where nothing is said, 500 at most
    pub limit: Option<usize>,
}

/// What the list of conflicts takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfConflicts {
    /// only this collection
    #[serde(default, deserialize_with = "unless_empty")]
    pub collection: Option<String>,
    /// only what is about this field, alone or with others
    #[serde(default, deserialize_with = "unless_empty")]
    pub field: Option<String>,
    /// closed ones as well
    #[serde(default)]
    pub all: bool,
    /// numbers greater than this
    pub after: Option<i64>,
    /// at most so many, 50 where nothing is said, 500 at most
    pub limit: Option<usize>,
}

/// What the list of webhooks takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfWebhooks {
    /// only those that are so
    #[serde(default, deserialize_with = "hook_state")]
    #[schemars(schema_with = "hook_states")]
    pub state: Option<HookState>,
    /// what a page before gave as `next`: only smaller numbers
    pub after: Option<i64>,
    /// at most so many, 50 where nothing is said, 500 at most
    pub limit: Option<usize>,
}

impl OfConflicts {
    /// Which conflicts are asked for.
    pub fn filter(self) -> ConflictFilter {
        let limit = self.limit();
        let Self { collection, field, all: closed_too, after, .. } = self;
        ConflictFilter { collection, field, after, closed_too, limit, ..ConflictFilter::default() }
    }
}

impl OfQuarantine {
    /// Which records are asked for.
    pub fn filter(self) -> QuarantineFilter {
        let limit = self.limit();
        QuarantineFilter { collection: self.collection, after: self.after, limit, ..QuarantineFilter::default() }
    }
}

/// A text; an empty one asks for nothing in particular.
fn unless_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

/// Where a list of records that are set aside goes on, as the page before said it.
fn place<'de, D: Deserializer<'de>>(from: D) -> Result<Option<(String, String, String)>, D::Error> {
    let read = |text: String| {
        let wrong = || D::Error::custom(format!("`after` is not what a page before gave as `next`: {text}"));
        serde_json::from_str(&text).map_err(|_none| wrong())
    };
    unless_empty(from)?.map(read).transpose()
}

fn grain<'de, D: Deserializer<'de>>(from: D) -> Result<Option<GrainName>, D::Error> {
    unless_empty(from)?.map(|name| GrainName::deserialize(name.into_deserializer())).transpose()
}

fn hook_state<'de, D: Deserializer<'de>>(from: D) -> Result<Option<HookState>, D::Error> {
    let read = |name: String| {
        let all = HookState::ALL.map(HookState::name).join(", ");
        HookState::named(&name).ok_or_else(|| D::Error::custom(format!("`state` is none of {all}: {name}")))
    };
    unless_empty(from)?.map(read).transpose()
}

fn outcome<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match unless_empty(from)? {
        Some(name) if !OUTCOMES.contains(&name.as_str()) => {
            Err(D::Error::custom(format!("`outcome` is none of {}: {name}", OUTCOMES.join(", "))))
        }
        known => Ok(known),
    }
}

fn outcomes(_schemas: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "enum": OUTCOMES })
}

fn places(_schemas: &mut SchemaGenerator) -> Schema {
    let text = json_schema!({ "type": "string" });
    json_schema!({
        "type": ["string", "null"],
        "contentMediaType": "application/json",
        "contentSchema": { "type": "array", "items": text, "minItems": 3, "maxItems": 3 },
        "examples": [r#"["contacts","crm","remote:7"]"#],
    })
}

fn hook_states(_schemas: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "enum": HookState::ALL.map(HookState::name) })
}

/// What the list of records takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfRecords {
    /// ids greater than this
    #[serde(default)]
    pub after: String,
    /// at most so many, 50 where nothing is said, 500 at most
    pub limit: Option<usize>,
    /// only records with this id, here or at an upstream, or with this text in a field that is a match key
    #[serde(default, deserialize_with = "unless_empty")]
    pub q: Option<String>,
}

/// What the history of latency takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfLatency {
    /// minute by minute for three hours, where nothing is said, or hour by hour for two weeks
    #[serde(default, deserialize_with = "grain")]
    pub grain: Option<GrainName>,
}

/// Minutes or hours.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrainName {
    Minute,
    Hour,
}

/// What usage takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfUsage {
    /// only this upstream
    #[serde(default, deserialize_with = "unless_empty")]
    pub upstream: Option<String>,
    /// averages and lists over so many days, 30 where nothing is said
    pub days: Option<u16>,
}

/// A choice as programs send it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// `local`, `base` or an upstream: its value
    pub take: Option<String>,
    /// one value per field of the conflict
    #[serde(default)]
    pub values: Vec<Box<RawValue>>,
    /// delete the record everywhere
    #[serde(default)]
    pub delete: bool,
    /// keep the record
    #[serde(default)]
    pub keep: bool,
}

/// A choice for many as programs send it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolutions {
    /// `local`, `base` or an upstream
    pub take: String,
    /// only of this collection
    pub collection: Option<String>,
    /// only about this field, alone or with others
    pub field: Option<String>,
    /// only numbers up to this
    pub up_to: Option<i64>,
}

/// An approval as programs send it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// where an upstream was set back: `local`, or the upstream
    pub wins: Option<String>,
}

/// How many are asked for.
macro_rules! limited {
    ($($list:ty),*) => {
        $(impl $list {
            /// How many are asked for.
            pub fn limit(&self) -> usize {
                self.limit.unwrap_or(LIST_DEFAULT).clamp(1, LIST_MAX)
            }
        })*
    };
}
limited!(OfConflicts, OfPasses, OfQuarantine, OfRecords, OfWebhooks);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_empty_asks_for_nothing_in_particular() {
        let grain = |text: &str| {
            let address = format!("/?{text}").parse().unwrap();
            Query::<OfLatency>::try_from_uri(&address).map(|Query(of)| of.grain).map_err(|wrong| wrong.body_text())
        };
        assert!(matches!((grain(""), grain("grain=")), (Ok(None), Ok(None))));
        assert!(matches!(grain("grain=hour"), Ok(Some(GrainName::Hour))));
        assert!(grain("grain=odd").is_err_and(|words| words.contains("unknown variant `odd`")));
    }
}
