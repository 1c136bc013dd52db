//! Owns: halts as they are told, and their approval.
//!
//! Must not know: guards; how a halt is shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::reconcile::{HaltedPlan, SET_BACK, choice_note, halted_plan, is_restored};
use crate::store::{HaltRow, Micros, Store, StoreError, View, read, write};

use super::error::OpsError;
use super::text::{raw, rfc3339};

/// A halt.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
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

/// A halt with what would be done.
#[derive(Debug, JsonSchema, Serialize)]
pub struct HaltView {
    /// The halt.
    #[serde(flatten)]
    pub halt: Halt,
    /// The plan that an approval lets through; absent where none was kept.
    pub plan: Option<HaltedPlan>,
}

/// The open halt of this number.
pub fn open_halt(view: &dyn View, id: i64) -> Result<Option<HaltView>, StoreError> {
    let rows = view.halts(None, true)?;
    let Some(row) = rows.iter().find(|row| row.id == id) else { return Ok(None) };
    Ok(Some(HaltView { halt: Halt::from(row), plan: halted_plan(view, row)? }))
}

/// A halt that was approved.
#[derive(Debug, Serialize, Deserialize)]
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
        return Err(no_such(id));
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

/// Takes an approval back, if there was one: the plan of this halt is not wanted. Its collection, which ought to rest now.
pub async fn reject(store: &dyn Store, id: i64) -> Result<String, OpsError> {
    let rejected = write(store, move |tx| {
        let rows = tx.halts(None, true)?;
        let Some(row) = rows.into_iter().find(|row| row.id == id) else { return Ok(None) };
        for name in set_back(&row) {
            tx.set_note(&choice_note(&row.collection, &name), "null")?;
        }
        let row = HaltRow { approved_at: None, ..row };
        tx.put_halt(&row)?;
        Ok(Some(row.collection))
    });
    rejected.await?.ok_or_else(|| no_such(id))
}

fn no_such(id: i64) -> OpsError {
    OpsError::NotFound(format!("no halt {id} waits for approval"))
}

/// The upstreams that were set back.
fn set_back(row: &HaltRow) -> Vec<String> {
    let list: Vec<Value> = serde_json::from_str(&row.halts).unwrap_or_default();
    let upstream = |one: &Value| one["target"]["upstream"].as_str().map(str::to_owned);
    list.iter().filter(|one| one["what"] == SET_BACK).filter_map(upstream).collect()
}

/// What a person says about upstreams that were set back, by note; a mistake where that is missing or makes no sense.
fn choices(row: &HaltRow, wins: Option<&str>) -> Result<Vec<(String, String)>, OpsError> {
    let back = set_back(row);
    let names = back.join(" or ");
    match wins {
        None if back.is_empty() => Ok(Vec::new()),
        None => Err(OpsError::Refused(format!(
            "{} was set back: say which side wins, local (what is here goes there again) or {names} (what is there is taken \
             for edits)",
            back.join(", ")
        ))),
        Some(_) if back.is_empty() => Err(OpsError::Refused(
            "no upstream was set back: this halt is about something else, and no side of it wins".to_owned(),
        )),
        Some(side) if side == "local" || back.iter().any(|name| name == side) => {
            let chosen = back.iter().map(|name| (choice_note(&row.collection, name), side.to_owned()));
            Ok(chosen.collect())
        }
        Some(side) => {
            Err(OpsError::Refused(format!("{} is no side of this halt: local or {names} wins", side.escape_debug())))
        }
    }
}
