//! Owns: the file's table, one transaction per change, how durable it is.
//!
//! Must not know: clocks; when something is written.
//!
//! Times stand there as they were counted from the moment of writing: a wall clock that is set back would make what was written
//! before that count for as long as it was ahead.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, params};

use super::SpendingError;

/// How long another process's change is waited for.
const BUSY: Duration = Duration::from_secs(5);
const VERSION: i64 = 1;
const WRITABLE: &str =
    "its folder must be writable for whoever asks upstreams: run this as the user that the service runs as";
const BUSY_REMEDY: &str = "another program keeps it from being changed: end that one";
const REMOVE: &str =
    "remove it, and what was spent before is not known any more: wait as long as the longest window first";
const NEWER: &str = "install the newer program, or remove the file";
const TABLES: &str = "
create table held (
  budget text not null, holder text not null, written integer not null, until integer not null, portions text not null,
  primary key (budget, holder)
) strict, without rowid;
";

/// What is held of a budget: units that count until a moment, by that moment.
pub type Held = Vec<(DateTime<Utc>, u64)>;

/// What a change has to outlive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// The process.
    Process,
    /// A power failure, too.
    Power,
}

/// What processes hold of budgets.
#[derive(Debug)]
pub struct Spending {
    /// `None`: it is this process's only.
    path: Option<PathBuf>,
    db: Mutex<Option<Connection>>,
}

impl Spending {
    /// Beside a database. Nothing is opened or made before something is held; where there is no folder for a database, nothing is
    /// kept either.
    pub fn beside(database: &Path) -> Self {
        Self { path: Some(with_ending(database.as_os_str(), ".budgets")), db: Mutex::default() }
    }

    /// Of this process only, and forgotten with it.
    #[cfg(test)]
    pub fn unkept() -> Self {
        Self { path: None, db: Mutex::default() }
    }

    /// Shows what others than this holder hold of these budgets, and keeps what `decide` says that it holds of them from then
    /// on; nobody else's change comes between.
    pub fn exchange<R>(
        &self,
        holder: &str,
        budgets: &[String],
        (now, durable): (DateTime<Utc>, Durable),
        decide: impl FnOnce(Vec<Held>) -> (Vec<Held>, R),
    ) -> Result<R, SpendingError> {
        let mut db = self.locked();
        let conn = match db.as_mut() {
            Some(conn) => conn,
            None => db.insert(self.create()?),
        };
        self.said(change(conn, (holder, budgets), (now, durable), decide))
    }

    /// What others than this holder hold of these budgets. Nothing is made or changed.
    pub fn others(&self, holder: &str, budgets: &[String], now: DateTime<Utc>) -> Result<Vec<Held>, SpendingError> {
        let mut db = self.locked();
        if db.is_none() {
            let there = self.path.as_ref().is_some_and(|path| std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0));
            if !there {
                return Ok(vec![Held::new(); budgets.len()]);
            }
            *db = Some(self.create()?);
        }
        let Some(conn) = db.as_ref() else { return Ok(Vec::new()) };
        self.said(budgets.iter().map(|budget| others(conn, budget, holder, now)).collect())
    }

    /// Whether the file can be used; which it is, or `None` where there is none yet. Nothing is made or changed.
    pub fn examine(&self) -> Result<Option<&Path>, SpendingError> {
        let Some(path) = self.path.as_deref() else { return Ok(None) };
        match OpenOptions::new().read(true).write(true).open(path).and_then(|file| file.metadata()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.wrong(error.to_string(), WRITABLE)),
            // Whoever made it was ended before it was a database.
            Ok(meta) if meta.len() == 0 && log_bytes(path) == 0 => return Ok(None),
            Ok(_) => {}
        }
        let conn = self.said(open_without_trace(path))?;
        let complaint: String = self.said(conn.query_row("pragma quick_check(1)", [], |row| row.get(0)))?;
        if complaint != "ok" {
            return Err(self.wrong(complaint, REMOVE));
        }
        self.check_version(self.said(version(&conn))?)?;
        Ok(Some(path))
    }

    /// 0: no version yet.
    fn check_version(&self, found: i64) -> Result<(), SpendingError> {
        match found {
            0 | VERSION => Ok(()),
            other => Err(self.wrong(format!("it is of version {other}, this program knows {VERSION}"), NEWER)),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Option<Connection>> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file with its table.
    fn create(&self) -> Result<Connection, SpendingError> {
        if let Some(path) = self.path.as_ref().filter(|path| has_folder(path)) {
            let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
            made.map_err(|error| self.wrong(error.to_string(), WRITABLE))?;
            give_to_owner(path);
        }
        let mut conn = self.said(self.connect())?;
        let found = self.said(prepare(&mut conn))?;
        self.check_version(found)?;
        Ok(conn)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let Some(path) = self.path.as_ref().filter(|path| has_folder(path)) else {
            return Connection::open_in_memory();
        };
        let conn = Connection::open(path)?;
        conn.busy_timeout(BUSY)?;
        conn.pragma_update(None, "journal_mode", "wal")?;
        Ok(conn)
    }

    fn said<T>(&self, result: rusqlite::Result<T>) -> Result<T, SpendingError> {
        result.map_err(|error| {
            let remedy = match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => REMOVE,
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => BUSY_REMEDY,
                _ => WRITABLE,
            };
            self.wrong(error.to_string(), remedy)
        })
    }

    fn wrong(&self, reason: impl Into<String>, remedy: &'static str) -> SpendingError {
        let path = self.path.as_ref().map_or_else(|| "memory".to_owned(), |path| path.display().to_string());
        SpendingError { path, reason: reason.into(), remedy }
    }
}

/// Who may give files away (root) makes it for whoever the folder belongs to: the service works there as that user.
fn give_to_owner(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Ok(owner), Ok(made)) = (std::fs::metadata(folder), std::fs::metadata(path)) else { return };
    if made.len() == 0 && (owner.uid(), owner.gid()) != (made.uid(), made.gid()) {
        // Others than root cannot, and need not: then it is theirs.
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).ok();
    }
}

fn with_ending(path: &OsStr, ending: &str) -> PathBuf {
    let mut path = path.to_owned();
    path.push(ending);
    path.into()
}

/// What changes the log holds that are not in the file yet.
fn log_bytes(path: &Path) -> u64 {
    std::fs::metadata(with_ending(path.as_os_str(), "-wal")).map_or(0, |meta| meta.len())
}

/// To look only. A reader of a log leaves the log's index behind, owned by whoever looked; where there is no log, nobody has the
/// file open, and it says everything by itself.
fn open_without_trace(path: &Path) -> rusqlite::Result<Connection> {
    let is_open = with_ending(path.as_os_str(), "-shm").exists() || log_bytes(path) > 0;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = if is_open {
        Connection::open_with_flags(path, flags)?
    } else {
        let shown = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        Connection::open_with_flags(format!("file:{shown}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)?
    };
    conn.busy_timeout(BUSY)?;
    Ok(conn)
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn has_folder(path: &Path) -> bool {
    path.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.exists())
}

/// Makes the table where there is none; returns the version of the file.
fn prepare(conn: &mut Connection) -> rusqlite::Result<i64> {
    let found = version(conn)?;
    if found != 0 {
        return Ok(found);
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have made it meanwhile.
    let found = version(&tx)?;
    if found == 0 {
        tx.execute_batch(TABLES)?;
        tx.pragma_update(None, "user_version", VERSION)?;
        tx.commit()?;
        return Ok(VERSION);
    }
    Ok(found)
}

fn change<R>(
    conn: &mut Connection,
    (holder, budgets): (&str, &[String]),
    (now, durable): (DateTime<Utc>, Durable),
    decide: impl FnOnce(Vec<Held>) -> (Vec<Held>, R),
) -> rusqlite::Result<R> {
    let level = match durable {
        Durable::Process => "normal",
        Durable::Power => "full",
    };
    conn.pragma_update(None, "synchronous", level)?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let micros = [now.timestamp_micros()];
    let back = "update held set until = until - written + ?1, written = ?1 where written > ?1";
    tx.prepare_cached(back)?.execute(micros)?;
    tx.prepare_cached("delete from held where until <= ?1")?.execute(micros)?;
    let found = budgets.iter().map(|budget| others(&tx, budget, holder, now)).collect::<rusqlite::Result<_>>()?;
    let (own, result) = decide(found);
    for (budget, held) in budgets.iter().zip(&own) {
        keep(&tx, budget, holder, (held, now))?;
    }
    tx.commit()?;
    Ok(result)
}

/// What others hold of a budget, the first to end first.
fn others(conn: &Connection, budget: &str, holder: &str, now: DateTime<Utc>) -> rusqlite::Result<Held> {
    let mut read = conn.prepare_cached("select written, portions from held where budget = ?1 and holder <> ?2")?;
    let mut held = Held::new();
    for row in read.query_map((budget, holder), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))? {
        let (written, text) = row?;
        let written = written.min(now.timestamp_micros());
        let portions: Vec<(i64, u64)> = serde_json::from_str(&text).unwrap_or_default();
        let portion = |(left, units)| Some((DateTime::from_timestamp_micros(written.saturating_add(left))?, units));
        held.extend(portions.into_iter().filter_map(portion));
    }
    held.sort_unstable();
    Ok(held)
}

fn keep(tx: &Transaction<'_>, budget: &str, holder: &str, (held, now): (&Held, DateTime<Utc>)) -> rusqlite::Result<()> {
    let Some(until) = held.iter().map(|(until, _)| until.timestamp_micros()).max() else {
        tx.prepare_cached("delete from held where budget = ?1 and holder = ?2")?.execute((budget, holder))?;
        return Ok(());
    };
    let written = now.timestamp_micros();
    let portion = |(until, units): &(DateTime<Utc>, u64)| (until.timestamp_micros() - written, *units);
    let portions: Vec<(i64, u64)> = held.iter().map(portion).collect();
    let text = serde_json::to_string(&portions).unwrap_or_default();
    let sql = "insert or replace into held values (?1, ?2, ?3, ?4, ?5)";
    tx.prepare_cached(sql)?.execute(params![budget, holder, written, until, text])?;
    Ok(())
}
