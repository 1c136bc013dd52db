//! Owns: an answer's body as it arrives: unpacked, counted, and within its limits at every moment.
//!
//! Must not know: connections, what the body is for. What is cut out of a page is the matter of `slim`; what becomes of a
//! listing that is given out as it comes is that of `stream`.

use std::io::Write;

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;

use super::slim::{Slim, SlimError};
use super::{RecordsIn, TransportError};

/// An answer that unpacks to more than so many times its size is a bomb. JSON seldom reaches fifty; deflate ends at 1032.
const RATIO_MAX: u64 = 250;
/// Small answers may have any ratio.
const RATIO_FREE_BYTES: u64 = 1024 * 1024;
/// Of a page with records that are too large so many times the limit are looked through; nearly all of it is thrown away.
const PASSED_MAX: u64 = 16;
/// Bodies are not allocated ahead beyond this, whatever `Content-Length` promises.
const AHEAD_MAX: u64 = 1024 * 1024;

/// How what gzip packed begins (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A body on its way in.
pub struct Body {
    unpacked: Unpacked,
    arrived: u64,
    /// The first bytes, while it cannot be told from them whether the body is a packed file.
    head: Option<Vec<u8>>,
}

enum Unpacked {
    Plain(Kept),
    Gzip(Box<MultiGzDecoder<Kept>>),
}

/// What is kept of the unpacked stream.
struct Kept {
    limit: u64,
    records: Option<RecordsIn>,
    whole: BytesMut,
    /// From the moment that the body is over its limit, where records can be told apart in it.
    slim: Option<Box<Slim>>,
    passed: u64,
    /// How much may be unpacked from what has arrived.
    passed_max: u64,
    error: Option<TransportError>,
    /// All of it is given out as it comes.
    streams: bool,
}

impl Body {
    /// Of at most `limit` bytes. Where `records` says where records stand, one that alone makes the body too large is cut down
    /// instead of failing all (a row has no members that could be kept), and a body that is a packed file is unpacked,
    /// although no header says so: no JSON, and no header of a table, begins so.
    pub fn new(gzip: bool, limit: u64, records: Option<RecordsIn>, promised: u64) -> Result<Self, TransportError> {
        let may_be_cut = records.as_ref().is_some_and(RecordsIn::may_be_cut);
        let passed_most = if may_be_cut { limit.saturating_mul(PASSED_MAX) } else { limit };
        if promised > passed_most {
            return Err(TransportError::TooLarge { limit });
        }
        Ok(Self::begun(gzip, Kept { limit, records, whole: room(promised), ..Kept::nothing() }))
    }

    /// Of a listing that may be larger than `limit`: what arrived is to be taken out of it from then on ([`Body::drain`]).
    pub fn streamed(gzip: bool, limit: u64, records: RecordsIn, promised: u64) -> Self {
        let whole = room(promised.min(limit));
        Self::begun(gzip, Kept { limit, records: Some(records), whole, streams: true, ..Kept::nothing() })
    }

    fn begun(gzip: bool, kept: Kept) -> Self {
        let head = (kept.records.is_some() && !gzip).then(Vec::new);
        let kept = Kept { passed_max: u64::MAX, ..kept };
        let unpacked = if gzip { Unpacked::Gzip(Box::new(MultiGzDecoder::new(kept))) } else { Unpacked::Plain(kept) };
        Self { unpacked, arrived: 0, head }
    }

    fn kept(&mut self) -> &mut Kept {
        match &mut self.unpacked {
            Unpacked::Plain(kept) => kept,
            Unpacked::Gzip(decoder) => decoder.get_mut(),
        }
    }

    /// Whether more was unpacked than the limit.
    pub fn is_over(&mut self) -> bool {
        let kept = self.kept();
        kept.passed > kept.limit
    }

    /// Whether it is given out as it comes.
    pub fn streams(&mut self) -> bool {
        self.kept().streams
    }

    /// Whether it says itself where it ends: a packed file does, and a document does.
    pub fn says_its_end(&mut self) -> bool {
        matches!(self.unpacked, Unpacked::Gzip(_)) || matches!(self.kept().records, Some(RecordsIn::Array(_)))
    }

    /// Takes out what was unpacked since.
    pub fn drain(&mut self) -> Bytes {
        self.kept().whole.split().freeze()
    }

    /// Takes what arrived.
    pub fn take(&mut self, chunk: &[u8]) -> Result<(), TransportError> {
        let Some(mut head) = self.head.take() else { return self.pass(chunk) };
        // As good as always the first chunk says it, and is not copied for that.
        if head.is_empty() && chunk.len() >= GZIP_MAGIC.len() {
            return self.begin(chunk);
        }
        head.extend_from_slice(chunk);
        if head.len() < GZIP_MAGIC.len() {
            self.head = Some(head);
            return Ok(());
        }
        self.begin(&head)
    }

    /// Takes the beginning, which says whether the body is a packed file.
    fn begin(&mut self, chunk: &[u8]) -> Result<(), TransportError> {
        if let Unpacked::Plain(kept) = &mut self.unpacked
            && chunk.starts_with(&GZIP_MAGIC)
        {
            let kept = std::mem::replace(kept, Kept::nothing());
            self.unpacked = Unpacked::Gzip(Box::new(MultiGzDecoder::new(kept)));
        }
        self.pass(chunk)
    }

    fn pass(&mut self, chunk: &[u8]) -> Result<(), TransportError> {
        self.arrived += chunk.len() as u64;
        match &mut self.unpacked {
            Unpacked::Plain(kept) => kept.take(chunk),
            Unpacked::Gzip(decoder) => {
                decoder.get_mut().passed_max = self.arrived.saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
                let written = decoder.write_all(chunk);
                let ours = decoder.get_mut().error.take();
                written.map_err(|error| ours.unwrap_or_else(|| broken(&error)))
            }
        }
    }

    /// The whole body, and where in it records stand that were cut down.
    pub fn finish(mut self) -> Result<(Bytes, Vec<usize>), TransportError> {
        if let Some(head) = self.head.take() {
            self.pass(&head)?;
        }
        let kept = match self.unpacked {
            Unpacked::Plain(kept) => kept,
            // Nothing at all is an empty body, however it is packed.
            Unpacked::Gzip(_) if self.arrived == 0 => return Ok((Bytes::new(), Vec::new())),
            Unpacked::Gzip(decoder) => {
                let mut decoder = *decoder;
                decoder.try_finish().map_err(|error| broken(&error))?;
                let ours = decoder.get_mut().error.take();
                match ours {
                    Some(error) => return Err(error),
                    None => decoder.finish().map_err(|error| broken(&error))?,
                }
            }
        };
        Ok(match kept.slim {
            Some(slim) => slim.finish(),
            None => (kept.whole.freeze(), Vec::new()),
        })
    }
}

/// Room for what is promised, as far as that is worth anything.
fn room(promised: u64) -> BytesMut {
    BytesMut::with_capacity(usize::try_from(promised.min(AHEAD_MAX)).unwrap_or(0))
}

fn broken(error: &std::io::Error) -> TransportError {
    TransportError::Broken(format!("the packed answer cannot be read: {error}"))
}

impl Kept {
    fn nothing() -> Self {
        let whole = BytesMut::new();
        let (records, slim, error) = (None, None, None);
        Self { limit: 0, records, whole, slim, passed: 0, passed_max: 0, error, streams: false }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), TransportError> {
        self.passed += chunk.len() as u64;
        if self.passed > self.passed_max {
            return Err(TransportError::Bomb { ratio: RATIO_MAX });
        }
        if self.streams {
            self.whole.extend_from_slice(chunk);
            return Ok(());
        }
        let too_large = TransportError::TooLarge { limit: self.limit };
        if self.passed > self.limit && self.slim.is_none() {
            let slim = match self.records.as_ref().filter(|_| self.limit > 0) {
                Some(records) if !records.may_be_cut() => None,
                Some(RecordsIn::Array(list)) => Slim::new(&list.path, self.limit),
                Some(RecordsIn::Lines) => Slim::of_lines(self.limit),
                Some(RecordsIn::Rows(_)) | None => None,
            };
            let Some(mut slim) = slim else { return Err(too_large) };
            slim.take(&std::mem::take(&mut self.whole)).map_err(|SlimError| too_large.clone())?;
            self.slim = Some(Box::new(slim));
        }
        match &mut self.slim {
            None => self.whole.extend_from_slice(chunk),
            Some(_) if self.passed > self.limit.saturating_mul(PASSED_MAX) => return Err(too_large),
            Some(slim) => slim.take(chunk).map_err(|SlimError| too_large)?,
        }
        Ok(())
    }
}

impl Write for Kept {
    fn write(&mut self, chunk: &[u8]) -> std::io::Result<usize> {
        self.take(chunk).map_err(|error| {
            let words = std::io::Error::other(error.to_string());
            self.error = Some(error);
            words
        })?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
