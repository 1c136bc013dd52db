//! Owns: the heartbeat that makes the daemon look at the clock.
//!
//! Must not know: what is due.
//!
//! The scheduler runs one job and nothing else: due times, overlap, missed runs and time zones are ours (its own
//! handling of them loses runs across daylight saving and clock jumps).

use std::sync::Arc;

use tokio::sync::mpsc::Sender;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Beats per second would be more than the finest schedule needs.
const EVERY_SECOND: &str = "* * * * * *";
/// Room for the scheduler's own notices.
const CHANNEL: usize = 4096;

/// A beating heart; stops when [`Heartbeat::stop`] is called.
pub struct Heartbeat {
    scheduler: JobScheduler,
}

impl Heartbeat {
    /// Begins to beat: each beat is one `try_send` that gives up where the loop is behind.
    pub async fn start(beats: Sender<()>) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new_with_channel_size(CHANNEL).await?;
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
        Ok(Self { scheduler })
    }

    /// Ends it; failing to is no matter at the end of the process.
    pub async fn stop(mut self) {
        self.scheduler.shutdown().await.ok();
    }
}
