//! Owns: the heartbeat that makes the daemon look at the clock when something is due, and now and then besides.
//!
//! Must not know: what is due.
//!
//! The scheduler runs one job and nothing else: due times, overlap, missed runs and time zones are ours (its own
//! handling of them loses runs across daylight saving and clock jumps). It looks for jobs that are due half a second after
//! it looked last, for ever. Its timetable is ours as well, and answers when the alarm goes off and no sooner: so an idle
//! machine is woken twice for each beat, and not twice a second.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio_cron_scheduler::job::job_data::{JobAndNextTick, JobStoredData};
use tokio_cron_scheduler::store::{DataStore, InitStore};
use tokio_cron_scheduler::{
    Job, JobScheduler, JobSchedulerError, MetaDataStorage, SimpleJobCode, SimpleMetadataStore, SimpleNotificationCode,
    SimpleNotificationStore,
};
use uuid::Uuid;

use crate::clock::Clock;

/// The longest time between two beats.
pub const BEAT_MAX: Duration = Duration::from_secs(15);
/// The finest that an expression can say; when the job really runs says the timetable.
const EVERY_SECOND: &str = "* * * * * *";
/// Room for the scheduler's own notices.
const CHANNEL: usize = 4096;
/// A time that has always come, as the scheduler counts: 0 would mean never again.
const LONG_AGO: u64 = 1;

/// A beating heart; stops when [`Heartbeat::stop`] is called.
pub struct Heartbeat {
    scheduler: JobScheduler,
    alarm: watch::Sender<Duration>,
}

impl Heartbeat {
    /// Begins to beat: each beat is one `try_send` that gives up where the loop is behind.
    pub async fn start(beats: Sender<()>, clock: Arc<dyn Clock>) -> Result<Self, JobSchedulerError> {
        let alarm = watch::Sender::new(clock.monotonic());
        let timetable = Timetable { jobs: SimpleMetadataStore::default(), alarm: alarm.clone(), clock };
        let scheduler = JobScheduler::new_with_storage_and_code(
            Box::new(timetable),
            Box::new(SimpleNotificationStore::default()),
            Box::new(SimpleJobCode::default()),
            Box::new(SimpleNotificationCode::default()),
            CHANNEL,
        )
        .await?;
        let beats = Arc::new(beats);
        let job = Job::new_async(EVERY_SECOND, move |_id, _scheduler| {
            let beats = Arc::clone(&beats);
            Box::pin(async move {
                // Full means that a beat waits already; closed means that the loop has ended.
                beats.try_send(()).ok();
            })
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { scheduler, alarm })
    }

    /// The next beat comes then, by the steady clock, or up to half a second later.
    pub fn set(&self, at: Duration) {
        self.alarm.send_if_modified(|alarm| std::mem::replace(alarm, at) != at);
    }

    /// Ends it; failing to is no matter at the end of the process.
    pub async fn stop(mut self) {
        self.scheduler.shutdown().await.ok();
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, JobSchedulerError>> + Send>>;

/// The scheduler's jobs, all of which are due when the alarm goes off.
struct Timetable {
    jobs: SimpleMetadataStore,
    alarm: watch::Sender<Duration>,
    clock: Arc<dyn Clock>,
}

impl MetaDataStorage for Timetable {
    fn list_next_ticks(&mut self) -> Answer<Vec<JobAndNextTick>> {
        let (listed, alarm, clock) = (self.jobs.list_next_ticks(), self.alarm.clone(), Arc::clone(&self.clock));
        Box::pin(async move {
            let mut told = alarm.subscribe();
            loop {
                let left = told.borrow_and_update().saturating_sub(clock.monotonic());
                if left.is_zero() {
                    break;
                }
                tokio::select! {
                    () = clock.sleep(left) => {}
                    _ = told.changed() => {}
                }
            }
            // Unless the loop says otherwise meanwhile.
            alarm.send_replace(clock.monotonic() + BEAT_MAX);
            let due = |job| JobAndNextTick { next_tick: LONG_AGO, last_tick: None, ..job };
            Ok(listed.await?.into_iter().map(due).collect())
        })
    }

    fn set_next_and_last_tick(
        &mut self,
        id: Uuid,
        next: Option<DateTime<Utc>>,
        last: Option<DateTime<Utc>>,
    ) -> Answer<()> {
        self.jobs.set_next_and_last_tick(id, next, last)
    }

    fn time_till_next_job(&mut self) -> Answer<Option<Duration>> {
        self.jobs.time_till_next_job()
    }
}

impl DataStore<JobStoredData> for Timetable {
    fn get(&mut self, id: Uuid) -> Answer<Option<JobStoredData>> {
        self.jobs.get(id)
    }

    fn add_or_update(&mut self, job: JobStoredData) -> Answer<()> {
        self.jobs.add_or_update(job)
    }

    fn delete(&mut self, id: Uuid) -> Answer<()> {
        self.jobs.delete(id)
    }
}

impl InitStore for Timetable {
    fn init(&mut self) -> Answer<()> {
        self.jobs.init()
    }

    fn inited(&mut self) -> Answer<bool> {
        self.jobs.inited()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn it_beats_at_once_and_then_when_the_alarm_goes_off_and_no_sooner() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (send, mut beats) = channel(1);
        let heart = Heartbeat::start(send, Arc::clone(&clock)).await.unwrap();
        beats.recv().await.unwrap();
        for after in [700, 1500].map(Duration::from_millis) {
            let at = clock.monotonic() + after;
            heart.set(at);
            beats.recv().await.unwrap();
            let late = clock.monotonic().checked_sub(at).expect("no sooner");
            assert!(late < Duration::from_secs(2), "{late:?}");
        }
        // An alarm that is far away may be moved nearer.
        heart.set(clock.monotonic() + Duration::from_hours(1));
        heart.set(clock.monotonic());
        beats.recv().await.unwrap();
        heart.stop().await;
    }
}
