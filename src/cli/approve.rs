//! Owns: `approve`: what a guard stopped, shown and let through once.
//!
//! Must not know: guards.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::reconcile::{SET_BACK, choice_note, is_restored};
use crate::store::{HaltRow, read, write};

use super::args::ApproveArgs;
use super::exit::{CliError, Exit};
use super::out::Out;
use super::sides::raw;
use super::style;
use super::workspace::Workspace;

/// A halt.
#[derive(Debug, Serialize)]
pub struct Halt {
    /// Its number.
    pub id: i64,
    /// The collection.
    pub collection: String,
    /// The pass that halted.
    pub pass: i64,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub approved_at: Option<String>,
    /// `{target, what, count, total, limit}` each.
    pub halts: Option<Box<RawValue>>,
    /// It is about the database itself, which was restored or copied; no plan is approved with it.
    pub restored: bool,
}

impl From<&HaltRow> for Halt {
    fn from(row: &HaltRow) -> Self {
        Self {
            id: row.id,
            collection: row.collection.clone(),
            pass: row.pass,
            created_at: style::rfc3339(row.created_at),
            approved_at: row.approved_at.and_then(style::rfc3339),
            halts: raw(&row.halts),
            restored: is_restored(&row.fingerprint),
        }
    }
}

/// Shows the halt and approves it.
pub async fn run(args: &ApproveArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let store = workspace.store_to_edit()?;
    let id = args.halt;
    let rows = read(store.as_ref(), |view| view.halts(None, true)).await?;
    let Some(row) = rows.iter().find(|row| row.id == id) else {
        return Err(CliError::NotFound(format!(
            "no halt {id} waits for approval; `reconciled status` lists those that do"
        )));
    };
    let mut halt = Halt::from(row);
    let before = row.approved_at;
    let choices = choices(row, args.wins.as_deref())?;
    if before.is_none() || !choices.is_empty() {
        let now = workspace.clock().now().timestamp_micros();
        write(store.as_ref(), move |tx| {
            choices.iter().try_for_each(|(note, side)| tx.set_note(note, &Value::from(side.as_str()).to_string()))?;
            tx.set_halt(id, Some(now), None)
        })
        .await?;
        halt.approved_at = style::rfc3339(now);
    }
    out.show(&halt, |halt, width| text(halt, before.is_some(), width))?;
    Ok(Exit::IN_SYNC)
}

/// What a person says about upstreams that were set back, by note; a mistake where that is missing or makes no sense.
fn choices(row: &HaltRow, wins: Option<&str>) -> Result<Vec<(String, String)>, CliError> {
    let list: Vec<Value> = serde_json::from_str(&row.halts).unwrap_or_default();
    let upstream = |one: &Value| one["target"]["upstream"].as_str().map(str::to_owned);
    let back: Vec<String> = list.iter().filter(|one| one["what"] == SET_BACK).filter_map(upstream).collect();
    let names = back.join(" or --wins ");
    match wins {
        None if back.is_empty() => Ok(Vec::new()),
        None => Err(CliError::Usage(format!(
            "{} was set back: say which side wins, `reconciled approve {} --wins local` (what is here goes there again) or \
             `--wins {names}` (what is there is taken for edits)",
            back.join(", "),
            row.id
        ))),
        Some(_) if back.is_empty() => Err(CliError::Usage(
            "--wins is for upstreams that were set back, and this halt is about something else".to_owned(),
        )),
        Some(side) if side == "local" || back.iter().any(|name| name == side) => {
            let chosen = back.iter().map(|name| (choice_note(&row.collection, name), side.to_owned()));
            Ok(chosen.collect())
        }
        Some(side) => Err(CliError::Usage(format!(
            "{} is no side of this halt: --wins local or --wins {names}",
            style::clean(side)
        ))),
    }
}

fn text(halt: &Halt, before: bool, width: usize) -> String {
    let mut text = style::heading(&format!("halt {} of {}, pass {}", halt.id, halt.collection, halt.pass));
    text += &halts_text(halt, width);
    let when = style::short(halt.approved_at.as_deref().unwrap_or("–"));
    let words = if before { "was approved already" } else { "approved" };
    let then = if halt.restored {
        "the next pass reads everything anew and goes on from there, within its limits"
    } else {
        "the next pass carries it out, if it would still do exactly this"
    };
    text + &format!("{words} ({when}); {then}: `reconciled run --once {}`\n", halt.collection)
}

/// What the guards found too much.
pub fn halts_text(halt: &Halt, width: usize) -> String {
    let list: Vec<Value> =
        halt.halts.as_ref().and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
    let rows = list
        .iter()
        .map(|one| {
            let target = match one.get("target") {
                Some(Value::String(name)) => name.clone(),
                Some(Value::Object(upstream)) => {
                    upstream.values().next().and_then(Value::as_str).unwrap_or("?").to_owned()
                }
                _ => "?".to_owned(),
            };
            let text = |key: &str| match one.get(key) {
                Some(Value::String(text)) => style::clean(text),
                Some(other) => other.to_string(),
                None => "–".to_owned(),
            };
            vec![target, text("what"), text("count"), text("total"), text("limit")]
        })
        .collect();
    style::table(width, &["target", "what", "records", "of", "limit"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_shows_what_it_lets_through() {
        let halts = r#"[{"target":{"upstream":"crm"},"what":"delete","count":50,"total":100,"limit":"5%"},
            {"target":"local","what":"delete","count":50,"total":100,"limit":"5%"}]"#;
        let row = HaltRow {
            id: 2,
            collection: "contacts".to_owned(),
            pass: 9,
            fingerprint: String::new(),
            halts: halts.to_owned(),
            created_at: 0,
            approved_at: Some(1_700_000_000_000_000),
            closed_at: None,
        };
        insta::assert_snapshot!(style::bare(&text(&Halt::from(&row), false, 100)));
    }
}
