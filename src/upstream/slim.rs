//! Owns: cutting down, while it arrives, the one record that makes a page too large, so that the others can be had; where in
//! what arrived records end, so that those before can be taken out.
//!
//! Must not know: whether the JSON is right, what records say. What is cut down keeps its small members, so that it can be
//! named; it must never be taken for the record.

use bytes::Bytes;

use crate::record::{Path, Step};

/// Of a page that is too large, a record with more than one part in so many of the limit is.
const SHARE: u64 = 4;
/// Members of such a record that are kept.
const MEMBER_BYTES_MAX: usize = 1024;
/// All of them together; less where the limit is small.
const MEMBERS_BYTES_MAX: usize = 64 * 1024;

/// The page is too large in another way.
#[derive(Debug)]
pub struct SlimError;

/// A page that is being cut down.
#[expect(clippy::struct_excessive_bools, reason = "where the walk stands, each independent of the others")]
pub struct Slim {
    /// The keys that lead to the array of records.
    keys: Vec<Vec<u8>>,
    limit: usize,
    record_max: usize,
    members_max: usize,
    out: Vec<u8>,
    cut: Vec<usize>,
    in_string: bool,
    escaped: bool,
    depth: usize,
    /// So many of the containers that are open lead to the array.
    on_path: usize,
    /// The last string of a container on the path: its key, if a `:` follows.
    key: Vec<u8>,
    /// The value that follows leads on.
    leads: bool,
    /// The array is open.
    in_records: bool,
    record: Option<Record>,
    /// Records stand one a line.
    lines: bool,
    /// The array was open.
    was_open: bool,
    ends: Ends,
}

/// Where records can be told apart in what is left of a page.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// Behind the bracket that opens the array.
    pub opened: Option<usize>,
    /// Behind the last comma between records, or the last end of a line.
    pub behind: Option<usize>,
    /// At the bracket that closes the array.
    pub closed: Option<usize>,
}

/// The record that is passing.
struct Record {
    start: usize,
    /// Where its members of a small size stand, each with the comma before it.
    small: Vec<(usize, usize)>,
    /// Where the member that is passing begins.
    member: usize,
    /// It is being cut down.
    too_large: bool,
    /// What passes now is thrown away, up to the end of the member.
    skips: bool,
}

impl Slim {
    /// `None` where the path is none of keys only.
    pub fn new(path: &Path, limit: u64) -> Option<Self> {
        let key = |step: &Step| match step {
            Step::Key(name) => serde_json::to_vec(name).ok(),
            Step::Index(_) => None,
        };
        let keys = path.steps.iter().map(key).collect::<Option<Vec<_>>>()?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let record_max = usize::try_from(limit / SHARE).unwrap_or(usize::MAX).max(1);
        Some(Self {
            leads: true,
            keys,
            limit: most,
            record_max,
            members_max: (record_max / 4).min(MEMBERS_BYTES_MAX),
            out: Vec::new(),
            cut: Vec::new(),
            in_string: false,
            escaped: false,
            depth: 0,
            on_path: 0,
            key: Vec::new(),
            in_records: false,
            record: None,
            lines: false,
            was_open: false,
            ends: Ends::default(),
        })
    }

    /// Of a page of any size whose records are taken out as they come, each of at most `limit` bytes.
    pub fn streamed(self, limit: u64) -> Self {
        let record_max = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        Self { limit: usize::MAX, record_max, members_max: (record_max / 4).min(MEMBERS_BYTES_MAX), ..self }
    }

    /// Where records end.
    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// How much is there that was not taken out.
    pub fn left(&self) -> usize {
        self.out.len()
    }

    /// Takes out what stands before `to`, which is no place inside a record but at the very end; and where records that were cut down stand in it.
    pub fn drain(&mut self, to: usize) -> (Vec<u8>, Vec<usize>) {
        let rest = self.out.split_off(to.min(self.out.len()));
        let taken = std::mem::replace(&mut self.out, rest);
        let (cut, left): (Vec<usize>, Vec<usize>) = self.cut.iter().partition(|at| **at < to);
        self.cut = left.into_iter().map(|at| at - to).collect();
        let moved = |at: Option<usize>| at.and_then(|at| at.checked_sub(to));
        let Ends { opened, behind, closed } = self.ends;
        self.ends = Ends { opened: moved(opened), behind: moved(behind), closed: moved(closed) };
        if let Some(record) = &mut self.record {
            let moved = |at: usize| at.saturating_sub(to);
            (record.start, record.member) = (moved(record.start), moved(record.member));
            record.small.iter_mut().for_each(|(from, end)| (*from, *end) = (moved(*from), moved(*end)));
        }
        (taken, cut)
    }

    /// Of records that stand one a line: as in an array that begins before the first and ends after the last.
    pub fn of_lines(limit: u64) -> Option<Self> {
        let slim = Self::new(&Path { steps: Vec::new() }, limit)?;
        Some(Self { depth: 1, leads: false, in_records: true, lines: true, ..slim })
    }

    /// Takes what arrived.
    pub fn take(&mut self, chunk: &[u8]) -> Result<(), SlimError> {
        for byte in chunk {
            self.byte(*byte);
            self.cut_down();
            if self.out.len() > self.limit {
                return Err(SlimError);
            }
        }
        Ok(())
    }

    /// What is left of the page, and where the records that were cut down stand in it.
    pub fn finish(self) -> (Bytes, Vec<usize>) {
        (Bytes::from(self.out), self.cut)
    }

    fn byte(&mut self, byte: u8) {
        if self.lines && byte == b'\n' {
            // Whatever was wrong with the line ends with it.
            (self.in_string, self.escaped, self.in_records, self.depth, self.record) = (false, false, true, 1, None);
            self.emit(byte);
            self.ends.behind = Some(self.out.len());
            return;
        }
        if self.in_string {
            self.in_string_byte(byte);
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                if self.is_on_path() {
                    self.key.clear();
                    self.key.push(byte);
                }
                self.emit(byte);
            }
            b':' => {
                if self.is_on_path() {
                    self.leads = self.keys.get(self.on_path - 1) == Some(&self.key);
                }
                self.emit(byte);
            }
            b',' => {
                self.leads = false;
                self.end_member();
                let first = self
                    .record
                    .as_ref()
                    .is_some_and(|record| self.depth == self.record_depth() && self.out.len() == record.start + 1);
                if !first {
                    self.emit(byte);
                }
                if self.in_records && !self.lines && self.depth == self.record_depth() - 1 {
                    self.ends.behind = Some(self.out.len());
                }
            }
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(byte),
            _ => self.emit(byte),
        }
    }

    fn in_string_byte(&mut self, byte: u8) {
        if self.is_on_path() && self.key.len() < MEMBER_BYTES_MAX {
            self.key.push(byte);
        }
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
        self.emit(byte);
    }

    fn open(&mut self, byte: u8) {
        let leads = std::mem::take(&mut self.leads) && self.depth == self.on_path;
        // A second one is a key that stands twice, which is no listing.
        let opens = leads && byte == b'[' && self.on_path == self.keys.len() && !self.was_open;
        if opens {
            (self.in_records, self.was_open) = (true, true);
        } else if leads && byte == b'{' && self.on_path < self.keys.len() {
            self.on_path += 1;
        }
        let begins = self.in_records && byte == b'{' && self.depth == self.record_depth() - 1;
        self.depth += 1;
        self.emit(byte);
        if opens {
            self.ends.opened = Some(self.out.len());
        }
        if begins {
            let (start, member) = (self.out.len() - 1, self.out.len());
            self.record = Some(Record { start, small: Vec::new(), member, too_large: false, skips: false });
        }
    }

    fn close(&mut self, byte: u8) {
        if self.depth == self.record_depth() {
            self.end_member();
            self.record = None;
        } else if self.in_records && self.depth == self.record_depth() - 1 {
            self.in_records = false;
            self.ends.closed = Some(self.out.len());
        }
        self.depth = self.depth.saturating_sub(1);
        self.on_path = self.on_path.min(self.depth);
        self.emit(byte);
    }

    /// How many containers are open inside a record.
    fn record_depth(&self) -> usize {
        self.keys.len() + 2
    }

    /// The innermost open container leads to the array.
    fn is_on_path(&self) -> bool {
        self.on_path > 0 && self.depth == self.on_path && !self.in_records
    }

    fn emit(&mut self, byte: u8) {
        if self.record.as_ref().is_none_or(|record| !record.skips) {
            self.out.push(byte);
        }
    }

    /// A member of a record ends before what comes now.
    fn end_member(&mut self) {
        if self.depth != self.record_depth() {
            return;
        }
        let Some(record) = &mut self.record else { return };
        let end = self.out.len();
        let kept: usize = record.small.iter().map(|(from, to)| to - from).sum();
        if !record.skips && end - record.member <= MEMBER_BYTES_MAX && kept < self.members_max {
            record.small.push((record.member, end));
        }
        record.skips = false;
        record.member = end;
    }

    /// Throws away what is too much.
    fn cut_down(&mut self) {
        let Some(record) = &mut self.record else { return };
        if !record.too_large && self.out.len() - record.start > self.record_max {
            record.too_large = true;
            self.cut.push(record.start);
            let mut to = record.start + 1;
            for (at, (from, end)) in record.small.iter().enumerate() {
                let from = if at == 0 && self.out.get(*from) == Some(&b',') { from + 1 } else { *from };
                self.out.copy_within(from..*end, to);
                to += end - from;
            }
            self.out.truncate(to);
            // What is passing now is a part of the rest.
            (record.member, record.skips) = (to, true);
        }
        let kept = self.out.len() - record.start;
        if record.too_large && (self.out.len() - record.member > MEMBER_BYTES_MAX || kept > 2 * self.members_max) {
            self.out.truncate(record.member);
            record.skips = true;
        }
    }
}
