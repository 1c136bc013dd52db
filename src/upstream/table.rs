//! Owns: CSV (RFC 4180) as records: where the rows of a body stand, and each of them as a JSON object of texts.
//!
//! Must not know: paging, what a record says. Bytes of a field pass as they are: what is no UTF-8 is that record's own
//! trouble when it is mapped.

use std::collections::HashSet;
use std::ops::Range;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::split::SplitError;
use crate::rules::CsvFormat;

/// The longest header, as member names of a record: each row is written out with all of them.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// What the header says, and how rows are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    format: CsvFormat,
    names: Vec<String>,
    /// `"name":`, as it stands in a record.
    members: Vec<Vec<u8>>,
}

/// Where the reading of a table stands that comes piece by piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsAt {
    /// What its header says.
    pub columns: Columns,
    /// Lines before what is there now.
    lines: usize,
}

/// Reads the header and finds the rows. Every one has as many fields as the header, or the body is not what it should be.
pub fn split_rows(body: &[u8], format: CsvFormat) -> Result<(Columns, Vec<Range<usize>>), SplitError> {
    let mut at = None;
    let (records, _end) = split_rows_from(body, format, &mut at, true)?;
    match at {
        Some(at) => Ok((at.columns, records)),
        None => wrong("there is no header row".to_owned(), false),
    }
}

/// The same, of a table that comes piece by piece: of what is there now, the rows that are whole, and where what follows them
/// begins. The header is read where it was not yet; unless it `is_last`, a row without a line end is left for the next piece.
pub fn split_rows_from(
    body: &[u8],
    format: CsvFormat,
    at: &mut Option<RowsAt>,
    is_last: bool,
) -> Result<(Vec<Range<usize>>, usize), SplitError> {
    let mut rows = Rows::new(format);
    let mut start = 0;
    let RowsAt { columns, lines } = if let Some(at) = at {
        rows.is_beyond_the_beginning();
        at
    } else {
        let text = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
        if let Some(first @ (b'{' | b'[' | b'<')) = text.first() {
            return wrong(format!("it begins with `{}`, as no header does", char::from(*first)), false);
        }
        let header = rows.next(body);
        if !is_last && header.as_ref().is_none_or(|header| header.is_open) {
            return Ok((Vec::new(), 0));
        }
        let Some(header) = header else { return wrong("there is no header row".to_owned(), false) };
        start = header.bytes;
        at.insert(RowsAt { columns: Columns::read(format, &rows)?, lines: 0 })
    };
    let mut records = Vec::new();
    while let Some(rest) = body.get(start..).filter(|rest| !rest.is_empty()) {
        let Some(row) = rows.next(rest).filter(|row| is_last || !row.is_open) else { break };
        let end = start + row.bytes;
        if rows.is_unclosed {
            return wrong("it ends inside quotes".to_owned(), true);
        }
        if row.fields != columns.names.len() {
            let (line, fields, named) = (*lines + line_at(body, end), row.fields, columns.names.len());
            return wrong(
                format!("line {line} ends a row of {fields} fields, and the header names {named}"),
                row.is_open,
            );
        }
        records.push(start..end);
        start = end;
    }
    if !is_last {
        *lines += body.get(..start).unwrap_or_default().split(|byte| *byte == b'\n').count() - 1;
    }
    Ok((records, start))
}

/// The table with other values where `change` gives some, by the name of the column and what stands there; all else stays as it is.
pub fn rewrite_rows(
    body: &[u8],
    format: CsvFormat,
    change: &mut dyn FnMut(&str, &str) -> Option<String>,
) -> Result<Vec<u8>, SplitError> {
    let (columns, records) = split_rows(body, format)?;
    let header = records.first().map_or(body.len(), |first| first.start);
    let mut out = body.get(..header).unwrap_or_default().to_vec();
    let mut rows = Rows::new(format);
    rows.is_beyond_the_beginning();
    for record in records {
        let raw = body.get(record).unwrap_or_default();
        let _whole = rows.next(raw);
        let fields: Vec<_> = rows.fields().map(String::from_utf8_lossy).collect();
        let named = || columns.names.iter().zip(&fields);
        let changed: Vec<Option<String>> = named().map(|(name, value)| change(name, value)).collect();
        if changed.iter().all(Option::is_none) {
            out.extend_from_slice(raw);
            continue;
        }
        // The library ends a row after `\r`: `\n` begins the next one.
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let before = raw.iter().take_while(|byte| is_end(byte)).count();
        let after = raw.iter().rposition(|byte| !is_end(byte)).map_or(raw.len(), |last| last + 1);
        out.extend_from_slice(raw.get(..before).unwrap_or_default());
        for (at, (field, changed)) in fields.iter().zip(&changed).enumerate() {
            if at > 0 {
                out.push(format.delimiter);
            }
            let field = changed.as_deref().unwrap_or(field);
            // Quotes are always allowed, and an empty field in them is the same.
            out.push(b'"');
            out.extend_from_slice(field.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(raw.get(after..).unwrap_or_default());
    }
    Ok(out)
}

/// The number of the line that ends there.
fn line_at(body: &[u8], end: usize) -> usize {
    let before = body.get(..end).unwrap_or_default();
    let before = before.strip_suffix(b"\n").unwrap_or(before);
    before.split(|byte| *byte == b'\n').count()
}

fn wrong<T>(what: String, cut_short: bool) -> Result<T, SplitError> {
    Err(SplitError::NotRows { format: "CSV", what, cut_short })
}

impl Columns {
    fn read(format: CsvFormat, header: &Rows) -> Result<Self, SplitError> {
        let mut columns = Self { format, names: Vec::new(), members: Vec::new() };
        let (mut met, mut bytes) = (HashSet::new(), 0);
        for name in header.fields() {
            let Ok(text) = std::str::from_utf8(name) else { return wrong("the header is not UTF-8".to_owned(), false) };
            if !met.insert(text) {
                return wrong(format!("the header names `{text}` twice"), false);
            }
            let mut member = Vec::with_capacity(name.len() + 3);
            push_text(&mut member, name);
            member.push(b':');
            bytes += member.len();
            if bytes > HEADER_BYTES_MAX {
                return wrong(format!("the header is longer than {HEADER_BYTES_MAX} bytes"), false);
            }
            columns.names.push(text.to_owned());
            columns.members.push(member);
        }
        Ok(columns)
    }

    /// Whether there is a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|column| column == name)
    }

    /// Rows as JSON objects, one after the other, until there are `enough` bytes of them; where each stands.
    pub fn write_out(&self, body: &[u8], rows: &[Range<usize>], enough: usize) -> (Vec<u8>, Vec<Range<usize>>) {
        let (mut out, mut records) = (Vec::new(), Vec::new());
        let mut reader = Rows::new(self.format);
        reader.is_beyond_the_beginning();
        for row in rows {
            let start = out.len();
            if start >= enough {
                break;
            }
            // That there is a row, and how long it is, was seen when the body was split.
            let _whole = reader.next(body.get(row.clone()).unwrap_or_default());
            out.push(b'{');
            for (at, (member, field)) in self.members.iter().zip(reader.fields()).enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(member);
                if field.is_empty() && self.format.empty_is_null {
                    out.extend_from_slice(b"null");
                } else {
                    push_text(&mut out, field);
                }
            }
            out.push(b'}');
            records.push(start..out.len());
        }
        (out, records)
    }
}

/// A JSON string of these bytes.
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// The library's reader, with room for one row.
struct Rows {
    reader: Reader,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Fields of the row at hand.
    count: usize,
    /// The row at hand ended for want of anything more, inside quotes.
    is_unclosed: bool,
}

/// A row that was read.
struct Row {
    bytes: usize,
    fields: usize,
    /// It has no line end.
    is_open: bool,
}

impl Rows {
    fn new(format: CsvFormat) -> Self {
        let reader = ReaderBuilder::new().delimiter(format.delimiter).build();
        Self { reader, bytes: vec![0; 1024], ends: vec![0; 64], count: 0, is_unclosed: false }
    }

    /// What looks like a byte order mark is a part of the first field from now on.
    fn is_beyond_the_beginning(&mut self) {
        self.step(b"\n", (0, 0));
    }

    /// The next row of what is left of a body; `None` where only blank lines are.
    fn next(&mut self, rest: &[u8]) -> Option<Row> {
        let (done, read, at) = self.step(rest, (0, 0));
        if done {
            return Some(Row { bytes: read, fields: self.count, is_open: false });
        }
        // A line end is added: within quotes it ends nothing, and the library would end the row without a word.
        let (done, _, at) = self.step(b"\n", at);
        if !done {
            self.is_unclosed = self.step(b"", at).0;
            return self.is_unclosed.then_some(Row { bytes: read, fields: self.count, is_open: true });
        }
        Some(Row { bytes: read, fields: self.count, is_open: true })
    }

    /// Reads on, from so many bytes and ends of the row; whether the row ended, how much was read, and where it stands now.
    fn step(&mut self, input: &[u8], (mut bytes, mut ends): (usize, usize)) -> (bool, usize, (usize, usize)) {
        let mut read = 0;
        loop {
            let rest = input.get(read..).unwrap_or_default();
            let (out, out_ends) = (self.bytes.get_mut(bytes..), self.ends.get_mut(ends..));
            let (out, out_ends) = (out.unwrap_or_default(), out_ends.unwrap_or_default());
            let (result, taken, written, ended) = self.reader.read_record(rest, out, out_ends);
            (read, bytes, ends) = (read + taken, bytes + written, ends + ended);
            match result {
                ReadRecordResult::OutputFull => self.bytes.resize(self.bytes.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    self.count = ends;
                    return (true, read, (bytes, ends));
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return (false, read, (bytes, ends)),
            }
        }
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.ends.get(..self.count).unwrap_or_default();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }
}
