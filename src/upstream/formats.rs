//! Owns: what an answer of a listing is made of, by the format that the rules say.
//!
//! Must not know: paging; how each format is read is the matter of `split`, `lines` and `table`.

use super::RecordsIn;
use super::lines::split_lines;
use super::split::{Split, SplitError, split_list};
use super::table::{Columns, split_rows};
use crate::record::Path;
use crate::rules::{BodyFormat, Read};

/// Finds the records, and in JSON the values at `others`. Rows of CSV are records once they are written out by its columns.
pub fn split_body(read: &Read, body: &[u8], others: &[&Path]) -> Result<(Split, Option<Columns>), SplitError> {
    let alone = |records: Vec<_>| Split { items: records.len(), records, found: vec![None; others.len()] };
    match read.format {
        BodyFormat::Json => split_list(body, &read.records, others).map(|split| (split, None)),
        BodyFormat::Ndjson => split_lines(body).map(|records| (alone(records), None)),
        BodyFormat::Csv(format) => split_rows(body, format).map(|(columns, rows)| (alone(rows), Some(columns))),
    }
}

/// Says so where the body is the beginning of an answer and not the end.
pub fn cut_short(read: &Read, body: &[u8]) -> Option<String> {
    match read.format {
        BodyFormat::Json => super::split::cut_short(body),
        BodyFormat::Ndjson | BodyFormat::Csv(_) => {
            let error = split_body(read, body, &[]).err().filter(|error| error.cut_short(body.len()));
            error.map(|error| error.to_string())
        }
    }
}

/// Where the transport finds records, to cut down one that is too large.
pub fn records_in(read: &Read) -> RecordsIn {
    match read.format {
        BodyFormat::Json => RecordsIn::Array(read.records.clone()),
        BodyFormat::Ndjson => RecordsIn::Lines,
        BodyFormat::Csv(format) => RecordsIn::Rows(format),
    }
}
