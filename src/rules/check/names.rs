//! Owns: which names upstreams, collections and fields may have.
//!
//! Must not know: what they name.

use super::context::Cx;
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::names::{COLUMNS_OF_SQLITE, snake_case};

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// Checks the name of an upstream.
pub fn check_upstream(name: &str, span: Span, cx: &mut Cx<'_>) {
    check_form("an upstream", name, span, cx);
    if name == "local" {
        reserved("an upstream", name, "it means the local side", span, cx);
    }
}

/// Checks the name of a collection: it becomes a table.
pub fn check_collection(name: &str, span: Span, cx: &mut Cx<'_>) {
    check_form("a collection", name, span, cx);
    if name.starts_with("sync_") || name.starts_with("sqlite_") {
        reserved("a collection", name, "tables with this prefix are the engine's own", span, cx);
    }
}

/// Checks the name of a field: it becomes a column.
pub fn check_field(name: &str, span: Span, cx: &mut Cx<'_>) {
    check_form("a field", name, span, cx);
    if name == "id" {
        reserved("a field", name, "it is the local id of every record", span, cx);
    } else if name.starts_with("sync_") {
        reserved("a field", name, "columns with this prefix are the engine's own", span, cx);
    } else if COLUMNS_OF_SQLITE.contains(&name) {
        reserved("a field", name, "SQLite gives it a meaning of its own", span, cx);
    }
}

fn reserved(what: &str, name: &str, why: &str, span: Span, cx: &mut Cx<'_>) {
    cx.notes
        .error(DiagnosticKind::Invalid, span, format!("`{name}` cannot be the name of {what}: {why}"))
        .label("reserved name")
        .help("choose another name");
}

fn check_form(what: &str, name: &str, span: Span, cx: &mut Cx<'_>) {
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if letters && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= NAME_BYTES_MAX {
        return;
    }
    let note = cx
        .notes
        .error(DiagnosticKind::Invalid, span, format!("`{name}` cannot be the name of {what}"))
        .label("not snake_case");
    let better = nearest(name);
    if better.is_empty() || better.len() > NAME_BYTES_MAX {
        note.help("names are lower-case letters, digits and `_`, begin with a letter and have at most 63 characters");
    } else {
        note.help(format!("write `{better}`: names are lower-case letters, digits and `_`"));
    }
}

/// The nearest name that may be; empty where there is none.
fn nearest(name: &str) -> String {
    if !name.is_ascii() {
        return String::new();
    }
    snake_case(name).trim_start_matches(|c: char| !c.is_ascii_lowercase()).to_owned()
}
