//! Owns: everything that can happen to the daemon, as one closed set.
//!
//! Must not know: what is done about it (that is `decide`).

use std::time::Duration;

use chrono::{DateTime, Utc};

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Wall time: what cron expressions mean.
    pub wall: DateTime<Utc>,
    /// Time that only goes forward: what intervals mean.
    pub steady: Duration,
}

/// What waits in the store for a pass of one collection: another with every edit, approval, resolution and webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The number of the newest local edit that no pass has taken up; 0 where there is none.
    pub edit: i64,
    /// When the last open halt was approved, in microseconds; 0 where none is.
    pub approved: i64,
    /// Names the resolutions that no pass has followed yet; 0 where there are none. It does not grow: one may be followed
    /// while another is made.
    pub resolved: u64,
    /// The number of the newest webhook that no pass has looked for; 0 where there is none.
    pub hooked: i64,
}

impl Mark {
    /// Whether a webhook came since then.
    pub fn is_hooked_after(self, then: Self) -> bool {
        self.hooked > then.hooked
    }

    /// Whether a person decided something since then.
    pub fn is_decided_after(self, then: Self) -> bool {
        self.approved > then.approved || (self.resolved != 0 && self.resolved != then.resolved)
    }

    /// What came of all that since another look: nothing where something was only taken up.
    pub fn news_since(self, then: Self, collection: &str) -> Vec<Event> {
        let name = || collection.to_owned();
        let edit = (self.edit > then.edit).then(|| Event::LocalEdit { collection: name(), mark: self });
        let decision = self.is_decided_after(then).then(|| Event::Decision { collection: name(), mark: self });
        let webhook = self.is_hooked_after(then).then(|| Event::Webhook { collection: name(), mark: self });
        [edit, decision, webhook].into_iter().flatten().collect()
    }
}

/// Everything that the daemon does something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The clock is to be looked at: something is due, or nothing was heard for a while.
    Tick,
    /// A signal that does not stop it.
    Signal(Signal),
    /// An upstream said that something changed there.
    Webhook {
        /// Of this collection.
        collection: String,
        /// What waits there now.
        mark: Mark,
    },
    /// Somebody edited rows here.
    LocalEdit {
        /// Of this collection.
        collection: String,
        /// What waits there now.
        mark: Mark,
    },
    /// A person approved a halt or resolved a conflict.
    Decision {
        /// Of this collection.
        collection: String,
        /// What waits there now.
        mark: Mark,
    },
    /// Somebody asked over the control socket or the pages, and was told that it is done.
    Request(Request),
    /// The files of the rules have changed, and have been left alone since.
    RulesChanged,
    /// Work that was left may be tried again now.
    RetryDue {
        /// Of this collection.
        collection: String,
    },
    /// A pass ended, whatever its outcome.
    PassEnded {
        /// Of this collection.
        collection: String,
        /// How far it came.
        went: Went,
        /// When work that it had to leave may be tried again.
        retry_at: Option<DateTime<Utc>>,
        /// Something of it waits for another record.
        waits: bool,
    },
    /// A pass over single records ended that was made while another one runs, or it was not made.
    BetweenEnded {
        /// Of this collection.
        collection: String,
        /// Nothing was done: what waits takes listings, or the other one waits for nothing any more.
        undone: bool,
    },
    /// SIGTERM or SIGINT.
    Stop,
    /// The drain timeout passed.
    DrainTimedOut,
}

/// How far a pass came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// What it was to read it has read.
    Well,
    /// Nothing was done: what waits takes listings.
    Undone,
    /// It failed, was halted, or some upstream was not to be had.
    Failed,
    /// Going on makes no sense: the database is damaged or gone.
    Fatal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: the rules are read anew.
    Reload,
    /// SIGUSR1: passes of all collections now.
    Sync,
    /// SIGUSR2: how things stand, into the log.
    Report,
}

/// What people and programs ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Passes now.
    Sync {
        /// Of these collections; of all where none is named.
        collections: Vec<String>,
        /// Complete generations are read.
        full: bool,
    },
    /// A collection rests (`true`), or goes on.
    Pause {
        /// This one.
        collection: String,
        /// It rests from now on.
        paused: bool,
    },
}

/// What a pass reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The records that edits here and webhooks name, one by one; where that does not do, nothing.
    Targets,
    /// Listings of what changed since the last pass, as far as upstreams have them.
    Changes,
    /// Complete generations.
    Everything,
}

/// Why a pass is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is due, or the daemon has just started.
    Schedule,
    /// Somebody asked by a signal.
    Signal,
    /// Somebody asked over the control socket.
    Request,
    /// Rows were edited here, or a person decided something.
    Edit,
    /// An upstream said by a webhook that something changed there.
    Webhook,
    /// Work that was left may be tried again.
    Retry,
}

impl Cause {
    /// A pass over the records that have news will do.
    pub fn is_for_few(self) -> bool {
        matches!(self, Self::Edit | Self::Webhook)
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a pass; none of this collection is running.
    Start {
        /// The collection.
        collection: String,
        /// What is read.
        reads: Reads,
        /// Why.
        cause: Cause,
    },
    /// Make a pass over single records while another one runs.
    Between {
        /// The collection.
        collection: String,
        /// Why.
        cause: Cause,
    },
    /// Check the rules as they are now and say what they change ([`super::decide::State::checked`]).
    Check,
    /// Go on by the rules that were just checked, or keep those in force; then ask again. No pass is running of a collection
    /// that they change.
    Reload,
    /// Log how things stand.
    Report,
    /// Wait for the running passes no longer than the drain timeout.
    Drain,
    /// End the loop.
    End(Ending),
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is left to do.
    Done,
    /// A stop was asked for, and the running passes ended or their time was up.
    Stopped,
    /// A second signal.
    Aborted,
    /// Going on makes no sense.
    Fatal,
}
