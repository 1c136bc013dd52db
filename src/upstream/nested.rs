//! Owns: records that stand deeper in the items of an array: in arrays of their own, or below a key.
//!
//! Must not know: where the array is, how an answer comes.

use std::ops::Range;

use super::split::{SplitError, find_values, split_records};
use crate::record::Path;
use crate::rules::{ItemAt, ListAt};

/// The records in these items of the array at `list`.
pub fn records_in_items(body: &[u8], list: &ListAt, items: Vec<Range<usize>>) -> Result<Vec<Range<usize>>, SplitError> {
    deeper(body, list, &list.item, items)
}

fn deeper(
    body: &[u8],
    list: &ListAt,
    item: &ItemAt,
    items: Vec<Range<usize>>,
) -> Result<Vec<Range<usize>>, SplitError> {
    match item {
        ItemAt::Whole => Ok(items),
        ItemAt::Record(path) => items.into_iter().map(|item| record(body, list, path, item)).collect(),
        ItemAt::List(inner) => {
            let mut all = Vec::new();
            for item in items {
                all.extend(array(body, list, inner, item)?);
            }
            deeper(body, list, &inner.item, all)
        }
    }
}

/// The record below a key of an item.
fn record(body: &[u8], list: &ListAt, path: &Path, item: Range<usize>) -> Result<Range<usize>, SplitError> {
    let found = value(body, path, &item)?.ok_or_else(|| SplitError::NoneInItem(list.to_string()))?;
    match body.get(found.start) {
        Some(b'[') => Err(SplitError::ListInItem(list.to_string())),
        Some(_) | None => Ok(found),
    }
}

/// The items of the array inside an item.
fn array(body: &[u8], list: &ListAt, inner: &ListAt, item: Range<usize>) -> Result<Vec<Range<usize>>, SplitError> {
    let bytes = body.get(item.clone()).unwrap_or_default();
    match split_records(bytes, &inner.path, &[]) {
        Ok(split) => Ok(split.records.into_iter().map(|at| moved(&at, item.start)).collect()),
        Err(SplitError::NotJson(what, at)) => Err(SplitError::NotJson(what, at + item.start)),
        Err(SplitError::Missing(_)) if inner.may_lack => Ok(Vec::new()),
        Err(_) => {
            let found = value(body, &inner.path, &item)?;
            let is_null = found.is_some_and(|at| body.get(at) == Some(b"null"));
            if inner.may_lack && is_null { Ok(Vec::new()) } else { Err(SplitError::NoneInItem(list.to_string())) }
        }
    }
}

fn value(body: &[u8], path: &Path, item: &Range<usize>) -> Result<Option<Range<usize>>, SplitError> {
    let found = find_values(body.get(item.clone()).unwrap_or_default(), &[path]).map_err(|error| match error {
        SplitError::NotJson(what, at) => SplitError::NotJson(what, at + item.start),
        other => other,
    })?;
    Ok(found.into_iter().next().flatten().map(|at| moved(&at, item.start)))
}

fn moved(at: &Range<usize>, by: usize) -> Range<usize> {
    at.start + by..at.end + by
}
