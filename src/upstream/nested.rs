//! Owns: records that stand deeper in the items of an array: in arrays of their own, or below a key.
//!
//! Must not know: where the array is, how an answer comes.

use std::ops::Range;

use super::lacking::{beside, is_missing, tells_error};
use super::split::{SplitError, find_values, split_records};
use crate::record::Path;
use crate::rules::{ItemAt, ListAt};

/// The records in these items of the array at `list`, which come behind so many others of it.
pub fn records_in_items(
    body: &[u8],
    list: &ListAt,
    items: Vec<Range<usize>>,
    before: usize,
) -> Result<Vec<Range<usize>>, SplitError> {
    if list.item == ItemAt::Whole {
        return Ok(items);
    }
    let mut records = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        collect(body, &list.item, item, &mut records).map_err(|lack| {
            let item = format!("{}[{}]", list.path, before + index);
            lack.told(list.to_string(), item)
        })?;
    }
    Ok(records)
}

/// What is wrong with an item.
enum Lack {
    Nothing,
    ListForRecord,
    TellsError,
    Other(SplitError),
}

impl Lack {
    fn told(self, records: String, item: String) -> SplitError {
        match self {
            Self::Nothing => SplitError::NoneInItem { records, item },
            Self::ListForRecord => SplitError::ListInItem(records),
            Self::TellsError => SplitError::ErrorInItem { records, item },
            Self::Other(error) => error,
        }
    }
}

fn collect(body: &[u8], item: &ItemAt, at: Range<usize>, records: &mut Vec<Range<usize>>) -> Result<(), Lack> {
    match item {
        ItemAt::Whole => records.push(at),
        ItemAt::Record(path) => records.push(record(body, path, &at)?),
        ItemAt::List(inner) => {
            for at in array(body, inner, &at)? {
                collect(body, &inner.item, at, records)?;
            }
        }
    }
    Ok(())
}

/// The record below a key of an item.
fn record(body: &[u8], path: &Path, item: &Range<usize>) -> Result<Range<usize>, Lack> {
    let bytes = body.get(item.clone()).unwrap_or_default();
    let found = find_values(bytes, &[path]).map_err(|error| further(error, item.start))?;
    let found = found.into_iter().next().flatten().ok_or(Lack::Nothing)?;
    match bytes.get(found.start) {
        Some(b'[') => Err(Lack::ListForRecord),
        Some(_) | None => Ok(moved(&found, item.start)),
    }
}

/// The items of the array inside an item. Where that tells an error, nobody knows what else should be in it.
fn array(body: &[u8], inner: &ListAt, item: &Range<usize>) -> Result<Vec<Range<usize>>, Lack> {
    let bytes = body.get(item.clone()).unwrap_or_default();
    let told = beside(&inner.path);
    match split_records(bytes, &inner.path, &told.iter().collect::<Vec<_>>()) {
        Ok(split) if tells_error(bytes, &split.found) => Err(Lack::TellsError),
        Ok(split) => Ok(split.records.into_iter().map(|at| moved(&at, item.start)).collect()),
        Err(SplitError::Missing(_) | SplitError::NotArray(_)) => {
            let is_missing = is_missing(bytes, &inner.path).map_err(|error| further(error, item.start))?;
            if inner.may_lack && is_missing { Ok(Vec::new()) } else { Err(Lack::Nothing) }
        }
        Err(error) => Err(further(error, item.start)),
    }
}

fn further(error: SplitError, by: usize) -> Lack {
    Lack::Other(match error {
        SplitError::NotJson(what, at) => SplitError::NotJson(what, at + by),
        other => other,
    })
}

fn moved(at: &Range<usize>, by: usize) -> Range<usize> {
    at.start + by..at.end + by
}
