//! Owns: rows of the plain tables.
//!
//! Must not know: links, hints; how tables are made.

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, params};

use crate::record::{Column, FieldError, FieldType, RecordId, Slot, Value};
use crate::rules::Collection;
use crate::store::StoreError;

use super::db::Db;
use super::fault::{Failure, Res};
use super::texts::quoted;

pub(super) fn row(db: &Db, collection: &Collection, record: &RecordId) -> Res<Option<Vec<Slot>>> {
    let text = db.texts.borrow_mut().of(collection);
    let mut statement = db.conn.prepare_cached(&text.select)?;
    let mut rows = statement.query(params![record.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut slots = Vec::with_capacity(collection.fields.len());
    for (at, field) in collection.fields.iter().enumerate() {
        slots.push(slot(&field.domain.ty, row.get_ref(at)?));
    }
    Ok(Some(slots))
}

/// Another program may have left anything in a column of a table that was not made here.
pub(super) fn slot(ty: &FieldType, value: ValueRef<'_>) -> Slot {
    let column = match value {
        ValueRef::Null => return Slot::Value(Value::Null),
        ValueRef::Integer(number) => Column::Integer(number),
        ValueRef::Real(number) => Column::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Column::Text(text.to_owned()),
            Err(error) => return Slot::Bad(FieldError::new(format!("text that is not UTF-8: {error}"))),
        },
        ValueRef::Blob(bytes) => {
            let length = bytes.len();
            return Slot::Bad(FieldError::new(format!("a blob of {length} bytes where {} belongs", ty.name())));
        }
    };
    match Value::from_column(ty, &column) {
        Ok(value) => Slot::Value(value),
        Err(error) => Slot::Bad(error),
    }
}

pub(super) fn records_after(db: &Db, collection: &Collection, after: &str, limit: usize) -> Res<Vec<RecordId>> {
    let sql = format!("SELECT id FROM {} WHERE id > ?1 ORDER BY id LIMIT ?2", quoted(&collection.name));
    db.all(&sql, params![after, bound(limit)], |row| row.get(0).map(RecordId))
}

pub(super) fn referring(
    db: &Db,
    collection: &Collection,
    field: usize,
    to: &RecordId,
    limit: usize,
) -> Res<Vec<RecordId>> {
    let Some(field) = collection.fields.get(field) else { return Ok(Vec::new()) };
    let (table, column) = (quoted(&collection.name), quoted(&field.name));
    let sql = format!("SELECT id FROM {table} WHERE {column} = ?1 ORDER BY id LIMIT ?2");
    db.all(&sql, params![to.0, bound(limit)], |row| row.get(0).map(RecordId))
}

pub(super) fn row_count(db: &Db, collection: &Collection) -> Res<u64> {
    let text = db.texts.borrow_mut().of(collection);
    db.count(&text.count, [])
}

pub(super) fn rows_up_to(db: &Db, collection: &Collection, most: u64) -> Res<u64> {
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT ?1)", quoted(&collection.name));
    db.count(&sql, params![i64::try_from(most).unwrap_or(i64::MAX)])
}

pub(super) fn insert_row(db: &Db, collection: &Collection, record: &RecordId, values: &[Value]) -> Res<()> {
    if values.len() != collection.fields.len() {
        let reason = format!("{} values for {} fields", values.len(), collection.fields.len());
        return Err(Failure::state(format!("of a row of {}", collection.name), reason));
    }
    let text = db.texts.borrow_mut().of(collection);
    insert_with(&mut db.conn.prepare_cached(&text.insert)?, record, values)
}

/// Inserts a row by the prepared statement of its table.
pub(super) fn insert_with(statement: &mut CachedStatement<'_>, record: &RecordId, values: &[Value]) -> Res<()> {
    statement.raw_bind_parameter(1, record.0.as_str())?;
    for (at, value) in values.iter().enumerate() {
        bind(statement, at + 2, value)?;
    }
    statement.raw_execute()?;
    Ok(())
}

pub(super) fn update_row(db: &Db, collection: &Collection, record: &RecordId, values: &[(usize, Value)]) -> Res<()> {
    let mut sets = Vec::with_capacity(values.len());
    for (nth, (field, _value)) in values.iter().enumerate() {
        let Some(field) = collection.fields.get(*field) else {
            return Err(Failure::state(format!("of a row of {}", collection.name), format!("no field {field}")));
        };
        sets.push(format!("{} = ?{}", quoted(&field.name), nth + 2));
    }
    if sets.is_empty() {
        return Ok(());
    }
    let sql = format!("UPDATE {} SET {} WHERE id = ?1", quoted(&collection.name), sets.join(", "));
    let mut statement = db.conn.prepare_cached(&sql)?;
    statement.raw_bind_parameter(1, record.0.as_str())?;
    for (nth, (_field, value)) in values.iter().enumerate() {
        bind(&mut statement, nth + 2, value)?;
    }
    if statement.raw_execute()? == 0 {
        if row(db, collection, record)?.is_some() {
            let reason = "a trigger of another program keeps the row as it is".to_owned();
            return Err(Failure::Store(StoreError::Constraint { table: collection.name.clone(), reason }));
        }
        return Err(Failure::state(format!("of {} {record}", collection.name), "there is no such row to update"));
    }
    Ok(())
}

pub(super) fn delete_row(db: &Db, collection: &Collection, record: &RecordId) -> Res<()> {
    let text = db.texts.borrow_mut().of(collection);
    db.exec(&text.delete, params![record.0])?;
    Ok(())
}

/// Text goes in as it stands; copying it into a [`Column`] first would cost as much as the row.
fn bind(statement: &mut CachedStatement<'_>, at: usize, value: &Value) -> rusqlite::Result<()> {
    match value {
        Value::Null => statement.raw_bind_parameter(at, rusqlite::types::Null),
        Value::Text(text) | Value::Ref(text) => statement.raw_bind_parameter(at, text.as_str()),
        other => match other.to_column() {
            Column::Null => statement.raw_bind_parameter(at, rusqlite::types::Null),
            Column::Integer(number) => statement.raw_bind_parameter(at, number),
            Column::Real(number) => statement.raw_bind_parameter(at, number),
            Column::Text(text) => statement.raw_bind_parameter(at, text),
        },
    }
}

/// A limit as SQLite takes it.
pub(super) fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
