//! Owns: turning what SQLite and the system say into [`StoreError`].
//!
//! Must not know: which statement failed or why it was run.

use rusqlite::{Error, ErrorCode};

use crate::store::StoreError;

/// The outcome of a statement or a step of several.
pub(super) type Res<T> = Result<T, Failure>;

/// SQLite's own error, not yet put into words, or one of ours.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(Error),
    Store(StoreError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// The engine's own state is not what its types promise.
    pub(super) fn state(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Store(StoreError::State { what: what.into(), reason: reason.into() })
    }
}

/// What every message needs to say about the database.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The database file as it was given, or `:memory:`.
    pub(super) path: String,
    /// How long a lock of another program is waited for.
    pub(super) busy_ms: u64,
}

impl Place {
    /// Puts a failure into the contract's words.
    pub(super) fn explain(&self, failure: Failure) -> StoreError {
        match failure {
            Failure::Store(error) => error,
            Failure::Sql(Error::SqliteFailure(code, message)) => {
                self.of_code(code, message.unwrap_or_else(|| code.to_string()))
            }
            Failure::Sql(
                error @ (Error::FromSqlConversionFailure(..)
                | Error::IntegralValueOutOfRange(..)
                | Error::InvalidColumnType(..)),
            ) => StoreError::State { what: "of a column".to_owned(), reason: error.to_string() },
            Failure::Sql(error) => StoreError::Sqlite { path: self.path.clone(), reason: error.to_string() },
        }
    }

    fn of_code(&self, code: rusqlite::ffi::Error, message: String) -> StoreError {
        let path = self.path.clone();
        match code.code {
            ErrorCode::ConstraintViolation => constraint(message),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy { path, waited_ms: self.busy_ms },
            ErrorCode::DiskFull => StoreError::Full { path },
            // The index of the log is a file of fixed size: what keeps it from being made is a lack of room.
            ErrorCode::SystemIoFailure if code.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                StoreError::Full { path }
            }
            ErrorCode::SystemIoFailure => {
                let reason =
                    format!("{message}: no room, a quota, or a failing disk; `df`, `quota` and `dmesg` tell which");
                StoreError::Sqlite { path, reason }
            }
            ErrorCode::ReadOnly if code.extended_code == rusqlite::ffi::SQLITE_READONLY_DBMOVED => {
                StoreError::Replaced { path }
            }
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                let advice = "look at who owns the file and its folder, at their modes, and at how the disk is mounted";
                StoreError::ReadOnly { path, reason: format!("{message}; {advice}") }
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt { path, reason: message },
            _ => StoreError::Sqlite { path, reason: message },
        }
    }
}

/// `UNIQUE constraint failed: contacts.email` names the column; our CHECKs are named `contacts.email must be …`.
fn constraint(message: String) -> StoreError {
    let subject = message.split_once("failed: ").map_or("", |(_kind, subject)| subject);
    let table = if message.starts_with("CHECK") { subject.split(' ').next().unwrap_or_default() } else { subject };
    StoreError::Constraint { table: table.to_owned(), reason: message }
}

/// After these SQLite may have rolled back by itself, or the store cannot be trusted to go on in the same transaction.
pub(super) fn ends_transaction(error: &StoreError) -> bool {
    match error {
        StoreError::Constraint { .. } | StoreError::State { .. } | StoreError::Abandoned => false,
        StoreError::Busy { .. }
        | StoreError::Locked { .. }
        | StoreError::Full { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::Unreadable { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Newer { .. }
        | StoreError::Shape { .. }
        | StoreError::Missing { .. }
        | StoreError::Replaced { .. }
        | StoreError::Closed
        | StoreError::Sqlite { .. } => true,
    }
}

/// After these nothing may be written any more: an fsync that failed cannot be repeated, a damaged or replaced file is not ours to write.
pub(super) fn ends_store(error: &StoreError) -> bool {
    match error {
        StoreError::Corrupt { .. } | StoreError::Replaced { .. } => true,
        StoreError::Sqlite { reason, .. } => reason.contains("disk I/O error"),
        _ => false,
    }
}

/// The system's words about a file, as the contract's error.
pub(super) fn of_io(path: &std::path::Path, error: &std::io::Error) -> StoreError {
    let shown = path.display().to_string();
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full { path: shown },
        std::io::ErrorKind::NotFound => StoreError::Missing { path: shown },
        _ => StoreError::ReadOnly { path: shown, reason: error.to_string() },
    }
}
