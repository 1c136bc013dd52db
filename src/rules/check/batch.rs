//! Owns: the checks of `[binding.….write.batch]`.
//!
//! Must not know: how batches are cut and settled.

use super::binding::{Place as Where, transpose};
use super::context::Cx;
use super::job;
use super::request::{self, BATCH};
use super::upstream::within;
use crate::record::Path;
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar::{self, ByWord, OnRejectAll, Op};
use crate::rules::model::{Batch, BatchResult, Place, Precondition, ResultBy, ResultsAt};
use crate::rules::shape::{At, Either, Key, OneOrMany};
use crate::rules::units::Jq;

/// Bytes per request by default.
const BYTES_MAX: u64 = 1_000_000;

/// Checks all batches of a binding.
pub fn lower(
    place: &Where<'_>,
    key: &Key<OneOrMany<grammar::Batch>>,
    write: &grammar::Write,
    cx: &mut Cx<'_>,
) -> Option<Vec<Batch>> {
    let Some(all) = key.get() else { return key.is_absent().then(Vec::new) };
    let batches: Vec<Option<Batch>> = all.items.iter().map(|at| one(place, at, write, cx)).collect();
    let mut taken: Vec<&At<Op>> = Vec::new();
    for at in &all.items {
        let ops = at.ops.get().map(|ops| ops.iter().collect::<Vec<_>>()).unwrap_or_default();
        for op in &ops {
            if let Some(first) = taken.iter().find(|other| other.value == op.value) {
                cx.notes
                    .error(DiagnosticKind::Duplicate, op.span, "another batch sends these already")
                    .second(first.span, "first here");
            }
        }
        taken.extend(ops);
    }
    batches.into_iter().collect()
}

fn one(place: &Where<'_>, at: &At<grammar::Batch>, write: &grammar::Write, cx: &mut Cx<'_>) -> Option<Batch> {
    let request = at.request.get().and_then(|at| request::lower(at, BATCH, cx));
    check_ops(place, at, write, cx);
    let has = |op: Op| at.ops.get().is_some_and(|ops| ops.iter().any(|item| item.value == op));
    let items = at.items.get().and_then(|at| items_path(at, cx));
    let item = transpose(at.item.get().map(|at| cx.filter(at, &[])));
    let item_name = transpose(at.item_name.get().map(|at| cx.filter(at, &[])));
    let items_max = within(&at.max_items, 100, 1..=10_000, "max_items", cx);
    let result = at.result.get().and_then(|at| result(at, cx));
    let job = transpose(at.job.get().map(|at| job::lower(at, cx)));
    check_key(at, write, cx);
    at.ops.get()?;
    Some(Batch {
        request: request?,
        create: has(Op::Create),
        update: has(Op::Update),
        delete: has(Op::Delete),
        items: items?,
        item: item?,
        item_name: item_name?,
        items_max: usize::try_from(items_max).unwrap_or(100),
        bytes_max: at.max_bytes.get().map_or(BYTES_MAX, |at| at.value.0),
        result: result?,
        bisect: at.on_reject_all.or(OnRejectAll::Bisect) == OnRejectAll::Bisect,
        job: job?,
    })
}

/// What a job makes is found again by what it says: a header of a single request is in no batch, and a job may end long after
/// its answer was lost.
fn check_key(at: &At<grammar::Batch>, write: &grammar::Write, cx: &mut Cx<'_>) {
    let creates = at.ops.get().is_some_and(|ops| ops.iter().any(|op| op.value == Op::Create));
    let idempotency = write.create.get().and_then(|create| create.idempotency.get());
    let Some((job, create)) = at.job.get().zip(write.create.get()).filter(|_| creates) else { return };
    // An item that carries the operation's id may be known by it as a single request is.
    let says = |name: &str| at.item.get().is_some_and(|item| item.value.0.contains(name));
    let by_header = idempotency.is_some_and(|at| {
        let (header, query) = (!at.header.is_absent(), !at.query.is_absent());
        !says("key") && (query || header && !says("headers"))
    });
    if create.idempotency.is_absent() || by_header {
        let why = if by_header { "no item of the batch carries that key" } else { "`idempotency` is missing" };
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                idempotency.map_or(create.key, |at| at.span),
                format!("nothing would find again what a job makes after its answer was lost: {why}"),
            )
            .help("write idempotency = { field = \".externalId\" } or { match = \"email\" }")
            .second(job.key, "creates go by a job");
    }
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
            Op::Delete => ("delete", write.delete_table().is_none() && !matches!(write.delete, Key::Bad)),
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
/// The items of an array, or what a filter makes of the answer, as where failures stand apart from what was done.
fn results_at(at: &At<Jq>, cx: &mut Cx<'_>) -> Option<ResultsAt> {
    let text = at.value.0.trim();
    if text.ends_with("[]") || Path::parse(text).is_some() {
        return cx.array_path(at).map(ResultsAt::Array);
    }
    cx.filter(at, &[]).map(ResultsAt::Filter)
}

fn items_path(at: &At<Jq>, cx: &mut Cx<'_>) -> Option<Path> {
    if at.value.0.trim().ends_with("[]") { cx.array_path(at) } else { cx.path(at) }
}

fn result(at: &At<grammar::BatchResult>, cx: &mut Cx<'_>) -> Option<BatchResult> {
    let items = at.items.get().and_then(|at| results_at(at, cx));
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
        Either::Table(table) => match (table.request_id.get(), table.index.get()) {
            (Some(at), None) => cx.path(at).map(ResultBy::RequestId),
            (None, Some(at)) => cx.path(at).map(ResultBy::IndexAt),
            _ => {
                cx.notes
                    .error(DiagnosticKind::Conflict, by.span, "exactly one of `request_id` and `index` is wanted")
                    .help("write by = { request_id = \".id\" } or by = { index = \".index\" }");
                None
            }
        },
    });
    let status = transpose(at.status.get().map(|at| cx.lens(at)));
    let mut path = |key: &Key<Jq>| transpose(key.get().map(|at| cx.path(at)));
    let (id, version, error, record) = (path(&at.id), path(&at.version), path(&at.error), path(&at.record));
    let retry_after = path(&at.retry_after);
    if let Some(waits) = at.retry_after.get().filter(|_| at.status.is_absent()) {
        cx.notes
            .inert(waits.key, "retry_after", "no result says 429 without `status`")
            .help("write status = \".status\", or leave it out");
    }
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
        retry_after: retry_after?,
    })
}
