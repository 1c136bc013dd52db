//! Owns: everything that the loop wakes up for: signals, beats, passes that end, questions.
//!
//! Must not know: what is done about it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use crate::clock::Clock;
use crate::reconcile::{PassError, PassReport};
use crate::store::StoreError;

use super::decide::Mode;
use super::desk::{Ask, Clerk};
use super::event::{Cause, Event};
use super::heartbeat::Heartbeat;

/// Without a heartbeat for so long, the loop looks at the clock by itself.
const SILENCE_MAX: Duration = Duration::from_secs(10);

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

/// What the loop wakes up for.
pub enum Gathered {
    /// Something that the decision knows by itself.
    Event(Event),
    /// A question.
    Asked(Ask),
    /// A pass is over.
    Passed(Box<PassOver>),
}

/// Everything that events come from, but the pass.
pub struct Sources {
    clock: Arc<dyn Clock>,
    term: Option<Signal>,
    int: Option<Signal>,
    hup: Option<Signal>,
    /// One pass of each collection, for somebody who waits for it.
    once: bool,
    usr1: Option<Signal>,
    usr2: Option<Signal>,
    heartbeat: Option<Heartbeat>,
    beats: Receiver<()>,
}

impl Sources {
    /// Listens to signals; beats, where passes are scheduled.
    pub async fn open(mode: Mode, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let (send, beats) = channel(1);
        let heartbeat = match mode {
            Mode::Once => None,
            Mode::Scheduled => Heartbeat::start(send)
                .await
                // Not the end: the loop looks at the clock by itself, less often.
                .map_err(|error| tracing::warn!("no heartbeat: {error}; schedules are looked at every 10 s"))
                .ok(),
        };
        // Where a signal cannot be listened to, it keeps its default effect.
        let listen = |kind| signal(kind).ok();
        Ok(Self {
            clock,
            term: listen(SignalKind::terminate()),
            int: listen(SignalKind::interrupt()),
            hup: listen(SignalKind::hangup()),
            once: mode == Mode::Once,
            usr1: listen(SignalKind::user_defined1()),
            usr2: listen(SignalKind::user_defined2()),
            heartbeat,
            beats,
        })
    }

    /// The next thing that happens.
    pub async fn next(
        &mut self,
        running: &mut FuturesUnordered<Pass>,
        clerk: &mut Clerk,
        drain_until: Option<Duration>,
    ) -> Gathered {
        let now = self.clock.monotonic();
        let drain_left = drain_until.map_or(Duration::MAX, |until| until.saturating_sub(now));
        tokio::select! {
            biased;
            () = hear(&mut self.term) => Gathered::Event(Event::StopAsked),
            () = hear(&mut self.int) => Gathered::Event(Event::StopAsked),
            // The terminal of a single run is gone, and with it whoever asked for it.
            () = hear(&mut self.hup) => if self.once {
                Gathered::Event(Event::StopAsked)
            } else {
                Gathered::Event(Event::ReloadAsked)
            },
            () = hear(&mut self.usr1) => Gathered::Event(Event::SyncAsked {
                collections: Vec::new(),
                full: false,
                cause: Cause::Signal,
            }),
            () = hear(&mut self.usr2) => Gathered::Event(Event::ReportAsked),
            Some(over) = running.next() => Gathered::Passed(Box::new(over)),
            ask = clerk.next() => Gathered::Asked(ask),
            () = self.clock.sleep(drain_left), if drain_until.is_some() => Gathered::Event(Event::DrainTimedOut),
            Some(()) = self.beats.recv(), if self.heartbeat.is_some() => Gathered::Event(Event::Tick),
            () = self.clock.sleep(SILENCE_MAX) => Gathered::Event(Event::Tick),
        }
    }

    /// Ends the heartbeat.
    pub async fn close(self) {
        if let Some(heartbeat) = self.heartbeat {
            heartbeat.stop().await;
        }
    }
}

async fn hear(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
