//! Owns: `history`: what changed, when, from what to what, by which rule.
//!
//! Must not know: how history is written.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::store::{HistoryFilter, HistoryRow, read};

use super::args::HistoryArgs;
use super::exit::{CliError, Exit};
use super::find::find_record;
use super::out::Out;
use super::sides::raw;
use super::style;
use super::workspace::{SecretsAre, Workspace, select_collections};

/// What `history --json` prints.
#[derive(Debug, Serialize)]
struct Shown {
    history: Vec<Entry>,
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
    /// The fields; empty for the record's existence.
    pub fields: Vec<String>,
    /// `local`, `push`, `conflict`, `resolve`, `quarantine`, `link`.
    pub kind: String,
    /// Whose value.
    pub origin: String,
    /// At which upstream, for pushes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The rule that decided.
    pub rule: String,
    /// Before, one value per field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<RawValue>>,
    /// After, one value per field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Box<RawValue>>,
    /// Losing values, and rules that were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<RawValue>>,
}

impl From<&HistoryRow> for Entry {
    fn from(row: &HistoryRow) -> Self {
        Self {
            id: row.id,
            pass: row.pass,
            at: style::rfc3339(row.at),
            collection: row.collection.clone(),
            record: row.record.0.clone(),
            fields: row.field.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            kind: row.kind.clone(),
            origin: row.origin.clone(),
            target: row.target.clone(),
            rule: row.rule.clone(),
            before: row.before.as_deref().and_then(raw),
            after: row.after.as_deref().and_then(raw),
            detail: row.detail.as_deref().and_then(raw),
        }
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
    let history = read(store.as_ref(), move |view| view.history(&filter)).await?;
    let shown = Shown { history: history.iter().map(Entry::from).collect() };
    out.show(&shown, |shown, width| text(&shown.history, width))?;
    Ok(Exit::IN_SYNC)
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
    if entry.fields.is_empty() { "(record)".to_owned() } else { entry.fields.join(", ") }
}

fn whose(entry: &Entry) -> String {
    match &entry.target {
        Some(target) => format!("{} → {target}", entry.origin),
        None => entry.origin.clone(),
    }
}

fn change(entry: &Entry, max: usize) -> String {
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
        let history: Vec<Entry> = [
            row("phone", Some("[\"1\"]"), Some("[\"2\"]"), None),
            row("street,city", Some("[\"a\",null]"), Some("[\"b\",\"c\"]"), Some("billing")),
            row("", None, None, None),
        ]
        .iter()
        .map(Entry::from)
        .collect();
        insta::assert_snapshot!(style::bare(&text(&history, 120)));
        assert_eq!(history[1].fields, ["street", "city"]);
    }
}
