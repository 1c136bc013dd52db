//! Owns: the SQL of the plain tables, written once per collection and found again by its shape.
//!
//! Must not know: values.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::rules::Collection;

/// The statements of one collection.
#[derive(Debug)]
pub(super) struct Text {
    name: String,
    fields: Vec<String>,
    /// All fields of one row.
    pub(super) select: String,
    /// The id and all fields.
    pub(super) insert: String,
    /// One row.
    pub(super) delete: String,
    /// All rows.
    pub(super) count: String,
}

/// The statements of all collections seen so far.
#[derive(Debug, Default)]
pub(super) struct Texts {
    known: Vec<Arc<Text>>,
}

impl Texts {
    /// The statements of a collection; rewritten when rules with other fields come under the same name.
    pub(super) fn of(&mut self, collection: &Collection) -> Arc<Text> {
        if let Some(at) = self.known.iter().position(|text| text.name == collection.name) {
            let text = &self.known[at];
            let same = text.fields.len() == collection.fields.len()
                && text.fields.iter().zip(&collection.fields).all(|(known, field)| *known == field.name);
            if same {
                return Arc::clone(text);
            }
            self.known.remove(at);
        }
        let text = Arc::new(Text::of(collection));
        self.known.push(Arc::clone(&text));
        text
    }
}

impl Text {
    fn of(collection: &Collection) -> Self {
        let table = quoted(&collection.name);
        let fields: Vec<String> = collection.fields.iter().map(|field| field.name.clone()).collect();
        let columns: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        let list = if columns.is_empty() { "NULL".to_owned() } else { columns.join(", ") };
        let mut insert = format!("INSERT INTO {table} (id");
        for column in &columns {
            let _infallible = write!(insert, ", {column}");
        }
        insert.push_str(") VALUES (?");
        insert.push_str(&", ?".repeat(columns.len()));
        insert.push(')');
        Self {
            name: collection.name.clone(),
            fields,
            select: format!("SELECT {list} FROM {table} WHERE id = ?1"),
            insert,
            delete: format!("DELETE FROM {table} WHERE id = ?1"),
            count: format!("SELECT count(*) FROM {table}"),
        }
    }
}

/// A name as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
