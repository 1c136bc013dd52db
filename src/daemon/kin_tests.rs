//! Owns: what the daemon decides about collections whose records refer to each other, as tables of events.
//!
//! Must not know: engines.

use super::decide::{Mode, State};
use super::event::{Action, Cause, Event, Mark, Reads, Request, Went};
use super::job::{ForFew, Job};
use super::tests::{NOTHING, action, chain, ended, job, now, start};

#[test]
fn a_pass_over_single_records_waits_for_no_kin_but_for_who_walks_through_its_records() {
    let few = |name: &str, walks: &[&str]| Job {
        for_few: ForFew::Records,
        walks: walks.iter().map(|name| (*name).to_owned()).collect(),
        ..job(name, Some(3600))
    };
    let edited =
        |name: &str, edit| Event::LocalEdit { collection: name.to_owned(), mark: Mark { edit, ..Mark::default() } };
    let targeted =
        |name: &str| vec![Action::Start { collection: name.to_owned(), reads: Reads::Targets, cause: Cause::Edit }];
    let waits =
        |name: &str| Event::PassEnded { collection: name.to_owned(), went: Went::Well, retry_at: None, waits: true };
    let asked_for = |name: &str| vec![action(name, false, Cause::Request)];
    let asks = |name: &str| Event::Request(Request::Sync { collections: vec![name.to_owned()], full: false });
    let begun = |walks: &[&str]| {
        let mut state = State::new(Mode::Scheduled, false, chain([few("a", &[]), few("b", walks)]));
        assert_eq!(state.begin(now(0)), start("a"));
        assert_eq!(state.decide(&ended("a"), now(1)), start("b"));
        assert_eq!(state.decide(&ended("b"), now(2)), NOTHING);
        state
    };
    // Beside its parent's listing; what it leaves may be done when that has ended, and no sooner.
    let mut state = begun(&[]);
    assert_eq!(state.decide(&asks("a"), now(3)), asked_for("a"));
    assert_eq!(state.decide(&edited("b", 1), now(4)), targeted("b"));
    assert_eq!(state.decide(&ended("b"), now(4)), NOTHING);
    assert_eq!(state.decide(&edited("b", 2), now(5)), targeted("b"));
    assert_eq!(state.decide(&waits("b"), now(5)), NOTHING);
    assert_eq!(state.decide(&asks("b"), now(6)), NOTHING, "one that lists waits for its parent");
    assert_eq!(state.decide(&ended("a"), now(7)), asked_for("b"));
    assert_eq!(state.decide(&waits("b"), now(8)), NOTHING, "it waits for nobody whose pass runs");
    assert_eq!(state.decide(&asks("a"), now(9)), asked_for("a"));
    assert_eq!(state.decide(&edited("b", 3), now(10)), targeted("b"));
    assert_eq!(state.decide(&waits("b"), now(10)), NOTHING);
    assert_eq!(state.decide(&ended("a"), now(11)), [action("b", false, Cause::Retry)]);
    // Beside its child's listing.
    let mut state = begun(&[]);
    assert_eq!(state.decide(&asks("b"), now(3)), asked_for("b"));
    assert_eq!(state.decide(&edited("a", 1), now(4)), targeted("a"));
    let mut state = begun(&["a"]);
    assert_eq!(state.decide(&asks("b"), now(3)), asked_for("b"));
    assert_eq!(state.decide(&edited("a", 1), now(4)), NOTHING, "b is at its records");
    assert_eq!(state.decide(&ended("b"), now(5)), targeted("a"));
}
