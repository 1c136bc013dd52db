//! Owns: pages on their way through the store: cut and hashed, looked up, and what is new or changed inserted or staged.
//!
//! Must not know: how pages are fetched, when a listing is complete; what is decided about an observation (but for first
//! contact, which `contact` owns).

use std::collections::HashSet;
use std::sync::Arc;

use roaring::RoaringTreemap;
use xxhash_rust::xxh3::xxh3_64;

use crate::merge::{Evidence, LinkState};
use crate::store::{DirtyOp, Known, LinkId, Micros, QuarantineRow, Staged, StagedKind, StoreError, Tx, View};
use crate::upstream::{Page, Told};

use super::between::Touched;
use super::contact::{self, Arrival, Company, Contact, LostCreates, Newborn, Stranger};
use super::context::{Pass, remote_subject};
use super::cursor::Cursor;

/// Why a record is set aside that was cut down on its way here.
const TOO_LARGE: &str = "the record is larger than `body_max` (while a cassette is recorded: than a quarter of it, in a page that is larger)";

/// A page, cut and hashed; on a first load, where every record will be needed, also made ready for first contact.
pub struct Cut {
    /// The page.
    pub page: Page,
    ids: Vec<Result<String, String>>,
    fingerprints: Vec<u64>,
    strangers: Vec<Stranger>,
    /// Per record: nothing is known of its id. Empty where that is to be looked up for all of them.
    unheard: Vec<bool>,
}

impl Cut {
    /// Cuts a page.
    pub fn new(pass: &Pass, binding: usize, page: Page, first_load: bool) -> Self {
        let (mut ids, mut fingerprints, mut strangers) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(rules) = pass.rules(binding) {
            for range in &page.records {
                let raw = page.body.get(range.clone()).unwrap_or_default();
                fingerprints.push(xxh3_64(raw));
                // What cannot be mapped is mapped again where its reason is needed.
                let whole = !page.cut_down.contains(&range.start);
                let mapped = if first_load && whole { rules.mapper.read(raw).ok() } else { None };
                ids.push(match &mapped {
                    Some(mapped) => Ok(mapped.id.clone()),
                    None => rules.mapper.id(raw).map_err(|error| error.to_string()),
                });
                strangers.push(mapped.map_or(Stranger::Raw, |mapped| contact::prepare(pass, binding, mapped)));
            }
        }
        Self { page, ids, fingerprints, strangers, unheard: Vec::new() }
    }

    /// Notes which ids are heard of for the first time: there is nothing to look up for those.
    pub fn hear(&mut self, heard: &mut Heard) {
        let known = |id: &Result<String, String>| id.as_deref().is_ok_and(|id| heard.is_new(id));
        self.unheard = self.ids.iter().map(known).collect();
    }
}

/// The ids that a first load has come by, as bits of a hash: one that is new is nowhere yet. One that only seems to be known
/// costs a lookup; so the memory is the same however many there are.
pub struct Heard(Vec<u64>);

impl Heard {
    /// 2 MiB.
    const BITS: u64 = 1 << 24;

    /// Nothing was heard.
    pub fn nothing() -> Self {
        Self(vec![0; usize::try_from(Self::BITS / 64).unwrap_or_default()])
    }

    fn is_new(&mut self, id: &str) -> bool {
        let hash = xxh3_64(id.as_bytes());
        let mut is_new = false;
        for bit in [hash % Self::BITS, (hash >> 32) % Self::BITS] {
            if let Some(word) = usize::try_from(bit / 64).ok().and_then(|at| self.0.get_mut(at)) {
                is_new |= *word & (1 << (bit % 64)) == 0;
                *word |= 1 << (bit % 64);
            }
        }
        is_new
    }
}

/// Some pages on their way through the store.
pub struct PageJob {
    /// The pass.
    pub pass: Arc<Pass>,
    /// The binding's position.
    pub binding: usize,
    /// Observations of earlier passes wait in staging: what is listed as it was at the base replaces them, too.
    /// Links that this listing showed otherwise than at the base. Where it shows one of them again, as at the base, the later
    /// word counts: whichever it is, it must be the same in each pass, or the record would change for ever.
    pub restless: RoaringTreemap,
    /// First contact inserts while reading.
    pub eager: bool,
    /// There is nobody here whom a stranger could be.
    pub alone: bool,
    /// Links that a pass in between has touched: these pages may be from before.
    pub touched: Touched,
    /// The checkpoint; only complete listings are resumed.
    pub cursor: Option<Cursor>,
    /// The latest time of change so far.
    pub high: Option<Micros>,
    /// The pages.
    pub cuts: Vec<Cut>,
}

/// One record of a page, looked up.
pub struct Entry {
    page: usize,
    at: usize,
    /// What stands in the page is not the record, which is too large.
    cut_down: bool,
    remote_id: Result<String, String>,
    fingerprint: u64,
    known: Option<Known>,
    unheard: bool,
    stranger: Stranger,
}

impl Entry {
    /// As at the base; a record that is tied to nothing on purpose does not count as changed either.
    pub fn unchanged(&self) -> bool {
        let as_known = |known: Known| known.fingerprint == self.fingerprint || known.state == LinkState::Detached;
        !self.cut_down && self.known.is_some_and(as_known)
    }
}

/// What came of the pages.
#[derive(Default)]
pub struct PageDone {
    /// Records listed.
    pub listed: u64,
    /// Records as at their base.
    pub unchanged: u64,
    /// Rows that first contact inserted.
    pub inserted: u64,
    /// A record could not even be named.
    pub unreadable: bool,
    /// Links that were listed.
    pub seen: RoaringTreemap,
    /// One of them was listed more than once.
    pub twice: bool,
    /// Links that were listed otherwise than at the base.
    pub restless: RoaringTreemap,
    /// Records that are to be asked for once more (see `between`), as they were listed.
    pub doubtful: Vec<Staged>,
    /// The latest time of change.
    pub high: Option<Micros>,
    /// To be dropped.
    pub spent: Option<Spent>,
}

/// What was worked on. To free it costs as much as one of the tables, and the store's thread is what a load waits for: it is
/// freed by whoever waits.
pub struct Spent {
    _cuts: Vec<Cut>,
    _entries: Vec<Entry>,
    _new: Vec<(usize, Newborn)>,
}

impl PageDone {
    /// Counts what is as it was.
    pub fn unchanged(&mut self, entries: &[Entry]) {
        self.listed += entries.len() as u64;
        for known in entries.iter().filter(|entry| entry.unchanged()).filter_map(|entry| entry.known) {
            self.unchanged += 1;
            self.see(known.link);
        }
    }

    fn see(&mut self, link: LinkId) {
        self.twice |= !self.seen.insert(link.0.unsigned_abs());
    }
}

impl PageJob {
    /// Looks the pages' records up. Takes what was cut: a page is looked up once.
    pub fn known(&mut self, view: &dyn View) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for (page, cut) in self.cuts.iter_mut().enumerate() {
            let ids = std::mem::take(&mut cut.ids).into_iter();
            let strangers = std::mem::take(&mut cut.strangers);
            let is_cut_down = |at: usize| {
                let start = cut.page.records.get(at).map(|range| range.start);
                start.is_some_and(|start| cut.page.cut_down.contains(&start))
            };
            let unheard = std::mem::take(&mut cut.unheard);
            let records = ids.zip(&cut.fingerprints).zip(strangers).enumerate();
            entries.extend(records.map(|(at, ((remote_id, fingerprint), stranger))| Entry {
                page,
                at,
                cut_down: is_cut_down(at),
                remote_id,
                fingerprint: *fingerprint,
                known: None,
                unheard: unheard.get(at).copied().unwrap_or_default(),
                stranger,
            }));
        }
        let in_question = |entry: &Entry| !entry.unheard && entry.remote_id.is_ok();
        let asked = entries.iter().filter(|entry| in_question(entry));
        let ids: Vec<&str> = asked.filter_map(|entry| entry.remote_id.as_deref().ok()).collect();
        let mut known = view.known(self.pass.binding_key(self.binding), &ids)?.into_iter();
        for entry in entries.iter_mut().filter(|entry| in_question(entry)) {
            entry.known = known.next().flatten();
        }
        Ok(entries)
    }

    /// Looks up and writes.
    pub fn write(mut self, tx: &mut dyn Tx) -> Result<PageDone, StoreError> {
        let known = self.known(tx)?;
        self.write_known(tx, known)
    }

    /// Inserts or stages what is new or changed, and sets the checkpoint.
    pub fn write_known(mut self, tx: &mut dyn Tx, mut entries: Vec<Entry>) -> Result<PageDone, StoreError> {
        let mut done = PageDone { high: self.high, ..PageDone::default() };
        done.unchanged(&entries);
        let twice = self.eager && is_listed_twice(&entries);
        let lost = if self.eager && !self.alone {
            LostCreates::of(tx, &self.pass, self.binding)?
        } else {
            LostCreates::default()
        };
        let mut new = Vec::new();
        for at in 0..entries.len() {
            if twice {
                self.insert(tx, &entries, &std::mem::take(&mut new), &mut done)?;
                self.know_again(tx, &mut entries, at)?;
            }
            let Some(entry) = entries.get_mut(at) else { continue };
            let link = entry.known.map(|known| known.link);
            if entry.unchanged() {
                if let Some(link) = link.filter(|link| self.is_restless(*link, &done)) {
                    self.is_as_it_was(tx, link)?;
                }
                continue;
            }
            if let Some(link) = link {
                done.see(link);
                done.restless.insert(link.0.unsigned_abs());
            }
            if let Some(newborn) = self.changed(tx, entry, &lost, &mut done)? {
                new.push((at, newborn));
            }
        }
        self.insert(tx, &entries, &new, &mut done)?;
        for told in self.cuts.iter().flat_map(|cut| &cut.page.told) {
            self.hear_of(tx, told, &mut done)?;
        }
        if let Some(mut cursor) = self.cursor.take() {
            if let Some(scan) = &mut cursor.scan {
                scan.high = done.high;
            }
            if cursor.scan.is_some() {
                tx.set_cursor(self.pass.binding_key(self.binding), &cursor.save())?;
            }
        }
        done.spent = Some(Spent { _cuts: self.cuts, _entries: entries, _new: new });
        Ok(done)
    }

    fn is_restless(&self, link: LinkId, done: &PageDone) -> bool {
        let number = link.0.unsigned_abs();
        self.restless.contains(number) || done.restless.contains(number)
    }

    /// Whether there is something to write.
    pub fn has_news(&self, entries: &[Entry]) -> bool {
        let restless =
            |entry: &Entry| entry.known.is_some_and(|known| self.restless.contains(known.link.0.unsigned_abs()));
        let is_told = self.cuts.iter().any(|cut| !cut.page.told.is_empty());
        is_told || entries.iter().any(|entry| !entry.unchanged() || restless(entry))
    }

    /// What is known of a record that cannot be shown: staged, where it is tied to one here, or set aside.
    fn hear_of(&self, tx: &mut dyn Tx, told: &Told, done: &mut PageDone) -> Result<(), StoreError> {
        let binding = self.pass.binding_key(self.binding);
        let (remote_id, kind, raw) = match told {
            Told::Gone(id) => (id, StagedKind::Gone(Evidence::EventConfirmed), ""),
            Told::Merged(id, into) => (id, StagedKind::Merged, into.as_str()),
            Told::Unanswered(id, words) => return self.quarantine(tx, &remote_subject(id), 0, words),
        };
        let known = tx.known(binding, &[remote_id])?.into_iter().next().flatten();
        if known.is_none() {
            // It may wait since an earlier pass for whom it is to be tied to.
            tx.clear_quarantine(
                &self.pass.collection.name,
                self.pass.upstream(self.binding),
                &remote_subject(remote_id),
            )?;
            return tx.unstage(binding, remote_id);
        }
        let Some(known) = known.filter(|known| known.state == LinkState::Live) else { return Ok(()) };
        let Some(link) = tx.link(known.link)? else { return Ok(()) };
        done.see(known.link);
        done.restless.insert(known.link.0.unsigned_abs());
        let staged = Staged {
            binding,
            remote_id: remote_id.clone(),
            collection: self.pass.key,
            record: Some(link.record),
            kind,
            fingerprint: xxh3_64(raw.as_bytes()),
            raw: raw.as_bytes().to_vec(),
            version: None,
            observed_at: self.cuts.last().map_or(0, |cut| cut.page.observed_at.timestamp_micros()),
            parked: None,
        };
        if self.touched.contains(known.link.0.unsigned_abs()) {
            done.doubtful.push(staged);
            return Ok(());
        }
        tx.stage(&staged)
    }

    fn raw(&self, entry: &Entry) -> &[u8] {
        let page = self.cuts.get(entry.page).map(|cut| &cut.page);
        page.and_then(|page| page.body.get(page.records.get(entry.at)?.clone())).unwrap_or_default()
    }

    fn observed_at(&self, entry: &Entry) -> Micros {
        self.cuts.get(entry.page).map_or(0, |cut| cut.page.observed_at.timestamp_micros())
    }

    /// A record that an earlier entry of these pages brought in is known by now.
    fn know_again(&self, view: &dyn View, entries: &mut [Entry], at: usize) -> Result<(), StoreError> {
        if let Some(entry) = entries.get_mut(at).filter(|entry| entry.known.is_none())
            && let Ok(remote_id) = &entry.remote_id
        {
            entry.known = view.known(self.pass.binding_key(self.binding), &[remote_id])?.into_iter().next().flatten();
        }
        Ok(())
    }

    /// Inserts the strangers that turned out to be nobody's.
    fn insert(
        &self,
        tx: &mut dyn Tx,
        entries: &[Entry],
        new: &[(usize, Newborn)],
        done: &mut PageDone,
    ) -> Result<(), StoreError> {
        let arrivals = new.iter().filter_map(|(at, newborn)| {
            let entry = entries.get(*at)?;
            Some(Arrival {
                remote_id: entry.remote_id.as_deref().ok()?,
                raw: self.raw(entry),
                fingerprint: entry.fingerprint,
                observed_at: self.observed_at(entry),
                newborn,
            })
        });
        let arrivals: Vec<Arrival<'_>> = arrivals.collect();
        let outcomes = contact::insert(tx, &self.pass, self.binding, &arrivals)?;
        for (arrival, outcome) in arrivals.iter().zip(outcomes) {
            match outcome {
                Ok(arrived) => {
                    done.inserted += 1;
                    done.see(arrived.link);
                    done.high = done.high.max(arrival.newborn.updated_at);
                }
                Err(reason) => {
                    self.quarantine(tx, &remote_subject(arrival.remote_id), arrival.fingerprint, &reason)?;
                }
            }
        }
        Ok(())
    }

    /// Takes back what an earlier pass staged of a record and could not decide on: it is not so any more.
    fn is_as_it_was(&self, tx: &mut dyn Tx, link: LinkId) -> Result<(), StoreError> {
        let Some(link) = tx.link(link)? else { return Ok(()) };
        let staged = tx.staged_of(self.pass.key, &link.record)?;
        if staged.iter().any(|one| one.binding == link.binding && one.remote_id == link.remote_id) {
            tx.unstage(link.binding, &link.remote_id)?;
            let (name, upstream) = (&self.pass.collection.name, self.pass.upstream(self.binding));
            tx.clear_quarantine(name, upstream, &remote_subject(&link.remote_id))?;
            tx.mark_dirty(self.pass.key, &link.record, DirtyOp::Recheck)?;
        }
        Ok(())
    }

    /// A record that is not as it was: staged, or returned where nobody here is it and it is to be inserted.
    fn changed(
        &self,
        tx: &mut dyn Tx,
        entry: &mut Entry,
        lost: &LostCreates,
        done: &mut PageDone,
    ) -> Result<Option<Newborn>, StoreError> {
        let stranger = std::mem::replace(&mut entry.stranger, Stranger::Raw);
        let raw = self.raw(entry);
        let remote_id = match &entry.remote_id {
            Ok(remote_id) => remote_id,
            Err(reason) => {
                done.unreadable = true;
                let subject = remote_subject(&format!("unreadable {:016x}", entry.fingerprint));
                return self.quarantine(tx, &subject, entry.fingerprint, reason).map(|()| None);
            }
        };
        if entry.cut_down {
            // It is there, and that is all that is known of it.
            return self.quarantine(tx, &remote_subject(remote_id), entry.fingerprint, TOO_LARGE).map(|()| None);
        }
        let mut staged = Staged {
            binding: self.pass.binding_key(self.binding),
            remote_id: remote_id.clone(),
            collection: self.pass.key,
            record: None,
            kind: StagedKind::Record,
            fingerprint: entry.fingerprint,
            raw: Vec::new(),
            version: None,
            observed_at: self.observed_at(entry),
            parked: None,
        };
        if let Some(known) = entry.known {
            let Some(link) = tx.link(known.link)? else { return Ok(None) };
            staged.record = Some(link.record);
        } else if self.eager {
            let company = Company { lost, left_out: &[], alone: self.alone };
            match contact::meet(tx, &self.pass, self.binding, &staged, raw, stranger, company)? {
                Contact::New(newborn) => return Ok(Some(newborn)),
                Contact::Ignored => return Ok(None),
                // Whose it is is settled at the barrier, where all that may be the same record are known.
                Contact::Matched(_) => {}
                Contact::Parked(reason) | Contact::Queued { reason, .. } => staged.parked = Some(reason),
                Contact::Quarantined(reason) => {
                    let subject = remote_subject(remote_id);
                    return self.quarantine(tx, &subject, entry.fingerprint, &reason).map(|()| None);
                }
            }
        }
        if let Some(rules) = self.pass.rules(self.binding) {
            let updated_at = rules.mapper.read(raw).ok().and_then(|mapped| mapped.updated_at);
            done.high = done.high.max(updated_at.map(|at| at.timestamp_micros()));
        }
        staged.raw = raw.to_vec();
        if entry.known.is_some_and(|known| self.touched.contains(known.link.0.unsigned_abs())) {
            done.doubtful.push(staged);
            return Ok(None);
        }
        tx.stage(&staged)?;
        Ok(None)
    }

    fn quarantine(&self, tx: &mut dyn Tx, subject: &str, fingerprint: u64, reason: &str) -> Result<(), StoreError> {
        tx.put_quarantine(&QuarantineRow {
            collection: self.pass.collection.name.clone(),
            upstream: self.pass.upstream(self.binding).to_owned(),
            subject: subject.to_owned(),
            stage: "pull".into(),
            reason: reason.to_owned(),
            inputs: format!("{fingerprint:016x}"),
            since: self.pass.micros(),
            pass: self.pass.id,
        })
    }
}

/// Pages shift while they are read, so a record may stand on two of them.
fn is_listed_twice(entries: &[Entry]) -> bool {
    if entries.iter().all(|entry| entry.unheard || entry.known.is_some()) {
        return false;
    }
    let mut names = HashSet::with_capacity(entries.len());
    let strangers = entries.iter().filter(|entry| entry.known.is_none());
    strangers.filter_map(|entry| entry.remote_id.as_deref().ok()).any(|name| !names.insert(name))
}
