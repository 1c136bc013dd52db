//! Owns: `explain`: why a field is as it is: values, provenance, the rule that decided, rules tried, freezes, history.
//!
//! Must not know: how decisions are made.

use std::fmt::Write as _;

use serde::Serialize;

use crate::record::RecordId;
use crate::rules::{Collection, Drift, Field, Policy};
use crate::store::{
    ConflictFilter, HistoryFilter, IntentFilter, OriginRow, QuarantineFilter, QuarantineRow, StoreError, View, read,
};

use super::args::ExplainArgs;
use super::conflicts::{self, Conflict, candidates};
use super::exit::{CliError, Exit};
use super::find::{collection, field, find_record};
use super::history::{self, Entry, values};
use super::out::Out;
use super::sides::{FieldSides, LinkSide, gather};
use super::style::{self, paint};
use super::workspace::{SecretsAre, Workspace};

/// How many lines of history a field shows.
const HISTORY_MAX: usize = 20;

/// What `explain --json` prints.
#[derive(Debug, Serialize)]
pub struct Explained {
    collection: String,
    record: String,
    exists: bool,
    links: Vec<LinkSide>,
    /// What keeps it from being in sync, besides conflicts.
    waits: Vec<Wait>,
    fields: Vec<FieldExplained>,
}

/// Something that keeps a record from being in sync.
#[derive(Debug, Serialize)]
struct Wait {
    upstream: String,
    /// `create`, `update`, `delete`: a write that is not settled; else where the record was set aside.
    what: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct FieldExplained {
    #[serde(flatten)]
    sides: FieldSides,
    #[serde(rename = "type")]
    ty: &'static str,
    /// Who set the local value.
    origin: Option<Provenance>,
    rules: Rules,
    /// The last decision about the field.
    decided: Option<Entry>,
    /// Open conflicts that freeze it.
    frozen: Vec<Conflict>,
    /// Newest first.
    history: Vec<Entry>,
}

/// Who set a value, and when.
#[derive(Debug, Serialize)]
struct Provenance {
    origin: String,
    /// RFC 3339.
    source_time: Option<String>,
    /// RFC 3339.
    observed_at: Option<String>,
    pass: i64,
    rule: String,
}

/// What the rules say about the field.
#[derive(Debug, Serialize)]
struct Rules {
    owner: Option<String>,
    /// `revert` or `report`, where there is an owner.
    drift: Option<&'static str>,
    /// The chain of policies, in order.
    merge: Vec<&'static str>,
    group: Option<String>,
}

/// Explains the record or the field.
pub async fn run(args: &ExplainArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let store = workspace.store_to_look()?;
    let (name, record) = find_record(store.as_ref(), &rules, &args.record).await?;
    let only = args.field.as_deref().map(|wanted| field(collection(&rules, &name)?, wanted)).transpose()?;
    let explained = read(store.as_ref(), move |view| {
        rules.collections.get(&name).map(|collection| explain(view, collection, &record, only)).transpose()
    })
    .await?;
    if let Some(explained) = explained {
        out.show(&explained, text)?;
    }
    Ok(Exit::IN_SYNC)
}

/// Gathers the explanation of one field (by position), or of all.
pub fn explain(
    view: &dyn View,
    collection: &Collection,
    record: &RecordId,
    only: Option<usize>,
) -> Result<Explained, StoreError> {
    let sides = gather(view, collection, record)?;
    let origins = match view.collection_key(&collection.name)? {
        Some(key) => view.origins(key, record)?,
        None => Vec::new(),
    };
    let of_record = HistoryFilter {
        collection: Some(collection.name.clone()),
        record: Some(record.clone()),
        ..HistoryFilter::default()
    };
    let history = view.history(&of_record)?;
    let open = view.conflicts(&ConflictFilter { record: Some(record.clone()), ..ConflictFilter::default() })?;
    let fields = sides
        .fields
        .into_iter()
        .zip(&collection.fields)
        .enumerate()
        .filter(|(at, _)| only.is_none_or(|only| only == *at))
        .map(|(_, (sides, field))| {
            let concerns = |names: &str| names.is_empty() || names.split(',').any(|name| name == field.name);
            let lines: Vec<Entry> = history.iter().filter(|row| concerns(&row.field)).map(Entry::from).collect();
            FieldExplained {
                ty: field.domain.ty.name(),
                origin: provenance(&origins, &field.name),
                rules: rules_of(field),
                decided: history.iter().find(|row| row.kind == "local" && concerns(&row.field)).map(Entry::from),
                frozen: open.iter().filter(|row| concerns(&row.fields)).map(Conflict::from).collect(),
                history: lines.into_iter().take(HISTORY_MAX).collect(),
                sides,
            }
        })
        .collect();
    Ok(Explained {
        waits: waits(view, &collection.name, record)?,
        collection: sides.collection,
        record: sides.record,
        exists: sides.exists,
        links: sides.links,
        fields,
    })
}

/// Records set aside by their own id, remote ones that may be this record, and writes that are not settled.
fn waits(view: &dyn View, collection: &str, record: &RecordId) -> Result<Vec<Wait>, StoreError> {
    let aside = QuarantineFilter { collection: Some(collection.to_owned()), ..QuarantineFilter::default() };
    let concerned = |row: &QuarantineRow| {
        let named =
            || row.reason.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').any(|id| id == record.0);
        row.subject == record.0 || (row.stage == "match" && named())
    };
    let aside = view.quarantined(&aside)?.into_iter().filter(concerned).map(|row| Wait {
        why: if row.subject == record.0 { row.reason } else { format!("{} {}", row.subject, row.reason) },
        upstream: row.upstream,
        what: row.stage,
    });
    let writes = IntentFilter { record: Some(record.clone()), ..IntentFilter::default() };
    let writes = view.intents(&writes)?.into_iter().map(|intent| {
        let state = match intent.state.as_str() {
            "sent" | "unknown" => "its outcome is not known yet",
            _ => "it is put off",
        };
        let note = intent.note.map(|note| format!(": {note}")).unwrap_or_default();
        Wait { upstream: intent.upstream, what: intent.op, why: format!("{state}{note}") }
    });
    Ok(aside.chain(writes).collect())
}

fn provenance(rows: &[OriginRow], field: &str) -> Option<Provenance> {
    let row = rows.iter().find(|row| row.field == field).or_else(|| rows.iter().find(|row| row.field.is_empty()))?;
    Some(Provenance {
        origin: row.origin.clone(),
        source_time: row.source_time.and_then(style::rfc3339),
        observed_at: style::rfc3339(row.observed_at),
        pass: row.pass,
        rule: row.rule.clone(),
    })
}

fn rules_of(field: &Field) -> Rules {
    Rules {
        owner: field.owner.as_ref().map(|owner| owner.origin.name().to_owned()),
        drift: field.owner.as_ref().map(|owner| match owner.drift {
            Drift::Revert => "revert",
            Drift::Report => "report",
        }),
        merge: field.chain.iter().map(|policy| policy_name(*policy)).collect(),
        group: field.group.clone(),
    }
}

/// A policy as rules write it.
fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::SourcePriority => "source_priority",
        Policy::LocalEditWins => "local_edit_wins",
        Policy::Latest => "latest",
        Policy::Earliest => "earliest",
        Policy::Max => "max",
        Policy::Min => "min",
        Policy::PreferNonEmpty => "prefer_non_empty",
        Policy::Set => "set",
        Policy::Manual => "manual",
    }
}

/// For people.
pub fn text(explained: &Explained, width: usize) -> String {
    let gone = if explained.exists { "" } else { " (deleted here)" };
    let name = format!("{}/{}{gone}", explained.collection, style::clean(&explained.record));
    if let [field] = explained.fields.as_slice() {
        return style::heading(&format!("{} of {name}", field.sides.field))
            + &one(field, width)
            + &waits_text(explained);
    }
    let mut text = style::heading(&name) + &super::show::links_text(&explained.links, width) + &waits_text(explained);
    let max = (width / 4).max(16);
    let rows = explained.fields.iter().map(|field| row(field, max)).collect();
    text += &style::table(width, &["", "field", "here", "set by", "at pass", "rule", "frozen"], rows);
    text + &paint(style::DIM, "name a field to see every side, the rules that were tried, and its history\n")
}

fn waits_text(explained: &Explained) -> String {
    let mut text = String::new();
    for wait in &explained.waits {
        let what = match wait.what.as_str() {
            "create" | "update" | "delete" => format!("{} there: ", wait.what),
            _ => String::new(),
        };
        let mark = paint(style::CHANGED, "!");
        writeln!(text, "{mark} {}: {what}{}", style::clean(&wait.upstream), style::clean(&wait.why)).ok();
    }
    text
}

fn row(field: &FieldExplained, max: usize) -> Vec<String> {
    let origin = field.origin.as_ref();
    vec![
        if field.sides.agrees { "" } else { "≠" }.to_owned(),
        field.sides.field.clone(),
        field.sides.local.text(max),
        origin.map_or_else(|| "–".to_owned(), |it| it.origin.clone()),
        origin.map_or_else(|| "–".to_owned(), |it| it.pass.to_string()),
        origin.map_or_else(|| "–".to_owned(), |it| it.rule.clone()),
        field.frozen.iter().map(|conflict| format!("conflict {}", conflict.id)).collect::<Vec<_>>().join(", "),
    ]
}

/// Everything about one field.
fn one(field: &FieldExplained, width: usize) -> String {
    let mut text = String::new();
    let mut line = |label: &str, what: &str| {
        writeln!(text, "  {} {what}", paint(style::DIM, format!("{label:<9}"))).ok();
    };
    let room = width.saturating_sub(14).max(20);
    line("here", &field.sides.local.text(room));
    for say in &field.sides.upstreams {
        let base = say.base.text(room);
        let value = say.value.text(room);
        let since = if base == value { String::new() } else { format!("  (at the base: {base})") };
        line(&say.upstream, &format!("{value}{since}"));
    }
    if let Some(origin) = &field.origin {
        let time = style::short(origin.source_time.as_deref().or(origin.observed_at.as_deref()).unwrap_or("–"));
        let whose = paint(style::SIDE, &origin.origin);
        let rule = if origin.rule.is_empty() { String::new() } else { format!(", by the rule {}", origin.rule) };
        line("set by", &format!("{whose} at {time}, in pass {}{rule}", origin.pass));
    }
    line("rules", &rules_text(&field.rules, field.ty));
    if let Some(entry) = &field.decided {
        decision_lines(entry, room, &mut line);
    }
    for conflict in &field.frozen {
        line("frozen", &format!("by conflict {} until somebody decides", conflict.id));
    }
    for conflict in &field.frozen {
        text += &conflicts::one(conflict, width);
    }
    if !field.history.is_empty() {
        text += &history::text_of_one(&field.history, width);
    }
    text
}

fn rules_text(rules: &Rules, ty: &str) -> String {
    let mut words = vec![ty.to_owned()];
    if let (Some(owner), Some(drift)) = (&rules.owner, rules.drift) {
        words.push(format!("owned by {owner} (other edits: {drift})"));
    }
    words.push(format!("where two sides differ: {}", rules.merge.join(" → ")));
    if let Some(group) = &rules.group {
        words.push(format!("moves with its group {group}"));
    }
    words.join("; ")
}

#[derive(serde::Deserialize)]
struct Detail {
    #[serde(default)]
    losers: Option<Box<serde_json::value::RawValue>>,
    #[serde(default)]
    tried: Vec<String>,
}

fn decision_lines(entry: &Entry, room: usize, line: &mut dyn FnMut(&str, &str)) {
    let change = match (&entry.before, &entry.after) {
        (Some(before), Some(after)) if before.get() == after.get() => format!(": {} stays", values(after.get())),
        (Some(before), Some(after)) if before.get() != "[]" => {
            format!(": {} → {}", values(before.get()), values(after.get()))
        }
        _ => String::new(),
    };
    let whose = if entry.origin.is_empty() { String::new() } else { format!(" for {}", entry.origin) };
    line("decided", &style::cut(&format!("{}{whose} in pass {}{change}", entry.rule, entry.pass), room));
    let Some(Ok(detail)) = entry.detail.as_ref().map(|json| serde_json::from_str::<Detail>(json.get())) else { return };
    for tried in &detail.tried {
        line("tried", &style::clean(tried));
    }
    for loser in detail.losers.iter().flat_map(|json| candidates(json.get())) {
        let time = style::short(&loser.source_time.or(loser.observed_at).unwrap_or_default());
        line("lost", &format!("{}: {} ({time})", loser.origin, style::cut(&values(loser.values.get()), room)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sides::{Say, UpstreamSay, raw};
    use crate::store::HistoryRow;

    #[test]
    fn one_field_is_explained_to_the_end() {
        let say = |json: &str| Say { value: raw(json), error: None };
        let row = HistoryRow {
            id: 9,
            pass: 3,
            at: 1_700_000_000_000_000,
            collection: "contacts".to_owned(),
            record: RecordId("r1".to_owned()),
            field: "phone".to_owned(),
            kind: "local".to_owned(),
            origin: "crm".to_owned(),
            target: None,
            rule: "policy: latest".to_owned(),
            before: Some("[\"2\"]".to_owned()),
            after: Some("[\"3\"]".to_owned()),
            detail: Some(
                r#"{"losers":[{"origin":"local","values":["2"],"source_time":null,"observed_at":1700000000000000}],
                    "tried":["policy: prefer_non_empty: both are non-empty"]}"#
                    .to_owned(),
            ),
        };
        let field = FieldExplained {
            sides: FieldSides {
                field: "phone".to_owned(),
                local: say("\"3\""),
                upstreams: vec![UpstreamSay { upstream: "crm".to_owned(), value: say("\"3\""), base: say("\"1\"") }],
                agrees: true,
            },
            ty: "text",
            origin: Some(Provenance {
                origin: "crm".to_owned(),
                source_time: Some("2023-11-14T22:13:21Z".to_owned()),
                observed_at: None,
                pass: 3,
                rule: "policy: latest".to_owned(),
            }),
            rules: Rules { owner: None, drift: None, merge: vec!["prefer_non_empty", "latest"], group: None },
            decided: Some(Entry::from(&row)),
            frozen: Vec::new(),
            history: vec![Entry::from(&row)],
        };
        insta::assert_snapshot!(style::bare(&one(&field, 120)));
    }
}
