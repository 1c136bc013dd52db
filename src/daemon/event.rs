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

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time went on; also stands for a heartbeat that did not come.
    Tick,
    /// The running pass ended, whatever its outcome.
    PassEnded {
        /// True where going on makes no sense: the database is damaged or gone.
        fatal: bool,
    },
    /// SIGTERM or SIGINT.
    StopAsked,
    /// The drain timeout passed.
    DrainTimedOut,
    /// SIGUSR1: a pass of every collection now.
    SyncAsked,
    /// SIGUSR2: how things stand, into the log.
    ReportAsked,
    /// SIGHUP, or the files of the rules have changed.
    ReloadAsked,
}

/// Why a pass is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is due, or the daemon has just started.
    Schedule,
    /// Somebody asked by a signal.
    Signal,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a pass; there is none running.
    Start {
        /// The collection.
        collection: String,
        /// Read a complete generation.
        full: bool,
        /// Why.
        cause: Cause,
    },
    /// Check the rules as they are now and go on by them, or keep those in force; then ask again. No pass is running.
    Reload,
    /// Log how things stand.
    Report,
    /// Wait for the running pass no longer than the drain timeout.
    Drain,
    /// End the loop.
    End(Ending),
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is left to do.
    Done,
    /// A stop was asked for, and the running pass ended or its time was up.
    Stopped,
    /// A second signal.
    Aborted,
    /// Going on makes no sense.
    Fatal,
}
