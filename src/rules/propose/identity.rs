//! Owns: which places of records are their id, version and time of change, and which mark them as deleted or archived.
//!
//! Must not know: the fields.

use std::collections::BTreeSet;

use super::ProposeError;
use super::draft::Said;
use super::flat::Place;
use super::kind::kind_of;
use super::names::{is_updated, is_version, last, squeezed};
use crate::record::{Json, Path, TimeFormat};

/// What records say of themselves; the places of all of it are no fields.
#[derive(Debug)]
pub struct Identity {
    /// The remote id.
    pub id: Said<Path>,
    /// The version.
    pub version: Option<Said<Path>>,
    /// The time of change.
    pub updated_at: Option<(Said<Path>, TimeFormat)>,
    /// The condition of deleted records, with its place.
    pub deleted: Option<(Path, Said<String>)>,
    /// The condition of archived records, with its place.
    pub archived: Option<(Path, Said<String>)>,
}

impl Identity {
    /// Whether this place is one of them.
    pub fn has(&self, path: &Path) -> bool {
        let marks = [self.deleted.as_ref(), self.archived.as_ref()].into_iter().flatten().map(|(path, _)| path);
        let version = self.version.as_ref().map(|said| &said.it);
        let updated_at = self.updated_at.as_ref().map(|(said, _)| &said.it);
        marks.chain(version).chain(updated_at).chain([&self.id.it]).any(|own| own == path)
    }
}

/// Looks for all of them.
pub fn identify(
    places: &[Place<'_>],
    records: usize,
    collection: &str,
    given_id: Option<&Path>,
) -> Result<Identity, ProposeError> {
    let id = id(places, records, collection, given_id)?;
    let others: Vec<&Place<'_>> = places.iter().filter(|place| place.path != id.it).collect();
    Ok(Identity {
        version: version(&others, records),
        updated_at: updated_at(&others, records),
        deleted: mark(&others, &["deleted", "isdeleted", "removed", "isremoved"], &["deletedat", "removedat"]),
        archived: mark(&others, &["archived", "isarchived"], &["archivedat"]),
        id,
    })
}

fn id(
    places: &[Place<'_>],
    records: usize,
    collection: &str,
    given: Option<&Path>,
) -> Result<Said<Path>, ProposeError> {
    let unique = |place: &&Place<'_>| is_unique(place, records);
    let no_id = |why: String| Err(ProposeError::NoId { why });
    if let Some(path) = given {
        let Some(place) = places.iter().find(|place| place.path == *path) else {
            return no_id(format!("{path} stands in none"));
        };
        return if unique(&place) { Ok(Said::known(path.clone())) } else { no_id(seen_of(place, records)) };
    }
    let own = squeezed(collection);
    let one = own.strip_suffix("ies").map(|stem| format!("{stem}y"));
    let one = one.unwrap_or_else(|| own.strip_suffix('s').unwrap_or(&own).to_owned());
    let named: Vec<String> = ["id", "uuid", "guid", "uid", "gid", "key"].map(str::to_owned).into();
    let named = named.into_iter().chain([format!("{one}id"), format!("{own}id"), format!("{one}key")]);
    let named = named.chain(["number", "code", "slug"].map(str::to_owned));
    let mut refused = Vec::new();
    for name in named {
        let same = places.iter().filter(|place| place.path.steps.len() <= 2 && last(&place.path) == name);
        let mut same: Vec<&Place<'_>> = same.collect();
        // In an object of a record the id of something else stands, but for such objects as hold what describes the record.
        same.retain(|place| place.path.steps.len() == 1 || is_of_record(&place.path));
        same.sort_by_key(|place| place.path.steps.len());
        if let Some(place) = same.iter().copied().find(unique) {
            return Ok(Said::guess(place.path.clone(), format!("unique in {records} of {records} records")));
        }
        refused.extend(same.first().map(|place| seen_of(place, records)));
    }
    let ends = |place: &&Place<'_>| place.path.steps.len() == 1 && last(&place.path).ends_with("id");
    if let Some(place) = places.iter().filter(ends).find(unique) {
        let why = format!("unique in {records} of {records} records, and the only one that looks like an id");
        return Ok(Said::guess(place.path.clone(), why));
    }
    no_id(if refused.is_empty() { "none is called like an id".to_owned() } else { refused.join(", ") })
}

fn is_of_record(path: &Path) -> bool {
    let top = Path { steps: path.steps[..1].to_vec() };
    ["sys", "meta", "metadata", "data", "attributes", "properties", "node"].contains(&last(&top).as_str())
}

fn seen_of(place: &Place<'_>, records: usize) -> String {
    let different = place.values.iter().collect::<BTreeSet<_>>().len();
    format!("{} has {different} values in {records} records", place.path)
}

/// A text or whole number in every record, and never the same.
fn is_unique(place: &Place<'_>, records: usize) -> bool {
    let is_id = |value: &&Json| match value {
        Json::String(text) => !text.trim().is_empty(),
        Json::Number(token) => token.parse::<i64>().is_ok(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => false,
    };
    place.values.len() == records
        && place.values.iter().all(is_id)
        && place.values.iter().collect::<BTreeSet<_>>().len() == records
}

fn version(places: &[&Place<'_>], records: usize) -> Option<Said<Path>> {
    let fits = |place: &&&Place<'_>| {
        let scalar = |value: &&Json| matches!(value, Json::String(_) | Json::Number(_));
        place.path.steps.len() <= 2
            && is_version(&last(&place.path))
            && place.values.len() == records
            && place.values.iter().all(scalar)
    };
    let place = places.iter().filter(fits).min_by_key(|place| place.path.steps.len())?;
    Some(Said::guess(place.path.clone(), format!("by its name, and in {records} of {records} records")))
}

fn updated_at(places: &[&Place<'_>], records: usize) -> Option<(Said<Path>, TimeFormat)> {
    let format = |place: &&&Place<'_>| {
        let name = last(&place.path);
        let kind = kind_of(&name, &place.values);
        let named = is_updated(&name) && place.path.steps.len() <= 2 && kind.word == "datetime";
        named.then_some(match kind.codec {
            Some("unix_s") => TimeFormat::UnixS,
            Some("unix_ms") => TimeFormat::UnixMs,
            Some("http_date") => TimeFormat::HttpDate,
            _ => TimeFormat::Rfc3339,
        })
    };
    let found = places.iter().filter_map(|place| Some((place, format(&place)?)));
    let (place, format) = found.min_by_key(|(place, _)| place.path.steps.len())?;
    let why = format!("by its name; an instant in {} of {records} records", place.values.len());
    Some((Said::guess(place.path.clone(), why), format))
}

/// A flag, or an instant that is null while the record lives.
fn mark(places: &[&Place<'_>], flags: &[&str], instants: &[&str]) -> Option<(Path, Said<String>)> {
    let shallow = || places.iter().filter(|place| place.path.steps.len() <= 2);
    let is_flag = |place: &&&Place<'_>| {
        let all = !place.values.is_empty() && place.values.iter().all(|value| matches!(value, Json::Bool(_)));
        all && flags.contains(&last(&place.path).as_str())
    };
    if let Some(place) = shallow().find(is_flag) {
        let marked = place.values.iter().filter(|value| matches!(value, Json::Bool(true))).count();
        let why = format!("a flag by its name, set in {marked} records");
        return Some((place.path.clone(), Said::guess(format!("{} == true", place.path), why)));
    }
    let is_instant = |place: &&&Place<'_>| {
        let name = last(&place.path);
        instants.contains(&name.as_str()) && matches!(kind_of(&name, &place.values).word, "datetime" | "date" | "json")
    };
    let place = shallow().find(is_instant)?;
    let why = format!("an instant by its name, there in {} records", place.values.len());
    Some((place.path.clone(), Said::guess(format!("{} != null", place.path), why)))
}
