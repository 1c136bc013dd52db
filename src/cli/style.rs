//! Owns: how text for people looks: colours, tables, values, times.
//!
//! Must not know: what is shown; terminals (escapes are taken out by `out` where they do not belong).

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};

use crate::ops::Say;

/// Headings.
pub const HEAD: Style = Style::new().bold();
/// Side remarks.
pub const DIM: Style = Style::new().dimmed();
/// Something new; something good.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something changed; something to look at.
pub const CHANGED: Style = AnsiColor::Yellow.on_default();
/// Something gone; something bad.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Names of sides.
pub const SIDE: Style = AnsiColor::Cyan.on_default();

/// One line, under the header.
const LINES: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Text in a style.
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A heading on a line of its own.
pub fn heading(text: &str) -> String {
    format!("{}\n", paint(HEAD, text))
}

/// Columns up to this wide keep their cells on one line, as far as the table has room for it.
const WHOLE_MAX: usize = 20;

/// A table that fits `width`; without rows it is the empty text. Cells must be [`clean`].
pub fn table(width: usize, header: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table
        .load_style(LINES)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(width).unwrap_or(u16::MAX))
        .set_header(header.iter().copied());
    let whole = whole_columns(width, header, &rows);
    table.add_rows(rows);
    for (at, cells) in whole {
        if let Some(column) = table.column_mut(at) {
            // A column's width includes the blanks at both of its sides.
            let cells = u16::try_from(cells + 2).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(cells)));
        }
    }
    format!("{}\n", table.trim_fmt())
}

/// Narrow columns with their widths, from the narrowest on, as long as they leave some room to the others.
fn whole_columns(width: usize, header: &[&str], rows: &[Vec<String>]) -> Vec<(usize, usize)> {
    let cells = |at: usize| rows.iter().filter_map(move |row| row.get(at)).map(|cell| cell.chars().count());
    let widths =
        header.iter().enumerate().map(|(at, name)| (at, cells(at).max().unwrap_or(0).max(name.chars().count())));
    let mut narrow: Vec<(usize, usize)> = widths.filter(|(_, width)| *width <= WHOLE_MAX).collect();
    narrow.sort_by_key(|(_, width)| *width);
    let mut left = width.saturating_sub(WHOLE_MAX);
    narrow.retain(|(_, width)| match left.checked_sub(width + 3) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    narrow
}

/// Text of foreign origin made harmless for a terminal: control characters are spelt out.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => out.push('⏎'),
            '\t' => out.push(' '),
            _ if is_unsafe(character) => {
                write!(out, "\\u{{{:x}}}", u32::from(character)).ok();
            }
            _ => out.push(character),
        }
    }
    out
}

/// The same of several lines, which stay lines.
pub fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// Control characters, and those that reorder what follows.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `max` characters, with a mark where something was cut.
pub fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Canonical JSON as people read it: text without quotes, `∅` for null, lists of text as `{a, b}`.
pub fn value(json: &str) -> String {
    let trimmed = json.trim();
    match trimmed.bytes().next() {
        Some(b'n') if trimmed == "null" => "∅".to_owned(),
        Some(b'"') => match serde_json::from_str::<String>(trimmed) {
            Ok(text) if text.is_empty() => "\"\"".to_owned(),
            Ok(text) => clean(&text),
            Err(_) => clean(trimmed),
        },
        Some(b'[') => match serde_json::from_str::<Vec<String>>(trimmed) {
            Ok(items) => format!("{{{}}}", clean(&items.join(", "))),
            Err(_) => clean(trimmed),
        },
        _ => clean(trimmed),
    }
}

/// [`value`] of what may not be there: `–`.
pub fn value_or_dash(json: Option<&str>) -> String {
    json.map_or_else(|| "–".to_owned(), value)
}

/// What a side says, for people, at most `max` characters.
pub fn say(say: &Say, max: usize) -> String {
    match (&say.error, &say.value) {
        (Some(error), _) => cut(&format!("unreadable: {}", clean(error)), max),
        (None, value) => cut(&value_or_dash(value.as_ref().map(|json| json.get())), max),
    }
}

/// An RFC 3339 time to the second, for people.
pub fn short(rfc3339: &str) -> String {
    let seconds: String = rfc3339.chars().take(19).collect();
    seconds.replace('T', " ")
}

/// `1 record`, `2 records`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        return format!("1 {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) => format!("{number} {stem}ies"),
        None if noun.ends_with("ss") => format!("{number} {noun}es"),
        None => format!("{number} {noun}s"),
    }
}

/// The text without colour, for tests.
#[cfg(test)]
pub fn bare(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_people_read_them_and_never_drive_the_terminal() {
        let check = |json: &str, shown: &str| assert_eq!(value(json), shown);
        check("null", "∅");
        check("\"Ann\"", "Ann");
        check("\"\"", "\"\"");
        check("[\"a\",\"b\"]", "{a, b}");
        check("[1,2]", "[1,2]");
        check("12345678901234567890.10", "12345678901234567890.10");
        check(r#""a\u001b[31mred\nnext""#, "a\\u{1b}[31mred⏎next");
        check("\"a\u{202e}b\"", "a\\u{202e}b");
    }

    #[test]
    fn tables_fit_the_width() {
        let rows = vec![vec!["a".repeat(80), "b".to_owned()], vec!["c".to_owned(), "d ".repeat(60)]];
        let text = table(60, &["first", "second"], rows);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert_eq!(table(60, &["first"], Vec::new()), "");
    }

    #[test]
    fn numbers_agree_with_their_nouns() {
        assert_eq!(
            [count(1, "pass"), count(2, "pass"), count(0, "entry"), count(2, "record")],
            ["1 pass", "2 passes", "0 entries", "2 records"]
        );
    }
}
