//! Owns: how others in this process (control socket, web) speak to the loop: what they ask, what they are told, what they
//! may look at.
//!
//! Must not know: sockets, HTTP; what the loop decides.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::rules::{Diagnostic, Ruleset};
use crate::upstream::Client;

use super::doing::{Doing, Heard};
use super::event::Request;

/// Questions that may wait for the loop.
const WAITING_MAX: usize = 64;
/// A loop that was not heard of for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What is asked of the loop, with where the answer goes.
#[derive(Debug)]
pub struct Ask {
    /// What is asked for.
    pub request: Request,
    /// Where the answer goes; an error says why nothing is done.
    pub answer: oneshot::Sender<Result<Accepted, String>>,
}

/// A question that was taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The collections that it is about.
    pub collections: Vec<String>,
    /// Those passes have greater numbers than this; one that ran already when it was asked is none of them.
    pub after: u64,
}

/// How the daemon stands.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// The version of the program.
    pub version: &'static str,
    /// The process.
    pub pid: u32,
    /// Since when it runs.
    pub started_at: DateTime<Utc>,
    /// A stop was asked for.
    pub stopping: bool,
    /// Why the rules as they are in their files cannot be used, where those from before are in force.
    pub rules_refused: Option<String>,
    /// What is set to be served and is not, and why.
    pub not_served: Vec<String>,
    /// Other rules can be used, and come into force when the running passes of these collections have ended.
    pub rules_wait_for: Vec<String>,
    /// Those rules change these: until then only edits and webhooks make passes of them.
    pub rules_change: Vec<String>,
    /// Its collections in the order of passes.
    pub collections: Vec<Place>,
    /// When the loop last looked around, by the clock that never goes backwards.
    #[serde(skip)]
    pub shown_at: Duration,
    /// The rules in force.
    #[serde(skip)]
    pub rules: Arc<Ruleset>,
    /// The clients of their upstreams, to look at.
    #[serde(skip)]
    pub clients: Arc<BTreeMap<String, Arc<Client>>>,
    /// Since when they are.
    #[serde(skip)]
    pub rules_since: DateTime<Utc>,
    /// What was said of their files when they were last read.
    #[serde(skip)]
    pub said: Arc<RulesSaid>,
}

/// What was said of rules when they were read.
#[derive(Clone, Debug, Default)]
pub struct RulesSaid {
    /// The files, as shown.
    pub files: Vec<String>,
    /// What is wrong, or deserves a look.
    pub diagnostics: Vec<Diagnostic>,
}

/// Why rules cannot be used.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// For people.
    pub text: String,
    /// By file and line, where it is about that.
    pub said: Arc<RulesSaid>,
    /// The database was held by others: they may come into force all the same, a little later.
    pub busy: bool,
}

/// Where a collection stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its name.
    pub collection: String,
    /// A pass runs.
    pub running: bool,
    /// A pass waits for its turn.
    pub waiting: bool,
    /// It rests.
    pub paused: bool,
    /// When its next pass is due.
    pub next: Option<DateTime<Utc>>,
    /// When a pass next reads everything, where the rules say so.
    pub next_full: Option<DateTime<Utc>>,
    /// When left work is taken up again.
    pub retry_at: Option<DateTime<Utc>>,
    /// What its pass is at.
    pub doing: Option<String>,
    /// Why its last pass failed, where it did: the database may not even know of it.
    pub failed: Option<String>,
}

impl Standing {
    /// An error where the daemon works on no such collection.
    pub fn knows(&self, collection: &str) -> Result<(), String> {
        knows(self.collections.iter().map(|place| place.collection.as_str()), collection)
    }

    /// Since when a write of a collection may be under way that was sent and not answered; `None` where no pass of it runs.
    pub fn sends_since(&self, collection: &str) -> Option<DateTime<Utc>> {
        let is_running = |place: &Place| place.collection == collection && place.running;
        self.collections.iter().any(is_running).then_some(self.started_at)
    }
}

/// An error where this is none of the collections that the daemon works on.
pub fn knows<'a>(mut works_on: impl Iterator<Item = &'a str> + Clone, collection: &str) -> Result<(), String> {
    let names: Vec<&str> = works_on.clone().collect();
    if works_on.any(|name| name == collection) {
        return Ok(());
    }
    Err(format!("the daemon works on no collection `{collection}`; it works on {}", names.join(", ")))
}

impl Place {
    /// What its pass is at, without the collection's name.
    pub fn step(&self) -> Option<&str> {
        let doing = self.doing.as_deref()?;
        Some(doing.strip_prefix(self.collection.as_str()).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(doing))
    }
}

/// The public's side of the desk.
#[derive(Clone)]
pub struct Desk {
    asks: mpsc::Sender<Ask>,
    standing: watch::Receiver<Standing>,
    doing: Arc<Doing>,
    /// By setting.
    not_served: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

/// The loop's side.
pub struct Clerk {
    asks: mpsc::Receiver<Ask>,
    standing: watch::Sender<Standing>,
    doing: Arc<Doing>,
}

/// Opens one.
pub fn open(standing: Standing, doing: Arc<Doing>) -> (Desk, Clerk) {
    let (send, asks) = mpsc::channel(WAITING_MAX);
    let (tell, told) = watch::channel(standing);
    let desk = Desk { asks: send, standing: told, doing: Arc::clone(&doing), not_served: Arc::default() };
    (desk, Clerk { asks, standing: tell, doing })
}

impl Desk {
    /// Asks for passes. An error says why none is made.
    pub async fn sync(&self, collections: Vec<String>, full: bool) -> Result<Accepted, String> {
        self.ask(Request::Sync { collections, full }).await
    }

    /// Tells the loop that a collection rests, or goes on, as the store says by now. An error says why it does not.
    pub async fn pause(&self, collection: String, paused: bool) -> Result<(), String> {
        self.ask(Request::Pause { collection, paused }).await.map(|_accepted| ())
    }

    /// How the daemon stands now, with what passes are at.
    pub fn standing(&self) -> Standing {
        let mut standing = self.standing.borrow().clone();
        for place in &mut standing.collections {
            place.doing = self.doing.of(&place.collection);
        }
        standing.not_served = self.not_served().values().cloned().collect();
        standing
    }

    /// Why what a setting says is not served; `None` once it is.
    pub fn serves(&self, setting: &'static str, why_not: Option<String>) {
        match why_not {
            Some(words) => self.not_served().insert(setting, words),
            None => self.not_served().remove(setting),
        };
    }

    fn not_served(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.not_served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the loop lives: it looks around every few seconds, unless something takes it longer.
    pub fn is_alive(&self, now: Duration) -> bool {
        let seen = self.standing.borrow().shown_at;
        !self.asks.is_closed() && now.saturating_sub(seen) <= SILENCE_MAX
    }

    /// Hears the steps and ends of passes from now on.
    pub fn listen(&self) -> broadcast::Receiver<Heard> {
        self.doing.listen()
    }

    /// How things stand, whenever that changes; it ends with the loop. What passes are at is no part of it.
    pub fn follow(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Resolves once the loop is over.
    pub async fn over(&self) {
        let mut standing = self.standing.clone();
        while standing.changed().await.is_ok() {}
    }

    async fn ask(&self, request: Request) -> Result<Accepted, String> {
        let (answer, told) = oneshot::channel();
        let stopping = || "the daemon is stopping".to_owned();
        self.asks.send(Ask { request, answer }).await.map_err(|_gone| stopping())?;
        told.await.unwrap_or_else(|_gone| Err(stopping()))
    }
}

impl Clerk {
    /// The next question; never, once nobody can ask any more.
    pub async fn next(&mut self) -> Ask {
        match self.asks.recv().await {
            Some(ask) => ask,
            None => std::future::pending().await,
        }
    }

    /// Shows how things stand.
    pub fn show(&self, change: impl FnOnce(&mut Standing)) {
        self.standing.send_modify(change);
    }

    /// Says when the loop was last seen to live, also while it waits.
    pub fn shown(&self) -> Shown {
        Shown(self.standing.clone())
    }

    /// What passes are at.
    pub fn doing(&self) -> &Arc<Doing> {
        &self.doing
    }
}

/// When the loop was last seen to live.
pub struct Shown(watch::Sender<Standing>);

impl Shown {
    /// At this time, by the clock that never goes backwards. Nobody who follows is woken by it.
    pub fn at(&self, now: Duration) {
        self.0.send_if_modified(|standing| {
            standing.shown_at = now;
            false
        });
    }
}
