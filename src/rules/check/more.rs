//! Owns: the checks of what says whether more pages follow (`more`, `pages`, `total`), and of listings whose end is guessed.
//!
//! Must not know: how one page leads to the next.

use super::context::Cx;
use crate::record::Path;
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, Page, PageNumber, PageOffset, PathOrHeader};
use crate::rules::model::{More, NextAt, OffsetStep};
use crate::rules::shape::{At, Either, Key};

/// Checks what says it of numbered pages; `None` after an error.
#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
pub fn of_page(raw: &PageNumber, cx: &mut Cx<'_>) -> Option<Option<More>> {
    let one = check_one(&[(&raw.more, "more"), (&raw.pages, "pages"), (&raw.total, "total")], cx);
    let (more, pages, total) = (flag(&raw.more, cx), place(&raw.pages, cx), place(&raw.total, cx));
    one?;
    Some(more?.or(pages?.map(More::Pages)).or(total?.map(More::Total)))
}

/// The same of offsets, and how far each is from the next.
#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
pub fn of_offset(raw: &PageOffset, cx: &mut Cx<'_>) -> Option<Option<More>> {
    let one = check_one(&[(&raw.more, "more"), (&raw.total, "total")], cx);
    let step = check_step(raw, cx);
    let (more, total) = (flag(&raw.more, cx), place(&raw.total, cx));
    one.and(step)?;
    Some(more?.or(total?.map(More::Total)))
}

/// Checks what says it plainly: a condition over the answer, or a header.
#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
pub fn flag(key: &Key<PathOrHeader>, cx: &mut Cx<'_>) -> Option<Option<More>> {
    let at = match key {
        Key::Absent => return Some(None),
        Key::Bad => return None,
        Key::Given(at) => at,
    };
    match &at.value {
        Either::Short(jq) if Path::parse(jq.0.trim()).is_none() => {
            let jq = At { key: at.key, span: at.span, value: jq.clone() };
            cx.filter(&jq, &[]).map(More::Filter).map(Some)
        }
        Either::Short(_) | Either::Table(_) => cx.next_at(at).map(More::Flag).map(Some),
    }
}

#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
fn place(key: &Key<PathOrHeader>, cx: &mut Cx<'_>) -> Option<Option<NextAt>> {
    match key {
        Key::Absent => Some(None),
        Key::Bad => None,
        Key::Given(at) => cx.next_at(at).map(Some),
    }
}

/// Of two that say it, one could say otherwise.
fn check_one(keys: &[(&Key<PathOrHeader>, &str)], cx: &mut Cx<'_>) -> Option<()> {
    let given: Vec<(Span, &str)> = keys.iter().filter_map(|(key, name)| Some((key.get()?.key, *name))).collect();
    let [(first, name), (second, other), ..] = given.as_slice() else { return Some(()) };
    cx.notes
        .error(DiagnosticKind::Conflict, *second, format!("`{name}` and `{other}` both say whether more pages follow"))
        .help("keep one of them")
        .second(*first, "said here");
    None
}

/// A step of the page's size needs one, and something else than a short page to end with.
fn check_step(raw: &PageOffset, cx: &mut Cx<'_>) -> Option<()> {
    let Some(at) = raw.step.get().filter(|at| at.value == OffsetStep::Size) else { return Some(()) };
    if raw.size.is_absent() {
        cx.notes
            .error(DiagnosticKind::Missing, at.span, "a step of the page's size needs `size`")
            .help("write size = { into = \"query.limit\", value = 100 }");
        return None;
    }
    if raw.more.is_absent() && raw.total.is_absent() {
        cx.notes
            .inert(at.key, "step", "a page that is shorter than `size` ends the listing")
            .help("write more = \".has_more\" or total = \".total\", or leave it out");
        return None;
    }
    Some(())
}

/// Where a short page is taken for the last one, and what it does not show for deleted, unasked.
pub fn check_guessed_end(read: &At<grammar::Read>, cx: &mut Cx<'_>) {
    let absence = read.deletes.get().filter(|at| matches!(at.value, grammar::Deletes::Absence(_)));
    let (Some(absence), true, Some(page)) = (absence, read.get.is_absent(), read.page.get()) else { return };
    let (size, told, keys) = match &page.value {
        Page::Page(raw) => {
            let told = [&raw.more, &raw.pages, &raw.total].iter().any(|key| !key.is_absent());
            (&raw.size, told, "`more`, `pages` or `total`")
        }
        Page::Offset(raw) => {
            (&raw.size, [&raw.more, &raw.total].iter().any(|key| !key.is_absent()), "`more` or `total`")
        }
        Page::Keyset(raw) => (&raw.size, !raw.more.is_absent(), "`more`"),
        Page::None(_) | Page::Cursor(_) | Page::LinkHeader(_) | Page::NextUrl(_) => return,
    };
    if let Some(size) = size.get().filter(|_| !told) {
        cx.notes
            .warning(
                size.key,
                "a page shorter than this is taken for the last one, and what comes after it for deleted: an upstream may give \
                 short pages before the end",
            )
            .label("ends at a short page")
            .help(format!(
                "write {keys} where the answer says whether more follows; or `get`, so that each is asked for; or put the size \
                 into the request, so that only an empty page is the end"
            ))
            .second(absence.span, "deletes what is not listed");
    }
}
