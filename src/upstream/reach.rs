//! Owns: whether an upstream can be reached at all, and what its answer tells besides: the time there, until when its
//! certificate is good.
//!
//! Must not know: credentials, budgets; who wants to know. Certificates are read as far as RFC 5280 §4.1 says where the time is.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// What an upstream answered to somebody without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The status; whichever it is, somebody was there.
    pub status: u16,
    /// The time there, by the header `Date`.
    pub date: Option<DateTime<Utc>>,
    /// Until when its certificate is good, over TLS.
    pub certificate_until: Option<DateTime<Utc>>,
}

/// Until when a certificate (X.509, DER) is good.
pub fn not_after(certificate: &[u8]) -> Option<DateTime<Utc>> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, outer, _) = element(certificate)?;
    let (_, mut inner, _) = element(outer)?;
    if inner.first() == Some(&VERSION) {
        inner = element(inner)?.2;
    }
    // The serial number, the algorithm, the issuer.
    for _ in 0..3 {
        inner = element(inner)?.2;
    }
    let (tag, validity, _) = element(inner)?;
    let (_, _, rest) = element(validity).filter(|_| tag == SEQUENCE)?;
    let (tag, time, _) = element(rest)?;
    parse_time(tag, std::str::from_utf8(time).ok()?)
}

/// The tag and content of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = digits.iter().try_fold(0_usize, |sum, digit| sum.checked_mul(256)?.checked_add((*digit).into()));
        (length?, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `UTCTime` (two digits of a year between 1950 and 2049) or `GeneralizedTime`.
fn parse_time(tag: u8, text: &str) -> Option<DateTime<Utc>> {
    let full = match tag {
        0x17 if text.get(..2)? < "50" => format!("20{text}"),
        0x17 => format!("19{text}"),
        0x18 => text.to_owned(),
        _ => return None,
    };
    NaiveDateTime::parse_from_str(&full, "%Y%m%d%H%M%SZ").ok().map(|time| time.and_utc())
}

/// How far the clock here is ahead of (or, negative, behind) the one there. The header knows whole seconds only.
pub fn offset(there: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) -> TimeDelta {
    if there + TimeDelta::seconds(1) < before {
        before - there
    } else if there > after {
        after - there
    } else {
        TimeDelta::zero()
    }
}

/// The earliest time that a clock can show which was ever set.
pub fn earliest() -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(2025, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn certificates_say_until_when_they_are_good() {
        let found: Vec<_> = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| not_after(der)).collect();
        assert!(found.iter().all(|until| until.is_some_and(|until| until > earliest())), "{found:?}");
        // The root of Let's Encrypt, as its web site tells.
        assert!(found.contains(&Some(at("2035-06-04T11:04:38Z"))));
        // One beyond 2049 is written with four digits of a year.
        assert!(parse_time(0x18, "20521231235959Z") == Some(at("2052-12-31T23:59:59Z")));
        assert!(parse_time(0x17, "490101000000Z") == Some(at("2049-01-01T00:00:00Z")));
        assert!(parse_time(0x17, "500101000000Z") == Some(at("1950-01-01T00:00:00Z")));
        let whole = webpki_root_certs::TLS_SERVER_ROOT_CERTS[0].as_ref();
        for length in 0..whole.len().min(200) {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn clocks_are_compared_to_the_second() {
        let check = |there: &str, expected: i64| {
            let found = offset(at(there), at("2026-01-01T00:00:10.5Z"), at("2026-01-01T00:00:11.5Z"));
            assert_eq!(found.num_milliseconds(), expected, "{there}");
        };
        check("2026-01-01T00:00:10Z", 0);
        check("2026-01-01T00:00:11Z", 0);
        check("2026-01-01T00:00:00Z", 10_500);
        check("2026-01-01T00:01:11Z", -59_500);
    }
}
