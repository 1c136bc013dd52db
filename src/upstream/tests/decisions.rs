//! Owns: tests of the pure halves: verdicts, waits, headers, budgets.
//!
//! Must not know: transports.

use super::super::classify::{Pace, Verdict, classify};
use super::super::ratelimit::{Observed, exhausted_for, parse_rate_limits};
use super::super::retry_after::{parse_backoff, parse_http_date, parse_retry_after, with_jitter};
use super::super::{backoff, words};
use super::*;
use crate::record::Filter;
use crate::rules::{ErrorClass, ErrorRule};

const NOT_DONE: Verdict = Verdict::Retry { pace: Pace::Transient, spent: FailureKind::NotDone };
const SAME_KEY: Verdict = Verdict::Retry { pace: Pace::Transient, spent: FailureKind::Unknown };
const GATED: Verdict = Verdict::Retry { pace: Pace::Throttled, spent: FailureKind::NotDone };
const VERIFY: Verdict = Verdict::Fail(FailureKind::Unknown);

#[test]
fn the_table_of_verdicts() {
    use FailureKind::{Auth, BadAnswer, Conflict, Fatal, Forbidden, Gone, Invalid, NotFound, TooLarge};
    let fail = Verdict::Fail;
    let not_sent = || Err(TransportError::NotSent("refused".to_owned()));
    let broken = || Err(TransportError::Broken("reset".to_owned()));
    let html = || answer(200, &[("content-type", "text/html; charset=utf-8")], "<p>Sign in</p>");
    // Outcome; read, keyed, plain.
    let table = [
        (not_sent(), [NOT_DONE, NOT_DONE, NOT_DONE]),
        (Err(TransportError::Certificate("expired".to_owned())), [fail(Fatal); 3]),
        (Err(TransportError::TimedOut("late".to_owned())), [NOT_DONE, SAME_KEY, VERIFY]),
        (broken(), [NOT_DONE, SAME_KEY, VERIFY]),
        (Err(TransportError::TooLarge { limit: 1 }), [fail(TooLarge), VERIFY, VERIFY]),
        (status(200), [Verdict::Success; 3]),
        (answer(204, &[], ""), [Verdict::Success; 3]),
        (html(), [fail(BadAnswer), VERIFY, VERIFY]),
        (answer(200, &[("content-type", "application/json")], " <html>"), [fail(BadAnswer), VERIFY, VERIFY]),
        (status(303), [fail(BadAnswer), fail(Invalid), VERIFY]),
        (status(304), [fail(BadAnswer), fail(Invalid), VERIFY]),
        (status(308), [fail(BadAnswer), fail(Invalid), VERIFY]),
        (status(400), [fail(Invalid); 3]),
        (status(401), [fail(Auth); 3]),
        (status(403), [fail(Forbidden); 3]),
        (answer(403, &[("retry-after", "9")], ""), [GATED; 3]),
        (status(404), [fail(NotFound); 3]),
        (status(408), [NOT_DONE, SAME_KEY, VERIFY]),
        (status(409), [fail(Conflict); 3]),
        (status(410), [fail(Gone); 3]),
        (status(412), [fail(Conflict); 3]),
        (status(413), [fail(Invalid); 3]),
        (status(422), [fail(Invalid); 3]),
        (status(425), [GATED; 3]),
        (status(429), [GATED; 3]),
        (status(500), [NOT_DONE, SAME_KEY, VERIFY]),
        (status(502), [NOT_DONE, SAME_KEY, VERIFY]),
        (status(503), [NOT_DONE, SAME_KEY, VERIFY]),
        (answer(503, &[("retry-after", "9")], ""), [GATED; 3]),
        (status(504), [NOT_DONE, SAME_KEY, VERIFY]),
    ];
    for (outcome, expected) in table {
        let got = [Safety::Read, Safety::Idempotent, Safety::Plain]
            .map(|safety| classify(outcome.as_ref(), safety, false, false, &[]));
        assert_eq!(got, expected, "{outcome:?}");
    }
    assert_eq!(classify(status(304).as_ref(), Safety::Read, true, false, &[]), Verdict::Success);
    assert_eq!(classify(status(403).as_ref(), Safety::Plain, false, true, &[]), GATED);
}

#[test]
fn an_error_rule_needs_all_its_conditions_and_the_first_wins() {
    let rule = |status: &[u16], when: Option<&str>, class| ErrorRule {
        status: status.to_vec(),
        headers: Vec::new(),
        when: when.map(|when| Filter::compile(when, &[]).unwrap()),
        class,
    };
    let rules = [
        rule(&[200, 403], Some(r#".errors[0].code == "THROTTLED""#), ErrorClass::RateLimited),
        rule(&[200], Some(".ok == false"), ErrorClass::Invalid),
        rule(&[410], None, ErrorClass::CursorExpired),
        rule(&[410], None, ErrorClass::Gone),
        rule(&[404], None, ErrorClass::Ok),
    ];
    let of = |status, body| classify(answer(status, &[], body).as_ref(), Safety::Plain, false, false, &rules);
    assert_eq!(of(200, r#"{"errors":[{"code":"THROTTLED"}]}"#), GATED);
    assert_eq!(of(500, r#"{"errors":[{"code":"THROTTLED"}]}"#), VERIFY);
    assert_eq!(of(200, r#"{"ok":false}"#), Verdict::Fail(FailureKind::Invalid));
    assert_eq!(of(200, r#"{"ok":true}"#), Verdict::Success);
    assert_eq!(of(200, "no json"), Verdict::Success);
    assert_eq!(of(410, ""), Verdict::Fail(FailureKind::CursorExpired));
    assert_eq!(of(404, ""), Verdict::Success);
}

#[test]
fn an_error_rule_looks_at_headers_and_wants_all_of_them() {
    let rule = |pairs: &[(&str, &str)], class| {
        let headers = pairs.iter().map(|(name, pattern)| ((*name).to_owned(), (*pattern).to_owned())).collect();
        ErrorRule { status: vec![403], headers, when: None, class }
    };
    let rules = [
        rule(&[("x-left", "0"), ("x-reason", "*limit*")], ErrorClass::RateLimited),
        rule(&[("x-reason", "*")], ErrorClass::Fatal),
    ];
    let of = |headers: &[(&str, &str)]| classify(answer(403, headers, "").as_ref(), Safety::Read, false, false, &rules);
    assert_eq!(of(&[("x-left", "0"), ("x-reason", "secondary rate limit exceeded")]), GATED);
    assert_eq!(of(&[("x-left", "1"), ("x-reason", "rate limit")]), Verdict::Fail(FailureKind::Fatal));
    // Any of its values will do.
    assert_eq!(of(&[("x-left", "7"), ("x-left", " 0"), ("x-reason", "limit")]), GATED);
    assert_eq!(of(&[("x-left", "0")]), Verdict::Fail(FailureKind::Forbidden), "the header is not there");
}

#[test]
fn the_case_of_a_headers_value_counts_where_http_says_nothing_else() {
    let rule = |name: &str, pattern: &str| ErrorRule {
        status: vec![400],
        headers: vec![(name.to_owned(), pattern.to_owned())],
        when: None,
        class: ErrorClass::RateLimited,
    };
    let cases = [
        ("x-reason", "Limit*", "Limit reached", true),
        ("x-reason", "Limit*", "limit reached", false),
        ("X-Reason", "Limit*", "Limit reached", true),
        ("content-type", "text/*", "Text/HTML", true),
        ("Content-Type", "Application/Problem+JSON*", "application/problem+json; charset=UTF-8", true),
        ("www-authenticate", "*insufficient_scope*", "bearer error=\"Insufficient_Scope\"", true),
    ];
    for (name, pattern, value, holds) in cases {
        let lower = name.to_ascii_lowercase();
        let outcome = answer(400, &[(&lower, value)], "");
        let verdict = classify(outcome.as_ref(), Safety::Read, false, false, &[rule(name, pattern)]);
        assert_eq!(verdict == GATED, holds, "{name}: {value}");
    }
}

#[test]
fn f24_retry_after_in_every_form() {
    let now = Utc.timestamp_opt(1_700_000_000, 0).unwrap(); // Tue, 14 Nov 2023 22:13:20 GMT
    let date = ("date", "Tue, 14 Nov 2023 20:00:00 GMT");
    let cases: [(&str, Option<f64>); 17] = [
        ("7", Some(7.0)),
        (" 7 ", Some(7.0)),
        ("0", Some(0.0)),
        ("-5", Some(0.0)),
        ("1.5", Some(1.5)),
        ("99999999999999999999", Some(3650.0 * 86_400.0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3650.0 * 86_400.0)),
        ("172800", Some(172_800.0)),
        ("7 seconds", None),
        ("Tue, 14 Nov 2023 25:00:30 GMT", None),
        ("soon", None),
        ("", None),
        ("NaN", None),
        ("Tue, 14 Nov 2023 20:00:30 GMT", Some(30.0)),
        ("Tuesday, 14-Nov-23 20:00:30 GMT", Some(30.0)),
        ("Tue Nov 14 20:00:30 2023", Some(30.0)),
        ("Tue, 14 Nov 2023 19:00:00 GMT", Some(0.0)),
    ];
    for (text, expected) in cases {
        let headers = answer(429, &[date, ("retry-after", text)], "").unwrap().headers;
        let expected = expected.map(Duration::from_secs_f64);
        assert_eq!(parse_retry_after(&headers, now), expected, "{text:?}");
    }
    let headers = answer(429, &[("retry-after", "Tue, 14 Nov 2023 22:14:20 GMT")], "").unwrap().headers;
    assert_eq!(parse_retry_after(&headers, now), Some(Duration::from_mins(1)));
    assert_eq!(parse_http_date("Wed Nov  1 00:00:00 2023"), parse_http_date("Wed, 01 Nov 2023 00:00:00 GMT"));
    assert_eq!(with_jitter(Duration::from_secs(10), 0), Duration::from_secs(10));
    assert!(with_jitter(Duration::from_secs(10), u64::MAX) <= Duration::from_secs(11));
    let headers = answer(200, &[("backoff", "30")], "").unwrap().headers;
    assert_eq!(parse_backoff(&headers), Some(Duration::from_secs(30)));
}

type Headers<'a> = &'a [(&'a str, &'a str)];

#[test]
fn rate_limit_headers_of_every_kind() {
    let now = Utc.timestamp_opt(1_700_000_000, 0).unwrap();
    let seen = |limit: Option<u64>, remaining, reset: Option<u64>| Observed {
        limit,
        remaining,
        reset: reset.map(Duration::from_secs),
    };
    let cases: [(Headers<'_>, Vec<Observed>); 12] = [
        (&[], vec![]),
        (
            &[
                ("ratelimit-policy", r#""burst";q=100;w=60,"day";q=5"#),
                ("ratelimit", r#""burst";r=50;t=30, "day";r=0;t=9"#),
            ],
            vec![seen(Some(100), 50, Some(30)), seen(Some(5), 0, Some(9))],
        ),
        (&[("ratelimit", "limit=100, remaining=50, reset=5")], vec![seen(Some(100), 50, Some(5))]),
        (
            &[("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "12")],
            vec![seen(Some(100), 0, Some(12))],
        ),
        (&[("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "1700000060")], vec![seen(None, 3, Some(60))]),
        (&[("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "1700000060000")], vec![seen(None, 3, Some(60))]),
        (&[("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "60")], vec![seen(None, 3, Some(60))]),
        (
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2023-11-14T22:14:20Z")],
            vec![seen(None, 0, Some(60))],
        ),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2023-11-14T22:15Z")], vec![seen(None, 0, Some(100))]),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2023-11-14T22:12Z")], vec![seen(None, 0, Some(0))]),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "soon")], vec![seen(None, 0, None)]),
        (&[("x-ratelimit-remaining", "many"), ("x-ratelimit-reset", "-1")], vec![]),
    ];
    for (headers, expected) in cases {
        assert_eq!(parse_rate_limits(&answer(200, headers, "").unwrap().headers, now), expected, "{headers:?}");
    }
    let two = [seen(None, 0, Some(5)), seen(None, 0, Some(50)), seen(None, 1, Some(500))];
    assert_eq!(exhausted_for(&two), Some(Duration::from_secs(50)));
}

#[test]
fn backoff_stays_within_its_bounds() {
    for (failures, most) in [(1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (99, 60.0)] {
        assert_eq!(backoff::transient_wait(failures, 0), Duration::ZERO);
        assert!(backoff::transient_wait(failures, u64::MAX) <= Duration::from_secs_f64(most));
    }
    for (failures, most) in [(1, 2), (2, 4), (8, 256), (9, 300), (99, 300)] {
        let most = Duration::from_secs(most);
        assert_eq!(backoff::throttled_wait(failures, 0), most / 2);
        assert!(backoff::throttled_wait(failures, u64::MAX) <= most);
    }
}

#[test]
fn words_find_the_message_and_stay_short() {
    let of = |body: &str| words::upstream_words(&answer(422, &[], body).unwrap());
    assert_eq!(of(r#"{"error":{"message":"too long"}}"#), "too long");
    assert_eq!(of(r#"{"errors":[{"detail":"bad mail"}]}"#), "bad mail");
    assert_eq!(of("plain\n\ttext"), "plain text");
    assert!(of(&"x".repeat(5000)).chars().count() <= 301);
}
