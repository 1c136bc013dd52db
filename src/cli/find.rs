//! Owns: finding the record, field or number that a person names.
//!
//! Must not know: what is done with it.

use crate::record::RecordId;
use crate::rules::{Collection, Ruleset};
use crate::store::{Store, read};

use super::exit::CliError;
use super::style;

/// How many candidates an ambiguous name lists.
const LISTED_MAX: usize = 8;

/// The one record that `name` means: a local id, COLLECTION/ID, or a remote id. Gives its collection and id.
pub async fn find_record(store: &dyn Store, rules: &Ruleset, name: &str) -> Result<(String, RecordId), CliError> {
    let (collection, id) = match name.split_once('/') {
        Some((collection, id)) if rules.collections.contains_key(collection) => (Some(collection), id),
        _ => (None, name),
    };
    let asked = id.to_owned();
    let mut found = read(store, move |view| view.find_record(&asked)).await?;
    found.retain(|(of, _)| collection.is_none_or(|only| only == of));
    found.sort();
    found.dedup();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(CliError::NotFound(format!(
            "no record `{}`: no local id and no remote id is like that; `reconciled history` shows ids that changed",
            style::clean(name)
        ))),
        many => {
            let names: Vec<String> =
                many.iter().take(LISTED_MAX).map(|(collection, id)| format!("{collection}/{id}")).collect();
            let more = if many.len() > LISTED_MAX { ", …" } else { "" };
            let names = names.join(", ");
            Err(CliError::NotFound(format!(
                "`{}` means several records; name one of {names}{more}",
                style::clean(name)
            )))
        }
    }
}

/// The nearest of the known names, or all of them, as a remedy.
pub fn nearest(given: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|known| (strsim::jaro_winkler(given, known), *known))
        .filter(|(score, _)| *score >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, near)) = near {
        format!("did you mean `{near}`?")
    } else {
        format!("there is: {}", known.join(", "))
    }
}

/// The collection in the rules.
pub fn collection<'a>(rules: &'a Ruleset, name: &str) -> Result<&'a Collection, CliError> {
    rules.collections.get(name).map(AsRef::as_ref).ok_or_else(|| {
        CliError::NotFound(format!("the record is in `{name}`, which the rules no longer have; add it to look at it"))
    })
}

/// The position of a field, or the nearest name.
pub fn field(collection: &Collection, name: &str) -> Result<usize, CliError> {
    collection.field(name).ok_or_else(|| {
        let known: Vec<&str> = collection.fields.iter().map(|field| field.name.as_str()).collect();
        let remedy = nearest(name, &known);
        CliError::Usage(format!("`{}` has no field `{}`; {remedy}", collection.name, style::clean(name)))
    })
}
