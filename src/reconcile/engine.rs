//! Owns: one workspace at work: a store, a rule set, the clients; how a pass begins and ends in the store.
//!
//! Must not know: the phases of a pass (that is `run`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::clock::Clock;
use crate::merge::IntentState;
use crate::record::RecordId;
use crate::rules::{Collection, Ruleset};
use crate::store::{self, ConflictFilter, IntentFilter, PassRow, QuarantineFilter, Store, StoreError};
use crate::upstream::Client;

use super::between::{Made, Touched, Wish};
use super::bound;
use super::context::Pass;
use super::gather::Barrier;
use super::hooked;
use super::ledger::{self, Taken};
use super::phases::{Phases, phases_text};
use super::report::{Outcome, PassReport, Progress, Silent, Step, UpstreamReport};
use super::restored;
use super::run::{About, Run};
use super::silence::Wait;
use super::standing;
use super::targeted::{self, Aims, Scope};

/// Writes of unknown outcome are counted up to this many.
const UNKNOWN_MAX: usize = 1000;
/// Notes of a pass that are kept with it.
const NOTES_KEPT: usize = 20;

/// How a pass is to be done.
#[derive(Clone, Debug)]
pub struct PassOptions {
    /// Why: `once`, `schedule`, `demo`, …
    pub trigger: String,
    /// Read a complete generation even where an incremental read would do.
    pub full: bool,
    /// Decide, but send nothing. The store is expected to be a copy: what is decided is committed to it.
    pub dry_run: bool,
    /// List every change in the report, not only the first [`PassReport::CHANGES_MAX`].
    pub all_changes: bool,
}

/// Why there is no report at all.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such collection in the rules.
    #[error("no collection named {0} in the rules")]
    UnknownCollection(String),
}

/// How a pass starts.
struct Start {
    /// When, by the clock that never goes backwards.
    at: Duration,
    /// Requests that had been sent by then, by binding position.
    sent: Vec<u64>,
    /// What it is about.
    about: About,
}

/// A workspace at work.
pub struct Engine {
    pub(super) store: Arc<dyn Store>,
    pub(super) rules: Arc<Ruleset>,
    pub(super) clients: BTreeMap<String, Arc<Client>>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Engine {
    /// Prepares the tables. `notices` tell what was done to them.
    pub async fn open(
        store: Arc<dyn Store>,
        rules: Arc<Ruleset>,
        clients: BTreeMap<String, Arc<Client>>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Vec<String>), PassError> {
        let wanted = Arc::clone(&rules);
        let notices = store::write(store.as_ref(), move |tx| {
            // A load that was killed may have left it on.
            tx.set_bulk(false)?;
            let notices = tx.prepare(&wanted)?;
            hooked::bury(tx, &wanted)?;
            Ok(notices)
        })
        .await?;
        Ok((Self { store, rules, clients, clock }, notices))
    }

    /// The same workspace by other rules. Passes of collections that they do not change may be running.
    pub async fn by_rules(
        &self,
        rules: Arc<Ruleset>,
        clients: BTreeMap<String, Arc<Client>>,
    ) -> Result<(Self, Vec<String>), PassError> {
        let (store, clock, wanted) = (Arc::clone(&self.store), Arc::clone(&self.clock), Arc::clone(&rules));
        let notices = store::write(store.as_ref(), move |tx| {
            let notices = tx.prepare(&wanted)?;
            hooked::bury(tx, &wanted)?;
            Ok(notices)
        })
        .await?;
        Ok((Self { store, rules, clients, clock }, notices))
    }

    /// Of clients that were made anew: each one's predecessor where that is as good, so that passes by rules of before and of
    /// now share budgets, breakers and tokens. With the names of those that are other ones.
    pub fn keep_clients(
        &self,
        fresh: BTreeMap<String, Arc<Client>>,
    ) -> (BTreeMap<String, Arc<Client>>, BTreeSet<String>) {
        let before = &self.clients;
        let of = |(name, client): (String, Arc<Client>)| {
            let client = before.get(&name).map_or_else(|| Arc::clone(&client), |old| Arc::clone(&client).or_still(old));
            (name, client)
        };
        let clients: BTreeMap<String, Arc<Client>> = fresh.into_iter().map(of).collect();
        let stays =
            |name: &String| clients.get(name).zip(before.get(name)).is_some_and(|(now, old)| Arc::ptr_eq(now, old));
        let renewed = clients.keys().chain(before.keys()).filter(|name| !stays(name)).cloned().collect();
        (clients, renewed)
    }

    /// The same workspace over a copy of its store, for plans: by the same rules, within the same budgets.
    pub async fn over_copy(&self, store: Arc<dyn Store>) -> Result<(Self, Vec<String>), PassError> {
        Self::open(store, Arc::clone(&self.rules), self.clients.clone(), Arc::clone(&self.clock)).await
    }

    /// Its rules.
    pub fn rules(&self) -> &Arc<Ruleset> {
        &self.rules
    }

    /// The clients of its upstreams.
    pub fn clients(&self) -> &BTreeMap<String, Arc<Client>> {
        &self.clients
    }

    /// One pass of one collection. Failures of upstreams and records are in the report; only a failing store is an error.
    pub async fn pass(
        &self,
        collection: &str,
        options: &PassOptions,
        progress: &dyn Progress,
    ) -> Result<PassReport, PassError> {
        self.pass_open_to(collection, options, progress, None).await
    }

    /// One pass of one collection; while it lists, others over single records are made as they are wished for.
    pub async fn pass_open_to(
        &self,
        collection: &str,
        options: &PassOptions,
        progress: &dyn Progress,
        wishes: Option<&mut mpsc::Receiver<Wish>>,
    ) -> Result<PassReport, PassError> {
        let rules = self.rules_of(collection)?;
        let start = self.start(rules);
        progress.step(&Step::Began { collection });
        self.remember_upstreams(rules).await?;
        self.pass_over(rules, options, (progress, wishes), start).await
    }

    /// One pass over the records that edits here and webhooks name, each read by its id; `None`, and nothing was done, where
    /// what waits takes a pass that lists. `after`: the newest edit that an earlier pass took up. Where it waits for an upstream,
    /// others are made meanwhile as they are wished for.
    pub async fn targeted_pass(
        &self,
        (collection, after): (&str, i64),
        options: &PassOptions,
        progress: &dyn Progress,
        wishes: Option<&mut mpsc::Receiver<Wish>>,
    ) -> Result<Option<PassReport>, PassError> {
        let rules = self.rules_of(collection)?;
        let mut start = self.start(rules);
        progress.step(&Step::Began { collection });
        self.remember_upstreams(rules).await?;
        let (_, Some(aims)) = self.aims(rules, Scope { within: None, is_between: false, after }).await? else {
            return Ok(None);
        };
        start.about = About::Named(aims);
        self.pass_over(rules, options, (progress, wishes), start).await.map(Some)
    }

    /// The same while another pass of the collection waits for upstreams. `touched` is told of each link that it may write to;
    /// it waits for no upstream that others need not wait for.
    pub(super) fn pass_between<'a>(
        &'a self,
        within: &'a Pass,
        (trigger, after): (&'a str, i64),
        blocked: &'a [Option<String>],
        touched: &'a mut Touched,
    ) -> BoxFuture<'a, Made> {
        Box::pin(async move {
            let rules = &within.collection;
            let mut start = self.start(rules);
            let scope = Scope { within: Some(within.id), is_between: true, after };
            let (pass, Some(aims)) = self.aims(rules, scope).await? else { return Ok(None) };
            touched.extend(aims.links().map(|link| link.0.unsigned_abs()));
            within.set_beside(aims.records().clone());
            let (pass, wait) = (Arc::new(pass), Wait::NoLongerThanOthersNeed);
            let Some(targets) = targeted::find(&self.clients, &pass, aims, (blocked, wait)).await else {
                return Ok(None);
            };
            start.about = About::Found(targets);
            let options = PassOptions { trigger: trigger.to_owned(), full: false, dry_run: false, all_changes: false };
            self.pass_over(rules, &options, (&Silent, None), start).await.map(Some)
        })
    }

    fn start(&self, rules: &Collection) -> Start {
        Start { at: self.clock.monotonic(), sent: self.requests_sent(rules), about: About::Everything }
    }

    /// What a pass over single records would read; `None` where that is nothing, or takes a listing.
    async fn aims(&self, rules: &Arc<Collection>, scope: Scope) -> Result<(Pass, Option<Aims>), StoreError> {
        let (ruleset, of, clock) = (Arc::clone(&self.rules), Arc::clone(rules), Arc::clone(&self.clock));
        let look = move |tx: &mut dyn store::Tx| {
            let pass = Pass::register(tx, &ruleset, &of, clock)?;
            let aims = targeted::aims(tx, &pass, scope)?.filter(|aims| !aims.is_empty());
            Ok(((pass, aims), false))
        };
        store::write_if(self.store.as_ref(), look).await
    }

    fn rules_of(&self, collection: &str) -> Result<&Arc<Collection>, PassError> {
        let unknown = || PassError::UnknownCollection(collection.to_owned());
        self.rules.collections.get(collection).ok_or_else(unknown)
    }

    /// A pass from its beginning to its end.
    async fn pass_over(
        &self,
        rules: &Arc<Collection>,
        options: &PassOptions,
        (progress, wishes): (&dyn Progress, Option<&mut mpsc::Receiver<Wish>>),
        start: Start,
    ) -> Result<PassReport, PassError> {
        let Start { at: began, sent, about } = start;
        let (pass, row) = self.begin(rules, options, &about).await?;
        let mut run = Run {
            engine: self,
            options,
            progress,
            pass: Arc::new(pass),
            phases: Arc::new(Phases::new(Arc::clone(&self.clock), began)),
            report: PassReport {
                collection: rules.name.clone(),
                dry_run: options.dry_run,
                pass: row.id,
                rules: self.rules.hash.clone(),
                ..PassReport::default()
            },
            barrier: Barrier::default(),
            listed: Vec::new(),
            inserted: Vec::new(),
            choices: Vec::new(),
            acknowledged: false,
            approved: None,
            about,
            before: None,
            wishes,
        };
        // Every line that is logged meanwhile says of which pass.
        let span = if options.dry_run { plan_span(&rules.name) } else { pass_span(row.id, &rules.name) };
        let result = run.run().instrument(span).await;
        let (mut report, hooked, only) = (run.report, run.pass.hooked, run.pass.only.get().cloned());
        report.phases = run.phases.told();
        for ((one, before), after) in report.upstreams.iter_mut().zip(sent).zip(self.requests_sent(rules)) {
            one.requests = after - before;
        }
        if let Err(error) = &result {
            report.error = Some(error.to_string());
        }
        report.elapsed_ms = u64::try_from(self.clock.monotonic().saturating_sub(began).as_millis()).unwrap_or(u64::MAX);
        let ended = self.end((&mut report, row), hooked, only.as_deref(), result.is_err()).await;
        self.give_back(rules).await;
        if result.is_ok() && !options.dry_run {
            self.keep_upstreams(rules).await?;
        }
        progress.step(&Step::Ended { report: &report });
        result?;
        ended?;
        Ok(report)
    }

    /// Requests sent so far, by binding position.
    fn requests_sent(&self, rules: &Collection) -> Vec<u64> {
        let of = |name: &str| self.clients.get(name).map_or(0, |client| client.requests_sent());
        rules.bindings.iter().map(|binding| of(&binding.upstream.name)).collect()
    }

    async fn begin(
        &self,
        rules: &Arc<Collection>,
        options: &PassOptions,
        about: &About,
    ) -> Result<(Pass, PassRow), StoreError> {
        let (hooked, wait, edits_known) = (about.hooked(), about.wait(), about.edits_known());
        let (ruleset, rules, clock) = (Arc::clone(&self.rules), Arc::clone(rules), Arc::clone(&self.clock));
        let mut row = PassRow {
            id: 0,
            collection: rules.name.clone(),
            trigger: options.trigger.clone(),
            started_at: clock.now().timestamp_micros(),
            ended_at: None,
            outcome: "interrupted".into(),
            counts: "{}".into(),
            rules_hash: self.rules.hash.clone(),
            error: None,
        };
        let planning = options.dry_run;
        store::write(self.store.as_ref(), move |tx| {
            let mut pass = Pass::register(tx, &ruleset, &rules, clock)?;
            row.id = tx.begin_pass(&row)?;
            pass.id = row.id;
            (pass.planning, pass.wait, pass.edits_known) = (planning, wait, edits_known);
            if hooked.is_none() {
                targeted::begins_to_list(tx, &pass)?;
                pass.bound = if planning { None } else { bound::take(tx, &rules.name)? };
            }
            pass.hooked = hooked.map_or_else(|| tx.newest_hook(&rules.name), Ok)?;
            pass.restored = restored::waits(tx, &rules.name)?;
            Ok((pass, row))
        })
        .await
    }

    /// What an earlier process learnt of an upstream (waits, its breaker, what was spent) holds for this one.
    async fn remember_upstreams(&self, collection: &Collection) -> Result<(), StoreError> {
        for (name, client) in self.clients_of(collection) {
            standing::remember(self.store.as_ref(), client, name).await?;
        }
        Ok(())
    }

    /// Keeps what the next process should know of the upstreams.
    async fn keep_upstreams(&self, collection: &Collection) -> Result<(), StoreError> {
        for (name, client) in self.clients_of(collection) {
            standing::keep(self.store.as_ref(), client, self.clock.as_ref(), name).await?;
        }
        Ok(())
    }

    /// Others need not wait for what this pass set aside of budgets and did not spend.
    async fn give_back(&self, collection: &Collection) {
        for (_, client) in self.clients_of(collection) {
            client.give_back().await;
        }
    }

    fn clients_of<'a>(&'a self, collection: &'a Collection) -> impl Iterator<Item = (&'a str, &'a Arc<Client>)> {
        let names = collection.bindings.iter().map(|binding| binding.upstream.name.as_str());
        names.filter_map(|name| Some((name, self.clients.get(name)?)))
    }

    /// Totals after the pass, its outcome, and its row. `only`: the records that it was about, where it was not about all of them.
    async fn end(
        &self,
        (report, mut row): (&mut PassReport, PassRow),
        hooked: i64,
        only: Option<&BTreeSet<RecordId>>,
        failed: bool,
    ) -> Result<(), StoreError> {
        if !failed {
            let name = report.collection.clone();
            let (open, aside, parked, mut unknown) = store::read(self.store.as_ref(), move |view| {
                let open = ConflictFilter { collection: Some(name.clone()), ..ConflictFilter::default() };
                let (open, _) = view.conflict_count(&open)?;
                let aside = view.quarantined(&QuarantineFilter {
                    collection: Some(name.clone()),
                    limit: 1_000_000,
                    ..QuarantineFilter::default()
                })?;
                let parked = aside.iter().filter(|row| row.is_waiting()).count();
                let unknown = view.intents(&IntentFilter {
                    collection: Some(name),
                    states: IntentState::OPEN.to_vec(),
                    limit: UNKNOWN_MAX,
                    ..IntentFilter::default()
                })?;
                Ok((open, (aside.len() - parked) as u64, parked as u64, unknown))
            })
            .await?;
            // Another pass may be sending those of others.
            unknown.retain(|intent| only.is_none_or(|only| only.contains(&intent.record)));
            (report.conflicts_open, report.quarantined) = (open, aside);
            report.parked += parked;
            for upstream in &mut report.upstreams {
                upstream.unknown = unknown.iter().filter(|intent| intent.upstream == upstream.upstream).count() as u64;
            }
        }
        report.outcome = outcome_of(report, failed);
        row.ended_at = Some(self.clock.now().timestamp_micros());
        row.outcome = serde_json::to_value(report.outcome)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default();
        let failed = |one: &UpstreamReport| Some(format!("{}: {}", one.upstream, one.error.as_ref()?));
        let of_upstreams: Vec<String> = report.upstreams.iter().filter_map(failed).collect();
        row.error = report.error.clone().or((!of_upstreams.is_empty()).then(|| of_upstreams.join("; ")));
        row.counts = counts_text(report);
        let ended = report.clone();
        // What a plan asks for is not written down: its store is thrown away.
        let asked = if report.dry_run { None } else { Some(Taken::from(&self.clients)) };
        let entry = asked.as_ref().map(Taken::entry).unwrap_or_default();
        let kept = store::write(self.store.as_ref(), move |tx| {
            hooked::settle(tx, &ended, hooked)?;
            ledger::add(tx, &entry)?;
            tx.end_pass(&row)?;
            phases_text(&ended.phases).map_or(Ok(()), |text| tx.set_phases(row.id, &text))
        })
        .await;
        if let (Some(asked), true) = (asked, kept.is_err()) {
            asked.put_back();
        }
        kept
    }
}

/// What a pass leaves behind of its counts.
fn counts_text(report: &PassReport) -> String {
    let notes: Vec<&String> = report.notes.iter().take(NOTES_KEPT).collect();
    serde_json::json!({
        "local": report.local,
        "upstreams": report.upstreams,
        "conflicts_opened": report.conflicts_opened,
        "conflicts_open": report.conflicts_open,
        "quarantined": report.quarantined,
        "parked": report.parked,
        "notes": notes,
    })
    .to_string()
}

/// What log lines of a pass carry. Whatever the level, an error has it.
pub fn pass_span(pass_id: i64, collection: &str) -> tracing::Span {
    tracing::error_span!("pass", pass_id, collection)
}

/// What log lines of a plan carry: the number of its pass is the copy's only, and another pass's in the database.
fn plan_span(collection: &str) -> tracing::Span {
    tracing::error_span!("plan", collection)
}

fn outcome_of(report: &PassReport, failed: bool) -> Outcome {
    let upstream = |test: fn(&UpstreamReport) -> bool| report.upstreams.iter().any(test);
    if failed {
        Outcome::Failed
    } else if !report.halts.is_empty() {
        Outcome::Halted
    } else if upstream(|one| one.error.is_some()) {
        Outcome::Unavailable
    } else if report.stale {
        Outcome::Pending
    } else if report.conflicts_open > 0 || report.quarantined > 0 {
        Outcome::Conflicts
    } else if upstream(|one| one.deferred > 0 || one.unknown > 0)
        || report.parked > 0
        || report.deletes_held > 0
        || (report.dry_run && (report.local.total() > 0 || upstream(|one| one.planned.total() > 0)))
    {
        Outcome::Pending
    } else {
        Outcome::Ok
    }
}
