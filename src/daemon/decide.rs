//! Owns: the daemon's one decision: state and event → what to do next. Pure.
//!
//! Must not know: engines, signals, sockets; the current time (it is an argument).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::desk::{self, Place};
use super::event::{Action, Cause, Ending, Event, Mark, Moment, Reads, Request, Signal, Went};
use super::job::{ForFew, Job};
use super::schedule::Last;

/// How long `run` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until stopped; passes on schedule.
    Scheduled,
    /// One pass of each collection.
    Once,
}

/// Passes that list and run side by side, at most.
const SIDE_BY_SIDE_MAX: usize = 4;
/// The same of those that list nothing: they wait for none of the others.
const TARGETED_SIDE_BY_SIDE_MAX: usize = 16;
/// A turn that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    /// The position of the job.
    at: usize,
    cause: Cause,
    full: bool,
}

/// Everything that the decision looks at.
#[derive(Debug)]
pub struct State {
    mode: Mode,
    full: bool,
    jobs: Vec<Job>,
    /// Jobs that wait for their turn, each once.
    queue: VecDeque<Turn>,
    running: BTreeSet<usize>,
    /// Collections of which a pass over single records left something beside one of a collection that they refer to.
    left: BTreeSet<String>,
    stopping: bool,
    /// Other rules wait for passes of these collections, which they change: a pass keeps the rules that it began with. None of
    /// these begins before, but for [`State::meanwhile`].
    awaits: Option<BTreeSet<String>>,
    /// The wall clock at the last look, to notice that it was set back.
    seen: Option<Moment>,
}

impl State {
    /// Jobs in the order of passes, parents first. `full`: every pass reads everything.
    pub fn new(mode: Mode, full: bool, jobs: Vec<Job>) -> Self {
        let (queue, running) = (VecDeque::new(), BTreeSet::new());
        Self { mode, full, jobs, queue, running, left: BTreeSet::new(), stopping: false, awaits: None, seen: None }
    }

    /// Everything runs once at the start that never ran, is due, or has no schedule.
    #[must_use = "what is decided counts as done"]
    pub fn begin(&mut self, now: Moment) -> Vec<Action> {
        for at in 0..self.jobs.len() {
            let at_start = self.mode == Mode::Once || self.jobs.get(at).is_some_and(|job| job.schedule.is_none());
            if at_start {
                self.enqueue(Turn { at, cause: Cause::Schedule, full: false });
            }
        }
        self.decide(&Event::Tick, now)
    }

    /// Goes on with the jobs of other rules. A collection that was there before keeps what is known of its last passes, the
    /// one that runs and its place in the queue; one that is new runs as at a start.
    #[must_use = "what is decided counts as done"]
    pub fn renew(&mut self, jobs: Vec<Job>, now: Moment) -> Vec<Action> {
        let before = std::mem::replace(&mut self.jobs, jobs);
        let waiting = std::mem::take(&mut self.queue);
        let running = std::mem::take(&mut self.running);
        self.awaits = None;
        let mut turns = Vec::new();
        for (at, job) in self.jobs.iter_mut().enumerate() {
            let known = before.iter().position(|one| one.collection == job.collection);
            if let Some(old) = known.and_then(|known| before.get(known)) {
                (job.last, job.last_full, job.ended) = (old.last, old.last_full, old.ended);
                (job.listed_for, job.ended_listed) = (old.listed_for, old.ended_listed);
                (job.mark, job.taken, job.retry_at) = (old.mark, old.taken, old.retry_at);
                (job.ended_targeted, job.targeted) = (old.ended_targeted, old.targeted);
                (job.between, job.takes) = (old.between, old.takes);
                (job.reads_full, job.failed_full) = (old.reads_full, old.failed_full);
            }
            if known.is_some_and(|known| running.contains(&known)) {
                self.running.insert(at);
            }
            if let Some(turn) = waiting.iter().find(|turn| Some(turn.at) == known) {
                turns.push(Turn { at, ..*turn });
            } else if known.is_none() && job.schedule.is_none() {
                turns.push(Turn { at, cause: Cause::Schedule, full: false });
            }
        }
        for turn in turns {
            self.enqueue(turn);
        }
        self.decide(&Event::Tick, now)
    }

    /// The rules as they are now can be used, and change these collections; or they cannot be used. Those that can come into
    /// force at once, whole, or once the passes have ended that run of what they change; of these only what [`State::meanwhile`]
    /// says starts before. All other collections, and rules that cannot be used, wait for nothing.
    #[must_use = "what is decided counts as done"]
    pub fn checked(&mut self, changed: Option<BTreeSet<String>>, now: Moment) -> Vec<Action> {
        self.awaits = changed;
        match &self.awaits {
            Some(_) if !self.stopping && self.rules_wait_for().is_empty() => {
                self.awaits = None;
                vec![Action::Reload]
            }
            Some(_) | None => {
                self.queue_due(now);
                self.start(now)
            }
        }
    }

    /// Collections whose running passes are waited for by other rules.
    pub fn rules_wait_for(&self) -> Vec<String> {
        let Some(changed) = &self.awaits else { return Vec::new() };
        let running = self.running.iter().filter_map(|at| self.jobs.get(*at)).map(|job| &job.collection);
        running.filter(|name| changed.contains(*name)).cloned().collect()
    }

    /// All collections that these rules change; none where no rules wait.
    pub fn rules_change(&self) -> Vec<String> {
        self.awaits.iter().flatten().cloned().collect()
    }

    /// The collection that is due next, and when; `None` where nothing is scheduled.
    pub fn next(&self, now: Moment) -> Option<(&str, DateTime<Utc>)> {
        let all = self.jobs.iter().filter_map(|job| Some((job.collection.as_str(), job.due(now)?)));
        all.min_by_key(|(_, due)| *due)
    }

    /// The jobs, in the order of passes, with whether each runs or waits for its turn.
    pub fn jobs(&self) -> impl Iterator<Item = (&Job, bool, bool)> {
        self.jobs.iter().enumerate().map(|(at, job)| {
            let waits = self.queue.iter().any(|turn| turn.at == at);
            (job, self.running.contains(&at), waits)
        })
    }

    /// Where each collection stands, in the order of passes.
    pub fn places(&self, now: Moment) -> Vec<Place> {
        let place = |(job, running, waiting): (&Job, bool, bool)| Place {
            collection: job.collection.clone(),
            running,
            waiting,
            paused: job.paused,
            next: job.due(now),
            next_full: job.full_due(now),
            retry_at: job.retry_at.filter(|_| !job.paused),
            doing: None,
            failed: None,
        };
        self.jobs().map(place).collect()
    }

    /// How long until something may be due by the clock alone. Work that was left is no part of it.
    pub fn due_in(&self, now: Moment) -> Option<Duration> {
        let is_made = self.mode == Mode::Scheduled && !self.stopping;
        let running = self.running.iter().filter(|_| is_made).filter_map(|at| self.jobs.get(*at)?.between_in(now));
        self.idle().filter_map(|job| job.cause_in(now)).chain(running).min()
    }

    /// The collection whose left work may be tried again first, and in how long.
    pub fn retry_in(&self, now: Moment) -> Option<(String, Duration)> {
        let left = |job: &Job| Some((job.collection.clone(), (job.retry_at? - now.wall).to_std().unwrap_or_default()));
        self.idle().filter_map(left).min_by_key(|(_, left)| *left)
    }

    /// The jobs that would run, were there a cause.
    fn idle(&self) -> impl Iterator<Item = &Job> {
        let is_scheduled = self.mode == Mode::Scheduled && !self.stopping;
        let idle = move |(job, running, waits): &(&Job, bool, bool)| is_scheduled && !job.paused && !running && !waits;
        self.jobs().filter(idle).map(|(job, ..)| job)
    }

    /// A pass runs.
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// The collections that a request is about; an error says why it is refused.
    pub fn accepts(&self, request: &Request) -> Result<Vec<String>, String> {
        let named = match request {
            Request::Sync { collections, .. } => collections,
            Request::Pause { collection, .. } => return self.knows(collection).map(|()| vec![collection.clone()]),
        };
        if self.stopping {
            return Err("the daemon is stopping".to_owned());
        }
        for name in named {
            self.knows(name)?;
            if self.jobs.iter().any(|job| job.collection == *name && job.paused) {
                return Err(format!("{name} is paused; `reconciled resume {name}` lets it go on"));
            }
        }
        let asked = |job: &&Job| !job.paused && (named.is_empty() || named.contains(&job.collection));
        Ok(self.jobs.iter().filter(asked).map(|job| job.collection.clone()).collect())
    }

    /// An error where the daemon works on no such collection.
    fn knows(&self, collection: &str) -> Result<(), String> {
        desk::knows(self.jobs.iter().map(|job| job.collection.as_str()), collection)
    }

    /// When the last pass of a collection began.
    pub fn began(&self, collection: &str) -> Option<DateTime<Utc>> {
        let job = self.jobs.iter().find(|job| job.collection == collection)?;
        Some(job.targeted.map(|(began, _)| began).or(job.last)?.wall)
    }

    /// The newest edit of a collection that had been taken up before the pass over single records that began last.
    pub fn edits_before(&self, collection: &str) -> i64 {
        let job = self.jobs.iter().find(|job| job.collection == collection);
        job.map(Job::edits_before).unwrap_or_default()
    }

    /// This waits in the store for a collection; nothing is done about it before the next event.
    pub fn mark(&mut self, collection: &str, mark: Mark) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.collection == collection) {
            job.mark = mark;
        }
    }

    /// What to do about an event.
    #[must_use = "what is decided counts as done"]
    pub fn decide(&mut self, event: &Event, now: Moment) -> Vec<Action> {
        match event {
            Event::Tick => {
                self.notice_clock(now);
                self.queue_due(now);
                self.start(now)
            }
            Event::PassEnded { collection, went, retry_at, waits } => {
                self.note_end(collection, *retry_at, *went, now);
                self.note_kin(collection, *waits);
                let is_last = self.running.is_empty();
                let is_awaited = self.awaits.is_some() && self.rules_wait_for().is_empty();
                match (*went == Went::Fatal, self.stopping) {
                    (true, _) => vec![Action::End(Ending::Fatal)],
                    (false, true) if is_last => vec![Action::End(Ending::Stopped)],
                    // They may have been edited again since.
                    (false, false) if is_awaited => vec![Action::Check],
                    (false, true) => Vec::new(),
                    (false, false) => {
                        self.queue_due(now);
                        self.start(now)
                    }
                }
            }
            Event::BetweenEnded { collection, undone } => {
                if let Some(job) = self.jobs.iter_mut().find(|job| job.collection == *collection) {
                    job.note_between(*undone, now);
                }
                self.start(now)
            }
            Event::LocalEdit { collection, mark }
            | Event::Decision { collection, mark }
            | Event::Webhook { collection, mark } => {
                self.mark(collection, *mark);
                self.queue_due(now);
                self.start(now)
            }
            Event::Stop => match (self.stopping, self.running.is_empty()) {
                (true, _) => vec![Action::End(Ending::Aborted)],
                (false, true) => vec![Action::End(Ending::Stopped)],
                (false, false) => {
                    self.stopping = true;
                    vec![Action::Drain]
                }
            },
            Event::DrainTimedOut => vec![Action::End(Ending::Stopped)],
            Event::Signal(Signal::Report) => vec![Action::Report],
            // A single run makes each pass anyway, by the rules that it began with.
            Event::Signal(Signal::Sync | Signal::Reload)
            | Event::Request(_)
            | Event::RulesChanged
            | Event::RetryDue { .. }
                if self.mode == Mode::Once || self.stopping =>
            {
                Vec::new()
            }
            Event::Signal(Signal::Sync) => self.sync(&[], false, Cause::Signal, now),
            Event::Request(Request::Sync { collections, full }) => self.sync(collections, *full, Cause::Request, now),
            Event::Request(Request::Pause { collection, paused }) => {
                self.pause(collection, *paused);
                self.queue_due(now);
                self.start(now)
            }
            Event::RetryDue { collection } => {
                self.queue_due(now);
                self.retry(collection, now);
                self.start(now)
            }
            Event::Signal(Signal::Reload) | Event::RulesChanged => vec![Action::Check],
        }
    }

    fn sync(&mut self, collections: &[String], full: bool, cause: Cause, now: Moment) -> Vec<Action> {
        for at in 0..self.jobs.len() {
            let named = |job: &Job| collections.is_empty() || collections.contains(&job.collection);
            if self.jobs.get(at).is_some_and(|job| named(job) && !job.paused) {
                self.enqueue(Turn { at, cause, full });
            }
        }
        self.start(now)
    }

    /// A pass for what was left, where it still is.
    fn retry(&mut self, collection: &str, now: Moment) {
        let is_left = |job: &Job| !job.paused && job.retry_at.is_some_and(|at| at <= now.wall);
        let at = self.jobs.iter().position(|job| job.collection == collection && is_left(job));
        if let Some(at) = at.filter(|at| !self.running.contains(at)) {
            self.enqueue(Turn { at, cause: Cause::Retry, full: false });
        }
    }

    /// A pass that waits for its turn is not made; one that runs goes on to its end.
    fn pause(&mut self, collection: &str, paused: bool) {
        let Some(at) = self.jobs.iter().position(|job| job.collection == collection) else { return };
        if let Some(job) = self.jobs.get_mut(at) {
            job.paused = paused;
        }
        if paused {
            self.queue.retain(|turn| turn.at != at);
        }
    }

    fn note_end(&mut self, collection: &str, retry_at: Option<DateTime<Utc>>, went: Went, now: Moment) {
        let Some(at) = self.jobs.iter().position(|job| job.collection == collection) else { return };
        self.running.remove(&at);
        if let Some(job) = self.jobs.get_mut(at) {
            let targeted = job.targeted.take();
            job.note_end();
            let began = targeted.map(|(began, _)| began).or(job.last);
            // What could be tried when the pass began it has tried, unless it was about few records: what was due before still is.
            let retry_at = retry_at.filter(|at| began.is_none_or(|began| *at > began.wall));
            job.retry_at = [retry_at, job.retry_at.filter(|_| targeted.is_some())].into_iter().flatten().min();
            let since = began.and_then(|began| began.steady).unwrap_or(now.steady);
            let ended = Some((now.steady, now.steady.saturating_sub(since)));
            match targeted {
                None => {
                    job.note_full(went != Went::Well);
                    job.ended = Some(now.steady);
                    if job.listed_for.is_some_and(Cause::is_for_few) {
                        job.ended_listed = ended;
                    }
                }
                Some((_, taken)) => {
                    job.ended_targeted = ended;
                    if went == Went::Undone {
                        (job.for_few, job.taken) = (ForFew::ListingsOnce, taken);
                    }
                }
            }
        }
    }

    /// What a pass over single records left beside one of a collection that they refer to may be done when that has ended.
    fn note_kin(&mut self, collection: &str, waits: bool) {
        let parent = |job: &Job| job.parents.iter().any(|parent| parent == collection);
        let left = |job: &Job| parent(job) && !job.paused && self.left.contains(&job.collection);
        let done: Vec<usize> = (0..self.jobs.len()).filter(|at| self.jobs.get(*at).is_some_and(left)).collect();
        let runs =
            |name: &String| self.running.iter().filter_map(|at| self.jobs.get(*at)).any(|job| job.collection == *name);
        let own = self.jobs.iter().find(|job| job.collection == collection);
        let is_left = waits && own.is_some_and(|job| job.parents.iter().any(runs));
        self.left.remove(collection);
        if is_left {
            self.left.insert(collection.to_owned());
        }
        for at in done {
            if let Some(job) = self.jobs.get(at) {
                self.left.remove(&job.collection);
            }
            if self.mode == Mode::Scheduled && !self.stopping {
                self.enqueue(Turn { at, cause: Cause::Retry, full: false });
            }
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
                rebase(&mut job.failed_full);
            }
        }
        self.seen = Some(now);
    }

    fn queue_due(&mut self, now: Moment) {
        if self.mode == Mode::Once || self.stopping {
            return;
        }
        for at in 0..self.jobs.len() {
            let Some(job) = self.jobs.get(at).filter(|job| !job.paused && !self.running.contains(&at)) else {
                continue;
            };
            let Some(cause) = job.cause(now) else { continue };
            self.enqueue(Turn { at, cause, full: false });
        }
    }

    /// Whoever asks while a pass runs asks for what happened since it began: it is made once more, however often one asks.
    fn enqueue(&mut self, turn: Turn) {
        match self.queue.iter_mut().find(|waits| waits.at == turn.at) {
            Some(waits) => {
                waits.full |= turn.full;
                // A pass for few records is none that was asked for.
                if waits.cause.is_for_few() && !turn.cause.is_for_few() {
                    waits.cause = turn.cause;
                }
            }
            None => self.queue.push_back(turn),
        }
    }

    fn start(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.stopping {
            return actions;
        }
        let mut next = 0;
        while let Some(turn) = self.queue.get(next).copied() {
            let may = |(_, reads): &(Cause, Reads)| self.may_start(turn.at, *reads, next, now);
            let Some((cause, reads)) = self.granted(turn, now).filter(may) else {
                next += 1;
                continue;
            };
            if self.is_held(turn.at) && !turn.cause.is_for_few() {
                // It goes on waiting: what begins is not what it asked for.
                next += 1;
            } else {
                self.queue.remove(next);
            }
            actions.extend(self.begin_one(turn.at, cause, reads, now));
        }
        actions.extend(self.make_between(now));
        if actions.is_empty() && self.mode == Mode::Once && self.running.is_empty() && self.queue.is_empty() {
            actions.push(Action::End(Ending::Done));
        }
        actions
    }

    /// What came while a pass runs does not wait for its end, where single records can be asked for.
    fn make_between(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        for at in self.running.iter().filter(|_| self.mode == Mode::Scheduled) {
            let Some(job) = self.jobs.get_mut(*at) else { continue };
            let Some(cause) = job.cause_between(now) else { continue };
            job.begin_between(now);
            actions.push(Action::Between { collection: job.collection.clone(), cause });
        }
        actions
    }

    /// Whether other rules wait to change this collection.
    fn is_held(&self, at: usize) -> bool {
        let changed = self.awaits.as_ref();
        self.jobs.get(at).is_some_and(|job| changed.is_some_and(|changed| changed.contains(&job.collection)))
    }

    /// What may begin for a turn: what it asks for, or less where other rules wait to change its collection.
    fn granted(&self, turn: Turn, now: Moment) -> Option<(Cause, Reads)> {
        if self.is_held(turn.at) {
            return self.meanwhile(turn.at, now);
        }
        let job = self.jobs.get(turn.at)?;
        let full = self.full || turn.full || job.full_is_due(turn.cause, now);
        Some((turn.cause, if full { Reads::Everything } else { job.reads_for(turn.cause) }))
    }

    /// What begins of a collection that other rules wait to change: what its edits and webhooks take, by the rules in force, as
    /// long as some longer pass keeps those others waiting anyway. As these are no longer passes, and no longer pass begins, the
    /// others are not kept waiting for ever.
    fn meanwhile(&self, at: usize, now: Moment) -> Option<(Cause, Reads)> {
        let mut running = self.running.iter().filter(|at| self.is_held(**at)).filter_map(|at| self.jobs.get(*at));
        let job = self.jobs.get(at).filter(|_| running.any(|one| !one.runs_short()))?;
        let cause = job.cause_for_few(now)?;
        let reads = if self.full { Reads::Everything } else { job.reads_for(cause) };
        job.is_short(cause, reads).then_some((cause, reads))
    }

    fn begin_one(&mut self, at: usize, cause: Cause, reads: Reads, now: Moment) -> Option<Action> {
        let job = self.jobs.get_mut(at)?;
        job.begin(cause, reads, now);
        self.running.insert(at);
        Some(Action::Start { collection: job.collection.clone(), reads, cause })
    }

    /// Never two passes of one collection; those that list of collections that refer to each other one after the other; a first one
    /// alone, since it may fill the database. One over single records changes nothing that a pass of another collection has read and
    /// not decided yet, but for whose records it walks from one to the next.
    fn may_start(&self, at: usize, reads: Reads, place: usize, now: Moment) -> bool {
        let most = match (self.mode, reads) {
            (Mode::Once, _) => 1,
            (Mode::Scheduled, Reads::Targets) => TARGETED_SIDE_BY_SIDE_MAX,
            (Mode::Scheduled, Reads::Changes | Reads::Everything) => SIDE_BY_SIDE_MAX,
        };
        let is_targeted = |at: &&usize| self.jobs.get(**at).is_some_and(|job| job.targeted.is_some());
        let targeted = self.running.iter().filter(is_targeted).count();
        let beside = if reads == Reads::Targets { targeted } else { self.running.len() - targeted };
        if beside >= most || self.running.contains(&at) {
            return false;
        }
        let Some(job) = self.jobs.get(at) else { return false };
        let running = || self.running.iter().filter_map(|running| self.jobs.get(*running));
        let is_parent = |of: &Job, one: &Job| of.parents.contains(&one.collection);
        let waits_before = |one: &Job| {
            // Who waits for other rules alone keeps nobody else waiting.
            let before = self.queue.iter().take(place).filter(|turn| self.granted(**turn, now).is_some());
            before.filter_map(|turn| self.jobs.get(turn.at)).any(|other| other.collection == one.collection)
        };
        let parent_waits = self.jobs.iter().any(|one| is_parent(job, one) && waits_before(one));
        let is_first = |one: &Job| {
            one.ended.is_none() && one.last_full.is_none() && one.last.is_none_or(|last| last.steady.is_some())
        };
        let is_kin = |one: &Job| is_parent(job, one) || is_parent(one, job);
        let walks = |one: &Job| one.walks.contains(&job.collection);
        let kin_runs = match reads {
            Reads::Targets => running().any(walks),
            Reads::Changes | Reads::Everything => running().any(is_kin),
        };
        let alone = (is_first(job) && !self.running.is_empty()) || running().any(is_first);
        !parent_waits && !kin_runs && !alone
    }
}
