//! Owns: what a pass's report says, in words that two passes can be compared by, and whether it is one of a world at rest.
//!
//! Must not know: the world.

use std::collections::BTreeMap;

use crate::reconcile::{Change, Outcome, PassReport};

use super::kin::PARENT;

/// The remote writes of a pass, in words that do not depend on the ids of new records.
pub fn writes(report: &PassReport) -> Vec<String> {
    let remote =
        report.changes.iter().filter(|change| matches!(change.action.as_str(), "create" | "update" | "delete"));
    let mut told: Vec<String> = remote
        .filter(|change| change.target != "local")
        .map(|change| {
            let values: Vec<String> = values(change).map(|(field, value)| format!("{field}={value}")).collect();
            format!("{} {} {}", change.action, change.target, values.join(" "))
        })
        .collect();
    told.sort();
    told
}

/// All that a pass changes: beside its writes, each value that it leaves here, whichever side made the row and whichever added to
/// it. What one stranger brought and another one of the same record replaced is a step on the way, which depends on the order.
pub fn changes(report: &PassReport) -> Vec<String> {
    let here = report.changes.iter().filter(|change| change.target == "local");
    let (mut left, mut told) = (BTreeMap::new(), Vec::new());
    for change in here {
        match change.action.as_str() {
            "create" | "update" => left.extend(values(change).map(|(field, value)| ((&change.record, field), value))),
            "delete" => told.push("deleted".to_owned()),
            _ => {}
        }
    }
    told.extend(left.into_iter().map(|((_, field), value)| format!("{field}={value}")));
    told.sort();
    [told, writes(report)].concat()
}

/// The values of a change by field. Who refers to whom depends on ids.
fn values(change: &Change) -> impl Iterator<Item = (&str, String)> {
    let after = |field: &str, after| if field == PARENT { String::new() } else { format!("{after:?}") };
    change.fields.iter().map(move |one| (one.field.as_str(), after(&one.field, &one.after)))
}

/// Nothing was written anywhere, and nothing is left to be done or decided, but for so many conflicts. Records may be set aside: a value that an
/// upstream spells as it had it before looks as if it was not taken, and is named.
pub fn is_quiet(report: &PassReport, left_open: u64) -> bool {
    let settled = match report.outcome {
        Outcome::Ok => true,
        Outcome::Conflicts => report.conflicts_open <= left_open,
        Outcome::Failed | Outcome::Halted | Outcome::Unavailable | Outcome::Pending => false,
    };
    settled && report.remote_writes() == 0 && report.local.total() == 0
}
