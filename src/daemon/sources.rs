//! Owns: everything that the loop wakes up for: signals, beats, passes that end, questions, files that change, work that was
//! left.
//!
//! Must not know: what is done about it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::clock::Clock;
use crate::reconcile::{PassError, PassReport};
use crate::store::StoreError;

use super::decide::Mode;
use super::desk::{Ask, Clerk};
use super::event::{Event, Signal};
use super::files::{Files, Seen, Watched};
use super::heartbeat::{BEAT_MAX, Heartbeat};

/// When a beat is so late, the loop looks at the clock by itself.
const LATE: Duration = Duration::from_secs(20);
/// How often files are looked at that cannot be watched, and what a running pass is at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The first asks for a stop, the second for one at once.
const STOPS_MAX: usize = 2;

/// A pass under way, with its number; it ends with what came of it.
pub type Pass = BoxFuture<'static, PassOver>;

/// A pass that is over.
pub struct PassOver {
    /// Of this collection.
    pub collection: String,
    /// How many were started before it, and itself.
    pub number: u64,
    /// What came of it; `None` where it was to list nothing, and what waits takes listings.
    pub result: Result<Option<PassReport>, PassError>,
}

/// A pass over single records that was wished for while another one runs; it ends with what came of it.
pub type Between = BoxFuture<'static, BetweenOver>;

/// Such a pass that is over.
pub struct BetweenOver {
    /// Of this collection.
    pub collection: String,
    /// What came of it; `None` where nothing was done.
    pub made: Result<Option<PassReport>, PassError>,
}

/// All passes under way.
#[derive(Default)]
pub struct UnderWay {
    /// Those that were started.
    pub passes: FuturesUnordered<Pass>,
    /// Those that are made while one of these runs.
    pub between: FuturesUnordered<Between>,
}

/// What the loop wakes up for.
pub enum Gathered {
    /// Something that the decision knows by itself.
    Event(Event),
    /// A question.
    Asked(Ask),
    /// A pass is over.
    Passed(Box<PassOver>),
    /// One that was made in between is over.
    Between(Box<BetweenOver>),
    /// Files have changed.
    Seen(Seen),
}

/// When the loop is to be woken, if nothing else happens.
#[derive(Clone, Debug, Default)]
pub struct Alarm {
    /// By a beat, in so long at the latest.
    pub due_in: Option<Duration>,
    /// The service manager wants to hear of the loop so often.
    pub beat_max: Option<Duration>,
    /// Something is under way, or could not be looked at: soon.
    pub soon: bool,
    /// For work of this collection that was left.
    pub retry_in: Option<(String, Duration)>,
    /// The running passes are waited for no longer than until then.
    pub drain_until: Option<Duration>,
}

/// Everything that events come from, but the pass.
pub struct Sources {
    clock: Arc<dyn Clock>,
    stops: Receiver<()>,
    hup: Option<Listener>,
    /// One pass of each collection, for somebody who waits for it.
    once: bool,
    usr1: Option<Listener>,
    usr2: Option<Listener>,
    heartbeat: Option<Heartbeat>,
    beats: Receiver<()>,
    /// The last beat, by the steady clock.
    last_beat: Duration,
    files: Option<Files>,
    /// The database is watched.
    sees_store: bool,
}

impl Sources {
    /// Listens to signals; beats, where passes are scheduled. [`Stops`] have to be heard beside it.
    pub async fn open(mode: Mode, clock: Arc<dyn Clock>) -> Result<(Self, Stops), StoreError> {
        let (send, beats) = channel(1);
        let heartbeat = match mode {
            Mode::Once => None,
            Mode::Scheduled => Heartbeat::start(send, Arc::clone(&clock))
                .await
                // Not the end.
                .map_err(|error| tracing::warn!("no heartbeat: {error}; the loop looks at the clock by itself"))
                .ok(),
        };
        let files = match mode {
            Mode::Once => None,
            Mode::Scheduled => Files::open(Arc::clone(&clock))
                .map_err(|error| tracing::warn!("files cannot be watched: {error}; they are looked at every second"))
                .ok(),
        };
        // Where a signal cannot be listened to, it keeps its default effect.
        let listen = |kind| signal(kind).ok();
        let (tell, heard) = channel(STOPS_MAX);
        let stops = Stops {
            term: listen(SignalKind::terminate()),
            int: listen(SignalKind::interrupt()),
            tell,
            clock: Arc::clone(&clock),
        };
        let sources = Self {
            last_beat: clock.monotonic(),
            clock,
            stops: heard,
            hup: listen(SignalKind::hangup()),
            once: mode == Mode::Once,
            usr1: listen(SignalKind::user_defined1()),
            usr2: listen(SignalKind::user_defined2()),
            heartbeat,
            beats,
            files,
            sees_store: false,
        };
        Ok((sources, stops))
    }

    /// Watches these files from now on; to be said again when they may have been replaced.
    pub fn watch(&mut self, watched: &Watched) {
        self.sees_store = self.files.as_mut().is_some_and(|files| files.watch(watched));
    }

    /// The next thing that happens.
    pub async fn next(&mut self, running: &mut UnderWay, clerk: &mut Clerk, alarm: Alarm) -> Gathered {
        let now = self.clock.monotonic();
        let drain_left = alarm.drain_until.map_or(Duration::MAX, |until| until.saturating_sub(now));
        let most = if alarm.soon || !self.sees_store { LOOK_EVERY } else { BEAT_MAX };
        let every = alarm.beat_max.map_or(most, |beat_max| beat_max.min(most));
        let beat_at = next_beat(now, self.last_beat, every, alarm.due_in);
        let late = if let Some(heartbeat) = &self.heartbeat {
            heartbeat.set(beat_at);
            LATE
        } else {
            Duration::ZERO
        };
        let silence_max = (beat_at + late).saturating_sub(now);
        let (retries, retry_in) = alarm.retry_in.map_or((None, Duration::MAX), |(name, left)| (Some(name), left));
        let signal = |signal| Gathered::Event(Event::Signal(signal));
        let gathered = tokio::select! {
            biased;
            Some(()) = self.stops.recv() => Gathered::Event(Event::Stop),
            // The terminal of a single run is gone, and with it whoever asked for it.
            () = hear(&mut self.hup) => if self.once { Gathered::Event(Event::Stop) } else { signal(Signal::Reload) },
            () = hear(&mut self.usr1) => signal(Signal::Sync),
            () = hear(&mut self.usr2) => signal(Signal::Report),
            // Before what may come without end.
            Some(()) = self.beats.recv(), if self.heartbeat.is_some() => Gathered::Event(Event::Tick),
            // Before the end of the other pass: it is no matter of the next one.
            Some(over) = running.between.next() => Gathered::Between(Box::new(over)),
            Some(over) = running.passes.next() => Gathered::Passed(Box::new(over)),
            ask = clerk.next() => Gathered::Asked(ask),
            () = self.clock.sleep(drain_left), if alarm.drain_until.is_some() => Gathered::Event(Event::DrainTimedOut),
            seen = changed(&mut self.files) => Gathered::Seen(seen),
            () = self.clock.sleep(retry_in), if retries.is_some() => Gathered::Event(Event::RetryDue {
                collection: retries.unwrap_or_default(),
            }),
            () = self.clock.sleep(silence_max) => Gathered::Event(Event::Tick),
        };
        if matches!(gathered, Gathered::Event(Event::Tick)) {
            self.last_beat = self.clock.monotonic();
        }
        gathered
    }

    /// Ends the heartbeat.
    pub async fn close(self) {
        if let Some(heartbeat) = self.heartbeat {
            heartbeat.stop().await;
        }
    }
}

/// The signals that end the process. They are heard whatever the loop waits for.
pub struct Stops {
    term: Option<Listener>,
    int: Option<Listener>,
    tell: Sender<()>,
    clock: Arc<dyn Clock>,
}

impl Stops {
    /// Tells the loop of each. `hurry` once there have been two, or the first is so long ago. Never ends.
    pub async fn hear(mut self, patience: Duration, hurry: impl FnOnce()) -> std::convert::Infallible {
        self.next().await;
        let clock = Arc::clone(&self.clock);
        tokio::select! {
            () = self.next() => {}
            () = clock.sleep(patience) => {}
        }
        hurry();
        loop {
            self.next().await;
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = hear(&mut self.term) => {}
            () = hear(&mut self.int) => {}
        }
        // More than the first two say nothing new.
        self.tell.try_send(()).ok();
    }
}

/// When the next beat is to come, by the steady clock: when something is due, and so long after the last one at the latest,
/// whatever else wakes the loop meanwhile.
fn next_beat(now: Duration, last: Duration, every: Duration, due_in: Option<Duration>) -> Duration {
    let due_at = due_in.map_or(Duration::MAX, |left| now.saturating_add(left));
    last.saturating_add(every).min(due_at).max(now)
}

async fn changed(files: &mut Option<Files>) -> Seen {
    match files {
        Some(files) => files.next().await,
        None => std::future::pending().await,
    }
}

async fn hear(signal: &mut Option<Listener>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f10_what_wakes_the_loop_puts_no_beat_off() {
        let at = |now, last, due_in: Option<u64>| {
            let second = Duration::from_secs;
            next_beat(second(now), second(last), second(15), due_in.map(second)).as_secs()
        };
        for now in 100..=115 {
            assert_eq!(at(now, 100, None), 115, "{now}");
        }
        assert_eq!(at(130, 100, None), 130, "it is late already");
        assert_eq!(at(104, 100, Some(3)), 107, "something is due");
        assert_eq!(at(104, 100, Some(60)), 115);
        assert_eq!(at(104, 100, Some(0)), 104);
    }
}
