//! Owns: what holds for any headers and any page, as assertions for `fuzz/` and tests.
//!
//! Must not know: upstreams.

use std::ops::Range;

use chrono::DateTime;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::WAIT_MAX;
use super::lines::split_lines;
use super::paging::next_link;
use super::ratelimit::{exhausted_for, parse_rate_limits};
use super::retry_after::{parse_backoff, parse_retry_after, with_jitter};
use super::split::{check_whole, cut_short, find_values, split_records, token_text};
use super::table::split_rows;
use crate::record::{Json, Path, Step};
use crate::rules::CsvFormat;

/// No wait is longer than a day, jitter adds a tenth at most, the same headers say the same; and the next page's address
/// stands in the header as it was given.
pub fn check_headers(data: &[u8]) {
    let (now, lines) = data.split_at_checked(4).unwrap_or((&[], data));
    let seconds = now.iter().fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
    let now = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(50) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(&value[1..])) {
            headers.append(name, value);
        }
    }
    let retry = parse_retry_after(&headers, now);
    assert_eq!(retry, parse_retry_after(&headers, now));
    for wait in retry.into_iter().chain(parse_backoff(&headers)) {
        assert!(wait <= WAIT_MAX, "{wait:?}");
        for random in [0, u64::MAX / 3, u64::MAX] {
            let jittered = with_jitter(wait, random);
            assert!(jittered >= wait && jittered <= wait + wait / 10, "{wait:?} became {jittered:?}");
        }
    }
    let limits = parse_rate_limits(&headers, now);
    assert_eq!(limits, parse_rate_limits(&headers, now));
    assert!(limits.iter().filter_map(|limit| limit.reset).all(|reset| reset <= WAIT_MAX), "{limits:?}");
    if let Some(wait) = exhausted_for(&limits) {
        assert!(limits.iter().any(|limit| limit.remaining == 0 && limit.reset == Some(wait)), "{limits:?}");
    }
    let next = next_link(&headers);
    assert_eq!(next, next_link(&headers));
    if let Ok(Some(target)) = next {
        let stands = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).contains(target.as_str());
        assert!(headers.get_all(http::header::LINK).iter().any(stands), "{target}");
    }
}

/// Lines and rows are pieces of the page, in order; a line is a value, and a row is written out as JSON where it is text.
fn check_rows(body: &[u8]) {
    let check = |pieces: &[Range<usize>]| {
        let mut end = 0;
        for piece in pieces {
            assert!(piece.start >= end && piece.start < piece.end && piece.end <= body.len(), "{pieces:?}");
            end = piece.end;
        }
    };
    if let Ok(lines) = split_lines(body) {
        check(&lines);
        for line in &lines {
            assert_eq!(check_whole(body.get(line.clone()).unwrap_or_default()), Ok(()));
        }
    }
    for empty_is_null in [false, true] {
        let Ok((columns, rows)) = split_rows(body, CsvFormat { delimiter: b',', empty_is_null }) else { continue };
        check(&rows);
        let (out, records) = columns.write_out(body, &rows, usize::MAX);
        assert_eq!(records.len(), rows.len());
        for record in records {
            let record = out.get(record).unwrap_or_default();
            assert!(std::str::from_utf8(record).is_err() || Json::parse(record).is_ok(), "a row that is no JSON");
        }
    }
}

/// Records are pieces of the page, in order, and are what another reader of JSON finds there; asking for several paths at
/// once finds what asking for each alone does; nothing whole is called cut short.
pub fn check_split(data: &[u8]) {
    let (shape, body) = data.split_first().unwrap_or((&0, &[]));
    let key = |name: &str| Step::Key(name.to_owned());
    let records = Path {
        steps: match shape % 4 {
            0 => Vec::new(),
            1 => vec![key("d")],
            2 => vec![key("data"), key("items")],
            _ => vec![key("d"), Step::Index(0)],
        },
    };
    let others = [
        Path { steps: vec![key("next")] },
        Path { steps: vec![key("meta"), key("next")] },
        Path { steps: vec![key("d")] },
        Path { steps: vec![Step::Index(0), key("id")] },
    ];
    let others: Vec<&Path> = others.iter().collect();
    check_rows(body);
    let whole = serde_json::from_slice::<&serde_json::value::RawValue>(body).is_ok();
    assert!(!whole || cut_short(body).is_none(), "whole, but called cut short");
    let split = split_records(body, &records, &others);
    assert_eq!(split, split_records(body, &records, &others));
    let alone: Vec<_> = others.iter().map(|path| find_values(body, &[path])).collect();
    if let Ok(split) = &split {
        let mut end = 0;
        for piece in &split.records {
            assert!(piece.start >= end && piece.start < piece.end && piece.end <= body.len(), "{:?}", split.records);
            end = piece.end;
        }
        for (together, alone) in split.found.iter().zip(&alone) {
            assert_eq!(alone.as_ref().ok().and_then(|found| found.first()), Some(together));
            let _text = token_text(body, together.as_ref());
        }
    }
    // What our own reader takes for JSON is unique in its keys, so that both must find the same.
    let Ok(json) = Json::parse(body) else { return };
    assert!(whole, "read, but not JSON");
    let expected = records.get(&json);
    match (&split, expected) {
        (Ok(split), Some(Json::Array(items))) => {
            let read = |piece: &Range<usize>| body.get(piece.clone()).map(Json::parse);
            assert_eq!(split.records.len(), items.len());
            for (piece, item) in split.records.iter().zip(items) {
                assert_eq!(read(piece), Some(Ok(item.clone())));
            }
            for (path, found) in others.iter().zip(&split.found) {
                let there = found.as_ref().and_then(read).and_then(Result::ok);
                assert_eq!(there.as_ref(), path.get(&json), "{path}");
            }
        }
        (Ok(split), other) => unreachable!("{split:?} out of {other:?}"),
        (Err(error), other) => assert!(!matches!(other, Some(Json::Array(_))), "{error} at {other:?}"),
    }
}
