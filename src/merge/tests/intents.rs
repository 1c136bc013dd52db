//! Owns: the tables of the intent machine's single steps; `model` runs them all together.
//!
//! Must not know: decisions.

use std::time::Duration;

use chrono::TimeDelta;

use crate::merge::testkit::*;
use crate::merge::*;
use crate::record::{Slot, Value};
use crate::rules::{Collection, Idempotency};

fn two() -> Collection {
    collection(vec![text("f"), text("g")], &["crm"])
}

#[test]
fn an_answer_ends_an_intent_or_says_how_it_goes_on() {
    for (answer, state) in [
        (Answer::Done, None),
        (Answer::Overtaken, None),
        (Answer::Gone, None),
        (Answer::NotDone { asked_to_wait: true }, Some(IntentState::Parked)),
        (Answer::NotDone { asked_to_wait: false }, Some(IntentState::Prepared)),
        (Answer::Unknown, Some(IntentState::Unknown)),
    ] {
        assert_eq!(after(answer), state, "{answer:?}");
    }
}

#[test]
fn an_intent_that_would_send_the_same_bytes_stays_and_any_other_is_replaced() {
    for (waiting, wanted, forget, record) in [
        (None, None, false, false),
        (None, Some("h"), false, true),
        (Some("h"), None, true, false),
        (Some("h"), Some("h"), false, false),
        (Some("h"), Some("i"), true, true),
    ] {
        let renewal = renew(waiting, wanted);
        assert_eq!((renewal.forget, renewal.record), (forget, record), "{waiting:?} {wanted:?}");
    }
}

#[test]
fn s31_what_is_shown_at_another_version_is_no_echo() {
    for (written, shown, expected) in [
        (None, None, true),
        (None, Some("2"), true),
        (Some("2"), None, true),
        (Some("2"), Some("2"), true),
        (Some("2"), Some("3"), false),
    ] {
        assert_eq!(is_echo(written, shown), expected, "{written:?} {shown:?}");
    }
}

/// Base, what was sent, the answer, whether it was sent before: the base's remote half, and whether there is more to it.
fn accepted(base: Option<&str>, sent: &str, answer: &str, repeated: bool) -> (Vec<Slot>, bool) {
    let collection = two();
    let sent: Vec<(usize, Value)> =
        values(&collection, sent).into_iter().enumerate().filter(|(_, value)| !value.is_null()).collect();
    let link = base.map(|base| spoke(&collection, base).link.unwrap());
    let former = link.as_ref().map(|link| (&link.base_hub[..], &link.base_remote[..]));
    let observed = (!answer.is_empty()).then(|| slots(&collection, answer));
    let accepted = accept(&collection, former, sent, observed.as_deref(), repeated);
    (accepted.settled.remote, accepted.more)
}

#[test]
fn an_answer_that_shows_more_than_was_sent_is_decided_on() {
    let is = |shown: &str| slots(&two(), shown);
    for (name, base, sent, answer, repeated, remote, more) in [
        ("as sent", Some("a b"), "x ~", "x b", false, "x b", false),
        ("no answer", Some("a b"), "x ~", "", false, "x b", false),
        ("somebody changed the other field", Some("a b"), "x ~", "x q", false, "x b", true),
        ("a field is there that never was", Some("a ?"), "x ~", "x q", false, "x ?", true),
        ("as null it is not", Some("a ?"), "x ~", "x ~", false, "x ?", false),
        ("not shown", Some("a b"), "x ~", "x ?", false, "x b", false),
        ("a spelling of its own", Some("a b"), "x ~", "X b", false, "X b", false),
        ("repeated, that may be an edit", Some("a b"), "x ~", "X b", true, "a b", true),
        ("repeated, and as sent", Some("a b"), "x ~", "x b", true, "x b", false),
        ("made anew", None, "x y", "x y", false, "x y", false),
        ("made anew, with something else besides", None, "x ~", "x q", false, "x ?", true),
    ] {
        assert_eq!(accepted(base, sent, answer, repeated), (is(remote), more), "{name}");
    }
}

#[test]
fn s02_a_create_is_asked_about_as_its_rules_allow_and_a_key_only_while_it_is_remembered() {
    let header = Idempotency::Key {
        into: crate::rules::Place::Header("Idempotency-Key".to_owned()),
        ttl: Duration::from_hours(1),
    };
    for (minutes, ask) in [(0, Ask::Repeat), (59, Ask::Repeat), (60, Ask::Wait), (61, Ask::Wait)] {
        assert_eq!(ask_of_create(Some(&header), TimeDelta::minutes(minutes)), ask, "{minutes}");
    }
    for (idempotency, ask) in [
        (Some(&Idempotency::ClientId), Ask::LookUp),
        (Some(&Idempotency::Match(0)), Ask::LookUp),
        (Some(&Idempotency::None), Ask::Wait),
        (None, Ask::Wait),
    ] {
        assert_eq!(ask_of_create(idempotency, TimeDelta::minutes(5)), ask, "{idempotency:?}");
    }
}

#[test]
fn s02_a_create_never_happened_if_it_is_not_found_twice_after_the_lag() {
    let never = |idempotency: &Idempotency, looks: u32, minutes: i64| {
        never_happened(Some(idempotency), looks, at(0), at(minutes), TimeDelta::minutes(9))
    };
    for (looks, minutes, expected) in [(2, 10, true), (3, 10, true), (1, 10, false), (2, 9, false), (2, 8, false)] {
        assert_eq!(never(&Idempotency::Match(0), looks, minutes), expected, "{looks} {minutes}");
    }
    assert!(never(&Idempotency::ClientId, 0, 0), "an id of our own choosing does not lag");
}
