//! Owns: what a pass did to each record, read out of its lines of history. Pure.
//!
//! Must not know: how the records stand now.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::record::{Json, RecordId, Value};
use crate::rules::Collection;
use crate::store::HistoryRow;

/// What a pass did to one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Deeds {
    /// It created the record, here or at an upstream.
    pub came: Option<Came>,
    /// It deleted the record, here or at an upstream.
    pub went: Option<Went>,
    /// What it changed, by position of the field.
    pub fields: BTreeMap<usize, Deed>,
    /// Fields that it changed and that cannot be told under these rules.
    pub strange: Vec<String>,
}

/// A record that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Came {
    /// As the pass left it, by field; `None` where that was not kept.
    pub left: Option<Vec<(usize, Value)>>,
    /// Its row came here.
    pub here: bool,
    /// It was created at these upstreams.
    pub there: BTreeSet<String>,
}

/// A record that went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Went {
    /// As it was, as far as that is known.
    pub before: BTreeMap<usize, Value>,
    /// Its row went here: what is not named in `before` was null.
    pub here: bool,
    /// It was the same as another record, which stays.
    pub merged: bool,
}

/// A value that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    /// What it was.
    pub before: Before,
    /// What the pass made of it.
    pub after: Value,
}

/// What a value was before a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// This.
    Was(Value),
    /// That was not kept.
    Unknown,
    /// Upstreams that the pass wrote to had different ones.
    Differs,
}

/// What is gathered of one field.
#[derive(Default)]
struct Traces {
    /// Here: what it was first, and what it was in the end.
    here: Option<(Value, Value)>,
    /// At each upstream the same; what it was may not be known.
    there: BTreeMap<String, (Option<Value>, Value)>,
}

#[derive(Deserialize)]
struct Detail {
    op: Option<String>,
    into: Option<String>,
}

/// Reads the lines of one pass, oldest first.
pub(super) fn read_deeds(collection: &Collection, lines: &[HistoryRow]) -> BTreeMap<RecordId, Deeds> {
    let mut by_record: BTreeMap<RecordId, Vec<&HistoryRow>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.collection == collection.name) {
        by_record.entry(line.record.clone()).or_default().push(line);
    }
    by_record
        .into_iter()
        .map(|(record, lines)| (record, deeds_of(collection, &lines)))
        .filter(|(_, deeds)| *deeds != Deeds::default())
        .collect()
}

fn deeds_of(collection: &Collection, lines: &[&HistoryRow]) -> Deeds {
    let mut deeds = Deeds::default();
    let mut traces: BTreeMap<usize, Traces> = BTreeMap::new();
    for line in lines {
        let detail = line.detail.as_deref().and_then(|json| serde_json::from_str::<Detail>(json).ok());
        match (line.kind.as_str(), detail) {
            ("push", Some(Detail { op: Some(op), .. })) => note_write(collection, line, &op, &mut deeds, &mut traces),
            ("local", detail) if line.field.is_empty() => {
                note_life(collection, line, detail.is_some_and(|detail| detail.into.is_some()), &mut deeds);
            }
            ("local", _) => note_change(collection, line, &mut deeds, &mut traces),
            _ => {}
        }
    }
    if deeds.came.is_some() && deeds.went.is_some() {
        return Deeds::default();
    }
    let same = |at: usize, left: &Value, right: &Value| {
        collection.fields.get(at).is_some_and(|field| field.domain.same(left, right))
    };
    for (at, trace) in traces {
        deeds.fields.extend(deed(|left, right| same(at, left, right), trace).map(|deed| (at, deed)));
    }
    deeds.strange.sort();
    deeds.strange.dedup();
    deeds
}

/// What changed here counts; where nothing did, what a local edit took the place of elsewhere.
fn deed(same: impl Fn(&Value, &Value) -> bool, trace: Traces) -> Option<Deed> {
    if let Some((before, after)) = trace.here.filter(|(before, after)| !same(before, after)) {
        return Some(Deed { before: Before::Was(before), after });
    }
    let is_change =
        |(before, after): &(Option<Value>, Value)| before.as_ref().is_none_or(|before| !same(before, after));
    let mut there = trace.there.into_values().filter(is_change);
    let (before, after) = there.next()?;
    let Some(before) = before else { return Some(Deed { before: Before::Unknown, after }) };
    let agree = there.all(|(other, _)| other.is_some_and(|other| same(&other, &before)));
    Some(Deed { before: if agree { Before::Was(before) } else { Before::Differs }, after })
}

/// A row that came or went; a decision about a record's existence has lists, and changed no row by itself.
fn note_life(collection: &Collection, line: &HistoryRow, merged: bool, deeds: &mut Deeds) {
    let object = |text: &Option<String>| text.as_deref().and_then(|text| values_by_name(collection, text));
    match (object(&line.before), object(&line.after)) {
        (Some((before, strange)), None) => {
            deeds.strange.extend(strange);
            deeds.went = Some(Went { before: before.into_iter().collect(), here: true, merged });
        }
        (None, Some((after, _))) => {
            let filled = |at: usize| after.iter().find(|(field, _)| *field == at).map(|(_, value)| value.clone());
            let whole = (0..collection.fields.len()).map(|at| (at, filled(at).unwrap_or(Value::Null))).collect();
            let came = deeds.came.get_or_insert_with(Came::default);
            (came.left, came.here) = (Some(whole), true);
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

fn note_change(collection: &Collection, line: &HistoryRow, deeds: &mut Deeds, traces: &mut BTreeMap<usize, Traces>) {
    let names: Vec<&str> = line.field.split(',').collect();
    let read = |text: &Option<String>| text.as_deref().and_then(|text| values_of(collection, &names, text));
    let (Some(before), Some(after)) = (read(&line.before), read(&line.after)) else {
        if line.before != line.after {
            deeds.strange.extend(names.iter().map(|name| (*name).to_owned()));
        }
        return;
    };
    for ((at, before), (_, after)) in before.into_iter().zip(after) {
        if let Some(left) = deeds.came.as_mut().and_then(|came| came.left.as_mut()) {
            left.iter_mut().filter(|(field, _)| *field == at).for_each(|(_, value)| value.clone_from(&after));
        }
        let trace = traces.entry(at).or_default();
        let first = trace.here.take().map_or(before, |(first, _)| first);
        trace.here = Some((first, after));
    }
}

fn note_write(
    collection: &Collection,
    line: &HistoryRow,
    op: &str,
    deeds: &mut Deeds,
    traces: &mut BTreeMap<usize, Traces>,
) {
    let object = |text: &Option<String>| text.as_deref().and_then(|text| values_by_name(collection, text));
    let (before, (after, strange)) = (object(&line.before), object(&line.after).unwrap_or_default());
    match op {
        "create" => {
            // What its row held when it came here is known better.
            let came = deeds.came.get_or_insert_with(|| Came { left: Some(after), ..Came::default() });
            came.there.extend(line.target.clone());
        }
        "delete" | "archive" => {
            let (before, _) = before.unwrap_or_default();
            let went = deeds.went.get_or_insert_with(Went::default);
            before.into_iter().filter(|_| !went.here).for_each(|(at, value)| {
                went.before.entry(at).or_insert(value);
            });
        }
        _ => {
            deeds.strange.extend(strange);
            let (before, _) = before.unwrap_or_default();
            let upstream = line.target.clone().unwrap_or_default();
            for (at, after) in after {
                let was = before.iter().find(|(field, _)| *field == at).map(|(_, value)| value.clone());
                let there = &mut traces.entry(at).or_default().there;
                let first = there.remove(&upstream).map_or(was, |(first, _)| first);
                there.insert(upstream.clone(), (first, after));
            }
        }
    }
}

/// One value per field, as a list or as an object by name.
fn values_of(collection: &Collection, names: &[&str], text: &str) -> Option<Vec<(usize, Value)>> {
    let json = Json::parse(text.as_bytes()).ok()?;
    let read = |(place, name): (usize, &&str)| {
        let at = collection.field(name)?;
        let json = match &json {
            Json::Array(items) => items.get(place)?,
            Json::Object(_) => json.get(name).unwrap_or(&Json::Null),
            _ => return None,
        };
        Some((at, Value::from_json(&collection.fields.get(at)?.domain.ty, json).ok()?))
    };
    names.iter().enumerate().map(read).collect()
}

/// The values of an object by field, and the names of those that these rules cannot tell; `None`: it is no object.
#[expect(clippy::type_complexity, reason = "two lists of one walk")]
fn values_by_name(collection: &Collection, text: &str) -> Option<(Vec<(usize, Value)>, Vec<String>)> {
    let Ok(Json::Object(members)) = Json::parse(text.as_bytes()) else { return None };
    let (mut values, mut strange) = (Vec::new(), Vec::new());
    for (name, json) in members {
        let field = collection.field(&name).and_then(|at| Some((at, collection.fields.get(at)?)));
        match field.and_then(|(at, field)| Some((at, Value::from_json(&field.domain.ty, &json).ok()?))) {
            Some(value) => values.push(value),
            None => strange.push(name),
        }
    }
    Some((values, strange))
}
