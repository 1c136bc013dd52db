//! Owns: tests of budgets: what may leave when, what answers teach.
//!
//! Must not know: sockets, calls.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::super::budget::{Budgets, hear};
use super::super::ratelimit::told_limit;
use super::{answer, budget_of};
use crate::record::{Filter, Path};
use crate::rules::{Budget, Cost, CostAt, NextAt, RequestMatch, ResetUnit, Signals};
use crate::upstream::Response;

fn budget(path: Option<&str>, method: Option<&str>, limit: u64, per: Duration) -> Budget {
    let matches = RequestMatch { path: path.map(str::to_owned), method: method.map(str::to_owned) };
    Budget { matches, ..budget_of(limit, per) }
}

proptest! {
    #[test]
    fn a_budget_is_never_overdrawn_in_any_window(
        limit in prop_oneof![1_u64..20, 4097_u64..4200],
        gaps in prop::collection::vec(0_u64..400, 50..400),
    ) {
        let per = Duration::from_secs(1);
        let mut budgets = Budgets::new(&[budget(None, None, limit, per)]);
        let (mut now, mut sent) = (Duration::ZERO, Vec::new());
        for gap in gaps {
            now += Duration::from_millis(gap);
            let mut waits = 0;
            while let Err(wait) = budgets.take("GET", "/", now) {
                prop_assert!(!wait.is_zero() && waits == 0, "one wait must be enough");
                now += wait;
                waits += 1;
            }
            sent.push(now);
        }
        let window = usize::try_from(limit).unwrap();
        for (at, first) in sent.iter().enumerate() {
            if let Some(beyond) = sent.get(at + window) {
                prop_assert!(*beyond >= *first + per);
            }
        }
    }
}

#[test]
fn every_matching_budget_is_debited_or_none() {
    let minute = Duration::from_mins(1);
    let mut budgets = Budgets::new(&[
        budget(Some("/search*"), Some("POST"), 1, minute),
        budget(None, None, 2, Duration::from_secs(1)),
        budget(Some("/a/*/c"), None, 1, minute),
    ]);
    let zero = Duration::ZERO;
    assert!(budgets.take("POST", "/search/x", zero).is_ok());
    assert!(budgets.take("POST", "/search", zero).is_err(), "the first budget is spent");
    assert!(budgets.take("GET", "/search", zero).is_ok(), "the refused request debited nothing");
    assert!(budgets.take("GET", "/search", zero).is_err());
    let later = Duration::from_secs(2);
    assert!(budgets.take("GET", "/a/b/c", later).is_ok());
    assert!(budgets.take("GET", "/a/d/c", later).is_err());
    assert!(budgets.take("GET", "/a/d/x", later).is_ok());
    budgets.close_gate(Duration::from_mins(1));
    budgets.close_gate(Duration::from_secs(30));
    assert_eq!(budgets.take("GET", "/", Duration::from_secs(50)), Err(Duration::from_secs(10)));
}

#[test]
fn a_big_budget_keeps_a_small_log() {
    let mut budgets = Budgets::new(&[budget(None, None, 250_000, Duration::from_hours(24))]);
    for second in 0..90_000 {
        assert!(budgets.take("GET", "/", Duration::from_secs(second)).is_ok());
    }
    assert!(format!("{budgets:?}").matches("Entry").count() <= 1100);
}

const SECOND: Duration = Duration::from_secs(1);

/// The answer to a request that was debited then comes now.
fn learns(
    (budgets, rules): (&mut Budgets, &[Budget]),
    at: &str,
    answer: &Response,
    (debited, now): (Duration, Duration),
) {
    let wall = DateTime::UNIX_EPOCH + chrono::TimeDelta::from_std(now).unwrap();
    budgets.learn(&hear(rules, ("GET", at), (answer, answer.status == 429), wall), debited, now);
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn cost_at(text: &str) -> CostAt {
    CostAt::Place(NextAt::Body(path(text)))
}

/// Requests that leave as soon as they may; with what each is said to take, in fact takes, and how long it is under way (ms).
fn sent(rules: &[Budget], requests: &[(u64, u64)], estimate: u64) -> Vec<(Duration, u64)> {
    let mut budgets = Budgets::new(rules);
    let (mut at, mut sent) = (Duration::ZERO, Vec::new());
    let mut under_way: Vec<(Duration, Duration, u64)> = Vec::new();
    for (units, takes) in requests {
        loop {
            // What is answered by now is known by now.
            let (over, rest): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|(ends, ..)| *ends <= at);
            under_way = rest;
            for (_, began, units) in over {
                let body = format!(r#"{{"cost":{units}}}"#);
                learns((&mut budgets, rules), "/", &answer(200, &[], &body).unwrap(), (began, at));
            }
            match budgets.take("GET", "/", at) {
                Ok(()) => break,
                Err(wait) => at += wait,
            }
        }
        let units = (*units).min(estimate);
        under_way.push((at + Duration::from_millis(*takes), at, units));
        sent.push((at, units));
    }
    sent
}

proptest! {
    #[test]
    fn units_of_a_budget_are_never_overdrawn_where_no_request_takes_more_than_was_set_aside(
        requests in prop::collection::vec((1_u64..8, 1_u64..900), 20..150),
        limit in 8_u64..40,
    ) {
        let cost = Cost { units: 8, answer: Some(cost_at(".cost")) };
        let sent = sent(&[Budget { cost, ..budget_of(limit, SECOND) }], &requests, 8);
        for (at, (first, _)) in sent.iter().enumerate() {
            let within = sent.iter().skip(at).take_while(|(then, _)| *then < *first + SECOND);
            let units: u64 = within.map(|(_, units)| units).sum();
            prop_assert!(units <= limit, "{units} of {limit} from {first:?}");
        }
    }
}

#[test]
fn requests_that_take_more_leave_more_seldom() {
    let costly = Budget { cost: Cost { units: 30, answer: None }, ..budget_of(100, SECOND) };
    let mut budgets = Budgets::new(&[costly]);
    let taken = (0..4).map(|_| budgets.take("GET", "/", Duration::ZERO).is_ok()).collect::<Vec<_>>();
    assert_eq!(taken, [true, true, true, false], "30 of 100 each");
    let wait = budgets.take("GET", "/", Duration::ZERO).unwrap_err();
    assert!(budgets.take("GET", "/", wait).is_ok());
}

#[test]
fn requests_of_one_budget_weigh_as_the_first_weight_says_that_matches() {
    let by = |path: Option<&str>, method: Option<&str>| RequestMatch {
        path: path.map(str::to_owned),
        method: method.map(str::to_owned),
    };
    let weights =
        vec![(by(Some("/deals"), Some("GET")), 30), (by(None, Some("GET")), 1), (by(None, Some("PATCH")), 50)];
    let budget = Budget { weights, ..budget_of(100, SECOND) };
    let mut budgets = Budgets::new(&[budget]);
    let mut take = |method: &str, path: &str, now: Duration| budgets.take(method, path, now);
    for (method, path) in [("GET", "/deals"), ("PATCH", "/deals/1"), ("GET", "/deals/1"), ("DELETE", "/deals/1")] {
        assert_eq!(take(method, path, Duration::ZERO), Ok(()));
    }
    // 82 of 100 are taken: there is room for a small one, and none for a great one.
    let wait = take("GET", "/deals", Duration::ZERO).unwrap_err();
    assert_eq!((0..30).take_while(|_| take("GET", "/deals/1", Duration::ZERO).is_ok()).count(), 18);
    assert_eq!(take("GET", "/deals", wait), Ok(()));
}

#[test]
fn what_the_answer_says_counts_in_place_of_what_was_set_aside() {
    let cost = Cost { units: 50, answer: Some(cost_at(".extensions.cost.actualQueryCost")) };
    let budget = Budget { cost, ..budget_of(100, SECOND) };
    let left_after = |body: &str| {
        let rules = std::slice::from_ref(&budget);
        let mut budgets = Budgets::new(rules);
        budgets.take("GET", "/", Duration::ZERO).unwrap();
        learns((&mut budgets, rules), "/", &answer(200, &[], body).unwrap(), (Duration::ZERO, Duration::ZERO));
        (0..4).take_while(|_| budgets.take("GET", "/", Duration::ZERO).is_ok()).count()
    };
    let cost = |text: &str| format!(r#"{{"extensions":{{"cost":{{"actualQueryCost":{text}}}}}}}"#);
    for (body, more) in [
        (cost("0"), 2),
        (cost("1"), 1),
        (cost("50"), 1),
        (cost("50.5"), 0),
        (cost("90"), 0),
        // Who does not say it is charged what was set aside.
        (cost("null"), 1),
        (cost("\"x\""), 1),
        ("{}".to_owned(), 1),
        ("no json".to_owned(), 1),
    ] {
        assert_eq!(left_after(&body), more, "{body}");
    }
}

type Headers = &'static [(&'static str, &'static str)];

fn signals(reset: Option<(&str, ResetUnit)>) -> Signals {
    let header = |name: &str| NextAt::Header(name.to_owned());
    let reset = reset.map(|(name, unit)| (header(name), unit));
    Signals { remaining: Some(header("x-left")), limit: Some(NextAt::Body(path(".limit"))), reset, wait: None }
}

#[test]
fn others_that_draw_on_the_same_limit_leave_less() {
    let reset = Some(("x-reset", ResetUnit::Seconds));
    let shared = Budget { signals: Some(signals(reset)), ..budget_of(10, Duration::from_secs(10)) };
    // Headers, body, how many leave at once after the first, and when the next one does.
    let cases: [(Headers, &str, usize, f64); 7] = [
        (&[], "{}", 9, 10.25),
        (&[("x-left", "9"), ("x-reset", "4")], "{}", 9, 10.25),
        (&[("x-left", "20"), ("x-reset", "4")], "{}", 9, 10.25),
        (&[("x-left", "3"), ("x-reset", "4")], "{}", 3, 4.0),
        (&[("x-left", "0"), ("x-reset", "4")], "{}", 0, 4.0),
        // Without an end, what is missing comes back evenly: three tenths of the window.
        (&[("x-left", "6")], "{}", 6, 3.075),
        // A limit that was lowered.
        (&[("x-left", "4"), ("x-reset", "4")], r#"{"limit": 5}"#, 4, 10.25),
    ];
    for (headers, body, at_once, next) in cases {
        let rules = std::slice::from_ref(&shared);
        let mut budgets = Budgets::new(rules);
        budgets.take("GET", "/", Duration::ZERO).unwrap();
        learns((&mut budgets, rules), "/", &answer(200, headers, body).unwrap(), (Duration::ZERO, Duration::ZERO));
        let left = (0..20).take_while(|_| budgets.take("GET", "/", Duration::ZERO).is_ok()).count();
        let wait = budgets.take("GET", "/", Duration::ZERO).unwrap_err();
        assert_eq!((left, wait), (at_once, Duration::from_secs_f64(next)), "{headers:?} {body}");
    }
}

#[test]
fn what_others_draw_is_a_matter_of_requests_that_the_budget_covers() {
    let shared = Budget { signals: Some(signals(None)), ..budget(Some("/a*"), None, 10, SECOND) };
    let rules = [shared];
    let mut budgets = Budgets::new(&rules);
    let nothing_left = answer(200, &[("x-left", "0")], "{}").unwrap();
    learns((&mut budgets, &rules), "/b", &nothing_left, (Duration::ZERO, Duration::ZERO));
    assert!(budgets.take("GET", "/a", Duration::ZERO).is_ok());
    learns((&mut budgets, &rules), "/a", &nothing_left, (Duration::ZERO, Duration::ZERO));
    assert!(budgets.take("GET", "/a", Duration::ZERO).is_err());
    assert!(budgets.take("GET", "/b", Duration::ZERO).is_ok());
}

#[test]
fn however_often_others_draw_little_is_remembered_and_nobody_waits_for_ever() {
    let shared = Budget { signals: Some(signals(None)), ..budget_of(1_000_000, Duration::from_hours(1)) };
    let rules = [shared];
    let mut budgets = Budgets::new(&rules);
    for number in 0_u64..1000 {
        let left = (999_000 - 900 * number).to_string();
        let at = Duration::from_millis(number);
        budgets.take("GET", "/", at).unwrap();
        learns((&mut budgets, &rules), "/", &answer(200, &[("x-left", &left)], "{}").unwrap(), (at, at));
    }
    assert!(format!("{budgets:?}").len() < 200_000);
    let none = answer(200, &[("x-left", "0")], "{}").unwrap();
    learns((&mut budgets, &rules), "/", &none, (SECOND, SECOND));
    let wait = budgets.take("GET", "/", SECOND).unwrap_err();
    assert!(wait <= Duration::from_hours(1) + SECOND, "{wait:?}");
    let mut at = SECOND + wait;
    while let Err(wait) = budgets.take("GET", "/", at) {
        at += wait;
    }
    assert!(at <= Duration::from_hours(2));
}

#[test]
fn the_end_of_a_window_is_read_in_its_unit() {
    let wall: DateTime<Utc> = "2026-01-02T03:04:05Z".parse().unwrap();
    let epoch = wall.timestamp();
    let cases = [
        (ResetUnit::Seconds, "30".to_owned(), Some(30_000)),
        (ResetUnit::Seconds, "1.5".to_owned(), Some(1_500)),
        (ResetUnit::Seconds, "-3".to_owned(), Some(0)),
        (ResetUnit::Milliseconds, "1500".to_owned(), Some(1_500)),
        (ResetUnit::EpochSeconds, (epoch + 20).to_string(), Some(20_000)),
        (ResetUnit::EpochSeconds, (epoch - 20).to_string(), Some(0)),
        (ResetUnit::EpochMilliseconds, format!("{}500", epoch + 2), Some(2_500)),
        (ResetUnit::HttpDate, "Fri, 02 Jan 2026 03:04:35 GMT".to_owned(), Some(30_000)),
        (ResetUnit::Rfc3339, "2026-01-02T04:04:06+01:00".to_owned(), Some(1_000)),
        (ResetUnit::Rfc3339, "soon".to_owned(), None),
        (ResetUnit::Seconds, "soon".to_owned(), None),
        (ResetUnit::Seconds, "NaN".to_owned(), None),
    ];
    for (unit, text, expected) in cases {
        let answer = answer(200, &[("x-left", "0"), ("x-reset", &text)], "{}").unwrap();
        let told = told_limit(&signals(Some(("x-reset", unit))), &answer, wall).unwrap();
        let millis = told.reset.map(|wait| wait.as_millis());
        assert_eq!(millis, expected, "{unit:?} {text}");
    }
    assert_eq!(
        told_limit(&signals(None), &answer(200, &[], "{}").unwrap(), wall),
        None,
        "it does not say what is left"
    );
}

#[test]
fn what_left_the_window_gives_nothing_back_and_a_lowered_limit_changes_nothing_that_was_set_aside() {
    let cost = Cost { units: 40, answer: Some(cost_at(".cost")) };
    let signals = Some(Signals { limit: Some(NextAt::Body(path(".limit"))), ..signals(None) });
    let rules = [Budget { cost, signals, ..budget_of(100, SECOND) }];
    let used = |budgets: &Budgets, now: Duration| budgets.uses(now)[0].used;
    let mut budgets = Budgets::new(&rules);
    budgets.take("GET", "/", Duration::ZERO).unwrap();
    let later = Duration::from_millis(1100);
    budgets.take("GET", "/", later).unwrap();
    // The first one is answered when it counts no more: the second keeps what was set aside for it.
    learns((&mut budgets, &rules), "/", &answer(200, &[], r#"{"cost": 1}"#).unwrap(), (Duration::ZERO, later));
    assert_eq!(used(&budgets, later), 40);
    // The limit is below what a request sets aside now; its answer gives back just what it did not take.
    let lowered = answer(200, &[("x-left", "0")], r#"{"cost": 40, "limit": 10}"#).unwrap();
    learns((&mut budgets, &rules), "/", &lowered, (later, later));
    assert_eq!(used(&budgets, later), 40);
    learns((&mut budgets, &rules), "/", &answer(200, &[], r#"{"cost": 5}"#).unwrap(), (later, later));
    assert_eq!(used(&budgets, later), 5);
    // It leaves nevertheless, when nothing else is there.
    let wait = budgets.take("GET", "/", later).unwrap_err();
    assert!(budgets.take("GET", "/", later + wait).is_ok());
}

#[test]
fn what_was_given_back_leaves_no_trace_in_the_log() {
    let cost = Cost { units: 10, answer: Some(cost_at(".cost")) };
    let rules = [Budget { cost, ..budget_of(1000, Duration::from_hours(1)) }];
    let mut budgets = Budgets::new(&rules);
    for number in 0_u64..2000 {
        let at = Duration::from_millis(number);
        budgets.take("GET", "/", at).unwrap();
        learns((&mut budgets, &rules), "/", &answer(200, &[], r#"{"cost": 0}"#).unwrap(), (at, at));
    }
    assert!(format!("{budgets:?}").matches("Entry").count() <= 1);
}

#[test]
fn what_a_request_took_is_told_in_a_header_or_counted_by_a_filter() {
    let answers: [(CostAt, Headers, &str, usize); 9] = [
        (CostAt::Place(NextAt::Header("x-cost".to_owned())), &[("x-cost", "2.5")], "", 97),
        (CostAt::Place(NextAt::Header("x-cost".to_owned())), &[], "{}", 90),
        (filter(".items | length"), &[], r#"{"items": [1, 2, 3, 4]}"#, 96),
        (filter("[.queries[].cost] | add"), &[], r#"{"queries": [{"cost": 20}, {"cost": 30}]}"#, 50),
        // A filter that fails on an answer, or counts nothing there, leaves what was set aside.
        (filter(".items | length"), &[], r#"{"items": true}"#, 90),
        // No request gives anything back, nor does what is no number.
        (filter(".cost"), &[], r#"{"cost": -5}"#, 90),
        (CostAt::Place(NextAt::Header("x-cost".to_owned())), &[("x-cost", "-0.5")], "", 90),
        (CostAt::Place(NextAt::Header("x-cost".to_owned())), &[("x-cost", "NaN")], "", 90),
        (filter(".cost"), &[], r#"{"cost": 0}"#, 100),
    ];
    for (at, headers, body, left) in answers {
        let words = format!("{at:?} {body}");
        let rules = [Budget { cost: Cost { units: 10, answer: Some(at) }, ..budget_of(100, SECOND) }];
        let mut budgets = Budgets::new(&rules);
        budgets.take("GET", "/", Duration::ZERO).unwrap();
        learns((&mut budgets, &rules), "/", &answer(200, headers, body).unwrap(), (Duration::ZERO, Duration::ZERO));
        assert_eq!(100 - budgets.uses(Duration::ZERO)[0].used, left as u64, "{words}");
    }
}

fn filter(text: &str) -> CostAt {
    CostAt::Filter(Filter::compile(text, &[]).unwrap())
}

#[test]
fn an_answer_that_says_only_for_how_long_closes_the_budget_until_then() {
    let at = |text: &str, unit| Some((NextAt::Body(path(text)), unit));
    let none = Signals { remaining: None, limit: None, reset: None, wait: None };
    let wait = Signals { wait: at(".retry_after", ResetUnit::Milliseconds), ..none.clone() };
    let reset = Signals { reset: at(".reset", ResetUnit::Seconds), ..none };
    // What it says, with which status, and how long nothing leaves.
    let cases = [
        (&wait, 429, r#"{"retry_after": 64570}"#, 64_570),
        (&wait, 200, r#"{"retry_after": 1500}"#, 1_500),
        (&wait, 429, r#"{"retry_after": 0}"#, 0),
        (&wait, 429, r#"{"retry_after": "soon"}"#, 0),
        (&reset, 429, r#"{"reset": "7"}"#, 7_000),
        // The end of a window that has room is nothing to wait for.
        (&reset, 200, r#"{"reset": 7}"#, 0),
    ];
    for (signals, status, body, millis) in cases {
        let rules = [Budget { signals: Some(signals.clone()), ..budget(Some("/a*"), None, 10, SECOND) }];
        let mut budgets = Budgets::new(&rules);
        budgets.take("GET", "/a", Duration::ZERO).unwrap();
        learns((&mut budgets, &rules), "/a", &answer(status, &[], body).unwrap(), (Duration::ZERO, Duration::ZERO));
        let wait = budgets.take("GET", "/a", Duration::ZERO).err().unwrap_or_default();
        assert_eq!(wait, Duration::from_millis(millis), "{status} {body}");
        assert_eq!(budgets.uses(Duration::ZERO)[0].wait, wait);
        assert!(budgets.take("GET", "/b", Duration::ZERO).is_ok(), "only what the budget covers waits");
        assert!(budgets.take("GET", "/a", wait).is_ok());
    }
}
