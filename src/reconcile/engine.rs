//! Owns: one workspace at work: a store, a rule set, the clients; and the order of a pass.
//!
//! Must not know: what happens inside each phase.
//!
//! A pass: settle what is unknown → pull every binding (the barrier) → floor, absence → decide, guard and commit in one
//! transaction → push → settle. Where a push was overtaken, decide and push again, a few times at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use roaring::RoaringTreemap;

use crate::clock::Clock;
use crate::merge::Halt;
use crate::rules::{Collection, Origin, Ruleset};
use crate::store::{self, ConflictFilter, HaltRow, IntentFilter, LinkId, PassRow, QuarantineFilter, Store, StoreError};
use crate::upstream::Client;

use super::absence;
use super::commit::{self, Order, Round};
use super::context::Pass;
use super::floor;
use super::gather::Barrier;
use super::pull::{self, Pulled};
use super::push;
use super::report::{Counts, Outcome, PassReport, Progress, Step, UpstreamReport};
use super::restored;
use super::set_back;
use super::standing::{self, Account};
use super::unknown;

/// How often a pass decides again when its writes were overtaken; what is left then waits for the next pass.
const ROUNDS_MAX: usize = 4;

/// Writes of unknown outcome are counted up to this many.
const UNKNOWN_MAX: usize = 1000;

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

/// A workspace at work.
pub struct Engine {
    store: Arc<dyn Store>,
    rules: Arc<Ruleset>,
    clients: BTreeMap<String, Arc<Client>>,
    clock: Arc<dyn Clock>,
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
        let notices = store::write(store.as_ref(), move |tx| tx.prepare(&wanted)).await?;
        Ok((Self { store, rules, clients, clock }, notices))
    }

    /// One pass of one collection. Failures of upstreams and records are in the report; only a failing store is an error.
    pub async fn pass(
        &self,
        collection: &str,
        options: &PassOptions,
        progress: &dyn Progress,
    ) -> Result<PassReport, PassError> {
        let rules = self
            .rules
            .collections
            .get(collection)
            .ok_or_else(|| PassError::UnknownCollection(collection.to_owned()))?;
        progress.step(&Step::Began { collection });
        let began = self.clock.monotonic();
        let (pass, row) = self.begin(rules, options).await?;
        self.remember_upstreams(rules).await?;
        let mut run = Run {
            engine: self,
            options,
            progress,
            pass: Arc::new(pass),
            report: PassReport {
                collection: collection.to_owned(),
                dry_run: options.dry_run,
                pass: row.id,
                ..PassReport::default()
            },
            barrier: Barrier::default(),
            listed: Vec::new(),
            inserted: Vec::new(),
            acknowledged: false,
        };
        let sent = self.requests_sent(rules);
        let result = run.phases().await;
        let mut report = run.report;
        for ((one, before), after) in report.upstreams.iter_mut().zip(sent).zip(self.requests_sent(rules)) {
            one.requests = after - before;
        }
        if let Err(error) = &result {
            report.error = Some(error.to_string());
        }
        report.elapsed_ms = u64::try_from(self.clock.monotonic().saturating_sub(began).as_millis()).unwrap_or(u64::MAX);
        let ended = self.end(&mut report, row, result.is_err()).await;
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

    async fn begin(&self, rules: &Arc<Collection>, options: &PassOptions) -> Result<(Pass, PassRow), StoreError> {
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
            pass.planning = planning;
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

    fn clients_of<'a>(&'a self, collection: &'a Collection) -> impl Iterator<Item = (&'a str, &'a Arc<Client>)> {
        let names = collection.bindings.iter().map(|binding| binding.upstream.name.as_str());
        names.filter_map(|name| Some((name, self.clients.get(name)?)))
    }

    /// Totals after the pass, its outcome, and its row.
    async fn end(&self, report: &mut PassReport, mut row: PassRow, failed: bool) -> Result<(), StoreError> {
        if !failed {
            let name = report.collection.clone();
            let (open, aside, parked, unknown) = store::read(self.store.as_ref(), move |view| {
                let open =
                    view.conflicts(&ConflictFilter { collection: Some(name.clone()), ..ConflictFilter::default() })?;
                let aside = view.quarantined(&QuarantineFilter {
                    collection: Some(name.clone()),
                    limit: 1_000_000,
                    ..QuarantineFilter::default()
                })?;
                let parked = aside.iter().filter(|row| row.stage == "parked").count();
                let unknown = view.intents(&IntentFilter {
                    collection: Some(name),
                    states: vec!["sent", "unknown"],
                    limit: UNKNOWN_MAX,
                    ..IntentFilter::default()
                })?;
                Ok((open.len() as u64, (aside.len() - parked) as u64, parked as u64, unknown))
            })
            .await?;
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
        let counts = serde_json::json!({ "local": report.local, "upstreams": report.upstreams });
        row.counts = counts.to_string();
        store::write(self.store.as_ref(), move |tx| tx.end_pass(&row)).await
    }
}

fn outcome_of(report: &PassReport, failed: bool) -> Outcome {
    let upstream = |test: fn(&UpstreamReport) -> bool| report.upstreams.iter().any(test);
    if failed {
        Outcome::Failed
    } else if !report.halts.is_empty() {
        Outcome::Halted
    } else if upstream(|one| one.error.is_some()) {
        Outcome::Unavailable
    } else if report.conflicts_open > 0 || report.quarantined > 0 {
        Outcome::Conflicts
    } else if upstream(|one| one.deferred > 0 || one.unknown > 0)
        || report.parked > 0
        || (report.dry_run && (report.local.total() > 0 || upstream(|one| one.planned.total() > 0)))
    {
        Outcome::Pending
    } else {
        Outcome::Ok
    }
}

/// What the listings do not show, over all bindings.
#[derive(Debug, Default)]
struct Absent {
    /// Too much of it.
    halts: Vec<Halt>,
    /// The records that were not asked for one by one.
    unconfirmed: Vec<LinkId>,
}

/// One pass under way.
struct Run<'a> {
    engine: &'a Engine,
    options: &'a PassOptions,
    progress: &'a dyn Progress,
    pass: Arc<Pass>,
    report: PassReport,
    barrier: Barrier,
    /// The links that were listed, by binding.
    listed: Vec<Arc<RoaringTreemap>>,
    /// What first contact inserted while reading, by binding.
    inserted: Vec<u64>,
    /// A person has said that a restored database may be worked on.
    acknowledged: bool,
}

impl Run<'_> {
    async fn phases(&mut self) -> Result<(), StoreError> {
        let count = self.pass.collection.bindings.len();
        self.barrier = Barrier {
            blocked: vec![None; count],
            complete: vec![false; count],
            gap: vec![false; count],
            local_wins: vec![false; count],
        };
        self.listed = vec![Arc::default(); count];
        self.inserted = vec![0; count];
        self.report.upstreams = (0..count)
            .map(|at| UpstreamReport { upstream: self.pass.upstream(at).to_owned(), ..UpstreamReport::default() })
            .collect();
        let approved = self.approval().await?;
        if !self.check_accounts(approved.as_deref()).await? {
            return Ok(());
        }
        let approved = self.acknowledge(approved);
        if !self.options.dry_run && !self.waits() {
            self.settle_unknown().await?;
        }
        let pulled = self.pull().await?;
        if !self.check_set_back().await? {
            return Ok(());
        }
        self.floor().await?;
        let absent = self.absence(&pulled, approved.is_some()).await?;
        let mut through = self.barrier.blocked.iter().all(Option::is_none);
        for round in 0..ROUNDS_MAX {
            if round > 0 {
                self.floor().await?;
            }
            let Some(result) = self.decide(round, approved.as_deref(), &absent).await? else { return Ok(()) };
            through |= approved.as_ref() == Some(&result.fingerprint);
            self.account(result, round);
            if self.options.dry_run || !self.push(round + 1 == ROUNDS_MAX).await? {
                break;
            }
        }
        // What a binding that takes no part would lead to is still to be seen.
        if through { self.close_halt().await } else { Ok(()) }
    }

    /// Nothing may be changed, deleted or sent, whatever the guards say.
    fn waits(&self) -> bool {
        self.pass.restored.is_some() && !self.acknowledged
    }

    /// The approved plan, if it is one: an approval of a restored database is of that fact, and leaves the guards in force.
    fn acknowledge(&mut self, approved: Option<String>) -> Option<String> {
        let Some(restored) = &self.pass.restored else { return approved };
        self.acknowledged = approved.as_deref() == Some(restored::fingerprint(restored).as_str());
        if !self.acknowledged {
            self.report.notes.push(format!("the database is not the one that was worked on last: {}", restored.reason));
        }
        None
    }

    fn client(&self, at: usize) -> Option<&Arc<Client>> {
        self.engine.clients.get(self.pass.upstream(at))
    }

    /// Before anything is read or written: are these the accounts that the records belong to? An upstream that cannot say
    /// takes no part. False where another account answers and nobody approved it.
    async fn check_accounts(&mut self, approved: Option<&str>) -> Result<bool, StoreError> {
        let store = self.engine.store.as_ref();
        let (mut halts, mut others) = (Vec::new(), Vec::new());
        for at in 0..self.pass.collection.bindings.len() {
            let Some(client) = self.client(at).cloned() else { continue };
            let name = self.pass.upstream(at).to_owned();
            match standing::check_account(store, &client, &name).await? {
                Account::Known => {}
                Account::Unasked(words) => self.leave_out(at, format!("nobody can say whose account it is: {words}")),
                Account::Other { pinned, now } => {
                    halts.push(standing::halt(store, &self.pass, at, &pinned, &now).await?);
                    others.push((name, now));
                }
            }
        }
        if halts.is_empty() {
            return Ok(true);
        }
        let fingerprint = standing::fingerprint(&others);
        if approved != Some(fingerprint.as_str()) {
            self.halt(halts, fingerprint).await?;
            return Ok(false);
        }
        for (name, account) in &others {
            standing::pin(store, name, account).await?;
        }
        Ok(true)
    }

    /// False where an upstream was set back, and nobody said which side wins.
    async fn check_set_back(&mut self) -> Result<bool, StoreError> {
        let store = self.engine.store.as_ref();
        let (mut halts, mut names) = (Vec::new(), Vec::new());
        for at in 0..self.pass.collection.bindings.len() {
            let Some(client) = self.client(at).filter(|_| self.takes_part(at)).cloned() else { continue };
            let Some(count) = set_back::look(store, &client, &self.pass, at).await? else { continue };
            let Some(wins) = set_back::choice(store, &self.pass, at).await? else {
                halts.push(set_back::halt(store, &self.pass, at, count).await?);
                names.push(self.pass.upstream(at).to_owned());
                continue;
            };
            if let Some(local_wins) = self.barrier.local_wins.get_mut(at) {
                *local_wins = wins == Origin::Local;
            }
        }
        if !halts.is_empty() {
            self.halt(halts, set_back::fingerprint(&names)).await?;
        }
        Ok(names.is_empty())
    }

    /// A binding that takes no part in this pass.
    fn leave_out(&mut self, at: usize, words: String) {
        if let Some(report) = self.report.upstreams.get_mut(at) {
            "skipped".clone_into(&mut report.read);
            report.error = Some(words.clone());
        }
        if let Some(blocked) = self.barrier.blocked.get_mut(at) {
            *blocked = Some(words);
        }
    }

    fn takes_part(&self, at: usize) -> bool {
        self.barrier.blocked.get(at).is_none_or(Option::is_none)
    }

    async fn settle_unknown(&mut self) -> Result<(), StoreError> {
        for at in (0..self.pass.collection.bindings.len()).filter(|at| self.takes_part(*at)).collect::<Vec<_>>() {
            let Some(client) = self.client(at).cloned() else { continue };
            if let Some(report) = self.report.upstreams.get_mut(at) {
                unknown::settle_unknown(self.engine.store.as_ref(), &client, &self.pass, at, report).await?;
                // What is still unknown after this pass's listings is counted then.
                report.unknown = 0;
            }
        }
        Ok(())
    }

    /// Reads every binding: one after the other while any of them is read for the first time (first contact inserts
    /// while reading, and the order of contact must not depend on the network), side by side later.
    async fn pull(&mut self) -> Result<Vec<Pulled>, StoreError> {
        let (store, pass) = (self.engine.store.as_ref(), &self.pass);
        let first = pull::any_first(store, pass).await?;
        if first {
            let pass = Arc::clone(pass);
            store::write(store, move |tx| commit::index_local_edits(tx, &pass)).await?;
        }
        let pulls = (0..pass.collection.bindings.len()).filter(|at| self.takes_part(*at)).filter_map(|at| {
            let client = self.client(at)?.clone();
            let (full, progress) = (self.options.full || self.pass.restored.is_some(), self.progress);
            Some(async move { pull::pull(store, &client, pass, at, full, progress).await })
        });
        let all: Vec<Result<Pulled, StoreError>> = if first {
            futures_util::stream::iter(pulls).then(|one| one).collect().await
        } else {
            futures_util::future::join_all(pulls).await
        };
        let all = all.into_iter().collect::<Result<Vec<Pulled>, StoreError>>()?;
        for pulled in &all {
            let at = pulled.binding;
            if let Some(report) = self.report.upstreams.get_mut(at) {
                let written = report.written;
                *report = UpstreamReport { written, ..pulled.report.clone() };
            }
            if let Some(blocked) = self.barrier.blocked.get_mut(at) {
                blocked.clone_from(&pulled.blocked);
            }
            if let Some(complete) = self.barrier.complete.get_mut(at) {
                *complete = pulled.complete;
            }
            if let Some(gap) = self.barrier.gap.get_mut(at).filter(|_| pulled.gap) {
                *gap = true;
                self.report.notes.push(format!(
                    "{} was not read for longer than it lists what is deleted: everything is compared, and no delete is \
                     followed in this pass",
                    pulled.report.upstream
                ));
            }
            self.report.local.created += pulled.inserted;
            if let Some(inserted) = self.inserted.get_mut(at) {
                *inserted = pulled.inserted;
            }
            if let Some(listed) = self.listed.get_mut(at) {
                listed.clone_from(&pulled.seen);
            }
        }
        Ok(all)
    }

    /// Listings that lag behind what is known, most often behind our own writes, say nothing new.
    async fn floor(&mut self) -> Result<(), StoreError> {
        for at in 0..self.pass.collection.bindings.len() {
            let Some(client) = self.client(at).cloned() else { continue };
            // A person said what counts of what is older than it was.
            if set_back::choice(self.engine.store.as_ref(), &self.pass, at).await?.is_some() {
                continue;
            }
            let failed = floor::keep_out_what_is_older(self.engine.store.as_ref(), &client, &self.pass, at).await?;
            if let (Some(reason), Some(blocked)) = (failed, self.barrier.blocked.get_mut(at)) {
                if let Some(report) = self.report.upstreams.get_mut(at) {
                    report.error.get_or_insert_with(|| reason.clone());
                }
                blocked.get_or_insert(reason);
            }
        }
        Ok(())
    }

    async fn absence(&mut self, pulled: &[Pulled], approved: bool) -> Result<Absent, StoreError> {
        let mut absent = Absent::default();
        for one in pulled {
            let Some(client) = self.client(one.binding).cloned() else { continue };
            let store = self.engine.store.as_ref();
            let found = absence::look_for_missing(store, &client, &self.pass, one, approved).await?;
            absent.halts.extend(found.halt);
            absent.unconfirmed.extend(found.unconfirmed);
            if let (Some(reason), Some(blocked)) = (found.blocked, self.barrier.blocked.get_mut(one.binding)) {
                if let Some(report) = self.report.upstreams.get_mut(one.binding) {
                    report.error.get_or_insert_with(|| reason.clone());
                }
                *blocked = Some(reason);
            }
        }
        Ok(absent)
    }

    /// Decides and commits, or halts. Where too much is missing the plan is made as if all of it were gone, so that a
    /// person sees, and approves, what follows from it.
    async fn decide(
        &mut self,
        round: usize,
        approved: Option<&str>,
        absent: &Absent,
    ) -> Result<Option<Round>, StoreError> {
        let mut halts = absent.halts.clone();
        if self.waits() {
            let pass = Arc::clone(&self.pass);
            let rows = store::read(self.engine.store.as_ref(), move |view| view.row_count(&pass.collection)).await?;
            halts.push(restored::halt(rows));
        }
        let order = Order {
            barrier: self.barrier.clone(),
            approved: approved.map(str::to_owned),
            halts,
            supposed_gone: absent.unconfirmed.clone(),
            changes_max: if self.options.all_changes { usize::MAX } else { PassReport::CHANGES_MAX },
            guarded: round == 0,
            inserted: self.inserted.clone(),
        };
        let pass = Arc::clone(&self.pass);
        let result =
            store::write_if(self.engine.store.as_ref(), move |tx| commit::decide_and_commit(tx, &pass, &order)).await?;
        self.progress.step(&Step::Decided { collection: &self.pass.collection.name, records: result.decided });
        if result.halts.is_empty() {
            return Ok(Some(result));
        }
        let (halts, fingerprint) = (result.halts.clone(), result.fingerprint.clone());
        self.report.changes = result.changes;
        self.report.changes_omitted = result.changes_omitted;
        let restored = self.pass.restored.as_ref().filter(|_| self.waits()).map(restored::fingerprint);
        self.halt(halts, restored.unwrap_or(fingerprint)).await?;
        Ok(None)
    }

    fn account(&mut self, round: Round, number: usize) {
        let add = |to: &mut Counts, more: Counts| {
            to.created += more.created;
            to.updated += more.updated;
            to.deleted += more.deleted;
        };
        add(&mut self.report.local, round.local);
        for (report, planned) in self.report.upstreams.iter_mut().zip(round.planned) {
            // A later round plans again what an earlier one could not write.
            if number == 0 {
                add(&mut report.planned, planned);
            }
        }
        self.report.conflicts_opened += round.conflicts_opened;
        self.report.notes.extend(round.notes);
        self.report.changes.extend(round.changes);
        self.report.changes_omitted += round.changes_omitted;
    }

    /// Pushes to every upstream that takes part, side by side, then settles what is unknown. What is to be decided again
    /// after the last round waits for the next pass.
    async fn push(&mut self, last: bool) -> Result<bool, StoreError> {
        let (engine, pass, progress) = (self.engine, &self.pass, self.progress);
        let pushes = self.report.upstreams.iter_mut().enumerate().map(|(at, report)| {
            let client = engine.clients.get(pass.upstream(at)).cloned();
            let blocked = self.barrier.blocked.get(at).is_some_and(Option::is_some);
            let listed = self.listed.get(at).cloned().unwrap_or_default();
            async move {
                let (Some(client), false) = (client, blocked) else { return Ok(false) };
                let store = engine.store.as_ref();
                let mut again = push::push(store, &client, pass, at, &listed, report, progress).await?;
                if report.unknown > 0 {
                    report.unknown = 0;
                    again |= unknown::settle_unknown(store, &client, pass, at, report).await?;
                }
                report.deferred += u64::from(again && last);
                Ok(again)
            }
        });
        let results: Vec<Result<bool, StoreError>> = futures_util::future::join_all(pushes).await;
        let mut again = false;
        for result in results {
            again |= result?;
        }
        Ok(again)
    }

    /// The fingerprint that a person approved, if there is an approved halt.
    async fn approval(&self) -> Result<Option<String>, StoreError> {
        let name = self.pass.collection.name.clone();
        let open = store::read(self.engine.store.as_ref(), move |view| view.halts(Some(&name), true)).await?;
        Ok(open.into_iter().find(|row| row.approved_at.is_some()).map(|row| row.fingerprint))
    }

    async fn halt(&mut self, halts: Vec<Halt>, fingerprint: String) -> Result<(), StoreError> {
        let text = serde_json::to_string(&halts).unwrap_or_default();
        let row = HaltRow {
            id: 0,
            collection: self.pass.collection.name.clone(),
            pass: self.pass.id,
            fingerprint,
            halts: text,
            created_at: self.engine.clock.now().timestamp_micros(),
            approved_at: None,
            closed_at: None,
        };
        self.report.halts = halts;
        if self.options.dry_run {
            // The copy's number is nobody's; the same plan may have one that a real pass gave it.
            self.report.halt = self.stored_halt(&row.fingerprint).await?;
            return Ok(());
        }
        let gone_on = self.pass.restored.clone().filter(|_| self.acknowledged);
        let stored = store::write(self.engine.store.as_ref(), move |tx| {
            if let Some(restored) = &gone_on {
                restored::go_on(tx, &row.collection, restored)?;
            }
            tx.put_halt(&row)
        });
        self.report.halt = Some(stored.await?);
        Ok(())
    }

    /// The number of the open halt of this very plan.
    async fn stored_halt(&self, fingerprint: &str) -> Result<Option<i64>, StoreError> {
        let name = self.pass.collection.name.clone();
        let open = store::read(self.engine.store.as_ref(), move |view| view.halts(Some(&name), true)).await?;
        Ok(open.into_iter().find(|row| row.fingerprint == fingerprint).map(|row| row.id))
    }

    /// A pass that went through ends an open halt: it was approved, or its cause is gone.
    async fn close_halt(&self) -> Result<(), StoreError> {
        set_back::forget_choices(self.engine.store.as_ref(), &self.pass).await?;
        let name = self.pass.collection.name.clone();
        let now = self.engine.clock.now().timestamp_micros();
        let asked = name.clone();
        let open = store::read(self.engine.store.as_ref(), move |view| view.halts(Some(&asked), true)).await?;
        if open.is_empty() {
            return Ok(());
        }
        let gone_on = self.pass.restored.clone().filter(|_| self.acknowledged);
        store::write(self.engine.store.as_ref(), move |tx| {
            if let Some(restored) = &gone_on {
                restored::go_on(tx, &name, restored)?;
            }
            for row in &open {
                tx.set_halt(row.id, row.approved_at, Some(now))?;
            }
            Ok(())
        })
        .await
    }
}
