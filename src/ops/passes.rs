//! Owns: passes as people look at them: what each counted, how long it took and where that time went.
//!
//! Must not know: how passes are made; how they are shown.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::reconcile::{Phase, PhaseKind, phases_of};
use crate::store::{PassFilter, PassRow, StoreError, View};

use super::page::{cut_page, with_one_more};
use super::text::{raw, rfc3339};

/// How passes end, as filters name it.
pub const OUTCOMES: [&str; 7] = ["ok", "pending", "conflicts", "halted", "unavailable", "failed", "interrupted"];

/// A pass.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Pass {
    /// Its number.
    pub id: i64,
    /// The collection.
    pub collection: String,
    /// `schedule`, `signal`, `request`, `edit`, …
    pub trigger: String,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339; absent while it runs, or where it was killed.
    pub ended_at: Option<String>,
    /// How long it took, in milliseconds; absent while it runs, or where it was killed.
    pub took_ms: Option<u64>,
    /// How it ended; `running` while it runs.
    pub outcome: String,
    /// What went wrong.
    pub error: Option<String>,
    /// Rows that it created, updated and deleted here.
    pub written_here: u64,
    /// What it read and wrote at each upstream.
    pub upstreams: Vec<PassPart>,
    /// Conflicts that it opened; absent where that was not kept.
    pub conflicts_opened: Option<u64>,
    /// All that it counted.
    pub counts: Option<Box<RawValue>>,
}

/// What a pass did at one upstream.
#[derive(Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct PassPart {
    /// The upstream.
    pub upstream: String,
    /// Records read.
    pub read: u64,
    /// Of these, new or changed.
    pub changed: u64,
    /// Writes that were acknowledged.
    pub written: u64,
    /// Writes that were refused for good.
    pub refused: u64,
    /// Writes that are left for a later pass, those of unknown outcome among them.
    pub left: u64,
    /// Why the upstream could not be read or written.
    pub error: Option<String>,
}

/// A page of passes.
#[derive(Debug, JsonSchema, Serialize)]
pub struct PassPage {
    /// The passes, the newest first.
    pub passes: Vec<Pass>,
    /// `after` of the next page; absent on the last one.
    pub next: Option<i64>,
}

/// Looks up a page.
pub fn list_passes(view: &dyn View, filter: &PassFilter) -> Result<PassPage, StoreError> {
    let more = PassFilter { limit: with_one_more(filter.limit), ..filter.clone() };
    let mut rows = view.list_passes(&more)?;
    let next = cut_page(&mut rows, filter.limit).map(|row| row.id);
    Ok(PassPage { passes: rows.iter().map(Pass::from).collect(), next })
}

/// When the phases of a pass began and how long they took; none where that is no longer known.
pub fn phases(view: &dyn View, pass: i64) -> Result<Vec<Phase>, StoreError> {
    Ok(phases_of(view.phases(pass)?.as_deref()))
}

/// A phase as people say it.
pub fn phase_words(phase: &Phase) -> String {
    match (phase.kind, &phase.upstream) {
        (PhaseKind::Check, _) => "begin: accounts, writes of unknown outcome".to_owned(),
        (PhaseKind::Read, Some(upstream)) => format!("read {upstream}"),
        (PhaseKind::Read, None) => "read single records".to_owned(),
        (PhaseKind::Compare, _) => "look for what is older or missing".to_owned(),
        (PhaseKind::Decide, _) => "decide".to_owned(),
        (PhaseKind::Commit, _) => "commit".to_owned(),
        (PhaseKind::Push, Some(upstream)) => format!("push to {upstream}"),
        (PhaseKind::Push, None) => "push".to_owned(),
    }
}

impl From<&PassRow> for Pass {
    fn from(row: &PassRow) -> Self {
        let counts: Value = serde_json::from_str(&row.counts).unwrap_or_default();
        let upstreams = counts["upstreams"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            id: row.id,
            collection: row.collection.clone(),
            trigger: row.trigger.clone(),
            started_at: rfc3339(row.started_at),
            ended_at: row.ended_at.and_then(rfc3339),
            took_ms: took_ms(row),
            outcome: row.outcome.clone(),
            error: row.error.clone(),
            written_here: three(&counts["local"]),
            upstreams: upstreams.iter().map(PassPart::of).collect(),
            conflicts_opened: counts["conflicts_opened"].as_u64(),
            counts: raw(&row.counts),
        }
    }
}

impl Pass {
    /// Records written, here and at upstreams.
    pub fn written(&self) -> u64 {
        self.written_here + self.upstreams.iter().map(|one| one.written).sum::<u64>()
    }
}

impl PassPart {
    fn of(counts: &Value) -> Self {
        let number = |name: &str| counts[name].as_u64().unwrap_or_default();
        Self {
            upstream: counts["upstream"].as_str().unwrap_or_default().to_owned(),
            read: number("listed"),
            changed: number("listed").saturating_sub(number("unchanged")),
            written: three(&counts["written"]),
            refused: number("refused"),
            left: number("deferred") + number("unknown"),
            error: counts["error"].as_str().map(str::to_owned),
        }
    }
}

fn three(of: &Value) -> u64 {
    ["created", "updated", "deleted"].iter().filter_map(|name| of[name].as_u64()).sum()
}

/// A wall clock that was set back meanwhile makes it nothing.
fn took_ms(row: &PassRow) -> Option<u64> {
    Some(u64::try_from((row.ended_at? - row.started_at) / 1000).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_told_by_what_it_left_behind() {
        let row = |ended_at: Option<i64>, counts: &str| PassRow {
            id: 7,
            started_at: 1_000_000,
            ended_at,
            outcome: "ok".to_owned(),
            counts: counts.to_owned(),
            ..PassRow::default()
        };
        let counts = r#"{"local":{"created":1,"updated":2,"deleted":0},"conflicts_opened":4,"upstreams":[{"upstream":"crm",
            "listed":9,"unchanged":6,"written":{"created":0,"updated":3,"deleted":4},"planned":{"created":9},"refused":1,
            "deferred":2,"unknown":3}]}"#;
        let pass = Pass::from(&row(Some(2_500_000), counts));
        let part =
            PassPart { upstream: "crm".to_owned(), read: 9, changed: 3, written: 7, refused: 1, left: 5, error: None };
        assert_eq!(pass.upstreams, [part]);
        assert_eq!((pass.took_ms, pass.written_here, pass.written()), (Some(1_500), 3, 10));
        assert_eq!(pass.conflicts_opened, Some(4));
        let bare = Pass::from(&row(Some(0), "{}"));
        assert_eq!((bare.took_ms, bare.written(), bare.conflicts_opened), (Some(0), 0, None));
        assert_eq!(Pass::from(&row(None, "{}")).took_ms, None);
    }
}
