//! Owns: the loop: gathers events, asks the decision, does what it says.
//!
//! Must not know: which event means what (that is `decide`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::reconcile::{Engine, PassError, PassOptions, PassReport, Progress, Wish};
use crate::rules::Ruleset;
use crate::store::{Store, StoreError};

use super::decide::{Mode, State};
use super::desk::{self, Accepted, Ask, Clerk, Desk, Refused, RulesSaid, Standing};
use super::doing::Doing;
use super::event::{Action, Cause, Ending, Event, Moment, Reads, Request, Went};
use super::files::{Seen, Watched};
use super::monitor::Monitor;
use super::outage::Outages;
use super::outcome::{account, has_failed, has_left};
use super::pulse::Pulse;
use super::reload::{Checked, load_jobs};
use super::report;
use super::sources::{Alarm, BetweenOver, Gathered, Pass, PassOver, Sources, UnderWay};
use super::stamp::Watch;
use super::systemd::Manager;
use super::wake::{self, Notice};

/// How long it may take to close what is open; also how long a reload that waits for a pass is waited for, until the next beat.
const CLOSING_MAX: Duration = Duration::from_secs(30);

/// How long it may take to write down at the end what was asked of upstreams.
const KEEPING_MAX: Duration = Duration::from_secs(2);

/// What `run` is to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Once or on schedule.
    pub mode: Mode,
    /// Every pass reads everything.
    pub full: bool,
    /// How long a stop waits for the running pass.
    pub drain_timeout: Duration,
    /// How long the store waits for a lock of another program.
    pub lock_max: Duration,
}

/// Rules at work.
pub struct Loaded {
    /// The engine that works by them.
    pub engine: Arc<Engine>,
    /// The rules.
    pub rules: Arc<Ruleset>,
    /// What was said of their files.
    pub said: Arc<RulesSaid>,
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

    /// Reads and checks the rules and secrets as they are now, and does nothing by them. An error says, for people, why they
    /// cannot be used.
    fn check(&mut self, in_force: &Loaded) -> Result<Checked, Refused>;

    /// Makes the database ready for rules that were checked, in place of those that this engine works by. An error says why they
    /// cannot be used; nothing changed then.
    fn reload(&mut self, before: Arc<Engine>, checked: Checked) -> BoxFuture<'_, Result<Loaded, Refused>>;

    /// These come into force, which were read just now.
    fn comes_into_force(&mut self, loaded: &Loaded);

    /// Another number whenever the files of the rules are other ones. Asked when they seem to be, and every few seconds.
    fn stamp(&self) -> u64;

    /// The files of the database, and where those of the rules are, as they are now.
    fn watched(&self) -> Watched;

    /// The daemon is up: whoever wants to ask it does so here.
    fn open(&mut self, desk: Desk);
}

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
    let doing = Arc::new(Doing::new(progress));
    let standing = Standing {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        started_at: clock.now(),
        stopping: false,
        rules_refused: None,
        not_served: Vec::new(),
        rules_wait_for: Vec::new(),
        rules_change: Vec::new(),
        collections: Vec::new(),
        shown_at: clock.monotonic(),
        rules: Arc::clone(&loaded.rules),
        clients: Arc::new(loaded.engine.clients().clone()),
        rules_since: clock.now(),
        said: Arc::clone(&loaded.said),
    };
    let (desk, clerk) = desk::open(standing, doing);
    let (mut sources, stops) = Sources::open(plan.mode, Arc::clone(&clock)).await?;
    let mut daemon = Daemon {
        state: State::new(plan.mode, plan.full, jobs),
        watch: Watch::new(stamp),
        unseen: false,
        manager: Manager::of_environment(plan.mode == Mode::Scheduled),
        monitor: (plan.mode == Mode::Scheduled).then(|| Monitor::start(&loaded.engine, Arc::clone(&clock))),
        clerk,
        loaded,
        store,
        clock,
        plan,
        host,
        running: UnderWay::default(),
        open: BTreeMap::new(),
        errors: BTreeMap::new(),
        outages: Outages::default(),
        checked: None,
        started: 0,
        drain_until: None,
        failed: None,
    };
    if plan.mode == Mode::Scheduled {
        sources.watch(&daemon.host.watched());
        daemon.know_what_waits().await?;
        // Whoever asks at once is answered by what there is.
        daemon.show();
        daemon.host.open(desk);
    }
    // The loop itself may wait for a lock of another program, and so may what a pass has to write.
    let hurries = stops.hear(plan.drain_timeout, || store.hurry());
    tokio::select! {
        biased;
        never = hurries => match never {},
        ended = daemon.live(sources) => ended,
    }
}

/// The daemon while it lives.
pub(super) struct Daemon<'a> {
    pub(super) loaded: Loaded,
    pub(super) store: &'a dyn Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) plan: Plan,
    pub(super) host: &'a mut dyn Host,
    pub(super) state: State,
    pub(super) watch: Watch,
    /// The last look for edits found the database held by others.
    unseen: bool,
    pub(super) manager: Manager,
    pub(super) monitor: Option<Monitor>,
    pub(super) clerk: Clerk,
    running: UnderWay,
    /// Who takes wishes for passes over single records while it waits for upstreams, by collection.
    open: BTreeMap<String, mpsc::Sender<Wish>>,
    /// How many passes in a row ended in an error, where any did, with the last one, by collection.
    errors: BTreeMap<String, (usize, String)>,
    /// Upstreams that were not to be had.
    pub(super) outages: Outages,
    /// Rules that were just checked.
    pub(super) checked: Option<Checked>,
    /// Passes started so far.
    started: u64,
    drain_until: Option<Duration>,
    failed: Option<PassError>,
}

impl Daemon<'_> {
    async fn live(mut self, mut sources: Sources) -> Result<Ended, PassError> {
        self.manager.ready();
        let now = self.moment();
        let mut actions: VecDeque<Action> = self.state.begin(now).into();
        let ending = loop {
            match actions.pop_front() {
                Some(Action::End(ending)) => break ending,
                Some(Action::Reload) => {
                    actions.extend(self.pulse().during(self.reload()).await?);
                    sources.watch(&self.host.watched());
                }
                // What is decided of rules is done before anything else is decided.
                Some(Action::Check) => self.check().into_iter().rev().for_each(|next| actions.push_front(next)),
                Some(other) => self.pulse().during(self.carry_out(other)).await,
                None => {
                    self.show();
                    let text = self.clerk.doing().text().unwrap_or_else(|| idle(&self.state, self.moment()));
                    self.manager.status(text);
                    let alarm = self.alarm();
                    let gathered = sources.next(&mut self.running, &mut self.clerk, alarm).await;
                    if matches!(gathered, Gathered::Event(Event::Tick) | Gathered::Seen(Seen::Rules)) {
                        self.watch_anew(&mut sources);
                    }
                    actions.extend(self.pulse().during(self.hear(gathered)).await?);
                }
            }
        };
        self.manager.stopping(CLOSING_MAX);
        self.clerk.show(|standing| standing.stopping = true);
        // Dropping a pass that still runs is safe: its intents say what was sent, the next pass settles them.
        drop(self.running);
        if let Some(monitor) = self.monitor {
            monitor.end().await;
        }
        // What it fails of is a count for people; how the daemon ends is not its matter.
        tokio::select! {
            _kept = self.loaded.engine.keep_usage() => {}
            () = self.clock.sleep(KEEPING_MAX) => {}
        }
        // What is still to be written has no time to wait any more.
        self.store.hurry();
        sources.close().await;
        match (ending, self.failed) {
            (Ending::Fatal, Some(error)) => Err(error),
            (Ending::Done | Ending::Fatal, _) => Ok(Ended::Done),
            (Ending::Stopped, _) => Ok(Ended::Stopped),
            (Ending::Aborted, _) => Ok(Ended::Aborted),
        }
    }

    /// Says that the loop lives while it waits for the store.
    fn pulse(&self) -> Pulse {
        let lock_max = self.plan.lock_max;
        Pulse::new(Arc::clone(&self.clock), self.manager.feeder(), self.clerk.shown(), lock_max)
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { wall: self.clock.now(), steady: self.clock.monotonic() }
    }

    /// When to look around although nothing was heard.
    fn alarm(&self) -> Alarm {
        let now = self.moment();
        Alarm {
            due_in: self.state.due_in(now),
            soon: self.state.is_busy() || self.unseen || self.watch.asks_again(),
            beat_max: self.manager.feeder().every(),
            retry_in: self.state.retry_in(now),
            drain_until: self.drain_until,
        }
    }

    /// Files may have been replaced by others.
    fn watch_anew(&self, sources: &mut Sources) {
        if self.plan.mode == Mode::Scheduled {
            sources.watch(&self.host.watched());
        }
    }

    /// Shows how things stand to those who look.
    fn show(&self) {
        let now = self.moment();
        let mut places = self.state.places(now);
        for place in &mut places {
            place.failed = self.errors.get(&place.collection).map(|(_, words)| words.clone());
        }
        if let Some(monitor) = &self.monitor {
            monitor.set_busy(self.state.is_busy());
        }
        let (rules, stopping) = (Arc::clone(&self.loaded.rules), self.drain_until.is_some());
        let (awaited, changed) = (self.state.rules_wait_for(), self.state.rules_change());
        self.clerk.show(|standing| {
            (standing.collections, standing.rules, standing.stopping) = (places, rules, stopping);
            (standing.rules_wait_for, standing.rules_change) = (awaited, changed);
            standing.shown_at = now.steady;
        });
    }

    async fn carry_out(&mut self, action: Action) {
        match action {
            Action::Start { collection, reads, cause } => {
                let doing = Arc::clone(self.clerk.doing());
                doing.begins(&collection);
                self.started += 1;
                let trigger = trigger(self.plan.mode, reads, cause);
                let (give, take) = mpsc::channel(1);
                self.open.insert(collection.clone(), give);
                let after = self.state.edits_before(&collection);
                let named = (collection, self.started);
                self.running.passes.push(start(&self.loaded.engine, trigger, named, (reads, after), (doing, take)));
            }
            Action::Between { collection, cause } => {
                let (made, answer) = oneshot::channel();
                let trigger = trigger(self.plan.mode, Reads::Targets, cause).to_owned();
                let wish = Wish { trigger, after: self.state.edits_before(&collection), made };
                // Where nobody takes it, it is answered by that.
                self.open.get(&collection).map(|open| open.try_send(wish));
                let over = async move { BetweenOver { collection, made: answer.await.unwrap_or(Ok(None)) } };
                self.running.between.push(Box::pin(over));
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
            Action::Check | Action::Reload | Action::End(_) => {}
        }
    }

    /// What follows from what the loop woke up for.
    async fn hear(&mut self, gathered: Gathered) -> Result<Vec<Action>, PassError> {
        let is_daemon = self.plan.mode == Mode::Scheduled;
        let is_beat = matches!(gathered, Gathered::Event(Event::Tick));
        let mut actions = Vec::new();
        let event = match gathered {
            Gathered::Event(Event::Tick) if is_daemon && self.watch.has_changed(self.host.stamp()) => {
                Event::RulesChanged
            }
            Gathered::Seen(Seen::Rules) if self.watch.has_settled(self.host.stamp()) => Event::RulesChanged,
            Gathered::Seen(Seen::Rules) => return Ok(actions),
            Gathered::Seen(Seen::Store) => return self.look_for_changes().await,
            Gathered::Event(event) => event,
            Gathered::Asked(ask) => return Ok(self.answer(ask)),
            Gathered::Passed(over) => self.account(*over).await?,
            Gathered::Between(over) => self.account_between(*over).await?,
        };
        if is_beat && is_daemon {
            actions.extend(self.look_for_changes().await?);
        }
        let now = self.moment();
        actions.extend(self.state.decide(&event, now));
        if is_beat {
            self.manager.feeder().feed();
            if !self.state.rules_wait_for().is_empty() {
                self.manager.wait(CLOSING_MAX);
            }
        }
        Ok(actions)
    }

    /// Looks for edits, decisions of people and webhooks. How the files look says nothing of them: what is written shows before
    /// it is committed.
    async fn look_for_changes(&mut self) -> Result<Vec<Action>, PassError> {
        let names = self.state.jobs().map(|(job, ..)| job.collection.clone()).collect();
        let seen = self.take_notice(names).await?;
        self.unseen = seen.is_none();
        Ok(seen.unwrap_or_default())
    }

    /// What waits already is known before the first pass begins, so that it takes it up.
    async fn know_what_waits(&mut self) -> Result<(), PassError> {
        let names = self.state.jobs().map(|(job, ..)| job.collection.clone()).collect();
        self.unseen = !self.learn(names).await?;
        Ok(())
    }

    /// Learns what waits for these collections, and decides nothing yet; false where the database cannot be read just now.
    async fn learn(&mut self, collections: Vec<String>) -> Result<bool, PassError> {
        match wake::notices(self.store, collections).await {
            Ok(notices) => {
                for Notice { collection, mark, .. } in notices {
                    self.state.mark(&collection, mark);
                }
                Ok(true)
            }
            // The next beat looks again.
            Err(StoreError::Busy { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing where the database cannot be read just now.
    async fn take_notice(&mut self, collections: Vec<String>) -> Result<Option<Vec<Action>>, PassError> {
        let mut actions = Vec::new();
        let notices = match wake::notices(self.store, collections).await {
            Ok(notices) => notices,
            Err(StoreError::Busy { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        for Notice { collection, mark, paused } in notices {
            let known = self.state.jobs().find(|(job, ..)| job.collection == collection);
            let Some((known, was_paused)) = known.map(|(job, ..)| (job.mark, job.paused)) else { continue };
            let now = self.moment();
            self.state.mark(&collection, mark);
            for event in mark.news_since(known, &collection) {
                actions.extend(self.state.decide(&event, now));
            }
            // Somebody may have asked while nothing listened yet.
            if was_paused != paused {
                tell_paused(&collection, paused);
                actions.extend(self.state.decide(&Event::Request(Request::Pause { collection, paused }), now));
            }
        }
        Ok(Some(actions))
    }

    /// Takes up a question.
    fn answer(&mut self, ask: Ask) -> Vec<Action> {
        let Ask { request, answer } = ask;
        let after = self.started;
        let reply = self.state.accepts(&request).map(|collections| Accepted { collections, after });
        if let (Ok(_), Request::Pause { collection, paused }) = (&reply, &request)
            && self.state.jobs().any(|(job, ..)| job.collection == *collection && job.paused != *paused)
        {
            tell_paused(collection, *paused);
        }
        let is_accepted = reply.is_ok();
        answer.send(reply).ok();
        let now = self.moment();
        if is_accepted { self.state.decide(&Event::Request(request), now) } else { Vec::new() }
    }

    /// Reports a pass that is over, and learns what it left.
    async fn account(&mut self, over: PassOver) -> Result<Event, PassError> {
        let PassOver { collection, number, result } = over;
        self.open.remove(&collection);
        let Some(result) = result.transpose() else {
            self.clerk.doing().undone(&collection);
            let retry_at = self.learn_of(&collection).await?;
            return Ok(Event::PassEnded { collection, went: Went::Undone, retry_at, waits: false });
        };
        let told = match &result {
            Ok(report) => Ok(Arc::new(report.clone())),
            Err(error) => Err(error.to_string()),
        };
        let (failed, waits, is_error) = (has_failed(&result), has_left(&result), result.is_err());
        let fatal = self.tell(&collection, result);
        let goes_on = self.plan.mode == Mode::Scheduled && !fatal;
        let mut retry_at = if goes_on { self.learn_of(&collection).await? } else { None };
        if is_error {
            // The database knows of those before a restart, unless it could not even be told of them.
            let known = wake::errors_in_a_row(self.store, &collection).await;
            let (in_a_row, words) = self.errors.entry(collection.clone()).or_default();
            *in_a_row = known.max(*in_a_row + 1);
            *words = told.as_ref().err().cloned().unwrap_or_default();
            retry_at = wake::after_error(&collection, *in_a_row, retry_at, self.clock.now()).filter(|_| goes_on);
        } else {
            self.errors.remove(&collection);
        }
        self.clerk.doing().ended(&collection, number, told);
        let went = match (fatal, failed) {
            (true, _) => Went::Fatal,
            (false, true) => Went::Failed,
            (false, false) => Went::Well,
        };
        Ok(Event::PassEnded { collection, went, retry_at, waits })
    }

    /// Tells how a pass went; true where going on makes no sense.
    fn tell(&mut self, collection: &str, result: Result<PassReport, PassError>) -> bool {
        let (outages, clients) = (&mut self.outages, self.loaded.engine.clients());
        let is_down = |upstream: &str| clients.get(upstream).is_some_and(|client| client.meter().is_down());
        let take_news = |report: &PassReport| outages.take(report, is_down);
        account((collection, result), (self.plan.mode, take_news), self.host, &mut self.failed)
    }

    /// Reports a pass that was made while another one runs.
    async fn account_between(&mut self, over: BetweenOver) -> Result<Event, PassError> {
        let BetweenOver { collection, made } = over;
        let made = made.transpose();
        let undone = !matches!(made, Some(Ok(_)));
        if let Some(result) = made {
            if let Ok(report) = &result {
                self.clerk.doing().between(report);
            }
            // Whether that is the end of the daemon the other pass finds out.
            self.tell(&collection, result);
            self.unseen |= !self.learn(vec![collection.clone()]).await?;
        }
        Ok(Event::BetweenEnded { collection, undone })
    }

    /// What waits after a pass: what it took up waits no more; what came meanwhile does. That the pass ended says what
    /// follows. Returns when work that it left may be tried again.
    async fn learn_of(&mut self, collection: &str) -> Result<Option<DateTime<Utc>>, PassError> {
        let began = self.state.began(collection);
        let retry_at = match wake::retry_at(self.store, &self.loaded.rules, collection, began).await {
            Ok(retry_at) => retry_at,
            // What is left is taken up by the schedule then.
            Err(StoreError::Busy { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        self.unseen |= !self.learn(vec![collection.to_owned()]).await?;
        Ok(retry_at)
    }
}

fn tell_paused(collection: &str, paused: bool) {
    tracing::info!("{collection} {}", if paused { "is paused" } else { "goes on" });
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

fn trigger(mode: Mode, reads: Reads, cause: Cause) -> &'static str {
    match (mode, reads == Reads::Everything, cause) {
        (Mode::Once, _, _) => "once",
        (Mode::Scheduled, true, _) => "full_scan",
        (Mode::Scheduled, false, Cause::Schedule) => "schedule",
        (Mode::Scheduled, false, Cause::Signal) => "signal",
        (Mode::Scheduled, false, Cause::Request) => "request",
        (Mode::Scheduled, false, Cause::Edit) => "edit",
        (Mode::Scheduled, false, Cause::Webhook) => "webhook",
        (Mode::Scheduled, false, Cause::Retry) => "retry",
    }
}

fn start(
    engine: &Arc<Engine>,
    trigger: &'static str,
    (collection, number): (String, u64),
    (reads, after): (Reads, i64),
    (progress, mut wishes): (Arc<Doing>, mpsc::Receiver<Wish>),
) -> Pass {
    let engine = Arc::clone(engine);
    let full = reads == Reads::Everything;
    let options = PassOptions { trigger: trigger.to_owned(), full, dry_run: false, all_changes: false };
    Box::pin(async move {
        let progress = progress.as_ref();
        let result = match reads {
            Reads::Targets => engine.targeted_pass((&collection, after), &options, progress, Some(&mut wishes)).await,
            Reads::Changes | Reads::Everything => {
                engine.pass_open_to(&collection, &options, progress, Some(&mut wishes)).await.map(Some)
            }
        };
        PassOver { collection, number, result }
    })
}
