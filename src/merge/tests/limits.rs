//! Owns: the table of guards.
//!
//! Must not know: how tallies come about, but for one plan.

use crate::merge::guard::{Counts, Tally, check, count_up_to};
use crate::merge::testkit::*;
use crate::merge::*;
use crate::rules::{Collection, Limit, OnRemoteDelete};

/// One target's counts and the declared delete limit → the halts, as `what count/total limit`.
fn halts(counts: Counts, delete: Option<Limit>) -> Vec<String> {
    let mut collection = collection(vec![text("f")], &["crm"]);
    collection.limits.delete = delete;
    let tally = Tally::new(Counts::default(), vec![counts]);
    let halts = check(&collection, &tally).into_iter();
    halts
        .map(|halt| format!("{} {} {}/{} {}", halt.target.name(), halt.what, halt.count, halt.total, halt.limit))
        .collect()
}

fn deletes(deletes: u64, total: u64) -> Counts {
    Counts { total, deletes, ..Counts::default() }
}

#[test]
fn s26_beyond_the_limit_nothing_is_written() {
    let none: Vec<String> = Vec::new();
    for (count, total) in [(0, 0), (1, 1), (1, 2), (1, 10), (1, 20), (2, 21), (5, 100), (50, 1000)] {
        assert_eq!(halts(deletes(count, total), None), none, "{count} of {total}");
    }
    for (count, total) in [(2, 10), (2, 20), (3, 21), (6, 100), (51, 1000)] {
        assert_eq!(halts(deletes(count, total), None), [format!("crm delete {count}/{total} 5%")]);
    }
    assert_eq!(halts(deletes(7, 100), Some(Limit::Share(0.07))), none, "not 7.000000000000001");
    assert_eq!(halts(deletes(10, 100), Some(Limit::Count(10))), none);
    assert_eq!(halts(deletes(11, 100), Some(Limit::Count(10))), ["crm delete 11/100 10"]);
}

#[test]
fn s20_s27_everything_vanished_halts_even_when_the_set_is_tiny() {
    let vanished = |vanished, total| Counts { total, vanished, ..Counts::default() };
    let listed = |total| Counts { total, listed: Some(0), ..Counts::default() };
    let none: Vec<String> = Vec::new();
    assert_eq!(halts(vanished(2, 2), Some(Limit::Share(1.0))), ["crm emptied 2/2 never all"], "under any limit");
    assert_eq!(halts(deletes(3, 3), Some(Limit::Count(100))), ["crm emptied 3/3 never all"]);
    assert_eq!(halts(vanished(1, 2), None), none);
    assert_eq!(halts(vanished(1, 1), None), none, "one record of one may go, with evidence");
    assert_eq!(halts(listed(1), None), ["crm emptied 1/1 never all"], "but a listing without records is none");
    assert_eq!(halts(listed(0), None), none, "unless there never was any");
}

#[test]
fn s27_everything_archived_at_once_halts_as_if_it_were_gone() {
    let archived = |archived, vanished, total| Counts { total, vanished, archived, ..Counts::default() };
    let none: Vec<String> = Vec::new();
    assert_eq!(halts(archived(2, 0, 2), None), ["crm emptied 2/2 never all"]);
    assert_eq!(halts(archived(7, 3, 10), Some(Limit::Share(1.0))), ["crm emptied 10/10 never all"], "under any limit");
    assert_eq!(halts(archived(1, 0, 1), None), none, "one record of one may be archived");
    assert_eq!(halts(archived(9, 0, 10), None), none, "many may");
}

#[test]
fn creates_and_updates_are_limited_only_where_the_rules_say_so() {
    let mut collection = collection(vec![text("f")], &["crm"]);
    let counts = || Counts { total: 10, creates: 500, updates: 10, ..Counts::default() };
    let tally = Tally::new(counts(), vec![counts()]);
    assert_eq!(check(&collection, &tally), []);
    collection.limits.create = Some(Limit::Count(100));
    collection.limits.update = Some(Limit::Share(0.3));
    let halts = check(&collection, &tally);
    let found: Vec<(&str, &str)> = halts.iter().map(|halt| (halt.target.name(), halt.what.as_str())).collect();
    assert_eq!(found, [("local", "update"), ("crm", "update"), ("crm", "create")], "local inserts destroy nothing");
    let initial = Tally::new(Counts::default(), vec![Counts { total: 0, ..counts() }]);
    collection.limits.create = Some(Limit::Share(0.1));
    assert_eq!(check(&collection, &initial), [], "a share of nothing is no limit");
}

#[test]
fn what_is_not_counted_changes_no_word_of_a_guard() {
    let limits =
        [None, Some(Limit::Count(0)), Some(Limit::Count(3)), Some(Limit::Share(0.0)), Some(Limit::Share(0.07))];
    let mut collection = collection(vec![text("f")], &["crm"]);
    for (delete, other) in limits.iter().flat_map(|delete| limits.iter().map(move |other| (*delete, *other))) {
        (collection.limits.delete, collection.limits.update, collection.limits.create) = (delete, other, other);
        for (changes, total) in (0..8).flat_map(|changes| (0..200).map(move |total| (changes, total))) {
            let words = |total: u64| {
                let counts = |all| Counts {
                    total,
                    vanished: all,
                    creates: all,
                    updates: all,
                    deletes: all,
                    ..Counts::default()
                };
                (0..=changes)
                    .map(|all| check(&collection, &Tally::new(counts(all), vec![counts(all)])))
                    .collect::<Vec<_>>()
            };
            let counted = total.min(count_up_to(&collection, changes));
            assert_eq!(words(counted), words(total), "{changes} of {total}, {:?}", collection.limits);
        }
    }
    (collection.limits.delete, collection.limits.update, collection.limits.create) = (None, None, None);
    assert!(count_up_to(&collection, 100) < 3000, "the cost follows the changes");
    collection.limits.delete = Some(Limit::Count(100));
    assert!(count_up_to(&collection, 100) < 3000, "as many as may be need no count of all");
    assert_eq!(count_up_to(&collection, 101), u64::MAX);
}

#[test]
fn a_tally_counts_per_target() {
    let collection =
        Collection { on_remote_delete: OnRemoteDelete::Propagate, ..collection(vec![text("f")], &["crm", "erp"]) };
    let mut tally = Tally::new(Counts::default(), vec![Counts::default(), Counts::default()]);
    for (row, spokes) in [
        ("a", ["a gone", "a"]),
        ("a", ["a > b", "a"]),
        ("-", ["new a", ""]),
        ("b*", ["a", "b"]),
        ("a", ["a out > b", "a"]),
    ] {
        tally.add(&collection, &decide(&collection, &facts(&collection, row, &spokes)));
    }
    let counts =
        |creates, updates, deletes, vanished| Counts { vanished, creates, updates, deletes, ..Counts::default() };
    assert_eq!(tally.local, counts(1, 1, 1, 0));
    assert_eq!(tally.bindings, [counts(0, 1, 0, 1), counts(1, 1, 1, 0)]);
}

#[test]
fn untying_what_was_deleted_counts_as_vanished() {
    let collection = Collection { on_remote_delete: OnRemoteDelete::Detach, ..collection(vec![text("f")], &["crm"]) };
    let mut tally = Tally::new(Counts::default(), vec![Counts::default()]);
    tally.add(&collection, &decide(&collection, &facts(&collection, "a", &["a gone"])));
    tally.add(&collection, &decide(&collection, &facts(&collection, "a", &["a out > a"])));
    assert_eq!(tally.bindings[0].vanished, 1, "leaving the scope is no deletion");
}
