//! Owns: exit codes, and the only mapping from errors and outcomes to them.
//!
//! Must not know: how an error is shown.

use crate::config::ConfigError;
use crate::ops::OpsError;
use crate::reconcile::{Outcome, PassError};
use crate::store::StoreError;
use crate::vault::VaultError;

/// An exit code; ordered by how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// Everything agrees, or the command did what it was asked.
    pub const IN_SYNC: Self = Self(0);
    /// Something failed.
    pub const ERROR: Self = Self(1);
    /// The command line, the rules or the settings are wrong.
    pub const USAGE: Self = Self(2);
    /// There are changes that were not made (a plan), or writes that wait.
    pub const PENDING: Self = Self(3);
    /// Conflicts are open, or records are set aside.
    pub const CONFLICTS: Self = Self(4);
    /// A guard halted a pass.
    pub const HALTED: Self = Self(5);
    /// An upstream could not be reached, read or written.
    pub const UNAVAILABLE: Self = Self(6);
    /// Another reconciled works on the database.
    pub const LOCKED: Self = Self(7);

    /// Worst first.
    const ORDER: [Self; 8] = [
        Self::ERROR,
        Self::LOCKED,
        Self::USAGE,
        Self::HALTED,
        Self::UNAVAILABLE,
        Self::CONFLICTS,
        Self::PENDING,
        Self::IN_SYNC,
    ];

    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        self.0
    }

    /// The worse of the two.
    pub fn or_worse(self, other: Self) -> Self {
        let rank = |exit: Self| Self::ORDER.iter().position(|it| *it == exit).unwrap_or(0);
        if rank(other) < rank(self) { other } else { self }
    }
}

/// What each code means, for the manual.
pub const MEANINGS: [(Exit, &str); 8] = [
    (Exit::IN_SYNC, "in sync, or done"),
    (Exit::ERROR, "error"),
    (Exit::USAGE, "wrong usage, invalid rules or settings, a missing secret"),
    (
        Exit::PENDING,
        "changes are pending (a plan that would change something, writes, deletes or edits that wait, a `run --once` that was stopped \
         before its last collection, a saved plan that is stale, what an undo leaves)",
    ),
    (Exit::CONFLICTS, "conflicts are open, or records are set aside"),
    (Exit::HALTED, "halted by a guard"),
    (Exit::UNAVAILABLE, "an upstream is unavailable"),
    (Exit::LOCKED, "another `reconciled` works on the database"),
];

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings are wrong, or files they name cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The rules have errors; the text was drawn already.
    #[error("{0}")]
    Rules(String),
    /// What was asked makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A pass failed.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// An upstream did not answer a question asked outside a pass.
    #[error("upstream {upstream}: {reason}")]
    Upstream {
        /// Which.
        upstream: String,
        /// Why.
        reason: String,
    },
    /// What is kept sealed cannot be had.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// There is no such record, conflict or halt.
    #[error("{0}")]
    NotFound(String),
    /// The running daemon goes by other rules than those that were named.
    #[error("{0}")]
    OtherRules(String),
    /// A saved plan is not what would be done now.
    #[error("{0}")]
    Stale(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<OpsError> for CliError {
    fn from(error: OpsError) -> Self {
        match error {
            OpsError::NotFound(words) => Self::NotFound(words),
            OpsError::Refused(words) => Self::Usage(words),
            OpsError::Store(error) => Self::Store(error),
        }
    }
}

/// The exit code of an error.
pub fn exit_of_error(error: &CliError) -> Exit {
    match error {
        CliError::Config(_)
        | CliError::Rules(_)
        | CliError::Usage(_)
        | CliError::OtherRules(_)
        | CliError::Pass(PassError::UnknownCollection(_)) => Exit::USAGE,
        CliError::Store(StoreError::Locked { .. }) | CliError::Pass(PassError::Store(StoreError::Locked { .. })) => {
            Exit::LOCKED
        }
        CliError::Stale(_) => Exit::PENDING,
        CliError::Upstream { .. } => Exit::UNAVAILABLE,
        CliError::Store(_)
        | CliError::Pass(PassError::Store(_))
        | CliError::Vault(_)
        | CliError::NotFound(_)
        | CliError::Other(_) => Exit::ERROR,
    }
}

/// The exit code of a pass.
pub fn exit_of_outcome(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Failed => Exit::ERROR,
        Outcome::Halted => Exit::HALTED,
        Outcome::Unavailable => Exit::UNAVAILABLE,
        Outcome::Conflicts => Exit::CONFLICTS,
        Outcome::Pending => Exit::PENDING,
        Outcome::Ok => Exit::IN_SYNC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_wins_in_the_documented_order() {
        let documented = [1, 7, 2, 5, 6, 4, 3, 0];
        for (at, worse) in documented.iter().enumerate() {
            for better in &documented[at..] {
                assert_eq!(Exit(*better).or_worse(Exit(*worse)).code(), *worse);
                assert_eq!(Exit(*worse).or_worse(Exit(*better)).code(), *worse);
            }
        }
    }

    #[test]
    fn errors_have_their_codes() {
        let locked = || StoreError::Locked { path: "a.db".to_owned(), holder: "pid 1".to_owned() };
        let check = |error: CliError, code: u8| assert_eq!(exit_of_error(&error).code(), code, "{error}");
        check(CliError::Store(locked()), 7);
        check(CliError::Pass(PassError::Store(locked())), 7);
        check(CliError::Store(StoreError::Missing { path: "a.db".to_owned() }), 1);
        check(CliError::Config(ConfigError::Problems(Vec::new())), 2);
        check(CliError::Pass(PassError::UnknownCollection("x".to_owned())), 2);
        check(CliError::Upstream { upstream: "crm".to_owned(), reason: "x".to_owned() }, 6);
    }
}
