//! Owns: `history`: what changed, when, from what to what, by which rule.
//!
//! Must not know: how history is written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ops::{Candidate, Pass, candidates, duration, phase_words, phases, raw, rfc3339};
use crate::reconcile::Phase;
use crate::store::{HistoryFilter, HistoryRow, StoreError, read};

use super::args::HistoryArgs;
use super::exit::{CliError, Exit};
use super::find::find_record;
use super::out::Out;
use super::style;
use super::workspace::{SecretsAre, Workspace, select_collections};

/// What `history --json` prints.
#[derive(Debug, Serialize)]
struct Shown {
    /// The pass that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<Asked>,
    history: Vec<Entry>,
}

/// A pass, with where its time went.
#[derive(Debug, Serialize)]
struct Asked {
    #[serde(flatten)]
    pass: Pass,
    phases: Vec<Phase>,
}

/// One line of history.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// The pass.
    pub pass: i64,
    /// RFC 3339.
    pub at: Option<String>,
    /// The collection.
    pub collection: String,
    /// The local id.
    pub record: String,
    /// The fields (of a write: those that were sent); empty for the record's existence.
    pub fields: Vec<String>,
    /// `local`, `push`, `conflict`, `resolve`, `quarantine`, `link`.
    pub kind: String,
    /// `create`, `update`, `delete`, for writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// Whose value.
    pub origin: String,
    /// At which upstream, for pushes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The rule that decided.
    pub rule: String,
    /// Before, one value per field; of a row that went an object by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<RawValue>>,
    /// After, one value per field; of a write and of a row that came an object by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Box<RawValue>>,
    /// Losing values, and rules that were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<RawValue>>,
}

/// What the engine notes down about a write.
#[derive(Deserialize)]
struct Written {
    op: Option<String>,
}

impl From<&HistoryRow> for Entry {
    fn from(row: &HistoryRow) -> Self {
        let written = row.detail.as_deref().and_then(|json| serde_json::from_str::<Written>(json).ok());
        let op = written.and_then(|written| written.op);
        let fields = match (&op, &row.after) {
            (Some(_), Some(sent)) => sent_values(sent).into_keys().collect(),
            _ => row.field.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        };
        Self {
            id: row.id,
            pass: row.pass,
            at: rfc3339(row.at),
            collection: row.collection.clone(),
            record: row.record.0.clone(),
            fields,
            op,
            kind: row.kind.clone(),
            origin: row.origin.clone(),
            target: row.target.clone(),
            rule: row.rule.clone(),
            before: row.before.as_deref().and_then(raw),
            after: row.after.as_deref().and_then(raw),
            detail: row.detail.as_deref().and_then(detail),
        }
    }
}

/// What the engine notes down about a decision.
#[derive(Deserialize)]
struct Kept {
    losers: Box<RawValue>,
    tried: Vec<String>,
}

/// A decision's losers and the rules that were tried, as people and programs read them.
#[derive(Debug, Deserialize, Serialize)]
pub struct Tried {
    /// Values that lost, whose they were, and when, RFC 3339.
    #[serde(default)]
    pub losers: Vec<Candidate>,
    /// The rules of the chain that could not decide, with the reason.
    #[serde(default)]
    pub tried: Vec<String>,
}

/// The detail of a line, with times as everywhere.
fn detail(kept: &str) -> Option<Box<RawValue>> {
    match serde_json::from_str::<Kept>(kept) {
        Ok(Kept { losers, tried }) => {
            serde_json::value::to_raw_value(&Tried { losers: candidates(losers.get()), tried }).ok()
        }
        Err(_) => raw(kept),
    }
}

/// Lists history.
pub async fn run(args: &HistoryArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let store = workspace.store_to_look()?;
    let mut filter = HistoryFilter {
        collection: args.collection.clone(),
        field: args.field.clone(),
        pass: args.pass,
        limit: args.limit as usize,
        ..HistoryFilter::default()
    };
    // History is there without rules; names are checked against them.
    if let Some(name) = &args.collection {
        select_collections(&*workspace.rules(SecretsAre::Unused, out)?, std::slice::from_ref(name))?;
    }
    if let Some(name) = &args.record {
        let rules = workspace.rules(SecretsAre::Unused, out)?;
        let (collection, record) = find_record(store.as_ref(), &rules, name).await?;
        (filter.collection, filter.record) = (Some(collection), Some(record));
    }
    let (pass, history) = read(store.as_ref(), move |view| {
        let row = filter.pass.map(|id| view.pass(id)).transpose()?.flatten();
        let asked = |row| Ok::<_, StoreError>(Asked { pass: Pass::from(&row), phases: phases(view, row.id)? });
        Ok((row.map(asked).transpose()?, view.history(&filter)?))
    })
    .await?;
    let shown = Shown { pass, history: history.iter().map(Entry::from).collect() };
    out.show(&shown, |shown, width| {
        shown.pass.as_ref().map(pass_text).unwrap_or_default() + &text(&shown.history, width)
    })?;
    Ok(Exit::IN_SYNC)
}

/// What a pass did in a line or two, and where its time went.
fn pass_text(Asked { pass, phases }: &Asked) -> String {
    let took = pass.took_ms.map_or_else(|| "not ended".to_owned(), |millis| duration(millis.saturating_mul(1000)));
    let began = style::short(pass.started_at.as_deref().unwrap_or("–"));
    let title = format!(
        "pass {} of {}  {} at {began} UTC  {}  {took}",
        pass.id,
        style::clean(&pass.collection),
        pass.trigger,
        pass.outcome
    );
    let mut text = style::heading(&title);
    for one in &pass.upstreams {
        let more = [(one.changed, "changed"), (one.written, "written"), (one.refused, "failed"), (one.left, "left")];
        let more = more.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
        writeln!(text, "  {}: {} read{}", style::clean(&one.upstream), one.read, more.collect::<String>()).ok();
    }
    writeln!(text, "  here: {} written, {} conflicts opened", pass.written_here, pass.conflicts_opened.unwrap_or(0))
        .ok();
    if let Some(error) = &pass.error {
        writeln!(text, "  {}", style::paint(style::CHANGED, style::clean(error))).ok();
    }
    for one in phases {
        let (began, took) = (duration(one.began_us), duration(one.took_us));
        let words = style::paint(style::DIM, style::clean(&phase_words(one)));
        writeln!(text, "  after {began:>9}  for {took:>9}  {words}").ok();
    }
    text + "\n"
}

/// History in groups: a line for the pass and the record, below it a line for each change.
pub fn text(history: &[Entry], width: usize) -> String {
    if history.is_empty() {
        return "nothing of the kind happened yet\n".to_owned();
    }
    let mut text = String::new();
    let mut group = None;
    for entry in history {
        let this = (entry.pass, &entry.collection, &entry.record);
        if group != Some(this) {
            group = Some(this);
            let at = style::short(entry.at.as_deref().unwrap_or("–"));
            let record = style::clean(&entry.record);
            text += &style::heading(&format!("pass {} at {at} UTC  {}/{record}", entry.pass, entry.collection));
        }
        let (fields, change) = (fields(entry), change(entry, (width / 3).max(16)));
        let why = format!("{} · {} · {}", entry.kind, whose(entry), style::clean(&entry.rule));
        writeln!(text, "  {fields:<14} {change}  {}", style::paint(style::DIM, why)).ok();
    }
    text
}

/// A table of one record's history.
pub fn text_of_one(history: &[Entry], width: usize) -> String {
    let max = (width / 3).max(16);
    let rows = history
        .iter()
        .map(|entry| {
            vec![
                entry.pass.to_string(),
                style::short(entry.at.as_deref().unwrap_or("–")),
                fields(entry),
                change(entry, max),
                entry.kind.clone(),
                whose(entry),
                style::clean(&entry.rule),
            ]
        })
        .collect();
    style::table(width, &["pass", "at (UTC)", "fields", "change", "kind", "whose", "rule"], rows)
}

fn fields(entry: &Entry) -> String {
    // A write names its fields with what was sent.
    if entry.fields.is_empty() || entry.op.is_some() { "(record)".to_owned() } else { entry.fields.join(", ") }
}

fn whose(entry: &Entry) -> String {
    match &entry.target {
        Some(target) => format!("{} → {target}", entry.origin),
        None => entry.origin.clone(),
    }
}

fn change(entry: &Entry, max: usize) -> String {
    if let Some(op) = &entry.op {
        return style::cut(&write_words(entry, op), 2 * max);
    }
    if let Some(note) = note(entry) {
        return style::clean(&note);
    }
    if entry.fields.is_empty() {
        return style::cut(&life_words(entry), 2 * max);
    }
    let shown = |json: Option<&RawValue>| json.map(|json| style::cut(&values(json.get()), max));
    match (shown(entry.before.as_deref()), shown(entry.after.as_deref())) {
        (Some(before), Some(after)) if before == after && before.chars().count() < max => format!("{after} stays"),
        (None, None) => String::new(),
        (Some(before), None) => format!("{before} →"),
        (None, Some(after)) => after,
        (Some(before), Some(after)) if before.is_empty() => after,
        (Some(before), Some(after)) => format!("{before} → {after}"),
    }
}

/// What a write did, or would have done.
fn write_words(entry: &Entry, op: &str) -> String {
    let done = match (entry.kind.as_str(), op) {
        ("push", "create") => "created there",
        ("push", "delete") => "deleted there",
        ("push", "archive") => "archived there",
        ("push", _) => "updated there",
        (_, "create") => "create refused",
        (_, "delete") => "delete refused",
        (_, "archive") => "archive refused",
        (_, _) => "update refused",
    };
    let sent = pairs(entry.after.as_deref());
    if sent.is_empty() || matches!(op, "delete" | "archive") { done.to_owned() } else { format!("{done}: {sent}") }
}

/// That a row came or went, with what it held; or what was decided about that.
fn life_words(entry: &Entry) -> String {
    let words = existence_words(entry);
    let (was, is) = (pairs(entry.before.as_deref()), pairs(entry.after.as_deref()));
    match (was.is_empty(), is.is_empty()) {
        (false, _) => format!("row deleted, it was {was}"),
        (true, false) => format!("row made: {is}"),
        (true, true) => words,
    }
}

/// Values by field as people read them; nothing where they are not kept by field.
fn pairs(json: Option<&RawValue>) -> String {
    let values = json.map(|json| sent_values(json.get())).unwrap_or_default();
    let pairs = values.iter().map(|(name, value)| format!("{name} = {}", style::value(value.get())));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Why a person's choice was not followed.
fn note(entry: &Entry) -> Option<String> {
    serde_json::from_str::<Noted>(entry.detail.as_ref()?.get()).ok()?.note.filter(|_| entry.kind == "resolve")
}

#[derive(Deserialize)]
struct Noted {
    note: Option<String>,
}

/// What was sent, by field.
fn sent_values(json: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(json).unwrap_or_default()
}

/// What a decision about a record's existence came to; the losers of a resolution tell which way it went.
pub fn existence_words(entry: &Entry) -> String {
    let kept = || {
        let losers = entry.detail.as_ref().and_then(|json| serde_json::from_str::<Lost>(json.get()).ok());
        losers.is_some_and(|lost| !lost.losers.is_empty() && lost.losers.iter().all(|one| one.values.is_empty()))
    };
    match entry.rule.as_str() {
        "first_contact" => format!("taken over from {}", entry.origin),
        "local_delete" => "deleted here by another program".to_owned(),
        "resolution" if kept() => "a person decided to keep it".to_owned(),
        "resolution" => "a person decided to delete it".to_owned(),
        "propagate" | "delete_wins" => "the delete goes everywhere".to_owned(),
        "update_wins" | "restore" => "kept".to_owned(),
        "detach" => "left alone on the other sides".to_owned(),
        "queue" | "manual" => "waits for a person".to_owned(),
        rule => match rule.strip_prefix("deleted: ") {
            Some(evidence) => format!("seen deleted at {} ({})", entry.origin, evidence.replace('_', " ")),
            None => String::new(),
        },
    }
}

#[derive(Deserialize)]
struct Lost {
    #[serde(default)]
    losers: Vec<Loser>,
}

#[derive(Deserialize)]
struct Loser {
    values: Vec<Box<RawValue>>,
}

/// The values of a unit (`["a"]`, `["street","city"]`) as people read them.
pub fn values(json: &str) -> String {
    match serde_json::from_str::<Vec<Box<RawValue>>>(json) {
        Ok(values) => values.iter().map(|value| style::value(value.get())).collect::<Vec<_>>().join(" | "),
        Err(_) => style::value(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordId;

    #[test]
    fn history_is_told_by_pass_and_record() {
        let row = |field: &str, before: Option<&str>, after: Option<&str>, target: Option<&str>| HistoryRow {
            id: 1,
            pass: 3,
            at: 1_700_000_000_000_000,
            collection: "contacts".to_owned(),
            record: RecordId("r1".to_owned()),
            field: field.to_owned(),
            kind: if target.is_some() { "push" } else { "local" }.to_owned(),
            origin: "crm".to_owned(),
            target: target.map(str::to_owned),
            rule: "policy: latest".to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            detail: None,
        };
        let write = |kind: &str, op: &str, sent: &str| HistoryRow {
            kind: kind.to_owned(),
            rule: "acknowledged".to_owned(),
            detail: Some(format!(r#"{{"key":"k","op":"{op}","words":null}}"#)),
            ..row("", None, Some(sent), Some("billing"))
        };
        let history: Vec<Entry> = [
            row("phone", Some("[\"1\"]"), Some("[\"2\"]"), None),
            row("street,city", Some("[\"a\",null]"), Some("[\"b\",\"c\"]"), Some("billing")),
            row("", None, None, None),
            HistoryRow { rule: "deleted: tombstone".to_owned(), ..row("", Some("[]"), Some("[]"), None) },
            row("", None, Some(r#"{"phone":"2"}"#), None),
            row("", Some(r#"{"phone":"2"}"#), None, None),
            write("push", "delete", "{}"),
            write("push", "update", r#"{"phone":"2","tags":["a"]}"#),
            write("quarantine", "create", r#"{"phone":"2"}"#),
        ]
        .iter()
        .map(Entry::from)
        .collect();
        insta::assert_snapshot!(style::bare(&text(&history, 120)));
        assert_eq!(history[1].fields, ["street", "city"]);
        assert_eq!(history[7].fields, ["phone", "tags"]);
        let lost = r#"{"losers":[{"origin":"local","values":[1.50],"source_time":null,"observed_at":1700000000000000}],"tried":["x: y"]}"#;
        let shown = Entry::from(&HistoryRow { detail: Some(lost.to_owned()), ..row("phone", None, None, None) });
        let expected = r#"{"losers":[{"origin":"local","values":[1.50],"source_time":null,"observed_at":"2023-11-14T22:13:20.000000Z"}],"tried":["x: y"]}"#;
        assert_eq!(shown.detail.as_deref().map(RawValue::get), Some(expected), "times are written as everywhere");
    }
}
