//! Owns: one simulation: its safety phase, its liveness phase, and what came of it.
//!
//! Must not know: what each invariant means.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use crate::clock::Clock;
use crate::merge::IntentState;
use crate::reconcile::{Engine, Outcome, PassOptions, PassReport};
use crate::rules::Ruleset;
use crate::store::{self, ConflictFilter, IntentFilter, SqliteStore, Store, StoreError};
use crate::upstream::{Client, Transport};

use super::beside::{self, Beside};
use super::bot::Bot;
use super::chance::Chance;
use super::check;
use super::clock::SimClock;
use super::hands::Hands;
use super::haste::{Haste, Reads};
use super::kin::Kin;
use super::late::Late;
use super::net::{LAG_FORK, Net, Sandboxes};
use super::reports::{changes, is_quiet, writes};
use super::restore::Restore;
use super::revived::Deleted;
use super::rules;
use super::shown::Shown;
use super::steps::{Ended, Steps, wait};
use super::store::{Disk, SimStore};
use super::swarm::Swarm;
use super::world::{self, Style};

/// So many of a hundred seeds keep their database in a file, which is all that a crash leaves.
const FILES_PERCENT: u64 = 8;
/// Passes under faults.
const SAFETY_PASSES: u64 = 10;
/// Passes within which all sides must have come to rest once faults and edits are over.
const LIVENESS_PASSES: u64 = 14;

/// The kind of a conflict between sides that take each other's value back.
const OSCILLATION: &str = "oscillation";

/// What came of a seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The invariants that did not hold, in words.
    pub broken: Vec<String>,
    /// Everything that happened, a line each.
    pub trace: Vec<String>,
    /// Passes, of which so many died.
    pub passes: u64,
    /// Passes that died.
    pub crashes: u64,
    /// What others did.
    pub deeds: usize,
}

/// Runs a seed.
pub fn simulate(seed: u64) -> Verdict {
    match Simulation::new(seed) {
        Ok(mut simulation) => {
            simulation.run();
            simulation.verdict
        }
        Err(words) => Verdict { broken: vec![format!("the simulation cannot begin: {words}")], ..Verdict::default() },
    }
}

struct Simulation {
    styles: Vec<Style>,
    rules: Arc<Ruleset>,
    left_out: rules::LeftOut,
    disk: Arc<Disk>,
    steps: Arc<Steps>,
    chance: Chance,
    engine_chance: Chance,
    net: Arc<Net>,
    sandboxes: Sandboxes,
    hands: Arc<Hands>,
    restore: Option<Restore>,
    haste: Option<Haste>,
    /// Passes over single records may be made while one lists.
    is_open: bool,
    trace: Arc<Mutex<Vec<String>>>,
    verdict: Verdict,
}

impl Simulation {
    fn new(seed: u64) -> Result<Self, String> {
        let chance = Chance::new(seed);
        let engine_chance = Chance::new(!seed);
        let styles = world::styles(&chance);
        let bot = Bot::drawn(seed, &styles);
        let restore = Restore::drawn(seed, &styles).filter(|_| bot.is_none());
        // Nobody looks yet whether companies survive a backup.
        let kin = Kin::drawn(seed).filter(|_| restore.is_none());
        let haste = Haste::drawn(seed, &styles);
        let text = rules::text(&styles, None, kin.is_some(), &chance);
        let checked = rules::checked(&text)?;
        let disk = Arc::new(Disk::new(chance.percent(FILES_PERCENT))?);
        let steps = Arc::new(Steps::default());
        let trace = Arc::new(Mutex::new(Vec::new()));
        let host = |style: &Style| format!("{}.example.com", style.name);
        let sandboxes: BTreeMap<_, _> =
            styles.iter().map(|style| (host(style), world::sandbox(style, kin.as_ref()))).collect();
        let sandboxes = Arc::new(Mutex::new(sandboxes));
        let hands = Arc::new(Hands {
            disk: Arc::clone(&disk),
            chance: chance.clone(),
            clock: SimClock::new(Arc::clone(&steps), chance.clone()),
            ledger: Mutex::default(),
            keys: Mutex::default(),
            trace: Arc::clone(&trace),
            serial: AtomicU64::new(100),
            unguarded: styles.iter().filter(|style| style.may_be_overtaken()).map(host).collect(),
            unheard: Mutex::default(),
            touched: Mutex::default(),
            reusing: styles.iter().filter(|style| style.reuses_ids).map(host).collect(),
            kin,
        });
        let net = Arc::new(Net {
            sandboxes: Arc::clone(&sandboxes),
            steps: Arc::clone(&steps),
            chance: chance.clone(),
            lag_chance: Chance::new(seed ^ LAG_FORK),
            hands: Arc::clone(&hands),
            trouble_percent: AtomicU64::new(if chance.percent(20) { 0 } else { 2 + chance.below(25) }),
            outage: Mutex::default(),
            edit_percent: AtomicU64::new(chance.below(12)),
            trace: Arc::clone(&trace),
            written: Mutex::default(),
            styles: styles.iter().map(|style| (host(style), style.clone())).collect(),
            broken: Mutex::default(),
            writes: AtomicU64::new(0),
            creates: AtomicU64::new(0),
            heard: Mutex::default(),
            is_targeted: AtomicBool::new(false),
            former: Mutex::default(),
            deleted: Deleted::default(),
            shows_nulls: restore.as_ref().map(|restore| restore.host().to_owned()),
            bot,
            swarm: Swarm::drawn(seed, &styles, restore.is_some()),
            shown: Shown::default(),
            late: Late::default(),
            beside: Beside::drawn(seed, haste.is_some()),
        });
        let simulation = Self {
            restore,
            haste,
            is_open: false,
            styles,
            rules: checked,
            left_out: None,
            disk,
            steps,
            chance,
            engine_chance,
            net,
            sandboxes,
            hands,
            trace,
            verdict: Verdict::default(),
        };
        simulation.say(text);
        simulation.net.swarm.told().into_iter().for_each(|line| simulation.say(line));
        Ok(simulation)
    }

    fn run(&mut self) {
        // The tables are there before anybody edits.
        self.passes(0, Reads::Changes);
        for round in 0..SAFETY_PASSES {
            self.set_back(round);
            let more = self.hands.kin.as_ref().map_or(0, Kin::edits);
            for _ in 0..self.chance.below(5) + more {
                self.hands.edit(&self.sandboxes, true);
            }
            self.approve(50);
            self.resolve(20);
            if self.chance.percent(8) {
                self.change_rules(false);
            }
            if self.chance.percent(10) {
                self.as_planned();
                continue;
            }
            let fuse = if self.chance.percent(30) { 1 + self.chance.below(60) } else { 0 };
            let fuse = self.net.swarm.fuse(fuse, self.steps.most());
            let down = self.chance.one(&self.styles).filter(|_| self.chance.percent(10)).map(|style| style.name);
            *self.net.outage.lock().unwrap_or_else(PoisonError::into_inner) =
                down.map(|name| (format!("{name}.example.com"), 1 + self.chance.below(5)));
            let full = self.chance.percent(30);
            self.is_open = true;
            self.passes(fuse, if full { Reads::Everything } else { self.hooks() });
            self.is_open = false;
            *self.net.outage.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.steps.pass_time(Duration::from_secs(1 + self.chance.below(600)));
            self.net.let_late_ones_arrive();
        }
        self.net.trouble_percent.store(0, Ordering::Release);
        self.net.edit_percent.store(0, Ordering::Release);
        self.net.swarm.set_reliable(true);
        if self.left_out.is_some() {
            self.change_rules(true);
        }
        if self.net.bot.is_some() {
            self.war();
        }
        self.say("-- faults and edits are over".into());
        let mut rests = self.comes_to_rest();
        // A write that a backup (or an upstream's rule about who is gone) undid before anybody looked is said not to have been
        // taken; what it refers to cannot go as long as it does.
        let hosts: Vec<&str> = match (&self.restore, &self.hands.kin) {
            (Some(restore), _) => vec![restore.host()],
            (None, Some(_)) => self.net.styles.keys().map(String::as_str).collect(),
            (None, None) => Vec::new(),
        };
        if hosts.iter().filter(|host| self.hands.touch_set_aside(&self.sandboxes, host)).count() > 0 {
            rests = self.comes_to_rest();
        }
        if !rests {
            self.broken("I1 I2: the sides do not come to rest".into());
        }
        let aside = "SELECT upstream || ' ' || subject || ' ' || stage || ': ' || reason FROM sync_quarantine";
        for row in self.disk.store().rows_of(aside).unwrap_or_default() {
            self.say(format!("aside: {}", row.join(" ")));
        }
        let undone = self.restore.as_ref().map(Restore::undone).unwrap_or_default();
        let sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = std::mem::take(&mut *self.net.broken.lock().unwrap_or_else(PoisonError::into_inner));
        found.extend(check::all(&self.disk.store(), &sandboxes, &self.styles, &self.hands, &undone));
        drop(sandboxes);
        for words in found {
            self.broken(words);
        }
        self.verdict.deeds = self.hands.ledger.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.verdict.trace = std::mem::take(&mut *self.trace.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// An upstream's backup is made, or put in place.
    fn set_back(&self, round: u64) {
        let Some(restore) = &self.restore else { return };
        let ledger = self.hands.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = restore.at(round, &mut sandboxes, &ledger, self.hands.now()) {
            self.say(line);
            // What was written before is not what its reads lag behind.
            self.net.written.lock().unwrap_or_else(PoisonError::into_inner).remove(restore.host());
        }
    }

    /// Faults and edits are over, but for a machine that takes a field back, and nobody settles that: it is stopped (I17).
    fn war(&mut self) {
        self.say("-- faults and edits are over, but for the machine's".into());
        if let Some(bot) = &self.net.bot {
            self.hands.annotate(&self.sandboxes, bot.owner());
            bot.left_alone();
        }
        if !self.comes_to_rest() {
            self.broken("I17: the engine and a machine do not come to rest".into());
        }
        let net = Arc::clone(&self.net);
        let Some(bot) = &net.bot else { return };
        let sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let found = bot.judge(&sandboxes, &self.hands);
        drop(sandboxes);
        bot.stop();
        let _none_aside = self.hands.touch_set_aside(&self.sandboxes, bot.host());
        for words in found {
            self.broken(words);
        }
    }

    /// Two passes come to nothing, among the few that there may be.
    fn comes_to_rest(&mut self) -> bool {
        let mut quiet = 0;
        for _ in 0..LIVENESS_PASSES {
            self.steps.pass_time(Duration::from_mins(10));
            self.approve(100);
            self.resolve(100);
            self.hands.tidy_here();
            self.hands.delete_doubles(&self.sandboxes);
            let reports = self.passes(0, Reads::Everything);
            let left_open = if self.is_at_war() { self.wars() } else { 0 };
            let is_quiet = reports.iter().all(|report| report.as_ref().is_some_and(|one| is_quiet(one, left_open)));
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet == 2 {
                return true;
            }
        }
        false
    }

    fn is_at_war(&self) -> bool {
        self.net.bot.as_ref().is_some_and(Bot::is_alone)
    }

    /// Open conflicts about sides that take each other's value back.
    fn wars(&self) -> u64 {
        let open = self.look(|view| view.conflicts(&ConflictFilter::default())).unwrap_or_default();
        open.iter().filter(|row| row.kind == OSCILLATION).count() as u64
    }

    /// An operator changes his mind about policies, and now and then about whether a field is mapped at an upstream.
    fn change_rules(&mut self, all_mapped: bool) {
        let field = self.chance.one(&["name", "phone", "tags", "note"]).copied();
        let style = self.chance.one(&self.styles).filter(|style| !style.owns_notes).map(|style| style.name);
        self.left_out = style.zip(field).filter(|_| !all_mapped && self.chance.percent(30));
        let text = rules::text(&self.styles, self.left_out, self.hands.kin.is_some(), &self.chance);
        if let Some((upstream, field)) = self.left_out {
            self.say(format!("* {field} is not mapped at {upstream}"));
            let unheard = (format!("{upstream}.example.com"), field);
            self.hands.unheard.lock().unwrap_or_else(PoisonError::into_inner).insert(unheard);
        }
        self.say(format!("* rules: {}", text.lines().take(6).collect::<Vec<_>>().join(" ")));
        match rules::checked(&text) {
            Ok(checked) => self.rules = checked,
            Err(words) => self.broken(format!("the rules are refused: {words}")),
        }
    }

    fn broken(&mut self, words: String) {
        self.say(format!("BROKEN {words}"));
        self.verdict.broken.push(words);
    }

    fn say(&self, line: String) {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Nothing goes wrong and nobody edits meanwhile: a pass writes what its dry run said (I12).
    /// What an earlier write has done must be known: to learn it, a pass may send a create again, and a dry run does not.
    fn as_planned(&mut self) {
        self.collections().into_iter().for_each(|collection| self.collection_as_planned(collection));
    }

    fn collection_as_planned(&mut self, collection: &str) {
        let unknown = IntentFilter { states: IntentState::OPEN.to_vec(), ..IntentFilter::default() };
        if !self.look(move |view| view.intents(&unknown)).is_ok_and(|rows| rows.is_empty()) {
            return;
        }
        let (trouble, edits) = (&self.net.trouble_percent, &self.net.edit_percent);
        let before = (trouble.swap(0, Ordering::AcqRel), edits.swap(0, Ordering::AcqRel));
        self.net.swarm.set_reliable(true);
        let now = self.steps.now_us();
        let planned = match self.disk.copied() {
            Ok((copy, _folder)) => self.live(collection, &self.rules, copy, Reads::Plan),
            Err(words) => return self.broken(format!("the database cannot be copied: {words}")),
        };
        // One upstream has one order.
        if let Ended::Done(Ok(planned)) = &planned
            && self.styles.len() > 1
            && self.net.swarm.is_asked_in_reverse()
        {
            self.also_in_reverse(collection, planned);
        }
        // At the same time: what waits until an upstream's lag has ended is not for both, otherwise.
        self.steps.go_back(now);
        let done = self.pass(collection, 0, Reads::Everything);
        self.net.trouble_percent.store(before.0, Ordering::Release);
        self.net.edit_percent.store(before.1, Ordering::Release);
        self.net.swarm.set_reliable(false);
        let (Ended::Done(Ok(planned)), Some(done)) = (planned, done) else { return };
        let (planned, done) = (writes(&planned), writes(&done));
        // An upstream that respells on every write may answer with more than was sent, which others then hear of.
        let mut left = done.clone();
        let has = |one: &String, left: &mut Vec<String>| left.iter().position(|it| it == one).map(|at| left.remove(at));
        if planned.iter().any(|one| has(one, &mut left).is_none()) || (planned.is_empty() && !done.is_empty()) {
            self.broken(format!("I12: planned {planned:#?}, done {done:#?}"));
        }
    }

    /// The same is planned where the upstreams stand in another order (I8); and nothing has happened but that it was asked.
    fn also_in_reverse(&mut self, collection: &str, planned: &PassReport) {
        let places = (self.chance.place(), self.engine_chance.place(), self.steps.now_us());
        let reversed = Arc::new(rules::reversed(&self.rules));
        let also = match self.disk.copied() {
            Ok((copy, _folder)) => self.live(collection, &reversed, copy, Reads::Plan),
            Err(words) => return self.broken(format!("the database cannot be copied: {words}")),
        };
        self.chance.go_back(places.0);
        self.engine_chance.go_back(places.1);
        self.steps.go_back(places.2);
        let Ended::Done(Ok(also)) = also else {
            return self.broken("I8: in another order it cannot be planned".into());
        };
        let (planned, also) = (changes(planned), changes(&also));
        if planned != also {
            self.broken(format!("I8: planned {planned:#?}, in another order {also:#?}"));
        }
    }

    /// The collections, in the order of their passes.
    fn collections(&self) -> Vec<&'static str> {
        self.hands.kin.as_ref().map_or_else(|| vec!["people"], |kin| kin.order().to_vec())
    }

    /// A pass of each collection; one of them dies, if any does.
    fn passes(&mut self, fuse: u64, reads: Reads) -> Vec<Option<PassReport>> {
        let collections = self.collections();
        let dies = self.hands.kin.as_ref().map_or(0, |kin| kin.chance.index(collections.len()));
        let fuse_of = |at: usize| if at == dies { fuse } else { 0 };
        let each = collections.into_iter().enumerate();
        each.map(|(at, collection)| self.pass(collection, fuse_of(at), reads)).collect()
    }

    /// One process's life: it opens the engine and makes one pass, unless it dies before.
    fn pass(&mut self, collection: &str, fuse: u64, reads: Reads) -> Option<PassReport> {
        self.verdict.passes += 1;
        let named = if self.hands.kin.is_some() { format!(" of {collection}") } else { String::new() };
        self.say(format!(
            "- pass {}{named}{}{}",
            self.verdict.passes,
            match reads {
                Reads::Targets => " (targeted)",
                Reads::Changes => "",
                Reads::Everything | Reads::Plan => " (full)",
            },
            match fuse {
                0 => String::new(),
                steps => format!(", dies at step {steps}"),
            }
        ));
        self.steps.set_fuse(fuse);
        self.net.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.net.is_targeted.store(reads == Reads::Targets, Ordering::Release);
        self.net.note_hooks(&self.disk.store());
        self.net.beside.begins(self.is_open);
        let sent = |net: &Net| (net.writes.load(Ordering::Acquire), net.creates.load(Ordering::Acquire));
        let before = sent(&self.net);
        let creates_unknown = self.are_creates_unknown();
        let (rows, local_deeds) = (self.rows(collection), self.hands.local_deeds());
        let ended = self.live(collection, &self.rules, self.disk.store(), reads);
        self.steps.set_fuse(0);
        let between = self.net.beside.ends();
        let sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let revived = self.net.deleted.revived(&self.disk.store(), &sandboxes);
        drop(sandboxes);
        for words in revived.into_iter().chain(self.net.shown.untrue(&self.disk.store())) {
            self.broken(words);
        }
        match ended {
            Ended::Done(Ok(report)) => {
                let (writes, creates) = sent(&self.net);
                // To learn what became of a create that was approved before, that may be sent again, and nothing else.
                let repeats = if creates_unknown { creates - before.1 } else { 0 };
                let written = writes - before.0 - repeats - between.1;
                if report.outcome == Outcome::Halted && written > 0 {
                    self.broken(format!("I11: {written} writes were sent in a pass that halted"));
                }
                // What a binding shows the first time comes in while it is read: that destroys nothing.
                let first = between.0 > 0 || report.local.created > 0 || local_deeds != self.hands.local_deeds();
                if report.outcome == Outcome::Halted && !first && rows != self.rows(collection) {
                    self.broken("I11: the local table was changed by a pass that halted".into());
                }
                self.hands.meet_here();
                self.say(format!(
                    "  = {:?} {}",
                    report.outcome,
                    serde_json::to_string(&report.upstreams).unwrap_or_default()
                ));
                Some(report)
            }
            Ended::Done(Err(words)) => {
                self.broken(format!("a pass failed: {words}"));
                None
            }
            Ended::Crashed => {
                self.verdict.crashes += 1;
                self.say("  = died".into());
                if let Err(words) = self.disk.killed() {
                    self.broken(format!("the database does not open again: {words}"));
                }
                self.hands.meet_here();
                None
            }
            Ended::Stuck => {
                self.broken("a pass waits for something that never comes".into());
                None
            }
        }
    }

    fn are_creates_unknown(&self) -> bool {
        let sent = "SELECT key FROM sync_intent WHERE op = 'create' AND state IN ('sent', 'unknown')";
        self.disk.store().rows_of(sent).is_ok_and(|rows| !rows.is_empty())
    }

    fn rows(&self, collection: &str) -> Vec<Vec<String>> {
        self.disk.store().rows_of(&format!("SELECT * FROM {collection} ORDER BY id")).unwrap_or_default()
    }

    fn live(
        &self,
        collection: &str,
        rules: &Arc<Ruleset>,
        store: Arc<SqliteStore>,
        reads: Reads,
    ) -> Ended<Result<PassReport, String>> {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(Arc::clone(&self.steps), self.engine_chance.clone()));
        let store: Arc<dyn Store> = Arc::new(SimStore::new(store, Arc::clone(&self.steps)));
        let transport: Arc<dyn Transport> = Arc::<Net>::clone(&self.net);
        let rules = Arc::clone(rules);
        self.steps.run(async {
            let mut clients = BTreeMap::new();
            for (name, upstream) in &rules.upstreams {
                let client = Client::new(Arc::clone(upstream), &|_| None, Arc::clone(&transport), Arc::clone(&clock));
                clients.insert(name.clone(), Arc::new(client.map_err(|failure| failure.to_string())?));
            }
            let (engine, _notices) = Engine::open(store, Arc::clone(&rules), clients, Arc::clone(&clock))
                .await
                .map_err(|error| error.to_string())?;
            let (dry_run, full) = (reads == Reads::Plan, matches!(reads, Reads::Plan | Reads::Everything));
            let options = PassOptions { trigger: "sim".into(), full, dry_run, all_changes: true };
            let what = (collection, &options, reads == Reads::Targets);
            beside::pass(&engine, what, &self.net, self.haste.as_ref()).await.map_err(|error| error.to_string())
        })
    }

    /// Webhooks come, and may bring a pass over what they are about.
    fn hooks(&self) -> Reads {
        let Some(haste) = &self.haste else { return Reads::Changes };
        for line in haste.come(&self.disk.store(), &self.sandboxes, self.hands.now()) {
            self.say(line);
        }
        if haste.is_hasty() { Reads::Targets } else { Reads::Changes }
    }

    /// A person approves the open halt, in so many of a hundred cases.
    fn approve(&self, percent: u64) {
        let Ok(open) = self.look(|view| view.halts(None, true)) else { return };
        let now = self.hands.now().timestamp_micros();
        for halt in open.into_iter().filter(|halt| halt.approved_at.is_none()) {
            if self.chance.percent(percent) {
                let choices = self.restore.as_ref().map(|restore| restore.choices(&halt)).unwrap_or_default();
                self.say(format!("* approved: {}", halt.halts));
                for (_, side) in &choices {
                    self.say(format!("* {side} wins"));
                }
                let approved = wait(store::write(self.disk.store().as_ref(), move |tx| {
                    choices.iter().try_for_each(|(note, side)| tx.set_note(note, &json!(side).to_string()))?;
                    tx.set_halt(halt.id, Some(now), None)
                }));
                self.must(approved);
            }
        }
    }

    /// A person resolves open conflicts, in so many of a hundred cases each.
    fn resolve(&self, percent: u64) {
        let Ok(open) = self.look(|view| view.conflicts(&ConflictFilter::default())) else { return };
        for row in open.into_iter().filter(|row| row.resolution.is_none()) {
            let is_war = row.kind == OSCILLATION;
            if !self.chance.percent(percent) || (is_war && self.is_at_war()) {
                continue;
            }
            let choice = if row.fields.is_empty() {
                let choices = [r#"{"keep":true}"#.to_owned(), r#"{"delete":true}"#.to_owned()];
                self.chance.one(&choices).cloned()
            } else {
                let sides: Vec<serde_json::Value> = serde_json::from_str(&row.candidates).unwrap_or_default();
                let named = |side: &serde_json::Value| side["origin"].as_str().map(str::to_owned);
                let mut names: Vec<String> = sides.iter().filter_map(named).collect();
                // Only the owner sets its field: another choice is refused, with these words.
                let owner = self.styles.iter().find(|style| style.owns_notes && is_war && row.fields == "note");
                names.retain(|name| owner.is_none_or(|owner| name == owner.name));
                self.chance.one(&names).map(|name| format!(r#"{{"take":"{name}"}}"#))
            };
            let Some(choice) = choice else { continue };
            self.say(format!("* conflict {} about {:?}: {choice}", row.id, row.fields));
            let written = wait(store::write(self.disk.store().as_ref(), move |tx| {
                tx.set_resolution(row.id, Some(choice.as_str()))
            }));
            self.must(written);
        }
    }

    fn must(&self, outcome: Result<(), StoreError>) {
        if let Err(error) = outcome {
            self.say(format!("! {error}"));
        }
    }

    fn look<R: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn store::View) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        wait(store::read(self.disk.store().as_ref(), job))
    }
}
