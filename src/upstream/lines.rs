//! Owns: NDJSON (JSON Lines): where the record of each line stands in a body.
//!
//! Must not know: paging, what a record says.
//!
//! <https://github.com/ndjson/ndjson-spec>; a line is matched bracket by bracket, as records of a JSON document are.

use std::ops::Range;

use super::split::{SplitError, check_whole};

/// Finds the record of each line. The last one needs no line end, but it has to be whole.
pub fn split_lines(body: &[u8]) -> Result<Vec<Range<usize>>, SplitError> {
    split_lines_from(body, 1)
}

/// The same, of a body whose first line has this number.
pub fn split_lines_from(body: &[u8], first: u64) -> Result<Vec<Range<usize>>, SplitError> {
    let mut start = if body.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let mut records = Vec::new();
    for number in first.. {
        let Some(rest) = body.get(start..).filter(|rest| !rest.is_empty()) else { break };
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let blank = line.len() - line.trim_ascii_start().len();
        let record = line.trim_ascii();
        if !record.is_empty() {
            check_record(record, number, end.is_none())?;
            records.push(start + blank..start + blank + record.len());
        }
        start += end.map_or(rest.len(), |end| end + 1);
    }
    Ok(records)
}

fn check_record(record: &[u8], number: u64, is_last: bool) -> Result<(), SplitError> {
    let wrong = |what: String, cut_short| Err(SplitError::NotRows { format: "NDJSON", what, cut_short });
    if record.first() != Some(&b'{') {
        return wrong(format!("line {number} is no object"), false);
    }
    match check_whole(record) {
        Ok(()) => Ok(()),
        Err(error) if is_last && error.cut_short(record.len()) => {
            wrong(format!("the last line, {number}, ends too early"), true)
        }
        Err(SplitError::NotJson(what, at)) => wrong(format!("{what} in line {number} at byte {at}"), false),
        Err(error) => wrong(format!("line {number}: {error}"), false),
    }
}
