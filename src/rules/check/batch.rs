//! Owns: the checks of `[binding.….write.batch]`.
//!
//! Must not know: how batches are cut and settled.

use super::binding::{Place as Where, transpose};
use super::context::Cx;
use super::request::{self, BATCH};
use super::upstream::within;
use crate::record::Path;
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar::{self, ByWord, OnRejectAll, Op};
use crate::rules::model::{Batch, BatchResult, Place, Precondition, ResultBy};
use crate::rules::shape::{At, Either};
use crate::rules::units::Jq;

/// Bytes per request by default.
const BYTES_MAX: u64 = 1_000_000;

/// Checks batches.
pub fn lower(place: &Where<'_>, at: &At<grammar::Batch>, write: &grammar::Write, cx: &mut Cx<'_>) -> Option<Batch> {
    let request = at.request.get().and_then(|at| request::lower(at, BATCH, cx));
    check_ops(place, at, write, cx);
    let has = |op: Op| at.ops.get().is_some_and(|ops| ops.iter().any(|item| item.value == op));
    let items = at.items.get().and_then(|at| items_path(at, cx));
    let item = transpose(at.item.get().map(|at| cx.filter(at, &[])));
    let items_max = within(&at.max_items, 100, 1..=10_000, "max_items", cx);
    let result = at.result.get().and_then(|at| result(at, cx));
    at.ops.get()?;
    Some(Batch {
        request: request?,
        create: has(Op::Create),
        update: has(Op::Update),
        delete: has(Op::Delete),
        items: items?,
        item: item?,
        items_max: usize::try_from(items_max).unwrap_or(100),
        bytes_max: at.max_bytes.get().map_or(BYTES_MAX, |at| at.value.0),
        result: result?,
        bisect: at.on_reject_all.or(OnRejectAll::Bisect) == OnRejectAll::Bisect,
    })
}

/// Each operation also has its own request: it says what makes the write safe, and serves single items.
fn check_ops(place: &Where<'_>, at: &At<grammar::Batch>, write: &grammar::Write, cx: &mut Cx<'_>) {
    let Some(ops) = at.ops.get() else { return };
    if ops.is_empty() {
        cx.notes.inert(ops.key, "ops", "it is empty").help("write ops = [\"create\", \"update\"]");
    }
    for (position, item) in ops.iter().enumerate() {
        let (name, absent) = match item.value {
            Op::Create => ("create", write.create.is_absent()),
            Op::Update => ("update", write.update.is_absent()),
            Op::Delete => ("delete", write.delete.is_absent()),
        };
        if absent {
            cx.notes.error(DiagnosticKind::Missing, item.span, format!("there is no `write.{name}`")).help(format!(
                "write [binding.{}.{}.write.{name}] too: it says what makes a single {name} safe",
                place.collection, place.upstream
            ));
        }
        if let Some(first) = ops[..position].iter().find(|other| other.value == item.value) {
            cx.notes
                .error(DiagnosticKind::Duplicate, item.span, format!("\"{name}\" is listed twice"))
                .second(first.span, "first here");
        }
    }
}

/// A version that stands in a header or in the query is lost in a batch whose items do not say it: such writes would go
/// one by one, whatever `ops` says.
pub fn check_versions(at: &At<grammar::Batch>, batch: &Batch, preconditions: &[(Op, &Precondition)], cx: &mut Cx<'_>) {
    let Some(ops) = at.ops.get().filter(|_| !batch.items_say_version()) else { return };
    for item in ops.iter() {
        let lost = preconditions.iter().any(|(op, precondition)| {
            let place = match precondition {
                Precondition::Version { place, .. } => place,
                Precondition::Reread | Precondition::None => return false,
            };
            *op == item.value && matches!(place, Place::Header(_) | Place::Query(_))
        });
        if lost {
            let why = "the precondition stands outside of the body, and an item does not say the version";
            cx.notes
                .inert(item.span, "ops", why)
                .help("write item = '.body + {etag: .version}', or leave it out of ops");
        }
    }
}

/// `.inputs`, also written `.inputs[]`.
fn items_path(at: &At<Jq>, cx: &mut Cx<'_>) -> Option<Path> {
    if at.value.0.trim().ends_with("[]") { cx.array_path(at) } else { cx.path(at) }
}

fn result(at: &At<grammar::BatchResult>, cx: &mut Cx<'_>) -> Option<BatchResult> {
    let items = at.items.get().and_then(|at| cx.array_path(at));
    let by = at.by.get().and_then(|by| match &by.value {
        Either::Short(ByWord::Index) => Some(ResultBy::Index),
        Either::Short(ByWord::Id) => {
            if at.id.is_absent() {
                cx.notes
                    .error(DiagnosticKind::Missing, by.span, "by = \"id\" needs the path of the id")
                    .help("write id = \".id\"");
                return None;
            }
            Some(ResultBy::Id)
        }
        Either::Short(ByWord::RequestId) => Path::parse(".request_id").map(ResultBy::RequestId),
        Either::Table(table) => cx.path(table.request_id.get()?).map(ResultBy::RequestId),
    });
    let mut path = |key: &crate::rules::shape::Key<Jq>| transpose(key.get().map(|at| cx.path(at)));
    let (id, version, status, error, record) =
        (path(&at.id), path(&at.version), path(&at.status), path(&at.error), path(&at.record));
    if at.status.is_absent() && at.error.is_absent() {
        cx.notes
            .error(DiagnosticKind::Missing, at.key, "nothing tells a failed item from a good one")
            .help("write error = \".error.message\" or status = \".status\"");
    }
    Some(BatchResult {
        items: items?,
        by: by?,
        id: id?,
        version: version?,
        status: status?,
        error: error?,
        record: record?,
    })
}
