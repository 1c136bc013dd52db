//! Owns: a person's choice for a conflict, checked and written down for the next pass.
//!
//! Must not know: how the engine applies it; who asks.

use serde::{Deserialize, Serialize};

use crate::record::{Column, FieldError, FieldType, Json, Value};
use crate::rules::{Collection, Ruleset};
use crate::store::{ConflictFilter, ConflictRow, Store, read, write};

use super::conflicts::candidates;
use super::error::OpsError;

/// What a person says; one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choice {
    /// `local`, `base` or an upstream: its value.
    pub take: Option<String>,
    /// One JSON text per field.
    pub values: Vec<String>,
    /// One per field, as a person types it into a form, read by the field's type; `None` is null.
    pub typed: Vec<Option<String>>,
    /// The record is deleted everywhere.
    pub delete: bool,
    /// It is kept.
    pub keep: bool,
}

/// A choice that was written down.
#[derive(Debug, Serialize, Deserialize)]
pub struct Resolved {
    /// The conflict.
    pub conflict: i64,
    /// Its fields.
    pub fields: Vec<String>,
    /// The choice as the engine reads it.
    pub resolution: String,
}

/// Writes the choice down.
pub async fn resolve(store: &dyn Store, rules: &Ruleset, id: i64, choice: Choice) -> Result<Resolved, OpsError> {
    let filter = ConflictFilter { id: Some(id), closed_too: true, ..ConflictFilter::default() };
    let rows = read(store, move |view| view.conflicts(&filter)).await?;
    let Some(row) = rows.first() else {
        return Err(OpsError::NotFound(format!("there is no conflict {id}")));
    };
    if let Some((_, how)) = &row.closed {
        return Err(OpsError::NotFound(format!("conflict {id} is closed already: {how}")));
    }
    let Some(collection) = rules.collections.get(&row.collection) else {
        return Err(OpsError::Refused(format!("the rules no longer have the collection `{}`", row.collection)));
    };
    let given =
        [choice.take.is_some(), !choice.values.is_empty(), !choice.typed.is_empty(), choice.delete, choice.keep];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err(OpsError::Refused(format!("conflict {id} takes one choice: a side, values, to delete or to keep")));
    }
    let resolution = resolution(collection, row, &choice)?;
    let text = resolution.clone();
    write(store, move |tx| tx.set_resolution(id, Some(&text))).await?;
    Ok(Resolved { conflict: id, fields: row.fields.split(',').map(str::to_owned).collect(), resolution })
}

/// The choice as the engine reads it: `{"take":"crm"}`, `{"values":[…]}`, `{"delete":true}`, `{"keep":true}`.
pub(super) fn resolution(collection: &Collection, row: &ConflictRow, choice: &Choice) -> Result<String, OpsError> {
    let id = row.id;
    let is_existence = row.fields.is_empty();
    if choice.delete || choice.keep {
        if !is_existence {
            return Err(OpsError::Refused(format!(
                "conflict {id} is about {}, not about the record's existence: say which side counts, or give values",
                row.fields
            )));
        }
        return Ok(if choice.delete { r#"{"delete":true}"# } else { r#"{"keep":true}"# }.to_owned());
    }
    if is_existence {
        return Err(OpsError::Refused(format!(
            "conflict {id} is about the record's existence: say whether it is deleted or kept"
        )));
    }
    let Some(side) = &choice.take else {
        if choice.typed.is_empty() {
            let given: Vec<Given<'_>> = choice.values.iter().map(|text| Given::Json(text)).collect();
            return values(collection, row, &given);
        }
        let given: Vec<Given<'_>> = choice.typed.iter().map(|typed| Given::Typed(typed.as_deref())).collect();
        return values(collection, row, &given);
    };
    if side == "base" {
        return match &row.base {
            Some(base) => Ok(format!(r#"{{"values":{base}}}"#)),
            None => Err(OpsError::Refused(format!("conflict {id} has no base: the sides never agreed"))),
        };
    }
    let mut known: Vec<String> = candidates(&row.candidates).into_iter().map(|candidate| candidate.origin).collect();
    if !known.contains(side) {
        known.extend(row.base.is_some().then(|| "base".to_owned()));
        let known = known.join(", ");
        return Err(OpsError::Refused(format!(
            "`{}` has no say in conflict {id}; the sides are: {known}",
            side.escape_debug()
        )));
    }
    Ok(Json::Object(vec![("take".to_owned(), Json::String(side.clone()))]).to_string())
}

/// A value as somebody gives it.
enum Given<'a> {
    Json(&'a str),
    Typed(Option<&'a str>),
}

impl Given<'_> {
    fn read(&self, name: &str, ty: &FieldType) -> Result<Value, OpsError> {
        let no = |error: FieldError| OpsError::Refused(format!("the value for `{name}` is no {}: {error}", ty.name()));
        match *self {
            Given::Json(text) => {
                let json = Json::parse(text.as_bytes()).map_err(|error| {
                    let remedy = "text needs quotes, like '\"Ann\"'";
                    OpsError::Refused(format!("the value for `{name}` is no JSON: {error}; {remedy}"))
                })?;
                Value::from_json(ty, &json).map_err(no)
            }
            Given::Typed(None) => Ok(Value::Null),
            Given::Typed(Some(text)) => Value::from_column(ty, &Column::Text(text.to_owned())).map_err(no),
        }
    }
}

fn values(collection: &Collection, row: &ConflictRow, given: &[Given<'_>]) -> Result<String, OpsError> {
    let names: Vec<&str> = row.fields.split(',').collect();
    if names.len() != given.len() {
        return Err(OpsError::Refused(format!(
            "conflict {} is about {} fields ({}); give one value for each",
            row.id,
            names.len(),
            names.join(", ")
        )));
    }
    let mut all = Vec::with_capacity(given.len());
    for (name, given) in names.iter().zip(given) {
        let Some(field) = collection.field(name).and_then(|at| collection.fields.get(at)) else {
            return Err(OpsError::Refused(format!("the rules no longer have the field `{name}`")));
        };
        let value = field.domain.canonical(&given.read(name, &field.domain.ty)?);
        if !field.domain.admits(&value) {
            let list = field.domain.one_of.clone().unwrap_or_default().join(", ");
            return Err(OpsError::Refused(format!("the value for `{name}` is none of: {list}")));
        }
        if value.is_null() && field.required {
            return Err(OpsError::Refused(format!("the value for `{name}` is null, and the rules require a value")));
        }
        all.push(value.to_json());
    }
    Ok(Json::Object(vec![("values".to_owned(), Json::Array(all))]).to_string())
}
