//! Owns: which names upstreams, collections and fields may have.
//!
//! Must not know: what they name.

use super::context::Cx;
use crate::rules::diagnostic::{DiagnosticKind, Span};

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
    } else if ["rowid", "oid", "_rowid_"].contains(&name) {
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
    let better = snake_case(name);
    if better.is_empty() || better.len() > NAME_BYTES_MAX {
        note.help("names are lower-case letters, digits and `_`, begin with a letter and have at most 63 characters");
    } else {
        note.help(format!("write `{better}`: names are lower-case letters, digits and `_`"));
    }
}

/// The nearest lower `snake_case` name; may be empty.
fn snake_case(name: &str) -> String {
    if !name.is_ascii() {
        return String::new();
    }
    let mut text = String::new();
    let mut lower_before = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && lower_before {
            text.push('_');
        }
        lower_before = c.is_ascii_lowercase() || c.is_ascii_digit();
        text.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    text.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('_').to_owned()
}
