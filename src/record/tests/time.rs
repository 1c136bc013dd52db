//! Claims about `time`.

use crate::record::token::Token;
use crate::record::{Json, TimeFormat};

fn check(format: TimeFormat, token: &str, expected: Result<&str, &str>) {
    let read = format.read_token(&Token::from(&Json::parse(token.as_bytes()).unwrap()));
    let shown = read.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)).map_err(|error| error.reason);
    assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{format:?} {token}");
}

#[test]
fn s44_one_instant_in_every_common_writing() {
    use TimeFormat::{HttpDate, Rfc3339, UnixMs, UnixS};
    let same = "2024-01-31T09:30:00Z";
    for (format, token) in [
        (Rfc3339, "\"2024-01-31T09:30:00Z\""),
        (Rfc3339, "\"2024-01-31t09:30:00.000z\""),
        (Rfc3339, "\"2024-01-31 09:30:00\""),
        (Rfc3339, "\"2024-01-31T09:30:00\""),
        (Rfc3339, "\"2024-01-31T09:30Z\""),
        (Rfc3339, "\"2024-01-31T15:00:00+05:30\""),
        (Rfc3339, "\"2024-01-31T15:00:00+0530\""),
        (Rfc3339, "\"2024-01-30T21:30:00-12\""),
        (Rfc3339, "\"2024-01-31T09:30:00.0000009Z\""),
        (Rfc3339, "\"2024-01-31T09:29:60Z\""),
        (UnixS, "1706693400"),
        (UnixS, "1706693400.0"),
        (UnixS, "\"1706693400\""),
        (UnixS, "1.7066934e9"),
        (UnixMs, "1706693400000"),
        (UnixMs, "\"1706693400000\""),
        (HttpDate, "\"Wed, 31 Jan 2024 09:30:00 GMT\""),
        (HttpDate, "\"Wednesday, 31-Jan-24 09:30:00 GMT\""),
        (HttpDate, "\"Wed Jan 31 09:30:00 2024\""),
    ] {
        check(format, token, Ok(same));
    }
    check(Rfc3339, "\"2024-01-31T09:30:00.1234567+01:00\"", Ok("2024-01-31T08:30:00.123456Z"));
    check(UnixS, "1706693400.1234567", Ok("2024-01-31T09:30:00.123456Z"));
    check(UnixMs, "1706693400000.5", Ok("2024-01-31T09:30:00Z"));
    check(UnixS, "-0.5", Ok("1969-12-31T23:59:59.500Z"));
    check(UnixS, "0", Ok("1970-01-01T00:00:00Z"));
}

#[test]
fn what_is_no_instant_is_named() {
    use TimeFormat::{HttpDate, Rfc3339, UnixMs, UnixS};
    let rfc3339 = "expected a date-time such as 2024-01-31T09:30:00Z, found ";
    for token in [
        "\"2024-02-30T00:00:00Z\"",
        "\"2024-01-31\"",
        "\"2024-01-31T24:00:00Z\"",
        "\"2024-01-31T09:30:00+25:00\"",
        "\"\"",
    ] {
        check(Rfc3339, token, Err(&format!("{rfc3339}string {token}")));
    }
    check(Rfc3339, "1706693400", Err(&format!("{rfc3339}number 1706693400")));
    check(UnixS, "1e30", Err("expected seconds since 1970 such as 1706693400, found number 1e30"));
    check(UnixS, "1706693400000", Err("expected seconds since 1970 such as 1706693400, found number 1706693400000"));
    check(UnixMs, "\"soon\"", Err("expected milliseconds since 1970 such as 1706693400000, found string \"soon\""));
    check(
        HttpDate,
        "\"Wed, 31 Jan 22024 19:30:00 GMT\"",
        Err(
            "expected an HTTP date such as Wed, 31 Jan 2024 09:30:00 GMT, found string \"Wed, 31 Jan 22024 19:30:00 GMT\"",
        ),
    );
    check(HttpDate, "true", Err("expected an HTTP date such as Wed, 31 Jan 2024 09:30:00 GMT, found boolean true"));
}

#[test]
fn instants_are_written_in_their_format() {
    let check = |micros: i64, format: TimeFormat, expected: &str| {
        let at = chrono::DateTime::from_timestamp_micros(micros).unwrap();
        assert_eq!(format.write(at).to_string(), expected, "{format:?}");
    };
    check(1_706_693_400_000_000, TimeFormat::Rfc3339, "\"2024-01-31T09:30:00Z\"");
    check(1_706_693_400_120_000, TimeFormat::Rfc3339, "\"2024-01-31T09:30:00.120Z\"");
    check(1_706_693_400_000_000, TimeFormat::UnixS, "1706693400");
    check(1_706_693_400_120_000, TimeFormat::UnixS, "1706693400.12");
    check(-500_000, TimeFormat::UnixS, "-0.5");
    check(1_706_693_400_120_999, TimeFormat::UnixMs, "1706693400120");
    check(-1, TimeFormat::UnixMs, "-1");
    check(1_706_693_400_120_999, TimeFormat::HttpDate, "\"Wed, 31 Jan 2024 09:30:00 GMT\"");
}
