//! Owns: how one field's change looks: side by side where it is short, as an inline diff where it is long.
//!
//! Must not know: where the change comes from.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};

use crate::ops::word_changes;

use super::style::{self, paint};

/// Values longer than this (or of several lines) are shown as a diff.
const SHORT_MAX: usize = 40;
/// Lines of a diff that are shown at most.
const LINES_MAX: usize = 40;
/// Characters of unchanged text that are kept around a change within a line.
const CONTEXT: usize = 24;

/// One line `name  before → after  why`, or a diff below `name  why`. Values are canonical JSON text.
pub fn field(name: &str, before: Option<&str>, after: Option<&str>, why: &str, width: usize) -> String {
    let why = if why.is_empty() { String::new() } else { paint(style::DIM, style::clean(why)) };
    if let (Some(old), Some(new)) = (before.and_then(long_text), after.and_then(long_text)) {
        return format!("      {name:<14} {why}\n{}", inline(&old, &new, width));
    }
    let room = width.saturating_sub(40).max(SHORT_MAX);
    let shown = |json: Option<&str>| style::cut(&style::value_or_dash(json), room);
    let line = match (before, after) {
        (None, None) => format!("      {name:<14} {why}"),
        (None, after) => format!("      {name:<14} {}  {why}", shown(after)),
        (before, after) => format!("      {name:<14} {} → {}  {why}", shown(before), shown(after)),
    };
    format!("{}\n", line.trim_end())
}

/// The text inside a JSON string that is worth a diff.
fn long_text(json: &str) -> Option<String> {
    let text: String = serde_json::from_str(json).ok()?;
    (text.chars().count() > SHORT_MAX || text.contains('\n')).then_some(text)
}

/// A line diff; changed parts of a line stand between `[-` `-]` and `{+` `+}`, so that it reads without colour.
pub fn inline(old: &str, new: &str, width: usize) -> String {
    let mut text = String::new();
    let mut lines = 0;
    let mut push = |line: String| {
        lines += 1;
        if lines <= LINES_MAX {
            writeln!(text, "        {line}").ok();
        }
    };
    let (old_lines, new_lines): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old_lines.len() == 1 && new_lines.len() == 1 {
        push(words(old, new, width));
    } else {
        let diff = TextDiff::from_slices(&old_lines, &new_lines);
        for change in diff.iter_all_changes() {
            let line = style::cut(&style::clean(change.value()), width.saturating_sub(12).max(20));
            match change.tag() {
                ChangeTag::Equal => {}
                ChangeTag::Delete => push(paint(style::BAD, format!("- {line}"))),
                ChangeTag::Insert => push(paint(style::GOOD, format!("+ {line}"))),
            }
        }
    }
    if lines > LINES_MAX {
        writeln!(text, "        … {} more lines", lines - LINES_MAX).ok();
    }
    text
}

/// One line against another, by words, with unchanged stretches shortened.
fn words(old: &str, new: &str, width: usize) -> String {
    let mut line = String::new();
    for change in word_changes(old, new) {
        let part = style::clean(&change.1);
        let room = (width / 2).max(SHORT_MAX);
        match change.0 {
            ChangeTag::Equal => line += &shortened(&part),
            ChangeTag::Delete => line += &paint(style::BAD, format!("[-{}-]", style::cut(&part, room))),
            ChangeTag::Insert => line += &paint(style::GOOD, format!("{{+{}+}}", style::cut(&part, room))),
        }
    }
    line
}

fn shortened(text: &str) -> String {
    let length = text.chars().count();
    if length <= 2 * CONTEXT + 3 {
        return text.to_owned();
    }
    let head: String = text.chars().take(CONTEXT).collect();
    let tail: String = text.chars().skip(length - CONTEXT).collect();
    format!("{head} … {tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_stand_side_by_side_and_long_ones_as_a_diff() {
        let check = |before: Option<&str>, after: Option<&str>, expected: &str| {
            assert_eq!(style::bare(&field("name", before, after, "one_side", 80)), expected);
        };
        check(Some("\"a\""), Some("\"b\""), "      name           a → b  one_side\n");
        check(None, Some("null"), "      name           ∅  one_side\n");
        check(
            Some("\"the quick brown fox jumps over the lazy dog\""),
            Some("\"the quick brown cat jumps over the lazy dog\""),
            "      name           one_side\n        the quick brown [-fox-]{+cat+} jumps over the lazy dog\n",
        );
        check(
            Some(r#""one\ntwo\nthree""#),
            Some(r#""one\n2\nthree""#),
            "      name           one_side\n        - two\n        + 2\n",
        );
    }
}
