//! Owns: what becomes of rules that are read anew, by the loop as a whole.
//!
//! Must not know: how rules are read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::clock::SystemClock;
use crate::reconcile::{Engine, Silent};
use crate::rules::{Context, Ruleset, Source, check};
use crate::store::{OpenOptions, ReadJob, SqliteStore, Store, StoreError, WriteJob};

use super::decide::Mode;
use super::desk::{Desk, Refused};
use super::files::Watched;
use super::reload::Checked;
use super::run::{Host, Loaded, Plan, Setup, Told, run};
use super::wake::set_paused;

const COLLECTION: &str = "companies";

fn rules(hash: &str) -> Arc<Ruleset> {
    let companies = include_str!("../../sync-rules/examples/kinto/companies.toml");
    let text = format!("{companies}\n[upstream.kinto]\nbase_url = \"http://127.0.0.1:9\"\n");
    let sources = [Source { path: "companies.toml".into(), text, defect: None }];
    let (vars, find_secret) = (BTreeMap::new(), |_: &str| Ok(()));
    let checked = check(&sources, &Context { vars: &vars, find_secret: &find_secret });
    let rules = checked.ruleset.unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
    Arc::new(Ruleset { hash: hash.to_owned(), ..rules })
}

/// A store that another program holds from time to time.
struct Held {
    store: SqliteStore,
    is_held: AtomicBool,
}

impl Held {
    fn look<'a>(&self, job: BoxFuture<'a, Result<(), StoreError>>) -> BoxFuture<'a, Result<(), StoreError>> {
        if !self.is_held.load(Ordering::Acquire) {
            return job;
        }
        Box::pin(async { Err(StoreError::Busy { path: "data.db".to_owned(), waited_ms: 5000 }) })
    }
}

impl Store for Held {
    fn read_job(&self, job: ReadJob) -> BoxFuture<'_, Result<(), StoreError>> {
        self.look(self.store.read_job(job))
    }

    fn write_job(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        self.look(self.store.write_job(job))
    }

    fn write_small(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        self.look(self.store.write_small(job))
    }

    fn write_relaxed(&self, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        self.look(self.store.write_relaxed(job))
    }

    fn copy_to<'a>(&'a self, target: &'a Path) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.copy_to(target)
    }
}

async fn loaded(store: &Arc<Held>, hash: &str) -> Loaded {
    let rules = rules(hash);
    let store = Arc::clone(store) as Arc<dyn Store>;
    let opened = Engine::open(store, Arc::clone(&rules), BTreeMap::new(), Arc::new(SystemClock::new())).await;
    let engine = Arc::new(opened.unwrap().0);
    Loaded { engine, rules, said: Arc::default(), collections: vec![COLLECTION.to_owned()] }
}

/// What the host saw: how the rules stood when they were read anew, and which came into force.
#[derive(Debug, PartialEq, Eq)]
enum Saw {
    Open,
    Reads { in_force: String, refused: Option<String> },
    InForce(String),
}

/// Whose rules are other ones from the beginning on, and whose database is held when they are first read: while the
/// rules are opened, or after that.
struct Installation {
    store: Arc<Held>,
    held_in: Hold,
    stamp: AtomicU64,
    reads: u64,
    desk: Option<Desk>,
    tell: UnboundedSender<Saw>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Reading,
    Jobs,
}

impl Host for Installation {
    fn tell(&mut self, _told: Told<'_>) {}

    fn check(&mut self, in_force: &Loaded) -> Result<Checked, Refused> {
        let (said, collections) = (Arc::default(), in_force.collections.clone());
        Ok(Checked { rules: rules("fresh"), said, collections, clients: BTreeMap::new(), changed: BTreeSet::new() })
    }

    fn reload(&mut self, _before: Arc<Engine>, checked: Checked) -> BoxFuture<'_, Result<Loaded, Refused>> {
        Box::pin(async move {
            let standing = self.desk.as_ref().unwrap().standing();
            let (in_force, refused) = (standing.rules.hash.clone(), standing.rules_refused);
            self.tell.send(Saw::Reads { in_force, refused }).unwrap();
            self.reads += 1;
            self.store.is_held.store(false, Ordering::Release);
            let fresh = loaded(&self.store, &checked.rules.hash).await;
            let is_held = self.reads == 1;
            self.store.is_held.store(is_held, Ordering::Release);
            if is_held && self.held_in == Hold::Reading {
                return Err(Refused { text: "held".to_owned(), said: Arc::default(), busy: true });
            }
            Ok(fresh)
        })
    }

    fn comes_into_force(&mut self, loaded: &Loaded) {
        self.tell.send(Saw::InForce(loaded.rules.hash.clone())).unwrap();
    }

    fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Acquire)
    }

    fn watched(&self) -> Watched {
        // What is not there cannot be watched, and is looked at every second.
        Watched { store: vec!["missing.db".into()], ..Watched::default() }
    }

    fn open(&mut self, desk: Desk) {
        self.desk = Some(desk);
        self.stamp.store(2, Ordering::Release);
        self.tell.send(Saw::Open).unwrap();
    }
}

#[tokio::test]
async fn f55_a_database_that_is_held_while_rules_are_read_anew_only_puts_them_off() {
    for held_in in [Hold::Reading, Hold::Jobs] {
        let store = SqliteStore::open(&OpenOptions::memory()).unwrap();
        let store = Arc::new(Held { store, is_held: AtomicBool::new(false) });
        let before = loaded(&store, "before").await;
        // So that no pass is made.
        set_paused(store.as_ref(), COLLECTION, true).await.unwrap();
        let (tell, mut told) = unbounded_channel();
        let (stamp, reads, desk) = (AtomicU64::new(1), 0, None);
        let mut host = Installation { store: Arc::clone(&store), held_in, stamp, reads, desk, tell };
        let plan = Plan { mode: Mode::Scheduled, full: false, drain_timeout: Duration::ZERO, lock_max: Duration::ZERO };
        let (clock, progress) = (Arc::new(SystemClock::new()), Arc::new(Silent));
        let setup = Setup { store: store.as_ref(), clock, plan, progress, stamp: 1 };
        let mut saw = Vec::new();
        tokio::select! {
            ended = run(before, setup, &mut host) => panic!("{held_in:?}: {ended:?}"),
            () = async {
                while !matches!(saw.last(), Some(Saw::InForce(_))) {
                    saw.push(told.recv().await.unwrap());
                }
            } => {}
        }
        let [
            Saw::Open,
            Saw::Reads { refused: None, .. },
            Saw::Reads { in_force, refused: Some(why) },
            Saw::InForce(now),
        ] = saw.as_slice()
        else {
            panic!("{held_in:?}: {saw:?}")
        };
        assert_eq!((in_force.as_str(), now.as_str()), ("before", "fresh"), "{held_in:?}");
        assert!(why.contains("read again in a moment") && why.contains("in force until then"), "{why}");
    }
}
