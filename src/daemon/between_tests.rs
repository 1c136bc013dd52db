//! Owns: what the daemon decides about edits and webhooks that come while a pass of their collection lists.
//!
//! Must not know: engines.

use std::time::Duration;

use super::decide::{Mode, State};
use super::event::{Action, Cause, Event, Mark, Reads, Went};
use super::job::{ForFew, Job};
use super::tests::{NOTHING, asked, ended, ended_so, job, now, start, sync_asked};

fn between(cause: Cause) -> Vec<Action> {
    vec![Action::Between { collection: "a".to_owned(), cause }]
}

fn over(undone: bool) -> Event {
    Event::BetweenEnded { collection: "a".to_owned(), undone }
}

fn edited(edit: i64) -> Event {
    Event::LocalEdit { collection: "a".to_owned(), mark: Mark { edit, ..Mark::default() } }
}

/// A pass lists.
fn listing(for_few: ForFew) -> State {
    let mut state = State::new(Mode::Scheduled, false, vec![Job { for_few, ..job("a", Some(3600)) }]);
    assert_eq!(state.begin(now(0)), start("a"));
    state
}

#[test]
fn what_comes_while_a_pass_lists_is_made_in_between_one_at_a_time() {
    let mut state = listing(ForFew::Records);
    assert_eq!(state.decide(&edited(1), now(5)), between(Cause::Edit));
    assert_eq!(state.decide(&edited(2), now(6)), NOTHING, "one is under way");
    state.mark("a", Mark { edit: 2, ..Mark::default() });
    assert_eq!(state.decide(&over(false), now(7)), NOTHING, "it took two seconds, and leaves room for one");
    assert_eq!(state.due_in(now(7)), Some(Duration::from_secs(1)));
    assert_eq!(state.due_in(now(8)), Some(Duration::ZERO), "whatever else wakes the loop, it is due");
    assert_eq!(state.decide(&Event::Tick, now(9)), between(Cause::Edit));
    state.mark("a", Mark::default());
    assert_eq!(state.decide(&over(false), now(9)), NOTHING);
    let hooked = Event::Webhook { collection: "a".to_owned(), mark: Mark { hooked: 1, ..Mark::default() } };
    assert_eq!(state.decide(&hooked, now(20)), between(Cause::Webhook));
    state.mark("a", Mark::default());
    assert_eq!(state.decide(&over(false), now(20)), NOTHING);
    assert_eq!(state.decide(&ended("a"), now(30)), NOTHING, "nothing is left");
}

#[test]
fn what_takes_a_listing_waits_for_the_end_of_the_one_under_way_and_is_looked_at_once_more() {
    let mut state = listing(ForFew::Records);
    assert_eq!(state.decide(&edited(1), now(5)), between(Cause::Edit));
    assert_eq!(state.decide(&over(true), now(5)), NOTHING, "it is not tried again");
    assert_eq!(state.decide(&Event::Tick, now(6)), NOTHING);
    assert_eq!(state.decide(&edited(2), now(7)), between(Cause::Edit), "another edit may be one for it");
    assert_eq!(state.decide(&over(true), now(7)), NOTHING);
    let after = state.decide(&ended("a"), now(8));
    assert!(matches!(&after[..], [Action::Start { cause: Cause::Edit, .. }]), "{after:?}");
    // Where records cannot be asked for, listings tell.
    assert_eq!(listing(ForFew::Listings).decide(&edited(1), now(5)), NOTHING);
}

#[test]
fn what_a_person_decided_waits_for_the_next_pass_and_keeps_no_edit_waiting() {
    let mut state = listing(ForFew::Records);
    let decided = |edit| Mark { edit, resolved: 1, ..Mark::default() };
    let told = Event::Decision { collection: "a".to_owned(), mark: decided(0) };
    assert_eq!(state.decide(&told, now(5)), NOTHING);
    let edited = Event::LocalEdit { collection: "a".to_owned(), mark: decided(1) };
    assert_eq!(state.decide(&edited, now(6)), between(Cause::Edit));
    state.mark("a", decided(0));
    assert_eq!(state.decide(&over(false), now(6)), NOTHING);
    let after = state.decide(&ended("a"), now(7));
    assert!(matches!(&after[..], [Action::Start { cause: Cause::Edit, .. }]), "{after:?}");
}

#[test]
fn a_pass_over_single_records_that_takes_long_is_open_to_what_comes_and_to_what_it_was_made_for() {
    let mut one = Job { for_few: ForFew::Records, ..job("a", Some(3600)) };
    one.last = Some(super::schedule::Last { wall: now(0).wall, steady: Some(now(0).steady) });
    let mut state = State::new(Mode::Scheduled, false, vec![one]);
    assert_eq!(state.begin(now(0)), NOTHING);
    let targeted = || vec![Action::Start { collection: "a".to_owned(), reads: Reads::Targets, cause: Cause::Edit }];
    assert_eq!(state.decide(&edited(4), now(5)), targeted());
    assert_eq!(state.edits_before("a"), 0);
    assert_eq!(state.due_in(now(5)), Some(Duration::from_millis(400)));
    assert_eq!(state.decide(&Event::Tick, now(6)), between(Cause::Edit), "its own edit");
    assert_eq!(state.decide(&edited(7), now(6)), NOTHING, "one at a time");
    assert_eq!(state.decide(&over(false), now(6)), between(Cause::Edit));
    assert_eq!(state.edits_before("a"), 4, "what is left of the first waits for the other pass");
    // The other upstream has not got that yet.
    assert_eq!(state.decide(&over(false), now(6)), NOTHING);
    assert_eq!(state.decide(&ended("a"), now(9)), [], "it leaves room");
    assert_eq!(state.decide(&Event::Tick, now(10)), targeted(), "for what came after it began");
    assert_eq!(state.edits_before("a"), 4);
    assert_eq!(state.decide(&ended("a"), now(10)), NOTHING);
}

#[test]
fn passes_that_list_keep_none_over_single_records_waiting_and_one_that_was_due_stays_so() {
    let few = Job { for_few: ForFew::Records, ..job("few", Some(3600)) };
    let mut few = Job { last: Some(super::schedule::Last { wall: now(0).wall, steady: Some(now(0).steady) }), ..few };
    few.retry_at = Some(now(100).wall);
    let lists = ["a", "b", "c", "d", "e"].map(|name| job(name, Some(3600)));
    let mut state = State::new(Mode::Scheduled, false, lists.into_iter().chain([few]).collect());
    assert_eq!(state.begin(now(1)), ["a", "b", "c", "d"].map(start).concat(), "four at once");
    let edited = Event::LocalEdit { collection: "few".to_owned(), mark: Mark { edit: 1, ..Mark::default() } };
    let targeted = Action::Start { collection: "few".to_owned(), reads: Reads::Targets, cause: Cause::Edit };
    assert_eq!(state.decide(&edited, now(2)), [targeted]);
    assert_eq!(state.decide(&ended("a"), now(2)), start("e"), "nor does one of these keep others waiting");
    assert_eq!(state.decide(&ended("few"), now(2)), NOTHING);
    assert_eq!(state.retry_in(now(2)).unwrap().1, Duration::from_secs(98));
}

#[test]
fn a_pass_that_was_not_made_for_an_edit_does_not_keep_it_waiting() {
    let mut state = listing(ForFew::Records);
    assert_eq!(state.decide(&sync_asked(), now(1)), NOTHING);
    state.mark("a", Mark { edit: 1, ..Mark::default() });
    let both = [asked("a"), between(Cause::Edit)].concat();
    assert_eq!(state.decide(&ended("a"), now(2)), both);
    // It has taken it up as well, whatever came of the one in between.
    assert_eq!(state.decide(&ended("a"), now(3)), NOTHING);
}

#[test]
fn nothing_is_made_in_between_once_a_stop_was_asked_for_or_the_collection_rests() {
    let mut state = listing(ForFew::Records);
    assert_eq!(state.decide(&Event::Stop, now(1)), [Action::Drain]);
    assert_eq!(state.decide(&edited(1), now(2)), NOTHING);
    let mut state = listing(ForFew::Records);
    let pause = super::event::Request::Pause { collection: "a".to_owned(), paused: true };
    assert_eq!(state.decide(&Event::Request(pause), now(1)), NOTHING);
    assert_eq!(state.decide(&edited(1), now(2)), NOTHING);
}

#[test]
fn a_listing_that_other_rules_wait_for_is_open_to_what_comes_meanwhile() {
    let mut state = listing(ForFew::Records);
    assert_eq!(state.checked(Some(["a".to_owned()].into()), now(1)), NOTHING);
    assert_eq!(state.decide(&edited(1), now(2)), between(Cause::Edit));
    state.mark("a", Mark::default());
    assert_eq!(state.decide(&over(false), now(2)), NOTHING);
    assert_eq!(state.decide(&ended("a"), now(3)), [Action::Check]);
}

#[test]
fn what_came_with_an_edit_that_takes_a_listing_is_tried_as_soon_as_that_begins() {
    let mut one = Job { for_few: ForFew::Records, ..job("a", Some(3600)) };
    one.last = Some(super::schedule::Last { wall: now(0).wall, steady: Some(now(0).steady) });
    let mut state = State::new(Mode::Scheduled, false, vec![one]);
    assert_eq!(state.begin(now(0)), NOTHING);
    let reads = |reads| Action::Start { collection: "a".to_owned(), reads, cause: Cause::Edit };
    assert_eq!(state.decide(&edited(2), now(5)), [reads(Reads::Targets)]);
    let undone = ended_so("a", Went::Undone);
    let both = [vec![reads(Reads::Changes)], between(Cause::Edit)].concat();
    assert_eq!(state.decide(&undone, now(5)), both);
    assert_eq!(state.decide(&over(true), now(5)), NOTHING);
    assert_eq!(state.decide(&ended("a"), now(9)), NOTHING, "it has taken all of it up");
}
