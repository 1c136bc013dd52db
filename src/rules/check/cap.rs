//! Owns: the checks of `read.page_cap`: whether a listing that ends too early can go on as the rules say.
//!
//! Must not know: how paging and incremental reading are checked otherwise.

use super::context::Cx;
use super::read::absence_needs_get;
use crate::record::Path;
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar::{self, CapSplitWord, Incremental};
use crate::rules::model::{CapSplit, ItemAt, ListAt, PageCap};
use crate::rules::shape::{At, Key};

/// The greatest cap: more results are never in one listing that is split.
const RESULTS_MAX: u64 = 100_000_000;

/// Checks how a capped listing goes on; `None` after an error.
#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
pub fn lower(read: &At<grammar::Read>, raw: &grammar::Binding, cx: &mut Cx<'_>) -> Option<Option<PageCap>> {
    let at = match &read.page_cap {
        Key::Absent => return Some(None),
        Key::Bad => return None,
        Key::Given(at) => at,
    };
    let cap = &at.value;
    let before = cx.notes.count();
    let results = cap.results.get().map_or(0, |at| at.value);
    if let Some(at) = cap.results.get().filter(|at| !(1..=RESULTS_MAX).contains(&at.value)) {
        let words = format!("`results` is between 1 and {RESULTS_MAX}, not {}", at.value);
        cx.notes.error(DiagnosticKind::Invalid, at.span, words).help("e.g. results = 10_000");
    }
    if let Some(incremental) = read.incremental.get()
        && let Incremental::Token(_) | Incremental::Conditional(_) = incremental.value
    {
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                at.key,
                "`page_cap` cannot be used here: an answer says of a whole listing what comes next",
            )
            .help("leave out `page_cap`, or use incremental = { kind = \"since\", … }")
            .second(incremental.key, "of a whole listing");
    }
    let split = match &cap.split {
        Key::Bad => return None,
        Key::Absent => {
            needless(cap, "nothing is split: `split` is missing", cx);
            None
        }
        Key::Given(split) => match split.value {
            CapSplitWord::Time => {
                needless(cap, "the listing is split by time", cx);
                check_time(read, split, cx);
                Some(CapSplit::Time)
            }
            CapSplitWord::Key => Some(key(cap, raw, at, cx)?),
        },
    };
    (cx.notes.count() == before).then_some(Some(PageCap { results, split }))
}

/// A cap counts the items of one array; where these hold others, nobody knows how many records that are.
pub fn check_nested(read: &At<grammar::Read>, records: Option<&ListAt>, cx: &mut Cx<'_>) {
    let nested = records.is_some_and(|records| matches!(records.item, ItemAt::List(_)));
    if let (Some(cap), Some(records), true) = (read.page_cap.get(), read.records.get(), nested) {
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                cap.key,
                "`page_cap` counts results, and records of nested arrays are not what it counts",
            )
            .help("leave it out, or list them where they stand in one array")
            .second(records.span, "nested arrays");
    }
}

fn needless(cap: &grammar::PageCap, why: &str, cx: &mut Cx<'_>) {
    let keys = [(cap.key.get().map(|at| at.key), "key"), (cap.into.get().map(|at| at.key), "into")];
    for (span, name) in keys.into_iter().filter_map(|(span, name)| Some((span?, name))) {
        cx.notes.inert(span, name, why).help("write split = \"key\", or leave it out");
    }
}

/// The next slice begins as an incremental listing does: at the last `updated_at`, that included.
fn check_time(read: &At<grammar::Read>, split: &At<CapSplitWord>, cx: &mut Cx<'_>) {
    let since = read.incremental.get().filter(|at| match &at.value {
        Incremental::Since(since) => since.from.is_absent(),
        Incremental::None(_) | Incremental::Conditional(_) | Incremental::Token(_) | Incremental::EventFeed(_) => false,
    });
    let help = "write incremental = { kind = \"since\", into = \"query.updated_since\" }, or split = \"key\"";
    let Some(since) = since else {
        if !matches!(read.incremental, Key::Bad) {
            cx.notes
                .error(
                    DiagnosticKind::Missing,
                    split.span,
                    "a listing that is split by time goes on by `since` from `updated_at`, and there is none",
                )
                .help(help);
        }
        return;
    };
    if let Incremental::Since(raw) = &since.value
        && let Some(into) = raw.into.get().filter(|into| into.value.0.starts_with("header."))
    {
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                split.span,
                "a listing cannot be split by a time in a header, which is a condition of the whole",
            )
            .help("write split = \"key\"")
            .second(into.span, "the header");
    }
    let words = "absence from a listing that is split by time proves nothing: records without a time are in its first part only";
    absence_needs_get(read, words, (split.span, "split by time"), cx);
}

fn key(cap: &grammar::PageCap, raw: &grammar::Binding, at: &At<grammar::PageCap>, cx: &mut Cx<'_>) -> Option<CapSplit> {
    let into = cap.into.get().map(|at| cx.place(at, &["query", "header", "body"]));
    if cap.into.is_absent() {
        cx.notes
            .error(DiagnosticKind::Missing, at.key, "a listing that is split by key needs `into`")
            .help("write into = \"query.after_id\": where the last key goes");
    }
    let key = match &cap.key {
        Key::Bad => None,
        Key::Given(at) => cx.path(at),
        Key::Absent => {
            let id = raw.id.get().and_then(|at| Path::parse(at.value.0.trim()));
            if id.is_none() && !raw.id.is_absent() {
                cx.notes
                    .error(
                        DiagnosticKind::Missing,
                        at.key,
                        "a listing that is split by key needs `key`: the binding's `id` is no plain path",
                    )
                    .help("write key = \".id\"");
            }
            id
        }
    };
    Some(CapSplit::Key { key: key?, into: into?? })
}
