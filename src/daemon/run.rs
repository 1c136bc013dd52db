//! Owns: the loop: gathers events, asks the decision, does what it says.
//!
//! Must not know: which event means what (that is `decide`).

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use futures_util::future::BoxFuture;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use crate::clock::Clock;
use crate::reconcile::{Engine, Outcome, PassError, PassOptions, PassReport, Progress};
use crate::rules::Ruleset;
use crate::store::{Store, StoreError, read};

use super::decide::{Job, Mode, State};
use super::doing::Doing;
use super::event::{Action, Cause, Ending, Event, Moment};
use super::heartbeat::Heartbeat;
use super::report;
use super::schedule::Last;
use super::systemd::Manager;

/// Without a heartbeat for so long, the loop looks at the clock by itself.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How far back the last complete generation is looked for.
const PASSES_MAX: usize = 1000;

/// How long it may take to close what is open; also how long a reload that waits for a pass is waited for, until the next beat.
const CLOSING_MAX: Duration = Duration::from_secs(30);

/// What `run` is to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Once or on schedule.
    pub mode: Mode,
    /// Every pass reads everything.
    pub full: bool,
    /// How long a stop waits for the running pass.
    pub drain_timeout: Duration,
}

/// Rules at work.
pub struct Loaded {
    /// The engine that works by them.
    pub engine: Arc<Engine>,
    /// The rules.
    pub rules: Arc<Ruleset>,
    /// These collections, in the order of passes.
    pub collections: Vec<String>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left to do.
    Done,
    /// A stop was asked for.
    Stopped,
    /// A second signal cut the pass short.
    Aborted,
}

/// What the one who runs it hears.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// A pass ended.
    Report(&'a PassReport),
    /// A stop was asked for; the running pass may take so long.
    Stopping(Duration),
}

/// The one who runs it: has the rules, and hears what comes of them.
pub trait Host: Send {
    /// Hears something.
    fn tell(&mut self, told: Told<'_>);

    /// Reads and checks the rules as they are now. An error says, for people, why they cannot be used; nothing changed then.
    fn reload(&mut self) -> BoxFuture<'_, Result<Loaded, String>>;

    /// Another number whenever the files of the rules are other ones. Asked once a second.
    fn stamp(&self) -> u64;
}

type Pass = BoxFuture<'static, Result<PassReport, PassError>>;

/// What does not change while the daemon runs.
pub struct Setup<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What is to be done.
    pub plan: Plan,
    /// Hears the steps of passes.
    pub progress: Arc<dyn Progress>,
    /// The host's stamp from before the rules were read.
    pub stamp: u64,
}

/// Runs passes until done or stopped. An error is one that makes going on senseless.
pub async fn run(loaded: Loaded, setup: Setup<'_>, host: &mut dyn Host) -> Result<Ended, PassError> {
    let Setup { store, clock, plan, progress, stamp } = setup;
    let jobs = load_jobs(&loaded, store, plan.mode).await?;
    let sources = Sources::open(plan.mode, Arc::clone(&clock)).await?;
    let daemon = Daemon {
        state: State::new(plan.mode, plan.full, jobs),
        watch: Watch { known: stamp, seen: stamp },
        manager: Manager::of_environment(plan.mode == Mode::Scheduled),
        doing: Arc::new(Doing::new(progress)),
        loaded,
        store,
        clock,
        plan,
        host,
        running: None,
        drain_until: None,
        failed: None,
    };
    daemon.live(sources).await
}

/// The daemon while it lives.
struct Daemon<'a> {
    loaded: Loaded,
    store: &'a dyn Store,
    clock: Arc<dyn Clock>,
    plan: Plan,
    host: &'a mut dyn Host,
    state: State,
    watch: Watch,
    manager: Manager,
    doing: Arc<Doing>,
    running: Option<Pass>,
    drain_until: Option<Duration>,
    failed: Option<PassError>,
}

impl Daemon<'_> {
    async fn live(mut self, mut sources: Sources) -> Result<Ended, PassError> {
        self.manager.ready();
        let now = self.moment();
        let mut action = self.state.begin(now);
        let ending = loop {
            match action {
                Some(Action::End(ending)) => break ending,
                Some(Action::Reload) => action = self.reload().await?,
                other => {
                    if let Some(other) = other {
                        self.carry_out(other).await;
                    }
                    let text = self.doing.text().unwrap_or_else(|| idle(&self.state, self.moment()));
                    self.manager.status(text);
                    let gathered = sources.next(&mut self.running, self.drain_until).await;
                    action = self.hear(gathered);
                }
            }
        };
        self.manager.stopping(CLOSING_MAX);
        // Dropping a pass that still runs is safe: its intents say what was sent, the next pass settles them.
        drop(self.running);
        sources.close().await;
        match (ending, self.failed) {
            (Ending::Fatal, Some(error)) => Err(error),
            (Ending::Done | Ending::Fatal, _) => Ok(Ended::Done),
            (Ending::Stopped, _) => Ok(Ended::Stopped),
            (Ending::Aborted, _) => Ok(Ended::Aborted),
        }
    }

    fn moment(&self) -> Moment {
        Moment { wall: self.clock.now(), steady: self.clock.monotonic() }
    }

    async fn carry_out(&mut self, action: Action) {
        match action {
            Action::Start { collection, full, cause } => {
                self.doing.begins(&collection);
                let trigger = trigger(self.plan.mode, full, cause);
                self.running = Some(start(&self.loaded.engine, trigger, collection, full, Arc::clone(&self.doing)));
            }
            Action::Drain => {
                let up_to = self.plan.drain_timeout;
                tracing::info!("stopping: the pass under way may take {} more seconds", up_to.as_secs());
                self.host.tell(Told::Stopping(up_to));
                self.manager.stopping(up_to + CLOSING_MAX);
                self.drain_until = Some(self.clock.monotonic() + up_to);
            }
            Action::Report => match report::lines(self.store, &self.loaded.rules, self.clock.now()).await {
                Ok(lines) => lines.iter().for_each(|line| tracing::info!("{line}")),
                // Whether that is the end of the daemon the next pass finds out.
                Err(error) => tracing::error!("no report: {error}"),
            },
            // The loop's own.
            Action::Reload | Action::End(_) => {}
        }
    }

    /// Goes on by the rules as they are now, or by those from before; what is to be done next.
    async fn reload(&mut self) -> Result<Option<Action>, PassError> {
        self.watch.known = self.host.stamp();
        self.manager.reloading();
        let next = if let Some(fresh) = reloaded(&self.loaded, self.host.reload().await) {
            let jobs = load_jobs(&fresh, self.store, self.plan.mode).await?;
            self.loaded = fresh;
            let now = self.moment();
            self.state.renew(jobs, now)
        } else {
            let now = self.moment();
            self.state.decide(&Event::Tick, now)
        };
        self.manager.ready();
        Ok(next)
    }

    /// What follows from what the loop woke up for.
    fn hear(&mut self, gathered: Gathered) -> Option<Action> {
        let is_daemon = self.plan.mode == Mode::Scheduled;
        let is_beat = matches!(gathered, Gathered::Event(Event::Tick));
        let event = match gathered {
            Gathered::Event(Event::Tick) if is_daemon && self.watch.has_changed(self.host.stamp()) => {
                Event::ReloadAsked
            }
            Gathered::Event(event) => event,
            Gathered::Passed(result) => {
                self.running = None;
                let fatal = account(*result, self.plan.mode, self.host, &mut self.failed);
                Event::PassEnded { fatal }
            }
        };
        let waited = self.state.reload_waits();
        let now = self.moment();
        let action = self.state.decide(&event, now);
        let waits = self.state.reload_waits();
        if waits && !waited {
            self.manager.reloading();
        }
        if is_beat {
            self.manager.beat();
            if waits {
                self.manager.wait(CLOSING_MAX);
            }
        }
        action
    }
}

/// Notices that files of rules were changed, once they have been left alone for a look: editors write in several steps.
struct Watch {
    /// What the rules in force, or refused, were read from.
    known: u64,
    /// At the last look.
    seen: u64,
}

impl Watch {
    fn has_changed(&mut self, now: u64) -> bool {
        let is_settled = now == self.seen;
        self.seen = now;
        let changed = is_settled && now != self.known;
        if changed {
            self.known = now;
        }
        changed
    }
}

/// Says what came of reading the rules anew.
fn reloaded(before: &Loaded, fresh: Result<Loaded, String>) -> Option<Loaded> {
    match fresh {
        Ok(fresh) => {
            let what =
                if fresh.rules.hash == before.rules.hash { "they say what they said" } else { "they have changed" };
            tracing::info!("rules and secrets were read anew: {what}");
            Some(fresh)
        }
        Err(words) => {
            tracing::error!("the rules as they are now cannot be used; those from before stay in force:\n{words}");
            None
        }
    }
}

/// What the daemon does between passes.
fn idle(state: &State, now: Moment) -> String {
    match state.next(now) {
        Some((collection, due)) => {
            format!("idle; {collection} is due at {}", due.to_rfc3339_opts(SecondsFormat::Secs, true))
        }
        None => "idle; nothing is scheduled".to_owned(),
    }
}

fn trigger(mode: Mode, full: bool, cause: Cause) -> &'static str {
    match (mode, full, cause) {
        (Mode::Once, _, _) => "once",
        (Mode::Scheduled, true, _) => "full_scan",
        (Mode::Scheduled, false, Cause::Schedule) => "schedule",
        (Mode::Scheduled, false, Cause::Signal) => "signal",
    }
}

fn start(engine: &Arc<Engine>, trigger: &'static str, collection: String, full: bool, progress: Arc<Doing>) -> Pass {
    let engine = Arc::clone(engine);
    let options = PassOptions { trigger: trigger.to_owned(), full, dry_run: false, all_changes: false };
    Box::pin(async move { engine.pass(&collection, &options, progress.as_ref()).await })
}

/// Reports a pass; true where going on makes no sense.
fn account(
    result: Result<PassReport, PassError>,
    mode: Mode,
    host: &mut dyn Host,
    failed: &mut Option<PassError>,
) -> bool {
    match result {
        Ok(report) => {
            // Of a single pass the report says everything, once.
            if mode == Mode::Scheduled {
                log(&report);
            }
            host.tell(Told::Report(&report));
            false
        }
        Err(error) => {
            if mode == Mode::Scheduled {
                tracing::error!("pass failed: {error}");
            }
            // A one-shot run has no next tick at which the cause may be gone.
            let fatal = mode == Mode::Once || is_fatal(&error);
            if fatal {
                *failed = Some(error);
            }
            fatal
        }
    }
}

/// Whether waiting for the next tick cannot help.
fn is_fatal(error: &PassError) -> bool {
    match error {
        PassError::Store(error) => match error {
            StoreError::Constraint { .. }
            | StoreError::Busy { .. }
            | StoreError::Full { .. }
            | StoreError::Abandoned => false,
            StoreError::Locked { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Unreadable { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Newer { .. }
            | StoreError::Shape { .. }
            | StoreError::Missing { .. }
            | StoreError::Replaced { .. }
            | StoreError::Closed
            | StoreError::State { .. }
            | StoreError::Sqlite { .. } => true,
        },
        PassError::UnknownCollection(_) => true,
    }
}

/// One line per pass.
fn log(report: &PassReport) {
    let (collection, pass, ms) = (&report.collection, report.pass, report.elapsed_ms);
    let (local, remote) = (report.local.total(), report.remote_writes());
    let words = format!("pass {pass} of {collection}: {local} changes here, {remote} writes upstream, {ms} ms");
    let errors: Vec<String> = report
        .upstreams
        .iter()
        .filter_map(|one| one.error.as_ref().map(|error| format!("{}: {error}", one.upstream)))
        .collect();
    match report.outcome {
        Outcome::Ok | Outcome::Pending => tracing::info!("{words}"),
        Outcome::Conflicts => {
            tracing::info!("{words}; {} conflicts open, {} set aside", report.conflicts_open, report.quarantined);
        }
        Outcome::Unavailable => tracing::warn!("{words}; {}; tried again at the next tick", errors.join("; ")),
        Outcome::Halted => {
            let halt = report.halt.unwrap_or_default();
            tracing::error!(
                "{words}; halted by a guard: nothing was written; `reconciled approve {halt}` lets it through"
            );
        }
        Outcome::Failed => tracing::error!("{words}; {}", report.error.as_deref().unwrap_or("failed")),
    }
}

async fn load_jobs(loaded: &Loaded, store: &dyn Store, mode: Mode) -> Result<Vec<Job>, StoreError> {
    let mut jobs = Vec::new();
    for name in &loaded.collections {
        let Some(collection) = loaded.rules.collections.get(name) else { continue };
        let asked = name.clone();
        let passes = read(store, move |view| view.passes(Some(&asked), PASSES_MAX)).await?;
        let last = |micros: i64| DateTime::from_timestamp_micros(micros).map(|wall| Last { wall, steady: None });
        let full = passes.iter().find(|pass| pass.trigger == "full_scan").or(passes.last());
        if collection.schedule.is_none() && mode == Mode::Scheduled {
            tracing::warn!("{name} has no schedule: it runs at the start, and then only when asked");
        }
        jobs.push(Job {
            collection: name.clone(),
            schedule: collection.schedule.clone(),
            full_scan: collection.full_scan.clone(),
            last: passes.first().and_then(|pass| last(pass.started_at)),
            last_full: full.and_then(|pass| last(pass.started_at)),
        });
    }
    Ok(jobs)
}

/// What the loop wakes up for.
enum Gathered {
    Event(Event),
    Passed(Box<Result<PassReport, PassError>>),
}

/// Everything that events come from, but the pass.
struct Sources {
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
    async fn open(mode: Mode, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
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

    async fn next(&mut self, running: &mut Option<Pass>, drain_until: Option<Duration>) -> Gathered {
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
            () = hear(&mut self.usr1) => Gathered::Event(Event::SyncAsked),
            () = hear(&mut self.usr2) => Gathered::Event(Event::ReportAsked),
            result = pass_or_never(running) => Gathered::Passed(Box::new(result)),
            () = self.clock.sleep(drain_left), if drain_until.is_some() => Gathered::Event(Event::DrainTimedOut),
            Some(()) = self.beats.recv(), if self.heartbeat.is_some() => Gathered::Event(Event::Tick),
            () = self.clock.sleep(SILENCE_MAX) => Gathered::Event(Event::Tick),
        }
    }

    async fn close(self) {
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

async fn pass_or_never(running: &mut Option<Pass>) -> Result<PassReport, PassError> {
    match running {
        Some(pass) => pass.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_still_being_written_are_left_alone() {
        let mut watch = Watch { known: 1, seen: 1 };
        let looks =
            [(1, false), (2, false), (3, false), (3, true), (3, false), (1, false), (1, true), (2, false), (1, false)];
        for (at, (stamp, changed)) in looks.into_iter().enumerate() {
            assert_eq!(watch.has_changed(stamp), changed, "look {at}");
        }
    }
}
