//! Owns: a collection as the daemon sees it: its schedule, what is known of its last passes, what waits, how long edits wait.
//!
//! Must not know: other collections; what is done about it (that is `decide`).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::rules::Schedule;

use super::event::{Cause, Mark, Moment, Reads};
use super::schedule::{Last, due_in, is_due, next_due};

/// After a pass for an edit or a webhook the next one waits as long as that took, but no longer than this: who edits all day
/// leaves room for others. Who edits now and then waits for nothing, however long the scheduled passes take.
const PACE_MAX: Duration = Duration::from_mins(1);
/// The same after one that lists nothing: edits are to arrive within two seconds.
const PACE_OF_TARGETED_MAX: Duration = Duration::from_secs(1);
/// After one that was as short as this the next one waits no longer than that.
const SHORT: Duration = Duration::from_millis(300);
/// A pass that lists nothing is as good as one that lists once it has run for so long: what came, its own edits included, is made
/// in between.
const LONG: Duration = Duration::from_millis(400);
/// So many times as long where a pass reads everything, and costs the upstream as much.
const PACE_OF_WHOLE: u32 = 9;
/// See `PACE_MAX`, where a pass reads everything.
const PACE_OF_WHOLE_MAX: Duration = Duration::from_mins(10);

/// A collection and when it runs.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub collection: String,
    /// The collections that its records refer to: their passes come first.
    pub parents: Vec<String>,
    /// Those of them that its listings walk through, one listing for each of their records.
    pub walks: Vec<String>,
    /// `None`: once, at start.
    pub schedule: Option<Schedule>,
    /// When complete generations are read.
    pub full_scan: Option<Schedule>,
    /// Scheduled passes begin up to so much later.
    pub jitter: Duration,
    /// Edits here make a pass.
    pub edits: bool,
    /// Every pass that lists reads everything.
    pub reads_whole: bool,
    /// What a pass for an edit or a webhook reads.
    pub for_few: ForFew,
    /// When its last pass that listed began.
    pub last: Option<Last>,
    /// When its last complete generation began, of those that went well.
    pub last_full: Option<Last>,
    /// When the one began that runs.
    pub reads_full: Option<Last>,
    /// When one began that was due and did not go well, since the last that did. Another one is made in place of the next
    /// scheduled pass.
    pub failed_full: Option<Last>,
    /// It rests until somebody says otherwise.
    pub paused: bool,
    /// When work that was left may be tried again.
    pub retry_at: Option<DateTime<Utc>>,
    /// What waits in the store, and what of it the last pass knew.
    pub mark: Mark,
    /// See `mark`.
    pub taken: Mark,
    /// When the last pass that listed ended in this process.
    pub ended: Option<Duration>,
    /// Why it was made, or the one that runs.
    pub listed_for: Option<Cause>,
    /// When the last pass that listed for an edit or a webhook ended, and how long it took.
    pub ended_listed: Option<(Duration, Duration)>,
    /// The same of the last pass that did not list.
    pub ended_targeted: Option<(Duration, Duration)>,
    /// Since when a pass that does not list runs, what it reads instead, and what earlier passes had taken up before it.
    pub targeted: Option<(Last, Mark)>,
    /// Since when one runs that is made while another one does, and the newest edit that had been taken up before it.
    pub between: Option<(Last, i64)>,
    /// What waited when the pass began that runs: it has taken that up when it has ended.
    pub takes: Option<Mark>,
}

/// What a pass for an edit or a webhook reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForFew {
    /// Listings, as any other: some upstream cannot be asked for single records.
    Listings,
    /// The records that have news.
    Records,
    /// Listings once; what waits cannot be done without.
    ListingsOnce,
}

impl Job {
    /// One that never ran.
    pub fn new(collection: impl Into<String>, schedule: Option<Schedule>) -> Self {
        Self {
            collection: collection.into(),
            parents: Vec::new(),
            walks: Vec::new(),
            schedule,
            full_scan: None,
            jitter: Duration::ZERO,
            edits: true,
            reads_whole: false,
            for_few: ForFew::Listings,
            last: None,
            last_full: None,
            reads_full: None,
            failed_full: None,
            paused: false,
            retry_at: None,
            mark: Mark::default(),
            taken: Mark::default(),
            ended: None,
            listed_for: None,
            ended_listed: None,
            ended_targeted: None,
            targeted: None,
            between: None,
            takes: None,
        }
    }

    /// How much later than due the pass begins that is due next.
    fn delay(&self) -> Duration {
        let last = self.last.map_or(0, |last| last.wall.timestamp_micros());
        jitter(&self.collection, last, self.jitter)
    }

    /// How long until another pass for an edit or a webhook leaves room for others.
    fn room_in(&self, now: Moment) -> Duration {
        let is_targeted = self.for_few == ForFew::Records;
        let ended = if is_targeted { self.ended_targeted } else { self.ended_listed };
        let pace = |took: Duration| match (took <= SHORT, is_targeted, self.reads_whole) {
            (true, ..) => took,
            (false, true, _) => took.min(PACE_OF_TARGETED_MAX),
            (false, false, true) => (took * PACE_OF_WHOLE).min(PACE_OF_WHOLE_MAX),
            (false, false, false) => took.min(PACE_MAX),
        };
        ended.map_or(Duration::ZERO, |(at, took)| (at + pace(took)).saturating_sub(now.steady))
    }

    /// Why a pass is to be made now. That left work may be tried again is an event of its own.
    pub fn cause(&self, now: Moment) -> Option<Cause> {
        let is_due = |schedule: &Schedule| is_due(schedule, self.last, now, self.delay());
        if self.schedule.as_ref().is_some_and(is_due) || self.full_begins(now) {
            Some(Cause::Schedule)
        } else {
            self.cause_for_few(now)
        }
    }

    /// The same of what edits and webhooks ask for, whatever the schedule says.
    pub fn cause_for_few(&self, now: Moment) -> Option<Cause> {
        let has_room = self.room_in(now).is_zero();
        if self.has_news() && (has_room || self.mark.is_decided_after(self.taken)) {
            Some(Cause::Edit)
        } else if self.mark.is_hooked_after(self.taken) && has_room {
            Some(Cause::Webhook)
        } else {
            None
        }
    }

    /// Why a pass over single records is to be made now, while another one runs. What a person decided takes listings.
    pub fn cause_between(&self, now: Moment) -> Option<Cause> {
        if !self.between_in(now)?.is_zero() {
            return None;
        }
        Some(if self.has_edits() { Cause::Edit } else { Cause::Webhook })
    }

    /// How long until one is to be made for what waits.
    pub fn between_in(&self, now: Moment) -> Option<Duration> {
        let is_open = self.between.is_none() && !self.paused && self.for_few == ForFew::Records;
        let waits = self.has_edits() || self.mark.is_hooked_after(self.taken);
        let long_at = self.targeted.and_then(|(began, _)| Some(began.steady? + LONG)).unwrap_or_default();
        (is_open && waits).then(|| self.room_in(now).max(long_at.saturating_sub(now.steady)))
    }

    /// A pass in between begins.
    pub fn begin_between(&mut self, now: Moment) {
        self.between = Some((Last { wall: now.wall, steady: Some(now.steady) }, self.taken.edit));
        self.taken = self.mark;
    }

    /// A pass in between is over.
    pub fn note_between(&mut self, undone: bool, now: Moment) {
        let Some((began, _)) = self.between.take().filter(|_| !undone) else { return };
        let since = began.steady.unwrap_or(now.steady);
        self.ended_targeted = Some((now.steady, now.steady.saturating_sub(since)));
    }

    /// The newest edit that had been taken up before the pass that began last, of those that list nothing.
    pub fn edits_before(&self) -> i64 {
        self.between.map(|(_, edit)| edit).or(self.targeted.map(|(_, before)| before.edit)).unwrap_or_default()
    }

    /// The pass is over, but for one in between.
    pub fn note_end(&mut self) {
        self.between = None;
        self.taken = self.takes.take().unwrap_or(self.taken);
    }

    /// What a pass for this cause reads, where it is not time to read everything.
    pub fn reads_for(&self, cause: Cause) -> Reads {
        if cause.is_for_few() && self.for_few == ForFew::Records { Reads::Targets } else { Reads::Changes }
    }

    /// Whether such a pass is over soon, as far as can be told: it is for few records, and reads little beside them.
    pub fn is_short(&self, cause: Cause, reads: Reads) -> bool {
        match reads {
            Reads::Targets => true,
            Reads::Changes => cause.is_for_few() && !self.reads_whole,
            Reads::Everything => false,
        }
    }

    /// The same of the pass that runs.
    pub fn runs_short(&self) -> bool {
        let reads = match (self.targeted, self.reads_full) {
            (Some(_), _) => Reads::Targets,
            (None, Some(_)) => Reads::Everything,
            (None, None) => Reads::Changes,
        };
        self.is_short(self.listed_for.unwrap_or(Cause::Schedule), reads)
    }

    /// A pass of it begins.
    pub fn begin(&mut self, cause: Cause, reads: Reads, now: Moment) {
        let began = Last { wall: now.wall, steady: Some(now.steady) };
        let before = std::mem::replace(&mut self.taken, self.mark);
        self.takes = Some(self.mark);
        // It may take long: what can be made in between does not wait for it, whatever it came with.
        (self.taken.edit, self.taken.hooked) = (before.edit, before.hooked);
        match reads {
            Reads::Targets => {
                self.targeted = Some((began, before));
                return;
            }
            Reads::Everything => self.reads_full = Some(began),
            Reads::Changes => {}
        }
        (self.last, self.listed_for, self.retry_at) = (Some(began), Some(cause), None);
        if self.for_few == ForFew::ListingsOnce {
            self.for_few = ForFew::Records;
        }
    }

    /// How long until there is a cause, if nothing else happens.
    pub fn cause_in(&self, now: Moment) -> Option<Duration> {
        let scheduled = self.schedule.as_ref().and_then(|schedule| due_in(schedule, self.last, now, self.delay()));
        let (full, last_full) = (self.full_scan.as_ref(), self.tried_full());
        let full = full.filter(|_| last_full.is_some());
        let full = full.and_then(|schedule| due_in(schedule, last_full, now, Duration::ZERO));
        let waits = self.has_news() || self.mark.is_hooked_after(self.taken);
        [scheduled, full, waits.then(|| self.room_in(now))].into_iter().flatten().min()
    }

    /// When it is due next, delay included.
    pub fn due(&self, now: Moment) -> Option<DateTime<Utc>> {
        if self.paused {
            return None;
        }
        let due = next_due(self.schedule.as_ref()?, self.last.map(|last| last.wall), now.wall)?;
        Some(due + TimeDelta::from_std(self.delay()).unwrap_or_default())
    }

    /// Whether a pass that is made for this cause reads everything. The first one does so by itself; a complete generation is
    /// due from then on. One that went wrong is made up for by a scheduled pass and by no other.
    pub fn full_is_due(&self, cause: Cause, now: Moment) -> bool {
        let is_owed = self.failed_full.is_some() && cause == Cause::Schedule;
        (is_owed && self.full_is_due_after(self.last_full.or(self.last), now)) || self.full_begins(now)
    }

    /// Whether a pass is to be made now because it is time to read everything.
    fn full_begins(&self, now: Moment) -> bool {
        self.full_is_due_after(self.tried_full(), now)
    }

    /// When everything was last read, or was to be.
    fn tried_full(&self) -> Option<Last> {
        self.failed_full.or(self.last_full).or(self.last)
    }

    fn full_is_due_after(&self, last: Option<Last>, now: Moment) -> bool {
        match (&self.full_scan, last) {
            (Some(schedule), Some(last)) => is_due(schedule, Some(last), now, Duration::ZERO),
            _ => false,
        }
    }

    /// When everything is to be read next.
    pub fn full_due(&self, now: Moment) -> Option<DateTime<Utc>> {
        let (schedule, last) = (self.full_scan.as_ref().filter(|_| !self.paused)?, self.tried_full()?);
        let due = next_due(schedule, Some(last.wall), now.wall);
        let made_up_for = self.due(now).filter(|_| self.failed_full.is_some());
        [due, made_up_for].into_iter().flatten().min()
    }

    /// The pass that read everything, or the first one, is over.
    pub fn note_full(&mut self, failed: bool) {
        match (self.reads_full.take(), failed) {
            (Some(began), true) => {
                let then = Moment { wall: began.wall, steady: began.steady.unwrap_or_default() };
                // One that somebody asked for before it was due leaves everything as it was.
                if self.full_is_due_after(self.last_full.or(self.last), then) {
                    self.failed_full = Some(began);
                }
            }
            (Some(began), false) => (self.last_full, self.failed_full) = (Some(began), None),
            (None, true) => {}
            // The first one reads everything by itself.
            (None, false) => self.last_full = self.last_full.or(self.last),
        }
    }

    /// Whether something came that a pass is to be made for at once. What a person decided is never left waiting.
    fn has_news(&self) -> bool {
        self.has_edits() || self.mark.is_decided_after(self.taken)
    }

    /// Whether rows were edited, and do not wait for the schedule.
    fn has_edits(&self) -> bool {
        self.edits && self.mark.edit > self.taken.edit
    }
}

/// A delay between nothing and `most`, the same whenever the same pass is asked about, so that collections and
/// installations with one schedule do not all begin in the same second.
pub fn jitter(collection: &str, last: i64, most: Duration) -> Duration {
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    let drawn = xxh3_64_with_seed(collection.as_bytes(), last.cast_unsigned());
    Duration::from_micros(drawn.checked_rem(micros).unwrap_or(0))
}
