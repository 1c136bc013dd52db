//! Owns: from sample answers to a proposal: where the records are in them, and the order of what is learnt of these.
//!
//! Must not know: how any one thing is learnt, how it is written down.

use std::collections::BTreeSet;

use super::draft::{Draft, FieldDraft, Listing, Said, Setting, System, Writes};
use super::flat::{Place, lay_flat};
use super::identity::{Identity, identify};
use super::kind::kind_of;
use super::names::{field_name, holds_secret, is_data, is_email, is_set_there, last};
use super::paging::paging;
use super::text::{count, write};
use super::{ProposeError, Sample, Wanted};
use crate::record::{Json, Path, Step};

/// From so many records on a member that stands in all of them is taken for required.
const REQUIRED_FROM: usize = 20;
/// Fields that are proposed at most; a table has room for more, a person's patience has not.
const FIELDS_MAX: usize = 200;
/// Texts with so few different values may be a closed list, if there are records enough.
const ENUM_VALUES_MAX: usize = 8;
/// Arrays of records are looked for down to here.
const LIST_DEPTH_MAX: usize = 4;

/// Proposes rules by answers of a listing, or by records a line each.
pub fn from_samples(wanted: &Wanted<'_>, samples: &[Sample<'_>]) -> Result<String, ProposeError> {
    let asked = wanted.asked()?;
    let learnt = learn(wanted, samples)?;
    let mut records: Vec<&Json> = Vec::new();
    let mut known = BTreeSet::new();
    // Samples may overlap.
    records.extend(learnt.records.iter().filter(|record| known.insert(*record)));
    let places = lay_flat(&records);
    let identity = identify(&places, records.len(), wanted.collection, wanted.id_path()?.as_ref())?;
    let (fields, mut notes) = fields(&places, &identity, records.len());
    let unnamed = keys_of_data(&records);
    if unnamed > 0 {
        notes.push(format!("{} left out, because of a name that looks like data", count(unnamed, "member")));
    }
    if fields.iter().all(|field| field.is_secret) {
        return Err(ProposeError::NoFields);
    }
    let path = match &asked {
        Some((path, _)) => Said::known(path.clone()),
        None => Said::guess(format!("/{}", wanted.collection), "the collection's name; --path was not given"),
    };
    let below = Said::guess(format!("{}/{{id}}", path.it), "below the listing, as is usual");
    let to = |method: &str, path: &str| Said::guess(format!("{method} {path}"), "as is usual");
    let match_key = match_key(&places, &fields, records.len());
    let query = asked.map(|(_, query)| query).unwrap_or_default();
    let draft = Draft {
        made_of: format!("{} of {}", count(records.len(), "record"), count(samples.len(), "sample")),
        collection: wanted.collection.to_owned(),
        upstream: wanted.upstream.to_owned(),
        system: (!wanted.upstream_known).then(|| system(wanted)),
        match_key,
        get: Said { it: format!("GET {}", below.it), guess: below.guess.clone() },
        writes: Writes {
            create: Some(to("POST", &path.it)),
            update: Some(to("PATCH", &below.it)),
            delete: Some(to("DELETE", &below.it)),
            idempotency_header: None,
            if_match: is_etag(&identity).then(|| Said::guess((), "the version is called an ETag")),
        },
        listing: Listing { path, query, records: learnt.at, page: learnt.page, since: None },
        deleted: identity.deleted.map(|(_, said)| said),
        archived: identity.archived.map(|(_, said)| said),
        id: identity.id,
        version: identity.version,
        updated_at: identity.updated_at,
        fields,
        notes,
    };
    Ok(write(&draft))
}

fn is_etag(identity: &Identity) -> bool {
    identity.version.as_ref().is_some_and(|said| last(&said.it).ends_with("etag"))
}

/// The upstream of a sample: nothing of it shows in an answer.
fn system(wanted: &Wanted<'_>) -> System {
    let base_url = match wanted.base_url {
        Some(url) => Said::known(url.to_owned()),
        None => Said::guess(
            format!("https://{}.example.com", wanted.upstream.replace('_', "-")),
            "--base-url was not given",
        ),
    };
    let token = Setting::Text(format!("${{secret.{}_token}}", wanted.upstream));
    let lines = vec![("kind".to_owned(), Setting::Text("bearer".to_owned())), ("token".to_owned(), token)];
    System { base_url, auth: Some(Said::guess(lines, "an answer does not show who may ask")), notes: Vec::new() }
}

// ---- where the records are -----------------------------------------------------------------------------------------

/// What is learnt of the answers as such.
struct Learnt {
    records: Vec<Json>,
    at: Said<String>,
    page: Said<String>,
}

fn learn(wanted: &Wanted<'_>, samples: &[Sample<'_>]) -> Result<Learnt, ProposeError> {
    let mut learnt: Option<Learnt> = None;
    for sample in samples {
        let next = learn_one(wanted, sample)?;
        match &mut learnt {
            None => learnt = Some(next),
            Some(first) => {
                if first.at.it != next.at.it {
                    return Err(ProposeError::Wanted(format!(
                        "{} has its records at {}, the samples before it at {}: take samples of one listing",
                        sample.name, next.at.it, first.at.it
                    )));
                }
                first.records.extend(next.records);
                // The last page shows least of how pages follow each other.
                if first.page.it == "\"none\"" {
                    first.page = next.page;
                }
            }
        }
    }
    learnt.ok_or_else(|| ProposeError::Wanted("no sample was given".to_owned()))
}

fn learn_one(wanted: &Wanted<'_>, sample: &Sample<'_>) -> Result<Learnt, ProposeError> {
    let empty = || ProposeError::Empty(sample.name.to_owned());
    let mut documents = documents(sample)?;
    let is_lines = documents.len() != 1;
    if is_lines && wanted.records.is_none() {
        return lines(documents, sample);
    }
    let first = documents.first().ok_or_else(empty)?;
    let (path, why) = match wanted.records {
        Some(given) => (given_path(given, first, sample)?, None),
        None => match list_path(first, sample)? {
            Some(found) => found,
            None if matches!(first, Json::Object(members) if !members.is_empty()) => return lines(documents, sample),
            None => return Err(empty()),
        },
    };
    let items = |document: &Json| match path.get(document) {
        Some(Json::Array(items)) => items.iter().filter(|item| matches!(item, Json::Object(_))).cloned().collect(),
        _ => Vec::new(),
    };
    let records: Vec<Json> = documents.iter().flat_map(items).collect();
    if records.is_empty() {
        return Err(empty());
    }
    let page = paging(&documents, &path, records.len());
    documents.clear();
    let text = path.to_string();
    let at = if text == "." { ".[]".to_owned() } else { format!("{text}[]") };
    Ok(Learnt { records, at: Said { it: at, guess: why }, page })
}

/// Records a line each, or one alone.
fn lines(documents: Vec<Json>, sample: &Sample<'_>) -> Result<Learnt, ProposeError> {
    if let Some(other) = documents.iter().find(|one| !matches!(one, Json::Object(_))) {
        let reason = format!("a line holds {}, where a record is an object", other.kind());
        return Err(ProposeError::NoJson { name: sample.name.to_owned(), reason });
    }
    if documents.is_empty() {
        return Err(ProposeError::Empty(sample.name.to_owned()));
    }
    let why = "the sample has records without the answer that they came in; write the path of its list, or format = \"ndjson\"";
    let page = "the sample has records without the answer that they came in";
    Ok(Learnt {
        records: documents,
        at: Said::guess(".[]".to_owned(), why),
        page: Said::guess("\"none\"".to_owned(), page),
    })
}

fn documents(sample: &Sample<'_>) -> Result<Vec<Json>, ProposeError> {
    let bytes = sample.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(sample.bytes);
    let whole = match Json::parse(bytes) {
        Ok(json) => return Ok(vec![json]),
        Err(error) => error,
    };
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let read: Result<Vec<Json>, _> = lines.map(Json::parse).collect();
    match read {
        Ok(lines) if lines.is_empty() => Err(ProposeError::Empty(sample.name.to_owned())),
        Ok(lines) => Ok(lines),
        Err(_) => Err(ProposeError::NoJson { name: sample.name.to_owned(), reason: whole.to_string() }),
    }
}

fn given_path(given: &str, first: &Json, sample: &Sample<'_>) -> Result<Path, ProposeError> {
    let no_records = || ProposeError::NoRecords { name: sample.name.to_owned(), path: given.to_owned() };
    let plain = given.trim().strip_suffix("[]").ok_or_else(no_records)?;
    let path = Path::parse(if plain.is_empty() { "." } else { plain }).ok_or_else(no_records)?;
    match path.get(first) {
        Some(Json::Array(_)) => Ok(path),
        _ => Err(no_records()),
    }
}

/// The largest list of objects, and why; `None` where there is none.
fn list_path(answer: &Json, sample: &Sample<'_>) -> Result<Option<(Path, Option<String>)>, ProposeError> {
    if let Json::Array(items) = answer {
        let objects = items.iter().any(|item| matches!(item, Json::Object(_)));
        return Ok(objects.then(|| (Path { steps: Vec::new() }, None)));
    }
    let mut lists = Vec::new();
    find_lists(answer, &mut Vec::new(), &mut lists);
    let looks_like_record = |members: &[(String, Json)]| {
        members.iter().any(|(key, value)| ["id", "_id", "uuid"].contains(&key.as_str()) && value.kind() != "object")
    };
    if matches!(answer, Json::Object(members) if looks_like_record(members)) {
        return Ok(None);
    }
    let Some(most) = lists.iter().map(|(_, length)| *length).max() else {
        // An empty list among other members is an empty answer, and no record.
        let is_empty_list = |(_, value): &(String, Json)| matches!(value, Json::Array(items) if items.is_empty());
        return match answer {
            Json::Object(members) if members.iter().any(is_empty_list) => {
                Err(ProposeError::Empty(sample.name.to_owned()))
            }
            _ => Ok(None),
        };
    };
    let largest: Vec<&Path> = lists.iter().filter(|(_, length)| *length == most).map(|(path, _)| path).collect();
    let is_usual = |path: &&Path| {
        ["results", "data", "items", "records", "value", "values", "entries", "hits"].contains(&last(path).as_str())
    };
    let usual: Vec<&Path> = largest.iter().copied().filter(is_usual).collect();
    let (([chosen], _) | (_, [chosen])) = (largest.as_slice(), usual.as_slice()) else {
        let candidates = largest.iter().map(|path| format!("{path}[]")).collect();
        return Err(ProposeError::Records { name: sample.name.to_owned(), candidates });
    };
    let why = (lists.len() > 1).then(|| format!("the largest of {} lists of objects", lists.len()));
    Ok(Some(((*chosen).clone(), why)))
}

fn find_lists(json: &Json, at: &mut Vec<Step>, lists: &mut Vec<(Path, usize)>) {
    match json {
        Json::Array(items) => {
            let objects = items.iter().filter(|item| matches!(item, Json::Object(_))).count();
            if objects > 0 {
                lists.push((Path { steps: at.clone() }, objects));
            }
        }
        Json::Object(members) if at.len() < LIST_DEPTH_MAX => {
            for (key, value) in members {
                at.push(Step::Key(key.clone()));
                find_lists(value, at, lists);
                at.pop();
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {}
    }
}

/// How many different members of records have data in the place of a name.
fn keys_of_data(records: &[&Json]) -> usize {
    let members = records.iter().flat_map(|record| if let Json::Object(members) = record { &members[..] } else { &[] });
    members.filter(|(key, _)| is_data(key)).map(|(key, _)| key).collect::<BTreeSet<_>>().len()
}

// ---- fields --------------------------------------------------------------------------------------------------------

fn fields(places: &[Place<'_>], identity: &Identity, records: usize) -> (Vec<FieldDraft>, Vec<String>) {
    let mut taken = BTreeSet::new();
    let places: Vec<&Place<'_>> =
        places.iter().filter(|place| !place.path.steps.is_empty() && !identity.has(&place.path)).collect();
    let fields = places.iter().take(FIELDS_MAX).map(|place| field(place, records, &mut taken)).collect();
    let left_out = places.len().saturating_sub(FIELDS_MAX);
    let note = format!("{} more were seen than the {FIELDS_MAX} that are proposed", count(left_out, "member"));
    (fields, if left_out > 0 { vec![note] } else { Vec::new() })
}

fn field(place: &Place<'_>, records: usize, taken: &mut BTreeSet<String>) -> FieldDraft {
    let word = last(&place.path);
    let kind = kind_of(&word, &place.values);
    let always = place.values.len() == records && records >= REQUIRED_FROM;
    let required = always.then(|| Said::guess((), format!("in {records} of {records} records")));
    let set_there = is_set_there(&word);
    FieldDraft {
        name: field_name(&place.path, taken),
        path: place.path.clone(),
        normalize: is_email(&word) && kind.word == "text",
        is_secret: holds_secret(&place.path),
        note: note(place, kind.word),
        kind,
        required,
        pull: set_there.then(|| Said::guess((), "set by the upstream, by its name")),
        one_of: Vec::new(),
    }
}

/// What else shows of a field. Values are never named: a sample may hold what must not go into rules.
fn note(place: &Place<'_>, kind: &str) -> Option<String> {
    let different = place.values.iter().collect::<BTreeSet<_>>().len();
    let few = kind == "text" && different <= ENUM_VALUES_MAX && different > 1 && place.values.len() >= different * 4;
    few.then(|| {
        format!("{different} different texts in {}: a closed list, `one_of`?", count(place.values.len(), "record"))
    })
}

/// The field of an e-mail address that every record has and no two share, else the two parts of a name of which that holds.
fn match_key(places: &[Place<'_>], fields: &[FieldDraft], records: usize) -> Option<Said<Vec<String>>> {
    let texts_of = |field: &FieldDraft| -> Vec<String> {
        let place = places.iter().find(|place| place.path == field.path);
        let texts = place.into_iter().flat_map(|place| &place.values).filter_map(|value| value.as_str());
        texts.map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty()).collect()
    };
    let is_unique = |texts: &BTreeSet<Vec<String>>| texts.len() == records;
    // What stands in a comment cannot be matched by.
    let fits = |field: &&FieldDraft| {
        let texts = texts_of(field).into_iter().map(|text| vec![text]).collect();
        field.normalize && !field.is_secret && is_unique(&texts)
    };
    let why = format!("unique in {records} of {records} records, and never null");
    if let Some(field) = fields.iter().find(fits) {
        return Some(Said::guess(vec![field.name.clone()], why));
    }
    let named = |words: &[&str]| {
        let is_named = |field: &&FieldDraft| words.contains(&last(&field.path).as_str()) && !field.is_secret;
        fields.iter().filter(is_named).find(|field| field.kind.word == "text" && texts_of(field).len() == records)
    };
    let first = named(&["firstname", "givenname", "forename"])?;
    let second = named(&["lastname", "surname", "familyname"])?;
    // Each of the two is there in every record, so that they stand in the records' order.
    let pairs = texts_of(first).into_iter().zip(texts_of(second)).map(|(one, other)| vec![one, other]).collect();
    let key = vec![first.name.clone(), second.name.clone()];
    (is_unique(&pairs) && records >= REQUIRED_FROM).then(|| Said::guess(key, format!("together {why}")))
}
