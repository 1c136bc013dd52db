//! Owns: the checks of `read.format`: what an answer is, and what cannot be looked for in it.
//!
//! Must not know: how paging and incremental reading are checked otherwise.

use super::context::Cx;
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, EmptyField, Incremental, Page, PathOrHeader};
use crate::rules::model::{BodyFormat, CsvFormat};
use crate::rules::shape::{At, Either, Key};
use crate::rules::units::Text;

/// Checks what an answer of the listing is; `None` after an error.
pub fn lower(at: &At<grammar::Read>, cx: &mut Cx<'_>) -> Option<BodyFormat> {
    let format = match &at.format {
        Key::Absent => return Some(BodyFormat::Json),
        Key::Bad => return None,
        Key::Given(format) => format,
    };
    let (lowered, word) = match &format.value {
        grammar::BodyFormat::Json(_) => return Some(BodyFormat::Json),
        grammar::BodyFormat::Ndjson(_) => (Some(BodyFormat::Ndjson), "ndjson"),
        grammar::BodyFormat::Csv(raw) => {
            let delimiter = match &raw.delimiter {
                Key::Absent => Some(b','),
                Key::Bad => None,
                Key::Given(at) => delimiter(at, cx),
            };
            let empty_is_null = raw.empty.or(EmptyField::Text) == EmptyField::Null;
            (delimiter.map(|delimiter| BodyFormat::Csv(CsvFormat { delimiter, empty_is_null })), "csv")
        }
    };
    if let Some(records) = at.records.get() {
        cx.notes
            .inert(records.key, "records", format!("every line of {word} is a record"))
            .help("leave it out")
            .second(format.key, "so the answer is read");
    }
    check_places(at, format.key, word, cx);
    lowered
}

fn delimiter(at: &At<Text>, cx: &mut Cx<'_>) -> Option<u8> {
    match at.value.0.as_bytes() {
        [one] if one.is_ascii() && !matches!(one, b'"' | b'\r' | b'\n') => Some(*one),
        _ => {
            cx.notes
                .error(
                    DiagnosticKind::Invalid,
                    at.span,
                    "a delimiter is one ASCII character, and neither a quote nor a line end",
                )
                .help("e.g. \",\", \";\", \"|\" or \"\\t\"");
            None
        }
    }
}

/// Lines hold records and nothing besides, so that what leads on can only stand in a header.
fn check_places(at: &At<grammar::Read>, format: Span, word: &str, cx: &mut Cx<'_>) {
    let value = |key: &Key<PathOrHeader>| key.get().filter(|at| matches!(at.value, Either::Short(_))).map(|at| at.span);
    let page = match at.page.get().map(|at| &at.value) {
        Some(Page::Cursor(raw)) => vec![(value(&raw.next), "next"), (value(&raw.more), "more")],
        Some(Page::NextUrl(raw)) => vec![(value(&raw.next), "next"), (value(&raw.more), "more")],
        Some(Page::Page(raw)) => {
            vec![(value(&raw.more), "more"), (value(&raw.pages), "pages"), (value(&raw.total), "total")]
        }
        Some(Page::Offset(raw)) => vec![(value(&raw.more), "more"), (value(&raw.total), "total")],
        Some(Page::Keyset(raw)) => vec![(value(&raw.more), "more")],
        Some(Page::None(_) | Page::LinkHeader(_)) | None => Vec::new(),
    };
    let since = match at.incremental.get().map(|at| &at.value) {
        Some(Incremental::Since(raw)) => Some((value(&raw.from), "from")),
        Some(Incremental::Token(raw)) => Some((value(&raw.next), "next")),
        Some(Incremental::None(_) | Incremental::Conditional(_) | Incremental::EventFeed(_)) | None => None,
    };
    let in_body = page.into_iter().chain(since).filter_map(|(span, name)| Some((span?, name)));
    for (span, name) in in_body {
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                span,
                format!("an answer in {word} has nothing beside its records: `{name}` finds nothing there"),
            )
            .help("write { header = \"…\" } where the upstream says it in a header; else another kind of pages")
            .second(format, "so the answer is read");
    }
}
