//! Owns: the threads that hold the connections, the queues before them, and the transaction around each job.
//!
//! Must not know: what jobs do.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use futures_util::future::BoxFuture;
use rusqlite::config::DbConfig;
use tokio::sync::{mpsc, oneshot};

use crate::store::{ReadJob, Store, StoreError, WriteJob};

use super::checkpoint::Checkpointer;
use super::db::Db;
use super::epoch::{self, Mirror};
use super::fault::ends_store;
use super::file::{self, Identity};
use super::memory;
use super::open::SqliteStore;
use super::patience::{self, Hurry};
use super::space::{checkpoint, log_bytes};

/// Jobs that wait before the next one is held back.
const QUEUE_MAX: usize = 256;
/// Small jobs that share one commit.
const GROUP_MAX: usize = 256;

type Reply = oneshot::Sender<Result<(), StoreError>>;
/// Why the store has ended, once it has: what every later job is told.
pub(super) type Dead = Arc<OnceLock<StoreError>>;
type Queue = mpsc::Sender<(Job, Reply)>;

enum Job {
    Write(WriteJob),
    Small(WriteJob),
    Relaxed(WriteJob),
    Read(ReadJob),
    Copy(PathBuf),
}

/// The running threads.
#[derive(Debug)]
pub(super) struct Threads {
    path: String,
    writing: Mutex<Option<Queue>>,
    reading: Mutex<Option<Queue>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    readers: Mutex<Vec<JoinHandle<()>>>,
    /// Memory needs no thread: whoever brings a job does it.
    at_hand: Option<Mutex<Worker>>,
    dead: Dead,
    hurry: Hurry,
    writable: bool,
}

/// What the writer keeps an eye on beside the database.
#[derive(Debug)]
pub(super) struct Disk {
    database: PathBuf,
    log_bytes_max: u64,
    /// The log's size when it was last told of; 0 where there is nothing to tell.
    told_bytes: u64,
    mirror: Option<Mirror>,
}

impl Disk {
    /// A database's own file, not a store in memory. `mirror` is kept up with it.
    pub(super) fn new(database: &Path, log_bytes_max: u64, mirror: Option<Mirror>) -> Self {
        Self { database: database.to_owned(), log_bytes_max, told_bytes: 0, mirror }
    }

    /// After a commit: a log that only grows is told of, each time that it has doubled.
    fn watch_log(&mut self, db: &Db) {
        let bytes = log_bytes(&self.database);
        if bytes <= self.log_bytes_max {
            self.told_bytes = 0;
        } else if bytes >= self.told_bytes.saturating_mul(2)
            && let Some(reason) = checkpoint(&db.conn, &db.place)
        {
            self.told_bytes = bytes;
            tracing::warn!("{}-wal has grown to {} MiB: {reason}", self.database.display(), bytes >> 20);
        }
    }
}

/// What each thread has beside its connection.
struct Worker {
    db: Db,
    disk: Option<Disk>,
    checkpointer: Option<Checkpointer>,
    identity: Option<Identity>,
    dead: Dead,
    hurry: Hurry,
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Worker").field("place", &self.db.place).finish_non_exhaustive()
    }
}

impl Threads {
    /// None: memory has one connection, and no disk to wait for. Each job is done where it comes from.
    pub(super) fn none(db: Db) -> Self {
        let dead = Dead::default();
        let path = db.place.path.clone();
        let (disk, checkpointer, identity, hurry) = (None, None, None, Hurry::default());
        let worker = Worker { db, disk, checkpointer, identity, dead: Arc::clone(&dead), hurry };
        let mut threads = Self::idle(path, dead, true);
        threads.at_hand = Some(Mutex::new(worker));
        threads
    }

    fn idle(path: String, dead: Dead, writable: bool) -> Self {
        Self {
            path,
            writing: Mutex::default(),
            reading: Mutex::default(),
            writer: Mutex::default(),
            readers: Mutex::default(),
            at_hand: None,
            dead,
            hurry: Hurry::default(),
            writable,
        }
    }

    /// Starts them.
    pub(super) fn start(
        writer: Option<(Db, Disk)>,
        readers: Vec<Db>,
        identity: Option<&Identity>,
    ) -> Result<Self, StoreError> {
        let dead = Dead::default();
        let any = writer.as_ref().map(|(db, _)| db).or(readers.first());
        let path = any.map_or_else(String::new, |db| db.place.path.clone());
        let threads = Self::idle(path.clone(), Arc::clone(&dead), writer.is_some());
        let spawned = |error: &std::io::Error| StoreError::Sqlite {
            path: path.clone(),
            reason: format!("no thread for it: {error}"),
        };
        if let Some((db, disk)) = writer {
            let (give, take) = mpsc::channel(QUEUE_MAX);
            let checkpointer = Some(Checkpointer::start(&disk.database, &db.place, &dead)?);
            let disk = Some(disk);
            let (identity, dead, hurry) = (identity.cloned(), Arc::clone(&dead), Arc::clone(&threads.hurry));
            let worker = Worker { db, disk, checkpointer, identity, dead, hurry };
            let run = move || worker.write_until_closed(take);
            let handle = std::thread::Builder::new().name("store-writer".to_owned()).spawn(run);
            *threads.writer.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(handle.map_err(|error| spawned(&error))?);
            *threads.writing.lock().unwrap_or_else(PoisonError::into_inner) = Some(give);
        }
        if !readers.is_empty() {
            let (give, take) = mpsc::channel(QUEUE_MAX);
            let take = Arc::new(Mutex::new(take));
            for db in readers {
                let (identity, dead, hurry) = (identity.cloned(), Arc::clone(&dead), Arc::clone(&threads.hurry));
                let worker = Worker { db, disk: None, checkpointer: None, identity, dead, hurry };
                let take = Arc::clone(&take);
                let run = move || worker.read_until_closed(&take);
                let handle = std::thread::Builder::new().name("store-reader".to_owned()).spawn(run);
                let handle = handle.map_err(|error| spawned(&error))?;
                threads.readers.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
            }
            *threads.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(give);
        }
        Ok(threads)
    }

    /// Readers end first, so that the writer's checkpoint finds nobody in its way.
    pub(super) fn close(&self) {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).take();
        for handle in self.readers.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _panics_were_caught = handle.join();
        }
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _panics_were_caught = handle.join();
        }
    }

    async fn submit(&self, queue: &Mutex<Option<Queue>>, job: Job) -> Result<(), StoreError> {
        let ended = || self.dead.get().cloned().unwrap_or(StoreError::Closed);
        if self.dead.get().is_some() {
            return Err(ended());
        }
        let (give, take) = oneshot::channel();
        if let Some(worker) = &self.at_hand {
            worker.lock().unwrap_or_else(PoisonError::into_inner).one(job, give);
            return take.await.map_err(|_gone| ended())?;
        }
        let queue = queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or(StoreError::Closed)?;
        queue.send((job, give)).await.map_err(|_gone| ended())?;
        take.await.map_err(|_gone| ended())?
    }

    async fn submit_write(&self, job: Job) -> Result<(), StoreError> {
        if !self.writable {
            let reason = "it was opened for reading only".to_owned();
            return Err(StoreError::ReadOnly { path: self.path.clone(), reason });
        }
        self.submit(&self.writing, job).await
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.close();
    }
}

impl SqliteStore {
    /// A copy of a store in memory, in memory, as of now. Blocks. Where the store is on a file there is `copy_to`.
    pub fn copy_in_memory(&self) -> Result<Self, StoreError> {
        let Some(worker) = &self.threads.at_hand else { return Err(StoreError::Closed) };
        let worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, place) = (memory::name(), worker.db.place.clone());
        let conn = memory::copy(&worker.db.conn, &name, &place)?;
        Ok(Self::in_memory(conn, name, place))
    }
}

impl Store for SqliteStore {
    fn read_job(&self, job: ReadJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.threads.submit(&self.threads.reading, Job::Read(job)))
    }

    fn write_job(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.threads.submit_write(Job::Write(job)))
    }

    fn write_small(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.threads.submit_write(Job::Small(job)))
    }

    fn write_relaxed(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.threads.submit_write(Job::Relaxed(job)))
    }

    fn copy_to<'a>(&'a self, target: &'a Path) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.threads.submit(&self.threads.reading, Job::Copy(target.to_owned())))
    }

    fn hurry(&self) {
        self.threads.hurry.store(true, Ordering::Release);
    }
}

impl Worker {
    /// In its own thread: waits for locks as long as it may.
    fn settle_in(&mut self) {
        // Where that cannot be said it waits as it would have done.
        patience::begin(&mut self.db.conn, self.db.place.busy_ms, &self.hurry).ok();
    }

    fn write_until_closed(mut self, mut queue: mpsc::Receiver<(Job, Reply)>) {
        self.settle_in();
        let mut next = queue.blocking_recv();
        while let Some((job, reply)) = next.take() {
            if self.dead.get().is_some() {
                break;
            }
            match job {
                Job::Small(job) => {
                    let mut group = vec![(job, reply)];
                    while group.len() < GROUP_MAX {
                        match queue.try_recv() {
                            Ok((Job::Small(job), reply)) => group.push((job, reply)),
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_empty_or_closed) => break,
                        }
                    }
                    self.write(group, true);
                }
                job => self.one(job, reply),
            }
            if next.is_none() {
                next = queue.blocking_recv();
            }
        }
        self.checkpointer.take();
        if self.dead.get().is_some() {
            // The log stays as it is: the next start checks the database because of it.
            let _best_effort = self.db.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            return;
        }
        // Best effort: what stays in the WAL is read from there at the next open.
        if let Err(error) = self.db.conn.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_row| Ok(())) {
            let path = &self.db.place.path;
            let reason = match self.db.place.explain(error.into()) {
                StoreError::Full { .. } => "disk full: free some space".to_owned(),
                other => other.to_string(),
            };
            tracing::warn!("the last changes stay in {path}-wal, and are safe there: {reason}");
        }
    }

    fn one(&mut self, job: Job, reply: Reply) {
        match job {
            Job::Write(job) | Job::Small(job) => self.write(vec![(job, reply)], true),
            Job::Relaxed(job) => self.write_relaxed(job, reply),
            Job::Read(job) => self.read(job, reply),
            Job::Copy(target) => self.copy(&target, reply),
        }
    }

    /// In WAL mode NORMAL syncs at checkpoints only; the next FULL commit syncs the log whole, this one included.
    /// A pragma that fails leaves FULL in force, which is never wrong.
    fn write_relaxed(&mut self, job: WriteJob, reply: Reply) {
        let _still_full = self.db.conn.pragma_update(None, "synchronous", "NORMAL");
        self.write(vec![(job, reply)], false);
        if self.db.conn.pragma_update(None, "synchronous", "FULL").is_err() {
            self.end(StoreError::Closed);
        }
    }

    fn read_until_closed(mut self, queue: &Mutex<mpsc::Receiver<(Job, Reply)>>) {
        self.settle_in();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some((job, reply)) = next else { return };
            if self.dead.get().is_some() {
                return;
            }
            match job {
                Job::Read(job) => self.read(job, reply),
                Job::Copy(target) => self.copy(&target, reply),
                Job::Write(_) | Job::Small(_) | Job::Relaxed(_) => drop(reply),
            }
        }
    }

    /// One transaction for all; each job alone in a savepoint where there are several. `counted`: an upstream may come to
    /// know of it, so that a database that lacks it must be noticed.
    fn write(&mut self, jobs: Vec<(WriteJob, Reply)>, counted: bool) {
        let mut outcomes = Vec::with_capacity(jobs.len());
        let mut replies = Vec::with_capacity(jobs.len());
        self.db.fresh();
        let whole = match self.begin() {
            Ok(()) => {
                let several = jobs.len() > 1;
                for (job, reply) in jobs {
                    let Some(outcome) = self.attempt(job, several) else {
                        // A panic: whatever this job half did goes, and nothing is promised to the others.
                        self.end(StoreError::Closed);
                        let _closing = self.db.conn.execute_batch("ROLLBACK");
                        return;
                    };
                    outcomes.push(outcome);
                    replies.push(reply);
                }
                let wanted = several || outcomes.iter().all(Result::is_ok);
                if wanted {
                    self.commit(counted)
                } else {
                    self.roll_back();
                    Ok(())
                }
            }
            Err(error) => {
                outcomes.extend(jobs.iter().map(|_job| Ok(())));
                replies.extend(jobs.into_iter().map(|(_job, reply)| reply));
                Err(error)
            }
        };
        if let Err(error) = &whole {
            self.roll_back();
            if ends_store(error) {
                self.end(error.clone());
            }
        }
        for (outcome, reply) in outcomes.into_iter().zip(replies) {
            let _caller_may_be_gone = reply.send(outcome.and(whole.clone()));
        }
    }

    /// Nothing is done any more. Who comes second finds the first reason there.
    fn end(&self, reason: StoreError) {
        self.dead.set(reason).ok();
    }

    fn begin(&self) -> Result<(), StoreError> {
        if let Some(identity) = &self.identity {
            identity.check()?;
        }
        self.db.begin_write().map_err(|failure| self.db.explain(failure))
    }

    /// `None` is a panic.
    fn attempt(&mut self, job: WriteJob, alone: bool) -> Option<Result<(), StoreError>> {
        if let Some(error) = self.db.doom() {
            return Some(Err(error));
        }
        if alone && let Err(failure) = self.db.exec("SAVEPOINT job", []) {
            return Some(Err(self.db.explain(failure)));
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| job(&mut self.db))).ok()?;
        // The transaction is over, whatever the job made of it.
        if let Some(error) = self.db.doom() {
            return Some(Err(outcome.err().unwrap_or(error)));
        }
        if alone {
            let sql = if outcome.is_ok() { "RELEASE job" } else { "ROLLBACK TO job" };
            let ended = self.db.exec(sql, []).and_then(|_| match &outcome {
                Ok(()) => Ok(0),
                Err(_) => self.db.exec("RELEASE job", []),
            });
            if let Err(failure) = ended {
                return Some(Err(self.db.explain(failure)));
            }
        }
        Some(outcome)
    }

    fn commit(&mut self, counted: bool) -> Result<(), StoreError> {
        if let Some(error) = self.db.doom() {
            return Err(error);
        }
        let mirror = self.disk.as_ref().is_some_and(|disk| counted && disk.mirror.is_some());
        let sequence = if mirror {
            Some(epoch::count(&self.db.conn).map_err(|error| self.db.explain(error.into()))?)
        } else {
            None
        };
        self.db.commit_write().map_err(|failure| self.db.explain(failure))?;
        if let Some(disk) = &mut self.disk {
            if let (Some(mirror), Some(sequence)) = (&mut disk.mirror, sequence) {
                mirror.set(sequence);
            }
            disk.watch_log(&self.db);
        }
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.wake();
        }
        Ok(())
    }

    /// SQLite may have rolled back by itself.
    fn roll_back(&self) {
        if !self.db.conn.is_autocommit() {
            let _nothing_left_to_do = self.db.conn.execute_batch("ROLLBACK");
        }
    }

    fn read(&mut self, job: ReadJob, reply: Reply) {
        let outcome = match self.snapshot() {
            Ok(()) => {
                let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| job(&self.db))) else {
                    self.end(StoreError::Closed);
                    return;
                };
                outcome
            }
            Err(error) => Err(error),
        };
        self.roll_back();
        let _caller_may_be_gone = reply.send(outcome);
    }

    fn snapshot(&self) -> Result<(), StoreError> {
        if let Some(identity) = &self.identity {
            identity.check()?;
        }
        self.db.exec("BEGIN", []).map(|_changed| ()).map_err(|failure| self.db.explain(failure))
    }

    fn copy(&self, target: &Path, reply: Reply) {
        let outcome = file::copy(&self.db.conn, &self.db.place, target);
        let _caller_may_be_gone = reply.send(outcome);
    }
}
