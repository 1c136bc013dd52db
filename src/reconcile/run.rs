//! Owns: one pass under way: its phases in their order, and what makes it halt.
//!
//! Must not know: what happens inside each phase; how a pass begins and ends in the store.
//!
//! A pass: whose account is it? → settle what is unknown → pull every binding (the barrier) → was an upstream set back? →
//! floor, absence → decide, guard and commit in one transaction → push → settle. Where a push was overtaken: floor, decide
//! and push again, a few times at most.

use super::absence;
use super::between::{self, Wish};
use super::commit::{self, Order, Round};
use super::contact;
use super::context::Pass;
use super::engine::{Engine, PassOptions};
use super::floor;
use super::former;
use super::gather::{Barrier, Hold};
use super::held::{self, HeldBack};
use super::phases::{PhaseKind, Phases};
use super::pull::{self, Before, Pulled};
use super::push;
use super::report::{Counts, PassReport, Progress, Step, UpstreamReport};
use super::restored;
use super::set_back::{self, Look, Wins};
use super::standing::{self, Account};
use super::targeted::{Aims, Targets};
use super::unknown;
use crate::merge::Halt;
use crate::rules::Origin;
use crate::store::{self, LinkId, StoreError};
use crate::telemetry::spans;
use crate::upstream::Client;
use futures_util::StreamExt as _;
use roaring::RoaringTreemap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::Instrument as _;

/// How often a pass decides again when its writes were overtaken; what is left then waits for the next pass.
const ROUNDS_MAX: usize = 4;

/// What the listings do not show, over all bindings.
#[derive(Debug, Default)]
struct Absent {
    /// Too much of it.
    halts: Vec<Halt>,
    /// The records that were not asked for one by one.
    unconfirmed: Vec<LinkId>,
}

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

    /// Holds what was read against what is known. `None`: it halts; else what the listings do not show.
    async fn compare(&mut self, pulled: &[Pulled], approved: bool) -> Result<Option<Absent>, StoreError> {
        if !self.check_set_back().await? {
            return Ok(None);
        }
        self.listed_without_keys().await?;
        self.floor().await?;
        let absent = self.absence(pulled, approved).await?;
        self.keep_out_former().await?;
        Ok(Some(absent))
    }

    /// How the bindings stood when it began.
    async fn before(&mut self) -> Result<Before, StoreError> {
        let before = match self.before {
            Some(before) => before,
            None => pull::before(self.engine.store.as_ref(), &self.pass).await?,
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

    /// False where an upstream was set back, and nobody said which side wins.
    async fn check_set_back(&mut self) -> Result<bool, StoreError> {
        let store = self.engine.store.as_ref();
        self.choices = set_back::choices(store, &self.pass).await?;
        let (mut halts, mut names) = (Vec::new(), Vec::new());
        for at in 0..self.pass.collection.bindings.len() {
            let Some(client) = self.client(at).filter(|_| self.takes_part(at)).cloned() else { continue };
            let choice = self.choices.get(at).and_then(Option::as_ref);
            match (set_back::look(store, &client, &self.pass, at).await?, choice) {
                (Look::Fine, _) => {}
                (Look::Unsure, _) => self.hold_deletes(at, Hold::Older),
                (Look::SetBack(count), None) => {
                    halts.push(set_back::halt(store, &self.pass, at, count).await?);
                    names.push(self.pass.upstream(at).to_owned());
                }
                (Look::SetBack(_), Some(wins)) => {
                    let wins = if *wins == Origin::Local { Wins::Local } else { Wins::Upstream };
                    if let Some(place) = self.barrier.set_back.get_mut(at) {
                        *place = Some(wins);
                    }
                }
            }
        }
        if !halts.is_empty() {
            self.halt(halts, set_back::fingerprint(&names)).await?;
        }
        Ok(names.is_empty())
    }

    /// No delete is followed at a binding in this pass, and that is told.
    fn hold_deletes(&mut self, at: usize, why: Hold) {
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
        let before = self.before().await?;
        let (store, pass) = (self.engine.store.as_ref(), &self.pass);
        let first = before == Before::First;
        let mut wishes = self.wishes.take();
        if first {
            let pass = Arc::clone(pass);
            store::write(store, move |tx| commit::index_local_edits(tx, &pass)).await?;
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

    /// Listings that lag behind what is known, most often behind our own writes, say nothing new.
    async fn floor(&mut self) -> Result<(), StoreError> {
        for at in 0..self.pass.collection.bindings.len() {
            let Some(client) = self.client(at).filter(|_| self.takes_part(at)).cloned() else { continue };
            let (store, at_said) = (self.engine.store.as_ref(), (at, self.is_said(at)));
            if let Some(reason) = floor::keep_out_what_is_older(store, &client, &self.pass, at_said).await? {
                self.block(at, reason);
            }
        }
        Ok(())
    }

    /// Nor do they of ids that were a record's before, once it is known what is gone of those that replaced them.
    async fn keep_out_former(&mut self) -> Result<(), StoreError> {
        for at in 0..self.pass.collection.bindings.len() {
            // Nobody is asked where a person said what counts of what is older than it was.
            if self.is_said(at) {
                continue;
            }
            let Some(client) = self.client(at).filter(|_| self.takes_part(at)).cloned() else { continue };
            let (store, listed) = (self.engine.store.as_ref(), self.listed.get(at).cloned().unwrap_or_default());
            if let Some(reason) = former::keep_out(store, &client, &self.pass, at, &listed).await? {
                self.block(at, reason);
            }
        }
        Ok(())
    }

    /// Whether a person said which side wins over an upstream that was set back.
    fn is_said(&self, at: usize) -> bool {
        self.choices.get(at).is_some_and(Option::is_some)
    }

    fn block(&mut self, at: usize, reason: String) {
        if let Some(report) = self.report.upstreams.get_mut(at) {
            report.error.get_or_insert_with(|| reason.clone());
        }
        if let Some(blocked) = self.barrier.blocked.get_mut(at) {
            blocked.get_or_insert(reason);
        }
    }

    /// Where a create was lost, and no record that is listed shows what it is known by, the listing does not say that it is not there.
    async fn listed_without_keys(&mut self) -> Result<(), StoreError> {
        for (at, complete) in self.barrier.complete.iter_mut().enumerate().filter(|(_, complete)| **complete) {
            let pass = Arc::clone(&self.pass);
            *complete = store::read(self.engine.store.as_ref(), move |view| {
                Ok(contact::lost_creates(view, &pass, at)?.is_empty() || contact::shows_match_keys(view, &pass, at)?)
            })
            .await?;
        }
        Ok(())
    }

    async fn absence(&mut self, pulled: &[Pulled], approved: bool) -> Result<Absent, StoreError> {
        let mut absent = Absent::default();
        for one in pulled {
            let Some(client) = self.client(one.binding).cloned() else { continue };
            let store = self.engine.store.as_ref();
            let set_back = self.barrier.set_back.get(one.binding).is_some_and(Option::is_some);
            let said = (approved, set_back);
            let found = absence::look_for_missing(store, &client, &self.pass, one, said).await?;
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
                let mut again = push::push(store, &client, pass, at, &listed, report, progress).await?;
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
