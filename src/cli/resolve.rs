//! Owns: `resolve`: a person's choice for a conflict, checked and written down for the next pass.
//!
//! Must not know: how the engine applies it.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::record::{Json, Value};
use crate::rules::Collection;
use crate::store::{ConflictFilter, ConflictRow, read, write};

use super::args::{Choice, ResolveArgs};
use super::conflicts::{candidates, choice_words};
use super::exit::{CliError, Exit};
use super::find::collection;
use super::out::Out;
use super::sides::raw;
use super::style::clean;
use super::workspace::{SecretsAre, Workspace};

/// What `resolve --json` prints.
#[derive(Debug, Serialize)]
struct Done {
    conflict: i64,
    resolution: Option<Box<RawValue>>,
}

/// Writes the choice down.
pub async fn run(args: &ResolveArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let store = workspace.store_to_edit()?;
    let id = args.id;
    let filter = ConflictFilter { id: Some(id), closed_too: true, ..ConflictFilter::default() };
    let rows = read(store.as_ref(), move |view| view.conflicts(&filter)).await?;
    let Some(row) = rows.first() else {
        return Err(CliError::NotFound(format!("no conflict {id}; `reconciled conflicts` lists them")));
    };
    if let Some((_, how)) = &row.closed {
        return Err(CliError::NotFound(format!("conflict {id} is closed already: {how}")));
    }
    let resolution = resolution(collection(&rules, &row.collection)?, row, &args.choice)?;
    let text = resolution.clone();
    write(store.as_ref(), move |tx| tx.set_resolution(id, Some(&text))).await?;
    let fields: Vec<String> = row.fields.split(',').map(str::to_owned).collect();
    let words = choice_words(&resolution, &fields);
    let done = Done { conflict: id, resolution: raw(&resolution) };
    out.show(&done, |done, _width| {
        format!("conflict {}: {}: written down, the next pass applies it\n", done.conflict, words)
    })?;
    Ok(Exit::IN_SYNC)
}

/// The choice as the engine reads it: `{"take":"crm"}`, `{"values":[…]}`, `{"delete":true}`, `{"keep":true}`.
fn resolution(collection: &Collection, row: &ConflictRow, choice: &Choice) -> Result<String, CliError> {
    let id = row.id;
    let is_existence = row.fields.is_empty();
    if choice.delete || choice.keep {
        if !is_existence {
            return Err(CliError::Usage(format!(
                "conflict {id} is about {}, not about the record's existence; use --take or --value",
                row.fields
            )));
        }
        return Ok(if choice.delete { r#"{"delete":true}"# } else { r#"{"keep":true}"# }.to_owned());
    }
    if is_existence {
        return Err(CliError::Usage(format!("conflict {id} is about the record's existence; use --delete or --keep")));
    }
    let Some(side) = &choice.take else { return values(collection, row, &choice.value) };
    if side == "base" {
        return match &row.base {
            Some(base) => Ok(format!(r#"{{"values":{base}}}"#)),
            None => Err(CliError::Usage(format!("conflict {id} has no base: the sides never agreed"))),
        };
    }
    let mut known: Vec<String> = candidates(&row.candidates).into_iter().map(|candidate| candidate.origin).collect();
    if !known.contains(side) {
        known.extend(row.base.is_some().then(|| "base".to_owned()));
        let known = known.join(", ");
        return Err(CliError::Usage(format!("`{}` has no say in conflict {id}; the sides are: {known}", clean(side))));
    }
    Ok(Json::Object(vec![("take".to_owned(), Json::String(side.clone()))]).to_string())
}

fn values(collection: &Collection, row: &ConflictRow, given: &[String]) -> Result<String, CliError> {
    let names: Vec<&str> = row.fields.split(',').collect();
    if names.len() != given.len() {
        return Err(CliError::Usage(format!(
            "conflict {} is about {} fields ({}); give one value for each",
            row.id,
            names.len(),
            names.join(", ")
        )));
    }
    let mut all = Vec::with_capacity(given.len());
    for (name, text) in names.iter().zip(given) {
        let Some(field) = collection.field(name).and_then(|at| collection.fields.get(at)) else {
            return Err(CliError::Usage(format!("the rules no longer have the field `{name}`")));
        };
        let json = Json::parse(text.as_bytes()).map_err(|error| {
            CliError::Usage(format!("--value for `{name}` is no JSON: {error}; text needs quotes, like '\"Ann\"'"))
        })?;
        let value = Value::from_json(&field.domain.ty, &json).map_err(|error| {
            CliError::Usage(format!("--value for `{name}` is no {}: {error}", field.domain.ty.name()))
        })?;
        let value = field.domain.canonical(&value);
        if !field.domain.admits(&value) {
            let list = field.domain.one_of.clone().unwrap_or_default().join(", ");
            return Err(CliError::Usage(format!("--value for `{name}` is none of: {list}")));
        }
        if value.is_null() && field.required {
            return Err(CliError::Usage(format!("--value for `{name}` is null, and the rules require a value")));
        }
        all.push(value.to_json());
    }
    Ok(Json::Object(vec![("values".to_owned(), Json::Array(all))]).to_string())
}
