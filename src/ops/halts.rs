//! Owns: halts as they are told, and their approval.
//!
//! Must not know: guards; how a halt is shown.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::reconcile::{SET_BACK, choice_note, is_restored};
use crate::store::{HaltRow, Micros, Store, read, write};

use super::error::OpsError;
use super::text::{raw, rfc3339};

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
            created_at: rfc3339(row.created_at),
            approved_at: row.approved_at.and_then(rfc3339),
            halts: raw(&row.halts),
            restored: is_restored(&row.fingerprint),
        }
    }
}

/// A halt that was approved.
#[derive(Debug)]
pub struct Approved {
    /// The halt.
    pub halt: Halt,
    /// It was approved before already.
    pub before: bool,
}

/// Approves the halt of this number; where an upstream was set back, `wins` says which side counts.
pub async fn approve(store: &dyn Store, id: i64, wins: Option<&str>, now: Micros) -> Result<Approved, OpsError> {
    let rows = read(store, |view| view.halts(None, true)).await?;
    let Some(row) = rows.iter().find(|row| row.id == id) else {
        return Err(OpsError::NotFound(format!(
            "no halt {id} waits for approval; `reconciled status` lists those that do"
        )));
    };
    let mut halt = Halt::from(row);
    let before = row.approved_at.is_some();
    let choices = choices(row, wins)?;
    if !before || !choices.is_empty() {
        write(store, move |tx| {
            choices.iter().try_for_each(|(note, side)| tx.set_note(note, &Value::from(side.as_str()).to_string()))?;
            tx.set_halt(id, Some(now), None)
        })
        .await?;
        halt.approved_at = rfc3339(now);
    }
    Ok(Approved { halt, before })
}

/// What a person says about upstreams that were set back, by note; a mistake where that is missing or makes no sense.
fn choices(row: &HaltRow, wins: Option<&str>) -> Result<Vec<(String, String)>, OpsError> {
    let list: Vec<Value> = serde_json::from_str(&row.halts).unwrap_or_default();
    let upstream = |one: &Value| one["target"]["upstream"].as_str().map(str::to_owned);
    let back: Vec<String> = list.iter().filter(|one| one["what"] == SET_BACK).filter_map(upstream).collect();
    let names = back.join(" or --wins ");
    match wins {
        None if back.is_empty() => Ok(Vec::new()),
        None => Err(OpsError::Refused(format!(
            "{} was set back: say which side wins, `reconciled approve {} --wins local` (what is here goes there again) or \
             `--wins {names}` (what is there is taken for edits)",
            back.join(", "),
            row.id
        ))),
        Some(_) if back.is_empty() => Err(OpsError::Refused(
            "--wins is for upstreams that were set back, and this halt is about something else".to_owned(),
        )),
        Some(side) if side == "local" || back.iter().any(|name| name == side) => {
            let chosen = back.iter().map(|name| (choice_note(&row.collection, name), side.to_owned()));
            Ok(chosen.collect())
        }
        Some(side) => Err(OpsError::Refused(format!(
            "{} is no side of this halt: --wins local or --wins {names}",
            side.escape_debug()
        ))),
    }
}
