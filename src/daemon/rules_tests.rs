//! Owns: what the daemon decides about rules that are edited while passes run, as tables of events.
//!
//! Must not know: rules, engines, clocks.

use std::collections::BTreeSet;
use std::time::Duration;

use super::decide::{Mode, State};
use super::event::{Action, Cause, Event, Mark, Reads, Request, Signal, Went};
use super::job::{ForFew, Job};
use super::tests::{NOTHING, action, asked, chain, ended, ended_so, job, now, start, sync_asked};

/// Usable rules that change these collections.
fn changing(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const CHECK: [Action; 1] = [Action::Check];
const RELOAD: [Action; 1] = [Action::Reload];
const NO_NAMES: [String; 0] = [];

#[test]
fn f56_usable_rules_wait_for_the_passes_of_what_they_change_and_for_no_others() {
    struct Case {
        claim: &'static str,
        /// Of `a`, `b` and `c`, passes of the first two run.
        changed: &'static [&'static str],
        waits_for: &'static [&'static str],
        /// What begins when `c` is asked for meanwhile.
        begins: Vec<Action>,
    }
    let for_c = || vec![action("c", false, Cause::Request)];
    let cases = [
        Case { claim: "they say what they said", changed: &[], waits_for: &[], begins: for_c() },
        Case { claim: "nothing of it runs", changed: &["c"], waits_for: &[], begins: for_c() },
        Case { claim: "one is new", changed: &["d"], waits_for: &[], begins: for_c() },
        Case { claim: "one runs", changed: &["a"], waits_for: &["a"], begins: for_c() },
        Case { claim: "two run", changed: &["a", "b"], waits_for: &["a", "b"], begins: for_c() },
        Case {
            claim: "one runs, one begins by the new ones",
            changed: &["a", "c"],
            waits_for: &["a"],
            begins: NOTHING,
        },
    ];
    for Case { claim, changed, waits_for, begins } in cases {
        let recent = |name| Job {
            last: Some(super::schedule::Last { wall: now(-1).wall, steady: None }),
            ..job(name, Some(3600))
        };
        let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60)), job("b", Some(60)), recent("c")]);
        assert_eq!(state.begin(now(0)), [start("a"), start("b")].concat(), "{claim}");
        assert_eq!(state.decide(&Event::RulesChanged, now(1)), CHECK, "{claim}");
        let decided = state.checked(Some(changing(changed)), now(1));
        assert_eq!(decided, if waits_for.is_empty() { &RELOAD[..] } else { &[] }, "{claim}");
        assert_eq!(state.rules_wait_for(), waits_for, "{claim}");
        let asked_for_c = Event::Request(Request::Sync { collections: vec!["c".to_owned()], full: false });
        assert_eq!(state.decide(&asked_for_c, now(2)), begins, "{claim}");
    }
}

#[test]
fn f56_the_last_pass_that_is_waited_for_has_the_rules_checked_once_more() {
    let three = || [job("a", Some(60)), job("b", Some(60)), job("c", Some(60))].to_vec();
    let mut state = State::new(Mode::Scheduled, false, three());
    assert_eq!(state.begin(now(0)), [start("a"), start("b"), start("c")].concat());
    assert_eq!(state.decide(&Event::RulesChanged, now(1)), CHECK);
    assert_eq!(state.checked(Some(changing(&["a", "b"])), now(1)), NOTHING);
    assert_eq!(state.decide(&ended("c"), now(60)), start("c"), "what they do not change goes on by its schedule");
    assert_eq!(state.decide(&ended("a"), now(61)), NOTHING, "it is due, and waits for the new ones");
    assert_eq!(state.rules_wait_for(), ["b"]);
    // Somebody edits them again: now they change another one, whose pass began meanwhile.
    assert_eq!(state.decide(&ended("b"), now(62)), CHECK);
    assert_eq!(state.checked(Some(changing(&["c"])), now(62)), [start("a"), start("b")].concat());
    assert_eq!(state.decide(&ended("c"), now(63)), CHECK);
    assert_eq!(state.checked(Some(changing(&["c"])), now(63)), RELOAD, "a and b run on");
    assert_eq!(state.renew(three(), now(63)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(120)), start("c"), "by the new ones, and beside a and b");
    assert_eq!(state.decide(&ended("a"), now(122)), start("a"), "of which none was made twice");
}

#[test]
fn f56_a_pass_that_runs_while_rules_come_into_force_is_known_by_its_collection() {
    let edited = |edit| Event::LocalEdit { collection: "b".to_owned(), mark: Mark { edit, ..Mark::default() } };
    let few = |name| Job { for_few: ForFew::Records, ..job(name, Some(3600)) };
    let mut state = State::new(Mode::Scheduled, false, vec![few("a"), few("b")]);
    assert_eq!(state.begin(now(0)), [start("a"), start("b")].concat());
    assert_eq!(state.decide(&ended("b"), now(1)), NOTHING);
    let targeted = || vec![Action::Start { collection: "b".to_owned(), reads: Reads::Targets, cause: Cause::Edit }];
    assert_eq!(state.decide(&edited(1), now(2)), targeted());
    assert_eq!(state.decide(&sync_asked(), now(2)), NOTHING);
    assert_eq!(state.checked(Some(changing(&["0"])), now(2)), RELOAD);
    // One comes first that was not there before: everything has another place.
    let fresh = || chain([Job::new("0", None)]).into_iter().chain([few("b"), few("a")]).collect::<Vec<Job>>();
    assert_eq!(state.renew(fresh(), now(2)), NOTHING, "a first pass is alone");
    assert_eq!(state.decide(&edited(2), now(2)), NOTHING, "b runs, and so does a");
    let undone = |name: &str| ended_so(name, Went::Undone);
    // It lists nothing, as it was to before: what it could not do takes listings.
    assert_eq!(state.decide(&undone("b"), now(6)), asked("b"));
    assert_eq!(state.decide(&ended("b"), now(7)), NOTHING);
    assert_eq!(state.decide(&ended("a"), now(8)), start("0"));
    assert_eq!(state.decide(&ended("0"), now(9)), asked("a"));
    assert_eq!(state.decide(&ended("a"), now(10)), NOTHING);
    assert_eq!(state.due_in(now(10)), Some(Duration::from_secs(3596)), "nothing is taken for running for ever");
}

#[test]
fn f56_rules_that_are_gone_end_no_pass_twice() {
    let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60)), job("b", Some(60))]);
    assert_eq!(state.begin(now(0)), [start("a"), start("b")].concat());
    assert_eq!(state.checked(Some(changing(&["b"])), now(1)), NOTHING);
    assert_eq!(state.decide(&Event::Stop, now(2)), [Action::Drain]);
    assert_eq!(state.decide(&ended("b"), now(3)), NOTHING, "who stops goes on by none");
    assert_eq!(state.checked(Some(changing(&[])), now(3)), NOTHING);
}

#[test]
fn f55_rules_that_cannot_be_used_keep_nothing_waiting() {
    let mut state = State::new(Mode::Scheduled, false, chain([job("a", Some(60)), job("b", Some(60))]));
    assert_eq!(state.begin(now(0)), start("a"));
    // Usable ones wait for the pass that runs; then somebody breaks them again.
    assert_eq!(state.decide(&Event::RulesChanged, now(1)), CHECK);
    assert_eq!(state.checked(Some(changing(&["a", "b"])), now(1)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(2)), NOTHING);
    assert_eq!(state.decide(&Event::Signal(Signal::Reload), now(3)), CHECK);
    assert_eq!(state.checked(None, now(3)), NOTHING);
    assert_eq!(state.decide(&ended("a"), now(4)), start("b"), "and nothing is read anew");
}

#[test]
fn f56_rules_change_between_passes_and_what_is_known_of_a_collection_stays() {
    let first = chain([job("a", Some(60)), job("b", Some(60))]);
    let mut state = State::new(Mode::Scheduled, false, first);
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&Event::RulesChanged, now(1)), CHECK);
    assert_eq!(
        state.checked(Some(changing(&["a", "b", "c"])), now(1)),
        NOTHING,
        "a pass keeps the rules that it began with"
    );
    assert_eq!(state.decide(&Event::Signal(Signal::Report), now(1)), [Action::Report]);
    assert_eq!(state.decide(&ended("a"), now(2)), CHECK);
    assert_eq!(state.checked(Some(changing(&["a", "b", "c"])), now(2)), RELOAD);
    let jobs = || chain([Job::new("c", None), job("b", Some(60)), job("a", Some(20))]);
    assert_eq!(state.renew(jobs(), now(2)), start("c"), "what is new runs as at a start, in the new order");
    assert_eq!(state.decide(&ended("c"), now(3)), start("b"), "it waited before");
    assert_eq!(state.decide(&ended("b"), now(4)), NOTHING, "a has just run");
    assert_eq!(state.decide(&Event::Tick, now(20)), start("a"), "its new interval counts from its last pass");
    assert_eq!(state.decide(&ended("a"), now(21)), NOTHING);
    assert_eq!(state.decide(&Event::RulesChanged, now(22)), CHECK);
    assert_eq!(state.checked(Some(changing(&["a", "c"])), now(22)), RELOAD);
    assert_eq!(state.renew(vec![job("b", Some(60))], now(22)), NOTHING, "c and a are gone");
    assert_eq!(state.decide(&Event::Tick, now(63)), start("b"));
    assert_eq!(state.decide(&Event::Stop, now(63)), [Action::Drain]);
    assert_eq!(state.decide(&Event::RulesChanged, now(63)), NOTHING);
}

#[test]
fn f56_edits_go_on_by_the_rules_in_force_while_a_longer_pass_keeps_others_waiting_and_no_longer() {
    let edited =
        |name: &str, edit| Event::LocalEdit { collection: name.to_owned(), mark: Mark { edit, ..Mark::default() } };
    let begins = |name: &str, reads| vec![Action::Start { collection: name.to_owned(), reads, cause: Cause::Edit }];
    let few = || Job { for_few: ForFew::Records, ..job("few", Some(60)) };
    let whole = || Job { reads_whole: true, ..job("whole", Some(3600)) };
    let all = || vec![job("long", Some(3600)), few(), job("lists", Some(3600)), whole()];
    let mut state = State::new(Mode::Scheduled, false, all());
    assert_eq!(state.begin(now(0)), [start("long"), start("few"), start("lists"), start("whole")].concat());
    for name in ["few", "lists", "whole"] {
        assert_eq!(state.decide(&ended(name), now(1)), NOTHING);
    }
    assert_eq!(state.checked(Some(changing(&["few", "lists", "long", "new", "whole"])), now(2)), NOTHING);
    assert_eq!(state.rules_wait_for(), ["long"]);
    assert_eq!(state.rules_change(), ["few", "lists", "long", "new", "whole"]);
    assert_eq!(state.decide(&edited("few", 1), now(3)), begins("few", Reads::Targets));
    assert_eq!(state.decide(&edited("lists", 1), now(3)), begins("lists", Reads::Changes));
    assert_eq!(state.decide(&edited("whole", 1), now(3)), NOTHING, "it would read everything");
    assert_eq!(state.decide(&ended("few"), now(4)), NOTHING);
    assert_eq!(state.decide(&ended("lists"), now(4)), NOTHING);
    // What is due waits, and keeps no edits waiting.
    assert_eq!(state.decide(&Event::Tick, now(60)), NOTHING);
    assert_eq!(state.decide(&edited("few", 2), now(61)), begins("few", Reads::Targets));
    assert_eq!(state.decide(&ended("few"), now(62)), NOTHING);
    assert_eq!(state.decide(&sync_asked(), now(63)), NOTHING, "whoever asks now means the new ones");
    assert_eq!(state.decide(&edited("few", 3), now(64)), begins("few", Reads::Targets));
    assert_eq!(state.decide(&edited("lists", 2), now(64)), begins("lists", Reads::Changes));
    // Now nothing longer is waited for: none of these is made again before the new ones are in force.
    assert_eq!(state.decide(&ended("long"), now(64)), NOTHING);
    assert_eq!(state.rules_wait_for(), ["few", "lists"]);
    let meanwhile = || vec![Action::Between { collection: "few".to_owned(), cause: Cause::Edit }];
    assert_eq!(state.decide(&edited("few", 4), now(66)), meanwhile(), "the pass runs anyway");
    assert_eq!(state.decide(&ended("few"), now(67)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(70)), NOTHING);
    assert_eq!(state.decide(&ended("lists"), now(71)), CHECK);
    assert_eq!(state.checked(Some(changing(&["few", "lists", "long", "whole"])), now(71)), RELOAD);
    assert_eq!(state.rules_change(), NO_NAMES);
    let mut renewed = state.renew(all(), now(72));
    renewed.sort_by_key(|action| format!("{action:?}"));
    let asked = |name| vec![action(name, false, Cause::Signal)];
    let expected = [meanwhile(), start("few"), asked("lists"), asked("long"), asked("whole")].concat();
    assert_eq!(renewed, expected, "each once");
}

#[test]
fn f56_a_parent_that_waits_for_new_rules_keeps_no_edits_of_its_children_waiting() {
    let child = || Job { parents: vec!["parent".to_owned()], for_few: ForFew::Records, ..job("child", Some(3600)) };
    let all = vec![job("long", Some(3600)), job("parent", Some(60)), child()];
    let mut state = State::new(Mode::Scheduled, false, all);
    assert_eq!(state.begin(now(0)), [start("long"), start("parent")].concat());
    assert_eq!(state.decide(&ended("parent"), now(1)), start("child"));
    assert_eq!(state.decide(&ended("child"), now(2)), NOTHING);
    assert_eq!(state.checked(Some(changing(&["child", "long", "parent"])), now(3)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(60)), NOTHING, "the parent is due, and waits");
    let edited = Event::LocalEdit { collection: "child".to_owned(), mark: Mark { edit: 1, ..Mark::default() } };
    let targeted = Action::Start { collection: "child".to_owned(), reads: Reads::Targets, cause: Cause::Edit };
    assert_eq!(state.decide(&edited, now(61)), [targeted]);
}

#[test]
fn f56_what_refers_to_one_that_lists_goes_on_as_ever_where_it_takes_single_records() {
    let few = |name: &str, parent: &str| Job {
        parents: vec![parent.to_owned()],
        for_few: ForFew::Records,
        ..job(name, Some(3600))
    };
    let all = vec![job("top", Some(3600)), few("parent", "top"), few("child", "parent")];
    let mut state = State::new(Mode::Scheduled, false, all);
    assert_eq!(state.begin(now(0)), start("top"));
    assert_eq!(state.decide(&ended("top"), now(1)), start("parent"));
    assert_eq!(state.decide(&ended("parent"), now(2)), start("child"));
    assert_eq!(state.decide(&ended("child"), now(3)), NOTHING);
    let asked = Request::Sync { collections: vec!["top".to_owned()], full: false };
    assert_eq!(state.decide(&Event::Request(asked), now(4)), [action("top", false, Cause::Request)]);
    assert_eq!(state.checked(Some(changing(&["child", "parent", "top"])), now(5)), NOTHING);
    let edited =
        |name: &str| Event::LocalEdit { collection: name.to_owned(), mark: Mark { edit: 1, ..Mark::default() } };
    for name in ["parent", "child"] {
        let targeted = Action::Start { collection: name.to_owned(), reads: Reads::Targets, cause: Cause::Edit };
        assert_eq!(state.decide(&edited(name), now(6)), [targeted]);
    }
}

#[test]
fn f56_where_every_pass_is_to_read_everything_none_begins_before_new_rules_are_in_force() {
    let few = Job { for_few: ForFew::Records, ..job("few", Some(3600)) };
    let mut state = State::new(Mode::Scheduled, true, vec![job("long", Some(3600)), few]);
    assert_eq!(state.begin(now(0)), [action("long", true, Cause::Schedule), action("few", true, Cause::Schedule)]);
    assert_eq!(state.decide(&ended("few"), now(1)), NOTHING);
    assert_eq!(state.checked(Some(changing(&["few", "long"])), now(2)), NOTHING);
    let edited = Event::LocalEdit { collection: "few".to_owned(), mark: Mark { edit: 1, ..Mark::default() } };
    assert_eq!(state.decide(&edited, now(3)), NOTHING);
}
