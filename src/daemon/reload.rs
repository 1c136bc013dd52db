//! Owns: how rules that were read anew come into force: checked whole, swapped whole; what becomes of collections then.
//!
//! Must not know: when (that is `decide`); what rules say.
//!
//! A pass keeps the engine that it began with. Passes of collections that other rules do not change go on beside them: they
//! share tables that stay as they are, and clients, since an upstream that stays keeps its client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::DateTime;

use crate::reconcile::{PassError, has_listed_nothing};
use crate::rules::{OnEdit, Ruleset};
use crate::store::{Store, StoreError, View, read};
use crate::upstream::Client;

use super::decide::Mode;
use super::desk::{Refused, RulesSaid};
use super::event::{Action, Event};
use super::job::{ForFew, Job};
use super::outage::Outages;
use super::run::{Daemon, Loaded};
use super::schedule::Last;
use super::wake;

/// How far back the last pass that listed is looked for.
const PASSES_MAX: usize = 1000;

/// Rules that can be used and do nothing yet.
pub struct Checked {
    /// The rules.
    pub rules: Arc<Ruleset>,
    /// What is said of their files.
    pub said: Arc<RulesSaid>,
    /// These collections, in the order of passes.
    pub collections: Vec<String>,
    /// The clients of their upstreams; those that are as before are those from before.
    pub clients: BTreeMap<String, Arc<Client>>,
    /// The collections whose passes go otherwise by them than by those in force.
    pub changed: BTreeSet<String>,
}

impl Daemon<'_> {
    /// Whether the rules as they are now can come into force, and when; where not, that is told at once, however long passes
    /// run.
    pub(super) fn check(&mut self) -> Vec<Action> {
        self.watch.reads(self.host.stamp());
        self.manager.reloading();
        let now = self.moment();
        self.checked = None;
        match self.host.check(&self.loaded) {
            Ok(checked) => {
                let (changed, said) = (checked.changed.clone(), Arc::clone(&checked.said));
                self.checked = Some(checked);
                let next = self.state.checked(Some(changed), now);
                let awaited = self.state.rules_wait_for();
                if !awaited.is_empty() {
                    tell_waiting(&awaited, &self.state.rules_change());
                    self.clerk.show(|standing| (standing.rules_refused, standing.said) = (None, said));
                }
                next
            }
            Err(refused) => {
                self.refuse(refused);
                self.manager.ready();
                self.state.checked(None, now)
            }
        }
    }

    /// Goes on by the rules that were checked, or by those from before; what is to be done next.
    pub(super) async fn reload(&mut self) -> Result<Vec<Action>, PassError> {
        let Some(checked) = self.checked.take() else { return Ok(Vec::new()) };
        let next = match self.make_ready(checked).await? {
            Ok((fresh, jobs)) => {
                tell_changed(&self.loaded, &fresh);
                self.host.comes_into_force(&fresh);
                let (since, clients) = (self.clock.now(), Arc::new(fresh.engine.clients().clone()));
                self.clerk.show(|standing| {
                    (standing.rules_refused, standing.said) = (None, Arc::clone(&fresh.said));
                    (standing.rules_since, standing.clients) = (since, clients);
                });
                // The meters of upstreams that the new rules do not name are read for the last time.
                self.loaded.engine.keep_usage().await.ok();
                self.loaded = fresh;
                // Other rules may have mended it, or not: that is told anew.
                self.outages = Outages::default();
                if let Some(monitor) = &self.monitor {
                    monitor.renew(&self.loaded.engine);
                }
                let now = self.moment();
                self.state.renew(jobs, now)
            }
            Err(refused) => {
                if refused.busy {
                    self.watch.ask_again();
                }
                self.refuse(refused);
                let now = self.moment();
                self.state.decide(&Event::Tick, now)
            }
        };
        self.manager.ready();
        Ok(next)
    }

    /// Why is told once, however often they are read.
    fn refuse(&self, refused: Refused) {
        let mut is_told = false;
        let busy = refused.busy;
        let words = refused.text.clone();
        self.clerk.show(|standing| {
            is_told = standing.rules_refused.as_ref() == Some(&refused.text);
            (standing.rules_refused, standing.said) = (Some(refused.text), refused.said);
        });
        match (busy, is_told) {
            (true, false) => tracing::warn!("{words}"),
            (true, true) => {}
            (false, false) => tell_refused(&words),
            (false, true) => {
                tracing::info!("the rules still cannot be used, as was told; those from before stay in force");
            }
        }
    }

    /// Rules that were checked, ready, with their jobs; or why they cannot come into force.
    async fn make_ready(&mut self, checked: Checked) -> Result<Result<(Loaded, Vec<Job>), Refused>, PassError> {
        let before = Arc::clone(&self.loaded.engine);
        let (why, said) = match self.host.reload(before, checked).await {
            Ok(fresh) => match load_jobs(&fresh, self.store, self.plan.mode).await {
                Ok(jobs) => return Ok(Ok((fresh, jobs))),
                Err(error @ StoreError::Busy { .. }) => (error.to_string(), fresh.said),
                Err(error) => return Err(error.into()),
            },
            Err(refused) if refused.busy => (refused.text, refused.said),
            Err(refused) => return Ok(Err(refused)),
        };
        let text = format!("the rules are read again in a moment; those from before are in force until then: {why}");
        Ok(Err(Refused { text, said, busy: true }))
    }
}

/// The jobs of collections, with what is known of their passes.
pub(super) async fn load_jobs(loaded: &Loaded, store: &dyn Store, mode: Mode) -> Result<Vec<Job>, StoreError> {
    let mut jobs = Vec::new();
    for name in &loaded.collections {
        let Some(collection) = loaded.rules.collections.get(name) else { continue };
        let asked = name.clone();
        let look = move |view: &dyn View| {
            let (passes, full_at) = (view.passes(Some(&asked), PASSES_MAX)?, view.last_full_scan(&asked)?);
            Ok((passes, full_at, wake::is_paused(view, &asked)?))
        };
        let (passes, full_at, paused) = read(store, look).await?;
        let last = |micros: i64| DateTime::from_timestamp_micros(micros).map(|wall| Last { wall, steady: None });
        if collection.schedule.is_none() && mode == Mode::Scheduled {
            tracing::warn!("{name} has no schedule: it runs at the start, and then only when asked");
        }
        if paused && mode == Mode::Scheduled {
            tracing::warn!("{name} is paused: `reconciled resume {name}` lets it go on");
        }
        let listed = passes.iter().find(|pass| !has_listed_nothing(pass));
        let began = listed.and_then(|pass| last(pass.started_at));
        let retry_at = wake::retry_at(store, &loaded.rules, name, began.map(|began| began.wall)).await?;
        jobs.push(Job {
            walks: collection.walked().filter(|parent| parent != name).map(str::to_owned).collect(),
            parents: collection.references().filter(|parent| parent != name).map(str::to_owned).collect(),
            full_scan: collection.full_scan.clone(),
            jitter: collection.jitter,
            edits: collection.on_edit == OnEdit::Sync,
            reads_whole: collection.is_read_whole(),
            for_few: if collection.has_single_reads() { ForFew::Records } else { ForFew::Listings },
            last: began,
            last_full: full_at.and_then(last),
            paused: paused && mode == Mode::Scheduled,
            retry_at,
            ..Job::new(name, collection.schedule.clone())
        });
    }
    Ok(jobs)
}

fn tell_waiting(awaited: &[String], changed: &[String]) {
    let (awaited, changed) = (awaited.join(", "), changed.join(", "));
    tracing::info!(
        "new rules can be used; they change {changed}, and come into force when the pass of {awaited} has ended; until then \
         what they change makes passes for edits and webhooks only"
    );
}

fn tell_changed(before: &Loaded, fresh: &Loaded) {
    let what = if fresh.rules.hash == before.rules.hash { "they say what they said" } else { "they have changed" };
    tracing::info!("rules and secrets were read anew: {what}");
}

fn tell_refused(words: &str) {
    tracing::error!("the rules as they are now cannot be used; those from before stay in force:\n{words}");
}
