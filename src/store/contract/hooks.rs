//! Owns: the part of the suite about the inbox of webhooks.
//!
//! Must not know: SQL, files.

use super::fixture::*;
use crate::store::*;

fn hook(delivery: &str, remote_id: &str) -> NewHook {
    NewHook {
        upstream: "crm".to_owned(),
        delivery: delivery.to_owned(),
        received_at: 1_000,
        event: "fetch".to_owned(),
        collection: Some("contacts".to_owned()),
        remote_id: (!remote_id.is_empty()).then(|| remote_id.to_owned()),
        state: HookState::Waiting,
        error: None,
        record: None,
    }
}

fn take(on: &Fixture, hook: NewHook) -> HookTaken {
    on.write(move |tx| tx.take_hook(&hook, 3)).expect("a verdict")
}

pub(in crate::store) fn a_record_is_kept_while_its_webhook_waits_alone(on: &Fixture) {
    let kept = |on: &Fixture| {
        let rows = on.read(|view| view.hooks(&HookFilter { with_record: true, ..HookFilter::default() }));
        let shown: Vec<_> = rows.into_iter().rev().map(|row| row.hook.record.unwrap_or_default()).collect();
        shown
    };
    let showing = |delivery: &str, raw: &[u8]| NewHook { record: Some(raw.to_vec()), ..hook(delivery, "c1") };
    take(on, showing("d1", b"one"));
    assert_eq!(kept(on), [b"one"]);
    take(on, showing("d2", b"two"));
    assert_eq!(kept(on), [b"", b""], "nobody can tell which was sent last");
    take(on, showing("d3", b"three"));
    assert_eq!(kept(on), [b"", b"", b""]);
    on.write(|tx| tx.settle_hooks("contacts", "crm", i64::MAX)).expect("settled");
    take(on, showing("d4", b"four"));
    assert_eq!(kept(on), [b"".as_slice(), b"", b"", b"four"]);
    on.write(|tx| tx.settle_hooks("contacts", "crm", i64::MAX)).expect("settled");
    assert_eq!(kept(on), [b"", b"", b"", b""]);
    take(on, showing("d5", b"five"));
    on.write(|tx| tx.bury_hooks("contacts", "crm", "unbound")).expect("buried");
    assert_eq!(kept(on), [b"", b"", b"", b"", b""]);
}

/// `delivery state`, oldest first.
fn standing(on: &Fixture) -> Vec<String> {
    let rows = on.read(|view| view.hooks(&HookFilter::default()));
    rows.iter().rev().map(|row| format!("{} {:?}", row.hook.delivery, row.hook.state)).collect()
}

fn newest(on: &Fixture, collection: &'static str) -> i64 {
    on.read(move |view| view.newest_hook(collection))
}

pub(in crate::store) fn a_delivery_is_taken_once_and_the_newest_of_a_record_waits(on: &Fixture) {
    assert_eq!(newest(on, "contacts"), 0);
    assert_eq!(take(on, hook("d1", "c1")), HookTaken::New);
    let first = newest(on, "contacts");
    assert!(first > 0);
    assert_eq!(take(on, hook("d1", "c2")), HookTaken::Duplicate);
    assert_eq!(newest(on, "contacts"), first);
    let elsewhere = NewHook { upstream: "erp".to_owned(), ..hook("d1", "c1") };
    assert_eq!(take(on, elsewhere.clone()), HookTaken::New, "another upstream's deliveries are its own");
    assert_eq!(take(on, hook("d2", "c1")), HookTaken::New);
    assert!(newest(on, "contacts") > first, "what a pass under way may have missed is news");
    assert_eq!(standing(on), ["d1 Replaced", "d1 Waiting", "d2 Waiting"]);
    // The collection as a whole is one record of its own.
    for delivery in ["d3", "d4"] {
        assert_eq!(take(on, hook(delivery, "")), HookTaken::New);
    }
    let dead = NewHook { state: HookState::Dead, collection: None, error: Some("no id".to_owned()), ..hook("d5", "") };
    assert_eq!(take(on, dead.clone()), HookTaken::New);
    assert_eq!(standing(on), ["d1 Replaced", "d1 Waiting", "d2 Waiting", "d3 Replaced", "d4 Waiting", "d5 Dead"]);
    let only = HookFilter { state: Some(HookState::Dead), ..HookFilter::default() };
    assert_eq!(on.read(move |view| view.hooks(&only))[0].hook, dead);
    assert_eq!(newest(on, "companies"), 0);
    let places = [("contacts", "crm"), ("contacts", "erp")].map(|(one, other)| (one.to_owned(), other.to_owned()));
    assert_eq!(on.read(|view| view.hook_places()), places);
    assert_eq!(on.write(|tx| tx.bury_hooks("contacts", "erp", "unbound")).expect("buried"), 1);
    assert_eq!(on.read(|view| view.hook_count(HookState::Dead)), 2);
}

pub(in crate::store) fn too_many_that_wait_are_refused_and_a_record_that_waits_already_is_not(on: &Fixture) {
    for (delivery, remote_id) in [("d1", "c1"), ("d2", "c2"), ("d3", "c3")] {
        assert_eq!(take(on, hook(delivery, remote_id)), HookTaken::New);
    }
    assert_eq!(take(on, hook("d4", "c4")), HookTaken::Full);
    assert_eq!(take(on, hook("d1", "c1")), HookTaken::Duplicate, "who repeats what is kept already is told so");
    assert_eq!(take(on, hook("d5", "c3")), HookTaken::New);
    let ignored = NewHook { state: HookState::Ignored, collection: None, ..hook("d6", "") };
    assert_eq!(take(on, ignored), HookTaken::New, "it does not wait");
    assert_eq!(on.read(|view| view.hook_count(HookState::Waiting)), 3);
    let before = HookFilter { before: Some(3), state: Some(HookState::Waiting), ..HookFilter::default() };
    let rows = on.read(move |view| view.hooks(&before));
    assert_eq!(rows.iter().map(|row| row.hook.delivery.as_str()).collect::<Vec<_>>(), ["d2", "d1"]);
    on.write(|tx| tx.settle_hooks("contacts", "crm", i64::MAX)).expect("settled");
    assert_eq!(take(on, hook("d4", "c4")), HookTaken::New, "what was refused can come again");
}

pub(in crate::store) fn what_could_not_be_followed_waits_again_or_is_forgotten(on: &Fixture) {
    for delivery in ["d1", "d2"] {
        take(
            on,
            NewHook { state: HookState::Dead, error: Some("no pass came".to_owned()), ..hook(delivery, delivery) },
        );
    }
    take(on, hook("d3", "d1"));
    let ids: Vec<i64> = on.read(|view| view.hooks(&HookFilter::default())).iter().rev().map(|row| row.id).collect();
    let (first, second, waits) = (ids[0], ids[1], ids[2]);
    assert_eq!(on.write(move |tx| tx.retry_hook(waits, 900, 9)).expect("none"), None, "it is not dead");
    assert!(!on.write(move |tx| tx.drop_hook(waits)).expect("none"));
    assert_eq!(on.write(move |tx| tx.retry_hook(first, 900, 1)).expect("no room"), Some(HookTaken::Full));
    assert_eq!(standing(on), ["d1 Dead", "d2 Dead", "d3 Waiting"]);
    // It waits in the place of the one about the same record, and is newer than all.
    assert_eq!(on.write(move |tx| tx.retry_hook(first, 900, 9)).expect("again"), Some(HookTaken::New));
    assert_eq!(standing(on), ["d2 Dead", "d3 Replaced", "d1 Waiting"]);
    assert!(newest(on, "contacts") > waits);
    let again = &on.read(|view| view.hooks(&HookFilter { limit: 1, ..HookFilter::default() }))[0].hook;
    assert_eq!((again.received_at, again.error.as_deref()), (900, None));
    assert!(on.write(move |tx| tx.drop_hook(second)).expect("forgotten"));
    assert_eq!(standing(on), ["d3 Replaced", "d1 Waiting"]);
}

pub(in crate::store) fn a_pass_settles_what_came_before_it_at_its_upstream(on: &Fixture) {
    take(on, hook("d1", "c1"));
    take(on, NewHook { upstream: "erp".to_owned(), ..hook("d1", "c1") });
    let began = newest(on, "contacts");
    take(on, hook("d2", "c2"));
    take(on, hook("d3", "c1"));
    on.write(move |tx| tx.settle_hooks("contacts", "crm", began)).expect("settled");
    assert_eq!(standing(on), ["d1 Replaced", "d1 Waiting", "d2 Waiting", "d3 Waiting"]);
    let began = newest(on, "contacts");
    on.write(move |tx| tx.settle_hooks("contacts", "crm", began)).expect("settled");
    assert_eq!(standing(on), ["d1 Replaced", "d1 Waiting", "d2 Done", "d3 Done"]);
    on.write(move |tx| tx.settle_hooks("contacts", "erp", began)).expect("settled");
    assert_eq!(newest(on, "contacts"), 0);
    take(on, hook("d4", "c1"));
    assert!(newest(on, "contacts") > began);
}

pub(in crate::store) fn what_is_old_is_forgotten_and_what_waited_too_long_is_dead(on: &Fixture) {
    let aged = |delivery: &str, received_at, state| NewHook { received_at, state, ..hook(delivery, delivery) };
    for hook in [
        aged("d1", 100, HookState::Ignored),
        aged("d2", 100, HookState::Dead),
        aged("d3", 100, HookState::Waiting),
        aged("d4", 300, HookState::Dead),
        aged("d5", 300, HookState::Waiting),
        aged("d6", 300, HookState::Ignored),
    ] {
        assert_eq!(take(on, hook), HookTaken::New);
    }
    let ages = HookAges { settled_before: 200, dead_before: 100, waiting_before: 200, kept_max: 1_000 };
    on.write(move |tx| tx.prune_hooks(&ages, "no pass came")).expect("pruned");
    assert_eq!(standing(on), ["d2 Dead", "d3 Dead", "d4 Dead", "d5 Waiting", "d6 Ignored"]);
    let dead = HookFilter { state: Some(HookState::Dead), ..HookFilter::default() };
    let reasons: Vec<Option<String>> =
        on.read(move |view| view.hooks(&dead)).into_iter().map(|row| row.hook.error).collect();
    assert_eq!(reasons, [None, Some("no pass came".to_owned()), None]);
    // However young: no more than the newest few, and what waits.
    let few = HookAges { settled_before: 0, dead_before: 0, waiting_before: 0, kept_max: 1 };
    on.write(move |tx| tx.prune_hooks(&few, "no pass came")).expect("pruned");
    assert_eq!(standing(on), ["d5 Waiting", "d6 Ignored"]);
}
