//! Owns: the daemon's one decision: state and event → what to do next. Pure.
//!
//! Must not know: engines, signals, sockets; the current time (it is an argument).

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use crate::rules::Schedule;

use super::event::{Action, Cause, Ending, Event, Moment};
use super::schedule::{Last, is_due, next_due};

/// How long `run` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until stopped; passes on schedule.
    Scheduled,
    /// One pass of each collection.
    Once,
}

/// A collection and when it runs.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub collection: String,
    /// `None`: once, at start.
    pub schedule: Option<Schedule>,
    /// When complete generations are read.
    pub full_scan: Option<Schedule>,
    /// When its last pass began.
    pub last: Option<Last>,
    /// When its last complete generation began.
    pub last_full: Option<Last>,
}

/// Everything that the decision looks at.
#[derive(Debug)]
pub struct State {
    mode: Mode,
    full: bool,
    jobs: Vec<Job>,
    /// Positions of jobs that wait for their turn, each once, and why.
    queue: VecDeque<(usize, Cause)>,
    running: Option<usize>,
    stopping: bool,
    /// The rules are to be read anew as soon as no pass is running: a pass keeps those that it began with.
    reload: bool,
    /// The wall clock at the last look, to notice that it was set back.
    seen: Option<Moment>,
}

impl State {
    /// Jobs in the order of passes, parents first. `full`: every pass reads everything.
    pub fn new(mode: Mode, full: bool, jobs: Vec<Job>) -> Self {
        Self { mode, full, jobs, queue: VecDeque::new(), running: None, stopping: false, reload: false, seen: None }
    }

    /// Everything runs once at the start that never ran, is due, or has no schedule.
    pub fn begin(&mut self, now: Moment) -> Option<Action> {
        for at in 0..self.jobs.len() {
            let at_start = self.mode == Mode::Once || self.jobs.get(at).is_some_and(|job| job.schedule.is_none());
            if at_start {
                self.queue.push_back((at, Cause::Schedule));
            }
        }
        self.decide(&Event::Tick, now)
    }

    /// Goes on with the jobs of other rules. A collection that was there before keeps what is known of its last passes and
    /// its place in the queue; one that is new runs as at a start.
    pub fn renew(&mut self, jobs: Vec<Job>, now: Moment) -> Option<Action> {
        let before = std::mem::replace(&mut self.jobs, jobs);
        let waiting = std::mem::take(&mut self.queue);
        for (at, job) in self.jobs.iter_mut().enumerate() {
            let known = before.iter().position(|one| one.collection == job.collection);
            if let Some(old) = known.and_then(|known| before.get(known)) {
                (job.last, job.last_full) = (old.last, old.last_full);
            }
            let place = waiting.iter().find(|(waits, _)| Some(*waits) == known);
            if let Some((_, cause)) = place {
                self.queue.push_back((at, *cause));
            } else if known.is_none() && job.schedule.is_none() {
                self.queue.push_back((at, Cause::Schedule));
            }
        }
        self.decide(&Event::Tick, now)
    }

    /// Whether the rules are to be read anew as soon as the running pass has ended.
    pub fn reload_waits(&self) -> bool {
        self.reload
    }

    /// The collection that is due next, and when; `None` where nothing is scheduled.
    pub fn next(&self, now: Moment) -> Option<(&str, DateTime<Utc>)> {
        let due = |job: &'_ Job| next_due(job.schedule.as_ref()?, job.last.map(|last| last.wall), now.wall);
        let all = self.jobs.iter().filter_map(|job| Some((job.collection.as_str(), due(job)?)));
        all.min_by_key(|(_, due)| *due)
    }

    /// What to do about an event.
    pub fn decide(&mut self, event: &Event, now: Moment) -> Option<Action> {
        match event {
            Event::Tick => {
                self.notice_clock(now);
                self.queue_due(now);
                self.start_next(now)
            }
            Event::PassEnded { fatal } => {
                self.running = None;
                match (*fatal, self.stopping) {
                    (true, _) => Some(Action::End(Ending::Fatal)),
                    (false, true) => Some(Action::End(Ending::Stopped)),
                    (false, false) if std::mem::take(&mut self.reload) => Some(Action::Reload),
                    (false, false) => {
                        self.queue_due(now);
                        self.start_next(now)
                    }
                }
            }
            Event::StopAsked => match (self.stopping, self.running) {
                (true, _) => Some(Action::End(Ending::Aborted)),
                (false, None) => Some(Action::End(Ending::Stopped)),
                (false, Some(_)) => {
                    self.stopping = true;
                    Some(Action::Drain)
                }
            },
            Event::DrainTimedOut => Some(Action::End(Ending::Stopped)),
            // A single run makes each pass anyway, by the rules that it began with.
            Event::SyncAsked | Event::ReloadAsked if self.mode == Mode::Once || self.stopping => None,
            Event::SyncAsked => {
                self.queue_all(Cause::Signal);
                self.start_next(now)
            }
            Event::ReportAsked => Some(Action::Report),
            Event::ReloadAsked if self.running.is_some() => {
                self.reload = true;
                None
            }
            Event::ReloadAsked => Some(Action::Reload),
        }
    }

    /// A clock that was set back would make everything due far away: what lies ahead of it counts as just run.
    fn notice_clock(&mut self, now: Moment) {
        if self.seen.is_none_or(|seen| now.wall < seen.wall) {
            let rebase = |last: &mut Option<Last>| {
                if let Some(last) = last.as_mut().filter(|last| last.wall > now.wall) {
                    last.wall = now.wall;
                }
            };
            for job in &mut self.jobs {
                rebase(&mut job.last);
                rebase(&mut job.last_full);
            }
        }
        self.seen = Some(now);
    }

    fn queue_due(&mut self, now: Moment) {
        if self.mode == Mode::Once || self.stopping {
            return;
        }
        for (at, job) in self.jobs.iter().enumerate() {
            let Some(schedule) = &job.schedule else { continue };
            let waits = self.running == Some(at) || self.queue.iter().any(|(waits, _)| *waits == at);
            if !waits && (is_due(schedule, job.last, now) || full_is_due(job, now)) {
                self.queue.push_back((at, Cause::Schedule));
            }
        }
    }

    /// Whoever asks while a pass runs asks for what happened since it began: it is made once more, however often one asks.
    fn queue_all(&mut self, cause: Cause) {
        for at in 0..self.jobs.len() {
            if !self.queue.iter().any(|(waits, _)| *waits == at) {
                self.queue.push_back((at, cause));
            }
        }
    }

    fn start_next(&mut self, now: Moment) -> Option<Action> {
        if self.running.is_some() || self.stopping {
            return None;
        }
        let Some((at, cause)) = self.queue.pop_front() else {
            return (self.mode == Mode::Once).then_some(Action::End(Ending::Done));
        };
        let job = self.jobs.get_mut(at)?;
        let full = self.full || full_is_due(job, now);
        let began = Last { wall: now.wall, steady: Some(now.steady) };
        job.last = Some(began);
        if full {
            job.last_full = Some(began);
        }
        self.running = Some(at);
        Some(Action::Start { collection: job.collection.clone(), full, cause })
    }
}

/// The first pass reads everything by itself; a complete generation is due from then on.
fn full_is_due(job: &Job, now: Moment) -> bool {
    match (&job.full_scan, job.last_full.or(job.last)) {
        (Some(schedule), Some(last)) => is_due(schedule, Some(last), now),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn now(seconds: i64) -> Moment {
        Moment {
            wall: DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap(),
            steady: Duration::from_secs(u64::try_from(seconds.max(0)).unwrap()),
        }
    }

    fn job(name: &str, every: Option<u64>) -> Job {
        Job {
            collection: name.to_owned(),
            schedule: every.map(|seconds| Schedule::Every(Duration::from_secs(seconds))),
            full_scan: None,
            last: None,
            last_full: None,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is compared with decisions")]
    fn start(collection: &str) -> Option<Action> {
        Some(Action::Start { collection: collection.to_owned(), full: false, cause: Cause::Schedule })
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is compared with decisions")]
    fn asked(collection: &str) -> Option<Action> {
        Some(Action::Start { collection: collection.to_owned(), full: false, cause: Cause::Signal })
    }

    const ENDED: Event = Event::PassEnded { fatal: false };

    #[test]
    fn once_runs_each_collection_in_order_and_ends() {
        let mut state = State::new(Mode::Once, true, vec![job("a", Some(60)), job("b", None)]);
        let full = |name: &str| Some(Action::Start { collection: name.to_owned(), full: true, cause: Cause::Schedule });
        assert_eq!(state.begin(now(0)), full("a"));
        assert_eq!(state.decide(&Event::Tick, now(1)), None, "one pass at a time");
        assert_eq!(state.decide(&ENDED, now(90)), full("b"));
        assert_eq!(state.decide(&ENDED, now(91)), Some(Action::End(Ending::Done)));
    }

    #[test]
    fn passes_follow_their_schedule_and_never_overlap() {
        let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60)), job("b", None)]);
        assert_eq!(state.begin(now(0)), start("b"), "without a schedule: at start");
        assert_eq!(state.decide(&ENDED, now(1)), start("a"), "what never ran is due");
        assert_eq!(state.decide(&Event::Tick, now(200)), None, "it still runs");
        assert_eq!(state.decide(&ENDED, now(201)), start("a"), "what was missed is caught up once");
        assert_eq!(state.decide(&ENDED, now(202)), None);
        assert_eq!(state.next(now(202)), Some(("a", now(261).wall)));
        assert_eq!(state.decide(&Event::Tick, now(260)), None);
        assert_eq!(state.decide(&Event::Tick, now(261)), start("a"));
    }

    #[test]
    fn a_complete_generation_is_read_when_it_is_due() {
        let mut one = job("a", Some(60));
        one.full_scan = Some(Schedule::Every(Duration::from_secs(100)));
        let mut state = State::new(Mode::Scheduled, false, vec![one]);
        let full = Some(Action::Start { collection: "a".to_owned(), full: true, cause: Cause::Schedule });
        assert_eq!(state.begin(now(0)), start("a"), "the first pass reads everything anyway");
        assert_eq!(state.decide(&ENDED, now(1)), None);
        assert_eq!(state.decide(&Event::Tick, now(60)), start("a"));
        assert_eq!(state.decide(&ENDED, now(61)), None);
        assert_eq!(state.decide(&Event::Tick, now(160)), full);
    }

    #[test]
    fn f7_a_stop_waits_for_the_pass_and_a_second_one_does_not() {
        let running = || {
            let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60)), job("b", Some(60))]);
            assert_eq!(state.begin(now(0)), start("a"));
            assert_eq!(state.decide(&Event::StopAsked, now(1)), Some(Action::Drain));
            state
        };
        assert_eq!(running().decide(&Event::Tick, now(2)), None, "no new work");
        assert_eq!(running().decide(&ENDED, now(2)), Some(Action::End(Ending::Stopped)));
        assert_eq!(running().decide(&Event::DrainTimedOut, now(21)), Some(Action::End(Ending::Stopped)));
        assert_eq!(running().decide(&Event::StopAsked, now(2)), Some(Action::End(Ending::Aborted)));
        let mut idle = State::new(Mode::Scheduled, false, Vec::new());
        assert_eq!(idle.decide(&Event::StopAsked, now(0)), Some(Action::End(Ending::Stopped)));
    }

    #[test]
    fn f47_a_clock_that_is_set_back_a_year_delays_nothing_beyond_one_interval() {
        let mut one = job("a", None);
        one.schedule = Some(Schedule::Cron { expression: "* * * * *".to_owned(), timezone: chrono_tz::UTC });
        let mut state = State::new(Mode::Scheduled, false, vec![one]);
        assert_eq!(state.begin(now(0)), start("a"));
        assert_eq!(state.decide(&ENDED, now(1)), None);
        let year = -365 * 86_400;
        assert_eq!(state.decide(&Event::Tick, now(year)), None);
        assert_eq!(state.decide(&Event::Tick, now(year + 61)), start("a"));
    }

    #[test]
    fn f47_a_clock_that_is_set_forward_a_year_gives_one_pass() {
        let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60))]);
        assert_eq!(state.begin(now(0)), start("a"));
        assert_eq!(state.decide(&ENDED, now(1)), None);
        let year = 365 * 86_400;
        assert_eq!(state.decide(&Event::Tick, now(year)), start("a"), "what half a million ticks would have been");
        assert_eq!(state.decide(&ENDED, now(year + 1)), None);
        assert_eq!(state.decide(&Event::Tick, now(year + 59)), None);
        assert_eq!(state.decide(&Event::Tick, now(year + 61)), start("a"));
    }

    #[test]
    fn who_asks_gets_one_pass_of_each_that_begins_after_the_question() {
        let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(600)), job("b", Some(600))]);
        assert_eq!(state.begin(now(0)), start("a"));
        for _ in 0..3 {
            assert_eq!(state.decide(&Event::SyncAsked, now(1)), None, "one pass at a time");
        }
        assert_eq!(state.decide(&ENDED, now(2)), start("b"), "what was due keeps its place");
        assert_eq!(state.decide(&ENDED, now(3)), asked("a"), "its first pass had begun before");
        assert_eq!(state.decide(&ENDED, now(4)), None, "b began after the question");
        assert_eq!(state.decide(&Event::SyncAsked, now(5)), asked("a"));
        assert_eq!(state.decide(&Event::StopAsked, now(5)), Some(Action::Drain));
        assert_eq!(state.decide(&Event::SyncAsked, now(6)), None);
        let mut once = State::new(Mode::Once, false, vec![job("a", None)]);
        assert_eq!(once.begin(now(0)), start("a"));
        assert_eq!(once.decide(&Event::SyncAsked, now(1)), None);
        assert_eq!(once.decide(&ENDED, now(2)), Some(Action::End(Ending::Done)));
    }

    #[test]
    fn rules_change_between_passes_and_what_is_known_of_a_collection_stays() {
        let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60)), job("b", Some(60))]);
        assert_eq!(state.begin(now(0)), start("a"));
        assert_eq!(state.decide(&Event::ReloadAsked, now(1)), None, "a pass keeps the rules that it began with");
        assert_eq!(state.decide(&Event::ReportAsked, now(1)), Some(Action::Report));
        assert_eq!(state.decide(&ENDED, now(2)), Some(Action::Reload));
        let jobs = || vec![job("c", None), job("b", Some(60)), job("a", Some(20))];
        assert_eq!(state.renew(jobs(), now(2)), start("c"), "what is new runs as at a start, in the new order");
        assert_eq!(state.decide(&ENDED, now(3)), start("b"), "it waited before");
        assert_eq!(state.decide(&ENDED, now(4)), None, "a has just run");
        assert_eq!(state.decide(&Event::Tick, now(20)), start("a"), "its new interval counts from its last pass");
        assert_eq!(state.decide(&ENDED, now(21)), None);
        assert_eq!(state.decide(&Event::ReloadAsked, now(22)), Some(Action::Reload));
        assert_eq!(state.renew(vec![job("b", Some(60))], now(22)), None, "c and a are gone");
        assert_eq!(state.decide(&Event::Tick, now(63)), start("b"));
        assert_eq!(state.decide(&Event::StopAsked, now(63)), Some(Action::Drain));
        assert_eq!(state.decide(&Event::ReloadAsked, now(63)), None);
    }

    #[test]
    fn a_damaged_database_ends_the_daemon() {
        let mut state = State::new(Mode::Scheduled, false, vec![job("a", Some(60))]);
        assert_eq!(state.begin(now(0)), start("a"));
        assert_eq!(state.decide(&Event::PassEnded { fatal: true }, now(1)), Some(Action::End(Ending::Fatal)));
    }
}
