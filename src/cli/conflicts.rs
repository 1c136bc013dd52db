//! Owns: `conflicts`: what no rule could decide, with every side's say and the commands that decide it.
//!
//! Must not know: how a conflict is resolved (that is `resolve`, and the engine).

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ops::{Candidate, Conflict, list_conflicts};
use crate::store::{ConflictFilter, View, read};

use super::args::ConflictsArgs;
use super::diff;
use super::exit::{CliError, Exit};
use super::history::values;
use super::out::Out;
use super::style::{self, paint};
use super::workspace::{SecretsAre, Workspace};

/// What `conflicts --json` prints.
#[derive(Debug, Serialize)]
struct Shown {
    conflicts: Vec<Conflict>,
}

/// Lists conflicts.
pub async fn run(args: &ConflictsArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let store = workspace.store_to_look()?;
    let filter =
        ConflictFilter { collection: args.collection.clone(), closed_too: args.all, ..ConflictFilter::default() };
    // They are known without rules, too; what is wrong with those is told elsewhere.
    let rules = workspace.examine(SecretsAre::Unused).ok().and_then(|examined| examined.rules);
    let list = move |view: &dyn View| list_conflicts(view, rules.as_deref(), &filter);
    let shown = Shown { conflicts: read(store.as_ref(), list).await? };
    let open = shown.conflicts.iter().any(|conflict| conflict.closed.is_none());
    out.show(&shown, |shown, width| text(&shown.conflicts, width))?;
    Ok(if open { Exit::CONFLICTS } else { Exit::IN_SYNC })
}

fn text(conflicts: &[Conflict], width: usize) -> String {
    if conflicts.is_empty() {
        return format!("{}\n", paint(style::GOOD, "no conflicts"));
    }
    conflicts.iter().map(|conflict| one(conflict, width)).collect::<Vec<_>>().join("\n")
}

/// One conflict as a block.
pub fn one(conflict: &Conflict, width: usize) -> String {
    let what =
        if conflict.fields.is_empty() { "the record's existence".to_owned() } else { conflict.fields.join(", ") };
    let name = conflict.name.as_deref().map(|name| format!(" ({})", style::clean(name))).unwrap_or_default();
    let mut text = style::heading(&format!(
        "conflict {}: {what} of {}/{}{name}",
        conflict.id,
        conflict.collection,
        style::clean(&conflict.record)
    ));
    let opened = style::short(conflict.opened_at.as_deref().unwrap_or("–"));
    writeln!(text, "  {} {} since {opened}, pass {}", paint(style::DIM, "kind"), conflict.kind, conflict.pass).ok();
    if conflict.kind == "oscillation" {
        let sides: Vec<&str> = conflict.candidates.iter().map(|side| side.origin.as_str()).collect();
        let war = format!("{} take each other's value back, again and again: which one sets it?", sides.join(" and "));
        writeln!(text, "  {} {}", paint(style::BAD, "!"), style::clean(&war)).ok();
    }
    let base = conflict.base.as_deref().map(RawValue::get);
    if let Some(base) = base {
        writeln!(text, "  {:<10} {}", "base", style::cut(&values(base), width.saturating_sub(16).max(20))).ok();
    }
    for candidate in &conflict.candidates {
        text += &candidate_text(candidate, base, width);
    }
    match (&conflict.closed, &conflict.resolution) {
        (Some(how), _) => {
            let at = style::short(conflict.closed_at.as_deref().unwrap_or("–"));
            writeln!(text, "  {} {at}: {how}", paint(style::GOOD, "closed")).ok();
        }
        (None, Some(choice)) => {
            let choice = choice_words(choice.get(), &conflict.fields);
            writeln!(text, "  {} {choice}; the next pass applies it", paint(style::GOOD, "decided")).ok();
        }
        (None, None) => {
            if let Some(refused) = &conflict.refused {
                writeln!(text, "  {} {}", paint(style::BAD, "!"), style::clean(refused)).ok();
            }
            writeln!(text, "  {}", paint(style::DIM, remedies(conflict))).ok();
        }
    }
    text
}

/// A choice as the engine keeps it, in words.
#[derive(Deserialize)]
struct Choice {
    take: Option<String>,
    values: Option<Vec<Box<RawValue>>>,
    delete: Option<bool>,
    keep: Option<bool>,
}

/// What a person chose: `take crm`, `phone = 3`, `delete the record everywhere`.
pub fn choice_words(json: &str, fields: &[String]) -> String {
    match serde_json::from_str::<Choice>(json) {
        Ok(Choice { take: Some(side), .. }) => format!("take {}", style::clean(&side)),
        Ok(Choice { values: Some(values), .. }) => {
            let pairs = fields.iter().zip(&values).map(|(name, json)| format!("{name} = {}", style::value(json.get())));
            pairs.collect::<Vec<_>>().join(", ")
        }
        Ok(Choice { delete: Some(_), .. }) => "delete the record everywhere".to_owned(),
        Ok(Choice { keep: Some(_), .. }) => "keep the record".to_owned(),
        Ok(_) | Err(_) => style::clean(json),
    }
}

fn candidate_text(candidate: &Candidate, base: Option<&str>, width: usize) -> String {
    let when = match (&candidate.source_time, &candidate.observed_at) {
        (Some(time), _) => format!("changed {}", style::short(time)),
        (None, Some(time)) => format!("seen {}", style::short(time)),
        (None, None) => String::new(),
    };
    let side = paint(style::SIDE, format!("{:<10}", candidate.origin));
    let said = candidate.values.get();
    if let (Some(old), Some(new)) = (base.and_then(one_long_text), one_long_text(said)) {
        return format!("  {side} {}\n{}", paint(style::DIM, when), diff::inline(&old, &new, width));
    }
    let room = width.saturating_sub(50).max(20);
    let said = if said == "[]" { "deleted".to_owned() } else { style::cut(&values(said), room) };
    format!("  {side} {said}  {}\n", paint(style::DIM, when))
}

/// The text of a unit of one long text.
fn one_long_text(json: &str) -> Option<String> {
    match serde_json::from_str::<Vec<String>>(json).ok()?.as_slice() {
        [text] if text.chars().count() > 40 || text.contains('\n') => Some(text.clone()),
        _ => None,
    }
}

fn remedies(conflict: &Conflict) -> String {
    if conflict.fields.is_empty() {
        return format!("reconciled resolve {} --delete | --keep", conflict.id);
    }
    let mut ways: Vec<String> =
        conflict.candidates.iter().map(|candidate| format!("--take {}", candidate.origin)).collect();
    if conflict.base.is_some() {
        ways.push("--take base".to_owned());
    }
    ways.push(format!("--value{}", " JSON".repeat(conflict.fields.len())));
    format!("reconciled resolve {} {}", conflict.id, ways.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordId;
    use crate::store::{ConflictRow, HistoryRow};

    fn row(fields: &str, kind: &str, base: Option<&str>, candidates: &str) -> ConflictRow {
        ConflictRow {
            id: 4,
            collection: "contacts".to_owned(),
            record: RecordId("r1".to_owned()),
            fields: fields.to_owned(),
            kind: kind.to_owned(),
            base: base.map(str::to_owned),
            candidates: candidates.to_owned(),
            resolution: None,
            pass: 3,
            opened_at: 1_700_000_000_000_000,
            closed: None,
        }
    }

    #[test]
    fn a_conflict_shows_every_side_and_the_ways_out() {
        let edit = row(
            "phone",
            "edit",
            Some("[\"1\"]"),
            r#"[{"origin":"local","values":["2"],"source_time":null,"observed_at":1700000000000000},
                {"origin":"crm","values":["3"],"source_time":1700000001000000,"observed_at":1700000002000000}]"#,
        );
        let mut decided = row("", "delete_queued", None, "[]");
        decided.resolution = Some("{\"keep\":true}".to_owned());
        let open = row("", "update_vs_delete", None, "[]");
        let mut valued = row("street,city", "edit", None, "[]");
        valued.resolution = Some(r#"{"values":["High St",null]}"#.to_owned());
        let war = r#"[{"origin":"local","values":["2"],"source_time":null,"observed_at":1700000000000000},
            {"origin":"crm","values":["3"],"source_time":null,"observed_at":1700000002000000}]"#;
        let war = row("phone", "oscillation", None, war);
        let shown: Vec<Conflict> = [edit, decided, open, valued, war].iter().map(Conflict::from).collect();
        insta::assert_snapshot!(style::bare(&text(&shown, 100)));
    }

    #[test]
    fn a_choice_that_was_not_followed_is_told_until_another_is_made() {
        let mut conflict = row("phone", "edit", None, "[]");
        let note = "the resolution of conflict 4 was not applied: crm changed after it was given";
        let line = |id: i64| HistoryRow {
            id: 1,
            pass: 4,
            at: 0,
            collection: "contacts".to_owned(),
            record: RecordId("r1".to_owned()),
            field: "phone".to_owned(),
            kind: "resolve".to_owned(),
            origin: "local".to_owned(),
            target: None,
            rule: "refused".to_owned(),
            before: None,
            after: None,
            detail: Some(serde_json::json!({ "conflict": id, "note": note, "resolution": null }).to_string()),
        };
        assert_eq!(Conflict::with_history(&conflict, &[line(3)]).refused, None, "that was another conflict");
        let shown = Conflict::with_history(&conflict, &[line(4)]);
        assert_eq!(shown.refused.as_deref(), Some(note));
        assert!(text(&[shown], 100).contains(note));
        conflict.resolution = Some(r#"{"take":"crm"}"#.to_owned());
        assert_eq!(Conflict::with_history(&conflict, &[line(4)]).refused, None);
    }
}
