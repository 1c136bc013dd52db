//! Owns: what a field's column looks like: its affinity and the CHECK that keeps out what the type forbids.
//!
//! Must not know: which tables exist.

use crate::record::FieldType;
use crate::rules::Field;

use super::texts::{literal, quoted};

/// A column as the rules want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnShape {
    /// The field's name.
    pub(super) name: String,
    /// `TEXT`, `INTEGER` or `REAL`.
    pub(super) affinity: &'static str,
    /// The name of the CHECK; SQLite says it to whoever breaks it, so it is a sentence that begins with `table.column`.
    pub(super) says: String,
    /// The CHECK's expression; NULL always passes, since whether a field is required is not the table's business.
    pub(super) rule: String,
}

/// A new id for rows that come without one: a version 7 UUID in plain SQL, since other programs insert with functions of their own only.
pub(super) const ID_DEFAULT: &str = "printf('%08x-%04x-7%03x-%04x-%012x', \
     CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) >> 16, \
     CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) & 65535, \
     random() & 4095, 32768 | (random() & 16383), random() & 281474976710655)";

/// The column of a field.
pub(super) fn column(table: &str, field: &Field) -> ColumnShape {
    let name = quoted(&field.name);
    let (affinity, must, mut rule) = of_type(&name, &field.domain.ty);
    let mut must = must;
    if let (FieldType::Text, Some(list)) = (&field.domain.ty, &field.domain.one_of) {
        let items: Vec<String> = list.iter().map(|item| literal(item)).collect();
        must = format!("one of {}", list.join(", "));
        rule = format!("{name} IN ({})", items.join(", "));
    }
    ColumnShape { name: field.name.clone(), affinity, says: format!("{table}.{} must be {must}", field.name), rule }
}

/// SQLite's date functions are exact judges of dates, but read many other things as well: GLOB goes first. A CHECK is
/// evaluated by whichever SQLite writes, and older ones repeat 30 February unless there is something to reckon: `+0 days`.
fn of_type(name: &str, ty: &FieldType) -> (&'static str, String, String) {
    let text = |must: &str, rule: String| ("TEXT", must.to_owned(), rule);
    match ty {
        FieldType::Text => text("text", format!("typeof({name}) <> 'blob'")),
        FieldType::Ref { to } => text(&format!("the id of one of {to}"), format!("typeof({name}) <> 'blob'")),
        FieldType::Integer => {
            ("INTEGER", "a whole number of 64 bits".to_owned(), format!("typeof({name}) IN ('integer', 'null')"))
        }
        FieldType::Real => (
            "REAL",
            "a finite number".to_owned(),
            format!("typeof({name}) IN ('real', 'null') AND coalesce(abs({name}), 0) <= 1.7976931348623157e308"),
        ),
        FieldType::Boolean => ("INTEGER", "0 or 1".to_owned(), format!("{name} IN (0, 1)")),
        FieldType::Decimal { scale } => text(&decimal_words(*scale), decimal_rule(name, *scale)),
        FieldType::Date => text(
            "a date such as 2024-01-31",
            format!(
                "{name} IS NULL OR ({name} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]' AND date({name}, '+0 days') IS {name})"
            ),
        ),
        FieldType::Datetime => text(
            "a date-time such as 2024-01-31T09:30:00Z",
            format!(
                "{name} IS NULL OR ({name} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][T ][0-9][0-9]:[0-9][0-9]*' \
                 AND julianday({name}) IS NOT NULL AND date(substr({name}, 1, 10), '+0 days') IS substr({name}, 1, 10))"
            ),
        ),
        FieldType::Json => text("JSON", format!("{name} IS NULL OR (typeof({name}) = 'text' AND json_valid({name}))")),
        FieldType::Set | FieldType::List { .. } => text(
            "a JSON array",
            format!(
                "{name} IS NULL OR (typeof({name}) = 'text' AND json_valid({name}) AND json_type({name}) = 'array')"
            ),
        ),
    }
}

fn decimal_words(scale: u32) -> String {
    match scale {
        0 => "a whole decimal number such as 12".to_owned(),
        _ => format!("a decimal such as 12.5 with at most {scale} digits after the point"),
    }
}

/// Digits with at most one point between them and at most one minus before them.
fn decimal_rule(name: &str, scale: u32) -> String {
    format!(
        "{name} IS NULL OR (typeof({name}) = 'text' AND length({name}) <= 31 AND {name} GLOB '*[0-9]' \
         AND {name} NOT GLOB '*[^0-9.-]*' AND {name} NOT GLOB '?*-*' AND {name} NOT GLOB '*.*.*' \
         AND {name} NOT GLOB '.*' AND {name} NOT GLOB '-.*' \
         AND (instr({name}, '.') = 0 OR length(rtrim({name}, '0')) - instr({name}, '.') <= {scale}))"
    )
}

impl ColumnShape {
    /// As in CREATE TABLE and ADD COLUMN.
    pub(super) fn ddl(&self) -> String {
        column_text(&self.name, self.affinity, &self.says, &self.rule)
    }
}

/// A column as in CREATE TABLE: what it is called, its affinity, the name of its CHECK and that CHECK's expression.
pub(super) fn column_text(name: &str, affinity: &str, says: &str, rule: &str) -> String {
    format!("{} {affinity} CONSTRAINT {} CHECK ({rule})", quoted(name), quoted(says))
}

/// The statement that makes a collection's table of these columns, but for `id`.
pub(super) fn table_text(name: &str, columns: &[String]) -> String {
    let id_says = quoted(&format!("{name}.id must be text that is not empty"));
    let id = format!(
        "id TEXT NOT NULL ON CONFLICT REPLACE DEFAULT ({ID_DEFAULT}) PRIMARY KEY \
         CONSTRAINT {id_says} CHECK (typeof(id) = 'text' AND id <> '')"
    );
    let parts: Vec<&str> = std::iter::once(id.as_str()).chain(columns.iter().map(String::as_str)).collect();
    format!("CREATE TABLE {} (\n  {}\n) WITHOUT ROWID", quoted(name), parts.join(",\n  "))
}
