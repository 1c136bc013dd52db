//! Owns: what goes over the control socket, on both sides of it.
//!
//! Must not know: who serves it, who asks.
//!
//! Version 1: `GET /v1/standing`, `GET /v1/status` (answered by [`Known`](crate::ops::Known)), `POST /v1/sync` and `POST /v1/plan` (answered by one [`Line`] of JSON after the other,
//! and an empty line every few seconds while there is nothing to say), `POST /v1/pause/NAME`,
//! `POST /v1/resume/NAME`, `POST /v1/approve` (answered by [`Approved`](crate::ops::Approved)), `POST /v1/reject`
//! (answered by [`Rejected`]), `POST /v1/resolve` (answered by [`Resolved`](crate::ops::Resolved)), `POST /v1/undo` (asked by
//! [`UndoRequest`](crate::ops::UndoRequest), answered by [`Undone`](crate::ops::Undone)). What is refused answers 4xx with a [`Refusal`].
//!
//! No line is longer than [`LINE_BYTES_MAX`]: the changes of a report come before it in lines of their own, and what is longer
//! all the same comes in parts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ops::Choice;
use crate::reconcile::{Change, PassReport};

/// What every path begins with; another version of what goes over the socket has another one.
pub const VERSION_PATH: &str = "/v1";

/// The longest line, in bytes, its end included.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Changes are gathered in a line until they are so long, in bytes.
const CHANGES_BYTES: usize = 64 << 10;
/// Of a line that is too long so much goes in a part, in bytes. Quotes and backslashes become twice as long there.
const PART_BYTES: usize = 256 << 10;

/// Asks for passes now.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// Of these collections; of all where none is named.
    #[serde(default)]
    pub collections: Vec<String>,
    /// Complete generations are read.
    #[serde(default)]
    pub full: bool,
}

/// Asks for passes that make a saved plan, or change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// The hash of the rules that it was made by; a daemon that goes by others answers 412.
    pub rules: String,
    /// Complete generations are read.
    pub full: bool,
    /// The fingerprint of each collection's plan.
    pub plans: BTreeMap<String, String>,
}

/// Asks for a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Of these collections; of all where none is named.
    #[serde(default)]
    pub collections: Vec<String>,
    /// Complete generations are read.
    #[serde(default)]
    pub full: bool,
    /// Every change is listed.
    #[serde(default)]
    pub all: bool,
    /// It is to be by the rules of this folder, and by no other; a daemon that goes by others answers 412.
    #[serde(default)]
    pub rules_dir: Option<PathBuf>,
}

/// Rejects a halt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectRequest {
    /// The halt's number.
    pub halt: i64,
}

/// A halt that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its collection, which rests now.
    pub collection: String,
}

/// Approves a halt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// The halt's number.
    pub halt: i64,
    /// Where an upstream was set back: the side that counts.
    #[serde(default)]
    pub wins: Option<String>,
}

/// Decides a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// The conflict's number.
    pub conflict: i64,
    /// What a person says.
    pub choice: Choice,
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Passes of these are made.
    Accepted(Vec<String>),
    /// Something that people should know.
    Note(String),
    /// A pass is at something else.
    Step {
        /// Of this collection.
        collection: String,
        /// For people.
        text: String,
    },
    /// Changes of the next report of this answer, in their order.
    Changes(Vec<Change>),
    /// A pass ended. The changes that came before it stand before its own.
    Report(Box<PassReport>),
    /// A pass ended without a report.
    Failed {
        /// Of this collection.
        collection: String,
        /// Why.
        error: String,
    },
    /// A piece of a line that is too long.
    Part {
        /// Some of its text.
        text: String,
        /// It goes on.
        more: bool,
    },
}

impl Line {
    /// The text that goes over the socket: one line, or as many parts as it takes.
    pub fn text(&self) -> Vec<u8> {
        let text = serde_json::to_string(self).unwrap_or_default();
        if text.len() < LINE_BYTES_MAX {
            let mut line = text.into_bytes();
            line.push(b'\n');
            return line;
        }
        let (mut lines, mut rest) = (Vec::new(), text.as_str());
        while !rest.is_empty() {
            let (text, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
            let part = Self::Part { text: text.to_owned(), more: !after.is_empty() };
            lines.extend(serde_json::to_vec(&part).unwrap_or_default());
            lines.push(b'\n');
            rest = after;
        }
        lines
    }

    /// A report as it is told: its changes, then the rest of it.
    pub fn of_report(mut report: PassReport) -> impl Iterator<Item = Self> {
        let mut changes = std::mem::take(&mut report.changes).into_iter().peekable();
        let mut report = Some(Box::new(report));
        std::iter::from_fn(move || {
            if changes.peek().is_none() {
                return report.take().map(Self::Report);
            }
            let (mut some, mut bytes) = (Vec::new(), 0);
            while bytes < CHANGES_BYTES
                && let Some(change) = changes.next()
            {
                bytes += serde_json::to_vec(&change).map_or(0, |text| text.len());
                some.push(change);
            }
            Some(Self::Changes(some))
        })
    }
}

/// Puts together again what [`Line::of_report`] and [`Line::text`] took apart.
#[derive(Debug, Default)]
pub struct Gathered {
    parts: String,
    changes: Vec<Change>,
}

impl Gathered {
    /// The line that this one is, or ends; `None` where more of it is to come.
    pub fn line(&mut self, text: &[u8]) -> serde_json::Result<Option<Line>> {
        let line = match serde_json::from_slice(text)? {
            Line::Part { text, more } => {
                self.parts.push_str(&text);
                if more {
                    return Ok(None);
                }
                serde_json::from_str(&std::mem::take(&mut self.parts))?
            }
            line => line,
        };
        Ok(match line {
            Line::Changes(changes) => {
                self.changes.extend(changes);
                None
            }
            Line::Report(mut report) => {
                self.changes.append(&mut report.changes);
                report.changes = std::mem::take(&mut self.changes);
                Some(Line::Report(report))
            }
            line => Some(line),
        })
    }
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For people, with the remedy.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(record: &str, before: &str) -> Change {
        let field = serde_json::json!({ "field": "notes", "before": format!("{before:?}"), "after": null, "rule": "one_side", "winner": null });
        let change = serde_json::json!({
            "collection": "contacts", "record": record, "title": record, "target": "crm", "action": "update", "fields": [field],
            "request": null, "rule": null, "atomic": true, "note": null, "conflict": null,
        });
        serde_json::from_value(change).unwrap()
    }

    /// What arrives of a report, and how long the longest line of it is.
    fn told(report: &PassReport) -> (PassReport, usize) {
        let (mut gathered, mut longest, mut arrived) = (Gathered::default(), 0, None);
        for line in Line::of_report(report.clone()) {
            for line in line.text().split_inclusive(|byte| *byte == b'\n') {
                longest = longest.max(line.len());
                assert!(arrived.is_none(), "the report comes last");
                arrived = gathered.line(line).unwrap();
            }
        }
        let Some(Line::Report(arrived)) = arrived else { panic!("{arrived:?}") };
        (*arrived, longest)
    }

    #[test]
    fn a_report_arrives_as_it_was_however_long_and_no_line_is_long() {
        let short = || change("r", "x");
        // As bad as it gets: a quote within a JSON text within a JSON text within a part.
        let quotes = "\"".repeat(1 << 20);
        let cases = [
            ("nothing", Vec::new()),
            ("one", vec![short()]),
            ("many", (0..2_000).map(|at| change(&format!("r{at}"), "some text")).collect()),
            ("a long one", vec![short(), change("long", &"ä".repeat(1 << 20)), short()]),
            ("a bad one", vec![short(), change("bad", &quotes), change("worse", &quotes)]),
        ];
        for (what, changes) in cases {
            let report = PassReport { collection: "contacts".to_owned(), changes, ..PassReport::default() };
            let (arrived, longest) = told(&report);
            assert!(arrived == report, "{what}");
            assert!(longest <= LINE_BYTES_MAX, "{what}: {longest}");
        }
    }

    #[test]
    fn reports_of_one_answer_keep_their_own_changes() {
        let mut gathered = Gathered::default();
        for name in ["a", "b"] {
            let report =
                PassReport { collection: name.to_owned(), changes: vec![change(name, "x")], ..PassReport::default() };
            let lines: Vec<Line> =
                Line::of_report(report.clone()).filter_map(|line| gathered.line(&line.text()).unwrap()).collect();
            assert_eq!(lines, [Line::Report(Box::new(report))]);
        }
        assert!(gathered.line(b"{\"of\": \"tomorrow\"}\n").is_err());
    }
}
