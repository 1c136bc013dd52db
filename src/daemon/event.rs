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
    /// A signal that asks for what is not carried out yet; by default it would kill the process.
    NotSupported {
        /// Its name.
        signal: &'static str,
        /// What it will mean.
        meaning: &'static str,
    },
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
    },
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
