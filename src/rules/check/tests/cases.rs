//! Owns: one table of mistakes, each with every diagnostic that it gives.
//!
//! Must not know: how diagnostics are drawn.

use super::check_files;
use crate::rules::diagnostic::{Diagnostic, Severity};

/// A small good rule set; each case replaces parts of it.
const GOOD: &str = include_str!("good.toml");

/// `line:column message | help`; warnings say so.
fn line(diagnostic: &Diagnostic) -> String {
    let warning = if diagnostic.severity == Severity::Warning { "warning: " } else { "" };
    let (line, column, message) = (diagnostic.line, diagnostic.column, &diagnostic.message);
    let help = diagnostic.help.as_ref().map(|help| format!(" | {help}")).unwrap_or_default();
    let second = diagnostic.second.as_ref();
    let second =
        second.map(|second| format!(" | {}:{} {}", second.line, second.column, second.label)).unwrap_or_default();
    let mut text = format!("{line}:{column} {warning}{message}{help}{second}");
    for also in &diagnostic.also {
        text += &format!(" | also {}:{}", also.line, also.column);
    }
    text
}

/// Applies replacements (`old => new`, or `old =>` to delete) to the good rules.
fn spoil(edits: &[&str]) -> String {
    let mut text = GOOD.to_owned();
    for edit in edits {
        let (old, new) = edit.split_once(" =>").unwrap_or_else(|| panic!("no ` =>` in {edit}"));
        let new = new.trim_start_matches(' ');
        assert_eq!(text.matches(old).count(), 1, "`{old}` stands not once in the good rules");
        text = text.replacen(old, new, 1);
    }
    text
}

#[test]
fn the_good_rules_are_good() {
    let (_, checked) = check_files(&[("good.toml", GOOD)]);
    assert_eq!(checked.diagnostics.iter().map(line).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn every_mistake_is_named_with_its_place_and_remedy() {
    let table = include_str!("cases.txt");
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in table.split("\n\n").filter(|case| !case.trim().is_empty()) {
        let edits: Vec<&str> = case.lines().filter_map(|line| line.strip_prefix("- ")).collect();
        let expected: Vec<&str> =
            case.lines().filter(|line| !line.starts_with("- ") && !line.starts_with("# ")).collect();
        let edits: Vec<String> = edits.iter().map(|edit| edit.replace("\\n", "\n")).collect();
        let edits: Vec<&str> = edits.iter().map(String::as_str).collect();
        let (_, checked) = check_files(&[("good.toml", &spoil(&edits))]);
        let found: Vec<String> = checked.diagnostics.iter().map(line).collect();
        if found != expected {
            let case: Vec<&str> =
                case.lines().filter(|line| line.starts_with("- ") || line.starts_with("# ")).collect();
            wrong.push(format!("{}\n{}", case.join("\n"), found.join("\n")));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{} of {count} differ; found:\n\n{}\n", wrong.len(), wrong.join("\n\n"));
    assert!(count >= 60, "only {count} cases");
}
