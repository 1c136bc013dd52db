//! Owns: finding, in one walk over an answer's bytes, where each record stands and what else the rules look for beside them.
//!
//! Must not know: paging, what a record says. Records are only matched bracket by bracket: what is wrong inside one is
//! that record's own trouble when it is mapped, and no other's.

use std::ops::Range;

use super::lacking::is_missing;
use super::nested::records_in_items;
use crate::record::{Path, Step};
use crate::rules::ListAt;

/// Kinds of nested brackets are remembered down to here; deeper ones are only counted.
const KINDS_MAX: u32 = 128;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// The items of the array at the first path, or the records in them.
    pub records: Vec<Range<usize>>,
    /// So many items the array has.
    pub items: usize,
    /// The values at the other paths, in their order.
    pub found: Vec<Option<Range<usize>>>,
}

/// Why there are no records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Not JSON, or not all of it.
    #[error("not JSON: {0} at byte {1}")]
    NotJson(&'static str, usize),
    /// Nothing at the records path.
    #[error("no records at {0}")]
    Missing(String),
    /// Something else than an array.
    #[error("what stands at {0} is not an array")]
    NotArray(String),
    /// An item of the array holds no record where one should be, or no array.
    #[error(
        "{item} holds nothing for {records}, or something else than what is to be there, or an error; behind an array that may be \
         missing stands a question mark: `[]?`"
    )]
    NoneInItem {
        /// The path in the rules.
        records: String,
        /// Which item.
        item: String,
    },
    /// An item of the array tells an error beside its records.
    #[error(
        "{item} has an `error` or `errors` beside what {records} is to find, so that not all could be had; an `error` rule of the \
         upstream may say what that means"
    )]
    ErrorInItem {
        /// The path in the rules.
        records: String,
        /// Which item.
        item: String,
    },
    /// An item of the array holds an array where a record should be.
    #[error("what stands at {0} is an array and no record: write `records = \"{0}[]\"` for its items")]
    ListInItem(String),
    /// Not NDJSON, not CSV, or not all of it.
    #[error("not {format}: {what}")]
    NotRows {
        /// What it should be.
        format: &'static str,
        /// What is wrong, and in which line.
        what: String,
        /// It is the end that is missing.
        cut_short: bool,
    },
}

impl SplitError {
    /// Says so where a body of this length is the beginning of what it should be and not the end. An empty one is not: that
    /// is how some say "nothing".
    pub fn cut_short(&self, length: usize) -> bool {
        match self {
            Self::NotJson(_, at) => *at >= length && length > 0,
            Self::NotRows { cut_short, .. } => *cut_short,
            Self::Missing(_)
            | Self::NotArray(_)
            | Self::NoneInItem { .. }
            | Self::ErrorInItem { .. }
            | Self::ListInItem(_) => false,
        }
    }
}

/// Finds the items of the array at `records` and the values at `others`.
pub fn split_records(body: &[u8], records: &Path, others: &[&Path]) -> Result<Split, SplitError> {
    let mut walk = Walk::new(body, records, others);
    walk.document()?;
    match walk.array {
        None => Err(SplitError::Missing(records.to_string())),
        Some(false) => Err(SplitError::NotArray(records.to_string())),
        Some(true) => Ok(Split { items: walk.records.len(), records: walk.records, found: walk.found }),
    }
}

/// The same, by the rules, with what stands deeper in the items. An answer that may lack the array and does has no items, unless it speaks of an error.
pub fn split_list(body: &[u8], list: &ListAt, others: &[&Path]) -> Result<Split, SplitError> {
    let lacking = match split_records(body, &list.path, others) {
        Err(error @ (SplitError::Missing(_) | SplitError::NotArray(_))) if list.may_lack => error,
        Err(error) => return Err(error),
        Ok(split) => {
            let records = records_in_items(body, list, split.records, 0)?;
            return Ok(Split { records, ..split });
        }
    };
    let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if !is_object || !is_missing(body, &list.path)? {
        return Err(lacking);
    }
    Ok(Split { records: Vec::new(), items: 0, found: find_values(body, others)? })
}

/// Finds the values at `paths`.
pub fn find_values(body: &[u8], paths: &[&Path]) -> Result<Vec<Option<Range<usize>>>, SplitError> {
    let none = Path { steps: vec![Step::Index(usize::MAX)] };
    let mut walk = Walk::new(body, &none, paths);
    walk.document()?;
    Ok(walk.found)
}

/// Checks that the bytes are one value, bracket by bracket.
pub fn check_whole(bytes: &[u8]) -> Result<(), SplitError> {
    let (paths, records, found) = (Vec::new(), Vec::new(), Vec::new());
    Walk { bytes, at: 0, paths, records, array: None, found }.document()
}

/// Says so where the body is the beginning of JSON and not the end; see [`SplitError::cut_short`].
pub fn cut_short(body: &[u8]) -> Option<String> {
    find_values(body, &[]).err().filter(|error| error.cut_short(body.len())).map(|error| error.to_string())
}

/// The text of a scalar token: a string unescaped, a number as written; `None` for null, false, `""` and containers.
pub fn token_text(body: &[u8], at: Option<&Range<usize>>) -> Option<String> {
    let token = std::str::from_utf8(body.get(at?.clone())?).ok()?;
    match token.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(token).ok().filter(|text| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(token.to_owned()),
        b't' => Some("true".to_owned()),
        _ => None,
    }
}

/// As [`token_text`], where the text says how a listing goes on: only nothing, null and `""` say that it does not. Any
/// other value that is no text or number is an error, because taking it for the end would make a listing look complete.
pub fn next_text(body: &[u8], at: Option<&Range<usize>>) -> Result<Option<String>, String> {
    let Some(token) = at.and_then(|at| body.get(at.clone())) else { return Ok(None) };
    if matches!(token, b"null" | b"\"\"") {
        return Ok(None);
    }
    let text = match token.first() {
        Some(b't' | b'f') => None,
        _ => token_text(body, at),
    };
    let shown = || String::from_utf8_lossy(token.get(..40).unwrap_or(token)).into_owned();
    text.map(Some).ok_or_else(|| format!("the next page cannot be told from `{}`", shown()))
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The records path first.
    paths: Vec<&'a [Step]>,
    records: Vec<Range<usize>>,
    array: Option<bool>,
    found: Vec<Option<Range<usize>>>,
}

/// A set of paths that lead through the value at hand, as bits.
type Live = u32;

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], records: &'a Path, others: &[&'a Path]) -> Self {
        let paths = std::iter::once(&records.steps).chain(others.iter().map(|path| &path.steps)).map(Vec::as_slice);
        let at = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let found = vec![None; others.len()];
        Self { bytes, at, paths: paths.take(32).collect(), records: Vec::new(), array: None, found }
    }

    fn document(&mut self) -> Result<(), SplitError> {
        let all = (0..self.paths.len()).fold(0, |live: Live, path| live | (1 << path));
        self.value(all, 0)?;
        match self.next() {
            None => Ok(()),
            Some(_) => self.fail("more after the end"),
        }
    }

    /// One value that `live` paths lead to after `depth` steps. Recursion is as deep as the paths are long.
    fn value(&mut self, live: Live, depth: usize) -> Result<(), SplitError> {
        let Some(first) = self.next() else { return self.fail("ends too early") };
        let start = self.at;
        let ends_here = |path: usize, steps: &[Step]| live & (1 << path) != 0 && steps.len() == depth;
        let is_records = self.paths.first().is_some_and(|steps| ends_here(0, steps));
        let through = self.advance(live, depth, |_| true);
        match first {
            b'[' if is_records || through != 0 => self.array(live, depth, is_records)?,
            b'{' if through != 0 => self.object(live, depth)?,
            _ => self.skip()?,
        }
        if is_records {
            self.array = Some(first == b'[');
        }
        for path in 1..self.paths.len() {
            if self.paths.get(path).is_some_and(|steps| ends_here(path, steps))
                && let Some(found) = self.found.get_mut(path - 1)
            {
                if found.is_some() {
                    return self.fail("a key that stands twice");
                }
                *found = Some(start..self.at);
            }
        }
        Ok(())
    }

    /// The live paths whose step at `depth` is wanted.
    fn advance(&self, live: Live, depth: usize, wanted: impl Fn(&Step) -> bool) -> Live {
        let mut through = 0;
        for (path, steps) in self.paths.iter().enumerate() {
            if live & (1 << path) != 0 && steps.get(depth).is_some_and(&wanted) {
                through |= 1 << path;
            }
        }
        through
    }

    fn object(&mut self, live: Live, depth: usize) -> Result<(), SplitError> {
        self.at += 1;
        if self.next() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.next() != Some(b'"') {
                return self.fail("a key was expected");
            }
            let start = self.at;
            self.string()?;
            let key = self.bytes.get(start..self.at).unwrap_or_default();
            let through = self.advance(live, depth, |step| matches!(step, Step::Key(name) if is_key(key, name)));
            if self.next() != Some(b':') {
                return self.fail("`:` was expected");
            }
            self.at += 1;
            if through & 1 != 0 && self.array.is_some() {
                return self.fail("a key that stands twice");
            }
            if through == 0 {
                self.skip()?;
            } else {
                self.value(through, depth + 1)?;
            }
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail("`,` or `}` was expected"),
            }
        }
    }

    fn array(&mut self, live: Live, depth: usize, is_records: bool) -> Result<(), SplitError> {
        self.at += 1;
        if self.next() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for index in 0.. {
            self.next();
            let start = self.at;
            let through = self.advance(live, depth, |step| *step == Step::Index(index));
            if through == 0 {
                self.skip()?;
            } else {
                self.value(through, depth + 1)?;
            }
            if is_records {
                self.records.push(start..self.at);
            }
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail("`,` or `]` was expected"),
            }
        }
        Ok(())
    }

    /// Passes one value: strings and brackets in full, everything between them unread.
    fn skip(&mut self) -> Result<(), SplitError> {
        match self.next() {
            Some(b'{' | b'[') => self.container(),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => self.scalar(),
            Some(_) => self.fail("a value was expected"),
            None => self.fail("ends too early"),
        }
    }

    fn container(&mut self) -> Result<(), SplitError> {
        let mut depth = 0_u32;
        let mut kinds = 0_u128;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(plain) = rest.iter().position(|byte| STOPS.get(usize::from(*byte)) == Some(&true)) else {
                self.at = self.bytes.len();
                return self.fail("ends too early");
            };
            self.at += plain;
            match rest.get(plain) {
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(open @ (b'{' | b'[')) => {
                    if depth < KINDS_MAX {
                        kinds = (kinds & !(1 << depth)) | (u128::from(*open == b'{') << depth);
                    }
                    depth += 1;
                }
                Some(close) => {
                    depth -= 1;
                    if depth < KINDS_MAX && ((kinds >> depth) & 1 == 1) != (*close == b'}') {
                        return self.fail("a bracket that does not match");
                    }
                }
                None => return self.fail("ends too early"),
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Passes a string; the walk stands on its opening quote.
    fn string(&mut self) -> Result<(), SplitError> {
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            match find_string_stop(rest) {
                Some(stop) if rest.get(stop) == Some(&b'"') => {
                    self.at += stop + 1;
                    return Ok(());
                }
                Some(stop) => self.at += stop + 2,
                None => {
                    self.at = self.bytes.len();
                    return self.fail("ends inside a string");
                }
            }
        }
    }

    fn scalar(&mut self) -> Result<(), SplitError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')).count();
        let token = rest.get(..length).unwrap_or_default();
        if !matches!(token, b"true" | b"false" | b"null")
            && serde_json::from_slice::<&serde_json::value::RawValue>(token).is_err()
        {
            // At the very end it may be the beginning of a value.
            if length == rest.len() {
                self.at += length;
            }
            return self.fail("a value that is none");
        }
        self.at += length;
        Ok(())
    }

    /// The next byte that is no white space; the walk stands on it.
    fn next(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, SplitError> {
        Err(SplitError::NotJson(what, self.at))
    }
}

/// Bytes that mean something between the strings of a container.
const STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    stops[b'"' as usize] = true;
    stops[b'{' as usize] = true;
    stops[b'}' as usize] = true;
    stops[b'[' as usize] = true;
    stops[b']' as usize] = true;
    stops
};

fn is_key(quoted: &[u8], name: &str) -> bool {
    if quoted.contains(&b'\\') {
        return serde_json::from_slice::<String>(quoted).is_ok_and(|key| key == name);
    }
    quoted.len() == name.len() + 2 && quoted.get(1..=name.len()) == Some(name.as_bytes())
}

/// Where the next quote or backslash is, eight bytes at a time (Hacker's Delight, 6-1: exact up to the first hit).
fn find_string_stop(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES * 0x80;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let (quote, backslash) = (word ^ (ONES * 0x22), word ^ (ONES * 0x5C));
        let hits = ((quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGHS;
        if hits != 0 {
            return Some(at + (hits.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).map(|stop| at + stop)
}
