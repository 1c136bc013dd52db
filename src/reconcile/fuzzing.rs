//! Owns: what holds for any kept cursor, as assertions for `fuzz/` and tests.
//!
//! Must not know: how pages are fetched.

use std::time::Duration;

use chrono::DateTime;

use super::cursor::Cursor;
use crate::record::{TimeFormat, fuzzing};
use crate::rules::{Incremental, Place, SinceFrom};

/// The longest overlap that rules can ask for.
const LOOKBACK_MAX: Duration = Duration::from_hours(3_650 * 24);

/// The first line is a moment in seconds, the second and third are instants, the rest is a cursor as the store keeps it.
/// What is kept is what is read again; a finished listing never moves the mark back, nor beyond the request.
pub fn check_cursor(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (moment, left, right, kept) = (part(), part(), part(), part());
    fuzzing::check_instants(left, right);
    let seconds: i64 = std::str::from_utf8(moment).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    let now = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    let Ok(kept) = std::str::from_utf8(kept) else { return };
    let Ok(cursor) = Cursor::load(Some(kept), "way") else { return };
    assert_eq!(Cursor::load(Some(&cursor.save()), "way").ok().as_ref(), Some(&cursor));
    let into = || Place::Query("since".into());
    let since = |from, format, lookback| Incremental::Since { into: into(), from, format, lookback, value: None };
    let formats = [TimeFormat::Rfc3339, TimeFormat::UnixS, TimeFormat::UnixMs, TimeFormat::HttpDate];
    let mut ways = vec![Incremental::None, Incremental::Conditional];
    ways.push(since(SinceFrom::Header("etag".into()), TimeFormat::UnixS, Duration::ZERO));
    ways.extend(formats.map(|format| since(SinceFrom::UpdatedAt, format, Duration::from_mins(2))));
    ways.extend(formats.map(|format| since(SinceFrom::UpdatedAt, format, LOOKBACK_MAX)));
    for way in &ways {
        for full in [false, true] {
            let (query, complete) = cursor.query(way, full, now);
            assert_eq!((query.clone(), complete), cursor.query(way, full, now));
            assert_eq!(query.since.is_none(), complete, "only a complete listing asks for everything");
            assert!(!full || complete, "who asks for everything gets it");
        }
    }
    let started = now.timestamp_micros();
    let mut finished = cursor.clone();
    finished.finish(true, None, cursor.high.map(|high| high.saturating_add(1)), started, started);
    let second = |high: Option<i64>| high.map(|high| high.div_euclid(1_000_000));
    assert!(second(finished.high) >= second(cursor.high), "the mark moved back by more than to the whole second");
    assert!(finished.high <= cursor.high.max(Some(started)), "the mark passed the request");
    assert_eq!((finished.scan, finished.mark, finished.full_at), (None, cursor.mark, Some(started)));
}
