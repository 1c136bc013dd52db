//! Owns: the one transaction in which a pass decides and commits: rows, bases, provenance, history, conflicts, intents.
//!
//! Must not know: how anything is fetched or sent.
//!
//! Records are decided and applied one after the other inside the transaction, so memory does not grow with the
//! number of changes; where a guard trips in the end, the whole transaction is rolled back.

use std::collections::BTreeMap;

use crate::merge::drift::Drift;
use crate::merge::guard::{self, Tally};
use crate::merge::{self, Evidence, Halt, Hub, LinkState, RecordPlan, Seen};
use crate::record::{RecordId, Value};
use crate::store::{
    ConflictFilter, DirtyOp, LinkId, LinkRow, PassRow, QuarantineRow, Staged, StagedKind, StoreError, Tx, View,
};

use super::apply::{self, Applied};
use super::contact::{self, Arrival, Company, Contact, LostCreates, Stranger};
use super::context::{Pass, local_subject, remote_subject};
use super::cycle;
use super::digest::{Digest256, digest_of, told_stably};
use super::former;
use super::gather::{self, Barrier, Gathered};
use super::known_by;
use super::merged;
use super::report::{Change, Counts, PassReport};
use super::reused;
use super::settle;
use super::still;
use super::unlisted::Unsure;

/// How far back the last pass that decided anything is looked for; beyond, looking again costs nothing but time.
const PASSES_MAX: usize = 50;

/// Records decided between two looks at the candidates.
const CHUNK: usize = 256;

/// What the transaction is asked to do.
#[derive(Clone, Debug)]
pub struct Order {
    /// How the bindings stand.
    pub barrier: Barrier,
    /// An approval, bound to this plan fingerprint.
    pub approved: Option<String>,
    /// What the listings themselves gave reason to halt for; an approval of the plan lets it pass, too.
    pub halts: Vec<Halt>,
    /// Links whose records are taken for gone, to find out what that would lead to. Then nothing is kept.
    pub supposed_gone: Vec<LinkId>,
    /// How many changes to list.
    pub changes_max: usize,
    /// The plan that is to be made, or nothing. Later rounds follow from what the first one wrote.
    pub bound: Option<String>,
    /// Guards count only in the first round of a pass; later rounds re-merge what the first one wrote.
    pub guarded: bool,
    /// What first contact inserted while this pass read, by binding: what an initial load brings in is no yardstick for limits.
    pub inserted: Vec<u64>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Round {
    /// Rows changed locally.
    pub local: Counts,
    /// Writes planned, by binding position.
    pub planned: Vec<Counts>,
    /// Records decided.
    pub decided: u64,
    /// Conflicts opened.
    pub conflicts_opened: u64,
    /// Resolutions that were not followed, in words.
    pub notes: Vec<String>,
    /// The first changes.
    pub changes: Vec<Change>,
    /// Changes beyond the list.
    pub changes_omitted: u64,
    /// Guards that tripped: everything was rolled back.
    pub halts: Vec<Halt>,
    /// SHA-256 over the plan, without what only came in here: what an approval is bound to.
    pub fingerprint: String,
    /// The same with that: what a saved plan is known by.
    pub whole: String,
    /// It is not the plan that is to be made: everything was rolled back.
    pub stale: bool,
}

/// Decides and commits everything that is known to need it. The second value says whether to keep the transaction.
pub fn decide_and_commit(tx: &mut dyn Tx, pass: &Pass, order: &Order) -> Result<(Round, bool), StoreError> {
    let mut work = Work {
        pass,
        order,
        round: Round { planned: vec![Counts::default(); pass.collection.bindings.len()], ..Round::default() },
        tally: Tally::new(guard::Counts::default(), vec![guard::Counts::default(); pass.collection.bindings.len()]),
        drift: Drift::default(),
        digest: Digest256::default(),
        arrivals: Digest256::default(),
        contested: BTreeMap::new(),
    };
    if pass.only.get().is_none() {
        suppose_gone(tx, pass, &order.supposed_gone)?;
        work.look_again_under_new_rules(tx)?;
        work.offer_to_new_bindings(tx)?;
        reused::part(tx, pass, &|at| work.is_blocked(at))?;
        work.follow_merges(tx)?;
    }
    known_by::index_local_edits(tx, pass)?;
    let changes = if order.guarded { tx.candidates_at_most(pass.key)? } else { 0 };
    if order.guarded {
        work.tally = totals(tx, pass, &order.inserted, guard::count_up_to(&pass.collection, changes))?;
    }
    if pass.only.get().is_none() {
        work.meet_strangers(tx)?;
        work.adopt_created(tx)?;
    }
    work.decide_candidates(tx)?;
    if order.guarded && work.round.decided > changes {
        work.count_again(tx)?;
    }
    let mut round = work.round;
    round.fingerprint = work.digest.text();
    let approved = order.approved.as_deref() == Some(round.fingerprint.as_str());
    if order.guarded && !(approved && order.supposed_gone.is_empty()) {
        round.halts.clone_from(&order.halts);
        let mut more = guard::check(&pass.collection, &work.tally);
        more.extend(work.drift.halts(&pass.collection, &work.tally));
        let told = |halt: &Halt| order.halts.iter().any(|one| one.target == halt.target && one.what == halt.what);
        round.halts.extend(more.into_iter().filter(|halt| !told(halt)));
    }
    round.whole = digest_of(&[round.fingerprint.as_str(), work.arrivals.text().as_str()]);
    round.stale = order.bound.as_ref().is_some_and(|bound| *bound != round.whole);
    let keep = round.halts.is_empty() && order.supposed_gone.is_empty() && !round.stale;
    Ok((round, keep))
}

/// The reason that marks strangers of which only one can be the local record.
fn rivals_of(pass: &Pass, at: usize, record: &RecordId, other: &str) -> String {
    format!(
        "matches local record {record}, and so does {other} of {}: make their match keys differ, or merge them there",
        pass.upstream(at)
    )
}

/// Stages the absence of these records. The caller rolls back what follows from it.
fn suppose_gone(tx: &mut dyn Tx, pass: &Pass, links: &[LinkId]) -> Result<(), StoreError> {
    for link in links {
        let Some(row) = tx.link(*link)? else { continue };
        tx.stage(&Staged {
            binding: row.binding,
            remote_id: row.remote_id,
            collection: pass.key,
            record: Some(row.record),
            kind: StagedKind::Gone(Evidence::Absence),
            fingerprint: 0,
            raw: Vec::new(),
            version: None,
            observed_at: pass.micros(),
            parked: None,
        })?;
    }
    Ok(())
}

/// How many records each target had before the pass, counted no further than `most`.
fn totals(view: &dyn View, pass: &Pass, inserted: &[u64], most: u64) -> Result<Tally, StoreError> {
    let before = |count: u64, new: u64| guard::Counts { total: count.saturating_sub(new), ..guard::Counts::default() };
    let mut bindings = Vec::with_capacity(pass.collection.bindings.len());
    for at in 0..pass.collection.bindings.len() {
        let new = inserted.get(at).copied().unwrap_or_default();
        let links = view.links_up_to(pass.binding_key(at), LinkState::Live, most.saturating_add(new))?;
        bindings.push(before(links, new));
    }
    let new = inserted.iter().sum();
    let rows = view.rows_up_to(&pass.collection, most.saturating_add(new))?;
    Ok(Tally::new(before(rows, new), bindings))
}

struct Work<'a> {
    pass: &'a Pass,
    order: &'a Order,
    round: Round,
    tally: Tally,
    drift: Drift,
    digest: Digest256,
    /// What only came in.
    arrivals: Digest256,
    /// Local records that a stranger at a binding may be, and nobody can say: nothing is created there for them.
    contested: BTreeMap<(RecordId, usize), String>,
}

impl Work<'_> {
    /// More was decided on than could be expected (another program's triggers edit rows while they are written): what was
    /// counted may be too little. The transaction has changed the tables by now; what it did is reckoned back.
    fn count_again(&mut self, view: &dyn View) -> Result<(), StoreError> {
        let Tally { local, bindings } = totals(view, self.pass, &self.order.inserted, u64::MAX)?;
        let (made, gone) = (self.round.local.created, self.round.local.deleted);
        self.tally.local.total = (local.total + gone).saturating_sub(made);
        for (counts, now) in self.tally.bindings.iter_mut().zip(bindings) {
            counts.total = counts.total.max(now.total + counts.vanished);
        }
        Ok(())
    }

    fn is_blocked(&self, binding: usize) -> bool {
        self.order.barrier.blocked.get(binding).is_some_and(Option::is_some)
    }

    /// A link that was made under other rules is looked at again: its base is computed anew from the raw observation.
    fn look_again_under_new_rules(&mut self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        for at in 0..self.pass.collection.bindings.len() {
            let mut after = 0;
            loop {
                let links = tx.links_not_under(self.pass.binding_key(at), self.pass.mapping_key(at), after, CHUNK)?;
                let Some(last) = links.last() else { break };
                after = last.link.0;
                for link in &links {
                    tx.mark_dirty(self.pass.key, &link.record, DirtyOp::Recheck)?;
                }
            }
        }
        if !self.order.guarded || self.was_decided_under_these_rules(tx)? {
            return Ok(());
        }
        // Rules that can decide an open conflict now, or that no longer know its fields, end it.
        let open = ConflictFilter { collection: Some(self.pass.collection.name.clone()), ..ConflictFilter::default() };
        for conflict in tx.conflicts(&open)? {
            tx.mark_dirty(self.pass.key, &conflict.record, DirtyOp::Recheck)?;
        }
        still::look_again(tx, self.pass)
    }

    /// A binding that takes writes since these rules only (it is new, it was away, it was read only) has heard of nothing
    /// that happened here meanwhile: every row is compared with what is known of it there, and every deletion is told.
    fn offer_to_new_bindings(&mut self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let collection = &self.pass.collection;
        let name = format!("bindings of {} that are written to", collection.name);
        let writing: Vec<(usize, &str)> = (0..collection.bindings.len())
            .filter(|at| self.pass.rules(*at).is_some_and(|rules| rules.push))
            .map(|at| (at, self.pass.upstream(at)))
            .collect();
        let names: Vec<&str> = writing.iter().map(|(_, name)| *name).collect();
        let now = serde_json::json!(names).to_string();
        let before = tx.note(&name)?;
        if before.as_deref() == Some(now.as_str()) {
            return Ok(());
        }
        // Before the first pass nothing was there to miss: what first contact and other programs put in has its hints.
        if let Some(before) = before {
            let before: Vec<String> = serde_json::from_str(&before).unwrap_or_default();
            for (at, _) in writing.iter().filter(|(_, name)| !before.iter().any(|known| known == name)) {
                tx.mark_all(collection, self.pass.key, self.pass.binding_key(*at))?;
            }
        }
        tx.set_note(&name, &now)
    }

    /// What was merged into another record at its upstream is that one from now on.
    fn follow_merges(&mut self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let followed = merged::follow(tx, self.pass, &|at| !self.is_blocked(at))?;
        self.tally.local.deletes += followed.deleted;
        self.round.local.deleted += followed.deleted;
        followed.told.iter().for_each(|told| self.digest.add(told));
        self.list(followed.changes);
        Ok(())
    }

    /// Whether the last pass that decided anything had the same rules.
    fn was_decided_under_these_rules(&self, view: &dyn View) -> Result<bool, StoreError> {
        let passes = view.passes(Some(&self.pass.collection.name), PASSES_MAX)?;
        let this = passes.iter().find(|row| row.id == self.pass.id);
        let decided = |row: &&PassRow| !matches!(row.outcome.as_str(), "failed" | "halted" | "interrupted");
        let last = passes.iter().filter(|row| row.id < self.pass.id).find(decided);
        Ok(this.zip(last).is_some_and(|(this, last)| this.rules_hash == last.rules_hash))
    }

    /// First contact of everything that was staged without a link.
    fn meet_strangers(&mut self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let before = self.round.local.created;
        self.meet_all(tx)?;
        // Who waits for a parent may be one of those that came in after it was met.
        if self.round.local.created > before { self.meet_all(tx) } else { Ok(()) }
    }

    fn meet_all(&mut self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        for at in 0..self.pass.collection.bindings.len() {
            if self.is_blocked(at) {
                continue;
            }
            let key = self.pass.binding_key(at);
            let (lost, unsure) = (LostCreates::of(tx, self.pass, at)?, Unsure::of(tx, self.pass, at)?);
            let mut after = String::new();
            loop {
                let strangers = tx.staged_unmatched(key, &after, CHUNK)?;
                let Some(last) = strangers.last() else { break };
                after.clone_from(&last.remote_id);
                for staged in strangers {
                    self.meet(tx, at, &staged, (&lost, &unsure))?;
                }
            }
        }
        Ok(())
    }

    fn meet(
        &mut self,
        tx: &mut dyn Tx,
        at: usize,
        staged: &Staged,
        (lost, unsure): (&LostCreates, &Unsure),
    ) -> Result<(), StoreError> {
        let meet = |view: &dyn View, left_out: &[usize]| match staged.kind {
            StagedKind::Record => {
                let company = Company { lost, left_out, alone: false };
                contact::meet(view, self.pass, at, staged, &staged.raw, Stranger::Raw, company)
            }
            StagedKind::Gone(_) | StagedKind::Merged => Ok(Contact::Ignored),
        };
        let mut contact = meet(tx, &[])?;
        if matches!(contact, Contact::Parked(_)) {
            let left_out = cycle::left_out_here(tx, self.pass, at, staged)?;
            if !left_out.is_empty() {
                contact = meet(tx, &left_out)?;
            }
        }
        if matches!(contact, Contact::New(_) | Contact::Parked(_))
            && let Some((record, reason)) = former::doubles(tx, self.pass, at, staged)?
        {
            contact = Contact::Queued { records: vec![record], reason };
        }
        if let Contact::New(newborn) = &contact
            && let Some(reason) = unsure.stood_in_for(tx, self.pass, &newborn.match_texts)?
        {
            contact = Contact::Parked(reason);
        }
        if !matches!(contact, Contact::Parked(_) | Contact::Queued { .. } | Contact::Quarantined(_)) {
            let subject = remote_subject(&staged.remote_id);
            tx.clear_quarantine(&self.pass.collection.name, self.pass.upstream(at), &subject)?;
        }
        match contact {
            Contact::New(newborn) => {
                let origin = self.pass.upstream(at).to_owned();
                let arrival = Arrival {
                    remote_id: &staged.remote_id,
                    raw: &staged.raw,
                    fingerprint: staged.fingerprint,
                    observed_at: staged.observed_at,
                    newborn: &newborn,
                };
                for outcome in contact::insert(tx, self.pass, at, &[arrival])? {
                    match outcome {
                        Ok(arrived) => {
                            self.round.local.created += 1;
                            self.arrivals.add(&format!("{origin} {} {:016x}", staged.remote_id, staged.fingerprint));
                            let row: Vec<(usize, Value)> = newborn.values.iter().cloned().enumerate().collect();
                            let why = ("first_contact", origin.as_str());
                            tx.add_history(&apply::life(self.pass, &arrived.record, why, None, Some(&row)))?;
                            self.tell_inserted(tx, at, &arrived.record)?;
                        }
                        Err(reason) => self.quarantine_stranger(tx, at, staged, &reason)?,
                    }
                }
                tx.unstage(staged.binding, &staged.remote_id)
            }
            Contact::Matched(record) => self.matched(tx, at, staged, &record),
            Contact::Ignored => tx.unstage(staged.binding, &staged.remote_id),
            Contact::Parked(reason) => self.park(tx, at, staged, "parked", &reason),
            Contact::Queued { records, reason } => {
                for record in records {
                    self.contest(at, record, &staged.remote_id);
                }
                self.park(tx, at, staged, "match", &reason)
            }
            Contact::Quarantined(reason) => {
                self.quarantine_stranger(tx, at, staged, &reason)?;
                tx.unstage(staged.binding, &staged.remote_id)
            }
        }
    }

    fn quarantine_stranger(&self, tx: &mut dyn Tx, at: usize, staged: &Staged, reason: &str) -> Result<(), StoreError> {
        let inputs = format!("{:016x}", staged.fingerprint);
        self.quarantine(tx, at, &remote_subject(&staged.remote_id), "pull", reason, &inputs)
    }

    /// Ties a stranger to the record that it is, unless another stranger of the same upstream is that record as well:
    /// then a person decides about all of them (s5, s10).
    fn matched(&mut self, tx: &mut dyn Tx, at: usize, staged: &Staged, record: &RecordId) -> Result<(), StoreError> {
        let mut rivals = Vec::new();
        for other in tx.staged_of(self.pass.key, record)? {
            if other.binding != staged.binding || other.remote_id == staged.remote_id {
                continue;
            }
            let known = tx.known(other.binding, &[&other.remote_id])?.iter().any(Option::is_some);
            if known && self.is_tombstone(at, &other) {
                // What this record was there before is gone: that is no rival of the one that was made in its place.
                tx.unstage(other.binding, &other.remote_id)?;
                let is_its = |link: &LinkRow| {
                    link.state == LinkState::Live && link.remote_id == other.remote_id && link.binding == other.binding
                };
                if let Some(link) = tx.links_of(record)?.into_iter().find(is_its) {
                    merged::replace(tx, self.pass, at, &link, staged)?;
                }
            } else {
                rivals.push(other);
            }
        }
        let contested = self.contested.get(&(record.clone(), at)).cloned();
        if rivals.is_empty() && contested.is_none() {
            if staged.parked.is_some() {
                tx.stage_parked(staged.binding, &staged.remote_id, None)?;
            }
            return tx.stage_matched(staged.binding, &staged.remote_id, record);
        }
        for rival in &rivals {
            tx.stage(&Staged { record: None, ..rival.clone() })?;
            self.contest(at, record.clone(), &rival.remote_id);
            self.park(tx, at, rival, "match", &rivals_of(self.pass, at, record, &staged.remote_id))?;
        }
        let first = contested.as_deref().or(rivals.first().map(|rival| rival.remote_id.as_str())).unwrap_or("?");
        self.park(tx, at, staged, "match", &rivals_of(self.pass, at, record, first))
    }

    /// Ties the strangers that creates of unknown outcome have made.
    fn adopt_created(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        for at in (0..self.pass.collection.bindings.len()).filter(|at| !self.is_blocked(*at)) {
            let key = self.pass.binding_key(at);
            for intent in contact::lost_creates(tx, self.pass, at)? {
                let is_it = |staged: &Staged| staged.binding == key && matches!(staged.kind, StagedKind::Record);
                let Some(staged) = tx.staged_of(self.pass.key, &intent.record)?.into_iter().find(is_it) else {
                    continue;
                };
                if tx.known(key, &[&staged.remote_id])?.iter().all(Option::is_none) {
                    settle::adopt(tx, self.pass, at, &intent, &staged)?;
                }
            }
        }
        Ok(())
    }

    fn is_tombstone(&self, at: usize, staged: &Staged) -> bool {
        let deleted = || self.pass.rules(at)?.mapper.read(&staged.raw).ok().map(|mapped| mapped.deleted);
        matches!(staged.kind, StagedKind::Gone(_)) || deleted() == Some(true)
    }

    fn contest(&mut self, at: usize, record: RecordId, remote_id: &str) {
        self.contested.entry((record, at)).or_insert_with(|| remote_id.to_owned());
    }

    /// Lists a record that first contact inserted.
    fn tell_inserted(&mut self, tx: &dyn Tx, at: usize, record: &RecordId) -> Result<(), StoreError> {
        if self.round.changes.len() >= self.order.changes_max {
            self.round.changes_omitted += 1;
            return Ok(());
        }
        let row = tx.row(&self.pass.collection, record)?.unwrap_or_default();
        let told = apply::inserted(self.pass, self.pass.upstream(at), record, &row);
        self.round.changes.push(told);
        Ok(())
    }

    /// An observation that waits stays staged, and is shown with its reason.
    fn park(&self, tx: &mut dyn Tx, at: usize, staged: &Staged, stage: &str, reason: &str) -> Result<(), StoreError> {
        tx.stage_parked(staged.binding, &staged.remote_id, Some(reason))?;
        self.quarantine(tx, at, &remote_subject(&staged.remote_id), stage, reason, "")
    }

    fn quarantine(
        &self,
        tx: &mut dyn Tx,
        at: usize,
        subject: &str,
        stage: &str,
        reason: &str,
        inputs: &str,
    ) -> Result<(), StoreError> {
        tx.put_quarantine(&QuarantineRow {
            collection: self.pass.collection.name.clone(),
            upstream: self.pass.upstream(at).to_owned(),
            subject: subject.to_owned(),
            stage: stage.to_owned(),
            reason: reason.to_owned(),
            inputs: inputs.to_owned(),
            since: self.pass.micros(),
            pass: self.pass.id,
        })
    }

    fn decide_candidates(&mut self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let records = tx.candidates(self.pass.key, &after, CHUNK)?;
            let Some(last) = records.last() else { return Ok(()) };
            after.clone_from(&last.0);
            for record in records.iter().filter(|record| self.pass.is_about(record)) {
                self.decide(tx, record)?;
            }
        }
    }

    fn decide(&mut self, tx: &mut dyn Tx, record: &RecordId) -> Result<(), StoreError> {
        let mut found = gather::gather(tx, self.pass, record, &self.order.barrier)?;
        if contact::tie_to_gone(tx, self.pass, &found)? {
            found = gather::gather(tx, self.pass, record, &self.order.barrier)?;
        }
        self.round.decided += 1;
        let may_be_made =
            |spoke: &merge::Spoke| spoke.link.as_ref().is_none_or(|link| link.state == LinkState::Deleted);
        for (at, spoke) in found.facts.spokes.iter_mut().enumerate().filter(|(_, spoke)| may_be_made(spoke)) {
            if let Some(remote_id) = self.contested.get(&(record.clone(), at)) {
                spoke.blocked.get_or_insert_with(|| format!("{remote_id} there may be this record"));
            }
        }
        self.note_unreadable(tx, &found)?;
        self.note_drift(&found);
        let mut plan = if matches!(found.facts.hub, Hub::Never) && found.staged.iter().all(Option::is_none) {
            RecordPlan::default()
        } else {
            merge::decide(&self.pass.collection, &found.facts)
        };
        self.tally.add(&self.pass.collection, &plan);
        self.digest.add(&told_stably(tx, self.pass, &found, &plan)?);
        plan.decisions.append(&mut found.overruled);
        let applied = apply::apply(tx, self.pass, &found, &plan)?;
        self.account(applied);
        Ok(())
    }

    /// Counts which fields a record lost since it was seen last.
    fn note_drift(&mut self, found: &Gathered) {
        for (at, (before, staged)) in found.slots.iter().zip(&found.staged).enumerate() {
            let seen = found.facts.spokes.get(at).map(|spoke| &spoke.seen);
            if let (Some(Seen::Record(now)), Some(_fresh)) = (seen, staged) {
                self.drift.add(&self.pass.collection, at, before, now);
            }
        }
    }

    /// Observations that wait or cannot be read are named; they keep their place in staging.
    fn note_unreadable(&self, tx: &mut dyn Tx, found: &Gathered) -> Result<(), StoreError> {
        for (at, reason) in &found.parked {
            if let Some(staged) = found.staged.get(*at).and_then(Option::as_ref) {
                self.park(tx, *at, staged, "parked", reason)?;
            }
        }
        for (at, reason) in &found.broken {
            let inputs = found.staged.get(*at).and_then(Option::as_ref).map_or(0, |staged| staged.fingerprint);
            self.quarantine(tx, *at, &local_subject(&found.record), "pull", reason, &format!("{inputs:016x}"))?;
        }
        self.note_bad_row(tx, found)
    }

    /// The row says something that its types forbid: those fields stand still until it is mended.
    fn note_bad_row(&self, tx: &mut dyn Tx, found: &Gathered) -> Result<(), StoreError> {
        let name = |at: usize| self.pass.collection.fields.get(at).map_or("?", |field| field.name.as_str());
        let reasons: Vec<String> =
            found.bad_local.iter().map(|(at, error)| format!("{}: {error}", name(*at))).collect();
        if reasons.is_empty() {
            return Ok(());
        }
        tx.put_quarantine(&QuarantineRow {
            collection: self.pass.collection.name.clone(),
            upstream: "local".into(),
            subject: local_subject(&found.record),
            stage: "fields".into(),
            reason: reasons.join("; "),
            inputs: String::new(),
            since: self.pass.micros(),
            pass: self.pass.id,
        })
    }

    fn account(&mut self, applied: Applied) {
        let round = &mut self.round;
        round.local.created += applied.local.created;
        round.local.updated += applied.local.updated;
        round.local.deleted += applied.local.deleted;
        round.conflicts_opened += applied.conflicts_opened;
        let room = PassReport::CHANGES_MAX.saturating_sub(round.notes.len());
        round.notes.extend(applied.notes.into_iter().take(room));
        for (at, counts) in applied.planned {
            if let Some(planned) = round.planned.get_mut(at) {
                planned.created += counts.created;
                planned.updated += counts.updated;
                planned.deleted += counts.deleted;
            }
        }
        self.list(applied.changes);
    }

    fn list(&mut self, changes: Vec<Change>) {
        for change in changes {
            if self.round.changes.len() < self.order.changes_max {
                self.round.changes.push(change);
            } else {
                self.round.changes_omitted += 1;
            }
        }
    }
}
