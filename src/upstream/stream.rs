//! Owns: records out of a body as it comes: which of its bytes are whole records, and what stands around them. In memory are
//! the record that is passing, a part of whole ones, and what stands around the array of a document.
//!
//! Must not know: connections; paging; what a record says.

use std::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};

use super::RecordsIn;
use super::lines::split_lines_from;
use super::nested::records_in_items;
use super::slim::{Ends, Slim, SlimError};
use super::split::{SplitError, split_records};
use super::table::{Columns, RowsAt, split_rows_from};
use crate::record::{Path, Step};
use crate::rules::{CsvFormat, ItemAt, ListAt};

/// A part is handed over once it has so many bytes, or as many as a record may have.
const PART_BYTES: usize = 1 << 20;
/// So many are looked at between two looks at what is whole by then.
const STEP_BYTES: usize = 64 * 1024;
/// Of a record that is too large so many times the limit are looked through; nearly all of it is thrown away.
const PASSED_MAX: usize = 16;

/// How much may be in memory.
#[derive(Clone, Copy)]
struct Sizes {
    /// The most that one record, or what stands around them, may have.
    record: usize,
    /// What is handed over together.
    part: usize,
}

/// Whether records that stand there can be taken off as they come.
pub fn can_stream(records: &RecordsIn) -> bool {
    match records {
        RecordsIn::Array(list) => list.path.steps.iter().all(|step| matches!(step, Step::Key(_))),
        RecordsIn::Lines | RecordsIn::Rows(_) => true,
    }
}

/// Whole records.
#[derive(Debug, Default)]
pub struct Piece {
    /// What they stand in.
    pub body: Bytes,
    /// Where each stands.
    pub records: Vec<Range<usize>>,
    /// So many items of the array they stand in.
    pub items: usize,
    /// Where those begin that were cut down to their small members because they are too large.
    pub cut_down: Vec<usize>,
}

/// Why no more records come.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The body is not what it should be, or not all of it.
    #[error("{0}")]
    Split(#[from] SplitError),
    /// A row, or what stands around the array, is larger than a record may be.
    #[error("{what} is larger than {limit} bytes, the limit set by `body_max`")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
}

/// A body that is taken apart while it comes.
pub struct Stream {
    form: Form,
    sizes: Sizes,
    /// What has come and was not looked at.
    waiting: Bytes,
    /// Bytes since a record last ended.
    passed: usize,
    ended: bool,
}

enum Form {
    Array(Array),
    Lines { slim: Box<Slim>, lines: u64 },
    Rows(Rows),
}

impl Form {
    /// Where the last record ended in what is there.
    fn behind(&self) -> Option<usize> {
        match self {
            Self::Array(Array { slim, .. }) | Self::Lines { slim, .. } => slim.ends().behind,
            Self::Rows(_) => None,
        }
    }
}

struct Array {
    slim: Box<Slim>,
    list: ListAt,
    at: At,
    /// What stands before the records, with the bracket, and behind them.
    around: Vec<u8>,
    /// So many items stand before what comes.
    before: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Before,
    Inside,
    Behind,
}

struct Rows {
    format: CsvFormat,
    buffer: BytesMut,
    at: Option<RowsAt>,
    /// There may be another whole row once so much is there.
    try_at: usize,
}

impl Stream {
    /// Of records that stand there, none larger than `limit` bytes; see [`can_stream`].
    pub fn new(records: &RecordsIn, limit: u64) -> Option<Self> {
        let record = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        let sizes = Sizes { record, part: PART_BYTES.min(record) };
        let form = match records {
            RecordsIn::Array(list) => Form::Array(Array {
                slim: Box::new(Slim::new(&list.path, limit)?.streamed(limit)),
                list: list.clone(),
                at: At::Before,
                around: Vec::new(),
                before: 0,
            }),
            RecordsIn::Lines => Form::Lines { slim: Box::new(Slim::of_lines(limit)?.streamed(limit)), lines: 0 },
            RecordsIn::Rows(format) => {
                Form::Rows(Rows { format: *format, buffer: BytesMut::new(), at: None, try_at: 0 })
            }
        };
        Some(Self { form, sizes, waiting: Bytes::new(), passed: 0, ended: false })
    }

    /// Takes what came, once [`Stream::next`] has nothing more.
    pub fn feed(&mut self, bytes: Bytes) {
        self.waiting = bytes;
    }

    /// Nothing more comes.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next whole records; `None` where more has to come first. After the end there is one last piece, maybe empty.
    pub fn next(&mut self) -> Result<Option<Piece>, StreamError> {
        loop {
            let step = self.waiting.split_to(self.waiting.len().min(STEP_BYTES).min(self.sizes.part));
            let is_last = self.ended && self.waiting.is_empty();
            let before = self.form.behind();
            let piece = match &mut self.form {
                Form::Array(array) => array.take(&step, is_last, self.sizes),
                Form::Lines { slim, lines } => take_lines(slim, lines, &step, is_last, self.sizes),
                Form::Rows(rows) => rows.take(&step, is_last, self.sizes),
            }?;
            let goes_on = piece.is_none() && self.form.behind() == before;
            self.passed = if goes_on { self.passed + step.len() } else { 0 };
            if self.passed > self.sizes.record.saturating_mul(PASSED_MAX) {
                return Err(StreamError::TooLarge { what: "a record", limit: self.sizes.record });
            }
            if piece.is_some() || self.waiting.is_empty() {
                return Ok(piece);
            }
        }
    }

    /// The columns of rows, once the header was read.
    pub fn columns(&self) -> Option<&Columns> {
        match &self.form {
            Form::Rows(Rows { at: Some(at), .. }) => Some(&at.columns),
            Form::Array(_) | Form::Lines { .. } | Form::Rows(_) => None,
        }
    }

    /// The document without its records, after the end; nothing for lines and rows.
    pub fn around(&self) -> Bytes {
        match &self.form {
            Form::Array(array) => Bytes::copy_from_slice(&array.around),
            Form::Lines { .. } | Form::Rows(_) => Bytes::new(),
        }
    }
}

fn pass(slim: &mut Slim, step: &[u8], sizes: Sizes) -> Result<(), StreamError> {
    // Its own limit is none here.
    slim.take(step).map_err(|SlimError| StreamError::TooLarge { what: "what was read", limit: sizes.record })
}

impl Array {
    fn take(&mut self, step: &[u8], is_last: bool, sizes: Sizes) -> Result<Option<Piece>, StreamError> {
        pass(&mut self.slim, step, sizes)?;
        if let (At::Before, Ends { opened: Some(at), .. }) = (self.at, self.slim.ends()) {
            self.around = self.slim.drain(at).0;
            self.at = At::Inside;
        }
        let mut piece = None;
        if self.at == At::Inside {
            let Ends { behind, closed, .. } = self.slim.ends();
            if let Some(at) = closed {
                piece = Some(self.records(at, true, sizes)?);
                self.at = At::Behind;
            } else if let Some(at) = behind.filter(|at| *at >= sizes.part) {
                piece = Some(self.records(at, false, sizes)?);
            } else {
                check_size("a record", self.slim.left().saturating_sub(behind.unwrap_or(0)), sizes)?;
            }
        }
        if self.at != At::Inside {
            check_size("what stands around the records", self.around.len() + self.slim.left(), sizes)?;
        }
        if !is_last {
            return Ok(piece);
        }
        if self.at == At::Inside {
            return Err(self.wrong("the body ends before the array of records does", true).into());
        }
        self.around.extend(self.slim.drain(self.slim.left()).0);
        Ok(Some(piece.unwrap_or_default()))
    }

    fn wrong(&self, what: &str, cut_short: bool) -> SplitError {
        SplitError::NotRows { format: "JSON", what: format!("{what}, in the array at {}", self.list.path), cut_short }
    }

    /// What stands up to there, a comma (which the place is behind) or the bracket that closes the array.
    fn records(&mut self, to: usize, is_end: bool, sizes: Sizes) -> Result<Piece, StreamError> {
        let (mut items, cut_down) = self.slim.drain(to);
        if !is_end {
            items.pop();
        }
        let is_blank = items.trim_ascii().is_empty();
        if is_blank && (self.before > 0 || !is_end) {
            return Err(self.wrong("a value was expected", false).into());
        }
        items.insert(0, b'[');
        items.push(b']');
        let wrong = |error| match error {
            SplitError::NotJson(what, _) => self.wrong(what, false),
            other => other,
        };
        let split = split_records(&items, &Path { steps: Vec::new() }, &[]).map_err(wrong)?;
        check_records("a record that is no object", &split.records, sizes)?;
        let is_whole = self.list.item == ItemAt::Whole;
        if !is_whole && !cut_down.is_empty() {
            return Err(StreamError::TooLarge { what: "an item that holds records", limit: sizes.record });
        }
        let cut_down = cut_down.into_iter().map(|at| at + 1).collect();
        let records = records_in_items(&items, &self.list, split.records, self.before)?;
        self.before += split.items;
        Ok(Piece { body: items.into(), records, items: split.items, cut_down })
    }
}

fn take_lines(
    slim: &mut Slim,
    lines: &mut u64,
    step: &[u8],
    is_last: bool,
    sizes: Sizes,
) -> Result<Option<Piece>, StreamError> {
    pass(slim, step, sizes)?;
    let behind = slim.ends().behind.unwrap_or(0);
    check_size("a line", slim.left() - behind, sizes)?;
    let to = if is_last { slim.left() } else { behind };
    if to < sizes.part && !is_last {
        return Ok(None);
    }
    let (body, cut_down) = slim.drain(to);
    let records = split_lines_from(&body, *lines + 1)?;
    *lines += body.split(|byte| *byte == b'\n').count() as u64 - 1;
    Ok(Some(Piece { body: body.into(), items: records.len(), records, cut_down }))
}

impl Rows {
    fn take(&mut self, step: &[u8], is_last: bool, sizes: Sizes) -> Result<Option<Piece>, StreamError> {
        self.buffer.extend_from_slice(step);
        if self.buffer.len() < self.try_at && !is_last {
            return Ok(None);
        }
        let (ranges, end) = split_rows_from(&self.buffer, self.format, &mut self.at, is_last)?;
        check_records("a row", &ranges, sizes)?;
        let piece = match &self.at {
            Some(at) if !ranges.is_empty() => {
                let (body, records) = at.columns.write_out(&self.buffer, &ranges, usize::MAX);
                Some(Piece { body: body.into(), items: records.len(), records, cut_down: Vec::new() })
            }
            Some(_) | None => None,
        };
        self.buffer.advance(end);
        check_size("a row", self.buffer.len(), sizes)?;
        // A long row is looked at again when it may have ended, and not with each of its bytes.
        self.try_at = sizes.part.max(2 * self.buffer.len()).min(sizes.record.saturating_add(sizes.part));
        Ok(piece.or_else(|| is_last.then(Piece::default)))
    }
}

fn check_size(what: &'static str, size: usize, sizes: Sizes) -> Result<(), StreamError> {
    let limit = sizes.record;
    // Looked at step by step, and a record that is cut down is at its limit when that is noticed.
    if size > limit.saturating_add(sizes.part.min(STEP_BYTES)) {
        return Err(StreamError::TooLarge { what, limit });
    }
    Ok(())
}

fn check_records(what: &'static str, records: &[Range<usize>], sizes: Sizes) -> Result<(), StreamError> {
    let limit = sizes.record;
    if records.iter().any(|record| record.len() > limit) {
        return Err(StreamError::TooLarge { what, limit });
    }
    Ok(())
}
