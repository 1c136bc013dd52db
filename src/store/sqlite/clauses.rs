//! Owns: lists narrowed by what a filter names, and by nothing that it does not name.
//!
//! Must not know: tables.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::db::Db;
use super::fault::Res;
use super::rows::bound;

/// What a limit of 0 means in filters.
const LIMIT_DEFAULT: usize = 1000;

/// A value to compare with.
pub(super) struct Term(Value);

impl From<&str> for Term {
    fn from(text: &str) -> Self {
        Self(Value::Text(text.to_owned()))
    }
}

impl From<i64> for Term {
    fn from(number: i64) -> Self {
        Self(Value::Integer(number))
    }
}

/// A SELECT that grows its WHERE.
pub(super) struct Clauses {
    sql: String,
    values: Vec<Value>,
    any: bool,
}

impl Clauses {
    /// Begins with the SELECT and its table.
    pub(super) fn new(select: &str) -> Self {
        Self { sql: select.to_owned(), values: Vec::new(), any: false }
    }

    /// `column = value`, where the filter names one.
    pub(super) fn is(&mut self, column: &str, value: Option<impl Into<Term>>) {
        self.compare(column, "=", value);
    }

    /// `column > value`, where the filter names one.
    pub(super) fn after(&mut self, column: &str, value: Option<impl Into<Term>>) {
        self.compare(column, ">", value);
    }

    /// `column < value`, where the filter names one.
    pub(super) fn before(&mut self, column: &str, value: Option<impl Into<Term>>) {
        self.compare(column, "<", value);
    }

    /// `(columns) > (texts)`, in the order of a key.
    pub(super) fn beyond<'a>(&mut self, columns: &str, texts: impl IntoIterator<Item = &'a String>) {
        let mut places = Vec::new();
        for text in texts {
            self.values.push(Value::Text(text.clone()));
            places.push(format!("?{}", self.values.len()));
        }
        self.holds(&format!("{columns} > ({})", places.join(", ")));
    }

    /// One of the names between commas in `column`, where the filter names one.
    pub(super) fn names(&mut self, column: &str, name: Option<&str>) {
        let Some(name) = name else { return };
        self.values.push(Value::Text(name.to_owned()));
        let at = self.values.len();
        self.holds(&format!("instr(',' || {column} || ',', ',' || ?{at} || ',') > 0"));
    }

    /// History of a field: lines about it (alone or in its group), and writes that sent it.
    pub(super) fn touches(&mut self, field: Option<&str>) {
        let Some(field) = field else { return };
        self.values.push(Value::Text(field.to_owned()));
        let at = self.values.len();
        self.holds(&format!(
            "(instr(',' || field || ',', ',' || ?{at} || ',') > 0 OR (target IS NOT NULL AND json_valid(after) AND \
             EXISTS (SELECT 1 FROM json_each(sync_history.after) AS sent WHERE sent.key = ?{at})))"
        ));
    }

    /// A condition without a value.
    pub(super) fn holds(&mut self, condition: &str) {
        self.sql.push_str(if self.any { " AND " } else { " WHERE " });
        self.sql.push_str(condition);
        self.any = true;
    }

    fn compare(&mut self, column: &str, operator: &str, value: Option<impl Into<Term>>) {
        if let Some(value) = value {
            self.values.push(value.into().0);
            let condition = format!("{column} {operator} ?{}", self.values.len());
            self.holds(&condition);
        }
    }

    /// Runs it; a limit of 0 means the default.
    pub(super) fn all<T>(
        mut self,
        db: &Db,
        order: &str,
        limit: usize,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Res<Vec<T>> {
        let limit = if limit == 0 { LIMIT_DEFAULT } else { limit };
        self.values.push(Value::Integer(bound(limit)));
        let sql = format!("{} {order} LIMIT ?{}", self.sql, self.values.len());
        db.all(&sql, params_from_iter(self.values), read)
    }
}
