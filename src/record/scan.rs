//! Owns: the JSON grammar over bytes: one strict, borrowing, depth-limited walk that every reader of this module shares.
//!
//! Must not know: what is looked for in a document.

use std::borrow::Cow;

use super::token::Token;
use super::{Json, JsonError, Path, Step, number};

/// What is wrong and where. Boxed to keep results small.
#[derive(Debug)]
pub(super) struct Fault(Box<Details>);

#[derive(Debug)]
struct Details {
    reason: String,
    /// Collected while unwinding, innermost first.
    steps: Vec<Step>,
}

pub(super) type Scan<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(Box::new(Details { reason: reason.into(), steps: Vec::new() }))
    }

    fn under(mut self, step: Step) -> Self {
        self.0.steps.push(step);
        self
    }
}

impl From<Fault> for JsonError {
    fn from(fault: Fault) -> Self {
        let steps = fault.0.steps.into_iter().rev().collect();
        Self { path: Path { steps }.to_string(), reason: fault.0.reason }
    }
}

/// A place in a document. Methods read one thing and move behind it.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// A place to return to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    at: usize,
    depth: usize,
}

/// The shape of the next value, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Scan<Self> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { text, at: 0, depth: 0 }),
            Err(error) => Err(Fault::new(format!("not UTF-8 (byte {})", error.valid_up_to()))),
        }
    }

    /// How many bytes have been read.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Where the scanner stands, to return to with [`Scanner::rewind`].
    pub(super) fn mark(&self) -> Mark {
        Mark { at: self.at, depth: self.depth }
    }

    pub(super) fn rewind(&mut self, mark: Mark) {
        self.at = mark.at;
        self.depth = mark.depth;
    }

    /// Only white space may follow.
    pub(super) fn end(&mut self) -> Scan<()> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.fault("nothing more")),
        }
    }

    pub(super) fn shape(&mut self) -> Scan<Shape> {
        match self.next_byte() {
            Some(b'"') => Ok(Shape::String),
            Some(b'{') => Ok(Shape::Object),
            Some(b'[') => Ok(Shape::Array),
            Some(b'-' | b'0'..=b'9') => Ok(Shape::Number),
            Some(b't' | b'f') => Ok(Shape::Bool),
            Some(b'n') => Ok(Shape::Null),
            _ => Err(self.fault("a value")),
        }
    }

    pub(super) fn null(&mut self) -> Scan<()> {
        self.word("null")
    }

    pub(super) fn bool(&mut self) -> Scan<bool> {
        if self.peek() == Some(b't') { self.word("true").map(|()| true) } else { self.word("false").map(|()| false) }
    }

    pub(super) fn number(&mut self) -> Scan<&'a str> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        match number::lex(rest) {
            Ok(length) => {
                let token = self.slice(self.at, self.at + length);
                self.at += length;
                Ok(token)
            }
            Err(length) => {
                self.at += length;
                Err(self.fault("a digit"))
            }
        }
    }

    /// A string; borrowed where it has no escapes. The scanner stands on the opening quote.
    pub(super) fn string(&mut self) -> Scan<Cow<'a, str>> {
        self.at += 1;
        let start = self.at;
        if self.plain_run()? == b'"' {
            let text = self.slice(start, self.at);
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        let mut text = self.slice(start, self.at).to_owned();
        loop {
            self.at += 1;
            text.push(self.escape()?);
            let start = self.at;
            let stop = self.plain_run()?;
            text.push_str(self.slice(start, self.at));
            if stop == b'"' {
                self.at += 1;
                return Ok(Cow::Owned(text));
            }
        }
    }

    /// Passes a string, checking its escapes.
    fn skip_string(&mut self) -> Scan<()> {
        self.at += 1;
        while self.plain_run()? != b'"' {
            self.at += 1;
            self.escape()?;
        }
        self.at += 1;
        Ok(())
    }

    /// The members of an object: `member` gets each key and must read its value. The scanner stands on `{`.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &Cow<'a, str>) -> Scan<()>) -> Scan<()> {
        self.enter()?;
        let mut first = true;
        while let Some(key) = self.next_key(&mut first)? {
            if let Err(fault) = member(self, &key) {
                return Err(fault.under(Step::Key(key.into_owned())));
            }
        }
        Ok(())
    }

    /// The next key of an object that was entered, the scanner behind its colon; `None` at the end of the object.
    pub(super) fn next_key(&mut self, first: &mut bool) -> Scan<Option<Cow<'a, str>>> {
        match (self.next_byte(), std::mem::replace(first, false)) {
            (Some(b'}'), _) => {
                self.leave();
                return Ok(None);
            }
            (Some(b','), false) => self.at += 1,
            (_, true) => {}
            (_, false) => return Err(self.fault("`,` or `}`")),
        }
        if self.next_byte() != Some(b'"') {
            return Err(self.fault("a key in double quotes"));
        }
        let key = self.string()?;
        if self.next_byte() != Some(b':') {
            return Err(self.fault("`:`").under(Step::Key(key.into_owned())));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// The items of an array: `item` gets each index and must read its value. The scanner stands on `[`.
    pub(super) fn array(&mut self, mut item: impl FnMut(&mut Self, usize) -> Scan<()>) -> Scan<()> {
        self.enter()?;
        if self.next_byte() == Some(b']') {
            self.leave();
            return Ok(());
        }
        let mut index = 0;
        loop {
            item(self, index).map_err(|fault| fault.under(Step::Index(index)))?;
            index += 1;
            match self.next_byte() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.leave();
                    return Ok(());
                }
                _ => return Err(self.fault("`,` or `]`")),
            }
        }
    }

    /// Passes one value, checking its grammar but not its keys for uniqueness; returns its bytes.
    pub(super) fn skip(&mut self) -> Scan<&'a str> {
        let shape = self.shape()?;
        let start = self.at;
        match shape {
            Shape::Null => self.null()?,
            Shape::Bool => drop(self.bool()?),
            Shape::Number => drop(self.number()?),
            Shape::String => self.skip_string()?,
            Shape::Array => self.array(|scanner, _| scanner.skip().map(drop))?,
            Shape::Object => self.object(|scanner, _| scanner.skip().map(drop))?,
        }
        Ok(self.slice(start, self.at))
    }

    /// Reads one value as a codec wants it: scalars borrowed, containers as trees.
    pub(super) fn token(&mut self) -> Scan<Token<'a>> {
        Ok(match self.shape()? {
            Shape::Null => {
                self.null()?;
                Token::Null
            }
            Shape::Bool => Token::Bool(self.bool()?),
            Shape::Number => Token::Number(Cow::Borrowed(self.number()?)),
            Shape::String => Token::String(self.string()?),
            Shape::Array | Shape::Object => Token::Nested(Cow::Owned(self.json()?)),
        })
    }

    /// Reads one value with everything in it; keys are unique.
    pub(super) fn json(&mut self) -> Scan<Json> {
        Ok(match self.shape()? {
            Shape::Null => {
                self.null()?;
                Json::Null
            }
            Shape::Bool => Json::Bool(self.bool()?),
            Shape::Number => Json::Number(self.number()?.to_owned()),
            Shape::String => Json::String(self.string()?.into_owned()),
            Shape::Array => {
                let mut items = Vec::new();
                self.array(|scanner, _| {
                    items.push(scanner.json()?);
                    Ok(())
                })?;
                Json::Array(items)
            }
            Shape::Object => {
                let mut members = Vec::new();
                self.object(|scanner, key| {
                    members.push((key.clone().into_owned(), scanner.json()?));
                    Ok(())
                })?;
                check_unique(&members)?;
                Json::Object(members)
            }
        })
    }

    /// Moves to the next quote, backslash or forbidden byte; returns the quote or backslash it stands on.
    fn plain_run(&mut self) -> Scan<u8> {
        let bytes = self.text.as_bytes();
        while let Some(chunk) = bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let stops = special_bytes(u64::from_le_bytes(*chunk));
            if stops != 0 {
                self.at += (stops.trailing_zeros() / 8) as usize;
                return self.string_stop();
            }
            self.at += 8;
        }
        while bytes.get(self.at).is_some_and(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\') {
            self.at += 1;
        }
        self.string_stop()
    }

    fn string_stop(&self) -> Scan<u8> {
        match self.peek() {
            Some(stop @ (b'"' | b'\\')) => Ok(stop),
            Some(byte) => {
                Err(Fault::new(format!("unescaped control character {byte:#04x} in a string (byte {})", self.at)))
            }
            None => Err(Fault::new("the document ends inside a string")),
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Scan<char> {
        let byte = self.peek();
        self.at += 1;
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(Fault::new(format!("unknown escape in a string (byte {})", self.at - 1))),
        })
    }

    fn unicode_escape(&mut self) -> Scan<char> {
        let start = self.at - 2;
        let lone = || Fault::new(format!("lone surrogate in a string (byte {start})"));
        let first = self.hex4()?;
        if !(0xD800..0xE000).contains(&first) {
            return char::from_u32(first).ok_or_else(lone);
        }
        if first >= 0xDC00 || self.text.as_bytes().get(self.at..self.at + 2) != Some(b"\\u") {
            return Err(lone());
        }
        self.at += 2;
        let second = self.hex4()?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(lone());
        }
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or_else(lone)
    }

    fn hex4(&mut self) -> Scan<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let code = digits.iter().try_fold(0, |code, byte| Some(code * 16 + char::from(*byte).to_digit(16)?));
        match code {
            Some(code) if digits.len() == 4 => {
                self.at += 4;
                Ok(code)
            }
            _ => Err(Fault::new(format!("\\u needs four hexadecimal digits (byte {})", self.at))),
        }
    }

    /// Goes into a container; the scanner stands on its bracket.
    pub(super) fn enter(&mut self) -> Scan<()> {
        self.depth += 1;
        if self.depth > Json::DEPTH_MAX {
            return Err(Fault::new(format!("nested deeper than {} levels (byte {})", Json::DEPTH_MAX, self.at)));
        }
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn word(&mut self, word: &'static str) -> Scan<()> {
        let end = self.at + word.len();
        if self.text.as_bytes().get(self.at..end) == Some(word.as_bytes()) {
            self.at = end;
            Ok(())
        } else {
            Err(self.fault(word))
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space; the scanner stands on it.
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Both ends are next to ASCII bytes, so they are character boundaries.
    fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn fault(&self, expected: &str) -> Fault {
        let rest = self.text.get(self.at..).unwrap_or_default();
        Fault::new(match rest.chars().next() {
            Some(found) => format!("expected {expected}, found `{}` (byte {})", found.escape_debug(), self.at),
            None => format!("expected {expected}, found the end of the document"),
        })
    }
}

/// The high bit of each byte that is a quote, a backslash or a control character; exact up to the first such byte.
/// (Bit tricks as in "Hacker's Delight", 6-1: a borrow can only spoil bytes above a true hit.)
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES * 0x80;
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5C);
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    (is_quote | is_backslash | is_control) & HIGHS
}

fn check_unique(members: &[(String, Json)]) -> Scan<()> {
    let duplicate = if members.len() <= 16 {
        members.iter().enumerate().find(|(at, (key, _))| members.iter().take(*at).any(|(other, _)| other == key))
    } else {
        let mut seen = std::collections::HashSet::with_capacity(members.len());
        members.iter().enumerate().find(|(_, (key, _))| !seen.insert(key.as_str()))
    };
    match duplicate {
        Some((_, (key, _))) => Err(Fault::new("duplicate key").under(Step::Key(key.clone()))),
        None => Ok(()),
    }
}
