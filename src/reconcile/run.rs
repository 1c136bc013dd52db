//! Owns: one pass under way: its phases in their order, and what makes it halt.
//!
//! Must not know: what happens inside each phase; how a pass begins and ends in the store.
//!
//! A pass: whose account is it? → settle what is unknown → pull every binding (the barrier) → was an upstream set back? →
//! floor, absence → decide, guard and commit in one transaction → push → settle. Where a push was overtaken: floor, decide
//! and push again, a few times at most.

use super::before::{self, Before};
use super::between::{self, Wish};
use super::commit::{self, Order, Round};
use super::compare::Absent;
use super::context::Pass;
use super::engine::{Engine, PassOptions};
use super::gather::{Barrier, Hold};
use super::held::{self, HeldBack};
use super::known_by;
use super::left;
use super::phases::{PhaseKind, Phases};
use super::pull;
use super::pulled::Pulled;
use super::push;
use super::report::{Counts, PassReport, Progress, Step, UpstreamReport};
use super::restored;
use super::silence::{self, Wait};
use super::standing::{self, Account};
use super::targeted::{Aims, Targets};
use super::unknown;
use crate::rules::Origin;
use crate::store::{self, StoreError};
use crate::telemetry::spans;
use crate::upstream::Client;
use futures_util::StreamExt as _;
use roaring::RoaringTreemap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::Instrument as _;

/// How often a pass decides again when its writes were overtaken; what is left then waits for the next pass.
const ROUNDS_MAX: usize = 4;
/// What is told of a pass that was bound to another plan.
const STALE: &str = "the plan is stale: here or there something has changed since it was made, and nothing of it was done; `reconciled plan` makes it anew";

/// One pass under way.
pub struct Run<'a> {
    /// The workspace.
    pub engine: &'a Engine,
    /// How it is done.
    pub options: &'a PassOptions,
    /// Who is told.
    pub progress: &'a dyn Progress,
    /// What all phases share.
    pub pass: Arc<Pass>,
    /// When its phases began, and how long they took.
    pub phases: Arc<Phases>,
    /// What is told of it.
    pub report: PassReport,
    /// How the bindings stand.
    pub barrier: Barrier,
    /// The links that were listed, by binding.
    pub listed: Vec<Arc<RoaringTreemap>>,
    /// What first contact inserted while reading, by binding.
    pub inserted: Vec<u64>,
    /// Which side wins over an upstream that was set back, by binding, where a person said so.
    pub choices: Vec<Option<Origin>>,
    /// A person has said that a restored database may be worked on.
    pub acknowledged: bool,
    /// The fingerprint of the plan that had been approved when it began.
    pub approved: Option<String>,
    /// What it is about.
    pub about: About,
    /// How the bindings stood when it began, once that was looked at.
    pub before: Option<Before>,
    /// Passes over single records that are wished for while it waits for upstreams.
    pub wishes: Option<&'a mut mpsc::Receiver<Wish>>,
}

/// What a pass is about.
pub enum About {
    /// Everything.
    Everything,
    /// These records, where it need not list.
    Named(Aims),
    /// These, which were read while another pass waits for upstreams.
    Found(Targets),
}

impl About {
    /// The newest webhook that it answers, where it is about single records.
    pub fn hooked(&self) -> Option<i64> {
        match self {
            Self::Everything => None,
            Self::Named(aims) => Some(aims.hooked),
            Self::Found(targets) => Some(targets.hooked),
        }
    }

    /// The newest edit that was known when what it is about was found out.
    pub fn edits_known(&self) -> i64 {
        match self {
            Self::Everything => 0,
            Self::Named(aims) => aims.newest,
            Self::Found(targets) => targets.edits_known,
        }
    }

    /// For how long it waits where others wait for it.
    pub fn wait(&self) -> Wait {
        match self {
            Self::Everything | Self::Named(_) => Wait::ForAnswers,
            Self::Found(_) => Wait::NoLongerThanOthersNeed,
        }
    }
}

impl Run<'_> {
    /// Runs it to its end, or to a halt.
    pub async fn run(&mut self) -> Result<(), StoreError> {
        let count = self.pass.collection.bindings.len();
        self.barrier = Barrier {
            blocked: vec![None; count],
            complete: vec![false; count],
            held: vec![None; count],
            set_back: vec![None; count],
        };
        self.listed = vec![Arc::default(); count];
        self.inserted = vec![0; count];
        self.report.upstreams = (0..count)
            .map(|at| UpstreamReport { upstream: self.pass.upstream(at).to_owned(), ..UpstreamReport::default() })
            .collect();
        let approved = self.approval().await?;
        self.approved.clone_from(&approved);
        let phases = Arc::clone(&self.phases);
        let Some(approved) = phases.first(PhaseKind::Check, self.check(approved)).await? else { return Ok(()) };
        let pulled = if self.reads_targets().await? { Vec::new() } else { self.pull().await? };
        let compared = phases.of(PhaseKind::Compare, None, self.compare(&pulled, approved.is_some()));
        let Some(absent) = compared.await? else { return Ok(()) };
        let mut through = self.barrier.blocked.iter().all(Option::is_none);
        for round in 0..ROUNDS_MAX {
            if round > 0 {
                phases.of(PhaseKind::Compare, None, self.floor()).await?;
            }
            let Some(result) = self.decide(round, approved.as_deref(), &absent).await? else { return Ok(()) };
            through |= approved.as_ref() == Some(&result.fingerprint);
            self.account(result, round);
            if self.options.dry_run || !self.push(round + 1 == ROUNDS_MAX).await? {
                break;
            }
        }
        self.tell_held_back().await?;
        // What a binding that takes no part would lead to is still to be seen.
        if through { self.close_halt().await } else { Ok(()) }
    }

    /// Before anything is read: whose accounts these are, and what became of writes of unknown outcome. `None`: it halts;
    /// else the plan that is approved, if one is.
    async fn check(&mut self, approved: Option<String>) -> Result<Option<Option<String>>, StoreError> {
        // The pass that lists has looked, and nothing is unknown.
        if matches!(self.about, About::Found(_)) {
            return Ok(Some(None));
        }
        if !self.check_accounts(approved.as_deref()).await? {
            return Ok(None);
        }
        let approved = self.acknowledge(approved);
        if !self.options.dry_run && !self.waits() {
            let is_open = self.wishes.is_some()
                && matches!(self.about, About::Everything)
                && self.before().await? == Before::Open;
            let (engine, pass, blocked) = (self.engine, Arc::clone(&self.pass), self.barrier.blocked.clone());
            let mut wishes = self.wishes.take();
            let open = (wishes.as_deref_mut().filter(|_| is_open), blocked.as_slice());
            let (settled, _) = between::while_at(engine, &pass, open, Box::pin(self.settle_unknown())).await;
            self.wishes = wishes;
            settled?;
        }
        Ok(Some(approved))
    }

    /// How the bindings stood when it began.
    async fn before(&mut self) -> Result<Before, StoreError> {
        let before = match self.before {
            Some(before) => before,
            None => before::before(self.engine.store.as_ref(), &self.pass).await?,
        };
        self.before = Some(before);
        Ok(before)
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

    /// Who is asked at a binding, where that takes part.
    pub(super) fn asked(&self, at: usize) -> Option<Arc<Client>> {
        self.client(at).filter(|_| self.takes_part(at)).cloned()
    }

    /// Before anything is read or written: are these the accounts that the records belong to? An upstream that cannot say
    /// takes no part. False where another account answers and nobody approved it.
    async fn check_accounts(&mut self, approved: Option<&str>) -> Result<bool, StoreError> {
        let store = self.engine.store.as_ref();
        let (mut halts, mut others) = (Vec::new(), Vec::new());
        for at in 0..self.pass.collection.bindings.len() {
            let Some(client) = self.client(at).cloned() else { continue };
            let name = self.pass.upstream(at).to_owned();
            let asked = self.unless_silent(&client, standing::check_account(store, &client, &name)).await;
            let account = asked.unwrap_or_else(|words| Ok(Account::Unasked(words)))?;
            match account {
                Account::Known => {}
                Account::Unasked(words) => {
                    self.leave_out(at, format!("{words}; so it could not be asked whose account this is"));
                }
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

    /// No delete is followed at a binding in this pass, and that is told.
    pub(super) fn hold_deletes(&mut self, at: usize, why: Hold) {
        let Some(held) = self.barrier.held.get_mut(at) else { return };
        *held = held.or(Some(why));
        if why == Hold::Gap {
            self.report.notes.push(format!(
                "{} {}: everything is compared, and no delete is followed in this pass",
                self.pass.upstream(at),
                why.words()
            ));
        }
    }

    /// A binding that takes no part in this pass.
    pub(super) fn leave_out(&mut self, at: usize, words: String) {
        if let Some(report) = self.report.upstreams.get_mut(at) {
            "skipped".clone_into(&mut report.read);
            report.error = Some(words.clone());
        }
        if let Some(blocked) = self.barrier.blocked.get_mut(at) {
            *blocked = Some(words);
        }
    }

    pub(super) fn takes_part(&self, at: usize) -> bool {
        self.barrier.blocked.get(at).is_none_or(Option::is_none)
    }

    async fn settle_unknown(&mut self) -> Result<(), StoreError> {
        for at in (0..self.pass.collection.bindings.len()).filter(|at| self.takes_part(*at)).collect::<Vec<_>>() {
            let Some(client) = self.client(at).cloned() else { continue };
            let Some(mut report) = self.report.upstreams.get_mut(at).map(std::mem::take) else { continue };
            let settling = unknown::settle_unknown(self.engine.store.as_ref(), &client, &self.pass, at, &mut report);
            let settled = self.unless_silent(&client, settling).await;
            // What is still unknown after this pass's listings is counted then.
            report.unknown = 0;
            if let Some(place) = self.report.upstreams.get_mut(at) {
                *place = report;
            }
            match settled {
                Ok(settled) => settled.map(drop)?,
                Err(words) => self.block(at, words),
            }
        }
        Ok(())
    }

    /// Work at an upstream in which nobody else is served: given up, with the reason, where that is silent and somebody waits.
    pub(super) fn unless_silent<T>(
        &self,
        client: &Client,
        work: impl Future<Output = T>,
    ) -> impl Future<Output = Result<T, String>> {
        let (always, wishes) = (self.pass.wait == Wait::NoLongerThanOthersNeed, self.wishes.as_deref());
        let do_others_wait = move || always || wishes.is_some_and(|wishes| !wishes.is_empty());
        let do_others_wait = (always || wishes.is_some()).then_some(do_others_wait);
        silence::unless_silent((client, self.engine.clock.as_ref()), do_others_wait, work)
    }

    /// Reads every binding: one after the other while any of them is read for the first time (first contact inserts
    /// while reading, and the order of contact must not depend on the network), side by side later.
    async fn pull(&mut self) -> Result<Vec<Pulled>, StoreError> {
        let before = self.before().await?;
        let (store, pass) = (self.engine.store.as_ref(), &self.pass);
        let first = before == Before::First;
        let mut wishes = self.wishes.take();
        if first {
            let pass = Arc::clone(pass);
            store::write(store, move |tx| known_by::index_local_edits(tx, &pass)).await?;
        }
        let pulls = (0..pass.collection.bindings.len()).filter(|at| self.takes_part(*at)).filter_map(|at| {
            let client = self.client(at)?.clone();
            let (full, progress) = (self.options.full || self.pass.restored.is_some(), self.progress);
            let span = spans::fetch(pass.upstream(at));
            let (told, phases) = (span.clone(), &self.phases);
            let fetched = async move {
                let pulled = pull::pull(store, &client, pass, at, full, progress);
                let pulled = phases.of(PhaseKind::Read, Some(pass.upstream(at)), pulled).await?;
                pulled.report.error.iter().for_each(|words| spans::failed(&told, words));
                Ok(pulled)
            };
            Some(fetched.instrument(span))
        });
        let (all, interrupted): (Vec<Result<Pulled, StoreError>>, bool) = if first {
            (futures_util::stream::iter(pulls).then(|one| one).collect().await, false)
        } else {
            let reading = futures_util::future::join_all(pulls);
            let open = wishes.as_deref_mut().filter(|_| before == Before::Open);
            between::while_at(self.engine, pass, (open, &self.barrier.blocked), reading).await
        };
        self.wishes = wishes;
        let all = all.into_iter().collect::<Result<Vec<Pulled>, StoreError>>()?;
        for pulled in &all {
            let at = pulled.binding;
            if let Some(report) = self.report.upstreams.get_mut(at) {
                let (written, refused) = (report.written, report.refused);
                *report = UpstreamReport { written, refused, ..pulled.report.clone() };
            }
            if let Some(blocked) = self.barrier.blocked.get_mut(at) {
                blocked.clone_from(&pulled.blocked);
            }
            if let Some(complete) = self.barrier.complete.get_mut(at) {
                *complete = pulled.complete;
            }
            if pulled.gap {
                self.hold_deletes(at, Hold::Gap);
            }
            self.report.local.created += pulled.inserted;
            if let Some(inserted) = self.inserted.get_mut(at) {
                *inserted = pulled.inserted;
            }
            if let Some(listed) = self.listed.get_mut(at) {
                listed.clone_from(&pulled.seen);
            }
        }
        // What became of a write that was made in between is known before anything is decided.
        if interrupted {
            self.settle_unknown().await?;
        }
        Ok(all)
    }

    pub(super) fn block(&mut self, at: usize, reason: String) {
        if let Some(report) = self.report.upstreams.get_mut(at) {
            report.error.get_or_insert_with(|| reason.clone());
        }
        if let Some(blocked) = self.barrier.blocked.get_mut(at) {
            blocked.get_or_insert(reason);
        }
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
            bound: self.pass.bound.clone().filter(|_| round == 0),
            guarded: round == 0,
            inserted: self.inserted.clone(),
        };
        let (pass, phases) = (Arc::clone(&self.pass), Arc::clone(&self.phases));
        let began = phases.now();
        let decided = store::write_if(self.engine.store.as_ref(), move |tx| {
            let (round, keep) = commit::decide_and_commit(tx, &pass, &order)?;
            let now = phases.now();
            phases.add(PhaseKind::Decide, None, began, now);
            Ok(((round, now, keep), keep))
        });
        let (result, decided_at, is_kept) = decided.instrument(spans::decide(round)).await?;
        if is_kept {
            self.phases.add(PhaseKind::Commit, None, decided_at, self.phases.now());
        }
        self.progress.step(&Step::Decided { collection: &self.pass.collection.name, records: result.decided });
        if round == 0 {
            self.report.fingerprint = Some(result.whole.clone());
        }
        if result.stale {
            self.report.stale = true;
            self.report.notes.push(STALE.to_owned());
            (self.report.changes, self.report.changes_omitted) = (result.changes, result.changes_omitted);
            return Ok(None);
        }
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
        let (engine, pass, progress, phases) = (self.engine, &self.pass, self.progress, &self.phases);
        let pushes = self.report.upstreams.iter_mut().enumerate().map(|(at, report)| {
            let client = engine.clients.get(pass.upstream(at)).cloned();
            let blocked = self.barrier.blocked.get(at).is_some_and(Option::is_some);
            let listed = self.listed.get(at).cloned().unwrap_or_default();
            let span = spans::push(pass.upstream(at));
            let told = span.clone();
            let pushed = async move {
                let (Some(client), false) = (client, blocked) else { return Ok(false) };
                let store = engine.store.as_ref();
                let pushing = push::push(store, &client, pass, at, &listed, &mut *report, progress);
                let pushed = left::send_or_leave((engine, &client), (pass, at), pushing).await?;
                let mut again = match pushed {
                    Ok(again) => again?,
                    Err(words) => {
                        report.error.get_or_insert(words);
                        return Ok(false);
                    }
                };
                if report.unknown > 0 {
                    report.unknown = 0;
                    again |= unknown::settle_unknown(store, &client, pass, at, report).await?;
                }
                report.deferred += u64::from(again && last);
                report.error.iter().for_each(|words| spans::failed(&told, words));
                Ok(again)
            };
            let pushed = pushed.instrument(span);
            async move {
                if blocked { pushed.await } else { phases.of(PhaseKind::Push, Some(pass.upstream(at)), pushed).await }
            }
        });
        let pushing = futures_util::future::join_all(pushes);
        let open = (self.wishes.as_deref_mut(), self.barrier.blocked.as_slice());
        let (results, _): (Vec<Result<bool, StoreError>>, _) = between::while_at(engine, pass, open, pushing).await;
        let mut again = false;
        for result in results {
            again |= result?;
        }
        Ok(again)
    }

    /// Where no delete is followed, those that wait are counted.
    async fn tell_held_back(&mut self) -> Result<(), StoreError> {
        for at in (0..self.pass.collection.bindings.len())
            .filter(|at| self.barrier.held.get(*at).is_some_and(Option::is_some))
        {
            let (pass, barrier) = (Arc::clone(&self.pass), self.barrier.clone());
            let count = move |view: &dyn store::View| held::count_deletes(view, &pass, at, &barrier);
            let counted = store::read(self.engine.store.as_ref(), count);
            let HeldBack { local, remote } = counted.await?;
            if local + remote > 0 {
                let of = |number: u64| if number == 1 { "1 delete".to_owned() } else { format!("{number} deletes") };
                let (here, there, upstream) = (of(local), of(remote), self.pass.upstream(at));
                // A gap was told when it was found.
                let why = match self.barrier.held.get(at).copied().flatten() {
                    Some(hold @ Hold::Older) => format!(" {}", hold.words()),
                    Some(Hold::Gap) | None => String::new(),
                };
                let note = format!("{upstream}{why}: {here} made here and {there} made there wait for the next pass");
                self.report.notes.push(note);
                self.report.deletes_held += local + remote;
            }
        }
        Ok(())
    }
}
