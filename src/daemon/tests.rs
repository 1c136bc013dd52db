//! Owns: what the daemon decides, as tables of events.
//!
//! Must not know: engines, clocks, signals.

use std::time::Duration;

use chrono::DateTime;

use crate::rules::Schedule;

use super::decide::{Mode, State};
use super::event::{Action, Cause, Ending, Event, Mark, Moment, Reads, Request, Signal, Went};
use super::job::{ForFew, Job};
use super::schedule::Last;

pub(super) fn now(seconds: i64) -> Moment {
    Moment {
        wall: DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap(),
        steady: Duration::from_secs(u64::try_from(seconds.max(0)).unwrap()),
    }
}

/// One that ran in an earlier process, `every` so many seconds, and is due.
pub(super) fn job(name: &str, every: Option<u64>) -> Job {
    let schedule = every.map(|seconds| Schedule::Every(Duration::from_secs(seconds)));
    let last = Some(Last { wall: now(-86_400).wall, steady: None });
    Job { last, last_full: last, ..Job::new(name, schedule) }
}

/// Each has the one before as its parent: their passes are made one after the other.
pub(super) fn chain(jobs: impl IntoIterator<Item = Job>) -> Vec<Job> {
    let mut jobs: Vec<Job> = jobs.into_iter().collect();
    for at in 1..jobs.len() {
        jobs[at].parents = jobs[..at].iter().map(|job| job.collection.clone()).collect();
    }
    jobs
}

pub(super) fn action(collection: &str, full: bool, cause: Cause) -> Action {
    let reads = if full { Reads::Everything } else { Reads::Changes };
    Action::Start { collection: collection.to_owned(), reads, cause }
}

pub(super) fn start(collection: &str) -> Vec<Action> {
    vec![action(collection, false, Cause::Schedule)]
}

pub(super) fn asked(collection: &str) -> Vec<Action> {
    vec![action(collection, false, Cause::Signal)]
}

pub(super) fn ended(collection: &str) -> Event {
    ended_so(collection, Went::Well)
}

pub(super) fn ended_so(collection: &str, went: Went) -> Event {
    Event::PassEnded { collection: collection.to_owned(), went, retry_at: None, waits: false }
}

pub(super) fn sync_asked() -> Event {
    Event::Signal(Signal::Sync)
}

pub(super) const NOTHING: Vec<Action> = Vec::new();

#[test]
fn once_runs_each_collection_in_order_and_ends() {
    let mut state = State::new(Mode::Once, true, vec![job("a", Some(60)), job("b", None)]);
    let full = |name: &str| vec![action(name, true, Cause::Schedule)];
    assert_eq!(state.begin(now(0)), full("a"));
    assert_eq!(state.decide(&Event::Tick, now(1)), NOTHING, "one pass at a time");
    assert_eq!(state.decide(&ended("a"), now(90)), full("b"));
    assert_eq!(state.decide(&ended("b"), now(91)), [Action::End(Ending::Done)]);
}

#[test]
fn s66_s67_passes_follow_their_schedule_and_those_of_one_collection_never_overlap() {
    let mut state = State::new(Mode::Scheduled, false, chain([job("b", None), job("a", Some(60))]));
    assert_eq!(state.begin(now(0)), start("b"), "without a schedule: at start");
    assert_eq!(state.decide(&ended("b"), now(1)), start("a"), "what is due waited for its parent");
    assert_eq!(state.decide(&Event::Tick, now(200)), NOTHING, "it still runs");
    assert_eq!(state.decide(&ended("a"), now(201)), start("a"), "what was missed is caught up once");
    assert_eq!(state.decide(&ended("a"), now(202)), NOTHING);
    assert_eq!(state.next(now(202)), Some(("a", now(261).wall)));
    assert_eq!(state.decide(&Event::Tick, now(260)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(261)), start("a"));
}

#[test]
fn collections_that_have_nothing_to_do_with_each_other_run_side_by_side() {
    let jobs = || ["a", "b", "c", "d", "e"].map(|name| job(name, Some(60)));
    let mut state = State::new(Mode::Scheduled, false, jobs().to_vec());
    let four: Vec<Action> = ["a", "b", "c", "d"].into_iter().flat_map(start).collect();
    assert_eq!(state.begin(now(0)), four, "and no more than four at once");
    assert_eq!(state.decide(&ended("c"), now(1)), start("e"));
    // A child waits for its parent, whether that runs or waits, and a parent for its child.
    let mut state = State::new(Mode::Scheduled, false, chain(jobs().into_iter().take(2)));
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(1)), start("b"));
    assert_eq!(state.decide(&sync_asked(), now(2)), NOTHING);
    assert_eq!(state.decide(&ended("b"), now(3)), asked("a"));
    // What was never read may fill the database: it is alone.
    let mut jobs = jobs().to_vec();
    jobs[1] = Job::new("b", Some(Schedule::Every(Duration::from_mins(1))));
    let mut state = State::new(Mode::Scheduled, false, jobs);
    let others: Vec<Action> = ["a", "c", "d", "e"].into_iter().flat_map(start).collect();
    assert_eq!(state.begin(now(0)), others);
    for name in ["a", "c", "d"] {
        assert_eq!(state.decide(&ended(name), now(1)), NOTHING);
    }
    assert_eq!(state.decide(&ended("e"), now(1)), start("b"));
    assert_eq!(state.decide(&Event::Tick, now(100)), NOTHING, "nothing beside it");
    assert_eq!(state.decide(&ended("b"), now(101)).len(), 4);
}

#[test]
fn a_complete_generation_is_read_when_it_is_due() {
    let mut one = Job::new("a", Some(Schedule::Every(Duration::from_mins(1))));
    one.full_scan = Some(Schedule::Every(Duration::from_secs(100)));
    let mut state = State::new(Mode::Scheduled, false, vec![one]);
    assert_eq!(state.begin(now(0)), start("a"), "the first pass reads everything anyway");
    assert_eq!(state.decide(&ended("a"), now(1)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(60)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(61)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(160)), [action("a", true, Cause::Schedule)]);
}

#[test]
fn a_complete_generation_comes_as_often_as_it_is_to_although_passes_are_more_frequent() {
    let mut one = Job::new("a", Some(Schedule::Every(Duration::from_mins(1))));
    one.full_scan = Some(Schedule::Every(Duration::from_secs(200)));
    let mut state = State::new(Mode::Scheduled, false, vec![one]);
    let mut begun = Vec::new();
    let mut actions = state.begin(now(0));
    for seconds in 0..=500 {
        actions.extend(state.decide(&Event::Tick, now(seconds)));
        for action in std::mem::take(&mut actions) {
            let Action::Start { reads, .. } = action else { panic!("{action:?}") };
            begun.push((seconds, reads == Reads::Everything));
            actions.extend(state.decide(&ended("a"), now(seconds)));
        }
    }
    let full: Vec<i64> = begun.iter().filter(|(_, full)| *full).map(|(seconds, _)| *seconds).collect();
    assert_eq!(full, [200, 400], "the first pass read everything by itself: {begun:?}");
}

fn failed(collection: &str) -> Event {
    ended_so(collection, Went::Failed)
}

#[test]
fn a_full_scan_that_went_wrong_is_made_up_for_by_the_next_scheduled_pass_and_no_sooner() {
    let scheduled = |every| {
        let mut one = job("a", every);
        one.full_scan = Some(Schedule::Every(Duration::from_hours(1)));
        State::new(Mode::Scheduled, false, vec![one])
    };
    let full = || vec![action("a", true, Cause::Schedule)];
    let next_full = |state: &State, seconds| state.places(now(seconds))[0].next_full;
    let mut state = scheduled(Some(60));
    assert_eq!(state.begin(now(0)), full());
    assert_eq!(state.decide(&failed("a"), now(1)), NOTHING, "not at once");
    assert_eq!(next_full(&state, 1), Some(now(60).wall));
    let edited = Event::LocalEdit { collection: "a".to_owned(), mark: Mark { edit: 1, ..Mark::default() } };
    assert_eq!(state.decide(&edited, now(2)), [action("a", false, Cause::Edit)], "edits wait for no full scan");
    assert_eq!(state.decide(&ended("a"), now(3)), NOTHING);
    assert_eq!(state.due_in(now(3)), Some(Duration::from_secs(59)), "the loop is not kept busy by it");
    assert_eq!(state.decide(&Event::Tick, now(61)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(62)), full());
    assert_eq!(state.decide(&failed("a"), now(63)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(122)), full(), "until it goes well");
    assert_eq!(state.decide(&ended("a"), now(123)), NOTHING);
    assert_eq!(next_full(&state, 123), Some(now(3722).wall));
    assert_eq!(state.decide(&Event::Tick, now(182)), start("a"));
    // Where nothing else is scheduled it has its own pace.
    let mut state = scheduled(None);
    assert_eq!(state.begin(now(0)), full());
    assert_eq!(state.decide(&failed("a"), now(1)), NOTHING);
    assert_eq!(next_full(&state, 1), Some(now(3600).wall));
    assert_eq!(state.decide(&Event::Tick, now(3599)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(3600)), full());
    // One that somebody asked for, and that was not due, is not made up for.
    let mut state = scheduled(Some(60));
    assert_eq!(state.begin(now(0)), full());
    assert_eq!(state.decide(&ended("a"), now(1)), NOTHING);
    let asked = Event::Request(Request::Sync { collections: Vec::new(), full: true });
    assert_eq!(state.decide(&asked, now(2)), [action("a", true, Cause::Request)]);
    assert_eq!(state.decide(&failed("a"), now(3)), NOTHING);
    assert_eq!(next_full(&state, 3), Some(now(3600).wall));
    assert_eq!(state.decide(&Event::Tick, now(62)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(63)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(3599)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(3599)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(3600)), full());
    // A pass that is paused reads nothing.
    let pause = Event::Request(Request::Pause { collection: "a".to_owned(), paused: true });
    assert_eq!(state.decide(&pause, now(3660)), NOTHING);
    assert_eq!(next_full(&state, 3660), None);
}

#[test]
fn f07_a_stop_waits_for_the_passes_and_a_second_one_does_not() {
    let running = || {
        let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60)), job("b", Some(60))]);
        assert_eq!(state.begin(now(0)), [start("a"), start("b")].concat());
        assert_eq!(state.decide(&Event::Stop, now(1)), [Action::Drain]);
        state
    };
    assert_eq!(running().decide(&Event::Tick, now(2)), NOTHING, "no new work");
    let mut state = running();
    assert_eq!(state.decide(&ended("b"), now(2)), NOTHING, "the other one still runs");
    assert_eq!(state.decide(&ended("a"), now(3)), [Action::End(Ending::Stopped)]);
    assert_eq!(running().decide(&Event::DrainTimedOut, now(21)), [Action::End(Ending::Stopped)]);
    assert_eq!(running().decide(&Event::Stop, now(2)), [Action::End(Ending::Aborted)]);
    let mut idle = State::new(Mode::Scheduled, false, Vec::new());
    assert_eq!(idle.decide(&Event::Stop, now(0)), [Action::End(Ending::Stopped)]);
}

#[test]
fn f47_a_clock_that_is_set_back_a_year_delays_nothing_beyond_one_interval() {
    let cron = Schedule::Cron { expression: "* * * * *".to_owned(), timezone: chrono_tz::UTC };
    let mut state = State::new(Mode::Scheduled, false, vec![Job::new("a", Some(cron))]);
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(1)), NOTHING);
    let year = -365 * 86_400;
    assert_eq!(state.decide(&Event::Tick, now(year)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(year + 61)), start("a"));
}

/// So many seconds later, by a wall clock that was set a year on or back meanwhile.
fn jumped(seconds: i64, years: i64) -> Moment {
    Moment { wall: now(seconds + years * 365 * 86_400).wall, ..now(seconds) }
}

#[test]
fn f47_a_clock_that_jumps_a_year_moves_no_interval_and_gives_a_fixed_time_one_pass() {
    for years in [1, -1] {
        let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60))]);
        assert_eq!(state.begin(now(0)), start("a"));
        assert_eq!(state.decide(&ended("a"), now(1)), NOTHING);
        for seconds in [2, 30, 59] {
            assert_eq!(state.decide(&Event::Tick, jumped(seconds, years)), NOTHING, "{years} {seconds}");
        }
        assert_eq!(state.decide(&Event::Tick, jumped(61, years)), start("a"), "{years}");
    }
    let cron = Schedule::Cron { expression: "* * * * *".to_owned(), timezone: chrono_tz::UTC };
    let mut state = State::new(Mode::Scheduled, false, vec![Job::new("a", Some(cron))]);
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(1)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, jumped(2, 1)), start("a"));
    assert_eq!(state.decide(&ended("a"), jumped(3, 1)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, jumped(4, 1)), NOTHING, "not one for each minute of the year");
}

#[test]
fn f47_a_clock_that_is_set_forward_a_year_gives_one_pass() {
    let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60))]);
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(1)), NOTHING);
    let year = 365 * 86_400;
    assert_eq!(state.decide(&Event::Tick, now(year)), start("a"), "what half a million ticks would have been");
    assert_eq!(state.decide(&ended("a"), now(year + 1)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(year + 59)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(year + 61)), start("a"));
}

#[test]
fn jitter_delays_every_pass_a_little_and_always_the_same() {
    let jittered = |name: &str| Job { jitter: Duration::from_secs(30), ..job(name, Some(600)) };
    let begins = |name: &str| {
        let mut state = State::new(Mode::Scheduled, false, vec![jittered(name)]);
        let mut begun = state.begin(now(0)).into_iter().map(|_| 0).collect::<Vec<i64>>();
        assert_eq!(state.decide(&ended(name), now(1)), NOTHING);
        let shown = state.next(now(1)).unwrap().1;
        begun.extend((600..=640).find(|second| !state.decide(&Event::Tick, now(*second)).is_empty()));
        assert!((shown - now(begun[1]).wall).num_seconds().abs() <= 1, "what is shown is when it begins");
        begun[1]
    };
    let all: Vec<i64> = ["a", "b", "c", "d"].into_iter().map(begins).collect();
    assert!(all.iter().all(|second| (600..=630).contains(second)), "{all:?}");
    assert!(all.iter().any(|second| *second != all[0]), "not all at once: {all:?}");
    assert_eq!(begins("a"), all[0]);
}

#[test]
fn f58_who_asks_gets_one_pass_of_each_that_begins_after_the_question() {
    let mut state = State::new(Mode::Scheduled, false, chain([job("a", Some(600)), job("b", Some(600))]));
    assert_eq!(state.begin(now(0)), start("a"));
    for _ in 0..3 {
        assert_eq!(state.decide(&sync_asked(), now(1)), NOTHING, "one pass at a time");
    }
    assert_eq!(state.decide(&ended("a"), now(2)), start("b"), "what was due keeps its place");
    assert_eq!(state.decide(&ended("b"), now(3)), asked("a"), "its first pass had begun before");
    assert_eq!(state.decide(&ended("a"), now(4)), NOTHING, "b began after the question");
    let named = Event::Request(Request::Sync { collections: vec!["b".to_owned()], full: true });
    assert_eq!(state.decide(&named, now(5)), [action("b", true, Cause::Request)]);
    assert_eq!(state.decide(&Event::Stop, now(5)), [Action::Drain]);
    assert_eq!(state.decide(&sync_asked(), now(6)), NOTHING);
    let mut once = State::new(Mode::Once, false, vec![job("a", None)]);
    assert_eq!(once.begin(now(0)), start("a"));
    assert_eq!(once.decide(&sync_asked(), now(1)), NOTHING);
    assert_eq!(once.decide(&ended("a"), now(2)), [Action::End(Ending::Done)]);
}

#[test]
fn an_edit_makes_a_pass_and_who_edits_all_day_leaves_room() {
    let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(3600)), job("b", Some(3600))]);
    assert_eq!(state.begin(now(0)), [start("a"), start("b")].concat());
    let changed = |edit| Event::LocalEdit { collection: "a".to_owned(), mark: Mark { edit, ..Mark::default() } };
    let for_edit = || vec![action("a", false, Cause::Edit)];
    assert_eq!(state.decide(&changed(1), now(10)), NOTHING, "its pass still runs");
    assert_eq!(state.due_in(now(10)), None, "nothing is due by the clock while passes run");
    assert_eq!(state.decide(&ended("a"), now(20)), for_edit(), "that the scheduled pass took long is no matter");
    assert_eq!(state.decide(&changed(2), now(25)), NOTHING);
    assert_eq!(state.decide(&ended("a"), now(30)), NOTHING, "the one for an edit took ten seconds");
    assert_eq!(state.due_in(now(32)), Some(Duration::from_secs(8)), "the loop is woken for it");
    assert_eq!(state.decide(&Event::Tick, now(39)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(40)), for_edit());
    assert_eq!(state.decide(&ended("a"), now(40)), NOTHING, "what that could not take up is no news");
    assert_eq!(state.decide(&changed(2), now(60)), NOTHING);
    assert_eq!(state.decide(&changed(0), now(61)), NOTHING);
    assert_eq!(state.decide(&changed(3), now(62)), for_edit());
    assert_eq!(state.decide(&ended("a"), now(62)), NOTHING);
    let decided = Event::Decision { collection: "a".to_owned(), mark: Mark { approved: 7, ..Mark::default() } };
    assert_eq!(state.decide(&decided, now(63)), for_edit(), "a person approved a halt");
}

#[test]
fn what_is_learnt_of_one_collection_when_its_pass_ends_keeps_no_other_from_running() {
    let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(3600)), job("b", Some(60))]);
    assert_eq!(state.begin(now(0)), [start("a"), start("b")].concat());
    assert_eq!(state.decide(&ended("b"), now(1)), NOTHING);
    // The next pass of a is one for an edit, and takes long; meanwhile b has become due, and rows of a were edited.
    let mark = |edit| Mark { edit, ..Mark::default() };
    state.mark("a", mark(1));
    assert_eq!(state.decide(&ended("a"), now(2)), [action("a", false, Cause::Edit)]);
    state.mark("a", mark(2));
    assert_eq!(state.decide(&ended("a"), now(62)), start("b"));
    assert_eq!(state.decide(&ended("b"), now(63)), NOTHING, "it ran, and is not taken for one that runs for ever");
    assert_eq!(state.decide(&Event::Tick, now(122)), [vec![action("a", false, Cause::Edit)], start("b")].concat());
}

#[test]
fn edits_may_wait_and_cost_more_where_everything_is_read() {
    let changed = |edit, resolved| {
        let mark = Mark { edit, resolved, ..Mark::default() };
        Event::LocalEdit { collection: "a".to_owned(), mark }
    };
    let waits = Job { edits: false, ..job("a", Some(3600)) };
    let mut state = State::new(Mode::Scheduled, false, vec![waits]);
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(0)), NOTHING);
    assert_eq!(state.decide(&changed(1, 0), now(1)), NOTHING);
    assert_eq!(state.decide(&changed(1, 1), now(2)), [action("a", false, Cause::Edit)], "a person decided something");
    let whole = Job { reads_whole: true, ..job("a", Some(3600)) };
    let mut state = State::new(Mode::Scheduled, false, vec![whole]);
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(10)), NOTHING);
    assert_eq!(
        state.decide(&changed(1, 0), now(11)),
        [action("a", false, Cause::Edit)],
        "the first one waits for nothing"
    );
    assert_eq!(state.decide(&ended("a"), now(21)), NOTHING);
    assert_eq!(state.decide(&changed(2, 0), now(110)), NOTHING, "nine times as long as the one before took");
    assert_eq!(state.decide(&Event::Tick, now(111)), [action("a", false, Cause::Edit)]);
    assert_eq!(state.decide(&ended("a"), now(121)), NOTHING);
    assert_eq!(state.decide(&changed(2, 1), now(122)), [action("a", false, Cause::Edit)], "whoever decided looks on");
}

#[test]
fn an_edit_or_a_webhook_costs_no_listing_unless_what_waits_takes_one() {
    let mark = |edit, hooked| Mark { edit, hooked, ..Mark::default() };
    let changed = |mark| Event::LocalEdit { collection: "a".to_owned(), mark };
    let few = |cause| vec![Action::Start { collection: "a".to_owned(), reads: Reads::Targets, cause }];
    let undone = ended_so("a", Went::Undone);
    let one = Job { for_few: ForFew::Records, reads_whole: true, ..job("a", Some(3600)) };
    let mut state = State::new(Mode::Scheduled, false, vec![one]);
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(100)), NOTHING);
    assert_eq!(state.decide(&changed(mark(1, 0)), now(101)), few(Cause::Edit), "what costs little need not wait");
    state.mark("a", mark(0, 0));
    assert_eq!(state.decide(&ended("a"), now(101)), NOTHING);
    assert_eq!(state.decide(&changed(mark(0, 7)), now(102)), few(Cause::Webhook));
    state.mark("a", mark(0, 0));
    assert_eq!(state.decide(&ended("a"), now(105)), NOTHING);
    assert_eq!(state.decide(&changed(mark(2, 0)), now(105)), NOTHING, "it took three seconds");
    assert_eq!(state.decide(&Event::Tick, now(106)), few(Cause::Edit));
    // A row was inserted: the upstream may have it. What else was edited does not wait for the listing.
    let listing = || {
        let meanwhile = Action::Between { collection: "a".to_owned(), cause: Cause::Edit };
        vec![action("a", false, Cause::Edit), meanwhile]
    };
    assert_eq!(state.decide(&undone, now(106)), listing(), "the first listing for one is at once");
    state.mark("a", mark(0, 0));
    assert_eq!(state.decide(&ended("a"), now(208)), NOTHING);
    assert_eq!(state.decide(&changed(mark(4, 0)), now(209)), few(Cause::Edit));
    // The next listing comes no earlier than nine times what that one took, and no later than ten minutes.
    assert_eq!(state.decide(&undone, now(209)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(807)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(808)), listing());
    state.mark("a", mark(0, 0));
    assert_eq!(state.decide(&ended("a"), now(810)), NOTHING);
    assert_eq!(state.decide(&changed(mark(5, 0)), now(811)), few(Cause::Edit), "the next is for few again");
    state.mark("a", mark(0, 0));
    assert_eq!(state.decide(&ended("a"), now(811)), NOTHING);
    // Passes for few put nothing off that is due.
    assert_eq!(state.decide(&Event::Tick, now(4407)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(4408)), start("a"));
}

#[test]
fn who_asks_for_a_pass_gets_listings() {
    let one = |name| Job { for_few: ForFew::Records, ..job(name, Some(3600)) };
    let mut state = State::new(Mode::Scheduled, false, chain([one("a"), one("b")]));
    assert_eq!(state.begin(now(0)), start("a"));
    state.mark("b", Mark { edit: 1, ..Mark::default() });
    let edited = Action::Between { collection: "b".to_owned(), cause: Cause::Edit };
    assert_eq!(state.decide(&ended("a"), now(1)), [start("b"), vec![edited]].concat());
    state.mark("b", Mark { edit: 2, ..Mark::default() });
    assert_eq!(
        state.decide(&ended("b"), now(2)),
        [Action::Start { collection: "b".to_owned(), reads: Reads::Targets, cause: Cause::Edit }]
    );
    assert_eq!(state.decide(&sync_asked(), now(2)), NOTHING, "b runs, and a is its parent");
    assert_eq!(state.decide(&ended("b"), now(4)), asked("a"));
    assert_eq!(state.decide(&ended("a"), now(5)), asked("b"));
}

#[test]
fn work_that_was_left_is_taken_up_when_it_may_be() {
    let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(3600))]);
    assert_eq!(state.begin(now(0)), start("a"));
    let left = |seconds| {
        let (collection, retry_at) = ("a".to_owned(), Some(now(seconds).wall));
        Event::PassEnded { collection, went: Went::Well, retry_at, waits: false }
    };
    let due = Event::RetryDue { collection: "a".to_owned() };
    assert_eq!(state.decide(&left(30), now(2)), NOTHING);
    assert_eq!(state.retry_in(now(2)), Some(("a".to_owned(), Duration::from_secs(28))));
    assert_eq!(state.decide(&due, now(29)), NOTHING, "the wall clock was set back meanwhile");
    assert_eq!(state.decide(&due, now(30)), [action("a", false, Cause::Retry)]);
    assert_eq!(state.retry_in(now(30)), None, "what runs is not woken for");
    assert_eq!(state.decide(&left(30), now(31)), NOTHING, "what it could have done by then it has done");
    assert_eq!(state.decide(&Event::Tick, now(40)), NOTHING);
}

#[test]
fn a_signal_a_request_and_a_due_retry_change_nothing_while_the_daemon_stops() {
    let left = Job { retry_at: Some(now(5).wall), ..job("a", Some(3600)) };
    let mut state = State::new(Mode::Scheduled, false, vec![left, job("b", Some(3600))]);
    assert_eq!(state.begin(now(0)), [start("a"), start("b")].concat());
    assert_eq!(state.decide(&Event::Stop, now(1)), [Action::Drain]);
    let sync = Request::Sync { collections: Vec::new(), full: false };
    assert_eq!(state.accepts(&sync), Err("the daemon is stopping".to_owned()));
    let retry = Event::RetryDue { collection: "a".to_owned() };
    for event in [Event::Signal(Signal::Reload), Event::Request(sync), Event::RulesChanged, retry] {
        assert_eq!(state.decide(&event, now(6)), NOTHING, "{event:?}");
    }
    assert_eq!((state.due_in(now(9999)), state.retry_in(now(9999))), (None, None));
}

#[test]
fn what_comes_is_told_by_its_kind_and_what_is_taken_up_is_no_news() {
    let before = Mark { edit: 3, approved: 5, resolved: 7, hooked: 9 };
    let name = || "a".to_owned();
    let all = Mark { edit: 4, approved: 6, resolved: 7, hooked: 10 };
    let told = [
        Event::LocalEdit { collection: name(), mark: all },
        Event::Decision { collection: name(), mark: all },
        Event::Webhook { collection: name(), mark: all },
    ];
    assert_eq!(all.news_since(before, "a"), told);
    assert_eq!(Mark::default().news_since(before, "a"), []);
    let resolved = Mark { resolved: 8, ..before };
    assert_eq!(resolved.news_since(before, "a"), [Event::Decision { collection: name(), mark: resolved }]);
}

#[test]
fn a_paused_collection_rests_until_it_is_resumed() {
    let mut state = State::new(Mode::Scheduled, false, chain([job("a", Some(60)), job("b", Some(60))]));
    let paused = |paused| Event::Request(Request::Pause { collection: "b".to_owned(), paused });
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&paused(true), now(1)), NOTHING);
    assert_eq!(state.decide(&ended("a"), now(2)), NOTHING, "it waited for its turn");
    assert_eq!(state.decide(&sync_asked(), now(3)), asked("a"));
    assert_eq!(state.decide(&ended("a"), now(4)), NOTHING);
    assert_eq!(state.next(now(4)).map(|(name, _)| name), Some("a"));
    assert_eq!(state.decide(&paused(false), now(5)), start("b"), "it was due all the time");
}

#[test]
fn a_damaged_database_ends_the_daemon() {
    let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60))]);
    assert_eq!(state.begin(now(0)), start("a"));
    let ended = ended_so("a", Went::Fatal);
    assert_eq!(state.decide(&ended, now(1)), [Action::End(Ending::Fatal)]);
}

#[test]
fn what_waited_while_no_daemon_ran_is_taken_up_by_one_pass_at_the_start() {
    let recent = |name: &str, every| Job { last: Some(Last { wall: now(-1).wall, steady: None }), ..job(name, every) };
    let mut state = State::new(Mode::Scheduled, false, vec![recent("a", Some(3600)), recent("b", None)]);
    for name in ["a", "b"] {
        state.mark(name, Mark { edit: 1, ..Mark::default() });
    }
    let both = [action("b", false, Cause::Schedule), action("a", false, Cause::Edit)];
    assert_eq!(state.begin(now(0)), both);
    assert_eq!(state.decide(&ended("a"), now(1)), NOTHING);
    assert_eq!(state.decide(&ended("b"), now(2)), NOTHING, "one pass was for both");
    assert_eq!(state.decide(&Event::Tick, now(60)), NOTHING);
}

#[test]
fn each_resolution_brings_a_pass_although_those_before_it_are_followed() {
    let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(3600))]);
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(1)), NOTHING);
    // One is made, followed, and another one made; each time one waits.
    let waits = |resolved| Event::Decision { collection: "a".to_owned(), mark: Mark { resolved, ..Mark::default() } };
    let for_it = || vec![action("a", false, Cause::Edit)];
    assert_eq!(state.decide(&waits(71), now(10)), for_it());
    assert_eq!(state.decide(&ended("a"), now(11)), NOTHING);
    assert_eq!(state.decide(&waits(0), now(12)), NOTHING);
    assert_eq!(state.decide(&waits(34), now(20)), for_it());
    // The next comes while the pass runs, and is what is left after it.
    state.mark("a", Mark { resolved: 12, ..Mark::default() });
    assert_eq!(state.decide(&ended("a"), now(21)), for_it());
    // One that could not be followed waits for the schedule.
    assert_eq!(state.decide(&ended("a"), now(23)), NOTHING);
    assert_eq!(state.decide(&waits(12), now(30)), NOTHING);
}

#[test]
fn a_webhook_brings_a_pass_soon_and_the_same_one_no_second() {
    let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(3600))]);
    assert_eq!(state.begin(now(0)), start("a"));
    assert_eq!(state.decide(&ended("a"), now(10)), NOTHING);
    let waits = |hooked| Event::Webhook { collection: "a".to_owned(), mark: Mark { hooked, ..Mark::default() } };
    let for_webhook = || vec![action("a", false, Cause::Webhook)];
    assert_eq!(state.decide(&waits(4), now(20)), for_webhook());
    assert_eq!(state.decide(&waits(6), now(21)), NOTHING, "it came after this pass began");
    // The pass settles what it knew of; the upstream may fail, and then it still waits.
    assert_eq!(state.decide(&ended("a"), now(22)), NOTHING, "the one for a webhook took two seconds");
    assert_eq!(state.decide(&Event::Tick, now(24)), for_webhook());
    assert_eq!(state.decide(&ended("a"), now(25)), NOTHING);
    assert_eq!(state.decide(&waits(6), now(100)), NOTHING, "the same one waits for the schedule");
    assert_eq!(state.decide(&waits(0), now(101)), NOTHING);
    // An edit comes first in name; one pass is for both.
    let mark = Mark { edit: 1, hooked: 7, ..Mark::default() };
    let both = Event::LocalEdit { collection: "a".to_owned(), mark };
    assert_eq!(state.decide(&both, now(102)), [action("a", false, Cause::Edit)]);
    assert_eq!(state.decide(&ended("a"), now(103)), NOTHING);
    assert_eq!(state.decide(&Event::Tick, now(200)), NOTHING);
}
