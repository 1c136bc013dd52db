//! Owns: the file of a cassette: its lines, its limits, writing it whole or not at all, reading it.
//!
//! Must not know: what is masked in it, which answer belongs to which request.
//!
//! JSON, one document a line: what it is and when it began, then each exchange, then how it ended. A file without the last line
//! is a part of one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tempfile::NamedTempFile;

use super::mask::Mask;
use crate::upstream::TransportError;

/// The version of the layout that is written, and the only one that is read.
const VERSION: u32 = 1;
/// Larger files are not read: it is held in memory.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the layout.
    cassette: u32,
    /// What wrote it.
    program: String,
    /// When it was begun.
    pub recorded_at: DateTime<Utc>,
    /// What was read, as `COLLECTION.UPSTREAM`.
    pub bindings: Vec<String>,
    /// Members whose values were replaced by made-up ones.
    pub redacted: Vec<String>,
}

impl Header {
    /// Of a recording that begins now.
    pub fn new(recorded_at: DateTime<Utc>, bindings: Vec<String>, redacted: Vec<String>) -> Self {
        let program = concat!("reconciled ", env!("CARGO_PKG_VERSION")).to_owned();
        Self { cassette: VERSION, program, recorded_at, bindings, redacted }
    }
}

/// A request and what came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// When the answer was there.
    pub at: DateTime<Utc>,
    /// Who was asked.
    pub upstream: String,
    /// It repeats one that was refused, with other credentials. Whoever replays has none, and is answered by this one alone.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub heals: bool,
    /// What was asked.
    pub request: Asked,
    /// What was answered; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answer: Option<Answer>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<Failed>,
}

/// A request, without credentials.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The whole address.
    pub url: String,
    /// What the rules of the upstream send with every request, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<Body>,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers in their order.
    pub headers: Vec<(String, String)>,
    /// The body, decoded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<Body>,
    /// Which of its records were cut down to their small members because they are too large, by their place from 0 on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub cut_down: Vec<usize>,
}

/// A body, in the most readable form that loses nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// JSON as it stood there.
    Json(Box<RawValue>),
    /// Text.
    Text(String),
    /// Bytes.
    Base64(String),
    /// Left out, and why.
    LeftOut(String),
}

/// What went wrong below HTTP.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failed {
    NotSent(String),
    Certificate(String),
    Identity(String),
    TimedOut(String),
    Broken(String),
    NotRecorded(String),
    TooLarge(u64),
    Bomb(u64),
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ended {
    end: End,
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    exchanges: u64,
    /// Why it ended before everything was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    early: Option<String>,
}

/// Why there is no cassette.
#[derive(Debug, thiserror::Error)]
pub enum CassetteError {
    /// A file is in the way.
    #[error("{0} is there already; remove it, or record to another file")]
    Exists(String),
    /// It cannot be written.
    #[error("{0} cannot be written: {1}")]
    Write(String, String),
    /// It cannot be read.
    #[error("{0} cannot be read: {1}")]
    Read(String, String),
    /// It is something else.
    #[error("{0} is no cassette: {1}; `reconciled record --to FILE` makes one")]
    Foreign(String, String),
    /// It is of another version.
    #[error("{0} is a cassette of version {1}, and this program reads version {VERSION}; record it anew")]
    Version(String, u64),
    /// The end is missing.
    #[error("{0} ends after line {1}, in the midst of a recording: it was cut off; record it anew")]
    CutOff(String, usize),
    /// A line is wrong.
    #[error("{0}, line {1}: {2}")]
    Line(String, usize, String),
}

/// How much is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the file, about.
    pub bytes: u64,
    /// Requests.
    pub requests: u64,
}

/// What a recording came to.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// Requests in it.
    pub requests: u64,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Why it ended before everything was asked.
    pub early: Option<String>,
    /// Bodies that were left out, because what was to be masked in them cannot be found.
    pub left_out: u64,
}

/// A cassette that is being recorded. It is in its place once it is finished, and nowhere before.
pub struct Tape {
    pub(super) mask: Mask,
    limits: Limits,
    to: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// Absent once it is finished.
    file: Option<BufWriter<NamedTempFile>>,
    recorded: Recorded,
    failure: Option<String>,
}

impl Tape {
    /// Begins one. Only its owner may look into it.
    pub fn begin(to: &Path, header: &Header, mask: Mask, limits: Limits) -> Result<Self, CassetteError> {
        let name = to.display().to_string();
        if to.symlink_metadata().is_ok() {
            return Err(CassetteError::Exists(name));
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |error: &std::io::Error| CassetteError::Write(name.clone(), error.to_string());
        let file = tempfile::Builder::new().prefix(".reconciled-record-").tempfile_in(folder);
        let mut file = BufWriter::new(file.map_err(|error| failed(&error))?);
        let line = text_of(header);
        file.write_all(line.as_bytes()).map_err(|error| failed(&error))?;
        let recorded = Recorded { requests: 0, bytes: line.len() as u64, early: None, left_out: 0 };
        Ok(Self {
            mask,
            limits,
            to: to.to_owned(),
            state: Mutex::new(State { file: Some(file), recorded, failure: None }),
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is room for another exchange.
    pub fn check_room(&self) -> Result<(), TransportError> {
        self.with(|State { recorded, failure, .. }| {
            if recorded.bytes >= self.limits.bytes {
                recorded
                    .early
                    .get_or_insert_with(|| format!("the limit of {} MB is reached", self.limits.bytes / 1_000_000));
            } else if recorded.requests >= self.limits.requests {
                recorded
                    .early
                    .get_or_insert_with(|| format!("the limit of requests is reached, {}", recorded.requests));
            }
            let why = failure.as_ref().or(recorded.early.as_ref());
            why.map_or(Ok(()), |why| Err(TransportError::NotRecorded(format!("nothing more is recorded: {why}"))))
        })
    }

    /// Adds an exchange.
    pub fn keep(&self, exchange: &Exchange) {
        let line = text_of(exchange);
        let left_out = |body: Option<&Body>| u64::from(matches!(body, Some(Body::LeftOut(_))));
        let answer = exchange.answer.as_ref().and_then(|answer| answer.body.as_ref());
        self.with(|State { file, recorded, failure }| {
            recorded.requests += 1;
            recorded.bytes += line.len() as u64;
            recorded.left_out += left_out(answer) + left_out(exchange.request.body.as_ref());
            if let Some(Err(error)) = file.as_mut().map(|file| file.write_all(line.as_bytes())) {
                failure.get_or_insert_with(|| error.to_string());
            }
        });
    }

    /// Puts it in its place.
    pub fn finish(&self) -> Result<Recorded, CassetteError> {
        let name = self.to.display().to_string();
        let failed = |why: String| CassetteError::Write(name.clone(), why);
        self.with(|State { file, recorded, failure }| {
            if let Some(why) = failure {
                return Err(failed(why.clone()));
            }
            let end = End { exchanges: recorded.requests, early: recorded.early.clone() };
            let line = text_of(&Ended { end });
            recorded.bytes += line.len() as u64;
            let Some(mut file) = file.take() else { return Err(failed("it is finished".to_owned())) };
            file.write_all(line.as_bytes()).map_err(|error| failed(error.to_string()))?;
            let file = file.into_inner().map_err(|error| failed(error.to_string()))?;
            file.as_file().sync_all().map_err(|error| failed(error.to_string()))?;
            // One that somebody else put there meanwhile stays.
            file.persist_noclobber(&self.to).map_err(|error| match error.error.kind() {
                std::io::ErrorKind::AlreadyExists => CassetteError::Exists(name.clone()),
                _ => failed(error.error.to_string()),
            })?;
            let Recorded { requests, bytes, early, left_out } = &*recorded;
            Ok(Recorded { requests: *requests, bytes: *bytes, early: early.clone(), left_out: *left_out })
        })
    }
}

fn text_of(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap_or_default() + "\n"
}

/// A cassette that was recorded.
#[derive(Debug)]
pub struct Cassette {
    /// What it is.
    pub header: Header,
    /// The exchanges in their order.
    pub exchanges: Vec<Exchange>,
    /// Why it ended before everything was asked.
    pub early: Option<String>,
}

impl Cassette {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, CassetteError> {
        let name = path.display().to_string();
        let failed = |error: &std::io::Error| CassetteError::Read(name.clone(), error.to_string());
        let file = File::open(path).map_err(|error| failed(&error))?;
        if file.metadata().map_err(|error| failed(&error))?.len() > FILE_BYTES_MAX {
            let why = format!("it is larger than {} GB", FILE_BYTES_MAX >> 30);
            return Err(CassetteError::Read(name, why));
        }
        let mut lines = BufReader::new(file.take(FILE_BYTES_MAX)).split(b'\n').enumerate();
        let first = lines.next().map_or_else(|| Ok(Vec::new()), |(_, line)| line).map_err(|error| failed(&error))?;
        let header = read_header(&name, &first)?;
        let (mut exchanges, mut end, mut last) = (Vec::new(), None, 1);
        for (at, line) in lines {
            let line = line.map_err(|error| failed(&error))?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let wrong = |what: String| CassetteError::Line(name.clone(), at + 1, what);
            if end.is_some() {
                return Err(wrong("something follows the end; a file holds one cassette".to_owned()));
            }
            last = at + 1;
            match serde_json::from_slice::<Ended>(&line) {
                Ok(ended) => end = Some(ended.end),
                Err(_no_end) => match serde_json::from_slice::<Exchange>(&line) {
                    Ok(exchange) => exchanges.push(exchange),
                    // What was cut off ends in the midst of a line.
                    Err(error) if error.is_eof() => return Err(CassetteError::CutOff(name, last)),
                    Err(error) => return Err(wrong(format!("no exchange: {error}"))),
                },
            }
        }
        match end {
            Some(end) => Ok(Self { header, exchanges, early: end.early }),
            None => Err(CassetteError::CutOff(name, last)),
        }
    }
}

fn read_header(name: &str, line: &[u8]) -> Result<Header, CassetteError> {
    let foreign = |why: &str| CassetteError::Foreign(name.to_owned(), why.to_owned());
    let value: serde_json::Value =
        serde_json::from_slice(line).map_err(|_no_json| foreign("its first line is not JSON"))?;
    match value.get("cassette").and_then(serde_json::Value::as_u64) {
        None => Err(foreign("its first line does not say `cassette`")),
        Some(version) if version != u64::from(VERSION) => Err(CassetteError::Version(name.to_owned(), version)),
        Some(_) => {
            let wrong = |error: serde_json::Error| CassetteError::Line(name.to_owned(), 1, error.to_string());
            serde_json::from_value(value).map_err(wrong)
        }
    }
}

impl Body {
    /// The body of these bytes. JSON stands in one line, which changes nothing that it says.
    pub fn of(text: String) -> Self {
        // No string of JSON has a line's end in it.
        let line = text.replace(['\n', '\r'], " ");
        RawValue::from_string(line).map_or(Self::Text(text), Self::Json)
    }

    /// Of bytes that are no text.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::Base64(base64::engine::general_purpose::STANDARD.encode(bytes))
    }

    /// The bytes; the reason where they were left out or cannot be read.
    pub fn bytes(&self) -> Result<Bytes, String> {
        match self {
            Self::Json(json) => Ok(Bytes::copy_from_slice(json.get().as_bytes())),
            Self::Text(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            Self::Base64(text) => base64::engine::general_purpose::STANDARD
                .decode(text)
                .map(Bytes::from)
                .map_err(|error| error.to_string()),
            Self::LeftOut(why) => Err(why.clone()),
        }
    }
}

impl Answer {
    /// Its headers, as far as they are any.
    pub fn header_map(&self) -> HeaderMap {
        let header = |(name, value): &(String, String)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        };
        self.headers.iter().filter_map(header).fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }
}

impl Failed {
    /// Of an error; `mask` takes secrets out of words.
    pub fn of(error: &TransportError, mask: impl Fn(&str) -> String) -> Self {
        match error {
            TransportError::NotSent(why) => Self::NotSent(mask(why)),
            TransportError::Certificate(why) => Self::Certificate(mask(why)),
            TransportError::Identity(why) => Self::Identity(mask(why)),
            TransportError::TimedOut(why) => Self::TimedOut(mask(why)),
            TransportError::Broken(why) => Self::Broken(mask(why)),
            TransportError::NotRecorded(why) => Self::NotRecorded(mask(why)),
            TransportError::TooLarge { limit } => Self::TooLarge(*limit),
            TransportError::Endless => Self::NotRecorded(error.to_string()),
            TransportError::Bomb { ratio } => Self::Bomb(*ratio),
        }
    }

    /// The error again.
    pub fn error(&self) -> TransportError {
        match self {
            Self::NotSent(why) => TransportError::NotSent(why.clone()),
            Self::Certificate(why) => TransportError::Certificate(why.clone()),
            Self::Identity(why) => TransportError::Identity(why.clone()),
            Self::TimedOut(why) => TransportError::TimedOut(why.clone()),
            Self::Broken(why) => TransportError::Broken(why.clone()),
            Self::NotRecorded(why) => TransportError::NotRecorded(why.clone()),
            Self::TooLarge(limit) => TransportError::TooLarge { limit: *limit },
            Self::Bomb(ratio) => TransportError::Bomb { ratio: *ratio },
        }
    }
}
