//! Owns: `fetch`: some records of a binding as their upstream shows them, beside what the rules make of them.
//!
//! Must not know: how a pass reads; rules diagnostics.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::ops::raw;
use crate::record::{FieldMap, Json, Lens, Path, Slot, Step};
use crate::rules::{Binding, Collection, Ruleset};
use crate::upstream::{self, Client, Failure, Got, Site, has_point_read};

use super::args_rules::FetchArgs;
use super::beside::{Beside, reason};
use super::exit::{CliError, Exit};
use super::looking::{Found, first_records};
use super::online::apart;
use super::out::Out;
use super::style;
use super::workspace::{SecretsAre, Workspace};

/// Members that nothing maps are named up to here.
const UNMAPPED_MAX: usize = 12;
/// What is said of a record that is larger than a column.
const CELL_MAX: usize = 200;

/// What `fetch --json` prints.
#[derive(Debug, Serialize)]
pub struct Fetched {
    collection: String,
    upstream: String,
    records: Vec<Shown>,
    /// The listing goes on behind them.
    more: bool,
}

/// One record.
#[derive(Debug, Serialize)]
struct Shown {
    /// The remote id; absent where the rules find none.
    id: Option<String>,
    version: Option<String>,
    updated_at: Option<String>,
    /// As the upstream sent it.
    raw: Option<Box<RawValue>>,
    fields: Vec<ShownField>,
    /// Paths of members that no field and no other path of the binding reads.
    unmapped: Vec<String>,
    /// Why a record like this one is not synchronised.
    apart: Option<String>,
    /// Why the record as a whole cannot be read.
    error: Option<String>,
}

/// A field of the mapping.
#[derive(Debug, Serialize)]
struct ShownField {
    field: String,
    /// The path or filter by which it is read.
    from: String,
    /// What stands there, before it is made a value of the field; absent where nothing does.
    there: Option<Box<RawValue>>,
    /// The value; absent where the record does not show the field.
    value: Option<Box<RawValue>>,
    error: Option<String>,
}

/// Fetches and prints.
pub async fn run(args: &FetchArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let (collection, binding) = find(&rules, &args.binding)?;
    let client = Arc::new(workspace.client_to_look(&rules, &binding.upstream.name)?);
    let known = [(&binding.upstream.name, client.as_ref())];
    let beside = Beside::begin(workspace, known, out);
    let found = find_records((args, &rules), &client, binding).await;
    beside.end(workspace, known, out).await;
    let Found { records, more } = found?;
    if args.raw {
        let lines: String = records.iter().map(|raw| String::from_utf8_lossy(raw).replace('\n', " ") + "\n").collect();
        out.data(&lines)?;
        return Ok(Exit::IN_SYNC);
    }
    out.show(&fetched(&collection.name, binding, &records, more), text)?;
    Ok(Exit::IN_SYNC)
}

async fn find_records(
    (args, rules): (&FetchArgs, &Ruleset),
    client: &Arc<Client>,
    binding: &Arc<Binding>,
) -> Result<Found, CliError> {
    if let Some(id) = &args.id {
        return Ok(Found { records: vec![one(client, binding, id).await?], more: false });
    }
    let found = first_records(client, rules, binding, usize::from(args.limit)).await;
    found.map_err(|failure| failed(&binding.upstream.name, &failure))
}

fn failed(upstream: &str, failure: &Failure) -> CliError {
    CliError::Upstream { upstream: upstream.to_owned(), reason: reason(failure) }
}

/// The binding that is called `COLLECTION.UPSTREAM`; the upstream may be left out where the collection has one binding.
fn find<'a>(rules: &'a Ruleset, name: &str) -> Result<(&'a Collection, &'a Arc<Binding>), CliError> {
    let (of, at) = name.split_once('.').map_or((name, None), |(of, at)| (of, Some(at)));
    let all = || rules.in_order().into_iter().flat_map(|one| one.bindings.iter().map(move |binding| (one, binding)));
    let mut found = all().filter(|(one, binding)| one.name == of && at.is_none_or(|at| binding.upstream.name == at));
    match (found.next(), found.next()) {
        (Some((one, binding)), None) => Ok((one, binding)),
        (first, _) => {
            let names: Vec<String> =
                all().map(|(one, binding)| format!("{}.{}", one.name, binding.upstream.name)).collect();
            let what = if first.is_some() { "is more than one binding" } else { "is no binding" };
            Err(CliError::Usage(format!("`{name}` {what}; there are {}", names.join(", "))))
        }
    }
}

async fn one(client: &Client, binding: &Binding, id: &str) -> Result<Vec<u8>, CliError> {
    let upstream = &binding.upstream.name;
    if !has_point_read(binding) {
        return Err(CliError::Usage(format!(
            "{upstream} reads no single record of {}: `read.get` is not set",
            binding.collection
        )));
    }
    match upstream::get(client, binding, &Site::named(binding, id)).await {
        Ok(Got::Found(remote)) => Ok(remote.raw.to_vec()),
        Ok(Got::Missing) => Err(CliError::NotFound(format!("{upstream} has no {} {id}", binding.collection))),
        Ok(Got::Astray(why)) => Err(CliError::NotFound(why)),
        Ok(Got::Merged(into)) => Err(CliError::NotFound(format!("{upstream} says that {id} was merged into {into}"))),
        Err(failure) => Err(failed(upstream, &failure)),
    }
}

/// What is shown of a binding.
pub fn fetched(collection: &str, binding: &Binding, records: &[Vec<u8>], more: bool) -> Fetched {
    Fetched {
        collection: collection.to_owned(),
        upstream: binding.upstream.name.clone(),
        records: records.iter().map(|raw| shown(binding, raw)).collect(),
        more,
    }
}

fn shown(binding: &Binding, bytes: &[u8]) -> Shown {
    let parsed = Json::parse(bytes).ok();
    let (mapped, error) = match binding.mapper.read(bytes) {
        Ok(mapped) => (Some(mapped), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let field = |map: &FieldMap| {
        let slot = mapped.as_ref().and_then(|mapped| mapped.slots.get(map.field));
        let (value, error) = match slot {
            None | Some(Slot::Absent) => (None, None),
            Some(Slot::Value(value)) => (raw(&value.to_json().to_string()), None),
            Some(Slot::Bad(error)) => (None, Some(error.reason.clone())),
        };
        let there = parsed.as_ref().and_then(|record| there(&map.lens, record));
        ShownField { field: map.name.clone(), from: lens_text(&map.lens), there, value, error }
    };
    let mut maps: Vec<&FieldMap> = binding.mapper.fields.iter().collect();
    maps.sort_by_key(|map| map.field);
    Shown {
        id: mapped.as_ref().map(|mapped| mapped.id.clone()),
        version: mapped.as_ref().and_then(|mapped| mapped.version.clone()),
        updated_at: mapped.as_ref().and_then(|mapped| mapped.updated_at).map(|at| at.to_rfc3339()),
        raw: std::str::from_utf8(bytes).ok().and_then(raw),
        fields: maps.into_iter().map(field).collect(),
        unmapped: parsed.as_ref().map(|record| unmapped(binding, record)).unwrap_or_default(),
        apart: mapped.as_ref().and_then(apart).map(str::to_owned),
        error,
    }
}

/// What stands where a field is read, as JSON.
fn there(lens: &Lens, record: &Json) -> Option<Box<RawValue>> {
    let found = match lens {
        Lens::Path(path) => path.get(record)?.clone(),
        Lens::Filter { get, .. } => get.run(record, &[], 1).ok()?.into_iter().next()?,
    };
    raw(&found.to_string())
}

fn lens_text(lens: &Lens) -> String {
    match lens {
        Lens::Path(path) => path.to_string(),
        Lens::Filter { get, .. } => get.source().to_owned(),
    }
}

/// The members that no plain path of the binding reads: each at the place from which on nothing is read.
fn unmapped(binding: &Binding, record: &Json) -> Vec<String> {
    let probe = &binding.mapper.probe;
    let times = probe.updated_at.as_ref().map(|(lens, _)| lens);
    let others =
        [Some(&probe.id), probe.version.as_ref(), times, probe.created_at.as_ref(), probe.merged_into.as_ref()];
    let lenses = binding.mapper.fields.iter().map(|map| &map.lens).chain(others.into_iter().flatten());
    let read: BTreeSet<&Path> = lenses
        .filter_map(|lens| match lens {
            Lens::Path(path) => Some(path),
            Lens::Filter { .. } => None,
        })
        .collect();
    let mut found = Vec::new();
    let mut at = Path { steps: Vec::new() };
    collect(record, &mut at, &read, &mut found);
    found
}

fn collect(json: &Json, at: &mut Path, read: &BTreeSet<&Path>, found: &mut Vec<String>) {
    let Json::Object(members) = json else {
        found.push(at.to_string());
        return;
    };
    for (key, value) in members {
        at.steps.push(Step::Key(key.clone()));
        // A path that ends here, or above, reads it whole; one that goes on reads a part of it.
        if !read.contains(at) {
            if read.iter().any(|path| path.steps.starts_with(&at.steps)) {
                collect(value, at, read, found);
            } else {
                found.push(at.to_string());
            }
        }
        at.steps.pop();
    }
}

/// For people.
pub fn text(fetched: &Fetched, width: usize) -> String {
    let (collection, upstream) = (&fetched.collection, &fetched.upstream);
    let mut text = String::new();
    for record in &fetched.records {
        let id = record.id.as_deref().map(style::clean).unwrap_or_default();
        text += &style::heading(&format!("{collection} at {upstream} {id}"));
        text += &record_text(record, width);
    }
    let count = style::count(fetched.records.len() as u64, "record");
    let words = match (fetched.records.is_empty(), fetched.more) {
        (true, _) => "the listing is empty; there is nothing to show".to_owned(),
        (false, true) => format!("{count}, and there are more (`--limit`)"),
        (false, false) => count,
    };
    writeln!(text, "{}", style::paint(style::DIM, words)).ok();
    text
}

fn record_text(record: &Shown, width: usize) -> String {
    let mut text = String::new();
    if let Some(error) = &record.error {
        writeln!(text, "{} {}", style::paint(style::BAD, "×"), style::clean(error)).ok();
    }
    if let Some(apart) = &record.apart {
        writeln!(text, "{} {apart}", style::paint(style::CHANGED, "!")).ok();
    }
    let cell = |json: Option<&RawValue>| {
        style::cut(&json.map_or_else(|| "–".to_owned(), |json| style::clean(json.get())), CELL_MAX)
    };
    let row = |field: &ShownField| {
        let here = match &field.error {
            Some(error) => format!("× {}", style::clean(error)),
            None => cell(field.value.as_deref()),
        };
        vec![style::clean(&field.field), style::clean(&field.from), cell(field.there.as_deref()), here]
    };
    text += &style::table(width, &["field", "read from", "there", "here"], record.fields.iter().map(row).collect());
    let known = [("version", &record.version), ("changed there", &record.updated_at)];
    for (name, value) in known {
        if let Some(value) = value {
            writeln!(text, "{name}: {}", style::clean(value)).ok();
        }
    }
    if !record.unmapped.is_empty() {
        let shown: Vec<String> = record.unmapped.iter().take(UNMAPPED_MAX).map(|path| style::clean(path)).collect();
        let rest = record.unmapped.len() - shown.len();
        let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        writeln!(text, "{}", style::paint(style::DIM, format!("not read: {}{rest}", shown.join(", ")))).ok();
    }
    text
}
